// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Evidence: the ports that the recorded kernel chose, by call. A later line shows such a port:
 * getsockname() of the same socket, the client's address from accept() or getpeername(), or the
 * sender's address from recvfrom().
 *
 * Lines are read in the order of acting. Each goes to the method for its role (script/calls.ts).
 * The comment of the method says what lines of this role show. What is known of a socket is in its
 * Life (lives.ts). Two kinds of lines show the port of another socket: accepts (clients.ts) and
 * receives (senders.ts).
 */
import { SHUT_WR } from "../../include/linux/net.js";
import { AF_INET, AF_INET6, SOL_TCP } from "../../include/linux/socket.js";
import { SO_ERROR, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import { TCP_DEFER_ACCEPT } from "../../include/uapi/linux/tcp.js";
import { type Address, isWildcard, unmapped } from "../machine/address.js";
import { isReceive, isRelevant, isSend, systemCall } from "../script/calls.js";
import { fdOf, type Operands } from "../script/operands.js";
import { type CallLine, type ExitLine, ScriptError, type SetupLine } from "../script/strace.js";
import { Clients } from "./clients.js";
import {
	binds,
	breakOff,
	connectsUdp,
	disconnected,
	disconnects,
	type Fds,
	fastOpens,
	kindOf,
	type Life,
	listens,
	mayChoose,
	newLife,
	Processes,
} from "./lives.js";
import type { Programs } from "./programs.js";
import { Senders } from "./senders.js";

/** A port that a call is known to have chosen. */
export interface Revealed {
	port: number;
	/** The socket itself shows the port. Otherwise it is inferred from the order of accepts. */
	exact: boolean;
	/** The order of accepts does not prove the port, because a reuseport group has several queues. */
	likely?: boolean;
}

/** Results of a connect() that a signal interrupts while it sleeps. */
const SLEPT = new Set(["EINTR", "ERESTARTSYS"]);

/** Number of lines between two calls of settle(). */
const SOME = 64;

/** What evidence needs from its recording. */
interface Source {
	/** The pid of the lines without one; null if it is not known. */
	readonly nameless: number | null;
	operands(call: CallLine): Operands;
	sharesFiles(fork: CallLine): boolean;
	readonly programs: Programs;
}

/** A call and the socket that it is about. */
interface SeenCall {
	readonly call: CallLine;
	readonly operands: Operands;
	/** The value that the call returned; null if the line shows none. */
	readonly result: number | null;
	/** The descriptors of the caller. */
	readonly fds: Fds;
	/** The first argument as a descriptor; null if it is none. */
	readonly fd: number | null;
	/** The socket of this descriptor; null if it is not known, or is no internet socket. */
	readonly life: Life | null;
}

/** What later lines of a recording show about the ports of earlier calls. */
export class Evidence {
	/** The port that a call chose, if the recording shows it. */
	readonly chosen = new Map<CallLine, Revealed>();
	/** All ports that lines read so far name. */
	readonly named = new Set<number>();
	/** Ports that recorded processes connect to, except by UDP. */
	readonly connectedTo = new Set<number>();
	/** Number of successful calls that need a connected socket, on sockets without a connect(). */
	unseenConnects = 0;
	/** Number of new sockets so far whose descriptor was that of a socket that no line closed. */
	reused = 0;
	/** The client of each accept(), from the accept() itself or from a later getpeername(). */
	readonly peers = new Map<CallLine, Address>();
	/** The local address of the socket that an accept() made, from getsockname(). */
	readonly locals = new Map<CallLine, Address>();
	/** The local address of a socket after a connect(), from getsockname(). */
	readonly sources = new Map<CallLine, Address>();
	/** Calls that end before this line are not played again. Nothing is kept for them. */
	since = 0;

	/** Number of lines read so far. */
	private added = 0;
	private readonly processes: Processes;
	/** Addresses of this host. */
	private readonly local = new Set<string>();
	private readonly clients = new Clients(this, this.local);
	private readonly senders = new Senders();

	constructor(
		private readonly recording: Source,
		/** How many lines the reader is ahead of the player. */
		private readonly ahead: number,
	) {
		this.processes = new Processes(recording);
	}

	/** Adds the next line, in the order of acting. */
	add(line: CallLine | SetupLine | ExitLine): void {
		this.added++;
		if (line.kind === "setup") this.setup(line);
		else if (line.kind === "exit") this.exit(line);
		else if (this.concerns(line)) this.tolerantly(line);
		if (this.added % SOME === 0) this.settle();
	}

	/** The recording has ended. */
	end(): void {
		this.clients.match(Number.POSITIVE_INFINITY);
	}

	/**
	 * The line of the socket() that made the listener from which a client is accepted, at `line` or
	 * later; null if no line shows it. `address` and `port` are those of the client.
	 */
	takerOf(address: string, port: number, line: number): number | null {
		return this.clients.takerOf(address, port, line)?.socketCall?.line ?? null;
	}

	/** Drops what is known of a call that is not played again. */
	forget(call: CallLine): void {
		const port = this.peers.get(call)?.port;
		if (port !== undefined) this.clients.forget(call, port);
		this.chosen.delete(call);
		this.peers.delete(call);
		this.locals.delete(call);
		this.sources.delete(call);
	}

	/** Whether a call may be played again. */
	counts(call: CallLine): boolean {
		return Math.max(call.line, call.endLine) >= this.since;
	}

	/** The port that a call chose; null if it is not known. */
	portOf(call: CallLine): number | null {
		return this.chosen.get(call)?.port ?? null;
	}

	/** Notes a port that follows from the order of accepts, unless the port is known. */
	infer(call: CallLine, port: number, likely: boolean): void {
		if (!this.chosen.has(call)) this.choose(call, port, false, likely);
	}

	private choose(call: CallLine, port: number, exact: boolean, likely = false): void {
		if (this.counts(call)) this.chosen.set(call, { port, exact, likely });
	}

	/** A line shows the port of a socket. One of its choosing calls chose this port. */
	private show(life: Life, port: number, exact: boolean): void {
		// A listener on a port that the kernel chose.
		if (life.listening && life.port !== port) this.clients.listens(life, port);
		const { chosen } = this;
		for (const call of life.mayHaveChosen) {
			const inferred = life.kind === "udp" && chosen.get(call)?.exact === false;
			if (!chosen.has(call) || inferred) this.choose(call, port, exact);
		}
		life.port = port;
	}

	/** Infers clients of accepts, and drops sockets, that are far enough behind the last line. */
	private settle(): void {
		// A client that shows its port does so soon after its connect(). Half the distance is enough.
		this.clients.match(this.added - this.ahead / 2);
		this.senders.drop(this.added - this.ahead);
	}

	/** A set-up command that adds an address: an address of this host. */
	private setup(line: SetupLine): void {
		const at = line.argv.findIndex((word) => word === "add" || word === "replace");
		if (!/^a/.test(line.argv[at - 1] ?? "")) return;
		for (const word of line.argv.slice(at)) this.local.add(word.replace(/\/.*$/, ""));
	}

	/** The end of a process: it closed its descriptors. */
	private exit(line: ExitLine): void {
		// A line without status and signal is a thread that execve() replaced. Its process goes on.
		if (line.pid === null || (line.status === null && line.signal === null)) return;
		for (const life of this.processes.leave(line.pid)) this.release(life);
	}

	/** Whether a call may show something about ports. Only then are its arguments read. */
	private concerns(line: CallLine): boolean {
		if (!isRelevant(line.name)) return false;
		if (isSend(line.name) || isReceive(line.name)) {
			const fd = fdOf(line);
			const life = fd === null ? null : this.processes.of(line.pid ?? 0).get(fd);
			if (life === null) return false;
			// For a stream only the descriptor matters, so its arguments need not be readable.
			if (life.kind === "tcp") return true;
		}
		return line.name === "close" || !line.opaque;
	}

	/** A recorded line with an argument that cannot be read shows nothing. It is an error if typed. */
	private tolerantly(line: CallLine): void {
		try {
			this.byRole(line);
		} catch (error) {
			if (!(error instanceof ScriptError) || line.result === null) throw error;
		}
	}

	/** Leads a call to the method for its role. Calls of other roles show nothing about ports. */
	private byRole(call: CallLine): void {
		const fds = this.processes.of(call.pid ?? 0);
		const fd = fdOf(call);
		const seen: SeenCall = {
			call,
			operands: this.recording.operands(call),
			result: call.result?.value ?? null,
			fds,
			fd,
			life: fd === null ? null : fds.get(fd),
		};
		const role = systemCall(call.name)?.role;
		if (role === "fork") this.fork(seen);
		else if (role === "socket") this.socket(seen);
		else if (role === "accept") this.accept(seen);
		else if (role === "name") this.name(seen);
		else if (role === "option") this.option(seen);
		else if (role === "send") this.send(seen);
		else if (role === "receive") this.receive(seen);
		else if (role === "close") this.close(seen);
		else if (role === "descriptor") this.duplicate(seen);
	}

	/** A new process: it has the descriptors of its parent. */
	private fork({ call, result }: SeenCall): void {
		if (result === null || result <= 0) return;
		const shares = this.recording.sharesFiles(call);
		for (const life of this.processes.fork(call.pid ?? 0, result, shares)) this.release(life);
	}

	/** A new socket: its descriptor, and the kind that decides which calls choose its port. */
	private socket({ call, operands, result, fds }: SeenCall): void {
		if (result === null || result < 0) return;
		const family = operands.flags(0);
		const internet = family === AF_INET || family === AF_INET6;
		const kind = kindOf(operands.flags(1), operands.flags(2));
		const made = internet ? newLife(kind) : null;
		if (made !== null) made.socketCall = call;
		this.make(fds, result, made);
	}

	/** A new socket. No two have one descriptor, so the one before was closed. */
	private make(fds: Fds, fd: number, made: Life | null): void {
		const before = fds.set(fd, made);
		if (before !== null) this.reused++;
		this.release(before);
	}

	/** A client that was taken from a queue. Its address shows which port it chose. */
	private accept({ call, operands, result, fds, fd, life: known }: SeenCall): void {
		if (result === null || result < 0) return;
		const life = known ?? (fd === null ? null : this.processes.inherited(call.pid ?? 0, fd));
		const child = newLife(life?.kind ?? "tcp");
		this.make(fds, result, child);
		child.acceptCall = call;
		const peer = operands.shownAddress(1);
		if (peer !== null) {
			this.named.add(peer.port);
			this.peers.set(call, peer);
		}
		if (life !== null) child.accepted = this.clients.accepts(call, life, peer, this.added);
	}

	/** Calls about the two addresses of a socket: they choose ports, give them up, or show them. */
	private name(seen: SeenCall): void {
		const { name } = seen.call;
		if (name === "bind") this.bind(seen);
		else if (name === "listen") this.listen(seen);
		else if (name === "connect") this.connect(seen);
		else if (name === "getsockname") this.getsockname(seen);
		else if (name === "getpeername") this.getpeername(seen);
		else if (name === "shutdown") this.shutdown(seen);
	}

	/** The address that the program names. With port 0 the kernel chooses the port here. */
	private bind({ call, operands, life }: SeenCall): void {
		const wanted = operands.shownAddress(1);
		// A script may leave the result out. The call has then succeeded, as far as is known.
		if (life === null || wanted === null || fails(call)) return;
		this.named.add(wanted.port);
		binds(life, call, wanted);
		if (life.address !== null) this.local.add(life.address);
	}

	/** A listener. listen() chooses a port if the socket has none. */
	private listen({ call, life }: SeenCall): void {
		if (life === null || fails(call)) return;
		listens(life, call);
		if (life.port !== null) this.clients.listens(life, life.port);
	}

	/** A port that the kernel may have chosen here, and a client of the listener at the destination. */
	private connect({ call, operands, life }: SeenCall): void {
		if (life === null) return;
		const peer = operands.shownAddress(1);
		if (peer !== null) this.named.add(peer.port);
		life.connect = call;
		if (life.kind === "udp") connectsUdp(life, call, peer);
		else this.connectStream(life, call, peer);
	}

	/**
	 * connect() of a socket other than UDP. A send with MSG_FASTOPEN connects in the same way.
	 */
	private connectStream(life: Life, line: CallLine, peer: Address | null): void {
		if (peer !== null) this.connectedTo.add(peer.port);
		if (disconnects(line, peer)) {
			disconnected(life, line, peer);
			return;
		}
		const succeeded = (line.result?.value ?? -1) >= 0 && line.result?.errno === null;
		const errno = line.result?.errno ?? "";
		// A connect() that a signal interrupted has chosen a port. It may not be in a queue yet.
		const slept = SLEPT.has(errno);
		const begun = succeeded || errno === "EINPROGRESS" || slept;
		if (life.kind === "sctp" && !begun) {
			life.mayHaveChosen.push(line); // SCTP keeps a port that a failed connect() chose
			return;
		}
		// A connect() on a connecting socket only returns the result of the first one.
		if (peer === null || !begun || life.connecting) return;
		mayChoose(life, line);
		life.connecting = true;
		life.brokenOff = false;
		if (!slept) this.clients.connects(life, line, peer);
	}

	/** The port of the socket itself: one of its earlier calls chose it. */
	private getsockname({ operands, result, life }: SeenCall): void {
		const name = operands.shownAddress(1);
		if (life === null || name === null || result !== 0 || name.port === 0) return;
		const { locals, sources } = this;
		this.named.add(name.port);
		if (!isWildcard(name.address)) this.local.add(unmapped(name.address));
		if (life.acceptCall !== null && !locals.has(life.acceptCall) && this.counts(life.acceptCall)) {
			locals.set(life.acceptCall, name);
		}
		for (const call of [...life.mayHaveChosen, ...(life.connect === null ? [] : [life.connect])]) {
			if (!sources.has(call) && this.counts(call)) sources.set(call, name);
		}
		this.show(life, name.port, true);
	}

	/** The client of an earlier accept() that did not show it. */
	private getpeername({ operands, result, life }: SeenCall): void {
		const peer = operands.shownAddress(1);
		if (life === null || result !== 0) return;
		this.needsConnection(life);
		const { accepted, acceptCall } = life;
		if (peer === null || acceptCall === null) return;
		if (accepted !== null && accepted.peer === null) accepted.peer = peer;
		else if (this.peers.has(acceptCall)) return;
		this.named.add(peer.port);
		if (this.counts(acceptCall)) this.peers.set(acceptCall, peer);
	}

	/** The end of a listener or of a connect(), or the FIN of a client. */
	private shutdown({ call, operands, result, life }: SeenCall): void {
		if (life === null || result !== 0) return;
		this.needsConnection(life);
		if (life.asClient !== null) life.asClient.sent ??= call.line;
		// A listener stops only if its receiving side is shut down.
		if (life.listening && operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR") === SHUT_WR) return;
		// shutdown() may have ended a connect(). The next call then chooses again.
		if (life.connecting || life.listening) breakOff(life);
	}

	/** A client that was refused (SO_ERROR), or a listener that waits for data (TCP_DEFER_ACCEPT). */
	private option({ call, operands, result, life }: SeenCall): void {
		if (life === null || result !== 0) return;
		if (call.name === "setsockopt") {
			if (operands.flags(1) === SOL_TCP && operands.flags(2) === TCP_DEFER_ACCEPT) {
				life.defers = true;
			}
		} else if (life.asClient !== null) {
			const error = operands.flags(1) === SOL_SOCKET && operands.flags(2) === SO_ERROR;
			if (error && operands.returned(3, 4)?.some((byte) => byte !== 0))
				life.asClient.refused = true;
		}
	}

	/**
	 * First data of a client, a port that a socket other than TCP may have chosen here, and the ports
	 * that datagrams go to.
	 */
	private send({ call, operands, result, life }: SeenCall): void {
		if (life === null) return;
		if (life.kind === "tcp" && fastOpens(life, call)) {
			const peer = operands.messages()?.messages[0]?.to?.address ?? null;
			if (peer !== null) this.named.add(peer.port);
			life.connect = call;
			this.connectStream(life, call, peer);
		}
		if (life.asClient !== null) life.asClient.sent ??= call.line;
		if (result !== null && result > 0) this.needsConnection(life);
		if (life.kind === "tcp") return;
		if (life.port === null && !life.chose) {
			mayChoose(life, call);
			life.brokenOff = false;
			life.chose = life.kind === "udp" && result !== null && result >= 0;
		}
		const data = operands.data();
		for (const [index, { to }] of (operands.messages()?.messages ?? []).entries()) {
			const port = to === null ? life.peer : (to.address?.port ?? null);
			if (port === null) continue;
			this.named.add(port);
			this.senders.sends(life, port, data[index] ?? null);
		}
	}

	/** The sender of a datagram: an earlier call of this socket chose its port. */
	private receive({ call, operands, result, life }: SeenCall): void {
		if (life === null) return;
		if (life.kind !== "udp") this.recording.programs.receives(call.pid ?? 0);
		if (result !== null && result > 0) this.needsConnection(life);
		if (life.kind !== "udp" || result === null || result < 0) return;
		const senders = operands.shownSenders();
		const data = operands.data();
		for (const [index, { port }] of senders.entries()) {
			this.named.add(port);
			// Some of several messages may show no sender.
			const text = data.length === senders.length ? (data[index] ?? null) : null;
			const sender = this.senders.shownBy(life, port, text);
			if (sender !== null) this.show(sender, port, false);
		}
	}

	/** The end of a descriptor, or the FIN of a client. */
	private close({ call, fds, fd, life }: SeenCall): void {
		// The close is of an older socket. This one got the same number during the close.
		if (life?.socketCall && overlaps(life.socketCall, call)) return;
		if (life?.asClient) life.asClient.sent ??= call.line;
		if (fd !== null) this.release(fds.delete(fd));
	}

	/** Another descriptor of the same socket. */
	private duplicate({ call, result, fds, life }: SeenCall): void {
		if (result === null || result < 0) return;
		if (call.name === "fcntl") {
			const command = call.args[1]?.value;
			if (command?.kind !== "flags" || !/^F_DUPFD/.test(command.names[0] ?? "")) return;
		}
		this.release(fds.set(result, life));
	}

	/** A descriptor of a socket was closed. If it was the last one, drops the socket. */
	private release(life: Life | null): void {
		if (life === null || life.open > 0) return;
		this.clients.closes(life);
		this.senders.closes(life, this.added);
	}

	/** Notes a call that succeeds only on a connected socket. */
	private needsConnection(life: Life): void {
		if (life.kind !== "tcp" || life.acceptCall !== null || life.listening) return;
		if (life.connect === null) this.unseenConnects++;
	}
}

/** Whether a call begins before another one and returns after that one has begun. */
function overlaps(earlier: CallLine, later: CallLine): boolean {
	return earlier.line < later.line && earlier.endLine > later.line;
}

/** Whether a call failed, or did not return, as far as its line shows. */
function fails({ result }: CallLine): boolean {
	return result !== null && result.value !== 0;
}
