// SPDX-License-Identifier: GPL-2.0-or-later
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in6, left } from "../text.js";

it("DCCP: a Reset from ::1 reaches an address of another device than lo", () => {
	// 6.1.192 and 6.12.118 answer so.
	const recording = `$ ip link add dummy1 type dummy
$ ip link set dummy1 up
$ ip addr add 2001:db8:3::10/64 dev dummy1 nodad
socket(AF_INET6, SOCK_DCCP|SOCK_NONBLOCK, IPPROTO_DCCP) = 3
bind(3, ${in6(40001, "2001:db8:3::10")}, 28) = 0
connect(3, ${in6(45000, "::1")}, 28) = -1 EINPROGRESS
sendto(3, "storm", 1, MSG_NOSIGNAL, NULL, 0) = -1 ECONNREFUSED
shutdown(3, SHUT_RDWR) = -1 ENOTCONN
`;
	const outcomes = playScript(readScript(recording, "reset"), { version: "6.12.107" });
	expect(left(outcomes)).toEqual([]);
});
