// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Connects to one destination start from a common counter in table_perturb. Each connect advances
 * the counter by its own steps or by a random even number up to 14, plus 2. So the start of one
 * search leaves eight possible starts for the next one, and a recording can be checked for this.
 * The starts are shuffled every ten seconds. Recordings do not show when, so nothing is checked
 * without time stamps. Two destinations may share a counter, with a chance of 1 in 65,536. So
 * nothing is checked if there was a connect to another destination in between. IPv4 and IPv6 share
 * the counters. All network namespaces do as well, so another program on the machine may advance
 * them. Only live and campaigns are checked. A destination is an address and a port together with
 * the source address. A v4-mapped address counts as IPv4.
 */
import type { ConnectWindow } from "./observer.js";

/** The results of get_random_u32_below(8), which advances the counter. */
const DRAWS = [0, 1, 2, 3, 4, 5, 6, 7];
/** EPHEMERAL_PORT_SHUFFLE_PERIOD, ms. */
const PERIOD = 10_000;

interface Knowledge {
	low: number;
	remaining: number;
	step: number;
	/** Even offsets at which the next search may start. */
	starts: Set<number>;
	/** When the starts were learnt, ms. */
	time: number;
}

export class PerturbCheck {
	private readonly known = new Map<string, Knowledge>();
	private last: string | null = null;
	/**
	 * When in a period the shuffle may happen, ms. Searches that only a shuffle explains narrow it.
	 */
	private shuffle: [number, number] | null = null;

	/**
	 * Checks a search. `acceptable(p)` says whether the search would have chosen port p instead.
	 * Returns null if the chosen port fits, else the contradiction in words.
	 */
	observe(
		destination: string,
		window: ConnectWindow,
		port: number,
		time: number,
		acceptable: (port: number) => boolean,
	): string | null {
		const { low, high, remaining, step } = window;
		const offset = port - low;
		const learnt = this.known.get(destination);
		// The starts have been shuffled since.
		const before = learnt !== undefined && time - learnt.time < PERIOD ? learnt : undefined;
		const odd = step === 2 && (offset & 1) === 1;
		/**
		 * Steps from an even start to the chosen port; -1 if the search would have stopped before
		 * it.
		 */
		const steps = (start: number): number => {
			let candidate = low + start + (odd ? 1 : 0);
			for (let i = 0; i < remaining; i += step, candidate += step) {
				if (candidate >= high) candidate -= remaining;
				if (candidate === port) return i;
				if (acceptable(candidate)) return -1;
			}
			return -1;
		};
		const after = (start: number, i: number) =>
			DRAWS.map((draw) => (start + Math.max(i, draw * step) + step) % remaining);

		const next = new Set<number>();
		let verdict: string | null = null;
		if (
			before !== undefined &&
			before.low === low &&
			before.remaining === remaining &&
			before.step === step
		) {
			for (const start of before.starts) {
				const i = steps(start);
				if (i >= 0) for (const offset2 of after(start, i)) next.add(offset2);
			}
			const successive = this.last === destination;
			if (next.size === 0 && successive && !this.shuffledBetween(before.time, time)) {
				const starts = [...before.starts].map((start) => low + start).sort((a, b) => a - b);
				verdict = `searches to ${destination} may go on from ${starts.join(", ")} only`;
			}
		}
		if (next.size === 0) {
			const start = offset - (odd ? 1 : 0);
			for (const offset2 of after(start % remaining, 0)) next.add(offset2);
		}
		this.known.set(destination, { low, remaining, step, starts: next, time });
		this.last = destination;
		return verdict;
	}

	/** Lets go of starts that were shuffled before `time`, ms. */
	letGo(time: number): void {
		for (const [destination, { time: learnt }] of this.known) {
			if (time - learnt >= PERIOD) this.known.delete(destination);
		}
	}

	/** Number of destinations that are known. */
	get size(): number {
		return this.known.size;
	}

	/** Forgets a destination after a connect whose port is not known. */
	forget(destination: string): void {
		this.known.delete(destination);
		this.last = destination;
	}

	/** Whether a shuffle may lie between two moments. If so, assumes that it does. */
	private shuffledBetween(from: number, to: number): boolean {
		if (to - from >= PERIOD) return true;
		if (this.shuffle === null) {
			this.shuffle = [from, to];
			return true;
		}
		// The known interval, moved by whole periods to where it may meet (from, to].
		const [a, b] = this.shuffle;
		for (const n of [Math.floor((from - b) / PERIOD), Math.ceil((from - b) / PERIOD)]) {
			const low = Math.max(a + n * PERIOD, from);
			const high = Math.min(b + n * PERIOD, to);
			if (low <= high) {
				this.shuffle = [low, high];
				return true;
			}
		}
		return false;
	}
}
