// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The table of behaviour changes in include/linux/version.ts, and the places in ported code that
 * ask for a change. Each place has the first release and the commit of the change beside it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type BehaviourChange, CHANGES, VERSIONS } from "../../kernel-model/index.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** The table itself, and the profiles that follow from it. */
const TABLES = ["include/linux/version.ts", "kernel-model/machine/versions.ts"];

const changes: readonly BehaviourChange[] = CHANGES;
const byName = new Map(changes.map((change) => [change.name, change]));

/** The files of ported code, and of the kernel around it, each with its lines. */
const files = ["net", "include", "kernel-model/machine"]
	.flatMap((folder) =>
		readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: "utf8" })
			.filter((file) => file.endsWith(".ts"))
			.map((file) => `${folder}/${file}`),
	)
	.filter((file) => !TABLES.includes(file))
	.map((file) => ({ file, lines: readFileSync(`${ROOT}${file}`, "utf8").split("\n") }));

/** The text of a line without its comment, and the comment. */
function split(line: string): [code: string, comment: string] {
	if (/^\s*(\/\*|\*|\/\/)/.test(line)) return ["", line];
	const at = line.indexOf("// ");
	return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at)];
}

/** Every place in code that names a change, with the comments beside and above it. */
const sites = files.flatMap(({ file, lines }) =>
	lines.flatMap((line, i) => {
		const [code, beside] = split(line);
		const [codeAbove, above] = split(lines[i - 1] ?? "");
		const comment = `${codeAbove === "" ? above : ""} ${beside}`;
		return [...code.matchAll(/"([a-z0-9-]+)"/g)]
			.filter(([, name]) => byName.has(name))
			.map(([, name]) => ({ where: `${file}:${i + 1}`, name, comment }));
	}),
);

describe("the table of behaviour changes", () => {
	it("gives each change its own name, a release, a commit of twelve digits, and a sentence", () => {
		expect(byName.size).toBe(changes.length);
		for (const { name, since, commit, also, backports, summary } of changes) {
			expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
			if (since === null || commit === null) {
				// Only stable releases are known to have it.
				expect([since, commit, also]).toEqual([null, null, undefined]);
				expect(backports.length).toBeGreaterThan(0);
			} else {
				expect(since).toMatch(/^\d+\.\d+$/);
				for (const hash of [commit, ...(also ?? [])]) expect(hash).toMatch(/^[0-9a-f]{12}$/);
			}
			for (const release of backports) expect(release).toMatch(/^\d+\.\d+\.\d+$/);
			expect(summary).toMatch(/\S.*\.$/);
		}
	});

	it("names each commit in one change only", () => {
		const commits = changes.flatMap(({ commit, also }) => [commit ?? [], also ?? []].flat());
		expect(new Set(commits).size).toBe(commits.length);
	});

	it("has backports only to series older than the first release, and one for each series", () => {
		const minor = (release: string) => Number(release.split(".")[0]) * 100 + series(release);
		const series = (release: string) => Number(release.split(".")[1]);
		for (const { name, since, backports } of changes) {
			for (const first of backports) {
				if (since !== null) expect(minor(first), `${name}, ${first}`).toBeLessThan(minor(since));
			}
			expect(new Set(backports.map(minor)).size).toBe(backports.length);
		}
	});

	it("has no change that all versions lack", () => {
		for (const { name } of changes) {
			expect([name, VERSIONS.some(({ has }) => has.includes(name))]).toEqual([name, true]);
		}
	});
});

/** What stands beside a place that asks for a change: one of these. */
function stampsOf({ since, commit, also, backports }: BehaviourChange): string[] {
	if (since === null) return backports.map((release) => `since ${release}, stable`);
	return [commit, ...(also ?? [])].map((hash) => `since ${since}, ${hash}`);
}

describe("ported code", () => {
	it("asks for every change whose both sides are modelled, and for no other change", () => {
		const asked = new Set(sites.map(({ name }) => name));
		const modelled = changes.filter((change) => change.modelled).map(({ name }) => name);
		expect([...asked].sort()).toEqual(modelled.sort());
	});

	it("has the first release and a commit of the change beside each place that asks for it", () => {
		for (const { where, name, comment } of sites) {
			const change = byName.get(name);
			const stamps = change === undefined ? [] : stampsOf(change);
			const found = stamps.filter((stamp) => comment.includes(stamp));
			expect(found.length, `${where}, ${name}: ${stamps.join(" or ")}`).toBeGreaterThan(0);
		}
	});

	it("names only releases and commits that the table has", () => {
		const known = new Set(changes.flatMap(stampsOf));
		for (const { file, lines } of files) {
			for (const [i, line] of lines.entries()) {
				for (const [stamp] of line.matchAll(/since [\d.]+, ([0-9a-f]{12}|stable)/g)) {
					expect(known, `${file}:${i + 1}`).toContain(stamp);
				}
			}
		}
	});

	it("asks for a change outside loops", () => {
		for (const { file, lines } of files) {
			// Tabs show the depth: a loop ends at the line that closes it.
			const loops: string[] = [];
			for (const [i, line] of lines.entries()) {
				const [code] = split(line);
				const [indent] = /^\t*/.exec(line) ?? [""];
				if (loops.length > 0 && code.startsWith(`${loops.at(-1)}}`)) loops.pop();
				if (loops.length > 0) {
					expect(code, `${file}:${i + 1}`).not.toMatch(/\bchanges\.has\(/);
				}
				if (/^\t*([a-z_]+: )?(for|while) \(.*\{$|^\t*do \{$/.test(code.trimEnd())) {
					loops.push(indent);
				}
			}
		}
	});
});
