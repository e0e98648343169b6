// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv6/addrconf.c: IPv6 addresses of devices, their routes, and the selection of a source
 * address.
 */
import type { Ifindex } from "../../include/linux/handle.js";
import { type NetDevice, netif_is_l3_master } from "../../include/linux/netdevice.js";
import {
	__ipv6_addr_type,
	type In6Addr,
	IPV6_ADDR_ANY,
	IPV6_ADDR_LOOPBACK,
	IPV6_ADDR_MULTICAST,
	IPV6_ADDR_SCOPE_LINKLOCAL,
	IPV6_ADDR_SCOPE_MASK,
	in6addr_loopback,
	ipv6_addr_copy,
	ipv6_addr_diff,
	ipv6_addr_equal,
	ipv6_addr_orchid,
	ipv6_addr_prefix,
	ipv6_addr_scope,
	ipv6_addr_src_scope,
	ipv6_addr_type,
	ipv6_prefix_equal,
} from "../../include/net/ipv6.js";
import {
	IFA_HOST,
	IFA_LINK,
	IFF_LOOPBACK,
	type Inet6Ifaddr,
	type Ipv6SaddrDst,
	type Net,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
	RTN_MULTICAST,
	RTN_UNICAST,
} from "../../include/net/net_namespace.js";
import { EADDRNOTAVAIL, EEXIST } from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../core/dev.js";
import { NotModelled } from "../core/sock.js";
import { l3mdev_fib_table_by_index, l3mdev_master_ifindex } from "../l3mdev/l3mdev.js";
import { ipv6_addr_label } from "./addrlabel.js";
import { fib6_add, fib6_del } from "./ip6_fib.js";
import {
	addrconf_f6i_alloc,
	ip6_route_add,
	NO_ROUTE_OPTIONS,
	rt6_remove_prefsrc,
} from "./route.js";

/** Metric of the routes that belong to addresses. */
const IP6_RT_PRIO_ADDRCONF = 256;

/** struct ifa6_config: an address to add. */
interface Ifa6Config {
	addr: In6Addr;
	prefix_len: number;
	/** It is selected as a source address only if there is no other. */
	deprecated?: boolean;
	random?: boolean;
}

/**
 * Adds an address to the list of a device, the newest of a scope first. Returns it or a negative
 * errno.
 */
function ipv6_add_addr(net: Net, dev: NetDevice, cfg: Ifa6Config): Inet6Ifaddr | number {
	const { addr, prefix_len, deprecated = false, random = false } = cfg;
	const addr_type = ipv6_addr_type(addr, 0);
	if (
		addr_type === IPV6_ADDR_ANY ||
		(addr_type & IPV6_ADDR_MULTICAST) !== 0 ||
		((dev.flags & IFF_LOOPBACK) === 0 &&
			!netif_is_l3_master(dev) &&
			(addr_type & IPV6_ADDR_LOOPBACK) !== 0)
	) {
		return -EADDRNOTAVAIL;
	}
	const rt = addrconf_f6i_alloc(net, dev, addr);
	if (typeof rt === "number") return rt;
	if (dev.addr_list.some((ifa) => !ifa.random && ipv6_addr_equal(ifa.addr, 0, addr, 0))) {
		return -EEXIST;
	}
	const scope = addr_type & IPV6_ADDR_SCOPE_MASK;
	const ifa: Inet6Ifaddr = { addr, prefix_len, scope, deprecated, random, rt };
	const after = dev.addr_list.findIndex(
		(other) => ipv6_addr_scope(addr, 0) >= ipv6_addr_scope(other.addr, 0),
	);
	dev.addr_list.splice(after === -1 ? dev.addr_list.length : after, 0, ifa);
	return ifa;
}

// The rules of RFC 6724, in order. The rules for home, temporary and optimistic addresses are left
// out, because the model has no such addresses.
const IPV6_SADDR_RULE_LOCAL = 0;
const IPV6_SADDR_RULE_SCOPE = 1;
const IPV6_SADDR_RULE_PREFERRED = 2;
const IPV6_SADDR_RULE_OIF = 3;
const IPV6_SADDR_RULE_LABEL = 4;
const IPV6_SADDR_RULE_ORCHID = 5;
const IPV6_SADDR_RULE_PREFIX = 6;
const IPV6_SADDR_RULE_MAX = 7;

/** The score of an address of a device under a rule. A higher score is better. */
function ipv6_get_saddr_eval(
	dst: Ipv6SaddrDst,
	ifa: Inet6Ifaddr,
	ifindex: Ifindex,
	rule: number,
): number {
	const { addr } = ifa;
	switch (rule) {
		case IPV6_SADDR_RULE_LOCAL:
			return !ifa.random && ipv6_addr_equal(addr, 0, dst.addr, 0) ? 1 : 0;
		case IPV6_SADDR_RULE_SCOPE: {
			// Prefers the narrowest scope that is wide enough, otherwise the widest scope.
			const scope = ipv6_addr_scope(addr, 0);
			return scope >= dst.scope ? -scope : scope - 128;
		}
		case IPV6_SADDR_RULE_PREFERRED:
			return ifa.deprecated && !saddrPreferred(addr) ? 0 : 1;
		case IPV6_SADDR_RULE_OIF:
			return dst.ifindex === 0 || dst.ifindex === ifindex ? 1 : 0;
		case IPV6_SADDR_RULE_LABEL:
			return ipv6_addr_label(addr, 0) === dst.label ? 1 : 0;
		case IPV6_SADDR_RULE_ORCHID:
			return ipv6_addr_orchid(addr, 0) === ipv6_addr_orchid(dst.addr, 0) ? 1 : 0;
		case IPV6_SADDR_RULE_PREFIX:
			return Math.min(ipv6_addr_diff(addr, 0, dst.addr, 0), ifa.prefix_len);
		default:
			return 0;
	}
}

/**
 * Whether an address counts as preferred even if it is deprecated: v4-mapped, v4-compatible,
 * loopback.
 */
function saddrPreferred(addr: In6Addr): boolean {
	return addr[0] === 0 && addr[1] === 0 && (addr[2] === 0xffff || addr[2] === 0);
}

/** Scores all addresses of a device. With equal scores the first address wins. */
function __ipv6_dev_get_saddr(dst: Ipv6SaddrDst, dev: NetDevice): void {
	for (const ifa of dev.addr_list) {
		// There are no multicast addresses: only IFA_F_MCAUTOJOIN adds them.
		if (dst.hiscore === null) {
			dst.hiscore = ifa;
			dst.hiscore_dev = dev.ifindex;
			continue;
		}
		for (let rule = 0; rule < IPV6_SADDR_RULE_MAX; rule++) {
			const minihiscore = ipv6_get_saddr_eval(dst, dst.hiscore, dst.hiscore_dev, rule);
			const miniscore = ipv6_get_saddr_eval(dst, ifa, dev.ifindex, rule);
			if (minihiscore > miniscore) break;
			if (minihiscore < miniscore) {
				dst.hiscore = ifa;
				dst.hiscore_dev = dev.ifindex;
				break;
			}
		}
	}
}

/**
 * Selects a source address for a destination and stores it in saddr[si]. `dst_dev` is the output
 * device, null if it is not known yet. Returns 0, or -EADDRNOTAVAIL if no candidate device has an
 * address.
 */
export function ipv6_dev_get_saddr(
	net: Net,
	dst_dev: NetDevice | null,
	daddr: In6Addr,
	di: number,
	saddr: In6Addr,
	si: number,
): number {
	const dst_type = __ipv6_addr_type(daddr, di);
	const dst = net.saddr_dst;
	ipv6_addr_copy(dst.addr, 0, daddr, di);
	dst.ifindex = dst_dev?.ifindex ?? 0;
	dst.scope = ipv6_addr_src_scope(dst_type);
	dst.label = ipv6_addr_label(daddr, di);
	dst.hiscore = null as Inet6Ifaddr | null;

	// A link-local destination needs an address of the output device.
	if (
		dst_dev !== null &&
		((dst_type & IPV6_ADDR_MULTICAST) !== 0 || dst.scope <= IPV6_ADDR_SCOPE_LINKLOCAL)
	) {
		__ipv6_dev_get_saddr(dst, dst_dev);
	} else {
		const master_idx = dst_dev === null ? 0 : l3mdev_master_ifindex(dst_dev);
		const master = dev_get_by_index(net, master_idx);
		if (dst_dev !== null && master !== null) {
			// Addresses of the device and of its VRF come before those of other devices in the VRF.
			__ipv6_dev_get_saddr(dst, dst_dev);
			__ipv6_dev_get_saddr(dst, master);
		}
		// since 6.11, abb9a68d2c64
		if (dst.hiscore === null || master === null || net.changes.has("source-address-within-vrf")) {
			for (const dev of net.devices) {
				if (l3mdev_master_ifindex(dev) === master_idx) __ipv6_dev_get_saddr(dst, dev);
			}
		}
	}
	const { hiscore } = dst;
	if (hiscore === null) return -EADDRNOTAVAIL;
	if (hiscore.random) {
		const name = dev_get_by_index(net, dst.hiscore_dev)?.name;
		throw new NotModelled(
			`as a source the link-local address that ${name} made of its random MAC address: give it one (ip link set ${name} address MAC)`,
		);
	}
	ipv6_addr_copy(saddr, si, hiscore.addr, 0);
	return 0;
}

/** Whether an address is local in the VRF of a device, or (ifindex 0) on any device in no VRF. */
export function ipv6_chk_addr(
	net: Net,
	addr: In6Addr,
	ai: number,
	ifindex: Ifindex,
	strict: boolean,
): boolean {
	const dev = dev_get_by_index(net, ifindex);
	return ipv6_chk_addr_and_flags(net, addr, ai, dev, dev === null, strict);
}

/** Whether an address looks like a link-local address from a random MAC address. */
function couldBeRandom(a: In6Addr, i: number): boolean {
	// fe80::/64 and an EUI-64: a locally administered MAC address with ff:fe in the middle.
	return (
		a[i] === 0xfe800000 &&
		a[i + 1] === 0 &&
		(a[i + 2] & 0x030000ff) === 0xff &&
		a[i + 3] >>> 24 === 0xfe
	);
}

/** Throws NotModelled if an address may be the unknown link-local address of a device. */
export function checkKnown(net: Net, addr: In6Addr, ai: number, ifindex: Ifindex): void {
	if (!couldBeRandom(addr, ai)) return;
	for (const dev of net.devices) {
		if (ifindex !== 0 && dev.ifindex !== ifindex) continue;
		if (dev.addr_list.some((ifa) => ifa.random)) {
			throw new NotModelled(
				`the link-local address that ${dev.name} made of its random MAC address: give it one (ip link set ${dev.name} address MAC)`,
			);
		}
	}
}

/**
 * Whether an address belongs to a device in the VRF of `dev`, or in no VRF if `dev` is in none. If
 * skip_dev_check is false, an address that is link-local, or any address with `strict`, has to
 * belong to `dev` itself.
 */
export function ipv6_chk_addr_and_flags(
	net: Net,
	addr: In6Addr,
	ai: number,
	dev: NetDevice | null,
	skip_dev_check: boolean,
	strict: boolean,
): boolean {
	const l3mdev = dev === null ? 0 : l3mdev_master_ifindex(dev);
	for (const ndev of net.devices) {
		if (l3mdev_master_ifindex(ndev) !== l3mdev) continue;
		for (const ifp of ndev.addr_list) {
			const elsewhere = !skip_dev_check && dev !== null && ndev !== dev;
			if (elsewhere && ((ifp.scope & (IFA_LINK | IFA_HOST)) !== 0 || strict)) continue;
			if (ifp.random) checkKnown(net, addr, ai, ndev.ifindex);
			else if (ipv6_addr_equal(ifp.addr, 0, addr, ai)) return true;
		}
	}
	return false;
}

/** Adds the on-link route of a prefix, unless the device is down. */
function addrconf_prefix_route(net: Net, dev: NetDevice, addr: In6Addr, plen: number): void {
	ip6_route_add(
		net,
		{
			...NO_ROUTE_OPTIONS,
			table: l3mdev_fib_table_by_index(net, dev.ifindex) || RT_TABLE_MAIN,
			dst: ipv6_addr_prefix(addr, plen),
			plen,
			type: RTN_UNICAST,
			oif: dev.ifindex,
			metric: IP6_RT_PRIO_ADDRCONF,
		},
		"append",
	);
}

/** Adds the route ff00::/8 by way of a device. */
function addrconf_add_mroute(net: Net, dev: NetDevice): void {
	ip6_route_add(
		net,
		{
			...NO_ROUTE_OPTIONS,
			table: l3mdev_fib_table_by_index(net, dev.ifindex) || RT_TABLE_LOCAL,
			dst: Uint32Array.of(0xff000000, 0, 0, 0),
			plen: 8,
			type: RTN_MULTICAST,
			oif: dev.ifindex,
			metric: IP6_RT_PRIO_ADDRCONF,
		},
		"append",
	);
}

function addrconf_add_dev(net: Net, dev: NetDevice): void {
	if ((dev.flags & IFF_LOOPBACK) === 0 && !netif_is_l3_master(dev)) addrconf_add_mroute(net, dev);
}

/**
 * Adds an address and its routes. Returns 0, -EEXIST, or -EADDRNOTAVAIL for the wildcard, a
 * multicast address, or ::1 on a device that is neither lo nor a VRF.
 */
export function inet6_addr_add(net: Net, dev: NetDevice, cfg: Ifa6Config): number {
	const { addr, prefix_len } = cfg;
	if (dev.addr_list.some((ifa) => !ifa.random && ipv6_addr_equal(ifa.addr, 0, addr, 0))) {
		return -EEXIST;
	}
	addrconf_add_dev(net, dev);
	const ifp = ipv6_add_addr(net, dev, cfg);
	if (typeof ifp === "number") return ifp;
	addrconf_prefix_route(net, dev, addr, prefix_len);
	addrconf_dad_completed(net, ifp);
	return 0;
}

/**
 * Deletes an address, and the route of its prefix if it was the last address there. Returns 0 or
 * -EADDRNOTAVAIL.
 */
export function inet6_addr_del(
	net: Net,
	dev: NetDevice,
	addr: In6Addr,
	prefix_len: number,
): number {
	const index = dev.addr_list.findIndex(
		(ifa) => !ifa.random && ifa.prefix_len === prefix_len && ipv6_addr_equal(ifa.addr, 0, addr, 0),
	);
	if (index === -1) return -EADDRNOTAVAIL;
	const [ifp] = dev.addr_list.splice(index, 1);
	fib6_del(net, ifp.rt);
	// check_cleanup_prefix_route
	const shared = dev.addr_list.some(
		(ifa) => ifa.prefix_len === prefix_len && ipv6_prefix_equal(ifa.addr, 0, addr, 0, prefix_len),
	);
	if (!shared) {
		const table = l3mdev_fib_table_by_index(net, dev.ifindex) || RT_TABLE_MAIN;
		const route = net.routes6.find(
			(rt) =>
				rt.table === table &&
				rt.plen === prefix_len &&
				ipv6_prefix_equal(rt.dst, 0, addr, 0, prefix_len) &&
				rt.oif === dev.ifindex &&
				rt.gateway === null,
		);
		if (route !== undefined) fib6_del(net, route);
	}
	rt6_remove_prefsrc(net, dev, addr);
	return 0;
}

/**
 * addrconf_notify: a device comes up. lo gets ::1, other devices a link-local address, VRFs
 * nothing.
 */
export function addrconfIfup(net: Net, dev: NetDevice): void {
	for (const ifp of dev.addr_list) addrconf_prefix_route(net, dev, ifp.addr, ifp.prefix_len);
	if ((dev.flags & IFF_LOOPBACK) !== 0) {
		const ifp = ipv6_add_addr(net, dev, { addr: in6addr_loopback.slice(), prefix_len: 128 });
		if (typeof ifp !== "number") addrconf_dad_completed(net, ifp);
		return;
	}
	addrconf_add_dev(net, dev);
	if (netif_is_l3_master(dev) || dev.addr_gen_none === true) return;
	const mac = dev.dev_addr;
	const addr = Uint32Array.of(0xfe800000, 0, 0, 0);
	if (mac !== undefined) {
		addr[2] = ((mac[0] ^ 2) << 24) | (mac[1] << 16) | (mac[2] << 8) | 0xff;
		addr[3] = (0xfe << 24) | (mac[3] << 16) | (mac[4] << 8) | mac[5];
	}
	const ifp = ipv6_add_addr(net, dev, { addr, prefix_len: 64, random: mac === undefined });
	if (typeof ifp === "number") return;
	addrconf_prefix_route(net, dev, addr, 64);
	addrconf_dad_completed(net, ifp);
}

/**
 * A device goes down, or joins or leaves a VRF. Deletes its routes and addresses (keep_addr_on_down
 * is 0).
 */
export function addrconf_ifdown(net: Net, dev: NetDevice): void {
	net.routes6 = net.routes6.filter((rt) => rt.oif !== dev.ifindex);
	dev.addr_list = [];
}

/** Makes an address usable at once, because there is no duplicate address detection. */
function addrconf_dad_completed(net: Net, ifp: Inet6Ifaddr): void {
	// A random address is not known, so no program can use a route to it.
	if (!ifp.random) fib6_add(net, ifp.rt, "append");
}
