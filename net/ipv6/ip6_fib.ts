// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv6/ip6_fib.c, fib6_rules.c: IPv6 routes, and the order in which tables are searched.
 *
 * The kernel has a tree with a node for each prefix of a table. A node has a list of routes, sorted
 * by metric. Here all routes are in one list, net.routes6. The routes of one node are in the order
 * of the node's list.
 */
import { rt6_duplicate_nexthop } from "../../include/net/ip6_route.js";
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

/**
 * Searches the tables in order, by the rules if there is a VRF. Returns null if no table has a
 * route. Sets the VRF of the flow. If the output device is a VRF, sets it to 0.
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

function sameNode(route: Fib6Info, other: Fib6Info): boolean {
	return (
		route.table === other.table &&
		route.plen === other.plen &&
		ipv6_addr_equal(route.dst, 0, other.dst, 0)
	);
}

/**
 * fib6_add_rt2node: adds a route after those of its prefix with the same or a lower metric.
 * "exclusive": fails if there is a route of the same metric. "append": fails if there is the same
 * route. "replace": replaces the first route of the same metric that also has, or also has not, a
 * gateway; otherwise the first of the same metric. Returns 0 or -EEXIST.
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

/**
 * fib6_node_lookup, fib6_backtrack: the longest prefix shorter than `below` that a table has for an
 * address, in bits. -1 if there is none.
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

/** Deletes a route. Does nothing if it was deleted before. */
export function fib6_del(net: Net, rt: Fib6Info): void {
	const index = net.routes6.indexOf(rt);
	if (index !== -1) net.routes6.splice(index, 1);
}

/** Whether a table exists. A user's table exists while it has routes. */
export function fib6HasTable(net: Net, table: number): boolean {
	if (table === RT_TABLE_MAIN || table === RT_TABLE_LOCAL) return true;
	return (
		net.devices.some((dev) => dev.l3mdev_table === table) ||
		net.routes6.some((rt) => rt.table === table)
	);
}
