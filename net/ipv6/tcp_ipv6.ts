// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv6/tcp_ipv6.c: connect() of AF_INET6 sockets, and the delivery of segments over IPv6. */
import type { Ifindex, Sk } from "../../include/linux/handle.js";
import {
	AF_INET6,
	SIN6_LEN_RFC2133,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
	sockaddr_in,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	type In6Addr,
	IPV6_ADDR_LINKLOCAL,
	IPV6_ADDR_MAPPED,
	IPV6_ADDR_MULTICAST,
	in6addr_loopback,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_set_v4mapped,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
	LOOPBACK4_IPV6,
} from "../../include/net/ipv6.js";
import {
	ICSK_IPV6_MAPPED,
	PROT_TCPV6,
	type Proto,
	sk_acceptq_is_full,
	sk_net,
} from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import { TCP_CLOSE, TCP_SYN_SENT } from "../../include/net/tcp_states.js";
import { EAFNOSUPPORT, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../../include/uapi/linux/in.js";
import { sk_dev_equal_l3scope } from "../core/sock.js";
import { inet_csk_clone_lock, inet_csk_get_port } from "../ipv4/inet_connection_sock.js";
import {
	inet_bhash2_reset_saddr,
	inet_bhash2_update_saddr,
	inet_hash,
	inet_put_port,
	inet_unhash,
} from "../ipv4/inet_hashtables.js";
import {
	tcp_close,
	tcp_disconnect,
	tcp_init_sock,
	tcp_recvmsg,
	tcp_sendmsg,
	tcp_set_state,
	tcp_shutdown,
} from "../ipv4/tcp.js";
import { tcp_fastopen_defer_connect } from "../ipv4/tcp_fastopen.js";
import { tcp_v4_connect } from "../ipv4/tcp_ipv4.js";
import { tcp_connect } from "../ipv4/tcp_output.js";
import { tcp_set_keepalive } from "../ipv4/tcp_timer.js";
import {
	__inet6_lookup_established,
	inet6_hash_connect,
	inet6_lookup_listener,
} from "./inet6_hashtables.js";
import { ip6_dst_lookup_flow } from "./ip6_output.js";

/**
 * connect(). Calls tcp_v4_connect if the destination is v4-mapped. Returns 0 or a negative errno.
 * On an error after the search, the port is released unless bind() named it.
 */
function tcp_v6_connect(k: Stack, sk: Sk, usin: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const at = sk * 4;
	if (addr_len < SIN6_LEN_RFC2133) return -EINVAL;
	if (usin.sin_family !== AF_INET6) return -EAFNOSUPPORT;

	// The wildcard as destination means this host.
	const daddr: In6Addr = usin.sin6_addr.slice();
	if (ipv6_addr_any(daddr, 0)) {
		if (ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, at)) {
			ipv6_addr_set_v4mapped(INADDR_LOOPBACK, daddr, 0);
		} else {
			daddr.set(in6addr_loopback);
		}
	}
	const addr_type = ipv6_addr_type(daddr, 0);
	if ((addr_type & IPV6_ADDR_MULTICAST) !== 0) return -ENETUNREACH;
	if ((addr_type & IPV6_ADDR_LINKLOCAL) !== 0) {
		if (addr_len >= SIZEOF_SOCKADDR_IN6 && usin.sin6_scope_id !== 0) {
			if (!sk_dev_equal_l3scope(k, sk, usin.sin6_scope_id)) return -EINVAL;
			S.skc_bound_dev_if[sk] = usin.sin6_scope_id;
		}
		// A link-local address needs a device.
		if (S.skc_bound_dev_if[sk] === 0) return -EINVAL;
	}
	ipv6_addr_copy(S.skc_v6_daddr, at, daddr, 0);

	if ((addr_type & IPV6_ADDR_MAPPED) !== 0) {
		if (ipv6_only_sock(k, sk)) return -ENETUNREACH;
		const sin = sockaddr_in(daddr[3], usin.sin_port);
		S.inet_flags[sk] |= ICSK_IPV6_MAPPED;
		const err = tcp_v4_connect(k, sk, sin, SIZEOF_SOCKADDR_IN);
		if (err !== 0) {
			S.inet_flags[sk] &= ~ICSK_IPV6_MAPPED;
			S.skc_dport[sk] = 0;
			return err;
		}
		ipv6_addr_copy(S.np_saddr, at, S.skc_v6_rcv_saddr, at);
		return 0;
	}

	const bound = !ipv6_addr_any(S.skc_v6_rcv_saddr, at);
	const from = bound ? S.skc_v6_rcv_saddr : S.np_saddr;
	let err = ip6_dst_lookup_flow(k, sk, from, at, daddr, 0, S.skc_bound_dev_if[sk]);
	if (err < 0) {
		S.skc_dport[sk] = 0;
		return err;
	}
	if (bound) ipv6_addr_copy(S.np_saddr, at, S.skc_v6_rcv_saddr, at);
	else {
		const { fl6 } = sk_net(k, sk);
		inet_bhash2_update_saddr(k, sk, fl6.saddr);
		ipv6_addr_copy(S.np_saddr, at, fl6.saddr, 0);
	}
	S.skc_rcv_saddr[sk] = LOOPBACK4_IPV6;
	S.skc_dport[sk] = usin.sin_port;

	tcp_set_state(k, sk, TCP_SYN_SENT);
	err = inet6_hash_connect(k, sk);
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

/**
 * Sets the addresses of a request over IPv6. If the peer is link-local, binds it to the SYN's
 * device.
 */
export function tcp_v6_init_req(
	k: Stack,
	sk: Sk,
	req: Sk,
	skb: Segment,
	saddr: In6Addr,
	daddr: In6Addr,
): void {
	const S = k.sock;
	ipv6_addr_copy(S.skc_v6_daddr, req * 4, saddr, 0);
	ipv6_addr_copy(S.skc_v6_rcv_saddr, req * 4, daddr, 0);
	ipv6_addr_copy(S.np_saddr, req * 4, daddr, 0);
	S.skc_daddr[req] = LOOPBACK4_IPV6;
	S.skc_rcv_saddr[req] = LOOPBACK4_IPV6;
	const link_local = (ipv6_addr_type(saddr, 0) & IPV6_ADDR_LINKLOCAL) !== 0;
	if (S.skc_bound_dev_if[sk] === 0 && link_local) S.skc_bound_dev_if[req] = skb.dif;
}

/** Makes the child of a request over IPv6. Returns 0 if the accept queue is full. */
export function tcp_v6_syn_recv_sock(k: Stack, sk: Sk, req: Sk): Sk {
	if (sk_acceptq_is_full(k, sk)) return 0;
	const newsk = inet_csk_clone_lock(k, sk, k.sock.skc_dport[req]);
	const S = k.sock;
	const at = newsk * 4;
	ipv6_addr_copy(S.skc_v6_daddr, at, S.skc_v6_daddr, req * 4);
	ipv6_addr_copy(S.np_saddr, at, S.skc_v6_rcv_saddr, req * 4);
	ipv6_addr_copy(S.skc_v6_rcv_saddr, at, S.skc_v6_rcv_saddr, req * 4);
	S.skc_bound_dev_if[newsk] = S.skc_bound_dev_if[req];
	S.skc_daddr[newsk] = LOOPBACK4_IPV6;
	S.inet_saddr[newsk] = LOOPBACK4_IPV6;
	S.skc_rcv_saddr[newsk] = LOOPBACK4_IPV6;
	return newsk;
}

/** include/net/inet6_hashtables.h: the connection that receives a segment over IPv6, 0 if none. */
export function __inet6_lookup_skb(
	k: Stack,
	skb: Segment,
	saddr: In6Addr,
	daddr: In6Addr,
	sdif: Ifindex,
): Sk {
	const { net, sport, dport, dif } = skb;
	return __inet6_lookup_established(
		k,
		net,
		k.tcp_hashinfo,
		saddr,
		0,
		sport,
		daddr,
		0,
		dport,
		dif,
		sdif,
	);
}

/** The listener that receives a segment over IPv6, 0 if none. */
export function inet6LookupListenerSkb(
	k: Stack,
	skb: Segment,
	saddr: In6Addr,
	daddr: In6Addr,
	sdif: Ifindex,
): Sk {
	const { net, sport, dport, dif } = skb;
	return inet6_lookup_listener(k, net, k.tcp_hashinfo, saddr, 0, sport, daddr, 0, dport, dif, sdif);
}

export const tcpv6_prot: Proto = {
	name: "TCPv6",
	prot: PROT_TCPV6,
	init: tcp_init_sock,
	keepalive: tcp_set_keepalive,
	close: tcp_close,
	connect: tcp_v6_connect,
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
