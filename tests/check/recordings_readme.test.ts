// SPDX-License-Identifier: GPL-2.0-or-later
/** Compares tests/recordings/README.md with the recordings. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const FOLDER = new URL("../recordings/", import.meta.url);
const read = (file: string) => readFileSync(new URL(file, FOLDER), "utf8");

/** The rows of the table, by file. */
const rows = new Map(
	read("README.md")
		.split("\n")
		.filter((line) => line.startsWith("| `"))
		.map((line) => {
			const cells = line.split("|").map((cell) => cell.trim().replaceAll("`", ""));
			const [, file, program, , options, kernel, lines] = cells;
			return [file, { program, options, kernel, lines }];
		}),
);
const files = readdirSync(FOLDER).filter((file) => file.endsWith(".strace"));

describe("the table of recordings", () => {
	it("names each recording of the folder, and no other", () => {
		expect([...rows.keys()].sort()).toEqual(files.sort());
	});

	it.each(files)("says of %s how it was made, and how long it is", (file) => {
		const text = read(file);
		const [system, , command] = text.split("\n");
		const row = rows.get(file);
		expect(row?.lines).toBe((text.split("\n").length - 1).toLocaleString("en-US"));
		expect(command.startsWith(`# strace ${row?.options} -e trace=`)).toBe(true);
		expect(command.endsWith(` ${row?.program}`)).toBe(true);
		expect(system).toContain(` ${row?.kernel}-`);
		const [program] = row?.program.split(" ") ?? [];
		expect(readdirSync(new URL("programs/", FOLDER))).toContain(program);
	});
});
