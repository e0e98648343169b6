// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv6/addrlabel.c: the labels of addresses, by which a source address is selected. */
import type { In6Addr } from "../../include/net/ipv6.js";

/** Label of an address in the default policy table: that of the longest prefix that matches. */
export function ipv6_addr_label(a: In6Addr, i: number): number {
	const word = a[i];
	if (word === 0 && a[i + 1] === 0) {
		if (a[i + 2] === 0 && a[i + 3] === 1) return 0; // ::1/128
		if (a[i + 2] === 0xffff) return 4; // ::ffff:0:0/96
		if (a[i + 2] === 0) return 3; // ::/96
	}
	if (word === 0x20010000) return 6; // 2001::/32, Teredo
	if (word >>> 4 === 0x2001001) return 7; // 2001:10::/28, ORCHID
	if (word >>> 16 === 0x2002) return 2; // 2002::/16, 6to4
	if (word >>> 16 === 0x3ffe) return 12; // 3ffe::/16, 6bone
	if (word >>> 22 === 0xfec0 >>> 6) return 11; // fec0::/10, site-local
	if (word >>> 25 === 0xfc >>> 1) return 5; // fc00::/7, unique local
	return 1;
}
