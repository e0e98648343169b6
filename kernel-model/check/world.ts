// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The world of a recording as it is played: a kernel, its processes with their descriptors,
 * and what is not certain of them.
 */
import { JIFFY } from "../../include/linux/timer.js";
import type { Net } from "../../include/net/net_namespace.js";
import { CLONE_NEWNET } from "../../include/uapi/linux/sched.js";
import { Kernel } from "../machine/kernel.js";
import type { NetNamespace } from "../machine/net.js";
import { nth } from "../machine/nth.js";
import { SeededRandom, SteadyRandom } from "../machine/random.js";
import type { Task } from "../machine/task.js";
import { fdOf, Operands } from "../script/operands.js";
import type { CallLine } from "../script/strace.js";
import { AcceptQueues } from "./accept_queues.js";
import { placeHost } from "./before.js";
import type { Evidence } from "./evidence.js";
import { type Draws, EPOCH, ExactRandom, perturbTable } from "./exact.js";
import type { Facts } from "./facts.js";
import { addTo } from "./lists.js";
import { OwnObserver, RecordingObserver } from "./observer.js";
import { Origins } from "./origins.js";
import type { OwnAnswers, PlayOptions } from "./outcome.js";
import { PerturbCheck } from "./perturb.js";
import type { Recording } from "./recording.js";

/** Fields of World that are no state of what is played. */
export const WORLD_HOOKS = ["recording", "options", "facts", "draws", "own", "before"];

/** The user whom a recorded process is taken for where it cannot be root. */
const SOME_USER = 1000;

/** Messages with descriptors that wait to be received, at most. */
const IN_FLIGHT = 1024;

/** A call that chose a port which nothing shows of it directly. */
export interface Guess {
	line: number;
	port: number;
	/** A guess, which could be another port, or inferred from the order of accepts. */
	how: "guessed" | "inferred";
}

export class World {
	readonly kernel: Kernel;
	readonly observer: RecordingObserver;
	readonly perturb = new PerturbCheck();
	readonly queues: AcceptQueues;
	readonly origins: Origins;
	/** The recorded program began with its network namespaces to itself. */
	private readonly beganAlone: boolean;
	/** Who has come or shown up since, and may use them as well; null for nobody. */
	company: string | null = null;
	readonly own: OwnAnswers | null;
	readonly random: ExactRandom | null;
	readonly tasks = new Map<number, Task>();
	/** Where the recorded program began, and strace itself is. */
	firstNet: NetNamespace | null = null;
	/** Paths and namespaces of open files, by pid and descriptor. */
	readonly files = new Map<string, { path: string; net: NetNamespace | null; writable: boolean }>();
	/** Network namespaces by the path of the file that keeps them. */
	readonly namedNets = new Map<string, NetNamespace>();
	/** Why nothing certain can be said of a sock. */
	readonly doubts = new Map<number, string>();
	/** Namespaces, by number, of which something is not known. */
	readonly netDoubts = new Map<number, string>();
	/** Ports that nothing showed of the calls that chose them, by port. */
	readonly guesses = new Map<number, Guess[]>();
	/** Files on their way in SCM_RIGHTS. */
	readonly inFlight: { pid: number; files: number[] }[] = [];
	/** Descriptors that pidfd_open() made, by pid and descriptor: of which process. */
	readonly pidfds = new Map<string, number>();
	/** Questions to secrets so far, by the line that was played. */
	readonly asked: number[] = [];
	/** Ports of listeners that let others share them, by SO_REUSEPORT. */
	readonly shared = new Set<number>();
	/** Ports of clients that the recording does not show. */
	readonly strangers = new Set<number>();
	/** Ends of connections whose other end the recording does not show: their socks. */
	readonly ends = new Set<number>();
	/** Clients so far whose port nothing shows at all. */
	unseen = 0;
	/** Listeners from before the recording, whose clients may be from anywhere: their socks. */
	readonly adopted = new Set<number>();
	/** Connections that the model refused at once, as nobody listens: their socks. */
	readonly refusals = new Set<number>();
	/** Closes before which unread data was taken as read: by line, the ports of the connection. */
	readonly drained: { line: number; ports: [number, number] }[] = [];
	/** connect() calls that sleep, by the lines where they begin. */
	readonly sleeping: number[] = [];
	/** The user of processes that did not say who they are. */
	uid: number;
	/** A privilege was used, so that the user is root. */
	privileged = false;
	private readonly parents = new Map<number, number>();
	/** The lines where processes ended that may still be asked for. */
	private readonly ended = new Map<number, number>();
	/** Processes from before the recording. */
	private readonly before: ReadonlySet<number>;

	/** Throws RangeError for an unknown version. */
	constructor(
		readonly recording: Recording,
		readonly options: PlayOptions,
		readonly facts: Facts,
		readonly draws: Draws | null,
	) {
		this.random = this.draws === null ? null : new ExactRandom();
		this.kernel = new Kernel({
			...(options.version === undefined ? {} : { version: options.version }),
			...(options.seed === undefined ? {} : { seed: options.seed }),
			...(options.clock === undefined ? {} : { clock: options.clock }),
			secrets: facts.secrets,
			...(options.own === undefined ? {} : { random: new SteadyRandom() }),
			...(this.random === null ? {} : { random: this.random }),
			...(this.draws?.udp == null ? {} : { tables: { udp: this.draws.udp } }),
		});
		this.own = options.own ?? null;
		this.uid = options.uid ?? 0;
		if (this.own !== null || this.random !== null) drawSecrets(this.kernel);
		if (this.draws !== null) {
			this.kernel.table_perturb = perturbTable(this.draws);
			const { firstTime } = recording;
			if (firstTime !== null) this.setClock(firstTime, options.clock?.phase ?? 0);
		}
		this.beganAlone = options.alone ?? true;
		this.queues = new AcceptQueues(this.kernel);
		this.origins = new Origins(this.kernel);
		this.before = this.placeHost();
		if (this.own === null) this.kernel.accept_queues = this.queues;
		const seed = this.own?.seed ?? null;
		const random = seed === null ? null : new SeededRandom(seed);
		const { named } = recording.evidence;
		this.observer =
			this.own === null
				? new RecordingObserver(this.kernel, named)
				: new OwnObserver(this.kernel, named, random);
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

	/** What was there before; which processes. With recorded draws nothing is added to them. */
	private placeHost(): ReadonlySet<number> {
		const { host = [] } = this.options;
		if (host.length === 0 || this.draws !== null) return new Set();
		const net = this.kernel.createNet();
		this.firstNet = net;
		const { tasks, doubts } = placeHost(this.kernel, net, host, this.uid);
		for (const [pid, task] of tasks) this.tasks.set(pid, task);
		for (const [sk, why] of doubts) this.doubts.set(sk, why);
		return new Set(tasks.keys());
	}

	operands(call: CallLine): Operands {
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
		return new Operands(this.recording.file, call, portOf, ifindexOf);
	}

	// Processes

	/** What no recorded call received was not read. */
	get unread(): boolean {
		return this.options.unread ?? (this.showsReads || this.draws !== null);
	}

	/** The recording shows what is read from sockets by read() and its like. */
	get showsReads(): boolean {
		return this.recording.showsReads;
	}

	get evidence(): Evidence {
		return this.recording.evidence;
	}

	/** Nobody but the recorded processes uses the network namespaces. */
	get alone(): boolean {
		return this.beganAlone && this.company === null;
	}

	/** From here on somebody else does. */
	endsAlone(who: string): void {
		if (this.beganAlone) this.company ??= who;
	}

	/** Whether a process is there. */
	isAlive(pid: number): boolean {
		const task = this.tasks.get(pid);
		return task !== undefined && this.kernel.tasks.has(task);
	}

	private hasExited(pid: number): boolean {
		return this.tasks.has(pid) && !this.isAlive(pid);
	}

	/** The task of a process; one that is seen for the first time was forked, or is the first. */
	task(pid: number): Task {
		const known = this.tasks.get(pid);
		if (known !== undefined) return known;
		const nameless = pid === this.recording.nameless ? this.tasks.get(0) : undefined;
		if (nameless !== undefined) {
			nameless.pid = pid;
			this.tasks.set(pid, nameless);
			return nameless;
		}
		const fork = this.recording.forks.get(pid)?.[0];
		const orphan = fork !== undefined && this.hasExited(fork.pid ?? 0);
		if (fork !== undefined && !orphan && !this.isOwnAncestor(pid)) return this.fork(fork, pid);
		const [, other] = [...this.tasks].find(([each]) => !this.before.has(each)) ?? [];
		const net = other?.net ?? this.firstNet ?? this.kernel.createNet();
		this.firstNet ??= net;
		const task = this.kernel.createTask({ net, uid: this.uid });
		// Lines without a pid are of one task.
		if (pid !== 0) task.pid = pid;
		this.tasks.set(pid, task);
		return task;
	}

	/** Whether the first forks of a process and of its parents lead back to it: pids used again. */
	private isOwnAncestor(pid: number): boolean {
		const seen = new Set<number>();
		const { forks } = this.recording;
		let at = forks.get(pid)?.[0]?.pid ?? null;
		for (; at !== null && !seen.has(at); at = forks.get(at)?.[0]?.pid ?? null) {
			if (at === pid) return true;
			seen.add(at);
		}
		return false;
	}

	/** A call makes a process; one of the same number that was there before is gone. */
	fork(call: CallLine, pid: number): Task {
		const parent = this.task(call.pid ?? 0);
		if (pid === call.pid) return parent; // no kernel says so
		const before = this.tasks.get(pid);
		if (before !== undefined) {
			if (this.parents.get(pid) === call.line) return before;
			this.exit(pid, call.line);
		}
		const task = parent.fork(this.recording.sharesFiles(call));
		if ((this.operands(call).namedFlags("flags") & CLONE_NEWNET) !== 0) task.unshareNet();
		task.pid = pid;
		this.tasks.set(pid, task);
		this.parents.set(pid, call.line);
		return task;
	}

	exit(pid: number, line: number): void {
		const task = this.tasks.get(pid);
		if (task === undefined || !this.kernel.tasks.has(task)) return;
		for (const fd of task.socketDescriptors()) this.drain(pid, task, fd, line);
		task.exit();
		this.ended.set(pid, line);
	}

	// Sockets

	/** The sock that has the port and the connections: of an MPTCP one, its first subflow. */
	subflow(sk: number): number {
		return this.kernel.mptcp.socks.get(sk)?.first ?? sk;
	}

	/** The sock that a call is about, 0 if it is about none. */
	sk(task: Task, call: CallLine): number {
		// After a way back this may be a task that has not come yet: its files are none.
		if (!this.kernel.tasks.has(task)) return 0;
		const fd = fdOf(call);
		const sock = fd === null ? -1 : task.socketOf(fd | 0);
		return sock > 0 ? nth(this.kernel.socket.sk, sock) : 0;
	}

	/** The sock of a descriptor that has the port, 0 if it has none. */
	sockOf(task: Task, fd: number): number {
		const sock = task.socketOf(fd);
		return sock > 0 ? this.subflow(nth(this.kernel.socket.sk, sock)) : 0;
	}

	/** A sock is new: nothing that was said of one with its number counts. */
	isNew(sk: number): void {
		if (this.doubts.size > 0) this.doubts.delete(sk);
		if (this.refusals.size > 0) this.refusals.delete(sk);
		if (this.adopted.size > 0) this.adopted.delete(sk);
		if (this.ends.size > 0) this.ends.delete(sk);
	}

	/**
	 * Before a descriptor is closed: whether its data was read decides between FIN and RST. A
	 * program of which the recording shows no call that receives has used read(), which is
	 * not recorded, and has read everything.
	 */
	drain(pid: number, task: Task, fd: number, line: number): void {
		if (this.unread || this.recording.receives(pid)) return;
		const sock = task.socketOf(fd);
		if (sock <= 0) return;
		const S = this.kernel.sock;
		const sk = this.subflow(nth(this.kernel.socket.sk, sock));
		if (S.rcv_unread[sk] === 0) return;
		this.drained.push({ line, ports: [nth(S.skc_num, sk), nth(S.skc_dport, sk)] });
		if (this.drained.length > 64) this.drained.shift();
		if (!this.facts.unread.has(line)) S.rcv_unread[sk] = 0;
	}

	/** A port was chosen that nothing shows. */
	guess(guess: Guess): void {
		addTo(this.guesses, guess.port, guess);
		if (this.guesses.size <= 4096) return;
		const [oldest] = this.guesses.keys();
		if (oldest !== undefined) this.guesses.delete(oldest);
	}

	/**
	 * Nothing before a line is played again: only the guessed ports that are still held can
	 * matter, and no process that had ended.
	 */
	forget(before: number): void {
		for (const [pid, line] of this.ended) {
			if (line >= before) continue;
			this.ended.delete(pid);
			if (this.isAlive(pid)) continue;
			this.tasks.delete(pid);
			this.parents.delete(pid);
		}
		let held: Set<number> | null = null;
		for (const [port, guesses] of this.guesses) {
			const [oldest] = guesses;
			if (oldest === undefined || oldest.line >= before) continue;
			held ??= new Set(this.kernel.sock.skc_num);
			const left = guesses.filter(({ line }, i) => {
				return line >= before || (held?.has(port) && i === guesses.length - 1);
			});
			if (left.length === 0) this.guesses.delete(port);
			else this.guesses.set(port, left);
		}
		while (this.inFlight.length > IN_FLIGHT) {
			const [oldest] = this.inFlight.splice(0, 1);
			const task = this.kernel.tasks.values().next().value;
			for (const file of oldest?.files ?? []) if (file !== 0) task?.dropFile(file);
		}
	}

	/** It was another user than root who was recorded. */
	becomeUser(): void {
		this.uid = SOME_USER;
		for (const task of this.kernel.tasks) if (task.uid === 0) task.uid = SOME_USER;
	}
}

/** Draws the secrets of hashes, which kernels else do at first use, each in its own order. */
function drawSecrets(k: Kernel): void {
	k.inet_ehash_secret = k.random.get_random_u32();
	k.inet6_ehash_secret = k.random.get_random_u32();
	k.ipv6_hash_secret = k.random.get_random_u32();
}

/** The name of a device of a namespace. */
export function deviceName(net: Net, index: number): string | undefined {
	return net.devices.find(({ ifindex }) => ifindex === index)?.name;
}
