// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * bind() to port 0 takes "a" port of the range (ip(7), ip_local_port_range): it fails only if none
 * can be had, and it gives a port that bind() would give.
 *
 * Meant exceptions: the kernel does not choose a port that only SO_REUSEADDR or SO_REUSEPORT lets
 * the socket share. With ip_autobind_reuse it does so for SO_REUSEADDR
 * (Documentation/networking/ip-sysctl.rst, ip_autobind_reuse), but not for a socket that has
 * SO_REUSEPORT as well (the commit "tcp: Forbid to bind more than one sockets haveing SO_REUSEADDR
 * and SO_REUSEPORT per EUID"). So the law compares with bind() of a socket without these options.
 * It also leaves out reserved ports (ip_local_reserved_ports).
 */

import { foundNone, narrowed, searchesAsBind, withLast } from "./history.js";
import type { Law } from "./law.js";
import { candidates, chosenPlace, named } from "./searches.js";

export const found: Law = {
	id: "found",
	rule: "bind() to port 0 gets a port if bind() to one of the range would, and only such a port",
	harm: "A program gets no port though one is free, or gets a port that bind() would refuse.",
	judge(program) {
		const { kind, answer, answers } = program;
		if (kind?.search === undefined || !searchesAsBind(answers.protocol, kind.search)) return null;
		const { range } = kind.search;
		const chosen = chosenPlace(answer);
		if (chosen !== null) {
			const beside = withLast(program, kind, named(chosen));
			const named_answer = beside === null ? null : program.ask(beside);
			if (beside === null || named_answer === null || named_answer === 0) return null;
			return { expected: "another port, or failure", beside };
		}
		if (!foundNone(kind.search, answer)) return null;
		const reuse = kind.reuse && !kind.reuseport && range.shares;
		const plain = { ...kind, reuse, reuseport: false };
		for (const place of candidates(range)) {
			const beside = withLast(program, plain, named(place));
			if (beside === null || program.ask(beside) !== 0) continue;
			return { expected: "success", beside: narrowed(program, kind, place) ?? beside };
		}
		return null;
	},
};
