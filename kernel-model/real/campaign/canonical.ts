// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One form for all scripts that are the same under another order of options, under other names of
 * sockets, addresses, ports, users and processes, and with sockets made at another time.
 */
import type { NamedLine } from "./symbols.js";

/** Gives out names in the order of first use. */
class Names {
	private readonly known = new Map<string, string>();
	private readonly counts = new Map<string, number>();

	of(kind: string, thing: string): string {
		const key = `${kind} ${thing}`;
		let name = this.known.get(key);
		if (name === undefined) {
			const count = (this.counts.get(kind) ?? 0) + 1;
			this.counts.set(kind, count);
			name = `${kind}${count}`;
			this.known.set(key, name);
		}
		return name;
	}
}

const FIRST_UNPRIVILEGED = 1024;
const MAPPED = /^::ffff:([0-9.]+)$/;

function addressName(names: Names, address: string): string {
	const mapped = MAPPED.exec(address)?.[1];
	if (mapped !== undefined) return `mapped ${addressName(names, mapped)}`;
	if (address === "0.0.0.0" || address === "::") return address;
	// A group has no owner, and is no host's address.
	if (/^(22[4-9]|23[0-9])\.|^ff/.test(address)) return `group ${address}`;
	return names.of(address.includes(":") ? "six" : "four", address);
}

function portName(names: Names, port: string): string {
	if (!/^[0-9]+$/.test(port) || port === "0") return port;
	return names.of(Number(port) < FIRST_UNPRIVILEGED ? "low" : "port", port);
}

/** A call or command with names for its addresses and ports. */
function renamed(names: Names, text: string): string {
	return text
		.replace(
			/\{sa_family=AF_INET6?, sin6?_port=htons\((.*?)\), (?:sin6_flowinfo=htonl\(0\), inet_pton\(AF_INET6, |sin_addr=inet_addr\()"([^"]+)"[^}]*\}/g,
			(_, port: string, address: string) =>
				`${addressName(names, address)} ${portName(names, port)}`,
		)
		.replace(
			/\b(127\.[0-9.]+|192\.0\.2\.[0-9]+|198\.51\.100\.[0-9]+|203\.0\.113\.[0-9]+)\b/g,
			(a) => addressName(names, a),
		)
		.replace(/2001:db8:[0-9a-f:]+/g, (a) => addressName(names, a));
}

/** The option that a line sets on a socket; null for other lines. */
function optionOf(line: NamedLine): { socket: number; option: string; value: string } | null {
	const [, socket, option, value] =
		/^setsockopt\(@([0-9]+)@, (\w+, \w+), (.*)\)/.exec(line.text) ?? [];
	return socket === undefined || option === undefined || value === undefined
		? null
		: { socket: Number(socket), option, value };
}

interface Sock {
	name: string | null;
	/** How it was made. */
	made: string;
	/** Options that no call has followed. */
	options: Map<string, string>;
}

/**
 * The form of a script: its events in order. The options of a socket stand at the next event of
 * the socket. The last line is an event also if it sets an option.
 */
export function canonical(lines: readonly NamedLine[]): string {
	const names = new Names();
	const socks = new Map<number, Sock>();
	const events: string[] = [];
	const commands: string[] = [];
	const process = (pid: number | null) => (pid === null ? "" : `${names.of("process", `${pid}`)} `);
	const mention = (symbol: number): string => {
		const sock = socks.get(symbol);
		if (sock === undefined) return "?";
		const options = [...sock.options].map(([option, value]) => `${option} ${value}`).sort();
		const fresh = sock.name === null;
		sock.name ??= names.of("socket", `${symbol}`);
		sock.options.clear();
		const made = fresh ? ` is ${sock.made}` : "";
		return `${sock.name}${made}${options.length > 0 ? ` with ${options.join(", ")}` : ""}`;
	};
	for (const [at, line] of lines.entries()) {
		const { pid, text, makes, forks } = line;
		const last = at === lines.length - 1;
		if (text.startsWith("$")) {
			commands.push(text);
			continue;
		}
		if (forks !== null) {
			names.of("process", `${forks}`);
			events.push("fork");
			continue;
		}
		const option = optionOf(line);
		if (makes !== null) {
			const made = text.startsWith("socket(")
				? madeBy(text, pid, names)
				: `${process(pid)}${text.replace(/@([0-9]+)@/g, (_, name: string) => mention(Number(name)))}`;
			socks.set(makes, { name: null, made, options: new Map() });
			if (text.startsWith("socket(") && !last) continue;
			if (last) events.push(made);
			continue;
		}
		if (option !== null && !last && socks.has(option.socket)) {
			socks.get(option.socket)?.options.set(option.option, option.value);
			continue;
		}
		const event = renamed(names, text)
			.replace(/@([0-9]+)@/g, (_, name: string) => mention(Number(name)))
			.replace(/setuid\(([0-9]+)\)/, (_, uid: string) => `setuid(${names.of("user", uid)})`);
		events.push(`${process(pid)}${event}`);
	}
	const rest = [...socks.values()]
		.filter(({ name }) => name === null)
		.map(({ made }) => `a socket is ${made}`)
		.sort();
	return [...commands.map((text) => renamed(names, text)).sort(), ...events, ...rest].join("\n");
}

function madeBy(text: string, pid: number | null, names: Names): string {
	const [, family = "", type = "", protocol = ""] =
		/^socket\((\w+), (\S+), (\w+)\)/.exec(text) ?? [];
	const stream = type.startsWith("SOCK_STREAM") && protocol === "IPPROTO_IP";
	const datagram = type.startsWith("SOCK_DGRAM") && protocol === "IPPROTO_IP";
	const named = stream ? "IPPROTO_TCP" : datagram ? "IPPROTO_UDP" : protocol;
	const by = pid === null ? "" : ` of ${names.of("process", `${pid}`)}`;
	return `${family} ${type.replace("|SOCK_NONBLOCK", "")} ${named}${by}`;
}
