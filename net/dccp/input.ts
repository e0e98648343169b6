// SPDX-License-Identifier: GPL-2.0-or-later
/** net/dccp/input.c: packets that a sock receives. */
import {
	DCCP_ACTIVE_CLOSEREQ,
	DCCP_CLOSING,
	DCCP_FIN,
	DCCP_LISTEN,
	DCCP_OPEN,
	DCCP_PARTOPEN,
	DCCP_PASSIVE_CLOSE,
	DCCP_PASSIVE_CLOSEREQ,
	DCCP_PKT_ACK,
	DCCP_PKT_CLOSE,
	DCCP_PKT_CLOSEREQ,
	DCCP_PKT_DATA,
	DCCP_PKT_DATAACK,
	DCCP_PKT_REQUEST,
	DCCP_PKT_RESET,
	DCCP_PKT_RESPONSE,
	DCCP_PKT_SYNC,
	DCCP_PKT_SYNCACK,
	DCCP_REQUESTING,
	DCCP_RESET_CODE_ABORTED,
	DCCP_RESET_CODE_BAD_SERVICE_CODE,
	DCCP_RESET_CODE_CLOSED,
	DCCP_RESET_CODE_NO_CONNECTION,
	DCCP_RESET_CODE_PACKET_ERROR,
	DCCP_RESET_CODE_TOO_BUSY,
	DCCP_RESPOND,
	DCCP_ROLE_CLIENT,
	DCCP_SYNC_RATELIMIT,
	dccp_sk,
	dccphResetCode,
	dccphType,
} from "../../include/linux/dccp.js";
import type { Sk } from "../../include/linux/handle.js";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import { SHUTDOWN_MASK, SOCK_DONE } from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	EBADRQC,
	ECONNREFUSED,
	ECONNRESET,
	ENOMSG,
	EUSERS,
} from "../../include/uapi/asm-generic/errno.js";
import { dccp_v4_conn_request } from "./ipv4.js";
import { dccp_v6_conn_request } from "./ipv6.js";
import { dccp_time_wait } from "./minisocks.js";
import {
	dccp_send_ack,
	dccp_send_close,
	dccp_send_reset,
	dccp_send_sync,
	dccp_sync_mss,
} from "./output.js";
import { dccp_done, dccp_set_state } from "./proto.js";

function dccp_enqueue_skb(k: Stack, sk: Sk, length: number): void {
	dccp_sk(k, sk).receive_queue.push(length);
}

/** The packet that ends the connection was received. It waits behind the data. */
function dccp_fin(k: Stack, sk: Sk): void {
	k.sock.sk_shutdown[sk] = SHUTDOWN_MASK;
	k.sock.sk_flags[sk] |= SOCK_DONE;
	dccp_enqueue_skb(k, sk, DCCP_FIN);
}

function dccp_rcv_close(k: Stack, sk: Sk): void {
	switch (k.sock.skc_state[sk]) {
		case DCCP_CLOSING:
			// Both ends sent Close. The client answers.
			if (dccp_sk(k, sk).role !== DCCP_ROLE_CLIENT) break;
			dccp_send_reset(k, sk, DCCP_RESET_CODE_CLOSED);
			dccp_done(k, sk);
			break;
		case DCCP_REQUESTING:
		case DCCP_ACTIVE_CLOSEREQ:
			dccp_send_reset(k, sk, DCCP_RESET_CODE_CLOSED);
			dccp_done(k, sk);
			break;
		case DCCP_OPEN:
		case DCCP_PARTOPEN:
			dccp_fin(k, sk);
			dccp_set_state(k, sk, DCCP_PASSIVE_CLOSE);
			break;
		default:
			break;
	}
}

function dccp_rcv_closereq(k: Stack, sk: Sk, skb: Segment): void {
	if (dccp_sk(k, sk).role !== DCCP_ROLE_CLIENT) {
		dccp_send_sync(k, sk, skb.seq, DCCP_PKT_SYNC);
		return;
	}
	switch (k.sock.skc_state[sk]) {
		case DCCP_REQUESTING:
			dccp_send_close(k, sk, false);
			dccp_set_state(k, sk, DCCP_CLOSING);
			break;
		case DCCP_OPEN:
		case DCCP_PARTOPEN:
			dccp_fin(k, sk);
			dccp_set_state(k, sk, DCCP_PASSIVE_CLOSEREQ);
			break;
		default:
			break;
	}
}

/** The errno of a Reset, 0 if the connection ended as usual. */
function dccp_reset_code_convert(code: number): number {
	switch (code) {
		case DCCP_RESET_CODE_ABORTED:
			return ECONNRESET;
		case DCCP_RESET_CODE_NO_CONNECTION:
			return ECONNREFUSED;
		case DCCP_RESET_CODE_TOO_BUSY:
			return EUSERS;
		case DCCP_RESET_CODE_PACKET_ERROR:
			return ENOMSG;
		case DCCP_RESET_CODE_BAD_SERVICE_CODE:
			return EBADRQC;
		default:
			return 0;
	}
}

/** The receiver of a Reset keeps TIME_WAIT. */
function dccp_rcv_reset(k: Stack, sk: Sk, skb: Segment): void {
	k.sock.sk_err[sk] = dccp_reset_code_convert(dccphResetCode(skb.flags));
	dccp_fin(k, sk);
	dccp_time_wait(k, sk);
}

/**
 * Whether a packet is valid for the connection. An invalid packet is answered with a Sync, which is
 * rate-limited.
 */
function dccp_check_seqno(k: Stack, sk: Sk, skb: Segment): boolean {
	const S = k.sock;
	const dp = dccp_sk(k, sk);
	const type = dccphType(skb.flags);
	const in_window = skb.seq === S.rcv_isn[sk];
	if (in_window && (skb.ack === 0 || skb.ack === S.snd_isn[sk])) return true;
	if (type === DCCP_PKT_SYNC || type === DCCP_PKT_SYNCACK) return false;
	if (k.timers.now < dp.rate_last + DCCP_SYNC_RATELIMIT) return false;
	dp.rate_last = k.timers.now;
	dccp_send_sync(k, sk, type === DCCP_PKT_RESET ? S.rcv_isn[sk] : skb.seq, DCCP_PKT_SYNC);
	return false;
}

/** Processes a packet of a connection that is open. */
function __dccp_rcv_established(k: Stack, sk: Sk, skb: Segment): void {
	const client = dccp_sk(k, sk).role === DCCP_ROLE_CLIENT;
	switch (dccphType(skb.flags)) {
		case DCCP_PKT_DATAACK:
		case DCCP_PKT_DATA:
			dccp_enqueue_skb(k, sk, skb.length);
			break;
		case DCCP_PKT_RESET:
			dccp_rcv_reset(k, sk, skb);
			break;
		case DCCP_PKT_CLOSEREQ:
			dccp_rcv_closereq(k, sk, skb);
			break;
		case DCCP_PKT_CLOSE:
			dccp_rcv_close(k, sk);
			break;
		case DCCP_PKT_REQUEST:
			dccp_send_sync(k, sk, skb.seq, DCCP_PKT_SYNC);
			break;
		case DCCP_PKT_RESPONSE:
			if (!client) dccp_send_sync(k, sk, skb.seq, DCCP_PKT_SYNC);
			break;
		case DCCP_PKT_SYNC:
			dccp_send_sync(k, sk, skb.seq, DCCP_PKT_SYNCACK);
			break;
		default:
			break;
	}
}

/** A packet for a sock in DCCP_OPEN. */
export function dccp_rcv_established(k: Stack, sk: Sk, skb: Segment): void {
	if (dccp_check_seqno(k, sk, skb)) __dccp_rcv_established(k, sk, skb);
}

/** Returns the code of a Reset that answers the packet, 0 if none does. */
function dccp_rcv_request_sent_state_process(k: Stack, sk: Sk, skb: Segment): number {
	const S = k.sock;
	if (dccphType(skb.flags) !== DCCP_PKT_RESPONSE || skb.ack !== S.snd_isn[sk]) {
		// out_invalid_packet:
		return DCCP_RESET_CODE_PACKET_ERROR;
	}
	k.timers.del_timer(icsk_retransmit_timer(sk));
	S.rcv_isn[sk] = skb.seq;
	dccp_sync_mss(k, sk);
	dccp_set_state(k, sk, DCCP_PARTOPEN);
	dccp_send_ack(k, sk);
	return 0;
}

function dccp_rcv_respond_partopen_state_process(k: Stack, sk: Sk, skb: Segment): void {
	const type = dccphType(skb.flags);
	const has_data = type === DCCP_PKT_DATA || type === DCCP_PKT_DATAACK;
	if (type !== DCCP_PKT_ACK && !has_data) return;
	dccp_set_state(k, sk, DCCP_OPEN);
	if (has_data) __dccp_rcv_established(k, sk, skb);
}

/**
 * A packet for a sock that is not in DCCP_OPEN. Returns the code of a Reset that answers it, 0 if
 * none does.
 */
export function dccp_rcv_state_process(k: Stack, sk: Sk, skb: Segment): number {
	const state = k.sock.skc_state[sk];
	const type = dccphType(skb.flags);
	if (state === DCCP_LISTEN) {
		if (type === DCCP_PKT_REQUEST) {
			return skb.v6 === null ? dccp_v4_conn_request(k, sk, skb) : dccp_v6_conn_request(k, sk, skb);
		}
		return type === DCCP_PKT_RESET ? 0 : DCCP_RESET_CODE_NO_CONNECTION;
	}
	// Step 6
	if (state !== DCCP_REQUESTING && !dccp_check_seqno(k, sk, skb)) return 0;
	// Step 7
	const client = dccp_sk(k, sk).role === DCCP_ROLE_CLIENT;
	if (
		type === (client ? DCCP_PKT_REQUEST : DCCP_PKT_RESPONSE) ||
		(state === DCCP_RESPOND && type === DCCP_PKT_DATA)
	) {
		dccp_send_sync(k, sk, skb.seq, DCCP_PKT_SYNC);
		return 0;
	}
	// Steps 9, 13, 14
	if (type === DCCP_PKT_RESET) {
		dccp_rcv_reset(k, sk, skb);
		return 0;
	}
	if (type === DCCP_PKT_CLOSEREQ) {
		dccp_rcv_closereq(k, sk, skb);
		return 0;
	}
	if (type === DCCP_PKT_CLOSE) {
		dccp_rcv_close(k, sk);
		return 0;
	}
	if (state === DCCP_REQUESTING) return dccp_rcv_request_sent_state_process(k, sk, skb);
	if (state === DCCP_PARTOPEN || state === DCCP_RESPOND) {
		dccp_rcv_respond_partopen_state_process(k, sk, skb);
	}
	if (type === DCCP_PKT_SYNC) dccp_send_sync(k, sk, skb.seq, DCCP_PKT_SYNCACK);
	return 0;
}
