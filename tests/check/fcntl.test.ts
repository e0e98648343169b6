// SPDX-License-Identifier: GPL-2.0-or-later
import { expect, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4 } from "../text.js";

test("a descriptor that fcntl(F_DUPFD) made shows the port of its socket", () => {
	const verdicts = (port: number) =>
		playScript(
			readScript(
				[
					'$ sysctl -w net.ipv4.ip_local_port_range="40000 40003"',
					"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
					"fcntl(3, F_DUPFD, 8) = 8",
					`bind(3, ${in4(0, "127.0.0.1")}, 16) = 0`,
					`getsockname(8, ${in4(port, "127.0.0.1")}, [16]) = 0`,
				].join("\n"),
				"f",
			),
			{ alone: true },
		).map(({ verdict }) => verdict);
	for (const port of [40001, 40003]) expect(verdicts(port)).not.toContain("mismatch");
	expect(verdicts(40004)).toContain("mismatch");
});

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
