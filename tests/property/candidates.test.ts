// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * UDP's and SCTP's searches over random sockets, against the verdicts of their candidate functions.
 * Check mode and explanations rely on these functions.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CANDIDATE_OK, noTrace } from "../../include/trace/events/port_search.js";
import { type Address, IP_LOCAL_PORT_RANGE, Kernel, SOL_IP } from "../../kernel-model/index.js";
import { udpCandidate } from "../../net/ipv4/udp.js";
import { sctpCandidate } from "../../net/sctp/socket.js";
import { always } from "./replay.js";
import { openWith, randomOptions } from "./sockets.js";

/** Ports of two chains of a table of 256 slots. One of them is reserved, as are all between. */
const PORTS = [40_000, 40_001, 40_256, 40_257, 40_512];
const RESERVED = "40002-40255,40257-40511";
const state = fc.record({
	version: fc.constantFrom("6.3", "6.1.176", "6.12", "6.18"),
	seed: fc.nat(0xffff),
	udp: fc.constantFrom(256, 16_384),
	sockets: fc.array(fc.record({ options: randomOptions, port: fc.constantFrom(...PORTS) }), {
		maxLength: 24,
	}),
	mine: randomOptions,
});

describe("a search among one port or several on a chain chooses a port that its candidate function accepts", () => {
	for (const protocol of ["udp", "udplite", "sctp"] as const) {
		it(protocol, { timeout: 600_000 }, () => {
			let free = 0;
			let taken = 0;
			always(state, { seed: 61, runs: 150 }, ({ version, seed, udp, sockets, mine }) => {
				const tables = { ehash: 64, bhash: 64, lhash2: 16, udp };
				const kernel = new Kernel({ version, seed, tables });
				const net = kernel.createNet();
				const task = kernel.createTask({ net });
				net.setSysctl("net.ipv4.ip_local_reserved_ports", RESERVED);
				for (const { options: given, port } of sockets) {
					const { fd, name } = openWith(task, protocol, given);
					if (task.bind(fd, { ...name, port }) < 0) task.close(fd);
				}
				// The socket has its address when a search begins, so candidates are checked then.
				const says = new Map<number, boolean>();
				const ask = (sk: number): void => {
					for (const port of PORTS) {
						const verdict =
							protocol === "sctp"
								? sctpCandidate(kernel, net.net, port)
								: udpCandidate(kernel, net.net, sk, port);
						says.set(port, verdict === CANDIDATE_OK);
					}
				};
				const search = (low: number, high: number, traced: boolean): number => {
					const { fd, name } = openWith(task, protocol, mine);
					task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, (high << 16) | low | 0);
					kernel.trace = traced ? { ...noTrace, search: (_kind, sk) => ask(sk) } : noTrace;
					task.bind(fd, name);
					kernel.trace = noTrace;
					const { port } = task.getsockname(fd) as Address;
					task.close(fd);
					return port;
				};
				for (const port of PORTS) {
					const chosen = search(port, port, true);
					expect({ port, chosen }).toEqual({ port, chosen: says.get(port) ? port : 0 });
					if (chosen === 0) taken++;
					else free++;
				}
				const acceptable = PORTS.filter((port) => says.get(port));
				for (let n = 0; n < 4; n++) {
					const chosen = search(40_000, 40_512, false);
					if (acceptable.length === 0) expect(chosen).toBe(0);
					else expect(acceptable).toContain(chosen);
				}
			});
			expect(Math.min(free, taken)).toBeGreaterThan(100);
		});
	}
});
