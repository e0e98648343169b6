// SPDX-License-Identifier: GPL-2.0-or-later
/** Netmasks (include/linux/inetdevice.h). */

/** Whether two addresses have the same prefix. */
export function inet_ifa_match(addr: number, other: number, plen: number): boolean {
	return ((addr ^ other) & inet_make_mask(plen)) === 0;
}

/** The netmask of a prefix length, as u32. */
export function inet_make_mask(plen: number): number {
	return plen === 0 ? 0 : (0xffffffff << (32 - plen)) >>> 0;
}
