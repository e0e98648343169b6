// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Reads lines of scripts and recordings. Joins the halves of split calls. Finds the pid of lines
 * without one.
 */
import { nth } from "../machine/nth.js";
import { CallReader, DETACHED } from "./call_reader.js";
import { Char, isLetter, isWord, match, skipSpace } from "./chars.js";
import { Leader } from "./leader.js";
import { KnownArgs, problem, recordedCall, suspension, unpadded } from "./recorded_call.js";
import { words } from "./shell.js";
import { pieceAt, type Source, Stop, tail } from "./source.js";
import {
	type Arg,
	type CallLine,
	type ExitLine,
	type Parsed,
	type ReadEvent,
	ScriptError,
	type ScriptLine,
	type SignalLine,
	type UnknownLine,
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

/** The strace message at the end of a line. It begins with the name by which strace was started. */
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
	return { at, pid: Number(found[1]), verb: found[2] ?? "" };
}

interface Pending {
	call: CallLine;
	source: Source;
}

type Timed = ExitLine | SignalLine | UnknownLine;

class ScriptReader {
	private readonly input: Iterator<string>;
	private readonly file: string;
	private readonly isRelevant: (name: string) => boolean;
	/** Events that were read and not returned yet. */
	private events: ReadEvent[] = [];
	private readonly pending = new Map<number | null, Pending[]>();
	private lineNumber: number;
	private ended = false;
	/** The file shows that strace wrote it. No line of such a file is an error. */
	private recorded = false;
	/** Reads the pid and the time of each line. */
	private readonly leader = new Leader();
	/** The pid of the current line, printed or found. */
	private pid: number | null = null;
	/**
	 * On a terminal strace writes [pid …] only while there are several processes. Its messages
	 * about attaching and detaching give the pid of the other lines. Without messages the pid stays
	 * unknown.
	 */
	private readonly alive = new Set<number>();
	private readonly announced = new Set<number>();
	private nameless: (CallLine | Timed)[] = [];
	/** The last line of each process; negative if the process may end soon after it. */
	private readonly lastLines = new Map<number | null, number>();
	private readonly known = new KnownArgs();

	constructor(
		input: Iterator<string>,
		file: string,
		isRelevant: (name: string) => boolean,
		above: number,
		/**
		 * Whether lines without a pid get it later, when it is known. Else a "pid" event reports
		 * it.
		 */
		private readonly whole: boolean,
	) {
		this.lineNumber = above;
		this.input = input;
		this.file = file;
		this.isRelevant = isRelevant;
	}

	*read(): Generator<ReadEvent> {
		for (;;) {
			const text = this.physicalLine();
			if (text === null) break;
			this.line(text);
			yield* this.given();
		}
		for (const unresumed of this.pending.values()) this.abandon(unresumed);
		yield* this.given();
	}

	private given(): ReadEvent[] {
		const { events } = this;
		this.events = [];
		return events;
	}

	/** The next line of the file; null at its end. */
	private physicalLine(): string | null {
		if (this.ended) return null;
		const next = this.input.next();
		if (next.done === true) {
			this.ended = true;
			return null;
		}
		this.lineNumber++;
		const line = next.value;
		return line.endsWith("\r") ? line.slice(0, -1) : line;
	}

	private line(text: string): void {
		const source = { text, pieces: [{ at: 0, line: this.lineNumber, column: 1 }] };
		const start = skipSpace(text, 0);
		const c = text.charCodeAt(start);
		if (c === Char.Dollar) {
			this.setup(source, start);
			return;
		}
		if (start === text.length || c === Char.Hash || isRemark(text)) {
			if (start < text.length && c !== Char.Hash) this.recorded = true;
			this.push({ kind: "comment", line: this.lineNumber, text });
			this.process(message(text));
			return;
		}
		const messages = this.withoutMessages(source);
		this.event(source, start);
		messages.forEach(this.process, this);
	}

	/** Removes strace's messages from a line. On a terminal they appear in the middle of a line. */
	private withoutMessages(source: Source): Message[] {
		const messages: Message[] = [];
		for (;;) {
			const found = message(source.text);
			if (found === null) return messages;
			messages.push(found);
			source.text = source.text.slice(0, found.at);
			const more = this.physicalLine();
			if (more === null) continue;
			source.pieces.push({ at: source.text.length, line: this.lineNumber, column: 1 });
			source.text += more;
		}
	}

	private event(source: Source, start: number): void {
		const text = source.text;
		const at = this.leader.read(text, start);
		this.pid = this.leader.pid;
		if (this.leader.time !== null) this.recorded = true;
		this.findOwner();
		const c = text.charCodeAt(at);
		if (c === Char.Plus && text.startsWith("+++ ", at)) {
			this.exit(source, at);
			return;
		}
		this.lastLines.set(this.pid, endsSoon(text, at) ? -this.lineNumber : this.lineNumber);
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
				this.recorded = true;
				this.resumed(source, at, nth(resumed, 1), at + resumed[0].length);
				return;
			}
		} else if (c === Char.Minus && text.startsWith("--- ", at)) {
			this.recorded = true;
			this.pushTimed({
				kind: "signal",
				line: nth(source.pieces, 0).line,
				pid: this.pid,
				time: this.leader.time,
				text: text.slice(at).trimEnd(),
			});
			return;
		}
		this.unknown(source, at, LINE_FORMS);
	}

	/** Handles a line that is not understood: an error in a script, not in a recording. */
	private unknown(source: Source, at: number, expected: string): void {
		if (!this.recorded) throw this.error(source, at, expected);
		this.pushTimed({
			kind: "unknown",
			line: nth(source.pieces, 0).line,
			pid: this.pid,
			time: this.leader.time,
			text: source.text,
			problem: problem(source, at, expected),
		});
	}

	private call(source: Source, name: string): void {
		const piece = nth(source.pieces, 0);
		if (this.recorded && !this.whole && source.pieces.length === 1) {
			const call = recordedCall(source, name, this.pid, this.leader.time);
			if (call !== null) {
				this.events.push({ kind: "begin", call }, { kind: "end", call });
				return;
			}
		}
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
			problem: null,
			text: source.text,
		};
		if (call.pid === null) this.anonymous(call);
		// An error in a script must stop the reader before the call is reported.
		const waits = this.suspend({ call, source });
		if (!waits) this.finish(call, source, null);
		this.events.push({ kind: "begin", call });
		if (!waits || call.unresumed) this.events.push({ kind: "end", call });
	}

	private resumed(source: Source, at: number, name: string, rest: number): void {
		const found = this.takePending(name);
		if (found === null) {
			// The call began before the recording.
			const piece = pieceAt(source.pieces, at);
			const call: CallLine = {
				kind: "call",
				line: piece.line,
				column: piece.column + at - piece.at,
				endLine: piece.line,
				pid: this.pid,
				time: this.leader.time,
				endTime: this.leader.time,
				name,
				args: [],
				result: new CallReader(source).lastResult(),
				split: true,
				unresumed: false,
				opaque: true,
				problem: problem(source, at, `an earlier '${name}(… <unfinished ...>'`),
				text: source.text.slice(at).trimEnd(),
			};
			if (call.pid === null) this.anonymous(call);
			this.events.push({ kind: "begin", call }, { kind: "end", call });
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
		call.endLine = nth(source.pieces, 0).line;
		call.endTime = this.leader.time;
		call.pid ??= this.pid;
		if (this.suspend({ call, source: whole })) return;
		this.finish(call, whole, call.endTime);
		this.events.push({ kind: "end", call });
	}

	/** Keeps the call for later if it has not returned yet. */
	private suspend(pending: Pending): boolean {
		const { call, source } = pending;
		const text = source.text.trimEnd();
		const mark = suspension(text);
		if (mark === "") return false;
		const end = text.length - mark.length;
		source.text = text.slice(0, text.charCodeAt(end - 1) === Char.Space ? end - 1 : end);
		this.recorded = true;
		if (mark === DETACHED) {
			call.unresumed = true;
			this.finish(call, source, null);
			return true;
		}
		call.args = finishedArgs(call.name, source);
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
		// Between the halves the number of processes may have become one, or more than one. So only
		// one half may have [pid …].
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
			this.events.push({ kind: "end", call });
		}
	}

	private finish(call: CallLine, source: Source, endTime: number | null): void {
		source.text = source.text.trimEnd();
		const text = source.text;
		call.text = text;
		const reader = new CallReader(source);
		let args: Arg[] = [];
		try {
			const known = this.known.find(source, call.name);
			if (known === null) {
				reader.args(call.name.length, args);
				this.known.add(source, reader.closeAt, args);
			} else {
				args = known.args;
				reader.skipArgs(known.closeAt);
			}
			call.result = reader.result();
		} catch (stop) {
			if (!(stop instanceof Stop)) throw stop;
			// A call that is not resumed may end anywhere.
			if (!call.unresumed || stop.at < text.length) {
				// A result at the end shows that strace recorded the call.
				call.result = reader.lastResult();
				const strict = !this.recorded && call.result === null;
				if (strict && this.isRelevant(call.name)) {
					throw this.error(source, stop.at, stop.expected);
				}
				call.opaque = true;
				call.problem = problem(source, stop.at, stop.expected);
				call.args = [];
				return;
			}
		}
		call.args = args;
		if (call.name === "execve" && call.result !== null) this.recorded = true;
		call.text = unpadded(text, reader.closeAt, reader.resultAt);
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
			const forms = "'+++ exited with …', '+++ killed by …' or '+++ superseded by …'";
			this.unknown(source, at, forms);
			return;
		}
		this.recorded = true;
		// The thread of an execve takes over the pid of its process and resumes the execve under
		// it.
		const thread = superseded === null ? null : Number(superseded[1]);
		if (thread !== null) this.alive.delete(thread);
		this.findOwner();
		const pid = this.pid;
		this.abandon(this.pending.get(pid) ?? []);
		this.pending.delete(pid);
		const { line } = nth(source.pieces, 0);
		const last = thread === null ? (this.lastLines.get(pid) ?? 0) : line;
		this.lastLines.delete(pid);
		this.pushTimed({
			kind: "exit",
			line,
			pid,
			time: this.leader.time,
			status: exited === null ? null : Number(exited[1]),
			signal: killed?.[1] ?? null,
			...(thread === null ? {} : { superseded: thread }),
			since: Math.abs(last),
			dying: last < 0,
			text,
		});
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

	/** Finds the pid of the current line if strace did not print it. */
	private findOwner(): void {
		const pid = this.pid;
		if (pid === null) {
			if (this.alive.size === 1) {
				for (const only of this.alive) this.pid = only;
			}
			return;
		}
		if (this.announced.size === 0 || this.announced.has(pid)) return;
		// strace announces every process except the one that it started.
		this.announced.add(pid);
		this.alive.add(pid);
		for (const line of this.nameless) line.pid = pid;
		this.nameless = [];
		if (!this.whole) this.events.push({ kind: "pid", pid });
		const waiting = this.pending.get(null);
		if (waiting !== undefined) {
			this.pending.delete(null);
			this.pending.set(pid, [...waiting, ...(this.pending.get(pid) ?? [])]);
		}
	}

	private push(line: Exclude<ScriptLine, CallLine>): void {
		this.events.push({ kind: "line", line });
	}

	private pushTimed(line: Timed): void {
		this.push(line);
		if (line.pid === null) this.anonymous(line);
	}

	private anonymous(line: CallLine | Timed): void {
		if (this.whole) this.nameless.push(line);
	}

	private setup(source: Source, dollar: number): void {
		const { argv, argColumns } = this.words(source, dollar + 1);
		if (argv.length === 0) throw this.error(source, source.text.length, "a command");
		this.push({
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
		const { line, column, found } = problem(source, at, expected);
		return new ScriptError(this.file, line, column, expected, found);
	}
}

/** The complete arguments of the first half of a call. */
function finishedArgs(name: string, source: Source): Arg[] {
	const args: Arg[] = [];
	try {
		new CallReader(source).args(name.length, args);
	} catch (stop) {
		if (!(stop instanceof Stop)) throw stop;
	}
	return args;
}

/** Whether a line may be the last one of a process: a signal, or a call that never returns. */
function endsSoon(text: string, at: number): boolean {
	return text.charCodeAt(at) === Char.Minus || text.endsWith(" ?");
}

/** Removes the latest call with a name from the list and returns it. */
function take(waiting: Pending[] | undefined, name: string): Pending | null {
	const at = waiting?.findLastIndex(({ call }) => call.name === name) ?? -1;
	return at < 0 ? null : (waiting?.splice(at, 1)[0] ?? null);
}

/**
 * Whether a line is strace's own message, or a line that -k (stack) or -e read=… (dump) adds below
 * a call.
 */
function isRemark(text: string): boolean {
	return (
		text.startsWith(" > ") ||
		text.startsWith(" | ") ||
		text.startsWith(" * ") ||
		text.startsWith("[ Process PID=") ||
		(text.includes("strace: ") && SELF.test(text))
	);
}

/** Whether a system call may affect ports. */
type IsRelevant = (name: string) => boolean;

/**
 * Reads a script or recording.
 *
 * A call that is not understood becomes `opaque`. It is an error if `isRelevant` returns true and
 * nothing shows that strace wrote the file. Another line that is not understood is an error in a
 * script and "unknown" in a recording. Times are in seconds: since 1970 (-ttt), since the midnight
 * before the first line (-t, -tt) or since the first line (-r). `above` is the number of lines
 * before the text in the file.
 *
 * @throws ScriptError at the first line of a script that cannot be read
 */
export function parseScript(
	text: string,
	file: string,
	isRelevant: IsRelevant = () => true,
	above = 0,
): Parsed {
	return parseLines(split(text), file, isRelevant, above);
}

/** As parseScript(), for a text that is split into lines. */
export function parseLines(
	text: Iterable<string>,
	file: string,
	isRelevant: IsRelevant = () => true,
	above = 0,
): Parsed {
	const lines: ScriptLine[] = [];
	const input = text[Symbol.iterator]();
	for (const event of new ScriptReader(input, file, isRelevant, above, true).read()) {
		if (event.kind === "begin") lines.push(event.call);
		else if (event.kind === "line") lines.push(event.line);
	}
	return { file, lines };
}

/**
 * Reads a script or recording of any length. Memory grows only with the calls that have not
 * returned. See parseScript() for errors.
 */
export function readEvents(
	lines: Iterable<string>,
	file: string,
	isRelevant: IsRelevant = () => true,
	above = 0,
): Generator<ReadEvent> {
	return new ScriptReader(lines[Symbol.iterator](), file, isRelevant, above, false).read();
}

/** The lines of a text. */
function* split(text: string): Generator<string> {
	for (let next = 0; next < text.length; ) {
		const end = text.indexOf("\n", next);
		yield text.slice(next, end < 0 ? text.length : end);
		next = end < 0 ? text.length : end + 1;
	}
}

/**
 * Holds back events until each call that has begun has ended, so its result is known at its
 * beginning. Holds at most `most` events, so a call that waits long does not keep a whole recording
 * in memory. If a call has not ended by then, its result is not known at its beginning.
 */
export function* ahead(events: Iterable<ReadEvent>, most: number): Generator<ReadEvent> {
	/** A queue. Entries before `first` are already returned. */
	let held: ReadEvent[] = [];
	let first = 0;
	const ended = new Set<CallLine>();
	const ready = (event: ReadEvent) => event.kind !== "begin" || ended.has(event.call);
	for (const event of events) {
		held.push(event);
		if (event.kind === "end") ended.add(event.call);
		for (;;) {
			const next = held[first];
			if (next === undefined || !(ready(next) || held.length - first > most)) break;
			first++;
			if (next.kind === "end") ended.delete(next.call);
			yield next;
		}
		if (first > 1024 && first * 2 > held.length) {
			held = held.slice(first);
			first = 0;
		}
	}
	yield* held.slice(first);
}
