// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Checks of the library's arguments. A value of the wrong type is a TypeError. A value out of range
 * is a RangeError. The message begins with the name of the argument. These checks pass every value
 * that a program can pass to the kernel, even if the kernel refuses it with an errno.
 */

/** Most characters of a value in a message. */
const SHOWN = 40;

/** Formats a value for a message: one line, no control characters, truncated if it is long. */
export function shownValue(value: unknown): string {
	let text: string;
	if (typeof value === "string") text = JSON.stringify(value);
	else if (typeof value === "bigint") text = `${value}n`;
	else if (typeof value === "function") text = "a function";
	else if (typeof value === "symbol") text = "a symbol";
	else if (Array.isArray(value)) text = "an array";
	else if (typeof value === "object" && value !== null) text = "an object";
	else text = String(value);
	return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

/** Formats a text for a message, without quotes: no control characters, truncated if it is long. */
export function shownText(text: string): string {
	const shown = shownValue(text);
	return shown.endsWith('"') ? shown.slice(1, -1) : shown.slice(1);
}

function refuse(
	kind: typeof TypeError | typeof RangeError,
	argument: string,
	expected: string,
	value: unknown,
): never {
	throw new kind(`${argument}: expected ${expected}, found ${shownValue(value)}`);
}

/** Returns `value` if it is an integer from `low` to `high`, else throws. */
export function checkInteger(
	argument: string,
	value: unknown,
	low: number,
	high: number,
	expected: string,
): number {
	if (typeof value !== "number" || !Number.isInteger(value)) {
		// Infinity is out of range. NaN and 0.5 are not integers.
		const infinite = value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY;
		refuse(infinite ? RangeError : TypeError, argument, expected, value);
	}
	if (value < low || value > high) refuse(RangeError, argument, expected, value);
	return value;
}

/** Takes a C int, signed or unsigned, and returns it signed: -2147483648 to 2147483647. */
export function checkInt(argument: string, value: unknown): number {
	if (typeof value === "number" && (value | 0) === value) return value;
	return checkInteger(argument, value, -0x80000000, 0xffffffff, "a 32-bit integer") | 0;
}

/** A C unsigned int, 0 to 4294967295. */
export function checkUint(argument: string, value: unknown): number {
	return checkInteger(argument, value, 0, 0xffffffff, "an integer from 0 to 4294967295");
}

export function checkPort(argument: string, value: unknown): number {
	return checkInteger(argument, value, 0, 65535, "a port from 0 to 65535");
}

/** Most bytes of one read or write: include/linux/fs.h: MAX_RW_COUNT. */
const MAX_RW_COUNT = 0x7ffff000;

/** Returns a size in bytes, limited as the kernel limits it. */
export function checkSize(argument: string, value: unknown): number {
	const size = checkInteger(argument, value, 0, Number.MAX_SAFE_INTEGER, "a number of bytes");
	return Math.min(size, MAX_RW_COUNT);
}

export function checkString(argument: string, value: unknown): string {
	if (typeof value !== "string") refuse(TypeError, argument, "a string", value);
	return value;
}

export function checkBoolean(argument: string, value: unknown): boolean {
	if (typeof value !== "boolean") refuse(TypeError, argument, "true or false", value);
	return value;
}

/** Returns `value` if it is an object, neither null nor an array. */
export function checkObject(argument: string, value: unknown, expected = "an object"): object {
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		refuse(TypeError, argument, expected, value);
	}
	return value;
}

/** Returns `value` if it is one of several words. */
export function checkWord<T extends string>(
	argument: string,
	value: unknown,
	words: readonly T[],
): T {
	const found = words.find((word) => word === value);
	if (found === undefined) {
		const kind = typeof value === "string" ? RangeError : TypeError;
		refuse(kind, argument, words.join(", ").replace(/, ([^,]*)$/, " or $1"), value);
	}
	return found;
}
