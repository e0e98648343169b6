// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Recordings without close(): strace -e trace=network is what many people type. The results are
 * those of 6.18.44.
 */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { Recording } from "../../kernel-model/check/recording.js";
import { in4, left } from "../text.js";

const play = (text: string) =>
	left(playScript(readScript(text, "recording"), { version: "6.18.44", alone: true }));
const REASON =
	"undecided: the recording shows no close(), so a socket that the model has may be closed";
const CLOSED = "9 close(3) = 0\n";
const ENDS = "9 +++ exited with 0 +++\n";
const EXIT = "9 exit_group(0) = ?\n";

/** The first socket is closed before the second one binds to its port. */
const bound = (close: string) => `9 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
9 bind(3, ${in4(5000)}, 16) = 0
9 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4
${close}9 bind(4, ${in4(5000)}, 16) = 0
`;

/** The first socket is closed before the last datagrams. */
const refused = (close: string) => `9 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
9 bind(3, ${in4(56060)}, 16) = 0
9 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 4
9 connect(4, ${in4(56060)}, 16) = 0
9 sendto(4, "zz", 2, 0, NULL, 0) = 2
${close}9 sendto(4, "z", 1, 0, NULL, 0) = 1
9 sendto(4, "z", 1, 0, NULL, 0) = -1 ECONNREFUSED (Connection refused)
`;

describe("a recording without close()", () => {
	it("does not show that a socket was closed, so what depends on it is undecided", () => {
		expect(play(bound("") + ENDS)).toEqual([`4 ${REASON}`]);
		expect(play(refused("") + ENDS)).toEqual([`7 ${REASON}`]);
	});

	it("is one in which a socket has the descriptor of an earlier one", () => {
		const reused = "9 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4\n";
		expect(play(bound("") + reused)).toEqual([`4 ${REASON}`]);
	});

	it("may be one of a process that closes nothing: its exit_group() is there", () => {
		expect(play(bound("") + EXIT + ENDS)[0]).toMatch(/^4 mismatch/);
		expect(play(refused("") + EXIT + ENDS)[0]).toMatch(/^7 mismatch/);
		expect(play(bound("").replaceAll(/^9 /gm, "") + ENDS.slice(2))).toEqual([`4 ${REASON}`]);
	});
});

describe("a recording with close()", () => {
	it("shows which sockets are closed", () => {
		expect(play(bound(CLOSED) + ENDS)).toEqual([]);
		expect(play(refused(CLOSED) + ENDS)).toEqual([]);
		expect(play(`${bound("")}9 close(4) = 0\n${ENDS}`)[0]).toMatch(/^4 mismatch/);
	});
});

describe("a recording without fork()", () => {
	it("shows clients of a listener that a process has from its parent", () => {
		const text = `9 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 5
9 bind(5, ${in4(8100)}, 16) = 0
9 listen(5, 2048) = 0
12 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 6
12 connect(6, ${in4(8100)}, 16) = 0
12 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 7
12 connect(7, ${in4(8100)}, 16) = 0
10 accept4(5, ${in4(35020)}, [16], SOCK_CLOEXEC) = 9
11 accept4(5, ${in4(35008)}, [16], SOCK_CLOEXEC) = 9
`;
		expect(play(text)).toEqual([]);
		const parsed = readScript(text, "recording");
		const { evidence } = Recording.of(parsed);
		const ports = parsed.lines.flatMap((line) =>
			line.kind === "call" && line.name === "connect" ? [evidence.portOf(line)] : [],
		);
		expect(ports).toEqual([35020, 35008]);
	});
});
