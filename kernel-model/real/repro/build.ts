// SPDX-License-Identifier: GPL-2.0-or-later
/** Makes the plan of a script: what its calls are, and what the model says of them. */
import { basename } from "node:path";
import {
	AF_INET,
	AF_INET6,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
} from "../../../include/linux/socket.js";
import { CLONE_FILES, CLONE_NEWNET, CLONE_NEWUSER } from "../../../include/uapi/linux/sched.js";
import { eventsOf } from "../../check/order.js";
import type { Address } from "../../machine/address.js";
import { nth } from "../../machine/nth.js";
import { asFcntl, isFork, isRelevant, systemCall } from "../../script/calls.js";
import { errnoOf } from "../../script/operands.js";
import { runSetup, SetupError } from "../../script/setup.js";
import { type CallLine, type Parsed, ScriptError, type SetupLine } from "../../script/strace.js";
import { isSysctlPath, SYSCTL_PATH } from "../../script/sysctl_path.js";
import { Translator } from "./arguments.js";
import type { Argument, CallStep, Choice, Expected, Fd, Plan, Port, Step } from "./plan.js";
import { type Answers, namesChoices, play, playsOf } from "./plays.js";
import { Actions } from "./words.js";

export interface PlanOptions {
	/** The version whose answers lines without a result get. */
	version: string;
	/** Lines with a result also get the answer of the model. */
	own?: boolean;
	/** The result that the last call should have, whatever the script says. An error is negative. */
	should?: number;
}

/** A shorter time between two lines of a recording is left out, s. */
const GAP = 0.1;
/** Most reserved ports of a range that are checked. */
const MOST_RESERVED = 16;
/** Most different option values that are checked. */
const MOST_VALUES = 4;

/** Protocols that a kernel may lack, by IPPROTO_*. */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
	[33, "DCCP"],
	[132, "SCTP"],
	[136, "UDP-Lite"],
	[262, "MPTCP"],
]);

/** The reserved ports within a range; none if there are too many to name. */
function reservedWithin(text: string, low: number, high: number): number[] {
	const ports: number[] = [];
	for (const part of text.trim().split(",")) {
		const [from = Number.NaN, to = from] = part.split("-").map(Number);
		for (let port = Math.max(from, low); port <= Math.min(to, high); port++) {
			if (ports.length === MOST_RESERVED) return [];
			if (part !== "") ports.push(port);
		}
	}
	return ports;
}

/** A variable for a port that the kernel chose. */
interface Variable {
	name: string;
	/** Its value in each play. */
	values: readonly number[];
	choice: Choice;
}

class Builder {
	private readonly steps: Step[] = [];
	private readonly plays: Answers[];
	private readonly wishes: boolean;
	private readonly variables: Variable[] = [];
	private readonly used = new Set<string>();
	/** The process of each pid. Threads are in the process that made them. */
	private readonly tasks = new Map<number | null, number>();
	/** Pids of threads. */
	private readonly threads = new Set<number | null>();
	private readonly alive = new Set<number>([0]);
	private count = 0;
	private readonly made = new Set<number>();
	private readonly standard = new Set<number>();
	/** Descriptors that arguments name. */
	private readonly named = new Set<number>();
	private readonly protocols = new Map<string, Plan["protocols"][number]>();
	private users = false;
	private readonly sources = new Set<"script" | "model">();
	private clock: number | null = null;
	private readonly translator: Translator;

	constructor(
		private readonly script: Parsed,
		private readonly options: PlanOptions,
	) {
		this.translator = new Translator(
			script.file,
			(number) => this.fdOf(number),
			(value) => this.portOf(this.plays.map(() => value)) ?? { kind: "number", value },
		);
		const plays = playsOf(script);
		const { version } = options;
		const wished = play(script, version, 1, true);
		this.wishes = namesChoices(script, wished);
		this.plays = Array.from({ length: plays }, (_, i) => play(script, version, i + 1, this.wishes));
		for (const line of script.lines) {
			if (line.kind !== "call") continue;
			const made = this.makes(line);
			if (made !== null) this.made.add(made);
		}
	}

	plan(): Plan {
		const { lines, file } = this.script;
		for (const { line } of eventsOf(lines)) {
			if (line.kind === "setup") this.setUp(line);
			else if (line.kind === "exit") {
				if (line.superseded === undefined) this.exit(line.line, line.pid);
			} else this.call(line);
		}
		if (this.options.should !== undefined) this.should(this.options.should);
		const first = lines.findIndex(({ kind }) => kind !== "comment");
		const comments = lines.slice(0, first < 0 ? 0 : first).flatMap((line) => {
			const text = line.kind === "comment" ? /^\s*#(.*)/.exec(line.text)?.[1] : undefined;
			return text === undefined ? [] : [text.trim()];
		});
		const ports = this.variables.map(({ name }) => name).filter((name) => this.used.has(name));
		for (const { name, choice } of this.variables) choice.name = this.used.has(name) ? name : null;
		// A program of several processes is not tried again. It takes every result.
		if (this.count > 0) {
			for (const [at, step] of this.steps.entries()) {
				if (step.kind !== "call" || step.again === null) continue;
				const returns = [...step.returns, ...step.others];
				this.steps[at] = { ...step, returns, others: [], again: null };
			}
		}
		const byNumber = (a: number, b: number) => a - b;
		return {
			title: basename(file) || "script",
			comments,
			version: this.options.version,
			sources: this.sources,
			steps: this.steps,
			descriptors: [...this.named].sort(byNumber),
			standard: [...this.standard].filter((fd) => !this.made.has(fd)).sort(byNumber),
			ports,
			tasks: this.count + 1,
			users: this.users,
			protocols: [...this.protocols.values()],
		};
	}

	/** Results of a line that are not expected, but that the model gives by chance. */
	private others(line: number, returns: readonly number[]): number[] {
		const found = new Set<number>();
		for (const answers of this.plays) {
			const result = answers.get(line)?.outcome.result ?? null;
			if (result !== null) found.add(result);
		}
		if (this.wishes || returns.some((result) => !found.delete(result))) return [];
		return [...found];
	}

	/** Replaces what the last call is expected to return. */
	private should(result: number): void {
		const at = this.steps.findLastIndex(({ kind }) => kind === "call");
		const step = this.steps[at];
		if (step?.kind !== "call") return;
		const makes = result >= 0 ? step.makes : null;
		const others = this.others(step.line, [result]);
		this.steps[at] = {
			...step,
			returns: [result],
			others,
			again: others.length > 0 ? "while" : null,
			makes,
			sleeps: false,
			address: null,
			values: [],
			choice: result >= 0 ? step.choice : null,
		};
	}

	private error(line: CallLine | SetupLine, expected: string): ScriptError {
		return new ScriptError(this.script.file, line.line, line.column, expected, line.text);
	}

	private leave(line: number, what: string): void {
		this.steps.push({ kind: "left out", line, what });
	}

	// Set-up

	private setUp(line: SetupLine): void {
		const refused = this.plays[0]?.get(line.line)?.outcome.error ?? null;
		const target = new Actions();
		try {
			runSetup(target, target, line.argv);
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			const found = line.argv[error.word] ?? "the end of the line";
			const column = line.argColumns[error.word] ?? line.column;
			const { file } = this.script;
			throw new ScriptError(file, line.line, column, error.expected, found);
		}
		const at = line.argv.indexOf("answer");
		if (line.argv[0] === "ip" && at >= 0 && line.argv[at + 1] !== "blackhole") {
			const expected = "a route without answering hosts, as on a real kernel";
			const { file } = this.script;
			const column = line.argColumns[at] ?? line.column;
			throw new ScriptError(file, line.line, column, expected, line.argv[at + 1] ?? "");
		}
		for (const action of target.actions) {
			if (action.kind === "sleep") {
				this.steps.push({ kind: "sleep", line: line.line, ms: action.ms });
			} else if (action.kind === "ip") {
				if (refused !== null) throw refused;
				if (!action.words.every((word) => /^[!-~]+$/.test(word))) {
					throw this.error(line, "words of printable characters");
				}
				this.steps.push({ kind: "ip", line: line.line, words: action.words });
			} else {
				const path = `/proc/sys/${action.name.replaceAll(".", "/")}`;
				if (!isSysctlPath(path)) throw this.error(line, SYSCTL_PATH);
				const result = this.plays[0]?.get(line.line)?.outcome.result ?? 0;
				if (refused !== null && result >= 0) throw refused;
				const { value } = action;
				this.steps.push({ kind: "sysctl", line: line.line, path, value, returns: result });
			}
		}
	}

	// Processes

	private taskOf(call: CallLine): number {
		const known = this.tasks.get(call.pid);
		if (known !== undefined) return known;
		if (this.tasks.size > 0) throw this.error(call, "a process that fork() has begun");
		this.tasks.set(call.pid, 0);
		return 0;
	}

	private fork(call: CallLine): void {
		const parent = this.taskOf(call);
		const pid = call.result?.value ?? 0;
		if (call.result !== null && pid <= 0) {
			this.leave(call.line, "a fork() that failed");
			return;
		}
		if (pid <= 0) throw this.error(call, "the child's pid after =, which begins the child's lines");
		const flags = this.translator.operands(call).namedFlags("flags");
		if ((flags & (CLONE_NEWNET | CLONE_NEWUSER)) !== 0) {
			throw this.error(call, "a process in the namespaces of its parent");
		}
		if ((flags & CLONE_FILES) !== 0) {
			// Threads share descriptors. One process makes their calls, in the order of the script.
			this.tasks.set(pid, parent);
			this.threads.add(pid).add(call.pid);
			return;
		}
		const child = ++this.count;
		this.tasks.set(pid, child);
		this.threads.delete(pid);
		this.alive.add(child);
		this.steps.push({ kind: "fork", line: call.line, task: parent, child });
	}

	private exit(line: number, pid: number | null): void {
		const task = this.tasks.get(pid);
		if (task === undefined || this.threads.has(pid) || !this.alive.delete(task)) return;
		this.steps.push({ kind: "exit", line, task });
	}

	// Calls

	/** The number of the descriptor that a call makes in the script; null if it makes none. */
	private makes(call: CallLine): number | null {
		const role = systemCall(call.name)?.role ?? "";
		if (!["socket", "accept", "descriptor", "file"].includes(role)) return null;
		if (call.name === "fcntl") {
			const command = call.args[1]?.value;
			const makes =
				command?.kind === "flags" && command.names.some((name) => name.startsWith("F_DUPFD"));
			if (!makes) return null;
		}
		const recorded = recordedOf(call);
		if (recorded !== null) return recorded >= 0 ? recorded : null;
		for (const answers of this.plays) {
			const result = answers.get(call.line)?.outcome.result ?? -1;
			if (result >= 0) return result;
		}
		return null;
	}

	private call(given: CallLine): void {
		const call = asFcntl(given);
		if (call.opaque || call.unresumed || !isRelevant(call.name)) return;
		this.wait(call);
		if (isFork(call.name)) {
			this.fork(call);
			return;
		}
		const role = systemCall(call.name)?.role;
		if (role === "exit") {
			this.taskOf(call);
			this.exit(call.line, call.pid);
			return;
		}
		const task = this.taskOf(call);
		if (role === "execve") {
			for (const fd of this.plays[0]?.get(call.line)?.closed ?? []) {
				const args: Argument[] = [{ kind: "fd", fd: this.fdOf(fd) }];
				this.steps.push({ ...BARE, line: call.line, task, name: "close", args, returns: [0] });
			}
			return;
		}
		if (!this.alive.has(task)) return;
		const step = this.step(call, task);
		if (step === null) this.leave(call.line, `${call.name}()`);
		else this.steps.push(step);
	}

	/** Sleeps as long as the recording shows between two lines. */
	private wait({ line, time }: CallLine): void {
		if (time === null) return;
		const gap = this.clock === null ? 0 : time - this.clock;
		this.clock = Math.max(this.clock ?? time, time);
		if (gap < GAP) return;
		this.steps.push({ kind: "sleep", line, ms: Math.round(gap * 1000) });
	}

	private step(call: CallLine, task: number): CallStep | null {
		const { line } = call;
		const expected = this.returns(call);
		if (expected === null) return null;
		let { returns } = expected;
		const { sleeps } = expected;
		const translated = this.translator.translate(call, returns);
		if (translated === null) return null;
		const role = systemCall(call.name)?.role ?? "";
		if (role === "user" || role === "namespace") {
			const { threads } = this;
			if (threads.has(call.pid)) throw this.error(call, "a process that has no threads");
			if (role === "user") this.users = true;
		}
		const makes = returns.some((result) => result >= 0) ? this.makes(call) : null;
		if (makes !== null) {
			const fails = returns.filter((result) => result < 0);
			returns = [makes, ...fails];
		}
		const others = makes === null && !sleeps ? this.others(line, returns) : [];
		const again = others.length > 0 ? "until" : null;
		const step: CallStep = {
			...BARE,
			line,
			task,
			...translated,
			returns,
			others,
			again,
			makes,
			sleeps,
		};
		if (sleeps) return step;
		if (call.name === "socket" && makes !== null) this.needs(call);
		const well = returns.every((result) => result >= 0);
		// The model would have had to give the recorded result.
		const given = this.plays.every((answers) =>
			returns.includes(answers.get(call.line)?.outcome.result ?? Number.NaN),
		);
		if (given) step.choice = this.choice(call);
		if (well) {
			step.address = this.expected(call, translated.args);
			step.values = this.values(call, translated.args);
		}
		return step;
	}

	/** The results that a call may have, and whether it sleeps; null if nobody knows. */
	private returns(call: CallLine): { returns: number[]; sleeps: boolean } | null {
		const { result } = call;
		if (result !== null && this.options.own !== true) {
			this.sources.add("script");
			if (result.value === null) {
				return result.errno?.startsWith("ERESTART") ? { returns: [], sleeps: true } : null;
			}
			const recorded = recordedOf(call);
			return recorded === null ? null : { returns: [recorded], sleeps: false };
		}
		this.sources.add("model");
		const found = new Set<number>();
		let slept = 0;
		for (const answers of this.plays) {
			const outcome = answers.get(call.line)?.outcome;
			if (outcome === undefined) return null;
			if (outcome.error !== null) throw outcome.error;
			if (outcome.result !== null) found.add(outcome.result);
			else if (outcome.verdict === "ignored") {
				const recorded = recordedOf(call);
				if (recorded === null) return null;
				found.add(recorded);
			} else slept++;
		}
		// Whether the call sleeps depends on chance.
		if (slept > 0 && found.size > 0) return null;
		return { returns: [...found], sleeps: slept > 0 };
	}

	private needs(call: CallLine): void {
		const operands = this.translator.operands(call);
		const family = operands.int(0, "an address family");
		const type = operands.int(1, "a type") & 15;
		const protocol = call.args[2] === undefined ? 0 : operands.int(2, "a protocol");
		const name = PROTOCOLS.get(protocol);
		if (name === undefined || (family !== AF_INET && family !== AF_INET6)) return;
		this.protocols.set(`${family} ${type} ${protocol}`, { family, type, protocol, name });
	}

	private choice(call: CallLine): Choice | null {
		const values: number[] = [];
		let low = 65535;
		let high = 1;
		let reserved = "";
		for (const answers of this.plays) {
			const answer = answers.get(call.line);
			const chosen = answer?.outcome.chosen ?? null;
			if (answer === undefined || chosen === null) return null;
			values.push(chosen);
			low = Math.min(low, answer.range?.low ?? 1);
			high = Math.max(high, answer.range?.high ?? 65535);
			reserved = answer.reserved;
		}
		const number = this.translator.operands(call).int(0, "a file descriptor");
		const fd = this.fdOf(number);
		const within = reservedWithin(reserved, low, high);
		const choice: Choice = { name: null, fd, low, high, reserved: within };
		if (low < high) {
			const same = this.variables.filter(({ choice }) => choice.fd.number === number).length;
			const name = `port${number}${same === 0 ? "" : `_${same + 1}`}`;
			this.variables.push({ name, values, choice });
		}
		return choice;
	}

	/** The port that has these values in the plays; null if it is neither a variable nor constant. */
	private portOf(values: readonly number[]): Port | null {
		const same = this.variables.findLast((one) =>
			values.every((value, i) => value !== 0 && one.values[i] === value),
		);
		if (same !== undefined) {
			this.used.add(same.name);
			return { kind: "variable", name: same.name };
		}
		const [value = 0] = values;
		return values.every((one) => one === value) ? { kind: "number", value } : null;
	}

	/** The address that a successful call fills in. */
	private expected(call: CallLine, args: readonly Argument[]): Expected | null {
		const room = args.find((arg) => arg.kind === "name")?.room ?? 0;
		const found: Address[] = [];
		const at = call.name === "recvfrom" ? 4 : 1;
		const shown =
			call.result === null || this.options.own === true
				? null
				: this.translator.operands(call).shownAddress(at);
		for (const answers of this.plays) {
			const address = shown ?? answers.get(call.line)?.outcome.address ?? null;
			if (address === null) return null;
			found.push(address);
		}
		const { family, address } = nth(found, 0);
		const size = family === "AF_INET" ? SIZEOF_SOCKADDR_IN : SIZEOF_SOCKADDR_IN6;
		if (room < size || found.some((one) => one.address !== address)) return null;
		return { address, port: this.portOf(found.map(({ port }) => port)) };
	}

	/** The values of an option that a successful getsockopt() may fill in. */
	private values(call: CallLine, args: readonly Argument[]): Uint8Array[] {
		const room = args.find((arg) => arg.kind === "value")?.room ?? 0;
		if (call.name !== "getsockopt" || room <= 0) return [];
		const found = new Map<string, Uint8Array>();
		for (const answers of this.plays) {
			const value = answers.get(call.line)?.outcome.value ?? null;
			if (value === null || value.length > room) return [];
			let shown: Uint8Array | null = null;
			if (call.result !== null && this.options.own !== true) {
				shown = this.translator.operands(call).returned(3, value.length);
			}
			found.set(String(shown ?? value), shown ?? value);
		}
		return found.size > MOST_VALUES ? [] : [...found.values()];
	}

	private fdOf(number: number): Fd {
		if (number >= 0 && number < 3 && !this.made.has(number)) this.standard.add(number);
		const known = this.made.has(number) || this.standard.has(number);
		if (known) this.named.add(number);
		return { number, known };
	}
}

const BARE: CallStep = {
	kind: "call",
	line: 0,
	task: 0,
	name: "",
	args: [],
	returns: [],
	others: [],
	again: null,
	makes: null,
	sleeps: false,
	address: null,
	values: [],
	choice: null,
};

/** The recorded result of a call: a value or a negative errno; null if there is none. */
function recordedOf({ result }: CallLine): number | null {
	if (result === null || result.value === null) return null;
	if (result.errno === null) return result.value;
	const errno = errnoOf(result.errno);
	return errno === null ? null : -errno;
}

/**
 * The plan of a script. Throws ScriptError for a line that no program can have, and RangeError for
 * an unknown version.
 */
export function planOf(script: Parsed, options: PlanOptions): Plan {
	return new Builder(script, options).plan();
}
