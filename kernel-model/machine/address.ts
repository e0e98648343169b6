// SPDX-License-Identifier: GPL-2.0-or-later
/** Addresses as programs write them. */
import {
	AF_INET,
	AF_INET6,
	AF_UNIX,
	AF_UNSPEC,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { type In6Addr, in6addr_any, ipv6_addr_v4mapped } from "../../include/net/ipv6.js";
import {
	checkObject,
	checkPort,
	checkString,
	checkUint,
	checkWord,
	shownValue,
} from "./arguments.js";
import { nth } from "./nth.js";

/**
 * An address of a socket. `port` is 0 to 65535. connect() with AF_UNSPEC dissolves a connection.
 * AF_OTHER stands for every family that the modelled sockets refuse.
 */
export interface Address {
	family: "AF_INET" | "AF_INET6" | "AF_UNSPEC" | "AF_OTHER";
	/** Dotted decimal, or an IPv6 address. */
	address: string;
	port: number;
	/** Flow information of an AF_INET6 address; 0 if not given. */
	flowinfo?: number;
	/** ifindex of the device of an AF_INET6 address; 0 if not given. */
	scope_id?: number;
}

/** The u32, in host order, of a dotted IPv4 address; null if the text is not one. */
export function parseIpv4(text: string): number | null {
	// No read goes beyond the end of the text: the JavaScript engine makes a slow call of such reads.
	const { length } = text;
	let addr = 0;
	let at = 0;
	for (let dots = 0; dots < 4; dots++) {
		if (dots > 0 && (at >= length || text.charCodeAt(at++) !== DOT)) return null;
		const start = at;
		const end = Math.min(start + 3, length);
		let byte = 0;
		for (; at < end; at++) {
			const digit = text.charCodeAt(at) - ZERO;
			if (digit < 0 || digit > 9) break;
			byte = byte * 10 + digit;
		}
		if (at === start || byte > 255) return null;
		addr = addr * 256 + byte;
	}
	return at === length ? addr : null;
}

/** Parses IPv4 addresses. Keeps the last one: programs name the same address many times. */
export class Ipv4Texts {
	private text = "";
	private addr: number | null = null;

	/** As parseIpv4(). */
	parse(text: string): number | null {
		if (text !== this.text) {
			this.addr = parseIpv4(text);
			this.text = text;
		}
		return this.addr;
	}
}

const DOT = 46;
const ZERO = 48;

export function formatIpv4(addr: number): string {
	return `${addr >>> 24}.${(addr >>> 16) & 255}.${(addr >>> 8) & 255}.${addr & 255}`;
}

const GROUP = /^[0-9a-f]{1,4}$/i;

/** The four words of an IPv6 address; null if the text is not one. */
export function parseIpv6(text: string): In6Addr | null {
	const [, front6 = "", dotted = ""] = /^(.*:)([0-9.]+)$/.exec(text) ?? [];
	let rest = text;
	if (dotted.includes(".")) {
		const v4 = parseIpv4(dotted);
		if (v4 === null || /(^|\.)0[0-9]/.test(dotted)) return null;
		rest = `${front6}${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`;
	}
	const [head, tail, more] = rest.split("::");
	const groups = (part: string | undefined) => (part ? part.split(":") : []);
	const front = groups(head);
	const back = groups(tail);
	const given = front.length + back.length;
	// "::" stands for at least one group.
	if (more !== undefined || (tail === undefined ? given !== 8 : given > 7)) return null;
	for (const group of [...front, ...back]) if (!GROUP.test(group)) return null;
	const zeros = tail === undefined ? 0 : 8 - given;
	const all = [...front, ...new Array<string>(zeros).fill("0"), ...back].map((group) =>
		Number.parseInt(group, 16),
	);
	return Uint32Array.from([0, 2, 4, 6], (i) => ((nth(all, i) << 16) | nth(all, i + 1)) >>> 0);
}

/** Formats the IPv6 address at words[at] as inet_ntop() does: RFC 5952, with dotted IPv4 parts. */
export function formatIpv6(words: Uint32Array, at = 0): string {
	const tail = formatIpv4(nth(words, at + 3));
	if (ipv6_addr_v4mapped(words, at)) return `::ffff:${tail}`;
	const high = nth(words, at) | nth(words, at + 1) | nth(words, at + 2);
	if (high === 0 && nth(words, at + 3) >>> 16 !== 0) return `::${tail}`;
	const groups: number[] = [];
	for (let i = 0; i < 4; i++) groups.push(nth(words, at + i) >>> 16, nth(words, at + i) & 0xffff);
	// The longest run of two or more zeros becomes "::". If two runs are equally long, the first
	// does.
	let best = { start: -1, length: 1 };
	for (let start = 0; start < 8; start++) {
		let length = 0;
		while (groups[start + length] === 0) length++;
		if (length > best.length) best = { start, length };
	}
	const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
	if (best.start === -1) return hex(groups);
	return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}

/** Converts the text of a v4-mapped address to IPv4. Returns other texts unchanged. */
export function unmapped(address: string): string {
	return address.replace(/^::ffff:(?=[0-9.]+$)/, "");
}

/** Whether a text is the wildcard of a family, or IPv4's as a v4-mapped address. */
export function isWildcard(address: string): boolean {
	const own = unmapped(address);
	return own === "0.0.0.0" || own === "::";
}

/** Whether a text is an address that every host has on lo; v4-mapped ones are none here. */
export function isLoopback(address: string): boolean {
	return address.startsWith("127.") || address === "::1";
}

/** The prefix of one address alone: of IPv4 for a v4-mapped one. */
export function hostPrefix(address: string): string {
	const own = unmapped(address);
	return own.includes(":") ? `${own}/128` : `${own}/32`;
}

const FAMILIES = { AF_INET, AF_INET6, AF_UNSPEC, AF_OTHER: AF_UNIX } as const;
const FAMILY_NAMES = ["AF_INET", "AF_INET6", "AF_UNSPEC", "AF_OTHER"] as const;

/**
 * Converts an address to the form that the ported code takes. Throws TypeError or RangeError for a
 * malformed address; the message names the field. `texts` saves time.
 */
export function toSockaddr(address: Address, texts = new Ipv4Texts()): Sockaddr {
	checkObject("address", address, "an address { family, address, port }");
	const family = checkWord("family", address.family, FAMILY_NAMES);
	const text = checkString("address", address.address);
	const { flowinfo = 0, scope_id = 0 } = address;
	const name: Sockaddr = {
		sin_family: FAMILIES[family],
		sin_port: checkPort("port", address.port),
		sin_addr: checkUint("flowinfo", flowinfo),
		sin6_addr: in6addr_any,
		sin6_scope_id: checkUint("scope_id", scope_id),
	};
	// bind() of an AF_INET socket also looks at the address of AF_UNSPEC.
	const sin_addr = family === "AF_INET6" ? null : texts.parse(text);
	const sin6_addr = family === "AF_INET" ? null : parseIpv6(text);
	if (sin_addr !== null) name.sin_addr = sin_addr;
	else if (sin6_addr !== null) name.sin6_addr = sin6_addr;
	else {
		const version = family === "AF_INET6" ? "IPv6" : "IPv4";
		throw new RangeError(`address: expected an ${version} address, found ${shownValue(text)}`);
	}
	return name;
}

export function fromSockaddr(addr: Sockaddr): Address {
	const port = addr.sin_port;
	if (addr.sin_family !== AF_INET6) {
		return { family: "AF_INET", address: formatIpv4(addr.sin_addr), port };
	}
	const address = formatIpv6(addr.sin6_addr);
	const { sin_addr: flowinfo, sin6_scope_id: scope_id } = addr;
	return { family: "AF_INET6", address, port, flowinfo, scope_id };
}
