// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/ipv6.c: functions of SCTP for IPv6 addresses, and its operations on AF_INET6 sockets.
 */

import type { Ifindex, Port, Sk, Sock } from "../../include/linux/handle.js";
import {
	INET6_SEQPACKET_OPS,
	type ProtoOps,
	SOCK_SEQPACKET,
	SOCK_STREAM,
} from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	type In6Addr,
	IPV6_ADDR_ANY,
	IPV6_ADDR_LINKLOCAL,
	IPV6_ADDR_LOOPBACK,
	IPV6_ADDR_MAPPED,
	IPV6_ADDR_SITELOCAL,
	IPV6_ADDR_UNICAST,
	in6addr_any,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_diff,
	ipv6_addr_equal,
	ipv6_addr_set_v4mapped,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
	ipv6_can_nonlocal_bind,
} from "../../include/net/ipv6.js";
import { LOOPBACK_IFINDEX, type Net } from "../../include/net/net_namespace.js";
import {
	SCTP_SCOPE_GLOBAL,
	SCTP_SCOPE_LINK,
	SCTP_SCOPE_LOOPBACK,
	SCTP_SCOPE_PRIVATE,
	type SctpAddr,
	type SctpAssociation,
	type SctpDst,
	sctp_sk,
	sctp_v4_map_v6,
	sctp_v6_map_v4,
} from "../../include/net/sctp.js";
import { INET_RECVERR6, sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import { dev_get_by_index } from "../core/dev.js";
import { proto_register } from "../core/sock.js";
import { inet_recvmsg, inet_release, inet_sendmsg, inet_shutdown } from "../ipv4/af_inet.js";
import { ipv6_chk_addr } from "../ipv6/addrconf.js";
import { inet6_bind, inet6_getname, inet6_register_protosw } from "../ipv6/af_inet6.js";
import { ip6_dst_lookup_flow } from "../ipv6/ip6_output.js";
import { inet6_sdif, ip6LocalDeliverIfindex, ip6RemoteAnswer } from "../ipv6/route.js";
import { sctp_is_any } from "./bind_addr.js";
import { type SctpAf, type SctpPf, sctp_af_inet, sctp_get_af_specific } from "./protocol.js";
import {
	sctp_getsockopt,
	sctp_inet_connect,
	sctp_inet_listen,
	sctp_setsockopt,
	sctpConnectWait,
	sctpInetAccept,
	sctpv6_prot,
} from "./socket.js";

export { sctpv6_prot } from "./socket.js";

/**
 * This kernel answers by ICMPv6 that there is no route: an error that ends nothing. SO_ERROR takes
 * it.
 */
export function sctp_v6_err_handle(k: Stack, { sk }: SctpAssociation): void {
	const S = k.sock;
	const recverr = (S.inet_flags[sk] & INET_RECVERR6) !== 0;
	if (recverr && k.sctp_globals.owned !== sk) S.sk_err[sk] = ENETUNREACH;
	else S.sk_err_soft[sk] = ENETUNREACH;
}

function isLinkLocal(addr: SctpAddr): boolean {
	return (ipv6_addr_type(addr.sin6_addr, 0) & IPV6_ADDR_LINKLOCAL) !== 0;
}

/** The required output device of packets to an address, 0 for any. */
function v6Oif(k: Stack, asoc: SctpAssociation, daddr: SctpAddr): Ifindex {
	return isLinkLocal(daddr) ? daddr.sin6_scope_id : k.sock.skc_bound_dev_if[asoc.sk];
}

/** The result of the last route lookup as a SctpDst. */
function v6Dst(net: Net, daddr: In6Addr, oif: Ifindex, bound: boolean): SctpDst {
	return {
		saddr: sctp_v6_to_addr(net.fl6.saddr, 0),
		bound,
		oif,
		dif: ip6LocalDeliverIfindex(net, daddr, 0, oif),
		answer: ip6RemoteAnswer(net, daddr, 0, oif),
	};
}

/**
 * Looks up a route with its preferred source address. This need not be an address of the
 * association.
 */
function sctpV6GetAnyDst(k: Stack, asoc: SctpAssociation, to: SctpAddr): SctpDst | null {
	const bp = asoc.bind_addr;
	const oif = v6Oif(k, asoc, to);
	if (ip6_dst_lookup_flow(k, asoc.sk, in6addr_any, 0, to.sin6_addr, 0, oif) !== 0) return null;
	const dst_saddr = sctp_v6_to_addr(sk_net(k, asoc.sk).fl6.saddr, 0);
	dst_saddr.sin_port = bp.port;
	const bound = bp.address_list.some(
		(laddr) => laddr.sin_family === AF_INET6 && sctp_v6_cmp_addr(dst_saddr, laddr),
	);
	return v6Dst(sk_net(k, asoc.sk), to.sin6_addr, oif, bound);
}

/**
 * The route of sctpV6GetAnyDst if its source address belongs to the association. Otherwise uses the
 * association's address on the output device, or the one with the longest common prefix with the
 * destination.
 */
function sctp_v6_get_dst(k: Stack, asoc: SctpAssociation, to: SctpAddr): SctpDst | null {
	const net = sk_net(k, asoc.sk);
	const oif = v6Oif(k, asoc, to);
	const daddr = to.sin6_addr;
	let dst = sctpV6GetAnyDst(k, asoc, to);
	if (dst?.bound) return dst;
	dst = null;
	const scope = sctp_v6_scope(to);
	let matchlen = 0;
	for (const laddr of asoc.bind_addr.address_list) {
		if (laddr.sin_family !== AF_INET6 || scope > sctp_v6_scope(laddr)) continue;
		if (ip6_dst_lookup_flow(k, asoc.sk, laddr.sin6_addr, 0, daddr, 0, oif) !== 0) continue;
		const found = v6Dst(net, daddr, oif, true);
		// Packets within this kernel leave by lo. For another host the source address does not
		// matter.
		if (found.dif === 0) return found;
		if (ipv6_chk_addr(net, laddr.sin6_addr, 0, LOOPBACK_IFINDEX, true)) return found;
		const bmatchlen = ipv6_addr_diff(daddr, 0, laddr.sin6_addr, 0);
		if (matchlen > bmatchlen) continue;
		dst = found;
		matchlen = bmatchlen;
	}
	return dst;
}

/** An address of a packet. Its scope is the device that received the packet. */
function sctp_v6_from_skb(addr: SctpAddr, dif: Ifindex): SctpAddr {
	return { ...addr, sin6_scope_id: dif };
}

function sctp_v6_from_sk(k: Stack, sk: Sk): SctpAddr {
	return sctp_v6_to_addr(k.sock.skc_v6_rcv_saddr, sk * 4);
}

function toV6Column(column: Uint32Array, addr: SctpAddr, sk: Sk): void {
	if (addr.sin_family === AF_INET) ipv6_addr_set_v4mapped(addr.sin_addr, column, sk * 4);
	else ipv6_addr_copy(column, sk * 4, addr.sin6_addr, 0);
}

function sctp_v6_to_sk_saddr(k: Stack, addr: SctpAddr, sk: Sk): void {
	toV6Column(k.sock.skc_v6_rcv_saddr, addr, sk);
}

function sctp_v6_to_sk_daddr(k: Stack, addr: SctpAddr, sk: Sk): void {
	toV6Column(k.sock.skc_v6_daddr, addr, sk);
}

/** A struct for an address, without port and scope id. */
function sctp_v6_to_addr(saddr: Uint32Array, i: number): SctpAddr {
	const addr = sctp_v6_inaddr_any(0);
	ipv6_addr_copy(addr.sin6_addr, 0, saddr, i);
	return addr;
}

function __sctp_v6_cmp_addr(addr1: SctpAddr, addr2: SctpAddr): boolean {
	if (addr1.sin_family !== addr2.sin_family) {
		const v4 = addr1.sin_family === AF_INET ? addr1 : addr2;
		const v6 = addr1.sin_family === AF_INET ? addr2 : addr1;
		return (
			v4.sin_family === AF_INET &&
			v6.sin_family === AF_INET6 &&
			ipv6_addr_v4mapped(v6.sin6_addr, 0) &&
			v6.sin6_addr[3] === v4.sin_addr
		);
	}
	if (!ipv6_addr_equal(addr1.sin6_addr, 0, addr2.sin6_addr, 0)) return false;
	const { sin6_scope_id } = addr1;
	return (
		!isLinkLocal(addr1) ||
		sin6_scope_id === 0 ||
		addr2.sin6_scope_id === 0 ||
		sin6_scope_id === addr2.sin6_scope_id
	);
}

function sctp_v6_cmp_addr(addr1: SctpAddr, addr2: SctpAddr): boolean {
	return __sctp_v6_cmp_addr(addr1, addr2) && addr1.sin_port === addr2.sin_port;
}

function sctp_v6_inaddr_any(port: Port): SctpAddr {
	return {
		sin_family: AF_INET6,
		sin_port: port,
		sin_addr: 0,
		sin6_addr: new Uint32Array(4),
		sin6_scope_id: 0,
	};
}

function sctp_v6_is_any(addr: SctpAddr): boolean {
	return ipv6_addr_any(addr.sin6_addr, 0);
}

function sctp_v6_available(k: Stack, addr: SctpAddr, sk: Sk): boolean {
	const net = sk_net(k, sk);
	const type = ipv6_addr_type(addr.sin6_addr, 0);
	if (type === IPV6_ADDR_ANY) return true;
	if (type === IPV6_ADDR_MAPPED) {
		// C asks ipv6_only_sock() as well. sctp_sockaddr_af has refused such an address already.
		sctp_v6_map_v4(addr);
		return sctp_af_inet.available(k, addr, sk);
	}
	if ((type & IPV6_ADDR_UNICAST) === 0) return false;

	let ifindex = 0; // any device outside a VRF
	// since 6.2, 0af03170637f
	if (k.changes.has("sctp-l3mdev")) {
		ifindex = k.sock.skc_bound_dev_if[sk];
		if (ifindex !== 0 && dev_get_by_index(net, ifindex) === null) return false;
	}
	return (
		ipv6_can_nonlocal_bind(net, k.sock.inet_flags[sk]) ||
		ipv6_chk_addr(net, addr.sin6_addr, 0, ifindex, false)
	);
}

function sctp_v6_addr_valid(k: Stack, addr: SctpAddr, sk: Sk): boolean {
	const type = ipv6_addr_type(addr.sin6_addr, 0);
	if (type === IPV6_ADDR_MAPPED) {
		if (ipv6_only_sock(k, sk)) return false;
		sctp_v6_map_v4(addr);
		return sctp_af_inet.addr_valid(k, addr, sk);
	}
	return (type & IPV6_ADDR_UNICAST) !== 0;
}

/** The scope of an IPv6 address, SCTP_SCOPE_*. */
function sctp_v6_scope(addr: SctpAddr): number {
	// ipv6_addr_scope in C: IFA_HOST, IFA_LINK and IFA_SITE are bits of the type.
	const type = ipv6_addr_type(addr.sin6_addr, 0);
	if ((type & IPV6_ADDR_LOOPBACK) !== 0) return SCTP_SCOPE_LOOPBACK;
	if ((type & IPV6_ADDR_LINKLOCAL) !== 0) return SCTP_SCOPE_LINK;
	return (type & IPV6_ADDR_SITELOCAL) !== 0 ? SCTP_SCOPE_PRIVATE : SCTP_SCOPE_GLOBAL;
}

/** Converts an address to the form that the program asked for (SCTP_I_WANT_MAPPED_V4_ADDR). */
function sctp_v6_addr_to_user(k: Stack, sk: Sk, addr: SctpAddr): void {
	if (sctp_sk(k, sk).v4mapped) {
		if (addr.sin_family === AF_INET) sctp_v4_map_v6(addr);
	} else if (addr.sin_family === AF_INET6 && ipv6_addr_v4mapped(addr.sin6_addr, 0)) {
		sctp_v6_map_v4(addr);
	}
}

export const sctp_af_inet6: SctpAf = {
	sa_family: AF_INET6,
	sockaddr_len: SIZEOF_SOCKADDR_IN6,
	get_dst: sctp_v6_get_dst,
	getAnyDst: sctpV6GetAnyDst,
	deliverIfindex: (net, addr) =>
		ip6LocalDeliverIfindex(net, addr.sin6_addr, 0, isLinkLocal(addr) ? addr.sin6_scope_id : 0),
	from_skb: sctp_v6_from_skb,
	skb_sdif: (net, daddr, dif) => inet6_sdif(net, daddr.sin6_addr, 0, dif),
	from_sk: sctp_v6_from_sk,
	cmp_addr: sctp_v6_cmp_addr,
	addr_valid: sctp_v6_addr_valid,
	available: sctp_v6_available,
	inaddr_any: sctp_v6_inaddr_any,
	is_any: sctp_v6_is_any,
	scope: sctp_v6_scope,
};

function sctp_inet6_af_supported(k: Stack, family: number, sk: Sk): boolean {
	return family === AF_INET6 || (family === AF_INET && !ipv6_only_sock(k, sk));
}

function sctp_inet6_cmp_addr(k: Stack, addr1: SctpAddr, addr2: SctpAddr, sk: Sk): boolean {
	const af1 = sctp_get_af_specific(addr1.sin_family);
	const af2 = sctp_get_af_specific(addr2.sin_family);
	if (af1 === null || af2 === null) return false;
	if (ipv6_only_sock(k, sk) && af1 !== af2) return false;
	// A wildcard of one family also covers the other family.
	if (sctp_is_any(k, sk, addr1) || sctp_is_any(k, sk, addr2)) return true;
	if (addr1.sin_family === AF_INET && addr2.sin_family === AF_INET) {
		return addr1.sin_addr === addr2.sin_addr;
	}
	return __sctp_v6_cmp_addr(addr1, addr2);
}

function sctp_inet6_bind_verify(k: Stack, sk: Sk, addr: SctpAddr): boolean {
	if (addr.sin_family !== AF_INET6) {
		return sctp_get_af_specific(addr.sin_family)?.available(k, addr, sk) ?? false;
	}
	if (isLinkLocal(addr)) {
		const net = sk_net(k, sk);
		const scope_id = addr.sin6_scope_id;
		if (scope_id === 0 || dev_get_by_index(net, scope_id) === null) return false;
		if (
			!ipv6_can_nonlocal_bind(net, k.sock.inet_flags[sk]) &&
			!ipv6_chk_addr(net, addr.sin6_addr, 0, scope_id, false)
		) {
			return false;
		}
	}
	return sctp_v6_available(k, addr, sk);
}

function sctp_inet6_send_verify(k: Stack, sk: Sk, addr: SctpAddr): boolean {
	if (addr.sin_family !== AF_INET6) return true;
	if (!isLinkLocal(addr)) return true;
	const scope_id = addr.sin6_scope_id;
	return scope_id !== 0 && dev_get_by_index(sk_net(k, sk), scope_id) !== null;
}

/** The part of sctp_v6_create_accept_sk that depends on the family. */
function sctpV6CopySkAddrs(k: Stack, newsk: Sk, sk: Sk, asoc: SctpAssociation): void {
	const S = k.sock;
	S.inet_saddr[newsk] = S.inet_saddr[sk];
	S.skc_rcv_saddr[newsk] = S.skc_rcv_saddr[sk];
	sctp_sk(k, newsk).v4mapped = sctp_sk(k, sk).v4mapped;
	ipv6_addr_copy(S.np_saddr, newsk * 4, S.np_saddr, sk * 4);
	sctp_v6_to_sk_daddr(k, asoc.peer.primary_addr, newsk);
	ipv6_addr_copy(S.skc_v6_rcv_saddr, newsk * 4, S.skc_v6_rcv_saddr, sk * 4);
}

export const sctp_pf_inet6: SctpPf = {
	af: sctp_af_inet6,
	af_supported: sctp_inet6_af_supported,
	cmp_addr: sctp_inet6_cmp_addr,
	bind_verify: sctp_inet6_bind_verify,
	send_verify: sctp_inet6_send_verify,
	to_sk_saddr: sctp_v6_to_sk_saddr,
	to_sk_daddr: sctp_v6_to_sk_daddr,
	copySkAddrs: sctpV6CopySkAddrs,
};

function sctp_getname(k: Stack, sock: Sock, peer: number): Sockaddr | number {
	const name = inet6_getname(k, sock, peer);
	if (typeof name !== "number") sctp_v6_addr_to_user(k, k.socket.sk[sock], name);
	return name;
}

const inet6_seqpacket_ops: ProtoOps = {
	ops: INET6_SEQPACKET_OPS,
	release: inet_release, // inet6_release
	bind: inet6_bind,
	connect: sctp_inet_connect,
	connect_wait: sctpConnectWait,
	accept: sctpInetAccept,
	getname: sctp_getname,
	listen: sctp_inet_listen,
	shutdown: inet_shutdown,
	setsockopt: sctp_setsockopt,
	getsockopt: sctp_getsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export function sctp_v6_protosw_init(k: Stack): void {
	const prot = sctpv6_prot;
	const ops = inet6_seqpacket_ops;
	proto_register(k, prot);
	inet6_register_protosw(k, { type: SOCK_SEQPACKET, protocol: IPPROTO_SCTP, prot, ops });
	inet6_register_protosw(k, { type: SOCK_STREAM, protocol: IPPROTO_SCTP, prot, ops });
}
