// SPDX-License-Identifier: GPL-2.0-or-later
/** Options that the campaigns share. The functions throw UsageError. */

import { KINDS, type Kind, withoutNames } from "../real/campaign/program.js";
import { printable, UsageError } from "./terminal.js";

/** The value of --NAME: a number from `least` up. */
export function whole(name: string, text: unknown, least: number): number {
	if (!/^[0-9]+$/.test(String(text)) || Number(text) < least) {
		throw new UsageError(`--${name}: expected a number from ${least} up, found ${text}`);
	}
	return Number(text);
}

/** The value of --kinds. */
export function kindsOf(text: string): Kind[] {
	return text.split(",").map((name) => {
		if (!(name in KINDS)) {
			throw new UsageError(`--kinds: expected ${Object.keys(KINDS).join(", ")}, found ${name}`);
		}
		return name as Kind;
	});
}

/** The names of --without. Throws UsageError. */
export function withoutOf(text: string): string[] {
	const names = withoutNames();
	return text.split(",").map((name) => {
		if (names.includes(name)) return name;
		throw new UsageError(`--without: expected ${names.join(", ")}, found ${printable(name)}`);
	});
}

/** The value of --shard: I/N. */
export function shardOf(text: string): { i: number; n: number } {
	const [, i, n] = /^([0-9]+)\/([0-9]+)$/.exec(text) ?? [];
	if (!(Number(i) >= 1 && Number(i) <= Number(n))) {
		throw new UsageError(`--shard: expected I/N such as 1/4, found ${text}`);
	}
	return { i: Number(i), n: Number(n) };
}

/** Notes the signals that ask a campaign to end. A second one ends the process. */
export function interruptions(): { seen(): boolean; end(): void } {
	let seen = false;
	const note = () => {
		if (seen) process.exit(130);
		seen = true;
	};
	process.on("SIGINT", note);
	process.on("SIGTERM", note);
	return {
		seen: () => seen,
		end() {
			process.off("SIGINT", note);
			process.off("SIGTERM", note);
		},
	};
}

/** The report of a campaign after a program differs. */
export const SHRINKING = "a difference: looking for a smaller program";

/**
 * Shows the progress of a campaign: in place on a terminal, else a line every ten seconds. An empty
 * text ends it.
 */
export function progressLine(prefix = ""): (text: string) => void {
	const tty = process.stderr.isTTY;
	let last = Date.now();
	return (text) => {
		const now = Date.now();
		if (text === "") {
			if (tty) process.stderr.write("\r\u001b[K");
			return;
		}
		if (now - last < (tty ? 200 : 10_000)) return;
		last = now;
		process.stderr.write(tty ? `\r\u001b[K${prefix}${text}` : `${prefix}${text}\n`);
	};
}
