// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Byte order (include/uapi/linux/swab.h). Addresses and ports are numbers in host order here. The
 * kernel hashes a __be32 or __be16 as it lies in memory. A little-endian machine reads it as the
 * swapped number, so the model hashes the swapped number.
 */

export function swab32(x: number): number {
	return ((x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24)) >>> 0;
}

export function swab16(x: number): number {
	return ((x << 8) | (x >>> 8)) & 0xffff;
}
