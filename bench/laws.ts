// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures how many programs of three sockets an exploration runs a second:
 * `npm run bench -- --only laws`. All programs over the kinds of size 2, on one core.
 */
import { Answers } from "../kernel-model/laws/answers.js";
import { boundsOf } from "../kernel-model/laws/kinds.js";

const json = process.argv.includes("--json");
const VERSION = "7.3";

for (const protocol of ["tcp", "udp"] as const) {
	const bound = boundsOf(protocol, 2).find(({ name }) => name === "sockets");
	if (bound === undefined) throw new Error("no bound of three sockets");
	const answers = new Answers(VERSION, protocol, bound);
	const began = performance.now();
	answers.explore();
	const seconds = (performance.now() - began) / 1000;
	const rate = Math.round(answers.programs / seconds);
	if (json) {
		const kinds = bound.steps.length;
		const row = { name: `laws ${protocol}`, kinds, programs: answers.programs, seconds, rate };
		process.stdout.write(`${JSON.stringify(row)}\n`);
	} else {
		const what = `laws ${protocol}: ${bound.steps.length} kinds, ${answers.programs} programs`;
		process.stdout.write(`${what}, ${seconds.toFixed(1)} s, ${rate} a second\n`);
	}
}
