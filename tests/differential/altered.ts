// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Recordings with one altered result. If the naive walk of tests/property/oracle.ts proves the
 * result impossible, it must be a mismatch, at the altered line or at a later line that depends on
 * it.
 *
 *     node dist/tests/differential/altered.js PROGRAMS SEED
 *     node dist/tests/differential/altered.js --kernel VERSION LINES SEED RECORDING...
 *
 * The second form alters LINES lines of each recording of a real kernel. The recorded program must
 * have had its own namespace. It inserts ports outside every range, clients that do not exist, and
 * refusals of ports that no line names before.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { playScript, readScript } from "../../kernel-model/index.js";
import { Alterations, type Altered } from "../property/alterations.js";
import { type Profile, type Program, programs } from "../property/program.js";

/** One namespace. A getsockname() follows each choice of a port. */
const PROFILE: Profile = {
	devices: ["", "lo", "dummy0"],
	length: 60,
	bind: 6,
	autobind: 4,
	connect: 5,
	session: 4,
	sysctl: 1,
	tasks: 4,
};

interface Judged extends Altered {
	/** The worst verdict from the altered line on. */
	verdict: "mismatch" | "undecided" | "match";
	reason: string;
	text: string;
}

interface Count {
	mismatch: number;
	undecided: number;
	match: number;
	/** Calls of the unaltered recordings: as recorded, undecided, differing. */
	unaltered: { match: number; undecided: number; mismatch: number };
}

/** The table sizes of a stock kernel, because results depend on them. */
const asStock = (program: Program): Program => ({
	...program,
	slots: 65_536,
	udpSlots: 16_384,
});

function judge(text: string, version: string, from: number): Pick<Judged, "verdict" | "reason"> {
	const outcomes = playScript(readScript(text, "altered"), { version, alone: true });
	const later = outcomes.filter(({ line }) => line >= from);
	const worst =
		later.find(({ verdict }) => verdict === "mismatch") ??
		later.find(({ verdict }) => verdict === "undecided");
	if (worst === undefined) return { verdict: "match", reason: "" };
	const verdict = worst.verdict === "mismatch" ? "mismatch" : "undecided";
	return { verdict, reason: `${worst.call}: ${worst.reason ?? ""}` };
}

/** Judges each alteration of a recording by itself. */
function* judgeEach(
	lines: readonly string[],
	altered: readonly Altered[],
	version: string,
	total: Count,
): Generator<Judged> {
	for (const one of altered) {
		const text = lines.with(one.index, one.line).join("\n");
		const judged = judge(text, version, one.index + 1);
		total[judged.verdict]++;
		yield { ...one, ...judged, text };
	}
}

/** Plays random programs on the model, alters one result of each at a time, and judges it. */
export function* alter(count: number, seed: number, total: Count): Generator<Judged> {
	for (const drawn of fc.sample(programs(PROFILE), { numRuns: count, seed })) {
		const program = asStock(drawn);
		const { lines, altered } = new Alterations(program);
		for (const { verdict } of playScript(readScript(lines.join("\n"), "whole"), {
			version: program.version,
			alone: true,
		})) {
			if (verdict === "match" || verdict === "mismatch" || verdict === "undecided")
				total.unaltered[verdict]++;
		}
		yield* judgeEach(lines, altered, program.version, total);
	}
}

const PORT = /htons\(([1-9][0-9]*)\)/;

/**
 * Results that no random draw can explain, on every kernel whose range contains the default one.
 */
function impossible(lines: readonly string[]): Altered[] {
	const found: Altered[] = [];
	const named = new Set<string>();
	for (const [index, was] of lines.entries()) {
		const port = PORT.exec(was)?.[1];
		const add = (line: string, why: string) => found.push({ index, was, line, why });
		const whole = !/resumed>|<unfinished|AF_UNIX|sa_family=AF_NETLINK/.test(was);
		if (port !== undefined && whole) {
			if (/\bgetsockname\(.* = 0/.test(was) && !named.has(port))
				add(was.replace(PORT, "htons(7)"), "port 7 is in no range");
			if (/\baccept4?\(.* = [0-9]+/.test(was) && !named.has(port))
				add(was.replace(PORT, "htons(7)"), "port 7 is no client's");
			if (/\bbind\(.* = 0\b/.test(was) && !named.has(port))
				add(
					was.replace(/ = 0\b/, " = -1 EADDRINUSE (Address already in use)"),
					"error: nobody has the port",
				);
		}
		for (const [, other] of was.matchAll(/htons\(([0-9]+)\)/g)) named.add(other);
	}
	return found;
}

/** Alters this many lines of a recording, one at a time. */
function* alterRecording(
	text: string,
	version: string,
	count: number,
	seed: number,
	total: Count,
): Generator<Judged> {
	const lines = text.split("\n");
	const all = impossible(lines);
	const chosen = fc.sample(fc.shuffledSubarray(all, { maxLength: Math.min(count, all.length) }), {
		numRuns: 1,
		seed,
	})[0];
	yield* judgeEach(lines, chosen, version, total);
}

export const noCount = (): Count => ({
	mismatch: 0,
	undecided: 0,
	match: 0,
	unaltered: { match: 0, undecided: 0, mismatch: 0 },
});

function main(argv: string[]): void {
	const total = noCount();
	const seen = new Map<string, number>();
	const kernel = argv[0] === "--kernel" ? argv[1] : null;
	const [count = "100", seed = "1", ...files] = kernel === null ? argv : argv.slice(2);
	function* judgements(): Generator<Judged> {
		if (kernel === null) yield* alter(Number(count), Number(seed), total);
		for (const file of files) {
			const text = readFileSync(file, "utf8");
			for (const one of alterRecording(text, kernel ?? "", Number(count), Number(seed), total))
				yield { ...one, text: file };
		}
	}
	for (const { verdict, reason, line, was, why, text } of judgements()) {
		if (verdict === "mismatch") continue;
		const kind = `${verdict} ${why.replace(/[0-9]+/g, "N")} ${reason.replace(/[0-9]+/g, "N")}`;
		const before = seen.get(kind) ?? 0;
		seen.set(kind, before + 1);
		if (before === 0)
			process.stdout.write(`${verdict}: ${was}\n  as ${line}\n  ${why}\n  ${reason}\n${text}\n\n`);
	}
	for (const [kind, times] of seen) process.stdout.write(`${times} ${kind}\n`);
	const all = total.mismatch + total.undecided + total.match;
	const { unaltered } = total;
	process.stdout.write(
		`${kernel === null ? `${count} programs` : `${files.length} recordings`}, seed ${seed}: of ${all} impossible results ${total.mismatch} are mismatches, ` +
			`${total.undecided} undecided, ${total.match} matches; unaltered: ${unaltered.match} calls match, ` +
			`${unaltered.undecided} undecided, ${unaltered.mismatch} mismatch\n`,
	);
	process.exitCode = total.match > 0 || unaltered.mismatch > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
