// SPDX-License-Identifier: GPL-2.0-or-later
/** Addresses that the kernel copies to the program: net/socket.c: move_addr_to_user. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4 } from "../text.js";

const CONNECTED = [
	"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
	`bind(3, ${in4(5000, "127.0.0.1")}, 16) = 0`,
	"listen(3, 5) = 0",
	"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
	`connect(4, ${in4(5000, "127.0.0.1")}, 16) = 0`,
];

function played(lines: readonly string[], explain = false) {
	return playScript(readScript(lines.join("\n"), "f"), { version: "6.18.44", explain });
}
const differing = (lines: readonly string[]) =>
	played([...CONNECTED, ...lines])
		.filter(({ verdict }) => verdict !== "match")
		.map(({ text }) => text);

describe("accept4()", () => {
	const EMPTY = [
		"fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0",
		"accept4(3, NULL, NULL, 0) = -1 EAGAIN (Resource temporarily unavailable)",
	];

	it.each([
		["a negative length", "{sa_family=AF_UNSPEC}, [-1], 0) = -1 EINVAL (Invalid argument)"],
		["a bad address", "0x1000, [16], 0) = -1 EFAULT (Bad address)"],
		["no length", "0x7ffd0000, NULL, 0) = -1 EFAULT (Bad address)"],
	])("loses the connection if the program passes %s", (_, rest) => {
		expect(
			differing([`accept4(3, ${rest}`, ...EMPTY]).filter((text) => /accept/.test(text)),
		).toEqual([]);
	});

	it("needs no length if the program wants no address", () => {
		expect(differing(["accept4(3, NULL, [-1], 0) = 5"])).toEqual([]);
	});

	it("says why the address cannot be copied", () => {
		const lines = [...CONNECTED, "accept4(3, {sa_family=AF_UNSPEC}, [-1], 0)"];
		const explanation = played(lines, true).at(-1)?.explanation ?? [];
		expect(explanation.join("\n")).toContain(
			"move_addr_to_user: the length of the memory for the address is -1",
		);
	});
});

describe("getsockname() and getpeername()", () => {
	it.each(["getsockname", "getpeername"])("%s() refuses a negative length", (name) => {
		expect(
			differing([
				`${name}(4, 0x7ffd0000, [-1]) = -1 EINVAL (Invalid argument)`,
				`${name}(4, 0x7ffd0000, NULL) = -1 EFAULT (Bad address)`,
			]),
		).toEqual([]);
	});

	it("getpeername() looks for the peer before it looks at the length", () => {
		expect(
			differing([
				"getpeername(3, 0x7ffd0000, [-1]) = -1 ENOTCONN (Transport endpoint is not connected)",
			]),
		).toEqual([]);
	});
});
