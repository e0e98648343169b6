// SPDX-License-Identifier: GPL-2.0-or-later
/** Programs for a review: the scripts of laws, small programs of their bounds, and random ones. */
import { AF_INET } from "../../../include/linux/socket.js";
import { Answers } from "../../laws/answers.js";
import { allBoundsOf } from "../../laws/bounds.js";
import { hasProtocol } from "../../laws/explore.js";
import type { Protocol } from "../../laws/protocols.js";
import { scriptOf } from "../../laws/script.js";
import { Kernel } from "../../machine/kernel.js";
import { nth } from "../../machine/nth.js";
import { SeededRandom } from "../../machine/random.js";
import { type Abilities, KINDS, type Kind } from "./abilities.js";
import { crowdPrograms, optionPrograms } from "./crowds.js";
import { programOf } from "./program.js";
import { renderProgram } from "./render.js";
import { withoutResults } from "./symbols.js";
import { SYSCTLS } from "./vocabulary.js";

/** The scripts of a catalogue of broken laws, those of protocols that the kernel has. */
export function catalogueScripts(catalogue: string, able: Abilities): string[][] {
	const scripts = [...catalogue.matchAll(/```\n(.*?)```/gs)].map(([, text = ""]) => text);
	return scripts.filter((text) => isAble(text, able)).map(withoutResults);
}

function isAble(script: string, able: Abilities): boolean {
	const lacks = (words: string, ...kinds: Abilities["kinds"]) =>
		script.includes(words) && !kinds.some((kind) => able.kinds.includes(kind));
	return !(
		lacks("IPPROTO_UDPLITE", "udplite") ||
		lacks("IPPROTO_MPTCP", "mptcp") ||
		lacks("IPPROTO_SCTP", "sctp", "sctpMany") ||
		lacks("IPPROTO_DCCP", "dccp") ||
		(/vrf|dummy/.test(script) && !able.vrf)
	);
}

/**
 * Small programs of the bounds of laws, at random, without end. Each step of them changes something
 * on the version.
 */
function* lawPrograms(able: Abilities, seed: number): Generator<string[]> {
	const random = new SeededRandom(seed);
	const protocols = (["tcp", "udp", "mptcp", "udplite", "sctp"] as const).filter(
		(protocol) => able.kinds.includes(protocol) && hasProtocol(able.version, protocol),
	);
	const tables: { protocol: Protocol; answers: Answers }[] = [];
	// TCP and UDP matter more than the others.
	for (const protocol of [...protocols, ...protocols.slice(0, 2)]) {
		for (const bound of allBoundsOf(protocol, 2)) {
			const answers = new Answers(able.version, protocol, { ...bound, depth: 0 });
			tables.push({ protocol, answers });
		}
	}
	for (;;) {
		const { protocol, answers } = nth(tables, random.__get_random_u32_below(tables.length));
		const bound = allBoundsOf(protocol, 2).find(({ name }) => name === answers.bound.name);
		const program: number[] = [];
		const given: number[] = [];
		const length = (bound?.depth ?? 3) + random.__get_random_u32_below(3);
		for (let tries = 0; tries < 4 * length && program.length < length; tries++) {
			program.push(random.__get_random_u32_below(answers.steps.length));
			const answer = answers.answer([...program]);
			if (answer < 0) program.pop();
			else given.push(answer);
		}
		const steps = program.map((step) => nth(answers.steps, step));
		let text: string;
		try {
			text = scriptOf(able.version, protocol, steps, given);
		} catch (error) {
			// The answer to a client's question is not that of a socket in the script.
			if (error instanceof RangeError) continue;
			throw error;
		}
		yield withoutResults(text);
	}
}

/** Random programs of a campaign, without end. */
function* randomPrograms(able: Abilities, seed: number, size: number): Generator<string[]> {
	for (let number = 0; ; number++) yield renderProgram(programOf(seed, number, size), able);
}

/**
 * The socket of each kind, and the file of each sysctl: what only one of two kernels has is a
 * difference by itself.
 */
export function probesOf(kinds: readonly Kind[], sysctls: readonly string[]): string[][] {
	return [
		...kinds.map((kind) => {
			const { name, protocol } = KINDS[kind];
			return [`socket(AF_INET, ${name}, ${protocol})`];
		}),
		...sysctls.map((name) => [
			`openat(AT_FDCWD, "/proc/sys/${name.replaceAll(".", "/")}", O_WRONLY)`,
			...(SYSCTLS[name] ?? [])
				.slice(0, 1)
				.map((value) => `write(3, "${value}\\n", ${value.length + 1})`),
		]),
	];
}

/** Small programs of each source for each random program. */
const EACH = 5;

/** The programs of a review: those of `before` and those of options, then small and random ones in turn, without end. */
export function programsOf(
	{ able, seed, size }: { able: Abilities; seed: number; size: number },
	before: Iterable<readonly string[]>,
): Generator<readonly string[]> {
	const both = ofBoth(able);
	return inTurn(
		[...before, ...optionPrograms(both)],
		[
			{ programs: crowdPrograms(both, seed), each: EACH },
			{ programs: lawPrograms(both, seed), each: EACH },
			{ programs: randomPrograms(both, seed, size), each: 1 },
		],
	);
}

/** What both the kernel and the version of the model have. */
function ofBoth(able: Abilities): Abilities {
	const kernel = new Kernel({ version: able.version });
	const net = kernel.createNet();
	const task = kernel.createTask({ net });
	const kinds = able.kinds.filter((kind) => {
		const { type, number } = KINDS[kind];
		return task.socket(AF_INET, type, number) >= 0;
	});
	const known = (name: string) => typeof net.getSysctl(name) === "string";
	return { ...able, kinds, sysctls: able.sysctls.filter(known) };
}

/** First the scripts of `before`, then some programs of each source in turn. */
function* inTurn(
	before: Iterable<readonly string[]>,
	sources: readonly { programs: Iterator<readonly string[]>; each: number }[],
): Generator<readonly string[]> {
	yield* before;
	for (;;) {
		for (const { programs, each } of sources) {
			for (let i = 0; i < each; i++) {
				const next = programs.next();
				if (next.done === true) break;
				yield next.value;
			}
		}
	}
}
