// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/input.c: which endpoint or association receives a packet, and the tables of listening
 * endpoints and of associations.
 */
import type { Ifindex, Port, Sk } from "../../include/linux/handle.js";
import { jhash_3words, jhash2Of4 } from "../../include/linux/jhash.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import type { Net } from "../../include/net/net_namespace.js";
import {
	SCTP_CID_ABORT,
	SCTP_CID_SHUTDOWN_COMPLETE,
	type SctpAddr,
	type SctpAssociation,
	type SctpEndpoint,
	type SctpPacket,
	sctp_ep_hashfn,
	sctp_sk,
} from "../../include/net/sctp.js";
import { sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { swab16, swab32 } from "../../include/uapi/linux/swab.js";
import { sock_i_uid } from "../core/sock.js";
import {
	reuseport_add_sock,
	reuseport_alloc,
	reuseport_detach_sock,
	reuseport_select_sock,
} from "../core/sock_reuseport.js";
import { sctp_assoc_lookup_paddr } from "./associola.js";
import { sctp_bind_addr_match, sctp_bind_addrs_check } from "./bind_addr.js";
import { sctp_endpoint_is_match } from "./endpointola.js";
import { sctp_get_af_specific } from "./protocol.js";
import { sctpChunk } from "./sm_statefuns.js";

/**
 * Delivers all packets in flight, and those that they cause. Packets for a sock that a call holds
 * wait in its backlog.
 */
export function sctpReceive(k: Stack): void {
	const { packets } = k.sctp_globals;
	for (let i = 0; i < packets.length; i++) {
		const packet = packets[i];
		if (packet !== undefined) sctp_rcv(k, packet);
	}
	packets.length = 0;
}

/** lock_sock: a call holds the sock. */
export function sctpLockSock(k: Stack, sk: Sk): void {
	k.sctp_globals.owned = sk;
}

/** release_sock: processes the packets that came for the sock while a call held it. */
export function sctpReleaseSock(k: Stack): void {
	const { backlog } = k.sctp_globals;
	for (let packet = backlog.shift(); packet !== undefined; packet = backlog.shift()) {
		// sctp_backlog_rcv
		if (packet.asoc?.dead !== true && packet.ep !== null) sctpChunk(k, packet);
		sctpReceive(k);
	}
	k.sctp_globals.owned = 0;
}

/** Finds the receiver of a packet. ABORT and SHUTDOWN COMPLETE out of the blue are dropped. */
function sctp_rcv(k: Stack, packet: SctpPacket): void {
	const { net, dif, type } = packet;
	const af = sctp_get_af_specific(packet.src.sin_family);
	if (af === null) return;
	const src = af.from_skb(packet.src, dif);
	const dest = af.from_skb(packet.dest, dif);
	const sdif = af.skb_sdif(net, dest, dif);
	packet.src = src;
	packet.dest = dest;
	const bound_dev_if = k.sock.skc_bound_dev_if;
	packet.asoc = __sctp_rcv_lookup(k, packet, sdif);
	packet.ep = packet.asoc?.ep ?? __sctp_rcv_lookup_endpoint(k, net, dest, src, dif, sdif);
	if (packet.asoc === null && (type === SCTP_CID_ABORT || type === SCTP_CID_SHUTDOWN_COMPLETE)) {
		return;
	}
	// Without sctp-l3mdev the lookups do not ask for the device, and the control sock answers.
	const l3mdev = k.changes.has("sctp-l3mdev"); // since 6.2, 0af03170637f
	if (!l3mdev && packet.ep !== null && !sctp_sk_bound_dev_eq(bound_dev_if[packet.ep.sk], dif, 0)) {
		packet.asoc = null;
		packet.ep = null;
	}
	if (packet.ep !== null && packet.ep.sk === k.sctp_globals.owned) {
		k.sctp_globals.backlog.push(packet);
	} else sctpChunk(k, packet);
}

/** Adds a listening endpoint to ep_hashtable. Returns 0 or a negative errno. */
export function sctp_hash_endpoint(k: Stack, ep: SctpEndpoint): number {
	const { sk } = ep;
	const S = k.sock;
	const net = sk_net(k, sk);
	const hashent = sctp_ep_hashfn(net, ep.bind_addr.port);
	const chain = k.sctp_globals.ep_hashtable[hashent];
	if (S.skc_reuseport[sk] !== 0) {
		const cnt = ep.bind_addr.address_list.length;
		let err = 1;
		for (const { sk: sk2 } of chain) {
			if (
				sk_net(k, sk2) !== net ||
				sk2 === sk ||
				sock_i_uid(k, sk2) !== sock_i_uid(k, sk) ||
				S.skc_reuseport[sk2] === 0
			) {
				continue;
			}
			err = sctp_bind_addrs_check(k, sk2, sk, cnt);
			if (err < 0) return err;
			if (err === 0) {
				err = reuseport_add_sock(k, sk, sk2);
				if (err !== 0) return err;
				break;
			}
		}
		if (err !== 0) {
			err = reuseport_alloc(k, sk);
			if (err !== 0) return err;
		}
	}
	ep.hashent = hashent;
	chain.unshift(ep);
	return 0;
}

/**
 * Removes an endpoint from ep_hashtable. If it is not there, it only leaves its reuseport group.
 */
export function sctp_unhash_endpoint(k: Stack, ep: SctpEndpoint): void {
	if (k.sock.sk_reuseport_cb[ep.sk] !== 0) reuseport_detach_sock(k, ep.sk);
	if (ep.hashent === -1) return;
	const chain = k.sctp_globals.ep_hashtable[ep.hashent];
	chain.splice(chain.indexOf(ep), 1);
	ep.hashent = -1;
}

/** Hash of a peer's address and a local port. It selects a member of a reuseport group. */
function sctp_hashfn(net: Net, lport: Port, paddr: SctpAddr): number {
	let addr = swab32(paddr.sin_addr);
	if (paddr.sin_family === AF_INET6) {
		// jhash() of sixteen bytes is jhash2() of four words.
		const a = paddr.sin6_addr;
		addr = jhash2Of4(swab32(a[0]), swab32(a[1]), swab32(a[2]), swab32(a[3]), 0);
	}
	const ports = (swab16(paddr.sin_port) << 16) | swab16(lport);
	return jhash_3words(addr, ports, net.hash_mix, 0);
}

/**
 * The endpoint that receives packets from `paddr` to `laddr` on device `dif`, null if none listens
 * there.
 */
function __sctp_rcv_lookup_endpoint(
	k: Stack,
	net: Net,
	laddr: SctpAddr,
	paddr: SctpAddr,
	dif: Ifindex,
	sdif: Ifindex,
): SctpEndpoint | null {
	const l3mdev = k.changes.has("sctp-l3mdev"); // since 6.2, 0af03170637f
	const bound = k.sock.skc_bound_dev_if;
	for (const ep of k.sctp_globals.ep_hashtable[sctp_ep_hashfn(net, laddr.sin_port)]) {
		if (!sctp_endpoint_is_match(k, ep, net, laddr)) continue;
		if (l3mdev && !sctp_sk_bound_dev_eq(bound[ep.sk], dif, sdif)) continue;
		if (k.sock.skc_reuseport[ep.sk] === 0) return ep;
		const sk = reuseport_select_sock(k, ep.sk, sctp_hashfn(net, laddr.sin_port, paddr));
		return sk === 0 ? ep : sctp_sk(k, sk).ep;
	}
	return null;
}

/**
 * Key of transport_hashtable. Callers tell apart socks that share a port, and v4-mapped addresses.
 */
function transportKey(net: Net, lport: Port, paddr: SctpAddr): string {
	const addr = paddr.sin_family === AF_INET6 ? paddr.sin6_addr.join(":") : paddr.sin_addr;
	return `${net.id} ${lport} ${addr} ${paddr.sin_port}`;
}

/**
 * Adds an association under an address of its peer. Returns false if its endpoint has one there.
 */
export function sctp_hash_transport(k: Stack, asoc: SctpAssociation, addr: SctpAddr): boolean {
	const table = k.sctp_globals.transport_hashtable;
	const key = transportKey(sk_net(k, asoc.sk), asoc.bind_addr.port, addr);
	const list = table.get(key) ?? [];
	if (list.some((other) => other.ep === asoc.ep)) return false;
	table.set(key, [asoc, ...list]);
	return true;
}

export function sctp_unhash_transport(k: Stack, asoc: SctpAssociation, addr: SctpAddr): void {
	const table = k.sctp_globals.transport_hashtable;
	const key = transportKey(sk_net(k, asoc.sk), asoc.bind_addr.port, addr);
	const left = (table.get(key) ?? []).filter((other) => other !== asoc);
	if (left.length === 0) table.delete(key);
	else table.set(key, left);
}

/**
 * Whether a sock bound to a device receives packets of device `dif`, which came through VRF `sdif`.
 * net.sctp.l3mdev_accept is 1.
 */
function sctp_sk_bound_dev_eq(bound_dev_if: Ifindex, dif: Ifindex, sdif: Ifindex): boolean {
	return bound_dev_if === 0 || bound_dev_if === dif || bound_dev_if === sdif;
}

/** The associations between a local port and an address of a peer. */
function transports(k: Stack, net: Net, lport: Port, paddr: SctpAddr): readonly SctpAssociation[] {
	const list = k.sctp_globals.transport_hashtable.get(transportKey(net, lport, paddr)) ?? [];
	return list.filter((asoc) => sctp_assoc_lookup_paddr(asoc, paddr) !== null);
}

/** The association of an endpoint with a peer, null if none. */
export function sctp_epaddr_lookup_transport(
	k: Stack,
	ep: SctpEndpoint,
	paddr: SctpAddr,
): SctpAssociation | null {
	const found = transports(k, sk_net(k, ep.sk), ep.bind_addr.port, paddr);
	return found.find((asoc) => asoc.ep === ep) ?? null;
}

/** The association between two addresses that receives packets of a device, null if none. */
function sctp_lookup_association(
	k: Stack,
	net: Net,
	laddr: SctpAddr,
	paddr: SctpAddr,
	dif: Ifindex,
	sdif: Ifindex,
): SctpAssociation | null {
	const l3mdev = k.changes.has("sctp-l3mdev"); // since 6.2, 0af03170637f
	for (const asoc of transports(k, net, laddr.sin_port, paddr)) {
		if (l3mdev && !sctp_sk_bound_dev_eq(k.sock.skc_bound_dev_if[asoc.sk], dif, sdif)) continue;
		if (sctp_bind_addr_match(k, asoc.bind_addr, laddr, asoc.sk)) return asoc;
	}
	return null;
}

export function sctp_has_association(
	k: Stack,
	net: Net,
	laddr: SctpAddr,
	paddr: SctpAddr,
	dif: Ifindex,
	sdif: Ifindex,
): boolean {
	return sctp_lookup_association(k, net, laddr, paddr, dif, sdif) !== null;
}

/**
 * The association of a packet: by its addresses, or by the addresses that an INIT or INIT ACK lists
 * (__sctp_rcv_init_lookup). Stores the address of the peer in the packet.
 */
function __sctp_rcv_lookup(k: Stack, packet: SctpPacket, sdif: Ifindex): SctpAssociation | null {
	const { net, src, dest, dif, init } = packet;
	for (const addr of [src, ...(init?.addrs ?? [])]) {
		const paddr = { ...addr, sin_port: src.sin_port };
		const asoc = sctp_lookup_association(k, net, dest, paddr, dif, sdif);
		if (asoc === null) continue;
		packet.transport = sctp_assoc_lookup_paddr(asoc, paddr);
		return asoc;
	}
	return null;
}
