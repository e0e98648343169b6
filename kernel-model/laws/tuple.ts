// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * connect() of a socket without a port needs a local port with which the connection is the only one
 * between its addresses and ports. It fails only if every port of the range is taken.
 *
 * Meant exceptions: connect() does not choose a port that another open socket has from bind(),
 * whatever its address (net/ipv4/inet_hashtables.c: the search passes over a bucket with
 * fastreuse >= 0; `late` is the law about this). UDP and SCTP bind the socket before they look at
 * the destination, so `found` is the law for them. Reserved ports are left out.
 */
import { EADDRNOTAVAIL } from "../../include/uapi/asm-generic/errno.js";
import { addressOf, holdersOf, narrowed, searchesAsBind } from "./history.js";
import type { Law } from "./law.js";
import { isBound } from "./law.js";
import { candidates } from "./searches.js";

export const tuple: Law = {
	id: "tuple",
	rule: "connect() gets a port unless each is bound or has a connection to the destination",
	harm: "A client cannot connect though a port is free for its connection.",
	judge(program) {
		const { kind, answer, answers } = program;
		if (kind?.search === undefined || answer !== EADDRNOTAVAIL) return null;
		const { how, to, range } = kind.search;
		if (how === "named" || searchesAsBind(answers.protocol, kind.search)) return null;
		const holders = holdersOf(program);
		// A socket whose port no answer tells may have any.
		if (program.sockets.some(({ answer, closed }) => answer > 1000 && answer < 2000 && !closed)) {
			return null;
		}
		const free = candidates(range).find(
			(place) =>
				!holders.some(
					(holder) =>
						holder.place === place &&
						(holder.byBind || (holder.to === to && addressOf(holder.kind) === addressOf(kind))),
				),
		);
		if (free === undefined) return null;
		const gone = new Set<number>();
		for (const [i, { at, closed, answer }] of program.sockets.entries()) {
			if (!closed && isBound({ answer })) continue;
			gone.add(at);
			for (const other of program.before.keys()) {
				const step = program.stepAt(other);
				if (step.do === "act" && step.socket === i) gone.add(other);
			}
		}
		const without = gone.size === 0 ? null : program.without(gone);
		const beside = without ?? narrowed(program, kind, free) ?? [program.lastStep];
		return { expected: `success with the port at place ${free}`, beside };
	},
};
