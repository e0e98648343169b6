// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/inet_connection_sock.c: the effective port range, bind conflicts, bind()'s
 * search for a local port, and the queues of listeners.
 */
import type { Ifindex, Port, Sk, Tb, Tb2 } from "../../include/linux/handle.js";
import { hlist_unhashed } from "../../include/linux/list.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import {
	FASTREUSEPORT_ANY,
	FASTREUSEPORT_STRICT,
	inet_bhashfn_portaddr,
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
import { REQ_ACKED, SK_CAN_REUSE, SK_FORCE_REUSE, SOCK_DEAD } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_RTO_MAX, TCP_SYNACK_RETRIES, TCP_TIMEOUT_INIT } from "../../include/net/tcp.js";
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
import { sk_clone, sk_free, sk_net, sk_prot, sock_i_uid, sock_orphan } from "../core/sock.js";
import { inet_sk_bound_l3mdev, l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import {
	bindBucketFind,
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
	tcp_or_dccp_get_hashinfo,
} from "./inet_hashtables.js";
import { tcp_v4_destroy_sock } from "./tcp_ipv4.js";
import { tcp_rtx_synack } from "./tcp_output.js";
import { icsk_retransmit_timer } from "./tcp_timer.js";

/**
 * Whether two addresses are the same, or one of them is a wildcard that is to match all,
 * where the first belongs to an AF_INET6 socket. The second is an AF_INET socket's if
 * `sk2_rcv_saddr6` is null. IPv6 addresses are (array, first word).
 */
export function ipv6_rcv_saddr_equal(
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

	// Both mapped: as IPv4.
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

/** The same where the first belongs to an AF_INET socket. */
export function ipv4_rcv_saddr_equal(
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

export function inet_rcv_saddr_any(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	if (S.skc_family[sk] === AF_INET6) return ipv6_addr_any(S.skc_v6_rcv_saddr, sk * 4);
	return S.skc_rcv_saddr[sk] === INADDR_ANY;
}

/**
 * The range of ports that a socket's searches use, into k.low and k.high, both inclusive: the
 * namespace's (inet_get_local_port_range), each bound replaced by the socket's where that
 * lies in the namespace's range. A bound of 0, not set, lies outside. The bounds are clamped
 * one after the other against the unchanged high bound, as the source does, so a socket
 * cannot widen the range. Returns whether the socket has a range, be it without effect.
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

/** Whether the search of owners can be left to bhash2: the socket binds to one address. */
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
 * Whether two sockets whose addresses meet cannot share a port. `relax` is false where
 * the kernel chooses the port: then SO_REUSEADDR does not help. `reuseport_ok` is true
 * where the program chose it: then SO_REUSEPORT of the same user does.
 */
export function inet_bind_conflict(
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
	// An IPv6-only socket and one on an IPv4 address do not meet.
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

/** The first socket of a bind2 bucket that conflicts, 0 if none. */
function inet_bhash2_conflict(
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

/** Whether a reuseport group, if the socket is in one, lets it share: paired with closed members. */
function reuseportCbOk(k: Stack, sk: Sk): boolean {
	const reuse = k.reuseport.get(k.sock.sk_reuseport_cb[sk]);
	return reuse === undefined || reuse.num_closed_socks !== 0;
}

/**
 * The first owner of a port that conflicts with a socket, 0 if none. A socket bound to one
 * address looks only at the bind2 bucket of that address (the wildcard's is
 * inet_bhash2_addr_any_conflict's); a wildcard socket looks at every owner of the port.
 */
export function inet_csk_bind_conflict(
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
		return inet_bhash2_conflict(k, sk, tb2, uid, relax, reuseport_cb_ok, reuseport_ok);
	}

	let sk2 = tcp_or_dccp_get_hashinfo(k, sk).bind_bucket_cachep.owners[tb];
	for (; sk2 !== 0; sk2 = k.sock.bind_node_next[sk2]) {
		if (!inet_bind_conflict(k, sk, sk2, uid, relax, reuseport_cb_ok, reuseport_ok)) continue;
		if (inet_rcv_saddr_equal(k, sk, sk2, true)) return sk2;
	}
	return 0;
}

/** The first socket on the wildcard address and a port that conflicts, 0 if none. */
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
	const uid = sock_i_uid(k, sk);
	const reuseport_cb_ok = reuseportCbOk(k, sk);
	const every = k.changes.has("bhash2-every-wildcard-bucket"); // since 6.9, d91ef1e1b55f
	const match_addr_any = inet_bind2_bucket_match_addr_any(k);
	let tb2 = hinfo.bhash2[inet_bhash2_addr_any_hashbucket(hinfo, net, port)];
	for (; tb2 !== 0; tb2 = T.node_next[tb2]) {
		if (!match_addr_any(k, tb2, net, port, l3mdev, sk)) continue;
		const sk2 = inet_bhash2_conflict(k, sk, tb2, uid, relax, reuseport_cb_ok, reuseport_ok);
		// Before bhash2-every-wildcard-bucket the first that matches decides, be it IPv6-only.
		if (sk2 !== 0 || !every) return sk2;
	}
	return 0;
}

/**
 * The body of the loop over candidates of inet_csk_find_open_port: what it makes of one port,
 * CANDIDATE_OK or why the port is passed over. Changes nothing. Leaves the bucket and the
 * bind2 bucket of the port, 0 for what is not there, in k.found_tb and k.found_tb2, and the
 * socket in the way in k.blocker. Check mode asks it of ports as well.
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

/**
 * bindCandidate of every other port from `port` on, `remaining` / 2 of them, which wrap around
 * at `high`: the same, fast. Returns how far it is to the first that will do, `remaining` or
 * more if there is none; then k.blocker is the socket in the way of the last one. Leaves
 * nothing else.
 *
 * What it leaves out: calls up to the sockets that meet, and whatever is the same for every
 * port (hashes of an address without a port, the socket's user and reuseport group, changes
 * of the version). Columns are locals, see connectScan. A bind() that fails over 16,000
 * ports which all have an owner takes 26 ns a port with it and 85 ns without (`npm run bench --
 * --only scans`).
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
	const { port: tb_port, ib_net, l3mdev: tb_l3mdev, node_next: tb_next, owners } = T;
	const T2 = hinfo.bind2_bucket_cachep;
	const { port: tb2_port, ib_net: ib2_net, l3mdev: tb2_l3mdev, node_next: tb2_next } = T2;
	const { bind_node_next } = S;
	const reserved = net.ipv4.sysctl_local_reserved_ports;
	const hash_mix = net.hash_mix | 0;
	const id = net.id | 0;
	l3mdev |= 0;

	const bhash2_only = inet_use_bhash2_on_bind(k, sk);
	const any_slot = inet_bhash2_addr_any_hashbucket(hinfo, net, 0) | 0;
	const saddr_slot = inet_bhashfn_portaddr(hinfo, S, sk, net, 0) | 0;
	const every = k.changes.has("bhash2-every-wildcard-bucket"); // since 6.9, d91ef1e1b55f
	const match_addr_any = inet_bind2_bucket_match_addr_any(k);
	const uid = sock_i_uid(k, sk);
	const cb_ok = reuseportCbOk(k, sk);

	let sk2: Sk = 0;
	let i = 0;
	for (; i < remaining; i += 2, port = (port + 2) | 0) {
		if (port >= high) port = (port - remaining) | 0;
		sk2 = 0;
		if ((reserved[port >>> 5] & (1 << (port & 31))) !== 0) continue;

		if (bhash2_only) {
			let tb2 = bhash2[(any_slot ^ port) & bhash_mask];
			for (; tb2 !== 0; tb2 = tb2_next[tb2]) {
				if (tb2_port[tb2] !== port) continue;
				if (!match_addr_any(k, tb2, net, port, l3mdev, sk)) continue;
				sk2 = inet_bhash2_conflict(k, sk, tb2, uid, relax, cb_ok, false);
				if (sk2 !== 0 || !every) break;
			}
			if (sk2 !== 0) continue;
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
			if (tb2 !== 0) sk2 = inet_bhash2_conflict(k, sk, tb2, uid, relax, cb_ok, false);
		} else {
			for (sk2 = owners[tb]; sk2 !== 0; sk2 = bind_node_next[sk2]) {
				if (!inet_bind_conflict(k, sk, sk2, uid, relax, cb_ok, false)) continue;
				if (inet_rcv_saddr_equal(k, sk, sk2, true)) break;
			}
		}
		if (sk2 === 0) break;
	}
	k.blocker = sk2;
	return i;
}

/**
 * Finds an open port for bind(), 0 if none. Leaves its bucket and its bind2 bucket, 0 for what
 * is not there, in k.found_tb and k.found_tb2.
 */
function inet_csk_find_open_port(k: Stack, sk: Sk): Port {
	const S = k.sock;
	const net = sk_net(k, sk);
	const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);
	let relax = false;

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

			let offset = k.draws.bindOffset(sk, low, high, remaining, relax);
			k.trace.scan(low, remaining, offset, attempt_half, relax);
			// __inet_hash_connect() favors ports of the parity of low: we do the opposite, not to
			// pollute its.
			offset |= 1;

			for (;;) {
				let port = low + offset;
				k.trace.pass(port);
				let i = 0;
				// Unheard, the candidates that will not do are passed over fast.
				if (k.trace === noTrace) i = bindScan(k, net, sk, port, l3mdev, high, remaining, relax);
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
				if ((offset & 1) === 0) continue;

				if (attempt_half === 1) {
					attempt_half = 2; // now the upper half of the range
					continue other_half_scan;
				}
				if (net.ipv4.sysctl_ip_autobind_reuse !== 0 && !relax) {
					relax = true; // there is still a chance to connect to different destinations
					continue ports_exhausted;
				}
				k.trace.chosen(0);
				return 0;
			}
		}
	}
}

/** Whether the bucket's memory of its reuseport sockets lets this one in without a search. */
function sk_reuseport_match(k: Stack, tb: Tb, sk: Sk): boolean {
	const S = k.sock;
	const T = tcp_or_dccp_get_hashinfo(k, sk).bind_bucket_cachep;
	if (T.fastreuseport[tb] <= 0) return false;
	if (S.skc_reuseport[sk] === 0) return false;
	if (S.sk_reuseport_cb[sk] !== 0) return false;
	if (T.fastuid[tb] !== sock_i_uid(k, sk)) return false;
	// The address matters only where the bucket once lost its mark and got it back: then the
	// remembered address is all that is known to be without conflict.
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

/** What the buckets remember of their owners, so that the next bind() may skip their search. */
export function inet_csk_update_fastreuse(k: Stack, sk: Sk, tb: Tb, tb2: Tb2): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const T = hinfo.bind_bucket_cachep;
	const reuse = S.skc_reuse[sk] !== 0 && S.skc_state[sk] !== TCP_LISTEN;

	// The bucket has its bind2 bucket before this is asked, so that none ever looks new.
	// since 6.8, 8002d44fe84d
	if (T.owners[tb] === 0 && !k.changes.has("first-bind-not-fast")) {
		T.fastreuse[tb] = reuse ? 1 : 0;
		if (S.skc_reuseport[sk] !== 0) rememberReuseport(k, tb, sk, FASTREUSEPORT_ANY);
		else T.fastreuseport[tb] = 0;
	} else {
		if (!reuse) T.fastreuse[tb] = 0;
		if (S.skc_reuseport[sk] !== 0) {
			// No conflict was found, so sockets like this one may pass from now on; but only those.
			if (!sk_reuseport_match(k, tb, sk)) rememberReuseport(k, tb, sk, FASTREUSEPORT_STRICT);
		} else {
			T.fastreuseport[tb] = 0;
		}
	}
	// Read since 6.18 only (fastreuse-recomputed).
	hinfo.bind2_bucket_cachep.fastreuse[tb2] = T.fastreuse[tb];
	hinfo.bind2_bucket_cachep.fastreuseport[tb2] = T.fastreuseport[tb];
}

/**
 * Gives a socket a local port: the given one, or any open one if snum is 0; odd ports
 * first, even ports are left for connect(). Also validates again the port of a socket
 * that has one, for listen(). Returns 0 or -EADDRINUSE.
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
				port = inet_csk_find_open_port(k, sk);
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
				if (T.owners[tb] !== 0) {
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
				tb2 = inet_bind2_bucket_create(k, net, port, l3mdev, sk);
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

	k.trace.bound(sk, port, false, verdict, k.blocker);
	if (bhash2_created) inet_bind2_bucket_destroy(k, hinfo, tb2);
	if (bhash_created) inet_bind_bucket_destroy(k, hinfo, tb);
	return -EADDRINUSE;
}

/** include/net/request_sock.h: reqsk_queue_remove, for any place in the queue. */
export function reqsk_queue_remove(k: Stack, sk: Sk, child: Sk): void {
	const S = k.sock;
	if (S.rskq_accept_head[sk] === child) {
		S.rskq_accept_head[sk] = S.dl_next[child];
		if (S.rskq_accept_tail[sk] === child) S.rskq_accept_tail[sk] = 0;
	} else {
		let before = S.rskq_accept_head[sk];
		while (S.dl_next[before] !== child) before = S.dl_next[before];
		S.dl_next[before] = S.dl_next[child];
		if (S.rskq_accept_tail[sk] === child) S.rskq_accept_tail[sk] = before;
	}
	S.dl_next[child] = 0;
	S.rsk_listener[child] = 0;
	S.sk_ack_backlog[sk]--;
}

/** The queue is full only above the backlog: one more than listen() said fits in (include/net/sock.h). */
export function sk_acceptq_is_full(k: Stack, sk: Sk): boolean {
	return k.sock.sk_ack_backlog[sk] > k.sock.sk_max_ack_backlog[sk];
}

/** Whether a listener has more requests than its backlog: then it answers with cookies. */
export function inet_csk_reqsk_queue_is_full(k: Stack, sk: Sk): boolean {
	return k.sock.rskq_qlen[sk] > k.sock.sk_max_ack_backlog[sk];
}

/** When a request's SYN-ACK is sent again, ms from now: include/net/request_sock.h: reqsk_timeout. */
export function reqsk_timeout(k: Stack, req: Sk): number {
	return Math.min(TCP_TIMEOUT_INIT * 2 ** k.sock.icsk_retransmits[req], TCP_RTO_MAX);
}

/** The device that a request is bound to: include/net/inet_sock.h: inet_request_bound_dev_if. */
export function inet_request_bound_dev_if(k: Stack, sk: Sk, iif: Ifindex): Ifindex {
	const bound_dev_if = k.sock.skc_bound_dev_if[sk];
	const net = sk_net(k, sk);
	if (bound_dev_if === 0 && net.ipv4.sysctl_tcp_l3mdev_accept !== 0) {
		return l3mdev_master_ifindex_by_index(net, iif);
	}
	return bound_dev_if;
}

/**
 * The next connection of a listener that is ready, or a negative errno: -EINVAL if it does
 * not listen, -EAGAIN if nothing waits and the file does not block, -ERESTARTSYS where the
 * task would sleep.
 */
export function inet_csk_accept(k: Stack, sk: Sk, nonblock: boolean): number {
	const S = k.sock;
	if (S.skc_state[sk] !== TCP_LISTEN) return -EINVAL;
	const newsk = S.rskq_accept_head[sk];
	if (newsk === 0) return nonblock ? -EAGAIN : -ERESTARTSYS;
	reqsk_queue_remove(k, sk, newsk);
	return newsk;
}

/** A request of a listener, with its port; the caller sets the addresses. */
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
	S.rsk_listener[req] = sk;
	return req;
}

/** include/net/request_sock.h: a request that is on no chain and no timer goes. */
export function reqsk_free(k: Stack, req: Sk): void {
	k.sock.skc_state[req] = 0;
	k.sock.kmem_cache_free(req);
}

/** The end of a request that lookups find. */
export function inet_csk_reqsk_queue_drop(k: Stack, req: Sk): void {
	const S = k.sock;
	k.timers.del_timer(icsk_retransmit_timer(req));
	inet_unhash(k, req);
	const listener = S.rsk_listener[req];
	if (listener !== 0) S.rskq_qlen[listener]--;
	reqsk_free(k, req);
}

/** A request's time is over: its SYN-ACK is sent again, or the request goes. */
export function reqsk_timer_handler(k: Stack, req: Sk): void {
	const S = k.sock;
	const sk = S.rsk_listener[req];
	if (sk === 0 || S.skc_state[sk] !== TCP_LISTEN) {
		inet_csk_reqsk_queue_drop(k, req);
		return;
	}
	// syn_ack_recalc: while data is waited for, only the end of that time asks for it again.
	const num_timeout = S.icsk_retransmits[req];
	const defer_accept = S.rskq_defer_accept[sk];
	const acked = (S.sk_flags[req] & REQ_ACKED) !== 0;
	let expire = num_timeout >= TCP_SYNACK_RETRIES;
	let resend = true;
	if (defer_accept !== 0) {
		expire &&= !acked || num_timeout >= defer_accept;
		resend = !acked || num_timeout >= defer_accept - 1;
	}
	if (expire) {
		inet_csk_reqsk_queue_drop(k, req);
		return;
	}
	if (resend) tcp_rtx_synack(k, req);
	S.icsk_retransmits[req]++;
	k.timers.mod_timer(icsk_retransmit_timer(req), reqsk_timeout(k, req));
}

/** Lets lookups find a request for `timeout` ms: reqsk_queue_hash_req. */
export function inet_csk_reqsk_queue_hash_add(k: Stack, sk: Sk, req: Sk, timeout: number): void {
	inet_ehash_nolisten(k, req, false);
	k.timers.mod_timer(icsk_retransmit_timer(req), timeout);
	k.sock.rskq_qlen[sk]++;
}

/**
 * A child of a listener: a copy of it, bound to nothing, in SYN_RECV. Its addresses are set
 * by the caller.
 */
export function inet_csk_clone_lock(k: Stack, sk: Sk, rmt_port: Port): Sk {
	const newsk = sk_clone(k, sk);
	const S = k.sock;
	S.skc_state[newsk] = TCP_SYN_RECV;
	S.icsk_bind_hash[newsk] = 0;
	S.icsk_bind2_hash[newsk] = 0;
	S.rskq_accept_head[newsk] = 0;
	S.rskq_accept_tail[newsk] = 0;
	S.rskq_qlen[newsk] = 0;
	S.rskq_defer_accept[newsk] = 0;
	S.skc_dport[newsk] = rmt_port;
	S.inet_sport[newsk] = S.skc_num[sk];
	return newsk;
}

/**
 * The listener goes. Its requests stay until their timer finds that it is gone, or a segment
 * does. In C they hold a reference to it.
 */
function forgetListener(k: Stack, sk: Sk): void {
	const S = k.sock;
	for (let req = 1; req < S.limit && S.rskq_qlen[sk] > 0; req++) {
		if (S.skc_state[req] !== TCP_NEW_SYN_RECV || S.rsk_listener[req] !== sk) continue;
		S.rsk_listener[req] = 0;
		S.rskq_qlen[sk]--;
	}
}

/** The end of a socket that is closed and that no file names. */
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
	if (S.rskq_qlen[sk] !== 0) forgetListener(k, sk);
	tcp_v4_destroy_sock(k, sk);
	sk_free(k, sk);
}

/**
 * Starts to listen: the port is validated again, now that SO_REUSEADDR no longer helps, or
 * chosen if there is none. Returns 0 or -EADDRINUSE; then the socket is closed, but keeps
 * a port that it had.
 */
export function inet_csk_listen_start(k: Stack, sk: Sk): number {
	const S = k.sock;
	S.rskq_accept_head[sk] = 0;
	S.rskq_accept_tail[sk] = 0;
	S.sk_ack_backlog[sk] = 0;
	// Announced before the port is valid: the socket enters lhash2 only after that.
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

function inet_child_forget(k: Stack, child: Sk): void {
	sk_prot(k, child).disconnect(k, child);
	sock_orphan(k, child);
	inet_csk_destroy_sock(k, child);
}

/** Queues a connection that is ready to be accepted. */
export function inet_csk_reqsk_queue_add(k: Stack, sk: Sk, child: Sk): void {
	const S = k.sock;
	S.dl_next[child] = 0;
	S.rsk_listener[child] = sk;
	if (S.rskq_accept_head[sk] === 0) S.rskq_accept_head[sk] = child;
	else S.dl_next[S.rskq_accept_tail[sk]] = child;
	S.rskq_accept_tail[sk] = child;
	S.sk_ack_backlog[sk]++;
}

/** Resets the connections that nobody accepted. */
export function inet_csk_listen_stop(k: Stack, sk: Sk): void {
	const S = k.sock;
	for (let child = S.rskq_accept_head[sk]; child !== 0; child = S.rskq_accept_head[sk]) {
		reqsk_queue_remove(k, sk, child);
		inet_child_forget(k, child);
	}
}
