// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The commands of `ip` that send a message of rtnetlink. netlink.ts reads messages that strace
 * decoded, netlink_bytes.ts reads bytes, and both make the words of the command here.
 */

/** Flags of a message that makes something: include/uapi/linux/netlink.h. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

/** RTM_NEWADDR, or RTM_DELADDR if it `removes`. Addresses are text. */
interface AddressMessage {
	removes: boolean;
	/** Flags of the message: NLM_F_*. */
	flags: number;
	ipv6: boolean;
	dev: string;
	/** IFA_LOCAL. */
	local: string | null;
	/** IFA_ADDRESS: the local address or the peer's address. */
	address: string | null;
	prefixLength: number;
	broadcast: string | null;
	/** RT_SCOPE_*. */
	scope: number;
	/** ifa_prefered of IFA_CACHEINFO, seconds; null if there is none. */
	preferred: number | null;
}

/** RTM_NEWROUTE, or RTM_DELROUTE if it `removes`. A missing attribute is null. */
interface RouteMessage {
	removes: boolean;
	flags: number;
	ipv6: boolean;
	/** RTN_*. */
	type: number;
	dst: string | null;
	prefixLength: number;
	gateway: string | null;
	dev: string | null;
	prefsrc: string | null;
	priority: number | null;
	/** RTA_TABLE, else rtm_table; -1 if the table is not known. */
	table: number;
	/** RT_SCOPE_*. */
	scope: number;
	/** RTNH_F_*. */
	nexthopFlags: number;
}

/** RTA_* of routes that the model does not have, by number: RTA_SRC, RTA_MULTIPATH and others. */
export const UNMODELLED_RTA: ReadonlyMap<number, string> = new Map([
	[2, "RTA_SRC"],
	[9, "RTA_MULTIPATH"],
	[18, "RTA_VIA"],
	[22, "RTA_ENCAP"],
	[30, "RTA_NH_ID"],
]);

/** A constant: its number, the name that strace prints, and the word of `ip`. */
type Constant = readonly [number: number, name: string, word: string];

/** Types of routes that the model has. */
export const ROUTE_TYPES: readonly Constant[] = [
	[0, "RTN_UNSPEC", ""],
	[1, "RTN_UNICAST", "unicast"],
	[2, "RTN_LOCAL", "local"],
	[6, "RTN_BLACKHOLE", "blackhole"],
	[7, "RTN_UNREACHABLE", "unreachable"],
	[8, "RTN_PROHIBIT", "prohibit"],
];
export const SCOPES: readonly Constant[] = [
	[0, "RT_SCOPE_UNIVERSE", "global"],
	[253, "RT_SCOPE_LINK", "link"],
	[254, "RT_SCOPE_HOST", "host"],
];
export const TABLES: readonly Constant[] = [
	[0, "RT_TABLE_UNSPEC", ""],
	[253, "RT_TABLE_DEFAULT", "default"],
	[254, "RT_TABLE_MAIN", "main"],
	[255, "RT_TABLE_LOCAL", "local"],
];

const wordOf = (table: readonly Constant[], number: number): string | undefined =>
	table.find(([known]) => known === number)?.[2];

export const RTNH_F_ONLINK = 4;

/**
 * net/ipv4/devinet.c: inet_rtm_newaddr, net/ipv6/addrconf.c: inet6_rtm_newaddr. Only NLM_F_REPLACE
 * changes an existing address. NLM_F_CREATE and NLM_F_APPEND have no effect.
 */
const addressVerb = (flags: number) =>
	(flags & (NLM_F_EXCL | NLM_F_REPLACE)) === NLM_F_REPLACE ? "replace" : "add";

/**
 * net/ipv4/fib_trie.c: fib_table_insert. Without NLM_F_APPEND a route goes before those with the
 * same prefix and metric, as `ip route prepend` says.
 */
function routeVerb(flags: number): string {
	if ((flags & NLM_F_EXCL) !== 0) return "add";
	if ((flags & NLM_F_REPLACE) !== 0) return "replace";
	return (flags & NLM_F_APPEND) !== 0 ? "append" : "prepend";
}

/** The words of a command; null for a message without an address. */
export function addressCommand(message: AddressMessage): string[] | null {
	const { removes, ipv6, dev, address, prefixLength, broadcast, scope } = message;
	const own = message.local ?? address;
	if (own === null) return null;
	const words = ["ip", "addr", removes ? "del" : addressVerb(message.flags)];
	// inet_rtm_deladdr() compares prefixes only if the message has IFA_ADDRESS.
	if (removes && address === null && !ipv6) words.push(own);
	else if (address !== null && address !== own) {
		words.push(own, "peer", `${address}/${prefixLength}`);
	} else words.push(`${own}/${prefixLength}`);
	words.push("dev", dev);
	if (removes) return words;
	if (broadcast !== null) words.push("broadcast", broadcast);
	const scoped = wordOf(SCOPES, scope);
	if (scoped !== undefined && !ipv6) words.push("scope", scoped);
	if (message.preferred === 0) words.push("preferred_lft", "0");
	return words;
}

/** The words of a command; null for a route that the model does not have. */
export function routeCommand(message: RouteMessage): string[] | null {
	const { ipv6, type, dst, prefixLength, gateway, dev, prefsrc, priority, table } = message;
	const words = ["ip", ipv6 ? "-6" : "-4", "route"];
	words.push(message.removes ? "del" : routeVerb(message.flags));
	const typed = wordOf(ROUTE_TYPES, type);
	if (typed === undefined || table < 0 || (dst === null && prefixLength > 0)) return null;
	if (typed !== "") words.push(typed);
	words.push(dst === null ? "default" : `${dst}/${prefixLength}`);
	if (gateway !== null) words.push("via", gateway);
	if (dev !== null) words.push("dev", dev);
	if (prefsrc !== null) words.push("src", prefsrc);
	if (priority !== null) words.push("metric", String(priority));
	if (table !== 0) words.push("table", wordOf(TABLES, table) ?? String(table));
	const scoped = wordOf(SCOPES, message.scope);
	if (scoped !== undefined && !ipv6) words.push("scope", scoped);
	if ((message.nexthopFlags & RTNH_F_ONLINK) !== 0) words.push("onlink");
	return words;
}
