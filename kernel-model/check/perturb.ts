// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Successive connects to one destination start from a common counter, table_perturb: each
 * moves it on by its own steps or by a random even number up to 14, plus 2. So the start of
 * one search leaves eight possible starts for the next, and a recording can be checked for
 * that. Every ten seconds the starts are shuffled anew, at a moment that no recording
 * shows; so without time stamps nothing can be said. Two destinations share a counter by
 * chance, once in 65,536; so nothing is said either where another was connected to between.
 * IPv4 and IPv6 have the counters in common: a destination is its whole address and port,
 * with the address that it is reached from, and a v4-mapped one is that of IPv4.
 */
import type { ConnectWindow } from "./observer.js";

/** Random draws that move the counter by as many steps: get_random_u32_below(8). */
const DRAWS = [0, 1, 2, 3, 4, 5, 6, 7];
/** EPHEMERAL_PORT_SHUFFLE_PERIOD, ms. */
const PERIOD = 10_000;

interface Knowledge {
	low: number;
	remaining: number;
	step: number;
	/** Even offsets at which the next search may start. */
	starts: Set<number>;
	/** When this was learnt, ms. */
	time: number;
}

export class PerturbCheck {
	private readonly known = new Map<string, Knowledge>();
	private last: string | null = null;
	/** Where in a period the shuffle may fall, ms; narrowed by searches that only a shuffle explains. */
	private shuffle: [number, number] | null = null;

	/**
	 * A search from `from` to the port that was chosen, where `acceptable(p)` says whether it
	 * would have taken p instead. Null if it fits; else what does not.
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
		const before = this.known.get(destination);
		const odd = step === 2 && (offset & 1) === 1;
		/** Steps from an even start to the chosen port, or -1 if the search would have stopped before. */
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

	/** A connect to the destination whose port is not known. */
	forget(destination: string): void {
		this.known.delete(destination);
		this.last = destination;
	}

	/** Whether a shuffle may lie between two moments; if so, it is taken to. */
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
