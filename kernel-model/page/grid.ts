// SPDX-License-Identifier: GPL-2.0-or-later
/** The range of ports as a grid: what each port is, and where its cell lies. */
import { test_bit } from "../../include/linux/bitmap.js";
import type { Net } from "../../include/net/net_namespace.js";
import { SOCK_DEAD, sk_timer } from "../../include/net/sock.js";
import { TCP_LISTEN, TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import {
	IPPROTO_DCCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";

/** What a port is. */
export const PORT_FREE = 0;
export const PORT_RESERVED = 1;
/** bind() gave the port to a socket. */
export const PORT_BOUND = 2;
export const PORT_LISTENING = 3;
/** Connections have the port, and no bind() named it or chose it. */
export const PORT_CONNECTED = 4;
/** Only time-wait sockets have the port. */
export const PORT_TIME_WAIT = 5;

/** The states in words, with the letter that stands for each in the grid. */
export const PORT_STATES: readonly { name: string; letter: string }[] = [
	{ name: "free", letter: "" },
	{ name: "reserved", letter: "R" },
	{ name: "bound", letter: "B" },
	{ name: "listening", letter: "L" },
	{ name: "connected", letter: "C" },
	{ name: "TIME_WAIT", letter: "T" },
];

/** The bucket of a port has fastreuse or fastreuseport above 0; only connect() uses it. */
export const FAST_REUSE = 1;
export const FAST_REUSEPORT = 2;
const FAST_CONNECT = 4;

/** The state of all 65,536 ports of a namespace for one protocol. */
export interface Cells {
	/** PORT_*. */
	states: Uint8Array;
	/** Connections on each port. */
	connections: Uint16Array;
	/** FAST_* of the bucket of each port; 0 for protocols without bind buckets. */
	fast: Uint8Array;
	/** Seconds until the last time-wait socket on each port ends. */
	left: Uint16Array;
	/** The namespace's range, inclusive. */
	low: number;
	high: number;
}

/** The ports of a namespace that nobody has used. */
export function noCells(): Cells {
	return {
		states: new Uint8Array(65536),
		connections: new Uint16Array(65536),
		fast: new Uint8Array(65536),
		left: new Uint16Array(65536),
		low: 32768,
		high: 60999,
	};
}

/** TCP for a subflow of MPTCP and for any protocol without tables of its own. */
export function tableOf(protocol: number): number {
	const own = [IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_SCTP, IPPROTO_DCCP];
	return own.includes(protocol) ? protocol : IPPROTO_TCP;
}

/** Whether a sock holds its port now. */
export function holdsPort({ sock: S }: Kernel, sk: number, protocol: number): boolean {
	if (S.skc_num[sk] === 0) return false;
	if (protocol === IPPROTO_UDP || protocol === IPPROTO_UDPLITE) return S.node_pprev[sk] !== 0;
	if (protocol === IPPROTO_SCTP) return (nth(S.sk_flags, sk) & SOCK_DEAD) === 0;
	return S.icsk_bind_hash[sk] !== 0;
}

/** Which state a port with several sockets has: the one with the highest rank, by PORT_*. */
const RANK: readonly number[] = [0, 0, 3, 4, 2, 1];

/** The state of every port of a namespace for a protocol. */
export function cellsOf(k: Kernel, net: Net, protocol: number): Cells {
	const { sock: S } = k;
	const cells = noCells();
	[cells.low, cells.high] = net.ipv4.ip_local_ports.range;
	const { states, connections, fast, left } = cells;
	const reserved = net.ipv4.sysctl_local_reserved_ports;
	for (let port = 0; port < 65536; port++)
		if (test_bit(port, reserved)) states[port] = PORT_RESERVED;
	for (const sk of S.handles()) {
		if (S.skc_net[sk] !== net.id || tableOf(nth(S.sk_protocol, sk)) !== protocol) continue;
		if (!holdsPort(k, sk, protocol)) continue;
		const port = nth(S.skc_num, sk);
		const state = nth(S.skc_state, sk);
		let is = PORT_BOUND;
		if (state === TCP_LISTEN) is = PORT_LISTENING;
		else if (state === TCP_TIME_WAIT) {
			is = PORT_TIME_WAIT;
			const ends = (k.timers.expiry(sk_timer(sk)) ?? k.now) - k.now;
			left[port] = Math.max(nth(left, port), Math.round(ends / 1000));
		} else if (S.skc_dport[sk] !== 0) {
			is = PORT_CONNECTED;
			connections[port] = Math.min(nth(connections, port) + 1, 65535);
		}
		if (nth(RANK, is) > nth(RANK, nth(states, port))) states[port] = is;
	}
	if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_DCCP) return cells;
	const T = (protocol === IPPROTO_TCP ? k.tcp_hashinfo : k.dccp_hashinfo).bind_bucket_cachep;
	for (const tb of T.handles()) {
		if (T.ib_net[tb] !== net.id) continue;
		const port = nth(T.port, tb);
		const connectOnly = nth(T.fastreuse, tb) < 0 && nth(T.fastreuseport, tb) < 0;
		let bits = connectOnly ? FAST_CONNECT : 0;
		if (nth(T.fastreuse, tb) > 0) bits |= FAST_REUSE;
		if (nth(T.fastreuseport, tb) > 0) bits |= FAST_REUSEPORT;
		fast[port] = nth(fast, port) | bits;
		if (!connectOnly && states[port] === PORT_CONNECTED) states[port] = PORT_BOUND;
	}
	return cells;
}

/** A port in words: "40002: connected, 2 connections; bucket: only connect() uses it". */
export function portWords(cells: Cells, port: number): string {
	const state = nth(cells.states, port);
	const words = [nth(PORT_STATES, state).name];
	const connections = nth(cells.connections, port);
	if (connections > 0) words.push(`${connections} connection${connections === 1 ? "" : "s"}`);
	const left = nth(cells.left, port);
	const what = state === PORT_TIME_WAIT ? "" : "TIME_WAIT ";
	if (left > 0) words.push(`${what}ends in ${left} s`);
	const fast = nth(cells.fast, port);
	if ((fast & FAST_REUSE) !== 0) words.push("fastreuse");
	if ((fast & FAST_REUSEPORT) !== 0) words.push("fastreuseport");
	if ((fast & FAST_CONNECT) !== 0) words.push("only connect() uses its bucket");
	if (port < cells.low || port > cells.high) words.push("outside the namespace's range");
	return `port ${port}: ${words.join(", ")}`;
}

/** How many ports of a range have each state. */
export function countStates({ states }: Cells, low: number, high: number): number[] {
	const counts = PORT_STATES.map(() => 0);
	for (let port = low; port <= high; port++) {
		const state = nth(states, port);
		counts[state] = nth(counts, state) + 1;
	}
	return counts;
}

/** The cells of a range in a box: `size` and `columns` of the largest cells that fit. */
export interface Layout {
	low: number;
	high: number;
	/** Pixels from one cell to the next. */
	size: number;
	columns: number;
	rows: number;
}

/** The largest cells that fit into a box, at most `largest` pixels wide. */
export function layoutOf(
	low: number,
	high: number,
	width: number,
	height: number,
	largest: number,
): Layout {
	const count = high - low + 1;
	let size = Math.min(largest, Math.max(1, Math.floor(Math.sqrt((width * height) / count))));
	const columnsAt = (pixels: number) => Math.max(1, Math.floor(width / pixels));
	while (size > 1 && Math.ceil(count / columnsAt(size)) * size > height) size--;
	const columns = Math.min(count, columnsAt(size));
	return { low, high, size, columns, rows: Math.ceil(count / columns) };
}

/** The port at a pixel of a layout; null outside. */
export function portAt({ low, high, size, columns }: Layout, x: number, y: number): number | null {
	const column = Math.floor(x / size);
	if (column < 0 || column >= columns || y < 0) return null;
	const port = low + Math.floor(y / size) * columns + column;
	return port > high ? null : port;
}
