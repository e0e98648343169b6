// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays recordings of any length while they are read. `run` prints and drops each line when its
 * verdict is final.
 */

import { nth } from "../machine/nth.js";
import { isReadStrictly } from "../script/calls.js";
import { type PrintedLine, printedHalves } from "../script/print.js";
import {
	type CallLine,
	type Parsed,
	parseLines,
	type ReadEvent,
	readEvents,
	type ScriptLine,
} from "../script/strace.js";
import { readTop, type Top } from "../script/top.js";
import { isHeader } from "./exact.js";
import { actsLate, type Event, eventOf } from "./order.js";
import type { Outcome, PlayOptions } from "./outcome.js";
import { AHEAD, BACK, Recording, WHOLE } from "./recording.js";
import { Search, type Way } from "./search.js";
import { playScript } from "./ways.js";

/**
 * An item of a play: an outcome, in the order of acting, or a printed line, in the order of the
 * file.
 */
export type Played =
	| { kind: "outcome"; outcome: Outcome }
	| { kind: "text"; printed: PrintedLine; outcome: Outcome | null };

/** A script or recording in memory, or a recording that is read while it is played. */
export type Part =
	| { script: Parsed; top: Top | null }
	| { lines: Iterable<string>; above: number; top: Top | null };

/**
 * The recordings of a file. Recordings with draws, and short recordings, are in memory as a whole.
 * Each must be played before the next one is requested.
 */
export function* partsOf(lines: Iterator<string>, file: string): Generator<Part> {
	let above = 0;
	let part: string[] = [];
	let exact = false;
	const whole = (): Part => {
		const script = parseLines(part, file, isReadStrictly, above);
		return { script, top: readTop(part) };
	};
	for (;;) {
		const next = lines.next();
		if (next.done === true) break;
		const header = isHeader(next.value);
		if (header && exact) {
			yield whole();
			above += part.length;
			part = [];
		}
		exact ||= header;
		part.push(next.value);
		if (exact || part.length <= WHOLE) continue;
		yield { lines: chain(part, lines), above, top: readTop(part) };
		return;
	}
	yield whole();
}

function* chain(first: string[], rest: Iterator<string>): Generator<string> {
	yield* first;
	first.length = 0;
	for (;;) {
		const next = rest.next();
		if (next.done === true) return;
		yield next.value;
	}
}

/** Plays a whole script. Throws ScriptError. */
export function* playWhole(script: Parsed, options: PlayOptions): Generator<Played> {
	const outcomes = new Map<number, Outcome>();
	for (const outcome of playScript(script, options)) {
		outcomes.set(outcome.line, outcome);
		yield { kind: "outcome", outcome };
	}
	const printed = script.lines.flatMap(printedHalves).sort((a, b) => a.at - b.at);
	for (const line of printed) {
		yield { kind: "text", printed: line, outcome: outcomes.get(line.line.line) ?? null };
	}
}

/** Plays a recording while it is read. Throws ScriptError and the errors of `lines`. */
export function* playLines(
	lines: Iterable<string>,
	file: string,
	above: number,
	options: PlayOptions,
	{ ahead, back } = { ahead: AHEAD, back: BACK },
	top: Top | null = null,
): Generator<Played> {
	const reader = new EventReader(lines, file, above, ahead);
	const recording = new Recording(file, reader, ahead, top);
	reader.recording = recording;
	for (const event of new Search(recording, options, back).run()) {
		const { outcome } = event;
		if (outcome !== null) yield { kind: "outcome", outcome };
		yield* reader.settle(event);
	}
	yield* reader.rest();
}

/**
 * Plays a recording as playLines() does, in slices of some events, and keeps it in memory. The
 * player can return to any line.
 */
export function findLongWay(
	lines: Iterable<string>,
	file: string,
	above: number,
	options: PlayOptions,
	top: Top | null = null,
): Generator<null, Way> {
	const reader = new EventReader(lines, file, above, AHEAD);
	const recording = new Recording(file, reader, AHEAD, top);
	reader.recording = recording;
	return new Search(recording, options, BACK, true).way();
}

/** A line of the file: a whole line, or one half of a split call. */
interface Piece {
	line: ScriptLine;
	half: "begin" | "end";
}

/** Reads events in the order in which they act, and keeps lines until they can be printed. */
class EventReader implements Iterator<Event> {
	recording: Recording | null = null;
	private readonly events: Iterator<ReadEvent>;
	/** Events in the order of acting, from the first call whose end is not read yet. */
	private queue: { line: ScriptLine; ready: boolean }[] = [];
	private first = 0;
	private readonly unready = new Map<CallLine, { line: ScriptLine; ready: boolean }>();
	/** Calls that are played before their end is read. */
	private readonly early = new Set<CallLine>();
	/** The number of the last line that was read. */
	private at: number;
	private ended = false;

	/** A queue. Entries before `printed` are already printed. */
	private pieces: Piece[] = [];
	private printed = 0;
	/** Calls that have not ended. */
	private readonly open = new Set<CallLine>();
	/** Calls whose first half is printed. */
	private readonly begun = new Set<CallLine>();
	/** Outcomes of lines that are not printed yet. */
	private readonly outcomes = new Map<ScriptLine, Outcome | null>();
	/** The calls for which a copy was played before their end was read. */
	private readonly standsFor = new Map<ScriptLine, CallLine>();

	constructor(
		lines: Iterable<string>,
		file: string,
		above: number,
		private readonly ahead: number,
	) {
		this.at = above;
		this.events = readEvents(lines, file, isReadStrictly, above);
	}

	next(): IteratorResult<Event> {
		for (;;) {
			const front = this.queue[this.first];
			if (front?.ready === true) return { done: false, value: this.take(front.line) };
			if (front !== undefined && this.queue.length - this.first > this.ahead) {
				return { done: false, value: this.takeEarly(front.line as CallLine) };
			}
			if (this.ended) return { done: true, value: undefined };
			const next = this.events.next();
			if (next.done === true) this.ended = true;
			else this.read(next.value);
		}
	}

	private read(event: ReadEvent): void {
		if (event.kind === "pid") {
			if (this.recording !== null) this.recording.nameless = event.pid;
			return;
		}
		if (event.kind === "line") {
			const { line } = event;
			this.at = line.line;
			this.pieces.push({ line, half: "begin" });
			if (line.kind === "setup" || line.kind === "exit") this.queue.push({ line, ready: true });
			return;
		}
		const { call } = event;
		if (event.kind === "begin") {
			this.at = call.line;
			this.pieces.push({ line: call, half: "begin" });
			const ended = call.result !== null;
			if (!ended) this.open.add(call);
			if (this.recording !== null && call.time !== null) this.recording.firstTime ??= call.time;
			// It was not split: it ends at once.
			if (ended) {
				this.queue.push({ line: call, ready: true });
				return;
			}
			if (actsLate(call)) return;
			const entry = { line: call, ready: false };
			this.queue.push(entry);
			this.unready.set(call, entry);
			return;
		}
		this.at = Math.max(this.at, call.endLine);
		// Nothing was open.
		if (!this.open.delete(call)) return;
		if (call.endLine > call.line) this.pieces.push({ line: call, half: "end" });
		if (this.early.delete(call)) return;
		const entry = this.unready.get(call);
		if (entry === undefined) this.queue.push({ line: call, ready: true });
		else entry.ready = true;
		this.unready.delete(call);
	}

	private take(line: ScriptLine): Event {
		this.advance();
		const event = eventOf(line);
		if (event === null) throw new Error("a line that does nothing was queued");
		// A call that never returned acts now.
		if (line.kind === "call" && line.unresumed && actsLate(line)) {
			event.end = this.at;
			event.at = this.at;
		}
		return event;
	}

	/** A call that has not returned for long acts without its result. */
	private takeEarly(call: CallLine): Event {
		this.advance();
		this.unready.delete(call);
		this.early.add(call);
		const { args, opaque, problem } = call;
		const line: CallLine = { ...call, args, opaque, problem, unresumed: true };
		this.standsFor.set(line, call);
		return { line, begin: line.line, end: line.line, at: line.line, outcome: null, waits: true };
	}

	private advance(): void {
		this.first++;
		if (this.first < 1024 || this.first * 2 < this.queue.length) return;
		this.queue = this.queue.slice(this.first);
		this.first = 0;
	}

	/** Takes the final outcome of an event. Returns the lines that can be printed now. */
	settle({ line, outcome }: Event): Played[] {
		const call = this.standsFor.size === 0 ? undefined : this.standsFor.get(line);
		if (call !== undefined) this.standsFor.delete(line);
		else if (this.isNext(line)) {
			this.printed++;
			const played: Played[] = [];
			for (const printed of printedHalves(line)) played.push({ kind: "text", printed, outcome });
			return this.print(false, played);
		}
		this.outcomes.set(call ?? line, outcome);
		return this.print(false);
	}

	/** A line is the next to be printed, and stands in one piece. */
	private isNext(line: ScriptLine): boolean {
		if (this.pieces[this.printed]?.line !== line) return false;
		return line.kind !== "call" || (line.result !== null && line.endLine === line.line);
	}

	/** Returns all remaining lines. */
	rest(): Played[] {
		return this.print(true);
	}

	private print(all: boolean, played: Played[] = []): Played[] {
		for (;;) {
			const piece = this.pieces[this.printed];
			// A call that waits for long is printed without its end.
			const enough = all || this.pieces.length - this.printed > 8 * this.ahead;
			if (piece === undefined || !this.printPiece(piece, enough, played)) break;
			this.printed++;
		}
		if (this.printed > 1024 && this.printed * 2 > this.pieces.length) {
			this.pieces = this.pieces.slice(this.printed);
			this.printed = 0;
		}
		return played;
	}

	/** Prints a line or a half. Returns false if it has to wait for its outcome. */
	private printPiece({ line, half }: Piece, enough: boolean, played: Played[]): boolean {
		const acts = line.kind === "call" || line.kind === "setup" || line.kind === "exit";
		const outcome = this.outcomes.get(line);
		if (acts && outcome === undefined && !enough) return false;
		const halves = printedHalves(line);
		const text = (printed: PrintedLine) =>
			played.push({ kind: "text", printed, outcome: outcome ?? null });
		const split = line.kind === "call" && (halves.length > 1 || this.begun.has(line));
		if (line.kind === "call" && half === "begin" && (split || this.open.has(line))) {
			this.begun.add(line);
			const { leader } = nth(halves, 0);
			text({ line, leader, text: `${line.name}( <unfinished ...>`, last: false });
			return true;
		}
		if (half === "begin") text(nth(halves, 0));
		else if (split) text(nth(halves, halves.length - 1));
		const ends = line.kind === "call" && line.endLine > line.line;
		if (half === "end" || !ends) {
			this.outcomes.delete(line);
			if (line.kind === "call") this.begun.delete(line);
		}
		return true;
	}
}
