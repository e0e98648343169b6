// SPDX-License-Identifier: GPL-2.0-or-later
/** Asks a real kernel whether it gives the answers of scripts: those of causes of broken laws. */
import { playScript, readScript } from "../check/player.js";
import type { Report } from "../laws/report.js";
import { versionFor } from "../machine/versions.js";
import { type Parsed, ScriptError } from "../script/strace.js";
import type { Agent } from "./agent/agent.js";
import { type Recording, readRecording, recordScript } from "./live.js";

/** How often a script is played whose answers depend on the kernel's draws. */
const PLAYS = 12;

/**
 * Asks a kernel for the answers of each script that its version has. Adds its release to the reports
 * that it confirms, and returns the others. `tick` is called before each script. Throws AgentError.
 */
export async function confirm(
	reports: readonly Report[],
	agent: Agent,
	tick: (report: Report) => void = () => {},
): Promise<Report[]> {
	const { release } = agent.hello;
	const version = versionFor(release);
	const others: Report[] = [];
	for (const report of reports) {
		tick(report);
		if (version === null || !report.kernels.includes(version)) continue;
		const script = readScript(report.script, `${report.at}.strace`);
		// The script has the answers of the newest version with the cause.
		const model = playScript(script, { version, alone: true });
		if (model.some(({ verdict }) => verdict === "mismatch")) continue;
		let same: boolean | null = false;
		for (let i = 0; i < PLAYS && same === false; i++) same = await gives(script, agent);
		if (same === true) report.confirmed.push(release);
		if (same === false) others.push(report);
	}
	return others;
}

/** Whether a kernel gives every answer of a script; null if it does not have what it needs. */
async function gives(script: Parsed, agent: Agent): Promise<boolean | null> {
	let recording: Recording;
	try {
		recording = await recordScript(script, agent);
	} catch (error) {
		if (error instanceof ScriptError) return null;
		throw error;
	}
	const recorded = answersOf(readRecording(recording, script.file));
	return [...answersOf(script)].every(
		([line, answer]) => (recorded.get(line) ?? answer) === answer,
	);
}

/** The answer of each line: an errno, or "" for success. Descriptors and pids may be others. */
function answersOf({ lines }: Parsed): Map<number, string> {
	const answers = new Map<number, string>();
	for (const line of lines) {
		if (line.kind !== "call" || line.result === null) continue;
		answers.set(line.line, line.result.errno ?? "");
	}
	return answers;
}
