// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A call on its way to the verdict: what is known of it before the model makes it (Turn), how the
 * model's result differs (Difference), and a difference that the search must resolve
 * (Contradiction).
 */
import type { Task } from "../machine/task.js";
import type { CallLine } from "../script/strace.js";
import type { Revealed } from "./evidence.js";
import type { LineOutcome } from "./line_outcome.js";
import type { Event } from "./order.js";

/** A call that is played, and what is known of it before the model makes it. */
export interface Turn {
	task: Task;
	call: CallLine;
	/** The index of its event. */
	index: number;
	outcome: LineOutcome;
	/** The port that its search is known to have chosen; null if it is not known. */
	revealed: Revealed | null;
	/**
	 * The recorded result: a value or a negative errno, -ERESTARTSYS for a call that a signal
	 * interrupted; null if there is none.
	 */
	recorded: number | null;
	/** The result is compared with the recorded one. */
	checking: boolean;
	/** The port of its socket before the call; 0 for none, and for a call with a revealed port. */
	portBefore: number;
}

/** How a result differs from the recorded one. */
export interface Difference {
	/** Why the line is a mismatch, in one sentence. */
	reason: string;
	/** The port in question; 0 if the difference is not about a port. */
	port: number;
	/** The sock that holds the port; 0 if none. */
	blocker: number;
	/** The rule that excludes the recorded result; null if the reason has none. */
	rule: string | null;
}

/** A call whose result on the model is not the recorded one. */
export interface Contradiction extends Difference {
	task: Task;
	call: CallLine;
	event: Event;
	/** The index of the event. */
	index: number;
	/** The index of the last event that was played before the contradiction was found. */
	reached: number;
	/** The model's result. */
	result: number;
	/** See Turn. */
	recorded: number | null;
	/** See Turn. */
	revealed: Revealed | null;
	/** The rule that excludes the recorded result for every choice; null if there is none. */
	certain: string | null;
	/** More choices may matter than remedies.ts offers. */
	truncated: boolean;
}
