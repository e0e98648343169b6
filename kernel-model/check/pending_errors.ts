// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Pending errors of sockets. Another host may answer at any time, and a recording does not show
 * when. So a pending error is set or cleared to fit the call that shows it.
 */
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_SYN_SENT } from "../../include/net/tcp_states.js";
import { ECONNABORTED, ECONNREFUSED } from "../../include/uapi/asm-generic/errno.js";
import { SO_ERROR, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import { IPPROTO_MPTCP, IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import { tcp_done } from "../../net/ipv4/tcp.js";
import { nth } from "../machine/nth.js";
import { isReceive, isSend } from "../script/calls.js";
import { errnoOf, type Operands } from "../script/operands.js";
import type { CallLine } from "../script/strace.js";
import { isUdp, localDevice, type ModelCall } from "./model_call.js";
import type { World } from "./world.js";

/** Errors of a connection attempt that come from other hosts, from routers or from a timeout. */
const ANSWERS = new Set(
	[
		"ECONNREFUSED",
		"ECONNRESET",
		"EHOSTDOWN",
		"EHOSTUNREACH",
		"ENETUNREACH",
		"ENOPROTOOPT",
		"EPROTO",
		"ETIMEDOUT",
	].map((name) => errnoOf(name) ?? 0),
);

export class PendingErrors {
	constructor(private readonly world: World) {}

	/** Sets or clears the pending error of the socket `sk` before a call is made. */
	fit(sk: number, modelCall: ModelCall): void {
		if (tellsRefusal(modelCall.call, modelCall.operands)) this.refused(sk);
		if (modelCall.recorded !== null && this.world.ownAnswers === null)
			this.takeErrors(sk, modelCall);
	}

	/**
	 * A call shows that a datagram was refused. If the destination is another host, sets the error.
	 * The recording does not show when this host refused. On the own host the model decides.
	 */
	private refused(sk: number): void {
		const S = this.world.kernel.sock;
		if (!isUdp(nth(S.sk_protocol, sk)) || S.skc_state[sk] !== TCP_ESTABLISHED) return;
		if (localDevice(this.world.kernel, sk) === 0) S.sk_err[sk] = ECONNREFUSED;
	}

	/**
	 * Sets or clears the pending error of a TCP connection to fit a call. Another host may answer at
	 * any time. If the recording does not show read(), a read() may have returned the error.
	 */
	private takeErrors(sock_sk: number, { call, operands }: ModelCall): void {
		const k = this.world.kernel;
		const S = k.sock;
		const sk = this.world.subflow(sock_sk);
		const protocol = S.sk_protocol[sk];
		if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_MPTCP) return;
		const asks = call.name === "getsockopt" && operands.flags(2) === SO_ERROR;
		if (asks && operands.flags(1) !== SOL_SOCKET) return;
		const transfers = call.name === "connect" || isSend(call.name) || isReceive(call.name);
		if (!asks && !transfers) return;
		const errno = call.result?.errno ?? null;
		const told = asks ? errorIn(operands) : errno === null ? 0 : (errnoOf(errno) ?? 0);
		// MPTCP keeps the error of an earlier attempt.
		if (
			!this.world.settled && // all answers are those of this host, which the model has
			S.skc_state[sk] === TCP_SYN_SENT &&
			ANSWERS.has(told) &&
			S.sk_err[sock_sk] !== told &&
			localDevice(this.world.kernel, sk) === 0
		) {
			S.sk_err[sk] = told;
			tcp_done(k, sk);
			return;
		}
		const pending = S.sk_err[sock_sk];
		if (pending === 0 || this.world.showsReads) return;
		// A connect() whose attempt has failed returns the pending error, else ECONNABORTED.
		const taken = asks ? told !== pending : call.name === "connect" && told === ECONNABORTED;
		if (taken && S.skc_state[sk] === TCP_CLOSE) S.sk_err[sock_sk] = 0;
	}
}

/** The error that SO_ERROR returned; 0 if none. */
function errorIn(operands: Operands): number {
	const bytes = operands.returned(3, 4);
	return bytes === null || bytes.length < 4
		? 0
		: new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
}

/** Whether a send, a receive or SO_ERROR returns ECONNREFUSED. */
function tellsRefusal(call: CallLine, operands: Operands): boolean {
	if (call.name === "getsockopt") {
		const pending = operands.flags(1) === SOL_SOCKET && operands.flags(2) === SO_ERROR;
		return pending && call.result?.value === 0 && operands.returned(3, 4)?.[0] === ECONNREFUSED;
	}
	return (isSend(call.name) || isReceive(call.name)) && call.result?.errno === "ECONNREFUSED";
}
