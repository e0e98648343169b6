// SPDX-License-Identifier: GPL-2.0-or-later
/** What a law is, and what laws ask of programs. */
import { nth } from "../machine/nth.js";
import type { Answers } from "./answers.js";
import type { Kind, Step } from "./kinds.js";
import { hasPort, NOBODY, SOCKET } from "./lab.js";

/** A rule that any kernel should obey. It sees the answers of programs, and nothing else. */
export interface Law {
	/** Its name on the command line. */
	readonly id: string;
	/** The rule as a sentence. */
	readonly rule: string;
	/** What a user could notice, or an attacker use, if it is broken. */
	readonly harm: string;
	/**
	 * Whether the last answer of a program obeys; null if the law says nothing about it. A text
	 * says what the answer should have been, and beside which program.
	 */
	judge(program: Program): null | Breach;
}

/** Why an answer breaks a law. */
export interface Breach {
	/** What the answer should have been. */
	readonly expected: string;
	/** The program that shows the rule for the same last step. */
	readonly beside: readonly number[];
}

/** A socket of a program, and what became of it. */
interface Past {
	readonly kind: Kind;
	/** The number of its bind step in the bound. */
	readonly step: number;
	/** Where its bind step is in the program. */
	readonly at: number;
	/** The answer of its bind step. */
	readonly answer: number;
	/** Whether it was closed later. */
	closed: boolean;
	/** Whether another step acted on it. */
	touched: boolean;
}

/** One program of a table, with its answers. */
export class Program {
	/** Its steps before the last one. */
	readonly before: readonly number[];
	readonly last: Step;
	private known: Past[] | null = null;

	constructor(
		readonly answers: Answers,
		readonly steps: readonly number[],
		readonly answer: number,
	) {
		this.before = steps.slice(0, -1);
		this.last = nth(answers.steps, nth(steps, steps.length - 1));
	}

	get length(): number {
		return this.steps.length;
	}

	get lastStep(): number {
		return nth(this.steps, this.steps.length - 1);
	}

	/** The kind that the last step binds; null if it does something else. */
	get kind(): Kind | null {
		return this.last.do === "bind" ? this.last.kind : null;
	}

	stepAt(at: number): Step {
		return nth(this.answers.steps, nth(this.steps, at));
	}

	/** The sockets before the last step, in order. */
	get sockets(): readonly Past[] {
		if (this.known !== null) return this.known;
		const sockets: Past[] = [];
		for (const [at, number] of this.before.entries()) {
			const step = this.stepAt(at);
			if (step.do === "bind") {
				const answer = this.answers.answer(this.before.slice(0, at + 1));
				sockets.push({ kind: step.kind, step: number, at, answer, closed: false, touched: false });
			} else if (step.do === "act") {
				const socket = nth(sockets, step.socket);
				if (step.action === "close") socket.closed = true;
				else socket.touched = true;
			}
		}
		this.known = sockets;
		return sockets;
	}

	/** Whether every step before the last one binds a socket, and succeeds. */
	get onlySockets(): boolean {
		return this.sockets.length === this.before.length && this.sockets.every(succeeded);
	}

	/** The answer of another program; null if no table has it. */
	ask(steps: readonly number[]): number | null {
		const answer = this.answers.answer(steps);
		return answer < 0 ? null : answer;
	}

	/**
	 * Whether the kernel may draw lots who gets the client or datagram of the last step: among the
	 * members of a group with SO_REUSEPORT.
	 */
	get drawsLots(): boolean {
		const { last } = this;
		const accepts = last.do === "act" && last.action === "accept";
		if (last.do !== "who" && last.do !== "ask" && !accepts) return false;
		return this.sockets.filter(({ kind, closed }) => kind.reuseport && !closed).length > 1;
	}

	/** An answer as laws speak of it. */
	answerText(answer: number): string {
		if (answer === NOBODY) return "no socket";
		if (answer >= SOCKET) return `socket ${answer - SOCKET + 1}`;
		return answer === 0 ? "success" : "failure";
	}

	/**
	 * Whether each step before the last one has the same answer in `other`, which is this program
	 * without the steps `gone`.
	 */
	sameBefore(gone: ReadonlySet<number>, other: readonly number[]): boolean {
		let to = 0;
		for (const at of this.before.keys()) {
			if (gone.has(at)) continue;
			to++;
			const here = this.ask(this.before.slice(0, at + 1));
			if (here !== this.ask(other.slice(0, to))) return false;
		}
		return true;
	}

	/**
	 * The program without some steps; null if a step that stays acts on a socket that goes. Steps
	 * name their socket by its number, which may change.
	 */
	without(gone: ReadonlySet<number>): number[] | null {
		const left: number[] = [];
		const socket: (number | null)[] = [];
		let sockets = 0;
		for (const [at, number] of this.steps.entries()) {
			const step = this.stepAt(at);
			if (gone.has(at)) {
				if (step.do === "bind") socket.push(null);
				continue;
			}
			if (step.do === "bind") {
				socket.push(sockets++);
				left.push(number);
			} else if (step.do === "act") {
				const to = nth(socket, step.socket);
				if (to === null) return null;
				const same = this.answers.variants(`socket ${to}`, (act) =>
					act.do === "act" ? { ...act, socket: to } : null,
				)[number];
				if (same === undefined || same < 0) return null;
				left.push(same);
			} else left.push(number);
		}
		return left;
	}
}

/** Whether bind(), and listen() where it follows, succeeded. */
function succeeded({ answer }: { answer: number }): boolean {
	return answer === 0;
}

/** Whether a socket has its port: bind() succeeded, whatever listen() said. */
export function isBound({ answer }: { answer: number }): boolean {
	return hasPort(answer);
}
