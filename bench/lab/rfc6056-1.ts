// SPDX-License-Identifier: GPL-2.0-or-later
/** RFC 6056, section 3.3.1, algorithm 1: a random start, then port by port. */
import { CANDIDATE_OK } from "../../include/trace/events/port_search.js";
import type { Chooser, Search, Strategy } from "../strategy.js";

class SimplePortRandomization implements Chooser {
	choose(search: Search): number {
		const { low, high } = search;
		let next_ephemeral = low + search.kernel.random.__get_random_u32_below(high - low + 1);
		for (let count = high - low + 1; count > 0; count--) {
			if (search.look(next_ephemeral) === CANDIDATE_OK) return next_ephemeral;
			next_ephemeral = next_ephemeral === high ? low : next_ephemeral + 1;
		}
		return 0;
	}
}

export const strategies: readonly Strategy[] = [
	{
		name: "RFC 6056 algorithm 1",
		source: "RFC 6056, 3.3.1: simple port randomization",
		version: "7.3",
		start: () => new SimplePortRandomization(),
	},
];
