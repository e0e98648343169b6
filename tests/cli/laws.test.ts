// SPDX-License-Identifier: GPL-2.0-or-later
/** The command `laws`. One test runs dist/kernel-model/cli/main.js, which `npm test` builds. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { cli } from "./command.js";

const BUILT = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

const REPORT = {
	law: "held",
	laws: ["held"],
	rules: [],
	harm: "",
	protocol: "tcp",
	kernel: "7.3",
	kernels: ["7.3"],
	script: "close(3) = -1 EBADF\n",
	expected: "success",
	cases: 2,
	at: "no_such_function",
	file: "net/x.ts",
	line: 1,
	users: false,
	changes: [],
	confirmed: [],
};

function file(name: string, objects: readonly object[]): string {
	const path = join(folder, name);
	writeFileSync(path, objects.map((object) => `${JSON.stringify(object)}\n`).join(""));
	return path;
}

describe("laws", () => {
	it("lists the laws in its help", async () => {
		const { status, stdout } = await cli("laws", "--help");
		expect(status).toBe(0);
		expect(stdout).toContain(
			"A port that a socket refuses to share is not taken while the socket has it",
		);
	});

	it.each([
		[["--law", "none"], "--law: expected held, "],
		[["--kernel", "next"], "--kernel: expected a release such as"],
		[["--protocol", "ip"], "--protocol: expected tcp, "],
		[["--size", "9"], "--size: expected a number from 1 to 3, found 9"],
		[["--shard", "3/2"], "--shard: expected I/N such as 1/4, found 3/2"],
		[["x"], "laws: unexpected x"],
		[["merge"], "laws merge: expected files"],
	])("refuses %s in one line", async (args, message) => {
		const { status, stdout, stderr } = await cli("laws", ...args);
		expect([status, stdout]).toEqual([2, ""]);
		expect(stderr).toContain(message);
		expect(stderr.trimEnd().split("\n")).toHaveLength(1);
	});

	it("explores a part of the work and prints causes and totals as JSON", () => {
		const args = ["--kernel", "7.3", "--protocol", "udp", "--law", "held", "--shard", "1/99"];
		// Causes are found in a new process, which runs the built program.
		const { status, stdout } = spawnSync(process.execPath, [BUILT, "laws", "--json", ...args], {
			encoding: "utf8",
		});
		const lines = stdout
			.trimEnd()
			.split("\n")
			.map((line) => JSON.parse(line));
		const totals = lines.pop();
		expect(totals).toMatchObject({ causes: lines.length });
		expect(totals.programs).toBeGreaterThan(20_000);
		expect(lines).not.toHaveLength(0);
		for (const cause of lines)
			expect(cause).toMatchObject({ law: "held", kernel: "7.3", new: false });
		expect(status).toBe(0);
	}, 120_000);

	it("merge joins the same cause and adds its cases", async () => {
		const one = file("one.json", [REPORT, { programs: 5, run: 5, seconds: 1, causes: 1 }]);
		const two = file("two.json", [
			{ ...REPORT, kernels: ["6.3"] },
			{ programs: 7, run: 7, seconds: 1, causes: 1 },
		]);
		const { status, stdout } = await cli("laws", "merge", "--json", one, two);
		const [cause, totals] = stdout
			.trimEnd()
			.split("\n")
			.map((line) => JSON.parse(line));
		expect(cause).toMatchObject({ cases: 4, kernels: ["6.3", "7.3"], new: true });
		expect(totals).toMatchObject({ programs: 12, causes: 1 });
		expect(status).toBe(1);
	});

	it.each([
		["kernels", { ...REPORT, kernels: undefined }],
		["laws", { ...REPORT, laws: ["held", 1] }],
		["at", { ...REPORT, at: 5 }],
		["cases", { ...REPORT, cases: "many" }],
		["users", { ...REPORT, users: null }],
	])("merge refuses a cause without its %s", async (field, report) => {
		const { status, stdout, stderr } = await cli("laws", "merge", file("odd.json", [report]));
		expect([status, stdout]).toEqual([2, ""]);
		expect(stderr).toContain(`odd.json:1: ${field}: expected `);
	});

	it("merge shows control characters of a file as escapes", async () => {
		const odd = file("escape.json", [
			{ ...REPORT, script: "close(3) \u001b[2J\n", expected: "\u001b]0;x" },
		]);
		const { stdout } = await cli("laws", "merge", odd);
		expect(stdout).toContain("close(3) \\x1b[2J");
		expect(stdout).not.toContain("\u001b");
	});

	it("merge names the line that it cannot read", async () => {
		const bad = join(folder, "bad.json");
		writeFileSync(bad, "{}\nnothing\n");
		const { status, stderr } = await cli("laws", "merge", bad);
		expect(status).toBe(2);
		expect(stderr).toContain("bad.json:2: expected a line of laws --json");
	});
});
