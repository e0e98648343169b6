// SPDX-License-Identifier: GPL-2.0-or-later
/** The script as text to edit. A column beside it has the result of each line, and mistakes. */
import { type Mistake, type Results, VERDICTS } from "../outcomes.js";
import { atNextFrame, el, fill } from "./dom.js";

/** Height of a line of text, pixels. The style sheet has the same. */
const LINE = 20;
/** Milliseconds without a key after which the script is played. */
const CALM = 300;

export class Editor {
	readonly element: HTMLElement;
	private readonly area = el("textarea", {
		"aria-label": "Script",
		"aria-describedby": "mistake",
		spellcheck: "false",
		autocapitalize: "off",
		autocomplete: "off",
		wrap: "off",
	});
	private readonly gutter = el("div", { class: "gutter", "aria-hidden": "true" });
	private readonly inner = el("div", {});
	/** A text that the area gets when it is shown: a browser lays out a long one slowly. */
	private given: string | null = null;
	private loaded: Results | null = null;
	private timer = 0;
	private readonly draw = atNextFrame(() => this.paint());

	/** `moved` is called with the line of the cursor when the cursor moves. */
	constructor(changed: (text: string) => void, moved: (line: number) => void) {
		this.gutter.append(this.inner);
		this.element = el("div", { class: "editor" }, this.gutter, this.area);
		this.area.addEventListener("scroll", this.draw);
		let before = 0;
		const move = () => {
			const { line } = this;
			if (line !== before) moved(line);
			before = line;
		};
		this.area.addEventListener("click", move);
		this.area.addEventListener("keyup", move);
		this.area.addEventListener("input", () => {
			this.draw();
			clearTimeout(this.timer);
			this.timer = setTimeout(() => changed(this.area.value), CALM);
		});
	}

	set text(text: string) {
		clearTimeout(this.timer);
		this.given = text;
	}

	/** The editor is shown. */
	shown(): void {
		if (this.given !== null) this.area.value = this.given;
		this.given = null;
		this.draw();
	}

	/** The line of the cursor, from 1. */
	get line(): number {
		return this.area.value.slice(0, this.area.selectionStart).split("\n").length;
	}

	results(loaded: Results | null): void {
		this.loaded = loaded;
		this.draw();
	}

	/** Moves the cursor to a line and a column. */
	go(line: number, column: number): void {
		let at = 0;
		for (let n = 1; n < line; n++) at = this.area.value.indexOf("\n", at) + 1;
		at += column - 1;
		this.area.focus();
		this.area.setSelectionRange(at, at);
		this.area.scrollTop = (line - 1) * LINE - this.area.clientHeight / 2;
	}

	private paint(): void {
		const { area, loaded } = this;
		if (this.element.hidden) return;
		const first = Math.floor(area.scrollTop / LINE);
		const lines = area.value === "" ? 1 : area.value.split("\n").length;
		const last = Math.min(lines, first + Math.ceil(area.clientHeight / LINE) + 1);
		const rows: HTMLElement[] = [];
		for (let line = first + 1; line <= last; line++) {
			const mistake = loaded?.mistake?.line === line;
			const differs = VERDICTS[loaded?.verdicts[line - 1] ?? 0] === "mismatch";
			const bad = mistake || differs || loaded?.failed[line - 1] === 1;
			const result = mistake ? "! mistake" : (loaded?.results[line - 1] ?? "");
			rows.push(
				el(
					"div",
					{ class: bad ? "bad" : null },
					el("span", { class: "number" }, String(line)),
					el("span", { class: "result" }, bad && !mistake ? `✕ ${result}` : result),
				),
			);
		}
		fill(this.inner, ...rows);
		this.inner.style.transform = `translateY(${first * LINE - area.scrollTop + 8}px)`;
		area.setAttribute("aria-invalid", loaded?.mistake == null ? "false" : "true");
	}
}

/** A mistake as a bar below the script, with a button that leads to its place. */
export class MistakeBar {
	readonly element = el("div", {
		class: "mistake-bar",
		id: "mistake",
		role: "alert",
		hidden: true,
	});

	constructor(private readonly go: (mistake: Mistake) => void) {}

	show(mistake: Mistake | null): void {
		this.element.hidden = mistake === null;
		if (mistake === null) {
			fill(this.element);
			return;
		}
		const { line, column, expected, found } = mistake;
		const button = el(
			"button",
			{ type: "button", class: "link" },
			`Line ${line}, column ${column}`,
		);
		button.addEventListener("click", () => this.go(mistake));
		fill(this.element, button, `: expected ${expected}, found ${found}`);
	}
}
