// SPDX-License-Identifier: GPL-2.0-or-later

/**
 * Entry `i` of a table or a list, where there has to be one: handles come from slabs. Throws
 * RangeError where there is none, which is a fault of the program.
 */
export function nth<T>(values: ArrayLike<T>, i: number): T {
	const value = values[i];
	if (value === undefined) throw new RangeError(`no entry ${i} in a table of ${values.length}`);
	return value;
}

/** Adds `more` to entry `i`, of which the same holds. */
export function add(
	values: { length: number; [i: number]: number },
	i: number,
	more: number,
): void {
	values[i] = nth(values, i) + more;
}
