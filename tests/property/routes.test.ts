// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Cached routes of connections against lookups. They agree after random changes of devices,
 * addresses and routes.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Kernel, type NetNamespace, NotModelled } from "../../kernel-model/index.js";
import {
	ip_route_connect,
	ipRemoteAnswer,
	ipSegmentRoute,
	routeConnect,
	segmentDeliverIfindex,
} from "../../net/ipv4/route.js";
import { always, isDefault } from "./replay.js";

const DEVICES = ["lo", "d0", "d1", "vrf0"] as const;
const PREFIXES = ["127.0.0.1/8", "192.0.2.10/24", "192.0.2.11/24", "198.51.100.1/32"] as const;
const ROUTES = ["default", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.7/32"] as const;
const TYPES = ["unicast", "local", "unreachable"] as const;
const ANSWERS = ["accept", "refuse", "blackhole"] as const;
/** 127.0.0.1, 192.0.2.10, 192.0.2.11, 192.0.2.200, 198.51.100.1, 203.0.113.7. */
const ADDRESSES = [0x7f000001, 0xc000020a, 0xc000020b, 0xc00002c8, 0xc6336401, 0xcb007107];

const device = fc.constantFrom(...DEVICES);
const step = fc.oneof(
	fc.record({ do: fc.constant("link" as const), device, up: fc.boolean() }),
	fc.record({ do: fc.constant("master" as const), device, enslave: fc.boolean() }),
	fc.record({
		do: fc.constant("address" as const),
		device,
		prefix: fc.constantFrom(...PREFIXES),
		add: fc.boolean(),
	}),
	fc.record({
		do: fc.constant("route" as const),
		device,
		to: fc.constantFrom(...ROUTES),
		type: fc.constantFrom(...TYPES),
		answer: fc.constantFrom(...ANSWERS),
		how: fc.constantFrom("add" as const, "replace" as const, "del" as const),
	}),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function change(net: NetNamespace, made: Step): number {
	switch (made.do) {
		case "link":
			return net.setLink(made.device, made.up);
		case "master":
			return net.setMaster(made.device, made.enslave ? "vrf0" : null);
		case "address":
			return made.add
				? net.addAddress(made.prefix, made.device)
				: net.delAddress(made.prefix, made.device);
		case "route": {
			const { to, type, answer, device: dev } = made;
			if (made.how === "del") return net.delRoute(to);
			const route = { to, type, answer, ...(type === "unreachable" ? {} : { dev }) };
			return made.how === "add" ? net.addRoute(route) : net.replaceRoute(route);
		}
	}
}

function arrival(device: () => number): string {
	try {
		return String(device());
	} catch (error) {
		if (error instanceof NotModelled) return error.message;
		throw error;
	}
}

interface From {
	saddr: number;
	oif: number;
}

const remembered: typeof segmentDeliverIfindex = (net, daddr, oif) =>
	ipSegmentRoute(net, daddr, oif).dif;

/** The route answers of connections from an address. One lookup per destination is cached. */
function lookups(
	net: NetNamespace,
	{ saddr, oif }: From,
	connect: typeof routeConnect,
	arrive: typeof segmentDeliverIfindex,
): string[] {
	return ADDRESSES.map((daddr) => {
		const err = connect(net.net, daddr, saddr, oif);
		const way = err === 0 ? JSON.stringify(net.net.fl4) : "";
		return `${daddr}: ${err} ${way}, arrives at ${arrival(() => arrive(net.net, daddr, oif))}`;
	});
}

describe("a cached route of a connection", () => {
	it("equals a new lookup after every change of devices, addresses and routes", () => {
		let changes = 0;
		const program = fc.record({
			vrf: fc.boolean(),
			from: fc.record({
				saddr: fc.constantFrom(0, 0, ...ADDRESSES),
				oif: fc.constantFrom(0, 0, 1, 2, 3, 4),
			}),
			steps: fc.array(step, { minLength: 5, maxLength: 25 }),
		});
		always(program, { seed: 20261123, runs: 1000 }, ({ vrf, from, steps }) => {
			const net = new Kernel({ version: "6.18" }).createNet();
			net.addLink("d0");
			net.addLink("d1");
			if (vrf) net.addLink("vrf0", 10);
			for (const made of steps) {
				lookups(net, from, ip_route_connect, remembered);
				if (change(net, made) === 0) changes++;
				const fresh = lookups(net, from, routeConnect, segmentDeliverIfindex);
				const told = lookups(net, from, ip_route_connect, remembered);
				expect(told).toEqual(fresh);
			}
		});
		if (isDefault) expect(changes).toBeGreaterThan(3_000);
	});

	it("has the answer of the current route", () => {
		const net = new Kernel().createNet();
		net.addAddress("192.0.2.10/32", "lo");
		const answers = ANSWERS.map((answer) => {
			net.replaceRoute({ to: "203.0.113.0/24", dev: "lo", answer });
			return [ipRemoteAnswer(net.net, ADDRESSES[5], 0), ipRemoteAnswer(net.net, ADDRESSES[5], 0)];
		});
		expect(answers).toEqual(ANSWERS.map((answer) => [answer, answer]));
	});
});
