// SPDX-License-Identifier: GPL-2.0-or-later
/** Programs that make calls by io_uring, which strace does not show. As recorded on 6.18.44. */
import { describe, expect, it } from "vitest";
import { readScript } from "../../kernel-model/check/player.js";
import { playScript } from "../../kernel-model/check/ways.js";

const at = (port: number) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}`;
const ENTER = "io_uring_enter(3, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) = 1";
const SETUP = [
	"$ ip link set lo up",
	"io_uring_setup(8, {flags=0, sq_thread_cpu=0, sq_thread_idle=0, sq_entries=8, cq_entries=16}) = 3",
	"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
	`bind(4, ${at(8000)}, 16) = 0`,
	"listen(4, 16) = 0",
];

const play = (lines: string[]) =>
	playScript(readScript([...SETUP, ...lines].join("\n"), "recording"), { version: "6.18.44" });
const verdicts = (lines: string[]) =>
	play(lines)
		.filter(({ verdict, call }) => verdict !== "ignored" && call !== "$")
		.slice(3)
		.map(({ call, verdict }) => `${call} ${verdict}`);

describe("calls that io_uring made", () => {
	const client = [
		"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5",
		`connect(5, ${at(8000)}, 16) = 0`,
		ENTER,
		`getsockname(5, ${at(54760)}, [16]) = 0`,
	];
	const accepted = [
		`getsockname(6, ${at(8000)}, [16]) = 0`,
		`getpeername(6, ${at(54760)}, [16]) = 0`,
	];
	const ends = ["shutdown(6, SHUT_WR) = 0", "close(6) = 0", "close(5) = 0"];

	it("are taken for an accept() where a later call shows the client", () => {
		expect(verdicts([...client, ...accepted, ...ends])).toEqual([
			...["socket match", "connect match", "getsockname match"],
			...["getsockname match", "getpeername match"],
			...["shutdown match", "close match", "close match"],
		]);
	});

	it("are taken for an accept() of the oldest client where only data is seen", () => {
		expect(
			verdicts([...client, 'recvfrom(6, "hello", 16, 0, NULL, NULL) = 5', ...ends]).slice(-3),
		).toEqual(["shutdown match", "close match", "close match"]);
	});

	it("are taken for a connect() where a later call shows the peer", () => {
		const lines = [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5",
			ENTER,
			`getsockname(5, ${at(54760)}, [16]) = 0`,
			`getpeername(5, ${at(8000)}, [16]) = 0`,
			`accept(4, ${at(54760)}, [16]) = 6`,
		];
		expect(verdicts(lines)).toEqual([
			...["socket match", "getsockname match", "getpeername match", "accept match"],
		]);
	});

	it("make undecided what may depend on them, by name", () => {
		const lines = [
			...client.slice(0, 2),
			ENTER,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 7",
			`bind(7, ${at(8001)}, 16) = -1 EADDRINUSE`,
		];
		const last = play(lines).at(-1);
		expect(last?.verdict).toBe("undecided");
		expect(last?.reason).toMatch(/^io_uring makes calls from line 8 on/);
	});

	it("are none before the ring gets one, nor if io_uring_enter() submits none", () => {
		const lines = (count: number) => [
			`io_uring_enter(3, ${count}, 1, IORING_ENTER_GETEVENTS, NULL, 0) = ${count}`,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 7",
			`bind(7, ${at(8001)}, 16) = -1 EADDRINUSE`,
		];
		expect(play(lines(0)).at(-1)?.verdict).toBe("mismatch");
		expect(play(lines(1)).at(-1)?.verdict).toBe("undecided");
	});

	it("may begin with the ring where a thread of the kernel looks for them", () => {
		const lines = [
			"io_uring_setup(8, {flags=IORING_SETUP_SQPOLL, sq_thread_cpu=0, sq_thread_idle=0, sq_entries=8, cq_entries=16}) = 7",
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 8",
			`bind(8, ${at(8001)}, 16) = -1 EADDRINUSE`,
		];
		expect(play(lines).at(-1)?.verdict).toBe("undecided");
	});
});
