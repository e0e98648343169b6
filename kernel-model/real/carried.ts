// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a recording of a real program on a kernel. Processes, threads, descriptors, addresses and
 * ports are carried over to the tasks of the agent. Calls that do not concern ports are passed over.
 *
 * Some facts cannot be carried over. The kernel chooses other ports: later lines that name a chosen
 * port get the port that this kernel chose for the same socket. The overlapping calls of a recording
 * are made one after the other. Hosts outside do not answer, data is shorter, and no time passes
 * between calls. The recording that results is one of its own, and the model judges it.
 */

import { eventsOf } from "../check/order.js";
import { fionbio, systemCall } from "../script/calls.js";
import { Operands } from "../script/operands.js";
import type { Arg, CallLine, ExitLine, Parsed, SetupLine, Value } from "../script/strace.js";
import { ScriptError } from "../script/strace.js";
import { isSysctlPath } from "../script/sysctl_path.js";
import type { Agent, CallAnswer } from "./agent/agent.js";
import { readAnswerTo } from "./agent/agent.js";
import { type Marshalled, recordedText } from "./agent/marshal.js";
import { Recorder, type Recording, SLEEP_LIMIT } from "./live.js";

/** Calls that have a result only in recordings of programs. */
const OF_PROGRAMS = new Set(["execve", "clone", "clone3", "vfork", "exit_group"]);

/** Whether a file is a recording of a program. A person writes these calls without their results. */
export function isProgram({ lines }: Parsed): boolean {
	return lines.some(
		(line) => line.kind === "call" && line.result !== null && OF_PROGRAMS.has(line.name),
	);
}

const CLONE_NEWNET = 0x40000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const O_NONBLOCK = 0x800;
const O_RDWR = 2;
const F_SETFL = 4;
/** The tasks of the agent. */
const TASKS = 64;
/** Most bytes that one call sends. */
const MOST_SENT = 4096;
const MOST_RECEIVED = 16384;
/** The first number for a descriptor that the recorded program did not get. */
const SURPLUS = 5000;
/** A descriptor that no task has. */
const NONE = 1023;

/** An open file that was carried over. Duplicates share it. */
interface OpenFile {
	nonblock: boolean;
	/** A port search for it has been looked at. */
	named: boolean;
	/** A file of /proc/sys/net. */
	sysctl: boolean;
}

interface Descriptor {
	/** Its number in the task of the agent. */
	live: number;
	cloexec: boolean;
	file: OpenFile;
}

/** A process: its threads share a task of the agent. */
interface Process {
	task: number;
	threads: Set<number | null>;
	/** By the number in the recording. */
	fds: Map<number, Descriptor>;
}

const int = (value: number): Value => ({ kind: "int", value, symbol: null, column: 0 });
const arg = (value: Value): Arg => ({ name: null, value, fd: null });
const NULL: Value = { kind: "null", column: 0 };
/** Room for an address. */
const ROOM: Value = {
	kind: "array",
	items: [int(128)],
	negated: false,
	truncated: false,
	column: 0,
};
const DATA: Value = { kind: "string", bytes: new Uint8Array(0), truncated: true, column: 0 };

/** What was left out of a recording, and how often. */
export type PassedOver = ReadonlyMap<string, number>;

/** A value with other ports. `port` maps the ports of htons(). */
function withPorts(value: Value, port: (port: number) => number): Value {
	switch (value.kind) {
		case "call": {
			const [first] = value.args;
			if (value.name === "htons" && first?.kind === "int") {
				return { ...value, args: [int(port(first.value))] };
			}
			return value;
		}
		case "struct":
			return {
				...value,
				fields: value.fields.map((field) => ({ ...field, value: withPorts(field.value, port) })),
			};
		default:
			return value;
	}
}

/** The port in a sockaddr; null if it has none. */
function portIn(value: Value | undefined): number | null {
	if (value?.kind !== "struct") return null;
	for (const { value: of } of value.fields) {
		if (of.kind === "call" && of.name === "htons" && of.args[0]?.kind === "int") {
			return of.args[0].value;
		}
	}
	return null;
}

function fieldOf(value: Value | undefined, name: string): Value | undefined {
	return value?.kind === "struct"
		? value.fields.find((field) => field.name === name)?.value
		: undefined;
}

/** Records what a kernel does when it plays a recording of a program. */
class Carrier extends Recorder {
	private readonly processes = new Map<number | null, Process>();
	private readonly free: number[] = Array.from({ length: TASKS - 1 }, (_, i) => i + 1);
	/** For each port that the recorded kernel chose: the port that this kernel chose instead. */
	private readonly ports = new Map<number, number>();
	/** Exits that have been written already. */
	private readonly ended = new Set<number | null>();
	private surplus = SURPLUS;
	/** The line at which the present event acts. Lines that are added have a fraction. */
	private at = 0;
	onLine: (line: number) => void = () => {};
	readonly passed = new Map<string, number>();

	/** Throws ScriptError if the recording has too many processes, AgentError if the agent fails. */
	override async run(): Promise<Recording> {
		await this.agent.requests(["reset", `limit ${SLEEP_LIMIT}`]);
		await this.setUp({ kind: "link up" });
		for (const { line, at } of eventsOf(this.script.lines)) {
			this.at = at;
			this.onLine(at);
			if (line.kind === "setup") await this.command(line);
			else if (line.kind === "exit") await this.exits(line);
			else await this.carry(line);
		}
		return this.recording();
	}

	private pass(what: string): void {
		this.passed.set(what, (this.passed.get(what) ?? 0) + 1);
	}

	/** A set-up command. What this kernel refuses is passed over, because it describes another host. */
	private async command(line: SetupLine): Promise<void> {
		try {
			await this.setUp({ kind: "script", line });
			this.write(line.text, this.at);
		} catch (error) {
			if (!(error instanceof ScriptError)) throw error;
			this.pass(`$ ${line.argv.slice(0, 3).join(" ")}`);
		}
	}

	// Processes

	private async processOf(pid: number | null, line: CallLine): Promise<Process> {
		const known = this.processes.get(pid);
		if (known !== undefined) return known;
		const first = this.processes.size === 0;
		const process: Process = { task: 0, threads: new Set([pid]), fds: new Map() };
		this.processes.set(pid, process);
		if (first) return process;
		// A process whose begin is not recorded. It gets no descriptor of another one.
		process.task = await this.newTask(line, 0);
		for (const other of this.processes.values()) {
			if (other.task !== 0) continue;
			for (const { live } of other.fds.values()) await this.ask(process, `close ${live}`);
			break;
		}
		return process;
	}

	private async newTask(line: CallLine, parent: number): Promise<number> {
		const task = this.free.shift();
		if (task === undefined) {
			throw this.error(line, `a recording with at most ${TASKS} processes at a time`);
		}
		this.expect(await this.agent.request(`${parent} fork ${task}`), line);
		return task;
	}

	private async makeProcess(call: CallLine, parent: Process): Promise<void> {
		const pid = call.result?.value ?? 0;
		if (pid <= 0) return;
		this.ended.delete(pid);
		if (/\bCLONE_(THREAD|FILES)\b/.test(call.text)) {
			parent.threads.add(pid);
			this.processes.set(pid, parent);
		} else {
			const task = await this.newTask(call, parent.task);
			const fds = new Map([...parent.fds].map(([fd, one]) => [fd, { ...one }]));
			const child: Process = { task, threads: new Set([pid]), fds };
			this.processes.set(pid, child);
			if (/\bCLONE_NEWNET\b/.test(call.text)) await this.ask(child, `unshare ${CLONE_NEWNET}`);
		}
		this.write(this.prefix(call.pid, null) + call.text, this.at);
	}

	/** Ends a thread, or all threads of its process. */
	private async leave(pid: number | null, all: boolean): Promise<void> {
		const process = this.processes.get(pid);
		if (process === undefined) return;
		const gone = all ? [...process.threads] : [pid];
		for (const thread of gone) {
			process.threads.delete(thread);
			this.processes.delete(thread);
		}
		if (process.threads.size > 0) return;
		// Task 0 makes the set-up commands.
		if (process.task !== 0) {
			await this.agent.request(`${process.task} exit`);
			this.free.unshift(process.task);
		} else {
			for (const { live } of process.fds.values()) await this.ask(process, `close ${live}`);
		}
	}

	private async exits(line: ExitLine): Promise<void> {
		const { pid, superseded } = line;
		if (superseded !== undefined) {
			const process = this.processes.get(superseded);
			if (process !== undefined) {
				for (const thread of process.threads) this.processes.delete(thread);
				process.threads = new Set([pid]);
				this.processes.set(pid, process);
			}
			const text = line.text.slice(Math.max(line.text.indexOf("+++"), 0));
			this.write(this.prefix(pid, null) + text, this.at);
			return;
		}
		if (this.ended.delete(pid)) return;
		await this.leave(pid, false);
		this.write(`${this.prefix(pid, null)}+++ exited with 0 +++`, this.at);
	}

	private async execve(call: CallLine, process: Process): Promise<void> {
		const argv = this.operands(call).strings(1);
		if (argv?.[0]?.replace(/^.*\//, "") === "ip") {
			const setup: SetupLine = {
				kind: "setup",
				line: call.line,
				column: call.column,
				argv: ["ip", ...argv.slice(1)],
				argColumns: argv.map(() => call.column),
				text: "",
			};
			this.setupTask = process.task;
			try {
				await this.setUp({ kind: "script", line: setup });
			} catch (error) {
				if (!(error instanceof ScriptError)) throw error;
				this.pass("commands of ip");
				return;
			} finally {
				this.setupTask = 0;
			}
		}
		for (const [fd, { live, cloexec }] of process.fds) {
			if (!cloexec) continue;
			await this.ask(process, `close ${live}`);
			process.fds.delete(fd);
		}
		this.write(this.prefix(call.pid, null) + call.text, this.at);
	}

	// Calls

	private operands(call: CallLine): Operands {
		return new Operands(
			this.script.file,
			call,
			() => null,
			(name) => this.ifindexes.get(name) ?? null,
		);
	}

	/** Makes a call that the recording will not show. */
	private ask(process: Process, request: string): Promise<string> {
		return this.agent.request(`${process.task} ${request}`);
	}

	private async carry(call: CallLine): Promise<void> {
		const row = systemCall(call.name);
		if (row === null || call.opaque) return;
		const process = await this.processOf(call.pid, call);
		const errno = call.result?.errno ?? null;
		const value = call.result?.value ?? null;
		const succeeded = errno === null && value !== null && value >= 0;
		switch (row.role) {
			case "fork":
				return this.makeProcess(call, process);
			case "exit": {
				if (row.bearsOn !== "ports") return;
				const all = call.name === "exit_group";
				const gone = all ? [...process.threads] : [call.pid];
				for (const pid of gone) this.ended.add(pid);
				await this.leave(call.pid, all);
				for (const pid of gone) {
					this.write(`${this.prefix(pid, null)}+++ exited with 0 +++`, this.at);
				}
				return;
			}
			case "execve":
				if (succeeded) await this.execve(call, process);
				return;
			case "namespace":
				return this.namespace(call, process, succeeded);
			case "user":
				if (row.bearsOn === "ports" && succeeded) await this.make(call, call, process, call);
				return;
			case "socket":
				if (call.name === "socket") await this.socket(call, process, succeeded ? value : null);
				return;
			case "file":
				return this.open(call, process, succeeded ? value : null);
			case "close":
				return this.close(call, process);
			default:
		}
		const fd = this.fdOf(call);
		const known = fd === null ? undefined : process.fds.get(fd);
		if (fd === null || known === undefined) {
			if (fd !== null && row.onlySockets) this.pass("calls on sockets that were not carried over");
			return;
		}
		if (row.role === "descriptor") {
			return this.duplicate(call, process, known, succeeded ? value : null);
		}
		if (known.file.sysctl) {
			if (call.name === "write") await this.make(call, call, process, call);
			return;
		}
		switch (row.role) {
			case "name":
			case "option":
				return this.plain(call, process, known);
			case "accept":
				return this.accept(call, process, known, succeeded ? value : null);
			case "send":
				return this.send(call, process, known);
			case "receive":
				if (errno !== "EAGAIN") await this.receive(call, process, known);
				return;
			default:
		}
	}

	private fdOf(call: CallLine): number | null {
		const value = call.args[0]?.value;
		return value?.kind === "int" ? value.value : null;
	}

	private async namespace(call: CallLine, process: Process, succeeded: boolean): Promise<void> {
		if (!succeeded) return;
		if (call.name !== "unshare") {
			this.pass("setns()");
			return;
		}
		if (!/\bCLONE_NEWNET\b/.test(call.text)) return;
		await this.ask(process, `unshare ${CLONE_NEWNET}`);
		this.write(`${this.prefix(call.pid, null)}unshare(CLONE_NEWNET) = 0`, this.at);
	}

	/** The call with the descriptors of the agent, or those of the recording, and with live ports. */
	private carried(call: CallLine, live: number | null): CallLine {
		const args = call.args.map((one, i) => {
			if (i === 0 && live !== null) return { ...one, value: int(live), fd: null };
			return { ...one, value: withPorts(one.value, (port) => this.ports.get(port) ?? port) };
		});
		return { ...call, args };
	}

	/**
	 * Makes a call and writes it. `asked` has the agent's descriptors, `shown` those of the
	 * recording. `result` maps the kernel's result to the one that is written. Returns the kernel's
	 * result; null if the call cannot be carried over.
	 */
	private async make(
		asked: CallLine,
		shown: CallLine,
		process: Process,
		call: CallLine,
		result: (result: number) => number = (same) => same,
		line = this.at,
	): Promise<number | null> {
		let request: Marshalled | null;
		let text: Marshalled | null;
		try {
			request = this.marshaller.marshal(asked);
			text = this.marshaller.marshal(shown);
		} catch (error) {
			if (!(error instanceof ScriptError)) throw error;
			request = null;
			text = null;
		}
		if (request === null || text === null) {
			const option = /^\w+\([^,]*, *\w+, *([A-Z][A-Z0-9_]+)/.exec(call.text)?.[1];
			this.pass(option === undefined ? `${call.name}()` : option);
			return null;
		}
		const said = await this.ask(process, request.request);
		if (said.startsWith("! not let through")) {
			this.pass(`${call.name}()`);
			return null;
		}
		const answer = readAnswerTo(request.request, said);
		const kernel = answer.result;
		answer.result = result(kernel);
		const { args } = text;
		const without = shown.name === "recvfrom" && answer.result >= 0;
		const hidden = (given: CallAnswer) =>
			args(given).map((one, i) => (without && i === 1 ? arg(DATA) : one));
		const written = recordedText(shown, { ...text, args: hidden }, answer, SLEEP_LIMIT);
		this.write(this.prefix(call.pid, answer.begin) + written, line);
		this.last = written;
		return kernel;
	}

	/** The last line that was written by make(). */
	private last = "";

	private async socket(call: CallLine, process: Process, wanted: number | null): Promise<void> {
		if (!/^socket\([AP]F_INET6?\b/.test(call.text) || /\bSOCK_(RAW|PACKET)\b/.test(call.text))
			return;
		const number = wanted ?? this.surplus++;
		const live = await this.make(call, call, process, call, (r) => (r < 0 ? r : number));
		if (live === null || live < 0) return;
		await this.drop(process, number);
		process.fds.set(number, {
			live,
			cloexec: /\bSOCK_CLOEXEC\b/.test(call.text),
			file: { nonblock: /\bSOCK_NONBLOCK\b/.test(call.text), named: false, sysctl: false },
		});
	}

	/** Closes a descriptor whose close() is not recorded. */
	private async drop(process: Process, fd: number): Promise<void> {
		const known = process.fds.get(fd);
		if (known === undefined) return;
		process.fds.delete(fd);
		await this.ask(process, `close ${known.live}`);
	}

	private async open(call: CallLine, process: Process, wanted: number | null): Promise<void> {
		const value = call.args[call.name === "open" ? 0 : 1]?.value;
		if (wanted === null || value?.kind !== "string" || value.truncated) return;
		if (call.name !== "open" && call.name !== "openat") return;
		if (!isSysctlPath(Buffer.from(value.bytes).toString("latin1"))) return;
		const live = await this.make(call, call, process, call, (r) => (r < 0 ? r : wanted));
		if (live === null || live < 0) return;
		await this.drop(process, wanted);
		const file = { nonblock: false, named: true, sysctl: true };
		process.fds.set(wanted, { live, cloexec: /\bO_CLOEXEC\b/.test(call.text), file });
	}

	private async close(call: CallLine, process: Process): Promise<void> {
		if (call.name === "close_range") {
			const [first, last] = call.args.map(({ value }) => (value.kind === "int" ? value.value : -1));
			for (const fd of [...process.fds.keys()]) {
				if (fd < (first ?? 0) || (last !== undefined && last >= 0 && fd > last)) continue;
				await this.drop(process, fd);
				this.write(`${this.prefix(call.pid, null)}close(${fd}) = 0`, this.at);
			}
			return;
		}
		const fd = this.fdOf(call);
		const known = fd === null ? undefined : process.fds.get(fd);
		if (fd === null || known === undefined) return;
		process.fds.delete(fd);
		await this.make(this.carried(call, known.live), call, process, call);
	}

	private async duplicate(
		call: CallLine,
		process: Process,
		known: Descriptor,
		wanted: number | null,
	): Promise<void> {
		const { name, text } = call;
		if (name === "fcntl" || name === "fcntl64") {
			if (/\bF_SETFD\b/.test(text)) {
				known.cloexec = /\bFD_CLOEXEC\b/.test(text);
			} else if (/\bF_SETFL\b/.test(text)) {
				known.file.nonblock = /\bO_NONBLOCK\b/.test(text);
				await this.setFlags(process, known);
			} else if (!/\bF_DUPFD/.test(text)) return;
		}
		const makes = name.startsWith("dup") || /\bF_DUPFD/.test(text);
		if (makes && wanted === null) return;
		if (makes && wanted !== null) {
			const said = await this.ask(process, `dup ${known.live}`);
			const live = readAnswerTo("dup", said).result;
			if (live < 0) return;
			if (process.fds.get(wanted)?.live !== known.live) await this.drop(process, wanted);
			process.fds.set(wanted, { live, cloexec: /CLOEXEC/.test(text), file: known.file });
		}
		this.write(this.prefix(call.pid, null) + text, this.at);
	}

	private async setFlags(process: Process, { live, file }: Descriptor): Promise<void> {
		const flags = O_RDWR | (file.nonblock ? O_NONBLOCK : 0);
		await this.ask(process, `fcntl ${live} ${F_SETFL} ${flags}`);
	}

	/**
	 * The recorded result shows that the socket did not block, but no recorded call set O_NONBLOCK.
	 * ioctl() may have set it.
	 */
	private async unblock(call: CallLine, process: Process, known: Descriptor): Promise<void> {
		const errno = call.result?.errno ?? "";
		if (known.file.nonblock || (errno !== "EAGAIN" && errno !== "EINPROGRESS")) return;
		known.file.nonblock = true;
		await this.setFlags(process, known);
		const fd = this.fdOf(call) ?? 0;
		const set = `fcntl(${fd}, F_SETFL, O_RDWR|O_NONBLOCK) = 0`;
		this.write(this.prefix(call.pid, null) + set, this.at - 0.25);
	}

	/** Notes the port that this kernel chose where the recorded kernel chose another one. */
	private notePort(recorded: number | null, index: number): void {
		if (recorded === null || recorded === 0) return;
		const shown = [...this.last.matchAll(/htons\((\d+)\)/g)].map(([, port]) => Number(port));
		const live = shown[index];
		if (live === undefined || live === 0) return;
		if (live === recorded) this.ports.delete(recorded);
		else this.ports.set(recorded, live);
	}

	private async plain(call: CallLine, process: Process, known: Descriptor): Promise<void> {
		const { name } = call;
		if (name === "ioctl") {
			const on = fionbio(call);
			if (on === null) return;
			known.file.nonblock = on;
			await this.setFlags(process, known);
			const flags = known.file.nonblock ? "O_RDWR|O_NONBLOCK" : "O_RDWR";
			const text = `fcntl(${this.fdOf(call)}, F_SETFL, ${flags}) = 0`;
			this.write(this.prefix(call.pid, null) + text, this.at);
			return;
		}
		if (name === "connect") await this.unblock(call, process, known);
		const told = portIn(call.args[1]?.value);
		const shown = name === "getsockname" || name === "getpeername" ? this.bare(call) : call;
		const asked = this.carried(shown, known.live);
		const result = await this.make(asked, this.carried(shown, null), process, call);
		if (result === null) return;
		if ((name === "getsockname" || name === "getpeername") && result >= 0) {
			this.notePort(told, 0);
			known.file.named = true;
		}
		if (name === "bind" || name === "connect" || name === "listen") {
			await this.lookAt(call, process, known);
		}
	}

	/** A call that asks for an address, without the address that the recorded kernel gave. */
	private bare(call: CallLine): CallLine {
		return { ...call, args: call.args.slice(0, 1) };
	}

	/** Asks for the address of a socket that may have chosen a port. */
	private async lookAt(call: CallLine, process: Process, known: Descriptor): Promise<void> {
		const looked: CallLine = { ...call, name: "getsockname", args: call.args.slice(0, 1) };
		const asked = this.carried(looked, known.live);
		await this.make(asked, looked, process, looked, (same) => same, this.at + 0.5);
		known.file.named = true;
	}

	private async accept(
		call: CallLine,
		process: Process,
		known: Descriptor,
		wanted: number | null,
	): Promise<void> {
		await this.unblock(call, process, known);
		const told = portIn(call.args[1]?.value);
		const number = wanted ?? this.surplus++;
		// It asks for the client's address, even if the program did not.
		const args = [...call.args.slice(0, 1), arg(NULL), arg(ROOM)];
		const shown: CallLine = { ...call, name: "accept", args };
		const asked = this.carried(shown, known.live);
		const live = await this.make(asked, shown, process, call, (r) => (r < 0 ? r : number));
		if (live === null || live < 0) return;
		this.notePort(told, 0);
		await this.drop(process, number);
		const nonblock = /\bSOCK_NONBLOCK\b/.test(call.text);
		const file = { nonblock, named: true, sysctl: false };
		const child = { live, cloexec: /\bSOCK_CLOEXEC\b/.test(call.text), file };
		process.fds.set(number, child);
		if (!nonblock) return;
		await this.setFlags(process, child);
		const set = `fcntl(${number}, F_SETFL, O_RDWR|O_NONBLOCK) = 0`;
		this.write(this.prefix(call.pid, null) + set, this.at + 0.75);
	}

	/** Sends as many messages as the recorded call did, to the same addresses. */
	private async send(call: CallLine, process: Process, known: Descriptor): Promise<void> {
		await this.unblock(call, process, known);
		const named = known.file.named;
		for (const [i, { to, length, flags }] of this.messagesOf(call).entries()) {
			const sent = call.result?.errno === null ? (call.result.value ?? 0) : 1;
			const size = Math.min(Math.max(sent, call.name === "sendmmsg" ? 1 : 0), MOST_SENT);
			const fd = this.fdOf(call) ?? NONE;
			const args = [int(fd), DATA, int(size), flags, to, length].map(arg);
			const message: CallLine = { ...call, name: "sendto", args };
			const asked = this.carried(message, known.live);
			const shown = this.carried(message, null);
			const line = this.at + i / 100;
			if ((await this.make(asked, shown, process, call, (same) => same, line)) === null) return;
		}
		if (!named) await this.lookAt(call, process, known);
	}

	/** The addresses and flags of the messages that a call sends. */
	private messagesOf(call: CallLine): { to: Value; length: Value; flags: Value }[] {
		const { name, args } = call;
		const none = { to: NULL, length: int(0), flags: int(MSG_NOSIGNAL) };
		if (name === "sendto" || name === "send") {
			const [flags, to, length] = [args[3], args[4], args[5]].map((one) => one?.value);
			const opens = flags !== undefined && /\bMSG_FASTOPEN\b/.test(call.text);
			return [{ ...none, to: to ?? NULL, length: length ?? int(0), ...(opens ? { flags } : {}) }];
		}
		if (name !== "sendmsg" && name !== "sendmmsg") return [none];
		const value = args[1]?.value;
		const items = value?.kind === "array" ? value.items : value === undefined ? [] : [value];
		return items
			.slice(0, name === "sendmmsg" ? Math.max(call.result?.value ?? 1, 1) : 1)
			.map((item) => {
				const header = fieldOf(item, "msg_hdr") ?? item;
				const to = fieldOf(header, "msg_name") ?? NULL;
				const length = fieldOf(header, "msg_namelen") ?? int(0);
				return { ...none, to, length: to.kind === "null" ? int(0) : length };
			});
	}

	/** Receives without waiting, because the data of the recorded call is there or never comes. */
	private async receive(call: CallLine, process: Process, known: Descriptor): Promise<void> {
		const { name, args } = call;
		if (/\bMSG_(ERRQUEUE|OOB)\b/.test(call.text)) return;
		const given =
			name === "read" || name.startsWith("recvfrom") || name === "recv" ? args[2] : undefined;
		const size = given?.value.kind === "int" ? given.value.value : MOST_RECEIVED;
		const peek = /\bMSG_PEEK\b/.test(call.text) ? 2 : 0;
		const fd = this.fdOf(call) ?? NONE;
		const count = name === "recvmmsg" ? Math.max(call.result?.value ?? 1, 1) : 1;
		const told = portIn(name === "recvfrom" ? args[4]?.value : fieldOf(args[1]?.value, "msg_name"));
		for (let i = 0; i < Math.min(count, 64); i++) {
			const numbers = [int(Math.min(size, MOST_RECEIVED)), int(MSG_DONTWAIT | peek)];
			const args = [int(fd), DATA, ...numbers, NULL, ROOM].map(arg);
			const message: CallLine = { ...call, name: "recvfrom", args };
			const asked = this.carried(message, known.live);
			const line = this.at + i / 100;
			const result = await this.make(asked, message, process, call, (same) => same, line);
			if (result === null || result < 0) return;
			if (i === 0) this.notePort(told, 0);
		}
	}
}

/** Plays a recording of a program on the agent's kernel. */
export async function recordProgram(
	script: Parsed,
	agent: Agent,
	onLine: (line: number) => void = () => {},
): Promise<Recording & { passed: PassedOver }> {
	const carrier = new Carrier(script, agent, null);
	carrier.onLine = onLine;
	const recording = await carrier.run();
	return { ...recording, passed: carrier.passed };
}
