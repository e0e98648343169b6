// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What the search has decided of things that a recording does not show, by the line of the
 * call that each is about. A fact is taken up where its line is played again.
 */
import { nth } from "../machine/nth.js";

export class Facts {
	/** The port that a call chose, as a later line demands it. */
	readonly ports = new Map<number, number>();
	/** Ports that it did not choose. */
	readonly avoided = new Map<number, ReadonlySet<number>>();
	/** Calls of which an inferred port does not count. */
	readonly forgotten = new Set<number>();
	/** Which answers of Kernel.askSecret() are true, counted from 0. */
	readonly secrets: number[];
	/** Closes before which data was not read. */
	readonly unread = new Set<number>();
	/** Calls that failed on the kernel and cannot have failed here: they have no effect. */
	readonly skipped = new Set<number>();
	/** Why nothing certain can be said of the socket of such a call afterwards. */
	readonly doubts = new Map<number, string>();
	/** Calls whose result stays open, as the search for a way ended at its bound: why, by line. */
	readonly open = new Map<number, string>();
	/** Accepts whose client nobody can be but one that the recording does not show: why undecided. */
	readonly outside = new Map<number, string>();
	/** How far the kernel's clock is behind the recorded times, ms, from a line to a line. */
	readonly late: { from: number; to: number; ms: number }[] = [];

	/** Sockets outside the recording may have held ports for a while. */
	outsiders = false;

	/** Nothing before a line is played again. */
	forget(before: number): void {
		const { ports, avoided, forgotten, unread, skipped, doubts, open, outside } = this;
		for (const facts of [ports, avoided, forgotten, unread, skipped, doubts, open, outside]) {
			if (facts.size === 0) continue;
			for (const line of facts.keys()) if (line < before) facts.delete(line);
		}
		while (this.late.length > 0 && nth(this.late, 0).to < before) this.late.shift();
	}

	constructor(secrets: readonly number[] = []) {
		this.secrets = [...secrets];
	}
}

/** A way out of a contradiction: another decision, and the line from which it counts. */
export interface Remedy {
	what: string;
	line: number;
	apply(): void;
	undo(): void;
}
