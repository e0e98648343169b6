// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/tcp_output.c: segments. They carry flags, a length, and whose sequence numbers
 * they use; a segment to an address of the same namespace waits in k.loopback until tcp_v4_rcv takes it.
 */
import { SOCK_DONE } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
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
import { ip_local_deliver_ifindex, ip_remote_answer } from "./route.js";
import { icsk_delack_timer, icsk_retransmit_timer } from "./tcp_timer.js";

/** Sends a segment of a connection. Every segment with ACK acknowledges what has arrived. */
export function tcp_transmit_skb(k: Stack, sk: number, flags: number, length: number): void {
	const S = k.sock;
	const net = sk_net(k, sk);
	const daddr = S.skc_daddr[sk];
	if ((flags & TCPHDR_ACK) !== 0) {
		k.timers.del_timer(icsk_delack_timer(sk));
		if ((S.sk_flags[sk] & SOCK_DONE) !== 0) flags |= TCPHDR_ACKS_FIN;
	}
	const oif = S.skc_bound_dev_if[sk];
	const dif = ip_local_deliver_ifindex(net, daddr, oif);
	const saddr = S.skc_rcv_saddr[sk];
	const sport = S.inet_sport[sk];
	const dport = S.skc_dport[sk];
	if (dif !== 0) {
		const ack = (flags & TCPHDR_ACK) !== 0 ? S.rcv_isn[sk] : 0;
		const seq = S.snd_isn[sk];
		k.loopback.push(net.id, flags, saddr, sport, daddr, dport, dif, length, seq, ack);
		return;
	}
	// Beyond the namespace: the answer of a host that is not modelled, as its route says.
	const answer = k.observer?.remote_answer(sk) ?? ip_remote_answer(net, daddr, oif);
	if (answer === "blackhole") return;
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
	const seq = S.rcv_isn[sk] || ++k.last_isn;
	k.loopback.push(net.id, reply, daddr, dport, saddr, sport, oif, 0, seq, S.snd_isn[sk]);
}

export function tcp_send_syn(k: Stack, sk: number): void {
	tcp_transmit_skb(k, sk, TCPHDR_SYN, 0);
}

/** Sends the first SYN and arms the timer that sends it again; what an earlier try left is forgotten. */
export function tcp_connect(k: Stack, sk: number): void {
	const S = k.sock;
	S.sk_err[sk] = 0;
	S.sk_flags[sk] &= ~SOCK_DONE;
	S.icsk_retransmits[sk] = 0;
	S.snd_isn[sk] = ++k.last_isn;
	S.rcv_isn[sk] = 0;
	tcp_send_syn(k, sk);
	k.timers.mod_timer(icsk_retransmit_timer(sk), TCP_TIMEOUT_INIT);
}

export function tcp_send_ack(k: Stack, sk: number): void {
	tcp_transmit_skb(k, sk, TCPHDR_ACK, 0);
}

/** Sends the FIN and arms the timer that sends it again. */
export function tcp_send_fin(k: Stack, sk: number): void {
	k.sock.icsk_retransmits[sk] = 0;
	tcp_retransmit_fin(k, sk);
	k.timers.mod_timer(icsk_retransmit_timer(sk), LOOPBACK_RTO);
}

export function tcp_retransmit_fin(k: Stack, sk: number): void {
	tcp_transmit_skb(k, sk, TCPHDR_FIN | TCPHDR_ACK, 0);
}

export function tcp_send_active_reset(k: Stack, sk: number): void {
	tcp_transmit_skb(k, sk, TCPHDR_RST | TCPHDR_ACK, 0);
}

/** An acknowledgement later: at the next tick, or after icsk_ack.ato once data has arrived. */
export function tcp_send_delayed_ack(k: Stack, sk: number): void {
	k.timers.mod_timer(icsk_delack_timer(sk), k.sock.icsk_ack_ato[sk]);
}
