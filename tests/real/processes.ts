// SPDX-License-Identifier: GPL-2.0-or-later
/** Watches the processes that a test starts. */
import { readdirSync, readFileSync } from "node:fs";

/** The fields of /proc/PID/stat from the state on; null if the process is gone. */
function stat(pid: number): string[] | null {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, "latin1");
		return text.slice(text.lastIndexOf(")") + 2).split(" ");
	} catch {
		return null;
	}
}

/** Processes below one, itself not included. */
export function descendants(pid: number): number[] {
	const found: number[] = [];
	const parents = new Map<number, number>();
	for (const name of readdirSync("/proc")) {
		const pid = Number(name);
		// A process that has ended meanwhile has no parent.
		if (/^[0-9]+$/.test(name)) parents.set(pid, Number(stat(pid)?.[1]));
	}
	for (let more = [pid]; more.length > 0; ) {
		more = [...parents].filter(([, parent]) => more.includes(parent)).map(([child]) => child);
		found.push(...more);
	}
	return found;
}

export const isAlive = (pid: number) => (stat(pid)?.[0] ?? "Z") !== "Z";

/** Waits at most ten seconds. Returns whether the condition became true. */
export async function until(what: () => boolean): Promise<boolean> {
	for (let tries = 0; tries < 200; tries++) {
		if (what()) return true;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	return false;
}
