// SPDX-License-Identifier: GPL-2.0-or-later
/** One large cell of the grid, and the frame around a cell. */
import {
	type Cells,
	FAST_REUSE,
	FAST_REUSEPORT,
	type Layout,
	PORT_STATES,
	PORT_TIME_WAIT,
} from "../grid.js";

/** The colours of the style sheet. */
export interface Colours {
	states: string[];
	background: string;
	tried: string;
	text: string;
	accent: string;
}

/** Draws a frame around a port, `out` pixels away from its cell. */
export function drawRing(
	context: CanvasRenderingContext2D,
	{ low, high, size, columns }: Layout,
	port: number,
	colour: string,
	line: number,
	out: number,
): void {
	if (port < low || port > high || port === 0) return;
	const x = ((port - low) % columns) * size - out;
	const y = Math.floor((port - low) / columns) * size - out;
	const inner = size - (size >= 5 ? Math.max(1, Math.round(size / 12)) : 0) + 2 * out;
	context.strokeStyle = colour;
	context.lineWidth = line;
	context.strokeRect(x + line / 2, y + line / 2, inner - line, inner - line);
}

/** What stands beside the letter: connections, seconds left, fastreuse and fastreuseport. */
function besideLetter(cells: Cells, port: number): string {
	const { states, fast, left } = cells;
	const connections = cells.connections[port] ?? 0;
	if (states[port] === PORT_TIME_WAIT) return String(left[port]);
	const bits = fast[port] ?? 0;
	const reuse = (bits & FAST_REUSE) !== 0 ? "r" : "";
	const reuseport = (bits & FAST_REUSEPORT) !== 0 ? "p" : "";
	const many = connections > 99 ? "+" : connections > 1 ? String(connections) : "";
	return reuse + reuseport + many;
}

/** One large cell: a strip with the pattern of its state, its letter, its number, its marks. */
export function drawCell(
	context: CanvasRenderingContext2D,
	colours: Colours,
	cells: Cells,
	tried: boolean,
	port: number,
	x: number,
	y: number,
	size: number,
): void {
	const state = cells.states[port] ?? 0;
	const letter = PORT_STATES[state]?.letter ?? "";
	const numbered = size >= 34;
	const inner = size - Math.max(1, Math.round(size / 12));
	const strip = letter === "" ? 0 : Math.max(3, Math.round(size * 0.2));
	context.fillStyle = colours.states[0] ?? colours.background;
	context.fillRect(x + strip, y, inner - strip, inner);
	const height = numbered ? inner - 14 : inner;
	const middle = x + strip + (inner - strip) / 2;
	context.fillStyle = colours.text;
	if (letter !== "") {
		const count = besideLetter(cells, port);
		context.font = `600 ${Math.max(9, Math.round(size * 0.36))}px system-ui, sans-serif`;
		// The count, smaller, if there is room for it.
		const all = letter + count;
		const wide = context.measureText(all).width > inner - strip;
		if (wide && size >= 34) context.font = `600 ${Math.round(size * 0.26)}px system-ui, sans-serif`;
		const fits = context.measureText(all).width <= inner - strip;
		context.fillText(fits ? all : letter, middle, y + height / 2 + (numbered ? 4 : 1));
	}
	if (numbered) {
		context.font = "10px ui-monospace, monospace";
		context.fillText(String(port), middle, y + inner - 8);
	}
	if (!tried) return;
	const cross = Math.max(4, Math.round(size * 0.16));
	const right = x + inner - 3;
	context.strokeStyle = colours.tried;
	context.lineWidth = 2;
	context.beginPath();
	context.moveTo(right - cross, y + 3);
	context.lineTo(right, y + 3 + cross);
	context.moveTo(right, y + 3);
	context.lineTo(right - cross, y + 3 + cross);
	context.stroke();
}
