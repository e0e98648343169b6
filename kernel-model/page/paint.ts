// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Paints the cells of a range into an array of pixels. Each state has a colour and a pattern, so
 * that the colour alone carries no meaning. Cells that a search passed over are hollow.
 */
import { nth } from "../machine/nth.js";
import {
	type Cells,
	type Layout,
	PORT_BOUND,
	PORT_CONNECTED,
	PORT_FREE,
	PORT_LISTENING,
	PORT_RESERVED,
	PORT_TIME_WAIT,
} from "./grid.js";

/** Colours as pixels (little-endian RGBA), by PORT_*, and the others. */
export interface Palette {
	states: readonly number[];
	background: number;
	/** Cells that the search passed over. */
	tried: number;
}

/** A pixel of "#rrggbb". */
export function pixelOf(colour: string): number {
	const [, r = "0", g = "0", b = "0"] =
		/^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour.trim()) ?? [];
	const word = (text: string) => Number.parseInt(text, 16);
	return ((255 << 24) | (word(b) << 16) | (word(g) << 8) | word(r)) >>> 0;
}

/** Whether a pixel of a cell of `size` pixels has the colour of its state. */
function inked(state: number, x: number, y: number, size: number): boolean {
	const step = Math.max(2, Math.round(size / 5));
	// A pattern would make small cells pale.
	if (size < 5 && state !== PORT_RESERVED) return true;
	switch (state) {
		case PORT_RESERVED:
			return (x + y) % (2 * step) < step;
		case PORT_LISTENING: {
			const edge = Math.max(1, Math.round(size / 4));
			return x < edge || y < edge || x >= size - edge || y >= size - edge;
		}
		case PORT_CONNECTED:
			return x + y < size;
		case PORT_TIME_WAIT:
			return y % (2 * step) < step;
		case PORT_BOUND:
		case PORT_FREE:
			return true;
		default:
			return true;
	}
}

/** The pixels of one cell, with a gap at its right and lower edge if it is large enough. */
function tileOf(state: number, tried: boolean, pitch: number, palette: Palette): Uint32Array {
	const gap = pitch >= 5 ? Math.max(1, Math.round(pitch / 12)) : 0;
	const size = pitch - gap;
	const tile = new Uint32Array(pitch * pitch).fill(palette.background);
	const free = nth(palette.states, PORT_FREE);
	const ink = nth(palette.states, state);
	const mark = Math.max(1, Math.round(size / 3));
	const from = Math.floor((size - mark) / 2);
	for (let y = 0; y < size; y++) {
		for (let x = 0; x < size; x++) {
			let pixel = inked(state, x, y, size) ? ink : free;
			const middle = x >= from && x < from + mark && y >= from && y < from + mark;
			if (tried && (middle || size < 4)) pixel = palette.tried;
			tile[y * pitch + x] = pixel;
		}
	}
	return tile;
}

/**
 * Paints every cell of a layout into `pixels`, `width` pixels wide. `pitch` is the size of a cell in
 * pixels of the screen. `tried` has 1 for each port that was passed over.
 */
export function paintCells(
	pixels: Uint32Array,
	width: number,
	layout: Layout,
	pitch: number,
	{ states }: Cells,
	tried: Uint8Array,
	palette: Palette,
): void {
	const { low, high, columns } = layout;
	pixels.fill(palette.background);
	const tiles = palette.states.flatMap((_, state) => [
		tileOf(state, false, pitch, palette),
		tileOf(state, true, pitch, palette),
	]);
	let x = 0;
	let at = 0;
	for (let port = low; port <= high; port++) {
		const tile = nth(tiles, 2 * nth(states, port) + nth(tried, port));
		let to = at + x * pitch;
		let from = 0;
		for (let row = 0; row < pitch; row++, to += width) {
			for (let i = 0; i < pitch; i++) pixels[to + i] = tile[from++] as number;
		}
		if (++x === columns) {
			x = 0;
			at += pitch * width;
		}
	}
}
