// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/fib_trie.c: the tables of IPv4 routes, and lookups in one of them. */
import type { Ifindex } from "../../include/linux/handle.js";
import { inet_make_mask } from "../../include/linux/inetdevice.js";
import {
	type FibRoute,
	type Net,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
} from "../../include/net/net_namespace.js";
import { EAGAIN, EEXIST, ESRCH } from "../../include/uapi/asm-generic/errno.js";
import { fib_has_custom_rules } from "../l3mdev/l3mdev.js";
import { type FibConfig, fib_create_info, fibPropsError, sameInfo } from "./fib_semantics.js";
import { rt_cache_flush } from "./route.js";

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
