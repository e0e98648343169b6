// SPDX-License-Identifier: GPL-2.0-or-later
/** The charts: their experiments and strategies. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
	type Cost,
	costs,
	DEFAULT_RANGE,
	GUESSES,
	type Kind,
	type PredictionOptions,
	portsOf,
	predictions,
	SHARE_RANGE,
	SHARE_RESERVED,
	type ShareOptions,
	type Shares,
	shares,
} from "./experiments.js";
import { fillFigures, fillTimes } from "./fill.js";
import { kernelSearch } from "./lab/linear.js";
import { connectionRate } from "./rate.js";
import type { Strategy } from "./strategy.js";
import { type Axis, type Chart, type Series, toSvg } from "./svg.js";
import { toText } from "./text.js";

const BEFORE_6_8 = kernelSearch("6.6");
const SINCE_6_8 = kernelSearch("7.3");
const STEP_WIDTH = kernelSearch("7.3", 128);
const STEP_WIDTHS = [SINCE_6_8, STEP_WIDTH, kernelSearch("7.3", 1000)];

const range = ([low, high]: readonly [number, number]) => `${low}-${high}`;
const thousands = (value: number) => value.toLocaleString("en-US");
const FILLED = `range ${range(DEFAULT_RANGE)}, ${thousands(portsOf(DEFAULT_RANGE))} ports`;

/** Results of experiments, so that several charts can share them. */
class Experiments {
	private readonly made = new Map<string, unknown>();

	constructor(private readonly progress: (what: string) => void) {}

	private once<T>(strategy: Strategy, what: string, make: () => T): T {
		const key = `${strategy.name}: ${what}`;
		if (!this.made.has(key)) {
			this.progress(key);
			this.made.set(key, make());
		}
		return this.made.get(key) as T;
	}

	costs(strategy: Strategy, kind: Kind, option: boolean): Cost[] {
		const what = `${kind}${option ? " with IP_LOCAL_PORT_RANGE" : ""}`;
		return this.once(strategy, what, () => costs(strategy, { kind, option }));
	}

	shares(strategy: Strategy, destinations: ShareOptions["destinations"]): Shares {
		const what = `short connections, ${destinations}`;
		return this.once(strategy, what, () => shares(strategy, { destinations }));
	}

	predictions(strategy: Strategy, options: PredictionOptions): number[] {
		const what = `prediction ${JSON.stringify(options)}`;
		return this.once(strategy, what, () => predictions(strategy, options));
	}
}

/** The searches that a chart compares, for its title. */
const whose = (name: string) => (name.startsWith("lab-") ? "Laboratory: " : "Kernels: ");

interface Plan {
	name: string;
	draw(experiments: Experiments): Chart;
}

/** Merges equal series into one with all their names. */
export function mergeEqual(series: readonly Series[]): Series[] {
	const merged = new Map<string, Series>();
	for (const { name, points } of series) {
		const key = JSON.stringify(points);
		const alike = merged.get(key);
		merged.set(key, { name: alike === undefined ? name : `${alike.name} = ${name}`, points });
	}
	return [...merged.values()];
}

/** A logarithmic axis over every value, from a power of ten to twice or five times one. */
function logAxis(label: string, series: readonly Series[]): Axis {
	let min = Number.POSITIVE_INFINITY;
	let max = 0;
	for (const { points } of series) {
		for (const [, y] of points) {
			if (Number.isNaN(y)) continue;
			min = Math.min(min, y);
			max = Math.max(max, y);
		}
	}
	const round = (value: number) => Number(value.toPrecision(6));
	const decade = round(10 ** Math.floor(Math.log10(max)));
	const top = [1, 2, 5, 10].map((n) => n * decade).find((n) => n >= max * 1.1) ?? decade * 20;
	const below = round(10 ** Math.floor(Math.log10(min)));
	const bottom = [5, 2, 1].map((n) => n * below).find((n) => n <= min * 0.9) ?? below / 2;
	return { label, scale: "log", min: bottom, max: top };
}

const OCCUPANCY: Axis = { label: "occupancy of the range (%)", scale: "linear", min: 0, max: 100 };

type Runs = readonly (readonly [strategy: Strategy, option: boolean])[];

/** The costs of a call, for titles. */
const COST = {
	looks: "candidates looked at",
	locks: "locks of bind buckets taken",
	micros: "time of a call in the model",
} as const;

function costChart(
	experiments: Experiments,
	name: string,
	kind: Kind,
	what: "looks" | "locks" | "micros",
	runs: Runs,
): Chart {
	const each = runs.map(([strategy, option]): Series => {
		const points = experiments
			.costs(strategy, kind, option)
			.map((cost) => [Math.round(cost.occupancy * 100), cost[what]] as const);
		return { name: strategy.name + (option ? " with the option" : ""), points };
	});
	// Times always differ. Counts are often equal.
	const counted = what !== "micros";
	const series = counted ? mergeEqual(each) : each;
	const option = runs.some(([, option]) => option) ? "; the option: IP_LOCAL_PORT_RANGE" : "";
	const to = kind === "connect" ? "one destination" : "one address";
	return {
		name,
		title: `${whose(name)}${kind}(), ${COST[what]}`,
		subtitle: `${FILLED}, filled by ${kind}() to ${to}${option}`,
		x: OCCUPANCY,
		y: counted
			? logAxis(`${what === "looks" ? "candidate ports" : "locks"} a call, on average`, series)
			: logAxis("microseconds a call (median)", series),
		series,
		at: [0, 25, 45, 49, 51, 75, 99],
	};
}

/** Connections from each port, per mille of all. Ports that no search chooses are left out. */
function shareSeries(name: string, { counts, low, usable, connections }: Shares): Series {
	const all = usable > counts.length / 2;
	const points: [number, number][] = [];
	counts.forEach((count, index) => {
		if (!all && (index & 1) === 1) return;
		const port = low + index;
		const reserved = port >= SHARE_RESERVED[0] && port <= SHARE_RESERVED[1];
		points.push([port, reserved || count === 0 ? Number.NaN : (count / connections) * 1000]);
	});
	return { name, points };
}

function shareChart(
	experiments: Experiments,
	name: string,
	destinations: ShareOptions["destinations"],
	strategies: readonly Strategy[],
): Chart {
	const series = mergeEqual(
		strategies.map((strategy) => {
			const found = experiments.shares(strategy, destinations);
			const most = `${found.peak}: ${found.peakFactor.toFixed(1)} times the average`;
			return shareSeries(`${strategy.name} (${most})`, found);
		}),
	).map((merged) => ({ ...merged, name: shorten(merged.name) }));
	const to = destinations === "one" ? "all to one destination" : "each to a random destination";
	return {
		name,
		title: `${whose(name)}share of each port among many short connections`,
		subtitle: `range ${range(SHARE_RANGE)}, ${range(SHARE_RESERVED)} reserved; 100,000 connections, ${to}`,
		x: { label: "local port", scale: "linear", min: SHARE_RANGE[0], max: SHARE_RANGE[1] + 1 },
		y: logAxis("connections from the port (‰ of all)", series),
		series,
		dense: true,
	};
}

/** "6.6 (40500: 3 times) = 7.3 (40500: 3 times)" is "6.6 = 7.3 (40500: 3 times)". */
function shorten(name: string): string {
	const parts = name.split(" = ");
	const rest = parts[0].slice(parts[0].indexOf(" ("));
	return parts.map((part) => part.replace(rest, "")).join(" = ") + rest;
}

function predictionChart(
	experiments: Experiments,
	name: string,
	subtitle: string,
	runs: readonly (readonly [strategy: Strategy, name: string, options: PredictionOptions])[],
): Chart {
	const series = mergeEqual(
		runs.map(([strategy, name, options]): Series => {
			const chances = experiments.predictions(strategy, options);
			const points = GUESSES.map((guesses, index): [number, number] => {
				const chance = chances[index] * 100;
				return [guesses, chance === 0 ? Number.NaN : chance];
			});
			return { name, points };
		}),
	);
	return {
		name,
		title: `${whose(name)}chance to predict the next source port`,
		subtitle,
		x: { label: "ports guessed, likeliest first", scale: "log", min: 1, max: 1024 },
		y: { ...logAxis("next port is among them (%)", series), max: 100 },
		series,
		at: [1, 2, 4, 8, 16, 64, 256, 1024],
	};
}

/** Ports of a socket's range in the chart of rates. */
const RATE_PORTS = [16, 32, 64, 128, 256, 512, 1024];
const RATE_VERSIONS = ["6.3", "6.12", "6.18.44", "7.3"];

function rateChart(): Chart {
	const series = mergeEqual(
		[false, true].flatMap((reuse) =>
			RATE_VERSIONS.map((version): Series => {
				const points = RATE_PORTS.map((ports): [number, number] => [
					ports,
					connectionRate({ version, ports, reuse }),
				]);
				return { name: `${version}, tcp_tw_reuse ${reuse ? 1 : 0}`, points };
			}),
		),
	);
	return {
		name: "rate",
		title: "Kernels: connections a second to one destination",
		subtitle: "one address, each socket with IP_LOCAL_PORT_RANGE, closed at once by the client",
		x: { label: "ports of the range", scale: "log", min: 16, max: 1024 },
		y: logAxis("connections a second until EADDRNOTAVAIL", series),
		series,
		at: [16, 64, 256, 1024],
	};
}

/** All charts. Those that begin with lab- show the strategies of bench/lab/. */
function plans(strategies: readonly Strategy[]): Plan[] {
	const connects: Runs = [BEFORE_6_8, SINCE_6_8, STEP_WIDTH].flatMap(
		(strategy): Runs => [
			[strategy, false],
			[strategy, true],
		],
	);
	// Only connect() has a step width.
	const binds = connects.filter(([strategy]) => strategy !== STEP_WIDTH);
	const laboratory: Runs = strategies.map((strategy) => [strategy, false]);
	const kernels = [
		[BEFORE_6_8, "6.6", {}],
		[SINCE_6_8, "7.3", {}],
		[SINCE_6_8, "7.3 with the option", { option: true }],
		[SINCE_6_8, "7.3, 45 % of the ports held", { held: 0.45 }],
		[STEP_WIDTH, "7.3, step width 128", {}],
		[STEP_WIDTH, "7.3, step width 128, 45 % held", { held: 0.45 }],
	] as const;
	const guessed = `one destination, ${FILLED}; last port known`;
	const busy: PredictionOptions = { others: 20, connections: 8_000 };
	const costPlans = (["connect", "bind"] as const).flatMap((kind): Plan[] =>
		(["looks", "micros"] as const).flatMap((what): Plan[] => {
			const name = `${kind}-${what === "looks" ? "candidates" : "time"}`;
			const runs = kind === "connect" ? connects : binds;
			return [
				{ name, draw: (e) => costChart(e, name, kind, what, runs) },
				{ name: `lab-${name}`, draw: (e) => costChart(e, `lab-${name}`, kind, what, laboratory) },
			];
		}),
	);
	return [
		...costPlans.filter(({ name }) => !name.startsWith("lab-")),
		{
			name: "connect-locks",
			draw: (e) => costChart(e, "connect-locks", "connect", "locks", connects),
		},
		{ name: "port-share", draw: (e) => shareChart(e, "port-share", "many", STEP_WIDTHS) },
		{ name: "port-share-one", draw: (e) => shareChart(e, "port-share-one", "one", STEP_WIDTHS) },
		{
			name: "prediction",
			draw: (e) =>
				predictionChart(e, "prediction", `${guessed}; option: IP_LOCAL_PORT_RANGE`, kernels),
		},
		{ name: "rate", draw: () => rateChart() },
		...costPlans.filter(({ name }) => name.startsWith("lab-")),
		{ name: "lab-port-share", draw: (e) => shareChart(e, "lab-port-share", "many", strategies) },
		{
			name: "lab-prediction",
			draw: (e) =>
				predictionChart(
					e,
					"lab-prediction",
					`${guessed}; none elsewhere in between`,
					strategies.map((strategy) => [strategy, strategy.name, {}] as const),
				),
		},
		{
			name: "lab-prediction-busy",
			draw: (e) =>
				predictionChart(
					e,
					"lab-prediction-busy",
					`${guessed}; 0 to 20 elsewhere in between`,
					strategies.map((strategy) => [strategy, strategy.name, busy] as const),
				),
		},
	];
}

function shareFigures(experiments: Experiments): string {
	const lines = [
		`Unevenness: 100,000 short connections, range ${range(SHARE_RANGE)}, ${range(SHARE_RESERVED)} reserved`,
		"",
		"step width  destinations  port used most  times the average  on the wrong port",
	];
	for (const destinations of ["many", "one"] as const) {
		for (const strategy of STEP_WIDTHS) {
			const { peak, peakFactor, misplaced } = experiments.shares(strategy, destinations);
			const width = strategy.sysctls?.["net.ipv4.ip_local_port_step_width"] ?? "0";
			lines.push(
				`${width.padStart(10)}  ${destinations.padEnd(12)}  ${String(peak).padStart(14)}  ${peakFactor.toFixed(2).padStart(17)}  ${(misplaced * 100).toFixed(1).padStart(15)} %`,
			);
		}
	}
	// The expected share above the mean m if counts are purely random.
	const { connections, usable } = experiments.shares(SINCE_6_8, "many");
	const chance = Math.sqrt((2 * usable) / (Math.PI * connections)) / 2;
	lines.push(
		"",
		"on the wrong port: connections that would need another one for all to be used",
		`alike; chance alone leaves ${(chance * 100).toFixed(1)} %`,
	);
	return `${lines.join("\n")}\n`;
}

interface PlotOptions {
	/** Only charts and figures whose name begins with this text. */
	only?: string;
	print: (text: string) => void;
	progress: (what: string) => void;
}

/** Names that `only` chooses from, in the order in which they are made. */
export function plotNames(strategies: readonly Strategy[]): string[] {
	return [...plans(strategies).map(({ name }) => name), "unevenness", "lab-fill"];
}

/** Draws every chart into a folder and onto the terminal, and prints the figures. */
export function plot(
	folder: string,
	strategies: readonly Strategy[],
	{ only = "", print, progress }: PlotOptions,
): void {
	mkdirSync(folder, { recursive: true });
	// Warms up the JavaScript compiler before the first timed call.
	progress("warming up");
	for (const strategy of [...strategies, BEFORE_6_8]) {
		const few = [40_000, 42_047] as const;
		for (const kind of ["connect", "bind"] as const)
			costs(strategy, { kind, range: few, every: 2 });
	}
	const experiments = new Experiments(progress);
	for (const { name, draw } of plans(strategies)) {
		if (!name.startsWith(only)) continue;
		const chart = draw(experiments);
		const file = join(folder, `${name}.svg`);
		writeFileSync(file, toSvg(chart));
		print(`${toText(chart)}\n${file}\n\n`);
	}
	if ("unevenness".startsWith(only)) print(`${shareFigures(experiments)}\n`);
	if ("lab-fill".startsWith(only)) print(`${fillFigures(fillTimes(progress))}\n`);
}
