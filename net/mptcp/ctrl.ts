// SPDX-License-Identifier: GPL-2.0-or-later
/** net/mptcp/ctrl.c: when a connect() gives up MPTCP. */
import type { Sk } from "../../include/linux/handle.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_SYN_SENT } from "../../include/net/tcp_states.js";
import { mptcpSubflowCtx } from "./subflow.js";

/** Default of the sysctl net.mptcp.syn_retrans_before_tcp_fallback, which was a constant before 6.14. */
const SYN_RETRANS_BEFORE_TCP_FALLBACK = 2;

/**
 * A SYN of a subflow timed out. If no SYN with MP_CAPABLE had an answer, the next one goes out
 * without it, and the connection becomes one of TCP. `expired`: there is no next one.
 */
export function mptcp_active_detect_blackhole(k: Stack, ssk: Sk, expired: boolean): void {
	const msk = mptcpSubflowCtx(k, ssk);
	if (msk === null || msk.fallback || k.sock.skc_state[ssk] !== TCP_SYN_SENT) return;
	if (!k.changes.has("mptcp-syn-fallback")) return; // since 6.12, 6982826fe5e5
	const timeouts = k.sock.icsk_retransmits[ssk];
	const to_max = SYN_RETRANS_BEFORE_TCP_FALLBACK;
	if (timeouts === to_max || (timeouts < to_max && expired)) msk.fallback = true;
}
