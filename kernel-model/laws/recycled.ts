// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * connect() may take over a connection in TIME_WAIT between two addresses of the host: tcp_tw_reuse
 * is 2, "enable for loopback traffic only" (Documentation/networking/ip-sysctl.rst). It does so
 * after tcp_tw_reuse_delay, one second. So the ports of connections that ended come back.
 *
 * Meant exceptions: none. Both ends are closed.
 */
import type { Law } from "./law.js";
import { chosenPlace, PEER } from "./searches.js";

export const recycled: Law = {
	id: "recycled",
	rule: "connect() gets the port of a connection within the host that ended at both ends",
	harm: "A busy proxy runs out of ports, though its connections have ended.",
	judge(program) {
		const { kind, answer, sockets } = program;
		if (kind?.search?.to !== PEER || chosenPlace(answer) !== null) return null;
		if (sockets.length === 0 || !sockets.every(({ closed }) => closed)) return null;
		const last = program.stepAt(program.before.length - 1);
		if (last.do !== "wait") return null;
		const lastSocket = sockets.at(-1)?.at ?? 0;
		for (let at = lastSocket + 1; at < program.before.length; at++) {
			if (program.stepAt(at).do === "part") {
				return { expected: "success", beside: [program.lastStep] };
			}
		}
		return null;
	},
};
