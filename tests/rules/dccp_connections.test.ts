// SPDX-License-Identifier: GPL-2.0-or-later
/** DCCP: how connections within the host begin and end, and which end keeps the port. */
import { describe, expect, it } from "vitest";
import { DCCP_SOCKOPT_SERVICE } from "../../include/linux/dccp.js";
import { SOL_DCCP } from "../../include/linux/socket.js";
import { rule, World } from "../world.js";

const VERSION = "6.12";

describe("a DCCP connection", () => {
	rule(
		"is accepted on the listener's port",
		`
		dccp l a
		l bind 127.0.0.1:5000
		l listen 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		l accept c
		c name = 127.0.0.1:5000
		c peer = 127.0.0.1:6000
		a send 5 = 5
		c recv 9 = 5
		c recv 9 = EAGAIN
		`,
	);
	rule(
		"over a dual-stack listener has v4-mapped addresses",
		`
		dccp6 l
		dccp a
		l bind [::]:5000
		l listen 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		l accept c
		c name = [::ffff:127.0.0.1]:5000
		c peer = [::ffff:127.0.0.1]:6000
		c close
		a close
		`,
	);
	rule(
		"gives each packet to one recv(), which drops what it has no room for",
		`
		dccp l a
		l bind 127.0.0.1:5000
		l listen 1
		a connect 127.0.0.1:5000
		l accept c
		a send 5 = 5
		a send 3 = 3
		c recv 2 = 2
		c recv 9 = 3
		`,
	);
	// An agent does not take requests of this length. The sizes are those of getsockopt() on 6.1,
	// DCCP_SOCKOPT_GET_CUR_MPS.
	it("takes packets of as many bytes as the route over lo takes", () => {
		const w = new World({ protocol: "dccp", version: VERSION });
		w.run(`
		l bind 127.0.0.1:5000
		l listen 1
		a send 537 = EMSGSIZE
		a connect 127.0.0.1:5000
		l accept c
		a send 65475 = 65475
		a send 65476 = EMSGSIZE
		c send 65459 = 65459
		c send 65460 = EMSGSIZE
		`);
	});
	rule(
		"that the server closes first keeps the client's port for a minute",
		`
		dccp l a b
		l bind 127.0.0.1:5000
		l listen 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		l accept c
		c close
		a recv 1 = 0
		a close
		b bind 127.0.0.1:6000 = EADDRINUSE
		l close
		dccp d
		d bind 127.0.0.1:5000
		`,
	);
	rule(
		"that the client closes first keeps the client's port for a minute",
		`
		dccp l a b
		l bind 127.0.0.1:5000
		l listen 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		l accept c
		a close
		b bind 127.0.0.1:6000 = EADDRINUSE
		c recv 1 = 0
		c close
		b bind 127.0.0.1:6000 = EADDRINUSE
		l close
		dccp d
		d bind 127.0.0.1:5000
		`,
	);
	rule(
		"that the client aborts keeps the server's port, and refuses the client's next Request",
		`
		dccp l a b
		l bind 127.0.0.1:5000
		l listen 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		l accept c
		a dissolve
		a error = ECONNRESET
		c error = ECONNRESET
		a connect 127.0.0.1:5000 = ECONNREFUSED
		l close
		c close
		b bind 127.0.0.1:5000 = EADDRINUSE
		`,
	);
	rule(
		"that its client aborts lets the client connect again to another listener, and then listen",
		`
		dccp l m a
		l bind 127.0.0.1:5000
		l listen 1
		m bind 127.0.0.1:5001
		m listen 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		l accept c
		c send 1 = 1
		a recv 1 = 1
		a send 2 = 2
		a dissolve
		c recv 2 = 2
		c recv 2 = 0
		a connect 127.0.0.1:5001
		m accept d
		d send 3 = 3
		a recv 3 = 3
		a dissolve
		a listen 1
		dccp b
		b connect 127.0.0.1:6000
		a accept e
		e peer = 127.0.0.1:$p
		b name = 127.0.0.1:$p
		`,
	);
	rule(
		"is aborted if a socket closes with data that it has not read",
		`
		dccp l a
		l bind 127.0.0.1:5000
		l listen 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		l accept c
		a send 1 = 1
		c close
		a error = ECONNRESET
		a recv 1 = 0
		`,
	);
	rule(
		"that waits for accept() is aborted when the listener closes",
		`
		dccp l a
		l bind 127.0.0.1:5000
		l listen 1
		a connect 127.0.0.1:5000
		l close
		a error = ECONNRESET
		a send 1 = EPIPE
		a peer = ENOTCONN
		`,
	);
	rule(
		"does not send after shutdown(), and stays open",
		`
		dccp l a
		l bind 127.0.0.1:5000
		l listen 1
		a connect 127.0.0.1:5000
		l accept c
		a shutdown wr
		a send 1 = EPIPE
		c send 1 = 1
		a recv 1 = 1
		c recv 1 = EAGAIN
		`,
	);
});

describe("a DCCP socket in a VRF", () => {
	const vrf = `
		ip link add vrf0 type vrf table 10
		ip link set vrf0 up
		ip link add dummy7 type dummy
		ip link set dummy7 master vrf0
		ip link set dummy7 up
		ip addr add 198.51.100.70/24 dev dummy7
		ip addr add 2001:db8:7::70/64 dev dummy7 nodad
		`;
	rule(
		"hears over IPv4 if it is bound to the device, not to the VRF",
		`${vrf}
		dccp a b
		a device vrf0
		a start 198.51.100.70:5000 = EINPROGRESS
		a error = 0
		b device dummy7
		b start 198.51.100.70:5000 = EINPROGRESS
		b error = ECONNREFUSED
		`,
	);
	rule(
		"hears over IPv6 if it is bound to the VRF, not to the device",
		`${vrf}
		dccp6 a b
		a device vrf0
		a start [2001:db8:7::70]:5000 = EINPROGRESS
		a error = ECONNREFUSED
		b device dummy7
		b start [2001:db8:7::70]:5000 = EINPROGRESS
		b error = 0
		`,
	);
});

describe("a Request of DCCP", () => {
	rule(
		"without an answer is sent again six times, and connect() fails after 221 s",
		`
		dccp a
		a bind 192.0.2.10:6000
		a start 198.51.100.1:80 = EINPROGRESS
		pass 220500
		a state = SYN_SENT
		pass 1000
		a error = ETIMEDOUT
		`,
	);
	rule(
		"that ICMPv6 answers leaves a soft error, and ends connect() when it is sent again",
		`
		ip -6 route add 2001:db8:9::/64 dev lo
		dccp6 a
		a start [2001:db8:9::1]:80 = EINPROGRESS
		a error = ENETUNREACH
		a error = 0
		a state = SYN_SENT
		pass 3300
		a state = CLOSE
		a error = ENETUNREACH
		`,
	);
	rule(
		"that meets a full accept queue fails with EUSERS",
		`
		dccp l a d b
		l bind 127.0.0.1:5000
		l listen 1
		a connect 127.0.0.1:5000
		d connect 127.0.0.1:5000
		b bind 127.0.0.1:6000
		b connect 127.0.0.1:5000 = EUSERS
		dccp c
		c bind 127.0.0.1:6000 = EADDRINUSE
		`,
	);
	rule(
		"of a socket to itself fails with ENOMSG",
		`
		dccp a
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:6000 = ENOMSG
		`,
	);
	rule(
		"without a listener is refused, and keeps the port",
		`
		dccp a b
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000 = ECONNREFUSED
		a close
		b bind 127.0.0.1:6000 = EADDRINUSE
		`,
	);
	it("with another service code than the listener's fails with EBADRQC", () => {
		const w = new World({ protocol: "dccp", version: VERSION });
		const [l, a, b] = [w.socket(), w.socket(), w.socket()];
		const codes = Uint8Array.of(0, 0, 0, 7, 0, 0, 0, 8);
		expect(w.task.setsockopt(l, SOL_DCCP, DCCP_SOCKOPT_SERVICE, codes)).toBe(0);
		expect(w.bind(l, "127.0.0.1:5000")).toBe(0);
		expect(w.task.listen(l, 5)).toBe(0);
		expect(w.connect(a, "127.0.0.1:5000")).toBe("EBADRQC");
		expect(w.task.setsockopt(b, SOL_DCCP, DCCP_SOCKOPT_SERVICE, codes.slice(4))).toBe(0);
		expect(w.connect(b, "127.0.0.1:5000")).toBe(0);
		w.check();
	});
});
