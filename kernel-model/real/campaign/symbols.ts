// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Scripts whose descriptors have names. A line can be left out of such a script together with the
 * lines that need its descriptor, and the descriptors that are left get the numbers that a kernel
 * would give them.
 */
import { nth } from "../../machine/nth.js";

/** A line of a script. Its descriptors are written as @NAME@. */
export interface NamedLine {
	/** The process; null for the first one and for set-up commands. */
	readonly pid: number | null;
	readonly text: string;
	/** The descriptor that the call makes; null if it makes none. */
	readonly makes: number | null;
	/** The descriptors that it needs. */
	readonly needs: readonly number[];
	/** The process that it begins; null if it is no fork. */
	readonly forks: number | null;
}

const CALL = /^(?:([0-9]+) )?([a-z0-9_]+)\((.*)$/s;
const MAKES: ReadonlySet<string> = new Set([
	"socket",
	"accept",
	"accept4",
	"dup",
	"openat",
	"open",
]);
const FORKS: ReadonlySet<string> = new Set(["fork", "vfork", "clone", "clone3"]);
const NO_DESCRIPTOR: ReadonlySet<string> = new Set([
	...FORKS,
	"socket",
	"openat",
	"open",
	"setuid",
	"unshare",
	"exit_group",
]);

const first = (pid: number | null) => pid ?? 0;

const RESULT =
	/ = (?:-?[0-9]+(?: E[A-Z0-9]+)?(?: \([^)]*\))?|\?(?: E[A-Z0-9]+)?(?: \([^)]*\))?)(?: <[0-9.]+>)?$/;

/** A script's lines without their results. A fork keeps the pid of its child. */
export function withoutResults(text: string): string[] {
	return text
		.split("\n")
		.filter((line) => line !== "" && !line.startsWith("#"))
		.map((line) =>
			/^(?:[0-9]+ )?(?:fork|vfork|clone3?)\(/.test(line) ? line : line.replace(RESULT, ""),
		);
}

/**
 * Gives names to the descriptors of a script. `results` has what each line returned, by index; a
 * line without one, or with an error, makes no descriptor.
 */
export function named(
	script: readonly string[],
	results: ReadonlyMap<number, number>,
): NamedLine[] {
	const tables = new Map<number, Map<number, number>>([[0, new Map()]]);
	let names = 0;
	return script.map((line, at) => {
		const [, process, name = "", rest = ""] = CALL.exec(line) ?? [];
		if (line.startsWith("$") || name === "")
			return { pid: null, text: line, makes: null, needs: [], forks: null };
		const pid = process === undefined ? null : Number(process);
		const table = tables.get(first(pid)) ?? new Map<number, number>();
		tables.set(first(pid), table);
		const text = line.slice(process === undefined ? 0 : process.length + 1);
		if (FORKS.has(name)) {
			const child = Number(/ = ([0-9]+)/.exec(rest)?.[1] ?? 0);
			tables.set(child, new Map(table));
			return { pid, text, makes: null, needs: [], forks: child };
		}
		const needs: number[] = [];
		const use = (fd: string) => {
			const symbol = table.get(Number(fd));
			if (symbol === undefined) return fd;
			needs.push(symbol);
			return `@${symbol}@`;
		};
		let renamed = text.replace(/port_of\(([0-9]+)\)/g, (_, fd: string) => `port_of(${use(fd)})`);
		if (!NO_DESCRIPTOR.has(name))
			renamed = renamed.replace(
				/^([a-z0-9_]+\()([0-9]+)/,
				(_, head: string, fd: string) => `${head}${use(fd)}`,
			);
		const result = results.get(at) ?? -1;
		let makes: number | null = null;
		if (MAKES.has(name) && result >= 0) {
			makes = names++;
			table.set(result, makes);
		}
		if (name === "close") table.delete(Number(/^close\(([0-9]+)/.exec(text)?.[1]));
		return { pid, text: renamed, makes, needs, forks: null };
	});
}

/** Leaves out lines whose descriptors or processes no line that stays makes. */
export function closed(lines: readonly NamedLine[]): NamedLine[] {
	const made = new Set<number>();
	const begun = new Set<number>([0]);
	return lines.filter(({ pid, needs, makes, forks }) => {
		if (!begun.has(first(pid)) || !needs.every((name) => made.has(name))) return false;
		if (makes !== null) made.add(makes);
		if (forks !== null) begun.add(forks);
		return true;
	});
}

/** The lines with one process less: the process that began it makes its calls. */
export function withoutProcess(lines: readonly NamedLine[], process: number): NamedLine[] {
	const parent = lines.find(({ forks }) => forks === process)?.pid ?? null;
	const within = (line: NamedLine) =>
		line.pid === process ? !/^(setuid|exit_group|close)\(/.test(line.text) : true;
	return lines
		.filter((line) => line.forks !== process && within(line))
		.map((line) => (line.pid === process ? { ...line, pid: parent } : line));
}

/** The script of lines. A call that makes a descriptor gets the lowest free one. */
export function scriptOf(lines: readonly NamedLine[]): string[] {
	const tables = new Map<number, Map<number, number>>([[0, new Map()]]);
	return lines.map(({ pid, text, makes, forks }) => {
		if (text.startsWith("$")) return text;
		const table = tables.get(first(pid)) ?? new Map<number, number>();
		tables.set(first(pid), table);
		const numbered = text.replace(/@([0-9]+)@/g, (_, name: string) =>
			String(table.get(Number(name)) ?? 999),
		);
		if (forks !== null) tables.set(forks, new Map(table));
		if (makes !== null) {
			const used = new Set(table.values());
			let fd = 3;
			while (used.has(fd)) fd++;
			table.set(makes, fd);
		}
		const closes = /^close\(@([0-9]+)@/.exec(text)?.[1];
		if (closes !== undefined) table.delete(Number(closes));
		return pid === null ? numbered : `${pid} ${numbered}`;
	});
}

const PLAIN4 = "127.0.0.1";

/** A sockaddr_in6 and its length, or a sockaddr_in's. */
const SOCKADDR6 =
	/\{sa_family=AF_INET6, sin6_port=htons\(([^}]*?)\), sin6_flowinfo=htonl\(0\), inet_pton\(AF_INET6, "([^"]+)", &sin6_addr\), sin6_scope_id=0\}, 28/;
const in4 = (port: string, address: string) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}, 16`;

/** The IPv4 address that is most like an IPv6 address. */
function asIpv4(address: string): string {
	if (address === "::") return "0.0.0.0";
	return /^::ffff:([0-9.]+)$/.exec(address)?.[1] ?? PLAIN4;
}

/** Lines with IPv4 addresses for one socket, or for all, in place of its IPv6 addresses. */
function overIpv4(line: NamedLine): NamedLine {
	const text = line.text
		.replace(/^socket\(AF_INET6/, "socket(AF_INET")
		.replace(SOCKADDR6, (_, port: string, address: string) => in4(port, asIpv4(address)));
	return { ...line, text };
}

const SIMPLER: readonly ((text: string) => string)[] = [
	(text) => text.replace(/IPPROTO_(TCP|UDP)\)/, "IPPROTO_IP)"),
	(text) => text.replace(/^(listen\(@[0-9]+@), [0-9]+/, "$1, 1"),
	(text) => text.replace(/, \[-?[0-9]+\], 4\)/, ", [1], 4)"),
	(text) => text.replace(/htons\((40001|40003|40006|45000|39999)\)/, "htons(40000)"),
	(text) => text.replace(/"(192\.0\.2\.10|127\.0\.0\.[2-9]|127\.0\.0\.1[0-9])"/, `"${PLAIN4}"`),
	(text) => text.replace(/"2001:db8::10"/, '"::1"'),
	(text) =>
		text.replace(
			/"::ffff:(192\.0\.2\.10|127\.0\.0\.[2-9]|127\.0\.0\.1[0-9])"/,
			`"::ffff:${PLAIN4}"`,
		),
	(text) => (text.startsWith("setuid") ? text.replace(/[0-9]+/, "1000") : text),
];

/** Simpler forms of lines, each with one thing changed, simplest first. */
export function* simpler(
	lines: readonly NamedLine[],
): Generator<(now: NamedLine[]) => NamedLine[]> {
	const changeAll = (change: (line: NamedLine) => NamedLine) => (now: NamedLine[]) =>
		now.map(change);
	for (const change of SIMPLER) yield changeAll((line) => ({ ...line, text: change(line.text) }));
	yield changeAll(overIpv4);
	for (const { makes, text } of lines) {
		if (makes === null || !text.startsWith("socket(AF_INET6")) continue;
		const own = (line: NamedLine) => line.makes === makes || line.needs[0] === makes;
		yield changeAll((line) => (own(line) ? overIpv4(line) : line));
	}
	for (const at of lines.keys()) {
		for (const change of SIMPLER)
			yield (now) => now.map((line, i) => (i === at ? { ...line, text: change(line.text) } : line));
	}
}

/** Whether two lists of lines are the same. */
export function same(one: readonly NamedLine[], other: readonly NamedLine[]): boolean {
	return (
		one.length === other.length &&
		one.every((line, i) => line.text === nth(other, i).text && line.pid === nth(other, i).pid)
	);
}
