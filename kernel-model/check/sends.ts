// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Calls that send. A datagram may choose a port. Data on a TCP connection can cause a RST, or take
 * the pending error. A send may also connect.
 */
import { O_NONBLOCK, SS_CONNECTED } from "../../include/linux/net.js";
import {
	MSG_DONTROUTE,
	MSG_DONTWAIT,
	MSG_FASTOPEN,
	MSG_MORE,
	MSG_OOB,
} from "../../include/linux/socket.js";
import {
	type Net,
	RT_TABLE_LOCAL,
	RTN_BROADCAST,
	RTN_MULTICAST,
} from "../../include/net/net_namespace.js";
import { INET_DEFER_CONNECT, SEND_SHUTDOWN } from "../../include/net/sock.js";
import { TFO_CLIENT_ENABLE, TFO_CLIENT_NO_COOKIE } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_ESTABLISHED,
	TCP_LISTEN,
	TCPF_CLOSE_WAIT,
	TCPF_ESTABLISHED,
	TCPF_SYN_RECV,
	TCPF_SYN_SENT,
} from "../../include/net/tcp_states.js";
import { EAGAIN, EOPNOTSUPP, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import { inet_addr_type_table } from "../../net/ipv4/fib_frontend.js";
import { ipLocalDeliverIfindex } from "../../net/ipv4/route.js";
import { tcp_done } from "../../net/ipv4/tcp.js";
import { tcp_fastopen_no_cookie } from "../../net/ipv4/tcp_fastopen.js";
import { ip6LocalDeliverIfindex } from "../../net/ipv6/route.js";
import { type Address, parseIpv4, parseIpv6, unmapped } from "../machine/address.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { Task } from "../machine/task.js";
import { isSend, isTyped } from "../script/calls.js";
import { errnoOf, fdOf, type Message } from "../script/operands.js";
import type { CallLine } from "../script/strace.js";
import {
	bytes,
	type Handled,
	IGNORED,
	isUdp,
	localDevice,
	type ModelCall,
	OTHER_FAMILY,
} from "./model_call.js";
import { faultOfSend } from "./pointers.js";
import type { World } from "./world.js";

/** Errors of a send that depend on sizes, memory, buffers, filters and signals, not on ports. */
const UNRELATED = new Set([
	"EINTR",
	"EMSGSIZE",
	"ENOBUFS",
	"ENOMEM",
	"EOPNOTSUPP",
	"EPERM",
	"ERESTARTSYS",
]);

/** Flags of a call that matter to a send. */
const SENT_WITH: ReadonlyMap<string, number> = new Map(
	Object.entries({ MSG_DONTROUTE, MSG_DONTWAIT, MSG_FASTOPEN, MSG_MORE, MSG_OOB }),
);
/** Bytes that a SYN always has room for. */
const SYN_DATA = 1024;

export class Sends {
	constructor(
		private readonly world: World,
		/** Advances the clock to a recorded time. */
		private readonly onWait: (time: number | null) => void,
	) {}

	/** Makes a call that sends. */
	send(modelCall: ModelCall): Handled {
		const { task, fd, sock, call, operands, recorded } = modelCall;
		const { kernel, ownAnswers } = this.world;
		const S = kernel.sock;
		const sk = nth(kernel.socket.sk, sock);
		const protocol = nth(S.sk_protocol, sk);
		if (protocol === IPPROTO_TCP || protocol === IPPROTO_MPTCP) {
			if (this.connects(task, call)) return this.sendFastOpen(modelCall);
			return this.stream(modelCall, sk);
		}
		const sent = operands.messages();
		if (sent === null || !sent.whole) {
			this.world.oddDatagrams ??= `line ${call.line} sends datagrams that are not shown`;
		}
		if (sent === null) return IGNORED;
		const several = call.name === "sendmmsg";
		const unbound = S.skc_num[sk] === 0;
		const held = isUdp(protocol) || protocol === IPPROTO_SCTP ? MSG_MORE : 0;
		const flags = this.messageFlags(call) & (MSG_DONTROUTE | MSG_OOB | held);
		let result = 0;
		for (const message of sent.messages) {
			const { to, badPointer, addrlen, size } = message;
			this.noteOdd(task, call, message, held !== 0);
			const wrong = badPointer ? faultOfSend(addrlen) : 0;
			const address = to?.address ?? (to !== null || badPointer ? OTHER_FAMILY : null);
			const told = several ? size : (size ?? recorded);
			const length = bytes(told ?? 0);
			const err = wrong !== 0 ? wrong : task.sendto(fd, length, address, addrlen, undefined, flags);
			if (err < 0) {
				if (result === 0) result = err;
				break;
			}
			result = several ? result + 1 : err;
		}
		if (recorded === null || result === recorded || ownAnswers !== null) return { result };
		if (protocol === IPPROTO_SCTP && this.world.settled) return { result };
		const error = call.result?.errno ?? "";
		const unrelated =
			UNRELATED.has(error) ||
			(error === "EAGAIN" && !unbound) ||
			(several && recorded > 0) ||
			sent.messages.some(({ control }) => control) ||
			!sent.whole;
		return unrelated || !(isUdp(protocol) || unbound) ? IGNORED : { result };
	}

	/**
	 * A send on a TCP connection. Its result is certain where only the socket's own calls decide it:
	 * it never had a connection, or shutdown() ended its sending side. A peer on another host may
	 * have reset the connection. A peer on this host is played as well, but its RST may arrive late.
	 */
	private stream(modelCall: ModelCall, sk: number): Handled {
		const { task, fd, call, operands, recorded } = modelCall;
		const { kernel, ownAnswers, settled } = this.world;
		const S = kernel.sock;
		const sent = operands.messages();
		if (recorded === null) {
			if (ownAnswers !== null || sent === null || !isTyped(call)) return IGNORED;
			const size = sent.messages.reduce((sum, message) => sum + (message.size ?? 0), 0);
			return { result: task.sendto(fd, size, null, 0, undefined, this.messageFlags(call)) };
		}
		const outside = this.world.peerOutside.has(sk);
		const more = this.messageFlags(call) & MSG_MORE;
		const attempt = (size: number) => task.sendto(fd, size, null, 0, true, more);
		const error = call.result?.errno ?? "";
		const doubtful = !settled && this.world.isDoubtful(task.net, sk);
		const passed = ownAnswers !== null || sent === null || doubtful || call.name === "sendmmsg";
		if (passed || UNRELATED.has(error) || error === "EFAULT") {
			// The other end is not recorded. It may have received the data.
			if (!outside) attempt(bytes(recorded));
			return IGNORED;
		}
		const [message] = sent.messages;
		const size = message?.size ?? null;
		const state = 1 << nth(S.skc_state, sk);
		const shut = (nth(S.sk_shutdown, sk) & SEND_SHUTDOWN) !== 0;
		const connected = (state & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) !== 0;
		const opens = (state & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0;
		if (connected && !shut && S.sk_err[sk] === 0) {
			if (recorded >= 0 || recorded === -EAGAIN) {
				const wanted = settled ? (size ?? recorded) : recorded;
				if (wanted !== recorded || (size !== null && recorded > size)) {
					return { result: attempt(size ?? 0) };
				}
				// Without room in the send buffer the call fails with EAGAIN.
				if (recorded >= 0 && !outside) attempt(recorded);
				return { result: recorded };
			}
			if (settled) return { result: attempt(size ?? 0) };
			if (!this.world.isOutside(sk)) return { result: recorded, undecided: LATE_RST };
			resetFromOutside(kernel, sk, errnoOf(error) ?? 0);
			return { result: attempt(0) };
		}
		if (opens && !settled && recorded !== -EAGAIN) {
			attempt(bytes(recorded));
			return IGNORED; // no line shows the answer to the SYN
		}
		const result = attempt(bytes(recorded));
		const certain =
			settled || neverConnected(kernel, sk) || (shut && S.skc_state[sk] !== TCP_CLOSE);
		if (result === recorded || certain) return { result };
		return { result: recorded, undecided: LATE_RST };
	}

	/** Notes a datagram that other sockets may receive in another form, or from another sender. */
	private noteOdd(task: Task, call: CallLine, message: Message, holds: boolean): void {
		const { world } = this;
		// A send that fails sends nothing.
		if (world.oddDatagrams !== null || call.result?.errno != null) return;
		const flags = call.args[call.name === "sendmsg" ? 2 : 3]?.value;
		const more = !holds && flags?.kind === "flags" && flags.names.includes("MSG_MORE");
		const to = message.to?.address ?? null;
		const several = to !== null && mayHaveSeveralReceivers(task.net.net, to);
		const what = several
			? "a multicast or broadcast datagram, whose receivers the model does not have"
			: more
				? "a part of a datagram (MSG_MORE), which the model does not have"
				: "a datagram with control messages, which may change its source or destination";
		if (several || more || message.control) world.oddDatagrams = `line ${call.line} sends ${what}`;
	}

	/** Whether a call connects: connect(), or a send that begins a TCP connection. */
	connects(task: Task, call: CallLine): boolean {
		if (call.name === "connect") return true;
		if (!isSend(call.name)) return false;
		const { kernel } = this.world;
		const S = kernel.sock;
		const sk = this.world.sk(task, call);
		if (S.sk_protocol[sk] !== IPPROTO_TCP && S.sk_protocol[sk] !== IPPROTO_MPTCP) return false;
		if ((nth(S.inet_flags, sk) & INET_DEFER_CONNECT) !== 0) return true;
		return (this.messageFlags(call) & MSG_FASTOPEN) !== 0;
	}

	/** The flags of a call that sends. */
	private messageFlags(call: CallLine): number {
		const index = call.name === "sendmsg" ? 2 : call.name.startsWith("send") ? 3 : -1;
		const value = index < 0 ? undefined : call.args[index]?.value;
		if (value?.kind === "int") return value.value;
		if (value?.kind !== "flags") return 0;
		return value.names.reduce((flags, name) => flags | (SENT_WITH.get(name) ?? 0), 0);
	}

	/**
	 * Whether a host gave a fast open cookie. The result of a call that does not sleep shows it.
	 * Null if the call does not show it, or if the model knows.
	 */
	cookie(task: Task, call: CallLine): boolean | null {
		const { world } = this;
		const { kernel } = world;
		const sk = world.sk(task, call);
		const asks =
			call.name === "connect" ? kernel.sock.fastopen_connect[sk] !== 0 : isSend(call.name);
		if (sk === 0 || call.result?.value == null || !asks || !this.connects(task, call)) return null;
		if (call.result.errno === "EINPROGRESS") return this.tellsCookie(task, call) ? false : null;
		const flags = nth(kernel.socket.flags, task.socketOf(fdOf(call) ?? -1));
		const nonblock = (flags & O_NONBLOCK) !== 0 || (this.messageFlags(call) & MSG_DONTWAIT) !== 0;
		if (!nonblock || call.result.errno !== null) return null;
		return this.tellsCookie(task, call) ? true : null;
	}

	/** Whether the destination of a call may have given a cookie that the model does not know. */
	private tellsCookie(task: Task, call: CallLine): boolean {
		const { world } = this;
		if (!world.alone) return true;
		const sk = world.sk(task, call);
		if ((nth(world.kernel.sock.inet_flags, sk) & INET_DEFER_CONNECT) !== 0) {
			return localDevice(world.kernel, sk) === 0;
		}
		const operands = world.operands(call);
		const to =
			call.name === "connect"
				? operands.shownAddress(1)
				: (operands.messages()?.messages[0]?.to?.address ?? null);
		if (to === null) return false;
		const { net } = task.net;
		const v4 = parseIpv4(unmapped(to.address));
		if (v4 !== null) return ipLocalDeliverIfindex(net, v4, 0) === 0;
		const v6 = parseIpv6(to.address);
		return v6 !== null && ip6LocalDeliverIfindex(net, v6, 0, 0) === 0;
	}

	/**
	 * A send that connects: net/ipv4/tcp.c: tcp_sendmsg_fastopen. The recorded result shows whether
	 * it could sleep, as that of connect().
	 */
	private sendFastOpen(modelCall: ModelCall): Handled {
		const { task, fd, sock, call, operands, recorded } = modelCall;
		const [message] = operands.messages()?.messages ?? [];
		const error = call.result?.errno ?? "";
		if (message === undefined || (UNRELATED.has(error) && recorded !== -EOPNOTSUPP)) return IGNORED;
		const { kernel, alone } = this.world;
		const wrong = message.badPointer ? faultOfSend(message.addrlen) : 0;
		if (wrong !== 0) return { result: wrong };
		const size = message.size ?? Math.max(recorded ?? 0, 0);
		const other = message.to !== null || message.badPointer ? OTHER_FAMILY : null;
		const to = message.to?.address ?? other;
		const given = this.messageFlags(call);
		const { tcp_metrics, ipv4 } = task.net.net;
		if (!alone && recorded === -EOPNOTSUPP) ipv4.sysctl_tcp_fastopen &= ~TFO_CLIENT_ENABLE;
		const flagged = (nth(kernel.socket.flags, sock) & O_NONBLOCK) !== 0;
		const sk = nth(kernel.socket.sk, sock);
		const cookies =
			tcp_metrics.size > 0 ||
			tcp_fastopen_no_cookie(kernel, sk, TFO_CLIENT_NO_COOKIE) ||
			this.cookie(task, call) === true;
		// fcntl() may not be recorded. Without a cookie, only a call that may sleep sends. With a
		// cookie, a call that may not sleep sends as well.
		const sent = recorded !== null && recorded > 0;
		const saysNonblock = error === "EINPROGRESS" || (given & MSG_DONTWAIT) !== 0;
		const nonblock = saysNonblock || (sent ? cookies : flagged);
		let result = task.sendto(fd, size, to, message.addrlen, nonblock, given & MSG_FASTOPEN);
		if (result === -ERESTARTSYS && recorded === null) result = task.waitForConnect(fd);
		else if (result === -ERESTARTSYS) {
			this.onWait(call.endTime ?? null);
			result = task.connectSleeping(fd);
		}
		if (nonblock && !flagged && !saysNonblock && kernel.sock.skc_state[sk] === TCP_ESTABLISHED) {
			kernel.socket.state[sock] = SS_CONNECTED; // as if it had waited
		}
		// How much of a long message goes with the SYN depends on memory.
		const partly = sent && result > 0 && size > SYN_DATA;
		return { result: partly ? recorded : result };
	}
}

const LATE_RST =
	"the recording does not show when a RST of the peer arrived, or whether the peer read all data";

/** Whether a sock never had a connection, or is a listener. Only calls on it decide its results. */
export function neverConnected(k: Kernel, sk: number): boolean {
	const S = k.sock;
	if (S.skc_state[sk] === TCP_LISTEN) return true;
	const fresh = S.sk_err[sk] === 0 && S.sk_shutdown[sk] === 0 && S.skc_dport[sk] === 0;
	return S.skc_state[sk] === TCP_CLOSE && fresh;
}

/** A connection ends because of its peer on another host, which the recording does not show. */
export function resetFromOutside(k: Kernel, sk: number, errno: number): void {
	k.sock.sk_err[sk] = errno;
	tcp_done(k, sk);
}

/** Whether an address is one of multicast, or a broadcast address. */
function mayHaveSeveralReceivers(net: Net, { address }: Address): boolean {
	const v4 = parseIpv4(unmapped(address));
	if (v4 === null) return /^ff/i.test(address);
	const type = inet_addr_type_table(net, v4, RT_TABLE_LOCAL);
	return (type === RTN_BROADCAST && v4 !== 0) || type === RTN_MULTICAST;
}
