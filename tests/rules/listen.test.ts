// SPDX-License-Identifier: GPL-2.0-or-later
/** listen(), and connections to a listener. */
import { describe } from "vitest";
import { EXPONENTIAL, LINEAR, rule } from "../world.js";

describe("listen", () => {
	rule(
		"chooses a port if the socket has none",
		`
		write ip_local_port_range "40000 40001"
		a listen 1
		a name = 0.0.0.0:$p
		b listen 1
		b name = 0.0.0.0:$q
		c listen 1 = EADDRINUSE
		c state = CLOSE
		c name = 0.0.0.0:0
		d connect 127.0.0.1:$p = EADDRNOTAVAIL
		a close
		c listen 1
		c name = 0.0.0.0:$p
		`,
	);
	rule(
		"chooses a port on an address that was bound with IP_BIND_ADDRESS_NO_PORT",
		`
		write ip_local_port_range "40000 40000"
		a set IP_BIND_ADDRESS_NO_PORT 1
		a bind 127.0.0.1:0
		a listen 1
		a name = 127.0.0.1:40000
		b bind 127.0.0.2:0
		b listen 1
		c listen 1 = EADDRINUSE
		`,
	);
	rule(
		"checks its port again, and SO_REUSEADDR does not help against a listener",
		`
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:5000
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000
		a listen 1
		b listen 1 = EADDRINUSE
		# The second socket keeps its port, and may try again.
		b state = CLOSE
		b name = 127.0.0.1:5000
		c set SO_REUSEADDR 1
		c bind 127.0.0.1:5000 = EADDRINUSE
		a close
		c bind 127.0.0.1:5000
		b listen 1
		c listen 1 = EADDRINUSE
		`,
	);
	rule(
		"on the wildcard excludes listen on one address, and the reverse, also with SO_REUSEADDR",
		`
		a set SO_REUSEADDR 1
		a bind 0.0.0.0:5000
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000
		a listen 1
		b listen 1 = EADDRINUSE
		a close
		b listen 1
		c set SO_REUSEADDR 1
		c bind 0.0.0.0:5000 = EADDRINUSE
		d set SO_REUSEADDR 1
		d bind 127.0.0.2:5000
		d listen 1
		`,
	);
	rule(
		"succeeds on several sockets with SO_REUSEPORT of one user",
		`
		user 1000
		a set SO_REUSEPORT 1
		a bind 127.0.0.1:5000
		b set SO_REUSEPORT 1
		b bind 127.0.0.1:5000
		c set SO_REUSEPORT 1
		c bind 0.0.0.0:5000
		a listen 1
		b listen 1
		c listen 1
		user 1001
		d set SO_REUSEPORT 1
		d bind 127.0.0.1:5000 = EADDRINUSE
		at 5000 = LISTEN LISTEN LISTEN
		`,
	);
	rule(
		"on a listener changes only the backlog",
		`
		s bind 127.0.0.1:5000
		s listen 0
		a connect 127.0.0.1:5000
		b start 127.0.0.1:5000 = EINPROGRESS
		b state = SYN_SENT
		s listen 5
		c connect 127.0.0.1:5000
		s name = 127.0.0.1:5000
		`,
	);
	rule(
		"fails with EINVAL on sockets that connect or are connected",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		c listen 1 = EINVAL
		s accept t
		t listen 1 = EINVAL
		n start 198.51.100.1:80 = EINPROGRESS
		n listen 1 = EINVAL
		`,
	);
	rule(
		"succeeds on a socket whose connect() failed",
		`
		a connect 127.0.0.1:5000 = ECONNREFUSED
		a listen 1
		b bind 127.0.0.1:5001
		b connect 127.0.0.1:5000 = ECONNREFUSED
		b listen 1
		b name = 127.0.0.1:5001
		`,
	);
	rule(
		"ends with shutdown(SHUT_RD), and the socket keeps a port that bind() named",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s shutdown wr
		s state = LISTEN
		s shutdown rd
		s state = CLOSE
		c recv 1 = ECONNRESET
		s name = 127.0.0.1:5000
		a bind 127.0.0.1:5000 = EADDRINUSE
		s listen 1
		d connect 127.0.0.1:5000
		# The socket gives up a port that listen() chose.
		write ip_local_port_range "40000 40000"
		u listen 1
		u shutdown rdwr
		v listen 1
		v name = 0.0.0.0:40000
		u listen 1 = EADDRINUSE
		`,
	);
	rule(
		"ends with connect() to AF_UNSPEC",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s dissolve
		s state = CLOSE
		c recv 1 = ECONNRESET
		s name = 127.0.0.1:5000
		s listen 1
		`,
	);
	rule(
		"makes connect(), send() and recv() on the socket fail",
		`
		s bind 127.0.0.1:5000
		s listen 1
		s connect 127.0.0.1:5001 = EISCONN
		s state = LISTEN
		s send 1 = EPIPE
		s recv 1 = ENOTCONN
		s peer = ENOTCONN
		`,
	);
});

describe("a listener", () => {
	rule(
		"with a full queue does not answer, and the client retries after 1 s and 3 s",
		`
		s bind 127.0.0.1:5000
		s listen 0
		a connect 127.0.0.1:5000
		b start 127.0.0.1:5000 = EINPROGRESS
		b state = SYN_SENT
		s accept t
		b state = SYN_SENT
		pass 700
		b state = SYN_SENT
		pass 400
		b state = ESTABLISHED
		b connect 127.0.0.1:5000
		b connect 127.0.0.1:5000 = EISCONN
		c start 127.0.0.1:5000 = EINPROGRESS
		pass 2500
		c state = SYN_SENT
		s accept u
		pass 700
		c state = ESTABLISHED
		`,
	);
	for (const [versions, seconds, waits, when] of [
		[EXPONENTIAL, "3 s", ["EALREADY", "0"], "before 6.5"],
		[LINEAR, "2 s", ["0", "EISCONN"], "since 6.5"],
	] as const) {
		rule(
			`with a full queue gets the client's third SYN ${seconds} after the first, ${when}`,
			`
			s bind 127.0.0.1:5000
			s listen 0
			a connect 127.0.0.1:5000
			b start 127.0.0.1:5000 = EINPROGRESS
			pass 1500
			s accept t
			pass 700
			b start 127.0.0.1:5000 = ${waits[0]}
			pass 1000
			b start 127.0.0.1:5000 = ${waits[1]}
			`,
			versions,
		);
	}
	rule(
		"with a full queue gets a SYN each second, but 2 s after the sixth and 4 s after the seventh, since 6.5",
		`
		s bind 127.0.0.1:5000
		s listen 0
		a connect 127.0.0.1:5000
		b start 127.0.0.1:5000 = EINPROGRESS
		pass 4500
		s accept t
		pass 700
		b start 127.0.0.1:5000
		c start 127.0.0.1:5000 = EINPROGRESS
		pass 5500
		s accept u
		pass 1000
		c start 127.0.0.1:5000 = EALREADY
		pass 1000
		c start 127.0.0.1:5000
		d start 127.0.0.1:5000 = EINPROGRESS
		pass 8000
		s accept v
		pass 2800
		d start 127.0.0.1:5000 = EALREADY
		pass 1200
		d start 127.0.0.1:5000
		`,
		LINEAR,
	);
	rule(
		"has room for one connection more than its backlog",
		`
		s bind 127.0.0.1:5000
		s listen 2
		a connect 127.0.0.1:5000
		b connect 127.0.0.1:5000
		c connect 127.0.0.1:5000
		d start 127.0.0.1:5000 = EINPROGRESS
		d state = SYN_SENT
		`,
	);
	rule(
		"on one address has precedence over a listener on the wildcard, and a listener on a device over both",
		`
		w set SO_REUSEPORT 1
		w bind 0.0.0.0:5000
		w listen 5
		s set SO_REUSEPORT 1
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		w accept t = EAGAIN
		s accept t
		d connect 127.0.0.2:5000
		s accept u = EAGAIN
		w accept u
		x set SO_REUSEPORT 1
		x setopt SO_BINDTODEVICE 6c6f 2
		x bind 127.0.0.1:5000
		x listen 5
		e connect 127.0.0.1:5000
		s accept v = EAGAIN
		x accept v
		`,
	);
	rule(
		"on the wildcard accepts connections to every address of the namespace",
		`
		s bind 0.0.0.0:5000
		s listen 5
		a connect 127.0.0.1:5000
		b connect 192.0.2.10:5000
		c connect 127.9.9.9:5000
		d connect 0.0.0.0:5000
		s accept t
		s accept u
		s accept v
		s accept w
		t name = 127.0.0.1:5000
		u name = 192.0.2.10:5000
		v name = 127.9.9.9:5000
		w name = 127.0.0.1:5000
		d peer = 127.0.0.1:5000
		`,
	);
});
