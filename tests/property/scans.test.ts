// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The fast scans bindScan, connectScan and udpScan against bindCandidate, connectCandidate and
 * udpCandidate, which call C's functions by name. Compares them port by port on random states.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	CANDIDATE_TIME_WAIT,
	CANDIDATE_TUPLE_IN_USE,
	noTrace,
	SEARCH_BIND,
} from "../../include/trace/events/port_search.js";
import {
	type Address,
	AF_INET6,
	IP_BIND_ADDRESS_NO_PORT,
	IPPROTO_TCP,
	Kernel,
	SOCK_STREAM,
	SOL_IP,
} from "../../kernel-model/index.js";
import { bindCandidate, bindScan } from "../../net/ipv4/inet_connection_sock.js";
import { connectCandidate, connectScan } from "../../net/ipv4/inet_hashtables.js";
import { udpCandidate, udpScan } from "../../net/ipv4/udp.js";
import { inet_sk_bound_l3mdev } from "../../net/l3mdev/l3mdev.js";
import { always } from "./replay.js";
import { openWith, randomOptions } from "./sockets.js";

/** The ports of a walk, [LOW, HIGH[. The table of ports has fewer slots than these. */
const LOW = 40_000;
const HIGH = 40_012;
const RESERVED = 40_007;
const SERVER = 50_000;

const end = fc.constantFrom("bound", "listens", "connected", "connected", "time-wait", "time-wait");
const state = fc.record({
	version: fc.constantFrom("6.1.176", "6.3", "6.6", "6.8", "6.12", "6.18", "7.3"),
	seed: fc.nat(0xffff),
	twReuse: fc.constantFrom("0", "1", "2"),
	sockets: fc.array(
		fc.record({
			options: randomOptions,
			port: fc.integer({ min: LOW, max: HIGH - 1 }),
			/** Whether bind() names the port, or connect() finds it alone in a range. */
			byBind: fc.boolean(),
			end,
		}),
		{ minLength: 4, maxLength: 30 },
	),
	/** Time since the last of them, ms. */
	later: fc.constantFrom(0, 1500),
	mine: fc.array(randomOptions, { minLength: 1, maxLength: 3 }),
});

/** The destination of a socket with this address: the server, over the same protocol. */
function server({ address, family }: Address): Address {
	if (family === "AF_INET") return { family, address: "127.0.0.1", port: SERVER };
	if (address === "::" || address === "::1") return { family, address: "::1", port: SERVER };
	return { family, address: "::ffff:127.0.0.1", port: SERVER };
}

describe("a fast scan gives each port the verdict of the candidate function", () => {
	for (const call of ["bind", "connect"] as const) {
		it(call, { timeout: 600_000 }, () => {
			const met = new Map<number, number>();
			always(state, { seed: 12, runs: 300 }, (given) => {
				const { version, seed, twReuse, sockets, later, mine } = given;
				const kernel = new Kernel({
					version,
					seed,
					tables: { ehash: 4, bhash: 8, lhash2: 4, udp: 256 },
				});
				const net = kernel.createNet();
				const task = kernel.createTask({ net });
				net.setSysctl("net.ipv4.ip_local_reserved_ports", `${RESERVED}`);
				net.setSysctl("net.ipv4.tcp_tw_reuse", twReuse);
				const listener = task.socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
				task.bind(listener, { family: "AF_INET6", address: "::", port: SERVER });
				expect(task.listen(listener, 100)).toBe(0);

				for (const { options: its, port, byBind, end } of sockets) {
					const { fd, name } = openWith(task, "tcp", its);
					const connects = end === "connected" || end === "time-wait";
					if (byBind || !connects) {
						if (task.bind(fd, { ...name, port }) < 0) {
							task.close(fd);
							continue;
						}
					} else {
						net.setSysctl("net.ipv4.ip_local_port_range", `${port} ${port}`);
						task.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
						task.bind(fd, name);
					}
					if (end === "listens") task.listen(fd, 1);
					if (!connects) continue;
					if (task.connect(fd, server(name)) < 0) {
						task.close(fd);
						continue;
					}
					const child = task.accept(listener);
					if (end !== "time-wait") continue;
					task.close(fd);
					task.close(child);
				}
				kernel.advance(later);
				net.setSysctl("net.ipv4.ip_local_port_range", `${LOW} ${HIGH - 1}`);

				const compareBind = (sk: number, relax: boolean): void => {
					const l3mdev = inet_sk_bound_l3mdev(net.net, kernel.sock.skc_bound_dev_if[sk]);
					const says = (port: number) => {
						const verdict = bindCandidate(kernel, net.net, sk, port, l3mdev, relax);
						met.set(verdict, (met.get(verdict) ?? 0) + 1);
						return { port, free: verdict === CANDIDATE_OK, blocker: kernel.blocker };
					};
					const free: boolean[] = [];
					for (let port = LOW; port < HIGH; port++) {
						const expected = says(port);
						const i = bindScan(kernel, net.net, sk, port, l3mdev, port + 2, 2, relax);
						expect({ port, free: i < 2, blocker: kernel.blocker }).toEqual(expected);
						free.push(expected.free);
					}
					for (let first = 0; first < free.length; first++) {
						const { length } = free;
						let i = 0;
						while (i < length && !free[(first + i) % length]) i += 2;
						const at = LOW + first;
						const walked = bindScan(kernel, net.net, sk, at, l3mdev, HIGH, length, relax);
						expect({ first, i: walked }).toEqual({ first, i });
					}
				};
				const compareConnect = (sk: number): void => {
					const l3mdev = inet_sk_bound_l3mdev(net.net, kernel.sock.skc_bound_dev_if[sk]);
					const free: boolean[] = [];
					for (let port = LOW; port < HIGH; port++) {
						const verdict = connectCandidate(kernel, net.net, sk, port, l3mdev);
						met.set(verdict, (met.get(verdict) ?? 0) + 1);
						const isFree = verdict === CANDIDATE_OK;
						const expected = {
							port,
							found: isFree ? port : 0,
							blocker: isFree ? 0 : kernel.blocker,
						};
						connectScan(kernel, net.net, sk, port, l3mdev, port + 1, 1, 1, 1);
						const { found_port: found, blocker } = kernel;
						expect({ port, found, blocker }).toEqual(expected);
						free.push(isFree);
					}
					for (const step of [1, 2]) {
						for (let first = 0; first < free.length; first++) {
							const { length } = free;
							let i = 0;
							while (i < length && !free[(first + i) % length]) i += step;
							const found = i < length ? LOW + ((first + i) % length) : 0;
							const at = LOW + first;
							connectScan(kernel, net.net, sk, at, l3mdev, HIGH, length, step, step);
							expect({ first, found: kernel.found_port }).toEqual({ first, found });
						}
					}
				};
				for (const its of mine) {
					const { fd, name } = openWith(task, "tcp", its);
					let searched = false;
					kernel.trace = {
						...noTrace,
						// At the beginning of a search the socket has its addresses.
						search: (kind, sk) => {
							searched = true;
							if (kind !== SEARCH_BIND) return compareConnect(sk);
							compareBind(sk, false);
							compareBind(sk, true);
						},
					};
					if (call === "bind") task.bind(fd, name);
					else {
						task.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
						task.bind(fd, name);
						task.connect(fd, server(name));
					}
					kernel.trace = noTrace;
					expect(searched || name.address === "::ffff:0.0.0.0" || its.v6only).toBe(true);
					task.close(fd);
				}
			});
			const verdicts =
				call === "bind"
					? [CANDIDATE_OK, CANDIDATE_RESERVED, CANDIDATE_CONFLICT, CANDIDATE_CONFLICT_ANY]
					: [
							CANDIDATE_OK,
							CANDIDATE_RESERVED,
							CANDIDATE_NOT_SHAREABLE,
							CANDIDATE_TUPLE_IN_USE,
							CANDIDATE_TIME_WAIT,
						];
			for (const verdict of verdicts)
				expect([verdict, met.get(verdict) ?? 0]).toSatisfy(([, times]: number[]) => times > 50);
		});
	}

	const udpState = fc.record({
		version: fc.constantFrom("6.1.176", "6.3", "6.12", "7.3"),
		seed: fc.nat(0xffff),
		slots: fc.constantFrom(256, 16_384, 65_536),
		protocol: fc.constantFrom("udp" as const, "udplite" as const),
		sockets: fc.array(
			fc.record({
				options: randomOptions,
				chain: fc.nat(5),
				turn: fc.nat(2),
				otherNet: fc.boolean(),
			}),
			{ minLength: 10, maxLength: 40 },
		),
		mine: fc.array(randomOptions, { minLength: 1, maxLength: 3 }),
	});

	it("udp", { timeout: 600_000 }, () => {
		const met = new Map<number, number>();
		let without = 0;
		always(udpState, { seed: 13, runs: 400 }, (given) => {
			const { version, seed, slots, sockets, mine } = given;
			// 7.3 does not have UDP-Lite.
			const protocol = version === "7.3" ? "udp" : given.protocol;
			const tables = { ehash: 4, bhash: 8, lhash2: 4, udp: slots };
			const kernel = new Kernel({ version, seed, tables });
			const net = kernel.createNet();
			const task = kernel.createTask({ net });
			const other = kernel.createTask({ net: kernel.createNet() });
			// Eight chains with their ports. The last two have no socks.
			const chains = Array.from({ length: 8 }, (_, chain) =>
				[0, 1, 2].map((turn) => LOW + chain + turn * slots).filter((port) => port <= 0xffff),
			);
			const turns = chains[0].length;
			const high = LOW + (turns - 1) * slots + 6;
			net.setSysctl("net.ipv4.ip_local_port_range", `${LOW} ${high}`);
			net.setSysctl("net.ipv4.ip_local_reserved_ports", `${RESERVED},${chains[5].join(",")}`);
			for (const { options: its, chain, turn, otherNet } of sockets) {
				const who = otherNet ? other : task;
				const { fd, name } = openWith(who, protocol, its);
				if (who.bind(fd, { ...name, port: chains[chain][turn % turns] }) < 0) who.close(fd);
			}

			const compare = (sk: number): void => {
				const good = chains.map((ports) => {
					const verdicts = ports
						.filter((port) => port <= high)
						.map((port) => udpCandidate(kernel, net.net, sk, port));
					for (const verdict of verdicts) met.set(verdict, (met.get(verdict) ?? 0) + 1);
					return verdicts.includes(CANDIDATE_OK);
				});
				const scan = (from: number, to: number): number =>
					udpScan(kernel, net.net, sk, LOW, high, LOW + from, LOW + to);
				for (let from = 0; from < chains.length; from++) {
					expect({ from, scan: scan(from, from + 1) }).toEqual({
						from,
						scan: good[from] ? LOW + from : -1,
					});
					const found = good.indexOf(true, from);
					if (found < 0) without++;
					expect({ from, scan: scan(from, chains.length) }).toEqual({
						from,
						scan: found < 0 ? -1 : LOW + found,
					});
				}
			};
			for (const its of mine) {
				const { fd, name } = openWith(task, protocol, its);
				let searched = false;
				kernel.trace = {
					...noTrace,
					// At the beginning of a search the sock has its address.
					search: (_kind, sk) => {
						searched = true;
						compare(sk);
					},
				};
				task.bind(fd, name);
				kernel.trace = noTrace;
				expect(searched || name.address === "::ffff:0.0.0.0" || its.v6only).toBe(true);
				task.close(fd);
			}
		});
		for (const verdict of [CANDIDATE_OK, CANDIDATE_RESERVED, CANDIDATE_CONFLICT])
			expect([verdict, met.get(verdict) ?? 0]).toSatisfy(([, times]: number[]) => times > 500);
		expect(without).toBeGreaterThan(100);
	});
});
