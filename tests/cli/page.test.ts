// SPDX-License-Identifier: GPL-2.0-or-later
/** `page`: the file that it writes, and bad input. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { cli } from "./command.js";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-page-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const startOf = (html: string) =>
	JSON.parse(/<script type="application\/json" id="start">(.*?)<\/script>/s.exec(html)?.[1] ?? "");

describe("page", () => {
	it("writes a script, its versions and its seed into one file that names no other", async () => {
		const output = join(folder, "page.html");
		const script = "tests/examples/range.strace";
		const options = ["--kernel", "6.12", "--beside", "6.3", "--seed", "5", "-o", output];
		expect(await cli("page", script, ...options)).toEqual({ status: 0, stdout: "", stderr: "" });
		const html = readFileSync(output, "utf8");
		expect(startOf(html)).toEqual({
			file: "range.strace",
			text: readFileSync(script, "utf8"),
			version: "6.12",
			beside: "6.3",
			seed: 5,
			setting: { uid: null, alone: false, host: [] },
		});
		expect(html).not.toMatch(/<(link|img|iframe)\b|<script[^>]*\bsrc=/);
		expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
	});

	it("puts the user, the namespace and the files about the host into the file", async () => {
		const host = join(folder, "sysctl.txt");
		const text = "net.ipv4.ip_local_port_range = 40000\t40011\n";
		writeFileSync(host, text);
		const options = ["--uid", "7", "--alone", "--host", host];
		const { stdout } = await cli("page", "tests/examples/range.strace", ...options);
		expect(startOf(stdout).setting).toEqual({
			uid: 7,
			alone: true,
			host: [{ file: "sysctl.txt", text }],
		});
	});

	it("writes the playground to standard output, the same each time", async () => {
		const [one, other] = [await cli("page"), await cli("page")];
		expect(one.stdout === other.stdout).toBe(true);
		expect(startOf(one.stdout).text).toBeNull();
	});

	it.each([
		[["page", "one", "two"], /expected one script, found two as well/],
		[["page", "no-such-file"], /no-such-file: no such file or directory/],
		[["page", "--kernel", "x"], /--kernel: expected a release/],
		[["page", "--seed", "-1"], /--seed/],
		[["page", "--uid", "7"], /expected a script for --uid, --host and --alone/],
		[["page", "--host", "package.json", "package.json"], /package.json: expected the output of ip/],
		[
			["page", "--host", "tests/recordings/README.md", "tests/examples/range.strace"],
			/expected the output of ip/,
		],
		[["page", "-o", "/no/such/folder/x.html"], /no such file or directory/],
	])("refuses %j in one line", async (args, message) => {
		const { status, stdout, stderr } = await cli(...args);
		expect([status, stdout]).toEqual([2, ""]);
		expect(stderr).toMatch(message);
		expect(stderr.trim().split("\n").length).toBe(1);
	});
});
