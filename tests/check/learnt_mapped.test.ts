// SPDX-License-Identifier: GPL-2.0-or-later
/** Facts about the host that an AF_INET6 socket on IPv4 shows. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in6 } from "../text.js";

function recording(own: string): string {
	return [
		"9 1.1 socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3",
		`9 1.2 connect(3, ${in6(80, "::ffff:198.51.100.10")}, 28) = -1 EINPROGRESS (Operation now in progress)`,
		`9 1.3 getsockname(3, ${in6(40014, own)}, [28]) = 0`,
		"",
	].join("\n");
}

describe("a connect() of an AF_INET6 socket to an IPv4 address", () => {
	it.each([
		["that the socket has itself", "::ffff:198.51.100.10"],
		["from another IPv4 address", "::ffff:198.51.100.7"],
		["of which getsockname() shows IPv6", "2001:db8::7"],
	])("teaches the host's IPv4 address: one %s", (_, own) => {
		const outcomes = playScript(readScript(recording(own), "mapped"), { version: "6.12", seed: 1 });
		const verdicts = outcomes.map(({ verdict }) => verdict);
		expect(verdicts.slice(0, 2)).toEqual(["match", "match"]);
		expect(verdicts[2]).toBe(own.startsWith("::ffff:") ? "match" : "mismatch");
	});
});
