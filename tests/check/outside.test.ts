// SPDX-License-Identifier: GPL-2.0-or-later
/** What sockets outside a recording may have done: processes that it does not follow, strangers. */
import { describe, expect, it } from "vitest";
import { type Outcome, playScript, readScript } from "../../kernel-model/check/player.js";

const play = (text: string, alone: boolean): Outcome[] =>
	playScript(readScript(text, "recording"), {
		version: "6.18.44",
		...(alone ? { alone } : {}),
	});
const left = (outcomes: readonly Outcome[]) =>
	outcomes
		.filter(({ verdict }) => verdict === "undecided" || verdict === "mismatch")
		.map(({ line, verdict, reason }) => `${line} ${verdict}: ${reason}`);

describe("a connect() that did not wait", () => {
	const connected = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5
connect(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
`;
	const peer =
		'getpeername(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 0\n';
	const listens = "a socket outside the recording may listen there";

	it("may have met a listener outside, as SO_ERROR and getpeername() show later", () => {
		const error = "getsockopt(5, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n";
		const read = 'read(0, "", 1) = 0\n';
		expect(left(play(connected + error + peer + read, false))).toEqual([
			`3 undecided: ${listens}`,
			`4 undecided: ${listens}`,
		]);
		expect(left(play(connected + peer, false))).toEqual([`3 undecided: ${listens}`]);
	});

	it("was refused, where the program has its namespace to itself", () => {
		expect(left(play(connected + peer, true))).toEqual([
			"3 mismatch: the kernel says 0, the model ENOTCONN",
		]);
	});

	it("is judged where the kernel refused it as well", () => {
		const text = `${connected}getsockopt(5, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0\n`;
		expect(left(play(text, false))).toEqual([]);
	});

	it("may have met a process that strace was not told to follow", () => {
		const fork =
			"clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD) = 4711\n";
		const outcomes = play(fork + connected + peer, true);
		expect(left(outcomes)).toEqual([`4 undecided: ${listens}`]);
		expect(outcomes.map(({ learnt }) => learnt)).toContain(
			"process 4711, which the recording does not follow",
		);
		const followed = fork + connected + peer;
		expect(left(play(followed.replace(/^/gm, "1 ").replace(/1 $/, ""), true))).toEqual([
			"4 mismatch: the kernel says 0, the model ENOTCONN",
		]);
	});
});
