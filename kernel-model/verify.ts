// SPDX-License-Identifier: GPL-2.0-or-later
/** Self-check of a kernel's tables: every chain, owner and count against every other. */
import { inet_bhashfn, ipv4_portaddr_hash } from "../include/net/inet_hashtables.js";
import { SOCK_DEAD } from "../include/net/sock.js";
import {
	TCP_CLOSE,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
	tcpStateName,
} from "../include/net/tcp_states.js";
import { inet_ehashfn } from "../net/ipv4/inet_hashtables.js";
import { sk_timer } from "../net/ipv4/tcp_timer.js";
import type { Kernel } from "./kernel.js";

/** Throws an Error that names the first thing that is wrong. */
export function verify(k: Kernel): void {
	const S = k.sock;
	const hinfo = k.tcp_hashinfo;
	const T = hinfo.bind_bucket_cachep;
	const T2 = hinfo.bind2_bucket_cachep;
	const fail = (what: string): never => {
		throw new Error(`verify: ${what}`);
	};
	const name = (sk: number) => `socket ${sk} (${tcpStateName(S.skc_state[sk])})`;

	/** Every record on the chain of a slot, after a check of its links. */
	const chain = (
		what: string,
		first: Int32Array,
		next: Int32Array,
		pprev: Int32Array,
		slot: number,
	): number[] => {
		const seen: number[] = [];
		let before = ~slot;
		for (let node = first[slot]; node !== 0; node = next[node]) {
			if (pprev[node] !== before) fail(`${what} ${slot}: link back of ${node} is broken`);
			if (seen.includes(node)) fail(`${what} ${slot}: ${node} is on it twice`);
			seen.push(node);
			before = node;
		}
		return seen;
	};

	if (!k.loopback.empty) fail("a segment was left in flight");
	if (k.held !== 0) fail("a sock is still held");

	const live = new Set(S.handles());
	if (live.size !== S.used) fail(`${live.size} socks in use, ${S.used} counted`);

	// Bind buckets: on the right chain, with owners that say the same.
	const buckets = new Set(T.handles());
	let seen = 0;
	for (let slot = 0; slot < hinfo.bhash_size; slot++) {
		if (hinfo.bhash[slot] === 0) continue;
		for (const tb of chain("bhash", hinfo.bhash, T.node_next, T.node_pprev, slot)) {
			seen++;
			if (!buckets.has(tb)) fail(`bhash ${slot} holds freed bucket ${tb}`);
			const net = k.nets[T.ib_net[tb] - 1];
			if (inet_bhashfn(net, T.port[tb], hinfo.bhash_size) !== slot) {
				fail(`bucket of port ${T.port[tb]} is on the wrong chain`);
			}
			if (T.owners[tb] === 0) fail(`bucket of port ${T.port[tb]} has no owner`);
		}
	}
	if (seen !== buckets.size) fail(`${buckets.size} bind buckets, ${seen} on chains`);
	const owned = new Set<number>();
	for (const tb of buckets) {
		for (const sk of chain("owners", T.owners, S.bind_node_next, S.bind_node_pprev, tb)) {
			owned.add(sk);
			if (!live.has(sk)) fail(`bucket of port ${T.port[tb]} is owned by freed socket ${sk}`);
			if (S.icsk_bind_hash[sk] !== tb) fail(`${name(sk)} does not know its bind bucket`);
			if (S.skc_num[sk] !== T.port[tb]) fail(`${name(sk)} is in the bucket of another port`);
			if (S.skc_net[sk] !== T.ib_net[tb]) fail(`${name(sk)} is in another namespace's bucket`);
		}
	}

	// Bind2 buckets likewise, with their addresses.
	const buckets2 = new Set(T2.handles());
	seen = 0;
	for (let slot = 0; slot < hinfo.bhash_size; slot++) {
		if (hinfo.bhash2[slot] === 0) continue;
		for (const tb2 of chain("bhash2", hinfo.bhash2, T2.node_next, T2.node_pprev, slot)) {
			seen++;
			if (!buckets2.has(tb2)) fail(`bhash2 ${slot} holds freed bucket ${tb2}`);
			const net = k.nets[T2.ib_net[tb2] - 1];
			const hash = ipv4_portaddr_hash(net, T2.rcv_saddr[tb2], T2.port[tb2]);
			if ((hash & (hinfo.bhash_size - 1)) !== slot) {
				fail(`bind2 bucket of port ${T2.port[tb2]} is on the wrong chain`);
			}
			if (T2.owners[tb2] === 0 && T2.deathrow[tb2] === 0) {
				fail(`bind2 bucket of port ${T2.port[tb2]} has no owner`);
			}
		}
	}
	if (seen !== buckets2.size) fail(`${buckets2.size} bind2 buckets, ${seen} on chains`);
	const owned2 = new Set<number>();
	for (const tb2 of buckets2) {
		for (const [list, time_wait] of [
			[T2.owners, false],
			[T2.deathrow, true],
		] as const) {
			for (const sk of chain("owners2", list, S.bind2_node_next, S.bind2_node_pprev, tb2)) {
				owned2.add(sk);
				if (S.skc_net[sk] !== T2.ib_net[tb2]) fail(`${name(sk)} is in another namespace's bucket2`);
				if (S.icsk_bind2_hash[sk] !== tb2) fail(`${name(sk)} does not know its bind2 bucket`);
				if ((S.skc_state[sk] === TCP_TIME_WAIT) !== time_wait) {
					fail(`${name(sk)} is on the wrong list of its bind2 bucket`);
				}
				if (S.skc_rcv_saddr[sk] !== T2.rcv_saddr[tb2] || S.skc_num[sk] !== T2.port[tb2]) {
					fail(`${name(sk)} is in the bind2 bucket of another address or port`);
				}
			}
		}
	}

	// Connections and listeners: on the chain of their hash, once. That no two have the same
	// four-tuple and device is not checked: where devices are mixed, the kernel's search stops at
	// the first that matches, and lets a second one in.
	const hashed = new Set<number>();
	for (let slot = 0; slot < hinfo.ehash.length; slot++) {
		if (hinfo.ehash[slot] === 0) continue;
		for (const sk of chain("ehash", hinfo.ehash, S.node_next, S.node_pprev, slot)) {
			hashed.add(sk);
			const net = k.nets[S.skc_net[sk] - 1];
			const [laddr, faddr] = [S.skc_rcv_saddr[sk], S.skc_daddr[sk]];
			const hash = inet_ehashfn(k, net, laddr, S.skc_num[sk], faddr, S.skc_dport[sk]);
			if (hash !== S.skc_hash[sk] || (hash & hinfo.ehash_mask) !== slot) {
				fail(`${name(sk)} is on the wrong chain of ehash`);
			}
		}
	}
	for (let slot = 0; slot < hinfo.lhash2.length; slot++) {
		if (hinfo.lhash2[slot] === 0) continue;
		for (const sk of chain("lhash2", hinfo.lhash2, S.node_next, S.node_pprev, slot)) {
			hashed.add(sk);
			if (S.skc_state[sk] !== TCP_LISTEN) fail(`${name(sk)} is among the listeners`);
		}
	}

	// Every sock: in the tables that its state and port call for, and nowhere else.
	const time_waits = new Map<number, number>();
	let queued = 0;
	const backlogs = new Map<number, number>();
	for (const sk of live) {
		const state = S.skc_state[sk];
		if ((S.skc_num[sk] !== 0) !== (S.icsk_bind_hash[sk] !== 0)) {
			fail(`${name(sk)} has port ${S.skc_num[sk]} but bucket ${S.icsk_bind_hash[sk]}`);
		}
		if (owned.has(sk) !== (S.icsk_bind_hash[sk] !== 0)) fail(`${name(sk)} is not an owner`);
		if (owned2.has(sk) !== (S.icsk_bind2_hash[sk] !== 0)) fail(`${name(sk)} is not an owner2`);
		if (owned.has(sk) !== owned2.has(sk)) fail(`${name(sk)} is in one of its two buckets`);
		if (hashed.has(sk) !== (state !== TCP_CLOSE)) fail(`${name(sk)} is hashed, or is not`);
		if (state === TCP_TIME_WAIT) {
			time_waits.set(S.skc_net[sk], (time_waits.get(S.skc_net[sk]) ?? 0) + 1);
			if (k.timers.expiry(sk_timer(sk)) === null) fail(`${name(sk)} has no timer`);
			continue;
		}
		if (state === TCP_SYN_SENT && S.skc_num[sk] === 0) fail(`${name(sk)} has no port`);
		const listener = S.rsk_listener[sk];
		if (listener !== 0) {
			queued++;
			backlogs.set(listener, (backlogs.get(listener) ?? 0) + 1);
		}
		const socket = S.sk_socket[sk];
		if (socket === 0 && listener === 0) {
			if ((S.sk_flags[sk] & SOCK_DEAD) === 0) fail(`${name(sk)} is leaked`);
			if (state === TCP_CLOSE) fail(`${name(sk)} is closed but not freed`);
		}
		if (socket !== 0 && k.socket.sk[socket] !== sk) fail(`${name(sk)} is not its socket's`);
		const group = S.sk_reuseport_cb[sk];
		if (group !== 0 && !k.reuseport.get(group)?.socks.includes(sk)) {
			fail(`${name(sk)} is not in its reuseport group`);
		}
	}
	for (const [listener, length] of backlogs) {
		if (S.sk_ack_backlog[listener] !== length) fail(`${name(listener)} miscounts its queue`);
	}
	for (const [id, { socks }] of k.reuseport) {
		if (socks.length === 0) fail(`reuseport group ${id} is empty`);
		for (const sk of socks) {
			if (S.sk_reuseport_cb[sk] !== id) fail(`${name(sk)} is in a group it does not know`);
		}
	}
	for (const net of k.nets) {
		if (net.tw_count !== (time_waits.get(net.id) ?? 0)) fail(`${net.name} miscounts TIME_WAIT`);
	}
	if (queued > 0 && backlogs.size === 0) fail("connections wait for nobody");
}
