// SPDX-License-Identifier: GPL-2.0-or-later
/** TCP's times, in milliseconds (include/net/tcp.h), and the segments that this model sends. */

/** How long TIME_WAIT lasts, and the longest that a FIN_WAIT2 orphan is a time-wait socket. */
export const TCP_TIMEWAIT_LEN = 60_000;
export const TCP_TIMEOUT_INIT = 1_000;
export const TCP_RTO_MIN = 200;
export const TCP_RTO_MAX = 120_000;
/** Shortest delayed acknowledgement. */
export const TCP_DELACK_MIN = 40;
/** Longest delayed acknowledgement. */
export const TCP_DELACK_MAX = 200;
/** Longest TCP_LINGER2, seconds. */
export const TCP_FIN_TIMEOUT_MAX = 120;
/** Default of tcp_synack_retries. */
export const TCP_SYNACK_RETRIES = 5;
/** Default of tcp_syn_retries: with it an unanswered SYN gives up after 127 s. */
export const TCP_SYN_RETRIES = 6;
/** A connection over loopback has measured its round trip: its RTO is TCP_RTO_MIN. */
export const LOOPBACK_RTO = TCP_RTO_MIN;

/** Flags of a segment. */
export const TCPHDR_FIN = 1;
export const TCPHDR_SYN = 2;
export const TCPHDR_RST = 4;
export const TCPHDR_ACK = 16;
/** What sequence numbers would tell: the ACK covers the receiver's FIN. */
export const TCPHDR_ACKS_FIN = 256;

/** At most one answer in this time, ms, to segments out of window (tcp_invalid_ratelimit). */
export const TCP_INVALID_RATELIMIT = 500;
