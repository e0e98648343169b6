// SPDX-License-Identifier: GPL-2.0-or-later
/** Flags of clone(), unshare() and setns() (include/uapi/linux/sched.h). */

/** Parent and child share their table of descriptors. unshare(): stop sharing it. */
export const CLONE_FILES = 0x400;
export const CLONE_THREAD = 0x10000;
export const CLONE_NEWUSER = 0x10000000;
/** A new network namespace. */
export const CLONE_NEWNET = 0x40000000;
