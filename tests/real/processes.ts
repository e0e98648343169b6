// SPDX-License-Identifier: GPL-2.0-or-later
/** Watches the processes that a test starts. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** Processes below one, itself not included. */
export function descendants(pid: number): number[] {
	const found: number[] = [];
	const parents = new Map<number, number>();
	for (const name of readdirSync("/proc")) {
		if (!/^[0-9]+$/.test(name)) continue;
		try {
			const stat = readFileSync(`/proc/${name}/stat`, "latin1");
			parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
		} catch {
			// The process has ended meanwhile.
		}
	}
	for (let more = [pid]; more.length > 0; ) {
		more = [...parents].filter(([, parent]) => more.includes(parent)).map(([child]) => child);
		found.push(...more);
	}
	return found;
}

export const isAlive = (pid: number) => existsSync(`/proc/${pid}/stat`) && stateOf(pid) !== "Z";
function stateOf(pid: number): string {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
		return stat[stat.lastIndexOf(")") + 2];
	} catch {
		return "Z";
	}
}

/** Waits at most ten seconds. Returns whether the condition became true. */
export async function until(what: () => boolean): Promise<boolean> {
	for (let tries = 0; tries < 200; tries++) {
		if (what()) return true;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	return false;
}
