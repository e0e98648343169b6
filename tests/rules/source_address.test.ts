// SPDX-License-Identifier: GPL-2.0-or-later
/** The source address that connect() chooses. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("the source address over IPv6", () => {
	rule(
		"is global, not site-local (fec0::/10), for a destination in fd00::/8",
		`
		ip addr add fec0::1/64 dev lo
		ip -6 route add default dev lo
		udp6 a
		a connect [fd00::9]:53
		a name = [2001:db8::10]:$p
		`,
	);
	rule(
		"may be every address of fec0::/10 for a site-local destination, and none for fd00::/8",
		`
		ip addr add feff::1/128 dev lo
		ip -6 route add default dev lo
		udp6 a b
		a connect [feff::9]:53
		a name = [feff::1]:$p
		b connect [fd00::9]:53
		b name = [2001:db8::10]:$q
		`,
	);
});
