// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model conflicts`: who may bind to a port that a socket has. */
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import { type Atlas, answerWord, askedOf, atlasOf, tablesOf } from "../laws/atlas.js";
import { differencesOf, printDifferences } from "../laws/atlas_diff.js";
import { drawAtlas, drawDifferences } from "../laws/atlas_svg.js";
import { PROTOCOL_NAMES, pairText, printAtlas } from "../laws/atlas_text.js";
import { LISTEN_FAILED } from "../laws/lab.js";
import type { First, Second } from "../laws/pairs.js";
import { PROTOCOLS, type Protocol } from "../laws/protocols.js";
import { nth } from "../machine/nth.js";
import { DEFAULT_VERSION } from "../machine/versions.js";
import type { Agent } from "../real/agent/agent.js";
import { askPairs, type LivePairs } from "../real/pairs.js";
import { startAgent } from "../real/vm/machine.js";
import { stoppable } from "./interrupt.js";
import {
	Interrupted,
	parse,
	printable,
	progress,
	reasonOf,
	styled,
	UsageError,
	versionOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model conflicts [OPTIONS]

Prints for each pair of sockets whether the second one may bind to the port of the
first one. The first socket is bound, listening, connected or in TIME_WAIT; the second
one is a newcomer. Each has an address, IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT,
SO_BINDTODEVICE and a user. All pairs are run on the model. The tables fold equal
rows and columns, and have the answer of every pair. The rules below them are computed
from the answers.

  --kernel VERSION  the version to model (default ${DEFAULT_VERSION}; with --live the running one)
  --protocol NAME   ${PROTOCOLS.join(", ")} (default tcp)
  --diff OLD NEW    print the pairs for which two versions differ, and the changes
                    that cause it
  --svg FILE        write the tables, or the difference, as an SVG image instead
  --live            also ask the kernel underneath for every pair. It must agree.
  --image IMAGE     with --live: ask a kernel in a virtual machine; see live --help
  --system NAME     with --live: ask another system; see live --help
  --agent COMMAND   with --live: let this command make the calls; see live --help
  --json            one JSON object for each pair

Exit status: 0 the kernel agrees, or the versions do not differ; 1 something differs;
2 bad input or no agent.
`;

/** Most differing pairs that are printed. */
const MOST = 20;

function protocolOf(name: string): Protocol {
	const found = PROTOCOLS.find((known) => known === name);
	if (found !== undefined) return found;
	const names = PROTOCOLS.join(", ");
	throw new UsageError(`--protocol: expected one of ${names}, found ${printable(name)}`);
}

/** The atlas of a version. Throws UsageError if the version does not have the protocol. */
function atlas(version: string, protocol: Protocol): Atlas {
	const shown = progress();
	const tick = (sockets: number) => shown.show(`conflicts: ${version}: ${sockets} sockets`);
	const found = atlasOf(version, protocol, tick);
	shown.end();
	if (found.pairs > 0) return found;
	throw new UsageError(`--protocol: Linux ${version} does not have ${PROTOCOL_NAMES[protocol]}`);
}

/** One system call of a newcomer, as JSON shows it. */
function answerJson(second: Second, answer: number): object {
	const failed = answer > LISTEN_FAILED ? answer - LISTEN_FAILED : answer;
	return {
		bind: answer > LISTEN_FAILED || answer === 0 ? 0 : -answer,
		...(second.listens && (answer === 0 || answer > LISTEN_FAILED)
			? { listen: answer === 0 ? 0 : -failed }
			: {}),
		...(answer === 0 ? {} : { error: errnoName(failed) }),
	};
}

function socketJson({ place, device, options }: First | Second): object {
	return {
		family: place.family,
		address: place.address,
		v6only: place.v6only,
		device: device === "" ? null : device,
		reuseaddr: options.reuse,
		reuseport: options.reuseport,
	};
}

const pairJson = (kernel: string, protocol: Protocol, first: First, second: Second) => ({
	kernel,
	protocol,
	first: { ...socketJson(first), state: first.state },
	second: { ...socketJson(second), user: second.other ? "other" : "same", listens: second.listens },
});

/** Prints what a kernel says. Returns how many pairs differ. */
function compare(atlas: Atlas, live: LivePairs, json: boolean): number {
	const lines: string[] = [];
	let asked = 0;
	let differing = 0;
	for (const [i, first] of atlas.firsts.entries()) {
		for (const [j, answer] of askedOf(atlas, i)) {
			const second = nth(atlas.seconds, j);
			const found = nth(live.answers, i).get(j);
			if (found !== undefined) asked++;
			const differs = found !== undefined && found !== answer;
			if (differs) differing++;
			if (json) {
				const pair = pairJson(atlas.version, atlas.protocol, first, second);
				const verdict = found === undefined ? "unrecorded" : differs ? "mismatch" : "match";
				const live = differs ? { live: answerJson(second, found) } : {};
				lines.push(JSON.stringify({ ...pair, ...answerJson(second, answer), verdict, ...live }));
			} else if (differs && differing <= MOST) {
				const says = `the kernel says ${answerWord(found)}, the model ${answerWord(answer)}`;
				lines.push(styled("31", `${pairText(first, second)}: ${says}`));
			}
		}
	}
	if (!json) {
		if (differing > MOST) lines.push(`… and ${differing - MOST} more`);
		for (const what of live.left) lines.push(`Not asked: ${what}.`);
		const kernel = `${printable(live.release)}, ${PROTOCOL_NAMES[atlas.protocol]}`;
		const text = `${kernel}: ${asked} pairs asked, ${differing} differ from the model of ${atlas.version}`;
		lines.push(styled(differing > 0 ? "31" : "32", text));
	}
	writeOut(lines.map((line) => `${line}\n`));
	return differing;
}

function write(file: string, text: string): void {
	try {
		writeFileSync(file, text);
	} catch (error) {
		throw new UsageError(`--svg: ${printable(file)}: ${reasonOf(error)}`);
	}
}

/** Prints how two versions differ. */
function difference(
	names: readonly string[],
	protocol: Protocol,
	json: boolean,
	svg: string | null,
): number {
	const [one, other] = names.map((name) => atlas(versionOf(name, release(), "--diff"), protocol));
	if (one === undefined || other === undefined)
		throw new UsageError("--diff: expected two versions");
	const differences = differencesOf(one, other);
	if (svg !== null) write(svg, drawDifferences(differences));
	else if (json) {
		writeOut(
			differences.pairs.map(({ first, second, before, after, causes }) => {
				const { kernel, ...pair } = pairJson(one.version, protocol, first, second);
				const answers = [before, after].map((answer) => answerJson(second, answer));
				const change = { before: answers[0], after: answers[1], changes: causes };
				return `${JSON.stringify({ kernels: [kernel, other.version], ...pair, ...change })}\n`;
			}),
		);
	} else writeOut(printDifferences(differences, styled).map((line) => `${line}\n`));
	return differences.pairs.length > 0 ? 1 : 0;
}

/** The options of `conflicts`. */
const OPTIONS = {
	kernel: { type: "string" },
	protocol: { type: "string", default: "tcp" },
	diff: { type: "boolean", default: false },
	svg: { type: "string" },
	live: { type: "boolean", default: false },
	image: { type: "string" },
	system: { type: "string" },
	agent: { type: "string" },
	json: { type: "boolean", default: false },
	help: { type: "boolean", default: false },
} as const;

type Values = Record<string, unknown>;

export async function conflicts(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, OPTIONS);
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	const protocol = protocolOf(String(values.protocol));
	check(values, positionals);
	const json = values.json === true;
	const svg = values.svg === undefined ? null : String(values.svg);
	if (values.diff === true) return difference(positionals, protocol, json, svg);
	const live = values.live === true;
	const wanted = String(values.kernel ?? (live ? "running" : DEFAULT_VERSION));
	const agent = live ? await startAgent(values.agent, values.image, values.system) : null;
	try {
		const running = agent?.hello.models ?? release();
		const found = atlas(versionOf(wanted, running), protocol);
		const asked = agent === null ? null : await ask(agent, found);
		if (svg !== null) write(svg, drawAtlas(tablesOf(found)));
		else if (!json) writeOut([`${printAtlas(tablesOf(found), styled).join("\n")}\n`]);
		if (asked !== null) {
			if (!json) writeOut(["\n"]);
			return compare(found, asked, json) > 0 ? 1 : 0;
		}
		if (json) printPairs(found);
		return 0;
	} finally {
		agent?.end();
	}
}

/** Throws UsageError for options that do not go together, or a wrong number of versions. */
function check(values: Values, positionals: readonly string[]): void {
	const live = values.live === true;
	const versions = values.diff === true ? 2 : 0;
	if (values.diff === true && (live || values.kernel !== undefined))
		throw new UsageError("conflicts: --diff takes two versions, and no --kernel or --live");
	if (positionals.length < versions) throw new UsageError("--diff: expected two versions");
	if (positionals.length > versions)
		throw new UsageError(`conflicts: unexpected ${printable(String(positionals[versions]))}`);
	for (const name of ["image", "system", "agent"])
		if (values[name] !== undefined && !live)
			throw new UsageError(`conflicts: --${name} needs --live`);
	if (values.json === true && values.svg !== undefined)
		throw new UsageError("conflicts: --json or --svg, not both");
}

/** Asks a kernel for the answers of all pairs. Throws Interrupted. */
async function ask(agent: Agent, atlas: Atlas): Promise<LivePairs> {
	const { length } = atlas.firsts;
	const shown = progress();
	let done = 0;
	const onAsked = (sockets: number) => {
		done = sockets;
		shown.show(`${sockets} of ${length} sockets asked`);
	};
	try {
		return await stoppable(
			() => askPairs(atlas, agent, onAsked),
			() => agent.end(),
		);
	} catch (error) {
		if (!(error instanceof Interrupted)) throw error;
		throw new Interrupted(`interrupted; ${done} of ${length} sockets asked`);
	} finally {
		shown.end();
	}
}

/** Prints the model's answers, one JSON object a pair. */
function printPairs(atlas: Atlas): void {
	for (const [i, first] of atlas.firsts.entries()) {
		writeOut(
			[...askedOf(atlas, i)].map(([j, answer]) => {
				const second = nth(atlas.seconds, j);
				const pair = pairJson(atlas.version, atlas.protocol, first, second);
				return `${JSON.stringify({ ...pair, ...answerJson(second, answer) })}\n`;
			}),
		);
	}
}
