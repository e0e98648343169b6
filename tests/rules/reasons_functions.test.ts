// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The kernel function that a failed call names, and the check that came first. The functions were
 * seen on kernels 6.1, 6.18 and 7.3: a probe at their return showed the error.
 */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/index.js";
import { in4, in6 } from "../text.js";

const TCP = "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP)";
const TCP6 = "socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP)";
const UDP = "socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)";
const UDP6 = "socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP)";
const SCTP = "socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)";
const SCTP6 = "socket(AF_INET6, SOCK_STREAM, IPPROTO_SCTP)";
const MPTCP = "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP)";
const MPTCP6 = "socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP)";
const DUMMY = "$ ip link add d0 type dummy\n$ ip link set d0 up\n$ ip addr add 192.0.2.1/24 dev d0";
const TO_D0 = 'setsockopt(3, SOL_SOCKET, SO_BINDTODEVICE, "d0\\0", 3)';

/** The last line that explains the last call. */
function reason(lines: string, version = "6.18"): string {
	const played = playScript(readScript(`${lines}\n`, "t"), { version, explain: true });
	return played.at(-1)?.explanation.at(-1) ?? "";
}

describe("the explanation of a bind() that fails", () => {
	const short4 = `${TCP}\nbind(3, ${in4(80)}, 8)`;
	const short6 = `${TCP6}\nbind(3, ${in4(80)}, 16)`;
	it.each([
		["6.1.176", short4, "inet_bind: an address of 8 bytes is too short: struct sockaddr_in has 16"],
		["6.6", short4, "inet_bind_sk: an address of 8 bytes is too short: struct sockaddr_in has 16"],
		["6.3", short6, /^inet6_bind: an address of 16 bytes is too short: struct sockaddr_in6 has/],
		["6.18", short6, /^inet6_bind_sk: an address of 16 bytes is too short/],
		["6.18", `${TCP}\nbind(3, NULL, 0)`, /^inet_bind_sk: an address of 0 bytes/],
		["6.18", `${TCP}\nbind(3, NULL, 1)`, /^move_addr_to_kernel: the address is at NULL/],
		["6.18", `${TCP}\nbind(3, NULL, 129)`, /^move_addr_to_kernel: .* not one of 0 to 128/],
		["6.18", `${TCP}\nconnect(3, NULL, 0)`, /^__inet_stream_connect: an address of 0 bytes/],
	])("names the function of kernel %s: %s", (version, lines, expected) => {
		expect(reason(lines, version)).toMatch(expected);
	});

	it("does not name the scope of an AF_INET6 address that needs none", () => {
		const gone = "$ ip link del d0";
		const bind = `bind(3, ${in6(80, "2001:db8::1", 7)}, 28)`;
		expect(reason(`${DUMMY}\n${TCP6}\n${TO_D0}\n${gone}\n${bind}`)).toBe(
			"__inet6_bind: there is no device 2",
		);
	});

	it("names the device only if the device's own addresses count", () => {
		const bind4 = `bind(3, ${in4(80, "192.0.2.9")}, 16)`;
		const bind6 = (address: string) => `bind(3, ${in6(80, address)}, 28)`;
		expect(reason(`${DUMMY}\n${TCP}\n${TO_D0}\n${bind4}`)).toMatch(/of this host, and none of IP_/);
		expect(reason(`${DUMMY}\n${TCP6}\n${TO_D0}\n${bind6("2001:db8::9")}`)).toMatch(/of this host,/);
		expect(reason(`${DUMMY}\n${TCP6}\n${TO_D0}\n${bind6("::1")}`)).toMatch(/of device d0,/);
		const vrf =
			"$ ip link add v0 type vrf table 10\n$ ip link set v0 up\n$ ip link set d0 master v0";
		expect(reason(`${DUMMY}\n${vrf}\n${TCP}\n${TO_D0}\n${bind4}`)).toMatch(/of VRF v0,/);
	});
});

describe("the explanation of a call on an SCTP socket that fails", () => {
	it.each([
		[`${SCTP}\nbind(3, ${in6(0)}, 28)`, /^sctp_sockaddr_af: an AF_INET socket does not take/],
		[`${SCTP6}\nbind(3, ${in6(0)}, 24)`, /^sctp_sockaddr_af: .*struct sockaddr_in6 has 28$/],
		[`${SCTP6}\nbind(3, ${in6(0, "ff05::1")}, 28)`, /^sctp_v6_available: .*not a unicast address$/],
		[`${SCTP6}\nbind(3, ${in6(0, "fe80::1")}, 28)`, /^sctp_inet6_bind_verify: .*set the scope$/],
		[
			`${SCTP}\nbind(3, ${in4(0, "192.0.2.9")}, 16)`,
			/^sctp_v4_available: .*neither IP_FREEBIND nor/,
		],
		[`${SCTP}\nconnect(3, ${in4(9)}, 8)`, /^sctp_connect: .*struct sockaddr_in has 16$/],
		[`${SCTP}\nconnect(3, ${in6(9)}, 28)`, /^sctp_sockaddr_af: an AF_INET socket does not/],
		[`${SCTP}\nconnect(3, ${in4(9, "224.0.0.1")}, 16)`, /^sctp_v4_addr_valid: 224.0.0.1 is not/],
		[`${SCTP6}\nsendto(3, "x", 1, 0, ${in6(9, "fe80::1")}, 28)`, /^sctp_inet6_send_verify: /],
		[`${SCTP6}\nsendto(3, "x", 1, 0, ${in6(9, "ff02::1")}, 28)`, /^sctp_v6_addr_valid: /],
		[
			`$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"\n${SCTP}\nbind(3, ${in4(40000)}, 16)\n${SCTP}\nlisten(4, 1)`,
			/^sctp_listen_start: the socket has no port/,
		],
	])("names the function: %s", (lines, expected) => {
		expect(reason(lines)).toMatch(expected);
	});
});

describe("the explanation of a send that fails", () => {
	const mapped = "::ffff:127.0.0.1";
	it.each([
		["udp_sendmsg", `${UDP6}\nsendto(3, "x", 1, 0, ${in4(0)}, 16)`],
		["udp_sendmsg", `${UDP6}\nsendto(3, "x", 1, 0, ${in6(0, mapped)}, 28)`],
		["udpv6_sendmsg", `${UDP6}\nsendto(3, "x", 1, 0, ${in6(0)}, 28)`],
		["udp_sendmsg", `${UDP6}\nconnect(3, ${in6(0, mapped)}, 28)\nsendto(3, "x", 1, 0, NULL, 0)`],
	])("names %s for port 0: %s", (where, lines) => {
		expect(reason(lines)).toBe(`${where}: the destination's port is 0`);
	});

	it("names move_addr_to_kernel if the length of the address is out of range", () => {
		const send = `sendto(3, "x", 1, 0, ${in4(9)}, -1)`;
		for (const kind of [UDP, UDP6, SCTP]) {
			expect(reason(`${kind}\n${send}`)).toBe(
				"move_addr_to_kernel: the length of the address is -1, not one of 0 to 128",
			);
		}
	});

	it("names inet_autobind if no port is left", () => {
		const range = '$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"';
		const taken = `${UDP}\nbind(3, ${in4(40000)}, 16)\n${UDP}`;
		expect(reason(`${range}\n${taken}\nsendto(4, "x", 1, 0, ${in4(9)}, 16)`)).toMatch(
			/^inet_autobind: /,
		);
	});

	it("names the version's function that stores the ICMP error", () => {
		const send = 'send(3, "x", 1, 0)';
		const lines = `${UDP}\nconnect(3, ${in4(53)}, 16)\n${send}\n${send}`;
		expect(reason(lines, "6.18")).toMatch(/^__udp4_lib_err: /);
		expect(reason(lines, "7.1")).toMatch(/^udp_err: /);
	});
});

describe("the explanation of a connect() that fails", () => {
	it("names tcp_v4_connect for a multicast address that the socket's device reaches", () => {
		const connect = `connect(3, ${in4(9, "224.0.0.1")}, 16)`;
		const expected = "tcp_v4_connect: 224.0.0.1 is a multicast or broadcast address";
		expect(reason(`${DUMMY}\n${TCP}\n${TO_D0}\n${connect}`)).toBe(expected);
		expect(reason(`${TCP}\nbind(3, ${in4(0)}, 16)\n${connect}`)).toBe(expected);
		expect(reason(`${TCP}\n${connect}`)).toBe("fib_lookup: no route leads to 224.0.0.1");
	});
});

describe("the explanation of an option call that fails", () => {
	const set = (level: string, option: string, value = "[1]", length = 4) =>
		`setsockopt(3, ${level}, ${option}, ${value}, ${length})`;
	const get = (level: string, option: string, length = 4) =>
		`getsockopt(3, ${level}, ${option}, NULL, [${length}])`;
	it.each([
		[`${TCP}\n${set("SOL_IPV6", "IPV6_V6ONLY")}`, /^ip_setsockopt: .*no options of SOL_IPV6$/],
		[`${TCP6}\n${set("SOL_SCTP", "SCTP_REUSE_PORT")}`, /^ipv6_setsockopt: .*of SOL_SCTP$/],
		[`${UDP}\n${set("SOL_TCP", "TCP_NODELAY")}`, /^ip_setsockopt: .*no options of SOL_TCP$/],
		[`${MPTCP}\n${set("SOL_IP", "119")}`, /^mptcp_setsockopt: MPTCP does not take option 119/],
		[`${MPTCP}\n${set("SOL_IPV6", "IPV6_V6ONLY")}`, /^ip_setsockopt: /],
		[`${MPTCP6}\n${set("SOL_IPV6", "IPV6_ADDRFORM")}`, /^mptcp_setsockopt: /],
		[`${MPTCP}\n${set("SOL_SOCKET", "SO_REUSEADDR", "[1]", 3)}`, /^sk_setsockopt: a value of 3/],
		[
			`${MPTCP}\nbind(3, ${in4(0)}, 16)\nlisten(3, 1)\n${set("SOL_SOCKET", "SO_REUSEADDR", "[1]", 3)}`,
			/^sk_setsockopt: a value of 3 bytes/,
		],
		[`${MPTCP}\n${set("SOL_SOCKET", "SO_LINGER")}`, /^mptcp_setsockopt_sol_socket_linger: /],
		[`${SCTP}\n${set("SOL_SCTP", "SCTP_SOCKOPT_BINDX_ADD")}`, /^sctp_setsockopt_bindx: /],
		[`${TCP}\n${get("SOL_IPV6", "IPV6_V6ONLY")}`, /^do_ip_getsockopt: .*of SOL_IPV6$/],
		[`${UDP6}\n${get("SOL_TCP", "TCP_NODELAY")}`, /^ipv6_getsockopt: .*of SOL_TCP$/],
		[`${TCP}\n${get("SOL_TCP", "TCP_NODELAY", -1)}`, /^do_tcp_getsockopt: .*is -1$/],
		[`${MPTCP}\n${get("SOL_IP", "IP_LOCAL_PORT_RANGE", -1)}`, /^mptcp_put_int_option: /],
		[`${SCTP}\n${get("SOL_SCTP", "SCTP_REUSE_PORT", 0)}`, /^sctp_getsockopt: /],
	])("names the function: %s", (lines, expected) => {
		expect(reason(lines)).toMatch(expected);
	});
});

describe("the explanation of a write to a sysctl that fails", () => {
	it("names the handler that refuses the value", () => {
		const open = 'openat(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY)';
		expect(reason(`${open}\nwrite(3, "40007 40000\\n", 12)`)).toBe(
			"proc_sys_call_handler: the sysctl does not take this value",
		);
	});
});

describe("options of UDP's level", () => {
	const option = "setsockopt(3, SOL_UDP, UDP_CORK, [1], 4)";
	it.each(["IPPROTO_UDP", "IPPROTO_UDPLITE"])("are options of %s sockets too", (protocol) => {
		for (const family of ["AF_INET", "AF_INET6"]) {
			const lines = `socket(${family}, SOCK_DGRAM, ${protocol})\n${option} = 0\ngetsockopt(3, SOL_UDP, UDP_CORK, [1], [4]) = 0\n`;
			const played = playScript(readScript(lines, "t"), { version: "6.18" });
			expect(played.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
		}
	});
});

describe("the explanation of a DCCP bind()", () => {
	it("shows the bucket in DCCP's own table", () => {
		const lines = `socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP)\nsetsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4)\nbind(3, ${in4(4000, "127.0.0.1")}, 16)`;
		expect(reason(lines, "6.3")).toBe(
			"its bucket: fastreuse 0, fastreuseport 0 -> fastreuse 1, fastreuseport 0",
		);
	});
});

describe("the reason of an error names", () => {
	const listener = `${SCTP}\nbind(3, ${in4(47000, "127.0.0.1")}, 16)\nlisten(3, 1)`;
	const other = '{sa_family=AF_UNIX, sun_path="/x"}';
	it.each([
		["a length of one byte", `${TCP}\nconnect(3, ${in4(9, "127.0.0.1")}, 1)`, /of 1 byte is too/],
		["another family", `${TCP}\nbind(3, ${other}, 110)`, /not take an address of another family$/],
		["a listener", `${listener}\nconnect(3, ${in4(9, "127.0.0.1")}, 16)`, /: the socket listens$/],
		[
			"the port of the peer that SCTP is not connected to",
			`${listener}\n${SCTP}\nconnect(4, ${in4(47000, "127.0.0.1")}, 16)\nsendto(4, "x", 1, 0, ${in4(9, "127.0.0.1")}, 16)`,
			/: the socket is connected, and not to 127\.0\.0\.1:9$/,
		],
		[
			"the connect() that keeps a socket from listening",
			`$ ip route add default dev lo\n${TCP}\nconnect(3, ${in4(80, "198.51.100.1")}, 16)\nlisten(3, 1)`,
			/^inet_listen: a connect\(\) to 198\.51\.100\.1:80 is under way$/,
		],
		[
			"IPV6_V6ONLY for a datagram socket that connects to an AF_INET address",
			`${UDP6}\nsetsockopt(3, SOL_IPV6, IPV6_V6ONLY, [1], 4)\nconnect(3, ${in4(9, "127.0.0.1")}, 16)`,
			/: the socket is IPV6_V6ONLY, and the address is one of IPv4$/,
		],
	])("%s", (_, lines, expected) => {
		expect(reason(lines)).toMatch(expected);
	});
});
