// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/datagram.c: connect() of datagram sockets over IPv4. */

import type { Ifindex, Sk } from "../../include/linux/handle.js";
import { ipv4_is_multicast } from "../../include/linux/in.js";
import { netif_is_l3_master } from "../../include/linux/netdevice.js";
import { AF_INET, SIZEOF_SOCKADDR_IN, type Sockaddr } from "../../include/linux/socket.js";
import { inet_sk_flowi_flags, ip_sock_rt_scope } from "../../include/net/inet_sock.js";
import { type Net, RTN_BROADCAST } from "../../include/net/net_namespace.js";
import { SOCK_BROADCAST, sk_net, sk_prot, type UdpPending } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import { EACCES, EAFNOSUPPORT, EINVAL } from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../core/dev.js";
import { reuseport_has_conns_set } from "../core/sock_reuseport.js";
import { ip_route_connect } from "./route.js";

/**
 * Connects a sock that has a port to an address. Looks up the route. If the sock has no local
 * address, it gets the source address of the route. Accepts port 0. Returns 0 or a negative errno:
 * -EACCES for a broadcast address without SO_BROADCAST.
 */
export function __ip4_datagram_connect(k: Stack, sk: Sk, usin: Sockaddr, addr_len: number): number {
	const S = k.sock;
	if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
	if (usin.sin_family !== AF_INET) return -EAFNOSUPPORT;

	const net = sk_net(k, sk);
	const oif = datagramOif(net, usin.sin_addr, S.skc_bound_dev_if[sk]);
	let err = ip_route_connect(
		net,
		usin.sin_addr,
		S.inet_saddr[sk],
		oif,
		inet_sk_flowi_flags(k, sk),
		ip_sock_rt_scope(k, sk),
	);
	if (err === 0 && net.fl4.type === RTN_BROADCAST && (S.sk_flags[sk] & SOCK_BROADCAST) === 0) {
		err = -EACCES;
	}
	const { saddr, daddr } = net.fl4;
	const { cork_fl } = S;
	const pending = S.udp_pending.get(sk);
	if (pending?.family === AF_INET) {
		// The flow of a datagram that is held back is in the same cork.fl.
		pending.saddr = saddr;
		pending.daddr = daddr;
		pending.dport = usin.sin_port;
	} else if (pending !== undefined) corkLost(pending);
	if (err < 0) {
		if (S.skc_state[sk] === TCP_ESTABLISHED) {
			cork_fl.set(sk, { saddr, daddr, dport: usin.sin_port, cached: false });
		}
		return err;
	}
	cork_fl.delete(sk);

	S.skc_daddr[sk] = daddr; // rehash reads them since 6.13
	S.skc_dport[sk] = usin.sin_port;
	if (S.inet_saddr[sk] === 0) S.inet_saddr[sk] = saddr;
	if (S.skc_rcv_saddr[sk] === 0) {
		// __ip6_datagram_connect sets the IPv6 address of an AF_INET6 sock later.
		S.skc_rcv_saddr[sk] = saddr;
		sk_prot(k, sk).rehash?.(k, sk);
	}
	reuseport_has_conns_set(k, sk);
	S.skc_state[sk] = TCP_ESTABLISHED;
	return 0;
}

/**
 * A connect() over the other IP version wrote its flow over the one of a datagram that is held back.
 * inet->cork.fl is a union, so the datagram goes to an address that nobody has.
 */
export function corkLost(pending: UdpPending): void {
	pending.arrives = false;
	pending.dif = 0;
	pending.refused = false;
}

export function ip4_datagram_connect(k: Stack, sk: Sk, usin: Sockaddr, addr_len: number): number {
	return __ip4_datagram_connect(k, sk, usin, addr_len);
}

/** The output device of a datagram. Multicast ignores a VRF (it uses mc_index, 0 by default). */
export function datagramOif(net: Net, daddr: number, bound_dev_if: Ifindex): Ifindex {
	if (!ipv4_is_multicast(daddr)) return bound_dev_if;
	const dev = dev_get_by_index(net, bound_dev_if);
	return dev !== null && netif_is_l3_master(dev) ? 0 : bound_dev_if;
}
