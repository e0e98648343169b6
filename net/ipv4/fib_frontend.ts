// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/fib_frontend.c, fib_semantics.c, fib_trie.c, fib_rules.c: IPv4 routes, the routes that
 * belong to addresses, the type of an address, and route lookups.
 */
import type { Ifindex } from "../../include/linux/handle.js";
import { ipv4_is_lbcast, ipv4_is_multicast, ipv4_is_zeronet } from "../../include/linux/in.js";
import {
	type FibRoute,
	type FlowiOif,
	IFF_LOOPBACK,
	IFF_UP,
	type InIfaddr,
	type Net,
	type NetDevice,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RT_SCOPE_NOWHERE,
	RT_TABLE_DEFAULT,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
	RTN_BLACKHOLE,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
	RTN_PROHIBIT,
	RTN_UNICAST,
	RTN_UNREACHABLE,
} from "../../include/net/net_namespace.js";
import {
	EACCES,
	EAGAIN,
	EEXIST,
	EHOSTUNREACH,
	EINVAL,
	ENETDOWN,
	ENETUNREACH,
	ENODEV,
	ESRCH,
} from "../../include/uapi/asm-generic/errno.js";
import {
	dev_get_by_index,
	fib_has_custom_rules,
	l3mdev_fib_table_by_index,
	l3mdev_update_flow,
} from "../l3mdev/l3mdev.js";
import { inet_ifa_match, inet_make_mask } from "./devinet.js";
import { rt_cache_flush } from "./route.js";

/** fib_props: the error of a lookup that finds a route of this type, 0 if the route can be used. */
function fibPropsError(type: number): number {
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

/** struct fib_config: a route to add. */
export type FibConfig = Omit<FibRoute, "nh_scope">;

/**
 * Checks a route and sets the scope and the device of its next hop. Returns the route or a negative
 * errno.
 */
function fib_create_info(net: Net, cfg: FibConfig, onlink: boolean): FibRoute | number {
	const route: FibRoute = { ...cfg, nh_scope: RT_SCOPE_NOWHERE };
	if (cfg.type === RTN_LOCAL && cfg.scope < RT_SCOPE_HOST) return -EINVAL;
	if (fibPropsError(cfg.type) !== 0) {
		return cfg.oif !== 0 || cfg.gateway !== 0 ? -EINVAL : route;
	}
	if (cfg.scope > RT_SCOPE_HOST) return -EINVAL;
	if (cfg.scope === RT_SCOPE_HOST) {
		// A route to a local address. Its device may be down.
		if (cfg.gateway !== 0) return -EINVAL;
		if (dev_get_by_index(net, cfg.oif) === null) return -ENODEV;
	} else {
		const err =
			cfg.gateway !== 0
				? fib_check_nh_v4_gw(net, route, onlink)
				: fib_check_nh_nongw(net, route, onlink);
		if (err !== 0) return err;
	}
	if (cfg.prefsrc !== 0 && !fib_valid_prefsrc(net, cfg)) return -EINVAL;
	return route;
}

function fib_check_nh_nongw(net: Net, route: FibRoute, onlink: boolean): number {
	if (onlink) return -EINVAL;
	const dev = dev_get_by_index(net, route.oif);
	if (dev === null) return -ENODEV;
	if ((dev.flags & IFF_UP) === 0) return -ENETDOWN;
	route.nh_scope = RT_SCOPE_HOST;
	return 0;
}

/**
 * Checks the gateway of a route. Existing routes must reach it without another gateway, unless the
 * route is `onlink`. Returns 0 or a negative errno.
 */
function fib_check_nh_v4_gw(net: Net, route: FibRoute, onlink: boolean): number {
	if (onlink) {
		if (route.scope >= RT_SCOPE_LINK) return -EINVAL;
		const dev = dev_get_by_index(net, route.oif);
		if (dev === null) return -ENODEV;
		if ((dev.flags & IFF_UP) === 0) return -ENETDOWN;
		const table = l3mdev_fib_table_by_index(net, route.oif) || RT_TABLE_LOCAL;
		if (inet_addr_type_table(net, route.gateway, table) !== RTN_UNICAST) return -EINVAL;
		route.nh_scope = RT_SCOPE_LINK;
		return 0;
	}
	const scope = Math.max(route.scope + 1, RT_SCOPE_LINK);
	let res: FibRoute | number = -EAGAIN;
	if (route.table !== RT_TABLE_MAIN) {
		res = fib_table_lookup(net, route.table, route.gateway, route.oif, scope);
	}
	if (typeof res === "number") {
		res = fib_lookup(net, route.gateway, { oif: route.oif, l3mdev: 0 }, scope);
	}
	if (typeof res === "number") return res;
	if (res.type !== RTN_UNICAST && res.type !== RTN_LOCAL) return -EINVAL;
	const dev = dev_get_by_index(net, res.oif);
	if (dev === null) return -EINVAL;
	route.nh_scope = res.scope;
	route.oif = res.oif;
	return (dev.flags & IFF_UP) !== 0 ? 0 : -ENETDOWN;
}

function fib_valid_prefsrc(net: Net, cfg: FibConfig): boolean {
	if (cfg.type === RTN_LOCAL && cfg.dst !== 0 && cfg.prefsrc === cfg.dst) return true;
	const table = cfg.table === RT_TABLE_MAIN ? RT_TABLE_LOCAL : cfg.table;
	return (
		inet_addr_type_table(net, cfg.prefsrc, table) === RTN_LOCAL ||
		inet_addr_type_table(net, cfg.prefsrc, RT_TABLE_LOCAL) === RTN_LOCAL
	);
}

function sameInfo(route: FibRoute, other: FibRoute): boolean {
	return (
		route.type === other.type &&
		route.kernel === other.kernel &&
		route.scope === other.scope &&
		route.prefsrc === other.prefsrc &&
		route.oif === other.oif &&
		route.gateway === other.gateway
	);
}

/**
 * Adds a route. "exclusive": fails if there is a route of the same prefix and metric. "append":
 * puts the route after those. "replace": puts it in the place of the first of those. Returns 0 or a
 * negative errno.
 */
export function fib_table_insert(
	net: Net,
	cfg: FibConfig,
	mode: "exclusive" | "append" | "replace",
	onlink = false,
): number {
	if (cfg.table === RT_TABLE_LOCAL) net.fib_has_local_table = true;
	const route = fib_create_info(net, cfg, onlink);
	if (typeof route === "number") return route;
	const { routes } = net;
	let at = routes.length;
	let first = -1;
	for (const [index, other] of routes.entries()) {
		if (other.table !== route.table || other.dst !== route.dst || other.plen !== route.plen) {
			continue;
		}
		if (other.metric > route.metric) {
			at = Math.min(at, index);
			break;
		}
		if (other.metric < route.metric) continue;
		if (mode === "exclusive") return -EEXIST;
		if (mode === "append" && sameInfo(route, other)) return -EEXIST;
		if (mode === "replace" && first !== -1 && sameInfo(route, other)) return -EEXIST;
		if (first === -1) first = index;
		at = index + 1;
	}
	if (mode === "replace" && first !== -1) routes[first] = route;
	else routes.splice(at, 0, route);
	rt_cache_flush(net);
	return 0;
}

/** Describes a route to delete. A field that is not given matches any value. */
export type FibPattern = Pick<FibRoute, "table" | "dst" | "plen"> & Partial<FibRoute>;

/** Deletes the first route that matches. Returns 0 or -ESRCH. */
export function fib_table_delete(net: Net, pattern: FibPattern): number {
	const index = net.routes.findIndex((route) =>
		Object.entries(pattern).every(([key, value]) => route[key as keyof FibRoute] === value),
	);
	if (index === -1) return -ESRCH;
	net.routes.splice(index, 1);
	rt_cache_flush(net);
	return 0;
}

/** Adds or deletes a route that belongs to an address. Ignores errors, as C does. */
function fib_magic(
	net: Net,
	dev: NetDevice,
	add: boolean,
	type: number,
	dst: number,
	plen: number,
	prim: InIfaddr,
): void {
	const table =
		l3mdev_fib_table_by_index(net, dev.ifindex) ||
		(type === RTN_UNICAST ? RT_TABLE_MAIN : RT_TABLE_LOCAL);
	const route = {
		table,
		dst,
		plen,
		type,
		kernel: true,
		scope: type === RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
		oif: dev.ifindex,
		prefsrc: prim.ifa_local,
	};
	if (!add) fib_table_delete(net, route);
	else fib_table_insert(net, { ...route, gateway: 0, metric: 0, answer: "blackhole" }, "append");
}

/** net/ipv4/devinet.c: inet_ifa_byprefix. The primary address of a subnet. */
function inet_ifa_byprefix(dev: NetDevice, prefix: number, plen: number): InIfaddr | undefined {
	return dev.ifa_list.find(
		(ifa) => ifa.ifa_prefixlen === plen && inet_ifa_match(prefix, ifa.ifa_local, plen),
	);
}

/**
 * Adds the routes of an address: to the address itself and, if its device is up, to its subnet
 * (local on lo, on-link on other devices) and to the broadcast addresses.
 */
export function fib_add_ifaddr(net: Net, dev: NetDevice, ifa: InIfaddr): void {
	const { ifa_local: addr, ifa_prefixlen: plen, ifa_broadcast: broadcast } = ifa;
	const mask = inet_make_mask(plen);
	const prefix = (addr & mask) >>> 0;
	const prim = ifa.secondary ? inet_ifa_byprefix(dev, prefix, plen) : ifa;
	if (prim === undefined) return;
	fib_magic(net, dev, true, RTN_LOCAL, addr, 32, prim);
	if ((dev.flags & IFF_UP) === 0) return;
	if (broadcast !== 0 && !ipv4_is_lbcast(broadcast)) {
		fib_magic(net, dev, true, RTN_BROADCAST, broadcast, 32, prim);
	}
	if (ipv4_is_zeronet(prefix) || ifa.secondary || (prefix === addr && plen === 32)) return;
	const type = (dev.flags & IFF_LOOPBACK) !== 0 ? RTN_LOCAL : RTN_UNICAST;
	fib_magic(net, dev, true, type, prefix, plen, prim);
	if (plen < 31) fib_magic(net, dev, true, RTN_BROADCAST, (prefix | ~mask) >>> 0, 32, prim);
}

/** Deletes the routes of an address that was removed, unless another address needs them. */
export function fib_del_ifaddr(net: Net, dev: NetDevice, ifa: InIfaddr): void {
	const { ifa_local: addr, ifa_prefixlen: plen } = ifa;
	const mask = inet_make_mask(plen);
	const any = (addr & mask) >>> 0;
	const brd = (addr | ~mask) >>> 0;
	let prim: InIfaddr | undefined = ifa;
	let subnet = false;
	if (ifa.secondary) {
		prim = inet_ifa_byprefix(dev, any, plen);
		if (prim === undefined) return;
	} else if (!ipv4_is_zeronet(any) && (any !== addr || plen < 32)) {
		const type = (dev.flags & IFF_LOOPBACK) !== 0 ? RTN_LOCAL : RTN_UNICAST;
		fib_magic(net, dev, false, type, any, plen, prim);
		subnet = true;
	}

	let local_ok = false;
	let brd_ok = false;
	let brd0_ok = false;
	let brd1_ok = false;
	// Whether another primary address equals the deleted one.
	let same_prefsrc = false;
	let prim1: InIfaddr | undefined;
	for (const ifa1 of dev.ifa_list) {
		if (ifa1.secondary) {
			const its_plen = prim.ifa_prefixlen;
			if (
				ifa1.ifa_prefixlen === its_plen &&
				inet_ifa_match(ifa1.ifa_local, prim.ifa_local, its_plen)
			) {
				prim1 = prim;
			} else {
				if (!same_prefsrc) continue;
				const { ifa_local, ifa_prefixlen } = ifa1;
				if (
					prim1 === undefined ||
					ifa_prefixlen !== prim1.ifa_prefixlen ||
					!inet_ifa_match(ifa_local, prim1.ifa_local, ifa_prefixlen)
				) {
					prim1 = inet_ifa_byprefix(dev, ifa_local, ifa_prefixlen);
				}
				if (prim1?.ifa_local !== prim.ifa_local) continue;
			}
		} else {
			if (prim.ifa_local !== ifa1.ifa_local) continue;
			prim1 = ifa1;
			if (prim !== prim1) same_prefsrc = true;
		}
		if (addr === ifa1.ifa_local) local_ok = true;
		if (ifa.ifa_broadcast === ifa1.ifa_broadcast) brd_ok = true;
		if (brd === ifa1.ifa_broadcast) brd1_ok = true;
		if (any === ifa1.ifa_broadcast) brd0_ok = true;
		if (prim1 === ifa1 && ifa1.ifa_prefixlen < 31) {
			const mask1 = inet_make_mask(ifa1.ifa_prefixlen);
			const any1 = (ifa1.ifa_local & mask1) >>> 0;
			const brd1 = (ifa1.ifa_local | ~mask1) >>> 0;
			if (ipv4_is_zeronet(any1)) continue;
			if (ifa.ifa_broadcast === brd1 || ifa.ifa_broadcast === any1) brd_ok = true;
			if (brd === brd1 || brd === any1) brd1_ok = true;
			if (any === brd1 || any === any1) brd0_ok = true;
		}
	}
	if (!brd_ok) fib_magic(net, dev, false, RTN_BROADCAST, ifa.ifa_broadcast, 32, prim);
	if (subnet && plen < 31) {
		if (!brd1_ok) fib_magic(net, dev, false, RTN_BROADCAST, brd, 32, prim);
		if (!brd0_ok) fib_magic(net, dev, false, RTN_BROADCAST, any, 32, prim);
	}
	if (local_ok) return;
	fib_magic(net, dev, false, RTN_LOCAL, addr, 32, prim);
	const table = l3mdev_fib_table_by_index(net, dev.ifindex);
	if (inet_addr_type_table(net, addr, table || RT_TABLE_LOCAL) !== RTN_LOCAL) {
		fib_sync_down_addr(net, table || RT_TABLE_MAIN, addr);
	}
}

/** Deletes the routes whose preferred source address is removed. */
function fib_sync_down_addr(net: Net, table: number, local: number): void {
	net.routes = net.routes.filter((route) => route.table !== table || route.prefsrc !== local);
	rt_cache_flush(net);
}

/**
 * Deletes the routes of a device that goes down, but not the routes to its addresses. With `force`
 * it deletes those as well: if the device changes its VRF or has no address left.
 */
export function fib_disable_ip(net: Net, dev: NetDevice, force: boolean): void {
	net.routes = net.routes.filter(
		(route) => route.oif !== dev.ifindex || (!force && route.nh_scope === RT_SCOPE_NOWHERE),
	);
	rt_cache_flush(net);
}

/**
 * The best route of one table: the longest prefix, then the lowest metric. Returns a negative errno
 * otherwise, -EAGAIN if there is no route. `oif` is the output device, 0 for any. `scope` is the
 * widest scope allowed.
 */
export function fib_table_lookup(
	net: Net,
	table: number,
	daddr: number,
	oif: Ifindex,
	scope: number,
): FibRoute | number {
	// Without rules the local table and the main table are merged.
	const merged =
		(table === RT_TABLE_LOCAL || table === RT_TABLE_MAIN) && !fib_has_custom_rules(net);
	let best: FibRoute | null = null;
	for (const route of net.routes) {
		if (route.table !== table && !(merged && (route.table | 1) === RT_TABLE_LOCAL)) continue;
		if (((route.dst ^ daddr) & inet_make_mask(route.plen)) !== 0) continue;
		if (route.scope < scope) continue;
		// Blackhole, unreachable and prohibit routes have no device to compare.
		if (oif !== 0 && route.oif !== 0 && route.oif !== oif) continue;
		if (
			best === null ||
			route.plen > best.plen ||
			(route.plen === best.plen &&
				(route.table > best.table || (route.table === best.table && route.metric < best.metric)))
		) {
			best = route;
		}
	}
	if (best === null) return -EAGAIN;
	const err = fibPropsError(best.type);
	return err < 0 ? err : best;
}

/**
 * include/net/ip_fib.h: fib_lookup. The route to an address in the tables that the rules name, or a
 * negative errno. Sets the VRF of the flow. If the output device is a VRF, sets it to 0.
 */
export function fib_lookup(
	net: Net,
	daddr: number,
	fl: FlowiOif,
	scope: number,
): FibRoute | number {
	let res: FibRoute | number = -EAGAIN;
	if (fib_has_custom_rules(net)) {
		l3mdev_update_flow(net, fl);
		res = fib_table_lookup(net, RT_TABLE_LOCAL, daddr, fl.oif, scope);
		if (res === -EAGAIN && fl.l3mdev !== 0) {
			const table = l3mdev_fib_table_by_index(net, fl.l3mdev);
			res = fib_table_lookup(net, table, daddr, fl.oif, scope);
		}
	}
	if (res === -EAGAIN) res = fib_table_lookup(net, RT_TABLE_MAIN, daddr, fl.oif, scope);
	if (res === -EAGAIN) res = fib_table_lookup(net, RT_TABLE_DEFAULT, daddr, fl.oif, scope);
	return res === -EAGAIN ? -ENETUNREACH : res;
}

/**
 * inet_addr_type_table, __inet_dev_addr_type: the type of an address in this namespace, RTN_*. In a
 * namespace that never had an IPv4 address every unicast address is RTN_BROADCAST.
 */
export function inet_addr_type_table(net: Net, addr: number, table: number): number {
	if (ipv4_is_zeronet(addr) || ipv4_is_lbcast(addr)) return RTN_BROADCAST;
	if (ipv4_is_multicast(addr)) return RTN_MULTICAST;
	if (table === RT_TABLE_LOCAL && net.fib_has_local_table !== true) return RTN_BROADCAST;
	const route = fib_table_lookup(net, table, addr, 0, 0);
	return typeof route === "number" ? RTN_UNICAST : route.type;
}
