// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What tracing costs where nobody traces: `npm run bench -- --only tracing`.
 *
 * Beside the build, a copy of it without the trace points. In each of some processes both
 * take turns, with searches that find nothing, and with calls that find a port at once.
 *
 * --check only makes the copy. This fails if the code traces in another way.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type * as Model from "../kernel-model/index.js";
import { BUILT, compare, modelIn, withVariant } from "./variant.js";
import { attempt, hostTask, LOW, openSocket, PORTS, WORKLOADS, type Workload } from "./workload.js";

const RUNS = 200;
/** Processes per case. The engine compiles the same code a little differently in each. */
const ROUNDS = 9;

/**
 * Returns a function that makes an attempt and returns its time, ns. There are `sockets` sockets
 * before.
 */
function timed(model: typeof Model, workload: Workload, sockets: number): () => number {
	const task = hostTask(model);
	// Takes each port by a search of a range of one port, which is fast.
	for (let port = LOW; port < LOW + sockets; port++) {
		const fd = openSocket(workload, task);
		task.setsockopt(fd, model.SOL_IP, model.IP_LOCAL_PORT_RANGE, (port << 16) | port);
		attempt(workload, task, fd);
	}
	const calls = sockets === 0 ? 500 : 1;
	return () => {
		const fds = Array.from({ length: calls }, () => openSocket(workload, task));
		const begin = process.hrtime.bigint();
		for (const fd of fds) attempt(workload, task, fd);
		const ns = Number(process.hrtime.bigint() - begin) / calls;
		for (const fd of fds) task.close(fd);
		return ns;
	};
}

type Case = (model: typeof Model) => () => number;
/** In the order in which they are printed. UDP's search of a free port is left out. */
const CASES: ReadonlyMap<string, Case> = new Map([
	...WORKLOADS.map((workload): [string, Case] => [
		`${workload.name}-exhausted`,
		(model) => timed(model, workload, PORTS),
	]),
	...WORKLOADS.filter(({ name }) => name !== "udp").map((workload): [string, Case] => [
		`${workload.name}-free`,
		(model) => timed(model, workload, 0),
	]),
]);

/** Removes the trace points from every file below a folder. */
function withoutTracing(folder: string): void {
	for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
		if (!name.endsWith(".js")) continue;
		const file = join(folder, name);
		const source = readFileSync(file, "utf8")
			.replaceAll("k.trace === noTrace ? null : k.trace", "null")
			.replaceAll("k.trace === noTrace", "true")
			.replaceAll("k.trace !== noTrace", "false")
			// The arguments of a trace point have no effect, so the engine drops them.
			.replaceAll(/\bk\.trace\.\w+\(/g, "void (");
		if (/\bk\.trace\b/.test(source)) {
			throw new Error(`${name} traces in a way that is not known here`);
		}
		writeFileSync(file, source);
	}
}

const json = process.argv.includes("--json");
const [only, ...folders] = process.argv.slice(2).filter((word) => word !== "--json");
if (only === "--check") {
	await withVariant(withoutTracing, () => {});
} else if (only !== undefined) {
	const of = CASES.get(only);
	if (of === undefined) throw new Error(`no case ${only}`);
	const runs: (() => number)[] = [];
	for (const folder of folders) runs.push(of(await modelIn(folder)));
	process.stdout.write(compare(runs, RUNS).join(" "));
} else {
	await withVariant(withoutTracing, (copy) => {
		const self = fileURLToPath(import.meta.url);
		const run = (name: string, ...both: string[]): number[] =>
			execFileSync(process.execPath, [self, name, ...both], { encoding: "utf8" })
				.split(" ")
				.map(Number);
		if (!json) process.stdout.write("Tracing compiled in but off, against a copy without it\n\n");
		for (const name of CASES.keys()) {
			const rounds: { off: number; none: number; percent: number }[] = [];
			for (let round = 0; round < ROUNDS; round++) {
				// The order of compilation also matters.
				const first = round % 2 === 0;
				const pair = first ? run(name, BUILT, copy) : run(name, copy, BUILT).reverse();
				const [off, none] = pair;
				rounds.push({ off, none, percent: (off / none - 1) * 100 });
			}
			rounds.sort((a, b) => a.percent - b.percent);
			const { off, none, percent } = rounds[ROUNDS >> 1];
			const [low, high] = [rounds[0].percent, rounds[ROUNDS - 1].percent];
			if (json) {
				const figures = {
					case: `tracing-${name}`,
					offNs: off,
					withoutNs: none,
					percent,
					low,
					high,
				};
				process.stdout.write(`${JSON.stringify(figures)}\n`);
				continue;
			}
			const spread = `(${low.toFixed(1)} to ${high.toFixed(1)})`;
			process.stdout.write(
				`${name.padEnd(18)} ${percent.toFixed(1).padStart(5)} % ${spread.padEnd(16)} ` +
					`${off.toFixed(0)} ns a call, ${none.toFixed(0)} without it\n`,
			);
		}
	});
}
