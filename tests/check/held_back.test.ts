// SPDX-License-Identifier: GPL-2.0-or-later
/** Data that Nagle's algorithm holds back until the peer has shut the connection down. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4, left } from "../text.js";

/** A server sends twice. The client reads once and shuts its socket down. */
function recording(how: string): string {
	return [
		"9 1.10 unshare(CLONE_NEWNET) = 0",
		'9 1.11 execve("/sbin/ip", ["ip", "link", "set", "lo", "up"], 0x7ffd /* 9 vars */) = 0',
		"9 1.12 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
		`9 1.13 bind(3, ${in4(8080)}, 16) = 0`,
		"9 1.14 listen(3, 5) = 0",
		"9 1.15 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
		`9 1.16 connect(4, ${in4(8080)}, 16) = 0`,
		`9 1.17 getsockname(4, ${in4(40000)}, [16]) = 0`,
		`9 1.18 accept(3, ${in4(40000)}, [16]) = 5`,
		'9 1.19 write(5, "one", 3) = 3',
		'9 1.20 write(5, "two", 3) = 3',
		'9 1.21 read(4, "one", 3) = 3',
		`9 1.22 shutdown(4, ${how}) = 0`,
		"9 1.23 shutdown(5, SHUT_WR) = -1 ENOTCONN (Transport endpoint is not connected)",
		"",
	].join("\n");
}

it("may draw a RST from a peer that reads no more, so that a later ENOTCONN is undecided", () => {
	const outcomes = playScript(readScript(recording("SHUT_RDWR"), "held back"), { version: "6.12" });
	expect(left(outcomes)).toEqual([expect.stringMatching(/^14 undecided: .*Nagle/)]);
});

it("draws none from a peer that still reads, so that a later ENOTCONN differs", () => {
	const outcomes = playScript(readScript(recording("SHUT_WR"), "held back"), { version: "6.12" });
	expect(left(outcomes)).toEqual([expect.stringMatching(/^14 mismatch: /)]);
});
