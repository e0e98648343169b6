// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Runs small programs on one kernel. It calls net/socket.ts directly, without tasks and
 * descriptors, because an exploration runs millions of programs.
 */
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	MSG_DONTWAIT,
	SIZEOF_SOCKADDR_IN,
	SOL_IPV6,
	type Sockaddr,
} from "../../include/linux/socket.js";
import type { ChangeName } from "../../include/linux/version.js";
import type { Net } from "../../include/net/net_namespace.js";
import {
	SO_BINDTODEVICE,
	SO_LINGER,
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
	__sys_recvfrom,
	__sys_sendto,
	__sys_setsockopt,
	do_accept,
	sock_create,
} from "../../net/socket.js";
import { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { Snapshot } from "../machine/snapshot.js";
import { type Action, CLIENTS, CROWD, type Kind, type Place, type Step, VRFS } from "./kinds.js";
import { KINDS, type Protocol } from "./protocols.js";
import { BASE, chosenPlace, PEER } from "./searches.js";
import { Searching } from "./searching.js";
import { lengthOf, sockaddrOf } from "./sockaddr.js";

/** The port of the sockets, the port of strangers, and the port of the peer of connections. */
export const PORT = 5000;
export const OTHER_PORT = 5002;
export const PEER_PORT = 6000;
/** The users 0 and 1 of kinds. */
export const USERS = [1000, 1001] as const;

/** An answer above it is the errno of listen() after a bind() that succeeded. */
export const LISTEN_FAILED = 1000;
/** Whether the answer of a bind step says that the socket has a port, even if it does not listen. */
export function hasPort(answer: number): boolean {
	return answer === 0 || answer > LISTEN_FAILED;
}

/** An answer from it on names the socket that has the client. */
export const SOCKET = 2000;
/** No socket has the client. */
export const NOBODY = 1999;

const ONE = intBytes(1);
const ZERO = intBytes(0);
/** struct linger: on, 0 seconds. Close sends a reset and leaves no TIME_WAIT. */
const RESET = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
const DEVICES = {
	lo: Uint8Array.of(108, 111, 0),
	red: Uint8Array.of(114, 101, 100, 0),
	blue: Uint8Array.of(98, 108, 117, 101, 0),
} as const;

/** Longer than any TIME_WAIT, ms. */
const AFTER_TIME_WAIT = 125_000;

interface Option {
	readonly level: number;
	readonly name: number;
	readonly value: Uint8Array;
}

/** Everything that opening a socket of a kind needs. */
interface Opening {
	readonly family: number;
	readonly type: number;
	readonly protocol: number;
	readonly options: readonly Option[];
	readonly address: Sockaddr;
	readonly length: number;
	/** The addresses of the sockets that come with it. */
	readonly crowd: readonly Sockaddr[];
	readonly net: Net;
}

/** The device that a socket of a kind is bound to; null if it is bound to none. */
export function deviceOf({ device, stranger }: Kind): keyof typeof DEVICES | null {
	if (stranger === "vrf" || stranger === "other vrf") return VRFS[stranger];
	return device ? "lo" : null;
}

/** The options of a kind, in the order in which a program sets them. */
export function optionsOf(kind: Kind): { name: string; option: Option }[] {
	const found: { name: string; option: Option }[] = [];
	const add = (name: string, level: number, number: number, value: Uint8Array) =>
		found.push({ name, option: { level, name: number, value } });
	if (kind.place.v6only) add("IPV6_V6ONLY", SOL_IPV6, IPV6_V6ONLY, ONE);
	if (kind.reuse) add("SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, ONE);
	if (kind.reuseport) add("SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, ONE);
	const device = deviceOf(kind);
	if (device !== null) add("SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, DEVICES[device]);
	if (kind.options === "reversed") found.reverse();
	if (kind.options === "repeated") found.push(...found);
	return found;
}

/** A socket of a program. */
interface Held {
	sock: number;
	readonly kind: Kind;
	open: boolean;
	bound: boolean;
	connected: boolean;
}

/** An address of a host, for connections that start at a place. */
export function peerOf(place: Place): string {
	if (place.family === "AF_INET") return "127.0.0.1";
	return place.v6 === null ? "::ffff:127.0.0.1" : "::1";
}

const UNSPEC: Sockaddr = { ...sockaddrOf("0.0.0.0", 0), sin_family: AF_UNSPEC };

/** One kernel with one program on it. */
export class Lab {
	readonly kernel: Kernel;
	/** The sockets of the program, in order. */
	readonly sockets: Held[] = [];
	private readonly net: Net;
	private readonly other: Net;
	private readonly openings = new Map<Kind, Opening>();
	private readonly clients: Sockaddr[] = CLIENTS.map((address) => sockaddrOf(address, PORT));
	private readonly peers = new Map<string, Sockaddr>();
	private searching: Searching | null = null;
	private client = 0;
	/** The listener that sockets connect to. */
	private peer = 0;
	/** The sockets that sockets without connections connect to, for IPv4 and IPv6. */
	private readonly peers4and6: number[] = [];
	/** The other ends of the connections that sockets of the program made, and accepted clients. */
	private readonly children: number[] = [];
	/** The sockets that came with others. */
	private readonly crowd: number[] = [];
	/** The kernel without a program, for protocols whose connections outlive their sockets. */
	private readonly idle: Snapshot | null = null;
	/** Whether the program has connected: its end may leave TIME_WAIT. */
	private connected = false;

	/** `changes` may replace the set of changes of the version, to see which ones are asked for. */
	constructor(
		version: string,
		readonly protocol: Protocol,
		changes: ReadonlySet<ChangeName> | null = null,
	) {
		const size = 64;
		// Small tables stay in the cache.
		this.kernel = new Kernel({
			version,
			tables: { ehash: size, bhash: size, lhash2: size, udp: 256 },
		});
		const k = this.kernel;
		if (changes !== null) Object.assign(k, { changes });
		const here = k.createNet();
		here.addAddress("2001:db8::2/128", "lo");
		here.addRoute({ to: "198.51.100.0/24", dev: "lo", src: "127.0.0.1" });
		here.addRoute({ to: "2001:db8:1::/48", dev: "lo", src: "::1" });
		for (const [i, name] of Object.values(VRFS).entries()) {
			here.addLink(name, 100 * (i + 1), `02:00:00:00:00:0${i + 1}`);
			here.setLink(name, true);
		}
		this.net = here.net;
		this.other = k.createNet().net;
		const { type, number, listens } = KINDS[protocol];
		const task = k.createTask({ net: here, uid: USERS[0] });
		const open = (family: "AF_INET" | "AF_INET6", address: string) => {
			const fd = task.socket(family === "AF_INET" ? AF_INET : AF_INET6, type, number);
			task.bind(fd, { family, address, port: PEER_PORT });
			if (listens) task.listen(fd, 16);
			return task.socketOf(fd);
		};
		if (listens) this.peer = open("AF_INET6", "::");
		else this.peers4and6 = [open("AF_INET", "127.0.0.1"), open("AF_INET6", "::1")];
		if (protocol === "sctp") this.idle = k.snapshot();
	}

	private openingOf(kind: Kind): Opening {
		const known = this.openings.get(kind);
		if (known !== undefined) return known;
		const { other } = KINDS[this.protocol];
		const { type, number } = KINDS[kind.stranger === "protocol" ? other : this.protocol];
		let port = kind.stranger === "port" ? OTHER_PORT : PORT;
		if (kind.search !== undefined) port = kind.search.how === "named" ? BASE + kind.search.port : 0;
		const address = sockaddrOf(kind.place.address, port);
		const opening: Opening = {
			family: kind.place.family === "AF_INET" ? AF_INET : AF_INET6,
			type,
			protocol: number,
			options: optionsOf(kind).map(({ option }) => option),
			address,
			length: lengthOf(address),
			crowd: kind.crowd === true ? CROWD.map((name) => sockaddrOf(name, port)) : [],
			net: kind.stranger === "namespace" ? this.other : this.net,
		};
		this.openings.set(kind, opening);
		return opening;
	}

	/** Makes a step and returns its answer: 0, an errno, or one of the constants above. */
	step(step: Step): number {
		switch (step.do) {
			case "bind":
				return this.bind(step.kind);
			case "act":
				return this.act(step.action, nth(this.sockets, step.socket));
			case "client":
				return this.comes(nth(this.clients, step.to));
			case "who":
				return this.who();
			case "ask":
				return this.ask(nth(CLIENTS, step.to));
			case "part":
				for (const child of this.children) __sock_release(this.kernel, child, false);
				this.children.length = 0;
				return 0;
			case "wait":
				this.kernel.advance(1000 * step.seconds);
				return 0;
		}
	}

	/** Whether a connection of the program has another end that is open. */
	get hasChildren(): boolean {
		return this.children.length > 0;
	}

	/** Whether the program has made connections. */
	get hasConnected(): boolean {
		return this.connected;
	}

	private open({ net, family, type, protocol, options }: Opening, uid: number): number {
		const k = this.kernel;
		const sock = sock_create(k, net, family, type, protocol, uid);
		for (let i = 0; i < options.length; i++) {
			const { level, name, value } = nth(options, i);
			__sys_setsockopt(k, sock, level, name, value, value.length);
		}
		return sock;
	}

	private bind(kind: Kind): number {
		const k = this.kernel;
		const opening = this.openingOf(kind);
		k.cap_effective = 0;
		const uid = kind.user === 0 ? USERS[0] : USERS[1];
		const sock = this.open(opening, uid);
		const held = { sock, kind, open: true, bound: false, connected: false };
		this.sockets.push(held);
		if (kind.search !== undefined) {
			this.searching ??= new Searching(k, this.net);
			const { address, length } = opening;
			const answer = this.searching.ask(sock, kind, kind.search, address, length);
			held.bound = hasPort(answer);
			if (kind.search.to === PEER) this.connected = true;
			if (kind.search.to === PEER && chosenPlace(answer) !== null) this.accept(this.peer);
			return answer;
		}
		const err = 0 - __sys_bind(k, sock, opening.address, opening.length);
		if (err !== 0) return err;
		held.bound = true;
		const failed = kind.listens ? 0 - __sys_listen(k, sock, 1) : 0;
		for (let i = 0; i < opening.crowd.length; i++) {
			const one = this.open(opening, uid);
			this.crowd.push(one);
			const err = __sys_bind(k, one, nth(opening.crowd, i), opening.length);
			if (err === 0 && kind.listens) __sys_listen(k, one, 1);
		}
		return failed === 0 ? 0 : LISTEN_FAILED + failed;
	}

	private act(action: Action, held: Held): number {
		const k = this.kernel;
		k.cap_effective = 0;
		const { sock } = held;
		const set = (name: number, value: Uint8Array) =>
			0 - __sys_setsockopt(k, sock, SOL_SOCKET, name, value, value.length);
		switch (action) {
			case "close":
				held.open = false;
				__sock_release(k, sock, false);
				return 0;
			case "listen":
				return 0 - __sys_listen(k, sock, 1);
			case "connect":
				return this.connect(held);
			case "accept":
				return this.accept(sock);
			case "disconnect":
				held.connected = false;
				return 0 - __sys_connect(k, sock, UNSPEC, SIZEOF_SOCKADDR_IN, true);
			case "reuse":
				return set(SO_REUSEADDR, ONE);
			case "noreuse":
				return set(SO_REUSEADDR, ZERO);
			case "reuseport":
				return set(SO_REUSEPORT, ONE);
			case "noreuseport":
				return set(SO_REUSEPORT, ZERO);
		}
	}

	private connect(held: Held): number {
		const k = this.kernel;
		const { sock, kind } = held;
		this.connected = true;
		const to = peerOf(kind.place);
		let address = this.peers.get(to);
		if (address === undefined) {
			address = sockaddrOf(to, PEER_PORT);
			this.peers.set(to, address);
		}
		const err = 0 - __sys_connect(k, sock, address, lengthOf(address), false);
		if (this.peer !== 0) this.accept(this.peer);
		held.connected = err === 0;
		return err;
	}

	/** Takes a client of a listener, and keeps it. Returns 0 or an errno. */
	private accept(listener: number): number {
		const child = do_accept(this.kernel, listener, USERS[0], true);
		if (child < 0) return -child;
		this.children.push(child);
		return 0;
	}

	private reset(sock: number): void {
		__sys_setsockopt(this.kernel, sock, SOL_SOCKET, SO_LINGER, RESET, RESET.length);
		__sock_release(this.kernel, sock, false);
	}

	/** A client connects to an address, or sends a datagram to it. */
	private comes(to: Sockaddr): number {
		const k = this.kernel;
		k.cap_effective = 0;
		const { type, number } = KINDS[this.protocol];
		this.client = sock_create(k, this.net, to.sin_family, type, number, USERS[0]);
		this.connected = true;
		if (KINDS[this.protocol].listens) {
			return 0 - __sys_connect(k, this.client, to, lengthOf(to), false);
		}
		const sent = __sys_sendto(k, this.client, 1, to, lengthOf(to), 0);
		return sent < 0 ? -sent : 0;
	}

	/** The peer of the sockets sends a datagram. Returns who has it. */
	private ask(to: string): number {
		const address = sockaddrOf(to, PORT);
		const peer = nth(this.peers4and6, to.includes(":") ? 1 : 0);
		__sys_sendto(this.kernel, peer, 1, address, lengthOf(address), 0);
		return this.who();
	}

	/** The socket that has the client, or its datagram. */
	private who(): number {
		const k = this.kernel;
		for (const [i, { sock, open, bound }] of this.sockets.entries()) {
			if (!open || !bound) continue;
			if (KINDS[this.protocol].listens) {
				const child = do_accept(k, sock, USERS[0], true);
				if (child < 0) continue;
				this.reset(child);
				return SOCKET + i;
			}
			if (__sys_recvfrom(k, sock, 1, MSG_DONTWAIT) >= 0) return SOCKET + i;
		}
		return NOBODY;
	}

	/** Closes the socket of the last step, whose bind() failed. A failed bind() binds nothing. */
	drop(): void {
		const held = this.sockets.pop();
		if (held?.open) __sock_release(this.kernel, held.sock, false);
	}

	/** Ends the program: the kernel is again as it was before it. */
	end(): void {
		const k = this.kernel;
		if (this.client !== 0) this.reset(this.client);
		this.client = 0;
		for (let i = this.sockets.length - 1; i >= 0; i--) {
			const { sock, open } = nth(this.sockets, i);
			if (!open) continue;
			if (this.connected) this.reset(sock);
			else __sock_release(k, sock, false);
		}
		this.sockets.length = 0;
		for (const one of this.crowd) __sock_release(k, one, false);
		this.crowd.length = 0;
		for (const child of this.children) this.reset(child);
		this.children.length = 0;
		if (this.connected && this.idle !== null) k.restore(this.idle);
		else if (this.connected) k.advance(AFTER_TIME_WAIT);
		this.connected = false;
	}

	/** Runs a whole program on an idle kernel. Returns the answer of each step. */
	run(program: readonly Step[]): number[] {
		const answers = program.map((step) => this.step(step));
		this.end();
		return answers;
	}
}
