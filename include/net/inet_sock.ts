// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Functions that set the address of a sock in both families (include/net/inet_sock.h,
 * include/linux/ipv6.h).
 */
import type { Sk } from "../linux/handle.js";
import { AF_INET6 } from "../linux/socket.js";
import { ipv6_addr_set_v4mapped } from "./ipv6.js";
import { RT_SCOPE_LINK, RT_SCOPE_UNIVERSE } from "./net_namespace.js";
import { INET_TRANSPARENT, SOCK_LOCALROUTE } from "./sock.js";
import type { Stack } from "./stack.js";

/** Whether the sock is IPv6-only. Valid for time-wait sockets as well. */
export function ipv6_only_sock(k: Stack, sk: Sk): boolean {
	return k.sock.skc_ipv6only[sk] !== 0;
}

/** struct flowi: the source address of a route need not be an address of this host. */
export const FLOWI_FLAG_ANYSRC = 1;

/** The flags of a sock for the lookup of an IPv4 route. */
export function inet_sk_flowi_flags(k: Stack, sk: Sk): number {
	return (k.sock.inet_flags[sk] & INET_TRANSPARENT) !== 0 ? FLOWI_FLAG_ANYSRC : 0;
}

/**
 * include/net/ip.h: ip_sock_rt_scope. With SO_DONTROUTE a route must not lead through a gateway.
 */
export function ip_sock_rt_scope(k: Stack, sk: Sk): number {
	return (k.sock.sk_flags[sk] & SOCK_LOCALROUTE) !== 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

/** Sets the local IPv4 address that lookups match. An AF_INET6 sock gets it v4-mapped as well. */
export function sk_rcv_saddr_set(k: Stack, sk: Sk, addr: number): void {
	const S = k.sock;
	S.skc_rcv_saddr[sk] = addr;
	if (S.skc_family[sk] === AF_INET6) {
		ipv6_addr_set_v4mapped(addr, S.skc_v6_rcv_saddr, sk * 4);
	}
}

/** Sets the IPv4 address of the peer. An AF_INET6 sock gets it v4-mapped as well. */
export function sk_daddr_set(k: Stack, sk: Sk, addr: number): void {
	const S = k.sock;
	S.skc_daddr[sk] = addr;
	if (S.skc_family[sk] === AF_INET6) ipv6_addr_set_v4mapped(addr, S.skc_v6_daddr, sk * 4);
}

/** Sets the local address to the wildcard. */
export function inet_reset_saddr(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.skc_rcv_saddr[sk] = 0;
	S.inet_saddr[sk] = 0;
	if (S.skc_family[sk] === AF_INET6) {
		S.np_saddr.fill(0, sk * 4, sk * 4 + 4);
		S.skc_v6_rcv_saddr.fill(0, sk * 4, sk * 4 + 4);
	}
}
