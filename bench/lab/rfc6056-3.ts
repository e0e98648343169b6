// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * RFC 6056, section 3.3.3, algorithm 3: one counter for all destinations. A secret hash of the
 * other three values of the connection is the offset of each destination.
 */
import { newSiphashState, siphash_4u32 } from "../../include/linux/siphash.js";
import { CANDIDATE_OK } from "../../include/trace/events/port_search.js";
import type { Kernel } from "../../kernel-model/index.js";
import type { Chooser, Search, Strategy } from "../strategy.js";

class SimpleHashBased implements Chooser {
	private readonly secret_key = new Uint32Array(4);
	private readonly hash = new Uint32Array(2);
	private readonly state = newSiphashState();
	private next_ephemeral = 0;

	constructor(kernel: Kernel) {
		kernel.random.get_random_bytes(this.secret_key);
	}

	choose(search: Search): number {
		const { low, high, saddr, daddr, dport } = search;
		const num_ephemeral = high - low + 1;
		siphash_4u32(saddr, daddr, dport, 0, this.secret_key, this.hash, this.state);
		const offset = this.hash[0];
		for (let count = num_ephemeral; count > 0; count--) {
			const port = low + ((this.next_ephemeral + offset) % num_ephemeral);
			this.next_ephemeral++;
			if (search.look(port) === CANDIDATE_OK) return port;
		}
		return 0;
	}
}

export const strategies: readonly Strategy[] = [
	{
		name: "RFC 6056 algorithm 3",
		source: "RFC 6056, 3.3.3: simple hash-based port selection",
		version: "7.3",
		start: (kernel) => new SimpleHashBased(kernel),
	},
];
