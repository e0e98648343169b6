// SPDX-License-Identifier: GPL-2.0-or-later
/** Check mode moves a connection that accept() returned to the front of its queue. */
import { describe, expect, it } from "vitest";
import { AcceptQueues } from "../../kernel-model/check/accept_queues.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { World } from "../world.js";

describe("a connection taken from an accept queue", () => {
	for (const [place, port] of [
		["the front", 6001],
		["the middle", 6002],
		["the end", 6003],
	] as const) {
		it(`from ${place} leaves the others linked in their order`, () => {
			const world = new World();
			const listener = world.bound("L 127.0.0.1:5000");
			const client = (from: number) => {
				const fd = world.bound(`127.0.0.1:${from}`);
				expect(world.connect(fd, "127.0.0.1:5000")).toBe(0);
			};
			for (const from of [6001, 6002, 6003]) client(from);
			const address = { family: "AF_INET", address: "127.0.0.1", port } as const;
			new AcceptQueues(world.kernel).adopt(world.sk(listener), address);
			client(6004);
			const peers = [1, 2, 3, 4].map(() => world.peer(world.accepted(listener)));
			const rest = [6001, 6002, 6003, 6004].filter((from) => from !== port);
			expect(peers).toEqual([port, ...rest].map((from) => `127.0.0.1:${from}`));
			expect(world.accept(listener)).toBe("EAGAIN");
			world.check();
		});
	}
});

it("an MPTCP client that connected twice from one port was accepted in the order of its connections", () => {
	const at = (port: number) =>
		`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}`;
	const nonblock = "SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP";
	const text = `socket(AF_INET, ${nonblock}) = 3
bind(3, ${at(5000)}, 16) = 0
listen(3, 3) = 0
socket(AF_INET, ${nonblock}) = 4
bind(4, ${at(4000)}, 16) = 0
connect(4, ${at(5000)}, 16) = -1 EINPROGRESS
connect(4, {sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}, 16) = 0
connect(4, ${at(5000)}, 16) = -1 EINPROGRESS
accept4(3, ${at(4000)}, [16], SOCK_NONBLOCK) = 5
getpeername(5) = -1 ENOTCONN
accept4(3, ${at(4000)}, [16], SOCK_NONBLOCK) = 6
getpeername(6, ${at(4000)}, [16]) = 0`;
	const outcomes = playScript(readScript(text, "recording"), { version: "6.18.44", alone: true });
	expect(outcomes.filter(({ verdict }) => verdict !== "match")).toEqual([]);
});
