// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * No input of `live` or of the agent changes a file, a name or a setting outside its namespaces.
 * When one part ends, all parts end.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
	chmodSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readScript } from "../../kernel-model/check/player.js";
import { versionFor } from "../../kernel-model/machine/versions.js";
import { Agent, agentBinary } from "../../kernel-model/real/agent/agent.js";
import { judge, recordScript } from "../../kernel-model/real/live.js";
import { ScriptError } from "../../kernel-model/script/strace.js";
import { obstacle } from "./obstacle.js";
import { descendants, isAlive, until } from "./processes.js";

const MAIN = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));

const missing = obstacle();
const skipped = missing === null ? "" : `: skipped, ${missing}`;

const isRoot = process.getuid?.() === 0;
const NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups";
const asUser = isRoot && spawnSync("sh", ["-c", `${NOBODY} true`]).status === 0;

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-box-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
chmodSync(folder, 0o755);

/** CAP_KILL, SETUID, NET_BIND_SERVICE, NET_ADMIN, NET_RAW, SYS_ADMIN. */
const KEPT = [5, 7, 10, 12, 13, 21].reduce((bits, at) => bits | (1n << BigInt(at)), 0n);

const hex = (text: string) => Buffer.from(text).toString("hex");
const openOf = (path: string, flags = 1) => `0 openat -100 =${hex(path)}00 ${flags} 0`;

const users = [isRoot ? "root" : "this user", ...(asUser ? ["a user"] : [])];

describe.skipIf(missing !== null).each(users)(`as %s, a script${skipped}`, (user) => {
	let agent: Agent;
	let target: string;
	const play = (text: string) => recordScript(readScript(text, "script"), agent);

	beforeAll(async () => {
		target = join(folder, user.replaceAll(" ", "-"));
		writeFileSync(target, "mine");
		chmodSync(target, 0o666);
		symlinkSync(target, `${target}.link`);
		if (user !== "a user") {
			agent = await Agent.start();
			return;
		}
		const binary = join(folder, "agent");
		copyFileSync(agentBinary(), binary);
		chmodSync(binary, 0o755);
		agent = await Agent.start(`exec ${NOBODY} ${binary}`);
	});
	afterAll(() => agent.end());

	const paths = (): string[] => [
		target,
		`${target}.link`,
		`/proc/sys/net/../../..${target}`,
		`/proc/sys/net/ipv4/../../../..${target}`,
		`/proc/self/root${target}`,
		`/proc/1/root${target}`,
		`/${target}`,
		`.${target}`,
		"/proc/sys/net/../kernel/hostname",
		"/proc/sys/net/ipv4/../../kernel/hostname",
		"/proc/sys/net//../kernel/hostname",
		"/proc/sys//net/ipv4/ip_default_ttl",
		"//proc/sys/net/ipv4/ip_default_ttl",
		"/proc/sys/net/./ipv4/ip_default_ttl",
		"/proc/sys/net/ipv4//ip_default_ttl",
		"/proc/sys/net/ipv4/ip_default_ttl/.",
		"/proc/sys/net/ipv4/ip_default_ttl/",
		"/proc/sys/net/ipv4/..",
		"/proc/sys/net/",
		"/proc/sys/net",
		"/proc/sys/network/x",
		"/proc/sys/kernel/hostname",
		"proc/sys/net/ipv4/ip_default_ttl",
		"ipv4/ip_default_ttl",
		"../kernel/hostname",
		"/ipv4/ip_default_ttl",
		"",
		".",
		"/",
		"/dev/null",
		"/proc/self/mem",
		"/proc/thread-self/mem",
	];

	it("opens no path outside /proc/sys/net/", async () => {
		for (const path of paths()) {
			const text = `openat(AT_FDCWD, ${JSON.stringify(path)}, O_WRONLY)\nwrite(3, "gone", 4)\n`;
			await expect(play(text), path).rejects.toThrow(ScriptError);
			await expect(play(text), path).rejects.toThrow(/^script:1:1[0-9]: expected the path/);
		}
		expect(readFileSync(target, "utf8")).toBe("mine");
	});

	it("opens no such path through the agent's protocol either", async () => {
		await agent.request("reset");
		for (const path of [...paths(), `${target}\0x`]) {
			for (const flags of [0, 1, 2, 0o1101, 0o200000]) {
				const answer = await agent.request(openOf(path, flags));
				expect(answer, path).toMatch(/^(! |-)/);
			}
		}
		// Paths relative to a descriptor, other flags and other memory are refused.
		const good = hex("/proc/sys/net/ipv4/ip_default_ttl");
		for (const words of [
			`0 =${good}00 1 0`,
			`-100 =${good}00 0101 0`,
			"-100 4096 1 0",
			"-100 0 1 0",
		])
			expect(await agent.request(`0 openat ${words}`), words).toMatch(/^! /);
		expect(readFileSync(target, "utf8")).toBe("mine");
		expect(await agent.request(openOf("/proc/sys/net/ipv4/ip_default_ttl"))).toMatch(/^3 /);
	});

	it("passes over the files that a recording opens", async () => {
		const name = JSON.stringify(target);
		const { text } = await play(
			`openat(AT_FDCWD, ${name}, O_WRONLY|O_TRUNC) = 3\nwrite(3, "gone", 4) = 4\n` +
				"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4\nclose(3) = 0\n",
		);
		expect(text).toContain("IPPROTO_IP) = 4");
		expect(readFileSync(target, "utf8")).toBe("mine");
	});

	it("reads and writes the sysctls of its own network namespace only", async () => {
		const file = "/proc/sys/net/ipv4/ip_default_ttl";
		const before = readFileSync(file, "utf8");
		const { text } = await play(`openat(AT_FDCWD, "${file}", O_WRONLY)\nwrite(3, "99", 2)\n`);
		expect(text).toContain('write(3, "99", 2) = 2');
		await play('$ sysctl -w net.ipv4.ip_local_port_range="50000 50001"\n');
		expect(readFileSync(file, "utf8")).toBe(before);
	});

	it("changes nothing outside by a set-up command", async () => {
		for (const command of [
			"sysctl -w kernel.hostname=renamed",
			"sysctl -w net/../kernel/hostname=renamed",
			"sysctl -w net.ipv4/../../kernel/hostname=renamed",
			"sysctl -w net....kernel.hostname=renamed",
			"ip link set lo netns 1",
			`sh -c "echo gone > ${target}"`,
			`ip -batch ${target}`,
		])
			await expect(play(`$ ${command}\n`), command).rejects.toThrow(ScriptError);
		// Commands that do not concern ports are passed over, and not run.
		await play("$ ip netns add inet-port-model-box\n");
		expect(existsSync("/run/netns/inet-port-model-box")).toBe(false);
		expect(readFileSync(target, "utf8")).toBe("mine");
	});

	it("cannot use a descriptor that it did not get", async () => {
		for (const call of ['write(1, "0\\n", 2)', 'write(2, "x", 1)', "read(0, NULL, 1)"])
			await expect(play(`${call}\n`), call).rejects.toThrow(/^script:1:1: expected a descriptor/);
	});

	it("cannot reach the agent's own descriptors", async () => {
		await agent.request("reset");
		for (let fd = 3; fd < 1100; fd++)
			expect((await agent.request(`0 fcntl ${fd} 1 0`)).split(" ")[0]).toBe("-9");
		for (let fd = 0; fd < 3; fd++) await agent.request(`0 close ${fd}`);
		expect(await agent.request("hello")).toMatch(/^port-agent 1 /);
		expect(await agent.request("reset")).toMatch(/^[0-9]+$/);
		expect((await agent.request(`0 write 1 =${hex("0\n")} 2`)).split(" ")[0]).toBe("2");
		expect(await agent.request("hello")).toMatch(/^port-agent 1 /);
	});

	it("can make only the agent's calls, with arguments that stay inside", async () => {
		await agent.request("reset");
		for (const call of [
			"mount 0 0 0 0 0",
			"mkdirat -100 =6100 511",
			"finit_module 0 =00 0",
			"kill 1 9",
			"ptrace 16 1 0 0",
			"execve =2f62696e2f736800 0 0",
			"unshare 0x10000000", // CLONE_NEWUSER
			"unshare 0x20000", // CLONE_NEWNS
			"socket 40 1 0", // AF_VSOCK
			"socket 38 5 0", // AF_ALG
			"socket 17 3 0", // AF_PACKET
			"socket 16 3 15", // NETLINK_KOBJECT_UEVENT
			"fcntl 0 8 1", // F_SETOWN
			"fcntl 0 1024 0", // F_SETLEASE
			"prlimit64 1 7 =00040000000000000004000000000000 0", // another process
			"prlimit64 0 6 =00040000000000000004000000000000 0", // RLIMIT_NPROC
			"setns 0 0", // a namespace of any type
			"setns 0 0x10000000", // CLONE_NEWUSER
			"setns 0 0x40020000", // CLONE_NEWNET and CLONE_NEWNS
			"ioctl 0 0xb701 0", // NS_GET_USERNS
			"ioctl 0 0x8902 =01000000", // SIOCSPGRP
			"ioctl 0 0x5412 =41", // TIOCSTI
		])
			expect(await agent.request(`0 ${call}`), call).toMatch(/^! /);
		for (const number of ["99999999999999999999", "-99999999999999999999", "3x", "-"])
			expect(await agent.request(`0 close ${number}`)).toBe(`! argument ${number}`);
		expect((await agent.request("0 unshare 0x40000000")).split(" ")[0]).toBe("0");
		// setns() enters the namespaces of the task's own sockets. /dev/null has no namespace.
		expect((await agent.request("0 ioctl 0 0x894c")).split(" ")[0]).toBe("-25");
		expect((await agent.request("0 setns 0 0x40000000")).split(" ")[0]).toBe("-22");
		// A task may lower its limit of descriptors, but not raise the hard one.
		const limit = (hex: string) => agent.request(`0 prlimit64 0 7 =${hex.repeat(2)} 0`);
		expect((await limit("0400000000000000")).split(" ")[0]).toBe("0");
		expect((await agent.request("0 dup 1")).split(" ")[0]).toBe("3");
		expect((await agent.request("0 dup 1")).split(" ")[0]).toBe("-24");
		expect((await limit("0500000000000000")).split(" ")[0]).toBe("-1");
	});

	it("cannot disturb the agent by a malformed request", async () => {
		await agent.request("reset");
		for (const line of [
			"",
			" ",
			"0",
			"0 ",
			"0 fork",
			"0 fork ",
			"0 fork 0",
			"0 fork 64",
			"0 fork -1",
			"0 fork x",
			"64 socket 2 1 0",
			"-1 socket 2 1 0",
			"99999999999999999999 socket 2 1 0",
			"0 socket 2 1 0 0 0 0 0 0",
			"0 read 0 ?999999999 1",
			"0 read 0 ?-1 1",
			"0 write 0 =zz 1",
			"0 write 0 =P 1",
			"0 write 0 =P99999999999; 1",
			"0 repeat",
			"0 repeat 5",
			"0 repeat 5 /",
			"0 repeat 99999999999 close -1",
			"0 repeat 2 $",
			`0 repeat 1 ${"close 1 / ".repeat(9)}close 1`,
			"limit",
			"limit x",
			"perturb",
			"perturb 1",
			"secrets",
			"draws",
			"\u0001\u00ff",
			`0 write 0 =${"00".repeat(70000)} 1`,
		])
			await agent.request(line);
		await agent.request("limit 250");
		expect(await agent.request("hello")).toMatch(/^port-agent 1 /);
		expect(await agent.request("reset")).toMatch(/^[0-9]+$/);
		expect((await agent.request("0 socket 2 1 0")).split(" ")[0]).toBe("3");
	});

	it("cannot make the agent give up its box by naming another system", async () => {
		const inside = "--inside gvisor";
		for (const line of [inside, `hello ${inside}`, `reset ${inside}`, `0 ${inside}`])
			expect(await agent.request(line), line).not.toMatch(/gvisor$/);
		expect(await agent.request("hello")).toMatch(/^port-agent 1 [^ ]+ [^ ]+$/);
		for (const path of paths().slice(0, 3)) {
			const answer = await agent.request(openOf(path));
			expect(answer, path).toMatch(/^(! |-)/);
		}
		expect(() => play(`${inside}\n`)).toThrow(ScriptError);
		expect((await agent.request("0 socket 17 3 0")).slice(0, 2)).toBe("! "); // the filter stays
	});

	it("can break only its own task by a bad pointer", async () => {
		await agent.request("reset");
		expect(await agent.request("0 fork 1")).toMatch(/^[0-9]+$/);
		expect((await agent.request("0 write 1 1 5")).split(" ")[0]).toMatch(/^(-14|5)$/);
		expect((await agent.request("0 getsockname 0 8 16")).split(" ")[0]).toBe("-88");
		expect((await agent.request("1 socket 2 1 0")).split(" ")[0]).toBe("3");
	});
});

describe.skipIf(missing !== null || !isRoot)(
	`the agent's processes${skipped || (isRoot ? "" : ": skipped, not root")}`,
	() => {
		it("see nothing but /proc/sys/net, hold nothing but /dev/null, and are filtered", async () => {
			const child = spawn(agentBinary(), { stdio: ["pipe", "pipe", "inherit"] });
			child.stdin.write("reset\n0 fork 1\nhello\n");
			let said = "";
			child.stdout.on("data", (data) => {
				said += data;
			});
			await until(() => said.split("\n").length > 3);
			const pids = descendants(child.pid ?? 0);
			expect(pids.length).toBe(3);
			const net = readdirSync("/proc/sys/net");
			const [own, ...tasks] = pids.sort((a, b) => a - b);
			for (const pid of pids) {
				const status = readFileSync(`/proc/${pid}/status`, "latin1");
				expect(status).toMatch(/^NoNewPrivs:\t1$/m);
				expect(status).toMatch(/^Seccomp:\t2$/m);
				const allowed = BigInt(`0x${/^CapBnd:\t([0-9a-f]+)$/m.exec(status)?.[1]}`);
				expect(allowed & ~KEPT).toBe(0n);
				// Its root is the directory of sysctls, so other names do not exist.
				const root = `/proc/${pid}/root`;
				for (const name of ["proc", "etc", "tmp"])
					expect(existsSync(`${root}/${name}`)).toBe(false);
				expect(net).toEqual(expect.arrayContaining(readdirSync(root)));
				const mounts = readFileSync(`/proc/${pid}/mountinfo`, "latin1").trim().split("\n");
				expect(mounts).toHaveLength(1);
				expect(readFileSync(`/proc/${pid}/uid_map`, "latin1").trim().split(/ +/)[1]).not.toBe("0");
				for (const space of ["net", "user", "mnt", "pid"])
					expect(readlinkSync(`/proc/${pid}/ns/${space}`)).not.toBe(
						readlinkSync(`/proc/self/ns/${space}`),
					);
			}
			expect(tasks).toHaveLength(2);
			for (const pid of tasks) {
				const fds = readdirSync(`/proc/${pid}/fd`);
				expect(fds).toEqual(["0", "1", "2"]);
				for (const fd of fds) expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe("/dev/null");
			}
			expect(own).toBeGreaterThan(0);
			child.stdin.end();
			expect(await until(() => pids.every((pid) => !isAlive(pid)))).toBe(true);
		});
	},
);

describe.skipIf(missing !== null)(`the agent's arguments${skipped}`, () => {
	const run = (...words: string[]) =>
		spawnSync(agentBinary(), words, { input: "hello\nreset\n", encoding: "utf8" });

	it("do not make it go without its box on Linux", () => {
		const done = run("--inside", "gvisor");
		expect(done.stderr).toMatch(/^port-agent: --inside gvisor: this kernel is not gVisor: .*\n$/);
		expect(done.status).toBe(2);
		expect(done.stdout).toBe("");
	});

	it("are refused if they are others", () => {
		for (const words of [["--inside"], ["--inside", "linux"], ["gvisor"], ["x", "y", "z"]]) {
			const done = run(...words);
			expect(done.stderr, words.join(" ")).toContain("expected no arguments, or --inside gvisor");
			expect(done.status).toBe(2);
			expect(done.stdout).toBe("");
		}
	});
});

describe.skipIf(missing !== null)(`no process and no file of the agent stays${skipped}`, () => {
	const script = join(folder, "sleeps.strace");
	const temporary = join(folder, "tmp");
	beforeAll(() => {
		agentBinary(); // Compiles the agent first, so no compiler is among its processes.
		mkdirSync(temporary);
		writeFileSync(script, "1 fork() = 2\n$ sleep 3600\n");
	});
	/**
	 * The agent's processes while the script runs. Before the script there is one task, which is
	 * replaced.
	 */
	const parts = async (live: number): Promise<number[]> => {
		await until(() => descendants(live).length >= 4);
		const pids = descendants(live).sort((a, b) => a - b);
		expect(pids).toHaveLength(4);
		return pids;
	};
	const startLive = (): ChildProcess =>
		spawn(process.execPath, [MAIN, "live", script], {
			stdio: "ignore",
			env: { ...process.env, TMPDIR: temporary },
		});

	const signals = ["SIGTERM", "SIGINT", "SIGKILL", "SIGHUP"] as const;
	it.each(signals)("when %s ends live", async (signal) => {
		const child = startLive();
		const pids = await parts(child.pid ?? 0);
		child.kill(signal);
		expect(await until(() => pids.every((other) => !isAlive(other)))).toBe(true);
		expect(readdirSync(temporary)).toEqual([]);
	});

	it.each([0, 1, 2])("when part %i of the agent is killed, and live says so", async (part) => {
		const child = spawn(process.execPath, [MAIN, "live", script], { stdio: "pipe" });
		let said = "";
		child.stderr.on("data", (data) => {
			said += data;
		});
		const pids = await parts(child.pid ?? 0);
		const status = new Promise((resolve) => child.on("close", resolve));
		process.kill(pids[part], "SIGKILL");
		expect(await status).toBe(2);
		expect(said).toMatch(/^inet-port-model: agent: .*\n$/);
		expect(await until(() => pids.every((other) => !isAlive(other)))).toBe(true);
	});
});

describe.skipIf(missing !== null)(`live says in one line${skipped}`, () => {
	const live = (text: string, ...options: string[]) => {
		const file = join(folder, "said.strace");
		writeFileSync(file, text);
		const done = spawnSync(process.execPath, [MAIN, "live", ...options, file], {
			encoding: "utf8",
		});
		expect(done.stderr).toMatch(/^inet-port-model: [^\n]+\n$/);
		expect(done.status).toBe(2);
		return done.stderr;
	};

	it("that the agent's command does not speak the protocol", () => {
		expect(live("", "--agent", "")).toContain("expected a command");
		for (const command of ["echo hello", "yes", "true", "head -c 9000000 /dev/zero", "exit 3"])
			expect(live("", "--agent", command), command).toMatch(/agent/);
	});

	it("that the agent's answer is malformed or unasked", () => {
		const hello = "echo port-agent 1 6.18.44 0";
		for (const said of [
			"echo x; cat",
			"yes ''",
			"yes '0 0 0 zz'",
			"echo 0; echo 1; sleep 1; yes 1",
		])
			expect(live("socket(AF_INET, SOCK_STREAM, 0)\n", "--agent", `${hello}; ${said}`)).toMatch(
				/agent: /,
			);
	});

	it("how long it has waited for an agent that does not answer", async () => {
		await expect(Agent.start("exec sleep 100", 200)).rejects.toThrow("no answer within 0.2 s");
	});

	it("that the kernel gives another descriptor than the script", () => {
		const said = live("socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6\n");
		expect(said).toContain(":1:1: expected the result of this kernel, which is 3, found = 6");
	});

	it("which command to use instead of a host that answers", () => {
		const said = live("$ ip route add default dev lo answer accept\n");
		expect(said).toMatch(/:1:31: expected .* ip route add local PREFIX dev lo/);
	});

	it("that the disk is full, and leaves no file there", () => {
		if (spawnSync("unshare", ["-rm", "true"]).status !== 0) return;
		const disk = join(folder, "disk");
		mkdirSync(disk);
		const command =
			`mount -t tmpfs -o size=4k none ${disk} && dd if=/dev/zero of=${disk}/full bs=4k count=1 2>/dev/null;` +
			`XDG_CACHE_HOME=${disk} TMPDIR=${disk} ${process.execPath} ${MAIN} live ${join(folder, "said.strace")};` +
			`echo $?; find ${disk} -type f`;
		const done = spawnSync("unshare", ["-rm", "sh", "-c", command], { encoding: "utf8" });
		expect(done.stderr).toMatch(/^inet-port-model: [^\n]+\n$/);
		expect(done.stdout).toBe(`2\n${disk}/full\n`);
	});
});

describe.skipIf(missing !== null)(`the port of a connect() that sleeps${skipped}`, () => {
	const run = async (text: string) => {
		const agent = await Agent.start();
		const version = versionFor(agent.hello.release) ?? "6.18";
		const recording = await recordScript(readScript(text, "script"), agent);
		agent.end();
		return judge(recording, "script", { version });
	};

	it("is known if no host answers", async () => {
		const outcomes = await run(
			"$ ip addr add 192.0.2.10/32 dev lo\n$ ip route add default dev lo\n" +
				"socket(AF_INET, SOCK_STREAM, IPPROTO_IP)\n" +
				'connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("198.51.100.1")}, 16)\n' +
				"getsockname(3, NULL, [16])\n",
		);
		expect(outcomes.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
		expect(outcomes.at(-1)?.address?.port).toBeGreaterThan(0);
	});

	it("is known if the listener's backlog is full", async () => {
		const to = '{sa_family=AF_INET, sin_port=htons(20000), sin_addr=inet_addr("127.0.0.1")}, 16';
		const outcomes = await run(
			`socket(AF_INET, SOCK_STREAM, IPPROTO_IP)\nbind(3, ${to})\nlisten(3, 0)\n` +
				`socket(AF_INET, SOCK_STREAM, IPPROTO_IP)\nconnect(4, ${to})\n` +
				`socket(AF_INET, SOCK_STREAM, IPPROTO_IP)\nconnect(5, ${to})\ngetsockname(5, NULL, [16])\n`,
		);
		expect(outcomes.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
	});
});
