// SPDX-License-Identifier: GPL-2.0-or-later
/** A socket as a program in Node.js would want it: methods that throw errors, and explain themselves. */

import { SOL_IP } from "../include/linux/socket.js";
import { errnoName } from "../include/uapi/asm-generic/errno.js";
import { SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET } from "../include/uapi/asm-generic/socket.js";
import { IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE } from "../include/uapi/linux/in.js";
import type { Address } from "./address.js";
import { SearchExplainer } from "./explain.js";
import type { Task } from "./task.js";

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
		/** How the kernel came to it, a line each. */
		readonly explanation: readonly string[],
	) {
		const where = address === undefined ? "" : ` ${address}:${port}`;
		super(`${syscall} ${code}${where}`);
	}
}

/** A TCP socket over IPv4 of one task. */
export class Socket {
	readonly fd: number;
	private lines: readonly string[] = [];

	constructor(
		readonly task: Task,
		fd?: number,
	) {
		this.fd = fd ?? this.call("socket", undefined, () => task.tcp());
	}

	/** How the last call came to its result, a line each. */
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

	/** Binds to an address and a port, 0 for one that the kernel chooses. */
	bind(address: string, port = 0): this {
		const name: Address = { family: "AF_INET", address, port };
		this.call("bind", name, () => this.task.bind(this.fd, name));
		return this;
	}

	/** `backlog`: connections that may wait, one more than that fits. */
	listen(backlog = 511): this {
		this.call("listen", undefined, () => this.task.listen(this.fd, backlog));
		return this;
	}

	/** Connects, and waits on the virtual clock until that is decided. */
	connect(address: string, port: number): this {
		const name: Address = { family: "AF_INET", address, port };
		this.call("connect", name, () => this.task.connectAndWait(this.fd, name));
		return this;
	}

	/** Begins to connect and does not wait: the port is chosen, the SYN sent. */
	startConnect(address: string, port: number): this {
		const name: Address = { family: "AF_INET", address, port };
		this.call("connect", name, () => {
			const result = this.task.connect(this.fd, name, undefined, true);
			return errnoName(-result) === "EINPROGRESS" ? 0 : result;
		});
		return this;
	}

	/** The next connection; throws EAGAIN where none waits. */
	accept(): Socket {
		const fd = this.call("accept", undefined, () => this.task.accept4(this.fd, 0, undefined, true));
		return new Socket(this.task, fd);
	}

	private name(syscall: "getsockname" | "getpeername"): Address {
		const name = this.task[syscall](this.fd);
		if (typeof name !== "number") return name;
		throw new SocketError(errnoName(-name), name, syscall, undefined, undefined, []);
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

	/** IP_LOCAL_PORT_RANGE: both bounds inclusive, 0 for one that is not set. */
	localPortRange(low: number, high: number): this {
		return this.setOption(SOL_IP, IP_LOCAL_PORT_RANGE, (high << 16) | low);
	}

	close(): void {
		this.call("close", undefined, () => this.task.close(this.fd));
	}
}
