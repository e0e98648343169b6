// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which laws tell a kernel before a behaviour change from one after it, without knowing what the
 * change is. For each change the release that brought it is explored with and without it.
 */
import { CHANGES, type ChangeName } from "../../include/linux/version.js";
import { SeededRandom } from "../machine/random.js";
import { AskedChanges, changesOf, VERSIONS } from "../machine/versions.js";
import { Answers } from "./answers.js";
import { allBoundsOf } from "./bounds.js";
import { type Broken, hasProtocol, judge } from "./explore.js";
import type { Bound } from "./kinds.js";
import type { Law } from "./law.js";
import { lawsOf } from "./laws.js";
import { PROTOCOLS, type Protocol } from "./protocols.js";

/** What was found of a change. */
export interface Regression {
	readonly change: ChangeName;
	readonly commit: string | null;
	readonly summary: string;
	/** The law that tells before from after; null if none does. */
	readonly law: Law | null;
	/** Which side breaks the law; "" if none is told. */
	readonly broken: "before" | "after" | "";
	readonly protocol: Protocol | "";
	/** Whether some answer differs at all: if not, no law over these programs can see it. */
	readonly differs: boolean;
	/** Programs that were run on each side until it was found. */
	readonly programs: number;
	readonly seconds: number;
}

/** The changes that mend or break sharing, the search for a port, or delivery. */
export const SHARING: readonly ChangeName[] = [
	"sctp-l3mdev",
	"udp-child-hash-entries",
	"bhash2-dual-stack-wildcard",
	"bhash2-v4mapped-wildcard",
	"bhash2-v4mapped-address",
	"bhash2-v4mapped-on-bind",
	"udp-reuseport-rescored",
	"udp-reuseport-rescored-upwards",
	"connect-range-step-1",
	"first-bind-not-fast",
	"bhash2-addr-type",
	"bhash2-every-wildcard-bucket",
	"bhash2-v6only-v4mapped",
	"sctp-accept-clones",
	"udp-hash4",
	"udp-hash4-reconnect",
	"tw-fin-wait2-not-reused",
	"orphan-uid",
	"fastreuse-recomputed",
	"udp-wildcard-hash2-shortcut-fixed",
];

/** The version with a change that has the fewest others, and the same version without it. */
function sides(change: ChangeName): { before: string; after: string } | null {
	const after = VERSIONS.find(({ has }) => has.includes(change));
	if (after === undefined) return null;
	return { before: `${after.name}-${change}`, after: after.name };
}

/** The answers to every program of a bound. */
function explored(version: string, protocol: Protocol, bound: Bound): Answers {
	const answers = new Answers(version, protocol, bound);
	answers.explore();
	return answers;
}

function brokenBy(answers: Answers, laws: readonly Law[], program: readonly number[]): Law[] {
	const broken: Broken[] = [];
	judge(answers, laws, program, broken);
	return broken.map(({ law }) => law);
}

/** Looks for the first program that breaks a law on one side alone. */
function compare(
	before: Answers,
	after: Answers,
	laws: readonly Law[],
): { law: Law; broken: Regression["broken"] } | "differs" | null {
	let differs = false;
	let found: { law: Law; broken: Regression["broken"] } | null = null;
	before.forEach((program) => {
		if (found !== null) return;
		const [one, other] = [brokenBy(before, laws, program), brokenBy(after, laws, program)];
		if (before.answer(program) !== after.answer(program)) differs = true;
		for (const law of laws) {
			if (one.includes(law) === other.includes(law)) continue;
			found = { law, broken: one.includes(law) ? "before" : "after" };
			return;
		}
	});
	return found ?? (differs ? "differs" : null);
}

/** Puts the laws to both sides of each change. `tick` is called before each exploration. */
export function regressions(
	names: readonly string[],
	size: number,
	laws: readonly Law[],
	tick: (what: string) => void = () => {},
): Regression[] {
	const found: Regression[] = [];
	for (const { name, commit, summary, modelled } of CHANGES) {
		if (!modelled || !names.includes(name)) continue;
		const pair = sides(name as ChangeName);
		if (pair === null) continue;
		found.push(search(name as ChangeName, commit, summary, pair, size, laws, tick));
	}
	return found;
}

function search(
	change: ChangeName,
	commit: string | null,
	summary: string,
	{ before, after }: { before: string; after: string },
	size: number,
	laws: readonly Law[],
	tick: (what: string) => void,
): Regression {
	const began = performance.now();
	let programs = 0;
	let differs = false;
	const result = (law: Law | null, broken: Regression["broken"], protocol: Protocol | "") => {
		const seconds = Math.round((performance.now() - began) / 100) / 10;
		return { change, commit, summary, law, broken, protocol, differs, programs, seconds };
	};
	for (const protocol of PROTOCOLS) {
		if (!hasProtocol(after, protocol)) continue;
		for (const bound of allBoundsOf(protocol, size)) {
			const own = laws.filter((law) => lawsOf(bound).includes(law));
			tick(`${change}: ${protocol}, ${bound.name}`);
			if (!asks(after, protocol, bound, change)) continue;
			const one = explored(before, protocol, bound);
			const other = explored(after, protocol, bound);
			programs += one.programs;
			const how = compare(one, other, own);
			if (how === "differs") differs = true;
			else if (how !== null) {
				differs = true;
				return result(how.law, how.broken, protocol);
			}
		}
	}
	return result(null, "", "");
}

/** How many random programs show whether a bound asks for a change at all. */
const PROBES = 3000;

/** Whether the programs of a bound ask for a change: a sample of them, because exploring is dear. */
function asks(version: string, protocol: Protocol, bound: Bound, change: ChangeName): boolean {
	const changes = new AskedChanges(changesOf(version) ?? []);
	const answers = new Answers(version, protocol, { ...bound, depth: 0 }, changes);
	const random = new SeededRandom(1);
	for (let i = 0; i < PROBES && !changes.asked.has(change); i++) {
		const program: number[] = [];
		for (let n = 0; n < 2 * bound.depth && program.length < bound.depth; n++) {
			program.push(random.__get_random_u32_below(bound.steps.length));
			if (answers.answer(program) < 0) program.pop();
		}
	}
	return changes.asked.has(change);
}

/** Why no program of these bounds can tell a change, and whether a law of a general kind would. */
const UNSEEN: Readonly<Partial<Record<ChangeName, string>>> = {
	"udp-child-hash-entries":
		"It adds a sysctl. Programs that do not set it are the same, so no law can break.",
	"udp-reuseport-rescored":
		"Which of three sockets of equal claim gets a datagram, when their scores differ by the CPU that \
served them last. No general law names one of them.",
	"udp-reuseport-rescored-upwards": "As udp-reuseport-rescored.",
};

/** The table of regressions in the catalogue. */
export function regressionsText(found: readonly Regression[]): string {
	const told = found.filter(({ law }) => law !== null).length;
	const seen = found.filter(({ differs }) => differs).length;
	const rows = found
		.filter(({ differs }) => differs)
		.map(({ change, commit, law, broken, protocol, programs, seconds }) => {
			const what = law === null ? "none" : `${law.id} (${broken}, ${protocol})`;
			return `| ${change} ${commit ?? "commit not known"} | ${what} | ${programs} | ${seconds} |`;
		});
	const unseen = found
		.filter(({ differs }) => !differs)
		.map(({ change }) => `- ${change}: ${UNSEEN[change] ?? "No reason is known."}`);
	return `# Changes told apart blind

\`inet-port-model laws --regressions\` takes the ${found.length} behaviour changes that are about sharing,
the search for a port, or delivery. It explores the first version of each with and without it, and
compares the programs that break laws. The law is the first one that tells them apart; in brackets the
side that breaks it. ${told} are told apart by a law. Programs answer differently at all with ${seen}.

| change | law | programs a side | seconds |
| --- | --- | --- | --- |
${rows.join("\n")}

No program of these bounds answers differently with these:

${unseen.join("\n")}
`;
}
