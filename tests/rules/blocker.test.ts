// SPDX-License-Identifier: GPL-2.0-or-later
/** A failed search names the owner of the last port that it checked. */
import { describe, expect, it } from "vitest";
import { noTrace } from "../../include/trace/events/port_search.js";
import { World } from "../world.js";

/**
 * A connect() that finds no port: the socket that it names, and the owner of the last traced port.
 */
function search(seed: number, traced: boolean): { blocker: number; last: number } {
	const world = new World({ seed });
	const k = world.kernel;
	world.range(40000, 40003);
	world.bound("L 127.0.0.1:80");
	for (const port of [40000, 40002, 40003]) world.bound(`127.0.0.1:${port}`);
	expect(world.connect(world.socket(), "127.0.0.1:80")).toBe(0); // has 40001
	let last = 0;
	if (traced) {
		k.trace = {
			...noTrace,
			skip: (_port, _verdict, blocker) => {
				last = blocker;
			},
		};
	}
	expect(world.connect(world.socket(), "127.0.0.1:80")).toBe("EADDRNOTAVAIL");
	return { blocker: k.blocker, last };
}

describe("connect() that finds no port", () => {
	it("names the owner of the port that it checked last, wherever the search started", () => {
		const named = new Set<number>();
		for (let seed = 1; seed <= 24; seed++) {
			const { last } = search(seed, true);
			expect({ seed, blocker: search(seed, false).blocker }).toEqual({ seed, blocker: last });
			named.add(last);
		}
		expect(named.size).toBe(2); // The last pass has two ports.
	});
});
