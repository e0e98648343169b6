// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Translates rtnetlink requests, as strace decodes them, to the equivalent set-up commands.
 * Requests without a model are listed by name.
 */
import { decodeString } from "./format.js";
import { rawCommand, rawMessages } from "./netlink_bytes.js";
import {
	addressCommand,
	NLM_F_APPEND,
	NLM_F_CREATE,
	NLM_F_EXCL,
	NLM_F_REPLACE,
	ROUTE_TYPES,
	RTNH_F_ONLINK,
	routeCommand,
	SCOPES,
	TABLES,
	UNMODELLED_RTA,
} from "./netlink_words.js";
import type { CallLine, Value } from "./syntax.js";

/** The requests of one call that sends to an AF_NETLINK socket. */
interface NetlinkRequest {
	/** Commands of ip, word by word; see runSetup(). */
	commands: string[][];
	/** The sequence number of each command's message; null if strace does not show it. */
	seqs: (number | null)[];
	/**
	 * Messages that may concern ports and have no model, and messages that strace did not decode.
	 */
	unmodelled: string[];
}

type Struct = Extract<Value, { kind: "struct" }>;
type Items = readonly Value[];

const fieldOf = (value: Value | undefined, name: string): Value | undefined =>
	value?.kind === "struct" ? value.fields.find((f) => f.name === name)?.value : undefined;

function names(value: Value | undefined): readonly string[] {
	if (value?.kind === "flags") return value.names;
	return value?.kind === "int" && value.symbol !== null ? [value.symbol] : [];
}

const nameOf = (value: Value | undefined): string => names(value)[0] ?? "";

function intOf(value: Value | undefined): number | null {
	return value?.kind === "int" ? value.value : null;
}

/** The messages of a buffer. Each is an array that begins with a struct nlmsghdr. */
function messagesOf(value: Value | undefined): Items[] {
	if (value?.kind === "struct") return fieldOf(value, "nlmsg_type") === undefined ? [] : [[value]];
	if (value?.kind !== "array") return [];
	const [first] = value.items;
	if (fieldOf(first, "nlmsg_type") !== undefined) return [value.items];
	return value.items.flatMap((item) => messagesOf(item));
}

/** The buffers that a call sends or receives. */
function buffersOf(call: CallLine): (Value | undefined)[] {
	const value = call.args[1]?.value;
	const header = value?.kind === "change" ? value.after : value;
	if (header?.kind !== "struct" || fieldOf(header, "msg_iov") === undefined) return [header];
	const vector = fieldOf(header, "msg_iov");
	return vector?.kind === "array" ? vector.items.map((item) => fieldOf(item, "iov_base")) : [];
}

/** The attributes of a message, by name. */
function attributesOf(value: Value | undefined): Map<string, Value | undefined> {
	const found = new Map<string, Value | undefined>();
	if (value?.kind !== "array") return found;
	const [first] = value.items;
	const lists = fieldOf(first, "nla_type") === undefined ? value.items : [value];
	for (const list of lists) {
		if (list.kind !== "array") continue;
		const type = nameOf(fieldOf(list.items[0], "nla_type"));
		if (type !== "") found.set(type, list.items[1]);
	}
	return found;
}

/** An address: inet_addr("192.0.2.1"), inet_pton(AF_INET6, "::1"). */
function addressOf(value: Value | undefined): string | null {
	if (value?.kind !== "call") return null;
	const text = value.args.find((arg) => arg.kind === "string");
	return text?.kind === "string" ? decodeString(text) : null;
}

/** A device: if_nametoindex("lo"), or a number that `byIndex` names. */
function deviceOf(
	value: Value | undefined,
	byIndex: (ifindex: number) => string | undefined,
): string | null {
	const named = addressOf(value);
	const index = intOf(value);
	return named ?? (index === null || index === 0 ? null : (byIndex(index) ?? null));
}

/** The number of a constant that strace names; -1 for one that `table` does not have. */
function numberIn(
	table: readonly (readonly [number: number, name: string, word: string])[],
	value: Value | undefined,
): number {
	const name = nameOf(value);
	return table.find(([, known]) => known === name)?.[0] ?? intOf(value) ?? -1;
}

/** Messages that do not concern ports: queries, neighbours, queues, statistics. */
const NO_CONCERN =
	/^(RTM_GET.*|RTM_(NEW|DEL)(NEIGH|NEIGHTBL|QDISC|TCLASS|TFILTER|CHAIN|ACTION|MDB|NSID|STATS|NETCONF|VLAN|LINKPROP)|NLMSG_(NOOP|DONE|ERROR))$/;

/** Flags by the names that strace prints. Other flags are left out. */
const NEW_FLAGS: Readonly<Record<string, number>> = {
	NLM_F_REPLACE,
	NLM_F_EXCL,
	NLM_F_CREATE,
	NLM_F_APPEND,
};

/** A message's flags. */
function flagsOf(header: Value | undefined): number {
	const given = fieldOf(header, "nlmsg_flags");
	if (given?.kind !== "flags") return intOf(given) ?? 0;
	return given.names.reduce((bits, name) => bits | (NEW_FLAGS[name] ?? 0), given.extra);
}

/** Reads the messages of one call. */
class Reader {
	readonly request: NetlinkRequest = { commands: [], seqs: [], unmodelled: [] };

	constructor(private readonly byIndex: (ifindex: number) => string | undefined) {}

	message(items: Items): void {
		const [header, body, more] = items;
		const type = nameOf(fieldOf(header, "nlmsg_type"));
		const flags = flagsOf(header);
		const attributes = attributesOf(more);
		let command: string[] | null = null;
		if (NO_CONCERN.test(type)) return;
		const seq = intOf(fieldOf(header, "nlmsg_seq"));
		const number = intOf(fieldOf(header, "nlmsg_type"));
		if (number !== null && body?.kind === "string") {
			this.add(seq, rawCommand(number, flags, body.bytes, this.byIndex));
			return;
		}
		if (body?.kind === "struct" && !body.truncated) {
			if (type === "RTM_NEWADDR") command = this.address(false, flags, body, attributes);
			else if (type === "RTM_DELADDR") command = this.address(true, flags, body, attributes);
			else if (type === "RTM_NEWROUTE") command = this.route(false, flags, body, attributes);
			else if (type === "RTM_DELROUTE") command = this.route(true, flags, body, attributes);
			else if (type === "RTM_DELLINK") command = this.delLink(body, attributes);
			else if (/^RTM_(NEW|SET)LINK$/.test(type)) {
				command = this.link((flags & NLM_F_CREATE) !== 0, body, attributes);
			}
		}
		this.add(seq, command, type);
	}

	/** Adds a command. An empty one is left out. Null counts as not modelled. */
	add(seq: number | null, command: string[] | null, type = ""): void {
		if (command === null) {
			this.request.unmodelled.push(type === "" ? "a netlink message" : type);
		} else if (command.length > 0) {
			this.request.commands.push(command);
			this.request.seqs.push(seq);
		}
	}

	private address(
		removes: boolean,
		flags: number,
		body: Struct,
		attributes: Map<string, Value | undefined>,
	): string[] | null {
		const dev = deviceOf(fieldOf(body, "ifa_index"), this.byIndex);
		const prefixLength = intOf(fieldOf(body, "ifa_prefixlen"));
		if (dev === null || prefixLength === null) return null;
		return addressCommand({
			removes,
			flags,
			ipv6: nameOf(fieldOf(body, "ifa_family")) === "AF_INET6",
			dev,
			local: addressOf(attributes.get("IFA_LOCAL")),
			address: addressOf(attributes.get("IFA_ADDRESS")),
			prefixLength,
			broadcast: addressOf(attributes.get("IFA_BROADCAST")),
			scope: numberIn(SCOPES, fieldOf(body, "ifa_scope")),
			preferred: intOf(fieldOf(attributes.get("IFA_CACHEINFO"), "ifa_prefered")),
		});
	}

	private route(
		removes: boolean,
		flags: number,
		body: Struct,
		attributes: Map<string, Value | undefined>,
	): string[] | null {
		if ([...UNMODELLED_RTA.values()].some((name) => attributes.has(name))) return null;
		const family = nameOf(fieldOf(body, "rtm_family"));
		if (family !== "AF_INET" && family !== "AF_INET6") return null;
		const oif = attributes.get("RTA_OIF");
		const dev = deviceOf(oif, this.byIndex);
		if (dev === null && attributes.has("RTA_OIF")) return null;
		const onlink = names(fieldOf(body, "rtm_flags")).includes("RTNH_F_ONLINK");
		return routeCommand({
			removes,
			flags,
			ipv6: family === "AF_INET6",
			type: numberIn(ROUTE_TYPES, fieldOf(body, "rtm_type")),
			dst: addressOf(attributes.get("RTA_DST")),
			prefixLength: intOf(fieldOf(body, "rtm_dst_len")) ?? 0,
			gateway: addressOf(attributes.get("RTA_GATEWAY")),
			dev,
			prefsrc: addressOf(attributes.get("RTA_PREFSRC")),
			priority: intOf(attributes.get("RTA_PRIORITY")),
			table: numberIn(TABLES, attributes.get("RTA_TABLE") ?? fieldOf(body, "rtm_table")),
			scope: numberIn(SCOPES, fieldOf(body, "rtm_scope")),
			nexthopFlags: onlink ? RTNH_F_ONLINK : 0,
		});
	}

	/** The device of a message, by its index, else by its name. */
	private linkOf(body: Struct, attributes: Map<string, Value | undefined>): string | null {
		const index = fieldOf(body, "ifi_index");
		if (intOf(index) !== 0) return deviceOf(index, this.byIndex);
		const name = attributes.get("IFLA_IFNAME");
		return name?.kind === "string" ? decodeString(name) : null;
	}

	private delLink(body: Struct, attributes: Map<string, Value | undefined>): string[] | null {
		const name = this.linkOf(body, attributes);
		return name === null ? null : ["ip", "link", "delete", name];
	}

	private link(
		creates: boolean,
		body: Struct,
		attributes: Map<string, Value | undefined>,
	): string[] | null {
		const index = fieldOf(body, "ifi_index");
		const fresh = creates && intOf(index) === 0;
		const name = this.linkOf(body, attributes);
		// iproute2 sends an empty message to probe the kernel.
		if (name === null) return attributes.size === 0 && intOf(index) === 0 ? [] : null;
		const words: string[] = [];
		const mac = attributes.get("IFLA_ADDRESS");
		if (mac?.kind === "other") words.push("address", mac.text);
		const up = names(fieldOf(body, "ifi_flags")).includes("IFF_UP");
		const change = fieldOf(body, "ifi_change");
		const changes = (intOf(change) ?? 0) & 1 || names(change).includes("IFF_UP");
		if (changes) words.push(up ? "up" : "down");
		if (fresh) {
			const info = attributesOf(attributes.get("IFLA_LINKINFO"));
			const kind = info.get("IFLA_INFO_KIND");
			const text = kind?.kind === "string" ? decodeString(kind) : "";
			// strace does not decode the table of a VRF or the peer of a veth pair.
			if (text === "" || text === "vrf" || text === "veth") return null;
			return ["ip", "link", "add", "name", name, ...words, "type", text];
		}
		const given = attributes.get("IFLA_IFNAME");
		const to = given?.kind === "string" ? decodeString(given) : name;
		if (to !== name) words.push("name", to);
		const master = attributes.get("IFLA_MASTER");
		if (master !== undefined) {
			const dev = deviceOf(master, this.byIndex);
			if (dev === null && intOf(master) !== 0) return null;
			words.push(...(dev === null ? ["nomaster"] : ["master", dev]));
		}
		if (attributes.has("IFLA_NET_NS_PID") || attributes.has("IFLA_NET_NS_FD")) return null;
		return words.length === 0 ? [] : ["ip", "link", "set", "dev", name, ...words];
	}
}

/**
 * The requests of a send on an AF_NETLINK socket of NETLINK_ROUTE. `byIndex` gives the name of a
 * device. netlinkAnswers() reads the kernel's answers from the receive that follows.
 */
export function netlinkRequest(
	call: CallLine,
	byIndex: (ifindex: number) => string | undefined = () => undefined,
): NetlinkRequest {
	const reader = new Reader(byIndex);
	for (const buffer of buffersOf(call)) {
		const messages = messagesOf(buffer);
		for (const message of messages) reader.message(message);
		if (messages.length > 0) continue;
		const raw = buffer?.kind === "string" ? rawMessages(buffer.bytes, byIndex) : [];
		for (const { seq, command } of raw) reader.add(seq, command);
		if (raw.length === 0) reader.add(null, null);
	}
	return reader.request;
}

/**
 * The kernel's answer to a request with NLM_F_ACK: the sequence number of the request, and the name
 * of the error.
 */
interface NetlinkAnswer {
	seq: number;
	error: string | null;
}

/** The answers in a receive from an AF_NETLINK socket. */
export function netlinkAnswers(call: CallLine): NetlinkAnswer[] {
	const found: NetlinkAnswer[] = [];
	for (const buffer of buffersOf(call)) {
		for (const [header, body] of messagesOf(buffer)) {
			const seq = intOf(fieldOf(header, "nlmsg_seq"));
			if (nameOf(fieldOf(header, "nlmsg_type")) !== "NLMSG_ERROR" || seq === null) continue;
			const error = fieldOf(body, "error");
			const text = error?.kind === "other" ? error.text.replace(/^-/, "") : nameOf(error);
			found.push({ seq, error: intOf(error) === 0 ? null : text === "" ? "EIO" : text });
		}
	}
	return found;
}
