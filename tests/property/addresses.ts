// SPDX-License-Identifier: GPL-2.0-or-later
/** Addresses of both families. There is one object per address, so === compares them. */

import { ipv4_portaddr_hash } from "../../include/net/ip.js";
import { ipv6_portaddr_hash } from "../../include/net/ipv6.js";
import type { Net } from "../../include/net/net_namespace.js";
import {
	formatIpv4,
	formatIpv6,
	parseIpv4,
	parseIpv6,
} from "../../kernel-model/machine/address.js";

export type Family = 4 | 6;

/** An address of a socket: IPv4, IPv6, or v4-mapped. */
export interface Addr {
	/** As a program writes it. */
	readonly text: string;
	/** The family of the sockets that can have the address. */
	readonly family: Family;
	readonly kind: "IPv4" | "mapped" | "IPv6";
	/** The IPv4 address, 0 for the wildcard; null for an IPv6 address. */
	readonly v4: number | null;
	/** 0.0.0.0, ::, or ::ffff:0.0.0.0. */
	readonly wildcard: boolean;
	readonly words: Uint32Array;
}

const known4 = new Map<number, Addr>();
/** IPv6 addresses by their last word. */
const known6 = new Map<number, Addr[]>();

export function addr4(v4: number): Addr {
	const known = known4.get(v4);
	if (known !== undefined) return known;
	const made: Addr = {
		text: formatIpv4(v4),
		family: 4,
		kind: "IPv4",
		v4,
		wildcard: v4 === 0,
		words: Uint32Array.of(0, 0, 0xffff, v4),
	};
	known4.set(v4, made);
	return made;
}

/** The address at words[at]. */
export function addr6(words: Uint32Array, at = 0): Addr {
	const last = words[at + 3];
	const alike = known6.get(last) ?? [];
	for (const known of alike) {
		const w = known.words;
		if (w[0] === words[at] && w[1] === words[at + 1] && w[2] === words[at + 2]) return known;
	}
	const mapped = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff;
	const own = words.slice(at, at + 4);
	const made: Addr = {
		text: formatIpv6(own),
		family: 6,
		kind: mapped ? "mapped" : "IPv6",
		v4: mapped ? last : null,
		wildcard: mapped ? last === 0 : own.every((word) => word === 0),
		words: own,
	};
	known6.set(last, [...alike, made]);
	return made;
}

/** Throws RangeError for a text that is not an address. */
export function addr(text: string): Addr {
	if (!text.includes(":")) {
		const v4 = parseIpv4(text);
		if (v4 !== null) return addr4(v4);
	} else {
		const words = parseIpv6(text);
		if (words !== null) return addr6(words);
	}
	throw new RangeError(text);
}

export const ANY4 = addr("0.0.0.0");
export const ANY6 = addr("::");

/** The address for a socket of a family. An IPv4 address is mapped for IPv6. */
export function asFamily(address: Addr, family: Family): Addr {
	if (address.family === family || address.v4 === null) return address;
	return family === 4 ? addr4(address.v4) : addr6(address.words);
}

/** Hash of an address and a port, before it is masked to the size of a table. */
export function portaddrHash(net: Net, address: Addr, port: number): number {
	return address.v4 === null
		? ipv6_portaddr_hash(net, address.words, 0, port)
		: ipv4_portaddr_hash(net, address.v4, port);
}
