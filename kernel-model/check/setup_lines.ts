// SPDX-License-Identifier: GPL-2.0-or-later
/** Plays the set-up commands of a script: the lines that begin with `$`. */
import { EEXIST } from "../../include/uapi/asm-generic/errno.js";
import { runSetup, SetupError } from "../script/setup.js";
import { ScriptError, type SetupLine } from "../script/strace.js";
import { LineOutcome } from "./line_outcome.js";
import type { World } from "./world.js";

/**
 * Runs a command in the namespace of the first process. Throws ScriptError if the command has no
 * meaning or fails. A World that gives its own answers notes the error in the outcome instead.
 */
export function playSetup(world: World, line: SetupLine): LineOutcome {
	const { recording, options } = world;
	const task = world.task(0);
	const logged = task.net.log.length;
	const outcome = new LineOutcome(line, "unrecorded");
	outcome.result = 0;
	// The host before the recording has it already.
	if (line.line <= (recording.top?.end ?? 0)) return outcome;
	try {
		runSetup(world.kernel, task.net, line.argv);
	} catch (error) {
		if (!(error instanceof SetupError)) throw error;
		// The --host files already had it.
		if (error.errno === -EEXIST && options.host !== undefined) return outcome;
		outcome.error = placed(error, line, recording.file);
		outcome.result = error.errno;
		if (world.ownAnswers === null) throw outcome.error;
	}
	world.origins.changed(task.net, line.line);
	outcome.explanation = task.net.log.slice(logged).map((text) => `the kernel logs: ${text}`);
	return outcome;
}

/** The error of a command with its place in the file. */
function placed(error: SetupError, line: SetupLine, file: string): ScriptError {
	const word = Math.min(error.word, line.argv.length);
	const column = line.argColumns[word] ?? line.column + line.text.length;
	const found = line.argv[word] ?? "the end of the line";
	return new ScriptError(file, line.line, column, error.expected, found);
}
