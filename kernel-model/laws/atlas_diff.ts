// SPDX-License-Identifier: GPL-2.0-or-later
/** How the atlases of two versions differ, and which behaviour changes are the cause. */
import { CHANGES, firstOf } from "../../include/linux/version.js";
import { nth } from "../machine/nth.js";
import { changesOf } from "../machine/versions.js";
import {
	type Atlas,
	agrees,
	answerWord,
	askedOf,
	type Block,
	blocksOf,
	describe,
	isFree,
	keyOf,
	list,
	type Seat,
	UNKNOWN,
} from "./atlas.js";
import { PROTOCOL_NAMES, type Style, seatName, wrap } from "./atlas_text.js";
import { type First, Model, type Second } from "./pairs.js";

/** A pair to which two versions give different answers. */
interface Difference {
	readonly first: First;
	readonly second: Second;
	readonly before: number;
	readonly after: number;
	/**
	 * The oldest of CHANGES that makes this difference alone, if there is one. Later ones may have
	 * rewritten what it mended.
	 */
	causes: string[];
}

export interface Differences {
	readonly before: Atlas;
	readonly after: Atlas;
	readonly pairs: readonly Difference[];
	/** Pairs that only one of the versions can have. */
	readonly alone: number;
}

const nameOf = ({ place, device, options, ...rest }: First | Second) =>
	JSON.stringify([place.name, device, options, rest]);

export function differencesOf(before: Atlas, after: Atlas): Differences {
	const firsts = new Map(after.firsts.map((first, i) => [nameOf(first), i]));
	const seconds = new Map(after.seconds.map((second, i) => [nameOf(second), i]));
	const pairs: Difference[] = [];
	let shared = 0;
	for (const [i, first] of before.firsts.entries()) {
		const row = after.answers[firsts.get(nameOf(first)) ?? -1];
		for (const [j, answer] of askedOf(before, i)) {
			const second = nth(before.seconds, j);
			const now = row?.[seconds.get(nameOf(second)) ?? -1] ?? UNKNOWN;
			if (now === UNKNOWN) continue;
			shared++;
			if (now !== answer) pairs.push({ first, second, before: answer, after: now, causes: [] });
		}
	}
	if (pairs.length > 0) findCauses(before, after, pairs);
	for (const pair of pairs) {
		const [first = 0, ...others] = pair.causes.map(sinceOf);
		const oldest = Math.min(first, ...others);
		pair.causes = pair.causes.filter((name) => sinceOf(name) === oldest).slice(0, 1);
	}
	return { before, after, pairs, alone: before.pairs + after.pairs - 2 * shared };
}

/** The mainline release that has a change first, as a number: 6012 for 6.12. */
function sinceOf(name: string): number {
	const since = CHANGES.find((change) => change.name === name)?.since;
	if (since == null) return Number.POSITIVE_INFINITY;
	const [major, minor] = since.split(".").map(Number);
	return (major ?? 0) * 1000 + (minor ?? 0);
}

/** Tries each change alone: on the one version it makes the difference, or on the other unmakes it. */
function findCauses(before: Atlas, after: Atlas, pairs: readonly Difference[]): void {
	const had = changesOf(before.version) ?? new Set();
	const has = changesOf(after.version) ?? new Set();
	const rows = new Map<First, Difference[]>();
	for (const pair of pairs) {
		const row = rows.get(pair.first);
		if (row === undefined) rows.set(pair.first, [pair]);
		else row.push(pair);
	}
	const tryIt = (version: string, wanted: "before" | "after", name: string) => {
		const model = new Model(version, before.protocol);
		for (const [first, row] of rows) {
			const answers = model.run(
				first,
				row.map(({ second }) => second),
			);
			for (const [i, pair] of row.entries())
				if (answers?.[i] === pair[wanted] && !pair.causes.includes(name)) pair.causes.push(name);
		}
	};
	for (const { name } of CHANGES) {
		const change = [...had, ...has].find((known) => known === name);
		if (change === undefined || (had.has(change) && has.has(change))) continue;
		const added = has.has(change);
		tryIt(`${before.version}${added ? "+" : "-"}${name}`, "after", name);
	}
	const left = pairs.filter(({ causes }) => causes.length === 0);
	if (left.length === 0) return;
	for (const [first, row] of rows) {
		const its = row.filter((pair) => left.includes(pair));
		if (its.length === 0) rows.delete(first);
		else rows.set(first, its);
	}
	for (const { name } of CHANGES) {
		const change = [...had, ...has].find((known) => known === name);
		if (change === undefined || (had.has(change) && has.has(change))) continue;
		tryIt(`${after.version}${has.has(change) ? "-" : "+"}${name}`, "before", name);
	}
}

/** Pairs of places with the same difference. */
interface Same {
	/** Transitions by row and column: 0 for none, else a number of `transitions`; UNKNOWN. */
	readonly block: Block;
	/** "" or what becomes of the addresses: they meet, or do not meet any more. */
	readonly meeting: "" | "meet" | "part";
	readonly seats: [Seat, Seat][];
}

/** The differences in words. */
export function printDifferences(differences: Differences, style: Style): string[] {
	const { before, after, pairs, alone } = differences;
	const name = PROTOCOL_NAMES[before.protocol];
	const lines = [
		style(
			"1",
			`${name}, Linux ${before.version} and ${after.version}: ${pairs.length} of ${before.pairs} pairs differ`,
		),
	];
	if (alone > 0) lines.push(`  ${alone} pairs are possible on one of the versions only.`);
	const causes = new Map<string, Difference[]>();
	for (const pair of pairs) {
		const key = pair.causes.join(" or ");
		const its = causes.get(key);
		if (its === undefined) causes.set(key, [pair]);
		else its.push(pair);
	}
	for (const its of causes.values()) {
		lines.push("");
		const changes = CHANGES.filter((change) => its[0]?.causes.includes(change.name));
		if (changes.length === 0) lines.push(style("1", `No single change: ${its.length} pairs`));
		for (const change of changes) {
			lines.push(style("1", `${change.name} (${firstOf(change)}): ${its.length} pairs`));
			lines.push(...wrap(change.summary, "  "));
		}
		lines.push(...causeLines(differences, its));
	}
	return lines;
}

function causeLines({ before, after }: Differences, its: readonly Difference[]): string[] {
	const old = blocksOf(before);
	const now = blocksOf(after);
	const mine = new Map(its.map((pair) => [`${nameOf(pair.first)}${nameOf(pair.second)}`, pair]));
	const transitions: [number, number][] = [];
	/** The number of a transition, from 1 on. */
	const numberOf = (from: number, to: number) => {
		let at = transitions.findIndex(([a, b]) => a === from && b === to);
		if (at < 0) at = transitions.push([from, to]) - 1;
		return at + 1;
	};
	const changed = blocksOf({
		...before,
		answers: before.firsts.map((first, i) => {
			const row = Int16Array.from(nth(before.answers, i), (answer) => Math.min(answer, 0));
			for (const [j] of askedOf(before, i)) {
				const second = nth(before.seconds, j);
				const pair = mine.get(`${nameOf(first)}${nameOf(second)}`);
				if (pair !== undefined) row[j] = numberOf(pair.before, pair.after);
			}
			return row;
		}),
	});
	const seats = new Map<string, [Seat, Seat]>();
	for (const { first, second } of its) seats.set(keyOf(first, second), [first, second]);
	const found: Same[] = [];
	for (const [key, pair] of seats) {
		const block = changed.get(key);
		const was = old.get(key);
		const is = now.get(key);
		if (block === undefined || was === undefined || is === undefined) continue;
		const [one, two] = pair;
		// With devices it is as without.
		if (one.device !== "" || two.device !== "") {
			const plain = keyOf({ ...one, device: "" }, { ...two, device: "" });
			const base = changed.get(plain);
			if (base !== undefined && !isFree(base) && agrees(base, block)) continue;
		}
		const meeting = isFree(was) ? "meet" : isFree(is) ? "part" : "";
		const same = found.find(
			(other) => other.meeting === meeting && (meeting !== "" || agrees(other.block, block)),
		);
		if (same === undefined) found.push({ block, meeting, seats: [pair] });
		else same.seats.push(pair);
	}
	const lines: string[] = [];
	for (const { block, meeting, seats: places } of found) {
		if (meeting !== "") {
			const [was, is] = meeting === "meet" ? ["do not meet", "meet"] : ["meet", "do not meet"];
			const text = `Addresses that ${was} in ${before.version}, and ${is} in ${after.version}:`;
			lines.push(...wrap(text, "  "));
		} else {
			for (const [i, [from, to]] of transitions.entries()) {
				const when = describe(block, (answer) => answer === i + 1);
				if (when.length === 0) continue;
				const [was, is] = [from, to].map(answerWord);
				lines.push(...wrap(`"${was}" in ${before.version}, "${is}" in ${after.version}, if`, "  "));
				for (const [at, condition] of when.entries())
					lines.push(
						...wrap(`- ${condition}${at < when.length - 1 ? ", or" : "."}`, "    ", "      "),
					);
			}
			lines.push("  at these addresses:");
		}
		for (const line of seatLines(places)) lines.push(...wrap(line, "    ", "      "));
	}
	return lines;
}

/** Pairs of places, those with the same newcomers in one line. */
function seatLines(places: readonly [Seat, Seat][]): string[] {
	const seconds = new Map<string, string[]>();
	for (const [one, two] of places) {
		const name = seatName(one);
		seconds.set(name, [...(seconds.get(name) ?? []), seatName(two)]);
	}
	const firsts = new Map<string, string[]>();
	for (const [first, its] of seconds) {
		const name = list(its, "or");
		firsts.set(name, [...(firsts.get(name) ?? []), first]);
	}
	return [...firsts].map(([its, names]) => `${list(names, "or")}, then ${its}`);
}
