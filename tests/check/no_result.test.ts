// SPDX-License-Identifier: GPL-2.0-or-later
/** Scripts with results at some lines only. A later line may show the port of a call without one. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

const v4 = (port: number) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}`;

const play = (lines: readonly string[]) =>
	playScript(readScript(lines.join("\n"), "script"), { version: "6.18.44", alone: true });
const differing = (lines: readonly string[]) =>
	play(lines).flatMap(({ verdict, line, reason }) =>
		verdict === "mismatch" ? [`${line}: ${reason}`] : [],
	);

describe("a bind() without a result", () => {
	it.each([
		["SOCK_DGRAM", "UDP"],
		["SOCK_STREAM", "TCP"],
	])("of %s chose the port that getsockname() shows", (type, protocol) => {
		const lines = [
			`socket(AF_INET, ${type}, IPPROTO_${protocol}) = 3`,
			`bind(3, ${v4(0)}, 16)`,
			`getsockname(3, ${v4(40001)}, [16]) = 0`,
		];
		expect(differing(lines)).toEqual([]);
		expect(differing(lines.with(2, `getsockname(3, ${v4(2)}, [16]) = 0`))).toHaveLength(1);
	});

	it("chose the port that another bind() cannot have", () => {
		expect(
			differing([
				"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
				"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
				`bind(3, ${v4(0)}, 16)`,
				"listen(3, 1)",
				`getsockname(3, ${v4(40001)}, [16]) = 0`,
				`bind(4, ${v4(40001)}, 16) = -1 EADDRINUSE`,
			]),
		).toEqual([]);
	});
});

it("ioctl(FIONBIO) without a result has its effect", () => {
	const outcomes = play([
		"$ ip route add 192.0.2.0/24 dev lo answer blackhole",
		"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
		"ioctl(3, FIONBIO, [1])",
		`connect(3, ${v4(9).replace("127.0.0.1", "192.0.2.1")}, 16)`,
	]);
	expect(outcomes.at(-1)?.text).toContain("EINPROGRESS");
});

it.each([
	["fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK)", 0],
	["ioctl(3, FIONBIO, [1])", 0],
	["fcntl(9, F_SETFL, O_RDWR)", -9],
	["ioctl(9, FIONBIO, [1])", -9],
])("%s without a result returns %i", (text, result) => {
	const outcomes = play(["socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)", text]);
	expect(outcomes.at(-1)).toMatchObject({ result });
});

it("a disconnected socket is not called connected to itself", () => {
	const lines = [
		"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
		"connect(3, {sa_family=AF_UNSPEC}, 16)",
	];
	const options = { version: "6.18.44", explain: true };
	const outcomes = playScript(readScript(lines.join("\n"), "script"), options);
	expect(outcomes.at(-1)).toMatchObject({ result: 0, explanation: [] });
});

describe("a line without a result", () => {
	it.each([
		["lisen(3, 5)", "a system call that concerns ports or descriptors, found lisen"],
		["fork()", "the child's pid after =, which begins the child's lines, found fork() without it"],
	])("is an error if no kernel can be asked about it: %s", (text, expected) => {
		const [socket, cut] = ["socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)", `${text.slice(0, -1)}`];
		expect(() => play([socket, text])).toThrow(`script:2:1: expected ${expected}`);
		expect(differing([`${socket} = 3`, `${text} = 0`])).toEqual([]);
		// The recording ended during the call.
		expect(differing([`${socket} = 3`, `${cut} <unfinished ...>`])).toEqual([]);
	});
});

it.each([
	["listen(3, 5, 1)", 14],
	["socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP, 0)", 42],
	[`bind(3, ${v4(80)}, 16, 7)`, 87],
])("a typed call with an argument too many is an error: %s", (text, column) => {
	const socket = "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)";
	expect(() => play([socket, text])).toThrow(
		`script:2:${column}: expected ) after the last argument, found one more`,
	);
	expect(differing([`${socket} = 3`, `${text} = 0`])).toEqual([]);
});

it("a recorded line with an argument that cannot be read is passed over; a typed one is an error", () => {
	const socket = "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3";
	const bind = `bind(3, ${v4(80).replace("htons", "foo")}, 16)`;
	const outcomes = play([socket, `${bind} = 0`, "listen(3, 5) = 0"]);
	expect(outcomes.map(({ verdict }) => verdict)).toEqual(["match", "ignored", "match"]);
	expect(outcomes[1].reason).toContain("a port such as htons(80)");
	expect(() => play([socket, bind])).toThrow("script:2:38: expected a port such as htons(80)");
});
