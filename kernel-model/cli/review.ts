// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model review`: what a kernel does otherwise than its base version. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { type Agent, AgentError } from "../real/agent/agent.js";
import { type Abilities, KINDS, type Kind } from "../real/campaign/abilities.js";
import { abilitiesOf } from "../real/campaign/campaign.js";
import { catalogueScripts, probesOf, programsOf } from "../real/campaign/sources.js";
import { SYSCTLS } from "../real/campaign/vocabulary.js";
import { judgeOn } from "../real/lacks.js";
import { DrawRecorder, recordScript } from "../real/live.js";
import { CLASSES, type Difference, type Review, review as runReview } from "../real/review.js";
import { startAgent } from "../real/vm/machine.js";
import { interruptions, progressLine, whole, withoutOf } from "./campaigns.js";
import { REPORT_OPTIONS, Report, reportHelp } from "./reports.js";
import {
	Interrupted,
	parse,
	printable,
	reasonOf,
	seedOf,
	styled,
	UsageError,
	versionOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model review --base VERSION [OPTIONS]

Says what a kernel does otherwise than its base version: a kernel that was just built, for
example. Random programs, small programs of the bounds of laws, and the scripts of the
catalogue of broken laws are played on the kernel, each in a new namespace, and on the model
of the base version. In a virtual machine the model gets the kernel's own random draws, so
other draws and other ports are differences too.

A difference does not end the campaign. Its program is made as small as possible. Scripts
that are the same under another order of options and other names of sockets, addresses,
ports and users are one cause, and so are scripts with the same answers of one function.
Causes are in this order. Calls that take or find a port come before those of options.

${CLASSES.map((name) => `  ${name}`).join("\n")}

  --base VERSION    the version that the model plays; see inet-port-model kernels
  --image IMAGE     the kernel, in a virtual machine: a file BZIMAGE[:MODULES], or a series
                    such as 6.12 of stock kernels. Without it the kernel underneath is asked
  --agent COMMAND   let this command make the calls, for example on another machine
  --system NAME     review another system; see live --help. Programs leave out what it lacks
  --without LIST    leave this out of random programs; see fuzz --help
  --ops N           number of calls (default 20000), without those that make programs smaller
  --seed N          seed of the programs (default 1)
  --size N          most operations of a random program (default 150)
  --from N          begin with program number N; an interrupted review names it
  --all             print every smallest script of a cause, not only the first
  --save FOLDER     write each cause's script with the kernel's results to a file
  --json            one JSON object for each cause, and one with the totals
${reportHelp("cause", 18)}
Exit status: 0 no difference, 1 a difference, 2 bad input or no agent.
`;

/** Kinds of sockets that a kernel may be built without. */
const OPTIONAL: readonly Kind[] = ["mptcp", "sctp", "sctpMany", "dccp"];
/** Sysctls that need VRFs, which a kernel may be built without. */
const OF_VRF = /l3mdev/;

/** The catalogue. It is beside the sources, and this file may be a built one. */
function catalogue(): string {
	for (const path of ["../laws/CATALOGUE.md", "../../../kernel-model/laws/CATALOGUE.md"]) {
		const url = new URL(path, import.meta.url);
		if (existsSync(url)) return readFileSync(url, "utf8");
	}
	return "";
}

/** What the kernel was perhaps built without, and so is not asked. */
function notAsked(able: Abilities): string[] {
	const kinds = OPTIONAL.filter((kind) => kind in KINDS && !able.kinds.includes(kind));
	const words = new Set(kinds.map((kind) => (kind === "sctpMany" ? "sctp" : kind)));
	return [...words, ...(able.vrf ? [] : ["vrf"]), ...(able.without ?? [])];
}

/** The options of `review`. */
const OPTIONS = {
	base: { type: "string" },
	image: { type: "string" },
	agent: { type: "string" },
	system: { type: "string" },
	without: { type: "string" },
	ops: { type: "string", default: "20000" },
	seed: { type: "string", default: "1" },
	size: { type: "string", default: "150" },
	from: { type: "string", default: "0" },
	all: { type: "boolean", default: false },
	save: { type: "string" },
	json: { type: "boolean", default: false },
	...REPORT_OPTIONS,
	help: { type: "boolean", default: false },
} as const;

export async function review(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, OPTIONS);
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length > 0) throw new UsageError(`review: unexpected ${positionals[0]}`);
	const asked = askedOf(values);
	const tests = new Report("review", values);
	const agent = await startAgent(values.agent, values.image, values.system);
	const began = Date.now();
	const interrupted = interruptions();
	try {
		const draws = values.image === undefined ? null : await drawsOf(agent);
		const { done, able } = await runOn(agent, asked, draws, interrupted.seen);
		const about: About = {
			kernel: agent.hello.name,
			base: asked.base,
			seed: asked.seed,
			draws: draws instanceof DrawRecorder,
			notAsked: notAsked(able),
			seconds: Math.round((Date.now() - began) / 100) / 10,
		};
		if (asked.save !== null) saveScripts(asked.save, done.differences);
		const stop = `interrupted after ${done.operations} calls in ${done.programs} programs; go on with: review --base ${about.base} ... --seed ${about.seed} --from ${done.next}`;
		reportTests(tests, done, about, interrupted.seen() ? stop : null);
		if (values.json === true) writeOut(jsonOf(done, about, interrupted.seen()));
		else if (!tests.tap) {
			if (typeof draws === "string") process.stderr.write(`review: without draws: ${draws}\n`);
			writeOut(linesOf(done, about, values.all === true).map((line) => `${line}\n`));
		}
		if (interrupted.seen()) throw new Interrupted(stop);
		return done.differences.length > 0 ? 1 : 0;
	} finally {
		interrupted.end();
		agent.end();
	}
}

interface Asked {
	base: string;
	operations: number;
	seed: number;
	size: number;
	from: number;
	/** The folder for the scripts; null if they are not saved. */
	save: string | null;
	without: string[];
}

/** The options, checked. Throws UsageError. */
function askedOf(values: Record<string, unknown>): Asked {
	if (values.base === undefined)
		throw new UsageError("review: expected --base VERSION (see review --help)");
	return {
		base: versionOf(String(values.base), release(), "--base"),
		operations: whole("ops", values.ops, 1),
		seed: seedOf(values.seed),
		size: whole("size", values.size, 4),
		from: whole("from", values.from, 0),
		save: values.save === undefined ? null : folderOf(String(values.save)),
		without: values.without === undefined ? [] : withoutOf(String(values.without)),
	};
}

/** Plays the programs on the agent's kernel and on the model. `draws` as drawsOf(). */
async function runOn(
	agent: Agent,
	{ base, operations, seed, size, from, without }: Asked,
	draws: DrawRecorder | string | null,
	stopped: () => boolean,
): Promise<{ done: Review; able: Abilities }> {
	const found = await abilitiesOf(agent, base);
	const able = { ...found, without: [...(found.without ?? []), ...without] };
	const recorder = draws instanceof DrawRecorder ? draws : null;
	const exact = recorder !== null;
	const began = Date.now();
	const show = progressLine();
	const done = await runReview({
		ask: (script) => recordScript(script, agent, recorder),
		judge: (recording, file, options) => judgeOn(agent, recording, file, options),
		base,
		operations,
		from,
		programs: programsOf({ able: { ...able, exact, long: exact }, seed, size }, [
			...probesFor(able),
			...catalogueScripts(catalogue(), able),
		]),
		stopped,
		progress: ({ operations: calls, programs, differences }, doing) => {
			const rate = Math.round(calls / ((Date.now() - began) / 1000));
			const causes = differences.length === 0 ? "" : `, ${differences.length} causes`;
			const now = doing === "" ? `, ${rate} calls/s` : `: ${doing}`;
			show(`${calls} calls, ${programs} programs${causes}${now}`);
		},
	});
	show("");
	return { done, able };
}

/** Probes of what the kernel has, and of what it cannot have been built without. */
function probesFor(able: Abilities): string[][] {
	const kinds = (Object.keys(KINDS) as Kind[]).filter(
		(kind) => able.kinds.includes(kind) || !OPTIONAL.includes(kind),
	);
	return probesOf(
		kinds,
		Object.keys(SYSCTLS).filter((name) => able.vrf || !OF_VRF.test(name)),
	);
}

/** The causes as tests that fail. Without a cause there is one test, which passes. */
function reportTests(tests: Report, done: Review, about: About, broken: string | null): void {
	const { differences, operations, programs } = done;
	const { kernel, base, seconds } = about;
	tests.begin(`review ${kernel}`, null);
	const notes = [`${operations} calls in ${programs} programs`];
	if (differences.length === 0) {
		const name = `kernel ${kernel} does what ${base} does`;
		tests.add({ name, verdict: broken === null ? "passed" : "skipped", notes, seconds });
	}
	for (const one of differences) {
		const name = `${one.class}: ${one.call}, ${one.at}`;
		const reason = `${kernel} answers ${one.kernelSays}, ${base} ${one.modelSays}`;
		tests.add({ name, verdict: "failed", reason, details: one.script });
	}
	tests.end(broken);
}

/** The recorder of draws; the reason if the kernel does not tell its draws. */
async function drawsOf(agent: Agent): Promise<DrawRecorder | string> {
	try {
		return await DrawRecorder.start(agent);
	} catch (error) {
		if (error instanceof AgentError) return error.message;
		throw error;
	}
}

function folderOf(folder: string): string {
	try {
		mkdirSync(folder, { recursive: true });
	} catch (error) {
		throw new UsageError(`--save ${folder}: ${reasonOf(error)}`);
	}
	return folder;
}

const nameOf = (at: number, { call, at: where }: Difference) =>
	`${String(at + 1).padStart(2, "0")}-${call}-${where.replace(/[^a-z0-9_.]+/gi, "-")}.strace`;

function saveScripts(folder: string, differences: readonly Difference[]): void {
	for (const [at, difference] of differences.entries()) {
		const file = join(folder, nameOf(at, difference));
		try {
			writeFileSync(file, difference.recording);
		} catch (error) {
			throw new UsageError(`${file}: ${reasonOf(error)}`);
		}
	}
}

interface About {
	kernel: string;
	base: string;
	seed: number;
	draws: boolean;
	notAsked: string[];
	seconds: number;
}

function* jsonOf(done: Review, about: About, interrupted: boolean): Generator<string> {
	const { differences, ...totals } = done;
	for (const difference of differences) yield `${JSON.stringify(difference)}\n`;
	yield `${JSON.stringify({ ...about, ...totals, causes: differences.length, interrupted })}\n`;
}

function scriptLines(script: readonly string[]): string[] {
	return script.map((line) => `    ${printable(line)}`);
}

function linesOf(done: Review, about: About, all: boolean): string[] {
	const lines: string[] = [];
	for (const [i, one] of done.differences.entries()) {
		const { at, cases, others, kernelSays, modelSays, call, explanation } = one;
		const where = one.file === "" ? at : `${at} (${one.file})`;
		lines.push(styled("1", printable(`${i + 1}. ${one.class}: ${call}, ${where}`)));
		const more = others.length === 0 ? "" : `, ${others.length + 1} smallest scripts`;
		lines.push(`  seen ${cases === 1 ? "once" : `${cases} times`}${more}`);
		lines.push(...scriptLines(one.script));
		lines.push(styled("31", printable(`    # ${about.kernel}: ${kernelSays}`)));
		lines.push(styled("32", printable(`    # ${about.base}: ${modelSays}`)));
		lines.push(...explanation.map((line) => styled("2", printable(`    #   ${line}`))));
		if (!one.least)
			lines.push("    # the time was over before the script was as small as possible");
		if (!one.again) lines.push("    # the kernel did not do this again");
		if (all) for (const other of others) lines.push("  also:", ...scriptLines(other.script));
		lines.push("");
	}
	const { programs, operations, differing, counted, refused, differences } = done;
	if (differences.length > 0)
		lines.push("# as a program in C, with a script of --save: npx inet-port-model repro FILE --c");
	const calls = `${operations} calls, ${programs} programs`;
	const found = differences.length;
	const head = `kernel ${about.kernel}, base ${about.base}`;
	if (about.notAsked.length > 0)
		lines.push(`# not asked, the kernel does not have it: ${about.notAsked.join(", ")}`);
	if (refused > 0) lines.push(`# ${refused} programs that the kernel could not play`);
	if (counted > 0)
		lines.push(
			`# ${counted} more differences were not made small: many before gave the same answers`,
		);
	const text =
		found === 0
			? `# ${head}: no difference in ${calls}`
			: `# ${head}: ${found} cause${found === 1 ? "" : "s"} in ${calls}, of which ${differing} differ`;
	const how = about.draws ? "with draws" : "without draws";
	lines.push(styled(found > 0 ? "31" : "32", printable(`${text}; ${how}, ${about.seconds} s`)));
	return lines;
}
