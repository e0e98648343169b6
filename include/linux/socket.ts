// SPDX-License-Identifier: GPL-2.0-or-later
/** Address families, option levels and limits (include/linux/socket.h). */

export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOL_IP = 0;
export const SOL_TCP = 6;
export const SOL_UDP = 17;
export const SOL_IPV6 = 41;
export const SOL_SCTP = 132;
export const SOL_UDPLITE = 136;
export const SOL_DCCP = 269;
export const SOL_MPTCP = 284;

/** Flags of calls that send or receive. */
export const MSG_OOB = 1;
export const MSG_PEEK = 2;
export const MSG_DONTROUTE = 4;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITALL = 0x100;
export const MSG_ERRQUEUE = 0x2000;
/** More data follows, so a segment that is not full waits. */
export const MSG_MORE = 0x8000;
export const MSG_FASTOPEN = 0x20000000;

/** Default of net.core.somaxconn since 5.4: the largest backlog of listen(). */
export const SOMAXCONN = 4096;

/** Size of a struct sockaddr_in and of its family, bytes. */
export const SIZEOF_SOCKADDR_IN = 16;
export const SIZEOF_SA_FAMILY = 2;
/** Size of a struct sockaddr_in6, bytes, and its size without a scope id (SIN6_LEN_RFC2133). */
export const SIZEOF_SOCKADDR_IN6 = 28;
export const SIN6_LEN_RFC2133 = 24;
/** Size of a struct sockaddr_storage, bytes: the longest address that a system call accepts. */
export const SIZEOF_SOCKADDR_STORAGE = 128;

/**
 * A socket address that a program passes or gets: struct sockaddr_in and sockaddr_in6 in one, as
 * they share the same memory. The family says which fields are valid. The kernel may read other
 * fields before it checks the family.
 */
export interface Sockaddr {
	sin_family: number;
	/** Bytes 2 and 3, host order; sin6_port as well. */
	sin_port: number;
	/** Bytes 4 to 7, host order; sin6_flowinfo as well. */
	sin_addr: number;
	/** Bytes 8 to 23: four words in host order, most significant first. */
	sin6_addr: Uint32Array;
	/** Bytes 24 to 27. */
	sin6_scope_id: number;
}

export function sockaddr_in6(
	sin6_addr: Uint32Array,
	sin6_port: number,
	sin6_scope_id: number,
): Sockaddr {
	return { sin_family: AF_INET6, sin_port: sin6_port, sin_addr: 0, sin6_addr, sin6_scope_id };
}

export function sockaddr_in(sin_addr: number, sin_port: number, sin_family = AF_INET): Sockaddr {
	return { sin_family, sin_port, sin_addr, sin6_addr: new Uint32Array(4), sin6_scope_id: 0 };
}
