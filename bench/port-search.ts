// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures the cost of the port searches: in the model, in C over the model's tables, and on the
 * running kernel. The cost of filling the range is per call. The cost of a search in a full range is
 * per candidate. The model and the kernel make the whole system call. So does the C program for bind().
 * Of connect() it makes the search and takes the port. No fill includes the creation of sockets.
 */

import { cpus, loadavg } from "node:os";
import Benchmark from "benchmark";
import { noTrace } from "../include/trace/events/port_search.js";
import * as model from "../kernel-model/index.js";
import { AgentError } from "../kernel-model/real/agent/agent.js";
import { LookCounter } from "./looks.js";
import { NativeError, NativeSearch, nativeCases, TOGETHER } from "./native/native.js";
import type { Output } from "./output.js";
import { RunningKernel } from "./running.js";
import { attempt, hostTask, openSocket, PORTS, WORKLOADS, type Workload } from "./workload.js";

/**
 * The model and the C program take turns, so that other load on the machine meets both. This is the
 * time for the samples of a turn in the model, seconds. At least one sample is taken.
 */
const SECONDS = 0.7;
const TURNS = 3;
/** Rounds of the C program in a turn. It fills the range as often as the model in this time. */
const NATIVE_ROUNDS = { least: 5, most: 200 };
/** Time for the fills of a case on the kernel, seconds. At least one is made. */
const KERNEL_SECONDS = 8;
const KERNEL_FILLS = 9;
/** Searches of the full range on the kernel. */
const SEARCHES = 100;

/** One kernel with descriptors of sockets that have no port yet. */
interface Prepared {
	task: model.Task;
	fds: number[];
}

function prepare(workload: Workload, sockets: number): Prepared {
	const task = hostTask(model);
	const fds = Array.from({ length: sockets }, () => openSocket(workload, task));
	return { task, fds };
}

function fill(workload: Workload, { task, fds }: Prepared): void {
	for (const fd of fds) {
		const result = attempt(workload, task, fd);
		if (result !== workload.success) throw new Error(`${workload.name} of a fill: ${result}`);
	}
}

function search(workload: Workload, task: model.Task): void {
	const fd = openSocket(workload, task);
	const result = attempt(workload, task, fd);
	if (result !== workload.full) throw new Error(`${workload.name} without a port: ${result}`);
	task.close(fd);
}

/** Time of each fill, ns. The sockets are made before, as in the C program. */
function fills(workload: Workload, lowest: number[]): number[] {
	const taken: number[] = [];
	const end = process.hrtime.bigint() + BigInt(SECONDS * 1e9);
	do {
		const { task, fds } = prepare(workload, PORTS);
		const began = process.hrtime.bigint();
		let last = began;
		const groups: number[] = [];
		for (let at = 0; at < PORTS; at += TOGETHER) {
			fill(workload, { task, fds: fds.slice(at, at + TOGETHER) });
			const now = process.hrtime.bigint();
			groups.push(Number(now - last));
			last = now;
		}
		lower(lowest, groups);
		taken.push(Number(last - began));
	} while (process.hrtime.bigint() < end);
	return taken;
}

/** Keeps the lower of two times of each group. */
function lower(lowest: number[], times: readonly number[]): void {
	for (const [group, ns] of times.entries()) {
		lowest[group] = Math.min(lowest[group] ?? Number.POSITIVE_INFINITY, ns);
	}
}

/** Time of each run, ns. */
function samples(run: () => void): number[] {
	const bench = new Benchmark(run, {
		minSamples: 1,
		maxTime: SECONDS,
		// Short samples make the median independent of other load on the machine.
		minTime: 0.002,
	});
	bench.run();
	const { error, stats } = bench as Benchmark & { error?: Error };
	if (error !== undefined) throw error;
	return stats.sample.map((seconds) => seconds * 1e9);
}

/** What a case is measured on. */
interface Measured {
	kernel: RunningKernel | null;
	native: NativeSearch | null;
}

/**
 * Samples of a case, ns per call or per port. Empty for the kernel if it cannot be asked, and for C
 * if there is no compiler. `native` looks at each port in the tables, `nativeTable` passes over refused
 * ports as the model does.
 */
interface Result {
	name: string;
	unit: "call" | "port";
	/** Mean number of candidates per call. */
	looks: number;
	model: number[];
	native: number[];
	nativeTable: number[];
	kernel: number[];
	/**
	 * The lowest times: of a fill the sum of the lowest times of every TOGETHER calls. Each fill makes the
	 * same calls, and other load on the machine only adds time.
	 */
	lowest: { model: number; native: number; nativeTable: number };
}

const unknown = () => ({
	model: Number.POSITIVE_INFINITY,
	native: Number.POSITIVE_INFINITY,
	nativeTable: Number.POSITIVE_INFINITY,
});

async function measure(workload: Workload, { kernel, native }: Measured, output: Output) {
	const { name } = workload;
	const counted = prepare(workload, PORTS);
	const counter = new LookCounter();
	counted.task.kernel.trace = counter;
	output.progress(`${name}: filling ${PORTS} ports, counting`);
	fill(workload, counted);
	const filled: Result = {
		name: `${name}-fill`,
		unit: "call",
		looks: counter.looks / PORTS,
		model: [],
		native: [],
		nativeTable: [],
		kernel: [],
		lowest: unknown(),
	};
	counter.looks = 0;
	search(workload, counted.task);
	const full: Result = {
		name: `${name}-exhausted`,
		unit: "port",
		looks: counter.looks,
		model: [],
		native: [],
		nativeTable: [],
		kernel: [],
		lowest: unknown(),
	};
	counted.task.kernel.trace = noTrace;

	const cases = native === null ? null : nativeCases(workload);
	/** Takes turns, and returns the times of each in ns per `unit` ns. */
	const turns = (
		result: Result,
		kind: "fill" | "exhausted",
		unit: number,
		timed: () => number[],
	) => {
		const groups: Record<"native" | "nativeTable", number[]> = { native: [], nativeTable: [] };
		for (let turn = 0; turn < TURNS; turn++) {
			output.progress(`${result.name}: in the model, turn ${turn + 1} of ${TURNS}`);
			result.model.push(...timed().map((ns) => ns / unit));
			if (native === null || cases === null) continue;
			output.progress(`${result.name}: in C, turn ${turn + 1} of ${TURNS}`);
			const { least, most } = NATIVE_ROUNDS;
			const wanted = Math.ceil((SECONDS * 1e9) / (unit * Math.min(...result.model)));
			const rounds = Math.max(least, Math.min(most, wanted));
			const inC = (into: "native" | "nativeTable", how: "walk" | "remember") => {
				const { times, lowest } = native.run(workload, kind, cases[kind], rounds, how);
				result[into].push(...times.map((ns) => ns / unit));
				lower(groups[into], lowest);
				result.lowest[into] = groups[into].reduce((sum, ns) => sum + ns) / unit;
			};
			inC("native", "walk");
			inC("nativeTable", "remember");
		}
	};
	const lowest: number[] = [];
	turns(filled, "fill", PORTS, () => fills(workload, lowest));
	filled.lowest.model = lowest.reduce((sum, ns) => sum + ns) / PORTS;
	if (kernel !== null) {
		let spent = 0;
		while (spent < KERNEL_SECONDS * 1e9 && filled.kernel.length < KERNEL_FILLS) {
			output.progress(`${name}: filling, on ${kernel.release}`);
			const ns = await kernel.fill(workload);
			spent += ns;
			filled.kernel.push(ns / PORTS);
		}
	}
	const searches = () => samples(() => search(workload, counted.task));
	turns(full, "exhausted", full.looks, searches);
	full.lowest.model = Math.min(...full.model);
	if (kernel !== null) {
		const searched = await kernel.exhausted(workload, SEARCHES);
		full.kernel = searched.map((ns) => ns / full.looks);
	}
	return [full, filled];
}

function summary(unsorted: readonly number[]) {
	const sorted = [...unsorted].sort((a, b) => a - b);
	return { median: sorted[sorted.length >> 1], low: sorted[0], high: sorted[sorted.length - 1] };
}

function json(result: Result, release: string | null): string {
	const unit = result.unit === "port" ? "NsPerPort" : "NsPerCall";
	const ours = summary(result.model);
	const theirs = result.kernel.length === 0 ? null : summary(result.kernel);
	const native = result.native.length === 0 ? null : summary(result.native);
	return JSON.stringify({
		case: result.name,
		[`model${unit}`]: ours.median,
		[`native${unit}`]: native?.median ?? null,
		[`nativeTable${unit}`]: native === null ? null : summary(result.nativeTable).median,
		[`kernel${unit}`]: theirs?.median ?? null,
		nativeRatio: native === null ? null : ours.median / native.median,
		ratio: theirs === null ? null : theirs.median / ours.median,
		looksPerCall: result.looks,
		model: { low: ours.low, high: ours.high, samples: result.model.length },
		native:
			native === null
				? null
				: { low: native.low, high: native.high, samples: result.native.length },
		kernel:
			theirs === null
				? null
				: { release, low: theirs.low, high: theirs.high, samples: result.kernel.length },
	});
}

const number = (value: number): string =>
	value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });

const COLUMNS = [
	["case", 18],
	["candidates", 10],
	["model ns", 10],
	["C ns", 9],
	["C table ns", 12],
	["kernel ns", 11],
	["model/C", 9],
	["kernel/model", 14],
	["per", 6],
] as const;

/** One line of the table. All columns but the first are on the right. */
const line = (cells: readonly string[]): string =>
	cells
		.map((cell, n) => (n === 0 ? cell.padEnd(COLUMNS[n][1]) : cell.padStart(COLUMNS[n][1])))
		.join("");

function row(result: Result, shows: "median" | "low"): string {
	const { name, unit, looks, model, native, nativeTable, kernel } = result;
	const time = (values: readonly number[]) =>
		values.length === 0 ? Number.NaN : summary(values)[shows];
	const shown = (value: number, text: string) => (Number.isFinite(value) ? text : "-");
	const [medianOurs, medianC, medianTable, theirs] = [model, native, nativeTable, kernel].map(time);
	const { lowest } = result;
	const [ours, inC, table] =
		shows === "median"
			? [medianOurs, medianC, medianTable]
			: [lowest.model, lowest.native, lowest.nativeTable];
	return line([
		name,
		number(looks),
		number(ours),
		shown(inC, number(inC)),
		shown(table, number(table)),
		shown(theirs, number(theirs)),
		shown(inC, (ours / inC).toFixed(2)),
		shown(theirs, (theirs / ours).toFixed(1)),
		unit,
	]);
}

/** The machine in one line. */
function machine(compiler: string | null): string {
	const parts = [
		`${cpus()[0]?.model ?? "an unknown processor"}, ${cpus().length} cores`,
		`Node ${process.versions.node}`,
		...(compiler === null ? [] : [compiler]),
		`load ${loadavg()[0].toFixed(1)}`,
	];
	return parts.join("; ");
}

/** Runs the cases of the selected workloads. Prints one line per case. */
export async function portSearches(
	names: readonly string[],
	agent: string | undefined,
	lowest: boolean,
	output: Output,
): Promise<void> {
	const without: string[] = [];
	const measured: Measured = { kernel: null, native: null };
	try {
		measured.native = NativeSearch.compile();
	} catch (error) {
		if (!(error instanceof NativeError)) throw error;
		without.push(`without C: ${error.message}`);
	}
	const noKernel = (error: unknown) => {
		if (!(error instanceof AgentError)) throw error;
		without.push(`without the running kernel: ${error.message}`);
		measured.kernel?.end();
		measured.kernel = null;
	};
	try {
		measured.kernel = await RunningKernel.start(agent);
	} catch (error) {
		noKernel(error);
	}
	const release = measured.kernel?.release ?? null;
	try {
		if (!output.json) {
			const of = release === null ? "" : `, and on the kernel ${release}`;
			const inC = measured.native === null ? "" : ", in C";
			const shown = lowest ? "lowest times" : "medians";
			output.print(`Searches over ${number(PORTS)} ports in the model${inC}${of}: ${shown}\n`);
			output.print(`${machine(measured.native?.compiler ?? null)}\n\n`);
			output.print(`${line(COLUMNS.map(([title]) => title))}\n`);
		}
		for (const workload of WORKLOADS.filter(({ name }) => names.includes(name))) {
			let results: Result[];
			try {
				results = await measure(workload, measured, output);
			} catch (error) {
				noKernel(error);
				results = await measure(workload, measured, output);
			}
			for (const result of results) {
				output.print(
					`${output.json ? json(result, release) : row(result, lowest ? "low" : "median")}\n`,
				);
			}
		}
	} finally {
		measured.kernel?.end();
		measured.native?.end();
	}
	for (const note of without) output.note(note);
}
