// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures kernels with `search: "guided"`: `npm run bench -- --only guided`. Fills the default range
 * in both kinds of kernels, whole calls, and searches it once it is full. Then makes a million calls
 * of a mixed workload. `--json` prints an object a line.
 */
import { IPPROTO_TCP } from "../include/uapi/linux/in.js";
import * as model from "../kernel-model/index.js";
import { output } from "./output.js";
import { attempt, hostTask, openSocket, WORKLOADS, type Workload } from "./workload.js";

/** The default ip_local_port_range. */
const LOW = 32_768;
const PORTS = 28_232;
const FULL_SEARCHES = 50;
const CALLS = 1_000_000;
const LINEAR_CALLS = 20_000;
/** Destinations of the mixed workload. One in eight calls goes to the first. */
const DESTINATIONS = 5_000;
/** Open connections of the mixed workload. Half of them are closed by the other end first. */
const OPEN = 40_000;

const out = output(process.argv.includes("--json"));

/** Nanoseconds of a call that fills the range, and of one that finds it full; the ports. */
interface Filled {
	fillNs: number;
	fullNs: number;
	ports: Int32Array;
}

function filled(workload: Workload, search: "linear" | "guided"): Filled {
	const task = hostTask(model, PORTS, LOW, { search });
	const fds = Array.from({ length: PORTS + FULL_SEARCHES }, () => openSocket(workload, task));
	const call = (fd: number, expected: number) => {
		const result = attempt(workload, task, fd);
		if (result !== expected) throw new Error(`${workload.name}: ${result}`);
	};
	const began = process.hrtime.bigint();
	for (let n = 0; n < PORTS; n++) call(fds[n], workload.success);
	const full = process.hrtime.bigint();
	for (let n = PORTS; n < fds.length; n++) call(fds[n], workload.full);
	const ended = process.hrtime.bigint();
	const { kernel } = task;
	const ports = fds.map((fd) => kernel.sock.skc_num[kernel.socket.sk[task.socketOf(fd)]]);
	return {
		fillNs: Number(full - began) / PORTS,
		fullNs: Number(ended - full) / FULL_SEARCHES,
		ports: Int32Array.from(ports),
	};
}

const lowest = (values: readonly number[]): number => Math.min(...values);

function fills(workload: Workload) {
	const runs = { linear: 2, guided: 12 };
	const all = (search: "linear" | "guided") =>
		Array.from({ length: runs[search] }, () => filled(workload, search));
	const [linear, guided] = [all("linear"), all("guided")];
	if (guided.some(({ ports }) => ports.some((port, n) => port !== linear[0].ports[n]))) {
		throw new Error(`${workload.name}: the guided search chose other ports`);
	}
	const figures = (of: "fillNs" | "fullNs") => {
		const [slow, fast] = [linear, guided].map((runs) => lowest(runs.map((run) => run[of])));
		return { linear: slow, guided: fast, ratio: slow / fast };
	};
	return { fill: figures("fillNs"), full: figures("fullNs") };
}

/**
 * Opens connections to many destinations, closes the oldest, and lets time pass. Returns the time of
 * a call, ns, and a checksum of the ports.
 */
function mixed(search: "linear" | "guided", calls: number) {
	const kernel = new model.Kernel({ search });
	const net = kernel.createNet();
	for (const host of [10, 11, 12, 13]) net.addAddress(`192.0.2.${host}/32`, "lo");
	net.addRoute({ to: "default", dev: "lo", answer: "accept" });
	const task = kernel.createTask({ net });
	const random = new model.SeededRandom(1);
	const open = new Int32Array(OPEN);
	let checksum = 0;
	let failed = 0;
	let made = 0;
	const began = process.hrtime.bigint();
	for (let n = 0; made < calls; n++) {
		const slot = n % OPEN;
		if (open[slot] !== 0) {
			task.close(open[slot]);
			made++;
		}
		const draw = random.get_random_u32();
		const to = (draw & 7) === 0 ? 0 : (draw >>> 3) % DESTINATIONS;
		const fd = task.socket(model.AF_INET, model.SOCK_STREAM, IPPROTO_TCP);
		const address = `192.0.2.${10 + (n & 3)}`;
		task.setsockopt(fd, model.SOL_IP, model.IP_BIND_ADDRESS_NO_PORT, 1);
		task.bind(fd, { family: "AF_INET", address, port: 0 });
		const peer = `198.51.${100 + (to >> 8)}.${to & 0xff}`;
		const result = task.connect(fd, { family: "AF_INET", address: peer, port: 443 });
		if (result !== 0) failed++;
		checksum =
			(Math.imul(checksum, 31) + kernel.sock.skc_num[kernel.socket.sk[task.socketOf(fd)]]) | 0;
		open[slot] = fd;
		made += 4;
		if (n % 1000 === 0) kernel.advance(500);
	}
	const ns = Number(process.hrtime.bigint() - began) / made;
	return { ns, checksum, failed, timeWait: net.net.tw_count };
}

if (!out.json) {
	out.print(
		`Kernels with search: "guided", range ${LOW} to ${LOW + PORTS - 1}; ns a call, lowest of several runs\n\n` +
			"                     linear      guided   faster\n",
	);
}
for (const workload of WORKLOADS) {
	out.progress(`guided: ${workload.name}`);
	for (const [kind, { linear, guided, ratio }] of Object.entries(fills(workload))) {
		const name = `${workload.name}-${kind}`;
		if (out.json) {
			const figures = { case: `guided-${name}`, linearNs: linear, guidedNs: guided, ratio };
			out.print(`${JSON.stringify(figures)}\n`);
		} else {
			const columns = [linear, guided].map((ns) => ns.toFixed(0).padStart(12)).join("");
			out.print(`${name.padEnd(15)}${columns}${ratio.toFixed(0).padStart(7)} times\n`);
		}
	}
}
out.progress("guided: mixed workload");
const [linear, guided] = [mixed("linear", LINEAR_CALLS), mixed("guided", LINEAR_CALLS)];
if (linear.checksum !== guided.checksum) throw new Error("the mixed workload got other ports");
const all = mixed("guided", CALLS);
if (out.json) {
	out.print(`${JSON.stringify({ case: "guided-mixed", calls: CALLS, ...all })}\n`);
} else {
	out.print(
		`\n${CALLS} calls to ${DESTINATIONS} destinations from 4 addresses: ${((all.ns * CALLS) / 1e9).toFixed(1)} s,\n` +
			`${all.ns.toFixed(0)} ns a call, ${all.failed} without a port, ${all.timeWait} sockets in TIME_WAIT at the end\n`,
	);
}
