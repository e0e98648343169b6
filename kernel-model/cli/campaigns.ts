// SPDX-License-Identifier: GPL-2.0-or-later
/** Options that the campaigns share. The functions throw UsageError. */

import { nth } from "../machine/nth.js";
import { KINDS, type Kind } from "../real/campaign/abilities.js";
import type { Campaign, Difference } from "../real/campaign/campaign.js";
import { withoutNames } from "../real/campaign/program.js";
import type { Case } from "./reports.js";
import { type Merged, type Summary, sums } from "./shards.js";
import { parse, printable, styled, UsageError } from "./terminal.js";

/** The value of --NAME: a number from `least` to `most`. */
export function whole(name: string, text: unknown, least: number, most = Infinity): number {
	const number = Number(text);
	if (!/^[0-9]+$/.test(String(text)) || number < least || number > most) {
		const range = most === Infinity ? `${least} up` : `${least} to ${most}`;
		throw new UsageError(`--${name}: expected a number from ${range}, found ${text}`);
	}
	return number;
}

/** The value of --kinds. */
export function kindsOf(text: string): Kind[] {
	return text.split(",").map((name) => {
		if (!(name in KINDS)) {
			throw new UsageError(`--kinds: expected ${Object.keys(KINDS).join(", ")}, found ${name}`);
		}
		return name as Kind;
	});
}

/** The names of --without. Throws UsageError. */
export function withoutOf(text: string): string[] {
	const names = withoutNames();
	return text.split(",").map((name) => {
		if (names.includes(name)) return name;
		throw new UsageError(`--without: expected ${names.join(", ")}, found ${printable(name)}`);
	});
}

/** The value of --shard: I/N. */
export function shardOf(text: string): { i: number; n: number } {
	const [, i, n] = /^([0-9]+)\/([0-9]+)$/.exec(text) ?? [];
	if (!(Number(i) >= 1 && Number(i) <= Number(n))) {
		throw new UsageError(`--shard: expected I/N such as 1/4, found ${text}`);
	}
	return { i: Number(i), n: Number(n) };
}

/** The calls that a share of a campaign makes. */
export function shareOf(operations: number, { n }: { n: number }): number {
	return Math.ceil(operations / n);
}

/** A difference, the program that shows it, and how to see it again. */
export function differenceText(found: Difference, again: string, live: string): string {
	return [
		styled("31", `DIFFERS at ${found.reason}`),
		...found.explanation.map((line) => `#   ${line}`),
		`# to see it again: ${again}`,
		`# or: ${live}`,
		"# as a program in C: npx inet-port-model repro FILE --c",
		...found.script,
		"# as the kernel answered it:",
		found.recording.text,
	].join("\n");
}

const VERDICTS = [
	"acceptable",
	"reserved",
	"bucket not shareable by connect",
	"four-tuple in use",
	"four-tuple in time-wait",
	"bind conflict",
	"bind conflict with the wildcard",
];

function counts(numbers: readonly number[]): Record<string, number> {
	return Object.fromEntries(VERDICTS.map((name, i) => [name, numbers[i] ?? 0]).slice(1));
}

/** What a campaign says of itself. */
export function summaryOf(
	done: Campaign,
	about: Pick<Summary, "kernel" | "model" | "seed" | "shard" | "from" | "seconds" | "draws">,
): Summary {
	const { coverage, difference } = done;
	const { answers, skipped, bound, searches, exhausted } = coverage;
	const sorted = [...answers].sort(([a], [b]) => (a < b ? -1 : 1));
	return {
		...about,
		operations: done.operations,
		programs: done.programs,
		ignored: done.ignored,
		mismatches: difference === null ? 0 : 1,
		searches,
		exhausted,
		...(done.interrupted ? { next: done.next } : {}),
		skipped: counts(skipped),
		refused: counts(bound),
		answers: Object.fromEntries(sorted),
		differences:
			difference === null
				? []
				: [{ at: difference.number, reason: difference.reason, script: difference.script }],
	};
}

/** What an interrupted campaign did, and the command that goes on. */
export function stopText(
	command: string,
	done: Campaign,
	seed: number,
	shard: { i: number; n: number },
	operations: number,
): string {
	const left = Math.max(shareOf(operations, shard) - done.operations, 1) * shard.n;
	const share = shard.n === 1 ? "" : ` --shard ${shard.i}/${shard.n}`;
	const again = `${command} --seed ${seed}${share} --ops ${left} --from ${done.next}`;
	return `interrupted after ${done.operations} calls in ${done.programs} programs; go on with: ${again}`;
}

/** A campaign as one test of a report. `again` is the command that shows a difference again. */
export function testOf(summary: Summary, difference: Difference | null, again: string): Case {
	const { kernel, model, operations, programs, seed, seconds } = summary;
	const share = summary.shard === "1/1" ? "" : `, shard ${summary.shard}`;
	const name = `random programs of seed ${seed}${share}: kernel ${kernel}, model ${model}`;
	const notes = [`${operations} calls in ${programs} programs`];
	if (difference === null) return { name, verdict: "passed", notes, seconds };
	const { reason, script, recording } = difference;
	const details = [...script, "as the kernel answered it:", ...recording.text.trim().split("\n")];
	const all = [...details, `to see it again: ${again}`];
	return { name, verdict: "failed", reason, details: all, notes, seconds };
}

/** The exit status of a merge. Says what is missing. */
export function mergedStatus(command: string, merged: readonly Merged[]): number {
	const missing = merged.flatMap((one) => one.missing);
	for (const what of missing) process.stderr.write(`${command} merge: ${what}\n`);
	if (missing.length > 0) return 2;
	return merged.some(({ total }) => total.mismatches > 0) ? 1 : 0;
}

/** A row of a table of kernels: the first two cells are names, the others numbers. */
export function tableRow(cells: readonly (string | number)[], widths: readonly number[]): string {
	return cells
		.map((cell, i) => {
			const width = nth(widths, i);
			return i < 2 ? String(cell).padEnd(width) : cell.toLocaleString("en").padStart(width);
		})
		.join(" ");
}

const SUM_HEADER = ["kernel", "model", "seeds", "programs", "calls", "searches", "differ", "hours"];
const SUM_WIDTHS = [10, 10, 8, 12, 14, 14, 8, 8];

/** `fuzz sum` and `replay sum`: adds up the campaigns that --log wrote down. Throws UsageError. */
export function sumLogs(command: string, help: string, args: string[]): number {
	const { values, positionals: files } = parse(args, {
		json: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(help);
		return 0;
	}
	if (files.length === 0)
		throw new UsageError(`${command} sum: expected files of ${command} --log`);
	const found = sums(command, files);
	const lines = found.map(({ total, seeds }) => {
		const { kernel, model, programs, operations, searches, mismatches, seconds } = total;
		if (values.json === true) {
			return JSON.stringify({
				kernel,
				model,
				seeds,
				programs,
				operations,
				searches,
				mismatches,
				seconds,
			});
		}
		const counts = [seeds, programs, operations, searches, mismatches];
		return tableRow([kernel, model, ...counts, (seconds / 3600).toFixed(2)], SUM_WIDTHS);
	});
	if (values.json !== true) lines.unshift(tableRow(SUM_HEADER, SUM_WIDTHS));
	process.stdout.write(`${lines.join("\n")}\n`);
	return found.some(({ total }) => total.mismatches > 0) ? 1 : 0;
}

/** Notes the signals that ask a campaign to end. A second one ends the process. */
export function interruptions(): { seen(): boolean; end(): void } {
	let seen = false;
	const note = () => {
		if (seen) process.exit(130);
		seen = true;
	};
	process.on("SIGINT", note);
	process.on("SIGTERM", note);
	return {
		seen: () => seen,
		end() {
			process.off("SIGINT", note);
			process.off("SIGTERM", note);
		},
	};
}

/** The report of a campaign after a program differs. */
export const SHRINKING = "a difference: looking for a smaller program";

/**
 * Shows the progress of a campaign: in place on a terminal, else a line every ten seconds. An empty
 * text ends it.
 */
export function progressLine(prefix = ""): (text: string) => void {
	const tty = process.stderr.isTTY;
	let last = Date.now();
	return (text) => {
		const now = Date.now();
		if (text === "") {
			if (tty) process.stderr.write("\r\u001b[K");
			return;
		}
		if (now - last < (tty ? 200 : 10_000)) return;
		last = now;
		process.stderr.write(tty ? `\r\u001b[K${prefix}${text}` : `${prefix}${text}\n`);
	};
}
