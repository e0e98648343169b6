// SPDX-License-Identifier: GPL-2.0-or-later
/** What a search that finds no port sees of its range. */
import { noTrace, type PortSearchTrace } from "../../include/trace/events/port_search.js";
import { explainVerdict } from "../machine/explain.js";
import type { Kernel } from "../machine/kernel.js";
import { describeRange, searchVerdict } from "../machine/sharing.js";

/** A search that found no port. */
export interface Searched {
	/** How many ports were free, taken, reserved and in TIME_WAIT. */
	range: string;
	/** Why the port that the kernel chose was not free, null where none is known. */
	clause: string | null;
	/** The sock that has this port, 0 if there is none. */
	blocker: number;
}

/**
 * Looks at the range where the search ends: connect() forgets its destination after it, and
 * four-tuples are told by the destination.
 */
export class RangeWatch implements PortSearchTrace {
	found: Searched | null = null;
	readonly pass = noTrace.pass;
	readonly skip = noTrace.skip;
	readonly bound = noTrace.bound;
	readonly bucket = noTrace.bucket;
	readonly tuple = noTrace.tuple;
	private kind = 0;
	private sk = 0;
	private low = 0;
	private high = 0;
	private relax = false;

	/** `wanted` is the port that the kernel chose, 0 where it is not known. */
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
		const range = describeRange(k, kind, sk, low, high, relax);
		this.found = { range, clause: null, blocker: 0 };
		if (wanted === 0) return;
		if (wanted < low || wanted > high) {
			this.found.clause = `port ${wanted} is not in ${low}-${high}`;
			return;
		}
		const verdict = searchVerdict(k, kind, sk, wanted, relax);
		this.found.clause = explainVerdict(k, sk, wanted, verdict, k.blocker, true);
		this.found.blocker = k.blocker;
	}
}
