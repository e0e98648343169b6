// SPDX-License-Identifier: GPL-2.0-or-later
/** Input and output that the commands share. */
import { constants } from "node:buffer";
import { readFileSync, statSync } from "node:fs";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import type { HostFile } from "../check/before.js";
import type { Outcome } from "../check/player.js";
import { isUnreadSeries, misspeltChange, type Profile, profileFor } from "../machine/profile.js";
import { VERSION_NAMES } from "../machine/versions.js";
import { AgentError } from "../real/agent/agent.js";
import { checkBegin, checkText, type OpenFile, openFile } from "../script/file.js";
import { HostError, readHost } from "../script/host.js";
import { type Parsed, ScriptError } from "../script/strace.js";

/** Bad input: one line on standard error, exit status 2. */
export class UsageError extends Error {}

/** Ctrl-C ended a command. The message says what it did so far. The exit status is 130. */
export class Interrupted extends Error {}

/** Exit status of a command that SIGINT ended. */
const INTERRUPTED = 130;

/** Environment variable that makes a bug of the program show its stack. */
const DEBUG = "INET_PORT_MODEL_DEBUG";

/** Most characters of a message. */
const LONGEST = 1000;

/**
 * Makes the text of a file safe for a terminal. Shows control characters, and characters that
 * change the text direction, as escapes.
 */
export function printable(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: it replaces control characters
	return text.replace(/[\0-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]/g, (char) => {
		const code = char.charCodeAt(0).toString(16);
		return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
	});
}

/** A message as one printable line, truncated in the middle if it is long. */
export function oneLine(message: string): string {
	const line = printable(message.slice(0, 100 * LONGEST).replace(/\s*\n\s*/g, " "));
	if (line.length <= LONGEST) return line;
	return `${line.slice(0, LONGEST * 0.8)} … ${line.slice(-LONGEST * 0.2)}`;
}

function isBadInput(error: unknown): error is Error {
	const kinds = [UsageError, ScriptError, AgentError, Interrupted];
	return kinds.some((kind) => error instanceof kind);
}

/** The line for an error that ended a command: bad input, or a bug of this program. */
function lineOf(error: unknown): string {
	if (isBadInput(error)) return error.message;
	if (process.env[DEBUG] && error instanceof Error) return `${error.stack}`;
	const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
	return `this is a bug of inet-port-model: ${what} (${DEBUG}=1 shows where)`;
}

/**
 * Prints the error that ended a command. The exit status is 2, because 1 means that something
 * differs.
 */
function complain(name: string, error: unknown): void {
	const line = lineOf(error);
	const whole = !isBadInput(error) && process.env[DEBUG];
	process.stderr.write(`${name}: ${whole ? line : oneLine(line)}\n`);
}

/** Runs a command and returns its exit status. An error gives 2 and one line on standard error. */
export async function exitStatus(name: string, main: () => Promise<number>): Promise<number> {
	try {
		return await main();
	} catch (error) {
		complain(name, error);
		return error instanceof Interrupted ? INTERRUPTED : 2;
	}
}

/**
 * Runs a command and exits with its status. Bad input, output that cannot be written, and bugs of
 * this program give 2 and one line on standard error. A reader that closes the pipe early is not an
 * error.
 */
export async function runCommand(name: string, main: () => Promise<number>): Promise<void> {
	process.stdout.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code === "EPIPE") process.exit();
		complain(name, new UsageError(`standard output: ${reasonOf(error)}`));
		process.exit(2);
	});
	// If standard error cannot be written, only the exit status reports the error.
	process.stderr.on("error", () => {});
	process.on("uncaughtException", (error) => {
		complain(name, error);
		process.exit(2);
	});
	process.exitCode = await exitStatus(name, main);
}

/** The reason why a file could not be read or written: "no such file or directory". */
export function reasonOf(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	// "ENOENT: no such file or directory, open 'x'"
	return error.message.replace(/^E[A-Z0-9]+: /, "").replace(/, [a-z]+( '.*')?$/s, "");
}

export function styled(style: string, text: string): string {
	return process.stdout.isTTY && process.env.NO_COLOR === undefined
		? `\u001b[${style}m${text}\u001b[0m`
		: text;
}

/** Shows work on standard error while it goes on. */
export interface Progress {
	/** Shows what is done now. A function is called only if it is time to show something. */
	show(what: string | (() => string)): void;
	/** Removes what is shown on a terminal. */
	end(): void;
}

/**
 * Shows work that takes more than two seconds: on a terminal in one line that changes. If standard
 * error is no terminal, shows a line after ten seconds, and then one every half minute.
 */
export function progress(): Progress {
	const { isTTY } = process.stderr;
	let next = performance.now() + (isTTY ? 2000 : 10_000);
	let written = false;
	return {
		show(what) {
			const now = performance.now();
			if (now < next) return;
			const text = printable(typeof what === "string" ? what : what());
			next = now + (isTTY ? 200 : 30_000);
			written = isTTY;
			process.stderr.write(isTTY ? `\r${text}\u001b[K` : `${text}\n`);
		},
		end() {
			if (written) process.stderr.write("\r\u001b[K");
			written = false;
		},
	};
}

/** The lines below a call: how its searches went, and why it differs. */
export function remarks(file: string, outcome: Outcome): string[] {
	const lines = outcome.explanation.map((line) => styled("2", `#   ${printable(line)}`));
	if (outcome.verdict === "mismatch") {
		const where = `${file}:${outcome.line}`;
		lines.push(styled("31", printable(`# MISMATCH ${where}: ${outcome.reason ?? ""}`)));
		const { proof } = outcome;
		if (proof !== null && !(outcome.reason ?? "").includes(proof.rule)) {
			lines.push(styled("31", printable(`#   by the rule: ${proof.rule}`)));
		}
		if (proof !== null && proof.grounds.length > 0) {
			lines.push(styled("31", printable(`#   proved by: ${proof.grounds.join("; ")}`)));
		}
	}
	return lines;
}

/** Output is written in pieces of about this many characters. */
const PIECE = 1 << 20;

/** Writes pieces of output. Together they may be longer than the longest string. */
export function writeOut(output: Iterable<string>): void {
	let piece = "";
	for (const text of output) {
		piece += text;
		if (piece.length < PIECE) continue;
		process.stdout.write(piece);
		piece = "";
	}
	if (piece !== "") process.stdout.write(piece);
}

/**
 * The output of a command. It is held back until it is complete or too long to hold, because bad
 * input must leave nothing printed.
 */
export class Output {
	private held: string[] = [];
	private size = 0;
	private flows = false;

	write(text: string): void {
		if (text === "") return;
		this.held.push(text);
		this.size += text.length;
		if (this.flows && this.size >= PIECE) this.flush();
	}

	/** Writes output at once from now on. */
	flow(): void {
		this.flows = true;
		this.flush();
	}

	end(): void {
		this.flush();
	}

	private flush(): void {
		const { held } = this;
		this.held = [];
		this.size = 0;
		writeOut(held);
	}
}

/** The outcome of a call as a line of JSON. `file` is given if several files are played. */
export function json(outcome: Outcome, file: string | null = null): string {
	const { result, recorded } = outcome;
	return JSON.stringify({
		...(file === null ? {} : { file }),
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
		...(outcome.proof === null
			? {}
			: { proof: { rule: outcome.proof.rule, lines: outcome.proof.lines } }),
		...(outcome.explanation.length === 0 ? {} : { explanation: outcome.explanation }),
	});
}

/** Most characters of a string in this JavaScript engine. */
const { MAX_STRING_LENGTH } = constants;

function tooLong(size: string): UsageError {
	const most = `at most ${Math.floor(MAX_STRING_LENGTH / 2 ** 20)} MiB of text can be read`;
	return new UsageError(`too large: it holds ${size}, and ${most}`);
}

/** The bytes of a file. A file compressed by gzip is decompressed. */
function bytesOf(file: string): Uint8Array {
	const standardInput = file === "-";
	if (!standardInput) {
		const { size } = statSync(file);
		if (size > 2 ** 31 - 1) throw tooLong(`${size} bytes`);
	}
	const data = readFileSync(standardInput ? 0 : file);
	checkBegin(data);
	if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
	try {
		return gunzipSync(data, { maxOutputLength: MAX_STRING_LENGTH });
	} catch (error) {
		if (error instanceof RangeError) throw tooLong("more than that, compressed");
		throw error;
	}
}

/** The text of a script or recording; "-" is standard input. Throws UsageError. */
export function readFile(file: string): string {
	try {
		const data = bytesOf(file);
		checkText(data);
		if (data.length > MAX_STRING_LENGTH) throw tooLong(`${data.length} bytes`);
		return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
	} catch (error) {
		throw new UsageError(`${file}: ${reasonOf(error)}`);
	}
}

/** Opens a script or recording of any length; "-" is standard input. Throws UsageError. */
export async function openRecording(file: string): Promise<OpenFile> {
	const failed = (error: unknown) => new UsageError(`${file}: ${reasonOf(error)}`);
	let opened: OpenFile;
	try {
		opened = await openFile(file);
	} catch (error) {
		throw failed(error);
	}
	return {
		*lines() {
			try {
				yield* opened.lines();
			} catch (error) {
				throw failed(error);
			}
		},
		close: () => opened.close(),
	};
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

/**
 * The version for a name of VERSIONS or a release as `uname -r` prints it. If the nearest version
 * has another name, prints it to standard error, with what is not known of the release. "running"
 * stands for `release`, for which this is printed only if its series is newer than the model. A tag
 * such as v6.12 stands for its release. `option` is the option that an
 * error names. Throws UsageError.
 */
export function versionOf(name: string, release: string, option = "--kernel"): string {
	const wanted = name === "running" ? release : name.replace(/^v(?=[0-9])/, "");
	const found = profileFor(wanted);
	const change = misspeltChange(wanted);
	if (change !== null) {
		throw new UsageError(
			`${option}: expected the name of a change, such as ${change}, found ${wanted}`,
		);
	}
	if (found === null) {
		const names = VERSION_NAMES.join(", ");
		throw new UsageError(
			`${option}: expected a release such as 6.8.0-40-generic, or one of ${names}, found ${wanted}`,
		);
	}
	if (name !== "running" && found.name !== wanted) {
		process.stderr.write(`${option} ${printable(name)}: ${nearestProfile(found)}\n`);
	} else if (name === "running" && isUnreadSeries(release)) {
		process.stderr.write(`kernel ${printable(release)}: ${nearestProfile(found)}\n`);
	}
	return found.name;
}

/** Says on standard error which lines of a script are not understood. Such lines are passed over. */
export function sayNotUnderstood({ file, lines }: Parsed): void {
	const strange = lines.flatMap((line) =>
		line.kind === "call" || line.kind === "unknown" ? (line.problem ?? []) : [],
	);
	const [first] = strange;
	if (first === undefined) return;
	const count = strange.length === 1 ? "1 line is" : `${strange.length} lines are`;
	const why = `line ${first.line}: expected ${first.expected}, found ${first.found}`;
	process.stderr.write(
		`${printable(`inet-port-model: ${file}: ${count} not understood: ${why}`)}\n`,
	);
}

/** The sentence that names a profile, with what is not known of the kernel. */
export function nearestProfile({ name, doubt }: Profile): string {
	return printable(`the nearest profile is ${name}${doubt === null ? "" : `: ${doubt}`}`);
}

/** The value of --seed: a u32. Throws UsageError. */
export function seedOf(value: unknown): number {
	const seed = Number(value);
	if (!/^[0-9]+$/.test(String(value)) || seed > 0xffffffff) {
		throw new UsageError(`--seed: expected a number from 0 to 4294967295, found ${value}`);
	}
	return seed;
}

const LAST_UID = 4294967294;

/** The user of --uid; null without --uid. Throws UsageError. */
export function uidOf(command: string, given: unknown): number | null {
	if (given === undefined) return null;
	const uid = /^[0-9]{1,10}$/.test(String(given)) ? Number(given) : Number.NaN;
	if (!(uid <= LAST_UID)) {
		const expected = `expected a user from 0 to ${LAST_UID} after --uid`;
		throw new UsageError(`${command}: ${expected}, found ${given}`);
	}
	return uid;
}

/** The files that --host names: outputs of ip, ss and sysctl. Throws UsageError. */
export function readHosts(given: unknown): HostFile[] {
	const files = Array.isArray(given) ? given.map(String) : [];
	return files.map((file) => hostFile(file, readFile(file)));
}

/** A file that --host names, from its text. Throws UsageError. */
export function hostFile(file: string, text: string): HostFile {
	try {
		return { file, ...readHost(text) };
	} catch (error) {
		if (error instanceof HostError) throw new UsageError(`${file}: ${error.message}`);
		throw error;
	}
}
