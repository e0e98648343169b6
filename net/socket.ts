// SPDX-License-Identifier: GPL-2.0-or-later
/** net/socket.c: the system calls on a struct socket, after the lookup of the file descriptor. */
import type { Sock } from "../include/linux/handle.js";
import {
	MPTCP_STREAM_OPS,
	MPTCP_V6_STREAM_OPS,
	type ProtoOps,
	SOCK_MAX,
	SOCK_PACKET,
	SS_UNCONNECTED,
} from "../include/linux/net.js";
import {
	MSG_DONTWAIT,
	SIZEOF_SOCKADDR_STORAGE,
	SOMAXCONN,
	type Sockaddr,
} from "../include/linux/socket.js";
import type { Net } from "../include/net/net_namespace.js";
import type { NetProtoFamily } from "../include/net/protocol.js";
import { TIMEO_NOWAIT } from "../include/net/sock.js";
import type { Stack } from "../include/net/stack.js";
import { EINVAL } from "../include/uapi/asm-generic/errno.js";
import { SOL_SOCKET } from "../include/uapi/asm-generic/socket.js";
import { process_backlog, processBacklogAndWorks } from "./core/dev.js";
import { NotModelled, sk_getsockopt, sk_setsockopt } from "./core/sock.js";

/** Makes a struct socket without a sock. `fsuid` is its user. */
export function sock_alloc(k: Stack, type: number, fsuid: number): Sock {
	const sock = k.socket.kmem_cache_zalloc();
	k.socket.state[sock] = SS_UNCONNECTED;
	k.socket.type[sock] = type;
	k.socket.i_uid[sock] = fsuid;
	return sock;
}

/**
 * sock_close, __sock_release: the last reference to a socket is dropped. `more`: the task goes on in
 * the kernel, so scheduled work is left to the caller.
 */
export function __sock_release(k: Stack, sock: Sock, exiting: boolean, more = false): void {
	sock_ops(k, sock).release(k, sock, exiting);
	if (more) process_backlog(k);
	else processBacklogAndWorks(k);
	k.socket.kmem_cache_free(sock);
}

/** sock->ops: the operations of the socket's family and type. */
export function sock_ops(k: Stack, sock: Sock): ProtoOps {
	return k.protocols.proto_ops[k.socket.ops[sock]];
}

/** socket(): __sock_create. Returns a socket or a negative errno. Throws NotModelled. */
export function sock_create(
	k: Stack,
	net: Net,
	family: number,
	type: number,
	protocol: number,
	fsuid: number,
): number {
	if (type < 0 || type >= SOCK_MAX) return -EINVAL;
	const pf = k.protocols.net_families.get(family);
	if (pf === undefined || type === SOCK_PACKET) {
		throw new NotModelled(`socket family ${family} type ${type} protocol ${protocol}`);
	}
	const sock = sock_alloc(k, type, fsuid);
	let err: number;
	try {
		err = pf.create(k, net, sock, protocol);
	} catch (error) {
		k.socket.kmem_cache_free(sock);
		throw error;
	}
	if (err === 0) return sock;
	k.socket.kmem_cache_free(sock);
	return err;
}

/** Whether move_addr_to_kernel rejects an address length. */
function badAddrlen(addr_len: number): boolean {
	return addr_len < 0 || addr_len > SIZEOF_SOCKADDR_STORAGE;
}

export function __sys_bind(k: Stack, sock: Sock, addr: Sockaddr, addr_len: number): number {
	if (badAddrlen(addr_len)) return -EINVAL;
	return sock_ops(k, sock).bind(k, sock, addr, addr_len);
}

/** listen(). A backlog that is negative or above net.core.somaxconn becomes net.core.somaxconn. */
export function __sys_listen(k: Stack, sock: Sock, backlog: number): number {
	return sock_ops(k, sock).listen(
		k,
		sock,
		backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog,
	);
}

/** accept(). Returns a new socket or a negative errno. */
export function do_accept(k: Stack, sock: Sock, fsuid: number, nonblock: boolean): number {
	const newsock = sock_alloc(k, k.socket.type[sock], fsuid);
	k.socket.ops[newsock] = k.socket.ops[sock];
	const err = sock_ops(k, sock).accept(k, sock, newsock, nonblock);
	if (err === 0) return newsock;
	k.socket.kmem_cache_free(newsock);
	return err;
}

export function __sys_connect(
	k: Stack,
	sock: Sock,
	addr: Sockaddr,
	addr_len: number,
	nonblock: boolean,
): number {
	if (badAddrlen(addr_len)) return -EINVAL;
	const nowait = nonblock || k.sock.sk_sndtimeo.get(k.socket.sk[sock]) === TIMEO_NOWAIT;
	const err = sock_ops(k, sock).connect(k, sock, addr, addr_len, nowait);
	processBacklogAndWorks(k); // release_sock: what arrived while the call held the socket
	return err;
}

/**
 * sendto(), sendmsg(), send(), write(). `addr` is null if none is given. `flags`: MSG_DONTWAIT,
 * MSG_FASTOPEN. Returns the number of bytes or a negative errno.
 */
export function __sys_sendto(
	k: Stack,
	sock: Sock,
	size: number,
	addr: Sockaddr | null,
	addr_len: number,
	flags: number,
): number {
	if (addr !== null && badAddrlen(addr_len)) return -EINVAL;
	if (k.sock.sk_sndtimeo.get(k.socket.sk[sock]) === TIMEO_NOWAIT) flags |= MSG_DONTWAIT;
	const sent = sock_ops(k, sock).sendmsg(k, sock, addr, addr_len, size, flags);
	processBacklogAndWorks(k);
	return sent;
}

/**
 * recvfrom(), recvmsg(), recv(), read(). `flags`: MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL.
 * Returns the number of bytes or a negative errno. The sender of a datagram is in k.msg_name.
 */
export function __sys_recvfrom(k: Stack, sock: Sock, size: number, flags: number): number {
	k.msg_name = null;
	if (k.sock.sk_rcvtimeo.get(k.socket.sk[sock]) === TIMEO_NOWAIT) flags |= MSG_DONTWAIT;
	return sock_ops(k, sock).recvmsg(k, sock, size, flags);
}

/** Whether the protocol handles the options of level SOL_SOCKET itself, as MPTCP does. */
function sock_use_custom_sol_socket(k: Stack, sock: Sock): boolean {
	const ops = k.socket.ops[sock];
	return ops === MPTCP_STREAM_OPS || ops === MPTCP_V6_STREAM_OPS;
}

/** setsockopt(). `optval` is null for a NULL pointer. Returns 0 or a negative errno. */
export function __sys_setsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	if (optlen < 0) return -EINVAL;
	if (level === SOL_SOCKET && !sock_use_custom_sol_socket(k, sock)) {
		return sk_setsockopt(k, k.socket.sk[sock], optname, optval, optlen);
	}
	return sock_ops(k, sock).setsockopt(k, sock, level, optname, optval, optlen);
}

/** getsockopt() with a buffer of `optlen` bytes. Returns the bytes written, or a negative errno. */
export function __sys_getsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	if (level === SOL_SOCKET) return sk_getsockopt(k, k.socket.sk[sock], optname, optlen);
	return sock_ops(k, sock).getsockopt(k, sock, level, optname, optlen);
}

export function __sys_shutdown(k: Stack, sock: Sock, how: number): number {
	const err = sock_ops(k, sock).shutdown(k, sock, how);
	processBacklogAndWorks(k);
	return err;
}

/** Registers a family at boot. */
export function sock_register(k: Stack, ops: NetProtoFamily): void {
	k.protocols.net_families.set(ops.family, ops);
}
