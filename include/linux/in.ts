// SPDX-License-Identifier: GPL-2.0-or-later
/** Classes of IPv4 addresses, given as u32 in host order (include/linux/in.h). */

export function ipv4_is_loopback(addr: number): boolean {
	return addr >>> 24 === 127;
}

export function ipv4_is_multicast(addr: number): boolean {
	return addr >>> 28 === 0xe;
}

/** 224.0.0.0/24, never forwarded. */
export function ipv4_is_local_multicast(addr: number): boolean {
	return addr >>> 8 === 0xe00000;
}

export function ipv4_is_lbcast(addr: number): boolean {
	return addr === 0xffffffff;
}

/** 0.0.0.0 only. Since 5.3 the rest of 0.0.0.0/8 are ordinary addresses. */
export function ipv4_is_zeronet(addr: number): boolean {
	return addr === 0;
}

/** Whether an address is in 192.88.99.0/24. */
export function ipv4_is_anycast_6to4(addr: number): boolean {
	return addr >>> 8 === 0xc05863;
}
