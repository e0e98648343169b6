// SPDX-License-Identifier: GPL-2.0-or-later
/** `record` with strace, in network namespaces of its own; and `run` of what it wrote. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { readTop } from "../../kernel-model/script/top.js";

const MAIN = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Why nothing can be recorded here; null if it can. */
function obstacle(): string | null {
	if (spawnSync("strace", ["-V"]).status !== 0) return "no strace";
	for (const tool of ["ip", "ss"]) if (spawnSync(tool, ["-V"]).status !== 0) return `no ${tool}`;
	if (spawnSync("unshare", ["-rn", "strace", "true"]).status !== 0) {
		return "no user namespaces or no ptrace (unshare -rn strace true)";
	}
	return null;
}
const why = obstacle();

const NODE = JSON.stringify(process.execPath);
/** A server and two clients in one program. */
const PROGRAM = join(folder, "program.cjs");
writeFileSync(
	PROGRAM,
	`const net = require("node:net");
const server = net.createServer((socket) => socket.end("x"));
server.listen(0, "127.0.0.1", async () => {
	const { port } = server.address();
	const get = (left) => {
		const client = net.connect(port, "127.0.0.1").resume();
		client.on("close", () => (left > 1 ? get(left - 1) : server.close()));
	};
	get(2);
});
`,
);

interface Ended {
	status: number | null;
	stdout: string;
	stderr: string;
}

/** Runs a program in the folder. It does not block, as vitest needs answers of this process. */
function ended(program: string, args: readonly string[]): Promise<Ended> {
	const child = spawn(program, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
	const said = { stdout: "", stderr: "" };
	child.stdout.on("data", (data) => (said.stdout += String(data)));
	child.stderr.on("data", (data) => (said.stderr += String(data)));
	return new Promise((done) => child.once("close", (status) => done({ status, ...said })));
}

/** Runs a shell command in new user and network namespaces. */
const inside = (command: string) => ended("unshare", ["-rn", "sh", "-c", command]);
const RECORD = `exec ${NODE} ${JSON.stringify(MAIN)} record`;
const topOf = (file: string) => readTop(readFileSync(join(folder, file), "utf8").split("\n"));
const played = (file: string) =>
	ended(process.execPath, [MAIN, "run", "--strict", "--quiet", file]);

describe.skipIf(why !== null)(`record${why === null ? "" : ` (skipped: ${why})`}`, () => {
	it("writes a recording that run plays without an option", async () => {
		const { status, stderr } = await inside(`ip link set lo up
ip addr add 192.0.2.9/32 dev lo
ip route add blackhole 198.51.100.0/24
echo 40000 40999 >/proc/sys/net/ipv4/ip_local_port_range
${RECORD} -o first.strace ${NODE} program.cjs`);
		expect(stderr).toContain("first.strace has the recording");
		expect(status).toBe(0);
		const top = topOf("first.strace");
		expect(top).toMatchObject({ alone: true, uid: 0, capabilities: -1, sockets: [], left: [] });
		expect(top?.command).toContain("program.cjs");
		expect(top?.commands).toContainEqual(["sysctl", "net.ipv4.ip_local_port_range=40000 40999"]);
		expect(top?.commands.map((words) => words.join(" ")).join("\n")).toMatch(
			/ip addr replace 192\.0\.2\.9\/32 .*lo(.|\n)*ip -4 route append blackhole 198\.51\.100\.0\/24/,
		);
		const { stdout, status: differs } = await played("first.strace");
		expect(stdout).toMatch(/# recorded on .*\n.*# state of the host: .*first\.strace/);
		expect(stdout).toMatch(/ 0 differ, 0 without/);
		expect(differs).toBe(0);
	});

	it("compresses a file whose name ends with .gz", async () => {
		expect((await inside(`ip link set lo up; ${RECORD} -o z.strace.gz -- true`)).status).toBe(0);
		const text = gunzipSync(readFileSync(join(folder, "z.strace.gz"))).toString();
		expect(readTop(text.split("\n"))?.command).toBe("true");
		expect(text).toContain("+++ exited with 0 +++");
		expect((await played("z.strace.gz")).status).toBe(0);
	});

	it("passes the output, the status and signals of the program on", async () => {
		const left = await inside(`${RECORD} -o s.strace -- sh -c 'echo out; echo err >&2; exit 7'`);
		expect(left.stdout).toBe("out\n");
		expect(left.stderr).toMatch(/^err\n/);
		expect(left.status).toBe(7);
		expect((await inside(`${RECORD} -o s.strace -- sh -c 'kill -TERM $$'`)).status).toBe(143);
	});

	it("attaches to a process until a signal ends it, with its descriptors on top", async () => {
		const { status, stdout } = await inside(`ip link set lo up
${NODE} -e '
const net = require("node:net");
const server = net.createServer((socket) => socket.end("x"));
server.listen(5123, "127.0.0.1");
setInterval(() => net.connect(5123, "127.0.0.1").resume(), 100);
' & pid=$!
sleep 1
${NODE} ${JSON.stringify(MAIN)} record -o p.strace -p $pid & record=$!
for i in 1 2 3 4 5 6 7 8 9; do sleep 1; grep -q "connect(" p.strace && break; done
kill -INT $record
wait $record; echo "ended $?"
kill $pid`);
		expect(status).toBe(0);
		expect(stdout).toContain("ended 0");
		const top = topOf("p.strace");
		expect(top?.command).toMatch(/^attached to [0-9]+$/);
		expect(top?.sockets.some(({ port, state }) => port === 5123 && state === "LISTEN")).toBe(true);
		expect(top?.threads.size).toBeGreaterThan(0);
		const run = await ended(process.execPath, [MAIN, "run", "--quiet", "p.strace"]);
		expect(run.stdout).toMatch(/, 0 differ/);
		expect(run.status).toBe(0);
	});

	it("says in one line what is wrong", async () => {
		const said = async (command: string) => {
			const { stderr, status } = await inside(`${RECORD} ${command}`);
			expect(status).toBe(2);
			expect(stderr.trimEnd().split("\n")).toHaveLength(1);
			return stderr;
		};
		expect(await said("no-such-program")).toContain("there is no program no-such-program");
		expect(await said("-p 999999999")).toContain("there is no such process");
		expect(await said("-o no-such-folder/x true")).toContain("no-such-folder/x cannot be written");
	});

	it("goes on without the host if ip and ss are missing", async () => {
		const { status, stderr } = await inside(`mkdir bin
ln -s "$(command -v strace)" bin
PATH=$PWD/bin ${RECORD} -o bare.strace /bin/true`);
		expect(status).toBe(0);
		expect(stderr).toMatch(/the addresses \(there is no ip\)/);
		expect(stderr).toMatch(/the sockets \(there is no ss\)/);
		expect(topOf("bare.strace")?.left).toContain("the sockets (there is no ss)");
	});
});

it.skipIf(why !== null)("record passes a signal on to the program", async () => {
	const child = spawn(
		process.execPath,
		[
			MAIN,
			"record",
			"-o",
			"t.strace",
			"sh",
			"-c",
			"trap 'kill $!; exit 5' TERM; echo up; sleep 30 & wait",
		],
		{ cwd: folder, stdio: ["ignore", "pipe", "ignore"] },
	);
	await new Promise((done) => child.stdout.once("data", done));
	child.kill("SIGTERM");
	const status = await new Promise((done) => child.once("close", done));
	expect(status).toBe(5);
});
