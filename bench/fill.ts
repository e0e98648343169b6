// SPDX-License-Identifier: GPL-2.0-or-later
/** Filling the default range by connect(), by the kernel's scan and guided by bitmaps. */
import { DEFAULT_RANGE, fill, portsOf } from "./experiments.js";
import { bitmapGuided } from "./lab/bitmap.js";
import { kernelSearch } from "./lab/linear.js";
import type { Strategy } from "./strategy.js";

const VERSION = "7.3";
const RUNS = { linear: 3, bitmap: 9 };

/** Medians, in ms. */
export interface FillTimes {
	ports: number;
	linearMs: number;
	bitmapMs: number;
	ratio: number;
}

/** Throws an Error if the two searches do not come to the same ports. */
export function fillTimes(progress: (what: string) => void): FillTimes {
	const ports = portsOf(DEFAULT_RANGE);
	const run = (strategy: Strategy, runs: number) => {
		progress(`${strategy.name}: filling ${ports} ports`);
		return Array.from({ length: runs }, () => fill(strategy)).sort((a, b) => a.ms - b.ms);
	};
	const bitmap = run(bitmapGuided(VERSION), RUNS.bitmap);
	const linear = run(kernelSearch(VERSION), RUNS.linear);
	const same = bitmap.every((found) => found.ports.every((port, n) => port === linear[0].ports[n]));
	if (!same) throw new Error("the bitmap-guided search came to other ports than the linear scan");
	const [linearMs, bitmapMs] = [linear, bitmap].map((runs) => runs[runs.length >> 1].ms);
	return { ports, linearMs, bitmapMs, ratio: linearMs / bitmapMs };
}

export function fillFigures({ ports, linearMs, bitmapMs, ratio }: FillTimes): string {
	const ms = (value: number, runs: number) =>
		`${value.toFixed(0).padStart(6)} ms (median of ${runs})`;
	return [
		`Filling ${ports.toLocaleString("en")} ports by connect() to one destination, kernel ${VERSION}`,
		"",
		`linear scan    ${ms(linearMs, RUNS.linear)}`,
		`bitmap-guided  ${ms(bitmapMs, RUNS.bitmap)}, ${ratio.toFixed(0)} times faster`,
		"every call got the same port from both",
		"",
	].join("\n");
}
