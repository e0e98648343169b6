// SPDX-License-Identifier: GPL-2.0-or-later
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4, left } from "../text.js";

it("MPTCP: the error of a refused attempt is still pending in the next attempt", () => {
	// 6.18.44 answers so.
	const recording = `$ ip route add default dev lo
1 1.10 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP) = 3
1 1.11 connect(3, ${in4(81)}, 16) = -1 EINPROGRESS
1 1.12 connect(3, {sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}, 16) = 0
1 1.13 connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("203.0.113.5")}, 16) = -1 EINPROGRESS
1 1.14 sendto(3, "x", 1, MSG_NOSIGNAL, NULL, 0) = -1 ECONNREFUSED
1 1.15 setsockopt(3, SOL_SOCKET, SO_REUSEPORT, [0], 4) = -1 EINVAL
`;
	const outcomes = playScript(readScript(recording, "pending"), {
		version: "6.18.44",
		alone: true,
	});
	expect(left(outcomes)).toEqual([]);
});
