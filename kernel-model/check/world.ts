// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The state of a recording while it is played: the kernel, its processes with their descriptors,
 * and doubts about them.
 */

import { CAP_FULL_SET } from "../../include/linux/capability.js";
import { NR_OPEN } from "../../include/linux/fs.js";
import type { Net } from "../../include/net/net_namespace.js";
import { CLONE_NEWNET, CLONE_NEWUSER } from "../../include/uapi/linux/sched.js";
import type { Kernel } from "../machine/kernel.js";
import type { NetNamespace } from "../machine/net.js";
import { nth } from "../machine/nth.js";
import { SeededRandom } from "../machine/random.js";
import type { Task } from "../machine/task.js";
import { fdOf, Operands } from "../script/operands.js";
import type { CallLine } from "../script/strace.js";
import { AcceptQueues } from "./accept_queues.js";
import { placeHost } from "./before.js";
import { bootKernel } from "./boot.js";
import { DatagramQueues } from "./datagram_queues.js";
import type { Evidence } from "./evidence.js";
import { type Draws, ExactRandom } from "./exact.js";
import type { Facts } from "./facts.js";
import { addTo } from "./lists.js";
import { localDevice } from "./model_call.js";
import { OwnObserver, RecordingObserver } from "./observer.js";
import { Origins } from "./origins.js";
import type { OwnAnswers, PlayOptions } from "./outcome.js";
import { PerturbCheck } from "./perturb.js";
import type { Recording } from "./recording.js";

/** Fields of World that a snapshot leaves out. */
export const WORLD_HOOKS = [
	"recording",
	"options",
	"facts",
	"draws",
	"ownAnswers",
	"pidsFromBefore",
];

/** The user of recorded processes if they cannot be root. */
const SOME_USER = 1000;

/** Most messages with descriptors that wait to be received. */
const IN_FLIGHT = 1024;

/** The port of a call that no line shows directly. */
export interface Guess {
	line: number;
	port: number;
	/**
	 * A guessed port may be another one. An inferred port follows from the order of accepts. A likely
	 * port follows from it in a reuseport group, whose queues do not prove it.
	 */
	how: "guessed" | "inferred" | "likely";
}

export class World {
	readonly kernel: Kernel;
	readonly observer: RecordingObserver;
	readonly perturb = new PerturbCheck();
	readonly queues: AcceptQueues;
	readonly datagrams: DatagramQueues;
	/** Why receivers may get datagrams that no send of the model made. */
	oddDatagrams: string | null = null;
	readonly origins: Origins;
	/** The line that is played. */
	line = 0;
	/** At the beginning only the recorded processes use their network namespaces. */
	private readonly beganAlone: boolean;
	/** Who else uses the namespaces since then, in words; null for nobody. */
	otherUsers: string | null = null;
	/** Nothing is compared, and each line gets the model's own result; null if lines are compared. */
	readonly ownAnswers: OwnAnswers | null;
	/** Replays the recorded draws; null without any. */
	readonly random: ExactRandom | null;
	/** The task of each process, by pid. Lines without a pid have the task of 0. */
	readonly tasks = new Map<number, Task>();
	/** The namespace in which the recorded program began. strace itself is in it. */
	firstNet: NetNamespace | null = null;
	/** Network namespaces by the path of the file that keeps them. */
	readonly namedNets = new Map<string, NetNamespace>();
	/** Why results that depend on a sock are undecided. */
	readonly doubts = new Map<number, string>();
	/** Listeners on which several clients have waited at once since their queue was empty. */
	readonly severalWait = new Set<number>();
	/** Socks of clients that no line names, one of several that waited, by the accept()'s line. */
	readonly unnamedClients = new Map<number, number>();
	/** Why results that depend on a namespace are undecided, by its id. */
	readonly netDoubts = new Map<number, string>();
	/** Namespaces, by number, in which io_uring may make calls. */
	readonly uringNets = new Set<number>();
	/** Ports that no line shows directly, with the calls that chose them. */
	readonly guesses = new Map<number, Guess[]>();
	/** Files in SCM_RIGHTS messages that are not received yet. */
	readonly inFlight: { pid: number; files: number[] }[] = [];
	/** The process of each pidfd, by the holder's pid and descriptor. */
	readonly pidfds = new Map<string, number>();
	/** Questions to secrets, by number: the line that was played. */
	readonly questionLines = new Map<number, number>();
	/** Number of questions so far. */
	questions = 0;
	/** Ports of listeners with SO_REUSEPORT. */
	readonly reuseportPorts = new Set<number>();
	/** Ports of clients that the recording does not show. */
	readonly outsideClientPorts = new Set<number>();
	/** Socks of connections whose other end is not recorded. */
	readonly peerOutside = new Set<number>();
	/** Number of clients so far whose port nothing shows. */
	unseenClients = 0;
	/** Socks of listeners from before the recording. Their clients may not be recorded. */
	readonly listenersFromBefore = new Set<number>();
	/** Socks of connections that the model refused at once because nobody listens. */
	readonly refusals = new Set<number>();
	/** Closes for which unread data was assumed to be read, with the ports of the connection. */
	readonly closesAssumedRead: { line: number; ports: [number, number] }[] = [];
	/** The first lines of connect() calls that sleep. */
	readonly sleeping: number[] = [];
	/** The user of processes that do not show their user. */
	uid: number;
	/** A call showed that the user is root. */
	privileged = false;
	/** The line of the call that made a process, by its pid. */
	private readonly parents = new Map<number, number>();
	/** The lines at which processes ended, by pid. Only for lines that may be played again. */
	private readonly ended = new Map<number, number>();
	/** Processes from before the recording. */
	private readonly pidsFromBefore: ReadonlySet<number>;

	/** Throws RangeError for an unknown version. */
	constructor(
		readonly recording: Recording,
		readonly options: PlayOptions,
		readonly facts: Facts,
		readonly draws: Draws | null,
	) {
		this.random = draws === null ? null : new ExactRandom();
		const replayed = { draws, random: this.random };
		this.kernel = bootKernel(options, facts.secrets, replayed, recording.firstTime);
		this.ownAnswers = options.own ?? null;
		this.uid = options.uid ?? recording.top?.uid ?? 0;
		this.beganAlone = options.alone ?? true;
		this.queues = new AcceptQueues(this.kernel, (members, address, port) =>
			this.shownTaker(members, address, port),
		);
		this.datagrams = new DatagramQueues(this.kernel);
		this.origins = new Origins(this.kernel);
		this.pidsFromBefore = this.placeHost();
		if (this.ownAnswers === null) {
			this.kernel.accept_queues = this.queues;
			this.kernel.datagram_queues = this.datagrams;
		}
		const seed = this.ownAnswers?.seed ?? null;
		const random = seed === null ? null : new SeededRandom(seed);
		const { named } = recording.evidence;
		this.observer =
			this.ownAnswers === null
				? new RecordingObserver(this.kernel, named)
				: new OwnObserver(this.kernel, named, random);
	}

	/**
	 * The listener among `members` from which a later line shows that a client is accepted; null if
	 * none does. `address` and `port` are those of the client.
	 */
	private shownTaker(members: readonly number[], address: string, port: number): number | null {
		const line = this.evidence.takerOf(address, port, this.line);
		if (line === null) return null;
		return members.find((sk) => this.origins.lineOf(sk) === line) ?? null;
	}

	/**
	 * Makes the state of the host before the recording. Returns the pids of its processes. A
	 * recording with draws gets no such state.
	 */
	private placeHost(): ReadonlySet<number> {
		const { host = [] } = this.options;
		const { top, file } = this.recording;
		const files = top === null ? host : [{ ...top, file }, ...host];
		if (files.length === 0 || this.draws !== null) return new Set();
		const net = this.kernel.createNet();
		this.firstNet = net;
		const { tasks, doubts, left } = placeHost(this.kernel, net, files, this.uid);
		for (const [pid, task] of tasks) this.tasks.set(pid, task);
		for (const [sk, why] of doubts) this.doubts.set(sk, why);
		if (top === null) return new Set(tasks.keys());
		for (const task of tasks.values()) if (task.uid === this.uid) this.giveCapabilities(task);
		for (const [tid, pid] of top.threads) {
			const leader = this.tasks.get(pid) ?? this.makeTask(pid, net);
			const thread = leader.fork(true);
			thread.pid = tid;
			this.tasks.set(tid, thread);
		}
		// What the model does not have may matter, so facts about the host are still learnt.
		const [first] = left;
		if (first !== undefined) this.endsAlone(`what the model leaves out of the host: ${first}`);
		return new Set(tasks.keys());
	}

	private giveCapabilities(task: Task): void {
		const { capabilities = null } = this.recording.top ?? {};
		if (capabilities !== null && this.options.uid === undefined) task.capabilities = capabilities;
	}

	/** Makes the task of a process that existed before the recording, or of the first process. */
	private makeTask(pid: number, net: NetNamespace): Task {
		const task = this.kernel.createTask({ net, uid: this.uid });
		this.giveCapabilities(task);
		// All lines without a pid belong to one task.
		if (pid !== 0) task.pid = pid;
		this.tasks.set(pid, task);
		return task;
	}

	operands(call: CallLine): Operands {
		const task = this.tasks.get(call.pid ?? 0);
		const portOf = (fd: number) => {
			const alive = task !== undefined && this.kernel.tasks.has(task);
			const name = alive ? task.getsockname(fd) : -1;
			return typeof name === "number" ? null : name.port;
		};
		const ifindexOf = (name: string) => {
			// strace looks up device names in its own namespace, not in the program's.
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

	/** Data that no recorded call received was not read. */
	get unread(): boolean {
		return this.options.unread ?? (this.showsReads || this.draws !== null);
	}

	/** The recording shows read() or readv(). */
	get showsReads(): boolean {
		return this.recording.showsReads;
	}

	get evidence(): Evidence {
		return this.recording.evidence;
	}

	/** Only the recorded processes use their network namespaces. */
	get alone(): boolean {
		return this.beganAlone && this.otherUsers === null;
	}

	/**
	 * Packets over loopback arrive before the next call begins, and every call that sends or receives
	 * is recorded.
	 */
	get settled(): boolean {
		return this.options.settled ?? this.draws !== null;
	}

	/**
	 * Whether all descriptors of a task and its limit of descriptors are known. The lowest free
	 * descriptor is then the one that a call gets.
	 */
	knowsDescriptors(task: Task | undefined): boolean {
		return this.settled && task !== undefined && task.nofile < NR_OPEN;
	}

	/** Whether something that the recording does not show may decide what a sock sends and receives. */
	isDoubtful(net: NetNamespace, sk: number): boolean {
		const { doubts, unnamedClients, netDoubts } = this;
		const ssk = this.subflow(sk);
		if (doubts.has(sk) || doubts.has(ssk) || unnamedClients.has(ssk)) return true;
		return netDoubts.has(net.net.id) || (!this.alone && this.refusals.has(ssk));
	}

	/** Whether the other end of a connection is on another host, or is not recorded. */
	isOutside(sk: number): boolean {
		return this.peerOutside.has(sk) || localDevice(this.kernel, this.subflow(sk)) === 0;
	}

	/** The pids of the processes that have the other end of a connection of this host open. */
	holdersOfPeer(sk: number): Set<number> {
		const { skc_num, skc_dport } = this.kernel.sock;
		const pids = new Set<number>();
		for (const task of this.kernel.tasks) {
			for (const fd of task.socketDescriptors()) {
				const peer = this.portSkOfFd(task, fd);
				if (peer === 0 || peer === sk) continue;
				if (skc_num[peer] === skc_dport[sk] && skc_dport[peer] === skc_num[sk]) pids.add(task.pid);
			}
		}
		return pids;
	}

	/** io_uring may make calls of a task from a line on. strace does not show them. */
	startsUring(task: Task, line: number): void {
		const { id } = task.net.net;
		if (this.uringNets.has(id)) return;
		this.uringNets.add(id);
		const why = `io_uring makes calls from line ${line} on, which the recording does not show`;
		if (!this.netDoubts.has(id)) this.netDoubts.set(id, why);
	}

	/** From now on somebody else uses the namespaces as well. */
	endsAlone(who: string): void {
		if (this.beganAlone) this.otherUsers ??= who;
	}

	/** Whether a process exists now. */
	isAlive(pid: number): boolean {
		const task = this.tasks.get(pid);
		return task !== undefined && this.kernel.tasks.has(task);
	}

	private hasExited(pid: number): boolean {
		return this.tasks.has(pid) && !this.isAlive(pid);
	}

	/** The task of a process. A process without one is forked from its parent, or gets a new task. */
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
		const [, other] = [...this.tasks].find(([each]) => !this.pidsFromBefore.has(each)) ?? [];
		const net = other?.net ?? this.firstNet ?? this.kernel.createNet();
		this.firstNet ??= net;
		return this.makeTask(pid, net);
	}

	/** Whether a process is among its own ancestors, because pids are reused. */
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

	/** A call makes a process. An older process with the same pid is gone. */
	fork(call: CallLine, pid: number): Task {
		const parent = this.task(call.pid ?? 0);
		if (pid === call.pid) return parent; // no kernel returns this
		const before = this.tasks.get(pid);
		if (before !== undefined) {
			if (this.parents.get(pid) === call.line) return before;
			this.exit(pid, call.line);
		}
		const task = parent.fork(this.recording.sharesFiles(call));
		const flags = this.operands(call).namedFlags("flags");
		if ((flags & CLONE_NEWUSER) !== 0) task.capabilities = CAP_FULL_SET;
		if ((flags & CLONE_NEWNET) !== 0) task.unshareNet();
		task.pid = pid;
		this.tasks.set(pid, task);
		this.parents.set(pid, call.line);
		return task;
	}

	/** A process ends: its descriptors are closed. */
	exit(pid: number, line: number): void {
		const task = this.tasks.get(pid);
		if (task === undefined || !this.kernel.tasks.has(task)) return;
		for (const fd of task.socketDescriptors()) this.assumeRead(pid, task, fd, line);
		task.exit();
		this.ended.set(pid, line);
	}

	// Sockets

	/** The sock that has the port and the connections. For MPTCP this is the first subflow. */
	subflow(sk: number): number {
		return this.kernel.mptcp.socks.get(sk)?.first ?? sk;
	}

	/** The sock of a call's descriptor; 0 if it has none. */
	sk(task: Task, call: CallLine): number {
		// After a return to a mark the task may not exist yet. It then has no files.
		if (!this.kernel.tasks.has(task)) return 0;
		const fd = fdOf(call);
		const sock = fd === null ? -1 : task.socketOf(fd | 0);
		return sock > 0 ? nth(this.kernel.socket.sk, sock) : 0;
	}

	/** The sock that has the port of a call's descriptor: sk() and subflow(). 0 if it has none. */
	portSk(task: Task, call: CallLine): number {
		return this.subflow(this.sk(task, call));
	}

	/** The sock that has the port of a descriptor; 0 if the descriptor has no sock. */
	portSkOfFd(task: Task, fd: number): number {
		const sock = task.socketOf(fd);
		return sock > 0 ? this.subflow(nth(this.kernel.socket.sk, sock)) : 0;
	}

	/** A sock is new. Drops what was noted about an older sock with the same number. */
	isNew(sk: number): void {
		if (this.doubts.size > 0) this.doubts.delete(sk);
		if (this.refusals.size > 0) this.refusals.delete(sk);
		if (this.listenersFromBefore.size > 0) this.listenersFromBefore.delete(sk);
		if (this.peerOutside.size > 0) this.peerOutside.delete(sk);
		if (this.unnamedClients.size > 0) this.unnamedClients.delete(sk);
		if (this.severalWait.size > 0) this.severalWait.delete(sk);
	}

	/**
	 * A descriptor is about to be closed. A close with unread data sends RST, else FIN. If no
	 * recorded call of the program receives, the program is assumed to have read everything by
	 * read(), which is not recorded.
	 */
	assumeRead(pid: number, task: Task, fd: number, line: number): void {
		if (this.unread || this.recording.programs.programReceives(pid)) return;
		const sock = task.socketOf(fd);
		if (sock <= 0) return;
		const S = this.kernel.sock;
		const sk = nth(this.kernel.socket.sk, sock);
		if (S.rcv_unread.get(sk) === 0) return;
		this.closesAssumedRead.push({ line, ports: [nth(S.skc_num, sk), nth(S.skc_dport, sk)] });
		if (this.closesAssumedRead.length > 64) this.closesAssumedRead.shift();
		if (!this.facts.unread.has(line)) S.rcv_unread.set(sk, 0);
	}

	/** Notes a port that no line shows directly. */
	noteGuess(guess: Guess): void {
		addTo(this.guesses, guess.port, guess);
		if (this.guesses.size <= 4096) return;
		const [oldest] = this.guesses.keys();
		if (oldest !== undefined) this.guesses.delete(oldest);
	}

	/** The first question to a secret that is kept. */
	get firstQuestion(): number {
		const [first] = this.questionLines.keys();
		return first ?? this.questions;
	}

	/**
	 * Drops what is not needed any more, because lines before `before` are not played again:
	 * processes that have ended, and guessed ports that no sock has now.
	 */
	forget(before: number): void {
		for (const [pid, line] of this.ended) {
			if (line >= before) continue;
			this.ended.delete(pid);
			if (this.isAlive(pid)) continue;
			this.tasks.delete(pid);
			this.parents.delete(pid);
			for (const key of this.pidfds.keys()) if (key.startsWith(`${pid} `)) this.pidfds.delete(key);
		}
		for (const [question, line] of this.questionLines) {
			if (line >= before) break;
			this.questionLines.delete(question);
		}
		this.perturb.letGo(this.kernel.now);
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

	/** The recorded processes do not run as root. */
	becomeUser(): void {
		this.uid = SOME_USER;
		for (const task of this.kernel.tasks) if (task.uid === 0) task.uid = SOME_USER;
	}
}

/** The name of a device of a namespace. */
export function deviceName(net: Net, index: number): string | undefined {
	return net.devices.find(({ ifindex }) => ifindex === index)?.name;
}
