// SPDX-License-Identifier: GPL-2.0-or-later
/** A script in two versions: the lines that differ, and the changes that make them differ. */
import { CHANGES, firstOf } from "../../include/linux/version.js";
import { type CompareOptions, compareInSlices, formatAnswer } from "../check/matrix.js";
import { readScript } from "../check/player.js";
import { count } from "../machine/count.js";

/** A behaviour change, as `kernels` lists it. */
interface Change {
	name: string;
	/** The first release and the commit. */
	first: string;
	summary: string;
}

/** A line that differs. */
export interface Differing {
	line: number;
	/** The answer of each version: "EADDRINUSE", "0, port 40000". */
	answers: { version: string; text: string }[];
	changes: Change[];
}

/**
 * The lines whose results differ between two versions, in slices. Each yield says how far it is.
 * Throws ScriptError for a line that neither version can play.
 */
export function* besides(
	text: string,
	versions: readonly [string, string],
	options: CompareOptions = {},
): Generator<string, Differing[]> {
	const comparing = compareInSlices(readScript(text, "script"), options, versions);
	let next = comparing.next();
	for (; next.done !== true; next = comparing.next()) {
		yield `play ${next.value.plays}, line ${count(next.value.line)}`;
	}
	return next.value.map(({ line, answers, changes }) => ({
		line,
		answers: versions.flatMap((version) =>
			answers
				.filter((answer) => answer.versions.includes(version))
				.map((answer) => ({ version, text: formatAnswer(answer) })),
		),
		changes: changes.flatMap((names) => names.split("+")).flatMap(changeNamed),
	}));
}

function changeNamed(wanted: string): Change[] {
	return CHANGES.filter(({ name }) => name === wanted).map((change) => ({
		name: change.name,
		first: firstOf(change),
		summary: change.summary,
	}));
}
