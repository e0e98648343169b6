// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/tcp_fastopen.c: whether a connection may begin with data, and whether a listener gives
 * cookies. A cookie stays valid as long as the model has it. An invalid cookie would not change
 * the result of a call.
 */
import type { Sk } from "../../include/linux/handle.js";
import { INET_DEFER_CONNECT, sk_net } from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	TCPHDR_FASTOPEN,
	TFO_CLIENT_NO_COOKIE,
	TFO_SERVER_COOKIE_NOT_REQD,
	TFO_SERVER_ENABLE,
} from "../../include/net/tcp.js";
import { tcp_fastopen_cache_get } from "./tcp_metrics.js";

/** Whether no cookie is needed, by a bit of the sysctl or by an option. */
export function tcp_fastopen_no_cookie(k: Stack, sk: Sk, flag: number): boolean {
	const { sysctl_tcp_fastopen } = sk_net(k, sk).ipv4;
	return (sysctl_tcp_fastopen & flag) !== 0 || k.sock.fastopen_no_cookie[sk] !== 0;
}

/**
 * A SYN for a listener. Returns whether the SYN-ACK has a cookie. In C this also makes the child
 * of a SYN with a cookie. Here the ACK makes the child. The ACK follows at once.
 */
export function tcp_try_fastopen(k: Stack, sk: Sk, skb: Segment): boolean {
	if ((skb.flags & TCPHDR_FASTOPEN) === 0) return false;
	if ((sk_net(k, sk).ipv4.sysctl_tcp_fastopen & TFO_SERVER_ENABLE) === 0) return false;
	if (k.sock.fastopenq_max_qlen.get(sk) === 0) return false;
	return !tcp_fastopen_no_cookie(k, sk, TFO_SERVER_COOKIE_NOT_REQD);
}

/** Whether a SYN may have data. */
export function tcp_fastopen_cookie_check(k: Stack, sk: Sk): boolean {
	return tcp_fastopen_no_cookie(k, sk, TFO_CLIENT_NO_COOKIE) || tcp_fastopen_cache_get(k, sk);
}

/**
 * TCP_FASTOPEN_CONNECT: whether the SYN waits for the first send. Otherwise the SYN asks for a
 * cookie.
 */
export function tcp_fastopen_defer_connect(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	if (S.fastopen_connect[sk] === 0 || S.fastopen_req.has(sk)) return false;
	if (tcp_fastopen_cookie_check(k, sk)) {
		S.inet_flags[sk] |= INET_DEFER_CONNECT;
		return true;
	}
	S.fastopen_req.set(sk, { sends: false, data: false, size: 0, copied: 0, write_pending: false });
	return false;
}
