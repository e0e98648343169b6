// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A recording while it is read. It holds a window of events and the evidence from them. The reader
 * is ahead of the player, because later lines show facts about earlier ones. Events too far back
 * for the search are dropped. So memory does not grow with the length of a recording.
 */
import { CLONE_FILES, CLONE_THREAD } from "../../include/uapi/linux/sched.js";
import { isFork, systemCall } from "../script/calls.js";
import { Operands } from "../script/operands.js";
import type { CallLine, ExitLine, Parsed } from "../script/strace.js";
import { readTop, type Top } from "../script/top.js";
import { AloneCheck, isAlone } from "./alone.js";
import { Evidence } from "./evidence.js";
import { addTo, removeFrom } from "./lists.js";
import { type Event, Events, eventsOf } from "./order.js";
import { Programs } from "./programs.js";

/** How many events the reader is ahead, and how many events the search can go back. */
export const AHEAD = 10_000;
export const BACK = 10_000;
/** Most lines of a recording that is held in memory as a whole. */
export const WHOLE = 20_000;

/** In so many calls at least one fails, if the recording shows failed calls. */
const SOME_CALLS = 16;

/** Ports of descriptors and indices of devices are not known while reading. */
const unknown = () => 0;

export class Recording {
	readonly events = new Events();
	readonly evidence: Evidence;
	/** The ends of processes after the player's position, by pid, in order. */
	readonly exits = new Map<number, ExitLine[]>();
	/** The calls that made a process, by its pid, in order. */
	readonly forks = new Map<number, CallLine[]>();
	readonly programs = new Programs();
	/** Number of calls read so far, and how many of them failed. */
	private called = 0;
	private failed = 0;
	/** Number of calls of close() and close_range() read so far. */
	private closed = 0;
	/** A process ended, and no line shows its exit_group(). */
	private endsUnseen = false;
	/** A process was made. */
	private forked = false;
	/** The lines have pids, as with strace -f. */
	private namesProcesses = false;
	/** The recording shows read() or readv(). */
	showsReads = false;
	/** The time of the first call, in seconds; null without time stamps. */
	firstTime: number | null = null;
	/** The pid of the lines without one; null if it is not known. */
	nameless: number | null = null;
	/** The whole recording was read. */
	ended = false;
	/** The exit() or exit_group() of a process whose end is not read yet, by pid. */
	private readonly leaving = new Map<number, Event>();
	/** The first thread of a process, by the pids of the others. */
	private readonly leaders = new Map<number, number>();
	/** The line since which the threads of a process end, by the pid of its first thread. */
	private readonly dying = new Map<number, number>();
	private readonly aloneCheck = new AloneCheck();
	private knownAlone: boolean | null = null;

	constructor(
		readonly file: string,
		private readonly source: Iterator<Event>,
		/** How many events are read ahead. */
		private readonly ahead: number,
		/** What `record` wrote on top; null if it did not make the recording. */
		readonly top: Top | null = null,
	) {
		this.knownAlone = top?.alone ?? null;
		this.evidence = new Evidence(this, ahead);
	}

	/** A recording that is in memory as a whole. */
	static of({ file, lines }: Parsed): Recording {
		const recording = new Recording(
			file,
			eventsOf(lines)[Symbol.iterator](),
			Number.POSITIVE_INFINITY,
			topOf(lines),
		);
		const first = lines.find((line) => line.kind === "call" && line.time !== null);
		recording.firstTime = first?.kind === "call" ? first.time : null;
		recording.knownAlone ??= isAlone(lines);
		recording.has(0);
		return recording;
	}

	/** Whether there is an event with this index. Reads the events after it as well. */
	has(index: number): boolean {
		while (!this.ended && this.events.end <= index + this.ahead) this.read(index);
		return index < this.events.end;
	}

	/** Whether only the recorded processes use the namespace. Its first lines show this. */
	get alone(): boolean {
		return this.knownAlone ?? this.aloneCheck.alone;
	}

	/** Whether strace did not follow the children: a process was made, but no line has a pid. */
	get leavesChildrenOut(): boolean {
		return this.forked && !this.namesProcesses;
	}

	/**
	 * Whether failed calls are left out, as by strace -z. If they are, no call has failed, and a
	 * socket is connected without a recorded connect().
	 */
	get leavesFailuresOut(): boolean {
		return this.failed === 0 && this.called >= SOME_CALLS && this.evidence.unseenConnects > 0;
	}

	/**
	 * Whether close() is left out, as by strace -e trace=network: no line closes a descriptor, but
	 * one was closed, or a process ended without a call.
	 */
	get leavesClosesOut(): boolean {
		return this.closed === 0 && (this.evidence.reused > 0 || this.endsUnseen);
	}

	/** At most `most` lines from a call on, in the order of acting. */
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

	private makesThread(fork: CallLine): boolean {
		return (this.operands(fork).namedFlags("flags") & CLONE_THREAD) !== 0;
	}

	/** Drops the events before an index, and returns them. */
	drop(before: number): Event[] {
		const dropped = this.events.drop(before);
		const next = this.events.at(before)?.at ?? Number.POSITIVE_INFINITY;
		for (const { line } of dropped) {
			if (line.kind === "call") {
				this.evidence.forget(line);
				if (isFork(line.name)) removeFrom(this.forks, line.result?.value ?? 0, line);
			}
			if (line.kind !== "exit" || line.pid === null) continue;
			removeFrom(this.exits, line.pid, line);
			// A thread that executed a program goes on as its process. A reused pid is a new process.
			const ends = line.status !== null || line.signal !== null;
			if (ends && !this.forks.has(line.pid)) this.programs.ends(line.pid);
		}
		this.evidence.since = next;
		return dropped;
	}

	/** Reads the next event. Those before an index may be played already. */
	private read(played: number): void {
		const { value: event, done } = this.source.next();
		if (done === true) {
			this.ended = true;
			this.evidence.end();
			return;
		}
		const { line } = event;
		this.events.push(event);
		if (line.kind === "exit") {
			if (line.pid !== null) addTo(this.exits, line.pid, line);
			this.closes(event, line, line.pid ?? -1, played);
		}
		if (line.kind !== "exit") this.aloneCheck.look(line);
		if (line.kind !== "setup" && line.pid !== null) this.namesProcesses = true;
		if (line.kind === "call") {
			this.called++;
			if (line.result?.errno != null) this.failed++;
			if (systemCall(line.name)?.role === "close") this.closed++;
			const pid = line.pid ?? -1;
			if (line.name === "exit_group" || line.name === "exit") this.leaving.set(pid, event);
			if (line.name === "exit_group") this.dying.set(this.leaders.get(pid) ?? pid, line.line);
			if (line.name === "read" || line.name === "readv") this.showsReads = true;
			if (line.name === "execve" && line.result?.value === 0) this.programs.execs(line.pid ?? 0);
			const child = line.result?.value ?? 0;
			if (isFork(line.name) && child > 0) {
				this.forked = true;
				addTo(this.forks, child, line);
				this.dying.delete(child);
				if (this.makesThread(line)) this.leaders.set(child, this.leaders.get(pid) ?? pid);
				if (line.pid !== null) this.programs.forks(line.pid, child);
			}
		}
		this.evidence.add(line);
		if (line.kind === "call") line.forgetArgs?.();
	}

	/**
	 * The end of a process: its descriptors are closed at some moment after exit_group(), or after
	 * its last line. A process that makes no call lives since the call that made it.
	 */
	private closes(event: Event, line: ExitLine, pid: number, played: number): void {
		if (line.superseded !== undefined) {
			this.leaders.delete(line.superseded);
			return;
		}
		const leaving = this.leaving.get(pid);
		this.leaving.delete(pid);
		const leader = this.leaders.get(pid) ?? pid;
		this.leaders.delete(pid);
		const group = this.dying.get(leader);
		if (pid === leader) this.dying.delete(pid);
		if (leaving !== undefined) {
			leaving.end = Math.max(leaving.end, line.line);
			event.begin = line.line;
			return;
		}
		if (group === undefined && line.signal === null) this.endsUnseen = true;
		if (line.since === 0) event.begin = this.forks.get(pid)?.at(-1)?.endLine ?? line.line;
		const ends = group ?? (line.dying ? line.since : line.line);
		if (line.signal !== null && pid !== leader) this.dying.set(leader, ends);
		// exit_group() ends every thread. What kills them all at once, no line may show.
		if (line.signal === null) event.begin = Math.max(event.begin, group ?? 0);
		const at = Math.max(ends, event.begin);
		const next = this.events.at(played)?.at ?? 0;
		if (at < event.at && at > next) this.events.move(this.events.end - 1, at);
	}
}

/** What `record` wrote on top of a script; null if it did not make the script. */
export function topOf(lines: Parsed["lines"]): Top | null {
	return lines[0]?.kind === "comment" ? readTop(textsOf(lines)) : null;
}

function* textsOf(lines: Parsed["lines"]): Generator<string> {
	for (const { text } of lines) yield text;
}
