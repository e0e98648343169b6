// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv6/udp.c: UDP of AF_INET6 socks, and lookups of datagrams over IPv6. An IPv6 address is an
 * array and the index of its first word. The same things are left out as in net/ipv4/udp.ts.
 */
import type { Ifindex, Port, Sk } from "../../include/linux/handle.js";
import { hlist_unhashed } from "../../include/linux/list.js";
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	MSG_MORE,
	SIN6_LEN_RFC2133,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
	sockaddr_in,
} from "../../include/linux/socket.js";
import { __inet6_ehashfn, inet6_match } from "../../include/net/inet_hashtables.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	__ipv6_addr_jhash,
	__ipv6_addr_needs_scope_id,
	__ipv6_addr_type,
	type In6Addr,
	IPV6_ADDR_LINKLOCAL,
	in6addr_any,
	in6addr_loopback,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_equal,
	ipv6_addr_is_multicast,
	ipv6_addr_set_v4mapped,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
	ipv6_portaddr_hash,
	ipv6AddrJhashFolded,
} from "../../include/net/ipv6.js";
import { type Net, RTN_LOCAL } from "../../include/net/net_namespace.js";
import { INET_RECVERR6, PROT_UDPV6, type Proto, sk_net } from "../../include/net/sock.js";
import { reuseport_has_conns } from "../../include/net/sock_reuseport.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import {
	setUdpHashes,
	type UdpTable,
	udp_hashed4,
	udp_hashslot2,
	udp_hashslot4,
	udp_lib_hash,
	udp_port_hash,
	udp_sk_bound_dev_eq,
} from "../../include/net/udp.js";
import {
	ECONNREFUSED,
	EDESTADDRREQ,
	EINVAL,
	EMSGSIZE,
	ENETUNREACH,
} from "../../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../../include/uapi/linux/in.js";
import { swab32 } from "../../include/uapi/linux/swab.js";
import { sock_alloc_send_skb } from "../core/sock.js";
import { reuseport_select_sock } from "../core/sock_reuseport.js";
import {
	drawUdpSecret,
	udp_destroy_sock,
	udp_disconnect,
	udp_get_table_prot,
	udp_lib_close,
	udp_lib_get_port,
	udp_lib_hash4,
	udp_lib_rehash,
	udp_lib_unhash,
	udp_push_pending_frames,
	udp_queue_rcv_skb,
	udp_recvmsg,
	udp_sendmsg,
	udp4_hash4,
	udp4SkEhashfn,
	udpAppendData,
} from "../ipv4/udp.js";
import { l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import { __ip6_datagram_connect } from "./datagram.js";
import { ip6_dst_lookup_flow } from "./ip6_output.js";
import { inet6_sdif, ip6LocalDeliverIfindex } from "./route.js";

const SIZEOF_UDPHDR = 8;
/** Longest payload of an IPv6 packet, bytes. */
const IPV6_MAXPLEN = 65535;

function udp6_ehashfn(
	k: Stack,
	net: Net,
	laddr: Uint32Array,
	li: number,
	lport: Port,
	faddr: Uint32Array,
	fi: number,
	fport: Port,
): number {
	const secrets = k.udp_table;
	secrets.udp6_ehash_secret ??= drawUdpSecret(k);
	secrets.udp_ipv6_hash_secret ??= drawUdpSecret(k);
	const secret = secrets.udp_ipv6_hash_secret;
	// since 6.5, d11b0df7ddf1
	const fhash = k.changes.has("ipv6-jhash-whole-address")
		? __ipv6_addr_jhash(faddr, fi, secret)
		: ipv6AddrJhashFolded(faddr, fi, secret);
	const own = k.changes.has("udp6-ehash-own-secret"); // since 6.5, 51d03e2f2203
	const initval = (own ? secrets.udp6_ehash_secret : secret) + net.hash_mix;
	return __inet6_ehashfn(swab32(laddr[li + 3]), lport, fhash, fport, initval);
}

/** Binds an AF_INET6 sock to a port; 0 lets the search choose. See udp_lib_get_port. Returns 0 or -EADDRINUSE. */
export function udp_v6_get_port(k: Stack, sk: Sk, snum: Port): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	const hash2_nulladdr = ipv6_portaddr_hash(net, in6addr_any, 0, snum);
	const hash2_partial = ipv6_portaddr_hash(net, S.skc_v6_rcv_saddr, sk * 4, 0);
	setUdpHashes(S, sk, udp_port_hash(S, sk), hash2_partial);
	return udp_lib_get_port(k, sk, snum, hash2_nulladdr);
}

export function udp_v6_rehash(k: Stack, sk: Sk): void {
	const S = k.sock;
	const hash = ipv6_portaddr_hash(sk_net(k, sk), S.skc_v6_rcv_saddr, sk * 4, S.skc_num[sk]);
	udp_lib_rehash(k, sk, hash, udp_hashed4(S, sk) ? udp6SkEhashfn(k, sk) : 0);
}

/** The hash of an AF_INET6 sock's four-tuple. It is the IPv4 hash if the address is v4-mapped. */
function udp6SkEhashfn(k: Stack, sk: Sk): number {
	const { skc_v6_rcv_saddr: laddr, skc_v6_daddr: faddr, skc_num, skc_dport } = k.sock;
	const at = sk * 4;
	if (ipv6_addr_v4mapped(laddr, at)) return udp4SkEhashfn(k, sk);
	const net = sk_net(k, sk);
	return udp6_ehashfn(k, net, laddr, at, skc_num[sk], faddr, at, skc_dport[sk]) & 0xffff;
}

/**
 * The connected sock of a four-tuple, 0 if none. If there are several, the one that was put on
 * the chain last.
 */
function udp6_lib_lookup4(
	k: Stack,
	net: Net,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
	table: UdpTable,
): Sk {
	const S = k.sock;
	const hash4 = udp6_ehashfn(k, net, daddr, di, hnum, saddr, si, sport);
	let sk = table.hash4[udp_hashslot4(table, hash4)];
	for (; sk !== 0; sk = S.bind2_node_next[sk]) {
		if (inet6_match(net, S, sk, saddr, si, daddr, di, sport, hnum, dif, sdif)) break;
	}
	return sk;
}

/** Hashes a connected sock by its four-tuple, since udp-hash4. */
function udp6_hash4(k: Stack, sk: Sk): void {
	const S = k.sock;
	if (!k.changes.has("udp-hash4")) return; // since 6.13, 78c91ae2c6de
	if (ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, sk * 4)) {
		udp4_hash4(k, sk);
		return;
	}
	if (hlist_unhashed(S.node_pprev, sk) || ipv6_addr_any(S.skc_v6_rcv_saddr, sk * 4)) return;
	udp_lib_hash4(k, sk, udp6SkEhashfn(k, sk));
}

/** How well a sock fits a datagram over IPv6, -1: not at all. */
function compute_score(
	k: Stack,
	sk: Sk,
	net: Net,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): number {
	const S = k.sock;
	if (S.skc_net[sk] !== net.id || udp_port_hash(S, sk) !== hnum || S.skc_family[sk] !== AF_INET6) {
		return -1;
	}
	if (!ipv6_addr_equal(S.skc_v6_rcv_saddr, sk * 4, daddr, di)) return -1;
	let score = 0;
	if (S.skc_dport[sk] !== 0) {
		if (S.skc_dport[sk] !== sport) return -1;
		score++;
	}
	if (!ipv6_addr_any(S.skc_v6_daddr, sk * 4)) {
		if (!ipv6_addr_equal(S.skc_v6_daddr, sk * 4, saddr, si)) return -1;
		score++;
	}
	if (!udp_sk_bound_dev_eq(net, S.skc_bound_dev_if[sk], dif, sdif)) return -1;
	if (S.skc_bound_dev_if[sk] !== 0) score++;
	if (S.sk_incoming_cpu[sk] !== 0) score++;
	return score;
}

/**
 * The member of a sock's reuseport group that receives a datagram, 0 if the sock is in no group.
 */
function lookup_reuseport(
	k: Stack,
	net: Net,
	sk: Sk,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	hnum: Port,
): Sk {
	if (k.sock.skc_reuseport[sk] === 0 || k.sock.skc_state[sk] === TCP_ESTABLISHED) return 0;
	return reuseport_select_sock(k, sk, udp6_ehashfn(k, net, daddr, di, hnum, saddr, si, sport));
}

/**
 * The sock with the best score on a chain of the second hash, 0 if none. With equal scores the
 * first sock wins.
 */
function udp6_lib_lookup2(
	k: Stack,
	net: Net,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
	table: UdpTable,
	slot2: number,
): Sk {
	const S = k.sock;
	const rescored = k.changes.has("udp-reuseport-rescored-upwards"); // since 6.10, 50aee97d1511
	let result: Sk = 0;
	let badness = -1;
	for (let sk = table.hash2[slot2]; sk !== 0; sk = S.bind_node_next[sk]) {
		const score = compute_score(k, sk, net, saddr, si, sport, daddr, di, hnum, dif, sdif);
		if (score <= badness) continue;
		badness = score;
		const reuse_sk = lookup_reuseport(k, net, sk, saddr, si, sport, daddr, di, hnum);
		if (reuse_sk === 0) {
			result = sk;
			continue;
		}
		// If the group has connected members, the search goes on: one of them may have a better
		// score.
		if (!reuseport_has_conns(k, sk)) return reuse_sk;
		result = reuse_sk;
		if (rescored) {
			const own = compute_score(k, reuse_sk, net, saddr, si, sport, daddr, di, hnum, dif, sdif);
			if (own > badness) badness = own;
		}
	}
	return result;
}

/**
 * The sock that receives a datagram, 0 if none: one on the datagram's address, otherwise a wildcard
 * sock.
 */
function __udp6_lib_lookup(
	k: Stack,
	net: Net,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	dport: Port,
	dif: Ifindex,
	sdif: Ifindex,
	table: UdpTable,
): Sk {
	const slot2 = udp_hashslot2(table, ipv6_portaddr_hash(net, daddr, di, dport));
	if (table.hash4_cnt[slot2] !== 0) {
		const sk = udp6_lib_lookup4(k, net, saddr, si, sport, daddr, di, dport, dif, sdif, table);
		if (sk !== 0) return sk;
	}
	const result = udp6_lib_lookup2(
		k,
		net,
		saddr,
		si,
		sport,
		daddr,
		di,
		dport,
		dif,
		sdif,
		table,
		slot2,
	);
	if (result !== 0) return result;
	const any = udp_hashslot2(table, ipv6_portaddr_hash(net, in6addr_any, 0, dport));
	return udp6_lib_lookup2(k, net, saddr, si, sport, in6addr_any, 0, dport, dif, sdif, table, any);
}

/** __udp6_lib_lookup in the table of UDP. */
export function udp6_lib_lookup(
	k: Stack,
	net: Net,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	dport: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	return __udp6_lib_lookup(k, net, saddr, si, sport, daddr, di, dport, dif, sdif, net.udp_table);
}

/** Receives a datagram, over IPv6 or IPv4. See udp_recvmsg. */
export function udpv6_recvmsg(k: Stack, sk: Sk, size: number, flags: number): number {
	return udp_recvmsg(k, sk, size, flags);
}

/**
 * An ICMPv6 "port unreachable" for a datagram from `saddr`:`sport`. The sock that would receive an
 * answer to the datagram gets ECONNREFUSED if it is connected or has IPV6_RECVERR.
 */
function __udp6_lib_err(
	k: Stack,
	net: Net,
	table: UdpTable,
	saddr: Uint32Array,
	sport: Port,
	daddr: Uint32Array,
	dport: Port,
	dif: Ifindex,
	sdif: Ifindex,
): void {
	const S = k.sock;
	const sk = __udp6_lib_lookup(k, net, daddr, 0, dport, saddr, 0, sport, dif, sdif, table);
	if (sk === 0) return;
	if ((S.inet_flags[sk] & INET_RECVERR6) === 0 && S.skc_state[sk] !== TCP_ESTABLISHED) return;
	S.sk_err[sk] = ECONNREFUSED;
}

/**
 * Receives a datagram to a local address over loopback. `dif` is the device of this address. If no
 * sock matches, the sender gets an ICMPv6 error.
 */
function __udp6_lib_rcv(
	k: Stack,
	net: Net,
	table: UdpTable,
	saddr: Uint32Array,
	sport: Port,
	daddr: Uint32Array,
	dport: Port,
	len: number,
	dif: Ifindex,
): void {
	const sdif = inet6_sdif(net, daddr, 0, dif);
	const sk = __udp6_lib_lookup(k, net, saddr, 0, sport, daddr, 0, dport, dif, sdif, table);
	if (sk !== 0) {
		const skb = { len, sport, saddr: 0, v6_saddr: saddr.slice(), iif: dif };
		udp_queue_rcv_skb(k, table, sk, !ipv6_addr_any(k.sock.skc_v6_daddr, sk * 4), skb);
		return;
	}
	// An ICMPv6 message is received on the device of its destination address: here the sender's.
	const linklocal = (ipv6_addr_type(saddr, 0) & IPV6_ADDR_LINKLOCAL) !== 0;
	const icmp_oif = linklocal ? dif : l3mdev_master_ifindex_by_index(net, dif);
	const icmp_dif = ip6LocalDeliverIfindex(net, saddr, 0, icmp_oif);
	if (icmp_dif === 0) return;
	const icmp_sdif = inet6_sdif(net, saddr, 0, icmp_dif);
	__udp6_lib_err(k, net, table, saddr, sport, daddr, dport, icmp_dif, icmp_sdif);
}

/** A label in C: udpv6_sendmsg to an IPv4 destination. */
function do_udp_sendmsg(
	k: Stack,
	sk: Sk,
	addr: Sockaddr,
	addr_len: number,
	size: number,
	flags: number,
): number {
	return ipv6_only_sock(k, sk) ? -ENETUNREACH : udp_sendmsg(k, sk, addr, addr_len, size, flags);
}

/**
 * Sends a datagram of `size` bytes to `addr`, which may be an IPv4 address. If `addr` is null or
 * AF_UNSPEC, sends it to the sock's peer. Returns size or a negative errno. Datagrams to multicast
 * addresses reach nobody.
 */
export function udpv6_sendmsg(
	k: Stack,
	sk: Sk,
	addr: Sockaddr | null,
	addr_len: number,
	size: number,
	flags: number,
): number {
	const S = k.sock;
	const at = sk * 4;
	const net = sk_net(k, sk);
	const daddr: In6Addr = new Uint32Array(4);
	let sin6 = addr;
	const pending = S.udp_pending.get(sk);

	if (sin6 !== null) {
		if (addr_len < SIZEOF_SA_FAMILY) return -EINVAL;
		switch (sin6.sin_family) {
			case AF_INET6:
				if (addr_len < SIN6_LEN_RFC2133) return -EINVAL;
				ipv6_addr_copy(daddr, 0, sin6.sin6_addr, 0);
				if (ipv6_addr_any(daddr, 0) && ipv6_addr_v4mapped(S.np_saddr, at)) {
					ipv6_addr_set_v4mapped(INADDR_LOOPBACK, daddr, 0);
				}
				break;
			case AF_INET:
				return do_udp_sendmsg(k, sk, sin6, addr_len, size, flags);
			case AF_UNSPEC:
				sin6 = null;
				break;
			default:
				return -EINVAL;
		}
	} else if (pending === undefined) {
		if (S.skc_state[sk] !== TCP_ESTABLISHED) return -EDESTADDRREQ;
		ipv6_addr_copy(daddr, 0, S.skc_v6_daddr, at);
	}
	// With AF_UNSPEC, or for a datagram that is held back, daddr is not set.
	const known = sin6 !== null || (addr === null && pending === undefined);
	if (known && ipv6_addr_v4mapped(daddr, 0)) {
		const sin = sockaddr_in(daddr[3], sin6 !== null ? sin6.sin_port : S.skc_dport[sk]);
		return do_udp_sendmsg(k, sk, sin, SIZEOF_SOCKADDR_IN, size, flags);
	}
	const corkreq = S.udp_cork[sk] !== 0 || (flags & MSG_MORE) !== 0;
	if (pending !== undefined) {
		if (pending.family === AF_INET) return udp_sendmsg(k, sk, addr, addr_len, size, flags);
		if (!udpAppendData(k, sk, pending, size, IPV6_MAXPLEN)) return -EMSGSIZE;
		if (!corkreq) udp_v6_push_pending_frames(k, sk);
		return size;
	}

	let dport: Port;
	let oif = 0;
	if (sin6 !== null) {
		dport = sin6.sin_port;
		if (dport === 0) return -EINVAL;
		if (
			addr_len >= SIZEOF_SOCKADDR_IN6 &&
			sin6.sin6_scope_id !== 0 &&
			__ipv6_addr_needs_scope_id(__ipv6_addr_type(daddr, 0))
		) {
			oif = sin6.sin6_scope_id;
		}
	} else {
		if (S.skc_state[sk] !== TCP_ESTABLISHED) return -EDESTADDRREQ;
		dport = S.skc_dport[sk];
		ipv6_addr_copy(daddr, 0, S.skc_v6_daddr, at);
	}
	if (oif === 0) oif = S.skc_bound_dev_if[sk];
	// The wildcard as destination means this host, as in BSD.
	if (ipv6_addr_any(daddr, 0)) ipv6_addr_copy(daddr, 0, in6addr_loopback, 0);

	let err = ip6_dst_lookup_flow(k, sk, S.np_saddr, at, daddr, 0, oif);
	if (err < 0) return err;

	// ip6_make_skb: a UDP sock fragments by default, so the MTU of the device does not matter.
	if (size + SIZEOF_UDPHDR > IPV6_MAXPLEN) return -EMSGSIZE;
	err = sock_alloc_send_skb(k, sk);
	if (err < 0) return err;
	const many = ipv6_addr_is_multicast(daddr, 0);
	const local = !many && net.fl6.type === RTN_LOCAL;
	const dif = local ? ip6LocalDeliverIfindex(net, net.fl6.daddr, 0, oif) : 0;
	const refused = !many && net.fl6.answer === "refuse";
	const { saddr: from, daddr: to } = net.fl6;
	if (corkreq) {
		const v6 = { saddr: from.slice(), daddr: to.slice() };
		const route = { arrives: dif !== 0, dif, sdif: 0, oif, refused };
		const frames = { family: AF_INET6, len: size, saddr: 0, daddr: 0, v6, dport, ...route };
		S.udp_pending.set(sk, frames);
		return size;
	}
	udp_v6_send_skb(k, sk, from, to, dport, size, dif, oif, refused);
	return size;
}

/**
 * Sends a datagram over IPv6. `dif` is the device that receives it, 0 if it does not come back. A
 * multicast one has no receiver here.
 */
function udp_v6_send_skb(
	k: Stack,
	sk: Sk,
	saddr: In6Addr,
	daddr: In6Addr,
	dport: Port,
	size: number,
	dif: Ifindex,
	oif: Ifindex,
	refused: boolean,
): void {
	const net = sk_net(k, sk);
	const table = udp_get_table_prot(k, sk);
	const sport = k.sock.inet_sport[sk];
	if (dif !== 0) {
		__udp6_lib_rcv(k, net, table, saddr, sport, daddr, dport, size, dif);
	} else if (refused) {
		__udp6_lib_err(k, net, table, saddr, sport, daddr, dport, oif, 0);
	}
}

/** Sends the datagram that an AF_INET6 sock holds back. */
export function udp_v6_push_pending_frames(k: Stack, sk: Sk): void {
	const pending = k.sock.udp_pending.get(sk);
	if (pending === undefined) return;
	const { v6, dport, len, dif, oif, refused } = pending;
	if (v6 === null) {
		udp_push_pending_frames(k, sk);
		return;
	}
	k.sock.udp_pending.delete(sk);
	udp_v6_send_skb(k, sk, v6.saddr, v6.daddr, dport, len, dif, oif, refused);
}

/** connect() of a UDP sock that has a port. Returns 0 or a negative errno. */
function udpv6_connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const res = __ip6_datagram_connect(k, sk, addr, addr_len);
	if (res === 0) udp6_hash4(k, sk);
	return res;
}

export const udpv6_prot: Proto = {
	name: "UDPv6",
	prot: PROT_UDPV6,
	close: udp_lib_close,
	connect: udpv6_connect,
	disconnect: udp_disconnect,
	destroy: udp_destroy_sock,
	sendmsg: udpv6_sendmsg,
	recvmsg: udpv6_recvmsg,
	hash: udp_lib_hash,
	unhash: udp_lib_unhash,
	rehash: udp_v6_rehash,
	get_port: udp_v6_get_port,
	put_port: udp_lib_unhash,
	no_autobind: false,
};
