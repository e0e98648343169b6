// SPDX-License-Identifier: GPL-2.0-or-later
/** bind(): its addresses and ports, and which sockets may share a port. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("bind", () => {
	rule(
		"to a privileged port needs root",
		`
		user 1000
		a bind 127.0.0.1:1023 = EACCES
		a bind 127.0.0.1:1 = EACCES
		a bind 0.0.0.0:80 = EACCES
		a bind 127.0.0.1:1024
		b bind 127.0.0.1:0
		user 0
		c bind 127.0.0.1:1023
		d bind 127.0.0.1:1
		write ip_unprivileged_port_start "80"
		user 1000
		e bind 127.0.0.1:79 = EACCES
		e bind 127.0.0.1:80
		user 0
		write ip_unprivileged_port_start "2000"
		user 1000
		f bind 127.0.0.1:1999 = EACCES
		f bind 127.0.0.1:2000
		`,
	);
	rule(
		"needs a local address, IP_FREEBIND or ip_nonlocal_bind",
		`
		a bind 203.0.113.77:5000 = EADDRNOTAVAIL
		a bind 203.0.113.77:0 = EADDRNOTAVAIL
		a bind 198.51.100.1:5000 = EADDRNOTAVAIL
		a bind 192.0.2.11:5000 = EADDRNOTAVAIL
		a set IP_FREEBIND 1
		a bind 203.0.113.77:5000
		a name = 203.0.113.77:5000
		b bind 192.0.2.10:5000
		c bind 127.1.2.3:5000
		write ip_nonlocal_bind "1"
		d bind 203.0.113.77:5001
		e bind 203.0.113.77:5000 = EADDRINUSE
		`,
	);
	rule(
		"accepts broadcast and multicast addresses",
		`
		a bind 255.255.255.255:5000
		b bind 224.0.0.1:5000
		c bind 239.1.2.3:5000
		d bind 127.255.255.255:5000
		a name = 255.255.255.255:5000
		f bind 240.0.0.1:5000 = EADDRNOTAVAIL
		`,
	);
	rule(
		"accepts AF_UNSPEC as AF_INET with the wildcard address only",
		`
		a bind AF_UNSPEC 127.0.0.1:5000 = EAFNOSUPPORT
		a bind AF_UNSPEC 0.0.0.0:5000
		a name = 0.0.0.0:5000
		`,
	);
	rule(
		"needs a length from that of sockaddr_in to that of sockaddr_storage",
		`
		a bind 127.0.0.1:5000 15 = EINVAL
		a bind 127.0.0.1:5000 2 = EINVAL
		a bind 127.0.0.1:5000 0 = EINVAL
		a bind 127.0.0.1:5000 -1 = EINVAL
		a bind 127.0.0.1:5000 129 = EINVAL
		a bind 127.0.0.1:5000 128
		b bind 127.0.0.2:5000 16
		`,
	);
	rule(
		"fails with EINVAL on a socket that has a port",
		`
		a bind 127.0.0.1:5000
		a bind 127.0.0.1:5000 = EINVAL
		a bind 127.0.0.1:5001 = EINVAL
		a bind 0.0.0.0:0 = EINVAL
		a name = 127.0.0.1:5000
		a listen 1
		a bind 127.0.0.1:5001 = EINVAL
		c connect 127.0.0.1:5000
		c bind 127.0.0.1:5002 = EINVAL
		n start 198.51.100.1:80 = EINPROGRESS
		n bind 127.0.0.1:5002 = EINVAL
		`,
	);
	rule(
		"may be repeated while the socket has no port, and the last address counts",
		`
		a set IP_BIND_ADDRESS_NO_PORT 1
		a bind 127.0.0.1:0
		a bind 192.0.2.10:0
		a name = 192.0.2.10:0
		a bind 127.0.0.2:5000
		a name = 127.0.0.2:5000
		a bind 127.0.0.3:0 = EINVAL
		`,
	);
	rule(
		"leaves the socket unchanged if it fails",
		`
		s bind 127.0.0.1:5000
		a bind 127.0.0.1:5000 = EADDRINUSE
		a name = 0.0.0.0:0
		a bind 127.0.0.2:5000
		a name = 127.0.0.2:5000
		`,
	);
	rule(
		"checks the address before the port, and the port before the state of the socket",
		`
		user 1000
		a bind 203.0.113.77:80 = EADDRNOTAVAIL
		a bind AF_UNSPEC 203.0.113.77:80 = EAFNOSUPPORT
		a bind 127.0.0.1:5000
		a bind 127.0.0.1:80 = EACCES
		a bind 203.0.113.77:80 = EADDRNOTAVAIL
		`,
	);
	rule(
		"to port 0 fails with EADDRINUSE if every port is taken or reserved",
		`
		write ip_local_port_range "40000 40003"
		write ip_local_reserved_ports "40001-40002"
		a bind 127.0.0.1:0
		b bind 127.0.0.1:0
		c bind 127.0.0.1:0 = EADDRINUSE
		# On another address all ports are free.
		d bind 127.0.0.2:0
		e bind 127.0.0.2:0
		f bind 127.0.0.2:0 = EADDRINUSE
		# A program may name a reserved port.
		g bind 127.0.0.1:40001
		# The wildcard meets every address.
		h bind 0.0.0.0:0 = EADDRINUSE
		write ip_local_reserved_ports "\\n"
		h bind 0.0.0.0:0
		h name = 0.0.0.0:40002
		i bind 127.0.0.3:0
		`,
	);
	rule(
		"to port 0 shares no port unless ip_autobind_reuse is set",
		`
		write ip_local_port_range "40000 40001"
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:0
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:0
		c set SO_REUSEADDR 1
		c bind 127.0.0.1:0 = EADDRINUSE
		write ip_autobind_reuse "1"
		c bind 127.0.0.1:0
		# Both sockets need SO_REUSEADDR.
		d bind 127.0.0.1:0 = EADDRINUSE
		# SO_REUSEPORT on one socket does not help.
		e set SO_REUSEPORT 1
		e bind 127.0.0.1:0 = EADDRINUSE
		`,
	);
});

// Which sockets may share port 5000. Root makes the first socket.
const SHARING = [
	// options of the first, of the second, user of the second, with a bound one, with a listener
	["", "", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR", "", 0, "EADDRINUSE", "EADDRINUSE"],
	["", "SO_REUSEADDR", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR", "SO_REUSEADDR", 0, "0", "EADDRINUSE"],
	["SO_REUSEADDR", "SO_REUSEADDR", 1000, "0", "EADDRINUSE"],
	["SO_REUSEPORT", "", 0, "EADDRINUSE", "EADDRINUSE"],
	["", "SO_REUSEPORT", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEPORT", "SO_REUSEPORT", 0, "0", "0"],
	["SO_REUSEPORT", "SO_REUSEPORT", 1000, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR", "SO_REUSEPORT", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEPORT", "SO_REUSEADDR", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEADDR", 1000, "0", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEPORT", 0, "0", "0"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEPORT", 1000, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEADDR SO_REUSEPORT", 1000, "0", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEADDR SO_REUSEPORT", 0, "0", "0"],
] as const;

const setAll = (socket: string, options: string) =>
	options === ""
		? ""
		: options
				.split(" ")
				.map((option) => `${socket} set ${option} 1`)
				.join("\n");

describe.each([
	["127.0.0.1", "127.0.0.1"],
	["0.0.0.0", "0.0.0.0"],
	["0.0.0.0", "127.0.0.1"],
	["127.0.0.1", "0.0.0.0"],
])("the port of a socket on %s", (first, second) => {
	for (const [mine, yours, user, bound, listening] of SHARING) {
		const title = `the first has ${mine || "no option"}, the second has ${yours || "no option"} and ${user === 0 ? "the same" : "another"} user`;
		const program = (listen: string, result: string) => `
			${setAll("a", mine)}
			a bind ${first}:5000
			${listen}
			user ${user}
			${setAll("b", yours)}
			b bind ${second}:5000 = ${result}
		`;
		const means = (result: string) => (result === "0" ? "is shared" : "is not shared");
		rule(`${means(bound)} with a socket on ${second}: ${title}`, program("", bound));
		rule(
			`${means(listening)} with a socket on ${second} if the first listens: ${title}`,
			program("a listen 1", listening),
		);
	}
});

describe("two sockets on one port", () => {
	for (const listen of ["", "a listen 1"]) {
		rule(
			`do not conflict on different addresses${listen && ", also if the first listens"}`,
			`
			a bind 127.0.0.1:5000
			${listen}
			b bind 127.0.0.2:5000
			c bind 192.0.2.10:5000
			d bind 0.0.0.0:5000 = EADDRINUSE
			b listen 1
			`,
		);
	}
	rule(
		"conflict on one device, and if only one of them is bound to a device",
		`
		a setopt SO_BINDTODEVICE 6c6f 2
		a bind 0.0.0.0:5000
		b bind 0.0.0.0:5000 = EADDRINUSE
		c setopt SO_BINDTODEVICE 6c6f 2
		c bind 127.0.0.1:5000 = EADDRINUSE
		`,
	);
});
