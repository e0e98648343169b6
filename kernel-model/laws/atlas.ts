// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The atlas: for each pair of sockets whether the second one may bind to the port of the first one.
 *
 * The answers are folded into a few tables. For each pair of places (an address, perhaps with
 * IPV6_V6ONLY) the answers to all options, states and users are a block. A block in which every bind
 * succeeds says that the places do not meet. Other blocks that are equal have one letter and one
 * table of rules. So the tables have every answer; nothing is summed up.
 */
import { EADDRINUSE, errnoName } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import { type Box, cover, type Element } from "./boxes.js";
import type { Place } from "./kinds.js";
import { LISTEN_FAILED } from "./lab.js";
import {
	DEVICES,
	type Device,
	type First,
	firstsOf,
	isAsked,
	Model,
	OPTIONS,
	SEATS,
	type Second,
	STATES,
	secondsOf,
	WIDE,
} from "./pairs.js";
import { KINDS, type Protocol } from "./protocols.js";

/** A pair that was not asked. */
export const UNKNOWN = -1;

/** The answers to every pair. */
export interface Atlas {
	readonly version: string;
	readonly protocol: Protocol;
	readonly firsts: readonly First[];
	readonly seconds: readonly Second[];
	/** answers[first][second]: 0, an errno of bind(), LISTEN_FAILED and an errno, or UNKNOWN. */
	readonly answers: readonly Int16Array[];
	/** How many pairs were asked. */
	readonly pairs: number;
}

/**
 * Makes an atlas of what a model answers. It has no pairs if the version lacks the protocol. `tick`
 * is called with the number of first sockets so far.
 */
export function atlasOf(
	version: string,
	protocol: Protocol,
	tick: (sockets: number) => void = () => {},
): Atlas {
	const model = new Model(version, protocol);
	const alone = model.run(null, secondsOf(protocol)) ?? [];
	const seconds = secondsOf(protocol).filter((_, i) => alone[i] === 0);
	const firsts: First[] = [];
	const answers: Int16Array[] = [];
	let pairs = 0;
	for (const first of seconds.length === 0 ? [] : firstsOf(protocol)) {
		const asked = seconds.filter((second) => isAsked(first, second));
		tick(firsts.length);
		const found = model.run(first, asked);
		if (found === null) continue;
		const row = new Int16Array(seconds.length).fill(UNKNOWN);
		let at = 0;
		for (const [i, second] of seconds.entries())
			if (isAsked(first, second)) row[i] = nth(found, at++);
		firsts.push(first);
		answers.push(row);
		pairs += asked.length;
	}
	return { version, protocol, firsts, seconds, answers, pairs };
}

/** The pairs of a first socket that were asked: numbers of newcomers, with their answers. */
export function* askedOf(atlas: Atlas, first: number): Generator<[number, number]> {
	for (const [second, answer] of nth(atlas.answers, first).entries())
		if (answer !== UNKNOWN) yield [second, answer];
}

/** An answer as a word: "yes", "no", "half" if only listen() fails, or an errno. */
export function answerWord(answer: number): string {
	if (answer === 0) return "yes";
	if (answer === EADDRINUSE) return "no";
	if (answer === LISTEN_FAILED + EADDRINUSE) return "half";
	return answer > LISTEN_FAILED ? `listen ${errnoName(answer - LISTEN_FAILED)}` : errnoName(answer);
}

// Blocks

/** The attributes of a pair at two places, and how many values each has. */
const REUSE = 0;
const REUSEPORT = 1;
const STATE = 2;
const NEW_REUSE = 3;
const NEW_REUSEPORT = 4;
const USER = 5;
const LISTENS = 6;
const SIZES: readonly number[] = [2, 2, STATES.length, 2, 2, 2, 2];

/** A row of a block has a state and options of the first socket. */
const ROWS = STATES.length * OPTIONS.length;
/** A column has a user, whether the newcomer listens, and its options. */
const COLUMNS = 4 * OPTIONS.length;

const optionsIndex = (socket: First | Second) =>
	OPTIONS.findIndex(
		({ reuse, reuseport }) =>
			socket.options.reuse === reuse && socket.options.reuseport === reuseport,
	);
const rowOf = (first: First) => STATES.indexOf(first.state) * OPTIONS.length + optionsIndex(first);
const columnOf = (second: Second) =>
	((second.other ? 2 : 0) + (second.listens ? 1 : 0)) * OPTIONS.length + optionsIndex(second);

/** The element of a row and a column, for boxes. */
function elementOf(row: number, column: number): Element {
	const own = nth(OPTIONS, row % OPTIONS.length);
	const its = nth(OPTIONS, column % OPTIONS.length);
	const who = Math.floor(column / OPTIONS.length);
	return [
		Number(own.reuse),
		Number(own.reuseport),
		Math.floor(row / OPTIONS.length),
		Number(its.reuse),
		Number(its.reuseport),
		who >> 1,
		who & 1,
	];
}

/** Answers by row and column; UNKNOWN if not asked. */
export type Block = Int16Array;

/** Where a socket is bound. */
export interface Seat {
	readonly place: Place;
	readonly device: Device;
}

/** The key of a pair of places in blocksOf(). */
export const keyOf = (one: Seat, two: Seat) =>
	[one.device, one.place.name, two.device, two.place.name].join("|");

/** The blocks of all pairs of places, for all pairs of devices. */
export function blocksOf(atlas: Atlas): Map<string, Block> {
	const blocks = new Map<string, Block>();
	for (const [i, first] of atlas.firsts.entries()) {
		const row = rowOf(first);
		for (const [j, second] of atlas.seconds.entries()) {
			const answer = nth(nth(atlas.answers, i), j);
			if (answer === UNKNOWN) continue;
			const key = keyOf(first, second);
			let block = blocks.get(key);
			if (block === undefined) {
				block = new Int16Array(ROWS * COLUMNS).fill(UNKNOWN);
				blocks.set(key, block);
			}
			block[row * COLUMNS + columnOf(second)] = answer;
		}
	}
	return blocks;
}

/** Whether every bind() succeeds. */
export const isFree = (block: Block) => block.every((answer) => answer <= 0);
/** Whether two blocks have the same answers where both have answers. */
export const agrees = (one: Block, other: Block) =>
	one.every((answer, i) => answer < 0 || nth(other, i) < 0 || answer === other[i]);
const known = (block: Block) => block.reduce((sum, answer) => sum + (answer < 0 ? 0 : 1), 0);

// Tables

/** One line of heads of a table of rules: equal options of an equal kind of sockets. */
export interface Heading {
	/** The state of the first socket, or the user of the newcomer. */
	readonly title: string;
	/** Numbers of OPTIONS. */
	readonly options: readonly number[];
}

/** The rules of places that meet. */
export interface Rules {
	/** A letter if there are several tables. */
	readonly letter: string;
	readonly rows: readonly Heading[];
	readonly columns: readonly Heading[];
	/** cells[row][column]: an answer. */
	readonly cells: readonly (readonly number[])[];
	/** Whether it makes no difference that the newcomer listens. */
	readonly listensAlike: boolean;
	/** Whether no newcomer gets EADDRINUSE from bind(). */
	readonly complete: boolean;
	/** When the newcomer has each answer except EADDRINUSE. */
	readonly sentences: readonly { readonly answer: number; readonly when: readonly string[] }[];
}

/** Places that are alike. */
interface Group {
	readonly places: readonly Place[];
	readonly name: string;
}

/** Whether two places, or devices, meet. */
export interface Meeting {
	/** "" if they do not meet, else the letter of their rules. */
	readonly letter: string;
	/** Whether the rule of addresses, or of devices, says otherwise. */
	readonly odd: boolean;
}

export interface Tables {
	readonly atlas: Atlas;
	readonly groups: readonly Group[];
	/** meetings[first][newcomer], by groups. */
	readonly meetings: readonly (readonly Meeting[])[];
	/** IPv4-mapped places that are alike with the IPv4 address, wherever they are. */
	readonly mappedAlike: boolean;
	/** deviceMeetings[first][newcomer], by DEVICES. The letter is "●", "" or "?". */
	readonly deviceMeetings: readonly (readonly Meeting[])[];
	readonly rules: readonly Rules[];
	/** The pairs of groups that are odd, in words. */
	readonly oddities: readonly string[];
}

const meets = (one: number | null, other: number | null) =>
	one !== null && other !== null && (one === other || one === 0 || other === 0);

/** The rule of addresses. */
const shouldMeet = (one: Place, other: Place) => meets(one.v4, other.v4) || meets(one.v6, other.v6);

const isMapped = (place: Place) => place.address.startsWith("::ffff:");
const unmapped = (place: Place) => place.address.replace("::ffff:", "");

export function tablesOf(atlas: Atlas): Tables {
	const blocks = blocksOf(atlas);
	const block = (one: Place, other: Place, from: Device = "", to: Device = "") =>
		blocks.get(keyOf({ place: one, device: from }, { place: other, device: to }));
	const places = SEATS.filter((place) => block(place, place) !== undefined);

	// Classes of equal blocks. Blocks that know most come first.
	const classes: { block: Block; pairs: [Place, Place][] }[] = [];
	const pairs = places.flatMap((one) => places.map((other): [Place, Place] => [one, other]));
	const sized = pairs.map(([one, other]) => {
		const found = block(one, other);
		return { pair: [one, other] as [Place, Place], block: found, size: found ? known(found) : 0 };
	});
	for (const { pair, block: found } of sized.sort((a, b) => b.size - a.size)) {
		if (found === undefined || isFree(found)) continue;
		let same = classes.find((other) => agrees(other.block, found));
		if (same === undefined) {
			same = { block: Int16Array.from(found), pairs: [] };
			classes.push(same);
		}
		const { block: whole } = same;
		for (const [i, answer] of found.entries()) if (answer >= 0) whole[i] = answer;
		same.pairs.push(pair);
	}
	classes.sort((a, b) => b.pairs.length - a.pairs.length);
	const letterOf = (at: number) => (classes.length === 1 ? "●" : String.fromCharCode(65 + at));
	const letter = (one: Place, other: Place) => {
		const at = classes.findIndex(({ pairs: its }) =>
			its.some(([a, b]) => a === one && b === other),
		);
		return at < 0 ? "" : letterOf(at);
	};

	const groups = groupsOf(places, letter);
	const meeting = (one: Place, other: Place): Meeting => {
		const found = letter(one, other);
		return { letter: found, odd: (found !== "") !== shouldMeet(one, other) };
	};
	const meetings = groups.map(({ places: [one] }) =>
		groups.map(({ places: [other] }) => meeting(one ?? nth(places, 0), other ?? nth(places, 0))),
	);
	const mappedAlike = places
		.filter(isMapped)
		.every((place) =>
			groups.some(
				({ places: its }) =>
					its.includes(place) && its.some(({ address }) => address === unmapped(place)),
			),
		);

	const deviceMeetings = DEVICES.map((from) =>
		DEVICES.map((to): Meeting => {
			let same = true;
			let free = true;
			for (const one of WIDE)
				for (const other of WIDE) {
					const found = block(one, other, from, to);
					const base = block(one, other);
					if (found === undefined || base === undefined) continue;
					if (!isFree(found)) free = false;
					if (!agrees(found, base)) same = false;
				}
			const should = from === "" || to === "" || from === to;
			return { letter: same ? "●" : free ? "" : "?", odd: should ? !same : !free };
		}),
	);

	return {
		atlas,
		groups,
		meetings,
		mappedAlike,
		deviceMeetings,
		rules: classes.map(({ block: whole }, at) => rulesOf(whole, letterOf(at), atlas.protocol)),
		oddities: odditiesOf(groups, meetings),
	};
}

/** Groups places whose rows and columns are equal. */
function groupsOf(places: readonly Place[], letter: (a: Place, b: Place) => string): Group[] {
	const groups: Place[][] = [];
	for (const place of places) {
		const same = groups.find(([known]) =>
			places.every(
				(other) =>
					known !== undefined &&
					letter(known, other) === letter(place, other) &&
					letter(other, known) === letter(other, place),
			),
		);
		if (same === undefined) groups.push([place]);
		else same.push(place);
	}
	return groups.map((its) => {
		const names = its.filter(
			(place) => !isMapped(place) || !its.some(({ address }) => address === unmapped(place)),
		);
		return { places: its, name: names.map(({ name }) => name).join(", ") };
	});
}

/** The pairs of groups that are not as the rule of addresses says. */
function odditiesOf(groups: readonly Group[], meetings: readonly (readonly Meeting[])[]): string[] {
	const found: string[] = [];
	for (const [i, { name }] of groups.entries())
		for (const says of ["do not meet", "meet"] as const) {
			const others = groups.filter((_, j) => {
				const { letter, odd } = nth(nth(meetings, i), j);
				return odd && (letter === "") === (says === "do not meet");
			});
			const names = others.map((other) => other.name);
			if (names.length > 0) found.push(`${name}, then ${list(names, "or")}: they ${says}`);
		}
	return found;
}

/** "a", "a or b", "a, b or c". */
export function list(words: readonly string[], last: string): string {
	const head = words.slice(0, -1).join(", ");
	return words.length < 2 ? words.join("") : `${head} ${last} ${words.at(-1)}`;
}

// Rules

/** Sockets that are alike except for their options. */
interface Kind {
	readonly title: string;
	/** Which one this is, of all states, or of all users who listen or not. */
	readonly at: number;
	/** The row, or column, of each way to set the options. */
	readonly lines: readonly (readonly number[])[];
}

/** The rows, or columns, of a table. `at` is one of the rows of the block. */
function headingsOf(kinds: readonly Kind[]): { heading: Heading; at: number }[] {
	const found: { heading: Heading; at: number }[] = [];
	for (const { title, at, lines } of kinds) {
		const groups: number[][] = [];
		for (const [option, line] of lines.entries()) {
			if (line.every((answer) => answer < 0)) continue;
			const same = groups.find(([like = 0]) => equal(nth(lines, like), line));
			if (same === undefined) groups.push([option]);
			else same.push(option);
		}
		for (const options of groups) {
			found.push({ heading: { title, options }, at: at * OPTIONS.length + nth(options, 0) });
		}
	}
	return found;
}

const equal = (one: readonly number[], other: readonly number[]) =>
	one.every((answer, i) => answer === other[i]);

function rulesOf(block: Block, letter: string, protocol: Protocol): Rules {
	const row = (at: number) => Array.from(block.subarray(at * COLUMNS, (at + 1) * COLUMNS));
	const column = (at: number) =>
		Array.from({ length: ROWS }, (_, i) => nth(block, i * COLUMNS + at));
	const four = (line: (at: number) => number[], kind: number) =>
		OPTIONS.map((_, i) => line(kind * OPTIONS.length + i));
	const same = (one: readonly number[][], other: readonly number[][]) =>
		one.every((line, i) => equal(line, nth(other, i)));

	// States with the same rows are one.
	const states: { names: string[]; at: number; lines: number[][] }[] = [];
	for (const [at, name] of STATES.entries()) {
		const lines = four(row, at);
		if (lines.every((line) => line.every((answer) => answer < 0))) continue;
		const like = states.find((state) => same(state.lines, lines));
		if (like === undefined) states.push({ names: [name], at, lines });
		else like.names.push(name);
	}
	const rows = headingsOf(
		states.map(({ names, ...rest }) => ({ title: list(names, "or"), ...rest })),
	);

	// Newcomers differ by their user, and whether they listen.
	const lines = (user: number, listens: number) => four(column, user * 2 + listens);
	const { listens } = KINDS[protocol];
	const listensAlike = !listens || [0, 1].every((user) => same(lines(user, 0), lines(user, 1)));
	const usersAlike = (listens ? [0, 1] : [0]).every((l) => same(lines(0, l), lines(1, l)));
	const newcomers: Kind[] = [];
	for (const user of usersAlike ? [0] : [0, 1])
		for (const l of listensAlike ? [0] : [0, 1]) {
			const who = usersAlike ? "any user" : user === 0 ? "same user" : "another user";
			const does = listensAlike ? "" : l === 0 ? ", binds" : ", listens";
			newcomers.push({ title: who + does, at: user * 2 + l, lines: lines(user, l) });
		}
	const columns = headingsOf(newcomers);
	return {
		letter,
		rows: rows.map(({ heading }) => heading),
		columns: columns.map(({ heading }) => heading),
		cells: rows.map(({ at: i }) => columns.map(({ at: j }) => nth(block, i * COLUMNS + j))),
		listensAlike,
		complete: !block.includes(EADDRINUSE),
		sentences: sentencesOf(block),
	};
}

/** When each answer comes, in words. */
function sentencesOf(block: Block): { answer: number; when: string[] }[] {
	const answers = [...new Set(block)].filter((answer) => answer >= 0 && answer !== EADDRINUSE);
	return answers
		.sort((a, b) => a - b)
		.map((answer) => ({ answer, when: describe(block, (its) => its === answer) }));
}

/** When the answers of a block are so, in words: one text for each box. */
export function describe(block: Block, isSo: (answer: number, at: number) => boolean): string[] {
	const inside: Element[] = [];
	const outside: Element[] = [];
	const states = new Set<number>();
	const listening = new Set<number>();
	for (const [i, answer] of block.entries()) {
		if (answer < 0) continue;
		const element = elementOf(Math.floor(i / COLUMNS), i % COLUMNS);
		(isSo(answer, i) ? inside : outside).push(element);
		states.add(nth(element, STATE));
		listening.add(nth(element, LISTENS));
	}
	return cover(SIZES, inside, outside).map((box) => words(box, states));
}

const BOTH = 3;
const NO = 1;
const YES = 2;

const has = (mask: number) => (mask === YES ? "has" : "lacks");

/** A box as a condition. `states` are those that occur. */
function words(box: Box, states: ReadonlySet<number>): string {
	const of = (attribute: number) => nth(box, attribute);
	const clauses: string[] = [];
	const first: string[] = [];
	const second: string[] = [];
	const options = [
		[of(REUSE), of(NEW_REUSE), "SO_REUSEADDR"],
		[of(REUSEPORT), of(NEW_REUSEPORT), "SO_REUSEPORT"],
	] as const;
	for (const [own, its, name] of options) {
		if (own !== BOTH && own === its) {
			clauses.push(own === YES ? `both have ${name}` : `neither has ${name}`);
		} else {
			if (own !== BOTH) first.push(`${has(own)} ${name}`);
			if (its !== BOTH) second.push(`${has(its)} ${name}`);
		}
	}
	const allowed = STATES.filter((_, i) => states.has(i) && (of(STATE) & (1 << i)) !== 0);
	const missing = STATES.filter((_, i) => states.has(i) && (of(STATE) & (1 << i)) === 0);
	const inState = (name: string) => (name === "TIME_WAIT" ? "in TIME_WAIT" : name);
	if (missing.length === 1 && allowed.length > 1) {
		first.push(`is not ${inState(missing.join(""))}`);
	} else if (missing.length > 0) first.push(`is ${list(allowed.map(inState), "or")}`);
	if (of(LISTENS) !== BOTH) second.push(of(LISTENS) === YES ? "listens" : "does not listen");
	if (of(USER) !== BOTH) clauses.push(of(USER) === NO ? "the same user" : "different users");
	if (first.length > 0) clauses.push(`the first socket ${list(first, "and")}`);
	if (second.length > 0) clauses.push(`the newcomer ${list(second, "and")}`);
	if (clauses.length === 0) return "always";
	const simple = !clauses.some((clause) => / and |,/.test(clause));
	return simple ? list(clauses, "and") : clauses.join(", and ");
}
