// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/fib_semantics.c: the checks on a route that is added, and the source address of a route. */
import type { NetDevice } from "../../include/linux/netdevice.js";
import {
	type FibRoute,
	IFF_UP,
	type Net,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RT_SCOPE_NOWHERE,
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
	EAGAIN,
	EHOSTUNREACH,
	EINVAL,
	ENETDOWN,
	ENODEV,
} from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../core/dev.js";
import { l3mdev_fib_table_by_index, l3mdev_master_ifindex } from "../l3mdev/l3mdev.js";
import { inet_select_addr } from "./devinet.js";
import { fib_lookup, inet_addr_type_table } from "./fib_frontend.js";
import { fib_table_lookup } from "./fib_trie.js";
import { rt_cache_flush } from "./route.js";

/** struct fib_config: a route to add. */
export type FibConfig = Omit<FibRoute, "nh_scope">;

/** fib_props: the error of a lookup that finds a route of this type, 0 if the route can be used. */
export function fibPropsError(type: number): number {
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

export function sameInfo(route: FibRoute, other: FibRoute): boolean {
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

function fib_check_nh_nongw(net: Net, route: FibRoute, onlink: boolean): number {
	if (onlink) return -EINVAL;
	const dev = dev_get_by_index(net, route.oif);
	if (dev === null) return -ENODEV;
	if ((dev.flags & IFF_UP) === 0) return -ENETDOWN;
	route.nh_scope = RT_SCOPE_HOST;
	return 0;
}

function fib_valid_prefsrc(net: Net, cfg: FibConfig): boolean {
	if (cfg.type === RTN_LOCAL && cfg.dst !== 0 && cfg.prefsrc === cfg.dst) return true;
	const table = cfg.table === RT_TABLE_MAIN ? RT_TABLE_LOCAL : cfg.table;
	return (
		inet_addr_type_table(net, cfg.prefsrc, table) === RTN_LOCAL ||
		inet_addr_type_table(net, cfg.prefsrc, RT_TABLE_LOCAL) === RTN_LOCAL
	);
}

/**
 * Checks a route and sets the scope and the device of its next hop. Returns the route or a negative
 * errno.
 */
export function fib_create_info(net: Net, cfg: FibConfig, onlink: boolean): FibRoute | number {
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

/** Deletes the routes whose preferred source address is removed. */
export function fib_sync_down_addr(net: Net, table: number, local: number): void {
	net.routes = net.routes.filter((route) => route.table !== table || route.prefsrc !== local);
	rt_cache_flush(net);
}

/** The source address of packets by a route. */
export function fib_select_path(net: Net, res: FibRoute, dev: NetDevice): number {
	const l3mdev = dev_get_by_index(net, net.fl4.l3mdev);
	if (
		l3mdev !== null &&
		l3mdev_master_ifindex(dev) !== l3mdev.ifindex &&
		net.changes.has("source-address-within-vrf") // since 6.11, 680735235356
	) {
		return inet_select_addr(net, l3mdev, 0, RT_SCOPE_LINK);
	}
	return res.prefsrc !== 0 ? res.prefsrc : inet_select_addr(net, dev, res.gateway, res.scope);
}
