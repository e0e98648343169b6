// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Set-up commands for a real kernel: rtnetlink messages as iproute2 sends them, and writes to
 * sysctl files. The agent cannot run `ip`.
 */
import { EINVAL, EOPNOTSUPP } from "../../../include/uapi/asm-generic/errno.js";
import { parseIpv4, parseIpv6 } from "../../machine/address.js";
import type { AddressOptions, RouteOptions } from "../../machine/net.js";
import type { SetupTarget } from "../../script/setup.js";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
export const RTM_GETADDR = 22;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
const NLM_F_REPLACE = 0x100;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const NLM_F_APPEND = 0x800;

const AF_INET = 2;
const AF_INET6 = 10;
const IFF_UP = 1;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_VRF_TABLE = 1;
const IFLA_AF_SPEC = 26;
const IFLA_INET6_ADDR_GEN_MODE = 8;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_CACHEINFO = 6;
const IFA_F_NODAD = 2;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;
const RTNH_F_ONLINK = 4;
const RTPROT_BOOT = 3;

const SCOPES = { global: 0, link: 253, host: 254 } as const;
const SCOPE_NOWHERE = 255;
const MAIN = 254;
const LOCAL = 255;
const TABLES = new Map<unknown, number>([
	["default", 253],
	["main", MAIN],
	["local", LOCAL],
]);
export const RTN_LOCAL = 2;
const TYPES = { unicast: 1, local: 2, blackhole: 6, unreachable: 7, prohibit: 8 } as const;

/** One action. The indices of a message's devices are looked up before it is sent. */
export type SetupAction =
	| { kind: "netlink"; names: string[]; message: (ifindexes: number[]) => Uint8Array }
	| { kind: "sysctl"; path: string; text: string }
	| { kind: "sleep"; ms: number };

const u8 = (...bytes: number[]) => Uint8Array.from(bytes);

function u32(...words: number[]): Uint8Array {
	const bytes = new Uint8Array(words.length * 4);
	const view = new DataView(bytes.buffer);
	for (const [i, word] of words.entries()) view.setUint32(i * 4, word >>> 0, true);
	return bytes;
}

function concat(...parts: Uint8Array[]): Uint8Array {
	return new Uint8Array(Buffer.concat(parts));
}

function attribute(type: number, ...value: Uint8Array[]): Uint8Array {
	const data = concat(...value);
	const padded = new Uint8Array((4 + data.length + 3) & ~3);
	new DataView(padded.buffer).setUint16(0, 4 + data.length, true);
	new DataView(padded.buffer).setUint16(2, type, true);
	padded.set(data, 4);
	return padded;
}

const text = (value: string) => new TextEncoder().encode(`${value}\0`);

function nlmsg(type: number, flags: number, ...parts: Uint8Array[]): Uint8Array {
	const body = concat(...parts);
	const header = new Uint8Array(16);
	const view = new DataView(header.buffer);
	view.setUint32(0, 16 + body.length, true);
	view.setUint16(4, type, true);
	view.setUint16(6, flags | NLM_F_REQUEST | NLM_F_ACK, true);
	return concat(header, body);
}

interface Prefix {
	family: number;
	bytes: Uint8Array;
	length: number;
}

/** "192.0.2.0/24" or a single address; throws RangeError. */
function prefixOf(value: string): Prefix {
	const [address = "", length] = value.split("/");
	const v4 = parseIpv4(address);
	const v6 = v4 === null ? parseIpv6(address) : null;
	const family = v4 === null ? AF_INET6 : AF_INET;
	const words = v4 === null ? v6 : [v4];
	const most = family === AF_INET ? 32 : 128;
	const plen = length === undefined ? most : Number(length);
	if (words === null || !(Number.isInteger(plen) && plen >= 0 && plen <= most)) {
		throw new RangeError("not an address or a prefix");
	}
	const bytes = u8(
		...[...words].flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]),
	);
	return { family, bytes, length: plen };
}

/** A message that asks for all IPv6 addresses or routes of a namespace. */
export function dumpRequest(type: number): Uint8Array {
	const message = nlmsg(type, NLM_F_DUMP, u8(AF_INET6, 0, 0, 0), u32(0, 0));
	new DataView(message.buffer).setUint16(6, NLM_F_DUMP | NLM_F_REQUEST, true);
	return message;
}

/** An address, or the destination of a route. */
export interface DumpedAddress {
	/** The type of a route, such as RTN_LOCAL. */
	type: number;
	/** The address in hex. */
	address: string;
}

/** Reads one part of a dump into `found`. Returns whether it was the last part. */
export function readDump(part: Uint8Array, found: DumpedAddress[]): boolean {
	const view = new DataView(part.buffer, part.byteOffset, part.length);
	for (let at = 0; at + 16 <= part.length; ) {
		const size = view.getUint32(at, true);
		const type = view.getUint16(at + 4, true);
		if (size < 16 || type === NLMSG_DONE || type === NLMSG_ERROR) return true;
		const end = Math.min(at + size, part.length);
		const route = type === RTM_NEWROUTE;
		let attribute = at + 16 + (route ? 12 : 8);
		while (attribute + 4 <= end) {
			const length = view.getUint16(attribute, true);
			if (length < 4) break;
			if (view.getUint16(attribute + 2, true) === (route ? RTA_DST : IFA_ADDRESS)) {
				const bytes = part.subarray(attribute + 4, Math.min(attribute + length, end));
				found.push({
					type: route ? view.getUint8(at + 16 + 7) : 0,
					address: Buffer.from(bytes).toString("hex"),
				});
			}
			attribute += (length + 3) & ~3;
		}
		at += (size + 3) & ~3;
	}
	return false;
}

/** Collects the actions of set-up commands on a real kernel, in order. */
export class RealSetup implements SetupTarget {
	readonly actions: SetupAction[] = [];
	private readonly tables = new Map<string, number>();

	private netlink(names: string[], message: (ifindexes: number[]) => Uint8Array): number {
		this.actions.push({ kind: "netlink", names, message });
		return 0;
	}

	/** The clock of set-up commands: `sleep`. */
	advance(ms: number): void {
		this.actions.push({ kind: "sleep", ms });
	}

	addLink(name: string, table: number, mac?: string): number {
		const kind = table === 0 ? "dummy" : "vrf";
		if (table !== 0) this.tables.set(name, table);
		const data =
			table === 0 ? [] : [attribute(IFLA_INFO_DATA, attribute(IFLA_VRF_TABLE, u32(table)))];
		const info = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text(kind)), ...data);
		const address = mac === undefined ? [] : [macAttribute(mac)];
		return this.netlink([], () =>
			nlmsg(
				RTM_NEWLINK,
				NLM_F_CREATE | NLM_F_EXCL,
				u32(0, 0, 0, 0),
				attribute(IFLA_IFNAME, text(name)),
				...address,
				info,
			),
		);
	}

	private link(name: string, flags: number, change: number, ...attributes: Uint8Array[]): number {
		return this.netlink([name], ([ifindex = 0]) =>
			nlmsg(RTM_NEWLINK, 0, u32(0, ifindex, flags, change), ...attributes),
		);
	}

	delLink(name: string): number {
		return this.netlink([name], ([ifindex = 0]) => nlmsg(RTM_DELLINK, 0, u32(0, ifindex, 0, 0)));
	}

	renameLink(name: string, to: string): number {
		return this.link(name, 0, 0, attribute(IFLA_IFNAME, text(to)));
	}

	setLink(name: string, up: boolean): number {
		return this.link(name, up ? IFF_UP : 0, IFF_UP);
	}

	setMac(name: string, mac: string): number {
		return this.link(name, 0, 0, macAttribute(mac));
	}

	setAddrGenMode(name: string, mode: "eui64" | "none"): number {
		const value = attribute(IFLA_INET6_ADDR_GEN_MODE, u8(mode === "eui64" ? 0 : 1));
		return this.link(name, 0, 0, attribute(IFLA_AF_SPEC, attribute(AF_INET6, value)));
	}

	setMaster(name: string, master: string | null): number {
		return this.netlink(master === null ? [name] : [name, master], ([ifindex = 0, to = 0]) =>
			nlmsg(RTM_NEWLINK, 0, u32(0, ifindex, 0, 0), attribute(IFLA_MASTER, u32(to))),
		);
	}

	private address(
		type: number,
		flags: number,
		value: string,
		dev: string,
		o: AddressOptions,
	): number {
		const { family, bytes, length } = prefixOf(value);
		const attributes = [attribute(IFA_LOCAL, bytes)];
		// Without a length the kernel deletes an IPv4 address of every length.
		const wildcard = type === RTM_DELADDR && family === AF_INET && !value.includes("/");
		if (!wildcard) attributes.push(attribute(IFA_ADDRESS, bytes));
		let scope: number = SCOPES[o.scope ?? "global"];
		if (family === AF_INET) {
			if (o.scope === undefined && bytes[0] === 127) scope = SCOPES.host;
			if (o.broadcast !== undefined) {
				attributes.push(attribute(IFA_BROADCAST, broadcast(o.broadcast, bytes, length)));
			}
		} else {
			if (o.deprecated === true) {
				attributes.push(attribute(IFA_CACHEINFO, u32(0, 0xffffffff, 0, 0)));
			}
		}
		// In the header, because gVisor does not take the attribute IFA_FLAGS.
		const nodad = family === AF_INET6 ? IFA_F_NODAD : 0;
		return this.netlink([dev], ([ifindex = 0]) =>
			nlmsg(type, flags, u8(family, length, nodad, scope), u32(ifindex), ...attributes),
		);
	}

	addAddress(prefix: string, dev: string, options: AddressOptions): number {
		return this.address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, prefix, dev, options);
	}

	replaceAddress(prefix: string, dev: string, options: AddressOptions): number {
		return this.address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, prefix, dev, options);
	}

	/** Not possible: the addresses of the real namespace are not read. */
	flushAddresses(): number {
		return -EOPNOTSUPP;
	}

	delAddress(prefix: string, dev: string): number {
		return this.address(RTM_DELADDR, 0, prefix, dev, {});
	}

	private route(type: number, flags: number, options: RouteOptions): number {
		if (options.answer !== undefined && options.answer !== "blackhole") return -EINVAL;
		const next = [options.via, options.src].find((value) => value !== undefined);
		const to =
			options.to === "default"
				? { ...prefixOf(next ?? (options.family === 6 ? "::" : "0.0.0.0")), length: 0 }
				: prefixOf(options.to);
		const kind = options.type ?? "unicast";
		const named = options.vrf === undefined ? options.table : this.tables.get(options.vrf);
		const ordinary = kind === "local" ? LOCAL : MAIN;
		const table = named === undefined ? ordinary : (TABLES.get(named) ?? Number(named));
		let scope = 0;
		if (options.scope !== undefined) scope = SCOPES[options.scope];
		else if (type === RTM_DELROUTE) scope = SCOPE_NOWHERE;
		else if (to.family === AF_INET && kind === "local") scope = SCOPES.host;
		else if (to.family === AF_INET && kind === "unicast" && options.via === undefined) {
			scope = SCOPES.link;
		}
		const deleted = type === RTM_DELROUTE && options.type === undefined;
		const attributes: Uint8Array[] = [attribute(RTA_TABLE, u32(table))];
		if (to.length > 0) attributes.push(attribute(RTA_DST, to.bytes));
		if (options.via !== undefined) {
			attributes.push(attribute(RTA_GATEWAY, prefixOf(options.via).bytes));
		}
		if (options.src !== undefined) {
			attributes.push(attribute(RTA_PREFSRC, prefixOf(options.src).bytes));
		}
		if (options.metric !== undefined) attributes.push(attribute(RTA_PRIORITY, u32(options.metric)));
		return this.netlink(options.dev === undefined ? [] : [options.dev], ([ifindex]) =>
			nlmsg(
				type,
				flags,
				u8(to.family, to.length, 0, 0, table < 256 ? table : 0),
				u8(type === RTM_DELROUTE ? 0 : RTPROT_BOOT, scope, deleted ? 0 : TYPES[kind]),
				u32(options.onlink === true ? RTNH_F_ONLINK : 0),
				...attributes,
				...(ifindex === undefined ? [] : [attribute(RTA_OIF, u32(ifindex))]),
			),
		);
	}

	addRoute(options: RouteOptions): number {
		return this.route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, options);
	}

	appendRoute(options: RouteOptions): number {
		return this.route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, options);
	}

	replaceRoute(options: RouteOptions): number {
		return this.route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, options);
	}

	delRoute(options: RouteOptions): number {
		return this.route(RTM_DELROUTE, 0, options);
	}

	setSysctl(name: string, value: string): number {
		this.actions.push({
			kind: "sysctl",
			path: `/proc/sys/${name.replaceAll(".", "/")}`,
			text: value,
		});
		return 0;
	}
}

function macAttribute(mac: string): Uint8Array {
	const bytes = mac.split(":").map((part) => Number.parseInt(part, 16));
	if (bytes.length !== 6 || bytes.some((byte) => !(byte >= 0 && byte < 256))) {
		throw new RangeError("not a MAC address");
	}
	return attribute(IFLA_ADDRESS, u8(...bytes));
}

/** "+" is the last address of the subnet, "-" its first. */
function broadcast(value: string, bytes: Uint8Array, length: number): Uint8Array {
	if (value !== "+" && value !== "-") return prefixOf(value).bytes;
	const address = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
	const host = length === 0 ? 0xffffffff : 2 ** (32 - length) - 1;
	const found = value === "+" ? address | host : address & ~host;
	return u8(found >>> 24, (found >>> 16) & 255, (found >>> 8) & 255, found & 255);
}
