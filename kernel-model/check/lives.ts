// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Sockets as the lines of a recording show them, and which descriptors they have. A socket has a
 * Life: the calls that may have chosen its port, and the port once a line shows it. A socket can
 * give up its port and choose another one. Its Life then begins to collect calls anew.
 */
import { SOCK_DCCP, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_TYPE_MASK } from "../../include/linux/net.js";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import { type Address, isWildcard, unmapped } from "../machine/address.js";
import type { CallLine } from "../script/strace.js";

/**
 * How a socket gets its port and gives it up. TCP and MPTCP: connect() searches, and a failed
 * connect() releases the port. UDP: the first connect() or send searches, even if it fails. DCCP:
 * as TCP, but a send also searches. SCTP: as UDP, but the socket keeps its port.
 */
type Kind = "tcp" | "udp" | "dccp" | "sctp";

export function kindOf(type: number, protocol: number): Kind {
	const kind = type & SOCK_TYPE_MASK;
	if (protocol === IPPROTO_SCTP || kind === SOCK_SEQPACKET) return "sctp";
	if (kind === SOCK_DCCP) return "dccp";
	const ping = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
	return kind === SOCK_DGRAM && !ping ? "udp" : "tcp";
}

/** What is known of one socket and its port. */
export interface Life {
	kind: Kind;
	/** Calls since the socket last had no port. Each may have chosen the port. */
	mayHaveChosen: CallLine[];
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
	portNamed: boolean;
	/** The port that a UDP socket is connected to. */
	peer: number | null;
	/** The socket as a client that may wait in an accept queue. */
	asClient: Waiting | null;
	/** The accept() that made the socket, if its listener is known. */
	accepted: Accepted | null;
	/** The socket() that made the socket. */
	socketCall: CallLine | null;
	/** The accept() that made the socket. */
	acceptCall: CallLine | null;
	/** Number of open descriptors of the socket. */
	open: number;
	/** A listener's possible clients, in the order of their connects. */
	clients: Waiting[];
	/** The ports that a UDP socket sent to. */
	sentTo: Set<number>;
}

/** A client of a listener of this host. */
export interface Waiting {
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
export interface Accepted {
	call: CallLine;
	listener: Life;
	/** The listeners of its port when it returned: the members of a reuseport group. */
	group: readonly Life[];
	/** The address of the client; null while it is not known. */
	peer: Address | null;
}

export function newLife(kind: Kind): Life {
	return {
		kind,
		mayHaveChosen: [],
		chose: false,
		port: null,
		address: null,
		listening: false,
		defers: false,
		connecting: false,
		connect: null,
		brokenOff: false,
		portNamed: false,
		peer: null,
		asClient: null,
		accepted: null,
		socketCall: null,
		acceptCall: null,
		open: 0,
		clients: [],
		sentTo: new Set(),
	};
}

/**
 * A call may choose a port for the socket, if it has none. If an earlier call was undone, the port
 * that it chose is given up. The calls before no longer matter.
 */
export function mayChoose(life: Life, call: CallLine): void {
	life.mayHaveChosen = life.brokenOff ? [call] : [...life.mayHaveChosen, call];
}

/**
 * A TCP socket was disconnected. It gave up its port unless bind() named this port. getsockname()
 * still shows the old port. The next call chooses again.
 */
export function breakOff(life: Life): void {
	life.connecting = false;
	life.brokenOff = true;
	life.listening = false;
	if (!life.portNamed) life.port = null;
}

/** bind() succeeded. If the address has no port, the kernel chose one. */
export function binds(life: Life, call: CallLine, { address, port }: Address): void {
	life.address = isWildcard(address) ? null : unmapped(address);
	// bind() succeeds only on a socket without a port. A port chosen earlier was given up.
	life.mayHaveChosen = port === 0 ? [call] : [];
	life.connecting = false;
	life.brokenOff = false;
	life.chose = false;
	if (port !== 0 || life.kind === "udp") life.port = port || null;
	life.portNamed = port !== 0;
}

/** listen() succeeded. It chose a port if the socket had none. */
export function listens(life: Life, call: CallLine): void {
	// The known port may be one that was given up, because getsockname() still shows it.
	const givenUp = life.connecting || life.brokenOff;
	life.mayHaveChosen = givenUp ? [call] : [...life.mayHaveChosen, call];
	life.connecting = false;
	life.brokenOff = false;
	life.listening = true;
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

/** The errors in RELEASES that connect() returns after it chose a port. */
const REFUSALS = new Set([
	"EBADRQC",
	"ECONNREFUSED",
	"ECONNRESET",
	"ENOMSG",
	"ETIMEDOUT",
	"EUSERS",
]);

/**
 * Whether a connect() of a socket other than UDP leaves it without a connection. It disconnects the
 * socket, or fails with an error that ends the attempt, whatever address it names.
 */
export function disconnects({ result }: CallLine, peer: Address | null): boolean {
	return peer?.family === "AF_UNSPEC" || RELEASES.has(result?.errno ?? "");
}

/** Such a connect() was made. The socket gives up its port, except SCTP. */
export function disconnected(life: Life, call: CallLine, peer: Address | null): void {
	const { value, errno } = call.result ?? { value: null, errno: null };
	const failed = RELEASES.has(errno ?? "");
	const refused = REFUSALS.has(errno ?? "");
	if (life.asClient !== null && refused) life.asClient.refused = true;
	if (life.kind === "sctp") {
		life.mayHaveChosen.push(call);
		return;
	}
	const succeeded = (value ?? -1) >= 0 && errno === null;
	if (!failed && !succeeded) return;
	if (peer !== null && !life.connecting && refused) mayChoose(life, call);
	// A socket in TCP_CLOSE is not disconnected. It keeps a port that bind() chose.
	const connected = life.connecting || life.accepted !== null;
	if (failed || connected || life.listening) breakOff(life);
	life.asClient = null;
	life.accepted = null;
}

/** connect() of a UDP socket. Without a port it chooses one; AF_UNSPEC gives a chosen port up. */
export function connectsUdp(life: Life, line: CallLine, peer: Address | null): void {
	const succeeded = line.result?.value === 0;
	if (peer?.family !== "AF_UNSPEC") {
		// UDP chooses its port before the family of the address is checked.
		if (life.port === null) life.mayHaveChosen.push(line);
		if (peer !== null && succeeded) life.peer = peer.port;
	} else if (succeeded) {
		life.peer = null;
		if (life.portNamed) return;
		const { open, sentTo } = life;
		Object.assign(life, newLife(life.kind), { open, sentTo });
	}
}

/**
 * Whether a send connects a socket, or returns the error that ended its connect(). Looks at the text
 * only if it may do so.
 */
export function fastOpens(life: Life, line: CallLine): boolean {
	if (life.acceptCall !== null || (life.connecting && !disconnects(line, null))) return false;
	return line.text.includes("MSG_FASTOPEN");
}

/** The descriptors of one process, or of several processes that share them. */
export class Fds {
	private readonly lives: Map<number, Life | null>;
	/** Number of processes that share them, without the first. */
	sharers = 0;

	constructor(from: Fds | null = null) {
		this.lives = new Map(from?.lives ?? []);
		for (const life of this.lives.values()) if (life !== null) life.open++;
	}

	/** The socket of a descriptor; null for a file, or for a descriptor that is not known. */
	get(fd: number): Life | null {
		return this.lives.get(fd) ?? null;
	}

	/**
	 * Sets the socket of a descriptor; null for a file that is no internet socket. Returns the socket
	 * that it was before.
	 */
	set(fd: number, life: Life | null): Life | null {
		const before = this.get(fd);
		if (life !== null) life.open++;
		this.lives.set(fd, life);
		if (before !== null) before.open--;
		return before;
	}

	/** Removes a descriptor. Returns the socket that it was; null for none. */
	delete(fd: number): Life | null {
		const before = this.get(fd);
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

/** The descriptors of all recorded processes, by pid. */
export class Processes {
	private readonly processes = new Map<number, Fds>();
	/** Processes that a recorded call made. */
	private readonly made = new Set<number>();

	constructor(
		/** `nameless` is the pid of the lines without one; null if it is not known. */
		private readonly recording: { readonly nameless: number | null },
	) {}

	/** The descriptors of a process. */
	of(pid: number): Fds {
		let fds = this.processes.get(pid);
		if (fds === undefined) {
			const nameless = pid === this.recording.nameless ? this.processes.get(0) : undefined;
			fds = nameless ?? new Fds();
			this.processes.set(pid, fds);
		}
		return fds;
	}

	/**
	 * A process made another one, which shares its descriptors or copies them. If the new pid was
	 * used before, the older process is gone. Returns the sockets of its descriptors.
	 */
	fork(pid: number, child: number, shares: boolean): Life[] {
		const parent = this.of(pid);
		const left = this.leave(child);
		this.made.add(child);
		if (shares) {
			parent.sharers++;
			this.processes.set(child, parent);
		} else this.processes.set(child, new Fds(parent));
		return left;
	}

	/**
	 * The listener of a descriptor of a process that no recorded call made: strace -e trace=network
	 * shows no fork(). It is the only listener that other processes have at this descriptor. Null if
	 * there is none.
	 */
	inherited(pid: number, fd: number): Life | null {
		if (this.made.has(pid)) return null;
		const found = new Set<Life>();
		for (const fds of this.processes.values()) {
			const life = fds.get(fd);
			if (life?.listening) found.add(life);
		}
		const [only = null] = found;
		if (found.size !== 1 || only === null) return null;
		this.of(pid).set(fd, only);
		return only;
	}

	/** A process has ended. Returns the sockets of the descriptors that were closed. */
	leave(pid: number): Life[] {
		const fds = this.processes.get(pid);
		if (fds === undefined) return [];
		this.processes.delete(pid);
		this.made.delete(pid);
		return fds.sharers-- > 0 ? [] : fds.clear();
	}
}
