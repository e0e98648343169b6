// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Finds the step of the ported code that makes two programs differ in their last call. Both are run
 * with the engine's block coverage. The search begins in the function of the allocator that both
 * enter, and goes down into functions that it calls before the ways part.
 *
 * Run as a program: reads questions from standard input and prints places, both as JSON. The engine
 * counts blocks only in functions that it compiled after coverage began, so every process that asks
 * is new.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Session } from "node:inspector";
import { SourceMap } from "node:module";
import { fileURLToPath } from "node:url";
import { nth } from "../machine/nth.js";
import type { Step } from "./kinds.js";
import { Lab } from "./lab.js";
import type { Protocol } from "./protocols.js";

/** The step of the ported code at which a breach happens. */
export interface Place {
	/** The kernel function; "" if the two calls enter the same blocks. */
	readonly at: string;
	/** Its file. */
	readonly file: string;
	/** The line in the file. */
	readonly line: number;
}

/** A program, and the one that its last call is compared with. */
export interface Question {
	readonly version: string;
	readonly protocol: Protocol;
	readonly program: readonly Step[];
	readonly beside: readonly Step[];
}

/** Files of the allocator, those that decide last. */
const FILES = [
	"net/mptcp/protocol",
	"net/ipv6/af_inet6",
	"net/ipv4/af_inet",
	"net/ipv6/inet6_hashtables",
	"net/ipv4/inet_hashtables",
	"net/ipv6/udp",
	"net/ipv4/udp",
	"net/sctp/socket",
	"net/ipv4/inet_connection_sock",
];

/**
 * Functions that record a decision that was made before, or give what was queued before, those that
 * look up a table or a range, and those that compare two addresses for each socket on a port.
 */
const PASSED_BY =
	/^(inet_csk_update_fastreuse|inet_bind_hash|inet_bind2?_bucket_(create|add)|sk_add_bind|inet_csk_accept|inet_accept|inet_recvmsg|udp_queue_rcv_skb|udp_recvmsg)|(get_hashinfo|get_table_prot|local_port_range|rcv_saddr_equal|verdictOf)$/;

interface Range {
	readonly startOffset: number;
	readonly endOffset: number;
	readonly count: number;
}

interface ScriptCoverage {
	readonly url: string;
	readonly functions: readonly {
		readonly functionName: string;
		readonly ranges: readonly Range[];
	}[];
}

/** A function that a call entered, with the counts of its blocks. */
interface Entered {
	readonly url: string;
	readonly name: string;
	readonly ranges: readonly Range[];
}

/** A function that both calls entered, and where they part in it. */
interface Candidate extends Entered {
	readonly offset: number;
	/** Its text up to the offset. */
	readonly before: string;
	readonly rank: number;
}

class Finder {
	private readonly session = new Session();
	private readonly texts = new Map<string, { text: string; map: SourceMap | null }>();
	private readonly labs = new Map<string, Lab>();

	constructor() {
		this.session.connect();
		this.post("Profiler.enable");
		this.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
	}

	private post(method: string, parameters: object = {}): ScriptCoverage[] {
		let found: ScriptCoverage[] = [];
		this.session.post(method, parameters, (error, answer) => {
			if (error !== null) throw error;
			found = (answer as { result?: ScriptCoverage[] }).result ?? [];
		});
		return found;
	}

	/** What the steps of a program from one on enter. */
	private enteredFrom(from: number, lab: Lab, program: readonly Step[]): Map<string, Entered> {
		for (const step of program.slice(0, from)) lab.step(step);
		this.post("Profiler.takePreciseCoverage");
		for (const step of program.slice(from)) lab.step(step);
		const scripts = this.post("Profiler.takePreciseCoverage");
		lab.end();
		const entered = new Map<string, Entered>();
		for (const { url, functions } of scripts) {
			for (const { functionName: name, ranges } of functions) {
				if (nth(ranges, 0).count > 0) entered.set(`${url} ${name}`, { url, name, ranges });
			}
		}
		return entered;
	}

	find({ version, protocol, program, beside }: Question): Place {
		const key = `${version} ${protocol}`;
		const lab = this.labs.get(key) ?? new Lab(version, protocol);
		this.labs.set(key, lab);
		const one = this.enteredFrom(lastCall(program), lab, program);
		const other = this.enteredFrom(lastCall(beside), lab, beside);
		// If both calls enter the same blocks, what tells them apart is how often.
		return (
			(disconnects(program) && !disconnects(beside) ? this.before(lab, program, beside) : null) ??
			this.part(one, other, firstDifference) ??
			this.part(one, other, firstCount) ?? { at: "", file: "", line: 0 }
		);
	}

	/**
	 * The function of a step before the last one that only the first program enters: it left another
	 * order of sockets behind. Null if there is none.
	 */
	private before(lab: Lab, program: readonly Step[], beside: readonly Step[]): Place | null {
		const one = this.enteredFrom(0, lab, program);
		const other = this.enteredFrom(0, lab, beside);
		let at: (Entered & { rank: number }) | null = null;
		for (const [name, here] of one) {
			const rank = FILES.indexOf(fileOf(here.url));
			if (other.has(name) || rank < 0 || !isKernelName(here.name)) continue;
			if (PASSED_BY.test(here.name)) continue;
			// A function stands before those that call it. The last one is the entry of the step.
			const offset = nth(here.ranges, 0).startOffset;
			const first = at === null ? -1 : nth(at.ranges, 0).startOffset;
			if (at === null || rank > at.rank || (rank === at.rank && offset > first)) {
				at = { ...here, rank };
			}
		}
		if (at === null) return null;
		const offset = nth(at.ranges, 0).startOffset;
		return { at: at.name, file: `${fileOf(at.url)}.ts`, line: this.lineOf(at.url, offset) };
	}

	/** Where two calls part; null if no function differs. */
	private part(
		one: ReadonlyMap<string, Entered>,
		other: ReadonlyMap<string, Entered>,
		difference: (one: readonly Range[], other: readonly Range[]) => number | null,
	): Place | null {
		const candidates: Candidate[] = [];
		for (const [name, here] of one) {
			const there = other.get(name);
			const rank = FILES.indexOf(fileOf(here.url));
			if (there === undefined || rank < 0 || PASSED_BY.test(here.name)) continue;
			const offset = difference(here.ranges, there.ranges);
			if (offset === null) continue;
			const before = this.textOf(here.url).text.slice(nth(here.ranges, 0).startOffset, offset);
			candidates.push({ ...here, offset, before, rank });
		}
		let at = candidates.reduce<Candidate | null>((best, next) => {
			if (!isKernelName(next.name)) return best;
			if (best === null || next.rank > best.rank) return next;
			// In a file a function stands before those that call it.
			return next.rank === best.rank && next.offset > best.offset ? next : best;
		}, null);
		if (at === null) return null;
		const seen = new Set<Candidate>();
		let name = at.name;
		for (let next: Candidate | null = at; next !== null; ) {
			at = next;
			seen.add(at);
			// What has no kernel name is a part of the kernel function that calls it.
			if (isKernelName(at.name)) name = at.name;
			next = lastCalled(at.before, candidates, seen);
		}
		return { at: name, file: `${fileOf(at.url)}.ts`, line: this.lineOf(at.url, at.offset) };
	}

	private textOf(url: string): { text: string; map: SourceMap | null } {
		let known = this.texts.get(url);
		if (known === undefined) {
			const path = fileURLToPath(url);
			known = { text: readFileSync(path, "utf8"), map: mapOf(`${path}.map`) };
			this.texts.set(url, known);
		}
		return known;
	}

	/** The line of the source for an offset in the built file. */
	private lineOf(url: string, offset: number): number {
		const { text, map } = this.textOf(url);
		const lines = text.slice(0, offset).split("\n");
		const entry = map?.findEntry(lines.length - 1, lines.at(-1)?.length ?? 0);
		return entry !== undefined && "originalLine" in entry ? entry.originalLine + 1 : lines.length;
	}
}

/** Whether a socket of a program disconnects, and a datagram comes then. */
function disconnects(program: readonly Step[]): boolean {
	if (program.at(-1)?.do !== "ask") return false;
	return program.some((step) => step.do === "act" && step.action === "disconnect");
}

/** Where the last call of a program begins. The socket of a client is chosen when the client comes. */
function lastCall(program: readonly Step[]): number {
	if (program.at(-1)?.do !== "who") return program.length - 1;
	return program.findIndex((step) => step.do === "client");
}

/** The file of net/ at a URL, without its ending. */
function fileOf(url: string): string {
	return /net\/[a-z0-9]+\/[a-z0-9_]+(?=\.[jt]s$)/.exec(url)?.[0] ?? "";
}

/** Names of our own are in camelCase. */
function isKernelName(name: string): boolean {
	return name === name.toLowerCase();
}

/** The candidate that a text calls last. */
function lastCalled(
	text: string,
	candidates: readonly Candidate[],
	seen: ReadonlySet<Candidate>,
): Candidate | null {
	let last = -1;
	let found: Candidate | null = null;
	for (const candidate of candidates) {
		if (seen.has(candidate)) continue;
		const at = text.lastIndexOf(`${candidate.name}(`);
		if (at > last) [last, found] = [at, candidate];
	}
	return found;
}

/** The map from a built file to its source; null if there is none. */
function mapOf(path: string): SourceMap | null {
	try {
		return new SourceMap(JSON.parse(readFileSync(path, "utf8")));
	} catch {
		return null;
	}
}

/** How often the block at an offset was entered. Inner ranges come after those around them. */
function countAt(ranges: readonly Range[], offset: number): number {
	let count = 0;
	for (const range of ranges) {
		if (range.startOffset <= offset && offset < range.endOffset) count = range.count;
	}
	return count;
}

/** Where blocks of either call begin or end, in order. */
function edgesOf(one: readonly Range[], other: readonly Range[]): number[] {
	const edges = new Set<number>();
	for (const { startOffset, endOffset } of [...one, ...other]) {
		edges.add(startOffset);
		edges.add(endOffset);
	}
	const end = nth(one, 0).endOffset;
	return [...edges].filter((at) => at < end).sort((a, b) => a - b);
}

/** The first block that only the first call enters, or else that only the second one enters. */
function firstDifference(one: readonly Range[], other: readonly Range[]): number | null {
	const edges = edgesOf(one, other);
	const only = (here: readonly Range[], there: readonly Range[]) =>
		edges.find((at) => countAt(here, at) > 0 && countAt(there, at) === 0);
	return only(one, other) ?? only(other, one) ?? null;
}

/** The first block that the calls do not enter equally often. */
function firstCount(one: readonly Range[], other: readonly Range[]): number | null {
	return edgesOf(one, other).find((at) => countAt(one, at) !== countAt(other, at)) ?? null;
}

/** The engine neither optimises nor forgets code, so that the order of questions does not matter. */
const STEADY = [
	"--no-opt",
	"--no-sparkplug",
	"--no-flush-bytecode",
	"--no-lazy-feedback-allocation",
];

/** Answers questions in a new process. */
export function findPlaces(questions: readonly Question[]): Place[] {
	if (questions.length === 0) return [];
	const { stdout, stderr, status } = spawnSync(
		process.execPath,
		[...STEADY, fileURLToPath(import.meta.url), "--answer"],
		{ input: JSON.stringify(questions), encoding: "utf8", maxBuffer: 1 << 30 },
	);
	if (status !== 0) throw new Error(`finding places: ${stderr}`);
	return JSON.parse(stdout) as Place[];
}

if (process.argv[2] === "--answer" && process.argv[1] === fileURLToPath(import.meta.url)) {
	const questions = JSON.parse(readFileSync(0, "utf8")) as Question[];
	const finder = new Finder();
	process.stdout.write(JSON.stringify(questions.map((question) => finder.find(question))));
}
