// SPDX-License-Identifier: GPL-2.0-or-later
/** The size of a reuseport group. */
import { describe, expect, it } from "vitest";
import { ENOMEM } from "../../include/uapi/asm-generic/errno.js";
import { AF_INET } from "../../kernel-model/index.js";
import { addressOf, World } from "../world.js";

describe("a reuseport group", () => {
	it("has at most 32,768 listeners, and the next listen() fails and leaves the socket closed", () => {
		const world = new World();
		const { task } = world;
		const to = addressOf("127.0.0.1:5000");
		for (let i = 0; i < 32_768; i++) {
			const fd = world.socket(AF_INET, "P");
			task.bind(fd, to);
			const err = task.listen(fd, 1);
			if (err !== 0) expect([i, err]).toEqual([i, 0]);
		}
		const last = world.socket(AF_INET, "P");
		expect(task.bind(last, to)).toBe(0);
		expect(task.listen(last, 1)).toBe(-ENOMEM);
		expect(world.name(last)).toBe("127.0.0.1:5000");
		expect(world.accept(last)).toBe("EINVAL");
		expect(task.close(3)).toBe(0);
		expect(task.listen(last, 1)).toBe(0);
	});
});
