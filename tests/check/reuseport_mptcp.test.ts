// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A reuseport group of a TCP and an MPTCP listener. A secret decides which of them gets the
 * connection of an MPTCP client. The client shows it: after a fallback it has the options of TCP.
 */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

const ADDRESS = '{sa_family=AF_INET, sin_port=htons(5000), sin_addr=inet_addr("127.0.0.1")}, 16';

function listener(fd: number, protocol: string): string {
	return `
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, ${protocol}) = ${fd}
setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(${fd}, ${ADDRESS}) = 0
listen(${fd}, 8) = 0`;
}

function client(fd: number, fellBack: boolean): string {
	const shown = fellBack ? ", [120000], [4]) = 0" : ", 0x7ffc, [4]) = -1 EOPNOTSUPP";
	return `
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP) = ${fd}
connect(${fd}, ${ADDRESS}) = -1 EINPROGRESS
getsockopt(${fd}, SOL_TCP, TCP_RTO_MAX_MS${shown}`;
}

function verdicts(text: string): string[] {
	return playScript(readScript(text, "group.strace"), { version: "6.18.44" }).map(
		({ verdict }) => verdict,
	);
}

describe("a reuseport group of TCP and MPTCP listeners", () => {
	for (let answers = 0; answers < 8; answers++) {
		it(`may give clients to either of them (${answers.toString(2).padStart(3, "0")})`, () => {
			let text = listener(3, "IPPROTO_TCP") + listener(4, "IPPROTO_MPTCP");
			for (let i = 0; i < 3; i++) text += client(5 + i, ((answers >> i) & 1) === 1);
			expect(new Set(verdicts(`${text}\n`))).toEqual(new Set(["match"]));
		});
	}

	it("cannot make a client fall back if all listeners are of MPTCP", () => {
		const text = `${listener(3, "IPPROTO_MPTCP")}${listener(4, "IPPROTO_MPTCP")}${client(5, true)}\n`;
		expect(verdicts(text).at(-1)).toBe("mismatch");
	});
});
