// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * More ports to choose from do not make a search fail: it may take the port that it would take from
 * fewer (Documentation/networking/ip-sysctl.rst, ip_local_port_range; ip(7), IP_LOCAL_PORT_RANGE).
 *
 * Meant exceptions: none. The documentation says that it is better if the two bounds have different
 * parity. It does not say that a port is lost otherwise.
 */

import { foundNone } from "./history.js";
import type { Law } from "./law.js";
import { candidates, chosenPlace } from "./searches.js";

export const wider: Law = {
	id: "wider",
	rule: "A search does not fail in a range if it succeeds in a part of the range",
	harm: "A wider ip_local_port_range takes ports away.",
	judge(program) {
		const { kind, answer, answers } = program;
		if (kind?.search === undefined || !foundNone(kind.search, answer)) return null;
		const { how, to, range } = kind.search;
		const ports = candidates(range);
		for (const [number, step] of answers.steps.entries()) {
			const other = step.do === "bind" ? step.kind : null;
			if (!other?.search || other.search.how !== how || other.search.to !== to) continue;
			if (other.search.range.name === range.name) continue;
			if (other.place !== kind.place || other.device !== kind.device) continue;
			if (other.reuse !== kind.reuse || other.reuseport !== kind.reuseport) continue;
			if (other.user !== kind.user || other.listens !== kind.listens) continue;
			if (other.search.range.shares !== range.shares) continue;
			if (!candidates(other.search.range).every((place) => ports.includes(place))) continue;
			const beside = [...program.before, number];
			const narrow = program.ask(beside);
			if (narrow === null || chosenPlace(narrow) === null) continue;
			return { expected: "success", beside };
		}
		return null;
	},
};
