// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Calls that receive: how many bytes came, who sent a datagram, the end of a stream, pending errors.
 *
 * A recording of a program does not show all of it. A packet over loopback may arrive after the
 * call that sent it has returned. Data may be sent and received by calls that strace was not told
 * to record (sendfile(), splice()). Other hosts send what they like. So most differences are
 * undecided. If nothing can be open (`World.settled`), every difference counts.
 */
import { dccp_sk } from "../../include/linux/dccp.js";
import { MSG_DONTWAIT, MSG_ERRQUEUE, MSG_OOB, MSG_PEEK } from "../../include/linux/socket.js";
import { INET_RECVERR, INET_RECVERR6, RCV_SHUTDOWN, SOCK_DONE } from "../../include/net/sock.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import type { Datagram, UdpTable } from "../../include/net/udp.js";
import { EAGAIN, ENOTCONN, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import {
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
} from "../../include/uapi/linux/in.js";
import { tcp_fin } from "../../net/ipv4/tcp_input.js";
import { datagramCopied, udp_get_table_prot, udpSender } from "../../net/ipv4/udp.js";
import { type Address, fromSockaddr } from "../machine/address.js";
import { describeAddress } from "../machine/explain.js";
import { isHostAddress } from "../machine/net.js";
import { nth } from "../machine/nth.js";
import { isTyped } from "../script/calls.js";
import { errnoOf } from "../script/operands.js";
import {
	bytes,
	type Handled,
	IGNORED,
	isUdp,
	localDevice,
	type ModelCall,
	type ModelResult,
	sameAddress,
} from "./model_call.js";
import { neverConnected, resetFromOutside } from "./sends.js";
import type { World } from "./world.js";

/** Errors that depend on signals, memory and pointers. */
const UNRELATED = new Set(["EINTR", "EFAULT", "ENOMEM", "ENOBUFS", "EINVAL", "EOPNOTSUPP"]);

const LATE_PACKET = "a packet may arrive after the call that sent it has returned";
const HELD_BACK =
	"the congestion control of DCCP may hold a packet back until others are acknowledged";
const UNKNOWN_PORT = "the recording does not show the port of the socket";
const LATE_ICMP = "the recording does not show when an ICMP error arrived";
const LATE_RST = "the recording does not show when a RST of the peer arrived, or what was not read";

/** A call that receives and whose result is compared. */
interface Receive {
	modelCall: ModelCall;
	sk: number;
	/** Room for data, in bytes; null if strace does not print it. */
	size: number | null;
	flags: number;
	/** The recorded result: a number of bytes or a negative errno. */
	recorded: number;
}

/** The recorded result stands, because the recording does not show enough to compare it. */
const undecided = (recorded: number, reason: string): ModelResult => ({
	result: recorded,
	undecided: reason,
});

export class Receives {
	constructor(private readonly world: World) {}

	/** Makes a call that receives. Leads it to stream() or datagram() if its result is compared. */
	receive(modelCall: ModelCall): Handled {
		const { task, fd, sock, call, operands, recorded } = modelCall;
		const { world } = this;
		const { size, flags } = operands.receives();
		const sk = nth(world.kernel.socket.sk, sock);
		const protocol = nth(world.kernel.sock.sk_protocol, sk);
		if (protocol === IPPROTO_DCCP && call.name === "recvfrom" && (flags & ~MSG_DONTWAIT) === 0) {
			const dccp = this.receiveDccp(modelCall, sk, size, flags);
			if (dccp !== null) return dccp;
		}
		const unread = (flags & (MSG_OOB | MSG_ERRQUEUE)) !== 0;
		const notCompared =
			world.ownAnswers !== null || unread || (recorded === null && !isTyped(call));
		if (notCompared || call.name === "recvmmsg") return this.passOver(modelCall, flags);
		// net/socket.c: sock_read_iter.
		const empty = (call.name === "read" || call.name === "readv") && size === 0;
		if (empty) return { result: 0 };
		if (recorded === null) return this.receiveTyped(modelCall, size, flags);
		const error = call.result?.errno ?? "";
		if (recorded === -ERESTARTSYS) return IGNORED;
		if (UNRELATED.has(error)) return this.passOver(modelCall, flags);
		// Nothing is late and nothing comes from outside, so the queue is the kernel's.
		if (protocol === IPPROTO_SCTP && world.settled) {
			return { result: task.recv(fd, size ?? bytes(recorded), true, flags) };
		}
		const stream = protocol === IPPROTO_TCP || protocol === IPPROTO_MPTCP;
		const doubtful = !world.settled && world.isDoubtful(task.net, sk);
		if (doubtful || (!stream && !isUdp(protocol))) return this.passOver(modelCall, flags);
		const receive: Receive = { modelCall, sk, size, flags, recorded };
		if (!stream) return this.datagram(receive);
		// No kernel returns more than there is room for.
		if (size !== null && recorded > size) return { result: task.recv(fd, size, true, flags) };
		return this.stream(receive);
	}

	/**
	 * A receive on a DCCP socket. It is compared if the socket is not connected, or if its peer is on
	 * this host; else returns null.
	 */
	private receiveDccp(
		{ task, fd, recorded }: ModelCall,
		sk: number,
		size: number | null,
		flags: number,
	): ModelResult | null {
		const { kernel } = this.world;
		const connected = kernel.sock.skc_dport[sk] !== 0;
		if (connected && localDevice(kernel, sk) === 0) return null;
		const waits = connected && dccp_sk(kernel, sk).receive_queue.length > 0;
		if (waits && recorded === -EAGAIN) return undecided(recorded, HELD_BACK);
		return { result: task.recv(fd, size ?? 0, flags === 0 ? undefined : true) };
	}

	/** A receive of a script without a result. It waits for data if it may. */
	private receiveTyped(modelCall: ModelCall, size: number | null, flags: number): ModelResult {
		const { task, fd } = modelCall;
		const sender: Partial<Address> = {};
		const attempt = () => task.recvfrom(fd, size ?? 0, flags, sender);
		let result = attempt();
		if (result === -ERESTARTSYS) result = task.waitForInput(fd, attempt);
		return { result, ...shownSender(modelCall, sender) };
	}

	/** Only the effect of a call on the model counts, not its result. */
	private passOver({ task, fd, sock, recorded }: ModelCall, flags: number): typeof IGNORED {
		const { kernel } = this.world;
		if (recorded === null || (flags & MSG_OOB) !== 0) return IGNORED;
		const sk = nth(kernel.socket.sk, sock);
		// A receive from the error queue takes no data. It takes the pending error only if IP_RECVERR
		// put this error into the queue as well.
		if ((flags & MSG_ERRQUEUE) !== 0) {
			const queued = (nth(kernel.sock.inet_flags, sk) & (INET_RECVERR | INET_RECVERR6)) !== 0;
			if (queued && recorded >= 0) kernel.sock.sk_err[sk] = 0;
			return IGNORED;
		}
		// MPTCP returns 0 for a length of 0, whatever waits. So an error was of a longer one.
		const mptcp = nth(kernel.sock.sk_protocol, sk) === IPPROTO_MPTCP;
		task.recv(fd, mptcp && recorded < 0 ? 1 : bytes(recorded), true, flags);
		return IGNORED;
	}

	// Streams

	/** What a receive on a stream returns: data, the end of the data, or an error. */
	private stream({ modelCall, sk, size, flags, recorded }: Receive): Handled {
		const { task, fd, call } = modelCall;
		const { world } = this;
		const { kernel, settled } = world;
		const S = kernel.sock;
		const most = size ?? bytes(recorded);
		const attempt = (): ModelResult => ({ result: task.recv(fd, most, true, flags) });
		if (settled || neverConnected(kernel, sk)) return attempt();
		if (S.sk_protocol[sk] === IPPROTO_MPTCP) {
			const done = attempt();
			return done.result === recorded ? done : IGNORED;
		}
		const here = !world.isOutside(sk);
		const ended =
			(nth(S.sk_flags, sk) & SOCK_DONE) !== 0 || (nth(S.sk_shutdown, sk) & RCV_SHUTDOWN) !== 0;
		const unread = S.rcv_unread.get(sk);
		if (recorded > 0) {
			// More than the model has: the peer sent it by a call that is not recorded (sendfile()).
			if ((flags & MSG_PEEK) === 0) S.rcv_unread.set(sk, Math.max(unread - recorded, 0));
			return { result: recorded };
		}
		if (recorded === 0) {
			if (size === 0) return attempt();
			// All data was read, also by calls that are not recorded.
			S.rcv_unread.set(sk, 0);
			if (!ended && here) return undecided(recorded, "the end of the peer's data is not recorded");
			if (!ended) tcp_fin(kernel, sk);
			return { result: 0 };
		}
		if (recorded === -EAGAIN) {
			if (unread > 0 && !world.showsReads) S.rcv_unread.set(sk, 0);
			const waits = S.rcv_unread.get(sk) > 0 || ended || S.sk_err[sk] !== 0;
			return waits ? undecided(recorded, LATE_PACKET) : { result: recorded };
		}
		if (recorded === -ENOTCONN) return attempt();
		if (S.sk_err[sk] === 0) {
			if (here || ended) return undecided(recorded, LATE_RST);
			resetFromOutside(kernel, world.subflow(sk), errnoOf(call.result?.errno ?? "") ?? 0);
		}
		S.rcv_unread.set(sk, 0);
		const done = attempt();
		return done.result === recorded ? done : undecided(recorded, LATE_RST);
	}

	// Datagrams

	/** What a receive of a datagram returns: its length and its sender, or an error. */
	private datagram(receive: Receive): Handled {
		const { modelCall, sk, size, flags, recorded } = receive;
		const { task, fd, operands } = modelCall;
		const { kernel, settled, datagrams } = this.world;
		const table = udp_get_table_prot(kernel, sk);
		const attempt = (): ModelResult => {
			const from: Partial<Address> = {};
			const result = task.recvfrom(fd, size ?? bytes(recorded), flags, from, true);
			return { result, ...shownSender(modelCall, from) };
		};
		const pending = kernel.sock.sk_err[sk];
		if (recorded === -EAGAIN && pending === 0) return this.emptyQueue(table, sk, attempt);
		if (recorded < 0 || pending !== 0) {
			return settled || pending === -recorded ? attempt() : undecided(recorded, LATE_ICMP);
		}
		const [sender = null] = operands.shownSenders();
		const hasLength = ({ len }: Datagram) => datagramCopied(len, size ?? len, flags) === recorded;
		const found = datagrams.find(table, sk, (datagram) => {
			if (!hasLength(datagram)) return false;
			return sender === null || sameAddress(sender, fromSockaddr(udpSender(kernel, sk, datagram)));
		});
		if (found !== null) {
			if (settled && datagrams.isBehind(table, sk, found)) return attempt();
			if ((flags & MSG_PEEK) === 0) datagrams.take(table, sk, found);
			return { result: recorded, address: sender };
		}
		if (settled) return attempt();
		// No line has shown the port of the sender before.
		const { guesses } = this.world;
		const guessed = datagrams.find(table, sk, (datagram) => {
			return hasLength(datagram) && guesses.has(datagram.sport);
		});
		if (guessed !== null) {
			if ((flags & MSG_PEEK) === 0) datagrams.take(table, sk, guessed);
			return undecided(recorded, "the port of the sender is not known");
		}
		return this.unsentDatagram(receive, sender, attempt);
	}

	/** A receive found a datagram on the kernel that no send of the model made. */
	private unsentDatagram(
		{ modelCall, sk, recorded }: Receive,
		sender: Address | null,
		attempt: () => ModelResult,
	): Handled {
		const { world } = this;
		if (!world.alone || this.mayBeOutside(modelCall, sk, sender)) return { result: recorded };
		// No line has shown the port of this socket, so answers went to a port that nobody has.
		const port = nth(world.kernel.sock.skc_num, sk);
		if (world.guesses.has(port)) return undecided(recorded, UNKNOWN_PORT);
		// Without read() a recording does not show write() either.
		if (!world.showsReads) return IGNORED;
		if (world.oddDatagrams !== null) return undecided(recorded, world.oddDatagrams);
		return attempt();
	}

	/** A receive found no datagram on the kernel. */
	private emptyQueue(table: UdpTable, sk: number, attempt: () => ModelResult): ModelResult {
		const { world } = this;
		const recorded = -EAGAIN;
		if (world.datagrams.disown(table, sk, !world.settled)) return { result: recorded };
		if (world.settled) return attempt();
		if (!world.showsReads) {
			table.receive_queue.delete(sk);
			return { result: recorded };
		}
		return undecided(recorded, LATE_PACKET);
	}

	/** Whether a datagram may come from another host. */
	private mayBeOutside({ task }: ModelCall, sk: number, sender: Address | null): boolean {
		const { net } = task.net;
		if (sender !== null) return !isHostAddress(net, sender);
		const S = this.world.kernel.sock;
		if (S.skc_state[sk] === TCP_ESTABLISHED) return this.world.isOutside(sk);
		return net.devices.some(({ name }) => name !== "lo");
	}
}

/** The sender that the model says, and how it differs from the recorded one. */
function shownSender(
	{ call, operands }: ModelCall,
	sender: Partial<Address>,
): Partial<ModelResult> {
	const { family, address, port } = sender;
	if (family === undefined || address === undefined || port === undefined) return {};
	const full: Address = { ...sender, family, address, port };
	if (call.name !== "recvfrom" || call.args[4] === undefined) return {};
	const [recorded] = operands.shownSenders();
	const differs = recorded !== undefined && !sameAddress(recorded, full);
	const difference = differs ? `the model receives from ${describeAddress(full)}` : null;
	return { address: full, difference };
}
