// SPDX-License-Identifier: GPL-2.0-or-later
/** The leader of a line: pid and time. Either may be missing. */
import { Char, isDigit, isSpace, match, skipSpace } from "./chars.js";

const HALF_DAY = 43200;
const DAY = 86400;
/** pids are below 2^22 and time deltas are short. A larger number is seconds since 1970. */
const EPOCH_MIN = 1e8;

const PID_BRACKET = /\[pid\s+(\d+)(?:<[^>]*>)?\]\s*/y;
const PID_COMMENT = /\/\*[^*]*\*\/\s*/y;
const CLOCK = /(\d\d):(\d\d):(\d\d(?:\.\d+)?)\s+/y;
const DELTA_BESIDE_CLOCK = /\(\+\s*\d+(?:\.\d+)?\)\s*/y;
const SYSCALL_NUMBER_OR_IP = /\[\s*(?:[0-9a-f]+|\?+)\]\s/y;

/** Reads pid and time of one line after another. */
export class Leader {
	/** The pid of the current line; null if it has none. */
	pid: number | null = null;
	/**
	 * In seconds: since 1970, since the midnight before the first line, or since the first line.
	 */
	time: number | null = null;
	/** The last clock time, midnights passed since the first line, and the sum of time deltas. */
	private lastClock = Number.NEGATIVE_INFINITY;
	private midnights = 0;
	private elapsed = 0;
	/**
	 * Whether the times are not deltas. The first delta is 0, so a first time that is longer is not
	 * a delta. Null before the first time.
	 */
	private counted: boolean | null = null;

	/** Reads the leader of a line. Returns the offset of the rest. */
	read(text: string, start: number): number {
		let at = start;
		this.pid = null;
		this.time = null;
		let c = text.charCodeAt(at);
		if (isDigit(c)) {
			let end = at;
			while (isDigit(text.charCodeAt(end))) end++;
			const after = text.charCodeAt(end);
			const value = Number(text.slice(at, end));
			// strace pads deltas of whole seconds to six columns.
			const delta = start > 0 && end === 6;
			if (after === Char.Less) {
				// -Y prints the name of the process.
				const close = text.indexOf(">", end);
				this.pid = value;
				at = skipSpace(text, close < 0 ? end : close + 1);
			} else if (isSpace(after) && value < EPOCH_MIN && !delta) {
				this.pid = value;
				at = skipSpace(text, end);
				if (text.charCodeAt(at) === Char.Slash) at += match(PID_COMMENT, text, at)?.[0].length ?? 0;
			}
		} else if (c === Char.OpenBracket) {
			const bracket = match(PID_BRACKET, text, at);
			if (bracket !== null) {
				this.pid = Number(bracket[1]);
				at += bracket[0].length;
			}
		}
		c = text.charCodeAt(at);
		if (isDigit(c)) {
			at = this.timeStamp(text, at);
			c = text.charCodeAt(at);
		}
		for (let n = 0; n < 2 && c === Char.OpenBracket; n++) {
			at += match(SYSCALL_NUMBER_OR_IP, text, at)?.[0].length ?? 0;
			c = text.charCodeAt(at);
		}
		return at;
	}

	private timeStamp(text: string, at: number): number {
		const clock = match(CLOCK, text, at);
		if (clock !== null) {
			const time = Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3]);
			// A small step back means that the clock was set. A large one means midnight.
			if (time < this.lastClock - HALF_DAY) this.midnights++;
			this.lastClock = time;
			this.time = this.midnights * DAY + time;
			at += clock[0].length;
			return at + (match(DELTA_BESIDE_CLOCK, text, at)?.[0].length ?? 0);
		}
		let end = at;
		while (isDigit(text.charCodeAt(end)) || text.charCodeAt(end) === Char.Dot) end++;
		const value = Number(text.slice(at, end));
		if (Number.isNaN(value) || !isSpace(text.charCodeAt(end))) return at;
		at = skipSpace(text, end);
		this.counted ??= value >= 100;
		if (value >= EPOCH_MIN || this.counted) {
			this.time = value;
			return at + (match(DELTA_BESIDE_CLOCK, text, at)?.[0].length ?? 0);
		}
		// Rounds to nanoseconds, so a long sum does not drift.
		this.elapsed = Math.round((this.elapsed + value) * 1e9) / 1e9;
		this.time = this.elapsed;
		return at;
	}
}
