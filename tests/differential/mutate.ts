// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays mutated scripts and recordings by the command line's own entry. For every input it must end
 * with exit status 0, 1 or 2. With 2 it must print the place of the error. verify() must hold
 * afterwards.
 *
 *     node dist/tests/differential/mutate.js [--from N] [--save FOLDER] COUNT SEED FILE...
 *
 * A worker plays the inputs. It is terminated if an input takes longer than ten seconds. The input
 * of each fault is saved, and the command that replays it is printed.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { run } from "../../kernel-model/cli/run.js";
import { exitStatus } from "../../kernel-model/cli/terminal.js";
import { Player, SeededRandom, VERSIONS } from "../../kernel-model/index.js";

/** Most lines of a seed file that are played, so that many inputs fit into a second. */
const LINES = 8;

const TOKENS = [
	"Infinity",
	"NaN",
	"-1",
	"0",
	"4294967296",
	"99999999999999999999999999",
	"0x",
	"0xffffffffffffffffff",
	"017777777777",
	'""',
	'"',
	"\\",
	"\\377",
	"[",
	"]",
	"{",
	"}",
	"(",
	")",
	"...",
	"NULL",
	"=>",
	"= ?",
	"= -1 EBADF",
	"= -1 EWHAT (?)",
	"<unfinished ...>",
	"<... connect resumed>",
	"resumed>",
	"+++ exited with 0 +++",
	"--- SIGINT ---",
	"$",
	"#",
	"$ sleep 1e309",
	"$ ip",
	"htons(-1)",
	"port_of(3)",
	'if_nametoindex("lo")',
	"constructor",
	"__proto__",
	"AF_UNIX",
	"\0",
	"\x1b[31m",
	"\u202e",
	"é",
	"\t",
	"\r",
	" ",
	",",
];

/** One input: a text, and the options with which it is played. */
interface Input {
	text: string;
	options: string[];
}

/** Generates inputs. Each depends only on the seed and its number. */
export class Mutator {
	private random: SeededRandom;

	constructor(
		private readonly seed: number,
		private readonly seeds: readonly (readonly string[])[],
	) {
		this.random = new SeededRandom(seed);
	}

	private below(ceil: number): number {
		return ceil < 1 ? 0 : this.random.get_random_u32() % ceil;
	}

	private pick<T>(values: readonly T[]): T {
		return values[this.below(values.length)];
	}

	/** Input number `n`. */
	input(n: number): Input {
		this.random = new SeededRandom(Math.imul(this.seed, 0x9e3779b9) ^ n);
		const text = this.text();
		const options = this.below(4) === 0 ? [] : ["--kernel", this.pick(VERSIONS).name];
		for (const option of ["--explain", "--json", "--strict", "--alone", "--quiet"]) {
			if (this.below(4) === 0) options.push(option);
		}
		if (this.below(8) === 0) options.push("--uid", "1000");
		return { text, options };
	}

	private text(): string {
		const seed = this.pick(this.seeds);
		const start = this.below(2) === 0 ? 0 : this.below(seed.length);
		const lines = seed.slice(start, start + 1 + this.below(LINES));
		for (let changes = 1 + this.below(4); changes > 0; changes--) this.change(lines);
		return `${lines.join("\n")}\n`;
	}

	private change(lines: string[]): void {
		const at = this.below(lines.length);
		const line = lines[at] ?? "";
		const column = this.below(line.length + 1);
		switch (this.below(9)) {
			case 0: // a byte is another
				lines[at] =
					line.slice(0, column) + String.fromCharCode(this.below(256)) + line.slice(column + 1);
				break;
			case 1: // bytes are lost
				lines[at] = line.slice(0, column) + line.slice(column + 1 + this.below(8));
				break;
			case 2: // the line is cut
				lines[at] = line.slice(0, column);
				break;
			case 3: // a token is added
				lines[at] = line.slice(0, column) + this.pick(TOKENS) + line.slice(column);
				break;
			case 4: {
				// replaces a number or a word
				const words = [...line.matchAll(/-?[0-9]+|\w+|"[^"]*"/g)];
				const word = this.pick(words);
				if (word === undefined) break;
				const other =
					this.below(3) === 0 ? this.pick([...this.pick(lines).matchAll(/\w+/g)])?.[0] : null;
				const rest = line.slice(word.index + word[0].length);
				lines[at] = line.slice(0, word.index) + (other ?? this.pick(TOKENS)) + rest;
				break;
			}
			case 5: // lines are swapped
				lines[at] = this.pick(lines);
				break;
			case 6: // a line is there twice
				lines.splice(this.below(lines.length), 0, line);
				break;
			case 7: // a line is lost
				lines.splice(at, 1);
				break;
			default: {
				// inserts a line of another seed file
				lines.splice(at, 0, this.pick(this.pick(this.seeds)) ?? "");
			}
		}
	}
}

export const ENDS = ["as recorded", "differ", "refused"] as const;

/** A message of the command line with a place in a file, or with the file only. */
const PLACE =
	/^inet-port-model: [^\n]*:([0-9]+:[0-9]+: expected |[^\n]* byte [0-9]+ is NUL)[^\n]*\n$/;

/**
 * Plays an input from a file by the command line's own entry, and calls verify() of the kernel that
 * it used last. Returns the exit status. Throws Error if it ends in another way.
 */
export async function playFile(file: string, options: readonly string[]): Promise<0 | 1 | 2> {
	const { stdout, stderr } = process;
	const [out, err, step] = [stdout.write, stderr.write, Player.prototype.step];
	const used: { player: Player | null } = { player: null };
	Player.prototype.step = function (this: Player) {
		used.player = this;
		return step.call(this);
	};
	let printed = 0;
	let said = "";
	let status: number;
	stdout.write = (text: string | Uint8Array) => {
		printed += text.length;
		return true;
	};
	stderr.write = (text: string | Uint8Array) => {
		said += text;
		return true;
	};
	try {
		status = await exitStatus("inet-port-model", async () => run([...options, file]));
	} finally {
		stdout.write = out;
		stderr.write = err;
		Player.prototype.step = step;
	}
	used.player?.kernel.verify();
	if (status === 0 || status === 1) return status;
	if (status !== 2) throw new Error(`exit status ${status}`);
	const last = said.slice(said.lastIndexOf("\n", said.length - 2) + 1);
	if (!PLACE.test(last)) throw new Error(`exit status 2 without a place: ${last}`);
	if (printed > 0) throw new Error(`exit status 2, and ${printed} characters were printed before`);
	return status;
}

/** A file's lines, without the many of long recordings. */
export function seedLines(path: string): string[] {
	return readFileSync(path, "utf8").split("\n").slice(0, 2000);
}

/** Shared memory in which a worker reports the number of its input and the exit statuses. */
const CURRENT = 0;
const COUNTS = 1;
/** No input yet, because a worker takes time to start. */
const NONE = -1;

export function newProgress(): Int32Array {
	const progress = new Int32Array(new SharedArrayBuffer(4 * (COUNTS + ENDS.length)));
	progress[CURRENT] = NONE;
	return progress;
}

/** How a worker ended: with all inputs done, or terminated in the input that `progress` names. */
type Ending = { kind: "done" } | { kind: "hang" } | { kind: "died"; error: string };

/** Waits for a worker. Terminates it if an input takes longer than `limit` ms. */
export function watch(worker: Worker, progress: Int32Array, limit: number): Promise<Ending> {
	return new Promise((resolve) => {
		let ending: Ending = { kind: "done" };
		let input = NONE;
		let since = 0;
		const timer = setInterval(() => {
			const now = Date.now();
			const current = Atomics.load(progress, CURRENT);
			if (current !== input) {
				input = current;
				since = now;
			} else if (input !== NONE && now - since > limit) {
				ending = { kind: "hang" };
				void worker.terminate();
			}
		}, limit / 10);
		worker.on("error", (error) => {
			ending = { kind: "died", error: `${error.stack ?? error}` };
		});
		worker.on("exit", () => {
			clearInterval(timer);
			resolve(ending);
		});
	});
}

/** Time limit of an input, ms. */
const HANG = 10_000;
/** Memory limit of a worker, MiB. */
const MEMORY = 2048;

interface Job {
	from: number;
	to: number;
	seed: number;
	files: string[];
	/** The file with the input that the worker plays. */
	current: string;
	progress: Int32Array;
}

/** The report of a worker about a fault. */
interface Fault {
	input: number;
	where: string;
}

async function work(job: Job): Promise<void> {
	const mutator = new Mutator(job.seed, job.files.map(seedLines));
	for (let n = job.from; n < job.to; n++) {
		const { text, options } = mutator.input(n);
		writeFileSync(job.current, text);
		Atomics.store(job.progress, CURRENT, n);
		try {
			const status = await playFile(job.current, options);
			Atomics.add(job.progress, COUNTS + status, 1);
		} catch (error) {
			const stack = error instanceof Error ? `${error.stack}` : String(error);
			const where = stack.split("\n").slice(0, 3).join(" ");
			parentPort?.postMessage({ input: n, where } satisfies Fault);
		}
	}
}

/** The faults of a run. Saves the first of each kind and prints the command that replays it. */
class Faults {
	readonly kinds = new Map<string, number>();

	constructor(
		private readonly mutator: Mutator,
		private readonly folder: string,
	) {}

	add(what: string, { input, where }: Fault): void {
		const kind = where.replaceAll(/[0-9]+/g, "N");
		const seen = this.kinds.get(kind) ?? 0;
		this.kinds.set(kind, seen + 1);
		if (seen > 0) return;
		const { text, options } = this.mutator.input(input);
		mkdirSync(this.folder, { recursive: true });
		const file = join(this.folder, `input-${input}.strace`);
		writeFileSync(file, text);
		const words = ["node", "dist/kernel-model/cli/main.js", "run", ...options, file];
		process.stdout.write(`${what}, input ${input}: ${where}\nto replay: ${words.join(" ")}\n`);
	}
}

async function main(argv: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args: argv,
		allowPositionals: true,
		options: { from: { type: "string", default: "0" }, save: { type: "string" } },
	});
	const [count = 0, seed = 1] = positionals.slice(0, 2).map(Number);
	const files = positionals.slice(2);
	const temporary = mkdtempSync(join(tmpdir(), "inet-port-model-"));
	const mutator = new Mutator(seed, files.map(seedLines));
	const faults = new Faults(mutator, values.save ?? join(tmpdir(), `mutated-${seed}`));
	const progress = newProgress();
	const current = join(temporary, "input.strace");
	let from = Number(values.from);
	const to = from + count;
	try {
		while (from < to) {
			Atomics.store(progress, CURRENT, NONE);
			const worker = new Worker(new URL(import.meta.url), {
				workerData: { from, to, seed, files, current, progress } satisfies Job,
				resourceLimits: { maxOldGenerationSizeMb: MEMORY },
			});
			worker.on("message", (fault: Fault) => faults.add("FAULT", fault));
			const ending = await watch(worker, progress, HANG);
			if (ending.kind === "done") break;
			const input = Atomics.load(progress, CURRENT);
			if (input === NONE) throw new Error(ending.kind === "died" ? ending.error : "no input");
			if (ending.kind === "hang") faults.add("HANG", { input, where: `hang beyond ${HANG} ms` });
			else faults.add("FAULT", { input, where: ending.error });
			from = input + 1;
		}
	} finally {
		rmSync(temporary, { recursive: true });
	}
	const sum = [...faults.kinds.values()].reduce((all, one) => all + one, 0);
	const ends = ENDS.map((end, i) => `${progress[COUNTS + i]} ${end}`).join(", ");
	process.stdout.write(
		`${count} inputs, seed ${seed}: ${ends}; ${sum} faults of ${faults.kinds.size} kinds\n`,
	);
	process.exitCode = sum > 0 ? 1 : 0;
}

if (!isMainThread && workerData?.progress instanceof Int32Array) await work(workerData as Job);
else if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
