// SPDX-License-Identifier: GPL-2.0-or-later
/** Data that Nagle's algorithm holds back until the peer has shut the connection down. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { CLIENT_AND_LISTENER, in4, left } from "../text.js";

/** A server sends twice. The client reads once and shuts its socket down. */
function recording(how: string): string {
	return [
		...CLIENT_AND_LISTENER,
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
