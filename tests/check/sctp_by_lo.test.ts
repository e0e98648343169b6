// SPDX-License-Identifier: GPL-2.0-or-later
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4, left } from "../text.js";

it("SCTP: an INIT to another host that leaves by lo reaches a listener, which cannot answer", () => {
	// 6.1.192, 6.12.118, 6.10.0 and 7.3.4 answer so. The listener takes the client's address.
	const recording = `$ ip addr add 192.0.2.10/32 dev lo
$ ip route add default dev lo
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_SCTP) = 3
bind(3, ${in4(5000, "0.0.0.0")}, 16) = 0
listen(3, 1) = 0
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_SCTP) = 4
connect(4, ${in4(5000, "198.51.100.10")}, 16) = -1 EINPROGRESS
getsockname(3, ${in4(5000, "192.0.2.10")}, [16]) = 0
accept(3, NULL, NULL) = -1 EAGAIN
connect(4, ${in4(5000, "198.51.100.10")}, 16) = -1 EALREADY
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_SCTP) = 5
connect(5, ${in4(5001, "198.51.100.10")}, 16) = -1 EINPROGRESS
connect(5, ${in4(5001, "198.51.100.10")}, 16) = -1 EALREADY
`;
	const outcomes = playScript(readScript(recording, "lo"), { version: "6.12.107" });
	expect(left(outcomes)).toEqual([]);
});
