// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/dccp/proto.c: DCCP as far as ports go. It uses TCP's code with tables of its own
 * (k.dccp_hashinfo). Its states are TCP's states under other names.
 *
 * Connections are left out. A Request to another host is never answered and never times out. A
 * Request to a listener of the namespace, or to the socket itself, throws NotModelled. A Request to
 * a port of the namespace without a listener is refused.
 */
import type { Port, Sk, Sock } from "../../include/linux/handle.js";
import { SOCK_DCCP, SS_UNCONNECTED } from "../../include/linux/net.js";
import { AF_INET, AF_INET6, MSG_DONTWAIT, type Sockaddr } from "../../include/linux/socket.js";
import { ipv6_addr_copy, ipv6_addr_equal } from "../../include/net/ipv6.js";
import type { Net, RouteAnswer } from "../../include/net/net_namespace.js";
import {
	ICSK_IPV6_MAPPED,
	SHUTDOWN_MASK,
	SOCK_BINDPORT_LOCK,
	SOCK_DEAD,
	SOCK_DONE,
	SOCK_LINGER,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_TIMEWAIT_LEN } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
	TCPF_CLOSE,
	TCPF_LISTEN,
} from "../../include/net/tcp_states.js";
import {
	EAGAIN,
	EALREADY,
	ECONNREFUSED,
	ECONNRESET,
	EINPROGRESS,
	EINVAL,
	ENOTCONN,
	EPIPE,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { NotModelled, sk_net, sock_error, sock_orphan } from "../core/sock.js";
import { __inet_stream_connect, inet_wait_for_connect } from "../ipv4/af_inet.js";
import {
	inet_csk_destroy_sock,
	inet_csk_listen_start,
	inet_csk_listen_stop,
} from "../ipv4/inet_connection_sock.js";
import {
	inet_bhash2_reset_saddr,
	inet_put_port,
	inet_unhash,
	skOverIpv6,
} from "../ipv4/inet_hashtables.js";
import {
	inet_twsk_alloc,
	inet_twsk_hashdance,
	inet_twsk_schedule,
} from "../ipv4/inet_timewait_sock.js";
import { ipDatagramDeliverIfindex, ipLocalDeliverIfindex, ipRemoteAnswer } from "../ipv4/route.js";
import { ip6LocalDeliverIfindex, ip6RemoteAnswer } from "../ipv6/route.js";

/** States of a DCCP sock that the model has (include/linux/dccp.h). */
export const DCCP_CLOSED = TCP_CLOSE;
export const DCCP_LISTEN = TCP_LISTEN;
export const DCCP_REQUESTING = TCP_SYN_SENT;

/**
 * Sets the state. A socket that is closed leaves ehash and releases a port that bind() did not
 * name.
 */
export function dccp_set_state(k: Stack, sk: Sk, state: number): void {
	const S = k.sock;
	if (state === DCCP_CLOSED) {
		inet_unhash(k, sk);
		if (S.icsk_bind_hash[sk] !== 0 && (S.sk_userlocks[sk] & SOCK_BINDPORT_LOCK) === 0) {
			inet_put_port(k, sk);
		}
	}
	S.skc_state[sk] = state;
}

/** net/dccp/output.c: dccp_connect. Begins to connect. Clears what an earlier connection left. */
export function dccp_connect(k: Stack, sk: Sk): void {
	k.sock.sk_err[sk] = 0;
	k.sock.sk_flags[sk] &= ~SOCK_DONE;
}

function dccp_done(k: Stack, sk: Sk): void {
	dccp_set_state(k, sk, DCCP_CLOSED);
	k.sock.sk_shutdown[sk] = SHUTDOWN_MASK;
	if ((k.sock.sk_flags[sk] & SOCK_DEAD) !== 0) inet_csk_destroy_sock(k, sk);
}

/** net/dccp/minisocks.c: dccp_time_wait. Makes the time-wait socket of a Reset, for a minute. */
function dccp_time_wait(k: Stack, sk: Sk): void {
	const S = k.sock;
	const tw = inet_twsk_alloc(k, sk, TCP_TIME_WAIT);
	if (tw !== 0) {
		if (S.skc_family[tw] === AF_INET6) {
			ipv6_addr_copy(S.skc_v6_daddr, tw * 4, S.skc_v6_daddr, sk * 4);
			ipv6_addr_copy(S.skc_v6_rcv_saddr, tw * 4, S.skc_v6_rcv_saddr, sk * 4);
			S.skc_ipv6only[tw] = S.skc_ipv6only[sk];
		}
		inet_twsk_schedule(k, tw, TCP_TIMEWAIT_LEN);
		inet_twsk_hashdance(k, tw, sk);
	}
	dccp_done(k, sk);
}

/** net/dccp/input.c: dccp_rcv_reset. A Reset in answer to a Request. */
function dccp_rcv_reset(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.sk_err[sk] = ECONNREFUSED;
	S.sk_flags[sk] |= SOCK_DONE;
	dccp_time_wait(k, sk);
}

/** Does nothing. The columns of a new sock are enough. */
export function dccp_init_sock(k: Stack, sk: Sk): void {
	k.sock.skc_state[sk] = DCCP_CLOSED;
}

/** Resets the socket. It keeps a port and an address that bind() named. */
export function dccp_disconnect(k: Stack, sk: Sk): number {
	const S = k.sock;
	const old_state = S.skc_state[sk];
	if (old_state !== DCCP_CLOSED) dccp_set_state(k, sk, DCCP_CLOSED);
	if (old_state === DCCP_LISTEN) inet_csk_listen_stop(k, sk);
	else if (old_state === DCCP_REQUESTING) S.sk_err[sk] = ECONNRESET;
	S.skc_dport[sk] = 0;
	inet_bhash2_reset_saddr(k, sk);
	S.sk_shutdown[sk] = 0;
	S.sk_flags[sk] &= ~SOCK_DONE;
	return 0;
}

/** Returns a negative errno, because no connection is ever established. */
export function dccp_sendmsg(
	k: Stack,
	sk: Sk,
	_addr: Sockaddr | null,
	_addr_len: number,
	_size: number,
	flags: number,
): number {
	// sk_stream_wait_connect
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	if (k.sock.skc_state[sk] !== DCCP_REQUESTING) return -EPIPE;
	return (flags & MSG_DONTWAIT) !== 0 ? -EAGAIN : -ERESTARTSYS;
}

/** Receives nothing. Returns 0 at the end of the connection or a negative errno. */
export function dccp_recvmsg(k: Stack, sk: Sk, _size: number, nonblock: boolean): number {
	const S = k.sock;
	if (S.skc_state[sk] === DCCP_LISTEN) return -ENOTCONN;
	if ((S.sk_flags[sk] & SOCK_DONE) !== 0) return 0;
	if (S.sk_err[sk] !== 0) return sock_error(k, sk);
	if ((S.sk_shutdown[sk] & 1) !== 0) return 0;
	if (S.skc_state[sk] === DCCP_CLOSED) return -ENOTCONN;
	return nonblock ? -EAGAIN : -ERESTARTSYS;
}

/** listen(). Returns 0 or a negative errno. */
export function inet_dccp_listen(k: Stack, sock: Sock, backlog: number): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (k.socket.state[sock] !== SS_UNCONNECTED || k.socket.type[sock] !== SOCK_DCCP) {
		return -EINVAL;
	}
	const old_state = S.skc_state[sk];
	if (((1 << old_state) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) return -EINVAL;
	S.sk_max_ack_backlog[sk] = backlog;
	return old_state === DCCP_LISTEN ? 0 : inet_csk_listen_start(k, sk);
}

/** close(). No connection stays after it. */
export function dccp_close(k: Stack, sk: Sk): void {
	const S = k.sock;
	S.sk_shutdown[sk] = SHUTDOWN_MASK;
	if (S.skc_state[sk] === DCCP_LISTEN) {
		dccp_set_state(k, sk, DCCP_CLOSED);
		inet_csk_listen_stop(k, sk);
	} else if (S.skc_state[sk] !== DCCP_CLOSED) {
		const linger = (S.sk_flags[sk] & SOCK_LINGER) !== 0;
		if (linger && S.sk_lingertime[sk] === 0) dccp_disconnect(k, sk);
		else dccp_set_state(k, sk, DCCP_CLOSED); // dccp_terminate_connection
	}
	sock_orphan(k, sk);
	inet_csk_destroy_sock(k, sk);
}

/** Whether a port of a namespace has a listener on any address. */
function dccpListener(k: Stack, net: Net, port: Port): boolean {
	const S = k.sock;
	for (const first of k.dccp_hashinfo.lhash2) {
		for (let sk = first; sk !== 0; sk = S.node_next[sk]) {
			if (S.skc_num[sk] === port && S.skc_net[sk] === net.id) return true;
		}
	}
	return false;
}

/**
 * Throws NotModelled for a connect() that a socket of this kernel may accept. Called before
 * connect() changes anything.
 */
export function dccpCheckModelled(k: Stack, sk: Sk, daddr: Sockaddr, family: number): void {
	const net = sk_net(k, sk);
	const oif = k.sock.skc_bound_dev_if[sk];
	const dif =
		family === AF_INET
			? ipDatagramDeliverIfindex(net, daddr.sin_addr, oif)
			: ip6LocalDeliverIfindex(net, daddr.sin6_addr, 0, oif);
	if (dif !== 0 && dccpListener(k, net, daddr.sin_port)) {
		throw new NotModelled("DCCP connections within one kernel");
	}
}

/** The answer to a Request: none, a Reset, or "accept", which the model leaves out. */
function dccpAnswer(k: Stack, sk: Sk): RouteAnswer {
	const S = k.sock;
	const net = sk_net(k, sk);
	const at = sk * 4;
	const oif = S.skc_bound_dev_if[sk];
	const v6 = skOverIpv6(S, sk);
	// A sock whose icsk_af_ops are still those of IPv4 sends over IPv4, see tcp_transmit_skb.
	if (v6 && (S.inet_flags[sk] & ICSK_IPV6_MAPPED) !== 0) return "blackhole";
	const dif = v6
		? ip6LocalDeliverIfindex(net, S.skc_v6_daddr, at, oif)
		: ipLocalDeliverIfindex(net, S.skc_daddr[sk], oif);
	if (dif === 0) {
		const answer = v6
			? ip6RemoteAnswer(net, S.skc_v6_daddr, at, oif)
			: ipRemoteAnswer(net, S.skc_daddr[sk], oif);
		return k.draws.remoteAnswer(sk, answer);
	}
	if (isOwnAddress(k, sk, v6)) return "accept";
	// The Reset leaves by the device that received the Request.
	const back = v6
		? ip6LocalDeliverIfindex(net, S.skc_v6_rcv_saddr, at, dif)
		: ipLocalDeliverIfindex(net, S.skc_rcv_saddr[sk], dif);
	return back !== 0 && (oif === 0 || oif === back) ? "refuse" : "blackhole";
}

/** Whether a socket connects to itself. */
function isOwnAddress(k: Stack, sk: Sk, v6: boolean): boolean {
	const S = k.sock;
	if (S.skc_num[sk] !== S.skc_dport[sk]) return false;
	return v6
		? ipv6_addr_equal(S.skc_v6_rcv_saddr, sk * 4, S.skc_v6_daddr, sk * 4)
		: S.skc_rcv_saddr[sk] === S.skc_daddr[sk];
}

/**
 * connect(): inet_stream_connect, and the answer to its Request. Returns 0 or a negative errno,
 * -ERESTARTSYS if it would sleep.
 */
export function dccpStreamConnect(
	k: Stack,
	sock: Sock,
	addr: Sockaddr,
	addr_len: number,
	nonblock: boolean,
): number {
	const err = __inet_stream_connect(k, sock, addr, addr_len, true, false);
	const sk = k.socket.sk[sock];
	if (err === -EINPROGRESS) {
		// The answer waits in the backlog while the call holds the sock.
		const answer = dccpAnswer(k, sk);
		if (answer === "accept") {
			dccp_disconnect(k, sk);
			k.socket.state[sock] = SS_UNCONNECTED;
			throw new NotModelled("DCCP connections");
		}
		if (answer === "refuse") dccp_rcv_reset(k, sk);
	}
	if (nonblock || (err !== -EINPROGRESS && err !== -EALREADY)) return err;
	return inet_wait_for_connect(k, sock);
}
