// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A laboratory for port searches. To try another search, add one file to bench/lab/ that
 * exports `strategies`; `npm run bench -- --plot DIR` finds it and draws the same curves of
 * it as of the kernel's own. bench/lab/rfc6056-1.ts is the shortest example.
 *
 * A strategy says only in which order ports are looked at. Whether a port will do is
 * decided by the model's own check of one candidate, and the model's own connect() and
 * bind() take it, so sockets, buckets and four-tuples behave as in the kernel.
 */
import { readdirSync } from "node:fs";
import type { Kernel } from "../kernel-model/index.js";

/** A search that is under way: for whom, where, and the question that may be asked of a port. */
export interface Search {
	readonly kind: "connect" | "bind";
	readonly kernel: Kernel;
	/** The socket, a handle of kernel.sock. */
	readonly sk: number;
	/** The effective range, both bounds inclusive. */
	readonly low: number;
	readonly high: number;
	/** The socket has IP_LOCAL_PORT_RANGE set. */
	readonly local: boolean;
	/** IPv4 addresses in host order; of a bind() daddr and dport are 0. */
	readonly saddr: number;
	readonly daddr: number;
	readonly dport: number;
	/**
	 * Looks at one port, which is counted: CANDIDATE_OK if the kernel would take it, else why
	 * not (include/trace/events/port_search.ts). Changes nothing.
	 */
	look(port: number): number;
}

/** Given back by choose(): the kernel's own search is to be used for this call. */
export const LEAVE_TO_KERNEL = -1;

/** A strategy in one kernel. It may keep what it likes from one search to the next. */
export interface Chooser {
	/**
	 * The port to take, 0 if there is none (the call then fails as the kernel's does), or
	 * LEAVE_TO_KERNEL. Random numbers come from search.kernel.random.
	 */
	choose(search: Search): number;
	/** The port was taken by connect(); `draw` is the kernel's own draw of 0 to 7 at this point. */
	taken?(search: Search, port: number, draw: number): void;
	/** A socket that had the port may have left it. Called at least as often as that happens. */
	released?(port: number): void;
	/** Anything may have changed: time went by, or another end of a connection was told. */
	forget?(): void;
}

export interface Strategy {
	/** As legends show it, at most 24 characters. */
	readonly name: string;
	/** Where it comes from: an RFC's section, a function of the kernel. */
	readonly source: string;
	/** The kernel version that it runs in: its checks decide. */
	readonly version: string;
	/** Settings of the namespace. */
	readonly sysctls?: Readonly<Record<string, string>>;
	/** In a new kernel; absent: the kernel's own search. */
	start?(kernel: Kernel): Chooser;
}

/** What a file of bench/lab/ exports. */
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
