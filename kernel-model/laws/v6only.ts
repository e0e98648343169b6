// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * "If this flag is set to true, then the socket is restricted to sending and receiving IPv6
 * packets only" (ipv6(7), IPV6_V6ONLY). Such a socket, and one on an IPv6 address, never meets
 * IPv4.
 *
 * Meant exceptions: none.
 */
import type { Kind } from "./kinds.js";
import type { Law } from "./law.js";

/** Whether a socket has IPv6 alone, or IPv4 alone. */
const ipv6Alone = ({ place }: Kind) => place.v4 === null;
const ipv4Alone = ({ place }: Kind) => place.v6 === null;

export const v6only: Law = {
	id: "v6only",
	rule: "A socket with IPv6 alone and one with IPv4 alone never conflict",
	harm: "An IPv6 server keeps an IPv4 server from its port, or the other way round.",
	judge(program) {
		const { kind } = program;
		const [first] = program.sockets;
		if (program.length !== 2 || kind === null || !first || program.answer === 0) return null;
		if (first.answer !== 0) return null;
		const apart =
			(ipv6Alone(kind) && ipv4Alone(first.kind)) || (ipv4Alone(kind) && ipv6Alone(first.kind));
		if (!apart || program.ask([program.lastStep]) !== 0) return null;
		return { expected: "success", beside: [program.lastStep] };
	},
};
