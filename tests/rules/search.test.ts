// SPDX-License-Identifier: GPL-2.0-or-later
/** The searches of bind() and connect() for a port. */
import { describe, expect, it } from "vitest";
import {
	EADDRINUSE,
	EADDRNOTAVAIL,
	EINPROGRESS,
	errnoName,
	IP_BIND_ADDRESS_NO_PORT,
	Kernel,
	SO_REUSEADDR,
	SOL_IP,
	SOL_SOCKET,
} from "../../kernel-model/index.js";

describe("the search", () => {
	const ADDRESS = "127.0.0.1";

	/** Sockets that get ports of the range by bind() or connect(), until none is left. */
	function take(
		call: "bind" | "connect",
		range: string,
		seed: number,
		options: {
			taken?: readonly number[];
			count?: number;
			version?: string;
			reuseaddr?: boolean;
		} = {},
	): number[] {
		const { taken = [], count = 1000, version = "6.3" } = options;
		const kernel = new Kernel({ version, seed });
		const net = kernel.createNet();
		net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
		expect(net.setSysctl("net.ipv4.ip_local_port_range", range)).toBe(0);
		const task = kernel.createTask({ net });
		for (const port of taken) {
			expect(task.bind(task.tcp(), { family: "AF_INET", address: ADDRESS, port })).toBe(0);
		}
		const ports: number[] = [];
		while (ports.length < count) {
			const fd = task.tcp();
			if (options.reuseaddr === true) task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
			const result =
				call === "bind"
					? task.bind(fd, { family: "AF_INET", address: ADDRESS, port: 0 })
					: task.connect(fd, { family: "AF_INET", address: "198.51.100.1", port: 80 }, 16, true);
			if (result === -EADDRINUSE || result === -EADDRNOTAVAIL) break;
			expect(result).toBe(call === "bind" ? 0 : -EINPROGRESS);
			const name = task.getsockname(fd);
			if (typeof name === "number") throw new Error(errnoName(-name));
			ports.push(name.port);
		}
		return ports;
	}
	const sorted = (ports: readonly number[]) => [...ports].sort((a, b) => a - b);
	const seeds = Array.from({ length: 64 }, (_, seed) => seed);

	it.each([
		["40000 40011", 40000],
		["40001 40012", 40001],
	])(
		"of bind() takes ports of the low bound's parity last, and the search of connect() takes them first: %s",
		(range, low) => {
			const favored = Array.from({ length: 6 }, (_, i) => low + 2 * i);
			const others = favored.map((port) => port + 1);
			for (const seed of seeds) {
				const bound = take("bind", range, seed);
				expect(sorted(bound.slice(0, 6))).toEqual(others);
				expect(sorted(bound.slice(6))).toEqual(favored);
				const connected = take("connect", range, seed);
				expect(sorted(connected.slice(0, 6))).toEqual(favored);
				expect(sorted(connected.slice(6))).toEqual(others);
			}
		},
	);

	it("of bind() with SO_REUSEADDR checks the lower half of the range first", () => {
		for (const seed of seeds) {
			const ports = take("bind", "40000 40011", seed, { reuseaddr: true });
			// The lower half has a quarter of the ports, rounded down, times two: 40000-40005.
			expect(sorted(ports.slice(0, 3))).toEqual([40001, 40003, 40005]);
			expect(sorted(ports.slice(3, 6))).toEqual([40000, 40002, 40004]);
			expect(sorted(ports.slice(6, 9))).toEqual([40007, 40009, 40011]);
			expect(sorted(ports.slice(9))).toEqual([40006, 40008, 40010]);
		}
	});

	it.each(["bind", "connect"] as const)("of %s finds the only port of a range", (call) => {
		for (const seed of seeds) expect(take(call, "40000 40000", seed)).toEqual([40000]);
	});

	it.each(["bind", "connect"] as const)(
		"of %s never reaches the highest of three ports",
		(call) => {
			for (const seed of seeds) {
				expect(sorted(take(call, "40000 40002", seed))).toEqual([40000, 40001]);
			}
		},
	);

	it.each(["bind", "connect"] as const)(
		"of %s reaches the lowest or the highest of five ports, depending on its start",
		(call) => {
			const taken = [40001, 40002, 40003];
			const seen = new Set(
				seeds.map((seed) => take(call, "40000 40004", seed, { taken, count: 1 })[0]),
			);
			expect(seen).toEqual(new Set([40000, 40004]));
			// With the bottom taken as well, some starts miss the top.
			const last = seeds.map((seed) =>
				take(call, "40000 40004", seed, { taken: [40000, ...taken], count: 1 }),
			);
			expect(new Set(last.map((ports) => ports.join()))).toEqual(new Set(["40004", ""]));
		},
	);

	it("starts at the same port for the same seed", () => {
		for (const call of ["bind", "connect"] as const) {
			const first = take(call, "32768 60999", 7, { count: 20 });
			expect(take(call, "32768 60999", 7, { count: 20 })).toEqual(first);
			expect(take(call, "32768 60999", 8, { count: 20 })).not.toEqual(first);
		}
	});

	it("of connect() starts elsewhere for another source, destination or destination port", () => {
		const kernel = new Kernel({ version: "6.3", seed: 1 });
		const net = kernel.createNet();
		net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
		const task = kernel.createTask({ net });
		const start = (from: string, address: string, port: number) => {
			const fd = task.tcp();
			task.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
			task.bind(fd, { family: "AF_INET", address: from, port: 0 });
			task.connect(fd, { family: "AF_INET", address, port }, 16, true);
			const name = task.getsockname(fd);
			if (typeof name === "number") throw new Error(errnoName(-name));
			task.close(fd);
			return name.port;
		};
		const starts = [
			start("127.0.0.1", "198.51.100.1", 80),
			start("127.0.0.2", "198.51.100.1", 80),
			start("127.0.0.2", "198.51.100.2", 80),
			start("127.0.0.2", "198.51.100.2", 81),
		];
		for (const [i, one] of starts.entries()) {
			for (const other of starts.slice(i + 1)) expect(Math.abs(one - other)).toBeGreaterThan(100);
		}
		// The first destination again: a few ports further.
		const step = start("127.0.0.1", "198.51.100.1", 80) - starts[0];
		expect([step >= 2, step <= 16]).toEqual([true, true]);
	});

	it("of connect() to one destination starts 2 to 16 ports after the last one", () => {
		for (const seed of seeds.slice(0, 16)) {
			const ports = take("connect", "32768 60999", seed, { count: 20 });
			for (const [i, port] of ports.slice(1).entries()) {
				// A step is two ports plus up to seven times two. It wraps around at the top of the range.
				const step = (port - ports[i] + 28_232) % 28_232;
				expect(step % 2).toBe(0);
				expect(step).toBeGreaterThanOrEqual(2);
				expect(step).toBeLessThanOrEqual(16);
			}
		}
	});
});
