// SPDX-License-Identifier: GPL-2.0-or-later
/** Reads one call, its halves joined: arguments and result. */
import { Char, isDigit, isLetter, skipWord } from "./chars.js";
import { Stop } from "./source.js";
import type { Arg, Result } from "./syntax.js";
import { ValueReader } from "./value_reader.js";

/** Stands where a call has not returned yet, or never will. */
export const UNFINISHED = "<unfinished ...>";
/** Stands where strace let go of a process in a call. */
export const DETACHED = "<detached ...>";

/** Reads one joined call. */
export class CallReader extends ValueReader {
	/** The time that -T printed. */
	duration: number | null = null;
	/** Where ")" and the result stand, for a text without strace's padding between the two. */
	closeAt = -1;
	resultAt = -1;

	/** Arguments are pushed one by one, so that an unresumed call keeps those that are complete. */
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

	/** What stands behind the arguments that a parenthesis closes; null where it is no result. */
	resultAfter(closeAt: number): Result | null {
		this.pos = closeAt + 1;
		try {
			return this.result();
		} catch (stop) {
			if (!(stop instanceof Stop)) throw stop;
			return null;
		}
	}

	/** What stands behind the last ") = ", where the rest is not understood; null for nothing. */
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
