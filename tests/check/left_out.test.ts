// SPDX-License-Identifier: GPL-2.0-or-later
/** Calls on a socket after a call that is not modelled. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4 } from "../text.js";

it("calls on a socket are undecided after a connect() that is not modelled", () => {
	const text = [
		"9 1.0 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 3",
		"9 1.1 setsockopt(3, SOL_IP, IP_TRANSPARENT, [1], 4) = 0",
		`9 1.2 bind(3, ${in4(0, "203.0.113.9")}, 16) = 0`,
		"9 1.3 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 4",
		`9 1.4 bind(4, ${in4(47000, "127.0.0.1")}, 16) = 0`,
		"9 1.5 listen(4, 5) = 0",
		`9 1.6 connect(3, ${in4(47000, "127.0.0.1")}, 16) = 0`,
		`9 1.7 getsockname(3, ${in4(40001, "127.0.0.1")}, [16]) = 0`,
		"9 1.8 listen(3, 5) = -1 EINVAL (Invalid argument)",
		"",
	].join("\n");
	const outcomes = playScript(readScript(text, "left out"), { version: "6.1.176" });
	expect(outcomes.map(({ verdict }) => verdict)).toEqual([
		"match",
		"match",
		"match",
		"match",
		"match",
		"match",
		"ignored",
		"undecided",
		"undecided",
	]);
});
