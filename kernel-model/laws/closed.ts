// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * close() undoes what its socket did: who gets a port afterwards depends on those that have it, not
 * on those that had it. A server that restarts gets its port again.
 *
 * Meant exception: a connection leaves TIME_WAIT, so the law leaves out sockets that connected or had
 * a client.
 */
import type { Law } from "./law.js";

export const closed: Law = {
	id: "closed",
	rule: "A socket that was closed leaves nothing",
	harm: "A socket that is gone decides who gets a port. A server that restarts fails, or another one takes its port.",
	judge(program) {
		if (program.last.do !== "bind") return null;
		for (const [i, socket] of program.sockets.entries()) {
			if (!socket.closed) continue;
			const gone = new Set<number>();
			let connected = false;
			for (const at of program.before.keys()) {
				const step = program.stepAt(at);
				if (at === socket.at) gone.add(at);
				connected ||= step.do === "client";
				if (step.do !== "act" || step.socket !== i) continue;
				gone.add(at);
				connected ||= step.action === "connect";
			}
			if (connected) continue;
			// A bind() that failed beside this socket would succeed without it.
			for (const { at, answer } of program.sockets) if (answer !== 0) gone.add(at);
			const beside = program.without(gone);
			if (beside === null) continue;
			const other = program.ask(beside);
			if (other === null || (other === 0) === (program.answer === 0)) continue;
			return { expected: other === 0 ? "success" : "failure", beside };
		}
		return null;
	},
};
