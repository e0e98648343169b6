// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Datagrams that MSG_MORE and UDP_CORK hold back: udp_sendmsg, udpv6_sendmsg, udp_lib_setsockopt and
 * udp_destroy_sock.
 */
import { describe } from "vitest";
import { rule } from "../world.js";

const UDP_CORK = "17.1";

for (const [family, kind, here, there] of [
	["IPv4", "udp", "127.0.0.1:5000", "127.0.0.2:5001"],
	["IPv6", "udp6", "[::1]:5000", "[::1]:5001"],
	["a v4-mapped address", "udp6", "[::ffff:127.0.0.1]:5000", "[::ffff:127.0.0.2]:5001"],
] as const) {
	/** Receivers r and t, and a sender s. */
	const sockets = `
		${kind} r t s
		r bind ${here}
		t bind ${there}
		`;

	describe(`a datagram over ${family}`, () => {
		rule(
			"waits for a send without MSG_MORE, whose address does not count",
			`${sockets}
			s more 3 ${here} = 3
			r recv 99 = EAGAIN
			s more 4 ${there} = 4
			s send 1 ${there} = 1
			t recv 99 = EAGAIN
			r recv 99 = 8
			s send 1 ${there} = 1
			t recv 99 = 1`,
		);
		rule(
			"can be held back when it is empty",
			`${sockets}
			s more 0 ${here} = 0
			s send 2 = 2
			r recv 99 = 2
			s send 2 = EDESTADDRREQ`,
		);
		rule(
			"waits for the end of UDP_CORK",
			`${sockets}
			s set ${UDP_CORK} 1
			s send 3 ${here} = 3
			s send 2 ${there} = 2
			r recv 99 = EAGAIN
			s getopt ${UDP_CORK} 4 = 01000000
			s set ${UDP_CORK} 0
			r recv 99 = 5
			t recv 99 = EAGAIN`,
		);
		rule(
			"is dropped at close(), and when it becomes too long",
			`${sockets}
			s more 30000 ${here} = 30000
			s more 30000 = 30000
			s send 30000 = EMSGSIZE
			s send 1 = EDESTADDRREQ
			s more 1 ${here} = 1
			s close
			r recv 99 = EAGAIN`,
		);
	});
}

describe("a datagram that is held back over IPv4", () => {
	rule(
		"goes to the address of a later connect(), because both use the same flow",
		`
		udp r t s
		r bind 127.0.0.1:5000
		t bind 127.0.0.2:5001
		s bind 127.0.0.1:5002
		s more 3 127.0.0.1:5000 = 3
		s connect 127.0.0.2:5001
		s send 1 = 1
		r recv 99 = EAGAIN
		t recv 99 = 4`,
	);
	rule(
		"changes where a connected socket sends to from then on",
		`
		udp r t s
		r bind 127.0.0.1:5000
		t bind 127.0.0.2:5001
		s connect 127.0.0.1:5000
		s send 1 = 1
		r recv 99 = 1
		s more 3 127.0.0.2:5001 = 3
		s send 1 = 1
		t recv 99 = 4
		s send 2 = 2
		r recv 99 = EAGAIN
		t recv 99 = 2
		s connect 127.0.0.1:5000
		s send 2 = 2
		r recv 99 = 2`,
	);
});

describe("a datagram that is held back over IPv6", () => {
	const HELD = `
		udp6 r t s
		r bind [::1]:5000
		t bind [::1]:5001
		s connect [::1]:5000
		s more 3 = 3
		`;
	rule(
		"keeps its address at a later connect() before 7.0",
		`${HELD}
		s connect [::1]:5001
		s send 1 = 1
		r recv 99 = 4
		s send 2 = 2
		t recv 99 = 2`,
		["6.3", "6.12", "6.19.14"],
	);
	rule(
		"goes to the address of a later connect() since 7.0",
		`${HELD}
		s connect [::1]:5001
		s send 1 = 1
		t recv 99 = 4
		r recv 99 = EAGAIN`,
		["7.0", "7.3"],
	);
	rule(
		"is lost after a connect() over IPv4",
		`${HELD}
		s connect [::ffff:127.0.0.1]:5001
		s send 1 = 1
		t recv 99 = EAGAIN
		r recv 99 = EAGAIN
		s send 2 = 2`,
	);
	rule(
		"does not take data for a v4-mapped address",
		`
		udp6 s
		s more 3 [::1]:5000 = 3
		s send 1 [::ffff:127.0.0.1]:5000 = EINVAL`,
	);
});

describe("a datagram that is held back over IPv4 by an IPv6 socket", () => {
	rule(
		"is lost after a connect() over IPv6 since 7.0",
		`
		udp6 r s
		r bind [::ffff:127.0.0.1]:5000
		s more 3 [::ffff:127.0.0.1]:5000 = 3
		s connect [::1]:5001
		s send 1 = 1
		r recv 99 = EAGAIN`,
		["7.0", "7.3"],
	);
});
