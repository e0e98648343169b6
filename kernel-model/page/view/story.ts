// SPDX-License-Identifier: GPL-2.0-or-later
/** What happened at a line, in words: the headline, the reasons, and how another version differs. */
import type { Differing } from "../beside.js";
import type { LineView } from "../session.js";
import { shortLine } from "../short.js";
import { el, fill } from "./dom.js";

/** The headline of a line: what the call did. */
export function headline({ call, verdict, result, failed, port }: LineView): string {
	if (call === "") return "A line that does nothing";
	if (call === "$") return "A command that sets the machine up";
	if (verdict === "ignored") return `${call}() does not concern ports`;
	if (verdict === "mismatch") return `${call}() differs: the model cannot give ${result}`;
	const undecided = verdict === "undecided" ? ", undecided" : "";
	if (failed) return `${call}() fails with ${result}${undecided}`;
	if (result === "EINPROGRESS")
		return `${call}() has begun on port ${port}: EINPROGRESS${undecided}`;
	if (result === "sleeps") return `${call}() sleeps`;
	const searches = /^(bind|connect|listen|sendto|sendmsg)$/.test(call) && port !== 0;
	return `${call}() succeeds${searches ? `: port ${port}` : ""}${undecided}`;
}

export class Story {
	readonly element = el("article", { class: "story" });

	/** `go` is called when a line that proves something is chosen. */
	constructor(private readonly go: (line: number) => void) {}

	show(view: LineView, differing: Differing | null): void {
		const bad = view.failed || view.verdict === "mismatch";
		const plain = view.explanation.filter((line) => line !== view.reason);
		// The last line of an explanation is the check that failed: it comes first.
		const why = bad ? (plain.at(-1) ?? null) : null;
		const rest = why === null ? plain : plain.slice(0, -1);
		fill(
			this.element,
			el(
				"h2",
				{ class: bad ? "bad" : null },
				el("span", { class: "where" }, `Line ${view.line}`),
				headline(view),
			),
			el("pre", { class: "call", tabindex: 0, "aria-label": "The whole line" }, view.text.trim()),
			view.reason === null ? null : el("p", { class: "reason" }, view.reason),
			why === null ? null : el("p", { class: "why" }, why),
			rest.length === 0 ? null : el("ul", { class: "how" }, ...rest.map(howLine)),
			view.grounds.length === 0 ? null : this.proof(view),
			view.learnt === null ? null : el("p", { class: "note" }, `Learnt: ${view.learnt}`),
			differing === null ? null : besideText(differing),
			plain.length === 0 && view.reason === null ? silent(view) : null,
		);
	}

	/** The lines that prove a mismatch. */
	private proof({ grounds, lines }: LineView): HTMLElement {
		return el(
			"ul",
			{ class: "proof" },
			...grounds.map((ground, i) => {
				const line = lines[i];
				const item = el("li", {}, `${ground} `);
				if (line === undefined) return item;
				const button = el("button", { type: "button", class: "link" }, `line ${line}`);
				button.addEventListener("click", () => this.go(line));
				item.append(button);
				return item;
			}),
		);
	}
}

/** A line of an explanation. Examples are indented. */
function howLine(line: string): HTMLElement {
	return el("li", { class: line.startsWith("  ") ? "example" : null }, line.trim());
}

function silent({ call, text }: LineView): HTMLElement | null {
	if (call === "" || call === "$") return null;
	return el("p", { class: "note" }, `No search and no check of ports: ${shortLine(text)}`);
}

/** How the versions differ, and the changes that make them differ. */
function besideText({ answers, changes }: Differing): HTMLElement {
	return el(
		"div",
		{ class: "beside" },
		el("h3", {}, "The two versions differ"),
		el(
			"dl",
			{},
			...answers.flatMap(({ version, text }) => [el("dt", {}, version), el("dd", {}, text)]),
		),
		...changes.map(({ name, since, commit, summary }) =>
			el("p", {}, el("strong", {}, name), ` (since ${since}, ${commit}): ${summary}`),
		),
	);
}
