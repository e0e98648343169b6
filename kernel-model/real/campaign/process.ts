// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A process of a random program. A method for each system call writes the line of the script and
 * makes the call on the model. So later operations know the descriptors and the ports.
 */
import { SOCK_CLOEXEC as O_CLOEXEC, SOCK_NONBLOCK } from "../../../include/linux/net.js";
import { AF_INET, AF_INET6 } from "../../../include/linux/socket.js";
import { EINPROGRESS } from "../../../include/uapi/asm-generic/errno.js";
import {
	SO_BINDTODEVICE,
	SO_ERROR,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_SOCKET,
} from "../../../include/uapi/asm-generic/socket.js";
import { IP_LOCAL_PORT_RANGE } from "../../../include/uapi/linux/in.js";
import { NotModelled } from "../../../net/core/sock.js";
import { nth } from "../../machine/nth.js";
import type { Task } from "../../machine/task.js";
import { KINDS, type Kind } from "./abilities.js";
import { type Endpoint, endpoint, sizeOf, sockaddr } from "./endpoint.js";
import type { Script } from "./script.js";
import { type Level, pick, SOL } from "./vocabulary.js";

/** The hard limit of descriptors that a program sets. Machines allow more. */
export const NOFILE = 1024;

/** What a program knows of a socket. */
export interface Sock {
	kind: Kind;
	six: boolean;
	listens: boolean;
	connected: boolean;
}

/** Whether connect() succeeded, or goes on. */
export function isConnecting(err: number): boolean {
	return err === 0 || err === -EINPROGRESS;
}

export class Process {
	/** The sockets by their descriptors, oldest first. */
	readonly fds = new Map<number, Sock>();
	/** Operations that are left under a low limit of descriptors. */
	narrow = 0;

	/** `pid` is 0 for the first process. Lines show no pid for it. */
	constructor(
		readonly script: Script,
		readonly pid: number,
		readonly task: Task,
	) {}

	/** Writes a call that has no effect on the model. */
	say(call: string): void {
		this.script.lines.push(this.pid === 0 ? call : `${this.pid} ${call}`);
	}

	/** Writes a call and makes it on the model. Returns its result; -1 if it is not modelled. */
	private make(call: string, run: () => number): number {
		this.say(call);
		try {
			return run();
		} catch (error) {
			if (error instanceof NotModelled) return -1;
			throw error;
		}
	}

	/** The port of a socket; 0 if it has none. */
	portOf(fd: number): number {
		const name = this.task.getsockname(fd);
		return typeof name === "number" ? 0 : name.port;
	}

	/** An address with the port of a socket. The script names the socket, not the number. */
	ownEndpoint(fd: number, six: boolean, address: string): Endpoint {
		return endpoint(six, address, this.portOf(fd), `port_of(${fd})`);
	}

	/**
	 * Makes a socket, which does not block. `d` chooses whether the protocol is implied. It also
	 * chooses the socket to close if there are too many, which may be the new one.
	 */
	socket(kind: Kind, six: boolean, d: number): number {
		const fd = this.openSocket(kind, six, (kind === "tcp" || kind === "udp") && d % 2 === 0);
		if (fd >= 0) this.limit(d);
		return fd;
	}

	/** Makes a socket, and closes none. */
	openSocket(kind: Kind, six: boolean, implied: boolean): number {
		const { type, name, protocol, number } = KINDS[kind];
		const family = six ? "AF_INET6" : "AF_INET";
		const fd = this.make(
			`socket(${family}, ${name}|SOCK_NONBLOCK, ${implied ? "IPPROTO_IP" : protocol})`,
			() => this.task.socket(six ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK, implied ? 0 : number),
		);
		if (fd >= 0) this.fds.set(fd, { kind, six, listens: false, connected: false });
		return fd;
	}

	/** Closes a socket if the process has too many. `n` chooses it. */
	limit(n: number): void {
		if (this.fds.size > this.script.live) this.close(pick([...this.fds.keys()], n));
	}

	close(fd: number): void {
		this.make(`close(${fd})`, () => this.task.close(fd));
		this.fds.delete(fd);
	}

	/** Closes those of the descriptors that are open. */
	closeAll(fds: readonly number[]): void {
		for (const fd of fds) if (this.fds.has(fd)) this.close(fd);
	}

	/** Closes the oldest sockets until `most` are left. */
	closeOldest(most: number): void {
		while (this.fds.size > most) this.close(nth([...this.fds.keys()], 0));
	}

	bind(fd: number, at: Endpoint, length = sizeOf(at.six)): number {
		return this.make(`bind(${fd}, ${sockaddr(at)}, ${length})`, () =>
			this.task.bind(fd, this.script.address(at), length),
		);
	}

	listen(fd: number, backlog: number): number {
		return this.make(`listen(${fd}, ${backlog})`, () => this.task.listen(fd, backlog));
	}

	connect(fd: number, to: Endpoint): number {
		const length = sizeOf(to.six);
		return this.make(`connect(${fd}, ${sockaddr(to)}, ${length})`, () =>
			this.task.connect(fd, this.script.address(to), length, true),
		);
	}

	/** Dissolves a connection. */
	disconnect(fd: number): void {
		const zeros = "\\0".repeat(14);
		this.make(`connect(${fd}, {sa_family=AF_UNSPEC, sa_data="${zeros}"}, 16)`, () =>
			this.task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 }, 16),
		);
	}

	/** Accepts a connection. The descriptor becomes a socket of the kind and family. */
	accept(fd: number, kind: Kind, six: boolean): number {
		const child = this.make(`accept4(${fd}, {sa_family=AF_UNSPEC}, [28], SOCK_NONBLOCK)`, () =>
			this.task.accept4(fd, SOCK_NONBLOCK, {}, true),
		);
		if (child >= 0) this.fds.set(child, { kind, six, listens: false, connected: true });
		return child;
	}

	/** Sends on a connection. */
	send(fd: number, size: number, more: readonly [string, number] = ["", 0]): void {
		const [words, flags] = more;
		this.make(`sendto(${fd}, "storm", ${size}, MSG_NOSIGNAL${words}, NULL, 0)`, () =>
			this.task.sendto(fd, size, null, 0, true, flags),
		);
	}

	/** Sends to an address. `more` are other flags. */
	sendto(fd: number, size: number, to: Endpoint, more: readonly [string, number] = ["", 0]): void {
		const [words, flags] = more;
		const length = sizeOf(to.six);
		const call = `sendto(${fd}, "storm", ${size}, MSG_NOSIGNAL${words}, ${sockaddr(to)}, ${length})`;
		this.make(call, () => this.task.sendto(fd, size, this.script.address(to), length, true, flags));
	}

	/** Receives without waiting. `more` are other flags, as the script and the model take them. */
	receive(
		fd: number,
		size: number,
		asksSender: boolean,
		more: readonly [string, number] = ["", 0],
	): void {
		const [words, flags] = more;
		const sender = asksSender ? ", {sa_family=AF_UNSPEC}, [28]" : "";
		this.make(`recvfrom(${fd}, NULL, ${size}, MSG_DONTWAIT${words}${sender})`, () =>
			this.task.recv(fd, size, true, flags),
		);
	}

	/** `how` is an entry of SHUTDOWNS. */
	shutdown(fd: number, [name, how]: readonly [string, number]): void {
		this.make(`shutdown(${fd}, ${name})`, () => this.task.shutdown(fd, how));
	}

	/** Sets an option, unless programs leave it out. */
	set(fd: number, level: Level, option: string, number: number, value: number): void {
		if (this.script.without(option)) return;
		this.make(`setsockopt(${fd}, ${level}, ${option}, [${value}], 4)`, () =>
			this.task.setsockopt(fd, SOL[level], number, value),
		);
	}

	setReuseAddr(fd: number): void {
		this.set(fd, "SOL_SOCKET", "SO_REUSEADDR", SO_REUSEADDR, 1);
	}

	setReusePort(fd: number): void {
		this.set(fd, "SOL_SOCKET", "SO_REUSEPORT", SO_REUSEPORT, 1);
	}

	setPortRange(fd: number, lowest: number, highest: number): void {
		this.set(fd, "SOL_IP", "IP_LOCAL_PORT_RANGE", IP_LOCAL_PORT_RANGE, (highest << 16) | lowest);
	}

	setDevice(fd: number, name: string): void {
		if (this.script.without("SO_BINDTODEVICE")) return;
		const bytes = new TextEncoder().encode(`${name}\0`);
		this.make(`setsockopt(${fd}, SOL_SOCKET, SO_BINDTODEVICE, "${name}\\0", ${bytes.length})`, () =>
			this.task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bytes),
		);
	}

	/** Sets SO_LINGER with 0 seconds. */
	setLinger(fd: number, on: 0 | 1): void {
		if (this.script.without("SO_LINGER")) return;
		const bytes = Uint8Array.of(on, 0, 0, 0, 0, 0, 0, 0);
		this.make(`setsockopt(${fd}, SOL_SOCKET, SO_LINGER, {l_onoff=${on}, l_linger=0}, 8)`, () =>
			this.task.setsockopt(fd, SOL_SOCKET, SO_LINGER, bytes),
		);
	}

	/** Reads an option, unless programs leave it out. */
	get(fd: number, level: Level, option: string): void {
		if (this.script.without(option)) return;
		const call = `getsockopt(${fd}, ${level}, ${option})`;
		// Only a read of SO_ERROR changes the socket.
		if (option !== "SO_ERROR") this.say(call);
		else this.make(call, () => Number(this.task.getsockopt(fd, SOL_SOCKET, SO_ERROR) === 0));
	}

	dup(fd: number): number {
		return this.make(`dup(${fd})`, () => this.task.dup(fd));
	}

	dup2(fd: number, at: number): number {
		return this.make(`dup2(${fd}, ${at})`, () => this.task.dup2(fd, at));
	}

	dup3(fd: number, at: number): number {
		return this.make(`dup3(${fd}, ${at}, O_CLOEXEC)`, () => this.task.dup3(fd, at, O_CLOEXEC));
	}

	dupfd(fd: number, from: number): number {
		return this.make(`fcntl(${fd}, F_DUPFD, ${from})`, () => this.task.dupfd(fd, from, false));
	}

	/** Sets the soft and the hard limit of descriptors. */
	setNofile(limit: number, most = NOFILE): void {
		this.make(`prlimit64(0, RLIMIT_NOFILE, {rlim_cur=${limit}, rlim_max=${most}}, NULL)`, () =>
			this.task.setrlimit(limit, most),
		);
	}

	/** Opens the namespace of a socket, a file. */
	socketNamespace(fd: number): number {
		return this.make(`ioctl(${fd}, SIOCGSKNS)`, () => this.task.socketNamespace(fd));
	}

	/** Writes a setting as a program does, so a refusal is also a result. */
	writeSysctl(name: string, value: string): void {
		const { task } = this;
		const fd = task.openOther();
		this.say(`openat(AT_FDCWD, "/proc/sys/${name.replaceAll(".", "/")}", O_WRONLY)`);
		if (fd < 0) return;
		this.make(`write(${fd}, "${value}\\n", ${value.length + 1})`, () =>
			task.net.setSysctl(name, `${value}\n`),
		);
		this.say(`close(${fd})`);
		task.close(fd);
	}
}
