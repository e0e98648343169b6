// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * RFC 6056, section 3.3.5, algorithm 5: one counter for all destinations. Each candidate advances
 * it by a random number from 1 to N. It may give up although a port is free.
 */
import { CANDIDATE_OK } from "../../include/trace/events/port_search.js";
import type { Kernel } from "../../kernel-model/index.js";
import type { Chooser, Search, Strategy } from "../strategy.js";

/** The RFC's value. A larger value is harder to predict, but reuses a port sooner. */
const N = 500;

class RandomIncrements implements Chooser {
	private next_ephemeral: number;

	constructor(kernel: Kernel) {
		this.next_ephemeral = kernel.random.__get_random_u32_below(65536);
	}

	choose(search: Search): number {
		const { low, high, kernel } = search;
		const num_ephemeral = high - low + 1;
		for (let count = num_ephemeral; count > 0; count--) {
			this.next_ephemeral += kernel.random.__get_random_u32_below(N) + 1;
			const port = low + (this.next_ephemeral % num_ephemeral);
			if (search.look(port) === CANDIDATE_OK) return port;
		}
		return 0;
	}
}

export const strategies: readonly Strategy[] = [
	{
		name: "RFC 6056 algorithm 5",
		source: "RFC 6056, 3.3.5: random-increments port selection, N = 500",
		version: "7.3",
		start: (kernel) => new RandomIncrements(kernel),
	},
];
