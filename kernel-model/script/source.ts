// SPDX-License-Identifier: GPL-2.0-or-later
/** The text of a call, and where each part of it stands in the file. */
import { nth } from "../machine/nth.js";

/**
 * Thrown instead of a ScriptError while it is not known whether the error matters. A recording can
 * hold thousands of calls that cannot be read and do not matter, and a stack trace is expensive.
 */
export class Stop {
	readonly at: number;
	readonly expected: string;

	constructor(at: number, expected: string) {
		this.at = at;
		this.expected = expected;
	}
}

/** A part of a joined call that comes from one line of the file. Columns are those of this line. */
export interface Piece {
	at: number;
	line: number;
	column: number;
}

/** The text of a call, from one line or several. */
export interface Source {
	text: string;
	pieces: Piece[];
}

/** The piece that contains an offset of the text. */
export function pieceAt(pieces: Piece[], at: number): Piece {
	let last = nth(pieces, 0);
	for (const piece of pieces) {
		if (piece.at > at) break;
		last = piece;
	}
	return last;
}

/** Describes the text at an offset, for an error. */
export function describe(text: string, at: number): string {
	if (at >= text.length) return "the end of the line";
	const word = /[\w.]+|\s+|./suy;
	word.lastIndex = at;
	const found = word.exec(text)?.[0] ?? "";
	return `'${found.length > 24 ? `${found.slice(0, 24)}…` : found}'`;
}

/** The text from an offset on. */
export function tail(source: Source, start: number): Source {
	if (start === 0) return source;
	const first = pieceAt(source.pieces, start);
	const pieces = [{ at: 0, line: first.line, column: first.column + start - first.at }];
	for (const piece of source.pieces) {
		if (piece.at > start) pieces.push({ ...piece, at: piece.at - start });
	}
	return { text: source.text.slice(start), pieces };
}
