// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/tcp_ipv4.c: connect(), the reuse of time-wait sockets, and the way of a segment to its socket. */
import { ipv4_is_loopback } from "../../include/linux/in.js";
import { AF_INET, SIZEOF_SOCKADDR_IN } from "../../include/linux/socket.js";
import {
	LOOPBACK_IFINDEX,
	type Net,
	RTN_BROADCAST,
	RTN_MULTICAST,
} from "../../include/net/net_namespace.js";
import type { Stack } from "../../include/net/stack.js";
import {
	TCPHDR_ACK,
	TCPHDR_ACKS_FIN,
	TCPHDR_HANDSHAKE,
	TCPHDR_RST,
	TCPHDR_SYN,
} from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT2,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
} from "../../include/net/tcp_states.js";
import { EAFNOSUPPORT, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { sk_net } from "../core/sock.js";
import {
	inet_csk_clone_lock,
	inet_csk_reqsk_queue_add,
	sk_acceptq_is_full,
} from "./inet_connection_sock.js";
import {
	__inet_inherit_port,
	__inet_lookup_established,
	__inet_lookup_listener,
	inet_bhash2_reset_saddr,
	inet_bhash2_update_saddr,
	inet_ehash_replace_request,
	inet_hash_connect,
	inet_put_port,
} from "./inet_hashtables.js";
import { inet_twsk_deschedule_put } from "./inet_timewait_sock.js";
import { flow, ip_local_deliver_ifindex, ip_route_connect } from "./route.js";
import { tcp_set_state, tcp_shutdown } from "./tcp.js";
import { tcp_rcv_state_process, tcp_store_ts_recent } from "./tcp_input.js";
import { TCP_TW_ACK, TCP_TW_RST, TCP_TW_SYN, tcp_timewait_state_process } from "./tcp_minisocks.js";
import { tcp_connect } from "./tcp_output.js";
import { tcp_clear_xmit_timers } from "./tcp_timer.js";

/**
 * Whether a time-wait socket gives its four-tuple to a new connection: always where the
 * port was bound before (`bound`), else as tcp_tw_reuse says and only once the second has
 * changed since its last segment.
 */
export function tcp_twsk_unique(
	k: Stack,
	sk: number,
	sktw: number,
	lport: number,
	bound: boolean,
): boolean {
	const S = k.sock;
	let reuse = sk_net(k, sk).ipv4.sysctl_tcp_tw_reuse;
	if (k.changes.has("tw-fin-wait2-not-reused") && S.tw_substate[sktw] === TCP_FIN_WAIT2) {
		reuse = 0;
	}
	if (reuse === 2) {
		const loopback =
			S.skc_bound_dev_if[sktw] === LOOPBACK_IFINDEX ||
			ipv4_is_loopback(S.skc_daddr[sktw]) ||
			ipv4_is_loopback(S.skc_rcv_saddr[sktw]);
		if (!loopback) reuse = 0;
	}
	if (S.ts_recent_stamp[sktw] === 0) return false;
	if (bound) return true;
	if (reuse === 0) return false;
	if (k.observer !== null && k.timers.now - S.ts_recent_ms[sktw] < 1000) {
		return k.observer.second_ticked(sk, lport);
	}
	return Math.floor(k.timers.now / 1000) > S.ts_recent_stamp[sktw];
}

/**
 * connect(): finds the route and with it the source address, then the local port, then
 * sends a SYN. `addr` and `port` are the destination. Returns 0 or a negative errno; on an
 * error after the port was chosen, the port is given up unless bind() named it.
 */
export function tcp_v4_connect(
	k: Stack,
	sk: number,
	family: number,
	addr: number,
	port: number,
	addr_len: number,
): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
	if (family !== AF_INET) return -EAFNOSUPPORT;

	let err = ip_route_connect(net, addr, S.inet_saddr[sk], S.skc_bound_dev_if[sk]);
	if (err < 0) return err;
	if (flow.type === RTN_MULTICAST || flow.type === RTN_BROADCAST) return -ENETUNREACH;

	if (S.inet_saddr[sk] === 0) inet_bhash2_update_saddr(k, sk, flow.saddr);
	else S.skc_rcv_saddr[sk] = S.inet_saddr[sk];
	S.skc_dport[sk] = port;
	S.skc_daddr[sk] = flow.daddr;

	// The source port may still be unknown: the state changes first, so that the search
	// finds a socket that is connecting.
	tcp_set_state(k, sk, TCP_SYN_SENT);
	err = inet_hash_connect(k, sk);
	if (err !== 0) {
		tcp_set_state(k, sk, TCP_CLOSE);
		inet_bhash2_reset_saddr(k, sk);
		S.skc_dport[sk] = 0;
		return err;
	}
	tcp_connect(k, sk);
	return 0;
}

/** A RST in answer to a segment that nobody wants, in the sequence space that it acknowledged. */
function tcp_v4_send_reset(k: Stack, skb: Segment): void {
	if ((skb.flags & TCPHDR_RST) !== 0) return;
	const dif = ip_local_deliver_ifindex(skb.net, skb.saddr, 0);
	if (dif !== 0) reply(k, skb, TCPHDR_RST | TCPHDR_ACK, dif, skb.ack);
}

/** Sends a segment back to where one came from. */
function reply(k: Stack, skb: Segment, flags: number, dif: number, seq: number): void {
	const { net, saddr, sport, daddr, dport } = skb;
	k.loopback.push(net.id, flags, daddr, dport, saddr, sport, dif, 0, seq, skb.seq);
}

/** A SYN at a listener: answered at once, unless the accept queue is full (tcp_conn_request). */
function tcp_v4_conn_request(k: Stack, sk: number, skb: Segment): void {
	if (sk_acceptq_is_full(k, sk)) return;
	// The request itself is not kept: over loopback its last segment comes at once.
	const dif = ip_local_deliver_ifindex(skb.net, skb.saddr, k.sock.skc_bound_dev_if[sk]);
	if (dif !== 0) reply(k, skb, TCPHDR_SYN | TCPHDR_ACK, dif, ++k.last_isn);
}

/** The last segment of a handshake: a child that shares the listener's port. */
function tcp_v4_syn_recv_sock(k: Stack, sk: number, skb: Segment): void {
	if (sk_acceptq_is_full(k, sk)) return;
	const newsk = inet_csk_clone_lock(k, sk, skb.saddr, skb.sport, skb.daddr);
	const S = k.sock;
	S.skc_num[newsk] = skb.dport;
	S.snd_isn[newsk] = skb.ack;
	S.rcv_isn[newsk] = skb.seq;
	if (__inet_inherit_port(k, sk, newsk) < 0) {
		throw new Error(`listener ${sk} has no bind bucket`);
	}
	inet_ehash_replace_request(k, newsk);
	tcp_set_state(k, newsk, TCP_ESTABLISHED);
	tcp_store_ts_recent(k, newsk);
	inet_csk_reqsk_queue_add(k, sk, newsk);
	// A shutdown() before listen() said ENOTCONN, but it sticks and is inherited.
	if (k.changes.has("syn-recv-shutdown-deferred")) tcp_shutdown(k, newsk, S.sk_shutdown[newsk]);
}

/** A segment for a listener; true if it is to be answered with a RST. */
function tcp_v4_listen_rcv(k: Stack, sk: number, skb: Segment): boolean {
	if ((skb.flags & TCPHDR_RST) !== 0) return false;
	if ((skb.flags & TCPHDR_ACK) !== 0) {
		if ((skb.flags & TCPHDR_HANDSHAKE) === 0) return true;
		tcp_v4_syn_recv_sock(k, sk, skb);
		return false;
	}
	if ((skb.flags & TCPHDR_SYN) !== 0) tcp_v4_conn_request(k, sk, skb);
	return false;
}

/** A segment off k.loopback. */
interface Segment {
	net: Net;
	flags: number;
	saddr: number;
	sport: number;
	daddr: number;
	dport: number;
	dif: number;
	length: number;
	seq: number;
	ack: number;
}

function __inet_lookup_skb(k: Stack, skb: Segment): number {
	const { net, saddr, sport, daddr, dport, dif } = skb;
	const sk = __inet_lookup_established(k, net, saddr, sport, daddr, dport, dif, 0);
	return sk !== 0 ? sk : inet_lookup_listener(k, skb);
}

function inet_lookup_listener(k: Stack, skb: Segment): number {
	const { net, saddr, sport, daddr, dport, dif } = skb;
	return __inet_lookup_listener(k, net, saddr, sport, daddr, dport, dif, 0);
}

/** A segment for a time-wait socket; the listener that takes its SYN instead, 0 if it is dealt with. */
function tcp_v4_time_wait(k: Stack, tw: number, skb: Segment): number {
	const S = k.sock;
	const seq = S.snd_isn[tw];
	const ack = TCPHDR_ACK | TCPHDR_ACKS_FIN;
	const dif = ip_local_deliver_ifindex(skb.net, skb.saddr, 0);
	const action = tcp_timewait_state_process(k, tw, skb.flags, skb.length, skb.seq);
	if (action === TCP_TW_SYN) {
		const listener = inet_lookup_listener(k, skb);
		if (listener !== 0) {
			inet_twsk_deschedule_put(k, tw);
			return listener;
		}
	}
	if (action === TCP_TW_SYN || action === TCP_TW_ACK) {
		// In the old connection's numbers: a SYN finds that it met something else.
		const { net, saddr, sport, daddr, dport } = skb;
		const old = S.rcv_isn[tw];
		if (dif !== 0) k.loopback.push(net.id, ack, daddr, dport, saddr, sport, dif, 0, seq, old);
	} else if (action === TCP_TW_RST) {
		tcp_v4_send_reset(k, skb);
		inet_twsk_deschedule_put(k, tw);
	}
	return 0;
}

/** One segment: to its connection, else to its listener, else a RST back. */
function tcp_v4_rcv(k: Stack, skb: Segment): void {
	let sk = __inet_lookup_skb(k, skb);
	if (sk !== 0 && k.sock.skc_state[sk] === TCP_TIME_WAIT) {
		sk = tcp_v4_time_wait(k, sk, skb);
		if (sk === 0) return;
	}
	let reset = true;
	if (sk !== 0) {
		reset =
			k.sock.skc_state[sk] === TCP_LISTEN
				? tcp_v4_listen_rcv(k, sk, skb)
				: tcp_rcv_state_process(k, sk, skb.flags, skb.length, skb.seq, skb.ack);
	}
	if (reset) tcp_v4_send_reset(k, skb);
}

/** Delivers every segment in flight, and those that they cause. */
export function tcp_v4_rcv_all(k: Stack): void {
	const Q = k.loopback;
	while (!Q.empty) {
		tcp_v4_rcv(k, {
			net: k.nets[Q.shift() - 1],
			flags: Q.shift(),
			saddr: Q.shift(),
			sport: Q.shift(),
			daddr: Q.shift(),
			dport: Q.shift(),
			dif: Q.shift(),
			length: Q.shift(),
			seq: Q.shift(),
			ack: Q.shift(),
		});
	}
}

/** Last steps before a sock is freed. */
export function tcp_v4_destroy_sock(k: Stack, sk: number): void {
	tcp_clear_xmit_timers(k, sk);
	if (k.sock.icsk_bind_hash[sk] !== 0) inet_put_port(k, sk);
}
