// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Gives the model the state of the host before a recording, as outputs of ip, sysctl and ss show
 * it. Calls on the model make this state. Connections are made by connect() and accept(), then
 * brought to the state that ss shows. A puppet socket stands for an end that is not on this host.
 */
import { SHUT_WR, SOCK_DGRAM, SOCK_STREAM } from "../../include/linux/net.js";
import { AF_INET, AF_INET6, SOL_IP, SOL_IPV6 } from "../../include/linux/socket.js";
import { TCP_CLOSE, TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import {
	SO_BINDTODEVICE,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_SOCKET,
} from "../../include/uapi/asm-generic/socket.js";
import { IP_BIND_ADDRESS_NO_PORT, IPV6_V6ONLY } from "../../include/uapi/linux/in.js";
import { NotModelled } from "../../net/core/sock.js";
import { inet_twsk_reschedule } from "../../net/ipv4/inet_timewait_sock.js";
import { tcp_set_state } from "../../net/ipv4/tcp.js";
import { type Address, hostPrefix, unmapped } from "../machine/address.js";
import type { Kernel } from "../machine/kernel.js";
import type { NetNamespace } from "../machine/net.js";
import { nth } from "../machine/nth.js";
import { portOwners } from "../machine/sharing.js";
import type { Task } from "../machine/task.js";
import type { Host, HostSocket } from "../script/host.js";
import { runSetup, SetupError } from "../script/setup.js";
import { AcceptQueues } from "./accept_queues.js";
import { addTo } from "./lists.js";
import { withOnlyPort } from "./only_port.js";

/** The contents of one file about the host. */
export interface HostFile extends Host {
	file: string;
}

/** The result of placeHost(). */
interface Placed {
	/** Tasks of the processes that have sockets, by pid. */
	tasks: Map<number, Task>;
	/** Why a sock is not fully known, by sock. */
	doubts: Map<number, string>;
	/** Sockets and settings that could not be made, each with its place and the reason. */
	left: string[];
	/** Number of sockets that were made. */
	sockets: number;
}

/** Time after which every ACK is sent, ms: include/net/tcp.h: TCP_DELACK_MAX. */
const SETTLED = 200;
const EPHEMERAL_STATES = /^(TIME-WAIT|FIN-WAIT|LAST-ACK|CLOSING)/;

/** Makes the state that files show. Does not throw for their contents. */
export function placeHost(
	k: Kernel,
	net: NetNamespace,
	files: readonly HostFile[],
	uid: number,
): Placed {
	const placing = new Placing(k, net, uid);
	// Sysctls decide who may bind to an address, so they come first. Routes need addresses, so they
	// come last.
	const rank = ({ commands }: HostFile) =>
		commands[0]?.[0] === "sysctl" ? 0 : commands[0]?.includes("route") ? 2 : 1;
	const sorted = [...files].sort((a, b) => rank(a) - rank(b));
	for (const { file, commands, left } of sorted) {
		for (const command of commands) placing.command(file, command);
		placing.placed.left.push(...left.map((what) => `${file}: ${what}`));
	}
	for (const { file, sockets } of sorted) placing.sockets(file, sockets);
	return placing.placed;
}

type End = Pick<HostSocket, "address" | "port" | "device">;

const isSix = (address: string) => address === "*" || address.includes(":");
/** As ss writes it: "*" is the wildcard of a dual-stack socket. */
const isAny = (address: string) => /^(\*|::|0\.0\.0\.0)$/.test(address);
const connects = ({ protocol, state }: HostSocket) =>
	protocol === "tcp" && state !== "LISTEN" && state !== "UNCONN";

/** Whether a socket receives packets to an address of this host. */
function covers(listener: HostSocket, { address, port }: End): boolean {
	if (listener.port !== port) return false;
	if (listener.address === "*") return true;
	const six = unmapped(address).includes(":");
	if (isAny(listener.address)) return isSix(listener.address) === six;
	return unmapped(listener.address) === unmapped(address);
}

class Placing {
	readonly placed: Placed = { tasks: new Map(), doubts: new Map(), left: [], sockets: 0 };
	/** The task that has sockets without a process. */
	private readonly keeper: Task;
	private file = "";
	/** The sockets of the file, by port. */
	private byPort = new Map<number, HostSocket[]>();
	/** Its connections, by their two ports. */
	private byPorts = new Map<string, HostSocket[]>();
	private readonly listeners = new Map<HostSocket, { task: Task; fd: number }>();
	/** The same listeners, by port. */
	private readonly listening = new Map<number, HostSocket[]>();
	private readonly done = new Set<HostSocket>();

	constructor(
		private readonly k: Kernel,
		private readonly net: NetNamespace,
		private readonly uid: number,
	) {
		this.keeper = k.createTask({ net, uid: 0 });
	}

	command(file: string, words: readonly string[]): void {
		try {
			runSetup(this.k, this.net, words);
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			const why = error.errno === null ? `expected ${error.expected}` : errnoName(-error.errno);
			this.placed.left.push(`${file}: ${words.join(" ")}: ${why}`);
		}
	}

	sockets(file: string, sockets: readonly HostSocket[]): void {
		if (sockets.length === 0) return;
		const { k } = this;
		this.file = file;
		this.byPort = new Map();
		this.byPorts = new Map();
		for (const socket of sockets) {
			if (connects(socket)) addTo(this.byPorts, `${socket.port} ${socket.peer?.port}`, socket);
			else addTo(this.byPort, socket.port, socket);
		}
		const { draws } = k;
		k.draws = k.ownDraws;
		for (const socket of sockets) this.local(socket);
		for (const socket of sockets)
			if (!connects(socket)) this.attempt(socket, () => this.bound(socket));
		for (const socket of sockets) {
			if (connects(socket) && !this.done.has(socket)) {
				this.attempt(socket, () => this.connection(socket));
			}
		}
		// Each end has acknowledged the data of the other end.
		k.advance(SETTLED);
		for (const socket of sockets) this.timer(socket);
		k.draws = draws;
	}

	private attempt(socket: HostSocket, place: () => string | null): void {
		let why: string | null;
		try {
			why = place();
		} catch (error) {
			if (!(error instanceof NotModelled || error instanceof RangeError)) throw error;
			why = error.message;
		}
		if (why === null) this.placed.sockets++;
		else this.placed.left.push(`${this.file}:${socket.line}: ${why}`);
	}

	/** Adds the address and the device of a socket to the host. */
	private local({ address, device }: End): void {
		const { net } = this;
		if (device !== null && !net.net.devices.some(({ name }) => name === device)) {
			net.addLink(device);
			net.setAddrGenMode(device, "none");
			net.setLink(device, true);
		}
		const own = unmapped(address);
		if (isAny(own) || this.isLocal(own)) return;
		if (/^(22[4-9]|23[0-9])\.|^ff/i.test(own)) return;
		net.addAddress(hostPrefix(own), device ?? "lo", {});
	}

	private isLocal(address: string): boolean {
		const { keeper } = this;
		const fd = keeper.socket(address.includes(":") ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
		const result = keeper.bind(fd, this.name({ address, port: 0, device: null }));
		keeper.close(fd);
		return result === 0;
	}

	private name({ address, port, device }: End): Address {
		if (!isSix(address)) return { family: "AF_INET", address, port };
		const index = this.net.net.devices.find(({ name }) => name === device)?.ifindex ?? 0;
		const link = /^fe[89ab]/i.test(address);
		const text = address === "*" ? "::" : address;
		return { family: "AF_INET6", address: text, port, ...(link ? { scope_id: index } : {}) };
	}

	/** The task of a process, or the task that has sockets without a process. */
	private task({ users, uid }: HostSocket): Task {
		const [user] = users;
		if (user === undefined) return this.keeper;
		const { pid } = user;
		const known = this.placed.tasks.get(pid);
		if (known !== undefined) return known;
		const task = this.k.createTask({ net: this.net, uid: uid ?? this.uid });
		task.pid = pid;
		this.placed.tasks.set(pid, task);
		return task;
	}

	/** Makes a socket that ss shows, in the task of its process. */
	private open(socket: HostSocket): { task: Task; fd: number } {
		const task = this.task(socket);
		const { uid } = task;
		task.uid = socket.uid ?? uid;
		const type = socket.protocol === "tcp" ? SOCK_STREAM : SOCK_DGRAM;
		const family = isSix(socket.address) ? AF_INET6 : AF_INET;
		const fd = task.socket(family, type, 0, socket.users[0]?.fd);
		task.uid = uid;
		this.share(socket, task, fd);
		return { task, fd };
	}

	/** Makes the other descriptors of a socket. */
	private share(socket: HostSocket, task: Task, fd: number): void {
		for (const { pid, fd: at } of socket.users.slice(1)) {
			const holder = this.task({ ...socket, users: [{ pid, fd: at }] });
			if (holder !== task || at !== fd) holder.installFile(task.fileOf(fd), at);
		}
	}

	private privileged(task: Task, call: () => number): number {
		const { uid } = task;
		task.uid = 0;
		const result = call();
		task.uid = uid;
		return result;
	}

	private sockOf({ task, fd }: { task: Task; fd: number }): number {
		return nth(this.k.socket.sk, task.socketOf(fd));
	}

	/** The reason why results that depend on a socket are undecided. */
	private doubt({ line }: HostSocket): string {
		const what = "whose options and end the file does not show";
		return `it depends on the socket of ${this.file}:${line}, ${what}`;
	}

	/** Makes a listener or a datagram socket. Returns null, or why it cannot be made. */
	private bound(socket: HostSocket): string | null {
		const { task, fd } = this.open(socket);
		const bytes = (text: string) => new TextEncoder().encode(`${text}\0`);
		const { protocol, device, address, state, peer } = socket;
		if (device !== null && !/^fe[89ab]/i.test(address)) {
			task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bytes(device));
		}
		// "*" is a dual-stack socket: IPV6_V6ONLY is off.
		if (isSix(address)) task.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, address === "::" ? 1 : 0);
		// Sockets that share a port must have set an option. Nothing shows which of the two options
		// datagram sockets have.
		const others = this.byPort.get(socket.port) ?? [];
		const shares = others.some((other) => other !== socket && meet(other, socket));
		if (shares) {
			if (protocol === "udp") task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
			task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		}
		let result = this.privileged(task, () => task.bind(fd, this.name(socket)));
		if (result === 0 && state === "LISTEN") result = task.listen(fd, socket.backlog);
		if (result < 0) {
			task.close(fd);
			return `cannot be on port ${socket.port}: ${errnoName(-result)}`;
		}
		if (peer !== null) task.connect(fd, this.name({ ...peer, device }));
		if (state === "LISTEN") {
			this.listeners.set(socket, { task, fd });
			addTo(this.listening, socket.port, socket);
		}
		this.placed.doubts.set(this.sockOf({ task, fd }), this.doubt(socket));
		return null;
	}

	/** Makes a connection, with its other end if this is also on this host. */
	private connection(socket: HostSocket): string | null {
		const { peer } = socket;
		if (peer === null) return "has no peer";
		this.done.add(socket);
		const other = this.byPorts
			.get(`${peer.port} ${socket.port}`)
			?.find(
				(end) =>
					end !== socket &&
					!this.done.has(end) &&
					sameEnd(end, peer) &&
					end.peer !== null &&
					sameEnd(socket, end.peer),
			);
		const listens = (end: End) => this.listenerOf(end);
		const far: End = { ...peer, device: socket.device };
		const accepts = listens(socket) !== undefined || this.isServer(socket, far, other);
		const [client, server] = accepts ? [other, socket] : [socket, other];
		const from: End = client ?? far;
		const to: End = accepts ? socket : far;
		if (socket.state === "SYN-SENT") return this.synSent(socket, far);
		const puppets = [from, to].filter((end) => !this.isLocal(unmapped(end.address)));
		for (const { address } of puppets) this.net.addAddress(hostPrefix(address), "lo", {});
		const why = this.handshake(client, server, from, to, listens(to));
		for (const { address } of puppets) this.net.delAddress(hostPrefix(address), "lo");
		if (other !== undefined) {
			this.done.add(other);
			if (why === null) this.placed.sockets++;
		}
		return why;
	}

	/** The listener that receives connections to an address of this host. */
	private listenerOf(end: End): HostSocket | undefined {
		return this.listening.get(end.port)?.find((listener) => covers(listener, end));
	}

	/**
	 * Whether a connection without a listener was accepted. If so, its port is not a port that a
	 * search chooses.
	 */
	private isServer(socket: HostSocket, far: End, other: HostSocket | undefined): boolean {
		if (other !== undefined && this.listenerOf(far) !== undefined) return false;
		const [low, high] = this.net.net.ipv4.ip_local_ports.range;
		return socket.port < low || socket.port > high;
	}

	private handshake(
		client: HostSocket | undefined,
		server: HostSocket | undefined,
		from: End,
		to: End,
		listening: HostSocket | undefined,
	): string | null {
		const { keeper } = this;
		const known = listening === undefined ? undefined : this.listeners.get(listening);
		const own = known === undefined ? this.temporary(server, to) : null;
		const listener = known ?? own;
		if (listener === null || listener === undefined) return `cannot be on port ${to.port}`;
		const end: { task: Task; fd: number } =
			client === undefined
				? { task: keeper, fd: keeper.socket(isSix(from.address) ? AF_INET6 : AF_INET, 1, 0) }
				: this.open(client);
		const result = this.connect(end.task, end.fd, from, to, client === undefined);
		let why =
			result < 0 ? `cannot be connected from port ${from.port}: ${errnoName(-result)}` : null;
		let accepted: { task: Task; fd: number } | null = null;
		// A connection without a process waits in the queue of its listener, if there is one.
		const waits = server !== undefined && server.users.length === 0 && server.state === "ESTAB";
		if (why === null && !(waits && own === null)) {
			const task = server === undefined ? keeper : this.task(server);
			accepted = this.accept(listener, task, from, server?.users[0]?.fd);
			if (accepted === null) why = "is not accepted by its listener";
			else if (server !== undefined) this.share(server, accepted.task, accepted.fd);
		}
		if (own !== null) keeper.close(own.fd);
		if (why !== null) {
			end.task.close(end.fd);
			return why;
		}
		const ends = [this.sockOf(end), accepted === null ? 0 : this.sockOf(accepted)];
		this.toState(client, server, end, accepted);
		for (const [i, socket] of [client, server].entries()) {
			const sk = nth(ends, i);
			if (socket === undefined || sk === 0 || this.k.sock.skc_state[sk] === TCP_CLOSE) continue;
			this.placed.doubts.set(sk, this.doubt(socket));
		}
		return null;
	}

	/** Accepts the connection of a client into a task. */
	private accept(
		listener: { task: Task; fd: number },
		task: Task,
		from: End,
		at: number | undefined,
	): { task: Task; fd: number } | null {
		const sk = nth(this.k.socket.sk, listener.task.socketOf(listener.fd));
		const six = this.k.sock.skc_family[sk] === AF_INET6;
		const own = unmapped(from.address);
		const address = six && !own.includes(":") ? `::ffff:${own}` : own;
		new AcceptQueues(this.k).adopt(sk, this.name({ ...from, address }));
		const fd = listener.task.accept4(listener.fd, 0, undefined, true);
		if (fd < 0) return null;
		if (listener.task === task && at === undefined) return { task, fd };
		const file = listener.task.fileOf(fd);
		const to = at ?? task.openOther();
		task.installFile(file, to);
		if (listener.task !== task || to !== fd) listener.task.close(fd);
		return { task, fd: to };
	}

	/**
	 * Makes a temporary listener for a connection. The real listener is on another host, or is
	 * closed.
	 */
	private temporary(server: HostSocket | undefined, to: End): { task: Task; fd: number } | null {
		const { keeper } = this;
		const six = server === undefined ? isSix(to.address) : isSix(server.address);
		const fd = keeper.socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		keeper.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		const result = keeper.bind(fd, this.name(to));
		if (result === 0 && keeper.listen(fd, 1) === 0) return { task: keeper, fd };
		keeper.close(fd);
		return null;
	}

	/**
	 * Connects from a port that connect() itself chooses, because it is the only one in the range.
	 */
	private connect(task: Task, fd: number, from: End, to: End, puppet: boolean): number {
		if (!puppet) task.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		const at = puppet ? from : { ...from, port: 0 };
		const bound = this.privileged(task, () => task.bind(fd, this.name(at)));
		if (bound < 0) return bound;
		const sixFrom = isSix(from.address);
		const address = sixFrom && !isSix(to.address) ? `::ffff:${to.address}` : to.address;
		const name = this.name({ ...to, address: sixFrom ? address : unmapped(address) });
		const result = withOnlyPort(this.net.net, from.port, () =>
			task.connect(fd, name, undefined, false),
		);
		if (!puppet) task.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0);
		return result;
	}

	/**
	 * Brings both ends to the states that ss shows. A puppet is removed and sends nothing. An end
	 * that waits for an answer need only hold its port: FIN-WAIT-1 and CLOSING become FIN-WAIT-2,
	 * LAST-ACK becomes CLOSE-WAIT.
	 */
	private toState(
		client: HostSocket | undefined,
		server: HostSocket | undefined,
		from: { task: Task; fd: number },
		accepted: { task: Task; fd: number } | null,
	): void {
		const ends: { socket: HostSocket | undefined; at: { task: Task; fd: number } | null }[] = [
			{ socket: client, at: from },
			{ socket: server, at: accepted },
		];
		const sends = /^(FIN-WAIT|TIME-WAIT|CLOSING)/;
		const waits = /^(CLOSE-WAIT|LAST-ACK)/;
		// Which end sent FIN first. The state of either end shows it.
		const first =
			ends.find(({ socket }) => sends.test(socket?.state ?? "")) ??
			(ends.some(({ socket }) => waits.test(socket?.state ?? ""))
				? ends.find(({ socket }) => !waits.test(socket?.state ?? ""))
				: undefined);
		if (first !== undefined) this.fin(first.socket, first.at);
		const second = ends.find((end) => end !== first);
		if (first?.socket?.state === "TIME-WAIT" && second?.at != null) {
			second.at.task.close(second.at.fd);
			second.at = null;
		}
		for (const { socket, at } of ends) if (socket === undefined) this.silence(at);
	}

	/** Sends FIN by close(), or by shutdown() if a process still has the socket. */
	private fin(socket: HostSocket | undefined, at: { task: Task; fd: number } | null): void {
		if (at === null) return;
		const kept = socket === undefined || socket.users.length > 0;
		if (kept) at.task.shutdown(at.fd, SHUT_WR);
		else at.task.close(at.fd);
	}

	/** Removes a puppet without sending anything. */
	private silence(at: { task: Task; fd: number } | null): void {
		if (at === null || at.task.socketOf(at.fd) <= 0) return;
		const sk = nth(this.k.socket.sk, at.task.socketOf(at.fd));
		if (this.k.sock.skc_state[sk] !== TCP_CLOSE) tcp_set_state(this.k, sk, TCP_CLOSE);
		at.task.close(at.fd);
	}

	/** Sets the end of TIME_WAIT. ss shows it in whole seconds, or not at all. */
	private timer(socket: HostSocket): void {
		if (!EPHEMERAL_STATES.test(socket.state) || socket.users.length > 0) return;
		const { k } = this;
		const S = k.sock;
		const fd = this.keeper.socket(AF_INET, SOCK_STREAM, 0);
		const probe = nth(k.socket.sk, this.keeper.socketOf(fd));
		for (const tw of portOwners(k, probe, socket.port)) {
			if (S.skc_state[tw] !== TCP_TIME_WAIT || S.skc_dport[tw] !== socket.peer?.port) continue;
			if (socket.timer !== null) inet_twsk_reschedule(k, tw, socket.timer);
			const when =
				socket.timer === null ? "when it ends (ss -o does)" : "to the millisecond when it ends";
			const what = `it depends on the TIME_WAIT of ${this.file}:${socket.line}`;
			this.placed.doubts.set(tw, `${what}; the file does not show ${when}`);
		}
		this.keeper.close(fd);
	}

	private synSent(socket: HostSocket, far: End): string | null {
		const { task, fd } = this.open(socket);
		const result = this.connect(task, fd, socket, far, false);
		if (errnoName(-result) === "ENETUNREACH") {
			this.net.addRoute({ to: hostPrefix(far.address), dev: "lo", answer: "blackhole" });
			task.close(fd);
			return this.synSent(socket, far);
		}
		if (result === 0 || errnoName(-result) === "EINPROGRESS") return null;
		if (errnoName(-result) === "ERESTARTSYS") return null;
		task.close(fd);
		return `cannot connect: ${errnoName(-result)}`;
	}
}

function sameEnd(one: { address: string; port: number }, other: { address: string; port: number }) {
	return one.port === other.port && unmapped(one.address) === unmapped(other.address);
}

/** Whether two bound sockets conflict unless their options let them share. */
function meet(one: HostSocket, other: HostSocket): boolean {
	if (one.protocol !== other.protocol || one.port !== other.port) return false;
	if (connects(one) || connects(other)) return false;
	if (one.device !== null && other.device !== null && one.device !== other.device) return false;
	if (one.address === "*" || other.address === "*") return true;
	const [a, b] = [unmapped(one.address), unmapped(other.address)];
	if (a.includes(":") !== b.includes(":")) return false;
	return a === b || isAny(a) || isAny(b);
}
