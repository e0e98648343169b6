// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * An IPv6 socket on a v4-mapped address is an IPv4 socket (RFC 3493, section 3.7; ipv6(7)): it
 * behaves like an AF_INET socket on the address, whichever socket is first.
 *
 * The law is stated for pairs. Of three sockets the ones before may share what they should not, and
 * then `held` is broken.
 *
 * Meant exceptions: none.
 */
import { PLACES, type Place } from "./kinds.js";
import type { Law } from "./law.js";

/** The IPv4 place of a v4-mapped one; null for other places. */
function plainForm(place: Place): Place | null {
	if (place.family !== "AF_INET6" || place.v6 !== null) return null;
	return PLACES.find(({ address }) => `::ffff:${address}` === place.address) ?? null;
}

export const mapped: Law = {
	id: "mapped",
	rule: "A socket on a v4-mapped address behaves like an IPv4 socket",
	harm: "A program that listens on a v4-mapped address (Java, Go) conflicts where an IPv4 program does not, or the other way round.",
	judge(program) {
		if (program.length > 2 || program.kind === null) return null;
		const to = program.answers.variants("plain form", (step) => {
			const place = step.do === "bind" ? plainForm(step.kind.place) : null;
			return step.do === "bind" && place !== null
				? { do: "bind", kind: { ...step.kind, place } }
				: null;
		});
		for (const [at, step] of program.steps.entries()) {
			const other = to[step] ?? -1;
			if (other < 0) continue;
			const beside = program.steps.slice();
			beside[at] = other;
			const answer = program.ask(beside);
			if (answer === null || answer === program.answer) continue;
			return { expected: answer === 0 ? "success" : "failure", beside };
		}
		return null;
	},
};
