// SPDX-License-Identifier: GPL-2.0-or-later
/** Groups of sockets that share a port (include/net/sock_reuseport.h). */
import type { Sk } from "../linux/handle.js";
import type { Stack } from "./stack.js";

/** max_socks of a new group; it doubles when the group is full. */
export const INIT_SOCKS = 128;

/**
 * struct sock_reuseport. `socks` holds the members in the kernel's order: the last member takes the
 * place of a member that leaves. Closed members exist only with tcp_migrate_req. The model leaves
 * it out, so num_closed_socks stays 0.
 */
export interface SockReuseport {
	socks: number[];
	max_socks: number;
	num_closed_socks: number;
	/**
	 * The number of members with an sk_incoming_cpu, u16. A member that gets it after it joined is
	 * not added when it joins, but is subtracted when it leaves. Then the count wraps.
	 */
	incoming_cpu: number;
	/** A BPF program selects the member. It is not modelled which one it selects. */
	prog: boolean;
	/** A UDP member was connected once. Stays set for the life of the group. */
	has_conns: boolean;
}

/** The group of a sock, null if it is in none. */
export function groupOf(k: Stack, sk: Sk): SockReuseport | null {
	return k.reuseport.get(k.sock.sk_reuseport_cb[sk]) ?? null;
}

/** Whether the group has or had a connected member. Then UDP's lookup scores every sock. */
export function reuseport_has_conns(k: Stack, sk: Sk): boolean {
	return groupOf(k, sk)?.has_conns ?? false;
}
