// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/endpointola.c: endpoints, one for each sock. */

import type { Sk } from "../../include/linux/handle.js";
import type { Net } from "../../include/net/net_namespace.js";
import {
	SCTP_SOCKET_TCP,
	SCTP_SS_CLOSED,
	SCTP_SS_LISTENING,
	type SctpAddr,
	type SctpAssociation,
	type SctpEndpoint,
	type SctpPacket,
	sctp_sstate,
	sctp_style,
} from "../../include/net/sctp.js";
import { sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { sk_free } from "../core/sock.js";
import { sctp_assoc_lookup_paddr } from "./associola.js";
import { sctp_bind_addr_match } from "./bind_addr.js";
import {
	sctp_epaddr_lookup_transport,
	sctp_has_association,
	sctp_unhash_endpoint,
} from "./input.js";
import { sctp_source } from "./sm_make_chunk.js";
import { sctp_put_port } from "./socket.js";

/** Makes an endpoint that is not bound. */
export function sctp_endpoint_new(sk: Sk): SctpEndpoint {
	return { sk, bind_addr: { port: 0, address_list: [] }, asocs: [], hashent: -1, dead: false };
}

/**
 * Appends an association to the list of an endpoint. accept() takes from the front of this list.
 */
export function sctp_endpoint_add_asoc(k: Stack, ep: SctpEndpoint, asoc: SctpAssociation): void {
	ep.asocs.push(asoc);
	if (sctp_style(k, ep.sk, SCTP_SOCKET_TCP) && sctp_sstate(k, ep.sk, SCTP_SS_LISTENING)) {
		k.sock.sk_ack_backlog.add(ep.sk, 1);
	}
}

/**
 * Begins the end of an endpoint: the sock was closed. Associations that have not ended hold the
 * endpoint, the sock and its port.
 */
export function sctp_endpoint_free(k: Stack, ep: SctpEndpoint): void {
	ep.dead = true;
	k.sock.skc_state[ep.sk] = SCTP_SS_CLOSED;
	sctp_unhash_endpoint(k, ep);
}

/** Frees an endpoint that has no association, releases its port, and frees its sock. */
export function sctp_endpoint_destroy(k: Stack, ep: SctpEndpoint): void {
	ep.bind_addr.address_list.length = 0;
	if (k.sock.icsk_bind_hash[ep.sk] !== 0) sctp_put_port(k, ep.sk);
	k.sctp_globals.socks.delete(ep.sk);
	sk_free(k, ep.sk);
}

/** Whether an endpoint receives packets to an address. */
export function sctp_endpoint_is_match(
	k: Stack,
	ep: SctpEndpoint,
	net: Net,
	laddr: SctpAddr,
): boolean {
	return (
		ep.bind_addr.port === laddr.sin_port &&
		sk_net(k, ep.sk) === net &&
		sctp_bind_addr_match(k, ep.bind_addr, laddr, ep.sk)
	);
}

/** The association of an endpoint with a peer, null if none. */
export function sctp_endpoint_lookup_assoc(
	k: Stack,
	ep: SctpEndpoint,
	paddr: SctpAddr,
): SctpAssociation | null {
	// An endpoint without a port has no associations.
	return ep.bind_addr.port === 0 ? null : sctp_epaddr_lookup_transport(k, ep, paddr);
}

/** Whether another sock has an association between an address of the endpoint and this peer. */
export function sctp_endpoint_is_peeled_off(k: Stack, ep: SctpEndpoint, paddr: SctpAddr): boolean {
	const net = sk_net(k, ep.sk);
	const dif = k.sock.skc_bound_dev_if[ep.sk];
	return ep.bind_addr.address_list.some((addr) =>
		sctp_has_association(k, net, addr, paddr, dif, dif),
	);
}

/**
 * A packet that came to an endpoint belongs to the association with the address that it came from.
 * The association need not have the address to which it was sent.
 */
export function sctp_endpoint_bh_rcv(k: Stack, ep: SctpEndpoint, packet: SctpPacket): void {
	const src = sctp_source(packet);
	packet.asoc = sctp_endpoint_lookup_assoc(k, ep, src);
	packet.transport = packet.asoc === null ? null : sctp_assoc_lookup_paddr(packet.asoc, src);
}
