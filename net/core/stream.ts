// SPDX-License-Identifier: GPL-2.0-or-later
/** net/core/stream.c: how a send waits for the connection, and its error. */
import type { Sk } from "../../include/linux/handle.js";
import { MSG_DONTWAIT } from "../../include/linux/socket.js";
import { sock_error } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCPF_SYN_RECV, TCPF_SYN_SENT } from "../../include/net/tcp_states.js";
import { EAGAIN, EPIPE, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";

/** A send on a sock that is not connected. Returns a negative errno, -ERESTARTSYS if it waits. */
export function sk_stream_wait_connect(k: Stack, sk: Sk, flags: number): number {
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	if (((1 << k.sock.skc_state[sk]) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) === 0) return -EPIPE;
	return (flags & MSG_DONTWAIT) !== 0 ? -EAGAIN : -ERESTARTSYS;
}

/** The error of a socket that cannot send. */
export function sk_stream_error(k: Stack, sk: Sk): number {
	const err = sock_error(k, sk);
	return err !== 0 ? err : -EPIPE;
}
