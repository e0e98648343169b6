// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Network namespaces: struct net with its sysctls, devices, addresses and routes
 * (include/net/net_namespace.h, include/net/netns/ipv4.h, include/net/netns/ipv6.h,
 * include/linux/inetdevice.h, include/net/if_inet6.h, include/net/ip_fib.h,
 * include/net/ip6_fib.h).
 */

import type { Ifindex } from "../linux/handle.js";
import type { NetDevice } from "../linux/netdevice.js";
import type { ChangeName } from "../linux/version.js";
import type { In6Addr } from "./ipv6.js";
import type { UdpTable } from "./udp.js";

/** The settings of a namespace. Names are those of struct netns_ipv4. */
export interface NetnsIpv4 {
	/** ip_local_port_range, both bounds inclusive. */
	ip_local_ports: { range: [number, number]; warned: boolean };
	/** ip_local_reserved_ports: one bit for each port. */
	sysctl_local_reserved_ports: Uint32Array;
	/** ip_unprivileged_port_start: ports below it need CAP_NET_BIND_SERVICE. */
	sysctl_ip_prot_sock: number;
	sysctl_ip_nonlocal_bind: number;
	sysctl_ip_autobind_reuse: number;
	/** 0 never, 1 always, 2 only over loopback (default). */
	sysctl_tcp_tw_reuse: number;
	/** In ms, since 6.14 (tcp-tw-reuse-delay). */
	sysctl_tcp_tw_reuse_delay: number;
	/** Since 7.1 (port-step-width); 0: off. */
	sysctl_ip_local_port_step_width: number;
	/** Seconds. */
	sysctl_tcp_fin_timeout: number;
	/** Bits TFO_*. */
	sysctl_tcp_fastopen: number;
	sysctl_tcp_l3mdev_accept: number;
	sysctl_udp_l3mdev_accept: number;
	sysctl_tcp_syn_retries: number;
	/** Since 6.5 (tcp-syn-linear-timeouts). Before, there is no such sysctl, and nothing reads the field. */
	sysctl_tcp_syn_linear_timeouts: number;
	sysctl_tcp_max_tw_buckets: number;
	/** Retransmissions of a SYN-ACK. */
	sysctl_tcp_synack_retries: number;
	/** Nothing that the model has depends on it. */
	sysctl_tcp_retries1: number;
	/** Retransmissions of data, and those of an orphan. As C counts them: as time. */
	sysctl_tcp_retries2: number;
	/** 0: 8, or none if the timeout has reached tcp_rto_max. */
	sysctl_tcp_orphan_retries: number;
	/** Seconds. */
	sysctl_tcp_keepalive_time: number;
	sysctl_tcp_keepalive_intvl: number;
	sysctl_tcp_keepalive_probes: number;
	/** A listener whose accept queue is full answers with a RST. */
	sysctl_tcp_abort_on_overflow: number;
	/** A RST does not end TIME_WAIT. */
	sysctl_tcp_rfc1337: number;
	/** Shortest and longest timeout of new sockets, microseconds and ms. Since 6.11, 6.15. */
	sysctl_tcp_rto_min_us: number;
	sysctl_tcp_rto_max_ms: number;
	/** Slots of the UDP table of a namespace that a task of this one makes. 0: the shared table. */
	sysctl_udp_child_hash_entries: number;
}

/** The settings of struct netns_sysctl_ipv6. */
export interface NetnsIpv6 {
	/** New AF_INET6 sockets are IPv6-only. */
	bindv6only: number;
	ip_nonlocal_bind: number;
}

export const IFF_UP = 1;
export const IFF_LOOPBACK = 8;
export const LOOPBACK_IFINDEX = 1;

/** struct in_ifaddr. */
export interface InIfaddr {
	ifa_local: number;
	ifa_prefixlen: number;
	ifa_scope: number;
	/** 0 if none was given. The subnet's broadcast address has a route in any case. */
	ifa_broadcast: number;
	secondary: boolean;
	/**
	 * A number that counts up. Of two equal addresses the one with the greater number is found
	 * (inet_addr_lst).
	 */
	serial: number;
}

/** struct inet6_ifaddr. All addresses are permanent, none is tentative. */
export interface Inet6Ifaddr {
	addr: In6Addr;
	prefix_len: number;
	/** IFA_HOST, IFA_LINK, IFA_SITE or neither: IPV6_ADDR_LOOPBACK, _LINKLOCAL, _SITELOCAL. */
	scope: number;
	deprecated: boolean;
	/** A link-local address from a random MAC address. Its low half is not known. */
	random: boolean;
	/** Its host route in the local table. A device that went away may have removed the route. */
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
 * What answers packets to another host by a route. "blackhole": nothing. "accept": the host accepts
 * connections. "refuse": it refuses them. "unreachable": this kernel answers each packet with
 * ICMPv6 "no route", as for an IPv6 route by way of lo. TCP then takes the answer to the first SYN
 * as a soft error (SO_ERROR returns ENETUNREACH once). It gives up at the answer to the first
 * retransmission, a second later. UDP ignores the answer.
 */
export type RouteAnswer = "blackhole" | "accept" | "refuse" | "unreachable";

/** An IPv4 route of one table. */
export interface FibRoute {
	table: number;
	dst: number;
	plen: number;
	type: number;
	/** The kernel added it for an address (RTPROT_KERNEL). */
	kernel: boolean;
	scope: number;
	/** ifindex of the output device, 0 for blackhole, unreachable and prohibit routes. */
	oif: Ifindex;
	/**
	 * fib_nh_scope: RT_SCOPE_NOWHERE for a local address, RT_SCOPE_LINK or wider for a gateway,
	 * otherwise RT_SCOPE_HOST.
	 */
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
	/** RTF_REJECT: packets are not sent. With RTN_UNICAST on lo the lookup still succeeds. */
	reject: boolean;
	/** ifindex of the output device. It is lo's for blackhole, unreachable and prohibit routes. */
	oif: Ifindex;
	prefsrc: In6Addr | null;
	gateway: In6Addr | null;
	metric: number;
	answer: RouteAnswer;
}

/**
 * Cached results of route lookups. Each is valid while rt_genid equals the genid stored with it.
 */
export interface RtCached {
	/**
	 * The lookup of connect(): destination, source, device, flags and scope, and its result in Net.fl4.
	 */
	connect_genid: number;
	connect: { daddr: number; saddr: number; oif: Ifindex; flow_flags: number; scope: number };
	flow: RtFlow;
	err: number;
	/** The lookup for segments: destination and device, and where they arrive or what answers. */
	segment_genid: number;
	segment: { daddr: number; oif: Ifindex };
	dif: Ifindex;
	local: boolean;
	answer: RouteAnswer;
	/** There is no route, or one that fails (blackhole, unreachable, prohibit). */
	unsent: boolean;
}

/** The result of an IPv4 lookup: fields of struct flowi4 and rtable. */
export interface RtFlow {
	type: number;
	saddr: number;
	daddr: number;
	/** struct flowi_common: the requested output device, and the VRF whose table is used. */
	oif: Ifindex;
	l3mdev: Ifindex;
	/** rt_iif: the device on which a local packet is received. */
	iif: Ifindex;
	answer: RouteAnswer;
}

/** The fields of struct flowi_common that VRFs change. */
export interface FlowiOif {
	/** ifindex of the requested output device, 0 for any. */
	oif: Ifindex;
	/** ifindex of the VRF whose table is used, 0 for none. */
	l3mdev: Ifindex;
}

export interface Flowi6Oif extends FlowiOif {
	readonly daddr: In6Addr;
}

/** The result of an IPv6 lookup: fields of struct flowi6 and rt6_info. */
interface Rt6Flow extends Flowi6Oif {
	readonly saddr: In6Addr;
	type: number;
	/** rt6i_idev: the device of the route, on which a local packet is received. */
	iif: Ifindex;
	answer: RouteAnswer;
}

/**
 * struct ipv6_saddr_dst: the destination of a source address selection. Also the best address so
 * far.
 */
export interface Ipv6SaddrDst {
	readonly addr: In6Addr;
	ifindex: Ifindex;
	scope: number;
	label: number;
	hiscore: Inet6Ifaddr | null;
	/** ifindex of the device of `hiscore`. */
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

/** struct net. `id` counts namespaces from 1. hash_mix is drawn when the namespace is created. */
export interface Net {
	id: number;
	name: string;
	hash_mix: number;
	/** net->ipv4.udp_table: the table of its UDP sockets. */
	udp_table: UdpTable;
	/** k.changes, for functions that have no `k`. */
	readonly changes: ReadonlySet<ChangeName>;
	ipv4: NetnsIpv4;
	ipv6: NetnsIpv6;
	devices: NetDevice[];
	/** IPv4 routes of all tables. Those of one table and prefix are in the kernel's order. */
	routes: FibRoute[];
	/**
	 * net->ipv4.rt_genid: changes with every change of a device, an IPv4 address or an IPv4 route.
	 */
	rt_genid: number;
	/** The route cache of connections (net/ipv4/route.ts), by a hash of the destination. */
	readonly rt_cache: RtCached[];
	/** Whether an address is a source for segments (ipSourceValid): the last answer. */
	readonly source: { genid: number; saddr: number; valid: boolean };
	/** The result of the last route lookup. In C each caller has a struct of its own. */
	readonly fl4: RtFlow;
	readonly fl6: Rt6Flow;
	/** Scratch for lookups that only find where a packet arrives. */
	readonly probe4: FlowiOif;
	readonly probe6: Flowi6Oif;
	/** Scratch for the source address selection. In C it is on the stack. */
	readonly saddr_dst: Ipv6SaddrDst;
	/** InIfaddr.serial of the last address added. */
	last_ifa_serial: number;
	/** The local IPv4 table exists. Its first route creates it. */
	fib_has_local_table?: boolean;
	/** IPv6 routes of all tables. Those of one table and prefix are in the kernel's order. */
	routes6: Fib6Info[];
	/** Number of time-wait sockets of the namespace: tcp_death_row.tw_refcount - 1. */
	tw_count: number;
	/**
	 * net/ipv4/tcp_metrics.c: pairs of source and destination for which a server gave a fast open
	 * cookie.
	 */
	readonly tcp_metrics: Set<string>;
	/** The kernel log: lines that the kernel would print. */
	log: string[];
}
