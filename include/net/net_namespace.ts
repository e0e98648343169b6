// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Network namespaces: struct net with its IPv4 sysctls, devices, addresses and routes
 * (include/net/net_namespace.h, include/net/netns/ipv4.h, include/linux/inetdevice.h,
 * include/net/ip_fib.h).
 */

/** Namespace-wide settings, named as struct netns_ipv4 names them. */
export interface NetnsIpv4 {
	/** ip_local_port_range, both bounds inclusive. */
	ip_local_ports: { range: [number, number]; warned: boolean };
	/** ip_local_reserved_ports: one bit a port. */
	sysctl_local_reserved_ports: Uint32Array;
	/** ip_unprivileged_port_start: ports below it need CAP_NET_BIND_SERVICE. */
	sysctl_ip_prot_sock: number;
	sysctl_ip_nonlocal_bind: number;
	sysctl_ip_autobind_reuse: number;
	/** 0 never, 1 always, 2 over loopback only (the default). */
	sysctl_tcp_tw_reuse: number;
	/** Seconds. */
	sysctl_tcp_fin_timeout: number;
	sysctl_tcp_l3mdev_accept: number;
	sysctl_tcp_syn_retries: number;
	sysctl_tcp_max_tw_buckets: number;
}

export const IFF_UP = 1;
export const IFF_LOOPBACK = 8;
export const LOOPBACK_IFINDEX = 1;

/** A device: lo, a dummy, or a VRF master (`l3mdev_table` is its routing table). */
export interface NetDevice {
	ifindex: number;
	name: string;
	flags: number;
	/** ifindex of the VRF it is enslaved to, 0 if none. */
	master: number;
	/** Routing table of a VRF master, 0 on other devices. */
	l3mdev_table: number;
	/** Addresses in the order of the kernel's list. */
	ifa_list: InIfaddr[];
}

/** struct in_ifaddr. */
export interface InIfaddr {
	ifa_local: number;
	ifa_prefixlen: number;
	ifa_scope: number;
	secondary: boolean;
}

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_MULTICAST = 5;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export const RTN_PROHIBIT = 8;

/** What stands behind a route, for destinations that are not of this kernel (DESIGN: the world around). */
export type RouteAnswer = "blackhole" | "accept" | "refuse";

/** A route of one table. */
export interface FibRoute {
	table: number;
	dst: number;
	plen: number;
	type: number;
	scope: number;
	/** ifindex of the output device, 0 for blackhole and its kin. */
	oif: number;
	prefsrc: number;
	gateway: number;
	metric: number;
	answer: RouteAnswer;
}

/** struct net. `id` is its number, from 1; hash_mix is drawn when it is created. */
export interface Net {
	id: number;
	name: string;
	hash_mix: number;
	ipv4: NetnsIpv4;
	devices: NetDevice[];
	/** Routes that were added by hand. */
	routes: FibRoute[];
	/** Routes that follow from addresses. */
	address_routes: FibRoute[];
	/** Time-wait sockets of the namespace: tcp_death_row.tw_refcount - 1. */
	tw_count: number;
	/** Lines that the kernel would log. */
	log: string[];
}
