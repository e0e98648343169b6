// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { left } from "../text.js";

/**
 * close() of fd 4 sends a FIN. Its ACK is delayed to the next jiffy. No time-wait socket may be
 * made, so the ACK ends fd 4's socket, and a FIN of fd 5 that comes later is answered with a RST.
 */
const script = (shutdown: string, error: string) =>
	`$ sysctl -w net.ipv4.tcp_max_tw_buckets=0
7 1000.000100 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
7 1000.000100 bind(3, {sa_family=AF_INET, sin_port=htons(5000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
7 1000.000100 listen(3, 3) = 0
7 1000.000100 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4
7 1000.000100 connect(4, {sa_family=AF_INET, sin_port=htons(5000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
7 1000.000100 accept(3, NULL, NULL) = 5
7 1000.001200 close(4) = 0
7 1000.00${shutdown} shutdown(5, SHUT_RDWR) = 0
7 1000.002800 getsockopt(5, SOL_SOCKET, SO_ERROR, [${error}], [4]) = 0
`;

/** What is left of a play: lines that are not as recorded. */
const verdicts = (text: string) =>
	left(playScript(readScript(text, "clock"), { version: "6.18", alone: true }));

describe("a recording does not show where a jiffy began", () => {
	test.each([
		["the jiffy began after shutdown()", "1300", "0"],
		["the jiffy began between close() and shutdown(), 600 us apart", "1800", "ECONNRESET"],
		["the jiffy began between close() and shutdown(), 200 us apart", "1400", "ECONNRESET"],
	])("%s", (_, shutdown, error) => {
		expect(verdicts(script(shutdown, error))).toEqual([]);
	});

	test("but the ACK cannot come before the FIN", () => {
		expect(verdicts(script("1200", "ECONNRESET"))).toEqual([
			expect.stringMatching(/^10 mismatch: /),
		]);
	});
});

const v4 = (address: string, port: number) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.${address}")}`;
/** Calls `first` to `last` of process 7, 10 us apart from `time` on. */
const at = (time: number, calls: readonly string[]) =>
	calls.map((call, i) => `7 ${(1000 + time + i / 1e5).toFixed(6)} ${call}\n`).join("");

describe("one timer may run a jiffy late on a busy machine", () => {
	// As above, the delayed ACK of a FIN frees the port of the client. It comes with the next jiffy.
	const round = (time: number, port: number) =>
		at(time, [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
			`bind(4, ${v4("1", port)}, 16) = 0`,
			`connect(4, ${v4("1", 5000)}, 16) = 0`,
			`accept(3, NULL, NULL) = ${port - 40000}`,
			"close(4) = 0",
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
		]);
	const listener = [
		"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
		`bind(3, ${v4("1", 5000)}, 16) = 0`,
		"listen(3, 3) = 0",
	];
	const recording = (later: number, result: string) =>
		"$ sysctl -w net.ipv4.tcp_max_tw_buckets=0\n" +
		at(0, listener) +
		round(0.001, 40005) +
		// 3.9 ms after close(4): this timer was not late.
		at(0.00494, [`bind(4, ${v4("1", 40005)}, 16) = 0`, "close(4) = 0"]) +
		round(0.1, 40006) +
		at(0.10004 + later, [`bind(4, ${v4("1", 40006)}, 16) = ${result}`]);

	test.each([
		["the second one was", 0.0043, "-1 EADDRINUSE"],
		["none was", 0.0043, "0"],
	])("%s", (_, later, result) => {
		expect(verdicts(recording(later, result))).toEqual([]);
	});

	test("but not 40 ms late", () => {
		expect(verdicts(recording(0.04, "-1 EADDRINUSE"))).toEqual([
			expect.stringMatching(/^19 mismatch: /),
		]);
	});
});

describe("a process ends at some moment before the next line", () => {
	// The SYN of process 8 meets a time-wait socket. The answer kills this one, and the SYN comes again
	// after two jiffies. Asked of 6.18.44, with a pause before the end of process 8.
	const before = at(0, [
		"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
		`bind(3, ${v4("2", 45000)}, 16) = 0`,
		"listen(3, 3) = 0",
		"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
		`bind(4, ${v4("1", 40002)}, 16) = 0`,
		`connect(4, ${v4("2", 45000)}, 16) = 0`,
		"accept(3, NULL, NULL) = 5",
		"close(5) = 0",
		"close(4) = 0",
		"close(3) = 0",
		"fork() = 8",
	]);
	const child = at(0.001, [
		"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3",
		`bind(3, ${v4("1", 40002)}, 16) = 0`,
		`connect(3, ${v4("2", 45000)}, 16) = -1 EINPROGRESS`,
	]).replaceAll(/^7/gm, "8");
	const listener = at(0.0011, [
		"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3",
		`bind(3, ${v4("2", 45000)}, 16) = 0`,
		"listen(3, 3) = 0",
	]);
	const recording = (end: string, result: string) =>
		`${before}${child}${listener}8 ${end}+++ exited with 0 +++\n${at(0.0145, [`accept(3, NULL, NULL) = ${result}`])}`;

	test.each([
		["the end has no time, and came after the second SYN", "", "4"],
		["the end has no time, and came before the second SYN", "", "-1 EAGAIN"],
		["the end came after the second SYN", "1000.013500 ", "4"],
		["strace printed the end late", "1000.013500 ", "-1 EAGAIN"],
	])("%s", (_, end, result) => {
		expect(verdicts(recording(end, result))).toEqual([]);
	});

	test("but it cannot come later than its time", () => {
		expect(verdicts(recording("1000.004000 ", "4"))).toEqual([
			expect.stringMatching(/^19 mismatch: /),
		]);
	});
});
