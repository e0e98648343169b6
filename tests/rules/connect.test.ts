// SPDX-License-Identifier: GPL-2.0-or-later
/** connect(). */
import { describe } from "vitest";
import { EXPONENTIAL, LINEAR, rule } from "../world.js";

describe("a send without a connection", () => {
	for (const [kind, any] of [
		["tcp", "0.0.0.0"],
		["tcp6", "[::]"],
	]) {
		rule(
			`on a ${kind} socket chooses no port`,
			`
			${kind} a
			a send 1 = EPIPE
			a name = ${any}:0
			`,
		);
	}
});

describe("connect", () => {
	rule(
		"chooses the source address by the route",
		`
		s bind 0.0.0.0:5000
		s listen 5
		a connect 127.0.0.1:5000
		a name = 127.0.0.1:$p
		b connect 127.0.0.9:5000
		b name = 127.0.0.1:$q
		c connect 192.0.2.10:5000
		c name = 192.0.2.10:$r
		d start 198.51.100.1:80 = EINPROGRESS
		d name = 192.0.2.10:$s
		e bind 127.0.0.5:0
		e connect 192.0.2.10:5000
		e name = 127.0.0.5:$t
		`,
	);
	rule(
		"fails with ECONNREFUSED if nobody listens, and gives up a port that bind() did not name",
		`
		write ip_local_port_range "40000 40000"
		a connect 127.0.0.1:5000 = ECONNREFUSED
		a state = CLOSE
		# getsockname() still shows the last port.
		a name = 0.0.0.0:40000
		b bind 127.0.0.1:40000
		b connect 127.0.0.1:5000 = ECONNREFUSED
		b name = 127.0.0.1:40000
		a connect 127.0.0.1:5000 = EADDRNOTAVAIL
		b close
		c bind 127.0.0.1:0
		c connect 127.0.0.1:5000 = ECONNREFUSED
		c name = 127.0.0.1:40000
		# The address was named, the port was not.
		d bind 127.0.0.1:40000
		c listen 1 = EADDRINUSE
		`,
	);
	rule(
		"that does not wait reports a refusal at the next call",
		`
		a start 127.0.0.1:5000 = EINPROGRESS
		a state = CLOSE
		a start 127.0.0.1:5000 = ECONNREFUSED
		a start 127.0.0.1:5000 = EINPROGRESS
		a error = ECONNREFUSED
		a start 127.0.0.1:5000 = ECONNABORTED
		a start 127.0.0.1:5000 = EINPROGRESS
		a send 1 = ECONNREFUSED
		a send 1 = EPIPE
		`,
	);
	rule(
		"that does not wait returns 0 at the next call if the connection is established",
		`
		s bind 127.0.0.1:5000
		s listen 1
		a start 127.0.0.1:5000 = EINPROGRESS
		a state = ESTABLISHED
		a start 127.0.0.1:5000
		a start 127.0.0.1:5000 = EISCONN
		b start 198.51.100.1:80 = EINPROGRESS
		b start 198.51.100.1:80 = EALREADY
		b start 127.0.0.1:5000 = EALREADY
		b send 1 = EAGAIN
		b recv 1 = EAGAIN
		b peer = ENOTCONN
		`,
	);
	rule(
		"to port 0 fails with ECONNREFUSED",
		`
		a connect 127.0.0.1:0 = ECONNREFUSED
		`,
	);
	rule(
		"fails with ENETUNREACH if there is no route",
		`
		a connect 203.0.113.1:80 = ENETUNREACH
		a name = 0.0.0.0:0
		b bind 127.0.0.1:6000
		b connect 203.0.113.1:80 = ENETUNREACH
		b name = 127.0.0.1:6000
		c connect 255.255.255.255:80 = ENETUNREACH
		c connect 127.255.255.255:80 = ENETUNREACH
		c connect 224.0.0.1:80 = ENETUNREACH
		`,
	);
	rule(
		"needs a length from that of sockaddr_in to that of sockaddr_storage",
		`
		a start 127.0.0.1:5000 1 = EINVAL
		a start 127.0.0.1:5000 15 = EINVAL
		a start 127.0.0.1:5000 129 = EINVAL
		a start 127.0.0.1:5000 -1 = EINVAL
		`,
	);
	rule(
		"gives up after tcp_syn_retries retries: with one, after 3 s",
		`
		write tcp_syn_retries "1"
		a bind 192.0.2.10:0
		a connect 198.51.100.1:80 = ETIMEDOUT
		clock = 3
		a state = CLOSE
		a error = 0
		b start 198.51.100.1:80 = EINPROGRESS
		pass 2900
		b state = SYN_SENT
		pass 200
		b state = CLOSE
		b error = ETIMEDOUT
		`,
	);
	// Each wait is twice as long as the wait before, or since 6.5 the first five are equal. The
	// timer that fires at the old limit or after it ends the call. A real timer may be 4 s late.
	for (const [retries, before, since] of [
		[2, 7, 7],
		[3, 15, 19],
		[4, 31, 35],
		[6, 127, 131],
		[7, 247, 251],
	] as const) {
		for (const [seconds, versions, when] of [
			[before, EXPONENTIAL, "before 6.5"],
			[since, LINEAR, "since 6.5"],
		] as const) {
			rule(
				`gives up after ${retries} retries and ${seconds} s, ${when}`,
				`
				write tcp_syn_retries "${retries}"
				a bind 192.0.2.10:6000
				a start 198.51.100.1:80 = EINPROGRESS
				pass ${seconds * 1000 - 100}
				a start 198.51.100.1:80 = EALREADY
				b bind 192.0.2.10:6000 = EADDRINUSE
				pass 5100
				a error = ETIMEDOUT
				`,
				versions,
			);
		}
	}
	for (const [linear, retries, seconds] of [
		[0, 3, 15],
		[1, 3, 16],
		[2, 3, 17],
		[127, 3, 15],
	] as const) {
		rule(
			`gives up after ${seconds} s with ${retries} retries and tcp_syn_linear_timeouts ${linear}`,
			`
			write tcp_syn_retries "${retries}"
			write tcp_syn_linear_timeouts "${linear}"
			a start 198.51.100.1:80 = EINPROGRESS
			pass ${seconds * 1000 - 100}
			a start 198.51.100.1:80 = EALREADY
			pass 900
			a error = ETIMEDOUT
			`,
			LINEAR,
		);
	}
	rule(
		"from ::1 is refused if the destination is an address of lo, and not if it is one of another device",
		`
		ip link add dummy1 address 02:00:00:00:00:01 type dummy
		ip link set dummy1 up
		ip -6 addr add 2001:db8:3::10/64 dev dummy1 nodad
		tcp6 a b
		a bind [::1]:6000
		a start [2001:db8::10]:5000 = EINPROGRESS
		a error = ECONNREFUSED
		b bind [::1]:6001
		b start [2001:db8:3::10]:5000 = EINPROGRESS
		b error = 0
		`,
	);
	rule(
		"gives up after as many retries as TCP_SYNCNT (6.7) says, if it is set",
		`
		a getopt 6.7 4 = 06000000
		a set 6.7 0 = EINVAL
		a set 6.7 128 = EINVAL
		a set 6.7 127
		a set 6.7 1
		write tcp_syn_retries "3"
		a getopt 6.7 4 = 01000000
		a start 198.51.100.1:80 = EINPROGRESS
		pass 2900
		a start 198.51.100.1:80 = EALREADY
		pass 200
		a error = ETIMEDOUT
		`,
	);
	rule(
		"takes tcp_syn_retries and tcp_syn_linear_timeouts as they are when a timer fires",
		`
		a start 198.51.100.1:80 = EINPROGRESS
		pass 3500 # SYNs at 0, 1, 2, 3 s
		write tcp_syn_retries "1"
		a start 198.51.100.1:80 = EALREADY
		pass 1000
		a error = ETIMEDOUT
		b start 198.51.100.1:80 = EINPROGRESS
		pass 1500
		write tcp_syn_retries "3"
		write tcp_syn_linear_timeouts "0"
		pass 6000 # SYNs at 0, 1, 2, 4 s
		b start 198.51.100.1:80 = EALREADY
		pass 1000
		b error = ETIMEDOUT
		`,
		LINEAR,
	);
	rule(
		"to the socket's own address and port connects the socket to itself",
		`
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:6000
		a state = ESTABLISHED
		a name = 127.0.0.1:6000
		a peer = 127.0.0.1:6000
		a send 5 = 5
		a recv 9 = 5
		a close
		at 6000 = TIME_WAIT
		`,
	);
	rule(
		"to an ephemeral port may choose this port and connect the socket to itself",
		`
		write ip_local_port_range "40000 40000"
		a connect 127.0.0.1:40000
		a name = 127.0.0.1:40000
		a peer = 127.0.0.1:40000
		b connect 127.0.0.1:40000 = EADDRNOTAVAIL
		`,
	);
	rule(
		"to a port that is bound, but not listened on, fails with ECONNREFUSED",
		`
		a bind 127.0.0.1:6001
		b bind 127.0.0.1:6002
		c bind 127.0.0.1:6003
		c start 127.0.0.1:6001 = EINPROGRESS
		c error = ECONNREFUSED
		`,
	);
	rule(
		"to AF_UNSPEC dissolves the connection, and the socket can connect again",
		`
		s bind 127.0.0.1:5000
		s listen 5
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		s accept t
		a dissolve
		t recv 1 = ECONNRESET
		a state = CLOSE
		a peer = ENOTCONN
		a name = 127.0.0.1:6000
		a error = ECONNRESET
		a connect 127.0.0.1:5000
		s accept u
		u peer = 127.0.0.1:6000
		`,
	);
	rule(
		"to AF_UNSPEC gives up the address and the port that bind() did not name",
		`
		write ip_local_port_range "40000 40000"
		s bind 127.0.0.1:5000
		s listen 5
		# bind() named neither port nor address.
		a connect 127.0.0.1:5000
		a name = 127.0.0.1:40000
		a dissolve
		a name = 0.0.0.0:40000
		# bind() named the address.
		b bind 127.0.0.2:0
		b connect 127.0.0.1:5000
		b name = 127.0.0.2:40000
		b dissolve
		b name = 127.0.0.2:40000
		# bind() named the port.
		c bind 0.0.0.0:40000
		c connect 127.0.0.1:5000
		c name = 127.0.0.1:40000
		c dissolve
		c name = 0.0.0.0:40000
		a connect 127.0.0.1:5000 = EADDRNOTAVAIL
		c close
		a connect 127.0.0.1:5000
		`,
	);
	rule(
		"to AF_UNSPEC succeeds in every state of the socket",
		`
		a dissolve
		a state = CLOSE
		a error = 0
		b bind 127.0.0.1:6000
		b dissolve
		b name = 127.0.0.1:6000
		n start 198.51.100.1:80 = EINPROGRESS
		n dissolve
		n error = ECONNRESET
		n start 198.51.100.1:80 = EINPROGRESS
		n error = 0
		# A socket that was not connected keeps a port that bind() chose.
		write ip_local_port_range "40000 40000"
		d bind 127.0.0.1:0
		d dissolve
		e bind 127.0.0.1:0 = EADDRINUSE
		`,
	);
	rule(
		"that is under way ends with shutdown(SHUT_WR)",
		`
		write ip_local_port_range "40000 40000"
		a shutdown rdwr = ENOTCONN
		n start 198.51.100.1:80 = EINPROGRESS
		n name = 192.0.2.10:40000
		n shutdown wr
		n state = CLOSE
		n error = ECONNRESET
		b start 198.51.100.1:80 = EINPROGRESS
		n start 198.51.100.1:80 = EADDRNOTAVAIL
		n shutdown 3 = EINVAL
		n shutdown -1 = EINVAL
		`,
	);
	rule(
		"does not choose the four-tuple of another connection, also not for a socket that is bound to lo",
		`
		s bind 127.0.0.1:5000
		s listen 5
		write ip_local_port_range "40000 40000"
		a connect 127.0.0.1:5000
		b connect 127.0.0.1:5000 = EADDRNOTAVAIL
		b connect 127.0.0.2:5000 = ECONNREFUSED
		c setopt SO_BINDTODEVICE 6c6f 2
		c connect 127.0.0.1:5000 = EADDRNOTAVAIL
		`,
	);
});
