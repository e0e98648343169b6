// SPDX-License-Identifier: GPL-2.0-or-later
/** `fuzz`, `replay` and `review` on the command line, without a kernel. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Summary } from "../../kernel-model/cli/shards.js";
import { cli } from "./command.js";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

function shard(name: string, more: Partial<Summary> = {}): string {
	const summary: Summary = {
		kernel: "6.18.44",
		model: "6.18.44",
		seed: 1,
		shard: name,
		operations: 100,
		programs: 3,
		ignored: 5,
		searches: 10,
		exhausted: 1,
		mismatches: 0,
		seconds: 1.5,
		answers: { bind: 10, [`bind EADDRINUSE ${name}`]: 2 },
		differences: [],
		...more,
	};
	const file = join(folder, `${name.replace("/", "-")}-${more.next ?? ""}.json`);
	writeFileSync(file, `${JSON.stringify(summary)}\n`);
	return file;
}

describe("fuzz merge", () => {
	it("adds up the shards", async () => {
		const { status, stdout } = await cli("fuzz", "merge", "--json", shard("1/2"), shard("2/2"));
		expect(status).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject({
			shard: "1/1",
			operations: 200,
			programs: 6,
			seconds: 3,
			answers: { bind: 20, "bind EADDRINUSE 1/2": 2, "bind EADDRINUSE 2/2": 2 },
		});
	});

	it("has exit status 1 and names the program if a shard differs", async () => {
		const differences = [{ at: 41, reason: "line 3: other port", script: [] }];
		const other = shard("2/2", { mismatches: 1, differences });
		const { status, stdout } = await cli("fuzz", "merge", shard("1/2"), other);
		expect(status).toBe(1);
		expect(stdout).toContain("DIFFERS: program 41 at line 3: other port");
	});

	it("has exit status 2 if a shard is missing or was interrupted, unless it went on", async () => {
		const missing = await cli("fuzz", "merge", shard("1/2"));
		expect(missing).toMatchObject({
			status: 2,
			stderr: "fuzz merge: shard 2/2 is missing\n",
		});
		const early = shard("2/2", { next: 17 });
		expect(await cli("fuzz", "merge", shard("1/2"), early)).toMatchObject({
			status: 2,
			stderr: "fuzz merge: shard 2/2 was interrupted: go on with --shard 2/2 --from 17\n",
		});
		expect((await cli("fuzz", "merge", shard("1/2"), early, shard("2/2"))).status).toBe(0);
	});

	it("keeps kernels apart, as replay merge does", async () => {
		const old = shard("1/1", { kernel: "6.1.192", model: "6.1.176", draws: 7 });
		const { status, stdout } = await cli("replay", "merge", shard("1/2"), shard("2/2"), old);
		expect(status).toBe(0);
		const rows = stdout.trim().split("\n").slice(1);
		expect(rows.map((row) => row.split(/ +/).slice(0, 4))).toEqual([
			["6.18.44", "6.18.44", "200", "0"],
			["6.1.192", "6.1.176", "100", "7"],
		]);
	});

	it("refuses other files, shards of another number, and a shard that is there twice", async () => {
		const text = join(folder, "text");
		writeFileSync(text, '{"operations": 1}\n');
		const said = async (...files: string[]) => (await cli("fuzz", "merge", ...files)).stderr;
		expect(await said(text)).toBe(`inet-port-model: ${text}:1: expected a line of fuzz --json\n`);
		expect(await said(shard("1/2"), shard("2/3"))).toMatch(/:1: shard 2\/3 beside shard 1\/2\n$/);
		expect(await said(shard("1/2"), shard("1/2"))).toMatch(/:1: shard 1\/2 is there twice\n$/);
	});
});

describe("fuzz sum", () => {
	function logged(...campaigns: Partial<Summary>[]): string {
		const file = join(folder, "log.jsonl");
		const lines = campaigns.map((more) => {
			const seed = { kernel: "6.18.44-one", seed: 7, shard: "1/1", ...more };
			return readFileSync(shard("1/1", seed), "utf8");
		});
		writeFileSync(file, lines.join(""));
		return file;
	}

	it("adds up campaigns of several seeds and machines, by release and model", async () => {
		const file = logged(
			{ seed: 7 },
			{ seed: 8, kernel: "6.18.44-two" },
			{ seed: 8, kernel: "6.1.192", model: "6.1.176" },
		);
		const { status, stdout } = await cli("fuzz", "sum", file);
		expect(status).toBe(0);
		const [header, ...rows] = stdout.trim().split("\n");
		expect(header).toMatch(/^kernel +model +seeds +programs +calls +searches +differ +hours$/);
		expect(rows.map((row) => row.split(/ +/))).toEqual([
			["6.18.44", "6.18.44", "2", "6", "200", "20", "0", "0.00"],
			["6.1.192", "6.1.176", "1", "3", "100", "10", "0", "0.00"],
		]);
	});

	it("counts an interrupted campaign as far as it came, and its rest under the same seed", async () => {
		const file = logged({ next: 3 }, { from: 3 });
		const { status, stdout } = await cli("fuzz", "sum", "--json", file);
		expect(status).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject({ seeds: 1, programs: 6, operations: 200 });
	});

	it("refuses a program that is there twice", async () => {
		const { status, stderr } = await cli("fuzz", "sum", logged({ next: 3 }, { from: 2 }));
		expect(status).toBe(2);
		expect(stderr).toMatch(/:2: programs 2 to 4 of seed 7, shard 1\/1, are there twice\n$/);
		const shares = logged({ shard: "1/2" }, { shard: "2/2" });
		expect((await cli("fuzz", "sum", shares)).status).toBe(0);
	});

	it("has exit status 1 if a campaign differs", async () => {
		expect((await cli("fuzz", "sum", logged({ mismatches: 1 }))).status).toBe(1);
	});
});

describe("campaigns", () => {
	it("say what they expect of options", async () => {
		const said = async (...args: string[]) => {
			const { status, stderr } = await cli(...args);
			return `${status} ${stderr}`;
		};
		expect(await said("fuzz", "--shard", "3/2")).toBe(
			"2 inet-port-model: --shard: expected I/N such as 1/4, found 3/2\n",
		);
		expect(await said("replay", "--release", "newest")).toBe(
			"2 inet-port-model: --release: expected a release such as 6.3.8, found newest\n",
		);
		expect(await said("replay", "--from", "x")).toBe(
			"2 inet-port-model: --from: expected a number from 0 up, found x\n",
		);
		expect(await said("review")).toBe(
			"2 inet-port-model: review: expected --base VERSION (see review --help)\n",
		);
		expect(await said("review", "--base", "x")).toMatch(
			/^2 inet-port-model: --base: expected a release such as .*, found x\n$/,
		);
	});

	it("describe themselves", async () => {
		for (const command of ["fuzz", "replay", "review"]) {
			const { status, stdout } = await cli(command, "--help");
			expect(status).toBe(0);
			expect(stdout).toMatch(new RegExp(`^usage: inet-port-model ${command} `));
			expect(stdout).toContain("--junit FILE");
			expect(stdout.split("\n").every((line) => line.length <= 100)).toBe(true);
		}
	});
});
