// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/sm_make_chunk.c: what INIT, INIT ACK and cookies carry, and what they do. */
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import type {
	SctpAddr,
	SctpAssociation,
	SctpEndpoint,
	SctpInit,
	SctpPacket,
	SctpSignedCookie,
} from "../../include/net/sctp.js";
import type { Stack } from "../../include/net/stack.js";
import { sctp_assoc_add_peer, sctp_association_new, sctpAssocRmOtherPeers } from "./associola.js";
import { sctp_add_bind_addr, sctp_in_scope } from "./bind_addr.js";
import { sctp_get_af_specific } from "./protocol.js";

/**
 * The body of an INIT or INIT ACK. It lists the addresses of the association if it has several. A
 * listed address names no device.
 */
export function sctp_make_init(asoc: SctpAssociation): SctpInit {
	const { address_list } = asoc.bind_addr;
	const addrs =
		address_list.length === 1 ? [] : address_list.map((addr) => ({ ...addr, sin6_scope_id: 0 }));
	return { init_tag: asoc.c.my_vtag, addrs };
}

/**
 * The source of a packet: the address of the peer by which its association was found, or the one it
 * came from.
 */
export function sctp_source(packet: SctpPacket): SctpAddr {
	return packet.transport ?? packet.src;
}

/** An association that lives only as long as a packet is processed. */
export function sctp_make_temp_asoc(
	k: Stack,
	ep: SctpEndpoint,
	packet: SctpPacket,
): SctpAssociation {
	return sctp_association_new(k, ep, ep.sk, packet.src, true);
}

/** The cookie of an INIT ACK that answers `packet`. */
export function sctp_pack_cookie(
	asoc: SctpAssociation,
	packet: SctpPacket,
): SctpSignedCookie | null {
	if (packet.init === null) return null;
	return {
		c: { ...asoc.c },
		peer_addr: packet.src,
		peer_init: packet.init,
		addrs: sctp_make_init(asoc).addrs,
	};
}

/** The association that a cookie describes. It has no peer address yet. */
export function sctp_unpack_cookie(
	k: Stack,
	ep: SctpEndpoint,
	packet: SctpPacket,
	cookie: SctpSignedCookie,
	temp: boolean,
): SctpAssociation {
	const asoc = sctp_association_new(k, ep, ep.sk, packet.src, temp);
	asoc.c = { ...cookie.c };
	for (const addr of cookie.addrs) sctp_add_bind_addr(asoc.bind_addr, addr);
	if (cookie.addrs.length === 0) sctp_add_bind_addr(asoc.bind_addr, packet.dest);
	return asoc;
}

/**
 * Adds the address of the peer and those that its INIT or INIT ACK lists. Takes the peer's tag.
 * Returns false if another association of the endpoint has one of the addresses.
 */
export function sctp_process_init(
	k: Stack,
	asoc: SctpAssociation,
	peer_addr: SctpPacket["src"],
	{ addrs, init_tag }: SctpInit,
): boolean {
	if (!sctp_assoc_add_peer(k, asoc, peer_addr)) return false;
	const scope = sctp_get_af_specific(peer_addr.sin_family)?.scope(peer_addr) ?? 0;
	const v6 = k.sock.skc_family[asoc.sk] === AF_INET6;
	for (const addr of addrs) {
		if (addr.sin_family === AF_INET ? ipv6_only_sock(k, asoc.sk) : !v6) continue;
		if (!sctp_in_scope(addr, scope) || sctp_assoc_add_peer(k, asoc, addr)) continue;
		sctpAssocRmOtherPeers(k, asoc);
		return false;
	}
	asoc.c.peer_vtag = init_tag;
	return true;
}
