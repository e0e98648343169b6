// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/sm_statefuns.c, and the table of sm_statetable.c that selects its functions: what chunks
 * and timers do to associations.
 *
 * Left out: no association sends heartbeats.
 */
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
	SCTP_MAX_INIT_RETRANS,
	SCTP_MAX_RETRANS,
	SCTP_RTO_INITIAL,
	SCTP_RTO_MAX,
	SCTP_SOCKET_TCP,
	SCTP_SS_CLOSING,
	SCTP_SS_LISTENING,
	SCTP_STATE_CLOSED,
	SCTP_STATE_COOKIE_ECHOED,
	SCTP_STATE_COOKIE_WAIT,
	SCTP_STATE_ESTABLISHED,
	SCTP_STATE_SHUTDOWN_ACK_SENT,
	SCTP_STATE_SHUTDOWN_PENDING,
	SCTP_STATE_SHUTDOWN_RECEIVED,
	SCTP_STATE_SHUTDOWN_SENT,
	SCTP_TIMEOUT_SACK,
	SCTP_TIMEOUT_T1,
	SCTP_TIMEOUT_T2_SHUTDOWN,
	SCTP_TIMEOUT_T3_RTX,
	SCTP_TIMEOUT_T5_SHUTDOWN_GUARD,
	type SctpAddr,
	type SctpAssociation,
	type SctpEndpoint,
	type SctpPacket,
	sctp_sk,
	sctp_sstate,
	sctp_style,
	sctp_vtag_verify,
	sctp_vtag_verify_either,
} from "../../include/net/sctp.js";
import { RCV_SHUTDOWN, SOCK_DEAD, sk_acceptq_is_full } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import {
	ECONNABORTED,
	ECONNREFUSED,
	ECONNRESET,
	ETIMEDOUT,
} from "../../include/uapi/asm-generic/errno.js";
import {
	sctp_assoc_set_bind_addr_from_ep,
	sctp_assoc_update,
	sctp_association_free,
	sctp_cmp_addr_exact,
} from "./associola.js";
import { sctp_endpoint_add_asoc, sctp_endpoint_bh_rcv } from "./endpointola.js";
import { sctpReceive } from "./input.js";
import { sctp_packet_transmit, sctpOotbTransmit } from "./output.js";
import {
	sctp_outq_flush,
	sctp_outq_is_empty,
	sctp_outq_tail,
	sctp_outq_teardown,
	sctp_retransmit,
} from "./outqueue.js";
import { sctp_get_af_specific } from "./protocol.js";
import {
	sctp_make_init,
	sctp_make_temp_asoc,
	sctp_pack_cookie,
	sctp_process_init,
	sctp_source,
	sctp_unpack_cookie,
} from "./sm_make_chunk.js";
import {
	sctp_cmd_assoc_failed,
	sctp_cmd_delete_tcb,
	sctp_cmd_new_state,
	sctp_cmd_process_sack,
	sctp_cmd_set_sk_err,
	sctp_cmd_t1_timer_update,
	sctp_do_8_2_transport_strike,
	sctp_gen_sack,
	sctpTimerRestart,
	sctpTimerStart,
	sctpTimerStop,
} from "./sm_sideeffect.js";
import { sctp_transport_route } from "./transport.js";

/** Processes a chunk. Its receiver is in the packet (sctp_do_sm, sctp_chunk_event_lookup). */
export function sctpChunk(k: Stack, packet: SctpPacket): void {
	const { ep } = packet;
	if (packet.asoc === null && ep !== null) sctp_endpoint_bh_rcv(k, ep, packet);
	const { asoc } = packet;
	const state = asoc?.state ?? SCTP_STATE_CLOSED;
	if (asoc === null || state === SCTP_STATE_CLOSED) {
		// The chunks behind one that was refused are discarded with it.
		if (packet.first) closedChunk(k, ep, asoc, packet);
	} else if (ep !== null) liveChunk(k, ep, asoc, packet);
	const own = packet.asoc;
	if (packet.end_of_packet && own !== null && !own.dead) sctp_outq_flush(k, own);
}

/** A chunk for an endpoint, or for an association that has ended and waits for accept(). */
function closedChunk(
	k: Stack,
	ep: SctpEndpoint | null,
	asoc: SctpAssociation | null,
	packet: SctpPacket,
): void {
	switch (packet.type) {
		case SCTP_CID_INIT:
			sctp_sf_do_5_1B_init(k, ep, asoc, packet);
			return;
		case SCTP_CID_INIT_ACK:
			if (ep === null) sctp_sf_ootb(k, asoc, packet);
			return;
		case SCTP_CID_COOKIE_ECHO:
			sctp_sf_do_5_1D_ce(k, ep, asoc, packet);
			return;
		case SCTP_CID_DATA:
		case SCTP_CID_SACK:
		case SCTP_CID_SHUTDOWN:
		case SCTP_CID_SHUTDOWN_ACK:
			sctp_sf_ootb(k, asoc, packet);
			return;
		default:
	}
}

function liveChunk(k: Stack, ep: SctpEndpoint, asoc: SctpAssociation, packet: SctpPacket): void {
	const { state } = asoc;
	switch (packet.type) {
		case SCTP_CID_INIT:
			// sctp_sf_do_5_2_1_siminit and sctp_sf_do_5_2_2_dupinit do the same.
			if (state === SCTP_STATE_SHUTDOWN_ACK_SENT) sendShutdownAck(asoc, packet.transport);
			else sctp_sf_do_unexpected_init(k, ep, asoc, packet);
			return;
		case SCTP_CID_INIT_ACK:
			if (state === SCTP_STATE_COOKIE_WAIT) sctp_sf_do_5_1C_ack(k, asoc, packet);
			return;
		case SCTP_CID_COOKIE_ECHO:
			sctp_sf_do_5_2_4_dupcook(k, ep, asoc, packet);
			return;
		case SCTP_CID_COOKIE_ACK:
			if (state === SCTP_STATE_COOKIE_ECHOED) sctp_sf_do_5_1E_ca(k, asoc, packet);
			return;
		case SCTP_CID_ABORT:
			if (state <= SCTP_STATE_COOKIE_ECHOED) sctp_sf_cookie_wait_abort(k, asoc, packet);
			else sctp_sf_do_9_1_abort(k, asoc, packet);
			return;
		case SCTP_CID_SHUTDOWN:
			if (state === SCTP_STATE_ESTABLISHED || state === SCTP_STATE_SHUTDOWN_PENDING) {
				sctp_sf_do_9_2_shutdown(k, asoc, packet);
			} else if (state === SCTP_STATE_SHUTDOWN_SENT) {
				sctp_sf_do_9_2_shutdown_ack(k, asoc, packet);
			} else if (state === SCTP_STATE_SHUTDOWN_RECEIVED) {
				sctp_sf_do_9_2_shut_ctsn(k, asoc, packet);
			}
			return;
		case SCTP_CID_SHUTDOWN_ACK:
			if (state <= SCTP_STATE_COOKIE_ECHOED) sctp_sf_shut_8_4_5(k, null, packet);
			else if (state === SCTP_STATE_SHUTDOWN_SENT || state === SCTP_STATE_SHUTDOWN_ACK_SENT) {
				sctp_sf_do_9_2_final(k, asoc, packet);
			}
			return;
		case SCTP_CID_SHUTDOWN_COMPLETE:
			if (state === SCTP_STATE_SHUTDOWN_ACK_SENT) sctp_sf_do_4_C(k, asoc, packet);
			return;
		case SCTP_CID_DATA:
			if (state === SCTP_STATE_ESTABLISHED || state === SCTP_STATE_SHUTDOWN_PENDING) {
				sctp_sf_eat_data_6_2(k, asoc, packet);
			} else if (state === SCTP_STATE_SHUTDOWN_SENT) {
				sctp_sf_eat_data_fast_4_4(k, asoc, packet);
			}
			return;
		case SCTP_CID_SACK:
			if (
				state !== SCTP_STATE_COOKIE_WAIT &&
				state !== SCTP_STATE_SHUTDOWN_SENT &&
				state !== SCTP_STATE_SHUTDOWN_ACK_SENT
			) {
				sctp_sf_eat_sack_6_2(k, asoc, packet);
			}
			return;
		default:
	}
}

/** The end of an association whose peer has acknowledged the shutdown. */
function sctp_sf_do_4_C(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify_either(packet, asoc)) return;
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T2_SHUTDOWN);
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T5_SHUTDOWN_GUARD);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctp_cmd_delete_tcb(k, asoc);
}

/** INIT: answers with an INIT ACK and keeps no state. */
function sctp_sf_do_5_1B_init(
	k: Stack,
	ep: SctpEndpoint | null,
	asoc: SctpAssociation | null,
	packet: SctpPacket,
): void {
	if (ep === null || sctp_sstate(k, ep.sk, SCTP_SS_CLOSING)) {
		sctp_sf_tabort_8_4_8(k, asoc, packet);
		return;
	}
	const new_asoc = initAsoc(k, ep, packet);
	if (new_asoc !== null) sendInitAck(k, new_asoc, packet);
}

/** The temporary association of an INIT. null if it has no address in the scope of the peer. */
function initAsoc(k: Stack, ep: SctpEndpoint, packet: SctpPacket): SctpAssociation | null {
	const { init } = packet;
	const src = sctp_source(packet);
	const new_asoc = sctp_make_temp_asoc(k, ep, packet);
	const scope = sctp_get_af_specific(src.sin_family)?.scope(src) ?? 0;
	if (sctp_assoc_set_bind_addr_from_ep(k, new_asoc, scope) < 0) return null;
	return init !== null && sctp_process_init(k, new_asoc, src, init) ? new_asoc : null;
}

function sendInitAck(k: Stack, new_asoc: SctpAssociation, packet: SctpPacket): void {
	sctp_packet_transmit(k, new_asoc, null, {
		type: SCTP_CID_INIT_ACK,
		vtag: new_asoc.c.peer_vtag,
		init: sctp_make_init(new_asoc),
		cookie: sctp_pack_cookie(new_asoc, packet),
	});
}

/** INIT ACK: answers with the cookie. Is ignored if it lists an address of another association. */
function sctp_sf_do_5_1C_ack(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc) || packet.init === null) return;
	if (!sctp_process_init(k, asoc, sctp_source(packet), packet.init)) return;
	asoc.init_err_counter = 0;
	asoc.init_cycle = 0;
	asoc.init_sent_count = 0;
	asoc.t1 = SCTP_RTO_INITIAL;
	sctpTimerRestart(k, asoc, SCTP_TIMEOUT_T1, asoc.t1);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_COOKIE_ECHOED);
	asoc.cookie = packet.cookie;
	sendCookieEcho(asoc, packet.transport);
}

function sendCookieEcho(asoc: SctpAssociation, to: SctpAddr | null): void {
	const { c, cookie } = asoc;
	sctp_outq_tail(asoc, to, { type: SCTP_CID_COOKIE_ECHO, vtag: c.peer_vtag, cookie });
}

/** COOKIE ECHO for a listener: the association begins. */
function sctp_sf_do_5_1D_ce(
	k: Stack,
	ep: SctpEndpoint | null,
	asoc: SctpAssociation | null,
	packet: SctpPacket,
): void {
	const { cookie } = packet;
	if (cookie === null || (asoc !== null && !sctp_vtag_verify(packet, asoc))) return;
	if (
		ep === null ||
		!sctp_sstate(k, ep.sk, SCTP_SS_LISTENING) ||
		(sctp_style(k, ep.sk, SCTP_SOCKET_TCP) && sk_acceptq_is_full(k, ep.sk))
	) {
		sctp_sf_tabort_8_4_8(k, asoc, packet);
		return;
	}
	const new_asoc = sctp_unpack_cookie(k, ep, packet, cookie, false);
	if (!sctp_process_init(k, new_asoc, cookie.peer_addr, cookie.peer_init)) {
		sctp_association_free(k, new_asoc);
		return;
	}
	sctp_endpoint_add_asoc(k, ep, new_asoc);
	packet.asoc = new_asoc;
	sctp_cmd_new_state(k, new_asoc, SCTP_STATE_ESTABLISHED);
	sendCookieAck(new_asoc, null);
}

function sendCookieAck(asoc: SctpAssociation, to: SctpAddr | null): void {
	sctp_outq_tail(asoc, to, { type: SCTP_CID_COOKIE_ACK, vtag: asoc.c.peer_vtag });
}

/** COOKIE ACK: the association is established. */
function sctp_sf_do_5_1E_ca(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc)) return;
	asoc.init_err_counter = 0;
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T1);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_ESTABLISHED);
}

/**
 * Whether an INIT that meets an association adds no address of the peer. If it adds one, it is
 * refused.
 */
function sctp_sf_check_restart_addrs(
	k: Stack,
	new_asoc: SctpAssociation,
	asoc: SctpAssociation,
	packet: SctpPacket,
): boolean {
	const known = asoc.peer.transports;
	const all = new_asoc.peer.transports.every((addr) =>
		known.some((old) => sctp_cmp_addr_exact(old, addr)),
	);
	if (!all) sctp_sf_tabort_8_4_8(k, null, packet); // sctp_sf_send_restart_abort
	return all;
}

/** Puts the tags of the association that an INIT met into the cookie. */
function sctp_tietags_populate(new_asoc: SctpAssociation, { c, state }: SctpAssociation): void {
	if (state === SCTP_STATE_COOKIE_WAIT || state === SCTP_STATE_COOKIE_ECHOED) {
		new_asoc.c.my_vtag = c.my_vtag;
	}
	new_asoc.c.my_ttag = c.my_vtag;
	new_asoc.c.peer_ttag = state === SCTP_STATE_COOKIE_WAIT ? 0 : c.peer_vtag;
}

/** What a cookie means for the association that it meets: a case of RFC 9260, 5.2.4. */
function sctp_tietags_compare({ c: new_c }: SctpAssociation, { c }: SctpAssociation): string {
	const mine = c.my_vtag === new_c.my_vtag;
	const peers = c.peer_vtag === new_c.peer_vtag;
	if (!mine && !peers && c.my_vtag === new_c.my_ttag && c.peer_vtag === new_c.peer_ttag) return "A";
	if (mine && (!peers || c.peer_vtag === 0)) return "B";
	if (mine && peers) return "D";
	if (!mine && peers && new_c.my_ttag === 0 && new_c.peer_ttag === 0) return "C";
	return "E";
}

/** INIT that meets an association: answers with an INIT ACK. The association does not change. */
function sctp_sf_do_unexpected_init(
	k: Stack,
	ep: SctpEndpoint,
	asoc: SctpAssociation,
	packet: SctpPacket,
): void {
	const new_asoc = initAsoc(k, ep, packet);
	if (new_asoc === null) return;
	if (
		asoc.state !== SCTP_STATE_COOKIE_WAIT &&
		!sctp_sf_check_restart_addrs(k, new_asoc, asoc, packet)
	) {
		return;
	}
	sctp_tietags_populate(new_asoc, asoc);
	sendInitAck(k, new_asoc, packet);
}

/** COOKIE ECHO of a peer that restarted: it takes over the association. */
function sctp_sf_do_dupcook_a(
	k: Stack,
	asoc: SctpAssociation,
	packet: SctpPacket,
	new_asoc: SctpAssociation,
): void {
	if (!sctp_sf_check_restart_addrs(k, new_asoc, asoc, packet)) return;
	if (asoc.state === SCTP_STATE_SHUTDOWN_ACK_SENT) {
		sendShutdownAck(asoc, packet.transport);
		return;
	}
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T3_RTX);
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_SACK);
	sctp_outq_teardown(asoc);
	sctp_assoc_update(k, asoc, new_asoc);
	const shuts =
		asoc.state === SCTP_STATE_SHUTDOWN_PENDING || asoc.state === SCTP_STATE_SHUTDOWN_SENT;
	const closed =
		sctp_sstate(k, asoc.sk, SCTP_SS_CLOSING) || (k.sock.sk_flags[asoc.sk] & SOCK_DEAD) !== 0;
	if (shuts && closed) {
		sendCookieAck(asoc, packet.transport);
		sctp_sf_do_9_2_start_shutdown(k, asoc, packet.transport);
		return;
	}
	sctp_cmd_new_state(k, asoc, SCTP_STATE_ESTABLISHED);
	sendCookieAck(asoc, packet.transport);
}

/** COOKIE ECHO of a peer that began an association while this end did. */
function sctp_sf_do_dupcook_b(
	k: Stack,
	asoc: SctpAssociation,
	packet: SctpPacket,
	new_asoc: SctpAssociation,
): void {
	sctp_assoc_update(k, asoc, new_asoc);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_ESTABLISHED);
	sendCookieAck(asoc, packet.transport);
}

/** COOKIE ECHO with the tags of the association. */
function sctp_sf_do_dupcook_d(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (asoc.state < SCTP_STATE_ESTABLISHED) {
		sctpTimerStop(k, asoc, SCTP_TIMEOUT_T1);
		sctp_cmd_new_state(k, asoc, SCTP_STATE_ESTABLISHED);
	}
	sendCookieAck(asoc, packet.transport);
}

/** COOKIE ECHO that meets an association. */
function sctp_sf_do_5_2_4_dupcook(
	k: Stack,
	ep: SctpEndpoint,
	asoc: SctpAssociation,
	packet: SctpPacket,
): void {
	const { cookie } = packet;
	if (cookie === null) return;
	const new_asoc = sctp_unpack_cookie(k, ep, packet, cookie, true);
	const action = sctp_tietags_compare(new_asoc, asoc);
	if (action === "D") sctp_sf_do_dupcook_d(k, asoc, packet);
	else if (action === "A" || action === "B") {
		if (!sctp_process_init(k, new_asoc, sctp_source(packet), cookie.peer_init)) return;
		if (action === "A") sctp_sf_do_dupcook_a(k, asoc, packet, new_asoc);
		else sctp_sf_do_dupcook_b(k, asoc, packet, new_asoc);
	}
}

/** ABORT of an established association. */
function sctp_sf_do_9_1_abort(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify_either(packet, asoc)) return;
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T2_SHUTDOWN);
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T5_SHUTDOWN_GUARD);
	sctp_cmd_set_sk_err(k, asoc, ECONNRESET);
	sctp_cmd_assoc_failed(k, asoc);
}

/** ABORT in answer to INIT or COOKIE ECHO: the association was refused. */
function sctp_sf_cookie_wait_abort(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify_either(packet, asoc)) return;
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T1);
	sctp_cmd_set_sk_err(k, asoc, ECONNREFUSED);
	sctp_cmd_assoc_failed(k, asoc);
}

/** SHUTDOWN: the answer follows when the peer has acknowledged all data, as this chunk may do. */
function sctp_sf_do_9_2_shutdown(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc)) return;
	if (packet.ctsn < asoc.outqueue.ctsn_ack_point) return;
	sctp_cmd_new_state(k, asoc, SCTP_STATE_SHUTDOWN_RECEIVED);
	if (sctp_outq_is_empty(asoc)) sctp_sf_do_9_2_shutdown_ack(k, asoc, packet);
	sctp_cmd_process_sack(k, asoc, packet.ctsn);
}

/** SHUTDOWN again: it acknowledges data. */
function sctp_sf_do_9_2_shut_ctsn(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc)) return;
	if (packet.ctsn < asoc.outqueue.ctsn_ack_point) return;
	sctp_cmd_process_sack(k, asoc, packet.ctsn);
}

/** DATA. */
function sctp_sf_eat_data_6_2(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc)) return;
	const force = !sctp_eat_data(k, asoc, packet) || packet.sack_imm;
	if (packet.end_of_packet) sctp_gen_sack(k, asoc, force);
}

/** DATA while SHUTDOWN has no answer: SHUTDOWN is sent again. */
function sctp_sf_eat_data_fast_4_4(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc)) return;
	sctp_eat_data(k, asoc, packet);
	if (!packet.end_of_packet) return;
	asoc.overall_error_count = 0;
	sendShutdown(asoc, packet.transport);
	sctp_gen_sack(k, asoc, true);
	sctpTimerRestart(k, asoc, SCTP_TIMEOUT_T2_SHUTDOWN, asoc.rto);
}

/** SACK. An old one is discarded. */
function sctp_sf_eat_sack_6_2(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc)) return;
	if (packet.ctsn < asoc.outqueue.ctsn_ack_point) return;
	sctp_cmd_process_sack(k, asoc, packet.ctsn);
}

/** Refuses a packet. The tag is that of the association, or the reflected one. */
function sctp_sf_tabort_8_4_8(k: Stack, asoc: SctpAssociation | null, packet: SctpPacket): void {
	const { init } = packet;
	const tbit = asoc === null && packet.type !== SCTP_CID_INIT;
	const own = asoc?.c.peer_vtag ?? packet.vtag;
	const vtag = init === null || tbit ? own : init.init_tag;
	sctpOotbTransmit(k, packet, { type: SCTP_CID_ABORT, vtag, tbit });
}

/** SHUTDOWN ACK: the association ends. */
function sctp_sf_do_9_2_final(k: Stack, asoc: SctpAssociation, packet: SctpPacket): void {
	if (!sctp_vtag_verify(packet, asoc)) return;
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T2_SHUTDOWN);
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T5_SHUTDOWN_GUARD);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	const vtag = asoc.c.peer_vtag;
	sctp_packet_transmit(k, asoc, packet.transport, { type: SCTP_CID_SHUTDOWN_COMPLETE, vtag });
	sctp_cmd_delete_tcb(k, asoc);
}

/** A packet out of the blue. */
function sctp_sf_ootb(k: Stack, asoc: SctpAssociation | null, packet: SctpPacket): void {
	const known = asoc !== null && sctp_vtag_verify(packet, asoc) ? asoc : null;
	if (packet.type === SCTP_CID_SHUTDOWN_ACK) sctp_sf_shut_8_4_5(k, known, packet);
	else sctp_sf_tabort_8_4_8(k, known, packet);
}

/** SHUTDOWN ACK out of the blue: lets the peer end its association. */
function sctp_sf_shut_8_4_5(k: Stack, asoc: SctpAssociation | null, packet: SctpPacket): void {
	const tbit = asoc === null;
	const vtag = asoc?.c.peer_vtag ?? packet.vtag;
	sctpOotbTransmit(k, packet, { type: SCTP_CID_SHUTDOWN_COMPLETE, vtag, tbit });
}

/** Begins an association: sends INIT. */
export function sctp_sf_do_prm_asoc(k: Stack, asoc: SctpAssociation): void {
	sctp_cmd_new_state(k, asoc, SCTP_STATE_COOKIE_WAIT);
	asoc.init_sent_count++;
	sctpTimerStart(k, asoc, SCTP_TIMEOUT_T1, asoc.t1);
	sendInit(k, asoc);
}

function sendInit(k: Stack, asoc: SctpAssociation): void {
	const init = sctp_make_init(asoc);
	sctp_packet_transmit(k, asoc, null, { type: SCTP_CID_INIT, vtag: 0, init });
}

/** Shuts an established association down, when the peer has acknowledged all data. */
export function sctp_sf_do_9_2_prm_shutdown(k: Stack, asoc: SctpAssociation): void {
	sctp_cmd_new_state(k, asoc, SCTP_STATE_SHUTDOWN_PENDING);
	if (sctp_outq_is_empty(asoc)) sctp_sf_do_9_2_start_shutdown(k, asoc, null);
}

/** Aborts an established association. */
export function sctp_sf_do_9_1_prm_abort(k: Stack, asoc: SctpAssociation): void {
	sctp_packet_transmit(k, asoc, null, { type: SCTP_CID_ABORT, vtag: asoc.c.peer_vtag });
	sctp_cmd_set_sk_err(k, asoc, ECONNABORTED);
	sctp_cmd_assoc_failed(k, asoc);
}

/** shutdown() or close() while the association begins. */
export function sctp_sf_cookie_wait_prm_shutdown(k: Stack, asoc: SctpAssociation): void {
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T1);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctp_cmd_delete_tcb(k, asoc);
}

/** Aborts an association while it begins. */
export function sctp_sf_cookie_wait_prm_abort(k: Stack, asoc: SctpAssociation): void {
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_T1);
	sctp_packet_transmit(k, asoc, null, { type: SCTP_CID_ABORT, vtag: asoc.c.peer_vtag });
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctp_cmd_set_sk_err(k, asoc, ECONNREFUSED);
	sctp_cmd_assoc_failed(k, asoc);
}

/** Sends SHUTDOWN and waits for the answer. */
export function sctp_sf_do_9_2_start_shutdown(
	k: Stack,
	asoc: SctpAssociation,
	to: SctpAddr | null,
): void {
	sctpTimerStart(k, asoc, SCTP_TIMEOUT_T2_SHUTDOWN, asoc.rto);
	sctpTimerStart(k, asoc, SCTP_TIMEOUT_T5_SHUTDOWN_GUARD, 5 * SCTP_RTO_MAX);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_SHUTDOWN_SENT);
	sendShutdown(asoc, to);
}

function sendShutdown(asoc: SctpAssociation, to: SctpAddr | null): void {
	const { c, peer } = asoc;
	sctp_outq_tail(asoc, to, { type: SCTP_CID_SHUTDOWN, vtag: c.peer_vtag, ctsn: peer.ctsn });
}

/** SHUTDOWN: sends SHUTDOWN ACK and waits for the answer. */
export function sctp_sf_do_9_2_shutdown_ack(
	k: Stack,
	asoc: SctpAssociation,
	packet: SctpPacket | null,
): void {
	if (packet !== null && !sctp_vtag_verify(packet, asoc)) return;
	sctpTimerRestart(k, asoc, SCTP_TIMEOUT_T2_SHUTDOWN, asoc.rto);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_SHUTDOWN_ACK_SENT);
	sendShutdownAck(asoc, packet?.transport ?? null);
}

function sendShutdownAck(asoc: SctpAssociation, to: SctpAddr | null): void {
	sctp_outq_tail(asoc, to, { type: SCTP_CID_SHUTDOWN_ACK, vtag: asoc.c.peer_vtag });
}

/** sctp_generate_timeout_event: runs a timer that has expired. `kind` is SCTP_TIMEOUT_*. */
export function sctpTimeout(k: Stack, id: number, kind: number): void {
	const asoc = k.sctp_globals.asocs[id];
	if (asoc === null || asoc === undefined) return;
	timeout(k, asoc, kind);
	if (!asoc.dead) sctp_outq_flush(k, asoc);
	sctpReceive(k);
}

function timeout(k: Stack, asoc: SctpAssociation, kind: number): void {
	const { state } = asoc;
	if (kind === SCTP_TIMEOUT_T1) {
		if (state === SCTP_STATE_COOKIE_WAIT || state === SCTP_STATE_COOKIE_ECHOED) {
			sctp_sf_t1_timer_expire(k, asoc);
		}
	} else if (kind === SCTP_TIMEOUT_T2_SHUTDOWN) {
		if (state === SCTP_STATE_SHUTDOWN_SENT || state === SCTP_STATE_SHUTDOWN_ACK_SENT) {
			sctp_sf_t2_timer_expire(k, asoc);
		}
	} else if (kind === SCTP_TIMEOUT_SACK) {
		if (
			state === SCTP_STATE_ESTABLISHED ||
			state === SCTP_STATE_SHUTDOWN_PENDING ||
			state === SCTP_STATE_SHUTDOWN_SENT
		) {
			sctp_gen_sack(k, asoc, true); // sctp_sf_do_6_2_sack
		}
	} else if (kind === SCTP_TIMEOUT_T3_RTX) {
		if (
			state === SCTP_STATE_COOKIE_ECHOED ||
			state === SCTP_STATE_ESTABLISHED ||
			state === SCTP_STATE_SHUTDOWN_PENDING ||
			state === SCTP_STATE_SHUTDOWN_RECEIVED
		) {
			sctp_sf_do_6_3_3_rtx(k, asoc);
		}
	} else if (state === SCTP_STATE_SHUTDOWN_PENDING || state === SCTP_STATE_SHUTDOWN_SENT) {
		sctp_sf_t5_timer_expire(k, asoc);
	}
}

/**
 * sctp_sf_t1_init_timer_expire, sctp_sf_t1_cookie_timer_expire: sends INIT or COOKIE ECHO again, or
 * gives up.
 */
function sctp_sf_t1_timer_expire(k: Stack, asoc: SctpAssociation): void {
	if (asoc.init_err_counter + 1 > SCTP_MAX_INIT_RETRANS) {
		sctp_cmd_set_sk_err(k, asoc, ETIMEDOUT);
		sctp_cmd_assoc_failed(k, asoc);
		return;
	}
	asoc.init_sent_count++;
	sctp_cmd_t1_timer_update(asoc);
	sctpTimerRestart(k, asoc, SCTP_TIMEOUT_T1, asoc.t1);
	if (asoc.state === SCTP_STATE_COOKIE_ECHOED) {
		sendCookieEcho(asoc, null);
		return;
	}
	if (asoc.dst === null) sctp_transport_route(k, asoc, asoc.peer.primary_addr);
	sendInit(k, asoc);
}

/** Sends data again, or gives up. */
function sctp_sf_do_6_3_3_rtx(k: Stack, asoc: SctpAssociation): void {
	if (asoc.overall_error_count >= SCTP_MAX_RETRANS) {
		sctp_cmd_set_sk_err(k, asoc, ETIMEDOUT);
		sctp_cmd_assoc_failed(k, asoc);
		return;
	}
	sctp_do_8_2_transport_strike(asoc);
	sctp_retransmit(k, asoc);
}

/** Sends SHUTDOWN or SHUTDOWN ACK again, or gives up. */
function sctp_sf_t2_timer_expire(k: Stack, asoc: SctpAssociation): void {
	if (asoc.overall_error_count >= SCTP_MAX_RETRANS) {
		sctp_cmd_set_sk_err(k, asoc, ETIMEDOUT);
		sctp_cmd_assoc_failed(k, asoc);
		return;
	}
	sctp_do_8_2_transport_strike(asoc);
	sctpTimerRestart(k, asoc, SCTP_TIMEOUT_T2_SHUTDOWN, asoc.rto);
	if (asoc.state === SCTP_STATE_SHUTDOWN_SENT) sendShutdown(asoc, null);
	else sendShutdownAck(asoc, null);
}

/** A shutdown has taken too long: aborts the association. */
function sctp_sf_t5_timer_expire(k: Stack, asoc: SctpAssociation): void {
	sctp_packet_transmit(k, asoc, null, { type: SCTP_CID_ABORT, vtag: asoc.c.peer_vtag });
	sctp_cmd_set_sk_err(k, asoc, ETIMEDOUT);
	sctp_cmd_assoc_failed(k, asoc);
}

/**
 * Takes data. Returns whether it is new. A sock that no longer receives acknowledges data and
 * discards it (sctp_ulpq_tail_event). Data behind a gap is left to be sent again.
 */
function sctp_eat_data(k: Stack, asoc: SctpAssociation, packet: SctpPacket): boolean {
	const { peer, sk } = asoc;
	peer.last_data_from = packet.transport;
	if (packet.tsn !== peer.ctsn + 1) return false;
	peer.ctsn = packet.tsn;
	if ((k.sock.sk_shutdown[sk] & RCV_SHUTDOWN) === 0) {
		sctp_sk(k, sk).receive_queue.push({ asoc, size: packet.size });
	}
	return true;
}
