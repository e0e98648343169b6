// SPDX-License-Identifier: GPL-2.0-or-later
/** The code that some programs replace in the build by its text exists there. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const check = (file: string) => {
	const path = fileURLToPath(new URL(`../../dist/${file}`, import.meta.url));
	const { status, stderr } = spawnSync(process.execPath, [path, "--check"], { encoding: "utf8" });
	return { status, stderr };
};

describe("the code that a program replaces by its text", () => {
	it("stands once in the build, for each deliberate fault", () => {
		expect(check("tests/differential/faults.js")).toEqual({ status: 0, stderr: "" });
	});

	it("is all the tracing that the build has, for the copy without tracing", () => {
		expect(check("bench/tracing.js")).toEqual({ status: 0, stderr: "" });
	});

	it("calls each fast scan once, for the copy without scans", () => {
		expect(check("bench/scans.js")).toEqual({ status: 0, stderr: "" });
	});
});
