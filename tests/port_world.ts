// SPDX-License-Identifier: GPL-2.0-or-later
/** A kernel with one namespace, and sockets of one protocol named by short texts. */
import { Random } from "../include/linux/random.js";
import type { ChangeName } from "../include/linux/version.js";
import {
	type Address,
	AF_INET,
	AF_INET6,
	errnoName,
	IPV6_V6ONLY,
	Kernel,
	type NetNamespace,
	SO_ERROR,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_IPV6,
	SOL_SOCKET,
	type Task,
} from "../kernel-model/index.js";
import { verifySctp } from "../kernel-model/machine/verify_sctp.js";

const TABLES = { ehash: 256, bhash: 256, lhash2: 256, udp: 256 };

/** "127.0.0.1:53", "[::1]:53", "any:53" for the wildcard of AF_INET. */
export function addressOf(text: string): Address {
	const at = text.lastIndexOf(":");
	const host = text.slice(0, at);
	const port = Number(text.slice(at + 1));
	if (host.startsWith("[")) return { family: "AF_INET6", address: host.slice(1, -1), port };
	return { family: "AF_INET", address: host === "any" ? "0.0.0.0" : host, port };
}

function textOf(address: Address | number): string {
	if (typeof address === "number") return errnoName(-address);
	const { family, address: host, port } = address;
	return family === "AF_INET6" ? `[${host}]:${port}` : `${host}:${port}`;
}

/** "ENAME" for an error, else the number. */
export const outcome = (result: number) => (result < 0 ? errnoName(-result) : result);

/** Every draw is the same number. */
export class ConstantRandom extends Random {
	constructor(private readonly value: number) {
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

export interface WorldOptions {
	/** By default "6.3". */
	version?: string;
	random?: Random;
	changes?: readonly ChangeName[];
}

/**
 * lo has 127.0.0.1, ::1, 192.0.2.1 and 2001:db8::1, dummy0 has 198.51.100.1/24; of hosts
 * in 203.0.113.0/24, beyond dummy0, one hears nothing.
 */
export class World {
	readonly kernel: Kernel;
	readonly net: NetNamespace;
	readonly task: Task;

	/** `type` and `protocol` of sockets that do not say. */
	constructor(
		private readonly type: number,
		private readonly protocol: number,
		{ version = "6.3", random, changes = [] }: WorldOptions = {},
	) {
		this.kernel = new Kernel({ version, tables: TABLES, ...(random && { random }) });
		const all = new Set([...this.kernel.changes, ...changes]);
		Object.defineProperty(this.kernel, "changes", { value: all });
		this.net = this.kernel.createNet();
		this.net.addAddress("192.0.2.1/32", "lo");
		this.net.addAddress("2001:db8::1/128", "lo");
		this.net.addLink("dummy0");
		this.net.setLink("dummy0", true);
		this.net.addAddress("198.51.100.1/24", "dummy0");
		this.net.addRoute({ to: "203.0.113.0/24", dev: "dummy0" });
		this.task = this.kernel.createTask({ net: this.net });
	}

	range(low: number, high: number): void {
		this.net.setSysctl("net.ipv4.ip_local_port_range", `${low} ${high}`);
	}

	/** Someone else, who may bind no privileged port. */
	user(uid: number): Task {
		return this.kernel.createTask({ net: this.net, uid });
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

	/**
	 * A socket for "AP 127.0.0.1:53", bound to the address; with `L` among the flags it
	 * listens. The first result that is not 0 counts.
	 */
	tryBind(spec: string, task = this.task): { fd: number; result: string | number } {
		const [flags, text] = spec.includes(" ") ? spec.split(" ") : ["", spec];
		const to = addressOf(text);
		const fd = this.socket(to.family === "AF_INET" ? AF_INET : AF_INET6, flags, task);
		let result = task.bind(fd, to);
		if (result === 0 && flags.includes("L")) result = task.listen(fd, 4);
		return { fd, result: outcome(result) };
	}

	/** The same where it has to succeed. */
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
		return outcome(this.task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 }));
	}

	/** A new descriptor, or "EAGAIN". */
	accept(fd: number): string | number {
		return outcome(this.task.accept4(fd, 0, {}, true));
	}

	/** The same where it has to succeed. */
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
		return Number(this.name(fd).replace(/.*:/, ""));
	}

	/** "ECONNREFUSED", or 0: takes it. */
	error(fd: number): string | number {
		const value = this.task.getsockopt(fd, SOL_SOCKET, SO_ERROR);
		if (typeof value === "number") return outcome(value);
		return value[0] === 0 ? 0 : outcome(-value[0]);
	}

	close(...fds: number[]): void {
		for (const fd of fds) this.task.close(fd);
	}

	/** Checks all tables. */
	check(): void {
		this.kernel.verify();
		verifySctp(this.kernel);
	}
}
