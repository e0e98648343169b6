// SPDX-License-Identifier: GPL-2.0-or-later
/** Codes and classes of the characters in strace's syntax. */

export enum Char {
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

export function isSpace(c: number): boolean {
	return c === Char.Space || (c >= 9 && c <= 13) || c === 0xa0 || c === 0xfeff;
}

export function isDigit(c: number): boolean {
	return c >= Char.Zero && c <= Char.Nine;
}

export function isHexDigit(c: number): boolean {
	return isDigit(c) || (c >= 97 && c <= 102) || (c >= 65 && c <= 70);
}

export function isLetter(c: number): boolean {
	return (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95;
}

export function isWord(c: number): boolean {
	return isLetter(c) || isDigit(c);
}

export function skipSpace(text: string, at: number): number {
	while (isSpace(text.charCodeAt(at))) at++;
	return at;
}

export function skipWord(text: string, at: number): number {
	while (isWord(text.charCodeAt(at))) at++;
	return at;
}

/** Matches a sticky pattern at offset `at` of a text. */
export function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
	pattern.lastIndex = at;
	return pattern.exec(text);
}
