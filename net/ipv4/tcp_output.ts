// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/tcp_output.c: sends segments. A segment has flags, a length and sequence spaces instead
 * of sequence numbers. A segment to this namespace waits in k.loopback until tcp_v4_rcv receives
 * it.
 */

import type { Ifindex, Sk } from "../../include/linux/handle.js";
import { inet_sk_flowi_flags } from "../../include/net/inet_sock.js";
import { TCPHDR_MPTCP } from "../../include/net/mptcp.js";
import type { RouteAnswer } from "../../include/net/net_namespace.js";
import {
	ICSK_IPV6_MAPPED,
	SOCK_DONE,
	SOCK_MPTCP,
	type TcpFastopenRequest,
} from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	LOOPBACK_RTO,
	TCP_TIMEOUT_INIT,
	TCPHDR_ACK,
	TCPHDR_ACKS_FIN,
	TCPHDR_FASTOPEN,
	TCPHDR_FIN,
	TCPHDR_RST,
	TCPHDR_SYN,
	TFO_CLIENT_NO_COOKIE,
} from "../../include/net/tcp.js";
import { sk_net } from "../core/sock.js";
import { ip6LocalDeliverIfindex, ip6RemoteAnswer } from "../ipv6/route.js";
import { skOverIpv6 } from "./inet_hashtables.js";
import { ip_route_output_flow, ipRemoteAnswer, ipSegmentRoute } from "./route.js";
import { tcp_fastopen_cookie_check, tcp_fastopen_no_cookie } from "./tcp_fastopen.js";
import { icsk_delack_timer, icsk_retransmit_timer } from "./tcp_timer.js";

/**
 * A sequence space for one side of a new connection. Its numbers come from the clock
 * (secure_tcp_seq), which counts once in 64 ns. If `jumped` is true, they continue those of an
 * earlier connection.
 */
export function newIsn(k: Stack, jumped: boolean): number {
	k.last_isn += 2;
	return jumped ? k.last_isn + 1 : k.last_isn;
}

/** Sends a segment of a connection. A segment with ACK acknowledges everything that has arrived. */
export function tcp_transmit_skb(k: Stack, sk: Sk, flags: number, length: number): void {
	const S = k.sock;
	if ((flags & TCPHDR_ACK) !== 0) {
		k.timers.del_timer(icsk_delack_timer(sk));
		if ((S.sk_flags[sk] & SOCK_DONE) !== 0) flags |= TCPHDR_ACKS_FIN;
	}
	if ((S.inet_flags[sk] & ICSK_IPV6_MAPPED) !== 0 && skOverIpv6(S, sk)) {
		ipQueueXmitMapped(k, sk, flags, length);
		return;
	}
	const seq = S.snd_isn[sk];
	const ack = (flags & TCPHDR_ACK) !== 0 ? S.rcv_isn[sk] : 0;
	const over_ipv6 = skOverIpv6(S, sk);
	const oif = S.skc_bound_dev_if[sk];
	let dif: Ifindex;
	let local = true;
	if (over_ipv6) dif = ip6LocalDeliverIfindex(sk_net(k, sk), S.skc_v6_daddr, sk * 4, oif);
	else ({ dif, local } = ipSegmentRoute(sk_net(k, sk), S.skc_daddr[sk], oif));
	if (dif !== 0) {
		pushSegment(k, sk, flags, dif, local, length, seq, ack);
		return;
	}
	// Another host receives the segment. The route says what this host answers.
	const answer = k.draws.remoteAnswer(sk, skRemoteAnswer(k, sk));
	if (answer === "blackhole" || answer === "unreachable") return;
	let reply = 0;
	if ((flags & TCPHDR_RST) !== 0) return;
	if ((flags & TCPHDR_SYN) !== 0) {
		reply = answer === "accept" ? TCPHDR_SYN | TCPHDR_ACK : TCPHDR_RST | TCPHDR_ACK;
	} else if ((flags & TCPHDR_FIN) !== 0) {
		// The remote host closes at once when it receives a FIN.
		reply = TCPHDR_ACK | TCPHDR_ACKS_FIN;
		if ((flags & TCPHDR_ACKS_FIN) === 0) reply |= TCPHDR_FIN;
	}
	if (reply === 0) return;
	pushSegment(k, sk, reply, oif, over_ipv6, 0, S.rcv_isn[sk] || newIsn(k, false), seq);
	turnAround(k.loopback[k.loopback.length - 1]);
}

/**
 * ip_queue_xmit for an AF_INET6 socket whose icsk_af_ops are still ipv6_mapped, because it was
 * connected over IPv4 before (tcp_v6_connect, tcp_v6_syn_recv_sock). It sends over IPv4 from its
 * IPv4 address to LOOPBACK4_IPV6, or to its old peer. No answer reaches it, but the segment may
 * reach another socket.
 */
function ipQueueXmitMapped(k: Stack, sk: Sk, flags: number, length: number): void {
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
		isn_from: S.write_seq[sk],
		tcp_tw_isn: false,
	});
}

/** Puts a segment of a connection into k.loopback, over IPv4 or IPv6 as the connection runs. */
function pushSegment(
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
		isn_from: S.write_seq[sk],
		tcp_tw_isn: false,
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

/** Sends the SYN-ACK of a request again. */
export function tcp_rtx_synack(k: Stack, req: Sk): void {
	const mptcp = (k.sock.sk_flags[req] & SOCK_MPTCP) !== 0 ? TCPHDR_MPTCP : 0;
	tcp_transmit_skb(k, req, TCPHDR_SYN | TCPHDR_ACK | mptcp, 0);
}

export function tcpSendSyn(k: Stack, sk: Sk): void {
	const mptcp = (k.sock.sk_flags[sk] & SOCK_MPTCP) !== 0 ? TCPHDR_MPTCP : 0;
	tcp_transmit_skb(k, sk, TCPHDR_SYN | mptcp, 0);
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
			tcpSendSyn(k, sk);
			return;
		}
	}
	tcp_transmit_skb(k, sk, TCPHDR_SYN | TCPHDR_FASTOPEN, 0);
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
	S.retrans_stamp[sk] = Math.floor(k.timers.now);
	S.snd_isn[sk] = newIsn(k, S.write_seq[sk] !== 0);
	S.rcv_isn[sk] = 0;
	const fo = S.fastopen_req.size === 0 ? undefined : S.fastopen_req.get(sk);
	if (fo === undefined) tcpSendSyn(k, sk);
	else tcp_send_syn_data(k, sk, fo);
	k.timers.mod_timer(icsk_retransmit_timer(sk), S.icsk_rto[sk]);
}

export function tcp_send_ack(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_ACK, 0);
}

/** Sends the FIN and arms the retransmission timer. */
export function tcp_send_fin(k: Stack, sk: Sk): void {
	k.sock.icsk_retransmits[sk] = 0;
	k.sock.icsk_rto[sk] = LOOPBACK_RTO;
	tcpRetransmitFin(k, sk);
	k.timers.mod_timer(icsk_retransmit_timer(sk), LOOPBACK_RTO);
}

export function tcpRetransmitFin(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_FIN | TCPHDR_ACK, 0);
}

export function tcp_send_active_reset(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_RST | TCPHDR_ACK, 0);
}

/** Delays an acknowledgement: to the next tick, or by icsk_ack.ato after data has arrived. */
export function tcp_send_delayed_ack(k: Stack, sk: Sk): void {
	k.timers.mod_timer(icsk_delack_timer(sk), k.sock.icsk_ack_ato[sk]);
}
