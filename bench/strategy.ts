// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A laboratory for port searches. To try another search, add one file to bench/lab/ that exports
 * `strategies`; `npm run bench -- --plot DIR` finds the file and draws the same curves as for the
 * kernel's own searches. bench/lab/rfc6056-1.ts is the shortest example.
 *
 * A strategy only chooses the order of candidates. The model's own check accepts or refuses a
 * candidate. The model's own connect() and bind() take the port, so sockets, buckets and
 * four-tuples behave as in the kernel.
 */
import { readdirSync } from "node:fs";
import type { Kernel } from "../kernel-model/index.js";

/** A running search: its socket, its range, and the check of a candidate. */
export interface Search {
	readonly kind: "connect" | "bind";
	readonly kernel: Kernel;
	/** The socket, a handle of kernel.sock. */
	readonly sk: number;
	/** The effective range, both bounds inclusive. */
	readonly low: number;
	readonly high: number;
	/** Whether the socket has IP_LOCAL_PORT_RANGE set. */
	readonly local: boolean;
	/** IPv4 addresses in host order. For bind(), daddr and dport are 0. */
	readonly saddr: number;
	readonly daddr: number;
	readonly dport: number;
	/**
	 * Checks one port and counts it. Returns CANDIDATE_OK if the kernel would take it, else the
	 * reason (include/trace/events/port_search.ts). Changes nothing.
	 */
	look(port: number): number;
}

/** Result of choose() that makes this call use the kernel's own search. */
export const LEAVE_TO_KERNEL = -1;

/** A strategy in one kernel. It may keep state between searches. */
export interface Chooser {
	/**
	 * Returns the port to take, 0 if there is none (the call then fails as in the kernel), or
	 * LEAVE_TO_KERNEL. Random numbers come from search.kernel.random.
	 */
	choose(search: Search): number;
	/** connect() has taken the port. `draw` is the kernel's own draw of 0 to 7 at this point. */
	taken?(search: Search, port: number, draw: number): void;
	/** A socket may have left the port. Called at least once for each socket that leaves. */
	released?(port: number): void;
	/**
	 * Everything may have changed: time has passed, or the other end of a connection has received
	 * something.
	 */
	forget?(): void;
}

export interface Strategy {
	/** Name in legends, at most 24 characters. */
	readonly name: string;
	/** Source of the strategy: a section of an RFC, or a function of the kernel. */
	readonly source: string;
	/** The kernel version whose checks are used. */
	readonly version: string;
	/** Settings of the namespace. */
	readonly sysctls?: Readonly<Record<string, string>>;
	/** Makes the search for a new kernel. If absent, the kernel's own search is used. */
	start?(kernel: Kernel): Chooser;
}

/** The exports of a file in bench/lab/. */
interface LabFile {
	readonly strategies: readonly Strategy[];
}

function isLabFile(module: unknown): module is LabFile {
	return (
		typeof module === "object" &&
		module !== null &&
		"strategies" in module &&
		Array.isArray(module.strategies)
	);
}

/** The strategies of every file in bench/lab/, by the names of the files. */
export async function loadStrategies(): Promise<readonly Strategy[]> {
	const folder = new URL("./lab/", import.meta.url);
	const files = readdirSync(folder).filter((file) => /(?<!\.d)\.[jt]s$/.test(file));
	const found: Strategy[] = [];
	for (const file of files.sort()) {
		const module: unknown = await import(new URL(file, folder).href);
		if (!isLabFile(module)) throw new TypeError(`bench/lab/${file} exports no strategies`);
		found.push(...module.strategies);
	}
	return found;
}
