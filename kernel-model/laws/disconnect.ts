// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * connect() with AF_UNSPEC dissolves the association (connect(2)): the socket is bound as before
 * connect(), for itself and for others.
 *
 * Meant exception: a listener does not connect, so the law is stated for sockets that do not listen.
 */
import type { Law } from "./law.js";

export const disconnect: Law = {
	id: "disconnect",
	rule: "Disconnecting undoes connect()",
	harm: "A socket that was connected conflicts other than before.",
	judge(program) {
		if (program.last.do !== "bind") return null;
		for (const at of program.before.keys()) {
			const [one, two] = [
				program.stepAt(at),
				at + 1 < program.before.length ? program.stepAt(at + 1) : null,
			];
			if (one.do !== "act" || one.action !== "connect") continue;
			if (two?.do !== "act" || two.action !== "disconnect" || two.socket !== one.socket) continue;
			const did = program.ask(program.before.slice(0, at + 1));
			const undid = program.ask(program.before.slice(0, at + 2));
			if (did !== 0) continue;
			if (undid !== 0) continue;
			const beside = program.without(new Set([at, at + 1]));
			const other = beside === null ? null : program.ask(beside);
			if (beside === null || other === null || other === program.answer) continue;
			return { expected: other === 0 ? "success" : "failure", beside };
		}
		return null;
	},
};
