// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures how much the fast scans save: `npm run bench -- --only scans`. Times one search of a
 * full range, in the build and in a copy without scans. In the copy every candidate goes through
 * C's functions. Both take turns in one process.
 *
 * --check only makes the copy. This fails if the code calls its scans in another way.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as Model from "../kernel-model/index.js";
import { BUILT, compare, modelIn, withVariant } from "./variant.js";
import { attempt, hostTask, openSocket, PORTS, WORKLOADS, type Workload } from "./workload.js";

const ROUNDS = 101;
const FILES = ["inet_connection_sock", "inet_hashtables", "udp"];

/** Returns a function that runs one search of a full range and returns its time, ns per port. */
function exhausted(model: typeof Model, workload: Workload): () => number {
	const task = hostTask(model);
	const search = () => {
		const fd = openSocket(workload, task);
		attempt(workload, task, fd);
		return fd;
	};
	for (let port = 0; port < PORTS; port++) search();
	return () => {
		const began = process.hrtime.bigint();
		const fd = search();
		const ns = Number(process.hrtime.bigint() - began);
		task.close(fd);
		return ns / PORTS;
	};
}

/** Removes the calls of the scans from the files below a copy of net/. */
function withoutScans(net: string): void {
	for (const name of FILES) {
		const file = join(net, "ipv4", `${name}.js`);
		const parts = readFileSync(file, "utf8").split("if (k.trace === noTrace)");
		if (parts.length !== 2) throw new Error(`${name}.js calls ${parts.length - 1} scans, not one`);
		writeFileSync(file, parts.join("if (false)"));
	}
}

const json = process.argv.includes("--json");
await withVariant(withoutScans, async (copy) => {
	if (process.argv.includes("--check")) return;
	const [scans, none] = await Promise.all([BUILT, copy].map(modelIn));
	if (!json) {
		process.stdout.write(
			`A search that finds ${PORTS} ports taken: ns a port, ${ROUNDS} runs, one in ten is faster\n\n`,
		);
	}
	for (const workload of WORKLOADS) {
		const [scanNs, withoutNs] = compare(
			[exhausted(scans, workload), exhausted(none, workload)],
			ROUNDS,
		);
		if (json) {
			const figures = { case: `scans-${workload.name}`, scanNs, withoutNs };
			process.stdout.write(`${JSON.stringify(figures)}\n`);
		} else {
			const [fastNs, slowNs] = [scanNs, withoutNs].map((ns) => ns.toFixed(1).padStart(6));
			process.stdout.write(
				`${workload.name.padEnd(8)} ${fastNs} with the scan, ${slowNs} without\n`,
			);
		}
	}
});
