// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What tracing costs where nobody traces: `npm run bench -- --only tracing`.
 *
 * Beside the build, a copy of it without the trace points. In each of some processes both
 * take turns, with searches that find nothing, and with calls that find a port at once.
 *
 * --check only makes the copy. This fails if the code traces in another way.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type * as Model from "../kernel-model/index.js";

const PORTS = 16_000;
const RUNS = 200;
/** Processes per case. The engine compiles the same code a little differently in each. */
const ROUNDS = 9;

type Attempt = (task: Model.Task, fd: number) => number;
const bind: Attempt = (task, fd) =>
	task.bind(fd, { family: "AF_INET", address: "192.0.2.10", port: 0 });
const connect: Attempt = (task, fd) =>
	task.connect(fd, { family: "AF_INET", address: "198.51.100.1", port: 53 }, undefined, true);

/**
 * Returns a function that makes an attempt and returns its time, ns. There are `sockets` sockets
 * before.
 */
function timed(model: typeof Model, type: number, sockets: number, attempt: Attempt): () => number {
	const kernel = new model.Kernel();
	const net = kernel.createNet();
	net.addAddress("192.0.2.10/32", "lo");
	net.addRoute({ to: "default", dev: "lo" });
	net.setSysctl("net.ipv4.ip_local_port_range", `40000 ${40000 + PORTS - 1}`);
	const task = kernel.createTask({ net });
	// Takes each port by a search of a range of one port, which is fast.
	for (let port = 40_000; port < 40_000 + sockets; port++) {
		const fd = task.socket(2, type, 0);
		task.setsockopt(fd, model.SOL_IP, model.IP_LOCAL_PORT_RANGE, (port << 16) | port);
		attempt(task, fd);
	}
	const calls = sockets === 0 ? 500 : 1;
	return () => {
		const fds = Array.from({ length: calls }, () => task.socket(2, type, 0));
		const begin = process.hrtime.bigint();
		for (const fd of fds) attempt(task, fd);
		const ns = Number(process.hrtime.bigint() - begin) / calls;
		for (const fd of fds) task.close(fd);
		return ns;
	};
}

const CASES: Record<string, (model: typeof Model) => () => number> = {
	"bind-exhausted": (model) => timed(model, 1, PORTS, bind),
	"connect-exhausted": (model) => timed(model, 1, PORTS, connect),
	"udp-exhausted": (model) => timed(model, 2, PORTS, bind),
	"bind-free": (model) => timed(model, 1, 0, bind),
	"connect-free": (model) => timed(model, 1, 0, connect),
};

/**
 * Ns of the runs of two, which take turns, the tenth of each that is fastest left out: what
 * else the machine does only adds, and more to the slower ones.
 */
function compare(runs: readonly (() => number)[]): number[] {
	const times: number[][] = runs.map(() => []);
	for (let n = 0; n < RUNS; n++) {
		const turn = n % runs.length;
		for (let i = 0; i < runs.length; i++) {
			const at = (turn + i) % runs.length;
			times[at].push(runs[at]());
		}
	}
	return times.map((of) => of.sort((a, b) => a - b)[Math.floor(RUNS / 10)]);
}

/** Removes the trace points from every file below a folder. */
function withoutTracing(folder: string): void {
	for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
		if (!name.endsWith(".js")) continue;
		const file = join(folder, name);
		const source = readFileSync(file, "utf8")
			.replaceAll("k.trace === noTrace ? null : k.trace", "null")
			.replaceAll("k.trace === noTrace", "true")
			.replaceAll("k.trace !== noTrace", "false")
			// The arguments of a trace point have no effect, so the engine drops them.
			.replaceAll(/\bk\.trace\.\w+\(/g, "void (");
		if (/\bk\.trace\b/.test(source)) {
			throw new Error(`${name} traces in a way that is not known here`);
		}
		writeFileSync(file, source);
	}
}

const json = process.argv.includes("--json");
const [only, ...folders] = process.argv.slice(2).filter((word) => word !== "--json");
if (only === "--check") {
	const copy = mkdtempSync(join(tmpdir(), "inet-port-model-"));
	try {
		cpSync(fileURLToPath(new URL("../net", import.meta.url)), copy, { recursive: true });
		withoutTracing(copy);
	} finally {
		rmSync(copy, { recursive: true });
	}
} else if (only !== undefined) {
	const runs: (() => number)[] = [];
	for (const folder of folders) {
		const index = pathToFileURL(join(folder, "kernel-model/index.js")).href;
		runs.push(CASES[only]((await import(index)) as typeof Model));
	}
	process.stdout.write(compare(runs).join(" "));
} else {
	const built = fileURLToPath(new URL("..", import.meta.url));
	const copy = mkdtempSync(join(tmpdir(), "inet-port-model-"));
	try {
		cpSync(built, copy, { recursive: true });
		writeFileSync(join(copy, "package.json"), '{"type":"module"}');
		withoutTracing(join(copy, "net"));
		const self = fileURLToPath(import.meta.url);
		const run = (name: string, ...both: string[]): number[] =>
			execFileSync(process.execPath, [self, name, ...both], { encoding: "utf8" })
				.split(" ")
				.map(Number);
		if (!json) process.stdout.write("Tracing compiled in but off, against a copy without it\n\n");
		for (const name of Object.keys(CASES)) {
			const rounds: { off: number; none: number; percent: number }[] = [];
			for (let round = 0; round < ROUNDS; round++) {
				// The order of compilation also matters.
				const first = round % 2 === 0;
				const pair = first ? run(name, built, copy) : run(name, copy, built).reverse();
				const [off, none] = pair;
				rounds.push({ off, none, percent: (off / none - 1) * 100 });
			}
			rounds.sort((a, b) => a.percent - b.percent);
			const { off, none, percent } = rounds[ROUNDS >> 1];
			const [low, high] = [rounds[0].percent, rounds[ROUNDS - 1].percent];
			if (json) {
				const figures = {
					case: `tracing-${name}`,
					offNs: off,
					withoutNs: none,
					percent,
					low,
					high,
				};
				process.stdout.write(`${JSON.stringify(figures)}\n`);
				continue;
			}
			const spread = `(${low.toFixed(1)} to ${high.toFixed(1)})`;
			process.stdout.write(
				`${name.padEnd(18)} ${percent.toFixed(1).padStart(5)} % ${spread.padEnd(16)} ` +
					`${off.toFixed(0)} ns a call, ${none.toFixed(0)} without it\n`,
			);
		}
	} finally {
		rmSync(copy, { recursive: true });
	}
}
