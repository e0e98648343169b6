#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-or-later
/** The command line: `inet-port-model --help`. */
import { readFileSync } from "node:fs";
import { type BehaviourChange, CHANGES } from "../../include/linux/version.js";
import { VERSIONS } from "../machine/versions.js";
import { conflicts } from "./conflicts.js";
import { fuzz } from "./fuzz.js";
import { laws } from "./laws.js";
import { live } from "./live.js";
import { matrix } from "./matrix.js";
import { page } from "./page.js";
import { record } from "./record.js";
import { replay } from "./replay.js";
import { repro } from "./repro.js";
import { review } from "./review.js";
import { run } from "./run.js";
import { oneLine, parse, runCommand, UsageError } from "./terminal.js";

const HELP = `usage: inet-port-model COMMAND [OPTIONS]

Shows how Linux chooses local ports, and when bind() and connect() fail.

  run SCRIPT...   play scripts or recordings on the model
  record PROGRAM  run a program under strace, with the state of the host on top
  live SCRIPT...  play scripts on a real kernel and on the model
  repro SCRIPT    write a program that makes the calls of a script and checks the results
  matrix SCRIPT   play a script on every kernel version, and name the changes that show
  page [SCRIPT]   write one HTML file in which one sees each search, step by step
  conflicts       print who may bind to a port that a socket has
  laws            put laws that every kernel should obey to all small programs
  fuzz            play random programs on a real kernel and on the model
  replay          the same with the kernel's own random draws: nothing may differ
  review          say what a kernel does otherwise than its base version
  kernels         list the kernel versions and their behaviour changes

inet-port-model COMMAND --help describes a command. --version prints the version.
Exit status: 0 all as recorded, 1 something differs, 2 bad input.
`;

const COMMANDS =
	"run, record, live, repro, matrix, page, conflicts, laws, fuzz, replay, review or kernels";

const KERNELS_HELP = `usage: inet-port-model kernels [--json]

Lists the kernel versions that can be modelled, and the behaviour changes by which
they differ.
`;

function kernels(args: string[]): number {
	const { values, positionals } = parse(args, {
		json: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(KERNELS_HELP);
		return 0;
	}
	if (positionals.length > 0) throw new UsageError(`kernels: unexpected ${positionals[0]}`);
	if (values.json === true) {
		process.stdout.write(`${JSON.stringify({ versions: VERSIONS, changes: CHANGES })}\n`);
		return 0;
	}
	const lines = [
		"versions, each with the changes that it adds (+) or lacks (-), compared with the one above",
	];
	let before: readonly string[] = [];
	for (const { name, description, has } of VERSIONS) {
		lines.push(`  ${name.padEnd(10)}${description}`);
		for (const change of has)
			if (!before.includes(change)) lines.push(`${" ".repeat(12)}+ ${change}`);
		for (const change of before)
			if (!has.includes(change)) lines.push(`${" ".repeat(12)}- ${change}`);
		before = has;
	}
	lines.push("", "changes (first release; backports; * only one side is modelled; = same answers)");
	const changes: readonly BehaviourChange[] = CHANGES;
	for (const change of changes) {
		const releases = [change.since ?? [], change.backports.join(", ")].flat().filter(Boolean);
		const same = change.internal ? "=" : " ";
		const mark = change.modelled ? same : "*";
		lines.push(
			`  ${mark} ${change.name} (${releases.join("; ")}) ${change.commit ?? "commit not known"}`,
		);
		lines.push(`      ${change.summary}`);
	}
	process.stdout.write(`${lines.join("\n")}\n`);
	return 0;
}

/**
 * The version of the package, from package.json in a folder above this file. The depth depends on
 * whether this file is built.
 */
function version(): string {
	for (const above of ["../../package.json", "../../../package.json"]) {
		try {
			const text = readFileSync(new URL(above, import.meta.url), "utf8");
			const { name, version } = JSON.parse(text) as { name?: string; version?: string };
			if (name === "inet-port-model" && version !== undefined) return version;
		} catch {
			// Not in this folder: try the next one.
		}
	}
	return "of unknown version";
}

async function main(argv: string[]): Promise<number> {
	const [command, ...args] = argv;
	switch (command) {
		case "run":
			return run(args);
		case "record":
			return record(args);
		case "live":
			return live(args);
		case "matrix":
			return matrix(args);
		case "page":
			return page(args);
		case "conflicts":
			return conflicts(args);
		case "laws":
			return laws(args);
		case "fuzz":
			return fuzz(args);
		case "replay":
			return replay(args);
		case "review":
			return review(args);
		case "repro":
			return repro(args);
		case "kernels":
			return kernels(args);
		case "--help":
		case "-h":
		case "help":
			process.stdout.write(HELP);
			return 0;
		case "--version":
		case "-V":
			process.stdout.write(`inet-port-model ${version()}\n`);
			return 0;
		case undefined:
			throw new UsageError(`expected a command: ${COMMANDS} (see --help)`);
		default:
			throw new UsageError(
				`unknown command ${oneLine(command)}: expected ${COMMANDS} (see --help)`,
			);
	}
}

await runCommand("inet-port-model", () => main(process.argv.slice(2)));
