// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/inet_timewait_sock.c: time-wait sockets. They keep a port without a file. */
import type { Sk } from "../../include/linux/handle.js";
import { hlist_add_head, hlist_del_init } from "../../include/linux/list.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import { tcp_or_dccp_get_hashinfo } from "../../include/net/inet_hashtables.js";
import { leavesEhash } from "../../include/net/refused_ports.js";
import { SOCK_CONNECT_BIND, sk_net, sk_timer } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import { IPPROTO_DCCP } from "../../include/uapi/linux/in.js";
import { sk_free } from "../core/sock.js";
import {
	bindNodeAdd,
	bindNodeDel,
	inet_bind_bucket_destroy,
	inet_bind2_bucket_destroy,
} from "./inet_hashtables.js";

/** Removes a time-wait socket from its bind bucket and its bind2 bucket. */
export function inet_twsk_bind_unhash(k: Stack, tw: Sk): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, tw);
	const tb = S.icsk_bind_hash[tw];
	const tb2 = S.icsk_bind2_hash[tw];
	if (tb === 0) return;

	bindNodeDel(k, hinfo, tw);
	S.icsk_bind_hash[tw] = 0;
	S.icsk_bind2_hash[tw] = 0;
	inet_bind2_bucket_destroy(k, hinfo, tb2);
	inet_bind_bucket_destroy(k, hinfo, tb);
}

/**
 * Whether a sock counts for the death row of its namespace. DCCP has one of its own, whose limit
 * (twice NR_FILE) no program of one task reaches.
 */
function ofTcp(k: Stack, sk: Sk): boolean {
	return k.sock.sk_protocol[sk] !== IPPROTO_DCCP;
}

/** Removes a time-wait socket from all tables and frees it. Its timer calls this as well. */
export function inet_twsk_kill(k: Stack, tw: Sk): void {
	const S = k.sock;
	leavesEhash(k, tw);
	hlist_del_init(tcp_or_dccp_get_hashinfo(k, tw).ehash, S.node_next, S.node_pprev, tw);
	inet_twsk_bind_unhash(k, tw);
	if (ofTcp(k, tw)) sk_net(k, tw).tw_count--;
	sk_free(k, tw);
}

/** Arms the timer of a time-wait socket for the first time. `timeo` in ms. */
export function inet_twsk_schedule(k: Stack, tw: Sk, timeo: number): void {
	k.timers.mod_timer(sk_timer(tw), timeo);
	if (ofTcp(k, tw)) sk_net(k, tw).tw_count++;
}

/**
 * Adds a time-wait socket to the bind buckets of its connection and replaces the connection in
 * ehash.
 */
export function inet_twsk_hashdance(k: Stack, tw: Sk, sk: Sk): void {
	const S = k.sock;
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const tb = S.icsk_bind_hash[sk];
	const tb2 = S.icsk_bind2_hash[sk];
	S.icsk_bind_hash[tw] = tb;
	S.icsk_bind2_hash[tw] = tb2;
	bindNodeAdd(k, hinfo, tw, tb, tb2);

	const slot = S.skc_hash[sk] & hinfo.ehash_mask;
	leavesEhash(k, sk);
	hlist_add_head(hinfo.ehash, S.node_next, S.node_pprev, slot, tw);
	hlist_del_init(hinfo.ehash, S.node_next, S.node_pprev, sk);
}

/**
 * Makes the time-wait socket of a connection. Returns 0 if there are tcp_max_tw_buckets already.
 */
export function inet_twsk_alloc(k: Stack, sk: Sk, state: number): Sk {
	const net = sk_net(k, sk);
	if (ofTcp(k, sk) && net.tw_count >= net.ipv4.sysctl_tcp_max_tw_buckets) return 0;
	const tw = k.sock.kmem_cache_zalloc();
	const S = k.sock;
	if (S.skc_family[sk] === AF_INET6) S.in6Alloc(tw);
	S.skc_daddr[tw] = S.skc_daddr[sk];
	S.skc_rcv_saddr[tw] = S.skc_rcv_saddr[sk];
	S.skc_bound_dev_if[tw] = S.skc_bound_dev_if[sk];
	S.skc_num[tw] = S.skc_num[sk];
	S.skc_state[tw] = TCP_TIME_WAIT;
	S.tw_substate[tw] = state;
	S.inet_sport[tw] = S.inet_sport[sk];
	S.skc_dport[tw] = S.skc_dport[sk];
	S.skc_family[tw] = S.skc_family[sk];
	S.skc_reuse[tw] = S.skc_reuse[sk];
	S.skc_reuseport[tw] = S.skc_reuseport[sk];
	S.skc_hash[tw] = S.skc_hash[sk];
	S.skc_net[tw] = S.skc_net[sk];
	S.sk_protocol[tw] = S.sk_protocol[sk];
	S.sk_userlocks[tw] = S.sk_userlocks[sk] & SOCK_CONNECT_BIND;
	S.snd_isn[tw] = S.snd_isn[sk];
	S.rcv_isn[tw] = S.rcv_isn[sk];
	return tw;
}

/** Arms the timer of a time-wait socket again. `timeo` in ms. */
export function inet_twsk_reschedule(k: Stack, tw: Sk, timeo: number): void {
	k.timers.mod_timer(sk_timer(tw), timeo);
}

/** Stops the timer of a time-wait socket and frees the socket. */
export function inet_twsk_deschedule_put(k: Stack, tw: Sk): void {
	if (k.timers.del_timer(sk_timer(tw))) inet_twsk_kill(k, tw);
}
