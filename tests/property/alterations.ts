// SPDX-License-Identifier: GPL-2.0-or-later
/** Results that are impossible for a random program, by the naive walk over all its searches. */
import { CANDIDATE_OK, SEARCH_UDP } from "../../include/trace/events/port_search.js";
import { EADDRINUSE, errnoName } from "../../kernel-model/index.js";
import { acceptable, searchError } from "./checks.js";
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
function reachable(search: TracedSearch, scan: Scan): Set<number> {
	const good = new Set(acceptable(search, scan).map((place) => scan.low + place));
	if (search.kind === SEARCH_UDP) return good.size === 0 ? new Set([0]) : good;
	const ports = new Set<number>();
	for (let offset = 0; offset < Math.max(scan.remaining, 1); offset++) {
		const order = passes(search.kind, scan, offset).flat();
		ports.add(order.find((port) => good.has(port)) ?? 0);
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
	/** Ports that were an end of a connection. Their clients may wait, even after a reset. */
	private readonly clients = new Set<number>();
	/** Alterations found while the program runs: a whole line, or another port in the line. */
	private readonly found: { index: number; why: string; to: string | number }[] = [];

	constructor(program: Program) {
		const run: Run = new Run(program, [
			(_run, call) => this.look(call, run.transcript.length - 1, run.transcript),
		]);
		run.play(program.ops);
		run.end();
		const head = run.setUpLines();
		this.lines = [...head, ...run.transcript];
		for (const { index: from, why, to } of this.found) {
			const index = head.length + from;
			const was = this.lines[index];
			const line = typeof to === "string" ? to : was.replace(/htons\([0-9]+\)/, `htons(${to})`);
			this.altered.push({ index, was, line, why });
		}
	}

	private look(call: Call, index: number, lines: readonly string[]): void {
		const line = lines[index];
		const as = (result: string, why: string) => {
			const to = line.replace(/ = (?:-1 \w+|-?[0-9]+)$/, ` = ${result}`);
			if (to !== line) this.found.push({ index, why, to });
		};
		const { search, result } = call;
		if (search !== null) this.lookAtSearch(call, search, index, as);
		else if (call.name === "bind" || call.name === "listen") {
			// The program named the port, so nothing is random.
			if (result === 0) {
				as("-1 EADDRINUSE", "error: no socket is in the way");
				as("-1 EINVAL", "error: the socket has no port yet");
			} else {
				as("0", `success: ${errnoName(-result)} is certain`);
				const other = result === -EADDRINUSE ? "EINVAL" : "EADDRINUSE";
				as(`-1 ${other}`, `error: ${errnoName(-result)} is certain`);
			}
		} else if (call.name === "connect" && call.tuple !== null && call.file.protocol === "tcp") {
			const free = call.tuple.verdict === CANDIDATE_OK;
			if (free) as("-1 EADDRNOTAVAIL", "error: the four-tuple is free");
			else as("0", "success: the four-tuple is taken");
		}
		for (const sock of call.before.sockets) if (isConnection(sock)) this.clients.add(sock.port);
		if (line.includes("accept4(") && result >= 0) {
			const one = call.before.sockets.find(({ port }) => port !== 0 && !this.clients.has(port));
			for (const to of [50_100, ...(one === undefined ? [] : [one.port])])
				this.found.push({ index, why: `port ${to} never was a client's`, to });
		}
	}

	private lookAtSearch(
		{ name }: Call,
		search: TracedSearch,
		index: number,
		as: (result: string, why: string) => void,
	): void {
		const can = choices(search);
		if (search.chosen === 0) {
			as("0", "success: no port is acceptable");
			return;
		}
		const error = errnoName(searchError(search.kind, name));
		if (!can.has(0)) as(`-1 ${error}`, "error: a port is acceptable");
		for (let port = search.low - 1; port <= search.high + 1; port++) {
			if (port <= 0 || port > 65_535 || can.has(port) || port === search.chosen) continue;
			// The port is in the line that follows the call.
			this.found.push({ index: index + 1, why: `port ${port} is excluded`, to: port });
			if (port > search.low + 16) break;
		}
	}
}
