// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A connected datagram socket receives from its peer alone (connect(2)), and what its peer sends
 * reaches it before sockets that are not connected (udp(7)). Of several that are connected to the
 * peer the law names none.
 *
 * Meant exceptions: none.
 */
import { NOBODY, SOCKET } from "./lab.js";
import { isBound, type Law } from "./law.js";

export const peer: Law = {
	id: "peer",
	rule: "A datagram of a peer reaches a socket that is connected to the peer",
	harm: "A client does not get the answers of its server. Another socket gets them.",
	judge(program) {
		if (program.last.do !== "ask") return null;
		const connected = program.sockets.map(() => false);
		for (const at of program.before.keys()) {
			const step = program.stepAt(at);
			if (step.do !== "act" || program.ask(program.before.slice(0, at + 1)) !== 0) continue;
			if (step.action === "connect") connected[step.socket] = true;
			if (step.action === "disconnect") connected[step.socket] = false;
		}
		if (!program.sockets.some(isBound)) return null;
		const named = [...connected.keys()].filter((i) => connected[i]);
		const got = program.answer - SOCKET;
		if (named.length > 0 ? named.includes(got) : program.answer !== NOBODY) return null;
		const expected =
			named.length > 0 ? `socket ${named.map((i) => i + 1).join(" or ")}` : "a socket";
		return { expected, beside: [program.steps[0] ?? 0, program.lastStep] };
	},
};
