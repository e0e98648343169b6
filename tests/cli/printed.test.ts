// SPDX-License-Identifier: GPL-2.0-or-later
/** The output of `run` is a script again. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { run } from "../../kernel-model/cli/run.js";
import { captured } from "./command.js";

const folder = mkdtempSync(join(tmpdir(), "printed-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function printed(text: string, ...options: string[]): Promise<string> {
	const file = join(folder, "script.strace");
	writeFileSync(file, text);
	return (await captured(() => run([...options, file]))).stdout;
}

/** Verdicts by call. An unrecorded line counts as a match, because `run` prints its result. */
function verdicts(text: string): string[] {
	return playScript(readScript(text, "script"), { version: "6.18" }).map(
		({ call, verdict }) => `${call} ${verdict === "unrecorded" ? "match" : verdict}`,
	);
}

function* files(): Generator<string> {
	for (const name of readdirSync("tests/examples")) {
		if (name.endsWith(".strace")) yield join("tests/examples", name);
	}
	for (const way of ["by_hand", "closing"]) {
		yield `tests/recordings/three_ways-${way}.strace`;
	}
}

describe("the output of run plays again with the same verdicts", () => {
	it.each([...files()])(
		"%s",
		async (file) => {
			const text = readFileSync(file, "utf8");
			expect(verdicts(await printed(text, "--kernel", "6.18"))).toEqual(verdicts(text));
		},
		60_000,
	);
});

describe("the output of run", () => {
	it("has every line of a script", async () => {
		const script = `# a comment

$ ip addr add 192.0.2.1/32 dev lo
setuid(1000)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
setsockopt(3, SOL_TCP, TCP_CC_INFO, {cwnd=1}, 16)
setsockopt(3, SOL_TCP, TCP_MAXSEG, [1], 4)
bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, 16)
`;
		const [summary, ...lines] = (await printed(script)).trimEnd().split("\n").reverse();
		expect(lines.reverse()).toEqual([
			"# a comment",
			"",
			"$ ip addr add 192.0.2.1/32 dev lo",
			"setuid(1000) = 0",
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
			"setsockopt(3, SOL_TCP, TCP_CC_INFO, {cwnd=1}, 16)",
			"setsockopt(3, SOL_TCP, TCP_MAXSEG, [1], 4)",
			'bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, 16) = -1 EACCES',
		]);
		expect(summary).toContain("2 passed over (setsockopt TCP_CC_INFO 1, setsockopt TCP_MAXSEG 1)");
	});

	it("has the pids, times and halves of a recording, and lines that are not understood as comments", async () => {
		const recording = `7 1000000000.000001 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
7 1000000000.000002 accept(3,  <unfinished ...>
hello from the program
7 1000000000.000004 bind(3, {sa_family=AF_INET, nonsense}, 16) = 0
7 1000000000.000005 <... accept resumed>NULL, NULL) = -1 EINVAL (Invalid argument)
7 1000000000.000006 +++ exited with 0 +++
`;
		const text = await printed(recording);
		expect(text).toContain(
			"[pid 7] 1000000000.000001 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n",
		);
		expect(text).toContain("[pid 7] 1000000000.000002 accept( <unfinished ...>\n");
		expect(text).toContain("# not understood: hello from the program\n");
		expect(text).toContain(
			"[pid 7] 1000000000.000005 <... accept resumed>3, NULL, NULL) = -1 EINVAL (Invalid argument)\n",
		);
		expect(text).toContain("[pid 7] 1000000000.000006 +++ exited with 0 +++\n");
		expect(text).toMatch(/^# 2 lines are not understood: line 3: expected .*; line 4: expected /m);
	});

	it("has the results of the user that --uid names", async () => {
		const script =
			'socket(AF_INET, SOCK_STREAM, 0)\nbind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("0.0.0.0")}, 16)\n';
		expect(await printed(script, "--uid", "1000")).toContain("= -1 EACCES");
		expect(await printed(script, "--uid", "0")).toContain("16) = 0");
		await expect(run(["--uid", "x", "file"])).rejects.toThrow("expected a user");
	});
});
