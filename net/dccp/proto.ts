// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/dccp/proto.c: states of a connection, close(), send and receive, options. DCCP uses TCP's code
 * for ports, with tables of its own (k.dccp_hashinfo).
 */
import {
	DCCP_ACTIVE_CLOSEREQ,
	DCCP_CLOSED,
	DCCP_CLOSING,
	DCCP_FIN,
	DCCP_LISTEN,
	DCCP_OPEN,
	DCCP_PARTOPEN,
	DCCP_PASSIVE_CLOSE,
	DCCP_PASSIVE_CLOSEREQ,
	DCCP_REQUEST_RETRIES,
	DCCP_REQUESTING,
	DCCP_RESET_CODE_ABORTED,
	DCCP_RESET_CODE_CLOSED,
	DCCP_ROLE_LISTEN,
	DCCP_ROLE_SERVER,
	DCCP_ROLE_UNDEFINED,
	DCCP_SERVICE_INVALID_VALUE,
	DCCP_SERVICE_LIST_MAX_LEN,
	DCCP_SOCKOPT_CHANGE_L,
	DCCP_SOCKOPT_CHANGE_R,
	DCCP_SOCKOPT_PACKET_SIZE,
	DCCP_SOCKOPT_SERVER_TIMEWAIT,
	DCCP_SOCKOPT_SERVICE,
	DCCP_TIMEOUT_INIT,
	DCCPF_CLOSED,
	DCCPF_LISTEN,
	DCCPF_OPEN,
	DCCPF_PARTOPEN,
	dccp_sk,
} from "../../include/linux/dccp.js";
import type { Sk, Sock } from "../../include/linux/handle.js";
import { SOCK_DCCP, SS_UNCONNECTED } from "../../include/linux/net.js";
import {
	MSG_DONTWAIT,
	MSG_PEEK,
	MSG_TRUNC,
	SOL_DCCP,
	type Sockaddr,
} from "../../include/linux/socket.js";
import {
	RCV_SHUTDOWN,
	SEND_SHUTDOWN,
	SHUTDOWN_MASK,
	SOCK_BINDPORT_LOCK,
	SOCK_DEAD,
	SOCK_DONE,
	SOCK_LINGER,
	sock_error,
	sock_hold,
	sock_orphan,
	sock_put,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { tcp_clear_xmit_timers } from "../../include/net/tcp.js";
import {
	EAGAIN,
	ECONNRESET,
	EFAULT,
	EINVAL,
	EMSGSIZE,
	ENOPROTOOPT,
	ENOTCONN,
	EOPNOTSUPP,
	EPIPE,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { process_backlog } from "../core/dev.js";
import { intAt, intBytes, NotModelled } from "../core/sock.js";
import { sk_stream_wait_connect } from "../core/stream.js";
import {
	inet_csk_destroy_sock,
	inet_csk_listen_start,
	inet_csk_listen_stop,
} from "../ipv4/inet_connection_sock.js";
import { inet_bhash2_reset_saddr, inet_put_port, inet_unhash } from "../ipv4/inet_hashtables.js";
import { sk_stream_wait_close } from "../ipv4/tcp.js";
import { dccp_send_close, dccp_send_reset, dccp_write_xmit } from "./output.js";

/**
 * Sets the state. A socket that is closed leaves ehash and releases a port that bind() did not
 * name.
 */
export function dccp_set_state(k: Stack, sk: Sk, state: number): void {
	const S = k.sock;
	if (state === DCCP_CLOSED) {
		inet_unhash(k, sk);
		if (S.icsk_bind_hash[sk] !== 0 && (S.sk_userlocks[sk] & SOCK_BINDPORT_LOCK) === 0) {
			inet_put_port(k, sk);
		}
	}
	S.skc_state[sk] = state;
}

/**
 * The program has seen that the peer closes. Who got Close answers with a Reset. A client that got
 * CloseReq sends Close.
 */
function dccp_finish_passive_close(k: Stack, sk: Sk): void {
	switch (k.sock.skc_state[sk]) {
		case DCCP_PASSIVE_CLOSE:
			dccp_send_reset(k, sk, DCCP_RESET_CODE_CLOSED);
			dccp_set_state(k, sk, DCCP_CLOSED);
			break;
		case DCCP_PASSIVE_CLOSEREQ:
			dccp_send_close(k, sk, true);
			dccp_set_state(k, sk, DCCP_CLOSING);
			break;
		default:
			break;
	}
}

/** The connection ends. An orphan is freed. */
export function dccp_done(k: Stack, sk: Sk): void {
	dccp_set_state(k, sk, DCCP_CLOSED);
	tcp_clear_xmit_timers(k, sk);
	k.sock.sk_shutdown[sk] = SHUTDOWN_MASK;
	if ((k.sock.sk_flags[sk] & SOCK_DEAD) !== 0) inet_csk_destroy_sock(k, sk);
}

/** The most bytes of a packet before the sock connects. */
const DCCP_MSS_INIT = 536;
export function dccp_init_sock(k: Stack, sk: Sk): void {
	k.sock.icsk_rto[sk] = DCCP_TIMEOUT_INIT;
	k.sock.icsk_syn_retries[sk] = DCCP_REQUEST_RETRIES;
	k.sock.skc_state[sk] = DCCP_CLOSED;
	k.dccp.socks.set(sk, {
		role: DCCP_ROLE_UNDEFINED,
		service: 0,
		service_list: [],
		server_timewait: false,
		mss_cache: DCCP_MSS_INIT,
		rate_last: k.timers.now,
		receive_queue: [],
	});
}

export function dccp_destroy_sock(k: Stack, sk: Sk): void {
	k.dccp.socks.delete(sk);
}

/** Whether a connection in this state sends a Reset when it is aborted. */
function dccp_need_reset(state: number): boolean {
	return state !== DCCP_CLOSED && state !== DCCP_LISTEN && state !== DCCP_REQUESTING;
}

/** Aborts a connection and resets the socket. It keeps a port and an address that bind() named. */
export function dccp_disconnect(k: Stack, sk: Sk): number {
	const S = k.sock;
	const old_state = S.skc_state[sk];
	if (old_state !== DCCP_CLOSED) dccp_set_state(k, sk, DCCP_CLOSED);
	if (old_state === DCCP_LISTEN) inet_csk_listen_stop(k, sk);
	else if (dccp_need_reset(old_state)) {
		dccp_send_reset(k, sk, DCCP_RESET_CODE_ABORTED);
		S.sk_err[sk] = ECONNRESET;
	} else if (old_state === DCCP_REQUESTING) S.sk_err[sk] = ECONNRESET;
	tcp_clear_xmit_timers(k, sk);
	dccp_sk(k, sk).receive_queue = [];
	S.skc_dport[sk] = 0;
	inet_bhash2_reset_saddr(k, sk);
	S.sk_shutdown[sk] = 0;
	S.sk_flags[sk] &= ~SOCK_DONE;
	return 0;
}

/** setsockopt() of SOL_DCCP, DCCP_SOCKOPT_SERVICE: the service code, and others of a listener. */
function dccp_setsockopt_service(k: Stack, sk: Sk, optval: Uint8Array, optlen: number): number {
	const service = intAt(optval) >>> 0;
	if (service === DCCP_SERVICE_INVALID_VALUE || optlen > DCCP_SERVICE_LIST_MAX_LEN * 4) {
		return -EINVAL;
	}
	if (optval.length < optlen) return -EFAULT;
	const list: number[] = [];
	for (let at = 4; at + 4 <= optlen; at += 4) list.push(intAt(optval, at) >>> 0);
	if (list.includes(DCCP_SERVICE_INVALID_VALUE)) return -EFAULT;
	const dp = dccp_sk(k, sk);
	dp.service = service;
	dp.service_list = list;
	return 0;
}

/** Options that have no effect any more. */
const WITHOUT_EFFECT: readonly number[] = [
	DCCP_SOCKOPT_PACKET_SIZE,
	DCCP_SOCKOPT_CHANGE_L,
	DCCP_SOCKOPT_CHANGE_R,
];
/** The highest number of an option that setsockopt() has, and of one that getsockopt() has. */
const SETTABLE_MAX = 17;
const READABLE_MAX = 255;

/**
 * setsockopt() of level SOL_DCCP. Returns 0 or a negative errno. Throws NotModelled for options of
 * congestion control and of checksums.
 */
export function do_dccp_setsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	if (WITHOUT_EFFECT.includes(optname)) return 0;
	const modelled = optname === DCCP_SOCKOPT_SERVICE || optname === DCCP_SOCKOPT_SERVER_TIMEWAIT;
	if (!modelled && optname > DCCP_SOCKOPT_SERVER_TIMEWAIT && optname <= SETTABLE_MAX) {
		throw new NotModelled(`setsockopt level ${SOL_DCCP} option ${optname}`);
	}
	if (optlen < 4) return -EINVAL;
	if (optval === null || optval.length < 4) return -EFAULT;
	if (optname === DCCP_SOCKOPT_SERVICE) return dccp_setsockopt_service(k, sk, optval, optlen);
	if (optname !== DCCP_SOCKOPT_SERVER_TIMEWAIT) return -ENOPROTOOPT;
	const dp = dccp_sk(k, sk);
	if (dp.role !== DCCP_ROLE_SERVER) return -EOPNOTSUPP;
	dp.server_timewait = intAt(optval) !== 0;
	return 0;
}

/** getsockopt() of level SOL_DCCP. Returns the bytes written or a negative errno. */
export function do_dccp_getsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optlen: number,
): Uint8Array | number {
	if (optlen < 4) return -EINVAL;
	const dp = dccp_sk(k, sk);
	if (optname === DCCP_SOCKOPT_SERVER_TIMEWAIT) return intBytes(dp.server_timewait ? 1 : 0);
	if (optname === DCCP_SOCKOPT_SERVICE) {
		const codes = [dp.service, ...dp.service_list];
		if (codes.length * 4 > optlen) return -EINVAL;
		return Uint8Array.from(codes.flatMap((code) => [...intBytes(code)]));
	}
	if (optname > READABLE_MAX) return -ENOPROTOOPT;
	throw new NotModelled(`getsockopt level ${SOL_DCCP} option ${optname}`);
}

/** Sends one packet of `size` bytes. Returns `size` or a negative errno. */
export function dccp_sendmsg(
	k: Stack,
	sk: Sk,
	_addr: Sockaddr | null,
	_addr_len: number,
	size: number,
	flags: number,
): number {
	const S = k.sock;
	if (size > dccp_sk(k, sk).mss_cache) return -EMSGSIZE;
	if (((1 << S.skc_state[sk]) & (DCCPF_OPEN | DCCPF_PARTOPEN)) === 0) {
		return sk_stream_wait_connect(k, sk, flags);
	}
	// sock_alloc_send_skb
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	if ((S.sk_shutdown[sk] & SEND_SHUTDOWN) !== 0) return -EPIPE;
	dccp_write_xmit(k, sk, size);
	return size;
}

/**
 * Receives one packet. Returns its number of bytes, at most `size`, 0 at the end of the connection,
 * or a negative errno. A program that sees the end lets the socket answer Close or CloseReq.
 */
export function dccp_recvmsg(k: Stack, sk: Sk, size: number, flags: number): number {
	const S = k.sock;
	if (S.skc_state[sk] === DCCP_LISTEN) return -ENOTCONN;
	const peek = (flags & MSG_PEEK) !== 0;
	const { receive_queue } = dccp_sk(k, sk);
	const length = receive_queue[0];
	if (!peek) receive_queue.shift();
	if (length === DCCP_FIN) {
		if (peek) return 0;
		dccp_finish_passive_close(k, sk);
		process_backlog(k);
		return 0;
	}
	if (length !== undefined) return (flags & MSG_TRUNC) !== 0 ? length : Math.min(size, length);
	// verify_sock_status:
	if ((S.sk_flags[sk] & SOCK_DONE) !== 0) return 0;
	if (S.sk_err[sk] !== 0) return sock_error(k, sk);
	if ((S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0) return 0;
	if (S.skc_state[sk] === DCCP_CLOSED) return -ENOTCONN;
	return (flags & MSG_DONTWAIT) !== 0 ? -EAGAIN : -ERESTARTSYS;
}

/** listen(). Returns 0 or a negative errno. */
export function inet_dccp_listen(k: Stack, sock: Sock, backlog: number): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (k.socket.state[sock] !== SS_UNCONNECTED || k.socket.type[sock] !== SOCK_DCCP) {
		return -EINVAL;
	}
	const old_state = S.skc_state[sk];
	if (((1 << old_state) & (DCCPF_CLOSED | DCCPF_LISTEN)) === 0) return -EINVAL;
	S.sk_max_ack_backlog.set(sk, backlog >>> 0);
	if (old_state === DCCP_LISTEN) return 0;
	dccp_sk(k, sk).role = DCCP_ROLE_LISTEN;
	return inet_csk_listen_start(k, sk);
}

/** Begins to close the connection. */
function dccp_terminate_connection(k: Stack, sk: Sk): void {
	const { role, server_timewait } = dccp_sk(k, sk);
	switch (k.sock.skc_state[sk]) {
		case DCCP_PASSIVE_CLOSE:
		case DCCP_PASSIVE_CLOSEREQ:
			dccp_finish_passive_close(k, sk);
			break;
		case DCCP_PARTOPEN:
		case DCCP_OPEN: {
			dccp_send_close(k, sk, true);
			const closereq = role === DCCP_ROLE_SERVER && !server_timewait;
			dccp_set_state(k, sk, closereq ? DCCP_ACTIVE_CLOSEREQ : DCCP_CLOSING);
			break;
		}
		default:
			dccp_set_state(k, sk, DCCP_CLOSED);
	}
}

function __dccp_close(k: Stack, sk: Sk, timeout: number): void {
	const S = k.sock;
	S.sk_shutdown[sk] = SHUTDOWN_MASK;
	if (S.skc_state[sk] === DCCP_LISTEN) {
		dccp_set_state(k, sk, DCCP_CLOSED);
		inet_csk_listen_stop(k, sk);
	} else if (S.skc_state[sk] !== DCCP_CLOSED) {
		const dp = dccp_sk(k, sk);
		const data_was_unread = dp.receive_queue.some((length) => length > 0);
		dp.receive_queue = [];
		if (data_was_unread) {
			dccp_send_reset(k, sk, DCCP_RESET_CODE_ABORTED);
			dccp_set_state(k, sk, DCCP_CLOSED);
		} else if ((S.sk_flags[sk] & SOCK_LINGER) !== 0 && S.sk_lingertime.get(sk) === 0) {
			dccp_disconnect(k, sk);
		} else {
			dccp_terminate_connection(k, sk);
		}
		sk_stream_wait_close(k, sk, timeout);
	}
	// adjudge_to_death:
	const state = S.skc_state[sk];
	sock_orphan(k, sk);
	process_backlog(k); // the answers of the peer
	if (state !== DCCP_CLOSED && S.skc_state[sk] === DCCP_CLOSED) return; // it was freed
	if (S.skc_state[sk] === DCCP_CLOSED) inet_csk_destroy_sock(k, sk);
}

/**
 * close(). The sock stays as an orphan until the connection has ended. `timeout` is how long close()
 * waits for the end, ms (SO_LINGER).
 */
export function dccp_close(k: Stack, sk: Sk, timeout: number): void {
	sock_hold(k, sk);
	__dccp_close(k, sk, timeout);
	sock_put(k, sk);
}
