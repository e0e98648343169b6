// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/syncookies.c: connections without a request, because the queue of requests was full. */
import type { Sk } from "../../include/linux/handle.js";
import { reqsk_free } from "../../include/net/request_sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import { inet_reqsk_alloc } from "./inet_connection_sock.js";
import { route_req, tcpSynRecvChild } from "./tcp_ipv4.js";

/** Marks the sequence space of a SYN-ACK with a cookie, which has no request. */
export const SYN_COOKIE = 0x80000000;

/** Makes the child of a segment with a valid cookie. 0 if the queue is full. */
export function cookie_v4_check(k: Stack, sk: Sk, skb: Segment): Sk {
	const req = inet_reqsk_alloc(k, sk, skb.sport);
	route_req(k, sk, req, skb);
	k.sock.snd_isn[req] = skb.ack;
	k.sock.rcv_isn[req] = skb.seq;
	const child = tcpSynRecvChild(k, sk, req, skb.flags, false);
	if (child === 0) reqsk_free(k, req);
	return child;
}
