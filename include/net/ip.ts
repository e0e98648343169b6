// SPDX-License-Identifier: GPL-2.0-or-later
/** Ports by the sysctls of a namespace, and local addresses (include/net/ip.h). */
import type { Port, Sk } from "../linux/handle.js";
import { jhash_1word } from "../linux/jhash.js";
import { AF_INET6 } from "../linux/socket.js";
import { swab32 } from "../uapi/linux/swab.js";
import type { Net } from "./net_namespace.js";
import type { Stack } from "./stack.js";

export function inet_is_local_reserved_port(net: Net, port: Port): boolean {
	return (net.ipv4.sysctl_local_reserved_ports[port >>> 5] & (1 << (port & 31))) !== 0;
}

export function inet_port_requires_bind_service(net: Net, port: Port): boolean {
	return port < net.ipv4.sysctl_ip_prot_sock;
}

/** Sets the local address to the wildcard. */
export function inet_reset_saddr(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.skc_rcv_saddr[sk] = 0;
	S.inet_saddr[sk] = 0;
	if (S.skc_family[sk] === AF_INET6) {
		S.np_saddr.fill(0, sk * 4, sk * 4 + 4);
		S.skc_v6_rcv_saddr.fill(0, sk * 4, sk * 4 + 4);
	}
}

/** Hash of (address, port) for bhash2 and lhash2. */
export function ipv4_portaddr_hash(net: Net, saddr: number, port: Port): number {
	return (jhash_1word(swab32(saddr), net.hash_mix) ^ port) >>> 0;
}
