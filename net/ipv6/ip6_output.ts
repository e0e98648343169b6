// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv6/ip6_output.c: the route and the source address of a connection or a datagram. */
import type { Ifindex, Sk } from "../../include/linux/handle.js";
import { RT6_LOOKUP_F_IFACE, rt6_need_strict } from "../../include/net/ip6_route.js";
import {
	type In6Addr,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_v4mapped,
} from "../../include/net/ipv6.js";
import type { Fib6Info, Net } from "../../include/net/net_namespace.js";
import { sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { EAFNOSUPPORT } from "../../include/uapi/asm-generic/errno.js";
import { checkKnown } from "./addrconf.js";
import { dstError, ip6_route_get_saddr, ip6_route_output_flags } from "./route.js";

/**
 * Looks up the route of net.fl6, and a source address if it has none. Returns 0 or a negative
 * errno.
 */
function ip6_dst_lookup_tail(net: Net, bound_dev_if: Ifindex): number {
	const { fl6 } = net;
	let flags = bound_dev_if !== 0 || rt6_need_strict(fl6.daddr, 0) ? RT6_LOOKUP_F_IFACE : 0;
	let rt: Fib6Info | null = null;
	if (ipv6_addr_any(fl6.saddr, 0)) {
		if (fl6.oif !== 0) flags = RT6_LOOKUP_F_IFACE;
		rt = ip6_route_output_flags(net, fl6, flags);
		// If the route has an error, looks up again with the source address.
		if (dstError(rt) !== 0) rt = null;
		const err = ip6_route_get_saddr(net, rt);
		if (err !== 0) return err;
	}
	rt ??= ip6_route_output_flags(net, fl6, flags);
	const err = dstError(rt);
	if (rt === null || err !== 0) return err;

	if (
		ipv6_addr_v4mapped(fl6.saddr, 0) &&
		!ipv6_addr_v4mapped(fl6.daddr, 0) &&
		!ipv6_addr_any(fl6.daddr, 0)
	) {
		return -EAFNOSUPPORT;
	}
	fl6.type = rt.type;
	fl6.iif = rt.oif;
	fl6.answer = rt.answer;
	return 0;
}

/**
 * Looks up the route to an address and fills net.fl6. If the source address is the wildcard, selects
 * one. `oif` is the output device, 0 for any. Returns 0, or
 * - -EADDRNOTAVAIL: there is no source address,
 * - -ENETUNREACH: there is no route,
 * - -EINVAL, -EACCES, -EHOSTUNREACH: it is a blackhole, prohibit or unreachable route,
 * - -EAFNOSUPPORT: the source is a v4-mapped address, the destination is not.
 */
export function ip6_dst_lookup_flow(
	k: Stack,
	sk: Sk,
	saddr: In6Addr,
	si: number,
	daddr: In6Addr,
	di: number,
	oif: Ifindex,
): number {
	const net = sk_net(k, sk);
	const { fl6 } = net;
	ipv6_addr_copy(fl6.saddr, 0, saddr, si);
	ipv6_addr_copy(fl6.daddr, 0, daddr, di);
	fl6.oif = oif;
	fl6.l3mdev = 0;
	checkKnown(net, daddr, di, oif);
	return ip6_dst_lookup_tail(net, k.sock.skc_bound_dev_if[sk]);
}
