// SPDX-License-Identifier: GPL-2.0-or-later
/** MPTCP: how connections within a host end, and when their ports are free again. */
import { describe } from "vitest";
import { rule } from "../world.js";

const CONNECTED = `
	mptcp s
	mptcp a b with SO_REUSEADDR
	s bind 127.0.0.1:5000
	s listen 4
	a bind 127.0.0.1:6000
	a connect 127.0.0.1:5000
`;

describe("an MPTCP connection that one end closed", () => {
	rule(
		"keeps its four-tuple until the other end closes as well",
		`${CONNECTED}
		s accept c
		a close
		b bind 127.0.0.1:6000
		b connect 127.0.0.1:5000 = EADDRNOTAVAIL
		c close
		b connect 127.0.0.1:5000
		s accept d
		d peer = 127.0.0.1:6000
		`,
	);
	rule(
		"is reset after a minute if the other end does not close",
		`${CONNECTED}
		s accept c
		a close
		pass 64000
		c recv 9 = EPIPE
		c peer = ENOTCONN
		b bind 127.0.0.1:6000
		b connect 127.0.0.1:5000
		`,
	);
	rule(
		"leaves no TIME_WAIT if data was not read",
		`${CONNECTED}
		s accept c
		c send 3 = 3
		a close
		c recv 9 = ECONNRESET
		c peer = ENOTCONN
		b bind 127.0.0.1:6000
		b connect 127.0.0.1:5000
		`,
	);
	rule(
		"is closed at both ends after shutdown(SHUT_WR) at both ends",
		`${CONNECTED}
		s accept c
		a shutdown wr
		a peer = 127.0.0.1:5000
		c shutdown wr
		a peer = ENOTCONN
		c peer = ENOTCONN
		c recv 9 = 0
		`,
	);
});

describe("an MPTCP connection that waits for accept()", () => {
	rule(
		"has the options that the listener had when it was made",
		`${CONNECTED}
		s setopt SO_LINGER 0100000007000000 8
		s accept c
		c getopt SO_LINGER 8 = 0000000000000000
		`,
	);
	rule(
		"is accepted after the client closed it",
		`${CONNECTED}
		a close
		s accept c
		c peer = 127.0.0.1:6000
		c recv 9 = 0
		c close
		b bind 127.0.0.1:6000
		b connect 127.0.0.1:5000
		`,
	);
	rule(
		"is accepted after the client aborted it, and has an error",
		`${CONNECTED}
		a setopt SO_LINGER 0100000000000000 8
		a close
		s accept c
		c peer = ENOTCONN | 6.3: 127.0.0.1:6000
		c recv 9 = ECONNRESET | 6.3: 0
		`,
	);
	rule(
		"is aborted when the listener closes",
		`${CONNECTED}
		s close
		a recv 9 = ECONNRESET
		a peer = ENOTCONN
		b bind 127.0.0.1:5000
		`,
	);
});

describe("the other end of an MPTCP socket that is plain TCP", () => {
	rule(
		"closes like TCP: the socket that closes first is in TIME_WAIT",
		`
		tcp s
		mptcp a b with SO_REUSEADDR
		s bind 127.0.0.1:5000
		s listen 4
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		s accept c
		a close
		b bind 127.0.0.1:6000
		b connect 127.0.0.1:5000 = EADDRNOTAVAIL
		c close
		b connect 127.0.0.1:5000
		`,
	);
	const unread = `
		tcp s
		mptcp a
		s bind 127.0.0.1:5000
		s listen 4
		a connect 127.0.0.1:5000
		s accept c
		c send 3 = 3
		a close
		`;
	rule(
		"gets a FIN, not a reset, if the MPTCP socket did not read its data",
		`${unread}
		c recv 9 = 0`,
		["6.1.176", "6.12.107", "6.17.13", "6.18.44", "*"],
	);
	// ae155060247b (6.18) does nothing after a fallback.
	rule(
		"got a reset before 6.18 if the MPTCP socket did not read its data",
		`${unread}
		c recv 9 = ECONNRESET`,
		["6.3", "6.5", "6.13.7", "6.16"],
	);
});

describe("a client that a listener of MPTCP has not accepted", () => {
	const waits = `
		mptcp s a
		s bind 127.0.0.1:5000
		s listen 4
		a connect 127.0.0.1:5000
		a send 1 = 1
		s dissolve
		`;
	rule(
		"is told by MP_FASTCLOSE that the listener has ended",
		`${waits}
		a shutdown 0 = ENOTCONN`,
		["6.1.176", "6.12.107", "6.17.13", "6.18.44", "*"],
	);
	rule(
		"only lost its subflow before 6.18",
		`${waits}
		a recv 9 = EAGAIN
		a shutdown 0 = 0
		a send 1 = 1`,
		["6.3", "6.5", "6.10", "6.16"],
	);
});
