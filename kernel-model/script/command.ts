// SPDX-License-Identifier: GPL-2.0-or-later
/** The parts of set-up commands: their words, their target and their errors. */
import type { AddressOptions, FlushOptions, RouteOptions } from "../machine/net.js";

/** An error at a word of a command. `word` is its index in argv. */
export class SetupError extends Error {
	constructor(
		readonly word: number,
		readonly expected: string,
		/** The kernel's negative errno if the kernel refuses a well-formed command; else null. */
		readonly errno: number | null = null,
		/**
		 * The real command takes the word, and ports may depend on it, but the model does not have
		 * it.
		 */
		readonly unmodelled = false,
	) {
		super(expected);
	}
}

/** The target of set-up commands: a modelled or a real namespace. Methods return 0 or -errno. */
export interface SetupTarget {
	/** A dummy device, or a VRF where `table` is not 0. */
	addLink(name: string, table: number, mac?: string): number;
	delLink(name: string): number;
	renameLink(name: string, to: string): number;
	setLink(name: string, up: boolean): number;
	setMac(name: string, mac: string): number;
	setAddrGenMode(name: string, mode: "eui64" | "none"): number;
	setMaster(name: string, master: string | null): number;
	addAddress(prefix: string, dev: string, options: AddressOptions): number;
	/** Adds an address, or changes an existing one. */
	replaceAddress(prefix: string, dev: string, options: AddressOptions): number;
	/** An IPv4 address without a length removes the first equal address. */
	delAddress(prefix: string, dev: string): number;
	flushAddresses(options: FlushOptions): number;
	addRoute(options: RouteOptions): number;
	/** Adds a route after the routes with the same prefix and metric. */
	appendRoute(options: RouteOptions): number;
	replaceRoute(options: RouteOptions): number;
	delRoute(options: RouteOptions): number;
	setSysctl(name: string, text: string): number;
}

/** The words of a command, one after the other. */
export class Words {
	at = 0;
	/** Words that do not concern ports, and words of queries. */
	readonly passed: string[] = [];

	constructor(readonly argv: readonly string[]) {}

	get done(): boolean {
		return this.at >= this.argv.length;
	}

	peek(): string | undefined {
		return this.argv[this.at];
	}

	next(expected: string): string {
		const word = this.argv[this.at];
		if (word === undefined) throw new SetupError(this.at, expected);
		this.at++;
		return word;
	}

	/** The next word. It must be one of `choices`, or an abbreviation that iproute2 allows. */
	choose<T extends string>(choices: readonly T[]): T {
		const word = this.next(choices.join(" or "));
		const found =
			choices.find((choice) => choice === word) ??
			choices.find((choice) => choice.startsWith(word));
		if (found === undefined) throw new SetupError(this.at - 1, choices.join(" or "));
		return found;
	}

	/** Passes over all remaining words. */
	passRest(): void {
		this.passed.push(this.argv.slice(this.at).join(" "));
		this.at = this.argv.length;
	}
}

/** Runs `run`. Turns its RangeError for malformed text into a SetupError at the word `at`. */
export function parsed<T>(at: number, run: () => T): T {
	try {
		return run();
	} catch (error) {
		if (error instanceof RangeError) throw new SetupError(at, error.message.replace(/^not /, ""));
		throw error;
	}
}
