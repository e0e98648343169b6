// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Groups the programs that break laws by their cause: the protocol, and the step of the ported code
 * that lets it happen (finder.ts).
 */
import { nth } from "../machine/nth.js";
import { VERSION_NAMES } from "../machine/versions.js";
import type { Broken, Found } from "./explore.js";
import { findPlaces, type Place, type Question } from "./finder.js";
import type { Kind, Step } from "./kinds.js";
import { Lab } from "./lab.js";
import type { Law } from "./law.js";
import type { Protocol } from "./protocols.js";
import { scriptOf } from "./script.js";

/** Breaches with the same cause. */
export interface Cause extends Place {
	readonly protocol: Protocol;
	/** The law that the smallest program breaks. */
	readonly law: Law;
	/** All laws that its programs break. */
	readonly laws: readonly Law[];
	/** The smallest program. */
	readonly program: readonly Step[];
	readonly expected: string;
	readonly script: string;
	/** Programs with this cause, in all bounds, in the version that has most. */
	readonly cases: number;
	/** Versions that have it, oldest first. */
	readonly versions: readonly string[];
	/** Whether a user gets what another user holds. */
	readonly users: boolean;
}

/** Breaches of a bound whose place is looked up one by one; of more, as many are sampled. */
const LOOKED_UP = 60;

const KIND_WEIGHTS: readonly ((kind: Kind) => number)[] = [
	({ reuse }) => Number(reuse),
	({ reuseport }) => Number(reuseport),
	({ user }) => 4 * user,
	({ device }) => 3 * Number(device),
	({ listens }) => Number(listens),
	({ stranger }) => (stranger === "" ? 0 : 3),
	({ options }) => (options === "" ? 0 : 3),
	({ place }) => (place.v4 === 2 || place.v6 === 2 ? 2 : 0) + (place.family === "AF_INET" ? 0 : 1),
];

/** How large a program is. */
function sizeOf(program: readonly Step[]): number {
	let size = 100 * program.length;
	for (const step of program) {
		if (step.do === "bind") for (const weigh of KIND_WEIGHTS) size += weigh(step.kind);
	}
	return size;
}

/** Whether the last socket has another user than a socket that the program still has. */
function touchesUsers({ program }: Broken): boolean {
	const last = program.at(-1);
	if (last?.do !== "bind") return false;
	return program
		.slice(0, -1)
		.some((step) => step.do === "bind" && step.kind.user !== last.kind.user);
}

interface Group {
	readonly protocol: Protocol;
	readonly place: Place;
	smallest: Broken;
	size: number;
	/** The newest version that has the cause. */
	version: string;
	readonly laws: Set<Law>;
	/** Cases by version. */
	readonly cases: Map<string, number>;
	users: boolean;
}

/** Breaches of one law, bound and version, of which some are looked up. */
interface Series {
	readonly found: Found;
	readonly law: Law;
	readonly broken: readonly Broken[];
	/** How many breaches the place of one stands for. */
	readonly every: number;
}

function seriesOf(found: Found): Series[] {
	const laws = new Map<Law, Broken[]>();
	for (const one of found.broken) {
		const same = laws.get(one.law);
		if (same === undefined) laws.set(one.law, [one]);
		else same.push(one);
	}
	return [...laws].map(([law, broken]) => {
		broken.sort((a, b) => sizeOf(a.program) - sizeOf(b.program));
		return { found, law, broken, every: Math.ceil(broken.length / LOOKED_UP) };
	});
}

/** The newest of the versions that give the same answers. */
function newestOf({ versions }: Found): string {
	return nth(versions, versions.length - 1);
}

/**
 * Groups breaches by protocol and place. If a law has many breaches in a bound, the places of some
 * are found, and each counts for those next to it in order of size.
 */
export function causesOf(found: readonly Found[]): Cause[] {
	const series = found.flatMap(seriesOf);
	const questions: Question[] = [];
	for (const { found: one, broken, every } of series) {
		const { protocol } = one;
		for (let i = 0; i < broken.length; i += every) {
			const { program, beside } = nth(broken, i);
			questions.push({ version: newestOf(one), protocol, program, beside });
		}
	}
	const places = findPlaces(questions);
	const groups = new Map<string, Group>();
	let asked = 0;
	for (const { found: one, law, broken, every } of series) {
		const { protocol, versions } = one;
		const newest = newestOf(one);
		for (let i = 0; i < broken.length; i += every) {
			const place = nth(places, asked++);
			const key = `${protocol} ${place.file} ${place.at} ${place.line}`;
			const smallest = nth(broken, i);
			const group: Group = groups.get(key) ?? {
				protocol,
				place,
				smallest,
				size: Number.POSITIVE_INFINITY,
				version: newest,
				laws: new Set(),
				cases: new Map(),
				users: false,
			};
			groups.set(key, group);
			// The script is of the newest version that has the cause.
			const age = VERSION_NAMES.indexOf(newest) - VERSION_NAMES.indexOf(group.version);
			const size = sizeOf(smallest.program);
			if (age > 0 || (age === 0 && size < group.size)) {
				Object.assign(group, { smallest, size, version: newest });
			}
			group.laws.add(law);
			const next = broken.slice(i, i + every);
			group.users ||= KEEPING.has(law.id) && next.some(touchesUsers);
			for (const name of versions) {
				group.cases.set(name, (group.cases.get(name) ?? 0) + next.length);
			}
		}
	}
	return [...groups.values()].map((group) => causeOf(group));
}

function causeOf({ smallest, place, protocol, laws, cases, users, version }: Group): Cause {
	const lab = new Lab(version, protocol);
	const answers = lab.run(smallest.program);
	return {
		...place,
		protocol,
		law: smallest.law,
		laws: [...laws],
		program: smallest.program,
		expected: smallest.expected,
		script: scriptOf(version, protocol, smallest.program, answers),
		cases: Math.max(...cases.values()),
		versions: VERSION_NAMES.filter((name) => cases.has(name)),
		users: users || anotherUser(lab, smallest, answers),
	};
}

/** Laws that keep what a socket has from others. */
const KEEPING: ReadonlySet<string> = new Set(["held", "twins"]);

/** Whether the last socket of a program gets the same if it belongs to another user. */
function anotherUser(lab: Lab, { law, program }: Broken, answers: readonly number[]): boolean {
	const last = program.at(-1);
	if (!KEEPING.has(law.id) || last?.do !== "bind") return false;
	const user = last.kind.user === 0 ? 1 : 0;
	const other: Step = { ...last, kind: { ...last.kind, user } };
	return lab.run([...program.slice(0, -1), other]).at(-1) === answers.at(-1);
}
