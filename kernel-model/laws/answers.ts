// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The answers of a kernel to every program of a bound. A program is a list of steps, given by their
 * numbers in the bound; its answer is the answer of its last step. Programs that become the same by
 * renaming addresses and users are one: the program that mentions the first user, and the first
 * address of a family, before the second. connect() goes to a fixed address, so addresses of a
 * program with connect() have no other names. All answers are in tables, so a law looks up any
 * program.
 */
import type { ChangeName } from "../../include/linux/version.js";
import { nth } from "../machine/nth.js";
import { type Bound, PLACES, type Place, type Step } from "./kinds.js";
import { hasPort, Lab } from "./lab.js";
import type { Protocol } from "./protocols.js";

/** Not a program of the bound: it acts on a socket that it does not have. */
export const NONE = -1;

/** Most answers of one table. */
const MOST = 1 << 28;

/** The place with the two IPv4 addresses, or the two IPv6 addresses, exchanged. */
function exchanged(place: Place, ipv6: boolean): Place {
	const n = ipv6 ? place.v6 : place.v4;
	if (n === null || n === 0) return place;
	const other = 3 - n;
	const found = PLACES.find(
		({ family, v6only, v4, v6 }) =>
			family === place.family &&
			v6only === place.v6only &&
			v4 === (ipv6 ? place.v4 : other) &&
			v6 === (ipv6 ? other : place.v6),
	);
	return found ?? place;
}

/** A text that two steps share if they are the same. */
function keyOf(step: Step): string {
	if (step.do !== "bind") return JSON.stringify(step);
	const { place, reuse, reuseport, user, device, listens, stranger, options, search } = step.kind;
	const crowd = step.kind.crowd === true;
	const parts = [place.name, reuse, reuseport, user, device, listens, stranger, crowd, options];
	return [...parts, search?.name ?? ""].join(" ");
}

function renamed(step: Step, users: boolean, ipv4: boolean, ipv6: boolean): Step {
	if (step.do === "client" || step.do === "ask") {
		// CLIENTS: the two IPv4 addresses, then an IPv6 address.
		return ipv4 && step.to < 2 ? { ...step, to: 1 - step.to } : step;
	}
	if (step.do !== "bind") return step;
	let { place, user } = step.kind;
	if (ipv4) place = exchanged(place, false);
	if (ipv6) place = exchanged(place, true);
	if (users) user = user === 0 ? 1 : 0;
	return { do: "bind", kind: { ...step.kind, place, user } };
}

export class Answers {
	readonly lab: Lab;
	readonly steps: readonly Step[];
	/** Programs that were run. */
	programs = 0;
	/** tables[n]: the answers of programs of n steps. */
	private readonly tables: Int16Array[] = [];
	/** rename[g][step]: the step after renaming; bit 0 of g: users, bit 1: IPv4, bit 2: IPv6. */
	private readonly rename: Int16Array[] = [];
	/** Which of two names a step mentions, for each of the three renamings: 0, 1 or 2. */
	private readonly mentions: Uint8Array[];
	/** Whether a step connects a socket. */
	private readonly connects: Uint8Array;
	private readonly numbers = new Map<string, number>();
	private readonly made = new Map<string, Int16Array>();
	/** Answers of programs longer than the bound. */
	private readonly longer = new Map<string, number>();

	constructor(
		readonly version: string,
		readonly protocol: Protocol,
		readonly bound: Bound,
		changes: ReadonlySet<ChangeName> | null = null,
	) {
		this.lab = new Lab(version, protocol, changes);
		const { steps, depth } = bound;
		this.steps = steps;
		for (const [number, step] of steps.entries()) {
			const key = keyOf(step);
			if (!this.numbers.has(key)) this.numbers.set(key, number);
		}
		if (steps.length ** depth > MOST) throw new RangeError(`${bound.name}: too many programs`);
		for (let n = 0; n <= depth; n++) this.tables.push(new Int16Array(steps.length ** n).fill(NONE));
		nth(this.tables, 0)[0] = 0;
		for (let g = 0; g < 8; g++) {
			const to = steps.map((step) =>
				this.find(renamed(step, (g & 1) > 0, (g & 2) > 0, (g & 4) > 0)),
			);
			this.rename.push(Int16Array.from(to, (other, step) => (other < 0 ? step : other)));
		}
		this.connects = Uint8Array.from(steps, (step) =>
			step.do === "act" && step.action === "connect" ? 1 : 0,
		);
		const places = (step: Step) => (step.do === "bind" ? step.kind.place : null);
		this.mentions = [
			Uint8Array.from(steps, (step) => (step.do === "bind" ? step.kind.user + 1 : 0)),
			Uint8Array.from(steps, (step) =>
				(step.do === "client" || step.do === "ask") && step.to < 2
					? step.to + 1
					: (places(step)?.v4 ?? 0),
			),
			Uint8Array.from(steps, (step) => places(step)?.v6 ?? 0),
		];
		// A wildcard socket that connects gets the first address, so the two are not alike.
		if (bound.searches) for (const mention of this.mentions.slice(1)) mention.fill(0);
		for (const [bit, mention] of this.mentions.entries()) {
			if (!this.canRename(bit)) mention.fill(0);
		}
	}

	/** The number of a step; -1 if the bound does not have it. */
	find(step: Step): number {
		return this.numbers.get(keyOf(step)) ?? -1;
	}

	/**
	 * For each step the number of another one that `make` gives for it: -1 if it gives none, or one
	 * that the bound does not have. `name` names the table, which is made once.
	 */
	variants(name: string, make: (step: Step) => Step | null): Int16Array {
		let table = this.made.get(name);
		if (table === undefined) {
			table = Int16Array.from(this.steps, (step) => {
				const other = make(step);
				return other === null ? -1 : this.find(other);
			});
			this.made.set(name, table);
		}
		return table;
	}

	/** Whether the bound has every step under its other name. */
	private canRename(bit: number): boolean {
		return this.steps.every((step) => {
			const other = renamed(step, bit === 0, bit === 1, bit === 2);
			return keyOf(other) === keyOf(step) || this.find(other) >= 0;
		});
	}

	/** The renaming that makes a program the one of its class. */
	private renaming(program: ArrayLike<number>): number {
		let g = 0;
		for (let bit = 0; bit < 3; bit++) {
			const mentions = nth(this.mentions, bit);
			for (let i = 0; i < program.length; i++) {
				const mention = mentions[program[i] ?? 0];
				if (mention === 0) continue;
				if (mention === 2) g |= 1 << bit;
				break;
			}
		}
		if (g > 1) {
			for (let i = 0; i < program.length; i++) if (this.connects[program[i] ?? 0] === 1) g &= 1;
		}
		return g;
	}

	/**
	 * The answer of a program, in whatever names it is written. A program longer than the bound is
	 * run.
	 */
	answer(program: ArrayLike<number>): number {
		if (program.length > this.bound.depth) return this.run(program);
		const to = nth(this.rename, this.renaming(program));
		let index = 0;
		for (let i = 0; i < program.length; i++) {
			index = index * this.steps.length + nth(to, nth(program, i));
		}
		return nth(nth(this.tables, program.length), index);
	}

	private run(program: ArrayLike<number>): number {
		const key = Array.prototype.join.call(program, " ");
		const known = this.longer.get(key);
		if (known !== undefined) return known;
		this.path.length = 0;
		let answer = NONE;
		for (let at = 0; at < program.length; at++) {
			const step = nth(this.steps, nth(program, at));
			if (!this.fits(step, at)) {
				answer = NONE;
				break;
			}
			answer = this.lab.step(step);
			this.path.push(nth(program, at));
		}
		this.path.length = 0;
		this.lab.end();
		this.programs++;
		this.longer.set(key, answer);
		return answer;
	}

	/** Whether a step can follow in the state of the lab. */
	private fits(step: Step, depth: number): boolean {
		const { lab } = this;
		switch (step.do) {
			case "bind":
				return lab.sockets.length < (this.bound.sockets ?? depth + 1);
			case "act": {
				const held = lab.sockets[step.socket];
				if (held?.open !== true || !held.bound) return false;
				if (this.bound.alternate) {
					if (step.action === "connect" && held.connected) return false;
					if (step.action === "disconnect" && !held.connected) return false;
				}
				return step.action !== "accept" || (held.kind.listens && this.asked(depth) > 0);
			}
			case "who":
				return this.asked(depth) === 1;
			case "client":
				return lab.sockets.length > 0 && this.asked(depth) === 0;
			case "ask":
				return lab.sockets.length > 0;
			case "part":
				return lab.hasChildren;
			case "wait":
				return lab.hasConnected && nth(this.steps, nth(this.path, depth - 1)).do !== "wait";
		}
	}

	private readonly path: number[] = [];

	/** How many clients the program has. */
	private asked(depth: number): number {
		let clients = 0;
		for (let i = 0; i < depth; i++)
			if (nth(this.steps, nth(this.path, i)).do === "client") clients++;
		return clients;
	}

	private build(): void {
		this.lab.end();
		for (const step of this.path) this.lab.step(nth(this.steps, step));
	}

	/** Runs every program. `tick` is called now and then. */
	explore(tick: () => void = () => {}): void {
		const { depth } = this.bound;
		const { steps, path, lab } = this;
		const visit = (at: number, index: number) => {
			if (at === 2) tick();
			const table = nth(this.tables, at + 1);
			for (let s = 0; s < steps.length; s++) {
				const step = nth(steps, s);
				if (!this.fits(step, at)) continue;
				path.push(s);
				if (this.renaming(path) === 0) {
					const answer = lab.step(step);
					const here = index * steps.length + s;
					table[here] = answer;
					this.programs++;
					const last = step.do === "ask" || (step.do === "bind" && step.last === true);
					if (at + 1 < depth && !last) visit(at + 1, here);
					path.pop();
					const failed = step.do === "bind" && !hasPort(answer);
					if (failed && at + 1 === depth) lab.drop();
					else this.build();
				} else path.pop();
			}
		};
		visit(0, 0);
		lab.end();
		lab.kernel.verify();
	}

	/** Calls back with every program that was run, shorter ones first. The list is used again. */
	forEach(visit: (program: readonly number[], answer: number) => void): void {
		const { length } = this.steps;
		for (let n = 1; n <= this.bound.depth; n++) {
			const table = nth(this.tables, n);
			const program = new Array<number>(n).fill(0);
			for (let index = 0; index < table.length; index++) {
				const answer = nth(table, index);
				if (answer === NONE) continue;
				for (let i = n - 1, rest = index; i >= 0; i--, rest = Math.floor(rest / length)) {
					program[i] = rest % length;
				}
				visit(program, answer);
			}
		}
	}
}
