// SPDX-License-Identifier: GPL-2.0-or-later
/** Capabilities of tasks (include/linux/capability.h, include/uapi/linux/capability.h). */
import type { Stack } from "../net/stack.js";

/** Bits of cap_effective. */
export const CAP_SETUID = 7;
export const CAP_NET_BIND_SERVICE = 10;
export const CAP_NET_ADMIN = 12;
export const CAP_NET_RAW = 13;
export const CAP_SYS_RESOURCE = 24;

/** All capabilities: those of root. */
export const CAP_FULL_SET = -1;

/**
 * kernel/capability.c: ns_capable. Whether the current task has a capability. C also takes the user
 * namespace; the model has only one.
 */
export function ns_capable(k: Stack, cap: number): boolean {
	return (k.cap_effective & (1 << cap)) !== 0;
}
