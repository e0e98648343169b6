// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The steps of a search, one by one: its start, its scans and passes, each candidate with the
 * verdict on it, and what was chosen. Tables of numbers hold them, because a search may try every
 * port of a range several times. The words of a step are made when it is shown.
 */
import {
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	CANDIDATE_TIME_WAIT,
	CANDIDATE_TUPLE_IN_USE,
	SEARCH_BIND,
	SEARCH_CONNECT,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import { inet_sk_get_local_port_range } from "../../net/ipv4/inet_connection_sock.js";
import { skOverIpv6 } from "../../net/ipv4/inet_hashtables.js";
import { plural } from "../machine/count.js";
import { describeRangeOrigin, explainVerdict, SearchExplainer } from "../machine/explain.js";
import type { Kernel } from "../machine/kernel.js";
import { conflictFunction, isSctp, isUdp } from "../machine/sharing.js";

/** Kinds of steps. */
const STEP_SEARCH = 1;
const STEP_SCAN = 2;
const STEP_PASS = 3;
/** A candidate that was passed over. */
export const STEP_SKIP = 4;
/** The search ended. The port is 0 if it found none. */
export const STEP_CHOSEN = 5;
/** bind() to a port that the program names, or listen(). */
export const STEP_BOUND = 6;
/** The bucket got an owner. */
const STEP_BUCKET = 7;
/** connect() of a socket that has a port. */
export const STEP_TUPLE = 8;

/** The steps of one call, as tables. */
export interface Steps {
	kinds: Uint8Array;
	/** The port of each step; 0 if it has none. */
	ports: Uint16Array;
	/** CANDIDATE_* of each step. */
	verdicts: Uint8Array;
	/** SEARCH_* of the search; 0 if the call did not search. */
	kind: number;
	/** The range of the search, inclusive. Without a search both are 0. */
	low: number;
	high: number;
}

/** A step in words. */
export interface StepWords {
	/** The function of the kernel. */
	where: string;
	text: string;
}

interface Scan {
	low: number;
	remaining: number;
	offset: number;
	half: number;
	relax: boolean;
}

/** Records the steps of one call, and explains it. */
export class StepRecorder extends SearchExplainer {
	private readonly kinds: number[] = [];
	private readonly ports: number[] = [];
	private readonly verdicts: number[] = [];
	private readonly socks: number[] = [];
	/** What a step has besides, by its index. */
	private readonly scans = new Map<number, Scan>();
	private readonly texts = new Map<number, string>();
	private readonly fasts = new Set<number>();
	private sock = 0;
	private searchKind = 0;
	private rangeLow = 0;
	private rangeHigh = 0;

	constructor(private readonly kernel: Kernel) {
		super(kernel);
	}

	get steps(): Steps {
		return {
			kinds: Uint8Array.from(this.kinds),
			ports: Uint16Array.from(this.ports),
			verdicts: Uint8Array.from(this.verdicts),
			kind: this.searchKind,
			low: this.rangeLow,
			high: this.rangeHigh,
		};
	}

	private step(kind: number, port: number, verdict = CANDIDATE_OK, sk2 = 0): number {
		this.ports.push(port);
		this.verdicts.push(verdict);
		this.socks.push(sk2);
		return this.kinds.push(kind) - 1;
	}

	override search(kind: number, sk: number, low: number, high: number): void {
		super.search(kind, sk, low, high);
		// A call that is made again begins again.
		for (const table of [this.kinds, this.ports, this.verdicts, this.socks]) table.length = 0;
		[this.sock, this.searchKind, this.rangeLow, this.rangeHigh] = [sk, kind, low, high];
		const call = kind === SEARCH_BIND ? "bind" : kind === SEARCH_UDP ? "udp bind" : "connect";
		const range = `${low}-${high} (${describeRangeOrigin(this.kernel, sk)})`;
		this.texts.set(this.step(STEP_SEARCH, 0), `${call} searches ${range}`);
	}

	override scan(low: number, remaining: number, offset: number, half: number, relax: boolean) {
		super.scan(low, remaining, offset, half, relax);
		this.scans.set(this.step(STEP_SCAN, low + offset), { low, remaining, offset, half, relax });
	}

	override pass(port: number): void {
		super.pass(port);
		this.step(STEP_PASS, port);
	}

	override skip(port: number, verdict: number, sk2: number): void {
		super.skip(port, verdict, sk2);
		this.step(STEP_SKIP, port, verdict, sk2);
	}

	override chosen(port: number): void {
		super.chosen(port);
		this.step(STEP_CHOSEN, port);
	}

	override bound(sk: number, port: number, fast: boolean, verdict: number, sk2: number): void {
		const from = this.lines.length;
		super.bound(sk, port, fast, verdict, sk2);
		if (this.searchKind === 0) this.sock = sk;
		const at = this.step(STEP_BOUND, port, verdict, sk2);
		if (fast) this.fasts.add(at);
		this.texts.set(at, this.lines[from] ?? "");
	}

	override bucket(tb: number, fastreuse: number, fastreuseport: number): void {
		const from = this.lines.length;
		super.bucket(tb, fastreuse, fastreuseport);
		this.texts.set(this.step(STEP_BUCKET, this.ports.at(-1) ?? 0), this.lines[from] ?? "");
	}

	override tuple(sk: number, port: number, verdict: number, sk2: number): void {
		const from = this.lines.length;
		super.tuple(sk, port, verdict, sk2);
		this.sock = sk;
		this.texts.set(this.step(STEP_TUPLE, port, verdict, sk2), this.lines[from] ?? "");
	}

	/** The scan that a step belongs to. */
	private scanOf(step: number): Scan | undefined {
		let found: Scan | undefined;
		for (const [at, scan] of this.scans) if (at <= step) found = scan;
		return found;
	}

	/** A step in words. The kernel must be in the state before the call. */
	words(step: number): StepWords {
		const { kernel: k, sock: sk } = this;
		const port = this.ports[step] ?? 0;
		const verdict = this.verdicts[step] ?? CANDIDATE_OK;
		const sk2 = this.socks[step] ?? 0;
		const udp = this.searchKind === SEARCH_UDP;
		const search = searchFunction(k, sk, this.searchKind);
		const text = this.texts.get(step) ?? "";
		switch (this.kinds[step]) {
			case STEP_SEARCH:
				return { where: udp ? "udp_lib_get_port" : "inet_sk_get_local_port_range", text };
			case STEP_SCAN:
				return { where: search, text: scanWords(this.scanOf(step)) };
			case STEP_PASS:
				return { where: search, text: this.passWords(step, port) };
			case STEP_SKIP: {
				const asking = this.scanOf(step)?.relax !== true;
				const said = explainVerdict(k, sk, port, verdict, sk2, asking);
				return { where: candidateFunction(k, sk, this.searchKind, verdict), text: said };
			}
			case STEP_CHOSEN:
				return { where: search, text: port === 0 ? "no port is left" : `takes port ${port}` };
			case STEP_BOUND: {
				const where = isUdp(k, sk) ? "udp_lib_get_port" : "inet_csk_get_port";
				const conflict = conflictFunction(k, sk, this.fasts.has(step));
				return { where: verdict === CANDIDATE_OK ? where : conflict, text };
			}
			case STEP_BUCKET:
				return { where: "inet_csk_update_fastreuse", text };
			default:
				return { where: checkEstablished(k, sk), text };
		}
	}

	/** "pass 1 over the even ports, up from 40002 and around". */
	private passWords(step: number, port: number): string {
		let pass = 0;
		for (let at = 0; at <= step; at++) if (this.kinds[at] === STEP_PASS) pass++;
		const scan = this.scanOf(step);
		const { kernel: k, sock: sk } = this;
		// since 6.8, 207184853dbd
		const every =
			this.searchKind === SEARCH_CONNECT &&
			k.changes.has("connect-range-step-1") &&
			inet_sk_get_local_port_range(k, sk);
		const parity = every ? "every port" : `the ${(port & 1) === 0 ? "even" : "odd"} ports`;
		const around = scan === undefined || port === scan.low ? "" : " and around";
		return `pass ${pass} over ${parity}, up from ${port}${around}`;
	}
}

function scanWords(scan: Scan | undefined): string {
	if (scan === undefined) return "";
	const { low, remaining, offset, half, relax } = scan;
	const part = ["", "lower half of the range: ", "upper half of the range: "][half] ?? "";
	const ports = plural(remaining, "port");
	const rule = relax ? ", and now shares with SO_REUSEADDR sockets (ip_autobind_reuse)" : "";
	return `${part}${ports} from ${low} on; the draw is ${offset}, so it starts at ${low + offset}${rule}`;
}

/** The function of the kernel in which a search runs. */
function searchFunction(k: Kernel, sk: number, kind: number): string {
	if (kind === SEARCH_UDP) return "udp_lib_get_port";
	if (sk !== 0 && isSctp(k, sk)) return "sctp_get_port_local";
	return kind === SEARCH_CONNECT ? "__inet_hash_connect" : "inet_csk_find_open_port";
}

const checkEstablished = (k: Kernel, sk: number): string =>
	`__inet${skOverIpv6(k.sock, sk) ? "6" : ""}_check_established`;

/** The function of the kernel that passes a candidate over. */
function candidateFunction(k: Kernel, sk: number, kind: number, verdict: number): string {
	switch (verdict) {
		case CANDIDATE_RESERVED:
			return "inet_is_local_reserved_port";
		case CANDIDATE_NOT_SHAREABLE:
			return searchFunction(k, sk, kind);
		case CANDIDATE_TUPLE_IN_USE:
			return checkEstablished(k, sk);
		case CANDIDATE_TIME_WAIT:
			return "tcp_twsk_unique";
		case CANDIDATE_CONFLICT_ANY:
			return "inet_bhash2_addr_any_conflict";
		default:
			return conflictFunction(k, sk, false);
	}
}
