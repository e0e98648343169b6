// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Makes the calls of a recording on the model. Facts from outside the model, such as the number of
 * a descriptor or the answer of another host, are taken from the recorded result. Everything else
 * is the model's own result.
 */
import { SOCK_DCCP, SOCK_SEQPACKET, SOCK_TYPE_MASK } from "../../include/linux/net.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import { EBADF, EFAULT } from "../../include/uapi/asm-generic/errno.js";
import {
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import { NotModelled } from "../../net/core/sock.js";
import { describeAddress } from "../machine/explain.js";
import { nth } from "../machine/nth.js";
import type { Task } from "../machine/task.js";
import { asFcntl, isReceive, isSend, opensNamespace, systemCall } from "../script/calls.js";
import type { CallLine } from "../script/strace.js";
import { Connections } from "./connections.js";
import { Descriptors } from "./descriptors.js";
import { Files } from "./files.js";
import {
	type Handled,
	IGNORED,
	knownName,
	type ModelCall,
	OTHER_FAMILY,
	sameAddress,
} from "./model_call.js";
import { Netlink } from "./netlink.js";
import { PendingErrors } from "./pending_errors.js";
import { isFault, roomFor } from "./pointers.js";
import { Processes } from "./processes.js";
import { Receives } from "./receives.js";
import { Sends } from "./sends.js";
import { SocketOptions } from "./socket_options.js";
import type { World } from "./world.js";

export class Calls {
	private readonly netlink: Netlink;
	private readonly processes: Processes;
	private readonly descriptors: Descriptors;
	private readonly files: Files;
	private readonly errors: PendingErrors;
	private readonly connections: Connections;
	private readonly options: SocketOptions;
	private readonly sends: Sends;
	private readonly receives: Receives;

	/** `wait` advances the clock to a recorded time. */
	constructor(
		private readonly world: World,
		wait: (time: number | null) => void,
	) {
		this.netlink = new Netlink(world);
		this.processes = new Processes(world, this.netlink);
		this.descriptors = new Descriptors(world);
		this.files = new Files(world, this.descriptors);
		this.errors = new PendingErrors(world);
		this.connections = new Connections(world, wait);
		this.options = new SocketOptions(world);
		this.sends = new Sends(world, wait);
		this.receives = new Receives(world);
	}

	/**
	 * Makes a call, by its role (script/calls.ts). A call on a descriptor goes by onDescriptor(), and
	 * if the descriptor is a socket, by onSocket(). Throws ScriptError and NotModelled.
	 */
	make(task: Task, call: CallLine, recorded: number | null): Handled {
		const operands = this.world.operands(call);
		const modelCall: ModelCall = { task, call, operands, recorded, fd: -1, sock: -EBADF };
		switch (systemCall(call.name)?.role) {
			case "fork":
				return this.processes.fork(modelCall);
			case "execve":
				return this.processes.execve(modelCall);
			case "exit":
				return this.processes.exit(modelCall);
			case "namespace":
				return call.name === "setns"
					? this.processes.setns(modelCall)
					: this.processes.unshare(modelCall);
			case "limit":
				return this.processes.setrlimit(modelCall);
			case "user":
				return this.processes.setUser(modelCall);
			case "socket":
				return this.socket(modelCall);
			case "file":
				return this.files.open(modelCall);
			default:
				if (opensNamespace(call)) return this.files.opensNamespace(modelCall);
				return this.onDescriptor(modelCall);
		}
	}

	/**
	 * A call on a descriptor. The descriptor may be a setting in /proc/sys/net, a socket, another
	 * file, or be from before the recording.
	 */
	private onDescriptor(modelCall: ModelCall): Handled {
		const { task, call, operands, recorded } = modelCall;
		const { world } = this;
		const fd = operands.int(0, "a file descriptor");
		modelCall.fd = fd;
		const path = task.pathOf(fd);
		if (path?.path.startsWith("/proc/sys/net/")) {
			if (call.name === "write" || call.name === "writev")
				return this.files.writeSysctl(modelCall, path);
			if (call.name === "read") return this.files.readSysctl(modelCall, path);
		}
		const own = world.ownAnswers !== null;
		const checking = recorded !== null;
		modelCall.sock = task.socketOf(fd);
		if (checking && !own && modelCall.sock !== recorded) {
			const unknown = this.descriptors.look(task, fd, call, recorded);
			if (typeof unknown === "string") return { result: recorded, undecided: unknown };
			if (unknown) modelCall.sock = task.socketOf(fd);
		}
		const { sock } = modelCall;
		if (sock < 0 && checking && isSend(call.name)) this.netlink.send(task, fd, call);
		const row = systemCall(call.name);
		if (row?.role === "close") return this.close(modelCall);
		if (call.name === "fcntl" || call.name === "ioctl") {
			return this.descriptors.fcntl(task, fd, asFcntl(call), recorded);
		}
		if (row?.role === "descriptor") return this.descriptors.dup(modelCall);
		if (checking && !own) this.descriptors.passed(task, call, recorded);
		if (sock < 0) {
			// The descriptor may be a file, or a socket that the model does not have.
			const file = checking && (!own || row?.onlySockets !== true);
			return file && recorded !== sock ? IGNORED : { result: sock };
		}
		if (checking && recorded >= 0 && !own && world.uringNets.has(task.net.net.id)) {
			this.descriptors.connectUnseen(task, fd, call);
		}
		return this.onSocket(modelCall);
	}

	private socket(modelCall: ModelCall): Handled {
		const { task, call, recorded } = modelCall;
		const at = this.descriptors.recordedFd(modelCall);
		const family = knownName(modelCall, 0, "an address family");
		const type = knownName(modelCall, 1, "a socket type");
		const protocol = call.args[2] === undefined ? 0 : knownName(modelCall, 2, "a protocol");
		if (family === null || type === null || protocol === null) {
			if (at !== undefined) {
				task.openOther(at);
				this.netlink.opened(task, at, call);
			}
			return IGNORED;
		}
		try {
			const result = task.socket(family, type, protocol, at);
			if (result >= 0) {
				const sk = nth(this.world.kernel.socket.sk, task.socketOf(result));
				this.world.isNew(sk);
			}
			const error = call.result?.errno ?? "";
			const lacking = NO_PROTOCOL.has(error) && isOptional(family, type, protocol);
			if (!lacking || result === recorded || this.world.ownAnswers !== null) return { result };
			if (result >= 0) task.close(result);
			return IGNORED;
		} catch (error) {
			if (error instanceof NotModelled && at !== undefined) {
				task.openOther(at);
				this.netlink.opened(task, at, call);
			}
			throw error;
		}
	}

	private close({ task, fd, sock, call, recorded }: ModelCall): Handled {
		const { world } = this;
		world.pidfds.delete(`${task.pid} ${fd}`);
		if (sock < 0 && recorded !== null) {
			task.close(fd);
			return IGNORED;
		}
		if (recorded !== null) {
			this.descriptors.closing(task, fd, call.line);
			world.assumeRead(call.pid ?? 0, task, fd, call.line);
		}
		return { result: task.close(fd) };
	}

	/** A call on a socket. The method of Task gives the result of the model. */
	private onSocket(modelCall: ModelCall): Handled {
		const { task, fd, sock, call, operands } = modelCall;
		const sk = nth(this.world.kernel.socket.sk, sock);
		this.errors.fit(sk, modelCall);
		switch (call.name) {
			case "bind":
				return this.bind(modelCall);
			case "listen":
				return this.connections.listen(modelCall);
			case "connect":
				return this.connections.connect(modelCall);
			case "accept":
			case "accept4":
				return this.connections.accept(modelCall);
			case "getsockname":
			case "getpeername":
				return this.name(modelCall);
			case "setsockopt":
				return this.options.set(sk, modelCall);
			case "getsockopt":
				return this.options.get(modelCall);
			case "shutdown":
				return { result: task.shutdown(fd, operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR")) };
			default:
				if (isSend(call.name)) return this.sends.send(modelCall);
				if (isReceive(call.name)) return this.receives.receive(modelCall);
				return IGNORED;
		}
	}

	private bind({ task, fd, call, operands }: ModelCall): Handled {
		const length = operands.length(2, "an address length");
		const address = operands.sockaddr(1, length);
		if (address === null && isFault(call, length)) return { result: -EFAULT };
		return { result: task.bind(fd, address?.address ?? OTHER_FAMILY, length) };
	}

	/** getsockname() or getpeername(). */
	private name(modelCall: ModelCall): Handled {
		const { task, fd, call, operands } = modelCall;
		const room = roomFor(modelCall);
		const name =
			call.name === "getsockname" ? task.getsockname(fd, room) : task.getpeername(fd, room);
		if (typeof name === "number") return { result: name };
		const told = operands.shownAddress(1);
		const same = told === null || sameAddress(told, name);
		const difference = same ? null : `the model's address is ${describeAddress(name)}`;
		return { result: 0, address: name, difference };
	}

	/** See Sends. */
	connects(task: Task, call: CallLine): boolean {
		return this.sends.connects(task, call);
	}

	/** See Sends. */
	cookie(task: Task, call: CallLine): boolean | null {
		return this.sends.cookie(task, call);
	}
}

/** Errors of socket() if the recorded kernel does not have the protocol. */
const NO_PROTOCOL = new Set(["EAFNOSUPPORT", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"]);

/** Whether a kernel can be built or configured without a family or a protocol. */
function isOptional(family: number, type: number, protocol: number): boolean {
	const kind = type & SOCK_TYPE_MASK;
	const module = kind === SOCK_SEQPACKET || kind === SOCK_DCCP || OPTIONAL.has(protocol);
	return family === AF_INET6 || module;
}
const OPTIONAL = new Set([IPPROTO_DCCP, IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_UDPLITE]);
