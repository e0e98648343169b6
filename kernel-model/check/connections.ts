// SPDX-License-Identifier: GPL-2.0-or-later
/** listen(), connect() and accept(). A call may sleep, and a client may be from outside. */
import { O_NONBLOCK } from "../../include/linux/net.js";
import { TCP_CLOSE } from "../../include/net/tcp_states.js";
import { EAGAIN, EFAULT, EINPROGRESS, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import type { Address } from "../machine/address.js";
import { describeAddress } from "../machine/explain.js";
import { nth } from "../machine/nth.js";
import type { Task } from "../machine/task.js";
import type { CallLine } from "../script/strace.js";
import {
	descriptor,
	type Handled,
	type ModelCall,
	OTHER_FAMILY,
	sameAddress,
} from "./model_call.js";
import { Outside } from "./outside.js";
import { isFault, roomFor } from "./pointers.js";
import type { World } from "./world.js";

/** Errors of a connect() that does not sleep. */
const AT_ONCE = new Set(["EALREADY", "EINPROGRESS", "EISCONN"]);

/** Errors of a connect() that slept until an answer arrived or its time was over. */
const RELEASED = new Set([
	"EBADRQC",
	"ECONNREFUSED",
	"ECONNRESET",
	"EHOSTUNREACH",
	"ENOMSG",
	"ETIMEDOUT",
	"EUSERS",
]);

export class Connections {
	private readonly outside: Outside;

	/** `wait` advances the clock to a recorded time. */
	constructor(
		private readonly world: World,
		private readonly wait: (time: number | null) => void,
	) {
		this.outside = new Outside(world);
	}

	listen({ task, fd, operands }: ModelCall): Handled {
		const result = task.listen(fd, operands.int(1, "a backlog"));
		const S = this.world.kernel.sock;
		const sk = this.world.portSkOfFd(task, fd);
		if (result === 0 && S.skc_reuseport[sk] !== 0)
			this.world.reuseportPorts.add(nth(S.skc_num, sk));
		return { result };
	}

	/**
	 * connect(). A recorded call that slept, while lines of others came between its begin and its end,
	 * goes on sleeping: the recorded result is returned, and play.ts judges the call when it wakes.
	 */
	connect({ task, fd, call, operands, recorded }: ModelCall): Handled {
		const length = operands.length(2, "an address length");
		const pointed = operands.sockaddr(1, length);
		if (pointed === null && isFault(call, length)) return { result: -EFAULT };
		const address = pointed?.address ?? OTHER_FAMILY;
		const error = call.result?.errno ?? "";
		const flags = nth(this.world.kernel.socket.flags, task.socketOf(fd));
		const flagged = (flags & O_NONBLOCK) !== 0;
		// fcntl() may not be recorded. The recorded result shows whether the call could sleep.
		const nonblock =
			recorded === null ? flagged : AT_ONCE.has(error) || (flagged && recorded !== 0);
		const result = task.connect(fd, address, length, nonblock);
		this.noteRefusal(task, fd, result);
		if (result !== -ERESTARTSYS) return { result };
		if (recorded === null) return { result: task.connectAndWait(fd, address) };
		const { ownAnswers, draws, sleeping } = this.world;
		const answered = recorded === 0 || RELEASED.has(error);
		if (answered && call.endLine > call.line && ownAnswers === null && draws === null) {
			sleeping.push(call.line);
			return { result: recorded };
		}
		this.wait(call.endTime ?? null);
		return { result: task.connectSleeping(fd) };
	}

	/** Notes a connect() that returned EINPROGRESS and was refused at once. Later calls show this. */
	private noteRefusal(task: Task, fd: number, result: number): void {
		const { kernel, refusals } = this.world;
		const sk = this.world.portSkOfFd(task, fd);
		const refused = kernel.sock.skc_state[sk] === TCP_CLOSE && kernel.sock.sk_err[sk] !== 0;
		if (result === -EINPROGRESS && refused) refusals.add(sk);
		else if (refusals.size > 0) refusals.delete(sk);
	}

	/** accept(). Before it, the recorded client comes to the front of the queue. */
	accept(modelCall: ModelCall): Handled {
		const { task, fd, sock, call, operands, recorded } = modelCall;
		const { kernel, evidence } = this.world;
		const flags = call.name === "accept4" ? operands.flags(3) : 0;
		const shown = operands.shownAddress(1);
		const client = shown ?? (recorded === null ? null : (evidence.peers.get(call) ?? null));
		const byOutsider = this.arrangeQueue(modelCall, client);
		const flagged = (nth(kernel.socket.flags, sock) & O_NONBLOCK) !== 0;
		const nonblock = flagged || recorded === -EAGAIN;
		const at = recorded !== null && recorded >= 0 ? descriptor(recorded) : undefined;
		const room = call.args[1]?.value.kind === "null" ? undefined : roomFor(modelCall);
		const peer: Partial<Address> = {};
		const attempt = () => task.accept4(fd, flags, peer, nonblock, at, room);
		let result = attempt();
		if (result === -ERESTARTSYS && recorded === null) result = task.waitForInput(fd, attempt);
		if (result >= 0) this.noteConnection(modelCall, result, client, byOutsider);
		const { family, address, port } = peer;
		if (family === undefined || address === undefined || port === undefined) return { result };
		const full: Address = { ...peer, family, address, port };
		const differs = client !== null && !sameAddress(client, full);
		const difference = differs ? `the model accepts ${describeAddress(full)}` : null;
		return { result, address: full, difference };
	}

	/**
	 * Gives the accept queue of a listener the form that the recorded result shows. `client` is the
	 * address of the accepted client; null if no line shows it. Returns whether a client from outside
	 * the recording was made to connect.
	 */
	private arrangeQueue(
		{ task, fd, sock, call, recorded }: ModelCall,
		client: Address | null,
	): boolean {
		const { world } = this;
		const S = world.kernel.sock;
		const listener = world.subflow(nth(world.kernel.socket.sk, sock));
		const first = S.rskq_accept_head.get(listener);
		if (first !== 0 && S.dl_next.get(first) !== 0) world.severalWait.add(listener);
		const accepted = recorded !== null && recorded >= 0;
		const outside = accepted && !world.queues.waits(listener) && this.hasStrangers(listener, call);
		const byOutsider = outside && this.outside.connect(task, fd, call, client);
		// If the client's address is not known and this queue is empty, any client of the group fits.
		if (accepted && (client !== null || first === 0)) world.queues.adopt(listener, client);
		if (recorded === -EAGAIN) world.queues.disown(listener);
		return byOutsider;
	}

	/** Notes what is not known of the connection that accept() returned as a new descriptor. */
	private noteConnection(
		{ task, sock, call, recorded }: ModelCall,
		fd: number,
		client: Address | null,
		byOutsider: boolean,
	): void {
		const { world } = this;
		const { kernel, severalWait } = world;
		const listener = world.subflow(nth(kernel.socket.sk, sock));
		const child = nth(kernel.socket.sk, task.socketOf(fd));
		world.isNew(child);
		if (byOutsider) {
			world.peerOutside.add(child);
			world.doubts.set(child, `the client of line ${call.line} is not recorded`);
		} else if (recorded !== null && recorded >= 0 && client === null && severalWait.has(listener)) {
			world.unnamedClients.set(child, call.line);
		}
		if (kernel.sock.rskq_accept_head.get(listener) === 0) severalWait.delete(listener);
	}

	/**
	 * Whether a listener may have clients that are not recorded. It may if the search found no
	 * recorded client, if the listener is from before the recording, or if no recorded process
	 * connects to its port.
	 */
	private hasStrangers(listener: number, call: CallLine): boolean {
		const { facts, listenersFromBefore, alone, ownAnswers, draws, evidence, kernel } = this.world;
		if (ownAnswers !== null || draws !== null) return false;
		if (facts.outsideClients.has(call.line) || listenersFromBefore.has(listener)) return true;
		return !alone && !evidence.connectedTo.has(nth(kernel.sock.skc_num, listener));
	}
}
