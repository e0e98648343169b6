// SPDX-License-Identifier: GPL-2.0-or-later
/** Results that are impossible for a random program, by the naive walk over all its searches. */
import { CANDIDATE_OK, SEARCH_UDP } from "../../include/trace/events/port_search.js";
import { errnoName } from "../../kernel-model/index.js";
import { isConnection, passes, type Scan } from "./oracle.js";
import type { Program } from "./program.js";
import { type Call, Run, type TracedSearch } from "./run.js";

export interface Altered {
	/** Index of the line in the recording, from 0. */
	index: number;
	was: string;
	line: string;
	/** The rule that excludes the result. */
	why: string;
}

/** The ports that a scan can choose from some start; 0 if it can find none. */
function reachable({ moment, me, kind }: TracedSearch, scan: Scan): Set<number> {
	const good = (port: number) =>
		moment.candidate(kind, me, port, scan.relax).verdict === CANDIDATE_OK;
	const ports = new Set<number>();
	if (kind === SEARCH_UDP) {
		for (let port = scan.low; port < scan.high; port++) if (good(port)) ports.add(port);
		if (ports.size === 0) ports.add(0);
		return ports;
	}
	for (let offset = 0; offset < Math.max(scan.remaining, 1); offset++) {
		const order = passes(kind, scan, offset).flat();
		ports.add(order.find(good) ?? 0);
	}
	return ports;
}

/** The ports that a search can choose, by scan after scan; 0 for its error. */
function choices(search: TracedSearch): Set<number> {
	const ports = new Set<number>();
	for (const scan of search.moment.scans(search.kind, search.me)) {
		const found = reachable(search, scan);
		for (const port of found) if (port !== 0) ports.add(port);
		if (!found.has(0)) return ports;
	}
	return ports.add(0);
}

/** A program's recording, and every alteration of one of its lines that the rules exclude. */
export class Alterations {
	readonly lines: string[];
	readonly altered: Altered[] = [];
	/** Ports that were an end of a connection: their clients may wait, also after a reset. */
	private readonly clients = new Set<number>();

	constructor(program: Program) {
		const found: Altered[] = [];
		const run: Run = new Run(program, [
			(_run, call) => this.look(call, run.transcript.length - 1, found, run.transcript),
		]);
		run.play(program.ops);
		run.end();
		const head = run.setUpLines();
		this.lines = [...head, ...run.transcript];
		for (const one of found) this.altered.push({ ...one, index: one.index + head.length });
		// The port is in the line that follows the call.
		for (const one of this.altered) {
			one.was = this.lines[one.index];
			one.line = one.line === "" ? this.withPort(one) : one.line;
		}
	}

	private withPort({ was, why }: Altered): string {
		const port = /^port ([0-9]+)/.exec(why)?.[1] ?? "0";
		return was.replace(/htons\([0-9]+\)/, `htons(${port})`);
	}

	private look(call: Call, index: number, found: Altered[], lines: readonly string[]): void {
		const line = lines[index];
		const as = (result: string, why: string) => {
			const changed = line.replace(/ = (?:-1 \w+ \(.*\)|-?[0-9]+)$/, ` = ${result}`);
			if (changed === line) return;
			found.push({ index, was: line, line: changed, why });
		};
		const { search, result } = call;
		if (search !== null) this.lookAtSearch(call, search, index, found, as);
		else if (call.name === "bind" || call.name === "listen") {
			// The program named the port, so nothing is random.
			if (result === 0) {
				as("-1 EADDRINUSE (Address already in use)", "error: no socket is in the way");
				as("-1 EINVAL (Invalid argument)", "error: the socket has no port yet");
			} else {
				as("0", `success: ${errnoName(-result)} is certain`);
				const other = result === -98 ? "EINVAL (Invalid argument)" : "EADDRINUSE (Address in use)";
				as(`-1 ${other}`, `error: ${errnoName(-result)} is certain`);
			}
		} else if (call.name === "connect" && call.tuple !== null && call.file.protocol === "tcp") {
			const free = call.tuple.verdict === CANDIDATE_OK;
			if (free) as("-1 EADDRNOTAVAIL (Cannot assign)", "error: the four-tuple is free");
			else as("0", "success: the four-tuple is taken");
		}
		for (const sock of call.before.sockets) if (isConnection(sock)) this.clients.add(sock.port);
		if (line.includes("accept4(") && result >= 0) {
			const one = call.before.sockets.find(({ port }) => port !== 0 && !this.clients.has(port));
			const ports = [50_100, ...(one === undefined ? [] : [one.port])];
			for (const port of ports)
				found.push({ index, was: line, line: "", why: `port ${port} never was a client's` });
		}
	}

	private lookAtSearch(
		{ name }: Call,
		search: TracedSearch,
		index: number,
		found: Altered[],
		as: (result: string, why: string) => void,
	): void {
		const can = choices(search);
		const error = search.kind === SEARCH_UDP && name !== "bind" ? "EAGAIN" : "EADDRNOTAVAIL";
		const fails = name === "bind" || name === "listen" ? "EADDRINUSE" : error;
		if (search.chosen === 0) {
			as("0", "success: no port is acceptable");
			return;
		}
		if (!can.has(0)) as(`-1 ${fails} (?)`, "error: a port is acceptable");
		for (let port = search.low - 1; port <= search.high + 1; port++) {
			if (port <= 0 || port > 65_535 || can.has(port) || port === search.chosen) continue;
			found.push({ index: index + 1, was: "", line: "", why: `port ${port} is excluded` });
			if (port > search.low + 16) break;
		}
	}
}
