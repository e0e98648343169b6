// SPDX-License-Identifier: GPL-2.0-or-later
/** Random draws for each protocol, independent of the calls of other protocols. */
import { Random } from "../../include/linux/random.js";
import { SeededRandom } from "../../kernel-model/index.js";

/** One source per protocol, and one for everything else. */
export class SeparateRandom extends Random {
	private readonly sources = new Map<string, SeededRandom>();
	private source: SeededRandom;
	/** The last u32, from which a UDP search starts. */
	last = 0;

	constructor(private readonly seed: number) {
		super();
		this.source = new SeededRandom(seed);
		this.sources.set("", this.source);
	}

	/** Selects the source of the next draws. */
	use(name: string): void {
		let source = this.sources.get(name);
		if (source === undefined) {
			let seed = this.seed;
			for (const letter of name) seed = Math.imul(seed, 31) + letter.charCodeAt(0);
			source = new SeededRandom(seed);
			this.sources.set(name, source);
		}
		this.source = source;
	}

	override get_random_u32(): number {
		this.last = this.source.get_random_u32();
		return this.last;
	}

	override get_random_u16(): number {
		return this.source.get_random_u16();
	}

	override get_random_u8(): number {
		return this.source.get_random_u8();
	}
}

/** Draws a fixed u32 if one is set, else seeded numbers. */
export class FixedRandom extends SeededRandom {
	u32: number | null = null;

	override get_random_u32(): number {
		return this.u32 ?? super.get_random_u32();
	}
}
