// SPDX-License-Identifier: GPL-2.0-or-later
/** TCP fast open in recordings. */
import { describe, expect, it } from "vitest";
import { readScript } from "../../kernel-model/check/player.js";
import { playScript } from "../../kernel-model/check/ways.js";
import { in4 } from "../text.js";

const LISTENER = [
	"$ ip link set lo up",
	"$ sysctl -w net.ipv4.tcp_fastopen=3",
	"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 3",
	`bind(3, ${in4(8000)}, 16) = 0`,
	"listen(3, 5) = 0",
	"setsockopt(3, SOL_TCP, TCP_FASTOPEN, [5], 4) = 0",
];
/** A client gets a cookie and is accepted. */
const COOKIE = [
	"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
	`sendto(4, "x", 1, MSG_FASTOPEN, ${in4(8000)}, 16) = 1`,
	`accept4(3, ${in4(40000)}, [16], 0) = 5`,
	"close(5) = 0",
	"close(4) = 0",
];

function differences(lines: string[], options = {}): string[] {
	return playScript(readScript(lines.join("\n"), "recording"), { version: "6.18.44", ...options })
		.filter(({ verdict }) => verdict === "mismatch" || verdict === "undecided")
		.map(({ verdict, text, reason }) => `${verdict}: ${text}: ${reason}`);
}

describe("a recording with TCP fast open", () => {
	it("shows the port of sendto(MSG_FASTOPEN) by getsockname() and by accept()", () => {
		const send = (fd: number) => [
			`socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = ${fd}`,
			`sendto(${fd}, "x", 1, MSG_FASTOPEN, ${in4(8000)}, 16) = 1`,
		];
		const lines = [
			...LISTENER,
			...send(4),
			`getsockname(4, ${in4(33086)}, [16]) = 0`,
			`accept4(3, ${in4(33086)}, [16], 0) = 5`,
			...send(6),
			`accept4(3, ${in4(33102)}, [16], 0) = 7`,
		];
		expect(differences(lines)).toEqual([]);
		expect(
			playScript(readScript(lines.join("\n"), "recording"), { version: "6.18.44" }).filter(
				({ call, verdict }) => call === "sendto" && verdict === "match",
			),
		).toHaveLength(2);
		const other = [...lines, "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 8"];
		other.push(`bind(8, ${in4(33102)}, 16) = 0`);
		expect(differences(other)[0]).toMatch(/^mismatch: bind\(8/);
	});

	it("sends with sendmsg() as with sendto()", () => {
		const lines = [
			...LISTENER,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
			`sendmsg(4, {msg_name=${in4(8000)}, msg_namelen=16, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, MSG_FASTOPEN|MSG_NOSIGNAL) = 1`,
			`accept4(3, ${in4(33086)}, [16], 0) = 5`,
			`getsockname(4, ${in4(33086)}, [16]) = 0`,
		];
		expect(differences(lines)).toEqual([]);
	});

	it("connects with the first send after a connect() that was deferred", () => {
		const lines = [
			...LISTENER,
			...COOKIE,
			"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 4",
			"setsockopt(4, SOL_TCP, TCP_FASTOPEN_CONNECT, [1], 4) = 0",
			`connect(4, ${in4(8000)}, 16) = 0`,
			"accept4(3, NULL, NULL, 0) = -1 EAGAIN",
			`connect(4, ${in4(8000)}, 16) = -1 EISCONN`,
			`write(4, "xy", 2) = 2`,
			`accept4(3, ${in4(40002)}, [16], 0) = 5`,
			`getsockname(4, ${in4(40002)}, [16]) = 0`,
		];
		expect(differences(lines)).toEqual([]);
		const early = lines.filter((line) => !line.startsWith("write"));
		expect(differences(early)[0]).toMatch(/^mismatch: accept4\(3/);
	});

	it("tells of a refusal after a send with a cookie, where no line shows O_NONBLOCK", () => {
		const lines = [
			...LISTENER,
			...COOKIE,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
			`sendto(4, "x", 1, MSG_FASTOPEN, ${in4(9)}, 16) = 1`,
			`sendto(4, "x", 1, MSG_FASTOPEN, ${in4(9)}, 16) = -1 ECONNREFUSED`,
		];
		expect(differences(lines)).toEqual([]);
	});

	it("may use cookies from before it began, and of other hosts", () => {
		const far = "198.51.100.7";
		const deferred = (address: string) => [
			"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 4",
			"setsockopt(4, SOL_TCP, TCP_FASTOPEN_CONNECT, [1], 4) = 0",
			`connect(4, ${in4(443, address)}, 16) = 0`,
			`getpeername(4, 0x7ffd1, [16]) = -1 ENOTCONN`,
			`write(4, "xy", 2) = 2`,
		];
		expect(differences(deferred("127.0.0.1"), { alone: false })).toEqual([]);
		const setUp = ["$ ip link set lo up", `$ ip route add ${far} dev lo`];
		const here = ["$ ip addr add 192.0.2.1/32 dev lo"];
		expect(differences([...setUp, ...here, ...deferred(far)], { alone: true })).toEqual([]);
		expect(differences([...setUp, ...deferred("127.0.0.1")], { alone: true })[0]).toMatch(
			/^mismatch: connect\(4.*the kernel says 0/,
		);
	});

	it("learns net.ipv4.tcp_fastopen of a host that is not known", () => {
		const option = (result: string) => [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
			`setsockopt(4, SOL_TCP, TCP_FASTOPEN_CONNECT, [1], 4) = ${result}`,
			`sendto(4, "x", 1, MSG_FASTOPEN, ${in4(9)}, 16) = -1 EOPNOTSUPP`,
		];
		expect(differences(option("-1 EOPNOTSUPP"), { alone: false })).toEqual([]);
		expect(differences(option("-1 EOPNOTSUPP"), { alone: true })).toHaveLength(2);
	});

	it("sets O_NONBLOCK by ioctl(FIONBIO)", () => {
		const lines = [
			...LISTENER,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4",
			"ioctl(4, FIONBIO, [1]) = 0",
			`sendto(4, "", 0, MSG_FASTOPEN, ${in4(8000)}, 16) = -1 EINPROGRESS`,
			"setsockopt(4, SOL_TCP, TCP_FASTOPEN_CONNECT, [1], 4) = -1 EINVAL",
		];
		expect(differences(lines)).toEqual([]);
	});

	it("chooses a port anew after a send that returned the error of a connect()", () => {
		const lines = [
			'$ sysctl -w net.ipv4.ip_local_port_range="40000 40015"',
			"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3",
			`connect(3, ${in4(9)}, 16) = -1 EINPROGRESS`,
			`getsockname(3, ${in4(40002)}, [16]) = 0`,
			'sendto(3, "abc", 3, MSG_FASTOPEN, NULL, 0) = -1 ECONNREFUSED',
			`connect(3, ${in4(9)}, 16) = -1 EINPROGRESS`,
			`getsockname(3, ${in4(40006)}, [16]) = 0`,
		];
		expect(differences(lines, { alone: true })).toEqual([]);
	});
});
