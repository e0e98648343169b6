// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The order of overlapping events, where their results show it together with the state of the
 * model. Before an event acts, it or others beside it are moved to where they must have acted. The
 * search need not try these orders.
 */
import { sk_acceptq_is_full } from "../../include/net/sock.js";
import { TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2 } from "../../include/net/tcp_states.js";
import { nth } from "../machine/nth.js";
import { systemCall } from "../script/calls.js";
import { fdOf } from "../script/operands.js";
import { type CallLine, ScriptError } from "../script/strace.js";
import { isUdp } from "./model_call.js";
import type { Event, Events } from "./order.js";
import type { World } from "./world.js";

/** States in which the peer has sent no FIN. */
const AWAITS_FIN = new Set([TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2]);

/** Most overlapping calls that are looked at. */
const CALLS_BESIDE = 32;

/** Most overlapping events among which ends of processes are looked for. */
const ENDS_BESIDE = 64;

export class ShownOrder {
	constructor(
		private readonly world: World,
		private readonly events: Events,
	) {}

	/** Moves the event that is next, at index `cursor`, and those beside it, as results show. */
	arrange(cursor: number): void {
		if (this.world.ownAnswers !== null) return;
		this.closeBeforeReuse(cursor);
		this.acceptBeforeFullQueue(cursor);
		if (this.world.settled) return;
		this.endBeforeEndOfData(cursor);
		this.emptyReceiveBeforeSend(cursor);
	}

	/**
	 * A call got a descriptor that another task is about to close. The number shows that the close
	 * came first.
	 */
	private closeBeforeReuse(cursor: number): void {
		const { world, events } = this;
		const event = events.get(cursor);
		const { line, begin, end } = event;
		if (line.kind !== "call" || begin === end) return;
		const role = systemCall(line.name)?.role;
		if (role !== "socket" && role !== "accept" && role !== "descriptor") return;
		const made = line.result?.value ?? -1;
		const task = world.tasks.get(line.pid ?? 0);
		if (made < 0 || task === undefined || task.fileOf(made) === 0) return;
		for (const index of events.overlapping(cursor, CALLS_BESIDE)) {
			const other = events.get(index);
			if (index < cursor || other.line.kind !== "call" || other.line.name !== "close") continue;
			if (fdOf(other.line) !== made || end <= other.at) continue;
			events.move(cursor, (other.at + (events.at(index + 1)?.at ?? end)) / 2);
			return;
		}
	}

	/**
	 * A connection reaches a full queue, and an accept() sleeps on this queue. The accept() took a
	 * client at once, long before it returned. Otherwise the client would have had to retransmit.
	 */
	private acceptBeforeFullQueue(cursor: number): void {
		const { events } = this;
		const { line, at, begin } = events.get(cursor);
		if (line.kind !== "call" || line.name !== "connect") return;
		for (const index of events.overlapping(cursor, CALLS_BESIDE)) {
			const other = events.get(index);
			if (index < cursor || other.begin >= at || other.line.kind !== "call") continue;
			if (systemCall(other.line.name)?.role !== "accept") continue;
			if ((other.line.result?.value ?? -1) < 0 || !this.clientIsInFullQueue(other.line)) continue;
			const before = events.at(cursor - 1)?.at ?? begin;
			events.move(index, (Math.max(before, other.begin) + at) / 2);
			return;
		}
	}

	/** Whether the listener of an accept() has a full queue that holds the recorded client. */
	private clientIsInFullQueue(accept: CallLine): boolean {
		const { world } = this;
		const S = world.kernel.sock;
		const listener = this.portSk(accept);
		if (listener === 0 || !sk_acceptq_is_full(world.kernel, listener)) return false;
		const client = world.operands(accept).shownAddress(1) ?? world.evidence.peers.get(accept);
		let child = S.rskq_accept_head.get(listener);
		while (child !== 0 && client !== undefined && S.skc_dport[child] !== client.port) {
			child = S.dl_next.get(child);
		}
		return child !== 0;
	}

	/**
	 * A call reads the end of the data of a process, and a line soon after says that this process has
	 * ended. The process ended first.
	 */
	private endBeforeEndOfData(cursor: number): void {
		const { world, events } = this;
		const { line, at } = events.get(cursor);
		if (line.kind !== "call" || systemCall(line.name)?.role !== "receive") return;
		if (line.result?.value !== 0 && line.result?.errno !== "ECONNRESET") return;
		const sk = this.portSk(line);
		if (sk === 0 || !AWAITS_FIN.has(nth(world.kernel.sock.skc_state, sk))) return;
		const holders = world.holdersOfPeer(sk);
		if (holders.size === 0) return;
		const ends: number[] = [];
		for (const index of events.overlapping(cursor, ENDS_BESIDE)) {
			const other = events.get(index);
			if (index < cursor || other.line.kind !== "exit" || other.begin >= at) continue;
			if (holders.delete(other.line.pid ?? 0)) ends.push(index);
		}
		if (holders.size > 0) return;
		const before = events.at(cursor - 1)?.at ?? 0;
		// An event that moves to the front shifts only those before its old place. So the indices of
		// the later ends stay.
		for (const index of ends.sort((a, b) => a - b)) {
			events.move(index, (Math.max(before, events.get(index).begin) + at) / 2);
		}
	}

	/**
	 * A call is about to send data or a FIN, and a receive at the other end that overlaps it finds
	 * nothing. The receive acts first.
	 */
	private emptyReceiveBeforeSend(cursor: number): void {
		const { events } = this;
		const event = events.get(cursor);
		const { line, at, end } = event;
		if (line.kind !== "call") return;
		const role = systemCall(line.name)?.role;
		const sends = role === "send" && (line.result?.value ?? -1) > 0;
		if (!sends && role !== "close" && line.name !== "shutdown") return;
		const sk = this.portSk(line);
		if (sk === 0) return;
		const ports = this.destinations(line, sk);
		for (let index = cursor + 1; index < cursor + CALLS_BESIDE; index++) {
			const other = events.at(index);
			if (other === undefined) return;
			const from = Math.max(other.begin, events.at(cursor - 1)?.at ?? 0);
			if (other.begin >= Math.max(end, at) || !this.findsNothing(other, sk, ports)) continue;
			if (from < at) events.move(index, (from + at) / 2);
			else if (other.at < end) events.move(cursor, (other.at + end) / 2);
			else {
				events.move(index, from + (end - from) / 3);
				events.move(cursor, end - (end - from) / 3);
			}
			return;
		}
	}

	/** The ports that a call on a sock sends to. */
	private destinations(call: CallLine, sk: number): number[] {
		const S = this.world.kernel.sock;
		const port = nth(S.skc_dport, sk);
		if (port !== 0 || !isUdp(nth(S.sk_protocol, sk))) return [port];
		try {
			const { messages } = this.world.operands(call).messages() ?? { messages: [] };
			return messages.map(({ to }) => to?.address?.port ?? 0);
		} catch (error) {
			if (error instanceof ScriptError) return [];
			throw error;
		}
	}

	/** Whether an event is a receive that finds nothing, by a socket that a sock may send to. */
	private findsNothing({ line }: Event, sk: number, ports: readonly number[]): boolean {
		if (line.kind !== "call" || line.result?.errno !== "EAGAIN") return false;
		if (systemCall(line.name)?.role !== "receive") return false;
		const { skc_num, skc_dport } = this.world.kernel.sock;
		const peer = this.portSk(line);
		if (peer === 0 || !ports.includes(nth(skc_num, peer))) return false;
		return skc_dport[peer] === skc_num[sk] || skc_dport[peer] === 0;
	}

	/** The sock that has the port of a call's descriptor; 0 if the model has none yet. */
	private portSk(call: CallLine): number {
		const task = this.world.tasks.get(call.pid ?? 0);
		return task === undefined ? 0 : this.world.portSk(task, call);
	}
}
