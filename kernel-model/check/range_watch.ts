// SPDX-License-Identifier: GPL-2.0-or-later
/** Watches a call that fails: its range, the socket in its way, the check that it did not pass. */
import { CANDIDATE_OK, noTrace, SEARCH_UDP } from "../../include/trace/events/port_search.js";
import { skOverIpv6 } from "../../net/ipv4/inet_hashtables.js";
import { explainVerdict } from "../machine/explain.js";
import { failureReason } from "../machine/failures.js";
import type { Kernel } from "../machine/kernel.js";
import { conflictFunction, describeRange, searchVerdict } from "../machine/sharing.js";
import type { KernelTrace, Syscall } from "../machine/syscall.js";
import type { Task } from "../machine/task.js";

/**
 * Examines the range at the end of a search. Later would be too late, because a failed connect()
 * clears the destination and four-tuples depend on the destination.
 */
export class RangeWatch implements KernelTrace {
	/** How many ports were free, taken, reserved and in TIME_WAIT, if a search found none. */
	range: string | null = null;
	/** Why the port that the kernel chose, or the program named, was not free. */
	clause: string | null = null;
	/** The sock that has this port; 0 if there is none. */
	blocker = 0;
	/** The check that the call did not pass, with its kernel function. */
	failure: string | null = null;
	readonly pass = noTrace.pass;
	readonly look = noTrace.look;
	readonly skip = noTrace.skip;
	readonly bucket = noTrace.bucket;
	private kind = 0;
	private sk = 0;
	private low = 0;
	private high = 0;
	private relax = false;

	/** `wanted` is the port that the kernel chose; 0 if it is not known. */
	constructor(
		private readonly k: Kernel,
		private readonly wanted: number,
	) {}

	search(kind: number, sk: number, low: number, high: number): void {
		[this.kind, this.sk, this.low, this.high] = [kind, sk, low, high];
	}

	scan(_low: number, _remaining: number, _offset: number, _half: number, relax: boolean): void {
		this.relax = relax;
	}

	chosen(port: number): void {
		if (port !== 0) return;
		const { k, kind, sk, low, high, relax, wanted } = this;
		this.range = describeRange(k, kind, sk, low, high, relax);
		if (wanted === 0) return;
		if (wanted < low || wanted > high) {
			this.clause = `port ${wanted} is not in ${low}-${high}`;
			return;
		}
		const verdict = searchVerdict(k, kind, sk, wanted, relax);
		this.clause = explainVerdict(k, sk, wanted, verdict, k.blocker, kind !== SEARCH_UDP);
		this.blocker = k.blocker;
	}

	bound(sk: number, port: number, fast: boolean, verdict: number, sk2: number): void {
		if (verdict === CANDIDATE_OK) return;
		const where = conflictFunction(this.k, sk, fast);
		this.clause = `${where}: ${explainVerdict(this.k, sk, port, verdict, sk2, false)}`;
		this.blocker = sk2;
	}

	tuple(sk: number, port: number, verdict: number, sk2: number): void {
		if (verdict === CANDIDATE_OK) return;
		const where = `__inet${skOverIpv6(this.k.sock, sk) ? "6" : ""}_check_established`;
		this.clause = `${where}: ${explainVerdict(this.k, sk, port, verdict, sk2, false)}`;
		this.blocker = sk2;
	}

	sys_exit(task: Task, call: Syscall, result: number): void {
		if (result >= 0 || this.failure !== null) return;
		const [, where, why] = failureReason(this.k, task, call, -result);
		this.failure = `${where}: ${why}`;
	}
}
