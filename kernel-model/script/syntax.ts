// SPDX-License-Identifier: GPL-2.0-or-later
/** What scripts and recordings are made of: strace's syntax as a tree, and its errors. */

/** One value of an argument, as strace printed it. */
export type Value =
	| { kind: "int"; value: number; symbol: string | null; column: number }
	| { kind: "flags"; names: string[]; extra: number; column: number }
	| { kind: "string"; bytes: Uint8Array; truncated: boolean; column: number }
	| { kind: "array"; items: Value[]; negated: boolean; truncated: boolean; column: number }
	| {
			kind: "struct";
			fields: { name: string | null; value: Value }[];
			truncated: boolean;
			column: number;
	  }
	| { kind: "call"; name: string; args: Value[]; column: number }
	| { kind: "change"; before: Value; after: Value; column: number }
	| { kind: "null"; column: number }
	| { kind: "other"; text: string; column: number };

/** An argument of a system call; `fd` is what `strace -y` prints in `<…>` after a descriptor. */
export interface Arg {
	name: string | null;
	value: Value;
	fd: string | null;
}

/**
 * What stands after `=`. `value` is null for `?`; `errno` is the name (`EADDRINUSE`); `note` is
 * the text in parentheses, several joined by ", ".
 */
export interface Result {
	value: number | null;
	errno: string | null;
	note: string | null;
	column: number;
}

/** A system call, its two halves joined where strace split it. */
export interface CallLine {
	kind: "call";
	/** Where it starts. */
	line: number;
	/** Where its name starts. */
	column: number;
	/** The line of `<... resumed>`; equals `line` if the call is not split. */
	endLine: number;
	pid: number | null;
	time: number | null;
	/** When it returned: the time of `<... resumed>`, or what -T measured; null if unknown. */
	endTime: number | null;
	name: string;
	args: Arg[];
	result: Result | null;
	/** It was in two parts. */
	split: boolean;
	/** It is `<unfinished ...>` and nothing follows; `args` are those printed completely. */
	unresumed: boolean;
	/**
	 * Its syntax is not understood, or its first half is not in the recording: `args` are not
	 * read, and `result` only if it can be told from the rest.
	 */
	opaque: boolean;
	/** What was not understood of an opaque call. */
	problem: Problem | null;
	/** The whole call on one line, without pid and time. */
	text: string;
	/** Of a call whose arguments are read when they are asked for: forgets them until then. */
	forgetArgs?(): void;
	/** The same: its first argument, where it is a descriptor, without a look at the others. */
	readonly firstFd?: number | null;
}

/** A `$ command` line of a script. */
export interface SetupLine {
	kind: "setup";
	line: number;
	column: number;
	argv: string[];
	/** The column where each word of `argv` starts. */
	argColumns: number[];
	/** The line as written, `$` included. */
	text: string;
}

/** A `+++ … +++` line. Of a superseded one there is neither status nor signal. */
export interface ExitLine {
	kind: "exit";
	line: number;
	pid: number | null;
	time: number | null;
	status: number | null;
	signal: string | null;
	/** The thread that became another program: it has the pid from here on, and its own is gone. */
	superseded?: number;
	text: string;
}

/** A `--- … ---` line. */
export interface SignalLine {
	kind: "signal";
	line: number;
	pid: number | null;
	time: number | null;
	text: string;
}

/** A line that means nothing: `#…`, blank, or strace talking about itself. */
export interface CommentLine {
	kind: "comment";
	line: number;
	text: string;
}

/** A line of a recording that is none of strace's: the recorded program's own output, say. */
export interface UnknownLine {
	kind: "unknown";
	line: number;
	pid: number | null;
	time: number | null;
	text: string;
	problem: Problem;
}

/** A place where something else was expected. */
export interface Problem {
	line: number;
	column: number;
	expected: string;
	found: string;
}

/** A line of a script or recording. */
export type ScriptLine = CallLine | SetupLine | ExitLine | SignalLine | CommentLine | UnknownLine;

/**
 * What a reader comes to, in the order of the file. A call that strace did not split begins
 * and ends at once. The call of both events is the same object: what is known only at the
 * end is filled in then. "pid" says whose the lines without a pid were so far; those after
 * it bear the pid.
 */
export type ReadEvent =
	| { kind: "begin"; call: CallLine }
	| { kind: "end"; call: CallLine }
	| { kind: "line"; line: Exclude<ScriptLine, CallLine> }
	| { kind: "pid"; pid: number };

/** A script or recording, `lines` ordered by where they start. */
export interface Parsed {
	file: string;
	lines: ScriptLine[];
}

/** A syntax error; the message is one line that begins with `file:line:column:`. */
export class ScriptError extends Error {
	readonly file: string;
	readonly line: number;
	readonly column: number;
	readonly expected: string;

	constructor(file: string, line: number, column: number, expected: string, found: string) {
		super(`${file}:${line}:${column}: expected ${expected}, found ${found}`);
		this.name = "ScriptError";
		this.file = file;
		this.line = line;
		this.column = column;
		this.expected = expected;
	}
}
