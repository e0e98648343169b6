// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/udp.c: the search for a port, hash tables, lookups of datagrams, connect(), send,
 * receive and close. Left out: broadcast and multicast delivery, the error queue, receive
 * buffer limits, encapsulation and BPF. There is one CPU.
 */

import { __set_bit, BITS_TO_LONGS, bitmap_zero, test_bit } from "../../include/linux/bitmap.js";
import type { Ifindex, Port, Sk } from "../../include/linux/handle.js";
import {
	hlist_add_head,
	hlist_add_tail_rcu,
	hlist_del_init,
	hlist_unhashed,
} from "../../include/linux/list.js";
import { reciprocal_scale } from "../../include/linux/math.js";
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	MSG_DONTROUTE,
	MSG_DONTWAIT,
	MSG_MORE,
	MSG_OOB,
	MSG_PEEK,
	MSG_TRUNC,
	SIZEOF_SOCKADDR_IN,
	SOL_UDP,
	type Sockaddr,
	sockaddr_in,
	sockaddr_in6,
} from "../../include/linux/socket.js";
import { inet_match, inet_use_hash2_on_bind } from "../../include/net/inet_hashtables.js";
import {
	__inet_ehashfn,
	inet_sk_flowi_flags,
	ip_sock_rt_scope,
	ipv6_only_sock,
} from "../../include/net/inet_sock.js";
import {
	inet_is_local_reserved_port,
	inet_reset_saddr,
	ipv4_portaddr_hash,
} from "../../include/net/ip.js";
import {
	type In6Addr,
	ipv6_addr_set_v4mapped,
	ipv6_iface_scope_id,
} from "../../include/net/ipv6.js";
import {
	IFF_UP,
	LOOPBACK_IFINDEX,
	type Net,
	RT_SCOPE_LINK,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
} from "../../include/net/net_namespace.js";
import {
	INET_RECVERR,
	PROT_UDP,
	type Proto,
	RCV_SHUTDOWN,
	SOCK_BINDADDR_LOCK,
	SOCK_BINDPORT_LOCK,
	SOCK_BROADCAST,
	SOCK_DEAD,
	sk_add_node_rcu,
	sk_net,
	sk_prot,
	sock_error,
	type UdpPending,
} from "../../include/net/sock.js";
import { reuseport_has_conns } from "../../include/net/sock_reuseport.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_CLOSE, TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import {
	type Datagram,
	setUdpHashes,
	UDP_HTABLE_SIZE_MIN_PERNET,
	UdpTable,
	udp_hashed4,
	udp_hashslot,
	udp_hashslot2,
	udp_hashslot4,
	udp_lib_hash,
	udp_port_hash,
	udp_portaddr_hash,
	udp_sk_bound_dev_eq,
	udpPortsPerChain,
} from "../../include/net/udp.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	noTrace,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import {
	EACCES,
	EADDRINUSE,
	EAFNOSUPPORT,
	EAGAIN,
	ECONNREFUSED,
	EDESTADDRREQ,
	EFAULT,
	EINVAL,
	EMSGSIZE,
	EOPNOTSUPP,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { INADDR_ANY, IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { UDP_CORK } from "../../include/uapi/linux/udp.js";
import { dev_get_by_index } from "../core/dev.js";
import {
	intAt,
	intBytes,
	NotModelled,
	sk_common_release,
	sk_free,
	sock_alloc_send_skb,
	sock_i_uid,
} from "../core/sock.js";
import {
	reuseport_add_sock,
	reuseport_alloc,
	reuseport_detach_sock,
	reuseport_select_sock,
} from "../core/sock_reuseport.js";
import { l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import { __ip4_datagram_connect, datagramOif } from "./datagram.js";
import { __ip_dev_find } from "./devinet.js";
import {
	inet_rcv_saddr_any,
	inet_rcv_saddr_equal,
	inet_sk_get_local_port_range,
} from "./inet_connection_sock.js";
import { ip_route_output_flow, ipDatagramDeliverIfindex, ipLocalDeliverIfindex } from "./route.js";

const SIZEOF_UDPHDR = 8;
const SIZEOF_IPHDR = 20;
/** Longest IPv4 packet, bytes. A sender that may fragment can send this much. */
const IP_MAX_MTU = 0xffff;

/** bind() to a given port searches the second hash if the port's chain has more socks than this. */
const LONG_CHAIN = 10;

/** The table of the sock's protocol: UDP's of its namespace, or UDP-Lite's. */
export function udp_get_table_prot(k: Stack, sk: Sk): UdpTable {
	return k.sock.sk_protocol[sk] === IPPROTO_UDPLITE ? k.udplite_table : sk_net(k, sk).udp_table;
}

/**
 * Looks for socks on a chain of the first hash that conflict with sk.
 *
 * If `bitmap` is null, looks at port `num` only. The first sock whose address, device and
 * SO_REUSEADDR overlap with sk's decides: returns it if it conflicts, 0 if both may share by
 * SO_REUSEPORT. Returns 0 if there is no such sock.
 *
 * If `bitmap` is given, sets the bit (port >> `log`) of every port of the chain that sk cannot
 * take, and returns the first sock that conflicts, 0 if none. C always marks all ports of the chain
 * then and ignores `num`. Here `num` 0 marks all; another `num` marks only this port
 * (udpCandidate).
 */
function udp_lib_lport_inuse(
	k: Stack,
	net: Net,
	num: Port,
	table: UdpTable,
	slot: number,
	bitmap: Uint32Array | null,
	sk: Sk,
	log: number,
): Sk {
	const S = k.sock;
	const { skc_net, skc_reuse, skc_bound_dev_if, node_next } = S;
	const uid = sock_i_uid(k, sk);
	let marked: Sk = 0;
	for (let sk2 = table.hash[slot]; sk2 !== 0; sk2 = node_next[sk2]) {
		if (
			skc_net[sk2] === net.id &&
			sk2 !== sk &&
			(num === 0 || udp_port_hash(S, sk2) === num) &&
			(skc_reuse[sk2] === 0 || skc_reuse[sk] === 0) &&
			(skc_bound_dev_if[sk2] === 0 ||
				skc_bound_dev_if[sk] === 0 ||
				skc_bound_dev_if[sk2] === skc_bound_dev_if[sk]) &&
			inet_rcv_saddr_equal(k, sk, sk2, true)
		) {
			if (
				S.skc_reuseport[sk2] !== 0 &&
				S.skc_reuseport[sk] !== 0 &&
				S.sk_reuseport_cb[sk] === 0 &&
				uid === sock_i_uid(k, sk2)
			) {
				if (bitmap === null) return 0;
			} else {
				if (bitmap === null) return sk2;
				__set_bit(udp_port_hash(S, sk2) >>> log, bitmap);
				if (marked === 0) marked = sk2;
			}
		}
	}
	return marked;
}

/** The sock on a chain of the second hash that conflicts with sk on port `num`, 0 if none. */
function udp_lib_lport_inuse2(
	k: Stack,
	net: Net,
	num: Port,
	table: UdpTable,
	slot2: number,
	sk: Sk,
): Sk {
	const S = k.sock;
	const { skc_net, skc_reuse, skc_reuseport, skc_bound_dev_if, sk_reuseport_cb } = S;
	const uid = sock_i_uid(k, sk);
	for (let sk2 = table.hash2[slot2]; sk2 !== 0; sk2 = S.bind_node_next[sk2]) {
		if (
			skc_net[sk2] === net.id &&
			sk2 !== sk &&
			udp_port_hash(S, sk2) === num &&
			(skc_reuse[sk2] === 0 || skc_reuse[sk] === 0) &&
			(skc_bound_dev_if[sk2] === 0 ||
				skc_bound_dev_if[sk] === 0 ||
				skc_bound_dev_if[sk2] === skc_bound_dev_if[sk]) &&
			inet_rcv_saddr_equal(k, sk, sk2, true)
		) {
			if (
				skc_reuseport[sk2] !== 0 &&
				skc_reuseport[sk] !== 0 &&
				sk_reuseport_cb[sk] === 0 &&
				uid === sock_i_uid(k, sk2)
			) {
				return 0;
			}
			return sk2;
		}
	}
	return 0;
}

/**
 * What the search of udp_lib_get_port decides for one port: CANDIDATE_OK, or the reason to skip it
 * (CANDIDATE_*). The search marks all ports of a chain at once; this marks one. Stores the sock
 * that conflicts in k.blocker, 0 if none.
 */
export function udpCandidate(k: Stack, net: Net, sk: Sk, port: Port): number {
	const table = udp_get_table_prot(k, sk);
	const { bitmap, log } = table;
	const slot = udp_hashslot(table, net, port);
	bitmap_zero(bitmap, udpPortsPerChain(log));
	k.blocker = udp_lib_lport_inuse(k, net, port, table, slot, bitmap, sk, log);
	if (test_bit(port >>> log, bitmap)) return CANDIDATE_CONFLICT;
	return inet_is_local_reserved_port(net, port) ? CANDIDATE_RESERVED : CANDIDATE_OK;
}

/**
 * Skips the chains on which udp_lib_get_port's search finds no port, and gives the same answers as
 * that search, but faster. Looks at the chains in the same order, from the chain of port `first` to
 * the one before `last`. Returns the `first` of the first chain with a port that sk can take, -1 if
 * there is none. Changes only table.bitmap and table.refused.
 *
 * It passes over the ports that table.refused remembers. A chain without socks has an open port then.
 * The others are for udpScanChains. A bind() that fails over 16,000 ports, each with a sock, takes 1 ns
 * a port with udpScan and 21 ns without (`npm run bench -- --only scans`).
 */
export function udpScan(
	k: Stack,
	net: Net,
	sk: Sk,
	low: number,
	high: number,
	first: number,
	last: number,
): number {
	const S = k.sock;
	const table = udp_get_table_prot(k, sk);
	const plain =
		S.skc_family[sk] === AF_INET &&
		S.skc_reuse[sk] === 0 &&
		S.skc_reuseport[sk] === 0 &&
		S.skc_bound_dev_if[sk] === 0 &&
		hlist_unhashed(S.node_pprev, sk);
	if (plain) {
		const { refused, hash } = table;
		const saddr = S.skc_rcv_saddr[sk];
		first = refused.skipChains(net, saddr, table.mask, low, high, first, last);
		if (first < 0) return -1;
		const empty = hash[udp_hashslot(table, net, first)] === 0;
		if (!empty) first = udpScanChains(k, net, sk, table, true, low, high, first, last);
		// The caller takes port `first` if it is open.
		if (low <= first && first <= high && !inet_is_local_reserved_port(net, first)) {
			if (empty || !test_bit(first >>> table.log, table.bitmap)) {
				refused.takes(net.id, saddr, first, high - low + 1);
			}
		}
		return first;
	}
	return udpScanChains(k, net, sk, table, false, low, high, first, last);
}

/**
 * udpScan from the chain of `first` on, which is not remembered. It avoids function calls, does not
 * read columns that do not matter with this sock's options, and skips the ports of a chain outside the
 * range. `plain`: table.refused has ports that this sock cannot take.
 */
function udpScanChains(
	k: Stack,
	net: Net,
	sk: Sk,
	table: UdpTable,
	plain: boolean,
	low: number,
	high: number,
	first: number,
	last: number,
): number {
	const S = k.sock;
	const { node_next, skc_net, skc_hash, skc_reuse, skc_reuseport, skc_bound_dev_if } = S;
	const { skc_ipv6only, skc_rcv_saddr } = S;
	const { hash, bitmap, mask, log, refused } = table;
	const words = BITS_TO_LONGS(udpPortsPerChain(log));
	const reserved = net.ipv4.sysctl_local_reserved_ports;
	const hash_mix = net.hash_mix | 0;
	const id = net.id | 0;

	const reuse = skc_reuse[sk] !== 0;
	const dif = skc_bound_dev_if[sk];
	const is_ipv6 = S.skc_family[sk] === AF_INET6;
	const saddr = skc_rcv_saddr[sk];
	const joins = skc_reuseport[sk] !== 0 && S.sk_reuseport_cb[sk] === 0;
	const uid = sock_i_uid(k, sk);
	let refusals = 0;

	do {
		for (let word = 0; word < words; word++) bitmap[word] = 0;
		let sk2 = hash[(first + hash_mix) & mask];
		for (; sk2 !== 0; sk2 = node_next[sk2]) {
			if (skc_net[sk2] !== id || sk2 === sk) continue;
			if (reuse && skc_reuse[sk2] !== 0) continue;
			if (dif !== 0 && skc_bound_dev_if[sk2] !== 0 && skc_bound_dev_if[sk2] !== dif) continue;
			if (is_ipv6) {
				if (!inet_rcv_saddr_equal(k, sk, sk2, true)) continue;
			} else {
				if (skc_ipv6only[sk2] !== 0) continue;
				const saddr2 = skc_rcv_saddr[sk2];
				if (saddr2 !== saddr && saddr2 !== INADDR_ANY && saddr !== INADDR_ANY) continue;
			}
			if (joins && skc_reuseport[sk2] !== 0 && sock_i_uid(k, sk2) === uid) continue;
			const taken = skc_hash[sk2] & 0xffff;
			const bit = taken >>> log;
			bitmap[bit >>> 5] |= 1 << (bit & 31);
			if (plain && refused.pays(++refusals)) {
				refused.remember(id, saddr, 0, 0, taken, high - low + 1);
			}
		}
		let port = low + ((first - low) & mask);
		for (; port <= high; port += mask + 1) {
			const bit = port >>> log;
			if ((bitmap[bit >>> 5] & (1 << (bit & 31))) !== 0) continue;
			if ((reserved[port >>> 5] & (1 << (port & 31))) === 0) return first;
		}
		first = (first + 1) & 0xffff;
		if (plain && first !== last) {
			first = refused.skipChains(net, saddr, mask, low, high, first, last);
			if (first < 0) return -1;
		}
	} while (first !== last);
	return -1;
}

/**
 * Adds a sock to the reuseport group of another sock on its chain with the same port, address,
 * device and user, or to a new group. Returns 0 or a negative errno.
 */
function udp_reuseport_add_sock(k: Stack, sk: Sk, table: UdpTable, slot: number): number {
	const S = k.sock;
	const uid = sock_i_uid(k, sk);
	for (let sk2 = table.hash[slot]; sk2 !== 0; sk2 = S.node_next[sk2]) {
		if (
			S.skc_net[sk2] === S.skc_net[sk] &&
			sk2 !== sk &&
			S.skc_family[sk2] === S.skc_family[sk] &&
			ipv6_only_sock(k, sk2) === ipv6_only_sock(k, sk) &&
			udp_port_hash(S, sk2) === udp_port_hash(S, sk) &&
			S.skc_bound_dev_if[sk2] === S.skc_bound_dev_if[sk] &&
			S.skc_reuseport[sk2] !== 0 &&
			uid === sock_i_uid(k, sk2) &&
			inet_rcv_saddr_equal(k, sk, sk2, false)
		) {
			return reuseport_add_sock(k, sk, sk2);
		}
	}
	return reuseport_alloc(k, sk);
}

/**
 * Reports to the tracer which ports of the chain of `first` were skipped, and which one was chosen
 * (`chosen`, -1 if none).
 */
function traceChain(
	k: Stack,
	net: Net,
	sk: Sk,
	low: number,
	high: number,
	first: number,
	rand: number,
	chosen: number,
): void {
	let snum = first;
	do {
		if (snum === chosen) {
			k.trace.chosen(snum);
			return;
		}
		if (low <= snum && snum <= high) {
			k.trace.skip(snum, udpCandidate(k, net, sk, snum), k.blocker);
		}
		snum = (snum + rand) & 0xffff;
	} while (snum !== first);
}

/**
 * The result of udp_lib_get_port's search on the second hash, for check mode. Without
 * udp-wildcard-hash2-shortcut-fixed a wildcard sock searches only two chains: that of its own
 * address and that of the wildcard. A sock with another address is on these chains only by chance,
 * if the hash secret puts it there. `exist` is the sock that conflicts with the model's secret, 0
 * if none. If the result depends on the secret, k.askSecret() decides. Returns the sock that
 * conflicts, 0 if none.
 */
function askWildcardShortcut(
	k: Stack,
	net: Net,
	table: UdpTable,
	sk: Sk,
	snum: Port,
	hash2_nulladdr: number,
	exist: number,
): Sk {
	const S = k.sock;
	if (exist !== 0) {
		// udp_portaddr_hash of sk does not include the port yet.
		const hash2 = udp_portaddr_hash(S, exist);
		const own = (udp_portaddr_hash(S, sk) ^ snum) & 0xffff;
		if (hash2 === own || hash2 === (hash2_nulladdr & 0xffff)) return exist;
	}
	const slot = udp_hashslot(table, net, snum);
	const other = udp_lib_lport_inuse(k, net, snum, table, slot, null, sk, 0);
	if (other === 0 || !k.askSecret("hash_mix")) return exist;
	return exist === 0 ? other : 0;
}

/**
 * Binds a sock to the local port `snum` and hashes it. If `snum` is 0, binds it to any open port.
 * The search starts at a random port of the range. It tries all ports of this port's chain in
 * random strides, then those of the chain of the next port, and so on. `hash2_nulladdr` is the
 * hash of the wildcard address and snum. Returns 0 or -EADDRINUSE.
 *
 * If the chain of a given port is long, the search uses the second hash: the chain of the sock's
 * address and the chain of the wildcard. Without udp-wildcard-hash2-shortcut-fixed a wildcard sock
 * does so as well, and misses socks that are bound to an address.
 *
 * `break found` and `break scan_primary_hash` stand for C's goto to the label of this name.
 */
export function udp_lib_get_port(k: Stack, sk: Sk, snum: Port, hash2_nulladdr: number): number {
	const S = k.sock;
	const udptable = udp_get_table_prot(k, sk);
	const net = sk_net(k, sk);
	let hslot: number;
	let hslot2: number;

	found: {
		if (snum === 0) {
			const { bitmap, mask, log } = udptable;
			const ports_per_chain = udpPortsPerChain(log);
			inet_sk_get_local_port_range(k, sk);
			const { low, high } = k;
			const remaining = high - low + 1;
			k.trace.search(SEARCH_UDP, sk, low, high);

			let rand = k.draws.udpRand(sk, low, high); // get_random_u32()
			let first = (reciprocal_scale(rand, remaining) + low) | 0;
			k.trace.scan(low, remaining, first - low, 0, false);
			// An odd multiple of the number of slots: the steps reach each port of a chain once.
			rand = Math.imul(rand | 1, mask + 1);
			const last = (first + mask + 1) & 0xffff;
			if (k.trace === noTrace) {
				// If nobody traces, udpScan skips the chains without an open port.
				first =
					k.guide === null
						? udpScan(k, net, sk, low, high, first, last)
						: k.guide.udpScan(net, sk, low, high, first, last);
				if (first < 0) return -EADDRINUSE;
			}
			do {
				hslot = udp_hashslot(udptable, net, first);
				bitmap_zero(bitmap, ports_per_chain);
				udp_lib_lport_inuse(k, net, 0, udptable, hslot, bitmap, sk, log);

				snum = first;
				do {
					if (
						low <= snum &&
						snum <= high &&
						!test_bit(snum >>> log, bitmap) &&
						!inet_is_local_reserved_port(net, snum)
					) {
						if (k.trace !== noTrace) traceChain(k, net, sk, low, high, first, rand, snum);
						break found;
					}
					snum = (snum + rand) & 0xffff;
				} while (snum !== first);
				if (k.trace !== noTrace) traceChain(k, net, sk, low, high, first, rand, -1);
				first = (first + 1) & 0xffff;
			} while (first !== last);
			k.trace.chosen(0);
			return -EADDRINUSE;
		}
		hslot = udp_hashslot(udptable, net, snum);
		const fixed = k.changes.has("udp-wildcard-hash2-shortcut-fixed"); // since 7.0, e537dd15d0d4
		scan_primary_hash: if (
			(!fixed || inet_use_hash2_on_bind(k, sk)) &&
			udptable.count[hslot] > LONG_CHAIN
		) {
			const slot2 = udp_hashslot2(udptable, udp_portaddr_hash(S, sk) ^ snum);
			if (udptable.count[hslot] < udptable.count2[slot2]) break scan_primary_hash;

			let exist = udp_lib_lport_inuse2(k, net, snum, udptable, slot2, sk);
			hslot2 = udp_hashslot2(udptable, hash2_nulladdr);
			if (exist === 0 && hslot2 !== slot2) {
				exist = udp_lib_lport_inuse2(k, net, snum, udptable, hslot2, sk);
			}
			if (!fixed) exist = askWildcardShortcut(k, net, udptable, sk, snum, hash2_nulladdr, exist);
			k.trace.bound(sk, snum, true, verdictOf(exist), exist);
			if (exist !== 0) return -EADDRINUSE;
			break found;
		}
		// scan_primary_hash:
		const exist = udp_lib_lport_inuse(k, net, snum, udptable, hslot, null, sk, 0);
		k.trace.bound(sk, snum, false, verdictOf(exist), exist);
		if (exist !== 0) return -EADDRINUSE;
	}
	// found:
	const portaddr_hash = udp_portaddr_hash(S, sk);
	S.skc_num[sk] = snum;
	setUdpHashes(S, sk, snum, portaddr_hash ^ snum);
	if (hlist_unhashed(S.node_pprev, sk)) {
		if (S.skc_reuseport[sk] !== 0 && udp_reuseport_add_sock(k, sk, udptable, hslot) !== 0) {
			S.skc_num[sk] = 0;
			setUdpHashes(S, sk, 0, portaddr_hash);
			return -EADDRINUSE;
		}

		sk_add_node_rcu(S, sk, udptable.hash, hslot);
		udptable.count[hslot]++;

		hslot2 = udp_hashslot2(udptable, udp_portaddr_hash(S, sk));
		if (S.skc_reuseport[sk] !== 0 && S.skc_family[sk] === AF_INET6) {
			hlist_add_tail_rcu(udptable.hash2, S.bind_node_next, S.bind_node_pprev, hslot2, sk);
		} else {
			hlist_add_head(udptable.hash2, S.bind_node_next, S.bind_node_pprev, hslot2, sk);
		}
		udptable.count2[hslot2]++;
	}
	return 0;
}

function verdictOf(sk2: Sk): number {
	return sk2 === 0 ? CANDIDATE_OK : CANDIDATE_CONFLICT;
}

/** Binds an AF_INET sock to a port; 0 lets the search choose. See udp_lib_get_port. Returns 0 or -EADDRINUSE. */
export function udp_v4_get_port(k: Stack, sk: Sk, snum: Port): number {
	const net = sk_net(k, sk);
	const hash2_nulladdr = ipv4_portaddr_hash(net, INADDR_ANY, snum);
	const hash2_partial = ipv4_portaddr_hash(net, k.sock.skc_rcv_saddr[sk], 0);
	setUdpHashes(k.sock, sk, udp_port_hash(k.sock, sk), hash2_partial);
	return udp_lib_get_port(k, sk, snum, hash2_nulladdr);
}

/** How well a sock fits a datagram over IPv4, -1: not at all. */
function compute_score(
	k: Stack,
	sk: Sk,
	net: Net,
	saddr: number,
	sport: Port,
	daddr: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): number {
	const S = k.sock;
	if (S.skc_net[sk] !== net.id || udp_port_hash(S, sk) !== hnum || ipv6_only_sock(k, sk)) {
		return -1;
	}
	if (S.skc_rcv_saddr[sk] !== daddr) return -1;
	let score = S.skc_family[sk] === AF_INET ? 2 : 1;
	if (S.skc_daddr[sk] !== 0) {
		if (S.skc_daddr[sk] !== saddr) return -1;
		score += 4;
	}
	if (S.skc_dport[sk] !== 0) {
		if (S.skc_dport[sk] !== sport) return -1;
		score += 4;
	}
	if (!udp_sk_bound_dev_eq(net, S.skc_bound_dev_if[sk], dif, sdif)) return -1;
	if (S.skc_bound_dev_if[sk] !== 0) score += 4;
	if (S.sk_incoming_cpu[sk] !== 0) score++;
	return score;
}

/** Draws a secret for the hash of lookups (net_get_random_once). */
export function drawUdpSecret(k: Stack): number {
	const secret = new Uint32Array(1);
	k.random.get_random_bytes(secret);
	return secret[0];
}

function udp_ehashfn(
	k: Stack,
	net: Net,
	laddr: number,
	lport: Port,
	faddr: number,
	fport: Port,
): number {
	const secrets = k.udp_table;
	secrets.udp_ehash_secret ??= drawUdpSecret(k);
	return __inet_ehashfn(laddr, lport, faddr, fport, secrets.udp_ehash_secret + net.hash_mix);
}

/**
 * The member of a sock's reuseport group that receives a datagram, 0 if the sock is in no group.
 */
function lookup_reuseport(
	k: Stack,
	net: Net,
	sk: Sk,
	saddr: number,
	sport: Port,
	daddr: number,
	hnum: Port,
): Sk {
	if (k.sock.skc_reuseport[sk] === 0 || k.sock.skc_state[sk] === TCP_ESTABLISHED) return 0;
	return reuseport_select_sock(k, sk, udp_ehashfn(k, net, daddr, hnum, saddr, sport));
}

/**
 * The sock with the best score on a chain of the second hash, 0 if none. With equal scores the
 * first sock wins.
 */
function udp4_lib_lookup2(
	k: Stack,
	net: Net,
	saddr: number,
	sport: Port,
	daddr: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
	table: UdpTable,
	slot2: number,
): Sk {
	const S = k.sock;
	const rescored = k.changes.has("udp-reuseport-rescored"); // since 6.6, f0ea27e7bfe1
	const upwards = k.changes.has("udp-reuseport-rescored-upwards"); // since 6.10, 50aee97d1511
	let result: Sk = 0;
	let badness = 0;
	for (let sk = table.hash2[slot2]; sk !== 0; sk = S.bind_node_next[sk]) {
		const score = compute_score(k, sk, net, saddr, sport, daddr, hnum, dif, sdif);
		if (score <= badness) continue;
		badness = score;
		const reuse_sk = lookup_reuseport(k, net, sk, saddr, sport, daddr, hnum);
		if (reuse_sk === 0) {
			result = sk;
			continue;
		}
		// If the group has connected members, the search goes on: one of them may have a better
		// score.
		if (!reuseport_has_conns(k, sk)) return reuse_sk;
		result = reuse_sk;
		if (rescored) {
			const own = compute_score(k, reuse_sk, net, saddr, sport, daddr, hnum, dif, sdif);
			if (own > badness || !upwards) badness = own;
		}
	}
	return result;
}

/**
 * The connected sock of a four-tuple, 0 if none. If there are several, the one that was put on
 * the chain last.
 */
function udp4_lib_lookup4(
	k: Stack,
	net: Net,
	saddr: number,
	sport: Port,
	daddr: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
	table: UdpTable,
): Sk {
	const S = k.sock;
	const hash4 = udp_ehashfn(k, net, daddr, hnum, saddr, sport);
	let sk = table.hash4[udp_hashslot4(table, hash4)];
	for (; sk !== 0; sk = S.bind2_node_next[sk]) {
		if (inet_match(net, S, sk, saddr, daddr, sport, hnum, dif, sdif)) break;
	}
	return sk;
}

/**
 * Moves a sock to the chain of a new four-tuple hash. If the chain is the same, it keeps its place.
 */
function udp_rehash4(k: Stack, table: UdpTable, sk: Sk, newhash4: number): void {
	const S = k.sock;
	const slot4 = udp_hashslot4(table, S.udp_lrpa_hash[sk]);
	const nslot4 = udp_hashslot4(table, newhash4);
	S.udp_lrpa_hash[sk] = newhash4;
	if (slot4 === nslot4) return;
	hlist_del_init(table.hash4, S.bind2_node_next, S.bind2_node_pprev, sk);
	hlist_add_head(table.hash4, S.bind2_node_next, S.bind2_node_pprev, nslot4, sk);
}

function udp_unhash4(k: Stack, table: UdpTable, sk: Sk): void {
	const S = k.sock;
	if (!udp_hashed4(S, sk)) return;
	hlist_del_init(table.hash4, S.bind2_node_next, S.bind2_node_pprev, sk);
	table.hash4_cnt[udp_hashslot2(table, udp_portaddr_hash(S, sk))]--;
}

/**
 * Puts a connected sock on the chain of its four-tuple and removes it from its reuseport group. A
 * sock that is on a chain already stays on it, even if its peer changed; udp_lib_rehash moves it
 * only if its local address changes. Since udp-hash4-reconnect it moves to the chain of its new
 * four-tuple.
 */
export function udp_lib_hash4(k: Stack, sk: Sk, hash: number): void {
	const S = k.sock;
	const table = udp_get_table_prot(k, sk);
	const hash16 = hash & 0xffff;
	if (udp_hashed4(S, sk)) {
		if (k.changes.has("udp-hash4-reconnect")) udp_rehash4(k, table, sk, hash16); // since 7.3, 5fd0783b99d4
		return;
	}
	S.udp_lrpa_hash[sk] = hash16;
	if (S.sk_reuseport_cb[sk] !== 0) reuseport_detach_sock(k, sk);
	const slot4 = udp_hashslot4(table, hash16);
	hlist_add_head(table.hash4, S.bind2_node_next, S.bind2_node_pprev, slot4, sk);
	table.hash4_cnt[udp_hashslot2(table, udp_portaddr_hash(S, sk))]++;
}

/** The hash of a sock's IPv4 four-tuple, 16 bits. */
export function udp4SkEhashfn(k: Stack, sk: Sk): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	const [laddr, faddr] = [S.skc_rcv_saddr[sk], S.skc_daddr[sk]];
	return udp_ehashfn(k, net, laddr, S.skc_num[sk], faddr, S.skc_dport[sk]) & 0xffff;
}

/** Hashes a sock that connected over IPv4 by its four-tuple, since udp-hash4. */
export function udp4_hash4(k: Stack, sk: Sk): void {
	const S = k.sock;
	if (!k.changes.has("udp-hash4")) return; // since 6.13, 78c91ae2c6de
	if (hlist_unhashed(S.node_pprev, sk) || S.skc_rcv_saddr[sk] === INADDR_ANY) return;
	udp_lib_hash4(k, sk, udp4SkEhashfn(k, sk));
}

/**
 * The sock that receives a datagram, 0 if none: one on the datagram's address, otherwise a wildcard
 * sock.
 */
function __udp4_lib_lookup(
	k: Stack,
	net: Net,
	saddr: number,
	sport: Port,
	daddr: number,
	dport: Port,
	dif: Ifindex,
	sdif: Ifindex,
	table: UdpTable,
): Sk {
	let slot2 = udp_hashslot2(table, ipv4_portaddr_hash(net, daddr, dport));
	if (table.hash4_cnt[slot2] !== 0) {
		const sk = udp4_lib_lookup4(k, net, saddr, sport, daddr, dport, dif, sdif, table);
		if (sk !== 0) return sk;
	}
	const result = udp4_lib_lookup2(k, net, saddr, sport, daddr, dport, dif, sdif, table, slot2);
	if (result !== 0) return result;
	slot2 = udp_hashslot2(table, ipv4_portaddr_hash(net, INADDR_ANY, dport));
	return udp4_lib_lookup2(k, net, saddr, sport, INADDR_ANY, dport, dif, sdif, table, slot2);
}

/** __udp4_lib_lookup in the table of UDP. */
export function udp4_lib_lookup(
	k: Stack,
	net: Net,
	saddr: number,
	sport: Port,
	daddr: number,
	dport: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	return __udp4_lib_lookup(k, net, saddr, sport, daddr, dport, dif, sdif, net.udp_table);
}

/**
 * An ICMP "port unreachable" for a datagram from `saddr`:`sport`. The sock that would receive an
 * answer to the datagram gets ECONNREFUSED if it is connected or has IP_RECVERR.
 */
function __udp4_lib_err(
	k: Stack,
	net: Net,
	table: UdpTable,
	saddr: number,
	sport: Port,
	daddr: number,
	dport: Port,
	dif: Ifindex,
	sdif: Ifindex,
): void {
	const S = k.sock;
	const sk = __udp4_lib_lookup(k, net, daddr, dport, saddr, sport, dif, sdif, table);
	if (sk === 0) return;
	if ((S.inet_flags[sk] & INET_RECVERR) === 0 && S.skc_state[sk] !== TCP_ESTABLISHED) return;
	S.sk_err[sk] = ECONNREFUSED;
}

/**
 * Whether this host receives a datagram to an address by the route in net.fl4, over lo or a VRF.
 */
function loopsBack(net: Net, daddr: number, oif: Ifindex): boolean {
	if (daddr !== INADDR_ANY) return ipDatagramDeliverIfindex(net, daddr, oif) !== 0;
	const lo = dev_get_by_index(net, LOOPBACK_IFINDEX);
	return lo !== null && (lo.flags & IFF_UP) !== 0;
}

/**
 * Sends a datagram of `size` bytes to `addr`, or to the sock's peer if `addr` is null. Returns size
 * or a negative errno. If this host receives the datagram, this happens before the function
 * returns. Datagrams to broadcast and multicast addresses reach nobody.
 */
export function udp_sendmsg(
	k: Stack,
	sk: Sk,
	addr: Sockaddr | null,
	addr_len: number,
	size: number,
	flags: number,
): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	if (size > 0xffff) return -EMSGSIZE;
	if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
	const corkreq = S.udp_cork[sk] !== 0 || (flags & MSG_MORE) !== 0;
	const pending = S.udp_pending.get(sk);
	if (pending !== undefined) {
		if (pending.family !== AF_INET) return -EINVAL;
		if (!udpAppendData(k, sk, pending, size, IP_MAX_MTU - SIZEOF_IPHDR)) return -EMSGSIZE;
		if (!corkreq) udp_push_pending_frames(k, sk);
		return size;
	}

	let daddr: number;
	let dport: Port;
	if (addr !== null) {
		if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
		if (addr.sin_family !== AF_INET && addr.sin_family !== AF_UNSPEC) return -EAFNOSUPPORT;
		daddr = addr.sin_addr;
		dport = addr.sin_port;
		if (dport === 0) return -EINVAL;
	} else {
		if (S.skc_state[sk] !== TCP_ESTABLISHED) return -EDESTADDRREQ;
		daddr = S.skc_daddr[sk];
		dport = S.skc_dport[sk];
	}

	const oif = datagramOif(net, daddr, S.skc_bound_dev_if[sk]);
	const scope = (flags & MSG_DONTROUTE) !== 0 ? RT_SCOPE_LINK : ip_sock_rt_scope(k, sk);
	const flow_flags = inet_sk_flowi_flags(k, sk);
	let err = ip_route_output_flow(net, daddr, S.inet_saddr[sk], oif, flow_flags, scope);
	if (err < 0) return err;
	if (net.fl4.type === RTN_BROADCAST && (S.sk_flags[sk] & SOCK_BROADCAST) === 0) return -EACCES;
	const arrives = loopsBack(net, daddr, oif);
	// inet_iif: the device of the route (rt_iif) if it has one, otherwise the receiving device. A
	// datagram comes through a VRF only if its address is local.
	const dif = net.fl4.iif !== 0 ? net.fl4.iif : LOOPBACK_IFINDEX;
	const by_vrf = net.fl4.type === RTN_LOCAL && daddr !== INADDR_ANY;
	const sdif = by_vrf ? l3mdev_master_ifindex_by_index(net, dif) : 0;
	let { saddr } = net.fl4;
	daddr = net.fl4.daddr;
	const cork = addr === null ? S.cork_fl.get(sk) : undefined;
	const port = dport;
	if (cork?.cached) {
		({ saddr, daddr, dport } = cork);
	} else if (cork !== undefined) {
		cork.cached = true;
	}

	// ip_make_skb: a UDP sock fragments by default, so the MTU of the device does not matter.
	if (size + SIZEOF_UDPHDR > IP_MAX_MTU - SIZEOF_IPHDR) return -EMSGSIZE;
	err = sock_alloc_send_skb(k, sk);
	if (err < 0) return err;
	const many = net.fl4.type === RTN_BROADCAST || net.fl4.type === RTN_MULTICAST;
	const refused = !many && net.fl4.answer === "refuse";
	const loops = !many && arrives;
	if (corkreq) {
		if (S.skc_state[sk] === TCP_ESTABLISHED) {
			const cached = S.cork_fl.get(sk)?.cached ?? true;
			S.cork_fl.set(sk, { saddr, daddr, dport: port, cached });
		}
		const route = { arrives: loops, dif, sdif, oif, refused };
		const frames = { family: AF_INET, len: size, saddr, daddr, v6: null, dport: port, ...route };
		S.udp_pending.set(sk, frames);
		return size;
	}
	udp_send_skb(k, sk, saddr, daddr, dport, size, loops, dif, sdif, oif, refused);
	return size;
}

/** Sends a datagram over IPv4. A broadcast or multicast one has no receiver here. */
function udp_send_skb(
	k: Stack,
	sk: Sk,
	saddr: number,
	daddr: number,
	dport: Port,
	size: number,
	arrives: boolean,
	dif: Ifindex,
	sdif: Ifindex,
	oif: Ifindex,
	refused: boolean,
): void {
	const net = sk_net(k, sk);
	const table = udp_get_table_prot(k, sk);
	const sport = k.sock.inet_sport[sk];
	if (arrives) {
		__udp4_lib_rcv(k, net, table, saddr, sport, daddr, dport, size, dif, sdif);
	} else if (refused) {
		__udp4_lib_err(k, net, table, saddr, sport, daddr, dport, oif, 0);
	}
}

/** Drops a datagram that is held back. */
function udp_flush_pending_frames(k: Stack, sk: Sk): void {
	k.sock.udp_pending.delete(sk);
}

/**
 * ip_append_data to a datagram that is held back. Returns false, and drops the datagram, if it becomes
 * longer than `most` bytes with its header.
 */
export function udpAppendData(
	k: Stack,
	sk: Sk,
	pending: UdpPending,
	size: number,
	most: number,
): boolean {
	if (pending.len + size + SIZEOF_UDPHDR > most) {
		udp_flush_pending_frames(k, sk);
		return false;
	}
	pending.len += size;
	return true;
}

/** Sends the datagram that a sock holds back over IPv4. */
export function udp_push_pending_frames(k: Stack, sk: Sk): void {
	const pending = k.sock.udp_pending.get(sk);
	if (pending === undefined) return;
	k.sock.udp_pending.delete(sk);
	const { saddr, daddr, dport, len, arrives, dif, sdif, oif, refused } = pending;
	udp_send_skb(k, sk, saddr, daddr, dport, len, arrives, dif, sdif, oif, refused);
}

/**
 * setsockopt() on the levels of UDP and UDP-Lite. `push_pending_frames` is that of the family. Only
 * UDP_CORK is modelled. Returns 0 or a negative errno.
 */
export function udp_lib_setsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	push_pending_frames: (k: Stack, sk: Sk) => void,
): number {
	if (optname !== UDP_CORK) throw new NotModelled(`setsockopt level ${SOL_UDP} option ${optname}`);
	if (optlen < 4) return -EINVAL;
	if (optval === null || optval.length < 4) return -EFAULT;
	const val = intAt(optval);
	k.sock.udp_cork[sk] = val !== 0 ? 1 : 0;
	if (val === 0) push_pending_frames(k, sk);
	return 0;
}

/** getsockopt() on the levels of UDP and UDP-Lite. Only UDP_CORK is modelled. */
export function udp_lib_getsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optlen: number,
): Uint8Array | number {
	if (optname !== UDP_CORK) throw new NotModelled(`getsockopt level ${SOL_UDP} option ${optname}`);
	if (optlen < 0) return -EINVAL;
	return intBytes(k.sock.udp_cork[sk], optlen);
}

/**
 * __skb_recv_udp. Takes the oldest datagram from the queue of a sock, or with MSG_PEEK only looks
 * at it. Returns null if there is none, or an error is pending. k.recv_err is then 0 or a negative
 * errno.
 */
function __skb_recv_udp(k: Stack, sk: Sk, flags: number): Datagram | null {
	k.recv_err = sock_error(k, sk);
	if (k.recv_err !== 0) return null;
	const queue = udp_get_table_prot(k, sk).receive_queue.get(sk);
	const datagram = queue?.[0];
	if (datagram !== undefined) {
		if ((flags & MSG_PEEK) === 0) queue?.shift();
		return datagram;
	}
	if ((flags & MSG_DONTWAIT) !== 0) k.recv_err = -EAGAIN;
	else if ((k.sock.sk_shutdown[sk] & RCV_SHUTDOWN) === 0) k.recv_err = -ERESTARTSYS;
	return null;
}

/** The result of a receive of `size` bytes: the copied bytes, with MSG_TRUNC the real length. */
export function datagramCopied(len: number, size: number, flags: number): number {
	return (flags & MSG_TRUNC) !== 0 ? len : Math.min(len, size);
}

/** The sender of a datagram, as a sock of its family shows it (msg_name). */
export function udpSender(k: Stack, sk: Sk, skb: Datagram): Sockaddr {
	if (k.sock.skc_family[sk] === AF_INET) return sockaddr_in(skb.saddr, skb.sport);
	const saddr: In6Addr = skb.v6_saddr?.slice() ?? new Uint32Array(4);
	if (skb.v6_saddr === null) ipv6_addr_set_v4mapped(skb.saddr, saddr, 0);
	return sockaddr_in6(saddr, skb.sport, ipv6_iface_scope_id(saddr, 0, skb.iif));
}

/**
 * Receives a datagram. Returns its length, at most `size`, or a negative errno: the pending error,
 * -EAGAIN if the queue is empty and the file does not block, -ERESTARTSYS if the task would
 * sleep. After shutdown() a blocking call returns 0 instead of sleeping.
 */
export function udp_recvmsg(k: Stack, sk: Sk, size: number, flags: number): number {
	const skb = __skb_recv_udp(k, sk, flags);
	if (skb === null) return k.recv_err;
	k.msg_name = udpSender(k, sk, skb);
	return datagramCopied(skb.len, size, flags);
}

/** connect() of a UDP sock that has a port. Returns 0 or a negative errno. */
function udp_connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const res = __ip4_datagram_connect(k, sk, addr, addr_len);
	if (res === 0) udp4_hash4(k, sk);
	return res;
}

/**
 * connect() with AF_UNSPEC: removes the peer and the device of the sock. Also releases an address
 * or a port that bind() did not name.
 */
function __udp_disconnect(k: Stack, sk: Sk): number {
	const S = k.sock;
	S.skc_state[sk] = TCP_CLOSE;
	S.skc_daddr[sk] = 0;
	S.skc_dport[sk] = 0;
	S.skc_bound_dev_if[sk] = 0;
	S.cork_fl.delete(sk);
	if ((S.sk_userlocks[sk] & SOCK_BINDADDR_LOCK) === 0) {
		inet_reset_saddr(k, sk);
		if ((S.sk_userlocks[sk] & SOCK_BINDPORT_LOCK) !== 0) sk_prot(k, sk).rehash?.(k, sk);
	}
	if ((S.sk_userlocks[sk] & SOCK_BINDPORT_LOCK) === 0) {
		sk_prot(k, sk).unhash(k, sk);
		S.inet_sport[sk] = 0;
	}
	return 0;
}

export function udp_disconnect(k: Stack, sk: Sk): number {
	// Before udp-hash4-reconnect the sock leaves the third hash only if it loses its address or
	// port.
	if (k.changes.has("udp-hash4-reconnect")) udp_unhash4(k, udp_get_table_prot(k, sk), sk); // since 7.3, 5fd0783b99d4
	return __udp_disconnect(k, sk);
}

/** A sock leaves its port, or its address changes. It still has its port. */
function leavesUdp(k: Stack, sk: Sk): void {
	const { refused } = udp_get_table_prot(k, sk);
	refused.forgetPort(k.sock.skc_net[sk], udp_port_hash(k.sock, sk));
	k.guide?.leavesUdp(sk);
}

/** Takes a sock off all its chains and releases its port. */
export function udp_lib_unhash(k: Stack, sk: Sk): void {
	const S = k.sock;
	if (hlist_unhashed(S.node_pprev, sk)) return;
	leavesUdp(k, sk);
	const table = udp_get_table_prot(k, sk);
	const slot = udp_hashslot(table, sk_net(k, sk), udp_port_hash(S, sk));
	const slot2 = udp_hashslot2(table, udp_portaddr_hash(S, sk));
	if (S.sk_reuseport_cb[sk] !== 0) reuseport_detach_sock(k, sk);
	hlist_del_init(table.hash, S.node_next, S.node_pprev, sk);
	table.count[slot]--;
	S.skc_num[sk] = 0;
	hlist_del_init(table.hash2, S.bind_node_next, S.bind_node_pprev, sk);
	table.count2[slot2]--;
	udp_unhash4(k, table, sk);
}

/**
 * Moves a sock whose local address changed to the chain of its new second hash, `newhash`. Removes
 * it from its reuseport group, because all members have the same address. If the sock is on a chain
 * of the third hash, it moves to the chain of `newhash4`, or leaves the third hash if its address
 * is the wildcard now.
 */
export function udp_lib_rehash(k: Stack, sk: Sk, newhash: number, newhash4: number): void {
	const S = k.sock;
	if (hlist_unhashed(S.node_pprev, sk)) return;
	leavesUdp(k, sk);
	const table = udp_get_table_prot(k, sk);
	const slot2 = udp_hashslot2(table, udp_portaddr_hash(S, sk));
	const nslot2 = udp_hashslot2(table, newhash);
	if (S.sk_reuseport_cb[sk] !== 0) reuseport_detach_sock(k, sk);
	if (slot2 !== nslot2) {
		hlist_del_init(table.hash2, S.bind_node_next, S.bind_node_pprev, sk);
		table.count2[slot2]--;
		hlist_add_head(table.hash2, S.bind_node_next, S.bind_node_pprev, nslot2, sk);
		table.count2[nslot2]++;
	}
	if (udp_hashed4(S, sk)) {
		if (inet_rcv_saddr_any(k, sk)) {
			udp_unhash4(k, table, sk);
		} else {
			udp_rehash4(k, table, sk, newhash4);
			table.hash4_cnt[slot2]--;
			table.hash4_cnt[nslot2]++;
		}
	}
	setUdpHashes(S, sk, udp_port_hash(S, sk), newhash);
}

export function udp_v4_rehash(k: Stack, sk: Sk): void {
	const S = k.sock;
	// The device changed, so the cached route is dropped (sock_bindtoindex_locked: sk_dst_reset).
	const cork = S.cork_fl.get(sk);
	if (cork !== undefined) cork.cached = false;
	const new_hash = ipv4_portaddr_hash(sk_net(k, sk), S.skc_rcv_saddr[sk], S.skc_num[sk]);
	udp_lib_rehash(k, sk, new_hash, udp_hashed4(S, sk) ? udp4SkEhashfn(k, sk) : 0);
}

/**
 * Appends a datagram to the receive queue of a sock, which has no limit here. If the sock has a
 * peer, stores the CPU in it.
 */
export function udp_queue_rcv_skb(
	k: Stack,
	table: UdpTable,
	sk: Sk,
	has_peer: boolean,
	skb: Datagram,
): void {
	if (has_peer) k.sock.sk_incoming_cpu[sk] = 1;
	const queue = table.receive_queue.get(sk);
	if (queue === undefined) table.receive_queue.set(sk, [skb]);
	else queue.push(skb);
	k.datagram_queues?.arrives(table, sk, skb);
}

/**
 * Receives a datagram over lo, or over the VRF `sdif`. `dif` is the device of its destination. If
 * no sock matches, the sender gets an ICMP error, provided that the destination address can send
 * one and there is a route back.
 */
function __udp4_lib_rcv(
	k: Stack,
	net: Net,
	table: UdpTable,
	saddr: number,
	sport: Port,
	daddr: number,
	dport: Port,
	len: number,
	dif: Ifindex,
	sdif: Ifindex,
): void {
	const sk = __udp4_lib_lookup(k, net, saddr, sport, daddr, dport, dif, sdif, table);
	if (sk !== 0) {
		const skb = { len, sport, saddr, v6_saddr: null, iif: 0 };
		udp_queue_rcv_skb(k, table, sk, k.sock.skc_daddr[sk] !== 0, skb);
		return;
	}
	if (__ip_dev_find(net, daddr) === null) return;
	// icmp_send: the error arrives by lo, or by the VRF of the sender's address.
	const back = ipLocalDeliverIfindex(net, saddr, sdif);
	if (back === 0) return;
	const vrf = l3mdev_master_ifindex_by_index(net, back);
	const icmp_dif = vrf !== 0 ? vrf : LOOPBACK_IFINDEX;
	__udp4_lib_err(k, net, table, saddr, sport, daddr, dport, icmp_dif, vrf);
}

/** Marks a sock dead and drops its receive queue. */
export function udp_destroy_sock(k: Stack, sk: Sk): void {
	const table = udp_get_table_prot(k, sk);
	k.sock.sk_flags[sk] |= SOCK_DEAD;
	udp_flush_pending_frames(k, sk);
	k.datagram_queues?.leaves(table, sk);
	table.receive_queue.delete(sk);
	k.sock.cork_fl.delete(sk);
}

/** include/net/udp.h: udp_lib_close. The last close() of a sock. */
export function udp_lib_close(k: Stack, sk: Sk): void {
	sk_common_release(k, sk);
	sk_free(k, sk);
}

/**
 * udp_set_table: the table of a new namespace that a task in `old_net` makes. null: the first one.
 */
export function udp_set_table(k: Stack, old_net: Net | null): UdpTable {
	const hash_entries = old_net?.ipv4.sysctl_udp_child_hash_entries ?? 0;
	if (hash_entries === 0) return k.udp_table;
	const size = 2 ** Math.ceil(Math.log2(hash_entries));
	const min = UDP_HTABLE_SIZE_MIN_PERNET;
	return new UdpTable(Math.max(size, min), min);
}

export const udp_prot: Proto = {
	name: "UDP",
	prot: PROT_UDP,
	close: udp_lib_close,
	connect: udp_connect,
	disconnect: udp_disconnect,
	destroy: udp_destroy_sock,
	sendmsg: udp_sendmsg,
	recvmsg: udp_recvmsg,
	hash: udp_lib_hash,
	unhash: udp_lib_unhash,
	rehash: udp_v4_rehash,
	get_port: udp_v4_get_port,
	put_port: udp_lib_unhash,
	no_autobind: false,
};
