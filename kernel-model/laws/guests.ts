// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A client of a server does not decide who may bind: its connection is bound as the listener is, so
 * it refuses and shares as the listener does (tcp(7): accept() returns a socket of the listener).
 *
 * Meant exception: a listener that was closed while a connection goes on. The law is stated for
 * listeners that are open.
 */
import type { Law } from "./law.js";

export const guests: Law = {
	id: "guests",
	rule: "A client of a server does not change who may bind",
	harm: "A server cannot be started beside another one, because this one has a client, or takes its port.",
	judge(program) {
		if (program.last.do !== "bind") return null;
		const gone = new Set<number>();
		for (const at of program.before.keys()) {
			const step = program.stepAt(at);
			if (step.do === "client" || (step.do === "act" && step.action === "accept")) gone.add(at);
			else if (step.do !== "bind") return null;
		}
		if (gone.size === 0) return null;
		const beside = program.without(gone);
		const other = beside === null ? null : program.ask(beside);
		if (beside === null || other === null || other === program.answer) return null;
		// A bind() before may have another answer as well. Then that bind() is the breach.
		return program.sameBefore(gone, beside)
			? { expected: program.answerText(other), beside }
			: null;
	},
};
