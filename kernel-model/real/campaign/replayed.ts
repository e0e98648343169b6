// SPDX-License-Identifier: GPL-2.0-or-later
/** Plays recordings with draws, without a virtual machine. */
import type { PortSearchTrace } from "../../../include/trace/events/port_search.js";
import { readDraws, splitRecordings } from "../../check/exact.js";
import { type Outcome, playScript, readScript } from "../../check/player.js";

interface Replayed {
	/** Release of the recorded kernel; "" if there is no recording. */
	release: string;
	programs: number;
	operations: number;
	/** Calls that the model leaves out. */
	ignored: number;
	draws: number;
	searches: number;
	/** Searches that found no port. */
	exhausted: number;
	/** "LINE: REASON" of each line that differs. */
	mismatches: string[];
}

class SearchCounter implements PortSearchTrace {
	searches = 0;
	exhausted = 0;
	search(): void {
		this.searches++;
	}
	scan(): void {}
	pass(): void {}
	look(): void {}
	skip(): void {}
	chosen(port: number): void {
		if (port === 0) this.exhausted++;
	}
	bound(): void {}
	bucket(): void {}
	tuple(): void {}
}

/** Plays the recordings of a file. `versionOf` returns the version that models a release. */
export function replayText(
	text: string,
	file: string,
	versionOf: (release: string) => string,
): Replayed {
	const counter = new SearchCounter();
	const done: Replayed = {
		release: "",
		programs: 0,
		operations: 0,
		ignored: 0,
		draws: 0,
		searches: 0,
		exhausted: 0,
		mismatches: [],
	};
	for (const part of splitRecordings(text)) {
		const script = readScript(part.text, file, part.above);
		const draws = readDraws(script);
		if (draws === null) throw new Error(`${file}:${part.above + 1}: a recording without draws`);
		done.release = draws.release;
		const version = versionOf(draws.release);
		const differs = ({ verdict }: Outcome) => verdict === "mismatch";
		let outcomes = playScript(script, { version, variants: false, trace: counter });
		if (outcomes.some(differs)) outcomes = playScript(script, { version });
		const calls = outcomes.filter(({ call }) => call !== "$");
		done.programs++;
		done.operations += calls.length;
		done.ignored += calls.filter(({ verdict }) => verdict === "ignored").length;
		done.draws += draws.total;
		for (const { line, reason } of calls.filter(differs))
			done.mismatches.push(`${file}:${line}: ${reason}`);
	}
	done.searches = counter.searches;
	done.exhausted = counter.exhausted;
	return done;
}
