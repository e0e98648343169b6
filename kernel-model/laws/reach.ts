// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A connection or datagram reaches a socket that is bound for its destination, the most specific
 * one: tcp(7) and udp(7) say that a socket receives what is for its address. A socket with the
 * address comes before one with the wildcard, and one with the device before one with none. Of two
 * with one advantage each the law names none.
 *
 * Meant exceptions: none.
 */
import { CLIENTS, type Kind } from "./kinds.js";
import { NOBODY, SOCKET } from "./lab.js";
import type { Law } from "./law.js";

/** How specific a socket is for a destination: the address and the device; null: not for it. */
function claimOf(kind: Kind, to: number): { address: boolean; device: boolean } | null {
	const address = CLIENTS[to] ?? "";
	const bound = address.includes(":") ? kind.place.v6 : kind.place.v4;
	const wanted = address.endsWith("2") ? 2 : 1;
	if (bound === null || (bound !== 0 && bound !== wanted)) return null;
	return { address: bound !== 0, device: kind.device };
}

export const reach: Law = {
	id: "reach",
	rule: "A client reaches the most specific socket that is bound for its destination",
	harm: "A client reaches another server than the one that is bound for its destination.",
	judge(program) {
		if (program.last.do !== "who") return null;
		const at = program.length - 2;
		const client = program.stepAt(at);
		if (client.do !== "client") return null;
		const sockets = program.sockets.filter(({ answer, closed }) => answer === 0 && !closed);
		if (sockets.length !== program.sockets.length) return null;
		const claims = sockets.map(({ kind }) => claimOf(kind, client.to));
		const best = claims.map(
			(mine) =>
				mine !== null &&
				claims.every(
					(other) =>
						other === null ||
						other.address < mine.address ||
						other.device < mine.device ||
						(other.address === mine.address && other.device === mine.device),
				),
		);
		const expected = best.includes(true);
		if (program.answer === NOBODY && !expected) return null;
		if (program.answer >= SOCKET && best[program.answer - SOCKET] === true) return null;
		const names = [...best.keys()].filter((i) => best[i]);
		const wanted = expected ? `socket ${names.map((i) => i + 1).join(" or ")}` : "no socket";
		return { expected: wanted, beside: program.steps.slice(0, at) };
	},
};
