// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A port that the kernel chooses is in ip_local_port_range, narrowed by IP_LOCAL_PORT_RANGE of the
 * socket, and not in ip_local_reserved_ports (ip(7); Documentation/networking/ip-sysctl.rst). A
 * bound of IP_LOCAL_PORT_RANGE outside ip_local_port_range does not count.
 *
 * Meant exceptions: none.
 */
import type { Law } from "./law.js";
import { candidates, chosenPlace } from "./searches.js";

export const within: Law = {
	id: "within",
	rule: "A port that the kernel chooses is in the range and not reserved",
	harm: "A program gets a port that the administrator kept for another one.",
	judge(program) {
		const { kind } = program;
		const chosen = chosenPlace(program.answer);
		if (kind?.search === undefined || chosen === null) return null;
		const allowed = candidates(kind.search.range);
		if (allowed.includes(chosen)) return null;
		return { expected: `a place among ${allowed.join(", ")}`, beside: [program.lastStep] };
	},
};
