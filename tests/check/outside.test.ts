// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Effects of sockets outside a recording: processes that strace did not follow, and other programs.
 */
import { describe, expect, it } from "vitest";
import { type Outcome, playScript, readScript } from "../../kernel-model/check/player.js";
import { in4, left } from "../text.js";

const play = (text: string, alone: boolean): Outcome[] =>
	playScript(readScript(text, "recording"), {
		version: "6.18.44",
		...(alone ? { alone } : {}),
	});
describe("a connect() that did not wait", () => {
	const connected = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5
connect(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
`;
	const peer =
		'getpeername(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 0\n';
	const listens = "a socket outside the recording may listen there";

	it("may have reached a listener outside, as SO_ERROR and getpeername() show later", () => {
		const error = "getsockopt(5, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n";
		const read = 'read(0, "", 1) = 0\n';
		expect(left(play(connected + error + peer + read, false))).toEqual([
			`3 undecided: ${listens}`,
			`4 undecided: ${listens}`,
		]);
		expect(left(play(connected + peer, false))).toEqual([`3 undecided: ${listens}`]);
	});

	it("was refused if the namespace is the program's own", () => {
		expect(left(play(connected + peer, true))).toEqual([
			expect.stringMatching(/^3 mismatch: the kernel says 0, the model ENOTCONN/),
		]);
	});

	it("is judged if the kernel refused it as well", () => {
		const text = `${connected}getsockopt(5, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0\n`;
		expect(left(play(text, false))).toEqual([]);
	});

	it("may have reached a process that strace did not follow", () => {
		const fork =
			"clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD) = 4711\n";
		const outcomes = play(fork + connected + peer, true);
		expect(left(outcomes)).toEqual([`4 undecided: ${listens}`]);
		expect(outcomes.map(({ learnt }) => learnt)).toContain(
			"process 4711, which the recording does not follow",
		);
		const followed = fork + connected + peer;
		expect(left(play(followed.replace(/^/gm, "1 ").replace(/1 $/, ""), true))).toEqual([
			expect.stringMatching(/^4 mismatch: the kernel says 0, the model ENOTCONN/),
		]);
	});
});

describe("a listener from before the recording", () => {
	const accept = (client: number, fd: number) =>
		`7 accept4(3, ${in4(client)}, [16], SOCK_CLOEXEC) = ${fd}\n`;
	const name = (call: string, fd: number, port: number) =>
		`7 ${call}(${fd}, ${in4(port)}, [128 => 16]) = 0\n`;
	const session = (client: number) =>
		`${accept(client, 4)}${name("getsockname", 4, 8000)}${name("getpeername", 4, client)}7 sendto(4, "x", 1, 0, NULL, 0) = 1
7 shutdown(4, SHUT_WR) = 0
7 close(4) = 0
`;

	it("has the address that its accepted sockets show, and its clients come from outside", () => {
		const text = session(33424) + session(33438) + session(33424);
		const outcomes = play(text, true);
		expect(left(outcomes)).toEqual([]);
		expect(outcomes.filter(({ verdict }) => verdict === "match").length).toBeGreaterThan(14);
	});

	it("needs no line that shows its port, and accepts the clients that lines show", () => {
		const text = accept(33424, 4) + name("getpeername", 4, 33424) + accept(33426, 5);
		expect(left(play(text, false))).toEqual([]);
	});

	it("leaves a getpeername() undecided that shows another client than accept()", () => {
		const text = accept(33424, 4) + name("getpeername", 4, 33425);
		expect(left(play(text, true))).toEqual(["2 undecided: the client of line 1 is not recorded"]);
	});

	it("means that the namespace is not the program's own any more", () => {
		const busy = `7 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 9
7 bind(9, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EADDRINUSE (Address already in use)
`;
		expect(left(play(session(33424) + busy, true))).toEqual([
			"8 undecided: a socket outside the recording may hold the port",
		]);
	});
});

describe("a client that no recorded call can be", () => {
	const listener = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
bind(3, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("0.0.0.0")}, 16) = 0
listen(3, 5) = 0
`;
	const accept = (fd: number) =>
		`accept4(3, {sa_family=AF_INET, sin_port=htons(40010), sin_addr=inet_addr("192.0.2.7")}, [16], 0) = ${fd}\n`;

	it("comes from outside, and its socket is known", () => {
		const name =
			'getpeername(4, {sa_family=AF_INET, sin_port=htons(40010), sin_addr=inet_addr("192.0.2.7")}, [128 => 16]) = 0\n';
		expect(left(play(listener + accept(4) + name, false))).toEqual([]);
	});

	it("cannot come twice with one port", () => {
		expect(left(play(listener + accept(4) + accept(5), false))).toEqual([
			"5 undecided: a client outside the recording may have connected",
		]);
	});

	it("does not come if the namespace is the program's own", () => {
		expect(left(play(listener + accept(4), true))).toEqual([
			"4 mismatch: the kernel says 4, the model sleeps",
		]);
	});
});

describe("a recording without failed calls", () => {
	const socket = `9 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 20
9 accept4(19, NULL, NULL, SOCK_NONBLOCK) = 21
9 getsockopt(20, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
9 write(20, "x", 1) = 1
9 shutdown(20, SHUT_WR) = 0
9 close(20) = 0
9 close(21) = 0
`;
	const text = `9 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 19
9 bind(19, {sa_family=AF_INET, sin_port=htons(44287), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
9 listen(19, 511) = 0
${socket}${socket}`;
	const why = "a connect() that did not wait may be missing, because failed calls are not recorded";

	it("is undecided if a connect() that did not wait matters", () => {
		expect(left(play(text, true)).filter((line) => !line.endsWith(why))).toEqual([]);
		expect(left(play(text, true))).toContain(`5 undecided: ${why}`);
	});

	it("shows the connection by a write() or a read() too", () => {
		for (const shown of ['9 write(20, "x", 1) = 1', '9 read(20, "x", 1) = 1']) {
			const lines = text.split("\n").filter((line) => !/shutdown|write/.test(line));
			const at = lines.findIndex((line) => line.startsWith("9 getsockopt"));
			lines.splice(at + 1, 0, shown, "9 dup(0) = 30", "9 close(30) = 0");
			expect(left(play(lines.join("\n"), true)).filter((line) => !line.endsWith(why))).toEqual([]);
		}
	});

	it("is not assumed if one call failed", () => {
		const failed = `9 dup(99) = -1 EBADF (Bad file descriptor)\n${text}`;
		expect(left(play(failed, true)).filter((line) => line.includes("mismatch"))).not.toEqual([]);
	});
});
