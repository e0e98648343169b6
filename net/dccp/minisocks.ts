// SPDX-License-Identifier: GPL-2.0-or-later
/** net/dccp/minisocks.c: requests, their children, and time-wait sockets. */
import {
	DCCP_PKT_ACK,
	DCCP_PKT_DATAACK,
	DCCP_PKT_REQUEST,
	DCCP_PKT_RESET,
	DCCP_RESET_CODE_PACKET_ERROR,
	DCCP_RESET_CODE_TOO_BUSY,
	DCCP_ROLE_SERVER,
	DCCP_TIME_WAIT,
	DCCP_TIMEOUT_INIT,
	DCCP_TIMEWAIT_LEN,
	dccp_sk,
	dccphType,
} from "../../include/linux/dccp.js";
import type { Sk } from "../../include/linux/handle.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import { ipv6_addr_copy } from "../../include/net/ipv6.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import {
	inet_csk_clone_lock,
	inet_csk_reqsk_queue_add,
	inet_csk_reqsk_queue_drop,
	inet_reqsk_alloc,
	inet_rtx_syn_ack,
} from "../ipv4/inet_connection_sock.js";
import {
	inet_twsk_alloc,
	inet_twsk_hashdance,
	inet_twsk_schedule,
} from "../ipv4/inet_timewait_sock.js";
import { dccp_rcv_state_process } from "./input.js";
import { dccp_ctl_send_reset, dccp_v4_request_recv_sock } from "./ipv4.js";
import { dccp_v6_request_recv_sock } from "./ipv6.js";
import { dccp_done } from "./proto.js";

/** Replaces a connection by a time-wait socket, for a minute. The connection ends. */
export function dccp_time_wait(k: Stack, sk: Sk): void {
	const S = k.sock;
	const tw = inet_twsk_alloc(k, sk, DCCP_TIME_WAIT);
	if (tw !== 0) {
		if (S.skc_family[tw] === AF_INET6) {
			ipv6_addr_copy(S.skc_v6_daddr, tw * 4, S.skc_v6_daddr, sk * 4);
			ipv6_addr_copy(S.skc_v6_rcv_saddr, tw * 4, S.skc_v6_rcv_saddr, sk * 4);
			S.skc_ipv6only[tw] = S.skc_ipv6only[sk];
		}
		inet_twsk_schedule(k, tw, DCCP_TIMEWAIT_LEN);
		inet_twsk_hashdance(k, tw, sk);
	}
	dccp_done(k, sk);
}

/** Makes the child of a request, without its addresses. */
export function dccp_create_openreq_child(k: Stack, sk: Sk, req: Sk): Sk {
	const newsk = inet_csk_clone_lock(k, sk, k.sock.skc_dport[req]);
	const S = k.sock;
	S.skc_num[newsk] = S.skc_num[req];
	S.snd_isn[newsk] = S.snd_isn[req];
	S.rcv_isn[newsk] = S.rcv_isn[req];
	S.icsk_retransmits[newsk] = 0;
	S.icsk_rto[newsk] = DCCP_TIMEOUT_INIT;
	k.dccp.socks.set(newsk, {
		...dccp_sk(k, sk),
		role: DCCP_ROLE_SERVER,
		service: k.dccp.dreq_service.get(req) ?? 0,
		service_list: [],
		receive_queue: [],
	});
	return newsk;
}

/** A packet for a request. The Ack of its Response makes the child, which is returned; otherwise 0. */
export function dccp_check_req(k: Stack, sk: Sk, skb: Segment, req: Sk): Sk {
	const S = k.sock;
	const type = dccphType(skb.flags);
	if (type === DCCP_PKT_REQUEST) {
		// Of the same client, or of a later connection.
		S.rcv_isn[req] = skb.seq;
		inet_rtx_syn_ack(k, req);
		return 0;
	}
	let code = DCCP_RESET_CODE_PACKET_ERROR;
	const acks = type === DCCP_PKT_ACK || type === DCCP_PKT_DATAACK;
	if (acks && skb.ack === S.snd_isn[req]) {
		const child =
			skb.v6 === null
				? dccp_v4_request_recv_sock(k, sk, req)
				: dccp_v6_request_recv_sock(k, sk, req);
		if (child !== 0) {
			// inet_csk_complete_hashdance
			inet_csk_reqsk_queue_drop(k, req);
			inet_csk_reqsk_queue_add(k, sk, child);
			return child;
		}
		code = DCCP_RESET_CODE_TOO_BUSY;
	}
	// drop:
	if (type !== DCCP_PKT_RESET) dccp_ctl_send_reset(k, skb, code);
	inet_csk_reqsk_queue_drop(k, req);
	return 0;
}

/** Passes the packet that made a child to the child. Returns the code of a Reset, 0 if none. */
export function dccp_child_process(k: Stack, child: Sk, skb: Segment): number {
	return dccp_rcv_state_process(k, child, skb);
}

/** dccp_reqsk_init: a request of a listener. The caller sets the addresses. */
export function dccp_reqsk_init(k: Stack, sk: Sk, skb: Segment): Sk {
	const req = inet_reqsk_alloc(k, sk, skb.sport);
	k.sock.skc_bound_dev_if[req] = k.sock.skc_bound_dev_if[sk];
	k.dccp.dreq_service.set(req, skb.service);
	return req;
}
