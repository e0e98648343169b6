// SPDX-License-Identifier: GPL-2.0-or-later
/** Programs that `repro` makes of scripts: compiles them, runs them, and compares with the model. */
import { execFile } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { playScript, readScript } from "../kernel-model/check/player.js";
import { readCatalogue } from "../kernel-model/laws/catalogue.js";
import {
	checksOf,
	type Language,
	type Plan,
	type PlanOptions,
	planOf,
	programOf,
} from "../kernel-model/real/repro/repro.js";

/** The root of the sources. This file may be a built one. */
const ROOT = ["..", "../.."]
	.map((path) => fileURLToPath(new URL(`${path}/`, import.meta.url)))
	.find((path) => existsSync(join(path, "kernel-model/laws/CATALOGUE.md")));

const read = (path: string) => readFileSync(join(ROOT ?? "", path), "utf8");

export interface Script {
	name: string;
	text: string;
	/** The versions that give its answers; not given if it does not say. */
	versions?: readonly string[];
	/** The protocol of its sockets; not given if it does not say. */
	protocol?: string;
}

/** The examples, and the script of each cause of the catalogue. */
export function allScripts(): Script[] {
	const scripts: Script[] = [];
	for (const folder of ["tests/examples", "tests/examples/changes"]) {
		for (const name of readdirSync(join(ROOT ?? "", folder))) {
			if (name.endsWith(".strace")) scripts.push({ name, text: read(join(folder, name)) });
		}
	}
	for (const [i, entry] of readCatalogue(read("kernel-model/laws/CATALOGUE.md")).entries()) {
		const name = `cause${i + 1}-${entry.protocol}-${entry.at}.strace`;
		const { script: text, versions, protocol } = entry;
		scripts.push({ name, text, versions, protocol });
	}
	return scripts;
}

/** The scripts of FINDINGS.md whose last result the kernel should not give, and what it should give. */
export function findings(): (Script & { should: string })[] {
	const commands = /repro --c --should (\w+) (tests\/examples\/findings\/([\w-]+\.strace))/g;
	return [...read("kernel-model/laws/FINDINGS.md").matchAll(commands)].map(
		([, should = "", path = "", name = ""]) => ({ name, text: read(path), should }),
	);
}

/** The headers of the kernel's selftests: a folder with kselftest_harness.h; null if not given. */
export const HARNESS = process.env.KSFT_INCLUDE || null;

const WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"];

interface Said {
	status: number | null;
	stdout: string;
	stderr: string;
}

function spawned(file: string, args: readonly string[]): Promise<Said> {
	const options = { encoding: "utf8", timeout: 300_000 } as const;
	return new Promise((resolve) => {
		const child = execFile(file, args, options, (error, stdout, stderr) => {
			const why = error !== null && child.exitCode === null ? error.message : "";
			resolve({ status: child.exitCode, stdout, stderr: stderr + why });
		});
	});
}

/** Compiles a program, if its language needs it. Returns the command, or what is wrong. */
export async function compile(
	program: string,
	language: Language,
	folder: string,
	name: string,
	compiler = "cc",
): Promise<{ command: string[] } | { fault: string }> {
	if (language === "python") {
		const file = join(folder, `${name}.py`);
		writeFileSync(file, program);
		return { command: ["python3", "-IS", file] };
	}
	const binary = join(folder, `${name}-${language}`);
	let source = `${binary}.c`;
	let flags = WARNINGS;
	if (language === "kselftest") {
		// The test includes ../kselftest_harness.h, as in tools/testing/selftests/net/.
		const net = join(folder, "net");
		mkdirSync(net, { recursive: true });
		for (const header of ["kselftest.h", "kselftest_harness.h"]) {
			const link = join(folder, header);
			if (!existsSync(link)) symlinkSync(join(HARNESS ?? "", header), link);
		}
		source = join(net, `${name}.c`);
		flags = ["-Wall", "-Werror", "-O1"];
	}
	writeFileSync(source, program);
	const { status, stderr } = await spawned(compiler, [...flags, "-o", binary, source]);
	return status === 0 ? { command: [binary] } : { fault: `${compiler}: ${stderr}` };
}

interface Ran {
	status: number | null;
	/** The lines of the script whose checks failed. */
	failed: number[];
	output: string;
}

/** Runs a program. Throws if what it prints is not what the plan says. */
export async function run(
	command: readonly string[],
	plan: Plan,
	language: Language,
): Promise<Ran> {
	const [file = "", ...args] = command;
	const ran = await spawned(file, args);
	const output = `${ran.stdout}${ran.stderr}`;
	const failed: number[] = [];
	if (language !== "kselftest" && ran.status !== 4) {
		const checks = checksOf(plan);
		const results = [...ran.stdout.matchAll(/^(not )?ok ([0-9]+) - /gm)];
		for (const [i, [, not, number]] of results.entries()) {
			if (Number(number) !== i + 1) throw new Error(`check ${number} out of order:\n${output}`);
			const line = checks[i]?.line ?? 0;
			if (not !== undefined && failed.at(-1) !== line) failed.push(line);
		}
		const plans = [...ran.stdout.matchAll(/^1\.\.([0-9]+)$/gm)];
		if (plans.length !== 1 || Number(plans[0]?.[1]) !== results.length) {
			throw new Error(`${results.length} checks, ${checks.length} planned:\n${output}`);
		}
		if (ran.status !== (failed.length > 0 ? 1 : 0)) {
			throw new Error(`exit status ${ran.status}:\n${output}`);
		}
	}
	return { status: ran.status, failed, output };
}

/** The lines at which the model of a version differs from the results of a script. */
export function differing({ name, text }: Script, version: string): number[] {
	const script = readScript(text, name);
	// A kernel that lacks a setting refuses it. No result of a call differs then.
	if (script.lines.every((line) => line.kind !== "call" || line.result === null)) return [];
	const outcomes = playScript(script, { version, alone: true });
	return outcomes.filter(({ verdict }) => verdict === "mismatch").map(({ line }) => line);
}

/** The plan of a script. */
export function plannedOf({ name, text }: Script, options: PlanOptions): Plan {
	return planOf(readScript(text, name), options);
}

interface Verdict {
	/** What is wrong; null if the program agrees with the model. */
	fault: string | null;
	/** Why it cannot run here; null if it ran. */
	skipped: string | null;
}

/** Makes a program, runs it here, and compares it with the model of a version. */
export async function tryPlan(
	plan: Plan,
	name: string,
	language: Language,
	folder: string,
	expected: readonly number[],
	compiler?: string,
): Promise<Verdict> {
	const made = await compile(programOf(plan, language), language, folder, name, compiler);
	if ("fault" in made) return { fault: made.fault, skipped: null };
	const { status, failed, output } = await run(made.command, plan, language);
	if (status === 4 || (language === "kselftest" && /# SKIP/.test(output))) {
		return { fault: null, skipped: /# SKIP +(.*)/.exec(output)?.[1] ?? "?" };
	}
	if (language === "kselftest") {
		const wanted = expected.length > 0 ? 1 : 0;
		return { fault: status === wanted ? null : `exit status ${status}:\n${output}`, skipped: null };
	}
	const same = failed.join() === expected.join();
	const lines = `lines ${failed.join()} fail, not ${expected.join()}`;
	return { fault: same ? null : `${lines}:\n${output}`, skipped: null };
}
