// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Descriptors. dup() and fcntl() duplicate them. Others come into a process without a call that
 * the model has: over a UNIX socket, from another process, or from before the recording. If a
 * descriptor is new here, its later calls show which socket it is.
 */
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { TCP_CLOSE, TCP_LISTEN } from "../../include/net/tcp_states.js";
import { EBADF } from "../../include/uapi/asm-generic/errno.js";
import { SO_PROTOCOL, SO_TYPE, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import { IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import type { Address } from "../machine/address.js";
import { nth } from "../machine/nth.js";
import type { Task } from "../machine/task.js";
import { systemCall } from "../script/calls.js";
import { fdOf } from "../script/operands.js";
import { type CallLine, ScriptError, type Value } from "../script/strace.js";
import { descriptor, type Handled, IGNORED, type ModelCall, sameAddress } from "./model_call.js";
import type { World } from "./world.js";

/** How many lines are searched for later calls on a descriptor. */
const AHEAD = 2000;
const CLOSINGS = 32;

/** What later calls show of a descriptor. */
interface Shown {
	name: Address | null;
	/** The address that getpeername() returns. */
	peer: Address | null;
	/** The descriptor is a socket of another family, or no socket. */
	other: boolean;
	type: number | null;
	protocol: number | null;
	listens: boolean;
	accepts: boolean;
	binds: boolean;
	/** The local address of the sockets that it accepts. Port 0 if only the family is shown. */
	accepted: Address | null;
}

export class Descriptors {
	/** The last closes of sockets. A call that is not recorded may have duplicated such a socket. */
	private readonly closings: { line: number; pid: number; name: Address | null }[] = [];

	constructor(private readonly world: World) {}

	/**
	 * Finds the socket of a descriptor that is not known here. Returns true if the descriptor has a
	 * socket now, a reason if the call is undecided, else false.
	 */
	look(task: Task, fd: number, call: CallLine, recorded: number): boolean | string {
		if (fd < 0 || task.socketOf(fd) !== -EBADF || recorded === -EBADF) return false;
		const rings = this.world.uringNets.has(task.net.net.id);
		const only = systemCall(call.name)?.onlySockets === true;
		if (!only && !(rings && /^(send|recv)/.test(call.name))) return false;
		const shown = this.shown(call, fd);
		if (shown.other) {
			task.openOther(fd);
			return false;
		}
		if (rings && this.acceptUnseen(task, fd, shown)) return true;
		const file = this.candidate(task, shown);
		if (file !== 0) {
			task.installFile(file, fd);
			return true;
		}
		return this.unknown(task, fd, call, shown);
	}

	/** What the calls on a descriptor show, from the call `from` to the next close. */
	private shown(from: CallLine, fd: number): Shown {
		const shown: Shown = {
			name: null,
			peer: null,
			other: false,
			type: null,
			protocol: null,
			listens: false,
			accepts: false,
			binds: false,
			accepted: null,
		};
		for (const line of this.world.recording.linesFrom(from, AHEAD)) {
			if (line.kind !== "call" || line.pid !== from.pid || fdOf(line) !== fd) continue;
			if (line.name === "close") break;
			const failed = line.result?.errno ?? null;
			if (failed === "ENOTSOCK") shown.other = true;
			if (line.name === "accept" || line.name === "accept4") shown.accepts = true;
			if (failed !== null) continue;
			if (line.name === "accept" || line.name === "accept4") this.lookAtAccepted(line, shown);
			if (line.name === "listen") shown.listens = true;
			if (line.name === "bind" || line.name === "connect") shown.binds = true;
			this.look_at(line, shown);
			const peer = shown.peer !== null || !this.world.uringNets.size;
			if ((shown.name !== null && peer) || shown.other) break;
		}
		return shown;
	}

	private lookAtAccepted(line: CallLine, shown: Shown): void {
		if (shown.accepted !== null && shown.accepted.port !== 0) return;
		const { evidence } = this.world;
		const local = evidence.locals.get(line);
		if (local !== undefined) shown.accepted = local;
		if (shown.accepted !== null) return;
		const peer = this.world.operands(line).shownAddress(1) ?? evidence.peers.get(line);
		if (peer !== undefined) shown.accepted = { ...peer, port: 0 };
	}

	private look_at(line: CallLine, shown: Shown): void {
		const operands = this.world.operands(line);
		try {
			if (["getsockname", "bind", "connect", "getpeername"].includes(line.name)) {
				const told = line.args[1]?.value;
				const family = told?.kind === "struct" ? told.fields[0]?.value : undefined;
				const names = family?.kind === "flags" ? family.names : [];
				if (names.length > 0 && !names.some((name) => /^AF_(INET6?|UNSPEC)$/.test(name))) {
					shown.other = true;
				}
			}
			if (line.name === "getsockname" && !shown.binds) {
				shown.name = operands.shownAddress(1);
			}
			if (line.name === "getpeername") shown.peer ??= operands.shownAddress(1);
			if (line.name === "getsockopt" && operands.flags(1) === SOL_SOCKET) {
				const value = operands.returned(3, 4)?.[0] ?? null;
				if (operands.flags(2) === SO_TYPE) shown.type = value;
				if (operands.flags(2) === SO_PROTOCOL) shown.protocol = value;
			}
		} catch (error) {
			if (!(error instanceof ScriptError)) throw error;
		}
	}

	/** Accepts the connection that io_uring accepted, as far as it is shown; else the oldest. */
	private acceptUnseen(task: Task, fd: number, shown: Shown): boolean {
		if (shown.accepts || shown.listens || shown.binds) return false;
		const { world } = this;
		const { sock: S, socket } = world.kernel;
		const { name, peer } = shown;
		for (const listening of task.socketDescriptors()) {
			const listener = world.subflow(nth(socket.sk, task.socketOf(listening)));
			if (S.skc_state[listener] !== TCP_LISTEN) continue;
			if (name !== null && name.port !== S.skc_num[listener]) continue;
			if (peer !== null) world.queues.adopt(listener, peer);
			const child = S.rskq_accept_head.get(listener);
			if (child === 0 || (peer !== null && S.skc_dport[child] !== peer.port)) continue;
			if (task.accept4(listening, 0, {}, true, fd) !== fd) continue;
			world.isNew(nth(socket.sk, task.socketOf(fd)));
			return true;
		}
		return false;
	}

	/** Connects a socket that io_uring connected, if a later call shows the peer. */
	connectUnseen(task: Task, fd: number, call: CallLine): void {
		const { world } = this;
		const { sock: S } = world.kernel;
		const sk = world.portSkOfFd(task, fd);
		if (S.sk_protocol[sk] !== IPPROTO_TCP || S.skc_state[sk] !== TCP_CLOSE) return;
		const connected = /^(getsockname|getpeername|shutdown)$/.test(call.name);
		if (!connected && !/^(send|recv)/.test(call.name)) return;
		const { name, peer } = this.shown(call, fd);
		if (peer === null) return;
		const { observer } = world;
		observer.expect({ port: name?.port ?? null, exhausted: false, remote: "accept" });
		task.connect(fd, peer, undefined, false);
	}

	/**
	 * The open file that fits what later calls show. The process's own files come first, then those
	 * of other processes. 0 if there is none.
	 */
	private candidate(task: Task, shown: Shown): number {
		const others = [...this.world.kernel.tasks].filter((other) => other !== task);
		for (const holder of [task, ...others.reverse()]) {
			let found = 0;
			for (const fd of holder.socketDescriptors()) {
				const sock = holder.socketOf(fd);
				if (!this.fits(holder, fd, sock, shown)) continue;
				found = holder.fileOf(fd);
			}
			// If no call shows an address, only the process's own sockets are likely.
			if (found !== 0 && (holder === task || shown.name !== null)) return found;
		}
		return 0;
	}

	private fits(task: Task, fd: number, sock: number, shown: Shown): boolean {
		const { sock: S, socket } = this.world.kernel;
		const sk = this.world.subflow(nth(socket.sk, sock));
		if (shown.type !== null && S.sk_type[sk] !== shown.type) return false;
		if (shown.protocol !== null && S.sk_protocol[sk] !== shown.protocol) return false;
		const listening = S.skc_state[sk] === TCP_LISTEN;
		if (shown.accepts && !shown.listens && !listening) return false;
		if (shown.name === null) return shown.accepts;
		const name = task.getsockname(fd);
		return typeof name !== "number" && sameAddress(shown.name, name);
	}

	/** Makes a socket from before the recording, or from a call that is not recorded. */
	private unknown(task: Task, fd: number, call: CallLine, shown: Shown): boolean | string {
		const reason = `no recorded call made descriptor ${fd}`;
		const name = shown.name ?? shown.accepted;
		const family = name?.family === "AF_INET6" ? AF_INET6 : AF_INET;
		if (name !== null && !name.family.startsWith("AF_INET")) return reason;
		const { world } = this;
		const protocol = shown.protocol ?? 0;
		try {
			if (task.socket(family, shown.type ?? 1, protocol, fd) < 0) return reason;
		} catch {
			task.openOther(fd);
			return reason;
		}
		const sk = nth(world.kernel.socket.sk, task.socketOf(fd));
		world.doubts.set(sk, reason);
		if (shown.name !== null && shown.name.port !== 0) {
			const { draws } = world.kernel;
			world.kernel.draws = world.kernel.ownDraws;
			const uid = task.uid;
			task.uid = 0;
			task.bind(fd, shown.name);
			task.uid = uid;
			if (shown.accepts || shown.listens) task.listen(fd, 4096);
			world.kernel.draws = draws;
		}
		if (this.listensUnnamed(task, fd, shown)) {
			world.listenersFromBefore.add(sk);
			world.endsAlone(`clients of a listener from before the recording (descriptor ${fd})`);
			return true;
		}
		return call.name === "listen" || call.name === "bind" ? true : reason;
	}

	/**
	 * Makes a listener from before the recording, on the port that accepted sockets show. If nothing
	 * shows the port, takes one that no line names. Returns whether the socket listens.
	 */
	private listensUnnamed(task: Task, fd: number, { name, accepts, accepted }: Shown): boolean {
		if (!accepts) return false;
		const { kernel, evidence } = this.world;
		const { sock: S, socket } = kernel;
		const sk = nth(socket.sk, task.socketOf(fd));
		if (S.skc_state[sk] === TCP_LISTEN) return true;
		if (name !== null || accepted === null) return false;
		const { family } = accepted;
		const address = family === "AF_INET6" ? "::" : "0.0.0.0";
		const { draws } = kernel;
		kernel.draws = kernel.ownDraws;
		const { uid } = task;
		task.uid = 0;
		let { port } = accepted;
		if (port !== 0) task.bind(fd, { family, address, port });
		for (port = 1; S.skc_num[sk] === 0 && port < 1024; port++) {
			if (!evidence.named.has(port)) task.bind(fd, { family, address, port });
		}
		task.uid = uid;
		const listens = task.listen(fd, 4096) === 0;
		kernel.draws = draws;
		return listens;
	}

	/** A socket's descriptor is about to be closed. */
	closing(task: Task, fd: number, line: number): void {
		const name = task.getsockname(fd);
		this.closings.push({ line, pid: task.pid, name: typeof name === "number" ? null : name });
		if (this.closings.length > CLOSINGS) this.closings.shift();
	}

	/**
	 * The recorded number of the descriptor that a call makes; undefined if the model finds the number
	 * itself.
	 */
	recordedFd({ task, recorded }: ModelCall): number | undefined {
		if (recorded === null || recorded < 0 || this.world.knowsDescriptors(task)) return undefined;
		return descriptor(recorded);
	}

	/** dup(), dup2() or dup3(). */
	dup(modelCall: ModelCall): Handled {
		const { task, call, operands, recorded, fd, sock } = modelCall;
		const knows = this.world.knowsDescriptors(task);
		if (sock < 0 && recorded !== null && !knows) {
			if (recorded < 0) return IGNORED;
			if (task.fileOf(fd) === 0) task.openOther(descriptor(recorded));
			else task.installFile(task.fileOf(fd), recorded);
			return IGNORED;
		}
		if (call.name === "dup") return { result: task.dup(fd, this.recordedFd(modelCall)) };
		const newfd = operands.int(1, "a file descriptor");
		// `newfd` is above RLIMIT_NOFILE. Recordings do not show this limit.
		if (recorded === -EBADF && newfd >= 0 && this.world.ownAnswers === null && !knows)
			return IGNORED;
		if (call.name === "dup2") return { result: task.dup2(fd, newfd) };
		return { result: task.dup3(fd, newfd, operands.flags(2)) };
	}

	/** fcntl(): it may duplicate a descriptor, or set O_NONBLOCK. */
	fcntl(task: Task, fd: number, call: CallLine, recorded: number | null): Handled {
		const command = call.args[1]?.value;
		const name = command?.kind === "flags" ? command.names[0] : "";
		if (name === "F_DUPFD" || name === "F_DUPFD_CLOEXEC") {
			if (recorded === null || this.world.knowsDescriptors(task)) {
				const given = call.args[2] !== undefined;
				const from = given ? this.world.operands(call).int(2, "the lowest descriptor") : 0;
				return { result: task.dupfd(fd, from, name === "F_DUPFD_CLOEXEC") };
			}
			if (recorded < 0) return IGNORED;
			const file = task.fileOf(fd);
			if (file === 0) task.openOther(recorded);
			else task.installFile(file, recorded, name === "F_DUPFD_CLOEXEC");
		} else if (name === "F_SETFL" && (recorded === 0 || call.result === null)) {
			const flags = call.args[2]?.value;
			const nonblock = flags?.kind === "flags" && flags.names.includes("O_NONBLOCK");
			if (task.fileOf(fd) === 0 && recorded === null) return { result: -EBADF };
			task.setNonblock(fd, nonblock);
			if (recorded === null) return { result: 0 };
		}
		return IGNORED;
	}

	/** sendmsg() and recvmsg(): passes descriptors in control messages. */
	passed(task: Task, call: CallLine, recorded: number): void {
		const sends = call.name === "sendmsg" || call.name === "sendmmsg";
		const receives = call.name === "recvmsg" || call.name === "recvmmsg";
		if ((!sends && !receives) || recorded < 0) return;
		const { inFlight } = this.world;
		for (const fds of rightsIn(call)) {
			if (sends) {
				const files = fds.map((fd) => task.fileOf(fd));
				for (const file of files) if (file !== 0) task.holdFile(file);
				inFlight.push({ pid: task.pid, files });
				continue;
			}
			const from = inFlight.findIndex(({ files }) => files.length === fds.length);
			if (from === -1) continue;
			const files = inFlight.splice(from, 1)[0]?.files ?? [];
			for (const [i, fd] of fds.entries()) {
				const file = files[i] ?? 0;
				if (file === 0) {
					task.openOther(fd);
					continue;
				}
				task.installFile(file, fd);
				task.dropFile(file);
			}
		}
	}
}

/** Whether a value is the number of a descriptor. */
export const isFd = (item: Value): item is Value & { kind: "int" } =>
	item.kind === "int" && item.value >= 0 && item.value <= 0x7fffffff;

/** The arrays of descriptors in a call's control messages. */
function rightsIn(call: CallLine): number[][] {
	const found: number[][] = [];
	const walk = (value: Value) => {
		if (value.kind === "array") for (const item of value.items) walk(item);
		if (value.kind !== "struct") return;
		const type = value.fields.find(({ name }) => name === "cmsg_type")?.value;
		const data = value.fields.find(({ name }) => name === "cmsg_data")?.value;
		if (type?.kind === "flags" && type.names.includes("SCM_RIGHTS") && data?.kind === "array") {
			found.push(data.items.flatMap((item) => (isFd(item) ? [item.value] : [])));
		}
		for (const { value: inner } of value.fields) walk(inner);
	};
	for (const { value } of call.args) walk(value);
	return found;
}
