// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The range as a grid on two canvases: every port as a cell, and the ports around one of them
 * enlarged. The arrow keys move from port to port. The same is there as text.
 */

import { count, plural } from "../../machine/count.js";
import {
	type Cells,
	countStates,
	type Layout,
	layoutOf,
	PORT_STATES,
	portAt,
	portWords,
} from "../grid.js";
import { type Palette, paintCells, pixelOf } from "../paint.js";
import { type Colours, drawCell, drawRing } from "./cell.js";
import { atNextFrame, el, fill } from "./dom.js";

/** Up to so many ports the cells are large enough for letters, and nothing is enlarged. */
const FEW = 256;
/** Height of the overview, and the largest and the usual size of a cell with a letter, pixels. */
const TALL = 230;
const LARGE = 50;
const MAGNIFIED = 128;

/** What the grid shows. */
interface Shown {
	cells: Cells;
	/** 1 for each port that the search passed over so far. */
	tried: Uint8Array;
	/** The range that is shown, inclusive. */
	low: number;
	high: number;
	/** The port that the search tries, and the port that it chose; 0 for none. */
	current: number;
	chosen: number;
}

export class Range {
	readonly element: HTMLElement;
	private readonly overview = el("canvas");
	private readonly magnifier = el("canvas");
	private readonly over: HTMLElement;
	private readonly near: HTMLElement;
	private readonly legend = el("ul", { class: "legend" });
	private readonly text = el("details", { class: "as-text" });
	private readonly list = el("ul");
	private readonly caption = el("p", { class: "caption" });
	private shown: Shown | null = null;
	private layout: Layout | null = null;
	private nearLayout: Layout | null = null;
	private focused = 0;
	readonly draw = atNextFrame(() => this.paint());

	/** `inspect` is called when a port is chosen. */
	constructor(private readonly inspect: (port: number) => void) {
		this.over = this.slider(this.overview, "Port of the range", () => this.layout);
		this.near = this.slider(this.magnifier, "Port, enlarged", () => this.nearLayout);
		this.text.append(el("summary", {}, "As text"), this.list);
		this.text.addEventListener("toggle", () => this.describe());
		this.element = el(
			"div",
			{ class: "range" },
			this.over,
			this.caption,
			this.near,
			this.legend,
			this.text,
		);
		new ResizeObserver(this.draw).observe(this.element);
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.draw);
	}

	show(shown: Shown): void {
		const same = this.shown?.cells === shown.cells && this.shown.low === shown.low;
		this.shown = shown;
		if (!same) {
			this.count();
			this.describe();
		}
		this.draw();
	}

	/** Moves to a port without choosing it. */
	focus(port: number): void {
		this.focused = port;
		this.draw();
	}

	/** A canvas whose ports the pointer and the keys choose. */
	private slider(
		canvas: HTMLCanvasElement,
		label: string,
		layout: () => Layout | null,
	): HTMLElement {
		const box = el("div", { class: "canvas", role: "slider", tabindex: 0, "aria-label": label });
		box.append(canvas);
		box.addEventListener("click", (event) => {
			const grid = layout();
			const bounds = canvas.getBoundingClientRect();
			if (grid === null) return;
			const port = portAt(grid, event.clientX - bounds.left, event.clientY - bounds.top);
			if (port !== null) this.choose(port);
		});
		box.addEventListener("keydown", (event) => {
			const grid = layout();
			if (grid === null || event.altKey || event.ctrlKey || event.metaKey) return;
			const to: Readonly<Record<string, number>> = {
				ArrowRight: this.focused + 1,
				ArrowLeft: this.focused - 1,
				ArrowDown: this.focused + grid.columns,
				ArrowUp: this.focused - grid.columns,
				Home: this.shown?.low ?? 0,
				End: this.shown?.high ?? 0,
			};
			const port = to[event.key];
			if (port === undefined) return;
			event.preventDefault();
			this.choose(Math.min(Math.max(port, this.shown?.low ?? 0), this.shown?.high ?? 65535));
		});
		return box;
	}

	private choose(port: number): void {
		this.focus(port);
		this.inspect(port);
	}

	/** The legend, with how many ports have each state. */
	private count(): void {
		const { shown } = this;
		if (shown === null) return;
		const counts = countStates(shown.cells, shown.low, shown.high);
		fill(
			this.legend,
			...PORT_STATES.map(({ name, letter }, state) =>
				el(
					"li",
					{ class: `state-${state}` },
					el("span", { class: "swatch", "aria-hidden": "true" }, letter),
					`${name} ${count(counts[state] ?? 0)}`,
				),
			),
			el("li", {}, el("span", { class: "swatch tried", "aria-hidden": "true" }), "passed over"),
			el(
				"li",
				{ class: "notes" },
				"Beside a letter: connections, seconds left of T, r fastreuse, p fastreuseport",
			),
		);
	}

	/** The range as runs of ports with the same state. */
	private describe(): void {
		const { shown } = this;
		if (shown === null || !this.text.open) return;
		const { cells, low, high } = shown;
		const runs: string[] = [];
		let first = low;
		const key = (port: number) => portWords(cells, port).replace(/^port [0-9]+/, "");
		for (let port = low; port <= high && runs.length < RUNS; port++) {
			if (port < high && key(port + 1) === key(first)) continue;
			const ports = first === port ? `port ${first}` : `ports ${first}-${port}`;
			runs.push(`${ports}${key(first)}`);
			first = port + 1;
		}
		if (first <= high) runs.push(`and ${plural(high - first + 1, "more port")}`);
		fill(this.list, ...runs.map((run) => el("li", {}, run)));
	}

	private paint(): void {
		const { shown } = this;
		const width = this.element.clientWidth;
		if (shown === null || width === 0) return;
		const began = performance.now();
		const { low, high } = shown;
		const few = high - low + 1 <= FEW;
		const largest = few ? LARGE : 8;
		this.layout = layoutOf(low, high, width, TALL, largest);
		if (few) this.lettered(this.overview, this.layout);
		else this.dense(this.overview, this.layout);
		this.near.hidden = few;
		this.caption.hidden = few;
		if (!few) {
			const first = Math.min(Math.max(this.focused - MAGNIFIED / 2, 0), 65536 - MAGNIFIED) & ~1;
			const end = first + MAGNIFIED - 1;
			this.nearLayout = layoutOf(first, end, width, 160, LARGE);
			this.lettered(this.magnifier, this.nearLayout);
			this.caption.textContent = `${low}-${high}, ${count(high - low + 1)} ports. Enlarged below: ${first}-${end}.`;
		}
		for (const box of [this.over, this.near]) {
			box.setAttribute("aria-valuemin", String(low));
			box.setAttribute("aria-valuemax", String(high));
			box.setAttribute("aria-valuenow", String(Math.min(Math.max(this.focused, low), high)));
			box.setAttribute("aria-valuetext", portWords(shown.cells, this.focused));
		}
		// For measurements: milliseconds of the last drawing.
		this.element.dataset.took = (performance.now() - began).toFixed(1);
	}

	/** Prepares a canvas for a layout. Returns its context and the pixels of the screen for each. */
	private sized(canvas: HTMLCanvasElement, { size, columns, rows }: Layout) {
		const ratio = Math.min(3, Math.max(1, Math.round(devicePixelRatio)));
		const [width, height] = [columns * size, rows * size];
		if (canvas.width !== width * ratio || canvas.height !== height * ratio) {
			canvas.width = width * ratio;
			canvas.height = height * ratio;
			canvas.style.width = `${width}px`;
			canvas.style.height = `${height}px`;
		}
		return { context: canvas.getContext("2d"), ratio };
	}

	private palette(): { colours: Colours; palette: Palette } {
		const style = getComputedStyle(this.element);
		const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
		const states = PORT_STATES.map((_, state) => colour(`port-${state}`));
		const colours: Colours = {
			states,
			background: colour("panel"),
			tried: colour("tried"),
			text: colour("text"),
			accent: colour("accent"),
		};
		const palette = {
			states: states.map(pixelOf),
			background: pixelOf(colours.background),
			tried: pixelOf(colours.tried),
		};
		return { colours, palette };
	}

	/** Small cells without letters. */
	private dense(canvas: HTMLCanvasElement, layout: Layout): void {
		const { context, ratio } = this.sized(canvas, layout);
		const { shown } = this;
		if (context === null || shown === null) return;
		const { colours, palette } = this.palette();
		const image = context.createImageData(canvas.width, canvas.height);
		const pixels = new Uint32Array(image.data.buffer);
		const pitch = layout.size * ratio;
		paintCells(pixels, canvas.width, layout, pitch, shown.cells, shown.tried, palette);
		context.putImageData(image, 0, 0);
		context.setTransform(ratio, 0, 0, ratio, 0, 0);
		drawRing(context, layout, this.focused, colours.text, 1.5, 3);
		drawRing(context, layout, shown.current, colours.accent, 2.5, 5);
		drawRing(context, layout, shown.chosen, colours.accent, 2.5, 5);
	}

	/** Large cells with letters, and port numbers if they fit. */
	private lettered(canvas: HTMLCanvasElement, layout: Layout): void {
		const { context, ratio } = this.sized(canvas, layout);
		const { shown } = this;
		if (context === null || shown === null) return;
		const { colours, palette } = this.palette();
		const { low, high, size, columns } = layout;
		const image = context.createImageData(canvas.width, canvas.height);
		const pixels = new Uint32Array(image.data.buffer);
		const none = NOTHING_TRIED;
		paintCells(pixels, canvas.width, layout, size * ratio, shown.cells, none, palette);
		context.putImageData(image, 0, 0);
		context.setTransform(ratio, 0, 0, ratio, 0, 0);
		context.textAlign = "center";
		context.textBaseline = "middle";
		for (let port = low; port <= high; port++) {
			const x = ((port - low) % columns) * size;
			const y = Math.floor((port - low) / columns) * size;
			drawCell(context, colours, shown.cells, shown.tried[port] === 1, port, x, y, size);
		}
		drawRing(context, layout, this.focused, colours.text, 1.5, 0);
		drawRing(context, layout, shown.current, colours.accent, 3, -1);
		drawRing(context, layout, shown.chosen, colours.accent, 3, -1);
	}
}

/** Most runs that are listed as text. */
const RUNS = 300;
const NOTHING_TRIED = new Uint8Array(65536);
