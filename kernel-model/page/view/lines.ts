// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The lines of the script with their results. Only the lines that can be seen are in the document,
 * so a script of 100,000 lines scrolls like one of ten.
 */
import type { Differing } from "../beside.js";
import { type Results, VERDICTS } from "../outcomes.js";
import { shortLine } from "../short.js";
import { atNextFrame, el, fill } from "./dom.js";

/** Height of a row, pixels. The style sheet has the same. */
const ROW = 28;
/** Rows above and below those that can be seen. */
const MORE = 6;
/** Browsers draw no element that is much higher. */
const HIGHEST = 8_000_000;

/** The sign of each verdict, and its name for screen readers. */
const SIGNS: Readonly<Record<string, { sign: string; name: string }>> = {
	match: { sign: "✓", name: "as recorded" },
	mismatch: { sign: "≠", name: "differs from the recording" },
	undecided: { sign: "?", name: "undecided" },
	unrecorded: { sign: "", name: "" },
	ignored: { sign: "·", name: "passed over" },
	failed: { sign: "✕", name: "failed" },
	mistake: { sign: "!", name: "mistake" },
};

export class Lines {
	readonly element: HTMLElement;
	private readonly box: HTMLElement;
	private readonly rows: HTMLElement;
	private texts: readonly string[] = [];
	private loaded: Results | null = null;
	private differing = new Map<number, Differing>();
	private beside: string | null = null;
	private current = 0;
	private readonly drawSoon = atNextFrame(() => this.draw());

	/** `select` is called when a line is chosen. `others` sees keys that the list does not use. */
	constructor(
		private readonly select: (line: number) => void,
		private readonly others: (event: KeyboardEvent) => boolean,
	) {
		this.rows = el("div", { class: "rows", role: "presentation" });
		this.box = el("div", {
			class: "lines",
			role: "listbox",
			tabindex: 0,
			"aria-label": "Lines of the script",
		});
		this.box.append(this.rows);
		this.element = this.box;
		this.box.addEventListener("scroll", () => this.draw());
		this.box.addEventListener("click", ({ target }) => {
			const row = target instanceof Element ? target.closest<HTMLElement>("[data-line]") : null;
			if (row !== null) this.choose(Number(row.dataset.line));
		});
		this.box.addEventListener("keydown", (event) => this.pressed(event));
		new ResizeObserver(() => this.draw()).observe(this.box);
	}

	/** A key of the list. */
	pressed(event: KeyboardEvent): void {
		if (event.altKey || event.ctrlKey || event.metaKey) return;
		if (this.key(event.key) || this.others(event)) event.preventDefault();
	}

	show(texts: readonly string[], loaded: Results | null): void {
		this.texts = texts;
		this.loaded = loaded;
		this.current = Math.min(this.current, texts.length);
		this.rows.style.height = `${this.height}px`;
		this.drawSoon();
	}

	/** Marks the lines that differ in a second version. */
	mark(version: string | null, differing: readonly Differing[]): void {
		this.beside = version;
		this.differing = new Map(differing.map((one) => [one.line, one]));
		this.drawSoon();
	}

	/** Makes a line the current one and scrolls to it. */
	go(line: number): void {
		this.current = line;
		const { clientHeight } = this.box;
		const seen = clientHeight / ROW;
		const row = line - 1 - this.start;
		if (row < 1 || row > seen - 2) {
			const start = Math.min(Math.max(line - 0.5 - seen / 2, 0), this.hidden);
			const most = this.height - clientHeight;
			this.box.scrollTop = this.hidden > 0 ? (start / this.hidden) * most : 0;
		}
		this.draw();
	}

	private get height(): number {
		return Math.min(this.texts.length * ROW, HIGHEST);
	}

	/** How many lines have no room in the box. */
	private get hidden(): number {
		return Math.max(0, this.texts.length - this.box.clientHeight / ROW);
	}

	/** The lines above the box; a part of a line counts. In a very long script a pixel is several. */
	private get start(): number {
		const most = this.height - this.box.clientHeight;
		return most <= 0 ? 0 : (this.box.scrollTop / most) * this.hidden;
	}

	/** Goes to the next line that failed or differs, at the end to the first one. */
	next(): void {
		const next = this.nextFailed(1);
		if (next !== this.current) {
			this.choose(next);
			return;
		}
		this.current = 0;
		this.choose(this.nextFailed(1));
	}

	private choose(line: number): void {
		if (line < 1 || line > this.texts.length || line === this.current) return;
		this.go(line);
		this.select(line);
	}

	/** Handles a key. Returns whether it was one of the list's. */
	private key(key: string): boolean {
		const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
		const last = this.texts.length;
		const clamp = (line: number) => Math.min(Math.max(line, 1), last);
		const to: Readonly<Record<string, number>> = {
			ArrowDown: clamp(this.current + 1),
			ArrowUp: clamp(this.current - 1),
			PageDown: clamp(this.current + page),
			PageUp: clamp(this.current - page),
			Home: 1,
			End: last,
		};
		const line = to[key];
		if (line === undefined) {
			const failed = key === "n" ? this.nextFailed(1) : key === "p" ? this.nextFailed(-1) : null;
			if (failed === null) return false;
			this.choose(failed);
			return true;
		}
		this.choose(line);
		return true;
	}

	/** The next line that failed or differs. */
	private nextFailed(by: 1 | -1): number {
		const { loaded } = this;
		for (let line = this.current + by; loaded !== null && line >= 1; line += by) {
			if (line > this.texts.length) break;
			const differs = VERDICTS[loaded.verdicts[line - 1] ?? 0] === "mismatch";
			if (loaded.failed[line - 1] === 1 || differs || this.differing.has(line)) return line;
		}
		return this.current;
	}

	private draw(): void {
		const { scrollTop, clientHeight } = this.box;
		const { start } = this;
		const first = Math.max(0, Math.floor(start) - MORE);
		const last = Math.min(this.texts.length, first + Math.ceil(clientHeight / ROW) + 2 * MORE);
		const rows: HTMLElement[] = [];
		for (let line = first + 1; line <= last; line++) {
			const row = this.row(line);
			row.style.transform = `translateY(${scrollTop + (line - 1 - start) * ROW}px)`;
			rows.push(row);
		}
		fill(this.rows, ...rows);
		this.box.setAttribute("aria-activedescendant", this.current > 0 ? `line-${this.current}` : "");
	}

	private row(line: number): HTMLElement {
		const text = this.texts[line - 1] ?? "";
		const { loaded } = this;
		const differs = this.differing.get(line);
		const verdict = VERDICTS[loaded?.verdicts[line - 1] ?? 0] ?? null;
		const mistake = loaded?.mistake?.line === line;
		const failed = loaded?.failed[line - 1] === 1;
		const kind = mistake
			? "mistake"
			: verdict === "unrecorded" || verdict === "match"
				? failed
					? "failed"
					: verdict
				: (verdict ?? "");
		const { sign = "", name = "" } = SIGNS[kind] ?? {};
		const plain = /^\s*(#|\$|$)/.test(text) || verdict === "ignored";
		const other = differs?.answers.find(({ version }) => version === this.beside);
		return el(
			"div",
			{
				class: `line ${kind}${plain ? " plain" : ""}${differs === undefined ? "" : " differs"}`,
				role: "option",
				id: `line-${line}`,
				"data-line": line,
				"aria-selected": line === this.current ? "true" : "false",
				"aria-setsize": this.texts.length,
				"aria-posinset": line,
			},
			el("span", { class: "number" }, String(line)),
			el("span", { class: "sign", title: name }, sign, el("span", { class: "unseen" }, name)),
			el("code", {}, shortLine(text)),
			other === undefined ? null : el("span", { class: "other" }, `${this.beside}: ${other.text}`),
			el("span", { class: "result" }, mistake ? "mistake" : (loaded?.results[line - 1] ?? "")),
		);
	}
}
