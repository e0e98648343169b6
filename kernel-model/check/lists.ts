// SPDX-License-Identifier: GPL-2.0-or-later
/** Maps from a key to a list of values. A key without values is not in the map. */

/** Adds a value to the end of a list. */
export function addTo<K, T>(to: Map<K, T[]>, key: K, value: T): void {
	const known = to.get(key);
	if (known === undefined) to.set(key, [value]);
	else known.push(value);
}

/** Removes a value from a list. */
export function removeFrom<K, T>(from: Map<K, T[]>, key: K, value: T): void {
	const left = from.get(key)?.filter((other) => other !== value) ?? [];
	if (left.length === 0) from.delete(key);
	else from.set(key, left);
}
