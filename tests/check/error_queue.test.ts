// SPDX-License-Identifier: GPL-2.0-or-later
/** Reads from the error queue, and pointers that strace prints as numbers. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/index.js";

const ADDRESS = '{sa_family=AF_INET, sin_port=htons(123), sin_addr=inet_addr("127.0.0.1")}';

/** The verdicts of the calls with a name. */
function verdicts(lines: readonly string[], name: string): string[] {
	const script = readScript(lines.join("\n"), "recording.strace");
	return playScript(script, { version: "6.18.44", alone: true })
		.filter(({ call }) => call === name)
		.map(({ verdict, reason }) => (reason === null ? verdict : `${verdict}: ${reason}`));
}

describe("MSG_ERRQUEUE", () => {
	// chrony 4.3 asks a server that does not exist, with time stamps of sent packets.
	const asks = (option: string, error: string) => [
		"1 100.000000 socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_IP) = 3",
		`1 100.000100 setsockopt(3, ${option}, 4) = 0`,
		`1 100.000200 connect(3, ${ADDRESS}, 16) = 0`,
		'1 100.000300 sendto(3, "x", 1, 0, NULL, 0) = 1',
		'1 100.000400 recvmsg(3, {msg_name=0x55a41e2d4380, msg_namelen=112 => 0, msg_iov=[{iov_base="x", iov_len=100}], msg_iovlen=1, msg_controllen=0, msg_flags=MSG_ERRQUEUE}, MSG_ERRQUEUE) = 1',
		"1 100.000500 recvmmsg(3, 0x55a41e2d2f10, 16, MSG_ERRQUEUE, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
		`1 100.000600 getsockopt(3, SOL_SOCKET, SO_ERROR, [${error}], [4]) = 0`,
	];

	it("leaves the pending error where it is", () => {
		const stamps = "SOL_SOCKET, SO_TIMESTAMPING_OLD, [1050]";
		expect(verdicts(asks(stamps, "ECONNREFUSED"), "getsockopt")).toEqual(["match"]);
		expect(verdicts(asks(stamps, "0"), "getsockopt")[0]).toMatch(/^mismatch/);
	});

	it("takes the error that IP_RECVERR put into the queue", () => {
		expect(verdicts(asks("SOL_IP, IP_RECVERR, [1]", "0"), "getsockopt")).toEqual(["match"]);
	});
});

describe("a datagram", () => {
	it("stays in its queue while a program looks into the error queue", () => {
		const to = '{sa_family=AF_INET, sin_port=htons(3478), sin_addr=inet_addr("127.0.0.1")}';
		const from = '{sa_family=AF_INET, sin_port=htons(50207), sin_addr=inet_addr("127.0.0.1")}';
		const recording = [
			"9 1.10 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3",
			"9 1.11 setsockopt(3, SOL_IP, IP_RECVERR, [1], 4) = 0",
			`9 1.12 bind(3, ${to}, 16) = 0`,
			"9 1.13 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 4",
			`9 1.14 bind(4, ${from}, 16) = 0`,
			`9 1.15 sendto(4, "x", 1, 0, ${to}, 16) = 1`,
			"9 1.16 recvmsg(3, {msg_namelen=16}, MSG_DONTWAIT|MSG_ERRQUEUE) = -1 EAGAIN (Resource temporarily unavailable)",
			`9 1.17 recvmsg(3, {msg_name=${from}, msg_namelen=16, msg_iov=[{iov_base="x", iov_len=16384}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, MSG_DONTWAIT) = 1`,
			`9 1.18 recvmsg(3, {msg_name=${from}, msg_namelen=16, msg_iov=[{iov_base="y", iov_len=16384}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, MSG_DONTWAIT) = 1`,
			"9 1.19 read(4, 0x7ffe00000000, 1) = -1 EFAULT (Bad address)",
		];
		const [first, second] = verdicts(recording, "recvmsg").slice(1);
		expect(first).toBe("match");
		// The proof of a message that nobody sent reads its header.
		expect(second).toMatch(/^mismatch: the kernel says 1, the model EAGAIN/);
	});
});

describe("an option value that strace prints as a pointer", () => {
	const set = (length: number, result: string) => [
		"1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
		`1 setsockopt(3, SOL_SOCKET, SO_LINGER, 0x7ffd6b8b7964, ${length}) = ${result}`,
	];

	it("may be shorter than its option: rinetd's SO_LINGER", () => {
		const einval = set(4, "-1 EINVAL (Invalid argument)");
		expect(verdicts(einval, "setsockopt")).toEqual(["match"]);
		expect(verdicts(set(4, "0"), "setsockopt")[0]).toMatch(/^mismatch/);
	});

	it("may be nowhere in memory", () => {
		const efault = set(8, "-1 EFAULT (Bad address)");
		expect(verdicts(efault, "setsockopt")).toEqual(["match"]);
	});
});
