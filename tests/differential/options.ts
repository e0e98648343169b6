// SPDX-License-Identifier: GPL-2.0-or-later
/** Options that the campaigns share. The functions throw UsageError. */
import { UsageError } from "../../kernel-model/cli/terminal.js";
import { KINDS, type Kind } from "./program.js";

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

/** The value of --at. */
export function placeOf(text: string): { round: number; path: string } {
	const [, round, path] = /^([0-9]+):([0-9:]*)$/.exec(text) ?? [];
	if (path === undefined) throw new UsageError(`--at: expected ROUND:PATH, found ${text}`);
	return { round: Number(round), path };
}

/** The report of a campaign after a program differs. */
export const SHRINKING = "a difference: looking for a smaller program";

/** Shows the progress of a campaign: in place on a terminal, else a line every ten seconds. */
export function progressLine(prefix = ""): (text: string) => void {
	const tty = process.stderr.isTTY;
	let last = Date.now();
	return (text) => {
		const now = Date.now();
		if (now - last < (tty ? 200 : 10_000)) return;
		last = now;
		process.stderr.write(tty ? `\r\u001b[K${prefix}${text}` : `${prefix}${text}\n`);
	};
}
