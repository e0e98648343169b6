// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures how much the fast scans save: `npm run bench -- --only scans`. Times one search of a
 * full range, in the build and in a copy without scans. In the copy every candidate goes through
 * C's functions. Both take turns in one process.
 *
 * --check only makes the copy. This fails if the code calls its scans in another way.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type * as Model from "../kernel-model/index.js";
import { ANY_PORT, HOST, PEER, PORT_RANGE, PORTS, WORKLOADS, type Workload } from "./workload.js";

const ROUNDS = 101;
const FILES = ["inet_connection_sock", "inet_hashtables", "udp"];

function attempt(model: typeof Model, { call, type }: Workload, task: Model.Task): number {
	const fd = task.socket(model.AF_INET, model[type], 0);
	if (call === "bind") task.bind(fd, ANY_PORT);
	else task.connect(fd, PEER, undefined, true);
	return fd;
}

/** Returns a function that runs one search of a full range and returns its time, ns per port. */
function exhausted(model: typeof Model, workload: Workload): () => number {
	const kernel = new model.Kernel();
	const net = kernel.createNet();
	net.addAddress(`${HOST}/32`, "lo");
	net.addRoute({ to: "default", dev: "lo" });
	net.setSysctl("net.ipv4.ip_local_port_range", PORT_RANGE);
	const task = kernel.createTask({ net });
	for (let port = 0; port < PORTS; port++) attempt(model, workload, task);
	return () => {
		const began = process.hrtime.bigint();
		const fd = attempt(model, workload, task);
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

/** The tenth percentile of the times. Other load on the machine only adds time. */
const fastest = (values: number[]): number =>
	values.sort((a, b) => a - b)[Math.floor(values.length / 10)];

const json = process.argv.includes("--json");
const built = fileURLToPath(new URL("..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "inet-port-model-"));
try {
	for (const folder of ["include", "net", "kernel-model"]) {
		cpSync(join(built, folder), join(copy, folder), { recursive: true });
	}
	writeFileSync(join(copy, "package.json"), '{"type":"module"}');
	withoutScans(join(copy, "net"));
	if (!process.argv.includes("--check")) {
		const [scans, none] = await Promise.all(
			[built, copy].map(async (folder) => {
				const index = pathToFileURL(join(folder, "kernel-model/index.js")).href;
				return (await import(index)) as typeof Model;
			}),
		);
		if (!json) {
			process.stdout.write(
				`A search that finds ${PORTS} ports taken: ns a port, ${ROUNDS} runs, one in ten is faster\n\n`,
			);
		}
		for (const workload of WORKLOADS) {
			const fast = exhausted(scans, workload);
			const slow = exhausted(none, workload);
			const times: [number[], number[]] = [[], []];
			for (let round = 0; round < ROUNDS; round++) {
				times[0].push(fast());
				times[1].push(slow());
			}
			const [scanNs, withoutNs] = times.map(fastest);
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
	}
} finally {
	rmSync(copy, { recursive: true });
}
