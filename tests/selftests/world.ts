// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What tables of this folder are made of: calls, one a line, each with what the kernel answers.
 *
 *     udp6 a b with SO_REUSEPORT     sockets of a kind, with options on
 *     a bind [::1]:5000
 *     b bind [::]:5000
 *     c connect 127.0.0.1:9 = ECONNREFUSED
 *     a name = [::1]:5000
 *     b listen 1 = 0 | 6.1.176: EADDRINUSE
 *
 * A line without "=" returns 0. What stands behind "|" is what the kernel of that name answers
 * instead. `lo..hi` stands for any number in between. World says which calls there are;
 * kernel.py in this folder makes the same calls on a running kernel.
 *
 * With SELFTESTS=FILE in the environment, every program is appended to FILE as a line of JSON.
 */
import { appendFileSync } from "node:fs";
import { it } from "vitest";
import {
	type Address,
	AF_INET,
	AF_INET6,
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
	type NetNamespace,
	SO_BINDTODEVICE,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_STREAM,
	SOL_IP,
	SOL_IPV6,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { runSetup } from "../../kernel-model/script/setup.js";

const PROTOCOLS = {
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

export function kindOf(protocol: Protocol, family: 4 | 6): Kind {
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
	SO_BINDTODEVICE: [SOL_SOCKET, SO_BINDTODEVICE],
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

function addressOf(text: string): Address {
	const match = /^(?:\[(.*)\]|([0-9.]*)):([0-9]+)$/.exec(text);
	if (match === null) throw new Error(`no address: ${text}`);
	const [, v6, v4, port] = match;
	return v6 === undefined
		? { family: "AF_INET", address: v4, port: Number(port) }
		: { family: "AF_INET6", address: v6, port: Number(port) };
}

function textOf(address: Address): string {
	const { family, address: host, port } = address;
	return family === "AF_INET6" ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Ports in order, runs joined: "40000-40003,40007". */
export function joined(ports: readonly number[]): string {
	const sorted = [...ports].sort((a, b) => a - b);
	const runs: [number, number][] = [];
	for (const port of sorted) {
		const run = runs[runs.length - 1];
		if (run !== undefined && run[1] + 1 === port) run[1] = port;
		else runs.push([port, port]);
	}
	return runs.map(([low, high]) => (low === high ? `${low}` : `${low}-${high}`)).join(",");
}

/** Small ones: what a table holds is looked over after each program. */
const TABLES = { ehash: 8192, bhash: 4096, lhash2: 1024, udp: 4096 };

/** Calls that an error shows before the one that was answered otherwise. */
const SHOWN = 20;

/** The kernel is one of those that have lost the protocol. */
class Removed extends Error {}

interface Entry {
	task: Task;
	fd: number;
	dgram: boolean;
}

/**
 * One kernel with one namespace: lo is up and has 127.0.0.1/8, ::1, 192.0.2.10 and
 * 2001:db8::10; nobody answers in 198.51.100.0/24.
 */
export class World {
	readonly kernel: Kernel;
	readonly net: NetNamespace;
	private readonly tasks = new Map<number, Task>();
	private readonly sockets = new Map<string, Entry>();
	private readonly ports = new Map<string, string>();
	private user = 0;

	constructor(
		readonly version: string,
		seed = 1,
	) {
		const [base, ...changes] = version.split("+");
		this.kernel = new Kernel({ version: base, seed, tables: TABLES });
		const { changes: has } = this.kernel;
		for (const change of changes) (has as Set<string>).add(change);
		this.net = this.kernel.createNet();
		for (const command of [
			"ip addr add 192.0.2.10/32 dev lo",
			"ip -6 addr add 2001:db8::10/128 dev lo nodad",
			"ip route add 198.51.100.0/24 dev lo",
		]) {
			runSetup(this.kernel, this.net, command.split(" "));
		}
	}

	/** Makes every call; throws an error that shows those that were answered otherwise. */
	run(program: string): void {
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
		this.kernel.verify();
	}

	/** `$p` stands for any port where it is first seen, and for that one afterwards. */
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

	private task(): Task {
		const known = this.tasks.get(this.user);
		if (known !== undefined) return known;
		const task = this.kernel.createTask({ net: this.net, uid: this.user });
		this.tasks.set(this.user, task);
		return task;
	}

	/** Makes one call: a number, "ENAME", or what it tells. */
	call(text: string): string {
		const words = text
			.trim()
			.replace(/\$[a-z]/g, (name) => this.ports.get(name) ?? name)
			.split(" ");
		const socket = this.sockets.get(words[0]);
		const result =
			socket === undefined
				? this.worldCall(words)
				: this.socketCall(words[0], socket, words[1], words.slice(2));
		if (typeof result === "string") return result;
		return result < 0 ? errnoName(-result) : String(result);
	}

	private get(name: string): Entry {
		const socket = this.sockets.get(name);
		if (socket === undefined) throw new Error(`no socket: ${name}`);
		return socket;
	}

	private worldCall(words: readonly string[]): string | number {
		const [verb, ...args] = words;
		switch (verb) {
			case "user": // whose sockets the following ones are
				this.user = Number(args[0]);
				return 0;
			case "pass": // milliseconds
				this.kernel.advance(Number(args[0]));
				return 0;
			case "sysctl": // net.NAME VALUE
				return this.net.setSysctl(`net.${args[0]}`, `${args.slice(1).join(" ")}\n`);
			case "ip":
				runSetup(this.kernel, this.net, words);
				return 0;
			case "close": // all sockets, or some
				for (const name of args[0] === "all" ? [...this.sockets.keys()] : args) {
					const { task, fd } = this.get(name);
					this.sockets.delete(name);
					const result = task.close(fd);
					if (result !== 0) return result;
				}
				return 0;
			case "ports": // of some sockets, which have to be different ones
				return joined(args.map((name) => this.nameOf(name)).map(portOf));
			case "heard": // which sockets have a datagram or a connection; takes one of each
				return args.filter((name) => this.hears(name)).join(" ") || "nobody";
			default: {
				const made = /^([a-z]+)(6?)$/.exec(verb);
				if (made === null || !(made[1] in PROTOCOLS)) throw new Error(`no call: ${verb}`);
				return this.create(made[1] as Protocol, made[2] === "6", args);
			}
		}
	}

	/** Sockets of the names before "with", with the options behind it. */
	private create(protocol: Protocol, v6: boolean, args: readonly string[]): number {
		const [type, number] = PROTOCOLS[protocol];
		const at = args.indexOf("with");
		const options = at < 0 ? [] : args.slice(at + 1);
		for (const name of at < 0 ? args : args.slice(0, at)) {
			const task = this.task();
			const fd = task.socket(v6 ? AF_INET6 : AF_INET, type, number);
			if (fd < 0) {
				const { changes } = this.kernel;
				if (protocol === "dccp" && changes.has("dccp-removed")) throw new Removed();
				return fd;
			}
			this.sockets.set(name, { task, fd, dgram: type === SOCK_DGRAM });
			for (const option of options) {
				const err = task.setsockopt(fd, ...optionOf(option), 1);
				if (err !== 0) return err;
			}
		}
		return 0;
	}

	private nameOf(name: string): string {
		const { task, fd } = this.get(name);
		const address = task.getsockname(fd);
		return typeof address === "number" ? errnoName(-address) : textOf(address);
	}

	private hears(name: string): boolean {
		const { task, fd, dgram } = this.get(name);
		if (dgram) return task.recv(fd, 1, true) >= 0;
		const accepted = task.accept4(fd, 0, {}, true);
		if (accepted >= 0) task.close(accepted);
		return accepted >= 0;
	}

	private socketCall(
		name: string,
		socket: Entry,
		verb: string,
		args: readonly string[],
	): string | number {
		const { task, fd } = socket;
		const [word] = args;
		switch (verb) {
			case "bind":
				return task.bind(fd, addressOf(word));
			case "listen":
				return task.listen(fd, Number(word));
			case "connect": // and waits
				return task.connectAndWait(fd, addressOf(word));
			case "start": // connect() that does not wait
				return task.connect(fd, addressOf(word), undefined, true);
			case "dissolve": // connect() with AF_UNSPEC
				return task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 });
			case "accept": {
				const accepted = task.accept4(fd, 0, {}, true);
				if (accepted < 0) return accepted;
				this.sockets.set(word, { task, fd: accepted, dgram: false });
				return 0;
			}
			case "close":
				this.sockets.delete(name);
				return task.close(fd);
			case "send": // one byte, to where it is connected or to an address
				return task.sendto(fd, 1, word === undefined ? null : addressOf(word));
			case "recv":
				return task.recv(fd, 1, true);
			case "name":
				return this.nameOf(name);
			case "port":
				return portOf(this.nameOf(name));
			case "peer": {
				const address = task.getpeername(fd);
				return typeof address === "number" ? address : textOf(address);
			}
			case "device": // SO_BINDTODEVICE
				return task.setsockopt(fd, ...optionOf("SO_BINDTODEVICE"), Buffer.from(`${word}\0`));
			case "range": // IP_LOCAL_PORT_RANGE
				return task.setsockopt(
					fd,
					...optionOf("IP_LOCAL_PORT_RANGE"),
					(Number(args[1]) << 16) | Number(word),
				);
			case "set": // an int
				return task.setsockopt(fd, ...optionOf(word), Number(args[1]));
			case "setopt": {
				// Bytes, and how many of them.
				const bytes = args[1] === "NULL" ? null : Uint8Array.from(Buffer.from(args[1], "hex"));
				return task.setsockopt(fd, ...optionOf(word), bytes, Number(args[2]));
			}
			case "getopt": {
				const value = task.getsockopt(fd, ...optionOf(word), Number(args[1]));
				if (typeof value === "number") return value;
				return value.length === 0 ? "nothing" : Buffer.from(value).toString("hex");
			}
			default:
				throw new Error(`no call: ${verb}`);
		}
	}
}

const portOf = (name: string): number => Number(name.slice(name.lastIndexOf(":") + 1));

/** Profiles that real kernels have confirmed, oldest first, and every other kernel. */
export const EVERY: readonly string[] = ["6.3", "6.1.176", "6.12.107", "6.18.44", "*"];

/** A rule that the program shows, on the given versions; "6.3+change" has that change as well. */
export function rule(name: string, program: string, versions: readonly string[] = EVERY): void {
	const file = process.env.SELFTESTS;
	if (file !== undefined) appendFileSync(file, `${JSON.stringify({ name, program, versions })}\n`);
	it(name, () => {
		for (const version of versions.filter((candidate) => candidate !== "*")) {
			try {
				new World(version).run(program);
			} catch (error) {
				if (error instanceof Removed) continue;
				const what = error instanceof Error ? error.message : String(error);
				throw new Error(`kernel ${version}\n${what}`, { cause: error });
			}
		}
	});
}

/** The lines that a function makes of each item. */
export const lines = <T>(items: readonly T[], line: (item: T, index: number) => string): string =>
	items.map(line).join("\n");

/** Names of sockets: a0, a1, ... */
export const names = (prefix: string, count: number): string[] =>
	Array.from({ length: count }, (_, index) => `${prefix}${index}`);
