// SPDX-License-Identifier: GPL-2.0-or-later
/** Another stack under test: the agent plays scripts in gVisor's sandbox. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import type { Agent } from "../../kernel-model/real/agent/agent.js";
import { judgeSystem, lackNames } from "../../kernel-model/real/lacks.js";
import { readRecording, recordScript } from "../../kernel-model/real/live.js";
import { missingSystem, startSystem, systemVersion } from "../../kernel-model/real/systems.js";
import type { Parsed } from "../../kernel-model/script/strace.js";
import { in4 } from "../text.js";
import { obstacle } from "./obstacle.js";
import { descendants, isAlive, until } from "./processes.js";

const MAIN = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));

const missing = obstacle() ?? missingSystem("gvisor");
const skipped = missing === null ? "" : `: skipped, ${missing}`;

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-system-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hex = (text: string) => Buffer.from(text).toString("hex");

describe.skipIf(missing !== null)(`gVisor's agent${skipped}`, () => {
	let agent: Agent;
	beforeAll(async () => {
		agent = await startSystem("gvisor");
	});
	afterAll(() => agent.end());

	const judged = async (text: string) => {
		const recording = await recordScript(readScript(text, "script"), agent);
		return judgeSystem(recording, "script", { version: "7.3" }, agent.hello.lacks);
	};
	const verdicts = async (text: string) =>
		(await judged(text)).outcomes.filter(({ call }) => call !== "$").map((line) => line.verdict);

	it("says which system it is in, and which options the system ignores", () => {
		expect(agent.hello.system).toBe("gvisor");
		expect(agent.hello.name).toMatch(/^gVisor ./);
		expect(agent.hello.lacks).toContain("IP_BIND_ADDRESS_NO_PORT");
		expect(agent.hello.lacks).not.toContain("SO_REUSEADDR");
	});

	it("refuses what the rules of every script refuse", async () => {
		const file = join(folder, "mine");
		writeFileSync(file, "mine", { mode: 0o666 });
		await agent.request("reset");
		for (const path of [
			file,
			`/proc/sys/net/../../..${file}`,
			"/proc/sys/net/../kernel/hostname",
			"/proc/sys/net/ipv4/..",
			"/proc/sys/kernel/hostname",
			"/proc/1/mem",
			"/",
			"..",
		])
			for (const flags of [0, 1, 2]) {
				const answer = await agent.request(`0 openat -100 =${hex(path)}00 ${flags} 0`);
				expect(answer, path).toMatch(/^(! |-)/);
			}
		for (const call of [
			"mount 0 0 0 0 0",
			"execve =2f62696e2f736800 0 0",
			"kill 1 9",
			"unshare 0x10000000", // CLONE_NEWUSER
			"socket 17 3 0", // AF_PACKET
			"ioctl 0 0x5412 =41", // TIOCSTI
		])
			expect(await agent.request(`0 ${call}`), call).toMatch(/^! /);
		expect(readFileSync(file, "utf8")).toBe("mine");
	});

	it("begins each script without the sockets and settings of the one before", async () => {
		const bound = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)\nbind(3, ${in4("40000", "0.0.0.0")}, 16)\n`;
		const narrow = `$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"\n${bound}`;
		expect(await verdicts(narrow)).toEqual(["match", "match"]);
		const { outcomes } = await judged(bound);
		expect(outcomes.map(({ verdict }) => verdict)).not.toContain("mismatch");
		expect(outcomes[0]?.text).toContain('ip_local_port_range="16000 65535"');
	});

	it("chooses the one port of a range that a sysctl sets", async () => {
		const found = await judged(
			'$ sysctl -w net.ipv4.ip_local_port_range="40001 40001"\n' +
				`socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)\nbind(3, ${in4("0", "127.0.0.1")}, 16)\ngetsockname(3, NULL, [16])\n`,
		);
		expect(found.outcomes.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
		expect(found.outcomes.at(-1)?.address?.port).toBe(40001);
	});

	it("tells what the system lacks from what it does otherwise", async () => {
		const { outcomes, lacks } = await judged(
			"$ ip link add vrf0 type vrf table 10\n" +
				"socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)\n" +
				"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)\n" +
				"setsockopt(3, SOL_IP, IP_BIND_ADDRESS_NO_PORT, [1], 4)\n" +
				`bind(3, ${in4("40000", "127.0.0.1")}, 16)\nlisten(3, 1)\nlisten(3, 1)\n`,
		);
		expect(outcomes.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
		expect(lackNames(lacks)).toEqual([
			"ip link add",
			"IP_BIND_ADDRESS_NO_PORT",
			"AF_INET SOCK_STREAM IPPROTO_MPTCP",
		]);
		const set = outcomes.find(({ call }) => call === "setsockopt");
		expect(set?.verdict).toBe("ignored");
		expect(set?.reason).toBe("the system lacks IP_BIND_ADDRESS_NO_PORT");
	});
});

const EXAMPLES = fileURLToPath(new URL("../examples/gvisor/", import.meta.url));
const examples = readdirSync(EXAMPLES).map((file) => [file.replace(".strace", ""), file] as const);

describe("a script of a difference between gVisor and Linux", () => {
	it.each(examples)("%s: only its last call differs from Linux 7.3", (_name, file) => {
		const script = readScript(readFileSync(join(EXAMPLES, file), "utf8"), file);
		const outcomes = playScript(script, { version: "7.3", alone: true });
		expect(outcomes.at(-1)?.verdict).toBe("mismatch");
		expect(outcomes.slice(0, -1).map(({ verdict }) => verdict)).not.toContain("mismatch");
	});

	it("is in the table of differences", () => {
		const table = readFileSync(
			new URL("../../kernel-model/real/GVISOR.md", import.meta.url),
			"utf8",
		);
		const rows = [...table.matchAll(/^\| `([^`]+)` \| .* \| .* \| .* \|$/gm)].map(
			([, name]) => name,
		);
		expect(rows.sort()).toEqual(examples.map(([name]) => name).sort());
	});
});

/** The version whose answers the scripts have. */
const VERSION = "0.0~20221219.0";
const other = missing ?? (systemVersion("gvisor") === VERSION ? null : `runsc is not ${VERSION}`);
describe.skipIf(other !== null)(
	`gVisor ${VERSION}${other === null ? "" : `: skipped, ${other}`}`,
	() => {
		it("gives the answers of the scripts again", { timeout: 300_000 }, async () => {
			const agent = await startSystem("gvisor");
			for (const [, file] of examples) {
				const text = readFileSync(join(EXAMPLES, file), "utf8");
				const recording = await recordScript(readScript(text, file), agent);
				expect(answersOf(readRecording(recording, file)), file).toEqual(
					answersOf(readScript(text, file)),
				);
			}
			agent.end();
		});
	},
);

/** What each call returns: its result, its error, and the address of the last getsockname(). */
function answersOf({ lines }: Parsed): string[] {
	return lines.flatMap((line) => {
		if (line.kind !== "call" || !Number.isInteger(line.line) || line.result === null) return [];
		const { value, errno } = line.result;
		const port = /htons\(([0-9]+)\)/.exec(line.name === "getsockname" ? line.text : "")?.[1] ?? "";
		const address = /inet_addr\("([^"]*)"\)|AF_INET6, "([^"]*)"/.exec(line.text);
		const name = line.name === "getsockname" ? `${address?.[1] ?? address?.[2]} ${port}` : "";
		return [`${line.line} ${line.name} ${errno ?? value} ${name}`];
	});
}

describe.skipIf(missing !== null)(`live --system gvisor${skipped}`, () => {
	const script = join(folder, "script.strace");
	const live = (text: string, ...options: string[]) => {
		writeFileSync(script, text);
		return spawnSync(process.execPath, [MAIN, "live", "--system", "gvisor", ...options, script], {
			encoding: "utf8",
		});
	};

	it("names the system, its version and what it lacks in the summary", () => {
		const done = live("socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)\n");
		expect(done.stdout).toMatch(/, kernel gVisor \S+, model \S+: 2 lines, 0 differ\n/);
		expect(done.stdout).toMatch(/^# gVisor \S+ lacks: .*IPPROTO_MPTCP$/m);
		expect(done.status).toBe(0);
	});

	it("ends all processes of the sandbox when live is killed", async () => {
		writeFileSync(script, "1 fork() = 2\n$ sleep 3600\n");
		const child = spawn(process.execPath, [MAIN, "live", "--system", "gvisor", script], {
			stdio: "ignore",
		});
		await until(() => descendants(child.pid ?? 0).length >= 3);
		const pids = descendants(child.pid ?? 0);
		expect(pids.length).toBeGreaterThanOrEqual(3);
		child.kill("SIGKILL");
		expect(await until(() => pids.every((pid) => !isAlive(pid)))).toBe(true);
	});
});

describe("live --system", () => {
	it("names the systems if it does not know one", () => {
		const done = spawnSync(process.execPath, [MAIN, "live", "--system", "plan9", "-"], {
			encoding: "utf8",
			input: "",
		});
		expect(done.stderr).toBe("inet-port-model: --system: expected one of gvisor, found plan9\n");
		expect(done.status).toBe(2);
	});

	it("says how to install a system that is missing", () => {
		const done = spawnSync(process.execPath, [MAIN, "live", "--system", "gvisor", "-"], {
			encoding: "utf8",
			input: "",
			env: { ...process.env, PATH: "/nonexistent" },
		});
		expect(done.stderr).toMatch(/^inet-port-model: --system: gVisor: runsc is not installed .*\n$/);
		expect(done.status).toBe(2);
	});
});
