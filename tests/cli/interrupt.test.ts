// SPDX-License-Identifier: GPL-2.0-or-later
/** Ctrl-C ends the work of a command, and the command says what it did so far. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const BUILT = fileURLToPath(new URL("../../dist/kernel-model/cli/interrupt.js", import.meta.url));

/**
 * Runs a program, and sends it SIGINT soon after it has written something. During the write itself,
 * the signal would leave the program's stream unusable.
 */
function interrupted(program: string): Promise<{ status: number | null; output: string }> {
	const text = `import { interruptible, stoppable } from ${JSON.stringify(BUILT)};\n${program}`;
	const child = spawn(process.execPath, ["--input-type=module", "-e", text]);
	let output = "";
	return new Promise((resolve) => {
		child.stdout.on("data", (data) => {
			if (output === "") setTimeout(() => child.kill("SIGINT"), 50);
			output += data;
		});
		child.on("close", (status) => resolve({ status, output }));
	});
}

describe("SIGINT", () => {
	it("ends work that does not wait, and what it did so far is known", async () => {
		const { status, output } = await interrupted(`
			let done = 0;
			try {
				interruptible(() => {
					process.stdout.write("begun ");
					for (;;) done++;
				});
			} catch (error) {
				console.log(error.constructor.name, done > 0);
			}`);
		expect([status, output]).toEqual([0, "begun Interrupted true\n"]);
	});

	it("ends work that waits, by the function that stops it", async () => {
		const { status, output } = await interrupted(`
			const timer = setTimeout(() => {}, 60000);
			try {
				// After the stop nothing ends this wait.
				await stoppable(() => {
					process.stdout.write("begun ");
					return new Promise(() => {});
				}, () => clearTimeout(timer));
			} catch (error) {
				console.log(error.constructor.name);
			}`);
		expect([status, output]).toEqual([0, "begun Interrupted\n"]);
	});
});

describe("without a signal", () => {
	it("the result and the errors of the work pass through", async () => {
		const { interruptible } = await import("../../kernel-model/cli/interrupt.js");
		expect(interruptible(() => 5)).toBe(5);
		expect(() =>
			interruptible(() => {
				throw new RangeError("too much");
			}),
		).toThrow(new RangeError("too much"));
	});
});
