// SPDX-License-Identifier: GPL-2.0-or-later
/** Self-check of a kernel's tables: every chain, owner and count against every other. */
import { hlist_unhashed } from "../../include/linux/list.js";
import type { Slab } from "../../include/linux/slab.js";
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { TIMER_KINDS } from "../../include/linux/timer.js";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import { type InetHashinfo, inet_bhashfn } from "../../include/net/inet_hashtables.js";
import { ipv4_portaddr_hash } from "../../include/net/ip.js";
import { ipv6_addr_equal, ipv6_addr_v4mapped, ipv6_portaddr_hash } from "../../include/net/ipv6.js";
import type { Net } from "../../include/net/net_namespace.js";
import type { RefusedPorts } from "../../include/net/refused_ports.js";
import { SCTP_TIMEOUT_T1 } from "../../include/net/sctp.js";
import { SOCK_DEAD, sk_timer } from "../../include/net/sock.js";
import {
	TCP_CLOSE,
	TCP_LISTEN,
	TCP_NEW_SYN_RECV,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
	tcpStateName,
} from "../../include/net/tcp_states.js";
import {
	type UdpTable,
	udp_hashslot,
	udp_hashslot2,
	udp_hashslot4,
	udp_portaddr_hash,
} from "../../include/net/udp.js";
import {
	IPPROTO_DCCP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import { inet_lhash2_bucket_sk, sk_ehashfn } from "../../net/ipv4/inet_hashtables.js";
import { routeConnect, segmentDeliverIfindex } from "../../net/ipv4/route.js";
import { sockOfTimer } from "../../net/ipv4/tcp_timer.js";
import { udp_get_table_prot } from "../../net/ipv4/udp.js";
import { inet_sk_bound_l3mdev } from "../../net/l3mdev/l3mdev.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";
import { verifySctp } from "./verify_sctp.js";

function fail(what: string): never {
	throw new Error(`verify: ${what}`);
}

/** Throws an Error that names the first thing that is wrong. */
export function verify(k: Kernel): void {
	if (k.loopback.length > 0) fail("a segment was left in flight");
	if (k.held !== 0) fail("a sock is still held");
	const live = records("socks", k.sock);

	const hashed = new Set<number>();
	const owned = new Set<number>();
	for (const hinfo of [k.tcp_hashinfo, k.dccp_hashinfo]) {
		verifyHashinfo(k, hinfo, live, owned, hashed);
	}
	for (const table of new Set([k.udp_table, ...k.nets.map(({ udp_table }) => udp_table)])) {
		verifyUdpTable(k, table, IPPROTO_UDP, live, hashed);
	}
	verifyUdpTable(k, k.udplite_table, IPPROTO_UDPLITE, live, hashed);
	verifySocks(k, live, owned, hashed);
	verifyQueues(k, live);
	verifyTimers(k, live);
	verifyReuseport(k);
	verifySockets(k, live);
	verifyMptcp(k, live);
	verifyFiles(k);
	verifySctp(k);
	for (const net of k.nets) verifyRoutes(net);
}

/** The handles of a slab that are in use. Checks that each other handle was freed once. */
function records(what: string, slab: Slab): Set<number> {
	const live = new Set(slab.handles());
	if (live.size !== slab.used) fail(`${live.size} ${what} in use, ${slab.used} counted`);
	return live;
}

/** Cached routes equal the routes that a lookup finds. */
function verifyRoutes(net: Net): void {
	for (const cached of net.rt_cache) {
		if (cached?.connect_genid === net.rt_genid) {
			const { daddr, saddr, oif, flow_flags } = cached.connect;
			const err = routeConnect(net, daddr, saddr, oif, flow_flags);
			const same = err !== 0 || JSON.stringify(cached.flow) === JSON.stringify(net.fl4);
			if (err !== cached.err || !same) fail(`the route to ${daddr} is another by now`);
		}
		if (cached?.segment_genid === net.rt_genid) {
			const { daddr, oif } = cached.segment;
			const dif = segmentDeliverIfindex(net, daddr, oif);
			if (dif !== cached.dif) fail(`segments to ${daddr} arrive elsewhere by now`);
		}
	}
}

/** Each open file has a descriptor in some task or in flight. f_count counts them. */
function verifyFiles(k: Kernel): void {
	const named = new Map<number, number>();
	const seen = new Set<unknown>();
	for (const task of k.tasks) {
		// Threads share their descriptors.
		if (seen.has(task.descriptors)) continue;
		seen.add(task.descriptors);
		for (const file of task.openFiles()) named.set(file, (named.get(file) ?? 0) + 1);
	}
	const live = records("files", k.file);
	const { f_count, inflight } = k.file;
	for (const file of live) {
		const count = (named.get(file) ?? 0) + nth(inflight, file);
		if (count === 0) fail(`file ${file} is open, and nothing names it`);
		if (f_count[file] !== count)
			fail(`file ${file} has ${count} descriptors, not ${f_count[file]}`);
	}
	for (const file of named.keys()) {
		if (!live.has(file)) fail(`a descriptor names freed file ${file}`);
	}
}

/** Each struct socket belongs to one file, or is the first subflow's of an MPTCP socket. */
function verifySockets(k: Kernel, live: ReadonlySet<number>): void {
	const sockets = records("struct sockets", k.socket);
	const owners = new Set<number>();
	const own = (socket: number, owner: string) => {
		if (!sockets.has(socket)) fail(`${owner} names freed struct socket ${socket}`);
		if (owners.has(socket)) fail(`struct socket ${socket} has a second owner, ${owner}`);
		owners.add(socket);
		const sk = nth(k.socket.sk, socket);
		if (!live.has(sk)) fail(`struct socket ${socket} has freed sock ${sk}`);
		if (k.sock.sk_socket[sk] !== socket) fail(`struct socket ${socket} has a stranger's sock`);
	};
	for (const file of k.file.handles()) {
		if (k.file.socket[file] !== 0) own(nth(k.file.socket, file), `file ${file}`);
	}
	for (const { socket } of k.mptcp.socks.values()) if (socket !== 0) own(socket, "an MPTCP sock");
	for (const socket of sockets) if (!owners.has(socket)) fail(`struct socket ${socket} is leaked`);
	for (const sk of k.sock.fastopen_req.keys()) {
		if (!live.has(sk)) fail(`a fast open is of freed sock ${sk}`);
	}
	for (const sk of [...k.dccp.socks.keys(), ...k.dccp.dreq_service.keys()]) {
		if (!live.has(sk)) fail(`DCCP sock ${sk} is freed`);
	}
}

/** MPTCP socks and their subflows point to each other. */
function verifyMptcp(k: Kernel, live: ReadonlySet<number>): void {
	const { socks, conn, works } = k.mptcp;
	for (const [sk, { first }] of socks) {
		if (!live.has(sk)) fail(`MPTCP sock ${sk} is freed`);
		if (!live.has(first)) fail(`MPTCP sock ${sk} has freed subflow ${first}`);
		if (conn.get(first) !== sk) fail(`the subflow of MPTCP sock ${sk} is another's`);
	}
	for (const [ssk, sk] of conn) {
		if (socks.get(sk)?.first !== ssk) fail(`MPTCP subflow ${ssk} is not that of sock ${sk}`);
	}
	if (works.length !== 0) fail(`the worker has not done the work of MPTCP sock ${works[0]}`);
}

/**
 * Accept queues are chains of connections that point to their listener. The listener points to the
 * last one.
 */
function verifyQueues(k: Kernel, live: ReadonlySet<number>): void {
	const S = k.sock;
	const queued = new Set<number>();
	for (const sk of live) {
		if (S.skc_state[sk] !== TCP_LISTEN) continue;
		let last = 0;
		for (let child = S.rskq_accept_head.get(sk); child !== 0; child = S.dl_next.get(child)) {
			if (queued.has(child)) fail(`socket ${child} waits twice`);
			if (!live.has(child)) fail(`freed socket ${child} waits for ${name(k, sk)}`);
			if (S.rsk_listener.get(child) !== sk)
				fail(`socket ${child} waits for ${name(k, sk)}, another's`);
			queued.add(child);
			last = child;
		}
		if (S.rskq_accept_tail.get(sk) !== last) fail(`${name(k, sk)} has lost the end of its queue`);
	}
	for (const sk of live) {
		const request = S.skc_state[sk] === TCP_NEW_SYN_RECV;
		if (S.rsk_listener.get(sk) !== 0 && !request && !queued.has(sk))
			fail(`${name(k, sk)} is in no queue`);
	}
}

/** Each timer belongs to a sock, and the first one expires first. */
function verifyTimers(k: Kernel, live: ReadonlySet<number>): void {
	const { timers } = k;
	const first = timers.first();
	const soonest = first === null ? null : timers.expiry(first);
	for (const timer of timers.handles()) {
		const sk = sockOfTimer(timer);
		const ofSctp = timer % TIMER_KINDS >= SCTP_TIMEOUT_T1;
		if (ofSctp ? (k.sctp_globals.asocs[sk] ?? null) === null : !live.has(sk))
			fail(`a timer of freed socket ${sk} runs`);
		const expiry = timers.expiry(timer);
		if (expiry === null || soonest === null || expiry < soonest) {
			fail(`a timer of ${name(k, sk)} is out of order`);
		}
	}
}

function name(k: Kernel, sk: number): string {
	return `socket ${sk} (${tcpStateName(nth(k.sock.skc_state, sk))})`;
}

/** Checks the links of a slot's chain and returns its records. */
function chain(
	what: string,
	first: Int32Array,
	next: Int32Array,
	pprev: Int32Array,
	slot: number,
): number[] {
	// A circular chain has a node with two predecessors.
	const seen: number[] = [];
	let before = ~slot;
	for (let node = nth(first, slot); node !== 0; node = nth(next, node)) {
		if (pprev[node] !== before) fail(`${what} ${slot}: link back of ${node} is broken`);
		seen.push(node);
		before = node;
	}
	return seen;
}

/**
 * The tables of TCP, or of DCCP: buckets with owners, connections and listeners on their chains.
 */
function verifyHashinfo(
	k: Kernel,
	hinfo: InetHashinfo,
	live: ReadonlySet<number>,
	owned: Set<number>,
	hashed: Set<number>,
): void {
	const S = k.sock;
	const T = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	const holds = k.changes.has("bhash-holds-bhash2"); // since 6.8, b2cb9f9ef240

	// Bind buckets are on the right chain, and their owners point to them.
	const buckets = records("bind buckets", T);
	const keys = new Set<string>();
	let seen = 0;
	for (let slot = 0; slot < hinfo.bhash_size; slot++) {
		if (hinfo.bhash[slot] === 0) continue;
		for (const tb of chain("bhash", hinfo.bhash, T.node_next, T.node_pprev, slot)) {
			seen++;
			if (!buckets.has(tb)) fail(`bhash ${slot} holds freed bucket ${tb}`);
			const net = nth(k.nets, nth(T.ib_net, tb) - 1);
			if (inet_bhashfn(net, nth(T.port, tb), hinfo.bhash_size) !== slot) {
				fail(`bucket of port ${T.port[tb]} is on the wrong chain`);
			}
			const [list, unused] = holds ? [T.bhash2, T.owners] : [T.owners, T.bhash2];
			if (list[tb] === 0) fail(`bucket of port ${T.port[tb]} has no owner`);
			if (unused[tb] !== 0) fail(`bucket of port ${T.port[tb]} has a list of another version`);
			const key = `${T.ib_net[tb]} ${T.port[tb]} ${T.l3mdev[tb]}`;
			if (keys.has(key)) fail(`port ${T.port[tb]} has two bind buckets of one key`);
			keys.add(key);
		}
	}
	if (seen !== buckets.size) fail(`${buckets.size} bind buckets, ${seen} on chains`);
	const bound = new Map<string, readonly number[]>();
	for (const tb of buckets) {
		const list = holds
			? bhash2Of(hinfo, tb).flatMap((tb2) =>
					chain("owners2", T2.owners, S.bind_node_next, S.bind_node_pprev, tb2),
				)
			: chain("owners", T.owners, S.bind_node_next, S.bind_node_pprev, tb);
		if (T.l3mdev[tb] === 0) bound.set(`${T.ib_net[tb]} ${T.port[tb]}`, list);
		for (const sk of list) {
			owned.add(sk);
			if (!live.has(sk)) fail(`bucket of port ${T.port[tb]} is owned by freed socket ${sk}`);
			if (S.icsk_bind_hash[sk] !== tb) fail(`${name(k, sk)} does not know its bind bucket`);
			if (S.skc_num[sk] !== T.port[tb]) fail(`${name(k, sk)} is in the bucket of another port`);
			if (S.skc_net[sk] !== T.ib_net[tb]) fail(`${name(k, sk)} is in another namespace's bucket`);
		}
	}
	verifyBind2(k, hinfo, owned);
	verifyRefused(k, "bind()", hinfo.refused_binds, bound);

	// Connections and listeners are on the chain of their hash, once. Two may have the same
	// four-tuple and device, so this is not checked: if devices are mixed, the kernel's search
	// stops at the first match and admits a second one.
	const tuples = new Set<string>();
	for (let slot = 0; slot < hinfo.ehash.length; slot++) {
		if (hinfo.ehash[slot] === 0) continue;
		for (const sk of chain("ehash", hinfo.ehash, S.node_next, S.node_pprev, slot)) {
			hashed.add(sk);
			if (hasTuple(k, hinfo, sk)) tuples.add(tupleKey(k, sk));
			const hash = sk_ehashfn(k, sk);
			if (hash !== S.skc_hash[sk] || (hash & hinfo.ehash_mask) !== slot) {
				fail(`${name(k, sk)} is on the wrong chain of ehash`);
			}
		}
	}
	for (const record of hinfo.refused_tuples) {
		if (!tuples.has(record.join(" "))) fail(`connect() refuses a free four-tuple: ${record}`);
	}
	for (let slot = 0; slot < hinfo.lhash2.length; slot++) {
		if (hinfo.lhash2[slot] === 0) continue;
		for (const sk of chain("lhash2", hinfo.lhash2, S.node_next, S.node_pprev, slot)) {
			hashed.add(sk);
			if (S.skc_state[sk] !== TCP_LISTEN) fail(`${name(k, sk)} is among the listeners`);
			if (inet_lhash2_bucket_sk(k, sk) !== slot) {
				fail(`${name(k, sk)} is on the wrong chain of lhash2`);
			}
		}
	}
}

/** A sock's record in refused_tuples. */
function tupleKey({ sock: S }: Kernel, sk: number): string {
	return [S.skc_net, S.skc_rcv_saddr, S.skc_daddr, S.skc_dport, S.skc_num]
		.map((column) => column[sk])
		.join(" ");
}

/** Whether a connection in ehash owns the bucket of its port and takes its four-tuple. */
function hasTuple({ sock: S }: Kernel, hinfo: InetHashinfo, sk: number): boolean {
	const tb = nth(S.icsk_bind_hash, sk);
	if (tb === 0 || hinfo.bind_bucket_cachep.l3mdev[tb] !== 0) return false;
	return S.skc_state[sk] !== TCP_TIME_WAIT && S.skc_bound_dev_if[sk] === 0;
}

/** Each port that a bind() to an address refuses has a sock that conflicts with it. */
function verifyRefused(
	{ sock: S }: Kernel,
	call: string,
	refused: RefusedPorts,
	socks: ReadonlyMap<string, readonly number[]>,
): void {
	for (const [net, saddr, daddr, dport, port] of refused) {
		const conflicts = (sk: number) => {
			const its = S.skc_rcv_saddr[sk];
			return S.skc_ipv6only[sk] === 0 && (its === saddr || its === 0 || saddr === 0);
		};
		if (daddr !== 0 || dport !== 0 || !socks.get(`${net} ${port}`)?.some(conflicts)) {
			fail(`${call} to ${saddr} refuses port ${port} for no reason`);
		}
	}
}

/**
 * Bind2 buckets have the addresses of their owners. Every owner of a bind bucket is in a bind2
 * bucket. Since 6.8 (bhash-holds-bhash2) a bind2 bucket is on the list of its owners' bind bucket,
 * and no list of time-wait sockets is used.
 */
function verifyBind2(k: Kernel, hinfo: InetHashinfo, owned: ReadonlySet<number>): void {
	const S = k.sock;
	const T = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	const holds = k.changes.has("bhash-holds-bhash2"); // since 6.8, 770041d337a8
	const buckets2 = records("bind2 buckets", T2);
	const keys = new Set<string>();
	let seen = 0;
	for (let slot = 0; slot < hinfo.bhash_size; slot++) {
		if (hinfo.bhash2[slot] === 0) continue;
		for (const tb2 of chain("bhash2", hinfo.bhash2, T2.node_next, T2.node_pprev, slot)) {
			seen++;
			if (!buckets2.has(tb2)) fail(`bhash2 ${slot} holds freed bucket ${tb2}`);
			const net = nth(k.nets, nth(T2.ib_net, tb2) - 1);
			const hash =
				T2.family[tb2] === AF_INET6
					? ipv6_portaddr_hash(net, T2.v6_rcv_saddr, tb2 * 4, nth(T2.port, tb2))
					: ipv4_portaddr_hash(net, nth(T2.rcv_saddr, tb2), nth(T2.port, tb2));
			if ((hash & (hinfo.bhash_size - 1)) !== slot) {
				fail(`bind2 bucket of port ${T2.port[tb2]} is on the wrong chain`);
			}
			if (T2.owners[tb2] === 0 && T2.deathrow[tb2] === 0) {
				fail(`bind2 bucket of port ${T2.port[tb2]} has no owner`);
			}
			const address =
				T2.family[tb2] === AF_INET6
					? T2.v6_rcv_saddr.subarray(tb2 * 4, tb2 * 4 + 4).join(":")
					: T2.rcv_saddr[tb2];
			const key = `${T2.ib_net[tb2]} ${T2.port[tb2]} ${T2.l3mdev[tb2]} ${address}`;
			const twin = keys.has(key) && !(holds && movedToVrf(k, hinfo, tb2));
			if (twin) fail(`port ${T2.port[tb2]} has two bind2 buckets of one key`);
			keys.add(key);
		}
	}
	if (seen !== buckets2.size) fail(`${buckets2.size} bind2 buckets, ${seen} on chains`);
	const listed = new Set<number>();
	for (const tb of T.handles()) {
		for (const tb2 of bhash2Of(hinfo, tb)) {
			listed.add(tb2);
			if (!buckets2.has(tb2)) fail(`bucket of port ${T.port[tb]} holds freed bind2 bucket ${tb2}`);
			if (T2.ib_net[tb2] !== T.ib_net[tb] || T2.port[tb2] !== T.port[tb]) {
				fail(`bucket of port ${T.port[tb]} holds a bind2 bucket of port ${T2.port[tb2]}`);
			}
		}
	}
	if (holds && listed.size !== buckets2.size) {
		fail(`${buckets2.size} bind2 buckets, ${listed.size} in bind buckets`);
	}
	const { bind_node_next, bind_node_pprev, bind2_node_next, bind2_node_pprev } = S;
	const next = holds ? bind_node_next : bind2_node_next;
	const pprev = holds ? bind_node_pprev : bind2_node_pprev;
	for (const tb2 of buckets2) {
		if (holds && T2.deathrow[tb2] !== 0)
			fail(`bind2 bucket of port ${T2.port[tb2]} has a deathrow`);
		for (const [list, time_wait] of [
			[T2.owners, false],
			[T2.deathrow, true],
		] as const) {
			for (const sk of chain("owners2", list, next, pprev, tb2)) {
				if (!owned.has(sk)) fail(`${name(k, sk)} is in one of its two buckets`);
				if (S.skc_net[sk] !== T2.ib_net[tb2]) {
					fail(`${name(k, sk)} is in another namespace's bucket2`);
				}
				if (S.icsk_bind2_hash[sk] !== tb2) fail(`${name(k, sk)} does not know its bind2 bucket`);
				if (!holds && (S.skc_state[sk] === TCP_TIME_WAIT) !== time_wait) {
					fail(`${name(k, sk)} is on the wrong list of its bind2 bucket`);
				}
				if (!sameAddress(k, hinfo, sk, tb2) || S.skc_num[sk] !== T2.port[tb2]) {
					fail(`${name(k, sk)} is in the bind2 bucket of another address or port`);
				}
			}
		}
	}
}

/** The bind2 buckets that a bind bucket holds. */
function bhash2Of({ bind_bucket_cachep: T, bind2_bucket_cachep: T2 }: InetHashinfo, tb: number) {
	return chain("bind2 buckets of", T.bhash2, T2.bhash_node_next, T2.bhash_node_pprev, tb);
}

/** Whether an owner of a bind2 bucket got a device of another VRF since (bind2-device-of-bucket). */
function movedToVrf(k: Kernel, hinfo: InetHashinfo, tb2: number): boolean {
	const S = k.sock;
	const T2 = hinfo.bind2_bucket_cachep;
	const net = nth(k.nets, nth(T2.ib_net, tb2) - 1);
	for (let sk = nth(T2.owners, tb2); sk !== 0; sk = nth(S.bind_node_next, sk)) {
		const l3mdev = inet_sk_bound_l3mdev(net, nth(S.skc_bound_dev_if, sk));
		if (l3mdev !== T2.l3mdev[tb2]) return true;
	}
	return false;
}

/** Whether a socket has the address of its bind2 bucket. One of the two may be v4-mapped. */
function sameAddress(k: Kernel, hinfo: InetHashinfo, sk: number, tb2: number): boolean {
	const S = k.sock;
	const T2 = hinfo.bind2_bucket_cachep;
	const v6 = T2.family[tb2] === AF_INET6;
	if (v6 && S.skc_family[sk] === AF_INET6) {
		return ipv6_addr_equal(T2.v6_rcv_saddr, tb2 * 4, S.skc_v6_rcv_saddr, sk * 4);
	}
	if (!v6) return T2.rcv_saddr[tb2] === S.skc_rcv_saddr[sk];
	// IPV6_ADDRFORM, or one bucket for both (bhash2-v4mapped-address).
	const mapped = ipv6_addr_v4mapped(T2.v6_rcv_saddr, tb2 * 4);
	return mapped && T2.v6_rcv_saddr[tb2 * 4 + 3] === S.skc_rcv_saddr[sk];
}

/** UDP's tables: each socket with a port is on the right chains of both, and counted. */
function verifyUdpTable(
	k: Kernel,
	table: UdpTable,
	protocol: number,
	live: ReadonlySet<number>,
	hashed: Set<number>,
): void {
	const S = k.sock;
	const mine = new Set<number>();
	const bound = new Map<string, number[]>();
	const second = new Set<number>();
	const connected = new Map<number, number>();
	const { hash, count, hash2, count2, hash4 } = table;
	for (let slot = 0; slot <= table.mask; slot++) {
		const empty = hash[slot] === 0 && count[slot] === 0 && hash2[slot] === 0;
		if (empty && count2[slot] === 0 && hash4[slot] === 0) continue;
		const third = chain("udp hash4", hash4, S.bind2_node_next, S.bind2_node_pprev, slot);
		for (const sk of third) {
			if (udp_hashslot4(table, nth(S.udp_lrpa_hash, sk)) !== slot) {
				fail(`${name(k, sk)} is on the wrong chain of udp hash4`);
			}
			const slot2 = udp_hashslot2(table, udp_portaddr_hash(S, sk));
			connected.set(slot2, (connected.get(slot2) ?? 0) + 1);
			if (hlist_unhashed(S.node_pprev, sk)) fail(`udp hash4 ${slot} holds ${name(k, sk)}`);
		}
		const first = chain("udp hash", table.hash, S.node_next, S.node_pprev, slot);
		if (first.length !== table.count[slot]) fail(`udp hash ${slot} miscounts`);
		for (const sk of first) {
			hashed.add(sk);
			mine.add(sk);
			const key = `${S.skc_net[sk]} ${S.skc_num[sk]}`;
			bound.set(key, [...(bound.get(key) ?? []), sk]);
			if (udp_get_table_prot(k, sk) !== table) fail(`${name(k, sk)} is in another table`);
			if (S.sk_protocol[sk] !== protocol) fail(`${name(k, sk)} is in another protocol's table`);
			if (!live.has(sk)) fail(`udp hash ${slot} holds freed socket ${sk}`);
			const net = nth(k.nets, nth(S.skc_net, sk) - 1);
			if (udp_hashslot(table, net, nth(S.skc_num, sk)) !== slot) {
				fail(`${name(k, sk)} is on the wrong chain of udp hash`);
			}
		}
		const next = S.bind_node_next;
		const others = chain("udp hash2", table.hash2, next, S.bind_node_pprev, slot);
		if (others.length !== table.count2[slot]) fail(`udp hash2 ${slot} miscounts`);
		for (const sk of others) {
			second.add(sk);
			const net = nth(k.nets, nth(S.skc_net, sk) - 1);
			const hash =
				S.skc_family[sk] === AF_INET
					? ipv4_portaddr_hash(net, nth(S.skc_rcv_saddr, sk), nth(S.skc_num, sk))
					: ipv6_portaddr_hash(net, S.skc_v6_rcv_saddr, sk * 4, nth(S.skc_num, sk));
			if ((hash & table.mask) !== slot) fail(`${name(k, sk)} is on the wrong chain of udp hash2`);
		}
	}
	verifyRefused(k, "bind()", table.refused, bound);
	for (let slot2 = 0; slot2 <= table.mask; slot2++) {
		if (table.hash4_cnt[slot2] !== (connected.get(slot2) ?? 0)) {
			fail(`udp hash2 ${slot2} miscounts the sockets on chains of hash4`);
		}
	}
	for (const sk of live) {
		if (mine.has(sk) !== second.has(sk)) {
			fail(`${name(k, sk)} is on one of UDP's two chains`);
		}
	}
}

/** Every sock is in exactly the tables that its protocol, state and port require. */
function verifySocks(
	k: Kernel,
	live: ReadonlySet<number>,
	owned: ReadonlySet<number>,
	hashed: ReadonlySet<number>,
): void {
	const S = k.sock;
	const time_waits = new Map<number, number>();
	const backlogs = new Map<number, number>();
	const requests = new Map<number, number>();
	for (const sk of live) {
		const state = S.skc_state[sk];
		const has_port = S.skc_num[sk] !== 0;
		const protocol = S.sk_protocol[sk];
		if (state === TCP_NEW_SYN_RECV) {
			if (!hashed.has(sk) || owned.has(sk)) fail(`${name(k, sk)} is not in ehash alone`);
			if (k.timers.expiry(icsk_retransmit_timer(sk)) === null) fail(`${name(k, sk)} has no timer`);
			const listener = S.rsk_listener.get(sk);
			if (listener !== 0) requests.set(listener, (requests.get(listener) ?? 0) + 1);
			continue;
		}
		if (protocol === IPPROTO_TCP || protocol === IPPROTO_DCCP) {
			if (has_port !== (S.icsk_bind_hash[sk] !== 0)) {
				fail(`${name(k, sk)} has port ${S.skc_num[sk]} but bucket ${S.icsk_bind_hash[sk]}`);
			}
			if (owned.has(sk) !== has_port) fail(`${name(k, sk)} is not an owner`);
			if (hashed.has(sk) !== (state !== TCP_CLOSE)) fail(`${name(k, sk)} is hashed, or is not`);
		} else if (protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE) {
			if (hashed.has(sk) !== has_port) fail(`${name(k, sk)} is hashed, or is not`);
		}
		if (state === TCP_TIME_WAIT) {
			if (protocol !== IPPROTO_DCCP)
				time_waits.set(nth(S.skc_net, sk), (time_waits.get(nth(S.skc_net, sk)) ?? 0) + 1);
			if (k.timers.expiry(sk_timer(sk)) === null) fail(`${name(k, sk)} has no timer`);
			continue;
		}
		if (state === TCP_SYN_SENT && !has_port) fail(`${name(k, sk)} has no port`);
		const listener = S.rsk_listener.get(sk);
		if (listener !== 0) backlogs.set(listener, (backlogs.get(listener) ?? 0) + 1);
		const socket = nth(S.sk_socket, sk);
		// MPTCP socks that wait for accept() have no socket, nor have subflows after close().
		const unaccepted = k.mptcp.socks.get(sk)?.in_accept_queue === true || k.mptcp.conn.has(sk);
		if (socket === 0 && listener === 0 && !unaccepted) {
			if ((nth(S.sk_flags, sk) & SOCK_DEAD) === 0) fail(`${name(k, sk)} is leaked`);
			if (state === TCP_CLOSE) fail(`${name(k, sk)} is closed but not freed`);
		}
		if (socket !== 0 && k.socket.sk[socket] !== sk) fail(`${name(k, sk)} is not its socket's`);
		const group = nth(S.sk_reuseport_cb, sk);
		if (group !== 0 && !k.reuseport.get(group)?.socks.includes(sk)) {
			fail(`${name(k, sk)} is not in its reuseport group`);
		}
	}
	for (const [listener, length] of backlogs) {
		if (!live.has(listener)) fail("connections wait for nobody");
		if (S.sk_ack_backlog.get(listener) !== length) fail(`${name(k, listener)} miscounts its queue`);
	}
	for (const sk of live) {
		const qlen = S.skc_state[sk] === TCP_TIME_WAIT ? 0 : S.rskq_qlen.get(sk);
		if (qlen !== (requests.get(sk) ?? 0)) fail(`${name(k, sk)} miscounts its requests`);
		requests.delete(sk);
	}
	if (requests.size > 0) fail("requests are of a listener that was freed");
	for (const net of k.nets) {
		if (net.tw_count !== (time_waits.get(net.id) ?? 0)) fail(`${net.name} miscounts TIME_WAIT`);
	}
}

function verifyReuseport(k: Kernel): void {
	for (const [id, { socks }] of k.reuseport) {
		if (socks.length === 0) fail(`reuseport group ${id} is empty`);
		for (const sk of socks) {
			if (k.sock.sk_reuseport_cb[sk] !== id) fail(`${name(k, sk)} is in a group it does not know`);
		}
	}
}
