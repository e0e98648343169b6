// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/route.c: route lookups of connections and datagrams, and their source addresses. */

import type { Ifindex } from "../../include/linux/handle.js";
import {
	ipv4_is_lbcast,
	ipv4_is_local_multicast,
	ipv4_is_loopback,
	ipv4_is_multicast,
	ipv4_is_zeronet,
} from "../../include/linux/in.js";
import { type NetDevice, netif_is_l3_master } from "../../include/linux/netdevice.js";
import { FLOWI_FLAG_ANYSRC } from "../../include/net/inet_sock.js";
import {
	type FibRoute,
	IFF_LOOPBACK,
	IFF_UP,
	LOOPBACK_IFINDEX,
	type Net,
	newFl4,
	type RouteAnswer,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RT_SCOPE_UNIVERSE,
	RTN_BLACKHOLE,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
	RTN_UNICAST,
	type RtCached,
	type RtFlow,
} from "../../include/net/net_namespace.js";
import { EINVAL, ENETUNREACH, ENODEV } from "../../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../../include/uapi/linux/in.js";
import { dev_get_by_index } from "../core/dev.js";
import { NotModelled } from "../core/sock.js";
import { l3mdev_master_ifindex } from "../l3mdev/l3mdev.js";
import { __ip_dev_find, inet_select_addr } from "./devinet.js";
import { fib_lookup } from "./fib_frontend.js";
import { fib_select_path } from "./fib_semantics.js";

function copyFlow(to: RtFlow, from: RtFlow): void {
	to.type = from.type;
	to.saddr = from.saddr;
	to.daddr = from.daddr;
	to.oif = from.oif;
	to.l3mdev = from.l3mdev;
	to.iif = from.iif;
	to.answer = from.answer;
}

/** log2 of the number of destinations in the route cache of a namespace. */
const RT_CACHE_BITS = 7;

/** The route cache entry of a destination. As in C an entry is valid until rt_genid changes. */
function rtCached(net: Net, daddr: number): RtCached {
	const slot = Math.imul(daddr, 0x9e3779b1) >>> (32 - RT_CACHE_BITS);
	let cached = net.rt_cache[slot];
	if (cached === undefined) {
		cached = {
			connect_genid: 0,
			connect: { daddr: 0, saddr: 0, oif: 0, flow_flags: 0, scope: 0 },
			flow: newFl4(),
			err: 0,
			segment_genid: 0,
			segment: { daddr: 0, oif: 0 },
			dif: 0,
			local: false,
			answer: "blackhole",
			unsent: false,
		};
		net.rt_cache[slot] = cached;
	}
	return cached;
}

/** Invalidates all cached routes. */
export function rt_cache_flush(net: Net): void {
	net.rt_genid++;
}

/** __mkroute_output: checks a route that was found and sets its type. Returns 0 or -EINVAL. */
function mkrouteOutput(net: Net, dev_out: NetDevice, type: number, iif: Ifindex): number {
	const { fl4 } = net;
	if (
		ipv4_is_loopback(fl4.saddr) &&
		(dev_out.flags & IFF_LOOPBACK) === 0 &&
		!netif_is_l3_master(dev_out)
	) {
		return -EINVAL;
	}
	if (ipv4_is_lbcast(fl4.daddr)) type = RTN_BROADCAST;
	else if (ipv4_is_multicast(fl4.daddr)) type = RTN_MULTICAST;
	else if (ipv4_is_zeronet(fl4.daddr)) return -EINVAL;
	fl4.type = type;
	fl4.iif = iif;
	return 0;
}

/** The loopback device for a device: its VRF if it belongs to one, otherwise lo. */
function loopbackOf(net: Net, dev: NetDevice | null): NetDevice | null {
	const master = dev === null ? 0 : l3mdev_master_ifindex(dev);
	return dev_get_by_index(net, master !== 0 ? master : LOOPBACK_IFINDEX);
}

/**
 * ip_route_output_key_hash_rcu: looks up a route and fills net.fl4. Returns 0 or a negative errno.
 */
function ip_route_output_key(
	net: Net,
	daddr: number,
	saddr: number,
	oif: Ifindex,
	flow_flags: number,
	scope: number,
): number {
	const { fl4 } = net;
	fl4.daddr = daddr;
	fl4.saddr = saddr;
	fl4.oif = oif;
	fl4.answer = "blackhole";
	let dev_out: NetDevice | null = null;

	if (saddr !== 0) {
		if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr) || ipv4_is_zeronet(saddr)) {
			return -EINVAL;
		}
		dev_out = __ip_dev_find(net, saddr);
		const several = oif === 0 && (ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr));
		if (dev_out === null && (several || (flow_flags & FLOWI_FLAG_ANYSRC) === 0)) {
			return -ENETUNREACH;
		}
		if (several && dev_out !== null) return mkrouteOutput(net, dev_out, RTN_UNICAST, oif);
	}
	if (oif !== 0) {
		dev_out = dev_get_by_index(net, oif);
		if (dev_out === null) return -ENODEV;
		if ((dev_out.flags & IFF_UP) === 0) return -ENETUNREACH;
		if (ipv4_is_local_multicast(daddr) || ipv4_is_lbcast(daddr)) {
			if (fl4.saddr === 0) fl4.saddr = inet_select_addr(net, dev_out, 0, RT_SCOPE_LINK);
			return mkrouteOutput(net, dev_out, RTN_UNICAST, oif);
		}
		if (fl4.saddr === 0) {
			if (ipv4_is_multicast(daddr)) fl4.saddr = inet_select_addr(net, dev_out, 0, 0);
			else if (daddr === 0) fl4.saddr = inet_select_addr(net, dev_out, 0, RT_SCOPE_HOST);
		}
	}
	if (daddr === 0) {
		// The wildcard as destination means this host.
		if (fl4.saddr === 0) fl4.saddr = INADDR_LOOPBACK;
		fl4.daddr = fl4.saddr;
		const lo = dev_get_by_index(net, LOOPBACK_IFINDEX);
		return lo === null ? -ENODEV : mkrouteOutput(net, lo, RTN_LOCAL, oif);
	}

	const res = fib_lookup(net, daddr, fl4, scope);
	if (typeof res === "number") {
		if (dev_out === null || fl4.oif === 0) return res;
		if (!ipv4_is_multicast(daddr) && fl4.l3mdev !== 0) return res;
		// No route: the destination is assumed to be on-link.
		if (fl4.saddr === 0) fl4.saddr = inet_select_addr(net, dev_out, 0, RT_SCOPE_LINK);
		return mkrouteOutput(net, dev_out, RTN_UNICAST, oif);
	}
	const res_dev = dev_get_by_index(net, res.oif);
	if (res_dev === null) return -ENODEV;
	fl4.answer = res.answer;
	if (res.type === RTN_LOCAL) {
		if (fl4.saddr === 0) fl4.saddr = res.prefsrc !== 0 ? res.prefsrc : daddr;
		const lo = loopbackOf(net, res_dev);
		return lo === null ? -ENODEV : mkrouteOutput(net, lo, RTN_LOCAL, res.oif);
	}
	if (fl4.saddr === 0) fl4.saddr = fib_select_path(net, res, res_dev);
	return mkrouteOutput(net, res_dev, res.type, oif);
}

/**
 * include/net/route.h: ip_route_connect. Looks up the route of connect() and fills net.fl4. Returns
 * 0 or a negative errno.
 */
export function ip_route_connect(
	net: Net,
	daddr: number,
	saddr: number,
	oif: Ifindex,
	flow_flags = 0,
	scope = RT_SCOPE_UNIVERSE,
): number {
	const cached = rtCached(net, daddr);
	const key = cached.connect;
	if (
		cached.connect_genid === net.rt_genid &&
		key.daddr === daddr &&
		key.saddr === saddr &&
		key.oif === oif &&
		key.flow_flags === flow_flags &&
		key.scope === scope
	) {
		copyFlow(net.fl4, cached.flow);
		return cached.err;
	}
	const err = routeConnect(net, daddr, saddr, oif, flow_flags, scope);
	cached.connect_genid = net.rt_genid;
	key.daddr = daddr;
	key.saddr = saddr;
	key.oif = oif;
	key.flow_flags = flow_flags;
	key.scope = scope;
	copyFlow(cached.flow, net.fl4);
	cached.err = err;
	return err;
}

/** ip_route_connect without the route cache. */
export function routeConnect(
	net: Net,
	daddr: number,
	saddr: number,
	oif: Ifindex,
	flow_flags = 0,
	scope = RT_SCOPE_UNIVERSE,
): number {
	const { fl4 } = net;
	fl4.l3mdev = 0;
	const err = ip_route_output_key(net, daddr, saddr, oif, flow_flags, scope);
	// Looks up again with the addresses that were found. This checks the source address as well.
	if (err === 0 && (daddr === 0 || saddr === 0)) {
		return ip_route_output_key(net, fl4.daddr, fl4.saddr, oif, flow_flags, scope);
	}
	return err;
}

/**
 * Looks up the route of a datagram and fills net.fl4. Unlike ip_route_connect it looks up once, so
 * a source address that it selects is not checked. Returns 0 or a negative errno.
 */
export function ip_route_output_flow(
	net: Net,
	daddr: number,
	saddr: number,
	oif: Ifindex,
	flow_flags = 0,
	scope = RT_SCOPE_UNIVERSE,
): number {
	net.fl4.l3mdev = 0;
	return ip_route_output_key(net, daddr, saddr, oif, flow_flags, scope);
}

function probeRoute(net: Net, daddr: number, oif: Ifindex, l3mdev: Ifindex): FibRoute | number {
	net.probe4.oif = oif;
	net.probe4.l3mdev = l3mdev;
	return fib_lookup(net, daddr, net.probe4, 0);
}

/**
 * The route that a packet takes in the end, null if there is none. A VRF looks up a route of its
 * own.
 */
function lastRoute(net: Net, daddr: number, oif: Ifindex): FibRoute | null {
	const probe = net.probe4;
	let res = probeRoute(net, daddr, oif, 0);
	for (let hops = 0; typeof res !== "number" && hops <= net.devices.length; hops++) {
		const out = dev_get_by_index(net, res.oif);
		const dev = res.type === RTN_LOCAL ? loopbackOf(net, out) : out;
		if (dev === null || (dev.flags & IFF_UP) === 0) return null;
		if (!netif_is_l3_master(dev)) return res;
		// vrf_process_v4_outbound: a route back to the VRF is local, or the packet is lost.
		if (probe.oif === 0 && probe.l3mdev === dev.ifindex) return res.type === RTN_LOCAL ? res : null;
		res = probeRoute(net, daddr, 0, dev.ifindex);
	}
	return null;
}

/**
 * The device that receives a packet to a local address. 0 if the address is not local, or if lo (or
 * the VRF) is down. By a route to lo packets to other addresses are received as well; see the two
 * functions below.
 */
export function ipLocalDeliverIfindex(net: Net, daddr: number, oif: Ifindex): Ifindex {
	const res = lastRoute(net, daddr, oif);
	return res?.type === RTN_LOCAL ? res.oif : 0;
}

/**
 * ipLocalDeliverIfindex for connections. A segment that goes out by lo is received on lo. It can be
 * answered if its address belongs to any device, such as one in a VRF (__ip_dev_find). The route
 * leads to lo because there is no better one, or because the socket is bound to lo. Does not use
 * the route cache.
 */
export function segmentDeliverIfindex(
	net: Net,
	daddr: number,
	oif: Ifindex,
	dif = ipLocalDeliverIfindex(net, daddr, oif),
): number {
	if (dif !== 0 || (oif !== 0 && oif !== LOOPBACK_IFINDEX)) return dif;
	return __ip_dev_find(net, daddr) === null ? 0 : ipDatagramDeliverIfindex(net, daddr, oif);
}

/**
 * Where segments to an address go: the device that receives them (`dif`, see
 * segmentDeliverIfindex), whether the route is to a local address (`local`), and what another host
 * answers (`answer`). The result is valid until the next lookup.
 */
export function ipSegmentRoute(net: Net, daddr: number, oif: Ifindex): RtCached {
	const cached = rtCached(net, daddr);
	const key = cached.segment;
	if (cached.segment_genid !== net.rt_genid || key.daddr !== daddr || key.oif !== oif) {
		const res = lastRoute(net, daddr, oif);
		const dif = res?.type === RTN_LOCAL ? res.oif : 0;
		cached.dif = segmentDeliverIfindex(net, daddr, oif, dif);
		cached.local = dif !== 0;
		cached.answer = res?.answer ?? "blackhole";
		// Without a route the destination is on-link for a socket that is bound to a device.
		cached.unsent = res === null ? oif === 0 : res.type >= RTN_BLACKHOLE;
		cached.segment_genid = net.rt_genid;
		key.daddr = daddr;
		key.oif = oif;
	}
	return cached;
}

/** Whether ip_route_output_key lets segments leave from an address: it has to be a local one. */
export function ipSourceValid(net: Net, saddr: number): boolean {
	const { source } = net;
	if (source.genid !== net.rt_genid || source.saddr !== saddr) {
		source.genid = net.rt_genid;
		source.saddr = saddr;
		source.valid = __ip_dev_find(net, saddr) !== null;
	}
	return source.valid;
}

/**
 * ipLocalDeliverIfindex for datagrams. A datagram that goes out by lo is received on lo and finds a
 * socket, whatever its address is. (TCP's answer would need this address as its source.)
 */
export function ipDatagramDeliverIfindex(net: Net, daddr: number, oif: Ifindex): Ifindex {
	const dif = ipLocalDeliverIfindex(net, daddr, oif);
	if (dif !== 0) return dif;
	const res = probeRoute(net, daddr, oif, 0);
	const lo = dev_get_by_index(net, LOOPBACK_IFINDEX);
	if (lo === null || (lo.flags & IFF_UP) === 0) return 0;
	// For a socket that is bound to a device a destination without a route is on-link.
	const on_link = net.probe4.l3mdev === 0 ? net.probe4.oif : 0;
	const out = typeof res === "number" ? on_link : res.oif;
	if (out !== LOOPBACK_IFINDEX) return 0;
	// The receiving device is that of the first socket that used the route (rt_iif of a cached
	// route).
	if (oif !== 0 && oif !== LOOPBACK_IFINDEX) {
		throw new NotModelled("datagrams of a socket that is bound to a VRF by way of lo");
	}
	return LOOPBACK_IFINDEX;
}

/** The answer of the host that the route to an address leads to. */
export function ipRemoteAnswer(net: Net, daddr: number, oif: Ifindex): RouteAnswer {
	return ipSegmentRoute(net, daddr, oif).answer;
}
