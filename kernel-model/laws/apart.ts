// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * connect() and bind() to port 0 prefer different halves of the range: connections share ports, and
 * would otherwise take those that bind() needs for itself (the commits "tcp/dccp: try to not exhaust
 * ip_local_port_range in connect()", 07f4c90062f8, and "tcp/dccp: better use of ephemeral ports in
 * bind()", ea8add2b1903).
 *
 * Meant exceptions: UDP and SCTP, whose connect() binds first. IP_LOCAL_PORT_RANGE and
 * ip_local_port_step_width, which make connect() take ports of both halves.
 */
import { bindsFirst, stepOf } from "./history.js";
import type { Law } from "./law.js";
import { chosenPlace, search, startsOf } from "./searches.js";

export const apart: Law = {
	id: "apart",
	rule: "connect() does not prefer the ports that bind() to port 0 prefers",
	harm: "Connections take the ports that bind() to port 0 needs. It fails while ports are left.",
	judge(program) {
		const { kind, answers } = program;
		if (program.length !== 1 || kind?.search === undefined || bindsFirst(answers.protocol))
			return null;
		const { how, range } = kind.search;
		if (how !== "connect" && how !== "late") return null;
		if (range.own !== null || range.width > 0 || range.reserved.length > 0) return null;
		const chosen = chosenPlace(program.answer);
		if (chosen === null || range.low === range.high) return null;
		for (let start = 0; start < startsOf(range); start++) {
			const step = stepOf(program, kind, search("zero", null, range, start));
			if (step < 0) continue;
			const bound = program.ask([step]);
			if (bound === null || chosenPlace(bound) !== chosen) continue;
			return { expected: "another port", beside: [step] };
		}
		return null;
	},
};
