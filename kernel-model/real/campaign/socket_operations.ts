// SPDX-License-Identifier: GPL-2.0-or-later
/** Operations of one call, or few, on a socket. */
import { nth } from "../../machine/nth.js";
import { isDatagram, KINDS, type Kind } from "./abilities.js";
import { type Endpoint, endpoint, sizeOf } from "./endpoint.js";
import { isConnecting, type Process, type Sock } from "./process.js";
import type { Numbers, OperationKind } from "./program.js";
import type { Script } from "./script.js";
import {
	AWAY4,
	AWAY6,
	DATAGRAM_FLAGS,
	ENDS,
	FLAGS,
	ODD4,
	ODD6,
	PORTS,
	pick,
	RANGES,
	READ,
	RECEIVE_FLAGS,
	SCOPED_AWAY,
	SENDS,
	SHUTDOWNS,
	STREAM_FLAGS,
} from "./vocabulary.js";

/** The socket of an operation, with its descriptor. */
interface Target {
	process: Process;
	fd: number;
	sock: Sock;
}

/** Makes a socket, in a VRF half of the time on a device. */
export function socket(process: Process, [, b, c, d, e]: Numbers): void {
	const { script } = process;
	const fd = process.socket(pick(script.kinds, b), script.six(c % 2 === 1), d);
	if (script.inVrf && fd >= 0 && e % 2 === 1) bindToDevice(process, fd, e >> 1);
}

/** The operations on a socket, by kind. */
const ON_SOCKET: Partial<Record<OperationKind, (on: Target, n: Numbers) => void>> = {
	option,
	range,
	read,
	bind,
	listen,
	connect,
	dissolve,
	send,
	receive,
	accept,
	names: ({ process, fd }, [, , c]) =>
		process.say(`${c % 2 === 0 ? "getpeername" : "getsockname"}(${fd})`),
	shutdown: ({ process, fd }, [, , c]) => process.shutdown(fd, pick(SHUTDOWNS, c)),
	close: ({ process, fd }) => process.close(fd),
	dup,
};

/** An operation on one of the process's sockets, most often on one that it fits. */
export function onSocket(kind: OperationKind, process: Process, n: Numbers): void {
	const [a, b] = n;
	const { fds } = process;
	const all = [...fds.keys()];
	const likely = all.filter((fd) => fits(kind, process, fd));
	const fd = pick(likely.length > 0 && a % 8 !== 7 ? likely : all, b);
	const sock = fds.get(fd);
	if (sock !== undefined) ON_SOCKET[kind]?.({ process, fd, sock }, n);
}

/** Whether the operation is likely to do something on that socket. */
function fits(kind: OperationKind, process: Process, fd: number): boolean {
	const sock = process.fds.get(fd);
	if (sock === undefined) return false;
	const datagram = isDatagram(sock.kind);
	switch (kind) {
		case "accept":
			return sock.listens;
		case "bind": {
			const name = process.task.getsockname(fd);
			return typeof name !== "number" && name.port === 0;
		}
		case "listen":
			return !datagram && !sock.listens && !sock.connected;
		case "connect":
			return !sock.listens && !sock.connected;
		case "send":
			return datagram || sock.connected;
		case "shutdown":
			return sock.connected;
		default:
			return true;
	}
}

/** Whether the call would make the kernel choose a port, and programs leave this out. */
function choosesPort(process: Process, fd: number): boolean {
	return process.script.without("autobind") && process.portOf(fd) === 0;
}

function option({ process, fd, sock }: Target, [, , c, d, e]: Numbers): void {
	switch (c % 16) {
		case 12: {
			const [level, name, number, values] = pick(SENDS, d);
			process.set(fd, level, name, number, pick(values, e));
			return;
		}
		case 15:
			process.setLinger(fd, d % 3 === 2 ? 0 : 1);
			return;
		case 13: {
			const [level, name, number, values] = pick(ENDS, d);
			process.set(fd, level, name, number, pick(values, e));
			return;
		}
		case 14:
			// Streams bound to different devices can have the same four-tuple, and race with each
			// other.
			if (!process.script.inVrf && !isDatagram(sock.kind)) break;
			bindToDevice(process, fd, d);
			return;
	}
	const flags = sock.six || e % 4 === 3 ? FLAGS : FLAGS.filter(([level]) => level !== "SOL_IPV6");
	const [level, name, number] = pick(flags, d);
	process.set(fd, level, name, number, pick([1, 1, 1, 0, 0, 2, -1], e));
}

function bindToDevice(process: Process, fd: number, n: number): void {
	const vrf = ["lo", "vrf0", "dummy0", "dummy1", "", "none"];
	process.setDevice(fd, pick(process.script.inVrf ? vrf : ["lo", "", "none"], n));
}

function range({ process, fd }: Target, [, , c]: Numbers): void {
	const [lowest, highest] = pick(RANGES, c);
	process.setPortRange(fd, lowest, highest);
}

function read({ process, fd, sock }: Target, [, , c, d]: Numbers): void {
	if (d % 8 === 6) {
		const [level, name] = pick(ENDS, c);
		process.get(fd, level, name);
		return;
	}
	const options = sock.six || d % 4 === 3 ? READ : READ.filter(([level]) => level !== "SOL_IPV6");
	const [level, name] = pick(options, c);
	process.get(fd, level, name);
}

/** The family of an address for a socket. One of 16 is of the other family. */
function familyFor(script: Script, { six }: Sock, e: number): boolean {
	return script.six(e % 16 === 15 ? !six : six);
}

/** Binds to an address of the host, sometimes to an odd one or with a wrong length. */
function bind({ process, fd, sock }: Target, [, , c, d, e]: Numbers): void {
	const { script } = process;
	const six = familyFor(script, sock, e);
	const here = script.here(six);
	const odd = six ? ODD6 : ODD4;
	const address = c >= 240 ? pick(odd, c) : pick(here, c);
	const port = d % 2 === 0 && !script.without("autobind") ? 0 : pick(PORTS, d >> 1);
	const length = e >= 250 ? nth([0, 2, 8, 15, 24, 27], e - 250) : sizeOf(six);
	process.bind(fd, endpoint(six, address, port), length);
}

function listen({ process, fd, sock }: Target, [, , c]: Numbers): void {
	if (choosesPort(process, fd)) return;
	if (process.listen(fd, pick([3, 0, 1, 2], c)) === 0) sock.listens = true;
}

function connect({ process, fd, sock }: Target, [, , c, d, e]: Numbers): void {
	if (choosesPort(process, fd)) return;
	const to = destination(process, sock, familyFor(process.script, sock, e), c, d);
	if (isConnecting(process.connect(fd, to))) sock.connected = true;
}

/** A destination: the port of another socket at an address of this host, or another host. */
function destination(process: Process, sock: Sock, six: boolean, c: number, d: number): Endpoint {
	const { script } = process;
	const here = script
		.here(six)
		.filter((address) => address !== "0.0.0.0" && address !== "::ffff:0.0.0.0");
	const address = pick(here, c >> 2);
	const receivers = [...process.fds].filter(
		([, other]) =>
			protocolOf(other.kind) === protocolOf(sock.kind) && (other.listens || isDatagram(other.kind)),
	);
	if (c % 4 < 2 && receivers.length > 0) {
		const [fd] = pick(receivers, d);
		return process.ownEndpoint(fd, six, address);
	}
	if (c % 4 === 2) return endpoint(six, address, pick(PORTS, d));
	const away = six ? [...AWAY6, ...(script.scoped ? SCOPED_AWAY : [])] : AWAY4;
	return endpoint(six, pick(script.without("away") ? here : away, d), 80);
}

/** The protocol that a kind speaks. MPTCP and TCP can connect. */
function protocolOf(kind: Kind): number {
	return (kind === "mptcp" ? KINDS.tcp : KINDS[kind]).number;
}

/** Whether MSG_MORE holds data back on sockets of this kind, and the model knows it. */
function isStreamOfTcp(kind: Kind): boolean {
	return kind === "tcp" || kind === "mptcp";
}

/** Dissolves a connection. */
function dissolve({ process, fd, sock }: Target): void {
	process.disconnect(fd);
	sock.listens = false;
	sock.connected = false;
}

function send({ process, fd, sock }: Target, [, , c, d, e]: Numbers): void {
	if (choosesPort(process, fd)) return;
	const size = pick([5, 1, 0], e);
	// A one-to-many socket of SCTP begins an association, a one-to-one socket may.
	const addressed =
		sock.kind === "sctpMany" || (sock.kind === "sctp" ? d % 4 === 3 : isDatagram(sock.kind));
	if (!addressed || (sock.connected && c >= 128)) {
		const more = isStreamOfTcp(sock.kind) ? pick(STREAM_FLAGS, d) : undefined;
		process.send(fd, size, more);
		return;
	}
	const to = destination(process, sock, familyFor(process.script, sock, e), c, d);
	process.sendto(fd, size, to, isDatagram(sock.kind) ? pick(DATAGRAM_FLAGS, d) : undefined);
}

/** A receive that does not wait. Half of them ask for the sender. */
function receive({ process, fd }: Target, [, , c, d, e]: Numbers): void {
	process.receive(fd, pick([16, 1, 0], c), d % 2 === 1, pick(RECEIVE_FLAGS, e));
}

function accept({ process, fd, sock }: Target, [, , , d]: Numbers): void {
	if (process.accept(fd, sock.kind, sock.six) >= 0) process.limit(d);
}

/** Duplicates a descriptor: at any number, at one near the limit, or from one on. */
function dup({ process, fd, sock }: Target, [, , c, d, e]: Numbers): void {
	const { task, fds } = process;
	const near = Math.min(task.nofile, fds.size + 3 + (c % 4));
	const at = c % 8 < 4 ? near - 1 + (c % 4) : pick([...fds.keys()], c >> 3);
	const call = e % 8;
	const copy =
		call === 5
			? process.dup2(fd, at)
			: call === 6
				? process.dup3(fd, at)
				: call === 7
					? process.dupfd(fd, at)
					: process.dup(fd);
	if (copy < 0) return;
	fds.set(copy, sock);
	process.limit(d);
}
