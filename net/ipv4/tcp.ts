// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/tcp.c: states of a connection, close(), shutdown(), send and receive. */
import type { Sk } from "../../include/linux/handle.js";
import {
	AF_UNSPEC,
	MSG_DONTWAIT,
	MSG_FASTOPEN,
	MSG_MORE,
	MSG_PEEK,
	MSG_WAITALL,
	SIZEOF_SA_FAMILY,
	SOL_TCP,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { fastopen_queue_tune } from "../../include/linux/tcp.js";
import { JIFFY } from "../../include/linux/timer.js";
import {
	ICSK_ACK_PUSHED,
	ICSK_ACK_PUSHED2,
	ICSK_ACK_SCHED,
	icsk_retransmit_timer,
} from "../../include/net/inet_connection_sock.js";
import {
	INET_DEFER_CONNECT,
	RCV_SHUTDOWN,
	SEND_SHUTDOWN,
	SHUTDOWN_MASK,
	SOCK_BINDPORT_LOCK,
	SOCK_DEAD,
	SOCK_DONE,
	SOCK_KEEPOPEN,
	SOCK_LINGER,
	SOCK_MPTCP,
	sk_net,
	sk_timer,
	sock_error,
	sock_hold,
	sock_orphan,
	sock_put,
	type TcpFastopenRequest,
	WAITS,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import {
	keepalive_intvl_when,
	keepalive_probes,
	keepalive_time_elapsed,
	keepalive_time_when,
	MAX_TCP_KEEPCNT,
	MAX_TCP_KEEPIDLE,
	MAX_TCP_KEEPINTVL,
	MAX_TCP_SYNCNT,
	TCP_FIN_TIMEOUT_MAX,
	TCP_NAGLE_CORK,
	TCP_NAGLE_OFF,
	TCP_NAGLE_PUSH,
	TCP_RTO_MAX,
	TCP_RTO_MIN,
	TCP_TIMEOUT_INIT,
	TCP_TIMEOUT_MIN,
	TCP_TIMEWAIT_LEN,
	TFO_CLIENT_ENABLE,
	tcp_clear_xmit_timers,
	tcp_fin_time,
} from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_SYN_RECV,
	TCP_SYN_SENT,
	TCPF_CLOSE,
	TCPF_CLOSE_WAIT,
	TCPF_CLOSING,
	TCPF_ESTABLISHED,
	TCPF_FIN_WAIT1,
	TCPF_FIN_WAIT2,
	TCPF_LAST_ACK,
	TCPF_LISTEN,
	TCPF_SYN_RECV,
	TCPF_SYN_SENT,
} from "../../include/net/tcp_states.js";
import {
	EAGAIN,
	EALREADY,
	EBUSY,
	ECONNRESET,
	EFAULT,
	EINPROGRESS,
	EINVAL,
	ENOPROTOOPT,
	ENOTCONN,
	EOPNOTSUPP,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import {
	TCP_CORK,
	TCP_DEFER_ACCEPT,
	TCP_FASTOPEN,
	TCP_FASTOPEN_CONNECT,
	TCP_FASTOPEN_NO_COOKIE,
	TCP_KEEPCNT,
	TCP_KEEPIDLE,
	TCP_KEEPINTVL,
	TCP_LINGER2,
	TCP_NODELAY,
	TCP_QUICKACK,
	TCP_RTO_MAX_MS,
	TCP_RTO_MIN_US,
	TCP_SYNCNT,
	TCP_USER_TIMEOUT,
} from "../../include/uapi/linux/tcp.js";
import { process_backlog, processBacklogAndWorks } from "../core/dev.js";
import { intAt, intBytes, NotModelled } from "../core/sock.js";
import { sk_stream_error, sk_stream_wait_connect } from "../core/stream.js";
import { subflow_state_change } from "../mptcp/subflow.js";
import { __inet_stream_connect } from "./af_inet.js";
import { inet_csk_destroy_sock, inet_csk_listen_stop } from "./inet_connection_sock.js";
import { inet_bhash2_reset_saddr, inet_put_port, inet_unhash } from "./inet_hashtables.js";
import { tcp_time_wait } from "./tcp_minisocks.js";
import {
	__tcp_push_pending_frames,
	newIsn,
	tcp_connect,
	tcp_send_ack,
	tcp_send_active_reset,
	tcp_send_fin,
	tcpInitCounts,
} from "./tcp_output.js";
import { runTimers, usecs_to_jiffies } from "./tcp_timer.js";

/** The number of SYN-ACK retransmissions that take at least `seconds`. */
function secs_to_retrans(seconds: number): number {
	let [timeout, period, res] = [TCP_TIMEOUT_INIT / 1000, TCP_TIMEOUT_INIT / 1000, 1];
	if (seconds <= 0) return 0;
	while (seconds > period && res < 255) {
		res++;
		timeout = Math.min(timeout * 2, TCP_RTO_MAX / 1000);
		period += timeout;
	}
	return res;
}

function retrans_to_secs(retrans: number): number {
	let timeout = TCP_TIMEOUT_INIT / 1000;
	let period = retrans > 0 ? timeout : 0;
	for (let i = 1; i < retrans; i++) {
		timeout = Math.min(timeout * 2, TCP_RTO_MAX / 1000);
		period += timeout;
	}
	return period;
}

/**
 * tcp_init_sock: the timeouts of a new sock come from the sysctls. Kernels without one have its
 * default as a constant.
 */
export function tcp_init_sock(k: Stack, sk: Sk): void {
	const { ipv4 } = sk_net(k, sk);
	k.sock.icsk_rto_min.set(sk, usecs_to_jiffies(ipv4.sysctl_tcp_rto_min_us) * JIFFY);
	k.sock.icsk_rto_max.set(sk, msToJiffies(ipv4.sysctl_tcp_rto_max_ms) * JIFFY);
}

/** Sends what is in the write queue, unless MSG_MORE, TCP_CORK or Nagle's algorithm holds it. */
function tcp_push(k: Stack, sk: Sk, flags: number): void {
	const more = (flags & MSG_MORE) !== 0;
	__tcp_push_pending_frames(k, sk, more ? TCP_NAGLE_CORK : k.sock.nonagle[sk]);
}

/** Ends a fast open that is in progress. */
export function tcp_free_fastopen_req(k: Stack, sk: Sk): void {
	if (k.sock.fastopen_req.size > 0) k.sock.fastopen_req.delete(sk);
}

/**
 * A send that connects: with MSG_FASTOPEN, or after a connect() that was deferred. Returns 0 or a
 * negative errno. `fo` is the request that it makes. It says how many bytes the SYN has.
 */
export function tcp_sendmsg_fastopen(
	k: Stack,
	sk: Sk,
	addr: Sockaddr | null,
	addr_len: number,
	nonblock: boolean,
	fo: TcpFastopenRequest,
): number {
	const S = k.sock;
	const unspec = addr !== null && addr_len >= SIZEOF_SA_FAMILY && addr.sin_family === AF_UNSPEC;
	if ((sk_net(k, sk).ipv4.sysctl_tcp_fastopen & TFO_CLIENT_ENABLE) === 0 || unspec) {
		return -EOPNOTSUPP;
	}
	if (S.fastopen_req.has(sk)) return -EALREADY;
	S.fastopen_req.set(sk, fo);
	if ((S.inet_flags[sk] & INET_DEFER_CONNECT) !== 0) tcp_connect(k, sk);
	// A subflow of MPTCP has the socket of its MPTCP sock: mptcp_sock_graft.
	const sock = S.sk_socket[k.mptcp.conn.get(sk) ?? sk];
	const err = __inet_stream_connect(k, sock, addr, addr_len, nonblock, true);
	// The send goes on with its request in tcpSendmsgWait.
	if (err === -ERESTARTSYS) return err;
	fastopenEnds(k, sk);
	return err;
}

/** The end of tcp_sendmsg_fastopen. If the connection has ended, its request is freed already. */
function fastopenEnds(k: Stack, sk: Sk): void {
	if (!k.sock.fastopen_req.has(sk)) return;
	tcp_free_fastopen_req(k, sk);
	k.sock.inet_flags[sk] &= ~INET_DEFER_CONNECT;
}

/**
 * Continues a send that connects, after its wait for the connection came to `err`. Returns the
 * result of the send. If no send waits, returns `err`, which is the result of connect().
 */
export function tcpSendmsgWait(k: Stack, sk: Sk, err: number): number {
	const fo = k.sock.fastopen_req.get(sk);
	if (err !== 0 || fo === undefined || !fo.sends) return err;
	fastopenEnds(k, sk);
	return tcpSendRest(k, sk, fo.size, fo.copied, 0);
}

/**
 * Sends `size` bytes. Buffers have no limit, so it returns `size` or a negative errno: -EAGAIN or
 * -ERESTARTSYS while the connection is not established.
 */
export function tcp_sendmsg(
	k: Stack,
	sk: Sk,
	addr: Sockaddr | null,
	addr_len: number,
	size: number,
	flags: number,
): number {
	const deferred = (k.sock.inet_flags[sk] & INET_DEFER_CONNECT) !== 0;
	if ((flags & MSG_FASTOPEN) === 0 && !deferred) return tcpSendRest(k, sk, size, 0, flags);
	const fo = { data: true, size, copied: 0, write_pending: false, sends: true };
	const nonblock = (flags & MSG_DONTWAIT) !== 0;
	const err = tcp_sendmsg_fastopen(k, sk, addr, addr_len, nonblock, fo);
	if (err === -EINPROGRESS && fo.copied > 0) return fo.copied;
	return err !== 0 ? err : tcpSendRest(k, sk, size, fo.copied, flags);
}

/** The part of tcp_sendmsg_locked after the fast open, which has sent `copied` of `size` bytes. */
function tcpSendRest(k: Stack, sk: Sk, size: number, copied: number, flags: number): number {
	const S = k.sock;
	if (((1 << S.skc_state[sk]) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) === 0) {
		return sk_stream_wait_connect(k, sk, flags);
	}
	if (S.sk_err[sk] !== 0 || (S.sk_shutdown[sk] & SEND_SHUTDOWN) !== 0) {
		return sk_stream_error(k, sk);
	}
	if (size > copied) {
		if (S.snd_held.get(sk) === 0) S.nonagle[sk] &= ~TCP_NAGLE_PUSH; // tcp_skb_entail
		S.snd_held.add(sk, size - copied);
		tcp_push(k, sk, flags);
	}
	return size;
}

/** The program read `copied` bytes. Acknowledges data now if it read all, and no answer will follow. */
export function tcp_cleanup_rbuf(k: Stack, sk: Sk, copied: number): void {
	const S = k.sock;
	const pending = S.icsk_ack_pending[sk];
	if ((pending & ICSK_ACK_SCHED) === 0) return;
	const several = S.rcv_nxt.get(sk) - S.rcv_wup.get(sk) > S.icsk_ack_rcv_mss.get(sk);
	const small =
		(pending & ICSK_ACK_PUSHED2) !== 0 ||
		((pending & ICSK_ACK_PUSHED) !== 0 && S.pingpong[sk] === 0);
	const drained = copied > 0 && small && S.rcv_unread.get(sk) === 0;
	if (!several && !drained) return;
	tcp_send_ack(k, sk);
	process_backlog(k);
}

/**
 * Receives at most `size` bytes. Returns the number of bytes, 0 after the peer's FIN, or a negative
 * errno. MSG_PEEK leaves the data. MSG_WAITALL waits for all bytes while more can arrive.
 */
export function tcp_recvmsg(k: Stack, sk: Sk, size: number, flags: number): number {
	const S = k.sock;
	if (S.skc_state[sk] === TCP_LISTEN) return -ENOTCONN;
	const nonblock = (flags & MSG_DONTWAIT) !== 0;
	if (S.rcv_unread.get(sk) > 0) {
		const copied = Math.min(size, S.rcv_unread.get(sk));
		const ends = nonblock || S.sk_err[sk] !== 0 || (S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0;
		const waits = copied < size && (flags & MSG_WAITALL) !== 0 && !ends;
		if (waits && S.skc_state[sk] !== TCP_CLOSE) return -ERESTARTSYS;
		if ((flags & MSG_PEEK) === 0) S.rcv_unread.add(sk, -copied);
		tcp_cleanup_rbuf(k, sk, copied);
		return copied;
	}
	if ((S.sk_flags[sk] & SOCK_DONE) !== 0) return 0;
	if (S.sk_err[sk] !== 0) return sock_error(k, sk);
	if ((S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0) return 0;
	if (S.skc_state[sk] === TCP_CLOSE) return -ENOTCONN;
	return nonblock ? -EAGAIN : -ERESTARTSYS;
}

/** msecs_to_jiffies of a time that is not negative. */
function msToJiffies(ms: number): number {
	return Math.ceil(ms / JIFFY);
}

/**
 * Sets the state. A socket that goes to TCP_CLOSE leaves ehash or lhash2 and releases a port that
 * bind() did not name.
 */
export function tcp_set_state(k: Stack, sk: Sk, state: number): void {
	const S = k.sock;
	if (state === TCP_CLOSE) {
		inet_unhash(k, sk);
		if (S.icsk_bind_hash[sk] !== 0 && (S.sk_userlocks[sk] & SOCK_BINDPORT_LOCK) === 0) {
			inet_put_port(k, sk);
		}
	}
	// The state changes after the socket left the tables, so that they never hold a closed socket.
	S.skc_state[sk] = state;
}

/** Sets the next state of a socket that this side closes. Returns whether a FIN has to be sent. */
function tcp_close_state(k: Stack, sk: Sk): boolean {
	switch (k.sock.skc_state[sk]) {
		case TCP_ESTABLISHED:
		case TCP_SYN_RECV:
			tcp_set_state(k, sk, TCP_FIN_WAIT1);
			return true;
		case TCP_CLOSE_WAIT:
			tcp_set_state(k, sk, TCP_LAST_ACK);
			return true;
		case TCP_SYN_SENT:
		case TCP_LISTEN:
			tcp_set_state(k, sk, TCP_CLOSE);
			return false;
		default:
			return false;
	}
}

export function tcp_shutdown(k: Stack, sk: Sk, how: number): void {
	if ((how & SEND_SHUTDOWN) === 0) return;
	let states = TCPF_ESTABLISHED | TCPF_SYN_SENT | TCPF_CLOSE_WAIT;
	if (!k.changes.has("syn-recv-shutdown-deferred")) states |= TCPF_SYN_RECV; // since 6.9, 94062790aedb
	if (((1 << k.sock.skc_state[sk]) & states) === 0) return;
	if (tcp_close_state(k, sk)) tcp_send_fin(k, sk);
}

/**
 * net/core/stream.c: sk_stream_wait_close. Waits at most `timeout` ms until the peer acknowledged
 * the FIN. It stands here because it runs the timers of tcp_timer.ts, as the scheduler does in C.
 */
export function sk_stream_wait_close(k: Stack, sk: Sk, timeout: number): void {
	if (timeout === 0) return;
	processBacklogAndWorks(k);
	const closing = TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK;
	runTimers(k, k.timers.now + timeout, () => ((1 << k.sock.skc_state[sk]) & closing) === 0);
}

function __tcp_close(k: Stack, sk: Sk, timeout: number): void {
	const S = k.sock;
	S.sk_shutdown[sk] = SHUTDOWN_MASK;
	if (S.skc_state[sk] === TCP_LISTEN) {
		tcp_set_state(k, sk, TCP_CLOSE);
		inet_csk_listen_stop(k, sk);
	} else {
		const data_was_unread = S.rcv_unread.get(sk) > 0;
		S.rcv_unread.set(sk, 0);
		if (S.skc_state[sk] !== TCP_CLOSE) {
			if (data_was_unread) {
				// Data was not read. The peer must learn that it was lost: RFC 2525, 2.17.
				tcp_set_state(k, sk, TCP_CLOSE);
				tcp_send_active_reset(k, sk);
			} else if ((S.sk_flags[sk] & SOCK_LINGER) !== 0 && S.sk_lingertime.get(sk) === 0) {
				tcp_disconnect(k, sk);
			} else if (tcp_close_state(k, sk)) {
				tcp_send_fin(k, sk);
			}
			sk_stream_wait_close(k, sk, timeout);
		}
	}

	const state = S.skc_state[sk];
	sock_orphan(k, sk);
	process_backlog(k); // the answers of the peer
	if (state !== TCP_CLOSE && S.skc_state[sk] === TCP_CLOSE) return; // it was freed

	if (S.skc_state[sk] === TCP_FIN_WAIT2 && S.linger2[sk] < 0) {
		tcp_set_state(k, sk, TCP_CLOSE);
		tcp_send_active_reset(k, sk);
		inet_csk_destroy_sock(k, sk);
	} else if (S.skc_state[sk] === TCP_FIN_WAIT2) {
		const tmo = tcp_fin_time(k, sk);
		if (tmo > TCP_TIMEWAIT_LEN) {
			k.timers.mod_timer(sk_timer(sk), tmo - TCP_TIMEWAIT_LEN);
		} else {
			tcp_time_wait(k, sk, TCP_FIN_WAIT2, tmo);
		}
	} else if (S.skc_state[sk] === TCP_CLOSE) {
		inet_csk_destroy_sock(k, sk);
	}
}

/**
 * close(). The sock stays as an orphan until the connection has ended. `timeout` is how long
 * close() waits for the end, ms (SO_LINGER).
 */
export function tcp_close(k: Stack, sk: Sk, timeout: number): void {
	sock_hold(k, sk);
	__tcp_close(k, sk, timeout);
	sock_put(k, sk);
}

/** Whether a connection in this state sends a RST when it is aborted (RFC 793). */
function tcp_need_reset(state: number): boolean {
	const states =
		TCPF_ESTABLISHED | TCPF_CLOSE_WAIT | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2 | TCPF_SYN_RECV;
	return ((1 << state) & states) !== 0;
}

/** Whether the sock cannot be disconnected because a connect() sleeps on it. */
export function tcpWaits(k: Stack, sk: Sk): boolean {
	if (k.sock.sk_wait_pending[sk] !== WAITS) return false;
	return k.changes.has("tcp-disconnect-busy") && !k.changes.has("tcp-disconnect-epipe"); // since 6.4, 4faeee0cf8a5; since 6.6, 419ce133ab92
}

/**
 * Aborts a connection and resets the socket. It keeps a port and an address that bind() named.
 * Called for connect() with AF_UNSPEC, shutdown() of a listener and a failed connect(). Returns 0
 * or a negative errno.
 */
export function tcp_disconnect(k: Stack, sk: Sk): number {
	const S = k.sock;
	const old_state = S.skc_state[sk];
	if (tcpWaits(k, sk)) return -EBUSY;
	if (old_state !== TCP_CLOSE) tcp_set_state(k, sk, TCP_CLOSE);

	if (old_state === TCP_LISTEN) {
		inet_csk_listen_stop(k, sk);
	} else if (tcp_need_reset(old_state)) {
		tcp_send_active_reset(k, sk);
		S.sk_err[sk] = ECONNRESET;
	} else if (old_state === TCP_SYN_SENT) {
		S.sk_err[sk] = ECONNRESET;
	}
	tcp_clear_xmit_timers(k, sk);
	S.rcv_unread.set(sk, 0);
	S.snd_unacked.set(sk, 0);
	S.snd_lost.set(sk, 0);
	S.icsk_probes_out[sk] = 0;
	tcpInitCounts(k, sk);
	S.pingpong[sk] = 0;
	S.inet_flags[sk] &= ~INET_DEFER_CONNECT;
	S.syn_data[sk] = 0;
	tcp_free_fastopen_req(k, sk);
	S.write_seq[sk] = S.snd_isn[sk] || newIsn(k, true);
	S.skc_dport[sk] = 0;
	inet_bhash2_reset_saddr(k, sk);
	S.sk_shutdown[sk] = 0;
	S.sk_flags[sk] &= ~SOCK_DONE;
	return 0;
}

/** TCP_CORK: only full segments go out. Without it everything does that Nagle's algorithm lets go. */
export function __tcp_sock_set_cork(k: Stack, sk: Sk, on: boolean): void {
	const S = k.sock;
	if (on) {
		S.nonagle[sk] |= TCP_NAGLE_CORK;
	} else {
		S.nonagle[sk] &= ~TCP_NAGLE_CORK;
		if ((S.nonagle[sk] & TCP_NAGLE_OFF) !== 0) S.nonagle[sk] |= TCP_NAGLE_PUSH;
		__tcp_push_pending_frames(k, sk, S.nonagle[sk]);
		process_backlog(k);
	}
}

/** TCP_NODELAY: small segments go out at once. Sends what Nagle's algorithm held. */
export function __tcp_sock_set_nodelay(k: Stack, sk: Sk, on: boolean): void {
	const S = k.sock;
	if (on) {
		S.nonagle[sk] |= TCP_NAGLE_OFF | TCP_NAGLE_PUSH;
		__tcp_push_pending_frames(k, sk, S.nonagle[sk]);
		process_backlog(k);
	} else {
		S.nonagle[sk] &= ~TCP_NAGLE_OFF;
	}
}

/** tcp_clean_rtx_queue: all data has arrived. */
export function tcpDataAcked(k: Stack, sk: Sk): void {
	k.sock.snd_unacked.set(sk, 0);
	k.sock.snd_lost.set(sk, 0);
	k.sock.sk_err_soft[sk] = 0;
	k.sock.icsk_probes_out[sk] = 0;
	const closing = TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK;
	if (((1 << k.sock.skc_state[sk]) & closing) === 0) k.timers.del_timer(icsk_retransmit_timer(sk));
}

/**
 * TCP_QUICKACK. 0: acknowledgements are delayed, also that of the handshake. Otherwise pending
 * acknowledgements are sent now.
 */
function __tcp_sock_set_quickack(k: Stack, sk: Sk, val: number): void {
	const S = k.sock;
	S.pingpong[sk] = val === 0 ? 1 : 0;
	if (val === 0) return;
	const scheduled = (S.icsk_ack_pending[sk] & ICSK_ACK_SCHED) !== 0;
	if (((1 << S.skc_state[sk]) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) === 0 || !scheduled) return;
	S.icsk_ack_pending[sk] |= ICSK_ACK_PUSHED;
	tcp_cleanup_rbuf(k, sk, 1);
	if ((val & 1) === 0) S.pingpong[sk] = 1;
}

function tcp_sock_set_user_timeout(k: Stack, sk: Sk, val: number): number {
	if (val < 0) return -EINVAL;
	k.sock.icsk_user_timeout.set(sk, val);
	return 0;
}

/** TCP_KEEPIDLE, seconds. Moves the timer of a connection with SO_KEEPALIVE. */
export function tcp_sock_set_keepidle_locked(k: Stack, sk: Sk, val: number): number {
	const S = k.sock;
	if (val < 1 || val > MAX_TCP_KEEPIDLE) return -EINVAL;
	S.keepalive_time.set(sk, val);
	const idle = ((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0;
	if ((S.sk_flags[sk] & SOCK_KEEPOPEN) !== 0 && !idle) {
		const rest = val * 1000 - keepalive_time_elapsed(k, sk);
		k.timers.mod_timer(sk_timer(sk), Math.max(rest, 0));
	}
	return 0;
}

/** TCP_KEEPINTVL, seconds. */
export function tcp_sock_set_keepintvl(k: Stack, sk: Sk, val: number): number {
	if (val < 1 || val > MAX_TCP_KEEPINTVL) return -EINVAL;
	k.sock.keepalive_intvl.set(sk, val);
	return 0;
}

export function tcp_sock_set_keepcnt(k: Stack, sk: Sk, val: number): number {
	if (val < 1 || val > MAX_TCP_KEEPCNT) return -EINVAL;
	k.sock.keepalive_probes.set(sk, val);
	return 0;
}

/** TCP_RTO_MAX_MS, TCP_RTO_MIN_US: limits of the retransmission timeout. Kept in jiffies. */
function setRtoLimit(k: Stack, sk: Sk, optname: number, val: number): number {
	if (optname === TCP_RTO_MAX_MS) {
		if (!k.changes.has("tcp-rto-max")) return -ENOPROTOOPT; // since 6.15, 54a378f43425
		if (val < 1000 || val > TCP_RTO_MAX) return -EINVAL;
		k.sock.icsk_rto_max.set(sk, msToJiffies(val) * JIFFY);
		return 0;
	}
	if (!k.changes.has("tcp-rto-min-option")) return -ENOPROTOOPT; // since 6.15, f38805c5d26f
	// A negative value counts as a long time.
	const rto_min = usecs_to_jiffies(val >>> 0);
	if (rto_min > TCP_RTO_MIN / JIFFY || rto_min < TCP_TIMEOUT_MIN) return -EINVAL;
	k.sock.icsk_rto_min.set(sk, rto_min * JIFFY);
	return 0;
}

/**
 * setsockopt() of level SOL_TCP: the options that affect when a connection is established and how
 * long its port stays in use. Returns 0 or a negative errno. Throws NotModelled for other options.
 */
export function tcp_setsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	if (!SETTABLE.has(optname)) {
		throw new NotModelled(`setsockopt level ${SOL_TCP} option ${optname}`);
	}
	if (optlen < 4) return -EINVAL;
	if (optval === null || optval.length < 4) return -EFAULT;
	const val = intAt(optval);
	const closed = ((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0;
	switch (optname) {
		case TCP_NODELAY:
			__tcp_sock_set_nodelay(k, sk, val !== 0);
			return 0;
		case TCP_CORK:
			__tcp_sock_set_cork(k, sk, val !== 0);
			return 0;
		case TCP_SYNCNT:
			if (val < 1 || val > MAX_TCP_SYNCNT) return -EINVAL;
			S.icsk_syn_retries[sk] = val;
			return 0;
		case TCP_LINGER2:
			S.linger2[sk] = Math.max(-1, Math.min(val, TCP_FIN_TIMEOUT_MAX));
			return 0;
		case TCP_DEFER_ACCEPT:
			S.rskq_defer_accept.set(sk, secs_to_retrans(val));
			return 0;
		case TCP_USER_TIMEOUT:
			return tcp_sock_set_user_timeout(k, sk, val);
		case TCP_KEEPIDLE:
			return tcp_sock_set_keepidle_locked(k, sk, val);
		case TCP_KEEPINTVL:
			return tcp_sock_set_keepintvl(k, sk, val);
		case TCP_KEEPCNT:
			return tcp_sock_set_keepcnt(k, sk, val);
		case TCP_RTO_MAX_MS:
		case TCP_RTO_MIN_US:
			return setRtoLimit(k, sk, optname, val);
		case TCP_FASTOPEN:
			if (val < 0 || !closed) return -EINVAL;
			fastopen_queue_tune(k, sk, val);
			return 0;
		case TCP_FASTOPEN_CONNECT:
			if (val > 1 || val < 0) return -EINVAL;
			if ((sk_net(k, sk).ipv4.sysctl_tcp_fastopen & TFO_CLIENT_ENABLE) === 0) return -EOPNOTSUPP;
			if (S.skc_state[sk] !== TCP_CLOSE) return -EINVAL;
			S.fastopen_connect[sk] = val;
			return 0;
		case TCP_FASTOPEN_NO_COOKIE:
			if (val > 1 || val < 0 || !closed) return -EINVAL;
			S.fastopen_no_cookie[sk] = val;
			return 0;
		default:
			__tcp_sock_set_quickack(k, sk, val);
			return 0;
	}
}

/** Options that tcp_setsockopt() takes. */
const SETTABLE: ReadonlySet<number> = new Set([
	TCP_NODELAY,
	TCP_CORK,
	TCP_KEEPIDLE,
	TCP_KEEPINTVL,
	TCP_KEEPCNT,
	TCP_USER_TIMEOUT,
	TCP_RTO_MAX_MS,
	TCP_RTO_MIN_US,
	TCP_SYNCNT,
	TCP_LINGER2,
	TCP_DEFER_ACCEPT,
	TCP_QUICKACK,
	TCP_FASTOPEN,
	TCP_FASTOPEN_CONNECT,
	TCP_FASTOPEN_NO_COOKIE,
]);

/**
 * getsockopt() of level SOL_TCP. Returns the bytes written, at most `optlen`, or a negative errno.
 */
export function tcp_getsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const S = k.sock;
	if (optlen < 0) return -EINVAL;
	switch (optname) {
		case TCP_NODELAY:
			return intBytes((S.nonagle[sk] & TCP_NAGLE_OFF) !== 0 ? 1 : 0, optlen);
		case TCP_CORK:
			return intBytes((S.nonagle[sk] & TCP_NAGLE_CORK) !== 0 ? 1 : 0, optlen);
		case TCP_SYNCNT: {
			const { sysctl_tcp_syn_retries } = sk_net(k, sk).ipv4;
			return intBytes(S.icsk_syn_retries[sk] || sysctl_tcp_syn_retries, optlen);
		}
		case TCP_LINGER2:
			return intBytes(S.linger2[sk] || sk_net(k, sk).ipv4.sysctl_tcp_fin_timeout, optlen);
		case TCP_DEFER_ACCEPT:
			return intBytes(retrans_to_secs(S.rskq_defer_accept.get(sk)), optlen);
		case TCP_KEEPIDLE:
			return intBytes(keepalive_time_when(k, sk) / 1000, optlen);
		case TCP_KEEPINTVL:
			return intBytes(keepalive_intvl_when(k, sk) / 1000, optlen);
		case TCP_KEEPCNT:
			return intBytes(keepalive_probes(k, sk), optlen);
		case TCP_USER_TIMEOUT:
			return intBytes(S.icsk_user_timeout.get(sk), optlen);
		case TCP_RTO_MAX_MS:
			if (!k.changes.has("tcp-rto-max")) return -ENOPROTOOPT; // since 6.15, 54a378f43425
			return intBytes(S.icsk_rto_max.get(sk), optlen);
		case TCP_RTO_MIN_US:
			if (!k.changes.has("tcp-rto-min-option")) return -ENOPROTOOPT; // since 6.15, f38805c5d26f
			return intBytes(S.icsk_rto_min.get(sk) * 1000, optlen);
		case TCP_FASTOPEN:
			return intBytes(S.fastopenq_max_qlen.get(sk), optlen);
		case TCP_FASTOPEN_CONNECT:
			return intBytes(S.fastopen_connect[sk], optlen);
		case TCP_FASTOPEN_NO_COOKIE:
			return intBytes(S.fastopen_no_cookie[sk], optlen);
		default:
			throw new NotModelled(`getsockopt level ${SOL_TCP} option ${optname}`);
	}
}

/** tcp_done: the connection ends. The socket goes to TCP_CLOSE and is freed if it is an orphan. */
export function tcp_done(k: Stack, sk: Sk): void {
	tcp_set_state(k, sk, TCP_CLOSE);
	tcp_clear_xmit_timers(k, sk);
	k.sock.sk_shutdown[sk] = SHUTDOWN_MASK;
	if ((k.sock.sk_flags[sk] & SOCK_DEAD) !== 0) inet_csk_destroy_sock(k, sk);
	else if ((k.sock.sk_flags[sk] & SOCK_MPTCP) !== 0) subflow_state_change(k, sk);
}
