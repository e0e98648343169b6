// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Checks results of a real kernel: small recordings, and the running kernel through the agent, if
 * there are a C compiler and user namespaces.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PlayOptions } from "../../kernel-model/check/outcome.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { versionFor } from "../../kernel-model/machine/versions.js";
import { Agent, AgentError } from "../../kernel-model/real/agent/agent.js";
import { abilitiesOf, runCampaign } from "../../kernel-model/real/campaign/campaign.js";
import { renderProgram } from "../../kernel-model/real/campaign/render.js";
import { judge, recordScript } from "../../kernel-model/real/live.js";
import { ScriptError } from "../../kernel-model/script/strace.js";
import { obstacle } from "./obstacle.js";

const script = (text: string) => readScript(text.replace(/^\t+/gm, "").trimStart(), "script");
const differing = (text: string, options: PlayOptions = {}) =>
	playScript(script(text), { version: "6.18.44", ...options })
		.filter(({ verdict }) => verdict === "mismatch")
		.map(({ line, reason }) => `${line}: ${reason}`);

describe("a recording", () => {
	it("of a refused connect() shows in getsockname() the port that it had", () => {
		expect(
			differing(`
				socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
				connect(3, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 ECONNREFUSED
				getsockname(3, {sa_family=AF_INET, sin_port=htons(40106), sin_addr=inet_addr("0.0.0.0")}, [16]) = 0
				connect(3, {sa_family=AF_INET, sin_port=htons(82), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 ECONNREFUSED
				getsockname(3, {sa_family=AF_INET, sin_port=htons(50110), sin_addr=inet_addr("0.0.0.0")}, [16]) = 0
			`),
		).toEqual([]);
	});

	/** A reuseport group of three listeners, and a connection to one of them. */
	const reuseportGroup = [3, 4, 5].flatMap((fd) => [
		`socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}`,
		`setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0`,
		`bind(${fd}, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}, 16) = 0`,
		`listen(${fd}, 3) = 0`,
	]);
	reuseportGroup.push(
		"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6",
		'connect(6, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
	);

	it("of accept() that finds no connection leaves it to another member of the reuseport group", () => {
		const refused = [3, 5, 4].map((fd) => `accept(${fd}, NULL, NULL) = -1 EAGAIN`);
		const two = [...reuseportGroup, ...refused.slice(0, 2), "accept(4, NULL, NULL) = 7"];
		expect(differing(two.join("\n"))).toEqual([]);
		const three = [...reuseportGroup, ...refused];
		expect(differing(three.join("\n"), { alone: true })).toEqual([
			"17: the kernel says EAGAIN, the model 7",
		]);
	});

	it("of a closed member of a reuseport group matches whether this member had the connection or not", () => {
		for (const fd of [3, 4, 5]) {
			const [other, last] = [3, 4, 5].filter((candidate) => candidate !== fd);
			const lines = [
				...reuseportGroup,
				`close(${fd}) = 0`,
				`accept(${other}, NULL, NULL) = -1 EAGAIN`,
			];
			expect(differing([...lines, `accept(${last}, NULL, NULL) = 7`].join("\n"))).toEqual([]);
			expect(differing([...lines, `accept(${last}, NULL, NULL) = -1 EAGAIN`].join("\n"))).toEqual(
				[],
			);
			const peer = `{sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}`;
			lines.push(`accept(${last}, NULL, NULL) = -1 EAGAIN`, `getpeername(6, ${peer}, [16]) = 0`);
			expect(differing(lines.join("\n"), { alone: true })).not.toEqual([]);
		}
	});

	it("of accept() without an address may take a connection of every member of the reuseport group", () => {
		const lines = reuseportGroup.map((line) => line.replace("|SOCK_NONBLOCK", ""));
		for (const fd of [3, 4, 5]) {
			expect(differing([...lines, `accept(${fd}, NULL, NULL) = 7`].join("\n"))).toEqual([]);
		}
		// A program in its own namespace has only its own clients.
		const twice = [
			"$ ip link set lo up",
			...lines,
			"accept(3, NULL, NULL) = 7",
			"accept(4, NULL, NULL) = 8",
		];
		expect(differing(twice.join("\n"))).toEqual(["17: the kernel says 8, the model sleeps"]);
		expect(differing(twice.slice(1).join("\n"))).toEqual([]);
	});

	it("of a socket that still sends over IPv4 shows which peer its segments reach", () => {
		const file = new URL("../examples/old_peer.strace", import.meta.url);
		expect(differing(readFileSync(file, "utf8"))).toEqual([]);
	});

	it("of a process without a free descriptor is checked if it shows the limit and all calls", () => {
		const file = new URL("../examples/descriptors.strace", import.meta.url);
		const text = readFileSync(file, "utf8");
		const settled = { settled: true, alone: true };
		expect(differing(text, settled)).toEqual([]);
		const wrong = (from: RegExp, to: string) => {
			const changed = text.replace(from, to);
			expect(changed).not.toBe(text);
			return [differing(changed, settled), differing(changed)];
		};
		expect(wrong(/^(accept4.*) = -1 EMFILE/m, "$1 = -1 EAGAIN")[0]).toEqual([
			"10: the kernel says EAGAIN, the model EMFILE",
		]);
		const [wider = [], passedOver] = wrong(
			/rlim_cur=5, rlim_max=1024/,
			"rlim_cur=6, rlim_max=1024",
		);
		expect(wider[0]).toBe("10: the kernel says EMFILE, the model 5");
		expect(passedOver).toEqual([]);
		// The lowest free descriptor is the result.
		expect(wrong(/(F_DUPFD, 5)\) = 5/, "$1) = 6")).toEqual([
			["23: the kernel says 6, the model 5"],
			[],
		]);
	});

	it("of a process at its limit of descriptors is passed over at this call", () => {
		expect(
			differing("socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = -1 EMFILE (Too many open files)"),
		).toEqual([]);
	});

	it("of a connect() that slept until a signal came matches only if the model sleeps", () => {
		const sleeping = (address: string) => `
			$ ip route add default dev lo
			socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
			connect(3, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("${address}")}, 16) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
		`;
		expect(differing(sleeping("198.51.100.1"))).toEqual([]);
		expect(differing(sleeping("127.0.0.1"))).toEqual([
			"3: the kernel says ERESTARTSYS, the model ECONNREFUSED",
		]);
	});
});

const missing = obstacle();

describe.skipIf(missing !== null)(
	`the kernel underneath${missing === null ? "" : `: skipped, ${missing}`}`,
	() => {
		let agent: Agent;
		let version: string;
		beforeAll(async () => {
			agent = await Agent.start();
			version = versionFor(agent.hello.release) ?? "6.18";
		});
		afterAll(() => agent.end());

		const live = async (text: string) => {
			const recording = await recordScript(script(text), agent);
			return judge(recording, "script", { version });
		};

		it("gives results for a script that the model allows", async () => {
			const outcomes = await live(`
				$ ip addr add 192.0.2.10/32 dev lo
				$ sysctl -w net.ipv4.ip_local_port_range="60000 60003"
				socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
				bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("192.0.2.10")}, 16)
				bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("192.0.2.10")}, 16)
				listen(3, 1)
				fork() = 1001
				1001 socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
				1001 connect(4, {sa_family=AF_INET, sin_port=htons(port_of(3)), sin_addr=inet_addr("192.0.2.10")}, 16)
				1001 exit_group(0)
				accept4(3, NULL, NULL, 0)
				accept4(3, NULL, NULL, 0)
			`);
			expect(outcomes.map(({ verdict }) => verdict)).not.toContain("mismatch");
			expect(outcomes[3].name?.port).toBeGreaterThanOrEqual(60000);
			const shown = outcomes.map(({ recorded, recordedError }) => recordedError ?? recorded);
			expect(shown.slice(2, 6)).toEqual([3, 0, "EINVAL", 0]);
			expect(shown.slice(7, 9)).toEqual([4, 0]);
			expect(shown.slice(-2)).toEqual([4, "ERESTARTSYS"]);
		});

		it("sets O_NONBLOCK where the script has ioctl(FIONBIO)", async () => {
			const outcomes = await live(`
				socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
				ioctl(3, FIONBIO, [1])
				listen(3, 1)
				accept(3, NULL, NULL)
			`);
			expect(outcomes.at(-1)).toMatchObject({ recordedError: "EAGAIN", verdict: "match" });
		});

		it("plays each script in a fresh namespace", async () => {
			const text = `
				socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
				bind(3, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("0.0.0.0")}, 16)
			`;
			for (let i = 0; i < 2; i++) expect((await live(text))[1].recorded).toBe(0);
			const refused = await live("$ ip link set lo up\n$ ip addr add 192.0.2.1/24 dev lo");
			expect(refused).toHaveLength(2);
		});

		it("reports the place of a command that fails", async () => {
			const said = "$ ip addr add 192.0.2.1/24 dev none";
			await expect(live(said)).rejects.toThrow(
				/^script:1:1: expected a command that this kernel takes/,
			);
			await expect(live("recvmmsg(3, NULL, 0, 0, NULL)")).rejects.toThrow(ScriptError);
		});

		it("is not asked by an agent that does not speak the protocol", async () => {
			await expect(Agent.start("echo hello")).rejects.toThrow(AgentError);
			await expect(Agent.start("exit 3")).rejects.toThrow("agent: the agent has ended");
		});

		it("differs from the model of another version, and the campaign shrinks the program", async () => {
			const able = await abilitiesOf(agent, "6.3");
			expect(renderProgram({ world: 0, operations: [] }, able).length).toBeGreaterThan(3);
			const done = await runCampaign({
				agent,
				version: "6.3",
				operations: 20_000,
				seed: 1,
				shard: { i: 1, n: 1 },
				size: 200,
				shrink: true,
				shrinkLimit: 2000,
				progress: () => {},
			});
			expect(done.difference?.reason).toMatch(/^line [0-9]+: /);
			expect(done.difference?.script.length).toBeLessThan(100);
		});

		it("agrees with the model of its version over random programs", async () => {
			const done = await runCampaign({
				agent,
				version,
				operations: 2000,
				seed: 1,
				shard: { i: 1, n: 1 },
				size: 200,
				shrink: false,
				progress: () => {},
			});
			expect(done.difference?.reason ?? null).toBe(null);
			expect(done.operations).toBeGreaterThanOrEqual(2000);
		});
	},
);
