// SPDX-License-Identifier: GPL-2.0-or-later
/** Words of a command. */
import { Char, isSpace, skipSpace } from "./chars.js";
import { Stop } from "./source.js";

/** The words of a command, and the column where each starts. */
interface Words {
	argv: string[];
	argColumns: number[];
}

/** Splits a line into words as a shell does, without expansions. Throws Stop. */
export function words(line: string, start: number): Words {
	const text = line.trimEnd();
	const argv: string[] = [];
	const argColumns: number[] = [];
	let at = skipSpace(text, start);
	while (at < text.length) {
		argColumns.push(at + 1);
		let word = "";
		while (at < text.length && !isSpace(text.charCodeAt(at))) {
			const c = text.charCodeAt(at);
			if (c === Char.Apostrophe) {
				const end = text.indexOf("'", at + 1);
				if (end < 0) throw new Stop(text.length, '"\'"');
				word += text.slice(at + 1, end);
				at = end + 1;
			} else if (c === Char.Quote) {
				for (at++; text.charCodeAt(at) !== Char.Quote; at++) {
					if (text.charCodeAt(at) === Char.Backslash && '"\\$`'.includes(text.charAt(at + 1))) at++;
					if (at >= text.length) throw new Stop(text.length, "'\"'");
					word += text[at];
				}
				at++;
			} else if (c === Char.Backslash) {
				if (at + 1 >= text.length) throw new Stop(text.length, "a character after '\\'");
				word += text[at + 1];
				at += 2;
			} else {
				word += text[at];
				at++;
			}
		}
		argv.push(word);
		at = skipSpace(text, at);
	}
	return { argv, argColumns };
}
