// SPDX-License-Identifier: GPL-2.0-or-later
/** What the commands of the command line share. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import type { Outcome } from "../check/player.js";
import { VERSIONS, versionFor } from "../machine/versions.js";
import { AgentError } from "../real/agent/agent.js";
import { ScriptError } from "../script/strace.js";

/** Bad input: one line on standard error, exit status 2. */
export class UsageError extends Error {}

/**
 * Runs a command to its exit status: 2 for what the user can mend, told in one line. A
 * reader that closes the pipe early is no error.
 */
export async function runCommand(name: string, main: () => Promise<number>): Promise<void> {
	process.stdout.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code === "EPIPE") process.exit(0);
		throw error;
	});
	try {
		process.exitCode = await main();
	} catch (error) {
		const bad =
			error instanceof UsageError || error instanceof ScriptError || error instanceof AgentError;
		if (!bad) throw error;
		process.stderr.write(`${name}: ${error.message}\n`);
		process.exitCode = 2;
	}
}

export function styled(style: string, text: string): string {
	return process.stdout.isTTY && process.env.NO_COLOR === undefined
		? `\u001b[${style}m${text}\u001b[0m`
		: text;
}

/** One call's outcome as a line of JSON. */
export function json(outcome: Outcome): string {
	const { result, recorded } = outcome;
	return JSON.stringify({
		line: outcome.line,
		pid: outcome.pid,
		call: outcome.call,
		result,
		...(result !== null && result < 0 ? { error: errnoName(-result) } : {}),
		recorded,
		...(outcome.recordedError === null ? {} : { recordedError: outcome.recordedError }),
		verdict: outcome.verdict,
		...(outcome.address === null ? {} : { address: outcome.address }),
		...(outcome.reason === null ? {} : { reason: outcome.reason }),
		...(outcome.explanation.length === 0 ? {} : { explanation: outcome.explanation }),
	});
}

export function readFile(file: string): string {
	try {
		const data = readFileSync(file === "-" ? 0 : file);
		return (file.endsWith(".gz") ? gunzipSync(data) : data).toString();
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new UsageError(`${file}: ${reason}`);
	}
}

type OptionSpecs = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

/** Reads options; throws UsageError. */
export function parse(args: string[], options: OptionSpecs) {
	try {
		return parseArgs({ args, options, allowPositionals: true });
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new UsageError(reason.split(". ")[0]);
	}
}

/** A version by its name; "running" for that of a kernel release. Throws UsageError. */
export function versionOf(name: string, release: string): string {
	if (name === "running") {
		const found = versionFor(release);
		if (found === null) throw new UsageError(`--kernel: no version models the running ${release}`);
		return found;
	}
	if (!VERSIONS.some((known) => known.name === name)) {
		const names = VERSIONS.map((known) => known.name).join(", ");
		throw new UsageError(`--kernel: expected one of ${names}, found ${name}`);
	}
	return name;
}

/** The value of --seed: a u32. Throws UsageError. */
export function seedOf(value: unknown): number {
	const seed = Number(value);
	if (!/^[0-9]+$/.test(String(value)) || seed > 0xffffffff) {
		throw new UsageError(`--seed: expected a number from 0 to 4294967295, found ${value}`);
	}
	return seed;
}
