// SPDX-License-Identifier: GPL-2.0-or-later
/** Finds whether a recorded program had a network namespace of its own. */
import type { ScriptLine } from "../script/strace.js";

/**
 * Finds whether only the recorded processes use the namespace. They do if the program makes the
 * namespace before its first internet socket, or if commands set the namespace up.
 */
export class AloneCheck {
	/** Whether only they use it, from the lines seen so far. */
	alone = false;
	private decided = false;

	/** Takes the next line. */
	look(line: ScriptLine): void {
		if (this.decided) return;
		const alone = tells(line);
		if (alone === null) return;
		this.alone = alone;
		this.decided = true;
	}
}

/** Whether only the recorded processes use the namespace, from a whole script. */
export function isAlone(lines: readonly ScriptLine[]): boolean {
	for (const line of lines) {
		const alone = tells(line);
		if (alone !== null) return alone;
	}
	return false;
}

/** What one line shows: true or false; null if it shows nothing. */
function tells(line: ScriptLine): boolean | null {
	if (line.kind === "setup") return true;
	if (line.kind !== "call") return null;
	if (line.result === null) return true; // a script
	const first = line.args[0]?.value;
	const flags = first?.kind === "flags" ? first.names : [];
	if (line.name === "unshare" && line.result.value === 0 && flags.includes("CLONE_NEWNET")) {
		return true;
	}
	if (line.name === "execve" && line.result.value === 0) {
		const argv = line.args[1]?.value;
		const words = argv?.kind === "array" ? argv.items : [];
		const text = words.map((word) =>
			word.kind === "string" ? new TextDecoder().decode(word.bytes) : "",
		);
		if (/(^|\/)ip$/.test(text[0] ?? "") && text.includes("lo") && text.includes("up")) return true;
	}
	const internet = flags.includes("AF_INET") || flags.includes("AF_INET6");
	return line.name === "socket" && internet ? false : null;
}
