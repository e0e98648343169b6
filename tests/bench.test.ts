// SPDX-License-Identifier: GPL-2.0-or-later
/** The experiments behind the curves of `npm run bench -- --plot`. No time is checked. */
import { readdirSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import {
	type CostOptions,
	costs,
	fill,
	GUESSES,
	type PredictionOptions,
	predictions,
	type Range,
	type ShareOptions,
	shares,
} from "../bench/experiments.js";
import { bitmapGuided } from "../bench/lab/bitmap.js";
import { kernelSearch } from "../bench/lab/linear.js";
import { mergeEqual } from "../bench/plot.js";
import { loadStrategies, type Strategy } from "../bench/strategy.js";
import { type Chart, toSvg } from "../bench/svg.js";
import { toText } from "../bench/text.js";
import { HERE, THERE, Trial } from "../bench/trial.js";
import { sockaddr_in } from "../include/linux/socket.js";

const RANGE: Range = [40_000, 40_511];
const kinds = ["connect", "bind"] as const;

let strategies: readonly Strategy[];
beforeAll(async () => {
	strategies = await loadStrategies();
});

function named(name: string): Strategy {
	const found = strategies.find((strategy) => strategy.name === name);
	if (found === undefined) throw new Error(`no strategy ${name}`);
	return found;
}

const looks = (strategy: Strategy, options: Omit<CostOptions, "range">): number[] =>
	costs(strategy, { range: RANGE, bins: 16, ...options }).map((cost) => cost.looks);

describe("the laboratory", () => {
	it("finds the strategies of every file in bench/lab/", () => {
		const names = strategies.map(({ name }) => name);
		expect(names).toEqual([
			"bitmap-guided",
			"6.6",
			"7.3",
			"7.3, step width 128",
			"RFC 6056 algorithm 1",
			"RFC 6056 algorithm 3",
			"RFC 6056 algorithm 5",
		]);
		expect(readdirSync(new URL("../bench/lab/", import.meta.url))).toHaveLength(5);
	});

	it("leaves no trace of a strategy in the tables", () => {
		for (const strategy of strategies) {
			const trial = new Trial(strategy, { range: RANGE });
			const fds: number[] = [];
			for (let n = 0; n < 100; n++) {
				const fd = trial.tcp(n % 3 === 0 ? [40_100, 40_300] : undefined);
				if (n % 2 === 0) expect(trial.connect(fd, sockaddr_in(THERE, 53))).toBe(-115);
				else expect(trial.bind(fd, sockaddr_in(HERE, 0))).toBe(0);
				const port = trial.port(fd);
				expect(port).toBeGreaterThanOrEqual(n % 3 === 0 ? 40_100 : 40_000);
				expect(port).toBeLessThanOrEqual(n % 3 === 0 ? 40_300 : 40_511);
				fds.push(fd);
			}
			trial.kernel.verify();
			for (const fd of fds) trial.close(fd);
			trial.kernel.verify();
			expect(trial.kernel.tcp_hashinfo.bind_bucket_cachep.used).toBe(0);
		}
	});

	it("fills a range guided by bitmaps with the ports of the linear scan, in that order", () => {
		for (const version of ["6.6", "6.12", "7.3"]) {
			expect(fill(bitmapGuided(version), RANGE).ports).toEqual(
				fill(kernelSearch(version), RANGE).ports,
			);
		}
		const step = kernelSearch("7.3", 128);
		const guided = bitmapGuided("7.3", "", step.sysctls);
		expect(fill(guided, RANGE).ports).toEqual(fill(step, RANGE).ports);
	});

	it("comes to a port that is free again amid thousands that are taken", () => {
		const range: Range = [32_768, 40_959];
		const there = sockaddr_in(THERE, 53);
		const connect = (trial: Trial): number => {
			const fd = trial.tcp();
			expect(trial.connect(fd, there)).toBe(-115);
			return fd;
		};
		for (const strategy of [bitmapGuided("7.3"), kernelSearch("7.3")]) {
			const trial = new Trial(strategy, { range });
			trial.counting = false;
			const fds = Array.from({ length: 8192 }, () => connect(trial));
			for (const n of [10, 1001, 5000, 8191]) {
				const port = trial.port(fds[n]);
				trial.close(fds[n]);
				fds[n] = connect(trial);
				expect(trial.port(fds[n])).toBe(port);
			}
			expect(trial.connect(trial.tcp(), there)).toBe(-99);
		}
	});
});

describe("candidates looked at", () => {
	it("are one at occupancy 0, for every strategy", () => {
		for (const strategy of strategies) {
			for (const kind of kinds) expect(looks(strategy, { kind })[0]).toBe(1);
		}
	});

	it("are locked one after the other by connect() before 6.15, and since then only the last one", () => {
		const [before, since] = ["6.6", "7.3"].map((name) =>
			costs(named(name), { kind: "connect", range: RANGE, bins: 16 }),
		);
		expect(before.map(({ locks }) => locks)).toEqual(before.map((cost) => cost.looks));
		expect(since.map(({ locks }) => locks)).toEqual(since.map(() => 1));
		expect(since.at(-1)?.looks).toBeGreaterThan(100);
	});

	it("jump by half the range for connect() where one parity is full", () => {
		const counts = looks(named("7.3"), { kind: "connect" });
		expect(counts[8]).toBeLessThan(128);
		expect(counts[9]).toBeGreaterThan(256);
	});

	it("stay low with IP_LOCAL_PORT_RANGE since 6.8, and not before", () => {
		const option = { kind: "connect", option: true } as const;
		const [before, since, plain] = [
			looks(named("6.6"), option),
			looks(named("7.3"), option),
			looks(named("6.6"), { kind: "connect" }),
		];
		expect(before).toEqual(plain);
		expect(looks(kernelSearch("6.12"), option)).toEqual(since);
		expect(Math.max(...since)).toBeLessThan(100);
	});

	it("are the same for bind() in every version, with and without the option", () => {
		const wanted = looks(named("6.6"), { kind: "bind" });
		for (const name of ["6.6", "7.3", "7.3, step width 128"]) {
			for (const option of [false, true]) {
				expect(looks(named(name), { kind: "bind", option })).toEqual(wanted);
			}
		}
	});

	it("are never many for the bitmap-guided search", () => {
		for (const kind of kinds) {
			expect(Math.max(...looks(named("bitmap-guided"), { kind }))).toBeLessThan(20);
		}
	});

	it("are the same for the same seed", () => {
		const again = () => looks(named("RFC 6056 algorithm 1"), { kind: "connect", seed: 7 });
		expect(again()).toEqual(again());
	});
});

describe("the share of each port", () => {
	const share = (strategy: Strategy, destinations: ShareOptions["destinations"]) =>
		shares(strategy, { destinations, connections: 20_000 });

	it("is highest right after a reserved block, and the step width evens it out", () => {
		for (const destinations of ["one", "many"] as const) {
			const before = share(named("7.3"), destinations);
			const after = share(kernelSearch("7.3", 1000), destinations);
			expect(before.peak).toBe(40_500);
			expect(after.peakFactor).toBeLessThan(before.peakFactor / 2);
		}
	});

	it("is that of the whole block where each connection has its own destination", () => {
		// 50 of 500 even ports are reserved. The port after them gets their share; the mean is 1 of
		// 450.
		const { peakFactor } = share(named("7.3"), "many");
		expect(peakFactor).toBeGreaterThan(0.95 * 45.9);
		expect(peakFactor).toBeLessThan(1.05 * 45.9);
	});

	it("is one of even ports for the kernel, of all ports for RFC 6056", () => {
		expect(share(named("7.3"), "one").usable).toBe(450);
		expect(share(named("RFC 6056 algorithm 3"), "one").usable).toBe(900);
	});

	it("adds up to all connections, none from a reserved port", () => {
		for (const strategy of strategies) {
			const { counts, low } = share(strategy, "many");
			expect(counts.reduce((sum, count) => sum + count)).toBe(20_000);
			const reserved = counts.filter((_, n) => low + n >= 40_400 && low + n <= 40_499);
			expect(reserved.every((count) => count === 0)).toBe(true);
		}
	});
});

describe("the chance to predict the next port", () => {
	const chance = (strategy: Strategy, guesses: (typeof GUESSES)[number], more = {}) => {
		const options: PredictionOptions = { connections: 4_000, ...more };
		return predictions(strategy, options)[GUESSES.indexOf(guesses)];
	};

	it("is one in eight for the kernel, and certain with eight guesses", () => {
		for (const name of ["6.6", "7.3", "7.3, step width 128"]) {
			expect(chance(named(name), 1)).toBeGreaterThan(0.1);
			expect(chance(named(name), 1)).toBeLessThan(0.15);
			expect(chance(named(name), 8)).toBe(1);
			expect(chance(named(name), 8, { option: true })).toBe(1);
		}
	});

	it("is certain for algorithm 3 unless others connect in between", () => {
		expect(chance(named("RFC 6056 algorithm 3"), 1)).toBe(1);
		expect(chance(named("RFC 6056 algorithm 3"), 1, { others: 20 })).toBeLessThan(0.1);
	});

	it("is one in N for algorithm 5, and next to nothing for algorithm 1", () => {
		expect(chance(named("RFC 6056 algorithm 5"), 1)).toBeLessThan(0.01);
		expect(chance(named("RFC 6056 algorithm 5"), 512)).toBe(1);
		expect(chance(named("RFC 6056 algorithm 1"), 32)).toBeLessThan(0.01);
	});

	it("falls with the step width where many ports are held", () => {
		const held = { held: 0.45, range: RANGE };
		expect(chance(named("7.3, step width 128"), 1, held)).toBeLessThan(
			chance(named("7.3"), 1, held) / 2,
		);
	});
});

describe("a chart", () => {
	const chart: Chart = {
		name: "example",
		title: "An example < another",
		subtitle: "words ".repeat(30).trim(),
		x: { label: "occupancy (%)", scale: "linear", min: 0, max: 100 },
		y: { label: "candidates a call", scale: "log", min: 1, max: 1000 },
		at: [0, 50, 100],
		series: [
			{
				name: "first",
				points: [
					[0, 1],
					[50, Number.NaN],
					[100, 1000],
				],
			},
			{
				name: "second",
				points: [
					[0, 10],
					[100, 5000],
				],
			},
		],
	};

	it("has labelled axes, a legend, and lines that differ without colour", () => {
		const svg = toSvg(chart);
		for (const { name } of chart.series) expect(svg).toContain(`>${name}</text>`);
		expect(svg).toContain(">occupancy (%)</text>");
		expect(svg).toContain(">candidates a call</text>");
		expect(svg).toContain("An example &lt; another");
		expect(svg).toContain("stroke-dasharray");
		expect(svg).not.toContain("NaN");
	});

	it("fits a terminal of 80 columns", () => {
		const lines = toText(chart).split("\n");
		expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
		expect(lines.filter((line) => line.includes("a")).length).toBeGreaterThan(3);
	});

	it("stands below its text in numbers, too", () => {
		const lines = toText(chart).trimEnd().split("\n").slice(-3);
		expect(lines.map((line) => line.trim().split(/ +/))).toEqual([
			["x", "0", "50", "100"],
			["a", "1", "-", "1,000"],
			["b", "10", "-", "5,000"],
		]);
	});

	it("shows series that are the same once, with all their names", () => {
		const points = [[0, 1]] as const;
		const merged = mergeEqual([
			{ name: "x", points },
			{ name: "y", points: [[0, 1]] },
			{ name: "z", points: [[0, 2]] },
		]);
		expect(merged.map(({ name }) => name)).toEqual(["x = y", "z"]);
	});
});
