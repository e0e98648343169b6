// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The order in which the lines of a recording act. A call acts at some moment between its begin and
 * its end. If calls overlap, the recording does not show which acted first. The likeliest order is
 * assumed: a call that may wait acts when it returns, another call when it begins. A process ends
 * between its last line and the line that says so: after a signal at once, else at the latter line.
 */

import { nth } from "../machine/nth.js";
import { systemCall } from "../script/calls.js";
import type { CallLine, ExitLine, ScriptLine, SetupLine } from "../script/strace.js";
import type { Outcome } from "./outcome.js";

/** An event: a call, a command, or the end of a process. */
export interface Event {
	readonly line: CallLine | SetupLine | ExitLine;
	/** The event acts between these two lines. */
	begin: number;
	end: number;
	/** Where the event acts: a line, or a place between two lines. */
	at: number;
	/** The outcome of the last play; null if there is none. */
	outcome: Outcome | null;
	/** Number of split calls before the event. */
	splitBefore?: number;
	/** The end of the call is so much later that the call is played before its end is read. */
	readonly waits?: boolean;
}

/** Whether a call may wait, and so acts when it returns. */
export function actsLate({ name }: CallLine): boolean {
	return systemCall(name)?.acts === "returned";
}

/** The event of a line; null for a line that does nothing. */
export function eventOf(line: ScriptLine): Event | null {
	if (line.kind === "setup" || line.kind === "exit") {
		const begin = line.kind === "exit" && line.since > 0 ? line.since : line.line;
		return { line, begin, end: line.line, at: line.line, outcome: null };
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

/** How many events before and after an event are searched for overlapping ones. */
const REACH = 512;

/**
 * Events in the order of acting. Indices count from the beginning of the recording. Events before
 * `first` are dropped.
 */
export class Events {
	/** A queue: places before `gone` are empty. */
	private held: (Event | undefined)[] = [];
	private gone = 0;
	/** Index of the first event that is held. */
	first = 0;
	/** Number of split calls so far. */
	private split = 0;

	/** One more than the index of the last event. */
	get end(): number {
		return this.first + this.held.length - this.gone;
	}

	at(index: number): Event | undefined {
		return index < this.first ? undefined : this.held[index - this.first + this.gone];
	}

	/** Returns an event. Throws Error if it is not held. */
	get(index: number): Event {
		const event = this.at(index);
		if (event === undefined) throw new Error(`event ${index} is not held`);
		return event;
	}

	/** Appends an event, which acts after all others. */
	push(event: Event): void {
		event.splitBefore = this.split;
		if (event.begin !== event.end) this.split++;
		this.held.push(event);
	}

	/** Drops all events before an index and returns them. */
	drop(before: number): Event[] {
		const dropped: Event[] = [];
		for (const end = Math.min(before, this.end); this.first < end; this.first++) {
			const event = this.held[this.gone];
			this.held[this.gone++] = undefined;
			if (event !== undefined) dropped.push(event);
		}
		if (this.gone * 2 > this.held.length) {
			this.held = this.held.slice(this.gone);
			this.gone = 0;
		}
		return dropped;
	}

	/** The index of an event; -1 if it is not held. */
	indexOf(event: Event): number {
		const found = this.held.indexOf(event, this.gone);
		return found < 0 ? -1 : this.first + found - this.gone;
	}

	/** The index of the first event that acts at a line or later. */
	from(line: number): number {
		let low = this.first;
		let high = this.end;
		while (low < high) {
			const middle = Math.floor((low + high) / 2);
			if (this.get(middle).at < line) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	/** Moves an event to another place. */
	move(from: number, at: number): void {
		const event = this.get(from);
		this.held.splice(from - this.first + this.gone, 1);
		event.at = at;
		let to = from;
		while ((this.at(to - 1)?.at ?? at) > at) to--;
		while ((this.at(to)?.at ?? Number.POSITIVE_INFINITY) <= at) to++;
		this.held.splice(to - this.first + this.gone, 0, event);
	}

	/** The indices of events that overlap an event, nearest first, at most `limit`. */
	overlapping(index: number, limit: number): number[] {
		const { begin, end } = this.get(index);
		const found: number[] = [];
		// If two calls overlap, strace has split one of them. The end of a process counts as split. A
		// moved event did not move far.
		if (begin === end && !this.splitWithin(index, 2 * REACH)) return found;
		// A call that began long ago may still wait, so the search goes far, but is bounded.
		for (let by = 1; by <= REACH && found.length < limit; by++) {
			for (const i of [index - by, index + by]) {
				const other = this.at(i);
				if (other === undefined || other.line.kind === "setup") continue;
				if (other.begin < end && begin < other.end && other.begin !== begin) found.push(i);
			}
		}
		return found;
	}

	private splitWithin(index: number, reach: number): boolean {
		const low = this.get(Math.max(index - reach, this.first));
		const high = this.at(index + reach);
		return (high?.splitBefore ?? this.split) > (low.splitBefore ?? 0);
	}
}
