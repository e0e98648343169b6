// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Who may share a port is a matter of two sockets: bind(2) and socket(7) speak of "another socket".
 * If each socket on a port would share it with a newcomer, then the newcomer gets it.
 *
 * Meant exceptions: none. SO_REUSEADDR does not share with a listener, but this is a rule of two
 * sockets as well.
 */
import type { Law } from "./law.js";

export const shared: Law = {
	id: "shared",
	rule: "A socket gets a port if every socket on it would share it with that socket",
	harm: "A server cannot bind a port that it may share. It fails with EADDRINUSE for no reason.",
	judge(program) {
		if (program.length < 3 || program.answer === 0 || program.kind === null) return null;
		if (!program.onlySockets) return null;
		for (const { step } of program.sockets) {
			if (program.ask([step, program.lastStep]) !== 0) return null;
		}
		return { expected: "success", beside: [program.steps[0] ?? 0, program.lastStep] };
	},
};
