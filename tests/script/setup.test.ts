// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { runSetup, SetupError, sysctlName } from "../../kernel-model/script/setup.js";

class World {
	readonly kernel = new Kernel({ seed: 1 });
	readonly net = this.kernel.createNet();

	constructor(...commands: string[]) {
		for (const command of commands) this.run(command);
	}

	/** Runs a command. Returns the words that were passed over. */
	run(command: string): string[] {
		return runSetup(this.kernel, this.net, splitWords(command));
	}

	/** The result of bind(). */
	bind(address: string): number {
		const task = this.kernel.createTask({ net: this.net });
		const ipv6 = address.includes(":");
		const fd = task.socket(ipv6 ? 10 : 2, 2, 17);
		const family = ipv6 ? "AF_INET6" : "AF_INET";
		return task.bind(fd, { family, address, port: 0 }, ipv6 ? 28 : 16);
	}
}

/** Words; quotes keep spaces. */
function splitWords(command: string): string[] {
	return (command.match(/(?:[^\s"]|"[^"]*")+/g) ?? []).map((word) => word.replaceAll('"', ""));
}

function failure(world: World, command: string): SetupError {
	try {
		world.run(command);
	} catch (error) {
		if (error instanceof SetupError) return error;
		throw error;
	}
	throw new Error(`done: ${command}`);
}

/** The word of an error, and its message. */
function told(world: World, command: string): string {
	const { word, expected } = failure(world, command);
	return `${splitWords(command)[word] ?? "the end"}: ${expected}`;
}

describe("ip addr", () => {
	test.each([
		"ip a add 192.0.2.1 dev lo",
		"ip addr add dev lo local 192.0.2.1/32",
		"ip addr add dev lo 192.0.2.1/32 label lo:1 metric 5",
		"ip -4 address replace 192.0.2.1/32 brd + dev lo scope link",
		"ip addr change 192.0.2.1/32 dev lo",
		"ip addr chg dev lo 192.0.2.1/24 brd 192.0.2.255 valid_lft forever preferred_lft forever",
		"/sbin/ip -force -s ad a 192.0.2.1/32 scope 254 dev lo proto 3",
		"ip addr add 192.0.2.1 peer 192.0.2.8/24 dev lo",
		"ip addr add 192.0/16 dev lo broadcast 192.0.2.1",
	])("adds an address: %s", (command) => {
		const world = new World("ip link set lo up");
		world.run(command);
		expect(world.bind(command.includes("192.0/16") ? "192.0.0.0" : "192.0.2.1")).toBe(0);
	});

	test("replaces an address that exists, and does not add it twice", () => {
		const world = new World("ip link set lo up", "ip addr add 192.0.2.1/32 dev lo");
		world.run("ip addr replace 192.0.2.1/32 dev lo");
		expect(told(world, "ip addr add 192.0.2.1/32 dev lo")).toBe(
			"192.0.2.1/32: a new address (EEXIST)",
		);
	});

	test("deletes an address of every prefix length if the command names none", () => {
		const world = new World("ip link set lo up", "ip addr add 192.0.2.1/24 dev lo");
		expect(told(world, "ip addr del 192.0.2.1/32 dev lo")).toBe(
			"192.0.2.1/32: an address that exists (EADDRNOTAVAIL)",
		);
		world.run("ip addr del 192.0.2.1 dev lo");
		expect(world.bind("192.0.2.1")).toBe(-99);
	});

	test("flushes the addresses of a device, a prefix, a family or a scope", () => {
		const commands = [
			"ip link set lo up",
			"ip addr add 192.0.2.1/32 dev lo",
			"ip addr add 198.51.100.1/32 dev lo",
			"ip addr add 2001:db8::1/128 dev lo",
		];
		const left = (command: string) => {
			const world = new World(...commands, command);
			const addresses = ["192.0.2.1", "198.51.100.1", "2001:db8::1", "127.0.0.1"];
			return addresses.filter((address) => world.bind(address) === 0);
		};
		expect(left("ip addr flush dev lo to 192.0.2.0/24")).toEqual([
			"198.51.100.1",
			"2001:db8::1",
			"127.0.0.1",
		]);
		expect(left("ip -6 addr flush lo")).toEqual(["192.0.2.1", "198.51.100.1", "127.0.0.1"]);
		expect(left("ip addr flush dev lo scope global")).toEqual(["127.0.0.1"]);
		expect(left("ip addr flush lo")).toEqual([]);
		expect(told(new World(), "ip addr flush")).toBe("the end: a device, or what to flush");
	});

	test("names the wrong word", () => {
		const world = new World("ip link set lo up");
		expect(told(world, "ip addr add 192.0.2.5/32 dev eth9")).toBe(
			"eth9: a device of this namespace (ENODEV)",
		);
		expect(told(world, "ip addr add 192.0.2.4/32")).toBe("the end: dev NAME");
		expect(told(world, "ip addr add 192.0.2.4/32 d lo")).toBe("d: dev NAME");
		expect(told(world, "ip addr add 192.0.2.300/32 dev lo")).toMatch(/^192\.0\.2\.300\/32: /);
	});
});

describe("ip route", () => {
	test.each([
		"ip route add table 1101 unreachable default metric 8192",
		"ip route add 198.51.100.0/24 dev lo proto static mtu lock 1400 advmss 1300 initcwnd 10",
		"ip r a to unicast 198.51.100.0/24 oif lo pref high",
		"ip route add dev lo scope link 198.51.100.0/24 tab 254 met 3",
		"ip route append 198.51.100.0/24 dev lo metric 10",
		"ip route change 198.51.100.0/24 dev lo src 127.0.0.1",
		"ip route prepend 198.51/16 dev lo",
		"ip route add all dev lo table 102 preference 4",
		"ip -6 route add default dev lo expires 30",
		"ip route add dev lo",
	])("accepts its words in every order that the real command accepts: %s", (command) => {
		const world = new World("ip link set lo up");
		expect(() => world.run(command)).not.toThrow();
	});

	test("adds a route to the table and with the metric of the command", () => {
		const world = new World("ip link set lo up");
		world.run("ip route add table 1101 unreachable default metric 8192");
		world.run("ip route add dev lo mtu 1400 198.51.100.0/24");
		expect(told(world, "ip route add 198.51.100.0/24 dev lo")).toBe(
			"198.51.100.0/24: a new route (EEXIST)",
		);
		expect(told(world, "ip route add metric 8192 unreachable default table 1101")).toBe(
			"default: a new route (EEXIST)",
		);
	});

	test("names the wrong word", () => {
		const world = new World("ip link set lo up");
		expect(told(world, "ip route del 198.51.100.0/24")).toBe(
			"198.51.100.0/24: a route that exists (ESRCH)",
		);
		expect(told(world, "ip route add 198.51.100.0/24 via 203.0.113.1")).toBe(
			"203.0.113.1: a gateway that a device leads to (ENETUNREACH)",
		);
		expect(told(world, "ip route add 198.51.100.0/24 dev lo foo")).toBe("foo: a word of a route");
		expect(told(world, "ip route add 198.51.100.1/24 dev lo")).toBe(
			"198.51.100.1/24: a route that the kernel takes (EINVAL)",
		);
	});

	test.each([
		["ip route add throw 198.51.100.0/24", "throw"],
		["ip route add 198.51.100.0/24 nexthop dev lo", "nexthop"],
		["ip route add 198.51.100.0/24 dev lo tos 16", "tos"],
		["ip route flush table 100", "flush"],
		["ip rule add from 192.0.2.1 table 100", "rule"],
		["ip -n other addr add 192.0.2.1 dev lo", "-n"],
		["ip -batch file", "-batch"],
		["ip link set lo netns 1", "netns"],
	])("says that the model does not have this command: %s", (command, word) => {
		const error = failure(new World("ip link set lo up"), command);
		expect([splitWords(command)[error.word], error.unmodelled]).toEqual([word, true]);
	});
});

describe("ip link", () => {
	test("sets a device up wherever its name stands in the command", () => {
		for (const command of ["ip link set up dev lo", "ip link set up lo", "ip l s lo mtu 9 up"]) {
			expect(new World(command).bind("127.0.0.1"), command).toBe(0);
		}
	});

	test("makes devices of other kinds, which the model treats as dummy devices", () => {
		const world = new World("ip link add name d0 mtu 1400 type dummy");
		expect(world.run("ip link add veth0 type veth peer name veth1")).toContain("type veth");
		world.run("ip tuntap add mode tun name tun0");
		for (const [at, dev] of ["d0", "veth0", "veth1", "tun0"].entries()) {
			world.run(`ip link set ${dev} up`);
			world.run(`ip addr add 192.0.2.${at}/32 dev ${dev}`);
			expect(world.bind(`192.0.2.${at}`), dev).toBe(0);
		}
	});

	test("deletes a device with its addresses", () => {
		const world = new World(
			"ip link add d0 type dummy",
			"ip link set d0 up",
			"ip addr add 192.0.2.1/24 dev d0",
			"ip addr add 2001:db8::1/64 dev d0",
		);
		world.run("ip link del d0");
		expect(world.bind("192.0.2.1")).toBe(-99);
		expect(world.bind("2001:db8::1")).toBe(-99);
		expect(told(world, "ip link del d0")).toBe("d0: a device of this namespace (ENODEV)");
		world.kernel.verify();
	});

	test("renames a device", () => {
		const world = new World("ip link set lo name lo9", "ip link set lo9 up");
		expect(world.bind("127.0.0.1")).toBe(0);
		expect(told(world, "ip link set lo up")).toBe("lo: a device of this namespace (ENODEV)");
	});

	test("passes over words that do not concern ports, and names them", () => {
		const world = new World();
		expect(world.run("ip link set lo mtu 1500 txqueuelen 5")).toEqual(["mtu 1500", "txqueuelen 5"]);
		expect(world.run("ip neigh add 192.0.2.5 lladdr 02:00:00:00:00:01 dev lo")).toHaveLength(1);
		expect(world.run("ip -br addr show")).toEqual([""]);
	});
});

describe("sysctl", () => {
	const NAME = "net.ipv4.ip_local_port_range";
	test.each([
		`sysctl -w ${NAME}="40000 40511"`,
		`sysctl -q ${NAME}="40000 40511"`,
		`sysctl -qw "${NAME} = 40000 40511"`,
		`sysctl --write "${NAME}= 40000	40511 "`,
		`sysctl net/ipv4/ip_local_port_range="40000 40511" -n`,
		`sysctl -- ${NAME}="40000 40511"`,
		`sysctl net.ipv4.tcp_timestamps=1 ${NAME}="40000 40511"`,
	])("writes a setting: %s", (command) => {
		const world = new World();
		world.run(command);
		expect(world.net.getSysctl(NAME)).toBe("40000\t40511\n");
	});

	test("passes over settings that do not concern ports, and names them", () => {
		expect(new World().run("sysctl -q -w net.ipv4.tcp_timestamps=1")).toEqual([
			"net.ipv4.tcp_timestamps",
		]);
		expect(failure(new World(), "sysctl -w net.ipv4.tcp_fastopen_key=5").unmodelled).toBe(true);
		expect(failure(new World(), "sysctl -w kernel.hostname=foo").unmodelled).toBe(false);
	});

	test("names the wrong word", () => {
		const world = new World();
		expect(told(world, `sysctl ${NAME} = 1`)).toBe(`${NAME}: NAME=VALUE in one word`);
		expect(told(world, `sysctl -w ${NAME}`)).toBe(`${NAME}: NAME=VALUE`);
		expect(told(world, `sysctl ${NAME}=70000`)).toMatch(/a value that .* takes \(EINVAL\)/);
		expect(failure(world, "sysctl -p /etc/sysctl.conf").unmodelled).toBe(true);
	});

	test("takes the first dot or slash of a name as its separator", () => {
		expect(sysctlName("net/ipv4/conf/lo.1/forwarding")).toBe("net.ipv4.conf.lo/1.forwarding");
		expect(sysctlName("net.ipv4.conf.lo/1.forwarding")).toBe("net.ipv4.conf.lo/1.forwarding");
	});
});

describe("sleep", () => {
	test("accepts a number of seconds", () => {
		const world = new World();
		const before = world.kernel.now;
		world.run("sleep 1.5");
		expect(world.kernel.now - before).toBe(1500);
		for (const word of ["Infinity", '""', "1e9", "-1", "0x10"]) {
			expect(failure(world, `sleep ${word}`).word, word).toBe(1);
		}
		expect(failure(world, "sleep 1 foo").word).toBe(2);
	});
});
