// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Recordings of stock kernels with the draws of their port searches: with the same draws the
 * model must give the same results. tests/recordings/exact/README.md says how they are made.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { drawLine, readDraws, splitRecordings } from "../../kernel-model/check/exact.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { profileFor } from "../../kernel-model/machine/profile.js";
import { DEFAULT_VERSION } from "../../kernel-model/machine/versions.js";
import { readAnswer } from "../../kernel-model/real/agent/agent.js";
import { replayText } from "../../kernel-model/real/campaign/replayed.js";

const FOLDER = fileURLToPath(new URL("../recordings/exact", import.meta.url));

function nearest(release: string): string {
	const profile = profileFor(release);
	if (profile === null) throw new Error(`no version models ${release}`);
	return profile.name;
}

function recordings(series: string): { file: string; text: string }[] {
	return readdirSync(FOLDER)
		.filter((file) => file === `${series}.strace.gz` || file.startsWith(`${series}-`))
		.sort()
		.map((file) => ({ file, text: gunzipSync(readFileSync(join(FOLDER, file))).toString() }));
}

/** Debian's kernels. */
const STOCK = "6.1 6.12 6.16 6.17 6.18 6.19 7.0 7.1 7.2 7.3".split(" ");
/** Kernels that distributions no longer have. They were built from their sources. */
const BUILT = ["6.3", "6.4", "6.5", "6.6", "6.8", "6.9", "6.10", "6.11", "6.13", "6.14"];

describe("stock kernels, and some built from source, bit for bit", () => {
	test("each file is one of a series below", () => {
		const known = readdirSync(FOLDER).filter((file) => file.endsWith(".strace.gz"));
		const played = [...BUILT, ...STOCK].flatMap(recordings).map(({ file }) => file);
		expect(played.sort()).toEqual(known.sort());
	});

	test.each([...BUILT, ...STOCK])("%s", (series) => {
		const all = recordings(series).map(({ text, file }) => replayText(text, file, nearest));
		expect(all.length).toBeGreaterThan(0);
		for (const done of all) {
			expect(done.mismatches).toEqual([]);
			expect(done.release.startsWith(`${series}.`)).toBe(true);
			expect(done.exhausted).toBeGreaterThan(0);
		}
		const sum = (what: "operations" | "draws") => all.reduce((n, done) => n + done[what], 0);
		expect(sum("operations")).toBeGreaterThan(500);
		expect(sum("draws")).toBeGreaterThan(100);
	});
});

describe("the base commit, which no release is", () => {
	const [base] = recordings("6.3-base");
	const file = base?.file ?? "";
	const text = base?.text ?? "";

	test("answers as the default profile", () => {
		expect(nearest(replayText(text, file, () => DEFAULT_VERSION).release)).toBe(DEFAULT_VERSION);
		expect(replayText(text, file, () => DEFAULT_VERSION).mismatches).toEqual([]);
	});

	test("and not as 6.3, which has bhash2-dual-stack-wildcard", () => {
		const other = `${DEFAULT_VERSION}+bhash2-dual-stack-wildcard`;
		expect(replayText(text, file, () => other).mismatches.length).toBeGreaterThan(0);
	});
});

const RECORDED = `# kernel 6.12.117, with the draws of its port searches
$ ip route add default dev lo
$ sysctl -w net.ipv4.ip_local_port_range="40000 40015"
1000000003.156951 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
1000000003.157415 bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
# draw below inet_csk_get_port 7 of 16
1000000003.158390 getsockname(3, {sa_family=AF_INET, sin_port=htons(40007), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
1000000003.158650 socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 4
1000000003.158841 bind(4, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
# draw u32 udp_lib_get_port 1127174175
1000000003.159105 getsockname(4, {sa_family=AF_INET, sin_port=htons(40004), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
1000000003.159220 socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 5
# table_perturb[19849] = 0xeac5a336
1000000003.159371 connect(5, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.10")}, 16) = -1 EINPROGRESS
# draw off4 inet_hash_connect 0x52ddb4785ac74d89
# draw u8 __inet_hash_connect 136
1000000003.160753 getsockname(5, {sa_family=AF_INET, sin_port=htons(40014), sin_addr=inet_addr("0.0.0.0")}, [16]) = 0
# table_perturb[19849] = 0xeac5a340
`;

/** "LINE: REASON" of each line that differs. */
function differing(text: string): string[] {
	return playScript(readScript(text, "recorded"), { version: "6.12.107", variants: false })
		.filter(({ verdict }) => verdict === "mismatch")
		.map(({ line, reason }) => `${line}: ${reason}`);
}

function edited(from: string | RegExp, to: string): string[] {
	const text = RECORDED.replace(from, to);
	expect(text).not.toBe(RECORDED);
	return differing(text);
}

describe("draws", () => {
	test("as recorded", () => {
		expect(differing(RECORDED)).toEqual([]);
		const draws = readDraws(readScript(RECORDED, "recorded"));
		expect([draws?.release, draws?.total]).toEqual(["6.12.117", 4]);
	});

	test("of another value", () => {
		expect(edited("get_port 7 of", "get_port 9 of")[0]).toMatch(/^5: the kernel chose port 40007/);
		expect(edited("1127174175", "3127174175")[0]).toMatch(/^9: the kernel chose port 40004/);
		expect(edited("0x52ddb478", "0x52ddb47a")[0]).toMatch(/^14: the kernel chose port 40014/);
	});

	test("that decide only where the next search begins", () => {
		expect(edited("connect 136", "connect 236")).toEqual([
			`17: the kernel leaves table_perturb[19849] at ${0xeac5a340}, the model at ${0xeac5a346}`,
		]);
	});

	test("too few", () => {
		expect(edited(/# draw u8.*\n/, "")[0]).toBe(
			"14: the model draws u8, the kernel drew nothing more",
		);
	});

	test("too many", () => {
		expect(edited("# draw u32", "# draw u32 udp_lib_get_port 5\n# draw u32")).toEqual([
			"9: the kernel chose port 40004, the model with its draws 40000",
			"12: the model's address is 127.0.0.1:40000",
		]);
		expect(edited(/(# draw u8.*\n)/, "$1# draw u8 __inet_hash_connect 5\n")).toEqual([
			"14: the kernel drew u8 5 in __inet_hash_connect, the model did not",
		]);
		expect(edited(/(SOCK_DGRAM.*\n)/, "$1# draw u32 udp_lib_get_port 5\n")).toEqual([
			"8: the kernel drew u32 5 in udp_lib_get_port, the model did not",
		]);
	});

	test("of another kind, or below another number", () => {
		expect(edited("draw u8", "draw u16")[0]).toBe(
			"14: the model draws u8, the kernel drew u16 136 in __inet_hash_connect",
		);
		expect(edited("7 of 16", "7 of 15")[0]).toMatch(/^5: /);
	});

	test("of several programs in one file", () => {
		const parts = splitRecordings(RECORDED + RECORDED);
		expect(parts.map(({ above }) => above)).toEqual([0, RECORDED.split("\n").length - 1]);
		const wrong = RECORDED.replace("htons(40004)", "htons(40005)");
		const done = replayText(RECORDED + wrong, "twice", () => "6.12.107");
		expect([done.programs, done.operations, done.draws]).toEqual([2, 18, 8]);
		expect(done.mismatches[0]).toMatch(/^twice:27: the kernel chose port 40005/);
	});
});

test("an agent's answer with draws", () => {
	const answer = readAnswer(
		"0 1000000000 2000000000 0a0b - below@inet_csk_get_port=7/16 off4@inet_hash_connect=0x52ddb4785ac74d89",
	);
	expect(answer.memory.map((bytes) => [...bytes])).toEqual([[10, 11], []]);
	expect(answer.draws.map(drawLine)).toEqual([
		"# draw below inet_csk_get_port 7 of 16",
		"# draw off4 inet_hash_connect 0x52ddb4785ac74d89",
	]);
	expect(() => readAnswer("0 1 2 below@=7")).toThrow("agent: below@=7");
});

test("without QEMU boot.sh says what to install", () => {
	const script = fileURLToPath(new URL("../../kernel-model/real/vm/boot.sh", import.meta.url));
	const got = spawnSync("/bin/sh", [script, script, script], {
		encoding: "utf8",
		env: { PATH: "/nonexistent" },
	});
	expect(got.status).toBe(2);
	expect(got.stderr).toBe(
		"boot.sh: qemu-system-x86_64 is not installed; on Debian: apt-get install qemu-system-x86\n",
	);
});
