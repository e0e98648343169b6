// SPDX-License-Identifier: GPL-2.0-or-later
/** Limits of resources (include/uapi/asm-generic/resource.h). */

/** Every descriptor is below this limit. */
export const RLIMIT_NOFILE = 7;
