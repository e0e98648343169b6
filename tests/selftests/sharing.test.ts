// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * One port for several sockets of TCP: between connect() and bind(), between addresses, and
 * between a connection and a listener. After the kernel's tcp_port_share.c, bind_bhash.c and
 * sk_bind_sendto_listen.c.
 */
import { describe } from "vitest";
import { kindsOf, lines, names, rule } from "./world.js";

/** What a test connects to, connects from, and blocks the port with. */
const VARIANTS = {
	ipv4: ["tcp", "127.0.0.1", "127.1.1.1", "127.2.2.2", "127.3.3.3"],
	ipv6: ["tcp6", "[::1]", "[2001:db8::1]", "[2001:db8::2]", "[2001:db8::3]"],
	mapped: [
		"tcp6",
		"[::ffff:127.0.0.1]",
		"[::ffff:127.1.1.1]",
		"[::ffff:127.2.2.2]",
		"[::ffff:127.3.3.3]",
	],
} as const;

const late = "with IP_BIND_ADDRESS_NO_PORT";
const NAMESPACE = `
	ip -6 addr add 2001:db8::1/128 dev lo nodad
	ip -6 addr add 2001:db8::2/128 dev lo nodad
	ip -6 addr add 2001:db8::3/128 dev lo nodad
	sysctl ipv4.ip_local_port_range 40000 40000
`;

describe.each(Object.entries(VARIANTS))("tcp_port_share.%s", (variant, addresses) => {
	const [kind, to, src1, src2, block] = addresses;
	const connected = `
		${NAMESPACE}
		${kind} s with SO_REUSEADDR
		s bind ${to}:30000
		s listen 4
		${kind} a b ${late}
		a bind ${src1}:0
		a connect ${to}:30000
		a name = ${src1}:40000
		b bind ${src2}:0
	`;
	rule(
		`tcp_port_share.${variant}: connections from two addresses share a port`,
		`
		${connected}
		b connect ${to}:30000
		b name = ${src2}:40000
		`,
	);
	rule(
		// What a bound socket has done to the bucket stays until the last owner has gone.
		`tcp_port_share.${variant}.can_reuse_port_after_bind_and_close: it cannot before fastreuse-recomputed`,
		`
		${connected}
		${kind} p with SO_REUSEADDR
		p bind ${block}:40000
		b connect ${to}:30000 = EADDRNOTAVAIL
		close p
		b connect ${to}:30000 = EADDRNOTAVAIL | 6.18.44: 0
		b name = ${src2}:0 | 6.18.44: ${src2}:40000
		`,
	);
	rule(
		`tcp_port_share.${variant}.port_block_after_disconnect`,
		`
		${connected}
		a dissolve
		# It has none; inet_sport is only what connect() left.
		a name = ${src1}:40000
		a set SO_REUSEADDR 1
		a bind ${block}:40000
		${kind} p with SO_REUSEADDR
		p bind ${block}:40000
		close p
		b connect ${to}:30000 = EADDRNOTAVAIL
		b name = ${src2}:0
		`,
	);
	rule(
		`tcp_port_share.${variant}: a bound socket without SO_REUSEADDR blocks the port as well, and frees it with the bucket`,
		`
		${NAMESPACE}
		${kind} s with SO_REUSEADDR
		s bind ${to}:30000
		s listen 4
		${kind} p
		p bind ${block}:40000
		${kind} b ${late}
		b bind ${src2}:0
		b connect ${to}:30000 = EADDRNOTAVAIL
		close p
		b connect ${to}:30000
		b name = ${src2}:40000
		`,
	);
	rule(
		`tcp_port_share.${variant}: bind() of another address takes a port that connect() chose`,
		`
		${connected}
		${kind} p q r
		p bind ${block}:40000
		q bind ${src1}:40000 = EADDRINUSE
		r set SO_REUSEADDR 1
		r bind ${src1}:40000 = EADDRINUSE
		r bind ${src2}:40000
		`,
	);
	rule(
		`tcp_port_share.${variant}: two destinations share a port, of one address`,
		`
		${NAMESPACE}
		${kind} s t with SO_REUSEADDR
		s bind ${to}:30000
		s listen 4
		t bind ${to}:30001
		t listen 4
		${kind} a b c d ${late}
		a bind ${src1}:0
		b bind ${src1}:0
		c bind ${src1}:0
		a connect ${to}:30000
		b connect ${to}:30001
		c connect ${to}:30001 = EADDRNOTAVAIL
		ports a b = 40000,40000
		`,
	);
});

describe.each(kindsOf("tcp", "mptcp", "dccp", "udp", "udplite", "sctp"))(
	"bind_bhash: $name",
	({ name, protocol, lo, lo2, any }) => {
		const crowd = names("a", 120);
		// UDP's wildcard does not see a crowd on addresses before udp-wildcard-hash2-shortcut-fixed.
		const blind = protocol.startsWith("udp") ? " | 6.3: 0" : "";
		rule(
			`bind_bhash: ${name}, on one address many, and another is free`,
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

/** Where both are bound, and what a connection to that address has on both ends. */
const SELVES = [
	["tcp", "0.0.0.0", "127.0.0.1"],
	["tcp", "127.0.0.1", "127.0.0.1"],
	["tcp6", "[::]", "[::1]"],
	["tcp6", "[::1]", "[::1]"],
	["tcp6", "[2001:db8::10]", "[2001:db8::10]"],
	["tcp6", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"],
] as const;

describe("sk_bind_sendto_listen", () => {
	// connect() does what sendto() with MSG_FASTOPEN does there.
	for (const [kind, at, end] of SELVES) {
		rule(
			`sk_bind_sendto_listen: ${at}, a connection to itself, one that fails, and listen`,
			`
			${kind} a b with SO_REUSEADDR
			a bind ${at}:20000
			a connect ${at}:20000
			a name = ${end}:20000
			a peer = ${end}:20000
			b bind ${at}:20000
			b connect ${at}:20000 = EADDRNOTAVAIL
			# The address that connect() chose is gone again.
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
			`${at}: a connect that is refused leaves the port to listen`,
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
