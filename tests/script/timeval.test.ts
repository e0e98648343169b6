// SPDX-License-Identifier: GPL-2.0-or-later
/** Time limits of sockets, as some versions of strace print them: struct timeval. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

describe("SO_RCVTIMEO", () => {
	it.each([
		["{tv_sec=5, tv_usec=0}", "match"],
		["{tv_sec=6, tv_usec=0}", "mismatch"],
	])("is read as a struct timeval: a value of 5 s was set, %s is a %s", (value, verdict) => {
		const seconds = `"\\5${"\\0".repeat(15)}"`;
		const text = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
setsockopt(3, SOL_SOCKET, SO_RCVTIMEO_OLD, ${value}, 16) = 0
getsockopt(3, SOL_SOCKET, SO_RCVTIMEO_OLD, ${seconds}, [16]) = 0
`;
		const outcomes = playScript(readScript(text, "test"), { version: "6.18.44" });
		expect(outcomes.at(-1)?.verdict).toBe(verdict);
	});

	it("needs both fields of the structure", () => {
		const text = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)
setsockopt(3, SOL_SOCKET, SO_RCVTIMEO_OLD, {tv_sec=5}, 16)
`;
		const play = () => playScript(readScript(text, "test"), { version: "6.18.44" });
		expect(play).toThrow("expected a field tv_usec");
	});
});
