// SPDX-License-Identifier: GPL-2.0-or-later
/** The few addresses, ports, options and values of random programs, as scripts have them. */
import {
	MSG_DONTROUTE,
	MSG_MORE,
	MSG_PEEK,
	MSG_TRUNC,
	MSG_WAITALL,
} from "../../../include/linux/socket.js";
import { nth } from "../../machine/nth.js";

/** Entry `n` of a list that begins anew at its end. */
export function pick<T>(values: readonly T[], n: number): T {
	return nth(values, n % values.length);
}

/** Addresses of this host to which sockets are bound. Repeated entries are chosen more often. */
export const V4 = ["127.0.0.1", "0.0.0.0", "127.0.0.2", "192.0.2.10"];
export const V6 = [
	"::1",
	"::",
	"2001:db8::10",
	"::ffff:127.0.0.1",
	"::ffff:0.0.0.0",
	"::ffff:192.0.2.10",
];
/** Addresses of no device, and multicast addresses. */
export const ODD4 = ["203.0.113.77", "224.0.0.1"];
export const ODD6 = ["2001:db8::77", "::ffff:203.0.113.77", "ff02::1", "::7f00:1"];
/** Destinations that are not addresses of this host. */
export const AWAY4 = ["198.51.100.1", "203.0.113.5", "203.0.113.200"];
export const AWAY6 = [
	"::ffff:198.51.100.1",
	"::ffff:203.0.113.200",
	"2001:db8:2::1",
	"2001:db8:9::1",
];
/** Addresses of a device in the VRF, and of a device outside. */
export const VRF4 = ["198.51.100.10", "203.0.113.10"];
export const VRF6 = ["2001:db8:1::10", "::ffff:198.51.100.10", "2001:db8:3::10"];
/** Link-local addresses: those of lo, with and without their scope, and with the scope of no device. */
export const SCOPED = ["fe80::1%lo", "fe80::2%lo", "fe80::1%lo", "fe80::1", "fe80::1%99"];
/** Those of devices outside lo. Their MAC addresses are 02:00:00:00:00:01 and :02. */
export const SCOPED_VRF = [
	"fe80::ff:fe00:1%dummy0",
	"fe80::ff:fe00:2%dummy1",
	"fe80::ff:fe00:1%vrf0",
];
/** Link-local destinations that nobody has. */
export const SCOPED_AWAY = ["fe80::9%lo", "fe80::9"];
/** Most are in or near the ranges below. 81 is privileged. */
export const PORTS = [40000, 40001, 40003, 40006, 39999, 45000, 81];

/** The levels of options, with their numbers. */
export const SOL = { SOL_SOCKET: 1, SOL_IP: 0, SOL_IPV6: 41, SOL_TCP: 6, SOL_UDP: 17 } as const;
export type Level = keyof typeof SOL;
/** Options whose value is one int, with their numbers. */
export const FLAGS: readonly [Level, string, number][] = [
	["SOL_SOCKET", "SO_REUSEADDR", 2],
	["SOL_SOCKET", "SO_REUSEPORT", 15],
	["SOL_SOCKET", "SO_REUSEADDR", 2],
	["SOL_SOCKET", "SO_REUSEPORT", 15],
	["SOL_IP", "IP_BIND_ADDRESS_NO_PORT", 24],
	["SOL_IPV6", "IPV6_V6ONLY", 26],
	["SOL_IP", "IP_FREEBIND", 15],
	["SOL_IPV6", "IPV6_V6ONLY", 26],
	["SOL_IPV6", "IPV6_FREEBIND", 78],
];
/** Options that programs read. */
export const READ: readonly [Level, string][] = [
	["SOL_IP", "IP_LOCAL_PORT_RANGE"],
	["SOL_SOCKET", "SO_ERROR"],
	["SOL_SOCKET", "SO_ERROR"],
	["SOL_SOCKET", "SO_REUSEADDR"],
	["SOL_SOCKET", "SO_REUSEPORT"],
	["SOL_IP", "IP_BIND_ADDRESS_NO_PORT"],
	["SOL_IP", "IP_FREEBIND"],
	["SOL_IPV6", "IPV6_V6ONLY"],
	["SOL_IPV6", "IPV6_FREEBIND"],
	["SOL_SOCKET", "SO_LINGER"],
	["SOL_IP", "IP_PROTOCOL"],
	["SOL_SOCKET", "SO_BINDTODEVICE"],
	["SOL_SOCKET", "SO_ACCEPTCONN"],
	["SOL_SOCKET", "SO_TYPE"],
	["SOL_SOCKET", "SO_PROTOCOL"],
	["SOL_SOCKET", "SO_DOMAIN"],
];
/**
 * Options of TCP that decide when a connection ends, with their numbers, and values to set. None of
 * these values ends a connection within the time that a program takes, but for a negative
 * TCP_LINGER2, which ends it at close().
 */
export const ENDS: readonly [Level, string, number, readonly number[]][] = [
	["SOL_TCP", "TCP_LINGER2", 8, [-1, 0, 121, -2147483648, 60]],
	["SOL_TCP", "TCP_SYNCNT", 7, [0, 127, 128, -1, 4]],
	["SOL_TCP", "TCP_USER_TIMEOUT", 18, [0, -1, 2147483647, 60000]],
	["SOL_SOCKET", "SO_KEEPALIVE", 9, [1, 0, -1]],
	["SOL_TCP", "TCP_KEEPIDLE", 4, [0, 32767, 32768, -1, 600]],
	["SOL_TCP", "TCP_KEEPINTVL", 5, [0, 32767, 32768, 1]],
	["SOL_TCP", "TCP_KEEPCNT", 6, [0, 127, 128, 1]],
	["SOL_TCP", "TCP_RTO_MAX_MS", 44, [999, 1000, 120000, 120001, 1001]],
	["SOL_TCP", "TCP_RTO_MIN_US", 45, [200000, 4000, 199999, -1]],
];
/** Options that decide when data is sent and acknowledged, and whether a gateway is used. */
export const SENDS: readonly [Level, string, number, readonly number[]][] = [
	["SOL_TCP", "TCP_NODELAY", 1, [1, 0, 2]],
	["SOL_TCP", "TCP_CORK", 3, [1, 0, 1]],
	["SOL_SOCKET", "SO_DONTROUTE", 5, [1, 0, -1]],
	["SOL_TCP", "TCP_QUICKACK", 12, [0, 1, 2]],
	["SOL_UDP", "UDP_CORK", 1, [0, 1, 0]],
];
/** Flags of a send besides MSG_NOSIGNAL, with their numbers: to a stream, and to an address. */
export const STREAM_FLAGS: readonly (readonly [string, number])[] = [
	["", 0],
	["|MSG_MORE", MSG_MORE],
];
export const DATAGRAM_FLAGS: readonly (readonly [string, number])[] = [
	["", 0],
	["|MSG_MORE", MSG_MORE],
	["", 0],
	["|MSG_DONTROUTE", MSG_DONTROUTE],
];
/** Flags of a receive besides MSG_DONTWAIT, with their numbers. */
export const RECEIVE_FLAGS: readonly (readonly [string, number])[] = [
	["", 0],
	["", 0],
	["", 0],
	["|MSG_PEEK", MSG_PEEK],
	["", 0],
	["|MSG_WAITALL", MSG_WAITALL],
	["|MSG_PEEK|MSG_TRUNC", MSG_PEEK | MSG_TRUNC],
	["|MSG_TRUNC", MSG_TRUNC],
];
/** What shutdown() ends, with its number. */
export const SHUTDOWNS: readonly (readonly [string, number])[] = [
	["SHUT_RDWR", 2],
	["SHUT_WR", 1],
	["SHUT_RD", 0],
];
/** Bounds of IP_LOCAL_PORT_RANGE; 0 leaves one to the namespace. */
export const RANGES = [
	[40000, 40003],
	[0, 0],
	[40004, 40004],
	[40001, 40005],
	[40000, 40015],
	[40005, 0],
	[0, 40002],
	[39990, 40001],
	[40006, 45000],
	[81, 83],
	[45000, 45001],
	[40005, 40001], // upside down
] as const;
/** Values of ip_local_port_range. Each program begins with one of the first five. */
export const NAMESPACE_RANGES = [
	"40000 40015",
	"40000 40007",
	"40000 40023",
	"40000 40039",
	"40001 40004",
	"40003 40003",
	"39999 40010",
	"40007 40000",
];
export const PORT_RANGE = "net.ipv4.ip_local_port_range";
/** Sysctls that programs write, with values. */
export const SYSCTLS: Readonly<Record<string, readonly string[]>> = {
	"net.ipv4.ip_local_port_range": NAMESPACE_RANGES,
	"net.ipv4.ip_local_reserved_ports": [
		"",
		"40002-40003",
		"40000,40005,40010-40012",
		"40000-40015",
		"40001,45000",
	],
	"net.ipv4.ip_autobind_reuse": ["1", "0"],
	"net.ipv4.ip_nonlocal_bind": ["0", "1", "0"],
	"net.ipv4.ip_unprivileged_port_start": ["1024", "0", "40002"],
	"net.ipv4.tcp_tw_reuse": ["0", "1", "2"],
	"net.ipv4.tcp_tw_reuse_delay": ["1000", "5", "1"],
	"net.ipv6.bindv6only": ["0", "1"],
	"net.ipv6.ip_nonlocal_bind": ["0", "1", "0"],
	"net.ipv4.tcp_l3mdev_accept": ["1", "0"],
	"net.ipv4.udp_l3mdev_accept": ["1", "0"],
	"net.ipv4.ip_local_port_step_width": ["3", "0", "100"],
	"net.ipv4.tcp_abort_on_overflow": ["1", "0"],
	"net.ipv4.tcp_rfc1337": ["1", "0"],
	"net.ipv4.tcp_max_tw_buckets": ["1", "65536", "0", "3"],
	"net.ipv4.tcp_keepalive_time": ["600", "-1", "8589935"],
	"net.ipv4.tcp_orphan_retries": ["3", "0", "256"],
	"net.ipv4.tcp_retries2": ["8", "15", "-1"],
	"net.ipv4.tcp_rto_max_ms": ["1000", "999", "120000"],
};
/** Ranges in which a search has no choice. */
export const ONE_PORT = ["40003 40003", "40000 40000", "40001 40001", "45000 45000"];
/** Ranges of programs with many sockets. */
export const WIDE_RANGES = ["40000 40127", "40001 40100", "40000 40255", "32768 60999"];
/** Sysctls that matter only if there is a VRF. */
export const VRF_SYSCTLS = ["net.ipv4.tcp_l3mdev_accept", "net.ipv4.udp_l3mdev_accept"];

/** Seconds. The last one is longer than a delayed ACK waits. */
export const SLEEPS = [0.002, 0.012, 0.002, 0.012, 0.002, 0.012, 0.002, 0.05];
