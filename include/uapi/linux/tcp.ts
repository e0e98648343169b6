// SPDX-License-Identifier: GPL-2.0-or-later
/** TCP level options (include/uapi/linux/tcp.h). */

/** The length of a full segment before a longer one was seen, bytes. */
export const TCP_MSS_DEFAULT = 536;

export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_SYNCNT = 7;
export const TCP_LINGER2 = 8;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_NODELAY = 1;
export const TCP_CORK = 3;
export const TCP_QUICKACK = 12;
export const TCP_USER_TIMEOUT = 18;
export const TCP_FASTOPEN = 23;
export const TCP_FASTOPEN_CONNECT = 30;
export const TCP_FASTOPEN_NO_COOKIE = 34;
export const TCP_RTO_MAX_MS = 44;
export const TCP_RTO_MIN_US = 45;
