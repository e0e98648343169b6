// SPDX-License-Identifier: GPL-2.0-or-later
/** The same charts as text, 80 columns wide: each line is drawn with its own letter. */
import { type Chart, formatTick, position, ticks } from "./svg.js";

const WIDTH = 80;
const LEFT = 9;
const COLUMNS = WIDTH - LEFT - 2;
const ROWS = 16;

/** Lines of at most WIDTH columns; all but the first begin after `indent`. */
function wrap(text: string, indent: string): string[] {
	if (text.length <= WIDTH) return [text];
	const lines: string[] = [];
	let line = "";
	for (const word of text.split(" ")) {
		const longer = line === "" ? word : `${line} ${word}`;
		if (longer.length <= WIDTH) line = longer;
		else {
			lines.push(line);
			line = `${indent}${word}`;
		}
	}
	return [...lines, line];
}

/** Where lines meet, the first line of the legend is visible. */
export function toText(chart: Chart): string {
	const cells = Array.from({ length: ROWS }, () => new Array<string>(COLUMNS).fill(" "));
	const clamp = (value: number) => Math.min(1, Math.max(0, value));
	const column = (value: number) => Math.round(clamp(position(chart.x, value)) * (COLUMNS - 1));
	const row = (value: number) => Math.round((1 - clamp(position(chart.y, value))) * (ROWS - 1));

	[...chart.series.entries()].reverse().forEach(([index, { points }]) => {
		const letter = String.fromCharCode(97 + index);
		let before: readonly [number, number] | null = null;
		for (const [x, y] of points) {
			if (Number.isNaN(y)) {
				before = null;
				continue;
			}
			const [c, r] = [column(x), row(y)];
			const [from, start] = before ?? [c, r];
			// The line between two points, cell by cell.
			const steps = Math.max(Math.abs(c - from), Math.abs(r - start), 1);
			for (let n = before === null ? steps : 1; n <= steps; n++) {
				const at = Math.round(from + ((c - from) * n) / steps);
				cells[Math.round(start + ((r - start) * n) / steps)][at] = letter;
			}
			before = [c, r];
		}
	});

	const labels = new Map<number, string>();
	for (const value of ticks(chart.y, 5)) labels.set(row(value), formatTick(value));
	const lines = [chart.title, ...wrap(chart.subtitle, ""), "", chart.y.label];
	cells.forEach((cell, index) => {
		const label = labels.get(index);
		lines.push(
			`${(label ?? "").padStart(LEFT - 1)} ${label === undefined ? "|" : "+"}${cell.join("")}`.trimEnd(),
		);
	});
	const marks = new Array<string>(COLUMNS).fill("-");
	const under = new Array<string>(WIDTH).fill(" ");
	for (const value of ticks(chart.x, 6)) {
		const at = column(value);
		marks[at] = "+";
		const label = formatTick(value);
		const start = Math.min(
			WIDTH - label.length,
			Math.max(0, LEFT + 1 + at - Math.floor(label.length / 2)),
		);
		for (let n = 0; n < label.length; n++) under[start + n] = label[n];
	}
	lines.push(`${" ".repeat(LEFT)}+${marks.join("")}`, under.join("").trimEnd());
	lines.push(chart.x.label.padStart(LEFT + Math.floor((COLUMNS + chart.x.label.length) / 2)), "");
	chart.series.forEach(({ name }, index) => {
		lines.push(...wrap(`  ${String.fromCharCode(97 + index)}  ${name}`, "     "));
	});
	return `${[...lines, ...table(chart)].join("\n")}\n`;
}

/** The values of the lines at some places of the x axis. */
function table({ at, series }: Chart): string[] {
	if (at === undefined) return [];
	const cells = (values: readonly string[]) => values.map((value) => value.padStart(9)).join("");
	const rows = series.map(({ points }, index) => {
		const values = at.map((place) => {
			const y = points.find(([x]) => x === place)?.[1] ?? Number.NaN;
			return Number.isNaN(y) ? "-" : y.toLocaleString("en-US", { maximumSignificantDigits: 4 });
		});
		return `  ${String.fromCharCode(97 + index)}${cells(values)}`;
	});
	return ["", `  x${cells(at.map(formatTick))}`, ...rows];
}
