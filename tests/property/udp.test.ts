// SPDX-License-Identifier: GPL-2.0-or-later
/** UDP's search for a port covers the range for every draw. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	type Address,
	EADDRINUSE,
	EAGAIN,
	IP_LOCAL_PORT_RANGE,
	Kernel,
	SOL_IP,
} from "../../kernel-model/index.js";
import { FixedRandom } from "./draws.js";
import { udpOrder } from "./oracle.js";
import { always } from "./replay.js";
import { open } from "./sockets.js";

/** Most ports of a range that sockets have. Other ports that are not free are reserved. */
const TAKEN = 120;

interface Range {
	low: number;
	/** Number of ports, and which of them is free. */
	size: number;
	free: number;
	/** Slots of UDP's table. */
	slots: number;
	version: "6.3" | "6.1.176";
	protocol: "udp" | "udplite";
	/** The range is the socket's own, in a wider one of the namespace. */
	own: boolean;
	/** The address of the sockets, and an address that conflicts with them. */
	taken: string;
	mine: string;
	draws: readonly number[];
}

const u32 = fc.oneof(
	{ arbitrary: fc.integer({ min: 0, max: 0xffffffff }), weight: 8 },
	fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
);

const range: fc.Arbitrary<Range> = fc
	.record({
		// One port, few ports, an odd number, all ports.
		size: fc.oneof(
			{ arbitrary: fc.integer({ min: 1, max: 9 }), weight: 3 },
			{ arbitrary: fc.integer({ min: 1, max: 600 }), weight: 3 },
			fc.integer({ min: 1, max: 65_535 }),
			fc.constant(65_535),
		),
		place: fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff)),
		free: fc.nat(0xffff),
		slots: fc.constantFrom(256, 16_384),
		version: fc.constantFrom("6.3" as const, "6.1.176" as const),
		protocol: fc.constantFrom("udp" as const, "udplite" as const),
		own: fc.boolean(),
		meeting: fc.constantFrom(
			{ taken: "0.0.0.0", mine: "127.0.0.1" },
			{ taken: "0.0.0.0", mine: "::ffff:127.0.0.1" },
			{ taken: "::", mine: "0.0.0.0" },
			{ taken: "::", mine: "::1" },
			{ taken: "::1", mine: "::" },
			{ taken: "127.0.0.1", mine: "::" },
		),
		draws: fc.array(u32, { minLength: 4, maxLength: 4 }),
	})
	.map(({ place, meeting, ...rest }) => ({
		...rest,
		...meeting,
		low: 1 + (place % (65_536 - rest.size)),
		free: rest.free % rest.size,
	}));

/** For each port of a small range a u32 with which the search starts there. */
function everyStart(size: number): number[] {
	return size > 24
		? []
		: Array.from({ length: size }, (_, start) => Math.ceil((start * 2 ** 32) / size));
}

describe("UDP's search", { timeout: 600_000 }, () => {
	it("finds the last free port from every start, and no reserved port", () => {
		always(range, { seed: 31, runs: 150 }, (input) => {
			const { low, size, slots, version, protocol, taken, mine } = input;
			const high = low + size - 1;
			const free = low + input.free;
			const random = new FixedRandom(1);
			const tables = { ehash: 64, bhash: 64, lhash2: 16, udp: slots };
			const kernel = new Kernel({ version, random, tables });
			const net = kernel.createNet();
			const task = kernel.createTask({ net });
			expect(net.setSysctl("net.ipv4.ip_unprivileged_port_start", "0")).toBe(0);
			const wide = input.own ? "1 65535" : `${low} ${high}`;
			expect(net.setSysctl("net.ipv4.ip_local_port_range", wide)).toBe(0);

			const first = Math.max(low, free - Math.floor(TAKEN / 2));
			const last = Math.min(high, first + TAKEN);
			const reserved = [
				...(first > low ? [`${low}-${first - 1}`] : []),
				...(last < high ? [`${last + 1}-${high}`] : []),
			];
			net.setSysctl("net.ipv4.ip_local_reserved_ports", `${reserved.join(",")}\n`);
			const take = (port: number) => {
				const { fd, name } = open(task, protocol, taken);
				expect(task.bind(fd, { ...name, port })).toBe(0);
			};
			for (let port = first; port <= last; port++) if (port !== free) take(port);

			const mineOpen = () => {
				const { fd, name } = open(task, protocol, mine);
				if (input.own) task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, (high << 16) | low);
				return { fd, name };
			};
			const portOf = (fd: number) => (task.getsockname(fd) as Address).port;
			const calls: ((fd: number, name: Address) => number)[] = [
				(fd, name) => task.bind(fd, name),
				// To the own address. No socket has port 9, but only a later call would report this.
				(fd, name) => task.connect(fd, { ...name, port: 9 }),
				(fd, name) => task.sendto(fd, 1, { ...name, port: 9 }),
			];
			const attempt = (call: (fd: number, name: Address) => number, u32: number) => {
				const { fd, name } = mineOpen();
				random.u32 = u32;
				const result = call(fd, name);
				random.u32 = null;
				const port = portOf(fd);
				task.close(fd);
				return { result, port };
			};
			const draws = [...input.draws, ...everyStart(size)];
			for (const [i, draw] of draws.entries()) {
				const { result, port } = attempt(calls[i % calls.length], draw);
				expect({ draw, port, failed: result < 0 }).toEqual({ draw, port: free, failed: false });
			}
			take(free);
			for (const [i, call] of calls.entries()) {
				const error = i === 0 ? -EADDRINUSE : -EAGAIN;
				expect(attempt(call, draws[i])).toEqual({ result: error, port: 0 });
			}
		});
	});

	it("tries every port once", () => {
		const input = fc.record({ range, draw: u32 });
		always(input, { seed: 32, runs: 60 }, ({ range: { low, size, slots }, draw }) => {
			const order = udpOrder(low, low + size - 1, draw, slots);
			expect(order.length).toBe(size);
			expect(new Set(order).size).toBe(size);
		});
	});
});
