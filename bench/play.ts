// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures the cost of playing a recording: `npm run bench -- --only play`. The recording is that
 * of a server with one client after the other. It is generated while it is read. Each length is
 * played in a new process. The figures are lines a second and peak memory. Memory grows with ports
 * in TIME_WAIT for one minute of recorded time, then stays the same.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Outcome, partsOf, playLines, playWhole } from "../kernel-model/check/player.js";

/** Lengths of the recordings in lines. --lines N selects one. */
const LENGTHS = [10_000, 100_000, 1_000_000];
const FIRST_PORT = 32_768;
const EVEN_PORTS = 14_116;
/** Seconds between two lines. */
const PAUSE = 0.000_5;

const SERVER = 1000;
const CLIENT = 1001;
const address = (port: number) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}`;

/** The lines of a recording. After the server's start its calls repeat. */
export function* recordedLines(count: number): Generator<string> {
	let made = 0;
	const line = (pid: number, text: string) =>
		`${pid} ${(1.7e9 + made++ * PAUSE).toFixed(6)} ${text}`;
	yield line(SERVER, "unshare(CLONE_NEWNET) = 0");
	yield line(
		SERVER,
		'execve("/sbin/ip", ["ip", "link", "set", "lo", "up"], 0x7ffd /* 9 vars */) = 0',
	);
	yield line(SERVER, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3");
	yield line(SERVER, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
	yield line(SERVER, `bind(3, ${address(8080)}, 16) = 0`);
	yield line(SERVER, "listen(3, 128) = 0");
	yield line(
		SERVER,
		"clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f1) = 1001",
	);
	for (let client = 0; made < count; client++) {
		const port = FIRST_PORT + 2 * (client % EVEN_PORTS);
		yield line(CLIENT, "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5");
		yield line(CLIENT, "setsockopt(5, SOL_TCP, TCP_NODELAY, [1], 4) = 0");
		yield line(CLIENT, `connect(5, ${address(8080)}, 16) = 0`);
		yield line(CLIENT, `getsockname(5, ${address(port)}, [128 => 16]) = 0`);
		yield line(SERVER, `accept4(3, ${address(port)}, [128 => 16], SOCK_CLOEXEC|SOCK_NONBLOCK) = 4`);
		yield line(
			CLIENT,
			'sendto(5, "GET / HTTP/1.1\\r\\nHost: localhost\\r\\n"..., 78, MSG_NOSIGNAL, NULL, 0) = 78',
		);
		yield line(
			SERVER,
			'recvfrom(4, "GET / HTTP/1.1\\r\\nHost: localhost\\r\\n"..., 8192, 0, NULL, NULL) = 78',
		);
		yield line(SERVER, 'sendto(4, "HTTP/1.1 200 OK\\r\\n"..., 240, MSG_NOSIGNAL, NULL, 0) = 240');
		yield line(CLIENT, 'recvfrom(5, "HTTP/1.1 200 OK\\r\\n"..., 8192, 0, NULL, NULL) = 240');
		yield line(CLIENT, "close(5) = 0");
		yield line(SERVER, 'recvfrom(4, "", 8192, 0, NULL, NULL) = 0');
		yield line(SERVER, "close(4) = 0");
	}
}

/** Plays a recording of this length and prints its cost. */
function measure(lines: number): void {
	const began = performance.now();
	let [matches, others] = [0, 0];
	const count = ({ verdict }: Outcome) => {
		if (verdict === "match") matches++;
		else if (verdict !== "ignored") others++;
	};
	for (const part of partsOf(recordedLines(lines), "bench")) {
		const played =
			"script" in part
				? playWhole(part.script, {})
				: playLines(part.lines, "bench", part.above, {});
		for (const each of played) if (each.kind === "outcome") count(each.outcome);
	}
	const seconds = (performance.now() - began) / 1000;
	const { maxRSS, userCPUTime } = process.resourceUsage();
	const figures = {
		case: "play",
		lines,
		linesPerSecond: Math.round(lines / seconds),
		linesPerCpuSecond: Math.round((lines * 1e6) / userCPUTime),
		peakMiB: Math.round(maxRSS / 1024),
		matches,
		others,
	};
	if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify(figures)}\n`);
	else {
		process.stdout.write(
			`${lines} lines: ${figures.linesPerSecond} a second (${figures.linesPerCpuSecond} a second of ` +
				`processor time), at most ${figures.peakMiB} MiB; ${matches} calls as recorded, ${others} not\n`,
		);
	}
}

const at = process.argv.indexOf("--lines");
const given = at < 0 ? 0 : Number(process.argv[at + 1]);
if (given > 0) measure(given);
else if (process.argv[1] === fileURLToPath(import.meta.url)) {
	for (const lines of LENGTHS) {
		const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2), "--lines", `${lines}`];
		const { status, signal } = spawnSync(process.execPath, args, { stdio: "inherit" });
		if (status !== 0) throw new Error(`play: ended with ${status ?? signal}`);
	}
}
