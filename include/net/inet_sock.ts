// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Inline functions of socks (include/net/inet_sock.h, include/linux/ipv6.h, include/net/route.h).
 */
import type { Ifindex, Port, Sk } from "../linux/handle.js";
import { jhash_3words } from "../linux/jhash.js";
import { INADDR_ANY } from "../uapi/linux/in.js";
import { swab16, swab32 } from "../uapi/linux/swab.js";
import {
	type Net,
	RT_SCOPE_LINK,
	RT_SCOPE_UNIVERSE,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
} from "./net_namespace.js";
import { INET_FREEBIND, INET_TRANSPARENT, SOCK_LOCALROUTE } from "./sock.js";
import type { Stack } from "./stack.js";

/** Whether the sock is IPv6-only. Valid for time-wait sockets as well. */
export function ipv6_only_sock(k: Stack, sk: Sk): boolean {
	return k.sock.skc_ipv6only[sk] !== 0;
}

/** struct flowi: the source address of a route need not be an address of this host. */
export const FLOWI_FLAG_ANYSRC = 1;

/**
 * Whether a socket bound to bound_dev_if (0: none) receives packets of device `dif`, or of its VRF
 * `sdif` (0: none).
 */
export function inet_sk_bound_dev_eq(
	net: Net,
	bound_dev_if: Ifindex,
	dif: Ifindex,
	sdif: Ifindex,
): boolean {
	if (bound_dev_if === 0) return sdif === 0 || net.ipv4.sysctl_tcp_l3mdev_accept !== 0;
	return bound_dev_if === dif || bound_dev_if === sdif;
}

/** Hash of an IPv4 four-tuple. `initval` holds the secret. */
export function __inet_ehashfn(
	laddr: number,
	lport: Port,
	faddr: number,
	fport: Port,
	initval: number,
): number {
	return jhash_3words(swab32(laddr), swab32(faddr), (lport << 16) | swab16(fport), initval);
}

/** The flags of a sock for the lookup of an IPv4 route. */
export function inet_sk_flowi_flags(k: Stack, sk: Sk): number {
	return (k.sock.inet_flags[sk] & INET_TRANSPARENT) !== 0 ? FLOWI_FLAG_ANYSRC : 0;
}

/** Whether bind() accepts an address of this type. */
export function inet_addr_valid_or_nonlocal(
	net: Net,
	inet_flags: number,
	addr: number,
	addr_type: number,
): boolean {
	return (
		net.ipv4.sysctl_ip_nonlocal_bind !== 0 ||
		(inet_flags & (INET_FREEBIND | INET_TRANSPARENT)) !== 0 ||
		addr === INADDR_ANY ||
		addr_type === RTN_LOCAL ||
		addr_type === RTN_MULTICAST ||
		addr_type === RTN_BROADCAST
	);
}

/**
 * include/net/route.h: ip_sock_rt_scope. With SO_DONTROUTE a route must not lead through a gateway.
 */
export function ip_sock_rt_scope(k: Stack, sk: Sk): number {
	return (k.sock.sk_flags[sk] & SOCK_LOCALROUTE) !== 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}
