// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/mptcp/subflow.c: the TCP sock below an MPTCP socket, and what it reports to this socket. A
 * segment with TCPHDR_MPTCP has the option MP_CAPABLE.
 */
import type { Sk, Sock } from "../../include/linux/handle.js";
import { SOCK_STREAM } from "../../include/linux/net.js";
import { TCPHDR_MPTCP } from "../../include/net/mptcp.js";
import { RCV_SHUTDOWN, SHUTDOWN_MASK, SOCK_MPTCP } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_ESTABLISHED,
	TCP_LISTEN,
	TCP_SYN_RECV,
	TCP_SYN_SENT,
} from "../../include/net/tcp_states.js";
import { IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import { sk_net, sock_error, sock_orphan } from "../core/sock.js";
import { sock_create } from "../socket.js";

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
	// __mptcp_set_connected
	if (k.sock.skc_state[sk] === TCP_SYN_SENT) k.sock.skc_state[sk] = TCP_ESTABLISHED;
}

/** Makes the child of a listening subflow a subflow if its SYN had the option MP_CAPABLE. */
export function subflow_ulp_clone(k: Stack, newsk: Sk, flags: number): void {
	if ((flags & TCPHDR_MPTCP) === 0) k.sock.sk_flags[newsk] &= ~SOCK_MPTCP;
}

/**
 * A subflow ends with an error. The MPTCP sock gets the error as well. disconnect() of the subflow
 * and a connect() that fails at once report nothing.
 */
export function subflow_error_report(k: Stack, ssk: Sk): void {
	const S = k.sock;
	const sk = k.mptcp.conn.get(ssk);
	const msk = sk === undefined ? undefined : k.mptcp.socks.get(sk);
	if (sk === undefined || msk === undefined) return;
	const err = sock_error(k, ssk);
	if (err === 0) return;
	// For a subflow that connected this is usually the first answer, so the sock falls back to TCP.
	// For one that accept() made it is MP_FASTCLOSE.
	if (!msk.initial) S.sk_shutdown[sk] = SHUTDOWN_MASK;
	else if (S.skc_state[sk] !== TCP_SYN_SENT) msk.fallback = true;
	S.skc_state[sk] = TCP_CLOSE;
	S.sk_err[sk] = -err;
}

/**
 * The state of a subflow changed. The state of the MPTCP sock follows. In C DATA_FINs change the
 * state of the MPTCP sock; here they count as sent together with the FINs of the subflow.
 */
export function subflow_state_change(k: Stack, ssk: Sk): void {
	const S = k.sock;
	const state = S.skc_state[ssk];
	const closing = k.mptcp.closing.get(ssk);
	if (closing !== undefined && state === TCP_CLOSE) {
		// It need not be kept any more. The caller that set the state frees it (tcp_done).
		k.mptcp.closing.delete(ssk);
		sock_orphan(k, ssk);
		k.socket.sk[closing.socket] = 0;
		k.socket.kmem_cache_free(closing.socket);
	}
	const sk = k.mptcp.conn.get(ssk);
	const msk = sk === undefined ? undefined : k.mptcp.socks.get(sk);
	if (sk === undefined || msk === undefined) return;
	if (S.skc_state[sk] === TCP_SYN_SENT && state === TCP_ESTABLISHED) {
		// Simultaneous open: MPTCP falls back to TCP.
		msk.fallback = true;
		S.skc_state[sk] = TCP_ESTABLISHED;
	}
	switch (S.skc_state[sk]) {
		case TCP_CLOSE:
		case TCP_LISTEN:
		case TCP_SYN_SENT:
			return;
		default:
			break;
	}
	switch (state) {
		case TCP_LISTEN:
		case TCP_SYN_SENT:
		case TCP_SYN_RECV:
			return;
		case TCP_CLOSE:
			// An established socket stays when its subflow ends, because another subflow may come.
			if (S.skc_state[sk] !== TCP_ESTABLISHED) S.skc_state[sk] = TCP_CLOSE;
			return;
		default:
			S.skc_state[sk] = state;
			if (state === TCP_CLOSE_WAIT) S.sk_shutdown[sk] |= RCV_SHUTDOWN;
	}
}
