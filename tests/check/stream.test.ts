// SPDX-License-Identifier: GPL-2.0-or-later
/** Recordings that are played while they are read. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { recordedLines } from "../../bench/play.js";
import {
	type Outcome,
	type Played,
	partsOf,
	playLines,
	playWhole,
	readScript,
} from "../../kernel-model/check/player.js";
import { WHOLE } from "../../kernel-model/check/recording.js";

const VERSION = "6.18.44";
const CORPUS = new URL("../recordings/corpus/", import.meta.url);

/** The items of a play: outcomes, and the lines of the file. */
function told(played: Iterable<Played>): { outcomes: string[]; texts: string[] } {
	const outcomes: string[] = [];
	const texts: string[] = [];
	for (const each of played) {
		if (each.kind === "outcome") {
			const { line, verdict, result, reason } = each.outcome;
			outcomes.push(`${line} ${verdict} ${result} ${reason}`);
		} else {
			const { leader, text } = each.printed;
			texts.push(`${leader}${text} ${each.outcome?.verdict ?? ""}`);
		}
	}
	return { outcomes, texts };
}

const byLine = (outcomes: string[]) =>
	[...outcomes].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));

/** The outcomes of a recording that is played while it is read, without matches. */
function exceptions(lines: Iterable<string>): Outcome[] {
	const found: Outcome[] = [];
	for (const each of playLines(lines, "long", 0, { version: VERSION }, WINDOW)) {
		if (each.kind !== "outcome") continue;
		if (each.outcome.verdict !== "match" && each.outcome.verdict !== "ignored") {
			found.push(each.outcome);
		}
	}
	return found;
}

/** The lines of a long recording, some of them changed, by their numbers. */
function* altered(count: number, change: (line: string, at: number) => Iterable<string>) {
	let at = 0;
	for (const line of recordedLines(count)) yield* change(line, ++at);
}

const WINDOW = { ahead: 500, back: 500 };
const LONG = 5000;

test("a recording has the same outcomes as a whole and while it is read", () => {
	const files = readdirSync(CORPUS).filter((file) => /^(nginx|asyncio|tcl|rsyslog)/.test(file));
	expect(files.length).toBeGreaterThan(2);
	for (const file of files) {
		const text = readFileSync(new URL(file, CORPUS), "utf8");
		const options = { version: VERSION, alone: true };
		const whole = told(playWhole(readScript(text, file), options));
		const read = told(playLines(text.split("\n").slice(0, -1), file, 0, options));
		expect(byLine(read.outcomes)).toEqual(byLine(whole.outcomes));
		expect(read.texts).toEqual(whole.texts);
	}
});

test("a file has parts: recordings with draws, and recordings that are too long for memory", () => {
	const header = "# kernel 6.12.117, with the draws of its port searches";
	const kinds = (lines: string[]) =>
		[...partsOf(lines[Symbol.iterator](), "f")].map((part) => {
			if ("script" in part) return part.script.lines.length;
			return [...part.lines].length * -1;
		});
	expect(kinds([header, "close(3) = 0", header, "close(3) = 0", "close(4) = 0"])).toEqual([2, 3]);
	const close = (count: number) => new Array<string>(count).fill("close(3) = 0");
	expect(kinds(close(WHOLE))).toEqual([WHOLE]);
	expect(kinds(close(WHOLE + 5))).toEqual([-WHOLE - 5]);
	expect(kinds([header, ...close(WHOLE)])).toEqual([WHOLE + 1]);
});

test("the number of events that are read ahead or kept is bounded", () => {
	let read = 0;
	let [outcomes, texts] = [0, 0];
	let most = 0;
	const lines = altered(LONG, (line) => {
		read++;
		return [line];
	});
	for (const each of playLines(lines, "long", 0, { version: VERSION }, WINDOW)) {
		if (each.kind === "outcome") outcomes++;
		else texts++;
		most = Math.max(most, read - outcomes);
	}
	expect(outcomes).toBe(read);
	expect(texts).toBe(read);
	expect(most).toBeLessThanOrEqual(LONG / 2);
});

test("one altered line late in a long recording differs, and no other does", () => {
	const at = LONG - 1000;
	let line = 0;
	const found = exceptions(
		altered(LONG, (text, n) => {
			if (line !== 0 || n < at || !text.includes("accept4(")) return [text];
			line = n;
			return [text.replace(/htons\(\d+\)/, "htons(32767)")];
		}),
	);
	expect(found.map((each) => `${each.line - line} ${each.verdict}`)).toEqual(["0 mismatch"]);
});

test("a contradiction with a choice that is too far back is undecided, and names it", () => {
	// Its port is a guess: the highest free port.
	const guess =
		'1000 1700000000.01 bind(9, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0';
	const taken = (fd: number) =>
		`1000 1700001000.01 bind(${fd}, {sa_family=AF_INET, sin_port=htons(60999), sin_addr=inet_addr("127.0.0.1")}, 16) = 0`;
	const socket = (fd: number) =>
		`1000 1700000000.01 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = ${fd}`;
	const found = exceptions(
		altered(LONG, (line, n) => {
			if (n === 100) return [line, socket(9), guess];
			if (n === LONG - 1000) return [line, socket(10), taken(10)];
			return [line];
		}),
	);
	expect(found.map(({ call, verdict }) => `${call} ${verdict}`)).toEqual(["bind undecided"]);
	expect(found[0]?.reason).toContain(
		"line 102 did not choose port 60999, but this is too far back",
	);
});

test("a call that returns too many events later is undecided", () => {
	const found = exceptions(
		altered(LONG, (line, n) => {
			if (n === 100) {
				return [
					line,
					"1000 1700000000.01 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 9",
					'1000 1700000000.01 connect(9, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, 16 <unfinished ...>',
				];
			}
			if (n === LONG - 1000) {
				return [
					"1000 1700001000.01 <... connect resumed>) = -1 ECONNREFUSED (Connection refused)",
					line,
				];
			}
			return [line];
		}),
	);
	expect(found.map(({ line, verdict }) => `${line} ${verdict}`)).toEqual(["102 undecided"]);
	expect(found[0]?.reason).toContain("events later");
});
