// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/mptcp/options.c: what the options of a segment say. They are flags here (TCPHDR_*). A segment
 * of an established subflow always has a DSS option with a data acknowledgement.
 */
import type { Sk } from "../../include/linux/handle.js";
import {
	type MptcpSock,
	TCPHDR_ACKS_DATA_FIN,
	TCPHDR_DATA_FIN,
	TCPHDR_FASTCLOSE,
	TCPHDR_MPTCP,
} from "../../include/net/mptcp.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import { TCPHDR_FIN, TCPHDR_RST, TCPHDR_SYN } from "../../include/net/tcp.js";
import { __mptcp_clean_una, mptcp_schedule_work } from "./protocol.js";
import { mptcpSubflowCtx } from "./subflow.js";

/** The flags of the MPTCP options of a segment that a subflow sends with `flags`. */
export function mptcp_established_options(k: Stack, ssk: Sk, flags: number): number {
	const msk = mptcpSubflowCtx(k, ssk);
	if (msk === null || msk.fallback || (flags & TCPHDR_SYN) !== 0) return 0;
	if ((flags & TCPHDR_RST) !== 0) return msk.send_fastclose ? TCPHDR_FASTCLOSE : 0;
	// Until the peer has sent a segment, a client repeats MP_CAPABLE. A DATA_FIN goes first.
	if (msk.initial && !msk.fully_established && !msk.snd_data_fin_enable) return TCPHDR_MPTCP;
	let options = msk.snd_data_fin_enable ? TCPHDR_DATA_FIN : 0;
	if (msk.ack_data_fin) options |= TCPHDR_ACKS_DATA_FIN;
	return options;
}

/**
 * Whether the options of a segment count. The first segment that a client receives after the
 * handshake has to have a data acknowledgement. A reset has none: the connection becomes one of
 * plain TCP, and then it ends.
 */
function check_fully_established(msk: MptcpSock, flags: number): boolean {
	if (msk.fully_established || !msk.can_ack) return msk.can_ack;
	if ((flags & TCPHDR_RST) !== 0) {
		msk.fallback = true;
		return false;
	}
	msk.fully_established = true;
	return true;
}

function ack_update_msk(k: Stack, sk: Sk, msk: MptcpSock): void {
	if (msk.all_acked) return;
	msk.all_acked = true;
	__mptcp_clean_una(k, sk, msk);
}

/**
 * Notes a DATA_FIN after `data_fin_seq` bytes of data. Returns false if the worker has not looked at
 * the last one yet.
 */
export function mptcp_update_rcv_data_fin(msk: MptcpSock, data_fin_seq: number): boolean {
	if (msk.rcv_data_fin) return false;
	msk.rcv_data_fin = true;
	msk.rcv_data_fin_seq = data_fin_seq;
	return true;
}

/** The options of a segment that a subflow receives. */
export function mptcp_incoming_options(k: Stack, ssk: Sk, { flags, write_seq }: Segment): void {
	const msk = mptcpSubflowCtx(k, ssk);
	const sk = k.mptcp.conn.get(ssk);
	if (msk === null || sk === undefined) return;
	if (msk.fallback) {
		__mptcp_clean_una(k, sk, msk);
		return;
	}
	if (!check_fully_established(msk, flags)) return;
	if ((flags & TCPHDR_RST) !== 0) {
		if ((flags & TCPHDR_FASTCLOSE) !== 0) {
			msk.rcv_fastclose = true;
			mptcp_schedule_work(k, sk);
		}
		return;
	}
	if ((flags & TCPHDR_ACKS_DATA_FIN) !== 0) ack_update_msk(k, sk, msk);
	const fin = (flags & (TCPHDR_DATA_FIN | TCPHDR_FIN)) !== 0;
	if (fin && (flags & TCPHDR_DATA_FIN) !== 0 && mptcp_update_rcv_data_fin(msk, write_seq)) {
		mptcp_schedule_work(k, sk);
	}
}
