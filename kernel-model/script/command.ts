// SPDX-License-Identifier: GPL-2.0-or-later
/** What set-up commands are made of: their words, what they change, and what is wrong in them. */
import type { AddressOptions, FlushOptions, RouteOptions } from "../machine/net.js";

/** A word of a command that cannot be used; `word` is its index in argv. */
export class SetupError extends Error {
	constructor(
		readonly word: number,
		readonly expected: string,
		/** Negative, where the kernel refuses what is well written. */
		readonly errno: number | null = null,
		/** The real command takes it, and ports may depend on it, but there is no model of it. */
		readonly unmodelled = false,
	) {
		super(expected);
	}
}

/** What set-up commands change: a modelled namespace, or a real one. All return 0 or -errno. */
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
	/** Adds an address, or changes the one that is there. */
	replaceAddress(prefix: string, dev: string, options: AddressOptions): number;
	/** Without a length, IPv4: the first that is that address. */
	delAddress(prefix: string, dev: string): number;
	flushAddresses(options: FlushOptions): number;
	addRoute(options: RouteOptions): number;
	/** Adds a route behind those of the same prefix and metric. */
	appendRoute(options: RouteOptions): number;
	replaceRoute(options: RouteOptions): number;
	delRoute(options: RouteOptions): number;
	setSysctl(name: string, text: string): number;
}

/** The words of a command, one after the other. */
export class Words {
	at = 0;
	/** Words that concern no port, or that the command only asks with. */
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

	/** The next word, which must be one of these, or begin one of them as iproute2 allows. */
	choose<T extends string>(choices: readonly T[]): T {
		const word = this.next(choices.join(" or "));
		const found =
			choices.find((choice) => choice === word) ??
			choices.find((choice) => choice.startsWith(word));
		if (found === undefined) throw new SetupError(this.at - 1, choices.join(" or "));
		return found;
	}

	/** Takes all that is left, as passed over. */
	passRest(): void {
		this.passed.push(this.argv.slice(this.at).join(" "));
		this.at = this.argv.length;
	}
}

/** Runs a method that throws RangeError for malformed text, blaming the word at `at`. */
export function parsed<T>(at: number, run: () => T): T {
	try {
		return run();
	} catch (error) {
		if (error instanceof RangeError) throw new SetupError(at, error.message.replace(/^not /, ""));
		throw error;
	}
}
