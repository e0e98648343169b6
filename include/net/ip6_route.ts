// SPDX-License-Identifier: GPL-2.0-or-later
/** Lookups of IPv6 routes (include/net/ip6_route.h). */
import {
	type In6Addr,
	IPV6_ADDR_LINKLOCAL,
	IPV6_ADDR_LOOPBACK,
	IPV6_ADDR_MULTICAST,
	ipv6_addr_equal,
	ipv6_addr_type,
} from "./ipv6.js";
import type { Fib6Info } from "./net_namespace.js";

/** Flag of a lookup: the route must use the requested output device. */
export const RT6_LOOKUP_F_IFACE = 1;

/** Whether an address is valid only on one link or on this node. */
export function rt6_need_strict(daddr: In6Addr, di: number): boolean {
	return (
		(ipv6_addr_type(daddr, di) &
			(IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL | IPV6_ADDR_LOOPBACK)) !==
		0
	);
}

/** Whether two routes have the same gateway and device. */
export function rt6_duplicate_nexthop(route: Fib6Info, other: Fib6Info): boolean {
	if (route.oif !== other.oif || (route.gateway === null) !== (other.gateway === null))
		return false;
	if (route.gateway === null || other.gateway === null) return true;
	return ipv6_addr_equal(route.gateway, 0, other.gateway, 0);
}
