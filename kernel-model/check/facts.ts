// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The decisions of the search about facts that a recording does not show. Each belongs to a call
 * and is kept by the call's line. It takes effect when this line is played again.
 */
import { nth } from "../machine/nth.js";
import type { Event } from "./order.js";

export class Facts {
	/** The port that a call chose. A later line requires this port. */
	readonly ports = new Map<number, number>();
	/** Ports that a call did not choose. */
	readonly avoided = new Map<number, ReadonlySet<number>>();
	/** Calls whose inferred port is not used. */
	readonly notInferred = new Set<number>();
	/** The numbers of the questions of Kernel.askSecret() whose answer is true, counted from 0. */
	readonly secrets: number[];
	/** Closes of sockets whose data was not read before. */
	readonly unread = new Set<number>();
	/** Calls that failed on the kernel but cannot fail on the model. They have no effect here. */
	readonly skipped = new Set<number>();
	/** Why later calls on the socket of a skipped call are undecided. */
	readonly skippedDoubts = new Map<number, string>();
	/** Why a call is undecided: the search ended at its bound, or could not go back far enough. */
	readonly unresolved = new Map<number, string>();
	/** Why an accept() is undecided. Its client must be one that is not recorded. */
	readonly outsideClients = new Map<number, string>();
	/** By how many ms the kernel's clock is behind the recorded times, between two lines. */
	readonly clockShifts: { from: number; to: number; ms: number }[] = [];
	/** When a process ended: a time within the bounds that the recording gives, in seconds. */
	readonly endTimes = new Map<number, number>();

	/** Sockets outside the recording may have held ports for a while. */
	mayHaveOutsiders = false;

	/** The facts that belong to a line, each by its line. */
	private readonly byLine = [
		this.ports,
		this.avoided,
		this.notInferred,
		this.unread,
		this.skipped,
		this.skippedDoubts,
		this.unresolved,
		this.outsideClients,
		this.endTimes,
	];

	constructor(secrets: readonly number[] = []) {
		this.secrets = [...secrets];
	}

	/** Drops the facts of lines before a line. These lines are not played again. */
	forget(before: number): void {
		for (const facts of this.byLine) {
			for (const line of facts.keys()) if (line < before) facts.delete(line);
		}
		const { clockShifts } = this;
		while (clockShifts.length > 0 && nth(clockShifts, 0).to < before) clockShifts.shift();
	}

	/** Forgets the answers to questions before a number. */
	forgetSecrets(before: number): void {
		for (let at = this.secrets.length - 1; at >= 0; at--) {
			if (nth(this.secrets, at) < before) this.secrets.splice(at, 1);
		}
	}
}

/** A decision that may resolve a contradiction. It takes effect from its line on. */
export interface Remedy {
	/** The decision in words: "line 12 chose port 40000". */
	what: string;
	/** The first line, or place between lines, that is played otherwise. */
	line: number;
	/** The value of each choice that it makes, by the name of the choice. */
	decides?: Readonly<Record<string, number>>;
	/** The events that it moves. */
	moves?: readonly Event[];
	apply(): void;
	undo(): void;
}
