// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/fib_frontend.c, fib_rules.c: the routes that belong to addresses, the type of an address,
 * and the order in which tables are searched.
 */
import { ipv4_is_lbcast, ipv4_is_multicast, ipv4_is_zeronet } from "../../include/linux/in.js";
import { inet_ifa_match, inet_make_mask } from "../../include/linux/inetdevice.js";
import type { NetDevice } from "../../include/linux/netdevice.js";
import {
	type FibRoute,
	type FlowiOif,
	IFF_LOOPBACK,
	IFF_UP,
	type InIfaddr,
	type Net,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RT_SCOPE_NOWHERE,
	RT_TABLE_DEFAULT,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
	RTN_UNICAST,
} from "../../include/net/net_namespace.js";
import { EAGAIN, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import {
	fib_has_custom_rules,
	l3mdev_fib_table_by_index,
	l3mdev_update_flow,
} from "../l3mdev/l3mdev.js";
import { inet_ifa_byprefix } from "./devinet.js";
import { fib_sync_down_addr } from "./fib_semantics.js";
import { fib_table_delete, fib_table_insert, fib_table_lookup } from "./fib_trie.js";
import { rt_cache_flush } from "./route.js";

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
