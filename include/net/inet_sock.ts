// SPDX-License-Identifier: GPL-2.0-or-later
/** Addresses of a sock in both families at once (include/net/inet_sock.h, include/linux/ipv6.h). */
import type { Sk } from "../linux/handle.js";
import { AF_INET6 } from "../linux/socket.js";
import { ipv6_addr_set_v4mapped } from "./ipv6.js";
import { INET_TRANSPARENT } from "./sock.js";
import type { Stack } from "./stack.js";

/** Whether IPv4 is closed to the sock; time-wait sockets know it as well. */
export function ipv6_only_sock(k: Stack, sk: Sk): boolean {
	return k.sock.skc_ipv6only[sk] !== 0;
}

/** A route may be from an address that is not one of the host's: struct flowi. */
export const FLOWI_FLAG_ANYSRC = 1;

/** What a sock asks of an IPv4 route. */
export function inet_sk_flowi_flags(k: Stack, sk: Sk): number {
	return (k.sock.inet_flags[sk] & INET_TRANSPARENT) !== 0 ? FLOWI_FLAG_ANYSRC : 0;
}

/** Sets the IPv4 address that is matched; an AF_INET6 sock gets it v4-mapped, too. */
export function sk_rcv_saddr_set(k: Stack, sk: Sk, addr: number): void {
	const S = k.sock;
	S.skc_rcv_saddr[sk] = addr;
	if (S.skc_family[sk] === AF_INET6) {
		ipv6_addr_set_v4mapped(addr, S.skc_v6_rcv_saddr, sk * 4);
	}
}

/** Sets the IPv4 destination; an AF_INET6 sock gets it v4-mapped, too. */
export function sk_daddr_set(k: Stack, sk: Sk, addr: number): void {
	const S = k.sock;
	S.skc_daddr[sk] = addr;
	if (S.skc_family[sk] === AF_INET6) ipv6_addr_set_v4mapped(addr, S.skc_v6_daddr, sk * 4);
}

/** Back to the wildcard address. */
export function inet_reset_saddr(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.skc_rcv_saddr[sk] = 0;
	S.inet_saddr[sk] = 0;
	if (S.skc_family[sk] === AF_INET6) {
		S.np_saddr.fill(0, sk * 4, sk * 4 + 4);
		S.skc_v6_rcv_saddr.fill(0, sk * 4, sk * 4 + 4);
	}
}
