// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/associola.c: associations, and the addresses of their peers. */
import type { Sk } from "../../include/linux/handle.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import { TIMER_KINDS } from "../../include/linux/timer.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	SCTP_ADDR4_ALLOWED,
	SCTP_ADDR4_PEERSUPP,
	SCTP_ADDR6_ALLOWED,
	SCTP_ADDR6_PEERSUPP,
	SCTP_RTO_INITIAL,
	SCTP_SOCKET_TCP,
	SCTP_SS_LISTENING,
	SCTP_STATE_CLOSED,
	SCTP_STATE_ESTABLISHED,
	SCTP_TIMEOUT_SACK,
	SCTP_TIMEOUT_T1,
	SCTP_TIMEOUT_T2_SHUTDOWN,
	SCTP_TIMEOUT_T3_RTX,
	SCTP_TIMEOUT_T5_SHUTDOWN_GUARD,
	type SctpAddr,
	type SctpAssociation,
	type SctpEndpoint,
	sctp_sk,
	sctp_sstate,
	sctp_style,
	sctpAddrDup,
} from "../../include/net/sctp.js";
import { sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { sctp_bind_addr_copy } from "./bind_addr.js";
import { sctp_endpoint_add_asoc, sctp_endpoint_destroy } from "./endpointola.js";
import { sctp_hash_transport, sctp_unhash_transport } from "./input.js";
import { sctp_get_af_specific } from "./protocol.js";
import { sctp_transport_route } from "./transport.js";

const TIMERS = [
	SCTP_TIMEOUT_T1,
	SCTP_TIMEOUT_T2_SHUTDOWN,
	SCTP_TIMEOUT_T5_SHUTDOWN_GUARD,
	SCTP_TIMEOUT_SACK,
	SCTP_TIMEOUT_T3_RTX,
];

/**
 * Makes an association that is on no endpoint's list yet. A temporary one never gets into a table.
 */
export function sctp_association_new(
	k: Stack,
	ep: SctpEndpoint,
	sk: Sk,
	primary_addr: SctpAddr,
	temp: boolean,
): SctpAssociation {
	const addr = sctpAddrDup(primary_addr);
	const asoc: SctpAssociation = {
		ep,
		sk,
		state: SCTP_STATE_CLOSED,
		bind_addr: { port: ep.bind_addr.port, address_list: [] },
		peer: {
			port: addr.sin_port,
			primary_addr: addr,
			transports: [],
			ctsn: 0,
			sack_needed: true,
			last_data_from: null,
		},
		dst: null,
		id: -1,
		temp,
		c: { my_vtag: ++k.sctp_globals.vtags, peer_vtag: 0, my_ttag: 0, peer_ttag: 0 },
		force_delay: false,
		cookie: null,
		t1: SCTP_RTO_INITIAL,
		init_err_counter: 0,
		init_cycle: 0,
		init_sent_count: 0,
		rto: SCTP_RTO_INITIAL,
		overall_error_count: 0,
		outqueue: {
			out_chunk_list: [],
			transmitted: [],
			retransmit: false,
			control_chunk_list: [],
			next_tsn: 1,
			ctsn_ack_point: 0,
			rtt_tsn: 0,
		},
		dead: false,
	};
	if (temp) return asoc;
	const { asocs } = k.sctp_globals;
	const free = asocs.indexOf(null);
	asoc.id = free === -1 ? asocs.length : free;
	asocs[asoc.id] = asoc;
	return asoc;
}

/** Frees an association. Its endpoint stays, unless it was closed and this is its last one. */
export function sctp_association_free(k: Stack, asoc: SctpAssociation): void {
	const index = asoc.ep.asocs.indexOf(asoc);
	if (index !== -1) {
		asoc.ep.asocs.splice(index, 1);
		if (sctp_style(k, asoc.sk, SCTP_SOCKET_TCP) && sctp_sstate(k, asoc.sk, SCTP_SS_LISTENING)) {
			k.sock.sk_ack_backlog.add(asoc.sk, -1);
		}
	}
	asoc.dead = true;
	for (const kind of TIMERS) k.timers.del_timer(asoc.id * TIMER_KINDS + kind);
	for (const addr of asoc.peer.transports) sctp_unhash_transport(k, asoc, addr);
	k.sctp_globals.asocs[asoc.id] = null;
	if (asoc.ep.dead && asoc.ep.asocs.length === 0) sctp_endpoint_destroy(k, asoc.ep);
}

/** Removes an address of the peer. The first one left becomes the primary. */
function sctp_assoc_rm_peer(k: Stack, asoc: SctpAssociation, addr: SctpAddr): void {
	const { peer } = asoc;
	peer.transports.splice(peer.transports.indexOf(addr), 1);
	sctp_unhash_transport(k, asoc, addr);
	const first = peer.transports[0];
	if (first === undefined || sctp_cmp_addr_exact(first, peer.primary_addr)) return;
	peer.primary_addr = first;
	sctp_transport_route(k, asoc, first);
}

/**
 * Adds an address of the peer unless it is known. The first address is the primary. Returns false
 * if the endpoint has another association with this address.
 */
export function sctp_assoc_add_peer(k: Stack, asoc: SctpAssociation, addr: SctpAddr): boolean {
	const { transports, port } = asoc.peer;
	const copy = sctpAddrDup(addr);
	copy.sin_port = port;
	if (sctp_assoc_lookup_paddr(asoc, copy) !== null) return true;
	if (transports.length === 0) sctp_transport_route(k, asoc, copy);
	if (!asoc.temp && !sctp_hash_transport(k, asoc, copy)) return false;
	transports.push(copy);
	return true;
}

/** The address of the peer that equals an address, null if the peer has none. */
export function sctp_assoc_lookup_paddr(asoc: SctpAssociation, addr: SctpAddr): SctpAddr | null {
	return asoc.peer.transports.find((known) => sctp_cmp_addr_exact(addr, known)) ?? null;
}

/** Compares two addresses by the family of the first. */
export function sctp_cmp_addr_exact(ss1: SctpAddr, ss2: SctpAddr): boolean {
	return sctp_get_af_specific(ss1.sin_family)?.cmp_addr(ss1, ss2) ?? false;
}

/** Removes all addresses of the peer except the primary: the error path of sctp_process_init. */
export function sctpAssocRmOtherPeers(k: Stack, asoc: SctpAssociation): void {
	for (const addr of asoc.peer.transports.splice(1)) {
		if (!asoc.temp) sctp_unhash_transport(k, asoc, addr);
	}
}

/** Moves an association to another sock. For accept(). */
export function sctp_assoc_migrate(k: Stack, asoc: SctpAssociation, newsk: Sk): void {
	const oldsk = asoc.sk;
	asoc.ep.asocs.splice(asoc.ep.asocs.indexOf(asoc), 1);
	if (sctp_style(k, oldsk, SCTP_SOCKET_TCP)) k.sock.sk_ack_backlog.add(oldsk, -1);
	asoc.ep = sctp_sk(k, newsk).ep;
	asoc.sk = newsk;
	sctp_endpoint_add_asoc(k, asoc.ep, asoc);
}

/** Makes an association as a newer one with the same peer is: after a restart or a collision. */
export function sctp_assoc_update(k: Stack, asoc: SctpAssociation, newer: SctpAssociation): void {
	asoc.c = { ...newer.c };
	const { outqueue, peer } = asoc;
	peer.sack_needed = newer.peer.sack_needed;
	peer.ctsn = newer.peer.ctsn;
	const { transports } = asoc.peer;
	const known = (addr: SctpAddr) =>
		newer.peer.transports.some((other) => sctp_cmp_addr_exact(other, addr));
	for (const addr of transports.filter((addr) => !known(addr))) sctp_assoc_rm_peer(k, asoc, addr);
	if (asoc.state >= SCTP_STATE_ESTABLISHED) {
		outqueue.next_tsn = newer.outqueue.next_tsn;
		outqueue.ctsn_ack_point = newer.outqueue.ctsn_ack_point;
		outqueue.rtt_tsn = 0;
		asoc.overall_error_count = 0;
		asoc.rto = SCTP_RTO_INITIAL;
		return;
	}
	for (const addr of newer.peer.transports) if (!sctp_assoc_add_peer(k, asoc, addr)) return;
	outqueue.ctsn_ack_point = outqueue.next_tsn - 1;
}

/**
 * Sets the local addresses of an association: those of its endpoint that are usable in `scope`.
 * Returns 0, or -ENETUNREACH if there is none.
 */
export function sctp_assoc_set_bind_addr_from_ep(
	k: Stack,
	asoc: SctpAssociation,
	scope: number,
): number {
	// The peer is assumed to support both families until it says otherwise.
	let flags = SCTP_ADDR4_PEERSUPP;
	if (k.sock.skc_family[asoc.sk] === AF_INET6) flags |= SCTP_ADDR6_ALLOWED | SCTP_ADDR6_PEERSUPP;
	if (!ipv6_only_sock(k, asoc.sk)) flags |= SCTP_ADDR4_ALLOWED;
	const net = sk_net(k, asoc.sk);
	return sctp_bind_addr_copy(net, asoc.bind_addr, asoc.ep.bind_addr, scope, flags);
}
