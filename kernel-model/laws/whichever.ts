// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Ports are alike. If a program names none of the ports that were chosen, it cannot tell them apart
 * by whether its later calls succeed.
 *
 * Meant exception: connections share ports, so how many ports two of them take depends on the
 * choice. The law is stated for programs with one search before the last call, and for those whose
 * searches are all of bind() for sockets without SO_REUSEADDR and SO_REUSEPORT: these share no port.
 * A range names its ports, so all searches have the same one.
 */

import { searchOf, stepOf } from "./history.js";
import type { Law } from "./law.js";
import { CHOSEN, chosenPlace, search, startsOf } from "./searches.js";

/** The answer without the port. */
const outcome = (answer: number) => (answer >= CHOSEN ? 0 : answer);

export const whichever: Law = {
	id: "whichever",
	rule: "Later calls that do not name a port go the same way, whichever port was chosen",
	harm: "A program works or fails by the port that it happens to get.",
	judge(program) {
		let searches = 0;
		let shares = false;
		let range: string | null = null;
		for (const at of program.steps.keys()) {
			const asked = searchOf(program.stepAt(at));
			if (asked === null) continue;
			if (asked.how === "named" || asked.range.shares) return null;
			if (range !== null && asked.range.name !== range) return null;
			range = asked.range.name;
			if (at === program.length - 1) continue;
			searches++;
			const step = program.stepAt(at);
			if (asked.how !== "zero" && asked.how !== "listen") shares = true;
			if (step.do === "bind" && (step.kind.reuse || step.kind.reuseport)) shares = true;
		}
		if (searches === 0 || (searches > 1 && shares)) return null;
		for (const { at, kind, answer } of program.sockets) {
			if (kind.search === undefined || kind.search.how === "named") continue;
			if (chosenPlace(answer) === null) continue;
			const { how, to, range } = kind.search;
			for (let other = 0; other < startsOf(range); other++) {
				if (other === kind.search.start) continue;
				const step = stepOf(program, kind, search(how, to, range, other));
				if (step < 0) continue;
				const beside = program.steps.map((number, i) => (i === at ? step : number));
				const chosen = program.ask(beside.slice(0, at + 1));
				if (chosen === null || chosenPlace(chosen) === null) continue;
				const there = program.ask(beside);
				if (there === null || outcome(there) === outcome(program.answer)) continue;
				return { expected: outcome(there) === 0 ? "success" : "failure", beside };
			}
		}
		return null;
	},
};
