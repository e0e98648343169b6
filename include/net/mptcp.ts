// SPDX-License-Identifier: GPL-2.0-or-later
/** MPTCP sockets and their first subflows (net/mptcp/protocol.h). */

import type { Sk } from "../linux/handle.js";
import type { TcpFastopenRequest } from "./sock.js";
import type { Stack } from "./stack.js";

/**
 * Flags of a TCP segment, in addition to those of include/net/tcp.ts. It has the option MP_CAPABLE;
 * its DSS option has a DATA_FIN; its data acknowledgement includes the DATA_FIN of the peer; it has
 * the option MP_FASTCLOSE.
 */
export const TCPHDR_MPTCP = 1024;
export const TCPHDR_DATA_FIN = 8192;
export const TCPHDR_ACKS_DATA_FIN = 16384;
export const TCPHDR_FASTCLOSE = 32768;

/**
 * struct mptcp_sock and struct mptcp_subflow_context of the first subflow: the fields of a sock of
 * PROT_MPTCP or PROT_MPTCPV6 that have no column. The columns of this sock hold what the program
 * sees. The ports belong to its first subflow, which is a TCP sock.
 */
export interface MptcpSock {
	/**
	 * The struct socket of the first subflow. It has the same user. 0 before accept() and after
	 * close().
	 */
	socket: number;
	/**
	 * Whether `socket` exists in C as well (msk->subflow). C has none if accept() made the sock.
	 */
	initial: boolean;
	/** The first subflow. The model has no others. 0 if it was given up (C: NULL). */
	first: Sk;
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
	/** The call that connects is a send with MSG_FASTOPEN. */
	fastopening: boolean;
	/** The request of a send with MSG_FASTOPEN that waits for its connection. Null: none waits. */
	fastopen: TcpFastopenRequest | null;
	/** connect() holds the sock: sock_owned_by_user. */
	owned: boolean;
	/** The sock becomes established when connect() releases it: MPTCP_SYNC_STATE. */
	sync_state: boolean;
	/** The peer is known to have received the handshake of MPTCP. */
	fully_established: boolean;
	/** No accept() has returned the sock yet. */
	in_accept_queue: boolean;
	/** This side sent a DATA_FIN that is not acknowledged. */
	snd_data_fin_enable: boolean;
	/** Whether the peer acknowledged everything, DATA_FIN included: snd_una is write_seq. */
	all_acked: boolean;
	/** A DATA_FIN arrived, and the worker has not looked at it yet. */
	rcv_data_fin: boolean;
	/** Where its data ends, and where the data ends that arrived, bytes since the handshake. */
	rcv_data_fin_seq: number;
	ack_seq: number;
	/**
	 * Where the subflow's mapping ends in the same bytes (map_seq + map_data_len). It differs from
	 * ack_seq only if a segment was old or left a gap.
	 */
	map_end: number;
	/** The first segment of data also ends the handshake, so its mapping begins a byte too early. */
	ssn_late: boolean;
	/** ack_seq includes the DATA_FIN of the peer. */
	ack_data_fin: boolean;
	/** The peer sent MP_FASTCLOSE. */
	rcv_fastclose: boolean;
	/** The sock ends by MP_FASTCLOSE. */
	fastclosing: boolean;
	/** Resets that the first subflow sends have MP_FASTCLOSE. */
	send_fastclose: boolean;
	/** MPTCP_WORK_CLOSE_SUBFLOW: the worker has to look for subflows that ended. */
	work_close_subflow: boolean;
	/** The first subflow gives no more data to this sock: subflow->closing. */
	closing: boolean;
}

/** All MPTCP socks of a kernel. */
export class MptcpSocks {
	/** mptcp_worker and mptcp_tout_timer. They are set at boot, as INIT_WORK and timer_setup do. */
	worker: (k: Stack, sk: Sk) => void = () => {};
	tout_timer: (k: Stack, sk: Sk) => void = () => {};
	/**
	 * The socks whose work is scheduled, in order. The work begins when a call ends. In C another
	 * thread does it, usually within a millisecond.
	 */
	readonly works: Sk[] = [];
	/** mptcp_sk(): the fields of each MPTCP sock. */
	readonly socks = new Map<number, MptcpSock>();
	/** subflow->conn: the MPTCP sock of each subflow. */
	readonly conn = new Map<number, number>();
}
