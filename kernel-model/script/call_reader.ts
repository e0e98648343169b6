// SPDX-License-Identifier: GPL-2.0-or-later
/** Reads the arguments and the result of one call. The halves of a split call are joined before. */
import { Char, isDigit, isLetter, skipWord } from "./chars.js";
import { Stop } from "./source.js";
import type { Arg, Result } from "./syntax.js";
import { ValueReader } from "./value_reader.js";

/** strace prints this for a call that has not returned, or never returns. */
export const UNFINISHED = "<unfinished ...>";
/** strace prints this if it detaches from a process during a call. */
export const DETACHED = "<detached ...>";

/** Reads one joined call. */
export class CallReader extends ValueReader {
	/** The duration that -T printed, in seconds; null if none. */
	duration: number | null = null;
	/** The offsets of ")" and of the result. The padding between them can be removed with these. */
	closeAt = -1;
	resultAt = -1;

	/** Skips arguments that were read before. `closeAt` is the offset of the ")" after them. */
	skipArgs(closeAt: number): void {
		this.closeAt = closeAt;
		this.pos = closeAt + 1;
	}

	/** Pushes arguments one by one, so an unresumed call keeps its complete ones. */
	args(open: number, into: Arg[]): void {
		this.pos = open + 1;
		this.skip();
		if (this.peek() === Char.Close) {
			this.closeAt = this.pos++;
			return;
		}
		for (;;) {
			if (!this.killed()) {
				into.push(this.arg());
				this.skip();
				if (this.peek() === Char.Comma) {
					this.pos++;
					this.skip();
					continue;
				}
				this.killed();
			}
			if (this.peek() !== Char.Close) throw new Stop(this.pos, "',' or ')'");
			this.closeAt = this.pos++;
			return;
		}
	}

	result(): Result | null {
		this.skip();
		if (this.pos >= this.text.length) return null;
		if (this.peek() !== Char.Equals) throw new Stop(this.pos, "'=' or the end of the line");
		this.pos++;
		this.skip();
		this.resultAt = this.pos;
		const result: Result = {
			value: null,
			errno: null,
			note: null,
			column: this.column(this.pos),
		};
		const c = this.peek();
		if (c === Char.Question) {
			this.pos++;
		} else if (isDigit(c) || (c === Char.Minus && isDigit(this.text.charCodeAt(this.pos + 1)))) {
			const value = this.primary();
			if (value.kind !== "int") throw new Stop(this.resultAt, "a number or '?'");
			result.value = value.value;
		} else {
			throw new Stop(this.pos, "a number or '?'");
		}
		this.skip();
		if (isLetter(this.peek())) {
			const end = skipWord(this.text, this.pos);
			result.errno = this.text.slice(this.pos, end);
			this.pos = end;
			this.skip();
		}
		while (this.peek() === Char.Open) {
			const note = this.note();
			result.note = result.note === null ? note : `${result.note}, ${note}`;
			this.skip();
		}
		if (this.text.startsWith("<unavailable>", this.pos)) {
			this.pos += "<unavailable>".length;
			this.skip();
		}
		if (this.peek() === Char.Less) {
			const end = this.text.indexOf(">", this.pos);
			const seconds = end < 0 ? Number.NaN : Number(this.text.slice(this.pos + 1, end));
			if (Number.isNaN(seconds)) throw new Stop(this.pos, "the end of the line");
			this.duration = seconds;
			this.pos = end + 1;
			this.skip();
		}
		if (this.pos < this.text.length) throw new Stop(this.pos, "the end of the line");
		return result;
	}

	/** Reads the result after the ")" at `closeAt`; null if the text there is no result. */
	resultAfter(closeAt: number): Result | null {
		this.pos = closeAt + 1;
		try {
			return this.result();
		} catch (stop) {
			if (!(stop instanceof Stop)) throw stop;
			return null;
		}
	}

	/**
	 * Reads the result after the last ") = " of a call that cannot be read otherwise; null if there
	 * is none.
	 */
	lastResult(): Result | null {
		const found = this.text.lastIndexOf(") = ");
		return found < 0 ? null : this.resultAfter(found);
	}

	/** "<unfinished ...>" inside the parentheses: the process was killed in the call. */
	private killed(): boolean {
		if (!this.text.startsWith(UNFINISHED, this.pos)) return false;
		this.pos += UNFINISHED.length;
		this.skip();
		return true;
	}

	private note(): string {
		const start = this.pos + 1;
		let nesting = 0;
		for (let at = this.pos; at < this.text.length; at++) {
			const c = this.text.charCodeAt(at);
			if (c === Char.Quote) {
				at = this.quoteEnd(at);
			} else if (c === Char.Open) {
				nesting++;
			} else if (c === Char.Close && --nesting === 0) {
				this.pos = at + 1;
				return this.text.slice(start, at);
			}
		}
		throw new Stop(this.text.length, "')'");
	}

	private arg(): Arg {
		const name = this.fieldName();
		this.fd = null;
		const value = this.value();
		const direct = value.kind === "int" || value.kind === "flags";
		return { name, value, fd: direct && this.fdEnd === this.pos ? this.fd : null };
	}
}
