// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/tcp_output.c: segments. They carry flags, a length, and whose sequence numbers
 * they use; a segment to an address of the same namespace waits in k.loopback until tcp_v4_rcv takes it.
 */

import type { Ifindex, Sk } from "../../include/linux/handle.js";
import { inet_sk_flowi_flags } from "../../include/net/inet_sock.js";
import { TCPHDR_MPTCP } from "../../include/net/mptcp.js";
import type { RouteAnswer } from "../../include/net/net_namespace.js";
import { ICSK_IPV6_MAPPED, SOCK_DONE, SOCK_MPTCP } from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	LOOPBACK_RTO,
	TCP_TIMEOUT_INIT,
	TCPHDR_ACK,
	TCPHDR_ACKS_FIN,
	TCPHDR_FIN,
	TCPHDR_RST,
	TCPHDR_SYN,
} from "../../include/net/tcp.js";
import { sk_net } from "../core/sock.js";
import { ip6LocalDeliverIfindex, ip6RemoteAnswer } from "../ipv6/route.js";
import { skOverIpv6 } from "./inet_hashtables.js";
import { ip_route_output_flow, ipRemoteAnswer, ipSegmentRoute } from "./route.js";
import { icsk_delack_timer, icsk_retransmit_timer } from "./tcp_timer.js";

/**
 * Numbers for one side of a new connection: from the clock (secure_tcp_seq), which runs on
 * by one in 64 ns, or `jumped`: a little further than an earlier connection's.
 */
export function newIsn(k: Stack, jumped: boolean): number {
	k.last_isn += 2;
	return jumped ? k.last_isn + 1 : k.last_isn;
}

/** Sends a segment of a connection. Every segment with ACK acknowledges what has arrived. */
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
	// Beyond the namespace: the answer of a host that is not modelled, as its route says.
	const answer = k.draws.remoteAnswer(sk, skRemoteAnswer(k, sk));
	if (answer === "blackhole" || answer === "unreachable") return;
	let reply = 0;
	if ((flags & TCPHDR_RST) !== 0) return;
	if ((flags & TCPHDR_SYN) !== 0) {
		reply = answer === "accept" ? TCPHDR_SYN | TCPHDR_ACK : TCPHDR_RST | TCPHDR_ACK;
	} else if ((flags & TCPHDR_FIN) !== 0) {
		// The remote host closes as soon as it is told to.
		reply = TCPHDR_ACK | TCPHDR_ACKS_FIN;
		if ((flags & TCPHDR_ACKS_FIN) === 0) reply |= TCPHDR_FIN;
	}
	if (reply === 0) return;
	pushSegment(k, sk, reply, oif, over_ipv6, 0, S.rcv_isn[sk] || newIsn(k, false), seq);
	turnAround(k.loopback[k.loopback.length - 1]);
}

/**
 * A socket that once was on IPv4 and never lost icsk_af_ops for it (tcp_v6_connect,
 * tcp_v6_syn_recv_sock) sends over IPv4 from what it now is there to LOOPBACK4_IPV6, or to
 * its old peer: ip_queue_xmit. No answer finds it, but others may hear.
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

/** A segment of the socket's connection on its way, over the protocol that it runs over. */
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

/** Makes a segment one that comes back. */
export function turnAround(skb: Segment): void {
	[skb.saddr, skb.daddr] = [skb.daddr, skb.saddr];
	[skb.sport, skb.dport] = [skb.dport, skb.sport];
	if (skb.v6 !== null) skb.v6 = { saddr: skb.v6.daddr, daddr: skb.v6.saddr };
}

/** What answers the socket from beyond the namespace. */
export function skRemoteAnswer(k: Stack, sk: Sk): RouteAnswer {
	const S = k.sock;
	const oif = S.skc_bound_dev_if[sk];
	return skOverIpv6(S, sk)
		? ip6RemoteAnswer(sk_net(k, sk), S.skc_v6_daddr, sk * 4, oif)
		: ipRemoteAnswer(sk_net(k, sk), S.skc_daddr[sk], oif);
}

/** Sends a request's SYN-ACK once more. */
export function tcp_rtx_synack(k: Stack, req: Sk): void {
	const mptcp = (k.sock.sk_flags[req] & SOCK_MPTCP) !== 0 ? TCPHDR_MPTCP : 0;
	tcp_transmit_skb(k, req, TCPHDR_SYN | TCPHDR_ACK | mptcp, 0);
}

export function tcpSendSyn(k: Stack, sk: Sk): void {
	const mptcp = (k.sock.sk_flags[sk] & SOCK_MPTCP) !== 0 ? TCPHDR_MPTCP : 0;
	tcp_transmit_skb(k, sk, TCPHDR_SYN | mptcp, 0);
}

/** Sends the first SYN and arms the timer that sends it again; what an earlier try left is forgotten. */
export function tcp_connect(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.sk_err[sk] = 0;
	S.sk_flags[sk] &= ~SOCK_DONE;
	S.icsk_retransmits[sk] = 0;
	S.snd_isn[sk] = newIsn(k, S.write_seq[sk] !== 0);
	S.rcv_isn[sk] = 0;
	tcpSendSyn(k, sk);
	k.timers.mod_timer(icsk_retransmit_timer(sk), TCP_TIMEOUT_INIT);
}

export function tcp_send_ack(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_ACK, 0);
}

/** Sends the FIN and arms the timer that sends it again. */
export function tcp_send_fin(k: Stack, sk: Sk): void {
	k.sock.icsk_retransmits[sk] = 0;
	tcpRetransmitFin(k, sk);
	k.timers.mod_timer(icsk_retransmit_timer(sk), LOOPBACK_RTO);
}

export function tcpRetransmitFin(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_FIN | TCPHDR_ACK, 0);
}

export function tcp_send_active_reset(k: Stack, sk: Sk): void {
	tcp_transmit_skb(k, sk, TCPHDR_RST | TCPHDR_ACK, 0);
}

/** An acknowledgement later: at the next tick, or after icsk_ack.ato once data has arrived. */
export function tcp_send_delayed_ack(k: Stack, sk: Sk): void {
	k.timers.mod_timer(icsk_delack_timer(sk), k.sock.icsk_ack_ato[sk]);
}
