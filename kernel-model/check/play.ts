// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a script or a recording on the model, call by call, with one set of decisions about facts
 * that the recording does not show (facts.ts). search.ts looks for decisions that explain every
 * line. A line without a recorded result gets the model's own result.
 *
 * Player.playCall() is the way from a system call to its verdict. Each step is one method:
 *
 *   isPlayed()      whether the model has the call
 *   prepare()       what is known of the call before it is made
 *   answer()        in model_answers.ts: the result of the model. It leads to Calls.make() (calls.ts),
 *                   and from there to the system call in machine/task.ts
 *   showResult()    puts this result into the outcome
 *   compare()       the verdict match, or a difference. It leads to Judge.difference() (judge.ts)
 *   contradict()    the verdict mismatch or undecided. It leads to Doubt.reason() (doubt.ts)
 */
import { ERESTARTSYS, errnoName } from "../../include/uapi/asm-generic/errno.js";
import { SearchExplainer } from "../machine/explain.js";
import { HOOKS, type Kernel } from "../machine/kernel.js";
import { type Snapshot, Snapshots } from "../machine/snapshot.js";
import type { Task } from "../machine/task.js";
import {
	checkTyped,
	choosesPort,
	EXHAUSTED,
	fionbio,
	isFork,
	isReadStrictly,
	isTyped,
	opensNamespace,
	systemCall,
} from "../script/calls.js";
import { fdOf } from "../script/operands.js";
import {
	type CallLine,
	type ExitLine,
	type Parsed,
	parseScript,
	ScriptError,
} from "../script/strace.js";
import { Calls } from "./calls.js";
import { Certain } from "./certain.js";
import { Doubt } from "./doubt.js";
import type { Revealed } from "./evidence.js";
import { perturbDiffers, readDraws } from "./exact.js";
import { Facts } from "./facts.js";
import { FollowedCalls } from "./followed_calls.js";
import { Judge } from "./judge.js";
import { LineOutcome, MAX_ERRNO } from "./line_outcome.js";
import { ModelAnswers } from "./model_answers.js";
import { IGNORED, type ModelResult } from "./model_call.js";
import { Notes } from "./notes.js";
import type { Event, Events } from "./order.js";
import type { Outcome, PlayOptions } from "./outcome.js";
import { proofOf, prove } from "./proof.js";
import { RecordedClock } from "./recorded_clock.js";
import { Recording } from "./recording.js";
import { playSetup } from "./setup_lines.js";
import { ShownOrder } from "./shown_order.js";
import { type Sleeper, Sleepers } from "./sleepers.js";
import type { Contradiction, Difference, Turn } from "./turn.js";
import { WORLD_HOOKS, World } from "./world.js";

/** Reads a script for the player. `above` is the number of lines before it in the file. */
export function readScript(text: string, file: string, above = 0): Parsed {
	return parseScript(text, file, isReadStrictly, above);
}

const INT_MAX = 0x7fffffff;

/** A moment of a play to which it can return. */
export interface Mark {
	/** Index of the next event. */
	cursor: number;
	snapshot: Snapshot;
	/** The model's time, ms. */
	now: number;
}

/**
 * One way through a recording. After step(), `contradiction` says whether the last call differs.
 * back() returns to a mark, and the events after it are played again, with other decisions if
 * `facts` has changed.
 */
export class Player {
	readonly world: World;
	readonly recording: Recording;
	readonly events: Events;
	readonly clock: RecordedClock;
	/** Index of the next event. */
	cursor = 0;
	/** The contradiction of the last call; null if its result is the recorded one. */
	contradiction: Contradiction | null = null;
	/** Whether reasons contain figures of the range, and mismatches a proof. Both need time. */
	rangeFigures = true;
	private readonly explainer: SearchExplainer;
	private readonly snapshots: Snapshots;
	private readonly shownOrder: ShownOrder;
	private readonly followed: FollowedCalls;
	private readonly answers: ModelAnswers;
	private readonly notes: Notes;
	private readonly judge: Judge;
	private readonly doubt: Doubt;
	private readonly certain: Certain;
	private readonly sleepers: Sleepers;

	/** Throws RangeError for an unknown version. */
	constructor(
		script: Parsed | Recording,
		options: PlayOptions = {},
		readonly facts = new Facts(options.secrets),
	) {
		this.recording = script instanceof Recording ? script : Recording.of(script);
		this.events = this.recording.events;
		const exact = options.own === undefined && !(script instanceof Recording);
		this.world = new World(this.recording, options, facts, exact ? readDraws(script) : null);
		const { world, events, kernel } = this;
		this.clock = new RecordedClock(kernel, this.recording, facts);
		this.explainer = new SearchExplainer(kernel);
		if (options.explain === true) kernel.trace = this.explainer;
		else if (options.trace !== undefined) kernel.trace = options.trace;
		const calls = new Calls(world, (time) => this.clock.advanceTo(time, 0));
		const roots = [kernel, world, calls];
		this.snapshots = new Snapshots(roots, new Set([...HOOKS, ...WORLD_HOOKS]));
		this.shownOrder = new ShownOrder(world, events);
		this.followed = new FollowedCalls(world);
		this.answers = new ModelAnswers(world, calls, this.clock, this.snapshots);
		this.notes = new Notes(world);
		this.sleepers = new Sleepers(world);
		this.judge = new Judge(world);
		this.doubt = new Doubt(world);
		this.certain = new Certain(world, events);
	}

	get kernel(): Kernel {
		return this.world.kernel;
	}

	/** Plays every event in the order of acting. Throws ScriptError. */
	*play(): Generator<Outcome> {
		while (this.recording.has(this.cursor)) {
			const outcome = this.step();
			if (outcome !== null) yield outcome;
		}
	}

	/** Saves this moment. */
	mark(): Mark {
		return { cursor: this.cursor, snapshot: this.snapshots.take(), now: this.kernel.now };
	}

	/** Returns to a saved moment. */
	back(mark: Mark): void {
		this.snapshots.restore(mark.snapshot);
		this.cursor = mark.cursor;
		this.contradiction = null;
	}

	/** Plays the next event. Returns its outcome; null if it has none. Throws ScriptError. */
	step(): Outcome | null {
		const { world, events } = this;
		this.shownOrder.arrange(this.cursor);
		const event = events.get(this.cursor);
		const { line } = event.line;
		const outcome = this.playEvent(event, this.cursor++);
		if (world.sleeping.length > 0 && this.contradiction === null) this.wakeSleepers();
		// Exits, and timers that run before a call, also ask secrets.
		while (world.questions < this.kernel.secrets_asked) {
			world.questionLines.set(world.questions++, line);
		}
		return outcome;
	}

	private playEvent(event: Event, index: number): Outcome | null {
		const { world } = this;
		const { line } = event;
		this.contradiction = null;
		world.line = line.line;
		if (line.kind === "setup") return this.checkCounters(playSetup(world, line));
		this.clock.advanceTo(this.facts.endTimes.get(line.line) ?? timeOf(event, line), line.line);
		if (line.kind === "exit") {
			world.exit(line.superseded ?? line.pid ?? 0, line.line);
			return null;
		}
		if (this.facts.skipped.has(line.line)) {
			this.skip(line);
			return null;
		}
		this.certain.before();
		const outcome = this.playCall(line, index);
		if (event.waits === true && outcome.verdict !== "ignored") {
			outcome.undecide("it returns many events later, if at all");
		}
		if (outcome.verdict !== "mismatch") this.certain.after(line);
		return this.checkCounters(outcome);
	}

	/** A call failed on the kernel but cannot fail on the model. It is not made. */
	private skip(call: CallLine): void {
		const { world } = this;
		const doubt = this.facts.skippedDoubts.get(call.line);
		const task = world.tasks.get(call.pid ?? 0);
		if (doubt === undefined || task === undefined) return;
		const sk = world.sk(task, call);
		if (sk !== 0) world.doubts.set(sk, doubt);
	}

	/** At the end of a recording with draws: compares table_perturb with the kernel's. */
	private checkCounters(outcome: Outcome): Outcome {
		const { draws } = this.world;
		if (draws === null) return outcome;
		for (let at = this.cursor; at < this.events.end; at++) {
			if (this.events.get(at).line.kind !== "exit") return outcome;
		}
		const reason = perturbDiffers(draws, this.kernel.table_perturb);
		if (reason !== null) {
			outcome.verdict = "mismatch";
			outcome.reason ??= reason;
			outcome.proof ??= proofOf(reason, [], outcome.line);
		}
		return outcome;
	}

	/**
	 * The port that a call is known to have chosen, from a decision of the search or from a later
	 * line.
	 */
	private knownPort(call: CallLine): Revealed | null {
		const decided = this.facts.ports.get(call.line);
		if (decided !== undefined) return { port: decided, exact: false };
		const shown = this.world.evidence.chosen.get(call) ?? null;
		return shown !== null && !shown.exact && this.facts.notInferred.has(call.line) ? null : shown;
	}

	/** Throws ScriptError for a typed call that cannot be played. */
	private checkTyped(call: CallLine): void {
		const { line, column, name } = call;
		if (isFork(name)) {
			const expected = "the child's pid after =, which begins the child's lines";
			throw new ScriptError(this.recording.file, line, column, expected, `${name}() without it`);
		}
		checkTyped(this.recording.file, call);
	}

	/** Plays a call and judges its result. Throws ScriptError. */
	private playCall(call: CallLine, index: number): LineOutcome {
		const { world } = this;
		if (isTyped(call) && world.ownAnswers === null) this.checkTyped(call);
		const outcome = new LineOutcome(call, "ignored");
		outcome.tell(call.result);
		if (!this.isPlayed(call, outcome)) {
			this.follow(call, outcome);
			return outcome;
		}
		const task = world.task(call.pid ?? 0);
		if (!this.kernel.tasks.has(task)) return this.afterExit(call, outcome);

		const turn = this.prepare(task, call, index, outcome);
		this.explainer.begin();
		this.doubt.lookBefore(turn);
		const handled = this.answers.answer(turn);
		this.notes.origins(task, call, handled);
		if (handled === IGNORED) {
			const { drawDifference } = this.answers;
			if (drawDifference !== null) outcome.drewOtherwise(drawDifference);
			return outcome;
		}
		this.showResult(turn, handled);
		if (!turn.checking) this.unrecorded(turn, handled.result);
		else if (handled.undecided !== undefined) outcome.undecide(handled.undecided);
		else this.compare(turn, handled);
		return outcome;
	}

	/** Whether the model plays a call. */
	private isPlayed(call: CallLine, { recordedError }: LineOutcome): boolean {
		const row = systemCall(call.name);
		// A typed ioctl(FIONBIO) is made as fcntl().
		if (call.result === null && fionbio(call) !== null) return true;
		if (row === null || call.opaque || !concernsPorts(call)) return false;
		if (!row.limits.includes(recordedError ?? "")) return true;
		// A limit that the recording does not show is the reason for the error.
		const { world } = this;
		return recordedError === "EMFILE" && world.knowsDescriptors(world.tasks.get(call.pid ?? 0));
	}

	/** Takes over what a call did that only makes, moves or closes descriptors. */
	private follow(call: CallLine, { recorded }: LineOutcome): void {
		if (systemCall(call.name)?.bearsOn !== "files" || concernsPorts(call)) return;
		if (recorded !== null && recorded >= 0) this.followed.follow(call);
	}

	/** What is known of a call before the model makes it. Sets where the kernel draws from. */
	private prepare(task: Task, call: CallLine, index: number, outcome: LineOutcome): Turn {
		const { world, kernel } = this;
		const own = world.ownAnswers;
		const revealed = this.knownPort(call);
		const { result } = call;
		// A call that a signal interrupted may have acted before.
		const slept = own === null && result?.value === null && result.errno === "ERESTARTSYS";
		const returned = result !== null && result.value !== null;
		const checking = slept || (returned && own === null);
		const answers = own !== null && own.draws !== true;
		const shown = result === null && revealed !== null; // a later line of the script names it
		const observed = world.draws === null && (checking || answers || shown);
		kernel.draws = observed ? world.observer : kernel.ownDraws;
		// No kernel returns a number beyond an int here. It counts as an unknown error.
		const beyond = outcome.recorded !== null && outcome.recorded > INT_MAX;
		const recorded = slept ? -ERESTARTSYS : beyond ? -MAX_ERRNO : outcome.recorded;
		const portBefore = own === null && revealed !== null ? 0 : this.notes.port(task, call);
		return { task, call, index, outcome, revealed, recorded, checking, portBefore };
	}

	/** Puts the result of the model into the outcome. */
	private showResult(turn: Turn, done: ModelResult): void {
		const { task, call, outcome, revealed, checking, portBefore } = turn;
		const { result } = done;
		outcome.result = result === -ERESTARTSYS ? null : result;
		outcome.value = done.value ?? null;
		if (this.world.ownAnswers !== null) {
			const port = this.notes.port(task, call);
			const named = call.name === "bind" && port === this.notes.namedPort(call);
			if (port !== portBefore && port !== 0 && !named) outcome.chosen = port;
		} else if (checking && (revealed === null || !revealed.exact)) this.notes.guess(turn);
		outcome.address = done.address ?? null;
		outcome.explanation = this.explainer.end(task, call.name, fdOf(call) ?? -1, result);
		outcome.show(call, done, task.net.net);
	}

	/** A call without a recorded result. */
	private unrecorded(turn: Turn, result: number): void {
		const { outcome } = turn;
		outcome.verdict = "unrecorded";
		if (outcome.explanation.length > 0 || this.world.ownAnswers !== null) return;
		const range = this.exhaustedRange(turn, result);
		if (range !== null) outcome.explanation.push(range);
	}

	/** The state of the range for a call without a recorded result that found no port; else null. */
	private exhaustedRange(turn: Turn, result: number): string | null {
		const { call, portBefore } = turn;
		if (result >= 0 || !EXHAUSTED.has(errnoName(-result))) return null;
		if (!choosesPort(call.name) || portBefore !== 0) return null;
		if (call.name === "bind" && this.notes.namedPort(call) !== 0) return null;
		return this.answers.underWatch({ ...turn, revealed: null }).range;
	}

	/** Compares the result of the model with the recorded one. */
	private compare(turn: Turn, done: ModelResult): void {
		const { task, call, index, outcome, recorded } = turn;
		const { drawDifference } = this.answers;
		const { timed } = this.clock;
		const { result } = done;
		const fails = result < 0 && result !== recorded && result !== -ERESTARTSYS;
		const watch = fails && this.rangeFigures ? this.answers.underWatch(turn) : null;
		const startIsKnown = () => timed && !(call.name === "connect" && this.overlapsConnect(index));
		const differs = this.judge.difference(turn, done, startIsKnown, watch);
		if (this.world.sleeping.at(-1) === call.line) this.sleepers.add(turn, this.events.get(index));
		if (differs !== null) {
			this.contradict(turn, result, differs, {
				event: this.events.get(index),
				index,
				reached: index,
			});
			return;
		}
		if (drawDifference !== null) outcome.drewOtherwise(drawDifference);
		else outcome.verdict = "match";
		const outside = this.facts.outsideClients.get(call.line);
		if (outside !== undefined) outcome.undecide(outside);
		if (call.name === "bind" && result === 0) this.notes.privilege(task, call);
	}

	/**
	 * The model's result is not the recorded one. The line is a mismatch, or undecided if something
	 * outside the recording may be the cause. In both cases the search may still resolve it.
	 */
	private contradict(
		turn: Turn,
		result: number,
		differs: Difference,
		place: Pick<Contradiction, "event" | "index" | "reached">,
	): void {
		const { task, call, outcome, recorded, revealed } = turn;
		const contradiction: Contradiction = {
			...differs,
			...place,
			task,
			call,
			result,
			recorded,
			revealed,
			certain: null,
			truncated: false,
		};
		this.contradiction = contradiction;
		outcome.verdict = "mismatch";
		outcome.reason = differs.reason;
		contradiction.certain = this.certain.rule(contradiction);
		if (contradiction.certain !== null) {
			outcome.reason = `${contradiction.reason}: ${contradiction.certain}`;
			if (this.rangeFigures) outcome.proof = prove(this.world, contradiction);
			return;
		}
		const unresolved = this.facts.unresolved.get(call.line) ?? null;
		const doubt = unresolved ?? this.doubt.reason(contradiction, outcome);
		if (doubt === null) {
			if (this.rangeFigures) outcome.proof = prove(this.world, contradiction);
			return;
		}
		outcome.undecide(doubt);
		const sk = this.world.sk(task, call);
		if (sk !== 0) this.world.doubts.set(sk, doubt);
	}

	/** Judges the calls that return from their sleep before the next event, up to one that differs. */
	private wakeSleepers(): void {
		const next = this.events.at(this.cursor)?.at ?? Number.POSITIVE_INFINITY;
		for (const sleeper of this.sleepers.wake(next)) {
			this.judgeSleeper(sleeper);
			if (this.contradiction !== null) return;
		}
	}

	/** A connect() returns from its sleep, and is judged. */
	private judgeSleeper(sleeper: Sleeper): void {
		const { task, call, event, outcome } = sleeper;
		this.clock.advanceTo(call.endTime ?? call.time, call.line);
		const result = task.connectSleeping(fdOf(call) ?? -1);
		outcome.result = result === -ERESTARTSYS ? null : result;
		const differs = this.judge.difference(sleeper, { result }, () => false, null);
		if (differs === null) {
			outcome.verdict = "match";
			outcome.reason = null;
			return;
		}
		const index = this.events.indexOf(event);
		this.contradict(sleeper, result, differs, { event, index, reached: this.cursor - 1 });
	}

	/**
	 * A call of a task that has exited. In a recording it is undecided, because pids are reused. In a
	 * script it is an error: throws ScriptError, or notes it in the outcome if nothing is compared.
	 */
	private afterExit(call: CallLine, outcome: LineOutcome): LineOutcome {
		const { line, column, pid, name } = call;
		if (call.result !== null) {
			outcome.undecide(
				pid === null
					? "the process has exited, as the recording says earlier; strace -ff writes a file for each process, and strace-log-merge joins them"
					: `process ${pid} has exited, as the recording says earlier`,
			);
			return outcome;
		}
		const { file } = this.recording;
		const expected =
			pid === null ? "no call after exit" : `a process other than ${pid}, which has exited`;
		const error = new ScriptError(file, line, column, expected, `a call of ${name}()`);
		if (this.world.ownAnswers === null) throw error;
		outcome.error = error;
		return outcome;
	}

	/** Whether another connect() overlaps the event at an index. */
	private overlapsConnect(index: number): boolean {
		return this.events.overlapping(index, 8).some((other) => {
			const { line } = this.events.get(other);
			return line.kind === "call" && line.name === "connect";
		});
	}
}

/** The recorded time at which an event acts, in seconds; null if no line shows it. */
function timeOf({ begin, end, at }: Event, line: CallLine | ExitLine): number | null {
	// The time of the line that says that a process has ended is not yet that of the end.
	if (line.kind === "exit") return at < end ? null : line.time;
	const returns = at >= end && end > begin;
	return returns ? (line.endTime ?? line.time) : line.time;
}

/** Whether a call may choose or show a port, or open a namespace. */
function concernsPorts(call: CallLine): boolean {
	const bearsOn = systemCall(call.name)?.bearsOn ?? "nothing";
	return bearsOn === "ports" || (bearsOn === "files" && opensNamespace(call));
}
