// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/mptcp/subflow.c: the TCP sock below an MPTCP socket, and what it reports to this socket. A
 * segment with TCPHDR_MPTCP has the option MP_CAPABLE.
 */
import type { Sk, Sock } from "../../include/linux/handle.js";
import { SOCK_STREAM } from "../../include/linux/net.js";
import { type MptcpSock, TCPHDR_MPTCP } from "../../include/net/mptcp.js";
import { RCV_SHUTDOWN, SOCK_DEAD, SOCK_MPTCP, sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_ESTABLISHED,
	TCP_SYN_SENT,
} from "../../include/net/tcp_states.js";
import { IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import { sock_create } from "../socket.js";
import { mptcp_update_rcv_data_fin } from "./options.js";
import {
	__mptcp_destroy_sock,
	__mptcp_subflow_error_report,
	mptcp_data_ready,
	mptcp_do_fastclose,
	mptcp_schedule_work,
	mptcp_sk,
	mptcp_sk_clone_init,
} from "./protocol.js";

/** The state of a sock that connects follows the one of its subflow. */
export function mptcp_propagate_state(k: Stack, sk: Sk, msk: MptcpSock): void {
	if (k.sock.skc_state[sk] !== TCP_SYN_SENT) return;
	if (msk.owned) msk.sync_state = true;
	else k.sock.skc_state[sk] = TCP_ESTABLISHED;
}

/**
 * A subflow that connects receives the SYN+ACK. The connection is established: as MPTCP, or as
 * plain TCP if the listener does not use MPTCP.
 */
export function subflow_finish_connect(k: Stack, ssk: Sk, flags: number): void {
	const sk = k.mptcp.conn.get(ssk);
	const msk = sk === undefined ? undefined : k.mptcp.socks.get(sk);
	if (sk === undefined || msk === undefined) return;
	if ((flags & TCPHDR_MPTCP) !== 0) msk.can_ack = true;
	else msk.fallback = true;
	mptcp_propagate_state(k, sk, msk);
}

/** mptcp_subflow_ctx: the fields of a subflow, null if it has no MPTCP sock any more. */
export function mptcpSubflowCtx(k: Stack, ssk: Sk): MptcpSock | null {
	const sk = k.mptcp.conn.get(ssk);
	return sk === undefined ? null : (k.mptcp.socks.get(sk) ?? null);
}

/** Lets the worker remove a subflow that has ended, unless it has data that was not moved. */
function subflow_sched_work_if_closed(k: Stack, sk: Sk, msk: MptcpSock, ssk: Sk): void {
	const S = k.sock;
	const state = S.skc_state[ssk];
	if (state !== TCP_CLOSE && (state !== TCP_CLOSE_WAIT || S.skc_state[sk] !== TCP_ESTABLISHED)) {
		return;
	}
	if (S.rcv_unread.get(ssk) !== 0) return;
	if (!msk.work_close_subflow) {
		msk.work_close_subflow = true;
		mptcp_schedule_work(k, sk);
	}
	// since 6.15, c3349a22c200
	if (k.changes.has("mptcp-connect-ignores-fin")) fallbackDataFin(k, sk, msk, ssk);
}

/** After a fallback the FIN of TCP stands for the DATA_FIN. */
function fallbackDataFin(k: Stack, sk: Sk, msk: MptcpSock, ssk: Sk): void {
	const S = k.sock;
	// subflow_is_done
	const done = (S.sk_shutdown[ssk] & RCV_SHUTDOWN) !== 0 || S.skc_state[ssk] === TCP_CLOSE;
	if (!msk.fallback || !done) return;
	const mapped = k.changes.has("mptcp-fallback-mapping"); // since 6.19, 85f22b8e1e9d
	if (mptcp_update_rcv_data_fin(msk, mapped ? msk.map_end : msk.ack_seq)) {
		mptcp_schedule_work(k, sk);
	}
}

/** Data arrived at a subflow. */
export function subflow_data_ready(k: Stack, ssk: Sk): void {
	const sk = k.mptcp.conn.get(ssk);
	if (sk !== undefined) mptcp_data_ready(k, sk, ssk);
}

/**
 * Makes the TCP socket of a subflow, with the user and family of the MPTCP sock. Returns its struct
 * socket.
 */
export function mptcp_subflow_create_socket(k: Stack, sk: Sk): Sock {
	const i_uid = k.socket.i_uid[k.sock.sk_socket[sk]];
	const family = k.sock.skc_family[sk];
	const sf = sock_create(k, sk_net(k, sk), family, SOCK_STREAM, IPPROTO_TCP, i_uid);
	if (sf < 0) throw new Error(`a subflow of socket ${sk} cannot be made: ${sf}`);
	const ssk = k.socket.sk[sf];
	k.sock.sk_flags[ssk] |= SOCK_MPTCP;
	k.mptcp.conn.set(ssk, sk);
	return sf;
}

/** The state of a subflow changed, or it ended with an error. */
export function subflow_state_change(k: Stack, ssk: Sk): void {
	const S = k.sock;
	const sk = k.mptcp.conn.get(ssk);
	const msk = mptcpSubflowCtx(k, ssk);
	if (sk === undefined || msk === null) return;
	const state = S.skc_state[ssk];
	if (S.skc_state[sk] === TCP_SYN_SENT && state === TCP_ESTABLISHED) {
		// Simultaneous open: MPTCP falls back to TCP.
		msk.fallback = true;
		msk.ssn_late = k.changes.has("mptcp-fallback-mapping"); // since 6.19, 2834f8edd74d
		S.skc_state[sk] = TCP_ESTABLISHED;
	}
	// subflow_error_report. mptcp_release_cb does it for a connect() that holds the sock.
	if (S.sk_err[ssk] !== 0 && S.sk_socket[sk] !== 0 && !msk.owned) {
		__mptcp_subflow_error_report(k, sk, ssk);
	}
	subflow_sched_work_if_closed(k, sk, msk, ssk);
	// since 6.15, c3349a22c200
	if (!k.changes.has("mptcp-connect-ignores-fin")) fallbackDataFin(k, sk, msk, ssk);
}

/** Aborts the connections that wait for accept(). */
export function mptcp_subflow_queue_clean(k: Stack, listener_ssk: Sk): void {
	const S = k.sock;
	for (let ssk = S.rskq_accept_head.get(listener_ssk); ssk !== 0; ssk = S.dl_next.get(ssk)) {
		const sk = k.mptcp.conn.get(ssk);
		if (sk === undefined) continue;
		// __mptcp_unaccepted_force_close
		const msk = mptcp_sk(k, sk);
		S.sk_flags[sk] |= SOCK_DEAD;
		mptcp_do_fastclose(k, sk, msk);
		__mptcp_destroy_sock(k, sk, msk);
	}
}

/**
 * Makes the child of a listening subflow a subflow if its SYN and the segment that made it had the
 * option MP_CAPABLE, with an MPTCP sock that waits for accept(). `sk` is the listening subflow.
 */
export function subflow_ulp_clone(k: Stack, sk: Sk, newsk: Sk, flags: number): void {
	if ((k.sock.sk_flags[newsk] & SOCK_MPTCP) === 0) return;
	const parent = k.mptcp.conn.get(sk);
	if ((flags & TCPHDR_MPTCP) === 0 || parent === undefined) k.sock.sk_flags[newsk] &= ~SOCK_MPTCP;
	else mptcp_sk_clone_init(k, parent, newsk);
}
