// SPDX-License-Identifier: GPL-2.0-or-later
/** UDP level options (include/uapi/linux/udp.h). */

export const UDP_CORK = 1;
