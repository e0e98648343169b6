// SPDX-License-Identifier: GPL-2.0-or-later
/** SCTP, one-to-one sockets: search, sharing and lookup of ports. */
import { describe } from "vitest";
import { kindsOf, lines, names, rule } from "../../world.js";

for (const { name, family, lo, lo2, any } of kindsOf("sctp")) {
	describe(`a port of an ${name} socket`, () => {
		rule(
			`${name}: is chosen only if no socket has it on another address`,
			`
			sysctl ipv4.ip_local_port_range 40000 40003
			${name} ${names("a", 5).join(" ")} with SO_REUSEADDR SO_REUSEPORT
			a0 bind ${lo}:40002
			a1 bind ${lo2}:0
			a2 bind ${any}:0
			a3 bind ${lo}:0
			a4 bind ${lo2}:0 = EADDRINUSE
			ports a0 a1 a2 a3 = 40000-40003
			# bind() may name it.
			a4 bind ${lo2}:40002
			close a0
			${name} b
			b bind ${lo}:0 = EADDRINUSE
			close a4
			b bind ${lo}:0
			b port = 40002
			`,
		);
		rule(
			`${name}: is chosen once, by bind(), listen() or connect()`,
			`
			sysctl ipv4.ip_local_port_range 40000 40002
			${name} a b c d e
			a bind ${lo}:0
			a bind ${lo}:0 = EINVAL
			a bind ${lo2}:40005 = EINVAL
			b listen 1
			c start ${lo}:9 = EINPROGRESS
			ports a b c = 40000-40002
			d bind ${lo}:0 = EADDRINUSE
			d listen 1 = EAGAIN
			e start ${lo}:9 = EAGAIN
			`,
		);
		rule(
			`${name}: stays with the socket when connect() is refused`,
			`
			sysctl ipv4.ip_local_port_range 40000 40000
			${name} a b
			a connect ${lo}:9 = ECONNREFUSED
			a port = 40000
			b connect ${lo}:9 = EAGAIN
			close a
			b connect ${lo}:9 = ECONNREFUSED
			`,
		);
		rule(
			`${name}: may have one listener, or several of one user with SO_REUSEPORT`,
			`
			${name} a b c with SO_REUSEADDR
			a bind ${lo}:5000
			b bind ${lo}:5000
			a listen 1
			b listen 1 = EADDRINUSE
			c bind ${lo}:5000 = EADDRINUSE
			close a
			b listen 1
			close b c
			user 1000
			${name} a b with SO_REUSEPORT
			a bind ${lo}:5000
			b bind ${lo}:5000
			a listen 1
			b listen 1
			user 1001
			${name} c with SO_REUSEPORT
			c bind ${lo}:5000 = EADDRINUSE
			c bind ${lo2}:5000
			`,
		);
		rule(
			`${name}: is shared only socket by socket after a socket without SO_REUSEADDR had it`,
			`
			${name} a b with SO_REUSEADDR
			${name} c
			a bind ${lo}:5000
			c bind ${lo2}:5000
			# The bucket no longer allows sharing, so bind() checks each socket.
			b bind ${lo}:5000
			close c
			${name} d with SO_REUSEADDR
			d bind ${lo}:5000
			${name} e
			e bind ${lo}:5000 = EADDRINUSE
			e bind ${any}:5000 = EADDRINUSE
			`,
		);
		for (const order of [
			["s", "w"],
			["w", "s"],
		] as const) {
			rule(
				`${name}: on an address and on the wildcard leads to the socket that called listen() last (${order[1]})`,
				`
				${name} s w with SO_REUSEPORT
				s bind ${lo}:5000
				w bind ${any}:5000
				${lines(order, (socket) => `${socket} listen 4`)}
				${name} c
				c connect ${lo}:5000
				heard s w = ${order[1]}
				${name} d
				# In 127.0.0.0/8 SCTP answers only at the address that lo has.
				d connect ${family === 4 ? "192.0.2.10" : lo2}:5000
				heard s w = w
				`,
			);
		}
	});
}
