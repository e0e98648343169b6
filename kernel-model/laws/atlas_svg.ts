// SPDX-License-Identifier: GPL-2.0-or-later
/** The atlas as an SVG image: one file, text as text, for light and dark backgrounds. */
import { nth } from "../machine/nth.js";
import type { Meeting, Rules, Tables } from "./atlas.js";
import { type Differences, printDifferences } from "./atlas_diff.js";
import {
	deviceName,
	HEADLINE,
	headOf,
	INTRODUCTION,
	legendOf,
	markOf,
	notesOf,
	optionsHead,
	optionsName,
	PROTOCOL_NAMES,
	question,
	rulesNotes,
	rulesText,
	sectionsOf,
	titleLines,
} from "./atlas_text.js";
import { DEVICES } from "./pairs.js";

/** Colours of each class: on a light background, on a dark one. */
const COLOURS: readonly (readonly [string, string, string])[] = [
	["page", "#ffffff", "#0d1117"],
	["ink", "#1f2328", "#e6edf3"],
	["soft", "#59636e", "#9198a1"],
	["line", "#d1d9e0", "#3d444d"],
	["no", "#f6f8fa", "#151b23"],
	["yes", "#b4f1c4", "#1f6f37"],
	["meet", "#ffdf8a", "#7d5a12"],
	["half", "#ffd1c2", "#8a3a22"],
	["odd", "#cf222e", "#ff7b72"],
];

const colours = (dark: boolean) =>
	COLOURS.map(([name, light, night]) => {
		const colour = dark ? night : light;
		return name === "odd"
			? `.odd{fill:none;stroke:${colour};stroke-width:2}`
			: `.${name}{fill:${colour}}`;
	}).join("");

const STYLE = [
	"text{font-family:ui-sans-serif,system-ui,'Segoe UI','DejaVu Sans',sans-serif;font-size:14px}",
	".code{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:13px}",
	".big{font-size:22px;font-weight:700}.title{font-size:17px;font-weight:700}.bold{font-weight:700}",
	".middle{text-anchor:middle}.end{text-anchor:end}",
	colours(false),
	`@media (prefers-color-scheme:dark){${colours(true)}}`,
].join("");

const escaped = (text: string) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);

/** Sizes, px. */
const MARGIN = 32;
const LINE = 21;
const CELL = 28;
const GAP = 4;
/** Width of a character: of code, and on average of prose. */
const CODE = 7.9;
const PROSE = 7.1;
const NARROWEST = 48;
const WIDTH = 960;

/** A column of a table. */
interface Column {
	readonly head: readonly [string, string];
	/** Where its middle is. */
	readonly x: number;
	readonly width: number;
}

class Picture {
	private readonly parts: string[] = [];
	private y = MARGIN;
	private width = WIDTH;

	private text(x: number, y: number, names: string, text: string): void {
		if (text !== "")
			this.parts.push(`<text x="${x}" y="${y}" class="${names}">${escaped(text)}</text>`);
	}

	private reach(x: number): void {
		this.width = Math.max(this.width, Math.ceil(x) + MARGIN);
	}

	line(text: string, names = "ink", indent = 0): void {
		this.y += LINE;
		this.text(MARGIN + indent, this.y, names, text);
	}

	space(height = LINE): void {
		this.y += height;
	}

	/** Prose, broken into lines. */
	prose(text: string, names = "ink", indent = 0): void {
		const most = (WIDTH - 2 * MARGIN - indent) / PROSE;
		let line = "";
		for (const word of text.split(" ")) {
			if (line.length + 1 + word.length > most) {
				this.line(line, names, indent);
				line = word;
			} else line = line === "" ? word : `${line} ${word}`;
		}
		this.line(line, names, indent);
	}

	/** The columns of a table, right of labels of some characters. */
	columns(
		label: number,
		heads: readonly (readonly [string, string])[],
		gapBefore: (at: number) => number,
	): Column[] {
		let x = Math.round(MARGIN + label * CODE + 12);
		return heads.map((head, at) => {
			const longest = Math.max(head[0].length, head[1].length);
			// An even number, so that the middle is a whole number.
			const width = Math.max(NARROWEST, 2 * Math.round((longest * CODE + 8) / 2));
			x += gapBefore(at);
			const column = { head, x: x + width / 2, width };
			x += width + GAP;
			this.reach(x);
			return column;
		});
	}

	heads(columns: readonly Column[]): void {
		for (const line of [0, 1] as const) {
			if (columns.every(({ head }) => head[line] === "")) continue;
			this.y += LINE - 3;
			for (const { head, x } of columns) this.text(x, this.y, "code ink middle", head[line]);
		}
		this.text(MARGIN, this.y, "soft", "first socket");
		this.y += 8;
	}

	/** Titles above the columns that they are for. */
	titles(columns: readonly Column[], sections: ReturnType<typeof sectionsOf>): void {
		const two = sections.some(({ title }) => titleLines(title)[1] !== "");
		this.y += LINE;
		let at = 0;
		for (const { title, headings } of sections) {
			const first = nth(columns, at);
			at += headings.length;
			const last = nth(columns, at - 1);
			const left = first.x - first.width / 2;
			const right = last.x + last.width / 2;
			const middle = (left + right) / 2;
			const [who, does] = titleLines(title);
			if (at === headings.length) this.text(left - 12, this.y, "soft end", "newcomer:");
			this.text(middle, this.y, "bold ink middle", who);
			if (two) this.text(middle, this.y + LINE - 3, "bold ink middle", does);
			const y = this.y + (two ? LINE - 3 : 0) + 6;
			this.parts.push(
				`<rect x="${left}" y="${y}" width="${right - left}" height="1.5" class="line"/>`,
			);
			this.reach(middle + (who.length * PROSE) / 2);
		}
		this.y += (two ? LINE - 3 : 0) + 10;
	}

	row(
		label: string,
		columns: readonly Column[],
		cells: readonly { mark: string; kind: string; odd: boolean }[],
	): void {
		this.text(MARGIN, this.y + CELL / 2 + 5, "code ink", label);
		for (const [at, { x, width }] of columns.entries()) {
			const { mark, kind, odd } = nth(cells, at);
			const box = `x="${x - width / 2}" y="${this.y}" width="${width}" height="${CELL}" rx="4"`;
			this.parts.push(`<rect ${box} class="${kind}"/>`);
			if (odd) this.parts.push(`<rect ${box} class="odd"/>`);
			const names = kind === "no" ? "soft middle" : "ink bold middle";
			this.text(x, this.y + CELL / 2 + 5, names, mark);
		}
		this.y += CELL + GAP;
	}

	/** A cell and what it means. */
	key(entries: readonly { mark: string; kind: string; odd: boolean; means: string }[]): void {
		let x = MARGIN;
		this.y += 6;
		for (const { mark, kind, odd, means } of entries) {
			const box = `x="${x}" y="${this.y}" width="${NARROWEST}" height="22" rx="4"`;
			this.parts.push(`<rect ${box} class="${kind}"/>`);
			if (odd) this.parts.push(`<rect ${box} class="odd"/>`);
			const names = kind === "no" ? "soft middle" : "ink bold middle";
			this.text(x + NARROWEST / 2, this.y + 16, names, mark);
			this.text(x + NARROWEST + 8, this.y + 16, "soft", means);
			x += Math.round(NARROWEST + 8 + means.length * PROSE + 24);
			this.reach(x);
		}
		this.y += 22;
	}

	toString(title: string, description: string): string {
		const height = this.y + MARGIN;
		return [
			`<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${height}" viewBox="0 0 ${this.width} ${height}" role="img">`,
			`<title>${escaped(title)}</title>`,
			`<desc>${escaped(description)}</desc>`,
			`<style>${STYLE}</style>`,
			`<rect width="100%" height="100%" class="page"/>`,
			...this.parts,
			"</svg>",
			"",
		].join("\n");
	}
}

const meetingCell = ({ letter, odd }: Meeting) => ({
	mark: letter || "·",
	kind: letter === "" ? "no" : "meet",
	odd,
});

function answerCell(answer: number): { mark: string; kind: string; odd: boolean } {
	const mark = markOf(answer);
	const kind = mark === "yes" ? "yes" : mark === "·" || mark === "" ? "no" : "half";
	return { mark, kind, odd: false };
}

function drawRules(picture: Picture, rules: Rules): void {
	const { rows, columns: found, cells } = rules;
	const label = 2 + Math.max(...rows.map((heading) => optionsName(heading).length));
	const columns = picture.columns(label, found.map(optionsHead), (at) =>
		at > 0 && found[at - 1]?.title !== nth(found, at).title ? 24 : 0,
	);
	picture.titles(columns, sectionsOf(found));
	picture.heads(columns);
	for (const [i, heading] of rows.entries()) {
		if (rows[i - 1]?.title !== heading.title) {
			picture.line(heading.title, "bold ink");
			picture.space(6);
		}
		picture.row(`  ${optionsName(heading)}`, columns, nth(cells, i).map(answerCell));
	}
}

/** An SVG image with the tables and the rules. */
export function drawAtlas(tables: Tables): string {
	const { atlas, groups, meetings, rules, oddities, deviceMeetings } = tables;
	const picture = new Picture();
	const what = `${PROTOCOL_NAMES[atlas.protocol]}, Linux ${atlas.version}`;
	picture.line(HEADLINE, "big ink");
	picture.space(6);
	picture.line(what, "title soft");
	picture.space(8);
	picture.prose(INTRODUCTION);

	picture.space();
	picture.line("1. Do the addresses meet?", "title ink");
	picture.space(4);
	const label = Math.max(...groups.map(({ name }) => name.length), 13);
	const places = picture.columns(
		label,
		groups.map(({ name }) => headOf(name)),
		() => 0,
	);
	picture.heads(places);
	for (const [i, { name }] of groups.entries())
		picture.row(name, places, nth(meetings, i).map(meetingCell));
	picture.key([
		...rules.map(({ letter }) => ({
			mark: letter,
			kind: "meet",
			odd: false,
			means: rules.length > 1 ? `they meet: see 2${letter}` : "they meet: see 2",
		})),
		{ mark: "·", kind: "no", odd: false, means: "they never meet: bind() succeeds" },
		...(oddities.length > 0
			? [{ mark: "", kind: "no", odd: true, means: "against the rule below" }]
			: []),
	]);
	picture.space(4);
	for (const note of notesOf(tables)) picture.prose(note, "soft");

	for (const rule of rules) {
		picture.space();
		picture.line(`2${rules.length > 1 ? rule.letter : ""}. ${question(rule)}`, "title ink");
		picture.space(4);
		drawRules(picture, rule);
		picture.space(4);
		for (const note of rulesNotes(rule, tables)) picture.prose(note, "soft");
	}
	picture.key(
		legendOf(rules).map(([mark, means]) => ({
			mark,
			kind: mark === "yes" ? "yes" : mark === "·" ? "no" : "half",
			odd: false,
			means,
		})),
	);

	picture.space();
	picture.line("3. Do the devices meet?", "title ink");
	picture.space(4);
	const devices = picture.columns(
		label,
		DEVICES.map((device) => ["", deviceName(device)] as const),
		() => 0,
	);
	picture.heads(devices);
	for (const [i, device] of DEVICES.entries())
		picture.row(deviceName(device), devices, nth(deviceMeetings, i).map(meetingCell));
	picture.key([
		{ mark: "●", kind: "meet", odd: false, means: "they meet, as in 1" },
		{ mark: "·", kind: "no", odd: false, means: "they never meet: bind() succeeds" },
	]);

	picture.space();
	picture.line("The rules", "title ink");
	picture.space(4);
	for (const { text, item } of rulesText(tables)) {
		if (item) picture.prose(`• ${text}`, "ink", 20);
		else picture.prose(text);
	}
	picture.space(8);
	picture.prose(`Computed from the answers to ${atlas.pairs} pairs of sockets.`, "soft");
	return picture.toString(`${HEADLINE} ${what}`, INTRODUCTION);
}

/** An SVG image with the differences of two versions, in the words that `--diff` prints. */
export function drawDifferences(differences: Differences): string {
	const picture = new Picture();
	const { before, after } = differences;
	const title = `Linux ${before.version} and ${after.version}`;
	const heads = new Set<string>();
	const lines = printDifferences(differences, (_, text) => {
		heads.add(text);
		return text;
	});
	picture.line(HEADLINE, "big ink");
	picture.space(6);
	for (const line of lines) {
		if (line === "") picture.space();
		else if (heads.has(line)) picture.line(line, "title ink");
		else picture.line(line.trimStart(), "ink", CODE * (line.length - line.trimStart().length));
	}
	return picture.toString(`${HEADLINE} ${title}`, INTRODUCTION);
}
