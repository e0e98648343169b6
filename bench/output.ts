// SPDX-License-Identifier: GPL-2.0-or-later

/** The output of a bench: results on standard output, everything else on standard error. */
export interface Output {
	/** Prints one JSON object a line instead of tables. */
	readonly json: boolean;
	print(text: string): void;
	/** Shows the current step. */
	progress(what: string): void;
	/** Prints a note that stays. */
	note(what: string): void;
}

const tty = process.stderr.isTTY;
const clear = tty ? "\r\u001b[K" : "";

export const output = (json: boolean): Output => ({
	json,
	print(text) {
		process.stderr.write(clear);
		process.stdout.write(text);
	},
	progress(what) {
		process.stderr.write(tty ? `${clear}${what}` : `${what}\n`);
	},
	note(what) {
		process.stderr.write(clear);
		(json ? process.stderr : process.stdout).write(`${what}\n`);
	},
});
