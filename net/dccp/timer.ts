// SPDX-License-Identifier: GPL-2.0-or-later
/** net/dccp/timer.c: a Request, Close or CloseReq without an answer is sent again. */
import {
	DCCP_PARTOPEN,
	DCCP_REQUEST_RETRIES,
	DCCP_REQUESTING,
	DCCP_RESET_CODE_ABORTED,
	DCCP_RETRIES2,
	DCCP_RTO_MAX,
} from "../../include/linux/dccp.js";
import type { Sk } from "../../include/linux/handle.js";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_RESOURCE_PROBE_INTERVAL } from "../../include/net/tcp.js";
import { ENETUNREACH, ETIMEDOUT } from "../../include/uapi/asm-generic/errno.js";
import { skRemoteAnswer } from "../ipv4/tcp_output.js";
import { dccp_retransmit_skb, dccp_send_reset } from "./output.js";
import { dccp_done } from "./proto.js";

function dccp_write_err(k: Stack, sk: Sk): void {
	k.sock.sk_err[sk] = k.sock.sk_err_soft[sk] || ETIMEDOUT;
	dccp_send_reset(k, sk, DCCP_RESET_CODE_ABORTED);
	dccp_done(k, sk);
}

/** Whether it is time to give up. */
function dccp_write_timeout(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	let retry_until = DCCP_RETRIES2;
	if (S.skc_state[sk] === DCCP_REQUESTING || S.skc_state[sk] === DCCP_PARTOPEN) {
		retry_until = S.icsk_syn_retries[sk] || DCCP_REQUEST_RETRIES;
	}
	if (S.icsk_retransmits[sk] < retry_until) return false;
	dccp_write_err(k, sk);
	return true;
}

/** dccp_write_timer, dccp_retransmit_timer: icsk_retransmit_timer has expired. */
export function dccp_write_timer(k: Stack, sk: Sk): void {
	const S = k.sock;
	const timer = icsk_retransmit_timer(sk);
	if (dccp_write_timeout(k, sk)) return;
	if (!dccp_retransmit_skb(k, sk)) {
		// As in C the first failure makes the largest number of one byte, so the next one gives up.
		if (--S.icsk_retransmits[sk] === 0) S.icsk_retransmits[sk] = 1;
		k.timers.mod_timer(timer, Math.min(S.icsk_rto[sk], TCP_RESOURCE_PROBE_INTERVAL));
		return;
	}
	if (S.skc_state[sk] === DCCP_REQUESTING && skRemoteAnswer(k, sk) === "unreachable") {
		// dccp_v4_err: ICMP answered the first Request while connect() held the sock, which made a
		// soft error. The answer to the second one ends connect().
		S.sk_err[sk] = ENETUNREACH;
		dccp_done(k, sk);
		return;
	}
	S.icsk_rto[sk] = Math.min(S.icsk_rto[sk] * 2, DCCP_RTO_MAX);
	k.timers.mod_timer(timer, S.icsk_rto[sk]);
}
