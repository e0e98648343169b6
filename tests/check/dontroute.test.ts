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

/**
 * The listener's address is removed, so segments to it take the route through the gateway. This route
 * leads to lo, where they find their socket. 6.18.44 answers so.
 */
const later = `$ ip link set lo up
$ ip addr add 192.0.2.10/24 dev lo
$ ip route add 203.0.113.0/24 via 192.0.2.99 dev lo
$ ip addr add 203.0.113.5/32 dev lo
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
bind(3, ${at("203.0.113.5")}) = 0
listen(3, 5) = 0
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 4
bind(4, ${at("192.0.2.10")}) = 0
connect(4, ${at("203.0.113.5")}) = -1 EINPROGRESS
accept(3, NULL, NULL) = 5
$ ip addr del 203.0.113.5/32 dev lo
sendto(4, "x", 1, 0, NULL, 0) = 1
recvfrom(5, "x", 16, MSG_DONTWAIT, NULL, NULL) = 1
setsockopt(4, SOL_SOCKET, SO_DONTROUTE, [1], 4) = 0
sendto(4, "x", 1, 0, NULL, 0) = 1
recvfrom(5, NULL, 16, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN
shutdown(4, SHUT_WR) = 0
recvfrom(5, NULL, 16, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN
`;

/** A SYN is sent again after a second, and the lookup of its route fails. 6.18.44 answers so. */
const again = `$ ip link set lo up
$ ip addr add 192.0.2.10/24 dev lo
$ ip route add 203.0.113.0/24 via 192.0.2.99 dev lo
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
connect(3, ${at("203.0.113.5")}) = -1 EINPROGRESS
setsockopt(3, SOL_SOCKET, SO_DONTROUTE, [1], 4) = 0
getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
$ sleep 1.2
getsockopt(3, SOL_SOCKET, SO_ERROR, [101], [4]) = 0
`;

describe("SO_DONTROUTE and MSG_DONTROUTE", () => {
	it.each([
		["segments", later],
		["a SYN that is sent again", again],
	])("after connect(), the option forbids a gateway for %s", (_what, text) => {
		const outcomes = playScript(readScript(text, "later"), { version: "6.18.44", settled: true });
		expect(left(outcomes)).toEqual([]);
	});

	it("forbid a route through a gateway", () => {
		const outcomes = playScript(readScript(recording, "dontroute"), { version: "6.12" });
		expect(left(outcomes)).toEqual([]);
	});

	// sctp_v4_get_dst. A prohibited route has no device, so it is not on the link. 6.3.8, 6.8.0 and
	// 6.11.11 answer so.
	it("let SCTP pass over a prohibited route", () => {
		const sctp = `$ ip addr add 192.0.2.10/32 dev lo
$ ip route add default dev lo
$ ip route add prohibit 203.0.113.5/32
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_SCTP) = 3
setsockopt(3, SOL_SOCKET, SO_DONTROUTE, [1], 4) = 0
connect(3, ${at("203.0.113.5")}) = -1 EINPROGRESS
getsockname(3, {sa_family=AF_INET, sin_port=htons(44607), sin_addr=inet_addr("192.0.2.10")}, [16]) = 0
`;
		const outcomes = playScript(readScript(sctp, "sctp"), { version: "6.11.11", alone: true });
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
