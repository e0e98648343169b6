// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * When data reaches the peer: Nagle's algorithm holds a small segment while another one is not
 * acknowledged, and acknowledgements are delayed once the peers take turns.
 */
import { describe } from "vitest";
import { rule } from "../world.js";

/** A connection from c to t. */
const connected = (kind: string) => `
	${kind} s c
	s bind 127.0.0.1:5000
	s listen 4
	c start 127.0.0.1:5000 = EINPROGRESS
	s accept t
	`;

/** A connection over which each side has sent once: acknowledgements are delayed now. */
const turns = (kind: string) => `
	${connected(kind)}
	c send 5 = 5
	t send 5 = 5
	`;

for (const kind of ["tcp", "mptcp"]) {
	describe(`small segments of ${kind}`, () => {
		rule(
			"wait for the acknowledgement of the one before",
			`${turns(kind)}
			c send 5 = 5
			c send 5 = 5
			c send 5 = 5
			t recv 99 = 10
			t recv 99 = EAGAIN
			pass 60
			t recv 99 = 10`,
		);
		rule(
			"go out at once while each is acknowledged at once",
			`${connected(kind)}
			c send 5 = 5
			c send 5 = 5
			c send 5 = 5
			t recv 99 = 15`,
		);
		rule(
			"go out with the answer of the peer",
			`${turns(kind)}
			c send 5 = 5
			c send 5 = 5
			t send 1 = 1
			t recv 99 = 15`,
		);
		rule(
			"go out when TCP_NODELAY is set, and do not wait with it",
			`${turns(kind)}
			c send 5 = 5
			c send 5 = 5
			t recv 99 = 10
			c set 6.1 1
			t recv 99 = 5
			c send 5 = 5
			c send 5 = 5
			t recv 99 = 10`,
		);
		rule(
			"wait for the end of TCP_CORK",
			`${turns(kind)}
			c set 6.3 1
			c send 5 = 5
			t recv 99 = 5
			c set 6.3 0
			t recv 99 = 5`,
		);
		rule(
			"go out 200 ms later from a corked socket",
			`${turns(kind)}
			c set 6.3 1
			c send 5 = 5
			t recv 99 = 5
			pass 300
			t recv 99 = 5`,
		);
	});
}

describe("an acknowledgement", () => {
	rule(
		"is delayed from the seventeenth segment on if only one side sends",
		`${connected("tcp")}
		${"c send 5 = 5\n".repeat(20)}
		t recv 999 = 85`,
	);
	rule(
		"is sent when the program has read everything, unless the peers take turns",
		`${connected("tcp")}
		${"c send 5 = 5\n".repeat(18)}
		t recv 999 = 85
		t recv 999 = 5`,
	);
	rule(
		"of more than a full segment is sent when the program reads",
		`${turns("tcp")}
		c set 6.1 1
		c send 600 = 600
		c send 600 = 600
		c set 6.1 0
		c send 600 = 600
		t recv 9999 = 1205
		t recv 9999 = 600`,
	);
});

describe("data that MSG_MORE holds", () => {
	// tcp_rcv_established: tcp_data_snd_check runs in the fast path only if the segment acknowledges
	// something.
	rule(
		"stays when the peer sends and acknowledges nothing new",
		`${connected("tcp")}
		t more 2 = 2
		c send 2 = 2
		c recv 99 = EAGAIN
		pass 300
		c recv 99 = 2`,
	);
	rule(
		"goes out when the peer acknowledges something",
		`${turns("tcp")}
		c send 5 = 5
		c more 2 = 2
		t recv 99 = 10
		t recv 99 = EAGAIN
		t send 1 = 1
		t recv 99 = 2`,
	);
	// The window of the SYN-ACK is not scaled, so the first segment is not the expected one.
	rule(
		"goes out with the first segment that the client of a connection gets",
		`${connected("tcp")}
		c more 2 = 2
		t send 2 = 2
		t recv 99 = 2
		c more 2 = 2
		t send 2 = 2
		t recv 99 = EAGAIN`,
	);
	// The options of MPTCP are not the expected header.
	rule(
		"goes out on a subflow of MPTCP",
		`${connected("mptcp")}
		t more 2 = 2
		c send 2 = 2
		c recv 99 = 2`,
	);
});

describe("data that waits", () => {
	rule(
		"goes out with the FIN",
		`${turns("tcp")}
		c send 5 = 5
		c send 5 = 5
		c shutdown 1
		t recv 99 = 15
		t recv 99 = 0`,
	);
	rule(
		"delays the DATA_FIN of MPTCP",
		`${turns("mptcp")}
		c send 5 = 5
		c send 5 = 5
		c shutdown 1
		t recv 99 = 10
		t recv 99 = EAGAIN
		pass 60
		t recv 99 = 5
		t recv 99 = 0`,
	);
	rule(
		"reaches a peer that has closed after reading the rest, which resets the connection",
		`${turns("tcp")}
		c recv 99 = 5
		c send 5 = 5
		c send 5 = 5
		t recv 99 = 10
		t close
		c error = EPIPE`,
	);
	rule(
		"goes out after the data that a full queue dropped has been sent again",
		`tcp s c
		s set 6.9 10
		s bind 127.0.0.1:5000
		s listen 3
		c start 127.0.0.1:5000 = EINPROGRESS
		${["d", "e", "f", "g"].map((name) => `tcp ${name}\n${name} start 127.0.0.1:5000 = EINPROGRESS\n${name} send 5 = 5\n`).join("")}
		c send 5 = 5
		s accept b
		c send 5 = 5
		s accept u
		s accept v
		s accept w
		s accept t = EAGAIN
		pass 1000
		s accept t
		t recv 99 = 10
		c send 5 = 5
		t recv 99 = 5`,
	);
	rule(
		"on a socket that is connected to itself waits for its own acknowledgement",
		`tcp c
		c bind 127.0.0.1:5000
		c start 127.0.0.1:5000 = EINPROGRESS
		c send 5 = 5
		c send 5 = 5
		c send 5 = 5
		c recv 99 = 10`,
	);
});
