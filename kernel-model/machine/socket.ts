// SPDX-License-Identifier: GPL-2.0-or-later
/** A socket for programs in Node.js: its methods throw errors and can explain their results. */

import { SOCK_DCCP, SOCK_DGRAM, SOCK_STREAM } from "../../include/linux/net.js";
import { AF_INET, AF_INET6, SOL_IP, SOL_IPV6 } from "../../include/linux/socket.js";
import { EBADF, errnoName } from "../../include/uapi/asm-generic/errno.js";
import { SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import {
	IP_BIND_ADDRESS_NO_PORT,
	IP_LOCAL_PORT_RANGE,
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	IPV6_V6ONLY,
} from "../../include/uapi/linux/in.js";
import type { Address } from "./address.js";
import { checkInt, checkObject, checkPort, checkString, checkWord } from "./arguments.js";
import { SearchExplainer } from "./explain.js";
import { Task } from "./task.js";

/** A system call that failed, with the fields that Node.js gives such errors. */
export class SocketError extends Error {
	override readonly name = "SocketError";

	constructor(
		/** "EADDRINUSE". */
		readonly code: string,
		/** Negative, -98. */
		readonly errno: number,
		/** "bind". */
		readonly syscall: string,
		readonly address: string | undefined,
		readonly port: number | undefined,
		/** How the kernel came to this error, one line per step. */
		readonly explanation: readonly string[],
	) {
		const where = address === undefined ? "" : ` ${address}:${port}`;
		super(`${syscall} ${code}${where}`);
	}
}

/** Arguments of socket(). */
export interface SocketKind {
	/** "AF_INET" if not given. */
	family?: "AF_INET" | "AF_INET6";
	/** "tcp" if not given; "sctp" is one-to-one. */
	protocol?: "tcp" | "udp" | "udplite" | "mptcp" | "sctp" | "dccp";
}

const PROTOCOLS = {
	tcp: [SOCK_STREAM, IPPROTO_TCP],
	udp: [SOCK_DGRAM, IPPROTO_UDP],
	udplite: [SOCK_DGRAM, IPPROTO_UDPLITE],
	mptcp: [SOCK_STREAM, IPPROTO_MPTCP],
	sctp: [SOCK_STREAM, IPPROTO_SCTP],
	dccp: [SOCK_DCCP, IPPROTO_DCCP],
} as const;

/** An address with a colon is an IPv6 address. */
function nameOf(address: string, port: number): Address {
	checkString("address", address);
	return { family: address.includes(":") ? "AF_INET6" : "AF_INET", address, port };
}

const FAMILIES = { AF_INET, AF_INET6 } as const;
const FAMILY_NAMES = ["AF_INET", "AF_INET6"] as const;
const PROTOCOL_NAMES = ["tcp", "udp", "udplite", "mptcp", "sctp", "dccp"] as const;

/**
 * A socket of one task. Methods throw SocketError if the kernel refuses, and TypeError or
 * RangeError for a bad argument.
 */
export class Socket {
	private descriptor: number;
	private lines: readonly string[] = [];

	/** Makes a new socket, or takes the socket of a descriptor. */
	constructor(
		readonly task: Task,
		kind: SocketKind | number = {},
	) {
		if (!(task instanceof Task)) throw new TypeError("task: expected a Task");
		if (typeof kind === "number") {
			this.descriptor = checkInt("kind", kind);
			return;
		}
		checkObject("kind", kind, "a descriptor or { family, protocol }");
		const family = FAMILIES[checkWord("family", kind.family ?? "AF_INET", FAMILY_NAMES)];
		const name = checkWord("protocol", kind.protocol ?? "tcp", PROTOCOL_NAMES);
		const [type, protocol] = PROTOCOLS[name];
		this.descriptor = this.call("socket", undefined, () => task.socket(family, type, protocol));
	}

	/** The descriptor; -1 after close(), so every call fails with EBADF. */
	get fd(): number {
		return this.descriptor;
	}

	/** How the last call came to its result, one line per step. Reading an address keeps it. */
	explain(): readonly string[] {
		return this.lines;
	}

	private call(syscall: string, address: Address | undefined, run: () => number): number {
		const { kernel } = this.task;
		const outer = kernel.trace;
		const explainer = new SearchExplainer(kernel);
		kernel.trace = explainer;
		try {
			const result = run();
			this.lines = explainer.lines;
			if (result >= 0) return result;
			const code = errnoName(-result);
			throw new SocketError(code, result, syscall, address?.address, address?.port, this.lines);
		} finally {
			kernel.trace = outer;
		}
	}

	/** Binds to an address and a port. With port 0 the kernel chooses the port. */
	bind(address: string, port = 0): this {
		const name = nameOf(address, port);
		this.call("bind", name, () => this.task.bind(this.fd, name));
		return this;
	}

	/** Listens. `backlog + 1` connections fit into the accept queue. */
	listen(backlog = 511): this {
		this.call("listen", undefined, () => this.task.listen(this.fd, backlog));
		return this;
	}

	/** Connects. The virtual clock runs until the connection succeeds or fails. */
	connect(address: string, port: number): this {
		const name = nameOf(address, port);
		this.call("connect", name, () => this.task.connectAndWait(this.fd, name));
		return this;
	}

	/** Starts a connect without waiting: chooses the port and sends the SYN. */
	startConnect(address: string, port: number): this {
		const name = nameOf(address, port);
		this.call("connect", name, () => {
			const result = this.task.connect(this.fd, name, undefined, true);
			return errnoName(-result) === "EINPROGRESS" ? 0 : result;
		});
		return this;
	}

	/**
	 * Sends a datagram of one byte, or one byte of a stream. Without an address it sends to the
	 * peer.
	 */
	send(address?: string, port = 0): this {
		const name = address === undefined ? undefined : nameOf(address, port);
		this.call("sendto", name, () => this.task.sendto(this.fd, 1, name ?? null));
		return this;
	}

	/** Dissolves a connection: connect() with AF_UNSPEC. */
	disconnect(): this {
		const name: Address = { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 };
		this.call("connect", undefined, () => this.task.connect(this.fd, name));
		return this;
	}

	/** Accepts the next connection. Throws EAGAIN if none waits. */
	accept(): Socket {
		const fd = this.call("accept", undefined, () => this.task.accept4(this.fd, 0, undefined, true));
		return new Socket(this.task, fd);
	}

	private name(syscall: "getsockname" | "getpeername"): Address {
		let name: Address | number = -EBADF;
		const { lines } = this;
		this.call(syscall, undefined, () => {
			name = this.task[syscall](this.fd);
			return typeof name === "number" ? name : 0;
		});
		this.lines = lines;
		return name as unknown as Address;
	}

	/** getsockname(). */
	get localAddress(): Address {
		return this.name("getsockname");
	}

	/** getpeername(). */
	get remoteAddress(): Address {
		return this.name("getpeername");
	}

	setOption(level: number, option: number, value: number | Uint8Array): this {
		this.call("setsockopt", undefined, () => this.task.setsockopt(this.fd, level, option, value));
		return this;
	}

	reuseAddress(on = true): this {
		return this.setOption(SOL_SOCKET, SO_REUSEADDR, on ? 1 : 0);
	}

	reusePort(on = true): this {
		return this.setOption(SOL_SOCKET, SO_REUSEPORT, on ? 1 : 0);
	}

	/** IP_BIND_ADDRESS_NO_PORT: bind() to port 0 leaves the choice to connect(). */
	bindAddressNoPort(on = true): this {
		return this.setOption(SOL_IP, IP_BIND_ADDRESS_NO_PORT, on ? 1 : 0);
	}

	/** IP_LOCAL_PORT_RANGE. Both bounds are inclusive; 0 leaves a bound unset. */
	localPortRange(low: number, high: number): this {
		const range = (checkPort("high", high) << 16) | checkPort("low", low);
		return this.setOption(SOL_IP, IP_LOCAL_PORT_RANGE, range);
	}

	/** IPV6_V6ONLY: no IPv4 through v4-mapped addresses. */
	ipv6Only(on = true): this {
		return this.setOption(SOL_IPV6, IPV6_V6ONLY, on ? 1 : 0);
	}

	/**
	 * Closes the descriptor. Another socket may get its number, so a second close() throws EBADF.
	 */
	close(): void {
		this.call("close", undefined, () => this.task.close(this.fd));
		this.descriptor = -1;
	}
}
