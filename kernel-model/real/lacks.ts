// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Tells what another system does not have from what it does otherwise. A call that fails because the
 * system has no such protocol, option or setting is left out, and the model plays without it.
 */
import type { PlayOptions } from "../check/player.js";
import { nth } from "../machine/nth.js";
import type { CallLine } from "../script/strace.js";
import type { Agent } from "./agent/agent.js";
import { judge, type Lack, type LiveOutcome, type Recording, readRecording } from "./live.js";

/** The errors of each call by which a system says that it does not have something. */
const NOT_THERE: Readonly<Record<string, readonly string[]>> = {
	socket: ["EINVAL", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT", "EOPNOTSUPP"],
	setsockopt: ["ENOPROTOOPT", "EOPNOTSUPP"],
	getsockopt: ["ENOPROTOOPT", "EOPNOTSUPP"],
	openat: ["ENOENT", "EACCES"],
	write: ["EIO", "EPERM"],
};

/** The option of a setsockopt() or getsockopt(); null for other calls. */
function optionOf(call: CallLine): string | null {
	if (call.name !== "setsockopt" && call.name !== "getsockopt") return null;
	const value = call.args[2]?.value;
	return value?.kind === "flags" ? (value.names[0] ?? null) : null;
}

/** What a call asks for that a system may not have; null if the system has it. */
function lackOf(call: CallLine): string | null {
	const error = call.result?.errno;
	if (error == null || NOT_THERE[call.name]?.includes(error) !== true) return null;
	const names = call.args.map(({ value }) => {
		if (value.kind === "flags") return value.names.join("|");
		return value.kind === "string" ? Buffer.from(value.bytes).toString("latin1") : "";
	});
	if (call.name === "socket") return names.join(" ").replace(/\|SOCK_(NONBLOCK|CLOEXEC)/g, "");
	if (call.name === "openat") return names[1] ?? null;
	if (call.name === "write") return "this setting";
	return optionOf(call);
}

/** What a system lacks, and the verdicts on the rest. */
export interface SystemJudgement {
	outcomes: LiveOutcome[];
	/** The recording without the lines that need what the system lacks. */
	recording: Recording;
	lacks: Lack[];
}

/**
 * The model's verdicts on a recording of another system that does not have the options `missing`. Lines that need what the system lacks have
 * the verdict "ignored", with the reason. Only a call that the model answers otherwise can be such a
 * line.
 */
export function judgeSystem(
	recorded: Recording,
	file: string,
	options: PlayOptions,
	missing: readonly string[],
): SystemJudgement {
	const lacks = [...(recorded.lacks ?? [])];
	const ignored = new Set<number>();
	for (const line of readRecording(recorded, file).lines) {
		const what = line.kind === "call" ? optionOf(line) : null;
		if (line.kind !== "call" || what === null || !missing.includes(what)) continue;
		ignored.add(line.line);
		lacks.push({ line: line.line, text: line.text, what, error: line.result?.errno ?? "" });
	}
	let recording = ignored.size > 0 ? without(recorded, ignored) : recorded;
	for (;;) {
		const outcomes = judge(recording, file, { ...options, settled: false });
		const first = outcomes.find(({ verdict }) => verdict === "mismatch");
		const calls = new Map<number, CallLine>();
		for (const line of readRecording(recording, file).lines)
			if (line.kind === "call") calls.set(line.line, line);
		const call = first === undefined ? undefined : calls.get(first.line);
		const what = call === undefined ? null : lackOf(call);
		if (what === null) return { outcomes: merged(outcomes, lacks), recording, lacks };
		// All calls of this name that fail in the same way are left out.
		const left = new Set<number>();
		for (const [line, other] of calls) {
			if (other.name !== call?.name || lackOf(other) !== what) continue;
			left.add(line);
			const { text } = other;
			lacks.push({ line, text, what, error: other.result?.errno ?? "" });
		}
		recording = without(recording, left);
	}
}

function without(recording: Recording, left: ReadonlySet<number>): Recording {
	const text = recording.text.split("\n");
	const kept = [...recording.lines.keys()].filter((i) => !left.has(nth(recording.lines, i)));
	return {
		text: kept.map((i) => `${nth(text, i)}\n`).join(""),
		lines: kept.map((i) => nth(recording.lines, i)),
	};
}

function merged(outcomes: LiveOutcome[], lacks: readonly Lack[]): LiveOutcome[] {
	const left = lacks.map(({ line, text, what, error }): LiveOutcome => {
		return {
			line,
			pid: null,
			call: text.startsWith("$") ? "$" : text.slice(0, text.indexOf("(")),
			verdict: "ignored",
			result: null,
			recorded: error === "" ? 0 : null,
			recordedError: error === "" ? null : error,
			address: null,
			reason: `the system lacks ${what}`,
			proof: null,
			explanation: [],
			text,
			chosen: null,
			value: null,
			error: null,
			learnt: null,
			name: null,
		};
	});
	return [...outcomes, ...left].sort((a, b) => a.line - b.line);
}

/** What a system lacks, each once, in the order of the lines. */
export function lackNames(lacks: readonly Lack[]): string[] {
	return [...new Set(lacks.map(({ what }) => what))];
}

/** The model's verdicts on a recording of an agent's kernel, whether this is Linux or not. */
export function judgeOn(
	{ hello }: Agent,
	recording: Recording,
	file: string,
	options: PlayOptions,
): LiveOutcome[] {
	if (hello.system === null) return judge(recording, file, options);
	return judgeSystem(recording, file, options, hello.lacks).outcomes;
}
