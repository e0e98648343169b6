// SPDX-License-Identifier: GPL-2.0-or-later
/** getsockopt(): what setsockopt() has set. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("getsockopt", () => {
	rule(
		"shows IP_RECVERR and IPV6_RECVERR as off at first, and as independent of each other",
		`
		udp6 a
		a getopt 0.11 4 = 00000000
		a getopt 41.25 4 = 00000000
		a set 0.11 1
		a getopt 0.11 4 = 01000000
		a getopt 41.25 4 = 00000000
		a set 41.25 1
		a set 0.11 0
		a getopt 0.11 4 = 00000000
		a getopt 41.25 4 = 01000000
		`,
	);
});
