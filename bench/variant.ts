// SPDX-License-Identifier: GPL-2.0-or-later
/** Copies of the build with some of its code replaced, and times of both. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type * as Model from "../kernel-model/index.js";

/** The folder of the build. */
export const BUILT = fileURLToPath(new URL("..", import.meta.url));

/**
 * Copies the model to a new folder, changes the copy's net/, and removes the folder after `use`.
 */
export async function withVariant(
	change: (net: string) => void,
	use: (copy: string) => void | Promise<void>,
): Promise<void> {
	const copy = mkdtempSync(join(tmpdir(), "inet-port-model-"));
	try {
		for (const folder of ["include", "net", "kernel-model"]) {
			cpSync(join(BUILT, folder), join(copy, folder), { recursive: true });
		}
		writeFileSync(join(copy, "package.json"), '{"type":"module"}');
		change(join(copy, "net"));
		await use(copy);
	} finally {
		rmSync(copy, { recursive: true });
	}
}

/** The model of the build or of a copy. */
export async function modelIn(folder: string): Promise<typeof Model> {
	return import(pathToFileURL(join(folder, "kernel-model/index.js")).href);
}

/**
 * Lets runs take turns, and returns the tenth percentile of the times that each returns. Other load
 * on the machine only adds time.
 */
export function compare(runs: readonly (() => number)[], rounds: number): number[] {
	const times: number[][] = runs.map(() => []);
	for (let round = 0; round < rounds; round++) {
		for (let i = 0; i < runs.length; i++) {
			const at = (round + i) % runs.length;
			times[at].push(runs[at]());
		}
	}
	return times.map((of) => of.sort((a, b) => a - b)[Math.floor(rounds / 10)]);
}
