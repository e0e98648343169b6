// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/tcp_timer.c: retransmissions, delayed acknowledgements, orphans in FIN_WAIT2. */
import type { Sk } from "../../include/linux/handle.js";
import type { Net } from "../../include/net/net_namespace.js";
import { SOCK_DEAD } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_RTO_MAX, TCP_TIMEOUT_INIT, TCP_TIMEWAIT_LEN } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_FIN_WAIT2,
	TCP_NEW_SYN_RECV,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
	TCPF_CLOSING,
	TCPF_FIN_WAIT1,
	TCPF_LAST_ACK,
} from "../../include/net/tcp_states.js";
import { ENETUNREACH, ETIMEDOUT } from "../../include/uapi/asm-generic/errno.js";
import { process_backlog } from "../core/dev.js";
import { sk_net } from "../core/sock.js";
import { reqsk_timer_handler } from "./inet_connection_sock.js";
import { inet_twsk_kill } from "./inet_timewait_sock.js";
import { tcp_done, tcp_fin_time } from "./tcp.js";
import { tcp_time_wait } from "./tcp_minisocks.js";
import {
	skRemoteAnswer,
	tcp_send_ack,
	tcp_send_active_reset,
	tcpRetransmitFin,
	tcpSendSyn,
} from "./tcp_output.js";

/** Number of timers of a socket in k.timers: icsk_retransmit_timer, icsk_delack_timer, sk_timer. */
const TIMERS = 3;
/** The number of the timer in k.timers. */
export function icsk_retransmit_timer(sk: Sk): number {
	return sk * TIMERS;
}
/** The number of the timer in k.timers. */
export function icsk_delack_timer(sk: Sk): number {
	return sk * TIMERS + 1;
}
/** The number of the timer in k.timers. It is also tw_timer of a time-wait socket. */
export function sk_timer(sk: Sk): number {
	return sk * TIMERS + 2;
}

/** The sock that a timer belongs to. */
export function sockOfTimer(timer: number): Sk {
	return Math.floor(timer / TIMERS);
}

export function tcp_clear_xmit_timers(k: Stack, sk: Sk): void {
	k.timers.del_timer(icsk_retransmit_timer(sk));
	k.timers.del_timer(icsk_delack_timer(sk));
	k.timers.del_timer(sk_timer(sk));
}

/** tcp_orphan_retries: how often the FIN of an orphan is sent again. The default 0 means 8. */
const TCP_ORPHAN_RETRIES = 8;

/**
 * How long `boundary` retransmissions and the wait after them take, ms, if each timeout is twice as
 * long as the one before. `rto_base` is the first timeout.
 */
function tcp_model_timeout(boundary: number, rto_base: number): number {
	const linear_backoff_thresh = Math.floor(Math.log2(TCP_RTO_MAX / rto_base));
	if (boundary <= linear_backoff_thresh) return (2 ** (boundary + 1) - 1) * rto_base;
	return (
		(2 ** (linear_backoff_thresh + 1) - 1) * rto_base +
		(boundary - linear_backoff_thresh) * TCP_RTO_MAX
	);
}

/** Whether the time that `boundary` retransmissions of a SYN may take is over. */
function retransmits_timed_out(k: Stack, sk: Sk, boundary: number): boolean {
	const S = k.sock;
	if (S.icsk_retransmits[sk] === 0) return false;
	const timeout = tcp_model_timeout(boundary, TCP_TIMEOUT_INIT);
	return Math.floor(k.timers.now) - S.retrans_stamp[sk] - timeout >= 0;
}

/** tcp_syn_linear_timeouts: how many timeouts of a SYN are equal, without the first one. 0 before 6.5. */
function synLinearTimeouts(net: Net): number {
	// since 6.5, ccce324dabfe
	return net.changes.has("tcp-syn-linear-timeouts") ? net.ipv4.sysctl_tcp_syn_linear_timeouts : 0;
}

/**
 * Whether it is time to give up. A SYN may be sent again as often as TCP_SYNCNT or tcp_syn_retries
 * says, and tcp_syn_linear_timeouts times more. But the time counts as if each timeout were twice as
 * long as the one before. So the linear timeouts hardly make the whole time longer.
 */
function tcp_write_timeout(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	let expired: boolean;
	if (S.skc_state[sk] === TCP_SYN_SENT) {
		const net = sk_net(k, sk);
		const retry_until = S.icsk_syn_retries[sk] || net.ipv4.sysctl_tcp_syn_retries;
		const max_retransmits = retry_until + synLinearTimeouts(net);
		expired =
			S.icsk_retransmits[sk] >= max_retransmits || retransmits_timed_out(k, sk, retry_until);
	} else {
		expired = S.icsk_retransmits[sk] >= TCP_ORPHAN_RETRIES;
	}
	if (!expired) return false;
	S.sk_err[sk] = ETIMEDOUT;
	tcp_done(k, sk);
	return true;
}

/**
 * Sends a SYN or FIN that was not acknowledged again. The timeout begins with 1 s for a SYN and
 * TCP_RTO_MIN for a FIN. It doubles each time, but not after a SYN of the first
 * tcp_syn_linear_timeouts retransmissions.
 */
function tcp_retransmit_timer(k: Stack, sk: Sk): void {
	const S = k.sock;
	const syn = S.skc_state[sk] === TCP_SYN_SENT;
	const fin = ((1 << S.skc_state[sk]) & (TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK)) !== 0;
	if (!syn && !fin) return;
	if (syn && skRemoteAnswer(k, sk) === "unreachable") {
		// ICMP answered the first SYN (a soft error). The answer to its retransmission ends
		// connect().
		S.sk_err[sk] = ENETUNREACH;
		tcp_done(k, sk);
		return;
	}
	if (tcp_write_timeout(k, sk)) return;
	S.icsk_retransmits[sk]++;
	// C counts the linear timeouts in icsk_backoff, later total_rto.
	if (!syn || S.icsk_retransmits[sk] > synLinearTimeouts(sk_net(k, sk))) {
		S.icsk_rto[sk] = Math.min(S.icsk_rto[sk] * 2, TCP_RTO_MAX);
	}
	k.timers.mod_timer(icsk_retransmit_timer(sk), S.icsk_rto[sk]);
	if (syn) tcpSendSyn(k, sk);
	else tcpRetransmitFin(k, sk);
}

/** tcp_keepalive_timer: the time of an orphan in FIN_WAIT2 as a full socket is over. */
function tcp_keepalive_timer(k: Stack, sk: Sk): void {
	const S = k.sock;
	if (S.skc_state[sk] !== TCP_FIN_WAIT2 || (S.sk_flags[sk] & SOCK_DEAD) === 0) return;
	if (S.linger2[sk] < 0) {
		tcp_send_active_reset(k, sk);
		tcp_done(k, sk);
		return;
	}
	const tmo = tcp_fin_time(k, sk) - TCP_TIMEWAIT_LEN;
	if (tmo > 0) {
		tcp_time_wait(k, sk, TCP_FIN_WAIT2, tmo);
		return;
	}
	tcp_send_active_reset(k, sk);
	tcp_done(k, sk);
}

/** Runs a timer that has expired. */
export function tcpRunTimer(k: Stack, timer: number): void {
	const S = k.sock;
	const sk = sockOfTimer(timer);
	if (S.skc_state[sk] === TCP_TIME_WAIT) {
		inet_twsk_kill(k, sk);
	} else if (S.skc_state[sk] === TCP_NEW_SYN_RECV) {
		reqsk_timer_handler(k, sk);
	} else if (S.skc_state[sk] !== TCP_CLOSE) {
		if (timer === icsk_retransmit_timer(sk)) tcp_retransmit_timer(k, sk);
		else if (timer === icsk_delack_timer(sk)) tcp_send_ack(k, sk);
		else if (k.mptcp.closing.has(sk)) k.mptcp.sk_timer(k, sk);
		else tcp_keepalive_timer(k, sk);
	}
}

/**
 * kernel/time/timer.c: moves the clock to `until` (ms since boot) and runs the timers that expire
 * on the way, in order. If `done` returns true after a timer, stops there.
 */
export function runTimers(k: Stack, until: number, done: () => boolean = () => false): void {
	while (!done()) {
		const timer = k.timers.first();
		const expiry = timer === null ? null : k.timers.expiry(timer);
		if (timer === null || expiry === null || expiry > until) {
			k.timers.now = Math.max(k.timers.now, until);
			return;
		}
		k.timers.now = Math.max(k.timers.now, expiry);
		k.timers.del_timer(timer);
		tcpRunTimer(k, timer);
		process_backlog(k);
	}
}
