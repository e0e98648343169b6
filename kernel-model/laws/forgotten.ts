// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A connection that ended leaves TIME_WAIT for a minute (tcp(7), tcp_fin_timeout and TCP_TIMEWAIT_LEN;
 * RFC 9293, section 3.6.1, gives a limit as well). Then nothing of it is left.
 *
 * Meant exception: a connection whose other end is open within this host holds the port if it
 * is a socket on this port: a client that a listener accepted.
 */
import type { Law } from "./law.js";
import { FORGOTTEN } from "./life_bounds.js";
import { chosenPlace } from "./searches.js";

export const forgotten: Law = {
	id: "forgotten",
	rule: "A minute after everything was closed, nothing is left",
	harm: "A port stays taken by nobody.",
	judge(program) {
		if (program.kind === null || program.before.length === 0) return null;
		if (program.answer === 0 || chosenPlace(program.answer) !== null) return null;
		const last = program.stepAt(program.before.length - 1);
		if (last.do !== "wait" || last.seconds !== FORGOTTEN) return null;
		if (!program.sockets.every(({ closed }) => closed)) return null;
		let accepted = false;
		for (const at of program.before.keys()) {
			const step = program.stepAt(at);
			if (step.do === "act" && step.action === "accept") accepted = true;
			if (step.do === "part") accepted = false;
		}
		return accepted ? null : { expected: "success", beside: [program.lastStep] };
	},
};
