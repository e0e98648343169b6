// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays recordings of any length as they are read: `run` prints each line when its verdict is
 * certain, and lets go of it.
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
import { isHeader } from "./exact.js";
import { actsLate, type Event, eventOf } from "./order.js";
import type { Outcome, PlayOptions } from "./outcome.js";
import { AHEAD, BACK, Recording, WHOLE } from "./recording.js";
import { playScript, Search } from "./search.js";

/** What a play gives: an outcome, in the order of acting, or a line of text, in that of the file. */
export type Played =
	| { kind: "outcome"; outcome: Outcome }
	| { kind: "text"; printed: PrintedLine; outcome: Outcome | null };

/** A script, or a recording that is in memory as a whole or read while it is played. */
export type Part = { script: Parsed } | { lines: Iterable<string>; above: number };

/**
 * The recordings that a file holds. Those with draws, and those that are not longer than what
 * the search looks at, are whole. Each must be played before the next is asked for.
 */
export function* partsOf(lines: Iterator<string>, file: string): Generator<Part> {
	let above = 0;
	let part: string[] = [];
	let exact = false;
	const whole = (): Part => ({ script: parseLines(part, file, isReadStrictly, above) });
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
		yield { lines: chain(part, lines), above };
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

/** Plays a recording while it is read. Throws ScriptError, and what its lines throw. */
export function* playLines(
	lines: Iterable<string>,
	file: string,
	above: number,
	options: PlayOptions,
	{ ahead, back } = { ahead: AHEAD, back: BACK },
): Generator<Played> {
	const reader = new EventReader(lines, file, above, ahead);
	const recording = new Recording(file, reader, ahead);
	reader.recording = recording;
	for (const event of new Search(recording, options, back).run()) {
		const { outcome } = event;
		if (outcome !== null) yield { kind: "outcome", outcome };
		yield* reader.settle(event);
	}
	yield* reader.rest();
}

/** A line, or a half of a call that strace split, as it stands in the file. */
interface Piece {
	line: ScriptLine;
	half: "begin" | "end";
}

/** Reads events in the order in which they act, and keeps lines until they can be printed. */
class EventReader implements Iterator<Event> {
	recording: Recording | null = null;
	private readonly events: Iterator<ReadEvent>;
	/** What acts, in order; from the first call on whose end was not read. */
	private queue: { line: ScriptLine; ready: boolean }[] = [];
	private first = 0;
	private readonly unready = new Map<CallLine, { line: ScriptLine; ready: boolean }>();
	/** Calls that were played before their end was read. */
	private readonly early = new Set<CallLine>();
	/** The last line of the file that was read. */
	private at: number;
	private ended = false;

	/** A queue: those before `printed` are gone. */
	private pieces: Piece[] = [];
	private printed = 0;
	/** Calls that have not ended. */
	private readonly open = new Set<CallLine>();
	/** Calls of which the first half was printed. */
	private readonly begun = new Set<CallLine>();
	/** What became of lines that wait to be printed. */
	private readonly outcomes = new Map<ScriptLine, Outcome | null>();
	/** What stands for a call that was played before its end was read. */
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
		// One that never returned is as if it had been made now.
		if (line.kind === "call" && line.unresumed && actsLate(line)) {
			event.end = this.at;
			event.at = this.at;
		}
		return event;
	}

	/** A call that has not returned for long acts with what is known of it. */
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

	/** What became of an event is certain: the lines that can be printed now. */
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

	/** All lines that are left. */
	rest(): Played[] {
		return this.print(true);
	}

	private print(all: boolean, played: Played[] = []): Played[] {
		for (;;) {
			const piece = this.pieces[this.printed];
			// What waits for long is printed without its end.
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

	/** Null where a piece has to wait. */
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
