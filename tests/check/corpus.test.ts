// SPDX-License-Identifier: GPL-2.0-or-later
/** Recordings of servers, clients and runtimes of other projects: tests/recordings/corpus. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

const FOLDER = new URL("../recordings/corpus/", import.meta.url);
const VERSION = "6.18.44";

const files = readdirSync(FOLDER).filter((file) => file.endsWith(".strace"));
const read = (file: string) => readFileSync(new URL(file, FOLDER), "utf8");

describe("programs of others", () => {
	it.each(files)("%s is what the kernel does", (file) => {
		const outcomes = playScript(readScript(read(file), file), { version: VERSION });
		const counts = new Map<string, number>();
		for (const { verdict } of outcomes) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
		const mismatches = outcomes
			.filter(({ verdict }) => verdict === "mismatch")
			.map(({ line, text, reason }) => `${file}:${line}: ${text}: ${reason}`);
		expect(mismatches).toEqual([]);
		const matches = counts.get("match") ?? 0;
		expect(matches).toBeGreaterThanOrEqual(20);
		// Few calls are undecided in a recording that begins with its program.
		expect(counts.get("undecided") ?? 0).toBeLessThanOrEqual(Math.ceil(matches / 50));
	});

	it("are of at least 40 programs, each with its line in the README", () => {
		const readme = readFileSync(new URL("README.md", FOLDER), "utf8");
		const rows = readme.split("\n").filter((line) => line.startsWith("| `"));
		const told = rows.map((row) => {
			const cells = row.split("|").map((cell) => cell.trim());
			return [cells[1].slice(1, -1), Number(cells[5])];
		});
		const there = files.map((file) => [file, read(file).split("\n").length - 1]);
		expect(told).toEqual(there);
		expect(there.length).toBeGreaterThanOrEqual(40);
	});

	it("name no other kernel than the profile that they are played on", () => {
		for (const file of files) expect(read(file)).toContain(`# Linux ${VERSION}, strace`);
	});
});
