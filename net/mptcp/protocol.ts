// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/mptcp/protocol.c: MPTCP sockets. The ports belong to the first subflow, a TCP sock that is
 * made with the socket. The socket copies the addresses of the subflow.
 *
 * An MPTCP connection ends by DATA_FINs, which are options of segments. Its subflow stays
 * established until both ends have sent one, at most a minute after close(). Then the subflow ends
 * as a TCP connection does. A worker does all this after the call that caused it.
 *
 * Left out: further subflows, the path manager, and net.mptcp.enabled=0.
 */

import type { Port, Sk, Sock } from "../../include/linux/handle.js";
import {
	INET_STREAM_OPS,
	INET6_STREAM_OPS,
	MPTCP_STREAM_OPS,
	MPTCP_V6_STREAM_OPS,
	type ProtoOps,
	SOCK_STREAM,
	SS_CONNECTED,
	SS_UNCONNECTED,
} from "../../include/linux/net.js";
import {
	AF_INET6,
	MSG_DONTWAIT,
	MSG_FASTOPEN,
	MSG_MORE,
	MSG_PEEK,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { ipv6_addr_copy } from "../../include/net/ipv6.js";
import type { MptcpSock } from "../../include/net/mptcp.js";
import {
	GLOBAL_ROOT_UID,
	PROT_MPTCP,
	PROT_MPTCPV6,
	type Proto,
	RCV_SHUTDOWN,
	SEND_SHUTDOWN,
	SHUTDOWN_MASK,
	SOCK_DEAD,
	SOCK_LINGER,
	sk_net,
	sk_prot,
	sk_timer,
	sock_error,
	sock_graft,
	sock_orphan,
	type TcpFastopenRequest,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_TIMEWAIT_LEN } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCPF_CLOSE,
	TCPF_CLOSE_WAIT,
	TCPF_CLOSING,
	TCPF_ESTABLISHED,
	TCPF_FIN_WAIT1,
	TCPF_FIN_WAIT2,
	TCPF_LAST_ACK,
	TCPF_LISTEN,
	TCPF_SYN_RECV,
	TCPF_SYN_SENT,
} from "../../include/net/tcp_states.js";
import {
	EAGAIN,
	EBUSY,
	ECONNREFUSED,
	ECONNRESET,
	EINPROGRESS,
	EINVAL,
	ENOTCONN,
	EOPNOTSUPP,
	EPIPE,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_MPTCP } from "../../include/uapi/linux/in.js";
import { process_backlog } from "../core/dev.js";
import { proto_register, release_sock, sk_clone, sk_free } from "../core/sock.js";
import {
	__inet_stream_connect,
	inet_getname,
	inet_recvmsg,
	inet_register_protosw,
	inet_release,
	inet_sendmsg,
	inet_shutdown,
	inet_stream_connect,
	inet_wait_for_connect,
} from "../ipv4/af_inet.js";
import { inet_csk_accept, inet_csk_listen_stop } from "../ipv4/inet_connection_sock.js";
import {
	sk_stream_wait_close,
	tcp_cleanup_rbuf,
	tcp_disconnect,
	tcp_init_sock,
	tcp_sendmsg_fastopen,
	tcp_set_state,
	tcp_shutdown,
	tcpWaits,
} from "../ipv4/tcp.js";
import { tcp_send_ack, tcp_send_active_reset } from "../ipv4/tcp_output.js";
import { inet6_getname, inet6_register_protosw } from "../ipv6/af_inet6.js";
import { sock_alloc, sock_ops } from "../socket.js";
import { mptcp_getsockopt, mptcp_setsockopt } from "./sockopt.js";
import {
	mptcp_propagate_state,
	mptcp_subflow_create_socket,
	mptcp_subflow_queue_clean,
} from "./subflow.js";

export function mptcp_sk(k: Stack, sk: Sk): MptcpSock {
	const msk = k.mptcp.socks.get(sk);
	if (msk === undefined) throw new Error(`socket ${sk} is not MPTCP's`);
	return msk;
}

/**
 * The struct socket of the first subflow while options and addresses can still be set, otherwise 0.
 * Since mptcp-set-up-while-closed this depends on the state of the sock.
 */
export function __mptcp_nmpc_socket(k: Stack, sk: Sk): Sock {
	const msk = mptcp_sk(k, sk);
	// since 6.4, ddb1a072f858
	if (!k.changes.has("mptcp-set-up-while-closed")) {
		return msk.initial && !msk.can_ack ? msk.socket : 0;
	}
	if (((1 << k.sock.skc_state[sk]) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) return 0;
	if (!msk.initial && !k.changes.has("mptcp-accepted-set-up")) return 0; // since 6.6, 3f326a821b99
	// C makes the subflow here, so it gets the current value of the sysctl. If options were set on
	// the socket, mptcp_sockopt_sync_locked copies them instead.
	if (!msk.accessed) {
		if (k.sock.skc_family[sk] === AF_INET6) {
			k.sock.skc_ipv6only[msk.first] = msk.options_set
				? k.sock.skc_ipv6only[sk]
				: sk_net(k, sk).ipv6.bindv6only & 1;
		}
		// It takes the present timeouts as well.
		tcp_init_sock(k, msk.first);
	}
	msk.accessed = true;
	return msk.socket;
}

/** The fields of a new sock. */
function newMptcpSock(initial: boolean, socket: Sock, first: Sk): MptcpSock {
	return {
		socket,
		initial,
		first,
		accessed: !initial,
		options_set: !initial,
		keepalive_idle: 0,
		keepalive_intvl: 0,
		keepalive_cnt: 0,
		can_ack: !initial,
		fallback: false,
		owned: false,
		fastopening: false,
		fastopen: null,
		sync_state: false,
		fully_established: !initial,
		in_accept_queue: !initial,
		snd_data_fin_enable: false,
		all_acked: true,
		rcv_data_fin: false,
		rcv_data_fin_seq: 0,
		ack_seq: 0,
		map_end: 0,
		ssn_late: false,
		ack_data_fin: false,
		rcv_fastclose: false,
		fastclosing: false,
		send_fastclose: false,
		work_close_subflow: false,
		closing: false,
	};
}

/**
 * How many bytes of a segment are new. None if all are old, or if bytes before them are missing: it
 * waits in C's out_of_order_queue for them, and they never come.
 */
function __mptcp_move_skb(k: Stack, msk: MptcpSock, size: number): number {
	const map_seq = msk.ssn_late ? -1 : msk.map_end;
	msk.ssn_late = false;
	msk.map_end = map_seq + size;
	if (map_seq === msk.ack_seq) return size;
	// since 7.1, 50c2d91c5dfa
	if (map_seq > msk.ack_seq || !k.changes.has("mptcp-partial-packets")) return 0;
	return Math.max(msk.map_end - msk.ack_seq, 0);
}

/** Sends the FINs of the subflows. */
function mptcp_shutdown_subflows(k: Stack, msk: MptcpSock): void {
	if (!k.changes.has("mptcp-subflow-shutdown")) return; // since 6.17, f755be0b1ff4
	tcp_shutdown(k, msk.first, SEND_SHUTDOWN);
	process_backlog(k);
}

/** Whether the peer acknowledged the DATA_FIN, and the state does not say so yet. */
function mptcp_pending_data_fin_ack(k: Stack, sk: Sk, msk: MptcpSock): boolean {
	const states = TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK;
	return ((1 << k.sock.skc_state[sk]) & states) !== 0 && msk.all_acked;
}

function mptcp_check_data_fin_ack(k: Stack, sk: Sk, msk: MptcpSock): void {
	if (!mptcp_pending_data_fin_ack(k, sk, msk)) return;
	msk.snd_data_fin_enable = false;
	if (k.sock.skc_state[sk] === TCP_FIN_WAIT1) {
		mptcp_set_state(k, sk, TCP_FIN_WAIT2);
		return;
	}
	mptcp_shutdown_subflows(k, msk);
	mptcp_set_state(k, sk, TCP_CLOSE);
}

/** Whether a DATA_FIN of the peer arrived, and the state does not say so yet. */
function mptcp_pending_data_fin(k: Stack, sk: Sk, msk: MptcpSock): boolean {
	const states = TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2;
	if (!msk.rcv_data_fin || ((1 << k.sock.skc_state[sk]) & states) === 0) return false;
	return !msk.ack_data_fin && msk.ack_seq === msk.rcv_data_fin_seq;
}

function mptcp_send_ack(k: Stack, msk: MptcpSock): void {
	const states = TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE | TCPF_LISTEN;
	if (((1 << k.sock.skc_state[msk.first]) & states) === 0) tcp_send_ack(k, msk.first);
	process_backlog(k);
}

/** The program has read data. The subflow acknowledges it now if there is no more. */
function mptcp_cleanup_rbuf(k: Stack, sk: Sk): void {
	const { first } = mptcp_sk(k, sk);
	if (k.sock.rcv_unread.get(sk) === 0 && first !== 0) tcp_cleanup_rbuf(k, first, 1);
}

function mptcp_check_data_fin(k: Stack, sk: Sk, msk: MptcpSock): void {
	if (!mptcp_pending_data_fin(k, sk, msk)) return;
	msk.ack_data_fin = true;
	msk.rcv_data_fin = false;
	k.sock.sk_shutdown[sk] |= RCV_SHUTDOWN;
	switch (k.sock.skc_state[sk]) {
		case TCP_ESTABLISHED:
			mptcp_set_state(k, sk, TCP_CLOSE_WAIT);
			break;
		case TCP_FIN_WAIT1:
			mptcp_set_state(k, sk, TCP_CLOSING);
			break;
		default:
			mptcp_shutdown_subflows(k, msk);
			mptcp_set_state(k, sk, TCP_CLOSE);
	}
	if (!msk.fallback) mptcp_send_ack(k, msk);
}

/** A subflow has an error. Only a sock that connects or fell back to TCP gets it. */
export function __mptcp_subflow_error_report(k: Stack, sk: Sk, ssk: Sk): void {
	const S = k.sock;
	if (S.skc_state[sk] !== TCP_SYN_SENT && !mptcp_sk(k, sk).fallback) return;
	const err = sock_error(k, ssk);
	if (err === 0) return;
	const dead = (S.sk_flags[sk] & SOCK_DEAD) !== 0;
	if (S.skc_state[ssk] === TCP_CLOSE && !dead) mptcp_set_state(k, sk, TCP_CLOSE);
	S.sk_err[sk] = -err;
}

/** Data arrived at a subflow. It waits in the MPTCP sock for the program. */
export function mptcp_data_ready(k: Stack, sk: Sk, ssk: Sk): void {
	const msk = mptcp_sk(k, sk);
	if (msk.closing) return;
	const size = __mptcp_move_skb(k, msk, k.sock.rcv_unread.get(ssk));
	k.sock.rcv_unread.add(sk, size);
	k.sock.rcv_unread.set(ssk, 0);
	msk.ack_seq += size;
	if (mptcp_pending_data_fin(k, sk, msk)) mptcp_schedule_work(k, sk);
}

/** Lets the worker look at a sock when the call ends. */
export function mptcp_schedule_work(k: Stack, sk: Sk): void {
	if (k.sock.skc_state[sk] === TCP_CLOSE) return;
	if (!k.mptcp.works.includes(sk)) k.mptcp.works.push(sk);
}

/** The peer acknowledged data. */
export function __mptcp_clean_una(k: Stack, sk: Sk, msk: MptcpSock): void {
	if (mptcp_pending_data_fin_ack(k, sk, msk)) mptcp_schedule_work(k, sk);
}

/**
 * The begin of a send with MSG_FASTOPEN: it connects the socket. Each failure but -EINPROGRESS
 * disconnects the socket, even a listener. Returns 0 if the rest of the data is to be sent, or a
 * negative errno. mptcpConnectWait goes on after -ERESTARTSYS. `fo` is the request that the call
 * makes. It says how many bytes the SYN has.
 */
function mptcp_sendmsg_fastopen(
	k: Stack,
	sk: Sk,
	addr: Sockaddr | null,
	addr_len: number,
	flags: number,
	fo: TcpFastopenRequest,
): number {
	const msk = mptcp_sk(k, sk);
	const sock = k.sock.sk_socket[sk];
	if (__mptcp_nmpc_socket(k, sk) === 0) return -EINVAL;
	msk.fastopening = true;
	let ret = tcp_sendmsg_fastopen(k, msk.first, addr, addr_len, true, fo);
	msk.fastopening = false;
	if (ret === -EINPROGRESS && (flags & MSG_DONTWAIT) === 0) {
		ret = __inet_stream_connect(k, sock, addr, addr_len, false, true);
		if (ret === -ERESTARTSYS) msk.fastopen = fo;
	} else if (ret !== 0 && ret !== -EINPROGRESS && mptcp_disconnect(k, sk) === 0) {
		// since 6.4, c2b2ae3925b6
		if (k.changes.has("mptcp-fastopen-unconnects")) k.socket.state[sock] = SS_UNCONNECTED;
	}
	release_sock(k, sk);
	return ret;
}

/** Continues a blocking connect() or a send that connects. Returns the result of the call. */
function mptcpConnectWait(k: Stack, sock: Sock): number {
	const sk = k.socket.sk[sock];
	const msk = mptcp_sk(k, sk);
	const err = inet_wait_for_connect(k, sock);
	const fo = msk.fastopen;
	if (err === -ERESTARTSYS || fo === null) return err;
	msk.fastopen = null;
	return err !== 0 ? err : mptcpSendRest(k, sk, fo.size, fo.copied, 0);
}

/** Sends `size` bytes on the subflow. Returns the number of bytes or a negative errno. */
function mptcp_sendmsg(
	k: Stack,
	sk: Sk,
	addr: Sockaddr | null,
	addr_len: number,
	size: number,
	flags: number,
): number {
	if ((flags & MSG_FASTOPEN) === 0) return mptcpSendRest(k, sk, size, 0, flags);
	if (!k.changes.has("mptcp-msg-fastopen")) return -EOPNOTSUPP; // since 6.2, 1e777f39b4d7
	// since 6.4, ddb1a072f858
	const always = k.changes.has("mptcp-set-up-while-closed");
	if (!always && __mptcp_nmpc_socket(k, sk) === 0) return mptcpSendRest(k, sk, size, 0, flags);
	const fo = { data: true, size, copied: 0, write_pending: false, sends: true };
	const err = mptcp_sendmsg_fastopen(k, sk, addr, addr_len, flags, fo);
	if (err === -EINPROGRESS && fo.copied > 0) return fo.copied;
	return err !== 0 ? err : mptcpSendRest(k, sk, size, fo.copied, flags);
}

/** The part of mptcp_sendmsg after the fast open, which has sent `copied` of `size` bytes. */
function mptcpSendRest(k: Stack, sk: Sk, size: number, copied: number, flags: number): number {
	const S = k.sock;
	const open = TCPF_ESTABLISHED | TCPF_CLOSE_WAIT;
	const state = 1 << S.skc_state[sk];
	if ((state & open) === 0) {
		// sk_stream_wait_connect
		const err = sock_error(k, sk);
		if (err !== 0) return err;
		if ((state & TCPF_SYN_SENT) === 0) return -EPIPE;
		return (flags & MSG_DONTWAIT) !== 0 ? -EAGAIN : -ERESTARTSYS;
	}
	if (S.sk_err[sk] !== 0 || (S.sk_shutdown[sk] & SEND_SHUTDOWN) !== 0) {
		return sock_error(k, sk) || -EPIPE;
	}
	const { first } = mptcp_sk(k, sk);
	// If the subflow has ended, the data waits for another one.
	if (((1 << S.skc_state[first]) & open) === 0 || size === copied) return size;
	const sent = flags & ~(MSG_MORE | MSG_FASTOPEN);
	const ret = sk_prot(k, first).sendmsg(k, first, null, 0, size - copied, sent);
	return ret < 0 ? ret : copied + ret;
}

/** The subflow has ended after a fallback, and the worker does not look at a closed sock. */
function mptcp_check_for_eof(k: Stack, sk: Sk): void {
	const { fallback, rcv_data_fin } = mptcp_sk(k, sk);
	if (fallback && rcv_data_fin) k.sock.sk_shutdown[sk] |= RCV_SHUTDOWN;
}

/**
 * Receives at most `size` bytes. Returns the number of bytes, 0 at the end, or a negative errno.
 */
function mptcp_recvmsg(k: Stack, sk: Sk, size: number, flags: number): number {
	const S = k.sock;
	if (S.skc_state[sk] === TCP_LISTEN) return -ENOTCONN;
	const copied = Math.min(size, S.rcv_unread.get(sk));
	if ((flags & MSG_PEEK) === 0) S.rcv_unread.add(sk, -copied);
	if (copied > 0) mptcp_cleanup_rbuf(k, sk);
	if (copied > 0 || size === 0) return copied;
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	// since 6.4, 81c1d0290160
	if (!k.changes.has("mptcp-reset-is-no-end")) mptcp_check_for_eof(k, sk);
	if ((S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0) return 0;
	if (S.skc_state[sk] === TCP_CLOSE) return -ENOTCONN;
	return (flags & MSG_DONTWAIT) !== 0 ? -EAGAIN : -ERESTARTSYS;
}

/**
 * The time of mptcp_start_tout_timer is over. In C the timer schedules the worker, which does this
 * (mptcp_close_tout_expired).
 */
function mptcp_tout_timer(k: Stack, sk: Sk): void {
	const msk = mptcp_sk(k, sk);
	if (k.sock.skc_state[sk] === TCP_CLOSE) return;
	mptcp_do_fastclose(k, sk, msk);
	__mptcp_close_ssk(k, sk, msk, false);
	if ((k.sock.sk_flags[sk] & SOCK_DEAD) !== 0) __mptcp_destroy_sock(k, sk, msk);
}

/**
 * Closes a subflow, or disconnects the first one so that it can connect again. A reset is sent only
 * if the caller asked for it.
 */
function __mptcp_close_ssk(k: Stack, sk: Sk, msk: MptcpSock, dispose_it: boolean): void {
	const S = k.sock;
	const ssk = msk.first;
	const dead = (S.sk_flags[sk] & SOCK_DEAD) !== 0;
	msk.closing = true;
	// The listener ends, or has ended, which forgets the subflow.
	if (msk.in_accept_queue && dead) {
		k.mptcp.conn.delete(ssk);
		msk.first = 0;
		return;
	}
	const once = k.changes.has("mptcp-fastclose-once"); // since 6.18, ae155060247b
	if (!once) msk.send_fastclose = msk.fastclosing && !msk.fallback;
	else if (msk.send_fastclose && S.skc_state[ssk] !== TCP_CLOSE) tcp_set_state(k, ssk, TCP_CLOSE);
	if (dispose_it) {
		k.mptcp.conn.delete(ssk);
		msk.first = 0;
		sk_prot(k, ssk).close(k, ssk, 0);
		return;
	}
	const all = k.changes.has("mptcp-disconnect-resets"); // since 6.19, 86730ac255b0
	const resets = once && !all ? msk.send_fastclose : msk.fastclosing;
	// __mptcp_subflow_disconnect
	if (((1 << S.skc_state[ssk]) & (TCPF_CLOSE | TCPF_LISTEN)) === 0 && !resets) {
		tcp_shutdown(k, ssk, SEND_SHUTDOWN);
	} else {
		tcp_disconnect(k, ssk);
		// mptcp_subflow_ctx_reset
		msk.send_fastclose = false;
		msk.closing = false;
		msk.fully_established = false;
	}
	if (msk.socket !== 0) k.socket.state[msk.socket] = SS_UNCONNECTED;
	if (S.skc_state[ssk] !== TCP_CLOSE) return;
	// An established sock stays for a minute, because another subflow may come.
	if (S.skc_state[sk] !== TCP_ESTABLISHED || msk.in_accept_queue || dead) {
		mptcp_set_state(k, sk, TCP_CLOSE);
	} else {
		mptcp_start_tout_timer(k, sk);
	}
}

/** Closes the subflow if it has ended. */
function __mptcp_close_subflow(k: Stack, sk: Sk, msk: MptcpSock): void {
	const S = k.sock;
	const ssk_state = S.skc_state[msk.first];
	if (
		ssk_state !== TCP_CLOSE &&
		(ssk_state !== TCP_CLOSE_WAIT || S.skc_state[sk] !== TCP_ESTABLISHED || msk.fallback)
	) {
		return;
	}
	if (S.rcv_unread.get(msk.first) === 0) __mptcp_close_ssk(k, sk, msk, false);
}

/** The peer sent MP_FASTCLOSE. Does what tcp_reset does. */
function mptcp_check_fastclose(k: Stack, sk: Sk, msk: MptcpSock): void {
	const S = k.sock;
	if (!msk.rcv_fastclose) return;
	if (S.skc_state[msk.first] !== TCP_CLOSE) {
		tcp_send_active_reset(k, msk.first);
		tcp_set_state(k, msk.first, TCP_CLOSE);
	}
	const state = S.skc_state[sk];
	if (state === TCP_CLOSE) return;
	if (state === TCP_SYN_SENT) S.sk_err[sk] = ECONNREFUSED;
	else S.sk_err[sk] = state === TCP_CLOSE_WAIT ? EPIPE : ECONNRESET;
	mptcp_set_state(k, sk, TCP_CLOSE);
	S.sk_shutdown[sk] = SHUTDOWN_MASK;
	msk.work_close_subflow = true;
}

/** How long a sock without subflows, or an orphan, waits for its peer: net.mptcp.close_timeout. */
function mptcp_start_tout_timer(k: Stack, sk: Sk): void {
	k.timers.mod_timer(sk_timer(sk), TCP_TIMEWAIT_LEN);
}

/** Aborts the connection with MP_FASTCLOSE. After a fallback it only changes the state. */
export function mptcp_do_fastclose(k: Stack, sk: Sk, msk: MptcpSock): void {
	mptcp_set_state(k, sk, TCP_CLOSE);
	msk.fastclosing = true;
	// Before, the end of the subflow sends the reset, also after a fallback.
	// since 6.18, ae155060247b
	if (!k.changes.has("mptcp-fastclose-once")) {
		if (msk.first !== 0) __mptcp_close_ssk(k, sk, msk, false);
		return;
	}
	if (msk.fallback) return;
	if (((1 << k.sock.skc_state[msk.first]) & (TCPF_LISTEN | TCPF_CLOSE)) !== 0) return;
	msk.send_fastclose = true;
	tcp_send_active_reset(k, msk.first);
	process_backlog(k);
}

/** The worker: does what segments and timers could not do without the lock of the sock. */
function mptcp_worker(k: Stack, sk: Sk): void {
	const S = k.sock;
	const msk = mptcp_sk(k, sk);
	if (((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0) return;
	mptcp_check_fastclose(k, sk, msk);
	mptcp_check_data_fin_ack(k, sk, msk);
	mptcp_check_data_fin(k, sk, msk);
	if (msk.work_close_subflow) {
		msk.work_close_subflow = false;
		__mptcp_close_subflow(k, sk, msk);
	}
	if (S.skc_state[sk] === TCP_CLOSE && (S.sk_flags[sk] & SOCK_DEAD) !== 0) {
		__mptcp_destroy_sock(k, sk, msk);
	}
}

/** Makes the first subflow of a new sock. */
function mptcp_init_sock(k: Stack, sk: Sk): void {
	const socket = mptcp_subflow_create_socket(k, sk);
	k.mptcp.socks.set(sk, newMptcpSock(true, socket, k.socket.sk[socket]));
}

/** mptcp_subflow_shutdown. Sends the DATA_FIN, after a fallback the FIN of TCP. */
function mptcp_subflow_shutdown(k: Stack, sk: Sk, msk: MptcpSock): void {
	const ssk = msk.first;
	if (k.sock.skc_state[ssk] === TCP_SYN_SENT) {
		tcp_disconnect(k, ssk);
	} else if (msk.fallback) {
		k.sock.sk_shutdown[ssk] |= SEND_SHUTDOWN;
		tcp_shutdown(k, ssk, SEND_SHUTDOWN);
		msk.all_acked = true;
		mptcp_schedule_work(k, sk);
	} else if (k.sock.skc_state[ssk] !== TCP_CLOSE) {
		tcp_send_ack(k, ssk);
	}
	process_backlog(k);
}

function mptcp_set_state(k: Stack, sk: Sk, state: number): void {
	k.sock.skc_state[sk] = state;
}

/** Sets the next state of a socket that this side closes. Returns whether a DATA_FIN is to be sent. */
function mptcp_close_state(k: Stack, sk: Sk): boolean {
	switch (k.sock.skc_state[sk]) {
		case TCP_ESTABLISHED:
			mptcp_set_state(k, sk, TCP_FIN_WAIT1);
			return true;
		case TCP_CLOSE_WAIT:
			mptcp_set_state(k, sk, TCP_LAST_ACK);
			return true;
		case TCP_SYN_SENT:
		case TCP_LISTEN:
			mptcp_set_state(k, sk, TCP_CLOSE);
			return false;
		default:
			return false;
	}
}

function __mptcp_wr_shutdown(k: Stack, sk: Sk, msk: MptcpSock): void {
	msk.all_acked = false;
	msk.snd_data_fin_enable = true;
	mptcp_subflow_shutdown(k, sk, msk); // mptcp_check_send_data_fin
}

/** Frees a sock that no file refers to, and closes its subflow. */
export function __mptcp_destroy_sock(k: Stack, sk: Sk, msk: MptcpSock): void {
	k.timers.del_timer(sk_timer(sk));
	if (msk.first !== 0) __mptcp_close_ssk(k, sk, msk, true);
	const { works } = k.mptcp;
	const at = works.indexOf(sk);
	if (at !== -1) works.splice(at, 1); // mptcp_cancel_work
	k.mptcp.socks.delete(sk);
	sk_free(k, sk);
}

/** Ends a listener and the connections that wait in it. */
function mptcp_check_listen_stop(k: Stack, sk: Sk, msk: MptcpSock): void {
	if (k.sock.skc_state[sk] !== TCP_LISTEN) return;
	tcp_set_state(k, msk.first, TCP_CLOSE);
	mptcp_subflow_queue_clean(k, msk.first);
	inet_csk_listen_stop(k, msk.first);
}

/**
 * close(). Sends the DATA_FIN. The sock stays as an orphan until the peer has sent its own. If data
 * was not read, or SO_LINGER is on with time 0, aborts the connection. `timeout` is the time of
 * SO_LINGER, ms.
 */
function mptcp_close(k: Stack, sk: Sk, timeout: number): void {
	const S = k.sock;
	const msk = mptcp_sk(k, sk);
	S.sk_shutdown[sk] = SHUTDOWN_MASK;
	if (((1 << S.skc_state[sk]) & (TCPF_LISTEN | TCPF_CLOSE)) !== 0) {
		mptcp_check_listen_stop(k, sk, msk);
		mptcp_set_state(k, sk, TCP_CLOSE);
	} else {
		const linger =
			(S.sk_flags[sk] & SOCK_LINGER) !== 0 &&
			S.sk_lingertime.get(sk) === 0 &&
			k.changes.has("mptcp-linger-zero-aborts"); // since 7.1, f14d6e9c3678
		if (S.rcv_unread.get(sk) > 0 || linger) {
			mptcp_do_fastclose(k, sk, msk);
			timeout = 0;
		} else if (mptcp_close_state(k, sk)) {
			__mptcp_wr_shutdown(k, sk, msk);
		}
		sk_stream_wait_close(k, sk, timeout);
	}

	const ssk = msk.first;
	const alive = S.skc_state[ssk] !== TCP_CLOSE;
	S.sk_socket[ssk] = 0;
	if (!k.changes.has("orphan-uid")) S.sk_uid[ssk] = GLOBAL_ROOT_UID; // since 6.17, c51da3f7a161
	k.socket.sk[msk.socket] = 0;
	k.socket.kmem_cache_free(msk.socket);
	msk.socket = 0;
	sock_orphan(k, sk);
	if (!alive) mptcp_set_state(k, sk, TCP_CLOSE);
	if (S.skc_state[sk] === TCP_CLOSE) __mptcp_destroy_sock(k, sk, msk);
	else mptcp_start_tout_timer(k, sk);
}

/** Copies the addresses of a subflow to the MPTCP sock, where the program sees them. */
function mptcp_copy_inaddrs(k: Stack, sk: Sk, ssk: Sk): void {
	const S = k.sock;
	ipv6_addr_copy(S.skc_v6_daddr, sk * 4, S.skc_v6_daddr, ssk * 4);
	ipv6_addr_copy(S.skc_v6_rcv_saddr, sk * 4, S.skc_v6_rcv_saddr, ssk * 4);
	ipv6_addr_copy(S.np_saddr, sk * 4, S.np_saddr, ssk * 4);
	S.skc_num[sk] = S.skc_num[ssk];
	S.skc_dport[sk] = S.skc_dport[ssk];
	S.inet_sport[sk] = S.inet_sport[ssk];
	S.skc_daddr[sk] = S.skc_daddr[ssk];
	S.inet_saddr[sk] = S.inet_saddr[ssk];
	S.skc_rcv_saddr[sk] = S.skc_rcv_saddr[ssk];
}

/**
 * Aborts a connection, or stops to listen. The socket can connect again. Its addresses keep the
 * values that were copied last.
 */
function mptcp_disconnect(k: Stack, sk: Sk): number {
	const msk = mptcp_sk(k, sk);
	if (tcpWaits(k, sk)) return -EBUSY;
	// mptcp_sendmsg_fastopen disconnects. The result: since 6.4, c2b2ae3925b6
	if (msk.fastopening) return k.changes.has("mptcp-fastopen-unconnects") ? -EBUSY : 0;
	mptcp_check_listen_stop(k, sk, msk);
	mptcp_set_state(k, sk, TCP_CLOSE);
	k.timers.del_timer(sk_timer(sk));
	mptcp_do_fastclose(k, sk, msk);
	__mptcp_close_ssk(k, sk, msk, false);
	k.sock.rcv_unread.set(sk, 0);
	msk.work_close_subflow = false;
	msk.can_ack = false;
	msk.fallback = false;
	msk.fully_established = false;
	msk.rcv_data_fin = false;
	msk.ack_seq = 0;
	msk.map_end = 0;
	msk.ssn_late = false;
	msk.ack_data_fin = false;
	msk.snd_data_fin_enable = false;
	msk.all_acked = true;
	msk.rcv_fastclose = false;
	msk.fastclosing = false;
	k.sock.sk_shutdown[sk] = 0;
	return 0;
}

/** Makes the MPTCP sock of a connection that waits for accept(). `ssk` is its subflow. */
export function mptcp_sk_clone_init(k: Stack, sk: Sk, ssk: Sk): void {
	const nsk = sk_clone(k, sk);
	mptcp_set_state(k, nsk, TCP_ESTABLISHED);
	mptcp_copy_inaddrs(k, nsk, ssk);
	const { keepalive_idle, keepalive_intvl, keepalive_cnt } = mptcp_sk(k, sk);
	const keepalive = { keepalive_idle, keepalive_intvl, keepalive_cnt };
	k.mptcp.socks.set(nsk, { ...newMptcpSock(false, 0, ssk), ...keepalive });
	k.mptcp.conn.set(ssk, nsk);
}

/** connect() releases the sock. */
function mptcp_release_cb(k: Stack, sk: Sk): void {
	const msk = mptcp_sk(k, sk);
	if (!msk.owned) return;
	msk.owned = false;
	if (msk.sync_state) mptcp_propagate_state(k, sk, msk);
	msk.sync_state = false;
	if (k.sock.sk_err[msk.first] !== 0) __mptcp_subflow_error_report(k, sk, msk.first);
}

function mptcp_get_port(k: Stack, sk: Sk, snum: Port): number {
	const { first } = mptcp_sk(k, sk);
	return sk_prot(k, first).get_port(k, first, snum);
}

function mptcp_shutdown(k: Stack, sk: Sk, how: number): void {
	if ((how & SEND_SHUTDOWN) === 0 || !mptcp_close_state(k, sk)) return;
	__mptcp_wr_shutdown(k, sk, mptcp_sk(k, sk));
}

/** connect() of the subflow. It never blocks; the caller waits for the MPTCP socket. */
function mptcp_connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const msk = mptcp_sk(k, sk);
	const ssock = __mptcp_nmpc_socket(k, sk);
	if (ssock === 0 || S.skc_state[msk.first] !== TCP_CLOSE) return -EINVAL;
	S.skc_state[sk] = TCP_SYN_SENT;
	msk.owned = true;
	const err = sock_ops(k, ssock).connect(k, ssock, addr, addr_len, true);
	if (err !== 0 && err !== -EINPROGRESS) {
		S.skc_state[sk] = S.skc_state[msk.first];
		return err;
	}
	mptcp_copy_inaddrs(k, sk, msk.first);
	return 0;
}

const mptcp_prot: Proto = {
	name: "MPTCP",
	prot: PROT_MPTCP,
	init: mptcp_init_sock,
	close: mptcp_close,
	connect: mptcp_connect,
	disconnect: mptcp_disconnect,
	shutdown: mptcp_shutdown,
	sendmsg: mptcp_sendmsg,
	recvmsg: mptcp_recvmsg,
	hash: () => {
		throw new Error("an MPTCP sock is on no chain: its subflow is");
	},
	unhash: () => {},
	get_port: mptcp_get_port,
	release_cb: mptcp_release_cb,
	no_autobind: true,
};

const mptcp_v6_prot: Proto = { ...mptcp_prot, name: "MPTCPv6", prot: PROT_MPTCPV6 };

function mptcp_bind(k: Stack, sock: Sock, addr: Sockaddr, addr_len: number): number {
	const sk = k.socket.sk[sock];
	const msk = mptcp_sk(k, sk);
	const ssock = __mptcp_nmpc_socket(k, sk);
	if (ssock === 0) return -EINVAL;
	const err = sock_ops(k, ssock).bind(k, ssock, addr, addr_len);
	if (err === 0) mptcp_copy_inaddrs(k, sk, msk.first);
	return err;
}

function mptcp_listen(k: Stack, sock: Sock, backlog: number): number {
	const sk = k.socket.sk[sock];
	const msk = mptcp_sk(k, sk);
	if (k.socket.state[sock] !== SS_UNCONNECTED || k.socket.type[sock] !== SOCK_STREAM) {
		return -EINVAL;
	}
	const ssock = __mptcp_nmpc_socket(k, sk);
	if (ssock === 0) return -EINVAL;
	const err = sock_ops(k, ssock).listen(k, ssock, backlog);
	k.sock.skc_state[sk] = k.sock.skc_state[msk.first];
	if (err === 0) mptcp_copy_inaddrs(k, sk, msk.first);
	return err;
}

/** accept(). Returns 0 or a negative errno. If the peer uses plain TCP, newsock is a TCP socket. */
function mptcp_stream_accept(k: Stack, sock: Sock, newsock: Sock, nonblock: boolean): number {
	const S = k.sock;
	const sk = k.socket.sk[sock];
	// since 6.6, 3f326a821b99
	if (!mptcp_sk(k, sk).initial && !k.changes.has("mptcp-accepted-set-up")) return -EINVAL;
	const ssk = inet_csk_accept(k, mptcp_sk(k, sk).first, nonblock);
	if (ssk < 0) return ssk;
	k.socket.state[newsock] = SS_CONNECTED;
	const newsk = k.mptcp.conn.get(ssk);
	if (newsk === undefined) {
		// mptcp_is_tcpsk
		sock_graft(k, ssk, newsock);
		const v6 = S.skc_family[ssk] === AF_INET6;
		k.socket.ops[newsock] = v6 ? INET6_STREAM_OPS : INET_STREAM_OPS;
		return 0;
	}
	sock_graft(k, newsk, newsock);
	const msk = mptcp_sk(k, newsk);
	msk.in_accept_queue = false;
	// mptcp_sock_graft. mptcp_bind() and mptcp_connect() depend on the family of the sock.
	msk.socket = sock_alloc(k, SOCK_STREAM, k.socket.i_uid[newsock]);
	k.socket.ops[msk.socket] = S.skc_family[newsk] === AF_INET6 ? INET6_STREAM_OPS : INET_STREAM_OPS;
	sock_graft(k, ssk, msk.socket);
	if (S.skc_state[ssk] === TCP_CLOSE) {
		__mptcp_close_ssk(k, newsk, msk, false);
		mptcp_set_state(k, newsk, TCP_CLOSE);
	}
	return 0;
}

const mptcp_stream_ops: ProtoOps = {
	ops: MPTCP_STREAM_OPS,
	release: inet_release,
	bind: mptcp_bind,
	connect: inet_stream_connect,
	connect_wait: mptcpConnectWait,
	accept: mptcp_stream_accept,
	getname: inet_getname,
	listen: mptcp_listen,
	shutdown: inet_shutdown,
	setsockopt: mptcp_setsockopt,
	getsockopt: mptcp_getsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

const mptcp_v6_stream_ops: ProtoOps = {
	ops: MPTCP_V6_STREAM_OPS,
	release: inet_release,
	bind: mptcp_bind,
	connect: inet_stream_connect,
	connect_wait: mptcpConnectWait,
	accept: mptcp_stream_accept,
	getname: inet6_getname,
	listen: mptcp_listen,
	shutdown: inet_shutdown,
	setsockopt: mptcp_setsockopt,
	getsockopt: mptcp_getsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export function mptcp_proto_init(k: Stack): void {
	k.mptcp.worker = mptcp_worker;
	k.mptcp.tout_timer = mptcp_tout_timer;
	proto_register(k, mptcp_prot);
	inet_register_protosw(k, {
		type: SOCK_STREAM,
		protocol: IPPROTO_MPTCP,
		prot: mptcp_prot,
		ops: mptcp_stream_ops,
	});
}

export function mptcp_proto_v6_init(k: Stack): void {
	proto_register(k, mptcp_v6_prot);
	inet6_register_protosw(k, {
		type: SOCK_STREAM,
		protocol: IPPROTO_MPTCP,
		prot: mptcp_v6_prot,
		ops: mptcp_v6_stream_ops,
	});
}
