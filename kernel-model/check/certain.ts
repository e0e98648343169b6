// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Differences that no choice can explain. If a program had a namespace of its own, some results are
 * impossible for every choice of ports and every order of calls. The search is then not needed.
 */
import { EADDRINUSE } from "../../include/uapi/asm-generic/errno.js";
import { type Address, unmapped } from "../machine/address.js";
import { isHostAddress } from "../machine/net.js";
import type { Task } from "../machine/task.js";
import { fdOf } from "../script/operands.js";
import { type CallLine, ScriptError } from "../script/strace.js";
import type { Events } from "./order.js";
import type { Contradiction } from "./turn.js";
import type { World } from "./world.js";

/** Most overlapping calls that are checked. */
const BESIDE = 32;

export class Certain {
	/**
	 * Ports that a socket of the recording can have: ports named so far, and ports of ranges in
	 * effect so far.
	 */
	private readonly possible = new Uint8Array(65_536);
	/** The last range of each namespace that was added to `possible`, as low << 16 | high. */
	private readonly ranges: number[] = [];
	/** There may be sockets that no line made. */
	private unseen = false;

	constructor(
		private readonly world: World,
		private readonly events: Events,
	) {}

	/** Before a call: adds the ranges in effect. */
	before(): void {
		for (const { id, ipv4 } of this.world.kernel.nets) {
			const [low, high] = ipv4.ip_local_ports.range;
			const range = (low << 16) | high;
			if (this.ranges[id] === range) continue;
			this.ranges[id] = range;
			this.possible.fill(1, low, high + 1);
		}
	}

	/** After a call: adds the port that it named. */
	after(call: CallLine): void {
		if (call.name === "io_uring_setup" || call.name === "pidfd_getfd") this.unseen = true;
		if (call.name !== "bind" && call.name !== "getsockname") return;
		try {
			const port = this.world.operands(call).shownAddress(1)?.port ?? 0;
			this.possible[port] = 1;
		} catch (error) {
			if (!(error instanceof ScriptError)) throw error;
			this.unseen = true; // any port
		}
	}

	/** The rule that excludes a result; null if other choices may explain it. */
	rule(contradiction: Contradiction): string | null {
		const { world } = this;
		const { call, task, result, recorded } = contradiction;
		if (!world.alone || this.unseen || world.draws !== null) return null;
		if (world.doubts.size > 0 || world.netDoubts.size > 0) return null;
		const accepts = call.name === "accept" || call.name === "accept4";
		if (call.name === "bind" && recorded === -EADDRINUSE && result === 0) {
			const port = world.operands(call).shownAddress(1)?.port ?? 0;
			if (port === 0 || this.possible[port] === 1 || this.overlaps(contradiction, /^bind$/))
				return null;
			return `no socket of the recording can have port ${port}: no call named it, and it was in no range`;
		}
		const { revealed } = contradiction;
		if (revealed?.exact === true && this.possible[revealed.port] === 0) {
			if (this.overlaps(contradiction, /^bind$/)) return null;
			return `no search can choose port ${revealed.port}: it was in no range`;
		}
		if (recorded === null || recorded < 0) return null;
		if (!accepts && call.name !== "getsockname") return null;
		const told = world.operands(call).shownAddress(1);
		if (told === null || told.port === 0) return null;
		if (accepts && !isHostAddress(task.net.net, told)) return null;
		if (this.possible[told.port] === 0) {
			if (this.overlaps(contradiction, /^bind$/)) return null;
			const who = accepts ? "client" : "socket";
			return `no ${who} can have port ${told.port}: no call named it, and it was in no range`;
		}
		if (!accepts || world.recording.leavesClosesOut) return null;
		if (this.overlaps(contradiction, /^(close|close_range|shutdown|exit.*|execve)$/)) return null;
		return this.holds(task, call, told, result)
			? `the connection from ${told.address}:${told.port} was accepted before, and both its ends are open`
			: null;
	}

	private overlaps({ index }: Contradiction, names: RegExp): boolean {
		return this.events.overlapping(index, BESIDE).some((at) => {
			const { line } = this.events.get(at);
			return line.kind === "exit" || (line.kind === "call" && names.test(line.name));
		});
	}

	/**
	 * Whether both ends of a connection that accept() reports are open. `made` is the descriptor
	 * that the model's accept() has just returned.
	 */
	private holds(task: Task, call: CallLine, told: Address, made: number): boolean {
		const listener = task.getsockname(fdOf(call) ?? -1);
		if (typeof listener === "number") return false;
		let server = false;
		let client = false;
		for (const { holder, fd, name, peer } of this.connections()) {
			if (holder === task && fd === made) continue;
			if (peer.port === told.port && name.port === listener.port && same(peer, told)) server = true;
			if (name.port === told.port && peer.port === listener.port && same(name, told)) client = true;
		}
		return server && client;
	}

	private *connections(): Generator<{ holder: Task; fd: number; name: Address; peer: Address }> {
		for (const holder of this.world.kernel.tasks) {
			for (const fd of holder.socketDescriptors()) {
				const name = holder.getsockname(fd);
				const peer = holder.getpeername(fd);
				if (typeof name !== "number" && typeof peer !== "number") yield { holder, fd, name, peer };
			}
		}
	}
}

const same = (a: Address, b: Address) => unmapped(a.address) === unmapped(b.address);
