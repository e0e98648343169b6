// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model laws`: puts laws to all small programs on the model. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import { type BehaviourChange, CHANGES } from "../../include/linux/version.js";
import { formatVersions } from "../check/matrix.js";
import { allBoundsOf } from "../laws/bounds.js";
import { catalogueText, type Entry, newIn, partsOf, readCatalogue } from "../laws/catalogue.js";
import { causesOf } from "../laws/causes.js";
import { explore, type Found, hasProtocol, type Longer } from "../laws/explore.js";
import type { Law } from "../laws/law.js";
import { ALL_LAWS } from "../laws/laws.js";
import { PROTOCOLS, type Protocol } from "../laws/protocols.js";
import { type Regression, regressions, regressionsText, SHARING } from "../laws/regressions.js";
import { faultOf, joined, type Report, reportOf } from "../laws/report.js";
import { VERSION_NAMES } from "../machine/versions.js";
import { confirm } from "../real/causes.js";
import { startAgent } from "../real/vm/machine.js";
import { shardOf, whole } from "./campaigns.js";
import { interruptible } from "./interrupt.js";
import { REPORT_OPTIONS, reportHelp, Report as Tests } from "./reports.js";
import { objectsIn } from "./shards.js";
import {
	Interrupted,
	parse,
	printable,
	progress,
	reasonOf,
	seedOf,
	styled,
	UsageError,
	versionOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model laws [OPTIONS]
       inet-port-model laws merge [--write] [--live] [--image IMAGE] [--json] FILE...

Puts laws, rules that every kernel should obey, to all small programs, and shows the
causes of breaches: the smallest program, the step of the ported code that lets it
happen, and the versions that have it. The laws:

${ALL_LAWS.map(({ id, rule }) => `  ${id.padEnd(12)}${rule}`).join("\n")}

  --law LIST         only these laws (default all)
  --kernel LIST      versions, or all (default 7.3)
  --protocol LIST    ${PROTOCOLS.join(", ")}, or all (default tcp,udp)
  --size N           1: one user, short alphabets (default). 2: two users, devices, all
                     places. 3: longer programs over more kinds
  --ops N            also N steps of longer programs, made at random
  --seed N           seed of the longer programs (default 1)
  --shard I/N        only every Nth part of the work, from 1. merge joins the --json
                     outputs of shards
  --live             ask the kernel underneath whether it does the same
  --image IMAGE      ask a kernel in a virtual machine; see live --help
  --regressions      put the laws to both sides of each behaviour change: which law tells
                     a kernel before it from one after it?
  --change LIST      with --regressions: these changes, or all (default: those about sharing,
                     searches and delivery)
  --write            write the catalogue, kernel-model/laws/CATALOGUE.md
  --from N           begin with part N of the work, from 1: an interrupted run names it
  --json             one JSON object for each cause, and one with the totals
${reportHelp("cause, and for each law without one", 19)}
A cause is confirmed if a kernel gave every answer of its script. Without --live or
--image no kernel is asked.

Exit status: 0 the catalogue has every cause, 1 there is a new one, 2 bad input.
`;

/** The catalogue. It is beside the sources, and this file may be a built one. */
const CATALOGUE =
	["../laws/CATALOGUE.md", "../../../kernel-model/laws/CATALOGUE.md"]
		.map((path) => new URL(path, import.meta.url))
		.find((url) => existsSync(url)) ?? new URL("../laws/CATALOGUE.md", import.meta.url);

/** Splits a list of words and checks them. */
function listOf<T extends string>(option: string, text: unknown, known: readonly T[]): T[] {
	if (text === "all") return [...known];
	return String(text)
		.split(",")
		.map((word) => {
			const found = known.find((name) => name === word);
			if (found === undefined) {
				throw new UsageError(`${option}: expected ${known.join(", ")} or all, found ${word}`);
			}
			return found;
		});
}

/** The changes that --change names. */
function changeNames(text: string): string[] {
	if (text === "") return [...SHARING];
	const changes: readonly BehaviourChange[] = CHANGES;
	return listOf(
		"--change",
		text,
		changes.filter((one) => one.modelled && !one.internal).map(({ name }) => name),
	);
}

/** The options of `laws`. */
const OPTIONS = {
	law: { type: "string", default: "all" },
	kernel: { type: "string", default: "7.3" },
	protocol: { type: "string", default: "tcp,udp" },
	size: { type: "string", default: "1" },
	ops: { type: "string", default: "0" },
	seed: { type: "string", default: "1" },
	shard: { type: "string", default: "1/1" },
	live: { type: "boolean", default: false },
	image: { type: "string" },
	write: { type: "boolean", default: false },
	regressions: { type: "boolean", default: false },
	change: { type: "string", default: "" },
	from: { type: "string", default: "1" },
	json: { type: "boolean", default: false },
	...REPORT_OPTIONS,
	help: { type: "boolean", default: false },
} as const;

type Values = Record<string, unknown>;

/** What is put to which laws. */
interface Work {
	laws: readonly Law[];
	versions: readonly string[];
	protocols: readonly Protocol[];
	/** The size of the bounds, 1 to 3. */
	size: number;
	longer: Longer;
	shard: { i: number; n: number };
}

export async function laws(args: string[]): Promise<number> {
	if (args[0] === "merge") return merge(args.slice(1));
	const { values, positionals } = parse(args, OPTIONS);
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length > 0) throw new UsageError(`laws: unexpected ${positionals[0]}`);
	const work = workOf(values);
	if (values.regressions === true) {
		const names = changeNames(String(values.change));
		const [writes, json] = [values.write === true, values.json === true];
		return showRegressions(names, work.size, work.laws, writes, json);
	}
	const from = whole("from", values.from, 1, 1e6);
	const tests = new Tests("laws", values);
	const began = performance.now();
	const { found, stopped } = exploreAll(work, from);
	const reports = reportsOf(found, work.versions.length > 1);
	const agents = agentsOf(values.live, values.image);
	if (stopped === null) for (const agent of agents) await ask(reports, agent);
	const totals: Totals = {
		programs: found.reduce((sum, one) => sum + one.programs * one.versions.length, 0),
		run: found.reduce((sum, one) => sum + one.programs, 0),
		seconds: Math.round((performance.now() - began) / 10) / 100,
		causes: reports.length,
	};
	if (values.write === true && stopped === null) write(reports);
	const status = show(reports, found, totals, values.json === true, tests.tap);
	test(tests, work, reports, stopped);
	if (stopped !== null) throw new Interrupted(stopped);
	return status;
}

/** The work that the options name. Throws UsageError. */
function workOf(values: Values): Work {
	const ids = listOf(
		"--law",
		values.law,
		ALL_LAWS.map(({ id }) => id),
	);
	const laws = ALL_LAWS.filter(({ id }) => ids.includes(id));
	const versions = versionsOf(values.kernel);
	const protocols = listOf("--protocol", values.protocol, PROTOCOLS);
	sayLacking(versions, protocols);
	const size = whole("size", values.size, 1, 3);
	const longer = { ops: whole("ops", values.ops, 0, 1e9), seed: seedOf(values.seed) };
	return { laws, versions, protocols, size, longer, shard: shardOf(String(values.shard)) };
}

/** Says which versions do not have a protocol. Throws UsageError if nothing is left. */
function sayLacking(versions: readonly string[], protocols: readonly Protocol[]): void {
	for (const protocol of protocols) {
		const lacking = versions.filter((version) => !hasProtocol(version, protocol));
		if (lacking.length === 0) continue;
		const said = `no ${protocol} in ${formatVersions(lacking)}`;
		if (protocols.length === 1 && lacking.length === versions.length)
			throw new UsageError(`laws: there is ${said}`);
		process.stderr.write(`laws: passed over: ${said}\n`);
	}
}

/**
 * Does the parts of the work, beginning with number `from`, from 1. `stopped` says how to go on if
 * the work was interrupted.
 */
function exploreAll(work: Work, from: number): { found: Found[]; stopped: string | null } {
	const found: Found[] = [];
	const shown = progress();
	let [part, place] = [0, ""];
	const tick = (number: number, what: string) => {
		[part, place] = [number, what];
		shown.show(`laws: ${what}`);
	};
	try {
		interruptible(() => exploreParts(found, work, from, tick));
		return { found, stopped: null };
	} catch (error) {
		if (!(error instanceof Interrupted)) throw error;
		const stopped = `interrupted in part ${part} (${place}); go on with: laws ... --from ${part}`;
		return { found, stopped };
	} finally {
		shown.end();
	}
}

/** Adds to `found`. `tick` gets the number of the part of the work, from 1, and what it is. */
function exploreParts(
	found: Found[],
	{ laws, versions, protocols, size, longer, shard }: Work,
	from: number,
	tick: (number: number, what: string) => void,
): void {
	let number = 0;
	for (const protocol of protocols) {
		for (const bound of allBoundsOf(protocol, size)) {
			const own = number % shard.n === shard.i - 1;
			if (++number < from || !own) continue;
			const what = `${protocol}, ${bound.name}`;
			tick(number, what);
			const more = bound.name === "steps" && longer.ops > 0 ? longer : null;
			const show = (programs: number) => tick(number, `${what}: ${programs} programs`);
			found.push(...explore(versions, protocol, bound, laws, more, show));
		}
	}
}

/** The causes of the breaches. `multiple` if several versions were explored. */
function reportsOf(found: readonly Found[], multiple: boolean): Report[] {
	const shown = progress();
	shown.show("laws: causes");
	const reports = interruptible(() => causesOf(found).map((cause) => reportOf(cause, multiple)));
	shown.end();
	return reports;
}

/** The causes, and the laws without a cause, as tests. */
function test(
	tests: Tests,
	{ laws: chosen, versions }: Work,
	reports: readonly Report[],
	stopped: string | null,
): void {
	if (!tests.wanted) return;
	const entries = readEntries();
	const kept = chosen.filter(({ id }) => !reports.some(({ laws }) => laws.includes(id)));
	tests.begin(`laws ${formatVersions(versions)}`, reports.length + kept.length);
	for (const report of reports) {
		const { protocol, at, laws, rules, script, expected } = report;
		const fresh = newIn(entries, report);
		const name = `${protocol}: ${at} breaks ${laws.join(", ")}`;
		const lines = [...rules, ...script.trimEnd().split("\n")];
		const details = [...lines, `the last answer should be: ${expected}`];
		if (fresh === null) tests.add({ name, verdict: "passed", notes: ["in the catalogue"] });
		else tests.add({ name, verdict: "failed", reason: `new: ${fresh}`, details });
	}
	if (stopped === null) {
		for (const { id, rule } of kept) tests.add({ name: `${id}: ${rule}`, verdict: "passed" });
	}
	tests.end(stopped);
}

interface Totals {
	/** Programs whose answers are known, over all versions. */
	programs: number;
	/** Programs that were run: versions with the same answers are run once. */
	run: number;
	seconds: number;
	causes: number;
}

function versionsOf(text: unknown): string[] {
	if (text === "all") return [...VERSION_NAMES];
	return String(text)
		.split(",")
		.map((name) => versionOf(name, release()));
}

/** The kernels to ask: null is the kernel underneath. */
function agentsOf(live: unknown, image: unknown): (string | null)[] {
	const images = image === undefined ? [] : String(image).split(",");
	return [...(live === true ? [null] : []), ...images];
}

/** Asks a kernel, and tells which scripts it answers otherwise. */
async function ask(reports: readonly Report[], image: string | null): Promise<void> {
	const agent = await startAgent(undefined, image ?? undefined);
	try {
		const { release } = agent.hello;
		const shown = progress();
		const tick = ({ at }: Report) => shown.show(`laws: ${release}: ${at}`);
		const others = await confirm(reports, agent, tick).finally(() => shown.end());
		for (const { protocol, at } of others) {
			const said = `laws: ${protocol}: ${at}: ${release} answers otherwise`;
			process.stderr.write(printable(`${said} (inet-port-model repro makes a program of it)\n`));
		}
	} finally {
		agent.end();
	}
}

function readEntries(): Entry[] {
	try {
		return readCatalogue(readFileSync(CATALOGUE, "utf8"));
	} catch (error) {
		throw new UsageError(`${fileURLToPath(CATALOGUE)}: ${reasonOf(error)}`);
	}
}

/** Writes the catalogue. Kernels that confirmed a script before count if the script is the same. */
function write(reports: readonly Report[]): void {
	const known = existsSync(CATALOGUE);
	const before = known ? readEntries() : [];
	const [, tail] = partsOf(known ? readFileSync(CATALOGUE, "utf8") : "");
	for (const report of reports) {
		const same = before.find(
			({ protocol, script }) => protocol === report.protocol && script === report.script,
		);
		report.confirmed = [...new Set([...(same?.confirmed ?? []), ...report.confirmed])].sort();
	}
	writeFileSync(CATALOGUE, catalogueText(reports, tail));
}

function show(
	reports: readonly Report[],
	found: readonly Found[],
	totals: Totals,
	json: boolean,
	silent = false,
): number {
	const entries = readEntries();
	let news = 0;
	const lines: string[] = [];
	for (const report of reports) {
		const fresh = newIn(entries, report);
		if (fresh !== null) news++;
		if (json) {
			lines.push(JSON.stringify({ ...report, new: fresh !== null }));
			continue;
		}
		lines.push(...linesOf(report, fresh), "");
	}
	if (json) lines.push(JSON.stringify(totals));
	else lines.push(...summary(found, totals, news));
	if (!silent) writeOut(lines.map((line) => `${line}\n`));
	return news > 0 ? 1 : 0;
}

/** A cause as lines for people. It may come from a file of a stranger. */
function linesOf(report: Report, fresh: string | null): string[] {
	const { protocol, at, file, line, rules, cases, kernels, changes, users, confirmed } = report;
	const shown = (style: string, text: string) => styled(style, printable(text));
	const plain = [
		...rules.map((rule) => `${rule}.`),
		`${cases} programs; ${formatVersions(kernels)}`,
		...(changes.length > 0 ? [`changes: ${changes.join(", ")}`] : []),
		...(users ? ["It touches users: a user gets what another one holds."] : []),
		`confirmed by ${confirmed.length > 0 ? confirmed.join(", ") : "no kernel"}`,
	];
	return [
		shown("1", `${protocol}: ${at} (${file}:${line})`),
		...plain.map((text) => `  ${printable(text)}`),
		...(fresh === null ? [] : [shown("31", `  NEW: ${fresh}`)]),
		...report.script
			.trimEnd()
			.split("\n")
			.map((text) => shown("2", `    ${text}`)),
		printable(`    # the last answer should be: ${report.expected}`),
		`    # as a program, with this script on standard input: ${programOf(report)}`,
	];
}

/** The command that makes a program of a cause. It fails where a kernel has the fault. */
function programOf({ expected }: Report): string {
	const [, result] = /^(E[A-Z]+|success)$/.exec(expected) ?? [];
	return `inet-port-model repro --c${result === undefined ? "" : ` --should ${result}`} -`;
}

function summary(found: readonly Found[], totals: Totals, news: number): string[] {
	const lines: string[] = [];
	const bounds = new Set(found.map(({ protocol, bound }) => `${protocol}, ${bound.name}`));
	for (const name of bounds) {
		const here = found.filter((one) => `${one.protocol}, ${one.bound.name}` === name);
		const [first] = here;
		if (first === undefined) continue;
		const programs = here.map((one) => `${one.programs} on ${formatVersions(one.versions)}`);
		lines.push(`# ${name} (${first.bound.programs}): ${programs.join("; ")}: all run`);
	}
	const { run, seconds, causes } = totals;
	const what = `${causes} causes, ${news} new; ${run} programs, ${seconds} s`;
	lines.push(styled(news > 0 ? "31" : "32", `# ${what}`));
	return lines;
}

/** `laws --regressions`: which law tells before a change from after it. */
function showRegressions(
	names: readonly string[],
	size: number,
	chosen: readonly Law[],
	writes: boolean,
	json: boolean,
): number {
	const shown = progress();
	let found: Regression[];
	try {
		found = regressions(names, size, chosen, (what) => shown.show(`laws: ${what}`));
	} finally {
		shown.end();
	}
	const text = regressionsText(found);
	if (writes) {
		const [causes] = partsOf(readFileSync(CATALOGUE, "utf8"));
		writeFileSync(CATALOGUE, `${causes}\n${text}`);
	}
	const lines = json
		? found.map((one) => `${JSON.stringify({ ...one, law: one.law?.id ?? null })}\n`)
		: [text];
	writeOut(lines);
	return 0;
}

/** `laws merge`: joins the JSON outputs of shards. */
async function merge(args: string[]): Promise<number> {
	const { values, positionals: files } = parse(args, {
		live: { type: "boolean", default: false },
		image: { type: "string" },
		write: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
	});
	if (files.length === 0) throw new UsageError("laws merge: expected files of laws --json");
	const reports: Report[] = [];
	const totals: Totals = { programs: 0, run: 0, seconds: 0, causes: 0 };
	for (const [where, line] of objectsIn("laws", files)) {
		const object: Partial<Report> & Partial<Totals> = line;
		if (object.script !== undefined) {
			const fault = faultOf(object);
			if (fault !== null) throw new UsageError(`${where}: ${fault}`);
			reports.push(object as Report);
			continue;
		}
		totals.programs += Number(object.programs ?? 0);
		totals.run += Number(object.run ?? 0);
		totals.seconds += Number(object.seconds ?? 0);
	}
	const causes = joined(reports);
	totals.causes = causes.length;
	for (const agent of agentsOf(values.live, values.image)) await ask(causes, agent);
	if (values.write === true) write(causes);
	return show(causes, [], totals, values.json === true);
}
