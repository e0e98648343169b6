// SPDX-License-Identifier: GPL-2.0-or-later
/** A few thousand mutated scripts and recordings with a fixed seed; mutate.ts plays more by hand. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { VERSIONS } from "../../kernel-model/index.js";
import { Mutator, playMutated, seedLines } from "../differential/mutate.js";

const TESTS = fileURLToPath(new URL("..", import.meta.url));
const INPUTS = 1500;

it("a mutated script or recording plays, or is refused with the place", {
	timeout: 600_000,
}, () => {
	const files = ["examples", "examples/changes", "recordings"].flatMap((folder) =>
		readdirSync(`${TESTS}${folder}`)
			.filter((name) => name.endsWith(".strace"))
			.sort()
			.map((name) => `${TESTS}${folder}/${name}`),
	);
	const mutator = new Mutator(1, files.map(seedLines));
	const ends = { played: 0, refused: 0 };
	for (let i = 0; i < INPUTS; i++) {
		const text = mutator.next();
		const { name } = VERSIONS[i % VERSIONS.length];
		try {
			ends[playMutated(text, name)]++;
		} catch (error) {
			throw new Error(
				`input ${i}, kernel ${name}: ${error instanceof Error ? error.stack : error}\n${text}`,
			);
		}
	}
	// Both ends are reached.
	expect(Math.min(ends.played, ends.refused)).toBeGreaterThan(INPUTS / 20);
});
