// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The command `ip`, with the words, abbreviations and orders that iproute2 6.1 takes. Words that do
 * not concern ports are listed by name and passed over. A word that ports may depend on, and that
 * the model does not have, is an error that says so.
 */
import {
	EADDRNOTAVAIL,
	EEXIST,
	ENETUNREACH,
	ENODEV,
	ENOENT,
	EOPNOTSUPP,
	ESRCH,
	errnoName,
} from "../../include/uapi/asm-generic/errno.js";
import type { AddressOptions, FlushOptions, RouteOptions } from "../machine/net.js";
import { parsed, SetupError, type SetupTarget, type Words } from "./command.js";

type Family = 4 | 6 | undefined;

const unmodelled = (at: number, expected: string) => new SetupError(at, expected, null, true);

/** The indices of the words that a command's errors point to. */
interface Blame {
	dev?: number;
	gateway?: number;
	/** The address, the destination, or the name of a new device. */
	subject: number;
	/** The kind of the subject: "address", "route", "device". */
	what: string;
	/** The command removes the subject. */
	removes: boolean;
}

/** Throws an error of the kernel as a SetupError at the word that causes it. */
function check(result: number, { dev, gateway, subject, what, removes }: Blame): void {
	if (result >= 0) return;
	const name = errnoName(-result);
	if (result === -ENODEV && dev !== undefined) {
		throw new SetupError(dev, `a device of this namespace (${name})`, result);
	}
	if (result === -EEXIST) throw new SetupError(subject, `a new ${what} (${name})`, result);
	const missing = [EADDRNOTAVAIL, ESRCH, ENOENT, ENODEV].includes(-result);
	if (removes && missing) {
		throw new SetupError(subject, `${article(what)} that exists (${name})`, result);
	}
	if (result === -ENETUNREACH && gateway !== undefined) {
		throw new SetupError(gateway, `a gateway that a device leads to (${name})`, result);
	}
	if (result === -EOPNOTSUPP) {
		throw new SetupError(subject, `a change that is possible here (${name})`, result);
	}
	throw new SetupError(subject, `${article(what)} that the kernel takes (${name})`, result);
}

const article = (what: string) => `${/^[aeiou]/.test(what) ? "an" : "a"} ${what}`;

function number(words: Words, expected: string, least: number): number {
	const value = Number(words.next(expected));
	if (!(Number.isInteger(value) && value >= least)) throw new SetupError(words.at - 1, expected);
	return value;
}

/** Passes over a word with its value. */
function pass(words: Words, word: string): void {
	words.passed.push(`${word} ${words.next("a value")}`);
}

// ip link

const LINK_VERBS = ["add", "set", "change", "replace", "delete", "show", "list", "lst"] as const;

/** Words of `ip link` with a value that do not concern ports. */
const LINK_VALUES = [
	...["mtu", "txqueuelen", "txqlen", "qlen", "alias", "group", "broadcast", "brd", "index"],
	...["promisc", "arp", "multicast", "allmulticast", "trailers", "dynamic", "carrier", "mode"],
	...["protodown", "protodown_reason", "numtxqueues", "numrxqueues", "gso_max_size"],
	...["gso_max_segs", "gso_ipv4_max_size", "gro_max_size", "gro_ipv4_max_size", "link"],
	...["state", "min_mtu", "max_mtu", "link-netnsid", "event"],
];
/** Words of `ip link` whose remaining words do not concern ports. */
const LINK_REST = ["vf", "xdp", "xdpgeneric", "xdpdrv", "xdpoffload", "prog_name"];

function ipLink(net: SetupTarget, words: Words): void {
	if (words.done) {
		words.passRest();
		return;
	}
	const verb = words.choose(LINK_VERBS);
	if (verb === "show" || verb === "list" || verb === "lst") {
		words.passRest();
		return;
	}
	if (verb === "add") {
		linkAdd(net, words);
		return;
	}
	let name: string | null = null;
	let dev = words.at;
	const steps: { at: number; run: (name: string) => number }[] = [];
	let before: string[] = [];
	while (!words.done) {
		const at = words.at;
		const word = words.next("a device name");
		if (word === "up" || word === "down") {
			steps.push({ at, run: (link) => net.setLink(link, word === "up") });
		} else if (word === "address" || word === "lladdr") {
			const mac = words.next("a MAC address");
			steps.push({ at: at + 1, run: (link) => parsed(at + 1, () => net.setMac(link, mac)) });
		} else if (word === "addrgenmode") {
			const mode = words.next("eui64 or none");
			if (mode !== "eui64" && mode !== "none") throw unmodelled(at + 1, "eui64 or none");
			steps.push({ at: at + 1, run: (link) => net.setAddrGenMode(link, mode) });
		} else if (word === "master" || word === "vrf" || word === "nomaster") {
			const master = word === "nomaster" ? null : words.next("a VRF");
			steps.push({ at: at + 1, run: (link) => net.setMaster(link, master) });
		} else if (word === "name") {
			const to = words.next("a device name");
			steps.push({ at: at + 1, run: (link) => net.renameLink(link, to) });
		} else if (word === "netns") {
			words.next("a namespace");
			throw unmodelled(at, "a device that stays in this namespace");
		} else if (LINK_VALUES.includes(word)) pass(words, word);
		else if (LINK_REST.includes(word) || (word === "type" && name !== null)) {
			before = [word];
			break;
		} else {
			if (name !== null) throw new SetupError(at, "a setting of a device");
			dev = word === "dev" ? words.at : at;
			name = word === "dev" ? words.next("a device name") : word;
		}
	}
	if (name === null) throw new SetupError(words.at, "a device name");
	const link = name;
	if (before.length > 0) words.passRest();
	const blame = { dev, subject: dev, what: "device", removes: verb === "delete" };
	if (verb === "delete") {
		check(net.delLink(link), blame);
		return;
	}
	for (const { at, run } of steps) check(run(link), { ...blame, subject: at });
}

function linkAdd(net: SetupTarget, words: Words): void {
	let name: string | null = null;
	let mac: string | undefined;
	let subject = words.at;
	let macAt = words.at;
	let up: boolean | null = null;
	let type: string | null = null;
	while (!words.done && type === null) {
		const at = words.at;
		const word = words.next("a device name");
		if (word === "type") type = words.next("dummy or vrf");
		else if (word === "address" || word === "lladdr") {
			macAt = words.at;
			mac = words.next("a MAC address");
		} else if (word === "up" || word === "down") up = word === "up";
		else if (word === "netns") throw unmodelled(at, "a device of this namespace");
		else if (LINK_VALUES.includes(word)) pass(words, word);
		else {
			if (name !== null) throw new SetupError(at, "type");
			const named = word === "name" || word === "dev";
			subject = named ? words.at : at;
			name = named ? words.next("a device name") : word;
		}
	}
	if (type === null) throw new SetupError(words.at, "type dummy or type vrf");
	if (name === null) throw new SetupError(words.at, "a device name");
	let table = 0;
	let peer: string | null = null;
	if (type === "vrf") {
		words.choose(["table"]);
		table = number(words, "a table number", 1);
		if (!words.done) throw new SetupError(words.at, "the end of the command");
	} else if (type !== "dummy") {
		// Devices without another host behind them are alike for ports.
		words.passed.push(`type ${type}`);
		const at = words.argv.indexOf("peer", words.at);
		if (at >= 0) {
			const [next = null, after = null] = words.argv.slice(at + 1);
			peer = next === "name" || next === "dev" ? after : next;
		}
		words.passRest();
	} else if (!words.done) throw new SetupError(words.at, "the end of the command");
	const link = name;
	const blame = { dev: subject, subject, what: "device", removes: false };
	check(
		parsed(macAt, () => net.addLink(link, table, mac)),
		blame,
	);
	if (peer) check(net.addLink(peer, 0), blame);
	if (up === true) check(net.setLink(link, true), blame);
}

// ip address

const ADDR_VERBS = [
	...(["add", "change", "chg", "replace", "delete", "show", "lst", "list"] as const),
	...(["flush", "save", "showdump", "restore"] as const),
];
const SCOPES = ["global", "link", "host"] as const;
const SCOPE_NUMBERS: Readonly<Record<string, (typeof SCOPES)[number]>> = {
	"0": "global",
	"253": "link",
	"254": "host",
};
const ADDR_FLAGS = ["home", "mngtmpaddr", "nodad", "optimistic", "autojoin", "noprefixroute"];

function scopeOf(words: Words): (typeof SCOPES)[number] {
	const word = words.next(SCOPES.join(" or "));
	const found = SCOPES.find((scope) => scope === word) ?? SCOPE_NUMBERS[word];
	if (found === undefined) throw new SetupError(words.at - 1, SCOPES.join(" or "));
	return found;
}

/** Whether a word abbreviates `whole`, for words that iproute2 compares by matches(). */
const begins = (word: string, whole: string) => word !== "" && whole.startsWith(word);

function ipAddr(net: SetupTarget, words: Words, family: Family): void {
	if (words.done) {
		words.passRest();
		return;
	}
	const verb = words.choose(ADDR_VERBS);
	if (verb === "flush") {
		addrFlush(net, words, family);
		return;
	}
	if (["show", "lst", "list", "save", "showdump"].includes(verb)) {
		words.passRest();
		return;
	}
	if (verb === "restore") throw unmodelled(words.at - 1, "add, change, replace or delete");
	const options: AddressOptions = {};
	let prefix: string | null = null;
	let peer: string | null = null;
	let name: string | null = null;
	let [subject, dev] = [words.at, words.at];
	while (!words.done) {
		const at = words.at;
		const word = words.next("an address");
		if (word === "dev") {
			dev = words.at;
			name = words.next("a device name");
		} else if (word === "scope") options.scope = scopeOf(words);
		else if (word === "brd" || begins(word, "broadcast")) {
			options.broadcast = words.next("an address");
		} else if (word === "peer" || word === "remote") peer = words.next("an address");
		else if (begins(word, "valid_lft")) {
			const time = words.next("seconds or forever");
			if (time !== "forever") words.passed.push(`valid_lft ${time}`);
		} else if (begins(word, "preferred_lft")) {
			const time = words.next("seconds or forever");
			options.deprecated = /^0+(s|sec|secs)?$/.test(time);
		} else if (ADDR_FLAGS.includes(word)) {
			if (word === "noprefixroute") throw unmodelled(at, "an address with its route");
			if (word !== "nodad") words.passed.push(word);
		} else if (["label", "metric", "priority", "preference", "proto", "anycast"].includes(word)) {
			pass(words, word);
		} else {
			if (prefix !== null) throw new SetupError(at, "dev NAME");
			subject = word === "local" ? words.at : at;
			prefix = word === "local" ? words.next("an address") : word;
		}
	}
	if (prefix === null) throw new SetupError(words.at, "an address");
	if (name === null) throw new SetupError(words.at, "dev NAME");
	const [local, link] = [fullAddress(prefix), name];
	const blame = { dev, subject, what: "address", removes: verb === "delete" };
	check(
		parsed(subject, () => {
			if (verb === "delete") return net.delAddress(local, link);
			const own = peer === null ? local : local.replace(/\/.*/, "");
			return verb === "add"
				? net.addAddress(own, link, options)
				: net.replaceAddress(own, link, options);
		}),
		blame,
	);
	if (peer === null || verb === "delete") return;
	// The route of an address with a peer leads to the peer.
	const src = local.replace(/\/.*/, "");
	const route: RouteOptions = { to: fullAddress(peer), dev: link, src };
	parsed(subject, () => net.addRoute(route));
}

/** Completes an IPv4 prefix, which may leave out its last bytes: 198.51/16. */
function fullAddress(prefix: string): string {
	const [address = "", length] = prefix.split("/");
	if (!/^[0-9]+(\.[0-9]+){0,2}$/.test(address) || length === undefined) return prefix;
	const bytes = address.split(".");
	while (bytes.length < 4) bytes.push("0");
	return `${bytes.join(".")}/${length}`;
}

function addrFlush(net: SetupTarget, words: Words, family: Family): void {
	const options: FlushOptions = family === undefined ? {} : { family };
	const first = words.at;
	let dev = words.at;
	while (!words.done) {
		const word = words.next("a selector");
		if (word === "to") options.to = fullAddress(words.next("a prefix"));
		else if (word === "scope") options.scope = scopeOf(words);
		else if (word === "label" || word === "type" || word === "group" || word === "master") {
			throw unmodelled(words.at - 1, "dev, to or scope");
		} else if (["up", "dynamic", "primary", "permanent"].includes(word)) words.passed.push(word);
		else if (["deprecated", "secondary", "temporary", "tentative", "dadfailed"].includes(word)) {
			throw unmodelled(words.at - 1, "dev, to or scope");
		} else {
			dev = word === "dev" ? words.at : words.at - 1;
			options.dev = word === "dev" ? words.next("a device name") : word;
		}
	}
	if (words.at === first) throw new SetupError(words.at, "a device, or what to flush");
	check(
		parsed(first, () => net.flushAddresses(options)),
		{ dev, subject: first, what: "address", removes: false },
	);
}

// ip route

const ROUTE_VERBS = [
	...(["list", "show", "lst", "get", "add", "change", "chg", "replace", "prepend"] as const),
	...(["append", "test", "delete", "flush", "save", "restore", "showdump"] as const),
];
const ROUTE_TYPES = ["unicast", "local", "blackhole", "unreachable", "prohibit"] as const;
const OTHER_TYPES = ["throw", "nat", "multicast", "broadcast", "anycast", "xresolve"];

/** Words of `ip route` with a value that do not concern ports. Some may be abbreviated. */
const ROUTE_VALUES = [
	...["proto", "expires", "mtu", "rtt", "rto_min", "cwnd", "initcwnd", "initrwnd", "features"],
	...["quickack", "congctl", "rttvar", "ssthresh", "pref", "ttl-propagate"],
	...["fastopen_no_cookie", "mpath_mode"],
];
const ROUTE_CUT = ["protocol", "hoplimit", "advmss", "reordering", "window", "realms"];

function ipRoute(net: SetupTarget, words: Words, family: Family): void {
	if (words.done) {
		words.passRest();
		return;
	}
	const verb = words.choose(ROUTE_VERBS);
	if (["list", "show", "lst", "get", "save", "showdump"].includes(verb)) {
		words.passRest();
		return;
	}
	if (verb === "flush" && words.peek() === "cache") {
		words.passRest();
		return;
	}
	if (["flush", "restore", "test"].includes(verb)) {
		throw unmodelled(words.at - 1, "add, change, replace, append or delete");
	}
	const options: RouteOptions = family === undefined ? { to: "" } : { to: "", family };
	let [subject, dev, gateway] = [words.at, words.at, words.at];
	let to: string | null = null;
	while (!words.done) {
		const at = words.at;
		const word = words.next("a destination");
		if (word === "dev" || word === "oif") {
			dev = words.at;
			options.dev = words.next("a device name");
		} else if (word === "via") {
			gateway = words.at;
			options.via = words.next("a gateway");
			if (/^inet6?$/.test(options.via)) options.via = words.next("a gateway");
			const other = options.via.includes(":") !== (to ?? "").includes(":");
			if (other && to?.includes(".")) throw unmodelled(gateway, "an IPv4 gateway");
		} else if (word === "src") options.src = words.next("an address");
		else if (begins(word, "metric") || word === "priority" || word === "preference") {
			options.metric = number(words, "a metric", 0);
		} else if (word === "scope") options.scope = scopeOf(words);
		else if (begins(word, "table")) options.table = words.next("a table");
		else if (word === "vrf") options.vrf = words.next("a VRF");
		else if (word === "onlink") options.onlink = true;
		else if (word === "answer") options.answer = words.choose(["blackhole", "accept", "refuse"]);
		else if (word === "tos" || begins(word, "dsfield")) {
			if (Number(words.next("a number")) !== 0) throw unmodelled(at, "a route of any TOS");
		} else if (word === "from" || word === "nexthop" || word === "encap" || word === "nhid") {
			throw unmodelled(at, "a route by one device or gateway");
		} else if (word === "pervasive" || word === "linkdown" || word === "dead") {
			words.passed.push(word);
		} else if (ROUTE_VALUES.includes(word) || ROUTE_CUT.some((whole) => begins(word, whole))) {
			if (words.peek() === "lock") words.next("lock");
			pass(words, word);
		} else {
			if (to !== null) throw new SetupError(at, "a word of a route");
			to = word === "to" ? words.next("a destination") : word;
			const type = to;
			if (OTHER_TYPES.includes(type)) throw unmodelled(words.at - 1, ROUTE_TYPES.join(", "));
			const known = ROUTE_TYPES.find((candidate) => candidate === type);
			if (known !== undefined) {
				options.type = known;
				to = words.next("a destination");
			}
			subject = words.at - 1;
		}
	}
	if (to === null && options.dev === undefined) throw new SetupError(words.at, "a destination");
	options.to = to === null || to === "any" || to === "all" ? "default" : fullAddress(to);
	const at = subject;
	const blame = { dev, gateway, subject, what: "route", removes: verb === "delete" };
	check(
		parsed(at, () => {
			if (verb === "delete") return net.delRoute(options);
			if (verb === "add") return net.addRoute(options);
			// fib6_add_rt2node() puts it after the others, whether the request has NLM_F_APPEND or not.
			const ipv6 = family === 6 || options.to.includes(":");
			if (verb === "append" || (verb === "prepend" && ipv6)) return net.appendRoute(options);
			if (verb !== "prepend") return net.replaceRoute(options);
			const err = net.addRoute(options);
			if (err === -EEXIST) throw unmodelled(at, "a route of a prefix and metric of its own");
			return err;
		}),
		blame,
	);
}

// ip

const OBJECTS = [
	...(["address", "addrlabel", "maddress", "route", "rule", "neighbor", "neighbour"] as const),
	...(["ntable", "ntbl", "link", "l2tp", "fou", "ila", "macsec", "tunnel", "tunl"] as const),
	...(["tuntap", "tap", "token", "tcpmetrics", "tcp_metrics", "monitor", "xfrm"] as const),
	...(["mroute", "mrule", "netns", "netconf", "vrf", "sr", "nexthop", "mptcp"] as const),
	...(["ioam", "help", "stats"] as const),
];

/** Objects of `ip` that do not concern ports. */
const NO_CONCERN: readonly string[] = [
	...["maddress", "neighbor", "neighbour", "ntable", "ntbl", "macsec", "token", "tcpmetrics"],
	...["tcp_metrics", "monitor", "xfrm", "mroute", "mrule", "netns", "netconf", "vrf", "mptcp"],
	...["ioam", "help", "stats", "fou", "ila", "sr"],
];

/** Options of `ip` with a value. */
const WITH_VALUE = ["rcvbuf", "loops", "color"];

/** Reads the options of `ip` itself. Returns the family if they name one. */
function ipOptions(words: Words): Family {
	let family: Family;
	while (words.peek()?.startsWith("-")) {
		const at = words.at;
		const option = words.next("an option").replace(/^--?/, "");
		if (option === "4" || option === "6") family = option === "4" ? 4 : 6;
		else if (begins(option, "family")) {
			const named = words.next("inet or inet6");
			if (named === "inet" || named === "inet6") family = named === "inet" ? 4 : 6;
			else words.passed.push(`family ${named}`);
		} else if (begins(option, "batch")) {
			throw unmodelled(at, "a command, not a file of commands");
		} else if (begins(option, "netns")) {
			throw unmodelled(at, "a command of this namespace");
		} else if (WITH_VALUE.some((whole) => option === whole)) {
			if (option !== "color") words.next("a value");
		} else if (/^V(ersion)?$/.test(option)) words.passRest();
	}
	return family;
}

/** Runs `ip` with its words. Throws SetupError. */
export function ip(net: SetupTarget, words: Words): void {
	const family = ipOptions(words);
	if (words.done && words.passed.length > 0) return;
	const at = words.at;
	const word = words.next("link, address or route");
	const object = OBJECTS.find((whole) => begins(word, whole));
	if (object === undefined) throw new SetupError(at, "link, address or route");
	if (object === "link") ipLink(net, words);
	else if (object === "address") ipAddr(net, words, family);
	else if (object === "route") ipRoute(net, words, family);
	else if (object === "tuntap" || object === "tap" || object === "tunnel" || object === "tunl") {
		tunnel(net, words);
	} else if (NO_CONCERN.includes(object)) words.passRest();
	else {
		const asks = words.done || /^(s|sh|sho|show|l|li|lis|list|lst)$/.test(words.peek() ?? "");
		if (!asks) throw unmodelled(at, "link, address or route");
		words.passRest();
	}
}

/** Adds the device of a tunnel. */
function tunnel(net: SetupTarget, words: Words): void {
	const subject = words.at;
	const verb = words.done ? "show" : words.choose(["add", "change", "delete", "show", "list"]);
	const rest = words.argv.slice(words.at);
	words.passRest();
	if (verb !== "add" && verb !== "delete") return;
	const named = rest.findIndex((word) => word === "dev" || word === "name");
	const VALUES = ["mode", "user", "group", "remote", "local", "ttl", "key", "tos"];
	const name =
		named >= 0
			? rest[named + 1]
			: rest.find((word, i) => !VALUES.includes(word) && !VALUES.includes(rest[i - 1] ?? ""));
	if (name === undefined) throw new SetupError(subject + 1, "a device name");
	const blame = { dev: subject, subject, what: "device", removes: verb === "delete" };
	check(verb === "add" ? net.addLink(name, 0) : net.delLink(name), blame);
}
