// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Groups of SO_REUSEPORT: their members, the member that gets a packet, and the preference for an
 * address over the wildcard. After the kernel's reuseport_addr_any.c.
 */
import { describe, expect, it } from "vitest";
import { reciprocal_scale } from "../../../include/linux/math.js";
import { __inet_ehashfn } from "../../../include/net/inet_sock.js";
import { NotModelled } from "../../../kernel-model/index.js";
import { type Kind, kindsOf, lines, names, rule, World } from "../../world.js";

/** Wildcards of both families before and after the socket on the address. */
const CROWD = ["", "", "6", "6", "own", "", "", "6", "6"] as const;

describe("reuseport_addr_any", () => {
	for (const protocol of ["udp", "udplite", "tcp", "mptcp"]) {
		for (const [title, family, address, to] of [
			["IPv4", "", "127.0.0.1", "127.0.0.1"],
			["IPv6", "6", "[::1]", "[::1]"],
			["IPv4 mapped to IPv6", "6", "[::ffff:127.0.0.1]", "127.0.0.1"],
		] as const) {
			const sockets = names("a", CROWD.length);
			const dgram = protocol.startsWith("udp");
			const client = `${protocol}${to.startsWith("[") ? "6" : ""} c`;
			const any = to.startsWith("[") ? "[::]" : "0.0.0.0";
			rule(
				`reuseport_addr_any: ${protocol} ${title}: the socket on the address receives, not a wildcard`,
				`
				${lines(CROWD, (at, i) => {
					const kind = protocol + (at === "own" ? family : at);
					const where = at === "own" ? address : at === "" ? "0.0.0.0" : "[::]";
					return `
						${kind} a${i} with SO_REUSEPORT
						a${i} bind ${where}:8888
						${dgram ? "" : `a${i} listen 10`}
					`;
				})}
				${client}
				c bind ${any}:0
				c connect ${to}:8888
				${dgram ? "c send = 1" : ""}
				heard ${sockets.join(" ")} = a4
				heard ${sockets.join(" ")} = nobody
				`,
			);
		}
	}
});

describe("a datagram", () => {
	// From the best match to the worst. The first existing socket gets it.
	const PLACES = {
		"127.0.0.1": [
			"connected",
			"on the device and the address",
			"on the address",
			"v4-mapped on the address",
			"on the device",
			"on the wildcard",
			"on the wildcard of IPv6",
		],
		"[::1]": [
			"connected",
			"on the device and the address",
			"on the address",
			"on the device",
			"on the wildcard",
		],
	};
	for (const protocol of ["udp", "udplite"]) {
		for (const [to, places] of Object.entries(PLACES)) {
			const six = to === "[::1]" ? "6" : "";
			const wildcard = six === "" ? "0.0.0.0" : "[::]";
			const made = (title: string, name: string) => {
				const family = title.includes("mapped") || title.includes("of IPv6") ? "6" : six;
				const host = title.includes("mapped")
					? "[::ffff:127.0.0.1]"
					: title.includes("of IPv6")
						? "[::]"
						: title.includes("address") || title === "connected"
							? to
							: wildcard;
				return `
					${protocol}${family} ${name} with SO_REUSEADDR
					${title.includes("device") ? `${name} device lo` : ""}
					${name} bind ${host}:8888
					${title === "connected" ? `${name} connect ${to}:7777` : ""}
				`;
			};
			for (const order of ["from best to worst", "from worst to best"]) {
				const sockets = names("a", places.length);
				const rows = places.map((title, i) => made(title, `a${i}`));
				if (order === "from worst to best") rows.reverse();
				rule(
					`of ${protocol} to ${to} reaches the socket that matches best, also if the sockets are made ${order}`,
					`
					${protocol}${six} c
					c bind ${to}:7777
					${rows.join("\n")}
					${lines(sockets, (a, i) => `c send ${to}:8888 = 1\nheard ${sockets.slice(i).join(" ")} = ${a}\nclose ${a}`)}
					`,
				);
			}
		}
	}
	for (const { name, lo } of kindsOf("udp", "udplite")) {
		rule(
			`of ${name} reaches the socket that was bound last of those with SO_REUSEADDR`,
			`
			${name} a b c with SO_REUSEADDR
			a bind ${lo}:8888
			b bind ${lo}:8888
			c bind ${lo}:8888
			${name} s
			s send ${lo}:8888 = 1
			s send ${lo}:8888 = 1
			heard a b c = c
			heard a b c = c
			close c
			s send ${lo}:8888 = 1
			heard a b = b
			`,
		);
	}
});

const joins = (kind: Kind, first: string, second: string, answer = "0") => `
	${kind.name} a with SO_REUSEPORT
	a bind ${first}:5000
	${kind.name} b with SO_REUSEPORT
	b bind ${second}:5000 = ${answer}
	close a b
`;

describe.each(kindsOf("tcp", "udp", "udplite", "mptcp", "dccp", "sctp"))(
	"SO_REUSEPORT of a $name socket",
	(kind) => {
		const { name, lo, any, protocol } = kind;
		const dgram = protocol.startsWith("udp");
		rule(
			`${name}: lets sockets of one user share a port on an address, on the wildcard, and on both`,
			lines(
				[
					[0, 0],
					[1000, 1000],
					[0, 1000],
					[1000, 0],
					[1000, 1001],
				],
				([mine, yours]) =>
					lines(
						[
							[lo, lo],
							[any, any],
							[any, lo],
							[lo, any],
						],
						([first, second]) => `
							user ${mine}
							${name} a with SO_REUSEPORT
							a bind ${first}:5000
							user ${yours}
							${name} b with SO_REUSEPORT
							b bind ${second}:5000 = ${mine === yours ? "0" : "EADDRINUSE"}
							close a b
							user 0
						`,
					),
			),
		);
		rule(
			`${name}: does not keep two users from sharing a port by SO_REUSEADDR${dgram ? "" : ", until one listens"}`,
			`
			user 1000
			${name} a with SO_REUSEADDR SO_REUSEPORT
			a bind ${lo}:5000
			user 1001
			${name} b c with SO_REUSEADDR SO_REUSEPORT
			b bind ${lo}:5000
			${dgram ? "" : "a listen 1\nb listen 1 = EADDRINUSE"}
			# listen() does not change SCTP's bucket.
			c bind ${lo}:5000${dgram || protocol === "sctp" ? "" : " = EADDRINUSE"}
			`,
		);
		rule(
			`${name}: is checked on both sockets at the time of bind()`,
			`
			${name} a b c
			a bind ${lo}:5000
			b set SO_REUSEPORT 1
			b bind ${lo}:5000 = EADDRINUSE
			# The bucket does not have the new value, but bind() checks each socket.
			a set SO_REUSEPORT 1
			b bind ${lo}:5000
			# TCP has noted b in the bucket. UDP checks the first of a chain, where sockets of AF_INET6
			# with SO_REUSEPORT come last. SCTP checks all.
			a set SO_REUSEPORT 0
			c set SO_REUSEPORT 1
			c bind ${lo}:5000${protocol === "sctp" || (dgram && kind.family === 6) ? " = EADDRINUSE" : ""}
			${name} d
			d bind ${lo}:5000 = EADDRINUSE
			`,
		);
		rule(
			`${name}: lets no socket share a port that has only SO_REUSEADDR`,
			`
			${name} a with SO_REUSEPORT
			a bind ${lo}:5000
			${name} b with SO_REUSEADDR
			b bind ${lo}:5000 = EADDRINUSE
			close a b
			${joins(kind, lo, lo)}
			${joins(kind, any, lo)}
			`,
		);
		rule(
			`${name}: lets 40 sockets of one user share a port, and no socket of another user`,
			`
			${name} ${names("a", 40).join(" ")} with SO_REUSEPORT
			${lines(names("a", 40), (a) => `${a} bind ${lo}:5000`)}
			user 1000
			${name} b with SO_REUSEPORT
			b bind ${lo}:5000 = EADDRINUSE
			${name} c with SO_REUSEPORT
			# A wildcard of UDP misses conflicts while more than ten sockets are on the port.
			c bind ${any}:5000 = EADDRINUSE${dgram ? " | 6.3: 0" : ""}
			close c
			user 0
			close ${names("a", 39).join(" ")}
			b bind ${lo}:5000 = EADDRINUSE
			close a39
			b bind ${lo}:5000
			`,
		);
	},
);

describe("a reuseport group", () => {
	const four = names("a", 4);
	for (const { name, family, lo, lo2, any } of kindsOf("udp", "udplite")) {
		rule(
			`of ${name} sockets gives a flow to one member, and to another when this member is closed`,
			`
			${name} ${four.join(" ")} with SO_REUSEPORT
			${lines(four, (a) => `${a} bind ${lo}:5000`)}
			${name} c
			c bind ${lo}:6000
			${lines([1, 2, 3], () => `c send ${lo}:5000 = 1\nheard ${four.join(" ")} = a$m`)}
			# A flow from another address may reach another member.
			${name} d
			d bind ${lo2}:6000
			${lines([1, 2, 3], () => `d send ${lo}:5000 = 1\nheard ${four.join(" ")} = a$n`)}
			${lines(["p", "q", "r"], (port, i) => {
				const left = four.slice(i + 1);
				return `
					close ${four[i]}
					c send ${lo}:5000 = 1
					heard ${left.join(" ")} = a$${port}
					c send ${lo}:5000 = 1
					heard ${left.join(" ")} = a$${port}
				`;
			})}
			`,
		);
		rule(
			`of ${name} sockets gives a connected member only datagrams of its peer`,
			`
			${name} a0 a1 with SO_REUSEPORT
			a0 bind ${lo}:5000
			a1 bind ${lo}:5000
			a0 connect ${lo}:6000
			${name} c
			c bind ${lo}:6000
			c send ${lo}:5000 = 1
			heard a0 a1 = a0
			${lines([6001, 6002, 6003, 6004, 6005, 6006, 6007, 6008], (port) => {
				return `
					${name} d
					d bind ${lo}:${port}
					d send ${lo}:5000 = 1
					heard a0 a1 = a1
					close d
				`;
			})}
			# If all members are connected, datagrams of other senders reach nobody.
			a1 connect ${lo}:6001
			${name} d
			d bind ${lo}:6002
			d connect ${lo}:5000
			d send = 1
			heard a0 a1 = nobody
			d send = ECONNREFUSED
			# A member that is dissolved receives them again.
			a0 dissolve
			d send = 1
			heard a0 a1 = a0
			`,
		);
		rule(
			`of ${name} wildcard sockets loses a member that connects, also after the member is dissolved`,
			`
			${name} a0 a1 a2 with SO_REUSEPORT
			${lines(["a0", "a1", "a2"], (a) => `${a} bind ${any}:5000`)}
			a1 connect ${lo}:6000
			a1 name = ${lo}:5000
			a1 dissolve
			a1 name = ${any}:5000
			# The lookup now finds it before the group.
			${lines([6001, 6002, 6003, 6004, 6005, 6006], (port) => {
				return `
					${name} d
					d bind ${lo}:${port}
					d send ${lo}:5000 = 1
					heard a0 a1 a2 = a1
					close d
				`;
			})}
			close a1
			${name} d
			d bind ${lo}:6001
			d send ${lo}:5000 = 1
			d send ${lo2}:5000 = 1
			close a0
			d send ${lo}:5000 = 1
			`,
		);
		rule(
			`of ${name} sockets may include a socket that had no SO_REUSEPORT when it was bound`,
			`
			${name} a0
			a0 bind ${lo}:5000
			a0 set SO_REUSEPORT 1
			${name} a1 with SO_REUSEPORT
			a1 bind ${lo}:5000
			${name} c
			c bind ${lo}:6000
			${lines([1, 2, 3], () => `c send ${lo}:5000 = 1\nheard a0 a1 = a$m`)}
			close a1
			c send ${lo}:5000 = 1
			heard a0 = a0
			`,
		);
		for (const order of [
			["a0", "b0", "a1"],
			["b0", "a0", "a1"],
			["a0", "a1", "b0"],
		]) {
			// A group ends the search, even if a socket on the device is a better match. Over IPv4
			// the last socket comes first, over IPv6 the first one.
			const found = family === 4 ? order[2] : order[0];
			rule(
				`of ${name} sockets on a device is separate, and is ${found.startsWith("b") ? "found" : "missed"} if the sockets are made in the order ${order.join(", ")}`,
				`
				${name} a0 a1 b0 with SO_REUSEPORT
				b0 device lo
				${lines(order, (socket) => `${socket} bind ${any}:5000`)}
				${lines([6001, 6002, 6003, 6004, 6005, 6006], (port) => {
					return `
						${name} d
						d bind ${lo}:${port}
						d send ${lo}:5000 = 1
						heard ${found.startsWith("b") ? "a0 a1" : "b0"} = nobody
						close d
					`;
				})}
				`,
			);
		}
	}
	for (const protocol of ["udp", "udplite"]) {
		rule(
			`of ${protocol} sockets over IPv6 does not include sockets with IPV6_V6ONLY`,
			`
			${protocol}6 a0 a2 with SO_REUSEPORT
			${protocol}6 b0 with SO_REUSEPORT IPV6_V6ONLY
			a0 bind [::]:5000
			b0 bind [::]:5000
			a2 bind [::]:5000
			${lines([6001, 6002, 6003, 6004, 6005, 6006], (port) => {
				return `
					${protocol} d
					d bind 127.0.0.1:${port}
					d send 127.0.0.1:5000 = 1
					heard b0 = nobody
					close d
					${protocol}6 d
					d bind [::1]:${port}
					d send [::1]:5000 = 1
					# The lookup finds the older group first.
					heard b0 = nobody
					close d
				`;
			})}
			close a0 a2
			${protocol}6 d
			d bind [::1]:6000
			d send [::1]:5000 = 1
			heard b0 = b0
			`,
		);
		rule(
			`of ${protocol} sockets of IPv4 has precedence for IPv4 over a group of IPv6, which gets IPv4 if it is alone`,
			`
			${protocol}6 b0 b1 with SO_REUSEPORT
			${protocol} a0 with SO_REUSEPORT
			b0 bind [::]:5000
			b1 bind [::]:5000
			a0 bind 0.0.0.0:5000
			${protocol} d
			d bind 127.0.0.1:6000
			d send 127.0.0.1:5000 = 1
			heard a0 b0 b1 = a0
			close a0
			d send 127.0.0.1:5000 = 1
			heard b0 b1 = b$m
			d send 127.0.0.1:5000 = 1
			heard b0 b1 = b$m
			`,
		);
	}
	for (const { name, lo } of kindsOf("tcp")) {
		rule(
			`of ${name} listeners is made by listen(), and a socket that is only bound gets no connection`,
			`
			${name} a0 a1 with SO_REUSEPORT
			a0 bind ${lo}:5000
			a1 bind ${lo}:5000
			a0 listen 16
			${lines([6001, 6002, 6003, 6004, 6005, 6006], (port) => {
				return `
					${name} c
					c bind ${lo}:${port}
					c connect ${lo}:5000
					heard a0 = a0
					close c
				`;
			})}
			a1 listen 16
			close a0
			${name} c
			c bind ${lo}:6007
			c connect ${lo}:5000
			heard a1 = a1
			`,
		);
	}
});

/** "127.0.0.1" and the last word of "::1" in network order, as little-endian machines read them. */
const LOOPBACK4 = 0x7f000001;

/** The members that a thousand flows reach, by order of joining. */
function flows(world: World, kind: Kind, members: readonly string[], first: number): number[] {
	const { name, lo, protocol } = kind;
	const reached: number[] = [];
	for (let port = first; port < first + 1000; port++) {
		const call = (text: string) => {
			const answer = world.call(text);
			if (answer !== "0" && answer !== "1") throw new Error(`${text} = ${answer}`);
		};
		call(`${name} c`);
		call(`c bind ${lo}:${port}`);
		if (protocol === "tcp") call(`c connect ${lo}:5000`);
		else call(`c send ${lo}:5000`);
		const heard = world.call(`heard ${members.join(" ")}`);
		reached.push(members.indexOf(heard));
		call("close c");
	}
	return reached;
}

describe("the hash of a flow", () => {
	const members = names("a", 7);
	const group = (kind: Kind) => `
		${kind.name} ${members.join(" ")} with SO_REUSEPORT
		${lines(members, (a) => `${a} bind ${kind.lo}:5000`)}
		${kind.protocol === "tcp" ? lines(members, (a) => `${a} listen 4`) : ""}
	`;
	for (const kind of kindsOf("udp", "udplite", "tcp")) {
		it(`spreads flows of ${kind.name} evenly, and in the same way for the same seed`, () => {
			const counts = (seed: number) => {
				const world = new World({ seed });
				world.run(group(kind));
				const reached = flows(world, kind, members, 10000);
				return members.map((_, i) => reached.filter((at) => at === i).length);
			};
			const seeds = [1, 2, 3];
			for (const seed of seeds) {
				// 143 on average; six standard deviations are 66.
				for (const count of counts(seed)) expect(Math.abs(count - 1000 / 7)).toBeLessThan(66);
			}
			expect(counts(1)).toEqual(counts(1));
			expect(counts(1)).not.toEqual(counts(2));
		});
	}
	for (const kind of kindsOf("udp", "udplite", "tcp").filter(({ family }) => family === 4)) {
		it(`chooses a member of ${kind.name} as reuseport_select_sock() does, and the last member replaces one that left`, () => {
			const world = new World();
			world.run(group(kind));
			const { kernel } = world;
			const order = [...members];
			const expected = (port: number) => {
				const secret =
					kind.protocol === "tcp" ? kernel.inet_ehash_secret : kernel.udp_table.udp_ehash_secret;
				if (secret === null) throw new Error("no secret yet");
				const initval = secret + world.net.net.hash_mix;
				const hash = __inet_ehashfn(LOOPBACK4, 5000, LOOPBACK4, port, initval);
				return order[reciprocal_scale(hash, order.length)];
			};
			const check = (first: number) => {
				const reached = flows(
					world,
					kind,
					members.filter((a) => order.includes(a)),
					first,
				);
				const left = members.filter((a) => order.includes(a));
				expect(reached.map((at) => left[at])).toEqual(reached.map((_, i) => expected(first + i)));
			};
			check(10000);
			// The last member takes the place of the member that leaves.
			for (const [leaves, first] of [
				["a2", 11000],
				["a0", 12000],
			] as const) {
				world.run(`close ${leaves}`);
				const last = order.pop();
				if (last !== undefined) order[order.indexOf(leaves)] = last;
				check(first);
			}
			kernel.verify();
		});
	}
});

describe("selection by BPF", () => {
	// SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF
	for (const { name } of kindsOf("tcp", "udp", "udplite", "dccp", "sctp")) {
		it.each(["1.51", "1.52"])(`is not modelled: ${name}, option %s`, (option) => {
			const world = new World();
			world.run(`${name} a with SO_REUSEPORT`);
			expect(() => world.call(`a setopt ${option} ${"00".repeat(16)} 16`)).toThrow(NotModelled);
		});
	}
	for (const { name } of kindsOf("mptcp")) {
		rule(
			`fails with EOPNOTSUPP: ${name}`,
			`
			${name} a with SO_REUSEPORT
			a setopt 1.51 ${"00".repeat(16)} 16 = EOPNOTSUPP
			a setopt 1.52 ${"00".repeat(16)} 16 = EOPNOTSUPP
			`,
		);
	}
});
