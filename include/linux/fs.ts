// SPDX-License-Identifier: GPL-2.0-or-later
/** Limits of files (include/linux/fs.h, include/uapi/linux/fs.h). */

/** Default of fs.nr_open: fs/file.c: sysctl_nr_open. No descriptor is above it. */
export const NR_OPEN = 1 << 20;
