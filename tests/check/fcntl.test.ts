// SPDX-License-Identifier: GPL-2.0-or-later
import { expect, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4 } from "../text.js";

test("fcntl(F_SETFL) of a script without results sets O_NONBLOCK and clears it", () => {
	const script = [
		"$ ip route add 198.51.100.0/24 dev lo",
		"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
		"fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK)",
		`connect(3, ${in4(80, "198.51.100.1")}, 16)`,
		"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP)",
		"fcntl(4, F_SETFL, O_RDWR)",
		`connect(4, ${in4(80, "198.51.100.1")}, 16)`,
	].join("\n");
	const results = playScript(readScript(script, "f"))
		.filter(({ call }) => call === "connect")
		.map(({ result }) => result);
	expect(results).toEqual([-115, -110]);
});
