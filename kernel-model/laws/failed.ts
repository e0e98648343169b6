// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A call that fails has no effect (POSIX, System Interfaces, 2.3 "Error Numbers"): what comes
 * after a failed bind() or listen() is as if the socket had not been there.
 *
 * Meant exceptions: none for bind(). A listen() that fails leaves its socket bound, so the law is
 * stated for bind(). Which member of a group gets a client is drawn by lot.
 */
import { isBound, type Law } from "./law.js";

export const failed: Law = {
	id: "failed",
	rule: "A bind() that fails changes nothing for later calls",
	harm: "A bind() that failed decides who gets a port later. A program without any right to a port changes who may have it.",
	judge(program) {
		if (program.length < 2 || program.drawsLots) return null;
		for (const socket of program.sockets) {
			if (isBound(socket)) continue;
			const beside = program.without(new Set([socket.at]));
			if (beside === null) continue;
			const other = program.ask(beside);
			if (other === null || other === program.answer) continue;
			return { expected: other === 0 ? "success" : "failure", beside };
		}
		return null;
	},
};
