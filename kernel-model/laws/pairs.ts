// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Pairs of sockets on one port: the first socket is there, and the second one, the newcomer, binds.
 * A pair is a small program. It runs on the model, or as a script on a real kernel. Each pair has a
 * port of its own, because a kernel may remember what was on a port.
 */
import { AF_INET, AF_INET6, SOL_IPV6, type Sockaddr } from "../../include/linux/socket.js";
import type { Net } from "../../include/net/net_namespace.js";
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import {
	SO_BINDTODEVICE,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_SOCKET,
} from "../../include/uapi/asm-generic/socket.js";
import { IPV6_V6ONLY } from "../../include/uapi/linux/in.js";
import { intBytes } from "../../net/core/sock.js";
import {
	__sock_release,
	__sys_bind,
	__sys_connect,
	__sys_listen,
	__sys_setsockopt,
	do_accept,
	sock_create,
} from "../../net/socket.js";
import { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import { HOST, PLACES, type Place } from "./kinds.js";
import { LISTEN_FAILED, PEER_PORT, peerOf, USERS } from "./lab.js";
import { KINDS, type Protocol } from "./protocols.js";
import { lengthOf, sockaddrOf, sockaddrText } from "./sockaddr.js";

/** What the first socket does after bind(). */
export const STATES = ["bound", "listening", "connected", "TIME_WAIT"] as const;
export type State = (typeof STATES)[number];

/** The device of SO_BINDTODEVICE; "" without it. */
export const DEVICES = ["", "lo", "dummy0"] as const;
export type Device = (typeof DEVICES)[number];

/** SO_REUSEADDR and SO_REUSEPORT of a socket. */
interface Options {
	readonly reuse: boolean;
	readonly reuseport: boolean;
}

/** The four ways to set the options. */
export const OPTIONS: readonly Options[] = [
	{ reuse: false, reuseport: false },
	{ reuse: true, reuseport: false },
	{ reuse: false, reuseport: true },
	{ reuse: true, reuseport: true },
];

/** The first socket. */
export interface First {
	readonly place: Place;
	readonly device: Device;
	readonly options: Options;
	readonly state: State;
}

/** The newcomer. */
export interface Second {
	readonly place: Place;
	readonly device: Device;
	readonly options: Options;
	/** Whether it belongs to another user than the first socket. */
	readonly other: boolean;
	/** Whether it calls listen() after bind(). */
	readonly listens: boolean;
}

const OPTION = {
	IPV6_V6ONLY: ["SOL_IPV6", SOL_IPV6, IPV6_V6ONLY],
	SO_REUSEADDR: ["SOL_SOCKET", SOL_SOCKET, SO_REUSEADDR],
	SO_REUSEPORT: ["SOL_SOCKET", SOL_SOCKET, SO_REUSEPORT],
} as const;

const ONE = intBytes(1);

/** One system call. `user` is the number of its user. A port of 0 is the port of the pair. */
type Call = { readonly user: 0 | 1; readonly fd: number } & (
	| { readonly name: "socket"; readonly family: "AF_INET" | "AF_INET6" }
	| { readonly name: "setsockopt"; readonly option: keyof typeof OPTION }
	| { readonly name: "device"; readonly device: Device }
	| { readonly name: "bind" | "connect"; readonly address: string; readonly port: number }
	| { readonly name: "listen" | "accept" | "close" }
);

/** A socket that calls act on. */
interface At {
	readonly user: 0 | 1;
	readonly fd: number;
}

/** The states that first sockets of a protocol have. */
function statesOf(protocol: Protocol): readonly State[] {
	if (!KINDS[protocol].listens) return ["bound", "connected"];
	// SCTP has no TIME_WAIT. Connections of DCCP are left out.
	if (protocol === "sctp") return ["bound", "listening", "connected"];
	return protocol === "dccp" ? ["bound", "listening"] : STATES;
}

/** Places in the order of tables: IPv4, both families, IPv6. */
export const SEATS: readonly Place[] = [
	...PLACES.filter(({ v6 }) => v6 === null).sort((a, b) => (a.v4 ?? 0) - (b.v4 ?? 0)),
	...PLACES.filter(({ v6 }) => v6 !== null),
];

const isWildcard = (place: Place) => place.v4 === 0 || place.v6 === 0;

/** Places of sockets in pairs with a device. */
export const WIDE = PLACES.slice(0, 3);

/** The first sockets. A socket that has connected has an address, so it is at no wildcard. */
export function firstsOf(protocol: Protocol): First[] {
	const found: First[] = [];
	for (const device of DEVICES)
		for (const place of device === "" ? SEATS : WIDE)
			for (const state of statesOf(protocol))
				for (const options of OPTIONS) {
					const connects = state === "connected" || state === "TIME_WAIT";
					if (connects && (isWildcard(place) || device !== "")) continue;
					found.push({ place, device, state, options });
				}
	return found;
}

/** The newcomers. */
export function secondsOf(protocol: Protocol): Second[] {
	const found: Second[] = [];
	for (const device of DEVICES)
		for (const place of device === "" ? SEATS : WIDE)
			for (const other of [false, true])
				for (const listens of KINDS[protocol].listens ? [false, true] : [false])
					for (const options of OPTIONS) found.push({ place, device, other, listens, options });
	return found;
}

/** Whether a pair is asked. Devices are asked in fewer places. */
export function isAsked(first: First, second: Second): boolean {
	if (first.device === "" && second.device === "") return true;
	return WIDE.includes(first.place) && WIDE.includes(second.place);
}

/** The descriptor of the peer's listener, and the one of the first socket. */
const PEER_FD = 3;
const FIRST_FD = 4;
/** The lowest descriptor of the other user. */
const OTHER_FD = 3;

/** The calls before all pairs: the listener to which first sockets connect. */
function openingOf(protocol: Protocol): Call[] {
	const peer = { user: 0, fd: PEER_FD } as const;
	return [
		{ ...peer, name: "socket", family: "AF_INET6" },
		{ ...peer, name: "bind", address: "::", port: PEER_PORT },
		...(KINDS[protocol].listens ? [{ ...peer, name: "listen" } as const] : []),
	];
}

function bindCalls(at: At, { place, options, device }: First | Second): Call[] {
	const calls: Call[] = [{ ...at, name: "socket", family: place.family }];
	if (place.v6only) calls.push({ ...at, name: "setsockopt", option: "IPV6_V6ONLY" });
	if (options.reuse) calls.push({ ...at, name: "setsockopt", option: "SO_REUSEADDR" });
	if (options.reuseport) calls.push({ ...at, name: "setsockopt", option: "SO_REUSEPORT" });
	if (device !== "") calls.push({ ...at, name: "device", device });
	calls.push({ ...at, name: "bind", address: place.address, port: 0 });
	return calls;
}

/** The calls of a first socket, and the descriptors that stay open. */
function firstCalls(protocol: Protocol, first: First): { calls: Call[]; open: number[] } {
	const at: At = { user: 0, fd: FIRST_FD };
	const calls = bindCalls(at, first);
	const open = [FIRST_FD];
	const connects = first.state === "connected" || first.state === "TIME_WAIT";
	if (first.state === "listening") calls.push({ ...at, name: "listen" });
	if (connects) {
		calls.push({ ...at, name: "connect", address: peerOf(first.place), port: PEER_PORT });
	}
	if (connects && KINDS[protocol].listens) {
		calls.push({ user: 0, fd: PEER_FD, name: "accept" });
		open.push(FIRST_FD + 1);
	}
	if (first.state === "TIME_WAIT") {
		// The side that closes first has TIME_WAIT.
		for (const fd of open.splice(0)) calls.push({ user: 0, fd, name: "close" });
	}
	return { calls, open };
}

/** The calls of a newcomer; `free` is the lowest descriptor that the first user has free. */
function secondCalls(second: Second, free: number): Call[] {
	const at: At = second.other ? { user: 1, fd: OTHER_FD } : { user: 0, fd: free };
	const calls = bindCalls(at, second);
	if (second.listens) calls.push({ ...at, name: "listen" });
	return calls;
}

/** The answer of a newcomer: 0, or the first of its calls that fails. */
function answerOf({ name }: Call, result: number): number {
	if (result === 0) return 0;
	return name === "listen" ? LISTEN_FAILED - result : -result;
}

/** The lowest free descriptor of the first user. */
const freeAfter = (open: readonly number[]) => Math.max(FIRST_FD - 1, ...open) + 1;

/** The ports of pairs. */
const LOWEST_PORT = 10_000;
const PORTS = 20_000;
/** Longer than any TIME_WAIT, ms. */
const AFTER_TIME_WAIT = 125_000;
/** Pairs between two of these pauses: fewer than the TIME_WAIT sockets that a kernel keeps. */
const AT_ONCE = 200;
const BACKLOG = 16;

/** A device's name, as SO_BINDTODEVICE takes it. */
const DEVICE_BYTES: ReadonlyMap<Device, Uint8Array> = new Map(
	DEVICES.map((device) => [device, Buffer.from(`${device}\0`)]),
);

/** Descriptors of a user. */
const DESCRIPTORS = 8;

/** Runs pairs on the model of a version. It calls net/socket.ts directly, as Lab does. */
export class Model {
	private readonly kernel: Kernel;
	private readonly net: Net;
	/** The socket of each descriptor of each user; 0 if it is closed. */
	private readonly sockets = new Int32Array(2 * DESCRIPTORS);
	private readonly addresses = new Map<string, Sockaddr>();
	private readonly seconds = new Map<Second, Map<number, Call[]>>();
	private used = 0;

	/** `version` is as for a Kernel. */
	constructor(
		version: string,
		readonly protocol: Protocol,
	) {
		// Small tables stay in the cache.
		const tables = { ehash: 1024, bhash: 64, lhash2: 64, udp: 256 };
		this.kernel = new Kernel({ version, tables });
		const net = this.kernel.createNet();
		net.addAddress("2001:db8::2/128", "lo");
		net.addLink("dummy0");
		net.setLink("dummy0", true);
		this.net = net.net;
		this.calls(openingOf(protocol), 0);
	}

	private sockaddr(address: string, port: number): Sockaddr {
		let found = this.addresses.get(address);
		if (found === undefined) {
			found = sockaddrOf(address, 0);
			this.addresses.set(address, found);
		}
		found.sin_port = port;
		return found;
	}

	private call(call: Call, port: number): number {
		const k = this.kernel;
		const at = call.user * DESCRIPTORS + call.fd;
		const sock = nth(this.sockets, at);
		k.cap_effective = 0;
		switch (call.name) {
			case "socket": {
				const { type, number } = KINDS[this.protocol];
				const family = call.family === "AF_INET" ? AF_INET : AF_INET6;
				const made = sock_create(k, this.net, family, type, number, nth(USERS, call.user));
				if (made > 0) this.sockets[at] = made;
				return made;
			}
			case "setsockopt": {
				const [, level, number] = OPTION[call.option];
				return __sys_setsockopt(k, sock, level, number, ONE, ONE.length);
			}
			case "device": {
				const name = DEVICE_BYTES.get(call.device) ?? ONE;
				return __sys_setsockopt(k, sock, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
			}
			case "bind":
			case "connect": {
				const address = this.sockaddr(call.address, call.port || port);
				const length = lengthOf(address);
				if (call.name === "bind") return __sys_bind(k, sock, address, length);
				return __sys_connect(k, sock, address, length, false);
			}
			case "listen":
				return __sys_listen(k, sock, BACKLOG);
			case "accept": {
				const child = do_accept(k, sock, USERS[0], false);
				if (child > 0) this.sockets[FIRST_FD + 1] = child;
				return child;
			}
			case "close":
				return this.close(at);
		}
	}

	private close(at: number): number {
		const sock = nth(this.sockets, at);
		if (sock !== 0) __sock_release(this.kernel, sock, false);
		this.sockets[at] = 0;
		return 0;
	}

	/** Makes calls until one fails. Returns 0, or its result and its number. */
	private calls(calls: readonly Call[], port: number): { result: number; at: number } {
		for (let at = 0; at < calls.length; at++) {
			const result = this.call(nth(calls, at), port);
			if (result < 0) return { result, at };
		}
		return { result: 0, at: 0 };
	}

	/**
	 * Runs the pairs of a first socket with newcomers. Returns for each 0, the errno of bind(), or
	 * LISTEN_FAILED and the errno of listen(); null if the first socket cannot be as it should.
	 */
	run(first: First | null, seconds: readonly Second[]): number[] | null {
		const { calls, open } =
			first === null ? { calls: [], open: [] } : firstCalls(this.protocol, first);
		const answers: number[] = [];
		const free = freeAfter(open);
		for (const second of seconds) {
			const port = LOWEST_PORT + (this.used++ % PORTS);
			if (this.used % AT_ONCE === 0) this.kernel.advance(AFTER_TIME_WAIT);
			const opened = this.calls(calls, port).result;
			if (opened === 0) {
				const own = this.secondCalls(second, free);
				const { result, at } = this.calls(own, port);
				answers.push(answerOf(nth(own, at), result));
			}
			for (let at = FIRST_FD; at < DESCRIPTORS; at++) this.close(at);
			this.close(DESCRIPTORS + OTHER_FD);
			if (opened < 0) return null;
		}
		return answers;
	}

	private secondCalls(second: Second, free: number): Call[] {
		let known = this.seconds.get(second);
		if (known === undefined) {
			known = new Map();
			this.seconds.set(second, known);
		}
		let calls = known.get(free);
		if (calls === undefined) {
			calls = secondCalls(second, free);
			known.set(free, calls);
		}
		return calls;
	}
}

// Scripts

/** Pids of the two users in scripts. */
const PIDS = [100, 101] as const;

function callText(call: Call, protocol: Protocol, port: number): string {
	const { fd } = call;
	switch (call.name) {
		case "socket":
			return `socket(${call.family}, ${KINDS[protocol].words})`;
		case "setsockopt":
			return `setsockopt(${fd}, ${OPTION[call.option][0]}, ${call.option}, [1], 4)`;
		case "device":
			return `setsockopt(${fd}, SOL_SOCKET, SO_BINDTODEVICE, "${call.device}\\0", ${call.device.length + 1})`;
		case "bind":
		case "connect":
			return `${call.name}(${fd}, ${sockaddrText(call.address, call.port || port)})`;
		case "listen":
			return `listen(${fd}, ${BACKLOG})`;
		case "accept":
			return `accept(${fd}, NULL, NULL)`;
		case "close":
			return `close(${fd})`;
	}
}

const resultText = (result: number) => (result < 0 ? errnoName(-result) : String(result));

/** A script that asks a kernel for the pairs of a first socket. */
interface PairScript {
	readonly text: string;
	/**
	 * The answers of the pairs, from the results of the system calls after fork() and setuid().
	 * Throws Error if the first socket cannot be opened, or if a descriptor is another one.
	 */
	answers(results: readonly number[]): number[];
}

/** The script of a first socket with newcomers. `users` says whether the kernel has two users. */
export function pairScript(
	protocol: Protocol,
	first: First,
	seconds: readonly Second[],
	users: boolean,
): PairScript {
	const usesDevice = [first, ...seconds].some(({ device }) => device === "dummy0");
	const lines = HOST.map((command) => `$ ${command}`);
	if (usesDevice) lines.push("$ ip link add dummy0 type dummy", "$ ip link set dummy0 up");
	if (users) {
		lines.push(`${PIDS[0]} fork() = ${PIDS[1]}`);
		for (const user of [1, 0] as const) lines.push(`${PIDS[user]} setuid(${USERS[user]})`);
	}
	const write = (calls: readonly Call[], port: number) => {
		for (const call of calls)
			lines.push((users ? `${PIDS[call.user]} ` : "") + callText(call, protocol, port));
	};
	const opening = openingOf(protocol);
	const { calls, open } = firstCalls(protocol, first);
	const free = freeAfter(open);
	const close = (at: At): Call => ({ ...at, name: "close" });
	const pairs = seconds.map((second) => {
		const own = secondCalls(second, free);
		const { user, fd } = nth(own, 0);
		return { own, ends: [close({ user, fd }), ...open.map((its) => close({ user: 0, fd: its }))] };
	});
	write(opening, 0);
	// TIME_WAIT sockets need no descriptors, so all can be there at once.
	const waits = first.state === "TIME_WAIT";
	if (waits) {
		for (const i of pairs.keys()) write(calls, LOWEST_PORT + i);
		// A worker ends MPTCP's connections some time after close().
		if (protocol === "mptcp") lines.push("$ sleep 1");
	}
	for (const [i, { own, ends }] of pairs.entries()) {
		write([...(waits ? [] : calls), ...own, ...ends], LOWEST_PORT + i);
	}
	return {
		text: `${lines.join("\n")}\n`,
		answers(results) {
			let at = 0;
			const next = (its: readonly Call[]) => its.map(() => nth(results, at++));
			const must = (its: readonly Call[]) => {
				for (const [i, result] of next(its).entries()) {
					const call = nth(its, i);
					if (result < 0 || (call.name === "socket" && result !== call.fd))
						throw new Error(`${callText(call, protocol, 0)}: ${resultText(result)}`);
				}
			};
			must(opening);
			if (waits) for (const _ of pairs) must(calls);
			return pairs.map(({ own, ends }) => {
				if (!waits) must(calls);
				must(own.slice(0, 1));
				const results = next(own.slice(1));
				const failed = results.findIndex((result) => result < 0);
				const answer = failed < 0 ? 0 : answerOf(nth(own, failed + 1), nth(results, failed));
				must(ends);
				return answer;
			});
		},
	};
}
