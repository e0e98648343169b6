// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A recording as it is read: a window of events that moves along, and what they show. It is
 * read some way ahead of the player, as later lines tell of earlier ones. What lies further
 * back than the search goes is let go of. So memory follows what is open, not the length.
 */
import { CLONE_FILES } from "../../include/uapi/linux/sched.js";
import { isFork } from "../script/calls.js";
import { Operands } from "../script/operands.js";
import type { CallLine, ExitLine, Parsed } from "../script/strace.js";
import { AloneCheck, isAlone } from "./alone.js";
import { Evidence } from "./evidence.js";
import { addTo, removeFrom } from "./lists.js";
import { type Event, Events, eventsOf } from "./order.js";

/** How far a recording is read ahead, events, and how far back the search for a way may go. */
export const AHEAD = 10_000;
export const BACK = 10_000;
/** Lines of the longest recording that is in memory as a whole. */
export const WHOLE = 20_000;

/** Calls of which one fails, in a recording of all. */
const SOME_CALLS = 16;

/** What strace's names of ports and devices in arguments stand for is not known yet. */
const unknown = () => 0;

export class Recording {
	readonly events = new Events();
	readonly evidence: Evidence;
	/** The ends of processes from where the player is on, those of one number in order. */
	readonly exits = new Map<number, ExitLine[]>();
	/** The calls that made a process, the same. */
	readonly forks = new Map<number, CallLine[]>();
	/** Who made a process last, as far as was read. */
	readonly parents = new Map<number, number>();
	/** Processes that became another program. */
	readonly executors = new Set<number>();
	/** Calls as far as was read, and those of them that failed. */
	private called = 0;
	private failed = 0;
	/** A process was made. */
	private forked = false;
	/** Its lines say whose they are, as strace -f has it. */
	private namesProcesses = false;
	/** It shows what is read from sockets by read() and its like. */
	showsReads = false;
	/** The time of the first call, in seconds; null without time stamps. */
	firstTime: number | null = null;
	/** Whose lines without a pid were; null if that is not known. */
	nameless: number | null = null;
	/** All of it was read. */
	ended = false;
	/** Where strace says that a process ends which asked for it. */
	private readonly leaving = new Map<number, Event>();
	private readonly aloneCheck = new AloneCheck();
	private knownAlone: boolean | null = null;

	constructor(
		readonly file: string,
		private readonly source: Iterator<Event>,
		/** How many events are read ahead. */
		private readonly ahead: number,
	) {
		this.evidence = new Evidence(this, ahead);
	}

	/** A whole one, all of which was read. */
	static of({ file, lines }: Parsed): Recording {
		const recording = new Recording(
			file,
			eventsOf(lines)[Symbol.iterator](),
			Number.POSITIVE_INFINITY,
		);
		const first = lines.find((line) => line.kind === "call" && line.time !== null);
		recording.firstTime = first?.kind === "call" ? first.time : null;
		recording.knownAlone = isAlone(lines);
		recording.has(0);
		return recording;
	}

	/** Whether there is an event of this index. Reads on, so that what follows it is known. */
	has(index: number): boolean {
		while (!this.ended && this.events.end <= index + this.ahead) this.read();
		return index < this.events.end;
	}

	/** Whether nobody but the recorded processes uses the namespace, as its begin tells. */
	get alone(): boolean {
		return this.knownAlone ?? this.aloneCheck.alone;
	}

	/** It is of one process alone, which made others: strace was not told to follow them. */
	get leavesChildrenOut(): boolean {
		return this.forked && !this.namesProcesses;
	}

	/**
	 * Calls that failed are left out, as by strace -z: none is there, and a socket is connected
	 * without a connect().
	 */
	get leavesFailuresOut(): boolean {
		return this.failed === 0 && this.called >= SOME_CALLS && this.evidence.unseenConnects > 0;
	}

	/** The lines from a call on, in the order in which they act, at most so many. */
	linesFrom(call: CallLine, most: number): Event["line"][] {
		const lines: Event["line"][] = [];
		const { events } = this;
		for (let at = events.from(call.line); at < events.end && lines.length < most; at++) {
			const { line, end } = events.get(at);
			if (end >= call.line) lines.push(line);
		}
		return lines;
	}

	/** How a process ended after a line; null if the recording does not show it. */
	exitAfter(pid: number, line: number): ExitLine | null {
		return this.exits.get(pid)?.find((exit) => exit.line > line) ?? null;
	}

	operands(call: CallLine): Operands {
		return new Operands(this.file, call, unknown, unknown);
	}

	sharesFiles(fork: CallLine): boolean {
		return (this.operands(fork).namedFlags("flags") & CLONE_FILES) !== 0;
	}

	/** Lets go of the events before an index, and returns them. */
	drop(before: number): Event[] {
		const dropped = this.events.drop(before);
		const next = this.events.at(before)?.at ?? Number.POSITIVE_INFINITY;
		for (const { line } of dropped) {
			if (line.kind === "call") {
				this.evidence.forget(line);
				if (isFork(line.name)) removeFrom(this.forks, line.result?.value ?? 0, line);
			}
			if (line.kind === "exit" && line.pid !== null) removeFrom(this.exits, line.pid, line);
		}
		this.evidence.since = next;
		return dropped;
	}

	private read(): void {
		const { value: event, done } = this.source.next();
		if (done === true) {
			this.ended = true;
			this.evidence.end();
			return;
		}
		const { line } = event;
		this.events.push(event);
		if (line.kind === "exit" && line.pid !== null) {
			addTo(this.exits, line.pid, line);
			// A process closes its descriptors until it is gone.
			const leaving = this.leaving.get(line.pid);
			if (leaving !== undefined) leaving.end = Math.max(leaving.end, line.line);
			this.leaving.delete(line.pid);
		}
		if (line.kind !== "exit") this.aloneCheck.look(line);
		if (line.kind !== "setup" && line.pid !== null) this.namesProcesses = true;
		if (line.kind === "call") {
			this.called++;
			if (line.result?.errno != null) this.failed++;
			if (line.name === "exit_group" || line.name === "exit")
				this.leaving.set(line.pid ?? -1, event);
			if (line.name === "read" || line.name === "readv") this.showsReads = true;
			if (line.name === "execve" && line.result?.value === 0) this.executors.add(line.pid ?? 0);
			const child = line.result?.value ?? 0;
			if (isFork(line.name) && child > 0) {
				this.forked = true;
				addTo(this.forks, child, line);
				if (line.pid !== null) this.parents.set(child, line.pid);
			}
		}
		this.evidence.add(line);
		if (line.kind === "call") line.forgetArgs?.();
	}

	/** The process that began the program which a process runs: itself, or whom it was forked from. */
	programOf(pid: number): number {
		// Where pids are used again, a process may be found among its own ancestors.
		const seen = new Set<number>();
		for (;;) {
			const parent = this.executors.has(pid) ? undefined : this.parents.get(pid);
			if (parent === undefined || seen.has(parent)) return pid;
			seen.add(pid);
			pid = parent;
		}
	}

	/** Whether it shows that the program which a process runs receives from a connection. */
	receives(pid: number): boolean {
		const { receivers } = this.evidence;
		if (receivers.has(pid)) return true;
		const program = this.programOf(pid);
		for (const receiver of receivers) if (this.programOf(receiver) === program) return true;
		return false;
	}
}
