// SPDX-License-Identifier: GPL-2.0-or-later
/** SCTP: where an INIT goes, and which end refuses it. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("the INIT of an SCTP socket", () => {
	rule(
		"goes through lo to the address of a device in a VRF, if no better route exists",
		`
		ip link add vrf0 type vrf table 10
		ip link set vrf0 up
		ip link add dummy0 type dummy
		ip link set dummy0 master vrf0
		ip link set dummy0 up
		ip addr add 203.0.113.10/28 dev dummy0
		ip route add default dev lo
		sctp s a b
		s bind 0.0.0.0:5000
		s listen 4
		a connect 203.0.113.10:5000
		a peer = 203.0.113.10:5000
		b connect 203.0.113.10:5001 = ECONNREFUSED
		`,
	);
	rule(
		"has an answer before a listener whose queue is full refuses the COOKIE ECHO",
		`
		sctp s a b c
		s bind 0.0.0.0:5000
		s listen 1
		a connect 127.0.0.1:5000
		b connect 127.0.0.1:5000
		s name = 127.0.0.1:5000
		c connect 192.0.2.10:5000 = ECONNREFUSED
		s name = 192.0.2.10:5000
		`,
	);
});
