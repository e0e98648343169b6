// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/output.c: what a packet may carry. Sends packets over loopback, or to another host, which
 * answers at once.
 */
import type { Ifindex } from "../../include/linux/handle.js";
import { AF_INET } from "../../include/linux/socket.js";
import type { Net } from "../../include/net/net_namespace.js";
import {
	SCTP_CID_ABORT,
	SCTP_CID_COOKIE_ACK,
	SCTP_CID_COOKIE_ECHO,
	SCTP_CID_DATA,
	SCTP_CID_INIT,
	SCTP_CID_INIT_ACK,
	SCTP_CID_SACK,
	SCTP_CID_SHUTDOWN,
	SCTP_CID_SHUTDOWN_ACK,
	SCTP_CID_SHUTDOWN_COMPLETE,
	SCTP_STATE_ESTABLISHED,
	SCTP_STATE_SHUTDOWN_PENDING,
	SCTP_TIMEOUT_SACK,
	type SctpAddr,
	type SctpAssociation,
	type SctpChunkContent,
	type SctpDataChunk,
	type SctpDst,
	type SctpPacket,
	sctp_sk,
} from "../../include/net/sctp.js";
import { sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { __ip_dev_find } from "../ipv4/devinet.js";
import { sctp_cmp_addr_exact } from "./associola.js";
import { sctp_v6_err_handle } from "./ipv6.js";
import { sctp_get_af_specific } from "./protocol.js";
import { sctp_source } from "./sm_make_chunk.js";
import { sctpTimerPending, sctpTimerStop } from "./sm_sideeffect.js";

/** The tag of every peer on another host. */
const REMOTE_TAG = -1;

/** A packet that is being filled: struct sctp_packet. `to` null is the primary address. */
export interface OutPacket {
	to: SctpAddr | null;
	chunks: SctpChunkContent[];
}

function packet(
	net: Net,
	src: SctpAddr,
	dest: SctpAddr,
	dif: Ifindex,
	content: SctpChunkContent,
	first = true,
	end_of_packet = true,
): SctpPacket {
	const empty = { tbit: false, init: null, cookie: null, tsn: 0, size: 0, ctsn: 0 };
	const body = { ...empty, sack_imm: false, first, end_of_packet, ...content };
	return { net, src, dest, dif, ep: null, asoc: null, transport: null, ...body };
}

/** A SACK that waits for its timer leaves with data to the address that it is for. */
function sctp_packet_bundle_sack(k: Stack, asoc: SctpAssociation, packet: OutPacket): void {
	const { peer } = asoc;
	if (packet.chunks.some(({ type }) => type === SCTP_CID_DATA || type === SCTP_CID_SACK)) return;
	if (packet.chunks.some(({ type }) => type === SCTP_CID_COOKIE_ECHO)) return;
	if (!sctpTimerPending(k, asoc, SCTP_TIMEOUT_SACK)) return;
	const to = packet.to ?? peer.transports[0];
	if (to === undefined || peer.last_data_from === null) return;
	if (!sctp_cmp_addr_exact(to, peer.last_data_from)) return;
	packet.chunks.push({ type: SCTP_CID_SACK, vtag: asoc.c.peer_vtag, ctsn: peer.ctsn });
	peer.sack_needed = false;
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_SACK);
}

/** Sends a packet with one chunk. */
export function sctp_packet_transmit(
	k: Stack,
	asoc: SctpAssociation,
	to: SctpAddr | null,
	content: SctpChunkContent,
): void {
	sctpPacketTransmitChunks(k, asoc, to, [content]);
}

/**
 * Sends a packet of an association to an address of its peer: without an address to the primary
 * one. Without a route the packet is lost.
 */
export function sctpPacketTransmitChunks(
	k: Stack,
	asoc: SctpAssociation,
	to: SctpAddr | null,
	chunks: readonly SctpChunkContent[],
): void {
	const primary = asoc.peer.transports[0] ?? asoc.peer.primary_addr;
	const dest = to ?? primary;
	const af = sctp_get_af_specific(dest.sin_family);
	const dst =
		to === null || sctp_cmp_addr_exact(primary, dest)
			? asoc.dst
			: (af?.get_dst(k, asoc, dest) ?? af?.getAnyDst(k, asoc, dest) ?? null);
	if (dst === null) return;
	const net = sk_net(k, asoc.sk);
	const src = { ...dst.saddr, sin_port: asoc.bind_addr.port };
	for (const [i, content] of chunks.entries()) {
		const end = i === chunks.length - 1;
		const peer = { ...dest, sin_port: asoc.peer.port };
		const sent = packet(net, src, peer, dst.dif, content, i === 0, end);
		if (dst.dif !== 0) k.sctp_globals.packets.push(sent);
		else answerOfRemote(k, asoc, sent, dst);
	}
}

/**
 * Whether data may leave in a packet. Data of an established association waits for more data after a
 * send with MSG_MORE, and while older data is not acknowledged (Nagle). It leaves with a packet that
 * carries something else as well. Packets have no limit of size here.
 */
export function sctp_packet_can_append_data(
	k: Stack,
	asoc: SctpAssociation,
	packet: OutPacket,
): boolean {
	const inflight = asoc.outqueue.transmitted.length;
	if ((inflight === 0 || sctp_sk(k, asoc.sk).nodelay) && !asoc.force_delay) return true;
	return packet.chunks.length > 0 || asoc.state !== SCTP_STATE_ESTABLISHED;
}

export function appendData(
	k: Stack,
	asoc: SctpAssociation,
	packet: OutPacket,
	data: SctpDataChunk,
): void {
	sctp_packet_bundle_sack(k, asoc, packet);
	// In SHUTDOWN_PENDING the peer is asked to acknowledge at once.
	const sack_imm = asoc.state === SCTP_STATE_SHUTDOWN_PENDING;
	packet.chunks.push({ type: SCTP_CID_DATA, vtag: asoc.c.peer_vtag, ...data, sack_imm });
}

/** Another host answers as its route says. A retransmitted INIT is answered like the first one. */
function answerOfRemote(k: Stack, asoc: SctpAssociation, sent: SctpPacket, dst: SctpDst): void {
	const answer = (content: Omit<SctpChunkContent, "vtag">) => {
		const body = { vtag: asoc.c.my_vtag, ...content };
		k.sctp_globals.packets.push(packet(sent.net, sent.dest, sent.src, dst.oif, body));
	};
	if (dst.answer === "unreachable") {
		sctp_v6_err_handle(k, asoc);
		return;
	}
	switch (sent.type) {
		case SCTP_CID_INIT: {
			if (asoc.dst === null || !asoc.dst.bound || asoc.init_err_counter > 0) return;
			const init = { init_tag: REMOTE_TAG, addrs: [] };
			const c = { my_vtag: REMOTE_TAG, peer_vtag: asoc.c.my_vtag, my_ttag: 0, peer_ttag: 0 };
			const cookie = { c, peer_addr: sent.src, peer_init: init, addrs: [] };
			const said = k.draws.remoteAnswer(asoc.sk, asoc.dst.answer);
			if (said === "refuse") answer({ type: SCTP_CID_ABORT });
			else if (said === "accept") answer({ type: SCTP_CID_INIT_ACK, init, cookie });
			return;
		}
		case SCTP_CID_COOKIE_ECHO:
			answer({ type: SCTP_CID_COOKIE_ACK });
			return;
		case SCTP_CID_DATA:
			answer({ type: SCTP_CID_SACK, ctsn: sent.tsn });
			return;
		case SCTP_CID_SHUTDOWN:
			answer({ type: SCTP_CID_SHUTDOWN_ACK });
			return;
		case SCTP_CID_SHUTDOWN_ACK:
			answer({ type: SCTP_CID_SHUTDOWN_COMPLETE });
			return;
		default:
	}
}

/**
 * The source of an answer to `to`: the address that the answered packet came to. sctp_v4_get_dst and
 * sctp_v6_get_dst read an address of the other family as the wildcard, so the route selects the source.
 * null: there is no route.
 */
function ootbSource(k: Stack, { dest, asoc }: SctpPacket, to: SctpAddr): SctpAddr | null {
	if (dest.sin_family === to.sin_family || asoc === null) return dest;
	const dst = sctp_get_af_specific(to.sin_family)?.getAnyDst(k, asoc, to);
	return dst == null ? null : { ...dst.saddr, sin_port: dest.sin_port };
}

/** Answers a packet that belongs to no association: sctp_ootb_pkt_new. */
export function sctpOotbTransmit(k: Stack, answered: SctpPacket, content: SctpChunkContent): void {
	const { net } = answered;
	const src = sctp_source(answered);
	const dest = ootbSource(k, answered, src);
	if (dest === null) return;
	// By a route to lo packets to addresses of other hosts arrive. They cannot be a source.
	if (dest.sin_family === AF_INET && __ip_dev_find(net, dest.sin_addr) === null) return;
	const dif = sctp_get_af_specific(src.sin_family)?.deliverIfindex(net, src) ?? 0;
	if (dif !== 0) k.sctp_globals.packets.push(packet(net, dest, src, dif, content));
}
