// SPDX-License-Identifier: GPL-2.0-or-later
/** MPTCP sockets and their first subflows (net/mptcp/protocol.h). */

import type { Sk } from "../linux/handle.js";
import type { Stack } from "./stack.js";

/** Flag of a TCP segment, beside include/net/tcp.ts: it carries the option MP_CAPABLE. */
export const TCPHDR_MPTCP = 1024;

/**
 * struct mptcp_sock, of one sock of PROT_MPTCP or PROT_MPTCPV6. Its columns hold what the
 * program sees; ports are its first subflow's, which is a TCP sock.
 */
export interface MptcpSock {
	/** The struct socket that the first subflow counts as its own, of the same user. */
	socket: number;
	/** That it is one in C, too: not of a socket that accept() made (C: msk->subflow). */
	initial: boolean;
	/** The first subflow. There are no others. */
	first: number;
	/** The first subflow was asked for: since mptcp-set-up-while-closed it is made only then. */
	accessed: boolean;
	/** An option was set on the socket itself, so that a new subflow takes them all over: setsockopt_seq. */
	options_set: boolean;
	/** The other end takes MPTCP: subflow options cannot be set any more. */
	can_ack: boolean;
	/** The other end does not: MPTCP_FALLBACK_DONE. */
	fallback: boolean;
}

/** All of a kernel. */
export class MptcpSocks {
	/** What the timer of a closing subflow runs; set at boot (C: timer_setup of sk->sk_timer). */
	sk_timer: (k: Stack, ssk: Sk) => void = () => {};
	/** By sock: mptcp_sk(). */
	readonly socks = new Map<number, MptcpSock>();
	/** By subflow: the sock that it belongs to, subflow->conn. */
	readonly conn = new Map<number, number>();
	/** Subflows that end on their own after close(), with what their sock was. */
	readonly closing = new Map<number, MptcpSock>();
}
