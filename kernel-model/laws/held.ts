// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A socket that may not share a port with its holder does not get it while the holder has it,
 * whoever else comes, goes or changes an option in between. Servers rely on it: SO_REUSEPORT is
 * limited to one user so that nobody can "hijack" a port (socket(7), SO_REUSEPORT; the commit that
 * added it, c617f398edd4).
 *
 * Meant exceptions: the holder itself may change its options, stop listening or connect. Then it
 * is another holder, and the law says nothing.
 */
import { isBound, type Law } from "./law.js";

export const held: Law = {
	id: "held",
	rule: "A port that a socket refuses to share is not taken while the socket has it",
	harm: "A socket takes part of the traffic of another one that refused to share. A server loses connections to a port that it held alone.",
	judge(program) {
		if (program.length < 3 || program.kind === null) return null;
		if (program.answer !== 0) return null;
		for (const holder of program.sockets) {
			if (holder.closed || holder.touched || !isBound(holder)) continue;
			const pair = [holder.step, program.lastStep];
			const refused = program.ask(pair);
			if (refused === null || refused === 0) continue;
			return { expected: "EADDRINUSE", beside: pair };
		}
		return null;
	},
};
