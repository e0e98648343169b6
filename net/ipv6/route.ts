// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv6/route.c, include/net/ip6_route.h: route lookups over IPv6 with their source addresses,
 * and the checks on a route that is added.
 */
import type { Ifindex } from "../../include/linux/handle.js";
import { type NetDevice, netif_is_l3_master } from "../../include/linux/netdevice.js";
import { RT6_LOOKUP_F_IFACE, rt6_need_strict } from "../../include/net/ip6_route.js";
import {
	type In6Addr,
	IPV6_ADDR_LINKLOCAL,
	IPV6_ADDR_LOOPBACK,
	IPV6_ADDR_MAPPED,
	IPV6_ADDR_MULTICAST,
	IPV6_ADDR_UNICAST,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_equal,
	ipv6_addr_type,
	ipv6_prefix_equal,
} from "../../include/net/ipv6.js";
import {
	type Fib6Info,
	type Flowi6Oif,
	IFF_LOOPBACK,
	IFF_UP,
	LOOPBACK_IFINDEX,
	type Net,
	type RouteAnswer,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
	RTN_BLACKHOLE,
	RTN_LOCAL,
	RTN_PROHIBIT,
	RTN_UNICAST,
	RTN_UNREACHABLE,
} from "../../include/net/net_namespace.js";
import {
	EACCES,
	EHOSTUNREACH,
	EINVAL,
	ENETDOWN,
	ENETUNREACH,
	ENODEV,
	ENOENT,
	ESRCH,
} from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../core/dev.js";
import {
	l3mdev_fib_table_by_index,
	l3mdev_master_ifindex,
	l3mdev_master_ifindex_by_index,
} from "../l3mdev/l3mdev.js";
import { ipv6_chk_addr, ipv6_chk_addr_and_flags, ipv6_dev_get_saddr } from "./addrconf.js";
import { fib6_add, fib6_del, fib6_node_lookup, fib6_rule_lookup, fib6HasTable } from "./ip6_fib.js";

/** Metric of a route that is added without a metric. */
export const IP6_RT_PRIO_USER = 1024;

/** The score of a route, -1 if it cannot be used. All neighbours count as reachable. */
function rt6_score_route(rt: Fib6Info, oif: Ifindex, strict: number): number {
	if (oif === 0 || rt.oif === oif) return 2;
	return (strict & RT6_LOOKUP_F_IFACE) !== 0 ? -1 : 0;
}

/**
 * find_rr_leaf: the best route of one prefix. Considers the routes with the lowest metric first,
 * and the others only if none of those can be used.
 */
function rt6_select(
	net: Net,
	table: number,
	plen: number,
	daddr: In6Addr,
	oif: Ifindex,
	strict: number,
): Fib6Info | null {
	let metric = -1;
	let mpri = -1;
	let found: Fib6Info | null = null;
	for (const rt of net.routes6) {
		if (rt.table !== table || rt.plen !== plen) continue;
		if (!ipv6_prefix_equal(rt.dst, 0, daddr, 0, plen)) continue;
		if (metric === -1) metric = rt.metric;
		else if (rt.metric !== metric && found !== null && found.metric === metric) break;
		const m = rt6_score_route(rt, oif, strict);
		if (m > mpri) {
			mpri = m;
			found = rt;
		}
	}
	return found;
}

/** The device that a local packet is passed to. */
function ip6_rt_get_dev_rcu(net: Net, rt: Fib6Info): NetDevice | null {
	const dev = dev_get_by_index(net, rt.oif);
	if (dev === null || rt.type !== RTN_LOCAL || netif_is_l3_master(dev)) return dev;
	const vrf = rt6_need_strict(rt.dst, 0) ? 0 : dev.master;
	return dev_get_by_index(net, vrf !== 0 ? vrf : LOOPBACK_IFINDEX);
}

/**
 * fib6_prop: the error for packets by a route of this type, a negative errno. 0 if there is none.
 */
function ip6_rt_type_to_error(type: number): number {
	switch (type) {
		case RTN_BLACKHOLE:
			return -EINVAL;
		case RTN_UNREACHABLE:
			return -EHOSTUNREACH;
		case RTN_PROHIBIT:
			return -EACCES;
		default:
			return 0;
	}
}

export function dstError(rt: Fib6Info | null): number {
	return rt === null ? -ENETUNREACH : ip6_rt_type_to_error(rt.type);
}

/** The route of one table with the longest prefix, null if none can be used. */
function fib6_table_lookup(
	net: Net,
	table: number,
	fl6: Flowi6Oif,
	strict: number,
): Fib6Info | null {
	let plen = fib6_node_lookup(net, table, fl6.daddr, 0, 129);
	while (plen !== -1) {
		const rt = rt6_select(net, table, plen, fl6.daddr, fl6.oif, strict);
		if (rt !== null) return rt;
		plen = fib6_node_lookup(net, table, fl6.daddr, 0, plen);
	}
	return null;
}

/** Looks up a route. Multicast and link-local destinations use only the table of the VRF. */
export function ip6_route_output_flags(net: Net, fl6: Flowi6Oif, flags: number): Fib6Info | null {
	const type = ipv6_addr_type(fl6.daddr, 0);
	if ((type & (IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL)) !== 0) {
		const vrf = dev_get_by_index(net, l3mdev_master_ifindex_by_index(net, fl6.oif));
		if (vrf !== null) {
			// vrf_link_scope_lookup: a VRF device has no link of its own.
			if (fl6.oif === vrf.ifindex) return null;
			return fib6_table_lookup(net, vrf.l3mdev_table, fl6, RT6_LOOKUP_F_IFACE);
		}
	}
	return fib6_rule_lookup(net, fl6, flags, fib6_table_lookup);
}

/** Checks an `onlink` gateway. Returns 0, or -EINVAL if a route leads to it in another way. */
function ip6_route_check_nh_onlink(net: Net, cfg: Fib6Config, gateway: In6Addr): number {
	const table = l3mdev_fib_table_by_index(net, cfg.oif) || RT_TABLE_MAIN;
	const rt = fib6_table_lookup(net, table, { daddr: gateway, oif: cfg.oif, l3mdev: 0 }, 0);
	if (rt === null || rt.reject || ipv6_addr_any(rt.dst, 0)) return 0;
	return rt.type === RTN_UNICAST && rt.oif === cfg.oif ? 0 : -EINVAL;
}

/**
 * Selects the source address for a route and stores it in net.fl6.saddr. Returns 0 or
 * -EADDRNOTAVAIL.
 */
export function ip6_route_get_saddr(net: Net, rt: Fib6Info | null): number {
	const { fl6 } = net;
	const dev = rt === null ? null : dev_get_by_index(net, rt.oif);
	const l3mdev = dev_get_by_index(net, fl6.l3mdev);
	const same_vrf =
		l3mdev === null ||
		!net.changes.has("source-address-within-vrf") || // since 6.11, 252442f2ae31
		(dev !== null && l3mdev_master_ifindex(dev) === l3mdev.ifindex);
	if (rt !== null && rt.prefsrc !== null && same_vrf) {
		ipv6_addr_copy(fl6.saddr, 0, rt.prefsrc, 0);
		return 0;
	}
	return ipv6_dev_get_saddr(net, same_vrf ? dev : l3mdev, fl6.daddr, 0, fl6.saddr, 0);
}

function probeRoute(
	net: Net,
	daddr: In6Addr,
	di: number,
	oif: Ifindex,
	l3mdev: Ifindex,
): Fib6Info | null {
	const probe = net.probe6;
	ipv6_addr_copy(probe.daddr, 0, daddr, di);
	probe.oif = oif;
	probe.l3mdev = l3mdev;
	const strict = oif !== 0 || rt6_need_strict(daddr, di);
	return ip6_route_output_flags(net, probe, strict ? RT6_LOOKUP_F_IFACE : 0);
}

/**
 * The route that a packet takes in the end, null if there is none. A VRF looks up a route of its
 * own.
 */
function lastRoute(net: Net, daddr: In6Addr, di: number, oif: Ifindex): Fib6Info | null {
	const probe = net.probe6;
	let rt = probeRoute(net, daddr, di, oif, 0);
	for (let hops = 0; rt !== null && !rt.reject && hops <= net.devices.length; hops++) {
		const dev = ip6_rt_get_dev_rcu(net, rt);
		if (dev === null || (dev.flags & IFF_UP) === 0) return null;
		if (!netif_is_l3_master(dev)) return rt;
		// vrf_process_v6_outbound: a route back to the VRF is local, or the packet is lost.
		if (probe.oif === 0 && probe.l3mdev === dev.ifindex) return rt.type === RTN_LOCAL ? rt : null;
		rt = probeRoute(net, daddr, di, 0, dev.ifindex);
	}
	return rt?.reject ? rt : null;
}

/**
 * The device that receives a packet to a local address. 0 if the address is not local, or if lo (or
 * the VRF) is down. `oif` is the device that the sender is bound to, 0 if none.
 */
export function ip6LocalDeliverIfindex(
	net: Net,
	daddr: In6Addr,
	di: number,
	oif: Ifindex,
): Ifindex {
	const rt = lastRoute(net, daddr, di, oif);
	return rt?.type === RTN_LOCAL ? rt.oif : 0;
}

/** The answer of the host that the route to an address leads to. */
export function ip6RemoteAnswer(net: Net, daddr: In6Addr, di: number, oif: Ifindex): RouteAnswer {
	return lastRoute(net, daddr, di, oif)?.answer ?? "blackhole";
}

/**
 * include/linux/ipv6.h: inet6_sdif. The VRF that a packet to an address came through on device
 * `dif`, 0 if none.
 */
export function inet6_sdif(net: Net, daddr: In6Addr, di: number, dif: Ifindex): Ifindex {
	return rt6_need_strict(daddr, di) ? 0 : l3mdev_master_ifindex_by_index(net, dif);
}

/** struct fib6_config: a route to add. `oif` is 0 if no device was given. */
interface Fib6Config extends Omit<Fib6Info, "reject" | "answer"> {
	/** Existing routes need not reach the gateway. */
	onlink: boolean;
	/** Default: "unreachable" for a route by way of lo, otherwise "blackhole". */
	answer?: RouteAnswer;
	/** fc_ignore_dev_down: the device may be down. Set for the route of a local address. */
	ignore_dev_down?: boolean;
}

/** What the route of an address does not have. */
export const NO_ROUTE_OPTIONS = { prefsrc: null, gateway: null, onlink: false } as const;

/**
 * The device to a gateway. Existing routes must reach it without another gateway, otherwise
 * -EHOSTUNREACH.
 */
function ip6_route_check_nh(net: Net, cfg: Fib6Config, gateway: In6Addr): number {
	const fl6 = { daddr: gateway, oif: cfg.oif, l3mdev: 0 };
	const direct = (rt: Fib6Info | null) => rt !== null && !rt.reject && rt.gateway === null;
	let rt = fib6_table_lookup(net, cfg.table, fl6, RT6_LOOKUP_F_IFACE);
	if (!direct(rt) || (cfg.oif !== 0 && rt?.oif !== cfg.oif)) {
		rt = fib6_rule_lookup(net, fl6, RT6_LOOKUP_F_IFACE, fib6_table_lookup);
	}
	if (rt === null || !direct(rt) || (cfg.oif !== 0 && rt.oif !== cfg.oif)) return -EHOSTUNREACH;
	return rt.oif;
}

/** Checks the gateway of a route. Returns the device to it or a negative errno. */
function ip6_validate_gw(net: Net, cfg: Fib6Config, gateway: In6Addr): number {
	const type = ipv6_addr_type(gateway, 0);
	const linklocal = type === (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_UNICAST);
	const isOwn = (dev: NetDevice | null) =>
		dev !== null && ipv6_chk_addr_and_flags(net, gateway, 0, dev, !linklocal, false);
	let { oif } = cfg;
	if (isOwn(dev_get_by_index(net, oif))) return -EINVAL;
	if (!linklocal) {
		if ((type & (IPV6_ADDR_UNICAST | IPV6_ADDR_MAPPED)) === 0) return -EINVAL;
		if (cfg.onlink) {
			const err = ip6_route_check_nh_onlink(net, cfg, gateway);
			if (err !== 0) return err;
		} else {
			oif = ip6_route_check_nh(net, cfg, gateway);
			if (oif < 0) return oif;
		}
	}
	const dev = dev_get_by_index(net, oif);
	if (dev === null || (dev.flags & IFF_LOOPBACK) !== 0 || isOwn(dev)) return -EINVAL;
	return oif;
}

/**
 * Checks a route before it is added and sets its device. Returns the route, or -ENODEV, -ENETDOWN,
 * -EINVAL (wrong gateway or source), -EHOSTUNREACH (no route to the gateway).
 */
function ip6_route_info_create(net: Net, cfg: Fib6Config): Fib6Info | number {
	const { onlink, ignore_dev_down, ...route } = cfg;
	let { oif, gateway } = cfg;
	const named = dev_get_by_index(net, oif);
	if (named === null && (oif !== 0 || onlink)) return -ENODEV;
	if (onlink && named !== null && (named.flags & IFF_UP) === 0) return -ENETDOWN;
	let reject = ip6_rt_type_to_error(cfg.type) !== 0;
	let answer = cfg.answer ?? "blackhole";
	if (reject) {
		oif = LOOPBACK_IFINDEX;
		gateway = null;
	} else {
		if (gateway !== null) {
			oif = ip6_validate_gw(net, cfg, gateway);
			if (oif < 0) return oif;
		}
		const dev = dev_get_by_index(net, oif);
		if (dev === null) return -ENODEV;
		if ((dev.flags & IFF_UP) === 0 && ignore_dev_down !== true) return -ENETDOWN;
		// fib6_is_reject: a route by way of lo would loop packets.
		if (
			(dev.flags & IFF_LOOPBACK) !== 0 &&
			cfg.type !== RTN_LOCAL &&
			(ipv6_addr_type(cfg.dst, 0) & IPV6_ADDR_LOOPBACK) === 0
		) {
			reject = true;
			answer = cfg.answer ?? "unreachable";
		}
	}
	if (cfg.prefsrc !== null && !ipv6_chk_addr(net, cfg.prefsrc, 0, oif, false)) return -EINVAL;
	return { ...route, oif, gateway, reject, answer };
}

/** Adds a route. Returns 0 or an error of ip6_route_info_create or fib6_add. */
export function ip6_route_add(
	net: Net,
	cfg: Fib6Config,
	mode: "exclusive" | "append" | "replace",
): number {
	const rt = ip6_route_info_create(net, cfg);
	return typeof rt === "number" ? rt : fib6_add(net, rt, mode);
}

/**
 * Deletes the first route of a prefix that matches. Metric 0, oif 0 and a null gateway match any
 * value. Returns 0 or -ESRCH, -ENOENT for a default route.
 */
export function ip6_route_del(
	net: Net,
	table: number,
	dst: In6Addr,
	plen: number,
	metric: number,
	oif: Ifindex,
	gateway: In6Addr | null,
): number {
	let empty = plen === 0;
	for (const rt of net.routes6) {
		if (rt.table !== table || rt.plen !== plen || !ipv6_addr_equal(rt.dst, 0, dst, 0)) continue;
		empty = false;
		if (metric !== 0 && rt.metric !== metric) continue;
		if (oif !== 0 && rt.oif !== oif) continue;
		if (gateway !== null && (rt.gateway === null || !ipv6_addr_equal(rt.gateway, 0, gateway, 0))) {
			continue;
		}
		fib6_del(net, rt);
		return 0;
	}
	// The root of a table without a default route has an entry on lo.
	const any = metric === 0 && (oif === 0 || oif === LOOPBACK_IFINDEX) && gateway === null;
	return empty && any && fib6HasTable(net, table) ? -ENOENT : -ESRCH;
}

/** Makes the host route of an address for the local table. Returns it or a negative errno. */
export function addrconf_f6i_alloc(net: Net, dev: NetDevice, addr: In6Addr): Fib6Info | number {
	return ip6_route_info_create(net, {
		...NO_ROUTE_OPTIONS,
		table: l3mdev_fib_table_by_index(net, dev.ifindex) || RT_TABLE_LOCAL,
		dst: addr,
		plen: 128,
		type: RTN_LOCAL,
		oif: dev.ifindex,
		metric: 0,
		ignore_dev_down: true,
	});
}

/** Removes a deleted address as preferred source of routes. */
export function rt6_remove_prefsrc(net: Net, dev: NetDevice, addr: In6Addr): void {
	const everywhere = net.changes.has("prefsrc-removed-on-every-device"); // since 6.6, b358f57f7db6
	for (const rt of net.routes6) {
		if (rt.prefsrc === null || !ipv6_addr_equal(rt.prefsrc, 0, addr, 0)) continue;
		const gone = everywhere ? !ipv6_chk_addr(net, addr, 0, rt.oif, false) : rt.oif === dev.ifindex;
		if (gone) rt.prefsrc = null;
	}
}
