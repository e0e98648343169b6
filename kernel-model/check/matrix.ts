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
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import type { Address } from "../machine/address.js";
import { describeAddress } from "../machine/explain.js";
import { nth } from "../machine/nth.js";
import { AskedChanges, answeringChangesOf, VERSION_NAMES, VERSIONS } from "../machine/versions.js";
import { EXHAUSTED } from "../script/calls.js";
import {
	type CallLine,
	formatCall,
	formatValue,
	type Parsed,
	type ScriptError,
} from "../script/strace.js";
import { optionValue } from "../script/values.js";
import { type Choice, type Outcome, Player, type PlayOptions } from "./player.js";

/** The result of a line on some versions. */
export interface Answer {
	/** The kernel's return value; null if the call would sleep or the line has no meaning. */
	result: number | null;
	/** Name of the errno. If `result` is null, the reason. */
	error?: string;
	/** The address that getsockname(), getpeername() or accept() returns. */
	address?: Address;
	/** The value that getsockopt() returns, in strace's syntax. */
	value?: string;
	/** The port that a search chose. */
	port?: number;
}

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

/** The user who makes the calls, and the state of the host before. */
export type CompareOptions = Pick<PlayOptions, "uid" | "host">;

/** Names of changes, sorted. Versions with the same set behave alike. */
type Changes = readonly ChangeName[];

interface Version {
	name: string;
	changes: Changes;
}

const BASE = nth(VERSIONS, 0).name;

/** Longest script, in lines, for which more seeds are tried. */
const SHORT = 200;
const SEEDS = [1, 2, 3, 4];

/** Called now and then, with the number of plays so far and the line that is played. */
export type OnPlay = (plays: number, line: number) => void;

/** A comparison goes on: the number of plays so far and the line that is played. */
interface Slice {
	plays: number;
	line: number;
}

/** Lines between two slices. */
const TICK = 128;

/** One play of the script, for all versions that give the same answers. */
interface Played {
	/** The changes that the play asked for, and whether it had them. */
	asked: ReadonlyMap<ChangeName, boolean>;
	seed: number | null;
	wishes: Wishes;
	/** The result of each line as a text. */
	keys: string[];
	/** The lines that have no meaning, by index. */
	errors: ReadonlyMap<number, ScriptError>;
	/** What the searches chose; null for a play with wishes. */
	chosen: Wishes | null;
}

/** Changes that a kernel asks for at boot, and that matter only to sockets of two protocols. */
const PROTOCOLS: ReadonlySet<ChangeName> = new Set(["udplite-removed", "dccp-removed"]);

/** A socket() that finds its protocol before UDP-Lite and DCCP. */
const TCP_OR_UDP =
	/^socket\([AP]F_INET6?, *SOCK_(STREAM|DGRAM)(\|SOCK_\w+)*, *(0|IPPROTO_(IP|TCP|UDP))\)/;

type Wishes = ReadonlyMap<CallLine, Choice>;

const NO_WISHES: Wishes = new Map();

/**
 * Plays of one script, by sets of changes and wishes. Sets that have the same of the changes for
 * which a play asks are played once.
 */
class Plays {
	readonly lines = new Map<number, CallLine>();
	/** The line and the call of each outcome. */
	readonly rows: { line: number; call: string; text: string }[] = [];
	/** All different wishes. */
	readonly wishes: Wishes[] = [];
	private readonly played: Played[] = [];
	private plays = 0;
	/** Every socket() of the script is plainly TCP or UDP. */
	private readonly plain: boolean;
	/** Equal results are kept once. */
	private readonly texts = new Map<string, string>();

	constructor(
		private readonly script: Parsed,
		private readonly options: CompareOptions,
	) {
		for (const line of script.lines) if (line.kind === "call") this.lines.set(line.line, line);
		this.plain = [...this.lines.values()].every(
			({ name, text }) => name !== "socket" || TCP_OR_UDP.test(text),
		);
	}

	/** Adds a version's own choices as wishes, if they are new. */
	*wish(changes: Changes, seed: number): Generator<Slice, void> {
		const { chosen } = yield* this.play(changes, seed, NO_WISHES);
		if (chosen === null || this.wishes.includes(chosen)) return;
		const same = (known: Wishes) =>
			known.size === chosen.size &&
			[...chosen].every(([call, { port, exhausted }]) => {
				const other = known.get(call);
				return other?.port === port && other.exhausted === exhausted;
			});
		if (!this.wishes.some(same)) this.wishes.push(chosen);
	}

	/**
	 * The results of a set of changes with some wishes, each as a text. Equal results have equal
	 * texts.
	 */
	*answers(changes: Changes, wish: number): Generator<Slice, string[]> {
		return (yield* this.play(changes, null, nth(this.wishes, wish))).keys;
	}

	/** Why lines have no meaning for a set of changes, by index. */
	*errors(changes: Changes): Generator<Slice, ReadonlyMap<number, ScriptError>> {
		return (yield* this.play(changes, null, nth(this.wishes, 0))).errors;
	}

	private *play(changes: Changes, seed: number | null, wishes: Wishes): Generator<Slice, Played> {
		const set = new AskedChanges(changes);
		const known = this.played.find(
			(one) =>
				one.seed === seed &&
				one.wishes === wishes &&
				[...one.asked].every(([name, has]) => set.has(name) === has),
		);
		if (known !== undefined) return known;
		set.asked.clear();
		const player = new Player(this.script, {
			...this.options,
			version: BASE,
			changes: set,
			own: { seed, wishes },
		});
		// Boot asks whether the kernel has UDP-Lite and DCCP. --host files ask for more.
		const boot = new Set(set.asked);
		set.asked.clear();
		const plays = ++this.plays;
		yield { plays, line: 0 };
		const keys: string[] = [];
		const errors = new Map<number, ScriptError>();
		const chosen = new Map<CallLine, Choice>();
		const first = this.rows.length === 0;
		for (const outcome of player.play()) {
			const { line, call, error } = outcome;
			if (error !== null) errors.set(keys.length, error);
			if (first) this.rows.push({ line, call, text: call === "$" ? outcome.text : "" });
			const key = JSON.stringify(answerOf(outcome));
			const text = this.texts.get(key);
			if (text === undefined) this.texts.set(key, key);
			keys.push(text ?? key);
			if (keys.length % TICK === 0) yield { plays, line };
			if (seed !== null) this.choice(outcome, chosen);
		}
		for (const name of boot) if (!this.plain || !PROTOCOLS.has(name)) set.asked.add(name);
		const asked = new Map([...set.asked].map((name) => [name, changes.includes(name)]));
		const played = { asked, seed, wishes, keys, errors, chosen: seed === null ? null : chosen };
		this.played.push(played);
		return played;
	}

	/** Notes what the search of a line chose. */
	private choice(outcome: Outcome, chosen: Map<CallLine, Choice>): void {
		const call = this.lines.get(outcome.line);
		if (call === undefined || outcome.call === "$") return;
		const exhausted = EXHAUSTED.has(nameOf(outcome.result));
		if (exhausted) chosen.set(call, { port: null, exhausted });
		else if (outcome.chosen !== null) chosen.set(call, { port: outcome.chosen, exhausted });
	}
}

function nameOf(result: number | null): string {
	return result !== null && result < 0 ? errnoName(-result) : "";
}

function answerOf(outcome: Outcome): Answer {
	const { result, error, address, value, chosen } = outcome;
	let name = nameOf(result);
	if (error !== null) name ||= `expected ${error.expected}`;
	else if (result === null) name = outcome.verdict === "ignored" ? "passed over" : "would sleep";
	return {
		result,
		...(name === "" ? {} : { error: name }),
		...(address === null ? {} : { address }),
		...(value === null ? {} : { value: formatValue(optionValue(value)) }),
		...(chosen === null ? {} : { port: chosen }),
	};
}

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
	const seeds = plays.lines.size <= SHORT ? SEEDS : SEEDS.slice(0, 1);
	for (const seed of seeds) {
		for (const changes of kernels.values()) yield* plays.wish(changes, seed);
	}
	const errors: ReadonlyMap<number, ScriptError>[] = [];
	for (const changes of kernels.values()) errors.push(yield* plays.errors(changes));
	const [first] = errors;
	if (first !== undefined) {
		const everywhere = [...first].find(([at]) => errors.every((found) => found.has(at)));
		if (everywhere !== undefined) throw everywhere[1];
	}
	const differences: Difference[] = [];
	/** For each set of wishes the results of every version, and those that may be different. */
	const columns: { all: string[][]; different: string[][] }[] = [];
	for (const wish of plays.wishes.keys()) {
		const all: string[][] = [];
		for (const { changes } of versions) all.push(yield* plays.answers(changes, wish));
		columns.push({ all, different: [...new Set(all)] });
	}
	for (const [at, { line, call: name, text }] of plays.rows.entries()) {
		let wish = 0;
		let kinds = 1;
		for (const [candidate, { different }] of columns.entries()) {
			if (different.length <= kinds) continue;
			const count = new Set(different.map((keys) => keys[at])).size;
			if (count > kinds) [wish, kinds] = [candidate, count];
		}
		if (kinds === 1) continue;
		const answers = new Map<string, string[]>();
		const changes = new Set<string>();
		const answered = nth(columns, wish).all.map((keys) => nth(keys, at));
		for (const [i, { name }] of versions.entries()) {
			const answer = nth(answered, i);
			const same = answers.get(answer);
			if (same === undefined) answers.set(answer, [name]);
			else same.push(name);
			if (i === 0 || answer === answered[i - 1]) continue;
			for (const [older, newer] of neighbours(versions, answered, i)) {
				for (const change of yield* responsible(plays, wish, at, older, newer)) {
					changes.add(change);
				}
			}
		}
		const call = plays.lines.get(line);
		differences.push({
			line,
			call: name,
			text: call === undefined ? text : formatWithoutResult(call),
			answers: [...answers].map(([key, names]) => {
				const answer: Answer = JSON.parse(key);
				return { versions: names, ...answer };
			}),
			changes: [...changes],
		});
	}
	return differences;
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
