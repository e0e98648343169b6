// SPDX-License-Identifier: GPL-2.0-or-later
/** A mismatch names the rule, and the lines of the recording that prove it. */
import { describe, expect, test } from "vitest";
import { type Outcome, playScript, readScript } from "../../kernel-model/check/player.js";
import { json } from "../../kernel-model/cli/terminal.js";
import { in4 } from "../text.js";

const tcp = (fd: number) => `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = ${fd}`;
const reuse = (fd: number) => `setsockopt(${fd}, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0`;
const BUSY = "-1 EADDRINUSE (Address already in use)";

/** The first mismatch of a recording that has one. */
function mismatch(lines: readonly string[]): Outcome {
	const text = ["$ ip link set lo up", ...lines, ""].join("\n");
	const found = playScript(readScript(text, "s")).filter(({ verdict }) => verdict === "mismatch");
	const [outcome] = found;
	if (outcome === undefined) throw new Error("no mismatch");
	return outcome;
}

describe("the proof of a mismatch", () => {
	test("names the lines of the socket in the way, and of the options that matter", () => {
		const outcome = mismatch([
			tcp(3),
			reuse(3),
			`bind(3, ${in4(8080)}, 16) = 0`,
			"listen(3, 8) = 0",
			tcp(4),
			reuse(4),
			`bind(4, ${in4(8080)}, 16) = 0`,
		]);
		expect(outcome.proof?.rule).toMatch(
			/^inet_bind_conflict: port 8080 conflicts with fd 3 .*SO_REUSEADDR does not share with a listener$/,
		);
		expect(outcome.proof?.lines).toEqual([3, 4, 5, 6, 7, 8]);
		expect(outcome.proof?.grounds).toEqual([
			"line 3 set SO_REUSEADDR",
			"line 4 bound 127.0.0.1:8080 without SO_REUSEPORT",
			"line 5 made 127.0.0.1:8080 listen",
			"line 6 made the socket",
			"line 7 set SO_REUSEADDR",
		]);
	});

	test("is in the line of JSON", () => {
		const outcome = mismatch([
			tcp(3),
			`bind(3, ${in4(8080)}, 16) = 0`,
			tcp(4),
			`bind(4, ${in4(8080)}, 16) = 0`,
		]);
		const { proof } = JSON.parse(json(outcome)) as { proof: unknown };
		expect(proof).toEqual({ rule: outcome.proof?.rule, lines: [3, 4, 5] });
	});

	test("names the sockets on a port that a bind() may share", () => {
		const outcome = mismatch([
			tcp(3),
			reuse(3),
			`bind(3, ${in4(8080)}, 16) = 0`,
			tcp(4),
			reuse(4),
			`bind(4, ${in4(8080)}, 16) = ${BUSY}`,
		]);
		expect(outcome.proof?.rule).toBe("no socket on port 8080 conflicts with this one");
		expect(outcome.proof?.lines).toEqual([3, 4, 6, 7]);
	});

	test("names the check that fails here, with its kernel function", () => {
		const outcome = mismatch([
			tcp(3),
			`bind(3, ${in4(8080)}, 16) = 0`,
			`bind(3, ${in4(8081)}, 16) = 0`,
		]);
		expect(outcome.proof?.rule).toMatch(/^__inet_bind: the socket has port 8080 already/);
		expect(outcome.proof?.lines).toEqual([3, 4]);
	});

	test("names the lines of a range", () => {
		const outcome = mismatch([
			'$ sysctl -w net.ipv4.ip_local_port_range="40000 40003"',
			tcp(3),
			`bind(3, ${in4(0)}, 16) = 0`,
			`getsockname(3, ${in4(50000)}, [16]) = 0`,
		]);
		expect(outcome.proof?.rule).toContain("no search can choose port 50000: it was in no range");
		expect(outcome.proof?.lines).toEqual([2, 3, 4]);
	});

	test("names the line of a connection that is in TIME_WAIT", () => {
		const outcome = mismatch([
			'$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"',
			tcp(3),
			`bind(3, ${in4(80)}, 16) = 0`,
			"listen(3, 8) = 0",
			tcp(4),
			`connect(4, ${in4(80)}, 16) = 0`,
			`accept(3, ${in4(40000)}, [16]) = 5`,
			"close(4) = 0",
			"close(5) = 0",
			tcp(4),
			`bind(4, ${in4(40000)}, 16) = 0`,
		]);
		expect(outcome.proof?.grounds).toContain(
			"line 7 made the connection of 127.0.0.1:40000 to 127.0.0.1:80, which is in TIME_WAIT",
		);
	});

	test("does not mix up two sockets with the same number", () => {
		const outcome = mismatch([
			tcp(3),
			reuse(3),
			`bind(3, ${in4(8080)}, 16) = 0`,
			"close(3) = 0",
			tcp(3),
			`bind(3, ${in4(8080)}, 16) = 0`,
			tcp(4),
			reuse(4),
			`bind(4, ${in4(8080)}, 16) = 0`,
		]);
		expect(outcome.proof?.lines).toEqual([7, 8, 9, 10]);
	});

	test("exists for every mismatch, and for nothing else", () => {
		const text = [
			"$ ip link set lo up",
			tcp(3),
			`bind(3, ${in4(8080)}, 16) = 0`,
			"listen(3, 8) = 0",
			"getsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], [4]) = 0",
			`getsockname(3, ${in4(8081)}, [16]) = 0`,
			tcp(4),
			`connect(4, ${in4(8080)}, 16) = -1 ECONNREFUSED (Connection refused)`,
			`accept(3, ${in4(9)}, [16]) = 5`,
			"listen(9, 1) = 0",
			"",
		].join("\n");
		for (const { verdict, proof, line } of playScript(readScript(text, "s"))) {
			expect([line, proof !== null]).toEqual([line, verdict === "mismatch"]);
			if (proof === null) continue;
			expect(proof.rule).not.toBe("");
			expect(proof.lines.at(-1)).toBe(line);
		}
	});
});
