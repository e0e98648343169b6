// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Network namespaces: struct net with its sysctls, devices, addresses and routes
 * (include/net/net_namespace.h, include/net/netns/ipv4.h, include/net/netns/ipv6.h,
 * include/linux/inetdevice.h, include/net/if_inet6.h, include/net/ip_fib.h,
 * include/net/ip6_fib.h).
 */

import type { Ifindex } from "../linux/handle.js";
import type { ChangeName } from "../linux/version.js";
import type { In6Addr } from "./ipv6.js";
import type { UdpTable } from "./udp.js";

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
	/** ms, since 6.14 (tcp-tw-reuse-delay). */
	sysctl_tcp_tw_reuse_delay: number;
	/** Since 7.1 (port-step-width); 0: off. */
	sysctl_ip_local_port_step_width: number;
	/** Seconds. */
	sysctl_tcp_fin_timeout: number;
	sysctl_tcp_l3mdev_accept: number;
	sysctl_udp_l3mdev_accept: number;
	sysctl_tcp_syn_retries: number;
	sysctl_tcp_max_tw_buckets: number;
	/** Size of the UDP tables of namespaces made by tasks of this one; 0: the shared ones. */
	sysctl_udp_child_hash_entries: number;
}

/** The settings of struct netns_sysctl_ipv6. */
export interface NetnsIpv6 {
	/** AF_INET6 sockets begin as IPV6_V6ONLY. */
	bindv6only: number;
	ip_nonlocal_bind: number;
}

export const IFF_UP = 1;
export const IFF_LOOPBACK = 8;
export const LOOPBACK_IFINDEX = 1;

/**
 * A device: lo, a dummy, or a VRF master (`l3mdev_table` is its routing table). There is
 * no duplicate address detection on any of them.
 */
export interface NetDevice {
	ifindex: Ifindex;
	name: string;
	flags: number;
	/** ifindex of the VRF it is enslaved to, 0 if none. */
	master: number;
	/** Routing table of a VRF master, 0 on other devices. */
	l3mdev_table: number;
	/** Addresses in the order of the kernel's list. */
	ifa_list: InIfaddr[];
	/** IPv6 addresses, in the order of the kernel's list (idev->addr_list). */
	addr_list: Inet6Ifaddr[];
	/** MAC address of a dummy; not given: the random one that the kernel made up. */
	dev_addr?: Uint8Array;
	/** It gets no link-local address of its own (IN6_ADDR_GEN_MODE_NONE). */
	addr_gen_none?: boolean;
}

/** struct in_ifaddr. */
export interface InIfaddr {
	ifa_local: number;
	ifa_prefixlen: number;
	ifa_scope: number;
	/** 0 if none was given; the subnet's own has its route all the same. */
	ifa_broadcast: number;
	secondary: boolean;
	/** Counts up: of two equal addresses that of the greater is found (inet_addr_lst). */
	serial: number;
}

/** struct inet6_ifaddr; permanent, and never tentative. */
export interface Inet6Ifaddr {
	addr: In6Addr;
	prefix_len: number;
	/** IFA_HOST, IFA_LINK, IFA_SITE or neither: IPV6_ADDR_LOOPBACK, _LINKLOCAL, _SITELOCAL. */
	scope: number;
	deprecated: boolean;
	/** The link-local address that a device made of a random MAC: its low half is not known. */
	random: boolean;
	/** Its host route in the table of local addresses, which a lost device may have taken. */
	rt: Fib6Info;
}

export const IFA_HOST = 0x10;
export const IFA_LINK = 0x20;

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

export const RT_TABLE_DEFAULT = 253;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_MULTICAST = 5;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export const RTN_PROHIBIT = 8;

/**
 * What stands behind a route, for destinations that are not of this kernel (DESIGN: the
 * world around). "unreachable": the kernel itself answers each packet with ICMPv6 "no
 * route", as it does behind an IPv6 route by way of lo. TCP learns of the first SYN's
 * answer as a soft error (SO_ERROR says ENETUNREACH once) and gives up when the first
 * retransmission is answered, a second later; UDP learns nothing.
 */
export type RouteAnswer = "blackhole" | "accept" | "refuse" | "unreachable";

/** A route of one table. */
export interface FibRoute {
	table: number;
	dst: number;
	plen: number;
	type: number;
	/** It came with an address (RTPROT_KERNEL). */
	kernel: boolean;
	scope: number;
	/** ifindex of the output device, 0 for blackhole and its kin. */
	oif: Ifindex;
	/** RT_SCOPE_NOWHERE of an own address, LINK or more of a gateway, else HOST (fib_nh_scope). */
	nh_scope: number;
	prefsrc: number;
	gateway: number;
	metric: number;
	answer: RouteAnswer;
}

/** A route of one IPv6 table: struct fib6_info. */
export interface Fib6Info {
	table: number;
	dst: In6Addr;
	plen: number;
	/** RTN_*. */
	type: number;
	/** RTF_REJECT: packets are not sent. Of RTN_UNICAST on lo, where lookups succeed. */
	reject: boolean;
	/** ifindex of the output device; lo's for blackhole and its kin. */
	oif: Ifindex;
	prefsrc: In6Addr | null;
	gateway: In6Addr | null;
	metric: number;
	answer: RouteAnswer;
}

/** Routes that a connection asks for, as found while rt_genid was the one that is noted. */
export interface RtCached {
	/** connect()'s: by destination, source, device and flags; what it leaves in Net.fl4. */
	connect_genid: number;
	connect: { daddr: number; saddr: number; oif: Ifindex; flow_flags: number };
	flow: RtFlow;
	err: number;
	/** Its segments': by destination and device; where they arrive, or what answers. */
	segment_genid: number;
	segment: { daddr: number; oif: Ifindex };
	dif: Ifindex;
	local: boolean;
	answer: RouteAnswer;
}

/** The outcome of a lookup, as struct flowi4 and rtable have it. */
export interface RtFlow {
	type: number;
	saddr: number;
	daddr: number;
	/** Output device that was asked for, and the VRF whose table: struct flowi_common. */
	oif: Ifindex;
	l3mdev: Ifindex;
	/** Device that a local packet counts as received on (rt_iif). */
	iif: Ifindex;
	answer: RouteAnswer;
}

/** The part of a struct flowi that VRFs change: of struct flowi_common. */
export interface FlowiOif {
	/** ifindex of the output device that is asked for, 0 for any. */
	oif: Ifindex;
	/** ifindex of the VRF whose table is asked, 0 for none. */
	l3mdev: Ifindex;
}

export interface Flowi6Oif extends FlowiOif {
	readonly daddr: In6Addr;
}

/** The outcome of an IPv6 lookup, as struct flowi6 and rt6_info have it. */
export interface Rt6Flow extends Flowi6Oif {
	readonly saddr: In6Addr;
	type: number;
	/** Device of the route: a local packet counts as received on it (rt6i_idev). */
	iif: Ifindex;
	answer: RouteAnswer;
}

/** What a source address is chosen for: struct ipv6_saddr_dst; and the best so far (hiscore). */
export interface Ipv6SaddrDst {
	readonly addr: In6Addr;
	ifindex: Ifindex;
	scope: number;
	label: number;
	hiscore: Inet6Ifaddr | null;
	/** ifindex of its device. */
	hiscore_dev: number;
}

export function newSaddrDst(): Ipv6SaddrDst {
	const addr = new Uint32Array(4);
	return { addr, ifindex: 0, scope: 0, label: 0, hiscore: null, hiscore_dev: 0 };
}

export function newFl4(): RtFlow {
	return { type: RTN_UNICAST, saddr: 0, daddr: 0, oif: 0, l3mdev: 0, iif: 0, answer: "blackhole" };
}

export function newFl6(): Rt6Flow {
	return {
		saddr: new Uint32Array(4),
		daddr: new Uint32Array(4),
		oif: 0,
		l3mdev: 0,
		type: RTN_UNICAST,
		iif: 0,
		answer: "blackhole",
	};
}

/** struct net. `id` is its number, from 1; hash_mix is drawn when it is created. */
export interface Net {
	id: number;
	name: string;
	hash_mix: number;
	/** Where its UDP sockets are: net->ipv4.udp_table. */
	udp_table: UdpTable;
	/** Behaviour changes of its kernel, for code that knows the namespace only. */
	readonly changes: ReadonlySet<ChangeName>;
	ipv4: NetnsIpv4;
	ipv6: NetnsIpv6;
	devices: NetDevice[];
	/** IPv4 routes of all tables; those of one table and prefix in the kernel's order. */
	routes: FibRoute[];
	/** Changes with every device, address and route of IPv4: net->ipv4.rt_genid. */
	rt_genid: number;
	/** What connections found last (net/ipv4/route.ts), by a hash of the destination. */
	readonly rt_cache: RtCached[];
	/** What the last lookup of a route found; in C each caller has its own. */
	readonly fl4: RtFlow;
	readonly fl6: Rt6Flow;
	/** The flows of the lookups that ask only where a packet arrives. */
	readonly probe4: FlowiOif;
	readonly probe6: Flowi6Oif;
	/** Of the choice of a source address; in C it is on the stack. */
	readonly saddr_dst: Ipv6SaddrDst;
	/** InIfaddr.serial of the address that was added last. */
	last_ifa_serial: number;
	/** The local table of IPv4 is there, since its first route. */
	fib_has_local_table?: boolean;
	/** IPv6 routes likewise. */
	routes6: Fib6Info[];
	/** Time-wait sockets of the namespace: tcp_death_row.tw_refcount - 1. */
	tw_count: number;
	/** Lines that the kernel would log. */
	log: string[];
}
