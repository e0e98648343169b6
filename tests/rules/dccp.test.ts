// SPDX-License-Identifier: GPL-2.0-or-later
/** DCCP: connect(), and its effect on the next one. */
import { describe, expect, it } from "vitest";
import { AF_INET, AF_INET6 } from "../../kernel-model/index.js";
import { rule, TWO_DEVICES, World } from "../world.js";

describe("a DCCP socket that connects again", () => {
	it.each([
		["AF_INET", AF_INET, "203.0.113.1:500"],
		["AF_INET6", AF_INET6, "[::ffff:203.0.113.1]:500"],
	])("reports no error of the first connect(): %s", (_, family, to) => {
		const w = new World({ protocol: "dccp", setup: TWO_DEVICES });
		const fd = w.socket(family);
		expect(w.start(fd, to)).toBe("EINPROGRESS");
		expect(w.dissolve(fd)).toBe(0);
		expect(w.start(fd, to)).toBe("EINPROGRESS");
		expect(w.error(fd)).toBe(0);
		expect(w.dissolve(fd)).toBe(0);
		expect(w.error(fd)).toBe("ECONNRESET");
		w.close(fd);
		w.check();
	});
});

describe("a DCCP socket", () => {
	rule(
		"keeps the port that bind() chose when it connects",
		`
		dccp a
		a bind 192.0.2.10:0
		a name = 192.0.2.10:$p
		a start 198.51.100.1:80 = EINPROGRESS
		a name = 192.0.2.10:$p
		`,
	);
	rule(
		"cannot connect to an IPv6 multicast address",
		`
		dccp6 a
		a start [ff02::1]:80 = ENETUNREACH
		a start [ff0e::1]:80 = ENETUNREACH
		`,
	);
});
