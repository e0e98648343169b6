// SPDX-License-Identifier: GPL-2.0-or-later
/** A campaign: random programs on a real kernel and on the model, until one differs. */
import { CANDIDATE_OK, type PortSearchTrace } from "../../../include/trace/events/port_search.js";
import { readScript } from "../../check/player.js";
import { add } from "../../machine/nth.js";
import { ScriptError } from "../../script/strace.js";
import type { Agent } from "../agent/agent.js";
import { O_WRONLY, openRequest } from "../agent/marshal.js";
import { judgeOn } from "../lacks.js";
import { type DrawRecorder, type LiveOutcome, type Recording, recordScript } from "../live.js";
import { type Abilities, KINDS, type Kind } from "./abilities.js";
import { type Program, programOf } from "./program.js";
import { renderProgram } from "./render.js";
import { fewest, smallest } from "./shrink.js";
import { SYSCTLS } from "./vocabulary.js";

interface CampaignOptions {
	agent: Agent;
	version: string;
	/** Number of calls that the kernel must make. */
	operations: number;
	seed: number;
	/** The i-th of n shares of the programs, counted from 1. */
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
	/** What programs leave out, besides what the kernel lacks. */
	without?: readonly string[];
	/** Whether to record the kernel's draws and play with them. */
	draws?: DrawRecorder;
	/** Whether to end now, because somebody interrupted the campaign. */
	stopped?(): boolean;
	/** Called for each recording that did not differ. */
	keep?(recording: Recording): void;
	/** The number of the first program; 0 if not given. */
	from?: number;
	/** Runs only the program of this number. */
	only?: number;
}

interface Progress {
	programs: number;
	operations: number;
	/** Whether the campaign is shrinking a program. */
	shrinking: boolean;
}

/** The coverage of the programs. */
interface Coverage {
	/** Numbers of calls, by names such as "bind EADDRINUSE". "bind" alone is a success. */
	answers: Map<string, number>;
	/** Candidates that were passed over, and buckets that decided, by verdict. */
	skipped: number[];
	bound: number[];
	searches: number;
	exhausted: number;
}

export interface Difference {
	/** The number of the program. */
	number: number;
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
	/** The number of the first program that was not run. */
	next: number;
	/** Whether the campaign was interrupted. */
	interrupted: boolean;
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
	look(): void {}
	skip(_port: number, verdict: number): void {
		add(this.coverage.skipped, verdict, 1);
	}
	chosen(port: number): void {
		if (port === 0) this.coverage.exhausted++;
	}
	bound(_sk: number, _port: number, _fast: boolean, verdict: number): void {
		add(this.coverage.bound, verdict, 1);
	}
	bucket(): void {}
	tuple(_sk: number, _port: number, verdict: number): void {
		if (verdict !== CANDIDATE_OK) add(this.coverage.bound, verdict, 1);
	}
}

const NAME = "program";
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
		const fd = await ask(openRequest(path, O_WRONLY));
		// Another system may have files of settings that it does not let change.
		const first = SYSCTLS[name]?.[0] ?? "";
		const text = Buffer.from(`${first}\n`).toString("hex");
		const takes =
			agent.hello.system === null || (await ask(`write ${fd} =${text} ${text.length / 2}`)) > 0;
		if (fd >= 0 && takes) sysctls.push(name);
	}
	const vrf = await takes(agent, [
		"ip link add vrf0 type vrf table 10",
		"ip link add dummy0 type dummy",
	]);
	const routes = await takes(agent, ["ip route add prohibit 203.0.113.200/32"]);
	const limits = (await ask("prlimit64 0 7 =00040000000000000004000000000000 0")) === 0;
	const without = [
		...agent.hello.lacks,
		...(routes ? [] : ["routes"]),
		...(limits ? [] : ["nofile"]),
	];
	return { version, kinds, sysctls, vrf, users: agent.hello.users, without };
}

/** Whether a kernel takes set-up commands. */
async function takes(agent: Agent, commands: readonly string[]): Promise<boolean> {
	const text = commands.map((command) => `$ ${command}\n`).join("");
	try {
		const { lacks = [] } = await recordScript(readScript(text, NAME), agent);
		return lacks.length === 0;
	} catch (error) {
		if (!(error instanceof ScriptError)) throw error;
		return false;
	}
}

/**
 * Whether a campaign was interrupted when its agent ended. The same signal may have ended the agent
 * a moment before it came here.
 */
export async function wasStopped(stopped: (() => boolean) | undefined): Promise<boolean> {
	if (stopped === undefined) return false;
	await new Promise((resolve) => setTimeout(resolve, 50));
	return stopped();
}

/** The first number from `from` on that is of a share. */
export function firstOf({ i, n }: { i: number; n: number }, from: number): number {
	return from + ((((i - 1 - from) % n) + n) % n);
}

/** A program, as the kernel and the model played it. */
interface Played {
	script: string[];
	recording: Recording;
	outcomes: LiveOutcome[];
}

/** A campaign while it runs. */
interface Running {
	readonly options: CampaignOptions;
	readonly abilities: Abilities;
	readonly done: Campaign;
	/** Counts what the searches of the model do. */
	readonly trace: PortSearchTrace;
	/** The last program that differed; null if none did. */
	worst: Played | null;
}

/**
 * Runs programs until `operations` are done, or one differs. Then looks for the smallest program
 * that shows the difference, and explains it. Throws AgentError.
 */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
	const running = await begin(options);
	const { done } = running;
	const found = await firstDifference(running);
	const first = running.worst;
	if (found === null || first === null) return done;
	done.shrinking = true;
	if (options.shrink !== false) await shrink(running, found.program, first);
	done.difference = explained(running, found.number, first);
	return done;
}

/** Asks the kernel for its features. Nothing is counted yet. */
async function begin(options: CampaignOptions): Promise<Running> {
	const able = await abilitiesOf(options.agent, options.version);
	const kinds = options.kinds ?? able.kinds;
	const abilities = {
		...able,
		exact: options.draws !== undefined,
		kinds: able.kinds.filter((kind) => kinds.includes(kind)),
		long: options.draws !== undefined,
		without: [...(able.without ?? []), ...(options.without ?? [])],
	};
	const coverage: Coverage = {
		answers: new Map(),
		skipped: new Array<number>(7).fill(0),
		bound: new Array<number>(7).fill(0),
		searches: 0,
		exhausted: 0,
	};
	const done: Campaign = {
		programs: 0,
		operations: 0,
		shrinking: false,
		ignored: 0,
		next: options.from ?? 0,
		interrupted: false,
		coverage,
		difference: null,
	};
	return { options, abilities, done, trace: new Counter(coverage), worst: null };
}

/** The first program that differs, and its number; null if none does. */
async function firstDifference(
	running: Running,
): Promise<{ program: Program; number: number } | null> {
	const { options, abilities, done } = running;
	const { shard, only } = options;
	let number = only ?? firstOf(shard, options.from ?? 0);
	for (; done.operations < options.operations; number += shard.n) {
		const program = programOf(options.seed, number, options.size);
		let differing = false;
		try {
			if (options.stopped?.() === true) done.interrupted = true;
			else differing = await shows(running, renderProgram(program, abilities), 1);
		} catch (error) {
			if (!(await wasStopped(options.stopped))) throw error;
			done.interrupted = true;
		}
		if (done.interrupted) return null;
		done.programs++;
		options.progress(done);
		done.next = number + 1;
		if (differing) return { program, number };
		if (only !== undefined) return null;
	}
	return null;
}

/** Whether a script shows a difference in one of several tries. */
async function shows(running: Running, script: string[], tries: number): Promise<boolean> {
	const { options, done } = running;
	for (let i = 0; i < tries; i++) {
		const played = await play(running, script);
		if (!done.shrinking) count(done, played.outcomes);
		if (differs(played.outcomes)) {
			running.worst = played;
			return true;
		}
		if (!done.shrinking) options.keep?.(played.recording);
	}
	return false;
}

/** The kernel makes the calls of a script, and the model judges them. */
async function play({ options, done, trace }: Running, script: string[]): Promise<Played> {
	const { agent, version } = options;
	const parsed = readScript(`${script.join("\n")}\n`, NAME);
	const recording = await recordScript(parsed, agent, options.draws ?? null);
	const shared = isShared(options);
	// The clock is varied last. For a smaller program this happens only at the end, because
	// nearly all differ without it.
	let outcomes = judgeOn(agent, recording, NAME, { version, shared, trace, variants: false });
	if (differs(outcomes) && !done.shrinking)
		outcomes = judgeOn(agent, recording, NAME, { version, shared });
	return { script, recording, outcomes };
}

/** Looks for the smallest program that shows a difference, for a limited time. */
async function shrink(running: Running, program: Program, first: Played): Promise<void> {
	const { options, abilities } = running;
	const fits = fitsWithin(running, options.shrinkLimit ?? SHRINK_LIMIT);
	await smallest(program, (smaller) => fits(renderProgram(smaller, abilities)));
	const { script } = running.worst ?? first;
	await fewest(script, fitsWithin(running, SHRINK_LIMIT));
}

/** Whether a smaller program shows a difference; null once the time is over. */
function fitsWithin(
	running: Running,
	limit: number,
): (script: readonly string[]) => Promise<boolean | null> {
	const { options, done } = running;
	const until = Date.now() + limit;
	return async (script) => {
		if (Date.now() > until || options.stopped?.() === true) return null;
		options.progress(done);
		try {
			return await shows(running, [...script], TRIES);
		} catch (error) {
			// Without a line the rest may not be a valid script.
			if (error instanceof ScriptError) return false;
			if (await wasStopped(options.stopped)) return null;
			throw error;
		}
	};
}

/** The difference of the smallest program, with how the model came to its own result. */
function explained({ options, worst }: Running, number: number, first: Played): Difference {
	const { agent, version } = options;
	const shared = isShared(options);
	const judged = ({ recording }: Played) =>
		judgeOn(agent, recording, NAME, { version, shared, explain: true });
	let last = worst ?? first;
	let outcomes = judged(last);
	if (!differs(outcomes)) {
		last = first; // the small one depended on the clock alone
		outcomes = judged(last);
	}
	const wrong = outcomes.find(({ verdict }) => verdict === "mismatch");
	return {
		number,
		script: last.script,
		reason: wrong === undefined ? "" : `line ${wrong.line}: ${wrong.reason}`,
		outcomes: last.outcomes,
		recording: last.recording,
		explanation: wrong?.explanation ?? [],
		original: first.recording,
	};
}

/** Whether other shards may run on this kernel. */
function isShared({ shard }: CampaignOptions): boolean {
	return shard.n > 1;
}

function differs(outcomes: readonly LiveOutcome[]): boolean {
	return outcomes.some(({ verdict }) => verdict === "mismatch");
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
