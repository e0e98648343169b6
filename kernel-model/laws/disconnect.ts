// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * connect() with AF_UNSPEC dissolves the association (connect(2)): the socket is bound as before
 * connect(), for itself and for others.
 *
 * Meant exceptions: a listener does not connect, so the law is stated for sockets that do not listen.
 * Which member of a group with SO_REUSEPORT gets a datagram is drawn by lot.
 */
import type { Law, Program } from "./law.js";

export const disconnect: Law = {
	id: "disconnect",
	rule: "Disconnecting undoes connect()",
	harm: "A socket that was connected conflicts other than before.",
	judge(program) {
		if (program.last.do !== "bind" && program.last.do !== "ask") return null;
		if (program.drawsLots) return null;
		const undoes = program.before.filter((_, at) => {
			const step = program.stepAt(at);
			return step.do === "act" && step.action === "disconnect";
		});
		// Which of two sockets moved last is another question.
		if (program.last.do === "ask" && undoes.length > 1) return null;
		for (const at of program.before.keys()) {
			const undone = undoneAt(program, at);
			if (undone === null) continue;
			const did = program.ask(program.before.slice(0, at + 1));
			const undid = program.ask(program.before.slice(0, undone + 1));
			if (did !== 0) continue;
			if (undid !== 0) continue;
			const gone = new Set([at, undone]);
			const beside = program.without(gone);
			const other = beside === null ? null : program.ask(beside);
			if (beside === null || other === null || other === program.answer) continue;
			if (undone > at + 1 && !program.sameBefore(gone, beside)) continue;
			return { expected: program.answerText(other), beside };
		}
		return null;
	},
};

/**
 * Where the socket that connects at a step disconnects again; null if it does not, or if something
 * comes between that may depend on the connection: other sockets may connect.
 */
function undoneAt(program: Program, at: number): number | null {
	const one = program.stepAt(at);
	if (one.do !== "act" || one.action !== "connect") return null;
	for (let to = at + 1; to < program.before.length; to++) {
		const two = program.stepAt(to);
		if (two.do !== "act") return null;
		if (two.socket === one.socket) return two.action === "disconnect" ? to : null;
		if (two.action !== "connect") return null;
	}
	return null;
}
