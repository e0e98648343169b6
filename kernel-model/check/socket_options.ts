// SPDX-License-Identifier: GPL-2.0-or-later
/** setsockopt() and getsockopt(). A recording may set options that the model does not have. */
import { SOL_UDP } from "../../include/linux/socket.js";
import { NotModelled } from "../../net/core/sock.js";
import { reuseport_attach_prog } from "../../net/core/sock_reuseport.js";
import { mptcpCountOption } from "../../net/mptcp/sockopt.js";
import { ScriptError } from "../script/strace.js";
import { type Handled, IGNORED, knownName, type ModelCall } from "./model_call.js";
import type { World } from "./world.js";

/** Options that let a BPF program select the member of a reuseport group. */
const SELECTORS = new Set(["SO_ATTACH_REUSEPORT_CBPF", "SO_ATTACH_REUSEPORT_EBPF"]);

export class SocketOptions {
	constructor(private readonly world: World) {}

	set(sk: number, modelCall: ModelCall): Handled {
		const { task, fd, operands, recorded } = modelCall;
		const length = operands.int(4, "an option length");
		const level = knownName(modelCall, 1, "an option level");
		const optname = knownName(modelCall, 2, "an option");
		if (level === null || optname === null) return this.passOver(sk, modelCall);
		const option = recorded === 0 && this.world.ownAnswers === null ? operands.option() : null;
		if (option !== null && option.concern !== "ports") return this.passOver(sk, modelCall);
		const copied = Math.min(Math.max(length, 0), 1024);
		let optval: Uint8Array | null;
		try {
			optval = operands.optval(3, copied);
		} catch (error) {
			if (!(error instanceof ScriptError)) throw error;
			// An option that the model does not have may have any value.
			if (recorded === null && operands.option()?.concern === "ports") throw error;
			return this.passOver(sk, modelCall);
		}
		try {
			return { result: task.setsockopt(fd, level, optname, optval, length) };
		} catch (error) {
			if (error instanceof NotModelled) return this.passOver(sk, modelCall);
			throw error;
		}
	}

	get(modelCall: ModelCall): Handled {
		const { task, fd, call, operands, recorded } = modelCall;
		const level = knownName(modelCall, 1, "an option level");
		const optname = knownName(modelCall, 2, "an option");
		if (level === null || optname === null) return IGNORED;
		// A script may leave out buffer and length. 16 bytes have room for every option.
		const given = call.args[4] !== undefined;
		const length = given ? operands.length(4, "an option length") : 16;
		const value = task.getsockopt(fd, level, optname, length);
		if (typeof value === "number") return { result: value };
		const shown = recorded === null ? null : operands.returned(3, value.length);
		const same = shown === null || shown.every((byte, i) => byte === value[i]);
		const difference = same ? null : `the model's value is [${hex(value)}]`;
		return { result: 0, value, difference };
	}

	/** Passes over an option. If ports may depend on it, later calls on the socket are doubtful. */
	private passOver(sk: number, { call, operands }: ModelCall): typeof IGNORED {
		const option = operands.option();
		if (call.result?.value === 0 && option !== null && SELECTORS.has(option.name)) {
			// Which member the program selects is open in any case: check/accept_queues.ts.
			reuseport_attach_prog(this.world.kernel, sk);
			return IGNORED;
		}
		if (call.result?.value === 0 && option !== null) {
			mptcpCountOption(this.world.kernel, sk, option.level, option.number);
		}
		if (call.result?.value === 0 && option?.level === SOL_UDP) {
			this.world.oddDatagrams ??= `line ${call.line} sets ${option.name}, which is not modelled`;
		}
		if (call.result?.value === 0 && option !== null && option.concern !== "none") {
			this.world.doubts.set(sk, `line ${call.line} sets ${option.name}, which is not modelled`);
		}
		return IGNORED;
	}
}

function hex(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
