// SPDX-License-Identifier: GPL-2.0-or-later
/** accept(). */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("accept", () => {
	rule(
		"returns connections in the order in which they arrived",
		`
		s bind 127.0.0.1:5000
		s listen 2
		s accept t = EAGAIN
		a bind 127.0.0.1:6001
		a connect 127.0.0.1:5000
		b bind 127.0.0.1:6002
		b connect 127.0.0.1:5000
		c bind 127.0.0.1:6003
		c connect 127.0.0.1:5000
		s accept t
		s accept u
		s accept v
		s accept w = EAGAIN
		t peer = 127.0.0.1:6001
		u peer = 127.0.0.1:6002
		v peer = 127.0.0.1:6003
		t name = 127.0.0.1:5000
		a peer = 127.0.0.1:5000
		`,
	);
	rule(
		"fails with EINVAL on a socket that does not listen",
		`
		a accept t = EINVAL
		a bind 127.0.0.1:5000
		a accept t = EINVAL
		a listen 1
		c connect 127.0.0.1:5000
		c accept t = EINVAL
		`,
	);
	rule(
		"returns a connection that its client has closed",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		c send 3 = 3
		c close
		s accept t
		t state = CLOSE_WAIT
		t recv 9 = 3
		t recv 9 = 0
		t close
		`,
	);
	rule(
		"returns a connection that its client has reset",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c setopt SO_LINGER 0100000000000000 8
		c bind 127.0.0.1:6000
		c connect 127.0.0.1:5000
		c close
		s accept t
		t state = CLOSE
		t peer = ENOTCONN
		t name = 127.0.0.1:5000
		t recv 1 = ECONNRESET
		t recv 1 = 0
		t send 1 = EPIPE
		`,
	);
	rule(
		"returns a connection whose data came while the accept queue was full, with the data",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c bind 127.0.0.1:6000
		# TCP_QUICKACK 0 delays the last segment of the handshake.
		c set 6.12 0
		c start 127.0.0.1:5000 = EINPROGRESS
		a connect 127.0.0.1:5000
		b connect 127.0.0.1:5000
		c send 3 = 3
		s accept t
		s accept u
		pass 1500
		s accept v
		v peer = 127.0.0.1:6000
		v recv 9 = 3
		`,
	);
	rule(
		"never returns a connection that still waits when the listener closes, because it is reset",
		`
		s bind 127.0.0.1:5000
		s listen 5
		a connect 127.0.0.1:5000
		s accept t
		b connect 127.0.0.1:5000
		c connect 127.0.0.1:5000
		s close
		b recv 1 = ECONNRESET
		c send 1 = ECONNRESET
		a send 1 = 1
		t recv 9 = 1
		d connect 127.0.0.1:5000 = ECONNREFUSED
		at 5000 = ESTABLISHED
		`,
	);
	rule(
		"makes a socket that keeps the port in use after its listener has closed",
		`
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		s accept t
		s close
		a bind 127.0.0.1:5000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000 = EADDRINUSE
		d bind 127.0.0.2:5000
		t close
		c close
		at 5000 = TIME_WAIT
		`,
	);
	rule(
		"copies SO_REUSEADDR to the new socket, so another listener can bind the port beside old connections",
		`
		s set SO_REUSEADDR 1
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		s accept t
		s close
		a bind 127.0.0.1:5000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000
		b listen 5
		d connect 127.0.0.1:5000
		b accept u
		`,
	);
});
