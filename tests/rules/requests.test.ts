// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Between the second and the third segment of a handshake: requests. The third segment may come
 * late or be a RST. It may be ignored while the listener waits for data or its queue is full.
 */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { errnoName } from "../../kernel-model/index.js";

const ADDRESS = '{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}';

/** Descriptors: a listener on port 8080 is 3. */
function listener(backlog: number, ...options: string[]): string[] {
	return [
		"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP)",
		...options.map((option) => `setsockopt(3, SOL_TCP, ${option}, 4)`),
		`bind(3, ${ADDRESS}, 16)`,
		`listen(3, ${backlog})`,
	];
}

function client(fd: number, ...options: string[]): string[] {
	return [
		"socket(AF_INET, SOCK_STREAM, IPPROTO_IP)",
		...options.map((option) => `setsockopt(${fd}, SOL_TCP, ${option}, 4)`),
		`connect(${fd}, ${ADDRESS}, 16)`,
	];
}

const ACCEPT = "accept4(3, NULL, NULL, SOCK_NONBLOCK)";
const NO_ACK = "TCP_QUICKACK, [0]";

/** The results of the calls of a script that have one of the names. */
function results(lines: readonly string[], names: readonly string[] = ["accept4"]): string[] {
	const script = readScript(lines.join("\n"), "script");
	return playScript(script, { version: "6.18.44" })
		.filter(({ call }) => names.includes(call))
		.map(({ result }) => (result === null ? "?" : result < 0 ? errnoName(-result) : `${result}`));
}

describe("a client that keeps its third segment back (TCP_QUICKACK 0 before connect)", () => {
	it("is accepted after 200 ms, when the segment comes", () => {
		const lines = [...listener(5), ...client(4, NO_ACK), ACCEPT, "$ sleep 0.3", ACCEPT];
		expect(results(lines)).toEqual(["EAGAIN", "5"]);
	});

	it("is accepted when it sends data", () => {
		const sends = 'sendto(4, "x", 1, MSG_NOSIGNAL, NULL, 0) = 1';
		const lines = [...listener(5), ...client(4, NO_ACK), sends, ACCEPT];
		expect(results(lines)).toEqual(["5"]);
	});

	it("is accepted when it shuts down", () => {
		const lines = [...listener(5), ...client(4, NO_ACK), "shutdown(4, SHUT_WR)", ACCEPT];
		expect(results(lines)).toEqual(["5"]);
	});

	it("is accepted when it turns TCP_QUICKACK on again", () => {
		const on = "setsockopt(4, SOL_TCP, TCP_QUICKACK, [1], 4)";
		const lines = [...listener(5), ...client(4, NO_ACK), ACCEPT, on, ACCEPT];
		expect(results(lines)).toEqual(["EAGAIN", "5"]);
	});

	it("is never accepted if it resets the connection, as haproxy's health check does", () => {
		const linger = "setsockopt(4, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=0}, 8)";
		const check = [...client(4, NO_ACK), linger, "close(4)", ACCEPT, "$ sleep 2", ACCEPT];
		expect(results([...listener(5), ...check])).toEqual(["EAGAIN", "EAGAIN"]);
	});

	it("is reset when its segment comes if the listener has closed before", () => {
		const lines = [...listener(5), ...client(4, NO_ACK), "close(3)", "$ sleep 0.3"];
		expect(results([...lines, "getpeername(4, NULL, [16])"], ["getpeername"])).toEqual([
			"ENOTCONN",
		]);
	});
});

describe("TCP_DEFER_ACCEPT", () => {
	const DEFER = "TCP_DEFER_ACCEPT, [1]";

	it("hides a client from accept() until the client sends data or a FIN", () => {
		for (const call of ['sendto(4, "x", 1, 0, NULL, 0) = 1', "shutdown(4, SHUT_WR)"]) {
			const lines = [...listener(5, DEFER), ...client(4), ACCEPT, call, ACCEPT];
			expect(results(lines)).toEqual(["EAGAIN", "5"]);
		}
	});

	it("lets accept() return a client whose time is over", () => {
		const lines = [...listener(5, DEFER), ...client(4), "$ sleep 0.5", ACCEPT];
		expect(results([...lines, "$ sleep 0.8", ACCEPT])).toEqual(["EAGAIN", "5"]);
	});

	it("reads back as the seconds that the retransmits of a SYN-ACK take", () => {
		const get = "getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [0], [4]) = 0";
		const script = readScript([...listener(5, "TCP_DEFER_ACCEPT, [10]"), get].join("\n"), "script");
		const value = playScript(script).at(-1)?.value;
		expect([...(value ?? [])]).toEqual([15, 0, 0, 0]);
	});
});

describe("TCP_DEFER_ACCEPT of a long time", () => {
	it("keeps a client that has acknowledged longer than the retransmits of a SYN-ACK", () => {
		const lines = [...listener(5, "TCP_DEFER_ACCEPT, [100]"), ...client(4)];
		const accepts = ["$ sleep 100", ACCEPT, "$ sleep 30", ACCEPT];
		expect(results([...lines, ...accepts])).toEqual(["EAGAIN", "5"]);
	});

	it("reads back as at most 255 retransmits", () => {
		const get = "getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [0], [4]) = 0";
		const lines = [...listener(5, "TCP_DEFER_ACCEPT, [2147483647]"), get];
		const value = playScript(readScript(lines.join("\n"), "script")).at(-1)?.value;
		expect([...(value ?? [])]).toEqual([0xbf, 0x74, 0, 0]); // 29887 s
	});
});

describe("a full accept queue", () => {
	it("keeps a request whose third segment came, and accepts it after the SYN-ACK is sent again", () => {
		const lines = [...listener(1), ...client(4, NO_ACK), ...client(5), ...client(6)];
		const accepts = ["$ sleep 0.3", ACCEPT, ACCEPT, ACCEPT, "$ sleep 1", ACCEPT];
		expect(results([...lines, ...accepts])).toEqual(["7", "8", "EAGAIN", "9"]);
	});

	it("keeps a request for as many SYN-ACKs as TCP_SYNCNT of the listener says, if it is set", () => {
		const answers = (...options: string[]) => {
			const lines = [...listener(1, ...options), ...client(4, NO_ACK), ...client(5), ...client(6)];
			return results([...lines, "$ sleep 3.5", ACCEPT, ACCEPT, "$ sleep 4.5", ACCEPT]);
		};
		expect(answers()).toEqual(["7", "8", "9"]);
		expect(answers("TCP_SYNCNT, [1]")).toEqual(["7", "8", "EAGAIN"]);
	});
});

describe("a full queue of requests", () => {
	it("makes the listener send SYN cookies, so TCP_DEFER_ACCEPT has no effect on further clients", () => {
		const lines = [...listener(1, "TCP_DEFER_ACCEPT, [100]"), ...client(4), ...client(5)];
		expect(results([...lines, ACCEPT])).toEqual(["EAGAIN"]);
		expect(results([...lines, ...client(6), ACCEPT, ACCEPT])).toEqual(["7", "EAGAIN"]);
	});
});

describe("TCP_LINGER2", () => {
	const bind =
		'bind(4, {sa_family=AF_INET, sin_port=htons(42000), sin_addr=inet_addr("127.0.0.1")}, 16)';
	/** A client on port 42000 that closes first, and the result of a later bind() to its port. */
	const closes = (value: number, seconds: number) => [
		...listener(5),
		"socket(AF_INET, SOCK_STREAM, IPPROTO_IP)",
		bind,
		`setsockopt(4, SOL_TCP, TCP_LINGER2, [${value}], 4)`,
		`connect(4, ${ADDRESS}, 16)`,
		ACCEPT,
		"close(4)",
		`$ sleep ${seconds}`,
		"socket(AF_INET, SOCK_STREAM, IPPROTO_IP)",
		bind,
	];

	it("sets how long an orphan in FIN_WAIT2 keeps its port", () => {
		expect(results(closes(1, 0.5), ["bind"])).toEqual(["0", "0", "EADDRINUSE"]);
		expect(results(closes(1, 2), ["bind"])).toEqual(["0", "0", "0"]);
		expect(results(closes(0, 2), ["bind"])).toEqual(["0", "0", "EADDRINUSE"]);
	});

	it("below 0 ends the connection when the peer has received the FIN", () => {
		expect(results(closes(-7, 0.1), ["bind"])).toEqual(["0", "0", "0"]);
	});
});
