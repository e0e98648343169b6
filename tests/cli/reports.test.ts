// SPDX-License-Identifier: GPL-2.0-or-later
/** Reports for test systems: TAP and JUnit's XML. Perl's prove and xmllint read them if they exist. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Case, junitText, Report, tapLines } from "../../kernel-model/cli/reports.js";
import { cli } from "./command.js";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

const has = (program: string) => spawnSync(program, ["--version"]).status === 0;

/** Every kind of character that a script or a file name may have. */
const HOSTILE = `a # TODO b \\ <&>"'\u0000\u0008\u001b[31m\u0085\u2028\ud800\ufffe\uffff \u{1f600} ]]> \n---\n...\t1..0`;

const CASES: readonly Case[] = [
	{ name: "one.strace", verdict: "passed", notes: ["undecided: line 3"] },
	{ name: "two.strace", verdict: "failed", reason: "2 lines differ", details: ["two:1: a", "b"] },
	{ name: "three.strace", verdict: "skipped", reason: "no line concerns ports" },
	{ name: "four.strace", verdict: "error", reason: "four.strace:1: expected a call" },
	{
		name: HOSTILE,
		verdict: "failed",
		reason: HOSTILE,
		details: [HOSTILE, "", "...", " - a: b"],
		notes: [HOSTILE],
	},
	{ name: HOSTILE, verdict: "skipped", reason: HOSTILE },
];

function tapOf(cases: readonly Case[], broken: string | null = null): string {
	let text = "";
	const report = new Report("run", { tap: true }, (piece) => {
		text += piece;
	});
	report.begin("run 6.18", cases.length);
	for (const one of cases) report.add(one);
	report.end(broken);
	return text;
}

describe("TAP", () => {
	it("has a plan, a line for each test, and the lines that differ in a YAML block", () => {
		expect(tapOf(CASES.slice(0, 4)).split("\n")).toEqual([
			"TAP version 13",
			"1..4",
			"ok 1 - one.strace",
			"# undecided: line 3",
			"not ok 2 - two.strace",
			"  ---",
			'  message: "2 lines differ"',
			"  severity: failed",
			"  details: |",
			"    two:1: a",
			"    b",
			"  ...",
			"ok 3 - three.strace # SKIP no line concerns ports",
			"not ok 4 - four.strace",
			"  ---",
			'  message: "four.strace:1: expected a call"',
			"  severity: error",
			"  ...",
			"",
		]);
	});

	it("has one line for a text with line feeds, and no directive that the text names", () => {
		const [line = "", ...rest] = tapLines(1, { name: HOSTILE, verdict: "passed" });
		expect(rest).toEqual([]);
		expect(line).toMatch(/^ok 1 - a \\# TODO b \\\\ /);
		// biome-ignore lint/suspicious/noControlCharactersInRegex: there must be none
		expect(line).not.toMatch(/[\0-\x08\n\x1b]/);
	});

	it("has its plan at the end if the number of tests was not known", () => {
		let text = "";
		const report = new Report("fuzz", { tap: true }, (piece) => {
			text += piece;
		});
		report.begin("fuzz 6.18", null);
		report.add({ name: "a", verdict: "passed" });
		report.end();
		expect(text).toBe("TAP version 13\nok 1 - a\n1..1\n");
	});

	it.skipIf(!has("prove"))("is read by Perl's prove", () => {
		const prove = (text: string) => {
			const file = join(folder, "report.t");
			writeFileSync(file, text);
			return spawnSync("prove", ["-v", "--exec", "cat", file], { encoding: "utf8" });
		};
		const good = prove(tapOf(CASES.filter(({ verdict }) => /passed|skipped/.test(verdict))));
		expect(good.stdout).toContain("Result: PASS");
		expect(good.status).toBe(0);
		const bad = prove(tapOf(CASES));
		expect(bad.stdout).toContain("Failed tests:  2, 4-5");
		expect(bad.stdout).not.toContain("Parse errors");
		const early = prove(tapOf(CASES.slice(0, 1), "interrupted # here"));
		expect(early.stdout + early.stderr).toContain("Bailout called");
	});
});

describe("JUnit's XML", () => {
	it("has a test case for each test, with its verdict and the lines that differ", () => {
		const text = junitText("run 6.18", CASES.slice(0, 4));
		expect(text).toContain('tests="4" failures="1" errors="1" time="0.000" skipped="1"');
		expect(text).toContain(
			'<failure message="2 lines differ" type="failed">2 lines differ\ntwo:1: a\nb</failure>',
		);
		expect(text).toContain('<skipped message="no line concerns ports"/>');
		expect(text).toContain("<system-out>undecided: line 3</system-out>");
	});

	it.skipIf(!has("xmllint"))("is well-formed whatever a script holds", () => {
		const file = join(folder, "report.xml");
		writeFileSync(file, junitText(HOSTILE, CASES));
		const { stderr, stdout } = spawnSync(
			"xmllint",
			["--xpath", "string(//testcase[5]/@name)", file],
			{ encoding: "utf8" },
		);
		expect(stderr).toBe("");
		expect(stdout).toContain(
			"a # TODO b \\ <&>\"'\\x00\\x08\\x1b[31m\\x85\\u2028\\ud800\\ufffe\\uffff \u{1f600} ]]>",
		);
	});

	it("of an earlier run does not stay if the command ends early", () => {
		const file = join(folder, "stale.xml");
		writeFileSync(file, "an earlier report");
		const report = new Report("run", { junit: file });
		expect(readFileSync(file, "utf8")).toBe("");
		report.begin("run 6.18", 3);
		report.add({ name: "a", verdict: "passed" });
		report.end("interrupted");
		const text = readFileSync(file, "utf8");
		expect(text).toContain('<testcase name="2 more"');
		expect(text).toContain('<error message="interrupted"');
	});
});

describe("run and matrix", () => {
	const differs = join(folder, "differs.strace");
	const same = join(folder, "same.strace");
	const SOCKET = "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n";
	writeFileSync(same, SOCKET);
	writeFileSync(differs, `${SOCKET}listen(3, 5) = -1 EBADF\n`);

	it("give one test for each script, with the lines that differ", async () => {
		const junit = join(folder, "run.xml");
		const { stdout, status } = await cli("run", "--tap", "--junit", junit, same, differs);
		expect(status).toBe(1);
		const lines = stdout.split("\n");
		expect(lines.slice(0, 4)).toEqual([
			"TAP version 13",
			"1..2",
			`ok 1 - ${same}`,
			`not ok 2 - ${differs}`,
		]);
		expect(lines).toContain(`    ${differs}:2: listen: the kernel says EBADF, the model 0`);
		expect(readFileSync(junit, "utf8")).toContain('tests="2" failures="1" errors="0"');
	});

	it("say in the report which script is wrong", async () => {
		const wrong = join(folder, "wrong.strace");
		writeFileSync(wrong, "bind(3, {oops\n");
		const { stdout, status } = await cli("run", "--tap", same, wrong, differs);
		expect(status).toBe(2);
		expect(stdout).toContain(`not ok 2 - ${wrong}\n`);
		expect(stdout).toMatch(/^Bail out! .*wrong\.strace:1:14: expected/m);
	});

	it("print TAP or JSON, not both", async () => {
		const { status, stderr } = await cli("matrix", "--tap", "--json", same);
		expect([status, stderr]).toEqual([2, "inet-port-model: matrix: --tap or --json, not both\n"]);
	});

	it("name the commit of a change that makes versions differ", async () => {
		const file = "tests/examples/changes/first-bind-not-fast.strace";
		const { stdout } = await cli("matrix", "--tap", file);
		expect(stdout).toContain(`not ok 1 - ${file}`);
		expect(stdout).toContain("# first-bind-not-fast (6.8, 8002d44fe84d)");
		const json = JSON.parse((await cli("matrix", "--json", file)).stdout);
		expect(json.commits).toEqual({
			"first-bind-not-fast": { since: "6.8", commit: "8002d44fe84d" },
		});
	});
});
