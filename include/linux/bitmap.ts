// SPDX-License-Identifier: GPL-2.0-or-later
/** Bitmaps over words of 32 bits (include/linux/bitmap.h, bitops.h). */

/** Number of words that hold `nbits` bits. */
export function BITS_TO_LONGS(nbits: number): number {
	return (nbits + 31) >>> 5;
}

/** Clears the first `nbits` bits. */
export function bitmap_zero(dst: Uint32Array, nbits: number): void {
	const words = BITS_TO_LONGS(nbits);
	for (let word = 0; word < words; word++) dst[word] = 0;
}

export function __set_bit(nr: number, addr: Uint32Array): void {
	addr[nr >>> 5] |= 1 << (nr & 31);
}

export function test_bit(nr: number, addr: Uint32Array): boolean {
	return (addr[nr >>> 5] & (1 << (nr & 31))) !== 0;
}
