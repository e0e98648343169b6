// SPDX-License-Identifier: GPL-2.0-or-later
/** Sockets of all protocols and families, as short as tests need them. */
import {
	type Address,
	AF_INET,
	AF_INET6,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	SOCK_DGRAM,
	SOCK_STREAM,
	type Task,
} from "../../kernel-model/index.js";
import type { Protocol } from "./oracle.js";

const PROTOCOLS = {
	tcp: [SOCK_STREAM, IPPROTO_TCP],
	udp: [SOCK_DGRAM, IPPROTO_UDP],
	udplite: [SOCK_DGRAM, IPPROTO_UDPLITE],
} as const;

/** A new socket of a family: a descriptor. */
export function socketOf(task: Task, protocol: Protocol, family: 4 | 6): number {
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
