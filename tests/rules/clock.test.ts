// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, it } from "vitest";
import { Player, playScript, readScript } from "../../kernel-model/index.js";

/** A full accept queue drops a SYN. It is retransmitted a second later, to a closed port. */
function recording(asked: number): string {
	const to = '{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16)';
	return [
		"1700000000.000000 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
		`1700000000.000100 bind(3, ${to} = 0`,
		"1700000000.000200 listen(3, 0) = 0",
		"1700000000.000300 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 4",
		`1700000000.000400 connect(4, ${to} = -1 EINPROGRESS (Operation now in progress)`,
		"1700000000.000500 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 5",
		`1700000000.000600 connect(5, ${to} = -1 EINPROGRESS (Operation now in progress)`,
		"1700000000.000700 close(3) = 0",
		`${asked.toFixed(6)} connect(5, ${to} = -1 EALREADY (Operation already in progress)`,
		`1700000002.000000 connect(5, ${to} = -1 ECONNREFUSED (Connection refused)`,
		"",
	].join("\n");
}

const mismatches = (outcomes: Iterable<{ verdict: string }>) =>
	[...outcomes].filter(({ verdict }) => verdict === "mismatch").length;

describe("a recording of a timer that is some milliseconds late", () => {
	const script = readScript(recording(1700000001.006), "late");

	it("is a mismatch if the model tries one clock only", () => {
		expect(mismatches(new Player(script).play())).toBeGreaterThan(0);
	});

	it("is no mismatch if a busy machine explains it", () => {
		expect(mismatches(playScript(script))).toBe(0);
	});

	it("is a mismatch if no clock explains it", () => {
		const outcomes = playScript(readScript(recording(1700000001.2), "later"));
		expect(outcomes.find(({ verdict }) => verdict === "mismatch")?.line).toBe(9);
	});
});
