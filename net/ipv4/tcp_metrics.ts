// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/tcp_metrics.c: the fast open cookies that servers gave, by source and destination. If
 * there are many cookies, a kernel may drop the oldest. The model keeps them all.
 */
import type { Sk } from "../../include/linux/handle.js";
import { sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { skOverIpv6 } from "./inet_hashtables.js";

/** The source and the destination of a connection. */
function addresses(k: Stack, sk: Sk): string {
	const S = k.sock;
	const at = sk * 4;
	if (!skOverIpv6(S, sk)) return `${S.inet_saddr[sk]} ${S.skc_daddr[sk]}`;
	return `${S.np_saddr.slice(at, at + 4)} ${S.skc_v6_daddr.slice(at, at + 4)}`;
}

/** Whether there is a cookie for the destination of a connection. */
export function tcp_fastopen_cache_get(k: Stack, sk: Sk): boolean {
	const { tcp_metrics } = sk_net(k, sk);
	return k.draws.fastopenCookie(sk, tcp_metrics.size > 0 && tcp_metrics.has(addresses(k, sk)));
}

/** Keeps the cookie that the destination of a connection gave. */
export function tcp_fastopen_cache_set(k: Stack, sk: Sk): void {
	sk_net(k, sk).tcp_metrics.add(addresses(k, sk));
}
