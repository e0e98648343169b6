// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * An IPv6 socket on a v4-mapped address is an IPv4 socket (RFC 3493, section 3.7; ipv6(7)): it
 * behaves like an AF_INET socket on the address, whichever socket is first.
 *
 * Meant exceptions: none.
 */
import { type Kind, PLACES, type Place } from "./kinds.js";
import type { Law } from "./law.js";

/** The v4-mapped form of an IPv4 place; null for other places. */
function mappedForm(place: Place): Place | null {
	if (place.family !== "AF_INET") return null;
	return PLACES.find(({ address }) => address === `::ffff:${place.address}`) ?? null;
}

export const mapped: Law = {
	id: "mapped",
	rule: "An IPv4 socket and one on its v4-mapped address behave alike",
	judge(program) {
		for (const at of program.steps.keys()) {
			const step = program.stepAt(at);
			const place = step.do === "bind" ? mappedForm(step.kind.place) : null;
			if (step.do !== "bind" || place === null) continue;
			const kind: Kind = { ...step.kind, place };
			const to = program.answers.find({ do: "bind", kind });
			if (to < 0) continue;
			const beside = program.steps.map((number, i) => (i === at ? to : number));
			const other = program.ask(beside);
			if (other === null || other === program.answer) continue;
			return { expected: other === 0 ? "success" : "failure", beside };
		}
		return null;
	},
};
