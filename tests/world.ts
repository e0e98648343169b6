// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The world of scenarios: one kernel with one namespace, sockets with names, and the calls that
 * rules are made of. A rule is a program with one call a line, each with the kernel's result:
 *
 *     a bind [::1]:5000              a socket, made where it is first named
 *     udp6 b c with SO_REUSEPORT     sockets of a kind, with options on
 *     b bind [::]:5000
 *     c connect 127.0.0.1:9 = ECONNREFUSED
 *     a name = [::1]:5000
 *     a listen 1 = 0 | 6.1.176: EADDRINUSE
 *     d bind [fe80::1%lo]:5000       a link-local address, with its scope
 *
 * A line without "=" returns 0. A result after "|" is the result of the named kernel. `lo..hi`
 * stands for every number in this range. `$p` stands for an arbitrary port at its first use, and
 * for the same port afterwards. `worldCall` and `socketCall` list the calls. Most calls are also
 * methods, for tests that compute their arguments.
 *
 * The calls go to the model, or to another `Target`: asked.ts writes them as a script, and asks a
 * kernel. With ASK_KERNEL=running in the environment, `rule` asks the kernel underneath as well.
 */
import { it } from "vitest";
import { Random } from "../include/linux/random.js";
import { MSG_MORE } from "../include/linux/socket.js";
import { tcpStateName } from "../include/net/tcp_states.js";
import {
	type Address,
	AF_INET,
	AF_INET6,
	type ChangeName,
	errnoName,
	IP_BIND_ADDRESS_NO_PORT,
	IP_FREEBIND,
	IP_LOCAL_PORT_RANGE,
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	IPV6_V6ONLY,
	Kernel,
	type KernelOptions,
	type NetNamespace,
	SO_ACCEPTCONN,
	SO_BINDTODEVICE,
	SO_DOMAIN,
	SO_ERROR,
	SO_LINGER,
	SO_PROTOCOL,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SO_TYPE,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_STREAM,
	SOL_IP,
	SOL_IPV6,
	SOL_SOCKET,
	type Task,
} from "../kernel-model/index.js";
import { runSetup } from "../kernel-model/script/setup.js";
import { bindBucketFind, bindBucketOwners } from "../net/ipv4/inet_hashtables.js";

export const PROTOCOLS = {
	tcp: [SOCK_STREAM, IPPROTO_TCP],
	udp: [SOCK_DGRAM, IPPROTO_UDP],
	udplite: [SOCK_DGRAM, IPPROTO_UDPLITE],
	mptcp: [SOCK_STREAM, IPPROTO_MPTCP],
	sctp: [SOCK_STREAM, IPPROTO_SCTP],
	dccp: [SOCK_DCCP, IPPROTO_DCCP],
} as const;

export type Protocol = keyof typeof PROTOCOLS;

/** A protocol over a family, and addresses to use with it. */
export interface Kind {
	/** As programs write it: "udp", "udp6". */
	name: string;
	/** As the kernel's selftests write it: "ip6_udp". */
	variant: string;
	protocol: Protocol;
	family: 4 | 6;
	lo: string;
	/** Another address of the host. */
	lo2: string;
	any: string;
}

function kindOf(protocol: Protocol, family: 4 | 6): Kind {
	const variant = `ip${family}_${protocol}`;
	return family === 4
		? {
				name: protocol,
				variant,
				protocol,
				family,
				lo: "127.0.0.1",
				lo2: "127.0.0.2",
				any: "0.0.0.0",
			}
		: {
				name: `${protocol}6`,
				variant,
				protocol,
				family,
				lo: "[::1]",
				lo2: "[2001:db8::10]",
				any: "[::]",
			};
}

/** Both families of each protocol. */
export const kindsOf = (...protocols: Protocol[]): Kind[] =>
	protocols.flatMap((protocol) => [kindOf(protocol, 4), kindOf(protocol, 6)]);

const OPTIONS: Readonly<Record<string, readonly [level: number, name: number]>> = {
	SO_REUSEADDR: [SOL_SOCKET, SO_REUSEADDR],
	SO_REUSEPORT: [SOL_SOCKET, SO_REUSEPORT],
	SO_LINGER: [SOL_SOCKET, SO_LINGER],
	SO_BINDTODEVICE: [SOL_SOCKET, SO_BINDTODEVICE],
	SO_TYPE: [SOL_SOCKET, SO_TYPE],
	SO_PROTOCOL: [SOL_SOCKET, SO_PROTOCOL],
	SO_DOMAIN: [SOL_SOCKET, SO_DOMAIN],
	SO_ERROR: [SOL_SOCKET, SO_ERROR],
	SO_ACCEPTCONN: [SOL_SOCKET, SO_ACCEPTCONN],
	IP_FREEBIND: [SOL_IP, IP_FREEBIND],
	IP_BIND_ADDRESS_NO_PORT: [SOL_IP, IP_BIND_ADDRESS_NO_PORT],
	IP_LOCAL_PORT_RANGE: [SOL_IP, IP_LOCAL_PORT_RANGE],
	IPV6_V6ONLY: [SOL_IPV6, IPV6_V6ONLY],
};

/** Level and number of "SO_REUSEADDR", or of "1.15". */
function optionOf(word: string): readonly [number, number] {
	const known = OPTIONS[word];
	if (known !== undefined) return known;
	const [level, name] = word.split(".").map(Number);
	if (!Number.isInteger(level) || !Number.isInteger(name)) throw new Error(`no option: ${word}`);
	return [level, name];
}

/** "127.0.0.1:53", "[::1]:53", "any:53" for the wildcard of AF_INET. */
export function addressOf(text: string): Address {
	const match = /^(?:\[(.*)\]|([0-9.]+|any)):([0-9]+)$/.exec(text);
	if (match === null) throw new Error(`no address: ${text}`);
	const [, v6, v4, port] = match;
	return v6 === undefined
		? { family: "AF_INET", address: v4 === "any" ? "0.0.0.0" : v4, port: Number(port) }
		: { family: "AF_INET6", address: v6, port: Number(port) };
}

function textOf(address: Address | number): string {
	if (typeof address === "number") return errnoName(-address);
	const { family, address: host, port } = address;
	return family === "AF_INET6" ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address with which connect() dissolves a connection. */
export const UNSPEC: Address = { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 };

/** A result as "ENAME" for an error, else as a number. */
export const outcome = (result: number) => (result < 0 ? errnoName(-result) : result);

const portOf = (name: string): number => Number(name.slice(name.lastIndexOf(":") + 1));

const hex = (bytes: Uint8Array) =>
	bytes.length === 0 ? "nothing" : Buffer.from(bytes).toString("hex");
const unhex = (text: string) =>
	text === "NULL" ? null : Uint8Array.from(Buffer.from(text, "hex"));

/** Ports in order, runs joined: "40000-40003,40007". */
function joined(ports: readonly number[]): string {
	const sorted = [...ports].sort((a, b) => a - b);
	const runs: [number, number][] = [];
	for (const port of sorted) {
		const run = runs[runs.length - 1];
		if (run !== undefined && run[1] + 1 === port) run[1] = port;
		else runs.push([port, port]);
	}
	return runs.map(([low, high]) => (low === high ? `${low}` : `${low}-${high}`)).join(",");
}

/** Every draw is the same number. */
export class ConstantRandom extends Random {
	constructor(public value = 0) {
		super();
	}
	override get_random_u32(): number {
		return this.value;
	}
	override get_random_u16(): number {
		return this.value >>> 16;
	}
	override get_random_u8(): number {
		return this.value >>> 24;
	}
}

/** Small tables, because they are verified after each program. */
const TABLES = { ehash: 8192, bhash: 4096, lhash2: 1024, udp: 4096 };

/**
 * A host with 192.0.2.10 and 2001:db8::10 besides lo's addresses. No host answers in
 * 198.51.100.0/24.
 */
export const HOST = [
	"ip addr add 192.0.2.10/32 dev lo",
	"ip -6 addr add 2001:db8::10/128 dev lo nodad",
	"ip route add 198.51.100.0/24 dev lo",
] as const;

/**
 * A host with two devices: lo also has 192.0.2.1 and 2001:db8::1, dummy0 has 198.51.100.1/24. Hosts
 * in 203.0.113.0/24, behind dummy0, do not answer.
 */
export const TWO_DEVICES = [
	"ip addr add 192.0.2.1/32 dev lo",
	"ip -6 addr add 2001:db8::1/128 dev lo nodad",
	"ip link add dummy0 type dummy",
	"ip link set dummy0 up",
	"ip addr add 198.51.100.1/24 dev dummy0",
	"ip route add 203.0.113.0/24 dev dummy0",
] as const;

export interface WorldOptions {
	/** "6.3" if not given; "6.3+orphan-uid" has that change as well. */
	version?: string;
	/** Changes that are added to the version. */
	changes?: readonly ChangeName[];
	seed?: number;
	random?: Random;
	tables?: KernelOptions["tables"];
	/** Commands that make the host; HOST if not given. */
	setup?: readonly string[];
	/** The default kind of sockets; "tcp" if not given. */
	protocol?: Protocol;
}

/** The system calls of a task that programs make. */
export type Calls = Pick<
	Task,
	| "socket"
	| "bind"
	| "listen"
	| "connect"
	| "connectAndWait"
	| "accept4"
	| "dup"
	| "close"
	| "shutdown"
	| "sendto"
	| "recv"
	| "getsockname"
	| "getpeername"
	| "setsockopt"
	| "getsockopt"
>;

/** Who answers the calls of a program: the model, or a kernel. */
export interface Target {
	calls(uid: number): Calls;
	/** Writes a text to a sysctl, "net.ipv4.tcp_tw_reuse". Returns 0 or a negative errno. */
	sysctl(name: string, text: string): number;
	ip(words: readonly string[]): void;
	/** Time passes, ms. */
	pass(ms: number): void;
}

/** A call of a program that only the model can answer. */
export class OnlyModel extends Error {}

/** Calls that an error shows before the failing one. */
const SHOWN = 20;

/** The kernel has removed the protocol. */
export class Removed extends Error {}

interface Entry {
	calls: Calls;
	uid: number;
	fd: number;
	dgram: boolean;
}

export class World {
	readonly kernel: Kernel;
	readonly net: NetNamespace;
	/** Root's task. It makes the sockets unless a call names another task. */
	readonly task: Task;
	readonly version: string;
	private readonly type: number;
	private readonly protocol: number;
	private readonly tasks = new Map<number, Task>();
	private readonly sockets = new Map<string, Entry>();
	private readonly ports = new Map<string, string>();
	private uid = 0;
	private readonly started: number;
	/** The model as the target of calls. */
	readonly model: Target;
	private target: Target;

	constructor(options: WorldOptions = {}) {
		const { version = "6.3", changes = [], random, seed = 1, tables = TABLES } = options;
		this.version = [version, ...changes].join("+");
		this.kernel = new Kernel({
			version: this.version,
			tables,
			...(random === undefined ? { seed } : { random }),
		});
		this.started = this.kernel.now;
		[this.type, this.protocol] = PROTOCOLS[options.protocol ?? "tcp"];
		this.net = this.kernel.createNet();
		for (const command of options.setup ?? HOST) {
			runSetup(this.kernel, this.net, command.split(" "));
		}
		this.task = this.user(0);
		this.model = {
			calls: (uid) => this.user(uid),
			sysctl: (name, text) => this.net.setSysctl(name, text),
			ip: (words) => {
				runSetup(this.kernel, this.net, words);
			},
			pass: (ms) => this.kernel.advance(ms),
		};
		this.target = this.model;
	}

	/**
	 * Makes every call, on a target if one is given. Throws Error that shows the calls with other
	 * results, OnlyModel for a call that no target answers.
	 */
	run(program: string, target: Target = this.model): void {
		this.target = target;
		const wrong: string[] = [];
		let before: string[] = [];
		for (const line of program.split("\n")) {
			const text = line.replace(/ *(^|\t| )#.*$/, "").trim();
			if (text === "") continue;
			const [call, answers = "0"] = text.split(" = ");
			const [usual, ...others] = answers.split(" | ");
			const own = others.map((other) => other.split(": ")).find(([who]) => who === this.version);
			const expected = own?.[1] ?? usual;
			const result = this.call(call);
			if (!this.matches(expected, result)) {
				wrong.push(...before, `${call} = ${result}, not ${expected}`, "");
				before = [];
			}
			before = call.startsWith("close ") ? [] : [...before, text].slice(-SHOWN);
		}
		if (wrong.length > 0) throw new Error(wrong.slice(0, 10 * SHOWN).join("\n"));
		this.check();
	}

	private matches(expected: string, result: string): boolean {
		const range = /^(.*?)([0-9]+)\.\.([0-9]+)$/.exec(expected);
		if (range !== null) {
			const [, front, low, high] = range;
			const rest = result.slice(front.length);
			if (!result.startsWith(front) || !/^[0-9]+$/.test(rest)) return false;
			return Number(low) <= Number(rest) && Number(rest) <= Number(high);
		}
		const variable = /\$[a-z]/.exec(expected)?.[0];
		if (variable === undefined) return result === expected;
		const known = this.ports.get(variable);
		if (known !== undefined) return result === expected.replace(variable, known);
		const port = /[0-9]+$/.exec(result)?.[0];
		if (port === undefined || result !== expected.replace(variable, port)) return false;
		this.ports.set(variable, port);
		return true;
	}

	/** Makes one call of a program. Returns a number, "ENAME", or a value. */
	call(text: string): string {
		if (this.target !== this.model && /\$[a-z]/.test(text))
			throw new OnlyModel(`${text}: a chosen port`);
		const words = text
			.trim()
			.replace(/\$[a-z]/g, (name) => this.ports.get(name) ?? name)
			.split(" ");
		const [name, verb] = words;
		const known = this.sockets.get(name) ?? (/^[a-z]$/.test(name) ? this.make(name) : undefined);
		const result =
			known === undefined
				? this.worldCall(words)
				: this.socketCall(name, known, verb, words.slice(2));
		return typeof result === "number" ? String(outcome(result)) : result;
	}

	/** An address of a program. "[fe80::1%dummy0]:53" has the scope of a device. */
	private address(text: string): Address {
		const [, host, scope, port] = /^(.*)%(.*)(\]:[0-9]+)$/.exec(text) ?? [];
		if (scope === undefined) return addressOf(text);
		const device = this.net.net.devices.find(({ name }) => name === scope);
		// A kernel that answers from a recording has made its devices already.
		if (device === undefined && this.target === this.model) throw new Error(`no device: ${scope}`);
		return { ...addressOf(host + port), scope_id: device?.ifindex ?? 0 };
	}

	private get(name: string): Entry {
		const socket = this.sockets.get(name);
		if (socket === undefined) throw new Error(`no socket: ${name}`);
		return socket;
	}

	/** Before a call that looks into the model. */
	private looksInside(verb: string): void {
		if (this.target !== this.model) throw new OnlyModel(`${verb}: no system call`);
	}

	/** Makes a socket of the default kind for a new name. */
	private make(name: string): Entry {
		const { uid, type } = this;
		const calls = this.target.calls(uid);
		const fd = calls.socket(AF_INET, type, this.protocol);
		if (fd < 0) throw new Error(`socket: ${errnoName(-fd)}`);
		const socket = { calls, uid, fd, dgram: type === SOCK_DGRAM };
		this.sockets.set(name, socket);
		return socket;
	}

	private worldCall(words: readonly string[]): string | number {
		const [verb, ...args] = words;
		const [word, ...rest] = args;
		if (["tick", "clock", "read", "log", "at"].includes(verb)) this.looksInside(verb);
		switch (verb) {
			case "user": // whose sockets the following ones are
				this.uid = Number(word);
				return 0;
			case "pass": // milliseconds
				this.target.pass(Number(word));
				return 0;
			case "tick": // until the kernel's second changes
				this.kernel.advance(1000 - (this.kernel.now % 1000));
				return 0;
			case "clock": // seconds since the beginning
				return Math.floor((this.kernel.now - this.started) / 1000);
			case "sysctl": // net.NAME VALUE
				return this.target.sysctl(`net.${word}`, `${rest.join(" ")}\n`);
			case "write": // JSON to a file of /proc/sys/net/ipv4
				return this.target.sysctl(`net.ipv4.${word}`, JSON.parse(rest.join(" ")));
			case "read": {
				const read = this.net.getSysctl(`net.ipv4.${word}`);
				return typeof read === "number" ? read : JSON.stringify(read);
			}
			case "log": // how many lines the kernel has logged
				return this.net.log.length;
			case "at": // states of the sockets that have the port, but for closed ones
				return this.statesAt(Number(word));
			case "ip":
				this.target.ip(words);
				return 0;
			case "close": // all sockets, or some
				for (const name of word === "all" ? [...this.sockets.keys()] : args) {
					const { calls, fd } = this.get(name);
					this.sockets.delete(name);
					const result = calls.close(fd);
					if (result !== 0) return result;
				}
				return 0;
			case "ports": // of some sockets, which have to be different ones
				return joined(args.map((name) => this.nameOf(name)).map(portOf));
			case "heard": // which sockets have a datagram or a connection; takes one of each
				return this.heard(args).join(" ") || "nobody";
			default: {
				const made = /^([a-z]+)(6?)$/.exec(verb);
				if (made === null || !(made[1] in PROTOCOLS)) throw new Error(`no call: ${verb}`);
				return this.create(made[1] as Protocol, made[2] === "6", args);
			}
		}
	}

	/** Makes sockets with the names before "with" and the options after it. */
	private create(protocol: Protocol, v6: boolean, args: readonly string[]): number {
		const [type, number] = PROTOCOLS[protocol];
		const at = args.indexOf("with");
		const options = at < 0 ? [] : args.slice(at + 1);
		for (const name of at < 0 ? args : args.slice(0, at)) {
			const { uid } = this;
			const calls = this.target.calls(uid);
			const fd = calls.socket(v6 ? AF_INET6 : AF_INET, type, number);
			if (fd < 0) {
				const { changes } = this.kernel;
				if (protocol === "dccp" && changes.has("dccp-removed")) throw new Removed(`no ${protocol}`);
				return fd;
			}
			this.sockets.set(name, { calls, uid, fd, dgram: type === SOCK_DGRAM });
			for (const option of options) {
				const err = calls.setsockopt(fd, ...optionOf(option), 1);
				if (err !== 0) return err;
			}
		}
		return 0;
	}

	/** Sends [SIZE] [ADDRESS]: by default one byte to the connected address. */
	private send(calls: Calls, fd: number, args: readonly string[], flags: number): number {
		const to = args.find((arg) => arg.includes(":"));
		const size = args.find((arg) => !arg.includes(":"));
		const address = to === undefined ? null : this.address(to);
		return calls.sendto(fd, Number(size ?? 1), address, undefined, true, flags);
	}

	private nameOf(name: string): string {
		const { calls, fd } = this.get(name);
		return textOf(calls.getsockname(fd));
	}

	/**
	 * The sockets that get a connection or a datagram. Accepted sockets are closed at the end, so the
	 * numbers of descriptors do not depend on which socket gets it.
	 */
	private heard(names: readonly string[]): string[] {
		const accepted: [calls: Calls, fd: number][] = [];
		const heard = names.filter((name) => {
			const { calls, fd, dgram } = this.get(name);
			if (dgram) return calls.recv(fd, 1, true) >= 0;
			const newfd = calls.accept4(fd, 0, {}, true);
			if (newfd >= 0) accepted.push([calls, newfd]);
			return newfd >= 0;
		});
		for (const [calls, fd] of accepted) calls.close(fd);
		return heard;
	}

	private statesAt(port: number): string {
		const k = this.kernel;
		const S = k.sock;
		const states: string[] = [];
		const tb = bindBucketFind(k.tcp_hashinfo, this.net.net, port, 0);
		for (const sk of tb === 0 ? [] : bindBucketOwners(k, k.tcp_hashinfo, tb)) {
			const state = tcpStateName(S.skc_state[sk]);
			// As in /proc/net/tcp, a time-wait socket shows its substate.
			states.push(state === "TIME_WAIT" ? tcpStateName(S.tw_substate[sk]) : state);
		}
		const shown = states.filter((state) => state !== "CLOSE").sort();
		return shown.length === 0 ? "nothing" : shown.join(" ");
	}

	private socketCall(
		name: string,
		socket: Entry,
		verb: string,
		args: readonly string[],
	): string | number {
		const { calls, uid, fd } = socket;
		const [word] = args;
		switch (verb) {
			case "socket": // nothing but the socket
				return 0;
			case "bind": {
				// [AF_UNSPEC] ADDRESS [LENGTH]
				const unspec = word === "AF_UNSPEC";
				const [text, length] = unspec ? args.slice(1) : args;
				const address = this.address(text);
				if (unspec) address.family = "AF_UNSPEC";
				return length === undefined
					? calls.bind(fd, address)
					: calls.bind(fd, address, Number(length));
			}
			case "listen":
				return calls.listen(fd, Number(word));
			case "connect": // and waits
				return calls.connectAndWait(fd, this.address(word));
			case "start": // connect() that does not wait; a length may follow
				return calls.connect(
					fd,
					this.address(word),
					args[1] === undefined ? undefined : Number(args[1]),
					true,
				);
			case "dissolve": // connect() with AF_UNSPEC
				return calls.connect(fd, UNSPEC);
			case "accept": {
				const accepted = calls.accept4(fd, 0, {}, true);
				if (accepted < 0) return accepted;
				this.sockets.set(word, { calls, uid, fd: accepted, dgram: false });
				return 0;
			}
			case "dup":
				this.sockets.set(word, { ...socket, fd: calls.dup(fd) });
				return 0;
			case "close":
				this.sockets.delete(name);
				return calls.close(fd);
			case "shutdown":
				return calls.shutdown(fd, { rd: 0, wr: 1, rdwr: 2 }[word] ?? Number(word));
			case "send":
				return this.send(calls, fd, args, 0);
			case "more": // as send, with MSG_MORE
				return this.send(calls, fd, args, MSG_MORE);
			case "recv":
				return calls.recv(fd, Number(word ?? 1), true);
			case "name":
				return this.nameOf(name);
			case "port":
				return portOf(this.nameOf(name));
			case "peer":
				return textOf(calls.getpeername(fd));
			case "state":
				this.looksInside(verb);
				return tcpStateName(this.kernel.sock.skc_state[this.sk(fd, this.user(uid))]);
			case "error": // SO_ERROR, by name
				return this.error(fd, calls);
			case "device": // SO_BINDTODEVICE
				return calls.setsockopt(fd, ...optionOf("SO_BINDTODEVICE"), Buffer.from(`${word}\0`));
			case "range": // IP_LOCAL_PORT_RANGE
				return calls.setsockopt(
					fd,
					...optionOf("IP_LOCAL_PORT_RANGE"),
					(Number(args[1]) << 16) | Number(word),
				);
			case "set": // an int
				return calls.setsockopt(fd, ...optionOf(word), Number(args[1]));
			case "setopt": // bytes, and how many of them
				return calls.setsockopt(fd, ...optionOf(word), unhex(args[1]), Number(args[2]));
			case "getopt": {
				const value = calls.getsockopt(fd, ...optionOf(word), Number(args[1]));
				return typeof value === "number" ? value : hex(value);
			}
			default:
				throw new Error(`no call: ${verb}`);
		}
	}

	// The same calls as methods, with descriptors for names.

	/** The task of a user in the namespace. Only root may bind privileged ports. */
	user(uid: number): Task {
		const known = this.tasks.get(uid);
		if (known !== undefined) return known;
		const task = this.kernel.createTask({ net: this.net, uid });
		this.tasks.set(uid, task);
		return task;
	}

	/** ip_local_port_range. */
	range(low: number, high: number): void {
		this.net.setSysctl("net.ipv4.ip_local_port_range", `${low} ${high}`);
	}

	/** A socket with options: `A` SO_REUSEADDR, `P` SO_REUSEPORT, `6` IPV6_V6ONLY. */
	socket(
		family: number = AF_INET,
		flags = "",
		task = this.task,
		type = this.type,
		protocol = this.protocol,
	): number {
		const fd = task.socket(family, type, protocol);
		if (fd < 0) throw new Error(`socket: ${errnoName(-fd)}`);
		if (flags.includes("A")) task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (flags.includes("P")) task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (flags.includes("6")) task.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, 1);
		return fd;
	}

	/** The record of a descriptor's socket. */
	sk(fd: number, task = this.task): number {
		return this.kernel.socket.sk[task.socketOf(fd)];
	}

	/**
	 * A socket for "AP 127.0.0.1:53", bound to the address; with `L` among the flags it
	 * listens. The first result that is not 0 counts.
	 */
	tryBind(
		spec: string,
		task = this.task,
		protocol = this.protocol,
	): { fd: number; result: string | number } {
		const [flags, text] = spec.includes(" ") ? spec.split(" ") : ["", spec];
		const to = addressOf(text);
		const family = to.family === "AF_INET" ? AF_INET : AF_INET6;
		const fd = this.socket(family, flags, task, this.type, protocol);
		let result = task.bind(fd, to);
		if (result === 0 && flags.includes("L")) result = task.listen(fd, 4);
		return { fd, result: outcome(result) };
	}

	/** As tryBind(), but fails if the result is not 0. */
	bound(spec: string, task = this.task): number {
		const { fd, result } = this.tryBind(spec, task);
		if (result !== 0) throw new Error(`${spec}: ${result}`);
		return fd;
	}

	bind(fd: number, to: string, task = this.task): string | number {
		return outcome(task.bind(fd, addressOf(to)));
	}

	listen(fd: number, backlog = 4): string | number {
		return outcome(this.task.listen(fd, backlog));
	}

	/** connect() that waits. */
	connect(fd: number, to: string): string | number {
		return outcome(this.task.connectAndWait(fd, addressOf(to)));
	}

	/** connect() that does not wait. */
	start(fd: number, to: string): string | number {
		return outcome(this.task.connect(fd, addressOf(to), undefined, true));
	}

	dissolve(fd: number): string | number {
		return outcome(this.task.connect(fd, UNSPEC));
	}

	/** A new descriptor, or "EAGAIN". */
	accept(fd: number): string | number {
		return outcome(this.task.accept4(fd, 0, {}, true));
	}

	/** As accept(), but fails if there is an error. */
	accepted(fd: number): number {
		const newfd = this.accept(fd);
		if (typeof newfd === "string") throw new Error(`accept: ${newfd}`);
		return newfd;
	}

	sendto(fd: number, size: number, to: string | null): string | number {
		const address = to === null ? null : addressOf(to);
		return outcome(this.task.sendto(fd, size, address, undefined, true));
	}

	recv(fd: number, size = 4096): string | number {
		return outcome(this.task.recv(fd, size, true));
	}

	name(fd: number): string {
		return textOf(this.task.getsockname(fd));
	}

	peer(fd: number): string {
		return textOf(this.task.getpeername(fd));
	}

	port(fd: number): number {
		return portOf(this.name(fd));
	}

	/** Reads SO_ERROR and clears it: "ECONNREFUSED", or 0. */
	error(fd: number, task: Calls = this.task): string | number {
		const value = task.getsockopt(fd, SOL_SOCKET, SO_ERROR);
		if (typeof value === "number") return outcome(value);
		return value[0] === 0 ? 0 : outcome(-value[0]);
	}

	close(...fds: number[]): void {
		for (const fd of fds) this.task.close(fd);
	}

	/** Checks all tables. */
	check(): void {
		this.kernel.verify();
	}
}

/** Profiles that real kernels have confirmed, oldest first, and every other kernel. */
export const EVERY: readonly string[] = ["6.3", "6.1.176", "6.12.107", "6.18.44", "*"];

/** Kernels before 6.5: each timeout of a SYN is twice as long as the one before. */
export const EXPONENTIAL: readonly string[] = ["6.3", "6.1.176"];
/** Kernels since 6.5, which have the sysctl tcp_syn_linear_timeouts. */
export const LINEAR: readonly string[] = ["6.12.107", "6.18.44", "*"];

/** A rule that the program shows on the given versions. "6.3+change" adds the change to 6.3. */
export function rule(name: string, program: string, versions: readonly string[] = EVERY): void {
	const { ASK_KERNEL } = process.env;
	if (ASK_KERNEL !== undefined) {
		it(`${name}, by kernel ${ASK_KERNEL}`, async (context) => {
			const { askKernel } = await import("./asked.js");
			const reason = await askKernel(ASK_KERNEL, name, program, versions);
			context.skip(reason !== null, reason ?? "");
		});
	}
	it(name, () => {
		for (const version of versions.filter((candidate) => candidate !== "*")) {
			try {
				new World({ version }).run(program);
			} catch (error) {
				if (error instanceof Removed) continue;
				const what = error instanceof Error ? error.message : String(error);
				throw new Error(`kernel ${version}\n${what}`, { cause: error });
			}
		}
	});
}

/** Joins the lines that a function makes from each item. */
export const lines = <T>(items: readonly T[], line: (item: T, index: number) => string): string =>
	items.map(line).join("\n");

/** Names of sockets: a0, a1, ... */
export const names = (prefix: string, count: number): string[] =>
	Array.from({ length: count }, (_, index) => `${prefix}${index}`);
