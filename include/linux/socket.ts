// SPDX-License-Identifier: GPL-2.0-or-later
/** Address families, option levels and limits (include/linux/socket.h). */

export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOL_IP = 0;
export const SOL_TCP = 6;

/** Default of net.core.somaxconn since 5.4: the most that listen()'s backlog can be. */
export const SOMAXCONN = 4096;

/** Bytes of a struct sockaddr_in, and of the family alone. */
export const SIZEOF_SOCKADDR_IN = 16;
export const SIZEOF_SA_FAMILY = 2;
/** Bytes of a struct sockaddr_storage: the longest address that a system call takes. */
export const SIZEOF_SOCKADDR_STORAGE = 128;
