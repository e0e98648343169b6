// SPDX-License-Identifier: GPL-2.0-or-later
/** The frame of the page: its sections, their headings, and what is said about the whole script. */
import { SEARCH_CONNECT, SEARCH_UDP } from "../../../include/trace/events/port_search.js";
import { count, plural } from "../../machine/count.js";
import { type Loaded, VERDICTS } from "../outcomes.js";
import type { LineView } from "../session.js";
import { el, fill } from "./dom.js";

/** The parts that the frame holds. */
interface Holds {
	header: HTMLElement;
	lines: HTMLElement;
	editor: HTMLElement;
	mistakes: HTMLElement;
	story: HTMLElement;
	words: HTMLElement;
	stepper: HTMLElement;
	range: HTMLElement;
	port: HTMLElement;
	sockets: HTMLElement;
	edit(): void;
	/** Goes to the next line that failed or differs. */
	next(): void;
	scope(): void;
}

/** Ports around a port that lies outside the range. */
const AROUND = 128;

export class Frame {
	private readonly heading = el("h2", {}, "Script");
	private readonly summed = el("p", { class: "summary" });
	private readonly comparison = el("p", { class: "summary comparison", hidden: true });
	private readonly editButton: HTMLButtonElement;
	private readonly nextButton = el("button", { type: "button", hidden: true }, "Next failure");
	/** The range that the user chose; null for the one that fits the line. */
	private chosen: string | null = null;
	private readonly live = el("div", { class: "unseen", role: "status", "aria-live": "polite" });
	private readonly main: HTMLElement;
	private readonly search: HTMLElement;
	private readonly scopes = el("select", { id: "scope" });
	private readonly searchTitle = el("h2", {}, "Search");
	private readonly none = el("p", { class: "note" }, "This line makes no search.");

	constructor(
		body: HTMLElement,
		private readonly holds: Holds,
	) {
		this.editButton = el("button", { type: "button" }, "Edit");
		this.editButton.addEventListener("click", () => holds.edit());
		this.nextButton.addEventListener("click", () => holds.next());
		this.scopes.addEventListener("change", () => {
			const [fits] = this.scopes.options;
			this.chosen = this.scopes.value === fits?.value ? null : this.scopes.value;
			holds.scope();
		});
		const script = el(
			"section",
			{ class: "script", "aria-label": "Script" },
			el("div", { class: "bar" }, this.heading, this.nextButton, this.editButton),
			this.summed,
			this.comparison,
			holds.lines,
			holds.editor,
			holds.mistakes,
		);
		const scope = el("label", { for: "scope" }, el("span", { class: "unseen" }, "Ports shown"));
		scope.append(this.scopes);
		const range = el(
			"section",
			{ class: "ports", "aria-label": "Range" },
			el("div", { class: "bar" }, el("h3", {}, "Range"), scope),
			holds.range,
		);
		this.search = section(this.searchTitle, "search", holds.stepper, this.none, range);
		const seen = el(
			"div",
			{ class: "seen" },
			holds.story,
			this.search,
			section(el("h2", {}, "Bucket"), "buckets", holds.port),
			section(el("h2", {}, "In words"), "in-words", holds.words),
			section(el("h2", {}, "Sockets"), "all-sockets", holds.sockets),
		);
		this.main = el("main", {}, script, seen);
		body.append(holds.header, this.main, this.live);
	}

	say(text: string): void {
		this.live.textContent = text;
	}

	title(file: string | null, lines: number): void {
		this.heading.textContent = file ?? "Script";
		this.summed.textContent = plural(lines, "line");
	}

	editable(can: boolean): void {
		this.editButton.disabled = !can;
		this.editButton.title = can ? "" : "Too long to be edited here";
	}

	editing(on: boolean): void {
		this.holds.lines.hidden = on;
		this.holds.editor.hidden = !on;
		this.editButton.textContent = on ? "Done" : "Edit";
		this.editButton.setAttribute("aria-pressed", String(on));
	}

	busy(on: boolean, soFar = ""): void {
		this.main.setAttribute("aria-busy", String(on));
		if (on) this.summed.textContent = soFar === "" ? "Playing …" : `Playing ${soFar} …`;
	}

	/** What became of all lines. `setting` says what is known beside the script. */
	summary({ verdicts, failed, version, doubt }: Loaded, setting: string): void {
		const counts = new Map<string, number>();
		for (const verdict of verdicts) {
			const name = VERDICTS[verdict];
			if (name != null) counts.set(name, (counts.get(name) ?? 0) + 1);
		}
		let fails = 0;
		for (const one of failed) fails += one;
		const said = [plural(verdicts.length, "line")];
		const add = (name: string, words: string) => {
			const n = counts.get(name) ?? 0;
			if (n > 0) said.push(`${count(n)} ${words}`);
		};
		add("match", "as recorded");
		add("mismatch", "differ");
		add("undecided", "undecided");
		add("ignored", "passed over");
		if (fails > 0) said.push(`${plural(fails, "call")} failed`);
		const nearest = doubt === null ? "" : `, the nearest one: ${doubt}`;
		const beside = setting === "" ? "" : ` Known beside the script: ${setting}.`;
		this.summed.textContent = `${said.join(", ")}. Kernel ${version}${nearest}.${beside}`;
		this.nextButton.hidden = fails + (counts.get("mismatch") ?? 0) < 2;
	}

	/** What the comparison with a second version found; null if there is none. */
	compared(text: string | null): void {
		this.comparison.hidden = text === null;
		this.comparison.textContent = text ?? "";
	}

	failed(error: unknown): void {
		const message = error instanceof Error ? error.message : String(error);
		this.summed.textContent = message;
		this.say(message);
	}

	/** Sets the headings for a line, and the ranges that can be shown. */
	searched({ steps, before, port }: LineView): void {
		const searches = steps.kinds.length > 0;
		this.none.hidden = searches;
		const kind = steps.kind === SEARCH_CONNECT ? "connect()" : "bind()";
		const what = steps.kind === SEARCH_UDP ? "UDP" : kind;
		this.searchTitle.textContent = steps.kind === 0 ? "Search" : `Search of ${what}`;
		const { low, high } = before;
		const options: [string, string][] = [];
		if (steps.kind !== 0) options.push(["search", `this search ${steps.low}-${steps.high}`]);
		if (port !== 0 && (port < low || port > high)) options.push(["around", `around port ${port}`]);
		options.push(["namespace", `the namespace's range ${low}-${high}`]);
		options.push(["all", "all 65,536 ports"]);
		fill(this.scopes, ...options.map(([value, text]) => el("option", { value }, text)));
		const { chosen } = this;
		if (chosen !== null && options.some(([value]) => value === chosen)) this.scopes.value = chosen;
	}

	/** The range that is shown, inclusive. */
	scope({ steps, before }: LineView, port: number): [low: number, high: number] {
		switch (this.scopes.value) {
			case "search":
				return [steps.low, steps.high];
			case "around": {
				const low = Math.max(0, Math.min(port - AROUND / 2, 65536 - AROUND));
				return [low, low + AROUND - 1];
			}
			case "all":
				return [0, 65535];
			default:
				return [before.low, before.high];
		}
	}
}

function section(title: HTMLElement, name: string, ...parts: HTMLElement[]): HTMLElement {
	title.id = `title-${name}`;
	return el("section", { class: name, "aria-labelledby": title.id }, title, ...parts);
}

export function buildFrame(body: HTMLElement, holds: Holds): Frame {
	return new Frame(body, holds);
}
