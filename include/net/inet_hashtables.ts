// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Bind buckets, hash tables and their inline functions (include/net/inet_hashtables.h,
 * inet6_hashtables.h, include/net/netns/hash.h).
 */
import type { Heads, Ifindex, Port, Sk, Tb, Tb2 } from "../linux/handle.js";
import { jhash_3words } from "../linux/jhash.js";
import { Slab } from "../linux/slab.js";
import { AF_INET6 } from "../linux/socket.js";
import { INADDR_ANY, IPPROTO_DCCP } from "../uapi/linux/in.js";
import { swab16 } from "../uapi/linux/swab.js";
import { inet_sk_bound_dev_eq } from "./inet_sock.js";
import { ipv4_portaddr_hash } from "./ip.js";
import {
	ipv6_addr_any,
	ipv6_addr_equal,
	ipv6_addr_set_v4mapped,
	ipv6_addr_v4mapped,
	ipv6_portaddr_hash,
} from "./ipv6.js";
import type { Net } from "./net_namespace.js";
import { RefusedPorts } from "./refused_ports.js";
import type { SockTable } from "./sock.js";
import type { Stack } from "./stack.js";

/** tb->fastreuseport: every reuseport socket of the user may share the port without a search. */
export const FASTREUSEPORT_ANY = 1;
/** tb->fastreuseport: the same, but only if the socket's address equals the one in the bucket. */
export const FASTREUSEPORT_STRICT = 2;

/**
 * struct inet_bind_bucket: one for each (namespace, port, l3mdev) that has an owner. Since 6.8
 * (bhash-holds-bhash2) it holds the bind2 buckets of the port, and these hold the sockets; before,
 * it holds the sockets as well. Invariant: one of `bhash2` and `owners` is never used. The other is
 * empty only inside the functions that create and destroy a bucket.
 *
 * fastreuse is 1 only if every owner had SO_REUSEADDR and did not listen when it was bound.
 * fastreuseport is 0 or FASTREUSEPORT_*; fastuid and fast_* belong to it. Both are -1 if only
 * connect() has used the port.
 */
export class BindBucketTable extends Slab<Tb> {
	ib_net = this.u16();
	l3mdev = this.i32<Ifindex>();
	port = this.u16<Port>();
	fastreuse = this.i8();
	fastreuseport = this.i8();
	fastuid = this.u32();
	fast_rcv_saddr = this.u32();
	fast_v6_rcv_saddr = this.in6();
	fast_sk_family = this.u8();
	fast_ipv6_only = this.u8();
	/** Chain of the bhash bucket. */
	node_next = this.i32<Tb>();
	node_pprev = this.i32();
	/** First bind2 bucket. They are linked by bhash_node. Since 6.8. */
	bhash2 = this.i32<Tb2>();
	/** First owner. Owners are linked by bind_node of the sockets. Until 6.8. */
	owners = this.i32<Sk>();
}

/**
 * struct inet_bind2_bucket: one for each (namespace, port, l3mdev, family, address). Invariant:
 * `owners` and `deathrow` are both empty only inside the functions that create and destroy a
 * bucket. Since 6.8 (bhash-holds-bhash2) each bucket is on the list of its bind bucket, and
 * `deathrow` is not used: time-wait sockets are among the owners.
 */
export class Bind2BucketTable extends Slab<Tb2> {
	ib_net = this.u16();
	l3mdev = this.i32<Ifindex>();
	port = this.u16<Port>();
	family = this.u8();
	/** The address if family is AF_INET. C has a union of both addresses. */
	rcv_saddr = this.u32();
	/** The address if family is AF_INET6. */
	v6_rcv_saddr = this.in6();
	/** Chain of the bhash2 bucket. */
	node_next = this.i32<Tb2>();
	node_pprev = this.i32();
	/** The list of the bind bucket. Since 6.8. */
	bhash_node_next = this.i32<Tb2>();
	bhash_node_pprev = this.i32();
	/** First owner. Owners are linked by bind_node since 6.8, by bind2_node before. */
	owners = this.i32<Sk>();
	/** First time-wait socket. Time-wait sockets are linked by bind2_node. Until 6.8. */
	deathrow = this.i32<Sk>();
	/** Read since 6.18 (fastreuse-recomputed): both are -1 if only connect() uses the bucket. */
	fastreuse = this.i8();
	fastreuseport = this.i8();
}

/**
 * struct inet_hashinfo: the hash tables of TCP or of DCCP. Sizes are powers of two. A table is
 * allocated when it is first read, so that a kernel without sockets is small.
 */
export class InetHashinfo {
	readonly ehash_mask: number;
	readonly bhash_size: number;
	readonly lhash2_mask: number;
	readonly bind_bucket_cachep = new BindBucketTable();
	readonly bind2_bucket_cachep = new Bind2BucketTable();
	/**
	 * Ports whose four-tuple is in use by a connection that owns the bucket of the port, for connect().
	 */
	readonly refused_tuples = new RefusedPorts(1);
	/** Ports that have an owner on an address, or on the wildcard, for bind(). */
	readonly refused_binds = new RefusedPorts(4);
	private ehashHeads: Heads<Sk> | null = null;
	private bhashHeads: Heads<Tb> | null = null;
	private bhash2Heads: Heads<Tb2> | null = null;
	private lhash2Heads: Heads<Sk> | null = null;

	constructor(ehashSize: number, bhashSize: number, lhash2Size: number) {
		this.ehash_mask = ehashSize - 1;
		this.bhash_size = bhashSize;
		this.lhash2_mask = lhash2Size - 1;
	}

	get ehash(): Heads<Sk> {
		this.ehashHeads ??= new Int32Array(this.ehash_mask + 1);
		return this.ehashHeads;
	}
	get bhash(): Heads<Tb> {
		this.bhashHeads ??= new Int32Array(this.bhash_size);
		return this.bhashHeads;
	}
	get bhash2(): Heads<Tb2> {
		this.bhash2Heads ??= new Int32Array(this.bhash_size);
		return this.bhash2Heads;
	}
	get lhash2(): Heads<Sk> {
		this.lhash2Heads ??= new Int32Array(this.lhash2_mask + 1);
		return this.lhash2Heads;
	}

	/** Memory of the tables that are allocated, bytes. */
	get byteLength(): number {
		const { ehashHeads, bhashHeads, bhash2Heads, lhash2Heads } = this;
		const heads = [ehashHeads, bhashHeads, bhash2Heads, lhash2Heads];
		return heads.reduce((sum, table) => sum + (table?.byteLength ?? 0), 0);
	}
}

/** The tables of the socket's protocol. C calls it tcp_get_hashinfo since DCCP was removed. */
export function tcp_or_dccp_get_hashinfo(k: Stack, sk: Sk): InetHashinfo {
	return k.sock.sk_protocol[sk] === IPPROTO_DCCP ? k.dccp_hashinfo : k.tcp_hashinfo;
}

/** Slot of a local port in bhash. */
export function inet_bhashfn(net: Net, lport: Port, bhash_size: number): number {
	return (lport + net.hash_mix) & (bhash_size - 1);
}

/** Slot in bhash2 of the socket's own address and a port. */
export function inet_bhashfn_portaddr(
	hinfo: InetHashinfo,
	S: SockTable,
	sk: Sk,
	net: Net,
	port: Port,
): number {
	const hash =
		S.skc_family[sk] === AF_INET6
			? ipv6_portaddr_hash(net, S.skc_v6_rcv_saddr, sk * 4, port)
			: ipv4_portaddr_hash(net, S.skc_rcv_saddr[sk], port);
	return hash & (hinfo.bhash_size - 1);
}

/** Whether the sock binds to one address. */
export function inet_use_hash2_on_bind(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	if (S.skc_family[sk] === AF_INET6) {
		if (ipv6_addr_any(S.skc_v6_rcv_saddr, sk * 4)) return false;
		if (!ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, sk * 4)) return true;
	}
	return S.skc_rcv_saddr[sk] !== INADDR_ANY;
}

/**
 * include/net/inet6_hashtables.h: __inet6_ehashfn. Hash of an IPv6 four-tuple. `lhash` is the last
 * word of the local address, `fhash` a hash of the foreign address.
 */
export function __inet6_ehashfn(
	lhash: number,
	lport: Port,
	fhash: number,
	fport: Port,
	initval: number,
): number {
	return jhash_3words(lhash, fhash, (lport << 16) | swab16(fport), initval);
}

/** Whether a socket has this IPv4 four-tuple and receives packets of this device. */
export function inet_match(
	net: Net,
	S: SockTable,
	sk: Sk,
	saddr: number,
	daddr: number,
	dport: Port,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): boolean {
	return (
		S.skc_daddr[sk] === saddr &&
		S.skc_rcv_saddr[sk] === daddr &&
		S.skc_dport[sk] === dport &&
		S.skc_num[sk] === hnum &&
		S.skc_net[sk] === net.id &&
		inet_sk_bound_dev_eq(net, S.skc_bound_dev_if[sk], dif, sdif)
	);
}

/** Sets the IPv4 address of the peer. An AF_INET6 sock gets it v4-mapped as well. */
export function sk_daddr_set(k: Stack, sk: Sk, addr: number): void {
	const S = k.sock;
	S.skc_daddr[sk] = addr;
	if (S.skc_family[sk] === AF_INET6) ipv6_addr_set_v4mapped(addr, S.skc_v6_daddr, sk * 4);
}

/** Sets the local IPv4 address that lookups match. An AF_INET6 sock gets it v4-mapped as well. */
export function sk_rcv_saddr_set(k: Stack, sk: Sk, addr: number): void {
	const S = k.sock;
	S.skc_rcv_saddr[sk] = addr;
	if (S.skc_family[sk] === AF_INET6) {
		ipv6_addr_set_v4mapped(addr, S.skc_v6_rcv_saddr, sk * 4);
	}
}

/**
 * include/net/inet6_hashtables.h: inet6_match. Whether a socket has this IPv6 four-tuple and
 * receives packets of this device. An address is an array and the index of its first word.
 */
export function inet6_match(
	net: Net,
	S: SockTable,
	sk: Sk,
	saddr: Uint32Array,
	si: number,
	daddr: Uint32Array,
	di: number,
	dport: Port,
	hnum: Port,
	dif: Ifindex,
	sdif: Ifindex,
): boolean {
	return (
		S.skc_net[sk] === net.id &&
		S.skc_family[sk] === AF_INET6 &&
		S.skc_dport[sk] === dport &&
		S.skc_num[sk] === hnum &&
		ipv6_addr_equal(S.skc_v6_daddr, sk * 4, saddr, si) &&
		ipv6_addr_equal(S.skc_v6_rcv_saddr, sk * 4, daddr, di) &&
		inet_sk_bound_dev_eq(net, S.skc_bound_dev_if[sk], dif, sdif)
	);
}
