// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures kernels with `search: "guided"`: `npm run bench -- --only guided`. Fills the default range
 * in both kinds of kernels, whole calls, and searches it once it is full. Compares this with searches
 * that call the kernel's functions for each port, and with calls in an empty range, which hardly search.
 * Then makes a million calls of a mixed workload. `--json` prints an object a line.
 */
import { noTrace } from "../include/trace/events/port_search.js";
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

/**
 * How a kernel searches. "each" looks at every port by the kernel's functions, as when somebody traces.
 */
type Search = "each" | "linear" | "guided";

/** Runs of each kind. */
const RUNS: Record<Search, number> = { each: 8, linear: 8, guided: 40 };
/** "each" makes one call in so many. The others are guided. */
const SAMPLED = 200;
/** The calls that find the range almost empty, and those that find it almost full. */
const PERCENT = Math.floor(PORTS / 100);
/** How many calls are timed together. */
const TOGETHER = PERCENT / 3;

/** The calls of a kind. */
const KINDS = {
	fill: { from: 0, to: PORTS },
	empty: { from: TOGETHER, to: PERCENT },
	near: { from: PORTS - PERCENT, to: PORTS },
	full: { from: PORTS, to: PORTS + FULL_SEARCHES },
};
type Kind = keyof typeof KINDS;
/** Nanoseconds of a call of each kind, mean. */
type Times = Record<Kind, number>;

/** Calls that are timed together. */
interface Group {
	from: number;
	to: number;
}

function groupsOf(how: Search): Group[] {
	const groups: Group[] = [];
	const add = ({ from, to }: Group, step: number, length = step) => {
		for (let n = from; n < to; n += step) groups.push({ from: n, to: Math.min(n + length, to) });
	};
	if (how === "each") {
		add({ from: SAMPLED / 2, to: PORTS }, SAMPLED, 1);
		add({ from: PORTS, to: PORTS + 2 }, 1);
	} else {
		add({ from: 0, to: KINDS.near.from }, TOGETHER);
		add(KINDS.near, TOGETHER);
		add(KINDS.full, 1);
	}
	return groups;
}

/** Fills the range and searches it when it is full. Returns the time of each group and the ports. */
function filled(workload: Workload, how: Search, groups: readonly Group[]) {
	const search = how === "linear" ? "linear" : "guided";
	const task = hostTask(model, PORTS, LOW, { search });
	const { kernel } = task;
	const fds = Array.from({ length: groups[groups.length - 1].to }, () =>
		openSocket(workload, task),
	);
	let at = 0;
	const callsTo = (end: number) => {
		for (; at < end; at++) {
			const expected = at < PORTS ? workload.success : workload.full;
			const result = attempt(workload, task, fds[at]);
			if (result !== expected) throw new Error(`${workload.name}: ${result}`);
		}
	};
	const ns = groups.map(({ from, to }) => {
		callsTo(from);
		if (how === "each") kernel.trace = { ...noTrace };
		const began = process.hrtime.bigint();
		callsTo(to);
		const taken = Number(process.hrtime.bigint() - began);
		kernel.trace = noTrace;
		return taken;
	});
	const ports = fds.map((fd) => kernel.sock.skc_num[kernel.socket.sk[task.socketOf(fd)]]);
	return { ns, ports: Int32Array.from(ports.slice(0, PORTS)) };
}

/**
 * The lowest times of a workload. Each run makes the same calls, so the lowest time of each group
 * counts: other load on the machine only adds time. Throws Error if the searches choose different
 * ports.
 */
function fills(workload: Workload): Record<Search, Times> {
	const chosen = new Set<string>();
	const lowest = (how: Search): Times => {
		const groups = groupsOf(how);
		const ns = groups.map(() => Number.POSITIVE_INFINITY);
		for (let run = 0; run < RUNS[how]; run++) {
			const taken = filled(workload, how, groups);
			chosen.add(taken.ports.join());
			for (const g of ns.keys()) ns[g] = Math.min(ns[g], taken.ns[g]);
		}
		const mean = (kind: Kind): number => {
			let [sum, calls] = [0, 0];
			for (const [g, { from, to }] of groups.entries()) {
				if (from < KINDS[kind].from || to > KINDS[kind].to) continue;
				sum += ns[g];
				calls += to - from;
			}
			return sum / calls;
		};
		return { fill: mean("fill"), empty: mean("empty"), near: mean("near"), full: mean("full") };
	};
	const times = { each: lowest("each"), linear: lowest("linear"), guided: lowest("guided") };
	if (chosen.size !== 1) throw new Error(`${workload.name}: the guided search chose other ports`);
	return times;
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

const TITLES = [
	"each port",
	"linear",
	"guided",
	"empty",
	"each/guided",
	"linear/guided",
	"search alone",
];
if (!out.json) {
	const titles = TITLES.map((title) => title.padStart(title.length > 9 ? 14 : 11)).join("");
	out.print(
		`Kernels with search: "guided", range ${LOW} to ${LOW + PORTS - 1}; ns a call, lowest of several runs\n\n` +
			`${"case".padEnd(13)}${titles}\n`,
	);
}
for (const workload of WORKLOADS) {
	out.progress(`guided: ${workload.name}`);
	const { each, linear, guided } = fills(workload);
	const { empty } = guided;
	for (const kind of ["fill", "near", "full"] as const) {
		const name = `${workload.name}-${kind}`;
		const ratio = linear[kind] / guided[kind];
		const eachRatio = each[kind] / guided[kind];
		// A call that finds no port does less than one that takes a port.
		const rest = guided[kind] - empty;
		const searchRatio = kind !== "full" && rest > empty / 20 ? (linear[kind] - empty) / rest : null;
		if (out.json) {
			const figures = {
				case: `guided-${name}`,
				eachNs: each[kind],
				linearNs: linear[kind],
				guidedNs: guided[kind],
				emptyNs: empty,
				eachRatio,
				ratio,
				searchRatio,
			};
			out.print(`${JSON.stringify(figures)}\n`);
			continue;
		}
		const times = [each[kind], linear[kind], guided[kind], empty];
		const columns = times.map((ns) => ns.toFixed(0).padStart(11)).join("");
		const ratios = [eachRatio, ratio, searchRatio].map((times) =>
			(times === null ? "-" : times < 10 ? times.toFixed(1) : times.toFixed(0)).padStart(14),
		);
		out.print(`${name.padEnd(13)}${columns}${ratios.join("")}\n`);
	}
}
out.progress("guided: mixed workload");
const short = { linear: mixed("linear", LINEAR_CALLS), guided: mixed("guided", LINEAR_CALLS) };
if (short.linear.checksum !== short.guided.checksum)
	throw new Error("the mixed workload got other ports");
const all = mixed("guided", CALLS);
if (out.json) {
	out.print(`${JSON.stringify({ case: "guided-mixed", calls: CALLS, ...all })}\n`);
} else {
	out.print(
		`\n${CALLS} calls to ${DESTINATIONS} destinations from 4 addresses: ${((all.ns * CALLS) / 1e9).toFixed(1)} s,\n` +
			`${all.ns.toFixed(0)} ns a call, ${all.failed} without a port, ${all.timeWait} sockets in TIME_WAIT at the end\n`,
	);
}
