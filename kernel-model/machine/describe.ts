// SPDX-License-Identifier: GPL-2.0-or-later
/** Sockets and addresses in words. */
import { AF_INET6 } from "../../include/linux/socket.js";
import { SOCK_DEAD, sk_net } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_TIME_WAIT, tcpStateName } from "../../include/net/tcp_states.js";
import { dev_get_by_index } from "../../net/core/dev.js";
import { type Address, formatIpv4, formatIpv6 } from "./address.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";

export { count, plural } from "./count.js";

/** "0.4 s"; `ms` is in milliseconds. */
export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80". */
export function describeAddress({ family, address, port, scope_id = 0 }: Address): string {
	if (family !== "AF_INET6") return `${address}:${port}`;
	return `[${address}${scope_id === 0 ? "" : `%${scope_id}`}]:${port}`;
}

/** The local address of a socket. An AF_INET6 socket may have a v4-mapped one. */
export function sockSource(k: Stack, sk: number): string {
	const S = k.sock;
	if (S.skc_family[sk] !== AF_INET6) return formatIpv4(nth(S.skc_rcv_saddr, sk));
	return `[${formatIpv6(S.skc_v6_rcv_saddr, sk * 4)}]`;
}

/** The address and port that a socket is connected to. */
export function sockDestination(k: Stack, sk: number): string {
	const S = k.sock;
	const daddr =
		S.skc_family[sk] !== AF_INET6
			? formatIpv4(nth(S.skc_daddr, sk))
			: `[${formatIpv6(S.skc_v6_daddr, sk * 4)}]`;
	return `${daddr}:${S.skc_dport[sk]}`;
}

/** The name of a device, such as "lo", or its number if the device is gone. */
export function deviceName(k: Stack, sk: number, ifindex: number): string {
	return dev_get_by_index(sk_net(k, sk), ifindex)?.name ?? `${ifindex}`;
}

/** The struct socket of a sock. For a subflow it is the struct socket of the MPTCP sock. */
function socketOf(k: Kernel, sk: number): number {
	for (const [msk, { first }] of k.mptcp.socks) if (first === sk) return nth(k.sock.sk_socket, msk);
	return nth(k.sock.sk_socket, sk);
}

/** Describes a socket by its descriptor, its addresses and its state. */
export function describeSock(k: Kernel, sk: number): string {
	const S = k.sock;
	const local = `${sockSource(k, sk)}:${S.skc_num[sk]}`;
	const peer = S.skc_dport[sk] !== 0 ? ` -> ${sockDestination(k, sk)}` : "";
	const state = nth(S.skc_state, sk);
	let owner = "a socket";
	if (state === TCP_TIME_WAIT) owner = "a time-wait socket";
	else if (S.rsk_listener.get(sk) !== 0) owner = "a connection that is not accepted yet";
	else if ((nth(S.sk_flags, sk) & SOCK_DEAD) !== 0) owner = "an orphan";
	const socket = state === TCP_TIME_WAIT ? 0 : socketOf(k, sk);
	for (const task of socket === 0 ? [] : k.tasks) {
		const fd = task.socketDescriptors().find((candidate) => task.socketOf(candidate) === socket);
		if (fd !== undefined) {
			owner = k.tasks.size > 1 ? `fd ${fd} of pid ${task.pid}` : `fd ${fd}`;
			break;
		}
	}
	const device = nth(S.skc_bound_dev_if, sk);
	const flags = [
		S.skc_reuse[sk] !== 0 ? ", SO_REUSEADDR" : "",
		S.skc_reuseport[sk] !== 0 ? ", SO_REUSEPORT" : "",
		device !== 0 ? `, device ${deviceName(k, sk, device)}` : "",
	].join("");
	return `${owner} (${local}${peer} ${tcpStateName(state)}${flags})`;
}
