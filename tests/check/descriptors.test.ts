// SPDX-License-Identifier: GPL-2.0-or-later
/** Descriptors in recordings that no modelled call opens. */
import { describe, expect, it } from "vitest";
import { type Outcome, playScript, readScript } from "../../kernel-model/check/player.js";
import { left } from "../text.js";

const play = (text: string): Outcome[] =>
	playScript(readScript(text, "recording"), { version: "6.18.44", alone: true });
const leftOf = (text: string) => left(play(text));

describe("a descriptor that is no internet socket", () => {
	it("is made by socketpair(), two at a time", () => {
		expect(
			leftOf(`1 socketpair(AF_UNIX, SOCK_STREAM, 0, [5, 6]) = 0
1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 7
1 shutdown(5, SHUT_WR) = 0
1 getsockname(6, {sa_family=AF_UNIX}, [128 => 2]) = 0
1 close(5) = 0
1 close(6) = 0
`),
		).toEqual([]);
	});

	it("takes the number of a socket whose close() is not recorded", () => {
		expect(
			leftOf(`1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5
1 socketpair(AF_UNIX, SOCK_STREAM, 0, [5, 6]) = 0
1 shutdown(5, SHUT_WR) = 0
`),
		).toEqual([]);
	});

	it("is made by pipe2(), which leaves the socket with the number 0 alone", () => {
		expect(
			leftOf(`1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 0
1 pipe2([5, 6], O_CLOEXEC) = 0
1 shutdown(5, SHUT_WR) = -1 ENOTSOCK (Socket operation on non-socket)
1 listen(0, 1) = 0
`),
		).toEqual([]);
	});
});
