// SPDX-License-Identifier: GPL-2.0-or-later
/** Why an address is refused before anything else is looked at. See failures.ts. */
import {
	AF_INET,
	AF_INET6,
	SIN6_LEN_RFC2133,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	SIZEOF_SOCKADDR_STORAGE,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	__ipv6_addr_needs_scope_id,
	type In6Addr,
	IPV6_ADDR_LINKLOCAL,
	IPV6_ADDR_MAPPED,
	IPV6_ADDR_MULTICAST,
	IPV6_ADDR_UNICAST,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
} from "../../include/net/ipv6.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../../net/core/dev.js";
import { formatIpv6 } from "./address.js";
import { type Asked, anAddress, ownFamily, type Reason } from "./asked.js";
import { deviceName, plural } from "./describe.js";
import { nth } from "./nth.js";
import type { Syscall } from "./syscall.js";

// Addresses in words

export const v6 = (addr: In6Addr, at = 0): string => formatIpv6(addr, at);

export function* addrlenReasons({ length = 0 }: Syscall): Iterable<Reason> {
	if (length >= 0 && length <= SIZEOF_SOCKADDR_STORAGE) return;
	const why = `the length of the address is ${length}, not one of 0 to ${SIZEOF_SOCKADDR_STORAGE}`;
	yield [E.EINVAL, "move_addr_to_kernel", why];
}

/** What has a number of bytes. */
const SIZES: ReadonlyMap<number, string> = new Map([
	[SIZEOF_SA_FAMILY, "the family alone has"],
	[SIZEOF_SOCKADDR_IN, "struct sockaddr_in has"],
	[SIN6_LEN_RFC2133, "struct sockaddr_in6 has at least"],
	[SIZEOF_SOCKADDR_IN6, "struct sockaddr_in6 has"],
]);

export function shortAddress(where: string, length: number, least: number): Reason {
	const why = `an address of ${plural(length, "byte")} is too short: ${SIZES.get(least) ?? "it needs"} ${least}`;
	return [E.EINVAL, where, why];
}

/** A v4-mapped address on a socket that takes IPv6 alone. */
export function* v6OnlyReasons(
	{ k, ssk }: Asked,
	errno: number,
	where: string,
	addr: In6Addr,
): Iterable<Reason> {
	if (!ipv6_only_sock(k, ssk)) return;
	yield [errno, where, `the socket is IPV6_V6ONLY, and ${v6(addr)} is an IPv4 address`];
}

/** net/sctp/socket.c: sctp_sockaddr_af. */
export function* sctpAddress(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const where = "sctp_sockaddr_af";
	const { sin_family: af } = addr;
	const six = a.k.sock.skc_family[a.sk] === AF_INET6;
	if (length < SIZEOF_SOCKADDR_IN) yield shortAddress(where, length, SIZEOF_SOCKADDR_IN);
	if (af !== AF_INET && (af !== AF_INET6 || !six)) {
		const why = `an ${ownFamily(a)} socket does not take ${anAddress(af)}`;
		yield [E.EINVAL, where, why];
		return;
	}
	const mapped = af === AF_INET6 && ipv6_addr_v4mapped(addr.sin6_addr, 0);
	if (af === AF_INET && six) {
		const only = "the socket is IPV6_V6ONLY, and the address is one of IPv4";
		if (ipv6_only_sock(a.k, a.sk)) yield [E.EINVAL, where, only];
	}
	if (mapped) yield* v6OnlyReasons(a, E.EINVAL, where, addr.sin6_addr);
	const least = af === AF_INET6 ? SIZEOF_SOCKADDR_IN6 : SIZEOF_SOCKADDR_IN;
	if (length < least) yield shortAddress(where, length, least);
}

/** net/sctp/socket.c: sctp_verify_addr. `text` is the address in words. */
export function* sctpPeer(
	a: Asked,
	addr: Sockaddr,
	length: number,
	text: string,
): Iterable<Reason> {
	const { net } = a;
	yield* sctpAddress(a, addr, length);
	const type = addr.sin_family === AF_INET6 ? ipv6_addr_type(addr.sin6_addr, 0) : 0;
	if (addr.sin_family === AF_INET6 && type !== IPV6_ADDR_MAPPED) {
		if ((type & IPV6_ADDR_UNICAST) === 0) {
			yield [E.EINVAL, "sctp_v6_addr_valid", `${text} is not a unicast address`];
		}
		if ((type & IPV6_ADDR_LINKLOCAL) !== 0) {
			const scope = addr.sin6_scope_id;
			const why = `${text} is valid on one link only, and its scope names no device`;
			if (scope === 0 || dev_get_by_index(net, scope) === null) {
				yield [E.EINVAL, "sctp_inet6_send_verify", why];
			}
		}
		return;
	}
	yield [E.EINVAL, "sctp_v4_addr_valid", `${text} is not a unicast address that a peer can have`];
}

/** The checks of an IPv6 destination before its route is looked up. */
export function* scopeReasons(
	{ k, ssk }: Asked,
	where: string,
	addr: Sockaddr,
	length: number,
	stream: boolean,
): Iterable<Reason> {
	const type = ipv6_addr_type(addr.sin6_addr, 0);
	const to = v6(addr.sin6_addr);
	if (stream && (type & IPV6_ADDR_MULTICAST) !== 0) {
		yield [E.ENETUNREACH, where, `${to} is a multicast address`];
	}
	const linked = stream ? (type & IPV6_ADDR_LINKLOCAL) !== 0 : __ipv6_addr_needs_scope_id(type);
	if (!linked) return;
	const scope = length >= SIZEOF_SOCKADDR_IN6 ? addr.sin6_scope_id : 0;
	const device = nth(k.sock.skc_bound_dev_if, ssk);
	if (scope !== 0 && device !== 0 && scope !== device) {
		const bound = deviceName(k, ssk, device);
		yield [
			E.EINVAL,
			where,
			`the scope ${scope} of ${to} is not the device of the socket (${bound})`,
		];
	}
	if (scope === 0 && device === 0) {
		yield [E.EINVAL, where, `${to} is valid on one link only, and no device is named`];
	}
}
