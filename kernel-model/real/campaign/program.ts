// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Random programs of system calls. An operation is a kind and five small numbers. render.ts makes a
 * script of a program: the numbers, and the descriptors that the model has at this point, determine
 * the calls.
 */
import { SeededRandom } from "../../machine/random.js";
import { WITHOUT } from "./abilities.js";
import { ENDS, FLAGS, READ, SENDS } from "./vocabulary.js";

/**
 * The weight of each kind of operation, by mood: a bit of all, mostly connects, mostly binds, and
 * connections that carry data and end.
 */
const OPERATIONS = {
	socket: [16, 20, 20, 14],
	option: [12, 10, 14, 8],
	range: [4, 4, 5, 2],
	read: [4, 2, 2, 8],
	bind: [22, 8, 40, 12],
	listen: [5, 1, 3, 9],
	connect: [10, 34, 3, 22],
	dissolve: [2, 3, 1, 2],
	send: [5, 6, 3, 8],
	receive: [2, 2, 1, 5],
	accept: [5, 1, 1, 14],
	names: [2, 1, 1, 2],
	shutdown: [2, 1, 0, 5],
	close: [9, 11, 12, 10],
	dup: [1, 1, 1, 2],
	nofile: [1, 1, 1, 1],
	unshare: [1, 1, 1, 1],
	setns: [1, 1, 1, 1],
	fork: [1, 1, 1, 1],
	exit: [1, 1, 1, 1],
	sysctl: [3, 2, 2, 2],
	crowd: [1, 0, 1, 0],
	flood: [1, 3, 1, 0],
	pile: [1, 0, 4, 1],
	meet: [2, 1, 1, 5],
	group: [1, 1, 0, 4],
	wait: [0, 1, 0, 1],
} as const;
export type OperationKind = keyof typeof OPERATIONS;

/** Numbers from 0 to 255. 0 is the simplest choice. */
export type Numbers = readonly [number, number, number, number, number];

export interface Operation {
	kind: OperationKind;
	n: Numbers;
}

export interface Program {
	/** Chooses the namespace's range. */
	world: number;
	operations: readonly Operation[];
}

/** Draws numbers for programs. */
class Dice {
	private readonly random: SeededRandom;

	constructor(seed: number) {
		this.random = new SeededRandom(seed);
	}

	/** A number from 0 to `ceil` - 1. */
	below(ceil: number): number {
		return Math.floor((this.random.get_random_u32() / 0x1_0000_0000) * ceil);
	}

	/** A number from 0 to 255. An uneven one is often near an end, where the odd cases are. */
	byte(uneven: boolean): number {
		if (!uneven || this.below(2) === 0) return this.below(256);
		return this.below(3) === 0 ? 248 + this.below(8) : this.below(8);
	}
}

/** Operations in one mood, at most about `most`. */
function mood(dice: Dice, index: 0 | 1 | 2 | 3, most: number): Operation[] {
	const kinds = Object.keys(OPERATIONS) as OperationKind[];
	const total = kinds.reduce((sum, name) => sum + OPERATIONS[name][index], 0);
	const uneven = dice.below(2) === 0;
	// Programs are long, because short ones reach little.
	const length = dice.below((uneven && dice.below(2) === 0 ? Math.log2(most) : most) + 1);
	const operations: Operation[] = [];
	for (let i = 0; i < length; i++) {
		let left = dice.below(total);
		const kind = kinds.find((name) => {
			left -= OPERATIONS[name][index];
			return left < 0;
		});
		const byte = () => dice.byte(uneven);
		operations.push({
			kind: kind ?? "socket",
			n: [byte(), byte(), byte(), byte(), byte()],
		});
	}
	return operations;
}

/**
 * Program number `number` of a seed: about `size` operations at most. It begins with a bit of all,
 * then has one mood for half of its length.
 */
export function programOf(seed: number, number: number, size: number): Program {
	const dice = new Dice(Math.imul(seed, 0x9e3779b9) ^ number);
	const middle = ([1, 2, 3] as const)[dice.below(3)] ?? 1;
	const last = dice.below(2) === 0 ? 3 : 0;
	return {
		world: dice.below(256),
		operations: [
			...mood(dice, 0, size / 4),
			...mood(dice, middle, size / 2),
			...mood(dice, last, size / 4),
		],
	};
}

/** The names that Abilities.without can have. */
export function withoutNames(): string[] {
	const options = [...FLAGS, ...READ, ...ENDS, ...SENDS].map(([, name]) => name);
	return [...new Set([...Object.keys(WITHOUT), ...Object.keys(OPERATIONS), ...options])];
}
