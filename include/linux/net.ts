// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Socket types, states and operations of a `struct socket` (include/linux/net.h,
 * include/uapi/linux/net.h).
 */

import type { Stack } from "../net/stack.js";
import type { Sock } from "./handle.js";
import type { Sockaddr } from "./socket.js";

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_RDM = 4;
export const SOCK_SEQPACKET = 5;
export const SOCK_DCCP = 6;
export const SOCK_PACKET = 10;
export const SOCK_TYPE_MASK = 0xf;
/** One more than the largest socket type. socket() returns EINVAL from here on. */
export const SOCK_MAX = 11;

export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const O_NONBLOCK = SOCK_NONBLOCK;

export const SS_UNCONNECTED = 1;
export const SS_CONNECTING = 2;
export const SS_CONNECTED = 3;
export const SS_DISCONNECTING = 4;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** Values of the column `ops` of a struct socket. */
export const INET_STREAM_OPS = 0;
export const INET_DGRAM_OPS = 1;
export const INET6_STREAM_OPS = 2;
export const INET6_DGRAM_OPS = 3;
export const INET_SEQPACKET_OPS = 4;
export const INET6_SEQPACKET_OPS = 5;
export const INET_DCCP_OPS = 6;
export const INET6_DCCP_OPS = 7;
export const MPTCP_STREAM_OPS = 8;
export const MPTCP_V6_STREAM_OPS = 9;

/**
 * struct proto_ops: the operations of a family on a struct socket of one type. They return 0 or a
 * negative errno. -ERESTARTSYS means that the call would sleep.
 */
export interface ProtoOps {
	/** The value of a struct socket's `ops`: INET_STREAM_OPS or another one above. */
	readonly ops: number;
	release(k: Stack, sock: Sock, exiting: boolean): void;
	bind(k: Stack, sock: Sock, addr: Sockaddr, addr_len: number): number;
	connect(k: Stack, sock: Sock, addr: Sockaddr, addr_len: number, nonblock: boolean): number;
	/** Continues a blocking connect() that slept. -ERESTARTSYS if it would sleep again. */
	connect_wait(k: Stack, sock: Sock): number;
	accept(k: Stack, sock: Sock, newsock: Sock, nonblock: boolean): number;
	/** An address: the socket's own if `peer` is 0, the peer's if it is 1, or 2 in accept(). */
	getname(k: Stack, sock: Sock, peer: number): Sockaddr | number;
	listen(k: Stack, sock: Sock, backlog: number): number;
	shutdown(k: Stack, sock: Sock, how: number): number;
	/** Options of all levels except SOL_SOCKET. */
	setsockopt(
		k: Stack,
		sock: Sock,
		level: number,
		optname: number,
		optval: Uint8Array | null,
		optlen: number,
	): number;
	/** Returns the bytes written, or a negative errno. */
	getsockopt(
		k: Stack,
		sock: Sock,
		level: number,
		optname: number,
		optlen: number,
	): Uint8Array | number;
	sendmsg(
		k: Stack,
		sock: Sock,
		addr: Sockaddr | null,
		addr_len: number,
		size: number,
		flags: number,
	): number;
	recvmsg(k: Stack, sock: Sock, size: number, flags: number): number;
}
