// SPDX-License-Identifier: GPL-2.0-or-later
/** The command line in the process of a test. */
import { vi } from "vitest";

export interface Run {
	status: number | string | null | undefined;
	stdout: string;
	stderr: string;
}

/** Runs a function. Returns what it writes to standard output and standard error. */
export async function captured(act: () => Promise<unknown>): Promise<Omit<Run, "status">> {
	const said = { stdout: "", stderr: "" };
	const spies = (["stdout", "stderr"] as const).map((stream) =>
		vi.spyOn(process[stream], "write").mockImplementation((text) => {
			said[stream] += String(text);
			return true;
		}),
	);
	try {
		await act();
		return said;
	} finally {
		for (const spy of spies) spy.mockRestore();
	}
}

/** The command line in this process. */
export async function cli(...args: string[]): Promise<Run> {
	const spies = [
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
		const said = await captured(() => import("../../kernel-model/cli/main.js"));
		return { status: process.exitCode, ...said };
	} finally {
		process.argv = argv;
		process.exitCode = exitCode;
		for (const spy of spies) spy.mockRestore();
	}
}
