// SPDX-License-Identifier: GPL-2.0-or-later
/** A campaign: random programs on a real kernel and on the model, until one differs. */
import fc from "fast-check";
import { CANDIDATE_OK, type PortSearchTrace } from "../../include/trace/events/port_search.js";
import { readScript } from "../../kernel-model/check/player.js";
import type { Agent } from "../../kernel-model/real/agent/agent.js";
import { O_WRONLY, openRequest } from "../../kernel-model/real/agent/marshal.js";
import {
	type DrawRecorder,
	judge,
	type LiveOutcome,
	type Recording,
	recordScript,
} from "../../kernel-model/real/live.js";
import { ScriptError } from "../../kernel-model/script/strace.js";
import { type Abilities, KINDS, type Kind, programs, renderProgram, SYSCTLS } from "./program.js";

export interface CampaignOptions {
	agent: Agent;
	version: string;
	/** Number of calls that the kernel must make. */
	operations: number;
	seed: number;
	/** The i-th of n shares, counted from 1. */
	shard: { i: number; n: number };
	/** Most operations of a program. */
	size: number;
	/** Whether to look for the smallest program that shows a difference; true if not given. */
	shrink?: boolean;
	/** Time for shrinking a program before lines are left out one by one, ms. */
	shrinkLimit?: number;
	/** Kinds of sockets; all that the kernel has if not given. */
	kinds?: readonly Kind[];
	progress(done: Progress): void;
	/** Whether to record the kernel's draws and play with them. */
	draws?: DrawRecorder;
	/** Called for each recording that did not differ. */
	keep?(recording: Recording): void;
	/** Runs only one round, from a path in it. A difference prints both. */
	at?: { round: number; path: string };
}

export interface Progress {
	programs: number;
	operations: number;
	/** Whether the campaign is shrinking a program. */
	shrinking: boolean;
}

/** The coverage of the programs. */
export interface Coverage {
	/** Numbers of calls, by names such as "bind EADDRINUSE". "bind" alone is a success. */
	answers: Map<string, number>;
	/** Candidates that were passed over, and buckets that decided, by verdict. */
	skipped: number[];
	bound: number[];
	searches: number;
	exhausted: number;
}

export interface Difference {
	/** The round of programs, and fast-check's path in it. */
	round: number;
	path: string;
	/** The smallest script that shows the difference. */
	script: string[];
	/** The first difference of the smallest script. */
	reason: string;
	outcomes: LiveOutcome[];
	recording: Recording;
	explanation: string[];
	/** The original program, with the kernel's results. */
	original: Recording;
}

export interface Campaign extends Progress {
	/** Calls that the model leaves out. */
	ignored: number;
	coverage: Coverage;
	difference: Difference | null;
}

class Counter implements PortSearchTrace {
	constructor(private readonly coverage: Coverage) {}
	search(): void {
		this.coverage.searches++;
	}
	scan(): void {}
	pass(): void {}
	skip(_port: number, verdict: number): void {
		this.coverage.skipped[verdict]++;
	}
	chosen(port: number): void {
		if (port === 0) this.coverage.exhausted++;
	}
	bound(_sk: number, _port: number, _fast: boolean, verdict: number): void {
		this.coverage.bound[verdict]++;
	}
	bucket(): void {}
	tuple(_sk: number, _port: number, verdict: number): void {
		if (verdict !== CANDIDATE_OK) this.coverage.bound[verdict]++;
	}
}

const NAME = "program";
/** Programs of a round. */
const ROUND = 20;
/** How often a smaller script is tried, because a difference may depend on a random port. */
const TRIES = 3;
/** Time for shrinking a program, ms. Leaving out lines may take as long again. */
const SHRINK_LIMIT = 60_000;

/** The features of the kernel behind an agent. */
export async function abilitiesOf(agent: Agent, version: string): Promise<Abilities> {
	const ask = async (request: string) =>
		Number((await agent.request(`0 ${request}`)).split(" ")[0]);
	await agent.request("reset");
	const kinds: Kind[] = [];
	for (const kind of Object.keys(KINDS) as Kind[]) {
		const { type, number } = KINDS[kind];
		if ((await ask(`socket 2 ${type} ${number}`)) >= 0) kinds.push(kind);
	}
	const sysctls: string[] = [];
	for (const name of Object.keys(SYSCTLS)) {
		const path = `/proc/sys/${name.replaceAll(".", "/")}`;
		if ((await ask(openRequest(path, O_WRONLY))) >= 0) sysctls.push(name);
	}
	let vrf = true;
	try {
		await recordScript(
			readScript("$ ip link add vrf0 type vrf table 10\n$ ip link add dummy0 type dummy\n", NAME),
			agent,
		);
	} catch (error) {
		if (!(error instanceof ScriptError)) throw error;
		vrf = false;
	}
	return { version, kinds, sysctls, vrf, users: agent.hello.users };
}

/** Runs programs until `operations` are done, or one differs. Throws AgentError. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
	const { agent, version, operations, shard } = options;
	const able = await abilitiesOf(agent, version);
	const kinds = options.kinds ?? able.kinds;
	const abilities = {
		...able,
		exact: options.draws !== undefined,
		kinds: able.kinds.filter((kind) => kinds.includes(kind)),
		long: options.draws !== undefined,
	};
	const coverage: Coverage = {
		answers: new Map(),
		skipped: new Array<number>(7).fill(0),
		bound: new Array<number>(7).fill(0),
		searches: 0,
		exhausted: 0,
	};
	const trace = new Counter(coverage);
	const done: Campaign = {
		programs: 0,
		operations: 0,
		shrinking: false,
		ignored: 0,
		coverage,
		difference: null,
	};
	interface Played {
		script: string[];
		recording: Recording;
		outcomes: LiveOutcome[];
	}
	let worst: Played | null = null;
	let first: Played | null = null;

	const differs = (outcomes: LiveOutcome[]) =>
		outcomes.some(({ verdict }) => verdict === "mismatch");
	const play = async (script: string[]) => {
		const parsed = readScript(`${script.join("\n")}\n`, NAME);
		const recording = await recordScript(parsed, agent, options.draws ?? null);
		// The clock is varied last. For a smaller program this happens only at the end, because
		// nearly all differ without it.
		let outcomes = judge(recording, NAME, { version, trace, variants: false });
		if (differs(outcomes) && !done.shrinking) outcomes = judge(recording, NAME, { version });
		return { script, recording, outcomes };
	};
	/** Whether the script shows a difference in one of several tries. */
	const shows = async (script: string[], tries: number) => {
		for (let i = 0; i < tries; i++) {
			const played = await play(script);
			if (!done.shrinking) count(done, played.outcomes);
			if (!differs(played.outcomes)) {
				if (!done.shrinking) options.keep?.(played.recording);
				continue;
			}
			worst = played;
			return true;
		}
		return false;
	};

	let shrinkUntil = 0;
	const property = fc.asyncProperty(programs(options.size), async (program) => {
		if (done.shrinking ? Date.now() > shrinkUntil : done.operations >= operations) return;
		const script = renderProgram(program, abilities);
		const failed = await shows(script, done.shrinking ? TRIES : 1);
		if (!done.shrinking) done.programs++;
		options.progress(done);
		if (failed) {
			if (!done.shrinking) {
				const limit = options.shrink !== false ? (options.shrinkLimit ?? SHRINK_LIMIT) : 0;
				shrinkUntil = Date.now() + limit;
				first = worst;
			}
			done.shrinking = true;
			throw new Error("differs");
		}
	});
	// The rounds do not depend on the number of shards.
	let round = options.at?.round ?? shard.i - 1;
	let path: string | null = null;
	while (path === null && (done.operations < operations || options.at !== undefined)) {
		const out = await fc.check(property, {
			seed: (options.seed * 1_000_003 + round) | 0,
			numRuns: ROUND,
			...(options.at === undefined ? {} : { path: options.at.path }),
		});
		if (out.failed && worst === null) throw out.errorInstance; // not a difference: a bug of the campaign
		if (out.failed) path = out.counterexamplePath ?? "";
		else if (options.at !== undefined) break;
		else round += shard.n;
	}
	const found = worst as Played | null;
	if (path !== null && found !== null) {
		const until = Date.now() + SHRINK_LIMIT;
		const fewer = (script: string[]) =>
			Date.now() > until ? Promise.resolve(false) : shows(script, TRIES);
		if (options.shrink !== false) await minimal(found.script, fewer);
		let last: Played = (worst as Played | null) ?? found;
		let explained = judge(last.recording, NAME, { version, explain: true });
		if (!differs(explained)) {
			last = (first as Played | null) ?? last; // the small one depended on the clock alone
			explained = judge(last.recording, NAME, { version, explain: true });
		}
		const wrong = explained.find(({ verdict }) => verdict === "mismatch");
		done.difference = {
			round,
			path,
			script: last.script,
			reason: wrong === undefined ? "" : `line ${wrong.line}: ${wrong.reason}`,
			outcomes: last.outcomes,
			recording: last.recording,
			explanation: wrong?.explanation ?? [],
			original: ((first as Played | null) ?? last).recording,
		};
	}
	return done;
}

function count(done: Campaign, outcomes: readonly LiveOutcome[]): void {
	const { answers } = done.coverage;
	for (const { call, verdict, recordedError } of outcomes) {
		if (call === "$") continue;
		done.operations++;
		if (verdict === "ignored") done.ignored++;
		const key = recordedError === null ? call : `${call} ${recordedError}`;
		answers.set(key, (answers.get(key) ?? 0) + 1);
	}
}

/** Leaves out lines for as long as the rest still shows the difference. */
async function minimal(
	script: string[],
	shows: (script: string[]) => Promise<boolean>,
): Promise<void> {
	let least = script;
	for (let at = least.length - 1; at >= 0; at--) {
		const fewer = least.filter((_, i) => i !== at);
		try {
			if (await shows(fewer)) least = fewer;
		} catch (error) {
			// Without this line the rest is not a valid script.
			if (!(error instanceof ScriptError)) throw error;
		}
	}
}
