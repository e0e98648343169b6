// SPDX-License-Identifier: GPL-2.0-or-later
/** Explanations: one row for each error of each call, and the remarks on successful calls. */
import { describe, expect, it } from "vitest";
import { type Outcome, playScript, readScript, Socket } from "../../kernel-model/index.js";
import { in4, in6 } from "../text.js";
import { World } from "../world.js";

const UNSPEC = '{sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}';

/** Sockets. Each is descriptor 3 if it is the first. */
const TCP = "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)";
const TCP_NONBLOCK = "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP)";
const TCP6 = "socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP)";
const UDP = "socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)";
const UDP6 = "socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP)";
const SCTP = "socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)";

const bind = (address: string, port: number, fd = 3) => `bind(${fd}, ${in4(port, address)}, 16)`;
const bind6 = (address: string, port: number, fd = 3) => `bind(${fd}, ${in6(port, address)}, 28)`;
const connect = (address: string, port: number | string, fd = 3) =>
	`connect(${fd}, ${in4(port, address)}, 16)`;
const connect6 = (address: string, port: number) => `connect(3, ${in6(port, address)}, 28)`;
const send = (address: string, port: number, size = 1) =>
	`sendto(3, "x", ${size}, 0, ${in4(port, address)}, 16)`;
const set = (level: string, option: string, value: string, length = 4, fd = 3) =>
	`setsockopt(${fd}, ${level}, ${option}, ${value}, ${length})`;
const REUSEADDR = (fd: number) => set("SOL_SOCKET", "SO_REUSEADDR", "[1]", 4, fd);
const REUSEPORT = (fd: number) => set("SOL_SOCKET", "SO_REUSEPORT", "[1]", 4, fd);
const LISTENER = `${TCP}\n${bind("127.0.0.1", 8080)}\nlisten(3, 1)`;
const RANGE = (low: number, high: number) =>
	`$ sysctl -w net.ipv4.ip_local_port_range="${low} ${high}"`;
/** A route to a host that does not answer. */
const REMOTE = "$ ip addr add 192.0.2.10/32 dev lo\n$ ip route add default dev lo";

function play(lines: string, version = "6.18.44"): Outcome[] {
	return playScript(readScript(`${lines}\n`, "t"), { version, explain: true });
}

function last(lines: string, version?: string): Outcome {
	const outcome = play(lines, version).at(-1);
	if (outcome === undefined) throw new Error("no calls");
	return outcome;
}

/** Failures: the error, the calls that lead to it, and the last line of the explanation. */
const FAILURES: readonly [error: string, script: string, reason: string][] = [
	[
		"EBADF",
		'bind(9, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("0.0.0.0")}, 16)',
		"__sys_bind: descriptor 9 is not open",
	],
	["EBADF", "listen(9, 1)", "__sys_listen: descriptor 9 is not open"],
	["EBADF", "close(9)", "close: descriptor 9 is not open"],
	["EBADF", "accept(9, NULL, NULL)", "__sys_accept4: descriptor 9 is not open"],
	["ENOTSOCK", "listen(0, 1)", "__sys_listen: descriptor 0 is not a socket"],
	[
		"EPROTONOSUPPORT",
		"socket(AF_INET, SOCK_STREAM, IPPROTO_UDP)",
		"inet_create: SOCK_STREAM sockets of AF_INET have no protocol IPPROTO_UDP",
	],
	[
		"EFAULT",
		`${TCP}\nbind(3, NULL, 16)`,
		"move_addr_to_kernel: the address is at NULL, or cannot be read",
	],
	[
		"EINVAL",
		`${TCP}\nbind(3, ${in4(80)}, 8)`,
		"inet_bind_sk: an address of 8 bytes is too short: struct sockaddr_in has 16",
	],
	[
		"EAFNOSUPPORT",
		`${TCP}\nbind(3, ${in6(80)}, 28)`,
		"__inet_bind: an AF_INET socket does not take an address of AF_INET6",
	],
	[
		"EADDRNOTAVAIL",
		`${TCP}\n${bind("192.0.2.9", 80)}`,
		"__inet_bind: 192.0.2.9 is not an address of this host, and none of IP_FREEBIND, IP_TRANSPARENT and net.ipv4.ip_nonlocal_bind is set",
	],
	[
		"EACCES",
		`setuid(1000)\n${TCP}\n${bind("127.0.0.1", 443)}`,
		"__inet_bind: port 443 is below ip_unprivileged_port_start (1024), and user 1000 has no CAP_NET_BIND_SERVICE",
	],
	[
		"EINVAL",
		`${TCP}\n${bind("127.0.0.1", 8080)}\n${bind("127.0.0.1", 8081)}`,
		"__inet_bind: the socket has port 8080 already, and keeps it",
	],
	[
		"EINVAL",
		`${LISTENER}\n${bind("127.0.0.1", 8081)}`,
		"__inet_bind: the socket is in state LISTEN, not CLOSE",
	],
	[
		"EADDRINUSE",
		`${LISTENER}\n${TCP}\n${bind("127.0.0.1", 8080, 4)}`,
		"inet_bind_conflict: port 8080 conflicts with fd 3 (127.0.0.1:8080 LISTEN): not both have SO_REUSEADDR, nor both SO_REUSEPORT",
	],
	[
		"EADDRINUSE",
		`${UDP}\n${bind("0.0.0.0", 53)}\n${UDP}\n${bind("127.0.0.1", 53, 4)}`,
		"udp_lib_lport_inuse: port 53 conflicts with fd 3 (0.0.0.0:53 CLOSE): not both have SO_REUSEADDR, nor both SO_REUSEPORT",
	],
	[
		"EADDRINUSE",
		`${RANGE(40000, 40000)}\n${TCP}\n${bind("0.0.0.0", 0)}\n${TCP}\n${bind("0.0.0.0", 0, 4)}`,
		"inet_csk_find_open_port: no port is left",
	],
	[
		"EAFNOSUPPORT",
		`${TCP6}\nbind(3, ${in4(80)}, 28)`,
		"__inet6_bind: an AF_INET6 socket does not take an address of AF_INET",
	],
	[
		"EADDRNOTAVAIL",
		`${TCP6}\n${bind6("2001:db8::99", 80)}`,
		"__inet6_bind: 2001:db8::99 is not an address of this host, and none of IPV6_FREEBIND, IPV6_TRANSPARENT and net.ipv6.ip_nonlocal_bind is set",
	],
	[
		"EINVAL",
		`${TCP6}\n${set("SOL_IPV6", "IPV6_V6ONLY", "[1]")}\n${bind6("::ffff:127.0.0.1", 80)}`,
		"__inet6_bind: the socket is IPV6_V6ONLY, and ::ffff:127.0.0.1 is an IPv4 address",
	],
	[
		"EINVAL",
		`${TCP6}\n${bind6("ff02::1", 80)}`,
		"__inet6_bind: a stream does not bind to the multicast address ff02::1",
	],
	[
		"EINVAL",
		`${TCP6}\n${bind6("fe80::1", 80)}`,
		"__inet6_bind: fe80::1 needs a device: set the scope or SO_BINDTODEVICE",
	],
	["EOPNOTSUPP", `${UDP}\nlisten(3, 1)`, "sock_no_listen: datagram sockets do not listen"],
	[
		"EINVAL",
		`${LISTENER}\n${TCP}\n${connect("127.0.0.1", 8080, 4)}\nlisten(4, 1)`,
		"inet_listen: the socket is connected to 127.0.0.1:8080",
	],
	[
		"EOPNOTSUPP",
		`${UDP}\naccept(3, NULL, NULL)`,
		"sock_no_accept: datagram sockets do not accept connections",
	],
	[
		"EINVAL",
		`${TCP}\naccept(3, NULL, NULL)`,
		"inet_csk_accept: the socket does not listen: its state is CLOSE",
	],
	[
		"EAGAIN",
		`${TCP_NONBLOCK}\nlisten(3, 1)\naccept(3, NULL, NULL)`,
		"inet_csk_accept: no connection waits, and the socket does not block",
	],
	[
		"EFAULT",
		`${TCP}\nconnect(3, NULL, 16)`,
		"move_addr_to_kernel: the address is at NULL, or cannot be read",
	],
	[
		"EAFNOSUPPORT",
		`${TCP}\n${connect6("::1", 80)}`,
		"tcp_v4_connect: an AF_INET socket does not connect to an address of AF_INET6",
	],
	[
		"ENETUNREACH",
		`${TCP}\n${connect("198.51.100.1", 80)}`,
		"fib_lookup: no route leads to 198.51.100.1",
	],
	[
		"ENETUNREACH",
		`${TCP}\n${connect("255.255.255.255", 80)}`,
		"fib_lookup: no route leads to 255.255.255.255",
	],
	[
		"EINVAL",
		`${REMOTE.replace("dev lo", "dev lo")}\n$ ip link add dummy0 type dummy\n$ ip link set dummy0 up\n$ ip route replace default dev dummy0\n${TCP}\n${bind("127.0.0.1", 0)}\n${connect("198.51.100.1", 80)}`,
		"__mkroute_output: the source 127.0.0.1 is a loopback address, and the route to 198.51.100.1 leaves by dummy0",
	],
	[
		"EHOSTUNREACH",
		`$ ip route add unreachable 198.51.100.0/24\n${TCP}\n${connect("198.51.100.1", 80)}`,
		"fib_lookup: the route to 198.51.100.1 is unreachable",
	],
	[
		"EACCES",
		`$ ip route add prohibit 198.51.100.0/24\n${TCP}\n${connect("198.51.100.1", 80)}`,
		"fib_lookup: the route to 198.51.100.1 prohibits it",
	],
	[
		"EINVAL",
		`$ ip route add blackhole 198.51.100.0/24\n${TCP}\n${connect("198.51.100.1", 80)}`,
		"fib_lookup: the route to 198.51.100.1 is a blackhole",
	],
	[
		"ENETUNREACH",
		`${TCP6}\n${set("SOL_IPV6", "IPV6_V6ONLY", "[1]")}\n${connect6("::ffff:127.0.0.1", 80)}`,
		"tcp_v6_connect: the socket is IPV6_V6ONLY, and ::ffff:127.0.0.1 is an IPv4 address",
	],
	[
		"ENETUNREACH",
		`${TCP6}\n${connect6("ff02::1", 80)}`,
		"tcp_v6_connect: ff02::1 is a multicast address",
	],
	[
		"EINVAL",
		`${TCP6}\n${connect6("fe80::1", 80)}`,
		"tcp_v6_connect: fe80::1 is valid on one link only, and no device is named",
	],
	[
		"ECONNREFUSED",
		`${TCP}\n${connect("127.0.0.1", 9)}`,
		"tcp_reset: 127.0.0.1 is this host, and no socket listens on port 9",
	],
	[
		"ECONNREFUSED",
		`${LISTENER}\n${TCP}\n${connect("127.0.0.2", 8080, 4)}`,
		"tcp_reset: 127.0.0.2 is this host, and no listener on port 8080 takes it: fd 3 (127.0.0.1:8080 LISTEN)",
	],
	[
		"EISCONN",
		`${LISTENER}\n${TCP}\n${connect("127.0.0.1", 8080, 4)}\n${connect("127.0.0.1", 8080, 4)}`,
		"__inet_stream_connect: the socket is connected to 127.0.0.1:8080",
	],
	[
		"EISCONN",
		`${LISTENER}\n${connect("127.0.0.1", 80)}`,
		"__inet_stream_connect: the socket is in state LISTEN",
	],
	[
		"EINPROGRESS",
		`${REMOTE}\n${TCP_NONBLOCK}\n${connect("198.51.100.1", 80)}`,
		"__inet_stream_connect: the socket does not block, and the SYN to 198.51.100.1:80 is not answered yet",
	],
	[
		"EALREADY",
		`${REMOTE}\n${TCP_NONBLOCK}\n${connect("198.51.100.1", 80)}\n${connect("198.51.100.1", 80)}`,
		"__inet_stream_connect: a connect() to 198.51.100.1:80 is under way",
	],
	[
		"EADDRNOTAVAIL",
		`${RANGE(40000, 40000)}\n${TCP}\n${bind("127.0.0.1", 40000)}\n${TCP}\n${connect("127.0.0.1", 40000, 4)}`,
		"__inet_hash_connect: no port is left",
	],
	[
		"EADDRNOTAVAIL",
		`${LISTENER}\n${TCP}\n${REUSEADDR(4)}\n${bind("127.0.0.1", 5000, 4)}\n${TCP}\n${REUSEADDR(5)}\n${bind("127.0.0.1", 5000, 5)}\n${connect("127.0.0.1", 8080, 4)}\n${connect("127.0.0.1", 8080, 5)}`,
		"__inet_check_established: port 5000: the four-tuple is in use by fd 4 (127.0.0.1:5000 -> 127.0.0.1:8080 ESTABLISHED, SO_REUSEADDR)",
	],
	[
		"EACCES",
		`$ ip addr add 192.0.2.10/24 dev lo\n$ ip link add dummy0 type dummy\n$ ip link set dummy0 up\n$ ip addr add 198.51.100.1/24 brd + dev dummy0\n${UDP}\n${connect("198.51.100.255", 53)}`,
		"__ip4_datagram_connect: 198.51.100.255 is a broadcast address, and SO_BROADCAST is not set",
	],
	[
		"ENETUNREACH",
		`${UDP}\n${connect("198.51.100.1", 53)}`,
		"fib_lookup: no route leads to 198.51.100.1",
	],
	[
		"EAGAIN",
		`${RANGE(40000, 40000)}\n${UDP}\n${bind("0.0.0.0", 0)}\n${UDP}\n${connect("127.0.0.1", 53, 4)}`,
		"inet_autobind: the socket has no port, and none is left for it",
	],
	[
		"EAFNOSUPPORT",
		`${UDP6}\n${set("SOL_IPV6", "IPV6_V6ONLY", "[1]")}\n${connect("127.0.0.1", 53)}`,
		"__ip6_datagram_connect: the socket is IPV6_V6ONLY, and the address is one of IPv4",
	],
	[
		"ENOTCONN",
		`${TCP}\ngetpeername(3, NULL, [16])`,
		"inet_getname: the socket has no peer, or its port is 0",
	],
	["ENOTCONN", `${TCP}\nshutdown(3, SHUT_RDWR)`, "inet_shutdown: the socket is not connected"],
	["EINVAL", `${TCP}\nshutdown(3, 7)`, "inet_shutdown: 7 is none of SHUT_RD, SHUT_WR, SHUT_RDWR"],
	[
		"EDESTADDRREQ",
		`${UDP}\nsendto(3, "x", 1, 0, NULL, 0)`,
		"udp_sendmsg: no address is given, and the socket is not connected",
	],
	["EINVAL", `${UDP}\n${send("127.0.0.1", 0)}`, "udp_sendmsg: the destination's port is 0"],
	[
		"ENETUNREACH",
		`${UDP}\n${send("198.51.100.1", 53)}`,
		"fib_lookup: no route leads to 198.51.100.1",
	],
	[
		"EMSGSIZE",
		`${UDP}\n${send("127.0.0.1", 53, 70000)}`,
		"udp_sendmsg: 70000 bytes are more than 65535",
	],
	[
		"ECONNREFUSED",
		`${UDP}\n${connect("127.0.0.1", 53)}\nsend(3, "x", 1, 0)\nsend(3, "x", 1, 0)`,
		"__udp4_lib_err: an earlier datagram met no socket, and ICMP said port unreachable",
	],
	[
		"EINVAL",
		`${TCP}\n${set("SOL_IP", "IP_LOCAL_PORT_RANGE", "[2621480003]")}`,
		"do_ip_setsockopt: the low bound 40003 is above the high bound 40000 (the high bound is the upper half of the value)",
	],
	[
		"EINVAL",
		`${TCP}\n${set("SOL_SOCKET", "SO_REUSEADDR", "[1]", 2)}`,
		"sk_setsockopt: a value of 2 bytes is too short: the option has 4",
	],
	[
		"EFAULT",
		`${TCP}\n${set("SOL_SOCKET", "SO_REUSEADDR", "NULL")}`,
		"sk_setsockopt: the value is at NULL",
	],
	[
		"ENOPROTOOPT",
		`${TCP}\n${set("SOL_SOCKET", "SO_TYPE", "[1]")}`,
		"sk_setsockopt: the option can only be read",
	],
	[
		"ENODEV",
		`${TCP}\n${set("SOL_SOCKET", "SO_BINDTODEVICE", '"eth9\\0"', 5)}`,
		'sock_setbindtodevice: this namespace has no device "eth9"',
	],
	[
		"EPERM",
		`setuid(1000)\n${TCP}\n${set("SOL_SOCKET", "SO_BINDTODEVICE", '"lo\\0"', 3)}\n${set("SOL_SOCKET", "SO_BINDTODEVICE", '"lo\\0"', 3)}`,
		"sock_bindtoindex_locked: the socket is bound to lo, and user 1000 has no CAP_NET_RAW",
	],
	[
		"EINVAL",
		`${TCP6}\n${bind6("::1", 80)}\n${set("SOL_IPV6", "IPV6_V6ONLY", "[1]")}`,
		"do_ipv6_setsockopt: the socket has port 80 already: IPV6_V6ONLY must be set before bind()",
	],
	[
		"ENOPROTOOPT",
		`${TCP}\n${set("SOL_IPV6", "IPV6_V6ONLY", "[1]")}`,
		"ip_setsockopt: an AF_INET socket has no options of SOL_IPV6",
	],
	["EBADF", "dup2(9, 3)", "ksys_dup3: descriptor 9 is not open"],
	[
		"EOPNOTSUPP",
		`${SCTP}\nconnect(3, ${UNSPEC}, 16)`,
		"sctp_inet_connect: SCTP does not dissolve an association by AF_UNSPEC",
	],
	[
		"EINVAL",
		`${SCTP}\n${bind("127.0.0.1", 80)}\n${bind("127.0.0.1", 80)}`,
		"sctp_bind: the socket has port 80 already",
	],
	[
		"EADDRINUSE",
		`${SCTP}\n${bind("127.0.0.1", 80)}\n${SCTP}\n${bind("127.0.0.1", 80, 4)}`,
		"sctp_get_port_local: port 80 conflicts with fd 3 (127.0.0.1:80 CLOSE): not both have SO_REUSEADDR, nor both SO_REUSEPORT",
	],
];

describe("a call that fails", () => {
	it.each(FAILURES)("%s: %s", (error, script, reason) => {
		const { text, explanation } = last(script);
		expect(text).toMatch(new RegExp(` = -1 ${error}$`));
		expect(explanation.at(-1)).toBe(reason);
	});

	it("throws with the same sentences", () => {
		const w = new World();
		const socket = new Socket(w.task);
		expect(() => socket.bind("192.0.2.9", 80)).toThrow(
			expect.objectContaining({
				explanation: [
					"__inet_bind: 192.0.2.9 is not an address of this host, and none of IP_FREEBIND, IP_TRANSPARENT and net.ipv4.ip_nonlocal_bind is set",
				],
			}),
		);
		expect(() => socket.remoteAddress).toThrow(
			expect.objectContaining({
				explanation: ["inet_getname: the socket has no peer, or its port is 0"],
			}),
		);
	});
});

/** Remarks on successes: calls, and a line of the explanation of the last one. */
const REMARKS: readonly [rule: string, script: string, line: string][] = [
	[
		"names the rule of SO_REUSEADDR by which a port is shared",
		`${TCP}\n${REUSEADDR(3)}\n${bind("127.0.0.1", 80)}\n${TCP}\n${REUSEADDR(4)}\n${bind("127.0.0.1", 80, 4)}`,
		"port 80 is shared with fd 3 (127.0.0.1:80 CLOSE, SO_REUSEADDR): both have SO_REUSEADDR, and the other one does not listen",
	],
	[
		"names the rule of SO_REUSEPORT by which a port is shared",
		`${TCP}\n${REUSEPORT(3)}\n${bind("127.0.0.1", 80)}\n${TCP}\n${REUSEPORT(4)}\n${bind("127.0.0.1", 80, 4)}`,
		"port 80 is shared with fd 3 (127.0.0.1:80 CLOSE, SO_REUSEPORT): both have SO_REUSEPORT, of the same user (0)",
	],
	[
		"names the sockets that a chosen UDP port is shared with",
		`${RANGE(40000, 40000)}\n${UDP}\n${REUSEADDR(3)}\n${bind("0.0.0.0", 0)}\n${UDP}\n${REUSEADDR(4)}\n${bind("0.0.0.0", 0, 4)}`,
		"port 40000 is shared with fd 3 (0.0.0.0:40000 CLOSE, SO_REUSEADDR): both have SO_REUSEADDR",
	],
	[
		"says where a port is shared by no rule",
		`${TCP}\n${bind("0.0.0.0", 5000)}\nlisten(3, 1)\n${TCP6}\n${set("SOL_IPV6", "IPV6_V6ONLY", "[1]", 4, 4)}\n${REUSEPORT(4)}\n${bind6("::", 5000, 4)}\nclose(4)\n${TCP6}\n${REUSEPORT(4)}\n${bind6("::", 5000, 4)}`,
		"port 5000 is shared with fd 3 (0.0.0.0:5000 LISTEN): by no rule: the bucket caches a socket like this one, so no owner was checked",
	],
	[
		"says that a socket is connected to itself",
		`${TCP}\n${bind("127.0.0.1", 5000)}\n${connect("127.0.0.1", 5000)}`,
		"127.0.0.1:5000 is both source and destination: the socket is connected to itself, and no accept() returns it",
	],
	[
		"tells which connections have the chosen port as well",
		`${RANGE(40000, 40000)}\n${LISTENER}\n${TCP}\n${bind("127.0.0.1", 8081, 4)}\nlisten(4, 1)\n${TCP}\n${connect("127.0.0.1", 8080, 5)}\n${TCP}\n${connect("127.0.0.1", 8081, 6)}`,
		"port 40000 is shared with 1 other connection: fd 5 (127.0.0.1:40000 -> 127.0.0.1:8080 ESTABLISHED): each has its four-tuple",
	],
	[
		"says that a range outside the namespace's has no effect",
		`${TCP}\n${set("SOL_IP", "IP_LOCAL_PORT_RANGE", "[131270608]")}\n${bind("127.0.0.1", 0)}`,
		"bind searches 32768-60999 (IP_LOCAL_PORT_RANGE 2000-2003 lies outside the namespace's 32768-60999 and has no effect)",
	],
	[
		"tells each bound of a range by itself",
		`${TCP}\n${set("SOL_IP", "IP_LOCAL_PORT_RANGE", `[${65000 * 65536 + 60000}]`)}\n${bind("127.0.0.1", 0)}`,
		"bind searches 60000-60999 (IP_LOCAL_PORT_RANGE 60000-65000: its low bound 60000 is within the namespace's 32768-60999; its high bound 65000 lies outside and has no effect)",
	],
	[
		"tells how much of a busy range is left",
		`${RANGE(40000, 40003)}\n$ sysctl -w net.ipv4.ip_local_reserved_ports="40001"\n${TCP}\n${bind("0.0.0.0", 40000)}\n${TCP}\n${bind("0.0.0.0", 40003, 4)}\n${TCP}\n${bind("0.0.0.0", 0, 5)}`,
		"of the 4 ports 40000-40003 at this moment: 1 free, 2 taken, 1 reserved, 0 in TIME_WAIT",
	],
];

describe("a call that succeeds", () => {
	it.each(REMARKS)("%s", (_rule, script, line) => {
		const { result, explanation } = last(script);
		expect(result).toBe(0);
		expect(explanation).toContain(line);
	});

	it("names users that SO_REUSEPORT keeps apart", () => {
		const script = `${TCP}\n${REUSEADDR(3)}\n${REUSEPORT(3)}\n${bind("0.0.0.0", 3001)}\nlisten(3, 1)\nsetuid(1000)\n${TCP}\n${REUSEADDR(4)}\n${REUSEPORT(4)}\n${bind("0.0.0.0", 3001, 4)}`;
		expect(last(script).explanation.at(-1)).toContain(
			"SO_REUSEPORT needs the same user (1000, 0); SO_REUSEADDR does not share with a listener",
		);
	});
});

describe("TIME_WAIT", () => {
	const CONNECT = `${TCP}\n${connect("198.51.100.1", 443)}\nclose(3)`;
	const SETUP = `$ ip addr add 192.0.2.10/32 dev lo\n$ ip route add default dev lo answer accept\n${RANGE(40000, 40000)}\n${CONNECT}\n$ sleep 5`;
	const AGAIN = `${TCP}\n${connect("198.51.100.1", 443)}`;

	it("names the sysctl that keeps a four-tuple, and how long it stays", () => {
		const lines = last(`${SETUP}\n${AGAIN}`).explanation;
		expect(lines).toContain(
			"  e.g. port 40000: the four-tuple is held by a time-wait socket (192.0.2.10:40000 -> 198.51.100.1:443 TIME_WAIT), which may not be reused yet: tcp_tw_reuse is 2 (over loopback only), and the connection is not over loopback; it ends in 55.0 s",
		);
		expect(lines).toContain(
			"of the 1 port 40000-40000 at this moment: 0 free, 0 taken, 0 reserved, 1 in TIME_WAIT (ends in 55.0 s)",
		);
	});

	it("names tcp_tw_reuse_delay, and when a four-tuple may be reused", () => {
		const delay =
			"$ sysctl -w net.ipv4.tcp_tw_reuse=1\n$ sysctl -w net.ipv4.tcp_tw_reuse_delay=8000";
		const { explanation } = last(`${SETUP}\n${delay}\n${AGAIN}`);
		expect(explanation.join("\n")).toContain(
			"tcp_tw_reuse is 1 (always) and tcp_tw_reuse_delay is 8000 ms, of which 5000 have passed; it may be reused in 3.0 s",
		);
	});

	it("is explained when a connection takes its four-tuple over", () => {
		const reuse = "$ sysctl -w net.ipv4.tcp_tw_reuse=1";
		const lines = last(`${SETUP}\n${reuse}\n${AGAIN}`).explanation;
		expect(lines).toContain(
			"it takes over the four-tuple of a time-wait socket (192.0.2.10:40000 -> 198.51.100.1:443 TIME_WAIT): tcp_tw_reuse is 1 (always), its last segment came 5.0 s ago, more than tcp_tw_reuse_delay (1000 ms)",
		);
	});

	it("gives way to a bound port", () => {
		const bound = `${TCP}\n${bind("192.0.2.10", 40000)}\n${connect("198.51.100.1", 443)}`;
		const setup = SETUP.replace("$ sleep 5", "");
		const script = `${setup.replace(TCP, `${TCP}\n${REUSEADDR(3)}`)}\n${bound.replace(TCP, `${TCP}\n${REUSEADDR(3)}`)}`;
		expect(last(script).explanation).toEqual([
			"connect keeps port 40000: a time-wait socket had its four-tuple and gives way to a bound port (tcp_twsk_unique)",
		]);
	});
});

describe("the ports that a search passed over", () => {
	const client = (fd: number) =>
		`socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP)
${set("SOL_IP", "IP_LOCAL_PORT_RANGE", `[${(40001 << 16) | 40000}]`, 4, fd)}
${connect("198.51.100.1", 80, fd)}`;
	const script = [REMOTE, client(3), client(4), client(5)].join("\n");
	const passedOver = (version: string) =>
		last(script, version).explanation.filter((line) => line.includes("passed over"));

	// since 6.8, 207184853dbd
	it("have no parity if one pass looks at all of them", () => {
		expect(passedOver("6.18.44")).toEqual(["2 ports passed over: 2 four-tuple in use"]);
	});

	it("have the parity of their pass otherwise", () => {
		const one = "passed over: 1 four-tuple in use";
		expect(passedOver("6.6")).toEqual([`1 even port ${one}`, `1 odd port ${one}`]);
	});
});
