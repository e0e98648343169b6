// SPDX-License-Identifier: GPL-2.0-or-later
/** Internet protocols and IP level options (include/uapi/linux/in.h, in6.h). */

export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_DCCP = 33;
export const IPPROTO_SCTP = 132;
export const IPPROTO_UDPLITE = 136;
export const IPPROTO_RAW = 255;
export const IPPROTO_MPTCP = 262;
export const IPPROTO_MAX = 263;

export const IP_RECVERR = 11;
export const IP_FREEBIND = 15;
export const IP_TRANSPARENT = 19;
export const IP_BIND_ADDRESS_NO_PORT = 24;
/** Since 6.3, 91d0b78c5177, the base commit. */
export const IP_LOCAL_PORT_RANGE = 51;
/** Since 6.4, 3632679d9e4f. */
export const IP_PROTOCOL = 52;

export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;

export const IPV6_ADDRFORM = 1;
export const IPV6_RECVERR = 25;
export const IPV6_V6ONLY = 26;
export const IPV6_TRANSPARENT = 75;
export const IPV6_FREEBIND = 78;

export const INADDR_ANY = 0;
export const INADDR_LOOPBACK = 0x7f000001;
