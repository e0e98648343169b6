// SPDX-License-Identifier: GPL-2.0-or-later
/** Input that a command can use in part, or not at all. The command says so. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { cli } from "./command.js";

const SOCKET = "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)\n";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
	const path = join(folder, name);
	writeFileSync(path, content);
	return path;
}

describe("a line that is not understood", { timeout: 60_000 }, () => {
	it.each(["matrix", "repro", "live"])(
		"is named by %s, which uses the other lines",
		async (command) => {
			const path = file("half.strace", `garbage(\n${SOCKET}`);
			const { status, stdout, stderr } = await cli(command, path);
			expect(status).toBe(0);
			expect(stdout).not.toBe("");
			expect(stderr).toBe(
				`inet-port-model: ${path}: 1 line is not understood: line 1: expected a value, found the end of the line\n`,
			);
		},
	);

	it("leaves no call to live", async () => {
		const { status, stdout } = await cli("live", file("none.strace", "garbage(\n"));
		expect([status, stdout]).toEqual([0, expect.stringContaining("0 lines, 0 differ")]);
	});
});

describe("a file without a line", () => {
	it.each(["fuzz", "replay", "laws"])("is not what %s merge joins", async (command) => {
		const path = file("empty.json", "");
		const { status, stderr } = await cli(command, "merge", path);
		expect([status, stderr]).toEqual([
			2,
			`inet-port-model: ${path}: expected a line of ${command} --json, found none\n`,
		]);
	});
});

describe("laws", () => {
	it("refuse a protocol that the kernel does not have", async () => {
		const { status, stderr } = await cli("laws", "--kernel", "7.3", "--protocol", "dccp");
		expect([status, stderr]).toEqual([2, "inet-port-model: laws: there is no dccp in 7.3\n"]);
	});

	it("name the versions that do not have one of the protocols", async () => {
		const args = [
			"--kernel",
			"6.1,7.3",
			"--protocol",
			"dccp",
			"--law",
			"held",
			"--shard",
			"1/9999",
		];
		const { stderr } = await cli("laws", ...args);
		expect(stderr).toContain("laws: passed over: no dccp in 7.3\n");
	});
});

describe("a version", () => {
	it("may be a tag", async () => {
		const { status, stderr } = await cli("conflicts", "--kernel", "v6.12");
		expect([status, stderr]).toEqual([0, ""]);
	});

	it.each([
		["--diff", ["conflicts", "--diff", "6.3", "x"]],
		["--base", ["review", "--base", "x"]],
	])("that is wrong is named with its option %s", async (option, args) => {
		const { status, stderr } = await cli(...args);
		expect(status).toBe(2);
		expect(stderr).toContain(`inet-port-model: ${option}: expected a release`);
	});
});
