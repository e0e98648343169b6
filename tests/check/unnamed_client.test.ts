// SPDX-License-Identifier: GPL-2.0-or-later
/** accept() calls that do not show which of several waiting clients they take. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { CLIENT_AND_LISTENER, in4, left } from "../text.js";

/** Two clients wait. One of them is closed with unread data, so its connection is reset. */
function recording(first: string, second: string): string {
	return [
		...CLIENT_AND_LISTENER,
		"9 1.18 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5",
		`9 1.19 connect(5, ${in4(8080)}, 16) = 0`,
		`9 1.20 getsockname(5, ${in4(40002)}, [16]) = 0`,
		`9 1.21 accept(3, ${first}) = 6`,
		`9 1.22 accept(3, ${second}) = 7`,
		'9 1.23 sendto(6, "one", 3, 0, NULL, 0) = 3',
		'9 1.24 sendto(7, "two", 3, 0, NULL, 0) = 3',
		'9 1.25 recvfrom(4, "one", 3, 0, NULL, NULL) = 3',
		"9 1.26 close(4) = 0",
		"9 1.27 close(5) = 0",
		"9 1.28 shutdown(6, SHUT_WR) = -1 ENOTCONN (Transport endpoint is not connected)",
		"",
	].join("\n");
}

const play = (first: string, second: string) =>
	left(playScript(readScript(recording(first, second), "unnamed"), { version: "6.12" }));

it("leave the end of a connection undecided", () => {
	expect(play("NULL, NULL", "NULL, NULL")).toEqual([
		expect.stringMatching(/^19 undecided: .*one of several clients/),
	]);
});

it("do not if they show the client", () => {
	expect(play(`${in4(40000)}, [16]`, `${in4(40002)}, [16]`)).toEqual([
		expect.stringMatching(/^19 mismatch: /),
	]);
});
