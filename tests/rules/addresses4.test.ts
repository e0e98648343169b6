// SPDX-License-Identifier: GPL-2.0-or-later
/** IPv4 addresses of a device: which one is the source, and what remains when one is deleted. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("the IPv4 addresses of a device", () => {
	rule(
		"are deleted one by one, also if they have the same prefix length",
		`
		ip addr add 203.0.113.1/32 dev lo
		ip addr add 203.0.113.2/32 dev lo
		ip addr del 203.0.113.2/32 dev lo
		a bind 203.0.113.1:5000
		b bind 203.0.113.2:5000 = EADDRNOTAVAIL
		`,
	);
	rule(
		"give the oldest global address as source of a route",
		`
		ip addr add 203.0.113.1/32 dev lo
		ip addr add 203.0.113.2/32 dev lo
		udp a
		a connect 198.51.100.1:53
		a name = 192.0.2.10:$p
		`,
	);
	rule(
		"keep no broadcast address of a secondary address that is deleted",
		`
		ip addr add 203.0.113.1/28 dev lo
		ip addr add 203.0.113.2/28 broadcast 203.0.113.200 dev lo
		a bind 203.0.113.200:5000
		ip addr del 203.0.113.2/28 dev lo
		b bind 203.0.113.200:5000 = EADDRNOTAVAIL
		`,
	);
	rule(
		"keep a broadcast address while another address has it, and not longer",
		`
		ip addr add 203.0.113.1/28 broadcast 203.0.113.200 dev lo
		ip addr add 203.0.113.1/29 dev lo
		ip addr add 203.0.113.65/29 dev lo
		ip addr add 203.0.113.66/29 broadcast 203.0.113.200 dev lo
		ip addr del 203.0.113.1/28 dev lo
		a bind 203.0.113.200:5000
		ip addr del 203.0.113.66/29 dev lo
		b bind 203.0.113.200:5000 = EADDRNOTAVAIL
		`,
	);
});
