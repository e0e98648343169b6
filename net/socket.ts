// SPDX-License-Identifier: GPL-2.0-or-later
/** net/socket.c: the system calls on a struct socket, after its file descriptor was looked up. */
import { SOCK_MAX, SOCK_STREAM, SOCK_TYPE_MASK, SS_UNCONNECTED } from "../include/linux/net.js";
import {
	AF_INET,
	SIZEOF_SOCKADDR_STORAGE,
	SOL_IP,
	SOL_TCP,
	SOMAXCONN,
} from "../include/linux/socket.js";
import type { Net } from "../include/net/net_namespace.js";
import type { Stack } from "../include/net/stack.js";
import { EINVAL, ENOPROTOOPT, EPROTONOSUPPORT } from "../include/uapi/asm-generic/errno.js";
import { SOL_SOCKET } from "../include/uapi/asm-generic/socket.js";
import {
	IPPROTO_IP,
	IPPROTO_MAX,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
} from "../include/uapi/linux/in.js";
import { NotModelled, sk_alloc, sk_getsockopt, sk_setsockopt, sock_graft } from "./core/sock.js";
import {
	__inet_bind,
	__inet_stream_connect,
	inet_accept,
	inet_listen,
	inet_release,
	inet_shutdown,
	type SockaddrIn,
} from "./ipv4/af_inet.js";
import { do_ip_getsockopt, do_ip_setsockopt } from "./ipv4/ip_sockglue.js";
import { tcp_v4_rcv_all } from "./ipv4/tcp_ipv4.js";

/** A struct socket without a sock, owned by a user: sock_alloc. */
export function sock_alloc(k: Stack, type: number, fsuid: number): number {
	const sock = k.socket.kmem_cache_zalloc();
	k.socket.state[sock] = SS_UNCONNECTED;
	k.socket.type[sock] = type;
	k.socket.i_uid[sock] = fsuid;
	return sock;
}

/** Whether the model has sockets of this kind; others throw NotModelled. */
export function sock_is_modelled(family: number, type: number, protocol: number): boolean {
	return (
		family === AF_INET &&
		(type & SOCK_TYPE_MASK) === SOCK_STREAM &&
		(protocol === IPPROTO_IP || protocol === IPPROTO_TCP)
	);
}

/** socket(): __sock_create, inet_create. A socket, or a negative errno. */
export function sock_create(
	k: Stack,
	net: Net,
	family: number,
	type: number,
	protocol: number,
	fsuid: number,
): number {
	if (type < 0 || type >= SOCK_MAX) return -EINVAL;
	if (family === AF_INET && (protocol < 0 || protocol >= IPPROTO_MAX)) return -EINVAL;
	if (family === AF_INET && type === SOCK_STREAM && !STREAM_PROTOCOLS.has(protocol)) {
		return -EPROTONOSUPPORT;
	}
	if (!sock_is_modelled(family, type, protocol)) {
		throw new NotModelled(`socket family ${family} type ${type} protocol ${protocol}`);
	}
	const sock = sock_alloc(k, type, fsuid);
	sock_graft(k, sk_alloc(k, net, type, IPPROTO_TCP), sock);
	return sock;
}

/** Stream protocols that a kernel may have: TCP, SCTP, MPTCP. */
const STREAM_PROTOCOLS = new Set([IPPROTO_IP, IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_MPTCP]);

/** An address length that move_addr_to_kernel refuses. */
function bad_addrlen(addr_len: number): boolean {
	return addr_len < 0 || addr_len > SIZEOF_SOCKADDR_STORAGE;
}

export function __sys_bind(
	k: Stack,
	sock: number,
	addr: SockaddrIn,
	addr_len: number,
	cap_net_bind_service: boolean,
): number {
	if (bad_addrlen(addr_len)) return -EINVAL;
	return __inet_bind(k, k.socket.sk[sock], addr, addr_len, cap_net_bind_service);
}

/** listen(): a negative backlog, or a larger one than net.core.somaxconn, counts as that. */
export function __sys_listen(k: Stack, sock: number, backlog: number): number {
	return inet_listen(k, sock, backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog);
}

export function __sys_connect(
	k: Stack,
	sock: number,
	addr: SockaddrIn,
	addr_len: number,
	nonblock: boolean,
): number {
	if (bad_addrlen(addr_len)) return -EINVAL;
	const err = __inet_stream_connect(k, sock, addr, addr_len, nonblock);
	tcp_v4_rcv_all(k); // release_sock: what arrived while the call held the socket
	return err;
}

/** accept(): a new socket, or a negative errno. */
export function do_accept(k: Stack, sock: number, fsuid: number, nonblock: boolean): number {
	const newsock = sock_alloc(k, k.socket.type[sock], fsuid);
	const err = inet_accept(k, sock, newsock, nonblock);
	if (err === 0) return newsock;
	k.socket.kmem_cache_free(newsock);
	return err;
}

export function __sys_shutdown(k: Stack, sock: number, how: number): number {
	const err = inet_shutdown(k, sock, how);
	tcp_v4_rcv_all(k);
	return err;
}

/** `optval` null is a NULL pointer. */
export function __sys_setsockopt(
	k: Stack,
	sock: number,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	cap_net_raw: boolean,
): number {
	const sk = k.socket.sk[sock];
	if (optlen < 0) return -EINVAL;
	if (level === SOL_SOCKET) return sk_setsockopt(k, sk, optname, optval, optlen, cap_net_raw);
	if (level === SOL_IP) return do_ip_setsockopt(k, sk, optname, optval, optlen);
	if (level === SOL_TCP) throw new NotModelled(`setsockopt level ${level} option ${optname}`);
	return -ENOPROTOOPT;
}

/** The bytes that are written to a buffer of `optlen`, or a negative errno. */
export function __sys_getsockopt(
	k: Stack,
	sock: number,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const sk = k.socket.sk[sock];
	if (level === SOL_SOCKET) return sk_getsockopt(k, sk, optname, optlen);
	if (level === SOL_IP) return do_ip_getsockopt(k, sk, optname, optlen);
	if (level === SOL_TCP) throw new NotModelled(`getsockopt level ${level} option ${optname}`);
	return -ENOPROTOOPT;
}

/** The last reference to a socket goes: sock_close, __sock_release. */
export function __sock_release(k: Stack, sock: number, exiting: boolean): void {
	inet_release(k, sock, exiting);
	tcp_v4_rcv_all(k);
	k.socket.kmem_cache_free(sock);
}
