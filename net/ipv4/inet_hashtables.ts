// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/inet_hashtables.c: bind buckets, the tables of listeners and of connections,
 * and connect()'s search for a local port.
 */
import type { Heads, Ifindex, Port, Sk, Tb, Tb2 } from "../../include/linux/handle.js";
import { jhash_3words } from "../../include/linux/jhash.js";
import {
	hlist_add_head,
	hlist_add_tail_rcu,
	hlist_del_init,
	hlist_unhashed,
} from "../../include/linux/list.js";
import { gcd } from "../../include/linux/math.js";
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import {
	type Bind2BucketTable,
	type BindBucketTable,
	type InetHashinfo,
	inet_bhashfn,
	inet_bhashfn_portaddr,
	inet_match,
	inet6_match,
	sk_rcv_saddr_set,
	tcp_or_dccp_get_hashinfo,
} from "../../include/net/inet_hashtables.js";
import {
	__inet_ehashfn,
	inet_sk_bound_dev_eq,
	ipv6_only_sock,
} from "../../include/net/inet_sock.js";
import {
	inet_is_local_reserved_port,
	inet_reset_saddr,
	ipv4_portaddr_hash,
} from "../../include/net/ip.js";
import {
	type In6Addr,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_equal,
	ipv6_addr_v4mapped,
	ipv6_addr_v4mapped_any,
	ipv6_portaddr_hash,
} from "../../include/net/ipv6.js";
import type { Net } from "../../include/net/net_namespace.js";
import { leavesEhash } from "../../include/net/refused_ports.js";
import {
	SOCK_BINDADDR_LOCK,
	SOCK_CONNECT_BIND,
	type SockTable,
	sk_is_connect_bind,
	sk_net,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_CLOSE, TCP_LISTEN, TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import {
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	CANDIDATE_TIME_WAIT,
	CANDIDATE_TUPLE_IN_USE,
	noTrace,
	SEARCH_CONNECT,
} from "../../include/trace/events/port_search.js";
import { EADDRNOTAVAIL, ENOENT } from "../../include/uapi/asm-generic/errno.js";
import { INADDR_ANY } from "../../include/uapi/linux/in.js";
import { swab16, swab32 } from "../../include/uapi/linux/swab.js";
import { secure_ipv4_port_ephemeral } from "../core/secure_seq.js";
import { sock_i_uid } from "../core/sock.js";
import {
	reuseport_add_sock,
	reuseport_alloc,
	reuseport_select_sock,
	reuseport_stop_listen_sock,
} from "../core/sock_reuseport.js";
import {
	__inet6_check_established,
	inet6_ehashfn,
	inet6EhashFhash,
	inet6EhashInitval,
} from "../ipv6/inet6_hashtables.js";
import { inet_sk_bound_l3mdev, l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import {
	inet_csk_update_fastreuse,
	inet_rcv_saddr_equal,
	inet_sk_get_local_port_range,
} from "./inet_connection_sock.js";
import { inet_twsk_bind_unhash, inet_twsk_deschedule_put } from "./inet_timewait_sock.js";
import { tcp_twsk_unique } from "./tcp_ipv4.js";

/** Entries of table_perturb: 2^CONFIG_INET_TABLE_PERTURB_ORDER. */
export const INET_TABLE_PERTURB_SIZE = 1 << 16;

/** What check_established does: it takes the four-tuple if it is free. C: rcu_lookup is false. */
const CHECK_AND_TAKE = 0;
/** Without the lock, since 6.15: whether a socket has the four-tuple, except time-wait sockets. */
export const CHECK_RCU_LOOKUP = 1;
/** For check mode: whether CHECK_AND_TAKE would succeed. */
export const CHECK_ONLY = 2;

/** Hash of a four-tuple for ehash: local address and port, foreign address and port. */
export function inet_ehashfn(
	k: Stack,
	net: Net,
	laddr: number,
	lport: Port,
	faddr: number,
	fport: Port,
): number {
	const initval = inetEhashInitval(k, net);
	// since 6.15, 9544d60a2605
	if (!k.changes.has("ehash-adds-port")) return __inet_ehashfn(laddr, lport, faddr, fport, initval);
	return (lport + __inet_ehashfn(laddr, 0, faddr, fport, initval)) >>> 0;
}

/** The secret part of inet_ehashfn. It is drawn at first use. */
function inetEhashInitval(k: Stack, net: Net): number {
	if (k.inet_ehash_secret === null) k.inet_ehash_secret = k.random.get_random_u32();
	return k.inet_ehash_secret + net.hash_mix;
}

/**
 * Whether the socket's connection runs over IPv6: an AF_INET6 socket, and its peer is not
 * v4-mapped.
 */
export function skOverIpv6(S: SockTable, sk: Sk): boolean {
	return S.skc_family[sk] === AF_INET6 && !ipv6_addr_v4mapped(S.skc_v6_daddr, sk * 4);
}

/** Hash of the socket's four-tuple. */
export function sk_ehashfn(k: Stack, sk: Sk): number {
	return skEhashOfPort(k, sk_net(k, sk), sk, k.sock.skc_num[sk]);
}

/**
 * Hash of the socket's four-tuple with the local port `lport`. Since 6.15 C computes hash_port0 once
 * for a connect(), and adds the port of each candidate. inet_ehashfn adds it last, so the sum is the
 * same.
 */
function skEhashOfPort(k: Stack, net: Net, sk: Sk, lport: Port): number {
	const S = k.sock;
	const dport = S.skc_dport[sk];
	if (skOverIpv6(S, sk)) {
		const at = sk * 4;
		return inet6_ehashfn(k, net, S.skc_v6_rcv_saddr, at, lport, S.skc_v6_daddr, at, dport);
	}
	return inet_ehashfn(k, net, S.skc_rcv_saddr[sk], lport, S.skc_daddr[sk], dport);
}

/** Makes a bind bucket without owners and puts it at the head of its chain. */
export function inet_bind_bucket_create(
	hinfo: InetHashinfo,
	net: Net,
	snum: Port,
	l3mdev: Ifindex,
): Tb {
	const T = hinfo.bind_bucket_cachep;
	const tb = T.kmem_cache_zalloc();
	T.ib_net[tb] = net.id;
	T.l3mdev[tb] = l3mdev;
	T.port[tb] = snum;
	const slot = inet_bhashfn(net, snum, hinfo.bhash_size);
	hlist_add_head(hinfo.bhash, T.node_next, T.node_pprev, slot, tb);
	return tb;
}

/** A socket left a bucket of a port, or its address in the bucket changed. */
function leavesBucket(k: Stack, hinfo: InetHashinfo, net: number, port: Port): void {
	hinfo.refused_binds.forgetPort(net, port);
	k.guide?.leavesBucket(hinfo, net, port);
}

/**
 * Frees a bind bucket if it has no owner left. Since 6.18 (fastreuse-recomputed): if the remaining
 * owners all got the port from connect(), sets fastreuse and fastreuseport to -1 again, so that
 * connect()'s search may use the port.
 */
export function inet_bind_bucket_destroy(k: Stack, hinfo: InetHashinfo, tb: Tb): void {
	const T = hinfo.bind_bucket_cachep;
	leavesBucket(k, hinfo, T.ib_net[tb], T.port[tb]);
	if (T.bhash2[tb] === 0 && T.owners[tb] === 0) {
		hlist_del_init(hinfo.bhash, T.node_next, T.node_pprev, tb);
		T.kmem_cache_free(tb);
		return;
	}
	if (T.fastreuse[tb] === -1 && T.fastreuseport[tb] === -1) return;
	if (!k.changes.has("fastreuse-recomputed")) return; // since 6.18, d57f4b874946
	const T2 = hinfo.bind2_bucket_cachep;
	for (let tb2 = T.bhash2[tb]; tb2 !== 0; tb2 = T2.bhash_node_next[tb2]) {
		if (T2.fastreuse[tb2] !== -1 || T2.fastreuseport[tb2] !== -1) return;
	}
	// No release has this change without bhash-holds-bhash2. Single changes were added or removed.
	for (let sk = T.owners[tb]; sk !== 0; sk = k.sock.bind_node_next[sk]) {
		const tb2 = k.sock.icsk_bind2_hash[sk];
		if (T2.fastreuse[tb2] !== -1 || T2.fastreuseport[tb2] !== -1) return;
	}
	T.fastreuse[tb] = -1;
	T.fastreuseport[tb] = -1;
}

/** Whether tb is the bind bucket of (net, port, l3mdev). */
function inet_bind_bucket_match(
	T: BindBucketTable,
	tb: Tb,
	net: Net,
	port: Port,
	l3mdev: Ifindex,
): boolean {
	return T.ib_net[tb] === net.id && T.port[tb] === port && T.l3mdev[tb] === l3mdev;
}

/**
 * The bind bucket of a port, 0 if there is none. C writes out the loop: inet_bind_bucket_for_each.
 */
export function bindBucketFind(hinfo: InetHashinfo, net: Net, port: Port, l3mdev: Ifindex): Tb {
	const T = hinfo.bind_bucket_cachep;
	let tb = hinfo.bhash[inet_bhashfn(net, port, hinfo.bhash_size)];
	for (; tb !== 0; tb = T.node_next[tb]) {
		if (inet_bind_bucket_match(T, tb, net, port, l3mdev)) break;
	}
	return tb;
}

/**
 * The first owner of a bind bucket in the order of bind()'s check, 0 if none. Since 6.8
 * (bhash-holds-bhash2) it is the first owner of the first bind2 bucket that has owners.
 */
export function bindBucketOwner(hinfo: InetHashinfo, tb: Tb): Sk {
	const { owners, bhash2 } = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	let sk = owners[tb];
	for (let tb2 = bhash2[tb]; sk === 0 && tb2 !== 0; tb2 = T2.bhash_node_next[tb2]) {
		sk = T2.owners[tb2];
	}
	return sk;
}

/** All owners of a bind bucket in the order of bind()'s check: C's loop sk_for_each_bound_bhash. */
export function bindBucketOwners(k: Stack, hinfo: InetHashinfo, tb: Tb): Sk[] {
	const { owners, bhash2 } = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	const next = k.sock.bind_node_next;
	const all: Sk[] = [];
	for (let sk = owners[tb]; sk !== 0; sk = next[sk]) all.push(sk);
	for (let tb2 = bhash2[tb]; tb2 !== 0; tb2 = T2.bhash_node_next[tb2]) {
		for (let sk = T2.owners[tb2]; sk !== 0; sk = next[sk]) all.push(sk);
	}
	return all;
}

/**
 * Makes a bind2 bucket for the socket's address and the port of a bind bucket, and puts it at the
 * head of its chain. `l3mdev` is that of the socket; the bind bucket's may be another if the socket
 * got a device after bind(). Until 6.8 C has a parameter port instead of tb.
 */
export function inet_bind2_bucket_create(k: Stack, net: Net, tb: Tb, l3mdev: Ifindex, sk: Sk): Tb2 {
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const { port, l3mdev: tb_l3mdev, bhash2 } = hinfo.bind_bucket_cachep;
	const T = hinfo.bind2_bucket_cachep;
	const tb2 = T.kmem_cache_zalloc();
	T.ib_net[tb2] = net.id;
	T.l3mdev[tb2] = l3mdev;
	// since 6.8, 822fb91fc724
	if (tb_l3mdev[tb] !== l3mdev && k.changes.has("bind2-device-of-bucket")) {
		T.l3mdev[tb2] = tb_l3mdev[tb];
	}
	T.port[tb2] = port[tb];
	T.family[tb2] = k.sock.skc_family[sk];
	if (T.family[tb2] === AF_INET6) {
		T.in6Alloc(tb2);
		ipv6_addr_copy(T.v6_rcv_saddr, tb2 * 4, k.sock.skc_v6_rcv_saddr, sk * 4);
	} else {
		T.rcv_saddr[tb2] = k.sock.skc_rcv_saddr[sk];
	}
	const slot = inet_bhashfn_portaddr(hinfo, k.sock, sk, net, port[tb]);
	hlist_add_head(hinfo.bhash2, T.node_next, T.node_pprev, slot, tb2);
	// since 6.8, b2cb9f9ef240
	if (k.changes.has("bhash-holds-bhash2")) {
		hlist_add_head(bhash2, T.bhash_node_next, T.bhash_node_pprev, tb, tb2);
	}
	return tb2;
}

/**
 * Frees a bind2 bucket if it has no socket and no time-wait socket left. Since 6.18
 * (fastreuse-recomputed): if the remaining ones all got the port from connect(), sets fastreuse and
 * fastreuseport to -1.
 */
export function inet_bind2_bucket_destroy(k: Stack, hinfo: InetHashinfo, tb2: Tb2): void {
	const T = hinfo.bind2_bucket_cachep;
	leavesBucket(k, hinfo, T.ib_net[tb2], T.port[tb2]);
	if (T.owners[tb2] === 0 && T.deathrow[tb2] === 0) {
		const { bhash2 } = hinfo.bind_bucket_cachep;
		hlist_del_init(hinfo.bhash2, T.node_next, T.node_pprev, tb2);
		hlist_del_init(bhash2, T.bhash_node_next, T.bhash_node_pprev, tb2);
		T.kmem_cache_free(tb2);
		return;
	}
	if (T.fastreuse[tb2] === -1 && T.fastreuseport[tb2] === -1) return;
	if (!k.changes.has("fastreuse-recomputed")) return; // since 6.18, d57f4b874946
	const next = bind2OwnerNext(k);
	for (let sk = T.owners[tb2]; sk !== 0; sk = next[sk]) {
		if (!sk_is_connect_bind(k, sk)) return;
	}
	for (let tw = T.deathrow[tb2]; tw !== 0; tw = next[tw]) {
		if (!sk_is_connect_bind(k, tw)) return;
	}
	T.fastreuse[tb2] = -1;
	T.fastreuseport[tb2] = -1;
}

/**
 * The column that links the owners of a bind2 bucket. C links them by sk_bind_node since 6.8; before,
 * sk_bind_node links the owners of the bind bucket, and sk_bind2_node those of the bind2 bucket.
 */
function bind2OwnerNext({ changes, sock }: Stack): Heads<Sk> {
	return changes.has("bhash-holds-bhash2") ? sock.bind_node_next : sock.bind2_node_next; // since 6.8, 770041d337a8
}

/** Whether the address of a bind2 bucket equals the socket's. */
export function inet_bind2_bucket_addr_match(k: Stack, tb2: Tb2, sk: Sk): boolean {
	const S = k.sock;
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (S.skc_family[sk] !== T.family[tb2]) {
		if (!k.changes.has("bhash2-v4mapped-address")) return false; // since 6.6, c48ef9c4aed3
		if (S.skc_family[sk] === AF_INET) {
			return (
				ipv6_addr_v4mapped(T.v6_rcv_saddr, tb2 * 4) &&
				T.v6_rcv_saddr[tb2 * 4 + 3] === S.skc_rcv_saddr[sk]
			);
		}
		return (
			ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, sk * 4) &&
			S.skc_v6_rcv_saddr[sk * 4 + 3] === T.rcv_saddr[tb2]
		);
	}
	if (S.skc_family[sk] === AF_INET6) {
		return ipv6_addr_equal(T.v6_rcv_saddr, tb2 * 4, S.skc_v6_rcv_saddr, sk * 4);
	}
	return T.rcv_saddr[tb2] === S.skc_rcv_saddr[sk];
}

/** Makes a socket an owner of its bind bucket and its bind2 bucket. */
export function inet_bind_hash(k: Stack, sk: Sk, tb: Tb, tb2: Tb2, port: Port): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	S.skc_num[sk] = port;
	S.icsk_bind_hash[sk] = tb;
	S.icsk_bind2_hash[sk] = tb2;
	bindNodeAdd(k, hinfo, sk, tb, tb2);
}

/**
 * Makes a socket or a time-wait socket the first owner of its buckets. Since 6.8 C only calls
 * sk_add_bind_node(sk, &tb2->owners). Before, it adds the socket by sk_bind_node to tb->owners, and by
 * sk_bind2_node to tb2->owners, or to tb2->deathrow if it is in TIME_WAIT.
 */
export function bindNodeAdd(k: Stack, hinfo: InetHashinfo, sk: Sk, tb: Tb, tb2: Tb2): void {
	const S = k.sock;
	const T2 = hinfo.bind2_bucket_cachep;
	// since 6.8, 770041d337a8
	if (k.changes.has("bhash-holds-bhash2")) {
		hlist_add_head(T2.owners, S.bind_node_next, S.bind_node_pprev, tb2, sk);
		return;
	}
	const { owners } = hinfo.bind_bucket_cachep;
	const owners2 = S.skc_state[sk] === TCP_TIME_WAIT ? T2.deathrow : T2.owners;
	hlist_add_head(owners, S.bind_node_next, S.bind_node_pprev, tb, sk);
	hlist_add_head(owners2, S.bind2_node_next, S.bind2_node_pprev, tb2, sk);
}

/** Takes a socket or a time-wait socket off the lists of its buckets. C: __sk_del_bind_node. */
export function bindNodeDel(k: Stack, hinfo: InetHashinfo, sk: Sk): void {
	const S = k.sock;
	const T2 = hinfo.bind2_bucket_cachep;
	// since 6.8, 770041d337a8
	if (k.changes.has("bhash-holds-bhash2")) {
		hlist_del_init(T2.owners, S.bind_node_next, S.bind_node_pprev, sk);
		return;
	}
	const { owners } = hinfo.bind_bucket_cachep;
	const owners2 = S.skc_state[sk] === TCP_TIME_WAIT ? T2.deathrow : T2.owners;
	hlist_del_init(owners, S.bind_node_next, S.bind_node_pprev, sk);
	hlist_del_init(owners2, S.bind2_node_next, S.bind2_node_pprev, sk);
}

/** Releases the local port of a socket: __inet_put_port and inet_put_port. */
export function inet_put_port(k: Stack, sk: Sk): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const tb = S.icsk_bind_hash[sk];
	const tb2 = S.icsk_bind2_hash[sk];
	bindNodeDel(k, hinfo, sk);
	S.icsk_bind_hash[sk] = 0;
	S.icsk_bind2_hash[sk] = 0;
	S.skc_num[sk] = 0;
	S.sk_userlocks[sk] &= ~SOCK_CONNECT_BIND;

	if (tb2 !== 0) inet_bind2_bucket_destroy(k, hinfo, tb2);
	inet_bind_bucket_destroy(k, hinfo, tb);
}

/** Makes the child of a listener an owner of the listener's port. Returns 0 or -ENOENT. */
export function __inet_inherit_port(k: Stack, sk: Sk, child: Sk): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	const port = S.skc_num[child];
	let tb = S.icsk_bind_hash[sk];
	let tb2 = S.icsk_bind2_hash[sk];
	if (tb === 0 || tb2 === 0) return -ENOENT;

	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	let update_fastreuse = false;
	const other_port = hinfo.bind_bucket_cachep.port[tb] !== port;
	if (other_port) {
		// With a transparent proxy the child's port may differ from the listener's.
		const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);
		tb = bindBucketFind(hinfo, net, port, l3mdev);
		if (tb === 0) tb = inet_bind_bucket_create(hinfo, net, port, l3mdev);
		update_fastreuse = true;
	}
	if (other_port || !inet_bind2_bucket_addr_match(k, tb2, child)) {
		const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);
		tb2 = inet_bind2_bucket_find(k, net, port, l3mdev, child);
		if (tb2 === 0) tb2 = inet_bind2_bucket_create(k, net, tb, l3mdev, child);
	}
	if (update_fastreuse) inet_csk_update_fastreuse(k, child, tb, tb2);
	inet_bind_hash(k, child, tb, tb2, port);
	return 0;
}

/** Slot in lhash2 of a listener. */
export function inet_lhash2_bucket_sk(k: Stack, sk: Sk): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	const hash =
		S.skc_family[sk] === AF_INET6
			? ipv6_portaddr_hash(net, S.skc_v6_rcv_saddr, sk * 4, S.skc_num[sk])
			: ipv4_portaddr_hash(net, S.skc_rcv_saddr[sk], S.skc_num[sk]);
	return hash & tcp_or_dccp_get_hashinfo(k, sk).lhash2_mask;
}

/**
 * How well a listener fits a packet, -1: not at all. There is one CPU, so sk_incoming_cpu is left
 * out.
 */
function compute_score(
	k: Stack,
	sk: Sk,
	net: Net,
	hnum: Port,
	daddr: number,
	dif: Ifindex,
	sdif: Ifindex,
): number {
	const S = k.sock;
	if (S.skc_net[sk] !== net.id || S.skc_num[sk] !== hnum || ipv6_only_sock(k, sk)) return -1;
	if (S.skc_rcv_saddr[sk] !== daddr) return -1;
	if (!inet_sk_bound_dev_eq(net, S.skc_bound_dev_if[sk], dif, sdif)) return -1;
	let score = S.skc_bound_dev_if[sk] !== 0 ? 2 : 1;
	if (S.skc_family[sk] === AF_INET) score++;
	return score;
}

/** The best listener on one chain of lhash2, 0 if none. */
function inet_lhash2_lookup(
	k: Stack,
	net: Net,
	hinfo: InetHashinfo,
	slot: number,
	saddr: number,
	sport: Port,
	daddr: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	const S = k.sock;
	let result: Sk = 0;
	let hiscore = 0;
	for (let sk = hinfo.lhash2[slot]; sk !== 0; sk = S.node_next[sk]) {
		const score = compute_score(k, sk, net, hnum, daddr, dif, sdif);
		if (score > hiscore) {
			if (S.skc_reuseport[sk] !== 0) {
				const phash = inet_ehashfn(k, net, daddr, hnum, saddr, sport);
				const member = reuseport_select_sock(k, sk, phash);
				if (member !== 0) {
					return k.accept_queues?.selects(member, "ehash", sport, saddr) ?? member;
				}
			}
			result = sk;
			hiscore = score;
		}
	}
	return result;
}

/** The listener for a SYN, 0 if none. Tries the packet's address first, then the wildcard. */
export function __inet_lookup_listener(
	k: Stack,
	net: Net,
	hinfo: InetHashinfo,
	saddr: number,
	sport: Port,
	daddr: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	const mask = hinfo.lhash2_mask;
	const slot = ipv4_portaddr_hash(net, daddr, hnum) & mask;
	const result = inet_lhash2_lookup(k, net, hinfo, slot, saddr, sport, daddr, hnum, dif, sdif);
	if (result !== 0) return result;
	const any = ipv4_portaddr_hash(net, INADDR_ANY, hnum) & mask;
	// As in C the wildcard replaces daddr here, also in the hash that selects from a reuseport
	// group.
	return inet_lhash2_lookup(k, net, hinfo, any, saddr, sport, INADDR_ANY, hnum, dif, sdif);
}

/** The connection or the time-wait socket that a segment belongs to, 0 if none. */
export function __inet_lookup_established(
	k: Stack,
	net: Net,
	hinfo: InetHashinfo,
	saddr: number,
	sport: Port,
	daddr: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	const S = k.sock;
	const hash = inet_ehashfn(k, net, daddr, hnum, saddr, sport);
	let sk = hinfo.ehash[hash & hinfo.ehash_mask];
	for (; sk !== 0; sk = S.node_next[sk]) {
		if (S.skc_hash[sk] !== hash) continue;
		if (inet_match(net, S, sk, saddr, daddr, sport, hnum, dif, sdif)) break;
	}
	return sk;
}

/**
 * Checks whether the socket's four-tuple with this local port is free, over IPv4. If it is free,
 * the socket gets the port, enters ehash, and the function returns 0. Otherwise it returns
 * -EADDRNOTAVAIL and stores the socket that has the four-tuple in k.blocker.
 *
 * A time-wait socket that may be replaced leaves ehash and is stored in k.found_tw (C: *twp), 0 if
 * there is none. If `twp` is true the caller frees it, as for a port that the search chose. If
 * `twp` is false (C: NULL) it is freed here, as for a port that the socket had before.
 *
 * `how` is CHECK_AND_TAKE as above, or a check that changes nothing: CHECK_RCU_LOOKUP or CHECK_ONLY.
 * `hash` is that of the four-tuple. C has the parameters rcu_lookup and hash since 6.15
 * (connect-lookup-without-lock); before, it computes the hash here.
 */
function __inet_check_established(
	k: Stack,
	sk: Sk,
	lport: Port,
	twp: boolean,
	how: number,
	hash: number,
): number {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	// As in C, saddr and daddr are named for a packet from the peer: daddr is the local address.
	const daddr = S.skc_rcv_saddr[sk];
	const saddr = S.skc_daddr[sk];
	const dport = S.skc_dport[sk];
	const dif = S.skc_bound_dev_if[sk];
	const net = sk_net(k, sk);
	const sdif = l3mdev_master_ifindex_by_index(net, dif);
	const head = hash & hinfo.ehash_mask;
	let tw: Sk = 0;
	k.found_tw = 0;
	k.blocker = 0;

	if (how === CHECK_RCU_LOOKUP) {
		for (let sk2 = hinfo.ehash[head]; sk2 !== 0; sk2 = S.node_next[sk2]) {
			if (S.skc_hash[sk2] !== hash) continue;
			if (!inet_match(net, S, sk2, saddr, daddr, dport, lport, dif, sdif)) continue;
			if (S.skc_state[sk2] === TCP_TIME_WAIT) break;
			k.blocker = sk2;
			return -EADDRNOTAVAIL;
		}
		return 0;
	}

	for (let sk2 = hinfo.ehash[head]; sk2 !== 0; sk2 = S.node_next[sk2]) {
		if (S.skc_hash[sk2] !== hash) continue;
		if (!inet_match(net, S, sk2, saddr, daddr, dport, lport, dif, sdif)) continue;
		if (S.skc_state[sk2] === TCP_TIME_WAIT) {
			// C asks this for TCP only. A time-wait socket of DCCP has no time stamp: the answer is
			// no.
			tw = sk2;
			if (tcp_twsk_unique(k, sk, sk2, lport, twp)) break;
		}
		k.blocker = sk2;
		return -EADDRNOTAVAIL;
	}
	if (how === CHECK_ONLY) return 0;

	S.skc_num[sk] = lport;
	S.inet_sport[sk] = lport;
	S.skc_hash[sk] = hash;
	hlist_add_head(hinfo.ehash, S.node_next, S.node_pprev, head, sk);
	if (tw !== 0) {
		hlist_del_init(hinfo.ehash, S.node_next, S.node_pprev, tw);
		S.write_seq[sk] = S.snd_isn[tw]; // in C tcp_twsk_unique does this
	}
	k.found_tw = tw;
	if (!twp && tw !== 0) inet_twsk_deschedule_put(k, tw);
	return 0;
}

type CheckEstablished = typeof __inet_check_established;

/** The check_established function for the family that the socket's connection runs over. */
function checkEstablishedOf(k: Stack, sk: Sk): CheckEstablished {
	return skOverIpv6(k.sock, sk) ? __inet6_check_established : __inet_check_established;
}

/** The result of check_established as CANDIDATE_* (include/trace/events/port_search.ts). */
function tupleVerdict(k: Stack, err: number): number {
	if (err === 0) return CANDIDATE_OK;
	const time_wait = k.sock.skc_state[k.blocker] === TCP_TIME_WAIT;
	return time_wait ? CANDIDATE_TIME_WAIT : CANDIDATE_TUPLE_IN_USE;
}

/**
 * Puts a connection on its ehash chain: at the head, or at the tail if it replaces a request
 * (`osk`, a child of a listener). At the tail no lookup can miss both the request and the child.
 * Includes inet_ehash_insert.
 */
export function inet_ehash_nolisten(k: Stack, sk: Sk, osk: boolean): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	S.skc_hash[sk] = sk_ehashfn(k, sk);
	const slot = S.skc_hash[sk] & hinfo.ehash_mask;
	if (osk) hlist_add_tail_rcu(hinfo.ehash, S.node_next, S.node_pprev, slot, sk);
	else hlist_add_head(hinfo.ehash, S.node_next, S.node_pprev, slot, sk);
}

/**
 * Adds a listener to the reuseport group of another listener on its chain with the same address,
 * device and user, or to a new group. Returns 0 or a negative errno.
 */
function inet_reuseport_add_sock(k: Stack, sk: Sk, slot: number): number {
	const S = k.sock;
	const tb = S.icsk_bind_hash[sk];
	const uid = sock_i_uid(k, sk);
	for (let sk2 = tcp_or_dccp_get_hashinfo(k, sk).lhash2[slot]; sk2 !== 0; sk2 = S.node_next[sk2]) {
		if (
			sk2 !== sk &&
			S.skc_family[sk2] === S.skc_family[sk] &&
			S.skc_ipv6only[sk2] === S.skc_ipv6only[sk] &&
			S.skc_bound_dev_if[sk2] === S.skc_bound_dev_if[sk] &&
			S.icsk_bind_hash[sk2] === tb &&
			S.skc_reuseport[sk2] !== 0 &&
			uid === sock_i_uid(k, sk2) &&
			inet_rcv_saddr_equal(k, sk, sk2, false)
		) {
			return reuseport_add_sock(k, sk, sk2);
		}
	}
	return reuseport_alloc(k, sk);
}

/** Puts a listener into lhash2 or a connection into ehash. Returns 0 or a negative errno. */
function __inet_hash(k: Stack, sk: Sk): number {
	const S = k.sock;
	if (S.skc_state[sk] !== TCP_LISTEN) {
		inet_ehash_nolisten(k, sk, false);
		return 0;
	}
	const slot = inet_lhash2_bucket_sk(k, sk);
	if (S.skc_reuseport[sk] !== 0) {
		const err = inet_reuseport_add_sock(k, sk, slot);
		if (err !== 0) return err;
	}
	// An IPv6 reuseport socket goes to the tail. So a lookup for an IPv4 packet comes to an AF_INET
	// socket on the same address first.
	const { lhash2 } = tcp_or_dccp_get_hashinfo(k, sk);
	if (S.skc_reuseport[sk] !== 0 && S.skc_family[sk] === AF_INET6) {
		hlist_add_tail_rcu(lhash2, S.node_next, S.node_pprev, slot, sk);
	} else {
		hlist_add_head(lhash2, S.node_next, S.node_pprev, slot, sk);
	}
	return 0;
}

export function inet_hash(k: Stack, sk: Sk): number {
	return k.sock.skc_state[sk] === TCP_CLOSE ? 0 : __inet_hash(k, sk);
}

/** Takes a socket off its chain of lhash2 or ehash. */
export function inet_unhash(k: Stack, sk: Sk): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	if (hlist_unhashed(S.node_pprev, sk)) return;
	if (S.skc_state[sk] === TCP_LISTEN) {
		if (S.sk_reuseport_cb[sk] !== 0) reuseport_stop_listen_sock(k, sk);
		hlist_del_init(hinfo.lhash2, S.node_next, S.node_pprev, sk);
	} else {
		leavesEhash(k, sk);
		hlist_del_init(hinfo.ehash, S.node_next, S.node_pprev, sk);
	}
}

function inet_bind2_bucket_match(
	k: Stack,
	tb2: Tb2,
	net: Net,
	port: Port,
	l3mdev: Ifindex,
	sk: Sk,
): boolean {
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (T.ib_net[tb2] !== net.id || T.port[tb2] !== port || T.l3mdev[tb2] !== l3mdev) return false;
	return inet_bind2_bucket_addr_match(k, tb2, sk);
}

type MatchAddrAny = (k: Stack, tb2: Tb2, net: Net, port: Port, l3mdev: Ifindex, sk: Sk) => boolean;

/**
 * C's inet_bind2_bucket_match_addr_any in the modelled version. The function says whether tb2 is a
 * bind2 bucket of this port on a wildcard address that overlaps the socket's address. C changed
 * it four times. Each of the functions below includes the changes of those before it.
 */
export function inet_bind2_bucket_match_addr_any({ changes }: Stack): MatchAddrAny {
	if (changes.has("bhash2-addr-type")) return matchAddrAnyByType; // since 6.8, 5a22bba13d01
	const dual_stack = changes.has("bhash2-dual-stack-wildcard"); // since 6.3, d9ba99342855
	const v4mapped = changes.has("bhash2-v4mapped-wildcard"); // since 6.6, aa99e5f87bd5
	const on_bind = changes.has("bhash2-v4mapped-on-bind"); // since 6.8, 5e07e672412b
	if (!dual_stack && !v4mapped && !on_bind) return matchAddrAnyOneFamily;
	if (dual_stack && !v4mapped && !on_bind) return matchAddrAnyDualStack;
	if (dual_stack && v4mapped && !on_bind) return matchAddrAnyV4mapped;
	if (dual_stack && v4mapped && on_bind) return matchAddrAnyV4mappedOnBind;
	return matchAddrAnyMixed;
}

/** At the base commit: a bucket of the other family never matches. */
const matchAddrAnyOneFamily: MatchAddrAny = (k, tb2, net, port, l3mdev, sk) => {
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (T.ib_net[tb2] !== net.id || T.port[tb2] !== port || T.l3mdev[tb2] !== l3mdev) return false;
	if (k.sock.skc_family[sk] !== T.family[tb2]) return false;
	if (T.family[tb2] === AF_INET6) return ipv6_addr_any(T.v6_rcv_saddr, tb2 * 4);
	return T.rcv_saddr[tb2] === INADDR_ANY;
};

/** With bhash2-dual-stack-wildcard: the IPv6 wildcard matches for an AF_INET socket. */
const matchAddrAnyDualStack: MatchAddrAny = (k, tb2, net, port, l3mdev, sk) => {
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (T.ib_net[tb2] !== net.id || T.port[tb2] !== port || T.l3mdev[tb2] !== l3mdev) return false;
	if (k.sock.skc_family[sk] !== T.family[tb2]) {
		return k.sock.skc_family[sk] === AF_INET && ipv6_addr_any(T.v6_rcv_saddr, tb2 * 4);
	}
	if (T.family[tb2] === AF_INET6) return ipv6_addr_any(T.v6_rcv_saddr, tb2 * 4);
	return T.rcv_saddr[tb2] === INADDR_ANY;
};

/** With bhash2-v4mapped-wildcard: ::ffff:0.0.0.0 matches as well for an AF_INET socket. */
const matchAddrAnyV4mapped: MatchAddrAny = (k, tb2, net, port, l3mdev, sk) => {
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (T.ib_net[tb2] !== net.id || T.port[tb2] !== port || T.l3mdev[tb2] !== l3mdev) return false;
	if (k.sock.skc_family[sk] !== T.family[tb2]) {
		return k.sock.skc_family[sk] === AF_INET && ipv6Any(T, tb2);
	}
	if (T.family[tb2] === AF_INET6) return ipv6_addr_any(T.v6_rcv_saddr, tb2 * 4);
	return T.rcv_saddr[tb2] === INADDR_ANY;
};

/** With bhash2-v4mapped-on-bind: 0.0.0.0 matches for an AF_INET6 socket on a v4-mapped address. */
const matchAddrAnyV4mappedOnBind: MatchAddrAny = (k, tb2, net, port, l3mdev, sk) => {
	const S = k.sock;
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (T.ib_net[tb2] !== net.id || T.port[tb2] !== port || T.l3mdev[tb2] !== l3mdev) return false;
	if (S.skc_family[sk] !== T.family[tb2]) {
		if (S.skc_family[sk] === AF_INET) return ipv6Any(T, tb2);
		return ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, sk * 4) && T.rcv_saddr[tb2] === INADDR_ANY;
	}
	if (T.family[tb2] === AF_INET6) return ipv6_addr_any(T.v6_rcv_saddr, tb2 * 4);
	return T.rcv_saddr[tb2] === INADDR_ANY;
};

/** Whether the address of an AF_INET6 bucket is :: or ::ffff:0.0.0.0. */
function ipv6Any(T: Bind2BucketTable, tb2: Tb2): boolean {
	const at = tb2 * 4;
	return ipv6_addr_any(T.v6_rcv_saddr, at) || ipv6_addr_v4mapped_any(T.v6_rcv_saddr, at);
}

/**
 * Some of the changes, in a combination that no release had: single changes were added or removed.
 */
const matchAddrAnyMixed: MatchAddrAny = (k, tb2, net, port, l3mdev, sk) => {
	const S = k.sock;
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (S.skc_family[sk] === T.family[tb2]) {
		return matchAddrAnyOneFamily(k, tb2, net, port, l3mdev, sk);
	}
	let has: boolean;
	if (T.family[tb2] === AF_INET) {
		has = k.changes.has("bhash2-v4mapped-on-bind"); // since 6.8, 5e07e672412b
	} else if (ipv6_addr_any(T.v6_rcv_saddr, tb2 * 4)) {
		has = k.changes.has("bhash2-dual-stack-wildcard"); // since 6.3, d9ba99342855
	} else {
		has = k.changes.has("bhash2-v4mapped-wildcard"); // since 6.6, aa99e5f87bd5
	}
	return has && matchAddrAnyV4mappedOnBind(k, tb2, net, port, l3mdev, sk);
};

/** With bhash2-addr-type: C keeps AF_INET addresses v4-mapped and compares tb2->addr_type. */
const matchAddrAnyByType: MatchAddrAny = (k, tb2, net, port, l3mdev, sk) => {
	const S = k.sock;
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	if (T.ib_net[tb2] !== net.id || T.port[tb2] !== port || T.l3mdev[tb2] !== l3mdev) return false;
	let rcv_saddr = T.rcv_saddr[tb2];
	if (T.family[tb2] === AF_INET6) {
		if (ipv6_addr_any(T.v6_rcv_saddr, tb2 * 4)) return true;
		if (!ipv6_addr_v4mapped(T.v6_rcv_saddr, tb2 * 4)) return false;
		rcv_saddr = T.v6_rcv_saddr[tb2 * 4 + 3];
	}
	if (S.skc_family[sk] === AF_INET6 && !ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, sk * 4)) {
		return false;
	}
	return rcv_saddr === INADDR_ANY;
};

/** The bind2 bucket of the socket's address and a port, 0 if none. */
export function inet_bind2_bucket_find(
	k: Stack,
	net: Net,
	port: Port,
	l3mdev: Ifindex,
	sk: Sk,
): Tb2 {
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind2_bucket_cachep;
	let tb2 = hinfo.bhash2[inet_bhashfn_portaddr(hinfo, k.sock, sk, net, port)];
	for (; tb2 !== 0; tb2 = T.node_next[tb2]) {
		if (inet_bind2_bucket_match(k, tb2, net, port, l3mdev, sk)) break;
	}
	return tb2;
}

/** Slot in bhash2 of the wildcard address and a port. It is the same for both families. */
export function inet_bhash2_addr_any_hashbucket(hinfo: InetHashinfo, net: Net, port: Port): number {
	return ipv4_portaddr_hash(net, INADDR_ANY, port) & (hinfo.bhash_size - 1);
}

/** Sets the local address, a number for IPv4. */
function inet_update_saddr(k: Stack, sk: Sk, saddr: number | In6Addr): void {
	if (typeof saddr === "number") {
		k.sock.inet_saddr[sk] = saddr;
		sk_rcv_saddr_set(k, sk, saddr);
	} else {
		ipv6_addr_copy(k.sock.skc_v6_rcv_saddr, sk * 4, saddr, 0);
	}
}

/**
 * Sets the local address of a socket and moves the socket to the bind2 bucket of the new address.
 * null sets the wildcard (C: a parameter `reset`).
 */
function __inet_bhash2_update_saddr(k: Stack, sk: Sk, saddr: number | In6Addr | null): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind2_bucket_cachep;
	const net = sk_net(k, sk);
	const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);
	const port = S.skc_num[sk];

	if (S.icsk_bind2_hash[sk] === 0) {
		// The socket has no port yet.
		if (saddr === null) inet_reset_saddr(k, sk);
		else inet_update_saddr(k, sk, saddr);
		return;
	}

	// Until 6.8 the socket stays among the owners of the bind bucket. since 6.8, 770041d337a8
	const holds = k.changes.has("bhash-holds-bhash2");
	const next = holds ? S.bind_node_next : S.bind2_node_next;
	const pprev = holds ? S.bind_node_pprev : S.bind2_node_pprev;
	hlist_del_init(T.owners, next, pprev, sk);
	inet_bind2_bucket_destroy(k, hinfo, S.icsk_bind2_hash[sk]);

	if (saddr === null) inet_reset_saddr(k, sk);
	else inet_update_saddr(k, sk, saddr);

	let tb2 = inet_bind2_bucket_find(k, net, port, l3mdev, sk);
	if (tb2 === 0) {
		tb2 = inet_bind2_bucket_create(k, net, S.icsk_bind_hash[sk], l3mdev, sk);
		if (sk_is_connect_bind(k, sk)) {
			T.fastreuse[tb2] = -1;
			T.fastreuseport[tb2] = -1;
		}
	}
	hlist_add_head(T.owners, next, pprev, tb2, sk);
	S.icsk_bind2_hash[sk] = tb2;
}

/**
 * Sets the local address of a socket and moves the socket to the bind2 bucket of the new address.
 */
export function inet_bhash2_update_saddr(k: Stack, sk: Sk, saddr: number | In6Addr): void {
	__inet_bhash2_update_saddr(k, sk, saddr);
}

/** Sets the local address back to the wildcard, unless bind() chose the address. */
export function inet_bhash2_reset_saddr(k: Stack, sk: Sk): void {
	if ((k.sock.sk_userlocks[sk] & SOCK_BINDADDR_LOCK) === 0) __inet_bhash2_update_saddr(k, sk, null);
}

/** Draws table_perturb at first use (C: get_random_sleepable_once): one u32 for each entry. */
function tablePerturbInit(k: Stack): Uint32Array {
	const table = new Uint32Array(INET_TABLE_PERTURB_SIZE);
	k.random.get_random_bytes(table);
	k.table_perturb = table;
	return table;
}

/** Whether sk2 has the IPv6 four-tuple of sk with the local port `lport`. */
function inet6MatchSk(
	net: Net,
	S: SockTable,
	sk2: Sk,
	sk: Sk,
	lport: Port,
	sdif: Ifindex,
): boolean {
	const { skc_v6_daddr: saddr, skc_v6_rcv_saddr: daddr } = S;
	const dport = S.skc_dport[sk];
	const dif = S.skc_bound_dev_if[sk];
	return inet6_match(net, S, sk2, saddr, sk * 4, daddr, sk * 4, dport, lport, dif, sdif);
}

/**
 * Says whether connect() can take a port, and changes nothing. Check mode calls it. See
 * connectCandidateLocked for what it returns and stores.
 */
export function connectCandidate(k: Stack, net: Net, sk: Sk, port: Port, l3mdev: Ifindex): number {
	const check = checkEstablishedOf(k, sk);
	return connectCandidateLocked(k, net, sk, port, l3mdev, check, CHECK_ONLY);
}

/**
 * The body of the loop over ports in __inet_hash_connect before 6.15. Since 6.15
 * (connect-lookup-without-lock) it is what the body does with the lock of the bucket. Returns
 * CANDIDATE_OK if connect() can take the port, else the reason to skip it (CANDIDATE_*, C: `continue`
 * and `goto next_port`). Stores the port's bucket in k.found_tb, 0 if there is none; the caller then
 * creates it. Stores the time-wait socket to replace in k.found_tw, and the socket that conflicts in
 * k.blocker, 0 if none. check_established takes the four-tuple if `how` is CHECK_AND_TAKE.
 */
function connectCandidateLocked(
	k: Stack,
	net: Net,
	sk: Sk,
	port: Port,
	l3mdev: Ifindex,
	check_established: CheckEstablished,
	how: number,
): number {
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind_bucket_cachep;
	k.found_tb = 0;
	k.found_tw = 0;
	k.blocker = 0;
	if (inet_is_local_reserved_port(net, port)) return CANDIDATE_RESERVED;

	if (how === CHECK_AND_TAKE) k.trace.look(port, true);
	// The local address is not compared here: check_established compares the whole four-tuple.
	const tb = bindBucketFind(hinfo, net, port, l3mdev);
	k.found_tb = tb;
	if (tb === 0) return CANDIDATE_OK;
	if (T.fastreuse[tb] >= 0 || T.fastreuseport[tb] >= 0) {
		k.blocker = bindBucketOwner(hinfo, tb);
		return CANDIDATE_NOT_SHAREABLE;
	}
	const hash = skEhashOfPort(k, net, sk, port);
	return tupleVerdict(k, check_established(k, sk, port, true, how, hash));
}

/**
 * The body of the loop over ports in __inet_hash_connect since 6.15 (connect-lookup-without-lock):
 * it first looks without the lock of the bucket, and takes the lock only for a port that may be free.
 * A time-wait socket may be replaced, so it is left to the second look.
 */
function connectCandidateRcu(
	k: Stack,
	net: Net,
	sk: Sk,
	port: Port,
	l3mdev: Ifindex,
	check_established: CheckEstablished,
	how: number,
): number {
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind_bucket_cachep;
	if (inet_is_local_reserved_port(net, port)) return CANDIDATE_RESERVED;

	k.trace.look(port, false);
	const tb = bindBucketFind(hinfo, net, port, l3mdev);
	if (tb !== 0) {
		if (T.fastreuse[tb] >= 0 || T.fastreuseport[tb] >= 0) {
			k.blocker = bindBucketOwner(hinfo, tb);
			return CANDIDATE_NOT_SHAREABLE;
		}
		const hash = skEhashOfPort(k, net, sk, port);
		const err = check_established(k, sk, port, true, CHECK_RCU_LOOKUP, hash);
		if (err !== 0) return tupleVerdict(k, err);
	}
	return connectCandidateLocked(k, net, sk, port, l3mdev, check_established, how);
}

/** How many ports connectScan looks at itself after it found a port that is not remembered. */
const CONNECT_PATIENCE = 16;

/**
 * Skips the ports that connectCandidate rejects, and gives the same answers as connectCandidate,
 * but faster. Since 6.15 it stands for the looks without the lock. Takes the same steps as the loop of
 * __inet_hash_connect: from `port` on by `scan_step`, wraps around at `high`, and adds `step` to the
 * distance for each port. Returns the distance to the first port that connect() can take, and stores
 * this port in k.found_port. Returns `remaining` or more if there is none; then k.found_port is 0 and
 * k.blocker is the socket that conflicts on the last port. Otherwise it only remembers refused ports:
 * connectCandidate then finds the bucket of the port.
 *
 * It passes over the ports that hinfo.refused_tuples remembers. On the others it avoids function
 * calls, and computes the part of the hash that does not depend on the port once. Columns are in
 * local variables and numbers are written `| 0`: then the JavaScript engine knows their types and
 * does not check them again in the loop. A connect() that fails over 16,000 ports, each connected to
 * its destination, takes 1 ns a port with connectScan and 57 ns without (`npm run bench -- --only
 * scans`).
 */
export function connectScan(
	k: Stack,
	net: Net,
	sk: Sk,
	port: Port,
	l3mdev: Ifindex,
	high: number,
	remaining: number,
	step: number,
	scan_step: number,
): number {
	const S = k.sock;
	const { node_next, skc_hash, skc_daddr, skc_rcv_saddr, skc_dport, skc_num } = S;
	const { skc_net, skc_bound_dev_if, skc_state } = S;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const { bhash, ehash } = hinfo;
	const bhash_mask = (hinfo.bhash_size - 1) | 0;
	const ehash_mask = hinfo.ehash_mask | 0;
	const T = hinfo.bind_bucket_cachep;
	const { port: tb_port, ib_net, l3mdev: tb_l3mdev, node_next: tb_next } = T;
	const { fastreuse, fastreuseport } = T;
	const reserved = net.ipv4.sysctl_local_reserved_ports;
	const hash_mix = net.hash_mix | 0;
	const id = net.id | 0;
	l3mdev |= 0;

	const over_ipv6 = skOverIpv6(S, sk);
	const daddr = skc_rcv_saddr[sk];
	const saddr = skc_daddr[sk];
	const dport = skc_dport[sk];
	const dif = skc_bound_dev_if[sk];
	const sdif = l3mdev_master_ifindex_by_index(net, dif) | 0;
	const unbound_ok = sdif === 0 || net.ipv4.sysctl_tcp_l3mdev_accept !== 0;
	const adds_port = k.changes.has("ehash-adds-port"); // since 6.15, 9544d60a2605
	const plain = !over_ipv6 && dif === 0;
	const { refused_tuples } = hinfo;
	let patience = 0;
	let refusals = 0;
	let hashed = false;
	let hash_port0 = 0;
	let laddr = 0;
	let faddr = 0;
	let fport = 0;
	let initval = 0;

	const time_wait = TCP_TIME_WAIT | 0;
	let tb: Tb = 0;
	let sk2: Sk = 0;
	let i = 0;
	for (; i < remaining; i += step, port = (port + scan_step) | 0) {
		if (plain && --patience <= 0) {
			const before = i;
			i = refused_tuples.skip(net, daddr, saddr, dport, port, high, remaining, step, scan_step, i);
			port = refused_tuples.port;
			if (i >= remaining) {
				// Only for k.blocker: the last port.
				connectCandidate(k, net, sk, port - scan_step, l3mdev);
				k.found_port = 0;
				return i;
			}
			if (i === before) patience = CONNECT_PATIENCE;
		}
		if (port >= high) port = (port - remaining) | 0;
		tb = 0;
		sk2 = 0;
		if ((reserved[port >>> 5] & (1 << (port & 31))) !== 0) continue;

		tb = bhash[(port + hash_mix) & bhash_mask];
		while (tb !== 0) {
			if (tb_port[tb] === port && ib_net[tb] === id && tb_l3mdev[tb] === l3mdev) break;
			tb = tb_next[tb];
		}
		if (tb === 0) break;
		if (fastreuse[tb] >= 0 || fastreuseport[tb] >= 0) continue;

		if (!hashed) {
			hashed = true;
			if (adds_port) hash_port0 = skEhashOfPort(k, net, sk, 0);
			fport = swab16(dport) | 0;
			if (over_ipv6) {
				initval = inet6EhashInitval(k, net) | 0;
				laddr = swab32(S.skc_v6_rcv_saddr[sk * 4 + 3]) | 0;
				faddr = inet6EhashFhash(k, S.skc_v6_daddr, sk * 4) | 0;
			} else {
				initval = inetEhashInitval(k, net) | 0;
				laddr = swab32(daddr) | 0;
				faddr = swab32(saddr) | 0;
			}
		}
		const hash = adds_port
			? (hash_port0 + port) >>> 0
			: jhash_3words(laddr, faddr, (port << 16) | fport, initval);
		for (sk2 = ehash[hash & ehash_mask]; sk2 !== 0; sk2 = node_next[sk2]) {
			if (skc_hash[sk2] !== hash) continue;
			if (over_ipv6) {
				if (inet6MatchSk(net, S, sk2, sk, port, sdif)) break;
			} else if (
				skc_daddr[sk2] === saddr &&
				skc_rcv_saddr[sk2] === daddr &&
				skc_dport[sk2] === dport &&
				skc_num[sk2] === port &&
				skc_net[sk2] === id
			) {
				const dev = skc_bound_dev_if[sk2];
				if (dev === 0 ? unbound_ok : dev === dif || dev === sdif) break;
			}
		}
		if (sk2 === 0) break;
		if (skc_state[sk2] !== time_wait) {
			// While sk2 is in ehash, the bucket exists, because sk2 is one of its owners.
			if (plain && refused_tuples.pays(++refusals) && S.icsk_bind_hash[sk2] === tb) {
				refused_tuples.remember(id, daddr, saddr, dport, port, remaining);
			}
			continue;
		}
		if (tcp_twsk_unique(k, sk, sk2, port, true)) break;
	}
	k.found_port = i < remaining ? port : 0;
	k.blocker = 0;
	if (i >= remaining && tb !== 0) k.blocker = sk2 !== 0 ? sk2 : bindBucketOwner(hinfo, tb);
	return i;
}

/**
 * scan_step of __inet_hash_connect: the distance from one port to the next in the search. It is
 * `step`. Since 7.1 with ip_local_port_step_width it is a random multiple of `step` that still
 * reaches every port. C computes it inside __inet_hash_connect.
 */
function connectScanStep(k: Stack, net: Net, sk: Sk, remaining: number, step: number): number {
	const max = net.ipv4.sysctl_ip_local_port_step_width;
	if (max === 0 || remaining <= 1) return step;
	const range = Math.floor(remaining / step);
	const upper = Math.min(range, max);
	let scan_step = 1 + k.draws.connectStep(sk, upper);
	while (gcd(scan_step, range) !== 1) {
		scan_step++;
		// If range is even, skip the even numbers.
		if (((scan_step | range) & 1) === 0) scan_step++;
		if (scan_step > upper) {
			scan_step = 1;
			break;
		}
	}
	return scan_step * step;
}

/**
 * Finds a local port for connect() and puts the socket into ehash. If the socket has a port already,
 * there is no search, only the check of its four-tuple. k.port_offset is C's parameter port_offset,
 * low half first. Returns 0 or -EADDRNOTAVAIL. `break other_parity_scan` stands for C's `goto ok`.
 */
export function __inet_hash_connect(k: Stack, sk: Sk, check_established: CheckEstablished): number {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	const net = sk_net(k, sk);
	let port = S.skc_num[sk];

	if (port !== 0) {
		const hash = skEhashOfPort(k, net, sk, port);
		const err = check_established(k, sk, port, false, CHECK_AND_TAKE, hash);
		k.trace.tuple(sk, port, tupleVerdict(k, err), k.blocker);
		return err;
	}

	const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);

	// If the socket has a range of its own, the search tries every port in turn, not one parity
	// first.
	let local_ports = inet_sk_get_local_port_range(k, sk);
	if (local_ports && !k.changes.has("connect-range-step-1")) local_ports = false; // since 6.8, 207184853dbd
	const step = local_ports ? 1 : 2;
	const low = k.low;
	const high = k.high + 1; // [32768, 60999] -> [32768, 61000[
	let remaining = high - low;
	if (!local_ports && remaining > 1) remaining &= ~1;

	const table_perturb = k.table_perturb ?? tablePerturbInit(k);
	const index = k.port_offset[0] & (INET_TABLE_PERTURB_SIZE - 1);

	let offset = ((table_perturb[index] + k.port_offset[1]) >>> 0) % remaining;
	offset = k.draws.connectOffset(sk, low, high, remaining, step, offset);
	k.trace.search(SEARCH_CONNECT, sk, low, high - 1);
	k.trace.scan(low, remaining, offset, 0, false);

	// The first pass tries the ports with the parity of low. inet_csk_find_open_port() does the
	// opposite.
	if (!local_ports) offset &= ~1;
	const scan_step = connectScanStep(k, net, sk, remaining, step);
	const lockless = k.changes.has("connect-lookup-without-lock"); // since 6.15, 86c2bc293b81
	let candidate = lockless ? connectCandidateRcu : connectCandidateLocked;
	let i = 0;
	other_parity_scan: for (;;) {
		port = low + offset;
		k.trace.pass(port);
		i = 0;
		if (k.trace === noTrace) {
			// If nobody traces, connectScan skips the ports that connectCandidate would reject.
			i =
				k.guide === null
					? connectScan(k, net, sk, port, l3mdev, high, remaining, step, scan_step)
					: k.guide.connectScan(net, sk, port, l3mdev, high, remaining, step, scan_step);
			port = k.found_port;
			candidate = connectCandidateLocked;
		}
		for (; i < remaining; i += step, port += scan_step) {
			if (port >= high) port -= remaining;
			const verdict = candidate(k, net, sk, port, l3mdev, check_established, CHECK_AND_TAKE);
			if (verdict === CANDIDATE_OK) break other_parity_scan;
			k.trace.skip(port, verdict, k.blocker);
		}

		if (!local_ports) {
			offset++;
			if ((offset & 1) !== 0 && remaining > 1) continue; // goto other_parity_scan
		}
		k.trace.chosen(0);
		return -EADDRNOTAVAIL;
	}

	// ok:
	k.trace.chosen(port);
	const tw = k.found_tw;
	let tb = k.found_tb;
	if (tb === 0) {
		tb = inet_bind_bucket_create(hinfo, net, port, l3mdev);
		T.fastreuse[tb] = -1;
		T.fastreuseport[tb] = -1;
	}
	let tb2 = inet_bind2_bucket_find(k, net, port, l3mdev, sk);
	if (tb2 === 0) {
		tb2 = inet_bind2_bucket_create(k, net, tb, l3mdev, sk);
		T2.fastreuse[tb2] = -1;
		T2.fastreuseport[tb2] = -1;
	}

	// The next search for this destination starts further on: by the distance of this search, or by
	// a small random distance if that is larger.
	i = Math.max(i, k.random.getRandomU32BelowConst(8) * step);
	table_perturb[index] += i + step;

	inet_bind_hash(k, sk, tb, tb2, port);
	S.sk_userlocks[sk] |= SOCK_CONNECT_BIND;

	if (hlist_unhashed(S.node_pprev, sk)) {
		S.inet_sport[sk] = port;
		inet_ehash_nolisten(k, sk, false);
	}
	if (tw !== 0) {
		inet_twsk_bind_unhash(k, tw);
		inet_twsk_deschedule_put(k, tw);
	}
	return 0;
}

/**
 * connect() over IPv4: finds a local port and puts the socket into ehash. Returns 0 or
 * -EADDRNOTAVAIL.
 */
export function inet_hash_connect(k: Stack, sk: Sk): number {
	const S = k.sock;
	if (S.skc_num[sk] === 0) {
		secure_ipv4_port_ephemeral(k, S.skc_rcv_saddr[sk], S.skc_daddr[sk], S.skc_dport[sk]);
	}
	return __inet_hash_connect(k, sk, __inet_check_established);
}
