// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * IP_BIND_ADDRESS_NO_PORT puts off the choice of a port to connect(), so that more sockets find one
 * (ip(7)). Where bind() to port 0 and then connect() work, they work with the option as well. And a
 * port that bind() chose does for any destination.
 *
 * Meant exceptions: the other direction. With the option a connection may share its port with
 * connections to other destinations, so it succeeds where bind() to port 0 fails. With
 * ip_autobind_reuse bind() may choose a port that connect() then refuses.
 */
import { EADDRNOTAVAIL } from "../../include/uapi/asm-generic/errno.js";
import { foundNone, withLast } from "./history.js";
import { LISTEN_FAILED } from "./lab.js";
import type { Law } from "./law.js";
import { chosenPlace, search, startsOf } from "./searches.js";

export const late: Law = {
	id: "late",
	rule: "Where bind() to port 0 and connect() succeed, IP_BIND_ADDRESS_NO_PORT succeeds",
	harm: "A client with IP_BIND_ADDRESS_NO_PORT cannot connect where one without it can.",
	judge(program) {
		const { kind, answer } = program;
		if (kind?.search === undefined || kind.search.range.shares) return null;
		const { how, to, range } = kind.search;
		if (how === "zero" && answer % LISTEN_FAILED === EADDRNOTAVAIL) {
			return { expected: "success", beside: [program.lastStep] };
		}
		if (how !== "late" || !foundNone(kind.search, answer)) return null;
		for (let start = 0; start < startsOf(range); start++) {
			const beside = withLast(program, kind, search("zero", to, range, start));
			const other = beside === null ? null : program.ask(beside);
			if (beside === null || other === null || chosenPlace(other) === null) continue;
			return { expected: "success", beside };
		}
		return null;
	},
};
