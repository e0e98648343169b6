// SPDX-License-Identifier: GPL-2.0-or-later
/** TCP's times, ms, and the flags of segments (include/net/tcp.h). */

/**
 * Duration of TIME_WAIT. Also the longest time that an orphan in FIN_WAIT2 is a time-wait socket.
 */
export const TCP_TIMEWAIT_LEN = 60_000;
export const TCP_TIMEOUT_INIT = 1_000;
export const TCP_RTO_MIN = 200;
export const TCP_RTO_MAX = 120_000;
/** Shortest delay of an acknowledgement, ms. */
export const TCP_DELACK_MIN = 40;
/** Longest delay of an acknowledgement, ms. */
export const TCP_DELACK_MAX = 200;
/** First icsk_ack.ato: HZ / 25 (TCP_ATO_MIN), ms. */
export const TCP_ATO_MIN = 40;
/** Most segments in a row that are acknowledged at once. */
export const TCP_MAX_QUICKACKS = 16;
/** The length of a full segment before a longer one was seen, bytes. */
export const TCP_MSS_DEFAULT = 536;

/** tcp_sock.nonagle: TCP_NODELAY, TCP_CORK, and whether what is held goes out now. */
export const TCP_NAGLE_OFF = 1;
export const TCP_NAGLE_CORK = 2;
export const TCP_NAGLE_PUSH = 4;

/** icsk_ack.pending (include/net/inet_connection_sock.h). */
export const ICSK_ACK_SCHED = 1;
export const ICSK_ACK_TIMER = 2;
export const ICSK_ACK_PUSHED = 4;
export const ICSK_ACK_PUSHED2 = 8;

/** Longest TCP_LINGER2, seconds. */
export const TCP_FIN_TIMEOUT_MAX = 120;
/** Default of tcp_synack_retries. */
export const TCP_SYNACK_RETRIES = 5;
/**
 * Default of tcp_syn_retries. A connect() without an answer gives up after 127 s, with
 * tcp-syn-linear-timeouts after 131 s.
 */
export const TCP_SYN_RETRIES = 6;
/** Default of tcp_syn_linear_timeouts. */
export const TCP_SYN_LINEAR_TIMEOUTS = 4;
/** Most retransmissions of a SYN that tcp_syn_retries can ask for. */
export const MAX_TCP_SYNCNT = 127;
/** Default of tcp_retries2: retransmissions of data, counted as time (tcp_model_timeout). */
export const TCP_RETR2 = 15;
/** Default of tcp_retries1. */
export const TCP_RETR1 = 3;
/** Shortest timer of TCP, jiffies. */
export const TCP_TIMEOUT_MIN = 2;
/** Defaults of tcp_keepalive_time and tcp_keepalive_intvl, seconds, and of tcp_keepalive_probes. */
export const TCP_KEEPALIVE_TIME = 7200;
export const TCP_KEEPALIVE_INTVL = 75;
export const TCP_KEEPALIVE_PROBES = 9;
/** Longest TCP_KEEPIDLE and TCP_KEEPINTVL, seconds, and most probes of TCP_KEEPCNT. */
export const MAX_TCP_KEEPIDLE = 32767;
export const MAX_TCP_KEEPINTVL = 32767;
export const MAX_TCP_KEEPCNT = 127;

/** Flags of a segment. */
export const TCPHDR_FIN = 1;
export const TCPHDR_SYN = 2;
export const TCPHDR_RST = 4;
export const TCPHDR_ACK = 16;
/** The fast open option: a SYN asks for a cookie or has one, a SYN-ACK gives one. */
export const TCPHDR_FASTOPEN = 2048;

/** Bits of net.ipv4.tcp_fastopen. */
export const TFO_CLIENT_ENABLE = 1;
export const TFO_SERVER_ENABLE = 2;
export const TFO_CLIENT_NO_COOKIE = 4;
export const TFO_SERVER_COOKIE_NOT_REQD = 0x200;
export const TFO_SERVER_WO_SOCKOPT1 = 0x400;
/**
 * Not a flag of C: the ACK acknowledges the receiver's FIN. In C the sequence numbers tell this.
 */
export const TCPHDR_ACKS_FIN = 256;
/**
 * Not a flag of C: a keepalive probe (tcp_xmit_probe_skb). Its sequence number is one that the peer
 * has acknowledged. So the peer answers it.
 */
export const TCPHDR_PROBE = 4096;

/** tcp_invalid_ratelimit: shortest time between two answers to segments out of window, ms. */
export const TCP_INVALID_RATELIMIT = 500;
