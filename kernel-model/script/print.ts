// SPDX-License-Identifier: GPL-2.0-or-later
/** Prints the lines of a script or recording. Reading them gives the same lines again. */
import type { CallLine, ScriptLine } from "./syntax.js";

/** One printed line. */
export interface PrintedLine {
	/** The line, or one half of a split call. */
	line: ScriptLine;
	/** The pid and the time, each only if the line has one. */
	leader: string;
	text: string;
	/** The whole line, or the second half of a split call. */
	last: boolean;
}

/**
 * Larger times are seconds since 1970. Smaller ones count from a midnight, or from the first line.
 */
const EPOCH_MIN = 1e8;
const DAY = 86400;

function timeText(time: number): string {
	if (time >= EPOCH_MIN) return time.toFixed(6);
	const within = ((time % DAY) + DAY) % DAY;
	const micros = Math.round(within * 1e6) % (DAY * 1e6);
	const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
	const seconds = Math.floor(micros / 1e6);
	const fraction = String(micros % 1e6).padStart(6, "0");
	return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}.${fraction}`;
}

function leaderOf(pid: number | null, time: number | null): string {
	return `${pid === null ? "" : `[pid ${pid}] `}${time === null ? "" : `${timeText(time)} `}`;
}

/** A printed line with its line number in the file. */
class Placed implements PrintedLine {
	constructor(
		readonly at: number,
		readonly line: ScriptLine,
		private readonly pid: number | null,
		private readonly time: number | null,
		readonly text: string,
		readonly last = true,
	) {}

	get leader(): string {
		return leaderOf(this.pid, this.time);
	}
}

function halves(call: CallLine): Placed[] {
	const { line: at, endLine, pid, time, name } = call;
	if (call.result === null && call.opaque) {
		return [new Placed(at, call, null, null, `# not understood: ${call.text}`)];
	}
	if (call.unresumed) return [new Placed(at, call, pid, time, `${call.text} <unfinished ...>`)];
	// The execve() of a thread is resumed under another pid.
	const whole = !call.split || endLine === at || call.opaque || name === "execve";
	if (whole) return [new Placed(at, call, pid, time, call.text)];
	const rest = call.text.slice(name.length + 1);
	const resumed = `<... ${name} resumed>${rest}`;
	return [
		new Placed(at, call, pid, time, `${name}( <unfinished ...>`, false),
		new Placed(endLine, call, pid, call.endTime, resumed),
	];
}

/**
 * Prints a line, or both halves of a call. A line that could not be read again becomes a comment.
 */
export function printedHalves(line: ScriptLine): Placed[] {
	const at = line.line;
	if (line.kind === "call") return halves(line);
	if (line.kind === "exit" || line.kind === "signal") {
		return [new Placed(at, line, line.pid, line.time, line.text)];
	}
	const text = line.kind === "unknown" ? `# not understood: ${line.text}` : line.text;
	return [new Placed(at, line, null, null, text)];
}
