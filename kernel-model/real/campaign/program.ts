// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Random programs of system calls, as scripts. Addresses, ports and ranges are few, so that
 * conflicts are common. An operation is a kind and five small numbers. The numbers and the model's
 * descriptors at this point determine the call.
 */
import {
	SOCK_CLOEXEC as O_CLOEXEC,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_SEQPACKET,
	SOCK_STREAM,
} from "../../../include/linux/net.js";
import { MSG_PEEK, MSG_TRUNC, MSG_WAITALL } from "../../../include/linux/socket.js";
import { NotModelled } from "../../../net/core/sock.js";
import type { Address } from "../../machine/address.js";
import { Kernel } from "../../machine/kernel.js";
import { nth } from "../../machine/nth.js";
import { SeededRandom } from "../../machine/random.js";
import type { Task } from "../../machine/task.js";
import { runSetup } from "../../script/setup.js";

/** The features of the kernel. */
export interface Abilities {
	version: string;
	/** Kinds of sockets that the kernel has. */
	kinds: readonly Kind[];
	/** The highest user id. */
	users: number;
	/** Whether devices can be made, including a VRF. */
	vrf: boolean;
	/** Sysctls of the list below that the kernel has. */
	sysctls: readonly string[];
	/** Results must not depend on single milliseconds. */
	exact?: boolean;
	/** Also makes programs with hundreds of sockets, and programs that let seconds pass. */
	long?: boolean;
	/** What programs leave out: names of WITHOUT, of operations and of socket options. */
	without?: readonly string[];
}

/** What programs can leave out, besides operations and socket options. */
export const WITHOUT: Readonly<Record<string, string>> = {
	ipv6: "sockets of IPv6",
	routes: "routes of the namespace",
	away: "destinations that are not addresses of the host",
	order: "ranges of more than one port, so that no search has a choice",
	autobind: "ports that the kernel chooses",
	users: "other users",
	mapped: "v4-mapped addresses and sockets of both families",
	wildcard: "wildcard addresses",
	scopes: "link-local addresses and their scopes",
};

export const KINDS = {
	tcp: { type: SOCK_STREAM, name: "SOCK_STREAM", protocol: "IPPROTO_TCP", number: 6 },
	udp: { type: SOCK_DGRAM, name: "SOCK_DGRAM", protocol: "IPPROTO_UDP", number: 17 },
	udplite: { type: SOCK_DGRAM, name: "SOCK_DGRAM", protocol: "IPPROTO_UDPLITE", number: 136 },
	mptcp: { type: SOCK_STREAM, name: "SOCK_STREAM", protocol: "IPPROTO_MPTCP", number: 262 },
	sctp: { type: SOCK_STREAM, name: "SOCK_STREAM", protocol: "IPPROTO_SCTP", number: 132 },
	sctpMany: { type: SOCK_SEQPACKET, name: "SOCK_SEQPACKET", protocol: "IPPROTO_SCTP", number: 132 },
	dccp: { type: SOCK_DCCP, name: "SOCK_DCCP", protocol: "IPPROTO_DCCP", number: 33 },
} as const;
export type Kind = keyof typeof KINDS;

const DATAGRAM: readonly Kind[] = ["udp", "udplite"];

/** The weight of each kind of operation, by mood. */
const OPERATIONS = {
	socket: [16, 20, 20, 14],
	option: [12, 10, 14, 8],
	range: [4, 4, 5, 2],
	read: [4, 2, 2, 8],
	bind: [22, 8, 40, 12],
	listen: [5, 1, 3, 9],
	connect: [10, 34, 3, 22],
	dissolve: [2, 3, 1, 2],
	send: [5, 6, 3, 8],
	receive: [2, 2, 1, 5],
	accept: [5, 1, 1, 14],
	names: [2, 1, 1, 2],
	shutdown: [2, 1, 0, 5],
	close: [9, 11, 12, 10],
	dup: [1, 1, 1, 2],
	nofile: [1, 1, 1, 1],
	unshare: [1, 1, 1, 1],
	setns: [1, 1, 1, 1],
	fork: [1, 1, 1, 1],
	exit: [1, 1, 1, 1],
	sysctl: [3, 2, 2, 2],
	crowd: [1, 0, 1, 0],
	flood: [1, 3, 1, 0],
	pile: [1, 0, 4, 1],
	meet: [2, 1, 1, 5],
	group: [1, 1, 0, 4],
	wait: [0, 1, 0, 1],
} as const;
type OperationKind = keyof typeof OPERATIONS;

export interface Operation {
	kind: OperationKind;
	/** Numbers from 0 to 255. 0 is the simplest choice. */
	n: readonly [number, number, number, number, number];
}

export interface Program {
	/** Chooses the namespace's range. */
	world: number;
	operations: readonly Operation[];
}

/** Draws numbers for programs. */
class Dice {
	private readonly random: SeededRandom;

	constructor(seed: number) {
		this.random = new SeededRandom(seed);
	}

	/** A number from 0 to `ceil` - 1. */
	below(ceil: number): number {
		return Math.floor((this.random.get_random_u32() / 0x1_0000_0000) * ceil);
	}

	/** A number from 0 to 255. An uneven one is often near an end, where the odd cases are. */
	byte(uneven: boolean): number {
		if (!uneven || this.below(2) === 0) return this.below(256);
		return this.below(3) === 0 ? 248 + this.below(8) : this.below(8);
	}
}

function mood(dice: Dice, index: 0 | 1 | 2 | 3, most: number): Operation[] {
	const kinds = Object.keys(OPERATIONS) as OperationKind[];
	const total = kinds.reduce((sum, name) => sum + OPERATIONS[name][index], 0);
	const uneven = dice.below(2) === 0;
	// Programs are long, because short ones reach little.
	const length = dice.below((uneven && dice.below(2) === 0 ? Math.log2(most) : most) + 1);
	const operations: Operation[] = [];
	for (let i = 0; i < length; i++) {
		let left = dice.below(total);
		const kind = kinds.find((name) => {
			left -= OPERATIONS[name][index];
			return left < 0;
		});
		const byte = () => dice.byte(uneven);
		operations.push({
			kind: kind ?? "socket",
			n: [byte(), byte(), byte(), byte(), byte()],
		});
	}
	return operations;
}

/** Program number `number` of a seed: about `size` operations at most. */
export function programOf(seed: number, number: number, size: number): Program {
	const dice = new Dice(Math.imul(seed, 0x9e3779b9) ^ number);
	const middle = ([1, 2, 3] as const)[dice.below(3)] ?? 1;
	const last = dice.below(2) === 0 ? 3 : 0;
	return {
		world: dice.below(256),
		operations: [
			...mood(dice, 0, size / 4),
			...mood(dice, middle, size / 2),
			...mood(dice, last, size / 4),
		],
	};
}

/** A sockaddr_in as a script has it. */
export const in4 = (port: string, address: string) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}`;

/** A sockaddr_in6 as a script has it. The address may have a scope: "fe80::1%lo", "fe80::1%9". */
export function in6(port: string, address: string): string {
	const [text, scope = "0"] = address.split("%");
	const id = /^[0-9]+$/.test(scope) ? scope : `if_nametoindex("${scope}")`;
	return `{sa_family=AF_INET6, sin6_port=htons(${port}), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "${text}", &sin6_addr), sin6_scope_id=${id}}`;
}

/** Entry `n` of a list that begins anew at its end. */
function pick<T>(values: readonly T[], n: number): T {
	return nth(values, n % values.length);
}

const V4 = ["127.0.0.1", "0.0.0.0", "127.0.0.2", "192.0.2.10"];
const V6 = ["::1", "::", "2001:db8::10", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:192.0.2.10"];
const ODD4 = ["203.0.113.77", "224.0.0.1"];
const ODD6 = ["2001:db8::77", "::ffff:203.0.113.77", "ff02::1", "::7f00:1"];
const AWAY4 = ["198.51.100.1", "203.0.113.5", "203.0.113.200"];
const AWAY6 = ["::ffff:198.51.100.1", "::ffff:203.0.113.200", "2001:db8:2::1", "2001:db8:9::1"];
/** Addresses of a device in the VRF, and of a device outside. */
const VRF4 = ["198.51.100.10", "203.0.113.10"];
const VRF6 = ["2001:db8:1::10", "::ffff:198.51.100.10", "2001:db8:3::10"];
/** Link-local addresses: those of lo, with and without their scope, and with the scope of no device. */
const SCOPED = ["fe80::1%lo", "fe80::2%lo", "fe80::1%lo", "fe80::1", "fe80::1%99"];
/** Those of devices outside lo. Their MAC addresses are 02:00:00:00:00:01 and :02. */
const SCOPED_VRF = ["fe80::ff:fe00:1%dummy0", "fe80::ff:fe00:2%dummy1", "fe80::ff:fe00:1%vrf0"];
/** Link-local destinations that nobody has. */
const SCOPED_AWAY = ["fe80::9%lo", "fe80::9"];
const PORTS = [40000, 40001, 40003, 40006, 39999, 45000, 81];

const SOL = { SOL_SOCKET: 1, SOL_IP: 0, SOL_IPV6: 41, SOL_TCP: 6 } as const;
type Level = keyof typeof SOL;
export const FLAGS: readonly [Level, string, number][] = [
	["SOL_SOCKET", "SO_REUSEADDR", 2],
	["SOL_SOCKET", "SO_REUSEPORT", 15],
	["SOL_SOCKET", "SO_REUSEADDR", 2],
	["SOL_SOCKET", "SO_REUSEPORT", 15],
	["SOL_IP", "IP_BIND_ADDRESS_NO_PORT", 24],
	["SOL_IPV6", "IPV6_V6ONLY", 26],
	["SOL_IP", "IP_FREEBIND", 15],
	["SOL_IPV6", "IPV6_V6ONLY", 26],
	["SOL_IPV6", "IPV6_FREEBIND", 78],
];
export const READ: readonly [Level, string][] = [
	["SOL_IP", "IP_LOCAL_PORT_RANGE"],
	["SOL_SOCKET", "SO_ERROR"],
	["SOL_SOCKET", "SO_ERROR"],
	["SOL_SOCKET", "SO_REUSEADDR"],
	["SOL_SOCKET", "SO_REUSEPORT"],
	["SOL_IP", "IP_BIND_ADDRESS_NO_PORT"],
	["SOL_IP", "IP_FREEBIND"],
	["SOL_IPV6", "IPV6_V6ONLY"],
	["SOL_IPV6", "IPV6_FREEBIND"],
	["SOL_SOCKET", "SO_LINGER"],
	["SOL_IP", "IP_PROTOCOL"],
	["SOL_SOCKET", "SO_BINDTODEVICE"],
	["SOL_SOCKET", "SO_ACCEPTCONN"],
	["SOL_SOCKET", "SO_TYPE"],
	["SOL_SOCKET", "SO_PROTOCOL"],
	["SOL_SOCKET", "SO_DOMAIN"],
];
/**
 * Options of TCP that decide when a connection ends, with their numbers, and values to set. None of
 * these values ends a connection within the time that a program takes, but for a negative
 * TCP_LINGER2, which ends it at close().
 */
const ENDS: readonly [Level, string, number, readonly number[]][] = [
	["SOL_TCP", "TCP_LINGER2", 8, [-1, 0, 121, -2147483648, 60]],
	["SOL_TCP", "TCP_SYNCNT", 7, [0, 127, 128, -1, 4]],
	["SOL_TCP", "TCP_USER_TIMEOUT", 18, [0, -1, 2147483647, 60000]],
	["SOL_SOCKET", "SO_KEEPALIVE", 9, [1, 0, -1]],
	["SOL_TCP", "TCP_KEEPIDLE", 4, [0, 32767, 32768, -1, 600]],
	["SOL_TCP", "TCP_KEEPINTVL", 5, [0, 32767, 32768, 1]],
	["SOL_TCP", "TCP_KEEPCNT", 6, [0, 127, 128, 1]],
	["SOL_TCP", "TCP_RTO_MAX_MS", 44, [999, 1000, 120000, 120001, 1001]],
	["SOL_TCP", "TCP_RTO_MIN_US", 45, [200000, 4000, 199999, -1]],
];
/** Flags of a receive besides MSG_DONTWAIT, with their numbers. */
const RECEIVE_FLAGS: readonly (readonly [string, number])[] = [
	["", 0],
	["", 0],
	["", 0],
	["|MSG_PEEK", MSG_PEEK],
	["", 0],
	["|MSG_WAITALL", MSG_WAITALL],
	["|MSG_PEEK|MSG_TRUNC", MSG_PEEK | MSG_TRUNC],
	["|MSG_TRUNC", MSG_TRUNC],
];
/** Bounds of IP_LOCAL_PORT_RANGE; 0 leaves one to the namespace. */
const RANGES = [
	[40000, 40003],
	[0, 0],
	[40004, 40004],
	[40001, 40005],
	[40000, 40015],
	[40005, 0],
	[0, 40002],
	[39990, 40001],
	[40006, 45000],
	[81, 83],
	[45000, 45001],
	[40005, 40001], // upside down
] as const;
const NAMESPACE_RANGES = [
	"40000 40015",
	"40000 40007",
	"40000 40023",
	"40000 40039",
	"40001 40004",
	"40003 40003",
	"39999 40010",
	"40007 40000",
];
const PORT_RANGE = "net.ipv4.ip_local_port_range";
export const SYSCTLS: Readonly<Record<string, readonly string[]>> = {
	"net.ipv4.ip_local_port_range": NAMESPACE_RANGES,
	"net.ipv4.ip_local_reserved_ports": [
		"",
		"40002-40003",
		"40000,40005,40010-40012",
		"40000-40015",
		"40001,45000",
	],
	"net.ipv4.ip_autobind_reuse": ["1", "0"],
	"net.ipv4.ip_nonlocal_bind": ["0", "1", "0"],
	"net.ipv4.ip_unprivileged_port_start": ["1024", "0", "40002"],
	"net.ipv4.tcp_tw_reuse": ["0", "1", "2"],
	"net.ipv4.tcp_tw_reuse_delay": ["1000", "5", "1"],
	"net.ipv6.bindv6only": ["0", "1"],
	"net.ipv6.ip_nonlocal_bind": ["0", "1", "0"],
	"net.ipv4.tcp_l3mdev_accept": ["1", "0"],
	"net.ipv4.udp_l3mdev_accept": ["1", "0"],
	"net.ipv4.ip_local_port_step_width": ["3", "0", "100"],
	"net.ipv4.tcp_abort_on_overflow": ["1", "0"],
	"net.ipv4.tcp_rfc1337": ["1", "0"],
	"net.ipv4.tcp_max_tw_buckets": ["1", "65536", "0", "3"],
	"net.ipv4.tcp_keepalive_time": ["600", "-1", "8589935"],
	"net.ipv4.tcp_orphan_retries": ["3", "0", "256"],
	"net.ipv4.tcp_retries2": ["8", "15", "-1"],
	"net.ipv4.tcp_rto_max_ms": ["1000", "999", "120000"],
};
/** Ranges in which a search has no choice. */
const ONE_PORT = ["40003 40003", "40000 40000", "40001 40001", "45000 45000"];
/** For programs with more sockets. */
const WIDE_RANGES = ["40000 40127", "40001 40100", "40000 40255", "32768 60999"];
const VRF_SYSCTLS = ["net.ipv4.tcp_l3mdev_accept", "net.ipv4.udp_l3mdev_accept"];

/** Most live sockets of a task, in usual programs and in programs with many; most tasks. */
const LIVE = 20;
const MANY = 400;
/** Seconds. The last one is longer than a delayed ACK waits. */
const SLEEPS = [0.002, 0.012, 0.002, 0.012, 0.002, 0.012, 0.002, 0.05];
/** A program that lets time pass does so after this many operations. */
const PAUSE = 80;
const TASKS = 3;
/** Most namespaces of a program besides the first one. */
const NAMESPACES = 2;
/** The hard limit of descriptors that a program sets. Machines allow more. */
const NOFILE = 1024;
/** Most operations under a low limit of descriptors. */
const NARROW = 16;

interface Sock {
	kind: Kind;
	six: boolean;
	listens: boolean;
	connected: boolean;
}

interface Process {
	pid: number;
	task: Task;
	fds: Map<number, Sock>;
	/** Operations that are left under a low limit of descriptors. */
	narrow: number;
}

class Renderer {
	readonly lines: string[] = [];
	private readonly kernel: Kernel;
	private readonly processes: Process[] = [];
	private pids = 1000;
	/** The namespace of the first process. */
	private net;
	/** Namespaces that the program has made. */
	private namespaces = 0;

	constructor(
		private readonly program: Program,
		private readonly can: Abilities,
	) {
		this.kernel = new Kernel({ version: can.version, seed: 1 });
		this.net = this.kernel.createNet();
		this.processes.push({
			pid: 0,
			task: this.kernel.createTask({ net: this.net }),
			fds: new Map(),
			narrow: 0,
		});
	}

	render(): string[] {
		const { world, operations } = this.program;
		this.addresses();
		if (this.inVrf) this.setupVrf();
		this.portRange();
		const pauses = this.can.long === true && world % 32 === 5;
		for (const [i, { kind, n }] of operations.entries()) {
			// A program gets many sockets if its ranges do not change.
			if (this.many && kind === "close" && i % 4 !== 0) continue;
			const again = this.many && (kind === "bind" || kind === "connect") ? 4 : 1;
			for (let j = 0; j < again; j++) {
				if (again > 1) this.operation("socket", n);
				this.operation(kind, n);
			}
			if (pauses && i % PAUSE === PAUSE - 1) this.setup("sleep 1.1");
		}
		return this.lines;
	}

	/** Addresses and routes of lo. */
	private addresses(): void {
		this.setup("ip addr add 192.0.2.10/32 dev lo");
		this.setup("ip addr add 2001:db8::10/128 dev lo nodad");
		if (this.scoped) {
			this.setup("ip addr add fe80::1/64 dev lo nodad");
			this.setup("ip addr add fe80::2/64 dev lo nodad");
		}
		if (!this.without("routes")) {
			this.setup("ip route add default dev lo");
			this.setup("ip route add prohibit 203.0.113.200/32");
			this.setup("ip -6 route add unreachable 2001:db8:2::/48");
		}
	}

	private portRange(): void {
		const { world } = this.program;
		const range = this.without("order")
			? nth(ONE_PORT, world % ONE_PORT.length)
			: this.many
				? nth(WIDE_RANGES, (world >> 3) % 4)
				: nth(NAMESPACE_RANGES, world % 5);
		this.sysctl("net.ipv4.ip_local_port_range", range);
	}

	private without(name: string): boolean {
		return this.can.without?.includes(name) === true;
	}

	private six(wanted: boolean): boolean {
		return wanted && !this.without("ipv6");
	}

	/** Whether the call would make the kernel choose a port, and programs leave this out. */
	private choosesPort(process: Process, fd: number): boolean {
		if (!this.without("autobind")) return false;
		const name = process.task.getsockname(fd);
		return typeof name === "number" || name.port === 0;
	}

	/** Many sockets in wide ranges, which are still used up. */
	private get many(): boolean {
		return this.can.long === true && this.program.world % 8 === 2;
	}

	private get live(): number {
		return this.many ? MANY : LIVE;
	}

	/** Few programs have MPTCP, because the agent waits for its worker after each call. */
	private get kinds(): readonly Kind[] {
		const { kinds } = this.can;
		const others = kinds.filter((kind) => kind !== "mptcp");
		return this.program.world % 4 === 3 || others.length === 0 ? kinds : others;
	}

	/** Whether the program has link-local addresses. */
	private get scoped(): boolean {
		const left = this.without("scopes") || this.without("ipv6");
		return !left && (this.program.world >> 2) % 4 === 1;
	}

	private get inVrf(): boolean {
		return this.can.vrf && this.program.world >= 128;
	}

	private setupVrf(): void {
		const mac = (last: number) => (this.scoped ? ` address 02:00:00:00:00:0${last}` : "");
		for (const command of [
			"link add vrf0 type vrf table 10",
			"link set vrf0 up",
			`link add dummy0${mac(1)} type dummy`,
			`link add dummy1${mac(2)} type dummy`,
			"link set dummy0 master vrf0",
			"link set dummy0 up",
			"link set dummy1 up",
			"addr add 198.51.100.10/24 dev dummy0",
			"addr add 2001:db8:1::10/64 dev dummy0 nodad",
			"addr add 203.0.113.10/24 dev dummy1",
			"addr add 2001:db8:3::10/64 dev dummy1 nodad",
		]) {
			this.setup(`ip ${command}`);
		}
		// The model does not have this setting.
		this.write(nth(this.processes, 0), "net.ipv4.icmp_ratelimit", "0");
	}

	private setup(command: string): void {
		runSetup(this.kernel, this.net, command.split(" "));
		this.lines.push(`$ ${command}`);
	}

	private sysctl(name: string, value: string): void {
		try {
			runSetup(this.kernel, this.net, ["sysctl", "-w", `${name}=${value}`]);
		} catch {
			// The kernel may accept a call that the model refuses or does not have.
		}
		this.lines.push(`$ sysctl -w ${name}="${value}"`);
	}

	/** Makes the call as a program does, so a refusal is also a result. */
	private write(process: Process, name: string, value: string): void {
		const { task } = process;
		const fd = task.openOther();
		this.say(process, `openat(AT_FDCWD, "/proc/sys/${name.replaceAll(".", "/")}", O_WRONLY)`);
		if (fd < 0) return;
		this.say(process, `write(${fd}, "${value}\\n", ${value.length + 1})`);
		this.perform(() => task.net.setSysctl(name, `${value}\n`));
		this.say(process, `close(${fd})`);
		task.close(fd);
	}

	private say(process: Process, call: string): void {
		this.lines.push(process.pid === 0 ? call : `${process.pid} ${call}`);
	}

	/** Makes the call on the model, so later operations know the descriptors. */
	private perform(run: () => number): number {
		try {
			return run();
		} catch (error) {
			if (error instanceof NotModelled) return -1;
			throw error;
		}
	}

	private operation(kind: OperationKind, n: Operation["n"]): void {
		const [a, b, c, d] = n;
		if (this.without(kind)) return;
		const process = pick(this.processes, Math.max(0, a - 128));
		const { fds } = process;
		if (process.narrow > 0 && --process.narrow === 0) this.setNofile(process, NOFILE);
		if (kind === "nofile") {
			this.nofile(process, n);
			return;
		}
		if (kind === "sysctl") {
			const names = this.can.sysctls.filter(
				(name) =>
					(this.inVrf || !VRF_SYSCTLS.includes(name)) && !(this.many && name === PORT_RANGE),
			);
			const name = pick(names, b);
			const order = name === PORT_RANGE && this.without("order");
			const values = order ? ONE_PORT : (SYSCTLS[name] ?? [""]);
			const value = pick(values, c);
			const timed = this.can.exact === true && name.endsWith("tw_reuse_delay");
			this.write(process, name, timed ? nth(values, 0) : value);
			return;
		}
		if (kind === "fork") {
			this.fork(b, c);
			return;
		}
		if (kind === "exit") {
			this.exit(b);
			return;
		}
		if (kind === "unshare") {
			this.unshare(process, b, c);
			return;
		}
		if (kind === "wait") {
			this.setup(`sleep ${nth(SLEEPS, b % SLEEPS.length)}`);
			return;
		}
		if (kind === "flood") {
			this.flood(process, n);
			return;
		}
		if (kind === "pile") {
			this.pile(process, n);
			return;
		}
		if (kind === "meet") {
			this.meet(process, n);
			return;
		}
		if (kind === "group") {
			this.group(process, n);
			return;
		}
		if (kind === "crowd") {
			this.crowd(process, n);
			return;
		}
		if (kind === "socket" || fds.size === 0) {
			const fd = this.socket(process, pick(this.kinds, b), this.six(c % 2 === 1), d);
			if (this.inVrf && fd >= 0 && n[4] % 2 === 1) this.device(process, fd, n[4] >> 1);
			return;
		}
		if (kind === "setns") {
			this.setns(process, pick([...fds.keys()], b));
			return;
		}
		const all = [...fds.keys()];
		const likely = all.filter((fd) => this.fits(kind, fds.get(fd), process, fd));
		const from = likely.length > 0 && a % 8 !== 7 ? likely : all;
		const fd = pick(from, b);
		const sock = fds.get(fd);
		if (sock === undefined) return;
		switch (kind) {
			case "option":
				this.option(process, fd, sock, n);
				return;
			case "range":
				this.range(process, fd, c);
				return;
			case "read":
				this.read(process, fd, sock, c, d);
				return;
			case "bind":
				this.bind(process, fd, sock, n);
				return;
			case "listen": {
				if (this.choosesPort(process, fd)) return;
				const backlog = nth([3, 0, 1, 2], c % 4);
				this.say(process, `listen(${fd}, ${backlog})`);
				if (this.perform(() => process.task.listen(fd, backlog)) === 0) sock.listens = true;
				return;
			}
			case "connect":
				this.connect(process, fd, sock, n);
				return;
			case "dissolve":
				this.say(
					process,
					`connect(${fd}, {sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}, 16)`,
				);
				this.perform(() =>
					process.task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 }, 16),
				);
				sock.listens = false;
				sock.connected = false;
				return;
			case "send":
				this.send(process, fd, sock, n);
				return;
			case "receive":
				this.receive(process, fd, n);
				return;
			case "accept": {
				this.say(process, `accept4(${fd}, {sa_family=AF_UNSPEC}, [28], SOCK_NONBLOCK)`);
				const child = this.perform(() => process.task.accept4(fd, 0o4000, {}, true));
				if (child >= 0) {
					fds.set(child, { ...sock, listens: false, connected: true });
					this.limit(process, d);
				}
				return;
			}
			case "names":
				this.say(process, `${c % 2 === 0 ? "getpeername" : "getsockname"}(${fd})`);
				return;
			case "shutdown": {
				const how = nth(["SHUT_RDWR", "SHUT_WR", "SHUT_RD"], c % 3);
				this.say(process, `shutdown(${fd}, ${how})`);
				this.perform(() => process.task.shutdown(fd, nth([2, 1, 0], c % 3)));
				return;
			}
			case "close":
				this.close(process, fd);
				return;
			case "dup":
				this.dup(process, fd, sock, n);
				return;
			default:
				return;
		}
	}

	/** Whether the operation is likely to do something on that socket. */
	private fits(kind: OperationKind, sock: Sock | undefined, process: Process, fd: number): boolean {
		if (sock === undefined) return false;
		const datagram = DATAGRAM.includes(sock.kind);
		switch (kind) {
			case "accept":
				return sock.listens;
			case "bind": {
				const name = process.task.getsockname(fd);
				return typeof name !== "number" && name.port === 0;
			}
			case "listen":
				return !datagram && !sock.listens && !sock.connected;
			case "connect":
				return !sock.listens && !sock.connected;
			case "send":
				return datagram || sock.connected;
			case "shutdown":
				return sock.connected;
			default:
				return true;
		}
	}

	/** Duplicates a descriptor: at any number, at one near the limit, or from one on. */
	private dup(process: Process, fd: number, sock: Sock, n: Operation["n"]): void {
		const { task, fds } = process;
		const [, , c, d, e] = n;
		const near = Math.min(task.nofile, fds.size + 3 + (c % 4));
		const at = c % 8 < 4 ? near - 1 + (c % 4) : pick([...fds.keys()], c >> 3);
		let copy: number;
		if (e % 8 === 5) {
			this.say(process, `dup2(${fd}, ${at})`);
			copy = this.perform(() => task.dup2(fd, at));
		} else if (e % 8 === 6) {
			this.say(process, `dup3(${fd}, ${at}, O_CLOEXEC)`);
			copy = this.perform(() => task.dup3(fd, at, O_CLOEXEC));
		} else if (e % 8 === 7) {
			this.say(process, `fcntl(${fd}, F_DUPFD, ${at})`);
			copy = this.perform(() => task.dupfd(fd, at, false));
		} else {
			this.say(process, `dup(${fd})`);
			copy = this.perform(() => task.dup(fd));
		}
		if (copy < 0) return;
		fds.set(copy, sock);
		this.limit(process, d);
	}

	private setNofile(process: Process, limit: number, most = NOFILE): void {
		const limits = `{rlim_cur=${limit}, rlim_max=${most}}`;
		this.say(process, `prlimit64(0, RLIMIT_NOFILE, ${limits}, NULL)`);
		this.perform(() => process.task.setrlimit(limit, most));
	}

	/** For some operations the process gets few descriptors, or none. */
	private nofile(process: Process, n: Operation["n"]): void {
		const [, b, c, d] = n;
		const open = process.fds.size + 3;
		this.setNofile(process, pick([open, open + 1, open + 2, open + 4, open - 1, 3, 0], b));
		if (d % 16 === 15) this.setNofile(process, NOFILE + 1, NOFILE); // EINVAL
		process.narrow = 1 + (c % NARROW);
	}

	private limit(process: Process, n: number): void {
		if (process.fds.size > this.live) this.close(process, pick([...process.fds.keys()], n));
	}

	private close(process: Process, fd: number): void {
		this.say(process, `close(${fd})`);
		this.perform(() => process.task.close(fd));
		process.fds.delete(fd);
	}

	private socket(process: Process, kind: Kind, six: boolean, d: number): number {
		const { type, name, protocol, number } = KINDS[kind];
		const implied = (kind === "tcp" || kind === "udp") && d % 2 === 0;
		this.say(
			process,
			`socket(${six ? "AF_INET6" : "AF_INET"}, ${name}|SOCK_NONBLOCK, ${implied ? "IPPROTO_IP" : protocol})`,
		);
		const fd = this.perform(() =>
			process.task.socket(six ? 10 : 2, type | 0o4000, implied ? 0 : number),
		);
		if (fd < 0) return fd;
		process.fds.set(fd, { kind, six, listens: false, connected: false });
		this.limit(process, d);
		return fd;
	}

	private set(
		process: Process,
		fd: number,
		level: Level,
		option: string,
		number: number,
		value: number,
	): void {
		if (this.without(option)) return;
		this.say(process, `setsockopt(${fd}, ${level}, ${option}, [${value}], 4)`);
		this.perform(() => process.task.setsockopt(fd, SOL[level], number, value));
	}

	private device(process: Process, fd: number, n: number): void {
		const names = this.inVrf ? ["lo", "vrf0", "dummy0", "dummy1", "", "none"] : ["lo", "", "none"];
		if (this.without("SO_BINDTODEVICE")) return;
		const name = pick(names, n);
		this.say(
			process,
			`setsockopt(${fd}, SOL_SOCKET, SO_BINDTODEVICE, "${name}\\0", ${name.length + 1})`,
		);
		const bytes = new TextEncoder().encode(`${name}\0`);
		this.perform(() => process.task.setsockopt(fd, 1, 25, bytes));
	}

	private option(process: Process, fd: number, sock: Sock, n: Operation["n"]): void {
		const [, , c, d, e] = n;
		if (c % 16 === 15) {
			if (this.without("SO_LINGER")) return;
			const on = d % 3 === 2 ? 0 : 1;
			this.say(process, `setsockopt(${fd}, SOL_SOCKET, SO_LINGER, {l_onoff=${on}, l_linger=0}, 8)`);
			const bytes = Uint8Array.of(on, 0, 0, 0, 0, 0, 0, 0);
			this.perform(() => process.task.setsockopt(fd, 1, 13, bytes));
			return;
		}
		if (c % 16 === 13) {
			const [level, option, number, values] = pick(ENDS, d);
			this.set(process, fd, level, option, number, pick(values, e));
			return;
		}
		// Streams bound to different devices can have the same four-tuple, and race with each
		// other.
		if (c % 16 === 14 && (this.inVrf || DATAGRAM.includes(sock.kind))) {
			this.device(process, fd, d);
			return;
		}
		if (sock.kind === "mptcp" && c % 16 === 13) {
			this.set(process, fd, "SOL_SOCKET", "SO_KEEPALIVE", 9, 1);
			return;
		}
		const flags = sock.six || e % 4 === 3 ? FLAGS : FLAGS.filter(([level]) => level !== "SOL_IPV6");
		const [level, option, number] = pick(flags, d);
		this.set(process, fd, level, option, number, nth([1, 1, 1, 0, 0, 2, -1], e % 7));
	}

	private range(process: Process, fd: number, c: number): void {
		const [lowest, highest] = pick(RANGES, c);
		this.set(process, fd, "SOL_IP", "IP_LOCAL_PORT_RANGE", 51, (highest << 16) | lowest);
	}

	private read(process: Process, fd: number, sock: Sock, c: number, d: number): void {
		if (d % 8 === 6) {
			const [level, option] = pick(ENDS, c);
			if (!this.without(option)) this.say(process, `getsockopt(${fd}, ${level}, ${option})`);
			return;
		}
		const options = sock.six || d % 4 === 3 ? READ : READ.filter(([level]) => level !== "SOL_IPV6");
		const [level, option] = pick(options, c);
		if (this.without(option)) return;
		this.say(process, `getsockopt(${fd}, ${level}, ${option})`);
		if (option === "SO_ERROR") this.perform(() => Number(process.task.getsockopt(fd, 1, 4) === 0));
	}

	private name(six: boolean, address: string, port: string): string {
		return six ? in6(port, address) : in4(port, address);
	}

	private address(six: boolean, address: string, port: number): Address {
		const [text = address, scope] = address.split("%");
		if (scope === undefined) return { family: six ? "AF_INET6" : "AF_INET", address, port };
		const device = this.net.net.devices.find(({ name }) => name === scope);
		const scope_id = device?.ifindex ?? (Number(scope) || 0);
		return { family: "AF_INET6", address: text, port, scope_id };
	}

	private here(six: boolean): string[] {
		const base = six ? V6 : V4;
		const scoped = six && this.scoped ? SCOPED : [];
		if (!this.inVrf) return [...base, ...scoped];
		const devices = scoped.length > 0 ? SCOPED_VRF : [];
		return [...base, ...(six ? VRF6 : VRF4), ...scoped, ...devices];
	}

	private bind(process: Process, fd: number, sock: Sock, n: Operation["n"]): void {
		const [, , c, d, e] = n;
		const six = this.six(e % 16 === 15 ? !sock.six : sock.six);
		const here = this.here(six);
		const odd = six ? ODD6 : ODD4;
		const address = c >= 240 ? pick(odd, c) : pick(here, c);
		const port = d % 2 === 0 && !this.without("autobind") ? 0 : pick(PORTS, d >> 1);
		let length = six ? 28 : 16;
		if (e >= 250) length = nth([0, 2, 8, 15, 24, 27], e - 250);
		this.say(process, `bind(${fd}, ${this.name(six, address, String(port))}, ${length})`);
		this.perform(() => process.task.bind(fd, this.address(six, address, port), length));
	}

	/** A destination: the port of another socket at an address of this host, or another host. */
	private target(
		process: Process,
		sock: Sock,
		six: boolean,
		c: number,
		d: number,
	): [string, string, number] {
		const here = this.here(six).filter(
			(address) => address !== "0.0.0.0" && address !== "::ffff:0.0.0.0",
		);
		const address = pick(here, c >> 2);
		const meets = [...process.fds].filter(([, other]) => {
			const family = (kind: Kind) => (kind === "mptcp" ? KINDS.tcp : KINDS[kind]).number;
			const meets = family(other.kind) === family(sock.kind);
			return meets && (other.listens || DATAGRAM.includes(other.kind));
		});
		if (c % 4 < 2 && meets.length > 0) {
			const [fd] = pick(meets, d);
			const name = process.task.getsockname(fd);
			const port = typeof name === "number" ? 0 : name.port;
			return [address, `port_of(${fd})`, port];
		}
		if (c % 4 === 2) {
			const port = pick(PORTS, d);
			return [address, String(port), port];
		}
		const away = six ? [...AWAY6, ...(this.scoped ? SCOPED_AWAY : [])] : AWAY4;
		return [pick(this.without("away") ? here : away, d), "80", 80];
	}

	private connect(process: Process, fd: number, sock: Sock, n: Operation["n"]): void {
		if (this.choosesPort(process, fd)) return;
		const [, , c, d, e] = n;
		const six = this.six(e % 16 === 15 ? !sock.six : sock.six);
		const [address, port, number] = this.target(process, sock, six, c, d);
		this.say(process, `connect(${fd}, ${this.name(six, address, port)}, ${six ? 28 : 16})`);
		const err = this.perform(() =>
			process.task.connect(fd, this.address(six, address, number), six ? 28 : 16, true),
		);
		if (err === 0 || err === -115) sock.connected = true;
	}

	private send(process: Process, fd: number, sock: Sock, n: Operation["n"]): void {
		if (this.choosesPort(process, fd)) return;
		const [, , c, d, e] = n;
		const size = nth([5, 1, 0], e % 3);
		const data = '"storm"';
		// A one-to-many socket of SCTP begins an association, a one-to-one socket may.
		const addressed =
			sock.kind === "sctpMany" ||
			(sock.kind === "sctp" ? d % 4 === 3 : DATAGRAM.includes(sock.kind));
		if (!addressed || (sock.connected && c >= 128)) {
			this.say(process, `sendto(${fd}, ${data}, ${size}, MSG_NOSIGNAL, NULL, 0)`);
			this.perform(() => process.task.send(fd, size, true));
			return;
		}
		const six = this.six(e % 16 === 15 ? !sock.six : sock.six);
		const [address, port, number] = this.target(process, sock, six, c, d);
		const length = six ? 28 : 16;
		this.say(
			process,
			`sendto(${fd}, ${data}, ${size}, MSG_NOSIGNAL, ${this.name(six, address, port)}, ${length})`,
		);
		this.perform(() =>
			process.task.sendto(fd, size, this.address(six, address, number), length, true),
		);
	}

	/** A receive that does not wait. Half of them ask for the sender. */
	private receive(process: Process, fd: number, n: Operation["n"]): void {
		const [, , c, d, e] = n;
		const size = nth([16, 1, 0], c % 3);
		const [name, flags] = pick(RECEIVE_FLAGS, e);
		const sender = d % 2 === 0 ? "" : ", {sa_family=AF_UNSPEC}, [28]";
		this.say(process, `recvfrom(${fd}, NULL, ${size}, MSG_DONTWAIT${name}${sender})`);
		this.perform(() => process.task.recv(fd, size, true, flags));
	}

	private fork(b: number, c: number): void {
		if (this.processes.length > TASKS) return;
		const parent = nth(this.processes, 0);
		const pid = ++this.pids;
		this.say(parent, `fork() = ${pid}`);
		const { narrow } = parent;
		const child: Process = { pid, task: parent.task.fork(), fds: new Map(parent.fds), narrow };
		this.processes.push(child);
		const uid = nth([0, 1000, 1001], b % 3);
		if (uid !== 0 && this.can.users >= uid && !this.without("users")) {
			this.say(child, `setuid(${uid})`);
			child.task.uid = uid;
		}
		for (const [i, fd] of [...child.fds.keys()].entries()) {
			if ((c >> (i % 8)) % 2 === 1) this.close(child, fd);
		}
	}

	/**
	 * A process moves to a new namespace. Its sockets and the other processes stay in the old one.
	 * Only in the namespace of the first process lo comes up, because this needs set-up commands.
	 */
	private unshare(process: Process, b: number, c: number): void {
		const first = process === this.processes[0];
		// Set-up commands need a descriptor.
		if (b % 2 === 1 || this.namespaces >= NAMESPACES || process.narrow > 0) return;
		if (!first && this.without("order")) return;
		this.namespaces++;
		this.say(process, "unshare(CLONE_NEWNET)");
		if (process.task.privileged) process.task.unshareNet();
		if (!first) return;
		this.net = process.task.net;
		if (c % 8 === 7 && !this.without("order")) return;
		this.setup("ip link set lo up");
		this.addresses();
		this.portRange();
	}

	/** A process moves to the namespace of one of its sockets. */
	private setns(process: Process, fd: number): void {
		const { task } = process;
		this.say(process, `ioctl(${fd}, SIOCGSKNS)`);
		const file = this.perform(() => task.socketNamespace(fd));
		if (file < 0) return;
		this.say(process, `setns(${file}, CLONE_NEWNET)`);
		const net = task.pathOf(file)?.net ?? null;
		if (net !== null) task.net = net;
		if (process === this.processes[0]) this.net = task.net;
		this.say(process, `close(${file})`);
		task.close(file);
	}

	private exit(b: number): void {
		if (this.processes.length === 1) return;
		const at = 1 + (b % (this.processes.length - 1));
		const process = nth(this.processes, at);
		this.processes.splice(at, 1);
		this.say(process, "exit_group(0)");
		process.task.exit();
	}

	/** Sockets that connect to one destination on another host, until the ports are used up. */
	private flood(process: Process, n: Operation["n"]): void {
		if (this.without("away") || this.without("autobind")) return;
		const [, b, c, d, e] = n;
		const kind: Kind = b % 8 === 7 ? "udp" : "tcp";
		const away = nth(AWAY4, d % 2);
		const from = nth(["127.0.0.1", "127.0.0.2", "192.0.2.10"], c % 3);
		const made: number[] = [];
		for (let i = 0; i < 6 + (e % 8); i++) {
			const six = this.six((d >> (i % 8)) % 4 === 3);
			const fd = this.socket(process, kind, six, 1);
			if (fd < 0) break;
			made.push(fd);
			const [source, to] = six ? [`::ffff:${from}`, `::ffff:${away}`] : [from, away];
			if (c % 2 === 0)
				this.set(process, fd, "SOL_IP", "IP_LOCAL_PORT_RANGE", 51, (40003 << 16) | 40000);
			if (c % 4 === 1) this.set(process, fd, "SOL_SOCKET", "SO_REUSEADDR", 2, 1);
			// Sometimes bind() also chooses its port before it connects.
			if (e % 4 !== 3) {
				if (e % 4 !== 2) this.set(process, fd, "SOL_IP", "IP_BIND_ADDRESS_NO_PORT", 24, 1);
				this.say(process, `bind(${fd}, ${this.name(six, source, "0")}, ${six ? 28 : 16})`);
				this.perform(() => process.task.bind(fd, this.address(six, source, 0)));
			}
			this.say(process, `connect(${fd}, ${this.name(six, to, "80")}, ${six ? 28 : 16})`);
			const err = this.perform(() =>
				process.task.connect(fd, this.address(six, to, 80), six ? 28 : 16, true),
			);
			const sock = process.fds.get(fd);
			if (sock !== undefined && (err === 0 || err === -115)) sock.connected = true;
		}
		if (b % 2 === 0) for (const fd of made) if (process.fds.has(fd)) this.close(process, fd);
	}

	/** Streams bound to one port, with and without the options that let them share it. */
	private pile(process: Process, n: Operation["n"]): void {
		const [, b, c, d, e] = n;
		const port = pick(PORTS, b);
		const made: number[] = [];
		for (let i = 0; i < 4 + (b >> 4); i++) {
			const bits = ((c << i) ^ (d >> i) ^ (e * (i + 3))) & 255;
			const six = this.six(bits % 8 >= 6);
			const fd = this.socket(process, "tcp", six, 1);
			if (fd < 0) break;
			made.push(fd);
			if ((bits >> 3) % 4 !== 0) {
				const reuse = (bits >> 3) % 4 !== 3;
				const [option, number] = reuse
					? (["SO_REUSEADDR", 2] as const)
					: (["SO_REUSEPORT", 15] as const);
				this.set(process, fd, "SOL_SOCKET", option, number, 1);
			}
			const here = this.here(six);
			const address = nth(here, (bits >> 5) % Math.min(here.length, 4));
			this.say(process, `bind(${fd}, ${this.name(six, address, String(port))}, ${six ? 28 : 16})`);
			this.perform(() => process.task.bind(fd, this.address(six, address, port)));
			const victim = pick(made, bits);
			if (i > 1 && bits % 3 === 0 && process.fds.has(victim)) this.close(process, victim);
			if (bits % 5 === 0 && process.fds.has(fd)) {
				this.say(process, `listen(${fd}, 1)`);
				this.perform(() => process.task.listen(fd, 1));
			}
		}
		while (process.fds.size > LIVE) this.close(process, nth([...process.fds.keys()], 0));
	}

	/**
	 * SCTP sockets on one port that connect to one listener. An IPv4 socket and a dual-stack one may
	 * do so from the same address: the second INIT meets the association of the first one. A
	 * one-to-many listener also connects back.
	 */
	private collide(process: Process, n: Operation["n"]): void {
		const [a, b, c, d, e] = n;
		const { fds, task } = process;
		const sctp = (many: boolean): Kind =>
			this.kinds.includes(many ? "sctpMany" : "sctp") ? (many ? "sctpMany" : "sctp") : "sctp";
		const bound = (kind: Kind, six: boolean, from: string, port: number): number => {
			const fd = this.socket(process, kind, six, 1);
			if (fd < 0) return fd;
			this.set(process, fd, "SOL_SOCKET", "SO_REUSEADDR", 2, 1);
			this.say(process, `bind(${fd}, ${this.name(six, from, String(port))}, ${six ? 28 : 16})`);
			this.perform(() => task.bind(fd, this.address(six, from, port)));
			return fd;
		};
		const connect = (fd: number, six: boolean, to: string, port: number) => {
			const address = six ? `::ffff:${to}` : to;
			this.say(
				process,
				`connect(${fd}, ${this.name(six, address, String(port))}, ${six ? 28 : 16})`,
			);
			this.perform(() => task.connect(fd, this.address(six, address, port), six ? 28 : 16, true));
			this.say(process, `getpeername(${fd})`);
			this.read(process, fd, { kind: "sctp", six, listens: false, connected: true }, 1, 0);
		};
		const [to, from] = [pick(PORTS.slice(0, 4), a), pick([40007, 40009, 45001], b)];
		const six = this.six(c % 2 === 1);
		const many = a % 4 === 3;
		const at = pick(six ? ["::", "::ffff:127.0.0.1"] : ["127.0.0.1", "0.0.0.0"], c >> 1);
		const listener = bound(sctp(many), six, at, to);
		if (listener < 0) return;
		this.say(process, `listen(${listener}, 3)`);
		this.perform(() => task.listen(listener, 3));
		const ends: number[] = [];
		for (let i = 0; i < 2 + (e % 2); i++) {
			const v6 = this.six((d >> i) % 4 === 3 ? i === 0 : i > 0);
			const dual = pick(["::", "::", "::ffff:127.0.0.1"], e >> i);
			const own = v6 ? dual : pick(["127.0.0.1", "0.0.0.0", "0.0.0.0"], c >> (i + 2));
			const client = bound(sctp((b >> (i + 2)) % 4 === 3), v6, own, from);
			if (client < 0) break;
			ends.push(client);
			if ((b >> i) % 8 === 7) {
				this.say(process, `listen(${client}, 3)`);
				this.perform(() => task.listen(client, 3));
			}
			if (many && (e >> i) % 4 === 1) connect(listener, six, "127.0.0.1", from);
			connect(client, v6, pick(["127.0.0.1", "127.0.0.1", "127.0.0.2"], d >> (i + 3)), to);
			if ((e >> (i + 2)) % 2 === 0) continue;
			this.say(process, `accept4(${listener}, {sa_family=AF_UNSPEC}, [28], SOCK_NONBLOCK)`);
			const child = this.perform(() => task.accept4(listener, 0o4000, {}, true));
			if (child < 0) continue;
			fds.set(child, { kind: "sctp", six, listens: false, connected: true });
			ends.push(child);
		}
		if (e % 8 === 1) {
			// The INIT to 127.0.0.2 had no answer, as the wildcard answers from 127.0.0.1. It meets this.
			if (fds.has(listener)) this.close(process, listener);
			const back = bound("sctp", false, "127.0.0.2", to);
			if (back >= 0) connect(back, false, "127.0.0.1", from);
			if (back >= 0) ends.push(back);
		}
		const order = [listener, ...ends];
		// Packets of an association whose peer was restarted are lost.
		for (let i = 0; i < (a >> 3) % 4; i++) {
			const fd = pick(order, d + i * (1 + (e >> 5)));
			if (!fds.has(fd)) continue;
			this.say(process, `sendto(${fd}, "storm", ${i + 1}, MSG_NOSIGNAL, NULL, 0)`);
			this.perform(() => task.send(fd, i + 1, true));
		}
		for (let i = 0; i < (d >> 4) % 5; i++) {
			const fd = pick(order, e + i * (1 + (c >> 5)));
			if (!fds.has(fd)) continue;
			if ((a >> i) % 4 === 3) {
				this.say(process, `shutdown(${fd}, SHUT_WR)`);
				this.perform(() => task.shutdown(fd, 1));
			} else this.close(process, fd);
			for (const left of order) {
				if (fds.has(left)) this.say(process, `recvfrom(${left}, NULL, 16, MSG_DONTWAIT)`);
				if (fds.has(left)) this.perform(() => task.recv(left, 16, true));
			}
			const again = this.socket(process, "sctp", false, 1);
			if (again < 0) break;
			this.say(process, `bind(${again}, ${this.name(false, "127.0.0.1", String(from))}, 16)`);
			this.perform(() => task.bind(again, this.address(false, "127.0.0.1", from)));
			this.close(process, again);
		}
		for (const fd of order) if (e % 4 !== 3 && fds.has(fd)) this.close(process, fd);
		this.limit(process, e);
	}

	/** A connection within the host. One end closes first and becomes TIME_WAIT. */
	private meet(process: Process, n: Operation["n"]): void {
		const [a, b, c, d, e] = n;
		const collides = !["SO_REUSEADDR", "wildcard", "mapped"].some((name) => this.without(name));
		if (this.kinds.includes("sctp") && a % 8 >= 4 && collides) {
			this.collide(process, n);
			return;
		}
		const six = this.six(b % 3 === 2);
		const six6 = [
			"::1",
			"::ffff:127.0.0.1",
			"2001:db8::10",
			...(this.scoped ? ["fe80::1%lo"] : []),
		];
		const here = six ? six6 : ["127.0.0.1", "127.0.0.2"];
		const address = pick(here, c);
		const length = six ? 28 : 16;
		const dccp = this.kinds.includes("dccp") && a % 4 >= 2;
		const sctp = this.kinds.includes("sctp") && (a % 8 === 1 || !this.kinds.includes("tcp"));
		const stream = (n: number): Kind => {
			if (dccp) return "dccp";
			if (sctp) return n % 4 === 3 && this.kinds.includes("sctpMany") ? "sctpMany" : "sctp";
			return this.kinds.includes("mptcp") && n % 2 === 1 ? "mptcp" : "tcp";
		};
		const kind = stream(a);
		const listener = this.socket(process, kind, six, 1);
		if (listener < 0) return;
		if (d % 2 === 0) this.set(process, listener, "SOL_SOCKET", "SO_REUSEADDR", 2, 1);
		const any = this.without("autobind") ? 40003 : 0;
		const port = nth([40001, any, 45000], (d >> 1) % 3);
		this.say(process, `bind(${listener}, ${this.name(six, address, String(port))}, ${length})`);
		this.perform(() => process.task.bind(listener, this.address(six, address, port)));
		this.say(process, `listen(${listener}, 3)`);
		if (this.perform(() => process.task.listen(listener, 3)) !== 0) return;
		for (let i = 0; i < 1 + (e % 3); i++) {
			const client = this.socket(process, stream(a + (e >> 4)), six, 1);
			if (client < 0) break;
			if (d % 8 >= 4)
				this.set(process, client, "SOL_IP", "IP_LOCAL_PORT_RANGE", 51, (40003 << 16) | 40000);
			if (this.without("autobind")) {
				const from = 40010 + i;
				this.say(process, `bind(${client}, ${this.name(six, address, String(from))}, ${length})`);
				this.perform(() => process.task.bind(client, this.address(six, address, from)));
			}
			const name = process.task.getsockname(listener);
			const number = typeof name === "number" ? 0 : name.port;
			this.say(
				process,
				`connect(${client}, ${this.name(six, address, `port_of(${listener})`)}, ${length})`,
			);
			this.perform(() =>
				process.task.connect(client, this.address(six, address, number), length, true),
			);
			this.say(process, `accept4(${listener}, {sa_family=AF_UNSPEC}, [28], SOCK_NONBLOCK)`);
			const child = this.perform(() => process.task.accept4(listener, 0o4000, {}, true));
			if (child >= 0) process.fds.set(child, { kind, six, listens: false, connected: true });
			const ends = [client, child].filter((fd) => fd >= 0 && process.fds.has(fd));
			if (dccp) this.packets(process, ends, a >> 2);
			if (sctp) this.packets(process, ends, c);
			if (sctp && e >= 128) this.packets(process, ends, d);
			if ((e >> i) % 2 === 1) ends.reverse();
			if (c % 4 !== 3) for (const fd of ends) this.close(process, fd);
		}
		if (b % 2 === 0 && process.fds.has(listener)) this.close(process, listener);
		this.limit(process, e);
	}

	/**
	 * Data between the ends of a connection of DCCP or SCTP. What nobody reads aborts it at close().
	 */
	private packets(process: Process, ends: readonly number[], n: number): void {
		const [from, to] = n % 2 === 0 ? ends : [...ends].reverse();
		if (from === undefined || to === undefined) return;
		for (let i = 0; i < (n >> 1) % 4; i++) {
			this.say(process, `sendto(${from}, "storm", ${i + 1}, MSG_NOSIGNAL, NULL, 0)`);
			this.perform(() => process.task.send(from, i + 1, true));
		}
		for (let i = 0; i < (n >> 3) % 4; i++) {
			this.say(process, `recvfrom(${to}, NULL, 2, MSG_DONTWAIT)`);
			this.perform(() => process.task.recv(to, 2, true));
		}
	}

	/** A reuseport group and its clients. Each member is asked what it got. */
	private group(process: Process, n: Operation["n"]): void {
		const [, b, c, d, e] = n;
		const { fds, task } = process;
		const datagram: Kind = b % 8 === 7 && this.can.kinds.includes("udplite") ? "udplite" : "udp";
		const kind: Kind = b % 2 === 1 ? datagram : "tcp";
		const six = this.six(c % 2 === 1);
		const length = six ? 28 : 16;
		const here = six
			? ["::1", "::", "2001:db8::10", "::ffff:127.0.0.1", ...(this.scoped ? ["fe80::1%lo"] : [])]
			: ["127.0.0.1", "0.0.0.0", "192.0.2.10"];
		const address = pick(here, c >> 1);
		const to = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
		if (this.without("wildcard") && to !== address) return;
		if (this.without("SO_REUSEPORT") || this.without("mapped")) return;
		const members: number[] = [];
		const portOf = (fd: number) => {
			const name = task.getsockname(fd);
			return typeof name === "number" ? 0 : name.port;
		};
		for (let i = 0; i < 2 + (d % 4); i++) {
			const fd = this.socket(process, kind, six, 1);
			if (fd < 0) break;
			this.set(process, fd, "SOL_SOCKET", "SO_REUSEPORT", 15, 1);
			const [first] = members;
			const any = this.without("autobind") ? 40003 : 0;
			const port = first === undefined ? nth([any, 45000], (d >> 2) % 2) : portOf(first);
			const shown = first === undefined ? String(port) : `port_of(${first})`;
			this.say(process, `bind(${fd}, ${this.name(six, address, shown)}, ${length})`);
			this.perform(() => task.bind(fd, this.address(six, address, port)));
			members.push(fd);
			if (kind !== "tcp") continue;
			this.say(process, `listen(${fd}, 3)`);
			this.perform(() => task.listen(fd, 3));
		}
		if (d >= 192 && members.length > 2) this.close(process, nth(members, 1));
		const alive = () => members.filter((fd) => fds.has(fd));
		const clients: number[] = [];
		for (let i = 0; i < 1 + (e % 4); i++) {
			const fd = this.socket(process, kind, six, 1);
			const [first] = alive();
			if (fd < 0 || first === undefined) break;
			clients.push(fd);
			if (this.without("autobind")) {
				const from = 40010 + i;
				this.say(process, `bind(${fd}, ${this.name(six, to, String(from))}, ${length})`);
				this.perform(() => task.bind(fd, this.address(six, to, from)));
			}
			const name = this.name(six, to, `port_of(${first})`);
			const target = this.address(six, to, portOf(first));
			if (kind === "tcp") {
				this.say(process, `connect(${fd}, ${name}, ${length})`);
				this.perform(() => task.connect(fd, target, length, true));
				continue;
			}
			this.say(process, `sendto(${fd}, "storm", ${1 + i}, MSG_NOSIGNAL, ${name}, ${length})`);
			this.perform(() => task.sendto(fd, 1 + i, target, length, true));
			const last = alive().at(-1);
			if (i > 0 || last === undefined || b < 128) continue;
			// Lookups score every sock of a group that has had a connected member.
			this.say(process, `connect(${last}, ${this.name(six, to, `port_of(${fd})`)}, ${length})`);
			this.perform(() => task.connect(last, this.address(six, to, portOf(fd)), length, true));
		}
		const children: number[] = [];
		for (const fd of alive()) {
			for (let i = 0; i < clients.length; i++) {
				if (kind !== "tcp") {
					const sender = "{sa_family=AF_UNSPEC}, [28]";
					this.say(process, `recvfrom(${fd}, NULL, 16, MSG_DONTWAIT, ${sender})`);
					this.perform(() => task.recv(fd, 16, true));
					continue;
				}
				this.say(process, `accept4(${fd}, {sa_family=AF_UNSPEC}, [28], SOCK_NONBLOCK)`);
				const child = this.perform(() => task.accept4(fd, 0o4000, {}, true));
				if (child < 0) continue;
				fds.set(child, { kind: "tcp", six, listens: false, connected: true });
				children.push(child);
			}
		}
		const ends = [...clients, ...children, ...(c >= 128 ? alive() : [])];
		if (e >= 128) ends.reverse();
		if (e % 8 !== 7) for (const fd of ends) if (fds.has(fd)) this.close(process, fd);
		this.limit(process, e);
	}

	/** More than ten datagram sockets on one port, so searches also go by address. */
	private crowd(process: Process, n: Operation["n"]): void {
		const [, b, c, d, e] = n;
		const kind: Kind = this.can.kinds.includes("udplite") && b % 2 === 1 ? "udplite" : "udp";
		const port = pick(PORTS, c);
		const made: number[] = [];
		for (let i = 0; i < 12 + (b >> 7); i++) {
			const six = this.six((d >> (i % 8)) % 2 === 1);
			const { name, protocol, type, number } = KINDS[kind];
			this.say(
				process,
				`socket(${six ? "AF_INET6" : "AF_INET"}, ${name}|SOCK_NONBLOCK, ${protocol})`,
			);
			const fd = this.perform(() => process.task.socket(six ? 10 : 2, type | 0o4000, number));
			if (fd < 0) return;
			made.push(fd);
			process.fds.set(fd, { kind, six, listens: false, connected: false });
			if ((e >> (i % 8)) % 2 === 1) {
				const option = nth(FLAGS, i % 2);
				this.set(process, fd, option[0], option[1], option[2], 1);
			}
			// A wildcard as the last one meets the others, or misses them by its hash.
			const wildcard = i === 12 && !this.without("wildcard");
			const own = six ? (i % 3 === 0 ? "::1" : `::ffff:127.0.0.${3 + i}`) : `127.0.0.${3 + i}`;
			const address = wildcard ? (six ? "::" : "0.0.0.0") : own;
			this.say(process, `bind(${fd}, ${this.name(six, address, String(port))}, ${six ? 28 : 16})`);
			this.perform(() => process.task.bind(fd, this.address(six, address, port)));
		}
		// Leaves up to eight sockets above the limit. Later operations close most of these.
		while (process.fds.size > this.live + 8) this.close(process, nth([...process.fds.keys()], 0));
	}
}

/** The program as a script. */
export function renderProgram(program: Program, abilities: Abilities): string[] {
	return new Renderer(program, abilities).render();
}

/** The names that Abilities.without can have. */
export function withoutNames(): string[] {
	const options = [...FLAGS, ...READ, ...ENDS].map(([, name]) => name);
	return [...new Set([...Object.keys(WITHOUT), ...Object.keys(OPERATIONS), ...options])];
}
