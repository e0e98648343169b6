// SPDX-License-Identifier: GPL-2.0-or-later
/** close() and shutdown(): the end of a connection, and TIME_WAIT. */
import { describe } from "vitest";
import { rule } from "../world.js";

/** A connection from c (port 6000) to t (port 5000), which the listener s has accepted. */
const connected = (options = "", address = "127.0.0.1") => `
		s set SO_REUSEADDR 1
		s bind ${address}:5000
		s listen 5
		${options}
		c bind ${address}:6000
		c connect ${address}:5000
		s accept t
`;

/*
 * In the kernel's timer wheel long timers expire late. Those of half a minute and more are up to
 * 2 s late (kernel/time/timer.c). So the tests check a timer of 60 s after 62 s.
 */
describe("the end of a connection", () => {
	rule(
		"leaves the client's port in TIME_WAIT for 60 s if the client closes first",
		`
		${connected()}
		c close
		t state = CLOSE_WAIT
		t recv 1 = 0
		t close
		at 5000 = LISTEN
		at 6000 = TIME_WAIT
		pass 59900
		at 6000 = TIME_WAIT
		pass 2200
		at 6000 = nothing
		`,
	);
	rule(
		"leaves the server's port in TIME_WAIT for 60 s if the server closes first",
		`
		${connected()}
		t close
		c state = CLOSE_WAIT
		c close
		at 5000 = LISTEN TIME_WAIT
		at 6000 = nothing
		pass 59900
		at 5000 = LISTEN TIME_WAIT
		pass 2200
		at 5000 = LISTEN
		`,
	);
	rule(
		"comes in two halves if one side calls shutdown(SHUT_WR)",
		`
		${connected()}
		c shutdown wr
		c send 1 = EPIPE
		t state = CLOSE_WAIT
		t recv 9 = 0
		t send 5 = 5
		c recv 9 = 5
		c recv 9 = EAGAIN
		t close
		c recv 9 = 0
		# A time-wait socket stands for the connection, while c is still open.
		c state = CLOSE
		c name = 127.0.0.1:6000
		c peer = ENOTCONN
		at 6000 = TIME_WAIT
		at 5000 = LISTEN
		c close
		at 6000 = TIME_WAIT
		pass 62100
		at 6000 = nothing
		`,
	);
	rule(
		"comes from shutdown(SHUT_RDWR) on both sides as from close()",
		`
		${connected()}
		c shutdown rdwr
		t shutdown rdwr
		t state = CLOSE
		c state = CLOSE
		at 6000 = TIME_WAIT
		t close
		c close
		at 6000 = TIME_WAIT
		`,
	);
	rule(
		"does not come from shutdown(SHUT_RD)",
		`
		${connected()}
		c shutdown rd
		c recv 9 = 0
		c state = ESTABLISHED
		t state = ESTABLISHED
		t send 3 = 3
		c recv 9 = 3
		c send 2 = 2
		t recv 9 = 2
		`,
	);
	rule(
		"is a reset if close() leaves data unread",
		`
		${connected()}
		t send 5 = 5
		c recv 3 = 3
		c close
		t state = CLOSE
		at 6000 = nothing
		at 5000 = LISTEN
		t recv 9 = ECONNRESET
		t recv 9 = 0
		t send 1 = EPIPE
		t peer = ENOTCONN
		`,
	);
	rule(
		"is no reset if all data was read",
		`
		${connected()}
		t send 5 = 5
		c recv 3 = 3
		c recv 3 = 2
		c close
		t recv 9 = 0
		t close
		at 6000 = TIME_WAIT
		`,
	);
	rule(
		"is a reset with SO_LINGER of 0 s",
		`
		${connected("c setopt SO_LINGER 0100000000000000 8")}
		c close
		t state = CLOSE
		t error = ECONNRESET
		t recv 9 = 0
		at 6000 = nothing
		at 5000 = LISTEN
		`,
	);
	rule(
		"leaves no TIME_WAIT with SO_LINGER of 0 s if the other side closed first",
		`
		${connected("c setopt SO_LINGER 0100000000000000 8")}
		t close
		c state = CLOSE_WAIT
		c close
		at 6000 = nothing
		at 5000 = LISTEN
		`,
	);
	rule(
		"takes no time with SO_LINGER of 5 s because the other side acknowledges the FIN at once",
		`
		${connected("c setopt SO_LINGER 0100000005000000 8")}
		c close
		clock = 0
		t state = CLOSE_WAIT
		at 6000 = FIN_WAIT2
		`,
	);
	rule(
		"is a reset if data comes after close()",
		`
		${connected()}
		c close
		t send 5 = 5
		t state = CLOSE
		t send 5 = EPIPE
		t error = 0
		t recv 9 = 0
		at 6000 = nothing
		at 5000 = LISTEN
		`,
	);
	rule(
		"is a reset if data comes 300 ms after close()",
		`
		${connected()}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		t send 5 = 5
		t error = EPIPE
		t send 5 = EPIPE
		at 6000 = nothing
		`,
	);
	rule(
		"stays in FIN_WAIT2 for tcp_fin_timeout if the other side does not close",
		`
		write tcp_fin_timeout "3"
		${connected()}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		pass 2500
		at 6000 = FIN_WAIT2
		pass 500
		at 6000 = nothing
		t state = CLOSE_WAIT
		t send 1 = 1
		t send 1 = EPIPE
		`,
	);
	rule(
		"stays in FIN_WAIT2 for 2 s with tcp_fin_timeout 61: 1 s as a socket and 1 s as a time-wait socket",
		`
		write tcp_fin_timeout "61"
		${connected()}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		pass 1400
		at 6000 = FIN_WAIT2
		pass 600
		at 6000 = nothing
		`,
	);
	rule(
		"stays in FIN_WAIT2 for 60 s with tcp_fin_timeout 90",
		`
		write tcp_fin_timeout "90"
		${connected()}
		c close
		pass 29900
		at 6000 = FIN_WAIT2
		pass 30000
		at 6000 = FIN_WAIT2
		pass 4300
		at 6000 = nothing
		`,
	);
	rule(
		"goes from FIN_WAIT2 to TIME_WAIT, for 60 s, when the other side closes",
		`
		${connected()}
		c close
		pass 30000
		at 6000 = FIN_WAIT2
		t close
		at 6000 = TIME_WAIT
		pass 59900
		at 6000 = TIME_WAIT
		pass 2200
		at 6000 = nothing
		`,
	);
	rule(
		"stays in FIN_WAIT2 as long as the socket is open",
		`
		write tcp_fin_timeout "1"
		${connected()}
		c shutdown wr
		pass 5000
		c state = FIN_WAIT2
		t send 1 = 1
		c recv 9 = 1
		c close
		pass 500
		at 6000 = FIN_WAIT2
		pass 700
		at 6000 = nothing
		`,
	);
	rule(
		"stays in FIN_WAIT2 for tcp_fin_timeout if shutdown() sent the FIN before close()",
		`
		write tcp_fin_timeout "120"
		${connected()}
		c shutdown wr
		c close
		pass 100000
		a bind 127.0.0.1:6000 = EADDRINUSE
		pass 25000
		a bind 127.0.0.1:6000
		`,
	);
	rule(
		"is a reset for a side that closes after the other side is gone",
		`
		write tcp_fin_timeout "1"
		${connected()}
		c close
		pass 1500
		at 6000 = nothing
		t close
		pass 10
		at 5000 = LISTEN
		`,
	);
});

describe("a port in TIME_WAIT", () => {
	rule(
		"cannot be bound without SO_REUSEADDR on both sockets",
		`
		${connected()}
		c close
		t close
		at 6000 = TIME_WAIT
		a bind 127.0.0.1:6000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:6000 = EADDRINUSE
		w set SO_REUSEADDR 1
		w bind 0.0.0.0:6000 = EADDRINUSE
		d bind 127.0.0.2:6000
		pass 62100
		a bind 127.0.0.1:6000
		`,
	);
	rule(
		"can be bound and listened on with SO_REUSEADDR on both sockets",
		`
		${connected("c set SO_REUSEADDR 1")}
		c close
		t close
		at 6000 = TIME_WAIT
		a bind 127.0.0.1:6000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:6000
		b listen 1
		at 6000 = LISTEN TIME_WAIT
		`,
	);
	rule(
		"lets a server with SO_REUSEADDR start again at once",
		`
		${connected()}
		t close
		c close
		s close
		at 5000 = TIME_WAIT
		a bind 127.0.0.1:5000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 0.0.0.0:5000
		b listen 1
		d connect 127.0.0.1:5000
		b accept e
		`,
	);
	rule(
		"can be bound by every user with SO_REUSEPORT on both sockets",
		`
		${connected("c set SO_REUSEPORT 1")}
		user 1000
		a set SO_REUSEPORT 1
		a bind 127.0.0.1:6000 = EADDRINUSE
		c close
		t close
		at 6000 = TIME_WAIT
		a bind 127.0.0.1:6000
		b bind 127.0.0.1:6000 = EADDRINUSE
		`,
	);
	rule(
		"can be the source of a new connection of a socket that is bound to it, whatever tcp_tw_reuse is",
		`
		write tcp_tw_reuse "0"
		${connected("c set SO_REUSEADDR 1")}
		c close
		t close
		at 6000 = TIME_WAIT
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		at 6000 = ESTABLISHED
		s accept u
		u peer = 127.0.0.1:6000
		`,
	);
	rule(
		"can be the source of a new connection of a socket that is bound to it, also in FIN_WAIT2",
		`
		write tcp_tw_reuse "0"
		${connected("c set SO_REUSEADDR 1")}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a start 127.0.0.1:5001 = EINPROGRESS
		a error = ECONNREFUSED
		at 6000 = FIN_WAIT2
		`,
	);
	rule(
		"in FIN_WAIT2 is connected again at once: a RST ends the old connection, and the SYN is sent again",
		`
		${connected("c set SO_REUSEADDR 1")}
		c close
		pass 300
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a start 127.0.0.1:5000 = EINPROGRESS
		pass 200
		a start 127.0.0.1:5000
		t error = EPIPE
		s accept u
		u peer = 127.0.0.1:6000
		`,
	);
	rule(
		"of a server accepts a new connection from the same client port at once",
		`
		${connected("c set SO_REUSEADDR 1")}
		t close
		c close
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a start 127.0.0.1:5000 = EINPROGRESS
		a peer = 127.0.0.1:5000
		s accept u
		u peer = 127.0.0.1:6000
		`,
	);
	rule(
		"of a server is replaced by a new connection from the same client port",
		`
		${connected("c set SO_REUSEADDR 1")}
		t close
		c close
		at 5000 = LISTEN TIME_WAIT
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		at 5000 = ESTABLISHED LISTEN
		`,
	);

	/** Versions that check whether the second has changed. */
	const BY_SECONDS = ["6.3", "6.1.176", "6.12.107"];

	/** A connection whose port connect() chose, in TIME_WAIT on the client's side. */
	const chosen = (address: string, reuse: number, options = "") => `
		write tcp_tw_reuse "${reuse}"
		write ip_local_port_range "40000 40000"
		s bind ${address}:5000
		s listen 5
		${options}
		tick
		c connect ${address}:5000
		s accept t
		c close
		t close
		at 40000 = TIME_WAIT
	`;
	rule(
		"is not chosen by connect() with tcp_tw_reuse 0",
		`
		${chosen("127.0.0.1", 0)}
		d connect 127.0.0.1:5000 = EADDRNOTAVAIL
		tick
		d connect 127.0.0.1:5000 = EADDRNOTAVAIL
		pass 50000
		d connect 127.0.0.1:5000 = EADDRNOTAVAIL
		pass 12100
		d connect 127.0.0.1:5000
		`,
	);
	for (const [reuse, address] of [
		[1, "127.0.0.1"],
		[1, "192.0.2.10"],
		[2, "127.0.0.1"],
		[2, "127.0.0.2"],
	] as const) {
		rule(
			`of ${address} is chosen by connect() with tcp_tw_reuse ${reuse} when the second has changed, before 6.14`,
			`
			${chosen(address, reuse)}
			d connect ${address}:5000 = EADDRNOTAVAIL
			tick
			d connect ${address}:5000
			at 40000 = ESTABLISHED
			`,
			BY_SECONDS,
		);
		rule(
			`of ${address} is chosen by connect() with tcp_tw_reuse ${reuse} one second later, since 6.14`,
			`
			${chosen(address, reuse)}
			pass 900
			d connect ${address}:5000 = EADDRNOTAVAIL
			pass 200
			d connect ${address}:5000
			at 40000 = ESTABLISHED
			`,
			["6.18.44", "*"],
		);
	}
	rule(
		"of an address outside 127.0.0.0/8 is not chosen by connect() with tcp_tw_reuse 2",
		`
		${chosen("192.0.2.10", 2)}
		tick
		d connect 192.0.2.10:5000 = EADDRNOTAVAIL
		pass 5000
		d connect 192.0.2.10:5000 = EADDRNOTAVAIL
		write tcp_tw_reuse "1"
		d connect 192.0.2.10:5000
		`,
	);
	rule(
		"of a socket bound to lo is chosen by connect() with tcp_tw_reuse 2 for a socket bound to lo",
		`
		${chosen("192.0.2.10", 2, "c setopt SO_BINDTODEVICE 6c6f 2")}
		tick
		pass 1000
		d setopt SO_BINDTODEVICE 6c6f 2
		d connect 192.0.2.10:5000
		at 40000 = ESTABLISHED
		`,
	);
	rule(
		"is chosen by connect() to another destination",
		`
		${chosen("127.0.0.1", 0)}
		u bind 127.0.0.1:5001
		u listen 5
		d connect 127.0.0.1:5001
		d name = 127.0.0.1:40000
		at 40000 = ESTABLISHED TIME_WAIT
		`,
	);

	/** The same with the other side still open. */
	const half = (reuse: number) => `
		write tcp_tw_reuse "${reuse}"
		write ip_local_port_range "40000 40000"
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		s accept t
		c close
		pass 300
		at 40000 = FIN_WAIT2
		tick
	`;
	rule(
		"in FIN_WAIT2 is chosen by connect(), before 6.12 and 6.1.176",
		`
		${half(1)}
		d start 127.0.0.1:5000 = EINPROGRESS
		`,
		["6.3"],
	);
	rule(
		"in FIN_WAIT2 is not chosen by connect(), since 6.12 and 6.1.176",
		`
		${half(1)}
		d start 127.0.0.1:5000 = EADDRNOTAVAIL
		t close
		at 40000 = TIME_WAIT
		tick
		d start 127.0.0.1:5000 = EINPROGRESS
		d state = ESTABLISHED
		`,
		["6.1.176"],
	);
	rule(
		"is free at once if there are tcp_max_tw_buckets time-wait sockets already",
		`
		write tcp_max_tw_buckets "0"
		${connected()}
		c close
		t close
		at 6000 = nothing
		`,
	);
});
