// SPDX-License-Identifier: GPL-2.0-or-later
/** SCTP associations that meet. */
import type { Kind } from "./abilities.js";
import { endpoint } from "./endpoint.js";
import type { Process } from "./process.js";
import type { Numbers } from "./program.js";
import { PORTS, pick, SHUTDOWNS } from "./vocabulary.js";

/** The ports of the listener and of all clients. */
interface Ports {
	to: number;
	from: number;
}

/**
 * SCTP sockets on one port that connect to one listener. An IPv4 socket and a dual-stack one may
 * do so from the same address: the second INIT meets the association of the first one. A
 * one-to-many listener also connects back.
 */
export function collide(process: Process, n: Numbers): void {
	const { script, fds } = process;
	const [a, b, c, d, e] = n;
	const ports: Ports = { to: pick(PORTS.slice(0, 4), a), from: pick([40007, 40009, 45001], b) };
	const six = script.six(c % 2 === 1);
	const many = a % 4 === 3;
	const at = pick(six ? ["::", "::ffff:127.0.0.1"] : ["127.0.0.1", "0.0.0.0"], c >> 1);
	const listener = boundSocket(process, many, six, at, ports.to);
	if (listener < 0) return;
	process.listen(listener, 3);
	const ends = [listener];
	for (let i = 0; i < 2 + (e % 2); i++) {
		const v6 = script.six((d >> i) % 4 === 3 ? i === 0 : i > 0);
		const own = v6
			? pick(["::", "::", "::ffff:127.0.0.1"], e >> i)
			: pick(["127.0.0.1", "0.0.0.0", "0.0.0.0"], c >> (i + 2));
		const client = boundSocket(process, (b >> (i + 2)) % 4 === 3, v6, own, ports.from);
		if (client < 0) break;
		ends.push(client);
		if ((b >> i) % 8 === 7) process.listen(client, 3);
		if (many && (e >> i) % 4 === 1) associate(process, listener, six, "127.0.0.1", ports.from);
		const to = pick(["127.0.0.1", "127.0.0.1", "127.0.0.2"], d >> (i + 3));
		associate(process, client, v6, to, ports.to);
		if ((e >> (i + 2)) % 2 === 0) continue;
		const child = process.accept(listener, "sctp", six);
		if (child >= 0) ends.push(child);
	}
	if (e % 8 === 1) {
		// The INIT to 127.0.0.2 had no answer, as the wildcard answers from 127.0.0.1. It meets this.
		if (fds.has(listener)) process.close(listener);
		const back = boundSocket(process, false, false, "127.0.0.2", ports.to);
		if (back >= 0) associate(process, back, false, "127.0.0.1", ports.from);
		if (back >= 0) ends.push(back);
	}
	sendOnSome(process, ends, n);
	endSome(process, ends, ports, n);
	if (e % 4 !== 3) process.closeAll(ends);
	process.limit(e);
}

/** A socket bound to an address and a port that others may share. */
function boundSocket(
	process: Process,
	many: boolean,
	six: boolean,
	address: string,
	port: number,
): number {
	const kind: Kind = many && process.script.kinds.includes("sctpMany") ? "sctpMany" : "sctp";
	const fd = process.socket(kind, six, 1);
	if (fd < 0) return fd;
	process.setReuseAddr(fd);
	process.bind(fd, endpoint(six, address, port));
	return fd;
}

/** Begins an association, and asks how it stands. */
function associate(process: Process, fd: number, six: boolean, to: string, port: number): void {
	process.connect(fd, endpoint(six, six ? `::ffff:${to}` : to, port));
	process.say(`getpeername(${fd})`);
	process.get(fd, "SOL_SOCKET", "SO_ERROR");
}

/** Sends on some of the sockets. Packets of an association whose peer was restarted are lost. */
function sendOnSome(process: Process, ends: readonly number[], [a, , , d, e]: Numbers): void {
	for (let i = 0; i < (a >> 3) % 4; i++) {
		const fd = pick(ends, d + i * (1 + (e >> 5)));
		if (process.fds.has(fd)) process.send(fd, i + 1);
	}
}

/**
 * Closes some of the sockets or shuts them down. After each, the others are asked what they got,
 * and a new socket asks whether the port is free.
 */
function endSome(
	process: Process,
	ends: readonly number[],
	{ from }: Ports,
	[a, , c, d, e]: Numbers,
): void {
	const { fds } = process;
	for (let i = 0; i < (d >> 4) % 5; i++) {
		const fd = pick(ends, e + i * (1 + (c >> 5)));
		if (!fds.has(fd)) continue;
		if ((a >> i) % 4 === 3) process.shutdown(fd, pick(SHUTDOWNS, 1));
		else process.close(fd);
		for (const left of ends) if (fds.has(left)) process.receive(left, 16, false);
		const again = process.socket("sctp", false, 1);
		if (again < 0) break;
		process.bind(again, endpoint(false, "127.0.0.1", from));
		process.close(again);
	}
}
