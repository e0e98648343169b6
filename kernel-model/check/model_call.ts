// SPDX-License-Identifier: GPL-2.0-or-later
/** A call that is made on the model, and its result. */
import { sk_net } from "../../include/net/sock.js";
import { IPPROTO_UDP, IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { skOverIpv6 } from "../../net/ipv4/inet_hashtables.js";
import { ipLocalDeliverIfindex } from "../../net/ipv4/route.js";
import { ip6LocalDeliverIfindex } from "../../net/ipv6/route.js";
import type { Address } from "../machine/address.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { Task } from "../machine/task.js";
import type { Operands } from "../script/operands.js";
import { type CallLine, ScriptError } from "../script/strace.js";

/** The result of a call on the model, and other values that are compared with the recording. */
export interface ModelResult {
	result: number;
	address?: Address | null;
	/** The value that getsockopt() returns. */
	value?: Uint8Array;
	/** How the address or the option value differs from the recorded one. */
	difference?: string | null;
	/** Why the recording does not show enough to say what the call does. */
	undecided?: string;
}

/** A call that is made on the model. */
export interface ModelCall {
	readonly task: Task;
	readonly call: CallLine;
	readonly operands: Operands;
	/** The recorded result; null if there is none. */
	readonly recorded: number | null;
	/** The first argument of a call on a descriptor, and its socket or a negative errno. */
	fd: number;
	sock: number;
}

/** The call affects no port of the model. */
export const IGNORED = Symbol("ignored");
export type Handled = ModelResult | typeof IGNORED;

/** An address of a family that no internet socket accepts. */
export const OTHER_FAMILY: Address = { family: "AF_OTHER", address: "0.0.0.0", port: 0 };

export function isUdp(protocol: number): boolean {
	return protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE;
}

/** Limits a recorded size to a number of bytes that a call can have. */
export function bytes(size: number): number {
	return Math.min(Math.max(size, 0), Number.MAX_SAFE_INTEGER);
}

/** The device that receives packets to a sock's destination; 0 if it is another host. */
export function localDevice(k: Kernel, sk: number): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	const oif = nth(S.skc_bound_dev_if, sk);
	return skOverIpv6(S, sk)
		? ip6LocalDeliverIfindex(net, S.skc_v6_daddr, sk * 4, oif)
		: ipLocalDeliverIfindex(net, nth(S.skc_daddr, sk), oif);
}

/** Whether two addresses are the same. If strace does not print the scope, it is not compared. */
export function sameAddress(told: Address, name: Address): boolean {
	return (
		told.family === name.family &&
		told.address === name.address &&
		told.port === name.port &&
		(told.scope_id === undefined || told.scope_id === (name.scope_id ?? 0))
	);
}

/** An argument as a number; null for a name in a recording that the reader does not know. */
export function knownName(
	{ operands, call }: ModelCall,
	index: number,
	what: string,
): number | null {
	try {
		return operands.int(index, what);
	} catch (error) {
		if (!(error instanceof ScriptError) || call.result === null) throw error;
		return null;
	}
}

/** A recorded result as a descriptor; undefined if it is too large for one. */
export function descriptor(result: number): number | undefined {
	return result <= 0x7fffffff ? result : undefined;
}
