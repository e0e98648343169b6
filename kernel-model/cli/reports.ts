// SPDX-License-Identifier: GPL-2.0-or-later
/** Reports for test systems: TAP on standard output, and JUnit's XML in a file. */
import { writeFileSync } from "node:fs";
import { oneLine, printable, reasonOf, UsageError, writeOut } from "./terminal.js";

/** One test: a script that was played, or a cause of broken laws. */
export interface Case {
	/** What was tested, such as the name of a script. */
	readonly name: string;
	/** "error": the test could not be made. "skipped": nothing was tested. */
	readonly verdict: "passed" | "failed" | "skipped" | "error";
	/** Why it did not pass, in one line. */
	readonly reason?: string;
	/** The lines that differ, or other evidence. */
	readonly details?: readonly string[];
	/** Remarks that do not change the verdict, such as undecided lines. */
	readonly notes?: readonly string[];
	/** The duration in seconds. */
	readonly seconds?: number;
}

/** Most details and notes of a test. */
const MOST = 200;

function atMost(lines: readonly string[]): readonly string[] {
	if (lines.length <= MOST) return lines;
	return [...lines.slice(0, MOST), `and ${lines.length - MOST} more`];
}

// TAP

/** A text in a test line of TAP. A # would begin a directive. */
function tapText(text: string): string {
	return oneLine(text).replace(/[\\#]/g, "\\$&");
}

/** A text in the YAML block of a test. A JSON string is a YAML string. */
function yamlText(text: string): string {
	return JSON.stringify(oneLine(text));
}

/** A line of a YAML block. Spaces before it would count as indentation, and "..." would end it. */
function blockText(text: string): string {
	return oneLine(text)
		.trim()
		.replace(/^(\.{3})?$/, "-");
}

/** A test as lines of TAP. `number` counts from 1. */
export function tapLines(number: number, one: Case): string[] {
	const { verdict, reason = "", details = [], notes = [] } = one;
	const ok = verdict === "passed" || verdict === "skipped" ? "ok" : "not ok";
	const skip = verdict === "skipped" ? ` # SKIP ${tapText(reason)}` : "";
	const lines = [`${ok} ${number} - ${tapText(one.name)}${skip}`];
	if (ok === "not ok") {
		lines.push("  ---", `  message: ${yamlText(reason)}`, `  severity: ${verdict}`);
		if (details.length > 0) lines.push("  details: |");
		for (const detail of atMost(details)) lines.push(`    ${blockText(detail)}`);
		lines.push("  ...");
	}
	for (const note of atMost(notes)) lines.push(`# ${oneLine(note)}`);
	return lines;
}

// JUnit

/** A text in XML. Characters that XML cannot have are shown as escapes. */
function xmlText(text: string): string {
	const NAMES: Readonly<Record<string, string>> = {
		"&": "&amp;",
		"<": "&lt;",
		">": "&gt;",
		'"': "&quot;",
		"\t": "&#9;",
		"\n": "&#10;",
	};
	return text
		.split("\n")
		.map(printable)
		.join("\n")
		.replace(/\p{Surrogate}|[\ufffe\uffff]/gu, (char) => {
			return `\\u${char.charCodeAt(0).toString(16)}`;
		})
		.replace(/[&<>"\t\n]/g, (char) => NAMES[char] ?? char);
}

function attributes(values: Readonly<Record<string, string | number>>): string {
	return Object.entries(values)
		.map(([name, value]) => ` ${name}="${xmlText(String(value))}"`)
		.join("");
}

function element(name: string, values: Record<string, string | number>, text: string): string {
	const begin = `<${name}${attributes(values)}`;
	// A line feed as text stays one, so that the file can be read.
	return text === "" ? `${begin}/>` : `${begin}>${xmlText(text).replace(/&#10;/g, "\n")}</${name}>`;
}

/** The XML of some tests. Follows the schema that Jenkins reads. */
export function junitText(suite: string, cases: readonly Case[]): string {
	const count = (verdict: Case["verdict"]) => cases.filter((one) => one.verdict === verdict).length;
	const seconds = cases.reduce((sum, one) => sum + (one.seconds ?? 0), 0);
	const totals = {
		tests: cases.length,
		failures: count("failed"),
		errors: count("error"),
		time: seconds.toFixed(3),
	};
	const lines = [
		'<?xml version="1.0" encoding="UTF-8"?>',
		`<testsuites${attributes({ name: "inet-port-model", ...totals })}>`,
		`  <testsuite${attributes({ name: suite, ...totals, skipped: count("skipped") })}>`,
	];
	for (const one of cases) {
		const { name, verdict, reason = "", details = [], notes = [] } = one;
		const time = (one.seconds ?? 0).toFixed(3);
		const begin = `    <testcase${attributes({ name, classname: suite, time })}`;
		const inner: string[] = [];
		const message = oneLine(reason);
		if (verdict === "skipped") inner.push(element("skipped", { message }, ""));
		if (verdict === "failed" || verdict === "error") {
			const text = [reason, ...atMost(details)].join("\n");
			const tag = verdict === "failed" ? "failure" : "error";
			inner.push(element(tag, { message, type: verdict }, text));
		}
		if (notes.length > 0) inner.push(element("system-out", {}, atMost(notes).join("\n")));
		if (inner.length === 0) lines.push(`${begin}/>`);
		else lines.push(`${begin}>`, ...inner.map((text) => `      ${text}`), "    </testcase>");
	}
	lines.push("  </testsuite>", "</testsuites>", "");
	return lines.join("\n");
}

// The options of a command

/** The options of a command that reports, for parse(). */
export const REPORT_OPTIONS = {
	tap: { type: "boolean", default: false },
	junit: { type: "string" },
} as const;

/**
 * Their lines of a help text. `what` says what a test is. Descriptions begin in column `column`,
 * counted from 0.
 */
export function reportHelp(what: string, column: number): string {
	const line = (option: string, text: string) => `  ${option}`.padEnd(column + 2) + text;
	return [
		line("--tap", `print TAP, which prove reads, instead: one test for each ${what}`),
		line("--junit FILE", "also write the tests to a file as JUnit's XML"),
		"",
	].join("\n");
}

/** The reports that a command was asked for. Without --tap and --junit it does nothing. */
export class Report {
	/** TAP takes the place of the usual output. */
	readonly tap: boolean;
	private readonly junit: string | null;
	private readonly cases: Case[] = [];
	private suite: string;
	/** How many tests there are; null if this is known at the end. */
	private planned: number | null = null;

	/**
	 * `values` holds the options of the command. Empties the file of --junit, so that no report of an
	 * earlier run stays. Throws UsageError.
	 */
	constructor(
		command: string,
		values: Readonly<Record<string, unknown>>,
		private readonly write: (text: string) => void = (text) => writeOut([text]),
	) {
		this.suite = command;
		this.tap = values.tap === true;
		this.junit = values.junit === undefined ? null : String(values.junit);
		if (this.tap && values.json === true) {
			throw new UsageError(`${command}: --tap or --json, not both`);
		}
		this.writeFile("");
	}

	/** Whether there is a report. */
	get wanted(): boolean {
		return this.tap || this.junit !== null;
	}

	private writeFile(text: string): void {
		if (this.junit === null) return;
		try {
			writeFileSync(this.junit, text);
		} catch (error) {
			throw new UsageError(`--junit: ${this.junit}: ${reasonOf(error)}`);
		}
	}

	/**
	 * Begins the tests. `suite` names the command and the kernel, "run 6.18.44". `count` is the
	 * number of tests that follow; null if it is not known yet.
	 */
	begin(suite: string, count: number | null): void {
		this.suite = suite;
		this.planned = count;
		if (!this.tap) return;
		this.write(count === null ? "TAP version 13\n" : `TAP version 13\n1..${count}\n`);
	}

	add(one: Case): void {
		this.cases.push(one);
		if (this.tap) this.write(`${tapLines(this.cases.length, one).join("\n")}\n`);
	}

	/**
	 * Ends the tests. `broken` is given if the command ends early, and says why. The tests that were
	 * made are in the report.
	 */
	end(broken: string | null = null): void {
		const { cases, planned } = this;
		if (this.tap && broken !== null) this.write(`Bail out! ${tapText(broken)}\n`);
		if (this.tap && broken === null && planned === null) this.write(`1..${cases.length}\n`);
		const left = planned === null ? "the rest" : `${planned - cases.length} more`;
		const early: Case = { name: left, verdict: "error", reason: broken ?? "" };
		this.writeFile(junitText(this.suite, broken === null ? cases : [...cases, early]));
	}
}
