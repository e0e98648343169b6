// SPDX-License-Identifier: GPL-2.0-or-later
/** The outcome of a line while it is made. */
import type { Net } from "../../include/net/net_namespace.js";
import { ERESTARTSYS, errnoName } from "../../include/uapi/asm-generic/errno.js";
import { errnoOf } from "../script/operands.js";
import {
	type CallLine,
	formatCall,
	type ScriptError,
	type SetupLine,
	type Value,
} from "../script/strace.js";
import { lengthValue, NULL, optionValue, sockaddrValue } from "../script/values.js";
import type { ModelResult } from "./model_call.js";
import type { Outcome, Proof, Verdict } from "./outcome.js";
import { proofOf } from "./proof.js";
import { deviceName } from "./world.js";

/** Stands for an error with an unknown number. No call returns it. */
export const MAX_ERRNO = 4095;

/** The outcome of one line. Its text is made on demand. */
export class LineOutcome implements Outcome {
	readonly line: number;
	readonly pid: number | null;
	readonly call: string;
	result: number | null = null;
	recorded: number | null = null;
	recordedError: string | null = null;
	address: Outcome["address"] = null;
	reason: string | null = null;
	explanation: string[] = [];
	chosen: number | null = null;
	value: Uint8Array | null = null;
	error: ScriptError | null = null;
	learnt: string | null = null;
	proof: Proof | null = null;
	#call: CallLine | null = null;
	#done: ModelResult | null = null;
	#net: Net | null = null;
	readonly #plain: string;

	constructor(
		line: SetupLine | CallLine,
		public verdict: Verdict,
	) {
		this.line = line.line;
		this.pid = line.kind === "call" ? line.pid : null;
		this.call = line.kind === "call" ? line.name : "$";
		this.#plain = line.text;
	}

	/** Sets the recorded result. */
	tell(result: CallLine["result"]): void {
		this.recordedError = result?.errno ?? null;
		if (result === null || result.value === null) return;
		const { value, errno } = result;
		this.recorded = errno === null ? value : -(errnoOf(errno) ?? MAX_ERRNO);
	}

	/** The draws of the model differ from the recorded ones. The proof needs no other line. */
	drewOtherwise(reason: string): void {
		this.verdict = "mismatch";
		this.reason = reason;
		this.proof = proofOf(reason, [], this.line);
	}

	undecide(reason: string): void {
		this.verdict = "undecided";
		this.reason = reason;
	}

	/** Sets the result that the text shows. */
	show(call: CallLine, done: ModelResult, net: Net): void {
		this.#call = call;
		this.#done = done;
		this.#net = net;
	}

	get text(): string {
		if (this.#call === null || this.#done === null || this.#net === null) return this.#plain;
		return resultText(this.#call, this.#done, this.#net);
	}
}

/** The call with the model's result, as strace would print it. */
function resultText(call: CallLine, { result, address, value }: ModelResult, net: Net): string {
	const args = [...call.args];
	const fill = (index: number, filled: Value) => {
		if (call.result !== null) return; // the recording has the kernel's value
		while (args.length <= index) args.push({ name: null, value: NULL, fd: null });
		args[index] = { name: null, value: filled, fd: null };
	};
	if (address != null)
		fill(
			1,
			sockaddrValue(address, (index) => deviceName(net, index)),
		);
	if (value !== undefined) {
		fill(3, optionValue(value));
		if (args[4]?.value.kind === "null" || args.length === 4) fill(4, lengthValue(value.length));
	}
	const text = formatCall(call.name, args);
	if (result === -ERESTARTSYS) return `${text} = ? ERESTARTSYS (it would sleep)`;
	if (result < 0) return `${text} = -1 ${errnoName(-result)}`;
	return `${text} = ${result}`;
}
