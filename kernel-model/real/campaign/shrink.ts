// SPDX-License-Identifier: GPL-2.0-or-later
/** Makes programs smaller. A smaller program must still show a difference. */
import type { Operation, Program } from "./program.js";

/** Whether a program still shows the difference; null if the time is over. */
type Shows<T> = (candidate: T) => Promise<boolean | null>;

/**
 * Leaves out parts of a list, large parts first, for as long as the rest shows the difference.
 * Returns the shortest list that was seen to show it.
 */
export async function fewest<T>(all: readonly T[], shows: Shows<readonly T[]>): Promise<T[]> {
	let least = [...all];
	for (let size = Math.ceil(least.length / 2); size >= 1; size = Math.floor(size / 2)) {
		// From the end: the difference is there, and what comes after it is of no use.
		for (let end = least.length; end > 0; end -= size) {
			const begin = Math.max(0, end - size);
			const rest = [...least.slice(0, begin), ...least.slice(end)];
			const shown = await shows(rest);
			if (shown === null) return least;
			if (shown) least = rest;
		}
	}
	return least;
}

/** A smaller program: fewer operations first, then simpler ones. */
export async function smallest(program: Program, shows: Shows<Program>): Promise<Program> {
	const whole = program;
	const operations = await fewest(whole.operations, (fewer) =>
		shows({ ...whole, operations: fewer }),
	);
	let least: Program = { ...whole, operations };
	const tryOne = async (candidate: Program): Promise<boolean> => {
		const shown = await shows(candidate);
		if (shown === true) least = candidate;
		return shown !== null;
	};
	if (least.world !== 0 && !(await tryOne({ ...least, world: 0 }))) return least;
	for (const [at, operation] of operations.entries()) {
		for (const place of operation.n.keys()) {
			const now = least.operations[at]?.n ?? operation.n;
			if (now[place] === 0) continue;
			const n = now.with(place, 0) as unknown as Operation["n"];
			const simpler = least.operations.with(at, { kind: operation.kind, n });
			if (!(await tryOne({ ...least, operations: simpler }))) return least;
		}
	}
	return least;
}
