// SPDX-License-Identifier: GPL-2.0-or-later

/** Where a bench writes: results to standard output, all else to standard error. */
export interface Output {
	/** An object a line instead of tables. */
	readonly json: boolean;
	print(text: string): void;
	/** What is being done. */
	progress(what: string): void;
	/** A line to be read afterwards. */
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
