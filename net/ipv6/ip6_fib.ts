// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv6/ip6_fib.c, fib6_rules.c: IPv6 routes, and the order in which tables are asked.
 *
 * The kernel's tree has a node for each prefix of a table, with a list of routes by
 * metric. Here all are in one list, net.routes6, where those of one node are in that order.
 */
import { type In6Addr, ipv6_addr_equal, ipv6_prefix_equal } from "../../include/net/ipv6.js";
import {
	type Fib6Info,
	type FlowiOif,
	type Net,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
} from "../../include/net/net_namespace.js";
import { EEXIST } from "../../include/uapi/asm-generic/errno.js";
import {
	fib_has_custom_rules,
	l3mdev_fib_table_by_index,
	l3mdev_update_flow,
} from "../l3mdev/l3mdev.js";

function sameNode(route: Fib6Info, other: Fib6Info): boolean {
	return (
		route.table === other.table &&
		route.plen === other.plen &&
		ipv6_addr_equal(route.dst, 0, other.dst, 0)
	);
}

/** include/net/ip6_route.h: whether two routes have the same gateway and device. */
function rt6_duplicate_nexthop(route: Fib6Info, other: Fib6Info): boolean {
	if (route.oif !== other.oif || (route.gateway === null) !== (other.gateway === null))
		return false;
	if (route.gateway === null || other.gateway === null) return true;
	return ipv6_addr_equal(route.gateway, 0, other.gateway, 0);
}

/**
 * Adds a route: after those of its prefix that have its metric or a lower one. With
 * "exclusive" there must be none of its metric, with "append" none that is the same; with
 * "replace" it takes the place of the first of its metric that has a gateway as it has
 * one or not, else of the first of its metric. 0 or -EEXIST (fib6_add_rt2node).
 */
export function fib6_add(net: Net, rt: Fib6Info, mode: "exclusive" | "append" | "replace"): number {
	const { routes6 } = net;
	let at = routes6.length;
	let fallback = -1;
	for (const [index, iter] of routes6.entries()) {
		if (!sameNode(iter, rt)) continue;
		if (iter.metric > rt.metric) {
			at = index;
			break;
		}
		at = index + 1;
		if (iter.metric < rt.metric) continue;
		if (mode === "exclusive") return -EEXIST;
		if (mode === "append") {
			if (rt6_duplicate_nexthop(iter, rt)) return -EEXIST;
		} else if ((iter.gateway === null) === (rt.gateway === null)) {
			routes6[index] = rt;
			return 0;
		} else if (fallback === -1) {
			fallback = index;
		}
	}
	if (fallback !== -1) routes6[fallback] = rt;
	else routes6.splice(at, 0, rt);
	return 0;
}

/** Takes a route away; nothing happens if it is not there any more. */
export function fib6_del(net: Net, rt: Fib6Info): void {
	const index = net.routes6.indexOf(rt);
	if (index !== -1) net.routes6.splice(index, 1);
}

/** Whether there is a table: a user's own one while it has routes. */
export function fib6HasTable(net: Net, table: number): boolean {
	if (table === RT_TABLE_MAIN || table === RT_TABLE_LOCAL) return true;
	return (
		net.devices.some((dev) => dev.l3mdev_table === table) ||
		net.routes6.some((rt) => rt.table === table)
	);
}

/**
 * The longest prefix that a table has for an address, among those shorter than `below`;
 * -1 if it has none (fib6_node_lookup, fib6_backtrack).
 */
export function fib6_node_lookup(
	net: Net,
	table: number,
	daddr: In6Addr,
	di: number,
	below: number,
): number {
	let longest = -1;
	for (const route of net.routes6) {
		if (route.table !== table || route.plen >= below || route.plen <= longest) continue;
		if (ipv6_prefix_equal(route.dst, 0, daddr, di, route.plen)) longest = route.plen;
	}
	return longest;
}

/**
 * Asks the tables one after the other, by the rules where there is a VRF; null if none has
 * a route. Sets the VRF of the flow, and its output device to 0 where that is a VRF.
 */
export function fib6_rule_lookup<Flow extends FlowiOif>(
	net: Net,
	fl: Flow,
	flags: number,
	lookup: (net: Net, table: number, fl: Flow, flags: number) => Fib6Info | null,
): Fib6Info | null {
	const rules = fib_has_custom_rules(net);
	if (rules) l3mdev_update_flow(net, fl);
	let rt = lookup(net, RT_TABLE_LOCAL, fl, flags);
	if (rt === null && rules && fl.l3mdev !== 0) {
		rt = lookup(net, l3mdev_fib_table_by_index(net, fl.l3mdev), fl, flags);
	}
	return rt ?? lookup(net, RT_TABLE_MAIN, fl, flags);
}
