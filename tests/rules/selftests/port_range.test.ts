// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * IP_LOCAL_PORT_RANGE over every protocol and family. The first table has the tests of the kernel's
 * ip_local_port_range.c with their names and variants ("stcp" is its name of SCTP). The other
 * tables add cases.
 */
import { describe } from "vitest";
import { EVERY, type Kind, kindsOf, lines, names, rule } from "../../world.js";

/** As ip_local_port_range.sh sets it. */
const NAMESPACE = "sysctl ipv4.ip_local_port_range 40000 49999";

/** Two bounds as the bytes of an int. */
function bytesOf(low: number, high: number, size = 4): string {
	const bytes = Buffer.alloc(size);
	bytes.writeUInt16LE(low, 0);
	bytes.writeUInt16LE(high, 2);
	return bytes.toString("hex");
}

const late = "with IP_BIND_ADDRESS_NO_PORT";

/** The six tests of the selftest, for a protocol that has the option. */
const SELFTEST: Readonly<Record<string, (kind: Kind) => string>> = {
	invalid_option_value: ({ name }) => `
		${name} a
		a setopt IP_LOCAL_PORT_RANGE 409c 2 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE ${bytesOf(40222, 40111)} 4 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE ${bytesOf(40333, 40444, 8)} 8 = EINVAL
		close a
	`,
	port_range_out_of_netns_range: ({ name, lo }) =>
		lines(
			[
				[30000, 39999],
				[50000, 59999],
			],
			([low, high]) => `
				${name} a b
				a range ${low} ${high}
				a bind ${lo}:0
				a port = 40000..49999
				b range ${low} ${high}
				b bind ${lo}:0
				b port = 40000..49999
				close a b
			`,
		),
	single_port_range: ({ name, lo }) =>
		lines(
			[
				[45000, 45000, 45000],
				[0, 40000, 40000],
				[49999, 0, 49999],
			],
			([low, high, port]) => `
				${name} a
				a range ${low} ${high}
				a bind ${lo}:0
				a port = ${port}
				close a
			`,
		),
	exhaust_8_port_range: ({ name, lo }) => `
		${name} ${names("a", 9).join(" ")}
		${lines(names("a", 9), (a, i) => `${a} range 40000 40007\n${a} bind ${lo}:0${i < 8 ? "" : " = EADDRINUSE"}`)}
		ports ${names("a", 8).join(" ")} = 40000-40007
		close all
	`,
	late_bind: ({ name, lo, any, protocol }) => `
		${name} a
		a range 40100 40199
		a set IP_BIND_ADDRESS_NO_PORT 1
		a bind ${lo}:0
		a port = ${protocol === "sctp" ? "40100..40199" : "0"}
		a connect ${any}:0 = ${{ udp: "0", udplite: "0", sctp: "EINVAL" }[protocol as string] ?? "ECONNREFUSED"}
		a port = 40100..40199
		close a
	`,
	get_port_range: ({ name }) => `
		${name} a
		a getopt IP_LOCAL_PORT_RANGE 4 = 00000000
		a range 12345 54321
		a getopt IP_LOCAL_PORT_RANGE 4 = ${bytesOf(12345, 54321)}
		a range 0 0
		a getopt IP_LOCAL_PORT_RANGE 4 = 00000000
		close a
	`,
};

/**
 * The results of MPTCP without mptcp-local-port-range: it does not have the option, and bind() uses
 * the namespace's range.
 */
const REFUSED: typeof SELFTEST = {
	invalid_option_value: ({ name }) => `
		${name} a
		a setopt IP_LOCAL_PORT_RANGE 409c 2 = ENOPROTOOPT
		a setopt IP_LOCAL_PORT_RANGE ${bytesOf(40222, 40111)} 4 = ENOPROTOOPT
		a setopt IP_LOCAL_PORT_RANGE ${bytesOf(40333, 40444, 8)} 8 = ENOPROTOOPT
	`,
	port_range_out_of_netns_range: ({ name, lo }) => `
		${name} a b
		a range 30000 39999 = ENOPROTOOPT
		a bind ${lo}:0
		a port = 40000..49999
		b range 50000 59999 = ENOPROTOOPT
		b bind ${lo}:0
		b port = 40000..49999
	`,
	single_port_range: ({ name, lo }) => `
		${name} a b c
		a range 45000 45000 = ENOPROTOOPT
		b range 0 40000 = ENOPROTOOPT
		c range 49999 0 = ENOPROTOOPT
		a bind ${lo}:0
		a port = 40000..49999
	`,
	exhaust_8_port_range: ({ name, lo }) => `
		sysctl ipv4.ip_local_port_range 40000 40007
		${name} ${names("a", 9).join(" ")}
		${lines(names("a", 9), (a, i) => `${a} range 40000 40007 = ENOPROTOOPT\n${a} bind ${lo}:0${i < 8 ? "" : " = EADDRINUSE"}`)}
		ports ${names("a", 8).join(" ")} = 40000-40007
	`,
	late_bind: ({ name, lo, any }) => `
		${name} a
		a range 40100 40199 = ENOPROTOOPT
		a set IP_BIND_ADDRESS_NO_PORT 1 = EOPNOTSUPP
		a bind ${lo}:0
		a port = 40000..49999
		a connect ${any}:0 = ECONNREFUSED
		a port = 40000..49999
	`,
	get_port_range: ({ name }) => `
		${name} a
		a getopt IP_LOCAL_PORT_RANGE 4 = EOPNOTSUPP
		a range 12345 54321 = ENOPROTOOPT
		a getopt IP_LOCAL_PORT_RANGE 4 = EOPNOTSUPP
	`,
};

/** Kernels in which MPTCP has the option, and kernels in which it does not. */
const WITH = ["6.3+mptcp-local-port-range", "6.12.107", "6.18.44"];
const WITHOUT = ["6.3", "6.1.176"];
/** Kernels without connect-range-step-1. */
const EARLY = ["6.3", "6.3+mptcp-local-port-range", "6.1.176"];
const versionsOf = ({ protocol }: Kind) => (protocol === "mptcp" ? WITH : EVERY);

const variantOf = ({ variant }: Kind) => variant.replace("sctp", "stcp");

describe.each(kindsOf("tcp", "udp", "mptcp", "sctp", "udplite", "dccp"))(
	"ip_local_port_range.$variant",
	(kind) => {
		for (const [test, program] of Object.entries(SELFTEST)) {
			const name = `ip_local_port_range.${variantOf(kind)}.${test}`;
			if (kind.protocol === "mptcp") {
				rule(name, `${NAMESPACE}\n${REFUSED[test](kind)}`, WITHOUT);
				rule(`${name}, since mptcp-local-port-range`, `${NAMESPACE}\n${program(kind)}`, WITH);
			} else {
				rule(name, `${NAMESPACE}\n${program(kind)}`);
			}
		}
	},
);

const KINDS = kindsOf("tcp", "udp", "mptcp", "sctp", "udplite", "dccp");

/** The ports of the namespace's range 40000 to 40007 that are left by two bounds. */
const BOUNDS: readonly (readonly [low: number, high: number, left: string])[] = [
	[0, 0, "40000-40007"],
	[30000, 39999, "40000-40007"],
	[40008, 65535, "40000-40007"],
	[1, 65535, "40000-40007"],
	[39999, 40008, "40000-40007"],
	[40000, 40007, "40000-40007"],
	[39999, 40001, "40000-40001"],
	[39999, 40000, "40000"],
	[40006, 40008, "40006-40007"],
	[40007, 40008, "40007"],
	[40001, 40004, "40001-40004"],
	[40000, 40000, "40000"],
	[40003, 40003, "40003"],
	[40007, 40007, "40007"],
	[0, 39999, "40000-40007"],
	[0, 40000, "40000"],
	[0, 40003, "40000-40003"],
	[0, 40007, "40000-40007"],
	[0, 40008, "40000-40007"],
	[39999, 0, "40000-40007"],
	[40000, 0, "40000-40007"],
	[40004, 0, "40004-40007"],
	[40007, 0, "40007"],
	[40008, 0, "40000-40007"],
];

describe.each(KINDS)("IP_LOCAL_PORT_RANGE of a $name socket", (kind) => {
	const { name, family, lo, lo2, any, protocol } = kind;
	const versions = versionsOf(kind);
	const dgram = protocol === "udp" || protocol === "udplite";
	// A refused association keeps its port.
	const unanswered = family === 4 ? "198.51.100.1:9" : "[::ffff:198.51.100.1]:9";
	const nobody = protocol === "sctp" ? `${lo}:9` : unanswered;
	rule(
		`${name}: accepts exactly four bytes`,
		`
		${name} a
		a range 40001 40003
		${lines([0, 1, 2, 3, 5, 6, 7, 8], (size) => `a setopt IP_LOCAL_PORT_RANGE ${"00".repeat(size) || "-"} ${size} = EINVAL`)}
		a setopt IP_LOCAL_PORT_RANGE 00000000 -1 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE NULL 4 = EFAULT
		a setopt IP_LOCAL_PORT_RANGE NULL 3 = EFAULT
		a getopt IP_LOCAL_PORT_RANGE 4 = ${bytesOf(40001, 40003)}
		`,
		versions,
	);
	rule(
		`${name}: reads back up to the length of the buffer`,
		`
		${name} a
		a getopt IP_LOCAL_PORT_RANGE 4 = 00000000
		a range 40001 40003
		a getopt IP_LOCAL_PORT_RANGE 0 = nothing
		a getopt IP_LOCAL_PORT_RANGE 1 = 41
		a getopt IP_LOCAL_PORT_RANGE 2 = 419c
		a getopt IP_LOCAL_PORT_RANGE 3 = 419c43
		a getopt IP_LOCAL_PORT_RANGE 4 = 419c439c
		a getopt IP_LOCAL_PORT_RANGE 8 = 419c439c
		a getopt IP_LOCAL_PORT_RANGE -1 = EINVAL
		# An int of 0 to 255 fits a byte, and is written as one where there is no room for four.
		a range 200 0
		a getopt IP_LOCAL_PORT_RANGE 3 = c8
		a range 256 0
		a getopt IP_LOCAL_PORT_RANGE 3 = 000100
		a range 0 0
		a getopt IP_LOCAL_PORT_RANGE 3 = 00
		a getopt IP_LOCAL_PORT_RANGE 4 = 00000000
		`,
		versions,
	);
	rule(
		`${name}: accepts two ports in order, and 0 for a bound that is not set`,
		`
		${name} a
		${lines(
			[
				[0, 0],
				[1, 0],
				[0, 1],
				[1, 1],
				[1, 65535],
				[0, 65535],
				[65535, 0],
				[65535, 65535],
				[40000, 40001],
			],
			([low, high]) =>
				`a range ${low} ${high}\na getopt IP_LOCAL_PORT_RANGE 4 = ${bytesOf(low, high)}`,
		)}
		${lines(
			[
				[2, 1],
				[65535, 1],
				[65535, 65534],
				[40001, 40000],
			],
			([low, high]) =>
				`a range ${low} ${high} = EINVAL\na getopt IP_LOCAL_PORT_RANGE 4 = ${bytesOf(40000, 40001)}`,
		)}
		`,
		versions,
	);
	rule(
		`${name}: can be changed while the socket has a port, and the port stays`,
		`
		${NAMESPACE}
		${name} a b
		a bind ${lo}:0
		a range 40001 40002
		a getopt IP_LOCAL_PORT_RANGE 4 = ${bytesOf(40001, 40002)}
		b bind ${lo}:40001
		b range 1 2
		b port = 40001
		`,
		versions,
	);

	/** Takes every port of the bounds. One more fails. */
	const takes = (low: number, high: number, left: string, call: string, answers: string[]) => {
		const [first, last = first] = left.split("-").map(Number);
		const sockets = names("a", last - first + 2);
		return `
			${name} ${sockets.join(" ")}
			${lines(sockets, (a) => `${a} range ${low} ${high}`)}
			${lines(sockets, (a, i) => `${a} ${call} = ${answers[i + first > last ? 1 : 0]}`)}
			ports ${sockets.slice(0, -1).join(" ")} = ${left}
			close all
		`;
	};
	const bind = [`bind ${lo}:0`, ["0", "EADDRINUSE"]] as const;
	const none = dgram || protocol === "sctp" ? "EAGAIN" : "EADDRNOTAVAIL";
	const connect = [`start ${nobody}`, [dgram ? "0" : "EINPROGRESS", none]] as const;
	for (const [call, [text, answers]] of [
		["bind", bind],
		["connect", connect],
	] as const) {
		rule(
			`${name}: limits ${call}() by each bound that lies in the namespace's range`,
			`
			sysctl ipv4.ip_local_port_range 40000 40007
			${lines(BOUNDS, ([low, high, left]) => takes(low, high, left, text, [...answers]))}
			`,
			versions,
		);
		// TCP checks an even number of ports. Its connect() does so until connect-range-step-1.
		const even = !dgram && protocol !== "sctp";
		const late = (version: string) => !EARLY.includes(version);
		const three = (left: string) => `
			sysctl ipv4.ip_local_port_range 40000 40007
			${takes(40001, 40003, left, text, [...answers])}
		`;
		if (even && call === "connect") {
			rule(
				`${name}: lets connect() check two of three ports, before connect-range-step-1`,
				three("40001-40002"),
				versions.filter((version) => !late(version)),
			);
			rule(
				`${name}: lets connect() check all of three ports, since connect-range-step-1`,
				three("40001-40003"),
				versions.filter(late),
			);
		} else {
			rule(
				`${name}: lets ${call}() check ${even ? "two" : "all"} of three ports`,
				three(even ? "40001-40002" : "40001-40003"),
				versions,
			);
		}
	}
	rule(
		`${name}: does not affect a port that bind() names`,
		`
		${NAMESPACE}
		${name} a b
		a range 40001 40002
		a bind ${lo}:30000
		a port = 30000
		b range 40001 40002
		b bind ${lo}:45000
		b port = 45000
		`,
		versions,
	);
	rule(
		`${name}: does not include reserved ports`,
		`
		${NAMESPACE}
		sysctl ipv4.ip_local_reserved_ports 40002-40004
		${name} ${names("a", 6).join(" ")}
		${lines(names("a", 6), (a) => `${a} range 40000 40007`)}
		${lines(names("a", 5), (a) => `${a} bind ${lo}:0`)}
		a5 bind ${lo}:0 = EADDRINUSE
		ports ${names("a", 5).join(" ")} = 40000-40001,40005-40007
		`,
		versions,
	);

	const eight = names("a", 8);
	const taken = `
		${NAMESPACE}
		${name} ${eight.join(" ")}
		${lines(eight, (a) => `${a} range 40000 40007\n${a} bind ${lo}:0`)}
	`;
	rule(
		`${name}: gives the port of a socket that closes after all ports were used up`,
		`
		${taken}
		${name} b c
		b range 40000 40007
		c range 40000 40007
		b bind ${lo}:0 = EADDRINUSE
		a3 port = $p
		close a3
		b bind ${lo}:0
		b port = $p
		c bind ${lo}:0 = EADDRINUSE
		`,
		versions,
	);
	rule(
		`${name}: is ${protocol === "sctp" ? "used up on all addresses" : "free on another address"} if it is used up on one`,
		`
		${taken}
		${name} b c d
		b range 40000 40007
		c range 40000 40007
		b bind ${lo2}:0 = ${protocol === "sctp" ? "EADDRINUSE" : "0"}
		c bind ${any}:0 = EADDRINUSE
		# The namespace has more ports.
		d bind ${lo}:0
		d port = 40008..49999
		`,
		versions,
	);
	rule(
		`${name}: gives each call its own error if it is used up`,
		dgram
			? `
			${taken}
			${name} b c d e
			${lines(["b", "c", "d", "e"], (b) => `${b} range 40000 40007`)}
			b bind ${any}:0 = EADDRINUSE
			c connect ${lo}:9 = EAGAIN
			d send ${lo}:9 = EAGAIN
			e send = EAGAIN
			b name = ${any}:0
			c name = ${any}:0
			`
			: protocol === "sctp"
				? `
			${taken}
			${name} b c d
			${lines(["b", "c", "d"], (b) => `${b} range 40000 40007`)}
			b bind ${any}:0 = EADDRINUSE
			c connect ${lo}:9 = EAGAIN
			d listen 1 = EAGAIN
			b name = ${any}:0
			c name = ${any}:0
			`
				: `
			${taken}
			${name} b c d
			${lines(["b", "c", "d"], (b) => `${b} range 40000 40007`)}
			b bind ${any}:0 = EADDRINUSE
			c connect ${lo}:9 = EADDRNOTAVAIL
			d listen 1 = EADDRINUSE
			b name = ${any}:0
			c name = ${any}:0
			`,
		versions,
	);
	rule(
		`${name}: is used by every call that chooses a port`,
		`
		${NAMESPACE}
		${name} a b c d with SO_REUSEADDR
		a range 40000 40000
		a bind ${lo}:0
		a name = ${lo}:40000
		b range 40001 40001
		${dgram ? `b send ${lo}:9 = 1` : "b listen 1"}
		b port = 40001
		c range 40002 40002
		c connect ${lo}:9 = ${dgram ? "0" : "ECONNREFUSED"}
		c port = 40002
		`,
		versions,
	);
});

describe.each(kindsOf("tcp", "udp", "udplite", "dccp", "sctp", "mptcp"))(
	"IP_BIND_ADDRESS_NO_PORT of a $name socket",
	(kind) => {
		const { name, lo, lo2, protocol } = kind;
		const versions = versionsOf(kind);
		const dgram = protocol === "udp" || protocol === "udplite";
		if (protocol === "sctp") {
			rule(
				`${name}: can be set, and has no effect on bind()`,
				`
				sysctl ipv4.ip_local_port_range 40000 40003
				${name} a
				a getopt IP_BIND_ADDRESS_NO_PORT 4 = 00000000
				a set IP_BIND_ADDRESS_NO_PORT 1
				a getopt IP_BIND_ADDRESS_NO_PORT 4 = 01000000
				a bind ${lo}:0
				a port = 40000..40003
				`,
			);
			return;
		}
		if (protocol === "mptcp") {
			rule(
				`${name}: cannot be set, and bind() chooses a port`,
				`
				sysctl ipv4.ip_local_port_range 40000 40003
				${name} a
				a set IP_BIND_ADDRESS_NO_PORT 1 = EOPNOTSUPP
				a getopt IP_BIND_ADDRESS_NO_PORT 4 = EOPNOTSUPP
				a bind ${lo}:0
				a port = 40000..40003
				`,
				WITHOUT,
			);
		}
		rule(
			`${name}: leaves the port to connect(), and bind() may change the address before`,
			`
			${NAMESPACE}
			${name} a ${late}
			a getopt IP_BIND_ADDRESS_NO_PORT 4 = 01000000
			a range 40100 40100
			a bind ${lo2}:0
			a name = ${lo2}:0
			a bind ${lo}:0
			a name = ${lo}:0
			a connect ${lo}:9 = ${dgram ? "0" : "ECONNREFUSED"}
			a name = ${lo}:40100
			`,
			versions,
		);
		rule(
			`${name}: has no effect if bind() names a port`,
			`
			${NAMESPACE}
			${name} a ${late}
			a range 40100 40100
			a bind ${lo}:30000
			a name = ${lo}:30000
			a bind ${lo}:30001 = EINVAL
			`,
			versions,
		);
		rule(
			`${name}: leaves the port to ${dgram ? "the first datagram" : "listen()"}`,
			`
			${NAMESPACE}
			${name} a b ${late}
			a range 40100 40100
			a bind ${lo}:0
			b range 40100 40100
			b bind ${lo}:0
			${dgram ? `a send ${lo}:9 = 1` : "a listen 1"}
			a name = ${lo}:40100
			${dgram ? `b send ${lo}:9 = EAGAIN` : "b listen 1 = EADDRINUSE"}
			b name = ${lo}:0
			`,
			versions,
		);
		// DCCP needs no answer.
		const dccp = protocol === "dccp";
		const from = name === "dccp6" ? "[::ffff:127.0.0.1]" : lo;
		const to = { dccp: "198.51.100.1:9", dccp6: "[::ffff:198.51.100.1]:9" }[name] ?? `${lo}:9`;
		const connects = (a: string) => `${a} ${dccp ? "start" : "connect"} ${to}`;
		rule(
			`${name}: lets more sockets bind than there are ports, and connect() fails when no port is left`,
			`
			${NAMESPACE}
			${dccp ? "" : `${name} s\ns bind ${lo}:9`}
			${dgram || dccp ? "" : "s listen 16"}
			${name} ${names("a", 9).join(" ")} ${late}
			${lines(names("a", 9), (a) => `${a} range 40000 40007\n${a} bind ${from}:0\n${a} port = 0`)}
			${lines(names("a", 8), (a) => `${connects(a)}${dccp ? " = EINPROGRESS" : ""}`)}
			${connects("a8")} = ${dgram ? "EAGAIN" : "EADDRNOTAVAIL"}
			ports ${names("a", 8).join(" ")} = 40000-40007
			a8 name = ${from}:0
			close a2
			# TCP's port is in TIME_WAIT then, DCCP's free.
			${connects("a8")} = ${dgram ? "0" : dccp ? "EINPROGRESS" : "EADDRNOTAVAIL"}
			`,
			versions,
		);
	},
);

describe("a range that one protocol has used up", () => {
	for (const family of ["", "6"]) {
		const lo = family === "" ? "127.0.0.1" : "[::1]";
		const take = (kind: string, prefix: string, count: number, fails = false) => `
			${kind}${family} ${names(prefix, count).join(" ")}
			${lines(names(prefix, count), (a, i) => `${a} bind ${lo}:0${fails && i === count - 1 ? " = EADDRINUSE" : ""}`)}
		`;
		rule(
			`is free for other protocols, except between TCP and MPTCP${family && ", over IPv6"}`,
			`
			sysctl ipv4.ip_local_port_range 40000 40003
			${take("tcp", "t", 2)}
			${take("mptcp", "m", 3, true)}
			ports t0 t1 m0 m1 = 40000-40003
			${take("udp", "u", 5, true)}
			${take("udplite", "l", 5, true)}
			${take("sctp", "s", 5, true)}
			${take("dccp", "d", 5, true)}
			ports u0 u1 u2 u3 = 40000-40003
			ports l0 l1 l2 l3 = 40000-40003
			ports s0 s1 s2 s3 = 40000-40003
			ports d0 d1 d2 d3 = 40000-40003
			`,
		);
	}
	for (const protocol of ["tcp", "udp", "udplite", "dccp", "mptcp"]) {
		rule(
			`over one family is free for the other family, but not for wildcards: ${protocol}`,
			`
			sysctl ipv4.ip_local_port_range 40000 40003
			${protocol} a0 a1 a2 a3 a4
			${protocol}6 b0 b1 b2 b3 b4 c d e with IPV6_V6ONLY
			${protocol}6 f g
			${lines(names("a", 4), (a) => `${a} bind 127.0.0.1:0`)}
			${lines(names("b", 4), (b) => `${b} bind [::1]:0`)}
			a4 bind 0.0.0.0:0 = EADDRINUSE
			b4 bind [::]:0 = EADDRINUSE
			f bind [::ffff:127.0.0.1]:0 = EADDRINUSE
			close ${names("b", 4).join(" ")}
			g bind [::]:0 = EADDRINUSE
			c bind [::]:0
			`,
		);
	}
});
