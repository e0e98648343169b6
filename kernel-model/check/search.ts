// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Looks for a way: a set of decisions with which the modelled kernel gives every recorded result. A
 * recording is played forward with the likeliest decisions. If the result of a line is impossible
 * with them, this is a contradiction. remedies.ts names the decisions that it depends on. The
 * search changes the nearest of them, returns to a mark before it and plays on (tryRemedy()). A new
 * contradiction on the way is explored in the same manner, to a bounded depth (explore()). It goes
 * on until the recorded result is possible or nothing is left to try (settle()).
 */
import { EAGAIN, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import type { Parsed } from "../script/strace.js";
import { isAlone } from "./alone.js";
import { readDraws } from "./exact.js";
import { Facts, type Remedy } from "./facts.js";
import { Marks } from "./marks.js";
import type { Event } from "./order.js";
import type { Outcome, PlayOptions } from "./outcome.js";
import { type Mark, Player } from "./play.js";
import { BACK, Recording, topOf } from "./recording.js";
import { remediesOf } from "./remedies.js";
import { TriedChoices } from "./tried_choices.js";
import type { Contradiction } from "./turn.js";

/** Least number of events between two marks, before the first contradiction and after it. */
const SPARSE_MARKS = 2048;
const DENSE_MARKS = 128;
/** Most decisions that are changed at a time for one contradiction. */
const DEPTH = 6;
/** Most attempts for one contradiction. */
const ATTEMPTS = 60;
/** Most events that are played again for one contradiction. */
const REPLAYED = 20_000;
/** As many for a whole recording. This limit grows by one with each event. */
const REPLAYED_AT_ALL = 150_000;
/** Events between two calls of PlayOptions.onStep, a power of two. */
const TICK = 256;
/** Events between two calls of letGo(). */
const LET_GO = 1024;

/** A way through a script: its outcomes, and the player that found it. */
export interface Way {
	outcomes: Outcome[];
	player: Player;
	/** Marks of the player, the earliest first. */
	marks: Mark[];
}

/** Whether only the recorded processes of a script use its namespace. */
export function isAloneIn(script: Parsed): boolean {
	return topOf(script.lines)?.alone ?? (readDraws(script) !== null || isAlone(script.lines));
}

/** How an attempt with one more remedy ended. */
type Attempt =
	/** The contradiction is resolved, and the remedy stays applied. */
	| "found"
	/** The search has reached a bound. */
	| "bound"
	/** The remedy on its own gets no further than the contradiction. */
	| "no further"
	| "failed";

export class Search {
	/** The player of the way that is tried. */
	readonly player: Player;
	private readonly recording: Recording;
	private readonly facts: Facts;
	private readonly marks: Marks;
	private readonly tried: TriedChoices;
	/** Lines with a final verdict: no way gives the recorded result. */
	private readonly finalLines = new Set<number>();
	/** How many events may still be played again. */
	private replaysLeft = REPLAYED_AT_ALL;
	/** The first line that may be played again. */
	private firstReplayable = 0;
	/** Index of the event at which letGo() is called next. */
	private nextLetGo: number;
	/** Number of events played so far. */
	private steps = 0;
	/** Number of attempts for the present contradiction. */
	private attempts = 0;
	/** Number of events played again for it. */
	private replayed = 0;
	/** The search for a way out of it ended at a bound. */
	private atBound = false;
	/** Index of the event from which the way that resolved it was played again. */
	private wayFrom = 0;
	/** The lowest index from which any attempt for it was played again. */
	private earliestReplayed = 0;
	/** There was a contradiction. */
	private differed = false;
	/** run() gave up at a line that differs. */
	gaveUp = false;
	/** A remedy for it that is too far back to be tried, in words; null for none. */
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
		const alone = options.alone ?? (script instanceof Recording ? script.alone : isAloneIn(script));
		this.player = new Player(script, { ...options, alone }, this.facts);
		this.recording = this.player.recording;
		this.marks = new Marks(this.player);
		this.tried = new TriedChoices(this.player.events);
	}

	/** Whether a timer is armed after the last way. */
	get timersArmed(): boolean {
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
		return { outcomes, player: this.player, marks: this.marks.list };
	}

	/** Yields the events as run() does, and null after some events. */
	private *slices(strictly: boolean): Generator<Event | null> {
		const { player, recording } = this;
		this.marks.addAfter(0);
		while (recording.has(player.cursor)) {
			// Before the first contradiction fewer marks are enough.
			const least = this.differed ? DENSE_MARKS : Math.min(SPARSE_MARKS, this.back >> 2);
			this.marks.addAfter(Math.max(least, player.kernel.sock.used >> 2));
			this.step();
			if ((this.steps & (TICK - 1)) === 0) yield null;
			this.replaysLeft++;
			this.resolveAll(strictly);
			if (this.gaveUp) return;
			if (player.cursor >= this.nextLetGo) yield* this.letGo();
		}
		if (!this.keep) yield* recording.drop(recording.events.end);
		else for (let at = 0; at < recording.events.end; at++) yield recording.events.get(at);
	}

	/** Resolves the contradiction of the last call, if any, and those at which the play then ends. */
	private resolveAll(strictly: boolean): void {
		let next = this.openContradiction();
		if (next !== null && !this.differed) next = this.refine(next);
		while (next !== null && !this.gaveUp) {
			const { event } = next;
			next = this.resolve(next);
			this.gaveUp = strictly && event.outcome?.verdict === "mismatch";
		}
	}

	/**
	 * The contradiction of the last call; null for none, or if its line is final. A final line may be
	 * reached again after a play that ended at another line.
	 */
	private openContradiction(): Contradiction | null {
		const { contradiction } = this.player;
		if (contradiction === null || this.finalLines.has(contradiction.call.line)) return null;
		return contradiction;
	}

	/** Drops events, facts and marks that are too far back for the search. Returns the events. */
	private letGo(): Event[] {
		const { player, recording, marks, facts } = this;
		const { events } = recording;
		this.nextLetGo = player.cursor + LET_GO;
		// The search can go back only to a mark, so one mark before the bound is kept.
		if (this.keep) {
			const far = marks.list.findLast(({ cursor }) => player.cursor - cursor >= this.back);
			this.firstReplayable = events.at(far?.cursor ?? 0)?.at ?? this.firstReplayable;
			return [];
		}
		marks.dropBeyond(this.back);
		const { cursor } = marks.first;
		const dropped = recording.drop(cursor);
		this.firstReplayable = events.at(cursor)?.at ?? this.firstReplayable;
		facts.forget(this.firstReplayable);
		player.world.forget(this.firstReplayable);
		facts.forgetSecrets(player.world.firstQuestion);
		for (const line of this.finalLines) {
			if (line < this.firstReplayable) this.finalLines.delete(line);
		}
		return dropped;
	}

	/** Plays the next event and keeps its outcome. */
	private step(): void {
		const { player } = this;
		const outcome = player.step();
		const event = player.events.get(player.cursor - 1);
		const { line } = event.line;
		if ((++this.steps & (TICK - 1)) === 0) player.world.options.onStep?.(line);
		if (event.line.kind === "call") event.line.forgetArgs?.();
		// A final line that has no effect keeps its outcome.
		if (outcome === null && this.facts.skipped.has(line)) return;
		// A final line keeps its proof.
		const proved = event.outcome?.proof != null && this.finalLines.has(line);
		if (proved && outcome?.verdict === "mismatch" && outcome.proof === null) return;
		event.outcome = outcome;
		if (outcome !== null) player.world.options.onOutcome?.(outcome);
	}

	/** At the first contradiction: plays again from the last mark and sets marks closer together. */
	private refine(contradiction: Contradiction): Contradiction {
		const { player, marks } = this;
		this.differed = true;
		const reach = player.cursor;
		player.back(marks.last);
		while (player.cursor < reach) {
			marks.addAfter(DENSE_MARKS);
			this.step();
		}
		return player.contradiction ?? contradiction;
	}

	/**
	 * Looks for decisions that resolve a contradiction. If there are none, the line gets its final
	 * verdict. Returns the contradiction of another line at which the play then ended; null for none.
	 */
	private resolve(contradiction: Contradiction): Contradiction | null {
		const { player } = this;
		this.attempts = 0;
		this.replayed = 0;
		this.tried.begin();
		this.atBound = false;
		this.tooFarBack = null;
		const reach = player.cursor;
		// Attempts overwrite the outcomes of the events that they play again.
		const { outcome } = contradiction.event;
		const mayBe = contradiction.certain === null && this.replaysLeft > 0;
		// The reasons of attempts are not shown.
		player.rangeFigures = false;
		this.earliestReplayed = reach;
		const found = mayBe && this.explore(contradiction, reach, reach, 0);
		player.rangeFigures = true;
		if (!found) return this.settle(contradiction, outcome, reach);
		// Failed attempts may have begun earlier.
		const next =
			this.earliestReplayed < this.wayFrom ? this.replay(this.earliestReplayed, reach) : null;
		this.marks.dropAfter(this.wayFrom);
		return next;
	}

	/**
	 * Nothing resolves a contradiction, so its line is final. `outcome` is that of the line before the
	 * attempts. Plays again to `reach` without the attempts. Returns as resolve() does.
	 */
	private settle(
		contradiction: Contradiction,
		outcome: Outcome | null,
		reach: number,
	): Contradiction | null {
		const { player, facts } = this;
		const { call, task, event, recorded, result } = contradiction;
		const { line } = call;
		const changed = Math.min(this.earliestReplayed, contradiction.index);
		this.finalLines.add(line);
		this.noteUnproved(line, outcome);
		if (this.meetsStranger(contradiction)) {
			facts.outsideClients.set(line, outcome?.reason ?? "");
			return this.replay(changed, reach);
		}
		// A call that failed on the kernel has no effect here. Later lines then do not differ because
		// of this one.
		let next: Contradiction | null = null;
		const undone = recorded !== null && recorded < 0 && result >= 0 && this.replaysLeft > 0;
		if (undone) {
			facts.skipped.add(line);
			if (!player.world.alone || facts.unresolved.has(line)) {
				facts.skippedDoubts.set(line, outcome?.reason ?? "");
			}
			next = this.replay(changed, reach);
			event.outcome = outcome;
		} else if (this.attempts > 0) return this.replay(changed, reach);
		const unresolved = facts.unresolved.get(line);
		if (outcome === null || unresolved === undefined) return next;
		[outcome.verdict, outcome.reason, outcome.proof] = ["undecided", unresolved, null];
		const sk = undone ? 0 : player.world.sk(task, call);
		if (sk !== 0) player.world.doubts.set(sk, unresolved);
		return next;
	}

	/** If the search ended at a bound, a mismatch is not proved: notes why the line is undecided. */
	private noteUnproved(line: number, outcome: Outcome | null): void {
		if (this.replaysLeft <= 0 || this.tried.endedTooDeep) this.atBound = true;
		if (outcome?.verdict !== "mismatch" || (!this.atBound && this.tooFarBack === null)) return;
		const why = this.atBound
			? "the search for a way ended at its bound"
			: `the result is possible if ${this.tooFarBack}, but this is too far back for the search`;
		this.facts.unresolved.set(line, `${outcome.reason}; ${why}`);
	}

	/** Whether an accept() returned a client that no recorded call can be. */
	private meetsStranger({ call, recorded, result, event }: Contradiction): boolean {
		if (!/^accept4?$/.test(call.name) || this.replaysLeft <= 0) return false;
		if (this.player.world.alone || event.outcome?.verdict !== "undecided") return false;
		return (recorded ?? -1) >= 0 && (result === -EAGAIN || result === -ERESTARTSYS);
	}

	/**
	 * Tries the remedies of a contradiction, on top of those that are applied. Returns whether the
	 * events up to `reach` then play without a contradiction. `from` is the index from which the
	 * present play differs, and `depth` the number of remedies that are applied.
	 */
	private explore(
		contradiction: Contradiction,
		reach: number,
		from: number,
		depth: number,
	): boolean {
		// A remedy that gets no further on its own is tried again last, together with others.
		const withOthers: Remedy[] = [];
		for (const remedy of remediesOf(this.player, contradiction)) {
			const attempt = this.tryRemedy(remedy, contradiction, reach, from, depth, false);
			if (attempt === "found") return true;
			if (attempt === "bound") return false;
			if (attempt === "no further") withOthers.push(remedy);
		}
		for (const remedy of withOthers) {
			const attempt = this.tryRemedy(remedy, contradiction, reach, from, depth, true);
			if (attempt === "found") return true;
			if (attempt === "bound") return false;
		}
		if (contradiction.truncated) this.atBound = true;
		return false;
	}

	/**
	 * Plays again with one more remedy. If this ends at a later contradiction, explores that one; at
	 * the same contradiction, only if `withOthers` is set. The remedy is undone, unless it helps.
	 */
	private tryRemedy(
		remedy: Remedy,
		contradiction: Contradiction,
		reach: number,
		before: number,
		depth: number,
		withOthers: boolean,
	): Attempt {
		const { tried } = this;
		if (this.attempts >= ATTEMPTS || this.replayed > REPLAYED || this.replaysLeft <= 0) {
			this.atBound = true;
			return "bound";
		}
		if (remedy.line < this.firstReplayable) {
			this.tooFarBack ??= remedy.what;
			return "failed";
		}
		const deepest = depth + 1 >= DEPTH;
		const choices = tried.apply(remedy);
		const explored = tried.wasExplored(choices, depth);
		if (explored || (withOthers ? deepest : tried.wasPlayed(choices))) {
			tried.undo();
			if (withOthers && deepest) tried.endsAt(choices);
			return explored || withOthers ? "failed" : "no further";
		}
		tried.plays(choices);
		this.attempts++;
		const from = Math.min(before, this.player.events.from(remedy.line));
		this.earliestReplayed = Math.min(this.earliestReplayed, from);
		const next = this.replay(from, reach);
		if (next === null) {
			this.wayFrom = from;
			return "found";
		}
		const further = withOthers || next.reached > contradiction.reached;
		if (further && deepest) tried.endsAt(choices);
		else if (further) {
			tried.explores(choices, depth);
			if (this.explore(next, reach, from, depth + 1)) return "found";
		}
		tried.undo();
		return further ? "failed" : "no further";
	}

	/**
	 * Plays the events from `from` to `reach` again. Returns the first contradiction of a line that
	 * is not final; null if there is none.
	 */
	private replay(from: number, reach: number): Contradiction | null {
		const { player } = this;
		player.back(this.marks.before(from));
		while (player.cursor < reach) {
			this.step();
			this.replayed++;
			this.replaysLeft--;
			const contradiction = this.openContradiction();
			if (contradiction !== null) return contradiction;
		}
		return null;
	}
}
