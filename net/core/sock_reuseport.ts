// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/core/sock_reuseport.c: groups of listeners that share a port. Closed members
 * (tcp_migrate_req) and BPF selection are left out.
 */
import { reciprocal_scale } from "../../include/linux/math.js";
import type { SockReuseport } from "../../include/net/sock_reuseport.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import { EBUSY } from "../../include/uapi/asm-generic/errno.js";

function group(k: Stack, sk: number): SockReuseport | null {
	return k.reuseport.get(k.sock.sk_reuseport_cb[sk]) ?? null;
}

/** A group of one. */
export function reuseport_alloc(k: Stack, sk: number, bind_inany: boolean): number {
	const reuse = group(k, sk);
	if (reuse !== null) {
		// Only set, never cleared: the bind path may have set it before.
		if (bind_inany) reuse.bind_inany = true;
		return 0;
	}
	const id = k.next_reuseport_id++;
	k.reuseport.set(id, { socks: [sk], num_closed_socks: 0, bind_inany });
	k.sock.sk_reuseport_cb[sk] = id;
	return 0;
}

/** Adds sk to the group of sk2, which gets one if it has none. */
export function reuseport_add_sock(k: Stack, sk: number, sk2: number, bind_inany: boolean): number {
	if (group(k, sk2) === null) reuseport_alloc(k, sk2, bind_inany);
	const reuse = group(k, sk2);
	const old_id = k.sock.sk_reuseport_cb[sk];
	const old_reuse = group(k, sk);
	if (reuse === null || (old_reuse !== null && old_reuse.socks.length !== 1)) return -EBUSY;
	reuse.socks.push(sk);
	k.sock.sk_reuseport_cb[sk] = k.sock.sk_reuseport_cb[sk2];
	if (old_reuse !== null) k.reuseport.delete(old_id);
	return 0;
}

export function reuseport_detach_sock(k: Stack, sk: number): void {
	const id = k.sock.sk_reuseport_cb[sk];
	const reuse = group(k, sk);
	if (reuse === null) return;
	k.sock.sk_reuseport_cb[sk] = 0;
	const index = reuse.socks.indexOf(sk);
	if (index !== -1) {
		const last = reuse.socks.pop();
		if (last !== undefined && index < reuse.socks.length) reuse.socks[index] = last;
	}
	if (reuse.socks.length === 0) k.reuseport.delete(id);
}

/** With tcp_migrate_req off, a member that stops listening leaves at once. */
export function reuseport_stop_listen_sock(k: Stack, sk: number): void {
	reuseport_detach_sock(k, sk);
}

/** The member that a hash picks; 0 if the socket has no group. */
export function reuseport_select_sock(k: Stack, sk: number, hash: number): number {
	const reuse = group(k, sk);
	if (reuse === null) return 0;
	const num_socks = reuse.socks.length;
	const start = reciprocal_scale(hash, num_socks);
	let i = start;
	do {
		const member = reuse.socks[i];
		if (k.sock.skc_state[member] !== TCP_ESTABLISHED) return member;
		i++;
		if (i >= num_socks) i = 0;
	} while (i !== start);
	return 0;
}
