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

/** What is shown of every line. Index 0 is line 1. */
export interface Results {
	/** Indices of VERDICTS. */
	verdicts: Uint8Array;
	/** The result of each line in a word: "= 3", "EADDRINUSE", "sleeps"; "" for lines without one. */
	results: string[];
	/** 1 for each line whose call failed on the model or in the recording. */
	failed: Uint8Array;
	mistake: Mistake | null;
}

/** The outcome of every line. */
export interface Loaded extends Results {
	version: string;
	/** What is not known of the recorded kernel; null if nothing. */
	doubt: string | null;
	/** The line to begin with; 0 if no line does anything. */
	opens: number;
}

/** What is shown of one line. */
export interface Shown {
	line: number;
	verdict: number;
	result: string;
	failed: boolean;
}

export function shownOf(outcome: Outcome): Shown {
	return {
		line: outcome.line,
		verdict: VERDICTS.indexOf(outcome.verdict),
		result: resultOf(outcome),
		failed: hasFailed(outcome),
	};
}

/** `count` lines of which nothing is known. */
export function noResults(count: number): Results {
	return {
		verdicts: new Uint8Array(count),
		results: new Array<string>(count).fill(""),
		failed: new Uint8Array(count),
		mistake: null,
	};
}

export function take({ verdicts, results, failed }: Results, shown: Shown): void {
	const at = shown.line - 1;
	verdicts[at] = shown.verdict;
	results[at] = shown.result;
	failed[at] = shown.failed ? 1 : 0;
}

/** What became of `count` lines. */
export function loadedOf(
	count: number,
	outcomes: ReadonlyMap<number, Outcome>,
	version: string,
	doubt: string | null,
	mistake: Mistake | null,
): Loaded {
	const results = noResults(count);
	let differs = 0;
	let fails = 0;
	let chooses = 0;
	let last = 0;
	for (const outcome of outcomes.values()) {
		const shown = shownOf(outcome);
		take(results, shown);
		last = outcome.line;
		if (outcome.verdict === "ignored") continue;
		const before = (line: number) => line === 0 || outcome.line < line;
		if (outcome.verdict === "mismatch" && before(differs)) differs = outcome.line;
		if (shown.failed && PORTS.test(outcome.call) && before(fails)) fails = outcome.line;
		if (/^(bind|connect)$/.test(outcome.call)) chooses = Math.max(chooses, outcome.line);
	}
	const opens = differs || fails || chooses || last;
	return { ...results, version, doubt, mistake, opens };
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
