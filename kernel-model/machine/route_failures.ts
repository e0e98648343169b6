// SPDX-License-Identifier: GPL-2.0-or-later
/** Why there is no route to a destination, or no source address. See failures.ts. */
import {
	ipv4_is_lbcast,
	ipv4_is_local_multicast,
	ipv4_is_loopback,
	ipv4_is_multicast,
	ipv4_is_zeronet,
} from "../../include/linux/in.js";
import { type In6Addr, ipv6_addr_v4mapped } from "../../include/net/ipv6.js";
import { type FibRoute, IFF_UP, type Net, RT_SCOPE_LINK } from "../../include/net/net_namespace.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../../net/core/dev.js";
import { __ip_dev_find } from "../../net/ipv4/devinet.js";
import { fib_lookup } from "../../net/ipv4/fib_frontend.js";
import { formatIpv4 } from "./address.js";
import { v6 } from "./address_failures.js";
import type { Asked, Reason } from "./asked.js";

// Routes

/**
 * The route of a flow, the error of its lookup, or null if the flow needs no route. `oif` is the
 * device of the socket, on whose link a destination without a route is.
 */
export function routeTo(
	net: Net,
	daddr: number,
	saddr: number,
	oif: number,
): FibRoute | number | null {
	if (daddr === 0) return null;
	const several = ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr);
	if (several && oif === 0 && saddr !== 0 && __ip_dev_find(net, saddr) !== null) return null;
	if (oif !== 0 && (ipv4_is_local_multicast(daddr) || ipv4_is_lbcast(daddr))) return null;
	const flow = { oif, l3mdev: 0 };
	const route = fib_lookup(net, daddr, flow, 0);
	if (typeof route !== "number" || flow.oif === 0) return route;
	return !ipv4_is_multicast(daddr) && flow.l3mdev !== 0 ? route : null;
}

/** net/ipv4/route.c: ip_route_output_key_hash_rcu, and the functions that it calls. */
export function* routeReasons(
	net: Net,
	daddr: number,
	saddr: number,
	oif: number,
): Iterable<Reason> {
	const where = "ip_route_output_key_hash_rcu";
	const [to, from] = [formatIpv4(daddr), formatIpv4(saddr)];
	if (saddr !== 0) {
		if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr) || ipv4_is_zeronet(saddr)) {
			yield [E.EINVAL, where, `the source ${from} is not a unicast address`];
		}
		if (__ip_dev_find(net, saddr) === null) {
			yield [E.ENETUNREACH, where, `the source ${from} is not an address of a device of this host`];
		}
	}
	const dev = oif === 0 ? null : dev_get_by_index(net, oif);
	if (oif !== 0 && dev === null) yield [E.ENODEV, where, `there is no device ${oif}`];
	if (dev !== null && (dev.flags & IFF_UP) === 0) {
		yield [E.ENETUNREACH, where, `device ${dev.name} is down`];
	}
	const route = routeTo(net, daddr, saddr, oif);
	if (typeof route === "number") {
		if (route === -E.EINVAL) yield [E.EINVAL, "fib_lookup", `the route to ${to} is a blackhole`];
		else if (route === -E.EACCES) yield [E.EACCES, "fib_lookup", `the route to ${to} prohibits it`];
		else if (route === -E.EHOSTUNREACH) {
			yield [E.EHOSTUNREACH, "fib_lookup", `the route to ${to} is unreachable`];
		} else yield [E.ENETUNREACH, "fib_lookup", `no route leads to ${to}`];
	}
	if (ipv4_is_zeronet(daddr) && daddr !== 0) {
		yield [E.EINVAL, "__mkroute_output", `${to} is not a destination: 0.0.0.0/8 is this network`];
	}
	const out = route === null || typeof route === "number" ? dev : dev_get_by_index(net, route.oif);
	const by = out === null ? "" : `, and the route to ${to} leaves by ${out.name}`;
	if (ipv4_is_loopback(saddr)) {
		yield [E.EINVAL, "__mkroute_output", `the source ${from} is a loopback address${by}`];
	}
	if (route !== null && typeof route !== "number" && route.scope < RT_SCOPE_LINK) {
		const why = `the route to ${to} leads through a gateway, which SO_DONTROUTE or MSG_DONTROUTE forbids`;
		if (route.prefsrc === 0 || __ip_dev_find(net, route.prefsrc) !== null)
			yield [E.ENETUNREACH, "fib_lookup", why];
	}
	const source = `the source that the route to ${to} brings is not an address of this host`;
	yield [E.ENETUNREACH, where, source];
	yield [E.EINVAL, "__mkroute_output", `the source does not fit the route to ${to}`];
	yield [E.ENODEV, where, `the route to ${to} has no device`];
}

/** net/ipv6/ip6_output.c: ip6_dst_lookup_tail. */
export function* route6Reasons(a: Asked, daddr: In6Addr): Iterable<Reason> {
	const to = v6(daddr);
	const S = a.k.sock;
	const at = a.ssk * 4;
	const where = "ip6_dst_lookup_tail";
	const mapped = ipv6_addr_v4mapped(S.np_saddr, at) || ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, at);
	yield [E.EADDRNOTAVAIL, "ipv6_dev_get_saddr", `no address of this host is a source for ${to}`];
	yield [E.ENETUNREACH, where, `no route leads to ${to}`];
	yield [E.EINVAL, where, `the route to ${to} is a blackhole`];
	yield [E.EACCES, where, `the route to ${to} prohibits it`];
	yield [E.EHOSTUNREACH, where, `the route to ${to} is unreachable`];
	if (mapped) {
		const why = `the socket is on an IPv4 address, and ${to} is one of IPv6`;
		yield [E.EAFNOSUPPORT, where, why];
	}
}
