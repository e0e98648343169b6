// SPDX-License-Identifier: GPL-2.0-or-later
/** Checks of ports and addresses by the sysctls of a namespace (include/net/ip.h, inet_sock.h). */
import type { Port } from "../linux/handle.js";
import { INADDR_ANY } from "../uapi/linux/in.js";
import { type Net, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from "./net_namespace.js";
import { INET_FREEBIND, INET_TRANSPARENT } from "./sock.js";

export function inet_is_local_reserved_port(net: Net, port: Port): boolean {
	return (net.ipv4.sysctl_local_reserved_ports[port >>> 5] & (1 << (port & 31))) !== 0;
}

export function inet_port_requires_bind_service(net: Net, port: Port): boolean {
	return port < net.ipv4.sysctl_ip_prot_sock;
}

/**
 * include/net/inet_sock.h: inet_addr_valid_or_nonlocal. Whether bind() accepts an address of this
 * type.
 */
export function inet_addr_valid_or_nonlocal(
	net: Net,
	inet_flags: number,
	addr: number,
	addr_type: number,
): boolean {
	return (
		net.ipv4.sysctl_ip_nonlocal_bind !== 0 ||
		(inet_flags & (INET_FREEBIND | INET_TRANSPARENT)) !== 0 ||
		addr === INADDR_ANY ||
		addr_type === RTN_LOCAL ||
		addr_type === RTN_MULTICAST ||
		addr_type === RTN_BROADCAST
	);
}
