// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Plays a random program on a kernel, call by call, and shows each call to the checks
 * together with the moment before it, the kernel's trace of it, and the moment after it.
 */
import { SS_UNCONNECTED } from "../../include/linux/net.js";
import { INET_BIND_ADDRESS_NO_PORT, INET_FREEBIND } from "../../include/net/sock.js";
import { TCP_CLOSE, TCP_LISTEN } from "../../include/net/tcp_states.js";
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import {
	type Address,
	AF_INET,
	AF_INET6,
	IP_BIND_ADDRESS_NO_PORT,
	IP_FREEBIND,
	IP_LOCAL_PORT_RANGE,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	IPV6_V6ONLY,
	Kernel,
	type NetNamespace,
	SO_BINDTODEVICE,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOCK_DGRAM,
	SOCK_STREAM,
	SOL_IP,
	SOL_IPV6,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { runSetup } from "../../kernel-model/script/setup.js";
import { words } from "../../kernel-model/script/shell.js";
import { type Addr, ANY4, ANY6, addr, asFamily, type Family } from "./addresses.js";
import { SeparateRandom } from "./draws.js";
import { type Moment, Oracle, type Protocol, type Settings, type Sock } from "./oracle.js";
import type { DeviceName, LocalName, Op, Options, Program, Target } from "./program.js";
import { resultText, returnedText, sockaddrText } from "./transcript.js";

/** Slots for connections: twice the most time-wait sockets. */
const EHASH = 64;
/** Limits, so that programs stay small enough to be understood: beyond sockets, of a protocol. */
const MORE_DESCRIPTORS = 10;
const MAX_TASKS = 7;
/** Longer than the end of every connection: FIN_WAIT2 of 90 s, then TIME_WAIT. */
const LAST_TIMER = 300_000;

const SOCKETS = {
	tcp: [SOCK_STREAM, IPPROTO_TCP, "SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP"],
	udp: [SOCK_DGRAM, IPPROTO_UDP, "SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP"],
	udplite: [SOCK_DGRAM, IPPROTO_UDPLITE, "SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDPLITE"],
} as const;
const PROTOCOLS = ["tcp", "udp", "udplite"] as const;
/** The processes of each protocol in a transcript are numbered from here. */
const PIDS = { tcp: 100, udp: 200, udplite: 300 } as const;

/** Addresses as setUp() makes them; the IPv4 subnets of lo are local too. */
function isLocal(address: Addr, device: number, l3mdev: number): boolean {
	const { text, v4 } = address;
	if (address.wildcard) return true;
	if (v4 === null) {
		// Only lo has ::1.
		if (text === "::1") return device <= 1;
		return (l3mdev !== 0 ? ["2001:db8::20"] : ["2001:db8::10", "2001:db8:5::5"]).includes(text);
	}
	const { text: dotted } = asFamily(address, 4);
	if (l3mdev !== 0) return dotted === "192.0.2.20";
	return v4 >>> 24 === 127 || dotted === "192.0.2.10" || dotted === "203.0.113.5";
}

const DEVICES = ["dummy0", "vrf0", "dummy1"] as const;
const NAMES = [
	["192.0.2.10/32", "lo"],
	["203.0.113.5/32", "dummy0"],
	["192.0.2.20/32", "dummy1"],
	["2001:db8::10/128", "lo"],
	["2001:db8:5::5/128", "dummy0"],
	["2001:db8::20/128", "dummy1"],
] as const;
/** The commands that make a namespace. */
const commandsOf = ({ range, autobindReuse, twReuse }: Program): string[] => [
	"ip link add dummy0 type dummy",
	"ip link add vrf0 type vrf table 100",
	"ip link add dummy1 type dummy",
	...DEVICES.map((name) => `ip link set ${name} addrgenmode none`),
	"ip link set dummy1 master vrf0",
	...DEVICES.map((name) => `ip link set ${name} up`),
	...NAMES.map(([name, device]) => `ip addr add ${name} dev ${device}`),
	"ip route add default dev lo",
	"ip -6 route add default dev dummy0",
	"ip route add default dev dummy1 vrf vrf0",
	"ip -6 route add default dev dummy1 vrf vrf0",
	`sysctl -w net.ipv4.ip_local_port_range="${range.join(" ")}"`,
	`sysctl -w net.ipv4.ip_autobind_reuse=${autobindReuse ? 1 : 0}`,
	`sysctl -w net.ipv4.tcp_tw_reuse=${twReuse}`,
];

/** Namespace and user of each task. */
const USERS = [
	[0, 0],
	[0, 1000],
	[0, 1001],
	[0, 1000],
	[1, 1000],
] as const;

/** The address that disconnects. */
const NOBODY: Address = { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 };

/** The kernel's trace of one scan. */
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
	/** The moment when the search began, and the socket then. */
	moment: Moment;
	me: Sock;
	low: number;
	high: number;
	scans: TracedScan[];
	/** The chosen port; 0 if none, null if the search did not end. */
	chosen: number | null;
	/** For UDP: the drawn number. */
	rand: number;
}

/** An open file: a socket with descriptors in tasks. */
export interface OpenFile {
	protocol: Protocol;
	family: Family;
	sk: number;
	socket: number;
	descriptors: number;
	/** A bind() to this address or port succeeded, so the socket keeps it. */
	addressNamed: boolean;
	portNamed: boolean;
	/** The address of the last bind(). */
	bound: Addr;
}

/** The calls that concern ports. `socketState` is the state of the struct socket before. */
type Action =
	| {
			name: "bind";
			file: OpenFile;
			address: Addr;
			port: number;
			/** Whether bind() takes the address at all. */
			valid: boolean;
			/** IP_BIND_ADDRESS_NO_PORT. */
			addressOnly: boolean;
	  }
	| { name: "connect"; file: OpenFile; socketState: number }
	| { name: "listen"; file: OpenFile; socketState: number }
	| { name: "disconnect"; file: OpenFile }
	| { name: "send"; file: OpenFile }
	| { name: "other" };

export type Call = Action & {
	/** The moments before and after it. */
	before: Moment;
	after: Moment;
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

/** State that the sockets of one protocol share. Other protocols have other tasks. */
interface Side {
	protocol: Protocol;
	tasks: Task[];
	descriptors: Descriptor[];
	last: Extract<Op, { op: "open" | "session" }> | null;
}

/** A socket after bind(). On an IPv6 address it is closed to IPv4. */
export function boundTo(me: Sock, address: Addr): Sock {
	const closed = address.kind === "IPv6" && !address.wildcard;
	return { ...me, address, v6only: me.v6only || closed };
}

function nameOf({ family, text }: Addr, port: number): Address {
	return { family: family === 4 ? "AF_INET" : "AF_INET6", address: text, port };
}

function bytes(...ints: number[]): Uint8Array {
	return new Uint8Array(Int32Array.from(ints).buffer);
}

/** One run of a program. */
export class Run {
	readonly kernel: Kernel;
	readonly oracle: Oracle;
	/** The calls so far, with their results, as a script. */
	readonly transcript: string[] = [];
	private readonly namespaces: NetNamespace[] = [];
	private readonly random: SeparateRandom;
	private readonly sides: Record<Protocol, Side>;
	/** The moment after the last call; null if sockets were made since. */
	private now: Moment | null = null;
	private search: TracedSearch | null = null;
	private tuple: Call["tuple"] = null;
	private bound: Call["bound"] = null;

	constructor(
		private readonly program: Program,
		private readonly checks: readonly Check[],
		seed = program.seed,
	) {
		const { version, slots, udpSlots } = program;
		const tables = { ehash: EHASH, bhash: slots, lhash2: Math.min(slots, 16), udp: udpSlots };
		this.random = new SeparateRandom(seed);
		this.kernel = new Kernel({ random: this.random, version, tables });
		this.oracle = new Oracle(this.kernel);
		this.setUp(program);
		const side = (protocol: Protocol): Side => ({
			protocol,
			tasks: this.users(),
			descriptors: [],
			last: null,
		});
		this.sides = { tcp: side("tcp"), udp: side("udp"), udplite: side("udplite") };
		this.kernel.trace = this.tracer();
	}

	/** The first namespace and the users of its tasks, for the beginning of a script. */
	setUpLines(): string[] {
		const lines = commandsOf(this.program).map((command) => `$ ${command}`);
		for (const side of PROTOCOLS.map((protocol) => this.sides[protocol])) {
			for (const [i, [net, uid]] of USERS.entries())
				if (net === 0) lines.push(`${this.pid(side, side.tasks[i])} setuid(${uid}) = 0`);
		}
		return lines;
	}

	/** Two equal namespaces, each with a device in a VRF. No host answers behind their routes. */
	private setUp(program: Program): void {
		const { range, autobindReuse, twReuse } = program;
		// UDP and UDP-Lite share these secrets. The first one would draw them.
		const secrets = this.kernel.udp_table;
		secrets.udp_ehash_secret = this.random.get_random_u32();
		secrets.udp6_ehash_secret = this.random.get_random_u32();
		secrets.udp_ipv6_hash_secret = this.random.get_random_u32();
		for (let i = 0; i < 2; i++) {
			const net = this.kernel.createNet();
			for (const command of commandsOf(program)) {
				runSetup(this.kernel, net, words(command, 0).argv);
			}
			this.namespaces.push(net);
			this.oracle.settings.set(net.net.id, {
				range,
				reserved: new Set(),
				autobindReuse,
				twReuse,
				nonlocalBind: false,
				nonlocalBind6: false,
			});
			// Devices are numbered in the order of their making.
			const vrf0 = net.net.devices.find(({ name }) => name === "vrf0")?.ifindex ?? 0;
			for (const dev of [vrf0, vrf0 + 1]) this.oracle.vrfs.set(dev, vrf0);
		}
	}

	/** Tasks of three users. */
	private users(): Task[] {
		return USERS.map(([net, uid]) => this.kernel.createTask({ net: this.namespaces[net], uid }));
	}

	private tracer(): PortSearchTrace {
		const scan = () => this.search?.scans.at(-1);
		return {
			search: (kind, sk, low, high) => {
				const moment = this.oracle.moment();
				const me = moment.find(sk);
				this.search = { kind, moment, me, low, high, scans: [], chosen: null, rand: 0 };
			},
			scan: (low, remaining, offset, half, relax) => {
				if (this.search !== null) this.search.rand = this.random.last;
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
			look: () => {},
			bucket: () => {},
			tuple: (sk, port, verdict, blocker) => {
				this.tuple = { me: this.oracle.moment().find(sk), port, verdict, blocker };
			},
		};
	}

	private pid(side: Side, task: Task): number {
		return PIDS[side.protocol] + side.tasks.indexOf(task);
	}

	/** Records a call that changes nothing, with its result. */
	private note(descriptor: Descriptor, text: string): void {
		this.transcript.push(`${this.pid(this.side(descriptor), descriptor.task)} ${text}`);
	}

	/** Makes one call, keeps the diaries and shows it to the checks. */
	private call(
		text: string | (() => string),
		descriptor: Descriptor | null,
		action: Action,
		perform: () => number,
	): number {
		const side = descriptor === null ? null : this.side(descriptor);
		const task = descriptor?.task ?? null;
		const before = this.momentNow();
		this.search = null;
		this.tuple = null;
		this.bound = null;
		// Time passes for TCP only.
		this.random.use(side?.protocol ?? "tcp");
		const result = perform();
		const told = typeof text === "string" ? text : text();
		if (descriptor === null) this.transcript.push(told);
		else this.note(descriptor, `${told} = ${resultText(result)}`);

		const { search, tuple, bound } = this;
		this.keepDiary(action, result, before);
		const searched = search !== null || tuple !== null;
		const connected = action.name === "connect" && (searched || this.isUdp(action.file));
		const after = this.oracle.settle(connected ? before.find(action.file.sk) : null);
		this.now = after;
		const uid = task?.uid ?? 0;
		const call = { ...action, before, after, uid, result, search, tuple, bound };
		for (const check of this.checks) check(this, call);
		return result;
	}

	private momentNow(): Moment {
		this.now ??= this.oracle.moment();
		return this.now;
	}

	private isUdp(file: OpenFile): boolean {
		return file.protocol !== "tcp";
	}

	private keepDiary(action: Action, result: number, before: Moment): void {
		if (action.name !== "bind" && action.name !== "connect" && action.name !== "listen") return;
		const { file } = action;
		const udp = this.isUdp(file);
		const port = this.kernel.sock.skc_num[file.sk];
		const me = before.find(file.sk);
		if (action.name === "connect") {
			// Even if the connection was refused at once and the port is free again.
			const { search } = this;
			if (search?.chosen && !udp) this.oracle.join(search.me, search.chosen, "connect");
		} else if (action.name === "listen") {
			if (result === 0 && me.state === TCP_CLOSE) this.oracle.join(me, port, "listen");
		} else if (result === 0) {
			const { address } = action;
			if ((action.port !== 0 || !action.addressOnly) && !udp) {
				this.oracle.join(boundTo(me, address), port, "bind");
			}
			file.bound = address;
			// 0.0.0.0 and :: do not count as a chosen address, but the v4-mapped wildcard does.
			if (address !== ANY4 && address !== ANY6) file.addressNamed = true;
			if (action.port !== 0) file.portNamed = true;
		} else if (this.search !== null || this.bound !== null) {
			file.bound = file.family === 4 ? ANY4 : ANY6; // refused because of the port
		}
	}

	// Operations

	play(ops: readonly Op[]): void {
		for (const op of ops) this.perform(op);
	}

	/** Closes everything and lets every timer run out. */
	end(): void {
		for (const protocol of PROTOCOLS) {
			const side = this.sides[protocol];
			while (side.descriptors.length > 0) this.close(side.descriptors[0]);
		}
		this.advance(LAST_TIMER);
	}

	private side({ file }: Descriptor): Side {
		return this.sides[file.protocol];
	}

	/** The protocol side of an operation or of a socket's options. */
	private sideOf({ protocol }: { protocol: number }): Side {
		const { protocols } = this.program;
		return this.sides[protocols[protocol % protocols.length]];
	}

	private task(side: Side, index: number): Task {
		return side.tasks[index % side.tasks.length];
	}

	/** The descriptor of an operation. It suits the operation if this is asked for. */
	private descriptor(op: Extract<Op, { fd: number }>): Descriptor | undefined {
		const S = this.kernel.sock;
		const { descriptors } = this.sideOf(op);
		const fits = ({ file: { sk, socket } }: Descriptor) =>
			S.skc_state[sk] === TCP_CLOSE &&
			this.kernel.socket.state[socket] === SS_UNCONNECTED &&
			(op.op !== "bind" || S.skc_num[sk] === 0);
		const fitting = "fitting" in op && op.fitting ? descriptors.filter(fits) : [];
		const among = fitting.length > 0 ? fitting : descriptors;
		return among[op.fd % among.length];
	}

	private perform(op: Op): void {
		switch (op.op) {
			case "open":
				this.sideOf(op.options).last = op;
				this.begin(op);
				return;
			case "session":
				this.sides.tcp.last = op;
				this.begin(op);
				return;
			case "again": {
				const { last } = this.sideOf(op);
				if (op.ms > 0) this.advance(op.ms);
				if (last !== null) this.begin(last);
				return;
			}
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
				this.call(
					`connect(${fd}, ${sockaddrText(NOBODY)})`,
					descriptor,
					{ name: "disconnect", file },
					() => task.connect(fd, NOBODY),
				);
				return;
			case "accept":
				this.accept(descriptor);
				return;
			case "getsockname":
				this.tellName(descriptor);
				return;
			case "close":
				this.close(descriptor);
				return;
			case "dup": {
				const { descriptors } = this.side(descriptor);
				if (descriptors.length >= this.maxDescriptors) return;
				const copy = this.call(`dup(${fd})`, descriptor, other, () => task.dup(fd));
				file.descriptors++;
				descriptors.push({ task, fd: copy, file });
				return;
			}
			case "fork":
				this.fork(this.side(descriptor), task);
				return;
			case "shutdown":
				this.call(
					`shutdown(${fd}, ${["SHUT_RD", "SHUT_WR", "SHUT_RDWR"][op.how]})`,
					descriptor,
					other,
					() => task.shutdown(fd, op.how),
				);
				return;
			case "send":
				this.send(descriptor, op.size, op.to);
				return;
			case "recv":
				this.call(`recvfrom(${fd}, NULL, ${op.size}, 0, NULL, NULL)`, descriptor, other, () =>
					task.recv(fd, op.size, true),
				);
				return;
		}
	}

	private get maxDescriptors(): number {
		return this.program.room + MORE_DESCRIPTORS;
	}

	private fork(side: Side, task: Task): void {
		const own = side.descriptors.filter((descriptor) => descriptor.task === task);
		if (side.tasks.length >= MAX_TASKS) return;
		if (side.descriptors.length + own.length > this.maxDescriptors) return;
		const child = task.fork();
		side.tasks.push(child);
		const [parent, forked] = [task, child].map((one) => this.pid(side, one));
		this.transcript.push(`${parent} fork() = ${forked}`);
		for (const { fd, file } of own) {
			file.descriptors++;
			side.descriptors.push({ task: child, fd, file });
		}
	}

	private adopt(side: Side, family: Family, task: Task, fd: number): Descriptor {
		const socket = task.socketOf(fd);
		const sk = this.kernel.socket.sk[socket];
		this.oracle.users.set(sk, task.uid);
		this.now = null;
		const file: OpenFile = {
			protocol: side.protocol,
			family,
			sk,
			socket,
			descriptors: 1,
			addressNamed: false,
			portNamed: false,
			bound: family === 4 ? ANY4 : ANY6,
		};
		const descriptor = { task, fd, file };
		side.descriptors.push(descriptor);
		return descriptor;
	}

	private isFull({ descriptors }: Side): boolean {
		const files = new Set(descriptors.map((descriptor) => descriptor.file));
		return files.size >= this.program.room || descriptors.length >= this.maxDescriptors;
	}

	/** Opens a socket with its options, and binds it if it is to be bound. */
	private open(
		side: Side,
		task: Task,
		options: Options,
		bind: LocalName | null,
	): Descriptor | undefined {
		if (this.isFull(side)) return undefined;
		const { families } = this.program;
		const family = families[options.family % families.length];
		const [type, protocol, names] = SOCKETS[side.protocol];
		const fd = task.socket(family === 4 ? AF_INET : AF_INET6, type, protocol);
		const descriptor = this.adopt(side, family, task, fd);
		this.note(descriptor, `socket(AF_INET${family === 4 ? "" : 6}, ${names}) = ${fd}`);
		if (options.v6only && family === 6) this.set(descriptor, "v6only", true);
		for (const option of ["reuseaddr", "reuseport", "addressOnly", "freebind", "abort"] as const) {
			if (options[option]) this.set(descriptor, option, true);
		}
		if (options.device !== "") this.setDevice(descriptor, options.device);
		if (options.range !== null) this.setRange(descriptor, options.range);
		if (bind !== null) this.bind(descriptor, bind);
		return descriptor;
	}

	private begin(op: Extract<Op, { op: "open" | "session" }>): void {
		// Room for the listener and for the sockets that it accepts.
		const side = op.op === "session" ? this.sides.tcp : this.sideOf(op.options);
		while (this.isFull(side)) this.close(side.descriptors[op.task % side.descriptors.length]);
		if (op.op === "session") {
			this.session(op);
			return;
		}
		const descriptor = this.open(side, this.task(side, op.task), op.options, op.bind);
		if (descriptor === undefined) return;
		if (op.next === "listen") this.listen(descriptor, op.backlog);
		else if (op.next === "connect") this.connect(descriptor, op.target);
	}

	private session(op: Extract<Op, { op: "session" }>): void {
		const { tcp } = this.sides;
		const listener = this.listener(tcp, op.listener);
		if (listener === undefined) return;
		const client = this.open(
			tcp,
			op.task % 2 === 0 ? listener.task : this.task(tcp, op.task),
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

	/** A socket that listens, or a UDP socket that has a port. */
	private listener({ protocol, descriptors }: Side, index: number): Descriptor | undefined {
		const S = this.kernel.sock;
		const listening = descriptors.filter(({ file }) =>
			protocol === "tcp" ? S.skc_state[file.sk] === TCP_LISTEN : S.skc_num[file.sk] !== 0,
		);
		return listening[index % listening.length];
	}

	private set(
		descriptor: Descriptor,
		option: "reuseaddr" | "reuseport" | "addressOnly" | "freebind" | "abort" | "v6only",
		on: boolean,
	): void {
		const { task, fd } = descriptor;
		const value = on ? 1 : 0;
		const int = `[${value}], 4`;
		const linger = `{l_onoff=${value}, l_linger=0}, 8`;
		const [level, name, optval, text] = (
			{
				reuseaddr: [SOL_SOCKET, SO_REUSEADDR, value, `SOL_SOCKET, SO_REUSEADDR, ${int}`],
				reuseport: [SOL_SOCKET, SO_REUSEPORT, value, `SOL_SOCKET, SO_REUSEPORT, ${int}`],
				addressOnly: [
					SOL_IP,
					IP_BIND_ADDRESS_NO_PORT,
					value,
					`SOL_IP, IP_BIND_ADDRESS_NO_PORT, ${int}`,
				],
				freebind: [SOL_IP, IP_FREEBIND, value, `SOL_IP, IP_FREEBIND, ${int}`],
				abort: [SOL_SOCKET, SO_LINGER, bytes(value, 0), `SOL_SOCKET, SO_LINGER, ${linger}`],
				v6only: [SOL_IPV6, IPV6_V6ONLY, value, `SOL_IPV6, IPV6_V6ONLY, ${int}`],
			} as const
		)[option];
		this.call(`setsockopt(${fd}, ${text})`, descriptor, { name: "other" }, () =>
			task.setsockopt(fd, level, name, optval),
		);
	}

	private setRange(descriptor: Descriptor, [low, high]: readonly [number, number]): void {
		const { task, fd } = descriptor;
		const range = ((high << 16) | low) >>> 0;
		const text = `setsockopt(${fd}, SOL_IP, IP_LOCAL_PORT_RANGE, [${range}], 4)`;
		this.call(text, descriptor, { name: "other" }, () =>
			task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, range | 0),
		);
	}

	/**
	 * Only before the socket has a port. Later the kernel changes the VRF of the socket but not the
	 * bucket of its port, and connections that differ only in their devices may become equal.
	 */
	private setDevice(descriptor: Descriptor, device: DeviceName): void {
		const { task, fd, file } = descriptor;
		const S = this.kernel.sock;
		if (S.skc_num[file.sk] !== 0 || S.skc_state[file.sk] !== TCP_CLOSE) return;
		const name = Uint8Array.from([...device].map((c) => c.charCodeAt(0)));
		const text = `setsockopt(${fd}, SOL_SOCKET, SO_BINDTODEVICE, "${device}", ${device.length})`;
		this.call(text, descriptor, { name: "other" }, () =>
			task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name),
		);
	}

	private bind(descriptor: Descriptor, name: LocalName): void {
		const { task, fd, file } = descriptor;
		const { port } = name;
		const address = addr(file.family === 4 ? name.v4 : name.v6);
		const me = this.momentNow().find(file.sk);
		const flags = this.kernel.sock.inet_flags[file.sk];
		const settings = this.oracle.settings.get(me.net);
		const nonlocal = address.v4 !== null ? settings?.nonlocalBind : settings?.nonlocalBind6;
		const valid =
			nonlocal === true || (flags & INET_FREEBIND) !== 0 || isLocal(address, me.device, me.l3mdev);
		const addressOnly = (flags & INET_BIND_ADDRESS_NO_PORT) !== 0;
		const action: Action = { name: "bind", file, address, port, valid, addressOnly };
		const to = nameOf(address, port);
		this.call(`bind(${fd}, ${sockaddrText(to)})`, descriptor, action, () => task.bind(fd, to));
		this.tellPort(descriptor);
	}

	/** Records the current port of a socket, because the kernel's choice is part of a run. */
	private tellPort(descriptor: Descriptor): void {
		if (this.search !== null) this.tellName(descriptor);
	}

	private tellName(descriptor: Descriptor): void {
		const { task, fd } = descriptor;
		const name = task.getsockname(fd);
		if (typeof name === "number") throw new Error(`getsockname(${fd}) = ${name}`);
		this.note(descriptor, `getsockname(${fd}, ${returnedText(name)}) = 0`);
	}

	private listen(descriptor: Descriptor, backlog: number): void {
		const { task, fd, file } = descriptor;
		const socketState = this.kernel.socket.state[file.socket];
		this.call(`listen(${fd}, ${backlog})`, descriptor, { name: "listen", file, socketState }, () =>
			task.listen(fd, backlog),
		);
		this.tellPort(descriptor);
	}

	/** A destination for a socket of a family. */
	private address({ fd, file }: Descriptor, target: Target): Address {
		const { family, protocol } = file;
		const { sock } = this.kernel;
		if (!("listener" in target)) {
			return nameOf(addr(family === 4 ? target.v4 : target.v6), target.port);
		}
		const listener = this.listener(this.sides[protocol], target.listener);
		if (listener === undefined) return nameOf(asFamily(addr("127.0.0.1"), family), 9);
		const port = sock.skc_num[listener.file.sk];
		let { address } = this.momentNow().find(listener.file.sk);
		if (address.wildcard) {
			// A listener on the wildcard is reached at one of two addresses.
			const over6 = family === 6 && address === ANY6 && fd % 3 !== 0;
			const [one, other] = over6 ? ["::1", "2001:db8::10"] : ["127.0.0.1", "192.0.2.10"];
			address = addr(fd % 2 === 0 ? one : other);
		}
		const name = asFamily(address, family);
		return nameOf(name.family === family ? name : addr("127.0.0.1"), port);
	}

	private connect(descriptor: Descriptor, target: Target): void {
		const { task, fd, file } = descriptor;
		const to = this.address(descriptor, target);
		const socketState = this.kernel.socket.state[file.socket];
		const text = `connect(${fd}, ${sockaddrText(to)})`;
		this.call(text, descriptor, { name: "connect", file, socketState }, () =>
			task.connect(fd, to, undefined, true),
		);
		this.tellPort(descriptor);
	}

	private send(descriptor: Descriptor, size: number, target: Target | null): void {
		const { task, fd, file } = descriptor;
		const to = target === null ? null : this.address(descriptor, target);
		const where = to === null ? "NULL, 0" : sockaddrText(to);
		const text = `sendto(${fd}, "${"x".repeat(size)}", ${size}, 0, ${where})`;
		this.call(text, descriptor, { name: "send", file }, () =>
			task.sendto(fd, size, to, undefined, true),
		);
		this.tellPort(descriptor);
	}

	private accept(descriptor: Descriptor): Descriptor | undefined {
		const { task, fd, file: listener } = descriptor;
		const side = this.side(descriptor);
		if (this.isFull(side)) return undefined;
		let accepted: Descriptor | undefined;
		const peer: Partial<Address> = {};
		const text = () =>
			accepted === undefined
				? `accept4(${fd}, NULL, NULL, SOCK_NONBLOCK)`
				: `accept4(${fd}, ${returnedText(peer as Address)}, SOCK_NONBLOCK)`;
		this.call(text, descriptor, { name: "other" }, () => {
			const result = task.accept4(fd, 0, peer, true);
			if (result >= 0) {
				accepted = this.adopt(side, listener.family, task, result);
				accepted.file.addressNamed = listener.addressNamed;
				accepted.file.bound = this.oracle.moment().find(accepted.file.sk).address;
			}
			return result;
		});
		return accepted;
	}

	private close(descriptor: Descriptor): void {
		const { task, fd, file } = descriptor;
		const side = this.side(descriptor);
		side.descriptors = side.descriptors.filter((other) => other !== descriptor);
		file.descriptors--;
		this.call(`close(${fd})`, descriptor, { name: "other" }, () => {
			// Before the handle can be reused.
			if (file.descriptors === 0) this.oracle.users.delete(file.sk);
			return task.close(fd);
		});
	}

	private sysctl(net: number, name: string, value: string): void {
		const namespace = this.namespaces[net];
		const { id } = namespace.net;
		const path = name.startsWith("net.") ? name : `net.ipv4.${name}`;
		const command = `$ sysctl -w ${path}="${value.trim()}"`;
		const text = net === 0 ? command : `# in the other namespace: ${command}`;
		this.call(text, null, { name: "other" }, () => {
			const result = namespace.setSysctl(path, value);
			const old = this.oracle.settings.get(id);
			if (result === 0 && old !== undefined) {
				this.oracle.settings.set(id, changed(old, name, value));
			}
			return result;
		});
	}

	private advance(ms: number): void {
		this.call(`$ sleep ${ms / 1000}`, null, { name: "other" }, () => {
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
		case "net.ipv6.ip_nonlocal_bind":
			return { ...settings, nonlocalBind6: numbers[0] !== 0 };
		default:
			return settings;
	}
}

/** Plays a program with checks and closes everything. Adds the calls to an error. */
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
