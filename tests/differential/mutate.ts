// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Mutated scripts and recordings: whatever they become, playing them ends in outcomes or in an
 * error with its place, and verify() holds.
 *
 *     node dist/tests/differential/mutate.js COUNT SEED FILE...
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
	Player,
	readScript,
	ScriptError,
	SeededRandom,
	VERSIONS,
} from "../../kernel-model/index.js";

/** Lines of a seed that are played: a stretch of it, so that many inputs fit into a second. */
const LINES = 24;

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

export class Mutator {
	private readonly random: SeededRandom;

	constructor(
		seed: number,
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

	/** The next input. */
	next(): string {
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
				// a number or a word is another
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
				// a line of another seed
				lines.splice(at, 0, this.pick(this.pick(this.seeds)) ?? "");
			}
		}
	}
}

/** Plays an input: how it ended. Throws what is neither an outcome nor an error with its place. */
export function playMutated(text: string, version: string): "played" | "refused" {
	let player: Player;
	try {
		player = new Player(readScript(text, "mutated"), { version });
		for (const outcome of player.play()) {
			if (!Number.isInteger(outcome.line)) throw new Error(`an outcome of line ${outcome.line}`);
		}
	} catch (error) {
		if (!(error instanceof ScriptError)) throw error;
		if (!/^mutated:[0-9]+:[0-9]+: expected /.test(error.message)) {
			throw new Error(`an error without its place: ${error.message}`);
		}
		return "refused";
	}
	player.kernel.verify();
	return "played";
}

/** A file's lines, without the many of long recordings. */
export function seedLines(path: string): string[] {
	return readFileSync(path, "utf8").split("\n").slice(0, 2000);
}

/** How long one input may take, ms: by hand only. */
const HANG = 10_000;

function main(argv: string[]): void {
	const [count, seed, ...files] = argv;
	const mutator = new Mutator(Number(seed), files.map(seedLines));
	const ends = { played: 0, refused: 0 };
	const faults = new Map<string, number>();
	for (let i = 0; i < Number(count); i++) {
		const text = mutator.next();
		const { name } = VERSIONS[i % VERSIONS.length];
		const begin = Date.now();
		try {
			ends[playMutated(text, name)]++;
		} catch (error) {
			const where =
				error instanceof Error ? `${error.stack}`.split("\n").slice(0, 3).join(" ") : "";
			const key = where.replace(/[0-9]+/g, "N");
			const seen = faults.get(key) ?? 0;
			faults.set(key, seen + 1);
			if (seen === 0)
				process.stdout.write(`FAULT ${where}\ninput ${i}, kernel ${name}:\n${text}\n`);
		}
		const took = Date.now() - begin;
		if (took > HANG)
			process.stdout.write(`HANG ${took} ms, input ${i}, kernel ${name}:\n${text}\n`);
	}
	const sum = [...faults.values()].reduce((all, one) => all + one, 0);
	process.stdout.write(
		`${count} inputs, seed ${seed}: ${ends.played} played, ${ends.refused} refused, ${sum} faults of ${faults.size} kinds\n`,
	);
	process.exitCode = sum > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
