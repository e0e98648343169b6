// SPDX-License-Identifier: GPL-2.0-or-later
/** The queue of fast opens of a listener (include/linux/tcp.h). */
import type { Stack } from "../net/stack.js";
import type { Sk } from "./handle.js";
import { SOMAXCONN } from "./socket.js";

/** Sets how many fast opens a listener takes at once. */
export function fastopen_queue_tune(k: Stack, sk: Sk, backlog: number): void {
	k.sock.fastopenq_max_qlen.set(sk, Math.min(backlog >>> 0, SOMAXCONN));
}
