// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/tcp_input.c: segments that a connection receives. */
import type { Sk } from "../../include/linux/handle.js";
import { JIFFY } from "../../include/linux/timer.js";
import {
	ICSK_ACK_PUSHED,
	ICSK_ACK_PUSHED2,
	ICSK_ACK_SCHED,
	ICSK_ACK_TIMER,
	icsk_delack_timer,
	icsk_retransmit_timer,
	inet_csk_reqsk_queue_is_full,
} from "../../include/net/inet_connection_sock.js";
import { TCPHDR_MPTCP } from "../../include/net/mptcp.js";
import {
	RCV_SHUTDOWN,
	SOCK_DEAD,
	SOCK_DONE,
	SOCK_MPTCP,
	sk_acceptq_is_full,
	sk_timer,
} from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	TCP_ATO_MIN,
	TCP_DELACK_MAX,
	TCP_INVALID_RATELIMIT,
	TCP_MAX_QUICKACKS,
	TCP_TIMEOUT_INIT,
	TCP_TIMEOUT_MIN,
	TCP_TIMEWAIT_LEN,
	TCPHDR_ACK,
	TCPHDR_ACKS_FIN,
	TCPHDR_FASTOPEN,
	TCPHDR_FIN,
	TCPHDR_RST,
	TCPHDR_SYN,
	tcp_fin_time,
	tcp_jiffies32,
	tcpEstablishedRto,
} from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_LAST_ACK,
	TCP_SYN_RECV,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
} from "../../include/net/tcp_states.js";
import { ECONNREFUSED, ECONNRESET, EPIPE } from "../../include/uapi/asm-generic/errno.js";
import { mptcp_incoming_options } from "../mptcp/options.js";
import {
	mptcpSubflowCtx,
	subflow_data_ready,
	subflow_finish_connect,
	subflow_state_change,
} from "../mptcp/subflow.js";
import { inet_csk_reqsk_queue_hash_add, inet_reqsk_alloc } from "./inet_connection_sock.js";
import { SYN_COOKIE } from "./syncookies.js";
import { tcp_done, tcp_set_state, tcp_shutdown } from "./tcp.js";
import { tcp_try_fastopen } from "./tcp_fastopen.js";
import { reply, requestDevice, route_req } from "./tcp_ipv4.js";
import { tcp_fastopen_cache_set } from "./tcp_metrics.js";
import { tcp_time_wait } from "./tcp_minisocks.js";
import {
	__tcp_push_pending_frames,
	newIsn,
	tcp_send_ack,
	tcp_send_delayed_ack,
	tcp_transmit_skb,
} from "./tcp_output.js";
import { tcpStartKeepalive } from "./tcp_timer.js";

/** Notes the length of full segments, and that a segment ends what the peer wrote. */
function tcp_measure_rcv_mss(k: Stack, sk: Sk, len: number): void {
	const S = k.sock;
	if (len >= S.icsk_ack_rcv_mss.get(sk)) {
		S.icsk_ack_rcv_mss.set(sk, len);
	} else if ((S.icsk_ack_pending[sk] & ICSK_ACK_PUSHED) !== 0) {
		S.icsk_ack_pending[sk] |= ICSK_ACK_PUSHED2;
	}
	S.icsk_ack_pending[sk] |= ICSK_ACK_PUSHED;
}

/** How many segments in a row are acknowledged at once. */
function tcp_incr_quickack(k: Stack, sk: Sk): void {
	k.sock.icsk_ack_quick[sk] = TCP_MAX_QUICKACKS; // a window holds many segments
}

function tcp_enter_quickack_mode(k: Stack, sk: Sk): void {
	tcp_incr_quickack(k, sk);
	k.sock.pingpong[sk] = 0;
	k.sock.icsk_ack_ato[sk] = TCP_ATO_MIN;
}

/** Data of `len` bytes arrived: an acknowledgement is due. Learns how long it may be delayed. */
function tcp_event_data_recv(k: Stack, sk: Sk, len: number): void {
	const S = k.sock;
	S.icsk_ack_pending[sk] |= ICSK_ACK_SCHED;
	tcp_measure_rcv_mss(k, sk, len);
	const now = tcp_jiffies32(k);
	const ato = S.icsk_ack_ato[sk] / JIFFY;
	if (ato === 0) {
		tcp_incr_quickack(k, sk);
		S.icsk_ack_ato[sk] = TCP_ATO_MIN;
	} else {
		const m = now - S.icsk_ack_lrcvtime.get(sk);
		const half = TCP_ATO_MIN / JIFFY / 2;
		const icsk_rto = tcpEstablishedRto(k, sk) / JIFFY;
		if (m <= half) S.icsk_ack_ato[sk] = ((ato >> 1) + half) * JIFFY;
		else if (m < ato) S.icsk_ack_ato[sk] = Math.min((ato >> 1) + m, icsk_rto) * JIFFY;
		else if (m > icsk_rto) tcp_incr_quickack(k, sk);
	}
	S.icsk_ack_lrcvtime.set(sk, now);
}

/**
 * Whether a segment out of window must not be answered now: one answer in half a second at most.
 */
export function tcp_oow_rate_limited(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	const last = S.last_oow_ack_time.get(sk);
	if (last !== 0 && k.timers.now - last < TCP_INVALID_RATELIMIT) return true;
	S.last_oow_ack_time.set(sk, k.timers.now);
	return false;
}

/** Stores the time of the last segment. tcp_twsk_unique reads it. */
export function tcp_store_ts_recent(k: Stack, sk: Sk): void {
	k.sock.ts_recent_stamp[sk] = Math.floor(k.timers.now / 1000);
	k.sock.ts_recent_ms[sk] = k.timers.now;
}

/** The peer reset the connection. */
function tcp_reset(k: Stack, sk: Sk, skb: Segment): void {
	const S = k.sock;
	if ((S.sk_flags[sk] & SOCK_MPTCP) !== 0) mptcp_incoming_options(k, sk, skb);
	switch (S.skc_state[sk]) {
		case TCP_SYN_SENT:
			S.sk_err[sk] = ECONNREFUSED;
			break;
		case TCP_CLOSE_WAIT:
			S.sk_err[sk] = EPIPE;
			break;
		case TCP_CLOSE:
			return;
		default:
			S.sk_err[sk] = ECONNRESET;
	}
	tcp_done(k, sk);
}

/** The FIN of the peer arrived. */
export function tcp_fin(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.icsk_ack_pending[sk] |= ICSK_ACK_SCHED;
	S.sk_shutdown[sk] |= RCV_SHUTDOWN;
	S.sk_flags[sk] |= SOCK_DONE;
	switch (S.skc_state[sk]) {
		case TCP_SYN_RECV:
		case TCP_ESTABLISHED:
			// The acknowledgement is delayed: the program will probably close too, and its FIN
			// carries it.
			tcp_set_state(k, sk, TCP_CLOSE_WAIT);
			S.pingpong[sk] = 1;
			break;
		case TCP_FIN_WAIT1:
			tcp_send_ack(k, sk);
			tcp_set_state(k, sk, TCP_CLOSING);
			break;
		case TCP_FIN_WAIT2:
			tcp_send_ack(k, sk);
			tcp_time_wait(k, sk, TCP_TIME_WAIT, 0);
			return;
		default:
			break;
	}
	if ((S.sk_flags[sk] & (SOCK_MPTCP | SOCK_DEAD)) === SOCK_MPTCP) subflow_state_change(k, sk);
}

/** An acknowledgement arrived: sends what waited for it. */
function tcp_data_snd_check(k: Stack, sk: Sk): void {
	const S = k.sock;
	if (S.snd_held.get(sk) > 0) __tcp_push_pending_frames(k, sk, S.nonagle[sk]);
}

/**
 * Acknowledges data at once, or starts the timer that does it. C also acknowledges more than a full
 * segment at once if the window has grown. It has not while the new data is unread, unless the
 * buffer has grown.
 */
function tcp_ack_snd_check(k: Stack, sk: Sk): void {
	const S = k.sock;
	if ((S.icsk_ack_pending[sk] & ICSK_ACK_SCHED) === 0) return; // data has just been sent
	const quick = S.icsk_ack_quick[sk] > 0 && S.pingpong[sk] === 0;
	if (quick) tcp_send_ack(k, sk);
	else tcp_send_delayed_ack(k, sk);
}

/**
 * Whether a segment is valid for the connection. An invalid segment may be answered with an ACK.
 */
function tcp_validate_incoming(
	k: Stack,
	sk: Sk,
	flags: number,
	length: number,
	seq: number,
	ack: number,
): boolean {
	const S = k.sock;
	const has_syn = (flags & TCPHDR_SYN) !== 0;
	if (seq === S.rcv_isn[sk]) {
		if (!has_syn) return true;
		// The answer to a SYN that crossed ours, or to our own SYN to this socket.
		const crossed =
			S.skc_state[sk] === TCP_SYN_RECV &&
			S.sk_socket[sk] !== 0 &&
			(flags & TCPHDR_ACK) !== 0 &&
			ack === S.snd_isn[sk];
		if (crossed && k.changes.has("simultaneous-synack-accepted")) return true; // since 6.11, 23e89e8ee7be
	}
	if ((flags & TCPHDR_RST) !== 0) return false;
	// The rate limit stops loops of ACKs. Segments with data or a FIN are always answered.
	const carries = length > 0 || (flags & TCPHDR_FIN) !== 0;
	if ((carries && !has_syn) || !tcp_oow_rate_limited(k, sk)) tcp_send_ack(k, sk);
	return false;
}

/** A segment for a socket in SYN_SENT. Returns true if it has to be answered with a RST. */
function tcp_rcv_synsent_state_process(k: Stack, sk: Sk, skb: Segment): boolean {
	const S = k.sock;
	const { flags, seq, ack } = skb;
	if ((flags & TCPHDR_ACK) !== 0) {
		if (ack !== S.snd_isn[sk]) {
			// It acknowledges another connection. The rest of an earlier connection sent it.
			if (S.icsk_retransmits[sk] === 0) {
				k.timers.mod_timer(icsk_retransmit_timer(sk), TCP_TIMEOUT_MIN * JIFFY);
			}
			return true;
		}
		if ((flags & TCPHDR_RST) !== 0) {
			tcp_reset(k, sk, skb);
			return false;
		}
		if ((flags & TCPHDR_SYN) === 0) return false;
		S.rcv_isn[sk] = seq;
		S.sk_err_soft[sk] = 0;
		tcp_store_ts_recent(k, sk);
		k.timers.del_timer(icsk_retransmit_timer(sk));
		const mptcp = (S.sk_flags[sk] & SOCK_MPTCP) !== 0 ? flags & TCPHDR_MPTCP : 0;
		if ((S.sk_flags[sk] & SOCK_MPTCP) !== 0) subflow_finish_connect(k, sk, flags);
		if ((flags & TCPHDR_FASTOPEN) !== 0) tcp_fastopen_cache_set(k, sk);
		tcp_set_state(k, sk, TCP_ESTABLISHED);
		S.pred_flags[sk] = 0; // tcp_finish_connect; the window of a SYN-ACK is not scaled
		tcpStartKeepalive(k, sk);
		if (S.syn_data[sk] !== 0) {
			tcpSendSynData(k, sk);
			return false;
		}
		const write_pending = S.fastopen_req.size > 0 && S.fastopen_req.get(sk)?.write_pending === true;
		if (write_pending || S.rskq_defer_accept.get(sk) !== 0 || S.pingpong[sk] !== 0) {
			// The ACK is delayed, because data will follow soon. tcp_enter_quickack_mode ends this
			// mode.
			S.icsk_ack_pending[sk] |= ICSK_ACK_SCHED | ICSK_ACK_TIMER;
			S.icsk_ack_lrcvtime.set(sk, tcp_jiffies32(k)); // tcp_finish_connect
			tcp_enter_quickack_mode(k, sk);
			k.timers.mod_timer(icsk_delack_timer(sk), TCP_DELACK_MAX);
			return false;
		}
		tcp_transmit_skb(k, sk, TCPHDR_ACK | mptcp, 0);
		return false;
	}
	if ((flags & TCPHDR_RST) === 0 && (flags & TCPHDR_SYN) !== 0) {
		// Simultaneous open: two sockets connect to each other, or one connects to itself.
		tcp_set_state(k, sk, TCP_SYN_RECV);
		S.rcv_isn[sk] = seq;
		tcp_store_ts_recent(k, sk);
		k.timers.del_timer(icsk_retransmit_timer(sk));
		tcp_transmit_skb(k, sk, TCPHDR_SYN | TCPHDR_ACK, 0);
	}
	return false;
}

/** Gives the data of a SYN to the peer. */
function tcpSendSynData(k: Stack, sk: Sk): void {
	const length = k.sock.syn_data[sk];
	k.sock.syn_data[sk] = 0;
	k.sock.snd_nxt.add(sk, length);
	tcp_transmit_skb(k, sk, TCPHDR_ACK, length);
}

/** Segments of this length change the window of the receiver (tcp_grow_window). */
const GROWS = 128;
/** With more data than this, the next segment may not fit into the page that a sock has reserved. */
const RESERVED = 1024;

/**
 * Whether a segment brings data, acknowledges nothing new, and takes the fast path of
 * tcp_rcv_established. Such a segment does not send the data that waits. In C pred_flags are the
 * expected header: MPTCP's options make it longer, and a FIN or another window changes it. The segment
 * also has to fit into sk_forward_alloc. Small segments do.
 */
function isPredicted(k: Stack, sk: Sk, { flags, length, acked }: Segment): boolean {
	const S = k.sock;
	const held = S.snd_held.get(sk);
	if (held === 0 || S.pred_flags[sk] === 0 || S.skc_state[sk] !== TCP_ESTABLISHED) return false;
	if (length === 0 || (flags & TCPHDR_FIN) !== 0 || acked > S.snd_una.get(sk)) return false;
	if ((S.sk_flags[sk] & SOCK_MPTCP) !== 0 && mptcpSubflowCtx(k, sk)?.fallback !== true)
		return false;
	const memory = held + S.snd_unacked.get(sk) + S.rcv_unread.get(sk);
	const large = length >= GROWS || S.snd_nxt.get(sk) >= GROWS || memory >= RESERVED;
	return !large || !k.askSecret("memory");
}

/**
 * A segment for a socket that is not a listener: tcp_rcv_state_process and tcp_rcv_established.
 * Returns true if it has to be answered with a RST.
 */
export function tcp_rcv_state_process(k: Stack, sk: Sk, skb: Segment): boolean {
	const S = k.sock;
	const { flags, length, seq, ack } = skb;
	if (S.skc_state[sk] === TCP_SYN_SENT) {
		return tcp_rcv_synsent_state_process(k, sk, skb);
	}
	if (!tcp_validate_incoming(k, sk, flags, length, seq, ack)) return false;
	if ((flags & TCPHDR_RST) !== 0) {
		tcp_reset(k, sk, skb);
		return false;
	}
	tcp_store_ts_recent(k, sk);
	S.icsk_probes_out[sk] = 0;
	S.sk_err_soft[sk] = 0;
	const is_mptcp = (S.sk_flags[sk] & SOCK_MPTCP) !== 0;
	const predicted = isPredicted(k, sk, skb);

	// Step 5: the ACK field.
	if (skb.acked > S.snd_una.get(sk)) S.snd_una.set(sk, skb.acked);
	const fin_acked = (flags & TCPHDR_ACKS_FIN) !== 0;
	const has_fin = (flags & TCPHDR_FIN) !== 0;
	switch (S.skc_state[sk]) {
		case TCP_SYN_RECV:
			tcp_set_state(k, sk, TCP_ESTABLISHED);
			S.pred_flags[sk] = 1; // tcp_fast_path_on
			if (is_mptcp) subflow_state_change(k, sk);
			if (S.syn_data[sk] !== 0) tcpSendSynData(k, sk);
			if (k.changes.has("syn-recv-shutdown-deferred")) tcp_shutdown(k, sk, S.sk_shutdown[sk]); // since 6.9, 94062790aedb
			break;
		case TCP_FIN_WAIT1: {
			if (!fin_acked) break;
			k.timers.del_timer(icsk_retransmit_timer(sk));
			tcp_set_state(k, sk, TCP_FIN_WAIT2);
			if ((S.sk_flags[sk] & SOCK_DEAD) === 0) {
				if (is_mptcp) subflow_state_change(k, sk);
				break;
			}
			if (S.linger2[sk] < 0) {
				tcp_done(k, sk);
				return true;
			}
			if (length > 0) {
				tcp_done(k, sk); // data after close()
				return true;
			}
			const tmo = tcp_fin_time(k, sk);
			if (tmo > TCP_TIMEWAIT_LEN) {
				k.timers.mod_timer(sk_timer(sk), tmo - TCP_TIMEWAIT_LEN);
			} else if (has_fin) {
				k.timers.mod_timer(sk_timer(sk), tmo);
			} else {
				tcp_time_wait(k, sk, TCP_FIN_WAIT2, tmo);
				return false;
			}
			break;
		}
		case TCP_CLOSING:
			if (!fin_acked) break;
			tcp_time_wait(k, sk, TCP_TIME_WAIT, 0);
			return false;
		case TCP_LAST_ACK:
			if (!fin_acked) break;
			tcp_done(k, sk);
			return false;
		default:
			break;
	}

	// Step 7: the data.
	if (is_mptcp) mptcp_incoming_options(k, sk, skb);
	switch (S.skc_state[sk]) {
		case TCP_FIN_WAIT1:
		case TCP_FIN_WAIT2:
			if (length > 0 && (S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0) {
				tcp_reset(k, sk, skb);
				return true;
			}
			break;
		case TCP_ESTABLISHED:
			break;
		default:
			tcp_data_snd_check(k, sk);
			return false; // no data follows the peer's FIN
	}
	if (length > 0) {
		S.rcv_unread.add(sk, length);
		S.rcv_nxt.add(sk, length);
		tcp_event_data_recv(k, sk, length);
		if (is_mptcp) subflow_data_ready(k, sk);
	}
	const becomes_tw = has_fin && S.skc_state[sk] === TCP_FIN_WAIT2;
	if (has_fin) tcp_fin(k, sk);
	if (becomes_tw) return false;
	if (!predicted) tcp_data_snd_check(k, sk);
	S.pred_flags[sk] = 1; // tcp_fast_path_check
	tcp_ack_snd_check(k, sk);
	return false;
}

/** A SYN for a listener. Answers it unless the accept queue is full. */
export function tcp_conn_request(k: Stack, sk: Sk, skb: Segment): void {
	// A SYN that replaced a time-wait socket is accepted without limits.
	const want_cookie = !skb.tcp_tw_isn && inet_csk_reqsk_queue_is_full(k, sk);
	if (sk_acceptq_is_full(k, sk)) return;
	const oif = requestDevice(k, sk, skb);
	const mptcp = (k.sock.sk_flags[sk] & SOCK_MPTCP) !== 0 ? skb.flags & TCPHDR_MPTCP : 0;
	let isn = newIsn(k, skb.tcp_tw_isn);
	let fastopen = 0;
	if (want_cookie) {
		isn = (isn | SYN_COOKIE) >>> 0;
	} else {
		const req = inet_reqsk_alloc(k, sk, skb.sport);
		route_req(k, sk, req, skb);
		k.sock.snd_isn[req] = isn;
		k.sock.rcv_isn[req] = skb.seq;
		if (mptcp !== 0) k.sock.sk_flags[req] |= SOCK_MPTCP;
		inet_csk_reqsk_queue_hash_add(k, sk, req, TCP_TIMEOUT_INIT);
		if (tcp_try_fastopen(k, sk, skb)) fastopen = TCPHDR_FASTOPEN;
	}
	reply(k, skb, TCPHDR_SYN | TCPHDR_ACK | mptcp | fastopen, oif, isn, skb.seq);
}
