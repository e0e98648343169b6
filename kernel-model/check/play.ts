// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a script or a recording on the model, call by call, with one set of decisions about facts
 * that the recording does not show (facts.ts). search.ts looks for decisions that explain every
 * line. A line without a recorded result gets the model's own result.
 *
 * Player.call() is the way from a system call to its verdict. Each of its steps is a method:
 * plays() whether the model has the call, turn() what is known before, answer() the result of the
 * model, show() this result in the outcome, compare() the verdict. answer() leads to Calls.handle()
 * (calls.ts), and from there to the system call in machine/task.ts. compare() leads to
 * Judge.difference() (judge.ts).
 */

import { sk_acceptq_is_full } from "../../include/net/sock.js";
import { TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2 } from "../../include/net/tcp_states.js";
import {
	EEXIST,
	EFAULT,
	EINPROGRESS,
	ERESTARTSYS,
	errnoName,
} from "../../include/uapi/asm-generic/errno.js";
import { NotModelled } from "../../net/core/sock.js";
import { SearchExplainer } from "../machine/explain.js";
import { END_OF_TIME, HOOKS, type Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import { type Snapshot, Snapshots } from "../machine/snapshot.js";
import type { Task } from "../machine/task.js";
import {
	asFcntl,
	checkTyped,
	choosesPort,
	EXHAUSTED,
	isFork,
	isReadStrictly,
	isSend,
	isTyped,
	opensNamespace,
	systemCall,
} from "../script/calls.js";
import { fdOf } from "../script/operands.js";
import { runSetup, SetupError } from "../script/setup.js";
import {
	type CallLine,
	type Parsed,
	parseScript,
	ScriptError,
	type SetupLine,
} from "../script/strace.js";
import { Calls } from "./calls.js";
import { Certain } from "./certain.js";
import { isFd } from "./descriptors.js";
import type { Revealed } from "./evidence.js";
import { EPOCH, offsetDiffers, perturbDiffers, readDraws } from "./exact.js";
import { Facts } from "./facts.js";
import { Host } from "./host.js";
import { type Difference, Judge, type Judged } from "./judge.js";
import { LineOutcome, MAX_ERRNO } from "./line_outcome.js";
import { type Done, type Handled, IGNORED, isUdp } from "./made.js";
import type { Event, Events } from "./order.js";
import type { Outcome, PlayOptions, Verdict } from "./outcome.js";
import { passesBarePointer } from "./pointers.js";
import { proofOf, prove } from "./proof.js";
import { RangeWatch } from "./range_watch.js";
import { Recording } from "./recording.js";
import { WORLD_HOOKS, World } from "./world.js";

/** Reads a script for the player. `above` is the number of lines before it in the file. */
export function readScript(text: string, file: string, above = 0): Parsed {
	return parseScript(text, file, isReadStrictly, above);
}

/** A call whose result on the model is not the recorded one. */
export interface Contradiction extends Difference {
	task: Task;
	call: CallLine;
	event: Event;
	/**
	 * Indices of the event, and of the last event that was played before the contradiction was
	 * found.
	 */
	index: number;
	reached: number;
	result: number;
	recorded: number | null;
	/** The port that its search is known to have chosen. */
	revealed: Revealed | null;
	/** The rule that excludes the recorded result for every choice; null if there is none. */
	certain: string | null;
	/** More choices may matter than remedies.ts offers. */
	truncated: boolean;
}

const INT_MAX = 0x7fffffff;

/** States in which the peer has sent no FIN. */
const AWAITS_FIN = new Set([TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2]);

/** Most events beside a call that are looked at. */
const BESIDE = 32;

/** Most calls that slept that are kept, to play them again. */
const SLEEPERS = 4096;

/** A call that is played, and what is known of it before. */
interface Turn extends Judged {
	/** The index of its event. */
	index: number;
	outcome: LineOutcome;
	/** The result is compared with the recorded one. */
	checking: boolean;
	/** The port of its socket before the call; 0 for none. */
	before: number;
}

/** A call that sleeps, with its socket. */
interface Sleeper extends Turn {
	event: Event;
	sk: number;
}

/** How many lines before which timers ran are kept. */
const RAN = 4;

/** A moment of a play to which it can return. */
export interface Mark {
	cursor: number;
	snapshot: Snapshot;
	now: number;
}

export class Player {
	readonly world: World;
	readonly recording: Recording;
	readonly events: Events;
	/** Index of the next event. */
	cursor = 0;
	/** The contradiction of the last call; null if its result is the recorded one. */
	contradiction: Contradiction | null = null;
	private readonly explainer: SearchExplainer;
	private readonly calls: Calls;
	private readonly judge: Judge;
	private readonly host: Host;
	private readonly certain: Certain;
	private readonly boot: number;
	private readonly snapshots: Snapshots;
	private timed = false;
	/** The last lines before which timers ran. */
	readonly ran: number[] = [];

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
		this.boot = this.kernel.now;
		this.explainer = new SearchExplainer(this.kernel);
		if (options.explain === true) this.kernel.trace = this.explainer;
		else if (options.trace !== undefined) this.kernel.trace = options.trace;
		this.calls = new Calls(this.world, (time) => this.advanceTo(time, 0));
		this.judge = new Judge(this.world);
		this.host = new Host(this.world);
		this.certain = new Certain(this.world, this.events);
		const roots = [this.kernel, this.world, this.calls];
		this.snapshots = new Snapshots(roots, new Set([...HOOKS, ...WORLD_HOOKS]));
	}

	get kernel(): Kernel {
		return this.world.kernel;
	}

	/** Number of questions to secrets so far. */
	get secrets(): number {
		return this.kernel.secrets_asked;
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
		this.closeFirst();
		this.acceptFirst();
		this.endFirst();
		this.receiveFirst();
		const { line } = this.events.get(this.cursor).line;
		const outcome = this.act();
		if (this.world.sleeping.length > 0) this.wake();
		// Exits, and timers that run before a call, also ask secrets.
		const { world } = this;
		while (world.questions < this.kernel.secrets_asked) world.asked.set(world.questions++, line);
		return outcome;
	}

	private act(): Outcome | null {
		const index = this.cursor++;
		const event = this.events.get(index);
		const { line } = event;
		this.contradiction = null;
		this.world.line = line.line;
		if (line.kind === "setup") return this.finish(this.setup(line));
		const late = line.kind === "call" && event.at >= event.end && event.end > event.begin;
		const time = late ? (line.endTime ?? line.time) : line.time;
		// The time of the line that says that a process has ended is not yet that of the end.
		const early = line.kind === "exit" && event.at < event.end;
		this.advanceTo(this.facts.ends.get(line.line) ?? (early ? null : time), line.line);
		if (line.kind === "exit") {
			this.world.exit(line.superseded ?? line.pid ?? 0, line.line);
			return null;
		}
		if (this.facts.skipped.has(line.line)) {
			const doubt = this.facts.doubts.get(line.line);
			const task = this.world.tasks.get(line.pid ?? 0);
			const sk = doubt === undefined || task === undefined ? 0 : this.world.sk(task, line);
			if (doubt !== undefined && sk !== 0) this.world.doubts.set(sk, doubt);
			return null;
		}
		this.certain.before();
		const outcome = this.call(line, index);
		if (event.waits === true && outcome.verdict !== "ignored") {
			outcome.verdict = "undecided";
			outcome.reason = "it returns many events later, if at all";
		}
		if (outcome.verdict !== "mismatch") this.certain.after(line);
		return this.finish(outcome);
	}

	/**
	 * A call got a descriptor that another task is about to close. The number shows that the close
	 * came first. So this is not a choice.
	 */
	private closeFirst(): void {
		const event = this.events.get(this.cursor);
		const { line, begin, end } = event;
		if (line.kind !== "call" || begin === end || this.world.own !== null) return;
		const row = systemCall(line.name);
		if (row?.role !== "socket" && row?.role !== "accept" && row?.role !== "descriptor") return;
		const made = line.result?.value ?? -1;
		const task = this.world.tasks.get(line.pid ?? 0);
		if (made < 0 || task === undefined || task.fileOf(made) === 0) return;
		for (const at of this.events.overlapping(this.cursor, 32)) {
			const other = this.events.get(at);
			if (at < this.cursor || other.line.kind !== "call" || other.line.name !== "close") continue;
			if (fdOf(other.line) !== made) continue;
			if (event.end <= other.at) continue;
			// This event acts after the close.
			this.events.move(this.cursor, (other.at + (this.events.at(at + 1)?.at ?? event.end)) / 2);
			return;
		}
	}

	/**
	 * A connection reaches a full queue, and an accept() sleeps on this queue. The accept() took a
	 * client at once, long before it returned. Otherwise the client would have had to retransmit.
	 */
	private acceptFirst(): void {
		const { line, at, begin } = this.events.get(this.cursor);
		if (line.kind !== "call" || line.name !== "connect" || this.world.own !== null) return;
		for (const index of this.events.overlapping(this.cursor, 32)) {
			const other = this.events.get(index);
			if (index < this.cursor || other.begin >= at || other.line.kind !== "call") continue;
			if (systemCall(other.line.name)?.role !== "accept") continue;
			if ((other.line.result?.value ?? -1) < 0 || !this.waits(other.line)) continue;
			const before = this.events.at(this.cursor - 1)?.at ?? begin;
			this.events.move(index, (Math.max(before, other.begin) + at) / 2);
			return;
		}
	}

	/**
	 * A call reads the end of the data of a process, and a line soon after says that this process has
	 * ended. The process ended first.
	 */
	private endFirst(): void {
		const { world, events, cursor } = this;
		const { line, at } = events.get(cursor);
		if (line.kind !== "call" || world.own !== null || world.settled) return;
		if (systemCall(line.name)?.role !== "receive") return;
		if (line.result?.value !== 0 && line.result?.errno !== "ECONNRESET") return;
		const task = world.tasks.get(line.pid ?? 0);
		const sk = task === undefined ? 0 : world.subflow(world.sk(task, line));
		if (sk === 0 || !AWAITS_FIN.has(nth(this.kernel.sock.skc_state, sk))) return;
		const holders = world.holdersOfPeer(sk);
		if (holders.size === 0) return;
		const ends: number[] = [];
		for (const index of events.overlapping(cursor, 64)) {
			const other = events.get(index);
			if (index < cursor || other.line.kind !== "exit" || other.begin >= at) continue;
			if (holders.delete(other.line.pid ?? 0)) ends.push(index);
		}
		if (holders.size > 0) return;
		const before = events.at(cursor - 1)?.at ?? 0;
		// Those after are moved first, so that the indices of the others stay.
		for (const index of ends.sort((a, b) => a - b)) {
			events.move(index, (Math.max(before, events.get(index).begin) + at) / 2);
		}
	}

	/**
	 * A call is about to send data or a FIN, and a receive at the other end that overlaps it finds
	 * nothing. The receive acts first.
	 */
	private receiveFirst(): void {
		const { world, events, cursor } = this;
		const event = events.get(cursor);
		const { line, at, end } = event;
		if (line.kind !== "call" || world.own !== null || world.settled) return;
		const role = systemCall(line.name)?.role;
		const sends = role === "send" && (line.result?.value ?? -1) > 0;
		if (!sends && role !== "close" && line.name !== "shutdown") return;
		const task = world.tasks.get(line.pid ?? 0);
		const sk = task === undefined ? 0 : world.subflow(world.sk(task, line));
		if (sk === 0 || task === undefined) return;
		const ports = this.destinations(line, sk);
		for (let index = cursor + 1; index < cursor + BESIDE; index++) {
			const other = events.at(index);
			if (other === undefined) return;
			const from = Math.max(other.begin, events.at(cursor - 1)?.at ?? 0);
			if (other.begin >= Math.max(end, at) || !this.findsNothing(other, sk, ports)) continue;
			if (from < at) events.move(index, (from + at) / 2);
			else if (other.at < end) events.move(cursor, (other.at + end) / 2);
			else {
				events.move(index, from + (end - from) / 3);
				events.move(cursor, end - (end - from) / 3);
			}
			return;
		}
	}

	/** The ports that a call sends to. */
	private destinations(call: CallLine, sk: number): number[] {
		const port = nth(this.kernel.sock.skc_dport, sk);
		if (port !== 0 || !isUdp(nth(this.kernel.sock.sk_protocol, sk))) return [port];
		try {
			const { messages } = this.world.operands(call).messages() ?? { messages: [] };
			return messages.map(({ to }) => to?.address?.port ?? 0);
		} catch (error) {
			if (error instanceof ScriptError) return [];
			throw error;
		}
	}

	/** Whether an event is a receive that finds nothing, by a socket that a sock may send to. */
	private findsNothing({ line }: Event, sk: number, ports: readonly number[]): boolean {
		if (line.kind !== "call" || line.result?.errno !== "EAGAIN") return false;
		if (systemCall(line.name)?.role !== "receive") return false;
		const { skc_num, skc_dport } = this.kernel.sock;
		const task = this.world.tasks.get(line.pid ?? 0);
		const peer = task === undefined ? 0 : this.world.subflow(this.world.sk(task, line));
		if (peer === 0 || !ports.includes(nth(skc_num, peer))) return false;
		return skc_dport[peer] === skc_num[sk] || skc_dport[peer] === 0;
	}

	/** Whether the listener of an accept() has a full queue that holds the recorded client. */
	private waits(call: CallLine): boolean {
		const { world } = this;
		const task = world.tasks.get(call.pid ?? 0);
		const S = this.kernel.sock;
		const listener = task === undefined ? 0 : world.subflow(world.sk(task, call));
		if (listener === 0 || !sk_acceptq_is_full(this.kernel, listener)) return false;
		const told = world.operands(call).shownAddress(1) ?? world.evidence.peers.get(call) ?? null;
		let child = S.rskq_accept_head.get(listener);
		while (child !== 0 && told !== null && S.skc_dport[child] !== told.port) {
			child = S.dl_next.get(child);
		}
		return child !== 0;
	}

	/** At the end of a recording with draws: compares table_perturb with the kernel's. */
	private finish(outcome: Outcome): Outcome {
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

	private advanceTo(time: number | null, line: number): void {
		this.timed = time !== null;
		if (time === null || this.recording.firstTime === null) return;
		let now = this.boot + (time - this.recording.firstTime) * 1000;
		for (const { from, to, ms } of this.facts.late) if (line >= from && line <= to) now -= ms;
		// A time stamp beyond the clock's limit is ignored.
		if (now <= this.kernel.now || now >= END_OF_TIME) return;
		const { ran } = this;
		while (ran.length > 0 && nth(ran, ran.length - 1) >= line) ran.pop();
		const { timers } = this.kernel;
		const first = timers.first();
		if (first !== null && (timers.expiry(first) ?? now) <= now) ran.push(line);
		if (ran.length > RAN) ran.shift();
		this.kernel.advance(now - this.kernel.now);
	}

	private outcome(line: SetupLine | CallLine, verdict: Verdict): LineOutcome {
		return new LineOutcome(line, verdict);
	}

	private setup(line: SetupLine): Outcome {
		const task = this.world.task(0);
		const logged = task.net.log.length;
		const outcome = this.outcome(line, "unrecorded");
		outcome.result = 0;
		// The host before the recording has it already.
		if (line.line <= (this.recording.top?.end ?? 0)) return outcome;
		try {
			runSetup(this.kernel, task.net, line.argv);
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			// The --host files already had it.
			if (error.errno === -EEXIST && this.world.options.host !== undefined) return outcome;
			const word = Math.min(error.word, line.argv.length);
			const column = line.argColumns[word] ?? line.column + line.text.length;
			const found = line.argv[word] ?? "the end of the line";
			const { file } = this.recording;
			outcome.error = new ScriptError(file, line.line, column, error.expected, found);
			outcome.result = error.errno;
			if (this.world.own === null) throw outcome.error;
		}
		this.world.origins.changed(task.net, line.line);
		outcome.explanation = task.net.log.slice(logged).map((text) => `the kernel logs: ${text}`);
		return outcome;
	}

	/**
	 * The port that a call is known to have chosen, from a decision of the search or from a later
	 * line.
	 */
	private revealed(call: CallLine): Revealed | null {
		const decided = this.facts.ports.get(call.line);
		if (decided !== undefined) return { port: decided, exact: false };
		const shown = this.world.evidence.chosen.get(call) ?? null;
		return shown !== null && !shown.exact && this.facts.forgotten.has(call.line) ? null : shown;
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

	/** Plays a call and judges its result. */
	private call(call: CallLine, index: number): Outcome {
		const { world } = this;
		if (isTyped(call) && world.own === null) this.checkTyped(call);
		const outcome = this.outcome(call, "ignored");
		outcome.tell(call.result);
		if (!this.plays(call, outcome)) return outcome;
		const task = world.task(call.pid ?? 0);
		if (!this.kernel.tasks.has(task)) return this.afterExit(call, outcome);

		const turn = this.turn(task, call, index, outcome);
		const handled = this.answer(turn);
		this.note(task, call, handled);
		if (handled === IGNORED) {
			if (this.drew !== null) outcome.drewOtherwise(this.drew);
			return outcome;
		}
		this.show(turn, handled);
		if (!turn.checking) this.unrecorded(turn, handled.result);
		else if (handled.undecided !== undefined) outcome.undecide(handled.undecided);
		else this.compare(turn, handled);
		return outcome;
	}

	/** Whether the model plays a call. A call that only makes or moves descriptors is followed. */
	private plays(call: CallLine, { recorded, recordedError }: LineOutcome): boolean {
		const { world } = this;
		const row = systemCall(call.name);
		if (row === null || row.bearsOn === "nothing") return false;
		if (row.bearsOn === "files" && !opensNamespace(call)) {
			if (recorded !== null && recorded >= 0) this.passedOver(call, row.role);
			return call.result === null && asFcntl(call) !== call;
		}
		if (call.opaque) return false;
		if (!row.limits.includes(recordedError ?? "")) return true;
		// A limit that the recording does not show is the reason for the error.
		return recordedError === "EMFILE" && world.knowsDescriptors(world.tasks.get(call.pid ?? 0));
	}

	/** What is known of a call before the model makes it. Sets where the kernel draws from. */
	private turn(task: Task, call: CallLine, index: number, outcome: LineOutcome): Turn {
		const { world, kernel } = this;
		const revealed = this.revealed(call);
		const { result } = call;
		// A call that a signal interrupted may have acted before.
		const slept = world.own === null && result?.value === null && result.errno === "ERESTARTSYS";
		const returned = result !== null && result.value !== null;
		const checking = slept || (returned && world.own === null);
		const answers = world.own !== null && world.own.draws !== true;
		const shown = result === null && revealed !== null; // a later line of the script names it
		const observed = world.draws === null && (checking || answers || shown);
		kernel.draws = observed ? world.observer : kernel.ownDraws;
		// No kernel returns a number beyond an int here. It counts as an unknown error.
		const beyond = outcome.recorded !== null && outcome.recorded > INT_MAX;
		const told = slept ? -ERESTARTSYS : beyond ? -MAX_ERRNO : outcome.recorded;
		const before = world.own === null && revealed !== null ? 0 : this.port(task, call);
		return { task, call, index, outcome, revealed, told, checking, before };
	}

	/** The model makes the call. If the result differs, unknown facts may still explain it. */
	private answer(turn: Turn): Handled {
		const { task, call, outcome, told, checking } = turn;
		const { world } = this;
		this.explainer.begin();
		this.kernel.blocker = 0;
		this.judge.looksBefore(task, call, outcome.recordedError);
		const { company } = world;
		if (checking) outcome.learnt = this.host.learnUser(task, call, told);
		let handled = this.make(turn);
		if (checking && handled !== IGNORED && handled.result !== told) {
			handled = this.reconsider(turn, handled) ?? handled;
		}
		if (world.company !== company) outcome.learnt = world.company;
		return handled;
	}

	/** Puts the result of the model into the outcome. */
	private show({ task, call, outcome, revealed, checking, before }: Turn, done: Done): void {
		const { result } = done;
		outcome.result = result === -ERESTARTSYS ? null : result;
		outcome.value = done.value ?? null;
		if (this.world.own !== null) {
			const after = this.port(task, call);
			const named = call.name === "bind" && after === this.namedPort(call);
			if (after !== before && after !== 0 && !named) outcome.chosen = after;
		} else if (checking && (revealed === null || !revealed.exact)) {
			this.noteGuess(task, call, before, revealed);
		}
		outcome.address = done.address ?? null;
		outcome.explanation = this.explainer.end(task, call.name, fdOf(call) ?? -1, result);
		outcome.show(call, done, task.net.net);
	}

	/** A call without a recorded result. */
	private unrecorded(turn: Turn, result: number): void {
		const { outcome } = turn;
		outcome.verdict = "unrecorded";
		if (outcome.explanation.length > 0 || this.world.own !== null) return;
		const range = this.unanswered(turn, result);
		if (range !== null) outcome.explanation.push(range);
	}

	/** Compares the result of the model with the recorded one. */
	private compare(turn: Turn, done: Done): void {
		const { task, call, index, outcome, revealed, told } = turn;
		const { world, drew, timed } = this;
		const { result } = done;
		const fails = result < 0 && result !== told && result !== -ERESTARTSYS;
		const watch = fails && this.figures ? this.again(turn) : null;
		const overlaps = () => call.name === "connect" && this.overlapsConnect(index);
		const differs = this.judge.difference(turn, done, overlaps, timed, watch);
		if (world.sleeping.at(-1) === call.line) this.sleeps(turn);
		if (differs !== null) {
			outcome.reason = differs.reason;
			outcome.verdict = "mismatch";
			const at = { event: this.events.get(index), index, reached: index };
			const found = { ...differs, ...at, task, call, result, recorded: told, revealed };
			this.contradict(found, outcome);
			return;
		}
		if (drew !== null) outcome.drewOtherwise(drew);
		else outcome.verdict = "match";
		const outside = this.facts.outside.get(call.line);
		if (outside !== undefined) outcome.undecide(outside);
		if (call.name === "bind" && result === 0) this.notePrivilege(task, call);
	}

	/** Keeps a call that sleeps. wake() judges it when it returns. */
	private sleeps(turn: Turn): void {
		const { task, call, index } = turn;
		const event = this.events.get(index);
		this.sleepers.set(call.line, { ...turn, event, sk: this.world.sk(task, call) });
		const [oldest] = this.sleepers.keys();
		if (oldest !== undefined && this.sleepers.size > SLEEPERS) this.sleepers.delete(oldest);
	}

	/** A result is not the recorded one. The line is undecided, or the search must resolve it. */
	private contradict(
		found: Omit<Contradiction, "certain" | "truncated">,
		outcome: LineOutcome,
	): void {
		const { task, call, result } = found;
		const contradiction: Contradiction = { ...found, certain: null, truncated: false };
		this.contradiction = contradiction;
		contradiction.certain = this.certain.rule(contradiction);
		if (contradiction.certain !== null) {
			outcome.reason = `${contradiction.reason}: ${contradiction.certain}`;
			if (this.figures) outcome.proof = prove(this.world, contradiction);
			return;
		}
		const open = this.facts.open.get(call.line) ?? null;
		const doubt = open ?? this.judge.doubt(task, call, outcome, result, contradiction);
		if (doubt === null) {
			if (this.figures) outcome.proof = prove(this.world, contradiction);
			return;
		}
		outcome.undecide(doubt);
		const sk = this.world.sk(task, call);
		if (sk !== 0) this.world.doubts.set(sk, doubt);
	}

	/** Calls that sleep or slept, by line. */
	private readonly sleepers = new Map<number, Sleeper>();

	/** Ends the sleep of calls that return before the next event. */
	private wake(): void {
		const { world, events } = this;
		const next = events.at(this.cursor)?.at ?? Number.POSITIVE_INFINITY;
		for (const line of [...world.sleeping]) {
			const sleeper = this.sleepers.get(line);
			if (this.contradiction !== null) return;
			if (sleeper !== undefined && sleeper.event.end > next) continue;
			world.sleeping.splice(world.sleeping.indexOf(line), 1);
			if (sleeper === undefined) continue;
			const { task, call, event, outcome, revealed, told } = sleeper;
			// The process has ended, or another thread has closed the descriptor.
			if (!this.kernel.tasks.has(task) || world.sk(task, call) !== sleeper.sk) continue;
			this.advanceTo(call.endTime ?? call.time, line);
			const result = task.connectSleeping(fdOf(call) ?? -1);
			outcome.result = result === -ERESTARTSYS ? null : result;
			const differs = this.judge.difference(sleeper, { result }, () => true, this.timed, null);
			outcome.reason = differs?.reason ?? null;
			outcome.verdict = differs === null ? "match" : "mismatch";
			if (differs === null) continue;
			const at = { event, index: events.indexOf(event), reached: this.cursor - 1 };
			this.contradict({ ...differs, ...at, task, call, result, recorded: told, revealed }, outcome);
		}
	}

	/**
	 * A call of a task that has exited. It is an error in a script. In a recording it is undecided,
	 * because pids are reused.
	 */
	private afterExit(call: CallLine, outcome: LineOutcome): Outcome {
		const { line, column, pid, name } = call;
		if (call.result !== null) {
			outcome.verdict = "undecided";
			outcome.reason =
				pid === null
					? "the process has exited, as the recording says earlier; strace -ff writes a file for each process, and strace-log-merge joins them"
					: `process ${pid} has exited, as the recording says earlier`;
			return outcome;
		}
		const expected =
			pid === null ? "no call after exit" : `a process other than ${pid}, which has exited`;
		const error = new ScriptError(
			this.recording.file,
			line,
			column,
			expected,
			`a call of ${name}()`,
		);
		if (this.world.own === null) throw error;
		outcome.error = error;
		return outcome;
	}

	/**
	 * How the model's draws in the last call differ from the recorded draws; null if they do not.
	 */
	private drew: string | null = null;

	/** Makes a call. The observer steers its search to the known port. */
	private make({ task, call, told, revealed, outcome }: Turn): Handled {
		const { world } = this;
		this.steer(task, call, revealed);
		const outside = this.facts.outsiders || !world.alone ? this.facts.avoided.get(call.line) : null;
		const reserved = task.net.net.ipv4.sysctl_local_reserved_ports;
		const before = outside === undefined || outside === null ? null : reserved.slice();
		// Ports that the search passed over without a reason on the model. A socket outside the
		// recording had them.
		for (const port of outside ?? []) {
			reserved[port >>> 5] = nth(reserved, port >>> 5) | (1 << (port & 31));
		}
		let handled: Handled;
		try {
			handled = this.calls.handle(task, call, told);
		} catch (error) {
			if (error instanceof ScriptError && world.own !== null) outcome.error = error;
			// A recording is never refused. The call is then ignored.
			else if (error instanceof ScriptError && call.result === null && !call.unresumed) throw error;
			// strace prints the arguments that a call returns when it returns.
			else if (error instanceof ScriptError && !returns(call)) outcome.reason = null;
			else if (error instanceof ScriptError)
				outcome.reason = `not understood: ${notUnderstood(error)}`;
			else if (error instanceof NotModelled) this.leavesOut(task, call, error.message);
			else throw error;
			handled = IGNORED;
		}
		if (before !== null) reserved.set(before);
		world.observer.rest();
		if (world.random !== null) world.random.hashMix = world.draws?.secrets?.hashMix ?? null;
		this.drew = world.random?.end() ?? null;
		// A connect() that fails takes the addresses away again.
		if (handled !== IGNORED && (handled.result >= 0 || handled.result === -EINPROGRESS))
			this.drew ??= this.offsetDiffers(task, call);
		return handled;
	}

	/** Tells the observer what the search of a call must find, or sets the recorded draws of the call. */
	private steer(task: Task, call: CallLine, revealed: Revealed | null): void {
		const { world } = this;
		const { value: returned, errno } = call.result ?? { value: null, errno: null };
		const wish = world.own?.wishes.get(call);
		const failed = errno !== null && world.own === null && EXHAUSTED.has(errno);
		world.observer.expect({
			port: wish === undefined ? (revealed?.port ?? null) : wish.port,
			exhausted: wish === undefined ? failed : wish.exhausted,
			avoided: this.facts.avoided.get(call.line) ?? null,
			remote:
				returned === null || !this.calls.connects(task, call)
					? null
					: returned >= 0
						? "accept"
						: errno === "ECONNREFUSED"
							? "refuse"
							: null,
			cookie: world.own === null ? this.calls.cookie(task, call) : null,
		});
		// The draws of these calls are not those of the port allocator.
		if (systemCall(call.name)?.makesNamespaces !== true) {
			world.random?.begin(world.draws?.byCall.get(call) ?? []);
		} else if (world.random !== null) {
			world.random.hashMix = world.draws?.secrets?.byCall.get(call) ?? null;
		}
	}

	/** How the kernel's port_offset differs from the model's; null if it does not, or is not known. */
	private offsetDiffers(task: Task, call: CallLine): string | null {
		const { world, kernel } = this;
		const draws = world.draws?.byCall.get(call);
		if (draws === undefined || world.draws?.secrets?.byName.has("net_secret") !== true) return null;
		const sk = world.subflow(world.sk(task, call));
		if (sk === 0 || call.time === null) return null;
		const end = call.endTime ?? call.time;
		return offsetDiffers(kernel, sk, draws, call.time % EPOCH, end % EPOCH);
	}

	/**
	 * A call that is not modelled may have given the socket a port, a peer or another state. A fast open
	 * of MPTCP that fails disconnects the socket, even a listener (mptcp_sendmsg_fastopen).
	 */
	private leavesOut(task: Task, call: CallLine, what: string): void {
		const { line, name, result } = call;
		const failed = result !== null && result.errno !== null && result.errno !== "EINPROGRESS";
		if ((failed && !isSend(name)) || !(choosesPort(name) || name === "listen")) return;
		const { world } = this;
		const sk = world.sk(task, call);
		if (sk !== 0) world.doubts.set(sk, `line ${line} is not modelled: ${what}`);
	}

	/** Notes the lines that made sockets, gave them ports and set options. */
	private note(task: Task, call: CallLine, handled: Handled): void {
		const { world, kernel } = this;
		const { origins } = world;
		const { line, name } = call;
		if (choosesPort(name)) {
			const sk = world.subflow(world.sk(task, call));
			if (sk !== 0) origins.called(name, sk, line);
		}
		if (handled === IGNORED || handled.result < 0) return;
		const role = systemCall(name)?.role;
		if (role === "socket" || role === "accept") {
			const sock = task.socketOf(handled.result);
			const sk = sock > 0 ? nth(kernel.socket.sk, sock) : 0;
			origins.isNew(sk, line);
			if (role === "accept") {
				origins.accepted(world.subflow(sk), line);
				// What is not known of a listener is not known of its connections.
				const doubt = world.doubts.get(world.sk(task, call));
				if (doubt !== undefined && sk !== 0 && !world.doubts.has(sk)) world.doubts.set(sk, doubt);
			} else if (world.subflow(sk) !== sk) origins.isNew(world.subflow(sk), line);
		} else if (name === "setsockopt") {
			const option = world.operands(call).option();
			const sk = world.subflow(world.sk(task, call));
			if (option !== null && sk !== 0) origins.set(sk, option.name, line);
		} else if (name === "write") origins.changed(task.net, line);
	}

	/** Whether reasons contain figures of the range. They need a second search. */
	figures = true;

	/** The state of the range for a call without a recorded result that found no port. */
	private unanswered(turn: Turn, result: number): string | null {
		const { call, before } = turn;
		if (result >= 0 || !EXHAUSTED.has(errnoName(-result))) return null;
		if (!choosesPort(call.name) || before !== 0) return null;
		if (call.name === "bind" && this.namedPort(call) !== 0) return null;
		return this.again({ ...turn, revealed: null }).range;
	}

	/** Makes a failed call once more under a RangeWatch and undoes it. Returns the RangeWatch. */
	private again(turn: Turn): RangeWatch {
		const { call, revealed, outcome } = turn;
		const { kernel, timed } = this;
		const { trace, blocker } = kernel;
		const mark = this.snapshots.take();
		const watch = new RangeWatch(kernel, revealed?.port ?? 0);
		kernel.trace = watch;
		const { explanation, learnt, error, reason } = outcome;
		this.make({ ...turn, told: call.result === null ? null : outcome.recorded });
		Object.assign(outcome, { explanation, learnt, error, reason });
		kernel.trace = trace;
		this.snapshots.restore(mark);
		kernel.blocker = blocker;
		this.timed = timed;
		return watch;
	}

	/**
	 * Reconsiders a result that is not the recorded one: an unknown host or bad memory may explain
	 * it.
	 */
	private reconsider(turn: Turn, done: Done): Handled | null {
		const { task, call, told, outcome } = turn;
		// strace could not read the pointer, so it may be bad.
		if (told === -EFAULT && passesBarePointer(call)) return { result: -EFAULT };
		// The pointer may also be good, to memory whose contents strace does not print.
		if (done.result === -EFAULT && told !== null && passesBarePointer(call)) {
			const { world } = this;
			const sk = world.sk(task, call);
			const why = `line ${call.line} passes memory that is not shown`;
			if (told >= 0 && sk !== 0) world.doubts.set(sk, why);
			// A socket with an address that is not known may be in the way of any other.
			const { id } = task.net.net;
			if (told >= 0 && call.name === "bind" && !world.netDoubts.has(id))
				world.netDoubts.set(id, why);
			return { result: told };
		}
		const { world } = this;
		for (let tries = 0; tries < 4; tries++) {
			const learnt = this.host.learn(task, call, done.result, told);
			if (learnt === null) return tries === 0 ? null : done;
			outcome.learnt = outcome.learnt === null ? learnt : `${outcome.learnt}, ${learnt}`;
			if (done.result >= 0) return { ...done, result: told ?? done.result };
			world.kernel.blocker = 0;
			const handled = this.make(turn);
			if (handled === IGNORED) return handled;
			done = handled;
			if (done.result === told) return done;
		}
		return done;
	}

	/** A call that does not concern ports, but makes or closes descriptors. */
	private passedOver(call: CallLine, role: string): void {
		const task = this.world.task(call.pid ?? 0);
		if (!this.kernel.tasks.has(task)) return;
		const made = call.result?.value ?? -1;
		if (call.name === "close_range") {
			const [first, last] = call.args.map(({ value }) => (value.kind === "int" ? value.value : -1));
			if (first === undefined || last === undefined) return;
			const cloexec = call.args[2]?.value;
			if (cloexec?.kind === "flags" && cloexec.names.length > 0) return;
			for (const fd of task.socketDescriptors()) {
				if (fd >= first && fd <= (last < 0 ? Number.POSITIVE_INFINITY : last)) task.close(fd);
			}
			return;
		}
		this.ioctl(task, call);
		if (call.name === "lseek") {
			const fd = call.args[0]?.value;
			const file = fd?.kind === "int" ? task.pathOf(fd.value) : null;
			if (file !== null) file.position = made;
			return;
		}
		if (submits(call)) this.world.submits(task, call.line);
		if (role !== "file" && role !== "descriptor" && role !== "socket") return;
		if (call.name === "pidfd_open") {
			const pid = call.args[0]?.value;
			if (pid?.kind === "int") this.world.pidfds.set(`${task.pid} ${made}`, pid.value);
		}
		if (call.name === "pidfd_getfd") {
			const pidfd = call.args[0]?.value;
			const fd = call.args[1]?.value;
			if (pidfd?.kind !== "int" || fd?.kind !== "int") return;
			const from = this.world.tasks.get(this.world.pidfds.get(`${task.pid} ${pidfd.value}`) ?? -1);
			const file = from?.fileOf(fd.value) ?? 0;
			if (file !== 0) task.installFile(file, made, true);
			return;
		}
		// If another file had this descriptor, a call that is not recorded has closed it.
		const pair = PAIRS.get(call.name);
		if (pair === undefined) {
			if (task.socketOf(made) > 0 || task.pathOf(made) !== null) task.openOther(made);
			return;
		}
		const fds = call.args[pair]?.value;
		if (fds?.kind !== "array") return;
		for (const fd of fds.items) if (isFd(fd)) task.openOther(fd.value);
	}

	/** ioctl(FIONBIO) sets or clears O_NONBLOCK. */
	private ioctl(task: Task, call: CallLine): void {
		if (call.name !== "ioctl") return;
		const [fd, request, arg] = call.args.map(({ value }) => value);
		if (fd?.kind !== "int" || request?.kind !== "flags" || arg?.kind !== "array") return;
		const [value] = arg.items;
		if (request.names[0] !== "FIONBIO" || value?.kind !== "int") return;
		if (task.socketOf(fd.value) > 0) task.setNonblock(fd.value, value.value !== 0);
	}

	/** Notes a port that no line shows on the socket itself. */
	private noteGuess(task: Task, call: CallLine, before: number, revealed: Revealed | null): void {
		if (!choosesPort(call.name)) return;
		const port = this.port(task, call);
		if (port === 0 || port === before) return;
		if (call.name === "bind" && port === this.namedPort(call)) return;
		const inferred = revealed?.likely === true ? "likely" : "inferred";
		this.world.guess({ line: call.line, port, how: revealed === null ? "guessed" : inferred });
	}

	/** The port of the call's socket; 0 if it has none. */
	private port(task: Task, call: CallLine): number {
		if (!choosesPort(call.name)) return 0;
		const sk = this.world.sk(task, call);
		return sk === 0 ? 0 : nth(this.kernel.sock.skc_num, this.world.subflow(sk));
	}

	/** Notes that bind() took a privileged port. */
	private notePrivilege(task: Task, call: CallLine): void {
		const port = this.namedPort(call);
		if (port !== 0 && port < task.net.net.ipv4.sysctl_ip_prot_sock && task.uid === 0) {
			this.world.privileged = true;
		}
	}

	/** The port that a bind() asks for. */
	private namedPort(call: CallLine): number {
		const operands = this.world.operands(call);
		return operands.sockaddr(1, operands.length(2, "an address length"))?.address?.port ?? 0;
	}

	private overlapsConnect(index: number): boolean {
		return this.events.overlapping(index, 8).some((other) => {
			const { line } = this.events.get(other);
			return line.kind === "call" && line.name === "connect";
		});
	}
}

/** Whether a call hands calls to io_uring, or lets a thread of the kernel look for them. */
function submits({ name, args }: CallLine): boolean {
	if (name === "io_uring_enter") {
		const count = args[1]?.value;
		return count?.kind !== "int" || count.value > 0;
	}
	if (name !== "io_uring_setup") return false;
	const params = args[1]?.value;
	const flags =
		params?.kind === "struct" ? params.fields.find((each) => each.name === "flags") : null;
	return flags?.value.kind === "flags" && flags.value.names.includes("IORING_SETUP_SQPOLL");
}

/** Calls that make two descriptors, and the argument that shows them. */
const PAIRS: ReadonlyMap<string, number> = new Map([
	["pipe", 0],
	["pipe2", 0],
	["socketpair", 3],
]);

/** Whether the recording shows how a call returned, or that a signal interrupted it. */
function returns({ result }: CallLine): boolean {
	return result !== null && (result.value !== null || result.errno !== null);
}

/** The message of an error without its place. */
function notUnderstood(error: ScriptError): string {
	return error.message.slice(error.message.indexOf("expected "));
}
