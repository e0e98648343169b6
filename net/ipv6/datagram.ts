// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv6/datagram.c: connect() of datagram sockets over IPv6. Left out: flow labels,
 * IPV6_UNICAST_IF, IPV6_MULTICAST_IF and other options that choose a route.
 */
import type { Sk } from "../../include/linux/handle.js";
import {
	AF_INET,
	AF_INET6,
	SIN6_LEN_RFC2133,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
	sockaddr_in,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	__ipv6_addr_needs_scope_id,
	__ipv6_addr_type,
	type In6Addr,
	IPV6_ADDR_MAPPED,
	in6addr_loopback,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_set_v4mapped,
	ipv6_addr_v4mapped,
	ipv6_addr_v4mapped_any,
	LOOPBACK4_IPV6,
} from "../../include/net/ipv6.js";
import { sk_net, sk_prot } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import { EAFNOSUPPORT, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../../include/uapi/linux/in.js";
import { sk_dev_equal_l3scope } from "../core/sock.js";
import { reuseport_has_conns_set } from "../core/sock_reuseport.js";
import { __ip4_datagram_connect, corkLost } from "../ipv4/datagram.js";
import { ip6_dst_lookup_flow } from "./ip6_output.js";
import { ip6LocalDeliverIfindex } from "./route.js";

/**
 * Looks up the route to the peer that the sock connects to. If `fix_sk_saddr` is true and the sock
 * has no local address, it gets the source address of the route. Returns 0 or a negative errno.
 */
function ip6_datagram_dst_update(k: Stack, sk: Sk, fix_sk_saddr: boolean): number {
	const S = k.sock;
	const at = sk * 4;
	const oif = S.skc_bound_dev_if[sk];
	const err = ip6_dst_lookup_flow(k, sk, S.np_saddr, at, S.skc_v6_daddr, at, oif);
	// since 7.0, 4e6c91cf60f2
	if (k.changes.has("udp6-connect-changes-cork")) corkTakesFlow(k, sk);
	if (err < 0) return err;
	if (fix_sk_saddr) {
		const { fl6 } = sk_net(k, sk);
		if (ipv6_addr_any(S.np_saddr, at)) ipv6_addr_copy(S.np_saddr, at, fl6.saddr, 0);
		if (ipv6_addr_any(S.skc_v6_rcv_saddr, at)) {
			ipv6_addr_copy(S.skc_v6_rcv_saddr, at, fl6.saddr, 0);
			S.skc_rcv_saddr[sk] = LOOPBACK4_IPV6;
			sk_prot(k, sk).rehash?.(k, sk);
		}
	}
	return 0;
}

/**
 * The flow in net.fl6 is also that of a datagram that is held back: both are in inet->cork.fl. The
 * datagram keeps its route.
 */
function corkTakesFlow(k: Stack, sk: Sk): void {
	const pending = k.sock.udp_pending.get(sk);
	if (pending === undefined) return;
	const { v6, dif } = pending;
	corkLost(pending);
	if (v6 === null) return;
	const net = sk_net(k, sk);
	ipv6_addr_copy(v6.saddr, 0, net.fl6.saddr, 0);
	ipv6_addr_copy(v6.daddr, 0, net.fl6.daddr, 0);
	pending.dport = k.sock.skc_dport[sk];
	if (dif !== 0) pending.dif = ip6LocalDeliverIfindex(net, v6.daddr, 0, pending.oif);
}

/** A label in C: connect() of an AF_INET6 sock over IPv4. Sets its v4-mapped addresses as well. */
function ipv4_connected(k: Stack, sk: Sk, usin: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const at = sk * 4;
	const err = __ip4_datagram_connect(k, sk, usin, addr_len);
	if (err !== 0) return err;
	ipv6_addr_set_v4mapped(S.skc_daddr[sk], S.skc_v6_daddr, at);
	if (ipv6_addr_any(S.np_saddr, at) || ipv6_addr_v4mapped_any(S.np_saddr, at)) {
		ipv6_addr_set_v4mapped(S.inet_saddr[sk], S.np_saddr, at);
	}
	if (ipv6_addr_any(S.skc_v6_rcv_saddr, at) || ipv6_addr_v4mapped_any(S.skc_v6_rcv_saddr, at)) {
		ipv6_addr_set_v4mapped(S.skc_rcv_saddr[sk], S.skc_v6_rcv_saddr, at);
		sk_prot(k, sk).rehash?.(k, sk);
	}
	return 0;
}

/**
 * Connects an AF_INET6 sock that has a port to an IPv6, v4-mapped or IPv4 address. Returns 0 or a
 * negative errno. On an error the sock keeps its old peer. Whether it keeps its old device depends on
 * the version.
 */
export function __ip6_datagram_connect(k: Stack, sk: Sk, usin: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const at = sk * 4;
	if (usin.sin_family === AF_INET) {
		if (ipv6_only_sock(k, sk)) return -EAFNOSUPPORT;
		return ipv4_connected(k, sk, usin, addr_len);
	}
	if (addr_len < SIN6_LEN_RFC2133) return -EINVAL;
	if (usin.sin_family !== AF_INET6) return -EAFNOSUPPORT;

	const daddr = usin.sin6_addr.slice();
	if (ipv6_addr_any(daddr, 0)) {
		// The wildcard as destination means this host.
		if (ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, at)) {
			ipv6_addr_set_v4mapped(INADDR_LOOPBACK, daddr, 0);
		} else {
			ipv6_addr_copy(daddr, 0, in6addr_loopback, 0);
		}
	}
	const addr_type = __ipv6_addr_type(daddr, 0);
	if ((addr_type & IPV6_ADDR_MAPPED) !== 0) {
		if (ipv6_only_sock(k, sk)) return -ENETUNREACH;
		return ipv4_connected(k, sk, sockaddr_in(daddr[3], usin.sin_port), SIZEOF_SOCKADDR_IN);
	}

	const old_bound_dev_if = S.skc_bound_dev_if[sk];
	if (__ipv6_addr_needs_scope_id(addr_type)) {
		if (addr_len >= SIZEOF_SOCKADDR_IN6 && usin.sin6_scope_id !== 0) {
			if (!sk_dev_equal_l3scope(k, sk, usin.sin6_scope_id)) return -EINVAL;
			S.skc_bound_dev_if[sk] = usin.sin6_scope_id;
		}
		// A link-local address needs a device.
		if (S.skc_bound_dev_if[sk] === 0) return -EINVAL;
	}

	const old_daddr: In6Addr = S.skc_v6_daddr.slice(at, at + 4);
	const old_dport = S.skc_dport[sk];
	ipv6_addr_copy(S.skc_v6_daddr, at, daddr, 0);
	S.skc_dport[sk] = usin.sin_port;
	const err = ip6_datagram_dst_update(k, sk, true);
	if (err < 0) {
		ipv6_addr_copy(S.skc_v6_daddr, at, old_daddr, 0);
		S.skc_dport[sk] = old_dport;
		// since 6.12.118, stable
		if (k.changes.has("datagram-connect-keeps-device")) S.skc_bound_dev_if[sk] = old_bound_dev_if;
		return err;
	}
	reuseport_has_conns_set(k, sk);
	S.skc_state[sk] = TCP_ESTABLISHED;
	return 0;
}

export function ip6_datagram_connect(k: Stack, sk: Sk, usin: Sockaddr, addr_len: number): number {
	return __ip6_datagram_connect(k, sk, usin, addr_len);
}
