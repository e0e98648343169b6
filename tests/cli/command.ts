// SPDX-License-Identifier: GPL-2.0-or-later
/** The command line in the process of a test. */
import { vi } from "vitest";

export interface Run {
	status: number | string | null | undefined;
	stdout: string;
	stderr: string;
}

/** The command line in this process. */
export async function cli(...args: string[]): Promise<Run> {
	const run: Run = { status: undefined, stdout: "", stderr: "" };
	const write = (stream: "stdout" | "stderr") =>
		vi.spyOn(process[stream], "write").mockImplementation((text) => {
			run[stream] += String(text);
			return true;
		});
	const spies = [
		write("stdout"),
		write("stderr"),
		// Removes listeners that would otherwise stay.
		vi.spyOn(process.stdout, "on").mockReturnThis(),
		vi.spyOn(process.stderr, "on").mockReturnThis(),
		vi.spyOn(process, "on").mockReturnThis(),
	];
	const { argv, exitCode } = process;
	process.argv = [process.execPath, "inet-port-model", ...args];
	process.exitCode = undefined;
	try {
		vi.resetModules();
		await import("../../kernel-model/cli/main.js");
		run.status = process.exitCode;
		return run;
	} finally {
		process.argv = argv;
		process.exitCode = exitCode;
		for (const spy of spies) spy.mockRestore();
	}
}
