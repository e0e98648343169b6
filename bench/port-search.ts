// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What the port searches cost: `npm run bench`. Exhausted searches are counted per port
 * looked at, fills per call, over a range of 16,000 ports.
 */
import Benchmark from "benchmark";
import { SOCK_DGRAM } from "../include/linux/net.js";
import { AF_INET } from "../include/linux/socket.js";
import { Kernel, type Task } from "../kernel-model/index.js";

const PORTS = 16_000;
const address = (host: string, port: number) =>
	({ family: "AF_INET", address: host, port }) as const;

function boot(): Task {
	const kernel = new Kernel();
	const net = kernel.createNet();
	net.addAddress("192.0.2.10/32", "lo");
	net.addRoute({ to: "default", dev: "lo" });
	net.setSysctl("net.ipv4.ip_local_port_range", `40000 ${40000 + PORTS - 1}`);
	return kernel.createTask({ net });
}

type Attempt = (task: Task, fd: number) => number;
const bindOne: Attempt = (task, fd) => task.bind(fd, address("192.0.2.10", 0));
const connectOne: Attempt = (task, fd) =>
	task.connect(fd, address("198.51.100.1", 53), undefined, true);

/** A new TCP or UDP socket. */
type Open = (task: Task) => number;
const tcp: Open = (task) => task.tcp();
const udp: Open = (task) => task.socket(AF_INET, SOCK_DGRAM, 0);

function exhausted(open: Open, attempt: Attempt, wanted: number): Task {
	const task = boot();
	for (let i = 0; i < PORTS; i++) {
		const result = attempt(task, open(task));
		if (result !== wanted) throw new Error(`port ${i} of the fill: ${result}`);
	}
	return task;
}

interface Case {
	name: string;
	/** What one run is divided by to give the unit. */
	per: number;
	unit: string;
	run: () => void;
}

const EINPROGRESS = -115;
const full = exhausted(tcp, bindOne, 0);
const fullOfConnects = exhausted(tcp, connectOne, EINPROGRESS);
const fullOfUdp = exhausted(udp, bindOne, 0);
const again = (task: Task, open: Open, attempt: Attempt, expected: number) => () => {
	const fd = open(task);
	const result = attempt(task, fd);
	if (result !== expected) throw new Error(`expected ${expected}, got ${result}`);
	task.close(fd);
};
const fill = (open: Open, attempt: Attempt) => () => {
	const task = boot();
	for (let i = 0; i < PORTS; i++) attempt(task, open(task));
};

const cases: Case[] = [
	{ name: "bind-exhausted", per: PORTS, unit: "port", run: again(full, tcp, bindOne, -98) },
	{
		name: "connect-exhausted",
		per: PORTS,
		unit: "port",
		run: again(fullOfConnects, tcp, connectOne, -99),
	},
	{ name: "udp-exhausted", per: PORTS, unit: "port", run: again(fullOfUdp, udp, bindOne, -98) },
	{ name: "bind-fill", per: PORTS, unit: "call", run: fill(tcp, bindOne) },
	{ name: "connect-fill", per: PORTS, unit: "call", run: fill(tcp, connectOne) },
	{ name: "udp-fill", per: PORTS, unit: "call", run: fill(udp, bindOne) },
];

const json = process.argv.includes("--json");
const suite = new Benchmark.Suite();
for (const { name, run } of cases) suite.add(name, run, { minSamples: 5, maxTime: 4 });
suite.on("cycle", (event: Benchmark.Event) => {
	const { name, stats } = event.target;
	const found = cases.find((candidate) => candidate.name === name);
	if (found === undefined || stats === undefined || name === undefined) return;
	const sorted = [...stats.sample].sort((a, b) => a - b);
	const median = sorted[Math.floor(sorted.length / 2)];
	const ns = (seconds: number) => (seconds / found.per) * 1e9;
	const [value, low, high] = [median, sorted[0], sorted[sorted.length - 1]].map(ns);
	if (json) {
		const key = found.unit === "port" ? "modelNsPerPort" : "modelNsPerCall";
		process.stdout.write(`${JSON.stringify({ case: name, [key]: value, low, high })}\n`);
	} else {
		const spread = `${low.toFixed(1)} to ${high.toFixed(1)}`;
		const unit = `ns per ${found.unit}`;
		process.stdout.write(
			`${name.padEnd(20)}${value.toFixed(1).padStart(10)} ${unit} (${spread})\n`,
		);
	}
});
suite.run();
