// SPDX-License-Identifier: GPL-2.0-or-later
/** get_random_u32_below() with a constant bound draws no more bits than it needs. */
import { describe, expect, it } from "vitest";
import { Random } from "../../include/linux/random.js";

/** Returns given numbers and notes the calls. */
class Told extends Random {
	readonly asked: string[] = [];
	constructor(private readonly draws: number[]) {
		super();
	}
	private next(kind: string): number {
		this.asked.push(kind);
		return this.draws.shift() ?? 0;
	}
	override get_random_u32(): number {
		return this.next("u32");
	}
	override get_random_u16(): number {
		return this.next("u16");
	}
	override get_random_u8(): number {
		return this.next("u8");
	}
}

// The bound, the draws, the result, and the kinds of draws. The low part of bound times draw
// must not be below the remainder of the draw's range, so that all numbers are equally likely.
const CASES = [
	[0, [], 0, ""],
	[1, [], 0, ""],
	[8, [0xff], 7, "u8"],
	[8, [0], 0, "u8"],
	[0x100, [0xab], 0xab, "u8"],
	[3, [0, 0x56], 1, "u8 u8"], // 0x100 % 3 is 1: 0 is refused
	[0x101, [0, 0xffff], 0x100, "u16 u16"], // 0x10000 % 0x101 is 1
	[3, [0xab], 2, "u8"], // 3 * 0xab is 0x201: its low part is the remainder, and is taken
	[0x101, [0xff01], 0x100, "u16"],
	[0x10001, [0xffff0001], 0x10000, "u32"],
	[0x200, [0], 0, "u16"],
	[0x200, [0xffff], 0x1ff, "u16"],
	[0x10000, [0xabcd], 0xabcd, "u16"],
	[0x10001, [0, 0xffffffff], 0x10000, "u32 u32"], // 0x100000000 % 0x10001 is 1
	[0x20000, [0], 0, "u32"],
	[0x80000000, [0xffffffff], 0x7fffffff, "u32"],
] as const;

describe("get_random_u32_below() with a constant bound", () => {
	for (const [ceil, draws, result, asked] of CASES) {
		it(`of ${ceil} gives ${result} for ${draws.length === 0 ? "no draw" : `draws ${draws.join(", ")}`}`, () => {
			const random = new Told([...draws]);
			expect(random.getRandomU32BelowConst(ceil)).toBe(result);
			expect(random.asked.join(" ")).toBe(asked);
		});
	}
});
