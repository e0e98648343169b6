// SPDX-License-Identifier: GPL-2.0-or-later
/** Timers: how late the kernel's wheel lets them expire. */
import { describe, expect, it } from "vitest";
import { JIFFY, TimerQueue } from "../../include/linux/timer.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";

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

/** The timers in the order in which they expire. */
function expiring(timers: TimerQueue): number[] {
	const order: number[] = [];
	for (let timer = timers.first(); timer !== null; timer = timers.first()) {
		order.push(timer);
		timers.del_timer(timer);
	}
	return order;
}

// enqueue_timer() puts a timer at the head of its bucket.
describe("timers that expire in the same jiffy", () => {
	it("run in the opposite order of arming", () => {
		const timers = new TimerQueue();
		for (const timer of [4, 2, 9, 1, 7]) timers.mod_timer(timer, 40);
		timers.mod_timer(3, 36);
		timers.del_timer(9);
		expect(expiring(timers)).toEqual([3, 7, 1, 2, 4]);
	});

	it("keep their places if they are armed again for the same jiffy", () => {
		const timers = new TimerQueue();
		for (const timer of [1, 2, 3]) timers.mod_timer(timer, 40);
		timers.mod_timer(1, 40);
		expect(expiring(timers)).toEqual([3, 2, 1]);
	});

	it("run from the coarsest level to the finest", () => {
		const timers = new TimerQueue();
		timers.wheel = -timers.now / JIFFY; // the wheel begins now
		timers.mod_timer(1, 64 * JIFFY);
		timers.mod_timer(2, 72 * JIFFY);
		timers.now += 63 * JIFFY;
		timers.mod_timer(3, 8 * JIFFY);
		timers.mod_timer(4, 8 * JIFFY);
		expect(timers.expiry(1)).toBe(timers.expiry(3));
		expect(expiring(timers)).toEqual([1, 4, 3, 2]);
	});
});

describe("of connections whose ends are acknowledged in the same jiffy", () => {
	const address = (port: number) =>
		`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}, 16`;
	const ports = [5001, 5002, 5003];

	// Confirmed on 6.18.44. The clients acknowledge the ends 40 ms late, by their timers.
	it("the one that ended last goes to TIME_WAIT if there is room for one", () => {
		const lines = ["$ sysctl -w net.ipv4.tcp_max_tw_buckets=1"];
		for (const [i, port] of ports.entries()) {
			const [listener, client, server] = [3 + 3 * i, 4 + 3 * i, 5 + 3 * i];
			lines.push(
				`socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = ${listener}`,
				`bind(${listener}, ${address(port)}) = 0`,
				`listen(${listener}, 1) = 0`,
				`socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = ${client}`,
				`connect(${client}, ${address(port)}) = 0`,
				`accept(${listener}, NULL, NULL) = ${server}`,
			);
		}
		lines.push("close(3) = 0", "close(6) = 0", "close(9) = 0", "$ sleep 0.02");
		lines.push("close(5) = 0", "close(8) = 0", "close(11) = 0", "$ sleep 0.1");
		const results = ["0", "0", "-1 EADDRINUSE"];
		for (const [i, port] of ports.entries()) {
			const fd = [3, 5, 6][i];
			lines.push(
				`socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = ${fd}`,
				`bind(${fd}, ${address(port)}) = ${results[i]}`,
			);
		}
		const script = readScript(`${lines.join("\n")}\n`, "time_wait.strace");
		const outcomes = playScript(script, { version: "6.18.44", alone: true });
		const calls = outcomes.filter(({ call }) => call !== "$");
		expect(calls.filter(({ verdict }) => verdict !== "match")).toEqual([]);
	});
});
