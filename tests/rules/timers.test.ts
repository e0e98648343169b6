// SPDX-License-Identifier: GPL-2.0-or-later
/** Timers: how late the kernel's wheel lets them expire. */
import { describe, expect, it } from "vitest";
import { JIFFY, TimerQueue } from "../../include/linux/timer.js";

describe("a timer of the kernel's wheel", () => {
	// The level of a delay is that of calc_wheel_index() in kernel/time/timer.c.
	it.each([
		[1, 1],
		[62, 1],
		[63, 8],
		[503, 8],
		[504, 64],
		[4031, 64],
		[4032, 512],
		[15_000, 512],
		[32_255, 512],
		[32_256, 4096],
		[258_048, 32_768],
	])("of %i jiffies expires at the next multiple of %i jiffies", (delay, granularity) => {
		for (const wheel of [0, 3, 509, 4000]) {
			const timers = new TimerQueue();
			timers.wheel = wheel;
			const expires = timers.now / JIFFY + wheel + delay;
			timers.mod_timer(1, delay * JIFFY);
			const next = (Math.floor(expires / granularity) + 1) * granularity;
			expect((timers.expiry(1) ?? 0) / JIFFY + wheel).toBe(next);
		}
	});
});
