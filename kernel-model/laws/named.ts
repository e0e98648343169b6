// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * connect() gives a socket on the wildcard the address that getsockname() returns (ip(7)). From then
 * on it conflicts as a socket on this address.
 *
 * Meant exceptions: none.
 */
import { PLACES, type Place } from "./kinds.js";
import { peerOf } from "./lab.js";
import type { Law } from "./law.js";

/** The place that a socket has after connect(). A packet to an own address comes from it. */
function placeAfterConnect(place: Place): Place | null {
	if (place.v4 !== 0 && place.v6 !== 0) return null;
	const address = peerOf(place);
	return PLACES.find((other) => other.address === address) ?? null;
}

export const named: Law = {
	id: "named",
	rule: "A connected socket conflicts where getsockname() says that it is",
	harm: "getsockname() does not tell what a socket conflicts with.",
	judge(program) {
		if (program.length !== 3 || program.last.do !== "bind") return null;
		const [first] = program.sockets;
		const step = program.stepAt(1);
		if (first === undefined || step.do !== "act" || step.action !== "connect") return null;
		const place = placeAfterConnect(first.kind.place);
		if (place === null) return null;
		const to = program.answers.find({ do: "bind", kind: { ...first.kind, place } });
		if (to < 0) return null;
		const beside = [to, ...program.steps.slice(1)];
		const connected = program.ask(program.before);
		if (connected !== program.ask(beside.slice(0, 2))) return null;
		if (connected !== 0) return null;
		const other = program.ask(beside);
		if (other === null || other === program.answer) return null;
		return { expected: other === 0 ? "success" : "failure", beside };
	},
};
