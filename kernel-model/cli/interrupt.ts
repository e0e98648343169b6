// SPDX-License-Identifier: GPL-2.0-or-later
/** Ctrl-C (SIGINT) ends the work of a command, and the command says what it did so far. */
import { createContext, runInContext } from "node:vm";
import { Interrupted } from "./terminal.js";

/**
 * Runs work that does not wait for anything. A handler of SIGINT would not run before its end, so
 * the engine itself stops it. Its `finally` blocks do not run then. Throws Interrupted.
 */
export function interruptible<T>(work: () => T): T {
	const context = createContext({ work });
	try {
		return runInContext("work()", context, { breakOnSigint: true, displayErrors: false }) as T;
	} catch (error) {
		throw isInterruption(error) ? new Interrupted("interrupted") : error;
	}
}

/** The engine makes this error in the context of the work, so its class is another one. */
function isInterruption(error: unknown): boolean {
	const code = typeof error === "object" && error !== null && "code" in error ? error.code : null;
	return code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
}

/** Runs work that waits, such as for an agent. SIGINT calls `stop`. Throws Interrupted. */
export async function stoppable<T>(work: () => Promise<T>, stop: () => void): Promise<T> {
	let stopped = false;
	let onInterrupt = () => {};
	// What the work waits for may never come after the stop.
	const signal = new Promise<never>((_, reject) => {
		onInterrupt = () => {
			stopped = true;
			stop();
			reject(new Interrupted("interrupted"));
		};
	});
	process.once("SIGINT", onInterrupt);
	try {
		return await Promise.race([work(), signal]);
	} catch (error) {
		// The signal may have ended the agent before it came here.
		await new Promise((resolve) => setTimeout(resolve, 50));
		throw stopped ? new Interrupted("interrupted") : error;
	} finally {
		process.off("SIGINT", onInterrupt);
	}
}
