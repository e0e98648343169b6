// SPDX-License-Identifier: GPL-2.0-or-later
/** Short helpers that make sockets of all protocols and families, also with random options. */
import fc from "fast-check";
import { expect } from "vitest";
import {
	type Address,
	AF_INET,
	AF_INET6,
	IPV6_V6ONLY,
	SO_BINDTODEVICE,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_IPV6,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { PROTOCOLS, type Protocol } from "../world.js";

const LO = Uint8Array.from("lo", (letter) => letter.charCodeAt(0));

/** A new socket of a family: a descriptor. */
function socketOf(task: Task, protocol: Protocol, family: 4 | 6): number {
	const [type, number] = PROTOCOLS[protocol];
	return task.socket(family === 4 ? AF_INET : AF_INET6, type, number);
}

/** A new socket of an address's family, and the address with port 0. */
export function open(task: Task, protocol: Protocol, address: string) {
	const family = address.includes(":") ? 6 : 4;
	const fd = socketOf(task, protocol, family);
	const name: Address = { family: family === 4 ? "AF_INET" : "AF_INET6", address, port: 0 };
	return { fd, name };
}

/** Properties of a socket before it is bound. */
export interface Options {
	address: string;
	reuseaddr: boolean;
	reuseport: boolean;
	v6only: boolean;
	/** The user who makes the socket. */
	uid: number;
	/** The socket is bound to device lo. */
	lo: boolean;
}

export const randomOptions: fc.Arbitrary<Options> = fc.record({
	address: fc.constantFrom(
		"0.0.0.0",
		"127.0.0.1",
		"127.0.0.2",
		"::",
		"::1",
		"::ffff:127.0.0.1",
		"::ffff:0.0.0.0",
	),
	reuseaddr: fc.boolean(),
	reuseport: fc.boolean(),
	v6only: fc.boolean(),
	uid: fc.constantFrom(0, 1000),
	lo: fc.boolean(),
});

/** A new socket with options, and its address with port 0. The task is root again afterwards. */
export function openWith(task: Task, protocol: Protocol, options: Options) {
	task.uid = options.uid;
	const { fd, name } = open(task, protocol, options.address);
	if (options.reuseaddr) task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (options.reuseport) task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	const six = name.family === "AF_INET6" && !options.address.startsWith("::ffff:");
	if (six && options.v6only) task.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, 1);
	task.uid = 0;
	if (options.lo) expect(task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, LO)).toBe(0);
	return { fd, name };
}
