// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/core/sock_reuseport.c: groups of TCP listeners or UDP sockets that share a port. Closed
 * members (tcp_migrate_req) are left out, and how a BPF program selects a member.
 */
import type { Sk } from "../../include/linux/handle.js";
import { hlist_unhashed } from "../../include/linux/list.js";
import { reciprocal_scale } from "../../include/linux/math.js";
import { groupOf, INIT_SOCKS, type SockReuseport } from "../../include/net/sock_reuseport.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import { EBUSY, EINVAL, ENOMEM } from "../../include/uapi/asm-generic/errno.js";

/** max_socks is a u16. */
const U16_MAX = 0xffff;

export function reuseport_has_conns_set(k: Stack, sk: Sk): void {
	const reuse = groupOf(k, sk);
	if (reuse !== null) reuse.has_conns = true;
}

function reuseport_get_incoming_cpu(k: Stack, sk: Sk, reuse: SockReuseport): void {
	if (k.sock.sk_incoming_cpu[sk] !== 0) reuse.incoming_cpu = (reuse.incoming_cpu + 1) & U16_MAX;
}

function reuseport_put_incoming_cpu(k: Stack, sk: Sk, reuse: SockReuseport): void {
	if (k.sock.sk_incoming_cpu[sk] !== 0) reuse.incoming_cpu = (reuse.incoming_cpu - 1) & U16_MAX;
}

/** Makes a group with one member, unless the sock is in a group. Returns 0 or a negative errno. */
export function reuseport_alloc(k: Stack, sk: Sk): number {
	if (groupOf(k, sk) !== null) return 0;
	const id = k.next_reuseport_id++;
	const alone = {
		socks: [sk],
		max_socks: INIT_SOCKS,
		num_closed_socks: 0,
		incoming_cpu: 0,
		has_conns: false,
		prog: false,
	};
	reuseport_get_incoming_cpu(k, sk, alone);
	k.reuseport.set(id, alone);
	k.sock.sk_reuseport_cb[sk] = id;
	return 0;
}

/** Doubles the size of a group. Returns false if the size is at its limit. */
function reuseport_grow(reuse: SockReuseport): boolean {
	const more_socks_size = reuse.max_socks * 2;
	if (more_socks_size > U16_MAX) return false;
	reuse.max_socks = more_socks_size;
	return true;
}

/**
 * Adds sk to the group of sk2. Makes a group for sk2 if it has none. Returns 0, -EBUSY if sk is in
 * a group with other members, or -ENOMEM if the group has 32,768 members.
 */
export function reuseport_add_sock(k: Stack, sk: Sk, sk2: Sk): number {
	if (groupOf(k, sk2) === null) reuseport_alloc(k, sk2);
	const reuse = groupOf(k, sk2);
	const old_id = k.sock.sk_reuseport_cb[sk];
	const old_reuse = groupOf(k, sk);
	if (reuse === null || (old_reuse !== null && old_reuse.socks.length !== 1)) return -EBUSY;
	if (reuse.socks.length === reuse.max_socks && !reuseport_grow(reuse)) return -ENOMEM;
	reuse.socks.push(sk);
	reuseport_get_incoming_cpu(k, sk, reuse);
	k.sock.sk_reuseport_cb[sk] = k.sock.sk_reuseport_cb[sk2];
	if (old_reuse !== null) k.reuseport.delete(old_id);
	return 0;
}

export function reuseport_detach_sock(k: Stack, sk: Sk): void {
	const id = k.sock.sk_reuseport_cb[sk];
	const reuse = groupOf(k, sk);
	if (reuse === null) return;
	k.sock.sk_reuseport_cb[sk] = 0;
	const index = reuse.socks.indexOf(sk);
	if (index !== -1) {
		const last = reuse.socks.pop();
		if (last !== undefined && index < reuse.socks.length) reuse.socks[index] = last;
		reuseport_put_incoming_cpu(k, sk, reuse);
	}
	if (reuse.socks.length === 0) k.reuseport.delete(id);
}

/** A listener stops listening. With tcp_migrate_req off it leaves its group at once. */
export function reuseport_stop_listen_sock(k: Stack, sk: Sk): void {
	k.accept_queues?.leaves(sk);
	reuseport_detach_sock(k, sk);
}

/**
 * Selects a member that is not connected, 0 if all are. The search starts at an index that `hash`
 * gives. If members have an sk_incoming_cpu, those are preferred.
 */
function reuseport_select_sock_by_hash(k: Stack, reuse: SockReuseport, hash: number): Sk {
	const S = k.sock;
	const num_socks = reuse.socks.length;
	const start = reciprocal_scale(hash, num_socks);
	let first_valid_sk = 0;
	let i = start;
	do {
		const sk = reuse.socks[i];
		if (S.skc_state[sk] !== TCP_ESTABLISHED) {
			if (reuse.incoming_cpu === 0) return sk;
			if (S.sk_incoming_cpu[sk] !== 0) return sk;
			if (first_valid_sk === 0) first_valid_sk = sk;
		}
		i++;
		if (i >= num_socks) i = 0;
	} while (i !== start);
	return first_valid_sk;
}

/**
 * The member of the socket's group that `hash` selects. 0 if it has no group or all are connected.
 */
export function reuseport_select_sock(k: Stack, sk: Sk, hash: number): Sk {
	const reuse = groupOf(k, sk);
	return reuse === null ? 0 : reuseport_select_sock_by_hash(k, reuse, hash);
}

/**
 * SO_ATTACH_REUSEPORT_CBPF, _EBPF: gives the group a program. A socket that is on no chain yet gets
 * a group of its own, so it cannot join another group by its port later. Returns 0 or -EINVAL.
 */
export function reuseport_attach_prog(k: Stack, sk: Sk): number {
	if (hlist_unhashed(k.sock.node_pprev, sk)) {
		if (k.sock.skc_reuseport[sk] === 0) return -EINVAL;
		const err = reuseport_alloc(k, sk);
		if (err !== 0) return err;
	}
	const reuse = groupOf(k, sk);
	if (reuse === null) return -EINVAL;
	reuse.prog = true;
	return 0;
}
