// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Bob Jenkins' lookup3 hash over one to three words, as the kernel's tables use it
 * (include/linux/jhash.h). All values are u32.
 */

/** An arbitrary start value, the kernel's: 0xdeadbeef. */
export const JHASH_INITVAL = 0xdeadbeef;

/** include/linux/jhash.h: __jhash_nwords, the final mix of three words. */
function jhash_final(a: number, b: number, c: number): number {
	c ^= b;
	c = (c - ((b << 14) | (b >>> 18))) | 0;
	a ^= c;
	a = (a - ((c << 11) | (c >>> 21))) | 0;
	b ^= a;
	b = (b - ((a << 25) | (a >>> 7))) | 0;
	c ^= b;
	c = (c - ((b << 16) | (b >>> 16))) | 0;
	a ^= c;
	a = (a - ((c << 4) | (c >>> 28))) | 0;
	b ^= a;
	b = (b - ((a << 14) | (a >>> 18))) | 0;
	c ^= b;
	c = (c - ((b << 24) | (b >>> 8))) | 0;
	return c >>> 0;
}

export function jhash_3words(a: number, b: number, c: number, initval: number): number {
	const seed = (initval + JHASH_INITVAL + (3 << 2)) | 0;
	return jhash_final((a + seed) | 0, (b + seed) | 0, (c + seed) | 0);
}

export function jhash_1word(a: number, initval: number): number {
	const seed = (initval + JHASH_INITVAL + (1 << 2)) | 0;
	return jhash_final((a + seed) | 0, seed, seed);
}
