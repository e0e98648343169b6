// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A client that a socket has stays with it when somebody else binds: a connection is complete
 * before accept() (listen(2)), and a datagram is in the queue of one socket.
 *
 * Meant exceptions: none.
 */
import { SOCKET } from "./lab.js";
import type { Law } from "./law.js";

export const keeps: Law = {
	id: "keeps",
	rule: "A socket keeps its clients when another one binds",
	harm: "A server loses a client that it had, because another one was started.",
	judge(program) {
		if (program.length !== 4 || program.last.do !== "who") return null;
		const came = program.stepAt(1);
		if (came.do !== "client" || program.sockets.length !== 2) return null;
		const { answers } = program;
		const first = program.steps.slice(0, 2);
		const beside = [...first, program.lastStep];
		if (answers.answer(beside) !== SOCKET || program.answer === SOCKET) return null;
		return { expected: "socket 1", beside };
	},
};
