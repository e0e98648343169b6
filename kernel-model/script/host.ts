// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What was there before a recording began, from the outputs of `ip -j addr`, `ip -j route`
 * (and `ip -6 -j route`), `ss -tuanp` and `sysctl -a`: set-up commands, and sockets.
 */
import { isModelledSysctl } from "./setup.js";

/** A socket that was there before, as ss shows it. */
export interface HostSocket {
	/** "tcp" or "udp". */
	protocol: string;
	/** As ss names it: LISTEN, ESTAB, TIME-WAIT, UNCONN … */
	state: string;
	/** "*" for those of both families. */
	address: string;
	port: number;
	/** The device that it is bound to; null for any. */
	device: string | null;
	/** Null for none. */
	peer: { address: string; port: number } | null;
	/** The process that has it; null if ss was not allowed to see it. */
	pid: number | null;
	fd: number | null;
}

/** What a file says of the host. */
export interface Host {
	/** Commands of ip and sysctl, word by word; see runSetup(). */
	commands: string[][];
	sockets: HostSocket[];
}

/** A file that is none of these outputs. */
export class HostError extends Error {}

const SYSCTL = /^(net\.[^ =]+) *= ?(.*)$/;
const SS_HEADER = /^Netid +State +Recv-Q/;

/** Reads one of the outputs; which one, it finds out. Throws HostError. */
export function readHost(text: string): Host {
	const trimmed = text.trim();
	if (trimmed.startsWith("[")) return readJson(trimmed);
	const lines = trimmed.split("\n");
	const [header = "", ...rows] = lines;
	if (SS_HEADER.test(header)) return { commands: [], sockets: rows.map(readSocket) };
	const commands = lines.flatMap((line) => {
		const [, name, value] = SYSCTL.exec(line) ?? [];
		if (name === undefined || value === undefined || !isModelledSysctl(name)) return [];
		return [["sysctl", `${name}=${value.trim()}`]];
	});
	if (!lines.some((line) => /^[a-z0-9_.-]+(\/[^ ]*)? *=/.test(line))) {
		throw new HostError("expected the output of ip -j addr, ip -j route, ss -tuanp or sysctl -a");
	}
	return { commands, sockets: [] };
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
	const commands = links ? items.flatMap(linkCommands) : items.flatMap(routeCommands);
	return { commands, sockets: [] };
}

function linkCommands(link: Json): string[][] {
	const name = word(link.ifname);
	if (name === null) return [];
	const commands: string[][] = [];
	if (name !== "lo") {
		const mac = word(link.address);
		const address = mac !== null && /^(..:){5}..$/.test(mac) ? ["address", mac] : [];
		commands.push(["ip", "link", "add", "name", name, ...address, "type", "dummy"]);
		// Its addresses are all listed.
		commands.push(["ip", "link", "set", "dev", name, "addrgenmode", "none"]);
	}
	const up = Array.isArray(link.flags) && link.flags.includes("UP");
	if (up) commands.push(["ip", "link", "set", "dev", name, "up"]);
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

function routeCommands(route: Json): string[][] {
	const dst = word(route.dst);
	// The kernel makes its own with the addresses.
	if (dst === null || route.protocol === "kernel") return [];
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
	if (address === undefined) throw new HostError(`expected an address and a port, found ${text}`);
	return { address, device: device ?? null, port: port === "*" ? 0 : Number(port) };
}

function readSocket(line: string): HostSocket {
	const [protocol = "", state = "", , , local = "", far, ...users] = line.trim().split(/ +/);
	if (far === undefined) throw new HostError(`expected a socket of ss -tuanp, found ${line}`);
	const own = nameOf(local);
	const peer = nameOf(far);
	const [, pid, fd] = /pid=([0-9]+),fd=([0-9]+)/.exec(users.join(" ")) ?? [];
	return {
		protocol,
		state,
		...own,
		peer: peer.port === 0 ? null : { address: peer.address, port: peer.port },
		pid: pid === undefined ? null : Number(pid),
		fd: fd === undefined ? null : Number(fd),
	};
}
