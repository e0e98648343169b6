// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays one script on every known kernel version. Finds the lines whose results differ, the
 * versions, and the behaviour change that causes each difference.
 *
 * Random draws must not make versions differ. So the ports of one play are the wishes of the
 * others, as in check mode: each search chooses the wished port if some draw leads to it. The plays
 * of every version, with several seeds, supply wishes in turn. For each line the result with the
 * most different versions is shown. The responsible change is found by trial: the older version is
 * played with single changes of the newer one.
 */
import {
	type BehaviourChange,
	CHANGES,
	type ChangeName,
	firstOf,
} from "../../include/linux/version.js";
import { describeAddress } from "../machine/explain.js";
import { nth } from "../machine/nth.js";
import { answeringChangesOf, VERSION_NAMES, VERSIONS } from "../machine/versions.js";
import { type CallLine, formatCall, type Parsed, type ScriptError } from "../script/strace.js";
import { addTo } from "./lists.js";
import {
	type Answer,
	type Changes,
	type CompareOptions,
	Plays,
	type Slice,
} from "./matrix_plays.js";

export type { Answer, CompareOptions } from "./matrix_plays.js";

/** A line whose result differs between versions. */
export interface Difference {
	line: number;
	/** Name of the system call, or "$" for a set-up command. */
	call: string;
	/** The line without a result. */
	text: string;
	/** Versions oldest first; answers in the order of their first versions. */
	answers: (Answer & { versions: string[] })[];
	/** Names of CHANGES; "one+other" if both are needed. */
	changes: string[];
}

interface Version {
	name: string;
	changes: Changes;
}

/** Longest script, in lines, for which more seeds are tried. */
const SHORT = 200;
const SEEDS = [1, 2, 3, 4];

/** Called now and then, with the number of plays so far and the line that is played. */
export type OnPlay = (plays: number, line: number) => void;

/** A set of changes with some toggled: the symmetric difference of two sets. */
function toggled(changes: Changes, names: readonly ChangeName[]): Changes {
	const set = new Set(changes);
	for (const name of names) if (!set.delete(name)) set.add(name);
	return [...set].sort();
}

/**
 * Single changes that give an older version the result of a newer one; else a pair of changes; else
 * all.
 */
function* responsible(
	plays: Plays,
	wish: number,
	at: number,
	older: Changes,
	newer: Changes,
): Generator<Slice, string[]> {
	const differing = toggled(older, newer);
	const wanted = (yield* plays.answers(newer, wish))[at];
	function* makes(names: readonly ChangeName[]): Generator<Slice, boolean> {
		return (yield* plays.answers(toggled(older, names), wish))[at] === wanted;
	}
	const single: string[] = [];
	for (const name of differing) if (yield* makes([name])) single.push(name);
	if (single.length > 0 || differing.length === 1) return single;
	for (const [i, one] of differing.entries()) {
		for (const other of differing.slice(i + 1)) {
			if (yield* makes([one, other])) return [`${one}+${other}`];
		}
	}
	return [differing.join("+")];
}

/**
 * Plays a script on every version, or on those in `among`. Throws ScriptError for a line that no
 * version can play.
 */
export function compareVersions(
	script: Parsed,
	onPlay: OnPlay = () => {},
	options: CompareOptions = {},
	among: readonly string[] | null = null,
): Difference[] {
	const comparing = compareInSlices(script, options, among);
	for (;;) {
		const next = comparing.next();
		if (next.done === true) return next.value;
		onPlay(next.value.plays, next.value.line);
	}
}

/** As compareVersions(), in slices of some lines. */
export function* compareInSlices(
	script: Parsed,
	options: CompareOptions = {},
	among: readonly string[] | null = null,
): Generator<Slice, Difference[]> {
	const plays = new Plays(script, options);
	const compared = VERSIONS.filter(({ name }) => among === null || among.includes(name));
	const versions: Version[] = compared.map(({ name }) => ({
		name,
		changes: [...(answeringChangesOf(name) ?? [])].sort(),
	}));
	const kernels = new Map(versions.map(({ changes }) => [changes.join(" "), changes]));
	const seeds = plays.calls.size <= SHORT ? SEEDS : SEEDS.slice(0, 1);
	for (const seed of seeds) {
		for (const changes of kernels.values()) yield* plays.wish(changes, seed);
	}
	yield* refuseMeaningless(plays, [...kernels.values()]);
	const columns: Column[] = [];
	for (const wish of plays.wishes.keys()) {
		const all: string[][] = [];
		for (const { changes } of versions) all.push(yield* plays.answers(changes, wish));
		columns.push({ all, different: [...new Set(all)] });
	}
	const differences: Difference[] = [];
	for (const [at, { line, call: name, text }] of plays.rows.entries()) {
		const wish = tellingWish(columns, at);
		if (wish === null) continue;
		const answered = nth(columns, wish).all.map((keys) => nth(keys, at));
		const call = plays.calls.get(line);
		differences.push({
			line,
			call: name,
			text: call === undefined ? text : formatWithoutResult(call),
			answers: groupAnswers(versions, answered),
			changes: yield* changesBetween(plays, wish, at, versions, answered),
		});
	}
	return differences;
}

/** The results of all lines with one set of wishes, as texts. */
interface Column {
	/** Of every version. */
	all: string[][];
	/** Those of `all` that may be different: versions that are played as one are there once. */
	different: string[][];
}

/** Throws the ScriptError of a line that has no meaning on any kernel. */
function* refuseMeaningless(plays: Plays, kernels: readonly Changes[]): Generator<Slice, void> {
	const errors: ReadonlyMap<number, ScriptError>[] = [];
	for (const changes of kernels) errors.push(yield* plays.errors(changes));
	const everywhere = [...(errors[0] ?? [])].find(([at]) => errors.every((found) => found.has(at)));
	if (everywhere !== undefined) throw everywhere[1];
}

/**
 * The set of wishes with which a line has the most different results; null if it has the same result
 * everywhere with each set.
 */
function tellingWish(columns: readonly Column[], at: number): number | null {
	let telling: number | null = null;
	let most = 1;
	for (const [wish, { different }] of columns.entries()) {
		if (different.length <= most) continue;
		const count = new Set(different.map((keys) => keys[at])).size;
		if (count > most) [telling, most] = [wish, count];
	}
	return telling;
}

/** The results of a line, each with the versions that give it. `answered` has them by version. */
function groupAnswers(
	versions: readonly Version[],
	answered: readonly string[],
): Difference["answers"] {
	const groups = new Map<string, string[]>();
	for (const [i, { name }] of versions.entries()) addTo(groups, nth(answered, i), name);
	return [...groups].map(([key, names]) => {
		const answer: Answer = JSON.parse(key);
		return { versions: names, ...answer };
	});
}

/** The changes that make the results of a line differ between a version and the one before it. */
function* changesBetween(
	plays: Plays,
	wish: number,
	at: number,
	versions: readonly Version[],
	answered: readonly string[],
): Generator<Slice, string[]> {
	const changes = new Set<string>();
	for (const i of versions.keys()) {
		if (i === 0 || answered[i] === answered[i - 1]) continue;
		for (const [older, newer] of neighbours(versions, answered, i)) {
			for (const change of yield* responsible(plays, wish, at, older, newer)) changes.add(change);
		}
	}
	return [...changes];
}

/**
 * The versions to compare if the results of version `i` and the version before it differ. These two
 * are compared. If the version before has backports that `i` lacks, the nearest version with
 * another result is also compared.
 */
function neighbours(
	versions: readonly Version[],
	answered: readonly string[],
	i: number,
): [Changes, Changes][] {
	const [older, newer] = [nth(versions, i - 1).changes, nth(versions, i).changes];
	const pairs: [Changes, Changes][] = [[older, newer]];
	if (older.every((name) => newer.includes(name))) return pairs;
	let nearest = newer;
	for (const [j, { changes }] of versions.entries()) {
		if (answered[j] === answered[i - 1]) continue;
		if (toggled(older, changes).length < toggled(older, nearest).length) nearest = changes;
	}
	if (nearest !== newer) pairs.push([older, nearest]);
	return pairs;
}

/** Number of arguments that a call reads. The recorded kernel filled in the others. */
const READ: Readonly<Record<string, number>> = {
	accept: 1,
	accept4: 1,
	getpeername: 1,
	getsockname: 1,
	getsockopt: 3,
};

/** A call without the values that the recorded kernel returned. */
function formatWithoutResult({ name, args, result, text }: CallLine): string {
	if (result === null) return text;
	const read = READ[name];
	if (read === undefined) return text.replace(/^(.*\))\s+= .*$/s, "$1");
	return formatCall(name, args.slice(0, read)).replace(/\)$/, ", ...)");
}

/** Formats versions, with consecutive ones as a range: "6.3 – 6.6, 6.8". */
export function formatVersions(names: readonly string[]): string {
	const ranges: string[][] = [];
	let before = -2;
	for (const name of names) {
		const at = VERSION_NAMES.indexOf(name);
		const range = ranges.at(-1);
		if (range !== undefined && at === before + 1) range.push(name);
		else ranges.push([name]);
		before = at;
	}
	return ranges
		.map((range) => (range.length === 1 ? range[0] : `${range[0]} – ${range.at(-1)}`))
		.join(", ");
}

/** "EADDRINUSE", "0, port 40000". */
export function formatAnswer({ result, error, address, value, port }: Answer): string {
	const words = [error ?? String(result)];
	if (address !== undefined) words.push(describeAddress(address));
	if (value !== undefined) words.push(value);
	if (port !== undefined) words.push(`port ${port}`);
	return words.join(", ");
}

/** The first release and the commits of a change. */
function commitsOf(
	changes: readonly string[],
): Record<string, Pick<BehaviourChange, "since" | "commit">> {
	return Object.fromEntries(
		changesNamed(changes).map(({ name, since, commit }) => [name, { since, commit }]),
	);
}

function changesNamed(changes: readonly string[]): BehaviourChange[] {
	const names = new Set(changes.flatMap((text) => text.split("+")));
	return CHANGES.filter(({ name }) => names.has(name));
}

/** Changes that act together, with their commits: "one (6.8, d91ef1e1b55f)". */
function withCommits(names: string): string {
	return changesNamed([names])
		.map((change) => `${change.name} (${firstOf(change)})`)
		.join(" + ");
}

/** A difference as lines of text; `styled` colours them. */
export function formatDifference(
	file: string,
	{ line, text, answers, changes }: Difference,
	styled: (style: string, text: string) => string,
): string {
	const groups = answers.map(({ versions }) => formatVersions(versions));
	const width = Math.max(...groups.map((group) => group.length));
	return [
		`${styled("2", `${file}:${line}:`)} ${text}`,
		...answers.map(
			(answer, i) => `    ${`${groups[i]}:`.padEnd(width + 2)}${formatAnswer(answer)}`,
		),
		...changes.map((names) => `    ${styled("33", `# ${withCommits(names)}`)}`),
		"",
	].join("\n");
}

/**
 * The output of the command for a script, each difference as plain text, and whether versions
 * differ.
 */
export function reportMatrix(
	script: Parsed,
	json: boolean,
	styled: (style: string, text: string) => string,
	options: CompareOptions = {},
	onPlay: OnPlay = () => {},
): { output: string; details: string[]; differ: boolean } {
	const differences = compareVersions(script, onPlay, options);
	const differ = differences.length > 0;
	const plain = (_style: string, text: string) => text;
	const details = differences.map((one) => formatDifference(script.file, one, plain));
	if (json) {
		const output = differences
			.map((difference) => {
				const commits = commitsOf(difference.changes);
				return `${JSON.stringify({ ...difference, commits })}\n`;
			})
			.join("");
		return { output, details, differ };
	}
	const lines = script.lines.filter(({ kind }) => kind === "call" || kind === "setup").length;
	const changes = new Set(differences.flatMap((difference) => difference.changes));
	const summary = differ
		? `${differences.length} of ${lines} lines differ between versions: ${[...changes].join(", ")}`
		: `${lines} lines, answered alike by ${formatVersions(VERSION_NAMES)}`;
	const output = [
		...differences.map((difference) => formatDifference(script.file, difference, styled)),
		`${styled(differ ? "33" : "32", `# ${script.file}: ${summary}`)}\n`,
	].join("");
	return { output, details, differ };
}
