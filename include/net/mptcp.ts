// SPDX-License-Identifier: GPL-2.0-or-later
/** MPTCP sockets and their first subflows (net/mptcp/protocol.h). */

import type { Sk } from "../linux/handle.js";
import type { Stack } from "./stack.js";

/**
 * Flag of a TCP segment, in addition to those of include/net/tcp.ts: it has the option MP_CAPABLE.
 */
export const TCPHDR_MPTCP = 1024;

/**
 * struct mptcp_sock: the fields of a sock of PROT_MPTCP or PROT_MPTCPV6 that have no column. The
 * columns of this sock hold what the program sees. The ports belong to its first subflow, which is
 * a TCP sock.
 */
export interface MptcpSock {
	/** The struct socket of the first subflow. It has the same user. */
	socket: number;
	/**
	 * Whether `socket` exists in C as well (msk->subflow). C has none if accept() made the sock.
	 */
	initial: boolean;
	/** The first subflow. The model has no others. */
	first: number;
	/**
	 * The first subflow was used. Since mptcp-set-up-while-closed it is made only at its first use.
	 */
	accessed: boolean;
	/** An option was set on the socket, so a new subflow copies all options (setsockopt_seq). */
	options_set: boolean;
	/** TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT as set. 0: not set. Any int if no subflow checked it. */
	keepalive_idle: number;
	keepalive_intvl: number;
	keepalive_cnt: number;
	/** The peer accepted MPTCP. Options of the subflow cannot be set any more. */
	can_ack: boolean;
	/** The peer does not support MPTCP: MPTCP_FALLBACK_DONE. */
	fallback: boolean;
}

/** All MPTCP socks of a kernel. */
export class MptcpSocks {
	/**
	 * The timer function of a closing subflow. It is set at boot (C: timer_setup of sk->sk_timer).
	 */
	sk_timer: (k: Stack, ssk: Sk) => void = () => {};
	/** mptcp_sk(): the fields of each MPTCP sock. */
	readonly socks = new Map<number, MptcpSock>();
	/** subflow->conn: the MPTCP sock of each subflow. */
	readonly conn = new Map<number, number>();
	/**
	 * Subflows that still end after close(), with the fields of the MPTCP sock that they belonged
	 * to.
	 */
	readonly closing = new Map<number, MptcpSock>();
}
