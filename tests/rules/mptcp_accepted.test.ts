// SPDX-License-Identifier: GPL-2.0-or-later
/** MPTCP sockets that accept() made. Confirmed on 6.18.44. */
import { describe, expect, it } from "vitest";
import { EAGAIN } from "../../include/uapi/asm-generic/errno.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";

const NAME = '{sa_family=AF_INET, sin_port=htons(5000), sin_addr=inet_addr("127.0.0.1")}, 16';
const SCRIPT = `
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP)
bind(3, ${NAME})
listen(3, 3)
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP)
connect(4, ${NAME})
accept4(3, NULL, NULL, SOCK_NONBLOCK)
connect(5, {sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}, 16)
listen(5, 3)
accept4(5, NULL, NULL, SOCK_NONBLOCK)
`;

describe("an MPTCP socket that accept() made", () => {
	// mptcp_stream_accept: since 6.6 (3f326a821b99) only the first subflow has to listen.
	it("accepts connections once it is disconnected and listens", () => {
		const played = playScript(readScript(SCRIPT, "accepted.strace"), { version: "6.18.44" });
		expect(played.slice(-2).map(({ result }) => result)).toEqual([0, -EAGAIN]);
	});
});
