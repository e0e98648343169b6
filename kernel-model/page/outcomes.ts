// SPDX-License-Identifier: GPL-2.0-or-later
/** What became of each line of a script: verdicts, results and mistakes, as tables. */
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import type { Outcome, Verdict } from "../check/player.js";
import type { ScriptError } from "../script/strace.js";

/** A mistake in a script. */
export interface Mistake {
	line: number;
	column: number;
	expected: string;
	found: string;
}

/** Verdicts by number, for tables. 0 is a line without an outcome. */
export const VERDICTS: readonly (Verdict | null)[] = [
	null,
	"match",
	"mismatch",
	"undecided",
	"unrecorded",
	"ignored",
];

/** The outcome of every line. Index 0 is line 1. */
export interface Loaded {
	version: string;
	/** What is not known of the recorded kernel; null if nothing. */
	doubt: string | null;
	verdicts: Uint8Array;
	/** The result of each line in a word: "= 3", "EADDRINUSE", "sleeps"; "" for lines without one. */
	results: string[];
	/** 1 for each line whose call failed on the model or in the recording. */
	failed: Uint8Array;
	mistake: Mistake | null;
	/** The line to begin with; 0 if no line does anything. */
	opens: number;
}

/** What became of `count` lines. */
export function loadedOf(
	count: number,
	outcomes: ReadonlyMap<number, Outcome>,
	version: string,
	doubt: string | null,
	mistake: Mistake | null,
): Loaded {
	const verdicts = new Uint8Array(count);
	const failed = new Uint8Array(count);
	const results = new Array<string>(count).fill("");
	let differs = 0;
	let fails = 0;
	let chooses = 0;
	let last = 0;
	for (const outcome of outcomes.values()) {
		const at = outcome.line - 1;
		verdicts[at] = VERDICTS.indexOf(outcome.verdict);
		results[at] = resultOf(outcome);
		if (hasFailed(outcome)) failed[at] = 1;
		last = outcome.line;
		if (outcome.verdict === "ignored") continue;
		const before = (line: number) => line === 0 || outcome.line < line;
		if (outcome.verdict === "mismatch" && before(differs)) differs = outcome.line;
		if (failed[at] === 1 && PORTS.test(outcome.call) && before(fails)) fails = outcome.line;
		if (/^(bind|connect)$/.test(outcome.call)) chooses = Math.max(chooses, outcome.line);
	}
	const opens = differs || fails || chooses || last;
	return { version, doubt, verdicts, results, failed, mistake, opens };
}

/** Calls that may fail because of ports. */
const PORTS = /^(bind|connect|listen|sendto|sendmsg)$/;

export function mistakeOf(error: ScriptError): Mistake {
	const [, found = ""] = /, found ([\s\S]*)$/.exec(error.message) ?? [];
	return { line: error.line, column: error.column, expected: error.expected, found };
}

export function hasFailed({ result, recordedError, verdict }: Outcome): boolean {
	if (verdict === "ignored") return false;
	const error = recordedError ?? (result !== null && result < 0 ? errnoName(-result) : null);
	return error !== null && error !== "EINPROGRESS" && error !== "EAGAIN";
}

/** The result of a line in a word: the recorded one if there is one. */
export function resultOf({ call, result, recorded, recordedError, verdict }: Outcome): string {
	if (call === "$") return "";
	if (verdict === "ignored") return recordedError ?? (recorded === null ? "" : `= ${recorded}`);
	if (recordedError !== null) return recordedError;
	const value = recorded ?? result;
	if (value === null) return "sleeps";
	return value < 0 ? errnoName(-value) : `= ${value}`;
}
