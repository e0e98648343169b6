// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * DCCP: states of a sock, types of packets, codes of Resets, and struct dccp_sock
 * (include/linux/dccp.h, include/uapi/linux/dccp.h, net/dccp/dccp.h).
 */
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT1,
	TCP_LISTEN,
	TCP_MAX_STATES,
	TCP_NEW_SYN_RECV,
	TCP_SYN_RECV,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
} from "../net/tcp_states.js";
import type { Sk } from "./handle.js";

/** States of a DCCP sock. */
export const DCCP_OPEN = TCP_ESTABLISHED;
export const DCCP_REQUESTING = TCP_SYN_SENT;
export const DCCP_LISTEN = TCP_LISTEN;
export const DCCP_RESPOND = TCP_SYN_RECV;
/** A server sent CloseReq. */
export const DCCP_ACTIVE_CLOSEREQ = TCP_FIN_WAIT1;
/** Close arrived, and the program has not seen it yet. */
export const DCCP_PASSIVE_CLOSE = TCP_CLOSE_WAIT;
/** Close was sent. */
export const DCCP_CLOSING = TCP_CLOSING;
export const DCCP_TIME_WAIT = TCP_TIME_WAIT;
export const DCCP_CLOSED = TCP_CLOSE;
export const DCCP_NEW_SYN_RECV = TCP_NEW_SYN_RECV;
/** A client got the Response. It is DCCP_OPEN after the next packet of the server. */
export const DCCP_PARTOPEN = TCP_MAX_STATES;
/** CloseReq arrived, and the program has not seen it yet. */
export const DCCP_PASSIVE_CLOSEREQ = TCP_MAX_STATES + 1;

export const DCCPF_OPEN = 1 << DCCP_OPEN;
export const DCCPF_LISTEN = 1 << DCCP_LISTEN;
export const DCCPF_CLOSED = 1 << DCCP_CLOSED;
export const DCCPF_PARTOPEN = 1 << DCCP_PARTOPEN;

/** enum dccp_pkt_type. */
export const DCCP_PKT_REQUEST = 0;
export const DCCP_PKT_RESPONSE = 1;
export const DCCP_PKT_DATA = 2;
export const DCCP_PKT_ACK = 3;
export const DCCP_PKT_DATAACK = 4;
export const DCCP_PKT_CLOSEREQ = 5;
export const DCCP_PKT_CLOSE = 6;
export const DCCP_PKT_RESET = 7;
export const DCCP_PKT_SYNC = 8;
export const DCCP_PKT_SYNCACK = 9;

/** enum dccp_reset_codes. */
export const DCCP_RESET_CODE_CLOSED = 1;
export const DCCP_RESET_CODE_ABORTED = 2;
export const DCCP_RESET_CODE_NO_CONNECTION = 3;
export const DCCP_RESET_CODE_PACKET_ERROR = 4;
export const DCCP_RESET_CODE_BAD_SERVICE_CODE = 8;
export const DCCP_RESET_CODE_TOO_BUSY = 9;

/** Options of level SOL_DCCP. */
export const DCCP_SOCKOPT_PACKET_SIZE = 1;
export const DCCP_SOCKOPT_SERVICE = 2;
export const DCCP_SOCKOPT_CHANGE_L = 3;
export const DCCP_SOCKOPT_CHANGE_R = 4;
export const DCCP_SOCKOPT_SERVER_TIMEWAIT = 6;
/** The most service codes of a listener, and a code that none may be. */
export const DCCP_SERVICE_LIST_MAX_LEN = 32;
export const DCCP_SERVICE_INVALID_VALUE = 0xffffffff;

/** First timeout of a Request, Close or CloseReq, longest one, and time in TIME_WAIT, ms. */
export const DCCP_TIMEOUT_INIT = 3000;
export const DCCP_RTO_MAX = 64_000;
export const DCCP_TIMEWAIT_LEN = 60_000;
/** Retransmissions of a Request, and of a Close or CloseReq (sysctl_dccp_request_retries, _retries2). */
export const DCCP_REQUEST_RETRIES = 6;
export const DCCP_RETRIES2 = 15;
/** Shortest time between two Syncs that answer invalid packets, ms (sysctl_dccp_sync_ratelimit). */
export const DCCP_SYNC_RATELIMIT = 125;

/** enum dccp_role. */
export const DCCP_ROLE_UNDEFINED = 0;
export const DCCP_ROLE_LISTEN = 1;
export const DCCP_ROLE_CLIENT = 2;
export const DCCP_ROLE_SERVER = 3;

/** struct dccp_sock: what a DCCP sock has beside inet_connection_sock. */
interface DccpSock {
	/** dccps_role: one of DCCP_ROLE_*. */
	role: number;
	/** dccps_service: the service code that a client asks for, or the first one of a listener. */
	service: number;
	/** dccps_service_list: the other service codes of a listener. */
	service_list: number[];
	/** dccps_server_timewait: a server that closes sends Close, so that it keeps TIME_WAIT. */
	server_timewait: boolean;
	/** dccps_mss_cache: the most bytes of a packet. */
	mss_cache: number;
	/** dccps_rate_last: when an invalid packet was last answered, ms since boot. */
	rate_last: number;
	/**
	 * sk_receive_queue, the oldest first: the lengths of packets with data, and DCCP_FIN for the
	 * packet that ended the connection.
	 */
	receive_queue: number[];
}

/** An entry of receive_queue: a Close, CloseReq or Reset. */
export const DCCP_FIN = -1;

/** DCCP's socks of one kernel, and dreq_service of its requests. */
export class DccpSocks {
	readonly socks = new Map<Sk, DccpSock>();
	readonly dreq_service = new Map<Sk, number>();
}

/** Throws Error if the sock is not one of DCCP. */
export function dccp_sk(k: { readonly dccp: DccpSocks }, sk: Sk): DccpSock {
	const dp = k.dccp.socks.get(sk);
	if (dp === undefined) throw new Error(`socket ${sk} is not of DCCP`);
	return dp;
}

/** Segment.flags of a packet: its type, and the code of a Reset. */
export function dccpFlags(type: number, code = 0): number {
	return type | (code << 8);
}

/** Type of a packet: dccph_type. */
export function dccphType(flags: number): number {
	return flags & 255;
}

/** Code of a Reset: dccph_reset_code. */
export function dccphResetCode(flags: number): number {
	return flags >> 8;
}
