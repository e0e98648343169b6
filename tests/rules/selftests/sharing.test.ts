// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One port for several sockets of TCP: between connect() and bind(), between addresses, and
 * between a connection and a listener. After the kernel's tcp_port_share.c, bind_bhash.c and
 * sk_bind_sendto_listen.c.
 */
import { describe } from "vitest";
import { EVERY, kindsOf, lines, names, rule } from "../../world.js";

/** Addresses that a test connects to, connects from, and blocks the port with. */
const ADDRESSES = {
	ipv4: ["127.0.0.1", "127.1.1.1", "127.2.2.2", "127.3.3.3"],
	ipv6: ["[::1]", "[2001:db8::1]", "[2001:db8::2]", "[2001:db8::3]"],
	mapped: ["[::ffff:127.0.0.1]", "[::ffff:127.1.1.1]", "[::ffff:127.2.2.2]", "[::ffff:127.3.3.3]"],
} as const;

/** Kernels in which MPTCP has IP_BIND_ADDRESS_NO_PORT. */
const WITH = ["6.3+mptcp-local-port-range", "6.12.107", "6.18.44"];

// DCCP connects to ports 30000 and 30001 of a host that does not answer.
const VARIANTS = (["tcp", "mptcp", "dccp"] as const).flatMap((protocol) =>
	(["ipv4", "ipv6", "mapped"] as const)
		.filter((variant) => protocol !== "dccp" || variant !== "ipv6")
		.map((variant) => {
			const [lo, ...others] = ADDRESSES[variant];
			const dccp = protocol === "dccp";
			const to = dccp ? lo.replace("127.0.0.1", "198.51.100.1") : lo;
			return {
				title: protocol === "tcp" ? variant : `${variant}, ${protocol}`,
				kind: protocol + (variant === "ipv4" ? "" : "6"),
				to,
				/** A listener there. */
				listens: (socket: string, port: number) =>
					dccp
						? ""
						: `${socket} set SO_REUSEADDR 1\n${socket} bind ${to}:${port}\n${socket} listen 4`,
				connects: (socket: string, port: number) =>
					`${socket} ${dccp ? "start" : "connect"} ${to}:${port} = ${dccp ? "EINPROGRESS" : "0"}`,
				versions: protocol === "mptcp" ? WITH : EVERY,
				addresses: others,
			};
		}),
);

const late = "with IP_BIND_ADDRESS_NO_PORT";
const NAMESPACE = `
	ip -6 addr add 2001:db8::1/128 dev lo nodad
	ip -6 addr add 2001:db8::2/128 dev lo nodad
	ip -6 addr add 2001:db8::3/128 dev lo nodad
	sysctl ipv4.ip_local_port_range 40000 40000
`;

describe.each(VARIANTS)("tcp_port_share.$title", (variant) => {
	const { title, kind, to, listens, connects, versions, addresses } = variant;
	const [src1, src2, block] = addresses;
	const fails = (socket: string, port: number) =>
		connects(socket, port).replace(/= .*/, "= EADDRNOTAVAIL");
	const connected = `
		${NAMESPACE}
		${kind} s
		${listens("s", 30000)}
		${kind} a b ${late}
		a bind ${src1}:0
		${connects("a", 30000)}
		a name = ${src1}:40000
		b bind ${src2}:0
	`;
	rule(
		`tcp_port_share.${title}: connections from two addresses share a port`,
		`
		${connected}
		${connects("b", 30000)}
		b name = ${src2}:40000
		`,
		versions,
	);
	rule(
		// The effect of a bound socket on the bucket stays until the last owner is gone.
		`tcp_port_share.${title}.can_reuse_port_after_bind_and_close: connect() can since fastreuse-recomputed`,
		`
		${connected}
		${kind} p with SO_REUSEADDR
		p bind ${block}:40000
		${fails("b", 30000)}
		close p
		${fails("b", 30000)} | 6.18.44: 0
		b name = ${src2}:0 | 6.18.44: ${src2}:40000
		`,
		versions,
	);
	rule(
		`tcp_port_share.${title}.port_block_after_disconnect: connect() cannot share the port of bind()`,
		`
		${connected}
		a dissolve
		# a has no port. getsockname() shows the inet_sport that connect() left.
		a name = ${src1}:40000
		a set SO_REUSEADDR 1
		a bind ${block}:40000
		${kind} p with SO_REUSEADDR
		p bind ${block}:40000
		close p
		${fails("b", 30000)}
		b name = ${src2}:0
		`,
		versions,
	);
	rule(
		`tcp_port_share.${title}: a bound socket without SO_REUSEADDR blocks the port until it closes`,
		`
		${NAMESPACE}
		${kind} s
		${listens("s", 30000)}
		${kind} p
		p bind ${block}:40000
		${kind} b ${late}
		b bind ${src2}:0
		${fails("b", 30000)}
		close p
		${connects("b", 30000)}
		b name = ${src2}:40000
		`,
		versions,
	);
	rule(
		`tcp_port_share.${title}: bind() to another address may name a port that connect() chose`,
		`
		${connected}
		${kind} p q r
		p bind ${block}:40000
		q bind ${src1}:40000 = EADDRINUSE
		r set SO_REUSEADDR 1
		r bind ${src1}:40000 = EADDRINUSE
		r bind ${src2}:40000
		`,
		versions,
	);
	rule(
		`tcp_port_share.${title}: connections to two destinations share one address and port`,
		`
		${NAMESPACE}
		${kind} s t
		${listens("s", 30000)}
		${listens("t", 30001)}
		${kind} a b c d ${late}
		a bind ${src1}:0
		b bind ${src1}:0
		c bind ${src1}:0
		${connects("a", 30000)}
		${connects("b", 30001)}
		${fails("c", 30001)}
		ports a b = 40000,40000
		a peer = ${to.includes("198") ? "ENOTCONN" : `${to}:30000`}
		`,
		versions,
	);
});

describe.each(kindsOf("tcp", "mptcp", "dccp", "udp", "udplite", "sctp"))(
	"bind_bhash: $name",
	({ name, protocol, lo, lo2, any }) => {
		const crowd = names("a", 120);
		// UDP's wildcard does not see a crowd on addresses before
		// udp-wildcard-hash2-shortcut-fixed.
		const blind = protocol.startsWith("udp") ? " | 6.3: 0" : "";
		rule(
			`bind_bhash: ${name}: many sockets on one address leave the port free on another address`,
			`
			${name} ${crowd.join(" ")} with SO_REUSEPORT
			${lines(crowd, (a) => `${a} bind ${lo}:443`)}
			${name} b d
			b bind ${lo2}:443
			d bind ${lo}:443 = EADDRINUSE
			close b
			${name} c
			c bind ${any}:443 = EADDRINUSE${blind}
			close c
			${name} e f with SO_REUSEADDR
			e bind ${lo2}:443
			f bind ${lo}:443 = EADDRINUSE
			close e
			${name} g h i with SO_REUSEPORT
			g bind ${lo2}:443
			h bind ${any}:443
			i bind ${lo}:443
			close ${crowd.join(" ")} g i
			d bind ${any}:443 = EADDRINUSE
			close h
			d bind ${any}:443
			`,
		);
	},
);

/** The address of both sockets, and the addresses of a connection to it. */
const SELVES = [
	["tcp", "0.0.0.0", "127.0.0.1"],
	["tcp", "127.0.0.1", "127.0.0.1"],
	["tcp6", "[::]", "[::1]"],
	["tcp6", "[::1]", "[::1]"],
	["tcp6", "[2001:db8::10]", "[2001:db8::10]"],
	["tcp6", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"],
] as const;

describe("sk_bind_sendto_listen", () => {
	// connect() stands for sendto() with MSG_FASTOPEN.
	for (const [kind, at, end] of SELVES) {
		rule(
			`sk_bind_sendto_listen: ${at}: a socket whose connect() failed listens on the port of a connection to itself`,
			`
			${kind} a b with SO_REUSEADDR
			a bind ${at}:20000
			a connect ${at}:20000
			a name = ${end}:20000
			a peer = ${end}:20000
			b bind ${at}:20000
			b connect ${at}:20000 = EADDRNOTAVAIL
			# The socket gave up the address that connect() chose.
			b name = ${at}:20000
			b listen 0
			b name = ${at}:20000
			${kind} c with SO_REUSEADDR
			c bind ${at}:20000 = EADDRINUSE
			close a
			${kind} d
			d connect ${end}:20000
			d peer = ${end}:20000
			`,
		);
	}
	for (const [kind, at, end] of SELVES) {
		rule(
			`${at}: a socket whose connect() was refused may listen on its port`,
			`
			${kind} a b with SO_REUSEADDR
			a bind ${at}:20000
			a connect ${end}:20001 = ECONNREFUSED
			a name = ${at}:20000
			b bind ${at}:20000
			a listen 1
			b listen 1 = EADDRINUSE
			`,
		);
	}
});
