// SPDX-License-Identifier: GPL-2.0-or-later
/** Puts laws to all programs of a bound, on one kernel version or on many. */
import type { ChangeName } from "../../include/linux/version.js";
import { SeededRandom } from "../machine/random.js";
import { AskedChanges, answeringChangesOf, changesOf } from "../machine/versions.js";
import { Answers } from "./answers.js";
import type { Bound, Step } from "./kinds.js";
import { type Law, Program } from "./law.js";
import { lawsOf } from "./laws.js";
import type { Protocol } from "./protocols.js";

/** A program that breaks a law. */
export interface Broken {
	readonly law: Law;
	readonly program: readonly Step[];
	/** What its last answer should have been. */
	readonly expected: string;
	/** The program that shows what the last answer should have been. */
	readonly beside: readonly Step[];
}

/** The breaches of one bound in one version. */
export interface Found {
	readonly protocol: Protocol;
	readonly bound: Bound;
	/** Versions that give the same answers, oldest first. */
	readonly versions: string[];
	/** Programs that were run. */
	readonly programs: number;
	readonly seconds: number;
	readonly broken: readonly Broken[];
}

/** Whether a version has a protocol. */
export function hasProtocol(version: string, protocol: Protocol): boolean {
	const changes = changesOf(version);
	if (changes === null) return false;
	if (protocol === "udplite") return !changes.has("udplite-removed");
	if (protocol === "dccp") return !changes.has("dccp-removed");
	return true;
}

/** Longer programs, made at random. */
export interface Longer {
	/** How many steps they have in all. */
	ops: number;
	seed: number;
}

const LONGEST = 8;

/** Judges a program by laws, which are laws of its bound. Adds to `broken`. */
export function judge(
	answers: Answers,
	laws: readonly Law[],
	program: readonly number[],
	broken: Broken[],
) {
	const steps = [...program];
	const it = new Program(answers, steps, answers.answer(steps));
	const strange = it.kind !== null && it.kind.stranger !== "";
	for (const law of laws) {
		// Strangers are beside the sockets of a program. Laws speak of the sockets.
		if (strange && law.id !== "strangers") continue;
		const breach = law.judge(it);
		if (breach === null) continue;
		const named = (numbers: readonly number[]) =>
			numbers.flatMap((number) => answers.steps[number] ?? []);
		broken.push({
			law,
			program: named(steps),
			expected: breach.expected,
			beside: named(breach.beside),
		});
	}
}

function judgeLonger(answers: Answers, laws: readonly Law[], longer: Longer, broken: Broken[]) {
	const random = new SeededRandom(longer.seed);
	for (let ops = 0; ops < longer.ops; ) {
		const length =
			answers.bound.depth + 1 + random.__get_random_u32_below(LONGEST - answers.bound.depth);
		const program: number[] = [];
		while (program.length < length) {
			program.push(random.__get_random_u32_below(answers.steps.length));
			if (answers.answer(program) < 0) program.pop();
			ops++;
		}
		judge(answers, laws, program, broken);
	}
}

/**
 * Explores one bound for each of some versions. Versions whose changes are the same, as far as the
 * programs ask for them, are explored once. `tick` is called now and then with the programs so far.
 */
export function explore(
	versions: readonly string[],
	protocol: Protocol,
	bound: Bound,
	laws: readonly Law[],
	longer: Longer | null,
	tick: (programs: number) => void = () => {},
): Found[] {
	const own = laws.filter((law) => lawsOf(bound).includes(law));
	const found: (Found & { asked: ReadonlyMap<ChangeName, boolean> })[] = [];
	for (const version of versions) {
		if (!hasProtocol(version, protocol)) continue;
		const changes = answeringChangesOf(version) ?? new Set<ChangeName>();
		const same = found.find(({ asked }) =>
			[...asked].every(([name, has]) => changes.has(name) === has),
		);
		if (same !== undefined) {
			same.versions.push(version);
			continue;
		}
		const began = performance.now();
		const recorded = new AskedChanges(changes);
		const answers = new Answers(version, protocol, bound, recorded);
		answers.explore(() => tick(answers.programs));
		const broken: Broken[] = [];
		const { programs } = answers;
		let judged = 0;
		answers.forEach((program) => {
			if ((++judged & 0xffff) === 0) tick(programs);
			judge(answers, own, program, broken);
		});
		if (longer !== null) judgeLonger(answers, own, longer, broken);
		const asked = new Map([...recorded.asked].map((name) => [name, changes.has(name)]));
		const seconds = (performance.now() - began) / 1000;
		found.push({
			protocol,
			bound,
			versions: [version],
			programs: answers.programs,
			seconds,
			broken,
			asked,
		});
	}
	return found;
}
