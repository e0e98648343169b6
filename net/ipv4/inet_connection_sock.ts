// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/inet_connection_sock.c: the effective port range, bind conflicts, bind()'s
 * search for a local port, and the queues of listeners.
 */
import type { Ifindex, Port, Sk, Tb, Tb2 } from "../../include/linux/handle.js";
import { hlist_unhashed } from "../../include/linux/list.js";
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import {
	FASTREUSEPORT_ANY,
	FASTREUSEPORT_STRICT,
	inet_bhashfn_portaddr,
	tcp_or_dccp_get_hashinfo,
} from "../../include/net/inet_hashtables.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import { inet_is_local_reserved_port } from "../../include/net/ip.js";
import {
	IPV6_ADDR_ANY,
	IPV6_ADDR_MAPPED,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_equal,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
} from "../../include/net/ipv6.js";
import type { Net } from "../../include/net/net_namespace.js";
import { reqsk_free, reqsk_queue_remove } from "../../include/net/request_sock.js";
import {
	REQ_ACKED,
	SK_CAN_REUSE,
	SK_FORCE_REUSE,
	SOCK_DEAD,
	sk_net,
	sk_prot,
	sock_orphan,
	TIMEO_NOWAIT,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_RTO_MAX, TCP_TIMEOUT_INIT, tcp_rto_max } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_LISTEN,
	TCP_NEW_SYN_RECV,
	TCP_SYN_RECV,
	TCP_TIME_WAIT,
} from "../../include/net/tcp_states.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	noTrace,
	SEARCH_BIND,
} from "../../include/trace/events/port_search.js";
import { EADDRINUSE, EAGAIN, EINVAL, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import { INADDR_ANY } from "../../include/uapi/linux/in.js";
import { sk_clone, sk_free, sock_i_uid } from "../core/sock.js";
import { inet_sk_bound_l3mdev, l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import {
	bindBucketFind,
	bindBucketOwner,
	inet_bhash2_addr_any_hashbucket,
	inet_bind_bucket_create,
	inet_bind_bucket_destroy,
	inet_bind_hash,
	inet_bind2_bucket_addr_match,
	inet_bind2_bucket_create,
	inet_bind2_bucket_destroy,
	inet_bind2_bucket_find,
	inet_bind2_bucket_match_addr_any,
	inet_ehash_nolisten,
	inet_unhash,
} from "./inet_hashtables.js";
import { tcp_v4_destroy_sock } from "./tcp_ipv4.js";
import { tcp_rtx_synack } from "./tcp_output.js";

/**
 * Whether the local addresses of two sockets overlap. They overlap if they are equal, or if one
 * is the wildcard and its match_sk*_wildcard is true. sk1 is an AF_INET6 socket. sk2 is an AF_INET
 * socket if `sk2_rcv_saddr6` is null. An IPv6 address is an array and the index of its first word.
 */
function ipv6_rcv_saddr_equal(
	sk1_rcv_saddr6: Uint32Array,
	i1: number,
	sk2_rcv_saddr6: Uint32Array | null,
	i2: number,
	sk1_rcv_saddr: number,
	sk2_rcv_saddr: number,
	sk1_ipv6only: boolean,
	sk2_ipv6only: boolean,
	match_sk1_wildcard: boolean,
	match_sk2_wildcard: boolean,
): boolean {
	const addr_type = ipv6_addr_type(sk1_rcv_saddr6, i1);
	const addr_type2 =
		sk2_rcv_saddr6 === null ? IPV6_ADDR_MAPPED : ipv6_addr_type(sk2_rcv_saddr6, i2);

	// If both are v4-mapped, compare them as IPv4.
	if (addr_type === IPV6_ADDR_MAPPED && addr_type2 === IPV6_ADDR_MAPPED) {
		return ipv4_rcv_saddr_equal(
			sk1_rcv_saddr,
			sk2_rcv_saddr,
			sk2_ipv6only,
			match_sk1_wildcard,
			match_sk2_wildcard,
		);
	}
	if (addr_type === IPV6_ADDR_ANY && addr_type2 === IPV6_ADDR_ANY) return true;
	if (
		addr_type2 === IPV6_ADDR_ANY &&
		match_sk2_wildcard &&
		!(sk2_ipv6only && addr_type === IPV6_ADDR_MAPPED)
	) {
		return true;
	}
	if (
		addr_type === IPV6_ADDR_ANY &&
		match_sk1_wildcard &&
		!(sk1_ipv6only && addr_type2 === IPV6_ADDR_MAPPED)
	) {
		return true;
	}
	return sk2_rcv_saddr6 !== null && ipv6_addr_equal(sk1_rcv_saddr6, i1, sk2_rcv_saddr6, i2);
}

/**
 * Whether the local addresses of two sockets overlap as IPv4 addresses, see ipv6_rcv_saddr_equal.
 */
function ipv4_rcv_saddr_equal(
	sk1_rcv_saddr: number,
	sk2_rcv_saddr: number,
	sk2_ipv6only: boolean,
	match_sk1_wildcard: boolean,
	match_sk2_wildcard: boolean,
): boolean {
	if (sk2_ipv6only) return false;
	if (sk1_rcv_saddr === sk2_rcv_saddr) return true;
	return (
		(match_sk1_wildcard && sk1_rcv_saddr === INADDR_ANY) ||
		(match_sk2_wildcard && sk2_rcv_saddr === INADDR_ANY)
	);
}

/**
 * Whether the local addresses of two sockets overlap. The wildcard overlaps every address if
 * `match_wildcard` is true; otherwise the addresses have to be equal.
 */
export function inet_rcv_saddr_equal(k: Stack, sk: Sk, sk2: Sk, match_wildcard: boolean): boolean {
	const S = k.sock;
	if (S.skc_family[sk] === AF_INET6) {
		return ipv6_rcv_saddr_equal(
			S.skc_v6_rcv_saddr,
			sk * 4,
			S.skc_family[sk2] === AF_INET6 ? S.skc_v6_rcv_saddr : null,
			sk2 * 4,
			S.skc_rcv_saddr[sk],
			S.skc_rcv_saddr[sk2],
			ipv6_only_sock(k, sk),
			ipv6_only_sock(k, sk2),
			match_wildcard,
			match_wildcard,
		);
	}
	return ipv4_rcv_saddr_equal(
		S.skc_rcv_saddr[sk],
		S.skc_rcv_saddr[sk2],
		ipv6_only_sock(k, sk2),
		match_wildcard,
		match_wildcard,
	);
}

/** Whether the socket's local address is the wildcard. */
export function inet_rcv_saddr_any(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	if (S.skc_family[sk] === AF_INET6) return ipv6_addr_any(S.skc_v6_rcv_saddr, sk * 4);
	return S.skc_rcv_saddr[sk] === INADDR_ANY;
}

/**
 * The range of ports that the searches of a socket use. Stores it in k.low and k.high, both
 * inclusive (C's output parameters). It begins as the namespace's range
 * (inet_get_local_port_range). A bound of the socket replaces the namespace's bound if it lies in
 * the range. A bound that is not set is 0 and lies outside. The high bound is compared with the low
 * bound that may have been replaced before, as in C. A socket can only narrow the range. Returns
 * whether the socket has a range, even one without effect.
 */
export function inet_sk_get_local_port_range(k: Stack, sk: Sk): boolean {
	const { range } = sk_net(k, sk).ipv4.ip_local_ports;
	let lo = range[0];
	let hi = range[1];
	const sk_lo = k.sock.local_port_range_lo[sk];
	const sk_hi = k.sock.local_port_range_hi[sk];
	if (lo <= sk_lo && sk_lo <= hi) lo = sk_lo;
	if (lo <= sk_hi && sk_hi <= hi) hi = sk_hi;
	k.low = lo;
	k.high = hi;
	return sk_lo !== 0 || sk_hi !== 0;
}

/**
 * Whether the conflict check uses bhash2: yes if the socket binds to one address, no if it binds to
 * the wildcard. Newer C calls it inet_use_hash2_on_bind and shares it with UDP.
 */
function inet_use_bhash2_on_bind(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	if (S.skc_family[sk] === AF_INET6) {
		if (ipv6_addr_any(S.skc_v6_rcv_saddr, sk * 4)) return false;
		if (!ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, sk * 4)) return true;
		if (!k.changes.has("bhash2-v4mapped-on-bind")) return false; // since 6.8, 5e07e672412b
	}
	return S.skc_rcv_saddr[sk] !== INADDR_ANY;
}

/**
 * Whether two sockets conflict if their addresses overlap; the caller compares the addresses. If
 * `relax` is true, SO_REUSEADDR on both sockets avoids the conflict, unless sk2 listens. bind()
 * passes true for a port that the program names; the search passes false in its first passes
 * (ip_autobind_reuse). If `reuseport_ok` is true, SO_REUSEPORT of the same user avoids the
 * conflict. It is true for a port that the program names. `reuseport_cb_ok` is reuseportCbOk of sk.
 */
function inet_bind_conflict(
	k: Stack,
	sk: Sk,
	sk2: Sk,
	sk_uid: number,
	relax: boolean,
	reuseport_cb_ok: boolean,
	reuseport_ok: boolean,
): boolean {
	const S = k.sock;
	if (sk === sk2) return false;

	const bound_dev_if = S.skc_bound_dev_if[sk];
	const bound_dev_if2 = S.skc_bound_dev_if[sk2];
	if (bound_dev_if !== 0 && bound_dev_if2 !== 0 && bound_dev_if !== bound_dev_if2) return false;

	if (S.skc_reuse[sk] !== 0 && S.skc_reuse[sk2] !== 0 && S.skc_state[sk2] !== TCP_LISTEN) {
		return (
			!relax ||
			(!reuseport_ok &&
				S.skc_reuseport[sk] !== 0 &&
				S.skc_reuseport[sk2] !== 0 &&
				reuseport_cb_ok &&
				(S.skc_state[sk2] === TCP_TIME_WAIT || sk_uid === sock_i_uid(k, sk2)))
		);
	}
	return (
		!reuseport_ok ||
		S.skc_reuseport[sk] === 0 ||
		S.skc_reuseport[sk2] === 0 ||
		!reuseport_cb_ok ||
		(S.skc_state[sk2] !== TCP_TIME_WAIT && sk_uid !== sock_i_uid(k, sk2))
	);
}

function __inet_bhash2_conflict(
	k: Stack,
	sk: Sk,
	sk2: Sk,
	sk_uid: number,
	relax: boolean,
	reuseport_cb_ok: boolean,
	reuseport_ok: boolean,
): boolean {
	// An IPv6-only socket does not conflict with a socket on an IPv4 address.
	if (ipv6_only_sock(k, sk2)) {
		const S = k.sock;
		if (S.skc_family[sk] !== AF_INET6) return false;
		// since 6.9, ea111449501e
		if (ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, sk * 4) && k.changes.has("bhash2-v6only-v4mapped")) {
			return false;
		}
	}
	return inet_bind_conflict(k, sk, sk2, sk_uid, relax, reuseport_cb_ok, reuseport_ok);
}

/** The first socket of a bind2 bucket that conflicts with sk, 0 if none. */
function inet_bhash2_conflict(
	k: Stack,
	sk: Sk,
	tb2: Tb2,
	sk_uid: number,
	relax: boolean,
	reuseport_cb_ok: boolean,
	reuseport_ok: boolean,
): Sk {
	const { owners } = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	const { bind_node_next } = k.sock;
	for (let sk2 = owners[tb2]; sk2 !== 0; sk2 = bind_node_next[sk2]) {
		if (__inet_bhash2_conflict(k, sk, sk2, sk_uid, relax, reuseport_cb_ok, reuseport_ok)) {
			return sk2;
		}
	}
	return 0;
}

/**
 * inet_bhash2_conflict before 6.8 (bhash-holds-bhash2): time-wait sockets are on a list of their own.
 */
function bhash2ConflictDeathrow(
	k: Stack,
	sk: Sk,
	tb2: Tb2,
	sk_uid: number,
	relax: boolean,
	reuseport_cb_ok: boolean,
	reuseport_ok: boolean,
): Sk {
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind2_bucket_cachep;
	const next = k.sock.bind2_node_next;
	for (let sk2 = T.owners[tb2]; sk2 !== 0; sk2 = next[sk2]) {
		if (__inet_bhash2_conflict(k, sk, sk2, sk_uid, relax, reuseport_cb_ok, reuseport_ok)) {
			return sk2;
		}
	}
	for (let tw2 = T.deathrow[tb2]; tw2 !== 0; tw2 = next[tw2]) {
		if (__inet_bhash2_conflict(k, sk, tw2, sk_uid, relax, reuseport_cb_ok, reuseport_ok)) {
			return tw2;
		}
	}
	return 0;
}

/** C's inet_bhash2_conflict in the modelled version. */
function bhash2ConflictOf({ changes }: Stack): typeof inet_bhash2_conflict {
	// since 6.8, 770041d337a8
	return changes.has("bhash-holds-bhash2") ? inet_bhash2_conflict : bhash2ConflictDeathrow;
}

/**
 * reuseport_cb_ok of C: the socket is in no reuseport group, or its group has closed members
 * (num_closed_socks). With tcp_migrate_req off no group has closed members.
 */
function reuseportCbOk(k: Stack, sk: Sk): boolean {
	const reuse = k.reuseport.get(k.sock.sk_reuseport_cb[sk]);
	return reuse === undefined || reuse.num_closed_socks !== 0;
}

/**
 * The first owner of a port that conflicts with sk, 0 if none. If sk binds to one address, the
 * function looks only at tb2, the bind2 bucket of this address. The caller has checked the wildcard
 * before (inet_bhash2_addr_any_conflict). If sk binds to the wildcard, the function looks at every
 * owner of the port. C returns a bool; the socket is for the trace.
 */
function inet_csk_bind_conflict(
	k: Stack,
	sk: Sk,
	tb: Tb,
	tb2: Tb2,
	relax: boolean,
	reuseport_ok: boolean,
): Sk {
	const uid = sock_i_uid(k, sk);
	const reuseport_cb_ok = reuseportCbOk(k, sk);

	if (inet_use_bhash2_on_bind(k, sk)) {
		if (tb2 === 0) return 0;
		return bhash2ConflictOf(k)(k, sk, tb2, uid, relax, reuseport_cb_ok, reuseport_ok);
	}

	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	const { bind_node_next } = k.sock;
	// since 6.8, b82ba728ccfe
	if (!k.changes.has("bhash-holds-bhash2")) {
		for (let sk2 = T.owners[tb]; sk2 !== 0; sk2 = bind_node_next[sk2]) {
			if (!inet_bind_conflict(k, sk, sk2, uid, relax, reuseport_cb_ok, reuseport_ok)) continue;
			if (inet_rcv_saddr_equal(k, sk, sk2, true)) return sk2;
		}
		return 0;
	}
	// sk_for_each_bound_bhash
	for (let tb2 = T.bhash2[tb]; tb2 !== 0; tb2 = T2.bhash_node_next[tb2]) {
		for (let sk2 = T2.owners[tb2]; sk2 !== 0; sk2 = bind_node_next[sk2]) {
			if (!inet_bind_conflict(k, sk, sk2, uid, relax, reuseport_cb_ok, reuseport_ok)) continue;
			if (inet_rcv_saddr_equal(k, sk, sk2, true)) return sk2;
		}
	}
	return 0;
}

/** The first socket on the wildcard address and this port that conflicts with sk, 0 if none. */
function inet_bhash2_addr_any_conflict(
	k: Stack,
	sk: Sk,
	port: Port,
	l3mdev: Ifindex,
	relax: boolean,
	reuseport_ok: boolean,
): Sk {
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind2_bucket_cachep;
	const net = sk_net(k, sk);
	let tb2 = hinfo.bhash2[inet_bhash2_addr_any_hashbucket(hinfo, net, port)];
	if (tb2 === 0) return 0;
	const uid = sock_i_uid(k, sk);
	const reuseport_cb_ok = reuseportCbOk(k, sk);
	const every = k.changes.has("bhash2-every-wildcard-bucket"); // since 6.9, d91ef1e1b55f
	const match_addr_any = inet_bind2_bucket_match_addr_any(k);
	const bhash2_conflict = bhash2ConflictOf(k);
	for (; tb2 !== 0; tb2 = T.node_next[tb2]) {
		if (!match_addr_any(k, tb2, net, port, l3mdev, sk)) continue;
		const sk2 = bhash2_conflict(k, sk, tb2, uid, relax, reuseport_cb_ok, reuseport_ok);
		// Before bhash2-every-wildcard-bucket the first bucket that matches decides, even if its
		// sockets are IPv6-only and do not conflict.
		if (sk2 !== 0 || !every) return sk2;
	}
	return 0;
}

/**
 * The body of the loop over ports in inet_csk_find_open_port. Returns CANDIDATE_OK if bind() can
 * take the port, else the reason to skip it (CANDIDATE_*, C: `continue` and `goto next_port`).
 * Stores the bucket and the bind2 bucket of the port in k.found_tb and k.found_tb2 (C: *tb_ret and
 * *tb2_ret), 0 if there is none. Stores the socket that conflicts in k.blocker, 0 if none. Changes no
 * table. It is a function of its own because check mode calls it as well.
 */
export function bindCandidate(
	k: Stack,
	net: Net,
	sk: Sk,
	port: Port,
	l3mdev: Ifindex,
	relax: boolean,
): number {
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	k.found_tb = 0;
	k.found_tb2 = 0;
	k.blocker = 0;
	if (inet_is_local_reserved_port(net, port)) return CANDIDATE_RESERVED;

	if (inet_use_bhash2_on_bind(k, sk)) {
		k.blocker = inet_bhash2_addr_any_conflict(k, sk, port, l3mdev, relax, false);
		if (k.blocker !== 0) return CANDIDATE_CONFLICT_ANY;
	}

	k.found_tb2 = inet_bind2_bucket_find(k, net, port, l3mdev, sk);
	k.found_tb = bindBucketFind(hinfo, net, port, l3mdev);
	if (k.found_tb !== 0) {
		k.blocker = inet_csk_bind_conflict(k, sk, k.found_tb, k.found_tb2, relax, false);
		if (k.blocker !== 0) return CANDIDATE_CONFLICT;
	}
	return CANDIDATE_OK;
}

/** How many ports bindScan looks at itself after it found a port that is not remembered. */
const BIND_PATIENCE = 16;

/**
 * Skips the ports that bindCandidate rejects, and gives the same answers as bindCandidate, but
 * faster. Looks at every second port from `port` on, `remaining` / 2 ports, and wraps around at
 * `high`. Returns the distance to the first port that bind() can take. Returns `remaining` or more
 * if there is none; then k.blocker is the socket that conflicts on the last port. Otherwise it only
 * remembers refused ports: bindCandidate then finds the buckets of the port.
 *
 * It passes over the ports that hinfo.refused_binds remembers. On the others it avoids function calls
 * down to the comparison of two sockets. It computes once what is the same for every port: the hashes
 * of an address without a port, the user and the reuseport group of the socket, the behaviour changes.
 * Columns are in local variables, see connectScan. A bind() that fails over 16,000 ports, each with
 * an owner, takes 1 ns a port with bindScan and 55 ns without (`npm run bench -- --only scans`).
 */
export function bindScan(
	k: Stack,
	net: Net,
	sk: Sk,
	port: Port,
	l3mdev: Ifindex,
	high: number,
	remaining: number,
	relax: boolean,
): number {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const { bhash, bhash2 } = hinfo;
	const bhash_mask = (hinfo.bhash_size - 1) | 0;
	const T = hinfo.bind_bucket_cachep;
	const { port: tb_port, ib_net, l3mdev: tb_l3mdev, node_next: tb_next } = T;
	const { owners, bhash2: tb_bhash2 } = T;
	const T2 = hinfo.bind2_bucket_cachep;
	const { port: tb2_port, ib_net: ib2_net, l3mdev: tb2_l3mdev, node_next: tb2_next } = T2;
	const { owners: owners2, bhash_node_next } = T2;
	const { bind_node_next } = S;
	const reserved = net.ipv4.sysctl_local_reserved_ports;
	const hash_mix = net.hash_mix | 0;
	const id = net.id | 0;
	l3mdev |= 0;

	const bhash2_only = inet_use_bhash2_on_bind(k, sk);
	const any_slot = inet_bhash2_addr_any_hashbucket(hinfo, net, 0) | 0;
	const saddr_slot = inet_bhashfn_portaddr(hinfo, S, sk, net, 0) | 0;
	const every = k.changes.has("bhash2-every-wildcard-bucket"); // since 6.9, d91ef1e1b55f
	let match_addr_any: ReturnType<typeof inet_bind2_bucket_match_addr_any> | null = null;
	const holds = k.changes.has("bhash-holds-bhash2"); // since 6.8, b82ba728ccfe
	const bhash2_conflict = holds ? inet_bhash2_conflict : bhash2ConflictDeathrow;
	const uid = sock_i_uid(k, sk);
	const cb_ok = reuseportCbOk(k, sk);
	// Such a socket conflicts with every socket on its address that is not IPv6-only, whatever the
	// options of the other one are.
	const plain =
		S.skc_family[sk] === AF_INET && S.skc_reuse[sk] === 0 && S.skc_bound_dev_if[sk] === 0;
	const { refused_binds } = hinfo;
	const saddr = S.skc_rcv_saddr[sk];
	let patience = 0;
	let refusals = 0;

	let sk2: Sk = 0;
	let i = 0;
	for (; i < remaining; i += 2, port = (port + 2) | 0) {
		if (plain && --patience <= 0) {
			const before = i;
			i = refused_binds.skip(net, saddr, 0, 0, port, high, remaining, 2, 2, i);
			port = refused_binds.port;
			if (i >= remaining) {
				// Only for k.blocker: the last port.
				bindCandidate(k, net, sk, port - 2, l3mdev, relax);
				return i;
			}
			if (i === before) patience = BIND_PATIENCE;
		}
		if (port >= high) port = (port - remaining) | 0;
		sk2 = 0;
		if ((reserved[port >>> 5] & (1 << (port & 31))) !== 0) continue;

		if (bhash2_only) {
			let tb2 = bhash2[(any_slot ^ port) & bhash_mask];
			for (; tb2 !== 0; tb2 = tb2_next[tb2]) {
				if (tb2_port[tb2] !== port) continue;
				match_addr_any ??= inet_bind2_bucket_match_addr_any(k);
				if (!match_addr_any(k, tb2, net, port, l3mdev, sk)) continue;
				sk2 = bhash2_conflict(k, sk, tb2, uid, relax, cb_ok, false);
				if (sk2 !== 0 || !every) break;
			}
			if (sk2 !== 0) {
				// Without this change a new bucket of IPv6-only sockets may hide sk2.
				if (plain && every && refused_binds.pays(++refusals)) {
					refused_binds.remember(id, saddr, 0, 0, port, remaining);
				}
				continue;
			}
		}

		let tb = bhash[(port + hash_mix) & bhash_mask];
		while (tb !== 0) {
			if (tb_port[tb] === port && ib_net[tb] === id && tb_l3mdev[tb] === l3mdev) break;
			tb = tb_next[tb];
		}
		if (tb === 0) break;

		if (bhash2_only) {
			let tb2 = bhash2[(saddr_slot ^ port) & bhash_mask];
			for (; tb2 !== 0; tb2 = tb2_next[tb2]) {
				if (tb2_port[tb2] !== port || ib2_net[tb2] !== id || tb2_l3mdev[tb2] !== l3mdev) continue;
				if (inet_bind2_bucket_addr_match(k, tb2, sk)) break;
			}
			if (tb2 !== 0) sk2 = bhash2_conflict(k, sk, tb2, uid, relax, cb_ok, false);
		} else if (holds) {
			for (let tb2 = tb_bhash2[tb]; tb2 !== 0; tb2 = bhash_node_next[tb2]) {
				for (sk2 = owners2[tb2]; sk2 !== 0; sk2 = bind_node_next[sk2]) {
					if (!inet_bind_conflict(k, sk, sk2, uid, relax, cb_ok, false)) continue;
					if (inet_rcv_saddr_equal(k, sk, sk2, true)) break;
				}
				if (sk2 !== 0) break;
			}
		} else {
			for (sk2 = owners[tb]; sk2 !== 0; sk2 = bind_node_next[sk2]) {
				if (!inet_bind_conflict(k, sk, sk2, uid, relax, cb_ok, false)) continue;
				if (inet_rcv_saddr_equal(k, sk, sk2, true)) break;
			}
		}
		if (sk2 === 0) break;
		if (plain && refused_binds.pays(++refusals)) {
			refused_binds.remember(id, saddr, 0, 0, port, remaining);
		}
	}
	k.blocker = sk2;
	return i;
}

/**
 * Finds an open port for bind(). Returns the port (C: *port_ret), 0 if there is none. Stores its
 * bucket and its bind2 bucket in k.found_tb and k.found_tb2, 0 if there is none. A loop with a
 * label stands for each label of C, and `continue` stands for `goto`.
 */
function inet_csk_find_open_port(k: Stack, sk: Sk): Port {
	const S = k.sock;
	const net = sk_net(k, sk);
	const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);
	let relax = false;

	// Only for the trace. C reads the range at other_half_scan.
	inet_sk_get_local_port_range(k, sk);
	k.trace.search(SEARCH_BIND, sk, k.low, k.high);

	ports_exhausted: for (;;) {
		let attempt_half = S.skc_reuse[sk] === SK_CAN_REUSE ? 1 : 0;
		other_half_scan: for (;;) {
			inet_sk_get_local_port_range(k, sk);
			let low = k.low;
			let high = k.high + 1; // [32768, 60999] -> [32768, 61000[
			if (high - low < 4) attempt_half = 0;
			if (attempt_half !== 0) {
				const half = low + (((high - low) >> 2) << 1);
				if (attempt_half === 1) high = half;
				else low = half;
			}
			let remaining = high - low;
			if (remaining > 1) remaining &= ~1;

			// get_random_u32_below(remaining)
			let offset = k.draws.bindOffset(sk, low, high, remaining, relax);
			k.trace.scan(low, remaining, offset, attempt_half, relax);
			// __inet_hash_connect() prefers ports with the parity of low. bind() prefers the
			// others, to leave those to connect().
			offset |= 1;

			// other_parity_scan:
			for (;;) {
				let port = low + offset;
				k.trace.pass(port);
				let i = 0;
				// If nobody traces, bindScan skips the ports that bindCandidate would reject.
				if (k.trace === noTrace) {
					i =
						k.guide === null
							? bindScan(k, net, sk, port, l3mdev, high, remaining, relax)
							: k.guide.bindScan(net, sk, port, l3mdev, high, remaining, relax);
				}
				for (port += i; i < remaining; i += 2, port += 2) {
					if (port >= high) port -= remaining;
					const verdict = bindCandidate(k, net, sk, port, l3mdev, relax);
					if (verdict === CANDIDATE_OK) {
						k.trace.chosen(port);
						return port;
					}
					k.trace.skip(port, verdict, k.blocker);
				}

				offset--;
				if ((offset & 1) === 0) continue; // goto other_parity_scan

				if (attempt_half === 1) {
					attempt_half = 2; // the upper half of the range
					continue other_half_scan;
				}
				if (net.ipv4.sysctl_ip_autobind_reuse !== 0 && !relax) {
					relax = true; // sockets may still connect to different destinations
					continue ports_exhausted;
				}
				k.trace.chosen(0);
				return 0;
			}
		}
	}
}

/**
 * Whether the fast* fields of the bucket show that a reuseport socket does not conflict, so that no
 * owner has to be looked at.
 */
function sk_reuseport_match(k: Stack, tb: Tb, sk: Sk): boolean {
	const S = k.sock;
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind_bucket_cachep;
	if (T.fastreuseport[tb] <= 0) return false;
	if (S.skc_reuseport[sk] === 0) return false;
	if (S.sk_reuseport_cb[sk] !== 0) return false;
	if (T.fastuid[tb] !== sock_i_uid(k, sk)) return false;
	// With FASTREUSEPORT_STRICT there may be other owners that are not reuseport sockets of this
	// user. A conflict is excluded only for the address that the bucket remembers.
	if (T.fastreuseport[tb] === FASTREUSEPORT_ANY) return true;
	if (T.fast_sk_family[tb] === AF_INET6) {
		return ipv6_rcv_saddr_equal(
			T.fast_v6_rcv_saddr,
			tb * 4,
			S.skc_family[sk] === AF_INET6 ? S.skc_v6_rcv_saddr : null,
			sk * 4,
			T.fast_rcv_saddr[tb],
			S.skc_rcv_saddr[sk],
			T.fast_ipv6_only[tb] !== 0,
			ipv6_only_sock(k, sk),
			true,
			false,
		);
	}
	return ipv4_rcv_saddr_equal(
		T.fast_rcv_saddr[tb],
		S.skc_rcv_saddr[sk],
		ipv6_only_sock(k, sk),
		true,
		false,
	);
}

/** Fills the fast* fields of a bucket from a reuseport socket. C writes this out twice. */
function rememberReuseport(k: Stack, tb: Tb, sk: Sk, mark: number): void {
	const S = k.sock;
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind_bucket_cachep;
	T.fastreuseport[tb] = mark;
	T.fastuid[tb] = sock_i_uid(k, sk);
	T.fast_rcv_saddr[tb] = S.skc_rcv_saddr[sk];
	if (S.skc_family[sk] === AF_INET6) {
		T.in6Alloc(tb);
		ipv6_addr_copy(T.fast_v6_rcv_saddr, tb * 4, S.skc_v6_rcv_saddr, sk * 4);
	}
	T.fast_ipv6_only[tb] = S.skc_ipv6only[sk];
	T.fast_sk_family[tb] = S.skc_family[sk];
}

/**
 * Updates fastreuse and fastreuseport of a bucket for a new owner, and of its bind2 bucket. With
 * them the next bind() of the port may not have to look at the owners.
 */
export function inet_csk_update_fastreuse(k: Stack, sk: Sk, tb: Tb, tb2: Tb2): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind_bucket_cachep;
	const reuse = S.skc_reuse[sk] !== 0 && S.skc_state[sk] !== TCP_LISTEN;

	// Since 6.8 C asks hlist_empty(&tb->bhash2) instead of owners. It is never true here, because the
	// bind2 bucket was added before. So every bind() takes the else branch. since 6.8, 8002d44fe84d
	if (bindBucketOwner(hinfo, tb) === 0 && !k.changes.has("first-bind-not-fast")) {
		T.fastreuse[tb] = reuse ? 1 : 0;
		if (S.skc_reuseport[sk] !== 0) rememberReuseport(k, tb, sk, FASTREUSEPORT_ANY);
		else T.fastreuseport[tb] = 0;
	} else {
		if (!reuse) T.fastreuse[tb] = 0;
		if (S.skc_reuseport[sk] !== 0) {
			// The caller found no conflict. From now on sockets with this address and user may
			// pass.
			if (!sk_reuseport_match(k, tb, sk)) rememberReuseport(k, tb, sk, FASTREUSEPORT_STRICT);
		} else {
			T.fastreuseport[tb] = 0;
		}
	}
	// Only code of fastreuse-recomputed reads these (since 6.18).
	hinfo.bind2_bucket_cachep.fastreuse[tb2] = T.fastreuse[tb];
	hinfo.bind2_bucket_cachep.fastreuseport[tb2] = T.fastreuseport[tb];
}

/**
 * Binds a socket to the local port snum. If snum is 0, binds it to any open port. listen() calls
 * this as well, to check the port of a bound socket again. Returns 0 or -EADDRINUSE.
 *
 * `break success` and `break fail_unlock` stand for C's goto to the label of this name.
 */
export function inet_csk_get_port(k: Stack, sk: Sk, snum: Port): number {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind_bucket_cachep;
	const reuse = S.skc_reuse[sk] !== 0 && S.skc_state[sk] !== TCP_LISTEN;
	let found_port = false;
	let check_bind_conflict = true;
	let bhash_created = false;
	let bhash2_created = false;
	let verdict = CANDIDATE_OK;
	let port = snum;
	let tb: Tb = 0;
	let tb2: Tb2 = 0;
	const net = sk_net(k, sk);
	const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);

	fail_unlock: {
		success: {
			if (port === 0) {
				port = inet_csk_find_open_port(k, sk); // and k.found_tb, k.found_tb2
				if (port === 0) return -EADDRINUSE;
				tb = k.found_tb;
				tb2 = k.found_tb2;
				if (tb !== 0 && tb2 !== 0) break success;
				found_port = true;
			} else {
				tb = bindBucketFind(hinfo, net, port, l3mdev);
			}

			if (tb === 0) {
				tb = inet_bind_bucket_create(hinfo, net, port, l3mdev);
				bhash_created = true;
			}

			if (!found_port) {
				// !hlist_empty(&tb->bhash2) since 6.8, of owners before.
				if (T.bhash2[tb] !== 0 || T.owners[tb] !== 0) {
					if (
						S.skc_reuse[sk] === SK_FORCE_REUSE ||
						(T.fastreuse[tb] > 0 && reuse) ||
						sk_reuseport_match(k, tb, sk)
					) {
						check_bind_conflict = false;
					}
				}

				if (check_bind_conflict && inet_use_bhash2_on_bind(k, sk)) {
					k.blocker = inet_bhash2_addr_any_conflict(k, sk, port, l3mdev, true, true);
					if (k.blocker !== 0) {
						verdict = CANDIDATE_CONFLICT_ANY;
						break fail_unlock;
					}
				}

				tb2 = inet_bind2_bucket_find(k, net, port, l3mdev, sk);
			}

			if (tb2 === 0) {
				tb2 = inet_bind2_bucket_create(k, net, tb, l3mdev, sk);
				bhash2_created = true;
			}

			if (!found_port && check_bind_conflict) {
				k.blocker = inet_csk_bind_conflict(k, sk, tb, tb2, true, true);
				if (k.blocker !== 0) {
					verdict = CANDIDATE_CONFLICT;
					break fail_unlock;
				}
			}
		}

		// success:
		k.blocker = 0;
		if (snum !== 0) k.trace.bound(sk, port, !check_bind_conflict, CANDIDATE_OK, 0);
		const fastreuse = T.fastreuse[tb];
		const fastreuseport = T.fastreuseport[tb];
		inet_csk_update_fastreuse(k, sk, tb, tb2);
		k.trace.bucket(tb, fastreuse, fastreuseport);

		if (S.icsk_bind_hash[sk] === 0) inet_bind_hash(k, sk, tb, tb2, port);
		return 0;
	}

	// fail_unlock:
	k.trace.bound(sk, port, false, verdict, k.blocker);
	if (bhash2_created) inet_bind2_bucket_destroy(k, hinfo, tb2);
	if (bhash_created) inet_bind_bucket_destroy(k, hinfo, tb);
	return -EADDRINUSE;
}

/**
 * include/net/inet_connection_sock.h: reqsk_timeout. Time until the SYN-ACK of a request is sent
 * again, ms.
 */
export function reqsk_timeout(k: Stack, req: Sk): number {
	const listener = k.sock.rsk_listener.get(req);
	const { rsk_prot } = sk_prot(k, req);
	if (rsk_prot !== undefined) return rsk_prot.timeout;
	// since 6.19, 1e9d3005e02c
	const ofListener = listener !== 0 && k.changes.has("synack-rto-max");
	const rto_max = ofListener ? tcp_rto_max(k, listener) : TCP_RTO_MAX;
	return Math.min(TCP_TIMEOUT_INIT * 2 ** k.sock.icsk_retransmits[req], rto_max);
}

/**
 * include/net/inet_sock.h: inet_request_bound_dev_if. The device that a request of listener sk is
 * bound to, 0 if none. `iif` is the device that received the SYN.
 */
export function inet_request_bound_dev_if(k: Stack, sk: Sk, iif: Ifindex): Ifindex {
	const bound_dev_if = k.sock.skc_bound_dev_if[sk];
	const net = sk_net(k, sk);
	if (bound_dev_if === 0 && net.ipv4.sysctl_tcp_l3mdev_accept !== 0) {
		return l3mdev_master_ifindex_by_index(net, iif);
	}
	return bound_dev_if;
}

/**
 * Takes the first connection off the accept queue of a listener and returns it, or a negative
 * errno: -EINVAL if sk does not listen, -EAGAIN if the queue is empty and the file does not block,
 * -ERESTARTSYS if the queue is empty and the task would sleep.
 */
export function inet_csk_accept(k: Stack, sk: Sk, nonblock: boolean): number {
	const S = k.sock;
	if (S.skc_state[sk] !== TCP_LISTEN) return -EINVAL;
	const newsk = S.rskq_accept_head.get(sk);
	if (newsk === 0) {
		return nonblock || S.sk_rcvtimeo.get(sk) === TIMEO_NOWAIT ? -EAGAIN : -ERESTARTSYS;
	}
	reqsk_queue_remove(k, sk, newsk);
	return newsk;
}

/** Answers the packet that made a request again. */
export function inet_rtx_syn_ack(k: Stack, req: Sk): void {
	const { rsk_prot } = sk_prot(k, req);
	if (rsk_prot === undefined) tcp_rtx_synack(k, req);
	else rsk_prot.rtx_syn_ack(k, req);
}

/** Makes a request of a listener, with the ports of both ends. The caller sets the addresses. */
export function inet_reqsk_alloc(k: Stack, sk: Sk, rmt_port: Port): Sk {
	const req = k.sock.kmem_cache_zalloc();
	const S = k.sock;
	if (S.skc_family[sk] === AF_INET6) S.in6Alloc(req);
	S.skc_net[req] = S.skc_net[sk];
	S.skc_family[req] = S.skc_family[sk];
	S.skc_prot[req] = S.skc_prot[sk];
	S.sk_type[req] = S.sk_type[sk];
	S.sk_protocol[req] = S.sk_protocol[sk];
	S.skc_state[req] = TCP_NEW_SYN_RECV;
	S.skc_num[req] = S.skc_num[sk];
	S.inet_sport[req] = S.skc_num[sk];
	S.skc_dport[req] = rmt_port;
	S.rsk_listener.set(req, sk);
	return req;
}

/** Takes a request off its ehash chain, stops its timer and frees it. */
export function inet_csk_reqsk_queue_drop(k: Stack, req: Sk): void {
	const S = k.sock;
	k.timers.del_timer(icsk_retransmit_timer(req));
	inet_unhash(k, req);
	const listener = S.rsk_listener.get(req);
	if (listener !== 0) S.rskq_qlen.add(listener, -1);
	reqsk_free(k, req);
}

/** The timer of a request expired: sends the SYN-ACK again, or drops the request. */
export function reqsk_timer_handler(k: Stack, req: Sk): void {
	const S = k.sock;
	const sk = S.rsk_listener.get(req);
	if (sk === 0 || S.skc_state[sk] !== TCP_LISTEN) {
		inet_csk_reqsk_queue_drop(k, req);
		return;
	}
	// syn_ack_recalc. With TCP_DEFER_ACCEPT a request whose third segment came waits for data. Its
	// SYN-ACK is sent again only at the end of this time.
	const num_timeout = S.icsk_retransmits[req];
	const defer_accept = S.rskq_defer_accept.get(sk);
	const acked = (S.sk_flags[req] & REQ_ACKED) !== 0;
	const { sysctl_tcp_synack_retries } = sk_net(k, sk).ipv4;
	let expire = num_timeout >= (S.icsk_syn_retries[sk] || sysctl_tcp_synack_retries);
	let resend = true;
	if (defer_accept !== 0) {
		expire &&= !acked || num_timeout >= defer_accept;
		resend = !acked || num_timeout >= defer_accept - 1;
	}
	if (expire) {
		inet_csk_reqsk_queue_drop(k, req);
		return;
	}
	if (resend) inet_rtx_syn_ack(k, req);
	S.icsk_retransmits[req]++;
	k.timers.mod_timer(icsk_retransmit_timer(req), reqsk_timeout(k, req));
}

/**
 * Puts a request on its ehash chain and starts its timer, `timeout` in ms (reqsk_queue_hash_req).
 */
export function inet_csk_reqsk_queue_hash_add(k: Stack, sk: Sk, req: Sk, timeout: number): void {
	inet_ehash_nolisten(k, req, false);
	k.timers.mod_timer(icsk_retransmit_timer(req), timeout);
	k.sock.rskq_qlen.add(sk, 1);
}

/**
 * Makes a child of a listener: a copy in SYN_RECV that owns no bind bucket. The caller sets the
 * addresses.
 */
export function inet_csk_clone_lock(k: Stack, sk: Sk, rmt_port: Port): Sk {
	const newsk = sk_clone(k, sk);
	const S = k.sock;
	S.skc_state[newsk] = TCP_SYN_RECV;
	S.icsk_bind_hash[newsk] = 0;
	S.icsk_bind2_hash[newsk] = 0;
	S.rskq_accept_head.set(newsk, 0);
	S.rskq_accept_tail.set(newsk, 0);
	S.rskq_qlen.set(newsk, 0);
	S.rskq_defer_accept.set(newsk, 0);
	S.fastopenq_max_qlen.set(newsk, 0);
	S.skc_dport[newsk] = rmt_port;
	S.inet_sport[newsk] = S.skc_num[sk];
	return newsk;
}

/**
 * Clears the rsk_listener of the requests of a listener that is freed. A request stays until its
 * timer or a segment finds that the listener is gone. In C a request holds a reference to the
 * listener instead.
 */
function forgetListener(k: Stack, sk: Sk): void {
	const S = k.sock;
	for (let req = 1; req < S.limit && S.rskq_qlen.get(sk) > 0; req++) {
		if (S.skc_state[req] !== TCP_NEW_SYN_RECV || S.rsk_listener.get(req) !== sk) continue;
		S.rsk_listener.set(req, 0);
		S.rskq_qlen.add(sk, -1);
	}
}

/**
 * Frees a socket in TCP_CLOSE that no file refers to. Throws Error if the socket is still in use.
 */
export function inet_csk_destroy_sock(k: Stack, sk: Sk): void {
	const S = k.sock;
	if (S.skc_state[sk] !== TCP_CLOSE || (S.sk_flags[sk] & SOCK_DEAD) === 0) {
		throw new Error(`inet_csk_destroy_sock: socket ${sk} is not dead and closed`);
	}
	if (!hlist_unhashed(S.node_pprev, sk)) {
		throw new Error(`inet_csk_destroy_sock: socket ${sk} is on a chain`);
	}
	if (S.skc_num[sk] !== 0 && S.icsk_bind_hash[sk] === 0) {
		throw new Error(`inet_csk_destroy_sock: socket ${sk} has a port but no bucket`);
	}
	if (S.rskq_qlen.get(sk) !== 0) forgetListener(k, sk);
	tcp_v4_destroy_sock(k, sk);
	sk_prot(k, sk).destroy?.(k, sk);
	sk_free(k, sk);
}

/**
 * listen(): checks the port again, because SO_REUSEADDR does not count for listeners, or chooses a
 * port if the socket has none. Returns 0 or -EADDRINUSE. On an error the socket goes back to
 * TCP_CLOSE and keeps the port that it had.
 */
export function inet_csk_listen_start(k: Stack, sk: Sk): number {
	const S = k.sock;
	S.rskq_accept_head.set(sk, 0);
	S.rskq_accept_tail.set(sk, 0);
	S.sk_ack_backlog.set(sk, 0);
	// The state changes before the port is checked, as in C. The socket enters lhash2 only after
	// it.
	S.skc_state[sk] = TCP_LISTEN;
	const prot = sk_prot(k, sk);
	let err = prot.get_port(k, sk, S.skc_num[sk]);
	if (err === 0) {
		S.inet_sport[sk] = S.skc_num[sk];
		err = prot.hash(k, sk);
		if (err === 0) return 0;
	}
	S.skc_state[sk] = TCP_CLOSE;
	return err;
}

/** Resets and frees a connection that was never accepted. */
function inet_child_forget(k: Stack, child: Sk): void {
	sk_prot(k, child).disconnect(k, child);
	sock_orphan(k, child);
	inet_csk_destroy_sock(k, child);
}

/** Appends a connection to the accept queue of listener sk. */
export function inet_csk_reqsk_queue_add(k: Stack, sk: Sk, child: Sk): void {
	const S = k.sock;
	S.dl_next.set(child, 0);
	S.rsk_listener.set(child, sk);
	if (S.rskq_accept_head.get(sk) === 0) S.rskq_accept_head.set(sk, child);
	else S.dl_next.set(S.rskq_accept_tail.get(sk), child);
	S.rskq_accept_tail.set(sk, child);
	S.sk_ack_backlog.add(sk, 1);
}

/** Resets the connections in the accept queue of a listener that closes. */
export function inet_csk_listen_stop(k: Stack, sk: Sk): void {
	const S = k.sock;
	for (let child = S.rskq_accept_head.get(sk); child !== 0; child = S.rskq_accept_head.get(sk)) {
		reqsk_queue_remove(k, sk, child);
		inet_child_forget(k, child);
	}
}
