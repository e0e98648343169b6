// SPDX-License-Identifier: GPL-2.0-or-later
/** Integer arithmetic that JavaScript has no operator for (include/linux/math64.h, kernel.h). */

/** High half of the product of two u32. */
export function mulU32High(a: number, b: number): number {
	const low = (a & 0xffff) * b; // < 2^48
	const high = (a >>> 16) * b; // < 2^48
	return Math.floor((high + Math.floor(low / 0x10000)) / 0x10000) >>> 0;
}

/** include/linux/kernel.h: reciprocal_scale. Scales a u32 to [0, ep_ro). */
export function reciprocal_scale(val: number, ep_ro: number): number {
	// A product below 2^53 is exact.
	return ep_ro <= 0x200000 ? Math.floor((val * ep_ro) / 0x100000000) : mulU32High(val, ep_ro);
}

/** Greatest common divisor (lib/math/gcd.c). */
export function gcd(a: number, b: number): number {
	while (b !== 0) [a, b] = [b, a % b];
	return a;
}
