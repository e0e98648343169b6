// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What is noted of a call after the model made it: the lines that made a socket, gave it its port
 * and set its options (for proofs), guessed ports (for the search), and that the user is root.
 */
import { nth } from "../machine/nth.js";
import type { Task } from "../machine/task.js";
import { choosesPort, systemCall } from "../script/calls.js";
import type { CallLine } from "../script/strace.js";
import { type Handled, IGNORED } from "./model_call.js";
import type { Turn } from "./turn.js";
import type { World } from "./world.js";

export class Notes {
	constructor(private readonly world: World) {}

	/** Notes the lines that made sockets, gave them ports and set options. */
	origins(task: Task, call: CallLine, handled: Handled): void {
		const { world } = this;
		const { origins } = world;
		const { line, name } = call;
		if (choosesPort(name)) {
			const sk = world.portSk(task, call);
			if (sk !== 0) origins.called(name, sk, line);
		}
		if (handled === IGNORED || handled.result < 0) return;
		const role = systemCall(name)?.role;
		if (role === "socket") this.newSocket(task, handled.result, line);
		else if (role === "accept") this.newConnection(task, call, handled.result);
		else if (name === "setsockopt") {
			const option = world.operands(call).option();
			const sk = world.portSk(task, call);
			if (option !== null && sk !== 0) origins.set(sk, option.name, line);
		} else if (name === "write") origins.changed(task.net, line);
	}

	/** socket() made the socket of a descriptor. */
	private newSocket(task: Task, fd: number, line: number): void {
		const { world } = this;
		const sk = this.skOfFd(task, fd);
		world.origins.isNew(sk, line);
		const subflow = world.subflow(sk);
		if (subflow !== sk) world.origins.isNew(subflow, line);
	}

	/** accept() made the socket of a descriptor. A doubt about its listener is a doubt about it. */
	private newConnection(task: Task, accept: CallLine, fd: number): void {
		const { world } = this;
		const { origins, doubts } = world;
		const sk = this.skOfFd(task, fd);
		origins.isNew(sk, accept.line);
		origins.accepted(world.subflow(sk), accept.line);
		const doubt = doubts.get(world.sk(task, accept));
		if (doubt !== undefined && sk !== 0 && !doubts.has(sk)) doubts.set(sk, doubt);
	}

	/** The sock of a descriptor; 0 if it has none. */
	private skOfFd(task: Task, fd: number): number {
		const sock = task.socketOf(fd);
		return sock > 0 ? nth(this.world.kernel.socket.sk, sock) : 0;
	}

	/** Notes the port that a call chose for its socket, if no line shows it on the socket itself. */
	guess({ task, call, portBefore, revealed }: Turn): void {
		if (!choosesPort(call.name)) return;
		const port = this.port(task, call);
		if (port === 0 || port === portBefore) return;
		if (call.name === "bind" && port === this.namedPort(call)) return;
		const inferred = revealed?.likely === true ? "likely" : "inferred";
		this.world.noteGuess({ line: call.line, port, how: revealed === null ? "guessed" : inferred });
	}

	/** A bind() succeeded. If it took a privileged port, the user is root. */
	privilege(task: Task, bind: CallLine): void {
		const port = this.namedPort(bind);
		if (port !== 0 && port < task.net.net.ipv4.sysctl_ip_prot_sock && task.uid === 0) {
			this.world.privileged = true;
		}
	}

	/** The port of a call's socket; 0 if it has none, or if the call never chooses a port. */
	port(task: Task, call: CallLine): number {
		if (!choosesPort(call.name)) return 0;
		const sk = this.world.portSk(task, call);
		return sk === 0 ? 0 : nth(this.world.kernel.sock.skc_num, sk);
	}

	/** The port that a bind() asks for; 0 if the kernel chooses. */
	namedPort(bind: CallLine): number {
		const operands = this.world.operands(bind);
		return operands.sockaddr(1, operands.length(2, "an address length"))?.address?.port ?? 0;
	}
}
