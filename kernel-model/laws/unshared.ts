// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * "By default, bind() does not select the ports automatically even if the new socket and all
 * sockets bound to the port have SO_REUSEADDR" (Documentation/networking/ip-sysctl.rst,
 * ip_autobind_reuse): a program that asks for a free port gets one that it does not share.
 *
 * Meant exception: ip_autobind_reuse is on.
 */

import { searchesAsBind, withLast } from "./history.js";
import type { Law } from "./law.js";
import { chosenPlace, named } from "./searches.js";

export const unshared: Law = {
	id: "unshared",
	rule: "A port that bind() chooses is shared with no other socket",
	harm: "Two programs that each ask for a free port get the same one. One takes the other's datagrams.",
	judge(program) {
		const { kind, answers } = program;
		if (kind?.search === undefined || kind.search.range.shares) return null;
		if (!searchesAsBind(answers.protocol, kind.search)) return null;
		if (!kind.reuse && !kind.reuseport) return null;
		const chosen = chosenPlace(program.answer);
		if (chosen === null) return null;
		const plain = { ...kind, reuse: false, reuseport: false };
		const beside = withLast(program, plain, named(chosen));
		const other = beside === null ? null : program.ask(beside);
		if (beside === null || other === null || other === 0) return null;
		return { expected: "another port, or failure", beside };
	},
};
