// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Reads messages of rtnetlink from bytes. strace decodes them only if it can find the protocol of a
 * netlink socket. It cannot for a program in another network namespace.
 */
import { AF_INET, AF_INET6 } from "../../include/linux/socket.js";
import { formatIpv4, formatIpv6 } from "../machine/address.js";
import { addressCommand, routeCommand, UNMODELLED_RTA } from "./netlink_words.js";

/** A message: its sequence number, and the words of a command of ip. */
interface RawMessage {
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

const TEXT = new TextDecoder("utf-8", { ignoreBOM: true });

const text = (bytes: Uint8Array | undefined): string | null =>
	bytes === undefined ? null : TEXT.decode(bytes).replace(/\0.*$/s, "");

/** struct ifaddrmsg, and attributes: IFA_ADDRESS 1, IFA_LOCAL 2, IFA_BROADCAST 4, IFA_CACHEINFO 6. */
function addr(type: number, flags: number, body: Uint8Array, byIndex: ByIndex): string[] | null {
	if (body.length < 8) return null;
	const view = viewOf(body);
	const attrs = attributes(body, 8);
	const dev = byIndex(view.getUint32(4, true));
	if (dev === undefined) return null;
	return addressCommand({
		removes: type === RTM_DELADDR,
		flags,
		ipv6: view.getUint8(0) === AF_INET6,
		dev,
		local: address(attrs.get(2)),
		address: address(attrs.get(1)),
		prefixLength: view.getUint8(1),
		broadcast: address(attrs.get(4)),
		scope: view.getUint8(3),
		preferred: number(attrs.get(6)),
	});
}

/**
 * struct rtmsg, and attributes: RTA_DST 1, RTA_OIF 4, RTA_GATEWAY 5, RTA_PRIORITY 6, RTA_PREFSRC 7,
 * RTA_TABLE 15.
 */
function route(type: number, flags: number, body: Uint8Array, byIndex: ByIndex): string[] | null {
	if (body.length < 12) return null;
	const view = viewOf(body);
	const attrs = attributes(body, 12);
	const family = view.getUint8(0);
	if ([...UNMODELLED_RTA.keys()].some((key) => attrs.has(key))) return null;
	if (family !== AF_INET && family !== AF_INET6) return null;
	const oif = number(attrs.get(4));
	const dev = oif === null ? null : byIndex(oif);
	if (dev === undefined) return null;
	return routeCommand({
		removes: type === RTM_DELROUTE,
		flags,
		ipv6: family === AF_INET6,
		type: view.getUint8(7),
		dst: address(attrs.get(1)),
		prefixLength: view.getUint8(1),
		gateway: address(attrs.get(5)),
		dev,
		prefsrc: address(attrs.get(7)),
		priority: number(attrs.get(6)),
		table: number(attrs.get(15)) ?? view.getUint8(4),
		scope: view.getUint8(6),
		nexthopFlags: view.getUint32(8, true),
	});
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
