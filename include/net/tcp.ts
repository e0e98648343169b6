// SPDX-License-Identifier: GPL-2.0-or-later
/** TCP's times, ms, its timers, and the flags of segments (include/net/tcp.h). */
import type { Sk } from "../linux/handle.js";
import { JIFFY } from "../linux/timer.js";
import {
	ICSK_TIME_PROBE0,
	icsk_delack_timer,
	icsk_retransmit_timer,
	TCP_RTO_MIN,
} from "./inet_connection_sock.js";
import { sk_net, sk_timer } from "./sock.js";
import type { Stack } from "./stack.js";

// The columns of sock.ts begin with these. Here they would make an import circle.
export { TCP_RTO_MAX, TCP_RTO_MIN } from "./inet_connection_sock.js";

/**
 * Duration of TIME_WAIT. Also the longest time that an orphan in FIN_WAIT2 is a time-wait socket.
 */
export const TCP_TIMEWAIT_LEN = 60_000;
export const TCP_TIMEOUT_INIT = 1_000;
/** Shortest delay of an acknowledgement, ms. */
export const TCP_DELACK_MIN = 40;
/** Longest delay of an acknowledgement, ms. */
export const TCP_DELACK_MAX = 200;
/** First icsk_ack.ato: HZ / 25 (TCP_ATO_MIN), ms. */
export const TCP_ATO_MIN = 40;
/** Most segments in a row that are acknowledged at once. */
export const TCP_MAX_QUICKACKS = 16;

/** tcp_sock.nonagle: TCP_NODELAY, TCP_CORK, and whether what is held goes out now. */
export const TCP_NAGLE_OFF = 1;
export const TCP_NAGLE_CORK = 2;
export const TCP_NAGLE_PUSH = 4;

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
/** Time until a packet that could not be sent is tried again, ms. */
export const TCP_RESOURCE_PROBE_INTERVAL = 500;
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

export function tcp_clear_xmit_timers(k: Stack, sk: Sk): void {
	k.timers.del_timer(icsk_retransmit_timer(sk));
	k.timers.del_timer(icsk_delack_timer(sk));
	k.timers.del_timer(sk_timer(sk));
}

/** The longest timeout of a sock, ms. */
export function tcp_rto_max(k: Stack, sk: Sk): number {
	return k.sock.icsk_rto_max.get(sk);
}

/**
 * icsk_rto of a connection that has measured its round trip time, ms. The time over loopback is a
 * small part of a jiffy. __tcp_set_rto adds it to the shortest timeout and rounds up.
 */
export function tcpEstablishedRto(k: Stack, sk: Sk): number {
	const rto_min = k.sock.icsk_rto_min.get(sk);
	return Math.min(rto_min + JIFFY, tcp_rto_max(k, sk));
}

/** The clock, jiffies. */
export function tcp_jiffies32(k: Stack): number {
	return Math.floor(k.timers.now / JIFFY);
}

/** A FIN or data has no route: starts the timer that tries again. */
export function tcp_check_probe_timer(k: Stack, sk: Sk): void {
	const S = k.sock;
	const timer = icsk_retransmit_timer(sk);
	if (k.timers.expiry(timer) !== null) return;
	S.icsk_pending[sk] = ICSK_TIME_PROBE0;
	S.icsk_rto[sk] = tcpEstablishedRto(k, sk);
	S.retrans_stamp[sk] = 0;
	k.timers.mod_timer(timer, Math.max(S.icsk_rto[sk], TCP_RTO_MIN));
}

/** The time between probes, ms. */
export function keepalive_intvl_when(k: Stack, sk: Sk): number {
	return (k.sock.keepalive_intvl.get(sk) || sk_net(k, sk).ipv4.sysctl_tcp_keepalive_intvl) * 1000;
}

/** When the first probe of an idle connection is due, ms. */
export function keepalive_time_when(k: Stack, sk: Sk): number {
	return (k.sock.keepalive_time.get(sk) || sk_net(k, sk).ipv4.sysctl_tcp_keepalive_time) * 1000;
}

/** How many probes without an answer end a connection. */
export function keepalive_probes(k: Stack, sk: Sk): number {
	return k.sock.keepalive_probes.get(sk) || sk_net(k, sk).ipv4.sysctl_tcp_keepalive_probes;
}

/** The time since the last segment of the peer, ms. */
export function keepalive_time_elapsed(k: Stack, sk: Sk): number {
	return k.timers.now - k.sock.ts_recent_ms[sk];
}

/** How long an orphan stays in FIN_WAIT2, ms. */
export function tcp_fin_time(k: Stack, sk: Sk): number {
	const shortest = tcpShortestFin(k, sk);
	const seconds = k.sock.linger2[sk] || sk_net(k, sk).ipv4.sysctl_tcp_fin_timeout;
	return Math.max(seconds * 1000, shortest);
}

/** Shortest time in FIN_WAIT2, ms: three and a half timeouts. */
export function tcpShortestFin(k: Stack, sk: Sk): number {
	const rto = tcpEstablishedRto(k, sk) / JIFFY;
	return (rto * 4 - Math.floor(rto / 2)) * JIFFY;
}
