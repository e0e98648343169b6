// SPDX-License-Identifier: GPL-2.0-or-later
/** TCP level options (include/uapi/linux/tcp.h). */

export const TCP_LINGER2 = 8;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_QUICKACK = 12;
