// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a script or a recording on the model, call by call. A recorded result is checked
 * (check mode, DESIGN section 7); without one the model's own is given.
 */
import { O_NONBLOCK } from "../include/linux/net.js";
import { AF_INET6, SIZEOF_SA_FAMILY, SIZEOF_SOCKADDR_STORAGE } from "../include/linux/socket.js";
import { JIFFY } from "../include/linux/timer.js";
import { CANDIDATE_OK } from "../include/trace/events/port_search.js";
import {
	EAGAIN,
	EFAULT,
	EINVAL,
	ERESTARTSYS,
	errnoName,
} from "../include/uapi/asm-generic/errno.js";
import { intAt, NotModelled, sk_net } from "../net/core/sock.js";
import {
	bind_candidate,
	inet_sk_get_local_port_range,
	local_port_range,
	reqsk_queue_remove,
} from "../net/ipv4/inet_connection_sock.js";
import { connect_candidate } from "../net/ipv4/inet_hashtables.js";
import { inet_sk_bound_l3mdev } from "../net/l3mdev/l3mdev.js";
import { type Address, formatIpv4, parseIpv4 } from "./address.js";
import { describeSock, explainVerdict, SearchExplainer } from "./explain.js";
import { Kernel } from "./kernel.js";
import { RecordingObserver } from "./observer.js";
import { argFd, errnoOf, Operands } from "./operands.js";
import { PerturbCheck } from "./perturb.js";
import { parents, type Revealed, reveal } from "./reveal.js";
import { isModelledSysctl, runSetup, SetupError } from "./setup.js";
import {
	type CallLine,
	type ExitLine,
	formatCall,
	type Parsed,
	parseScript,
	ScriptError,
	type SetupLine,
	type Value,
} from "./strace.js";
import type { Task } from "./task.js";

export type Verdict = "match" | "mismatch" | "unrecorded" | "ignored";

/** What became of one line. */
export interface Outcome {
	line: number;
	pid: number | null;
	/** Name of the system call, or "$" for a set-up command. */
	call: string;
	verdict: Verdict;
	/** As the kernel returns it, a negative errno on an error; null where it would sleep or was ignored. */
	result: number | null;
	/** The recorded one; null where there is none or strace shows `?`. */
	recorded: number | null;
	/** Name of the recorded error. */
	recordedError: string | null;
	/** What the call tells of an address. */
	address: Address | null;
	/** Why a mismatch, in one sentence. */
	reason: string | null;
	/** How the result came about, with the option `explain`. */
	explanation: string[];
	/** The line in strace's syntax, with the model's result. */
	text: string;
}

export interface PlayOptions {
	version?: string;
	seed?: number;
	explain?: boolean;
	/** See KernelOptions. */
	clock?: { phase: number; lateness: number };
}

/**
 * Plays a whole script. A recording does not show where in a jiffy it began, nor how late a
 * busy machine ran its timers: if it has time stamps and something differs, the other
 * clocks are tried, and the first that explains everything counts.
 */
export function playScript(script: Parsed, options: PlayOptions = {}): Outcome[] {
	const plain = [...new Player(script, options).play()];
	const timed = script.lines.some((line) => line.kind === "call" && line.time !== null);
	if (!timed || !plain.some(differs)) return plain;
	for (const lateness of [0, 1, 2, 4, 8]) {
		for (let phase = 0; phase < JIFFY; phase++) {
			const outcomes = [...new Player(script, { ...options, clock: { phase, lateness } }).play()];
			if (!outcomes.some(differs)) return outcomes;
		}
	}
	return plain;
}

function differs(outcome: Outcome): boolean {
	return outcome.verdict === "mismatch";
}

const FORKS = ["fork", "vfork", "clone", "clone3"] as const;

/** Calls that can bear on ports. Every other line of a recording is passed over, counted. */
const RELEVANT = new Set<string>([
	...FORKS,
	"socket",
	"bind",
	"listen",
	"accept",
	"accept4",
	"connect",
	"getsockname",
	"getpeername",
	"setsockopt",
	"getsockopt",
	"shutdown",
	"close",
	"dup",
	"dup2",
	"dup3",
	"execve",
	"exit",
	"exit_group",
	"unshare",
	"setns",
	"setuid",
	"setresuid",
	"open",
	"openat",
	"write",
	"read",
	"sendto",
	"recvfrom",
	"sendmsg",
	"recvmsg",
	"fcntl",
]);

/** Reads a script as the player takes it. */
export function readScript(text: string, file: string): Parsed {
	return parseScript(text, file, (name) => RELEVANT.has(name) && !TOLERANT.has(name));
}

/** Calls whose syntax may be beyond the reader: they bear on ports only in forms that it reads. */
const TOLERANT = new Set(["sendmsg", "recvmsg", "sendto", "recvfrom", "fcntl", "execve", "read"]);

/** One thing that happens: a call begins or returns, a command, an end of a process. */
interface Event {
	line: number;
	time: number | null;
	run: () => Outcome | null;
}

/** What a handler found: a result, and what is compared beside it. */
interface Done {
	result: number;
	address?: Address | null;
	/** What getsockopt() gives. */
	value?: Uint8Array;
	/** An option value, or another difference from the recording. */
	difference?: string | null;
}

/** A call that bears on no port of the model. */
const IGNORED = Symbol("ignored");
type Handled = Done | typeof IGNORED;

export class Player {
	readonly kernel: Kernel;
	private readonly explainer: SearchExplainer;
	private readonly observer: RecordingObserver;
	private readonly perturb = new PerturbCheck();
	private readonly tasks = new Map<number, Task>();
	private readonly forks: Map<number, CallLine>;
	private readonly chosen: Map<CallLine, Revealed>;
	private readonly exits = new Map<number, ExitLine>();
	/** Paths of open files below /proc/sys, by pid and descriptor. */
	private readonly sysctlFiles = new Map<string, string>();
	/** Tasks of which the recording shows a call that receives. */
	private readonly receivers = new WeakSet<Task>();
	/** Calls during which another process or thread connected. */
	private readonly overlapping: ReadonlySet<CallLine>;
	private readonly firstTime: number | null;
	private readonly boot: number;
	private timed = false;

	/** Throws RangeError for an unknown version. */
	constructor(
		private readonly script: Parsed,
		options: PlayOptions = {},
	) {
		this.kernel = new Kernel({
			...(options.version === undefined ? {} : { version: options.version }),
			...(options.seed === undefined ? {} : { seed: options.seed }),
			...(options.clock === undefined ? {} : { clock: options.clock }),
		});
		this.boot = this.kernel.now;
		this.explainer = new SearchExplainer(this.kernel);
		if (options.explain === true) this.kernel.trace = this.explainer;
		const { lines } = script;
		this.forks = parents(lines);
		const { chosen, named } = reveal(
			lines,
			// Ports of descriptors are not known yet; port_of() stands for one that is not named.
			(call) => new Operands(script.file, call, () => 0),
			(fork) => this.sharesFiles(fork),
		);
		this.chosen = chosen;
		this.overlapping = overlappingConnects(lines);
		this.observer = new RecordingObserver(this.kernel, named);
		const first = lines.find((line) => line.kind === "call" && line.time !== null);
		this.firstTime = first?.kind === "call" ? first.time : null;
		for (const line of lines) {
			if (line.kind === "exit" && line.pid !== null) this.exits.set(line.pid, line);
		}
	}

	/** Plays every line in the order in which things happened. Throws ScriptError. */
	*play(): Generator<Outcome> {
		const events: Event[] = [];
		for (const line of this.script.lines) {
			if (line.kind === "setup") {
				events.push({ line: line.line, time: null, run: () => this.setup(line) });
			} else if (line.kind === "exit") {
				const { pid } = line;
				const run = () => this.exit(pid ?? 0);
				events.push({ line: line.line, time: line.time, run });
			} else if (line.kind === "call") {
				// accept() returns with what came while it waited; the rest acts when it is called.
				const late = line.name === "accept" || line.name === "accept4";
				events.push({
					line: late ? line.endLine : line.line,
					time: late ? (line.endTime ?? line.time) : line.time,
					run: () => this.call(line),
				});
			}
		}
		events.sort((a, b) => a.line - b.line);
		for (const event of events) {
			this.advanceTo(event.time);
			const outcome = event.run();
			if (outcome !== null) yield outcome;
		}
	}

	private advanceTo(time: number | null): void {
		this.timed = time !== null;
		if (time === null || this.firstTime === null) return;
		const now = this.boot + (time - this.firstTime) * 1000;
		if (now > this.kernel.now) this.kernel.advance(now - this.kernel.now);
	}

	private operands(call: CallLine): Operands {
		return new Operands(this.script.file, call, (fd) => {
			const task = this.tasks.get(call.pid ?? 0);
			const sock = task?.socketOf(fd) ?? -1;
			return sock < 0 ? null : this.kernel.sock.skc_num[this.kernel.socket.sk[sock]];
		});
	}

	private sharesFiles(fork: CallLine): boolean {
		return (this.operands(fork).namedFlags("flags") & 0x400) !== 0;
	}

	/** The task of a process; one that is seen for the first time was forked, or is the first. */
	private task(pid: number): Task {
		const known = this.tasks.get(pid);
		if (known !== undefined) return known;
		const fork = this.forks.get(pid);
		let task: Task;
		if (fork !== undefined) {
			task = this.task(fork.pid ?? 0).fork(this.sharesFiles(fork));
			if ((this.operands(fork).namedFlags("flags") & 0x40000000) !== 0) task.unshareNet();
		} else {
			const other = this.tasks.values().next().value;
			const net = other?.net ?? this.kernel.createNet();
			task = this.kernel.createTask({ net });
		}
		this.tasks.set(pid, task);
		return task;
	}

	private exit(pid: number): null {
		const task = this.tasks.get(pid);
		if (task !== undefined && this.kernel.tasks.has(task)) {
			for (const fd of task.socketDescriptors()) this.drain(task, fd);
			task.exit();
		}
		return null;
	}

	private outcome(line: SetupLine | CallLine, verdict: Verdict): Outcome {
		return {
			line: line.line,
			pid: line.kind === "call" ? line.pid : null,
			call: line.kind === "call" ? line.name : "$",
			verdict,
			result: null,
			recorded: null,
			recordedError: null,
			address: null,
			reason: null,
			explanation: [],
			text: line.text,
		};
	}

	private setup(line: SetupLine): Outcome {
		const task = this.task(0);
		const logged = task.net.log.length;
		try {
			runSetup(this.kernel, task.net, line.argv);
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			const word = Math.min(error.word, line.argv.length);
			const column = line.argColumns[word] ?? line.column + line.text.length;
			const found = line.argv[word] ?? "the end of the line";
			throw new ScriptError(this.script.file, line.line, column, error.expected, found);
		}
		const outcome = this.outcome(line, "unrecorded");
		outcome.result = 0;
		outcome.explanation = task.net.log.slice(logged).map((text) => `the kernel logs: ${text}`);
		return outcome;
	}

	private call(call: CallLine): Outcome {
		const outcome = this.outcome(call, "ignored");
		const recorded = call.result;
		outcome.recordedError = recorded?.errno ?? null;
		if (recorded !== null && recorded.value !== null) {
			const errno = recorded.errno === null ? null : errnoOf(recorded.errno);
			outcome.recorded = errno !== null ? -errno : recorded.value;
		}
		if (!RELEVANT.has(call.name) || call.opaque) return outcome;

		const task = this.task(call.pid ?? 0);
		const revealed = this.chosen.get(call) ?? null;
		const checking = recorded !== null && recorded.value !== null;
		this.kernel.observer = checking ? this.observer : null;
		this.observer.expect({
			port: revealed?.port ?? null,
			exhausted: recorded?.errno === "EADDRINUSE" || recorded?.errno === "EADDRNOTAVAIL",
			remote:
				call.name !== "connect" || !checking
					? null
					: recorded.value === 0
						? "accept"
						: recorded.errno === "ECONNREFUSED"
							? "refuse"
							: null,
		});
		this.explainer.lines = [];
		let handled: Handled;
		try {
			handled = this.handle(task, call, outcome.recorded);
		} catch (error) {
			if (!(error instanceof NotModelled)) throw error;
			handled = IGNORED;
		}
		this.observer.rest();
		if (handled === IGNORED) return outcome;

		const { result } = handled;
		outcome.result = result === -ERESTARTSYS ? null : result;
		outcome.address = handled.address ?? null;
		outcome.explanation = this.explainer.lines;
		outcome.text = resultText(call, handled);
		if (!checking) {
			outcome.verdict = "unrecorded";
			return outcome;
		}
		outcome.reason = this.difference(task, call, outcome, handled, revealed);
		outcome.verdict = outcome.reason === null ? "match" : "mismatch";
		return outcome;
	}

	/** In what a result differs from the recorded one, null if in nothing. */
	private difference(
		task: Task,
		call: CallLine,
		outcome: Outcome,
		done: Done,
		revealed: Revealed | null,
	): string | null {
		const { recorded } = outcome;
		const { result } = done;
		if (result !== recorded) {
			const saw = outcome.recordedError ?? String(recorded);
			const model =
				result === -ERESTARTSYS ? "sleeps" : result < 0 ? errnoName(-result) : String(result);
			const why = this.explainFailure(task, call, revealed, result);
			return `the kernel says ${saw}, the model ${model}${why === null ? "" : `: ${why}`}`;
		}
		if (done.difference != null) return done.difference;
		if (revealed !== null && result !== undefined) {
			const sk = this.sk(task, call);
			if (sk !== 0 && this.kernel.sock.skc_num[sk] !== 0) {
				const port = this.kernel.sock.skc_num[sk];
				if (port !== revealed.port) {
					const why = this.explainFailure(task, call, revealed, result);
					return `the kernel chose port ${revealed.port}, the model cannot${why === null ? "" : `: ${why}`}`;
				}
				return this.checkPerturb(sk, call, revealed);
			}
		}
		return null;
	}

	private sk(task: Task, call: CallLine): number {
		const fd = argFd(call.args);
		const sock = fd === null ? -1 : task.socketOf(fd);
		return sock > 0 ? this.kernel.socket.sk[sock] : 0;
	}

	/** Why the model would not choose, or give, the port that the kernel did. */
	private explainFailure(
		task: Task,
		call: CallLine,
		revealed: Revealed | null,
		result: number,
	): string | null {
		const sk = this.sk(task, call);
		if (sk === 0) return null;
		const k = this.kernel;
		if (revealed === null) {
			return result < 0 && k.blocker !== 0 ? `last met ${describeSock(k, k.blocker)}` : null;
		}
		const { port } = revealed;
		inet_sk_get_local_port_range(k, sk);
		const { low, high } = local_port_range;
		if (port < low || port > high) return `port ${port} is not in ${low}-${high}`;
		const net = sk_net(k, sk);
		const l3mdev = inet_sk_bound_l3mdev(net, k.sock.skc_bound_dev_if[sk]);
		const judge = (candidate: number) =>
			call.name === "connect"
				? connect_candidate(k, net, sk, candidate, l3mdev)
				: bind_candidate(k, net, sk, candidate, l3mdev, false);
		const verdict = judge(port);
		const clause = explainVerdict(k, sk, port, verdict, k.blocker, true);
		const chosen = k.sock.skc_num[sk];
		if (verdict !== CANDIDATE_OK || chosen === 0) return clause;
		// Free, but of the parity that is looked at second: say what comes first.
		const first: number[] = [];
		for (let other = low; other <= high && first.length < 8; other++) {
			if ((other - chosen) % 2 !== 0) continue;
			if (other === chosen || judge(other) === CANDIDATE_OK) first.push(other);
		}
		return `${clause}, but a search comes to ${first.join(", ")}${first.length === 8 ? " …" : ""} first`;
	}

	/** Whether the port of a connect fits the connects to the same destination before it. */
	private checkPerturb(sk: number, call: CallLine, revealed: Revealed): string | null {
		const { window } = this.observer;
		if (window === null) return null;
		const k = this.kernel;
		const S = k.sock;
		const source = formatIpv4(S.skc_rcv_saddr[sk]);
		const destination = `${source} -> ${formatIpv4(S.skc_daddr[sk])}:${S.skc_dport[sk]}`;
		// Of two calls that overlap, no recording shows which search came first.
		if (!revealed.exact || !this.timed || this.overlapping.has(call)) {
			this.perturb.forget(destination);
			return null;
		}
		const net = sk_net(k, sk);
		const l3mdev = inet_sk_bound_l3mdev(net, S.skc_bound_dev_if[sk]);
		const acceptable = (port: number) =>
			connect_candidate(k, net, sk, port, l3mdev) === CANDIDATE_OK;
		return this.perturb.observe(destination, window, revealed.port, k.now, acceptable);
	}

	private handle(task: Task, call: CallLine, recorded: number | null): Handled {
		const operands = this.operands(call);
		const checking = recorded !== null;
		const succeeded = recorded !== null && recorded >= 0;
		const at = succeeded ? recorded : undefined;

		switch (call.name) {
			case "socket": {
				const family = operands.int(0, "an address family");
				const type = operands.int(1, "a socket type");
				const protocol = this.protocol(operands, call);
				if (protocol === null) {
					if (succeeded) this.openOther(task, recorded, family);
					return IGNORED;
				}
				try {
					return { result: task.socket(family, type, protocol, at) };
				} catch (error) {
					if (error instanceof NotModelled && succeeded) this.openOther(task, recorded, family);
					throw error;
				}
			}
			case "fork":
			case "vfork":
			case "clone":
			case "clone3":
				if (succeeded && recorded > 0) this.task(recorded);
				return IGNORED;
			case "execve":
				if (succeeded) this.execve(task, call, operands);
				return IGNORED;
			case "exit_group":
				this.exit(call.pid ?? 0);
				return IGNORED;
			case "unshare":
				if ((operands.flags(0) & 0x40000000) !== 0 && recorded === 0) task.unshareNet();
				return IGNORED;
			case "setns":
				if ((operands.flags(1) & 0x40000000) === 0) return IGNORED;
				throw operands.error(call.args[1]?.value, "no change to another network namespace");
			case "setuid":
				if (recorded === 0) task.uid = operands.int(0, "a user");
				return IGNORED;
			case "setresuid":
				if (recorded === 0 && operands.int(1, "a user") >= 0) task.uid = operands.int(1, "a user");
				return IGNORED;
			case "open":
			case "openat":
				if (succeeded) this.opened(task, call, operands, recorded);
				return IGNORED;
			default:
				break;
		}

		const fd = operands.int(0, "a file descriptor");
		if (call.name === "write") {
			const path = this.sysctlFiles.get(`${task.pid} ${fd}`);
			if (path !== undefined) return this.writeSysctl(task, operands, path, recorded);
		}
		const sock = task.socketOf(fd);
		if (call.name === "close") {
			this.sysctlFiles.delete(`${task.pid} ${fd}`);
			if (sock < 0 && checking) {
				task.close(fd);
				return IGNORED;
			}
			if (checking) this.drain(task, fd);
			return { result: task.close(fd) };
		}
		if (call.name === "dup" || call.name === "dup2" || call.name === "dup3") {
			if (sock < 0 && succeeded) task.openOther(recorded);
			if (sock < 0 && checking) return IGNORED;
			if (call.name === "dup") return { result: task.dup(fd, at) };
			const newfd = operands.int(1, "a file descriptor");
			if (call.name === "dup2") return { result: task.dup2(fd, newfd) };
			return { result: task.dup3(fd, newfd, operands.flags(2)) };
		}
		// Not a socket of the model: a file, or a socket of another kind.
		if (sock < 0 && checking && recorded !== sock) {
			this.refuseIpv6(task, fd, call, operands);
			return IGNORED;
		}
		if (sock < 0) return { result: sock };
		return this.handleSocket(task, fd, sock, call, operands, recorded);
	}

	/** IPv6 sockets share TCP's ports, so a recording that uses them cannot be played yet. */
	private readonly ipv6 = new WeakMap<Task, Set<number>>();

	private openOther(task: Task, fd: number, family: number): void {
		task.openOther(fd);
		const fds = this.ipv6.get(task) ?? new Set<number>();
		if (family === AF_INET6) fds.add(fd);
		else fds.delete(fd);
		this.ipv6.set(task, fds);
	}

	private refuseIpv6(task: Task, fd: number, call: CallLine, operands: Operands): void {
		if (!["bind", "connect", "listen"].includes(call.name)) return;
		if (this.ipv6.get(task)?.has(fd) !== true || call.result?.value !== 0) return;
		throw operands.error(call.args[0]?.value, "a socket of AF_INET (IPv6 is not modelled yet)");
	}

	private handleSocket(
		task: Task,
		fd: number,
		sock: number,
		call: CallLine,
		operands: Operands,
		recorded: number | null,
	): Handled {
		const checking = recorded !== null;
		const flagged = (this.kernel.socket.flags[sock] & O_NONBLOCK) !== 0;
		switch (call.name) {
			case "bind": {
				const length = operands.length(2, "an address length");
				const address = operands.sockaddr(1, length);
				if (address === null) return { result: badPointer(length) };
				return { result: task.bind(fd, address.address ?? OTHER_FAMILY, length) };
			}
			case "listen":
				return { result: task.listen(fd, operands.int(1, "a backlog")) };
			case "connect": {
				const length = operands.length(2, "an address length");
				const pointed = operands.sockaddr(1, length);
				if (pointed === null) return { result: badPointer(length) };
				const address = pointed.address ?? OTHER_FAMILY;
				// fcntl() is not in the recordings: how the call ended says whether it could sleep.
				const error = call.result?.errno ?? null;
				const nonblock = checking
					? error === "EINPROGRESS" || error === "EALREADY" || (flagged && recorded !== 0)
					: flagged;
				let result = task.connect(fd, address, length, nonblock);
				if (result === -ERESTARTSYS && !checking) result = task.connectAndWait(fd, address);
				if (result === -ERESTARTSYS && checking) {
					const end = call.endTime ?? null;
					this.advanceTo(end);
					result = task.connectSleeping(fd);
				}
				return { result };
			}
			case "accept":
			case "accept4":
				return this.accept(task, fd, sock, call, operands, recorded, flagged);
			case "getsockname":
			case "getpeername": {
				const name = call.name === "getsockname" ? task.getsockname(fd) : task.getpeername(fd);
				if (typeof name === "number") return { result: name };
				return { result: 0, address: name, difference: this.addressDiffers(operands, name) };
			}
			case "setsockopt": {
				const length = operands.int(4, "an option length");
				const level = operands.int(1, "an option level");
				const optname = this.optname(operands, call);
				if (optname === null) return IGNORED;
				const copied = Math.min(Math.max(length, 0), 64);
				return {
					result: task.setsockopt(fd, level, optname, operands.optval(3, copied), length),
				};
			}
			case "getsockopt": {
				const level = operands.int(1, "an option level");
				const optname = this.optname(operands, call);
				if (optname === null) return IGNORED;
				// A script may leave buffer and length out: then there is room for every option.
				const given = call.args[4] !== undefined;
				const length = given ? operands.length(4, "an option length") : 16;
				const value = task.getsockopt(fd, level, optname, length);
				if (typeof value === "number") return { result: value };
				const shown = checking ? operands.returned(3, value.length) : null;
				const same = shown === null || shown.every((byte, i) => byte === value[i]);
				const difference = same ? null : `the model's value is [${hex(value)}]`;
				return { result: 0, value, difference };
			}
			case "shutdown":
				return { result: task.shutdown(fd, operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR")) };
			case "fcntl":
				return IGNORED;
			default:
				this.transfer(task, fd, call, recorded);
				return IGNORED;
		}
	}

	/** The number of a name that a recording may have and that bears on no port: then null. */
	private knownName(operands: Operands, call: CallLine, index: number, what: string) {
		try {
			return operands.int(index, what);
		} catch (error) {
			if (!(error instanceof ScriptError) || call.result === null) throw error;
			return null;
		}
	}

	private protocol(operands: Operands, call: CallLine): number | null {
		return call.args[2] === undefined ? 0 : this.knownName(operands, call, 2, "a protocol");
	}

	private optname(operands: Operands, call: CallLine): number | null {
		return this.knownName(operands, call, 2, "an option");
	}

	private accept(
		task: Task,
		fd: number,
		sock: number,
		call: CallLine,
		operands: Operands,
		recorded: number | null,
		flagged: boolean,
	): Handled {
		const listener = this.kernel.socket.sk[sock];
		const flags = call.name === "accept4" ? operands.flags(3) : 0;
		const told = operands.shownAddress(1);
		if (told !== null) this.adopt(listener, told);
		const peer: Partial<Address> = {};
		const nonblock = recorded === null ? flagged : flagged || recorded === -EAGAIN;
		const at = recorded !== null && recorded >= 0 ? recorded : undefined;
		const result = task.accept4(fd, flags, peer, nonblock, at);
		const { family, address, port } = peer;
		if (family === undefined || address === undefined || port === undefined) return { result };
		const full: Address = { family, address, port };
		const difference =
			told !== null && (told.address !== address || told.port !== port)
				? `the model accepts ${address}:${port}`
				: null;
		return { result, address: full, difference };
	}

	/**
	 * A connection that the kernel queued elsewhere than the model: which member of a
	 * reuseport group gets it hangs on a secret hash, and which of several clients came first
	 * on moments between the recorded ones. It moves to the front of this listener's queue.
	 */
	private adopt(listener: number, peer: Address): void {
		const k = this.kernel;
		const S = k.sock;
		const daddr = parseIpv4(peer.address);
		const members = k.reuseport.get(S.sk_reuseport_cb[listener])?.socks ?? [listener];
		for (const member of members) {
			for (let child = S.rskq_accept_head[member]; child !== 0; child = S.dl_next[child]) {
				if (S.skc_daddr[child] !== daddr || S.skc_dport[child] !== peer.port) continue;
				reqsk_queue_remove(k, member, child);
				S.dl_next[child] = S.rskq_accept_head[listener];
				S.rskq_accept_head[listener] = child;
				if (S.rskq_accept_tail[listener] === 0) S.rskq_accept_tail[listener] = child;
				S.rsk_listener[child] = listener;
				S.sk_ack_backlog[listener]++;
				return;
			}
		}
	}

	private addressDiffers(operands: Operands, name: Address): string | null {
		const told = operands.shownAddress(1);
		if (told === null || (told.address === name.address && told.port === name.port)) return null;
		return `the model's address is ${name.address}:${name.port}`;
	}

	/** Data is passed over, but for what it does to the connection: a RST, an error that is taken. */
	private transfer(task: Task, fd: number, call: CallLine, recorded: number | null): void {
		if (recorded === null) return;
		const sends = call.name === "write" || call.name.startsWith("send");
		if (sends) {
			task.send(fd, Math.max(recorded, 0), true);
		} else {
			this.receivers.add(task);
			task.recv(fd, Math.max(recorded, 0), true);
		}
	}

	/**
	 * Before a descriptor is closed: whether its data was read decides between FIN and RST. A
	 * task of which the recording shows no call that receives has used read(), which is not
	 * recorded, and has read everything.
	 */
	private drain(task: Task, fd: number): void {
		if (this.receivers.has(task)) return;
		const sock = task.socketOf(fd);
		if (sock > 0) this.kernel.sock.rcv_unread[this.kernel.socket.sk[sock]] = 0;
	}

	private opened(task: Task, call: CallLine, operands: Operands, fd: number): void {
		const index = call.name === "open" ? 0 : 1;
		const value = call.args[index]?.value;
		task.openOther(fd);
		const key = `${task.pid} ${fd}`;
		this.sysctlFiles.delete(key);
		if (value?.kind !== "string") return;
		const path = operands.string(index, "a path");
		if (path.startsWith("/proc/sys/net/")) this.sysctlFiles.set(key, path);
	}

	private writeSysctl(
		task: Task,
		operands: Operands,
		path: string,
		recorded: number | null,
	): Handled {
		const name = path.slice("/proc/sys/".length).replaceAll("/", ".");
		if (!isModelledSysctl(name)) return IGNORED;
		const text = operands.string(1, "the text that is written");
		const err = task.net.setSysctl(name, text);
		return { result: err < 0 ? err : (recorded ?? text.length) };
	}

	private execve(task: Task, call: CallLine, operands: Operands): void {
		task.execve();
		const argv = operands.strings(1);
		const program = argv?.[0]?.replace(/^.*\//, "");
		if (argv === null || program !== "ip") return; // sysctl writes its files, which is recorded
		const exit = this.exits.get(call.pid ?? 0);
		if (exit !== undefined && exit.status !== 0) return;
		const words = argv.slice(1).filter((word) => !word.startsWith("-"));
		const object = words[0] ?? "";
		const changes = ["add", "del", "delete", "set", "replace", "a", "d", "s"].includes(
			words[1] ?? "",
		);
		if (!changes || !["link", "l", "addr", "address", "a", "route", "r"].includes(object)) return;
		try {
			runSetup(this.kernel, task.net, argv);
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			throw operands.error(call.args[1]?.value, error.expected);
		}
	}
}

/** The connects of a recording that began before another one had returned, or the reverse. */
function overlappingConnects(lines: Parsed["lines"]): ReadonlySet<CallLine> {
	const found = new Set<CallLine>();
	/** The one that returns last of those that have begun. */
	let open: CallLine | null = null;
	for (const line of lines) {
		if (line.kind !== "call" || line.name !== "connect") continue;
		if (open !== null && open.endLine > line.line) {
			found.add(open);
			found.add(line);
		}
		if (open === null || line.endLine > open.endLine) open = line;
	}
	return found;
}

function hex(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** An address as strace prints it. */
function sockaddrValue({ address, port }: Address): Value {
	const column = 0;
	const call = (name: string, arg: Value): Value => ({ kind: "call", name, args: [arg], column });
	const int: Value = { kind: "int", value: port, symbol: null, column };
	const bytes = new TextEncoder().encode(address);
	const string: Value = { kind: "string", bytes, truncated: false, column };
	const family: Value = { kind: "flags", names: ["AF_INET"], extra: 0, column };
	const fields = [
		{ name: "sa_family", value: family },
		{ name: "sin_port", value: call("htons", int) },
		{ name: "sin_addr", value: call("inet_addr", string) },
	];
	return { kind: "struct", fields, truncated: false, column };
}

function lengthValue(length: number): Value {
	const int: Value = { kind: "int", value: length, symbol: null, column: 0 };
	return { kind: "array", items: [int], negated: false, truncated: false, column: 0 };
}

/** The bytes of an option as strace prints them: ints where they are whole ones. */
function optionValue(bytes: Uint8Array): Value {
	const column = 0;
	if (bytes.length === 0 || bytes.length % 4 !== 0) {
		return { kind: "string", bytes, truncated: false, column };
	}
	const items: Value[] = [];
	for (let i = 0; i < bytes.length; i += 4) {
		items.push({ kind: "int", value: intAt(bytes, i), symbol: null, column });
	}
	return { kind: "array", items, negated: false, truncated: false, column };
}

/** The call with the model's result, as strace would print it. */
function resultText(call: CallLine, { result, address, value }: Done): string {
	const args = [...call.args];
	const fill = (index: number, filled: Value) => {
		if (call.result !== null) return; // the recording shows the kernel's
		while (args.length <= index) args.push({ name: null, value: NULL, fd: null });
		args[index] = { name: null, value: filled, fd: null };
	};
	if (address != null) fill(1, sockaddrValue(address));
	if (value !== undefined) {
		fill(3, optionValue(value));
		if (args[4]?.value.kind === "null" || args.length === 4) fill(4, lengthValue(value.length));
	}
	const text = formatCall(call.name, args);
	if (result === -ERESTARTSYS) return `${text} = ? ERESTARTSYS (it would sleep)`;
	if (result < 0) return `${text} = -1 ${errnoName(-result)}`;
	return `${text} = ${result}`;
}

/** An address of a family that no AF_INET socket takes. */
const OTHER_FAMILY: Address = { family: "AF_OTHER", address: "0.0.0.0", port: 0 };

/** bind() or connect() with a pointer to nothing: net/socket.c: move_addr_to_kernel. */
function badPointer(length: number): number {
	return length < 0 || length > SIZEOF_SOCKADDR_STORAGE || length < SIZEOF_SA_FAMILY
		? -EINVAL
		: -EFAULT;
}

const NULL: Value = { kind: "null", column: 0 };
