// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A connection is named by its four-tuple: local address and port, foreign address and port
 * (RFC 9293, section 3.3.1). If two connected sockets have the same one, a segment cannot be told
 * to belong to one of them. A socket without a device takes segments of every device, so it and a
 * socket with a device are not apart.
 *
 * Meant exceptions: two sockets on different devices. UDP: connect() of a datagram socket sets a
 * filter, and does not make a connection (udp(7)).
 */

import { addressOf, holdersOf } from "./history.js";
import type { Law } from "./law.js";
import { KINDS } from "./protocols.js";
import { chosenPlace } from "./searches.js";

export const twins: Law = {
	id: "twins",
	rule: "No two connected sockets that share a device have the same four-tuple",
	harm: "A socket takes the segments of another one's connection. The connection breaks.",
	judge(program) {
		const { kind, answer, answers } = program;
		if (kind?.search === undefined || kind.search.to === null) return null;
		if (!KINDS[answers.protocol].listens) return null;
		const { how, port, to } = kind.search;
		const place = how === "named" && answer === 0 ? port : chosenPlace(answer);
		if (place === null) return null;
		const address = addressOf(kind);
		const twin = holdersOf(program).find(
			(holder) => holder.place === place && holder.to === to && addressOf(holder.kind) === address,
		);
		if (twin === undefined) return null;
		// With the device of the last socket the twin is not overlooked.
		const { device } = kind;
		const beside = program.steps.map((number, at) => {
			const step = program.stepAt(at);
			if (step.do !== "bind" || step.kind !== twin.kind) return number;
			const same = program.answers.find({ do: "bind", kind: { ...step.kind, device } });
			return same < 0 ? number : same;
		});
		const seen = program.ask(beside) ?? answer;
		return {
			expected: "another port, or failure",
			beside: seen === answer ? [program.lastStep] : beside,
		};
	},
};
