// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * How many sockets a port has does not matter: bind(2) speaks of the address, not of numbers. Ten
 * more sockets like one that is there, each on an address of its own that nobody else asks for,
 * change nothing.
 *
 * Meant exception: of a group with SO_REUSEPORT any member may get a client, and the kernel draws
 * lots. So the law does not ask who has the client if two sockets have SO_REUSEPORT.
 */
import type { Law } from "./law.js";

export const crowd: Law = {
	id: "crowd",
	rule: "Ten more sockets like one on the port, on other addresses, change nothing",
	harm: "A busy host shares a port that an idle one would not share, or loses clients.",
	judge(program) {
		if (program.drawsLots) return null;
		const to = program.answers.variants("without the crowd", (step) => {
			if (step.do !== "bind" || step.kind.crowd !== true) return step;
			const { crowd: _, ...kind } = step.kind;
			return { do: "bind", kind };
		});
		const beside = program.steps.map((step) => to[step] ?? -1);
		if (beside.every((step, at) => step === program.steps[at])) return null;
		const other = beside.includes(-1) ? null : program.ask(beside);
		if (other === null || other === program.answer) return null;
		return { expected: program.answerText(other), beside };
	},
};
