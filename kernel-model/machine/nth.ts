// SPDX-License-Identifier: GPL-2.0-or-later

/**
 * Returns entry `i` of a table or a list. The entry must exist: handles come from slabs. Throws
 * RangeError if it does not, which is a bug in the caller.
 */
export function nth<T>(values: ArrayLike<T>, i: number): T {
	const value = values[i];
	if (value === undefined) throw new RangeError(`no entry ${i} in a table of ${values.length}`);
	return value;
}

/** Adds `more` to entry `i`, which must exist. */
export function add(
	values: { length: number; [i: number]: number },
	i: number,
	more: number,
): void {
	values[i] = nth(values, i) + more;
}
