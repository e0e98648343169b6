// SPDX-License-Identifier: GPL-2.0-or-later
/** UDP: sharing and choice of ports, and the socket that a datagram reaches. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Random } from "../../include/linux/random.js";
import type { ChangeName } from "../../include/linux/version.js";
import { ipv4_portaddr_hash } from "../../include/net/ip.js";
import { ipv6_portaddr_hash } from "../../include/net/ipv6.js";
import { UdpTable } from "../../include/net/udp.js";
import { RecordingObserver } from "../../kernel-model/check/observer.js";
import {
	AF_INET,
	AF_INET6,
	IP_LOCAL_PORT_RANGE,
	IP_RECVERR,
	IPPROTO_UDPLITE,
	Kernel,
	type NetNamespace,
	ReplayedRandom,
	SearchExplainer,
	SO_BINDTODEVICE,
	SO_BROADCAST,
	SO_ERROR,
	SOCK_DGRAM,
	SOL_IP,
	SOL_SOCKET,
} from "../../kernel-model/index.js";
import { formatIpv4, parseIpv4, parseIpv6 } from "../../kernel-model/machine/address.js";
import { udp4_lib_lookup, udpCandidate } from "../../net/ipv4/udp.js";
import { udp6_lib_lookup } from "../../net/ipv6/udp.js";
import {
	addressOf,
	ConstantRandom,
	outcome,
	TWO_DEVICES,
	UNSPEC,
	World,
	type WorldOptions,
} from "../world.js";

const TABLES = { ehash: 256, bhash: 256, lhash2: 256, udp: 256 };

/** A host that has no route to 203.0.113.0/24. */
const boot = (options?: WorldOptions) =>
	new World({ protocol: "udp", setup: TWO_DEVICES.slice(0, -1), tables: TABLES, ...options });

/** The descriptor whose socket a datagram from one address to another reaches, 0 if none. */
function reaches(world: World, from: string, to: string, dif = 1, sdif = 0): number {
	const k = world.kernel;
	const { net } = world.net;
	const [source, destination] = [addressOf(from), addressOf(to)];
	let sk: number;
	if (destination.family === "AF_INET") {
		const [saddr, daddr] = [parseIpv4(source.address) ?? 0, parseIpv4(destination.address) ?? 0];
		sk = udp4_lib_lookup(k, net, saddr, source.port, daddr, destination.port, dif, sdif);
	} else {
		const saddr = parseIpv6(source.address) ?? new Uint32Array(4);
		const daddr = parseIpv6(destination.address) ?? new Uint32Array(4);
		const { port } = destination;
		sk = udp6_lib_lookup(k, net, saddr, 0, source.port, daddr, 0, port, dif, sdif);
	}
	return world.task.socketDescriptors().find((fd) => world.sk(fd) === sk) ?? 0;
}

let w: World;
beforeEach(() => {
	w = boot();
});

describe("UDP's bind() to a port", () => {
	// Sockets that are bound first, the socket that is bound last, and its result.
	const CASES: readonly (readonly [before: string[], last: string, result: number | string])[] = [
		[[], "any:53", 0],
		[["any:53"], "any:54", 0],
		[["any:53"], "any:53", "EADDRINUSE"],
		[["any:53"], "127.0.0.1:53", "EADDRINUSE"],
		[["127.0.0.1:53"], "any:53", "EADDRINUSE"],
		[["127.0.0.1:53"], "127.0.0.2:53", 0],
		[["A any:53"], "any:53", "EADDRINUSE"],
		[["any:53"], "A any:53", "EADDRINUSE"],
		[["A any:53"], "A any:53", 0],
		[["A 127.0.0.1:53"], "A any:53", 0],
		[["P any:53"], "P any:53", 0],
		[["P any:53"], "A any:53", "EADDRINUSE"],
		[["P 127.0.0.1:53"], "P any:53", 0],
		// The first conflicting socket decides. Over IPv4 it is the last bound one ...
		[["127.0.0.1:53", "P 127.0.0.2:53"], "P any:53", 0],
		[["P 127.0.0.2:53", "127.0.0.1:53"], "P any:53", "EADDRINUSE"],
		// ... and over IPv6 the first one, because sockets with SO_REUSEPORT go to the end.
		[["[2001:db8::1]:53", "P [::1]:53"], "P [::]:53", "EADDRINUSE"],
		[["P [2001:db8::1]:53", "P [::1]:53"], "P [::]:53", 0],
		// Both families
		[["[::]:53"], "any:53", "EADDRINUSE"],
		[["6 [::]:53"], "any:53", 0],
		[["any:53"], "[::]:53", "EADDRINUSE"],
		[["any:53"], "6 [::]:53", 0],
		[["[::1]:53"], "any:53", 0],
		[["any:53"], "[::1]:53", 0],
		[["[::ffff:127.0.0.1]:53"], "127.0.0.1:53", "EADDRINUSE"],
		[["127.0.0.1:53"], "[::ffff:127.0.0.1]:53", "EADDRINUSE"],
		[["[::ffff:127.0.0.1]:53"], "127.0.0.2:53", 0],
		[["[::ffff:0.0.0.0]:53"], "127.0.0.1:53", "EADDRINUSE"],
		[["[::ffff:127.0.0.1]:53"], "6 [::]:53", 0],
		[["[::ffff:127.0.0.1]:53"], "[::]:53", "EADDRINUSE"],
	];
	for (const [before, last, result] of CASES) {
		it(`gives ${result} for ${last} after ${before.join(", ") || "nothing"}`, () => {
			for (const spec of before) w.bound(spec);
			expect(w.tryBind(last).result).toBe(result);
			w.kernel.verify();
		});
	}

	it("shares a port with SO_REUSEPORT among sockets of one user only", () => {
		const other = w.kernel.createTask({ net: w.net, uid: 1000 });
		w.bound("P any:5300");
		expect(w.tryBind("P any:5300", other).result).toBe("EADDRINUSE");
		expect(w.tryBind("P any:5300").result).toBe(0);
	});

	it("does not conflict with sockets of another device or of another namespace", () => {
		const onDummy = w.socket(AF_INET);
		w.task.setsockopt(onDummy, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode("dummy0"));
		const onLo = w.socket(AF_INET);
		w.task.setsockopt(onLo, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode("lo"));
		expect(w.task.bind(onDummy, addressOf("any:53"))).toBe(0);
		expect(w.task.bind(onLo, addressOf("any:53"))).toBe(0);
		expect(w.tryBind("any:53").result).toBe("EADDRINUSE");
		const elsewhere = w.kernel.createTask({ net: w.kernel.createNet() });
		expect(w.tryBind("any:53", elsewhere).result).toBe(0);
	});

	it("does not conflict with sockets of another namespace on the same chains", () => {
		const lo = 0x7f000001;
		const slot2 = (net: NetNamespace) => ipv4_portaddr_hash(net.net, lo, 53) & 0xff;
		let net = w.kernel.createNet();
		while (slot2(net) !== slot2(w.net)) net = w.kernel.createNet();
		const other = w.kernel.createTask({ net });
		w.bound("127.0.0.1:53");
		for (let i = 1; i <= 11; i++) w.bound(`127.0.1.${i}:53`, other);
		expect(w.tryBind("127.0.0.1:53", other).result).toBe(0);
		expect(w.tryBind("127.0.0.1:53", other).result).toBe("EADDRINUSE");
		w.kernel.verify();
	});

	it("counts ports of UDP and UDP-Lite separately", () => {
		w.bound("any:53");
		expect(w.tryBind("any:53", w.task, IPPROTO_UDPLITE).result).toBe(0);
		expect(w.tryBind("any:53", w.task, IPPROTO_UDPLITE).result).toBe("EADDRINUSE");
		w.kernel.verify();
	});

	describe("with more than ten sockets in the port's slot", () => {
		const crowd = (world: World, sockets: number) => {
			for (let i = 1; i <= sockets; i++) world.bound(`127.0.1.${i}:53`);
			return world;
		};
		it("on the wildcard misses conflicts with addresses before udp-wildcard-hash2-shortcut-fixed", () => {
			expect(crowd(w, 10).tryBind("any:53").result).toBe("EADDRINUSE");
			w = boot();
			expect(crowd(w, 11).tryBind("any:53").result).toBe(0);
			w = boot();
			expect(crowd(w, 11).tryBind("[::]:53").result).toBe(0);
			w.kernel.verify();
		});
		it("on the wildcard finds conflicts with addresses since udp-wildcard-hash2-shortcut-fixed", () => {
			const changes = ["udp-wildcard-hash2-shortcut-fixed"] as const;
			for (const to of ["any:53", "[::]:53", "[::ffff:0.0.0.0]:53"]) {
				w = boot({ changes });
				expect(crowd(w, 11).tryBind(to).result).toBe("EADDRINUSE");
			}
		});
		it("on an address finds conflicts with sockets of its device and of none", () => {
			const bind = (device: string, to: string) => {
				const fd = w.socket(AF_INET);
				w.task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode(device));
				return w.bind(fd, to);
			};
			for (let i = 1; i <= 11; i++) expect(bind("lo", `127.0.1.${i}:53`)).toBe(0);
			expect(bind("lo", "127.0.1.5:53")).toBe("EADDRINUSE");
			expect(bind("", "127.0.1.5:53")).toBe("EADDRINUSE");
			expect(bind("dummy0", "127.0.1.5:53")).toBe(0);
			w.bound("127.0.1.20:53");
			expect(bind("lo", "127.0.1.20:53")).toBe("EADDRINUSE");
		});
		it("on an address finds conflicts with sockets on the address and on the wildcard", () => {
			crowd(w, 11);
			expect(w.tryBind("127.0.1.5:53").result).toBe("EADDRINUSE");
			expect(w.tryBind("127.0.1.12:53").result).toBe(0);
			w.bound("any:53");
			expect(w.tryBind("127.0.1.13:53").result).toBe("EADDRINUSE");
			w.kernel.verify();
		});
	});
});

describe("UDP's search for a port", () => {
	it("begins at the port to which the draw is scaled", () => {
		// Seen on a kernel: this draw, this port. The first draw is the namespace's hash_mix.
		const random = new ReplayedRandom([
			{ kind: "u32", value: 0x12345678 },
			{ kind: "u32", value: 3224628135 },
		]);
		const kernel = new Kernel({ random });
		const task = kernel.createTask({ net: kernel.createNet() });
		const fd = task.socket(AF_INET, SOCK_DGRAM, 0);
		expect(task.bind(fd, addressOf("any:0"))).toBe(0);
		expect(task.getsockname(fd)).toMatchObject({ port: 53964 });
		expect(random.left).toBe(0);
	});

	it("continues within the port's chain, by an odd multiple of the table's size", () => {
		const random = new ConstantRandom();
		w = boot({ random });
		w.range(32768, 60999);
		w.bound("any:32768"); // where the draws 0 and 2 begin
		random.value = 0;
		const a = w.bound("any:0");
		expect(w.port(a)).toBe(32768 + 256);
		random.value = 2;
		const b = w.bound("any:0");
		expect(w.port(b)).toBe(32768 + 3 * 256);
	});

	it("continues with the chain of port 0 after the chain of port 65535", () => {
		const random = new ConstantRandom();
		w = boot({ random });
		for (let port = 65_535; port >= 60_000; port -= 256) w.bound(`any:${port}`);
		w.range(60_000, 65_535);
		random.value = 0xffffffff;
		expect(w.port(w.bound("any:0")) % 256).toBe(0);
	});

	it("finds every port of the range that is not reserved, and then fails", () => {
		w.range(40000, 40499);
		w.net.setSysctl("net.ipv4.ip_local_reserved_ports", "40100-40199");
		const ports = new Set<number>();
		for (let i = 0; i < 400; i++) ports.add(w.port(w.bound("any:0")));
		expect(ports.size).toBe(400);
		expect(Math.min(...ports)).toBe(40000);
		expect(Math.max(...ports)).toBe(40499);
		expect([...ports].filter((port) => port >= 40100 && port < 40200)).toEqual([]);
		expect(w.tryBind("any:0").result).toBe("EADDRINUSE");
		expect(w.tryBind("A any:0").result).toBe("EADDRINUSE");
		expect(w.connect(w.socket(AF_INET), "127.0.0.1:9")).toBe("EAGAIN");
		expect(w.sendto(w.socket(AF_INET), 1, "127.0.0.1:9")).toBe("EAGAIN");
		expect(w.tryBind("any:0", w.task, IPPROTO_UDPLITE).result).toBe(0);
		expect(w.tryBind("6 [::]:0").result).toBe(0);
		w.kernel.verify();
	});

	it("stays inside IP_LOCAL_PORT_RANGE", () => {
		const ports = new Set<number>();
		for (let i = 0; i < 3; i++) {
			const fd = w.socket(AF_INET);
			w.task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, (50002 << 16) | 50000);
			expect(w.task.bind(fd, addressOf("any:0"))).toBe(0);
			ports.add(w.port(fd));
		}
		expect([...ports].sort()).toEqual([50000, 50001, 50002]);
	});

	it("shares a port with SO_REUSEADDR, unlike TCP's search", () => {
		w.range(40000, 40000);
		w.bound("A any:0");
		expect(w.tryBind("any:0").result).toBe("EADDRINUSE");
		expect(w.tryBind("A any:0").result).toBe(0);
	});

	/**
	 * Sockets that leave a handful of ports, spread over chains with several ports of the range.
	 */
	function occupied(low: number, high: number, free: ReadonlySet<number>, random: Random): World {
		const world = boot({ random });
		for (let port = low; port <= high; port++) {
			if (!free.has(port)) world.bound(`any:${port}`);
		}
		world.range(low, high);
		return world;
	}

	it("can end at each acceptable port, and at no other, whatever is drawn", () => {
		const random = new ConstantRandom();
		for (const [low, high, free] of [
			[40000, 40006, [40003]],
			[40000, 40007, [40000, 40001, 40006]],
			[40000, 40600, [40005, 40100, 40261, 40517, 40600]],
		] as const) {
			const world = occupied(low, high, new Set(free), random);
			world.net.setSysctl("net.ipv4.ip_local_reserved_ports", String(free[0]));
			const reached = new Set<number>();
			const span = high - low + 1;
			for (let offset = 0; offset < span; offset++) {
				// On a few offsets, every stride in which a chain of 256 ports can be walked.
				const strides = span < 10 || offset % 60 === 0 ? 128 : 2;
				const least = Math.ceil((offset * 0x100000000) / span);
				for (let i = 0; i < strides; i++) {
					random.value = least + 2 * i;
					const { fd, result } = world.tryBind("any:0");
					if (result === 0) reached.add(world.port(fd));
					else reached.add(0);
					world.task.close(fd);
				}
			}
			const acceptable = free.slice(1);
			expect([...reached].sort()).toEqual(acceptable.length > 0 ? acceptable : [0]);
		}
	});

	it("can be steered to an observed port exactly if the port is acceptable", () => {
		const [low, high] = [40000, 40600];
		const free = new Set([40005, 40100, 40261, 40517, 40600]);
		const world = occupied(low, high, free, new ConstantRandom());
		world.net.setSysctl("net.ipv4.ip_local_reserved_ports", "40100");
		const k = world.kernel;
		const observer = new RecordingObserver(k, new Set());
		k.draws = observer;
		for (let port = low - 1; port <= high + 1; port++) {
			observer.expect({ port, exhausted: false, remote: null });
			const fd = world.bound("any:0");
			const possible = free.has(port) && port !== 40100;
			expect(world.port(fd) === port).toBe(possible);
			world.task.close(fd);
			const other = world.socket(AF_INET);
			expect(udpCandidate(k, world.net.net, world.sk(other), port) === 0).toBe(
				possible || port < low || port > high,
			);
			world.task.close(other);
		}
		// A guessed port avoids the ports that the recording names.
		k.draws = new RecordingObserver(k, new Set([40600]));
		expect(world.port(world.bound("any:0"))).toBe(40517);
	});

	it("is explained by its range, its start and the ports that it passed over", () => {
		const random = new ConstantRandom();
		w = boot({ random });
		w.range(40000, 40001);
		w.net.setSysctl("net.ipv4.ip_local_reserved_ports", "40001");
		const fd = w.bound("any:40000");
		const explainer = new SearchExplainer(w.kernel);
		w.kernel.trace = explainer;
		expect(w.tryBind("any:0").result).toBe("EADDRINUSE");
		expect(explainer.lines).toEqual([
			"udp bind searches 40000-40001 (the namespace's)",
			"2 ports from 40000",
			"2 ports passed over: 1 conflict, 1 reserved",
			`  e.g. port 40000 conflicts with fd ${fd} (0.0.0.0:40000 CLOSE): not both have SO_REUSEADDR, nor both SO_REUSEPORT`,
			"of the 2 ports 40000-40001 at this moment: 0 free, 1 taken, 1 reserved",
			"udp_lib_get_port: no port is left",
		]);
		explainer.lines = [];
		w.range(40000, 40002);
		w.tryBind("127.0.0.2:0");
		expect(explainer.lines.slice(2, 3)).toEqual(["2 ports passed over: 1 conflict, 1 reserved"]);
		expect(explainer.lines.at(-1)).toBe("chose 40002");
		explainer.lines = [];
		w.tryBind("127.0.0.1:40000");
		w.tryBind("127.0.0.1:40001");
		expect(explainer.lines).toEqual([
			`udp_lib_lport_inuse: port 40000 conflicts with fd ${fd} (0.0.0.0:40000 CLOSE): not both have SO_REUSEADDR, nor both SO_REUSEPORT`,
			"udp bind: no socket on port 40001 conflicts",
		]);
	});
});

describe("UDP's lookup", () => {
	it("prefers a socket on the address to a wildcard socket, and a connected socket to both", () => {
		const any = w.bound("A any:53");
		expect(reaches(w, "192.0.2.1:9", "127.0.0.1:53")).toBe(any);
		expect(reaches(w, "192.0.2.1:9", "127.0.0.1:54")).toBe(0);
		const specific = w.bound("A 127.0.0.1:53");
		expect(reaches(w, "192.0.2.1:9", "127.0.0.1:53")).toBe(specific);
		expect(reaches(w, "192.0.2.1:9", "127.0.0.2:53")).toBe(any);
		const connected = w.bound("A 127.0.0.1:53");
		expect(w.connect(connected, "192.0.2.1:9")).toBe(0);
		expect(reaches(w, "192.0.2.1:9", "127.0.0.1:53")).toBe(connected);
		expect(reaches(w, "192.0.2.1:10", "127.0.0.1:53")).toBe(specific);
		expect(reaches(w, "127.0.0.1:9", "127.0.0.1:53")).toBe(specific);
	});

	it("takes the socket that was bound last among equals", () => {
		w.bound("A any:53");
		const last = w.bound("A any:53");
		expect(reaches(w, "127.0.0.1:9", "127.0.0.1:53")).toBe(last);
		w.bound("A [::1]:54");
		const last6 = w.bound("A [::1]:54");
		expect(reaches(w, "[::1]:9", "[::1]:54")).toBe(last6);
	});

	it("prefers an AF_INET socket over IPv4, and passes over sockets with IPV6_V6ONLY", () => {
		const dual = w.bound("A [::]:53");
		expect(reaches(w, "127.0.0.1:9", "127.0.0.1:53")).toBe(dual);
		const four = w.bound("A any:53");
		w.bound("A [::]:53");
		expect(reaches(w, "127.0.0.1:9", "127.0.0.1:53")).toBe(four);
		const six = w.bound("6 [::]:54");
		expect(reaches(w, "127.0.0.1:9", "127.0.0.1:54")).toBe(0);
		expect(reaches(w, "[::1]:9", "[::1]:54")).toBe(six);
		const mapped = w.bound("[::ffff:127.0.0.1]:55");
		expect(reaches(w, "192.0.2.1:9", "127.0.0.1:55")).toBe(mapped);
		expect(reaches(w, "[::1]:9", "[::1]:55")).toBe(0);
	});

	it("prefers a socket on the device, and checks udp_l3mdev_accept for packets of a VRF", () => {
		const any = w.bound("A any:53");
		const fd = w.socket(AF_INET, "A");
		w.task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode("dummy0"));
		w.task.bind(fd, addressOf("any:53"));
		expect(reaches(w, "192.0.2.1:9", "198.51.100.1:53", 2)).toBe(fd);
		expect(reaches(w, "192.0.2.1:9", "198.51.100.1:53", 1)).toBe(any);
		expect(reaches(w, "192.0.2.1:9", "198.51.100.1:53", 7, 2)).toBe(fd);
		expect(reaches(w, "192.0.2.1:9", "198.51.100.1:53", 7, 8)).toBe(0);
		w.net.net.ipv4.sysctl_udp_l3mdev_accept = 1;
		expect(reaches(w, "192.0.2.1:9", "198.51.100.1:53", 7, 8)).toBe(any);
	});

	it("spreads datagrams over a reuseport group by their sender", () => {
		const members = [1, 2, 3, 4].map(() => w.bound("P any:53"));
		const counts = new Map(members.map((fd) => [fd, 0]));
		for (let port = 1; port <= 400; port++) {
			const fd = reaches(w, `192.0.2.1:${port}`, "127.0.0.1:53");
			expect(reaches(w, `192.0.2.1:${port}`, "127.0.0.1:53")).toBe(fd);
			counts.set(fd, (counts.get(fd) ?? 0) + 1);
		}
		for (const fd of members) expect(counts.get(fd)).toBeGreaterThan(50);
		w.task.close(members[0]);
		for (let port = 1; port <= 50; port++) {
			expect(members.slice(1)).toContain(reaches(w, `192.0.2.1:${port}`, "127.0.0.1:53"));
		}
		const six = [1, 2, 3].map(() => w.bound("P [::1]:54"));
		const reached = new Set<number>();
		for (let port = 1; port <= 100; port++) reached.add(reaches(w, `[::1]:${port}`, "[::1]:54"));
		expect([...reached].sort()).toEqual(six);
		w.kernel.verify();
	});

	it("finds connected members of a group for their own peers only", () => {
		const members = [1, 2, 3].map(() => w.bound("P 127.0.0.1:53"));
		expect(w.connect(members[1], "192.0.2.1:7")).toBe(0);
		expect(reaches(w, "192.0.2.1:7", "127.0.0.1:53")).toBe(members[1]);
		for (let port = 100; port < 150; port++) {
			const fd = reaches(w, `192.0.2.1:${port}`, "127.0.0.1:53");
			expect([members[0], members[2]]).toContain(fd);
		}
	});

	it("does not find a socket by a group that it left because its address or device changed", () => {
		const [a, b] = [w.bound("P any:53"), w.bound("P any:53")];
		const group = () => w.kernel.reuseport.size;
		expect(group()).toBe(1);
		expect(w.connect(b, "127.0.0.1:9")).toBe(0); // its address is 127.0.0.1 now
		expect(w.kernel.sock.sk_reuseport_cb[w.sk(b)]).toBe(0);
		w.task.setsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, new TextEncoder().encode("lo"));
		expect(group()).toBe(0);
		w.kernel.verify();
	});

	it("scores the member that a group chooses only with udp-reuseport-rescored", () => {
		const lo = new TextEncoder().encode("lo");
		const reached = (changes: readonly ChangeName[]): Set<string> => {
			w = boot({ changes });
			const onLo = (flags: string) => {
				const fd = w.socket(AF_INET, flags);
				w.task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, lo);
				expect(w.task.bind(fd, addressOf("127.0.0.1:53"))).toBe(0);
				return fd;
			};
			const member = onLo("AP");
			const single = onLo("A");
			// It is in the group, but without its device, so it scores less. It is found first.
			const first = onLo("AP");
			w.connect(first, "127.0.0.1:9");
			w.dissolve(first);
			const names = new Map([
				[member, "member"],
				[single, "single"],
				[first, "first"],
			]);
			const found = new Set<string>();
			for (let port = 1; port <= 50; port++) {
				found.add(names.get(reaches(w, `192.0.2.1:${port}`, "127.0.0.1:53")) ?? "none");
			}
			return found;
		};
		expect(reached([])).toEqual(new Set(["single"]));
		expect(reached(["udp-reuseport-rescored"])).toEqual(new Set(["member", "single"]));
	});
});

describe("UDP's connect()", () => {
	it("chooses a port and a source address, and connect() to AF_UNSPEC gives up what bind() did not name", () => {
		const fd = w.socket(AF_INET);
		expect(w.connect(fd, "198.51.100.1:53")).toBe(0);
		const port = w.port(fd);
		expect(port).toBeGreaterThanOrEqual(32768);
		expect(w.name(fd)).toBe(`198.51.100.1:${port}`);
		expect(w.dissolve(fd)).toBe(0);
		expect(w.name(fd)).toBe("0.0.0.0:0");
		const named = w.bound("any:5000");
		w.connect(named, "127.0.0.1:53");
		expect(w.name(named)).toBe("127.0.0.1:5000");
		w.dissolve(named);
		expect(w.name(named)).toBe("0.0.0.0:5000");
		expect(reaches(w, "127.0.0.1:1", "127.0.0.2:5000")).toBe(named);
		const placed = w.bound("127.0.0.1:0");
		w.connect(placed, "127.0.0.1:53");
		w.dissolve(placed);
		expect(w.name(placed)).toBe("127.0.0.1:0");
		w.kernel.verify();
	});

	it("may be repeated, keeps the source address, and accepts port 0", () => {
		const fd = w.socket(AF_INET);
		expect(w.connect(fd, "127.0.0.1:53")).toBe(0);
		const name = w.name(fd);
		expect(w.connect(fd, "127.0.0.2:0")).toBe(0);
		expect(w.name(fd)).toBe(name);
	});

	it("of an AF_INET6 socket follows the family of the destination", () => {
		const fd = w.bound("[::]:5000");
		expect(w.connect(fd, "[2001:db8::1]:53")).toBe(0);
		expect(w.name(fd)).toBe("[2001:db8::1]:5000");
		expect(w.dissolve(fd)).toBe(0);
		expect(w.name(fd)).toBe("[::]:5000");
		expect(w.connect(fd, "[::ffff:127.0.0.1]:53")).toBe(0);
		expect(w.name(fd)).toBe("[::ffff:127.0.0.1]:5000");
		// An IPv4 address cannot reach an IPv6 address.
		expect(w.connect(fd, "[::1]:53")).toBe("EAFNOSUPPORT");
		w.dissolve(fd);
		expect(w.connect(fd, "127.0.0.1:53")).toBe(0);
		const only = w.bound("6 [::]:5001");
		expect(w.connect(only, "[::ffff:127.0.0.1]:53")).toBe("ENETUNREACH");
		expect(w.connect(only, "127.0.0.1:53")).toBe("EAFNOSUPPORT");
		w.kernel.verify();
	});

	it("of an AF_INET6 socket still restricts lookups to the peer after it is dissolved", () => {
		const fd = w.bound("[::]:5000");
		w.connect(fd, "[2001:db8::1]:53");
		w.dissolve(fd);
		expect(reaches(w, "[2001:db8::1]:1", "[::1]:5000")).toBe(fd);
		expect(reaches(w, "[::1]:1", "[::1]:5000")).toBe(0);
	});

	it("refuses addresses that are too short, unknown, unreachable or broadcast", () => {
		const fd = w.socket(AF_INET);
		const { task } = w;
		expect(outcome(task.connect(fd, addressOf("127.0.0.1:53"), 15))).toBe("EINVAL");
		expect(outcome(task.connect(fd, addressOf("127.0.0.1:53"), 1))).toBe("EINVAL");
		expect(outcome(task.connect(fd, { ...UNSPEC, family: "AF_OTHER" }))).toBe("EAFNOSUPPORT");
		// The port was chosen before the address was checked.
		expect(w.port(fd)).not.toBe(0);
		expect(w.connect(fd, "203.0.113.1:53")).toBe("ENETUNREACH");
		expect(w.connect(fd, "127.255.255.255:53")).toBe("EACCES");
		task.setsockopt(fd, SOL_SOCKET, SO_BROADCAST, 1);
		expect(w.connect(fd, "127.255.255.255:53")).toBe(0);
		const six = w.socket(AF_INET6);
		expect(outcome(task.connect(six, addressOf("[::1]:53"), 23))).toBe("EINVAL");
		expect(outcome(task.connect(six, addressOf("[::1]:53"), 24))).toBe(0);
		expect(w.connect(six, "[fe80::1]:53")).toBe("EINVAL");
	});
});

describe("datagrams", () => {
	it("arrive whole, in order, at the socket of their destination", () => {
		const server = w.bound("127.0.0.1:53");
		const client = w.socket(AF_INET);
		expect(w.recv(server)).toBe("EAGAIN");
		expect(w.sendto(client, 100, "127.0.0.1:53")).toBe(100);
		expect(w.sendto(client, 0, "127.0.0.1:53")).toBe(0);
		expect(w.sendto(client, 300, "127.0.0.1:53")).toBe(300);
		expect(w.recv(server, 50)).toBe(50);
		expect(w.recv(server)).toBe(0);
		expect(w.recv(server)).toBe(300);
		expect(w.recv(server)).toBe("EAGAIN");
		expect(outcome(w.task.recv(server, 1, false))).toBe("ERESTARTSYS");
		const dual = w.bound("[::]:54");
		expect(w.sendto(client, 7, "192.0.2.1:54")).toBe(7);
		expect(w.recv(dual)).toBe(7);
		expect(w.sendto(dual, 8, "[::ffff:127.0.0.1]:53")).toBe(8);
		expect(w.recv(server)).toBe(8);
		expect(w.sendto(w.socket(AF_INET6), 9, "[2001:db8::1]:54")).toBe(9);
		expect(w.recv(dual)).toBe(9);
		w.kernel.verify();
	});

	it("to a port without a socket give a connected sender one error", () => {
		for (const [family, to] of [
			[AF_INET, "127.0.0.1:9"],
			[AF_INET6, "[::1]:9"],
			[AF_INET6, "[::ffff:127.0.0.1]:9"],
		] as const) {
			const fd = w.socket(family);
			expect(w.connect(fd, to)).toBe(0);
			expect(w.sendto(fd, 1, null)).toBe(1);
			expect(w.sendto(fd, 70_000, null)).toBe("EMSGSIZE");
			expect(w.sendto(fd, 1, null)).toBe("ECONNREFUSED");
			expect(w.sendto(fd, 1, null)).toBe(1);
			expect(w.recv(fd)).toBe("ECONNREFUSED");
			expect(w.recv(fd)).toBe("EAGAIN");
			w.sendto(fd, 1, null);
			expect(w.task.getsockopt(fd, SOL_SOCKET, SO_ERROR)).toEqual(Uint8Array.of(111, 0, 0, 0));
			expect(w.sendto(fd, 1, null)).toBe(1);
		}
		const unconnected = w.socket(AF_INET);
		expect(w.sendto(unconnected, 1, "127.0.0.1:9")).toBe(1);
		expect(w.sendto(unconnected, 1, "127.0.0.1:9")).toBe(1);
		w.task.setsockopt(unconnected, SOL_IP, IP_RECVERR, 1);
		expect(w.sendto(unconnected, 1, "127.0.0.1:9")).toBe(1);
		expect(w.sendto(unconnected, 1, "127.0.0.1:9")).toBe("ECONNREFUSED");
	});

	it("go to the address of a connect() that failed from the second send on", () => {
		// The connect() left its address in the cached route.
		const server = w.bound("127.0.0.1:53");
		const other = w.bound("any:60");
		const fd = w.socket(AF_INET);
		expect(w.connect(fd, "127.0.0.1:53")).toBe(0);
		expect(w.connect(fd, "127.255.255.255:54")).toBe("EACCES");
		for (const size of [1, 2, 3]) expect(w.sendto(fd, size, null)).toBe(size);
		expect([w.recv(server), w.recv(server)]).toEqual([1, "EAGAIN"]);
		expect(w.connect(fd, "203.0.113.9:60")).toBe("ENETUNREACH");
		for (const size of [4, 5, 6]) expect(w.sendto(fd, size, null)).toBe(size);
		expect([w.recv(server), w.recv(server)]).toEqual([4, "EAGAIN"]);
		expect([w.recv(other), w.recv(other)]).toEqual([5, 6]);
		expect(w.connect(fd, "127.0.0.1:53")).toBe(0);
		for (const size of [7, 8]) expect(w.sendto(fd, size, null)).toBe(size);
		expect([w.recv(server), w.recv(server)]).toEqual([7, 8]);
	});

	it("go to the one of two equal connected sockets that has received on this CPU before", () => {
		const twin = () => {
			const fd = w.bound("A 127.0.0.1:70");
			expect(w.connect(fd, "127.0.0.1:71")).toBe(0);
			return fd;
		};
		const [first, sender, second] = [twin(), w.bound("127.0.0.1:71"), twin()];
		w.sendto(sender, 1, "127.0.0.1:70");
		expect([w.recv(first), w.recv(second)]).toEqual(["EAGAIN", 1]);
		w.task.close(second);
		w.sendto(sender, 2, "127.0.0.1:70");
		expect(w.recv(first)).toBe(2);
		const third = twin();
		w.sendto(sender, 3, "127.0.0.1:70");
		expect([w.recv(first), w.recv(third)]).toEqual([3, "EAGAIN"]);
	});

	it("have a largest size, and larger ones give EMSGSIZE", () => {
		const four = w.socket(AF_INET);
		expect(w.sendto(four, 65_507, "127.0.0.1:9")).toBe(65_507);
		expect(w.sendto(four, 65_508, "127.0.0.1:9")).toBe("EMSGSIZE");
		expect(w.sendto(four, 65_536, "127.0.0.1:9")).toBe("EMSGSIZE");
		const six = w.socket(AF_INET6);
		expect(w.sendto(six, 65_527, "[::1]:9")).toBe(65_527);
		expect(w.sendto(six, 65_528, "[::1]:9")).toBe("EMSGSIZE");
	});

	it("need a destination, a route, and SO_BROADCAST for a broadcast address", () => {
		const fd = w.socket(AF_INET);
		expect(w.sendto(fd, 1, null)).toBe("EDESTADDRREQ");
		expect(w.port(fd)).not.toBe(0);
		expect(w.sendto(fd, 1, "127.0.0.1:0")).toBe("EINVAL");
		expect(outcome(w.task.sendto(fd, 1, addressOf("127.0.0.1:9"), 15))).toBe("EINVAL");
		expect(w.sendto(fd, 1, "[::1]:9")).toBe("EAFNOSUPPORT");
		expect(w.sendto(fd, 1, "203.0.113.1:9")).toBe("ENETUNREACH");
		expect(w.sendto(fd, 1, "127.255.255.255:9")).toBe("EACCES");
		w.task.setsockopt(fd, SOL_SOCKET, SO_BROADCAST, 1);
		expect(w.sendto(fd, 1, "127.255.255.255:9")).toBe(1);
		const six = w.socket(AF_INET6);
		expect(w.sendto(six, 1, null)).toBe("EDESTADDRREQ");
		expect(w.sendto(six, 1, "[::1]:0")).toBe("EINVAL");
		expect(w.sendto(six, 1, "[2001:db8:ffff::1]:9")).toBe("ENETUNREACH");
		expect(outcome(w.task.sendto(six, 1, UNSPEC))).toBe("EDESTADDRREQ");
		const only = w.socket(AF_INET6, "6");
		expect(w.sendto(only, 1, "[::ffff:127.0.0.1]:9")).toBe("ENETUNREACH");
		expect(w.sendto(only, 1, "127.0.0.1:9")).toBe("ENETUNREACH");
	});

	it("to the wildcard go to the own host", () => {
		const server = w.bound("any:53");
		expect(w.sendto(server, 5, "any:53")).toBe(5);
		expect(w.recv(server)).toBe(5);
		const six = w.bound("6 [::]:53");
		expect(w.sendto(six, 6, "[::]:53")).toBe(6);
		expect(w.recv(six)).toBe(6);
		const mapped = w.bound("[::ffff:127.0.0.1]:54");
		expect(w.sendto(mapped, 7, "[::]:54")).toBe(7);
		expect(w.recv(mapped)).toBe(7);
	});

	it("cannot be sent after shutdown(SHUT_WR), and a blocking receive returns 0 after shutdown(SHUT_RD)", () => {
		const fd = w.bound("127.0.0.1:53");
		expect(outcome(w.task.shutdown(fd, 0))).toBe("ENOTCONN");
		expect(w.recv(fd)).toBe("EAGAIN");
		expect(w.task.recv(fd, 1, false)).toBe(0);
		expect(w.sendto(fd, 1, "127.0.0.1:53")).toBe(1);
		expect(w.recv(fd)).toBe(1);
		expect(outcome(w.task.shutdown(fd, 1))).toBe("ENOTCONN");
		expect(w.sendto(fd, 1, "127.0.0.1:53")).toBe("EPIPE");
	});

	it("that wait are dropped when the socket is closed", () => {
		const fd = w.bound("127.0.0.1:53");
		w.sendto(fd, 1, "127.0.0.1:53");
		w.task.close(fd);
		const again = w.bound("127.0.0.1:53");
		expect(w.recv(again)).toBe("EAGAIN");
		w.sendto(again, 1, "127.0.0.1:53");
		w.task.exit();
		w.kernel.verify();
		expect(w.kernel.sock.used).toBe(0);
		const { udp_table } = w.kernel;
		expect([udp_table.receive_queue.size, w.kernel.sock.cork_fl.size]).toEqual([0, 0]);
	});
});

describe("UDP's tables", () => {
	it("have only sizes that a kernel can have", () => {
		expect(new UdpTable().mask).toBe(16_383);
		expect(new UdpTable(65_536).log).toBe(16);
		for (const size of [128, 300, 131_072, 0.5])
			expect(() => new UdpTable(size)).toThrow(RangeError);
		expect(() => new Kernel({ tables: { udp: 1000 } })).toThrow(RangeError);
	});

	it("hash the wildcard of IPv6 as the v4-mapped wildcard", () => {
		const { net } = w.net;
		const any = ipv6_portaddr_hash(net, new Uint32Array(4), 0, 53);
		const mapped = ipv6_portaddr_hash(
			net,
			parseIpv6("::ffff:0.0.0.0") ?? new Uint32Array(4),
			0,
			53,
		);
		expect(mapped).toBe(any);
		expect(formatIpv4(0)).toBe("0.0.0.0");
	});
});
