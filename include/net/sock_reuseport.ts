// SPDX-License-Identifier: GPL-2.0-or-later
/** Groups of sockets that share a port (include/net/sock_reuseport.h). */

/** max_socks of a new group; it doubles when the group is full. */
export const INIT_SOCKS = 128;

/**
 * struct sock_reuseport. `socks` holds the members in the kernel's order: a member that
 * leaves is replaced by the last one. Closed members exist only with tcp_migrate_req, which
 * the model leaves out, so num_closed_socks stays 0.
 */
export interface SockReuseport {
	socks: number[];
	max_socks: number;
	num_closed_socks: number;
	/**
	 * Counts members that have an sk_incoming_cpu, u16. One that gets it while it is a member
	 * was not counted when it came, but is when it leaves: the count then wraps.
	 */
	incoming_cpu: number;
	/** A member of UDP was connected once; stays set as long as the group lives. */
	has_conns: boolean;
}
