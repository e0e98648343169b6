// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/devinet.c: IPv4 addresses of devices, and the selection of a source address. */
import { inet_ifa_match } from "../../include/linux/inetdevice.js";
import type { NetDevice } from "../../include/linux/netdevice.js";
import {
	type InIfaddr,
	type Net,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RT_TABLE_LOCAL,
	RTN_LOCAL,
} from "../../include/net/net_namespace.js";
import { EADDRNOTAVAIL, EEXIST, EINVAL } from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../core/dev.js";
import { l3mdev_master_ifindex } from "../l3mdev/l3mdev.js";
import { fib_add_ifaddr, fib_del_ifaddr, fib_disable_ip } from "./fib_frontend.js";
import { fib_table_lookup } from "./fib_trie.js";
import { rt_cache_flush } from "./route.js";

/**
 * The device of a local address: the device that has the address, otherwise that of the route in
 * the local table. So every address of 127.0.0.0/8 belongs to lo. null if the address is not local.
 */
export function __ip_dev_find(net: Net, addr: number): NetDevice | null {
	let found: NetDevice | null = null;
	let serial = 0;
	for (const dev of net.devices) {
		for (const ifa of dev.ifa_list) {
			if (ifa.ifa_local !== addr || ifa.serial < serial) continue;
			found = dev;
			serial = ifa.serial;
		}
	}
	if (found !== null) return found;
	const route = fib_table_lookup(net, RT_TABLE_LOCAL, addr, 0, 0);
	return typeof route !== "number" && route.type === RTN_LOCAL
		? dev_get_by_index(net, route.oif)
		: null;
}

/**
 * Removes an address from a device, and the secondary addresses of its subnet (promote_secondaries
 * 0).
 */
export function inet_del_ifa(net: Net, dev: NetDevice, local: number, prefixlen: number): number {
	const ifa1 = dev.ifa_list.find(
		(ifa) => ifa.ifa_local === local && ifa.ifa_prefixlen === prefixlen,
	);
	if (ifa1 === undefined) return -EADDRNOTAVAIL;
	if (!ifa1.secondary) {
		for (const ifa of [...dev.ifa_list]) {
			const of_subnet =
				ifa.ifa_prefixlen === prefixlen && inet_ifa_match(ifa.ifa_local, local, prefixlen);
			if (ifa.secondary && of_subnet) unlink(net, dev, ifa);
		}
	}
	unlink(net, dev, ifa1);
	return 0;
}

function unlink(net: Net, dev: NetDevice, ifa: InIfaddr): void {
	dev.ifa_list.splice(dev.ifa_list.indexOf(ifa), 1);
	rt_cache_flush(net);
	fib_del_ifaddr(net, dev, ifa);
	// When the last address of a device goes, all its routes go.
	if (dev.ifa_list.length === 0) fib_disable_ip(net, dev, true);
}

/**
 * Adds an address and its routes to a device. An address in a subnet of an earlier address of the
 * device is secondary. `broadcast` is 0 if none was given. Returns 0, -EEXIST, or -EINVAL if the
 * earlier address has another scope.
 */
export function inet_insert_ifa(
	net: Net,
	dev: NetDevice,
	local: number,
	prefixlen: number,
	scope: number,
	broadcast: number,
): number {
	if (local === 0) return 0;
	let secondary = false;
	let last_primary = 0;
	for (const [index, ifa] of dev.ifa_list.entries()) {
		if (!ifa.secondary && scope <= ifa.ifa_scope) last_primary = index + 1;
		if (ifa.ifa_prefixlen === prefixlen && inet_ifa_match(local, ifa.ifa_local, prefixlen)) {
			if (ifa.ifa_local === local) return -EEXIST;
			if (ifa.ifa_scope !== scope) return -EINVAL;
			secondary = true;
		}
	}
	const ifa: InIfaddr = {
		ifa_local: local,
		ifa_prefixlen: prefixlen,
		ifa_scope: scope,
		ifa_broadcast: broadcast,
		secondary,
		serial: ++net.last_ifa_serial,
	};
	// Primary addresses are in order of scope. Secondary addresses come last.
	if (secondary) dev.ifa_list.push(ifa);
	else dev.ifa_list.splice(last_primary, 0, ifa);
	rt_cache_flush(net);
	fib_add_ifaddr(net, dev, ifa);
	return 0;
}

/** The primary address of a subnet. */
export function inet_ifa_byprefix(
	dev: NetDevice,
	prefix: number,
	plen: number,
): InIfaddr | undefined {
	return dev.ifa_list.find(
		(ifa) => ifa.ifa_prefixlen === plen && inet_ifa_match(prefix, ifa.ifa_local, plen),
	);
}

function in_dev_select_addr(dev: NetDevice, scope: number): number {
	for (const ifa of dev.ifa_list) {
		if (!ifa.secondary && ifa.ifa_scope !== RT_SCOPE_LINK && ifa.ifa_scope <= scope) {
			return ifa.ifa_local;
		}
	}
	return 0;
}

/**
 * Selects a source address on the device, otherwise on its VRF, otherwise on any device. 0 if no
 * address has the scope.
 */
export function inet_select_addr(net: Net, dev: NetDevice, dst: number, scope: number): number {
	let addr = 0;
	for (const ifa of dev.ifa_list) {
		if (ifa.secondary || Math.min(ifa.ifa_scope, RT_SCOPE_HOST) > scope) continue;
		if (dst === 0 || inet_ifa_match(dst, ifa.ifa_local, ifa.ifa_prefixlen)) return ifa.ifa_local;
		if (addr === 0) addr = ifa.ifa_local;
	}
	if (addr !== 0) return addr;
	// A VRF takes the place of lo for its devices: its addresses come before those of the others.
	const master_idx = l3mdev_master_ifindex(dev);
	const master = dev_get_by_index(net, master_idx);
	if (master !== null) addr = in_dev_select_addr(master, scope);
	if (addr !== 0) return addr;
	for (const other of net.devices) {
		if (l3mdev_master_ifindex(other) !== master_idx) continue;
		addr = in_dev_select_addr(other, scope);
		if (addr !== 0) return addr;
	}
	return 0;
}
