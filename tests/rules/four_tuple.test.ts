// SPDX-License-Identifier: GPL-2.0-or-later
/** The comparison of a packet with a connection: inet_match() and inet6_match(). */
import { describe, expect, it } from "vitest";
import { inet_match, inet6_match } from "../../include/net/inet_hashtables.js";
import { World } from "../world.js";

const LO = 1;
const DUMMY0 = 2;

/** A connection from port 6000 to port 5000 on an address of lo. */
function connected(kind: string, address: string) {
	const world = new World({
		setup: ["ip link set lo up", "ip link add dummy0 type dummy", "ip link set dummy0 up"],
	});
	world.run(`
		${kind} s c
		s bind ${address}:5000
		s listen 1
		c device lo
		c bind ${address}:6000
		c connect ${address}:5000
	`);
	const S = world.kernel.sock;
	const sk = S.handles().find((each) => S.skc_num[each] === 6000 && S.skc_dport[each] === 5000);
	if (sk === undefined) throw new Error("no connection");
	return { world, S, sk, other: world.kernel.createNet().net };
}

describe("a packet of a connection", () => {
	it("matches the IPv4 four-tuple, the namespace and the device", () => {
		const { world, S, sk, other } = connected("tcp", "127.0.0.1");
		const lo = 0x7f000001;
		const matches = (net = world.net.net, saddr = lo, daddr = lo, sport = 5000, dport = 6000) =>
			inet_match(net, S, sk, saddr, daddr, sport, dport, LO, 0);
		expect(matches()).toBe(true);
		expect(matches(other)).toBe(false);
		expect(matches(undefined, lo + 1)).toBe(false);
		expect(matches(undefined, lo, lo + 1)).toBe(false);
		expect(matches(undefined, lo, lo, 5001)).toBe(false);
		expect(matches(undefined, lo, lo, 5000, 6001)).toBe(false);
		expect(inet_match(world.net.net, S, sk, lo, lo, 5000, 6000, DUMMY0, 0)).toBe(false);
		expect(inet_match(world.net.net, S, sk, lo, lo, 5000, 6000, DUMMY0, LO)).toBe(true);
	});

	it("matches the IPv6 four-tuple, the namespace and the device", () => {
		const { world, S, sk, other } = connected("tcp6", "[::1]");
		const lo = Uint32Array.of(0, 0, 0, 1);
		const two = Uint32Array.of(0, 0, 0, 2);
		const matches = (net = world.net.net, saddr = lo, daddr = lo, sport = 5000, dport = 6000) =>
			inet6_match(net, S, sk, saddr, 0, daddr, 0, sport, dport, LO, 0);
		expect(matches()).toBe(true);
		expect(matches(other)).toBe(false);
		expect(matches(undefined, two)).toBe(false);
		expect(matches(undefined, lo, two)).toBe(false);
		expect(matches(undefined, lo, lo, 5001)).toBe(false);
		expect(matches(undefined, lo, lo, 5000, 6001)).toBe(false);
		expect(inet6_match(world.net.net, S, sk, lo, 0, lo, 0, 5000, 6000, DUMMY0, 0)).toBe(false);
		expect(inet6_match(world.net.net, S, sk, lo, 0, lo, 0, 5000, 6000, DUMMY0, LO)).toBe(true);
	});

	it("of IPv6 does not match an AF_INET connection", () => {
		const { world, S, sk } = connected("tcp", "127.0.0.1");
		const none = new Uint32Array(4);
		S.skc_v6_daddr.fill(0, sk * 4, sk * 4 + 4);
		S.skc_v6_rcv_saddr.fill(0, sk * 4, sk * 4 + 4);
		expect(inet6_match(world.net.net, S, sk, none, 0, none, 0, 5000, 6000, LO, 0)).toBe(false);
	});
});
