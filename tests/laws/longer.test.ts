// SPDX-License-Identifier: GPL-2.0-or-later
/** Programs longer than every bound, made at random: they break no law that the catalogue does not have. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Answers } from "../../kernel-model/laws/answers.js";
import { allBoundsOf } from "../../kernel-model/laws/bounds.js";
import { readCatalogue } from "../../kernel-model/laws/catalogue.js";
import { type Broken, judge } from "../../kernel-model/laws/explore.js";
import { lawsOf } from "../../kernel-model/laws/laws.js";
import type { Protocol } from "../../kernel-model/laws/protocols.js";
import { scriptOf } from "../../kernel-model/laws/script.js";
import { always } from "../property/replay.js";

const VERSION = "7.3";
const LONGEST = 8;
const TEXT = readFileSync(new URL("../../kernel-model/laws/CATALOGUE.md", import.meta.url), "utf8");
const entries = readCatalogue(TEXT);

/** The laws that a protocol breaks in the version. */
function known(protocol: Protocol): Set<string> {
	const own = entries.filter(
		(entry) => entry.protocol === protocol && entry.versions.includes(VERSION),
	);
	return new Set(own.flatMap(({ laws }) => laws));
}

describe.each(["tcp", "udp"] as const)("programs of up to eight steps of %s", (protocol) => {
	it.each(allBoundsOf(protocol, 1).map((bound) => [bound.name, bound] as const))(
		`break no law but those in the catalogue: "%s"`,
		(_, bound) => {
			const answers = new Answers(VERSION, protocol, { ...bound, depth: 0 });
			const laws = lawsOf(bound).filter(({ id }) => !known(protocol).has(id));
			const choice = fc.nat({ max: bound.steps.length - 1 });
			const input = fc.array(choice, { minLength: 2, maxLength: 3 * LONGEST });
			always(input, { seed: 1, runs: 60 }, (choices) => {
				const program: number[] = [];
				for (const step of choices) {
					if (program.length === LONGEST) break;
					// A step that does not fit is left out.
					if (answers.answer([...program, step]) >= 0) program.push(step);
				}
				const broken: Broken[] = [];
				if (program.length > 1) judge(answers, laws, program, broken);
				const shown = broken.map(({ law, program: steps, expected }) => {
					const script = scriptOf(VERSION, protocol, steps, answers.lab.run(steps));
					return `${law.rule}\n${script}# the last answer should be: ${expected}`;
				});
				expect(shown).toEqual([]);
			});
		},
	);
});
