// SPDX-License-Identifier: GPL-2.0-or-later
/** The random programs of campaigns, and how they are made smaller. No kernel is asked. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { type Abilities, KINDS, type Kind } from "../../kernel-model/real/campaign/abilities.js";
import { programOf } from "../../kernel-model/real/campaign/program.js";
import { renderProgram } from "../../kernel-model/real/campaign/render.js";
import { fewest, smallest } from "../../kernel-model/real/campaign/shrink.js";
import { SYSCTLS } from "../../kernel-model/real/campaign/vocabulary.js";

const ALL: Abilities = {
	version: "6.18.44",
	kinds: Object.keys(KINDS) as Kind[],
	users: 65_535,
	vrf: true,
	sysctls: Object.keys(SYSCTLS),
};

describe("a random program", () => {
	it("depends on its seed and its number alone", () => {
		const scripts = [0, 1, 2, 3].map((n) => renderProgram(programOf(1, n, 100), ALL).join("\n"));
		const again = [3, 2, 1, 0].map((n) => renderProgram(programOf(1, n, 100), ALL).join("\n"));
		expect(again.reverse()).toEqual(scripts);
		expect(new Set(scripts).size).toBe(4);
		const other = renderProgram(programOf(2, 0, 100), ALL).join("\n");
		expect(scripts).not.toContain(other);
	});

	it("is a script that the model plays", () => {
		const results = new Set<string>();
		for (let n = 0; n < 30; n++) {
			const script = readScript(
				`${renderProgram(programOf(1, n, 100), ALL).join("\n")}\n`,
				"program",
			);
			for (const { call, result } of playScript(script, { version: "6.18.44" }))
				results.add(`${call} ${Math.min(result ?? 0, 0)}`);
		}
		for (const reached of ["bind 0", "bind -98", "connect -115", "connect -99", "listen 0"])
			expect(results).toContain(reached);
	});
});

describe("a program that differs", () => {
	it("keeps only the parts that the difference needs", async () => {
		const all = Array.from({ length: 100 }, (_, i) => i);
		const needed = [3, 50, 51, 99];
		const shows = async (part: readonly number[]) => needed.every((n) => part.includes(n));
		expect(await fewest(all, shows)).toEqual(needed);
	});

	it("stays as it is once the time for shrinking is over", async () => {
		let left = 3;
		const shows = async () => (left-- > 0 ? false : null);
		expect(await fewest([1, 2, 3, 4, 5, 6, 7, 8], shows)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
		expect(left).toBe(-1);
	});

	it("gets simple numbers where the difference does not need other ones", async () => {
		const program = {
			world: 200,
			operations: [
				{ kind: "socket", n: [1, 2, 3, 4, 5] },
				{ kind: "bind", n: [9, 8, 7, 6, 5] },
			],
		} as const;
		const shown = await smallest(program, async ({ operations }) =>
			operations.some(({ kind, n }) => kind === "bind" && n[2] === 7),
		);
		expect(shown).toEqual({ world: 0, operations: [{ kind: "bind", n: [0, 0, 7, 0, 0] }] });
	});
});
