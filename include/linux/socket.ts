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

/** Default of net.core.somaxconn since 5.4: the most that listen()'s backlog can be. */
export const SOMAXCONN = 4096;

/** Bytes of a struct sockaddr_in, and of the family alone. */
export const SIZEOF_SOCKADDR_IN = 16;
export const SIZEOF_SA_FAMILY = 2;
/** Bytes of a struct sockaddr_in6, and of what it was before it had a scope (SIN6_LEN_RFC2133). */
export const SIZEOF_SOCKADDR_IN6 = 28;
export const SIN6_LEN_RFC2133 = 24;
/** Bytes of a struct sockaddr_storage: the longest address that a system call takes. */
export const SIZEOF_SOCKADDR_STORAGE = 128;

/**
 * What a program passes as an address, or gets: struct sockaddr_in and sockaddr_in6 in one,
 * as they lie in the same memory. The family decides which fields mean anything; the kernel
 * may look at others first.
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

export function sockaddr_in(sin_addr: number, sin_port: number, sin_family = AF_INET): Sockaddr {
	return { sin_family, sin_port, sin_addr, sin6_addr: new Uint32Array(4), sin6_scope_id: 0 };
}
