// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Bob Jenkins' lookup3 hash over a few words, as the kernel's tables use it
 * (include/linux/jhash.h). All values are u32.
 */

/** The kernel's arbitrary initial value. */
const JHASH_INITVAL = 0xdeadbeef;

// The initial value of each hash. They are int32 and not exported, so that the JavaScript engine
// treats them as constants in loops.
const SEED_1WORD = (JHASH_INITVAL + (1 << 2)) | 0;
const SEED_3WORDS = (JHASH_INITVAL + (3 << 2)) | 0;

/** include/linux/jhash.h: __jhash_nwords, the final mix of three words. */
function __jhash_final(a: number, b: number, c: number): number {
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
	const seed = (initval + SEED_3WORDS) | 0;
	return __jhash_final((a + seed) | 0, (b + seed) | 0, (c + seed) | 0);
}

export function jhash_1word(a: number, initval: number): number {
	const seed = (initval + SEED_1WORD) | 0;
	return __jhash_final((a + seed) | 0, seed, seed);
}

/** jhash2() of four words, an IPv6 address (include/net/ipv6.h: __ipv6_addr_jhash). */
export function jhash2Of4(k0: number, k1: number, k2: number, k3: number, initval: number): number {
	const seed = (JHASH_INITVAL + (4 << 2) + initval) | 0;
	let a = (seed + k0) | 0;
	let b = (seed + k1) | 0;
	let c = (seed + k2) | 0;
	// __jhash_mix of the first three words; the fourth goes into the final mix.
	a = (a - c) | 0;
	a ^= (c << 4) | (c >>> 28);
	c = (c + b) | 0;
	b = (b - a) | 0;
	b ^= (a << 6) | (a >>> 26);
	a = (a + c) | 0;
	c = (c - b) | 0;
	c ^= (b << 8) | (b >>> 24);
	b = (b + a) | 0;
	a = (a - c) | 0;
	a ^= (c << 16) | (c >>> 16);
	c = (c + b) | 0;
	b = (b - a) | 0;
	b ^= (a << 19) | (a >>> 13);
	a = (a + c) | 0;
	c = (c - b) | 0;
	c ^= (b << 4) | (b >>> 28);
	b = (b + a) | 0;
	return __jhash_final((a + k3) | 0, b, c);
}

/**
 * Nine words, mixed as jhash2() does, but without JHASH_INITVAL and the length in the start value
 * `seed` (net/ipv6/inet6_hashtables.c: inet6_ehashfn).
 */
export function jhash9Words(
	k0: number,
	k1: number,
	k2: number,
	k3: number,
	k4: number,
	k5: number,
	k6: number,
	k7: number,
	k8: number,
	seed: number,
): number {
	let a = (seed + k0) | 0;
	let b = (seed + k1) | 0;
	let c = (seed + k2) | 0;
	for (let round = 0; round < 2; round++) {
		// __jhash_mix
		a = (a - c) | 0;
		a ^= (c << 4) | (c >>> 28);
		c = (c + b) | 0;
		b = (b - a) | 0;
		b ^= (a << 6) | (a >>> 26);
		a = (a + c) | 0;
		c = (c - b) | 0;
		c ^= (b << 8) | (b >>> 24);
		b = (b + a) | 0;
		a = (a - c) | 0;
		a ^= (c << 16) | (c >>> 16);
		c = (c + b) | 0;
		b = (b - a) | 0;
		b ^= (a << 19) | (a >>> 13);
		a = (a + c) | 0;
		c = (c - b) | 0;
		c ^= (b << 4) | (b >>> 28);
		b = (b + a) | 0;
		a = (a + (round === 0 ? k3 : k6)) | 0;
		b = (b + (round === 0 ? k4 : k7)) | 0;
		c = (c + (round === 0 ? k5 : k8)) | 0;
	}
	return __jhash_final(a, b, c);
}
