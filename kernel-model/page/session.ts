// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One script in one version, played through the same door as `run`. The player can return to any
 * line. A line that is looked at is played once more from a snapshot, with a tracer.
 */
import type { Net } from "../../include/net/net_namespace.js";
import { noTrace } from "../../include/trace/events/port_search.js";
import { IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import { readDraws } from "../check/exact.js";
import type { Mark } from "../check/play.js";
import {
	findLongWay,
	findWay,
	type Outcome,
	type PlayOptions,
	partsOf,
	type Verdict,
	type Way,
} from "../check/player.js";
import { nth } from "../machine/nth.js";
import { profileFor } from "../machine/profile.js";
import { DEFAULT_VERSION } from "../machine/versions.js";
import { choosesPort } from "../script/calls.js";
import { readHost } from "../script/host.js";
import { fdOf } from "../script/operands.js";
import { ScriptError, type ScriptLine } from "../script/strace.js";
import { type PortView, portView } from "./bucket.js";
import { type Cells, cellsOf, noCells, tableOf } from "./grid.js";
import {
	hasFailed,
	type Loaded,
	loadedOf,
	type Mistake,
	mistakeOf,
	resultOf,
	type Shown,
	shownOf,
} from "./outcomes.js";
import { StepRecorder, type Steps, type StepWords } from "./search_steps.js";
import { NO_SETTING, type Setting } from "./setting.js";
import { type SocketRow, socketRows } from "./sockets.js";

/** What is played. */
export interface Wanted {
	text: string;
	/** A name of VERSIONS, or null: the one nearest to the recorded kernel. */
	version: string | null;
	seed: number;
	/** Nothing if it is not given. */
	setting?: Setting;
}

/**
 * The options of a play. Throws HostError for a file about the host that is not understood.
 */
export function optionsOf({
	uid,
	alone,
	host,
}: Setting): Pick<PlayOptions, "uid" | "alone" | "host"> {
	return {
		...(uid === null ? {} : { uid }),
		...(alone ? { alone } : {}),
		...(host.length === 0
			? {}
			: { host: host.map(({ file, text }) => ({ file, ...readHost(text) })) }),
	};
}

/** Everything about one line. */
export interface LineView {
	line: number;
	/** The system call, "$" for a command, "" for a line that does nothing. */
	call: string;
	/** The line with the model's result. */
	text: string;
	verdict: Verdict | null;
	result: string;
	failed: boolean;
	/** Why it differs or is undecided, and the lines that prove it. */
	reason: string | null;
	grounds: string[];
	lines: number[];
	/** How the result came about, in words. */
	explanation: string[];
	learnt: string | null;
	steps: Steps;
	before: Cells;
	after: Cells;
	/** IPPROTO_* of the cells. */
	protocol: number;
	/** The port of the socket after the call; 0 if it has none. */
	port: number;
	sockets: { rows: SocketRow[]; count: number };
}

/** Most sockets that are listed. */
const LISTED = 400;
/** Events between two marks that are made while the player goes to a line. */
const EVERY = 512;
/** A script up to this length is a person's: after a mistake the lines above it are played. */
const EDITED = 20_000;

interface Part {
	way: Way;
	marks: Mark[];
	/** The index of the event of each line. */
	events: Map<number, number>;
}

export class Session {
	private readonly parts: Part[] = [];
	private readonly outcomes = new Map<number, Outcome>();
	private readonly lines: string[];
	private looked: { part: Part; before: Mark; after: Mark; recorder: StepRecorder } | null = null;
	private net: Net | null = null;
	/** The line that is played. */
	at = 0;
	/** Outcomes that news() has not told yet. */
	private fresh: Outcome[] = [];
	private protocol = IPPROTO_TCP;

	private constructor(private readonly wanted: Wanted) {
		this.lines = wanted.text.split("\n");
		if (this.lines.at(-1) === "") this.lines.pop();
	}

	/** Plays a script in slices. Yields the session while it plays. */
	static *open(wanted: Wanted): Generator<Session, { session: Session; loaded: Loaded }> {
		let mistake: Mistake | null = null;
		let cut = Number.POSITIVE_INFINITY;
		for (;;) {
			const session = new Session(wanted);
			try {
				const { version, doubt } = yield* session.play(cut);
				return {
					session,
					loaded: loadedOf(session.lines.length, session.outcomes, version, doubt, mistake),
				};
			} catch (error) {
				if (!(error instanceof ScriptError)) throw error;
				const found = mistakeOf(error);
				if (found.line >= cut || session.lines.length > EDITED) throw error;
				// A mistake that is found while the lines above another one are played comes first.
				mistake = found;
				cut = found.line;
			}
		}
	}

	/** Plays the lines before `cut`. */
	private *play(cut: number): Generator<Session, { version: string; doubt: string | null }> {
		const { seed } = this.wanted;
		const setting = optionsOf(this.wanted.setting ?? NO_SETTING);
		let version = this.wanted.version ?? DEFAULT_VERSION;
		let doubt: string | null = null;
		const lines = this.lines.slice(0, Math.min(cut - 1, this.lines.length));
		for (const read of partsOf(lines[Symbol.iterator](), "script")) {
			const { top } = read;
			const draws = "script" in read ? readDraws(read.script) : null;
			if (draws !== null && setting.host !== undefined) {
				throw new Error("a recording with draws is played without files about the host");
			}
			if (this.wanted.version === null) {
				const release = draws?.release ?? top?.release ?? null;
				const profile = release === null ? null : profileFor(release, top?.build ?? "");
				if (profile !== null) ({ name: version, doubt } = profile);
			}
			const options = {
				version,
				seed,
				onStep: (line: number) => {
					this.at = line;
				},
				onOutcome: (outcome: Outcome) => {
					this.fresh.push(outcome);
				},
				...setting,
			};
			const playing =
				"script" in read
					? findWay(read.script, options, true)
					: findLongWay(read.lines, "script", read.above, options, top);
			let way: Way;
			for (;;) {
				const next = playing.next();
				if (next.done === true) {
					way = next.value;
					break;
				}
				yield this;
			}
			this.add(way);
		}
		this.fresh = [];
		return { version, doubt };
	}

	/** The lines that were played since the last call. Their outcomes are not final. */
	news(): Shown[] {
		const { fresh } = this;
		this.fresh = [];
		return fresh.map(shownOf);
	}

	private add(way: Way): void {
		const events = new Map<number, number>();
		const all = way.player.events;
		for (let at = 0; at < all.end; at++) events.set(all.get(at).line.line, at);
		this.parts.push({ way, marks: [...way.marks], events });
		for (const outcome of way.outcomes) this.outcomes.set(outcome.line, outcome);
	}

	/** Plays up to a line, then the line with a tracer. Null if the line is not part of the script. */
	look(line: number): LineView | null {
		const part = this.parts.find(({ events }) => events.has(line)) ?? this.partBefore(line);
		if (part === undefined) return null;
		const { player } = part.way;
		const index = part.events.get(line) ?? this.indexAfter(part, line);
		const acts = part.events.has(line);
		this.goTo(part, index);
		const event = player.events.at(index);
		const call = event?.line.kind === "call" && acts ? event.line : null;
		let recorder = new StepRecorder(player.kernel);
		const before = player.mark();
		this.locate(part, line, call);
		const cellsBefore = this.cells(part);
		let played: Outcome | null = null;
		if (acts && event !== undefined) {
			// A failed call without an effect on the model is shown as the model plays it.
			const skipped = player.facts.skipped.delete(line);
			player.kernel.trace = recorder;
			try {
				played = player.step();
				if (call !== null && played !== null && played.result !== null) {
					const task = player.world.task(call.pid ?? 0);
					recorder.end(task, call.name, fdOf(call) ?? -1, played.result);
				}
			} finally {
				player.kernel.trace = noTrace;
				if (skipped) player.facts.skipped.add(line);
			}
			if (skipped) {
				player.back(before);
				player.step();
			}
		}
		const after = player.mark();
		const { lines } = recorder;
		// In another call a client that the recording does not show has searched.
		if (call !== null && !choosesPort(call.name)) recorder = new StepRecorder(player.kernel);
		this.looked = { part, before, after, recorder };
		this.locate(part, line, call);
		const outcome = this.outcomes.get(line) ?? null;
		const port = call === null ? 0 : this.portOf(part, call.pid ?? 0, fdOf(call));
		const explanation = [...lines];
		for (const said of [...(outcome?.explanation ?? []), ...(played?.explanation ?? [])]) {
			if (!explanation.includes(said)) explanation.push(said);
		}
		return {
			line,
			call: outcome?.call ?? "",
			text: outcome?.text ?? this.lines[line - 1] ?? "",
			verdict: outcome?.verdict ?? null,
			result: outcome === null ? "" : resultOf(outcome),
			failed: outcome !== null && hasFailed(outcome),
			reason: outcome?.reason ?? null,
			grounds: outcome?.proof?.grounds ?? [],
			lines: outcome?.proof?.lines ?? [],
			explanation,
			learnt: outcome?.learnt ?? null,
			steps: recorder.steps,
			before: cellsBefore,
			after: this.cells(part),
			protocol: this.protocol,
			port,
			sockets:
				this.net === null ? { rows: [], count: 0 } : socketRows(player.kernel, this.net, LISTED),
		};
	}

	/** The steps [from, to) of the line that was looked at last, in words. */
	words(from: number, to: number): StepWords[] {
		if (this.looked === null) return [];
		const { part, before, recorder } = this.looked;
		part.way.player.back(before);
		const words: StepWords[] = [];
		for (let step = from; step < to; step++) words.push(recorder.words(step));
		return words;
	}

	/** A port before or after the line that was looked at last. */
	port(port: number, after: boolean): PortView {
		const none = { port, buckets: [], sockets: { first: [], count: 0 } };
		if (this.looked === null || this.net === null) return none;
		const { part, before, after: then } = this.looked;
		part.way.player.back(after ? then : before);
		return portView(part.way.player.kernel, this.net, this.protocol, port);
	}

	private partBefore(line: number): Part | undefined {
		return (
			this.parts.findLast(({ events }) => {
				const [first] = events.keys();
				return first !== undefined && first <= line;
			}) ?? this.parts[0]
		);
	}

	/** The index of the first event after a line that does nothing. */
	private indexAfter(part: Part, line: number): number {
		const { events } = part.way.player;
		let at = 0;
		while (at < events.end && events.get(at).line.line < line) at++;
		return at;
	}

	/** Moves the player to just before an event. */
	private goTo({ way: { player }, marks }: Part, index: number): void {
		let nearest = nth(marks, 0);
		for (const mark of marks) {
			if (mark.cursor <= index && mark.cursor >= nearest.cursor) nearest = mark;
		}
		player.rangeFigures = false;
		player.back(nearest);
		while (player.cursor < index) {
			player.step();
			if (player.cursor % EVERY === 0 && !marks.some(({ cursor }) => cursor === player.cursor)) {
				marks.push(player.mark());
			}
		}
		player.rangeFigures = true;
	}

	/** Notes the namespace and the protocol that a line is about. */
	private locate(part: Part, line: number, call: ScriptLine | null): void {
		const { world, kernel } = part.way.player;
		const pid = call?.kind === "call" ? (call.pid ?? 0) : 0;
		const task = world.tasks.get(pid) ?? [...world.tasks.values()].at(-1);
		this.net = task?.net.net ?? world.firstNet?.net ?? this.net ?? kernel.nets.at(-1) ?? null;
		if (call?.kind !== "call" || task === undefined || line === 0) return;
		const sk = world.subflow(world.sk(task, call));
		if (sk !== 0) this.protocol = tableOf(nth(kernel.sock.sk_protocol, sk));
	}

	private portOf(part: Part, pid: number, fd: number | null): number {
		const { world, kernel } = part.way.player;
		const task = world.tasks.get(pid);
		if (task === undefined || fd === null || !kernel.tasks.has(task)) return 0;
		return nth(kernel.sock.skc_num, world.portSkOfFd(task, fd | 0));
	}

	private cells(part: Part): Cells {
		const { kernel } = part.way.player;
		return this.net === null ? noCells() : cellsOf(kernel, this.net, this.protocol);
	}
}
