// SPDX-License-Identifier: GPL-2.0-or-later
/** Groups of sockets that share a port (include/net/sock_reuseport.h). */

/**
 * struct sock_reuseport. `socks` holds the listening members in the kernel's order: a
 * member that leaves is replaced by the last one. Closed members exist only with
 * tcp_migrate_req, which the model leaves out, so num_closed_socks stays 0.
 */
export interface SockReuseport {
	socks: number[];
	num_closed_socks: number;
	bind_inany: boolean;
}
