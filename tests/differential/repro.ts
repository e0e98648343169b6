// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Makes programs of all examples and of the catalogue's scripts, in every language, compiles them
 * without a warning, and runs them here. A program must fail at the lines where the model of the
 * running kernel differs from the script. A program with the model's own answers must not fail.
 *
 * The first argument is a part of the names of scripts; CC is the compiler.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, release, tmpdir } from "node:os";
import { join } from "node:path";
import { resultNamed } from "../../kernel-model/cli/repro.js";
import { hasProtocol } from "../../kernel-model/laws/explore.js";
import type { Protocol } from "../../kernel-model/laws/protocols.js";
import { versionFor } from "../../kernel-model/machine/versions.js";
import { checksOf, LANGUAGES, type Plan } from "../../kernel-model/real/repro/repro.js";
import {
	allScripts,
	differing,
	findings,
	HARNESS,
	plannedOf,
	type Script,
	tryPlan,
} from "../programs.js";

const [only = ""] = process.argv.slice(2);
const found = versionFor(release());
if (found === null) throw new RangeError(`no version models ${release()}`);
const version = found;
const folder = mkdtempSync(join(tmpdir(), "repro-"));
let [faults, ran] = [0, 0];
const skipped = new Map<string, number>();

interface Job {
	name: string;
	script: Script;
	/** The model's own answers are expected, whatever the script says. */
	own: boolean;
}

const skip = (why: string) => skipped.set(why, (skipped.get(why) ?? 0) + 1);

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

function fail(name: string, fault: string): void {
	faults++;
	process.stdout.write(`${name}: ${fault}\n`);
}

async function tryJob({ name, script, own }: Job): Promise<void> {
	let plan: Plan;
	let expected: number[];
	try {
		plan = plannedOf(script, { version, own });
		expected = own ? [] : differing(script, version);
	} catch (error) {
		fail(name, messageOf(error));
		return;
	}
	const compiler = process.env.CC || "cc";
	for (const language of LANGUAGES) {
		if (language === "kselftest" && HARNESS === null) {
			skip("KSFT_INCLUDE does not name the folder of kselftest_harness.h");
			continue;
		}
		try {
			let verdict = await tryPlan(plan, name, language, folder, expected, compiler);
			if (verdict.fault !== null) {
				// A busy machine may be late for a timer of the program. A fault shows twice.
				process.stdout.write(`# ${name}, ${language}: tried again\n`);
				verdict = await tryPlan(plan, name, language, folder, expected, compiler);
			}
			if (verdict.fault !== null) fail(`${name}, ${language}`, verdict.fault);
			if (verdict.skipped !== null) skip(verdict.skipped);
			else ran++;
		} catch (error) {
			fail(`${name}, ${language}`, messageOf(error));
		}
	}
}

/** A program of FINDINGS.md must fail at the last call, because this kernel has the fault. */
async function tryFindings(): Promise<void> {
	for (const { name, text, should } of findings()) {
		if (!name.includes(only)) continue;
		const result = resultNamed(should) ?? 0;
		const script = { name, text };
		const plan = plannedOf(script, { version, should: result });
		const last = checksOf(plan).at(-1)?.line ?? 0;
		for (const language of ["c", "python"] as const) {
			const tried = `finding-${name.replace(/\.strace$/, "")}`;
			const verdict = await tryPlan(plan, tried, language, folder, [last]);
			if (verdict.fault !== null) fail(`${tried}, ${language}`, verdict.fault);
			if (verdict.skipped !== null) skip(verdict.skipped);
			else ran++;
		}
	}
}

const jobs: Job[] = [];
for (const script of allScripts()) {
	const name = script.name.replace(/\.strace$/, "");
	if (!name.includes(only)) continue;
	// Check mode passes over recvfrom(), so the model does not tell how other versions differ.
	if (script.text.includes("recvfrom(") && script.versions?.includes(version) === false) {
		skip("who gets a datagram in other versions");
		continue;
	}
	jobs.push({ name, script, own: false });
	if (script.protocol !== undefined && !hasProtocol(version, script.protocol as Protocol)) continue;
	// A script with results is also tried with the answers of the model.
	if (/ = (-1 E|[0-9])/.test(script.text)) jobs.push({ name: `${name}-own`, script, own: true });
}
// Those that sleep longest begin first.
jobs.sort((a, b) => Number(/sleep/.test(b.script.text)) - Number(/sleep/.test(a.script.text)));
const work = async () => {
	for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await tryJob(job);
};
try {
	await tryFindings();
	await Promise.all(Array.from({ length: availableParallelism() + 4 }, work));
} finally {
	rmSync(folder, { recursive: true });
}
for (const [why, times] of skipped) process.stdout.write(`# ${times} skipped: ${why}\n`);
process.stdout.write(`# ${ran} programs on ${release()}, model ${version}: ${faults} differ\n`);
process.exitCode = faults > 0 ? 1 : 0;
