// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The plays of one script on many versions, for matrix.ts. A version is a set of behaviour changes.
 * The model is played once for all versions that have the same of the changes for which it asks.
 */
import type { ChangeName } from "../../include/linux/version.js";
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import type { Address } from "../machine/address.js";
import { nth } from "../machine/nth.js";
import { AskedChanges, VERSIONS } from "../machine/versions.js";
import { EXHAUSTED } from "../script/calls.js";
import { type CallLine, formatValue, type Parsed, type ScriptError } from "../script/strace.js";
import { optionValue } from "../script/values.js";
import { type Choice, type Outcome, Player, type PlayOptions } from "./player.js";

/** The result of a line. */
export interface Answer {
	/** The kernel's return value; null if the call would sleep or the line has no meaning. */
	result: number | null;
	/** Name of the errno. If `result` is null, the reason. */
	error?: string;
	/** The address that getsockname(), getpeername() or accept() returns. */
	address?: Address;
	/** The value that getsockopt() returns, in strace's syntax. */
	value?: string;
	/** The port that a search chose. */
	port?: number;
}

/** The user who makes the calls, and the state of the host before. */
export type CompareOptions = Pick<PlayOptions, "uid" | "host">;

/** Names of changes, sorted. Versions with the same set behave alike. */
export type Changes = readonly ChangeName[];

const BASE = nth(VERSIONS, 0).name;

/** A comparison goes on: the number of plays so far and the line that is played. */
export interface Slice {
	plays: number;
	line: number;
}

/** Lines between two slices. */
const TICK = 128;

/** One play of the script, for all versions that give the same answers. */
interface Played {
	/** The changes that the play asked for, and whether it had them. */
	asked: ReadonlyMap<ChangeName, boolean>;
	seed: number | null;
	wishes: Wishes;
	/** The result of each line as a text. */
	keys: string[];
	/** The lines that have no meaning, by index. */
	errors: ReadonlyMap<number, ScriptError>;
	/** What the searches chose; null for a play with wishes. */
	chosen: Wishes | null;
}

/** Changes that a kernel asks for at boot, and that matter only to sockets of two protocols. */
const PROTOCOLS: ReadonlySet<ChangeName> = new Set(["udplite-removed", "dccp-removed"]);

/** A socket() that finds its protocol before UDP-Lite and DCCP. */
const TCP_OR_UDP =
	/^socket\([AP]F_INET6?, *SOCK_(STREAM|DGRAM)(\|SOCK_\w+)*, *(0|IPPROTO_(IP|TCP|UDP))\)/;

/** The choices of searches, by the call. */
type Wishes = ReadonlyMap<CallLine, Choice>;

const NO_WISHES: Wishes = new Map();

/**
 * Plays of one script, by sets of changes and wishes. Sets that have the same of the changes for
 * which a play asks are played once.
 */
export class Plays {
	/** The calls of the script, by line. */
	readonly calls = new Map<number, CallLine>();
	/** The line and the call of each outcome. */
	readonly rows: { line: number; call: string; text: string }[] = [];
	/** All different wishes. */
	readonly wishes: Wishes[] = [];
	private readonly played: Played[] = [];
	private plays = 0;
	/** Every socket() of the script is plainly TCP or UDP. */
	private readonly plain: boolean;
	/** Equal results are kept once. */
	private readonly texts = new Map<string, string>();

	constructor(
		private readonly script: Parsed,
		private readonly options: CompareOptions,
	) {
		for (const line of script.lines) if (line.kind === "call") this.calls.set(line.line, line);
		this.plain = [...this.calls.values()].every(
			({ name, text }) => name !== "socket" || TCP_OR_UDP.test(text),
		);
	}

	/** Adds a version's own choices as wishes, if they are new. */
	*wish(changes: Changes, seed: number): Generator<Slice, void> {
		const { chosen } = yield* this.play(changes, seed, NO_WISHES);
		if (chosen === null || this.wishes.includes(chosen)) return;
		const same = (known: Wishes) =>
			known.size === chosen.size &&
			[...chosen].every(([call, { port, exhausted }]) => {
				const other = known.get(call);
				return other?.port === port && other.exhausted === exhausted;
			});
		if (!this.wishes.some(same)) this.wishes.push(chosen);
	}

	/**
	 * The results of a set of changes with some wishes, each as a text. Equal results have equal
	 * texts.
	 */
	*answers(changes: Changes, wish: number): Generator<Slice, string[]> {
		return (yield* this.play(changes, null, nth(this.wishes, wish))).keys;
	}

	/** Why lines have no meaning for a set of changes, by index. */
	*errors(changes: Changes): Generator<Slice, ReadonlyMap<number, ScriptError>> {
		return (yield* this.play(changes, null, nth(this.wishes, 0))).errors;
	}

	private *play(changes: Changes, seed: number | null, wishes: Wishes): Generator<Slice, Played> {
		const set = new AskedChanges(changes);
		const known = this.played.find(
			(one) =>
				one.seed === seed &&
				one.wishes === wishes &&
				[...one.asked].every(([name, has]) => set.has(name) === has),
		);
		if (known !== undefined) return known;
		set.asked.clear();
		const player = new Player(this.script, {
			...this.options,
			version: BASE,
			changes: set,
			own: { seed, wishes },
		});
		// Boot asks whether the kernel has UDP-Lite and DCCP. --host files ask for more.
		const boot = new Set(set.asked);
		set.asked.clear();
		const plays = ++this.plays;
		yield { plays, line: 0 };
		const keys: string[] = [];
		const errors = new Map<number, ScriptError>();
		const chosen = new Map<CallLine, Choice>();
		const first = this.rows.length === 0;
		for (const outcome of player.play()) {
			const { line, call, error } = outcome;
			if (error !== null) errors.set(keys.length, error);
			if (first) this.rows.push({ line, call, text: call === "$" ? outcome.text : "" });
			const key = JSON.stringify(answerOf(outcome));
			const text = this.texts.get(key);
			if (text === undefined) this.texts.set(key, key);
			keys.push(text ?? key);
			if (keys.length % TICK === 0) yield { plays, line };
			if (seed !== null) this.choice(outcome, chosen);
		}
		for (const name of boot) if (!this.plain || !PROTOCOLS.has(name)) set.asked.add(name);
		const asked = new Map([...set.asked].map((name) => [name, changes.includes(name)]));
		const played = { asked, seed, wishes, keys, errors, chosen: seed === null ? null : chosen };
		this.played.push(played);
		return played;
	}

	/** Notes what the search of a line chose. */
	private choice(outcome: Outcome, chosen: Map<CallLine, Choice>): void {
		const call = this.calls.get(outcome.line);
		if (call === undefined || outcome.call === "$") return;
		const exhausted = EXHAUSTED.has(nameOf(outcome.result));
		if (exhausted) chosen.set(call, { port: null, exhausted });
		else if (outcome.chosen !== null) chosen.set(call, { port: outcome.chosen, exhausted });
	}
}

function nameOf(result: number | null): string {
	return result !== null && result < 0 ? errnoName(-result) : "";
}

function answerOf(outcome: Outcome): Answer {
	const { result, error, address, value, chosen } = outcome;
	let name = nameOf(result);
	if (error !== null) name ||= `expected ${error.expected}`;
	else if (result === null) name = outcome.verdict === "ignored" ? "passed over" : "would sleep";
	return {
		result,
		...(name === "" ? {} : { error: name }),
		...(address === null ? {} : { address }),
		...(value === null ? {} : { value: formatValue(optionValue(value)) }),
		...(chosen === null ? {} : { port: chosen }),
	};
}
