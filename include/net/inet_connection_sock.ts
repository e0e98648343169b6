// SPDX-License-Identifier: GPL-2.0-or-later
/** Timers, acknowledgements and requests of connections (include/net/inet_connection_sock.h). */
import type { Sk } from "../linux/handle.js";
import { TIMER_KINDS } from "../linux/timer.js";
import type { Stack } from "./stack.js";

/**
 * Values of icsk_pending. RETRANS: sends a SYN, FIN or data again. PROBE0: tries to send data or a
 * FIN that had no route. LOSS_PROBE: sends it again once, which does not count.
 */
export const ICSK_TIME_RETRANS = 1;
export const ICSK_TIME_PROBE0 = 3;
export const ICSK_TIME_LOSS_PROBE = 5;

/** Values of icsk_ack.pending. */
export const ICSK_ACK_SCHED = 1;
export const ICSK_ACK_TIMER = 2;
export const ICSK_ACK_PUSHED = 4;
export const ICSK_ACK_PUSHED2 = 8;

/** Shortest and longest retransmission timeout, ms (include/net/tcp.h). */
export const TCP_RTO_MIN = 200;
export const TCP_RTO_MAX = 120_000;

// A socket has three timers in k.timers: icsk_retransmit_timer, icsk_delack_timer, sk_timer.

/** The number of the timer in k.timers. */
export function icsk_retransmit_timer(sk: Sk): number {
	return sk * TIMER_KINDS;
}

/** The number of the timer in k.timers. */
export function icsk_delack_timer(sk: Sk): number {
	return sk * TIMER_KINDS + 1;
}

/** Whether a listener has more requests than its backlog. Then it answers with SYN cookies. */
export function inet_csk_reqsk_queue_is_full(k: Stack, sk: Sk): boolean {
	const room = k.sock.sk_max_ack_backlog.get(sk) - k.sock.rskq_qlen.get(sk);
	if (room !== 0) return room < 0;
	return !k.changes.has("backlog-zero-holds-one"); // since 6.14, 3479c7549fb1
}
