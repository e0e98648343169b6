// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which UDP socket a datagram came from. A receive shows the port of the sender, but not which
 * socket it is. It is one of the sockets that sent to the receiver's port.
 */
import { nth } from "../machine/nth.js";
import type { Life } from "./lives.js";

/** Most datagrams to a port whose data is kept. */
const KEPT = 256;

export class Senders {
	/** The data of the last datagrams to each port, as far as strace prints it. */
	private readonly sent = new Map<number, { life: Life; data: string }[]>();
	/** UDP sockets by the ports that they sent to. */
	private readonly senders = new Map<number, Set<Life>>();
	/** Closed UDP sockets, each with the number of lines before its close. */
	private readonly closed: { life: Life; at: number }[] = [];

	/** A socket sent to a port. `data` is null if strace does not print it. */
	sends(life: Life, port: number, data: string | null): void {
		// Nothing more has to be known of a socket whose port is known.
		if (data !== null && life.port === null) this.keep(port, life, data);
		const lives = this.senders.get(port);
		if (lives === undefined) this.senders.set(port, new Set([life]));
		else lives.add(life);
		life.sentTo.add(port);
	}

	private keep(port: number, life: Life, data: string): void {
		const sent = this.sent.get(port) ?? [];
		if (sent.length === KEPT) sent.shift();
		sent.push({ life, data });
		this.sent.set(port, sent);
	}

	/**
	 * The socket whose port a datagram shows. If exactly one of the possible senders has no known
	 * port, it is this one. If there are several, it is the one that sent this data. Otherwise null.
	 */
	shownBy(receiver: Life, from: number, data: string | null): Life | null {
		const lives = receiver.port === null ? undefined : this.senders.get(receiver.port);
		if (lives === undefined) return null;
		const unknown: Life[] = [];
		for (const sender of lives) {
			if (sender.port === from) return null;
			if (sender.port === null) unknown.push(sender);
		}
		if (unknown.length > 1 && data !== null && receiver.port !== null) {
			return this.senderOf(receiver.port, data);
		}
		return unknown.length === 1 ? nth(unknown, 0) : null;
	}

	/** The only socket without a known port that sent this data to a port; null if there is none. */
	private senderOf(port: number, data: string): Life | null {
		const found = new Set<Life>();
		for (const { life, data: sent } of this.sent.get(port) ?? []) {
			// strace may print less of one of the two.
			const same = sent.startsWith(data) || data.startsWith(sent);
			if (same && life.port === null) found.add(life);
		}
		const [only = null] = found;
		return found.size === 1 ? only : null;
	}

	/** A socket was closed, with `at` lines before. Its datagrams may still be received. */
	closes(life: Life, at: number): void {
		if (life.sentTo.size > 0) this.closed.push({ life, at });
	}

	/** Drops sockets that were closed with at most `until` lines before. */
	drop(until: number): void {
		const { closed } = this;
		let old = 0;
		while (old < closed.length && nth(closed, old).at <= until) {
			const { life } = nth(closed, old++);
			if (life.open > 0) continue;
			for (const port of life.sentTo) {
				const lives = this.senders.get(port);
				lives?.delete(life);
				if (lives?.size === 0) this.senders.delete(port);
				const sent = this.sent.get(port)?.filter((each) => each.life !== life) ?? [];
				if (sent.length > 0) this.sent.set(port, sent);
				else this.sent.delete(port);
			}
		}
		if (old > 0) closed.splice(0, old);
	}
}
