// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which port a recorded kernel chose, and for which call: a recording shows it later, in
 * getsockname() of the same socket, in the address that accept() reports of a client, or in
 * the address that recvfrom() reports of a sender.
 */
import { SOCK_DCCP, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_TYPE_MASK } from "../../include/linux/net.js";
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import { isFork } from "../script/calls.js";
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
	/** A connect() has begun; the next one only asks how it went. */
	connecting: boolean;
	/** ... and a shutdown() may have ended it. */
	brokenOff: boolean;
	/** bind() named the port of a UDP socket, which keeps it. */
	locked: boolean;
	/** The port that a UDP socket is connected to. */
	peer: number | null;
}

function newLife(kind: Kind): Life {
	return {
		kind,
		choosing: [],
		port: null,
		connecting: false,
		brokenOff: false,
		locked: false,
		peer: null,
	};
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

/** The process that each pid was forked from, and by which call. */
export function parents(lines: readonly ScriptLine[]): Map<number, CallLine> {
	const found = new Map<number, CallLine>();
	for (const line of lines) {
		if (line.kind !== "call" || !isFork(line.name)) continue;
		const child = line.result?.value ?? 0;
		if (child > 0) found.set(child, line);
	}
	return found;
}

/** What a recording shows of ports, apart from what each call shows of its own. */
export interface Revelations {
	/** The calls that chose a port which the recording shows. */
	chosen: Map<CallLine, Revealed>;
	/** Ports that are named anywhere. */
	named: Set<number>;
	/** Processes of which it shows that they receive from a connection. */
	receivers: Set<number>;
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
	const forks = parents(lines);
	/** Clients by the port they connect to, in order, that no accept() has shown yet. */
	const waiting = new Map<number, Life[]>();
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
	const show = (life: Life, port: number, exact: boolean) => {
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

	for (const line of lines) {
		if (line.kind !== "call" || line.opaque) continue;
		const fds = fdsOf(line.pid ?? 0);
		const operands = operandsOf(line);
		const result = line.result?.value ?? null;
		const fd = argFd(line.args);
		const life = fd === null ? undefined : fds.get(fd);
		const address = (index: number) => operands.shownAddress(index);
		if (isFork(line.name)) {
			if (result !== null && result > 0) fdsOf(result);
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
				fds.set(result, newLife(life?.kind ?? "tcp"));
				const peer = address(1);
				if (peer === null || life === undefined || life === null || life.port === null) break;
				named.add(peer.port);
				const queue = waiting.get(life.port) ?? [];
				let client = queue.findIndex((candidate) => candidate.port === peer.port);
				if (client === -1) client = queue.findIndex((candidate) => candidate.port === null);
				if (client === -1) break;
				const [accepted] = queue.splice(client, 1);
				if (accepted.port === null) show(accepted, peer.port, false);
				break;
			}
			case "bind": {
				const wanted = address(1);
				if (life === undefined || life === null || wanted === null || result !== 0) break;
				named.add(wanted.port);
				// It had no port before: what was chosen earlier is given up.
				life.choosing = wanted.port === 0 ? [line] : [];
				life.connecting = false;
				life.brokenOff = false;
				if (wanted.port !== 0 || life.kind === "udp") life.port = wanted.port || null;
				life.locked = life.kind === "udp" && wanted.port !== 0;
				break;
			}
			case "listen":
				if (!life || result !== 0) break;
				// Even where a port seems known: getsockname() goes on showing one that was given up.
				life.choosing = life.connecting || life.brokenOff ? [line] : [...life.choosing, line];
				life.connecting = false;
				life.brokenOff = false;
				break;
			case "connect": {
				if (life === undefined || life === null) break;
				const peer = address(1);
				if (peer !== null) named.add(peer.port);
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
					// What bind() did not name is given up again; getsockname() goes on showing it.
					const chose =
						life.kind === "tcp" && peer !== null && !life.connecting && REFUSALS.has(errno);
					if (life.kind === "sctp") life.choosing.push(line);
					else if (chose) {
						life.choosing = life.brokenOff ? [line] : [...life.choosing, line];
						life.brokenOff = true;
					} else Object.assign(life, newLife(life.kind));
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
				const queue = waiting.get(peer.port);
				if (queue === undefined) waiting.set(peer.port, [life]);
				else queue.push(life);
				break;
			}
			case "getsockname": {
				const name = address(1);
				if (!life || name === null || result !== 0 || name.port === 0) break;
				named.add(name.port);
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
				if (life.port === null) life.choosing.push(line);
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
				// It may have broken off a connect(), so that the next call chooses again.
				if (!life || result !== 0 || !life.connecting) break;
				life.connecting = false;
				life.brokenOff = true;
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
	named.delete(0);
	return { chosen, named, receivers };
}
