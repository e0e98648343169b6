// SPDX-License-Identifier: GPL-2.0-or-later
/** Choices that the search has tried are not tried again. */
import { afterEach, expect, it, vi } from "vitest";
import { Player, readScript } from "../../kernel-model/check/player.js";
import { playScript } from "../../kernel-model/check/ways.js";

const at = (port: number) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}`;

afterEach(() => vi.restoreAllMocks());

it("the orders of three overlapping calls are tried once each, so that the bound is not met", () => {
	const back = vi.spyOn(Player.prototype, "back");
	const lines = [
		"$ ip link set lo up",
		"9 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
		`9 bind(3, ${at(0)}, 16) = 0`,
		"10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
		"11 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
		"9 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6",
		`10 bind(4, ${at(8000)}, 16 <unfinished ...>`,
		`11 bind(4, ${at(8001)}, 16 <unfinished ...>`,
		`9 bind(6, ${at(9000)}, 16 <unfinished ...>`,
		"10 <... bind resumed>) = 0",
		"11 <... bind resumed>) = 0",
		"9 <... bind resumed>) = -1 EADDRINUSE",
		"10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 7",
		`10 bind(7, ${at(9000)}, 16) = 0`,
	];
	const differ = playScript(readScript(lines.join("\n"), "recording"), {
		alone: true,
		unread: false,
	}).filter(({ verdict }) => verdict === "mismatch" || verdict === "undecided");
	expect(differ.map(({ line, verdict }) => `${line} ${verdict}`)).toEqual(["9 mismatch"]);
	expect(back.mock.calls.length).toBeLessThan(60);
});
