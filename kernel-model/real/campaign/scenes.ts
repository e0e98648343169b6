// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Operations of many calls, which reach states that single calls at random reach too seldom:
 * ranges that are used up, many sockets on one port, connections from their beginning to their
 * end, and reuseport groups.
 */
import { IP_BIND_ADDRESS_NO_PORT } from "../../../include/uapi/linux/in.js";
import { nth } from "../../machine/nth.js";
import type { Kind } from "./abilities.js";
import { collide } from "./collide.js";
import { endpoint } from "./endpoint.js";
import { isConnecting, type Process } from "./process.js";
import type { Numbers } from "./program.js";
import { LIVE } from "./script.js";
import { AWAY4, FLAGS, PORTS, pick, STREAM_FLAGS } from "./vocabulary.js";

/** Sockets that connect to one destination on another host, until the ports are used up. */
export function flood(process: Process, [, b, c, d, e]: Numbers): void {
	const { script, fds } = process;
	if (script.without("away") || script.without("autobind")) return;
	const kind: Kind = b % 8 === 7 ? "udp" : "tcp";
	const away = nth(AWAY4, d % 2);
	const from = pick(["127.0.0.1", "127.0.0.2", "192.0.2.10"], c);
	const made: number[] = [];
	for (let i = 0; i < 6 + (e % 8); i++) {
		const six = script.six((d >> (i % 8)) % 4 === 3);
		const fd = process.socket(kind, six, 1);
		if (fd < 0) break;
		made.push(fd);
		const [source, to] = six ? [`::ffff:${from}`, `::ffff:${away}`] : [from, away];
		if (c % 2 === 0) process.setPortRange(fd, 40000, 40003);
		if (c % 4 === 1) process.setReuseAddr(fd);
		// Sometimes bind() also chooses its port before it connects.
		if (e % 4 !== 3) {
			if (e % 4 !== 2)
				process.set(fd, "SOL_IP", "IP_BIND_ADDRESS_NO_PORT", IP_BIND_ADDRESS_NO_PORT, 1);
			process.bind(fd, endpoint(six, source, 0));
		}
		const err = process.connect(fd, endpoint(six, to, 80));
		const sock = fds.get(fd);
		if (sock !== undefined && isConnecting(err)) sock.connected = true;
	}
	if (b % 2 === 0) process.closeAll(made);
}

/** Streams bound to one port, with and without the options that let them share it. */
export function pile(process: Process, [, b, c, d, e]: Numbers): void {
	const { script, fds } = process;
	const port = pick(PORTS, b);
	const made: number[] = [];
	for (let i = 0; i < 4 + (b >> 4); i++) {
		const bits = ((c << i) ^ (d >> i) ^ (e * (i + 3))) & 255;
		const six = script.six(bits % 8 >= 6);
		const fd = process.socket("tcp", six, 1);
		if (fd < 0) break;
		made.push(fd);
		const share = (bits >> 3) % 4;
		if (share === 3) process.setReusePort(fd);
		else if (share !== 0) process.setReuseAddr(fd);
		const here = script.here(six);
		const address = nth(here, (bits >> 5) % Math.min(here.length, 4));
		process.bind(fd, endpoint(six, address, port));
		const victim = pick(made, bits);
		if (i > 1 && bits % 3 === 0 && fds.has(victim)) process.close(victim);
		if (bits % 5 === 0 && fds.has(fd)) process.listen(fd, 1);
	}
	process.closeOldest(LIVE);
}

/** More than ten datagram sockets on one port, so searches also go by address. */
export function crowd(process: Process, [, b, c, d, e]: Numbers): void {
	const { script } = process;
	const kind: Kind = script.can.kinds.includes("udplite") && b % 2 === 1 ? "udplite" : "udp";
	const port = pick(PORTS, c);
	for (let i = 0; i < 12 + (b >> 7); i++) {
		const six = script.six((d >> (i % 8)) % 2 === 1);
		const fd = process.openSocket(kind, six, false);
		if (fd < 0) return;
		if ((e >> (i % 8)) % 2 === 1) {
			const [level, option, number] = nth(FLAGS, i % 2);
			process.set(fd, level, option, number, 1);
		}
		// A wildcard as the last one meets the others, or misses them by its hash.
		const wildcard = i === 12 && !script.without("wildcard");
		const own = six ? (i % 3 === 0 ? "::1" : `::ffff:127.0.0.${3 + i}`) : `127.0.0.${3 + i}`;
		const address = wildcard ? (six ? "::" : "0.0.0.0") : own;
		process.bind(fd, endpoint(six, address, port));
	}
	// Leaves up to eight sockets above the limit. Later operations close most of these.
	process.closeOldest(script.live + 8);
}

/** Connections within the host. One end of each closes first and becomes TIME_WAIT. */
export function meet(process: Process, n: Numbers): void {
	const { script, fds } = process;
	const [a, b, c, d, e] = n;
	const collides = !["SO_REUSEADDR", "wildcard", "mapped"].some((name) => script.without(name));
	if (script.kinds.includes("sctp") && a % 8 >= 4 && collides) {
		collide(process, n);
		return;
	}
	const six = script.six(b % 3 === 2);
	const address = pick(six ? meetingPlaces6(process) : ["127.0.0.1", "127.0.0.2"], c);
	const { kinds } = script;
	const dccp = kinds.includes("dccp") && a % 4 >= 2;
	const sctp = kinds.includes("sctp") && (a % 8 === 1 || !kinds.includes("tcp"));
	const streamKind = (n: number): Kind => {
		if (dccp) return "dccp";
		if (sctp) return n % 4 === 3 && kinds.includes("sctpMany") ? "sctpMany" : "sctp";
		return kinds.includes("mptcp") && n % 2 === 1 ? "mptcp" : "tcp";
	};
	const kind = streamKind(a);
	const listener = process.socket(kind, six, 1);
	if (listener < 0) return;
	if (d % 2 === 0) process.setReuseAddr(listener);
	process.bind(listener, endpoint(six, address, pick([40001, script.anyPort, 45000], d >> 1)));
	if (process.listen(listener, 3) !== 0) return;
	for (let i = 0; i < 1 + (e % 3); i++) {
		const client = process.socket(streamKind(a + (e >> 4)), six, 1);
		if (client < 0) break;
		if (d % 8 >= 4) process.setPortRange(client, 40000, 40003);
		if (script.without("autobind")) process.bind(client, endpoint(six, address, 40010 + i));
		process.connect(client, process.ownEndpoint(listener, six, address));
		const child = process.accept(listener, kind, six);
		const ends = [client, child].filter((fd) => fd >= 0 && fds.has(fd));
		if (dccp) exchange(process, ends, a >> 2);
		if (sctp) exchange(process, ends, c);
		if (sctp && e >= 128) exchange(process, ends, d);
		if (!dccp && !sctp && d % 8 === 3) {
			exchange(process, ends, c, STREAM_FLAGS);
			exchange(process, ends, e, STREAM_FLAGS);
		}
		if ((e >> i) % 2 === 1) ends.reverse();
		if (c % 4 !== 3) for (const fd of ends) process.close(fd);
	}
	if (b % 2 === 0 && fds.has(listener)) process.close(listener);
	process.limit(e);
}

/** Addresses of IPv6 sockets at which connections within the host meet. */
function meetingPlaces6({ script }: Process): string[] {
	return ["::1", "::ffff:127.0.0.1", "2001:db8::10", ...(script.scoped ? ["fe80::1%lo"] : [])];
}

/**
 * Data between the ends of a connection. Data that nobody reads aborts it at close(). `flags` are
 * those of the sends, in turn.
 */
function exchange(
	process: Process,
	ends: readonly number[],
	n: number,
	flags: readonly (readonly [string, number])[] = [["", 0]],
): void {
	const [from, to] = n % 2 === 0 ? ends : [...ends].reverse();
	if (from === undefined || to === undefined) return;
	for (let i = 0; i < (n >> 1) % 4; i++) process.send(from, i + 1, pick(flags, (n >> 5) + i));
	for (let i = 0; i < (n >> 3) % 4; i++) process.receive(to, 2, false);
}

/** A reuseport group and its clients. Each member is asked what it got. */
export function group(process: Process, [, b, c, d, e]: Numbers): void {
	const { script, fds } = process;
	const datagram: Kind = b % 8 === 7 && script.can.kinds.includes("udplite") ? "udplite" : "udp";
	const kind: Kind = b % 2 === 1 ? datagram : "tcp";
	const six = script.six(c % 2 === 1);
	const here = six
		? ["::1", "::", "2001:db8::10", "::ffff:127.0.0.1", ...(script.scoped ? ["fe80::1%lo"] : [])]
		: ["127.0.0.1", "0.0.0.0", "192.0.2.10"];
	const address = pick(here, c >> 1);
	const to = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
	if (script.without("wildcard") && to !== address) return;
	if (script.without("SO_REUSEPORT") || script.without("mapped")) return;

	const members = makeGroup(process, kind, six, address, d);
	if (d >= 192 && members.length > 2) process.close(nth(members, 1));
	const alive = () => members.filter((fd) => fds.has(fd));

	const clients: number[] = [];
	for (let i = 0; i < 1 + (e % 4); i++) {
		const fd = process.socket(kind, six, 1);
		const [first] = alive();
		if (fd < 0 || first === undefined) break;
		clients.push(fd);
		if (script.without("autobind")) process.bind(fd, endpoint(six, to, 40010 + i));
		const target = process.ownEndpoint(first, six, to);
		if (kind === "tcp") {
			process.connect(fd, target);
			continue;
		}
		process.sendto(fd, 1 + i, target);
		const last = alive().at(-1);
		if (i > 0 || last === undefined || b < 128) continue;
		// Lookups score every sock of a group that has had a connected member.
		process.connect(last, process.ownEndpoint(fd, six, to));
	}

	const children = alive().flatMap((fd) => askMember(process, fd, kind, six, clients.length));
	const ends = [...clients, ...children, ...(c >= 128 ? alive() : [])];
	if (e >= 128) ends.reverse();
	if (e % 8 !== 7) process.closeAll(ends);
	process.limit(e);
}

/** The members of a reuseport group, bound to one port. Streams listen. */
function makeGroup(
	process: Process,
	kind: Kind,
	six: boolean,
	address: string,
	d: number,
): number[] {
	const members: number[] = [];
	for (let i = 0; i < 2 + (d % 4); i++) {
		const fd = process.socket(kind, six, 1);
		if (fd < 0) break;
		process.setReusePort(fd);
		const [first] = members;
		process.bind(
			fd,
			first === undefined
				? endpoint(six, address, pick([process.script.anyPort, 45000], d >> 2))
				: process.ownEndpoint(first, six, address),
		);
		members.push(fd);
		if (kind === "tcp") process.listen(fd, 3);
	}
	return members;
}

/** Accepts or receives `times` times. Returns the accepted sockets. */
function askMember(
	process: Process,
	fd: number,
	kind: Kind,
	six: boolean,
	times: number,
): number[] {
	const children: number[] = [];
	for (let i = 0; i < times; i++) {
		if (kind !== "tcp") {
			process.receive(fd, 16, true);
			continue;
		}
		const child = process.accept(fd, "tcp", six);
		if (child >= 0) children.push(child);
	}
	return children;
}
