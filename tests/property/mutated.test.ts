// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A few thousand mutated scripts and recordings with a fixed seed; mutate.ts plays more by hand.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import { ENDS, Mutator, newProgress, playFile, seedLines, watch } from "../differential/mutate.js";

const TESTS = fileURLToPath(new URL("..", import.meta.url));
const INPUTS = 1500;

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("the command line plays a mutated script or recording, or refuses it and names the place", {
	timeout: 600_000,
}, async () => {
	const files = ["examples", "examples/changes", "recordings"].flatMap((folder) =>
		readdirSync(`${TESTS}${folder}`)
			.filter((name) => name.endsWith(".strace"))
			.sort()
			.map((name) => `${TESTS}${folder}/${name}`),
	);
	const mutator = new Mutator(1, files.map(seedLines));
	const ends = ENDS.map(() => 0);
	const file = join(folder, "mutated.strace");
	for (let n = 0; n < INPUTS; n++) {
		// On a slow machine vitest would kill a worker that does not yield.
		if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
		const { text, options } = mutator.input(n);
		writeFileSync(file, text);
		try {
			ends[await playFile(file, options)]++;
		} catch (error) {
			const stack = error instanceof Error ? error.stack : error;
			throw new Error(`input ${n}, run ${options.join(" ")}: ${stack}\n${text}`);
		}
	}
	// Each exit status occurs.
	expect(Math.min(...ends)).toBeGreaterThan(INPUTS / 100);
});

it("an input of the mutator follows from the seed and its number", () => {
	const seeds = [seedLines(`${TESTS}recordings/odd.strace`)];
	const inputs = Array.from({ length: 20 }, (_, n) => new Mutator(3, seeds).input(n));
	const mutator = new Mutator(3, seeds);
	expect([...inputs].reverse()).toEqual(inputs.map((_, n) => mutator.input(19 - n)));
	expect(new Set(inputs.map(({ text }) => text)).size).toBe(20);
});

describe("a worker that plays inputs", () => {
	const worker = (code: string, progress: Int32Array, memory = 64) =>
		new Worker(`const { workerData } = require("node:worker_threads"); ${code}`, {
			eval: true,
			workerData: progress,
			resourceLimits: { maxOldGenerationSizeMb: memory },
		});

	it("that hangs is ended, and the number of its input is known", async () => {
		const progress = newProgress();
		const hangs = worker("Atomics.store(workerData, 0, 7); for (;;);", progress);
		expect(await watch(hangs, progress, 100)).toEqual({ kind: "hang" });
		expect(progress[0]).toBe(7);
	});

	it("that takes all memory ends, and the number of its input is known", async () => {
		const progress = newProgress();
		const takes = "Atomics.store(workerData, 0, 7); const all = []; for (;;) all.push({ all });";
		const { kind } = await watch(worker(takes, progress), progress, 60_000);
		expect([kind, progress[0]]).toEqual(["died", 7]);
	});

	it("that ends in time is reported as done", async () => {
		const progress = newProgress();
		expect(await watch(worker("", progress), progress, 60_000)).toEqual({ kind: "done" });
	});
});
