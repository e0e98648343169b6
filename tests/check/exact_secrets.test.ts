// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The secrets of kernels in recordings with draws: with them, the model chooses the members of
 * groups that the kernel chose. An altered secret makes a mismatch, so each one is used.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readDraws } from "../../kernel-model/check/exact.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { changesOf, versionFor } from "../../kernel-model/machine/versions.js";
import { replayText } from "../../kernel-model/real/campaign/replayed.js";

const FOLDER = fileURLToPath(new URL("../recordings/exact/", import.meta.url));
/** Recordings of groups.script, by series. */
const SERIES = readdirSync(FOLDER)
	.filter((file) => file.endsWith("-groups.strace.gz"))
	.map((file) => file.replace("-groups.strace.gz", ""))
	.sort();

const textOf = (series: string) =>
	gunzipSync(readFileSync(`${FOLDER}${series}-groups.strace.gz`)).toString();

function nearest(release: string): string {
	const version = versionFor(release);
	if (version === null) throw new Error(`no version models ${release}`);
	return version;
}

/** Series whose altered recordings are also tried with other choices. This takes its time. */
const TRIED = [SERIES.at(0), SERIES.at(-1)];

/** Whether a recording differs with the likeliest choices. */
function differs(text: string): boolean {
	const script = readScript(text, "groups");
	const version = nearest(readDraws(script)?.release ?? "");
	const outcomes = playScript(script, { version, variants: false });
	return outcomes.some(({ verdict }) => verdict === "mismatch");
}

const mismatches = (text: string) => replayText(text, "groups", nearest).mismatches;

/** The names of the secrets that a recording has, and its text with one of them altered. */
const SECRET = "# secret (\\w+) = 0x[0-9a-f]*([0-9a-f])$";
function namesIn(text: string): string[] {
	const found = text.matchAll(new RegExp(SECRET, "gm"));
	return [...new Set([...found].map(([, name]) => name))];
}
function altered(text: string, name: string): string {
	const line = new RegExp(SECRET.replace("(\\w+)", `(${name})`), "gm");
	return text.replace(line, (whole, _name, digit: string) => {
		return whole.slice(0, -1) + (Number.parseInt(digit, 16) ^ 1).toString(16);
	});
}

describe.each(SERIES)("the secrets of %s", (series) => {
	const text = textOf(series);

	test("are all known", () => {
		const { release = "" } = readDraws(readScript(text, "groups")) ?? {};
		const changes = changesOf(nearest(release));
		const names = [
			"net_hash_mix",
			"net_secret",
			"inet_ehash_secret",
			"udp_ehash_secret",
			"udp_ipv6_hash_secret",
			text.includes("tcp_ipv6_hash_secret") ? "tcp_ipv6_hash_secret" : "ipv6_hash_secret",
			...(changes?.has("udp6-ehash-own-secret") ? ["udp6_ehash_secret"] : []),
			...(changes?.has("ehash6-whole-tuple") ? [] : ["inet6_ehash_secret"]),
		];
		expect(namesIn(text).sort()).toEqual(names.sort());
		expect(text).not.toContain("is unknown");
	});

	test("give the kernel's results", () => {
		expect(mismatches(text)).toEqual([]);
	});

	test.each(namesIn(text))("%s: another value gives another result", (name) => {
		const other = altered(text, name);
		expect(differs(other)).toBe(true);
		if (TRIED.includes(series)) expect(mismatches(other)).not.toEqual([]);
	});
});

/** A recording in which another listener of a group accepts a client. */
function elsewhere(text: string): string {
	const lines = text.split("\n");
	const accepts = lines.map((line) => / accept4\(([0-9]+), .* = (-1|[0-9]+)/.exec(line));
	const got = accepts.findIndex((found) => found !== null && found[2] !== "-1");
	const [, listener = ""] = accepts[got] ?? [];
	const not = accepts.findIndex((found, i) => {
		return i > got && found !== null && found[2] === "-1" && found[1] !== listener;
	});
	const [, other = ""] = accepts[not] ?? [];
	lines[got] = lines[got].replace(`accept4(${listener},`, `accept4(${other},`);
	lines[not] = lines[not].replace(`accept4(${other},`, `accept4(${listener},`);
	return lines.join("\n");
}

describe("another member of a group", () => {
	const text = elsewhere(textOf("6.1"));

	test("is a mismatch if the recording has the secret", () => {
		expect(mismatches(text)[0]).toMatch(/the model (accepts 127|EAGAIN)/);
	});

	test("is possible if the secret is unknown", () => {
		const unknown = text.replace(/(# secret inet_ehash_secret) = .*/, "$1 is unknown");
		expect(mismatches(unknown)).toEqual([]);
		expect(mismatches(text.replace(/# (secret|other UDP) .*\n/g, ""))).toEqual([]);
	});

	test("stays a mismatch if only a secret of other groups is unknown", () => {
		const unknown = text.replace(/(# secret udp_ehash_secret) = .*/, "$1 is unknown");
		expect(mismatches(unknown)[0]).toMatch(/the model (accepts 127|EAGAIN)/);
	});
});
