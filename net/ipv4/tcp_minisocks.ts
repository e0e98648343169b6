// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/tcp_minisocks.c: time-wait sockets and requests, and the segments that they receive. */
import type { Sk } from "../../include/linux/handle.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import { ipv6_addr_copy } from "../../include/net/ipv6.js";
import { REQ_ACKED } from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	TCP_TIMEWAIT_LEN,
	TCPHDR_ACK,
	TCPHDR_FIN,
	TCPHDR_RST,
	TCPHDR_SYN,
	tcpShortestFin,
} from "../../include/net/tcp.js";
import { TCP_FIN_WAIT2, TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import { inet_csk_reqsk_queue_drop, reqsk_timeout } from "./inet_connection_sock.js";
import {
	inet_twsk_alloc,
	inet_twsk_deschedule_put,
	inet_twsk_hashdance,
	inet_twsk_reschedule,
	inet_twsk_schedule,
} from "./inet_timewait_sock.js";
import { tcp_done } from "./tcp.js";
import { tcp_oow_rate_limited, tcp_rcv_state_process, tcp_store_ts_recent } from "./tcp_input.js";
import { reply, tcpDropped, tcpSendReset, tcpSynRecvChild } from "./tcp_ipv4.js";
import { tcp_rtx_synack } from "./tcp_output.js";

/** The accuracy to which the time stamps of a recording tell when a segment arrived, ms. */
export const OBSERVED_WITHIN = 50;

const TCP_TW_SUCCESS = 0;
export const TCP_TW_RST = 1;
export const TCP_TW_ACK = 2;
export const TCP_TW_SYN = 3;

function tcp_timewait_check_oow_rate_limit(k: Stack, tw: Sk): number {
	return tcp_oow_rate_limited(k, tw) ? TCP_TW_SUCCESS : TCP_TW_ACK;
}

/**
 * Whether a SYN is newer than the connection of a time-wait socket, by its sequence number or by
 * its time stamp, which counts milliseconds. The sequence number is newer if both connections took
 * it from the clock, or if it continues that connection. Otherwise the result depends on the secret
 * of secure_tcp_seq, or on how far the old connection was ahead of the clock.
 */
function tcpTimewaitSynNewer(k: Stack, tw: Sk, skb: Segment): boolean {
	const S = k.sock;
	if (skb.isn_from === 0 && (S.rcv_isn[tw] & 1) === 0) return true;
	if (skb.isn_from !== 0 && skb.isn_from === S.rcv_isn[tw]) return true;
	if (k.timers.now - S.ts_recent_ms[tw] > OBSERVED_WITHIN) return true;
	return !k.askSecret("seq");
}

/**
 * A segment for a time-wait socket. Returns how it has to be answered, TCP_TW_*. If the sequence
 * space of the segment (seq) is not that of the connection, the segment is out of window.
 */
export function tcp_timewait_state_process(k: Stack, tw: Sk, skb: Segment): number {
	const S = k.sock;
	const { flags, length, seq } = skb;
	const has_rst = (flags & TCPHDR_RST) !== 0;
	const has_syn = (flags & TCPHDR_SYN) !== 0;
	const has_ack = (flags & TCPHDR_ACK) !== 0;
	const has_fin = (flags & TCPHDR_FIN) !== 0;
	const in_window = seq === S.rcv_isn[tw];

	if (S.tw_substate[tw] === TCP_FIN_WAIT2) {
		if (!in_window) return tcp_timewait_check_oow_rate_limit(k, tw);
		if (has_rst) {
			inet_twsk_deschedule_put(k, tw);
			return TCP_TW_SUCCESS;
		}
		if (!has_ack || (length === 0 && !has_fin)) return TCP_TW_SUCCESS;
		// Data after close(), with or without a FIN: no program can read it.
		if (length > 0) return TCP_TW_RST;
		S.tw_substate[tw] = TCP_TIME_WAIT;
		tcp_store_ts_recent(k, tw);
		inet_twsk_reschedule(k, tw, TCP_TIMEWAIT_LEN);
		return TCP_TW_ACK;
	}

	if (in_window && has_rst) {
		// Otherwise the RST only refreshes the time stamp: RFC 1337.
		if (skb.net.ipv4.sysctl_tcp_rfc1337 === 0) inet_twsk_deschedule_put(k, tw);
		else tcp_store_ts_recent(k, tw);
		return TCP_TW_SUCCESS;
	}
	if (in_window && length === 0 && !has_fin && !has_syn) {
		inet_twsk_reschedule(k, tw, TCP_TIMEWAIT_LEN);
		tcp_store_ts_recent(k, tw);
		return TCP_TW_SUCCESS;
	}
	if (has_syn && !has_rst && !has_ack && tcpTimewaitSynNewer(k, tw, skb)) return TCP_TW_SYN;
	if (has_rst) return TCP_TW_SUCCESS;
	if (has_ack) inet_twsk_reschedule(k, tw, TCP_TIMEWAIT_LEN);
	return tcp_timewait_check_oow_rate_limit(k, tw);
}

/**
 * Replaces a connection by a time-wait socket in `state`: TIME_WAIT, or FIN_WAIT2 of an orphan for
 * `timeo` ms. The connection ends.
 */
export function tcp_time_wait(k: Stack, sk: Sk, state: number, timeo: number): void {
	const tw = inet_twsk_alloc(k, sk, state);
	if (tw !== 0) {
		const S = k.sock;
		S.ts_recent_stamp[tw] = S.ts_recent_stamp[sk];
		S.ts_recent_ms[tw] = S.ts_recent_ms[sk];
		if (S.skc_family[tw] === AF_INET6) {
			ipv6_addr_copy(S.skc_v6_daddr, tw * 4, S.skc_v6_daddr, sk * 4);
			ipv6_addr_copy(S.skc_v6_rcv_saddr, tw * 4, S.skc_v6_rcv_saddr, sk * 4);
			S.skc_ipv6only[tw] = S.skc_ipv6only[sk];
		}
		const shortest = tcpShortestFin(k, sk);
		const length = state === TCP_TIME_WAIT ? TCP_TIMEWAIT_LEN : Math.max(timeo, shortest);
		inet_twsk_schedule(k, tw, length);
		inet_twsk_hashdance(k, tw, sk);
	}
	tcp_done(k, sk);
}

/**
 * A segment for a request. Returns the child if it makes one. Returns the listener `sk` if the
 * segment acknowledges another number. Otherwise returns 0: a bare ACK makes no child while
 * TCP_DEFER_ACCEPT waits for data or the accept queue is full.
 */
export function tcp_check_req(k: Stack, sk: Sk, skb: Segment, req: Sk): Sk {
	const S = k.sock;
	const { flags, length, seq, ack } = skb;
	const has_ack = (flags & TCPHDR_ACK) !== 0;
	const has_rst = (flags & TCPHDR_RST) !== 0;
	const in_window = seq === S.rcv_isn[req];
	if (in_window && (flags & TCPHDR_SYN) !== 0 && !has_ack && !has_rst) {
		// The SYN was sent again.
		if (!tcp_oow_rate_limited(k, req)) {
			tcp_rtx_synack(k, req);
			k.timers.mod_timer(icsk_retransmit_timer(req), reqsk_timeout(k, req));
		}
		return 0;
	}
	if (has_ack && !has_rst && ack !== S.snd_isn[req]) return sk;
	if (!in_window) {
		if (!has_rst && !tcp_oow_rate_limited(k, req)) {
			reply(k, skb, TCPHDR_ACK, S.skc_bound_dev_if[req], S.snd_isn[req], S.rcv_isn[req]);
		}
		return 0;
	}
	if (has_rst) {
		inet_csk_reqsk_queue_drop(k, req);
		return 0;
	}
	if (!has_ack) return 0;
	const bare = length === 0 && (flags & TCPHDR_FIN) === 0;
	if (bare && S.icsk_retransmits[req] < S.rskq_defer_accept.get(sk)) {
		S.sk_flags[req] |= REQ_ACKED;
		return 0;
	}
	const child = tcpSynRecvChild(k, sk, req, flags, true);
	if (child === 0) {
		// listen_overflow:
		if (skb.net.ipv4.sysctl_tcp_abort_on_overflow !== 0) {
			tcpSendReset(k, sk, skb);
			inet_csk_reqsk_queue_drop(k, req);
			return 0;
		}
		S.sk_flags[req] |= REQ_ACKED;
		tcpDropped(k, skb);
	}
	return child;
}

/** Passes the segment that made a child to the child. */
export function tcp_child_process(k: Stack, child: Sk, skb: Segment): void {
	const reset = tcp_rcv_state_process(k, child, skb);
	if (reset) tcpSendReset(k, child, skb);
}
