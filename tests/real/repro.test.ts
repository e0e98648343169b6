// SPDX-License-Identifier: GPL-2.0-or-later
/** `repro`: programs say what the script says, and agree with the model when they run here. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readScript, ScriptError } from "../../kernel-model/index.js";
import { versionFor } from "../../kernel-model/machine/versions.js";
import {
	checksOf,
	LANGUAGES,
	type PlanOptions,
	planOf,
	programOf,
} from "../../kernel-model/real/repro/repro.js";
import { allScripts, compile, differing, HARNESS, plannedOf, run, tryPlan } from "../programs.js";

const folder = mkdtempSync(join(tmpdir(), "repro-"));
afterAll(() => rmSync(folder, { recursive: true }));

const plan = (text: string, options: Partial<PlanOptions> = {}) =>
	planOf(readScript(text, "test.strace"), { version: "6.18", ...options });
const inC = (text: string, options: Partial<PlanOptions> = {}) =>
	programOf(plan(text, options), "c");
/** The lines of main(). */
const mainOf = (program: string) => program.slice(program.indexOf("int main(void)"));

const at = (port: number) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}`;

describe("a plan", () => {
	it("expects the answers of the model where a line has no result", () => {
		const text = [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			`bind(3, ${at(5000)}, 16)`,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			`bind(4, ${at(5000)}, 16)`,
		].join("\n");
		const main = mainOf(inC(text));
		expect(main).toContain('CHECK(bind(fd3, IN4("127.0.0.1", 5000)), 0);');
		expect(main).toContain('CHECK(bind(fd4, IN4("127.0.0.1", 5000)), -EADDRINUSE);');
	});

	it("expects the results of the script where it has them, unless the model is asked", () => {
		const text = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3\nbind(3, ${at(5000)}, 16) = -1 EACCES`;
		expect(mainOf(inC(text))).toContain("5000)), -EACCES);");
		expect(mainOf(inC(text, { own: true }))).toContain("5000)), 0);");
	});

	it.each(["", " = 0"])("makes an ioctl(FIONBIO)%s by fcntl()", (result) => {
		const text = [
			`socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)${result && " = 3"}`,
			`ioctl(3, FIONBIO, [1])${result}`,
			`fcntl(3, F_SETFL, O_RDWR)${result}`,
		].join("\n");
		const main = mainOf(inC(text));
		expect(main).toContain("CHECK(fcntl(fd3, F_SETFL, O_RDWR | O_NONBLOCK), 0);");
		expect(main).toContain("CHECK(fcntl(fd3, F_SETFL, O_RDWR), 0);");
	});

	it("expects another result of the last call if told", () => {
		const text = `socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)\nbind(3, ${at(5000)}, 16)`;
		expect(mainOf(inC(text, { should: -98 }))).toContain("5000)), -EADDRINUSE);");
	});

	it("checks that a chosen port is in the range and not reserved, and names it later", () => {
		const text = [
			'$ sysctl -w net.ipv4.ip_local_port_range="40000 40007"',
			"$ sysctl -w net.ipv4.ip_local_reserved_ports=40003",
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			`bind(3, ${at(0)}, 16)`,
			"listen(3, 1)",
			"getsockname(3)",
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			'connect(4, {sa_family=AF_INET, sin_port=htons(port_of(3)), sin_addr=inet_addr("127.0.0.1")}, 16)',
		].join("\n");
		const main = mainOf(inC(text));
		expect(main).toContain("port3 = CHECK_PORT_BUT(fd3, 40000, 40007, 40003);");
		expect(main).toContain('CHECK(name_is("127.0.0.1", port3), 1);');
		expect(main).toContain('connect(fd4, IN4("127.0.0.1", port_of(fd3)))');
	});

	it("means the chosen port where a recording names its number", () => {
		const text = [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
			`bind(3, ${at(0)}, 16) = 0`,
			`getsockname(3, ${at(40123)}, [128 => 16]) = 0`,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
			`bind(4, ${at(40123)}, 16) = -1 EADDRINUSE`,
		].join("\n");
		const main = mainOf(inC(text));
		expect(main).toContain("port3 = CHECK_PORT(fd3, 32768, 60999);");
		expect(main).toContain('CHECK(name_is("127.0.0.1", port3), 1);');
		expect(main).toContain('CHECK(bind(fd4, IN4("127.0.0.1", port3)), -EADDRINUSE);');
	});

	it("takes every result that chance can give", () => {
		const text = [
			'$ sysctl -w net.ipv4.ip_local_port_range="40000 40003"',
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			`bind(3, ${at(0)}, 16)`,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			`bind(4, ${at(40003)}, 16)`,
		].join("\n");
		expect(mainOf(inC(text))).toMatch(/40003\)\), (0, -EADDRINUSE|-EADDRINUSE, 0)\);/);
	});

	it("is tried again until chance gives the result of the script", () => {
		const text = [
			'$ sysctl -w net.ipv4.ip_local_port_range="5000 5004"',
			'$ sysctl -w net.ipv4.ip_local_reserved_ports="5000,5001,5003"',
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
			`bind(3, ${at(5002)}, 16) = 0`,
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
			`bind(4, ${at(0)}, 16) = -1 EADDRINUSE`,
		].join("\n");
		const until = mainOf(inC(text));
		expect(until).toMatch(/again = UNTIL; .* 0 \*\/\n.* 0\)\), -EADDRINUSE\);/);
		const still = mainOf(inC(text, { should: 0 }));
		expect(still).toMatch(/again = WHILE; .* -EADDRINUSE \*\/\n.* 0\)\), 0\);/);
	});

	it("has the same checks in every language", () => {
		for (const script of allScripts().slice(0, 20)) {
			const made = plannedOf(script, { version: "6.18.44" });
			const count = checksOf(made).length;
			const c = mainOf(programOf(made, "c")).match(/\bCHECK(_PORT|_PORT_BUT)?\(/g) ?? [];
			expect(c.length, script.name).toBe(count);
			const python = programOf(made, "python");
			const body = python.slice(python.indexOf("\nenter()"));
			expect((body.match(/\bcheck(_port)?\(/g) ?? []).length, script.name).toBe(count);
		}
	});

	it("has a line of its own for each process, in the order of the script", () => {
		const text = [
			"100 fork() = 101",
			"101 setuid(1000) = 0",
			"101 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
			"100 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
			"101 exit_group(0) = ?",
		].join("\n");
		const blocks = mainOf(inC(text)).match(/turn\([0-9]\)/g);
		expect(blocks).toEqual(["turn(0)", "turn(1)", "turn(0)", "turn(1)", "turn()"].slice(0, 4));
	});

	it("refuses what no real kernel has, with the place", () => {
		expect(() => plan("$ ip route add default dev lo answer accept")).toThrow(ScriptError);
		expect(() => plan("$ ip route add default dev lo answer accept")).toThrow(/^test.strace:1:/);
	});
});

describe("text of a script", () => {
	const hostile = [
		"# */ int bad; /* \\",
		'# """ \' ?',
		"# ?\u{202e}?/",
		"socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)",
		'sendto(3, "\\");exit(9);//\\n#\\\\", 15, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, 16)',
		'setsockopt(3, SOL_SOCKET, SO_BINDTODEVICE, "*/\\"??/\\n", 7)',
	].join("\n");

	it("stays in the comment and the literals of a program", () => {
		for (const language of LANGUAGES) {
			const program = programOf(plan(hostile), language);
			expect(program).not.toContain('");exit');
			expect(program).not.toContain("\u{202e}");
			expect(program).toMatch(/^[\n\t -~]*$/);
		}
		const c = inC(hostile);
		expect(c.slice(0, c.indexOf("#define _GNU_SOURCE")).split("*/")).toHaveLength(2);
	});

	it("cannot run another command by ip", () => {
		const program = inC("$ ip netns exec x touch y\n$ ip link add name d0 type dummy");
		expect(program).not.toContain("touch");
		expect(program).toContain('ip("link add name d0 type dummy");');
	});

	it("names only files below /proc/sys/net", () => {
		expect(() => plan('openat(AT_FDCWD, "/etc/passwd", O_RDWR)')).toThrow(ScriptError);
		const recorded = inC('openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3');
		expect(recorded).not.toContain("passwd");
	});
});

/** Why programs cannot run here; null if they can. */
function obstacle(): string | null {
	for (const name of ["cc", "python3", "unshare", "ip"]) {
		if (spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0) return `no ${name}`;
	}
	if (spawnSync("unshare", ["-rn", "true"]).status !== 0) return "no user namespaces";
	return versionFor(release()) === null ? "no model of the running kernel" : null;
}

const why = obstacle();
const SAMPLE = [
	"first-bind-not-fast.strace",
	"connect-range-step-1.strace",
	"mptcp-getsockopt-flags.strace",
	"range.strace",
	"old_peer.strace",
	"udp-hash4.strace",
	"orphan-uid.strace",
	"dccp-removed.strace",
];

describe.skipIf(why !== null)(`programs here${why === null ? "" : ` (skipped: ${why})`}`, () => {
	const version = versionFor(release()) ?? "";
	for (const language of LANGUAGES) {
		const lacks = language === "kselftest" && HARNESS === null;
		const title = `agree with the model in ${language}${lacks ? " (skipped: no KSFT_INCLUDE)" : ""}`;
		it.skipIf(lacks)(title, async () => {
			for (const script of allScripts()) {
				if (!SAMPLE.includes(script.name)) continue;
				const made = plannedOf(script, { version });
				const name = script.name.replace(".strace", "");
				const expected = differing(script, version);
				const { fault } = await tryPlan(made, name, language, folder, expected);
				expect(fault, `${script.name}, ${language}`).toBeNull();
			}
		});
	}

	it("say what differs, and end with 1", async () => {
		const text = [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
			`bind(3, ${at(5000)}, 16) = -1 EADDRINUSE`,
			"listen(3, 1) = 0",
		].join("\n");
		for (const language of ["c", "python"] as const) {
			const made = plan(text);
			const built = await compile(programOf(made, language), language, folder, "differs");
			if ("fault" in built) throw new Error(built.fault);
			const { status, failed, output } = await run(built.command, made, language);
			expect([status, failed]).toEqual([1, [2]]);
			expect(output).toMatch(/^not ok 2 - .*bind.*\n# is 0/m);
		}
	});

	it("run a task after the other, and interrupt a call that sleeps", async () => {
		const text = [
			"100 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
			`100 bind(3, ${at(0)}, 16) = 0`,
			"100 listen(3, 1) = 0",
			`100 getsockname(3, ${at(40123)}, [128 => 16]) = 0`,
			"100 accept(3, NULL, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
			"100 fork() = 101",
			"101 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
			`101 connect(4, ${at(40123)}, 16) = 0`,
			"100 accept(3, NULL, NULL) = 4",
			"101 exit_group(0) = ?",
			"100 recvfrom(4, 0x1000, 1, 0, NULL, NULL) = 0",
		].join("\n");
		for (const language of ["c", "python"] as const) {
			const made = plan(text);
			const built = await compile(programOf(made, language), language, folder, "tasks");
			if ("fault" in built) throw new Error(built.fault);
			const { status, output } = await run(built.command, made, language);
			expect(status, output).toBe(0);
		}
	});

	it("keep the text of a script from doing anything", async () => {
		const text =
			'socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)\nsetsockopt(3, SOL_SOCKET, SO_BINDTODEVICE, "\\");abort();//", 12)';
		for (const language of ["c", "python"] as const) {
			const made = plan(text);
			const built = await compile(programOf(made, language), language, folder, "hostile");
			if ("fault" in built) throw new Error(built.fault);
			expect((await run(built.command, made, language)).status).toBe(0);
		}
	});
});
