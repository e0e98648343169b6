// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Makes the calls of a recording on the model. Facts from outside the model, such as the number of
 * a descriptor or the answer of another host, are taken from the recorded result. Everything else
 * is the model's own result.
 */
import { CAP_FULL_SET } from "../../include/linux/capability.js";
import { O_NONBLOCK, SOCK_DCCP, SOCK_SEQPACKET, SOCK_TYPE_MASK } from "../../include/linux/net.js";
import {
	AF_INET6,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_STORAGE,
	SOL_UDP,
} from "../../include/linux/socket.js";
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_SYN_SENT } from "../../include/net/tcp_states.js";
import {
	EACCES,
	EAGAIN,
	EBADF,
	ECONNABORTED,
	ECONNREFUSED,
	EFAULT,
	EINPROGRESS,
	EMFILE,
	EPERM,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { RLIMIT_NOFILE } from "../../include/uapi/asm-generic/resource.js";
import { SO_ERROR, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import {
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import { CLONE_NEWNET, CLONE_NEWUSER } from "../../include/uapi/linux/sched.js";
import { NotModelled } from "../../net/core/sock.js";
import { reuseport_attach_prog } from "../../net/core/sock_reuseport.js";
import { tcp_done } from "../../net/ipv4/tcp.js";
import { mptcpCountOption } from "../../net/mptcp/sockopt.js";
import type { Address } from "../machine/address.js";
import { describeAddress } from "../machine/explain.js";
import type { NetNamespace } from "../machine/net.js";
import { nth } from "../machine/nth.js";
import type { OpenPath, Task } from "../machine/task.js";
import { isReceive, isSend, systemCall } from "../script/calls.js";
import { errnoOf, type Operands } from "../script/operands.js";
import { isModelledSysctl } from "../script/setup.js";
import { type CallLine, ScriptError, type Value } from "../script/strace.js";
import { isSysctlPath, SYSCTL_PATH } from "../script/sysctl_path.js";
import { Descriptors } from "./descriptors.js";
import {
	type Handled,
	IGNORED,
	isUdp,
	localDevice,
	type Made,
	OTHER_FAMILY,
	sameAddress,
} from "./made.js";
import { Netlink } from "./netlink.js";
import { Outside } from "./outside.js";
import { Receives } from "./receives.js";
import { Sends } from "./sends.js";
import type { World } from "./world.js";

export class Calls {
	private readonly descriptors: Descriptors;
	private readonly netlink: Netlink;
	private readonly outside: Outside;
	private readonly sends: Sends;
	private readonly receives: Receives;

	constructor(private readonly world: World) {
		this.descriptors = new Descriptors(world);
		this.netlink = new Netlink(world);
		this.outside = new Outside(world);
		this.sends = new Sends(world, (time) => this.onWait(time));
		this.receives = new Receives(world);
	}

	/**
	 * Makes a call, by its role (script/calls.ts). A call on a descriptor goes by onDescriptor(), and
	 * if the descriptor is a socket, by onSocket(). Throws ScriptError and NotModelled.
	 */
	handle(task: Task, call: CallLine, recorded: number | null): Handled {
		const operands = this.world.operands(call);
		const made: Made = { task, call, operands, recorded, fd: -1, sock: -EBADF };
		switch (systemCall(call.name)?.role) {
			case "fork":
				return this.fork(made);
			case "execve":
				return this.execve(made);
			case "exit":
				return this.exit(made);
			case "namespace":
				return call.name === "setns" ? this.setns(made) : this.unshare(made);
			case "limit":
				return this.setrlimit(made);
			case "user":
				return this.setUser(made);
			case "socket":
				return this.socket(made);
			case "file":
				return this.open(made);
			default:
				return call.name === "ioctl" ? this.opensNamespace(made) : this.onDescriptor(made);
		}
	}

	/**
	 * The recorded number of the descriptor that a call makes; undefined if the model finds the number
	 * itself.
	 */
	private recordedFd({ task, recorded }: Made): number | undefined {
		if (recorded === null || recorded < 0 || this.world.knowsDescriptors(task)) return undefined;
		return descriptor(recorded);
	}

	private fork({ call, recorded }: Made): Handled {
		const { world } = this;
		if (recorded === null || recorded <= 0) return IGNORED;
		world.fork(call, recorded);
		if (world.recording.leavesChildrenOut) {
			world.endsAlone(`process ${recorded}, which the recording does not follow`);
		}
		return IGNORED;
	}

	private exit({ task, call }: Made): Handled {
		this.netlink.ends(task);
		this.world.exit(call.pid ?? 0, call.line);
		return IGNORED;
	}

	private unshare({ task, call, operands, recorded }: Made): Handled {
		const succeeded = recorded !== null && recorded >= 0;
		if (succeeded && (operands.flags(0) & CLONE_NEWUSER) !== 0) task.capabilities = CAP_FULL_SET;
		if ((operands.flags(0) & CLONE_NEWNET) === 0) return IGNORED;
		if (call.result === null) {
			if (!task.privileged) return { result: -EPERM };
			task.unshareNet();
			return { result: 0 };
		}
		if (succeeded) task.unshareNet();
		return IGNORED;
	}

	/** setuid() or setresuid(). The recording shows whether the call succeeded. */
	private setUser({ task, call, operands, recorded }: Made): Handled {
		const user = (index: number) => operands.int(index, "a user");
		const sets = call.name === "setuid" ? 0 : 1; // the argument with the effective user
		if (call.result === null) {
			const result = sets === 0 ? task.setuid(user(0)) : task.setresuid(user(0), user(1), user(2));
			return { result };
		}
		if (recorded !== 0) return IGNORED;
		const wanted = user(sets);
		// -1 leaves a user of setresuid() as it is.
		if (wanted >= 0 || sets === 0) {
			task.uid = Math.max(wanted, 0);
			this.world.privileged = true;
		}
		return IGNORED;
	}

	/**
	 * A call on a descriptor. The descriptor may be a setting in /proc/sys/net, a socket, another
	 * file, or be from before the recording.
	 */
	private onDescriptor(made: Made): Handled {
		const { task, call, operands, recorded } = made;
		const { world } = this;
		const fd = operands.int(0, "a file descriptor");
		made.fd = fd;
		const path = task.pathOf(fd);
		if (path?.path.startsWith("/proc/sys/net/")) {
			if (call.name === "write" || call.name === "writev") return this.writeSysctl(made, path);
			if (call.name === "read") return this.readSysctl(made, path);
		}
		const own = world.own !== null;
		const checking = recorded !== null;
		made.sock = task.socketOf(fd);
		if (checking && !own && made.sock !== recorded) {
			const unknown = this.descriptors.look(task, fd, call, recorded);
			if (typeof unknown === "string") return { result: recorded, undecided: unknown };
			if (unknown) made.sock = task.socketOf(fd);
		}
		const { sock } = made;
		if (sock < 0 && checking && isSend(call.name)) this.netlink.send(task, fd, call);
		const row = systemCall(call.name);
		if (row?.role === "close") return this.close(made);
		if (call.name === "fcntl") return this.descriptors.fcntl(task, fd, call, recorded);
		if (row?.role === "descriptor") return this.dup(made);
		if (checking && !own) this.descriptors.passed(task, call, recorded);
		if (sock < 0) {
			// The descriptor may be a file, or a socket that the model does not have.
			const file = checking && (!own || row?.onlySockets !== true);
			return file && recorded !== sock ? IGNORED : { result: sock };
		}
		if (checking && recorded >= 0 && !own && world.rings.has(task.net.net.id)) {
			this.descriptors.connectUnseen(task, fd, call);
		}
		return this.onSocket(made);
	}

	/** dup(), dup2() or dup3(). */
	private dup(made: Made): Handled {
		const { task, call, operands, recorded, fd, sock } = made;
		const knows = this.world.knowsDescriptors(task);
		if (sock < 0 && recorded !== null && !knows) {
			if (recorded < 0) return IGNORED;
			if (task.fileOf(fd) === 0) task.openOther(descriptor(recorded));
			else task.installFile(task.fileOf(fd), recorded);
			return IGNORED;
		}
		if (call.name === "dup") return { result: task.dup(fd, this.recordedFd(made)) };
		const newfd = operands.int(1, "a file descriptor");
		// `newfd` is above RLIMIT_NOFILE. Recordings do not show this limit.
		if (recorded === -EBADF && newfd >= 0 && this.world.own === null && !knows) return IGNORED;
		if (call.name === "dup2") return { result: task.dup2(fd, newfd) };
		return { result: task.dup3(fd, newfd, operands.flags(2)) };
	}

	private socket(made: Made): Handled {
		const { task, call, recorded } = made;
		const at = this.recordedFd(made);
		const family = this.knownName(made, 0, "an address family");
		const type = this.knownName(made, 1, "a socket type");
		const protocol = call.args[2] === undefined ? 0 : this.knownName(made, 2, "a protocol");
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
			if (!lacking || result === recorded || this.world.own !== null) return { result };
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

	/** A call that sets RLIMIT_NOFILE. Recordings do not show the limit before it. */
	private setrlimit({ call, operands, task, recorded }: Made): Handled {
		const { world } = this;
		const first = call.name === "setrlimit" ? 0 : 1;
		if (operands.flags(first) !== RLIMIT_NOFILE) return IGNORED;
		const wanted = operands.rlimit(first + 1);
		if (wanted === null || recorded === -EPERM) return IGNORED;
		const pid = first === 0 ? 0 : operands.int(0, "a process");
		const other = pid === 0 ? task : world.tasks.get(pid);
		if (other === undefined || !world.kernel.tasks.has(other)) return IGNORED;
		return { result: other.setrlimit(wanted.cur, wanted.max) };
	}

	/** Enters the namespace of a process (pidfd), or the namespace that a file keeps. */
	private setns({ task, call, operands, recorded }: Made): Handled {
		const fd = operands.int(0, "a file descriptor");
		const flags = operands.flags(1);
		if (flags !== 0 && (flags & CLONE_NEWNET) === 0) return IGNORED;
		if (recorded !== null && recorded < 0) return IGNORED;
		const { world } = this;
		const file = task.pathOf(fd);
		const process = world.tasks.get(world.pidfds.get(`${task.pid} ${fd}`) ?? -1);
		const setting = file !== null && /^(\/proc\/sys\/|NETLINK_ROUTE$)/.test(file.path);
		const known = (setting ? null : file?.net) ?? process?.net ?? null;
		if (known !== null) {
			task.net = known;
			return recorded === null ? { result: 0 } : IGNORED;
		}
		if (recorded === null) {
			if (flags === 0) return IGNORED;
			throw operands.error(call.args[0]?.value, "a descriptor of a network namespace");
		}
		// With flags 0 the namespace may be of any type. Only a network namespace matters.
		if (flags === 0 && (file === null || setting)) return IGNORED;
		task.net = world.kernel.createNet();
		world.netDoubts.set(task.net.net.id, `line ${call.line} enters a namespace that is not known`);
		return IGNORED;
	}

	/** ioctl(SIOCGSKNS). Another user may have the capability over the namespace. */
	private opensNamespace(made: Made): Handled {
		const { task, operands, recorded } = made;
		if (recorded === -EPERM) return IGNORED;
		const fd = operands.int(0, "a file descriptor");
		return { result: task.socketNamespace(fd, this.recordedFd(made)) };
	}

	private close({ task, fd, sock, call, recorded }: Made): Handled {
		const { world } = this;
		world.pidfds.delete(`${task.pid} ${fd}`);
		if (sock < 0 && recorded !== null) {
			task.close(fd);
			return IGNORED;
		}
		if (recorded !== null) {
			this.descriptors.closing(task, fd, call.line);
			world.drain(call.pid ?? 0, task, fd, call.line);
		}
		return { result: task.close(fd) };
	}

	/** A call on a socket. The method of Task gives the result of the model. */
	private onSocket(made: Made): Handled {
		const { task, fd, sock, call, operands, recorded } = made;
		const { world } = this;
		const sk = nth(world.kernel.socket.sk, sock);
		if (tellsRefusal(call, operands)) this.refused(sk);
		if (recorded !== null && world.own === null) this.takeErrors(sk, made);
		switch (call.name) {
			case "bind":
				return this.bind(made);
			case "listen":
				return { result: this.listen(task, fd, operands.int(1, "a backlog")) };
			case "connect":
				return this.connect(made);
			case "accept":
			case "accept4":
				return this.accept(made);
			case "getsockname":
			case "getpeername": {
				const room = roomFor(made);
				const name =
					call.name === "getsockname" ? task.getsockname(fd, room) : task.getpeername(fd, room);
				if (typeof name === "number") return { result: name };
				return { result: 0, address: name, difference: addressDiffers(operands, name) };
			}
			case "setsockopt":
				return this.setsockopt(sk, made);
			case "getsockopt":
				return this.getsockopt(made);
			case "shutdown":
				return { result: task.shutdown(fd, operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR")) };
			default:
				if (isSend(call.name)) return this.sends.send(made);
				if (isReceive(call.name)) return this.receives.receive(made);
				return IGNORED;
		}
	}

	private setsockopt(sk: number, made: Made): Handled {
		const { task, fd, operands, recorded } = made;
		const length = operands.int(4, "an option length");
		const level = this.knownName(made, 1, "an option level");
		const optname = this.knownName(made, 2, "an option");
		if (level === null || optname === null) return this.passedOption(sk, made);
		const option = recorded === 0 && this.world.own === null ? operands.option() : null;
		if (option !== null && option.concern !== "ports") return this.passedOption(sk, made);
		const copied = Math.min(Math.max(length, 0), 1024);
		let optval: Uint8Array | null;
		try {
			optval = operands.optval(3, copied);
		} catch (error) {
			if (!(error instanceof ScriptError)) throw error;
			// An option that the model does not have may have any value.
			if (recorded === null && operands.option()?.concern === "ports") throw error;
			return this.passedOption(sk, made);
		}
		try {
			return { result: task.setsockopt(fd, level, optname, optval, length) };
		} catch (error) {
			if (error instanceof NotModelled) return this.passedOption(sk, made);
			throw error;
		}
	}

	private getsockopt(made: Made): Handled {
		const { task, fd, call, operands, recorded } = made;
		const level = this.knownName(made, 1, "an option level");
		const optname = this.knownName(made, 2, "an option");
		if (level === null || optname === null) return IGNORED;
		// A script may leave out buffer and length. 16 bytes have room for every option.
		const given = call.args[4] !== undefined;
		const length = given ? operands.length(4, "an option length") : 16;
		const value = task.getsockopt(fd, level, optname, length);
		if (typeof value === "number") return { result: value };
		const shown = recorded === null ? null : operands.returned(3, value.length);
		const same = shown === null || shown.every((byte, i) => byte === value[i]);
		const difference = same ? null : `the model's value is [${hex(value)}]`;
		return { result: 0, value, difference };
	}

	private bind({ task, fd, call, operands }: Made): Handled {
		const length = operands.length(2, "an address length");
		const address = operands.sockaddr(1, length);
		if (address === null && isFault(call, length)) return { result: -EFAULT };
		return { result: task.bind(fd, address?.address ?? OTHER_FAMILY, length) };
	}

	private listen(task: Task, fd: number, backlog: number): number {
		const result = task.listen(fd, backlog);
		const S = this.world.kernel.sock;
		const sk = this.world.sockOf(task, fd);
		if (result === 0 && S.skc_reuseport[sk] !== 0) this.world.shared.add(nth(S.skc_num, sk));
		return result;
	}

	private connect({ task, fd, call, operands, recorded }: Made): Handled {
		const length = operands.length(2, "an address length");
		const pointed = operands.sockaddr(1, length);
		if (pointed === null && isFault(call, length)) return { result: -EFAULT };
		const address = pointed?.address ?? OTHER_FAMILY;
		const checking = recorded !== null;
		const error = call.result?.errno ?? null;
		const flags = nth(this.world.kernel.socket.flags, task.socketOf(fd));
		const flagged = (flags & O_NONBLOCK) !== 0;
		// fcntl() may not be recorded. The recorded result shows whether the call could sleep.
		const nonblock = checking ? AT_ONCE.has(error ?? "") || (flagged && recorded !== 0) : flagged;
		let result = task.connect(fd, address, length, nonblock);
		this.noteRefusal(task, fd, result);
		if (result === -ERESTARTSYS && !checking) result = task.connectAndWait(fd, address);
		if (result === -ERESTARTSYS && checking) {
			const { own, draws, sleeping } = this.world;
			const decided = recorded === 0 || RELEASED.has(error ?? "");
			if (decided && call.endLine > call.line && own === null && draws === null) {
				sleeping.push(call.line);
				return { result: recorded };
			}
			this.onWait(call.endTime ?? null);
			result = task.connectSleeping(fd);
		}
		return { result };
	}

	/** Notes a connect() that returned EINPROGRESS and was refused at once. Later calls show this. */
	private noteRefusal(task: Task, fd: number, result: number): void {
		const { kernel, refusals } = this.world;
		const sk = this.world.sockOf(task, fd);
		const refused = kernel.sock.skc_state[sk] === TCP_CLOSE && kernel.sock.sk_err[sk] !== 0;
		if (result === -EINPROGRESS && refused) refusals.add(sk);
		else if (refusals.size > 0) refusals.delete(sk);
	}

	/** Advances the clock to a recorded time. Set by the player. */
	onWait: (time: number | null) => void = () => {};

	/** Passes over an option. If ports may depend on it, later calls on the socket are doubtful. */
	private passedOption(sk: number, { call, operands }: Made): typeof IGNORED {
		const option = operands.option();
		if (call.result?.value === 0 && option !== null && SELECTORS.has(option.name)) {
			// Which member the program selects is open in any case: check/accept_queues.ts.
			reuseport_attach_prog(this.world.kernel, sk);
			return IGNORED;
		}
		if (call.result?.value === 0 && option !== null) {
			mptcpCountOption(this.world.kernel, sk, option.level, option.number);
		}
		if (call.result?.value === 0 && option?.level === SOL_UDP) {
			this.world.oddDatagrams ??= `line ${call.line} sets ${option.name}, which is not modelled`;
		}
		if (call.result?.value === 0 && option !== null && option.concern !== "none") {
			this.world.doubts.set(sk, `line ${call.line} sets ${option.name}, which is not modelled`);
		}
		return IGNORED;
	}

	/** An argument as a number; null for a name in a recording that the reader does not know. */
	private knownName({ operands, call }: Made, index: number, what: string) {
		try {
			return operands.int(index, what);
		} catch (error) {
			if (!(error instanceof ScriptError) || call.result === null) throw error;
			return null;
		}
	}

	private accept(made: Made): Handled {
		const { task, fd, sock, call, operands, recorded } = made;
		const { world } = this;
		const { kernel } = world;
		const flagged = (nth(kernel.socket.flags, sock) & O_NONBLOCK) !== 0;
		const listener = world.subflow(nth(kernel.socket.sk, sock));
		const flags = call.name === "accept4" ? operands.flags(3) : 0;
		const shown = operands.shownAddress(1);
		const told = shown ?? (recorded === null ? null : (world.evidence.peers.get(call) ?? null));
		const accepted = recorded !== null && recorded >= 0;
		// If the client's address is not known and this queue is empty, any client of the group fits.
		const first = kernel.sock.rskq_accept_head.get(listener);
		const empty = first === 0;
		if (!empty && kernel.sock.dl_next.get(first) !== 0) world.severalWait.add(listener);
		const outside = accepted && !world.queues.waits(listener) && this.hasStrangers(listener, call);
		const stranger = outside && this.outside.connect(task, fd, call, told);
		if (accepted && (told !== null || empty)) world.queues.adopt(listener, told);
		if (recorded === -EAGAIN) world.queues.disown(listener);
		const peer: Partial<Address> = {};
		const nonblock = recorded === null ? flagged : flagged || recorded === -EAGAIN;
		const at = accepted ? descriptor(recorded) : undefined;
		const room = call.args[1]?.value.kind === "null" ? undefined : roomFor(made);
		const attempt = () => task.accept4(fd, flags, peer, nonblock, at, room);
		let result = attempt();
		if (result === -ERESTARTSYS && recorded === null) result = task.waitForInput(fd, attempt);
		if (result >= 0) {
			const child = nth(kernel.socket.sk, task.socketOf(result));
			world.isNew(child);
			if (stranger) {
				world.ends.add(child);
				world.doubts.set(child, `the client of line ${call.line} is not recorded`);
			} else if (accepted && told === null && world.severalWait.has(listener)) {
				world.unnamed.set(child, call.line);
			}
			if (kernel.sock.rskq_accept_head.get(listener) === 0) world.severalWait.delete(listener);
		}
		const { family, address, port } = peer;
		if (family === undefined || address === undefined || port === undefined) return { result };
		const full: Address = { ...peer, family, address, port };
		const difference =
			told === null || sameAddress(told, full)
				? null
				: `the model accepts ${describeAddress(full)}`;
		return { result, address: full, difference };
	}

	/**
	 * Whether a listener may have clients that are not recorded. It may if the search found no
	 * recorded client, if the listener is from before the recording, or if no recorded process
	 * connects to its port.
	 */
	private hasStrangers(listener: number, call: CallLine): boolean {
		const { facts, adopted, alone, own, draws, evidence, kernel } = this.world;
		if (own !== null || draws !== null) return false;
		if (facts.outside.has(call.line) || adopted.has(listener)) return true;
		return !alone && !evidence.connectedTo.has(nth(kernel.sock.skc_num, listener));
	}

	/**
	 * A call shows that a datagram was refused. If the destination is another host, sets the error.
	 * The recording does not show when this host refused. On the own host the model decides.
	 */
	private refused(sk: number): void {
		const S = this.world.kernel.sock;
		if (!isUdp(nth(S.sk_protocol, sk)) || S.skc_state[sk] !== TCP_ESTABLISHED) return;
		if (localDevice(this.world.kernel, sk) === 0) S.sk_err[sk] = ECONNREFUSED;
	}

	/**
	 * Sets or clears the pending error of a TCP connection to fit a call. Another host may answer at
	 * any time. If the recording does not show read(), a read() may have returned the error.
	 */
	private takeErrors(sock_sk: number, { call, operands }: Made): void {
		const k = this.world.kernel;
		const S = k.sock;
		const sk = this.world.subflow(sock_sk);
		const protocol = S.sk_protocol[sk];
		if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_MPTCP) return;
		const asks = call.name === "getsockopt" && operands.flags(2) === SO_ERROR;
		if (asks && operands.flags(1) !== SOL_SOCKET) return;
		const transfers = call.name === "connect" || isSend(call.name) || isReceive(call.name);
		if (!asks && !transfers) return;
		const errno = call.result?.errno ?? null;
		const told = asks ? errorIn(operands) : errno === null ? 0 : (errnoOf(errno) ?? 0);
		// MPTCP keeps the error of an earlier attempt.
		if (
			!this.world.settled && // all answers are those of this host, which the model has
			S.skc_state[sk] === TCP_SYN_SENT &&
			ANSWERS.has(told) &&
			S.sk_err[sock_sk] !== told &&
			localDevice(this.world.kernel, sk) === 0
		) {
			S.sk_err[sk] = told;
			tcp_done(k, sk);
			return;
		}
		const pending = S.sk_err[sock_sk];
		if (pending === 0 || this.world.showsReads) return;
		// A connect() whose attempt has failed returns the pending error, else ECONNABORTED.
		const taken = asks ? told !== pending : call.name === "connect" && told === ECONNABORTED;
		if (taken && S.skc_state[sk] === TCP_CLOSE) S.sk_err[sock_sk] = 0;
	}

	/** See Sends. */
	connects(task: Task, call: CallLine): boolean {
		return this.sends.connects(task, call);
	}

	/** See Sends. */
	cookie(task: Task, call: CallLine): boolean | null {
		return this.sends.cookie(task, call);
	}

	/** open() or openat(). In a script without results the files exist. */
	private open(made: Made): Handled {
		const { call, operands, recorded } = made;
		if (call.result === null) {
			const index = call.name === "open" ? 0 : 1;
			if (!isSysctlPath(operands.string(index, SYSCTL_PATH)))
				throw operands.error(call.args[index]?.value, SYSCTL_PATH);
		}
		const succeeded = recorded !== null && recorded >= 0;
		// The model does not have the permissions of files. C looks for a descriptor first.
		const knows = this.world.knowsDescriptors(made.task);
		if (knows && this.opensSysctl(made) && (succeeded || recorded === -EMFILE))
			return { result: this.opened(made) };
		if (succeeded) this.opened(made, this.recordedFd(made));
		return recorded === null ? { result: this.opened(made) } : IGNORED;
	}

	/** Whether a call opens a file below /proc/sys/net. */
	private opensSysctl({ call, operands }: Made): boolean {
		const index = call.name === "open" ? 0 : 1;
		const shown = call.args[index]?.value.kind === "string";
		return shown && isSysctlPath(operands.string(index, SYSCTL_PATH));
	}

	private opened({ task, call, operands }: Made, at?: number): number {
		const { world } = this;
		const index = call.name === "open" ? 0 : 1;
		const value = call.args[index]?.value;
		if (value?.kind !== "string" || (value.truncated && call.result !== null))
			return task.openOther(at);
		const path = operands.string(index, "a path");
		const flags = call.args[index + 1]?.value;
		const open = (net: NetNamespace | null) =>
			task.openPath({ path, net, writable: writes(flags), position: 0 }, closes(flags), at);
		if (isSysctlPath(path)) return open(task.net);
		const of = /^\/proc\/(self|thread-self|[0-9]+)(\/task\/[0-9]+)?\/ns\/net$/.exec(path)?.[1];
		if (of !== undefined) {
			const pid = /^[0-9]/.test(of) ? Number(of) : (call.pid ?? 0);
			return open((pid === call.pid ? task : world.tasks.get(pid))?.net ?? null);
		}
		if (/^(\/var)?\/run\/netns\//.test(path)) {
			const name = path.replace(/^\/var/, "");
			const known = world.namedNets.get(name);
			const net = known ?? world.kernel.createNet();
			if (known === undefined) {
				world.namedNets.set(name, net);
				world.netDoubts.set(net.net.id, `${path} is a namespace from before the recording`);
			}
			return open(net);
		}
		return task.openOther(at);
	}

	private writeSysctl({ task, operands, recorded }: Made, file: OpenPath): Handled {
		// fs/read_write.c: ksys_write.
		if (!file.writable) return { result: -EBADF };
		const name = sysctlOf(file);
		if (!isModelledSysctl(name)) return IGNORED;
		const text = operands.written();
		if (recorded === -EACCES || recorded === -EPERM) return IGNORED;
		const taken = (file.net ?? task.net).writeSysctl(name, text, file);
		if (taken >= 0) this.world.privileged = true;
		return { result: taken };
	}

	/** A read of a setting moves the position of the file. */
	private readSysctl({ task, operands, call, recorded }: Made, file: OpenPath): Handled {
		if (recorded !== null) {
			file.position += Math.max(recorded, 0);
			return IGNORED;
		}
		const text = (file.net ?? task.net).getSysctl(sysctlOf(file));
		if (typeof text === "number" || call.args[2] === undefined) return IGNORED;
		const taken = file.position > 0 ? 0 : Math.min(operands.int(2, "a size"), text.length);
		file.position += taken;
		return { result: taken };
	}

	/** execve() closes descriptors. A run of ip changes the namespace. */
	private execve({ task, call, operands, recorded }: Made): Handled {
		if (recorded === null || recorded < 0) return IGNORED;
		task.execve();
		this.netlink.ends(task);
		const argv = operands.strings(1);
		const program = argv?.[0]?.replace(/^.*\//, "");
		// The writes of sysctl to its files are recorded.
		if (argv === null || program !== "ip") return IGNORED;
		const exit = this.world.recording.exitAfter(call.pid ?? 0, call.line);
		if (exit !== null && exit.status !== 0) return IGNORED;
		this.world.privileged = true;
		this.netlink.ip(task, call.line, argv);
		return IGNORED;
	}
}

/** Whether open() flags allow writing. A script may leave the flags out; then they do. */
function writes(flags: Value | undefined): boolean {
	if (flags?.kind === "int") return (flags.value & 3) !== 0;
	if (flags?.kind !== "flags") return true;
	return flags.names.includes("O_WRONLY") || flags.names.includes("O_RDWR");
}

/** Whether open() flags close the descriptor at execve(). */
function closes(flags: Value | undefined): boolean {
	return flags?.kind === "flags" && flags.names.includes("O_CLOEXEC");
}

/** The name of the setting of an open file, with dots. */
function sysctlOf({ path }: OpenPath): string {
	return path.slice("/proc/sys/".length).replaceAll("/", ".");
}

/** The error that SO_ERROR returned; 0 if none. */
function errorIn(operands: Operands): number {
	const bytes = operands.returned(3, 4);
	return bytes === null || bytes.length < 4
		? 0
		: new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
}

/** Options that let a BPF program select the member of a reuseport group. */
const SELECTORS = new Set(["SO_ATTACH_REUSEPORT_CBPF", "SO_ATTACH_REUSEPORT_EBPF"]);

/** Errors of a connect() that does not sleep. */
const AT_ONCE = new Set(["EALREADY", "EINPROGRESS", "EISCONN"]);

/** Errors of a connect() that slept until an answer arrived or its time was over. */
const RELEASED = new Set([
	"EBADRQC",
	"ECONNREFUSED",
	"ECONNRESET",
	"EHOSTUNREACH",
	"ENOMSG",
	"ETIMEDOUT",
	"EUSERS",
]);

/** Errors of a connection attempt that come from other hosts, from routers or from a timeout. */
const ANSWERS = new Set(
	[
		"ECONNREFUSED",
		"ECONNRESET",
		"EHOSTDOWN",
		"EHOSTUNREACH",
		"ENETUNREACH",
		"ENOPROTOOPT",
		"EPROTO",
		"ETIMEDOUT",
	].map((name) => errnoOf(name) ?? 0),
);

function hex(bytes: Uint8Array): string {
	return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function addressDiffers(operands: Operands, name: Address): string | null {
	const told = operands.shownAddress(1);
	if (told === null || sameAddress(told, name)) return null;
	return `the model's address is ${describeAddress(name)}`;
}

/** Whether a send, a receive or SO_ERROR returns ECONNREFUSED. */
function tellsRefusal(call: CallLine, operands: Operands): boolean {
	if (call.name === "getsockopt") {
		const pending = operands.flags(1) === SOL_SOCKET && operands.flags(2) === SO_ERROR;
		return pending && call.result?.value === 0 && operands.returned(3, 4)?.[0] === ECONNREFUSED;
	}
	return (isSend(call.name) || isReceive(call.name)) && call.result?.errno === "ECONNREFUSED";
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

/**
 * Whether a bind() or connect() without an address cannot read it: net/socket.c:
 * move_addr_to_kernel. A pointer that strace printed as a number may be good if the address is
 * shorter than its family.
 */
function isFault(call: CallLine, length: number): boolean {
	const least = call.args[1]?.value.kind === "null" ? 1 : SIZEOF_SA_FAMILY;
	return length >= least && length <= SIZEOF_SOCKADDR_STORAGE;
}

/** Whether an argument is a pointer that strace could not follow. It prints a number or NULL. */
export function passesBarePointer(call: CallLine): boolean {
	const bare = (value: Value): boolean =>
		value.kind === "null" || (value.kind === "int" && (value.value >= 4096 || value.value < 0));
	return call.args.some(({ value }, index) => {
		if (index === 0) return false;
		if (value.kind === "int" && value.value === 1 && index !== call.args.length - 1) return true;
		if (value.kind === "int" && value.value === 1 && /^get|^accept/.test(call.name)) return true;
		return bare(value);
	});
}

/**
 * The size of the memory for an address that the kernel fills in, bytes; null for a bad pointer. A
 * script may leave the last arguments out.
 */
function roomFor({ call, operands, recorded }: Made): number | null | undefined {
	const length = call.args[2]?.value;
	if (recorded === -EFAULT && passesBarePointer(call)) return null;
	if (length === undefined) return undefined;
	return length.kind === "null" ? null : operands.length(2, "an address length");
}

/** A recorded result as a descriptor; undefined if it is too large for one. */
function descriptor(result: number): number | undefined {
	return result <= 0x7fffffff ? result : undefined;
}
