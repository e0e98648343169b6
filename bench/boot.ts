// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures what a kernel costs before it is used: `npm run bench -- --only boot`. Tables are allocated
 * when they are first read. `--json` prints one object.
 */
import { Kernel } from "../kernel-model/index.js";
import { output } from "./output.js";

const KERNELS = 2000;

const out = output(process.argv.includes("--json"));

const times: number[] = [];
for (let n = 0; n < KERNELS; n++) {
	const began = process.hrtime.bigint();
	new Kernel();
	times.push(Number(process.hrtime.bigint() - began));
}
times.sort((a, b) => a - b);
const memory = (): number => {
	const { heapUsed, arrayBuffers } = process.memoryUsage();
	return heapUsed + arrayBuffers;
};
// While kernels are kept, garbage of other kinds is small beside them.
const kept: Kernel[] = [];
const before = memory();
for (let n = 0; n < KERNELS; n++) kept.push(new Kernel());
const bytes = (memory() - before) / kept.length;
const [low, median] = [times[0], times[KERNELS >> 1]];
out.print(
	out.json
		? `${JSON.stringify({ case: "boot", medianNs: median, lowNs: low, bytes })}\n`
		: `new Kernel(): ${(median / 1000).toFixed(0)} us (lowest ${(low / 1000).toFixed(0)}), ${(bytes / 1000).toFixed(0)} KB until it is used\n`,
);
