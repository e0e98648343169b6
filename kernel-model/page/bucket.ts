// SPDX-License-Identifier: GPL-2.0-or-later
/** One port closely: its bind buckets with their owners, and its bind2 buckets. */
import { AF_INET6 } from "../../include/linux/socket.js";
import type { InetHashinfo } from "../../include/net/inet_hashtables.js";
import type { Net } from "../../include/net/net_namespace.js";
import { IPPROTO_DCCP, IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import { formatIpv4, formatIpv6 } from "../machine/address.js";
import { describeSock } from "../machine/describe.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import { holdsPort, tableOf } from "./grid.js";

/** A list that may be long. */
export interface Named {
	/** The first entries, in words. */
	first: string[];
	count: number;
}

/** struct inet_bind_bucket of a port. */
interface Bucket {
	l3mdev: number;
	fastreuse: number;
	fastreuseport: number;
	/** What the two fields mean. */
	meaning: string;
	/** Null since 6.8: the bind2 buckets have the owners. */
	owners: Named | null;
	/** struct inet_bind2_bucket: one for each address. */
	bind2: Bucket2[];
}

/** struct inet_bind2_bucket of a port and an address. */
interface Bucket2 {
	address: string;
	/** Since 6.18: what the bind bucket has is made of these. Null before. */
	fastreuse: number | null;
	fastreuseport: number | null;
	owners: Named;
	/** Until 6.8: time-wait sockets. */
	deathrow: Named;
}

/** A port and everything on it. */
export interface PortView {
	port: number;
	buckets: Bucket[];
	/** The sockets on it, for protocols without bind buckets. */
	sockets: Named;
}

/** Most entries of a list that are named. */
const NAMED = 50;

class List implements Named {
	first: string[] = [];
	count = 0;

	add(k: Kernel, sk: number): void {
		if (this.count++ < NAMED) this.first.push(describeSock(k, sk));
	}

	/** Adds a chain of socks. */
	static of(k: Kernel, head: number, next: ArrayLike<number>): Named {
		const list = new List();
		for (let sk = head; sk !== 0; sk = nth(next, sk)) list.add(k, sk);
		return { first: list.first, count: list.count };
	}
}

/** A port of a namespace for a protocol. */
export function portView(k: Kernel, net: Net, protocol: number, port: number): PortView {
	const { sock: S } = k;
	const table = tableOf(protocol);
	if (table === IPPROTO_TCP || table === IPPROTO_DCCP) {
		const hinfo = table === IPPROTO_TCP ? k.tcp_hashinfo : k.dccp_hashinfo;
		return { port, buckets: bucketsOf(k, hinfo, net, port), sockets: { first: [], count: 0 } };
	}
	const list = new List();
	for (const sk of S.handles()) {
		if (S.skc_net[sk] !== net.id || S.skc_num[sk] !== port) continue;
		if (tableOf(nth(S.sk_protocol, sk)) === table && holdsPort(k, sk, table)) list.add(k, sk);
	}
	return { port, buckets: [], sockets: { first: list.first, count: list.count } };
}

function bucketsOf(k: Kernel, hinfo: InetHashinfo, net: Net, port: number): Bucket[] {
	const { sock: S } = k;
	const T = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	const buckets: Bucket[] = [];
	const holds = k.changes.has("bhash-holds-bhash2"); // since 6.8
	const recomputed = k.changes.has("fastreuse-recomputed"); // since 6.18
	const next2 = holds ? S.bind_node_next : S.bind2_node_next;
	for (const tb of T.handles()) {
		if (T.ib_net[tb] !== net.id || T.port[tb] !== port) continue;
		const l3mdev = nth(T.l3mdev, tb);
		const bind2: Bucket2[] = [];
		for (const tb2 of T2.handles()) {
			if (T2.ib_net[tb2] !== net.id || T2.port[tb2] !== port || T2.l3mdev[tb2] !== l3mdev) continue;
			const six = T2.family[tb2] === AF_INET6;
			bind2.push({
				address: six ? formatIpv6(T2.v6_rcv_saddr, tb2 * 4) : formatIpv4(nth(T2.rcv_saddr, tb2)),
				fastreuse: recomputed ? nth(T2.fastreuse, tb2) : null,
				fastreuseport: recomputed ? nth(T2.fastreuseport, tb2) : null,
				owners: List.of(k, nth(T2.owners, tb2), next2),
				deathrow: List.of(k, nth(T2.deathrow, tb2), S.bind2_node_next),
			});
		}
		const [fastreuse, fastreuseport] = [nth(T.fastreuse, tb), nth(T.fastreuseport, tb)];
		buckets.push({
			l3mdev,
			fastreuse,
			fastreuseport,
			meaning: meaningOf(fastreuse, fastreuseport),
			owners: holds ? null : List.of(k, nth(T.owners, tb), S.bind_node_next),
			bind2,
		});
	}
	return buckets;
}

/** What fastreuse and fastreuseport say to the next search. */
function meaningOf(fastreuse: number, fastreuseport: number): string {
	if (fastreuse < 0 && fastreuseport < 0) {
		return "only connect() uses the port, so another connect() may share it for another four-tuple";
	}
	const shared = "a bind() uses the port, so no connect() that searches takes it";
	if (fastreuseport > 0) return `${shared}; SO_REUSEPORT sockets of the same user may join`;
	if (fastreuse > 0) return `${shared}; SO_REUSEADDR sockets may bind to it without a check`;
	return shared;
}
