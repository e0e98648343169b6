// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/dccp/output.c: packets that a sock sends. A packet to this namespace waits in k.loopback until
 * dccp_v4_rcv receives it. As with TCP, sequence spaces stand for sequence numbers. Congestion
 * control is left out: a packet with data is sent at once.
 */
import {
	DCCP_CLOSED,
	DCCP_NEW_SYN_RECV,
	DCCP_PARTOPEN,
	DCCP_PKT_ACK,
	DCCP_PKT_CLOSE,
	DCCP_PKT_CLOSEREQ,
	DCCP_PKT_DATA,
	DCCP_PKT_DATAACK,
	DCCP_PKT_REQUEST,
	DCCP_PKT_RESET,
	DCCP_PKT_RESPONSE,
	DCCP_REQUESTING,
	DCCP_RESET_CODE_CLOSED,
	DCCP_RESET_CODE_NO_CONNECTION,
	DCCP_ROLE_SERVER,
	DCCP_TIMEOUT_INIT,
	dccp_sk,
	dccpFlags,
} from "../../include/linux/dccp.js";
import type { Ifindex, Sk } from "../../include/linux/handle.js";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import { inet_sk_flowi_flags } from "../../include/net/inet_sock.js";
import { ICSK_IPV6_MAPPED, SOCK_DONE, sk_net } from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import { ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { inet_sk_rebuild_header } from "../ipv4/af_inet.js";
import { skOverIpv6 } from "../ipv4/inet_hashtables.js";
import { ipDatagramDeliverIfindex, ipSegmentRoute, ipSourceValid } from "../ipv4/route.js";
import {
	ipQueueXmitMapped,
	newIsn,
	pushSegment,
	skRemoteAnswer,
	turnAround,
} from "../ipv4/tcp_output.js";
import { ip6LocalDeliverIfindex } from "../ipv6/route.js";

/**
 * Sends a packet of `type`. `code` is that of a Reset, `length` the number of bytes. A Sync
 * acknowledges `ackno`. Returns false if there is no route, so that nothing was sent.
 */
function dccp_transmit_skb(
	k: Stack,
	sk: Sk,
	type: number,
	code = 0,
	length = 0,
	ackno = k.sock.rcv_isn[sk],
): boolean {
	const S = k.sock;
	const net = sk_net(k, sk);
	const flags = dccpFlags(type, code);
	const over_ipv6 = skOverIpv6(S, sk);
	if (over_ipv6 && (S.inet_flags[sk] & ICSK_IPV6_MAPPED) !== 0) {
		ipQueueXmitMapped(k, sk, flags, length);
		return true;
	}
	const ack = type === DCCP_PKT_REQUEST || type === DCCP_PKT_DATA ? 0 : ackno;
	const oif = S.skc_bound_dev_if[sk];
	let dif: Ifindex;
	let local = true;
	let unsent = false;
	if (over_ipv6) {
		dif = ip6LocalDeliverIfindex(net, S.skc_v6_daddr, sk * 4, oif);
		unsent = dif === 0 && type !== DCCP_PKT_REQUEST && inet_sk_rebuild_header(k, sk) < 0;
	} else {
		({ dif, local, unsent } = ipSegmentRoute(net, S.skc_daddr[sk], oif));
		const anysrc = inet_sk_flowi_flags(k, sk) !== 0 || S.skc_state[sk] === DCCP_NEW_SYN_RECV;
		if (!anysrc && !ipSourceValid(net, S.skc_rcv_saddr[sk])) return false;
		const own = oif === 0 && dif === 0 && type !== DCCP_PKT_REQUEST;
		if (own && skRemoteAnswer(k, sk) === "blackhole") {
			dif = ipDatagramDeliverIfindex(net, S.skc_daddr[sk], oif);
			local = false;
		}
	}
	if (dif !== 0) {
		pushSegment(k, sk, flags, dif, local, length, S.snd_isn[sk], ack);
		if (type === DCCP_PKT_REQUEST) lastSegment(k).service = dccp_sk(k, sk).service;
		return true;
	}
	if (unsent) return false;
	// Another host receives the packet. The route says what this host answers.
	if (type !== DCCP_PKT_REQUEST && type !== DCCP_PKT_CLOSE) return true;
	const answer = k.draws.remoteAnswer(sk, skRemoteAnswer(k, sk));
	// dccp_v6_err: connect() has the lock of the sock when the answer to its Request arrives.
	const soft = answer === "unreachable" && S.skc_state[sk] === DCCP_REQUESTING;
	if (soft) S.sk_err_soft[sk] = ENETUNREACH;
	if (answer === "blackhole" || answer === "unreachable") return true;
	let reply = dccpFlags(DCCP_PKT_RESPONSE);
	if (answer === "refuse") reply = dccpFlags(DCCP_PKT_RESET, DCCP_RESET_CODE_NO_CONNECTION);
	else if (type === DCCP_PKT_CLOSE) reply = dccpFlags(DCCP_PKT_RESET, DCCP_RESET_CODE_CLOSED);
	const seq = S.rcv_isn[sk] || newIsn(k, false);
	pushSegment(k, sk, reply, oif, over_ipv6, 0, seq, S.snd_isn[sk]);
	turnAround(lastSegment(k));
	return true;
}

function lastSegment(k: Stack): Segment {
	return k.loopback[k.loopback.length - 1];
}

/** The MTU of lo without the IP header: IP_MAX_MTU over IPv4. */
const LO_PMTU4 = 65_535 - 20;
const LO_PMTU6 = 65_536 - 40;
/** A DCCP header with the usual options of a packet with data: of a client, and of a server. */
const CLIENT_HEADER = 16 + 24;
const SERVER_HEADER = 16 + 40;

/**
 * Sets the most bytes of a packet, as for a route over lo. A server
 * has activated its features before, and so leaves room for more options.
 */
export function dccp_sync_mss(k: Stack, sk: Sk): void {
	const dp = dccp_sk(k, sk);
	const header = dp.role === DCCP_ROLE_SERVER ? SERVER_HEADER : CLIENT_HEADER;
	dp.mss_cache = (skOverIpv6(k.sock, sk) ? LO_PMTU6 : LO_PMTU4) - header;
}

/** dccp_xmit_packet: sends a packet with data. */
export function dccp_write_xmit(k: Stack, sk: Sk, length: number): void {
	const partopen = k.sock.skc_state[sk] === DCCP_PARTOPEN;
	dccp_transmit_skb(k, sk, partopen ? DCCP_PKT_DATAACK : DCCP_PKT_DATA, 0, length);
}

/** Sends the Request, Close or CloseReq again. Returns false if there is no route. */
export function dccp_retransmit_skb(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	const err = inet_sk_rebuild_header(k, sk);
	if (err < 0) {
		S.sk_err_soft[sk] = -err;
		return false;
	}
	S.icsk_retransmits[sk]++;
	const requesting = S.skc_state[sk] === DCCP_REQUESTING;
	return dccp_transmit_skb(k, sk, requesting ? DCCP_PKT_REQUEST : closeType(k, sk));
}

/** Sends the Response of a request. Returns false if there is no route. */
export function dccp_make_response(k: Stack, req: Sk): boolean {
	return dccp_transmit_skb(k, req, DCCP_PKT_RESPONSE);
}

export function dccp_send_reset(k: Stack, sk: Sk, code: number): void {
	dccp_transmit_skb(k, sk, DCCP_PKT_RESET, code);
}

/** Sends the Request and arms the retransmission timer. Clears what an earlier connection left. */
export function dccp_connect(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.sk_err[sk] = 0;
	S.sk_flags[sk] &= ~SOCK_DONE;
	dccp_sync_mss(k, sk);
	S.snd_isn[sk] = newIsn(k, false);
	S.rcv_isn[sk] = 0;
	dccp_transmit_skb(k, sk, DCCP_PKT_REQUEST);
	S.icsk_retransmits[sk] = 0;
	k.timers.mod_timer(icsk_retransmit_timer(sk), S.icsk_rto[sk]);
}

export function dccp_send_ack(k: Stack, sk: Sk): void {
	if (k.sock.skc_state[sk] !== DCCP_CLOSED) dccp_transmit_skb(k, sk, DCCP_PKT_ACK);
}

/** Sends a Sync or a SyncAck that acknowledges `ackno`. */
export function dccp_send_sync(k: Stack, sk: Sk, ackno: number, pkt_type: number): void {
	dccp_transmit_skb(k, sk, pkt_type, 0, 0, ackno);
}

/** A server asks its client with CloseReq to send Close, because who sends Close keeps TIME_WAIT. */
function closeType(k: Stack, sk: Sk): number {
	const { role, server_timewait } = dccp_sk(k, sk);
	return role === DCCP_ROLE_SERVER && !server_timewait ? DCCP_PKT_CLOSEREQ : DCCP_PKT_CLOSE;
}

/** Sends Close or CloseReq. `active`: starts the timer that sends it again. */
export function dccp_send_close(k: Stack, sk: Sk, active: boolean): void {
	if (active) k.timers.mod_timer(icsk_retransmit_timer(sk), DCCP_TIMEOUT_INIT);
	dccp_transmit_skb(k, sk, closeType(k, sk));
}
