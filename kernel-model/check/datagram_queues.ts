// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Check mode: the receive queues of a reuseport group of UDP sockets. The kernel chooses the member
 * that gets a datagram by a hash with a secret. A later receive may show which member it was. If
 * the recording has the kernel's secret, the model's choice is the kernel's.
 */

import type { SecretKind } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import type { Datagram, UdpTable } from "../../include/net/udp.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";

/** The secret that decides which member gets a datagram. */
function secretOf({ v6_saddr }: Datagram): SecretKind {
	return v6_saddr === null ? "udp" : "udp6";
}

/** A datagram to a group that no line has received yet. */
interface Open {
	table: UdpTable;
	/** The sock that has it on the model. */
	holder: number;
	/** The other members that may have it. Without one, the holder has it. */
	others: Set<number>;
	/** A member that may have had it is closed. So the datagram may be gone. */
	mayBeGone: boolean;
}

export class DatagramQueues {
	/** The oldest first. */
	private readonly open = new Map<Datagram, Open>();

	constructor(private readonly kernel: Kernel) {}

	arrives(table: UdpTable, sk: number, datagram: Datagram): void {
		const { kernel } = this;
		const S = kernel.sock;
		if (kernel.known.has(secretOf(datagram))) return;
		const group = kernel.reuseport.get(nth(S.sk_reuseport_cb, sk));
		const others = new Set<number>();
		if (group !== undefined && S.skc_state[sk] !== TCP_ESTABLISHED) {
			for (const each of group.socks) if (S.skc_state[each] !== TCP_ESTABLISHED) others.add(each);
			others.delete(sk);
		} else {
			// An earlier datagram may turn out to stand before this one.
			const earlier = [...this.open.values()].some((open) => open.others.has(sk));
			if (!earlier) return;
		}
		this.open.set(datagram, { table, holder: sk, others, mayBeGone: false });
	}

	/** A sock is closed. What it has on the model may be in the queue of another member. */
	leaves(_table: UdpTable, sk: number): void {
		for (const [datagram, open] of this.open) {
			if (open.others.delete(sk)) open.mayBeGone = true;
			if (open.holder !== sk) continue;
			open.mayBeGone = true;
			if (!this.moveOn(datagram, open)) this.open.delete(datagram);
		}
	}

	/**
	 * The datagram in the queue of a sock that a receive returns. In the model it may be in the queue
	 * of another member, or behind others that belong to another member. Null if no datagram fits.
	 */
	find(table: UdpTable, sk: number, fits: (datagram: Datagram) => boolean): Datagram | null {
		const found = this.choose([
			...(table.receive_queue.get(sk) ?? []).filter(fits),
			...[...this.open].flatMap(([datagram, open]) =>
				open.table === table && open.others.has(sk) && fits(datagram) ? [datagram] : [],
			),
		]);
		const open = found === null ? undefined : this.open.get(found);
		if (found !== null && open?.others.has(sk)) {
			open.others.add(open.holder);
			this.move(found, open, sk);
		}
		return found;
	}

	/** One of several datagrams that look alike: the first one, unless a later line tells another. */
	private choose(alike: readonly Datagram[]): Datagram | null {
		for (const [i, datagram] of alike.entries()) {
			const last = i === alike.length - 1;
			if (last || !this.open.has(datagram)) return datagram;
			if (!this.kernel.askSecret(secretOf(datagram))) return datagram;
		}
		return null;
	}

	/** Whether datagrams before this one in the queue of a sock cannot be of another member. */
	isBehind(table: UdpTable, sk: number, datagram: Datagram): boolean {
		for (const each of [...(table.receive_queue.get(sk) ?? [])]) {
			if (each === datagram) return false;
			const open = this.open.get(each);
			if (open === undefined) return true;
			if (this.moveOn(each, open)) continue;
			if (!open.mayBeGone) return true;
			this.take(table, sk, each);
		}
		return false;
	}

	/** Takes a datagram out of a queue. */
	take(table: UdpTable, sk: number, datagram: Datagram): void {
		const queue = table.receive_queue.get(sk);
		const at = queue?.indexOf(datagram) ?? -1;
		if (at >= 0) queue?.splice(at, 1);
		this.open.delete(datagram);
	}

	/**
	 * The kernel's queue of a sock is empty. Moves its datagrams to other members. Returns whether
	 * all of them can be elsewhere. With `late` a datagram may have arrived after the kernel looked,
	 * so the sock may still get it.
	 */
	disown(table: UdpTable, sk: number, late: boolean): boolean {
		if (!late) for (const { others } of this.open.values()) others.delete(sk);
		for (const datagram of [...(table.receive_queue.get(sk) ?? [])]) {
			const open = this.open.get(datagram);
			if (open === undefined) return false;
			if (this.moveOn(datagram, open)) {
				if (late) open.others.add(sk);
				continue;
			}
			if (!open.mayBeGone) return false;
			this.take(table, sk, datagram);
		}
		return true;
	}

	/** Moves a datagram to another member. Its holder does not have it. */
	private moveOn(datagram: Datagram, open: Open): boolean {
		const [next] = open.others;
		if (next === undefined) return false;
		this.move(datagram, open, next);
		return true;
	}

	private move(datagram: Datagram, open: Open, to: number): void {
		const { receive_queue } = open.table;
		const from = receive_queue.get(open.holder);
		const at = from?.indexOf(datagram) ?? -1;
		if (at >= 0) from?.splice(at, 1);
		open.others.delete(to);
		open.holder = to;
		// It stands before those that arrived later.
		const queue = receive_queue.get(to) ?? [];
		receive_queue.set(to, queue);
		const later = [...this.open.keys()];
		const place = later.indexOf(datagram);
		const before = queue.findIndex((each) => later.indexOf(each) > place);
		queue.splice(before < 0 ? queue.length : before, 0, datagram);
	}
}
