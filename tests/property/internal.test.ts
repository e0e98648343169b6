// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Changes of the kernel that give programs the same answers (`internal` in the table of changes):
 * random programs get the same from a version and from the same version with these changes taken
 * back or put in. One side is traced, so that its searches do without the fast scans.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noTrace } from "../../include/trace/events/port_search.js";
import {
	type Address,
	AF_INET6,
	type BehaviourChange,
	CHANGES,
	IP_BIND_ADDRESS_NO_PORT,
	IPPROTO_TCP,
	Kernel,
	SOCK_STREAM,
	SOL_IP,
	VERSIONS,
} from "../../kernel-model/index.js";
import { always } from "./replay.js";
import { openWith, randomOptions } from "./sockets.js";

const LOW = 40_000;
const HIGH = 40_007;
const SERVER = 50_000;

const changes: readonly BehaviourChange[] = CHANGES;
const INTERNAL = changes.filter(({ internal }) => internal).map(({ name }) => name);

/** A version with its internal changes taken back, and those that it lacks put in. */
function turned(version: string): string {
	const has = VERSIONS.find(({ name }) => name === version)?.has ?? [];
	return version + INTERNAL.map((name) => `${has.includes(name) ? "-" : "+"}${name}`).join("");
}

const at = fc.nat(15);
const port = fc.constantFrom(0, 0, 0, LOW, LOW + 1, LOW + 2, LOW + 3);
const step = fc.oneof(
	{
		weight: 6,
		arbitrary: fc.record({ do: fc.constant("bind" as const), options: randomOptions, port }),
	},
	{
		weight: 8,
		arbitrary: fc.record({
			do: fc.constant("connect" as const),
			options: randomOptions,
			/** bind() names the port, or connect() chooses it. */
			bound: fc.boolean(),
			port,
		}),
	},
	{ weight: 2, arbitrary: fc.record({ do: fc.constant("listen" as const), at }) },
	{ weight: 5, arbitrary: fc.record({ do: fc.constant("close" as const), at }) },
	{ weight: 3, arbitrary: fc.record({ do: fc.constant("accept" as const) }) },
	{
		weight: 1,
		arbitrary: fc.record({
			do: fc.constant("advance" as const),
			ms: fc.constantFrom(500, 1500, 61_000),
		}),
	},
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The destination of a socket with this address: the server, over the same protocol. */
function server({ address, family }: Address): Address {
	if (family === "AF_INET") return { family, address: "127.0.0.1", port: SERVER };
	if (address === "::" || address === "::1") return { family, address: "::1", port: SERVER };
	return { family, address: "::ffff:127.0.0.1", port: SERVER };
}

/** Plays a program. Returns what it gets, one line a step. */
function play(version: string, seed: number, steps: readonly Step[], traced: boolean): string[] {
	const kernel = new Kernel({
		version,
		seed,
		tables: { ehash: 4, bhash: 8, lhash2: 4, udp: 256 },
	});
	const net = kernel.createNet();
	const task = kernel.createTask({ net });
	net.setSysctl("net.ipv4.ip_local_port_range", `${LOW} ${HIGH}`);
	net.setSysctl("net.ipv4.tcp_tw_reuse", "1");
	const listener = task.socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
	expect(task.bind(listener, { family: "AF_INET6", address: "::", port: SERVER })).toBe(0);
	expect(task.listen(listener, 100)).toBe(0);
	if (traced) kernel.trace = { ...noTrace };

	const fds: number[] = [];
	const lines: string[] = [];
	const shown = (fd: number) => {
		const name = task.getsockname(fd);
		return typeof name === "number" ? name : `${name.address} ${name.port}`;
	};
	for (const its of steps) {
		switch (its.do) {
			case "bind": {
				const { fd, name } = openWith(task, "tcp", its.options);
				fds.push(fd);
				lines.push(`bind ${task.bind(fd, { ...name, port: its.port })} ${shown(fd)}`);
				break;
			}
			case "connect": {
				const { fd, name } = openWith(task, "tcp", its.options);
				fds.push(fd);
				if (!its.bound) task.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
				const bound = task.bind(fd, { ...name, port: its.bound ? its.port : 0 });
				lines.push(`connect ${bound} ${task.connect(fd, server(name))} ${shown(fd)}`);
				break;
			}
			case "listen":
				if (its.at < fds.length) lines.push(`listen ${task.listen(fds[its.at], 1)}`);
				break;
			case "close":
				if (its.at < fds.length) lines.push(`close ${task.close(fds.splice(its.at, 1)[0])}`);
				break;
			case "accept": {
				const fd = task.accept4(listener, 0, {}, true);
				if (fd >= 0) fds.push(fd);
				lines.push(`accept ${fd}`);
				break;
			}
			case "advance":
				kernel.advance(its.ms);
		}
		kernel.verify();
	}
	return lines;
}

describe("random programs get the same with and without the internal changes of", () => {
	for (const version of ["6.3", "6.12", "7.3"]) {
		it(version, { timeout: 600_000 }, () => {
			const program = fc.record({
				seed: fc.nat(0xffff),
				steps: fc.array(step, { minLength: 10, maxLength: 40 }),
			});
			let ports = 0;
			let refused = 0;
			always(program, { seed: 16, runs: 60 }, ({ seed, steps }) => {
				const lines = play(version, seed, steps, false);
				expect(play(turned(version), seed, steps, true)).toEqual(lines);
				for (const line of lines) {
					if (/^connect 0 0/.test(line)) ports++;
					if (/-9[89]\b/.test(line)) refused++;
				}
			});
			expect([ports > 50, refused > 20]).toEqual([true, true]);
		});
	}
});
