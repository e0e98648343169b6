// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Joins what campaigns printed with --json: the shards of one campaign (`fuzz merge`, `replay merge`),
 * or all campaigns of a file that --log wrote (`fuzz sum`, `replay sum`).
 */
import { appendFileSync } from "node:fs";
import { nth } from "../machine/nth.js";
import { firstOf } from "../real/campaign/campaign.js";
import { readFile, reasonOf, UsageError } from "./terminal.js";

/** What a campaign says of itself in one line of JSON. */
export interface Summary {
	kernel: string;
	model: string;
	seed: number | null;
	/** The share of the programs, such as 2/4. Shares that were merged are one: 1/1. */
	shard: string;
	operations: number;
	programs: number;
	/** Calls that the model leaves out. */
	ignored: number;
	searches: number;
	/** Searches that found no port. */
	exhausted: number;
	mismatches: number;
	seconds: number;
	/** The number of the first program; 0 if not given. */
	from?: number;
	/** The first program that was not run, if the campaign was interrupted. */
	next?: number;
	/** The programs that differ. */
	differences: { at: number; reason: string; script: readonly string[] }[];
	/** Draws of the kernel's port searches, which `replay` compares. */
	draws?: number;
	/** Counts by name: of the answers, of ports that were passed over, of ports that were refused. */
	answers?: Record<string, number>;
	skipped?: Record<string, number>;
	refused?: Record<string, number>;
}

const NUMBERS = [
	"operations",
	"programs",
	"ignored",
	"searches",
	"exhausted",
	"mismatches",
	"seconds",
] as const;
const COUNTS = ["answers", "skipped", "refused"] as const;

/** The JSON objects of files that `command --json` wrote, each with its place. Throws UsageError. */
export function* objectsIn(
	command: string,
	files: readonly string[],
): Generator<[where: string, object: object]> {
	for (const file of files) {
		let empty = true;
		for (const [i, line] of readFile(file).split("\n").entries()) {
			if (line.trim() === "") continue;
			empty = false;
			const where = `${file}:${i + 1}`;
			const object = objectOf(line);
			if (object === null) throw notOurs(where, command);
			yield [where, object];
		}
		if (empty) throw new UsageError(`${file}: expected a line of ${command} --json, found none`);
	}
}

function objectOf(line: string): object | null {
	try {
		const object: unknown = JSON.parse(line);
		return typeof object === "object" ? object : null;
	} catch {
		return null;
	}
}

function notOurs(where: string, command: string): UsageError {
	return new UsageError(`${where}: expected a line of ${command} --json`);
}

/** The lines of `fuzz --json` or `replay --json` in files, each with its place. Throws UsageError. */
function* summariesIn(
	command: string,
	files: readonly string[],
): Generator<[where: string, summary: Summary]> {
	for (const [where, object] of objectsIn(command, files)) {
		const fields: Partial<Record<keyof Summary, unknown>> = object;
		const numbers = NUMBERS.every((name) => typeof fields[name] === "number");
		const texts = [fields.kernel, fields.model, fields.shard].every((x) => typeof x === "string");
		const share = /^[1-9][0-9]*\/[1-9][0-9]*$/.test(String(fields.shard));
		if (!numbers || !texts || !share || !Array.isArray(fields.differences))
			throw notOurs(where, command);
		yield [where, object as Summary];
	}
}

function sum(one: Record<string, number> = {}, other: Record<string, number> = {}) {
	const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
	return Object.fromEntries(names.map((name) => [name, (one[name] ?? 0) + (other[name] ?? 0)]));
}

function add(total: Summary, more: Summary): Summary {
	const sums = NUMBERS.map((name) => [name, total[name] + more[name]]);
	const counts = COUNTS.filter((name) => total[name] !== undefined || more[name] !== undefined);
	return {
		...total,
		...Object.fromEntries(sums),
		...Object.fromEntries(counts.map((name) => [name, sum(total[name], more[name])])),
		...(total.draws === undefined ? {} : { draws: total.draws + (more.draws ?? 0) }),
		differences: [...total.differences, ...more.differences],
	};
}

/** The totals of a kernel over its shards, and what is missing from them. */
export interface Merged {
	total: Summary;
	/** Shards that are missing, and what is left of those that were interrupted. */
	missing: string[];
}

/** Joins the lines of files, by kernel, model and seed. Throws UsageError. */
export function merge(command: string, files: readonly string[]): Merged[] {
	const groups = new Map<string, Summary[]>();
	for (const [where, one] of summariesIn(command, files)) {
		const key = `${one.kernel} ${one.model} ${one.seed}`;
		const group = groups.get(key) ?? [];
		groups.set(key, group);
		const [first] = group;
		const sizeOf = ({ shard }: Summary) => nth(shard.split("/"), 1);
		if (first !== undefined && sizeOf(first) !== sizeOf(one)) {
			throw new UsageError(`${where}: shard ${one.shard} beside shard ${first.shard}`);
		}
		// A shard that went on after an interruption is there more than once.
		const twice = group.some(({ shard, next }) => shard === one.shard && next === undefined);
		if (twice && one.next === undefined)
			throw new UsageError(`${where}: shard ${one.shard} is there twice`);
		group.push(one);
	}
	return [...groups.values()].map((group) => {
		const [first, ...rest] = group;
		if (first === undefined) throw new RangeError("a group without a shard");
		const { next: _, ...total } = { ...rest.reduce(add, first), shard: "1/1" };
		return { total, missing: missingOf(group) };
	});
}

function missingOf(group: readonly Summary[]): string[] {
	const [first] = group;
	const size = Number(first?.shard.split("/")[1]);
	const missing: string[] = [];
	for (let i = 1; i <= size; i++) {
		const name = `${i}/${size}`;
		const parts = group.filter(({ shard }) => shard === name);
		if (parts.length === 0) missing.push(`shard ${name} is missing`);
		else if (parts.every(({ next }) => next !== undefined)) {
			const next = Math.max(...parts.map((part) => part.next ?? 0));
			missing.push(`shard ${name} was interrupted: go on with --shard ${name} --from ${next}`);
		}
	}
	return missing;
}

// Logs of many campaigns

/**
 * Adds a line about a campaign to a file. Creates the file if there is none. The line leaves out the
 * counts by name. Throws UsageError.
 */
export function log(file: string, { answers, skipped, refused, ...line }: Summary): void {
	try {
		appendFileSync(file, `${JSON.stringify(line)}\n`);
	} catch (error) {
		throw new UsageError(`--log: ${file}: ${reasonOf(error)}`);
	}
}

/** What the campaigns of one kernel and model did together. */
interface Sum {
	total: Summary;
	/** How many seeds they had. */
	seeds: number;
}

/**
 * Adds up the campaigns of files, by upstream release and model. Interrupted campaigns count as
 * far as they came. Throws UsageError if a program is there twice.
 */
export function sums(command: string, files: readonly string[]): Sum[] {
	const groups = new Map<string, Sum>();
	/** The ranges of programs of each seed. */
	const seeds = new Map<string, Range[]>();
	for (const [where, one] of summariesIn(command, files)) {
		const kernel = /^[0-9]+(\.[0-9]+)*/.exec(one.kernel)?.[0] ?? one.kernel;
		const group = `${kernel} ${one.model}`;
		const seed = `${group} ${one.seed}`;
		const ranges = seeds.get(seed) ?? [];
		const range = rangeOf(one);
		if (ranges.some((other) => overlap(range, other))) {
			const programs = `programs ${range.first} to ${range.last} of seed ${one.seed}`;
			throw new UsageError(`${where}: ${programs}, shard ${one.shard}, are there twice`);
		}
		const sum = groups.get(group);
		if (sum === undefined) groups.set(group, { total: { ...one, kernel }, seeds: 1 });
		else {
			sum.total = add(sum.total, one);
			if (ranges.length === 0) sum.seeds++;
		}
		seeds.set(seed, [...ranges, range]);
	}
	return [...groups.values()];
}

/** Programs of a seed: every `n`-th one from `first` to `last`. */
interface Range {
	first: number;
	last: number;
	n: number;
}

function rangeOf({ shard, from = 0, programs }: Summary): Range {
	const [i = 1, n = 1] = shard.split("/").map(Number);
	const first = firstOf({ i, n }, from);
	return { first, last: first + (programs - 1) * n, n };
}

/** Whether two ranges have a program in common. Ranges of other shares of one size have none. */
function overlap(one: Range, other: Range): boolean {
	const within = one.first <= other.last && other.first <= one.last;
	return within && (one.n !== other.n || one.first % one.n === other.first % other.n);
}
