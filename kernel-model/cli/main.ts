#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-or-later
/** The command line: `inet-port-model --help`. */
import { release } from "node:os";
import { readDraws, splitRecordings } from "../check/exact.js";
import { reportMatrix } from "../check/matrix.js";
import { type Outcome, playScript, readScript, type Verdict } from "../check/player.js";
import { CHANGES, DEFAULT_VERSION, VERSIONS } from "../machine/versions.js";
import type { Parsed } from "../script/strace.js";
import { live } from "./live.js";
import {
	json,
	parse,
	readFile,
	runCommand,
	seedOf,
	styled,
	UsageError,
	versionOf,
} from "./terminal.js";

const HELP = `usage: inet-port-model COMMAND [OPTIONS]

How Linux chooses local TCP ports, and when bind() and connect() fail.

  run SCRIPT...   play scripts or recordings on the model
  live SCRIPT...  play scripts on a real kernel and on the model
  matrix SCRIPT   play one on every kernel version, and name the changes that show
  kernels         the kernel versions, and the behaviour changes that they carry

inet-port-model COMMAND --help says more. Exit status: 0 all as recorded,
1 something differs, 2 bad input.
`;

const RUN_HELP = `usage: inet-port-model run [OPTIONS] SCRIPT...

Plays each script (- is standard input) on a fresh model. A script is in the
output syntax of strace: lines such as

    $ ip addr add 192.0.2.10/32 dev lo
    $ sysctl -w net.ipv4.ip_local_port_range="60000 60511"
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
    bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("192.0.2.10")}, 16)

A result after "=" is a recorded one: it is checked that the modelled kernel could
have given it, ports included. Without one the model's own is printed. Recordings:

    strace -f -ttt -o FILE -e trace=%network,execve,clone,clone3,fork,vfork,\\
exit_group,unshare,setns,openat,write,close,dup,dup2,dup3,setuid,setresuid PROGRAM

A recording that replay or live has made with the draws of a kernel's port searches is
played with these draws; then nothing but the recorded results will do. Files may be
compressed (.gz), and hold several such recordings.

  --kernel VERSION   the version to model (default ${DEFAULT_VERSION}, or with draws that of
                     the recording; see kernels); running for the one nearest to the
                     kernel underneath
  --seed N           seed of the model's own random draws (default 1)
  --explain          say how each search went and why each call failed
  --json             one JSON object a line, for every system call
  --quiet            only what differs, and the summary
`;

const MATRIX_HELP = `usage: inet-port-model matrix [--json] SCRIPT

Plays a script (- is standard input; see run --help) on every kernel version, and
shows each line that versions answer differently, with the behaviour changes that make
them differ: those with which alone an older version answers as a newer one, or a pair
(ONE+OTHER) that does it together.

Every version gives its own answers. Recorded results say only what the program had and
met: descriptors, processes, whether a call slept, what other hosts answered, and which
ports were drawn. Versions never differ by what they draw at random: each search, taken
for itself, comes to the port that another version chose if some draw leads there. So
where ports differ, one version cannot choose the port of the other.

  --json          one JSON object for each line that differs

Exit status: 0 no line differs, 1 versions differ, 2 bad input.
`;

const KERNELS_HELP = `usage: inet-port-model kernels [--json]

Lists the kernel versions that can be modelled, and the changes in how Linux
chooses ports that tell versions apart.
`;

interface RunOptions {
	explain: boolean;
	json: boolean;
	quiet: boolean;
}

function format(file: string, outcome: Outcome, options: RunOptions): string {
	if (options.json) return outcome.call === "$" ? "" : `${json(outcome)}\n`;
	const mismatch = outcome.verdict === "mismatch";
	if (outcome.verdict === "ignored" || (options.quiet && !mismatch)) return "";
	const pid = outcome.pid === null ? "" : styled("2", `[pid ${outcome.pid}] `);
	const lines = [`${pid}${outcome.text}`];
	for (const line of outcome.explanation) lines.push(styled("2", `#   ${line}`));
	if (mismatch) {
		const reason = outcome.reason ?? "";
		lines.push(styled("31", `# MISMATCH ${file}:${outcome.line}: ${reason}`));
	}
	return `${lines.join("\n")}\n`;
}

interface Played {
	mismatches: number;
	output: string[];
}

/** Plays one file to its end: bad input anywhere leaves nothing printed. */
function play(file: string, given: string | null, seed: number, options: RunOptions): Played {
	const played = splitRecordings(readFile(file)).map(({ text, above }) => {
		const script = readScript(text, file, above);
		const draws = readDraws(script);
		const version =
			given ?? (draws === null ? DEFAULT_VERSION : versionOf("running", draws.release));
		return playPart(file, script, version, seed, options);
	});
	return {
		mismatches: played.reduce((sum, { mismatches }) => sum + mismatches, 0),
		output: played.flatMap(({ output }) => output),
	};
}

function playPart(
	file: string,
	script: Parsed,
	version: string,
	seed: number,
	options: RunOptions,
): Played {
	const counts: Record<Verdict, number> = { match: 0, mismatch: 0, unrecorded: 0, ignored: 0 };
	const ignored = new Map<string, number>();
	const output: string[] = [];
	for (const outcome of playScript(script, { version, seed, explain: options.explain })) {
		output.push(format(file, outcome, options));
		if (outcome.call === "$") continue;
		counts[outcome.verdict]++;
		if (outcome.verdict === "ignored") {
			ignored.set(outcome.call, (ignored.get(outcome.call) ?? 0) + 1);
		}
	}
	if (!options.json) {
		const most = [...ignored].sort((a, b) => b[1] - a[1]).slice(0, 5);
		const names = most.map(([name, count]) => `${name} ${count}`).join(", ");
		const summary = [
			`${counts.match} as recorded`,
			`${counts.mismatch} differ`,
			`${counts.unrecorded} without a record`,
			`${counts.ignored} passed over${names === "" ? "" : ` (${names})`}`,
		].join(", ");
		const status = counts.mismatch > 0 ? "31" : "32";
		output.push(`${styled(status, `# ${file}, kernel ${version}: ${summary}`)}\n`);
	}
	return { mismatches: counts.mismatch, output };
}

function run(args: string[]): number {
	const { values, positionals } = parse(args, {
		kernel: { type: "string" },
		seed: { type: "string", default: "1" },
		explain: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		quiet: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(RUN_HELP);
		return 0;
	}
	if (positionals.length === 0) throw new UsageError("run: expected a script (see run --help)");
	const version = values.kernel === undefined ? null : versionOf(String(values.kernel), release());
	const seed = seedOf(values.seed);
	const options = {
		explain: values.explain === true,
		json: values.json === true,
		quiet: values.quiet === true,
	};
	const played = positionals.map((file) => play(file, version, seed, options));
	for (const { output } of played) process.stdout.write(output.join(""));
	return played.some(({ mismatches }) => mismatches > 0) ? 1 : 0;
}

function matrix(args: string[]): number {
	const { values, positionals } = parse(args, {
		json: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(MATRIX_HELP);
		return 0;
	}
	const [file, more] = positionals;
	if (file === undefined) throw new UsageError("matrix: expected a script (see matrix --help)");
	if (more !== undefined)
		throw new UsageError(`matrix: expected one script, found ${more} as well`);
	const script = readScript(readFile(file), file);
	const { output, differ } = reportMatrix(script, values.json === true, styled);
	process.stdout.write(output);
	return differ ? 1 : 0;
}

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
	const lines = ["versions, each with what it has more (+) or less (-) than the one above"];
	let before: readonly string[] = [];
	for (const { name, description, has } of VERSIONS) {
		lines.push(`  ${name.padEnd(10)}${description}`);
		for (const change of has)
			if (!before.includes(change)) lines.push(`${" ".repeat(12)}+ ${change}`);
		for (const change of before)
			if (!has.includes(change)) lines.push(`${" ".repeat(12)}- ${change}`);
		before = has;
	}
	lines.push("", "changes (first release; backports; * not modelled yet)");
	for (const change of CHANGES) {
		const backports = change.backports.length > 0 ? `; ${change.backports.join(", ")}` : "";
		const commit = change.commit === null ? "" : ` ${change.commit}`;
		lines.push(
			`  ${change.modelled ? " " : "*"} ${change.name} (${change.since}${backports})${commit}`,
		);
		lines.push(`      ${change.summary}`);
	}
	process.stdout.write(`${lines.join("\n")}\n`);
	return 0;
}

async function main(argv: string[]): Promise<number> {
	const [command, ...args] = argv;
	switch (command) {
		case "run":
			return run(args);
		case "live":
			return live(args);
		case "matrix":
			return matrix(args);
		case "kernels":
			return kernels(args);
		case "--help":
		case "-h":
		case "help":
			process.stdout.write(HELP);
			return 0;
		case undefined:
			throw new UsageError("expected a command: run, live, matrix or kernels (see --help)");
		default:
			throw new UsageError(
				`unknown command ${command}: expected run, live, matrix or kernels (see --help)`,
			);
	}
}

await runCommand("inet-port-model", () => main(process.argv.slice(2)));
