// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Check mode: where the connections of a reuseport group wait. Which member gets one hangs
 * on a secret hash; calls show it later, if at all.
 */
import { type In6Addr, ipv6_addr_equal } from "../../include/net/ipv6.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import { reqsk_queue_remove } from "../../net/ipv4/inet_connection_sock.js";
import { type Address, parseIpv4, parseIpv6, unmapped } from "../machine/address.js";
import type { Kernel } from "../machine/kernel.js";
import { add, nth } from "../machine/nth.js";

/** So many questions are remembered. */
const QUESTIONS = 4096;

export class AcceptQueues {
	/** By snd_isn of a connection: listeners that were seen not to have it. */
	private readonly without = new Map<number, Set<number>>();
	/** Questions to secrets, by number: of which client's port each one is. */
	readonly questions = new Map<number, number>();

	constructor(private readonly kernel: Kernel) {}

	private members(listener: number): readonly number[] {
		const { kernel } = this;
		return kernel.reuseport.get(nth(kernel.sock.sk_reuseport_cb, listener))?.socks ?? [listener];
	}

	/** The connections that wait at a listener, the oldest first. */
	private waiting(listener: number): number[] {
		const S = this.kernel.sock;
		const children: number[] = [];
		for (
			let child = nth(S.rskq_accept_head, listener);
			child !== 0;
			child = nth(S.dl_next, child)
		) {
			children.push(child);
		}
		return children;
	}

	/** Takes a connection from one listener's queue to the front of another's. */
	private requeue(child: number, from: number, to: number): void {
		const S = this.kernel.sock;
		reqsk_queue_remove(this.kernel, from, child);
		S.dl_next[child] = nth(S.rskq_accept_head, to);
		S.rskq_accept_head[to] = child;
		if (S.rskq_accept_tail[to] === 0) S.rskq_accept_tail[to] = child;
		S.rsk_listener[child] = to;
		add(S.sk_ack_backlog, to, 1);
	}

	/**
	 * A connection that was accepted, from `peer` if that is known: if it waits elsewhere, or
	 * later because one of several clients came first between the recorded moments, it moves
	 * to the front.
	 */
	adopt(listener: number, peer: Address | null): void {
		for (const member of this.members(listener)) {
			const child = this.waiting(member).find((each) => peer === null || this.isFrom(each, peer));
			if (child === undefined) continue;
			this.requeue(child, member, listener);
			return;
		}
		if (peer !== null) this.sendUnseen(listener, peer);
	}

	/** Whether a connection waits in the queue of a listener, or of one of its group. */
	waits(listener: number): boolean {
		return this.members(listener).some(
			(each) => nth(this.kernel.sock.rskq_accept_head, each) !== 0,
		);
	}

	/** Whether the other end of a sock is this address. */
	private isFrom(sk: number, { family, address, port }: Address): boolean {
		const S = this.kernel.sock;
		if (S.skc_dport[sk] !== port) return false;
		const v6_daddr: In6Addr | null = family === "AF_INET6" ? parseIpv6(address) : null;
		return v6_daddr === null
			? S.skc_daddr[sk] === parseIpv4(address)
			: ipv6_addr_equal(S.skc_v6_daddr, sk * 4, v6_daddr, 0);
	}

	/**
	 * TCP_DEFER_ACCEPT: a client was accepted that has sent nothing so far. So it did, by
	 * writev(), sendfile() or another call that is not recorded.
	 */
	private sendUnseen(listener: number, peer: Address): void {
		const { kernel } = this;
		const S = kernel.sock;
		const deferred = this.members(listener).some((member) => S.rskq_defer_accept[member] !== 0);
		if (!deferred) return;
		for (const task of kernel.tasks) {
			for (const fd of task.socketDescriptors()) {
				const sk = nth(kernel.socket.sk, task.socketOf(fd));
				if (S.skc_state[sk] !== TCP_ESTABLISHED || S.skc_num[sk] !== peer.port) continue;
				if (S.skc_dport[sk] !== S.skc_num[listener]) continue;
				const name = task.getsockname(fd);
				if (typeof name === "number" || unmapped(name.address) !== unmapped(peer.address)) continue;
				task.sendto(fd, 1, null, 0, true);
				for (const member of this.members(listener)) {
					const child = this.waiting(member).find((each) => this.isFrom(each, peer));
					if (child !== undefined) this.requeue(child, member, listener);
				}
				return;
			}
		}
	}

	/** The queue was seen to be empty: what waits there went to another member, if there is one. */
	disown(listener: number): void {
		for (const member of this.members(listener)) {
			for (const child of this.waiting(member)) {
				const without = this.withoutIt(child);
				without.add(listener);
				const other = this.members(listener).find((candidate) => !without.has(candidate));
				if (member === listener && other !== undefined) this.requeue(child, member, other);
			}
		}
	}

	/** Whether the kernel's hash put a connection elsewhere than the model did. */
	private ask(child: number): boolean {
		const { questions, kernel } = this;
		questions.set(kernel.secrets_asked, nth(kernel.sock.skc_dport, child));
		const [oldest] = questions.keys();
		if (oldest !== undefined && questions.size > QUESTIONS) questions.delete(oldest);
		return kernel.askSecret();
	}

	private withoutIt(child: number): Set<number> {
		const isn = nth(this.kernel.sock.snd_isn, child);
		const known = this.without.get(isn);
		if (known !== undefined) return known;
		const none = new Set<number>();
		this.without.set(isn, none);
		return none;
	}

	/** A member stops listening, and resets what waits there, be it what the model put there or not. */
	leaves(listener: number): void {
		const others = this.members(listener).filter((member) => member !== listener);
		const had = this.waiting(listener);
		for (const member of others) {
			for (const child of this.waiting(member)) {
				if (this.withoutIt(child).has(listener) || !this.ask(child)) continue;
				this.requeue(child, member, listener);
			}
		}
		for (const child of had) {
			const without = this.withoutIt(child);
			const other = others.find((candidate) => !without.has(candidate));
			if (other !== undefined && this.ask(child)) this.requeue(child, listener, other);
		}
	}
}
