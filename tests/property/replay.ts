// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Properties over random input, which is the same in every run. A failure says how to replay it.
 * PROPERTY_SEED, PROPERTY_PATH and PROPERTY_RUNS override the defaults.
 */
import { relative } from "node:path";
import fc from "fast-check";
import { afterEach, expect } from "vitest";

const { PROPERTY_SEED, PROPERTY_PATH, PROPERTY_RUNS } = process.env;

// Properties do not yield. On a slow machine vitest would kill the worker.
afterEach(() => new Promise((resolve) => setImmediate(resolve)));

/** Whether the defaults are used. Then the reached cases are known. */
export const isDefault =
	PROPERTY_SEED === undefined && PROPERTY_PATH === undefined && PROPERTY_RUNS === undefined;

function whole(name: string, text: string | undefined, otherwise: number): number {
	if (text === undefined) return otherwise;
	if (!/^-?[0-9]+$/.test(text)) throw new Error(`${name} must be a whole number, is ${text}`);
	return Number(text);
}

/** Fails with the shortest input found, its seed and its path. */
export function always<T>(
	input: fc.Arbitrary<T>,
	defaults: { seed: number; runs: number },
	holds: (value: T) => void,
): void {
	const numRuns = whole("PROPERTY_RUNS", PROPERTY_RUNS, defaults.runs);
	const out = fc.check(
		fc.property(input, (value) => holds(value)),
		{
			seed: whole("PROPERTY_SEED", PROPERTY_SEED, defaults.seed),
			numRuns,
			...(PROPERTY_PATH === undefined ? {} : { path: PROPERTY_PATH }),
		},
	);
	if (!out.failed) return;
	const title = expect.getState().currentTestName?.split(" > ").at(-1) ?? "";
	const name = title.replace(/[^\w ,']/g, ".");
	// With fewer runs the path could lead past the last run.
	const runs = numRuns === defaults.runs ? "" : `PROPERTY_RUNS=${numRuns} `;
	const file = relative(process.cwd(), expect.getState().testPath ?? "tests/property");
	const replay = `${runs}PROPERTY_SEED=${out.seed} PROPERTY_PATH=${out.counterexamplePath} npx vitest run ${file} -t "${name}"`;
	throw new Error(`${fc.defaultReportMessage(out)}\n\nTo replay: ${replay}`, {
		cause: out.errorInstance,
	});
}
