// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/protocol.c: functions of SCTP for IPv4 addresses, and its operations on AF_INET sockets.
 */

import type { Ifindex, Port, Sk } from "../../include/linux/handle.js";
import {
	ipv4_is_anycast_6to4,
	ipv4_is_lbcast,
	ipv4_is_loopback,
	ipv4_is_multicast,
	ipv4_is_zeronet,
} from "../../include/linux/in.js";
import {
	INET_SEQPACKET_OPS,
	type ProtoOps,
	SOCK_SEQPACKET,
	SOCK_STREAM,
} from "../../include/linux/net.js";
import { AF_INET, AF_INET6, SIZEOF_SOCKADDR_IN, sockaddr_in } from "../../include/linux/socket.js";
import { ip_sock_rt_scope, ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	LOOPBACK_IFINDEX,
	type Net,
	RT_TABLE_LOCAL,
	RTN_LOCAL,
} from "../../include/net/net_namespace.js";
import {
	SCTP_SCOPE_GLOBAL,
	SCTP_SCOPE_LINK,
	SCTP_SCOPE_LOOPBACK,
	SCTP_SCOPE_PRIVATE,
	SCTP_SCOPE_UNUSABLE,
	type SctpAddr,
	type SctpAssociation,
	type SctpBindAddr,
	type SctpDst,
} from "../../include/net/sctp.js";
import { INET_FREEBIND, sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { INADDR_ANY, IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import { proto_register } from "../core/sock.js";
import {
	inet_bind,
	inet_getname,
	inet_recvmsg,
	inet_register_protosw,
	inet_release,
	inet_sendmsg,
	inet_shutdown,
} from "../ipv4/af_inet.js";
import { __ip_dev_find } from "../ipv4/devinet.js";
import { inet_addr_type_table } from "../ipv4/fib_frontend.js";
import {
	ip_route_output_flow,
	ipDatagramDeliverIfindex,
	ipRemoteAnswer,
	segmentDeliverIfindex,
} from "../ipv4/route.js";
import { l3mdev_fib_table_by_index, l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import {
	sctp_add_bind_addr,
	sctp_bind_addr_state,
	sctp_in_scope,
	sctpAddrSupported,
} from "./bind_addr.js";
import { sctp_af_inet6, sctp_pf_inet6 } from "./ipv6.js";
import { sctpTimeout } from "./sm_statefuns.js";
import {
	sctp_getsockopt,
	sctp_inet_connect,
	sctp_inet_listen,
	sctp_prot,
	sctp_setsockopt,
	sctpConnectWait,
	sctpInetAccept,
} from "./socket.js";

/** struct sctp_af: functions that depend on the family of an address. */
export interface SctpAf {
	readonly sa_family: number;
	readonly sockaddr_len: number;
	/** The route from an address of the association to `daddr`, null if there is none. */
	get_dst(k: Stack, asoc: SctpAssociation, daddr: SctpAddr): SctpDst | null;
	/** The route from any address to `daddr`, null if there is none. */
	getAnyDst(k: Stack, asoc: SctpAssociation, daddr: SctpAddr): SctpDst | null;
	/** The device that receives packets to an address, 0 if it is not local. */
	deliverIfindex(net: Net, addr: SctpAddr): Ifindex;
	/** An address of a packet that came on device `dif`. */
	from_skb(addr: SctpAddr, dif: Ifindex): SctpAddr;
	/** The VRF that a packet to `daddr` came through on device `dif`, 0 if none. */
	skb_sdif(net: Net, daddr: SctpAddr, dif: Ifindex): Ifindex;
	/** The local address of a sock, without its port. */
	from_sk(k: Stack, sk: Sk): SctpAddr;
	/** Whether two addresses and their ports are the same. */
	cmp_addr(addr1: SctpAddr, addr2: SctpAddr): boolean;
	/** Whether an address is a unicast address. Converts a v4-mapped address to AF_INET. */
	addr_valid(k: Stack, addr: SctpAddr, sk: Sk): boolean;
	/** Whether bind() accepts an address. Converts a v4-mapped address to AF_INET. */
	available(k: Stack, addr: SctpAddr, sk: Sk): boolean;
	inaddr_any(port: Port): SctpAddr;
	is_any(addr: SctpAddr): boolean;
	/** The scope of an address, SCTP_SCOPE_*. */
	scope(addr: SctpAddr): number;
}

/** struct sctp_pf: functions that depend on the family of a sock. */
export interface SctpPf {
	readonly af: SctpAf;
	af_supported(k: Stack, family: number, sk: Sk): boolean;
	/** Whether two addresses are the same or one is a wildcard. */
	cmp_addr(k: Stack, addr1: SctpAddr, addr2: SctpAddr, sk: Sk): boolean;
	bind_verify(k: Stack, sk: Sk, addr: SctpAddr): boolean;
	send_verify(k: Stack, sk: Sk, addr: SctpAddr): boolean;
	to_sk_saddr(k: Stack, addr: SctpAddr, sk: Sk): void;
	to_sk_daddr(k: Stack, addr: SctpAddr, sk: Sk): void;
	/** Sets the addresses of a sock for getsockname() and getpeername(), after sctp_copy_sock. */
	copySkAddrs(k: Stack, newsk: Sk, sk: Sk, asoc: SctpAssociation): void;
}

/** sctp_get_local_addr_list: the addresses of a namespace, device by device. */
function local_addr_list(net: Net): SctpAddr[] {
	const list: SctpAddr[] = [];
	for (const dev of net.devices) {
		for (const { ifa_local } of dev.ifa_list) list.push(sockaddr_in(ifa_local, 0));
		for (const { addr } of dev.addr_list) {
			const sin6 = sctp_af_inet6.inaddr_any(0);
			sin6.sin6_addr.set(addr);
			sin6.sin6_scope_id = dev.ifindex;
			list.push(sin6);
		}
	}
	return list;
}

/** Adds the addresses of the namespace that are usable in `scope`. */
export function sctp_copy_local_addr_list(
	net: Net,
	bp: SctpBindAddr,
	scope: number,
	copy_flags: number,
): void {
	for (const laddr of local_addr_list(net)) {
		if (!sctp_in_scope(laddr, scope) || !sctpAddrSupported(laddr, copy_flags)) continue;
		laddr.sin_port = bp.port;
		if (!sctp_bind_addr_state(bp, laddr)) sctp_add_bind_addr(bp, laddr);
	}
}

function sctp_v4_from_sk(k: Stack, sk: Sk): SctpAddr {
	return sockaddr_in(k.sock.skc_rcv_saddr[sk], 0);
}

function sctp_v4_to_sk_saddr(k: Stack, addr: SctpAddr, sk: Sk): void {
	k.sock.skc_rcv_saddr[sk] = addr.sin_addr;
}

function sctp_v4_to_sk_daddr(k: Stack, addr: SctpAddr, sk: Sk): void {
	k.sock.skc_daddr[sk] = addr.sin_addr;
}

function sctp_v4_cmp_addr(addr1: SctpAddr, addr2: SctpAddr): boolean {
	return (
		addr1.sin_family === addr2.sin_family &&
		addr1.sin_port === addr2.sin_port &&
		addr1.sin_addr === addr2.sin_addr
	);
}

function sctp_v4_inaddr_any(port: Port): SctpAddr {
	return sockaddr_in(INADDR_ANY, port);
}

function sctp_v4_is_any(addr: SctpAddr): boolean {
	return addr.sin_addr === INADDR_ANY;
}

function isIpv4UnusableAddress(addr: number): boolean {
	return (
		ipv4_is_lbcast(addr) ||
		ipv4_is_multicast(addr) ||
		ipv4_is_zeronet(addr) ||
		ipv4_is_anycast_6to4(addr)
	);
}

function sctp_v4_addr_valid(k: Stack, addr: SctpAddr, sk: Sk): boolean {
	return !ipv6_only_sock(k, sk) && !isIpv4UnusableAddress(addr.sin_addr);
}

function sctp_v4_available(k: Stack, addr: SctpAddr, sk: Sk): boolean {
	const net = sk_net(k, sk);
	let table = RT_TABLE_LOCAL;
	// since 6.2, 0af03170637f
	if (k.changes.has("sctp-l3mdev")) {
		table = l3mdev_fib_table_by_index(net, k.sock.skc_bound_dev_if[sk]) || RT_TABLE_LOCAL;
	}
	const ret = inet_addr_type_table(net, addr.sin_addr, table);
	if (
		addr.sin_addr !== INADDR_ANY &&
		ret !== RTN_LOCAL &&
		(k.sock.inet_flags[sk] & INET_FREEBIND) === 0 &&
		net.ipv4.sysctl_ip_nonlocal_bind === 0
	) {
		return false;
	}
	return !ipv6_only_sock(k, sk);
}

/** The scope of an IPv4 address, SCTP_SCOPE_*. */
function sctp_v4_scope(addr: SctpAddr): number {
	const a = addr.sin_addr;
	if (isIpv4UnusableAddress(a)) return SCTP_SCOPE_UNUSABLE;
	if (ipv4_is_loopback(a)) return SCTP_SCOPE_LOOPBACK;
	if (a >>> 16 === 0xa9fe) return SCTP_SCOPE_LINK; // 169.254/16
	if (
		a >>> 24 === 10 ||
		a >>> 20 === 0xac1 || // 172.16/12
		a >>> 16 === 0xc0a8 || // 192.168/16
		a >>> 17 === 0x6309 // 198.18/15
	) {
		return SCTP_SCOPE_PRIVATE;
	}
	return SCTP_SCOPE_GLOBAL;
}

/** The result of the last route lookup as a SctpDst. */
function v4Dst(net: Net, daddr: number, oif: Ifindex, bound: boolean): SctpDst {
	const saddr = sockaddr_in(net.fl4.saddr, 0);
	const answer = ipRemoteAnswer(net, daddr, oif);
	let dif = segmentDeliverIfindex(net, daddr, oif);
	// By a route to lo this host receives packets to any address.
	if (dif === 0 && answer === "blackhole") dif = ipDatagramDeliverIfindex(net, daddr, oif);
	return { saddr, bound, oif, dif, answer };
}

/**
 * Looks up a route with its preferred source address. This need not be an address of the
 * association.
 */
function sctpV4GetAnyDst(k: Stack, asoc: SctpAssociation, to: SctpAddr): SctpDst | null {
	const net = sk_net(k, asoc.sk);
	const oif = k.sock.skc_bound_dev_if[asoc.sk];
	const bp = asoc.bind_addr;
	const scope = ip_sock_rt_scope(k, asoc.sk);
	if (ip_route_output_flow(net, to.sin_addr, INADDR_ANY, oif, 0, scope) !== 0) return null;
	const dst_saddr = sockaddr_in(net.fl4.saddr, bp.port);
	const bound = bp.address_list.some((laddr) => sctp_v4_cmp_addr(dst_saddr, laddr));
	return v4Dst(net, to.sin_addr, oif, bound);
}

/**
 * The route of sctpV4GetAnyDst if its source address belongs to the association. Otherwise uses the
 * first address of the association that belongs to the output device, or that has a route.
 */
function sctp_v4_get_dst(k: Stack, asoc: SctpAssociation, to: SctpAddr): SctpDst | null {
	const net = sk_net(k, asoc.sk);
	const oif = k.sock.skc_bound_dev_if[asoc.sk];
	const daddr = to.sin_addr;
	const scope = ip_sock_rt_scope(k, asoc.sk);
	let dst = sctpV4GetAnyDst(k, asoc, to);
	if (dst?.bound) return dst;
	dst = null;
	for (const laddr of asoc.bind_addr.address_list) {
		if (laddr.sin_family !== AF_INET) continue;
		if (ip_route_output_flow(net, daddr, laddr.sin_addr, oif, 0, scope) !== 0) continue;
		const found = v4Dst(net, daddr, oif, true);
		// Packets within this kernel leave by lo. For another host the source address does not
		// matter.
		if (found.dif === 0) return found;
		if (__ip_dev_find(net, laddr.sin_addr)?.ifindex === LOOPBACK_IFINDEX) return found;
		dst ??= found;
	}
	return dst;
}

export const sctp_af_inet: SctpAf = {
	sa_family: AF_INET,
	sockaddr_len: SIZEOF_SOCKADDR_IN,
	get_dst: sctp_v4_get_dst,
	getAnyDst: sctpV4GetAnyDst,
	deliverIfindex: (net, addr) => segmentDeliverIfindex(net, addr.sin_addr, 0),
	from_skb: (addr) => addr,
	skb_sdif: (net, _daddr, dif) => l3mdev_master_ifindex_by_index(net, dif),
	from_sk: sctp_v4_from_sk,
	cmp_addr: sctp_v4_cmp_addr,
	addr_valid: sctp_v4_addr_valid,
	available: sctp_v4_available,
	inaddr_any: sctp_v4_inaddr_any,
	is_any: sctp_v4_is_any,
	scope: sctp_v4_scope,
};

/** The functions of an address family, null if SCTP does not support the family. */
export function sctp_get_af_specific(family: number): SctpAf | null {
	if (family === AF_INET) return sctp_af_inet;
	return family === AF_INET6 ? sctp_af_inet6 : null;
}

function sctp_inet_af_supported(_k: Stack, family: number): boolean {
	return family === AF_INET;
}

function sctp_inet_cmp_addr(_k: Stack, addr1: SctpAddr, addr2: SctpAddr): boolean {
	if (addr1.sin_family !== addr2.sin_family) return false;
	return (
		addr1.sin_addr === INADDR_ANY ||
		addr2.sin_addr === INADDR_ANY ||
		addr1.sin_addr === addr2.sin_addr
	);
}

/** The part of sctp_v4_create_accept_sk that depends on the family. */
function sctpV4CopySkAddrs(k: Stack, newsk: Sk, sk: Sk, asoc: SctpAssociation): void {
	const S = k.sock;
	S.inet_saddr[newsk] = S.inet_saddr[sk];
	S.skc_rcv_saddr[newsk] = S.skc_rcv_saddr[sk];
	S.skc_daddr[newsk] = asoc.peer.primary_addr.sin_addr;
}

const sctp_pf_inet: SctpPf = {
	af: sctp_af_inet,
	af_supported: sctp_inet_af_supported,
	cmp_addr: sctp_inet_cmp_addr,
	bind_verify: (k, sk, addr) => sctp_v4_available(k, addr, sk),
	send_verify: () => true,
	to_sk_saddr: sctp_v4_to_sk_saddr,
	to_sk_daddr: sctp_v4_to_sk_daddr,
	copySkAddrs: sctpV4CopySkAddrs,
};

/** sp->pf: the functions for the family of a sock. */
export function sctp_pf(k: Stack, sk: Sk): SctpPf {
	return k.sock.skc_family[sk] === AF_INET6 ? sctp_pf_inet6 : sctp_pf_inet;
}

const inet_seqpacket_ops: ProtoOps = {
	ops: INET_SEQPACKET_OPS,
	release: inet_release,
	bind: inet_bind,
	connect: sctp_inet_connect,
	connect_wait: sctpConnectWait,
	accept: sctpInetAccept,
	getname: inet_getname,
	listen: sctp_inet_listen,
	shutdown: inet_shutdown,
	setsockopt: sctp_setsockopt,
	getsockopt: sctp_getsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export function sctp_v4_protosw_init(k: Stack): void {
	const prot = sctp_prot;
	const ops = inet_seqpacket_ops;
	proto_register(k, prot);
	k.sctp_globals.timeout = sctpTimeout;
	inet_register_protosw(k, { type: SOCK_SEQPACKET, protocol: IPPROTO_SCTP, prot, ops });
	inet_register_protosw(k, { type: SOCK_STREAM, protocol: IPPROTO_SCTP, prot, ops });
}
