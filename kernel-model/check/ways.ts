// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Finds a way through a script. A recording is searched as it is (search.ts). If a line differs in
 * every way, two assumptions about the whole recording are changed, one after the other: that the
 * program read all data, and the clock.
 */
import { JIFFY } from "../../include/linux/timer.js";
import type { Parsed } from "../script/strace.js";
import type { Outcome, PlayOptions } from "./outcome.js";
import { Player } from "./play.js";
import { BACK, WHOLE } from "./recording.js";
import { isAloneIn, Search, type Way } from "./search.js";

/** Most lines that differ for which a whole search on other clocks is worth its time. */
const FEW = 8;
/** The distance of two phases that are tried, ms. */
const PHASE = 1;
/** A finer distance, ms. Two calls within a ms may be on both sides of a jiffy. */
const FINE_PHASE = 0.125;
/** Calls whose result no timer decides. */
const UNCLOCKED = new Set(["socket", "socketpair", "setsockopt", "dup", "dup2", "dup3", "fcntl"]);

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
	if (matches(found) || script.lines.length > WHOLE) return found;
	let best: Way = found;
	let { timersArmed } = found;
	const readsUnknown = options.unread === undefined && !showsReads(script);
	if (readsUnknown) {
		const unread = yield* search(script, { ...options, unread: true }, keep);
		if (matches(unread)) return unread;
		if (differing(unread).length < differing(best).length) best = unread;
		timersArmed ||= unread.timersArmed;
	}
	// A timer that runs between two calls may free a port, send an ACK or end a socket.
	const clocked = differing(best).some(({ call }) => !UNCLOCKED.has(call));
	if (!timersArmed || !clocked || !hasTimes(script)) return best;
	const unreads = readsUnknown ? [false, true] : [options.unread];
	const played = yield* playOnOtherClocks(script, options, unreads);
	if (played !== null || differing(best).length > FEW) return played ?? best;
	return (yield* searchOnOtherClocks(script, options, keep)) ?? best;
}

/** The best way on one clock, and whether a timer is armed at its end. */
function* search(
	script: Parsed,
	options: PlayOptions,
	keep: boolean,
): Generator<null, Way & { timersArmed: boolean }> {
	const search = new Search(script, options, BACK, keep);
	const way = yield* search.way();
	return { ...way, timersArmed: search.timersArmed };
}

/** Plays the likeliest way on each clock. Returns the first without a line that differs, or null. */
function* playOnOtherClocks(
	script: Parsed,
	options: PlayOptions,
	unreads: readonly (boolean | undefined)[],
): Generator<null, Way | null> {
	const alone = options.alone ?? isAloneIn(script);
	for (const clock of [...clocks([0, 1, 2, 4, 8], PHASE), ...clocks([0, 1], FINE_PHASE)]) {
		for (const unread of unreads) {
			const variant = { ...options, clock, alone, ...(unread === undefined ? {} : { unread }) };
			const way = playOneWay(script, variant);
			if (way !== null) return way;
			yield null;
		}
	}
	return null;
}

/** Searches on each clock. Returns the first way without a line that differs, or null. */
function* searchOnOtherClocks(
	script: Parsed,
	options: PlayOptions,
	keep: boolean,
): Generator<null, Way | null> {
	for (const clock of clocks([0, 1], PHASE)) {
		const variant = new Search(script, { ...options, clock }, BACK, keep);
		const way = yield* variant.way(true);
		if (!variant.gaveUp) return way;
	}
	return null;
}

/** Clocks to try: where in a jiffy the recording began, and how late timers ran. Both in ms. */
function* clocks(
	latenesses: readonly number[],
	step: number,
): Generator<{ phase: number; lateness: number }> {
	for (const lateness of latenesses) {
		for (let phase = 0; phase < JIFFY; phase += step) yield { phase, lateness };
	}
}

/** Plays one way without a search. Returns null at the first line that differs. */
function playOneWay(script: Parsed, options: PlayOptions): Way | null {
	const outcomes: Outcome[] = [];
	const player = new Player(script, options);
	const marks = [player.mark()];
	// The reasons of a way that differs are not shown.
	player.rangeFigures = false;
	for (const outcome of player.play()) {
		if (outcome.verdict === "mismatch") return null;
		outcomes.push(outcome);
	}
	player.rangeFigures = true;
	return { outcomes, player, marks };
}

const differing = ({ outcomes }: Way) => outcomes.filter(({ verdict }) => verdict === "mismatch");
const matches = (way: Way) => differing(way).length === 0;

const showsReads = ({ lines }: Parsed) =>
	lines.some((line) => line.kind === "call" && line.name === "read");
const hasTimes = ({ lines }: Parsed) =>
	lines.some((line) => line.kind === "call" && line.time !== null);
