// SPDX-License-Identifier: GPL-2.0-or-later
/** Requests, and the accept queue of a listener (include/net/request_sock.h). */
import type { Sk } from "../linux/handle.js";
import { sk_prot } from "./sock.js";
import type { Stack } from "./stack.js";

/** Frees a request that is on no chain and has no timer. */
export function reqsk_free(k: Stack, req: Sk): void {
	sk_prot(k, req).rsk_prot?.destructor(k, req);
	k.sock.skc_state[req] = 0;
	k.sock.kmem_cache_free(req);
}

/**
 * Takes a connection off the accept queue of a listener. C takes the first one; this takes `child`
 * from any place.
 */
export function reqsk_queue_remove(k: Stack, sk: Sk, child: Sk): void {
	const S = k.sock;
	if (S.rskq_accept_head.get(sk) === child) {
		S.rskq_accept_head.set(sk, S.dl_next.get(child));
		if (S.rskq_accept_tail.get(sk) === child) S.rskq_accept_tail.set(sk, 0);
	} else {
		let before = S.rskq_accept_head.get(sk);
		while (S.dl_next.get(before) !== child) before = S.dl_next.get(before);
		S.dl_next.set(before, S.dl_next.get(child));
		if (S.rskq_accept_tail.get(sk) === child) S.rskq_accept_tail.set(sk, before);
	}
	S.dl_next.set(child, 0);
	S.rsk_listener.set(child, 0);
	S.sk_ack_backlog.add(sk, -1);
}
