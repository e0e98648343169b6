// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/mptcp/protocol.c: MPTCP sockets. The ports belong to the first subflow, a TCP sock that is
 * made with the socket. The socket copies the addresses of the subflow.
 *
 * Left out: further subflows and the path manager, net.mptcp.enabled=0, and DATA_FINs. A subflow
 * ends like a TCP connection. In C the FINs of two MPTCP ends wait until both have closed, at most
 * a minute.
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
import { AF_INET6, MSG_FASTOPEN, type Sockaddr } from "../../include/linux/socket.js";
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
	SOCK_LINGER,
	SOCK_MPTCP,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_TIMEWAIT_LEN } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_ESTABLISHED,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCPF_CLOSE,
	TCPF_ESTABLISHED,
	TCPF_FIN_WAIT1,
	TCPF_FIN_WAIT2,
	TCPF_LISTEN,
} from "../../include/net/tcp_states.js";
import {
	EAGAIN,
	EBUSY,
	EINPROGRESS,
	EINVAL,
	ENOTCONN,
	EPIPE,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_MPTCP } from "../../include/uapi/linux/in.js";
import {
	NotModelled,
	proto_register,
	sk_clone,
	sk_free,
	sk_net,
	sk_prot,
	sock_error,
	sock_graft,
	sock_orphan,
} from "../core/sock.js";
import {
	inet_getname,
	inet_recvmsg,
	inet_register_protosw,
	inet_release,
	inet_sendmsg,
	inet_shutdown,
	inet_stream_connect,
	inet_wait_for_connect,
} from "../ipv4/af_inet.js";
import { inet_csk_accept } from "../ipv4/inet_connection_sock.js";
import { tcp_done, tcp_init_sock, tcpWaits } from "../ipv4/tcp.js";
import { tcp_send_active_reset } from "../ipv4/tcp_output.js";
import { sk_timer } from "../ipv4/tcp_timer.js";
import { inet6_getname, inet6_register_protosw } from "../ipv6/af_inet6.js";
import { sock_alloc, sock_ops } from "../socket.js";
import { mptcp_getsockopt, mptcp_setsockopt } from "./sockopt.js";
import { mptcp_subflow_create_socket } from "./subflow.js";

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

/** Makes the first subflow of a new sock. */
export function mptcp_init_sock(k: Stack, sk: Sk): void {
	const socket = mptcp_subflow_create_socket(k, sk);
	const first = k.socket.sk[socket];
	const rest = { accessed: false, options_set: false, can_ack: false, fallback: false };
	const keepalive = { keepalive_idle: 0, keepalive_intvl: 0, keepalive_cnt: 0 };
	k.mptcp.socks.set(sk, { socket, initial: true, first, ...keepalive, ...rest });
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
 * Aborts a connection. The socket can connect again. Its addresses keep the values that were copied
 * last.
 */
function mptcp_disconnect(k: Stack, sk: Sk): number {
	const msk = mptcp_sk(k, sk);
	if (tcpWaits(k, sk)) return -EBUSY;
	k.sock.skc_state[sk] = TCP_CLOSE;
	sk_prot(k, msk.first).disconnect(k, msk.first);
	k.socket.state[msk.socket] = SS_UNCONNECTED;
	msk.can_ack = false;
	msk.fallback = false;
	k.sock.sk_shutdown[sk] = 0;
	return 0;
}

/**
 * close(). The subflow closes on its own. It does not become an orphan before the peer has closed,
 * because the peer could not send to an orphan. `timeout` is the time of SO_LINGER, ms.
 */
function mptcp_close(k: Stack, sk: Sk, timeout: number): void {
	const msk = mptcp_sk(k, sk);
	const ssk = msk.first;
	const S = k.sock;
	const states = TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2;
	const reset = (S.sk_flags[sk] & SOCK_LINGER) !== 0 && S.sk_lingertime[sk] === 0;
	const open = S.skc_state[sk] !== TCP_SYN_SENT && ((1 << S.skc_state[ssk]) & states) !== 0;
	k.mptcp.conn.delete(ssk);
	k.mptcp.socks.delete(sk);
	if (open && !reset && S.rcv_unread[ssk] === 0) {
		sk_prot(k, ssk).shutdown?.(k, ssk, SEND_SHUTDOWN);
		k.mptcp.closing.set(ssk, msk);
		if (!k.changes.has("orphan-uid")) S.sk_uid[ssk] = GLOBAL_ROOT_UID; // since 6.17, c51da3f7a161
		k.timers.mod_timer(sk_timer(ssk), TCP_TIMEWAIT_LEN);
	} else {
		// Unread data waits in the MPTCP sock. Only this sock sends a reset for it, not the
		// subflow.
		if (msk.fallback) S.rcv_unread[ssk] = 0;
		sk_prot(k, ssk).close(k, ssk, timeout);
		k.socket.sk[msk.socket] = 0;
		k.socket.kmem_cache_free(msk.socket);
	}
	k.sock.sk_shutdown[sk] = SHUTDOWN_MASK;
	k.sock.skc_state[sk] = TCP_CLOSE;
	sock_orphan(k, sk);
	sk_free(k, sk);
}

/**
 * sk_timer of a subflow whose peer did not close within a minute after close() of this side: a part
 * of mptcp_worker. The peer gets a reset, with MPTCP and with plain TCP.
 */
function mptcp_tout_timer(k: Stack, ssk: Sk): void {
	const msk = k.mptcp.closing.get(ssk);
	if (msk === undefined) return;
	k.mptcp.closing.delete(ssk);
	k.sock.rcv_unread[ssk] = 0;
	k.socket.sk[msk.socket] = 0;
	k.socket.kmem_cache_free(msk.socket);
	sock_orphan(k, ssk);
	tcp_send_active_reset(k, ssk);
	tcp_done(k, ssk);
}

/** Makes the MPTCP sock of a connection for accept(). `ssk` is its subflow. */
function mptcp_sk_clone_init(k: Stack, sk: Sk, ssk: Sk): Sk {
	const S = k.sock;
	const nsk = sk_clone(k, sk);
	S.skc_state[nsk] = TCP_ESTABLISHED;
	S.sk_shutdown[nsk] = 0;
	mptcp_copy_inaddrs(k, nsk, ssk);
	const socket = sock_alloc(k, SOCK_STREAM, 0);
	// mptcp_bind() and mptcp_connect() depend on the family of the sock.
	k.socket.ops[socket] = S.skc_family[nsk] === AF_INET6 ? INET6_STREAM_OPS : INET_STREAM_OPS;
	sock_graft(k, ssk, socket);
	const rest = { accessed: true, options_set: true, can_ack: true, fallback: false };
	const { keepalive_idle, keepalive_intvl, keepalive_cnt } = mptcp_sk(k, sk);
	const keepalive = { keepalive_idle, keepalive_intvl, keepalive_cnt };
	k.mptcp.socks.set(nsk, { socket, initial: false, first: ssk, ...keepalive, ...rest });
	k.mptcp.conn.set(ssk, nsk);
	// The peer may have closed or reset the connection before accept().
	if (S.skc_state[ssk] === TCP_CLOSE) {
		S.skc_state[nsk] = TCP_CLOSE;
		S.sk_err[nsk] = -sock_error(k, ssk);
		if (S.sk_err[nsk] !== 0) S.sk_shutdown[nsk] = SHUTDOWN_MASK; // MP_FASTCLOSE
	}
	if (S.skc_state[ssk] === TCP_CLOSE_WAIT) {
		S.skc_state[nsk] = TCP_CLOSE_WAIT;
		S.sk_shutdown[nsk] |= RCV_SHUTDOWN;
	}
	return nsk;
}

/** The next connection of a listener: an MPTCP sock, or a TCP sock if the peer uses plain TCP. */
function mptcp_accept(k: Stack, sk: Sk, nonblock: boolean): number {
	const newsk = inet_csk_accept(k, mptcp_sk(k, sk).first, nonblock);
	if (newsk < 0 || (k.sock.sk_flags[newsk] & SOCK_MPTCP) === 0) return newsk;
	return mptcp_sk_clone_init(k, sk, newsk);
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
	if ((flags & MSG_FASTOPEN) !== 0) throw new NotModelled("TCP fast open of an MPTCP socket");
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	if ((k.sock.sk_shutdown[sk] & SEND_SHUTDOWN) !== 0) return -EPIPE;
	const { first } = mptcp_sk(k, sk);
	return sk_prot(k, first).sendmsg(k, first, addr, addr_len, size, flags);
}

/**
 * Receives at most `size` bytes. Returns the number of bytes, 0 at the end, or a negative errno.
 */
function mptcp_recvmsg(k: Stack, sk: Sk, size: number, nonblock: boolean): number {
	const S = k.sock;
	const { first } = mptcp_sk(k, sk);
	if (S.skc_state[sk] === TCP_LISTEN) return -ENOTCONN;
	if (S.rcv_unread[first] > 0) return sk_prot(k, first).recvmsg(k, first, size, nonblock);
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	if ((S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0) return 0;
	if (S.skc_state[sk] === TCP_CLOSE) return -ENOTCONN;
	return nonblock ? -EAGAIN : -ERESTARTSYS;
}

function mptcp_get_port(k: Stack, sk: Sk, snum: Port): number {
	const { first } = mptcp_sk(k, sk);
	return sk_prot(k, first).get_port(k, first, snum);
}

function mptcp_shutdown(k: Stack, sk: Sk, how: number): void {
	const { first } = mptcp_sk(k, sk);
	if ((how & SEND_SHUTDOWN) !== 0) sk_prot(k, first).shutdown?.(k, first, SEND_SHUTDOWN);
}

/** connect() of the subflow. It never blocks; the caller waits for the MPTCP socket. */
function mptcp_connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const msk = mptcp_sk(k, sk);
	const ssock = __mptcp_nmpc_socket(k, sk);
	if (ssock === 0) return -EINVAL;
	S.skc_state[sk] = TCP_SYN_SENT;
	const err = sock_ops(k, ssock).connect(k, ssock, addr, addr_len, true);
	if (err !== 0 && err !== -EINPROGRESS) {
		S.skc_state[sk] = S.skc_state[msk.first];
		return err;
	}
	mptcp_copy_inaddrs(k, sk, msk.first);
	return 0;
}

export const mptcp_prot: Proto = {
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
	no_autobind: true,
};

export const mptcp_v6_prot: Proto = { ...mptcp_prot, name: "MPTCPv6", prot: PROT_MPTCPV6 };

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
	const sk = k.socket.sk[sock];
	if (!mptcp_sk(k, sk).initial) return -EINVAL;
	const newsk = mptcp_accept(k, sk, nonblock);
	if (newsk < 0) return newsk;
	sock_graft(k, newsk, newsock);
	k.socket.state[newsock] = SS_CONNECTED;
	const msk = k.mptcp.socks.get(newsk);
	if (msk === undefined) {
		// mptcp_is_tcpsk
		const v6 = k.sock.skc_family[newsk] === AF_INET6;
		k.socket.ops[newsock] = v6 ? INET6_STREAM_OPS : INET_STREAM_OPS;
	} else {
		// mptcp_sock_graft
		k.socket.i_uid[msk.socket] = k.socket.i_uid[newsock];
		k.sock.sk_uid[msk.first] = k.socket.i_uid[newsock];
	}
	return 0;
}

export const mptcp_stream_ops: ProtoOps = {
	ops: MPTCP_STREAM_OPS,
	release: inet_release,
	bind: mptcp_bind,
	connect: inet_stream_connect,
	connect_wait: inet_wait_for_connect,
	accept: mptcp_stream_accept,
	getname: inet_getname,
	listen: mptcp_listen,
	shutdown: inet_shutdown,
	setsockopt: mptcp_setsockopt,
	getsockopt: mptcp_getsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export const mptcp_v6_stream_ops: ProtoOps = {
	ops: MPTCP_V6_STREAM_OPS,
	release: inet_release,
	bind: mptcp_bind,
	connect: inet_stream_connect,
	connect_wait: inet_wait_for_connect,
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
	k.mptcp.sk_timer = mptcp_tout_timer;
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
