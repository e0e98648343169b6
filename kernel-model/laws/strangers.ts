// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Ports are apart for each protocol and each network namespace (network_namespaces(7)), and a port
 * is apart from every other port. A socket on another one never matters.
 *
 * Meant exceptions: none.
 */
import type { Law } from "./law.js";

export const strangers: Law = {
	id: "strangers",
	rule: "A socket on another port, of another protocol or in another namespace never matters",
	judge(program) {
		if (program.length < 2 || program.kind === null || program.kind.stranger !== "") return null;
		const gone = new Set<number>();
		for (const { kind, at } of program.sockets) if (kind.stranger !== "") gone.add(at);
		if (gone.size === 0) return null;
		const beside = program.without(gone);
		const other = beside === null ? null : program.ask(beside);
		if (beside === null || other === null || other === program.answer) return null;
		return { expected: other === 0 ? "success" : "failure", beside };
	},
};
