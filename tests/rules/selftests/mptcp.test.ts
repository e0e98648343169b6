// SPDX-License-Identifier: GPL-2.0-or-later
/** Which options of an MPTCP socket reach the subflow that has the port. */
import { describe } from "vitest";
import { kindsOf, rule } from "../../world.js";

/** Kernels without mptcp-local-port-range. */
const WITHOUT = ["6.3", "6.1.176"];

for (const { name, lo, lo2, any, family } of kindsOf("mptcp")) {
	const tcp = name.slice(2);
	const outside = family === 4 ? "203.0.113.77" : "[2001:db8:77::1]";
	describe(`an ${name} socket`, () => {
		rule(
			`${name}: SO_REUSEADDR reaches the subflow`,
			`
			${name} a b c
			a set SO_REUSEADDR 1
			a getopt SO_REUSEADDR 4 = 01000000
			b set SO_REUSEADDR 1
			a bind ${lo}:5000
			b bind ${lo}:5000
			c bind ${lo}:5000 = EADDRINUSE
			c set SO_REUSEADDR 1
			c bind ${lo}:5000
			c getopt SO_REUSEADDR 4 = 01000000
			a listen 1
			b listen 1 = EADDRINUSE
			`,
		);
		rule(
			`${name}: SO_REUSEPORT reaches the subflow`,
			`
			${name} a b c
			a set SO_REUSEPORT 1
			a getopt SO_REUSEPORT 4 = 01000000
			b set SO_REUSEPORT 1
			a bind ${lo}:5000
			b bind ${lo}:5000
			a listen 1
			b listen 1
			c bind ${lo}:5000 = EADDRINUSE
			`,
		);
		rule(
			`${name}: SO_BINDTODEVICE reaches the subflow`,
			`
			${name} a b c
			a device lo
			a getopt SO_BINDTODEVICE 16 = 6c6f00
			a device nope = ENODEV
			a bind ${any}:5000
			b bind ${any}:5000 = EADDRINUSE
			c device lo
			c bind ${lo}:5000 = EADDRINUSE
			`,
		);
		rule(
			`${name}: IP_FREEBIND reaches the subflow`,
			family === 4
				? `
			${name} a b
			a bind ${outside}:5000 = EADDRNOTAVAIL
			a set IP_FREEBIND 1
			a getopt IP_FREEBIND 4 = 01000000 | 6.3: EOPNOTSUPP
			a bind ${outside}:5000
			a name = ${outside}:5000
			b bind ${outside}:5000 = EADDRNOTAVAIL
			`
				: `
			${name} a b
			a bind ${outside}:5000 = EADDRNOTAVAIL
			a set 41.78 1
			a bind ${outside}:5000
			a name = ${outside}:5000
			b bind ${outside}:5000 = EADDRNOTAVAIL
			`,
		);
		rule(
			`${name}: most options of SOL_IP are refused, before mptcp-local-port-range`,
			`
			${name} a
			a set IP_BIND_ADDRESS_NO_PORT 1 = EOPNOTSUPP
			a set IP_LOCAL_PORT_RANGE 1 = ENOPROTOOPT
			a getopt IP_LOCAL_PORT_RANGE 4 = EOPNOTSUPP
			a getopt IP_BIND_ADDRESS_NO_PORT 4 = EOPNOTSUPP
			# IP_OPTIONS, an unknown option, and an unknown level
			a set 0.4 0 = ENOPROTOOPT
			a set 0.99 1 = ENOPROTOOPT
			a set 999.1 1 = ENOPROTOOPT
			`,
			WITHOUT,
		);
		rule(
			`${name}: the subflow's port counts as a port of TCP`,
			`
			${name} a b
			${tcp} c d
			a bind ${lo}:5000
			c bind ${lo}:5000 = EADDRINUSE
			c bind ${lo2}:5000
			b bind ${lo2}:5000 = EADDRINUSE
			d set SO_REUSEADDR 1
			d bind ${lo}:5000 = EADDRINUSE
			a name = ${lo}:5000
			close a
			d bind ${lo}:5000
			`,
		);
		rule(
			`${name}: SO_REUSEADDR and SO_REUSEPORT share ports with TCP sockets, as TCP sockets do`,
			`
			${name} a with SO_REUSEADDR
			${tcp} b with SO_REUSEADDR
			a bind ${lo}:5000
			b bind ${lo}:5000
			b listen 1
			a listen 1 = EADDRINUSE
			close a b
			${tcp} a with SO_REUSEPORT
			${name} b with SO_REUSEPORT
			a bind ${lo}:5000
			b bind ${lo}:5000
			a listen 1
			b listen 1
			`,
		);
		rule(
			`${name}: connect() succeeds, is refused, and finds no port as with TCP`,
			`
			sysctl ipv4.ip_local_port_range 40000 40001
			${name} s
			s bind ${lo}:5000
			s listen 4
			${name} a b c d
			a connect ${lo}:5000
			a name = ${lo}:40000..40001
			b connect ${lo}:5000
			b name = ${lo}:40000..40001
			ports a b = 40000-40001
			c connect ${lo}:5000 = EADDRNOTAVAIL
			# For another destination port connect() shares them.
			d connect ${lo}:5001 = ECONNREFUSED
			`,
		);
		rule(
			`${name}: a second bind() fails, also after listen()`,
			`
			${name} a
			a bind ${lo}:5000
			a bind ${lo}:5001 = EINVAL
			a set SO_REUSEADDR 1
			a listen 1
			a bind ${lo}:5001 = EINVAL
			a name = ${lo}:5000
			`,
		);
		const closed = (server: string) => `
			${server} s
			s bind ${lo}:5000
			s listen 4
			${name} a b
			a bind ${lo}:5001
			a connect ${lo}:5000
			s accept c
			a close
			# The closed socket still exists, so it answers no segment with a reset.
			c send = 1
			c send = 1
			c send = 1
			pass 30000
			c send = 1
			b bind ${lo}:5001 = EADDRINUSE
			# A kernel's timer of a minute may be two seconds late.
			pass 34000
			b bind ${lo}:5001
			c send = EPIPE
		`;
		rule(
			`${name}: a reset reaches the other end whether it comes before or after accept()`,
			`
			${name} s
			s bind ${lo}:5000
			s listen 4
			${name} a b
			a connect ${lo}:5000
			a dissolve
			# A worker of the kernel resets the subflow.
			pass 100
			s accept c
			b connect ${lo}:5000
			s accept d
			b dissolve
			pass 100
			c getopt 1.4 4 = 68000000
			d getopt 1.4 4 = 68000000
			c recv = 0
			d recv = 0
			c send = EPIPE
			d send = EPIPE
			`,
		);
		rule(
			`${name}: an accepted socket can be bound again after connect() to AF_UNSPEC`,
			`
			${name} s a
			s bind ${lo}:5000
			s listen 4
			a connect ${lo}:5000
			s accept c
			c bind ${lo}:5001 = EINVAL
			c dissolve
			c bind ${lo}:5001
			c name = ${lo}:5001
			`,
			["6.12.107", "6.18.44"],
		);
		for (const server of [name, tcp]) {
			rule(
				`${name}: a closed socket waits a minute for its ${server} peer, and the peer then gets a reset`,
				closed(server),
			);
		}
	});
}
