// SPDX-License-Identifier: GPL-2.0-or-later
/** Check mode moves a connection that accept() returned to the front of its queue. */
import { describe, expect, it } from "vitest";
import { AcceptQueues } from "../../kernel-model/check/accept_queues.js";
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
