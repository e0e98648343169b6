// SPDX-License-Identifier: GPL-2.0-or-later
/** Asks a real kernel for pairs of sockets: whether the second one may bind to the port of the first. */
import { readScript } from "../check/player.js";
import { type Atlas, askedOf } from "../laws/atlas.js";
import { pairText } from "../laws/atlas_text.js";
import { type First, pairScript, type Second } from "../laws/pairs.js";
import { nth } from "../machine/nth.js";
import { errnoOf } from "../script/operands.js";
import { ScriptError } from "../script/strace.js";
import { type Agent, AgentError } from "./agent/agent.js";
import { readRecording, recordScript } from "./live.js";

/**
 * How often a first socket is opened before this is an error. On a busy machine a connect() may
 * take longer than the agent lets it sleep.
 */
const TRIES = 3;

/** The script needs a device that the system cannot make. */
class NoDevice extends Error {}

/** What a kernel answered. */
export interface LivePairs {
	/** The kernel, such as "Linux 6.18.44". */
	readonly release: string;
	/** For each first socket the answers, by the numbers of newcomers. */
	readonly answers: Map<number, number>[];
	/** What was not asked, and why. */
	readonly left: string[];
}

/**
 * Asks a kernel for the pairs of an atlas. `onAsked` is called with the number of first sockets that
 * are done. Throws AgentError.
 */
export async function askPairs(
	atlas: Atlas,
	agent: Agent,
	onAsked: (sockets: number) => void = () => {},
): Promise<LivePairs> {
	const { protocol, firsts, seconds } = atlas;
	const left: string[] = [];
	const users = agent.hello.users >= 1001;
	if (!users) left.push("newcomers of another user, because the agent has no user 1001");
	let dummy = true;
	const answers: LivePairs["answers"] = [];
	const ask = async (first: First, asked: readonly number[], tries = TRIES): Promise<number[]> => {
		const newcomers = asked.map((i) => nth(seconds, i));
		const script = pairScript(protocol, first, newcomers, users);
		const recording = await recordScript(readScript(script.text, "pairs"), agent);
		if ((recording.lacks ?? []).some(({ what }) => what.startsWith("ip link")))
			throw new NoDevice();
		const results: number[] = [];
		for (const line of readRecording(recording, "pairs").lines) {
			if (line.kind !== "call" || line.name === "fork" || line.name === "setuid") continue;
			if (!Number.isInteger(line.line)) continue;
			const { result } = line;
			const errno = result?.errno ?? null;
			results.push(errno === null ? (result?.value ?? -1) : -(errnoOf(errno) ?? 1));
		}
		try {
			return script.answers(results);
		} catch (error) {
			if (tries > 1) return ask(first, asked, tries - 1);
			const what = error instanceof Error ? error.message : error;
			throw new AgentError(`${pairText(first, null)}: ${what}`);
		}
	};
	for (const [i, first] of firsts.entries()) {
		const wanted = () =>
			[...askedOf(atlas, i)]
				.map(([j]) => j)
				.filter((j) => {
					const second = nth(seconds, j);
					return (users || !second.other) && (dummy || !usesDummy(first, second));
				});
		let asked = wanted();
		let found: number[] = [];
		try {
			if (asked.length > 0) found = await ask(first, asked);
		} catch (error) {
			const without = error instanceof ScriptError || error instanceof NoDevice;
			if (!without || !dummy) throw error;
			dummy = false;
			left.push("sockets on dummy0, because the kernel makes no such device");
			asked = wanted();
			found = asked.length > 0 ? await ask(first, asked) : [];
		}
		answers.push(new Map(asked.map((j, at) => [j, nth(found, at)])));
		onAsked(i + 1);
	}
	return { release: nameOf(agent), answers, left };
}

const nameOf = ({ hello }: Agent) =>
	hello.system === null ? `Linux ${hello.release}` : hello.name;

const usesDummy = (first: First, second: Second) =>
	first.device === "dummy0" || second.device === "dummy0";
