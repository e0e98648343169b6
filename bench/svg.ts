// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Charts as SVG files: lines over linear or logarithmic axes. Lines differ by dashes and markers as
 * well as by colour, so a chart can be read in black and white.
 */

export interface Axis {
	/** The label with the unit. */
	label: string;
	scale: "linear" | "log";
	min: number;
	max: number;
}

export interface Series {
	name: string;
	/** Points with ascending x. A NaN for y interrupts the line. */
	points: readonly (readonly [number, number])[];
}

export interface Chart {
	/** File name without its suffix. */
	name: string;
	title: string;
	/** The experiment in one line. */
	subtitle: string;
	x: Axis;
	y: Axis;
	series: readonly Series[];
	/** Places on the x axis whose values are listed below the text chart. */
	at?: readonly number[];
	/** Thin lines, few markers: for lines of hundreds of points. */
	dense?: boolean;
}

const WIDTH = 760;
const LEFT = 78;
const RIGHT = 20;
const TOP = 62;
const PLOT_HEIGHT = 330;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const LEGEND_ROW = 20;
const FONT = "font-family='DejaVu Sans, Verdana, Helvetica, Arial, sans-serif'";

/** Okabe and Ito's colours that are dark enough on white, with dashes and markers for print. */
const STYLES = [
	{ colour: "#000000", dash: "", marker: "circle" },
	{ colour: "#d55e00", dash: "7 3", marker: "square" },
	{ colour: "#0072b2", dash: "2 2", marker: "triangle" },
	{ colour: "#009e73", dash: "9 3 2 3", marker: "diamond" },
	{ colour: "#b04a86", dash: "12 4", marker: "cross" },
	{ colour: "#8a6d00", dash: "4 2 1 2 1 2", marker: "ring" },
	{ colour: "#56718f", dash: "1 3", marker: "plus" },
	{ colour: "#7a3b1d", dash: "14 3 3 3 3 3", marker: "box" },
] as const;
type Style = (typeof STYLES)[number];

const round = (value: number): string => String(Math.round(value * 10) / 10);

const escapeXml = (text: string): string =>
	text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/'/g, "&#39;");

/** Position of a value on an axis: 0 at min, 1 at max. */
export function position({ scale, min, max }: Axis, value: number): number {
	if (scale === "linear") return (value - min) / (max - min);
	return Math.log(value / min) / Math.log(max / min);
}

/** Values to mark: multiples of 1, 2 or 5 times a power of ten, or powers of ten. */
export function ticks({ scale, min, max }: Axis, about = 6): number[] {
	if (scale === "linear") {
		const rough = (max - min) / about;
		const power = 10 ** Math.floor(Math.log10(rough));
		const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.99) ?? rough;
		const found: number[] = [];
		for (let n = Math.ceil(min / step - 1e-9); n * step <= max * (1 + 1e-9); n++) {
			found.push(Number((n * step).toPrecision(12)));
		}
		return found;
	}
	const found: number[] = [];
	const decades = Math.log10(max / min);
	const factors = decades <= 1.5 ? [1, 2, 5] : decades <= 2.5 ? [1, 3] : [1];
	for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) {
		for (const factor of factors) {
			const value = Number((factor * 10 ** power).toPrecision(12));
			if (value >= min * (1 - 1e-9) && value <= max * (1 + 1e-9)) found.push(value);
		}
	}
	return found;
}

/** Formats a number for an axis: "28,232", "0.05". */
export function formatTick(value: number): string {
	if (value !== 0 && Math.abs(value) < 1) return String(Number(value.toPrecision(3)));
	return value.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

function marker(x: number, y: number, { marker, colour }: Style): string {
	const at = (dx: number, dy: number) => `${round(x + dx)} ${round(y + dy)}`;
	const filled = `fill='${colour}'`;
	const open = `fill='#fff' stroke='${colour}' stroke-width='1.3'`;
	const stroke = `fill='none' stroke='${colour}' stroke-width='1.5'`;
	switch (marker) {
		case "circle":
			return `<circle cx='${round(x)}' cy='${round(y)}' r='3' ${filled}/>`;
		case "ring":
			return `<circle cx='${round(x)}' cy='${round(y)}' r='3.2' ${open}/>`;
		case "square":
			return `<rect x='${round(x - 3)}' y='${round(y - 3)}' width='6' height='6' ${filled}/>`;
		case "box":
			return `<rect x='${round(x - 3)}' y='${round(y - 3)}' width='6' height='6' ${open}/>`;
		case "triangle":
			return `<path d='M${at(0, -4)}L${at(3.8, 3)}L${at(-3.8, 3)}Z' ${filled}/>`;
		case "diamond":
			return `<path d='M${at(0, -4.2)}L${at(4.2, 0)}L${at(0, 4.2)}L${at(-4.2, 0)}Z' ${open}/>`;
		case "cross":
			return `<path d='M${at(-3, -3)}L${at(3, 3)}M${at(-3, 3)}L${at(3, -3)}' ${stroke}/>`;
		case "plus":
			return `<path d='M${at(-4, 0)}L${at(4, 0)}M${at(0, -4)}L${at(0, 4)}' ${stroke}/>`;
	}
}

/** The text of an SVG file. Points beyond an axis are drawn at its end. */
export function toSvg(chart: Chart): string {
	const out: string[] = [];
	const columns = chart.series.some(({ name }) => name.length > 44) ? 1 : 2;
	const rows = Math.ceil(chart.series.length / columns);
	const height = TOP + PLOT_HEIGHT + 58 + rows * LEGEND_ROW + 8;
	const clamp = (value: number) => Math.min(1, Math.max(0, value));
	const px = (value: number) => LEFT + clamp(position(chart.x, value)) * PLOT_WIDTH;
	const py = (value: number) => TOP + (1 - clamp(position(chart.y, value))) * PLOT_HEIGHT;
	const text = (x: number, y: number, size: number, anchor: string, content: string, more = "") =>
		out.push(
			`<text x='${round(x)}' y='${round(y)}' font-size='${size}' text-anchor='${anchor}'${more}>${escapeXml(content)}</text>`,
		);

	out.push(
		`<svg xmlns='http://www.w3.org/2000/svg' width='${WIDTH}' height='${height}' viewBox='0 0 ${WIDTH} ${height}' ${FONT}>`,
		`<title>${escapeXml(chart.title)}</title>`,
		`<rect width='${WIDTH}' height='${height}' fill='#fff'/>`,
	);
	text(LEFT, 24, 16, "start", chart.title, " font-weight='bold'");
	text(LEFT, 44, 11.5, "start", chart.subtitle, " fill='#333'");

	for (const value of ticks(chart.y, 6)) {
		const y = round(py(value));
		out.push(`<path d='M${LEFT} ${y}H${LEFT + PLOT_WIDTH}' stroke='#ddd'/>`);
		text(LEFT - 7, py(value) + 4, 11.5, "end", formatTick(value));
	}
	for (const value of ticks(chart.x, 8)) {
		const x = round(px(value));
		out.push(`<path d='M${x} ${TOP}V${TOP + PLOT_HEIGHT}' stroke='#eee'/>`);
		text(px(value), TOP + PLOT_HEIGHT + 17, 11.5, "middle", formatTick(value));
	}
	out.push(
		`<rect x='${LEFT}' y='${TOP}' width='${PLOT_WIDTH}' height='${PLOT_HEIGHT}' fill='none' stroke='#444'/>`,
	);
	text(LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 38, 12.5, "middle", chart.x.label);
	const middle = TOP + PLOT_HEIGHT / 2;
	text(18, middle, 12.5, "middle", chart.y.label, ` transform='rotate(-90 18 ${middle})'`);

	chart.series.forEach(({ points }, index) => {
		const style = STYLES[index % STYLES.length];
		let path = "";
		let pen = "M";
		for (const [x, y] of points) {
			if (Number.isNaN(y)) {
				pen = "M";
				continue;
			}
			path += `${pen}${round(px(x))} ${round(py(y))}`;
			pen = "L";
		}
		const dash = style.dash === "" || chart.dense ? "" : ` stroke-dasharray='${style.dash}'`;
		const width = chart.dense ? 1.1 : 1.6;
		out.push(
			`<path d='${path}' fill='none' stroke='${style.colour}' stroke-width='${width}'${dash} stroke-linejoin='round'/>`,
		);
		// Each line places its markers differently, so markers of equal lines do not overlap.
		const drawn = points.filter(([, y]) => !Number.isNaN(y));
		const every = chart.dense
			? Math.ceil(drawn.length / 20)
			: Math.max(1, Math.round(drawn.length / 12));
		const shift = Math.floor((index * every) / chart.series.length);
		drawn.forEach(([x, y], n) => {
			if (n % every === shift) out.push(marker(px(x), py(y), style));
		});
	});

	chart.series.forEach(({ name }, index) => {
		const style = STYLES[index % STYLES.length];
		const x = LEFT + Math.floor(index / rows) * (PLOT_WIDTH / columns);
		const y = TOP + PLOT_HEIGHT + 60 + (index % rows) * LEGEND_ROW;
		const dash = style.dash === "" || chart.dense ? "" : ` stroke-dasharray='${style.dash}'`;
		out.push(
			`<path d='M${round(x)} ${y}h36' stroke='${style.colour}' stroke-width='1.6'${dash}/>`,
			marker(x + 18, y, style),
		);
		text(x + 44, y + 4, 11.5, "start", name);
	});
	out.push("</svg>", "");
	return out.join("\n");
}
