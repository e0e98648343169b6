// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Evidence: which port a recorded kernel chose, and for which call. A recording shows it
 * later, in getsockname() of the same socket, in the address that accept() or getpeername()
 * reports of a client, or in the address that recvfrom() reports of a sender.
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
import { removeFrom } from "./lists.js";

/** A port that a call is known to have chosen. */
export interface Revealed {
	port: number;
	/** Seen on the very socket, not inferred from the order in which a listener accepted. */
	exact: boolean;
}

/**
 * How a socket comes to its port and gives it up. Of TCP's kind is MPTCP: connect() searches,
 * and a failed one releases. UDP chooses at the first connect() or send, whether that fails
 * or not, as bind() does. DCCP does as TCP, but a send chooses as well; SCTP as UDP, but it
 * keeps the port.
 */
type Kind = "tcp" | "udp" | "dccp" | "sctp";

function kindOf(type: number, protocol: number): Kind {
	const kind = type & SOCK_TYPE_MASK;
	if (protocol === IPPROTO_SCTP || kind === SOCK_SEQPACKET) return "sctp";
	if (kind === SOCK_DCCP) return "dccp";
	const ping = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
	return kind === SOCK_DGRAM && !ping ? "udp" : "tcp";
}

/** One socket's life, as far as ports go. */
interface Life {
	kind: Kind;
	/** Calls since the socket last had no port, any of which may have chosen it. */
	choosing: CallLine[];
	/** The last of them did. */
	chose: boolean;
	/** The port, once it is known. */
	port: number | null;
	/** The address that bind() named; null for none, or the wildcard. */
	address: string | null;
	/** It listens. */
	listening: boolean;
	/** TCP_DEFER_ACCEPT: a client comes with its first data, or its FIN. */
	defers: boolean;
	/** A connect() has begun; the next one only asks how it went. */
	connecting: boolean;
	/** The last connect() that gave it an address. */
	connect: CallLine | null;
	/** The last connect() or listen() may have been ended, and the port with it. */
	brokenOff: boolean;
	/** bind() named the port, which the socket keeps when it is disconnected. */
	locked: boolean;
	/** The port that a UDP socket is connected to. */
	peer: number | null;
	/** Of a client that may wait to be accepted. */
	waits: Waiting | null;
	/** Of a socket that accept() made. */
	accepted: Accepted | null;
	/** The socket() that made it. */
	opened: CallLine | null;
	/** The accept() that made it. */
	madeBy: CallLine | null;
	/** Descriptors that it is open by. */
	open: number;
	/** Of a listener: clients that it may get, in the order of their connects. */
	clients: Waiting[];
	/** Of UDP: ports that it sent to. */
	sentTo: Set<number>;
}

/** A client of a listener of this host. */
interface Waiting {
	life: Life;
	/** Calls that may have chosen its port. */
	choosing: readonly CallLine[];
	/** Its connect(), and the address that it named. */
	connect: CallLine;
	to: string;
	/** The address that bind() named; null for none, or the wildcard. */
	from: string | null;
	/** Its port, where that was known before. */
	port: number | null;
	/** The line of its first data, or of its end. */
	sent: number | null;
	refused: boolean;
	taken: boolean;
}

/** An accept() that took a client. */
interface Accepted {
	call: CallLine;
	listener: Life;
	/** Whom it took, once that is known. */
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
 * A TCP socket was disconnected. It gave up a port that bind() did not name, but getsockname()
 * goes on showing it. The next call chooses again.
 */
function breakOff(life: Life): void {
	life.connecting = false;
	life.brokenOff = true;
	life.listening = false;
	if (!life.locked) life.port = null;
}

/** Errors of connect() that give up a port which bind() did not name. */
const RELEASES = new Set([
	"EADDRNOTAVAIL",
	"ECONNABORTED",
	"ECONNREFUSED",
	"ECONNRESET",
	"EPIPE",
	"ETIMEDOUT",
]);

/** How a connect() ends that a signal interrupts while it sleeps. */
const SLEPT = new Set(["EINTR", "ERESTARTSYS"]);

/** Of these, those that come after a port was chosen. */
const REFUSALS = new Set(["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT"]);

/** The descriptors of a process, or of several that share them. */
class Fds {
	private readonly lives: Map<number, Life | null>;
	/** Processes beside the first that have them. */
	sharers = 0;

	constructor(from: Fds | null = null) {
		this.lives = new Map(from?.lives ?? []);
		for (const life of this.lives.values()) if (life !== null) life.open++;
	}

	get(fd: number): Life | null | undefined {
		return this.lives.get(fd);
	}

	/** A descriptor that is open; null for what is no internet socket. Returns what it was before. */
	set(fd: number, life: Life | null): Life | null {
		const before = this.lives.get(fd) ?? null;
		if (life !== null) life.open++;
		this.lives.set(fd, life);
		if (before !== null) before.open--;
		return before;
	}

	/** Returns the socket that it was; null for none. */
	delete(fd: number): Life | null {
		const before = this.lives.get(fd) ?? null;
		this.lives.delete(fd);
		if (before !== null) before.open--;
		return before;
	}

	/** Closes all, and returns the sockets among them. */
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

/** So many lines are added between two looks at what is settled. */
const SOME = 64;

/** How evidence learns of the recording that it is of. */
interface Source {
	/** Whose lines without a pid were; null if that is not known. */
	readonly nameless: number | null;
	operands(call: CallLine): Operands;
	sharesFiles(fork: CallLine): boolean;
}

/** What a recording shows of ports, apart from what each call shows of its own. */
export class Evidence {
	/** The calls that chose a port which the recording shows. */
	readonly chosen = new Map<CallLine, Revealed>();
	/** Ports that are named anywhere, as far as was read. */
	readonly named = new Set<number>();
	/** Ports of TCP that recorded processes connect to. */
	readonly connectedTo = new Set<number>();
	/** Sockets that do what only a connected one can, without a connect(). */
	unseenConnects = 0;
	/** Processes of which it shows that they receive from a connection. */
	readonly receivers = new Set<number>();
	/** Whom each accept() took, as it says itself or as getpeername() says later. */
	readonly peers = new Map<CallLine, Address>();
	/** The local address that getsockname() shows of what accept() made. */
	readonly locals = new Map<CallLine, Address>();
	/** The local address that getsockname() shows of a socket after its connect(). */
	readonly sources = new Map<CallLine, Address>();
	/** Nobody asks any more for calls that acted before this line. */
	since = 0;

	private readonly processes = new Map<number, Fds>();
	/** Accepts whose clients are still to be inferred, each with the number of lines before it. */
	private readonly accepts: (Accepted & { at: number })[] = [];
	private added = 0;
	private readonly listeners = new Map<number, Life[]>();
	/** Addresses that are this host's. */
	private readonly local = new Set<string>();
	/** UDP sockets by the ports that they sent to. */
	private readonly senders = new Map<number, Set<Life>>();
	/** Closed ones, each with the number of lines before. */
	private readonly closed: { life: Life; at: number }[] = [];

	constructor(
		private readonly recording: Source,
		/** How many lines are read before the first of them is played. */
		private readonly ahead: number,
	) {}

	/** The next line, in the order in which they act. */
	add(line: CallLine | SetupLine | ExitLine): void {
		this.added++;
		if (line.kind === "setup") this.setup(line);
		else if (line.kind === "exit") this.exit(line);
		else if (this.concerns(line)) this.call(line);
		if (this.added % SOME === 0) this.settle();
	}

	/** Whether a call tells of ports: then its arguments are asked for. */
	private concerns(line: CallLine): boolean {
		if (!isRelevant(line.name)) return false;
		if (isSend(line.name) || isReceive(line.name)) {
			const fd = fdOf(line);
			const life = fd === null ? undefined : this.fdsOf(line.pid ?? 0).get(fd);
			if (!life) return false;
			// Of a stream only the descriptor is asked for.
			if (life.kind === "tcp") return true;
		}
		return line.name === "close" || !line.opaque;
	}

	/** What is far enough from the last line. */
	private settle(): void {
		// What a client shows of itself comes soon; who waits for more than that is guessed.
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

	/** There are no more lines. */
	end(): void {
		this.infer(Number.POSITIVE_INFINITY);
	}

	/** Nobody asks any more for this call. */
	forget(call: CallLine): void {
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
		// A pid that was used before is another process.
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
		// The process of a thread that became another program goes on.
		if (line.pid !== null && (line.status !== null || line.signal !== null)) this.leave(line.pid);
	}

	/** A descriptor of a socket was closed, perhaps its last. */
	private release(life: Life | null): void {
		if (life === null || life.open > 0) return;
		if (life.port !== null) removeFrom(this.listeners, life.port, life);
		if (life.sentTo.size > 0) this.closed.push({ life, at: this.added });
	}

	private listens(life: Life, port: number): void {
		this.listeners.set(port, [...(this.listeners.get(port) ?? []).slice(-64), life]);
	}

	private choose(call: CallLine, port: number, exact: boolean): void {
		if (this.counts(call)) this.chosen.set(call, { port, exact });
	}

	private show(life: Life, port: number, exact: boolean): void {
		// One that listens on a port that the kernel chose.
		if (life.listening && life.port !== port) this.listens(life, port);
		const { chosen } = this;
		for (const call of life.choosing) {
			const inferred = life.kind === "udp" && chosen.get(call)?.exact === false;
			if (!chosen.has(call) || inferred) this.choose(call, port, exact);
		}
		life.port = port;
	}

	/** A call succeeded as on a connected socket. */
	private needsConnection(life: Life | null | undefined): void {
		if (life?.kind !== "tcp" || life.madeBy !== null || life.listening) return;
		if (life.connect === null) this.unseenConnects++;
	}

	/** A datagram arrived from a port. Whose that is, is clear if only one of them is not known. */
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

	/** The listeners that may get a connection to an address. */
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
				const accepted = { call: line, listener: life, peer, at: this.added };
				child.accepted = accepted;
				this.accepts.push(accepted);
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
				if (life === undefined || life === null || wanted === null || result !== 0) break;
				named.add(wanted.port);
				life.address = isWildcard(wanted.address) ? null : unmapped(wanted.address);
				if (life.address !== null) local.add(life.address);
				// It had no port before: what was chosen earlier is given up.
				life.choosing = wanted.port === 0 ? [line] : [];
				life.connecting = false;
				life.brokenOff = false;
				life.chose = false;
				if (wanted.port !== 0 || life.kind === "udp") life.port = wanted.port || null;
				life.locked = wanted.port !== 0;
				break;
			}
			case "listen":
				if (!life || result !== 0) break;
				// Even where a port seems known: getsockname() goes on showing one that was given up.
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
				if (peer !== null && life.kind !== "udp") this.connectedTo.add(peer.port);
				if (life.kind === "udp") {
					if (peer?.family !== "AF_UNSPEC") {
						// Even one of another family comes too late to stop it.
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
				// One that slept until a signal came has chosen, but may wait in no queue yet.
				const slept = SLEPT.has(line.result?.errno ?? "");
				const begun = result === 0 || line.result?.errno === "EINPROGRESS" || slept;
				// An error that ends the attempt does so whatever address it was asked with.
				const errno = line.result?.errno ?? "";
				if (peer?.family === "AF_UNSPEC" || RELEASES.has(errno)) {
					if (life.waits !== null && REFUSALS.has(errno)) life.waits.refused = true;
					if (life.kind === "sctp") {
						life.choosing.push(line);
						break;
					}
					const failed = RELEASES.has(errno);
					if (!failed && result !== 0) break;
					if (peer !== null && !life.connecting && REFUSALS.has(errno)) {
						life.choosing = life.brokenOff ? [line] : [...life.choosing, line];
					}
					// A socket in TCP_CLOSE is not disconnected, and keeps a port that bind() chose.
					const connected = life.connecting || life.accepted !== null;
					if (failed || connected || life.listening) breakOff(life);
					life.waits = null;
					life.accepted = null;
					break;
				}
				if (life.kind === "sctp" && !begun) {
					life.choosing.push(line); // it keeps a port that it chose before it failed
					break;
				}
				if (peer === null || !begun || life.connecting) break; // it only asks how the first one goes
				life.choosing = life.brokenOff ? [line] : [...life.choosing, line];
				life.connecting = true;
				life.brokenOff = false;
				if (slept) break;
				const served = this.listenersAt(peer);
				if (served.length === 0) break;
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
				for (const listener of served) listener.clients.push(life.waits);
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
				if (life && life.kind !== "udp") this.receivers.add(line.pid ?? 0);
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
				// A listener ends only where it shuts down what it receives.
				if (life.listening && operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR") === SHUT_WR) break;
				// It may have broken off a connect(), so that the next call chooses again.
				if (life.connecting || life.listening) breakOff(life);
				break;
			case "close":
				// The number was another socket's when it was closed: this one came while it was.
				if (life?.opened && overlaps(life.opened, line)) break;
				if (life?.waits) life.waits.sent ??= line.line;
				if (fd !== null) this.release(fds.delete(fd));
				break;
			case "dup":
			case "dup2":
			case "dup3":
				if (result !== null && result >= 0) this.release(fds.set(result, life ?? null));
				break;
			default:
				break;
		}
	}

	/**
	 * The ports of clients that nothing shows but the address that accept() reports: in the
	 * order of their connects, as far as each port is not another client's own. Accepts before
	 * a moment are looked at, when all that is known of their clients was read.
	 */
	private infer(until: number): void {
		const { accepts, chosen } = this;
		let done = 0;
		for (; done < accepts.length && nth(accepts, done).at <= until; done++) {
			const { call, listener, peer } = nth(accepts, done);
			const queue = listener.clients;
			const gone = queue.findIndex(({ taken, refused, connect }) => {
				return !taken && !refused && this.counts(connect);
			});
			queue.splice(0, gone < 0 ? queue.length : gone);
			let found: Waiting | null = null;
			let looked = 0;
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
				}
				// Another may still have this very port.
				if (peer === null || looked > 256) break;
			}
			if (found === null) continue;
			found.taken = true;
			if (peer === null || this.portOf(found) !== null) continue;
			for (const choosing of found.choosing) {
				if (!chosen.has(choosing)) this.choose(choosing, peer.port, false);
			}
		}
		if (done > 0) accepts.splice(0, done);
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

/** Whether a call begins before another one and returns after that one has begun. */
function overlaps(earlier: CallLine, later: CallLine): boolean {
	return earlier.line < later.line && earlier.endLine > later.line;
}

/** Seconds after which a SYN that was dropped comes again, a little less. */
const SYN_AGAIN = 0.9;

/**
 * The line at which a client comes to the queue: where its connect() begins. One that slept so
 * long that its SYN had to come again comes where its connect() ends.
 */
function arrives({ connect }: Waiting): number {
	const { time, endTime, line, endLine, result } = connect;
	const again = time !== null && endTime !== null && endTime - time > SYN_AGAIN;
	return again && result?.value === 0 ? endLine : line;
}

/** Seconds by which strace may tell of the end of a call too late. */
const TOLD_LATE = 0.1;

/** Whether a client comes to the queue long after an accept() has returned. */
function comesAfter(client: Waiting, accept: CallLine): boolean {
	const { line, endTime } = client.connect;
	if (arrives(client) === line || endTime === null) return false;
	return endTime - TOLD_LATE > (accept.endTime ?? accept.time ?? endTime);
}

/** Whether the first of two clients comes to the queue before the other one, as seen by a line. */
function comesBefore(a: Waiting, b: Waiting, defers: boolean, by: number): boolean {
	const sent = (client: Waiting) => {
		const at = defers ? client.sent : null;
		return at !== null && at < by ? at : Number.POSITIVE_INFINITY;
	};
	const [first, second] = [sent(a), sent(b)];
	return first === second ? arrives(a) < arrives(b) : first < second;
}

/** Whether the address that accept() reports can be a client's: as bound, or of the family. */
function mayCome({ from, to }: Waiting, peer: Address | null): boolean {
	if (peer === null) return true;
	const shown = unmapped(peer.address);
	return from === null ? shown.includes(":") === unmapped(to).includes(":") : from === shown;
}
