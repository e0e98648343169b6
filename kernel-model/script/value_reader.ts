// SPDX-License-Identifier: GPL-2.0-or-later
/** Reads the values of arguments into trees. The tree does not depend on strace's options. */
import { nth } from "../machine/nth.js";
import {
	Char,
	isDigit,
	isHexDigit,
	isLetter,
	isSpace,
	isWord,
	skipSpace,
	skipWord,
} from "./chars.js";
import { type Piece, pieceAt, type Source, Stop } from "./source.js";
import type { Value } from "./syntax.js";

/**
 * Most nested values. Real output nests six deep (netlink). The limit keeps the recursion from
 * overflowing the stack.
 */
const MAX_DEPTH = 100;
/**
 * Most characters of the text after a descriptor. No socket that strace describes is longer. Bounds
 * the search for a missing bracket.
 */
const MAX_FD_TEXT = 1024;
/** Decimal digits that a number always holds exactly. */
const MAX_DIGITS = 15;
const SOCKET = /[\w-]+:\[/y;
/** The speed, which is the first word of terminal settings. */
const BAUD = /^B\d+$/;

type IntValue = Extract<Value, { kind: "int" }>;
type FlagsValue = Extract<Value, { kind: "flags" }>;

/**
 * The precedences of C's operators. " or " stands between constants of equal value (`TCGETS or
 * SNDCTL_…`).
 */
const PRECEDENCE: Record<string, number> = {
	or: 1,
	"||": 1,
	"&&": 2,
	"|": 3,
	"^": 4,
	"&": 5,
	"==": 6,
	"!=": 6,
	"<<": 8,
	">>": 8,
	"+": 9,
	"-": 9,
	"*": 10,
	"/": 10,
	"%": 10,
};

const ARITHMETIC: Record<string, (a: number, b: number) => number> = {
	"|": orInts,
	"^": (a, b) => Number(BigInt(a) ^ BigInt(b)),
	"&": (a, b) => Number(BigInt(a) & BigInt(b)),
	"<<": (a, b) => a * 2 ** b,
	">>": (a, b) => Math.floor(a / 2 ** b),
	"+": (a, b) => a + b,
	"-": (a, b) => a - b,
	"*": (a, b) => a * b,
	"/": (a, b) => Math.trunc(a / b),
	"%": (a, b) => a % b,
};

/** clone's flags are wider than the 32 bits of JavaScript's "|". */
function orInts(a: number, b: number): number {
	if (a >= 0 && b >= 0 && a < 0x80000000 && b < 0x80000000) return a | b;
	return Number(BigInt(a) | BigInt(b));
}

const ESCAPES: Record<string, number> = {
	n: 10,
	t: 9,
	r: 13,
	f: 12,
	v: 11,
	a: 7,
	b: 8,
	e: 27,
	'"': 34,
	"'": 39,
	"\\": 92,
	"?": 63,
};

const UTF8 = new TextEncoder();

/** Reads one joined call. */
export class ValueReader {
	protected readonly text: string;
	private readonly pieces: Piece[];
	private readonly base: number;
	protected pos = 0;
	private depth = 0;
	/**
	 * The last <…> after a descriptor, and the offset of its end. It belongs to the argument that
	 * ends there.
	 */
	protected fd: string | null = null;
	protected fdEnd = -1;

	constructor(source: Source) {
		this.text = source.text;
		this.pieces = source.pieces;
		this.base = source.pieces.length === 1 ? nth(source.pieces, 0).column : -1;
	}

	protected peek(): number {
		return this.text.charCodeAt(this.pos);
	}

	protected column(at: number): number {
		if (this.base >= 0) return this.base + at;
		const piece = pieceAt(this.pieces, at);
		return piece.column + at - piece.at;
	}

	/** Skips spaces and comments. */
	protected skip(): void {
		for (;;) {
			const c = this.peek();
			if (isSpace(c)) {
				this.pos++;
			} else if (c === Char.Slash && this.text.charCodeAt(this.pos + 1) === Char.Star) {
				this.comment();
			} else {
				return;
			}
		}
	}

	protected comment(): string {
		const start = this.pos + 2;
		let end = this.text.indexOf("*/", start);
		// -X verbose nests them: 0 /* QCMD(0 /* Q_??? */, USRQUOTA) */
		let nested = this.text.indexOf("/*", start);
		while (end >= 0 && nested >= 0 && nested < end) {
			end = this.text.indexOf("*/", end + 2);
			nested = this.text.indexOf("/*", nested + 2);
		}
		if (end < 0) throw new Stop(this.text.length, "'*/'");
		this.pos = end + 2;
		return this.text.slice(start, end).trim();
	}

	protected quoteEnd(at: number): number {
		for (at++; at < this.text.length; at++) {
			const c = this.text.charCodeAt(at);
			if (c === Char.Backslash) {
				at++;
			} else if (c === Char.Quote) {
				break;
			}
		}
		return at;
	}

	/**
	 * Reads the name in "name=", but not in "name == 1" or "name => 1". termios has "c_cc[VMIN]=".
	 */
	protected fieldName(): string | null {
		const start = this.pos;
		if (!isLetter(this.peek())) return null;
		let end = skipWord(this.text, start);
		if (this.text.charCodeAt(end) === Char.OpenBracket) {
			end = skipWord(this.text, end + 1);
			if (this.text.charCodeAt(end) !== Char.CloseBracket) return null;
			end++;
		}
		if (!this.assigns(end)) return null;
		this.pos = end + 1;
		this.skip();
		return this.text.slice(start, end);
	}

	private assigns(at: number): boolean {
		if (this.text.charCodeAt(at) !== Char.Equals) return false;
		const next = this.text.charCodeAt(at + 1);
		return next !== Char.Equals && next !== Char.Greater;
	}

	/**
	 * Reads a value, and the value after the call if it is printed: strace 5.x writes "=>", earlier
	 * versions "->".
	 */
	protected value(): Value {
		const simple = this.simple();
		if (simple !== null) return simple;
		const start = this.pos;
		const before = this.expression(1);
		const end = this.pos;
		this.skip();
		const c = this.peek();
		if (
			(c === Char.Equals || c === Char.Minus) &&
			this.text.charCodeAt(this.pos + 1) === Char.Greater
		) {
			this.pos += 2;
			this.skip();
			const after = this.expression(1);
			return { kind: "change", before, after, column: this.column(start) };
		}
		this.pos = end;
		return before;
	}

	/**
	 * A decimal number or a name with nothing behind it but the next value. Most values are of this
	 * kind. Null for another value, which is not read then.
	 */
	private simple(): Value | null {
		const { text, pos: start } = this;
		let end = start;
		while (isWord(text.charCodeAt(end))) end++;
		const next = text.charCodeAt(end);
		if (next !== Char.Comma && next !== Char.Close) {
			if (next !== Char.CloseBrace && next !== Char.CloseBracket) return null;
		}
		if (this.depth >= MAX_DEPTH) return null;
		const first = text.charCodeAt(start);
		if (isLetter(first)) {
			this.pos = end;
			const name = text.slice(start, end);
			const column = this.column(start);
			if (name === "NULL") return { kind: "null", column };
			return { kind: "flags", names: [name], extra: 0, column };
		}
		if (end === start || end > start + MAX_DIGITS) return null;
		if (first === Char.Zero && end > start + 1) return null;
		let value = 0;
		for (let at = start; at < end; at++) {
			const c = text.charCodeAt(at);
			if (!isDigit(c)) return null;
			value = value * 10 + c - Char.Zero;
		}
		this.pos = end;
		return { kind: "int", value, symbol: null, column: this.column(start) };
	}

	private expression(weakest: number): Value {
		const start = this.pos;
		let left = this.primary();
		for (;;) {
			const end = this.pos;
			this.skip();
			const operator = this.operator(this.pos > end);
			const strength = operator === null ? -1 : (PRECEDENCE[operator] ?? -1);
			if (operator === null || strength < weakest) {
				this.pos = end;
				return left;
			}
			this.pos += operator.length;
			this.skip();
			const right = this.expression(strength + 1);
			left = this.combine(operator, left, right, start);
		}
	}

	private operator(spaced: boolean): string | null {
		const c = this.peek();
		const next = this.text.charCodeAt(this.pos + 1);
		switch (c) {
			case Char.Bar:
				return next === Char.Bar ? "||" : "|";
			case Char.Ampersand:
				return next === Char.Ampersand ? "&&" : "&";
			case Char.Equals:
				return next === Char.Equals ? "==" : null;
			case 33:
				return next === Char.Equals ? "!=" : null;
			case Char.Less:
				return next === Char.Less ? "<<" : null;
			case Char.Greater:
				return next === Char.Greater ? ">>" : null;
			case Char.Minus:
			case Char.Plus:
				// " -echo" is the next word of a list, " - echo" would be a difference.
				if (next === Char.Greater || (spaced && !isSpace(next))) return null;
				return c === Char.Minus ? "-" : "+";
			case Char.Star:
				return "*";
			case Char.Slash:
				return "/";
			case 37:
				return "%";
			case 94:
				return "^";
			case 111:
				return spaced && this.text.startsWith("or ", this.pos) ? "or" : null;
			default:
				return null;
		}
	}

	private combine(operator: string, left: Value, right: Value, start: number): Value {
		const column = this.column(start);
		if (left.kind === "int" && right.kind === "int") {
			const compute = ARITHMETIC[operator];
			const value = compute === undefined ? Number.NaN : compute(left.value, right.value);
			if (Number.isInteger(value)) {
				// -X verbose: 0x1 /* SOCK_STREAM */|0x80000 /* SOCK_CLOEXEC */
				const symbols = [left.symbol, right.symbol].filter((symbol) => symbol !== null);
				const symbol = operator === "|" && symbols.length > 0 ? symbols.join("|") : null;
				return { kind: "int", value: value === 0 ? 0 : value, symbol, column };
			}
		} else if (operator === "|" && isBits(left) && isBits(right)) {
			const flags: FlagsValue =
				left.kind === "flags" ? left : { kind: "flags", names: [], extra: left.value, column };
			if (right.kind === "flags") {
				flags.names.push(...right.names);
				flags.extra = orInts(flags.extra, right.extra);
			} else {
				flags.extra = orInts(flags.extra, right.value);
			}
			flags.column = column;
			return flags;
		}
		return this.other(start);
	}

	private other(start: number): Value {
		return {
			kind: "other",
			text: this.text.slice(start, this.pos),
			column: this.column(start),
		};
	}

	protected primary(): Value {
		if (++this.depth > MAX_DEPTH) throw new Stop(this.pos, `at most ${MAX_DEPTH} nested values`);
		const value = this.unlimitedPrimary();
		this.depth--;
		return value;
	}

	private unlimitedPrimary(): Value {
		const start = this.pos;
		const c = this.peek();
		if (isDigit(c)) return this.number();
		if (isLetter(c)) return this.word();
		switch (c) {
			case Char.Quote:
				return this.string(false);
			case Char.At:
				// A name in the abstract namespace: the leading NUL is printed as @.
				if (this.text.charCodeAt(this.pos + 1) === Char.Quote) {
					this.pos++;
					return this.string(true);
				}
				break;
			case Char.OpenBrace:
				return this.struct();
			case Char.OpenBracket:
				return this.array(false);
			case Char.Tilde:
				this.pos++;
				if (this.peek() === Char.OpenBracket) {
					const array = this.array(true);
					array.column = this.column(start);
					return array;
				}
				this.primary();
				return this.other(start);
			case Char.Minus: {
				this.pos++;
				const operand = this.primary();
				if (operand.kind !== "int") return this.other(start);
				operand.value = operand.value === 0 ? 0 : -operand.value;
				operand.column = this.column(start);
				return operand;
			}
			case Char.Dot:
				// strace -s 0 prints a list as "...".
				if (!this.ellipsis()) break;
				return this.other(start);
			case Char.Bar:
				// strace 6.1 with -X raw leaves out the first constant of statx: "|0x900".
				this.pos++;
				return this.primary();
			case Char.Ampersand:
			case 33:
				this.pos++;
				this.primary();
				return this.other(start);
			case Char.Open: {
				this.pos++;
				this.skip();
				const value = this.expression(1);
				this.skip();
				if (this.peek() !== Char.Close) throw new Stop(this.pos, "')'");
				this.pos++;
				return value;
			}
			case Char.Less: {
				// restart_syscall(<... resuming interrupted poll ...>)
				const end = this.text.indexOf(" ...>", this.pos);
				if (end > 0 && this.text.startsWith("<... ", this.pos)) {
					this.pos = end + " ...>".length;
					return this.other(start);
				}
				break;
			}
			case Char.Question:
				while (this.peek() === Char.Question) this.pos++;
				return this.other(start);
		}
		throw new Stop(start, "a value");
	}

	private number(): Value {
		const start = this.pos;
		const text = this.text;
		let end = start;
		while (isDigit(text.charCodeAt(end))) end++;
		const next = text.charCodeAt(end);
		let value: number;
		if (end - start === 1 && next === Char.LowerX && text.charCodeAt(start) === Char.Zero) {
			end++;
			while (isHexDigit(text.charCodeAt(end))) end++;
			if (end === start + 2 || isWord(text.charCodeAt(end))) throw new Stop(start, "a number");
			value = Number(text.slice(start, end));
		} else if (
			isWord(next) ||
			next === Char.Colon ||
			(text.charCodeAt(start) === Char.Zero && end - start > 1)
		) {
			end = skipWord(text, end);
			if (text.charCodeAt(end) === Char.Colon) return this.hardwareAddress(end);
			const digits = text.slice(start, end);
			if (/^0[0-9a-f]{7}$/.test(digits)) {
				// strace prints nl_groups with %08x. Nothing else has eight digits.
				value = Number.parseInt(digits, 16);
			} else if (/^0[0-7]*$/.test(digits)) {
				value = Number.parseInt(digits, 8);
			} else {
				throw new Stop(start, "a number");
			}
		} else {
			value = Number(text.slice(start, end));
		}
		if (!Number.isFinite(value)) throw new Stop(start, "a number");
		this.pos = end;
		const int: IntValue = { kind: "int", value, symbol: null, column: this.column(start) };
		const c = text.charCodeAt(end);
		if (c === Char.Space || c === Char.Slash) {
			const at = skipSpace(text, end);
			if (text.charCodeAt(at) === Char.Slash && text.charCodeAt(at + 1) === Char.Star) {
				this.pos = at;
				int.symbol = this.comment();
			}
		}
		this.angle();
		return int;
	}

	private word(): Value {
		const start = this.pos;
		const end = skipWord(this.text, start);
		const next = this.text.charCodeAt(end);
		if (next === Char.Colon && isHexDigit(this.text.charCodeAt(end + 1))) {
			return this.hardwareAddress(end);
		}
		this.pos = end;
		const name = this.text.slice(start, end);
		const column = this.column(start);
		if (next === Char.Open) return { kind: "call", name, args: this.callArgs(), column };
		if (name === "NULL") return { kind: "null", column };
		this.angle();
		return { kind: "flags", names: [name], extra: 0, column };
	}

	private callArgs(): Value[] {
		const args: Value[] = [];
		this.pos++;
		this.skip();
		if (this.peek() !== Char.Close) {
			for (;;) {
				args.push(this.value());
				this.skip();
				if (this.peek() !== Char.Comma) break;
				this.pos++;
				this.skip();
			}
			if (this.peek() !== Char.Close) throw new Stop(this.pos, "',' or ')'");
		}
		this.pos++;
		return args;
	}

	/** 00:11:22:33:44:55 */
	private hardwareAddress(colon: number): Value {
		const start = this.pos;
		let end = colon;
		while (isHexDigit(this.text.charCodeAt(end)) || this.text.charCodeAt(end) === Char.Colon) end++;
		this.pos = end;
		return this.other(start);
	}

	/** Reads the text that -y, -yy and -Y print directly after a descriptor or pid. */
	private angle(): void {
		if (this.peek() !== Char.Less || this.text.charCodeAt(this.pos + 1) === Char.Less) return;
		const start = this.pos + 1;
		const end = this.angleEnd(start);
		if (end < 0) throw new Stop(this.text.length, "'>'");
		this.fd = this.text.slice(start, end);
		this.pos = end + 1;
		if (this.text.startsWith("(deleted)", this.pos)) {
			this.fd += "(deleted)";
			this.pos += "(deleted)".length;
		}
		this.fdEnd = this.pos;
	}

	/**
	 * Finds the end of <…>. strace escapes < and > in paths and names. Only devices nest
	 * (</dev/null<char 1:3>>). Sockets have ">" within brackets: TCP:[127.0.0.1:1->127.0.0.1:2],
	 * UNIX-STREAM:[1->2,"/any>path"].
	 */
	private angleEnd(start: number): number {
		const text = this.text;
		const first = text.charCodeAt(start);
		if (first === Char.Slash || first === Char.Backslash) {
			const close = text.indexOf(">", start);
			const nested = text.indexOf("<", start);
			return nested >= 0 && nested < close && text.charCodeAt(close + 1) === Char.Greater
				? close + 1
				: close;
		}
		SOCKET.lastIndex = start;
		if (!SOCKET.test(text)) return text.indexOf(">", start);
		const stop = Math.min(text.length, start + MAX_FD_TEXT);
		let brackets = 0;
		for (let at = start; at < stop; at++) {
			const c = text.charCodeAt(at);
			if (c === Char.OpenBracket) {
				brackets++;
			} else if (c === Char.CloseBracket) {
				brackets--;
			} else if (c === Char.Quote && brackets > 0) {
				at = this.quoteEnd(at);
			} else if (c === Char.Greater && brackets <= 0) {
				return at;
			}
		}
		return -1;
	}

	private string(abstract: boolean): Value {
		const text = this.text;
		const start = this.pos;
		let end = start + 1;
		let plain = true;
		// All escapes have one letter. Such escapes are always valid.
		let simple = true;
		for (; ; end++) {
			const c = text.charCodeAt(end);
			if (c === Char.Quote) break;
			if (end >= text.length) throw new Stop(text.length, "'\"'");
			if (c === Char.Backslash) {
				plain = false;
				end++;
				simple &&= ESCAPES[text.charAt(end)] !== undefined;
			} else if (c > 126) {
				plain = false;
			}
		}
		const lead = abstract ? 1 : 0;
		const bytes = simple ? null : bytesOf(text, start + 1, end, lead, plain);
		this.pos = end + 1;
		const truncated = text.startsWith("...", this.pos);
		if (truncated) this.pos += 3;
		const column = this.column(start - lead);
		if (bytes !== null) return { kind: "string", bytes, truncated, column };
		return new LazyString(text, start + 1, end, lead, plain, truncated, column);
	}

	private array(negated: boolean): Value {
		const column = this.column(this.pos);
		const items: Value[] = [];
		let truncated = false;
		this.pos++;
		this.skip();
		while (this.peek() !== Char.CloseBracket) {
			if (this.ellipsis()) {
				truncated = true;
				if (this.peek() !== Char.CloseBracket) throw new Stop(this.pos, "']'");
				break;
			}
			const item = this.item();
			items.push(item);
			const end = this.pos;
			this.skip();
			if (this.peek() === Char.Comma) {
				this.pos++;
				this.skip();
				if (this.peek() === Char.CloseBracket) throw new Stop(this.pos, "a value");
			} else if (this.peek() !== Char.CloseBracket) {
				// Sets have spaces between items: [RTMIN RT_1], [0 1 2].
				const inSet = item.kind === "int" || item.kind === "flags";
				const next = this.peek();
				if (!inSet || this.pos === end || !(isWord(next) || next === Char.Dot)) {
					throw new Stop(this.pos, "',' or ']'");
				}
			}
		}
		this.pos++;
		return { kind: "array", items, negated, truncated, column };
	}

	/**
	 * Reads an item of a list. strace prints netlink tables with indices:
	 * [[IPV4_DEVCONF_FORWARDING-1]=0, …].
	 */
	private item(): Value {
		const start = this.pos;
		const value = this.value();
		if (value.kind === "array" && this.assigns(this.pos)) {
			this.pos++;
			this.value();
			return this.other(start);
		}
		return value;
	}

	private ellipsis(): boolean {
		if (!this.text.startsWith("...", this.pos)) return false;
		this.pos += 3;
		this.skip();
		return true;
	}

	private struct(): Value {
		const column = this.column(this.pos);
		const fields: { name: string | null; value: Value }[] = [];
		let truncated = false;
		this.pos++;
		this.skip();
		while (this.peek() !== Char.CloseBrace) {
			if (this.ellipsis()) {
				truncated = true;
				if (this.peek() !== Char.CloseBrace) throw new Stop(this.pos, "'}'");
				break;
			}
			const start = this.pos;
			const name = this.fieldName();
			let value = this.value();
			this.skip();
			let listed = false;
			if (name === null && value.kind === "flags" && BAUD.test(value.names[0] ?? "")) {
				listed = true;
				value = this.words(start);
			}
			fields.push({ name, value });
			if (this.peek() === Char.Comma) {
				this.pos++;
				this.skip();
				if (this.peek() === Char.CloseBrace) throw new Stop(this.pos, "a field");
			} else if (
				this.peek() !== Char.CloseBrace &&
				!(listed && this.text.startsWith("...", this.pos))
			) {
				throw new Stop(this.pos, "',' or '}'");
			}
		}
		this.pos++;
		return { kind: "struct", fields, truncated, column };
	}

	/** Reads more words of terminal settings: {B38400 opost isig -echo ...}. */
	private moreWords(): boolean {
		const c = this.peek();
		return isWord(c) || c === Char.Minus;
	}

	private words(start: number): Value {
		let end = this.pos;
		while (this.moreWords()) {
			end = skipWord(this.text, this.pos + 1);
			this.pos = end;
			this.skip();
		}
		const next = this.pos;
		this.pos = end;
		const value = this.other(start);
		this.pos = next;
		return value;
	}
}

function isBits(value: Value): value is IntValue | FlagsValue {
	return value.kind === "int" || value.kind === "flags";
}

/** A string whose bytes are decoded when they are needed. */
class LazyString {
	readonly kind = "string";
	private made: Uint8Array | null = null;

	constructor(
		private readonly text: string,
		private readonly start: number,
		private readonly end: number,
		private readonly lead: number,
		private readonly plain: boolean,
		readonly truncated: boolean,
		readonly column: number,
	) {}

	get bytes(): Uint8Array {
		this.made ??= bytesOf(this.text, this.start, this.end, this.lead, this.plain);
		return this.made;
	}

	get ascii(): string | null {
		return this.plain && this.lead === 0 ? this.text.slice(this.start, this.end) : null;
	}
}

/** The bytes of a string, after a NUL if `lead` is 1. `plain` means that nothing is escaped. */
function bytesOf(
	text: string,
	start: number,
	end: number,
	lead: number,
	plain: boolean,
): Uint8Array {
	if (!plain) return unescaped(text, start, end, lead);
	const bytes = new Uint8Array(end - start + lead);
	for (let at = start; at < end; at++) bytes[at - start + lead] = text.charCodeAt(at);
	return bytes;
}

function unescaped(text: string, start: number, end: number, lead: number): Uint8Array {
	const bytes: number[] = lead === 1 ? [0] : [];
	let at = start;
	while (at < end) {
		const c = text.charCodeAt(at);
		if (c > 126) {
			// strace escapes these characters. A script may hold them in UTF-8.
			let last = at + 1;
			while (last < end && text.charCodeAt(last) > 126) last++;
			for (const byte of UTF8.encode(text.slice(at, last))) bytes.push(byte);
			at = last;
			continue;
		}
		at++;
		if (c !== Char.Backslash) {
			bytes.push(c);
			continue;
		}
		const letter = text.charCodeAt(at);
		if (letter >= Char.Zero && letter <= Char.Seven) {
			let byte = 0;
			for (let digits = 0; digits < 3; digits++, at++) {
				const digit = text.charCodeAt(at) - Char.Zero;
				if (digit < 0 || digit > 7) break;
				byte = byte * 8 + digit;
			}
			if (byte > 255) throw new Stop(at - 4, "an octal escape up to \\377");
			bytes.push(byte);
		} else if (letter === Char.LowerX) {
			let last = at + 1;
			while (last < at + 3 && isHexDigit(text.charCodeAt(last))) last++;
			if (last === at + 1) throw new Stop(at - 1, "an escape sequence");
			bytes.push(Number.parseInt(text.slice(at + 1, last), 16));
			at = last;
		} else {
			const byte = ESCAPES[text.charAt(at)];
			if (byte === undefined) throw new Stop(at - 1, "an escape sequence");
			bytes.push(byte);
			at++;
		}
	}
	return Uint8Array.from(bytes);
}
