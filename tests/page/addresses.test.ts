// SPDX-License-Identifier: GPL-2.0-or-later
/** What replaces functions of Node.js does the same. */
import { isIPv6 } from "node:net";
import { constants } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIpv6 } from "../../kernel-model/machine/address.js";
import { compareWords } from "../../kernel-model/machine/snapshot.js";
import { errnoOf } from "../../kernel-model/script/operands.js";

describe("without Node.js", () => {
	it("an address is IPv6 if Node.js says so", () => {
		const part = fc.constantFrom("0", "1", "ffff", "fe80", "12345", "g", "", "1.2.3.4", "01.2.3.4");
		const text = fc
			.array(fc.tuple(part, fc.constantFrom(":", "::", ":")), { maxLength: 9 })
			.map((parts) => parts.flat().join(""));
		const either = fc.oneof(
			text,
			text.map((each) => each.slice(0, -1)),
			fc.ipV6(),
		);
		fc.assert(
			fc.property(either, (each) => {
				expect(parseIpv6(each) !== null, each).toBe(isIPv6(each));
			}),
			{ seed: 1, numRuns: 5000 },
		);
	});

	it("an error has the number of Linux", () => {
		if (process.platform !== "linux") return;
		for (const [name, number] of Object.entries(constants.errno)) {
			expect([name, errnoOf(name)]).toEqual([name, number]);
		}
		expect(errnoOf("EHWPOISON")).toBe(133);
		expect(errnoOf("-")).toBeNull();
	});

	it("words are compared like bytes", () => {
		const byte = fc.tuple(fc.nat({ max: 16_384 + 299 }), fc.integer({ min: 1, max: 255 }));
		fc.assert(
			fc.property(fc.array(byte, { maxLength: 4 }), fc.boolean(), (changed, second) => {
				const now = new Uint8Array(16_384 + 300);
				for (const [at, value] of changed) now[at] = value;
				const base = second ? 16_384 : 0;
				let pages = 0;
				for (const [at] of changed) {
					if (at >= base && at < base + 16_384) pages |= 1 << ((at - base) / 512);
				}
				expect(compareWords(now, base, new Uint8Array(16_384))).toBe(pages);
			}),
			{ seed: 1, numRuns: 2000 },
		);
	});
});
