// SPDX-License-Identifier: GPL-2.0-or-later
/** MPTCP: connections, options of its own level, and the subflow. */
import { describe, expect, it } from "vitest";
import { ERESTARTSYS, NotModelled } from "../../kernel-model/index.js";
import { rule, World } from "../world.js";

describe("an MPTCP connection", () => {
	rule(
		"ends in two halves if one side calls shutdown(SHUT_WR)",
		`
		mptcp s a
		s bind 127.0.0.1:5000
		s listen 4
		a connect 127.0.0.1:5000
		s accept c
		a shutdown wr
		pass 100
		c recv 9 = 0
		c send 3 = 3
		pass 100
		a recv 9 = 3
		a send 1 = EPIPE
		`,
	);
	rule(
		"is a TCP connection if the client is a TCP socket",
		`
		mptcp s
		tcp a
		s bind 127.0.0.1:5000
		s listen 4
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		s accept c
		c peer = 127.0.0.1:6000
		c getopt SO_PROTOCOL 4 = 06000000
		a send 2 = 2
		c recv 9 = 2
		`,
	);

	rule(
		"belongs to the user who accepts it, so it shares its port by SO_REUSEPORT",
		`
		user 1000
		mptcp s t with SO_REUSEPORT
		mptcp a
		mptcp6 b
		s bind 127.0.0.1:5000
		s listen 4
		a connect 127.0.0.1:5000
		b bind [::1]:5000
		s accept c
		t bind 127.0.0.1:5000
		`,
	);

	it("makes a recv() that blocks sleep", () => {
		const world = new World({ protocol: "mptcp" });
		world.run(`
			s bind 127.0.0.1:5000
			s listen 4
			a connect 127.0.0.1:5000
		`);
		const client = world.task.socketDescriptors()[1];
		expect(world.task.recv(client, 1, true)).toBe(-11);
		expect(world.task.recv(client, 1, false)).toBe(-ERESTARTSYS);
	});
});

describe("getsockopt() of an MPTCP socket", () => {
	rule(
		"fails with EOPNOTSUPP for an unknown level, and for an unknown option of SOL_MPTCP",
		`
		mptcp a
		a getopt 999.1 4 = EOPNOTSUPP
		a getopt 284.99 4 = EOPNOTSUPP
		`,
	);

	it("throws NotModelled for options of SOL_MPTCP", () => {
		const world = new World({ protocol: "mptcp" });
		const fd = world.socket();
		for (const option of [1, 2, 3]) {
			expect(() => world.task.getsockopt(fd, 284, option)).toThrow(NotModelled);
		}
	});

	rule(
		"returns one byte if the value fits and the buffer is shorter than an int",
		`
		mptcp a
		a set IP_FREEBIND 1
		a getopt IP_FREEBIND 1 = 01
		a getopt IP_FREEBIND 3 = 01
		a range 255 0
		a getopt IP_LOCAL_PORT_RANGE 1 = ff
		a getopt IP_LOCAL_PORT_RANGE 3 = ff
		a range 256 0
		a getopt IP_LOCAL_PORT_RANGE 3 = 000100
		# A high bound from 32768 up makes the int negative.
		a range 1 40000
		a getopt IP_LOCAL_PORT_RANGE 2 = 0100
		a getopt IP_LOCAL_PORT_RANGE 0 = nothing
		a getopt IP_LOCAL_PORT_RANGE -1 = EINVAL
		`,
		["6.12.107", "6.18.44"],
	);
});

describe("the subflow of an MPTCP socket", () => {
	rule(
		"gets IPV6_V6ONLY from bindv6only when the program binds it, unless an option was set before",
		`
		mptcp6 a b
		b setopt SO_LINGER 0100000000000000 8
		sysctl ipv6.bindv6only 1
		a bind [::ffff:127.0.0.1]:5000 = EINVAL
		b bind [::ffff:127.0.0.1]:5000
		`,
		["6.18.44"],
	);
	rule(
		"has IPV6_V6ONLY of the socket if SO_KEEPALIVE, SO_SNDBUF or TCP_NODELAY was set before bind()",
		`
		mptcp6 a b c d
		a setopt 1.9 01000000 4
		b setopt 1.7 00100000 4
		c setopt 6.1 01000000 4
		sysctl ipv6.bindv6only 1
		a bind [::ffff:127.0.0.1]:5000
		b bind [::ffff:127.0.0.1]:5001
		c bind [::ffff:127.0.0.1]:5002
		d bind [::ffff:127.0.0.1]:5003 = EINVAL | 6.1.176: 0
		`,
		["6.1.176", "6.12.107", "6.18.44"],
	);
	rule(
		"has IPV6_V6ONLY of bindv6only if setsockopt(SO_KEEPALIVE) failed before bind()",
		`
		mptcp6 a
		a setopt 1.9 0100 2 = EINVAL
		sysctl ipv6.bindv6only 1
		a bind [::ffff:127.0.0.1]:5000 = EINVAL
		`,
		["6.18.44"],
	);
});

describe("a shutdown before listen()", () => {
	rule(
		"holds for the connections that are accepted",
		`
		mptcp s c
		s shutdown rdwr = ENOTCONN
		s bind 127.0.0.1:5000
		s listen 4
		c start 127.0.0.1:5000 = EINPROGRESS
		s accept t
		t recv 1 = 0
		t send 1 = EPIPE
		`,
	);
});
