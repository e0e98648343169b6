// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/fib_frontend.c, fib_semantics.c, fib_trie.c: the routes that addresses bring
 * with them, the type of an address, and the lookup of a route.
 */
import { ipv4_is_lbcast, ipv4_is_multicast, ipv4_is_zeronet } from "../../include/linux/in.js";
import {
	type FibRoute,
	IFF_LOOPBACK,
	IFF_UP,
	type Net,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
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
import { EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { l3mdev_fib_table_by_index } from "../l3mdev/l3mdev.js";
import { inet_make_mask } from "./devinet.js";

/**
 * Computes anew what fib_add_ifaddr adds for every address of a device that is up: the
 * address itself, its subnet (local on lo, on-link elsewhere) and the subnet's broadcast
 * address. Called after every change of devices and addresses.
 */
export function fib_sync(net: Net): void {
	const routes: FibRoute[] = [];
	for (const dev of net.devices) {
		if ((dev.flags & IFF_UP) === 0) continue;
		const vrf = l3mdev_fib_table_by_index(net, dev.ifindex);
		const local_table = vrf || RT_TABLE_LOCAL;
		const loopback = (dev.flags & IFF_LOOPBACK) !== 0;
		for (const ifa of dev.ifa_list) {
			const route = { oif: dev.ifindex, gateway: 0, metric: 0, answer: "blackhole" as const };
			const host = { ...route, table: local_table, scope: RT_SCOPE_HOST };
			routes.push({
				...host,
				dst: ifa.ifa_local,
				plen: 32,
				type: RTN_LOCAL,
				prefsrc: ifa.ifa_local,
			});
			const plen = ifa.ifa_prefixlen;
			const mask = inet_make_mask(plen);
			const prefix = (ifa.ifa_local & mask) >>> 0;
			if (ifa.secondary || ipv4_is_zeronet(prefix)) continue;
			if (prefix === ifa.ifa_local && plen === 32) continue;
			routes.push({
				...route,
				table: loopback ? local_table : vrf || RT_TABLE_MAIN,
				scope: loopback ? RT_SCOPE_HOST : RT_SCOPE_LINK,
				dst: prefix,
				plen,
				type: loopback ? RTN_LOCAL : RTN_UNICAST,
				prefsrc: ifa.ifa_local,
			});
			if (plen < 31) {
				routes.push({
					...route,
					table: local_table,
					scope: RT_SCOPE_LINK,
					dst: (prefix | ~mask) >>> 0,
					plen: 32,
					type: RTN_BROADCAST,
					prefsrc: ifa.ifa_local,
				});
			}
		}
	}
	net.address_routes = routes;
}

/** The best route of one table, by longest prefix, then by metric: fib_trie.c: fib_table_lookup. */
export function fib_table_lookup(
	net: Net,
	table: number,
	daddr: number,
	oif: number,
): FibRoute | null {
	let best: FibRoute | null = null;
	for (const routes of [net.address_routes, net.routes]) {
		for (const route of routes) {
			if (route.table !== table) continue;
			if (((route.dst ^ daddr) & inet_make_mask(route.plen)) !== 0) continue;
			if (oif !== 0 && route.oif !== 0 && route.oif !== oif) continue;
			if (
				best === null ||
				route.plen > best.plen ||
				(route.plen === best.plen && route.metric < best.metric)
			) {
				best = route;
			}
		}
	}
	return best;
}

/** The route to an address through the rules' tables, or a negative errno. */
export function fib_lookup(net: Net, daddr: number, oif: number): FibRoute | number {
	const vrf = l3mdev_fib_table_by_index(net, oif);
	const tables = vrf !== 0 ? [vrf] : [RT_TABLE_LOCAL, RT_TABLE_MAIN];
	for (const table of tables) {
		const route = fib_table_lookup(net, table, daddr, vrf !== 0 ? 0 : oif);
		if (route === null) continue;
		if (route.type === RTN_BLACKHOLE) return -EINVAL;
		if (route.type === RTN_UNREACHABLE) return -EHOSTUNREACH;
		if (route.type === RTN_PROHIBIT) return -EACCES;
		return route;
	}
	return -ENETUNREACH;
}

/** What an address is to this namespace: inet_addr_type_table, __inet_dev_addr_type. */
export function inet_addr_type_table(net: Net, addr: number, table: number): number {
	if (ipv4_is_zeronet(addr) || ipv4_is_lbcast(addr)) return RTN_BROADCAST;
	if (ipv4_is_multicast(addr)) return RTN_MULTICAST;
	return fib_table_lookup(net, table || RT_TABLE_LOCAL, addr, 0)?.type ?? RTN_UNICAST;
}
