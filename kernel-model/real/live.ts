// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a script on a real kernel through an agent, and makes a recording of the answers. The
 * player then checks this recording.
 */

import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import {
	drawLine,
	drawsHeader,
	EPOCH,
	othersLine,
	perturbLine,
	secretLine,
} from "../check/exact.js";
import { type Outcome, type PlayOptions, playScript, readScript } from "../check/player.js";
import { nth } from "../machine/nth.js";
import type { KernelDraw } from "../machine/random.js";
import {
	asFcntl,
	checkTyped,
	choosesPort,
	isFork,
	isRelevant,
	isTyped,
	opensNamespace,
	systemCall,
} from "../script/calls.js";
import { Operands } from "../script/operands.js";
import { runSetup, SetupError } from "../script/setup.js";
import { type CallLine, type Parsed, ScriptError, type SetupLine } from "../script/strace.js";
import { isSysctlPath } from "../script/sysctl_path.js";
import {
	type Agent,
	AgentError,
	type CallAnswer,
	memoryOf,
	readAnswer,
	readAnswerTo,
} from "./agent/agent.js";
import {
	type Marshalled,
	Marshaller,
	O_RDONLY,
	O_WRONLY,
	openRequest,
	recordedText,
} from "./agent/marshal.js";
import {
	type DumpedAddress,
	dumpRequest,
	RealSetup,
	RTM_GETADDR,
	RTM_GETROUTE,
	RTN_LOCAL,
	readDump,
	type SetupAction,
} from "./agent/rtnetlink.js";

/** A call that sleeps longer is interrupted, ms. */
export const SLEEP_LIMIT = 250;

/** A recording, and the line of the script for each of its lines. */
export interface Recording {
	text: string;
	lines: number[];
	/** Set-up commands that the system does not have. They are not in the recording. */
	lacks?: Lack[];
}

/** A line of a script that needs what another system does not have. */
export interface Lack {
	line: number;
	text: string;
	/** What it lacks, such as an option or a sysctl. */
	what: string;
	/** The name of the system's error. */
	error: string;
}

/**
 * A call of the script, or a getsockname() that we add to learn a port. The line number of an added
 * call ends with .5.
 */
interface Step {
	line: number;
	call: CallLine;
	task: number;
	pid: number | null;
	marshalled: Marshalled;
}

/** Errors by which another system says that it does not have a set-up command. */
const NOT_THERE: ReadonlySet<string> = new Set(
	"EPERM ENOENT EIO EACCES ENODEV EINVAL EOPNOTSUPP EPROTONOSUPPORT".split(" "),
);

const PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range";
const SIOCGIFINDEX = 0x8933;
const NETLINK_ERROR_AT = 16;
const MSG_DONTWAIT = 0x40;
/** Bytes for one part of a dump, more than a kernel uses for a short one. */
const DUMP_SIZE = 8192;

/** Calls that act on a descriptor. */
const TAKE_DESCRIPTORS: ReadonlySet<string> = new Set([
	"accept",
	"name",
	"option",
	"send",
	"receive",
]);

/** The path that a call opens; null if it shows none; undefined for other calls. */
function pathOf(call: CallLine): string | null | undefined {
	if (call.name !== "open" && call.name !== "openat") return undefined;
	const value = call.args[call.name === "open" ? 0 : 1]?.value;
	return value?.kind === "string" && !value.truncated
		? Buffer.from(value.bytes).toString("latin1")
		: null;
}

/** Whether a call's result is a new descriptor. */
function givesDescriptor(call: CallLine): boolean {
	const role = systemCall(call.name)?.role ?? "";
	if (opensNamespace(call)) return true;
	if (call.name !== "fcntl") return ["socket", "accept", "descriptor", "file"].includes(role);
	const command = call.args[1]?.value;
	return command?.kind === "flags" && command.names.some((name) => name.startsWith("F_DUPFD"));
}

/** Records the draws of an agent's kernel, one program after another. */
export class DrawRecorder {
	/** The kernel's table_perturb; null if it must be read. */
	private table: Uint32Array | null = null;
	/** The entries that the program has used, with their values before. */
	private readonly used = new Map<number, number>();

	private constructor(
		private readonly agent: Agent,
		private readonly udp: number | null,
		/** Lines of a recording with the kernel's secrets. */
		private readonly secrets: readonly string[],
	) {}

	/** Throws AgentError if the agent is not in a virtual machine. */
	static async start(agent: Agent): Promise<DrawRecorder> {
		const answer = await agent.request("draws");
		if (answer !== "0") throw new AgentError(`draws: ${answer.replace(/^! /, "")}`);
		return new DrawRecorder(agent, await udpSlots(agent), await secretLines(agent));
	}

	private async ask(indices: readonly number[]): Promise<Uint32Array> {
		const answer = await this.agent.request(["perturb", ...indices].join(" "));
		if (answer.startsWith("!")) throw new AgentError(answer.slice(2));
		const values = new Uint32Array(answer.length / 8);
		for (let i = 0; i < values.length; i++)
			values[i] = Number.parseInt(answer.slice(i * 8, i * 8 + 8), 16);
		return values;
	}

	/** Begins a program. Returns the first lines of its recording. */
	async begin(): Promise<string[]> {
		if (this.table === null || this.used.size > 0) this.table = await this.ask([]);
		this.used.clear();
		return [drawsHeader(this.agent.hello.release, this.udp), ...this.secrets];
	}

	/** The lines of the recording before and after a call with draws. */
	lines(draws: readonly KernelDraw[]): [string[], string[]] {
		const before: string[] = [];
		for (const { kind, value } of draws) {
			const index = Number(value & 0xffffn);
			if (!kind.startsWith("off") || this.used.has(index)) continue;
			const number = this.table?.[index] ?? 0;
			this.used.set(index, number);
			before.push(perturbLine(index, number));
		}
		return [before, draws.map(drawLine)];
	}

	/** Ends a program. Returns the last lines of its recording. */
	async end(): Promise<string[]> {
		const indices = [...this.used.keys()];
		const values = indices.length === 0 ? new Uint32Array(0) : await this.ask(indices);
		for (const [i, index] of indices.entries()) if (this.table) this.table[index] = nth(values, i);
		this.used.clear();
		return indices.map((index, i) => perturbLine(index, nth(values, i)));
	}
}

/** Slots of UDP's tables, from the kernel's log; null if the log does not have them. */
async function udpSlots(agent: Agent): Promise<number | null> {
	return Number(await agent.request("udp")) || null;
}

/** The kernel's secrets as lines of a recording. */
async function secretLines(agent: Agent): Promise<string[]> {
	const answer = await agent.request("secrets");
	if (answer.startsWith("!")) throw new AgentError(`secrets: ${answer.slice(2)}`);
	const lines: string[] = [];
	for (const word of answer.split(" ")) {
		const [name = "", value = ""] = word.split("=");
		const [first, second, mix] = value.split(",");
		if (name !== "others") lines.push(secretLine(name, value === "-" ? null : value));
		else if (second !== undefined && mix !== undefined)
			lines.push(
				othersLine({ ports: [Number(first), Number(second)], hashMix: Number.parseInt(mix, 16) }),
			);
	}
	return lines;
}

/** net_hash_mix of a namespace as a line of a recording. */
function hashMixLine(mix: number | undefined): string {
	return secretLine("net_hash_mix", mix?.toString(16) ?? null);
}

/** Records what a kernel does when it plays a script. */
export class Recorder {
	private readonly tasks = new Map<number | null, number>();
	protected readonly ifindexes = new Map<string, number>([["lo", 1]]);
	protected readonly marshaller: Marshaller;
	private readonly out: string[] = [];
	private readonly lines: number[] = [];
	private readonly lacks: Lack[] = [];
	/** net_hash_mix of the first namespace. */
	private hashMix: number | undefined;
	private next = 1;
	private readonly forks: boolean;
	/** The task that makes set-up commands. */
	protected setupTask = 0;
	/** Descriptors that each task got by its own calls. */
	private readonly own = new Map<number, Set<number>>();

	constructor(
		protected readonly script: Parsed,
		protected readonly agent: Agent,
		private readonly draws: DrawRecorder | null,
	) {
		const nameOf = (ifindex: number) =>
			[...this.ifindexes].find(([, known]) => known === ifindex)?.[0];
		this.marshaller = new Marshaller(
			(call, portOf) =>
				new Operands(script.file, call, portOf, (name) => this.ifindexes.get(name) ?? null),
			nameOf,
		);
		this.forks = script.lines.some((line) => line.kind === "call" && line.pid !== null);
	}

	/** Throws ScriptError for a call that cannot be made, AgentError if the agent fails. */
	async run(): Promise<Recording> {
		await this.agent.requests(["reset", `limit ${SLEEP_LIMIT}`]);
		for (const line of (await this.draws?.begin()) ?? []) this.write(line, 0);
		await this.setUp({ kind: "link up" });
		if (this.draws !== null) this.write(hashMixLine(this.hashMix), 0);
		if (this.agent.hello.system !== null) await this.learnRange();
		let pending: Step[] = [];
		const finish = async () => {
			const answers = await this.agent.requests(
				pending.map(({ task, marshalled }) => `${task} ${marshalled.request}`),
			);
			for (const [i, step] of pending.entries()) this.record(step, nth(answers, i));
			pending = [];
		};
		const { lines } = this.script;
		for (const [at, given] of lines.entries()) {
			const line = given.kind === "call" ? asFcntl(given) : given;
			// A line that is not understood is left out, and the command names it.
			if (line.kind === "call" && line.problem === null && isTyped(line))
				checkTyped(this.script.file, line);
			if (line.kind === "setup") {
				await finish();
				if (await this.setUp({ kind: "script", line })) this.write(line.text, line.line);
			} else if (line.kind === "call" && (isRelevant(line.name) || opensNamespace(line))) {
				const { pid } = line;
				const task = this.taskOf(pid, line);
				if (isFork(line.name)) {
					await finish();
					await this.fork(line, task);
				} else if (systemCall(line.name)?.role === "exit") {
					await finish();
					const answer = await this.agent.request(`${task} exit`);
					this.expect(answer, line);
					const ended = this.prefix(pid, readAnswer(answer).end);
					this.write(`${ended}+++ exited with 0 +++`, line.line);
				} else {
					const step = this.step(line, task, pid);
					if (step === null) continue;
					pending.push(step);
					if (this.mayChoose(line, lines[at + 1])) pending.push(...this.look(line, task, pid));
				}
			}
		}
		await finish();
		if (this.draws !== null) {
			const last = lines.at(-1)?.line ?? 0;
			for (const line of await this.draws.end()) this.write(line, last);
		}
		return this.recording();
	}

	protected recording(): Recording {
		const text = this.out.map((line) => `${line}\n`).join("");
		return { text, lines: this.lines, lacks: this.lacks };
	}

	/** Another system may have another range than Linux. The recording begins with it, as line 0. */
	private async learnRange(): Promise<void> {
		const { result: fd } = await this.call(openRequest(PORT_RANGE, O_RDONLY));
		if (fd < 0) return;
		const answer = await this.call(`read ${fd} ?64 64`);
		await this.call(`close ${fd}`);
		const text = Buffer.from(memoryOf(answer, 0)).toString("latin1", 0, Math.max(answer.result, 0));
		const [, low, high] = /^([0-9]+)\s+([0-9]+)\s*$/.exec(text) ?? [];
		if (high === undefined) return;
		this.write(`$ sysctl -w net.ipv4.ip_local_port_range="${low} ${high}"`, 0);
	}

	protected write(text: string, line: number): void {
		this.out.push(text);
		this.lines.push(line);
	}

	protected prefix(pid: number | null, time: number | null): string {
		const stamp = time === null ? "" : `${(EPOCH + time).toFixed(6)} `;
		return `${this.forks ? `${pid ?? 0} ` : ""}${stamp}`;
	}

	protected error(line: CallLine | SetupLine, expected: string): ScriptError {
		return new ScriptError(this.script.file, line.line, line.column, expected, line.text);
	}

	protected expect(answer: string, line: CallLine | SetupLine): void {
		if (answer.startsWith("!"))
			throw this.error(line, `what the agent can do (${answer.slice(2)})`);
	}

	private taskOf(pid: number | null, line: CallLine): number {
		const known = this.tasks.get(pid);
		if (known !== undefined) return known;
		if (this.tasks.size > 0) throw this.error(line, "a process that fork() has begun");
		this.tasks.set(pid, 0);
		return 0;
	}

	private async fork(line: CallLine, task: number): Promise<void> {
		const pid = line.result?.value ?? 0;
		if (pid <= 0) throw this.error(line, "the child's pid after =, which begins the child's lines");
		const child = this.next++;
		this.expect(await this.agent.request(`${task} fork ${child}`), line);
		this.tasks.set(pid, child);
		this.own.set(child, new Set(this.ownOf(task)));
		this.write(`${this.prefix(line.pid, null)}fork() = ${pid}`, line.line);
	}

	/** The step of a call; null if the call is passed over. */
	private step(call: CallLine, task: number, pid: number | null): Step | null {
		const path = pathOf(call);
		if (path !== undefined && call.result !== null && !isSysctlPath(path ?? "")) {
			// The call opens a file of the recorded program. /dev/null takes its descriptor.
			if ((call.result.value ?? -1) < 0) return null;
			const marshalled = { request: "dup 0", args: () => call.args };
			return { line: call.line, call, task, pid, marshalled };
		}
		let marshalled: Marshalled | null;
		try {
			marshalled = this.marshaller.marshal(call);
		} catch (error) {
			if (error instanceof ScriptError && this.isStructure(call)) return null;
			throw error;
		}
		if (marshalled === null) throw this.error(call, "a system call that the agent makes");
		return { line: call.line, call, task, pid, marshalled };
	}

	/** Whether a call sets a named option whose value is a structure and that no port depends on. */
	private isStructure(call: CallLine): boolean {
		if (call.name !== "setsockopt" || call.args[2]?.value.kind !== "flags") return false;
		const none = () => null;
		const option = new Operands(this.script.file, call, none, none).option();
		return option !== null && option.concern !== "ports" && option.shape !== "int";
	}

	private ownOf(task: number): Set<number> {
		let own = this.own.get(task);
		if (own === undefined) {
			own = new Set();
			this.own.set(task, own);
		}
		return own;
	}

	/**
	 * Keeps track of the descriptors of a task after a call. A task begins with descriptors 0 to 2,
	 * all of them /dev/null. A script may close or replace them.
	 */
	private keepDescriptors(step: Step, result: number): void {
		const { call } = step;
		const own = this.ownOf(step.task);
		const first = call.args[0]?.value;
		const fd = first?.kind === "int" ? first.value : -1;
		const role = systemCall(call.name)?.role;
		if (givesDescriptor(call)) {
			const wanted = call.result?.errno === null ? (call.result.value ?? -1) : -1;
			if (wanted >= 0 && wanted !== result) {
				const gave = result < 0 ? errnoName(-result) : String(result);
				const { file } = this.script;
				const expected = `the result of this kernel, which is ${gave}`;
				throw new ScriptError(file, call.line, call.column, expected, `= ${wanted}`);
			}
			if (result >= 0) own.add(result);
		} else if (role === "close") {
			own.delete(fd);
		} else if (result >= 0 && fd >= 0 && fd < 3 && !own.has(fd) && call.result === null) {
			if (TAKE_DESCRIPTORS.has(role ?? ""))
				throw this.error(call, `a descriptor that the script got, not ${fd}`);
		}
	}

	/** Whether a call may choose a port, and the script does not ask for the port itself. */
	private mayChoose(call: CallLine, next: Parsed["lines"][number] | undefined): boolean {
		const [fd] = call.args;
		if (!choosesPort(call.name) || fd?.value.kind !== "int") return false;
		if (next?.kind !== "call" || next.name !== "getsockname" || next.pid !== call.pid) return true;
		const same = next.args[0]?.value;
		return same?.kind !== "int" || same.value !== fd.value.value;
	}

	private look(call: CallLine, task: number, pid: number | null): Step[] {
		const looked: CallLine = { ...call, name: "getsockname", args: call.args.slice(0, 1) };
		const step = this.step({ ...looked, result: null }, task, pid);
		return step === null ? [] : [{ ...step, line: call.line + 0.5 }];
	}

	private record(step: Step, line: string): void {
		if (line.startsWith("! not let through")) this.expect(line, step.call);
		const answer = readAnswerTo(step.marshalled.request, line);
		this.keepDescriptors(step, answer.result);
		const text = recordedText(step.call, step.marshalled, answer, SLEEP_LIMIT);
		const took = answer.end - answer.begin;
		const duration = took >= 0.001 ? ` <${took.toFixed(6)}>` : "";
		const [before, after] = this.draws?.lines(answer.draws) ?? [[], []];
		for (const comment of before) this.write(comment, step.line);
		this.write(this.prefix(step.pid, answer.begin) + text + duration, step.line);
		for (const comment of after) this.write(comment, step.line);
		for (const mix of answer.hashMixes) this.write(hashMixLine(mix), step.line);
	}

	// Set-up commands

	/** Makes a set-up command. Returns false if it needs what this system does not have. */
	protected async setUp(
		what: { kind: "link up" } | { kind: "script"; line: SetupLine },
	): Promise<boolean> {
		const target = new RealSetup();
		const line = what.kind === "script" ? what.line : null;
		try {
			if (line === null) target.setLink("lo", true);
			else {
				this.refuseAnswers(line);
				runSetup(target, target, line.argv);
			}
		} catch (error) {
			if (!(error instanceof SetupError) || line === null) throw error;
			const column = line.argColumns[error.word] ?? line.column + line.text.length;
			const found = line.argv[error.word] ?? "the end of the line";
			throw new ScriptError(this.script.file, line.line, column, error.expected, found);
		}
		for (const action of target.actions) {
			const result = await this.perform(action);
			const error = result < 0 ? errnoName(-result) : "";
			if (line !== null && NOT_THERE.has(error) && this.agent.hello.system !== null) {
				this.lacks.push({ line: line.line, text: line.text, what: commandName(line), error });
				return false;
			}
			if (result < 0 && line !== null) {
				const said = `a command that this kernel takes (it says ${error})`;
				throw this.error(line, said);
			}
			// Other systems do not have this worker, and may not list these routes.
			if (action.kind === "netlink" && this.agent.hello.system === null) await this.settle();
		}
		return true;
	}

	/**
	 * Refuses routes with answering hosts. Only the model has such hosts. On a real kernel there is
	 * no host behind a route.
	 */
	private refuseAnswers(line: SetupLine): void {
		const at = line.argv[0] === "ip" ? line.argv.indexOf("answer") : -1;
		const answer = line.argv[at + 1];
		if (at < 0 || (answer !== "accept" && answer !== "refuse")) return;
		const expected =
			"a route without answering hosts, as on a real kernel " +
			"(instead: ip route add local PREFIX dev lo, and a listener of the script's own)";
		const column = line.argColumns[at] ?? line.column;
		throw new ScriptError(this.script.file, line.line, column, expected, `answer ${answer}`);
	}

	/**
	 * Waits until every IPv6 address has its route. A worker of the kernel adds these routes. The
	 * wait is short, because an address of a device that is down gets no route.
	 */
	private async settle(): Promise<void> {
		for (let tries = 0; tries < 200; tries++) {
			const addresses = (await this.dump(RTM_GETADDR)).map((message) => message.address);
			const local = new Set<string>();
			for (const { type, address } of await this.dump(RTM_GETROUTE))
				if (type === RTN_LOCAL) local.add(address);
			if (addresses.every((address) => local.has(address))) return;
			await this.call(`nanosleep =${"00".repeat(8)}40420f0000000000 0`); // a millisecond
		}
	}

	/** The IPv6 addresses or routes of the namespace. */
	private async dump(what: number): Promise<DumpedAddress[]> {
		const { result: fd } = await this.call("socket 16 3 0");
		if (fd < 0) return [];
		const message = Buffer.from(dumpRequest(what)).toString("hex");
		const sent = `sendto ${fd} =${message} ${message.length / 2} 0 0 0`;
		const receive = `recvfrom ${fd} ?${DUMP_SIZE} ${DUMP_SIZE} ${MSG_DONTWAIT} 0 0`;
		const found: DumpedAddress[] = [];
		// The kernel answers during the send, so every part of the answer is ready to be read.
		let [, ...answers] = await this.calls([sent, receive, receive]);
		for (let ended = false; !ended; ) {
			for (const answer of answers) {
				const part = memoryOf(answer, 0).subarray(0, Math.max(answer.result, 0));
				ended = readDump(part, found) || answer.result <= 0 || ended;
			}
			if (!ended) answers = await this.calls([receive]);
		}
		await this.call(`close ${fd}`);
		return found;
	}

	private async call(request: string, longer = 0): Promise<CallAnswer> {
		const answer = await this.agent.request(`${this.setupTask} ${request}`, longer);
		return this.read(request, answer);
	}

	/** Reads an answer to a call that sets up. The first one has hash_mix of the namespace. */
	private read(request: string, line: string): CallAnswer {
		const answer = readAnswerTo(request, line);
		this.hashMix ??= answer.hashMixes[0];
		return answer;
	}

	private async calls(requests: readonly string[]): Promise<CallAnswer[]> {
		const answers = await this.agent.requests(
			requests.map((request) => `${this.setupTask} ${request}`),
		);
		return requests.map((request, i) => this.read(request, nth(answers, i)));
	}

	private async perform(action: SetupAction): Promise<number> {
		if (action.kind === "sleep") {
			await this.agent.requests(["limit 0"]);
			const time = Buffer.alloc(16);
			time.writeBigInt64LE(BigInt(Math.floor(action.ms / 1000)));
			time.writeBigInt64LE(BigInt(Math.round((action.ms % 1000) * 1e6)), 8);
			await this.call(`nanosleep =${time.toString("hex")} 0`, action.ms);
			await this.agent.requests([`limit ${SLEEP_LIMIT}`]);
			return 0;
		}
		if (action.kind === "sysctl") {
			const { result: fd } = await this.call(openRequest(action.path, O_WRONLY));
			if (fd < 0) return fd;
			const text = Buffer.from(action.text);
			const { result } = await this.call(`write ${fd} =${text.toString("hex")} ${text.length}`);
			await this.call(`close ${fd}`);
			return result;
		}
		for (const name of action.names) {
			const err = await this.lookUp(name);
			if (err < 0) return err;
		}
		const { result: fd } = await this.call("socket 16 3 0");
		if (fd < 0) return fd;
		const message = action.message(action.names.map((name) => this.ifindexes.get(name) ?? 0));
		const hex = Buffer.from(message).toString("hex");
		const answers = await this.calls([
			`sendto ${fd} =${hex} ${message.length} 0 0 0`,
			`recvfrom ${fd} ?4096 4096 0 0 0`,
			`close ${fd}`,
		]);
		return Buffer.from(memoryOf(nth(answers, 1), 0)).readInt32LE(NETLINK_ERROR_AT);
	}

	private async lookUp(name: string): Promise<number> {
		if (this.ifindexes.has(name)) return 0;
		const { result: fd } = await this.call("socket 2 2 0");
		if (fd < 0) return fd;
		const ifreq = Buffer.alloc(40);
		ifreq.write(name.slice(0, 15));
		const answer = await this.call(`ioctl ${fd} ${SIOCGIFINDEX} =${ifreq.toString("hex")}?`);
		await this.call(`close ${fd}`);
		if (answer.result >= 0) {
			this.ifindexes.set(name, Buffer.from(memoryOf(answer, 0)).readInt32LE(16));
		}
		return answer.result;
	}
}

/** The part of a set-up command that a system may not have: "ip route add", or the sysctl's name. */
function commandName({ argv }: SetupLine): string {
	if (argv[0] === "ip")
		return argv
			.filter((word) => !word.startsWith("-"))
			.slice(0, 3)
			.join(" ");
	return argv.at(-1)?.split("=")[0] ?? "";
}

/** Plays a script on the agent's kernel in a fresh namespace. Records draws if `draws` is given. */
export function recordScript(
	script: Parsed,
	agent: Agent,
	draws: DrawRecorder | null = null,
): Promise<Recording> {
	return new Recorder(script, agent, draws).run();
}

/** Parses the recording. Its lines have the line numbers of the script. */
export function readRecording(recording: Recording, file: string): Parsed {
	const parsed = readScript(recording.text, file);
	for (const line of parsed.lines) {
		const at = nth(recording.lines, line.line - 1);
		if (line.kind === "call") line.endLine = at;
		line.line = at;
	}
	return parsed;
}

export interface LiveOutcome extends Outcome {
	/** The address of the socket after the call, if the call may have chosen its port. */
	name: Outcome["address"];
}

/** The model's verdicts on a recording of a script. */
export function judge(recording: Recording, file: string, options: PlayOptions): LiveOutcome[] {
	const script = readRecording(recording, file);
	const outcomes = playScript(script, {
		settled: true, // the agent answers when packets have arrived
		...options,
		unread: true,
		alone: true,
	});
	const found: LiveOutcome[] = [];
	for (const outcome of outcomes) {
		const before = found.at(-1);
		if (Number.isInteger(outcome.line) || before === undefined) {
			found.push({ ...outcome, text: outcome.text, name: null });
			continue;
		}
		if (outcome.call === "getsockname") before.name = outcome.address;
		if (outcome.verdict === "mismatch" && before.verdict !== "mismatch") {
			before.verdict = "mismatch";
			before.reason = outcome.reason;
		}
	}
	return found;
}
