// SPDX-License-Identifier: GPL-2.0-or-later
/** `run --strict`, `run --json` and the summary of `run` count the same. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { cli } from "./command.js";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

const NAME = '{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}';
/** Others may use the host, so each line that fails is undecided for its own reason. */
const undecided = join(folder, "undecided.strace");
writeFileSync(
	undecided,
	`socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${NAME}, 16) = -1 EADDRINUSE (Address already in use)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
bind(4, ${NAME}, 16) = -1 EADDRINUSE (Address already in use)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5
connect(5, ${NAME}, 16) = 0
`,
);
const mismatch = join(folder, "mismatch.strace");
writeFileSync(
	mismatch,
	`$ ip link set lo up
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${NAME}, 16) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
bind(4, ${NAME}, 16) = 0
`,
);

interface Line {
	line: number;
	verdict: string;
	reason?: string;
	proof?: { rule: string; lines: number[] };
}
const linesOf = (stdout: string) =>
	stdout
		.trimEnd()
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => JSON.parse(line) as Line);

describe("an undecided line", () => {
	it("is counted by reason in the summary, with the counts of JSON", async () => {
		const text = await cli("run", undecided);
		const lines = linesOf((await cli("run", "--json", undecided)).stdout);
		const found = lines.filter(({ verdict }) => verdict === "undecided");
		expect(found.length).toBeGreaterThan(1);
		expect(text.stdout).toContain(`, ${found.length} undecided, `);
		for (const reason of new Set(found.map((line) => line.reason))) {
			const times = found.filter((line) => line.reason === reason).length;
			expect(text.stdout).toContain(`# undecided ${times} times: ${reason}\n`);
		}
	});

	it("gives exit status 1 with --strict only, in text and in JSON, and --quiet then shows it", async () => {
		for (const json of [[], ["--json"]]) {
			const lax = await cli("run", "--quiet", ...json, undecided);
			expect(lax.status).toBe(0);
			expect(lax.stdout).not.toMatch(/"undecided"|# undecided: /);
			const strict = await cli("run", "--quiet", "--strict", ...json, undecided);
			expect(strict.status).toBe(1);
			expect(strict.stdout).toMatch(/"undecided"|# undecided: /);
		}
	});
});

describe("a mismatch", () => {
	it("has the same proof in text and in JSON", async () => {
		const { stdout, status } = await cli("run", mismatch);
		expect(status).toBe(1);
		const [found] = linesOf((await cli("run", "--json", "--quiet", mismatch)).stdout);
		expect(found?.proof?.lines).toEqual([3, 4, 5]);
		expect(stdout).toContain(found?.proof?.rule);
		expect(stdout).toContain(
			"#   proved by: line 3 bound 127.0.0.1:8080 without SO_REUSEADDR and SO_REUSEPORT; line 4 made the socket",
		);
	});
});
