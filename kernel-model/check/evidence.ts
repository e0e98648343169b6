// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Evidence: the ports that the recorded kernel chose, by call. A later line shows such a port:
 * getsockname() of the same socket, the client's address from accept() or getpeername(), or the
 * sender's address from recvfrom().
 */
import {
	SHUT_WR,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_SEQPACKET,
	SOCK_TYPE_MASK,
} from "../../include/linux/net.js";
import { AF_INET, AF_INET6, SOL_TCP } from "../../include/linux/socket.js";
import { SO_ERROR, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import { TCP_DEFER_ACCEPT } from "../../include/uapi/linux/tcp.js";
import { type Address, isLoopback, isWildcard, unmapped } from "../machine/address.js";
import { nth } from "../machine/nth.js";
import { isFork, isReceive, isRelevant, isSend } from "../script/calls.js";
import { fdOf, type Operands } from "../script/operands.js";
import type { CallLine, ExitLine, SetupLine } from "../script/strace.js";
import { addTo, removeFrom } from "./lists.js";
import type { Programs } from "./programs.js";

/** A port that a call is known to have chosen. */
export interface Revealed {
	port: number;
	/** The socket itself shows the port. Otherwise it is inferred from the order of accepts. */
	exact: boolean;
	/** The order of accepts does not prove the port, because a reuseport group has several queues. */
	likely?: boolean;
}

/**
 * How a socket gets its port and gives it up. TCP and MPTCP: connect() searches, and a failed
 * connect() releases the port. UDP: the first connect() or send searches, even if it fails. DCCP:
 * as TCP, but a send also searches. SCTP: as UDP, but the socket keeps its port.
 */
type Kind = "tcp" | "udp" | "dccp" | "sctp";

function kindOf(type: number, protocol: number): Kind {
	const kind = type & SOCK_TYPE_MASK;
	if (protocol === IPPROTO_SCTP || kind === SOCK_SEQPACKET) return "sctp";
	if (kind === SOCK_DCCP) return "dccp";
	const ping = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
	return kind === SOCK_DGRAM && !ping ? "udp" : "tcp";
}

/** What is known of one socket and its port. */
interface Life {
	kind: Kind;
	/** Calls since the socket last had no port. Each may have chosen the port. */
	choosing: CallLine[];
	/** The last of these calls chose the port. */
	chose: boolean;
	/** The port, once it is known. */
	port: number | null;
	/** The address that bind() named; null for none or for the wildcard. */
	address: string | null;
	/** The socket listens. */
	listening: boolean;
	/** TCP_DEFER_ACCEPT: a client is queued when its first data or its FIN arrives. */
	defers: boolean;
	/** A connect() has begun. The next connect() only returns the result of this one. */
	connecting: boolean;
	/** The last connect(). */
	connect: CallLine | null;
	/** The last connect() or listen() may have been undone. The port is then given up. */
	brokenOff: boolean;
	/** bind() named the port. A disconnect does not release such a port. */
	locked: boolean;
	/** The port that a UDP socket is connected to. */
	peer: number | null;
	/** The socket as a client that may wait in an accept queue. */
	waits: Waiting | null;
	/** The accept() that made the socket, if its listener is known. */
	accepted: Accepted | null;
	/** The socket() that made the socket. */
	opened: CallLine | null;
	/** The accept() that made the socket. */
	madeBy: CallLine | null;
	/** Number of open descriptors of the socket. */
	open: number;
	/** A listener's possible clients, in the order of their connects. */
	clients: Waiting[];
	/** The ports that a UDP socket sent to. */
	sentTo: Set<number>;
}

/** A client of a listener of this host. */
interface Waiting {
	life: Life;
	/** Calls that may have chosen the client's port. */
	choosing: readonly CallLine[];
	/** The client's connect() and its destination. */
	connect: CallLine;
	to: string;
	/** The address that bind() named; null for none or for the wildcard. */
	from: string | null;
	/** The client's port, if it was known before the connect(). */
	port: number | null;
	/** The line that sends the client's first data or its FIN. */
	sent: number | null;
	refused: boolean;
	taken: boolean;
}

/** An accept() that took a client. */
interface Accepted {
	call: CallLine;
	listener: Life;
	/** The listeners of its port when it returned: the members of a reuseport group. */
	group: readonly Life[];
	/** The address of the client; null while it is not known. */
	peer: Address | null;
}

function newLife(kind: Kind): Life {
	return {
		kind,
		choosing: [],
		chose: false,
		port: null,
		address: null,
		listening: false,
		defers: false,
		connecting: false,
		connect: null,
		brokenOff: false,
		locked: false,
		peer: null,
		waits: null,
		accepted: null,
		opened: null,
		madeBy: null,
		open: 0,
		clients: [],
		sentTo: new Set(),
	};
}

/**
 * A TCP socket was disconnected. It gave up its port unless bind() named this port. getsockname()
 * still shows the old port. The next call chooses again.
 */
function breakOff(life: Life): void {
	life.connecting = false;
	life.brokenOff = true;
	life.listening = false;
	if (!life.locked) life.port = null;
}

/** Errors of connect() after which a port that bind() did not name is given up. */
const RELEASES = new Set([
	"EADDRNOTAVAIL",
	"EBADRQC",
	"ECONNABORTED",
	"ECONNREFUSED",
	"ECONNRESET",
	"ENOMSG",
	"EPIPE",
	"ETIMEDOUT",
	"EUSERS",
]);

/** Results of a connect() that a signal interrupts while it sleeps. */
const SLEPT = new Set(["EINTR", "ERESTARTSYS"]);

/** The errors in RELEASES that connect() returns after it chose a port. */
const REFUSALS = new Set([
	"EBADRQC",
	"ECONNREFUSED",
	"ECONNRESET",
	"ENOMSG",
	"ETIMEDOUT",
	"EUSERS",
]);

/** The descriptors of one process, or of several processes that share them. */
class Fds {
	private readonly lives: Map<number, Life | null>;
	/** Number of processes that share them, without the first. */
	sharers = 0;

	constructor(from: Fds | null = null) {
		this.lives = new Map(from?.lives ?? []);
		for (const life of this.lives.values()) if (life !== null) life.open++;
	}

	get(fd: number): Life | null | undefined {
		return this.lives.get(fd);
	}

	/**
	 * Sets the socket of a descriptor; null for a file that is no internet socket. Returns the socket
	 * that it was before.
	 */
	set(fd: number, life: Life | null): Life | null {
		const before = this.lives.get(fd) ?? null;
		if (life !== null) life.open++;
		this.lives.set(fd, life);
		if (before !== null) before.open--;
		return before;
	}

	/** Removes a descriptor. Returns the socket that it was; null for none. */
	delete(fd: number): Life | null {
		const before = this.lives.get(fd) ?? null;
		this.lives.delete(fd);
		if (before !== null) before.open--;
		return before;
	}

	/** Closes all descriptors. Returns their sockets. */
	clear(): Life[] {
		const lives: Life[] = [];
		for (const life of this.lives.values()) {
			if (life === null) continue;
			life.open--;
			lives.push(life);
		}
		this.lives.clear();
		return lives;
	}
}

/** Ports of clients that connect soon after each other differ by less. */
const NEAR = 4096;

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
	/** The client of each accept(), from the accept() itself or from a later getpeername(). */
	readonly peers = new Map<CallLine, Address>();
	/** The accepts that returned a client with this port, the earliest first. */
	private readonly takers = new Map<number, { call: CallLine; listener: Life }[]>();
	/** The local address of the socket that an accept() made, from getsockname(). */
	readonly locals = new Map<CallLine, Address>();
	/** The local address of a socket after a connect(), from getsockname(). */
	readonly sources = new Map<CallLine, Address>();
	/** Calls that end before this line are not played again. Nothing is kept for them. */
	since = 0;

	private readonly processes = new Map<number, Fds>();
	/** Accepts whose clients infer() has not looked at, each with the number of lines before it. */
	private readonly accepts: (Accepted & { at: number })[] = [];
	private added = 0;
	private readonly listeners = new Map<number, Life[]>();
	/** Addresses of this host. */
	private readonly local = new Set<string>();
	/** UDP sockets by the ports that they sent to. */
	private readonly senders = new Map<number, Set<Life>>();
	/** Closed UDP sockets, each with the number of lines before its close. */
	private readonly closed: { life: Life; at: number }[] = [];

	constructor(
		private readonly recording: Source,
		/** How many lines the reader is ahead of the player. */
		private readonly ahead: number,
	) {}

	/** Adds the next line, in the order of acting. */
	add(line: CallLine | SetupLine | ExitLine): void {
		this.added++;
		if (line.kind === "setup") this.setup(line);
		else if (line.kind === "exit") this.exit(line);
		else if (this.concerns(line)) this.call(line);
		if (this.added % SOME === 0) this.settle();
	}

	/** Whether a call may show something about ports. Only then are its arguments read. */
	private concerns(line: CallLine): boolean {
		if (!isRelevant(line.name)) return false;
		if (isSend(line.name) || isReceive(line.name)) {
			const fd = fdOf(line);
			const life = fd === null ? undefined : this.fdsOf(line.pid ?? 0).get(fd);
			if (!life) return false;
			// For a stream only the descriptor matters, so its arguments need not be readable.
			if (life.kind === "tcp") return true;
		}
		return line.name === "close" || !line.opaque;
	}

	/** Infers clients of accepts, and drops sockets, that are far enough behind the last line. */
	private settle(): void {
		// A client that shows its port does so soon after its connect(). Half the distance is enough.
		this.infer(this.added - this.ahead / 2);
		const { closed } = this;
		let old = 0;
		while (old < closed.length && nth(closed, old).at <= this.added - this.ahead) {
			const { life } = nth(closed, old++);
			if (life.open > 0) continue;
			for (const port of life.sentTo) {
				const lives = this.senders.get(port);
				lives?.delete(life);
				if (lives?.size === 0) this.senders.delete(port);
			}
		}
		if (old > 0) closed.splice(0, old);
	}

	/** The recording has ended. */
	end(): void {
		this.infer(Number.POSITIVE_INFINITY);
	}

	/**
	 * The line of the socket() that made the listener from which a client is accepted, at `line` or
	 * later; null if no line shows it. `address` and `port` are those of the client.
	 */
	takerOf(address: string, port: number, line: number): number | null {
		const takers = this.takers.get(port);
		const taker = takers?.find(
			({ call }) =>
				Math.max(call.line, call.endLine) >= line &&
				unmapped(this.peers.get(call)?.address ?? "") === address,
		);
		return taker?.listener.opened?.line ?? null;
	}

	/** Drops what is known of a call that is not played again. */
	forget(call: CallLine): void {
		const port = this.peers.get(call)?.port;
		const takers = port === undefined ? undefined : this.takers.get(port);
		if (port !== undefined && takers !== undefined) {
			const rest = takers.filter((taker) => taker.call !== call);
			if (rest.length > 0) this.takers.set(port, rest);
			else this.takers.delete(port);
		}
		this.chosen.delete(call);
		this.peers.delete(call);
		this.locals.delete(call);
		this.sources.delete(call);
	}

	private counts(call: CallLine): boolean {
		return Math.max(call.line, call.endLine) >= this.since;
	}

	private fdsOf(pid: number): Fds {
		let fds = this.processes.get(pid);
		if (fds === undefined) {
			const nameless = pid === this.recording.nameless ? this.processes.get(0) : undefined;
			fds = nameless ?? new Fds();
			this.processes.set(pid, fds);
		}
		return fds;
	}

	private fork(line: CallLine, child: number): void {
		const parent = this.fdsOf(line.pid ?? 0);
		// If the pid was used before, the older process is gone.
		this.leave(child);
		if (this.recording.sharesFiles(line)) {
			parent.sharers++;
			this.processes.set(child, parent);
		} else this.processes.set(child, new Fds(parent));
	}

	private leave(pid: number): void {
		const fds = this.processes.get(pid);
		if (fds === undefined) return;
		this.processes.delete(pid);
		if (fds.sharers-- > 0) return;
		for (const life of fds.clear()) this.release(life);
	}

	private exit(line: ExitLine): void {
		// A line without status and signal is a thread that execve() replaced. Its process goes on.
		if (line.pid !== null && (line.status !== null || line.signal !== null)) this.leave(line.pid);
	}

	/** A descriptor of a socket was closed. If it was the last one, drops the socket. */
	private release(life: Life | null): void {
		if (life === null || life.open > 0) return;
		if (life.port !== null) removeFrom(this.listeners, life.port, life);
		if (life.sentTo.size > 0) this.closed.push({ life, at: this.added });
	}

	private listens(life: Life, port: number): void {
		this.listeners.set(port, [...(this.listeners.get(port) ?? []).slice(-64), life]);
	}

	private choose(call: CallLine, port: number, exact: boolean, likely = false): void {
		if (this.counts(call)) this.chosen.set(call, { port, exact, likely });
	}

	private show(life: Life, port: number, exact: boolean): void {
		// A listener on a port that the kernel chose.
		if (life.listening && life.port !== port) this.listens(life, port);
		const { chosen } = this;
		for (const call of life.choosing) {
			const inferred = life.kind === "udp" && chosen.get(call)?.exact === false;
			if (!chosen.has(call) || inferred) this.choose(call, port, exact);
		}
		life.port = port;
	}

	/** Notes a call that succeeds only on a connected socket. */
	private needsConnection(life: Life | null | undefined): void {
		if (life?.kind !== "tcp" || life.madeBy !== null || life.listening) return;
		if (life.connect === null) this.unseenConnects++;
	}

	/**
	 * A datagram arrived from a port. If exactly one of the possible senders has no known port, this
	 * port belongs to it.
	 */
	private receive(life: Life, from: number): void {
		const lives = life.port === null ? undefined : this.senders.get(life.port);
		if (lives === undefined) return;
		const unknown: Life[] = [];
		for (const sender of lives) {
			if (sender.port === from) return;
			if (sender.port === null) unknown.push(sender);
		}
		if (unknown.length === 1) this.show(nth(unknown, 0), from, false);
	}

	/** The listeners that may accept a connection to an address. */
	private listenersAt({ address, port }: Address): Life[] {
		const mapped = unmapped(address);
		if (!isLoopback(mapped) && !isWildcard(mapped) && !this.local.has(mapped)) return [];
		return (this.listeners.get(port) ?? []).filter(
			(life) =>
				life.listening && life.port === port && (life.address === null || life.address === mapped),
		);
	}

	private setup(line: SetupLine): void {
		const at = line.argv.findIndex((word) => word === "add" || word === "replace");
		if (!/^a/.test(line.argv[at - 1] ?? "")) return;
		for (const word of line.argv.slice(at)) this.local.add(word.replace(/\/.*$/, ""));
	}

	private call(line: CallLine): void {
		const { named, peers, sources, local, senders } = this;
		const fds = this.fdsOf(line.pid ?? 0);
		const result = line.result?.value ?? null;
		if (isFork(line.name)) {
			if (result !== null && result > 0) this.fork(line, result);
			return;
		}
		const operands = this.recording.operands(line);
		const fd = fdOf(line);
		const life = fd === null ? undefined : fds.get(fd);
		const address = (index: number) => operands.shownAddress(index);
		switch (line.name) {
			case "socket": {
				if (result === null || result < 0) break;
				const family = operands.flags(0);
				const internet = family === AF_INET || family === AF_INET6;
				const kind = kindOf(operands.flags(1), operands.flags(2));
				const made = internet ? newLife(kind) : null;
				if (made !== null) made.opened = line;
				this.release(fds.set(result, made));
				break;
			}
			case "accept":
			case "accept4": {
				if (result === null || result < 0) break;
				const child = newLife(life?.kind ?? "tcp");
				this.release(fds.set(result, child));
				child.madeBy = line;
				const peer = address(1);
				if (peer !== null) {
					named.add(peer.port);
					peers.set(line, peer);
				}
				if (!life) break;
				const group = this.listeners.get(life.port ?? 0) ?? [];
				const accepted = { call: line, listener: life, group, peer, at: this.added };
				child.accepted = accepted;
				this.accepts.push(accepted);
				if (peer !== null) addTo(this.takers, peer.port, { call: line, listener: life });
				break;
			}
			case "getpeername": {
				const peer = address(1);
				const accepted = life?.accepted ?? null;
				const madeBy = life?.madeBy ?? null;
				if (result === 0) this.needsConnection(life);
				if (peer === null || madeBy === null || result !== 0) break;
				if (accepted !== null && accepted.peer === null) accepted.peer = peer;
				else if (peers.has(madeBy)) break;
				named.add(peer.port);
				if (this.counts(madeBy)) peers.set(madeBy, peer);
				break;
			}
			case "bind": {
				const wanted = address(1);
				// A script may leave the result out. The call has then succeeded, as far as is known.
				if (life === undefined || life === null || wanted === null || fails(line)) break;
				named.add(wanted.port);
				life.address = isWildcard(wanted.address) ? null : unmapped(wanted.address);
				if (life.address !== null) local.add(life.address);
				// bind() succeeds only on a socket without a port. A port chosen earlier was given up.
				life.choosing = wanted.port === 0 ? [line] : [];
				life.connecting = false;
				life.brokenOff = false;
				life.chose = false;
				if (wanted.port !== 0 || life.kind === "udp") life.port = wanted.port || null;
				life.locked = wanted.port !== 0;
				break;
			}
			case "listen":
				if (!life || fails(line)) break;
				// The known port may be one that was given up, because getsockname() still shows it.
				life.choosing = life.connecting || life.brokenOff ? [line] : [...life.choosing, line];
				life.connecting = false;
				life.brokenOff = false;
				life.listening = true;
				if (life.port !== null) this.listens(life, life.port);
				break;
			case "connect": {
				if (life === undefined || life === null) break;
				const peer = address(1);
				if (peer !== null) named.add(peer.port);
				life.connect = line;
				if (life.kind !== "udp") this.connect(life, line, peer);
				else if (peer?.family !== "AF_UNSPEC") {
					// UDP chooses its port before the family of the address is checked.
					if (life.port === null) life.choosing.push(line);
					if (peer !== null && result === 0) life.peer = peer.port;
				} else if (result === 0) {
					life.peer = null;
					if (!life.locked) {
						const { open, sentTo } = life;
						Object.assign(life, newLife(life.kind), { open, sentTo });
					}
				}
				break;
			}
			case "getsockopt": {
				if (!life?.waits || result !== 0) break;
				const error = operands.flags(1) === SOL_SOCKET && operands.flags(2) === SO_ERROR;
				if (error && operands.returned(3, 4)?.some((byte) => byte !== 0)) {
					life.waits.refused = true;
				}
				break;
			}
			case "getsockname": {
				const name = address(1);
				if (!life || name === null || result !== 0 || name.port === 0) break;
				named.add(name.port);
				if (!isWildcard(name.address)) local.add(unmapped(name.address));
				if (life.madeBy !== null && !this.locals.has(life.madeBy) && this.counts(life.madeBy)) {
					this.locals.set(life.madeBy, name);
				}
				for (const call of [...life.choosing, ...(life.connect === null ? [] : [life.connect])]) {
					if (!sources.has(call) && this.counts(call)) sources.set(call, name);
				}
				this.show(life, name.port, true);
				break;
			}
			case "send":
			case "sendto":
			case "sendmsg":
			case "sendmmsg":
			case "write":
			case "writev": {
				if (life?.kind === "tcp" && fastOpens(life, line)) {
					const peer = operands.messages()?.messages[0]?.to?.address ?? null;
					if (peer !== null) named.add(peer.port);
					life.connect = line;
					this.connect(life, line, peer);
				}
				if (life?.waits) life.waits.sent ??= line.line;
				if (!life || life.kind === "tcp") break;
				if (life.port === null && !life.chose) {
					life.choosing = life.brokenOff ? [line] : [...life.choosing, line];
					life.brokenOff = false;
					life.chose = life.kind === "udp" && result !== null && result >= 0;
				}
				for (const { to } of operands.messages()?.messages ?? []) {
					const port = to === null ? life.peer : (to.address?.port ?? null);
					if (port === null) continue;
					named.add(port);
					const lives = senders.get(port);
					if (lives === undefined) senders.set(port, new Set([life]));
					else lives.add(life);
					life.sentTo.add(port);
				}
				break;
			}
			case "recv":
			case "read":
			case "readv":
			case "recvfrom":
			case "recvmsg":
			case "recvmmsg":
				if (life && life.kind !== "udp") this.recording.programs.receives(line.pid ?? 0);
				if (life?.kind !== "udp" || result === null || result < 0) break;
				for (const { port } of operands.shownSenders()) {
					named.add(port);
					this.receive(life, port);
				}
				break;
			case "setsockopt":
				if (!life || result !== 0) break;
				if (operands.flags(1) === SOL_TCP && operands.flags(2) === TCP_DEFER_ACCEPT) {
					life.defers = true;
				}
				break;
			case "shutdown":
				if (!life || result !== 0) break;
				this.needsConnection(life);
				if (life.waits) life.waits.sent ??= line.line;
				// A listener stops only if its receiving side is shut down.
				if (life.listening && operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR") === SHUT_WR) break;
				// shutdown() may have ended a connect(). The next call then chooses again.
				if (life.connecting || life.listening) breakOff(life);
				break;
			case "close":
				// The close is of an older socket. This one got the same number during the close.
				if (life?.opened && overlaps(life.opened, line)) break;
				if (life?.waits) life.waits.sent ??= line.line;
				if (fd !== null) this.release(fds.delete(fd));
				break;
			case "dup":
			case "dup2":
			case "dup3":
				if (result !== null && result >= 0) this.release(fds.set(result, life ?? null));
				break;
			case "fcntl": {
				const command = line.args[1]?.value;
				const copies = command?.kind === "flags" && /^F_DUPFD/.test(command.names[0] ?? "");
				if (copies && result !== null && result >= 0) this.release(fds.set(result, life ?? null));
				break;
			}
			default:
				break;
		}
	}

	/**
	 * connect() of a socket other than UDP. A send with MSG_FASTOPEN connects in the same way.
	 */
	private connect(life: Life, line: CallLine, peer: Address | null): void {
		const succeeded = (line.result?.value ?? -1) >= 0 && line.result?.errno === null;
		const errno = line.result?.errno ?? "";
		if (peer !== null) this.connectedTo.add(peer.port);
		// A connect() that a signal interrupted has chosen a port. It may not be in a queue yet.
		const slept = SLEPT.has(errno);
		const begun = succeeded || errno === "EINPROGRESS" || slept;
		// These errors end the attempt, whatever address the call names.
		if (peer?.family === "AF_UNSPEC" || RELEASES.has(errno)) {
			if (life.waits !== null && REFUSALS.has(errno)) life.waits.refused = true;
			if (life.kind === "sctp") {
				life.choosing.push(line);
				return;
			}
			const failed = RELEASES.has(errno);
			if (!failed && !succeeded) return;
			if (peer !== null && !life.connecting && REFUSALS.has(errno)) {
				life.choosing = life.brokenOff ? [line] : [...life.choosing, line];
			}
			// A socket in TCP_CLOSE is not disconnected. It keeps a port that bind() chose.
			const connected = life.connecting || life.accepted !== null;
			if (failed || connected || life.listening) breakOff(life);
			life.waits = null;
			life.accepted = null;
			return;
		}
		if (life.kind === "sctp" && !begun) {
			life.choosing.push(line); // SCTP keeps a port that a failed connect() chose
			return;
		}
		// A connect() on a connecting socket only returns the result of the first one.
		if (peer === null || !begun || life.connecting) return;
		life.choosing = life.brokenOff ? [line] : [...life.choosing, line];
		life.connecting = true;
		life.brokenOff = false;
		if (slept) return;
		const served = this.listenersAt(peer);
		if (served.length === 0) return;
		life.waits = {
			life,
			choosing: life.choosing,
			connect: line,
			to: peer.address,
			from: life.address,
			port: life.port,
			sent: null,
			refused: false,
			taken: false,
		};
		for (const { clients } of served) {
			// accept() may not be recorded.
			if (clients.length % SOME === SOME - 1) {
				const first = clients.findIndex((client) => this.counts(client.connect));
				clients.splice(0, first < 0 ? clients.length : first);
			}
			clients.push(life.waits);
		}
	}

	/**
	 * Infers the ports of clients from the addresses that accept() returns. The clients of a listener
	 * are taken in the order of their connects. A client whose own port is known is not taken for
	 * another port. Looks at accepts with at most `until` lines before them.
	 */
	private infer(until: number): void {
		const { accepts, chosen } = this;
		let done = 0;
		for (; done < accepts.length && nth(accepts, done).at <= until; done++) {
			const { call, listener, group, peer } = nth(accepts, done);
			const queue = listener.clients;
			const gone = queue.findIndex(({ taken, refused, connect }) => {
				return !taken && !refused && this.counts(connect);
			});
			queue.splice(0, gone < 0 ? queue.length : gone);
			let found: Waiting | null = null;
			let looked = 0;
			let lower = this.lowerPorts(done);
			for (const client of queue) {
				if (client.connect.line >= call.endLine) break;
				if (client.taken || client.refused || !this.counts(client.connect)) continue;
				if (comesAfter(client, call) || !mayCome(client, peer)) continue;
				looked++;
				const port = this.portOf(client);
				if (peer !== null && port !== null && port !== peer.port) continue;
				if (peer !== null && port === peer.port) {
					found = client;
					break;
				}
				if (found === null || comesBefore(client, found, listener.defers, call.endLine)) {
					found = client;
				} else if (port === null && lower > 0) {
					found = client;
					lower--;
				}
				// A later client may be known to have this port.
				if (peer === null || looked > 256) break;
			}
			if (found === null) continue;
			found.taken = true;
			if (peer === null || this.portOf(found) !== null) continue;
			for (const choosing of found.choosing) {
				if (!chosen.has(choosing)) this.choose(choosing, peer.port, false, group.length > 1);
			}
		}
		if (done > 0) accepts.splice(0, done);
	}

	/**
	 * A reuseport group has a queue for each member. So its clients are not taken in the order of
	 * their connects, but the ports of clients that connect one after the other ascend. Counts the
	 * clients of later accepts of the group that have a lower port than the client of an accept. A
	 * client that shows its port itself does not count.
	 */
	private lowerPorts(index: number): number {
		const { listener, group, peer } = nth(this.accepts, index);
		if (peer === null || group.length < 2) return 0;
		const known = new Set<number | null>();
		for (const client of listener.clients) if (!client.taken) known.add(this.portOf(client));
		const lower = new Set<number>();
		for (const later of this.accepts.slice(index + 1, index + 1 + SOME)) {
			if (later.peer?.address !== peer.address || !group.includes(later.listener)) continue;
			const distance = peer.port - later.peer.port;
			if (distance > 0 && distance < NEAR && !known.has(later.peer.port))
				lower.add(later.peer.port);
		}
		return lower.size;
	}

	private portOf({ choosing, port }: Waiting): number | null {
		if (port !== null) return port;
		for (const call of choosing) {
			const shown = this.chosen.get(call);
			if (shown !== undefined) return shown.port;
		}
		return null;
	}
}

/** Whether a send connects a socket. Looks at the text only if the socket has not connected. */
function fastOpens(life: Life, { text }: CallLine): boolean {
	return !life.connecting && life.madeBy === null && text.includes("MSG_FASTOPEN");
}

/** Whether a call begins before another one and returns after that one has begun. */
function overlaps(earlier: CallLine, later: CallLine): boolean {
	return earlier.line < later.line && earlier.endLine > later.line;
}

/** A little less than the time after which a dropped SYN is sent again, in seconds. */
const SYN_AGAIN = 0.9;

/**
 * The line at which a client enters the accept queue. This is where its connect() begins. If the
 * connect() slept so long that its SYN was sent again, it is where the connect() ends.
 */
function arrives({ connect }: Waiting): number {
	const { time, endTime, line, endLine, result } = connect;
	const again = time !== null && endTime !== null && endTime - time > SYN_AGAIN;
	return again && result?.errno === null ? endLine : line;
}

/** How late strace may print the end of a call, in seconds. */
const TOLD_LATE = 0.1;

/** Whether a client enters the queue clearly after an accept() has returned. */
function comesAfter(client: Waiting, accept: CallLine): boolean {
	const { line, endTime } = client.connect;
	if (arrives(client) === line || endTime === null) return false;
	return endTime - TOLD_LATE > (accept.endTime ?? accept.time ?? endTime);
}

/** Whether client `a` enters the queue before client `b`. Data sent after line `by` is ignored. */
function comesBefore(a: Waiting, b: Waiting, defers: boolean, by: number): boolean {
	const sent = (client: Waiting) => {
		const at = defers ? client.sent : null;
		return at !== null && at < by ? at : Number.POSITIVE_INFINITY;
	};
	const [first, second] = [sent(a), sent(b)];
	return first === second ? arrives(a) < arrives(b) : first < second;
}

/**
 * Whether the address that accept() returns can be a client's. It must be the address that the
 * client is bound to, or have the family of the client's destination.
 */
function mayCome({ from, to }: Waiting, peer: Address | null): boolean {
	if (peer === null) return true;
	const shown = unmapped(peer.address);
	return from === null ? shown.includes(":") === unmapped(to).includes(":") : from === shown;
}

/** Whether a call failed, or did not return, as far as its line shows. */
function fails({ result }: CallLine): boolean {
	return result !== null && result.value !== 0;
}
