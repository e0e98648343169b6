// SPDX-License-Identifier: GPL-2.0-or-later
/** The atlas as a text of at most 120 columns. */
import { EADDRINUSE } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import {
	answerWord,
	type Heading,
	list,
	type Meeting,
	type Rules,
	type Seat,
	type Tables,
} from "./atlas.js";
import { LISTEN_FAILED } from "./lab.js";
import { DEVICES, type First, type Second } from "./pairs.js";
import { KINDS, type Protocol } from "./protocols.js";

/** Gives a text a style of a terminal: "1" is bold, "2" is faint, "32" is green. */
export type Style = (style: string, text: string) => string;

export const PROTOCOL_NAMES: Readonly<Record<Protocol, string>> = {
	tcp: "TCP",
	udp: "UDP",
	udplite: "UDP-Lite",
	mptcp: "MPTCP",
	sctp: "SCTP",
	dccp: "DCCP",
};

/** Longest line of prose. */
const WIDTH = 79;

export const HEADLINE = "May a socket bind to a port that another socket has?";
export const INTRODUCTION =
	"A row is the socket that has the port. A column is the newcomer, which binds to the same port. " +
	"Look up both addresses in 1. If they meet, look up both sockets in 2.";

/** OPTIONS by number: neither, SO_REUSEADDR, SO_REUSEPORT, both. A set is a bit mask of them. */
const SETS: Readonly<Record<number, readonly [string, string, string]>> = {
	1: ["neither option", "", "neither"],
	2: ["only SO_REUSEADDR", "only", "ADDR"],
	3: ["without SO_REUSEPORT", "no", "PORT"],
	4: ["only SO_REUSEPORT", "only", "PORT"],
	5: ["without SO_REUSEADDR", "no", "ADDR"],
	6: ["one of the options", "one of", "them"],
	7: ["not both options", "not", "both"],
	8: ["both options", "", "both"],
	9: ["neither or both", "neither", "or both"],
	10: ["with SO_REUSEADDR", "with", "ADDR"],
	11: ["not SO_REUSEPORT alone", "not only", "PORT"],
	12: ["with SO_REUSEPORT", "with", "PORT"],
	13: ["not SO_REUSEADDR alone", "not only", "ADDR"],
	14: ["one or both options", "one or", "both"],
	15: ["any options", "any", "options"],
};

const maskOf = ({ options }: Heading) => options.reduce((mask, option) => mask | (1 << option), 0);

/** The options of a row: "without SO_REUSEPORT". */
export const optionsName = (heading: Heading): string => SETS[maskOf(heading)]?.[0] ?? "";

/** The options of a column, in two lines. */
export const optionsHead = (heading: Heading): readonly [string, string] => {
	const [, above = "", below = ""] = SETS[maskOf(heading)] ?? [];
	return [above, below];
};

/** Columns with one title. */
export function sectionsOf(
	columns: readonly Heading[],
): { readonly title: string; readonly headings: readonly Heading[] }[] {
	const found: { title: string; headings: Heading[] }[] = [];
	for (const heading of columns) {
		const last = found.at(-1);
		if (last?.title === heading.title) last.headings.push(heading);
		else found.push({ title: heading.title, headings: [heading] });
	}
	return found;
}

/** The title of columns in two lines: the user, and what the newcomer does. */
export function titleLines(title: string): readonly [string, string] {
	const [who = "", does = ""] = title.split(", ");
	return [who, does];
}

/** A place or device as the head of a column, in two lines. */
export function headOf(name: string): readonly [string, string] {
	const space = name.indexOf(" ");
	if (space > 0) return [name.slice(0, space), name.slice(space + 1)];
	const at = name.indexOf("ffff:");
	return at < 0 ? ["", name] : [name.slice(0, at + 5), name.slice(at + 5)];
}

export const deviceName = (device: string) => device || "no device";

/** What a table of rules asks. */
export const question = (rules: Rules) =>
	`If they meet${rules.letter === "●" ? "" : ` (${rules.letter})`}, may the newcomer bind?`;

/** The marks that occur in tables of rules, with what they mean. */
export function legendOf(rules: readonly Rules[]): (readonly [string, string])[] {
	const legend: (readonly [string, string])[] = [
		["yes", "bind() succeeds"],
		["·", "bind() fails with EADDRINUSE"],
	];
	if (rules.some(({ cells }) => cells.flat().includes(LISTEN_FAILED + EADDRINUSE)))
		legend.push(["half", "bind() succeeds, listen() fails with EADDRINUSE"]);
	return legend;
}

/** Texts of the newcomer's answers in sentences. */
function answerSentence(answer: number): string {
	const word = answerWord(answer);
	if (word === "yes") return "the newcomer may bind";
	if (word === "half") return "it may bind but not listen";
	return `it gets ${word}`;
}

const ADDRESS_RULE =
	"Two addresses meet if they are equal, or if one is the wildcard of their family. " +
	"[::] is the wildcard of both families; with IPV6_V6ONLY it is that of IPv6 alone. " +
	"An IPv4-mapped address is an IPv4 address.";

const DEVICE_RULE =
	"Sockets that SO_BINDTODEVICE binds to different devices never meet. " +
	"A socket without a device meets sockets of every device.";

/** What the names in tables mean, as lines. */
export function notesOf({ atlas, mappedAlike }: Tables): string[] {
	const notes = [
		"127.0.0.1 and 127.0.0.2 stand for two addresses of the host, [::1] and [2001:db8::2] as well.",
		"V6ONLY: the socket has the option IPV6_V6ONLY.",
	];
	if (mappedAlike)
		notes.push(
			"An IPv4-mapped address such as [::ffff:127.0.0.1] is like the IPv4 address everywhere.",
		);
	if (atlas.firsts.some(({ state }) => state === "connected"))
		notes.push("A connected socket counts with the address that getsockname() shows.");
	return notes;
}

/** Notes on a table of rules. */
export function rulesNotes({ listensAlike }: Rules, { atlas }: Tables): string[] {
	const notes = ["ADDR: SO_REUSEADDR. PORT: SO_REUSEPORT."];
	if (listensAlike && KINDS[atlas.protocol].listens)
		notes.push("It makes no difference whether the newcomer then listens.");
	return notes;
}

/** Breaks prose into lines of at most WIDTH characters. */
export function wrap(text: string, indent = "", next = indent): string[] {
	const lines: string[] = [];
	let line = indent;
	for (const word of text.split(" ")) {
		if (line.trim() !== "" && line.length + 1 + word.length > WIDTH) {
			lines.push(line);
			line = next + word;
		} else line += (line.trim() === "" ? "" : " ") + word;
	}
	return [...lines, line];
}

/** A text in the middle of a field. */
function centre(text: string, width: number): string {
	const left = Math.floor((width - text.length) / 2);
	return text.padStart(text.length + Math.max(left, 0)).padEnd(width);
}

interface Column {
	readonly head: readonly [string, string];
	readonly width: number;
	/** Space before it. */
	readonly gap: number;
}

const columnOf = (head: readonly [string, string], gap: number): Column => ({
	head,
	width: Math.max(head[0].length, head[1].length, 4),
	gap,
});

const spread = (columns: readonly Column[], text: (at: number) => string) =>
	columns.map(({ width, gap }, at) => " ".repeat(gap) + centre(text(at), width)).join("");

/** The heads of columns, in one or two lines. The last line begins with `corner`. */
function heads(corner: string, columns: readonly Column[], style: Style): string[] {
	return [0, 1]
		.map((line) => spread(columns, (at) => nth(columns, at).head[line] ?? ""))
		.filter((line) => line.trim() !== "")
		.map((line, at, { length }) => {
			const label = at === length - 1 ? corner : " ".repeat(corner.length);
			return style("1", (label + line).trimEnd());
		});
}

/** Faint, green, red, and yellow for places that meet. */
function styleOf(mark: string): string {
	if (mark.startsWith("·")) return "2";
	if (mark === "yes") return "32;1";
	return mark.length > 2 ? "31;1" : "33;1";
}

/** Marks in their styles. The style is given after the mark has its place. */
function row(
	label: string,
	columns: readonly Column[],
	marks: readonly string[],
	style: Style,
): string {
	let line = label;
	let skip = 0;
	for (const [at, { width, gap }] of columns.entries()) {
		const mark = nth(marks, at);
		const text = centre(mark, width);
		const before = text.length - text.trimStart().length;
		const after = text.length - text.trimEnd().length;
		line += " ".repeat(skip + gap + before) + style(styleOf(mark), mark);
		skip = after;
	}
	return line;
}

const meetingMark = ({ letter, odd }: Meeting) => (letter || "·") + (odd ? "*" : "");

export function printAtlas(tables: Tables, style: Style): string[] {
	const { atlas, groups, meetings, rules, oddities, deviceMeetings } = tables;
	const name = PROTOCOL_NAMES[atlas.protocol];
	const lines: string[] = [];
	const title = (text: string) => lines.push("", style("1", text));
	lines.push(style("1", `${HEADLINE}  ${name}, Linux ${atlas.version}`), "");
	lines.push(...wrap(INTRODUCTION, "  "));

	title("1. Do the addresses meet?");
	const label = 2 + Math.max(12, ...groups.map((group) => group.name.length));
	const columns = groups.map((group, at) => columnOf(headOf(group.name), at === 0 ? 1 : 2));
	lines.push("", ...heads("  first socket".padEnd(label), columns, style));
	for (const [i, group] of groups.entries()) {
		const marks = nth(meetings, i).map(meetingMark);
		lines.push(row(`  ${group.name}`.padEnd(label), columns, marks, style));
	}
	lines.push("");
	const letters = rules.map(({ letter }) => letter);
	lines.push(`  ${list(letters, "or")}  they meet: see 2    ·  they never meet: bind() succeeds`);
	if (oddities.length > 0) lines.push("  *  against the rule below");
	for (const note of notesOf(tables)) lines.push(...wrap(note, "  ", "    "));

	for (const rule of rules) {
		title(`2${rules.length > 1 ? rule.letter : ""}. ${question(rule)}`);
		lines.push("", ...printRules(rule, style), "");
		for (const note of rulesNotes(rule, tables)) lines.push(`  ${note}`);
	}
	lines.push(
		`  ${legendOf(rules)
			.map(([mark, means]) => `${mark}  ${means}`)
			.join("    ")}`,
	);

	title("3. Do the devices meet?");
	const devices = DEVICES.map((device) => columnOf(["", deviceName(device)], 2));
	lines.push("", ...heads("  first socket".padEnd(label), devices, style));
	for (const [i, device] of DEVICES.entries()) {
		const marks = nth(deviceMeetings, i).map(meetingMark);
		lines.push(row(`  ${deviceName(device)}`.padEnd(label), devices, marks, style));
	}
	lines.push("", "  ●  they meet, as in 1    ·  they never meet: bind() succeeds");

	title("The rules");
	lines.push("");
	for (const { text, item } of rulesText(tables)) {
		lines.push(...(item ? wrap(`- ${text}`, "    ", "      ") : wrap(text, "  ")));
	}
	lines.push("", `  Computed from the answers to ${atlas.pairs} pairs of sockets.`);
	return lines.map((line) => line.trimEnd());
}

function printRules({ rows, columns: found, cells }: Rules, style: Style): string[] {
	const lines: string[] = [];
	const label = 4 + Math.max(...rows.map((heading) => optionsName(heading).length));
	const sections = sectionsOf(found);
	const columns = sections.flatMap(({ title, headings }, at) => {
		const its = headings.map((heading, i) =>
			columnOf(optionsHead(heading), i === 0 && at > 0 ? 4 : 2),
		);
		// The title stands above its columns.
		const missing = Math.max(...titleLines(title).map((line) => line.length)) - widthOf(its);
		const more = Math.ceil(Math.max(missing, 0) / its.length);
		return its.map((column) => ({ ...column, width: column.width + more }));
	});
	for (const line of [0, 1] as const) {
		let titles = (line === 0 ? "newcomer:" : "").padStart(label);
		let at = 0;
		for (const { title, headings } of sections) {
			const its = columns.slice(at, at + headings.length);
			const text = titleLines(title)[line];
			at += headings.length;
			const { gap } = nth(its, 0);
			const shown = line === 0 ? rule(text, widthOf(its)) : centre(text, widthOf(its));
			titles += " ".repeat(gap) + shown;
		}
		if (titles.trim() !== "") lines.push(style("1", titles.trimEnd()));
	}
	lines.push(...heads("  first socket".padEnd(label), columns, style));
	for (const [i, heading] of rows.entries()) {
		if (rows[i - 1]?.title !== heading.title) lines.push(style("1", `  ${heading.title}`));
		const marks = nth(cells, i).map((answer) => markOf(answer));
		lines.push(row(`    ${optionsName(heading)}`.padEnd(label), columns, marks, style));
	}
	return lines;
}

/** The width of columns with the gaps between them. */
const widthOf = (columns: readonly Column[]) =>
	columns.reduce((sum, { width, gap }, at) => sum + width + (at > 0 ? gap : 0), 0);

/** A title with a line on both sides. */
function rule(title: string, width: number): string {
	const left = Math.floor((width - title.length - 2) / 2);
	if (left < 1) return title.padEnd(width);
	return `${"─".repeat(left)} ${title} ${"─".repeat(width - title.length - 2 - left)}`;
}

/** The mark of an answer in a table. */
export function markOf(answer: number): string {
	if (answer < 0) return "";
	const word = answerWord(answer);
	return word === "no" ? "·" : word;
}

interface Sentence {
	readonly text: string;
	/** Whether it is an item of the list that the sentence before began. */
	readonly item: boolean;
}

/** A list with a sentence before it. */
function* listed(text: string, items: readonly string[], between: string): Generator<Sentence> {
	yield { text, item: false };
	for (const [i, item] of items.entries())
		yield { text: item + (i < items.length - 1 ? between : "."), item: true };
}

function* sentences({ letter, sentences, complete }: Rules): Generator<Sentence> {
	const where = letter === "●" ? "If they meet" : `If they meet (${letter})`;
	for (const [i, { answer, when }] of sentences.entries()) {
		const last = complete && i > 0 && i === sentences.length - 1;
		if (last) yield { text: `In all other cases ${answerSentence(answer)}.`, item: false };
		else yield* listed(`${where}, ${answerSentence(answer)} if`, when, ", or");
	}
	if (sentences.length === 0) yield { text: `${where}, the newcomer may not bind.`, item: false };
}

/** The rules in sentences. */
export function rulesText({ rules, oddities, deviceMeetings, atlas }: Tables): Sentence[] {
	const breaks = `Linux ${atlas.version} breaks this rule:`;
	const found: Sentence[] = [];
	const say = (text: string) => found.push({ text, item: false });
	say("A newcomer may bind if the addresses or the devices do not meet.");
	for (const rule of rules) found.push(...sentences(rule));
	say(ADDRESS_RULE);
	if (oddities.length > 0) found.push(...listed(breaks, oddities, ";"));
	say(DEVICE_RULE);
	const odd = DEVICES.flatMap((from, i) =>
		DEVICES.filter((_, j) => nth(nth(deviceMeetings, i), j).odd).map(
			(to) => `${deviceName(from)}, then ${deviceName(to)}`,
		),
	);
	if (odd.length > 0) found.push(...listed(breaks, odd, ";"));
	return found;
}

/** A place with its device: "127.0.0.1", "[::] V6ONLY on lo". */
export const seatName = ({ place, device }: Seat) =>
	device === "" ? place.name : `${place.name} on ${device}`;

/** A socket in a few words: "[::] V6ONLY on lo SO_REUSEADDR". */
function socketText({ options, ...seat }: First | Second): string {
	const words = [seatName(seat)];
	if (options.reuse) words.push("SO_REUSEADDR");
	if (options.reuseport) words.push("SO_REUSEPORT");
	return words.join(" ");
}

/** A pair, or a first socket, in one line. */
export function pairText(first: First, second: Second | null): string {
	const one = `${socketText(first)} ${first.state}`;
	if (second === null) return one;
	const who = second.other ? " of another user" : "";
	return `${one}, then ${socketText(second)}${who}${second.listens ? " that listens" : ""}`;
}
