// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Options before bind() are a set: neither their order nor their repetition matters. No manual page
 * gives an order.
 *
 * Meant exceptions: none.
 */
import type { Law } from "./law.js";

export const options: Law = {
	id: "options",
	rule: "The order and the repetition of options before bind() do not matter",
	judge(program) {
		const { answers } = program;
		let differs = false;
		const plain = program.steps.map((number, at) => {
			const step = program.stepAt(at);
			if (step.do !== "bind" || step.kind.options === "") return number;
			differs = true;
			return answers.find({ do: "bind", kind: { ...step.kind, options: "" } });
		});
		if (!differs) return null;
		const other = program.ask(plain);
		if (other === null || other === program.answer) return null;
		return { expected: other === 0 ? "success" : "failure", beside: plain };
	},
};
