// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/sm_sideeffect.c: states, errors and timers of associations. */
import { TIMER_KINDS } from "../../include/linux/timer.js";
import {
	SCTP_CID_SACK,
	SCTP_RTO_INITIAL,
	SCTP_RTO_MAX,
	SCTP_SACK_TIMEOUT,
	SCTP_SOCKET_TCP,
	SCTP_SOCKET_UDP,
	SCTP_SS_CLOSED,
	SCTP_SS_CLOSING,
	SCTP_SS_ESTABLISHED,
	SCTP_SS_LISTENING,
	SCTP_STATE_CLOSED,
	SCTP_STATE_COOKIE_WAIT,
	SCTP_STATE_ESTABLISHED,
	SCTP_STATE_SHUTDOWN_PENDING,
	SCTP_STATE_SHUTDOWN_RECEIVED,
	SCTP_TIMEOUT_SACK,
	SCTP_TIMEOUT_T5_SHUTDOWN_GUARD,
	type SctpAssociation,
	sctp_sstate,
	sctp_style,
} from "../../include/net/sctp.js";
import { RCV_SHUTDOWN, SHUTDOWN_MASK } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { sctp_association_free } from "./associola.js";
import { sctp_outq_sack, sctp_outq_tail } from "./outqueue.js";
import { sctp_sf_do_9_2_shutdown_ack, sctp_sf_do_9_2_start_shutdown } from "./sm_statefuns.js";

/** The number of a timer of an association in k.timers. `kind` is SCTP_TIMEOUT_*. */
function timerOf(asoc: SctpAssociation, kind: number): number {
	return asoc.id * TIMER_KINDS + kind;
}

/** SCTP_CMD_TIMER_RESTART. */
export function sctpTimerRestart(
	k: Stack,
	asoc: SctpAssociation,
	kind: number,
	timeout: number,
): void {
	k.timers.mod_timer(timerOf(asoc, kind), timeout);
}

/** SCTP_CMD_TIMER_START. A timer that runs already never expires later for it. */
export function sctpTimerStart(
	k: Stack,
	asoc: SctpAssociation,
	kind: number,
	timeout: number,
): void {
	const expiry = k.timers.expiry(timerOf(asoc, kind));
	if (expiry !== null && expiry <= k.timers.expiryIn(timeout)) return;
	k.timers.mod_timer(timerOf(asoc, kind), timeout);
}

export function sctpTimerPending(k: Stack, asoc: SctpAssociation, kind: number): boolean {
	return k.timers.expiry(timerOf(asoc, kind)) !== null;
}

/** SCTP_CMD_TIMER_STOP. */
export function sctpTimerStop(k: Stack, asoc: SctpAssociation, kind: number): void {
	k.timers.del_timer(timerOf(asoc, kind));
}

/**
 * Acknowledges a packet with data: every second one at once, the others when 200 ms have passed.
 * `force`: at once.
 */
export function sctp_gen_sack(k: Stack, asoc: SctpAssociation, force: boolean): void {
	const { peer } = asoc;
	if (!force && !peer.sack_needed) {
		peer.sack_needed = true; // of the next packet
		sctpTimerRestart(k, asoc, SCTP_TIMEOUT_SACK, SCTP_SACK_TIMEOUT);
		return;
	}
	peer.sack_needed = false;
	const vtag = asoc.c.peer_vtag;
	sctp_outq_tail(asoc, peer.last_data_from, { type: SCTP_CID_SACK, vtag, ctsn: peer.ctsn });
	sctpTimerStop(k, asoc, SCTP_TIMEOUT_SACK);
}

/** A packet to the primary address was not answered: RTO doubles. */
export function sctp_do_8_2_transport_strike(asoc: SctpAssociation): void {
	asoc.overall_error_count++;
	asoc.rto = Math.min(asoc.rto * 2, SCTP_RTO_MAX);
}

/** SCTP_CMD_INIT_FAILED, SCTP_CMD_ASSOC_FAILED: the association is closed and freed. */
export function sctp_cmd_assoc_failed(k: Stack, asoc: SctpAssociation): void {
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctp_cmd_delete_tcb(k, asoc);
}

/** Takes an acknowledgement. When no data is left, a shutdown that waited for this goes on. */
export function sctp_cmd_process_sack(k: Stack, asoc: SctpAssociation, ctsn: number): void {
	if (asoc.state === SCTP_STATE_SHUTDOWN_PENDING && ctsn > asoc.outqueue.ctsn_ack_point) {
		sctpTimerStop(k, asoc, SCTP_TIMEOUT_T5_SHUTDOWN_GUARD);
	}
	if (!sctp_outq_sack(k, asoc, ctsn)) return;
	// SCTP_EVENT_NO_PENDING_TSN
	if (asoc.state === SCTP_STATE_SHUTDOWN_PENDING) sctp_sf_do_9_2_start_shutdown(k, asoc, null);
	else if (asoc.state === SCTP_STATE_SHUTDOWN_RECEIVED) {
		sctp_sf_do_9_2_shutdown_ack(k, asoc, null);
	}
}

/** Sets the state of an association, and the state of its one-to-one sock. */
export function sctp_cmd_new_state(k: Stack, asoc: SctpAssociation, state: number): void {
	const { sk } = asoc;
	const S = k.sock;
	asoc.state = state;
	if (sctp_style(k, sk, SCTP_SOCKET_TCP)) {
		if (state === SCTP_STATE_ESTABLISHED && sctp_sstate(k, sk, SCTP_SS_CLOSED)) {
			S.skc_state[sk] = SCTP_SS_ESTABLISHED;
		}
		if (state === SCTP_STATE_SHUTDOWN_RECEIVED && sctp_sstate(k, sk, SCTP_SS_ESTABLISHED)) {
			S.skc_state[sk] = SCTP_SS_CLOSING;
			S.sk_shutdown[sk] |= RCV_SHUTDOWN;
		}
	}
	if (state === SCTP_STATE_COOKIE_WAIT) asoc.t1 = SCTP_RTO_INITIAL;
	if (state === SCTP_STATE_ESTABLISHED) asoc.cookie = null;
}

/** Frees an association that has ended, unless it waits for accept(), which may still return it. */
export function sctp_cmd_delete_tcb(k: Stack, asoc: SctpAssociation): void {
	const { sk } = asoc;
	if (
		sctp_style(k, sk, SCTP_SOCKET_TCP) &&
		sctp_sstate(k, sk, SCTP_SS_LISTENING) &&
		!asoc.temp &&
		k.sock.sk_shutdown[sk] !== SHUTDOWN_MASK
	) {
		return;
	}
	sctp_association_free(k, asoc);
}

/** Sets the error of a one-to-one sock. A one-to-many sock gets notifications instead. */
export function sctp_cmd_set_sk_err(k: Stack, asoc: SctpAssociation, error: number): void {
	if (!sctp_style(k, asoc.sk, SCTP_SOCKET_UDP)) k.sock.sk_err[asoc.sk] = error;
}

/** T1 has expired. The timeout doubles when all addresses, here one, were tried with it. */
export function sctp_cmd_t1_timer_update(asoc: SctpAssociation): void {
	asoc.init_err_counter++;
	if (asoc.init_sent_count <= asoc.init_cycle + 1) return;
	asoc.t1 = Math.min(asoc.t1 * 2, SCTP_RTO_MAX);
	asoc.init_cycle++;
}
