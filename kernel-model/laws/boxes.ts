// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Describes a set of pairs by a few boxes. A box allows some values of each attribute, whatever the
 * other attributes are; so it reads as "this and that and that".
 */
import { nth } from "../machine/nth.js";

/** For each attribute a bit mask of the values that it may have. */
export type Box = readonly number[];

/** An element has one value for each attribute. */
export type Element = readonly number[];

export const inBox = (box: Box, element: Element) =>
	box.every((mask, i) => (mask & (1 << nth(element, i))) !== 0);

/** Every box, given the number of values of each attribute. */
function allBoxes(sizes: readonly number[]): Box[] {
	let boxes: number[][] = [[]];
	for (const size of sizes) {
		// All values first: a wider box is tried first.
		const masks = Array.from({ length: (1 << size) - 1 }, (_, i) => (1 << size) - 1 - i);
		boxes = boxes.flatMap((box) => masks.map((mask) => [...box, mask]));
	}
	return boxes;
}

/** How many attributes a box restricts. */
const restricted = (box: Box, sizes: readonly number[]) =>
	box.filter((mask, i) => mask !== (1 << nth(sizes, i)) - 1).length;

/**
 * Boxes whose union has every element of `inside` and none of `outside`; elements in neither list
 * may be in a box. Each box is as large as it can be, and the first boxes have most elements.
 */
export function cover(
	sizes: readonly number[],
	inside: readonly Element[],
	outside: readonly Element[],
): Box[] {
	let left = inside;
	if (left.length === 0) return [];
	const fitting = allBoxes(sizes)
		.filter((box) => !outside.some((element) => inBox(box, element)))
		.map((box) => ({
			box,
			size: inside.filter((element) => inBox(box, element)).length,
			words: restricted(box, sizes),
		}))
		.filter(({ size }) => size > 0);
	const found: Box[] = [];
	while (left.length > 0) {
		let best: { box: Box; size: number; words: number; gain: number } | null = null;
		for (const candidate of fitting) {
			const gain = left.filter((element) => inBox(candidate.box, element)).length;
			const { size, words } = candidate;
			const better =
				best === null ||
				gain > best.gain ||
				(gain === best.gain && (words < best.words || (words === best.words && size > best.size)));
			if (gain > 0 && better) best = { ...candidate, gain };
		}
		if (best === null) throw new Error("an element is inside and outside");
		const { box } = best;
		found.push(box);
		left = left.filter((element) => !inBox(box, element));
	}
	// Later boxes may have all that an earlier one has.
	for (let i = found.length - 1; i >= 0; i--) {
		const others = found.filter((_, j) => j !== i);
		const idle = inside.every((element) => others.some((box) => inBox(box, element)));
		if (idle) found.splice(i, 1);
	}
	return found;
}
