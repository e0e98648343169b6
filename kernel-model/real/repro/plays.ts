// SPDX-License-Identifier: GPL-2.0-or-later
/** Plays a script several times on the model, to learn what depends on draws and secrets. */
import { noTrace } from "../../../include/trace/events/port_search.js";
import { Facts } from "../../check/facts.js";
import { type Outcome, Player } from "../../check/player.js";
import type { Parsed, Value } from "../../script/strace.js";

/** How often a script is played, to learn what depends on draws and secrets. */
const PLAYS = 12;
/** A script with more lines is played less often. */
const SHORT = 300;
const FEW_PLAYS = 4;
/** Questions about secrets in a play that are answered at random; later ones are answered no. */
const SECRETS = 256;

/** How often a script is played. */
export function playsOf(script: Parsed): number {
	return script.lines.length <= SHORT ? PLAYS : FEW_PLAYS;
}

/** What one play says of each line. */
export type Answers = Map<number, Answer>;

/** What one play says of a line. */
export interface Answer {
	outcome: Outcome;
	/** Effective range of the last search of the line. */
	range: { low: number; high: number } | null;
	/** Reserved ports, as the sysctl shows them. */
	reserved: string;
	/** Descriptors that the line closed without naming them. */
	closed: number[];
}

/**
 * Plays a script once. `seed` decides draws and secrets. With `wishes`, searches choose the ports
 * that the script shows.
 */
export function play(script: Parsed, version: string, seed: number, wishes: boolean): Answers {
	let range: Answer["range"] = null;
	const trace = {
		...noTrace,
		search(_kind: number, _sk: number, low: number, high: number) {
			range = { low, high };
		},
	};
	const secrets: number[] = [];
	let state = seed;
	for (let i = 0; seed > 1 && i < SECRETS; i++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		if (state >>> 31 === 1) secrets.push(i);
	}
	const own = { seed, wishes: new Map(), draws: !wishes };
	const player = new Player(script, { version, seed, trace, own }, new Facts(secrets));
	const answers: Answers = new Map();
	const open = new Set<number>();
	for (const outcome of player.play()) {
		const task = player.world.tasks.get(outcome.pid ?? 0);
		const reserved = task?.net.getSysctl("net.ipv4.ip_local_reserved_ports");
		const closed: number[] = [];
		if (outcome.call === "execve" && task !== undefined) {
			for (const fd of open) if (task.fileOf(fd) === 0) closed.push(fd);
		}
		if (outcome.result !== null && outcome.result >= 0) open.add(outcome.result);
		answers.set(outcome.line, {
			outcome,
			range,
			reserved: typeof reserved === "string" ? reserved : "",
			closed,
		});
		range = null;
	}
	return answers;
}

/**
 * Whether a recorded line shows a port that an earlier call chose. Then this port is wished in every
 * play, because later lines may name it.
 */
export function namesChoices({ lines }: Parsed, wished: Answers): boolean {
	const chosen = new Set<number>();
	for (const line of lines) {
		if (line.kind !== "call") continue;
		if (line.result !== null) {
			for (const { value } of line.args)
				if (portsIn(value).some((port) => chosen.has(port))) return true;
		}
		const port = wished.get(line.line)?.outcome.chosen ?? null;
		if (port !== null) chosen.add(port);
	}
	return false;
}

/** The ports that a value shows: htons(…). */
function portsIn(value: Value): number[] {
	if (value.kind === "struct") return value.fields.flatMap((field) => portsIn(field.value));
	if (value.kind === "array") return value.items.flatMap(portsIn);
	if (value.kind !== "call" || value.name !== "htons") return [];
	return value.args.flatMap((arg) => (arg.kind === "int" ? [arg.value] : []));
}
