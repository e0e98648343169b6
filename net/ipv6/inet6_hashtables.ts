// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv6/inet6_hashtables.c: IPv6 connections and listeners in TCP's tables. An IPv6 address is
 * an array and the index of its first word.
 */
import type { Ifindex, Port, Sk } from "../../include/linux/handle.js";
import { jhash9Words } from "../../include/linux/jhash.js";
import { hlist_add_head, hlist_del_init } from "../../include/linux/list.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import {
	__inet6_ehashfn,
	type InetHashinfo,
	inet6_match,
	tcp_or_dccp_get_hashinfo,
} from "../../include/net/inet_hashtables.js";
import { inet_sk_bound_dev_eq } from "../../include/net/inet_sock.js";
import {
	__ipv6_addr_jhash,
	in6addr_any,
	ipv6_addr_equal,
	ipv6_portaddr_hash,
	ipv6AddrJhashFolded,
} from "../../include/net/ipv6.js";
import type { Net } from "../../include/net/net_namespace.js";
import { sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import { EADDRNOTAVAIL } from "../../include/uapi/asm-generic/errno.js";
import { swab16, swab32 } from "../../include/uapi/linux/swab.js";
import { secure_ipv6_port_ephemeral } from "../core/secure_seq.js";
import { reuseport_select_sock } from "../core/sock_reuseport.js";
import { __inet_hash_connect, CHECK_ONLY, CHECK_RCU_LOOKUP } from "../ipv4/inet_hashtables.js";
import { inet_twsk_deschedule_put } from "../ipv4/inet_timewait_sock.js";
import { tcp_twsk_unique } from "../ipv4/tcp_ipv4.js";
import { l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";

/**
 * The secret of inet6_ehashfn. It is drawn at first use, together with the secret for addresses
 * (since 7.1 C's inet6_init_ehash_secret, when the first socket listens or connects).
 */
export function inet6EhashInitval(k: Stack, net: Net): number {
	if (k.inet6_ehash_secret === null) k.inet6_ehash_secret = k.random.get_random_u32();
	if (k.ipv6_hash_secret === null) k.ipv6_hash_secret = k.random.get_random_u32();
	return k.inet6_ehash_secret + net.hash_mix;
}

/** Hash of an IPv6 four-tuple for ehash: local address and port, foreign address and port. */
export function inet6_ehashfn(
	k: Stack,
	net: Net,
	laddr: Uint32Array,
	li: number,
	lport: Port,
	faddr: Uint32Array,
	fi: number,
	fport: Port,
): number {
	// since 7.1, 854587e69ef3
	if (k.changes.has("ehash6-whole-tuple")) {
		return inet6EhashWholeTuple(k, net, laddr, li, lport, faddr, fi, fport);
	}
	const initval = inet6EhashInitval(k, net);
	const lhash = swab32(laddr[li + 3]);
	const fhash = inet6EhashFhash(k, faddr, fi);
	// since 6.15, 9544d60a2605
	if (!k.changes.has("ehash-adds-port"))
		return __inet6_ehashfn(lhash, lport, fhash, fport, initval);
	return (lport + __inet6_ehashfn(lhash, 0, fhash, fport, initval)) >>> 0;
}

/** inet6_ehashfn with ehash6-whole-tuple: every word of both addresses counts. */
function inet6EhashWholeTuple(
	k: Stack,
	net: Net,
	laddr: Uint32Array,
	li: number,
	lport: Port,
	faddr: Uint32Array,
	fi: number,
	fport: Port,
): number {
	inet6EhashInitval(k, net); // draws the secrets
	const hash = jhash9Words(
		swab32(laddr[li]) ^ net.hash_mix,
		swab32(laddr[li + 1]),
		swab32(laddr[li + 2]),
		swab32(laddr[li + 3]),
		swab32(faddr[fi]),
		swab32(faddr[fi + 1]),
		swab32(faddr[fi + 2]),
		swab32(faddr[fi + 3]),
		swab16(fport),
		k.ipv6_hash_secret ?? 0,
	);
	return (lport + hash) >>> 0;
}

/** The part of inet6_ehashfn for the foreign address. It has a secret of its own. */
export function inet6EhashFhash(k: Stack, faddr: Uint32Array, fi: number): number {
	if (k.ipv6_hash_secret === null) k.ipv6_hash_secret = k.random.get_random_u32();
	// since 6.5, d11b0df7ddf1
	if (!k.changes.has("ipv6-jhash-whole-address")) {
		return ipv6AddrJhashFolded(faddr, fi, k.ipv6_hash_secret);
	}
	return __ipv6_addr_jhash(faddr, fi, k.ipv6_hash_secret);
}

/** The connection or the time-wait socket that a segment belongs to, 0 if none. */
export function __inet6_lookup_established(
	k: Stack,
	net: Net,
	hinfo: InetHashinfo,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	const S = k.sock;
	const hash = inet6_ehashfn(k, net, daddr, di, hnum, saddr, si, sport);
	let sk = hinfo.ehash[hash & hinfo.ehash_mask];
	for (; sk !== 0; sk = S.node_next[sk]) {
		if (S.skc_hash[sk] !== hash) continue;
		if (inet6_match(net, S, sk, saddr, si, daddr, di, sport, hnum, dif, sdif)) break;
	}
	return sk;
}

/** How well a listener fits a packet, -1: not at all. */
function compute_score(
	k: Stack,
	sk: Sk,
	net: Net,
	hnum: Port,
	daddr: Uint32Array,
	di: number,
	dif: Ifindex,
	sdif: Ifindex,
): number {
	const S = k.sock;
	if (S.skc_net[sk] !== net.id || S.skc_num[sk] !== hnum || S.skc_family[sk] !== AF_INET6) {
		return -1;
	}
	if (!ipv6_addr_equal(S.skc_v6_rcv_saddr, sk * 4, daddr, di)) return -1;
	if (!inet_sk_bound_dev_eq(net, S.skc_bound_dev_if[sk], dif, sdif)) return -1;
	return S.skc_bound_dev_if[sk] !== 0 ? 2 : 1;
}

function inet6_lhash2_lookup(
	k: Stack,
	net: Net,
	hinfo: InetHashinfo,
	slot: number,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	const S = k.sock;
	let result: Sk = 0;
	let hiscore = 0;
	for (let sk = hinfo.lhash2[slot]; sk !== 0; sk = S.node_next[sk]) {
		const score = compute_score(k, sk, net, hnum, daddr, di, dif, sdif);
		if (score > hiscore) {
			if (S.skc_reuseport[sk] !== 0) {
				const phash = inet6_ehashfn(k, net, daddr, di, hnum, saddr, si, sport);
				const member = reuseport_select_sock(k, sk, phash);
				if (member !== 0) {
					return k.accept_queues?.selects(member, "ehash6", sport, saddr, si) ?? member;
				}
			}
			result = sk;
			hiscore = score;
		}
	}
	return result;
}

/** The listener for a SYN, 0 if none. Tries the packet's address first, then the wildcard. */
export function inet6_lookup_listener(
	k: Stack,
	net: Net,
	hinfo: InetHashinfo,
	saddr: Uint32Array,
	si: number,
	sport: Port,
	daddr: Uint32Array,
	di: number,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): Sk {
	const mask = hinfo.lhash2_mask;
	const slot = ipv6_portaddr_hash(net, daddr, di, hnum) & mask;
	const result = inet6_lhash2_lookup(
		k,
		net,
		hinfo,
		slot,
		saddr,
		si,
		sport,
		daddr,
		di,
		hnum,
		dif,
		sdif,
	);
	if (result !== 0) return result;
	const any = ipv6_portaddr_hash(net, in6addr_any, 0, hnum) & mask;
	return inet6_lhash2_lookup(k, net, hinfo, any, saddr, si, sport, in6addr_any, 0, hnum, dif, sdif);
}

/** __inet_check_established (net/ipv4/inet_hashtables.ts) over IPv6. */
export function __inet6_check_established(
	k: Stack,
	sk: Sk,
	lport: Port,
	twp: boolean,
	how: number,
	hash: number,
): number {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const daddr = S.skc_v6_rcv_saddr;
	const saddr = S.skc_v6_daddr;
	const at = sk * 4;
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
			if (!inet6_match(net, S, sk2, saddr, at, daddr, at, dport, lport, dif, sdif)) continue;
			if (S.skc_state[sk2] === TCP_TIME_WAIT) break;
			k.blocker = sk2;
			return -EADDRNOTAVAIL;
		}
		return 0;
	}

	for (let sk2 = hinfo.ehash[head]; sk2 !== 0; sk2 = S.node_next[sk2]) {
		if (S.skc_hash[sk2] !== hash) continue;
		if (!inet6_match(net, S, sk2, saddr, at, daddr, at, dport, lport, dif, sdif)) continue;
		if (S.skc_state[sk2] === TCP_TIME_WAIT) {
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

/**
 * connect() over IPv6: finds a local port and puts the socket into ehash. Returns 0 or
 * -EADDRNOTAVAIL.
 */
export function inet6_hash_connect(k: Stack, sk: Sk): number {
	const S = k.sock;
	if (S.skc_num[sk] === 0) {
		const at = sk * 4;
		secure_ipv6_port_ephemeral(k, S.skc_v6_rcv_saddr, at, S.skc_v6_daddr, at, S.skc_dport[sk]);
	}
	return __inet_hash_connect(k, sk, __inet6_check_established);
}
