// SPDX-License-Identifier: GPL-2.0-or-later
/** net/core/dev.c: devices by their number, and delivery of the segments that were sent over loopback. */
import type { Ifindex } from "../../include/linux/handle.js";
import type { NetDevice } from "../../include/linux/netdevice.js";
import type { Net } from "../../include/net/net_namespace.js";
import type { Stack } from "../../include/net/stack.js";

export function dev_get_by_index(net: Net, ifindex: Ifindex): NetDevice | null {
	for (const dev of net.devices) if (dev.ifindex === ifindex) return dev;
	return null;
}

/**
 * Delivers all segments in flight, and the segments that they cause. In C a segment for a socket
 * that a call holds waits in the socket's backlog until the call ends (release_sock). Here the call
 * itself delivers it.
 */
export function process_backlog(k: Stack): void {
	const queue = k.loopback;
	if (queue.length === 0) return;
	const { inet_protos } = k.protocols;
	for (let i = 0; i < queue.length; i++) {
		const skb = queue[i];
		inet_protos.get(skb.protocol)?.handler(k, skb);
	}
	queue.length = 0;
}

/**
 * The end of a call or timer: process_backlog, and process_one_work (kernel/workqueue.c) for all
 * work that was scheduled.
 */
export function processBacklogAndWorks(k: Stack): void {
	process_backlog(k);
	const { works } = k.mptcp;
	while (works.length > 0) {
		const sk = works.shift();
		if (sk !== undefined) k.mptcp.worker(k, sk);
		process_backlog(k);
	}
}
