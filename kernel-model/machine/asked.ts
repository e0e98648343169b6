// SPDX-License-Identifier: GPL-2.0-or-later
/** What the reasons of all failed calls share: the call and its socket, and their words. */
import {
	AF_INET,
	AF_INET6,
	AF_UNIX,
	AF_UNSPEC,
	SOL_DCCP,
	SOL_IP,
	SOL_IPV6,
	SOL_MPTCP,
	SOL_SCTP,
	SOL_TCP,
	SOL_UDP,
	SOL_UDPLITE,
} from "../../include/linux/socket.js";
import type { Net } from "../../include/net/net_namespace.js";
import { TCP_CLOSE, TCP_LISTEN, tcpStateName } from "../../include/net/tcp_states.js";
import { EINVAL } from "../../include/uapi/asm-generic/errno.js";
import { SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import {
	IPPROTO_DCCP,
	IPPROTO_ICMP,
	IPPROTO_ICMPV6,
	IPPROTO_IP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";
import type { Syscall } from "./syscall.js";
import type { Task } from "./task.js";

/**
 * A check that a call does not pass: the error, the kernel function that makes the check, and why.
 */
export type Reason = readonly [errno: number, where: string, why: string];

/** A failed call and the state that its checks read. */
export interface Asked {
	k: Kernel;
	task: Task;
	call: Syscall;
	/**
	 * The struct socket, its sock, and the sock that has the port. For MPTCP the latter is the
	 * first subflow.
	 */
	sock: number;
	sk: number;
	ssk: number;
	net: Net;
	errno: number;
}

export function family(af: number): string {
	if (af === AF_INET) return "AF_INET";
	if (af === AF_INET6) return "AF_INET6";
	return af === AF_UNSPEC ? "AF_UNSPEC" : `family ${af}`;
}

/** "an address of AF_INET6". The model has one family for all that no modelled socket takes. */
export function anAddress(af: number): string {
	return af === AF_UNIX ? "an address of another family" : `an address of ${family(af)}`;
}

/** The family of the socket. */
export function ownFamily({ k, sk }: Asked): string {
	return family(nth(k.sock.skc_family, sk));
}

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
	[IPPROTO_IP, "0"],
	[IPPROTO_ICMP, "IPPROTO_ICMP"],
	[IPPROTO_TCP, "IPPROTO_TCP"],
	[IPPROTO_UDP, "IPPROTO_UDP"],
	[IPPROTO_DCCP, "IPPROTO_DCCP"],
	[IPPROTO_ICMPV6, "IPPROTO_ICMPV6"],
	[IPPROTO_SCTP, "IPPROTO_SCTP"],
	[IPPROTO_UDPLITE, "IPPROTO_UDPLITE"],
	[IPPROTO_MPTCP, "IPPROTO_MPTCP"],
]);

/** "IPPROTO_TCP", or a number. */
export function protocolName(protocol: number): string {
	return PROTOCOLS.get(protocol) ?? `${protocol}`;
}

/** The option levels by name. */
export const OPTION_LEVELS = {
	SOL_SOCKET,
	SOL_IP,
	SOL_IPV6,
	SOL_TCP,
	SOL_UDP,
	SOL_UDPLITE,
	SOL_SCTP,
	SOL_DCCP,
	SOL_MPTCP,
} as const;

const LEVEL_NAMES: ReadonlyMap<number, string> = new Map(
	Object.entries(OPTION_LEVELS).map(([name, level]) => [level, name]),
);

/** "SOL_TCP", or "level 7". */
export function optionLevel(level: number): string {
	return LEVEL_NAMES.get(level) ?? `level ${level}`;
}

/** The state of the sock that has the port. */
export function state({ k, ssk }: Asked): string {
	return tcpStateName(nth(k.sock.skc_state, ssk));
}

/**
 * net/mptcp/protocol.c: __mptcp_nmpc_sk. An MPTCP socket whose first subflow takes no address and
 * no option. `caller` is the function that calls it. Before 6.4 the caller returned the error.
 */
export function* subflowReasons({ k, sk }: Asked, caller: string): Iterable<Reason> {
	const msk = k.mptcp.socks.get(sk);
	if (msk === undefined) return;
	const accepted = "accept() made the MPTCP socket";
	// since 6.4, ddb1a072f858
	if (!k.changes.has("mptcp-set-up-while-closed")) {
		if (!msk.initial) yield [EINVAL, caller, accepted];
		if (msk.can_ack) yield [EINVAL, caller, "the MPTCP socket was connected"];
		return;
	}
	// since 6.6, 3f326a821b99
	const named = k.changes.has("mptcp-accepted-set-up") ? "__mptcp_nmpc_sk" : "__mptcp_nmpc_socket";
	const own = nth(k.sock.skc_state, sk);
	if (own !== TCP_CLOSE && own !== TCP_LISTEN) {
		const why = `the MPTCP socket is in state ${tcpStateName(own)}, neither CLOSE nor LISTEN`;
		yield [EINVAL, named, why];
	}
	if (!msk.initial && named === "__mptcp_nmpc_socket") yield [EINVAL, named, accepted];
}

/** Who has no options of a level: the sockets of a family, or those of a protocol. */
export function without(a: Asked, level: number): string {
	if (level === SOL_IP || level === SOL_IPV6) return `an ${ownFamily(a)} socket`;
	return `a socket of ${protocolName(nth(a.k.sock.sk_protocol, a.sk))}`;
}
