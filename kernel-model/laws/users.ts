// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * SO_REUSEPORT shares a port among the sockets of one user: "all of the processes binding to the same
 * address must have the same effective UID", "to prevent port hijacking" (socket(7)). Between two
 * users it lets nobody in.
 *
 * Meant exceptions: none. Two users may share by SO_REUSEADDR, so the law compares with the same
 * sockets without SO_REUSEPORT.
 */
import type { Law } from "./law.js";

export const users: Law = {
	id: "users",
	rule: "SO_REUSEPORT does not let a user into a port of another user",
	harm: "A user gets clients or datagrams of another user's server.",
	judge(program) {
		if (program.length !== 2 || program.kind === null || program.answer !== 0) return null;
		const [first] = program.sockets;
		if (first === undefined || first.kind.user === program.kind.user) return null;
		const plain = program.answers.variants("without SO_REUSEPORT", (step) =>
			step.do === "bind" && step.kind.reuseport
				? { do: "bind", kind: { ...step.kind, reuseport: false } }
				: step,
		);
		const beside = program.steps.map((step) => plain[step] ?? -1);
		const other = beside.includes(-1) ? null : program.ask(beside);
		return other === null || other === 0 ? null : { expected: "EADDRINUSE", beside };
	},
};
