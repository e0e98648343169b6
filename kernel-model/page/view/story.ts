// SPDX-License-Identifier: GPL-2.0-or-later
/** What happened at a line, in words: the headline, the reasons, and how another version differs. */
import type { Differing } from "../beside.js";
import type { Mistake } from "../outcomes.js";
import type { LineView } from "../session.js";
import { el, fill } from "./dom.js";

/** The headline of a line: what the call did. */
export function headline({ call, verdict, result, failed, port }: LineView): string {
	if (call === "") return "A line that does nothing";
	if (call === "$") return "A command that sets the machine up";
	if (verdict === "ignored") return `${call}() is passed over: it is not a call about ports`;
	if (verdict === "mismatch") return `${call}() differs from the recording`;
	const undecided = verdict === "undecided" ? ", undecided" : "";
	if (failed) return `${call}() fails with ${result}${undecided}`;
	if (result === "EINPROGRESS")
		return `${call}() has begun on port ${port}: EINPROGRESS${undecided}`;
	if (result === "sleeps") return `${call}() sleeps`;
	const searches = /^(bind|connect|listen|sendto|sendmsg)$/.test(call) && port !== 0;
	return `${call}() succeeds${searches ? `: port ${port}` : ""}${undecided}`;
}

/** Most characters of a line that are shown. */
const LONGEST = 10_000;

function shown(text: string): string {
	const line = text.trim();
	return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}

export class Story {
	readonly element = el("article", { class: "story" });
	/** How the call went, in words. */
	readonly words = el("div", { class: "words" });

	/** `go` is called when a line that proves something is chosen. */
	constructor(private readonly go: (line: number) => void) {}

	/** Shows a line that cannot be read. */
	mistaken({ line, column, expected, found }: Mistake, text: string): void {
		fill(
			this.element,
			el("h2", { class: "bad" }, el("span", { class: "where" }, `Line ${line}`), "A mistake"),
			el("pre", { class: "call", tabindex: 0, "aria-label": "The whole line" }, shown(text)),
			el("p", { class: "reason" }, `Column ${column}: expected ${expected}, found ${found}.`),
			el("p", { class: "why" }, "The lines above it are played. The lines below it are not."),
		);
		fill(this.words, el("p", { class: "note" }, "The line is not played."));
	}

	show(view: LineView, differing: Differing | null): void {
		const bad = view.failed || view.verdict === "mismatch";
		const { explanation } = view;
		const reasons = bad ? reasonsOf(view) : [];
		fill(
			this.element,
			el(
				"h2",
				{ class: bad ? "bad" : null },
				el("span", { class: "where" }, `Line ${view.line}`),
				headline(view),
			),
			el("pre", { class: "call", tabindex: 0, "aria-label": "The whole line" }, shown(view.text)),
			...reasons,
			view.reason === null || bad ? null : el("p", { class: "reason" }, view.reason),
			view.grounds.length === 0 ? null : this.proof(view.grounds),
			view.learnt === null ? null : el("p", { class: "note" }, `Learnt: ${view.learnt}`),
			differing === null ? null : besideText(differing),
		);
		const silent = explanation.length === 0;
		fill(
			this.words,
			silent
				? el("p", { class: "note" }, silence(view))
				: el("ul", { class: "how" }, ...explanation.map(howLine)),
		);
	}

	/** The lines that prove a mismatch: "line 6 set IP_LOCAL_PORT_RANGE". */
	private proof(grounds: readonly string[]): HTMLElement {
		return el(
			"ul",
			{ class: "proof" },
			...grounds.map((ground) => {
				const [, line = "", rest = ground] = /^line ([0-9]+)(.*)$/s.exec(ground) ?? [];
				if (line === "") return el("li", {}, rest);
				const button = el("button", { type: "button", class: "link" }, `Line ${line}`);
				button.addEventListener("click", () => this.go(Number(line)));
				return el("li", {}, button, rest);
			}),
		);
	}
}

/** A line of an explanation. Examples are indented. */
function howLine(line: string): HTMLElement {
	return el("li", { class: line.startsWith("  ") ? "example" : null }, line.trim());
}

/** What there is to say about a line without an explanation. */
function silence({ call }: LineView): string {
	if (call === "") return "The line does nothing.";
	if (call === "$") return "The command runs before the next call.";
	return "The call makes no search and no check of ports.";
}

/**
 * Why a call failed or differs: the check that failed, which an explanation names last, and how
 * full the range is.
 */
function reasonsOf({ reason, explanation, verdict }: LineView): HTMLElement[] {
	if (verdict === "mismatch" || verdict === "undecided") {
		return reason === null ? [] : [el("p", { class: "reason" }, sentence(reason))];
	}
	const last = explanation.at(-1) ?? "";
	const [, where = "", why = last] = /^([a-z_0-9]+): (.*)$/s.exec(last) ?? [];
	const full = explanation.find((line) => line !== last && /^of the [0-9,]+ ports? /.test(line));
	const check = el("p", { class: "reason" }, sentence(why));
	if (where !== "") check.append(" ", el("code", {}, where));
	const example = explanation.find((line) => line.startsWith(EXAMPLE));
	const more = [full, example?.replace(EXAMPLE, "For example, ")].filter((line) => line != null);
	return [
		...(last === "" ? [] : [check]),
		...more.map((line) => el("p", { class: "why" }, sentence(line))),
	];
}

const EXAMPLE = "  e.g. ";

/** A clause as a sentence. A name of the kernel keeps its first letter. */
function sentence(text: string): string {
	const first = /^[a-z]+ /.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
	return /[.!?]$/.test(first) ? first : `${first}.`;
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
		...changes.map(({ name, first, summary }) =>
			el("p", {}, el("strong", {}, name), ` (since ${first}): ${summary}`),
		),
	);
}
