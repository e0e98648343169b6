// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What tracing costs where nobody traces: `npm run bench -- --only tracing`.
 *
 * Beside the build, a copy of it in which the tracer is the constant null, so that the
 * engine drops every trace point. Processes with the one and the other take turns, and
 * each runs the searches that find nothing, and calls that find a port at once.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type * as Model from "../kernel-model/index.js";

const PORTS = 16_000;
const RUNS = 100;
const ROUNDS = 11;

type Attempt = (task: Model.Task, fd: number) => number;
const bind: Attempt = (task, fd) =>
	task.bind(fd, { family: "AF_INET", address: "192.0.2.10", port: 0 });
const connect: Attempt = (task, fd) =>
	task.connect(fd, { family: "AF_INET", address: "198.51.100.1", port: 53 }, undefined, true);

/**
 * Ns of an attempt, the tenth of the runs that are fastest left out: what else the machine
 * does only adds, and more to the slower ones. `sockets` are there before.
 */
function cost(model: typeof Model, type: number, sockets: number, attempt: Attempt): number {
	const kernel = new model.Kernel();
	const net = kernel.createNet();
	net.addAddress("192.0.2.10/32", "lo");
	net.addRoute({ to: "default", dev: "lo" });
	net.setSysctl("net.ipv4.ip_local_port_range", `40000 ${40000 + PORTS - 1}`);
	const task = kernel.createTask({ net });
	// Each port by a search of its own range, which is soon done.
	for (let port = 40_000; port < 40_000 + sockets; port++) {
		const fd = task.socket(2, type, 0);
		task.setsockopt(fd, model.SOL_IP, model.IP_LOCAL_PORT_RANGE, (port << 16) | port);
		attempt(task, fd);
	}
	const calls = sockets === 0 ? 200 : 1;
	const runs = sockets === 0 ? RUNS * 6 : RUNS;
	const times: number[] = [];
	for (let run = 0; run < runs; run++) {
		const fds = Array.from({ length: calls }, () => task.socket(2, type, 0));
		const begin = process.hrtime.bigint();
		for (const fd of fds) attempt(task, fd);
		times.push(Number(process.hrtime.bigint() - begin) / calls);
		for (const fd of fds) task.close(fd);
	}
	return times.sort((a, b) => a - b)[Math.floor(runs / 10)];
}

const CASES: Record<string, (model: typeof Model) => number> = {
	"bind-exhausted": (model) => cost(model, 1, PORTS, bind),
	"connect-exhausted": (model) => cost(model, 1, PORTS, connect),
	"udp-exhausted": (model) => cost(model, 2, PORTS, bind),
	"bind-free": (model) => cost(model, 1, 0, bind),
	"connect-free": (model) => cost(model, 1, 0, connect),
};

/** The tracer as the constant null in every file below a folder. */
function withoutTracing(folder: string): void {
	for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
		if (!name.endsWith(".js")) continue;
		const file = join(folder, name);
		const source = readFileSync(file, "utf8")
			.replaceAll("const trace = k.trace;", "const trace = null;")
			.replaceAll("const { trace, observer } = k;", "const { observer } = k; const trace = null;")
			.replaceAll("k.trace !== null", "false");
		if (/\bk\.trace\b/.test(source.replaceAll("k.trace.", ""))) {
			throw new Error(`${name} traces in a way that is not known here`);
		}
		writeFileSync(file, source);
	}
}

const json = process.argv.includes("--json");
const [only, dist] = process.argv.slice(2).filter((word) => word !== "--json");
if (dist !== undefined) {
	const index = pathToFileURL(join(dist, "kernel-model/index.js")).href;
	const model = (await import(index)) as typeof Model;
	process.stdout.write(String(CASES[only](model)));
} else {
	const built = fileURLToPath(new URL("..", import.meta.url));
	const copy = mkdtempSync(join(tmpdir(), "inet-port-model-"));
	try {
		cpSync(built, copy, { recursive: true });
		writeFileSync(join(copy, "package.json"), '{"type":"module"}');
		withoutTracing(join(copy, "net"));
		const self = fileURLToPath(import.meta.url);
		const run = (name: string, folder: string): number =>
			Number(execFileSync(process.execPath, [self, name, folder], { encoding: "utf8" }));
		for (const name of Object.keys(CASES)) {
			const compiled: number[] = [];
			const removed: number[] = [];
			for (let round = 0; round < ROUNDS; round++) {
				compiled.push(run(name, built));
				removed.push(run(name, copy));
			}
			const [off, none] = [Math.min(...compiled), Math.min(...removed)];
			const percent = (off / none - 1) * 100;
			if (json) {
				const figures = { case: `tracing-${name}`, offNs: off, withoutNs: none, percent };
				process.stdout.write(`${JSON.stringify(figures)}\n`);
				continue;
			}
			const upTo = (values: number[]) =>
				`${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)}`;
			process.stdout.write(
				`${name.padEnd(18)} ${percent.toFixed(1).padStart(5)} %: ns a call with tracing off ` +
					`${upTo(compiled)}, without it ${upTo(removed)}\n`,
			);
		}
	} finally {
		rmSync(copy, { recursive: true });
	}
}
