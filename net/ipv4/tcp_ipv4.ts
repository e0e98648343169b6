// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/tcp_ipv4.c: connect(), the reuse of time-wait sockets, and the delivery of segments. */
import type { Ifindex, Port, Sk } from "../../include/linux/handle.js";
import { ipv4_is_loopback } from "../../include/linux/in.js";
import {
	AF_INET,
	AF_INET6,
	SIZEOF_SOCKADDR_IN,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { sk_daddr_set, sk_rcv_saddr_set } from "../../include/net/inet_hashtables.js";
import { inet_sk_flowi_flags, ip_sock_rt_scope } from "../../include/net/inet_sock.js";
import { rt6_need_strict } from "../../include/net/ip6_route.js";
import {
	IPV6_ADDR_LINKLOCAL,
	ipv6_addr_copy,
	ipv6_addr_loopback,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
} from "../../include/net/ipv6.js";
import {
	LOOPBACK_IFINDEX,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
} from "../../include/net/net_namespace.js";
import { reqsk_free } from "../../include/net/request_sock.js";
import {
	ICSK_IPV6_MAPPED,
	PROT_TCP,
	type Proto,
	sk_acceptq_is_full,
	sk_net,
} from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	TCPHDR_ACK,
	TCPHDR_ACKS_FIN,
	TCPHDR_RST,
	TCPHDR_SYN,
	tcp_clear_xmit_timers,
} from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_FIN_WAIT2,
	TCP_LISTEN,
	TCP_NEW_SYN_RECV,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
} from "../../include/net/tcp_states.js";
import { EAFNOSUPPORT, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { NotModelled } from "../core/sock.js";
import { inet6_sdif, ip6LocalDeliverIfindex } from "../ipv6/route.js";
import {
	__inet6_lookup_skb,
	inet6LookupListenerSkb,
	tcp_v6_init_req,
	tcp_v6_syn_recv_sock,
} from "../ipv6/tcp_ipv6.js";
import { l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import { subflow_ulp_clone } from "../mptcp/subflow.js";
import { __ip_dev_find } from "./devinet.js";
import {
	inet_csk_clone_lock,
	inet_csk_get_port,
	inet_csk_reqsk_queue_add,
	inet_csk_reqsk_queue_drop,
	inet_request_bound_dev_if,
} from "./inet_connection_sock.js";
import {
	__inet_inherit_port,
	__inet_lookup_established,
	__inet_lookup_listener,
	inet_bhash2_reset_saddr,
	inet_bhash2_update_saddr,
	inet_ehash_nolisten,
	inet_hash,
	inet_hash_connect,
	inet_put_port,
	inet_unhash,
	skOverIpv6,
} from "./inet_hashtables.js";
import { inet_twsk_deschedule_put } from "./inet_timewait_sock.js";
import { ip_route_connect, ipSegmentRoute } from "./route.js";
import { cookie_v4_check, SYN_COOKIE } from "./syncookies.js";
import {
	tcp_close,
	tcp_disconnect,
	tcp_free_fastopen_req,
	tcp_init_sock,
	tcp_recvmsg,
	tcp_sendmsg,
	tcp_set_state,
	tcp_shutdown,
} from "./tcp.js";
import { tcp_fastopen_defer_connect } from "./tcp_fastopen.js";
import { tcp_conn_request, tcp_rcv_state_process } from "./tcp_input.js";
import {
	OBSERVED_WITHIN,
	TCP_TW_ACK,
	TCP_TW_RST,
	TCP_TW_SYN,
	tcp_check_req,
	tcp_child_process,
	tcp_timewait_state_process,
} from "./tcp_minisocks.js";
import { SEGMENT_LOST, tcp_connect, tcpSent, turnAround } from "./tcp_output.js";
import { tcp_set_keepalive, tcpStartKeepalive } from "./tcp_timer.js";

/**
 * Whether a new connection may replace the time-wait socket `sktw`. If `twp` is false (the socket
 * had its port before connect()), it always may. If `twp` is true (the search tries the port), it
 * may if tcp_tw_reuse allows it and the second of the clock changed since the last segment (or
 * tcp_tw_reuse_delay has passed). In both cases sktw must have a time stamp.
 */
export function tcp_twsk_unique(
	k: Stack,
	sk: Sk,
	sktw: number,
	lport: Port,
	twp: boolean,
): boolean {
	const S = k.sock;
	let reuse = sk_net(k, sk).ipv4.sysctl_tcp_tw_reuse;
	// since 6.12, 0d9e5df4a257
	if (k.changes.has("tw-fin-wait2-not-reused") && S.tw_substate[sktw] === TCP_FIN_WAIT2) {
		reuse = 0;
	}
	if (reuse === 2) {
		let loopback = S.skc_bound_dev_if[sktw] === LOOPBACK_IFINDEX;
		if (S.skc_family[sktw] === AF_INET6) {
			loopback ||= ipv6Loopback(S.skc_v6_daddr, sktw * 4);
			loopback ||= ipv6Loopback(S.skc_v6_rcv_saddr, sktw * 4);
		} else {
			loopback ||= ipv4_is_loopback(S.skc_daddr[sktw]) || ipv4_is_loopback(S.skc_rcv_saddr[sktw]);
		}
		if (!loopback) reuse = 0;
	}
	if (S.ts_recent_stamp[sktw] === 0) return false;
	if (!twp) return true;
	if (reuse === 0) return false;
	const elapsed = k.timers.now - S.ts_recent_ms[sktw];
	// since 6.14, ca6a6f93867a
	if (k.changes.has("tcp-tw-reuse-delay")) {
		// A recording shows only to some milliseconds when the last segment was handled.
		const delay = sk_net(k, sk).ipv4.sysctl_tcp_tw_reuse_delay;
		const unsure = Math.abs(elapsed - delay) < OBSERVED_WITHIN;
		return k.draws.secondTicked(sk, lport, elapsed > delay, unsure);
	}
	const ticked = Math.floor(k.timers.now / 1000) > S.ts_recent_stamp[sktw];
	return k.draws.secondTicked(sk, lport, ticked, elapsed < 1000);
}

/** Whether an address is ::1 or a v4-mapped address of 127.0.0.0/8. */
function ipv6Loopback(addr: Uint32Array, at: number): boolean {
	return (
		ipv6_addr_loopback(addr, at) || (ipv6_addr_v4mapped(addr, at) && ipv4_is_loopback(addr[at + 3]))
	);
}

/**
 * connect(): looks up the route and the source address, then finds the local port, then sends a
 * SYN. `addr` is the destination. Returns 0 or a negative errno. On an error after the search, the
 * port is released unless bind() named it.
 */
export function tcp_v4_connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
	if (addr.sin_family !== AF_INET) return -EAFNOSUPPORT;

	const flow_flags = inet_sk_flowi_flags(k, sk);
	const oif = S.skc_bound_dev_if[sk];
	let err = ip_route_connect(
		net,
		addr.sin_addr,
		S.inet_saddr[sk],
		oif,
		flow_flags,
		ip_sock_rt_scope(k, sk),
	);
	if (err < 0) return err;
	if (net.fl4.type === RTN_MULTICAST || net.fl4.type === RTN_BROADCAST) return -ENETUNREACH;
	// Such a socket could get answers by a route to lo. The model leaves this out.
	if (
		flow_flags !== 0 &&
		net.fl4.type === RTN_LOCAL &&
		__ip_dev_find(net, net.fl4.saddr) === null
	) {
		throw new NotModelled("connections to this host from an address that it does not have");
	}

	if (S.inet_saddr[sk] === 0) inet_bhash2_update_saddr(k, sk, net.fl4.saddr);
	else sk_rcv_saddr_set(k, sk, S.inet_saddr[sk]);
	S.skc_dport[sk] = addr.sin_port;
	sk_daddr_set(k, sk, net.fl4.daddr);

	// The state changes before the port is known, as in C: the socket enters ehash in SYN_SENT.
	tcp_set_state(k, sk, TCP_SYN_SENT);
	err = inet_hash_connect(k, sk);
	if (err !== 0) {
		tcp_set_state(k, sk, TCP_CLOSE);
		inet_bhash2_reset_saddr(k, sk);
		S.skc_dport[sk] = 0;
		return err;
	}
	if (tcp_fastopen_defer_connect(k, sk)) return 0;
	tcp_connect(k, sk);
	return 0;
}

/** Answers a segment with a RST, in the sequence space that the segment acknowledged. */
export function tcpSendReset(k: Stack, sk: Sk, skb: Segment): void {
	if ((skb.flags & TCPHDR_RST) !== 0) return;
	// No answer if only a route to lo brought the segment here and its address is not local.
	if (sk === 0 && !skb.local) return;
	const oif = sk !== 0 ? k.sock.skc_bound_dev_if[sk] : 0;
	reply(k, skb, TCPHDR_RST | TCPHDR_ACK, oif, skb.ack, skb.seq);
}

/**
 * Sends a segment back to the sender of skb. Sends nothing if the sender is not local. If the
 * socket has no device, the answer stays in the VRF that skb came through (ip_send_unicast_reply).
 */
export function reply(
	k: Stack,
	skb: Segment,
	flags: number,
	oif: Ifindex,
	seq: number,
	ack: number,
): void {
	const { net, saddr, v6 } = skb;
	// tcp_v6_send_response: an answer to a link-local address or ::1 leaves by the receiving
	// device, also if this is in a VRF.
	if (oif === 0 && v6 !== null && (flags & TCPHDR_SYN) === 0 && rt6_need_strict(v6.saddr, 0)) {
		oif = skb.dif;
	}
	if (oif === 0) oif = l3mdev_master_ifindex_by_index(net, skb.dif);
	let dif: Ifindex;
	let local = true;
	if (v6 === null) ({ dif, local } = ipSegmentRoute(net, saddr, oif));
	else dif = ip6LocalDeliverIfindex(net, v6.saddr, 0, oif);
	if (dif === 0) return;
	const answer = { ...skb, flags, dif, local, length: 0, seq, ack, acked: 0, write_seq: 0 };
	turnAround(answer);
	k.loopback.push(answer);
}

/** tcp_v4_route_req, tcp_v6_route_req: sets the addresses and the device of a request. */
export function route_req(k: Stack, sk: Sk, req: Sk, skb: Segment): void {
	const S = k.sock;
	S.skc_bound_dev_if[req] = inet_request_bound_dev_if(k, sk, skb.dif);
	if (skb.v6 !== null) {
		tcp_v6_init_req(k, sk, req, skb, skb.v6.saddr, skb.v6.daddr);
		return;
	}
	sk_rcv_saddr_set(k, req, skb.daddr);
	sk_daddr_set(k, req, skb.saddr);
}

/** ir_iif: the device by which the SYN-ACK of a request leaves, 0 for any. */
export function requestDevice(k: Stack, sk: Sk, skb: Segment): Ifindex {
	const { v6, dif } = skb;
	const link_local = v6 !== null && (ipv6_addr_type(v6.saddr, 0) & IPV6_ADDR_LINKLOCAL) !== 0;
	if (link_local && k.sock.skc_bound_dev_if[sk] === 0) return dif; // tcp_v6_init_req
	return inet_request_bound_dev_if(k, sk, dif);
}

/**
 * Makes the child of a request. It shares the listener's port and replaces the request. The child
 * of an AF_INET6 listener has v4-mapped addresses. Returns 0 if the accept queue is full.
 */
function tcp_v4_syn_recv_sock(k: Stack, sk: Sk, req: Sk): Sk {
	if (sk_acceptq_is_full(k, sk)) return 0;
	const newsk = inet_csk_clone_lock(k, sk, k.sock.skc_dport[req]);
	const S = k.sock;
	sk_daddr_set(k, newsk, S.skc_daddr[req]);
	sk_rcv_saddr_set(k, newsk, S.skc_rcv_saddr[req]);
	S.skc_bound_dev_if[newsk] = S.skc_bound_dev_if[req];
	S.inet_saddr[newsk] = S.skc_rcv_saddr[req];
	if (S.skc_family[newsk] === AF_INET6) {
		ipv6_addr_copy(S.np_saddr, newsk * 4, S.skc_v6_rcv_saddr, newsk * 4);
		S.inet_flags[newsk] |= ICSK_IPV6_MAPPED;
	}
	return newsk;
}

/**
 * The part of syn_recv_sock and inet_csk_complete_hashdance that is the same over IPv4 and IPv6.
 * Makes the child, gives it the port and puts it into the accept queue. Frees the request. If the
 * request was `hashed`, the child replaces it in ehash. Returns the child, 0 if the queue is full.
 */
export function tcpSynRecvChild(k: Stack, sk: Sk, req: Sk, flags: number, hashed: boolean): Sk {
	const newsk = skOverIpv6(k.sock, req)
		? tcp_v6_syn_recv_sock(k, sk, req)
		: tcp_v4_syn_recv_sock(k, sk, req);
	if (newsk === 0) return 0;
	const S = k.sock;
	S.skc_num[newsk] = S.skc_num[req];
	S.snd_isn[newsk] = S.snd_isn[req];
	S.rcv_isn[newsk] = S.rcv_isn[req];
	tcpStartKeepalive(k, newsk); // tcp_create_openreq_child
	subflow_ulp_clone(k, sk, newsk, flags);
	if (__inet_inherit_port(k, sk, newsk) < 0) {
		throw new Error(`listener ${sk} has no bind bucket`);
	}
	if (hashed) inet_csk_reqsk_queue_drop(k, req);
	else reqsk_free(k, req);
	inet_ehash_nolisten(k, newsk, true);
	inet_csk_reqsk_queue_add(k, sk, newsk);
	return newsk;
}

/**
 * No socket took a segment. If a socket of this host sent it, its data counts as lost, and a timer
 * sends it again.
 */
export function tcpDropped(k: Stack, skb: Segment): void {
	if (skb.length === 0) return;
	const S = k.sock;
	const answer = { ...skb };
	turnAround(answer);
	const sk = __inet_lookup_skb(k, answer);
	if (sk === 0 || S.snd_isn[sk] !== skb.seq) return;
	S.snd_unacked.add(sk, skb.length);
	S.snd_lost.add(sk, skb.length);
	tcpSent(k, sk, SEGMENT_LOST);
}

/** A segment for a listener. Returns true if it has to be answered with a RST. */
function tcpListenRcv(k: Stack, sk: Sk, skb: Segment): boolean {
	if ((skb.flags & TCPHDR_RST) !== 0) return false;
	if ((skb.flags & TCPHDR_ACK) !== 0) {
		if (skb.ack < SYN_COOKIE) return true;
		const child = cookie_v4_check(k, sk, skb);
		if (child !== 0) tcp_child_process(k, child, skb);
		else tcpDropped(k, skb);
		return false;
	}
	if ((skb.flags & TCPHDR_SYN) !== 0) tcp_conn_request(k, sk, skb);
	return false;
}

/** inet_sdif, inet6_sdif: the VRF that a segment came through, 0 if none. */
function segmentSdif(skb: Segment): Ifindex {
	return skb.v6 === null
		? l3mdev_master_ifindex_by_index(skb.net, skb.dif)
		: inet6_sdif(skb.net, skb.v6.daddr, 0, skb.dif);
}

/**
 * include/net/inet_hashtables.h, inet6_hashtables.h: the sock that receives a segment, 0 if none.
 */
function __inet_lookup_skb(k: Stack, skb: Segment): Sk {
	const { net, saddr, sport, daddr, dport, dif } = skb;
	const sdif = segmentSdif(skb);
	const sk =
		skb.v6 === null
			? __inet_lookup_established(k, net, k.tcp_hashinfo, saddr, sport, daddr, dport, dif, sdif)
			: __inet6_lookup_skb(k, skb, skb.v6.saddr, skb.v6.daddr, sdif);
	return sk !== 0 ? sk : inet_lookup_listener(k, skb);
}

/** include/net/inet_hashtables.h: the listener that receives a segment, 0 if none. */
function inet_lookup_listener(k: Stack, skb: Segment): Sk {
	const { net, saddr, sport, daddr, dport, dif } = skb;
	const sdif = segmentSdif(skb);
	return skb.v6 === null
		? __inet_lookup_listener(k, net, k.tcp_hashinfo, saddr, sport, daddr, dport, dif, sdif)
		: inet6LookupListenerSkb(k, skb, skb.v6.saddr, skb.v6.daddr, sdif);
}

/**
 * A segment for a time-wait socket. Returns the listener if the segment is a SYN for a new
 * connection, otherwise 0.
 */
function tcpTimeWaitRcv(k: Stack, tw: Sk, skb: Segment): number {
	const S = k.sock;
	const seq = S.snd_isn[tw];
	const action = tcp_timewait_state_process(k, tw, skb);
	if (action === TCP_TW_SYN) {
		const listener = inet_lookup_listener(k, skb);
		if (listener !== 0) {
			skb.tcp_tw_isn = true;
			inet_twsk_deschedule_put(k, tw);
			return listener;
		}
	}
	if (action === TCP_TW_SYN || action === TCP_TW_ACK) {
		// The answer has the numbers of the old connection, so the sender of a SYN rejects it.
		const oif = S.skc_bound_dev_if[tw];
		reply(k, skb, TCPHDR_ACK | TCPHDR_ACKS_FIN, oif, seq, S.rcv_isn[tw]);
	} else if (action === TCP_TW_RST) {
		tcpSendReset(k, tw, skb);
		inet_twsk_deschedule_put(k, tw);
	}
	return 0;
}

/**
 * Delivers a segment to its connection, otherwise to a listener, otherwise answers with a RST. Also
 * tcp_v6_rcv.
 */
export function tcp_v4_rcv(k: Stack, skb: Segment): void {
	const S = k.sock;
	let sk = __inet_lookup_skb(k, skb);
	if (sk !== 0 && S.skc_state[sk] === TCP_TIME_WAIT) {
		sk = tcpTimeWaitRcv(k, sk, skb);
		if (sk === 0) return;
	} else if (sk !== 0 && S.skc_state[sk] === TCP_NEW_SYN_RECV) {
		const req = sk;
		sk = S.rsk_listener.get(req);
		if (sk === 0 || S.skc_state[sk] !== TCP_LISTEN) {
			inet_csk_reqsk_queue_drop(k, req);
			sk = __inet_lookup_skb(k, skb);
		} else {
			const nsk = tcp_check_req(k, sk, skb, req);
			if (nsk === 0) return;
			if (nsk !== sk) {
				tcp_child_process(k, nsk, skb);
				return;
			}
		}
	}
	let reset = true;
	if (sk !== 0) {
		reset =
			S.skc_state[sk] === TCP_LISTEN ? tcpListenRcv(k, sk, skb) : tcp_rcv_state_process(k, sk, skb);
	}
	if (reset) tcpSendReset(k, sk, skb);
}

/** Cleans up a TCP sock before it is freed. */
export function tcp_v4_destroy_sock(k: Stack, sk: Sk): void {
	tcp_clear_xmit_timers(k, sk);
	if (k.sock.icsk_bind_hash[sk] !== 0) inet_put_port(k, sk);
	tcp_free_fastopen_req(k, sk);
}

export const tcp_prot: Proto = {
	name: "TCP",
	prot: PROT_TCP,
	init: tcp_init_sock,
	keepalive: tcp_set_keepalive,
	close: tcp_close,
	connect: tcp_v4_connect,
	disconnect: tcp_disconnect,
	shutdown: tcp_shutdown,
	sendmsg: tcp_sendmsg,
	recvmsg: tcp_recvmsg,
	hash: inet_hash,
	unhash: inet_unhash,
	get_port: inet_csk_get_port,
	put_port: inet_put_port,
	no_autobind: true,
};
