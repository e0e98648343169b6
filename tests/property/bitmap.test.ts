// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The laboratory's bitmap-guided search against the kernel's own, in two kernels with the same
 * random draws. Over random programs both choose the same port every time.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BitmapGuided, bitmapGuided } from "../../bench/lab/bitmap.js";
import type { Search, Strategy } from "../../bench/strategy.js";
import { ACCEPTING, HERE, HERE_TOO, REFUSING, THERE, Trial } from "../../bench/trial.js";
import { sockaddr_in } from "../../include/linux/socket.js";
import {
	EADDRNOTAVAIL,
	EINPROGRESS,
	type Kernel,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { always, isDefault } from "./replay.js";

type Range = readonly [number, number];

type Step =
	| { do: "socket"; range: Range | null; reuse: number; abort: boolean; next: OnSocket | null }
	| { do: "on"; at: number; call: OnSocket }
	| { do: "advance"; ms: number }
	| { do: "reserve"; ports: readonly number[] };

type OnSocket =
	| { do: "connect"; to: number }
	| { do: "bind"; from: number; port: number }
	| { do: "listen" }
	| { do: "accept" }
	| { do: "shutdown" }
	| { do: "close" };

interface Program {
	version: string;
	range: Range;
	step_width: number;
	tw_reuse: number;
	steps: readonly Step[];
}

const LOW = 40_000;
const DESTINATIONS = [
	sockaddr_in(THERE, 53),
	sockaddr_in(THERE, 53),
	sockaddr_in(THERE, 53),
	sockaddr_in(THERE, 80),
	sockaddr_in(THERE + 1, 53),
	sockaddr_in(ACCEPTING, 53),
	sockaddr_in(REFUSING, 53),
	sockaddr_in(HERE, LOW + 1),
	sockaddr_in(HERE, LOW + 2),
	sockaddr_in(HERE_TOO, 8080),
] as const;
/** Small tables, so that chains hold several ports and kernels are made fast. */
const SMALL = { ehash: 64, bhash: 32, lhash2: 16, udp: 256 };
const SOURCES = [0, HERE, HERE_TOO] as const;

const port = fc.integer({ min: LOW, max: LOW + 70 });
const range = (longest: number) =>
	fc
		.tuple(port, fc.integer({ min: 0, max: longest }))
		.map(([low, more]): Range => [low, low + more]);
const connect = fc.record({
	do: fc.constant("connect" as const),
	to: fc.nat({ max: DESTINATIONS.length - 1 }),
});
const bind = fc.record({
	do: fc.constant("bind" as const),
	from: fc.nat({ max: SOURCES.length - 1 }),
	port: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: port }),
});
const other = fc.record({ do: fc.constantFrom("listen", "accept", "shutdown") });
const close = fc.record({ do: fc.constant("close" as const) });
const step: fc.Arbitrary<Step> = fc.oneof(
	{
		weight: 14,
		arbitrary: fc.record({
			do: fc.constant("socket" as const),
			range: fc.option(range(40), { freq: 2 }),
			reuse: fc.constantFrom(0, 0, 0, 1, 2, 3),
			abort: fc.boolean(),
			next: fc.option(fc.oneof(connect, connect, bind), { freq: 6 }),
		}),
	},
	{
		weight: 12,
		arbitrary: fc.record({
			do: fc.constant("on" as const),
			at: fc.nat({ max: 60 }),
			call: fc.oneof(connect, connect, bind, other, close, close),
		}),
	},
	{
		weight: 1,
		arbitrary: fc.record({
			do: fc.constant("advance" as const),
			ms: fc.constantFrom(10, 900, 1100, 61_000),
		}),
	},
	{
		weight: 1,
		arbitrary: fc.record({
			do: fc.constant("reserve" as const),
			ports: fc.array(port, { maxLength: 5 }),
		}),
	},
);
const program: fc.Arbitrary<Program> = fc.record({
	version: fc.constantFrom("6.3", "6.6", "6.12", "6.18.44", "7.3"),
	range: range(45),
	step_width: fc.constantFrom(0, 0, 0, 1, 5, 1000),
	tw_reuse: fc.constantFrom(0, 1, 2),
	steps: fc.array(step, { minLength: 20, maxLength: 250, size: "max" }),
});

/** The results that the programs reached, so that the test is not empty. */
const reached = { connected: 0, exhausted: 0, bound: 0 };

/** Two trials side by side, in which the same descriptors are open. */
class Pair {
	private readonly fds: number[] = [];

	constructor(
		private readonly linear: Trial,
		private readonly guided: Trial,
	) {}

	play(step: Step): void {
		if (step.do === "advance") {
			for (const trial of this.both) trial.advance(step.ms);
		} else if (step.do === "reserve") {
			for (const trial of this.both) {
				trial.sysctl("net.ipv4.ip_local_reserved_ports", step.ports.join(","));
			}
		} else if (step.do === "socket") {
			this.fds.push(this.same((trial) => this.open(trial, step)));
			if (step.next !== null) this.call(step.next, this.fds.length - 1);
		} else if (this.fds.length > 0) {
			this.call(step.call, step.at % this.fds.length);
		}
	}

	private call(call: OnSocket, index: number): void {
		const fd = this.fds[index];
		if (call.do === "connect") {
			const result = this.same((trial) => trial.connect(fd, DESTINATIONS[call.to]));
			const chosen = this.same((trial) => trial.port(fd));
			if (result === -EINPROGRESS && chosen !== 0) reached.connected++;
			if (result === -EADDRNOTAVAIL) reached.exhausted++;
		} else if (call.do === "bind") {
			this.same((trial) => trial.bind(fd, sockaddr_in(SOURCES[call.from], call.port)));
			if (this.same((trial) => trial.port(fd)) !== 0) reached.bound++;
		} else if (call.do === "close") {
			this.same((trial) => trial.close(fd));
			this.fds.splice(index, 1);
		} else if (call.do === "listen") {
			this.same((trial) => trial.other((task) => task.listen(fd, 4)));
		} else if (call.do === "shutdown") {
			this.same((trial) => trial.other((task) => task.shutdown(fd, 2)));
		} else {
			const accept = (task: Task) => task.accept4(fd, 0, undefined, true);
			const accepted = this.same((trial) => trial.other(accept));
			if (accepted >= 0) this.fds.push(accepted);
		}
	}

	private open(trial: Trial, { range, reuse, abort }: Step & { do: "socket" }): number {
		const fd = trial.tcp(range ?? undefined);
		if ((reuse & 1) !== 0) trial.task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if ((reuse & 2) !== 0) trial.task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (abort) {
			trial.task.setsockopt(fd, SOL_SOCKET, SO_LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
		}
		return fd;
	}

	private get both(): readonly Trial[] {
		return [this.linear, this.guided];
	}

	private same(call: (trial: Trial) => number): number {
		const wanted = call(this.linear);
		expect(call(this.guided)).toBe(wanted);
		return wanted;
	}

	/** Their draws and their table_perturb are the same as well. */
	finish(): void {
		for (const trial of this.both) trial.kernel.verify();
		const next = this.linear.kernel.random.get_random_u32();
		expect(this.guided.kernel.random.get_random_u32()).toBe(next);
		const { table_perturb } = this.linear.kernel;
		const differs = this.guided.kernel.table_perturb?.findIndex(
			(value, slot) => value !== table_perturb?.[slot],
		);
		expect(differs).toBe(-1);
	}
}

function play({ version, range, step_width, tw_reuse, steps }: Program, guided: Strategy): void {
	const sysctls: Record<string, string> = { "net.ipv4.tcp_tw_reuse": String(tw_reuse) };
	if (version === "7.3") sysctls["net.ipv4.ip_local_port_step_width"] = String(step_width);
	const linear = { ...guided, name: "linear", version, sysctls };
	delete linear.start;
	const pair = new Pair(
		new Trial(linear, { range, tables: SMALL }),
		new Trial({ ...guided, version, sysctls }, { range, tables: SMALL }),
	);
	for (const step of steps) pair.play(step);
	pair.finish();
}

describe("a bitmap-guided search", { timeout: 600_000 }, () => {
	it("returns what the linear scan returns", () => {
		always(program, { seed: 1, runs: 1000 }, (value) => play(value, bitmapGuided("7.3")));
		if (isDefault) {
			expect(reached.connected).toBeGreaterThan(5_000);
			expect(reached.exhausted).toBeGreaterThan(3_000);
			expect(reached.bound).toBeGreaterThan(5_000);
		}
	});

	class NothingReleased extends BitmapGuided {
		override released(): void {}
	}
	class NothingForgotten extends BitmapGuided {
		override forget(): void {}
	}
	class DrawIgnored extends BitmapGuided {
		override taken(search: Search, port: number): void {
			super.taken(search, port, 0);
		}
	}
	for (const Broken of [NothingReleased, NothingForgotten, DrawIgnored]) {
		it(`does not do so with a deliberate fault: ${Broken.name}`, () => {
			const broken = {
				...bitmapGuided("7.3"),
				start: (kernel: Kernel) => new Broken(kernel),
			};
			const out = fc.check(
				fc.property(program, (value) => play(value, broken)),
				{ seed: 1, numRuns: 400, endOnFailure: true },
			);
			expect(out.failed).toBe(true);
		});
	}
});
