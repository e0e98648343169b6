// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/tcp_timer.c: retransmissions, delayed acknowledgements, keepalive probes, orphans in
 * FIN_WAIT2.
 */
import type { Sk } from "../../include/linux/handle.js";
import { JIFFY, TIMER_KINDS } from "../../include/linux/timer.js";
import {
	ICSK_ACK_SCHED,
	ICSK_ACK_TIMER,
	ICSK_TIME_LOSS_PROBE,
	ICSK_TIME_PROBE0,
	ICSK_TIME_RETRANS,
	icsk_delack_timer,
	icsk_retransmit_timer,
} from "../../include/net/inet_connection_sock.js";
import type { Net } from "../../include/net/net_namespace.js";
import { SCTP_TIMEOUT_T1 } from "../../include/net/sctp.js";
import {
	SOCK_DEAD,
	SOCK_KEEPOPEN,
	SOCK_MPTCP,
	sk_net,
	sk_prot,
	sk_timer,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import {
	keepalive_intvl_when,
	keepalive_probes,
	keepalive_time_elapsed,
	keepalive_time_when,
	TCP_ATO_MIN,
	TCP_RTO_MIN,
	TCP_TIMEOUT_INIT,
	TCP_TIMEOUT_MIN,
	TCP_TIMEWAIT_LEN,
	TCPHDR_ACK,
	TCPHDR_PROBE,
	tcp_fin_time,
	tcp_rto_max,
	tcpEstablishedRto,
} from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_FIN_WAIT2,
	TCP_NEW_SYN_RECV,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
	TCPF_CLOSE,
	TCPF_CLOSING,
	TCPF_FIN_WAIT1,
	TCPF_LAST_ACK,
	TCPF_LISTEN,
	TCPF_SYN_RECV,
	TCPF_SYN_SENT,
} from "../../include/net/tcp_states.js";
import { ENETUNREACH, ETIMEDOUT } from "../../include/uapi/asm-generic/errno.js";
import { processBacklogAndWorks } from "../core/dev.js";
import { mptcp_active_detect_blackhole } from "../mptcp/ctrl.js";
import { reqsk_timer_handler } from "./inet_connection_sock.js";
import { inet_twsk_kill } from "./inet_timewait_sock.js";
import { tcp_done } from "./tcp.js";
import { tcp_time_wait } from "./tcp_minisocks.js";
import {
	SEGMENT_UNSENT,
	skRemoteAnswer,
	tcp_event_new_data_sent,
	tcp_retransmit_skb,
	tcp_send_ack,
	tcp_send_active_reset,
	tcp_transmit_skb,
	tcpSendUnacked,
	tcpTakeHeld,
} from "./tcp_output.js";

/** A delay that no program sees the end of: about half of what a jiffy counter holds, ms. */
const LONGEST_DELAY = 2 ** 31 * JIFFY;

/** The sock that a timer belongs to, or the number of an association of SCTP. */
export function sockOfTimer(timer: number): Sk {
	return Math.floor(timer / TIMER_KINDS);
}

/** include/linux/jiffies.h: usecs_to_jiffies. Rounds up. */
export function usecs_to_jiffies(us: number): number {
	return Math.ceil(us / (JIFFY * 1000));
}

/** The next timeout, ms: it does not exceed the rest of TCP_USER_TIMEOUT. */
function tcp_clamp_rto_to_user_timeout(k: Stack, sk: Sk): number {
	const S = k.sock;
	const user_timeout = S.icsk_user_timeout.get(sk);
	if (user_timeout === 0) return S.icsk_rto[sk];
	const remaining = user_timeout - (Math.floor(k.timers.now) - S.retrans_stamp[sk]);
	return remaining <= 0 ? JIFFY : Math.min(S.icsk_rto[sk], remaining);
}

function tcp_write_err(k: Stack, sk: Sk): void {
	k.sock.sk_err[sk] = k.sock.sk_err_soft[sk] || ETIMEDOUT;
	tcp_done(k, sk);
}

/**
 * tcp_orphan_retries: how often the FIN of an orphan is sent again. `alive`: the timeout has not
 * reached its limit.
 */
function tcp_orphan_retries(k: Stack, sk: Sk, alive: boolean): number {
	if (k.sock.sk_err_soft[sk] !== 0 && !alive) return 0;
	const retries = sk_net(k, sk).ipv4.sysctl_tcp_orphan_retries;
	return retries === 0 && alive ? 8 : retries;
}

/**
 * How long `boundary` retransmissions and the wait after them take, ms, if each timeout is twice as
 * long as the one before. `rto_base` is the first timeout.
 */
function tcp_model_timeout(k: Stack, sk: Sk, boundary: number, rto_base: number): number {
	const rto_max = tcp_rto_max(k, sk);
	const linear_backoff_thresh = Math.floor(Math.log2(rto_max / rto_base));
	if (boundary <= linear_backoff_thresh) return (2 ** (boundary + 1) - 1) * rto_base;
	return (
		(2 ** (linear_backoff_thresh + 1) - 1) * rto_base + (boundary - linear_backoff_thresh) * rto_max
	);
}

/**
 * Whether the time that `boundary` retransmissions may take is over. `timeout`: TCP_USER_TIMEOUT
 * instead, ms, if it is not 0.
 */
function retransmits_timed_out(k: Stack, sk: Sk, boundary: number, timeout: number): boolean {
	const S = k.sock;
	if (S.icsk_retransmits[sk] === 0) return false;
	if (timeout === 0) {
		const syn = ((1 << S.skc_state[sk]) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0;
		timeout = tcp_model_timeout(k, sk, boundary, syn ? TCP_TIMEOUT_INIT : TCP_RTO_MIN);
	}
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
 * long as the one before. So the linear timeouts hardly make the whole time longer. For a FIN and
 * for data only the time counts.
 */
function tcp_write_timeout(k: Stack, sk: Sk): boolean {
	const S = k.sock;
	const net = sk_net(k, sk);
	let expired = false;
	let retry_until = net.ipv4.sysctl_tcp_retries2;
	if (S.skc_state[sk] === TCP_SYN_SENT) {
		retry_until = S.icsk_syn_retries[sk] || net.ipv4.sysctl_tcp_syn_retries;
		expired = S.icsk_retransmits[sk] >= retry_until + synLinearTimeouts(net);
	} else if ((S.sk_flags[sk] & SOCK_DEAD) !== 0) {
		retry_until = tcp_orphan_retries(k, sk, S.icsk_rto[sk] < tcp_rto_max(k, sk));
	}
	expired ||= retransmits_timed_out(k, sk, retry_until, S.icsk_user_timeout.get(sk));
	if ((S.sk_flags[sk] & SOCK_MPTCP) !== 0) mptcp_active_detect_blackhole(k, sk, expired);
	if (!expired) return false;
	tcp_write_err(k, sk);
	return true;
}

/** The time of a delayed acknowledgement is over. Learns from it how long the next may wait. */
function tcp_delack_timer_handler(k: Stack, sk: Sk): void {
	const S = k.sock;
	if ((S.icsk_ack_pending[sk] & ICSK_ACK_TIMER) === 0) return;
	S.icsk_ack_pending[sk] &= ~ICSK_ACK_TIMER;
	if ((S.icsk_ack_pending[sk] & ICSK_ACK_SCHED) === 0) return;
	if (S.pingpong[sk] === 0) {
		S.icsk_ack_ato[sk] = Math.min(S.icsk_ack_ato[sk] * 2, tcpEstablishedRto(k, sk));
	} else {
		S.pingpong[sk] = 0; // no answer came to carry it
		S.icsk_ack_ato[sk] = TCP_ATO_MIN;
	}
	tcp_send_ack(k, sk);
}

/** tcp->packets_out: a FIN or data has not been acknowledged. */
function packetsOut(k: Stack, sk: Sk): boolean {
	const closing = TCPF_FIN_WAIT1 | TCPF_CLOSING | TCPF_LAST_ACK;
	return k.sock.snd_unacked.get(sk) > 0 || ((1 << k.sock.skc_state[sk]) & closing) !== 0;
}

/**
 * Tries to send a FIN or data that had no route. Gives up after tcp_retries2 or tcp_orphan_retries
 * probes, or after TCP_USER_TIMEOUT. C also probes a peer without buffers in this way.
 */
function tcp_probe_timer(k: Stack, sk: Sk): void {
	const S = k.sock;
	const { sysctl_tcp_retries2 } = sk_net(k, sk).ipv4;
	const base = Math.max(S.icsk_rto[sk], TCP_RTO_MIN);
	const rto_max = tcp_rto_max(k, sk);
	const user_timeout = S.icsk_user_timeout.get(sk);
	const now = Math.floor(k.timers.now);
	const probes = S.icsk_probes_out[sk];
	if (S.retrans_stamp[sk] === 0) S.retrans_stamp[sk] = now;
	else if (user_timeout !== 0 && now - S.retrans_stamp[sk] >= user_timeout) {
		tcp_write_err(k, sk);
		return;
	}
	let max_probes = sysctl_tcp_retries2;
	if ((S.sk_flags[sk] & SOCK_DEAD) !== 0) {
		max_probes = tcp_orphan_retries(k, sk, base * 2 ** probes < rto_max);
	}
	if (probes >= max_probes) {
		tcp_write_err(k, sk);
		return;
	}
	// tcp_send_probe0
	tcpTakeHeld(k, sk);
	const fate = tcpSendUnacked(k, sk);
	if (fate !== SEGMENT_UNSENT) {
		S.icsk_probes_out[sk] = 0;
		if (packetsOut(k, sk)) tcp_event_new_data_sent(k, sk);
		return;
	}
	S.icsk_probes_out[sk] = probes + 1;
	let when = Math.min(base * 2 ** (probes + 1), rto_max);
	// tcp_clamp_probe0_to_user_timeout
	if (user_timeout !== 0) {
		const remaining = user_timeout - (now - S.retrans_stamp[sk]);
		when = Math.min(when, Math.max(remaining, TCP_TIMEOUT_MIN * JIFFY));
	}
	k.timers.mod_timer(icsk_retransmit_timer(sk), when);
}

/**
 * Sends a SYN, a FIN or data that was not acknowledged again. The timeout begins with 1 s for a SYN
 * and with the round trip time otherwise. It doubles each time, but not after a SYN of the first
 * tcp_syn_linear_timeouts retransmissions.
 */
function tcp_retransmit_timer(k: Stack, sk: Sk): void {
	const S = k.sock;
	const timer = icsk_retransmit_timer(sk);
	const syn = S.skc_state[sk] === TCP_SYN_SENT;
	if (!syn && !packetsOut(k, sk) && S.snd_held.get(sk) === 0) return;
	if (syn && skRemoteAnswer(k, sk) === "unreachable") {
		// ICMP answered the first SYN (a soft error). The answer to its retransmission ends
		// connect().
		S.sk_err[sk] = ENETUNREACH;
		tcp_done(k, sk);
		return;
	}
	if (S.icsk_pending[sk] === ICSK_TIME_PROBE0) {
		tcp_probe_timer(k, sk);
		return;
	}
	if (S.icsk_pending[sk] === ICSK_TIME_LOSS_PROBE) {
		// tcp_send_loss_probe
		S.icsk_pending[sk] = ICSK_TIME_RETRANS;
		k.timers.mod_timer(timer, S.icsk_rto[sk]);
		tcp_retransmit_skb(k, sk);
		return;
	}
	if (tcp_write_timeout(k, sk)) return;
	if (!syn && S.icsk_retransmits[sk] === 0) S.retrans_stamp[sk] = Math.floor(k.timers.now);
	S.icsk_retransmits[sk] = Math.min(S.icsk_retransmits[sk] + 1, 255);
	// C counts the linear timeouts in icsk_backoff, later total_rto.
	if (!syn || S.icsk_retransmits[sk] > synLinearTimeouts(sk_net(k, sk))) {
		S.icsk_rto[sk] = Math.min(S.icsk_rto[sk] * 2, tcp_rto_max(k, sk));
	}
	k.timers.mod_timer(timer, tcp_clamp_rto_to_user_timeout(k, sk));
	tcp_retransmit_skb(k, sk);
}

/** Starts the timer of an idle connection if SO_KEEPALIVE is on. */
export function tcpStartKeepalive(k: Stack, sk: Sk): void {
	if ((k.sock.sk_flags[sk] & SOCK_KEEPOPEN) === 0) return;
	k.timers.mod_timer(sk_timer(sk), keepaliveDelay(keepalive_time_when(k, sk)));
}

/** The delay of a timer. A negative sysctl becomes a time that never ends. */
function keepaliveDelay(ms: number): number {
	return ms < 0 ? LONGEST_DELAY : ms;
}

/** SO_KEEPALIVE is switched on or off. */
export function tcp_set_keepalive(k: Stack, sk: Sk, on: boolean): void {
	const S = k.sock;
	if (((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0) return;
	if (!on) k.timers.del_timer(sk_timer(sk));
	else if ((S.sk_flags[sk] & SOCK_KEEPOPEN) === 0) {
		k.timers.mod_timer(sk_timer(sk), keepaliveDelay(keepalive_time_when(k, sk)));
	}
}

/**
 * The time of an orphan in FIN_WAIT2 as a full socket is over, or a connection with SO_KEEPALIVE is
 * idle. TCP_USER_TIMEOUT, if set, decides in place of the number of probes.
 */
function tcp_keepalive_timer(k: Stack, sk: Sk): void {
	const S = k.sock;
	if (S.skc_state[sk] === TCP_FIN_WAIT2 && (S.sk_flags[sk] & SOCK_DEAD) !== 0) {
		if (S.linger2[sk] >= 0) {
			const tmo = tcp_fin_time(k, sk) - TCP_TIMEWAIT_LEN;
			if (tmo > 0) {
				tcp_time_wait(k, sk, TCP_FIN_WAIT2, tmo);
				return;
			}
		}
		tcp_send_active_reset(k, sk);
		tcp_done(k, sk);
		return;
	}
	const idle = ((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_SYN_SENT)) !== 0;
	if ((S.sk_flags[sk] & SOCK_KEEPOPEN) === 0 || idle) return;

	const when = keepalive_time_when(k, sk);
	let next = when;
	if (!packetsOut(k, sk)) {
		const elapsed = keepalive_time_elapsed(k, sk);
		if (when >= 0 && elapsed >= when) {
			const user_timeout = S.icsk_user_timeout.get(sk);
			const gone =
				user_timeout !== 0
					? elapsed >= user_timeout && S.icsk_probes_out[sk] > 0
					: S.icsk_probes_out[sk] >= keepalive_probes(k, sk);
			if (gone) {
				tcp_send_active_reset(k, sk);
				tcp_write_err(k, sk);
				return;
			}
			// The answer, if one comes, clears the number of probes.
			S.icsk_probes_out[sk] = Math.min(S.icsk_probes_out[sk] + 1, 255);
			tcp_transmit_skb(k, sk, TCPHDR_ACK | TCPHDR_PROBE, 0);
			next = keepalive_intvl_when(k, sk);
		} else if (when >= 0) {
			next = when - elapsed;
		}
	}
	k.timers.mod_timer(sk_timer(sk), keepaliveDelay(next));
}

/** Runs a timer that has expired. */
function tcpRunTimer(k: Stack, timer: number): void {
	const S = k.sock;
	const sk = sockOfTimer(timer);
	const kind = timer % TIMER_KINDS;
	if (kind >= SCTP_TIMEOUT_T1) k.sctp_globals.timeout(k, sk, kind);
	else if (S.skc_state[sk] === TCP_TIME_WAIT) {
		inet_twsk_kill(k, sk);
	} else if (S.skc_state[sk] === TCP_NEW_SYN_RECV) {
		reqsk_timer_handler(k, sk);
	} else if (S.skc_state[sk] !== TCP_CLOSE) {
		const { write_timer } = sk_prot(k, sk);
		if (write_timer !== undefined) write_timer(k, sk);
		else if (timer === icsk_retransmit_timer(sk)) tcp_retransmit_timer(k, sk);
		else if (timer === icsk_delack_timer(sk)) tcp_delack_timer_handler(k, sk);
		else if (k.mptcp.socks.has(sk)) k.mptcp.tout_timer(k, sk);
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
		processBacklogAndWorks(k);
	}
}
