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
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { SO_ERROR, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import type { Address } from "../machine/address.js";
import { isFork, systemCall } from "../script/calls.js";
import { argFd, type Operands } from "../script/operands.js";
import type { CallLine, ScriptLine } from "../script/strace.js";

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
	/** The port, once it is known. */
	port: number | null;
	/** The address that bind() named; null for none, or the wildcard. */
	address: string | null;
	/** It listens. */
	listening: boolean;
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
}

/** A client of a listener of this host. */
interface Waiting {
	life: Life;
	/** Calls that may have chosen its port. */
	choosing: readonly CallLine[];
	/** Its connect(). */
	connect: CallLine;
	/** Its port, where that was known before. */
	port: number | null;
	/** Those that may have it. */
	listeners: ReadonlySet<Life>;
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
		port: null,
		address: null,
		listening: false,
		connecting: false,
		connect: null,
		brokenOff: false,
		locked: false,
		peer: null,
		waits: null,
		accepted: null,
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

type Fds = Map<number, Life | null>;

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

/** Whether a process is another one, or was forked from it. */
function descends(pid: number, from: number, forks: ReadonlyMap<number, CallLine>): boolean {
	for (let at: number | undefined = pid; at !== undefined; at = forks.get(at)?.pid ?? undefined) {
		if (at === from) return true;
	}
	return false;
}

/** What a recording shows of ports, apart from what each call shows of its own. */
export interface Revelations {
	/** The calls that chose a port which the recording shows. */
	chosen: Map<CallLine, Revealed>;
	/** Ports that are named anywhere. */
	named: Set<number>;
	/** Processes of which it shows that they receive from a connection. */
	receivers: Set<number>;
	/** Whom each accept() took, as it says itself or as getpeername() says later. */
	peers: Map<CallLine, Address>;
	/** The local address that getsockname() shows of a socket after its connect(). */
	sources: Map<CallLine, Address>;
}

export function reveal(
	lines: readonly ScriptLine[],
	operandsOf: (call: CallLine) => Operands,
	sharesFiles: (fork: CallLine) => boolean,
): Revelations {
	const receivers = new Set<number>();
	const chosen = new Map<CallLine, Revealed>();
	const named = new Set<number>();
	const processes = new Map<number, Fds>();
	const forks = new Map<number, CallLine>();
	const peers = new Map<CallLine, Address>();
	const sources = new Map<CallLine, Address>();
	/** Clients of listeners, and accepts, each in order. */
	const waiting: Waiting[] = [];
	const accepts: Accepted[] = [];
	const listeners = new Map<number, Life[]>();
	/** Addresses that are this host's. */
	const local = new Set<string>();
	/** UDP sockets by the ports that they sent to. */
	const senders = new Map<number, Set<Life>>();

	const fdsOf = (pid: number): Fds => {
		let fds = processes.get(pid);
		if (fds === undefined) {
			const fork = forks.get(pid);
			const parent = fork === undefined ? undefined : fdsOf(fork.pid ?? 0);
			if (parent === undefined) fds = new Map();
			else fds = fork !== undefined && sharesFiles(fork) ? parent : new Map(parent);
			processes.set(pid, fds);
		}
		return fds;
	};
	const listens = (life: Life, port: number) => {
		listeners.set(port, [...(listeners.get(port) ?? []).slice(-64), life]);
	};
	const show = (life: Life, port: number, exact: boolean) => {
		// One that listens on a port that the kernel chose.
		if (life.listening && life.port !== port) listens(life, port);
		for (const call of life.choosing) {
			const inferred = life.kind === "udp" && chosen.get(call)?.exact === false;
			if (!chosen.has(call) || inferred) chosen.set(call, { port, exact });
		}
		life.port = port;
	};

	/** A datagram arrived from a port. Whose that is, is clear if only one of them is not known. */
	const receive = (life: Life, from: number) => {
		const lives = life.port === null ? undefined : senders.get(life.port);
		if (lives === undefined) return;
		const unknown: Life[] = [];
		for (const sender of lives) {
			if (sender.port === from) return;
			if (sender.port === null) unknown.push(sender);
		}
		if (unknown.length === 1) show(unknown[0], from, false);
	};

	/** The listeners that may get a connection to an address. */
	const listenersAt = ({ address, port }: Address): Life[] => {
		const mapped = address.replace(/^::ffff:/, "");
		if (!isLoopback(mapped) && !local.has(mapped)) return [];
		return (listeners.get(port) ?? []).filter(
			(life) =>
				life.listening && life.port === port && (life.address === null || life.address === mapped),
		);
	};

	for (const line of inOrder(lines)) {
		if (line.kind === "setup") {
			const at = line.argv.findIndex((word) => word === "add" || word === "replace");
			if (/^a/.test(line.argv[at - 1] ?? "")) {
				for (const word of line.argv.slice(at)) local.add(word.replace(/\/.*$/, ""));
			}
		}
		if (line.kind !== "call" || line.opaque) continue;
		const fds = fdsOf(line.pid ?? 0);
		const operands = operandsOf(line);
		const result = line.result?.value ?? null;
		const fd = argFd(line.args);
		const life = fd === null ? undefined : fds.get(fd);
		const address = (index: number) => operands.shownAddress(index);
		if (isFork(line.name)) {
			if (result === null || result <= 0) continue;
			// A pid that was used before is another process.
			processes.delete(result);
			if (!descends(line.pid ?? 0, result, forks)) forks.set(result, line);
			fdsOf(result);
			continue;
		}
		switch (line.name) {
			case "socket": {
				if (result === null || result < 0) break;
				const family = operands.flags(0);
				const internet = family === AF_INET || family === AF_INET6;
				const kind = kindOf(operands.flags(1), operands.flags(2));
				fds.set(result, internet ? newLife(kind) : null);
				break;
			}
			case "accept":
			case "accept4": {
				if (result === null || result < 0) break;
				const child = newLife(life?.kind ?? "tcp");
				fds.set(result, child);
				const peer = address(1);
				if (peer !== null) {
					named.add(peer.port);
					peers.set(line, peer);
				}
				if (!life) break;
				child.accepted = { call: line, listener: life, peer };
				accepts.push(child.accepted);
				break;
			}
			case "getpeername": {
				const peer = address(1);
				const accepted = life?.accepted ?? null;
				if (peer === null || accepted === null || accepted.peer !== null || result !== 0) break;
				named.add(peer.port);
				accepted.peer = peer;
				peers.set(accepted.call, peer);
				break;
			}
			case "bind": {
				const wanted = address(1);
				if (life === undefined || life === null || wanted === null || result !== 0) break;
				named.add(wanted.port);
				life.address = isWildcard(wanted.address) ? null : wanted.address.replace(/^::ffff:/, "");
				if (life.address !== null) local.add(life.address);
				// It had no port before: what was chosen earlier is given up.
				life.choosing = wanted.port === 0 ? [line] : [];
				life.connecting = false;
				life.brokenOff = false;
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
				if (life.port !== null) listens(life, life.port);
				break;
			case "connect": {
				if (life === undefined || life === null) break;
				const peer = address(1);
				if (peer !== null) named.add(peer.port);
				life.connect = line;
				if (life.kind === "udp") {
					if (peer?.family !== "AF_UNSPEC") {
						// Even one of another family comes too late to stop it.
						if (life.port === null) life.choosing.push(line);
						if (peer !== null && result === 0) life.peer = peer.port;
					} else if (result === 0) {
						life.peer = null;
						if (!life.locked) Object.assign(life, newLife(life.kind));
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
				const served = listenersAt(peer);
				if (served.length === 0) break;
				life.waits = {
					life,
					choosing: life.choosing,
					connect: line,
					port: life.port,
					listeners: new Set(served),
					refused: false,
					taken: false,
				};
				waiting.push(life.waits);
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
				if (!isWildcard(name.address)) local.add(name.address.replace(/^::ffff:/, ""));
				for (const call of life.choosing) if (!sources.has(call)) sources.set(call, name);
				if (life.connect !== null && !sources.has(life.connect)) sources.set(life.connect, name);
				show(life, name.port, true);
				break;
			}
			case "send":
			case "sendto":
			case "sendmsg":
			case "sendmmsg":
			case "write":
			case "writev": {
				if (!life || life.kind === "tcp") break;
				if (life.port === null) {
					life.choosing = life.brokenOff ? [line] : [...life.choosing, line];
					life.brokenOff = false;
				}
				for (const { to } of operands.messages()?.messages ?? []) {
					const port = to === null ? life.peer : (to.address?.port ?? null);
					if (port === null) continue;
					named.add(port);
					const lives = senders.get(port);
					if (lives === undefined) senders.set(port, new Set([life]));
					else lives.add(life);
				}
				break;
			}
			case "recv":
			case "read":
			case "readv":
			case "recvfrom":
			case "recvmsg":
			case "recvmmsg":
				if (life && life.kind !== "udp") receivers.add(line.pid ?? 0);
				if (life?.kind !== "udp" || result === null || result < 0) break;
				for (const { port } of operands.shownSenders()) {
					named.add(port);
					receive(life, port);
				}
				break;
			case "shutdown":
				if (!life || result !== 0) break;
				// A listener ends only where it shuts down what it receives.
				if (life.listening && operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR") === SHUT_WR) break;
				// It may have broken off a connect(), so that the next call chooses again.
				if (life.connecting || life.listening) breakOff(life);
				break;
			case "close":
				if (fd !== null) fds.delete(fd);
				break;
			case "dup":
			case "dup2":
			case "dup3":
				if (result !== null && result >= 0) fds.set(result, life ?? null);
				break;
			default:
				break;
		}
	}
	infer(accepts, waiting, chosen);
	named.delete(0);
	return { chosen, named, receivers, peers, sources };
}

/**
 * The ports of clients that nothing shows but the address that accept() reports: in the order
 * of their connects, as far as each port is not another client's own.
 */
function infer(
	accepts: readonly Accepted[],
	waiting: readonly Waiting[],
	chosen: Map<CallLine, Revealed>,
): void {
	const byListener = new Map<Life, Waiting[]>();
	for (const client of waiting) {
		if (client.refused) continue;
		for (const listener of client.listeners) {
			const queue = byListener.get(listener);
			if (queue === undefined) byListener.set(listener, [client]);
			else queue.push(client);
		}
	}
	const portOf = ({ choosing, port }: Waiting): number | null => {
		if (port !== null) return port;
		for (const call of choosing) {
			const shown = chosen.get(call);
			if (shown !== undefined) return shown.port;
		}
		return null;
	};
	const began = new Map<Life, number>();
	for (const { call, listener, peer } of accepts) {
		const queue = byListener.get(listener);
		if (queue === undefined) continue;
		let at = began.get(listener) ?? 0;
		while (at < queue.length && queue[at].taken) at++;
		began.set(listener, at);
		let found: Waiting | null = null;
		for (let i = at; i < queue.length && queue[i].connect.line < call.endLine; i++) {
			const client = queue[i];
			if (client.taken) continue;
			const port = portOf(client);
			if (peer !== null && port !== null && port !== peer.port) continue;
			if (peer !== null && port === peer.port) {
				found = client;
				break;
			}
			found ??= client;
			if (peer === null) break;
			// Another may still have this very port.
			if (i - at > 256) break;
		}
		if (found === null) continue;
		found.taken = true;
		if (peer === null || portOf(found) !== null) continue;
		for (const choosing of found.choosing) {
			if (!chosen.has(choosing)) chosen.set(choosing, { port: peer.port, exact: false });
		}
	}
}

/** Lines in the order in which they act: what waits, where it returns. */
function inOrder(lines: readonly ScriptLine[]): readonly ScriptLine[] {
	const acts = (line: ScriptLine) =>
		line.kind === "call" && line.endLine > line.line && systemCall(line.name)?.acts === "returned"
			? line.endLine
			: line.line;
	let sorted = true;
	for (let i = 1; sorted && i < lines.length; i++) sorted = acts(lines[i - 1]) <= acts(lines[i]);
	return sorted ? lines : [...lines].sort((a, b) => acts(a) - acts(b));
}

function isWildcard(address: string): boolean {
	return address === "0.0.0.0" || address === "::" || address === "::ffff:0.0.0.0";
}

function isLoopback(address: string): boolean {
	return address.startsWith("127.") || address === "::1" || isWildcard(address);
}
