// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures the cost of the port searches, in the model and on the running kernel. The cost of
 * filling the range is per call. The cost of a search in a full range is per candidate.
 */

import Benchmark from "benchmark";
import { noTrace } from "../include/trace/events/port_search.js";
import * as model from "../kernel-model/index.js";
import { AgentError } from "../kernel-model/real/agent/agent.js";
import { LookCounter } from "./looks.js";
import type { Output } from "./output.js";
import { RunningKernel } from "./running.js";
import { attempt, hostTask, openSocket, PORTS, WORKLOADS, type Workload } from "./workload.js";

/** Time for the samples of a case in the model, seconds. A few samples are always taken. */
const SECONDS = 2;
const SAMPLES = 3;
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

/** Time of each run, ns, sorted. `before` runs before each of them and is not timed. */
function samples(run: () => void, before?: () => void): number[] {
	const bench = new Benchmark(run, {
		minSamples: SAMPLES,
		maxTime: SECONDS,
		// Short samples make the median independent of other load on the machine.
		minTime: 0.002,
		onStart: before,
		onCycle: before,
	});
	bench.run();
	const { error, stats } = bench as Benchmark & { error?: Error };
	if (error !== undefined) throw error;
	return stats.sample.map((seconds) => seconds * 1e9).sort((a, b) => a - b);
}

/**
 * Sorted samples of a case, ns per call or per port. Empty for the kernel if it cannot be asked.
 */
interface Result {
	name: string;
	unit: "call" | "port";
	/** Mean number of candidates per call. */
	looks: number;
	model: number[];
	kernel: number[];
}

async function measure(workload: Workload, kernel: RunningKernel | null, output: Output) {
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
		kernel: [],
	};
	counter.looks = 0;
	search(workload, counted.task);
	const full: Result = {
		name: `${name}-exhausted`,
		unit: "port",
		looks: counter.looks,
		model: [],
		kernel: [],
	};
	counted.task.kernel.trace = noTrace;

	output.progress(`${name}: filling, in the model`);
	let ready: Prepared | null = null;
	const run = () => {
		fill(workload, ready ?? prepare(workload, PORTS));
		ready = null;
	};
	const times = samples(run, () => {
		ready = prepare(workload, PORTS);
	});
	filled.model = times.map((ns) => ns / PORTS);
	if (kernel !== null) {
		let spent = 0;
		while (spent < KERNEL_SECONDS * 1e9 && filled.kernel.length < KERNEL_FILLS) {
			output.progress(`${name}: filling, on ${kernel.release}`);
			const ns = await kernel.fill(workload);
			spent += ns;
			filled.kernel.push(ns / PORTS);
		}
	}
	output.progress(`${name}: searching in vain`);
	full.model = samples(() => search(workload, counted.task)).map((ns) => ns / full.looks);
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
	return JSON.stringify({
		case: result.name,
		[`model${unit}`]: ours.median,
		[`kernel${unit}`]: theirs?.median ?? null,
		ratio: theirs === null ? null : theirs.median / ours.median,
		looksPerCall: result.looks,
		model: { low: ours.low, high: ours.high, samples: result.model.length },
		kernel:
			theirs === null
				? null
				: { release, low: theirs.low, high: theirs.high, samples: result.kernel.length },
	});
}

const number = (value: number): string =>
	value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });

/** Width of a column with a median and its range. */
const CELL = 31;

function cell(values: readonly number[]): string {
	if (values.length === 0) return "-".padStart(9).padEnd(CELL);
	const { median, low, high } = summary(values);
	const spread = values.length === 1 ? "(once)" : `(${number(low)} to ${number(high)})`;
	return `${number(median).padStart(9)} ${spread}`.padEnd(CELL);
}

function row({ name, unit, looks, model, kernel }: Result): string {
	const ratio =
		kernel.length === 0 ? "-" : (summary(kernel).median / summary(model).median).toFixed(1);
	const counted = number(looks).padStart(7);
	return `${name.padEnd(18)}${counted}  ${unit}${cell(model)}${cell(kernel)}${ratio.padStart(6)}`;
}

/** Runs the cases of the selected workloads. Prints one line per case. */
export async function portSearches(
	names: readonly string[],
	agent: string | undefined,
	output: Output,
): Promise<void> {
	let kernel: RunningKernel | null = null;
	let without = "";
	try {
		kernel = await RunningKernel.start(agent);
	} catch (error) {
		if (!(error instanceof AgentError)) throw error;
		without = error.message;
	}
	const release = kernel?.release ?? null;
	try {
		if (!output.json) {
			const of = release === null ? "" : `, and on the kernel ${release}`;
			output.print(`Searches over ${number(PORTS)} ports in the model${of}\n\n`);
			const head = ["model ns", "kernel ns"].map(
				(side) => `${side.padStart(9)} (lowest to highest)`,
			);
			const columns = head.map((title) => title.padEnd(CELL)).join("");
			output.print(`${"case".padEnd(18)}${"looks".padStart(7)}  per ${columns} ratio\n`);
		}
		for (const workload of WORKLOADS.filter(({ name }) => names.includes(name))) {
			let results: Result[];
			try {
				results = await measure(workload, kernel, output);
			} catch (error) {
				if (!(error instanceof AgentError)) throw error;
				without = error.message;
				kernel?.end();
				kernel = null;
				results = await measure(workload, null, output);
			}
			for (const result of results) {
				output.print(`${output.json ? json(result, release) : row(result)}\n`);
			}
		}
	} finally {
		kernel?.end();
	}
	if (without !== "") output.note(`without the running kernel: ${without}`);
}
