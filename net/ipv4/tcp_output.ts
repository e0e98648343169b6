// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/tcp_output.c: sends segments. A segment has flags, a length and sequence spaces instead
 * of sequence numbers. A segment to this namespace waits in k.loopback until tcp_v4_rcv receives
 * it.
 */

import type { Ifindex, Sk } from "../../include/linux/handle.js";
import { JIFFY } from "../../include/linux/timer.js";
import {
	ICSK_ACK_SCHED,
	ICSK_ACK_TIMER,
	ICSK_TIME_LOSS_PROBE,
	ICSK_TIME_RETRANS,
	icsk_delack_timer,
	icsk_retransmit_timer,
} from "../../include/net/inet_connection_sock.js";
import { inet_sk_flowi_flags } from "../../include/net/inet_sock.js";
import { TCPHDR_MPTCP } from "../../include/net/mptcp.js";
import type { RouteAnswer } from "../../include/net/net_namespace.js";
import {
	ICSK_IPV6_MAPPED,
	SOCK_DONE,
	SOCK_LOCALROUTE,
	SOCK_MPTCP,
	sk_net,
	type TcpFastopenRequest,
} from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	TCP_ATO_MIN,
	TCP_DELACK_MIN,
	TCP_NAGLE_CORK,
	TCP_NAGLE_PUSH,
	TCP_TIMEOUT_INIT,
	TCP_TIMEOUT_MIN,
	TCPHDR_ACK,
	TCPHDR_ACKS_FIN,
	TCPHDR_FASTOPEN,
	TCPHDR_FIN,
	TCPHDR_PROBE,
	TCPHDR_RST,
	TCPHDR_SYN,
	TFO_CLIENT_NO_COOKIE,
	tcp_check_probe_timer,
	tcp_jiffies32,
	tcpEstablishedRto,
} from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_NEW_SYN_RECV,
	TCP_SYN_SENT,
	TCPF_CLOSING,
	TCPF_FIN_WAIT1,
	TCPF_LAST_ACK,
} from "../../include/net/tcp_states.js";
import { ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { ip6LocalDeliverIfindex, ip6RemoteAnswer } from "../ipv6/route.js";
import { mptcp_established_options } from "../mptcp/options.js";
import { mptcpSubflowCtx } from "../mptcp/subflow.js";
import { inet_sk_rebuild_header } from "./af_inet.js";
import { skOverIpv6 } from "./inet_hashtables.js";
import {
	ip_route_output_flow,
	ipDatagramDeliverIfindex,
	ipRemoteAnswer,
	ipSegmentRoute,
	ipSourceValid,
} from "./route.js";
import { tcpDataAcked } from "./tcp.js";
import { tcp_fastopen_cookie_check, tcp_fastopen_no_cookie } from "./tcp_fastopen.js";

/**
 * Does what tcp_schedule_loss_probe does as well. A FIN or data was sent: starts the timer, first as
 * a tail loss probe. If more is sent before the probe, the probe comes soon.
 */
export function tcp_event_new_data_sent(k: Stack, sk: Sk): void {
	const S = k.sock;
	const timer = icsk_retransmit_timer(sk);
	const pending = k.timers.expiry(timer) !== null ? S.icsk_pending[sk] : 0;
	if (pending === ICSK_TIME_RETRANS) return;
	S.icsk_retransmits[sk] = 0;
	S.icsk_rto[sk] = tcpEstablishedRto(k, sk);
	S.icsk_pending[sk] = ICSK_TIME_LOSS_PROBE;
	const soon = pending === ICSK_TIME_LOSS_PROBE;
	k.timers.mod_timer(timer, soon ? TCP_TIMEOUT_MIN * JIFFY : S.icsk_rto[sk]);
}

/** Data was sent. If this side has received data a moment ago, the peers take turns. */
function tcp_event_data_sent(k: Stack, sk: Sk): void {
	const S = k.sock;
	const since = tcp_jiffies32(k) - S.icsk_ack_lrcvtime.get(sk);
	if (since * JIFFY < S.icsk_ack_ato[sk]) S.pingpong[sk] = 1; // inet_csk_inc_pingpong_cnt
}

/** A segment with an acknowledgement was sent. */
function tcp_event_ack_sent(k: Stack, sk: Sk): void {
	const S = k.sock;
	k.timers.del_timer(icsk_delack_timer(sk));
	if (S.icsk_ack_pending[sk] === 0) return;
	// tcp_dec_quickack_mode
	if (S.icsk_ack_quick[sk] === 1) S.icsk_ack_ato[sk] = TCP_ATO_MIN;
	if (S.icsk_ack_quick[sk] > 0) S.icsk_ack_quick[sk]--;
	S.icsk_ack_pending[sk] = 0;
	S.rcv_wup.set(sk, S.rcv_nxt.get(sk));
}

/**
 * A sequence space for one side of a new connection. Its numbers come from the clock
 * (secure_tcp_seq), which counts once in 64 ns. If `jumped` is true, they continue those of an
 * earlier connection.
 */
export function newIsn(k: Stack, jumped: boolean): number {
	k.last_isn += 2;
	return jumped ? k.last_isn + 1 : k.last_isn;
}

/** What becomes of a segment: it has no route, and is not sent. */
export const SEGMENT_UNSENT = 0;
/** No host receives it. */
export const SEGMENT_LOST = 3;
/** It reaches its socket by way of lo. The socket cannot answer, because its address is gone. */
const SEGMENT_ARRIVES = 1;
const SEGMENT_ANSWERED = 2;

/**
 * Sends a segment of a connection. A segment with ACK acknowledges everything that has arrived.
 * Returns SEGMENT_UNSENT, SEGMENT_LOST, SEGMENT_ARRIVES or SEGMENT_ANSWERED.
 */
export function tcp_transmit_skb(k: Stack, sk: Sk, flags: number, length: number): number {
	const S = k.sock;
	if ((flags & TCPHDR_ACK) !== 0) {
		tcp_event_ack_sent(k, sk);
		if ((S.sk_flags[sk] & SOCK_DONE) !== 0) flags |= TCPHDR_ACKS_FIN;
	}
	if ((S.sk_flags[sk] & SOCK_MPTCP) !== 0) flags |= mptcp_established_options(k, sk, flags);
	if ((S.inet_flags[sk] & ICSK_IPV6_MAPPED) !== 0 && skOverIpv6(S, sk)) {
		ipQueueXmitMapped(k, sk, flags, length);
		return SEGMENT_LOST;
	}
	const seq = (flags & TCPHDR_PROBE) === 0 ? S.snd_isn[sk] : 0;
	const ack = (flags & TCPHDR_ACK) !== 0 ? S.rcv_isn[sk] : 0;
	const over_ipv6 = skOverIpv6(S, sk);
	const oif = S.skc_bound_dev_if[sk];
	let dif: Ifindex;
	let local = true;
	let unsent = false;
	if (over_ipv6) {
		dif = ip6LocalDeliverIfindex(sk_net(k, sk), S.skc_v6_daddr, sk * 4, oif);
		const asks = dif === 0 && (flags & TCPHDR_SYN) === 0; // connect() has just looked up the route
		unsent = asks && inet_sk_rebuild_header(k, sk) < 0;
	} else {
		const net = sk_net(k, sk);
		({ dif, local, unsent } = ipSegmentRoute(net, S.skc_daddr[sk], oif));
		// A request takes the flags of its listener.
		const anysrc = inet_sk_flowi_flags(k, sk) !== 0 || S.skc_state[sk] === TCP_NEW_SYN_RECV;
		if (!anysrc && !ipSourceValid(net, S.skc_rcv_saddr[sk])) return SEGMENT_UNSENT;
		// __ip_queue_xmit: SO_DONTROUTE drops the route of connect(). Then a gateway is forbidden.
		const scoped = (S.sk_flags[sk] & SOCK_LOCALROUTE) !== 0 && (flags & TCPHDR_SYN) === 0;
		if (scoped && inet_sk_rebuild_header(k, sk) < 0) return SEGMENT_UNSENT;
		// The address was one of this host. A route whose hosts answer never leads to one.
		const own = oif === 0 && dif === 0 && (flags & TCPHDR_SYN) === 0;
		if (own && skRemoteAnswer(k, sk) === "blackhole") {
			const lo = ipDatagramDeliverIfindex(net, S.skc_daddr[sk], oif);
			if (lo !== 0) {
				pushSegment(k, sk, flags & ~TCPHDR_PROBE, lo, false, length, seq, ack);
				return SEGMENT_ARRIVES;
			}
		}
	}
	if (dif !== 0) {
		pushSegment(k, sk, flags & ~TCPHDR_PROBE, dif, local, length, seq, ack);
		return SEGMENT_ANSWERED;
	}
	if (unsent) return SEGMENT_UNSENT;
	// Another host receives the segment. The route says what this host answers.
	const answer = k.draws.remoteAnswer(sk, skRemoteAnswer(k, sk));
	if (answer === "blackhole" || answer === "unreachable") {
		// tcp_v6_err: connect() has the lock of the sock when the answer to its SYN arrives.
		const soft = answer === "unreachable" && S.skc_state[sk] === TCP_SYN_SENT;
		if (soft) S.sk_err_soft[sk] = ENETUNREACH;
		const once = TCPHDR_SYN | TCPHDR_FIN | TCPHDR_RST;
		if ((flags & once) !== 0 || !k.draws.remoteAcks(sk)) return SEGMENT_LOST;
		S.icsk_probes_out[sk] = 0;
		S.ts_recent_ms[sk] = k.timers.now;
		if (length > 0) S.snd_una.set(sk, S.snd_nxt.get(sk));
		return SEGMENT_ANSWERED;
	}
	if (length > 0) S.snd_una.set(sk, S.snd_nxt.get(sk));
	let reply = 0;
	if ((flags & TCPHDR_RST) !== 0) return SEGMENT_ANSWERED;
	if ((flags & TCPHDR_SYN) !== 0) {
		reply = answer === "accept" ? TCPHDR_SYN | TCPHDR_ACK : TCPHDR_RST | TCPHDR_ACK;
	} else if ((flags & TCPHDR_FIN) !== 0) {
		// The remote host closes at once when it receives a FIN.
		reply = TCPHDR_ACK | TCPHDR_ACKS_FIN;
		if ((flags & TCPHDR_ACKS_FIN) === 0) reply |= TCPHDR_FIN;
	} else if ((flags & TCPHDR_PROBE) !== 0) {
		reply = TCPHDR_ACK;
	}
	if (reply === 0) return SEGMENT_ANSWERED;
	pushSegment(k, sk, reply, oif, over_ipv6, 0, S.rcv_isn[sk] || newIsn(k, false), seq);
	const answered = k.loopback[k.loopback.length - 1];
	turnAround(answered);
	answered.acked = S.snd_nxt.get(sk);
	return SEGMENT_ANSWERED;
}

/**
 * ip_queue_xmit for an AF_INET6 socket whose icsk_af_ops are still ipv6_mapped, because it was
 * connected over IPv4 before (tcp_v6_connect, tcp_v6_syn_recv_sock). It sends over IPv4 from its
 * IPv4 address to LOOPBACK4_IPV6, or to its old peer. No answer reaches it, but the segment may
 * reach another socket.
 */
export function ipQueueXmitMapped(k: Stack, sk: Sk, flags: number, length: number): void {
	const S = k.sock;
	const net = sk_net(k, sk);
	const daddr = S.skc_daddr[sk];
	const oif = S.skc_bound_dev_if[sk];
	if (ip_route_output_flow(net, daddr, S.inet_saddr[sk], oif, inet_sk_flowi_flags(k, sk)) < 0)
		return;
	const { saddr } = net.fl4;
	const { dif, local } = ipSegmentRoute(net, daddr, oif);
	if (dif === 0) return;
	const ack = (flags & TCPHDR_ACK) !== 0 ? S.rcv_isn[sk] : 0;
	k.loopback.push({
		net,
		protocol: S.sk_protocol[sk],
		flags,
		saddr,
		daddr,
		v6: null,
		sport: S.inet_sport[sk],
		dport: S.skc_dport[sk],
		dif,
		local,
		length,
		seq: S.snd_isn[sk],
		ack,
		acked: S.rcv_nxt.get(sk),
		write_seq: S.snd_nxt.get(sk) + S.snd_held.get(sk),
		isn_from: S.write_seq[sk],
		tcp_tw_isn: false,
		service: 0,
	});
}

/** Puts a segment of a connection into k.loopback, over IPv4 or IPv6 as the connection runs. */
export function pushSegment(
	k: Stack,
	sk: Sk,
	flags: number,
	dif: Ifindex,
	local: boolean,
	length: number,
	seq: number,
	ack: number,
): void {
	const S = k.sock;
	const at = sk * 4;
	const v6 = skOverIpv6(S, sk)
		? { saddr: S.np_saddr.slice(at, at + 4), daddr: S.skc_v6_daddr.slice(at, at + 4) }
		: null;
	k.loopback.push({
		net: sk_net(k, sk),
		protocol: S.sk_protocol[sk],
		flags,
		saddr: S.skc_rcv_saddr[sk],
		daddr: S.skc_daddr[sk],
		v6,
		sport: S.inet_sport[sk],
		dport: S.skc_dport[sk],
		dif,
		local,
		length,
		seq,
		ack,
		acked: S.rcv_nxt.get(sk),
		write_seq: S.snd_nxt.get(sk) + S.snd_held.get(sk),
		isn_from: S.write_seq[sk],
		tcp_tw_isn: false,
		service: 0,
	});
}

/** Swaps source and destination of a segment. */
export function turnAround(skb: Segment): void {
	[skb.saddr, skb.daddr] = [skb.daddr, skb.saddr];
	[skb.sport, skb.dport] = [skb.dport, skb.sport];
	if (skb.v6 !== null) skb.v6 = { saddr: skb.v6.daddr, daddr: skb.v6.saddr };
}

/** The answer of the host outside this namespace that the socket connects to. */
export function skRemoteAnswer(k: Stack, sk: Sk): RouteAnswer {
	const S = k.sock;
	const oif = S.skc_bound_dev_if[sk];
	return skOverIpv6(S, sk)
		? ip6RemoteAnswer(sk_net(k, sk), S.skc_v6_daddr, sk * 4, oif)
		: ipRemoteAnswer(sk_net(k, sk), S.skc_daddr[sk], oif);
}

/** Most bytes of a segment over loopback before the peer has seen a long one: half of its window. */
const LOOPBACK_MSS = 32768;

/** Whether a segment that is not full has to wait: Nagle's algorithm as Minshall changed it. */
function tcp_nagle_check(k: Stack, sk: Sk, nonagle: number): boolean {
	const S = k.sock;
	const packets_out = S.snd_nxt.get(sk) > S.snd_una.get(sk);
	const minshall = S.snd_sml.get(sk) > S.snd_una.get(sk);
	return (nonagle & TCP_NAGLE_CORK) !== 0 || (nonagle === 0 && packets_out && minshall);
}

/** The next segment that tcpSendUnacked() sends has what TCP_CORK or Nagle's algorithm held. */
export function tcpTakeHeld(k: Stack, sk: Sk): void {
	const S = k.sock;
	const size = S.snd_held.get(sk);
	if (size === 0) return;
	S.snd_held.set(sk, 0);
	S.snd_nxt.add(sk, size);
	S.snd_sml.set(sk, S.snd_nxt.get(sk));
	S.snd_unacked.add(sk, size);
	S.snd_lost.add(sk, size);
}

/** Sends the FIN, and the data that has not arrived. Returns SEGMENT_*. */
export function tcpSendUnacked(k: Stack, sk: Sk): number {
	const S = k.sock;
	const closing = TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK;
	const fin = ((1 << S.skc_state[sk]) & closing) !== 0 ? TCPHDR_FIN : 0;
	if (fin !== 0) tcpTakeHeld(k, sk); // The FIN is the end of the last segment.
	const fate = tcp_transmit_skb(k, sk, fin | TCPHDR_ACK, S.snd_lost.get(sk));
	if (fate === SEGMENT_ARRIVES || fate === SEGMENT_ANSWERED) S.snd_lost.set(sk, 0);
	if (fate === SEGMENT_ANSWERED && S.snd_unacked.get(sk) > 0) tcpDataAcked(k, sk);
	return fate;
}

/** Starts the timer after a FIN or data was sent for the first time. */
export function tcpSent(k: Stack, sk: Sk, fate: number): void {
	if (fate === SEGMENT_UNSENT) tcp_check_probe_timer(k, sk);
	else tcp_event_new_data_sent(k, sk);
}

/**
 * tcp_write_xmit: sends what is in the write queue, and the data that was lost before it. The last
 * segment may have to wait if it is not full. A new segment that arrives makes the peer ask for the
 * missing ones at once.
 */
export function __tcp_push_pending_frames(k: Stack, sk: Sk, nonagle: number): void {
	const S = k.sock;
	const queued = S.snd_held.get(sk);
	if (queued === 0 || S.skc_state[sk] === TCP_CLOSE) return;
	const rest = queued % LOOPBACK_MSS;
	const waits = rest > 0 && (nonagle & TCP_NAGLE_PUSH) === 0 && tcp_nagle_check(k, sk, nonagle);
	const size = waits ? queued - rest : queued;
	S.snd_held.set(sk, queued - size);
	if (size === 0) {
		if (S.snd_nxt.get(sk) === S.snd_una.get(sk)) tcp_check_probe_timer(k, sk);
		return;
	}
	tcp_event_data_sent(k, sk);
	S.snd_nxt.add(sk, size);
	if (rest > 0 && !waits) S.snd_sml.set(sk, S.snd_nxt.get(sk));
	const unsent = S.snd_lost.get(sk) + size;
	const fate = tcp_transmit_skb(k, sk, TCPHDR_ACK, unsent);
	if (fate === SEGMENT_ANSWERED) {
		if (S.snd_unacked.get(sk) > 0) tcpDataAcked(k, sk);
		return;
	}
	S.snd_unacked.add(sk, size);
	S.snd_lost.set(sk, fate === SEGMENT_ARRIVES ? 0 : unsent);
	tcpSent(k, sk, fate);
}

/** Sends a SYN, a FIN or data that was not acknowledged. An error of the route becomes a soft error. */
export function tcp_retransmit_skb(k: Stack, sk: Sk): void {
	const S = k.sock;
	const err = inet_sk_rebuild_header(k, sk);
	if (err < 0) S.sk_err_soft[sk] = -err;
	else if (S.skc_state[sk] === TCP_SYN_SENT) tcpSendSyn(k, sk, 0);
	else tcpSendUnacked(k, sk);
}

/** Sends the FIN and arms the retransmission timer. */
export function tcp_send_fin(k: Stack, sk: Sk): void {
	tcpSent(k, sk, tcpSendUnacked(k, sk));
}

export function tcp_send_active_reset(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_RST | TCPHDR_ACK, 0);
}

/** Sends a SYN. `fastopen` is TCPHDR_FASTOPEN or 0. */
function tcpSendSyn(k: Stack, sk: Sk, fastopen: number): void {
	// mptcp_syn_options: request_mptcp is cleared by a fallback.
	const is_mptcp = (k.sock.sk_flags[sk] & SOCK_MPTCP) !== 0;
	const mptcp = is_mptcp && mptcpSubflowCtx(k, sk)?.fallback === false ? TCPHDR_MPTCP : 0;
	tcp_transmit_skb(k, sk, TCPHDR_SYN | mptcp | fastopen, 0);
}

/** Most bytes of a SYN: a fragment of pages, which the kernel may have used in part. */
const SYN_DATA_MAX = 32768;

/**
 * Sends a SYN of a fast open. With a cookie, or where none is needed, data goes with it. Without
 * one it asks for a cookie. The data reaches the peer with the ACK that follows the SYN-ACK, as
 * nothing comes in between.
 */
function tcp_send_syn_data(k: Stack, sk: Sk, fo: TcpFastopenRequest): void {
	const S = k.sock;
	S.syn_data[sk] = 0;
	if (tcp_fastopen_cookie_check(k, sk)) {
		const space = Math.min(fo.size, SYN_DATA_MAX);
		if (space === fo.size) fo.data = false;
		fo.copied = space;
		S.syn_data[sk] = space;
		if (tcp_fastopen_no_cookie(k, sk, TFO_CLIENT_NO_COOKIE)) {
			tcpSendSyn(k, sk, 0);
			return;
		}
	}
	tcpSendSyn(k, sk, TCPHDR_FASTOPEN);
}

/** The counts of a new connection. */
export function tcpInitCounts(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.snd_nxt.set(sk, 0);
	S.snd_una.set(sk, 0);
	S.snd_sml.set(sk, 0);
	S.snd_held.set(sk, 0);
	S.rcv_nxt.set(sk, 0);
	S.rcv_wup.set(sk, 0);
	// inet_csk_delack_init
	S.icsk_ack_pending[sk] = 0;
	S.icsk_ack_quick[sk] = 0;
	S.icsk_ack_ato[sk] = 0;
}

/**
 * Sends the first SYN and arms the retransmission timer. Clears what an earlier connection left.
 */
export function tcp_connect(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.sk_err[sk] = 0;
	S.sk_flags[sk] &= ~SOCK_DONE;
	S.icsk_rto[sk] = TCP_TIMEOUT_INIT;
	S.icsk_retransmits[sk] = 0;
	S.icsk_pending[sk] = ICSK_TIME_RETRANS;
	S.snd_unacked.set(sk, 0);
	S.snd_lost.set(sk, 0);
	tcpInitCounts(k, sk);
	S.retrans_stamp[sk] = Math.floor(k.timers.now);
	S.snd_isn[sk] = newIsn(k, S.write_seq[sk] !== 0);
	S.rcv_isn[sk] = 0;
	const fo = S.fastopen_req.size === 0 ? undefined : S.fastopen_req.get(sk);
	if (fo === undefined) tcpSendSyn(k, sk, 0);
	else tcp_send_syn_data(k, sk, fo);
	k.timers.mod_timer(icsk_retransmit_timer(sk), S.icsk_rto[sk]);
}

/**
 * Delays an acknowledgement: to the next tick, or by icsk_ack.ato after data has arrived. The round
 * trip time over loopback is short, so it is never more than TCP_DELACK_MIN.
 */
export function tcp_send_delayed_ack(k: Stack, sk: Sk): void {
	const S = k.sock;
	const timer = icsk_delack_timer(sk);
	const ato = Math.min(S.icsk_ack_ato[sk], TCP_DELACK_MIN);
	if ((S.icsk_ack_pending[sk] & ICSK_ACK_TIMER) !== 0) {
		const left = (k.timers.expiry(timer) ?? 0) - k.timers.now;
		if (left <= Math.floor(ato / JIFFY / 4) * JIFFY) {
			tcp_send_ack(k, sk);
			return;
		}
		S.icsk_ack_pending[sk] |= ICSK_ACK_SCHED;
		if (ato >= left) return;
	}
	S.icsk_ack_pending[sk] |= ICSK_ACK_SCHED | ICSK_ACK_TIMER;
	k.timers.mod_timer(timer, ato);
}

export function tcp_send_ack(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_ACK, 0);
}

/** Sends the SYN-ACK of a request again. */
export function tcp_rtx_synack(k: Stack, req: Sk): void {
	const mptcp = (k.sock.sk_flags[req] & SOCK_MPTCP) !== 0 ? TCPHDR_MPTCP : 0;
	tcp_transmit_skb(k, req, TCPHDR_SYN | TCPHDR_ACK | mptcp, 0);
}
