// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a script or a recording on the model, call by call. A recorded result is checked
 * (check mode, DESIGN section 7); without one the model's own is given.
 */
import { O_NONBLOCK, SOCK_DCCP, SOCK_SEQPACKET, SOCK_TYPE_MASK } from "../../include/linux/net.js";
import { AF_INET6, SIZEOF_SA_FAMILY, SIZEOF_SOCKADDR_STORAGE } from "../../include/linux/socket.js";
import { JIFFY } from "../../include/linux/timer.js";
import type { Net } from "../../include/net/net_namespace.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import { CANDIDATE_OK, type PortSearchTrace } from "../../include/trace/events/port_search.js";
import {
	EAGAIN,
	EBADF,
	ECONNREFUSED,
	EFAULT,
	EINVAL,
	ERESTARTSYS,
	errnoName,
} from "../../include/uapi/asm-generic/errno.js";
import { SO_ERROR, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import {
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import { CLONE_FILES, CLONE_NEWNET } from "../../include/uapi/linux/sched.js";
import { NotModelled, sk_net } from "../../net/core/sock.js";
import {
	bind_candidate,
	inet_sk_get_local_port_range,
	local_port_range,
} from "../../net/ipv4/inet_connection_sock.js";
import { connect_candidate, sk_over_ipv6 } from "../../net/ipv4/inet_hashtables.js";
import { ip_local_deliver_ifindex } from "../../net/ipv4/route.js";
import { udp_candidate } from "../../net/ipv4/udp.js";
import { ip6_local_deliver_ifindex } from "../../net/ipv6/route.js";
import { inet_sk_bound_l3mdev } from "../../net/l3mdev/l3mdev.js";
import { type Address, formatIpv4 } from "../machine/address.js";
import {
	describeAddress,
	describeSock,
	explainVerdict,
	SearchExplainer,
	sockDestination,
	sockSource,
} from "../machine/explain.js";
import { END_OF_TIME, Kernel } from "../machine/kernel.js";
import type { NetNamespace } from "../machine/net.js";
import { SeededRandom, SteadyRandom } from "../machine/random.js";
import type { Task } from "../machine/task.js";
import {
	choosesPort,
	EXHAUSTED,
	isReadStrictly,
	isReceive,
	isSend,
	systemCall,
} from "../script/calls.js";
import { argFd, errnoOf, Operands } from "../script/operands.js";
import { isModelledSysctl, runSetup, SetupError } from "../script/setup.js";
import {
	type CallLine,
	type ExitLine,
	formatCall,
	type Parsed,
	parseScript,
	ScriptError,
	type ScriptLine,
	type SetupLine,
	type Value,
} from "../script/strace.js";
import { isSysctlPath, SYSCTL_PATH } from "../script/sysctl_path.js";
import { lengthValue, NULL, optionValue, sockaddrValue } from "../script/values.js";
import { AcceptQueues } from "./accept_queues.js";
import {
	type Draws,
	EPOCH,
	ExactRandom,
	perturbDiffers,
	perturbTable,
	readDraws,
} from "./exact.js";
import { OwnObserver, RecordingObserver } from "./observer.js";
import { PerturbCheck } from "./perturb.js";
import { parents, type Revealed, reveal } from "./reveal.js";

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
	/** The port that the call chose for its socket. */
	chosen: number | null;
	/** What getsockopt() gives. */
	value: Uint8Array | null;
	/** With `own`: why the line means nothing here, or is refused. */
	error: ScriptError | null;
}

/** A port that a search came to, or that it came to none. */
export interface Choice {
	port: number | null;
	exhausted: boolean;
}

/** How a kernel gives its own answers; see PlayOptions. */
export interface OwnAnswers {
	/** Seed of the searches that no wish is for; null: each comes to the highest port that it can. */
	seed: number | null;
	/** What searches come to if some draw leads there. */
	wishes: ReadonlyMap<CallLine, Choice>;
}

export interface PlayOptions {
	version?: string;
	seed?: number;
	explain?: boolean;
	/** Told of every search, if `explain` is not set. */
	trace?: PortSearchTrace;
	/** Try what a recording leaves open, if something differs; true if not given. */
	variants?: boolean;
	/** See KernelOptions. */
	clock?: { phase: number; lateness: number };
	/** See KernelOptions. */
	secrets?: readonly number[];
	/**
	 * What no recorded call received was never read. Not given: programs of which the
	 * recording shows no call that receives have read everything, by read().
	 */
	unread?: boolean;
	/**
	 * Nothing is compared: each line gets the kernel's own answer. A recorded result then says
	 * only what the program had and met: descriptors, processes, whether it slept, other hosts'
	 * answers, and which port a search comes to if some draw leads there.
	 */
	own?: OwnAnswers;
}

/**
 * Plays a whole script. A recording does not show what was read by read(), what
 * secrets decided, where in a jiffy it began, nor how late a busy machine ran its timers: if
 * something differs, the other ways are tried, clocks where it has time stamps, and the first
 * that explains everything counts.
 */
export function playScript(script: Parsed, options: PlayOptions = {}): Outcome[] {
	if (options.variants === false) return play(script, options).outcomes;
	const plain = explained(script, options, PLAYS);
	if (plain.first === null) return plain.outcomes;
	for (const variant of variants(script, options)) {
		const { outcomes, first } = explained(script, { ...options, ...variant }, PLAYS_BY_CLOCK);
		if (first === null) return outcomes;
	}
	return plain.outcomes;
}

interface Played {
	outcomes: Outcome[];
	/** The first outcome that differs, null if none does; and questions to secrets before it. */
	first: number | null;
	asked: number;
}

function play(script: Parsed, options: PlayOptions): Played {
	const player = new Player(script, options);
	const played: Played = { outcomes: [], first: null, asked: 0 };
	for (const outcome of player.play()) {
		played.outcomes.push(outcome);
		if (played.first !== null || !differs(outcome)) continue;
		played.first = played.outcomes.length - 1;
		played.asked = player.secrets;
	}
	return played;
}

/** How often a script is played with other answers of secrets; and so for each clock. */
const PLAYS = 200;
const PLAYS_BY_CLOCK = 20;

/**
 * As nothing shows what secrets decided, it is taken to be whatever explains the most: of
 * the questions before the first line that differs, from the last one back, that answer is
 * turned with which the script gets further. At most `limit` further plays.
 */
function explained(script: Parsed, options: PlayOptions, limit: number): Played {
	let secrets = options.secrets ?? [];
	let best = play(script, options);
	let question = best.asked;
	while (best.first !== null && question > 0 && limit > 0) {
		question--;
		if (secrets.includes(question)) continue;
		limit--;
		const turned = [...secrets, question];
		const other = play(script, { ...options, secrets: turned });
		if (other.first !== null && other.first <= best.first) continue;
		[secrets, best, question] = [turned, other, other.asked];
	}
	return best;
}

/** What else a recording leaves open, the likelier first. */
function* variants(script: Parsed, options: PlayOptions): Generator<PlayOptions> {
	const shows = (what: (call: CallLine) => boolean) =>
		script.lines.some((line) => line.kind === "call" && what(line));
	const known =
		options.unread !== undefined ||
		shows(({ name }) => name === "read") ||
		readDraws(script) !== null;
	const reads = known ? [{}] : [{}, { unread: true }];
	yield* reads.slice(1);
	if (!shows(({ time }) => time !== null)) return;
	for (const lateness of [0, 1, 2, 4, 8]) {
		for (let phase = 0; phase < JIFFY; phase++) {
			for (const read of reads) yield { ...read, clock: { phase, lateness } };
		}
	}
}

function differs(outcome: Outcome): boolean {
	return outcome.verdict === "mismatch";
}

/** Reads a script as the player takes it; `above` is the number of lines before it in the file. */
export function readScript(text: string, file: string, above = 0): Parsed {
	return parseScript(text, file, isReadStrictly, above);
}

/** Errors of a send that hang on sizes, memory, buffers, filters and signals, not on ports. */
const UNRELATED = new Set([
	"EINTR",
	"EMSGSIZE",
	"ENOBUFS",
	"ENOMEM",
	"EOPNOTSUPP",
	"EPERM",
	"ERESTARTSYS",
]);

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
	/** Where the recorded program began, and strace itself is. */
	private firstNet: NetNamespace | null = null;
	private readonly forks: Map<number, CallLine>;
	private readonly chosen: Map<CallLine, Revealed>;
	private readonly exits = new Map<number, ExitLine>();
	/** Paths of open files below /proc/sys, by pid and descriptor. */
	private readonly sysctlFiles = new Map<string, string>();
	/** Programs of which the recording shows a call that receives, by the process that began each. */
	private readonly receivers: ReadonlySet<number>;
	/** What no recorded call received was not read. */
	private readonly unread: boolean;
	/** Processes that became another program. */
	private readonly executors: ReadonlySet<number>;
	/** Calls during which another process or thread connected. */
	private readonly overlapping: ReadonlySet<CallLine>;
	private readonly queues: AcceptQueues;
	private readonly firstTime: number | null;
	private readonly boot: number;
	private readonly own: OwnAnswers | null;
	/** The draws of the recorded kernel, with which it is played. */
	private readonly draws: Draws | null;
	private readonly random: ExactRandom | null;
	private timed = false;

	/** Throws RangeError for an unknown version. */
	constructor(
		private readonly script: Parsed,
		options: PlayOptions = {},
	) {
		const { lines } = script;
		const first = lines.find((line) => line.kind === "call" && line.time !== null);
		this.firstTime = first?.kind === "call" ? first.time : null;
		this.draws = options.own === undefined ? readDraws(script) : null;
		this.random = this.draws === null ? null : new ExactRandom();
		this.kernel = new Kernel({
			...(options.version === undefined ? {} : { version: options.version }),
			...(options.seed === undefined ? {} : { seed: options.seed }),
			...(options.clock === undefined ? {} : { clock: options.clock }),
			...(options.secrets === undefined ? {} : { secrets: options.secrets }),
			...(options.own === undefined ? {} : { random: new SteadyRandom() }),
			...(this.random === null ? {} : { random: this.random }),
			...(this.draws?.udp == null ? {} : { tables: { udp: this.draws.udp } }),
		});
		this.own = options.own ?? null;
		if (this.own !== null || this.random !== null) drawSecrets(this.kernel);
		if (this.draws !== null) {
			this.kernel.table_perturb = perturbTable(this.draws);
			if (this.firstTime !== null) this.setClock(this.firstTime, options.clock?.phase ?? 0);
		}
		this.boot = this.kernel.now;
		this.explainer = new SearchExplainer(this.kernel);
		if (options.explain === true) this.kernel.trace = this.explainer;
		else if (options.trace !== undefined) this.kernel.trace = options.trace;
		this.forks = parents(lines);
		// Ports of descriptors are not known yet; port_of() stands for one that is not named.
		const unknown = () => 0;
		const { chosen, named, receivers } = reveal(
			lines,
			(call) => new Operands(script.file, call, unknown, unknown),
			(fork) => this.sharesFiles(fork),
		);
		this.chosen = chosen;
		const reads = lines.some((line) => line.kind === "call" && line.name === "read");
		this.unread = options.unread ?? (reads || this.draws !== null);
		const executes = (line: ScriptLine) =>
			line.kind === "call" && line.name === "execve" && line.result?.value === 0;
		this.executors = new Set(lines.filter(executes).map((line) => pidOf(line)));
		this.receivers = new Set([...receivers].map((pid) => this.programOf(pid)));
		this.overlapping = overlappingConnects(lines);
		this.queues = new AcceptQueues(this.kernel);
		if (this.own === null) this.kernel.accept_queues = this.queues;
		const seed = this.own?.seed ?? null;
		const random = seed === null ? null : new SeededRandom(seed);
		this.observer =
			this.own === null
				? new RecordingObserver(this.kernel, named)
				: new OwnObserver(this.kernel, named, random);
		for (const line of lines) {
			if (line.kind === "exit" && line.pid !== null) this.exits.set(line.pid, line);
		}
	}

	/** Questions so far that only a secret answers. */
	get secrets(): number {
		return this.kernel.secrets_asked;
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
				// These return with what came while they waited; the rest acts when it is called.
				const late = systemCall(line.name)?.acts === "returned";
				events.push({
					line: late ? line.endLine : line.line,
					time: late ? (line.endTime ?? line.time) : line.time,
					run: () => this.call(line),
				});
			}
		}
		events.sort((a, b) => a.line - b.line);
		let last: Outcome | null = null;
		for (const event of events) {
			this.advanceTo(event.time);
			const outcome = event.run();
			if (outcome === null) continue;
			if (last !== null) yield last;
			last = outcome;
		}
		if (last !== null && this.draws !== null) {
			const reason = perturbDiffers(this.draws, this.kernel.table_perturb);
			if (reason !== null) {
				last.verdict = "mismatch";
				last.reason ??= reason;
			}
		}
		if (last !== null) yield last;
	}

	/**
	 * The kernel's seconds, and its jiffies, are those of the recording: seconds since boot. A
	 * second begins with the first jiffy that begins in it: up to one later, by the phase.
	 */
	private setClock(time: number, phase: number): void {
		const { timers } = this.kernel;
		this.kernel.advance((time % 1) * 1000 + (phase === 0 ? 0 : 1000 - JIFFY));
		const jiffies = Math.floor(((time % EPOCH) * 1000) / JIFFY) - (300 * 1000) / JIFFY;
		timers.wheel = jiffies - Math.floor(timers.now / JIFFY);
	}

	private advanceTo(time: number | null): void {
		this.timed = time !== null;
		if (time === null || this.firstTime === null) return;
		const now = this.boot + (time - this.firstTime) * 1000;
		// A stamp that no clock reaches tells nothing.
		if (now > this.kernel.now && now < END_OF_TIME) this.kernel.advance(now - this.kernel.now);
	}

	private operands(call: CallLine): Operands {
		const task = this.tasks.get(call.pid ?? 0);
		const portOf = (fd: number) => {
			const name = task?.getsockname(fd) ?? -1;
			return typeof name === "number" ? null : name.port;
		};
		const ifindexOf = (name: string) => {
			// strace asks for names in its own namespace, whichever the program is in.
			const nets = call.result === null ? [task?.net] : [this.firstNet, task?.net];
			for (const net of nets) {
				const device = net?.net.devices.find((candidate) => candidate.name === name);
				if (device !== undefined) return device.ifindex;
			}
			return null;
		};
		return new Operands(this.script.file, call, portOf, ifindexOf);
	}

	private sharesFiles(fork: CallLine): boolean {
		return (this.operands(fork).namedFlags("flags") & CLONE_FILES) !== 0;
	}

	/** The process that began the program which a process runs: itself, or whom it was forked from. */
	private programOf(pid: number): number {
		const fork = this.executors.has(pid) ? undefined : this.forks.get(pid);
		return fork === undefined ? pid : this.programOf(fork.pid ?? 0);
	}

	/** The task of a process; one that is seen for the first time was forked, or is the first. */
	private task(pid: number): Task {
		const known = this.tasks.get(pid);
		if (known !== undefined) return known;
		const fork = this.forks.get(pid);
		let task: Task;
		if (fork !== undefined) {
			task = this.task(fork.pid ?? 0).fork(this.sharesFiles(fork));
			if ((this.operands(fork).namedFlags("flags") & CLONE_NEWNET) !== 0) task.unshareNet();
		} else {
			const other = this.tasks.values().next().value;
			const net = other?.net ?? this.kernel.createNet();
			this.firstNet ??= net;
			task = this.kernel.createTask({ net });
		}
		// Lines without a pid are of one task.
		if (pid !== 0) task.pid = pid;
		this.tasks.set(pid, task);
		return task;
	}

	private exit(pid: number): null {
		const task = this.tasks.get(pid);
		if (task !== undefined && this.kernel.tasks.has(task)) {
			for (const fd of task.socketDescriptors()) this.drain(pid, task, fd);
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
			chosen: null,
			value: null,
			error: null,
		};
	}

	private setup(line: SetupLine): Outcome {
		const task = this.task(0);
		const logged = task.net.log.length;
		const outcome = this.outcome(line, "unrecorded");
		outcome.result = 0;
		try {
			runSetup(this.kernel, task.net, line.argv);
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			const word = Math.min(error.word, line.argv.length);
			const column = line.argColumns[word] ?? line.column + line.text.length;
			const found = line.argv[word] ?? "the end of the line";
			const { file } = this.script;
			outcome.error = new ScriptError(file, line.line, column, error.expected, found);
			outcome.result = error.errno;
			if (this.own === null) throw outcome.error;
		}
		outcome.explanation = task.net.log.slice(logged).map((text) => `the kernel logs: ${text}`);
		return outcome;
	}

	private call(call: CallLine): Outcome {
		const outcome = this.outcome(call, "ignored");
		const recorded = call.result;
		outcome.recordedError = recorded?.errno ?? null;
		if (recorded !== null && recorded.value !== null) {
			const { errno } = recorded;
			outcome.recorded = errno === null ? recorded.value : -(errnoOf(errno) ?? MAX_ERRNO);
		}
		const known = systemCall(call.name);
		if (known?.bearsOn !== "ports" || call.opaque) return outcome;
		if (known.limits.includes(outcome.recordedError ?? "")) return outcome;

		const task = this.task(call.pid ?? 0);
		if (!this.kernel.tasks.has(task)) return this.afterExit(call, outcome);
		const revealed = this.chosen.get(call) ?? null;
		// One that slept until a signal came may have done something before.
		const slept = this.own === null && recorded?.value === null && recorded.errno === "ERESTARTSYS";
		const returned = recorded !== null && recorded.value !== null;
		const checking = slept || (returned && this.own === null);
		const observed = this.draws === null && (checking || this.own !== null);
		this.kernel.observer = observed ? this.observer : null;
		this.observer.expect({
			...(this.own?.wishes.get(call) ?? {
				port: revealed?.port ?? null,
				exhausted: EXHAUSTED.has(recorded?.errno ?? "") && this.own === null,
			}),
			remote:
				call.name !== "connect" || !returned
					? null
					: recorded.value === 0
						? "accept"
						: recorded.errno === "ECONNREFUSED"
							? "refuse"
							: null,
		});
		this.explainer.lines = [];
		this.kernel.blocker = 0;
		const before = this.own === null ? 0 : this.port(task, call);
		// What these draw is not the port allocator's.
		if (!known.makesNamespaces) this.random?.begin(this.draws?.byCall.get(call) ?? []);
		let handled: Handled;
		try {
			handled = this.handle(task, call, slept ? -ERESTARTSYS : outcome.recorded);
		} catch (error) {
			if (error instanceof ScriptError && this.own !== null) outcome.error = error;
			else if (!(error instanceof NotModelled)) throw error;
			handled = IGNORED;
		}
		this.observer.rest();
		const drew = this.random?.end() ?? null;
		if (handled === IGNORED) {
			if (drew !== null) [outcome.verdict, outcome.reason] = ["mismatch", drew];
			return outcome;
		}

		const { result } = handled;
		outcome.result = result === -ERESTARTSYS ? null : result;
		outcome.value = handled.value ?? null;
		if (this.own !== null) {
			const after = this.port(task, call);
			const named = call.name === "bind" && after === this.namedPort(call);
			if (after !== before && after !== 0 && !named) outcome.chosen = after;
		}
		outcome.address = handled.address ?? null;
		outcome.explanation = this.explainer.lines;
		outcome.text = resultText(call, handled, task.net.net);
		if (!checking) {
			outcome.verdict = "unrecorded";
			return outcome;
		}
		const told = slept ? -ERESTARTSYS : outcome.recorded;
		outcome.reason = this.difference(task, call, outcome, told, handled, revealed) ?? drew;
		outcome.verdict = outcome.reason === null ? "match" : "mismatch";
		return outcome;
	}

	/**
	 * A call of a task that has exited: an error of a script, and in a recording nothing that
	 * can be told, as pids are used again.
	 */
	private afterExit(call: CallLine, outcome: Outcome): Outcome {
		if (call.result !== null) return outcome;
		const { line, column, pid, name } = call;
		const expected =
			pid === null ? "no call after exit" : `a process other than ${pid}, which has exited`;
		const error = new ScriptError(this.script.file, line, column, expected, `a call of ${name}()`);
		if (this.own === null) throw error;
		outcome.error = error;
		return outcome;
	}

	/** In what a result differs from the recorded one, null if in nothing. */
	private difference(
		task: Task,
		call: CallLine,
		outcome: Outcome,
		recorded: number | null,
		done: Done,
		revealed: Revealed | null,
	): string | null {
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
				if (port !== revealed.port && this.draws !== null)
					return `the kernel chose port ${revealed.port}, the model with its draws ${port}`;
				if (port !== revealed.port) {
					const why = this.explainFailure(task, call, revealed, result);
					return `the kernel chose port ${revealed.port}, the model cannot${why === null ? "" : `: ${why}`}`;
				}
				return this.checkPerturb(this.subflow(sk), call, revealed);
			}
		}
		return null;
	}

	private sk(task: Task, call: CallLine): number {
		const fd = argFd(call.args);
		const sock = fd === null ? -1 : task.socketOf(fd);
		return sock > 0 ? this.kernel.socket.sk[sock] : 0;
	}

	/** The port of the socket that a call is about; 0 if it has none. */
	private port(task: Task, call: CallLine): number {
		const sk = this.sk(task, call);
		return sk === 0 || !choosesPort(call.name) ? 0 : this.kernel.sock.skc_num[this.subflow(sk)];
	}

	/** The port that a bind() asks for. */
	private namedPort(call: CallLine): number {
		const operands = this.operands(call);
		return operands.sockaddr(1, operands.length(2, "an address length"))?.address?.port ?? 0;
	}

	/** The sock that has the port and the connections: of an MPTCP one, its first subflow. */
	private subflow(sk: number): number {
		return this.kernel.mptcp.socks.get(sk)?.first ?? sk;
	}

	/** Why the model would not choose, or give, the port that the kernel did. */
	private explainFailure(
		task: Task,
		call: CallLine,
		revealed: Revealed | null,
		result: number,
	): string | null {
		const sk = this.subflow(this.sk(task, call));
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
		const udp = isUdp(k.sock.sk_protocol[sk]);
		const judge = (candidate: number) => {
			if (udp) return udp_candidate(k, net, sk, candidate);
			return call.name === "connect"
				? connect_candidate(k, net, sk, candidate, l3mdev)
				: bind_candidate(k, net, sk, candidate, l3mdev, false);
		};
		const verdict = judge(port);
		const clause = explainVerdict(k, sk, port, verdict, k.blocker, true);
		const chosen = k.sock.skc_num[sk];
		if (verdict !== CANDIDATE_OK || chosen === 0 || udp) return clause;
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
		const destination = addressPair(k, sk);
		// With ip_local_port_step_width nobody sees how far a search went for each try.
		if (sk_net(k, sk).ipv4.sysctl_ip_local_port_step_width !== 0) {
			this.perturb.forget(destination);
			return null;
		}
		// Of two calls that overlap, no recording shows which search came first.
		if (!revealed.exact || !this.timed || this.overlapping.has(call)) {
			this.perturb.forget(destination);
			return null;
		}
		const net = sk_net(k, sk);
		const l3mdev = inet_sk_bound_l3mdev(net, k.sock.skc_bound_dev_if[sk]);
		const acceptable = (port: number) =>
			connect_candidate(k, net, sk, port, l3mdev) === CANDIDATE_OK;
		return this.perturb.observe(destination, window, revealed.port, k.now, acceptable);
	}

	private handle(task: Task, call: CallLine, recorded: number | null): Handled {
		const operands = this.operands(call);
		const checking = recorded !== null;
		const succeeded = recorded !== null && recorded >= 0;
		const at = succeeded ? descriptor(recorded) : undefined;

		switch (call.name) {
			case "socket": {
				const family = this.knownName(operands, call, 0, "an address family");
				const type = this.knownName(operands, call, 1, "a socket type");
				const protocol = this.protocol(operands, call);
				if (family === null || type === null || protocol === null) {
					if (succeeded) task.openOther(at);
					return IGNORED;
				}
				try {
					const result = task.socket(family, type, protocol, at);
					const error = call.result?.errno ?? "";
					const lacking = NO_PROTOCOL.has(error) && isOptional(family, type, protocol);
					if (!lacking || result === recorded || this.own !== null) return { result };
					if (result >= 0) task.close(result);
					return IGNORED;
				} catch (error) {
					if (error instanceof NotModelled && succeeded) task.openOther(at);
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
			case "exit":
			case "exit_group":
				this.exit(call.pid ?? 0);
				return IGNORED;
			case "unshare":
				if ((operands.flags(0) & CLONE_NEWNET) !== 0 && recorded === 0) task.unshareNet();
				return IGNORED;
			case "setns":
				if ((operands.flags(1) & CLONE_NEWNET) === 0) return IGNORED;
				throw operands.error(call.args[1]?.value, "no change to another network namespace");
			case "setuid":
				if (recorded === null) task.setuid(operands.int(0, "a user"));
				else if (recorded === 0) task.uid = Math.max(operands.int(0, "a user"), 0);
				return IGNORED;
			case "setresuid":
				if (recorded === 0 && operands.int(1, "a user") >= 0) task.uid = operands.int(1, "a user");
				return IGNORED;
			case "open":
			case "openat":
				if (call.result === null) {
					const index = call.name === "open" ? 0 : 1;
					if (!isSysctlPath(operands.string(index, SYSCTL_PATH)))
						throw operands.error(call.args[index]?.value, SYSCTL_PATH);
				}
				if (succeeded) this.opened(task, call, operands, at);
				// A script without results: the files are there.
				if (!checking) return { result: this.opened(task, call, operands) };
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
			if (checking) this.drain(call.pid ?? 0, task, fd);
			return { result: task.close(fd) };
		}
		if (call.name === "dup" || call.name === "dup2" || call.name === "dup3") {
			if (sock < 0 && succeeded) task.openOther(at);
			if (sock < 0 && checking) return IGNORED;
			if (call.name === "dup") return { result: task.dup(fd, at) };
			const newfd = operands.int(1, "a file descriptor");
			// Of an open descriptor that is the limit of descriptors, which no recording shows.
			if (recorded === -EBADF && newfd >= 0 && this.own === null) return IGNORED;
			if (call.name === "dup2") return { result: task.dup2(fd, newfd) };
			return { result: task.dup3(fd, newfd, operands.flags(2)) };
		}
		// Not a socket of the model: a file, or a socket of another kind.
		const file = checking && (this.own === null || systemCall(call.name)?.onlySockets !== true);
		if (sock < 0 && file && recorded !== sock) return IGNORED;
		if (sock < 0) return { result: sock };
		return this.handleSocket(task, fd, sock, call, operands, recorded);
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
		if (tellsRefusal(call, operands)) this.refused(this.kernel.socket.sk[sock]);
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
				const level = this.knownName(operands, call, 1, "an option level");
				const optname = this.optname(operands, call);
				if (level === null || optname === null) return IGNORED;
				const copied = Math.min(Math.max(length, 0), 1024);
				return {
					result: task.setsockopt(fd, level, optname, operands.optval(3, copied), length),
				};
			}
			case "getsockopt": {
				const level = this.knownName(operands, call, 1, "an option level");
				const optname = this.optname(operands, call);
				if (level === null || optname === null) return IGNORED;
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
				if (isSend(call.name)) return this.send(task, fd, sock, call, operands, recorded);
				if (recorded !== null) task.recv(fd, bytes(recorded), true);
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
		const listener = this.subflow(this.kernel.socket.sk[sock]);
		const flags = call.name === "accept4" ? operands.flags(3) : 0;
		const told = operands.shownAddress(1);
		const accepted = recorded !== null && recorded >= 0;
		// Without an address the oldest of the group will do, if this one's own queue is empty.
		const empty = this.kernel.sock.rskq_accept_head[listener] === 0;
		if (accepted && (told !== null || empty)) this.queues.adopt(listener, told);
		if (recorded === -EAGAIN) this.queues.disown(listener);
		const peer: Partial<Address> = {};
		const nonblock = recorded === null ? flagged : flagged || recorded === -EAGAIN;
		const at = recorded !== null && recorded >= 0 ? recorded : undefined;
		const result = task.accept4(fd, flags, peer, nonblock, at);
		const { family, address, port } = peer;
		if (family === undefined || address === undefined || port === undefined) return { result };
		const full: Address = { ...peer, family, address, port };
		const difference =
			told === null || sameAddress(told, full)
				? null
				: `the model accepts ${describeAddress(full)}`;
		return { result, address: full, difference };
	}

	private addressDiffers(operands: Operands, name: Address): string | null {
		const told = operands.shownAddress(1);
		if (told === null || sameAddress(told, name)) return null;
		return `the model's address is ${describeAddress(name)}`;
	}

	/**
	 * A call tells that a datagram was refused. A host elsewhere may always do that, and no
	 * recording shows when; on this host the model knows.
	 */
	private refused(sk: number): void {
		const k = this.kernel;
		const S = k.sock;
		if (!isUdp(S.sk_protocol[sk]) || S.skc_state[sk] !== TCP_ESTABLISHED) return;
		const net = sk_net(k, sk);
		const oif = S.skc_bound_dev_if[sk];
		const dif = sk_over_ipv6(S, sk)
			? ip6_local_deliver_ifindex(net, S.skc_v6_daddr, sk * 4, oif)
			: ip_local_deliver_ifindex(net, S.skc_daddr[sk], oif);
		if (dif === 0) S.sk_err[sk] = ECONNREFUSED;
	}

	/**
	 * A call that sends. Of a TCP connection, data is passed over but for what it does to it: a
	 * RST, an error that is taken. A datagram may choose the port, and tells of errors.
	 */
	private send(
		task: Task,
		fd: number,
		sock: number,
		call: CallLine,
		operands: Operands,
		recorded: number | null,
	): Handled {
		const S = this.kernel.sock;
		const sk = this.kernel.socket.sk[sock];
		const protocol = S.sk_protocol[sk];
		if (protocol === IPPROTO_TCP || protocol === IPPROTO_MPTCP) {
			if (recorded !== null) task.sendto(fd, bytes(recorded), null, 0, true);
			return IGNORED;
		}
		const sent = operands.messages();
		if (sent === null) return IGNORED;
		const several = call.name === "sendmmsg";
		const unbound = S.skc_num[sk] === 0;
		let result = 0;
		for (const { to, badPointer, addrlen, size } of sent.messages) {
			const wrong = badPointer ? badPointer_sendto(addrlen) : 0;
			const address = to?.address ?? (to !== null || badPointer ? OTHER_FAMILY : null);
			const told = several ? size : (size ?? recorded);
			const err = wrong !== 0 ? wrong : task.sendto(fd, bytes(told ?? 0), address, addrlen);
			if (err < 0) {
				if (result === 0) result = err;
				break;
			}
			result = several ? result + 1 : err;
		}
		if (recorded === null || result === recorded || this.own !== null) return { result };
		const error = call.result?.errno ?? "";
		const unrelated =
			UNRELATED.has(error) ||
			(error === "EAGAIN" && !unbound) ||
			(several && recorded > 0) ||
			sent.messages.some(({ control }) => control) ||
			!sent.whole;
		return unrelated || !(isUdp(protocol) || unbound) ? IGNORED : { result };
	}

	/**
	 * Before a descriptor is closed: whether its data was read decides between FIN and RST. A
	 * program of which the recording shows no call that receives has used read(), which is
	 * not recorded, and has read everything.
	 */
	private drain(pid: number, task: Task, fd: number): void {
		if (this.unread || this.receivers.has(this.programOf(pid))) return;
		const sock = task.socketOf(fd);
		if (sock > 0) this.kernel.sock.rcv_unread[this.subflow(this.kernel.socket.sk[sock])] = 0;
	}

	private opened(task: Task, call: CallLine, operands: Operands, at?: number): number {
		const index = call.name === "open" ? 0 : 1;
		const value = call.args[index]?.value;
		const fd = task.openOther(at);
		const key = `${task.pid} ${fd}`;
		this.sysctlFiles.delete(key);
		if (value?.kind !== "string") return fd;
		const path = operands.string(index, "a path");
		if (isSysctlPath(path)) this.sysctlFiles.set(key, path);
		return fd;
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
		try {
			runSetup(this.kernel, task.net, argv);
		} catch (error) {
			// What cannot be told from the command is left as it was.
			if (!(error instanceof SetupError)) throw error;
		}
	}
}

function pidOf(line: ScriptLine): number {
	return line.kind === "call" ? (line.pid ?? 0) : 0;
}

/** What a connect's start depends on: to a v4-mapped address it is that of IPv4. */
function addressPair(k: Kernel, sk: number): string {
	const S = k.sock;
	if (sk_over_ipv6(S, sk)) return `${sockSource(k, sk)} -> ${sockDestination(k, sk)}`;
	const source = formatIpv4(S.skc_rcv_saddr[sk]);
	return `${source} -> ${formatIpv4(S.skc_daddr[sk])}:${S.skc_dport[sk]}`;
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

/** Draws the secrets of hashes, which kernels else do at first use, each in its own order. */
function drawSecrets(k: Kernel): void {
	k.inet_ehash_secret = k.random.get_random_u32();
	k.inet6_ehash_secret = k.random.get_random_u32();
	k.ipv6_hash_secret = k.random.get_random_u32();
}

function hex(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** Whether two addresses are one; a scope that strace does not print may be any. */
function sameAddress(told: Address, name: Address): boolean {
	return (
		told.family === name.family &&
		told.address === name.address &&
		told.port === name.port &&
		(told.scope_id === undefined || told.scope_id === (name.scope_id ?? 0))
	);
}

/** The name of a device of a namespace. */
function deviceName(net: Net, index: number): string | undefined {
	return net.devices.find(({ ifindex }) => ifindex === index)?.name;
}

/** The call with the model's result, as strace would print it. */
function resultText(call: CallLine, { result, address, value }: Done, net: Net): string {
	const args = [...call.args];
	const fill = (index: number, filled: Value) => {
		if (call.result !== null) return; // the recording shows the kernel's
		while (args.length <= index) args.push({ name: null, value: NULL, fd: null });
		args[index] = { name: null, value: filled, fd: null };
	};
	if (address != null)
		fill(
			1,
			sockaddrValue(address, (index) => deviceName(net, index)),
		);
	if (value !== undefined) {
		fill(3, optionValue(value));
		if (args[4]?.value.kind === "null" || args.length === 4) fill(4, lengthValue(value.length));
	}
	const text = formatCall(call.name, args);
	if (result === -ERESTARTSYS) return `${text} = ? ERESTARTSYS (it would sleep)`;
	if (result < 0) return `${text} = -1 ${errnoName(-result)}`;
	return `${text} = ${result}`;
}

/** An address of a family that no internet socket takes. */
const OTHER_FAMILY: Address = { family: "AF_OTHER", address: "0.0.0.0", port: 0 };

function isUdp(protocol: number): boolean {
	return protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE;
}

/** Whether a send, a receive or SO_ERROR gives ECONNREFUSED. */
function tellsRefusal(call: CallLine, operands: Operands): boolean {
	if (call.name === "getsockopt") {
		const pending = operands.flags(1) === SOL_SOCKET && operands.flags(2) === SO_ERROR;
		return pending && call.result?.value === 0 && operands.returned(3, 4)?.[0] === ECONNREFUSED;
	}
	const transfers = isSend(call.name) || isReceive(call.name);
	return transfers && call.result?.errno === "ECONNREFUSED";
}

/** A recorded result as a descriptor, if it can be one. */
function descriptor(result: number): number | undefined {
	return result <= 0x7fffffff ? result : undefined;
}

/** A number of bytes that a call can have. */
function bytes(size: number): number {
	return Math.min(Math.max(size, 0), Number.MAX_SAFE_INTEGER);
}

/** Stands for an error whose number is not known here: no call returns it. */
const MAX_ERRNO = 4095;

/** Errors of socket() where the recorded kernel has no such protocol. */
const NO_PROTOCOL = new Set(["EAFNOSUPPORT", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"]);

/** Whether a kernel may be built, or set, to do without. */
function isOptional(family: number, type: number, protocol: number): boolean {
	const kind = type & SOCK_TYPE_MASK;
	const module = kind === SOCK_SEQPACKET || kind === SOCK_DCCP || OPTIONAL.has(protocol);
	return family === AF_INET6 || module;
}
const OPTIONAL = new Set([IPPROTO_DCCP, IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_UDPLITE]);

/** bind() or connect() with a pointer to nothing: net/socket.c: move_addr_to_kernel. */
function badPointer(length: number): number {
	return length < 0 || length > SIZEOF_SOCKADDR_STORAGE || length < SIZEOF_SA_FAMILY
		? -EINVAL
		: -EFAULT;
}

/** The same of a send, which looks at a short address only later: then 0. */
function badPointer_sendto(length: number): number {
	if (length < 0 || length > SIZEOF_SOCKADDR_STORAGE) return -EINVAL;
	return length < SIZEOF_SA_FAMILY ? 0 : -EFAULT;
}
