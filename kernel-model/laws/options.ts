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
	harm: "A program works or fails by the order of its setsockopt() calls.",
	judge(program) {
		const to = program.answers.variants("plain options", (step) =>
			step.do === "bind" && step.kind.options !== ""
				? { do: "bind", kind: { ...step.kind, options: "" } }
				: null,
		);
		const beside = program.steps.map((step) => {
			const other = to[step] ?? -1;
			return other < 0 ? step : other;
		});
		if (beside.every((step, at) => step === program.steps[at])) return null;
		const other = program.ask(beside);
		if (other === null || other === program.answer) return null;
		return { expected: other === 0 ? "success" : "failure", beside };
	},
};
