// SPDX-License-Identifier: GPL-2.0-or-later
/** The tables of answers: every program of a bound, and what its kernel answers. */
import { describe, expect, it } from "vitest";
import type { Random } from "../../include/linux/random.js";
import { Answers } from "../../kernel-model/laws/answers.js";
import { explore } from "../../kernel-model/laws/explore.js";
import {
	type Bound,
	boundsOf,
	CLIENTS,
	PLAIN,
	placeOf,
	type Step,
} from "../../kernel-model/laws/kinds.js";
import { Lab } from "../../kernel-model/laws/lab.js";
import { LAWS } from "../../kernel-model/laws/laws.js";
import { lifeBoundsOf } from "../../kernel-model/laws/life_bounds.js";
import { PROTOCOLS, type Protocol } from "../../kernel-model/laws/protocols.js";
import { SeededRandom } from "../../kernel-model/machine/random.js";

const SAMPLES = 150;

/** A bound of the first size with some of its steps, and shorter. */
function small(protocol: Protocol, name: string, steps: number, depth: number): Bound {
	const bounds = [...boundsOf(protocol, name === "sockets" ? 2 : 1), ...lifeBoundsOf(protocol)];
	const bound = bounds.find((one) => one.name === name);
	if (bound === undefined) throw new Error(`no bound ${name}`);
	const every = Math.ceil(bound.steps.length / steps);
	const actions = bound.steps.filter((step) => step.do !== "bind");
	const binds = bound.steps.filter((step, i) => step.do === "bind" && i % every === 0);
	return { ...bound, depth, steps: [...binds, ...actions] };
}

function randomProgram(answers: Answers, random: Random, length: number): number[] {
	return Array.from({ length }, () => random.__get_random_u32_below(answers.steps.length));
}

describe.each(PROTOCOLS)("the answers of %s", (protocol) => {
	for (const [name, steps, depth] of [
		["sockets", 24, 3],
		["steps", 12, 4],
		["clients", 8, 4],
		["crowds", 6, 3],
		["guests", 6, 4],
		["lives", 4, 5],
		["peers", 4, 6],
	] as const) {
		const bounds = [...boundsOf(protocol, 1), ...lifeBoundsOf(protocol)];
		if (!bounds.some((bound) => bound.name === name)) continue;
		it(`of "${name}" are those of a new kernel, also under renaming`, () => {
			const answers = new Answers("6.12", protocol, small(protocol, name, steps, depth));
			answers.explore();
			const random = new SeededRandom(1);
			let compared = 0;
			for (let i = 0; i < 2000 * SAMPLES && compared < SAMPLES; i++) {
				const program = randomProgram(answers, random, depth);
				const answer = answers.answer(program);
				if (answer < 0) continue;
				const run = program.map((step) => answers.steps[step] as Step);
				expect(new Lab("6.12", protocol).run(run).at(-1), JSON.stringify(run)).toBe(answer);
				compared++;
			}
			expect(compared).toBe(SAMPLES);
		});
	}
});

describe("the answers of a bound that lacks an address", () => {
	it("do not take a program for another one by renaming", () => {
		const reuse = { ...PLAIN, reuse: true };
		const bound: Bound = {
			name: "test",
			programs: "",
			depth: 4,
			steps: [
				{ do: "bind", kind: reuse },
				{ do: "bind", kind: { ...reuse, place: placeOf("127.0.0.1") } },
				...CLIENTS.map((_, to): Step => ({ do: "client", to })),
				{ do: "who" },
			],
		};
		const answers = new Answers("6.12", "udp", bound);
		answers.explore();
		const lab = new Lab("6.12", "udp");
		answers.forEach((program, answer) => {
			const run = program.map((step) => bound.steps[step] as Step);
			expect(lab.run(run).at(-1), JSON.stringify(run)).toBe(answer);
		});
		// A client of the second address comes before the first address is named.
		const program = [0, 3, 1, 5];
		const run = program.map((step) => bound.steps[step] as Step);
		expect(answers.answer(program)).toBe(lab.run(run).at(-1));
	});
});

describe("an exploration", () => {
	it("visits each program of the table once", () => {
		const answers = new Answers("6.12", "tcp", small("tcp", "steps", 12, 3));
		answers.explore();
		let visited = 0;
		answers.forEach(() => {
			visited++;
		});
		expect(visited).toBe(answers.programs);
	});

	it("runs a program longer than the bound when it is asked", () => {
		const bound = small("tcp", "sockets", 24, 2);
		const answers = new Answers("6.12", "tcp", bound);
		answers.explore();
		const program = [1, 2, 3, 4];
		const steps = program.map((step) => bound.steps[step] as Step);
		expect(answers.answer(program)).toBe(new Lab("6.12", "tcp").run(steps).at(-1));
	});

	it("runs versions once that the programs do not tell apart", () => {
		const bound = small("tcp", "sockets", 10, 2);
		const found = explore(["6.18.44", "6.19", "7.0"], "tcp", bound, LAWS, null);
		expect(found.map(({ versions }) => versions)).toEqual([["6.18.44", "6.19", "7.0"]]);
	});

	it.each(PROTOCOLS)("leaves out versions without the protocol (%s)", (protocol) => {
		const bound = small(protocol, "sockets", 6, 1);
		const found = explore(["6.3", "7.3"], protocol, bound, LAWS, null);
		const gone = protocol === "udplite" || protocol === "dccp";
		expect(found.flatMap(({ versions }) => versions)).toEqual(gone ? ["6.3"] : ["6.3", "7.3"]);
	});
});
