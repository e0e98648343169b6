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
	TCPHDR_CHALLENGE,
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
import { tcp_set_state } from "./tcp.js";
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

/** A RST in answer to a segment that nobody wants. */
function tcp_v4_send_reset(
	k: Stack,
	net: Net,
	flags: number,
	saddr: number,
	sport: number,
	daddr: number,
	dport: number,
	oif: number,
): void {
	if ((flags & TCPHDR_RST) !== 0) return;
	const dif = ip_local_deliver_ifindex(net, saddr, oif);
	if (dif === 0) return;
	k.loopback.push(net.id, TCPHDR_RST | TCPHDR_ACK, daddr, dport, saddr, sport, dif, 0);
}

/** A SYN at a listener: answered at once, unless the accept queue is full (tcp_conn_request). */
function tcp_v4_conn_request(
	k: Stack,
	net: Net,
	sk: number,
	saddr: number,
	sport: number,
	daddr: number,
	dport: number,
): void {
	if (sk_acceptq_is_full(k, sk)) return;
	// The request itself is not kept: over loopback its last segment comes at once.
	const dif = ip_local_deliver_ifindex(net, saddr, k.sock.skc_bound_dev_if[sk]);
	if (dif === 0) return;
	k.loopback.push(net.id, TCPHDR_SYN | TCPHDR_ACK, daddr, dport, saddr, sport, dif, 0);
}

/** The last segment of a handshake: a child that shares the listener's port. */
function tcp_v4_syn_recv_sock(
	k: Stack,
	sk: number,
	saddr: number,
	sport: number,
	daddr: number,
	dport: number,
): void {
	if (sk_acceptq_is_full(k, sk)) return;
	const newsk = inet_csk_clone_lock(k, sk, saddr, sport, daddr);
	k.sock.skc_num[newsk] = dport;
	if (__inet_inherit_port(k, sk, newsk) < 0) {
		throw new Error(`listener ${sk} has no bind bucket`);
	}
	inet_ehash_replace_request(k, newsk);
	tcp_set_state(k, newsk, TCP_ESTABLISHED);
	tcp_store_ts_recent(k, newsk);
	inet_csk_reqsk_queue_add(k, sk, newsk);
}

/** A segment for a listener; true if it is to be answered with a RST. */
function tcp_v4_listen_rcv(
	k: Stack,
	net: Net,
	sk: number,
	flags: number,
	saddr: number,
	sport: number,
	daddr: number,
	dport: number,
): boolean {
	if ((flags & TCPHDR_RST) !== 0) return false;
	if ((flags & TCPHDR_ACK) !== 0) {
		if ((flags & TCPHDR_HANDSHAKE) === 0) return true;
		tcp_v4_syn_recv_sock(k, sk, saddr, sport, daddr, dport);
		return false;
	}
	if ((flags & TCPHDR_SYN) !== 0) tcp_v4_conn_request(k, net, sk, saddr, sport, daddr, dport);
	return false;
}

/** One segment from k.loopback. */
function tcp_v4_rcv(k: Stack): void {
	const Q = k.loopback;
	const net = k.nets[Q.shift() - 1];
	const flags = Q.shift();
	const saddr = Q.shift();
	const sport = Q.shift();
	const daddr = Q.shift();
	const dport = Q.shift();
	const dif = Q.shift();
	const length = Q.shift();

	let sk = __inet_lookup_established(k, net, saddr, sport, daddr, dport, dif, 0);
	if (sk === 0) sk = __inet_lookup_listener(k, net, saddr, sport, daddr, dport, dif, 0);
	if (sk !== 0 && k.sock.skc_state[sk] === TCP_TIME_WAIT) {
		const tw = sk;
		switch (tcp_timewait_state_process(k, tw, flags, length)) {
			case TCP_TW_SYN:
				sk = __inet_lookup_listener(k, net, saddr, sport, daddr, dport, dif, 0);
				if (sk !== 0) {
					inet_twsk_deschedule_put(k, tw);
					break;
				}
				tcp_v4_timewait_ack(k, net, TCPHDR_CHALLENGE, saddr, sport, daddr, dport);
				return;
			case TCP_TW_ACK:
				tcp_v4_timewait_ack(k, net, 0, saddr, sport, daddr, dport);
				return;
			case TCP_TW_RST:
				tcp_v4_send_reset(k, net, flags, saddr, sport, daddr, dport, 0);
				inet_twsk_deschedule_put(k, tw);
				return;
			default:
				return;
		}
	}
	let reset = true;
	if (sk !== 0) {
		reset =
			k.sock.skc_state[sk] === TCP_LISTEN
				? tcp_v4_listen_rcv(k, net, sk, flags, saddr, sport, daddr, dport)
				: tcp_rcv_state_process(k, sk, flags, length);
	}
	if (reset) tcp_v4_send_reset(k, net, flags, saddr, sport, daddr, dport, 0);
}

function tcp_v4_timewait_ack(
	k: Stack,
	net: Net,
	flags: number,
	saddr: number,
	sport: number,
	daddr: number,
	dport: number,
): void {
	const dif = ip_local_deliver_ifindex(net, saddr, 0);
	if (dif === 0) return;
	k.loopback.push(net.id, TCPHDR_ACK | TCPHDR_ACKS_FIN | flags, daddr, dport, saddr, sport, dif, 0);
}

/** Delivers every segment in flight, and those that they cause. */
export function tcp_v4_rcv_all(k: Stack): void {
	while (!k.loopback.empty) tcp_v4_rcv(k);
}

/** Last steps before a sock is freed. */
export function tcp_v4_destroy_sock(k: Stack, sk: number): void {
	tcp_clear_xmit_timers(k, sk);
	if (k.sock.icsk_bind_hash[sk] !== 0) inet_put_port(k, sk);
}
