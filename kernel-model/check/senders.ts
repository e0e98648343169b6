// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which UDP socket a datagram came from. A receive shows the port of the sender, but not which
 * socket it is. It is one of the sockets that sent to the receiver's port.
 */
import { nth } from "../machine/nth.js";
import type { Life } from "./lives.js";

export class Senders {
	/** UDP sockets by the ports that they sent to. */
	private readonly senders = new Map<number, Set<Life>>();
	/** Closed UDP sockets, each with the number of lines before its close. */
	private readonly closed: { life: Life; at: number }[] = [];

	/** A socket sent to a port. */
	sends(life: Life, port: number): void {
		const lives = this.senders.get(port);
		if (lives === undefined) this.senders.set(port, new Set([life]));
		else lives.add(life);
		life.sentTo.add(port);
	}

	/**
	 * The socket whose port a datagram shows. If exactly one of the possible senders has no known
	 * port, it is this one. Otherwise null.
	 */
	shownBy(receiver: Life, from: number): Life | null {
		const lives = receiver.port === null ? undefined : this.senders.get(receiver.port);
		if (lives === undefined) return null;
		const unknown: Life[] = [];
		for (const sender of lives) {
			if (sender.port === from) return null;
			if (sender.port === null) unknown.push(sender);
		}
		return unknown.length === 1 ? nth(unknown, 0) : null;
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
			}
		}
		if (old > 0) closed.splice(0, old);
	}
}
