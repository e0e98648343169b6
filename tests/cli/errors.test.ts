// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Bad input, and output that cannot be written, give one printable line on standard error and exit
 * status 2. Runs dist/kernel-model/cli/main.js, which `npm test` builds.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { cli, type Run } from "./command.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILT = join(ROOT, "dist/kernel-model/cli/main.js");
const SOCKET = "socket(AF_INET, SOCK_STREAM, IPPROTO_IP)";
const WRONG = "socket(AF_INET, SOCK_STREAM, IPPROTO_UDP) = 3\n";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function file(content: string | Uint8Array, name = `${++files}.strace`): string {
	const path = join(folder, name);
	writeFileSync(path, content);
	return path;
}

/** A command of the shell in a process; "$0" is the program, "$1" a file. */
function shell(command: string, path: string, env: NodeJS.ProcessEnv = {}): Promise<Run> {
	const options = { env: { ...process.env, ...env } };
	const program = `${process.execPath} ${BUILT}`;
	return new Promise((resolve) => {
		execFile("bash", ["-c", command, program, path], options, (error, stdout, stderr) => {
			resolve({ status: error?.code ?? 0, stdout, stderr });
		});
	});
}

/** The message of the line, without the names of the program and the file. */
function bad(path: string, run: Run): string {
	expect(run.status).toBe(2);
	expect(run.stdout).toBe("");
	expect(run.stderr).toMatch(/^inet-port-model: [^\n]*\n$/);
	return run.stderr.replace("inet-port-model: ", "").replace(`${path}:`, "").trim();
}

describe("bad input", { timeout: 60_000 }, () => {
	it.each([
		["$ sleep Infinity", /^1:9: expected .*seconds.*, found Infinity$/],
		["$ sleep -1", /^1:9: expected /],
		['$ sleep ""', /^1:9: expected /],
		["$ sleep 99999999999999999999", /^1:9: expected .*, found 99999999999999999999$/],
		['$ ""', /^1:3: expected /],
		["$ 1 foo", /^1:3: expected .*, found 1$/],
		['""', /^1:1: expected /],
		["1 foo", /^1:3: expected /],
		["7 fork()", /^1:3: expected the child's pid after =.*, found fork\(\) without it$/],
	])("gives one line and exit status 2: %s", async (text, says) => {
		const path = file(`${text}\n`);
		expect(bad(path, await cli("run", path))).toMatch(says);
	});

	it("with control characters is shown with escapes, in messages and in output", async () => {
		const path = file(`${SOCKET.replace("AF_INET", "\x1b[31mred")}\n`);
		const run = await cli("run", path);
		expect(run.status).toBe(2);
		expect(run.stderr).not.toContain("\x1b");
		const comment = file(`${SOCKET}\nclose(3\x1b[2J\u202e) = 0\n`);
		const shown = await cli("run", comment);
		for (const raw of ["\x1b", "\u202e"]) {
			expect(shown.stdout + shown.stderr).not.toContain(raw);
		}
	});

	it("with a long word gives a truncated message", async () => {
		for (const text of [
			`$ ip addr add ${"9".repeat(100_000)} dev lo\n`,
			`socket(AF_INET, ${"9".repeat(100_000)}x, 0)\n`,
			`$ ${"x".repeat(100_000)}\n`,
		]) {
			const path = file(text);
			expect(bad(path, await cli("run", path)).length).toBeLessThan(1200);
		}
	});

	it("that cannot be opened gives the reason, without the system call", async () => {
		const none = join(folder, "none");
		expect(bad(none, await cli("run", none))).toBe("no such file or directory");
		expect(bad(folder, await cli("run", folder))).toBe("illegal operation on a directory");
	});

	it("with NUL bytes is refused, compressed or not, from a file or a pipe", async () => {
		const nuls = new Uint8Array(5000);
		const says = "not a script or recording: expected text, but byte 1 is NUL";
		for (const content of [nuls, gzipSync(nuls)]) {
			for (const name of ["nuls", "nuls.gz"]) {
				const path = file(content, name);
				expect(bad(path, await cli("run", path))).toBe(says);
			}
			const path = file(content);
			expect(bad("-", await shell('$0 run - < "$1"', path))).toBe(says);
		}
	});

	it("that is compressed is read if gzip made it, whatever its name is, else the error names the format", async () => {
		const packed = file(gzipSync(`${SOCKET}\n`), "packed");
		expect((await cli("run", packed)).stdout).toContain(`${SOCKET} = 3`);
		expect((await shell('$0 run - < "$1"', packed)).stdout).toContain(`${SOCKET} = 3`);
		const plain = file(`${SOCKET}\n`, "plain.gz");
		expect((await cli("run", plain)).stdout).toContain(`${SOCKET} = 3`);
		const cut = file(gzipSync(WRONG).subarray(0, 20), "cut.gz");
		expect(bad(cut, await cli("run", cut))).toBe("unexpected end of file");
		const xz = file(Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0), "a.xz");
		expect(bad(xz, await cli("run", xz))).toMatch(/^compressed by xz: expected text/);
	});
});

describe("a fault of the program", { timeout: 60_000 }, () => {
	/** A stand-in for a fault: arrays of time stamps cannot be made. */
	const FAULT = `--import=data:text/javascript,${encodeURIComponent(
		'Object.defineProperty(globalThis, "Float64Array", { get() { throw new TypeError("odd\\nfault"); } })',
	)}`;

	it("gives one line that says how to find out more, and exit status 2", async () => {
		const path = file(`${SOCKET}\n`);
		const run = await shell('$0 run "$1"', path, { NODE_OPTIONS: FAULT });
		expect(run).toEqual({
			status: 2,
			stdout: "",
			stderr:
				"inet-port-model: this is a bug of inet-port-model: TypeError: odd fault (INET_PORT_MODEL_DEBUG=1 shows where)\n",
		});
		const env = { NODE_OPTIONS: FAULT, INET_PORT_MODEL_DEBUG: "1" };
		const debug = await shell('$0 run "$1"', path, env);
		expect(debug.status).toBe(2);
		expect(debug.stderr).toContain("    at ");
	});
});

describe("output", { timeout: 60_000 }, () => {
	it.skipIf(!existsSync("/dev/full"))(
		"that cannot be written gives one line and exit status 2",
		async () => {
			const path = file(`${SOCKET}\n`);
			const run = await shell('$0 run "$1" > /dev/full', path);
			expect(bad("standard output", run)).toBe("no space left on device");
			// If standard error is full as well, the exit status still shows the error.
			const both = await shell('$0 run "$1" > /dev/full 2> /dev/full', path);
			expect(both.status).toBe(2);
		},
	);

	it("that is closed by its reader gives no message", async () => {
		const path = file(`${SOCKET} = 3\nclose(3) = 0\n`.repeat(5000));
		const run = await shell('$0 run "$1" | head -n 1', path);
		expect(run).toMatchObject({ status: 0, stderr: "" });
		const unread = await shell('set -o pipefail; $0 run "$1" | true', path);
		expect(unread).toMatchObject({ status: 0, stderr: "" });
	});

	it("says if no line of a recording was used", async () => {
		for (const text of ["", "# only this\n", "1 brk(NULL) = 0x55\n1 +++ exited with 0 +++\n"]) {
			const path = file(text);
			const run = await cli("run", path);
			expect(run.status).toBe(0);
			expect(run.stderr).toBe(
				`inet-port-model: ${path}: no line of it was used, because none concerns ports\n`,
			);
		}
		expect((await cli("run", file(`${SOCKET}\n`))).stderr).toBe("");
	});

	it("in JSON names the file only if several are played", async () => {
		const paths = [file(WRONG), file(`${SOCKET}\n`)];
		const lines = async (args: string[]) =>
			(await cli("run", "--json", ...args)).stdout
				.trim()
				.split("\n")
				.map((line) => JSON.parse(line) as { file?: string });
		expect((await lines(paths)).map((line) => line.file)).toEqual(paths);
		expect((await lines([paths[0]]))[0]).not.toHaveProperty("file");
	});

	it("in JSON has only lines that differ with --quiet", async () => {
		const path = file(`${SOCKET} = 3\n${WRONG}close(3) = 0\n`);
		const run = await cli("run", "--json", "--quiet", path);
		expect(run.status).toBe(1);
		expect(run.stdout.trim().split("\n")).toHaveLength(1);
		expect(JSON.parse(run.stdout)).toMatchObject({ line: 2, verdict: "mismatch" });
	});

	it("names processes and descriptors by their numbers in the recording", async () => {
		const address = '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16';
		const text = [
			`6185 ${SOCKET} = 7`,
			`6185 bind(7, ${address}) = 0`,
			"6185 fork() = 6190",
			`6190 ${SOCKET} = 8`,
			`6190 bind(8, ${address}) = 0`,
		];
		const run = await cli("run", "--quiet", file(`${text.join("\n")}\n`));
		expect(run.status).toBe(1);
		expect(run.stdout).toContain("fd 7 of pid 6185");
	});

	it("of --version is the version of the package", async () => {
		const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
		expect(await cli("--version")).toEqual({
			status: 0,
			stdout: `inet-port-model ${version}\n`,
			stderr: "",
		});
	});
});
