// SPDX-License-Identifier: GPL-2.0-or-later
/** A call of a recording that strace did not split. Its arguments are read when they are needed. */
import { nth } from "../machine/nth.js";
import { CallReader, DETACHED, UNFINISHED } from "./call_reader.js";
import { Char, isDigit } from "./chars.js";
import { describe, pieceAt, type Source, Stop } from "./source.js";
import type { Arg, CallLine, Problem, Result } from "./syntax.js";

/** A thread called execve() and takes over the pid of its process. */
const PID_CHANGED = /<pid changed to \d+ \.\.\.>$/;

/**
 * A call of a recording that strace did not split. Its arguments are read when they are needed.
 * Those of most calls are never needed, and arguments take many times the memory of the text.
 */
class RecordedCall implements CallLine {
	readonly kind = "call";
	readonly endLine: number;
	readonly split = false;
	readonly unresumed = false;
	private read: Arg[] | null = null;
	/** The problem of the arguments. Undefined until they were read once. */
	private misread: Problem | null | undefined = undefined;

	constructor(
		readonly name: string,
		readonly text: string,
		readonly line: number,
		readonly column: number,
		public pid: number | null,
		readonly time: number | null,
		readonly endTime: number | null,
		public result: Result | null,
		/** The offset of the ")" after the arguments. */
		private readonly closeAt: number,
	) {
		this.endLine = line;
	}

	get args(): Arg[] {
		return this.read ?? this.readArgs();
	}

	get opaque(): boolean {
		return this.problem !== null;
	}

	get problem(): Problem | null {
		if (this.misread === undefined) this.readArgs();
		return this.misread ?? null;
	}

	forgetArgs(): void {
		this.read = null;
	}

	get firstFd(): number | null {
		const { text } = this;
		let at = this.name.length + 1;
		let fd = 0;
		const start = at;
		for (; isDigit(text.charCodeAt(at)); at++) fd = fd * 10 + text.charCodeAt(at) - Char.Zero;
		const next = text.charCodeAt(at);
		const plain = next === Char.Comma || next === Char.Close || next === Char.Less;
		return at > start && at < start + 9 && plain ? fd : argFd(this.args);
	}

	private readArgs(): Arg[] {
		const { text, line, column } = this;
		const source = { text, pieces: [{ at: 0, line, column }] };
		const reader = new CallReader(source);
		const args: Arg[] = [];
		this.read = args;
		this.misread = null;
		try {
			reader.args(this.name.length, args);
			if (reader.closeAt !== this.closeAt) throw new Stop(reader.closeAt + 1, "the result");
		} catch (stop) {
			if (!(stop instanceof Stop)) throw stop;
			this.misread = problem(source, stop.at, stop.expected);
			args.length = 0;
		}
		return args;
	}
}

/** Calls whose arguments are kept, to read them once. */
const KNOWN = 4096;

/**
 * The arguments of earlier calls by their text. A recording repeats itself: most calls have the
 * text of another one, up to the result.
 */
export class KnownArgs {
	private readonly calls = new Map<string, { column: number; closeAt: number; args: Arg[] }>();

	/** The arguments of a call; null if they are not known. */
	find({ text, pieces }: Source, name: string): { closeAt: number; args: Arg[] } | null {
		const closeAt = pieces.length === 1 ? closeOf(text, name) : -1;
		if (closeAt < 0) return null;
		const known = this.calls.get(text.slice(0, closeAt + 1));
		return known?.column === nth(pieces, 0).column ? known : null;
	}

	add({ text, pieces }: Source, closeAt: number, args: Arg[]): void {
		if (pieces.length > 1) return;
		if (this.calls.size >= KNOWN) this.calls.clear();
		this.calls.set(text.slice(0, closeAt + 1), { column: nth(pieces, 0).column, closeAt, args });
	}
}

/** The offset of the ")" before the result of a call; -1 if it cannot be found so. */
function closeOf(text: string, name: string): number {
	let at = text.lastIndexOf(" = ");
	while (text.charCodeAt(at) === Char.Space) at--;
	return at <= name.length || text.charCodeAt(at) !== Char.Close ? -1 : at;
}

/** Makes a call; null if its result cannot be found without reading the arguments. */
export function recordedCall(
	source: Source,
	name: string,
	pid: number | null,
	time: number | null,
): RecordedCall | null {
	const text = source.text.trimEnd();
	if (suspension(text) !== "") return null;
	const closeAt = closeOf(text, name);
	if (closeAt < 0) return null;
	const { line, column } = nth(source.pieces, 0);
	source.text = text;
	const reader = new CallReader(source);
	const result = reader.resultAfter(closeAt);
	if (result === null) return null;
	const shown = unpadded(text, closeAt, reader.resultAt);
	const { duration } = reader;
	const endTime = time === null || duration === null ? null : time + duration;
	return new RecordedCall(name, shown, line, column, pid, time, endTime, result, closeAt);
}

export function problem(source: Source, at: number, expected: string): Problem {
	const piece = pieceAt(source.pieces, at);
	const column = piece.column + at - piece.at;
	return { line: piece.line, column, expected, found: describe(source.text, at) };
}

/** The first argument if it is a descriptor or another number; else null. */
export function argFd(args: readonly Arg[]): number | null {
	const value = args[0]?.value;
	// A register has more bits than an int; the kernel takes the low 32.
	return value?.kind === "int" ? value.value | 0 : null;
}

/** The mark at the end of a call that has not returned; empty if there is none. */
export function suspension(text: string): string {
	if (!text.endsWith("...>")) return "";
	if (text.endsWith(UNFINISHED)) return UNFINISHED;
	if (text.endsWith(DETACHED)) return DETACHED;
	return PID_CHANGED.exec(text)?.[0] ?? "";
}

/** The text of a call without the padding before its result. `resultAt` is -1 without a result. */
export function unpadded(text: string, closeAt: number, resultAt: number): string {
	if (resultAt < 0 || resultAt === closeAt + 4) return text;
	return `${text.slice(0, closeAt + 1)} = ${text.slice(resultAt)}`;
}
