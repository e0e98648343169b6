// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Results that the rules exclude are mismatches. tests/differential/altered.ts plays more of them.
 */
import { describe, expect, it } from "vitest";
import { alter, noCount } from "../differential/altered.js";

describe("one altered result of a random program", () => {
	it("is a mismatch where the naive walk excludes it, and never a match", () => {
		const total = noCount();
		const others = [...alter(6, 1, total)].filter(({ verdict }) => verdict !== "mismatch");
		expect(total.mismatch).toBeGreaterThan(100);
		expect(total.unaltered.mismatch).toBe(0);
		expect(total.unaltered.undecided * 50).toBeLessThanOrEqual(total.unaltered.match);
		expect(total.match).toBe(0);
		expect(others.length * 100).toBeLessThanOrEqual(total.mismatch);
	});
});
