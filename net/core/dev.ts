// SPDX-License-Identifier: GPL-2.0-or-later
/** net/core/dev.c: segments that were sent over loopback arrive. */
import type { Stack } from "../../include/net/stack.js";
import { IPPROTO_TCP } from "../../include/uapi/linux/in.js";

/**
 * Delivers every segment in flight, and those that they cause. They are all of TCP. In C a
 * segment waits in the backlog of a socket that a call holds until the call ends (release_sock);
 * here the call delivers it.
 */
export function process_backlog(k: Stack): void {
	const queue = k.loopback;
	if (queue.length === 0) return;
	const tcp_protocol = k.protocols.inet_protos.get(IPPROTO_TCP);
	for (let i = 0; i < queue.length; i++) tcp_protocol?.handler(k, queue[i]);
	queue.length = 0;
}
