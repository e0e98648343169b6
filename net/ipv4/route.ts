// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/route.c: the way of a connection, and with it its source address. */
import {
	ipv4_is_lbcast,
	ipv4_is_local_multicast,
	ipv4_is_loopback,
	ipv4_is_multicast,
	ipv4_is_zeronet,
} from "../../include/linux/in.js";
import {
	IFF_LOOPBACK,
	IFF_UP,
	LOOPBACK_IFINDEX,
	type Net,
	type NetDevice,
	type RouteAnswer,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RTN_BROADCAST,
	RTN_LOCAL,
	RTN_MULTICAST,
	RTN_UNICAST,
} from "../../include/net/net_namespace.js";
import { EINVAL, ENETUNREACH, ENODEV } from "../../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../../include/uapi/linux/in.js";
import { dev_get_by_index, l3mdev_fib_table_by_index } from "../l3mdev/l3mdev.js";
import { __ip_dev_find, inet_select_addr } from "./devinet.js";
import { fib_lookup } from "./fib_frontend.js";

/** Result of the last lookup, as struct flowi4 and rtable have it: one, so that nothing is allocated. */
export const flow = {
	type: RTN_UNICAST,
	saddr: 0,
	daddr: 0,
	/** Device that a local packet counts as received on (rt_iif). */
	iif: 0,
	answer: "blackhole" as RouteAnswer,
};

/** The kernel's checks on a route that is found: __mkroute_output. */
function mkroute_output(dev_out: NetDevice, type: number, iif: number): number {
	if (
		ipv4_is_loopback(flow.saddr) &&
		(dev_out.flags & IFF_LOOPBACK) === 0 &&
		dev_out.l3mdev_table === 0
	) {
		return -EINVAL;
	}
	if (ipv4_is_lbcast(flow.daddr)) type = RTN_BROADCAST;
	else if (ipv4_is_multicast(flow.daddr)) type = RTN_MULTICAST;
	else if (ipv4_is_zeronet(flow.daddr)) return -EINVAL;
	flow.type = type;
	flow.iif = iif;
	return 0;
}

/** Fills `flow` for a destination; 0 or a negative errno: ip_route_output_key_hash_rcu. */
function ip_route_output_key(net: Net, daddr: number, saddr: number, oif: number): number {
	flow.daddr = daddr;
	flow.saddr = saddr;
	flow.answer = "blackhole";
	let dev_out: NetDevice | null = null;

	if (saddr !== 0) {
		if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr) || ipv4_is_zeronet(saddr)) {
			return -EINVAL;
		}
		dev_out = __ip_dev_find(net, saddr);
		if (dev_out === null) return -ENETUNREACH;
		if (oif === 0 && (ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr))) {
			return mkroute_output(dev_out, RTN_UNICAST, dev_out.ifindex);
		}
	}
	if (oif !== 0) {
		dev_out = dev_get_by_index(net, oif);
		if (dev_out === null) return -ENODEV;
		if ((dev_out.flags & IFF_UP) === 0) return -ENETUNREACH;
		if (ipv4_is_local_multicast(daddr) || ipv4_is_lbcast(daddr)) {
			if (flow.saddr === 0) flow.saddr = inet_select_addr(net, dev_out, 0, RT_SCOPE_LINK);
			return mkroute_output(dev_out, RTN_UNICAST, oif);
		}
		if (flow.saddr === 0) {
			if (ipv4_is_multicast(daddr)) flow.saddr = inet_select_addr(net, dev_out, 0, 0);
			else if (daddr === 0) flow.saddr = inet_select_addr(net, dev_out, 0, RT_SCOPE_HOST);
		}
	}
	if (daddr === 0) {
		// connect() to the wildcard goes to oneself.
		if (flow.saddr === 0) flow.saddr = INADDR_LOOPBACK;
		flow.daddr = flow.saddr;
		const lo = dev_get_by_index(net, LOOPBACK_IFINDEX);
		return lo === null ? -ENODEV : mkroute_output(lo, RTN_LOCAL, oif);
	}

	const res = fib_lookup(net, daddr, oif);
	if (typeof res === "number") {
		if (dev_out === null || oif === 0) return res;
		if (!ipv4_is_multicast(daddr) && l3mdev_fib_table_by_index(net, oif) !== 0) return res;
		// Apparently, the destination is on-link.
		if (flow.saddr === 0) flow.saddr = inet_select_addr(net, dev_out, 0, RT_SCOPE_LINK);
		return mkroute_output(dev_out, RTN_UNICAST, oif);
	}
	const res_dev = dev_get_by_index(net, res.oif);
	if (res_dev === null) return -ENODEV;
	if (res.type === RTN_LOCAL) {
		if (flow.saddr === 0) flow.saddr = res.prefsrc !== 0 ? res.prefsrc : daddr;
		const lo = dev_get_by_index(net, LOOPBACK_IFINDEX);
		return lo === null ? -ENODEV : mkroute_output(lo, RTN_LOCAL, res.oif);
	}
	if (flow.saddr === 0) {
		flow.saddr =
			res.prefsrc !== 0 ? res.prefsrc : inet_select_addr(net, res_dev, res.gateway, res.scope);
	}
	flow.answer = res.answer;
	return mkroute_output(res_dev, res.type, oif);
}

/** The route of connect(); fills `flow`. 0 or a negative errno (include/net/route.h). */
export function ip_route_connect(net: Net, daddr: number, saddr: number, oif: number): number {
	const err = ip_route_output_key(net, daddr, saddr, oif);
	// Once more with the addresses that were found: now the source is checked as well.
	if (err === 0 && (daddr === 0 || saddr === 0)) {
		return ip_route_output_key(net, flow.daddr, flow.saddr, oif);
	}
	return err;
}

/** The device on which a packet to a local address is received, 0 if the address is not local. */
export function ip_local_deliver_ifindex(net: Net, daddr: number, oif: number): number {
	const res = fib_lookup(net, daddr, oif);
	return typeof res === "number" || res.type !== RTN_LOCAL ? 0 : res.oif;
}

/** What answers behind the route to an address. */
export function ip_remote_answer(net: Net, daddr: number, oif: number): RouteAnswer {
	const res = fib_lookup(net, daddr, oif);
	return typeof res === "number" ? "blackhole" : res.answer;
}
