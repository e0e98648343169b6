// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Looks for a way: a set of decisions with which the modelled kernel gives every recorded result. A
 * recording is played forward with the likeliest decisions. If the result of a line is impossible
 * with them, this is a contradiction. remedies.ts names the decisions that it depends on. The
 * search changes the nearest of them, returns to a snapshot before it and plays on. It goes on
 * until the recorded result is possible or nothing is left to try.
 */
import { JIFFY } from "../../include/linux/timer.js";
import { EAGAIN, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import type { Parsed } from "../script/strace.js";
import { isAlone } from "./alone.js";
import { readDraws } from "./exact.js";
import { Facts, type Remedy } from "./facts.js";
import type { Event } from "./order.js";
import type { Outcome, PlayOptions } from "./outcome.js";
import { type Mark, Player } from "./play.js";
import { BACK, Recording, topOf, WHOLE } from "./recording.js";
import { remediesOf } from "./remedies.js";
import type { Contradiction } from "./turn.js";

/**
 * Least number of events between two marks, after and before the first contradiction, and most
 * marks that are kept.
 */
const EVERY = 128;
const FAR = 16 * EVERY;
const MARKS = 40;
/** For one contradiction: most decisions changed at a time, and most attempts. */
const DEPTH = 6;
const ATTEMPTS = 60;
/**
 * Most events played again for one contradiction. For a whole recording the limit grows by one
 * with each event.
 */
const REPLAYED = 20_000;
const REPLAYED_AT_ALL = 150_000;
/** Events between two calls of PlayOptions.onStep, a power of two. */
const TICK = 256;
/** Events between two calls of letGo(). */
const STEP = 1024;

/** A way through a script: its outcomes, and the player that found it. */
export interface Way {
	outcomes: Outcome[];
	player: Player;
	/** Marks of the player, the earliest first. */
	marks: Mark[];
}

/** Plays a whole script. For a recording it looks for a way that explains every line. */
export function playScript(script: Parsed, options: PlayOptions = {}): Outcome[] {
	if (options.variants === false || options.own !== undefined) {
		return [...new Player(script, options).play()];
	}
	const playing = findWay(script, options);
	for (;;) {
		const next = playing.next();
		if (next.done === true) return next.value.outcomes;
	}
}

/**
 * Plays a whole script as playScript() does, in slices of some events. With `keep` the player can
 * return to any line. Throws ScriptError.
 */
export function* findWay(script: Parsed, options: PlayOptions, keep = false): Generator<null, Way> {
	const found = yield* search(script, options, keep);
	const { outcomes } = found;
	if (!outcomes.some(differs)) return found;
	let best: Way = found;
	let timers = found.timed;
	if (script.lines.length > WHOLE) return best;
	const shows = (what: (line: Parsed["lines"][number]) => boolean) => script.lines.some(what);
	const reads = shows((line) => line.kind === "call" && line.name === "read");
	if (options.unread === undefined && !reads) {
		const other = yield* search(script, { ...options, unread: true }, keep);
		if (!other.outcomes.some(differs)) return other;
		if (count(other.outcomes) < count(best.outcomes)) best = other;
		timers ||= other.timed;
	}
	// A timer that runs between two calls may free a port, send an ACK or end a socket.
	const clocked =
		timers && best.outcomes.some((outcome) => differs(outcome) && !UNCLOCKED.has(outcome.call));
	if (!clocked || !shows((line) => line.kind === "call" && line.time !== null)) return best;
	for (const clock of [...clocks([0, 1, 2, 4, 8], PHASE), ...clocks([0, 1], FINE_PHASE)]) {
		for (const unread of options.unread === undefined && !reads
			? [false, true]
			: [options.unread]) {
			const variant = { ...options, clock, ...(unread === undefined ? {} : { unread }) };
			const other = whole(script, { ...variant, alone: options.alone ?? isOwn(script) });
			if (other !== null) return other;
			yield null;
		}
	}
	if (count(best.outcomes) > FEW) return best;
	for (const clock of clocks([0, 1], PHASE)) {
		const variant = new Search(script, { ...options, clock }, BACK, keep);
		const other = yield* variant.way(true);
		if (!variant.gaveUp) return other;
	}
	return best;
}

/** The best way, and whether a timer was armed at its end. */
function* search(
	script: Parsed,
	options: PlayOptions,
	keep: boolean,
): Generator<null, Way & { timed: boolean }> {
	const search = new Search(script, options, BACK, keep);
	const way = yield* search.way();
	return { ...way, timed: search.timed };
}

/** Most lines that differ for which a whole search on other clocks is worth its time. */
const FEW = 8;
/** The distance of two phases, ms. Two calls within a ms may be on both sides of a jiffy. */
const PHASE = 1;
const FINE_PHASE = 0.125;
/** Calls whose result no timer decides. */
const UNCLOCKED = new Set(["socket", "socketpair", "setsockopt", "dup", "dup2", "dup3", "fcntl"]);

/** Clocks to try: where in a jiffy the recording began, and how late timers ran. */
function* clocks(
	latenesses: readonly number[],
	step: number,
): Generator<{ phase: number; lateness: number }> {
	for (const lateness of latenesses) {
		for (let phase = 0; phase < JIFFY; phase += step) yield { phase, lateness };
	}
}

/** Plays one way. Returns null at the first line that differs. */
function whole(script: Parsed, options: PlayOptions): Way | null {
	const outcomes: Outcome[] = [];
	const player = new Player(script, options);
	const marks = [player.mark()];
	// The reasons of a way that differs are not shown.
	player.rangeFigures = false;
	for (const outcome of player.play()) {
		if (differs(outcome)) return null;
		outcomes.push(outcome);
	}
	player.rangeFigures = true;
	return { outcomes, player, marks };
}

/** Whether only the recorded processes use the namespace. */
function isOwn(script: Parsed): boolean {
	return topOf(script.lines)?.alone ?? (readDraws(script) !== null || isAlone(script.lines));
}

const differs = ({ verdict }: Outcome) => verdict === "mismatch";
const count = (outcomes: readonly Outcome[]) => outcomes.filter(differs).length;

export class Search {
	/** The player of the way that is tried. */
	readonly player: Player;
	private readonly recording: Recording;
	private readonly facts: Facts;
	private marks: Mark[] = [];
	/** Lines with a final verdict: no way gives the recorded result. */
	private readonly finalLines = new Set<number>();
	/** How many events may still be played again. */
	private replaysLeft = REPLAYED_AT_ALL;
	/** The first line that may be played again. */
	private firstReplayable = 0;
	private nextLetGo: number;
	private attempts = 0;
	private steps = 0;
	/** The remedies that are applied for the present contradiction. */
	private readonly path: Remedy[] = [];
	/** Sets of choices that were played for it. */
	private readonly tried = new Set<string>();
	/** Those of them from which the search went on, by the least depth. */
	private readonly explored = new Map<string, number>();
	/** Sets of choices that were met at the greatest depth only. */
	private readonly tooDeep = new Set<string>();
	/** Where events acted that were moved for it. */
	private readonly placesBefore = new Map<Event, number>();
	private replayed = 0;
	/** The search for a way out ended at a bound. */
	private atBound = false;
	/** Index of the event from which the successful way was played again. */
	private wayFrom = 0;
	/** The lowest index from which any attempt was played again. */
	private earliestReplayed = 0;
	/** There was a contradiction. */
	private differed = false;
	/** run() gave up at a line that differs. */
	gaveUp = false;
	/** A remedy that is too far back to be tried, in words. */
	private tooFarBack: string | null = null;

	constructor(
		script: Parsed | Recording,
		options: PlayOptions,
		/** How many events the search can go back. */
		private readonly back = BACK,
		/** Events are not dropped, so that the player can return to them after the search. */
		private readonly keep = false,
	) {
		this.nextLetGo = back;
		this.facts = new Facts(options.secrets);
		this.facts.mayHaveOutsiders = options.alone !== true;
		if (script instanceof Recording) script.has(0);
		const alone = options.alone ?? (script instanceof Recording ? script.alone : isOwn(script));
		this.player = new Player(script, { ...options, alone }, this.facts);
		this.recording = this.player.recording;
	}

	/** Whether a timer is armed after the last way. */
	get timed(): boolean {
		return this.player.kernel.timers.armed > 0;
	}

	/**
	 * Yields each event when its outcome is final. With `strictly` it gives up at the first line
	 * that differs in every way. Throws ScriptError.
	 */
	*run(strictly = false): Generator<Event> {
		for (const event of this.slices(strictly)) if (event !== null) yield event;
	}

	/** Runs to the end. Yields null after some events. */
	*way(strictly = false): Generator<null, Way> {
		const outcomes: Outcome[] = [];
		for (const event of this.slices(strictly)) {
			if (event === null) yield null;
			else if (event.outcome !== null) outcomes.push(event.outcome);
		}
		return { outcomes, player: this.player, marks: this.marks };
	}

	/** Yields the events as run() does, and null after some events. */
	private *slices(strictly: boolean): Generator<Event | null> {
		const { player, recording } = this;
		this.marks.push(player.mark());
		while (recording.has(player.cursor)) {
			// Before the first contradiction fewer marks are enough.
			const least = this.differed ? EVERY : Math.min(FAR, this.back >> 2);
			this.markAfter(Math.max(least, player.kernel.sock.used >> 2));
			this.step();
			if ((this.steps & (TICK - 1)) === 0) yield null;
			this.replaysLeft++;
			const { contradiction } = player;
			// A settled line may be reached again after a play that ended at another line.
			if (contradiction !== null && !this.finalLines.has(contradiction.call.line)) {
				let next: Contradiction | null = this.differed ? contradiction : this.refine(contradiction);
				while (next !== null) {
					const { event } = next;
					next = this.resolve(next);
					this.gaveUp = strictly && event.outcome?.verdict === "mismatch";
					if (this.gaveUp) return;
				}
			}
			if (player.cursor >= this.nextLetGo) yield* this.letGo();
		}
		if (!this.keep) yield* recording.drop(recording.events.end);
		else for (let at = 0; at < recording.events.end; at++) yield recording.events.get(at);
	}

	/** Drops events, facts and marks that are too far back for the search. Returns the events. */
	private letGo(): Event[] {
		const { player, recording, marks } = this;
		this.nextLetGo = player.cursor + STEP;
		// The search can go back only to a mark, so one mark before the bound is kept.
		if (this.keep) {
			const far = marks.findLast(({ cursor }) => player.cursor - cursor >= this.back);
			this.firstReplayable = recording.events.at(far?.cursor ?? 0)?.at ?? this.firstReplayable;
			return [];
		}
		while (marks.length > 1 && player.cursor - nth(marks, 1).cursor >= this.back) marks.shift();
		const dropped = recording.drop(nth(marks, 0).cursor);
		this.firstReplayable = recording.events.at(nth(marks, 0).cursor)?.at ?? this.firstReplayable;
		this.facts.forget(this.firstReplayable);
		player.world.forget(this.firstReplayable);
		this.facts.forgetSecrets(player.world.firstQuestion);
		for (const line of this.finalLines)
			if (line < this.firstReplayable) this.finalLines.delete(line);
		return dropped;
	}

	private step(): void {
		const { player } = this;
		const outcome = player.step();
		const event = player.events.get(player.cursor - 1);
		const { line } = event.line;
		if ((++this.steps & (TICK - 1)) === 0) this.player.world.options.onStep?.(line);
		if (event.line.kind === "call") event.line.forgetArgs?.();
		// A settled line that has no effect keeps its outcome.
		if (outcome === null && this.facts.skipped.has(line)) return;
		// A settled line keeps its proof.
		const proved = event.outcome?.proof != null && this.finalLines.has(line);
		if (proved && outcome?.verdict === "mismatch" && outcome.proof === null) return;
		event.outcome = outcome;
		if (outcome !== null) player.world.options.onOutcome?.(outcome);
	}

	/** Adds a mark if the last one is at least `events` events back. */
	private markAfter(events: number): void {
		const { player, marks } = this;
		const last = nth(marks, marks.length - 1);
		if (player.cursor - last.cursor >= events) this.addMark(player.mark());
	}

	/** Adds a mark. Marks are dense near the cursor and sparse far back. */
	private addMark(mark: Mark): void {
		this.marks.push(mark);
		if (this.marks.length <= MARKS) return;
		let drop = 1;
		let least = Number.POSITIVE_INFINITY;
		for (let i = 1; i < this.marks.length - 2; i++) {
			const gap = nth(this.marks, i + 1).cursor - nth(this.marks, i - 1).cursor;
			const share = gap / (mark.cursor - nth(this.marks, i).cursor);
			if (share < least) [drop, least] = [i, share];
		}
		this.marks.splice(drop, 1);
	}

	/** At the first contradiction: plays again from the last mark and sets marks closer together. */
	private refine(contradiction: Contradiction): Contradiction {
		const { player } = this;
		this.differed = true;
		const reach = player.cursor;
		player.back(nth(this.marks, this.marks.length - 1));
		while (player.cursor < reach) {
			this.markAfter(EVERY);
			this.step();
		}
		return player.contradiction ?? contradiction;
	}

	/**
	 * Looks for decisions that resolve a contradiction. If there are none, settles the line. Returns
	 * the contradiction of another line at which the play then ended; null for none.
	 */
	private resolve(contradiction: Contradiction): Contradiction | null {
		const { player } = this;
		const { line } = contradiction.call;
		this.attempts = 0;
		this.replayed = 0;
		this.path.length = 0;
		this.tried.clear();
		this.explored.clear();
		this.placesBefore.clear();
		this.tooDeep.clear();
		this.tried.add("");
		this.explored.set("", -1);
		this.atBound = false;
		this.tooFarBack = null;
		const reach = player.cursor;
		const { event } = contradiction;
		const { outcome } = event;
		const mayBe = contradiction.certain === null && this.replaysLeft > 0;
		// The reasons of attempts are not shown.
		player.rangeFigures = false;
		this.earliestReplayed = reach;
		const found = mayBe && this.explore(contradiction, reach, reach, 0);
		player.rangeFigures = true;
		// Failed attempts have overwritten the outcomes of the events that they played again.
		const changed = Math.min(this.earliestReplayed, contradiction.index);
		if (found) {
			const next =
				this.earliestReplayed < this.wayFrom ? this.replay(this.earliestReplayed, reach) : null;
			this.marks = this.marks.filter(({ cursor }) => cursor <= this.wayFrom);
			return next;
		}
		this.finalLines.add(line);
		if (this.replaysLeft <= 0 || this.tooDeep.size > 0) this.atBound = true;
		// If the search ended at a bound, the mismatch is not proved.
		const why = this.atBound
			? "the search for a way ended at its bound"
			: `the result is possible if ${this.tooFarBack}, but this is too far back for the search`;
		if ((this.atBound || this.tooFarBack !== null) && outcome?.verdict === "mismatch") {
			this.facts.unresolved.set(line, `${outcome.reason}; ${why}`);
		}
		const { recorded, result } = contradiction;
		if (this.meetsStranger(contradiction)) {
			this.facts.outsideClients.set(line, outcome?.reason ?? "");
			return this.replay(changed, reach);
		}
		// A call that failed on the kernel has no effect here. Later lines then do not differ because
		// of this one.
		let next: Contradiction | null = null;
		const undone = recorded !== null && recorded < 0 && result >= 0 && this.replaysLeft > 0;
		if (undone) {
			this.facts.skipped.add(line);
			if (player.world.alone === false || this.facts.unresolved.has(line)) {
				this.facts.skippedDoubts.set(line, outcome?.reason ?? "");
			}
			next = this.replay(changed, reach);
			event.outcome = outcome;
		} else if (this.attempts > 0) return this.replay(changed, reach);
		const open = this.facts.unresolved.get(line);
		if (outcome === null || open === undefined) return next;
		[outcome.verdict, outcome.reason, outcome.proof] = ["undecided", open, null];
		const sk = undone ? 0 : player.world.sk(contradiction.task, contradiction.call);
		if (sk !== 0) player.world.doubts.set(sk, open);
		return next;
	}

	/** Whether an accept() returned a client that no recorded call can be. */
	private meetsStranger({ call, recorded, result, event }: Contradiction): boolean {
		if (!/^accept4?$/.test(call.name) || this.replaysLeft <= 0) return false;
		if (this.player.world.alone || event.outcome?.verdict !== "undecided") return false;
		return (recorded ?? -1) >= 0 && (result === -EAGAIN || result === -ERESTARTSYS);
	}

	/**
	 * The choices that the applied remedies come to, in whatever order they were applied. Of moved
	 * events only the order matters, and whether an event acts when its call returns.
	 */
	private choices(): string {
		const { placesBefore, path } = this;
		const { events } = this.player;
		const choices = new Map<string, number>();
		const moved = new Set<Event>();
		for (const { decides = {}, moves = [] } of path) {
			for (const [choice, value] of Object.entries(decides)) choices.set(choice, value);
			for (const event of moves) moved.add(event);
		}
		const placeOf = (event: Event) => placesBefore.get(event) ?? event.at;
		const compare = (a: Event, b: Event) => {
			if (placeOf(a) < placeOf(b) === a.at < b.at) return;
			choices.set(`order ${Math.min(a.begin, b.begin)} ${Math.max(a.begin, b.begin)}`, 1);
		};
		for (const event of moved) {
			if (event.at >= event.end) choices.set(`late ${event.begin}`, 1);
			const place = placeOf(event);
			const last = Math.max(place, event.at);
			for (let i = events.from(Math.min(place, event.at)); i < events.end; i++) {
				const other = events.get(i);
				if (other.at > last) break;
				if (other !== event && !moved.has(other)) compare(event, other);
			}
			for (const other of moved) if (other !== event) compare(event, other);
		}
		return [...choices]
			.map(([choice, value]) => `${choice} ${value}`)
			.sort()
			.join("\n");
	}

	/** Tries the remedies of a contradiction. If one leads to a later contradiction, goes deeper. */
	private explore(
		contradiction: Contradiction,
		reach: number,
		floor: number,
		depth: number,
	): boolean {
		const { player } = this;
		// A remedy that gets no further on its own is tried again last, together with others.
		const without: Remedy[] = [];
		const remedies = remediesOf(player, contradiction);
		for (let again = false; ; ) {
			const given = again ? undefined : remedies.shift();
			if (given === undefined) again = true;
			const remedy = given ?? without.shift();
			if (remedy === undefined) {
				if (contradiction.truncated) this.atBound = true;
				return false;
			}
			if (this.attempts >= ATTEMPTS || this.replayed > REPLAYED || this.replaysLeft <= 0) {
				this.atBound = true;
				return false;
			}
			if (remedy.line < this.firstReplayable) {
				this.tooFarBack ??= remedy.what;
				continue;
			}
			// The same choices in another order lead to the same play.
			for (const event of remedy.moves ?? []) {
				if (!this.placesBefore.has(event)) this.placesBefore.set(event, event.at);
			}
			remedy.apply();
			this.path.push(remedy);
			const choices = this.choices();
			const explored = (this.explored.get(choices) ?? DEPTH) <= depth;
			const ends = again && depth + 1 >= DEPTH;
			if (explored || ends || (!again && this.tried.has(choices))) {
				this.path.pop();
				remedy.undo();
				if (ends && !this.explored.has(choices)) this.tooDeep.add(choices);
				if (!explored && !again) without.push(remedy);
				continue;
			}
			this.tried.add(choices);
			this.attempts++;
			const from = Math.min(floor, player.events.from(remedy.line));
			this.earliestReplayed = Math.min(this.earliestReplayed, from);
			const next = this.replay(from, reach);
			if (next === null) {
				this.wayFrom = from;
				return true;
			}
			if (!again && next.reached <= contradiction.reached) without.push(remedy);
			else if (depth + 1 < DEPTH) {
				this.explored.set(choices, depth);
				this.tooDeep.delete(choices);
				if (this.explore(next, reach, from, depth + 1)) return true;
			} else if (!this.explored.has(choices)) this.tooDeep.add(choices);
			this.path.pop();
			remedy.undo();
		}
	}

	/**
	 * Plays the events from `from` to `reach` again. Returns the first contradiction of a line that
	 * is not settled; null if there is none.
	 */
	private replay(from: number, reach: number): Contradiction | null {
		const { player } = this;
		let mark = nth(this.marks, 0);
		for (const candidate of this.marks) if (candidate.cursor <= from) mark = candidate;
		player.back(mark);
		while (player.cursor < reach) {
			this.step();
			this.replayed++;
			this.replaysLeft--;
			const { contradiction } = player;
			if (contradiction !== null && !this.finalLines.has(contradiction.call.line)) {
				return contradiction;
			}
		}
		return null;
	}
}
