// SPDX-License-Identifier: GPL-2.0-or-later
/** What a recorded send or receive returns. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4, left } from "../text.js";

const play = (lines: string[], settled: boolean, alone = true) =>
	left(
		playScript(readScript(`${lines.join("\n")}\n`, "recording"), {
			version: "6.18.44",
			alone,
			settled,
		}),
	);

/** Shows that read() is recorded. */
const READ = 'read(0, "", 1) = 0';
const AGAIN = "-1 EAGAIN (Resource temporarily unavailable)";

describe("a datagram", () => {
	const sent = [
		"socket(AF_INET, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = 3",
		`bind(3, ${in4(40000)}, 16) = 0`,
		"socket(AF_INET, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = 4",
		`bind(4, ${in4(40001)}, 16) = 0`,
		`sendto(4, "hello", 5, 0, ${in4(40000)}, 16) = 5`,
	];
	const got = (size: number, result: number | string, from: string, flags = "0") =>
		`recvfrom(3, "", ${size}, ${flags}, ${from}, [16]) = ${result}`;

	it("comes from the socket that sent it, with its length", () => {
		for (const settled of [false, true]) {
			expect(play([...sent, got(9, 5, in4(40001))], settled)).toEqual([]);
			expect(play([...sent, got(9, 5, in4(40002)), READ], settled)).toEqual([
				"6 mismatch: the model receives from 127.0.0.1:40001",
			]);
			expect(play([...sent, got(9, 4, in4(40001)), READ], settled)).toEqual([
				"6 mismatch: the kernel says 4, the model 5",
			]);
		}
	});

	it("is cut to the size of the buffer, and MSG_TRUNC returns its length", () => {
		expect(play([...sent, got(2, 2, in4(40001))], true)).toEqual([]);
		expect(play([...sent, got(2, 5, in4(40001), "MSG_TRUNC")], true)).toEqual([]);
		expect(play([...sent, got(2, 2, in4(40001), "MSG_TRUNC")], true)).toHaveLength(1);
	});

	it("stays in the queue with MSG_PEEK", () => {
		const peek = got(9, 5, in4(40001), "MSG_PEEK");
		const once = got(9, 5, in4(40001));
		expect(play([...sent, peek, peek, once], true)).toEqual([]);
		expect(play([...sent, once, once], true)).toEqual([
			"7 mismatch: the kernel says 5, the model EAGAIN",
		]);
	});

	it("may come from another host, and from anybody if the namespace is shared", () => {
		const stranger = got(9, 3, in4(53, "198.51.100.1"));
		expect(play([...sent, stranger], false)).toEqual([]);
		expect(play([...sent, stranger], true)).toHaveLength(1);
		const unknown = got(9, 3, in4(50000));
		expect(play([...sent, unknown], false, false)).toEqual([]);
		expect(play([...sent, unknown, READ], false)).toHaveLength(1);
		expect(play([...sent, unknown], false)).toEqual([]);
	});

	it("may be late, unless packets arrive before the next call", () => {
		const none = `recvfrom(3, 0x7ffd, 9, 0, NULL, NULL) = ${AGAIN}`;
		expect(play([...sent, none, READ], false)).toEqual([
			"6 undecided: a packet may arrive after the call that sent it has returned",
		]);
		expect(play([...sent, none], true)).toEqual([
			"6 mismatch: the kernel says EAGAIN, the model 5",
		]);
	});

	it("is undecided for a socket whose port no line shows", () => {
		const answered = [
			"socket(AF_INET, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = 3",
			`bind(3, ${in4(40000)}, 16) = 0`,
			"socket(AF_INET, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = 4",
			`connect(4, ${in4(40000)}, 16) = 0`,
			'sendto(4, "hello", 5, 0, NULL, 0) = 5',
			'recvfrom(3, "hello", 9, 0, NULL, NULL) = 5',
			`sendto(3, "ok", 2, 0, ${in4(35784)}, 16) = 2`,
			'recvfrom(4, "ok", 9, 0, NULL, NULL) = 2',
			READ,
		];
		expect(play(answered, false)).toContain(
			"8 undecided: the recording does not show the port of the socket",
		);
	});

	it("goes to any one member of a reuseport group", () => {
		const member = (fd: number) => [
			`socket(AF_INET, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = ${fd}`,
			`setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0`,
			`bind(${fd}, ${in4(40000)}, 16) = 0`,
		];
		const group = [
			...member(3),
			...member(4),
			...member(5),
			"socket(AF_INET, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = 6",
			`sendto(6, "hello", 5, 0, ${in4(40000)}, 16) = 5`,
		];
		const none = (fd: number) => `recvfrom(${fd}, 0x7ffd, 9, 0, NULL, NULL) = ${AGAIN}`;
		const one = (fd: number) => `recvfrom(${fd}, "hello", 9, 0, NULL, NULL) = 5`;
		for (const fd of [3, 4, 5]) {
			const others = [3, 4, 5].filter((other) => other !== fd);
			expect(play([...group, ...others.map(none), one(fd), none(fd)], true)).toEqual([]);
			expect(play([...group, one(fd), ...others.map(none)], true)).toEqual([]);
			// It may also have been late.
			const late = [...group, none(fd), none(fd), one(fd), READ];
			expect(play(late, false)).toEqual([]);
		}
		expect(play([...group, none(3), none(4), none(5)], true)).toHaveLength(1);
		expect(play([...group, one(3), one(4)], true)).toHaveLength(1);
		expect(play([...group, none(3), "close(4) = 0", none(5)], true)).toEqual([]);
	});
});

describe("a stream", () => {
	const NOTCONN = "-1 ENOTCONN (Transport endpoint is not connected)";
	const fresh = ["socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3"];
	const pair = [
		...fresh,
		`bind(3, ${in4(40000)}, 16) = 0`,
		"listen(3, 5) = 0",
		"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
		`connect(4, ${in4(40000)}, 16) = 0`,
		`accept4(3, NULL, NULL, SOCK_NONBLOCK) = 5`,
	];
	const recv = (fd: number, size: number, result: number | string) =>
		`recvfrom(${fd}, "", ${size}, MSG_DONTWAIT, NULL, NULL) = ${result}`;
	const send = (fd: number, result: number | string) =>
		`sendto(${fd}, "abc", 3, MSG_NOSIGNAL, NULL, 0) = ${result}`;

	it("without a connection has no data, whoever else uses the host", () => {
		for (const alone of [false, true]) {
			expect(play([...fresh, recv(3, 1, NOTCONN)], false, alone)).toEqual([]);
			expect(play([...fresh, recv(3, 1, AGAIN)], false, alone)).toEqual([
				"2 mismatch: the kernel says EAGAIN, the model ENOTCONN",
			]);
			expect(play([...fresh, send(3, 3)], false, alone)).toEqual([
				"2 mismatch: the kernel says 3, the model EPIPE",
			]);
		}
	});

	it("ends after the last byte and the FIN", () => {
		const end = [send(4, 3), "shutdown(4, SHUT_WR) = 0"];
		const all = [recv(5, 2, 2), recv(5, 2, 1), recv(5, 2, 0)];
		expect(play([...pair, ...end, ...all], true)).toEqual([]);
		expect(play([...pair, ...end, recv(5, 2, 0)], true)).toEqual([
			"9 mismatch: the kernel says 0, the model 2",
		]);
		expect(play([...pair, recv(5, 2, 0)], true)).toEqual([
			"7 mismatch: the kernel says 0, the model EAGAIN",
		]);
	});

	it("that this side has shut down does not send", () => {
		const shut = [...pair, "shutdown(4, SHUT_WR) = 0"];
		expect(play([...shut, send(4, "-1 EPIPE (Broken pipe)")], false)).toEqual([]);
		expect(play([...shut, send(4, 3)], false)).toEqual([
			"8 mismatch: the kernel says 3, the model EPIPE",
		]);
	});

	it("may be reset by a peer that did not read, at a time that no line shows", () => {
		const RESET = "-1 ECONNRESET (Connection reset by peer)";
		const closed = [...pair, send(4, 3), "close(5) = 0"];
		expect(play([...closed, recv(4, 1, RESET)], true)).toEqual([]);
		expect(play([...pair, send(4, RESET)], true)).toHaveLength(1);
		expect(play([...pair, send(4, RESET)], false)).toEqual([
			expect.stringMatching(/^7 undecided: the recording does not show when a RST/),
		]);
	});
});

// A kernel without CCID 3 (6.8.0, 6.10-rc5) sends two packets and waits for an acknowledgement. Stock
// kernels of Debian (6.1, 6.12) send the third at once.
describe("a packet of DCCP that is not there yet", () => {
	const name = '{sa_family=AF_INET, sin_port=htons(5000), sin_addr=inet_addr("127.0.0.1")}, 16';
	const text = (last: string) => `
socket(AF_INET, SOCK_DCCP|SOCK_NONBLOCK, IPPROTO_DCCP) = 3
bind(3, ${name}) = 0
listen(3, 3) = 0
socket(AF_INET, SOCK_DCCP|SOCK_NONBLOCK, IPPROTO_DCCP) = 4
connect(4, ${name}) = -1 EINPROGRESS
accept4(3, NULL, NULL, SOCK_NONBLOCK) = 5
sendto(4, "storm", 1, MSG_NOSIGNAL, NULL, 0) = 1
sendto(4, "storm", 2, MSG_NOSIGNAL, NULL, 0) = 2
recvfrom(5, "s", 2, MSG_DONTWAIT, NULL, NULL) = 1
${last}
recvfrom(5, "st", 2, MSG_DONTWAIT, NULL, NULL) = 2
`;
	const verdictsOf = (last: string) =>
		playScript(readScript(text(last), "dccp.strace"), { version: "6.10", alone: true }).map(
			({ verdict }) => verdict,
		);

	it("may be held back by the congestion control, and stays to be received", () => {
		const verdicts = verdictsOf("recvfrom(5, NULL, 2, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN");
		expect(verdicts.slice(-2)).toEqual(["undecided", "match"]);
	});

	it("cannot have arrived if nobody sent it", () => {
		const verdicts = verdictsOf('recvfrom(5, "sto", 3, MSG_DONTWAIT, NULL, NULL) = 3');
		expect(verdicts.at(-2)).toBe("mismatch");
	});
});

// Samba's tools ask 127.255.255.255. The model delivers no broadcasts.
describe("a datagram to a broadcast address of the host", () => {
	const at = (port: number, address: string) =>
		`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}`;
	const text = (to: string) => `
socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
bind(3, ${at(137, "0.0.0.0")}, 16) = 0
socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 4
setsockopt(4, SOL_SOCKET, SO_BROADCAST, [1], 4) = 0
sendto(4, "hello", 5, 0, ${at(137, to)}, 16) = 5
recvfrom(3, "hello", 5, 0, ${at(33497, "127.0.0.1")}, [16]) = 5
read(3, "hello", 5) = 5
`;
	const playTo = (to: string, change = (lines: string) => lines) =>
		playScript(readScript(change(text(to)), "nmb.strace"), { version: "6.18.44", alone: true });
	const verdictsOf = (to: string) => playTo(to).map(({ verdict }) => verdict);

	it("may have reached any socket", () => {
		const outcomes = playTo("127.255.255.255").slice(-2);
		expect(outcomes.map(({ verdict }) => verdict)).toEqual(["undecided", "undecided"]);
		expect(outcomes[0]?.reason).toBe(
			"line 6 sends a multicast or broadcast datagram, whose receivers the model does not have",
		);
	});

	it("has reached nobody if its send failed", () => {
		const failing = (lines: string) =>
			lines
				.replace(/^setsockopt.*$/m, "getpid() = 1")
				.replace("16) = 5", "16) = -1 EACCES (Permission denied)");
		expect(playTo("127.255.255.255", failing).at(-1)?.verdict).toBe("mismatch");
	});

	it("is nothing that another address has", () => {
		expect(verdictsOf("127.0.0.3").at(-1)).toBe("mismatch");
	});
});

// Recorded on 6.18.44. A closed member of the group had the first datagram.
describe("a datagram to a member of a group that is closed", () => {
	const at = (port: number) =>
		`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}, 16`;
	const member = (fd: number) => `socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = ${fd}
setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(${fd}, ${at(45000)}) = 0`;
	const sent = (fd: number, size: number) => `socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = ${fd}
sendto(${fd}, "storm", ${size}, 0, ${at(45000)}) = ${size}`;
	const mismatches = (lines: string[]) =>
		playScript(readScript(`${lines.join("\n")}\n`, "group.strace"), {
			version: "6.18.44",
			alone: true,
			settled: true,
		}).filter(({ verdict }) => verdict === "mismatch");
	const received = 'recvfrom(4, "sto", 16, MSG_DONTWAIT, NULL, NULL) = 3';

	it("may be gone, so another member returns a later one first", () => {
		for (let port = 0; port < 8; port++) {
			// More sockets draw more numbers, so the model may choose the other member.
			const others = Array.from({ length: port }, (_, i) => sent(20 + i, 0)).map((line) =>
				line.replace(/\nsendto.*/, ""),
			);
			const lines = [
				...others,
				member(4),
				member(6),
				sent(7, 1),
				"close(6) = 0",
				sent(6, 3),
				received,
			];
			expect(mismatches(lines)).toEqual([]);
		}
	});

	it("is not gone if no member was closed", () => {
		const lines = [member(4), sent(7, 1), sent(6, 3), received];
		expect(mismatches(lines)).toHaveLength(1);
	});
});

describe("a datagram of one of several sockets whose ports no line shows", () => {
	// The sockets connect, which chooses their ports.
	const text = (first: string, second: string, from: number) => `
socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 3
bind(3, ${in4(5301)}, 16) = 0
socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 4
connect(4, ${in4(5301)}, 16) = 0
socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 5
connect(5, ${in4(5301)}, 16) = 0
sendto(5, ${first}, 24, 0, NULL, 0) = 24
sendto(4, ${second}, 24, 0, NULL, 0) = 24
recvfrom(3, ${first}, 512, 0, ${in4(40001)}, [16]) = 24
sendto(3, "answer", 6, 0, ${in4(40001)}, 16) = 6
recvfrom(${from}, "answer", 512, 0, NULL, NULL) = 6
${READ}`;

	it("is that of the socket that sent the same data", () => {
		const [a, b] = ['"\\0\\10\\1\\0"...', '"\\0\\t\\1\\0"...'];
		expect(play([text(a, b, 5)], false)).toEqual([]);
		expect(play([text(a, b, 4)], false).join()).toMatch(/^12 (undecided|mismatch)/);
	});

	it("may be that of any of them if the data is the same, or is not printed", () => {
		for (const data of ['"\\0\\t\\1\\0"...', '""...']) {
			expect(play([text(data, data, 5)], false).join()).toMatch(/^10 undecided/);
		}
	});
});
