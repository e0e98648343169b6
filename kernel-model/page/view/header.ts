// SPDX-License-Identifier: GPL-2.0-or-later
/** The controls on top: example, version, second version, seed, link, file. */
import { VERSION_NAMES } from "../../machine/versions.js";
import { examples } from "../examples.js";
import { el } from "./dom.js";
import { keysDialog } from "./keys.js";

/** What the controls do. */
interface Acts {
	example(id: string): void;
	/** Begins a script of the user's own. */
	own(): void;
	/** The version or the seed was changed. */
	settings(): void;
	beside(): void;
	link(): void;
	file(file: File): void;
}

/** What the page is for. */
const PURPOSE = "Choose a line to see how Linux finds a port for it, or why it finds none";

/** Milliseconds for which a note on the link is shown. */
const NOTED = 4000;

export class Header {
	readonly element: HTMLElement;
	private readonly examples: HTMLSelectElement;
	private readonly versions: HTMLSelectElement;
	private readonly besides: HTMLSelectElement;
	private readonly seeds = el("input", {
		type: "number",
		min: 0,
		max: 4294967295,
		value: 1,
		id: "seed",
		title: "Of the random numbers with which searches start",
	});
	private readonly note = el("span", { class: "note", role: "status" });
	private timer = 0;

	constructor(acts: Acts) {
		const groups = new Map<string, HTMLElement>();
		this.examples = el("select", { id: "example" }, el("option", { value: "" }, "Your own script"));
		for (const { id, group, title } of examples()) {
			let list = groups.get(group);
			if (list === undefined) {
				list = el("optgroup", { label: group });
				groups.set(group, list);
				this.examples.append(list);
			}
			list.append(el("option", { value: id }, title));
		}
		const names = [...VERSION_NAMES].reverse();
		const options = () => names.map((name) => el("option", { value: name }, name));
		this.versions = el("select", { id: "version" }, el("option", { value: "" }, "as recorded"));
		this.versions.append(...options());
		this.besides = el("select", { id: "beside" }, el("option", { value: "" }, "none"));
		this.besides.append(...options());
		const chosen = el("input", { type: "file", id: "file", class: "unseen", tabindex: -1 });
		const open = button("Open file", () => chosen.click());
		chosen.setAttribute("aria-label", "File to open");
		const keys = keysDialog();
		this.examples.addEventListener("change", () => acts.example(this.examples.value));
		this.versions.addEventListener("change", () => acts.settings());
		this.seeds.addEventListener("change", () => acts.settings());
		this.besides.addEventListener("change", () => acts.beside());
		chosen.addEventListener("change", () => {
			const [file] = chosen.files ?? [];
			if (file !== undefined) acts.file(file);
			chosen.value = "";
		});
		this.element = el(
			"header",
			{},
			el("h1", {}, "See a port search", el("span", {}, PURPOSE)),
			el(
				"form",
				{ class: "settings", "aria-label": "Script and versions" },
				field("Example", this.examples, "wide"),
				field("Kernel", this.versions, "kernel"),
				field("Compare with", this.besides),
				field("Seed", this.seeds, "short"),
			),
			el(
				"div",
				{ class: "acts" },
				button("New script", () => acts.own()),
				open,
				chosen,
				button("Copy link", () => acts.link()),
				button("Keys", () => keys.showModal()),
				this.note,
				keys,
			),
		);
		this.element.addEventListener("submit", (event) => event.preventDefault());
	}

	/** A name of VERSIONS; null for the one nearest to the recorded kernel. */
	get version(): string | null {
		return this.versions.value || null;
	}

	get beside(): string | null {
		return this.besides.value || null;
	}

	get seed(): number {
		const seed = Number(this.seeds.value);
		return Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff ? seed : 1;
	}

	set(version: string | null, beside: string | null, seed: number): void {
		const known = (name: string | null) => VERSION_NAMES.find((each) => each === name) ?? "";
		this.versions.value = known(version);
		this.besides.value = known(beside);
		this.seeds.value = String(seed);
	}

	example(id: string): void {
		this.examples.value = id;
	}

	noExample(): void {
		this.examples.value = "";
	}

	/** Says which version was played if none was chosen. */
	played(version: string, doubt: string | null): void {
		const [auto] = this.versions.options;
		if (auto === undefined || this.version !== null) return;
		auto.textContent = `as recorded (${version})`;
		auto.title = doubt ?? "";
	}

	linked(text: string): void {
		clearTimeout(this.timer);
		this.note.textContent = text;
		this.timer = setTimeout(() => {
			this.note.textContent = "";
		}, NOTED);
	}
}

function button(text: string, press: () => void): HTMLButtonElement {
	const element = el("button", { type: "button" }, text);
	element.addEventListener("click", press);
	return element;
}

function field(label: string, control: HTMLElement, size: string | null = null): HTMLElement {
	return el("label", { class: size, for: control.id }, el("span", {}, label), control);
}
