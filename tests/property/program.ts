// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Random programs: lists of abstract operations. Descriptors, listeners and tasks are numbers. The
 * interpreter (run.ts) takes them modulo the existing ones. So every part of a program is a
 * program, and shrinking finds short ones.
 */
import fc from "fast-check";
import type { Family } from "./addresses.js";
import type { Protocol } from "./oracle.js";

/** Ephemeral ranges and the ports that programs name lie around here. */
export const BASE = 40_000;
/** Ports from BASE on that can be reserved. */
const RESERVABLE = 12;

const ADDRESSES = [
	"0.0.0.0",
	"127.0.0.1",
	"127.0.0.2",
	"192.0.2.10",
	// The address of a device in a VRF, and an address that no device has.
	"192.0.2.20",
	"203.0.113.77",
] as const;

/** Addresses for IPv6 sockets. */
const ADDRESSES6 = [
	"::",
	"::1",
	"2001:db8::10",
	"::ffff:0.0.0.0",
	"::ffff:127.0.0.1",
	"::ffff:192.0.2.10",
	"::ffff:192.0.2.20",
	"::ffff:203.0.113.77",
	"2001:db8::20",
	"2001:db8::77",
] as const;

/** Devices that a socket can be bound to; "": none. */
export type DeviceName = "" | "lo" | "dummy0" | "vrf0" | "dummy1";

/** Options of a socket that are set before it is used. */
export interface Options {
	/** Index of the program's protocol and family. */
	protocol: number;
	family: number;
	/** IPV6_V6ONLY, of an IPv6 socket. */
	v6only: boolean;
	reuseaddr: boolean;
	reuseport: boolean;
	/** IP_BIND_ADDRESS_NO_PORT. */
	addressOnly: boolean;
	freebind: boolean;
	/** SO_LINGER of 0 s: close() resets. */
	abort: boolean;
	device: DeviceName;
	/** IP_LOCAL_PORT_RANGE. */
	range: readonly [number, number] | null;
}

/** An address to bind to, for a socket of each family. */
export interface LocalName {
	v4: string;
	v6: string;
	port: number;
}

/**
 * Destination of connect() and sendto(): a listener or a UDP socket with a port, by number, or an
 * address for each family.
 */
export type Target = { listener: number } | { v4: string; v6: string; port: number };

/** How a connection to a listener ends: the order in which its ends close. */
type Ending = "open" | "client" | "server" | "client, server" | "server, client";

export type Op =
	// Several calls that make a socket useful.
	| {
			op: "open";
			task: number;
			options: Options;
			bind: LocalName | null;
			next: "nothing" | "listen" | "connect";
			backlog: number;
			target: Target;
	  }
	| {
			op: "session";
			task: number;
			options: Options;
			bind: LocalName | null;
			listener: number;
			accept: boolean;
			ending: Ending;
	  }
	// Repeats the last of these `ms` later, because conflicting calls are mostly alike.
	| { op: "again"; protocol: number; ms: number }
	// One call on a descriptor of a protocol. `fitting`: on a descriptor that suits the call, if
	// there is one.
	| {
			op: "set";
			protocol: number;
			fd: number;
			option: "reuseaddr" | "reuseport" | "addressOnly" | "freebind" | "abort";
			on: boolean;
	  }
	| { op: "range"; protocol: number; fd: number; range: readonly [number, number] }
	| { op: "device"; protocol: number; fd: number; device: DeviceName }
	| { op: "bind"; protocol: number; fd: number; fitting: boolean; name: LocalName }
	| { op: "listen"; protocol: number; fd: number; fitting: boolean; backlog: number }
	| { op: "connect"; protocol: number; fd: number; fitting: boolean; target: Target }
	| {
			op: "disconnect" | "accept" | "getsockname" | "close" | "dup" | "fork";
			protocol: number;
			fd: number;
	  }
	| { op: "shutdown"; protocol: number; fd: number; how: number }
	| { op: "send"; protocol: number; fd: number; size: number; to: Target | null }
	| { op: "recv"; protocol: number; fd: number; size: number }
	// The world.
	| { op: "sysctl"; net: number; file: { name: string; value: string } }
	| { op: "advance"; ms: number };

export interface Program {
	/** Seed of the kernel's draws. */
	seed: number;
	version: "6.3" | "6.1.176";
	/** Kinds of sockets. A kind that is listed twice is twice as frequent. */
	protocols: readonly Protocol[];
	families: readonly Family[];
	/**
	 * Slots of TCP's port tables and of UDP's table. With few slots unrelated ports share chains.
	 */
	slots: number;
	udpSlots: number;
	/** Most sockets of a protocol. */
	room: number;
	/** Settings at the start: ip_local_port_range, ip_autobind_reuse, tcp_tw_reuse. */
	range: readonly [number, number];
	autobindReuse: boolean;
	twReuse: number;
	ops: readonly Op[];
}

/** A profile: how often programs make each kind of operation. */
export interface Profile {
	/** Bind to ports of the program's choice, set options, listen. */
	bind: number;
	/** Let the kernel choose. */
	autobind: number;
	connect: number;
	/** Whole connections, and time. */
	session: number;
	/** Change settings. */
	sysctl: number;
	/** Devices of sockets. */
	devices: readonly DeviceName[];
	/** Most operations. */
	length: number;
	/** If not given, all sorts of programs, some with one protocol and one family only. */
	protocols?: readonly Protocol[];
	families?: readonly Family[];
	/**
	 * How many of eight sockets have SO_REUSEADDR, and how many SO_REUSEPORT; 4 and 4 if not given.
	 */
	reuse?: readonly [number, number];
	/** Ports that are named; 4 if not given. */
	ports?: number;
	/** Most sockets of a protocol; 14 if not given. */
	room?: number;
	/**
	 * Weights of the wildcards, of each family, and of v4-mapped addresses; 4 and 2 if not given.
	 */
	wildcards?: number;
	mapped?: number;
	/** Weight of opening sockets, compared with other operations; 8 if not given. */
	opens?: number;
	/**
	 * Tasks that open sockets, all of one namespace if there are less than five; any if not given.
	 */
	tasks?: number;
}

const PROTOCOLS: readonly (readonly Protocol[])[] = [
	["tcp"],
	["tcp"],
	["tcp", "udp"],
	["tcp", "tcp", "udp", "udplite"],
	["udp"],
];
const FAMILIES: readonly (readonly Family[])[] = [[4], [4, 6], [4, 6, 6], [6]];

const index = fc.nat(63);

/** `true` about once in `n`. */
const seldom = (n: number) => fc.nat(n - 1).map((x) => x === n - 1);

const tinyRange = fc
	.tuple(fc.integer({ min: BASE, max: BASE + 3 }), fc.integer({ min: 0, max: 7 }))
	.map(([low, more]) => [low, low + more] as const);

/** Bounds of a socket: not set, inside the namespace's range, beside it, in reverse order. */
const bound = fc.oneof(
	fc.constant(0),
	{ arbitrary: fc.integer({ min: BASE - 1, max: BASE + 8 }), weight: 4 },
	fc.constantFrom(1, 65_535),
);
const socketRange = fc.tuple(bound, bound);

const oneOf = (...weighed: (readonly [number, fc.Arbitrary<string>])[]) =>
	fc.oneof(...weighed.map(([weight, arbitrary]) => ({ weight, arbitrary })));

const address = ({ wildcards = 4 }: Profile) =>
	oneOf(
		[wildcards, fc.constant("0.0.0.0")],
		[4, fc.constant("127.0.0.1")],
		[2, fc.constantFrom(...ADDRESSES)],
	);

const address6 = ({ wildcards = 4, mapped = 2 }: Profile) =>
	oneOf(
		[wildcards, fc.constant("::")],
		[2, fc.constant("::1")],
		[mapped, fc.constantFrom("::ffff:0.0.0.0", "::ffff:127.0.0.1")],
		[3, fc.constantFrom(...ADDRESSES6)],
	);

const port = ({ bind, autobind, ports = 4 }: Profile) =>
	fc.oneof(
		{ arbitrary: fc.constant(0), weight: autobind },
		{ arbitrary: fc.integer({ min: BASE, max: BASE + ports - 1 }), weight: bind },
		{ arbitrary: fc.constantFrom(80, BASE - 1, 50_000), weight: Math.ceil(bind / 8) },
	);

const options = ({ devices, reuse: [addr, port] = [4, 4] }: Profile): fc.Arbitrary<Options> =>
	fc.record({
		protocol: index,
		family: index,
		v6only: seldom(4),
		reuseaddr: fc.nat(7).map((n) => n >= 8 - addr),
		reuseport: fc.nat(7).map((n) => n >= 8 - port),
		addressOnly: seldom(6),
		freebind: seldom(6),
		abort: seldom(6),
		device: fc.oneof(
			{ arbitrary: fc.constant(devices[0]), weight: 10 },
			{ arbitrary: fc.constantFrom(...devices), weight: 2 },
		),
		range: fc.oneof(
			{ arbitrary: fc.constant(null), weight: 3 },
			{ arbitrary: socketRange, weight: 1 },
		),
	});

const target: fc.Arbitrary<Target> = fc.oneof(
	{ arbitrary: fc.record({ listener: index }), weight: 4 },
	// No host answers, so the connection stays in SYN_SENT.
	{
		arbitrary: fc.record({
			v4: fc.constantFrom("198.51.100.1", "198.51.100.1", "198.51.100.2"),
			v6: fc.constantFrom("2001:db8:1::1", "::ffff:198.51.100.1", "2001:db8:1::2"),
			port: fc.constantFrom(80, 80, 81),
		}),
		weight: 5,
	},
	// Closed ports, or a port that a socket has. It may be the caller's own port.
	{
		arbitrary: fc.record({
			v4: fc.constantFrom("127.0.0.1", "127.0.0.2", "192.0.2.10", "192.0.2.20", "0.0.0.0"),
			v6: fc.constantFrom("::1", "2001:db8::10", "::ffff:127.0.0.1", "2001:db8::20", "::"),
			port: fc.oneof(fc.constant(9), fc.integer({ min: BASE, max: BASE + 5 })),
		}),
		weight: 2,
	},
);

const backlog = fc.nat(3);

const sysctl = fc.oneof(
	{
		arbitrary: fc.record({
			name: fc.constant("ip_local_port_range"),
			value: tinyRange.map((range) => range.join(" ")),
		}),
		weight: 3,
	},
	{
		arbitrary: fc.record({
			name: fc.constant("ip_local_reserved_ports"),
			value: fc.uniqueArray(fc.nat(RESERVABLE - 1), { maxLength: 6 }).map((ports) =>
				// An empty write changes nothing. A line feed empties the set.
				ports.length === 0 ? "\n" : ports.map((n) => BASE + n).join(","),
			),
		}),
		weight: 3,
	},
	fc.record({ name: fc.constant("ip_autobind_reuse"), value: fc.constantFrom("0", "1") }),
	{
		arbitrary: fc.record({
			name: fc.constant("tcp_tw_reuse"),
			value: fc.constantFrom("0", "1", "2"),
		}),
		weight: 2,
	},
	fc.record({
		name: fc.constantFrom("ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind"),
		value: fc.constantFrom("0", "1"),
	}),
	fc.record({ name: fc.constant("tcp_fin_timeout"), value: fc.constantFrom("1", "60", "90") }),
);

const advance = fc.constantFrom(1, 40, 300, 999, 1000, 1001, 2500, 2500, 30_000, 60_000, 70_000);

/** Programs of a profile. */
export function programs(profile: Profile): fc.Arbitrary<Program> {
	const { tasks = 64, room = 14, opens = 8 } = profile;
	const name = fc.record({
		v4: address(profile),
		v6: address6(profile),
		port: port(profile),
	});
	const task = fc.nat(tasks - 1);
	const bind = fc.option(name, { freq: 3 });
	const fitting = seldom(5).map((no) => !no);
	const op = <T extends Op["op"]>(name: T) => fc.constant(name);
	const onFd = <T extends Op["op"]>(...names: T[]) =>
		fc.record({ op: fc.constantFrom(...names), protocol: index, fd: index });
	const ops = fc.oneof(
		{
			arbitrary: fc.record({
				op: op("open"),
				task,
				options: options(profile),
				bind,
				next: fc.oneof(
					{ arbitrary: fc.constant("nothing" as const), weight: profile.bind + profile.autobind },
					{ arbitrary: fc.constant("listen" as const), weight: profile.bind + profile.session },
					{ arbitrary: fc.constant("connect" as const), weight: 2 * profile.connect },
				),
				backlog,
				target,
			}),
			weight: opens,
		},
		{
			arbitrary: fc.record({
				op: op("session"),
				task,
				options: options(profile),
				bind: fc.option(name, { freq: 1 }),
				listener: index,
				accept: seldom(3).map((no) => !no),
				ending: fc.constantFrom<Ending>(
					"open",
					"client",
					"server",
					"client, server",
					"server, client",
				),
			}),
			weight: profile.session,
		},
		{
			arbitrary: fc.record({
				op: op("again"),
				protocol: index,
				ms: fc.constantFrom(0, 0, 0, 1000, 2500),
			}),
			weight: 5 + profile.session,
		},
		{
			arbitrary: fc.record({
				op: op("set"),
				protocol: index,
				fd: index,
				option: fc.constantFrom("reuseaddr", "reuseport", "addressOnly", "freebind", "abort"),
				on: fc.boolean(),
			}),
			weight: 2,
		},
		fc.record({ op: op("range"), protocol: index, fd: index, range: socketRange }),
		fc.record({
			op: op("device"),
			protocol: index,
			fd: index,
			device: fc.constantFrom(...profile.devices),
		}),
		{
			arbitrary: fc.record({ op: op("bind"), protocol: index, fd: index, fitting, name }),
			weight: Math.ceil((profile.bind + profile.autobind) / 2),
		},
		{
			arbitrary: fc.record({ op: op("listen"), protocol: index, fd: index, fitting, backlog }),
			weight: Math.ceil(profile.bind / 2),
		},
		{
			arbitrary: fc.record({ op: op("connect"), protocol: index, fd: index, fitting, target }),
			weight: profile.connect,
		},
		{ arbitrary: onFd("accept"), weight: 2 },
		{ arbitrary: onFd("disconnect"), weight: 3 },
		{ arbitrary: onFd("close"), weight: 4 },
		onFd("getsockname", "dup", "fork"),
		fc.record({ op: op("shutdown"), protocol: index, fd: index, how: fc.nat(2) }),
		{
			arbitrary: fc.record({
				op: op("send"),
				protocol: index,
				fd: index,
				size: fc.integer({ min: 1, max: 3 }),
				to: fc.option(target),
			}),
			weight: 2,
		},
		fc.record({
			op: op("recv"),
			protocol: index,
			fd: index,
			size: fc.integer({ min: 1, max: 3 }),
		}),
		{
			arbitrary: fc.record({
				op: op("sysctl"),
				net: fc.constantFrom(0, 0, 0, 1),
				file: sysctl,
			}),
			weight: profile.sysctl,
		},
		{ arbitrary: fc.record({ op: op("advance"), ms: advance }), weight: 2 },
	) as fc.Arbitrary<Op>;
	return fc.record({
		seed: fc.nat(0xffff),
		version: fc.constantFrom("6.3" as const, "6.1.176" as const),
		protocols: fc.constantFrom(...(profile.protocols ? [profile.protocols] : PROTOCOLS)),
		families: fc.constantFrom(...(profile.families ? [profile.families] : FAMILIES)),
		slots: fc.constantFrom(64, 4, 1),
		udpSlots: fc.constantFrom(256, 256, 1024),
		room: fc.constant(room),
		range: tinyRange,
		autobindReuse: seldom(3),
		twReuse: fc.constantFrom(2, 1, 0),
		ops: fc.array(ops, { maxLength: profile.length, size: "max" }),
	});
}
