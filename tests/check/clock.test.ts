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
