// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Reads the state of a host before a recording began, from the outputs of `ip -j addr`, `ip -j
 * route` (and `ip -6 -j route`), `ss -tuanp` and `sysctl -a`. The result is set-up commands and
 * sockets.
 */
import { parseIpv4, parseIpv6 } from "../machine/address.js";
import { isModelledSysctl } from "./setup.js";

/** A socket that existed before the recording, as ss shows it. */
export interface HostSocket {
	/** Line of the file, counted from 1. */
	line: number;
	/** "tcp" or "udp". */
	protocol: string;
	/** The state as ss names it: LISTEN, ESTAB, TIME-WAIT, UNCONN … */
	state: string;
	/** The local address; "*" for a wildcard of both families. */
	address: string;
	port: number;
	/**
	 * The device that the socket is bound to, or the device of its link-local address; null for
	 * every device.
	 */
	device: string | null;
	/** The backlog of a listener. Meaningless for other sockets. */
	backlog: number;
	/** The peer; null if there is none. */
	peer: { address: string; port: number } | null;
	/** The descriptors of the socket. Empty if it has none, or if ss may not see them. */
	users: { pid: number; fd: number }[];
	/** The user, as ss -e shows it; null without -e. */
	uid: number | null;
	/** Remaining time of TIME-WAIT or FIN-WAIT-2, ms, as ss -o shows it; null if it shows none. */
	timer: number | null;
}

/** The contents of one file about the host. */
export interface Host {
	/** Commands of ip and sysctl, word by word; see runSetup(). */
	commands: string[][];
	sockets: HostSocket[];
	/** Things that the model leaves out, in words, each with its place. */
	left: string[];
}

/** The file is not one of these outputs. */
export class HostError extends Error {}

const SYSCTL = /^(net\.[^ =]+) *= ?(.*)$/;
const SS_HEADER = /^(Netid +)?State +Recv-Q/;
const SS_SOCKET = /^(tcp|udp) +[A-Z0-9-]+ +[0-9]/;
const EXPECTED = "expected the output of ip -j addr, ip -j route, ss -tuanp or sysctl -a";

/** Reads one of the outputs. Recognizes which one it is. Throws HostError. */
export function readHost(text: string): Host {
	const trimmed = text.trim();
	if (trimmed.startsWith("[")) return readJson(trimmed);
	const lines = trimmed.split(/\r?\n/);
	const [header = ""] = lines;
	if (SS_HEADER.test(header) || SS_SOCKET.test(header)) return readSockets(header, lines);
	const commands = lines.flatMap((line) => {
		const [, name, value] = SYSCTL.exec(line) ?? [];
		if (name === undefined || value === undefined || !isModelledSysctl(name)) return [];
		return [["sysctl", `${name}=${value.trim()}`]];
	});
	if (!lines.some((line) => /^[a-z0-9_.-]+(\/[^ ]*)? *=/.test(line))) throw new HostError(EXPECTED);
	return { commands, sockets: [], left: [] };
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;
const word = (value: unknown): string | null =>
	typeof value === "string" || typeof value === "number" ? String(value) : null;

function readJson(text: string): Host {
	let parsed: unknown;
	try {
		parsed = JSON.parse(text);
	} catch {
		throw new HostError("expected the JSON of ip -j addr or ip -j route");
	}
	const items = Array.isArray(parsed) ? parsed.filter(isObject) : [];
	const links = items.some((item) => "ifname" in item);
	if (!links && items.some((item) => !("dst" in item))) throw new HostError(EXPECTED);
	const commands = links
		? [...items.flatMap(linkCommands), ...items.flatMap(masterCommands)]
		: items.flatMap(routeCommands);
	return { commands, sockets: [], left: [] };
}

function linkCommands(link: Json): string[][] {
	const name = word(link.ifname);
	if (name === null) return [];
	const commands: string[][] = [];
	if (name !== "lo") {
		const mac = word(link.address);
		const address = mac !== null && /^(..:){5}..$/.test(mac) ? ["address", mac] : [];
		const table = vrfTable(link);
		const type = table === null ? ["dummy"] : ["vrf", "table", table];
		commands.push(["ip", "link", "add", "name", name, ...address, "type", ...type]);
		// The output lists all addresses of the device, so it needs no automatic one.
		commands.push(["ip", "link", "set", "dev", name, "addrgenmode", "none"]);
	}
	const up = Array.isArray(link.flags) && link.flags.includes("UP");
	commands.push(["ip", "link", "set", "dev", name, up ? "up" : "down"]);
	const addresses = Array.isArray(link.addr_info) ? link.addr_info.filter(isObject) : [];
	for (const { family, local, address, prefixlen, scope, preferred_life_time } of addresses) {
		const own = word(local);
		if (own === null) continue;
		const far = word(address);
		const words = far === null ? [`${own}/${prefixlen}`] : [own, "peer", `${far}/${prefixlen}`];
		if (family === "inet" && scope !== undefined) words.push("scope", String(scope));
		if (preferred_life_time === 0) words.push("preferred_lft", "0");
		commands.push(["ip", "addr", "replace", ...words, "dev", name]);
	}
	return commands;
}

/** The table of a VRF, as ip -d shows it; null for another device. */
function vrfTable({ linkinfo }: Json): string | null {
	if (!isObject(linkinfo) || linkinfo.info_kind !== "vrf") return null;
	return isObject(linkinfo.info_data) ? word(linkinfo.info_data.table) : null;
}

/** The commands that put a device into its VRF. Other masters, such as bridges, are passed over. */
function masterCommands(link: Json, _at: number, links: readonly Json[]): string[][] {
	const [name, master] = [word(link.ifname), word(link.master)];
	const above = links.find(({ ifname }) => ifname === master);
	if (name === null || master === null || above === undefined) return [];
	return vrfTable(above) === null ? [] : [["ip", "link", "set", "dev", name, "master", master]];
}

function routeCommands(route: Json): string[][] {
	const dst = word(route.dst);
	// The kernel adds these routes with the addresses.
	if (dst === null || route.protocol === "kernel") return [];
	if (Array.isArray(route.flags) && route.flags.includes("dead")) return [];
	const gateway = word(route.gateway);
	const ipv6 = dst.includes(":") || gateway?.includes(":") || word(route.prefsrc)?.includes(":");
	const words = ["ip", ipv6 ? "-6" : "-4", "route", "append"];
	const type = word(route.type);
	words.push(...(type === null ? [] : [type]), dst);
	if (gateway !== null) words.push("via", gateway);
	for (const [key, name] of [
		["dev", "dev"],
		["prefsrc", "src"],
		["metric", "metric"],
		["table", "table"],
	] as const) {
		const value = word(route[key]);
		if (value !== null) words.push(name, value);
	}
	if (Array.isArray(route.flags) && route.flags.includes("onlink")) words.push("onlink");
	return [words];
}

/** "127.0.0.1:80", "[::1]:80", "*:80", "127.0.0.53%lo:53", "[fe80::1]%eth0:546". */
const NAME = /^\[?([^\]%]*)\]?(?:%([^:\]]+)\]?)?:(\*|[0-9]+)$/;

function nameOf(text: string) {
	const [, address, device, port] = NAME.exec(text) ?? [];
	const known = address === "*" || parseIpv4(address ?? "") !== null || parseIpv6(address ?? "");
	if (address === undefined || !known || Number(port) > 65535) {
		throw new HostError(`expected an address and the number of a port (ss -n), found ${text}`);
	}
	return { address, device: device ?? null, port: port === "*" ? 0 : Number(port) };
}

/**
 * Reads the table of ss, with or without its header. A line that begins with a blank continues the
 * line before.
 */
function readSockets(header: string, lines: readonly string[]): Host {
	const sockets: HostSocket[] = [];
	const others = new Map<string, number>();
	const headed = SS_HEADER.test(header);
	const only = headed && !header.startsWith("Netid") ? `${onlyProtocol(lines)} ` : "";
	const entries: { text: string; line: number }[] = [];
	for (const [at, text] of lines.entries()) {
		if (text.trim() === "" || (headed && at === 0)) continue;
		const last = entries.at(-1);
		if (/^[ \t]/.test(text) && last !== undefined) last.text += ` ${text.trim()}`;
		else entries.push({ text: `${only}${text}`, line: at + 1 });
	}
	for (const { text, line } of entries) {
		const [netid = ""] = text.split(" ");
		if (netid === "tcp" || netid === "udp") sockets.push(readSocket(text, line));
		else others.set(netid, (others.get(netid) ?? 0) + 1);
	}
	// Sockets of other families have no port.
	const left = [...others]
		.filter(([netid]) => /^(sctp|dccp|mptcp|icmp6?|xdp)$/.test(netid))
		.map(([netid, n]) => `${n} of protocol ${netid}`);
	return { commands: [], sockets, left };
}

/**
 * Finds the protocol from the states. ss does not print it if it was asked for one protocol only.
 */
function onlyProtocol(lines: readonly string[]): string {
	if (lines.some((line) => /^(LISTEN|TIME-WAIT|FIN-WAIT|SYN-|CLOSE|LAST)/.test(line))) return "tcp";
	if (lines.some((line) => /^UNCONN/.test(line))) return "udp";
	throw new HostError("expected a column Netid, as ss -tuanp shows it");
}

const STATE =
	/^(LISTEN|UNCONN|ESTAB|SYN-SENT|SYN-RECV|FIN-WAIT-[12]|CLOSE-WAIT|LAST-ACK|CLOSING|TIME-WAIT)$/;

/** Reads one line of `ss -tuanp`, with its column Netid. Throws HostError. */
export function readSocket(text: string, line: number): HostSocket {
	const [protocol = "", state = "", , sendQ, local = "", far, ...rest] = text.trim().split(/ +/);
	if (far === undefined || !STATE.test(state)) {
		throw new HostError(`line ${line}: expected a socket of ss -tuanp, found ${text}`);
	}
	const words = rest.join(" ");
	const own = nameOf(local);
	const peer = nameOf(far);
	// Longer numbers are no pids and no descriptors.
	const users = [...words.matchAll(/pid=([0-9]{1,9}),fd=([0-9]{1,9})\b/g)].map(([, pid, fd]) => ({
		pid: Number(pid),
		fd: Number(fd),
	}));
	const [, uid] = /\buid:([0-9]+)/.exec(words) ?? [];
	const extended = /\bino:[0-9]/.test(words);
	const [, timer] = /timer:\(timewait,([^,]+),/.exec(words) ?? [];
	return {
		line,
		protocol,
		state,
		...own,
		backlog: Number(sendQ),
		peer: peer.port === 0 ? null : { address: peer.address, port: peer.port },
		users,
		// ss does not print user 0.
		uid: uid !== undefined ? Number(uid) : extended ? 0 : null,
		timer: timer === undefined ? null : milliseconds(timer),
	};
}

/** "59sec", "1min12sec", "440ms", "1.200ms" (1200 ms): print_ms_timer of ss. */
function milliseconds(text: string): number {
	const [, minutes, seconds, whole, rest] =
		/^(?:([0-9]+)min)?(?:([0-9]+)(?:sec|\.))?(?:([0-9]+)ms)?(.*)$/.exec(text) ?? [];
	if (rest !== "") return 0;
	return Number(minutes ?? 0) * 60_000 + Number(seconds ?? 0) * 1000 + Number(whole ?? 0);
}
