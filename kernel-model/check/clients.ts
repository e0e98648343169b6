// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which client each accept() took. The clients of a listener are taken in the order of their
 * connects. So the address that an accept() returns shows the port of a client that does not show
 * it itself. The port is then inferred.
 */
import { type Address, isLoopback, isWildcard, unmapped } from "../machine/address.js";
import { nth } from "../machine/nth.js";
import type { CallLine } from "../script/strace.js";
import { addTo, removeFrom } from "./lists.js";
import type { Accepted, Life, Waiting } from "./lives.js";

/** Ports of clients that connect soon after each other differ by less. */
const NEAR = 4096;

/** Number of accepts after an accept() that may be of its group. */
const LATER = 64;

/** Most earlier listeners of a port that are kept. */
const LISTENERS = 64;

/** So many clients are added to a queue before the old ones are looked for. */
const SOME = 64;

/** Most clients that are looked at for one accept(). */
const LOOKED = 256;

/** The ports that clients chose, as far as they are known. */
interface Ports {
	/** Whether a call may be played again. Nothing is inferred about other calls. */
	counts(call: CallLine): boolean;
	/** The port that a call chose; null if it is not known. */
	portOf(call: CallLine): number | null;
	/** Notes the port of a call, unless it is known. */
	infer(call: CallLine, port: number, likely: boolean): void;
}

export class Clients {
	/** Listeners by port. */
	private readonly listeners = new Map<number, Life[]>();
	/** Accepts that match() has not looked at, each with the number of lines before it. */
	private readonly unmatched: (Accepted & { at: number })[] = [];
	/** The accepts that returned a client with this port, the earliest first. */
	private readonly takers = new Map<number, Taker[]>();

	constructor(
		private readonly ports: Ports,
		/** Addresses of this host. */
		private readonly local: ReadonlySet<string>,
	) {}

	/** A socket listens on a port. */
	listens(life: Life, port: number): void {
		const known = this.listeners.get(port) ?? [];
		this.listeners.set(port, [...known.slice(-LISTENERS), life]);
	}

	/** A socket was closed. */
	closes(life: Life): void {
		if (life.port !== null) removeFrom(this.listeners, life.port, life);
	}

	/** A connect() has begun. If its destination is a listener here, the client waits there. */
	connects(life: Life, connect: CallLine, peer: Address): void {
		const served = this.listenersAt(peer);
		if (served.length === 0) return;
		life.asClient = {
			choosing: life.mayHaveChosen,
			connect,
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
				const first = clients.findIndex((client) => this.ports.counts(client.connect));
				clients.splice(0, first < 0 ? clients.length : first);
			}
			clients.push(life.asClient);
		}
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

	/**
	 * An accept() returned a client, with `at` lines before. `peer` is the address of the client; null
	 * if the accept() does not show it.
	 */
	accepts(call: CallLine, listener: Life, peer: Address | null, at: number): Accepted {
		const group = this.listeners.get(listener.port ?? 0) ?? [];
		const accepted = { call, listener, group, peer, at };
		this.unmatched.push(accepted);
		if (peer !== null) addTo(this.takers, peer.port, { call, listener, address: peer.address });
		return accepted;
	}

	/**
	 * The listener from which a client is accepted, at `line` or later; null if no line shows it.
	 * `address` and `port` are those of the client.
	 */
	takerOf(address: string, port: number, line: number): Life | null {
		const taker = this.takers
			.get(port)
			?.find(
				({ call, address: shown }) =>
					Math.max(call.line, call.endLine) >= line && unmapped(shown) === address,
			);
		return taker?.listener ?? null;
	}

	/** Drops an accept() that is not played again. `port` is that of its client. */
	forget(call: CallLine, port: number): void {
		const rest = this.takers.get(port)?.filter((taker) => taker.call !== call) ?? [];
		if (rest.length > 0) this.takers.set(port, rest);
		else this.takers.delete(port);
	}

	/** Finds the client of each accept() with at most `until` lines before it. */
	match(until: number): void {
		const { unmatched } = this;
		let done = 0;
		for (; done < unmatched.length && nth(unmatched, done).at <= until; done++) {
			const { group, peer } = nth(unmatched, done);
			const client = this.clientOf(done);
			if (client === null) continue;
			client.taken = true;
			if (peer === null || this.portOf(client) !== null) continue;
			for (const call of client.choosing) this.ports.infer(call, peer.port, group.length > 1);
		}
		if (done > 0) unmatched.splice(0, done);
	}

	/**
	 * The client that an accept() took; null if none fits. It is the client that is known to have the
	 * port. If there is none, it is the first one in the queue whose port is not known, except in a
	 * reuseport group.
	 */
	private clientOf(index: number): Waiting | null {
		const { call, listener, peer } = nth(this.unmatched, index);
		const queue = listener.clients;
		const gone = queue.findIndex(({ taken, refused, connect }) => {
			return !taken && !refused && this.ports.counts(connect);
		});
		queue.splice(0, gone < 0 ? queue.length : gone);
		let found: Waiting | null = null;
		let looked = 0;
		let lower = this.lowerPorts(index);
		for (const client of queue) {
			if (client.connect.line >= call.endLine) break;
			if (client.taken || client.refused || !this.ports.counts(client.connect)) continue;
			if (comesAfter(client, call) || !mayCome(client, peer)) continue;
			looked++;
			const port = this.portOf(client);
			if (peer !== null && port !== null && port !== peer.port) continue;
			if (peer !== null && port === peer.port) return client;
			if (found === null || comesBefore(client, found, listener.defers, call.endLine)) {
				found = client;
			} else if (port === null && lower > 0) {
				found = client;
				lower--;
			}
			// A later client may be known to have this port.
			if (peer === null || looked > LOOKED) break;
		}
		return found;
	}

	/**
	 * A reuseport group has a queue for each member. So its clients are not taken in the order of
	 * their connects, but the ports of clients that connect one after the other ascend. Counts the
	 * clients of later accepts of the group that have a lower port than the client of an accept. A
	 * client that shows its port itself does not count.
	 */
	private lowerPorts(index: number): number {
		const { listener, group, peer } = nth(this.unmatched, index);
		if (peer === null || group.length < 2) return 0;
		const known = new Set<number | null>();
		for (const client of listener.clients) if (!client.taken) known.add(this.portOf(client));
		const lower = new Set<number>();
		for (const later of this.unmatched.slice(index + 1, index + 1 + LATER)) {
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
			const shown = this.ports.portOf(call);
			if (shown !== null) return shown;
		}
		return null;
	}
}

/** An accept() that returned a client with this address. */
interface Taker {
	call: CallLine;
	listener: Life;
	address: string;
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
