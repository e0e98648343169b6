// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Check mode: the accept queues of a reuseport group. The kernel chooses the member that gets a
 * connection by a hash with a secret. A later call may show which member it was. If the recording
 * has the kernel's secret, the model's choice is the kernel's.
 */
import { type In6Addr, ipv6_addr_equal } from "../../include/net/ipv6.js";
import { reqsk_queue_remove } from "../../include/net/request_sock.js";
import { SOCK_MPTCP, sk_acceptq_is_full } from "../../include/net/sock.js";
import type { AcceptQueueGuest, SecretKind } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import { skOverIpv6 } from "../../net/ipv4/inet_hashtables.js";
import {
	type Address,
	formatIpv4,
	formatIpv6,
	parseIpv4,
	parseIpv6,
	unmapped,
} from "../machine/address.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";

/** An IPv4 address as a text, or an IPv6 address whose words begin at `at`. */
function addressText(address: number | In6Addr, at = 0): string {
	return typeof address === "number" ? formatIpv4(address) : unmapped(formatIpv6(address, at));
}

/** Most questions that are kept. */
const QUESTIONS = 4096;

export class AcceptQueues implements AcceptQueueGuest {
	/** Listeners that were seen not to have a connection, by the connection's snd_isn. */
	private readonly without = new Map<number, Set<number>>();
	/** The port of the client that each question to a secret is about, by the question's number. */
	readonly questions = new Map<number, number>();

	constructor(
		private readonly kernel: Kernel,
		/**
		 * The member of the group that a later accept() shows to have a client, by the address and the
		 * port of the client; null if none does.
		 */
		private readonly shown: (
			members: readonly number[],
			address: string,
			port: number,
		) => number | null = () => null,
	) {}

	private members(listener: number): readonly number[] {
		const { kernel } = this;
		return kernel.reuseport.get(nth(kernel.sock.sk_reuseport_cb, listener))?.socks ?? [listener];
	}

	/** The connections in the accept queue of a listener, oldest first. */
	private waiting(listener: number): number[] {
		const S = this.kernel.sock;
		const children: number[] = [];
		for (let child = S.rskq_accept_head.get(listener); child !== 0; child = S.dl_next.get(child)) {
			children.push(child);
		}
		return children;
	}

	/** The secret that decides which member gets a connection. */
	private secretOf(child: number): SecretKind {
		return skOverIpv6(this.kernel.sock, child) ? "ehash6" : "ehash";
	}

	/** Whether the model chose the member by the kernel's own secret. */
	private isDecided(child: number): boolean {
		return this.kernel.known.has(this.secretOf(child));
	}

	/** Moves a connection from the queue of one listener to the front of the queue of another. */
	private requeue(child: number, from: number, to: number): void {
		const S = this.kernel.sock;
		reqsk_queue_remove(this.kernel, from, child);
		S.dl_next.set(child, S.rskq_accept_head.get(to));
		S.rskq_accept_head.set(to, child);
		if (S.rskq_accept_tail.get(to) === 0) S.rskq_accept_tail.set(to, child);
		S.rsk_listener.set(child, to);
		S.sk_ack_backlog.add(to, 1);
	}

	/**
	 * Moves the connection that an accept() returns to the front of its listener's queue. In the
	 * model the connection may be in the queue of another member, or behind another client that
	 * connected at the same time. `peer` is the address of the client; null if it is not known.
	 */
	adopt(listener: number, peer: Address | null): void {
		for (const member of this.members(listener)) {
			const waiting = this.waiting(member);
			const child = waiting.find((each) => {
				const fits = peer === null || this.isFrom(each, peer);
				return fits && (member === listener || !this.isDecided(each));
			});
			if (child === undefined) continue;
			// The order of two connections is known if the members of both are.
			const ahead = waiting.slice(0, waiting.indexOf(child));
			const stays = this.isDecided(child) && ahead.some((each) => this.isDecided(each));
			if (!stays) this.requeue(child, member, listener);
			return;
		}
		if (peer !== null) this.sendUnseen(listener, peer);
	}

	/** Whether a connection waits in the queue of a listener or of another member of its group. */
	waits(listener: number): boolean {
		return this.members(listener).some((each) => this.kernel.sock.rskq_accept_head.get(each) !== 0);
	}

	/** The sock that has the client's address. An MPTCP sock keeps it when its subflow has ended. */
	private addressed(child: number): number {
		return this.kernel.mptcp.conn.get(child) ?? child;
	}

	/** Whether a connection is from this address. */
	private isFrom(child: number, { family, address, port }: Address): boolean {
		const S = this.kernel.sock;
		const sk = this.addressed(child);
		if (S.skc_dport[sk] !== port) return false;
		const v6_daddr: In6Addr | null = family === "AF_INET6" ? parseIpv6(address) : null;
		return v6_daddr === null
			? S.skc_daddr[sk] === parseIpv4(address)
			: ipv6_addr_equal(S.skc_v6_daddr, sk * 4, v6_daddr, 0);
	}

	/**
	 * TCP_DEFER_ACCEPT: the kernel accepted a client that has sent nothing on the model. The client
	 * has then sent data by a call that is not recorded, such as sendfile(). Makes this send.
	 */
	private sendUnseen(listener: number, peer: Address): void {
		const { kernel } = this;
		const S = kernel.sock;
		const deferred = this.members(listener).some((member) => S.rskq_defer_accept.get(member) !== 0);
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

	/** The kernel's queue of a listener is empty. Moves its connections to another member, if any. */
	disown(listener: number): void {
		for (const member of this.members(listener)) {
			for (const child of this.waiting(member)) {
				if (this.isDecided(child)) continue;
				const without = this.withoutIt(child);
				without.add(listener);
				const other = this.members(listener).find((candidate) => !without.has(candidate));
				if (member === listener && other !== undefined) this.requeue(child, member, other);
			}
		}
	}

	/** Whether the kernel gave a connection to another member than the model did. */
	private ask(child: number): boolean {
		return this.askAbout(nth(this.kernel.sock.skc_dport, child), this.secretOf(child));
	}

	/** Whether a secret decided otherwise about the connection from a port. */
	private askAbout(port: number, of: SecretKind): boolean {
		const { questions, kernel } = this;
		if (kernel.known.has(of)) return false;
		questions.set(kernel.secrets_asked, port);
		const [oldest] = questions.keys();
		if (oldest !== undefined && questions.size > QUESTIONS) questions.delete(oldest);
		return kernel.askSecret(of);
	}

	/**
	 * A group may have listeners of TCP and of MPTCP. A client of MPTCP shows which of the two took
	 * its connection. Among listeners of the same protocol a later accept() may show the member.
	 * If none does, the model's choice stands until a later call shows another one. If only some
	 * queues are full, the choice decides whether the client is connected.
	 */
	selects(
		member: number,
		of: SecretKind,
		sport: number,
		saddr: number | In6Addr,
		si?: number,
	): number {
		const { sk_flags } = this.kernel.sock;
		const members = this.members(member);
		if (!this.kernel.known.has(of)) {
			const shown = this.shown(members, addressText(saddr, si), sport);
			if (shown !== null) {
				this.makeRoom(shown, members);
				return shown;
			}
		}
		const isMptcp = (sk: number) => (nth(sk_flags, sk) & SOCK_MPTCP) !== 0;
		const other = members.find((sk) => isMptcp(sk) !== isMptcp(member));
		if (other !== undefined && this.askAbout(sport, of)) return other;
		const isFull = (sk: number) => sk_acceptq_is_full(this.kernel, sk);
		const unlike = members.find((sk) => isFull(sk) !== isFull(member));
		return unlike !== undefined && this.askAbout(sport, of) ? unlike : member;
	}

	/**
	 * A later accept() shows that a listener had room for a client. If its queue is full on the model,
	 * a client in it that no accept() of this listener shows waits in the queue of another member.
	 */
	private makeRoom(listener: number, members: readonly number[]): void {
		const isFull = (sk: number) => sk_acceptq_is_full(this.kernel, sk);
		if (!isFull(listener)) return;
		const { skc_dport, skc_daddr, skc_v6_daddr } = this.kernel.sock;
		for (const child of this.waiting(listener)) {
			if (this.isDecided(child)) continue;
			const sk = this.addressed(child);
			const from = skOverIpv6(this.kernel.sock, sk)
				? addressText(skc_v6_daddr, sk * 4)
				: addressText(nth(skc_daddr, sk));
			if (this.shown(members, from, nth(skc_dport, sk)) === listener) continue;
			const without = this.withoutIt(child);
			const other = members.find((sk) => sk !== listener && !isFull(sk) && !without.has(sk));
			if (other === undefined) continue;
			this.requeue(child, listener, other);
			return;
		}
	}

	private withoutIt(child: number): Set<number> {
		const isn = nth(this.kernel.sock.snd_isn, child);
		const known = this.without.get(isn);
		if (known !== undefined) return known;
		const none = new Set<number>();
		this.without.set(isn, none);
		const [oldest] = this.without.keys();
		if (oldest !== undefined && this.without.size > QUESTIONS) this.without.delete(oldest);
		return none;
	}

	/**
	 * A member stops listening, and the kernel resets the connections in its queue. Secrets decide
	 * which connections of the group are in this queue.
	 */
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
