// SPDX-License-Identifier: GPL-2.0-or-later

// Reader of scripts and recordings: the output syntax of strace 5.x and later, and the few
// additions that scripts have. It knows how strace prints, not what system calls mean.

/** One value of an argument, as strace printed it. */
export type Value =
	| { kind: "int"; value: number; symbol: string | null; column: number }
	| { kind: "flags"; names: string[]; extra: number; column: number }
	| { kind: "string"; bytes: Uint8Array; truncated: boolean; column: number }
	| { kind: "array"; items: Value[]; negated: boolean; truncated: boolean; column: number }
	| {
			kind: "struct";
			fields: { name: string | null; value: Value }[];
			truncated: boolean;
			column: number;
	  }
	| { kind: "call"; name: string; args: Value[]; column: number }
	| { kind: "change"; before: Value; after: Value; column: number }
	| { kind: "null"; column: number }
	| { kind: "other"; text: string; column: number };

/** An argument of a system call; `fd` is what `strace -y` prints in `<…>` after a descriptor. */
export interface Arg {
	name: string | null;
	value: Value;
	fd: string | null;
}

/**
 * What stands after `=`. `value` is null for `?`; `errno` is the name (`EADDRINUSE`); `note` is
 * the text in parentheses, several joined by ", ".
 */
export interface Result {
	value: number | null;
	errno: string | null;
	note: string | null;
	column: number;
}

/** A system call, its two halves joined where strace split it. */
export interface CallLine {
	kind: "call";
	/** Where it starts. */
	line: number;
	/** Where its name starts. */
	column: number;
	/** The line of `<... resumed>`; equals `line` if the call is not split. */
	endLine: number;
	pid: number | null;
	time: number | null;
	/** When it returned: the time of `<... resumed>`, or what -T measured; null if unknown. */
	endTime: number | null;
	name: string;
	args: Arg[];
	result: Result | null;
	/** It was in two parts. */
	split: boolean;
	/** It is `<unfinished ...>` and nothing follows; `args` are those printed completely. */
	unresumed: boolean;
	/** Nobody depends on it and its syntax is unknown: `args` and `result` are not read. */
	opaque: boolean;
	/** The whole call on one line, without pid and time. */
	text: string;
}

/** A `$ command` line of a script. */
export interface SetupLine {
	kind: "setup";
	line: number;
	column: number;
	argv: string[];
	/** The column where each word of `argv` starts. */
	argColumns: number[];
	/** The line as written, `$` included. */
	text: string;
}

/** A `+++ … +++` line. Superseded threads have neither status nor signal. */
export interface ExitLine {
	kind: "exit";
	line: number;
	pid: number | null;
	time: number | null;
	status: number | null;
	signal: string | null;
	text: string;
}

/** A `--- … ---` line. */
export interface SignalLine {
	kind: "signal";
	line: number;
	pid: number | null;
	time: number | null;
	text: string;
}

/** A line that means nothing: `#…`, blank, or strace talking about itself. */
export interface CommentLine {
	kind: "comment";
	line: number;
	text: string;
}

/** A line of a script or recording. */
export type ScriptLine = CallLine | SetupLine | ExitLine | SignalLine | CommentLine;

/** A script or recording, `lines` ordered by where they start. */
export interface Parsed {
	file: string;
	lines: ScriptLine[];
}

/** A syntax error; the message is one line that begins with `file:line:column:`. */
export class ScriptError extends Error {
	readonly file: string;
	readonly line: number;
	readonly column: number;
	readonly expected: string;

	constructor(file: string, line: number, column: number, expected: string, found: string) {
		super(`${file}:${line}:${column}: expected ${expected}, found ${found}`);
		this.name = "ScriptError";
		this.file = file;
		this.line = line;
		this.column = column;
		this.expected = expected;
	}
}

// Thrown instead of a ScriptError while it is not yet known whether the error matters: recordings
// can hold thousands of calls that do not parse and do not concern us, and a stack trace is dear.
class Stop {
	readonly at: number;
	readonly expected: string;

	constructor(at: number, expected: string) {
		this.at = at;
		this.expected = expected;
	}
}

// A joined call is made of stretches of physical lines; columns are those of the physical line.
interface Piece {
	at: number;
	line: number;
	column: number;
}

interface Source {
	text: string;
	pieces: Piece[];
}

function pieceAt(pieces: Piece[], at: number): Piece {
	let last = pieces[0];
	for (const piece of pieces) {
		if (piece.at > at) {
			break;
		}
		last = piece;
	}
	return last;
}

function describe(text: string, at: number): string {
	if (at >= text.length) {
		return "the end of the line";
	}
	const word = /[\w.]+|\s+|./suy;
	word.lastIndex = at;
	const found = word.exec(text)?.[0] ?? "";
	return `'${found.length > 24 ? `${found.slice(0, 24)}…` : found}'`;
}

enum Char {
	Tab = 9,
	Space = 32,
	Quote = 34,
	Hash = 35,
	Dollar = 36,
	Ampersand = 38,
	Apostrophe = 39,
	Open = 40,
	Close = 41,
	Star = 42,
	Plus = 43,
	Comma = 44,
	Minus = 45,
	Dot = 46,
	Slash = 47,
	Zero = 48,
	Seven = 55,
	Nine = 57,
	Colon = 58,
	Less = 60,
	Equals = 61,
	Greater = 62,
	Question = 63,
	At = 64,
	OpenBracket = 91,
	Backslash = 92,
	CloseBracket = 93,
	LowerX = 120,
	OpenBrace = 123,
	Bar = 124,
	CloseBrace = 125,
	Tilde = 126,
}

function isSpace(c: number): boolean {
	return c === Char.Space || (c >= 9 && c <= 13) || c === 0xa0 || c === 0xfeff;
}

function isDigit(c: number): boolean {
	return c >= Char.Zero && c <= Char.Nine;
}

function isHexDigit(c: number): boolean {
	return isDigit(c) || (c >= 97 && c <= 102) || (c >= 65 && c <= 70);
}

function isLetter(c: number): boolean {
	return (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95;
}

function isWord(c: number): boolean {
	return isLetter(c) || isDigit(c);
}

function skipSpace(text: string, at: number): number {
	while (isSpace(text.charCodeAt(at))) {
		at++;
	}
	return at;
}

function skipWord(text: string, at: number): number {
	while (isWord(text.charCodeAt(at))) {
		at++;
	}
	return at;
}

const UNFINISHED = "<unfinished ...>";
const DETACHED = "<detached ...>";
// Real output nests six deep (netlink); the limit only keeps the recursion off the stack's end.
const MAX_DEPTH = 100;
// Longer than any socket strace describes; bounds the search for a bracket that never closes.
const MAX_FD_TEXT = 1024;
const SOCKET = /[\w-]+:\[/y;
// The speed is the first word of terminal settings.
const BAUD = /^B\d+$/;

type IntValue = Extract<Value, { kind: "int" }>;
type FlagsValue = Extract<Value, { kind: "flags" }>;

// C's precedences. " or " stands between constants of equal value (`TCGETS or SNDCTL_…`).
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

// clone's flags are wider than the 32 bits of JavaScript's "|".
function orInts(a: number, b: number): number {
	if (a >= 0 && b >= 0 && a < 0x80000000 && b < 0x80000000) {
		return a | b;
	}
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

// Reads one joined call.
class CallReader {
	private readonly text: string;
	private readonly pieces: Piece[];
	private readonly base: number;
	private pos = 0;
	private depth = 0;
	// The last <…> after a descriptor, and where it ended: only an argument that ends there has it.
	private fd: string | null = null;
	private fdEnd = -1;
	// The time that -T printed.
	duration: number | null = null;
	// Where ")" and the result stand, for a text without strace's padding between the two.
	closeAt = -1;
	resultAt = -1;

	constructor(source: Source) {
		this.text = source.text;
		this.pieces = source.pieces;
		this.base = source.pieces.length === 1 ? source.pieces[0].column : -1;
	}

	// Arguments are pushed one by one, so that an unresumed call keeps those that are complete.
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
			if (this.peek() !== Char.Close) {
				throw new Stop(this.pos, "',' or ')'");
			}
			this.closeAt = this.pos++;
			return;
		}
	}

	result(): Result | null {
		this.skip();
		if (this.pos >= this.text.length) {
			return null;
		}
		if (this.peek() !== Char.Equals) {
			throw new Stop(this.pos, "'=' or the end of the line");
		}
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
			if (value.kind !== "int") {
				throw new Stop(this.resultAt, "a number or '?'");
			}
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
			if (Number.isNaN(seconds)) {
				throw new Stop(this.pos, "the end of the line");
			}
			this.duration = seconds;
			this.pos = end + 1;
			this.skip();
		}
		if (this.pos < this.text.length) {
			throw new Stop(this.pos, "the end of the line");
		}
		return result;
	}

	// "<unfinished ...>" inside the parentheses: the process was killed in the call.
	private killed(): boolean {
		if (!this.text.startsWith(UNFINISHED, this.pos)) {
			return false;
		}
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

	private quoteEnd(at: number): number {
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

	private peek(): number {
		return this.text.charCodeAt(this.pos);
	}

	private column(at: number): number {
		if (this.base >= 0) {
			return this.base + at;
		}
		const piece = pieceAt(this.pieces, at);
		return piece.column + at - piece.at;
	}

	// Spaces and comments.
	private skip(): void {
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

	private comment(): string {
		const start = this.pos + 2;
		let end = this.text.indexOf("*/", start);
		// -X verbose nests them: 0 /* QCMD(0 /* Q_??? */, USRQUOTA) */
		let nested = this.text.indexOf("/*", start);
		while (end >= 0 && nested >= 0 && nested < end) {
			end = this.text.indexOf("*/", end + 2);
			nested = this.text.indexOf("/*", nested + 2);
		}
		if (end < 0) {
			throw new Stop(this.text.length, "'*/'");
		}
		this.pos = end + 2;
		return this.text.slice(start, end).trim();
	}

	private arg(): Arg {
		const name = this.fieldName();
		this.fd = null;
		const value = this.value();
		const direct = value.kind === "int" || value.kind === "flags";
		return { name, value, fd: direct && this.fdEnd === this.pos ? this.fd : null };
	}

	// "name=", but not the "name" of "name == 1" or "name => 1". termios has "c_cc[VMIN]=".
	private fieldName(): string | null {
		const start = this.pos;
		if (!isLetter(this.peek())) {
			return null;
		}
		let end = skipWord(this.text, start);
		if (this.text.charCodeAt(end) === Char.OpenBracket) {
			end = skipWord(this.text, end + 1);
			if (this.text.charCodeAt(end) !== Char.CloseBracket) {
				return null;
			}
			end++;
		}
		if (!this.assigns(end)) {
			return null;
		}
		this.pos = end + 1;
		this.skip();
		return this.text.slice(start, end);
	}

	private assigns(at: number): boolean {
		if (this.text.charCodeAt(at) !== Char.Equals) {
			return false;
		}
		const next = this.text.charCodeAt(at + 1);
		return next !== Char.Equals && next !== Char.Greater;
	}

	// A value and what the call made of it: strace 5.x writes "=>", earlier ones "->".
	private value(): Value {
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

	private expression(weakest: number): Value {
		const start = this.pos;
		let left = this.primary();
		for (;;) {
			const end = this.pos;
			this.skip();
			const operator = this.operator(this.pos > end);
			if (operator === null || PRECEDENCE[operator] < weakest) {
				this.pos = end;
				return left;
			}
			this.pos += operator.length;
			this.skip();
			const right = this.expression(PRECEDENCE[operator] + 1);
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
				if (next === Char.Greater || (spaced && !isSpace(next))) {
					return null;
				}
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

	private primary(): Value {
		if (++this.depth > MAX_DEPTH) {
			throw new Stop(this.pos, `at most ${MAX_DEPTH} nested values`);
		}
		const value = this.unlimitedPrimary();
		this.depth--;
		return value;
	}

	private unlimitedPrimary(): Value {
		const start = this.pos;
		const c = this.peek();
		if (isDigit(c)) {
			return this.number();
		}
		if (isLetter(c)) {
			return this.word();
		}
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
				if (operand.kind !== "int") {
					return this.other(start);
				}
				operand.value = operand.value === 0 ? 0 : -operand.value;
				operand.column = this.column(start);
				return operand;
			}
			case Char.Bar:
				// 6.1 with -X raw forgets the first constant of statx: "|0x900".
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
				if (this.peek() !== Char.Close) {
					throw new Stop(this.pos, "')'");
				}
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
				while (this.peek() === Char.Question) {
					this.pos++;
				}
				return this.other(start);
		}
		throw new Stop(start, "a value");
	}

	private number(): Value {
		const start = this.pos;
		const text = this.text;
		let end = start;
		while (isDigit(text.charCodeAt(end))) {
			end++;
		}
		const next = text.charCodeAt(end);
		let value: number;
		if (end - start === 1 && next === Char.LowerX && text.charCodeAt(start) === Char.Zero) {
			end++;
			while (isHexDigit(text.charCodeAt(end))) {
				end++;
			}
			if (end === start + 2 || isWord(text.charCodeAt(end))) {
				throw new Stop(start, "a number");
			}
			value = Number(text.slice(start, end));
		} else if (
			isWord(next) ||
			next === Char.Colon ||
			(text.charCodeAt(start) === Char.Zero && end - start > 1)
		) {
			end = skipWord(text, end);
			if (text.charCodeAt(end) === Char.Colon) {
				return this.hardwareAddress(end);
			}
			const digits = text.slice(start, end);
			if (/^0[0-9a-f]{7}$/.test(digits)) {
				// nl_groups is printed with %08x; nothing else has eight digits.
				value = Number.parseInt(digits, 16);
			} else if (/^0[0-7]*$/.test(digits)) {
				value = Number.parseInt(digits, 8);
			} else {
				throw new Stop(start, "a number");
			}
		} else {
			value = Number(text.slice(start, end));
		}
		if (!Number.isFinite(value)) {
			throw new Stop(start, "a number");
		}
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
		if (next === Char.Open) {
			return { kind: "call", name, args: this.callArgs(), column };
		}
		if (name === "NULL") {
			return { kind: "null", column };
		}
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
				if (this.peek() !== Char.Comma) {
					break;
				}
				this.pos++;
				this.skip();
			}
			if (this.peek() !== Char.Close) {
				throw new Stop(this.pos, "',' or ')'");
			}
		}
		this.pos++;
		return args;
	}

	// 00:11:22:33:44:55
	private hardwareAddress(colon: number): Value {
		const start = this.pos;
		let end = colon;
		while (isHexDigit(this.text.charCodeAt(end)) || this.text.charCodeAt(end) === Char.Colon) {
			end++;
		}
		this.pos = end;
		return this.other(start);
	}

	// What -y, -yy and -Y print directly behind a descriptor or pid.
	private angle(): void {
		if (this.peek() !== Char.Less || this.text.charCodeAt(this.pos + 1) === Char.Less) {
			return;
		}
		const start = this.pos + 1;
		const end = this.angleEnd(start);
		if (end < 0) {
			throw new Stop(this.text.length, "'>'");
		}
		this.fd = this.text.slice(start, end);
		this.pos = end + 1;
		if (this.text.startsWith("(deleted)", this.pos)) {
			this.fd += "(deleted)";
			this.pos += "(deleted)".length;
		}
		this.fdEnd = this.pos;
	}

	// In paths and names strace escapes < and >, only devices nest (</dev/null<char 1:3>>). Sockets
	// have ">" in their brackets: TCP:[127.0.0.1:1->127.0.0.1:2], UNIX-STREAM:[1->2,"/any>path"].
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
		if (!SOCKET.test(text)) {
			return text.indexOf(">", start);
		}
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
		for (; ; end++) {
			const c = text.charCodeAt(end);
			if (c === Char.Quote) {
				break;
			}
			if (end >= text.length) {
				throw new Stop(text.length, "'\"'");
			}
			if (c === Char.Backslash) {
				plain = false;
				end++;
			} else if (c > 126) {
				plain = false;
			}
		}
		const lead = abstract ? 1 : 0;
		let bytes: Uint8Array;
		if (plain) {
			bytes = new Uint8Array(end - start - 1 + lead);
			for (let at = start + 1; at < end; at++) {
				bytes[at - start - 1 + lead] = text.charCodeAt(at);
			}
		} else {
			bytes = this.unescape(start + 1, end, lead);
		}
		this.pos = end + 1;
		const truncated = text.startsWith("...", this.pos);
		if (truncated) {
			this.pos += 3;
		}
		return { kind: "string", bytes, truncated, column: this.column(start - lead) };
	}

	private unescape(start: number, end: number, lead: number): Uint8Array {
		const text = this.text;
		const bytes: number[] = lead === 1 ? [0] : [];
		let at = start;
		while (at < end) {
			const c = text.charCodeAt(at);
			if (c > 126) {
				// strace escapes these; a script may hold them, in UTF-8 like the file.
				let last = at + 1;
				while (last < end && text.charCodeAt(last) > 126) {
					last++;
				}
				for (const byte of UTF8.encode(text.slice(at, last))) {
					bytes.push(byte);
				}
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
					if (digit < 0 || digit > 7) {
						break;
					}
					byte = byte * 8 + digit;
				}
				if (byte > 255) {
					throw new Stop(at - 4, "an octal escape up to \\377");
				}
				bytes.push(byte);
			} else if (letter === Char.LowerX) {
				let last = at + 1;
				while (last < at + 3 && isHexDigit(text.charCodeAt(last))) {
					last++;
				}
				if (last === at + 1) {
					throw new Stop(at - 1, "an escape sequence");
				}
				bytes.push(Number.parseInt(text.slice(at + 1, last), 16));
				at = last;
			} else {
				const byte = ESCAPES[text[at]];
				if (byte === undefined) {
					throw new Stop(at - 1, "an escape sequence");
				}
				bytes.push(byte);
				at++;
			}
		}
		return Uint8Array.from(bytes);
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
				if (this.peek() !== Char.CloseBracket) {
					throw new Stop(this.pos, "']'");
				}
				break;
			}
			const item = this.item();
			items.push(item);
			const end = this.pos;
			this.skip();
			if (this.peek() === Char.Comma) {
				this.pos++;
				this.skip();
				if (this.peek() === Char.CloseBracket) {
					throw new Stop(this.pos, "a value");
				}
			} else if (this.peek() !== Char.CloseBracket) {
				// Sets have spaces between: [RTMIN RT_1], [0 1 2].
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

	// Netlink tables are printed with their indices: [[IPV4_DEVCONF_FORWARDING-1]=0, …].
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
		if (!this.text.startsWith("...", this.pos)) {
			return false;
		}
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
				if (this.peek() !== Char.CloseBrace) {
					throw new Stop(this.pos, "'}'");
				}
				break;
			}
			const start = this.pos;
			const name = this.fieldName();
			let value = this.value();
			this.skip();
			let listed = false;
			if (name === null && value.kind === "flags" && BAUD.test(value.names[0])) {
				listed = true;
				value = this.words(start);
			}
			fields.push({ name, value });
			if (this.peek() === Char.Comma) {
				this.pos++;
				this.skip();
				if (this.peek() === Char.CloseBrace) {
					throw new Stop(this.pos, "a field");
				}
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

	// Terminal settings are a list of words: {B38400 opost isig -echo ...}.
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

const LINE_FORMS = "a system call, '$ command' or '# comment'";
const HALF_DAY = 43200;
const DAY = 86400;
// pids are below 2^22 and time deltas are short; what is larger counts seconds since 1970.
const EPOCH_MIN = 1e8;

const PID_BRACKET = /\[pid\s+(\d+)(?:<[^>]*>)?\]\s*/y;
const PID_COMMENT = /\/\*[^*]*\*\/\s*/y;
const CLOCK = /(\d\d):(\d\d):(\d\d(?:\.\d+)?)\s+/y;
const DELTA_BESIDE_CLOCK = /\(\+\s*\d+(?:\.\d+)?\)\s*/y;
const SYSCALL_NUMBER_OR_IP = /\[\s*(?:[0-9a-f]+|\?+)\]\s/y;
const RESUMED = /<\.\.\. ([^\s>]+) resumed>/y;
const SELF = /^(?:[^\s()"]*\/)?strace: /;
const PROCESS = /strace: Process (\d+) (attached|detached)$/y;
const EXITED = /^\+\+\+ exited with (\d+) \+\+\+$/;
const KILLED = /^\+\+\+ killed by (\w+)(?: \(core dumped\))? \+\+\+$/;
const SUPERSEDED = /^\+\+\+ superseded by execve in pid (\d+) \+\+\+$/;

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
	pattern.lastIndex = at;
	return pattern.exec(text);
}

interface Message {
	at: number;
	pid: number;
	verb: string;
}

// The message that ends the line. It begins with the name by which strace was started.
function message(text: string): Message | null {
	if (!text.endsWith("tached")) {
		return null;
	}
	let at = text.lastIndexOf("strace: Process ");
	const found = at < 0 ? null : match(PROCESS, text, at);
	if (found === null) {
		return null;
	}
	if (text.charCodeAt(at - 1) === Char.Slash) {
		do {
			at--;
		} while (/[\w./-]/.test(text.charAt(at - 1)));
	}
	return { at, pid: Number(found[1]), verb: found[2] };
}

interface Pending {
	call: CallLine;
	source: Source;
}

type Timed = CallLine | ExitLine | SignalLine;

class ScriptReader {
	private readonly text: string;
	private readonly file: string;
	private readonly isRelevant: (name: string) => boolean;
	private readonly lines: ScriptLine[] = [];
	private readonly pending = new Map<number | null, Pending[]>();
	private next = 0;
	private lineNumber: number;
	// What the current line begins with.
	private pid: number | null = null;
	private time: number | null = null;
	// Days that clock times went past, and the sum of time deltas.
	private lastClock = Number.NEGATIVE_INFINITY;
	private midnights = 0;
	private elapsed = 0;
	// On a terminal strace writes [pid …] only while there are several processes. Its messages
	// about them tell whose the other lines are. Without messages nothing is guessed.
	private readonly alive = new Set<number>();
	private readonly announced = new Set<number>();
	private anonymous: Timed[] = [];

	constructor(text: string, file: string, isRelevant: (name: string) => boolean, above: number) {
		this.lineNumber = above;
		this.text = text;
		this.file = file;
		this.isRelevant = isRelevant;
	}

	read(): Parsed {
		while (this.next < this.text.length) {
			this.line();
		}
		for (const unresumed of this.pending.values()) {
			this.abandon(unresumed);
		}
		return { file: this.file, lines: this.lines };
	}

	private physicalLine(): string {
		let end = this.text.indexOf("\n", this.next);
		if (end < 0) {
			end = this.text.length;
		}
		let line = this.text.slice(this.next, end);
		if (line.endsWith("\r")) {
			line = line.slice(0, -1);
		}
		this.next = end + 1;
		this.lineNumber++;
		return line;
	}

	private line(): void {
		const text = this.physicalLine();
		const source = { text, pieces: [{ at: 0, line: this.lineNumber, column: 1 }] };
		const start = skipSpace(text, 0);
		const c = text.charCodeAt(start);
		if (c === Char.Dollar) {
			this.setup(source, start);
			return;
		}
		if (start === text.length || c === Char.Hash || isRemark(text)) {
			this.lines.push({ kind: "comment", line: this.lineNumber, text });
			this.process(message(text));
			return;
		}
		const messages = this.withoutMessages(source);
		this.event(source, start);
		messages.forEach(this.process, this);
	}

	// On a terminal, messages appear in the middle of lines, which go on after them.
	private withoutMessages(source: Source): Message[] {
		const messages: Message[] = [];
		for (;;) {
			const found = message(source.text);
			if (found === null) {
				return messages;
			}
			messages.push(found);
			source.text = source.text.slice(0, found.at);
			if (this.next < this.text.length) {
				const at = source.text.length;
				source.text += this.physicalLine();
				source.pieces.push({ at, line: this.lineNumber, column: 1 });
			}
		}
	}

	private event(source: Source, start: number): void {
		const text = source.text;
		const at = this.leader(text, start);
		this.findOwner();
		const c = text.charCodeAt(at);
		if (isLetter(c) || c === Char.Question) {
			let open = at;
			while (isWord(text.charCodeAt(open)) || text.charCodeAt(open) === Char.Question) {
				open++;
			}
			if (text.charCodeAt(open) === Char.Open) {
				this.call(tail(source, at), text.slice(at, open));
				return;
			}
		} else if (c === Char.Less) {
			const resumed = match(RESUMED, text, at);
			if (resumed !== null) {
				this.resumed(source, at, resumed[1], at + resumed[0].length);
				return;
			}
		} else if (c === Char.Plus && text.startsWith("+++ ", at)) {
			this.exit(source, at);
			return;
		} else if (c === Char.Minus && text.startsWith("--- ", at)) {
			this.push({
				kind: "signal",
				line: source.pieces[0].line,
				pid: this.pid,
				time: this.time,
				text: text.slice(at).trimEnd(),
			});
			return;
		}
		throw this.error(source, at, LINE_FORMS);
	}

	// Reads pid and time, which both may be missing, and returns where the rest begins.
	private leader(text: string, start: number): number {
		let at = start;
		this.pid = null;
		this.time = null;
		let c = text.charCodeAt(at);
		if (isDigit(c)) {
			let end = at;
			while (isDigit(text.charCodeAt(end))) {
				end++;
			}
			const after = text.charCodeAt(end);
			const value = Number(text.slice(at, end));
			// A column of six is how strace pads deltas of whole seconds.
			const delta = start > 0 && end === 6;
			if (after === Char.Less) {
				// -Y prints the name of the process.
				const close = text.indexOf(">", end);
				this.pid = value;
				at = skipSpace(text, close < 0 ? end : close + 1);
			} else if (isSpace(after) && value < EPOCH_MIN && !delta) {
				this.pid = value;
				at = skipSpace(text, end);
				if (text.charCodeAt(at) === Char.Slash) {
					at += match(PID_COMMENT, text, at)?.[0].length ?? 0;
				}
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
			// Small steps back are the clock being set; a large one is midnight.
			if (time < this.lastClock - HALF_DAY) {
				this.midnights++;
			}
			this.lastClock = time;
			this.time = this.midnights * DAY + time;
			at += clock[0].length;
			return at + (match(DELTA_BESIDE_CLOCK, text, at)?.[0].length ?? 0);
		}
		let end = at;
		while (isDigit(text.charCodeAt(end)) || text.charCodeAt(end) === Char.Dot) {
			end++;
		}
		const value = Number(text.slice(at, end));
		if (Number.isNaN(value) || !isSpace(text.charCodeAt(end))) {
			return at;
		}
		at = skipSpace(text, end);
		if (value >= EPOCH_MIN) {
			this.time = value;
			return at + (match(DELTA_BESIDE_CLOCK, text, at)?.[0].length ?? 0);
		}
		// Nanoseconds at most: rounding keeps a long sum from drifting.
		this.elapsed = Math.round((this.elapsed + value) * 1e9) / 1e9;
		this.time = this.elapsed;
		return at;
	}

	private call(source: Source, name: string): void {
		const piece = source.pieces[0];
		const call: CallLine = {
			kind: "call",
			line: piece.line,
			column: piece.column,
			endLine: piece.line,
			pid: this.pid,
			time: this.time,
			endTime: null,
			name,
			args: [],
			result: null,
			split: false,
			unresumed: false,
			opaque: false,
			text: source.text,
		};
		this.push(call);
		if (!this.suspend({ call, source })) {
			this.finish(call, source, null);
		}
	}

	private resumed(source: Source, at: number, name: string, rest: number): void {
		const found = this.takePending(name);
		if (found === null) {
			if (this.isRelevant(name)) {
				throw this.error(source, at, `an earlier '${name}(… <unfinished ...>'`);
			}
			const piece = pieceAt(source.pieces, at);
			this.push({
				kind: "call",
				line: piece.line,
				column: piece.column + at - piece.at,
				endLine: piece.line,
				pid: this.pid,
				time: this.time,
				endTime: this.time,
				name,
				args: [],
				result: null,
				split: true,
				unresumed: false,
				opaque: true,
				text: source.text.slice(at).trimEnd(),
			});
			return;
		}
		const { call, source: first } = found;
		const second = tail(source, rest);
		// strace 5.1 and earlier write a space behind "resumed>".
		const spaces = skipSpace(second.text, 0);
		const glued =
			spaces > 0 && (second.text.charCodeAt(spaces) === Char.Close || /\s$/.test(first.text));
		const joined = glued ? tail(second, spaces) : second;
		const offset = first.text.length;
		const whole = {
			text: first.text + joined.text,
			pieces: [
				...first.pieces,
				...joined.pieces.map((piece) => ({ ...piece, at: piece.at + offset })),
			],
		};
		call.split = true;
		call.endLine = source.pieces[0].line;
		call.endTime = this.time;
		call.pid ??= this.pid;
		if (!this.suspend({ call, source: whole })) {
			this.finish(call, whole, call.endTime);
		}
	}

	// Keeps the call for later if its text says that it did not return yet.
	private suspend(pending: Pending): boolean {
		const { call, source } = pending;
		const text = source.text.trimEnd();
		const mark = text.endsWith(UNFINISHED) ? UNFINISHED : text.endsWith(DETACHED) ? DETACHED : "";
		if (mark === "") {
			return false;
		}
		const end = text.length - mark.length;
		source.text = text.slice(0, text.charCodeAt(end - 1) === Char.Space ? end - 1 : end);
		if (mark === DETACHED) {
			this.abandon([pending]);
			return true;
		}
		const waiting = this.pending.get(call.pid);
		if (waiting === undefined) {
			this.pending.set(call.pid, [pending]);
		} else {
			waiting.push(pending);
		}
		return true;
	}

	private takePending(name: string): Pending | null {
		const own = take(this.pending.get(this.pid), name);
		if (own !== null) {
			return own;
		}
		// Between the halves the number of processes may have gone from or to one, and with it
		// the [pid …].
		if (this.pid !== null) {
			return take(this.pending.get(null), name);
		}
		let latest: Pending[] | null = null;
		let line = 0;
		for (const waiting of this.pending.values()) {
			for (const { call } of waiting) {
				if (call.name === name && call.line > line) {
					line = call.line;
					latest = waiting;
				}
			}
		}
		return latest === null ? null : take(latest, name);
	}

	private abandon(unresumed: Pending[]): void {
		for (const { call, source } of unresumed) {
			call.unresumed = true;
			this.finish(call, source, null);
		}
	}

	private finish(call: CallLine, source: Source, endTime: number | null): void {
		source.text = source.text.trimEnd();
		const text = source.text;
		call.text = text;
		const reader = new CallReader(source);
		const args: Arg[] = [];
		try {
			reader.args(call.name.length, args);
			call.result = reader.result();
		} catch (stop) {
			if (!(stop instanceof Stop)) {
				throw stop;
			}
			// What is not resumed may break off anywhere.
			if (!call.unresumed || stop.at < text.length) {
				if (this.isRelevant(call.name)) {
					throw this.error(source, stop.at, stop.expected);
				}
				call.opaque = true;
				return;
			}
		}
		call.args = args;
		if (reader.resultAt >= 0 && reader.resultAt !== reader.closeAt + 4) {
			call.text = `${text.slice(0, reader.closeAt + 1)} = ${text.slice(reader.resultAt)}`;
		}
		if (endTime === null && call.time !== null && reader.duration !== null) {
			call.endTime = call.time + reader.duration;
		}
	}

	private exit(source: Source, at: number): void {
		const text = source.text.slice(at).trimEnd();
		const exited = EXITED.exec(text);
		const killed = KILLED.exec(text);
		const superseded = SUPERSEDED.exec(text);
		if (exited === null && killed === null && superseded === null) {
			throw this.error(
				source,
				at,
				"'+++ exited with …', '+++ killed by …' or '+++ superseded by …'",
			);
		}
		// The thread of an execve takes over its process's pid, and resumes the execve with it.
		const thread = superseded === null ? null : Number(superseded[1]);
		if (thread !== null) {
			this.alive.delete(thread);
		}
		this.findOwner();
		const pid = this.pid;
		this.push({
			kind: "exit",
			line: source.pieces[0].line,
			pid,
			time: this.time,
			status: exited === null ? null : Number(exited[1]),
			signal: killed === null ? null : killed[1],
			text,
		});
		this.abandon(this.pending.get(pid) ?? []);
		this.pending.delete(pid);
		if (thread === null) {
			if (pid !== null) {
				this.alive.delete(pid);
			}
			return;
		}
		const taken = this.pending.get(thread);
		if (taken !== undefined) {
			this.pending.delete(thread);
			this.pending.set(pid, taken);
		}
	}

	private process(event: Message | null): void {
		if (event?.verb === "attached") {
			this.announced.add(event.pid);
			this.alive.add(event.pid);
		} else if (event !== null) {
			this.alive.delete(event.pid);
		}
	}

	// Finds the pid of the current line if it is not printed.
	private findOwner(): void {
		const pid = this.pid;
		if (pid === null) {
			if (this.alive.size === 1) {
				for (const only of this.alive) {
					this.pid = only;
				}
			}
			return;
		}
		if (this.announced.size === 0 || this.announced.has(pid)) {
			return;
		}
		// strace announces all but the program that it started.
		this.announced.add(pid);
		this.alive.add(pid);
		for (const line of this.anonymous) {
			line.pid = pid;
		}
		this.anonymous = [];
		const waiting = this.pending.get(null);
		if (waiting !== undefined) {
			this.pending.delete(null);
			this.pending.set(pid, [...waiting, ...(this.pending.get(pid) ?? [])]);
		}
	}

	private push(line: Timed): void {
		this.lines.push(line);
		if (line.pid === null) {
			this.anonymous.push(line);
		}
	}

	private setup(source: Source, dollar: number): void {
		const { argv, argColumns } = this.words(source, dollar + 1);
		if (argv.length === 0) {
			throw this.error(source, source.text.length, "a command");
		}
		this.lines.push({
			kind: "setup",
			line: this.lineNumber,
			column: dollar + 1,
			argv,
			argColumns,
			text: source.text.trim(),
		});
	}

	// Words as a shell splits them, without its expansions.
	private words(source: Source, start: number): { argv: string[]; argColumns: number[] } {
		const text = source.text.trimEnd();
		const argv: string[] = [];
		const argColumns: number[] = [];
		let at = skipSpace(text, start);
		while (at < text.length) {
			argColumns.push(at + 1);
			let word = "";
			while (at < text.length && !isSpace(text.charCodeAt(at))) {
				const c = text.charCodeAt(at);
				if (c === Char.Apostrophe) {
					const end = text.indexOf("'", at + 1);
					if (end < 0) {
						throw this.error(source, text.length, '"\'"');
					}
					word += text.slice(at + 1, end);
					at = end + 1;
				} else if (c === Char.Quote) {
					for (at++; text.charCodeAt(at) !== Char.Quote; at++) {
						if (text.charCodeAt(at) === Char.Backslash && '"\\$`'.includes(text.charAt(at + 1))) {
							at++;
						}
						if (at >= text.length) {
							throw this.error(source, text.length, "'\"'");
						}
						word += text[at];
					}
					at++;
				} else if (c === Char.Backslash) {
					if (at + 1 >= text.length) {
						throw this.error(source, text.length, "a character after '\\'");
					}
					word += text[at + 1];
					at += 2;
				} else {
					word += text[at];
					at++;
				}
			}
			argv.push(word);
			at = skipSpace(text, at);
		}
		return { argv, argColumns };
	}

	private error(source: Source, at: number, expected: string): ScriptError {
		const piece = pieceAt(source.pieces, at);
		const column = piece.column + at - piece.at;
		return new ScriptError(this.file, piece.line, column, expected, describe(source.text, at));
	}
}

// The latest call of that name, removed from the list.
function take(waiting: Pending[] | undefined, name: string): Pending | null {
	if (waiting !== undefined) {
		for (let n = waiting.length - 1; n >= 0; n--) {
			if (waiting[n].call.name === name) {
				return waiting.splice(n, 1)[0];
			}
		}
	}
	return null;
}

function tail(source: Source, start: number): Source {
	const first = pieceAt(source.pieces, start);
	const pieces = [{ at: 0, line: first.line, column: first.column + start - first.at }];
	for (const piece of source.pieces) {
		if (piece.at > start) {
			pieces.push({ ...piece, at: piece.at - start });
		}
	}
	return { text: source.text.slice(start), pieces };
}

// strace about itself, and what -k (stack) and -e read=… (dumps) put below a call.
function isRemark(text: string): boolean {
	return (
		text.startsWith(" > ") ||
		text.startsWith(" | ") ||
		text.startsWith(" * ") ||
		text.startsWith("[ Process PID=") ||
		(text.includes("strace: ") && SELF.test(text))
	);
}

/**
 * Reads a script or recording.
 *
 * `isRelevant` says which system calls matter. A syntax error in one that does not is no error:
 * the call becomes `opaque`. Times are in seconds: since 1970 (-ttt), since the midnight before
 * the first line (-t, -tt) or since the first line (-r). `above` is the number of lines of
 * the file before the text.
 *
 * @throws ScriptError at the first line that cannot be read
 */
export function parseScript(
	text: string,
	file: string,
	isRelevant: (name: string) => boolean = () => true,
	above = 0,
): Parsed {
	return new ScriptReader(text, file, isRelevant, above).read();
}

/** The text of a string: UTF-8 if it is, else Latin-1, so that no byte is lost. */
export function decodeString(value: Extract<Value, { kind: "string" }>): string {
	try {
		return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value.bytes);
	} catch {
		return Buffer.from(value.bytes).toString("latin1");
	}
}

const LETTERS = new Map([
	[9, "\\t"],
	[10, "\\n"],
	[11, "\\v"],
	[12, "\\f"],
	[13, "\\r"],
	[34, '\\"'],
	[92, "\\\\"],
]);

function formatString(bytes: Uint8Array): string {
	let text = "";
	for (let n = 0; n < bytes.length; n++) {
		const byte = bytes[n];
		const letter = LETTERS.get(byte);
		if (letter !== undefined) {
			text += letter;
		} else if (byte >= 32 && byte < 127) {
			text += String.fromCharCode(byte);
		} else {
			const octal = byte.toString(8);
			// A digit behind a short escape would become part of it.
			text += `\\${isDigit(bytes[n + 1] ?? 0) ? octal.padStart(3, "0") : octal}`;
		}
	}
	return `"${text}"`;
}

// Not Number's own notation, which has exponents.
function formatInt(value: number, radix: 10 | 16): string {
	const digits = BigInt(Math.abs(value)).toString(radix);
	return `${value < 0 ? "-" : ""}${radix === 16 ? "0x" : ""}${digits}`;
}

function formatList(items: string[], truncated: boolean): string {
	return (truncated ? [...items, "..."] : items).join(", ");
}

/** A value as strace prints it. */
export function formatValue(value: Value): string {
	switch (value.kind) {
		case "int":
			return value.symbol === null
				? formatInt(value.value, 10)
				: `${formatInt(value.value, 16)} /* ${value.symbol} */`;
		case "flags": {
			const names = value.names.join("|");
			return value.extra === 0 ? names : `${names}|${formatInt(value.extra, 16)}`;
		}
		case "string":
			return `${formatString(value.bytes)}${value.truncated ? "..." : ""}`;
		case "array": {
			const list = formatList(value.items.map(formatValue), value.truncated);
			return `${value.negated ? "~" : ""}[${list}]`;
		}
		case "struct": {
			const fields = value.fields.map(
				(field) => `${field.name === null ? "" : `${field.name}=`}${formatValue(field.value)}`,
			);
			return `{${formatList(fields, value.truncated)}}`;
		}
		case "call":
			return `${value.name}(${value.args.map(formatValue).join(", ")})`;
		case "change":
			return `${formatValue(value.before)} => ${formatValue(value.after)}`;
		case "null":
			return "NULL";
		case "other":
			return value.text;
	}
}

/** Prints a call as strace does, without a result. What is printed reads back as the same tree. */
export function formatCall(name: string, args: Arg[]): string {
	const printed = args.map(
		(arg) =>
			`${arg.name === null ? "" : `${arg.name}=`}${formatValue(arg.value)}` +
			`${arg.fd === null ? "" : `<${arg.fd}>`}`,
	);
	return `${name}(${printed.join(", ")})`;
}
