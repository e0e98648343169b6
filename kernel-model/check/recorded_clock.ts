// SPDX-License-Identifier: GPL-2.0-or-later
/** The model's clock follows the time stamps of the recording. */
import { END_OF_TIME, type Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { Facts } from "./facts.js";
import type { Recording } from "./recording.js";

/** How many lines before which timers ran are kept. */
const TIMER_LINES = 4;

export class RecordedClock {
	/** The time to which the clock was last to advance was recorded. */
	timed = false;
	/** The last lines before which timers ran, the earliest first. */
	readonly timerLines: number[] = [];
	/** The model's time at the first time stamp, ms. */
	private readonly start: number;

	constructor(
		private readonly kernel: Kernel,
		private readonly recording: Recording,
		private readonly facts: Facts,
	) {
		this.start = kernel.now;
	}

	/**
	 * Advances the clock to a recorded time, in seconds; null if none is recorded. Timers that are
	 * due run. Does nothing if the model is already there. `line` is the line that is played; 0 for
	 * a wait within a call.
	 */
	advanceTo(time: number | null, line: number): void {
		const { kernel, timerLines } = this;
		this.timed = time !== null;
		if (time === null || this.recording.firstTime === null) return;
		let now = this.start + (time - this.recording.firstTime) * 1000;
		for (const { from, to, ms } of this.facts.clockShifts) {
			if (line >= from && line <= to) now -= ms;
		}
		// A time stamp beyond the clock's limit is ignored.
		if (now <= kernel.now || now >= END_OF_TIME) return;
		// After a return to a mark, the lines that are played again are not noted twice.
		while (timerLines.length > 0 && nth(timerLines, timerLines.length - 1) >= line) {
			timerLines.pop();
		}
		const first = kernel.timers.first();
		if (first !== null && (kernel.timers.expiry(first) ?? now) <= now) timerLines.push(line);
		if (timerLines.length > TIMER_LINES) timerLines.shift();
		kernel.advance(now - kernel.now);
	}
}
