// SPDX-License-Identifier: GPL-2.0-or-later
/** SO_LINGER, as net/core/sock.c takes it. */
import { describe, expect, it } from "vitest";
import { Kernel } from "../../kernel-model/index.js";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_LINGER = 13;

function shown(version: string, seconds: number): number {
	const k = new Kernel({ version, seed: 1 });
	const task = k.createTask({ net: k.createNet(), uid: 0 });
	const fd = task.socket(AF_INET, SOCK_STREAM, 0);
	const ling = new Uint8Array(new Int32Array([1, seconds]).buffer);
	expect(task.setsockopt(fd, SOL_SOCKET, SO_LINGER, ling, 8)).toBe(0);
	const value = task.getsockopt(fd, SOL_SOCKET, SO_LINGER, 8);
	if (typeof value === "number") throw new Error(`getsockopt gives ${value}`);
	return new DataView(value.buffer, value.byteOffset).getInt32(4, true);
}

describe("SO_LINGER", () => {
	// Seen on 6.18.44.
	it("returns the low half of the longest time if the time is negative", () => {
		expect(shown("6.18.44", -3)).toBe(-1752346657);
		expect(shown("6.1.176", -1)).toBe(-1752346657);
	});

	it("returns a negative time wrapped around in 32 bits, before 6.6", () => {
		expect(shown("6.3", -3)).toBe(17179866);
	});

	it("returns a time that is not negative unchanged", () => {
		for (const version of ["6.3", "6.18.44"]) expect(shown(version, 600)).toBe(600);
	});
});
