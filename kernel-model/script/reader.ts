// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Reads lines of scripts and recordings: joins the halves of calls that strace split, and
 * finds out whose the lines without a pid are.
 */
import { CallReader, DETACHED, UNFINISHED } from "./call_reader.js";
import { Char, isLetter, isWord, match, skipSpace } from "./chars.js";
import { Leader } from "./leader.js";
import { words } from "./shell.js";
import { describe, pieceAt, type Source, Stop, tail } from "./source.js";
import {
	type Arg,
	type CallLine,
	type ExitLine,
	type Parsed,
	ScriptError,
	type ScriptLine,
	type SignalLine,
} from "./syntax.js";

const LINE_FORMS = "a system call, '$ command' or '# comment'";
const RESUMED = /<\.\.\. ([^\s>]+) resumed>/y;
const SELF = /^(?:[^\s()"]*\/)?strace: /;
const PROCESS = /strace: Process (\d+) (attached|detached)$/y;
const EXITED = /^\+\+\+ exited with (\d+) \+\+\+$/;
const KILLED = /^\+\+\+ killed by (\w+)(?: \(core dumped\))? \+\+\+$/;
const SUPERSEDED = /^\+\+\+ superseded by execve in pid (\d+) \+\+\+$/;

interface Message {
	at: number;
	pid: number;
	verb: string;
}

/** The message that ends the line. It begins with the name by which strace was started. */
function message(text: string): Message | null {
	if (!text.endsWith("tached")) return null;
	let at = text.lastIndexOf("strace: Process ");
	const found = at < 0 ? null : match(PROCESS, text, at);
	if (found === null) return null;
	if (text.charCodeAt(at - 1) === Char.Slash) {
		do {
			at--;
		} while (/[\w./-]/.test(text.charAt(at - 1)));
	}
	return { at, pid: Number(found[1]), verb: found[2] };
}

interface Pending {
	call: CallLine;
	source: Source;
}

type Timed = CallLine | ExitLine | SignalLine;

class ScriptReader {
	private readonly text: string;
	private readonly file: string;
	private readonly isRelevant: (name: string) => boolean;
	private readonly lines: ScriptLine[] = [];
	private readonly pending = new Map<number | null, Pending[]>();
	private next = 0;
	private lineNumber: number;
	/** Reads pid and time of the current line, in this order. */
	private readonly leader = new Leader();
	/** The pid of the current line, or whom it was found to be. */
	private pid: number | null = null;
	/**
	 * On a terminal strace writes [pid …] only while there are several processes. Its messages
	 * about them tell whose the other lines are. Without messages nothing is guessed.
	 */
	private readonly alive = new Set<number>();
	private readonly announced = new Set<number>();
	private anonymous: Timed[] = [];

	constructor(text: string, file: string, isRelevant: (name: string) => boolean, above: number) {
		this.lineNumber = above;
		this.text = text;
		this.file = file;
		this.isRelevant = isRelevant;
	}

	read(): Parsed {
		while (this.next < this.text.length) this.line();
		for (const unresumed of this.pending.values()) this.abandon(unresumed);
		return { file: this.file, lines: this.lines };
	}

	private physicalLine(): string {
		let end = this.text.indexOf("\n", this.next);
		if (end < 0) end = this.text.length;
		let line = this.text.slice(this.next, end);
		if (line.endsWith("\r")) line = line.slice(0, -1);
		this.next = end + 1;
		this.lineNumber++;
		return line;
	}

	private line(): void {
		const text = this.physicalLine();
		const source = { text, pieces: [{ at: 0, line: this.lineNumber, column: 1 }] };
		const start = skipSpace(text, 0);
		const c = text.charCodeAt(start);
		if (c === Char.Dollar) {
			this.setup(source, start);
			return;
		}
		if (start === text.length || c === Char.Hash || isRemark(text)) {
			this.lines.push({ kind: "comment", line: this.lineNumber, text });
			this.process(message(text));
			return;
		}
		const messages = this.withoutMessages(source);
		this.event(source, start);
		messages.forEach(this.process, this);
	}

	/** On a terminal, messages appear in the middle of lines, which go on after them. */
	private withoutMessages(source: Source): Message[] {
		const messages: Message[] = [];
		for (;;) {
			const found = message(source.text);
			if (found === null) return messages;
			messages.push(found);
			source.text = source.text.slice(0, found.at);
			if (this.next < this.text.length) {
				const at = source.text.length;
				source.text += this.physicalLine();
				source.pieces.push({ at, line: this.lineNumber, column: 1 });
			}
		}
	}

	private event(source: Source, start: number): void {
		const text = source.text;
		const at = this.leader.read(text, start);
		this.pid = this.leader.pid;
		this.findOwner();
		const c = text.charCodeAt(at);
		if (isLetter(c) || c === Char.Question) {
			let open = at;
			while (isWord(text.charCodeAt(open)) || text.charCodeAt(open) === Char.Question) open++;
			if (text.charCodeAt(open) === Char.Open) {
				this.call(tail(source, at), text.slice(at, open));
				return;
			}
		} else if (c === Char.Less) {
			const resumed = match(RESUMED, text, at);
			if (resumed !== null) {
				this.resumed(source, at, resumed[1], at + resumed[0].length);
				return;
			}
		} else if (c === Char.Plus && text.startsWith("+++ ", at)) {
			this.exit(source, at);
			return;
		} else if (c === Char.Minus && text.startsWith("--- ", at)) {
			this.push({
				kind: "signal",
				line: source.pieces[0].line,
				pid: this.pid,
				time: this.leader.time,
				text: text.slice(at).trimEnd(),
			});
			return;
		}
		throw this.error(source, at, LINE_FORMS);
	}

	private call(source: Source, name: string): void {
		const piece = source.pieces[0];
		const call: CallLine = {
			kind: "call",
			line: piece.line,
			column: piece.column,
			endLine: piece.line,
			pid: this.pid,
			time: this.leader.time,
			endTime: null,
			name,
			args: [],
			result: null,
			split: false,
			unresumed: false,
			opaque: false,
			text: source.text,
		};
		this.push(call);
		if (!this.suspend({ call, source })) this.finish(call, source, null);
	}

	private resumed(source: Source, at: number, name: string, rest: number): void {
		const found = this.takePending(name);
		if (found === null) {
			if (this.isRelevant(name)) {
				throw this.error(source, at, `an earlier '${name}(… <unfinished ...>'`);
			}
			const piece = pieceAt(source.pieces, at);
			this.push({
				kind: "call",
				line: piece.line,
				column: piece.column + at - piece.at,
				endLine: piece.line,
				pid: this.pid,
				time: this.leader.time,
				endTime: this.leader.time,
				name,
				args: [],
				result: null,
				split: true,
				unresumed: false,
				opaque: true,
				text: source.text.slice(at).trimEnd(),
			});
			return;
		}
		const { call, source: first } = found;
		const second = tail(source, rest);
		// strace 5.1 and earlier write a space behind "resumed>".
		const spaces = skipSpace(second.text, 0);
		const glued =
			spaces > 0 && (second.text.charCodeAt(spaces) === Char.Close || /\s$/.test(first.text));
		const joined = glued ? tail(second, spaces) : second;
		const offset = first.text.length;
		const whole = {
			text: first.text + joined.text,
			pieces: [
				...first.pieces,
				...joined.pieces.map((piece) => ({ ...piece, at: piece.at + offset })),
			],
		};
		call.split = true;
		call.endLine = source.pieces[0].line;
		call.endTime = this.leader.time;
		call.pid ??= this.pid;
		if (!this.suspend({ call, source: whole })) this.finish(call, whole, call.endTime);
	}

	/** Keeps the call for later if its text says that it did not return yet. */
	private suspend(pending: Pending): boolean {
		const { call, source } = pending;
		const text = source.text.trimEnd();
		const mark = text.endsWith(UNFINISHED) ? UNFINISHED : text.endsWith(DETACHED) ? DETACHED : "";
		if (mark === "") return false;
		const end = text.length - mark.length;
		source.text = text.slice(0, text.charCodeAt(end - 1) === Char.Space ? end - 1 : end);
		if (mark === DETACHED) {
			this.abandon([pending]);
			return true;
		}
		const waiting = this.pending.get(call.pid);
		if (waiting === undefined) {
			this.pending.set(call.pid, [pending]);
		} else {
			waiting.push(pending);
		}
		return true;
	}

	private takePending(name: string): Pending | null {
		const own = take(this.pending.get(this.pid), name);
		if (own !== null) return own;
		// Between the halves the number of processes may have gone from or to one, and with it
		// the [pid …].
		if (this.pid !== null) return take(this.pending.get(null), name);
		let latest: Pending[] | null = null;
		let line = 0;
		for (const waiting of this.pending.values()) {
			for (const { call } of waiting) {
				if (call.name === name && call.line > line) {
					line = call.line;
					latest = waiting;
				}
			}
		}
		return latest === null ? null : take(latest, name);
	}

	private abandon(unresumed: Pending[]): void {
		for (const { call, source } of unresumed) {
			call.unresumed = true;
			this.finish(call, source, null);
		}
	}

	private finish(call: CallLine, source: Source, endTime: number | null): void {
		source.text = source.text.trimEnd();
		const text = source.text;
		call.text = text;
		const reader = new CallReader(source);
		const args: Arg[] = [];
		try {
			reader.args(call.name.length, args);
			call.result = reader.result();
		} catch (stop) {
			if (!(stop instanceof Stop)) throw stop;
			// What is not resumed may break off anywhere.
			if (!call.unresumed || stop.at < text.length) {
				if (this.isRelevant(call.name)) throw this.error(source, stop.at, stop.expected);
				call.opaque = true;
				return;
			}
		}
		call.args = args;
		if (reader.resultAt >= 0 && reader.resultAt !== reader.closeAt + 4) {
			call.text = `${text.slice(0, reader.closeAt + 1)} = ${text.slice(reader.resultAt)}`;
		}
		if (endTime === null && call.time !== null && reader.duration !== null) {
			call.endTime = call.time + reader.duration;
		}
	}

	private exit(source: Source, at: number): void {
		const text = source.text.slice(at).trimEnd();
		const exited = EXITED.exec(text);
		const killed = KILLED.exec(text);
		const superseded = SUPERSEDED.exec(text);
		if (exited === null && killed === null && superseded === null) {
			throw this.error(
				source,
				at,
				"'+++ exited with …', '+++ killed by …' or '+++ superseded by …'",
			);
		}
		// The thread of an execve takes over its process's pid, and resumes the execve with it.
		const thread = superseded === null ? null : Number(superseded[1]);
		if (thread !== null) this.alive.delete(thread);
		this.findOwner();
		const pid = this.pid;
		this.push({
			kind: "exit",
			line: source.pieces[0].line,
			pid,
			time: this.leader.time,
			status: exited === null ? null : Number(exited[1]),
			signal: killed === null ? null : killed[1],
			text,
		});
		this.abandon(this.pending.get(pid) ?? []);
		this.pending.delete(pid);
		if (thread === null) {
			if (pid !== null) this.alive.delete(pid);
			return;
		}
		const taken = this.pending.get(thread);
		if (taken !== undefined) {
			this.pending.delete(thread);
			this.pending.set(pid, taken);
		}
	}

	private process(event: Message | null): void {
		if (event?.verb === "attached") {
			this.announced.add(event.pid);
			this.alive.add(event.pid);
		} else if (event !== null) {
			this.alive.delete(event.pid);
		}
	}

	/** Finds the pid of the current line if it is not printed. */
	private findOwner(): void {
		const pid = this.pid;
		if (pid === null) {
			if (this.alive.size === 1) {
				for (const only of this.alive) this.pid = only;
			}
			return;
		}
		if (this.announced.size === 0 || this.announced.has(pid)) return;
		// strace announces all but the program that it started.
		this.announced.add(pid);
		this.alive.add(pid);
		for (const line of this.anonymous) line.pid = pid;
		this.anonymous = [];
		const waiting = this.pending.get(null);
		if (waiting !== undefined) {
			this.pending.delete(null);
			this.pending.set(pid, [...waiting, ...(this.pending.get(pid) ?? [])]);
		}
	}

	private push(line: Timed): void {
		this.lines.push(line);
		if (line.pid === null) this.anonymous.push(line);
	}

	private setup(source: Source, dollar: number): void {
		const { argv, argColumns } = this.words(source, dollar + 1);
		if (argv.length === 0) throw this.error(source, source.text.length, "a command");
		this.lines.push({
			kind: "setup",
			line: this.lineNumber,
			column: dollar + 1,
			argv,
			argColumns,
			text: source.text.trim(),
		});
	}

	private words(source: Source, start: number) {
		try {
			return words(source.text, start);
		} catch (stop) {
			if (!(stop instanceof Stop)) throw stop;
			throw this.error(source, stop.at, stop.expected);
		}
	}

	private error(source: Source, at: number, expected: string): ScriptError {
		const piece = pieceAt(source.pieces, at);
		const column = piece.column + at - piece.at;
		return new ScriptError(this.file, piece.line, column, expected, describe(source.text, at));
	}
}

/** The latest call of that name, removed from the list. */
function take(waiting: Pending[] | undefined, name: string): Pending | null {
	if (waiting !== undefined) {
		for (let n = waiting.length - 1; n >= 0; n--) {
			if (waiting[n].call.name === name) return waiting.splice(n, 1)[0];
		}
	}
	return null;
}

/** strace about itself, and what -k (stack) and -e read=… (dumps) put below a call. */
function isRemark(text: string): boolean {
	return (
		text.startsWith(" > ") ||
		text.startsWith(" | ") ||
		text.startsWith(" * ") ||
		text.startsWith("[ Process PID=") ||
		(text.includes("strace: ") && SELF.test(text))
	);
}

/**
 * Reads a script or recording.
 *
 * `isRelevant` says which system calls matter. A syntax error in one that does not is no error:
 * the call becomes `opaque`. Times are in seconds: since 1970 (-ttt), since the midnight before
 * the first line (-t, -tt) or since the first line (-r). `above` is the number of lines of
 * the file before the text.
 *
 * @throws ScriptError at the first line that cannot be read
 */
export function parseScript(
	text: string,
	file: string,
	isRelevant: (name: string) => boolean = () => true,
	above = 0,
): Parsed {
	return new ScriptReader(text, file, isRelevant, above).read();
}
