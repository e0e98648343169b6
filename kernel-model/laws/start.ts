// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The place where the kernel begins to search is random, to make ports hard to guess (RFC 6056). It
 * decides which port is found, not whether one is found.
 *
 * Meant exceptions: none.
 */

import { foundNone, withLast } from "./history.js";
import type { Law } from "./law.js";
import { chosenPlace, search, startsOf } from "./searches.js";

export const start: Law = {
	id: "start",
	rule: "Whether a search finds a port does not depend on where it begins",
	harm: "A call fails now and then, by chance.",
	judge(program) {
		const { kind, answer } = program;
		if (kind?.search === undefined || !foundNone(kind.search, answer)) return null;
		const { how, to, range } = kind.search;
		if (how === "named") return null;
		for (let other = 0; other < startsOf(range); other++) {
			const beside = withLast(program, kind, search(how, to, range, other));
			const there = beside === null ? null : program.ask(beside);
			if (beside === null || there === null || chosenPlace(there) === null) continue;
			return { expected: "success", beside };
		}
		return null;
	},
};
