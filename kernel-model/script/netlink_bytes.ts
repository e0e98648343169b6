// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Reads messages of rtnetlink from bytes. strace decodes them only if it can find the protocol of a
 * netlink socket. It cannot for a program in another network namespace.
 */
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { formatIpv4, formatIpv6 } from "../machine/address.js";

/** A message: its sequence number, and the words of a command of ip. */
export interface RawMessage {
	seq: number;
	/** Empty if the message does not concern ports. Null if it may and is not understood. */
	command: string[] | null;
}

/** include/uapi/linux/rtnetlink.h. */
const [RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK] = [16, 17, 19];
const [RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE] = [20, 21, 24, 25];
/**
 * Messages on neighbours, queues and the like. Their types lie between RTM_NEWNEIGH and
 * RTM_NEWRULE, and above the rules.
 */
const isNoConcern = (type: number) =>
	type < 16 || (type & 3) === 2 || (type >= 28 && type < 32) || (type >= 36 && type < 104);

const [REPLACE, EXCL, APPEND] = [0x100, 0x200, 0x800];
const TYPES = ["", "unicast", "local", "", "", "", "blackhole", "unreachable", "prohibit"];
const SCOPES: Readonly<Record<number, string>> = { 0: "global", 253: "link", 254: "host" };
const IFF_UP = 1;

type ByIndex = (ifindex: number) => string | undefined;

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** The attributes from an offset on, by number. A truncated one is left out. */
function attributes(bytes: Uint8Array, from: number): Map<number, Uint8Array> {
	const found = new Map<number, Uint8Array>();
	const view = viewOf(bytes);
	for (let at = from; at + 4 <= bytes.length; ) {
		const length = view.getUint16(at, true);
		if (length < 4 || at + length > bytes.length) break;
		found.set(view.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + length));
		at += (length + 3) & ~3;
	}
	return found;
}

function address(bytes: Uint8Array | undefined): string | null {
	if (bytes?.length === 4) return formatIpv4(viewOf(bytes).getUint32(0));
	if (bytes?.length !== 16) return null;
	const view = viewOf(bytes);
	return formatIpv6(Uint32Array.from([0, 4, 8, 12], (at) => view.getUint32(at)));
}

const number = (bytes: Uint8Array | undefined): number | null =>
	bytes === undefined || bytes.length < 4 ? null : viewOf(bytes).getUint32(0, true);

const text = (bytes: Uint8Array | undefined): string | null =>
	bytes === undefined ? null : Buffer.from(bytes).toString().replace(/\0.*$/s, "");

/** The verb of `ip` for a message that makes something, by the message's flags. */
export function verb(flags: number, alone: string): string {
	if ((flags & EXCL) !== 0) return "add";
	if ((flags & REPLACE) !== 0) return "replace";
	return (flags & APPEND) !== 0 ? "append" : alone;
}

function addr(type: number, flags: number, body: Uint8Array, byIndex: ByIndex): string[] | null {
	if (body.length < 8) return null;
	const view = viewOf(body);
	const attrs = attributes(body, 8);
	const [far, local] = [address(attrs.get(1)), address(attrs.get(2))];
	const own = local ?? far;
	const dev = byIndex(view.getUint32(4, true));
	if (own === null || dev === undefined) return null;
	const length = view.getUint8(1);
	const peer = far !== null && far !== own;
	const words = ["ip", "addr", type === RTM_DELADDR ? "del" : verb(flags, "add")];
	words.push(...(peer ? [own, "peer", `${far}/${length}`] : [`${own}/${length}`]), "dev", dev);
	const scope = SCOPES[view.getUint8(3)];
	const scoped = view.getUint8(0) === AF_INET && type === RTM_NEWADDR && scope !== undefined;
	return scoped ? [...words, "scope", scope] : words;
}

function route(type: number, flags: number, body: Uint8Array, byIndex: ByIndex): string[] | null {
	if (body.length < 12) return null;
	const view = viewOf(body);
	const attrs = attributes(body, 12);
	const family = view.getUint8(0);
	// The model has no multipath routes, no gateways of another family and no next hop objects.
	if ([9, 18, 22, 30].some((key) => attrs.has(key))) return null;
	if (family !== AF_INET && family !== AF_INET6) return null;
	const kind = TYPES[view.getUint8(7)];
	if (kind === undefined || (kind === "" && view.getUint8(7) !== 0)) return null;
	const words = ["ip", family === AF_INET ? "-4" : "-6", "route"];
	words.push(type === RTM_DELROUTE ? "del" : verb(flags, "append"));
	if (kind !== "") words.push(kind);
	const [dst, length] = [address(attrs.get(1)), view.getUint8(1)];
	if (dst === null && length > 0) return null;
	words.push(dst === null ? "default" : `${dst}/${length}`);
	const gateway = address(attrs.get(5));
	if (gateway !== null) words.push("via", gateway);
	const oif = number(attrs.get(4));
	if (oif !== null) {
		const dev = byIndex(oif);
		if (dev === undefined) return null;
		words.push("dev", dev);
	}
	const src = address(attrs.get(7));
	if (src !== null) words.push("src", src);
	const metric = number(attrs.get(6));
	if (metric !== null) words.push("metric", String(metric));
	const table = number(attrs.get(15)) ?? view.getUint8(4);
	if (table !== 0) words.push("table", String(table));
	const scope = SCOPES[view.getUint8(6)];
	if (scope !== undefined && family === AF_INET) words.push("scope", scope);
	return words;
}

function link(type: number, body: Uint8Array, byIndex: ByIndex): string[] | null {
	if (body.length < 16) return null;
	const view = viewOf(body);
	const attrs = attributes(body, 16);
	const index = view.getInt32(4, true);
	const named = text(attrs.get(3));
	const dev = index !== 0 ? byIndex(index) : named;
	// iproute2 sends an empty message to probe the kernel.
	if (dev == null) return index === 0 && body.length === 16 ? [] : null;
	if (type === RTM_DELLINK) return ["ip", "link", "delete", dev];
	const info = attrs.get(18);
	if (index === 0 && info !== undefined) {
		const kind = text(attributes(info, 0).get(1));
		return kind === "dummy" ? ["ip", "link", "add", "name", dev, "type", kind] : null;
	}
	const master = number(attrs.get(10));
	if (attrs.has(19) || attrs.has(28)) return null; // into another namespace
	const words: string[] = [];
	if (master !== null) {
		const above = master === 0 ? undefined : byIndex(master);
		if (master !== 0 && above === undefined) return null;
		words.push(...(above === undefined ? ["nomaster"] : ["master", above]));
	}
	if ((view.getUint32(12, true) & IFF_UP) !== 0) {
		words.push((view.getUint32(8, true) & IFF_UP) !== 0 ? "up" : "down");
	}
	return words.length === 0 ? [] : ["ip", "link", "set", "dev", dev, ...words];
}

/** The command of a message whose header strace decoded. `body` may be truncated. */
export function rawCommand(
	type: number,
	flags: number,
	body: Uint8Array,
	byIndex: ByIndex,
): string[] | null {
	if (isNoConcern(type)) return [];
	if (type === RTM_NEWADDR || type === RTM_DELADDR) return addr(type, flags, body, byIndex);
	if (type === RTM_NEWROUTE || type === RTM_DELROUTE) return route(type, flags, body, byIndex);
	if (type === RTM_NEWLINK || type === RTM_DELLINK || type === RTM_SETLINK) {
		return link(type, body, byIndex);
	}
	return null;
}

/** The messages of a buffer that strace did not decode. */
export function rawMessages(bytes: Uint8Array, byIndex: ByIndex): RawMessage[] {
	const found: RawMessage[] = [];
	for (let at = 0; at + 16 <= bytes.length; ) {
		const view = viewOf(bytes);
		const length = view.getUint32(at, true);
		if (length < 16) break;
		const body = bytes.subarray(at + 16, at + length);
		const command = rawCommand(
			view.getUint16(at + 4, true),
			view.getUint16(at + 6, true),
			body,
			byIndex,
		);
		found.push({ seq: view.getUint32(at + 8, true), command });
		at += (length + 3) & ~3;
	}
	return found;
}
