// SPDX-License-Identifier: GPL-2.0-or-later
/** Which socket a connection, a datagram or a refusal reaches. */
import { describe, expect, it } from "vitest";
import { reuseport_select_sock } from "../../net/core/sock_reuseport.js";
import { addressOf, lines, names, outcome, rule, World } from "../world.js";

const MANY = names("c", 12);

describe("a connection", () => {
	for (const [kind, any, lo] of [
		["tcp", "0.0.0.0", "127.0.0.1"],
		["tcp", "127.0.0.1", "127.0.0.1"],
		["tcp6", "[::]", "[::1]"],
	]) {
		rule(
			`of ${kind} to listeners on ${any} reaches the one that is bound to its device, not one without a device`,
			`
			ip link add dummy0 type dummy
			ip link set dummy0 up
			${kind} a b c d
			a device lo
			a bind ${any}:5000
			a listen 8
			b device dummy0
			b bind ${any}:5000
			b listen 8
			b setopt SO_BINDTODEVICE 00 1
			c connect ${lo}:5000
			heard b = nobody
			heard a = a
			`,
		);
	}
	rule(
		"of IPv4 does not reach a listener of AF_INET6 by the reuseport group of a listener of AF_INET",
		`
		tcp a with SO_REUSEPORT
		a bind 127.0.0.1:5000
		a listen 12
		tcp6 b with SO_REUSEPORT
		b bind [::ffff:127.0.0.1]:5000
		b listen 12
		${lines(MANY, (name) => `tcp ${name}`)}
		${lines(MANY, (name) => `${name} connect 127.0.0.1:5000`)}
		${lines(MANY, () => "heard a = a")}
		heard b = nobody
		`,
	);

	for (const lo of ["127.0.0.1", "[::1]"]) {
		it(`to ${lo} does not reach a listener of another namespace on the same chain`, () => {
			const world = new World({ tables: { ehash: 64, bhash: 64, lhash2: 1, udp: 256 } });
			const other = world.kernel.createTask({ net: world.kernel.createNet() });
			const to = addressOf(`${lo}:5000`);
			const family = to.family === "AF_INET" ? 2 : 10;
			const listener = world.socket(family);
			expect(world.task.bind(listener, to)).toBe(0);
			expect(world.task.listen(listener, 4)).toBe(0);
			const client = world.socket(family, "", other);
			expect(outcome(other.connectAndWait(client, to))).toBe("ECONNREFUSED");
			expect(world.accept(listener)).toBe("EAGAIN");
			expect(outcome(world.task.connectAndWait(world.socket(family), to))).toBe(0);
			world.check();
		});
	}
});

describe("a member of a reuseport group", () => {
	it("is passed over if it is connected, and the next member that is not connected is taken", () => {
		const world = new World({ protocol: "udp" });
		const [a, b, c] = [1, 2, 3].map(() => world.bound("P 127.0.0.1:5000"));
		const [ska, skb, skc] = [a, b, c].map((fd) => world.sk(fd));
		const picked = (hash: number) => reuseport_select_sock(world.kernel, ska, hash);
		const [first, second, third] = [0, 0x80000000, 0xffffffff];
		expect([first, second, third].map(picked)).toEqual([ska, skb, skc]);
		expect(world.connect(a, "127.0.0.1:6000")).toBe(0);
		expect([first, second, third].map(picked)).toEqual([skb, skb, skc]);
		expect(world.connect(c, "127.0.0.1:6000")).toBe(0);
		expect([first, second, third].map(picked)).toEqual([skb, skb, skb]);
		expect(world.connect(b, "127.0.0.1:6001")).toBe(0);
		expect([first, second, third].map(picked)).toEqual([0, 0, 0]);
	});

	// Over IPv4 the last bound socket is checked first, over IPv6 the first one.
	for (const [kind, lo, taker, other] of [
		["udp", "127.0.0.1", "b", "a"],
		["udp6", "[::1]", "a", "b"],
	]) {
		rule(
			`of ${kind} that has cleared SO_REUSEPORT receives every datagram if the lookup finds it first`,
			`
			${kind} a b with SO_REUSEPORT
			a bind ${lo}:5000
			b bind ${lo}:5000
			${taker} set SO_REUSEPORT 0
			${kind} ${MANY.join(" ")}
			${lines(MANY, (name) => `${name} send ${lo}:5000 = 1`)}
			${lines(MANY, () => `heard ${taker} = ${taker}`)}
			heard ${other} = nobody
			`,
		);
	}
});

describe("a datagram", () => {
	// The ports differ by a multiple of the size of the model's table.
	for (const [kind, lo] of [
		["udp", "127.0.0.1"],
		["udp6", "[::1]"],
	]) {
		rule(
			`of ${kind} does not reach a socket on another port of the same chain`,
			`
			${kind} a b c d
			a bind ${lo}:9096
			b bind ${lo}:5000
			c bind ${lo}:13192
			d send ${lo}:5000 = 1
			heard a c = nobody
			heard b = b
			`,
		);
	}
});

describe("a refusal of a datagram", () => {
	rule(
		"reaches the socket that connected last of two with one four-tuple, also after SO_BINDTODEVICE, since 6.13",
		`
		udp a b with SO_REUSEADDR
		a bind 127.0.0.1:5000
		b bind 127.0.0.1:5000
		b connect 127.0.0.1:5001
		a connect 127.0.0.1:5001
		a device lo
		a send = 1
		a send = ECONNREFUSED
		`,
	);
	rule(
		"does not reach an unconnected socket without IP_RECVERR or IPV6_RECVERR",
		`
		udp6 a
		a bind [::1]:5000
		a send [::1]:6000 = 1
		a send [::1]:6000 = 1
		a set 41.25 1
		a send [::1]:6000 = 1
		a send [::1]:6000 = ECONNREFUSED
		udp b
		b bind 127.0.0.1:5000
		b send 127.0.0.1:6000 = 1
		b send 127.0.0.1:6000 = 1
		b set 0.11 1
		b send 127.0.0.1:6000 = 1
		b send 127.0.0.1:6000 = ECONNREFUSED
		`,
	);
	rule(
		"does not come from a host that never answers",
		`
		ip -6 route add default dev lo
		udp6 a
		a connect [2001:db8:5::2]:53
		a send = 1
		a send = 1
		udp b
		b connect 198.51.100.1:53
		b send = 1
		b send = 1
		`,
	);
});
