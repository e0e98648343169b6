// SPDX-License-Identifier: GPL-2.0-or-later
/** Groups of SO_REUSEPORT: members outside the recording, and many clients of a listener that closes. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4, left } from "../text.js";

const leftOf = (text: string, alone: boolean) =>
	left(playScript(readScript(text, "recording"), { version: "6.18.44", alone }));

const listener = (fd: number) => `socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}
setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(${fd}, ${in4(8000)}, 16) = 0
listen(${fd}, 100) = 0
`;
const client = (fd: number, port: number) => `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = ${fd}
connect(${fd}, ${in4(8000)}, 16) = 0
getsockname(${fd}, ${in4(port)}, [128 => 16]) = 0
`;
const reads = 'read(0, "", 1) = 0\n';

it("a member outside the recording may have the client that accept() does not find", () => {
	const text = `${listener(3)}${client(4, 40000)}accept4(3, NULL, NULL, 0) = -1 EAGAIN (Resource temporarily unavailable)
close(3) = 0
getpeername(4, ${in4(8000)}, [128 => 16]) = 0
${reads}`;
	const why = "a listener outside the recording may share the port, and have the connection";
	expect(leftOf(text, false)).toEqual([`8 undecided: ${why}`, `10 undecided: ${why}`]);
	expect(leftOf(text, true)[0]).toMatch(/^8 mismatch/);
});

it("of many clients that wait at a listener that closes, each is lost or with the other member", () => {
	const count = 32;
	let text = listener(3) + listener(4);
	for (let i = 0; i < count; i++) text += client(10 + i, 40000 + 2 * i);
	text += "close(3) = 0\n";
	for (let i = 0; i < count; i++) {
		const name = `getpeername(${10 + i}, `;
		text +=
			i % 3 === 0
				? `${name}0x7ffd00000000, [128]) = -1 ENOTCONN (Transport endpoint is not connected)\n`
				: `${name}${in4(8000)}, [128 => 16]) = 0\n`;
	}
	expect(leftOf(text + reads, true)).toEqual([]);
});
