// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a random program on a kernel, call by call, and shows each call to the checks
 * together with the world before it, the kernel's trace of it, and the world after it.
 */
import { SS_UNCONNECTED } from "../../include/linux/net.js";
import { INET_BIND_ADDRESS_NO_PORT, INET_FREEBIND } from "../../include/net/sock.js";
import { TCP_CLOSE, TCP_LISTEN } from "../../include/net/tcp_states.js";
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import * as errno from "../../include/uapi/asm-generic/errno.js";
import { formatIpv4, parseIpv4 } from "../../kernel-model/address.js";
import {
	IP_BIND_ADDRESS_NO_PORT,
	IP_FREEBIND,
	IP_LOCAL_PORT_RANGE,
	Kernel,
	type NetNamespace,
	SO_BINDTODEVICE,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_IP,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { Oracle, type Settings, type Sock, type World } from "./oracle.js";
import type { DeviceName, LocalName, Op, Options, Program, Target } from "./program.js";

/** Slots for connections: twice as many as there can be time-wait sockets. */
const EHASH = 64;
/** Limits, so that programs stay small enough to be understood. */
const MAX_SOCKETS = 14;
const MAX_DESCRIPTORS = 24;
const MAX_TASKS = 7;
/** Longer than any end of a connection takes: FIN_WAIT2 of 90 s, then TIME_WAIT. */
const LAST_TIMER = 300_000;

/** Addresses of each routing table, as setUp() makes them; the subnets of lo are local too. */
const isLocal = (address: number, l3mdev: number) =>
	l3mdev !== 0
		? address === ip("192.0.2.20")
		: address >>> 24 === 127 || address === ip("192.0.2.10") || address === ip("203.0.113.5");

export function ip(text: string): number {
	const address = parseIpv4(text);
	if (address === null) throw new RangeError(text);
	return address;
}

/** What the kernel traced of one scan. */
export interface TracedScan {
	low: number;
	remaining: number;
	offset: number;
	half: number;
	relax: boolean;
	/** Starts of its passes, each with the number of candidates before it. */
	passes: { port: number; after: number }[];
	skips: { port: number; verdict: number; blocker: number }[];
}

export interface TracedSearch {
	kind: number;
	/** The world and the socket when the search began. */
	world: World;
	me: Sock;
	low: number;
	high: number;
	scans: TracedScan[];
	/** 0: none; null: the search never ended. */
	chosen: number | null;
}

/** An open file: a socket that descriptors of tasks name. */
export interface OpenFile {
	sk: number;
	socket: number;
	descriptors: number;
	/** A bind() to one address, to a port, succeeded: the socket keeps it for good. */
	addressNamed: boolean;
	portNamed: boolean;
	/** The address of the last bind(). */
	bound: number;
}

/** The calls that bear on ports; `socketState` is the state of the struct socket before. */
type Action =
	| {
			name: "bind";
			file: OpenFile;
			address: number;
			port: number;
			/** Whether bind() takes the address at all. */
			valid: boolean;
			/** IP_BIND_ADDRESS_NO_PORT. */
			addressOnly: boolean;
	  }
	| { name: "connect"; file: OpenFile; socketState: number }
	| { name: "listen"; file: OpenFile; socketState: number }
	| { name: "disconnect"; file: OpenFile }
	| { name: "other" };

export type Call = Action & {
	/** The worlds before and after it. */
	before: World;
	after: World;
	/** The task's user. */
	uid: number;
	result: number;
	search: TracedSearch | null;
	/** connect() from a port chosen before: the socket, and the kernel's verdict. */
	tuple: { me: Sock; port: number; verdict: number; blocker: number } | null;
	/** bind() to a given port, or listen(). */
	bound: { port: number; fast: boolean; verdict: number; blocker: number } | null;
};

export type Check = (run: Run, call: Call) => void;

interface Descriptor {
	task: Task;
	fd: number;
	file: OpenFile;
}

function resultText(result: number): string {
	if (result >= 0) return String(result);
	const found = Object.entries(errno).find(([, value]) => value === -result);
	return found?.[0] ?? String(result);
}

function bytes(...ints: number[]): Uint8Array {
	return new Uint8Array(Int32Array.from(ints).buffer);
}

/** One run of a program. */
export class Run {
	readonly kernel: Kernel;
	readonly oracle: Oracle;
	/** The calls so far, with their results, as one would write them down. */
	readonly transcript: string[] = [];
	private readonly namespaces: NetNamespace[] = [];
	private readonly tasks: Task[] = [];
	private descriptors: Descriptor[] = [];
	private last: Extract<Op, { op: "open" | "session" }> | null = null;
	private search: TracedSearch | null = null;
	private tuple: Call["tuple"] = null;
	private bound: Call["bound"] = null;

	constructor(
		program: Program,
		private readonly checks: readonly Check[],
		seed = program.seed,
	) {
		const { version, slots } = program;
		const tables = { ehash: EHASH, bhash: slots, lhash2: Math.min(slots, 16) };
		this.kernel = new Kernel({ seed, version, tables });
		this.oracle = new Oracle(this.kernel);
		this.setUp(program);
		this.kernel.trace = this.tracer();
	}

	/** Two namespaces alike, a device in a VRF in each, and tasks of three users. */
	private setUp({ range, autobindReuse, twReuse }: Program): void {
		for (let i = 0; i < 2; i++) {
			const net = this.kernel.createNet();
			net.addAddress("192.0.2.10/32", "lo");
			net.addLink("dummy0");
			net.addLink("vrf0", 100);
			net.addLink("dummy1");
			net.setMaster("dummy1", "vrf0");
			net.addAddress("203.0.113.5/32", "dummy0");
			net.addAddress("192.0.2.20/32", "dummy1");
			for (const name of ["dummy0", "vrf0", "dummy1"]) net.setLink(name, true);
			net.addRoute({ to: "default", dev: "lo" });
			this.namespaces.push(net);
			this.oracle.settings.set(net.net.id, {
				range,
				reserved: new Set(),
				autobindReuse,
				twReuse,
				nonlocalBind: false,
			});
			net.setSysctl("ip_local_port_range", range.join(" "));
			net.setSysctl("ip_autobind_reuse", autobindReuse ? "1" : "0");
			net.setSysctl("tcp_tw_reuse", String(twReuse));
			// Devices are numbered in the order of their making.
			const vrf0 = net.net.devices.find(({ name }) => name === "vrf0")?.ifindex ?? 0;
			for (const dev of [vrf0, vrf0 + 1]) this.oracle.vrfs.set(dev, vrf0);
		}
		for (const [net, uid] of [
			[0, 0],
			[0, 1000],
			[0, 1001],
			[0, 1000],
			[1, 1000],
		]) {
			this.tasks.push(this.kernel.createTask({ net: this.namespaces[net], uid }));
		}
	}

	private tracer(): PortSearchTrace {
		const scan = () => this.search?.scans.at(-1);
		return {
			search: (kind, sk, low, high) => {
				const world = this.oracle.world();
				const me = world.find(sk);
				this.search = { kind, world, me, low, high, scans: [], chosen: null };
			},
			scan: (low, remaining, offset, half, relax) => {
				this.search?.scans.push({ low, remaining, offset, half, relax, passes: [], skips: [] });
			},
			pass: (port) => {
				const current = scan();
				current?.passes.push({ port, after: current.skips.length });
			},
			skip: (port, verdict, blocker) => {
				scan()?.skips.push({ port, verdict, blocker });
			},
			chosen: (port) => {
				if (this.search !== null) this.search.chosen = port;
			},
			bound: (_sk, port, fast, verdict, blocker) => {
				this.bound = { port, fast, verdict, blocker };
			},
			bucket: () => {},
			tuple: (sk, port, verdict, blocker) => {
				this.tuple = { me: this.oracle.world().find(sk), port, verdict, blocker };
			},
		};
	}

	/** Makes one call, keeps the diaries and shows it to the checks. */
	private call(text: string, task: Task | null, action: Action, perform: () => number): number {
		const before = this.oracle.world();
		this.search = null;
		this.tuple = null;
		this.bound = null;
		const result = perform();
		const who = task === null ? "" : `task ${task.pid} (uid ${task.uid}): `;
		this.transcript.push(`${who}${text} = ${resultText(result)}`);

		const { search, tuple, bound } = this;
		this.keepDiary(action, result, before);
		this.oracle.settle();
		const after = this.oracle.world();
		const uid = task?.uid ?? 0;
		const call = { ...action, before, after, uid, result, search, tuple, bound };
		for (const check of this.checks) check(this, call);
		return result;
	}

	private keepDiary(action: Action, result: number, before: World): void {
		if (action.name === "other" || action.name === "disconnect") return;
		const { file } = action;
		const port = this.kernel.sock.skc_num[file.sk];
		const me = before.find(file.sk);
		if (action.name === "connect") {
			// Even if the connection was refused at once and the port is free again.
			const { search } = this;
			if (search?.chosen) this.oracle.join(search.me, search.chosen, "connect");
		} else if (action.name === "listen") {
			if (result === 0 && me.state === TCP_CLOSE) this.oracle.join(me, port, "listen");
		} else if (result === 0) {
			const { address } = action;
			if (action.port !== 0 || !action.addressOnly) {
				this.oracle.join({ ...me, address }, port, "bind");
			}
			file.bound = address;
			if (address !== 0) file.addressNamed = true;
			if (action.port !== 0) file.portNamed = true;
		} else if (this.search !== null || this.bound !== null) {
			file.bound = 0; // refused for the port's sake
		}
	}

	// Operations

	play(ops: readonly Op[]): void {
		for (const op of ops) this.perform(op);
	}

	/** Closes everything and lets every timer run out. */
	end(): void {
		while (this.descriptors.length > 0) this.close(this.descriptors[0]);
		this.advance(LAST_TIMER);
	}

	private task(index: number): Task {
		return this.tasks[index % this.tasks.length];
	}

	/** The descriptor that an operation names, among those that it fits if it is to. */
	private descriptor(op: Extract<Op, { fd: number }>): Descriptor | undefined {
		const S = this.kernel.sock;
		const fits = ({ file: { sk, socket } }: Descriptor) =>
			S.skc_state[sk] === TCP_CLOSE &&
			this.kernel.socket.state[socket] === SS_UNCONNECTED &&
			(op.op !== "bind" || S.skc_num[sk] === 0);
		const fitting = "fitting" in op && op.fitting ? this.descriptors.filter(fits) : [];
		const among = fitting.length > 0 ? fitting : this.descriptors;
		return among[op.fd % among.length];
	}

	private perform(op: Op): void {
		switch (op.op) {
			case "open":
			case "session":
				this.last = op;
				this.begin(op);
				return;
			case "again":
				if (op.ms > 0) this.advance(op.ms);
				if (this.last !== null) this.begin(this.last);
				return;
			case "sysctl":
				this.sysctl(op.net, op.file.name, op.file.value);
				return;
			case "advance":
				this.advance(op.ms);
				return;
			default: {
				const descriptor = this.descriptor(op);
				if (descriptor !== undefined) this.onDescriptor(op, descriptor);
			}
		}
	}

	private onDescriptor(op: Extract<Op, { fd: number }>, descriptor: Descriptor): void {
		const { task, fd, file } = descriptor;
		const other: Action = { name: "other" };
		switch (op.op) {
			case "set":
				this.set(descriptor, op.option, op.on);
				return;
			case "range":
				this.setRange(descriptor, op.range);
				return;
			case "device":
				this.setDevice(descriptor, op.device);
				return;
			case "bind":
				this.bind(descriptor, op.name);
				return;
			case "listen":
				this.listen(descriptor, op.backlog);
				return;
			case "connect":
				this.connect(descriptor, op.target);
				return;
			case "disconnect":
				this.call(`connect(${fd}, AF_UNSPEC)`, task, { name: "disconnect", file }, () =>
					task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 }),
				);
				return;
			case "accept":
				this.accept(descriptor);
				return;
			case "getsockname": {
				let name = "";
				this.call(`getsockname(${fd})`, task, other, () => {
					const result = task.getsockname(fd);
					if (typeof result === "number") return result;
					name = `${result.address}:${result.port}`;
					return 0;
				});
				this.transcript.push(`  it is ${name}`);
				return;
			}
			case "close":
				this.close(descriptor);
				return;
			case "dup": {
				if (this.descriptors.length >= MAX_DESCRIPTORS) return;
				const copy = this.call(`dup(${fd})`, task, other, () => task.dup(fd));
				file.descriptors++;
				this.descriptors.push({ task, fd: copy, file });
				return;
			}
			case "fork":
				this.fork(task);
				return;
			case "shutdown":
				this.call(`shutdown(${fd}, ${op.how})`, task, other, () => task.shutdown(fd, op.how));
				return;
			case "send":
				this.call(`send(${fd}, ${op.size} bytes)`, task, other, () => task.send(fd, op.size, true));
				return;
			case "recv":
				this.call(`recv(${fd}, ${op.size} bytes)`, task, other, () => task.recv(fd, op.size, true));
				return;
		}
	}

	private fork(task: Task): void {
		const own = this.descriptors.filter((descriptor) => descriptor.task === task);
		if (this.tasks.length >= MAX_TASKS) return;
		if (this.descriptors.length + own.length > MAX_DESCRIPTORS) return;
		const child = task.fork();
		this.transcript.push(`task ${task.pid} (uid ${task.uid}): fork() = ${child.pid}`);
		this.tasks.push(child);
		for (const { fd, file } of own) {
			file.descriptors++;
			this.descriptors.push({ task: child, fd, file });
		}
	}

	private adopt(task: Task, fd: number): Descriptor {
		const socket = task.socketOf(fd);
		const sk = this.kernel.socket.sk[socket];
		this.oracle.users.set(sk, task.uid);
		const file: OpenFile = {
			sk,
			socket,
			descriptors: 1,
			addressNamed: false,
			portNamed: false,
			bound: 0,
		};
		const descriptor = { task, fd, file };
		this.descriptors.push(descriptor);
		return descriptor;
	}

	private get full(): boolean {
		const files = new Set(this.descriptors.map((descriptor) => descriptor.file));
		return files.size >= MAX_SOCKETS || this.descriptors.length >= MAX_DESCRIPTORS;
	}

	/** A socket with its options set, bound where it is to be. */
	private open(task: Task, options: Options, bind: LocalName | null): Descriptor | undefined {
		if (this.full) return undefined;
		const fd = task.tcp();
		this.transcript.push(`task ${task.pid} (uid ${task.uid}): socket() = ${fd}`);
		const descriptor = this.adopt(task, fd);
		for (const option of ["reuseaddr", "reuseport", "addressOnly", "freebind", "abort"] as const) {
			if (options[option]) this.set(descriptor, option, true);
		}
		if (options.device !== "") this.setDevice(descriptor, options.device);
		if (options.range !== null) this.setRange(descriptor, options.range);
		if (bind !== null) this.bind(descriptor, bind);
		return descriptor;
	}

	private begin(op: Extract<Op, { op: "open" | "session" }>): void {
		// Room for it, and for what it accepts.
		while (this.full) this.close(this.descriptors[op.task % this.descriptors.length]);
		if (op.op === "session") {
			this.session(op);
			return;
		}
		const descriptor = this.open(this.task(op.task), op.options, op.bind);
		if (descriptor === undefined) return;
		if (op.next === "listen") this.listen(descriptor, op.backlog);
		else if (op.next === "connect") this.connect(descriptor, op.target);
	}

	private session(op: Extract<Op, { op: "session" }>): void {
		const listener = this.listener(op.listener);
		if (listener === undefined) return;
		const client = this.open(
			op.task % 2 === 0 ? listener.task : this.task(op.task),
			op.options,
			op.bind,
		);
		if (client === undefined) return;
		this.connect(client, { listener: op.listener });
		const server = op.accept ? this.accept(listener) : undefined;
		for (const end of op.ending.split(", ")) {
			if (end === "client") this.close(client);
			else if (end === "server" && server !== undefined) this.close(server);
		}
	}

	private listener(index: number): Descriptor | undefined {
		const S = this.kernel.sock;
		const listening = this.descriptors.filter(({ file }) => S.skc_state[file.sk] === TCP_LISTEN);
		return listening[index % listening.length];
	}

	private set(
		{ task, fd }: Descriptor,
		option: "reuseaddr" | "reuseport" | "addressOnly" | "freebind" | "abort",
		on: boolean,
	): void {
		const value = on ? 1 : 0;
		const [level, name, optval] = (
			{
				reuseaddr: [SOL_SOCKET, SO_REUSEADDR, value],
				reuseport: [SOL_SOCKET, SO_REUSEPORT, value],
				addressOnly: [SOL_IP, IP_BIND_ADDRESS_NO_PORT, value],
				freebind: [SOL_IP, IP_FREEBIND, value],
				abort: [SOL_SOCKET, SO_LINGER, bytes(value, 0)],
			} as const
		)[option];
		this.call(`setsockopt(${fd}, ${option}, ${value})`, task, { name: "other" }, () =>
			task.setsockopt(fd, level, name, optval),
		);
	}

	private setRange({ task, fd }: Descriptor, [low, high]: readonly [number, number]): void {
		this.call(`setsockopt(${fd}, range, ${low}-${high})`, task, { name: "other" }, () =>
			task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, (high << 16) | low),
		);
	}

	/**
	 * Only before the socket has a port: the kernel lets a socket change its VRF later, but
	 * not its port's bucket, and lets connections that differ in their devices become alike.
	 */
	private setDevice({ task, fd, file }: Descriptor, device: DeviceName): void {
		const S = this.kernel.sock;
		if (S.skc_num[file.sk] !== 0 || S.skc_state[file.sk] !== TCP_CLOSE) return;
		const name = Uint8Array.from([...device].map((c) => c.charCodeAt(0)));
		this.call(`setsockopt(${fd}, device, "${device}")`, task, { name: "other" }, () =>
			task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name),
		);
	}

	private bind({ task, fd, file }: Descriptor, { address, port }: LocalName): void {
		const me = this.oracle.world().find(file.sk);
		const flags = this.kernel.sock.inet_flags[file.sk];
		const valid =
			this.oracle.settings.get(me.net)?.nonlocalBind === true ||
			(flags & INET_FREEBIND) !== 0 ||
			address === "0.0.0.0" ||
			isLocal(ip(address), me.l3mdev);
		const addressOnly = (flags & INET_BIND_ADDRESS_NO_PORT) !== 0;
		const action: Action = {
			name: "bind",
			file,
			address: ip(address),
			port,
			valid,
			addressOnly,
		};
		this.call(`bind(${fd}, ${address}:${port})`, task, action, () =>
			task.bind(fd, { family: "AF_INET", address, port }),
		);
		this.tellPort(file);
	}

	/** Writes down the port that a socket has now: the kernel's choice is part of a run. */
	private tellPort(file: OpenFile): void {
		const port = this.kernel.sock.skc_num[file.sk];
		if (this.search !== null) this.transcript.push(`  chosen ${this.search.chosen}, has ${port}`);
	}

	private listen({ task, fd, file }: Descriptor, backlog: number): void {
		const socketState = this.kernel.socket.state[file.socket];
		this.call(`listen(${fd}, ${backlog})`, task, { name: "listen", file, socketState }, () =>
			task.listen(fd, backlog),
		);
		this.tellPort(file);
	}

	private connect({ task, fd, file }: Descriptor, target: Target): void {
		let to = { address: "127.0.0.1", port: 9 };
		if ("address" in target) to = target;
		else {
			const listener = this.listener(target.listener);
			if (listener !== undefined) {
				const address = this.kernel.sock.skc_rcv_saddr[listener.file.sk];
				to = {
					// Two of its addresses, if it listens on all.
					address:
						address === 0 ? (fd % 2 === 0 ? "127.0.0.1" : "192.0.2.10") : formatIpv4(address),
					port: this.kernel.sock.skc_num[listener.file.sk],
				};
			}
		}
		const text = `connect(${fd}, ${to.address}:${to.port})`;
		const socketState = this.kernel.socket.state[file.socket];
		this.call(text, task, { name: "connect", file, socketState }, () =>
			task.connect(fd, { family: "AF_INET", ...to }, 16, true),
		);
		this.tellPort(file);
	}

	private accept({ task, fd, file: listener }: Descriptor): Descriptor | undefined {
		if (this.full) return undefined;
		let accepted: Descriptor | undefined;
		this.call(`accept(${fd})`, task, { name: "other" }, () => {
			const result = task.accept4(fd, 0, {}, true);
			if (result >= 0) {
				accepted = this.adopt(task, result);
				accepted.file.addressNamed = listener.addressNamed;
				accepted.file.bound = this.kernel.sock.skc_rcv_saddr[accepted.file.sk];
			}
			return result;
		});
		return accepted;
	}

	private close(descriptor: Descriptor): void {
		const { task, fd, file } = descriptor;
		this.descriptors = this.descriptors.filter((other) => other !== descriptor);
		file.descriptors--;
		this.call(`close(${fd})`, task, { name: "other" }, () => {
			// Before the handle can be given out again.
			if (file.descriptors === 0) this.oracle.users.delete(file.sk);
			return task.close(fd);
		});
	}

	private sysctl(net: number, name: string, value: string): void {
		const namespace = this.namespaces[net];
		const { id } = namespace.net;
		const text = `net ${id}: ${name} = ${JSON.stringify(value)}`;
		this.call(text, null, { name: "other" }, () => {
			const result = namespace.setSysctl(`net.ipv4.${name}`, value);
			const old = this.oracle.settings.get(id);
			if (result === 0 && old !== undefined) {
				this.oracle.settings.set(id, changed(old, name, value));
			}
			return result;
		});
	}

	private advance(ms: number): void {
		this.call(`${ms} ms pass`, null, { name: "other" }, () => {
			this.kernel.advance(ms);
			return 0;
		});
	}
}

function changed(settings: Settings, name: string, value: string): Settings {
	const numbers = value.trim() === "" ? [] : value.split(/[ ,]/).map(Number);
	switch (name) {
		case "ip_local_port_range":
			return { ...settings, range: [numbers[0], numbers[1]] };
		case "ip_local_reserved_ports":
			return { ...settings, reserved: new Set(numbers) };
		case "ip_autobind_reuse":
			return { ...settings, autobindReuse: numbers[0] !== 0 };
		case "tcp_tw_reuse":
			return { ...settings, twReuse: numbers[0] };
		case "ip_nonlocal_bind":
			return { ...settings, nonlocalBind: numbers[0] !== 0 };
		default:
			return settings;
	}
}

/** Plays a program with checks, closes everything, and adds the calls to what goes wrong. */
export function play(program: Program, checks: readonly Check[], seed?: number): Run {
	const run = new Run(program, checks, seed);
	try {
		run.play(program.ops);
		run.end();
	} catch (error) {
		const calls = run.transcript.map((line) => `  ${line}`).join("\n");
		const what = error instanceof Error ? error.message : String(error);
		throw new Error(`${what}\nafter these calls:\n${calls}`, { cause: error });
	}
	return run;
}
