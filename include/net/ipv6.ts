// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * IPv6 addresses and their types (include/net/ipv6.h, include/uapi/linux/in6.h,
 * net/ipv6/addrconf_core.c: __ipv6_addr_type).
 *
 * An address is four u32 words in host order, most significant first. They lie anywhere in an
 * array. A function takes the array and the index of the first word, where C takes a pointer.
 */
import type { Port } from "../linux/handle.js";
import { jhash_1word, jhash_3words, jhash2Of4 } from "../linux/jhash.js";
import { swab32 } from "../uapi/linux/swab.js";
import type { Net } from "./net_namespace.js";
import { INET_FREEBIND, INET_TRANSPARENT } from "./sock.js";

/** An array of one address: four words. */
export type In6Addr = Uint32Array;

export const in6addr_any: In6Addr = Uint32Array.of(0, 0, 0, 0);
export const in6addr_loopback: In6Addr = Uint32Array.of(0, 0, 0, 1);

/** skc_rcv_saddr of a socket on an IPv6 address: an address of 127.0.0.0/8 that nobody uses. */
export const LOOPBACK4_IPV6 = 0x7f000006;

export const IPV6_ADDR_ANY = 0x0000;
export const IPV6_ADDR_UNICAST = 0x0001;
export const IPV6_ADDR_MULTICAST = 0x0002;
export const IPV6_ADDR_LOOPBACK = 0x0010;
export const IPV6_ADDR_LINKLOCAL = 0x0020;
export const IPV6_ADDR_SITELOCAL = 0x0040;
const IPV6_ADDR_COMPATv4 = 0x0080;
export const IPV6_ADDR_MAPPED = 0x1000;

/** The bits of an address type that are the scope of a struct inet6_ifaddr. */
export const IPV6_ADDR_SCOPE_MASK = 0x00f0;

/** __IPV6_ADDR_SCOPE_*: a lower number is a narrower scope, 0xe is global. */
const IPV6_ADDR_SCOPE_NODELOCAL = 0x01;
export const IPV6_ADDR_SCOPE_LINKLOCAL = 0x02;
const IPV6_ADDR_SCOPE_SITELOCAL = 0x05;
const IPV6_ADDR_SCOPE_GLOBAL = 0x0e;

export function ipv6_addr_any(a: Uint32Array, i: number): boolean {
	return (a[i] | a[i + 1] | a[i + 2] | a[i + 3]) === 0;
}

export function ipv6_addr_loopback(a: Uint32Array, i: number): boolean {
	return (a[i] | a[i + 1] | a[i + 2]) === 0 && a[i + 3] === 1;
}

/** Whether an address is in ::ffff:0:0/96. */
export function ipv6_addr_v4mapped(a: Uint32Array, i: number): boolean {
	return (a[i] | a[i + 1]) === 0 && a[i + 2] === 0xffff;
}

/** Whether an address is ::ffff:0.0.0.0. */
export function ipv6_addr_v4mapped_any(a: Uint32Array, i: number): boolean {
	return ipv6_addr_v4mapped(a, i) && a[i + 3] === 0;
}

export function ipv6_addr_is_multicast(a: Uint32Array, i: number): boolean {
	return a[i] >>> 24 === 0xff;
}

export function ipv6_addr_equal(a: Uint32Array, i: number, b: Uint32Array, j: number): boolean {
	return a[i] === b[j] && a[i + 1] === b[j + 1] && a[i + 2] === b[j + 2] && a[i + 3] === b[j + 3];
}

export function ipv6_addr_copy(to: Uint32Array, i: number, from: Uint32Array, j: number): void {
	to[i] = from[j];
	to[i + 1] = from[j + 1];
	to[i + 2] = from[j + 2];
	to[i + 3] = from[j + 3];
}

export function ipv6_addr_set_v4mapped(addr: number, to: Uint32Array, i: number): void {
	to[i] = 0;
	to[i + 1] = 0;
	to[i + 2] = 0xffff;
	to[i + 3] = addr;
}

/** The type of an address in the low half, its scope in the high half. */
export function __ipv6_addr_type(a: Uint32Array, i: number): number {
	const st = a[i];
	// Addresses outside 000/3 and 111/3 are global unicast.
	if ((st & 0xe0000000) !== 0 && (st & 0xe0000000) >>> 0 !== 0xe0000000) {
		return IPV6_ADDR_UNICAST | (IPV6_ADDR_SCOPE_GLOBAL << 16);
	}
	if (st >>> 24 === 0xff) return IPV6_ADDR_MULTICAST | ipv6_addr_scope2type((st >>> 16) & 0xf);
	if ((st & 0xffc00000) >>> 0 === 0xfe800000) {
		return IPV6_ADDR_LINKLOCAL | IPV6_ADDR_UNICAST | (IPV6_ADDR_SCOPE_LINKLOCAL << 16);
	}
	if ((st & 0xffc00000) >>> 0 === 0xfec00000) {
		return IPV6_ADDR_SITELOCAL | IPV6_ADDR_UNICAST | (IPV6_ADDR_SCOPE_SITELOCAL << 16);
	}
	if ((st & 0xfe000000) >>> 0 === 0xfc000000) {
		return IPV6_ADDR_UNICAST | (IPV6_ADDR_SCOPE_GLOBAL << 16); // unique local, RFC 4193
	}
	if ((a[i] | a[i + 1]) === 0) {
		if (a[i + 2] === 0) {
			if (a[i + 3] === 0) return IPV6_ADDR_ANY;
			if (a[i + 3] === 1) {
				return IPV6_ADDR_LOOPBACK | IPV6_ADDR_UNICAST | (IPV6_ADDR_SCOPE_LINKLOCAL << 16);
			}
			return IPV6_ADDR_COMPATv4 | IPV6_ADDR_UNICAST | (IPV6_ADDR_SCOPE_GLOBAL << 16);
		}
		if (a[i + 2] === 0xffff) return IPV6_ADDR_MAPPED | (IPV6_ADDR_SCOPE_GLOBAL << 16);
	}
	return IPV6_ADDR_UNICAST | (IPV6_ADDR_SCOPE_GLOBAL << 16);
}

/** The type bits of a multicast scope: those of a unicast address of this scope. */
function ipv6_addr_scope2type(scope: number): number {
	const unicast: Record<number, number> = {
		[IPV6_ADDR_SCOPE_NODELOCAL]: IPV6_ADDR_LOOPBACK,
		[IPV6_ADDR_SCOPE_LINKLOCAL]: IPV6_ADDR_LINKLOCAL,
		[IPV6_ADDR_SCOPE_SITELOCAL]: IPV6_ADDR_SITELOCAL,
	};
	return (unicast[scope] ?? 0) | (scope << 16);
}

/** The type of an address without its scope: IPV6_ADDR_*. */
export function ipv6_addr_type(a: Uint32Array, i: number): number {
	return __ipv6_addr_type(a, i) & 0xffff;
}

/** The scope of an address: IPV6_ADDR_SCOPE_*. */
export function ipv6_addr_scope(a: Uint32Array, i: number): number {
	return __ipv6_addr_type(a, i) >>> 16;
}

/** The scope of a source address. -1 for the wildcard; no address has it. */
export function ipv6_addr_src_scope(type: number): number {
	return type === IPV6_ADDR_ANY ? -1 : type >>> 16;
}

/** Whether an address of this type needs a scope id (the link) to name a host. */
export function __ipv6_addr_needs_scope_id(type: number): boolean {
	return (
		(type & IPV6_ADDR_LINKLOCAL) !== 0 ||
		((type & IPV6_ADDR_MULTICAST) !== 0 && (type & IPV6_ADDR_LOOPBACK) !== 0)
	);
}

/** The scope id of an address that device `iface` has or receives: 0 if it needs none. */
export function ipv6_iface_scope_id(a: Uint32Array, i: number, iface: number): number {
	return __ipv6_addr_needs_scope_id(__ipv6_addr_type(a, i)) ? iface : 0;
}

/** The first `plen` bits of an address, the rest is 0. */
export function ipv6_addr_prefix(addr: In6Addr, plen: number): In6Addr {
	return addr.map((word, i) => {
		const bits = Math.min(Math.max(plen - i * 32, 0), 32);
		return bits === 0 ? 0 : word & (0xffffffff << (32 - bits));
	});
}

/** The number of leading bits that two addresses have in common. */
export function ipv6_addr_diff(a: Uint32Array, i: number, b: Uint32Array, j: number): number {
	for (let word = 0; word < 4; word++) {
		const differ = a[i + word] ^ b[j + word];
		if (differ !== 0) return word * 32 + Math.clz32(differ);
	}
	return 128;
}

/** Whether bind() accepts addresses of other hosts. */
export function ipv6_can_nonlocal_bind(net: Net, inet_flags: number): boolean {
	return net.ipv6.ip_nonlocal_bind !== 0 || (inet_flags & (INET_FREEBIND | INET_TRANSPARENT)) !== 0;
}

/** Whether the first `plen` bits of two addresses are equal. */
export function ipv6_prefix_equal(
	a: Uint32Array,
	i: number,
	b: Uint32Array,
	j: number,
	plen: number,
): boolean {
	return ipv6_addr_diff(a, i, b, j) >= plen;
}

/** Hash of (address, port) for bhash2, lhash2 and UDP's second hash. */
export function ipv6_portaddr_hash(net: Net, a: Uint32Array, i: number, port: Port): number {
	let hash: number;
	if (ipv6_addr_any(a, i)) hash = jhash_1word(0, net.hash_mix);
	else if (ipv6_addr_v4mapped(a, i)) hash = jhash_1word(swab32(a[i + 3]), net.hash_mix);
	else {
		hash = jhash2Of4(
			swab32(a[i]),
			swab32(a[i + 1]),
			swab32(a[i + 2]),
			swab32(a[i + 3]),
			net.hash_mix,
		);
	}
	return (hash ^ port) >>> 0;
}

export function ipv6_addr_orchid(a: In6Addr, i: number): boolean {
	return a[i] >>> 4 === 0x2001001;
}

/** Hash of an IPv6 address, for the hash of a four-tuple. */
export function __ipv6_addr_jhash(a: Uint32Array, i: number, initval: number): number {
	return jhash2Of4(swab32(a[i]), swab32(a[i + 1]), swab32(a[i + 2]), swab32(a[i + 3]), initval);
}

/** __ipv6_addr_jhash before 6.5 (ipv6-jhash-whole-address): the first two words count as one. */
export function ipv6AddrJhashFolded(a: Uint32Array, i: number, initval: number): number {
	return jhash_3words(swab32(a[i] ^ a[i + 1]), swab32(a[i + 2]), swab32(a[i + 3]), initval);
}
