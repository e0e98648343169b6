// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Devices, addresses, routes and source addresses of both families, rule by rule. A world
 * is a list of lines, as the kernels of this project's profiles answer them:
 *
 *     ip addr add 2001:db8::1/64 dev d0
 *     ip addr add ::1/128 dev d0 = EADDRNOTAVAIL
 *     to 2001:db8::1 = 2001:db8::1 on d0
 *     to 2001:db8::9 src 2001:db8::1 dev d0 = 2001:db8::1 away
 *     bind 2001:db8::2 = EADDRNOTAVAIL
 *
 * `to` is connect(). Its result is the source address, and the device on which this host receives
 * the packets. `on`, `src` and `dev` say how the socket is bound. A world has lo up, and the dummy
 * devices d0 and d1, whose MAC addresses end in 0 and 1.
 */
import { describe, expect, it } from "vitest";
import { in6addr_any, ipv6_addr_type } from "../../include/net/ipv6.js";
import {
	RT_TABLE_LOCAL,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
	RTN_UNICAST,
} from "../../include/net/net_namespace.js";
import { EINVAL, ENOENT, errnoName, Kernel, NotModelled } from "../../kernel-model/index.js";
import {
	formatIpv4,
	formatIpv6,
	parseIpv4,
	parseIpv6,
} from "../../kernel-model/machine/address.js";
import { isModelledSysctl, runSetup, SetupError } from "../../kernel-model/script/setup.js";
import { inet_addr_type_table } from "../../net/ipv4/fib_frontend.js";
import { ip_route_connect, ipDatagramDeliverIfindex } from "../../net/ipv4/route.js";
import { ipv6_chk_addr } from "../../net/ipv6/addrconf.js";
import { ip6_dst_lookup_flow } from "../../net/ipv6/ip6_output.js";
import { inet6_sdif, ip6LocalDeliverIfindex, ip6RemoteAnswer } from "../../net/ipv6/route.js";
import { l3mdev_fib_table_by_index } from "../../net/l3mdev/l3mdev.js";

const DEVICES = `
	ip link set lo up
	ip link add d0 address 02:00:00:00:00:00 type dummy
	ip link add d1 address 02:00:00:00:00:01 type dummy
`;

class Routes {
	readonly kernel: Kernel;
	readonly net: ReturnType<Kernel["createNet"]>;
	private readonly sk: number;

	constructor(version = "6.1.176", devices = DEVICES) {
		this.kernel = new Kernel({ version });
		this.net = this.kernel.createNet({ lo: "down" });
		this.sk = this.kernel.sock.kmem_cache_zalloc();
		this.kernel.sock.skc_net[this.sk] = this.net.net.id;
		this.play(devices);
	}

	index(name: string): number {
		const dev = this.net.net.devices.find((candidate) => candidate.name === name);
		if (dev === undefined) throw new Error(`no device ${name}`);
		return dev.ifindex;
	}

	private name(ifindex: number): string {
		return this.net.net.devices.find((dev) => dev.ifindex === ifindex)?.name ?? "";
	}

	/** Runs a command: "", or the error that it ends with. */
	run(command: string): string {
		try {
			runSetup(this.kernel, this.net, command.split(" "));
			return "";
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			const failed = /\(.*\b(E[A-Z]+)\)$/.exec(error.message);
			return failed === null ? error.message : failed[1];
		}
	}

	/** The result of connect(): "SOURCE on DEVICE", "SOURCE away" or an error. */
	to(destination: string, src: string | undefined, dev: string | undefined): string {
		const { net } = this.net;
		const [address, scope] = destination.split("%");
		const oif = dev === undefined ? 0 : this.index(dev);
		const told = (source: string, dif: number) =>
			dif === 0 ? `${source} away` : `${source} on ${this.name(dif)}`;
		const daddr = parseIpv6(address);
		if (daddr !== null) {
			const link = scope === undefined ? oif : this.index(scope);
			if ((ipv6_addr_type(daddr, 0) & 0x20) !== 0 && link === 0) return "EINVAL";
			this.kernel.sock.skc_bound_dev_if[this.sk] = link;
			const saddr = src === undefined ? in6addr_any : (parseIpv6(src) ?? in6addr_any);
			const err = ip6_dst_lookup_flow(this.kernel, this.sk, saddr, 0, daddr, 0, link);
			if (err !== 0) return errnoName(-err);
			return told(formatIpv6(net.fl6.saddr), ip6LocalDeliverIfindex(net, daddr, 0, link));
		}
		const err = ip_route_connect(
			net,
			parseIpv4(address) ?? 0,
			parseIpv4(src ?? "0.0.0.0") ?? 0,
			oif,
		);
		if (err !== 0) return errnoName(-err);
		return told(formatIpv4(net.fl4.saddr), ipDatagramDeliverIfindex(net, net.fl4.daddr, oif));
	}

	bind(address: string, dev: string | undefined): string {
		const { net } = this.net;
		const oif = dev === undefined ? 0 : this.index(dev);
		const v6 = parseIpv6(address);
		if (v6 !== null) return ipv6_chk_addr(net, v6, 0, oif, false) ? "0" : "EADDRNOTAVAIL";
		const table = l3mdev_fib_table_by_index(net, oif) || RT_TABLE_LOCAL;
		const type = inet_addr_type_table(net, parseIpv4(address) ?? 0, table);
		return type === RTN_LOCAL ? "0" : "EADDRNOTAVAIL";
	}

	/** Plays a world. Throws Error at the first line with another result. */
	play(text: string): void {
		for (const line of text.split("\n").map((part) => part.trim())) {
			if (line === "") continue;
			const [call, wanted] = line.split(" = ");
			let result: string;
			const socket = /^(to|bind) (\S+)(?: src (\S+))?(?: dev (\S+))?$/.exec(call);
			if (socket === null) result = this.run(call);
			else if (socket[1] === "to") result = this.to(socket[2], socket[3], socket[4]);
			else result = this.bind(socket[2], socket[4]);
			expect(`${call} = ${result}`).toBe(`${call} = ${wanted ?? ""}`);
		}
	}
}

const play = (text: string) => () => new Routes().play(text);

describe("the source address over IPv6", () => {
	it(
		"is the destination itself if the destination is local",
		play(`
			ip addr add 2001:db8::1/64 dev lo
			ip addr add 2001:db8::2/64 dev lo
			to 2001:db8::1 = 2001:db8::1 on lo
			to 2001:db8::2 = 2001:db8::2 on lo
			to ::1 = ::1 on lo
		`),
	);

	it(
		"has the smallest scope that is not smaller than the destination's scope",
		play(`
			ip link set d0 up
			ip addr add fec0::1/64 dev d0
			ip addr add 2001:db8::1/64 dev d0
			ip route add ::/0 dev d0
			to 2a00::1 = 2001:db8::1 away
			to fec0::9 = fec0::1 away
			to fe80::9%d0 = fe80::ff:fe00:0 away
			ip addr del 2001:db8::1/64 dev d0
			to 2a00::1 = fec0::1 away
		`),
	);

	it(
		"is an address of the outgoing device even if another device has a better match",
		play(`
			ip link set d0 up
			ip link set d1 up
			ip addr add 2001:db8:1::1/64 dev d0
			ip addr add 2001:db8:2::1/64 dev d1
			ip route add 2001:db8:2:9::/64 dev d0
			to 2001:db8:2:9::1 = 2001:db8:1::1 away
			to 2001:db8:2::9 = 2001:db8:2::1 away
		`),
	);

	it(
		"has the label of the destination",
		play(`
			ip addr add 2001:db8::1/128 dev lo
			ip addr add fc00::1/128 dev lo
			ip addr add 2002:c000:201::1/128 dev lo
			ip addr add 2001::5/128 dev lo
			ip addr add 3ffe::1/128 dev lo
			ip addr add ::192.0.2.1/128 dev lo
			ip route add ::/0 dev lo
			to fd00::9 = fc00::1 away
			to 2002:1::9 = 2002:c000:201::1 away
			to 2001::9 = 2001::5 away
			to 3ffe::9 = 3ffe::1 away
			to ::198.51.100.1 = ::192.0.2.1 away
			to 2a00::9 = 2001:db8::1 away
		`),
	);

	it(
		"is an ORCHID only for a destination that is an ORCHID",
		play(`
			ip addr add 2001:10::1/128 dev lo
			ip addr add 2001:db8::1/128 dev lo
			ip route add ::/0 dev lo
			to 2001:10::9 = 2001:10::1 away
			to 2001:11::9 = 2001:10::1 away
			to 2001:20::9 = 2001:db8::1 away
			ip addr del 2001:db8::1/128 dev lo
			ip addr add 2002:c000:201::1/128 dev lo
			to 2001:db8::9 = 2002:c000:201::1 away
		`),
	);

	it(
		"shares the longest prefix with the destination, counted up to the length of its own prefix",
		play(`
			ip addr add 2001:db8:8000::1/33 dev lo
			ip addr add 2001:db8:c000::1/33 dev lo
			ip route add 2001:db8::/32 dev lo
			to 2001:db8:8000::9 = 2001:db8:c000::1 away
			to 2001:db8:c000::9 = 2001:db8:c000::1 away
			ip addr add 2001:db8:8000::2/48 dev lo
			to 2001:db8:8000::9 = 2001:db8:8000::2 away
		`),
	);

	it(
		"is the newest of equal addresses, and a deprecated address only if there is no other",
		play(`
			ip addr add 2001:db8::1/64 dev lo
			ip addr add 2001:db8::2/64 dev lo
			ip addr add 2001:db8::3/64 dev lo preferred_lft 0
			to 2001:db8::9 = 2001:db8::2 away
			ip addr del 2001:db8::2/64 dev lo
			to 2001:db8::9 = 2001:db8::1 away
			ip addr del 2001:db8::1/64 dev lo
			to 2001:db8::9 = 2001:db8::3 away
		`),
	);

	it(
		"is the preferred source of the route",
		play(`
			ip addr add 2001:db8::1/128 dev lo
			ip addr add fc00::1/128 dev lo
			ip route add 2a00::/16 dev lo src fc00::1
			to 2a00::9 = fc00::1 away
			ip addr del fc00::1/128 dev lo
			to 2a00::9 = 2001:db8::1 away
			ip route add 2a01::/16 dev lo src fc00::1 = EINVAL
		`),
	);

	it(
		"is the address to which the socket is bound, whatever that is",
		play(`
			ip addr add 2001:db8::1/128 dev lo
			ip route add ::/0 dev lo
			to 2001:db8::1 src 2001:db8::7 = 2001:db8::7 on lo
			to 2a00::1 src ::1 = ::1 away
			to 2a00::1 src ::ffff:192.0.2.1 = EAFNOSUPPORT
		`),
	);

	it("is not modelled if the device made it from a random MAC address", () => {
		const world = new Routes();
		world.play(`
			ip link add d2 type dummy
			ip link set d2 up
			ip route add ::/0 dev d2
		`);
		expect(() => world.to("2001:db8::1", undefined, undefined)).toThrow(NotModelled);
		expect(() => world.to("fe80::12:34ff:fe56:789a%d2", undefined, undefined)).toThrow(NotModelled);
		expect(() => world.bind("fe80::12:34ff:fe56:789a", "d2")).toThrow(NotModelled);
		world.play(`
			bind fe80::1 dev d2 = EADDRNOTAVAIL
			bind 2001:db8::12:34ff:fe56:789a dev d2 = EADDRNOTAVAIL
			bind fe80:0:1:0:12:34ff:fe56:789a dev d2 = EADDRNOTAVAIL
			ip addr add 2001:db8::9/64 dev d2
			to 2001:db8::1 = 2001:db8::9 away
			ip link set d2 down
			ip link set d2 addrgenmode none
			ip link set d2 up
			ip route add ::/0 dev d2
			to 2001:db8::1 = ::1 away
			bind fe80::12:34ff:fe56:789a dev d2 = EADDRNOTAVAIL
		`);
	});
});

describe("a route over IPv6", () => {
	it(
		"makes connect() fail if it is missing or is a blackhole, prohibit or unreachable route",
		play(`
			ip addr add 2001:db8::1/128 dev lo
			ip route add blackhole 2001:db8:1::/48
			ip route add prohibit 2001:db8:2::/48
			ip route add unreachable 2001:db8:3::/48
			to 2001:db8:1::1 = EINVAL
			to 2001:db8:2::1 = EACCES
			to 2001:db8:3::1 = EHOSTUNREACH
			to 2001:db8:4::1 = ENETUNREACH
			to 2001:db8:1::1 src 2001:db8::1 = EINVAL
		`),
	);

	it(
		"is looked up after the source address",
		play(`
			ip link set lo down
			to 2001:db8::1 = EADDRNOTAVAIL
			to ::1 = EADDRNOTAVAIL
			to 2001:db8::1 src 2001:db8::1 = ENETUNREACH
		`),
	);

	it(
		"has precedence by the longest prefix, then by the lowest metric, then by age",
		play(
			`
			ip link set d0 up
			ip link set d1 up
			ip addr add 2001:db8:a::1/128 dev d0
			ip addr add 2001:db8:b::1/128 dev d1
			ip route add ::/0 dev d0
			ip route add 2a00::/16 dev d1
			to 2a00::1 = 2001:db8:b::1 away
			to 2a01::1 = 2001:db8:a::1 away
			ip route add ::/0 dev d1 metric 10
			to 2a01::1 = 2001:db8:b::1 away
			ip addr add 2001:db8:c::1/64 dev d0
			ip addr add 2001:db8:c::2/64 dev d1
			to 2001:db8:c::9 = 2001:db8:c::1 away
			ip route add 2001:db8:c::/64 dev d0 metric 256 = EEXIST
		`,
		),
	);

	it(
		"must lead to the device to which the socket is bound",
		play(`
			ip link set d0 up
			ip link set d1 up
			ip addr add 2001:db8:1::1/64 dev d0
			ip addr add 2001:db8::1/128 dev lo
			to 2001:db8::1 dev d0 = ENETUNREACH
			to 2001:db8:1::9 dev d1 = ENETUNREACH
			to 2001:db8:1::9 dev d0 = 2001:db8:1::1 away
			to ::1 dev d0 = ENETUNREACH
			ip route add ::/0 dev d0 metric 5000
			to 2001:db8::1 dev d0 = 2001:db8::1 away
			to 2a00::1 dev lo = ENETUNREACH
		`),
	);

	it(
		"to a link-local address needs a device",
		play(`
			ip link set d0 up
			ip link set d1 up
			to fe80::9 = EINVAL
			to fe80::9%d0 = fe80::ff:fe00:0 away
			to fe80::9 dev d1 = fe80::ff:fe00:1 away
			to fe80::ff:fe00:1%d1 = fe80::ff:fe00:1 on d1
			to fe80::ff:fe00:1%d0 = fe80::ff:fe00:0 away
			to ff02::77%d1 = fe80::ff:fe00:1 away
			to ff05::77 = fe80::ff:fe00:0 away
			to ff05::77 dev lo = ENETUNREACH
		`),
	);

	it(
		"needs a gateway that is on a link and is not an address of the host",
		play(`
			ip link set d0 up
			ip addr add 2001:db8::1/64 dev d0
			ip route add 2a00::/16 via 2001:db8::2
			to 2a00::1 = 2001:db8::1 away
			ip route add 2a01::/16 via 2001:db9::2 = EHOSTUNREACH
			ip route add 2a01::/16 via 2a00::2 = EHOSTUNREACH
			ip route add 2a01::/16 via 2001:db8::1 = EINVAL
			ip route add 2a01::/16 via 2001:db8::2 dev d1 = EHOSTUNREACH
			ip route add 2a01::/16 via 2001:db8::2 dev lo = EHOSTUNREACH
			ip route add 2a01::/16 via fe80::9 = EINVAL
			ip route add 2a01::/16 via fe80::9 dev d0
			ip route add 2a02::/16 via 2001:db9::2 dev d0 onlink
			ip route add 2a03::/16 via 2001:db8::2 dev d1 onlink = ENETDOWN
			ip route add 2a03::/16 dev d1 = ENETDOWN
			ip route add 2a03::/16 = ENODEV
		`),
	);

	it(
		"is deleted and replaced by prefix and metric",
		play(`
			ip addr add 2001:db8::1/128 dev lo
			ip addr add 2001:db8::2/128 dev lo
			ip route add 2a00::/16 dev lo metric 10 src 2001:db8::1
			ip route add 2a00::/16 dev lo metric 20 src 2001:db8::2
			to 2a00::1 = 2001:db8::1 away
			ip route replace 2a00::/16 dev lo metric 10 src 2001:db8::2
			to 2a00::1 = 2001:db8::2 away
			ip route del 2a00::/16 metric 30 = ESRCH
			ip route del 2a00::/16 dev d0 = ESRCH
			ip route del 2a00::/16
			ip route replace blackhole 2a00::/16 metric 20
			to 2a00::1 = EINVAL
			ip route del 2a00::/16
			to 2a00::1 = ENETUNREACH
			ip route del ::/0 = ENOENT
			ip route del ::/0 metric 1 = ESRCH
			ip route del ::/0 table 77 = ESRCH
		`),
	);

	it(
		"with a gateway is replaced by a route without one",
		play(`
			ip link set d0 up
			ip addr add 2001:db8::1/64 dev d0
			ip route add 2a00::/16 via 2001:db8::2
			ip route replace 2a00::/16 dev d0
			ip route del 2a00::/16
			to 2a00::1 = ENETUNREACH
			ip route add 2a00::/16 dev d0
			ip route replace 2a00::/16 via 2001:db8::2
			ip route del 2a00::/16 via 2001:db8::2
			to 2a00::1 = ENETUNREACH
		`),
	);

	it("through lo is answered by the kernel unless a script says who answers", () => {
		const world = new Routes();
		const answer = (text: string) =>
			ip6RemoteAnswer(world.net.net, parseIpv6(text) ?? in6addr_any, 0, 0);
		world.play(`
			ip link set d0 up
			ip addr add 2001:db8::1/64 dev lo
			ip route add 2a00::/16 dev lo answer accept
			ip route add 2a01::/16 dev lo
			ip route add 2a02::/16 dev d0
			ip route add 2a03::/16 dev d0 answer refuse
			to 2a01::1 = 2001:db8::1 away
		`);
		expect(answer("2a00::1")).toBe("accept");
		expect(answer("2a01::1")).toBe("unreachable");
		expect(answer("2a02::1")).toBe("blackhole");
		expect(answer("2a03::1")).toBe("refuse");
		expect(answer("2001:db8::9")).toBe("unreachable");
		expect(answer("2b00::1")).toBe("blackhole");
	});

	it(
		"of type local makes every address of the prefix local",
		play(`
			ip route add local 2001:db8::/64 dev lo
			to 2001:db8::9 = ::1 on lo
			bind 2001:db8::9 = EADDRNOTAVAIL
			ip route add local 2001:db9::/64 dev d0 = ENETDOWN
			ip link set d0 up
			ip route add local 2001:db9::/64 dev d0
			to 2001:db9::9 = fe80::ff:fe00:0 on d0
		`),
	);
});

describe("an IPv6 address", () => {
	it("adds a host route, and a route of its prefix while its device is up", () => {
		const world = new Routes();
		world.play("ip addr add 2001:db8::1/64 dev d0");
		const routes = () =>
			world.net.net.routes6
				.filter(({ oif }) => oif === world.index("d0"))
				.map(({ dst, plen, table, metric, type }) => [formatIpv6(dst), plen, table, metric, type]);
		expect(routes()).toEqual([["2001:db8::1", 128, 255, 0, RTN_LOCAL]]);
		world.play("ip link set d0 up");
		expect(routes()).toEqual([
			["2001:db8::1", 128, 255, 0, RTN_LOCAL],
			["2001:db8::", 64, 254, 256, 1],
			["ff00::", 8, 255, 256, RTN_MULTICAST],
			["fe80::", 64, 254, 256, 1],
			["fe80::ff:fe00:0", 128, 255, 0, RTN_LOCAL],
		]);
		world.play("ip link set d0 down");
		expect(routes()).toEqual([]);
	});

	it(
		"is local before its device comes up, and is removed when the device goes down",
		play(`
			ip addr add 2001:db8::1/64 dev d0
			bind 2001:db8::1 = 0
			to 2001:db8::1 = 2001:db8::1 on d0
			to 2001:db8::9 = ENETUNREACH
			ip link set d0 up
			to 2001:db8::9 = 2001:db8::1 away
			ip link set d0 down
			bind 2001:db8::1 = EADDRNOTAVAIL
			ip link set d0 up
			bind 2001:db8::1 = EADDRNOTAVAIL
			bind fe80::ff:fe00:0 dev d0 = 0
		`),
	);

	it("stands before the addresses of smaller scope, and before older ones of its scope", () => {
		const world = new Routes();
		world.play(`
			ip link set d0 up
			ip addr add 2001:db8::1/64 dev d0
			ip addr add fec0::1/64 dev d0
			ip addr add 2001:db8::2/64 dev d0
		`);
		const dev = world.net.net.devices.find(({ name }) => name === "d0");
		expect(dev?.addr_list.map(({ addr }) => formatIpv6(addr))).toEqual([
			"2001:db8::2",
			"2001:db8::1",
			"fec0::1",
			"fe80::ff:fe00:0",
		]);
	});

	it(
		"receives nothing while lo is down, and only ::1 comes back when lo comes up",
		play(`
			ip addr add 2001:db8::1/128 dev lo
			ip addr add 2001:db8::2/128 dev d0
			ip link set lo down
			bind ::1 = EADDRNOTAVAIL
			bind 2001:db8::1 = EADDRNOTAVAIL
			to 2001:db8::2 = 2001:db8::2 away
			ip link set lo up
			to 2001:db8::2 = 2001:db8::2 on d0
			bind ::1 = 0
			bind 2001:db8::1 = EADDRNOTAVAIL
		`),
	);

	it(
		"is refused on a device that has it, and on a device that cannot have it",
		play(`
			ip addr add 2001:db8::1/64 dev d0
			ip addr add 2001:db8::1/48 dev d0 = EEXIST
			ip addr add 2001:db8::1/64 dev d1
			ip addr add ::1/128 dev d0 = EADDRNOTAVAIL
			ip addr add ::/128 dev d0 = EADDRNOTAVAIL
			ip addr add ff02::5/128 dev d0 = EADDRNOTAVAIL
			ip addr add ::1/128 dev lo = EEXIST
			ip addr del 2001:db8::1/48 dev d0 = EADDRNOTAVAIL
			ip addr del 2001:db8::1/64 dev d0
			bind 2001:db8::1 = 0
			ip addr del 2001:db8::1/64 dev d1
			bind 2001:db8::1 = EADDRNOTAVAIL
		`),
	);

	it(
		"takes the route of its prefix away with it unless another address has the prefix",
		play(`
			ip link set d0 up
			ip addr add 2001:db8::1/64 dev d0
			ip addr add 2001:db8::2/64 dev d0
			ip addr del 2001:db8::1/64 dev d0
			to 2001:db8::9 = 2001:db8::2 away
			ip addr del 2001:db8::2/64 dev d0
			to 2001:db8::9 = ENETUNREACH
		`),
	);

	it(
		"that is link-local or ::1 is local only for sockets bound to its device",
		play(`
			ip link set d0 up
			ip addr add 2001:db8::1/64 dev d0
			bind 2001:db8::1 dev d1 = 0
			bind ::1 dev d0 = EADDRNOTAVAIL
			bind fe80::ff:fe00:0 dev d1 = EADDRNOTAVAIL
			bind fe80::ff:fe00:0 dev d0 = 0
		`),
	);

	it("that is removed stops being the preferred source of routes by other devices, since 6.6", () => {
		const text = `
			ip link set d0 up
			ip link set d1 up
			ip addr add 2001:db8:1::1/64 dev d0
			ip addr add 2001:db8:2::1/64 dev d1
			ip route add 2a00::/16 dev d0 src 2001:db8:2::1
			ip addr del 2001:db8:2::1/64 dev d1
		`;
		new Routes().play(`${text}
			to 2a00::1 = 2001:db8:2::1 away
		`);
		const world = new Routes();
		const { net } = world.net;
		Object.assign(net, { changes: new Set([...net.changes, "prefsrc-removed-on-every-device"]) });
		world.play(`${text}
			to 2a00::1 = 2001:db8:1::1 away
		`);
	});
});

describe("a VRF", () => {
	const VRF = `${DEVICES}
		ip link add red type vrf table 10
		ip link set red up
		ip link set d0 master red
		ip link set d0 up
		ip link set d1 up
		ip addr add 2001:db8:1::1/64 dev d0
		ip addr add 192.0.2.1/24 dev d0
		ip addr add 2001:db8:2::1/64 dev d1
		ip addr add 198.51.100.1/24 dev d1
	`;
	const inVrf =
		(text: string, version = "6.1.176") =>
		() =>
			new Routes(version, VRF).play(text);

	it(
		"has addresses of its own",
		inVrf(`
			bind 2001:db8:1::1 = EADDRNOTAVAIL
			bind 2001:db8:1::1 dev red = 0
			bind 2001:db8:1::1 dev d0 = 0
			bind 2001:db8:2::1 dev red = EADDRNOTAVAIL
			bind 192.0.2.1 = EADDRNOTAVAIL
			bind 192.0.2.1 dev red = 0
			bind 192.0.2.1 dev d0 = 0
			bind 198.51.100.1 dev red = EADDRNOTAVAIL
			bind 127.0.0.1 dev red = EADDRNOTAVAIL
		`),
	);

	it(
		"has routes of its own, which come after the local table and before the main table",
		inVrf(`
			to 2001:db8:1::1 = ENETUNREACH
			to 2001:db8:1::1 dev red = 2001:db8:1::1 on d0
			to 2001:db8:1::9 dev red = 2001:db8:1::1 away
			to 2001:db8:1::9 dev d0 = 2001:db8:1::1 away
			to 2001:db8:2::1 dev red = 2001:db8:1::1 on d1
			to ::1 dev red = EADDRNOTAVAIL
			to ::1 src 2001:db8:1::1 dev red = 2001:db8:1::1 on lo
			to 192.0.2.1 = ENETUNREACH
			to 192.0.2.1 dev red = 192.0.2.1 on d0
			to 192.0.2.9 dev red = 192.0.2.1 away
			to 198.51.100.1 dev red = 198.51.100.1 on d1
			to 127.0.0.1 dev red = 127.0.0.1 on lo
			to 203.0.113.1 dev red = ENETUNREACH
			ip route add 203.0.113.0/24 dev d0 vrf red
			ip route add 2a00::/16 dev d0 vrf red
			to 203.0.113.1 dev red = 192.0.2.1 away
			to 203.0.113.1 = ENETUNREACH
			to 2a00::1 dev red = 2001:db8:1::1 away
			to 2a00::1 = ENETUNREACH
			ip route add blackhole 2a00::/16 table 10 = EEXIST
			ip route del 2a00::/16 table 10
			to 2a00::1 dev red = ENETUNREACH
		`),
	);

	it(
		"has no link-local addresses",
		inVrf(`
			to fe80::9%red = ENETUNREACH
			to fe80::9%d0 = fe80::ff:fe00:0 away
			to ff02::77%d0 = fe80::ff:fe00:0 away
			to fe80::ff:fe00:0%d0 = fe80::ff:fe00:0 on d0
		`),
	);

	it(
		"removes the IPv6 addresses of a device that joins or leaves, and moves its IPv4 addresses",
		inVrf(`
			ip link set d1 master red
			bind 2001:db8:2::1 dev red = EADDRNOTAVAIL
			bind 198.51.100.1 = EADDRNOTAVAIL
			bind 198.51.100.1 dev red = 0
			to 198.51.100.9 dev red = 198.51.100.1 away
			ip link set d1 nomaster
			bind 198.51.100.1 dev red = EADDRNOTAVAIL
			bind 198.51.100.1 = 0
			bind fe80::ff:fe00:1 dev d1 = 0
			to 198.51.100.9 = 198.51.100.1 away
		`),
	);

	it(
		"is the loopback device of its devices",
		inVrf(`
			ip addr add 2001:db8:9::1/128 dev red
			ip addr add ::1/128 dev red
			ip addr add 127.0.0.1/8 dev red
			bind 127.0.0.1 dev red = 0
			bind ::1 dev red = 0
			to 2001:db8:9::1 dev red = 2001:db8:9::1 on red
			ip link set red down
			to 192.0.2.1 dev d0 = 192.0.2.1 away
			to 2001:db8:1::1 dev d0 = 2001:db8:1::1 away
			to 192.0.2.1 dev red = ENETUNREACH
		`),
	);

	it("is entered by routes whose device it is", () => {
		const world = new Routes("6.1.176", VRF);
		world.play(`
			ip route add 192.0.2.0/24 dev red
			ip route add 2001:db8:1::/64 dev red
			to 192.0.2.1 = 192.0.2.1 on d0
			to 192.0.2.9 = 192.0.2.1 away
			to 2001:db8:1::1 = 2001:db8:1::1 on d0
			to 2001:db8:1::9 = 2001:db8:1::1 away
			to 192.0.2.1 src 198.51.100.1 = 198.51.100.1 on d0
			to 2001:db8:1::1 src 2001:db8:2::1 = 2001:db8:2::1 on d0
		`);
	});

	it("has no local address in a namespace that never had an address", () => {
		const world = new Routes("6.1.176", "");
		world.play(`
			ip link add red type vrf table 10
			ip link set red up
		`);
		const table = l3mdev_fib_table_by_index(world.net.net, world.index("red"));
		const type = (id: number) => inet_addr_type_table(world.net.net, 0xc0000201, id);
		expect([type(table), type(RT_TABLE_LOCAL)]).toEqual([RTN_UNICAST, RTN_BROADCAST]);
	});

	it("accepts no gateway of its own address", () => {
		const world = new Routes("6.1.176", VRF);
		world.play(`
			ip route add 9.0.0.0/8 via 192.0.2.1 dev d0 vrf red onlink = EINVAL
			ip route add 9.0.0.0/8 via 192.0.2.9 dev d0 vrf red onlink
		`);
	});

	it("accepts dummy devices only", () => {
		const world = new Routes("6.1.176", VRF);
		world.play(`
			ip link set lo master red = EOPNOTSUPP
			ip link add blue type vrf table 20
			ip link set blue master red = EINVAL
			ip link set d1 master d0 = EOPNOTSUPP
			ip link set d1 master green = ENODEV
			ip route add 2a00::/16 dev d0 vrf d1 = ENODEV
			ip link add blue type vrf table 30 = EEXIST
		`);
	});

	it("is the sdif of packets to global addresses, and not of packets to link-local addresses", () => {
		const world = new Routes("6.1.176", VRF);
		const sdif = (text: string) =>
			inet6_sdif(world.net.net, parseIpv6(text) ?? in6addr_any, 0, world.index("d0"));
		expect(sdif("2001:db8:1::1")).toBe(world.index("red"));
		expect(sdif("fe80::ff:fe00:0")).toBe(0);
	});

	const LEAK = `
		ip addr add 2001:db8:9::1/128 dev red
		ip addr add 203.0.113.1/32 dev red
		ip route add 2a00::/16 dev d1 vrf red
		ip route add 8.0.0.0/8 dev d1 vrf red
	`;

	it(
		"gives packets that leave it one of its own addresses as source, since 6.11",
		inVrf(`${LEAK}
			to 2a00::1 dev red = 2001:db8:9::1 away
			to 8.8.8.8 dev red = 203.0.113.1 away
		`),
	);

	it(
		"gives packets that leave it an address of the outgoing device as source, before 6.11",
		inVrf(
			`${LEAK}
			to 2a00::1 dev red = 2001:db8:2::1 away
			to 8.8.8.8 dev red = 198.51.100.1 away
		`,
			"6.3",
		),
	);
});

describe("an IPv4 address", () => {
	it(
		"is local on a device that is down, also if the device was up before",
		play(`
			ip addr add 192.0.2.1/24 dev d0
			bind 192.0.2.1 = 0
			to 192.0.2.9 = ENETUNREACH
			ip link set d0 up
			to 192.0.2.9 = 192.0.2.1 away
			ip link set d0 down
			to 192.0.2.9 = ENETUNREACH
			to 192.0.2.1 = 192.0.2.1 on d0
			ip link set lo down
			bind 127.0.0.1 = 0
			bind 127.0.0.2 = 0
			to 192.0.2.1 = 192.0.2.1 away
			ip link set d0 up
			to 192.0.2.9 = 192.0.2.1 away
		`),
	);

	it(
		"takes the routes that prefer it away with it, and the last address all routes of its device",
		play(`
			ip link set d0 up
			ip addr add 192.0.2.1/24 dev d0
			ip addr add 192.0.2.2/32 dev lo
			ip route add 8.0.0.0/8 dev d0 src 192.0.2.2
			ip route add 9.0.0.0/8 dev d0
			ip route add 9.0.0.0/8 dev d0 src 192.0.2.7 metric 5 = EINVAL
			to 8.8.8.8 = 192.0.2.2 away
			ip addr del 192.0.2.2/32 dev lo
			to 8.8.8.8 = ENETUNREACH
			to 9.9.9.9 = 192.0.2.1 away
			ip addr del 192.0.2.1/24 dev d0
			to 9.9.9.9 = ENETUNREACH
		`),
	);

	it(
		"takes the secondary addresses of its subnet away with it",
		play(`
			ip addr add 192.0.2.1/24 dev lo
			ip addr add 192.0.2.2/24 dev lo
			ip addr add 192.0.2.3/25 dev lo
			ip addr add 192.0.2.4/24 dev lo scope link = EINVAL
			ip addr add 192.0.2.1/24 dev lo = EEXIST
			ip addr del 192.0.2.1/24 dev lo
			bind 192.0.2.2 = 0
			bind 192.0.2.200 = EADDRNOTAVAIL
			ip addr del 192.0.2.3/25 dev lo
			bind 192.0.2.2 = EADDRNOTAVAIL
		`),
	);

	it(
		"is reached by the longest prefix of the local and main tables together until there is a VRF",
		play(`
			ip link set d0 up
			ip addr add 10.0.0.1/8 dev lo
			to 10.1.1.1 = 10.0.0.1 on lo
			ip route add 10.1.0.0/16 dev d0
			to 10.1.1.1 = 10.0.0.1 away
			ip route add blackhole 10.2.0.0/16
			to 10.2.1.1 = EINVAL
			bind 10.1.1.1 = EADDRNOTAVAIL
			ip link add red type vrf table 10
			to 10.1.1.1 = 10.0.0.1 on lo
			bind 10.1.1.1 = 0
		`),
	);

	it(
		"needs a route whose gateway is on a link",
		play(`
			ip link set d0 up
			ip addr add 192.0.2.1/24 dev d0
			ip route add 8.0.0.0/8 via 192.0.2.9
			ip route add 9.0.0.0/8 via 8.8.8.8 = ENETUNREACH
			ip route add 9.0.0.0/8 via 198.51.100.1 = ENETUNREACH
			ip route add 9.0.0.0/8 via 192.0.2.1 dev d0 onlink = EINVAL
			ip route add 9.0.0.0/8 via 198.51.100.1 dev d0 onlink
			ip route add 10.0.0.0/8 dev d1 = ENETDOWN
			ip route add 10.0.0.1/8 dev d0 = EINVAL
			ip route add blackhole 10.0.0.0/8 dev d0 = EINVAL
			ip route del 10.0.0.0/8 = ESRCH
			ip route replace 8.0.0.0/8 dev lo
			to 8.8.8.8 = 192.0.2.1 on lo
			ip route del 8.0.0.0/8 dev d0 = ESRCH
			ip route del 8.0.0.0/8 dev lo
			to 8.8.8.8 = ENETUNREACH
		`),
	);

	it(
		"needs host scope for a route of type local",
		play(`
			ip route add local 10.9.0.0/16 dev lo scope link = EINVAL
			ip route add local 10.9.0.0/16 dev lo scope global = EINVAL
			ip route add local 10.9.0.0/16 dev lo scope host
			bind 10.9.1.1 = 0
		`),
	);

	it("may be anything in a namespace that never had an address", () => {
		const world = new Routes("6.1.176", "");
		const type = () => inet_addr_type_table(world.net.net, 0xc0000201, RT_TABLE_LOCAL);
		expect(type()).not.toBe(RTN_LOCAL);
		const before = type();
		world.play("ip link set lo up");
		expect(type()).not.toBe(before);
	});
});

describe("sysctls of IPv6 and VRFs", () => {
	/** The contents of a file with value 16 (1 if its bounds are 0 and 1) after a write. */
	const cases: readonly [text: string, flag: number, bit: number][] = [
		["2", 2, -EINVAL],
		["255", 255, -EINVAL],
		["256", -EINVAL, -EINVAL],
		["-1", -EINVAL, -EINVAL],
		["-0", -EINVAL, -EINVAL],
		["1 2", 1, 1],
		["1,2", -EINVAL, -EINVAL],
		["0x10", 16, -EINVAL],
		["1x", -EINVAL, -EINVAL],
		["", 0, 0],
		["\n", -EINVAL, -EINVAL],
		["010", 8, -EINVAL],
		["4294967296", -EINVAL, -EINVAL],
	];
	for (const [name, which] of [
		["net.ipv6.bindv6only", 1],
		["net.ipv6.ip_nonlocal_bind", 1],
		["net.ipv4.ip_nonlocal_bind", 1],
		["net.ipv4.tcp_l3mdev_accept", 2],
		["net.ipv4.udp_l3mdev_accept", 2],
	] as const) {
		it(`accept the kernel's values for ${name}`, () => {
			for (const [text, ...values] of cases) {
				const { net } = new Routes("6.3", "");
				const value = values[which - 1];
				expect([text, net.setSysctl(name, text)]).toEqual([text, Math.min(value, 0)]);
				expect(net.getSysctl(name)).toBe(`${Math.max(value, 0)}\n`);
			}
		});
	}

	it("are found by name, and an unknown name gives ENOENT", () => {
		const { net } = new Routes();
		expect(isModelledSysctl("net.ipv6.bindv6only")).toBe(true);
		expect(isModelledSysctl("net.ipv6.ip_local_port_range")).toBe(false);
		expect(isModelledSysctl("net.ipv4.bindv6only")).toBe(false);
		expect(isModelledSysctl("net.ipv6.conf.all.forwarding")).toBe(false);
		expect(net.getSysctl("net.ipv6.nothing")).toBe(-ENOENT);
		expect(net.setSysctl("net.ipv6.nothing", "1")).toBe(-ENOENT);
	});
});

describe("a set-up command", () => {
	it("has the family that it names, else the family of its addresses", () => {
		const world = new Routes();
		world.play(`
			ip link set dev d0 up
			ip -6 addr add 2001:db8::1/64 dev d0 nodad
			ip addr add 192.0.2.1/24 brd + dev d0
			ip -6 route add default dev d0
			to 2a00::1 = 2001:db8::1 away
			to 8.8.8.8 = ENETUNREACH
			ip route add default dev d0
			to 8.8.8.8 = 192.0.2.1 away
			ip -4 route del default
			ip -6 route del default
			ip route add default via 2001:db8::9
			to 2a00::1 = 2001:db8::1 away
			ip -f inet6 route del default
			ip -family inet6 route del default = ENOENT
			ip route add to 2001:db8:5::1 dev lo proto static
			ip route add local 2001:db8:6::/64 dev lo
			ip route del local 2001:db8:6::/64
			sysctl -w net.ipv6.bindv6only=1 net/ipv6/ip_nonlocal_bind=1
		`);
		expect(world.net.getSysctl("net.ipv6.bindv6only")).toBe("1\n");
		expect(world.net.getSysctl("net.ipv6.ip_nonlocal_bind")).toBe("1\n");
	});

	it("that cannot be understood says what was expected", () => {
		const { run } = Routes.prototype;
		const world = new Routes();
		const cases: readonly [command: string, expected: string][] = [
			["ip addr add 2001:db8::1/129 dev lo", "an IPv6 prefix: 2001:db8::1/129"],
			["ip addr add 2001:db8::g/64 dev lo", "an IPv6 prefix: 2001:db8::g/64"],
			["ip addr add 192.0.2.1/33 dev lo", "an IPv4 prefix: 192.0.2.1/33"],
			["ip addr add 192.0.2.1/ dev lo", "an IPv4 prefix: 192.0.2.1/"],
			["ip route add 2001:db8::/64 via 192.0.2.1", "an IPv6 address: 192.0.2.1"],
			["ip route add 2001:db8::/64 dev lo table x", "a table: x"],
			["ip link add d2 address 1:2 type dummy", "a MAC address: 1:2"],
			["ip link add d2 type vrf table 0", "a table number"],
			["ip -n other link set lo up", "a command of this namespace"],
			[
				"sysctl -w net.ipv6.nothing=1",
				"one of net.ipv4.{ip_local_port_range,ip_local_reserved_ports",
			],
		];
		for (const [command, expected] of cases) {
			expect(run.call(world, command).slice(0, expected.length)).toBe(expected);
		}
	});
});
