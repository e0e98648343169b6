// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/af_inet.c: what bind(), connect(), listen() and the rest do to an AF_INET socket. */

import {
	SOCK_STREAM,
	SS_CONNECTED,
	SS_CONNECTING,
	SS_DISCONNECTING,
	SS_UNCONNECTED,
} from "../../include/linux/net.js";
import {
	AF_INET,
	AF_UNSPEC,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
} from "../../include/linux/socket.js";
import {
	inet_addr_valid_or_nonlocal,
	inet_port_requires_bind_service,
} from "../../include/net/ip.js";
import { RTN_BROADCAST, RTN_MULTICAST } from "../../include/net/net_namespace.js";
import {
	INET_BIND_ADDRESS_NO_PORT,
	RCV_SHUTDOWN,
	SHUTDOWN_MASK,
	SOCK_BINDADDR_LOCK,
	SOCK_BINDPORT_LOCK,
	SOCK_LINGER,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import {
	TCP_CLOSE,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCPF_CLOSE,
	TCPF_LISTEN,
	TCPF_SYN_RECV,
	TCPF_SYN_SENT,
} from "../../include/net/tcp_states.js";
import {
	EACCES,
	EADDRNOTAVAIL,
	EAFNOSUPPORT,
	EALREADY,
	ECONNABORTED,
	EINPROGRESS,
	EINVAL,
	EISCONN,
	ENOTCONN,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { INADDR_ANY } from "../../include/uapi/linux/in.js";
import { sk_net, sock_error, sock_graft } from "../core/sock.js";
import { l3mdev_fib_table_by_index } from "../l3mdev/l3mdev.js";
import { inet_addr_type_table } from "./fib_frontend.js";
import {
	inet_csk_accept,
	inet_csk_get_port,
	inet_csk_listen_start,
} from "./inet_connection_sock.js";
import { tcp_close, tcp_disconnect, tcp_shutdown } from "./tcp.js";
import { tcp_v4_connect, tcp_v4_rcv_all } from "./tcp_ipv4.js";

/** An address that a program gave or gets: address and port in host order. */
export interface SockaddrIn {
	sin_family: number;
	sin_addr: number;
	sin_port: number;
}

/**
 * bind(). `cap_net_bind_service` says whether the task may take ports below
 * ip_unprivileged_port_start. Returns 0 or a negative errno.
 */
export function __inet_bind(
	k: Stack,
	sk: number,
	addr: SockaddrIn,
	addr_len: number,
	cap_net_bind_service: boolean,
): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
	if (addr.sin_family !== AF_INET) {
		// Compatibility: AF_UNSPEC counts as AF_INET, but only with the wildcard address.
		if (addr.sin_family !== AF_UNSPEC || addr.sin_addr !== INADDR_ANY) return -EAFNOSUPPORT;
	}

	const table = l3mdev_fib_table_by_index(net, S.skc_bound_dev_if[sk]);
	const chk_addr_ret = inet_addr_type_table(net, addr.sin_addr, table);
	if (!inet_addr_valid_or_nonlocal(net, S.inet_flags[sk], addr.sin_addr, chk_addr_ret)) {
		return -EADDRNOTAVAIL;
	}
	const snum = addr.sin_port;
	if (snum !== 0 && inet_port_requires_bind_service(net, snum) && !cap_net_bind_service) {
		return -EACCES;
	}

	// An active socket, or a second bind.
	if (S.skc_state[sk] !== TCP_CLOSE || S.skc_num[sk] !== 0) return -EINVAL;

	S.skc_rcv_saddr[sk] = addr.sin_addr;
	S.inet_saddr[sk] = addr.sin_addr;
	if (chk_addr_ret === RTN_MULTICAST || chk_addr_ret === RTN_BROADCAST) {
		S.inet_saddr[sk] = 0; // the device's address sends
	}
	if (snum !== 0 || (S.inet_flags[sk] & INET_BIND_ADDRESS_NO_PORT) === 0) {
		const err = inet_csk_get_port(k, sk, snum);
		if (err !== 0) {
			S.inet_saddr[sk] = 0;
			S.skc_rcv_saddr[sk] = 0;
			return err;
		}
	}
	if (S.skc_rcv_saddr[sk] !== INADDR_ANY) S.sk_userlocks[sk] |= SOCK_BINDADDR_LOCK;
	if (snum !== 0) S.sk_userlocks[sk] |= SOCK_BINDPORT_LOCK;
	S.inet_sport[sk] = S.skc_num[sk];
	S.skc_daddr[sk] = 0;
	S.skc_dport[sk] = 0;
	return 0;
}

/** listen(). Returns 0 or a negative errno. */
export function inet_listen(k: Stack, sock: number, backlog: number): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (k.socket.state[sock] !== SS_UNCONNECTED || k.socket.type[sock] !== SOCK_STREAM) {
		return -EINVAL;
	}
	const old_state = S.skc_state[sk];
	if (((1 << old_state) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) return -EINVAL;
	S.sk_max_ack_backlog[sk] = backlog;
	// A socket that listens already only gets another backlog.
	if (old_state === TCP_LISTEN) return 0;
	return inet_csk_listen_start(k, sk);
}

/**
 * connect(). A blocking call that would sleep returns -ERESTARTSYS: it is finished by
 * inet_wait_for_connect once the clock or another task has moved on.
 */
export function __inet_stream_connect(
	k: Stack,
	sock: number,
	addr: SockaddrIn,
	addr_len: number,
	nonblock: boolean,
): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (addr_len < SIZEOF_SA_FAMILY) return -EINVAL;
	if (addr.sin_family === AF_UNSPEC) {
		const err = tcp_disconnect(k, sk);
		k.socket.state[sock] = err !== 0 ? SS_DISCONNECTING : SS_UNCONNECTED;
		return err;
	}

	let err: number;
	switch (k.socket.state[sock]) {
		case SS_CONNECTED:
			return -EISCONN;
		case SS_CONNECTING:
			err = -EALREADY;
			break;
		case SS_UNCONNECTED:
			if (S.skc_state[sk] !== TCP_CLOSE) return -EISCONN;
			err = tcp_v4_connect(k, sk, addr.sin_family, addr.sin_addr, addr.sin_port, addr_len);
			if (err < 0) return err;
			k.socket.state[sock] = SS_CONNECTING;
			err = -EINPROGRESS;
			break;
		default:
			return -EINVAL;
	}
	if (((1 << S.skc_state[sk]) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) {
		if (nonblock) return err;
		tcp_v4_rcv_all(k);
	}
	return inet_wait_for_connect(k, sock);
}

/** The end of a blocking connect(): 0, a negative errno, or -ERESTARTSYS while it would sleep. */
export function inet_wait_for_connect(k: Stack, sock: number): number {
	const sk = k.socket.sk[sock];
	const state = k.sock.skc_state[sk];
	if (((1 << state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) return -ERESTARTSYS;
	if (state === TCP_CLOSE) {
		// Refused, timed out, or reset at once.
		const err = sock_error(k, sk);
		k.socket.state[sock] = SS_UNCONNECTED;
		if (tcp_disconnect(k, sk) !== 0) k.socket.state[sock] = SS_DISCONNECTING;
		return err !== 0 ? err : -ECONNABORTED;
	}
	k.socket.state[sock] = SS_CONNECTED;
	return 0;
}

/** accept(): grafts the next connection to a new socket. 0 or a negative errno. */
export function inet_accept(k: Stack, sock: number, newsock: number, nonblock: boolean): number {
	const sk2 = inet_csk_accept(k, k.socket.sk[sock], nonblock);
	if (sk2 < 0) return sk2;
	sock_graft(k, sk2, newsock);
	k.socket.state[newsock] = SS_CONNECTED;
	return 0;
}

/**
 * getsockname() (peer 0), getpeername() (peer 1), and what accept() tells (peer 2). The
 * address, or a negative errno.
 */
export function inet_getname(k: Stack, sock: number, peer: number): SockaddrIn | number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (peer !== 0) {
		const unconnected = ((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_SYN_SENT)) !== 0;
		if (S.skc_dport[sk] === 0 || (unconnected && peer === 1)) return -ENOTCONN;
		return { sin_family: AF_INET, sin_addr: S.skc_daddr[sk], sin_port: S.skc_dport[sk] };
	}
	const sin_addr = S.skc_rcv_saddr[sk] !== 0 ? S.skc_rcv_saddr[sk] : S.inet_saddr[sk];
	return { sin_family: AF_INET, sin_addr, sin_port: S.inet_sport[sk] };
}

/** shutdown(); `how` as the program gives it, 0 to 2. */
export function inet_shutdown(k: Stack, sock: number, how: number): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	how++; // RCV_SHUTDOWN, SEND_SHUTDOWN or both
	if ((how & ~SHUTDOWN_MASK) !== 0 || how === 0) return -EINVAL;

	if (k.socket.state[sock] === SS_CONNECTING) {
		const connecting = TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE;
		k.socket.state[sock] =
			((1 << S.skc_state[sk]) & connecting) !== 0 ? SS_DISCONNECTING : SS_CONNECTED;
	}
	const state = S.skc_state[sk];
	if (state === TCP_SYN_SENT || (state === TCP_LISTEN && (how & RCV_SHUTDOWN) !== 0)) {
		const err = tcp_disconnect(k, sk);
		k.socket.state[sock] = err !== 0 ? SS_DISCONNECTING : SS_UNCONNECTED;
		return err;
	}
	if (state === TCP_LISTEN) return 0;
	S.sk_shutdown[sk] |= how;
	tcp_shutdown(k, sk, how);
	return state === TCP_CLOSE ? -ENOTCONN : 0;
}

/** The last close() of a socket; a task that exits does not linger. */
export function inet_release(k: Stack, sock: number, exiting: boolean): void {
	const sk = k.socket.sk[sock];
	if (sk === 0) return;
	const linger = (k.sock.sk_flags[sk] & SOCK_LINGER) !== 0 && !exiting;
	tcp_close(k, sk, linger ? (k.sock.sk_lingertime[sk] >>> 0) * 1000 : 0);
	k.socket.sk[sock] = 0;
}
