// SPDX-License-Identifier: GPL-2.0-or-later
/** The syntax tree of scripts and recordings, and syntax errors. */

/** One value of an argument, as strace printed it. */
export type Value =
	| { kind: "int"; value: number; symbol: string | null; column: number }
	| { kind: "flags"; names: string[]; extra: number; column: number }
	/** `ascii` is the text if it is known without the bytes. */
	| { kind: "string"; bytes: Uint8Array; ascii?: string | null; truncated: boolean; column: number }
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

/**
 * An argument of a system call. `fd` is the text in `<…>` that `strace -y` prints after a
 * descriptor.
 */
export interface Arg {
	name: string | null;
	value: Value;
	fd: string | null;
}

/**
 * The result after `=`. `value` is null for `?`. `errno` is a name such as `EADDRINUSE`. `note` is
 * the text in parentheses; several are joined by ", ".
 */
export interface Result {
	value: number | null;
	errno: string | null;
	note: string | null;
	column: number;
}

/** A system call. The halves of a split call are joined. */
export interface CallLine {
	kind: "call";
	/** The line where the call starts. */
	line: number;
	/** The column where the name starts. */
	column: number;
	/** The line of `<... resumed>`; equals `line` if the call is not split. */
	endLine: number;
	pid: number | null;
	time: number | null;
	/**
	 * When the call returned, in seconds: the time of `<... resumed>`, or the duration of -T added;
	 * null if unknown.
	 */
	endTime: number | null;
	name: string;
	args: Arg[];
	result: Result | null;
	/** strace split the call into two halves. */
	split: boolean;
	/** The call is `<unfinished ...>` and is never resumed. `args` are the complete ones. */
	unresumed: boolean;
	/**
	 * The call cannot be read, or its first half is not in the recording. `args` is empty. `result`
	 * is read if possible.
	 */
	opaque: boolean;
	/** The problem of an opaque call. */
	problem: Problem | null;
	/** The whole call on one line, without pid and time. */
	text: string;
	/** Drops the arguments of a call that reads them when they are needed. */
	forgetArgs?(): void;
	/** The first argument of such a call, if it is a number. The others are not read for it. */
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

/** A `+++ … +++` line. The line of a superseded thread has neither status nor signal. */
export interface ExitLine {
	kind: "exit";
	line: number;
	pid: number | null;
	time: number | null;
	status: number | null;
	signal: string | null;
	/** The thread that called execve(). It has this pid from now on. Its own pid is gone. */
	superseded?: number;
	/**
	 * The process ends between this line, its last one before, and `line`. 0 if it has none before.
	 */
	since: number;
	/** Line `since` is a signal, or a call that the end interrupts: the process ends soon after it. */
	dying: boolean;
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

/** A line without effect: `#…`, a blank line, or a message of strace. */
export interface CommentLine {
	kind: "comment";
	line: number;
	text: string;
}

/** A line of a recording that strace did not write, such as output of the recorded program. */
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
 * An event of a reader, in the order of the file. A call that strace did not split begins and ends
 * at once. Both events have the same call object; the end event fills in the rest. "pid" gives the
 * pid of earlier lines without one. Later lines have their pid.
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
