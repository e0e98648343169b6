// SPDX-License-Identifier: GPL-2.0-or-later
/** The keys, in a dialog. */
import { el } from "./dom.js";

const KEYS: readonly (readonly [place: string, keys: readonly (readonly [string, string])[]])[] = [
	[
		"Lines of the script",
		[
			["↑ ↓", "line before, line after"],
			["PgUp PgDn", "a screen of lines"],
			["Home End", "first and last line"],
			["n p", "next and previous line that failed or differs"],
			["← →", "step of the search back and forward"],
			["Space", "play the search, pause"],
		],
	],
	[
		"Search",
		[
			["← →", "step back and forward"],
			["PgUp PgDn", "pass before, next pass"],
			["Home End", "first and last step"],
		],
	],
	[
		"Range",
		[
			["← → ↑ ↓", "from port to port"],
			["Home End", "first and last port"],
		],
	],
];

export function keysDialog(): HTMLDialogElement {
	const close = el("button", { type: "button" }, "Close");
	const dialog = el(
		"dialog",
		{ "aria-labelledby": "keys-title" },
		el("h2", { id: "keys-title" }, "Keys"),
		...KEYS.map(([place, keys]) =>
			el(
				"section",
				{},
				el("h3", {}, place),
				el("dl", {}, ...keys.flatMap(([key, what]) => [el("dt", {}, key), el("dd", {}, what)])),
			),
		),
		close,
	);
	close.addEventListener("click", () => dialog.close());
	return dialog;
}
