// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What a kernel does otherwise than a version of the model. Programs are played on the kernel and
 * on the model. A difference does not end the campaign: its line is left out, and the program goes
 * on. Each difference is made small, and differences of the same form are one cause.
 */
import { readdirSync, readFileSync } from "node:fs";
import { type PlayOptions, playScript, readScript } from "../check/player.js";
import { type Parsed, ScriptError } from "../script/strace.js";
import { wasStopped } from "./campaign/campaign.js";
import { canonical } from "./campaign/canonical.js";
import { fewest } from "./campaign/shrink.js";
import {
	closed,
	type NamedLine,
	named,
	same,
	scriptOf,
	simpler,
	withoutProcess,
	withoutResults,
} from "./campaign/symbols.js";
import { judge, type LiveOutcome, type Recording } from "./live.js";

/** Plays a script on the kernel in a fresh namespace. Throws ScriptError for what it cannot do. */
export type Ask = (script: Parsed) => Promise<Recording>;

/** How much a difference matters, most first. */
export const CLASSES = [
	"allowed, was refused, between two users",
	"allowed, was refused",
	"refused, was allowed",
	"another error",
	"another port or value",
	"other draws",
] as const;
export type Class = (typeof CLASSES)[number];

/** The answers of both sides to a call. */
interface Answers {
	/** The name of the system call. */
	readonly call: string;
	/** An errno's name, "ok", or the kind of the difference after two successes. */
	readonly kernel: string;
	readonly model: string;
}

/** A difference, made small. */
interface Small extends Answers {
	readonly script: readonly string[];
	/** One form for all scripts that are the same under other names and orders. */
	readonly form: string;
	readonly class: Class;
	/** What the last call returned on the kernel and on the model. */
	readonly kernelSays: string;
	readonly modelSays: string;
	readonly reason: string;
	readonly explanation: readonly string[];
	readonly recording: string;
	/** Whether the smallest script showed the difference when it was played once more. */
	readonly again: boolean;
	/** Whether nothing can be left out; false if the time for it was over. */
	readonly least: boolean;
}

/** Differences with the same cause. */
export interface Difference extends Small {
	/** The ported function that gave the model's answer, and its file; "" if it is not ported. */
	readonly at: string;
	readonly file: string;
	/** How often it was seen. */
	cases: number;
	/** Other smallest scripts with the same answers, of the same function. */
	readonly others: Small[];
}

export interface Review {
	programs: number;
	operations: number;
	/** Programs that differ. */
	differing: number;
	/** Differences that were not made small, because their like was. */
	counted: number;
	/** Programs that the kernel could not play. */
	refused: number;
	/** Number of the first program that was not run. */
	next: number;
	/** The differences, those that matter most first. */
	differences: Difference[];
}

interface ReviewOptions {
	readonly ask: Ask;
	/** The model's verdicts on a recording; judge() of live.ts if not given. */
	readonly judge?: (recording: Recording, file: string, options: PlayOptions) => LiveOutcome[];
	/** The version of the model. */
	readonly base: string;
	/** The programs, in order, without results. */
	readonly programs: Iterable<readonly string[]>;
	/** Calls to make, without those that make differences small. */
	readonly operations: number;
	/** Number of the first program; 0 if not given. */
	readonly from?: number;
	/** Time for making one difference small, ms. */
	readonly limit?: number;
	/** Whether to end now. */
	readonly stopped?: () => boolean;
	readonly progress?: (done: Review, doing: string) => void;
}

const NAME = "program";
/** How often a candidate is played: a difference may depend on a random port. */
const TRIES = 2;
/** Namespaces in which an answer must be the same before it is no chance. */
const CHANCES = 3;
/** How often the rest of a program is played after a difference. */
const REST = 6;
/** Differences with the same answers that are all made small. Then 8, 16, 32… of them. */
const EACH = 4;
const LIMIT = 60_000;

/** A play of a script on both sides. */
interface Played {
	readonly recording: Recording;
	readonly outcomes: readonly LiveOutcome[];
	/** The first difference; null if there is none. */
	readonly wrong: LiveOutcome | null;
}

/** Protocols that a kernel may be built without. */
const OPTIONAL = /IPPROTO_(MPTCP|SCTP|DCCP)/;

/**
 * Whether the kernel lacks a protocol that the version has. Check mode passes over such a call,
 * because the recorded host may be built without the protocol.
 */
function isLacking({ call, verdict, recordedError, text }: LiveOutcome, base: string): boolean {
	if (call !== "socket" || verdict !== "ignored" || recordedError === null) return false;
	const [line = ""] = withoutResults(text);
	if (OPTIONAL.test(line)) return false;
	const [outcome] = playScript(readScript(`${line}\n`, NAME), { version: base });
	return (outcome?.result ?? -1) >= 0;
}

/** The first line that differs; null if none does. */
function firstWrong(outcomes: readonly LiveOutcome[], base: string): LiveOutcome | null {
	for (const outcome of outcomes) {
		if (outcome.verdict === "mismatch") return outcome;
		if (!isLacking(outcome, base)) continue;
		const reason = `the kernel says ${outcome.recordedError}, the model has the protocol`;
		return { ...outcome, verdict: "mismatch", result: 0, reason };
	}
	return null;
}

/** Whether a secret hash can decide a call: whether bind() of a datagram socket sees another one. */
function dependsOnHash(script: readonly string[], { call }: LiveOutcome): boolean {
	return call === "bind" && script.some((line) => line.includes("SOCK_DGRAM"));
}

const textOf = (script: readonly string[]) => `${script.join("\n")}\n`;

/** Numbers, addresses and descriptors of a reason do not tell causes apart. */
function kindOf(reason: string | null): string {
	return (reason ?? "").replace(/0x[0-9a-f]+|[0-9][0-9.]*/g, "N").replace(/:.*$/s, "");
}

/** A connect() that goes on without its caller has succeeded, as far as ports are concerned. */
const GOES_ON = "EINPROGRESS";

function answersOf(wrong: LiveOutcome): Answers {
	const { call, result, recorded, recordedError, reason } = wrong;
	const failed = result !== null && result < 0 ? errnoOf(wrong) : "ok";
	const model = result === null ? "sleeps" : failed === GOES_ON ? "ok" : failed;
	const said = recordedError ?? ((recorded ?? 0) < 0 ? "error" : "ok");
	const kernel = said === GOES_ON ? "ok" : said;
	if (kernel !== "ok" || model !== "ok") return { call, kernel, model };
	const draws = /\bdr(ew|aws)\b|table_perturb/.test(reason ?? "");
	return { call, kernel: draws ? "other draws" : kindOf(reason), model };
}

/** The name of the model's error, from the text of the line, which has it. */
function errnoOf({ text, reason }: LiveOutcome): string {
	const said = /the model (E[A-Z0-9]+)/.exec(reason ?? "")?.[1];
	return said ?? / = -1 (E[A-Z0-9]+)/.exec(text)?.[1] ?? "error";
}

const keyOf = ({ call, kernel, model }: Answers) => `${call} ${kernel} ${model}`;

class Reviewer {
	readonly done: Review = {
		programs: 0,
		operations: 0,
		differing: 0,
		counted: 0,
		refused: 0,
		next: 0,
		differences: [],
	};
	/** How often each kind of answers was seen. */
	private readonly seen = new Map<string, number>();

	private judged(recording: Recording, options: PlayOptions): LiveOutcome[] {
		return (this.options.judge ?? judge)(recording, NAME, options);
	}

	constructor(private readonly options: ReviewOptions) {}

	/** Throws ScriptError if the kernel cannot play the script. */
	private async play(script: readonly string[]): Promise<Played> {
		const { ask, base } = this.options;
		const recording = await ask(readScript(textOf(script), NAME));
		const likely = this.judged(recording, { version: base, variants: false });
		const first = firstWrong(likely, base);
		if (first === null) return { recording, outcomes: likely, wrong: null };
		const outcomes = this.judged(recording, { version: base });
		const wrong = firstWrong(outcomes, base);
		if (wrong !== null || !dependsOnHash(script, first)) return { recording, outcomes, wrong };
		return (await this.isChance(script, first))
			? { recording, outcomes, wrong }
			: { recording, outcomes: likely, wrong: first };
	}

	/**
	 * Whether the version gives the answer as well, now and then. The secret of the hash is another
	 * one in each namespace, so what is there in each of them is no chance.
	 */
	private async isChance(script: readonly string[], wrong: LiveOutcome): Promise<boolean> {
		const { ask, base } = this.options;
		for (let i = 0; i < CHANCES; i++) {
			const recording = await ask(readScript(textOf(script), NAME));
			const again = firstWrong(this.judged(recording, { version: base, variants: false }), base);
			if (again === null || keyOf(answersOf(again)) !== keyOf(answersOf(wrong))) return true;
		}
		return false;
	}

	async run(): Promise<Review> {
		const { done, options } = this;
		let number = 0;
		for (const program of options.programs) {
			if (number++ < (options.from ?? 0)) continue;
			if (done.operations >= options.operations || options.stopped?.() === true) break;
			const { operations } = done;
			try {
				await this.program(program);
			} catch (error) {
				if (await wasStopped(options.stopped)) break;
				throw error;
			}
			// A program that was interrupted is run again, and counts then.
			if (options.stopped?.() === true) {
				done.operations = operations;
				break;
			}
			done.programs++;
			done.next = number;
			options.progress?.(done, "");
		}
		done.differences.sort(byWeight);
		return done;
	}

	private async program(program: readonly string[]): Promise<void> {
		const { done, options } = this;
		let script = [...program];
		let differs = false;
		for (let rest = 0; rest <= REST; rest++) {
			let played: Played;
			try {
				played = await this.play(script);
			} catch (error) {
				if (!(error instanceof ScriptError)) throw error;
				if (rest === 0) done.refused++;
				return;
			}
			if (rest === 0) done.operations += played.outcomes.filter(({ call }) => call !== "$").length;
			const { wrong } = played;
			if (wrong === null || options.stopped?.() === true) break;
			differs = true;
			const at = Math.floor(wrong.line) - 1;
			await this.difference(script.slice(0, at + 1), played);
			// A descriptor that only one side made would shift all later ones.
			const lines = named(script, resultsOf(played.outcomes));
			script = scriptOf(closed(lines.filter((_, i) => i !== at)));
		}
		if (differs) done.differing++;
	}

	/** Makes a difference small if enough of its like were not, and adds it to the causes. */
	private async difference(script: readonly string[], played: Played): Promise<void> {
		const wrong = played.wrong;
		if (wrong === null) return;
		const { done } = this;
		const answers = answersOf(wrong);
		const key = `${keyOf(answers)} ${kindOf(wrong.reason)}`;
		const seen = (this.seen.get(key) ?? 0) + 1;
		this.seen.set(key, seen);
		if (seen > EACH && (seen & (seen - 1)) !== 0) {
			done.counted++;
			return;
		}
		const small = await this.small(script, played, answers);
		const at = functionOf(small);
		const file = fileOf(at);
		const known = done.differences.find(
			(other) => keyOf(other) === keyOf(small) && other.at === at && other.class === small.class,
		);
		if (known === undefined) {
			done.differences.push({ ...small, at, file, cases: 1, others: [] });
			return;
		}
		known.cases++;
		// A script that could be smaller is perhaps one that is known.
		if (!small.least || [known, ...known.others].some(({ form }) => form === small.form)) return;
		if (small.script.length >= known.script.length) {
			known.others.push(small);
			return;
		}
		const { cases, others, at: _, file: __, ...before } = known;
		const index = done.differences.indexOf(known);
		done.differences[index] = { ...small, at, file, cases, others: [before, ...others] };
	}

	private async small(script: readonly string[], whole: Played, answers: Answers): Promise<Small> {
		let least = true;
		const until = Date.now() + (this.options.limit ?? LIMIT);
		let best: { lines: NamedLine[]; played: Played; wrong: LiveOutcome } = {
			lines: named(script, resultsOf(whole.outcomes)),
			played: whole,
			wrong: whole.wrong as LiveOutcome,
		};
		const shows = async (candidate: readonly NamedLine[]): Promise<boolean | null> => {
			const lines = closed(candidate);
			if (lines.length === 0 || same(lines, best.lines)) return false;
			if (Date.now() > until || this.options.stopped?.() === true) {
				least = false;
				return null;
			}
			this.options.progress?.(this.done, `a difference of ${answers.call}: ${lines.length} lines`);
			for (let i = 0; i < TRIES; i++) {
				let played: Played;
				try {
					played = await this.play(scriptOf(lines));
				} catch (error) {
					// The rest is not a script that the kernel can play.
					if (error instanceof ScriptError) return false;
					throw error;
				}
				const { wrong } = played;
				if (wrong === null || keyOf(answersOf(wrong)) !== keyOf(answers)) continue;
				const at = Math.floor(wrong.line) - 1;
				best = { lines: lines.slice(0, at + 1), played, wrong };
				return true;
			}
			return false;
		};
		for (const process of new Set(best.lines.flatMap(({ forks }) => forks ?? [])))
			await shows(withoutProcess(best.lines, process));
		for (let before = -1; before !== best.lines.length; ) {
			before = best.lines.length;
			await fewest(best.lines, shows);
		}
		for (const process of new Set(best.lines.flatMap(({ forks }) => forks ?? [])))
			await shows(withoutProcess(best.lines, process));
		for (const change of simpler(best.lines)) {
			if ((await shows(change(best.lines))) === null) break;
		}
		for (let before = -1; before !== best.lines.length; ) {
			before = best.lines.length;
			await fewest(best.lines, shows);
		}
		const described = await this.described(best.lines, best.played, best.wrong, answers);
		return { ...described, least };
	}

	/** Plays the smallest script once more, and says what both sides answered. */
	private async described(
		lines: readonly NamedLine[],
		before: Played,
		found: LiveOutcome,
		answers: Answers,
	): Promise<Omit<Small, "least">> {
		const script = scriptOf(lines);
		let [played, wrong] = [before, found];
		let again = false;
		for (let i = 0; i < 3 && !again; i++) {
			const once = await this.play(script);
			if (once.wrong === null || keyOf(answersOf(once.wrong)) !== keyOf(answers)) continue;
			[played, wrong, again] = [once, once.wrong, true];
		}
		const { base } = this.options;
		const explain = { version: base, explain: true, variants: false };
		const same = firstWrong(this.judged(played.recording, explain), base);
		const { kernel, model } = answers;
		return {
			...answers,
			script,
			form: `${canonical(lines)}\n${kernel} ${model}`,
			class: classOf(lines, answers),
			kernelSays: shown(wrong, "kernel"),
			modelSays: shown(wrong, "model"),
			reason: wrong.reason ?? "",
			explanation: same?.explanation ?? [],
			recording: played.recording.text,
			again,
		};
	}
}

/** What the kernel returned for each line of the script, by index. */
function resultsOf(outcomes: readonly LiveOutcome[]): Map<number, number> {
	const results = new Map<number, number>();
	for (const { line, recorded, recordedError } of outcomes) {
		if (recorded !== null && recordedError === null) results.set(Math.floor(line) - 1, recorded);
	}
	return results;
}

/** The answer of one side in words. */
function shown(wrong: LiveOutcome, side: "kernel" | "model"): string {
	const { kernel, model } = answersOf(wrong);
	if (kernel !== "ok" && model === "ok" && wrong.recordedError === null) {
		const [, said, rest] = /^the kernel (.*?), the model (.*)$/s.exec(wrong.reason ?? "") ?? [];
		return (side === "kernel" ? said : rest) ?? wrong.reason ?? "";
	}
	return side === "kernel"
		? kernel === "ok"
			? "success"
			: kernel
		: model === "ok"
			? "success"
			: model;
}

/** Whether the last call is one of another user than an earlier call with a socket that is left. */
function touchesUsers(lines: readonly NamedLine[]): boolean {
	const users = new Map<number, string>();
	const makers = new Map<number, number>();
	const gone = new Set<number>();
	for (const { pid, text, makes } of lines) {
		const uid = /^setuid\(([0-9]+)\)/.exec(text)?.[1];
		if (uid !== undefined) users.set(pid ?? 0, uid);
		if (makes !== null) makers.set(makes, pid ?? 0);
		const closes = /^close\(@([0-9]+)@/.exec(text)?.[1];
		if (closes !== undefined) gone.add(Number(closes));
	}
	const last = lines.at(-1);
	if (last === undefined) return false;
	const userOf = (pid: number) => users.get(pid) ?? "0";
	const own = userOf(last.pid ?? 0);
	return [...makers].some(([name, pid]) => !gone.has(name) && userOf(pid) !== own);
}

/** How much a difference matters. */
export function classOf(lines: readonly NamedLine[], { kernel, model }: Answers): Class {
	if (kernel === "other draws") return "other draws";
	if (kernel === "ok" && model !== "ok")
		return touchesUsers(lines) ? "allowed, was refused, between two users" : "allowed, was refused";
	if (model === "ok" && /^E[A-Z0-9]+$/.test(kernel)) return "refused, was allowed";
	if (model !== "ok") return "another error";
	return "another port or value";
}

/** Calls that take or find a port. They come before those that set or read options. */
const OF_PORTS: ReadonlySet<string> = new Set(["bind", "listen", "connect", "accept", "accept4"]);

/** Those that matter most first; of the same weight, those that were seen more often. */
export function byWeight(one: Difference, other: Difference): number {
	return (
		Number(OF_PORTS.has(other.call)) - Number(OF_PORTS.has(one.call)) ||
		CLASSES.indexOf(one.class) - CLASSES.indexOf(other.class) ||
		other.cases - one.cases ||
		one.script.length - other.script.length
	);
}

/** The function of a system call's own checks, for calls that no search or conflict explains. */
const ENTRIES: Readonly<Record<string, string>> = {
	socket: "inet_create",
	bind: "__inet_bind",
	listen: "inet_listen",
	connect: "__inet_stream_connect",
	accept4: "inet_csk_accept",
	accept: "inet_csk_accept",
	getsockopt: "do_ip_getsockopt",
	setsockopt: "do_ip_setsockopt",
	getsockname: "inet_getname",
	getpeername: "inet_getname",
	shutdown: "inet_shutdown",
	close: "inet_release",
	sendto: "inet_sendmsg",
	write: "proc_sys_call_handler",
	openat: "proc_sys_open",
};

/** The kernel function that gave the model's answer, from the explanation of the call. */
function functionOf({ call, script, explanation }: Small): string {
	const line = script.at(-1) ?? "";
	if (call === "socket") return `inet_create of ${/IPPROTO_\w+/.exec(line)?.[0] ?? "a socket"}`;
	const sysctl = script
		.map((one) => /"\/proc\/sys\/(net\/[a-z0-9_/]+)"/.exec(one)?.[1])
		.findLast((name) => name !== undefined);
	if ((call === "write" || call === "openat") && sysctl !== undefined)
		return `the sysctl ${sysctl.replaceAll("/", ".")}`;
	const named = explanation.map((line) => /^([a-z_0-9]+): /.exec(line)?.[1] ?? "");
	const last = named.filter((name) => name.includes("_")).at(-1);
	if (last !== undefined && last !== "") return last;
	const text = explanation.join("\n");
	const datagram =
		script.some((one) => /SOCK_DGRAM/.test(one)) && !script.some((one) => /SOCK_STREAM/.test(one));
	if (call === "getsockopt" && script.some((one) => one.includes("IPPROTO_MPTCP")))
		return "mptcp_getsockopt";
	if (/searches|bind|connect|listen/.test(text) && call !== "getsockopt") {
		if (/udp bind/.test(text) || (datagram && call !== "connect")) return "udp_lib_get_port";
		if (call === "connect")
			return /keeps port/.test(text) ? "__inet_check_established" : "__inet_hash_connect";
		if (/SOCK_(STREAM|SEQPACKET).*IPPROTO_SCTP/.test(script.join("\n")))
			return "sctp_get_port_local";
		if (call === "bind" || call === "listen")
			return /searches/.test(text) ? "inet_csk_find_open_port" : "inet_csk_get_port";
	}
	return ENTRIES[/^(?:[0-9]+ )?(\w+)/.exec(line)?.[1] ?? call] ?? call;
}

/** The file of net/ that has a function; "" if none has. */
function fileOf(name: string): string {
	if (name.startsWith("the sysctl net.ipv4.")) return "net/ipv4/sysctl_net_ipv4.ts";
	if (name.startsWith("the sysctl net.ipv6.")) return "net/ipv6/sysctl_net_ipv6.ts";
	const [word = ""] = name.split(" ");
	const root = new URL("../../net/", import.meta.url);
	for (const file of readdirSync(root, { recursive: true, encoding: "utf8" }).sort()) {
		if (!/(?<!\.d)\.[jt]s$/.test(file)) continue;
		const text = readFileSync(new URL(file, root), "utf8");
		if (text.includes(`function ${word}(`)) return `net/${file.replace(/\.js$/, ".ts")}`;
	}
	return "";
}

/** Plays programs on a kernel and on the model of a version. Throws AgentError. */
export function review(options: ReviewOptions): Promise<Review> {
	return new Reviewer(options).run();
}
