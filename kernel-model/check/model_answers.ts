// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The model's answer to a call. The call is made with what is known of it. If the result is not the
 * recorded one, it is reconsidered: bad memory or a fact about the host may explain the recorded
 * result.
 */

import type { RouteAnswer } from "../../include/net/net_namespace.js";
import { EFAULT, EINPROGRESS } from "../../include/uapi/asm-generic/errno.js";
import { NotModelled } from "../../net/core/sock.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { Snapshots } from "../machine/snapshot.js";
import type { Task } from "../machine/task.js";
import { choosesPort, EXHAUSTED, isSend, systemCall } from "../script/calls.js";
import { type CallLine, ScriptError } from "../script/strace.js";
import type { Calls } from "./calls.js";
import { EPOCH, offsetDiffers } from "./exact.js";
import type { Facts } from "./facts.js";
import { Host } from "./host.js";
import { type Handled, IGNORED, type ModelResult } from "./model_call.js";
import { passesBarePointer } from "./pointers.js";
import { RangeWatch } from "./range_watch.js";
import type { RecordedClock } from "./recorded_clock.js";
import type { Turn } from "./turn.js";
import type { World } from "./world.js";

/** Most facts about the host that are learnt from one call. */
const FACTS = 4;

export class ModelAnswers {
	/** How the draws of the last call differ from the recorded ones; null if they do not. */
	drawDifference: string | null = null;
	private readonly host: Host;
	private readonly kernel: Kernel;
	private readonly facts: Facts;

	constructor(
		private readonly world: World,
		private readonly calls: Calls,
		private readonly clock: RecordedClock,
		private readonly snapshots: Snapshots,
	) {
		this.host = new Host(world);
		this.kernel = world.kernel;
		this.facts = world.facts;
	}

	/** The model makes a call. Throws ScriptError for a call of a script that has no meaning. */
	answer(turn: Turn): Handled {
		const { task, call, outcome, recorded, checking } = turn;
		const { world } = this;
		this.kernel.blocker = 0;
		const { otherUsers } = world;
		if (checking) outcome.learnt = this.host.learnUser(task, call, recorded);
		let handled = this.make(turn);
		if (checking && handled !== IGNORED && handled.result !== recorded) {
			handled = this.reconsider(turn, handled) ?? handled;
		}
		if (world.otherUsers !== otherUsers) outcome.learnt = world.otherUsers;
		return handled;
	}

	/** Makes a failed call once more under a RangeWatch and undoes it. Returns the RangeWatch. */
	underWatch(turn: Turn): RangeWatch {
		const { call, revealed, outcome } = turn;
		const { kernel, clock } = this;
		const { trace, blocker } = kernel;
		const { timed } = clock;
		const { explanation, learnt, error, reason } = outcome;
		const mark = this.snapshots.take();
		const watch = new RangeWatch(kernel, revealed?.port ?? 0);
		kernel.trace = watch;
		this.make({ ...turn, recorded: call.result === null ? null : outcome.recorded });
		Object.assign(outcome, { explanation, learnt, error, reason });
		kernel.trace = trace;
		this.snapshots.restore(mark);
		kernel.blocker = blocker;
		clock.timed = timed;
		return watch;
	}

	/** Makes a call. The observer steers its search to the known port. */
	private make({ task, call, recorded, revealed, outcome }: Turn): Handled {
		const { world } = this;
		this.steer(task, call, revealed?.port ?? null);
		const freeAgain = this.reserveAvoided(task, call);
		let handled: Handled;
		try {
			handled = this.calls.make(task, call, recorded);
		} catch (error) {
			if (error instanceof ScriptError) {
				if (world.ownAnswers !== null) outcome.error = error;
				else outcome.reason = whyPassedOver(call, error);
			} else if (error instanceof NotModelled) this.noteNotModelled(task, call, error.message);
			else throw error;
			handled = IGNORED;
		}
		freeAgain();
		world.observer.rest();
		if (world.random !== null) world.random.hashMix = world.draws?.secrets?.hashMix ?? null;
		this.drawDifference = world.random?.end() ?? null;
		// A connect() that fails takes the addresses away again.
		if (handled !== IGNORED && (handled.result >= 0 || handled.result === -EINPROGRESS)) {
			this.drawDifference ??= this.portOffsetDifference(task, call);
		}
		return handled;
	}

	/**
	 * Tells the observer what the search of a call must find, or sets the recorded draws of the
	 * call. `port` is the port that the search is known to have chosen; null if it is not known.
	 */
	private steer(task: Task, call: CallLine, port: number | null): void {
		const { world } = this;
		const errno = call.result?.errno ?? null;
		const wish = world.ownAnswers?.wishes.get(call);
		const failed = errno !== null && world.ownAnswers === null && EXHAUSTED.has(errno);
		world.observer.expect({
			port: wish === undefined ? port : wish.port,
			exhausted: wish === undefined ? failed : wish.exhausted,
			avoided: this.facts.avoided.get(call.line) ?? null,
			remote: this.remoteAnswer(task, call),
			cookie: world.ownAnswers === null ? this.calls.cookie(task, call) : null,
		});
		// The draws of these calls are not those of the port allocator.
		if (systemCall(call.name)?.makesNamespaces !== true) {
			world.random?.begin(world.draws?.byCall.get(call) ?? []);
		} else if (world.random !== null) {
			world.random.hashMix = world.draws?.secrets?.byCall.get(call) ?? null;
		}
	}

	/** What another host answered, if the result of a call shows it; else null. */
	private remoteAnswer(task: Task, call: CallLine): RouteAnswer | null {
		const { value, errno } = call.result ?? { value: null, errno: null };
		if (value === null || !this.calls.connects(task, call)) return null;
		if (value >= 0) return "accept";
		return errno === "ECONNREFUSED" ? "refuse" : null;
	}

	/**
	 * Sockets outside the recording may have held ports that the search of a call is known to have
	 * passed over. Such ports are reserved while the call is made. Returns what frees them again.
	 */
	private reserveAvoided(task: Task, call: CallLine): () => void {
		const outsiders = this.facts.mayHaveOutsiders || !this.world.alone;
		const ports = outsiders ? this.facts.avoided.get(call.line) : undefined;
		if (ports === undefined) return () => {};
		const reserved = task.net.net.ipv4.sysctl_local_reserved_ports;
		const before = reserved.slice();
		for (const port of ports) {
			reserved[port >>> 5] = nth(reserved, port >>> 5) | (1 << (port & 31));
		}
		return () => reserved.set(before);
	}

	/**
	 * How the port_offset of a connect() on the kernel differs from the model's; null if it does not,
	 * or is not known.
	 */
	private portOffsetDifference(task: Task, call: CallLine): string | null {
		const { world, kernel } = this;
		const draws = world.draws?.byCall.get(call);
		if (draws === undefined || world.draws?.secrets?.byName.has("net_secret") !== true) return null;
		const sk = world.portSk(task, call);
		if (sk === 0 || call.time === null) return null;
		const end = call.endTime ?? call.time;
		return offsetDiffers(kernel, sk, draws, call.time % EPOCH, end % EPOCH);
	}

	/**
	 * A call that is not modelled may have given the socket a port, a peer or another state. A fast
	 * open of MPTCP that fails disconnects the socket, even a listener (mptcp_sendmsg_fastopen).
	 */
	private noteNotModelled(task: Task, call: CallLine, what: string): void {
		const { line, name, result } = call;
		const failed = result !== null && result.errno !== null && result.errno !== "EINPROGRESS";
		if ((failed && !isSend(name)) || !(choosesPort(name) || name === "listen")) return;
		const { world } = this;
		const sk = world.sk(task, call);
		if (sk !== 0) world.doubts.set(sk, `line ${line} is not modelled: ${what}`);
	}

	/**
	 * A result is not the recorded one. Returns the result after what explains this: bad memory, or
	 * facts about the host; null if nothing does.
	 */
	private reconsider(turn: Turn, done: ModelResult): Handled | null {
		return this.badMemory(turn, done) ?? this.afterLearning(turn, done);
	}

	/** strace could not read what a pointer points to, so it may be good or bad memory. */
	private badMemory({ task, call, recorded }: Turn, done: ModelResult): ModelResult | null {
		if (recorded === null || !passesBarePointer(call)) return null;
		if (recorded === -EFAULT) return { result: -EFAULT };
		if (done.result !== -EFAULT) return null;
		const { world } = this;
		const sk = world.sk(task, call);
		const why = `line ${call.line} passes memory that is not shown`;
		if (recorded >= 0 && sk !== 0) world.doubts.set(sk, why);
		// A socket with an address that is not known may be in the way of any other.
		const { id } = task.net.net;
		if (recorded >= 0 && call.name === "bind" && !world.netDoubts.has(id)) {
			world.netDoubts.set(id, why);
		}
		return { result: recorded };
	}

	/** Learns facts about the host one by one, and makes the call again after each. */
	private afterLearning(turn: Turn, done: ModelResult): Handled | null {
		const { task, call, recorded, outcome } = turn;
		let answer = done;
		for (let learnt = 0; learnt < FACTS; learnt++) {
			const fact = this.host.learn(task, call, answer.result, recorded);
			if (fact === null) return learnt === 0 ? null : answer;
			outcome.learnt = outcome.learnt === null ? fact : `${outcome.learnt}, ${fact}`;
			// The call cannot be made again.
			if (answer.result >= 0) return { ...answer, result: recorded ?? answer.result };
			this.kernel.blocker = 0;
			const handled = this.make(turn);
			if (handled === IGNORED) return handled;
			answer = handled;
			if (answer.result === recorded) return answer;
		}
		return answer;
	}
}

/**
 * Why a call with arguments that have no meaning is passed over; null for a call whose return is
 * not recorded, because strace prints the arguments that a call returns only then. A recording is
 * never refused for a call. A call of a script is: throws the error.
 */
function whyPassedOver(call: CallLine, error: ScriptError): string | null {
	if (call.result === null && !call.unresumed) throw error;
	const returned =
		call.result !== null && (call.result.value !== null || call.result.errno !== null);
	if (!returned) return null;
	// Without the place of the error, which the line of the call gives.
	return `not understood: ${error.message.slice(error.message.indexOf("expected "))}`;
}
