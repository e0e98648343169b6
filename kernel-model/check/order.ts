// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The order in which the lines of a recording act. A call acts at some moment between its
 * begin and its end; of calls that overlap no recording shows which came first. The likeliest
 * is taken: what may wait acts when it returns, all else when it begins.
 */
import { systemCall } from "../script/calls.js";
import type { CallLine, ExitLine, ScriptLine, SetupLine } from "../script/strace.js";

/** One thing that happens: a call, a command, or the end of a process. */
export interface Event {
	readonly line: CallLine | SetupLine | ExitLine;
	/** Lines between which it acts. */
	readonly begin: number;
	readonly end: number;
	/** Where it acts: a line, or a place between two. */
	at: number;
}

function eventOf(line: ScriptLine, exits: ReadonlyMap<number, ExitLine>): Event | null {
	if (line.kind === "setup" || line.kind === "exit") {
		return { line, begin: line.line, end: line.line, at: line.line };
	}
	if (line.kind !== "call") return null;
	let end = Math.max(line.line, line.endLine);
	// A process closes its descriptors until it is gone.
	if (line.name === "exit_group" || line.name === "exit") {
		end = Math.max(end, exits.get(line.pid ?? -1)?.line ?? end);
	}
	const late = systemCall(line.name)?.acts === "returned";
	return { line, begin: line.line, end, at: late ? line.endLine : line.line };
}

export function eventsOf(
	lines: readonly ScriptLine[],
	exits: ReadonlyMap<number, ExitLine>,
): Event[] {
	const events: Event[] = [];
	let sorted = true;
	for (const line of lines) {
		const event = eventOf(line, exits);
		if (event === null) continue;
		if (events.length > 0 && events[events.length - 1].at > event.at) sorted = false;
		events.push(event);
	}
	if (!sorted) events.sort((a, b) => a.at - b.at);
	return events;
}

/** Moves an event to another place among the events. */
export function move(events: Event[], from: number, at: number): void {
	const [event] = events.splice(from, 1);
	event.at = at;
	let to = from;
	while (to > 0 && events[to - 1].at > at) to--;
	while (to < events.length && events[to].at <= at) to++;
	events.splice(to, 0, event);
}

/** The events that overlap one, nearest first: indices, at most `limit`. */
export function overlapping(events: readonly Event[], index: number, limit: number): number[] {
	const { begin, end } = events[index];
	const found: number[] = [];
	const overlaps = (other: Event) =>
		other.line.kind === "call" && other.begin < end && begin < other.end;
	// A call that began long ago may still wait: look far, but not without end.
	for (let by = 1; by <= 512 && found.length < limit; by++) {
		for (const i of [index - by, index + by]) {
			const other = events[i];
			if (other !== undefined && other.begin !== begin && overlaps(other)) found.push(i);
		}
	}
	return found;
}
