// SPDX-License-Identifier: GPL-2.0-or-later
/** Random programs leave out what a system lacks, and what --without names. */
import { describe, expect, it } from "vitest";
import type { Abilities } from "../../kernel-model/real/campaign/abilities.js";
import { programOf, withoutNames } from "../../kernel-model/real/campaign/program.js";
import { renderProgram } from "../../kernel-model/real/campaign/render.js";

const ABLE: Abilities = {
	version: "7.3",
	kinds: ["tcp", "udp"],
	sysctls: ["net.ipv4.ip_local_port_range", "net.ipv4.ip_nonlocal_bind"],
	vrf: false,
	users: 65534,
};

const scripts = (without: string[], extra: Partial<Abilities> = {}) =>
	[...Array(12).keys()].map((number) =>
		renderProgram(programOf(7, number, 300), { ...ABLE, ...extra, without }),
	);

/** Lines of all scripts that match. */
function found(without: string[], pattern: RegExp): number {
	return scripts(without)
		.flat()
		.filter((line) => pattern.test(line)).length;
}

describe("a random program", () => {
	const leaves = {
		ipv6: /AF_INET6/,
		routes: /^\$ ip (-6 )?route/,
		away: /connect\(.*(198\.51\.100|203\.0\.113|db8:[29]:)/,
		order: /ip_local_port_range="([0-9]+) (?!\1)[0-9]+"/,
		autobind: /bind\(.*htons\(0\)/,
		users: /setuid/,
		crowd: /127\.0\.0\.9/,
		nofile: /prlimit64/,
		setns: /setns\([0-9]+, CLONE_NEWNET\)/,
		unshare: /unshare\(CLONE_NEWNET\)/,
		scopes: /fe80::.*if_nametoindex/,
		dissolve: /connect\(.*AF_UNSPEC/,
		IP_FREEBIND: /\bIP_FREEBIND/,
		SO_LINGER: /SO_LINGER/,
		SO_BINDTODEVICE: /SO_BINDTODEVICE/,
		IP_LOCAL_PORT_RANGE: /IP_LOCAL_PORT_RANGE/,
	};
	it.each(Object.entries(leaves))("leaves out %s, which it has otherwise", (name, pattern) => {
		expect(withoutNames()).toContain(name);
		expect(found([], pattern)).toBeGreaterThan(0);
		expect(found([name], pattern)).toBe(0);
	});

	it("is the same if it leaves out nothing", () => {
		expect(scripts([])).toEqual(
			[...Array(12).keys()].map((number) => renderProgram(programOf(7, number, 300), ABLE)),
		);
	});
});
