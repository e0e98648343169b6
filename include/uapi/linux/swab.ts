// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Byte order (include/uapi/linux/swab.h). Addresses and ports are numbers in host order
 * here; where the kernel hashes a __be32 or __be16 as it lies in memory, a little-endian
 * machine sees the swapped number, and so does this model.
 */

export function swab32(x: number): number {
	return ((x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24)) >>> 0;
}

export function swab16(x: number): number {
	return ((x << 8) | (x >>> 8)) & 0xffff;
}
