// SPDX-License-Identifier: GPL-2.0-or-later
/** The catalogue has what `laws` finds, and its scripts have the answers of the model. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { type Entry, newIn, readCatalogue } from "../../kernel-model/laws/catalogue.js";
import { explore } from "../../kernel-model/laws/explore.js";
import { boundsOf } from "../../kernel-model/laws/kinds.js";
import { ALL_LAWS, LAWS } from "../../kernel-model/laws/laws.js";
import type { Report } from "../../kernel-model/laws/report.js";
import { VERSIONS } from "../../kernel-model/machine/versions.js";

const TEXT = readFileSync(new URL("../../kernel-model/laws/CATALOGUE.md", import.meta.url), "utf8");
const entries = readCatalogue(TEXT);
const titled = entries.map((entry): [string, Entry] => [`${entry.protocol}: ${entry.at}`, entry]);

describe("the catalogue", () => {
	it.each(titled)("has the model's answers for %s", (_, entry) => {
		const script = readScript(entry.script, "catalogue");
		const version = entry.versions.at(-1) ?? "";
		const outcomes = playScript(script, { version, alone: true });
		const differing = outcomes.filter(({ verdict }) => verdict === "mismatch");
		expect(differing.map(({ text, result }) => `${text}: ${result}`)).toEqual([]);
	});

	it.each(titled)("names known laws and versions for %s", (_, entry) => {
		const names = VERSIONS.map(({ name }) => name);
		for (const law of entry.laws) expect(ALL_LAWS.map(({ id }) => id)).toContain(law);
		expect(entry.versions.length).toBeGreaterThan(0);
		for (const version of entry.versions) expect(names).toContain(version);
	});

	for (const protocol of ["tcp", "udp"] as const) {
		it(`has the laws that three sockets of ${protocol} break in the oldest and the newest version`, () => {
			const [bound] = boundsOf(protocol, 1);
			if (bound === undefined) throw new Error("no bounds");
			for (const version of ["6.3", "7.3"]) {
				const found = explore([version], protocol, bound, LAWS, null);
				const broken = new Set(found.flatMap((one) => one.broken.map(({ law }) => law.id)));
				const known = new Set(
					entries
						.filter((entry) => entry.protocol === protocol && entry.versions.includes(version))
						.flatMap(({ laws }) => laws),
				);
				expect([...broken].filter((law) => !known.has(law))).toEqual([]);
				expect(broken.size).toBeGreaterThan(0);
			}
		});
	}

	it("tells what it does not have", () => {
		const [first] = entries;
		if (first === undefined) throw new Error("the catalogue is empty");
		const report = {
			protocol: first.protocol,
			at: first.at,
			laws: [...first.laws],
			kernels: [...first.versions],
		} as Report;
		expect(newIn(entries, report)).toBeNull();
		expect(newIn(entries, { ...report, at: "no_such_function" })).toContain("no_such_function");
		expect(newIn([{ ...first, laws: [] }], report)).toContain("does not break");
		expect(newIn([{ ...first, versions: [] }], report)).toContain(first.versions[0]);
	});
});
