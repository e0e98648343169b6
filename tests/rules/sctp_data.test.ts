// SPDX-License-Identifier: GPL-2.0-or-later
/** SCTP: when data arrives and is acknowledged, and what it means for the end of an association. */
import { describe, expect, it } from "vitest";
import { AF_INET, SOCK_SEQPACKET } from "../../kernel-model/index.js";
import { rule, World } from "../world.js";

const CONNECTED = `
		sctp s a x
		s bind 127.0.0.1:5000
		s listen 4
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		s accept c
		`;

describe("the acknowledgement of SCTP's data", () => {
	rule(
		"is sent at once for the first packet, so the association ends at once",
		`${CONNECTED}
		a send 5 = 5
		c recv 9 = 5
		close a
		c recv = 0
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"is sent at once for two messages in one packet, the first of them with MSG_MORE",
		`${CONNECTED}
		a more 5 = 5
		c recv 9 = EAGAIN
		a send = 1
		c recv 9 = 5
		c recv 9 = 1
		close a
		c recv = 0
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"is sent at once for data with MSG_MORE that close() lets leave",
		`${CONNECTED}
		a send = 1
		a more = 1
		c recv = 1
		c recv = EAGAIN
		close a
		c recv = 1
		c recv = 0
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"is not waited for with SCTP_NODELAY, which accept() passes on",
		`
		sctp s a
		s set 132.3 1
		s getopt 132.3 4 = 01000000
		s bind 127.0.0.1:5000
		s listen 4
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		s accept c
		c send = 1
		c send = 1
		c send = 1
		a recv = 1
		a recv = 1
		a recv = 1
		a send = 1
		a send = 1
		a send = 1
		c recv = 1
		c recv = 1
		c recv = EAGAIN
		`,
	);
	rule(
		"waits 200 ms for the second packet, and the association ends after it",
		`${CONNECTED}
		a send = 1
		a send = 1
		c recv = 1
		c recv = 1
		close a
		c recv = EAGAIN
		x bind 127.0.0.1:6000 = EADDRINUSE
		pass 150
		x bind 127.0.0.1:6000 = EADDRINUSE
		pass 100
		c recv = 0
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"lets the third packet leave, which waits for it",
		`${CONNECTED}
		a send = 1
		a send = 1
		a send = 1
		a send 2 = 2
		c recv = 1
		c recv = 1
		c recv = EAGAIN
		pass 150
		c recv = EAGAIN
		pass 100
		c recv = 1
		c recv 9 = 2
		close a
		c recv = EAGAIN
		pass 250
		c recv = 0
		`,
	);
	rule(
		"leaves with data that the other end sends",
		`${CONNECTED}
		a send = 1
		a send = 1
		c recv = 1
		c recv = 1
		c send 3 = 3
		a recv 9 = 3
		close a
		c recv = 0
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"is part of the SHUTDOWN of the other end",
		`${CONNECTED}
		a send = 1
		a send = 1
		c recv = 1
		c recv = 1
		close a
		c recv = EAGAIN
		close c
		x bind 127.0.0.1:6000
		`,
	);
});

describe("data of SCTP that was not read", () => {
	rule(
		"makes close() abort the association",
		`${CONNECTED}
		a send = 1
		close c
		a recv = ECONNRESET
		a recv = EAGAIN
		x bind 127.0.0.1:5000 = EADDRINUSE
		`,
	);
	rule(
		"makes close() of the listener abort the association that waits for accept()",
		`
		sctp s a x
		s bind 127.0.0.1:5000
		s listen 4
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		a send = 1
		close s
		a error = ECONNRESET
		x bind 127.0.0.1:5000
		`,
	);
	rule(
		"stays with the socket that accept() makes",
		`
		sctp s a
		s bind 127.0.0.1:5000
		s listen 4
		a connect 127.0.0.1:5000
		a send 7 = 7
		s accept c
		c recv 9 = 7
		`,
	);
});

describe("shutdown() of an SCTP socket whose data waits for an acknowledgement", () => {
	rule(
		"refuses more data with ESHUTDOWN, and with EPIPE when the association has ended",
		`${CONNECTED}
		a send = 1
		a send = 1
		a shutdown wr
		a send = ESHUTDOWN
		c recv = 1
		c recv = 1
		c recv = EAGAIN
		pass 250
		a send = EPIPE
		c recv = 0
		`,
	);
	rule(
		"does not keep the other end from sending",
		`${CONNECTED}
		a send = 1
		a send = 1
		a shutdown wr
		c send 4 = 4
		a recv 9 = 4
		c recv = 1
		c recv = 1
		c recv = 0
		`,
	);
});

describe("data of SCTP whose peer was restarted", () => {
	const RESTARTED = (first: string) => `
		sctp s a with SO_REUSEADDR
		sctp6 b with SO_REUSEADDR
		sctp x
		s bind 127.0.0.1:5000
		s listen 4
		a bind 0.0.0.0:6000
		b bind [::]:6000
		a connect 127.0.0.1:5000
		s accept c
		${first}
		b connect [::ffff:127.0.0.1]:5000
		`;
	/** Both sockets are closed, and the port is free again between two moments, ms. */
	const ENDS = (before: number, more: number) => `
		a send = 1
		close a
		close b
		c recv = 0
		x bind 127.0.0.1:6000 = EADDRINUSE
		pass ${before}
		x bind 127.0.0.1:6000 = EADDRINUSE
		pass ${more}
		x bind 127.0.0.1:6000
		`;
	rule(
		"is sent again after 3 s, and an ABORT answers it if nobody has the association",
		`${RESTARTED("")}
		${ENDS(2000, 1400)}`,
	);
	rule(
		"is sent again after 1 s if a round trip has been measured",
		`${RESTARTED("a send = 1\n\t\tc recv = 1")}
		${ENDS(500, 900)}`,
	);
});

describe("sendto() of a one-to-many SCTP socket", () => {
	function sent(times: number): { world: World; server: number; client: number } {
		const world = new World({ protocol: "sctp" });
		const server = world.bound("L 127.0.0.1:5000");
		const client = world.socket(AF_INET, "", world.task, SOCK_SEQPACKET);
		for (let i = 1; i <= times; i++) {
			expect(world.sendto(client, i, "127.0.0.1:5000")).toBe(i);
		}
		return { world, server: world.accepted(server), client };
	}

	it("begins an association, and its data arrives with the COOKIE ECHO", () => {
		const { world, server } = sent(1);
		expect([world.recv(server, 9), world.recv(server, 9)]).toEqual([1, "EAGAIN"]);
		world.check();
	});

	it("sends a second message at once, and a third one when the second is acknowledged", () => {
		const { world, server, client } = sent(3);
		const three = () => [1, 2, 3].map(() => world.recv(server, 9));
		expect(three()).toEqual([1, 2, "EAGAIN"]);
		world.kernel.advance(250);
		expect(three()).toEqual([3, "EAGAIN", "EAGAIN"]);
		world.close(client);
		expect(world.recv(server, 9)).toBe("EAGAIN");
		world.kernel.advance(250);
		expect(world.recv(server, 9)).toBe(0);
		world.check();
	});
});
