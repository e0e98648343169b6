// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The order in which the lines of a recording act. A call acts at some moment between its
 * begin and its end; of calls that overlap no recording shows which came first. The likeliest
 * is taken: what may wait acts when it returns, all else when it begins.
 */

import { nth } from "../machine/nth.js";
import { systemCall } from "../script/calls.js";
import type { CallLine, ExitLine, ScriptLine, SetupLine } from "../script/strace.js";
import type { Outcome } from "./outcome.js";

/** One thing that happens: a call, a command, or the end of a process. */
export interface Event {
	readonly line: CallLine | SetupLine | ExitLine;
	/** Lines between which it acts. */
	readonly begin: number;
	end: number;
	/** Where it acts: a line, or a place between two. */
	at: number;
	/** What became of it when it was played last; null for nothing. */
	outcome: Outcome | null;
}

/** Whether a call waits, and acts when it returns. */
export function actsLate({ name }: CallLine): boolean {
	return systemCall(name)?.acts === "returned";
}

/** Null for a line that does nothing. */
export function eventOf(line: ScriptLine): Event | null {
	if (line.kind === "setup" || line.kind === "exit") {
		return { line, begin: line.line, end: line.line, at: line.line, outcome: null };
	}
	if (line.kind !== "call") return null;
	const end = Math.max(line.line, line.endLine);
	const at = line.endLine > line.line && actsLate(line) ? line.endLine : line.line;
	return { line, begin: line.line, end, at, outcome: null };
}

/** The events of a whole script, in order. */
export function eventsOf(lines: readonly ScriptLine[]): Event[] {
	const events: Event[] = [];
	let sorted = true;
	for (const line of lines) {
		const event = eventOf(line);
		if (event === null) continue;
		if (events.length > 0 && nth(events, events.length - 1).at > event.at) sorted = false;
		events.push(event);
	}
	if (!sorted) events.sort((a, b) => a.at - b.at);
	return events;
}

/** How far from an event others are looked for that overlap it, events. */
const REACH = 512;

/**
 * Events in the order in which they act, by their indices from the begin of the recording on.
 * Those before `first` were let go of.
 */
export class Events {
	private held: Event[] = [];
	/** The first that is held. */
	first = 0;
	/** Of each that is held: how many before it strace split. */
	private splits: number[] = [];
	private split = 0;

	/** Behind the last one. */
	get end(): number {
		return this.first + this.held.length;
	}

	at(index: number): Event | undefined {
		return this.held[index - this.first];
	}

	/** One that is known to be held. */
	get(index: number): Event {
		return nth(this.held, index - this.first);
	}

	/** Acts after all others. */
	push(event: Event): void {
		this.held.push(event);
		this.splits.push(this.split);
		if (event.begin !== event.end) this.split++;
	}

	/** Lets go of all before an index, and returns them. */
	drop(before: number): Event[] {
		const count = Math.min(Math.max(before - this.first, 0), this.held.length);
		const dropped = this.held.slice(0, count);
		this.held = this.held.slice(count);
		this.splits = this.splits.slice(count);
		this.first += count;
		return dropped;
	}

	/** The index of an event that is held, -1 if it is not. */
	indexOf(event: Event): number {
		const found = this.held.indexOf(event);
		return found < 0 ? -1 : this.first + found;
	}

	/** The index of the first that acts at a line or later. */
	from(line: number): number {
		let low = 0;
		let high = this.held.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (nth(this.held, middle).at < line) low = middle + 1;
			else high = middle;
		}
		return this.first + low;
	}

	/** Moves an event to another place. */
	move(from: number, at: number): void {
		const { held } = this;
		const [event] = held.splice(from - this.first, 1);
		if (event === undefined) throw new RangeError(`no event ${from}`);
		event.at = at;
		let to = from - this.first;
		while (to > 0 && nth(held, to - 1).at > at) to--;
		while (to < held.length && nth(held, to).at <= at) to++;
		held.splice(to, 0, event);
	}

	/** The events that overlap one, nearest first: indices, at most `limit`. */
	overlapping(index: number, limit: number): number[] {
		const { begin, end } = this.get(index);
		const found: number[] = [];
		// Of two calls that overlap strace split one. An event that moved did not go far.
		if (begin === end && !this.splitWithin(index, 2 * REACH)) return found;
		// A call that began long ago may still wait: look far, but not without end.
		for (let by = 1; by <= REACH && found.length < limit; by++) {
			for (const i of [index - by, index + by]) {
				const other = this.at(i);
				if (other === undefined || other.line.kind !== "call") continue;
				if (other.begin < end && begin < other.end && other.begin !== begin) found.push(i);
			}
		}
		return found;
	}

	private splitWithin(index: number, reach: number): boolean {
		const low = Math.max(index - this.first - reach, 0);
		const high = index - this.first + reach;
		return (this.splits[high] ?? this.split) > nth(this.splits, low);
	}
}
