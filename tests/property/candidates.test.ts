// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What UDP's and SCTP's searches do over random sockets, against what their candidates say of
 * each port: check mode and explanations rely on the candidates.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	CANDIDATE_OK,
	noTrace,
	type PortSearchTrace,
} from "../../include/trace/events/port_search.js";
import {
	type Address,
	AF_INET,
	AF_INET6,
	IP_LOCAL_PORT_RANGE,
	IPPROTO_SCTP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	IPV6_V6ONLY,
	Kernel,
	SO_BINDTODEVICE,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOCK_DGRAM,
	SOCK_STREAM,
	SOL_IP,
	SOL_IPV6,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { udpCandidate } from "../../net/ipv4/udp.js";
import { sctpCandidate } from "../../net/sctp/socket.js";
import { always } from "./replay.js";

/** Ports of two chains of a table of 256 slots. One of them is reserved, as are all between. */
const PORTS = [40_000, 40_001, 40_256, 40_257, 40_512];
const RESERVED = "40002-40255,40257-40511";
const PROTOCOLS = {
	udp: [SOCK_DGRAM, IPPROTO_UDP],
	udplite: [SOCK_DGRAM, IPPROTO_UDPLITE],
	sctp: [SOCK_STREAM, IPPROTO_SCTP],
} as const;

const LO = Uint8Array.from("lo", (letter) => letter.charCodeAt(0));

const IGNORE: PortSearchTrace = {
	search() {},
	scan() {},
	pass() {},
	skip() {},
	chosen() {},
	bound() {},
	bucket() {},
	tuple() {},
};

interface Options {
	address: string;
	reuseaddr: boolean;
	reuseport: boolean;
	v6only: boolean;
	uid: number;
	/** Bound to lo. */
	lo: boolean;
}

const options: fc.Arbitrary<Options> = fc.record({
	address: fc.constantFrom(
		"0.0.0.0",
		"127.0.0.1",
		"127.0.0.2",
		"::",
		"::1",
		"::ffff:127.0.0.1",
		"::ffff:0.0.0.0",
	),
	reuseaddr: fc.boolean(),
	reuseport: fc.boolean(),
	v6only: fc.boolean(),
	uid: fc.constantFrom(0, 1000),
	lo: fc.boolean(),
});

const state = fc.record({
	version: fc.constantFrom("6.3", "6.1.176", "6.12", "6.18"),
	seed: fc.nat(0xffff),
	udp: fc.constantFrom(256, 16_384),
	sockets: fc.array(fc.record({ options, port: fc.constantFrom(...PORTS) }), { maxLength: 24 }),
	mine: options,
});

/** A socket with options, not bound yet, and its address without a port. */
function open(task: Task, protocol: keyof typeof PROTOCOLS, given: Options) {
	const v6 = given.address.includes(":");
	const [type, number] = PROTOCOLS[protocol];
	task.uid = given.uid;
	const fd = task.socket(v6 ? AF_INET6 : AF_INET, type, number);
	if (given.reuseaddr) task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (given.reuseport) task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	const mapped = given.address.startsWith("::ffff:");
	if (v6 && given.v6only && !mapped) task.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, 1);
	task.uid = 0;
	if (given.lo) expect(task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, LO)).toBe(0);
	const name: Address = { family: v6 ? "AF_INET6" : "AF_INET", address: given.address, port: 0 };
	return { fd, name };
}

describe("a search of one port, or of several on a chain, finds what its candidates say", () => {
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
					const { fd, name } = open(task, protocol, given);
					if (task.bind(fd, { ...name, port }) < 0) task.close(fd);
				}
				// The candidates are asked where a search begins: the socket has its address by then.
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
					const { fd, name } = open(task, protocol, mine);
					task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, (high << 16) | low | 0);
					kernel.trace = traced ? { ...IGNORE, search: (_kind, sk) => ask(sk) } : noTrace;
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
