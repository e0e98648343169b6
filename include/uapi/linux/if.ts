// SPDX-License-Identifier: GPL-2.0-or-later
/** include/uapi/linux/if.h. */

/** Size of a device's name in bytes, with the 0 at its end. */
export const IFNAMSIZ = 16;
