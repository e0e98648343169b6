// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { left } from "../text.js";

const at = (address: string) =>
	`{sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("${address}")}, 16`;
const MAPPED =
	'{sa_family=AF_INET6, sin6_port=htons(9), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::ffff:203.0.113.5", &sin6_addr), sin6_scope_id=0}, 28';

/** 203.0.113.0/24 is behind a gateway, 198.51.100.0/24 is on the link. 6.12.118 answers so. */
const recording = `$ ip link add dummy0 type dummy
$ ip link set dummy0 up
$ ip addr add 192.0.2.10/24 dev dummy0
$ ip route add 203.0.113.0/24 via 192.0.2.99 dev dummy0
$ ip route add 198.51.100.0/24 dev dummy0
socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 3
sendto(3, "x", 1, MSG_DONTROUTE, ${at("203.0.113.5")}) = -1 ENETUNREACH
sendto(3, "x", 1, 0, ${at("203.0.113.5")}) = 1
sendto(3, "x", 1, MSG_DONTROUTE, ${at("198.51.100.5")}) = 1
sendto(3, "x", 1, MSG_OOB, ${at("198.51.100.5")}) = -1 EOPNOTSUPP
setsockopt(3, SOL_SOCKET, SO_DONTROUTE, [1], 4) = 0
connect(3, ${at("203.0.113.5")}) = -1 ENETUNREACH
connect(3, ${at("198.51.100.5")}) = 0
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 4
setsockopt(4, SOL_SOCKET, SO_DONTROUTE, [2], 4) = 0
getsockopt(4, SOL_SOCKET, SO_DONTROUTE, [1], [4]) = 0
connect(4, ${at("203.0.113.5")}) = -1 ENETUNREACH
setsockopt(4, SOL_SOCKET, SO_DONTROUTE, [0], 4) = 0
connect(4, ${at("203.0.113.5")}) = -1 EINPROGRESS
socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) = 5
sendto(5, "x", 1, MSG_DONTROUTE, ${MAPPED}) = -1 ENETUNREACH
`;

describe("SO_DONTROUTE and MSG_DONTROUTE", () => {
	it("forbid a route through a gateway", () => {
		const outcomes = playScript(readScript(recording, "dontroute"), { version: "6.12" });
		expect(left(outcomes)).toEqual([]);
	});

	it("are named as the reason", () => {
		const outcomes = playScript(readScript(recording, "dontroute"), {
			version: "6.12",
			explain: true,
		});
		const failed = outcomes.filter(({ recordedError }) => recordedError === "ENETUNREACH");
		expect(failed[1]?.explanation).toContain(
			"fib_lookup: the route to 203.0.113.5 leads through a gateway, which SO_DONTROUTE or MSG_DONTROUTE forbids",
		);
	});
});
