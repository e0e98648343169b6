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

it("a connection of a listener that is not known for certain is undecided as well", () => {
	const text = [
		"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
		"setsockopt(3, SOL_SOCKET, SO_MARK, [1], 4) = 0",
		`bind(3, ${in4(5000, "127.0.0.1")}, 16) = 0`,
		"listen(3, 5) = 0",
		"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
		`connect(4, ${in4(5000, "127.0.0.1")}, 16) = 0`,
		"accept(3, NULL, NULL) = 5",
		"shutdown(5, SHUT_RD) = -1 ENOTCONN",
		"",
	].join("\n");
	const outcomes = playScript(readScript(text, "left out"), { version: "6.18.44", alone: true });
	expect(outcomes.at(-1)?.verdict).toBe("undecided");
});
