// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * jhash over words is hashword() of lookup3. The numbers come from a C program that was written
 * only from the published description of hashword(). Three words start at
 * 0xdeadbeef + 4 * n + initval. In each round three words are added and mixed by rotations of
 * 4, 6, 8, 16, 19, 4 bits. The rest is added and mixed by 14, 11, 25, 16, 4, 14, 24.
 */
import { describe, expect, it } from "vitest";
import { jhash_1word, jhash_3words, jhash2Of4 } from "../../include/linux/jhash.js";

/** Four words and an initval; hashword() of all four, of the first three, of the first. */
const KNOWN = [
	[[0, 0, 0, 0, 0], 0xbaf9078c, 0x1b68e557, 0x049396b8],
	[[0, 0, 0, 0, 1], 0x295835ff, 0x5f1d7d04, 0xd9a91087],
	[[1, 2, 3, 4, 0], 0x66491246, 0xa46158f5, 0x72a82a9b],
	[[1, 2, 3, 4, 0xffffffff], 0xc104937f, 0x99dd42f4, 0x8f68e60d],
	[
		[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
		0x34e69a46,
		0xc343af0b,
		0xeae46760,
	],
	[[0x20010db8, 0, 0, 1, 0x12345678], 0x255769e4, 0x547cd248, 0x903b06ac],
	[
		[0xdeadbeef, 0x01234567, 0x89abcdef, 0xfedcba98, 0x80000000],
		0xa923323c,
		0x046425ca,
		0x74f1df58,
	],
] as const;

describe("jhash", () => {
	for (const [[a, b, c, d, initval], four, three, one] of KNOWN) {
		const words = [a, b, c, d].map((word) => word.toString(16)).join(" ");
		it(`equals hashword() of lookup3 for ${words}, initval ${initval}`, () => {
			expect(jhash2Of4(a, b, c, d, initval) >>> 0).toBe(four);
			expect(jhash_3words(a, b, c, initval) >>> 0).toBe(three);
			expect(jhash_1word(a, initval) >>> 0).toBe(one);
		});
	}
});
