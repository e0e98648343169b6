// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A socket on [::] without IPV6_V6ONLY takes IPv4 and IPv6 (RFC 3493, section 3.7; ipv6(7)). It
 * conflicts exactly where an IPv4 wildcard socket or an IPV6_V6ONLY socket would.
 *
 * Meant exceptions: none.
 */
import { DUAL, V4_ANY, V6_ANY } from "./kinds.js";
import type { Law } from "./law.js";

export const dual: Law = {
	id: "dual",
	rule: "A dual-stack socket conflicts where an IPv4 or an IPV6_V6ONLY socket would",
	harm: "A dual-stack server shares a port that an IPv4 server holds alone, or fails where it may share.",
	judge(program) {
		if (program.length !== 2 || program.kind === null) return null;
		for (const at of program.steps.keys()) {
			const step = program.stepAt(at);
			if (step.do !== "bind" || step.kind.place !== DUAL) continue;
			const both = [V4_ANY, V6_ANY].map((place) => {
				const to = program.answers.find({ do: "bind", kind: { ...step.kind, place } });
				return program.steps.map((number, i) => (i === at ? to : number));
			});
			if (both.some((beside) => beside.includes(-1))) continue;
			const results = both.map((beside) => program.ask(beside));
			if (results.includes(null)) continue;
			const expected = results.every((result) => result === 0);
			if (expected === (program.answer === 0)) continue;
			const which = both[results[0] === 0 && !expected ? 1 : 0] ?? [];
			return { expected: expected ? "success" : "failure", beside: which };
		}
		return null;
	},
};
