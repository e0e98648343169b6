// SPDX-License-Identifier: GPL-2.0-or-later
/** The values that a call fills in, as strace prints them. */

import { intAt } from "../../net/core/sock.js";
import { type Address, parseIpv6 } from "../machine/address.js";
import { nth } from "../machine/nth.js";
import type { Value } from "./strace.js";

export const NULL: Value = { kind: "null", column: 0 };

/** An address as strace prints it. `nameOf` returns the name of a device. */
export function sockaddrValue(
	address: Address,
	nameOf: (ifindex: number) => string | undefined,
): Value {
	const column = 0;
	const call = (name: string, ...args: Value[]): Value => ({ kind: "call", name, args, column });
	const int = (value: number): Value => ({ kind: "int", value, symbol: null, column });
	const string = (text: string): Value => {
		const bytes = new TextEncoder().encode(text);
		return { kind: "string", bytes, truncated: false, column };
	};
	const flags = (name: string): Value => ({ kind: "flags", names: [name], extra: 0, column });
	const port = call("htons", int(address.port));
	const struct = (fields: { name: string | null; value: Value }[]): Value => ({
		kind: "struct",
		fields: [{ name: "sa_family", value: flags(address.family) }, ...fields],
		truncated: false,
		column,
	});
	if (address.family !== "AF_INET6") {
		return struct([
			{ name: "sin_port", value: port },
			{ name: "sin_addr", value: call("inet_addr", string(address.address)) },
		]);
	}
	const pointer: Value = { kind: "other", text: "&sin6_addr", column };
	const scope = address.scope_id ?? 0;
	const device = isLinkLocal(address.address) ? nameOf(scope) : undefined;
	return struct([
		{ name: "sin6_port", value: port },
		{ name: "sin6_flowinfo", value: call("htonl", int(address.flowinfo ?? 0)) },
		{ name: null, value: call("inet_pton", flags("AF_INET6"), string(address.address), pointer) },
		{
			name: "sin6_scope_id",
			value: device === undefined ? int(scope) : call("if_nametoindex", string(device)),
		},
	]);
}

/** Whether strace names the device of an address: fe80::/10, and multicast such as ff02::/16. */
function isLinkLocal(address: string): boolean {
	const words = parseIpv6(address);
	if (words === null) return false;
	const word = nth(words, 0);
	return (word & 0xffc00000) >>> 0 === 0xfe800000 || (word & 0xff0f0000) >>> 0 === 0xff020000;
}

/** A length that the kernel filled in. */
export function lengthValue(length: number): Value {
	const int: Value = { kind: "int", value: length, symbol: null, column: 0 };
	return { kind: "array", items: [int], negated: false, truncated: false, column: 0 };
}

/** The bytes of an option as strace prints them: ints if their number is a multiple of 4. */
export function optionValue(bytes: Uint8Array): Value {
	const column = 0;
	if (bytes.length === 0 || bytes.length % 4 !== 0) {
		return { kind: "string", bytes, truncated: false, column };
	}
	const items: Value[] = [];
	for (let i = 0; i < bytes.length; i += 4) {
		items.push({ kind: "int", value: intAt(bytes, i), symbol: null, column });
	}
	return { kind: "array", items, negated: false, truncated: false, column };
}
