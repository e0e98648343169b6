// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/primitive.c: what a call asks of an association. */
import {
	SCTP_STATE_CLOSED,
	SCTP_STATE_COOKIE_ECHOED,
	SCTP_STATE_ESTABLISHED,
	type SctpAssociation,
} from "../../include/net/sctp.js";
import type { Stack } from "../../include/net/stack.js";
import { ESHUTDOWN } from "../../include/uapi/asm-generic/errno.js";
import { sctpReceive } from "./input.js";
import { sctp_outq_flush } from "./outqueue.js";
import {
	sctp_sf_cookie_wait_prm_abort,
	sctp_sf_cookie_wait_prm_shutdown,
	sctp_sf_do_9_1_prm_abort,
	sctp_sf_do_9_2_prm_shutdown,
	sctp_sf_do_prm_asoc,
} from "./sm_statefuns.js";

/** Begins an association. */
export function sctp_primitive_ASSOCIATE(k: Stack, asoc: SctpAssociation): void {
	sctp_sf_do_prm_asoc(k, asoc);
	sctpReceive(k);
}

/** Shuts an association down. */
export function sctp_primitive_SHUTDOWN(k: Stack, asoc: SctpAssociation): void {
	const { state } = asoc;
	if (state === SCTP_STATE_CLOSED || state > SCTP_STATE_ESTABLISHED) return;
	if (state <= SCTP_STATE_COOKIE_ECHOED) sctp_sf_cookie_wait_prm_shutdown(k, asoc);
	else sctp_sf_do_9_2_prm_shutdown(k, asoc);
	if (!asoc.dead) sctp_outq_flush(k, asoc);
	sctpReceive(k);
}

/** Aborts an association. */
export function sctp_primitive_ABORT(k: Stack, asoc: SctpAssociation): void {
	if (asoc.state === SCTP_STATE_CLOSED) return;
	if (asoc.state <= SCTP_STATE_COOKIE_ECHOED) sctp_sf_cookie_wait_prm_abort(k, asoc);
	else sctp_sf_do_9_1_prm_abort(k, asoc);
	sctpReceive(k);
}

/**
 * Sends a message of `size` bytes, or queues it until it may be sent. Returns 0 or a negative errno.
 */
export function sctp_primitive_SEND(k: Stack, asoc: SctpAssociation, size: number): number {
	if (asoc.state > SCTP_STATE_ESTABLISHED) return -ESHUTDOWN;
	asoc.outqueue.out_chunk_list.push(size);
	sctp_outq_flush(k, asoc);
	sctpReceive(k);
	return 0;
}
