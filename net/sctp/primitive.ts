// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/primitive.c, and the parts of sm_statefuns.c and sm_sideeffect.c that its primitives
 * run: the begin and the end of associations.
 *
 * There are no packets. An exchange over loopback completes before the call that began it returns,
 * as in the kernel. Left out: retransmissions, so a packet without an answer never times out; and
 * delayed acknowledgements, with which data that was just sent delays the end of an association by
 * at most 200 ms.
 */
import type { Ifindex } from "../../include/linux/handle.js";
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	SCTP_SOCKET_TCP,
	SCTP_SOCKET_UDP,
	SCTP_SS_CLOSED,
	SCTP_SS_CLOSING,
	SCTP_SS_ESTABLISHED,
	SCTP_SS_LISTENING,
	SCTP_STATE_CLOSED,
	SCTP_STATE_COOKIE_WAIT,
	SCTP_STATE_ESTABLISHED,
	SCTP_STATE_SHUTDOWN_RECEIVED,
	type SctpAddr,
	type SctpAssociation,
	sctp_sk,
	sctp_sstate,
	sctp_style,
} from "../../include/net/sctp.js";
import { RCV_SHUTDOWN, SHUTDOWN_MASK } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { ECONNABORTED, ECONNREFUSED, ECONNRESET } from "../../include/uapi/asm-generic/errno.js";
import { NotModelled, sk_net } from "../core/sock.js";
import { sk_acceptq_is_full } from "../ipv4/inet_connection_sock.js";
import {
	sctp_assoc_add_peer,
	sctp_assoc_set_bind_addr_from_ep,
	sctp_association_free,
	sctp_association_new,
	sctpAssocRmOtherPeers,
} from "./associola.js";
import { sctp_cmp_addr_exact, sctp_in_scope } from "./bind_addr.js";
import { sctp_endpoint_add_asoc } from "./endpointola.js";
import {
	__sctp_rcv_lookup_endpoint,
	sctp_lookup_association,
	sctp_sk_bound_dev_eq,
} from "./input.js";
import { sctp_get_af_specific } from "./protocol.js";
import { sctp_transport_route } from "./transport.js";

/** Begins an association. Its INIT is sent when the call releases the sock: sctpReleaseSock. */
export function sctp_primitive_ASSOCIATE(k: Stack, asoc: SctpAssociation): void {
	sctp_cmd_new_state(k, asoc, SCTP_STATE_COOKIE_WAIT);
	asoc.init_pending = true;
}

/**
 * Processes the answers to the INIT of an association, which arrived while a call held the sock.
 */
export function sctpReleaseSock(k: Stack, asoc: SctpAssociation): void {
	if (!asoc.init_pending || asoc.dead) return;
	asoc.init_pending = false;
	const { dst } = asoc;
	if (dst === null) return; // without a route the INIT is lost
	if (dst.dif === 0) {
		if (!dst.bound) return; // from another address the answer
		const answer = k.draws.remoteAnswer(asoc.sk, dst.answer);
		if (answer === "refuse") sctpCookieWaitAbort(k, asoc);
		else if (answer === "accept") sctpEstablished(k, asoc);
		return;
	}
	const saddr = { ...dst.saddr, sin_port: asoc.bind_addr.port };
	sctpRcvInit(k, asoc, saddr, asoc.peer.primary_addr, dst.dif);
}

/**
 * The whole handshake with an endpoint of this kernel. If the source address of the INIT does not
 * belong to the association, the INIT reaches the endpoint, but the answer does not find the
 * association.
 */
function sctpRcvInit(
	k: Stack,
	asoc: SctpAssociation,
	saddr: SctpAddr,
	daddr: SctpAddr,
	dif: Ifindex,
): void {
	const net = sk_net(k, asoc.sk);
	const bound_dev_if = k.sock.skc_bound_dev_if;
	const met = sctp_lookup_association(k, net, daddr, saddr, dif);
	if (met === asoc) {
		// The socket connects to itself.
		sctp_process_init(k, asoc, daddr, asoc);
		asoc.other = asoc;
		sctpEstablished(k, asoc);
		return;
	}
	// An association that has ended but waits for accept() treats the INIT as that of a new one. If
	// it refuses the INIT, its answer has the old tag and is ignored.
	const ended = met?.state === SCTP_STATE_CLOSED;
	if (met !== null && !ended) throw new NotModelled("SCTP: INITs that meet an association");
	const ep = met?.ep ?? __sctp_rcv_lookup_endpoint(k, net, daddr, saddr, dif);
	const af = sctp_get_af_specific(saddr.sin_family);
	if (ep === null || !sctp_sk_bound_dev_eq(bound_dev_if[ep.sk], dif)) {
		const back = af?.deliverIfindex(net, saddr) ?? 0;
		if (!ended && hears(k, asoc, back)) sctpCookieWaitAbort(k, asoc);
		return;
	}
	const peer = sctp_association_new(ep, ep.sk, saddr);
	const scope = af?.scope(saddr) ?? 0;
	if (sctp_assoc_set_bind_addr_from_ep(k, peer, scope) < 0) return; // dropped, as after -ENOMEM
	sctp_transport_route(k, peer, saddr); // for the INIT ACK, which keeps no state
	if (!hears(k, asoc, peer.dst?.dif ?? 0) || !answersFrom(peer, daddr)) return;
	// An INIT ACK with an address of another association of the endpoint is ignored.
	if (!sctp_process_init(k, asoc, daddr, peer)) {
		sctpAssocRmOtherPeers(k, asoc);
		return;
	}
	// The listener refuses the COOKIE ECHO, not the INIT.
	if (
		!sctp_sstate(k, ep.sk, SCTP_SS_LISTENING) ||
		(sctp_style(k, ep.sk, SCTP_SOCKET_TCP) && sk_acceptq_is_full(k, ep.sk))
	) {
		if (!ended) sctpCookieWaitAbort(k, asoc);
		return;
	}
	if (!sctp_process_init(k, peer, saddr, asoc)) {
		sctp_association_free(k, peer);
		return;
	}
	peer.other = asoc;
	asoc.other = peer;
	sctp_cmd_new_state(k, peer, SCTP_STATE_ESTABLISHED);
	sctp_endpoint_add_asoc(k, ep, peer);
	sctpEstablished(k, asoc);
}

/**
 * Whether an association receives the answer to the source address of its INIT. `dif` is the device
 * that receives the answer, 0 if none does.
 */
function hears(k: Stack, asoc: SctpAssociation, dif: Ifindex): boolean {
	if (asoc.dst === null || !asoc.dst.bound || dif === 0) return false;
	return sctp_sk_bound_dev_eq(k.sock.skc_bound_dev_if[asoc.sk], dif);
}

/**
 * Whether an INIT ACK comes from `daddr`: this is its source address or one of the addresses that
 * it lists. A listener on the wildcard answers from an address of its devices.
 */
function answersFrom(asoc: SctpAssociation, daddr: SctpAddr): boolean {
	if (asoc.dst === null) return false;
	const source = { ...asoc.dst.saddr, sin_port: asoc.bind_addr.port };
	const { address_list } = asoc.bind_addr;
	const named = address_list.length === 1 ? [] : address_list;
	return [source, ...named].some((addr) => sctp_cmp_addr_exact(addr, daddr));
}

/**
 * Adds the addresses that the other end lists in its INIT or INIT ACK, if it has several. Returns
 * false if another association has one of them.
 */
function sctp_process_init(
	k: Stack,
	asoc: SctpAssociation,
	peer_addr: SctpAddr,
	other: SctpAssociation,
): boolean {
	if (!sctp_assoc_add_peer(k, asoc, peer_addr)) return false;
	const { address_list } = other.bind_addr;
	if (address_list.length === 1) return true;
	const scope = sctp_get_af_specific(peer_addr.sin_family)?.scope(peer_addr) ?? 0;
	const v6 = k.sock.skc_family[asoc.sk] === AF_INET6;
	for (const addr of address_list) {
		if (addr.sin_family === AF_INET ? ipv6_only_sock(k, asoc.sk) : !v6) continue;
		if (sctp_in_scope(addr, scope) && !sctp_assoc_add_peer(k, asoc, addr)) return false;
	}
	return true;
}

/** COOKIE ACK: the association is established. Sends the messages that were queued before. */
function sctpEstablished(k: Stack, asoc: SctpAssociation): void {
	sctp_cmd_new_state(k, asoc, SCTP_STATE_ESTABLISHED);
	for (const size of asoc.outqueue.splice(0)) sctp_primitive_SEND(k, asoc, size);
}

/** ABORT in answer to INIT or COOKIE ECHO: the association was refused. */
function sctpCookieWaitAbort(k: Stack, asoc: SctpAssociation): void {
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctp_cmd_set_sk_err(k, asoc, ECONNREFUSED);
	sctp_cmd_delete_tcb(k, asoc);
}

/** Shuts an association down. */
export function sctp_primitive_SHUTDOWN(k: Stack, asoc: SctpAssociation): void {
	if (asoc.state === SCTP_STATE_CLOSED) return;
	const peer = asoc.other;
	if (asoc.state === SCTP_STATE_ESTABLISHED && peer !== null) {
		sctp_cmd_new_state(k, peer, SCTP_STATE_SHUTDOWN_RECEIVED);
	}
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctp_cmd_delete_tcb(k, asoc);
	if (peer !== null && peer !== asoc) {
		sctp_cmd_new_state(k, peer, SCTP_STATE_CLOSED);
		sctp_cmd_delete_tcb(k, peer);
	}
}

/** Aborts an association. */
export function sctp_primitive_ABORT(k: Stack, asoc: SctpAssociation): void {
	if (asoc.state === SCTP_STATE_CLOSED) return;
	const peer = asoc.other;
	const waiting = asoc.state === SCTP_STATE_COOKIE_WAIT;
	sctp_cmd_set_sk_err(k, asoc, waiting ? ECONNREFUSED : ECONNABORTED);
	sctp_cmd_new_state(k, asoc, SCTP_STATE_CLOSED);
	sctp_cmd_delete_tcb(k, asoc);
	if (peer !== null && peer !== asoc) {
		sctp_cmd_set_sk_err(k, peer, ECONNRESET);
		sctp_cmd_new_state(k, peer, SCTP_STATE_CLOSED);
		sctp_cmd_delete_tcb(k, peer);
	}
}

/** Sends a message of `size` bytes, or queues it until the association is established. */
export function sctp_primitive_SEND(k: Stack, asoc: SctpAssociation, size: number): void {
	const peer = asoc.other;
	if (asoc.state === SCTP_STATE_COOKIE_WAIT) asoc.outqueue.push(size);
	else if (peer !== null && (k.sock.sk_shutdown[peer.sk] & RCV_SHUTDOWN) === 0) {
		sctp_sk(k, peer.sk).receive_queue.push({ asoc: peer, size });
	}
}

/** Sets the error of a one-to-one sock. A one-to-many sock gets notifications instead. */
function sctp_cmd_set_sk_err(k: Stack, asoc: SctpAssociation, error: number): void {
	if (!sctp_style(k, asoc.sk, SCTP_SOCKET_UDP)) k.sock.sk_err[asoc.sk] = error;
}

/** Sets the state of an association, and the state of its one-to-one sock. */
function sctp_cmd_new_state(k: Stack, asoc: SctpAssociation, state: number): void {
	const { sk } = asoc;
	const S = k.sock;
	asoc.state = state;
	if (!sctp_style(k, sk, SCTP_SOCKET_TCP)) return;
	if (state === SCTP_STATE_ESTABLISHED && sctp_sstate(k, sk, SCTP_SS_CLOSED)) {
		S.skc_state[sk] = SCTP_SS_ESTABLISHED;
	}
	if (state === SCTP_STATE_SHUTDOWN_RECEIVED && sctp_sstate(k, sk, SCTP_SS_ESTABLISHED)) {
		S.skc_state[sk] = SCTP_SS_CLOSING;
		S.sk_shutdown[sk] |= RCV_SHUTDOWN;
	}
}

/** Frees an association that has ended, unless it waits for accept(), which may still return it. */
function sctp_cmd_delete_tcb(k: Stack, asoc: SctpAssociation): void {
	const { sk } = asoc;
	if (
		sctp_style(k, sk, SCTP_SOCKET_TCP) &&
		sctp_sstate(k, sk, SCTP_SS_LISTENING) &&
		k.sock.sk_shutdown[sk] !== SHUTDOWN_MASK
	) {
		return;
	}
	sctp_association_free(k, asoc);
}
