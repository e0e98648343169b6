// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/outqueue.c: the chunks that an association sends, and the data that its peer has not
 * acknowledged.
 *
 * Left out: windows, fragments and streams. Packets have no limit. All data goes to the primary
 * address: the other addresses of a peer are unconfirmed until a heartbeat
 * (sctp_outq_select_transport), and data that is sent again would go to the next one.
 */
import {
	SCTP_CID_COOKIE_ECHO,
	SCTP_RTO_MIN,
	SCTP_STATE_COOKIE_ECHOED,
	SCTP_STATE_ESTABLISHED,
	SCTP_STATE_SHUTDOWN_PENDING,
	SCTP_STATE_SHUTDOWN_RECEIVED,
	SCTP_TIMEOUT_T3_RTX,
	type SctpAddr,
	type SctpAssociation,
	type SctpChunkContent,
} from "../../include/net/sctp.js";
import type { Stack } from "../../include/net/stack.js";
import { sctp_cmp_addr_exact } from "./associola.js";
import {
	appendData,
	type OutPacket,
	sctp_packet_can_append_data,
	sctpPacketTransmitChunks,
} from "./output.js";
import { sctpTimerPending, sctpTimerRestart, sctpTimerStop } from "./sm_sideeffect.js";

/** Forgets all data. */
export function sctp_outq_teardown(asoc: SctpAssociation): void {
	const { outqueue } = asoc;
	outqueue.out_chunk_list.length = 0;
	outqueue.transmitted.length = 0;
	outqueue.retransmit = false;
	outqueue.control_chunk_list.length = 0;
}

/** Queues a control chunk. It leaves at the next sctp_outq_flush. */
export function sctp_outq_tail(
	asoc: SctpAssociation,
	to: SctpAddr | null,
	content: SctpChunkContent,
): void {
	asoc.outqueue.control_chunk_list.push({ to, content });
}

/** T3-rtx has expired: sends the data that was not acknowledged again, and what waits. */
export function sctp_retransmit(k: Stack, asoc: SctpAssociation): void {
	asoc.outqueue.rtt_tsn = 0;
	asoc.outqueue.retransmit = true;
	sctp_outq_flush(k, asoc);
}

/** The packet of this flush to an address. */
function packetTo(asoc: SctpAssociation, packets: OutPacket[], to: SctpAddr | null): OutPacket {
	const primary = asoc.peer.transports[0] ?? asoc.peer.primary_addr;
	const own = to ?? primary;
	let packet = packets.find((other) => sctp_cmp_addr_exact(other.to ?? primary, own));
	if (packet === undefined) {
		packet = { to, chunks: [] };
		packets.push(packet);
	}
	return packet;
}

/** Whether data may leave: in COOKIE_ECHOED one chunk, together with a COOKIE ECHO. */
function flushesData(asoc: SctpAssociation, packets: readonly OutPacket[]): boolean {
	switch (asoc.state) {
		case SCTP_STATE_COOKIE_ECHOED:
			return packets.at(-1)?.chunks.some(({ type }) => type === SCTP_CID_COOKIE_ECHO) === true;
		case SCTP_STATE_ESTABLISHED:
		case SCTP_STATE_SHUTDOWN_PENDING:
		case SCTP_STATE_SHUTDOWN_RECEIVED:
			return true;
		default:
			return false;
	}
}

/** sctp_outq_flush_data: fills packets with data. */
function sctp_outq_flush_data(k: Stack, asoc: SctpAssociation, packets: OutPacket[]): void {
	const { outqueue } = asoc;
	const { transmitted, out_chunk_list } = outqueue;
	if (!flushesData(asoc, packets)) return;
	const echoes = asoc.state === SCTP_STATE_COOKIE_ECHOED;
	if (outqueue.retransmit) {
		outqueue.retransmit = false;
		const again = packetTo(asoc, packets, null);
		for (const data of echoes ? transmitted.slice(0, 1) : transmitted) {
			appendData(k, asoc, again, data);
		}
		resetT3(k, asoc);
		if (echoes) return;
	}
	const cookie = echoes ? packets.at(-1) : undefined;
	for (let size = out_chunk_list[0]; size !== undefined; size = out_chunk_list[0]) {
		const packet = cookie ?? packetTo(asoc, packets, null);
		if (!sctp_packet_can_append_data(k, asoc, packet)) break;
		out_chunk_list.shift();
		const data = { tsn: outqueue.next_tsn++, size };
		appendData(k, asoc, packet, data);
		transmitted.push(data);
		if (outqueue.rtt_tsn === 0) outqueue.rtt_tsn = data.tsn;
		resetT3(k, asoc);
		if (echoes) break;
	}
}

/** sctp_transport_reset_t3_rtx: starts T3-rtx unless it runs. */
function resetT3(k: Stack, asoc: SctpAssociation): void {
	if (!sctpTimerPending(k, asoc, SCTP_TIMEOUT_T3_RTX)) {
		sctpTimerRestart(k, asoc, SCTP_TIMEOUT_T3_RTX, asoc.rto);
	}
}

/** Sends the queued control chunks, and the data that may leave. */
export function sctp_outq_flush(k: Stack, asoc: SctpAssociation): void {
	const packets: OutPacket[] = [];
	for (const { to, content } of asoc.outqueue.control_chunk_list.splice(0)) {
		packetTo(asoc, packets, to).chunks.push(content);
	}
	sctp_outq_flush_data(k, asoc, packets);
	for (const { to, chunks } of packets) {
		if (chunks.length > 0) sctpPacketTransmitChunks(k, asoc, to, chunks);
	}
}

/** The peer has received all data up to `ctsn`. Returns whether no data is left. */
export function sctp_outq_sack(k: Stack, asoc: SctpAssociation, ctsn: number): boolean {
	const { outqueue } = asoc;
	const { transmitted } = outqueue;
	const left = transmitted.filter(({ tsn }) => tsn > ctsn);
	if (left.length < transmitted.length) {
		// sctp_transport_update_rto: over loopback no round trip is so long that RTO exceeds its minimum.
		if (outqueue.rtt_tsn !== 0 && outqueue.rtt_tsn <= ctsn) {
			asoc.rto = SCTP_RTO_MIN;
			outqueue.rtt_tsn = 0;
		}
		asoc.overall_error_count = 0;
		outqueue.transmitted = left;
		if (left.length > 0) sctpTimerRestart(k, asoc, SCTP_TIMEOUT_T3_RTX, asoc.rto);
	}
	if (left.length === 0) {
		outqueue.retransmit = false;
		sctpTimerStop(k, asoc, SCTP_TIMEOUT_T3_RTX);
	}
	outqueue.ctsn_ack_point = Math.max(outqueue.ctsn_ack_point, ctsn);
	return sctp_outq_is_empty(asoc);
}

export function sctp_outq_is_empty({ outqueue }: SctpAssociation): boolean {
	return outqueue.out_chunk_list.length === 0 && outqueue.transmitted.length === 0;
}
