// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Fills the default range by connect(), with the kernel's scan and with the bitmap-guided search.
 */
import { DEFAULT_RANGE, fill, portsOf, searchTime } from "./experiments.js";
import { bitmapGuided } from "./lab/bitmap.js";
import { kernelSearch } from "./lab/linear.js";
import type { Strategy } from "./strategy.js";

const VERSION = "7.3";
const RUNS = { linear: 7, bitmap: 40 };
/** Runs before the measured ones. The engine compiles in them. */
const WARM_UP = { linear: 1, bitmap: 25 };

/**
 * Lowest times of the whole calls and of their searches, ms. The rest of a call is the same for both.
 */
interface FillTimes {
	ports: number;
	linearMs: number;
	bitmapMs: number;
	ratio: number;
	linearSearchMs: number;
	bitmapSearchMs: number;
	searchRatio: number;
}

/** Throws Error if the two searches choose different ports. */
export function fillTimes(progress: (what: string) => void): FillTimes {
	const ports = portsOf(DEFAULT_RANGE);
	const run = (strategy: Strategy, kind: keyof typeof RUNS) => {
		progress(`${strategy.name}: filling ${ports} ports`);
		for (let n = 0; n < WARM_UP[kind]; n++) fill(strategy);
		return Array.from({ length: RUNS[kind] }, () => fill(strategy)).sort((a, b) => a.ms - b.ms);
	};
	const bitmap = run(bitmapGuided(VERSION), "bitmap");
	const linear = run(kernelSearch(VERSION), "linear");
	const same = bitmap.every((found) => found.ports.every((port, n) => port === linear[0].ports[n]));
	if (!same) throw new Error("the bitmap-guided search chose other ports than the linear scan");
	const [linearMs, bitmapMs] = [linear, bitmap].map((runs) => runs[0].ms);
	const searches = Array.from({ length: RUNS.bitmap }, () => searchTime(bitmapGuided(VERSION)));
	const bitmapSearchMs = Math.min(...searches);
	const linearSearchMs = linearMs - (bitmapMs - bitmapSearchMs);
	const ratio = linearMs / bitmapMs;
	const searchRatio = linearSearchMs / bitmapSearchMs;
	return { ports, linearMs, bitmapMs, ratio, linearSearchMs, bitmapSearchMs, searchRatio };
}

export function fillFigures(times: FillTimes): string {
	const row = (name: string, linear: number, bitmap: number, ratio: number) => {
		const figures = [linear, bitmap].map((ms) => `${ms.toFixed(0).padStart(8)} ms`).join("");
		return `${name.padEnd(16)}${figures}${ratio.toFixed(0).padStart(11)} times`;
	};
	return [
		`Filling ${times.ports.toLocaleString("en")} ports by connect() to one destination, kernel ${VERSION}`,
		"",
		`${" ".repeat(16)} linear scan  by bitmap     faster`,
		row("whole calls", times.linearMs, times.bitmapMs, times.ratio),
		row("their searches", times.linearSearchMs, times.bitmapSearchMs, times.searchRatio),
		"every call got the same port from both",
		"",
	].join("\n");
}
