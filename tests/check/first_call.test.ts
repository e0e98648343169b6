// SPDX-License-Identifier: GPL-2.0-or-later
/** A recording whose first call is a contradiction. Its task does not exist before it. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

it("the first call of a recording may contradict, of a task that comes with it", () => {
	const name = '{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("198.51.100.1")}';
	const text = `211 1.5 bind(4, ${name}, 16) = -1 EADDRINUSE (Address already in use)\n`;
	const [outcome] = playScript(readScript(text, "first"), { version: "6.3", seed: 1 });
	expect(outcome?.verdict).toBe("undecided");
});
