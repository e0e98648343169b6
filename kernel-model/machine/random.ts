// SPDX-License-Identifier: GPL-2.0-or-later
/** Sources of random draws: from a seed, or replayed from a list. */
import { Random } from "../../include/linux/random.js";
import { shownValue } from "./arguments.js";

/** The type says that the four words exist, so reading one needs no check. */
type State = Uint32Array & Record<0 | 1 | 2 | 3, number>;

/** Draws the same numbers for the same seed: xoshiro128**, seeded by splitmix32. */
export class SeededRandom extends Random {
	private readonly s = new Uint32Array(4) as State;

	/** Only the low 32 bits of the seed are used. Throws TypeError if it is not an integer. */
	constructor(seed: number) {
		super();
		if (!Number.isInteger(seed)) {
			throw new TypeError(`seed: expected an integer, found ${shownValue(seed)}`);
		}
		let z = seed >>> 0;
		for (let i = 0; i < 4; i++) {
			z = (z + 0x9e3779b9) >>> 0;
			let x = z;
			x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
			x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
			this.s[i] = x ^ (x >>> 16);
		}
	}

	override get_random_u32(): number {
		const { s } = this;
		const s0 = s[0];
		const s1 = s[1];
		const product = Math.imul(s1, 5);
		const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
		const s2 = s[2] ^ s0;
		const s3 = s[3] ^ s1;
		s[0] = s0 ^ s3;
		s[1] = s1 ^ s2;
		s[2] = s2 ^ (s1 << 9);
		s[3] = (s3 << 11) | (s3 >>> 21);
		return result;
	}

	override get_random_u16(): number {
		return this.get_random_u32() >>> 16;
	}

	override get_random_u8(): number {
		return this.get_random_u32() >>> 24;
	}
}

/**
 * For kernels whose searches are steered. Secrets do not depend on earlier draws, so kernels of
 * several versions have the same secrets.
 */
export class SteadyRandom extends SeededRandom {
	constructor() {
		super(1);
	}

	/** connect()'s search adds this to its counter. A steered search does not use the counter. */
	override get_random_u8(): number {
		return 0;
	}

	override get_random_bytes(words: Uint32Array): void {
		const random = new SeededRandom(words.length);
		for (let i = 0; i < words.length; i++) words[i] = random.get_random_u32();
	}
}

/** A draw that a kernel made. Kind `below` is a result of __get_random_u32_below. */
export interface Draw {
	kind: "u8" | "u16" | "u32" | "below";
	value: number;
}

/**
 * Replays recorded draws in order. A draw of another kind than recorded, or one draw too many,
 * throws Error. Secrets of hash tables come from a seed: they choose no port by themselves.
 */
export class ReplayedRandom extends Random {
	private next = 0;
	private readonly secrets = new SeededRandom(0);

	constructor(private readonly draws: readonly Draw[]) {
		super();
	}

	/** Recorded draws that were not replayed. */
	get left(): number {
		return this.draws.length - this.next;
	}

	private take(kind: Draw["kind"]): number {
		const draw = this.draws[this.next];
		if (draw === undefined) throw new Error(`draw ${this.next + 1}: ${kind} drawn, none recorded`);
		if (draw.kind !== kind) {
			throw new Error(`draw ${this.next + 1}: ${kind} drawn, ${draw.kind} recorded`);
		}
		this.next++;
		return draw.value;
	}

	override get_random_u32(): number {
		return this.take("u32");
	}

	override get_random_u16(): number {
		return this.take("u16");
	}

	override get_random_u8(): number {
		return this.take("u8");
	}

	override __get_random_u32_below(_ceil: number): number {
		return this.take("below");
	}

	override get_random_bytes(words: Uint32Array): void {
		this.secrets.get_random_bytes(words);
	}
}

/** A draw that a kernel's port search made. */
export interface KernelDraw {
	/** u8, u16, u32, below, off4 or off6. */
	kind: string;
	/** The kernel's function that drew it. */
	caller: string;
	value: bigint;
	/** The bound of a draw of kind `below`; null for other kinds. */
	ceil: number | null;
}
