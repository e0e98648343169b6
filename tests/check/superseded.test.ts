// SPDX-License-Identifier: GPL-2.0-or-later
import { expect, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

const LINES = [
	"10 1.000000 unshare(CLONE_NEWNET) = 0",
	"10 1.050000 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
	"10 1.060000 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 4",
	"10 1.100000 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}, 88) = 11",
	'11 1.200000 execve("/bin/p", ["p"], 0x7ffe /* 9 vars */ <pid changed to 10 ...>',
	"10 1.300000 +++ superseded by execve in pid 11 +++",
	"10 1.400000 <... execve resumed>) = 0",
	'10 1.500000 bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("0.0.0.0")}, 16) = 0',
	'10 1.600000 bind(4, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("0.0.0.0")}, 16) = -1 EBADF (Bad file descriptor)',
	"10 1.700000 +++ exited with 0 +++",
];

test("a process goes on when one of its threads becomes another program", () => {
	const outcomes = playScript(readScript(`${LINES.join("\n")}\n`, "f"));
	const binds = outcomes.filter(({ call }) => call === "bind");
	expect(binds.map(({ verdict, result }) => [verdict, result])).toEqual([
		["match", 0],
		["match", -9],
	]);
});
