// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The command line: its output and its exit status. Most tests call the module itself.
 * Some run dist/kernel-model/cli/main.js, which `npm test` builds, in a new process.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHANGES, DEFAULT_VERSION, VERSIONS } from "../../kernel-model/index.js";
import { in4 } from "../text.js";
import { cli, type Run } from "./command.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILT = join(ROOT, "dist/kernel-model/cli/main.js");

/** Runs the built command line in a new process. */
function node(args: readonly string[], input = ""): Promise<Run> {
	return new Promise((resolve) => {
		const child = execFile(process.execPath, [BUILT, ...args], (error, stdout, stderr) => {
			resolve({ status: error?.code ?? 0, stdout, stderr });
		});
		child.stdin?.end(input);
	});
}

/** The latest modification time below folders, ms. */
function changed(folders: readonly string[], ends: string): number {
	const files = folders.flatMap((folder) =>
		readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
			.filter((file) => file.endsWith(ends))
			.map((file) => join(ROOT, folder, file)),
	);
	return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function script(text: string): string {
	const file = join(folder, `${++files}.strace`);
	writeFileSync(file, text);
	return file;
}

const bad = (run: Run) => {
	expect(run.status).toBe(2);
	expect(run.stdout).toBe("");
	// One line, which names this program.
	expect(run.stderr).toMatch(/^inet-port-model: [^\n]+\n$/);
	return run.stderr.replace(/^inet-port-model: /, "").trimEnd();
};

const SOCKET = "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n";
const GOOD = `${SOCKET}bind(3, ${in4(5000)}, 16) = 0\n`;
const WRONG = `$ ip link set lo up\n${SOCKET}bind(3, ${in4(5000)}, 16) = -1 EADDRINUSE (Address already in use)\n`;
const OPEN = `${SOCKET}bind(3, ${in4(5000)}, 16)\n`;

describe("--help", () => {
	it.each([[["--help"]], [["-h"]], [["help"]]])("lists the commands: %j", async (args) => {
		const run = await cli(...args);
		expect(run).toMatchObject({ status: 0, stderr: "" });
		expect(run.stdout).toMatch(/^usage: inet-port-model /);
		expect(run.stdout).toContain("Exit status");
	});

	it("works for each command that it lists", async () => {
		const { stdout } = await cli("--help");
		const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, command]) => command);
		expect(commands).toEqual(expect.arrayContaining(["run", "matrix", "kernels"]));
		for (const command of commands) {
			const run = await cli(command, "--help");
			expect(run).toMatchObject({ status: 0, stderr: "" });
			expect(run.stdout).toMatch(new RegExp(`^usage: inet-port-model ${command} `));
		}
	});

	it("of run names every option, and the default kernel", async () => {
		const { stdout } = await cli("run", "--help");
		for (const option of [
			"--kernel",
			"--seed",
			"--uid",
			"--alone",
			"--strict",
			"--explain",
			"--json",
			"--quiet",
		]) {
			expect(stdout).toContain(`  ${option}`);
		}
		expect(stdout).toContain(DEFAULT_VERSION);
	});

	it("has precedence over wrong options", async () => {
		expect(await cli("run", "--help", "--kernel", "2.6", "nowhere")).toMatchObject({
			status: 0,
			stderr: "",
		});
	});
});

describe("the command line", () => {
	const good = script(GOOD);
	it.each([
		[[], /expected a command/],
		[["walk"], /unknown command walk/],
		[["--json"], /--json/],
		[["run"], /expected a script/],
		[["run", "--json"], /expected a script/],
		[["run", "--loud", good], /--loud/],
		[["run", "-x", good], /-x/],
		[["run", "--explain=yes", good], /--explain/],
		[["run", good, "--kernel"], /--kernel/],
		[["run", "--kernel", "next", good], /--kernel: .*found next$/],
		[["run", "--kernel", "", good], /--kernel: /],
		[["run", "--kernel=6", good], /--kernel: .*found 6$/],
		[["run", "--seed", "x", good], /--seed: .*found x$/],
		[["run", "--seed=-1", good], /--seed: .*found -1$/],
		[["run", "--seed", "1.5", good], /--seed: .*found 1\.5$/],
		[["run", "--seed", "1e3", good], /--seed: .*found 1e3$/],
		[["run", "--seed", "", good], /--seed: /],
		[["run", "--seed", "4294967296", good], /--seed: .*found 4294967296$/],
		[["run", join(folder, "nowhere")], /nowhere: .*no such file/],
		[["run", folder], /directory/i],
		[["run", good, join(folder, "nowhere")], /nowhere: .*no such file/],
		[["matrix"], /expected a script/],
		[["matrix", good, good], /expected one script/],
		[["matrix", "--kernel", "6.3", good], /--kernel/],
		[["matrix", join(folder, "nowhere")], /nowhere: .*no such file/],
		[["matrix", folder], /directory/i],
		[["kernels", "6.3"], /unexpected 6\.3/],
		[["kernels", "--quiet"], /--quiet/],
	])("gives one line on standard error if it cannot be understood: %j", async (args, message) => {
		expect(bad(await cli(...args))).toMatch(message);
	});

	it("accepts the smallest and the largest seed", async () => {
		for (const seed of ["0", "4294967295", "007"]) {
			expect((await cli("run", "--seed", seed, good)).status).toBe(0);
		}
	});
});

describe("a script", () => {
	/** The mark ▶ is before the wrong place. */
	const check = async (text: string, expected: RegExp | string) => {
		const at = text.indexOf("▶");
		const lines = text.slice(0, at).split("\n");
		const file = script(text.replace("▶", ""));
		const message = bad(await cli("run", file));
		const where = `${file}:${lines.length}:${lines[lines.length - 1].length + 1}: `;
		expect(message.slice(0, where.length)).toBe(where);
		expect(message.slice(where.length)).toMatch(/^expected .+, found .+$/);
		expect(message.slice(where.length)).toMatch(expected);
	};

	it.each([
		["▶bind 3 127.0.0.1", "a system call"],
		["▶!!!", "a system call"],
		["bind(3, {sa_family=AF_INET▶", "the end of the line"],
		["bind(3, {sa_family=AF_INET, ▶}, 16)", "a field"],
		['bind(3, "abc▶', "the end of the line"],
		["bind(3, [1▶", "the end of the line"],
		["bind(3, ▶@, 1)", "a value"],
		["bind(3) = ▶x", "a number or"],
		["bind(3) ▶bogus", "'='"],
		["listen(3, ▶0x)", "a number"],
		['listen(3, "▶\\q")', "an escape sequence"],
		// A correct line, then a wrong one.
		[`bind(3, ${in4(5000)}, 16) = 0\n# so far, so good\nlisten(3 ▶5)`, "','"],
	])(
		"that cannot be read gives its line and column, and nothing else: %s",
		async (text, expected) => {
			await check(`${SOCKET}${text}\n`, expected);
		},
	);

	it.each([
		[`bind(3, ${in4("▶65536")}, 16)`, "a port from 0 to 65535"],
		[`bind(3, ${in4("▶-1")}, 16)`, "a port from 0 to 65535"],
		['bind(3, {sa_family=AF_INET, sin_port=▶80, sin_addr=inet_addr("1.2.3.4")}, 16)', "htons"],
		[
			'bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(▶"1.2.3.400")}, 16)',
			"an IPv4 address",
		],
		[
			'bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(▶"1.2.3")}, 16)',
			"an IPv4 address",
		],
		['bind(3, ▶{sa_family=AF_INET, sin_addr=inet_addr("1.2.3.4")}, 16)', "sin_port"],
		["bind(3, ▶{sa_family=AF_INET, sin_port=htons(80)}, 16)", "sin_addr"],
		["bind(3, ▶{sin_port=htons(80)}, 16)", "sa_family"],
		['bind(3, ▶"127.0.0.1", 16)', "an address"],
		[`bind(3, ${in4(80)}, ▶LENGTH)`, "an address length"],
		[`bind(3, ${in4(80)})▶`, "an address length"],
		["bind(3)▶", "no such argument"],
		[`bind(▶FD, ${in4(80)}, 16)`, "a file descriptor"],
		['listen(3, ▶"x")', "a backlog"],
		["listen(3)▶", "a backlog"],
		["socket(▶AF_BOGUS, SOCK_STREAM, 0)", "an address family"],
		["socket(AF_INET, ▶SOCK_BOGUS, 0)", "a socket type"],
		["setsockopt(3, ▶SOL_BOGUS, 1, [1], 4)", "an option level"],
		["setsockopt(3, SOL_IP, ▶IP_BOGUS, [1], 4)", "an option"],
		["setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [▶x], 4)", "a number"],
		["setsockopt(3, SOL_SOCKET, SO_LINGER, ▶{l_onoff=1}, 8)", "l_linger"],
		["setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1])▶", "an option length"],
		["shutdown(3, ▶SHUT_BOGUS)", "SHUT_RD"],
	])(
		"with a wrong value gives its line and column, and nothing else: %s",
		async (text, expected) => {
			await check(`${SOCKET}${text}\n`, expected);
		},
	);

	it.each([
		"setns(4, CLONE_NEWNET) = 0",
		'setsockopt(3, SOL_IP, 0x33 /* IP_??? */, "\\x40\\x9c"..., 4) = 0',
		'openat(AT_FDCWD, "/proc/sys/net/ip"..., O_WRONLY) = 4',
		'openat(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY) = 4\nwrite(4, "40000 4"..., 12) = 12',
	])(
		"that is a recording is not refused for a line that cannot be understood: %s",
		async (text) => {
			const { stdout, status } = await cli("run", script(`${SOCKET}${text}\n${GOOD}`));
			expect(status).toBe(0);
			expect(stdout).toMatch(/, 0 differ, .*(passed over \(|undecided)/);
		},
	);

	it("may have truncated strings where they do not concern ports", async () => {
		const file = script(`${SOCKET}sendto(3, "xxxxxxxx"..., 100, 0, NULL, 0) = -1 EPIPE
openat(AT_FDCWD, "/dev/null", O_WRONLY) = 4
write(4, "xxx"..., 100) = 100
`);
		expect((await cli("run", file)).status).toBe(0);
	});

	it.each([
		["$▶", "a command"],
		["$ ▶ifconfig lo up", "ip, sysctl or sleep"],
		["$ ip▶", "link, address or route"],
		["$ ip ▶rule add", "link, address or route"],
		["$ ip addr ▶frobnicate 192.0.2.1/24 dev lo", "add or change"],
		["$ ip addr add ▶300.0.0.1/8 dev lo", "IPv4 prefix"],
		["$ ip addr add ▶192.0.2.1/33 dev lo", "IPv4 prefix"],
		["$ ip addr add 192.0.2.1/24▶", "dev"],
		["$ ip addr add 192.0.2.1/24 dev ▶nope", "a device of this namespace (ENODEV)"],
		["$ ip addr add 192.0.2.1/24 dev lo ▶sideways", "dev"],
		["$ ip link set lo ▶sideways", "a setting of a device"],
		["$ ip link add red▶", "type dummy or type vrf"],
		["$ ip link add red type vrf▶", "table"],
		["$ ip link add red type vrf table ▶x", "a table number"],
		["$ ip route add ▶nowhere dev lo", "IPv4 prefix"],
		["$ ip route add 198.51.100.0/24 dev lo answer ▶maybe", "blackhole or accept or refuse"],
		["$ ip route del ▶198.51.100.0/24", "a route that exists (ESRCH)"],
		["$ sysctl -w ▶net.ipv4.nope=1", "ip_local_port_range"],
		['$ sysctl -w ▶net.ipv4.ip_local_port_range="9 1"', "EINVAL"],
		["$ sysctl ▶net.ipv4.tcp_tw_reuse", "NAME=VALUE"],
		["$ sysctl -w net.ipv4.tcp_tw_reuse=1 ▶net.ipv4.tcp_tw_reuse=7", "EINVAL"],
		["$ sleep▶", "seconds"],
		["$ sleep ▶soon", "seconds"],
		["$ sleep ▶-1", "seconds"],
		["$ sleep ▶Infinity", "seconds, such as 1.5"],
		["$ sleep 1 ▶foo", "the end of the command"],
		['$ sysctl -w net.ipv4.tcp_tw_reuse="1▶', "'\"'"],
		["$ sleep '1▶", "'"],
	])(
		"with a wrong set-up command gives its line and column, and nothing else: %s",
		async (text, expected) => {
			await check(`${SOCKET}${text}\n`, expected);
		},
	);

	it("that is wrong gives the same error in a process of its own", async () => {
		const file = script(`${GOOD}listen(3 5)\n`);
		expect(bad(await node(["run", file]))).toContain(`${file}:3:10: expected`);
		expect(bad(await node(["run", "-"], "listen(\n"))).toMatch(/^-:1:8: expected/);
		expect(bad(await node(["walk"]))).toMatch(/walk/);
	});
});

describe("exit status", () => {
	beforeAll(() => {
		const sources = changed(["include", "net", "kernel-model"], ".ts");
		expect(
			changed(["dist"], ".js"),
			"dist is older than its sources: npm run build",
		).toBeGreaterThan(sources);
	});
	it.each([
		["0 if every result is as recorded", 0, [GOOD]],
		["0 if no result is recorded", 0, [OPEN]],
		["0 for an empty script", 0, [""]],
		["1 if a result differs", 1, [WRONG]],
		["1 if a result differs in one of several scripts", 1, [GOOD, WRONG, OPEN]],
		["2 for bad input, even if results differ", 2, [WRONG, "listen(\n"]],
	])("is %s", async (_name, status, texts) => {
		const files = texts.map(script);
		expect((await cli("run", ...files)).status).toBe(status);
		expect((await node(["run", "--json", ...files])).status).toBe(status);
	});
	it("is that of the script on standard input for -", async () => {
		const [good, wrong] = await Promise.all([
			node(["run", "-"], GOOD),
			node(["run", "--quiet", "-"], WRONG),
		]);
		expect(good).toMatchObject({ status: 0, stderr: "" });
		expect(wrong).toMatchObject({ status: 1, stderr: "" });
	});
});

describe("run", () => {
	it("prints each call with the model's result, and a summary", async () => {
		const file = script(`$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"
${SOCKET}bind(3, ${in4(0)}, 16)
getsockname(3)
poll([{fd=3}], 1, 0) = 0
`);
		const { stdout, stderr, status } = await cli("run", file);
		expect([status, stderr]).toEqual([0, ""]);
		const lines = stdout.trimEnd().split("\n");
		expect(lines).toHaveLength(7);
		expect(lines[0]).toBe('$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"');
		// The kernel's log.
		expect(lines[1]).toMatch(/^# .*ip_local_port_range: prefer different parity/);
		expect(lines[2]).toBe(SOCKET.trimEnd());
		expect(lines[3]).toBe(`bind(3, ${in4(0)}, 16) = 0`);
		expect(lines[4]).toMatch(/^getsockname\(3.*40000.* = 0$/);
		expect(lines[5]).toBe("poll([{fd=3}], 1, 0) = 0");
		expect(lines[6]).toContain(`kernel ${DEFAULT_VERSION}: `);
		expect(lines[6]).toContain(
			"1 as recorded, 0 differ, 2 without a record, 1 passed over (poll 1)",
		);
	});

	it("marks a line that differs with file, line and reason, and --quiet prints only these and the summary", async () => {
		const file = script(WRONG);
		const { stdout } = await cli("run", file);
		expect(stdout).toContain(SOCKET);
		expect(stdout).toMatch(new RegExp(`^# MISMATCH ${file}:3: .*EADDRINUSE`, "m"));
		const quiet = await cli("run", "--quiet", file);
		expect(quiet.stdout).not.toContain("socket(");
		const comments = quiet.stdout.split("\n").filter((line) => /^# \S/.test(line));
		expect(comments).toHaveLength(2);
		expect((await cli("run", "--quiet", script(GOOD))).stdout.trimEnd().split("\n")).toHaveLength(
			1,
		);
	});

	it("explains with --explain, in comments of a script", async () => {
		const file = script(`${SOCKET}bind(3, ${in4(0)}, 16)\n`);
		const { stdout } = await cli("run", "--explain", file);
		expect(stdout).toContain("32768-60999");
		expect(stdout).toMatch(/^# .*chose [0-9]+$/m);
		// The output is a script with recorded results.
		const again = await cli("run", script(stdout));
		expect(again).toMatchObject({ status: 0, stderr: "" });
		expect(again.stdout).toContain("2 as recorded, 0 differ");
	});

	it("takes its random draws from --seed", async () => {
		const file = script(`${SOCKET}bind(3, ${in4(0)}, 16)\ngetsockname(3)\n`);
		const port = async (...args: string[]) =>
			/getsockname\(3.*\b([0-9]{5})\b/.exec((await cli("run", ...args, file)).stdout)?.[1];
		expect(await port()).toBe(await port("--seed", "1"));
		expect(await port("--seed", "2")).toBe(await port("--seed", "2"));
		expect(await port("--seed", "1")).not.toBe(await port("--seed", "2"));
	});

	it("counts a refused port that no socket has as a mismatch with --alone, and as undecided without it", async () => {
		const file = script(WRONG.replace("$ ip link set lo up\n", ""));
		expect((await cli("run", file)).stdout).toMatch(/0 differ, 1 undecided/);
		expect((await cli("run", "--alone", file)).stdout).toMatch(/1 differ/);
	});

	it("accepts a release of uname -r, and prints the nearest profile", async () => {
		const file = script("socket(AF_INET, SOCK_STREAM, IPPROTO_IP)\n");
		for (const [name = "", profile, doubt] of [
			["6.18.44-cloud-amd64", "6.18.44", ""],
			["6.8.0-40-generic", "6.8", ": Ubuntu's 6.8.0-40-generic has fixes of"],
			["6.6.32", "6.6", ": which fixes of later kernels 6.6.32 has"],
			["5.15", "6.1.176", ": no kernel before 6.1 is modelled"],
			["9.1.2", "7.3", ": 9.1 is newer than every kernel that was read"],
		]) {
			const { stdout, stderr, status } = await cli("run", "--kernel", name, file);
			expect(status).toBe(0);
			expect(stderr).toContain(`--kernel ${name}: the nearest profile is ${profile}${doubt}`);
			expect(stderr.trimEnd().split("\n")).toHaveLength(1);
			expect(stdout).toContain(`kernel ${profile}: `);
		}
	});

	it("models the version that --kernel names", async () => {
		// A port in FIN_WAIT2 is reused before tw-fin-wait2-not-reused.
		const file =
			script(`$ sysctl -w net.ipv4.ip_local_port_range="40000 40000" net.ipv4.tcp_tw_reuse=1
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
bind(3, ${in4(5000)}, 16)
listen(3, 8)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
connect(4, ${in4(5000)}, 16)
accept(3, NULL, NULL)
close(4)
$ sleep 2
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP)
connect(4, ${in4(5000)}, 16)
`);
		const last = async (version: string) =>
			(await cli("run", "--kernel", version, file)).stdout
				.split("\n")
				.findLast((line) => line.startsWith("connect("));
		expect(await last("6.3")).toMatch(/EINPROGRESS/);
		expect(await last("6.1.176")).toMatch(/EADDRNOTAVAIL/);
	});

	it("ends without a message if its output is closed", async () => {
		const file = script(SOCKET + "bind(3, NULL, 16) = -1 EFAULT (Bad address)\n".repeat(20_000));
		const child = execFile(process.execPath, [BUILT, "run", file], { maxBuffer: 1 << 26 });
		let errors = "";
		child.stderr?.on("data", (text: string) => {
			errors += text;
		});
		child.stdout?.once("data", () => child.stdout?.destroy());
		const status = await new Promise((resolve) => child.on("close", resolve));
		expect([status, errors]).toEqual([0, ""]);
	});
});

describe("run --json", () => {
	const text = `$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"
# A comment.
77 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
77 bind(3, ${in4(0)}, 16) = 0
77 getsockname(3, ${in4(40000)}, [16]) = 0
77 bind(3, ${in4(0)}, 16) = -1 EINVAL (Invalid argument)
77 listen(3, 5)
77 bind(3, ${in4(0)}, 16)
77 poll([{fd=3}], 1, 0) = 0
77 listen(3, 5) = -1 EADDRINUSE (Address already in use)
77 +++ exited with 0 +++
`;

	it("prints one object for every system call, each on one line", async () => {
		const { stdout, stderr, status } = await cli("run", "--json", script(text));
		expect([status, stderr]).toEqual([1, ""]);
		const objects = stdout
			.trimEnd()
			.split("\n")
			.map((line) => JSON.parse(line));
		const call = (line: number, call: string) => ({ line, pid: 77, call });
		expect(objects).toEqual([
			{ ...call(3, "socket"), result: 3, recorded: 3, verdict: "match" },
			{ ...call(4, "bind"), result: 0, recorded: 0, verdict: "match" },
			{
				...call(5, "getsockname"),
				result: 0,
				recorded: 0,
				verdict: "match",
				address: { family: "AF_INET", address: "127.0.0.1", port: 40000 },
			},
			{
				...call(6, "bind"),
				result: -22,
				error: "EINVAL",
				recorded: -22,
				recordedError: "EINVAL",
				verdict: "match",
			},
			{ ...call(7, "listen"), result: 0, recorded: null, verdict: "unrecorded" },
			{ ...call(8, "bind"), result: -22, error: "EINVAL", recorded: null, verdict: "unrecorded" },
			{ ...call(9, "poll"), result: null, recorded: 0, verdict: "ignored" },
			{
				...call(10, "listen"),
				result: 0,
				recorded: -98,
				recordedError: "EADDRINUSE",
				verdict: "mismatch",
				reason: expect.stringContaining("EADDRINUSE"),
				proof: { rule: expect.stringContaining("1 free"), lines: [1, 4, 10] },
			},
		]);
		// Fields in the same order in every line.
		expect(stdout.split("\n")[0]).toBe(
			'{"line":3,"pid":77,"call":"socket","result":3,"recorded":3,"verdict":"match"}',
		);
	});

	it("gives explanations as a list with --explain", async () => {
		const { stdout } = await cli("run", "--json", "--explain", script(text));
		const [, bind] = stdout.split("\n");
		const { explanation } = JSON.parse(bind);
		expect(explanation).toEqual(expect.arrayContaining([expect.stringContaining("40000")]));
	});

	it("gives null for the pid of a process without one, and for the result of a call that would sleep", async () => {
		const { stdout } = await cli(
			"run",
			"--json",
			script(`${OPEN}listen(3, 1)\naccept(3, NULL, NULL)\n`),
		);
		const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
		expect(last).toMatchObject({ pid: null, call: "accept", result: null, verdict: "unrecorded" });
	});
});

describe("matrix", () => {
	const GONE = `socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)\n`;

	it("exits with 0 and prints one line if all versions have the same results", async () => {
		for (const text of ["", "# nothing\n", GOOD, WRONG]) {
			const run = await cli("matrix", script(text));
			expect(run).toMatchObject({ status: 0, stderr: "" });
			expect(run.stdout).toMatch(/^# [^\n]+ answered alike by 6\.1\.176 – 7\.3\n$/);
		}
		expect(await cli("matrix", "--json", script(GOOD))).toMatchObject({ status: 0, stdout: "" });
	});

	it("exits with 1 if the results differ, and prints the versions and the change", async () => {
		const file = script(`${SOCKET}${GONE}`);
		expect(await cli("matrix", file)).toEqual({
			status: 1,
			stdout: `${file}:2: socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)
    6.1.176 – 7.0.13: 4
    7.1 – 7.3:        EPROTONOSUPPORT
    # udplite-removed (7.1, 56520b398e5e)
# ${file}: 1 of 2 lines differ between versions: udplite-removed
`,
			stderr: "",
		});
	});

	it("prints one object for each line that differs with --json", async () => {
		const { status, stdout } = await cli("matrix", "--json", script(`${GONE}close(3)\n`));
		expect(status).toBe(1);
		const versions = VERSIONS.map((version) => version.name);
		const gone = versions.indexOf("7.1");
		const commits = { "udplite-removed": { since: "7.1", commit: "56520b398e5e" } };
		const answers = (without: object, having: object) => [
			{ versions: versions.slice(0, gone), ...without },
			{ versions: versions.slice(gone), ...having },
		];
		expect(
			stdout
				.trimEnd()
				.split("\n")
				.map((line) => JSON.parse(line)),
		).toEqual([
			{
				line: 1,
				call: "socket",
				text: GONE.trimEnd(),
				answers: answers({ result: 3 }, { result: -93, error: "EPROTONOSUPPORT" }),
				changes: ["udplite-removed"],
				commits,
			},
			{
				line: 2,
				call: "close",
				text: "close(3)",
				answers: answers({ result: 0 }, { result: -9, error: "EBADF" }),
				changes: ["udplite-removed"],
				commits,
			},
		]);
	});

	it("refuses a script that is wrong on every version, with file, line and column", async () => {
		for (const [text, where, expected] of [
			["bind(3, {oops\n", "1:14", "found the end of the line"],
			[`${SOCKET}bind(3, "x", 16)\n`, "2:9", "an address"],
			["$ sysctl -w net.ipv4.nope=1\n", "1:13", "found net.ipv4.nope=1"],
			["$ ip link set nope up\n", "1:15", "ENODEV"],
		]) {
			const file = script(text);
			const message = bad(await cli("matrix", file));
			expect(message).toContain(`${file}:${where}: expected `);
			expect(message).toContain(expected);
		}
	});

	it("plays a command that only some versions have", async () => {
		const file = script("$ sysctl -w net.ipv4.ip_local_port_step_width=7\n");
		expect(await cli("matrix", file)).toMatchObject({ status: 1, stderr: "" });
	});

	it("reads standard input, and writes no colours if the output is no terminal", async () => {
		const run = await node(["matrix", "-"], GONE);
		expect(run).toMatchObject({ status: 1, stderr: "" });
		expect(run.stdout).toContain("-:1: socket(");
		expect(run.stdout).not.toContain("\u001b");
	});
});

describe("kernels", () => {
	it("lists the versions and their changes", async () => {
		const { stdout, stderr, status } = await cli("kernels");
		expect([status, stderr]).toEqual([0, ""]);
		for (const { name, description, has } of VERSIONS) {
			expect(stdout).toContain(name);
			expect(stdout).toContain(description);
			for (const change of has) expect(stdout).toContain(change);
		}
		for (const { name, since, backports, commit, summary } of CHANGES) {
			const line = stdout.split("\n").find((candidate) => candidate.includes(` ${name} (`)) ?? "";
			const known = [since, commit].filter((text) => text !== null);
			for (const text of [...known, ...backports]) expect(line).toContain(text);
			expect(stdout).toContain(summary);
		}
	});

	it("lists them as one JSON object", async () => {
		const { stdout, status } = await cli("kernels", "--json");
		expect(status).toBe(0);
		expect(JSON.parse(stdout)).toEqual({ versions: VERSIONS, changes: CHANGES });
	});

	it("has the changes of every version, and each version once", () => {
		const names = CHANGES.map(({ name }) => name);
		expect(new Set(names).size).toBe(names.length);
		expect(new Set(VERSIONS.map(({ name }) => name)).size).toBe(VERSIONS.length);
		expect(VERSIONS.map(({ name }) => name)).toContain(DEFAULT_VERSION);
		for (const { has } of VERSIONS) for (const change of has) expect(names).toContain(change);
	});

	it("lists only versions that run accepts", async () => {
		const file = script(GOOD);
		for (const { name } of VERSIONS) {
			expect((await cli("run", "--kernel", name, file)).status).toBe(0);
		}
	});
});
