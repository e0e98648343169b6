// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Kernels with fast scans and kernels with `search: "guided"` against kernels whose searches call the
 * kernel's functions for every port. Over random programs all choose the same ports and make the same
 * draws. Guided kernels also play recordings with the draws of a kernel.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import type { PortGuide } from "../../include/net/guide.js";
import { noTrace } from "../../include/trace/events/port_search.js";
import { readDraws, splitRecordings } from "../../kernel-model/check/exact.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import {
	type Address,
	EADDRINUSE,
	EADDRNOTAVAIL,
	EINPROGRESS,
	Kernel,
	type NetNamespace,
	SO_BINDTODEVICE,
	SO_LINGER,
	SO_REUSEADDR,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { profileFor } from "../../kernel-model/machine/profile.js";
import { always, isDefault } from "./replay.js";
import { type Options, openWith, randomOptions } from "./sockets.js";

const LOW = 40_000;
/** More ports than a search refuses before it makes a bitmap. */
const HIGH = 40_059;
const LO = Uint8Array.from("lo", (letter) => letter.charCodeAt(0));
const NONE = new Uint8Array(0);

type OnSocket =
	| { do: "connect"; to: number }
	| { do: "bind"; port: number }
	| { do: "device"; lo: boolean }
	| { do: "reuse"; on: boolean }
	| { do: "listen" | "accept" | "shutdown" | "disconnect" | "close" };

type Step =
	| { do: "socket"; udp: boolean; options: Options; count: number; abort: boolean; next: OnSocket }
	| { do: "on"; at: number; call: OnSocket }
	| { do: "advance"; ms: number }
	| { do: "sysctl"; name: string; value: string }
	| { do: "snapshot" | "restore" };

const inet = (address: string, at: number): Address => ({ family: "AF_INET", address, port: at });
const DESTINATIONS: readonly Address[] = [
	inet("198.51.100.1", 53),
	inet("198.51.100.1", 53),
	inet("198.51.100.2", 53),
	inet("203.0.113.1", 80),
	inet("203.0.113.1", 80),
	inet("203.0.113.129", 80),
	inet("127.0.0.1", LOW + 1),
	inet("127.0.0.2", LOW + 2),
	inet("127.0.0.1", LOW + 3),
	{ family: "AF_INET6", address: "::ffff:198.51.100.1", port: 53 },
	{ family: "AF_INET6", address: "::1", port: LOW + 1 },
];
const UNSPEC: Address = { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 };
const SMALL = { ehash: 64, bhash: 32, lhash2: 16, udp: 256 };

const port = fc.integer({ min: LOW, max: HIGH });
const onSocket: fc.Arbitrary<OnSocket> = fc.oneof(
	{
		weight: 6,
		arbitrary: fc.record({
			do: fc.constant("connect" as const),
			to: fc.nat({ max: DESTINATIONS.length - 1 }),
		}),
	},
	{
		weight: 4,
		arbitrary: fc.record({
			do: fc.constant("bind" as const),
			port: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: port }),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ do: fc.constant("device" as const), lo: fc.boolean() }) },
	{ weight: 1, arbitrary: fc.record({ do: fc.constant("reuse" as const), on: fc.boolean() }) },
	{
		weight: 6,
		arbitrary: fc.record({
			do: fc.constantFrom("listen", "accept", "shutdown", "disconnect", "close", "close", "close"),
		}),
	},
);
const plain = fc.constantFrom("0.0.0.0", "127.0.0.1", "127.0.0.2").map(
	(address): Options => ({
		address,
		reuseaddr: false,
		reuseport: false,
		v6only: false,
		uid: 0,
		lo: false,
	}),
);
const step: fc.Arbitrary<Step> = fc.oneof(
	{
		weight: 12,
		arbitrary: fc.record({
			do: fc.constant("socket" as const),
			udp: fc.oneof(fc.constant(false), fc.boolean()),
			options: fc.oneof(plain, plain, randomOptions),
			/** Many sockets at once, so that ranges get full. */
			count: fc.constantFrom(1, 1, 8, 40, 70),
			abort: fc.boolean(),
			next: onSocket,
		}),
	},
	{
		weight: 14,
		arbitrary: fc.record({
			do: fc.constant("on" as const),
			at: fc.nat({ max: 400 }),
			call: onSocket,
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			do: fc.constant("advance" as const),
			ms: fc.constantFrom(10, 900, 1100, 61_000),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.oneof(
			fc.record({
				do: fc.constant("sysctl" as const),
				name: fc.constant("net.ipv4.ip_local_reserved_ports"),
				value: fc.array(port, { maxLength: 6 }).map(String),
			}),
			fc.record({
				do: fc.constant("sysctl" as const),
				name: fc.constant("net.ipv4.tcp_tw_reuse"),
				value: fc.constantFrom("0", "1", "2"),
			}),
			fc.record({
				do: fc.constant("sysctl" as const),
				name: fc.constant("net.ipv4.ip_autobind_reuse"),
				value: fc.constantFrom("0", "1"),
			}),
		),
	},
	{ weight: 1, arbitrary: fc.record({ do: fc.constantFrom("snapshot", "restore") }) },
);
const VERSIONS = ["6.1.176", "6.3", "6.6", "6.8", "6.12", "6.18.44", "7.3"] as const;
const programOf = (version: fc.Arbitrary<string>) =>
	fc.record({
		version,
		small: fc.boolean(),
		step_width: fc.constantFrom("0", "0", "3", "1000"),
		low: fc.constantFrom(LOW, LOW + 1),
		high: fc.constantFrom(HIGH, HIGH - 1, LOW + 20),
		steps: fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
	});
type Program = ReturnType<typeof programOf> extends fc.Arbitrary<infer T> ? T : never;

/** How many refused ports the kernels remembered at the ends. */
let remembered = 0;

/** The results that the programs reached, so that the test is not empty. */
const reached = { connected: 0, noAddress: 0, bound: 0, inUse: 0, datagrams: 0 };

/** How a kernel of a comparison searches. A traced kernel looks at each port by C's functions. */
type Search = "traced" | "linear" | "guided";

/** One of the kernels: its calls, and the descriptors that are open. */
class Side {
	readonly kernel: Kernel;
	readonly net: NetNamespace;
	readonly task: Task;
	private saved: ReturnType<Kernel["snapshot"]> | null = null;

	constructor({ version, small, step_width, low, high }: Program, how: Search) {
		const search = how === "guided" ? "guided" : "linear";
		this.kernel = new Kernel({ version, search, ...(small ? { tables: SMALL } : {}) });
		if (how === "traced") this.kernel.trace = { ...noTrace };
		this.net = this.kernel.createNet();
		this.net.addRoute({ to: "default", dev: "lo" });
		this.net.addRoute({ to: "203.0.113.0/25", dev: "lo", answer: "accept" });
		this.net.addRoute({ to: "203.0.113.128/25", dev: "lo", answer: "refuse" });
		this.net.setSysctl("net.ipv4.ip_local_port_range", `${low} ${high}`);
		if (version === "7.3") this.net.setSysctl("net.ipv4.ip_local_port_step_width", step_width);
		this.task = this.kernel.createTask({ net: this.net });
	}

	snapshot(): number {
		this.saved = this.kernel.snapshot();
		return 0;
	}

	restore(): number {
		if (this.saved !== null) this.kernel.restore(this.saved);
		return 0;
	}

	open(udp: boolean, options: Options, abort: boolean): number {
		const { fd } = openWith(this.task, udp ? "udp" : "tcp", options);
		const linger = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
		if (abort) this.task.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger);
		return fd;
	}

	call(fd: number, call: OnSocket, address: string): number {
		const { task } = this;
		switch (call.do) {
			case "connect":
				return task.connect(fd, DESTINATIONS[call.to], undefined, true);
			case "bind": {
				const family = address.includes(":") ? "AF_INET6" : "AF_INET";
				return task.bind(fd, { family, address, port: call.port });
			}
			case "device":
				return task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, call.lo ? LO : NONE);
			case "reuse":
				return task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, call.on ? 1 : 0);
			case "listen":
				return task.listen(fd, 4);
			case "accept":
				return task.accept4(fd, 0, undefined, true);
			case "shutdown":
				return task.shutdown(fd, 2);
			case "disconnect":
				return task.connect(fd, UNSPEC, undefined, true);
			case "close":
				return task.close(fd);
		}
	}

	port(fd: number): number {
		const sock = this.task.socketOf(fd);
		return this.kernel.sock.skc_num[this.kernel.socket.sk[sock]];
	}
}

/** A deliberate fault of a guide, or of the tables of refused ports of a kernel. */
interface Fault {
	guide?: (guide: PortGuide) => void;
	linear?: (kernel: Kernel) => void;
}

function play(given: Program, fault?: Fault): void {
	const traced = new Side(given, "traced");
	const linear = new Side(given, "linear");
	const guided = new Side(given, "guided");
	if (guided.kernel.guide === null) throw new Error("no guide");
	fault?.guide?.(guided.kernel.guide);
	fault?.linear?.(linear.kernel);
	let fds: { fd: number; udp: boolean; address: string }[] = [];
	let saved = fds;
	const same = (call: (side: Side) => number): number => {
		const wanted = call(traced);
		expect(call(linear)).toBe(wanted);
		expect(call(guided)).toBe(wanted);
		return wanted;
	};
	const on = (at: number, call: OnSocket): void => {
		const socket = fds[at];
		if (socket === undefined) return;
		const { fd, udp, address } = socket;
		const result = same((side) => side.call(fd, call, address));
		if (call.do === "close") {
			fds = fds.filter((other) => other !== socket);
			return;
		}
		if (call.do === "accept") {
			if (result >= 0) fds = [...fds, { fd: result, udp, address }];
			return;
		}
		const chosen = same((side) => side.port(fd));
		if (call.do === "connect" && result === -EINPROGRESS && chosen !== 0) reached.connected++;
		if (call.do === "connect" && result === -EADDRNOTAVAIL) reached.noAddress++;
		if (call.do === "bind" && call.port === 0 && result === -EADDRINUSE) reached.inUse++;
		if (call.do === "bind" && result === 0) reached[udp ? "datagrams" : "bound"]++;
	};
	for (const step of given.steps) {
		if (step.do === "socket") {
			for (let n = 0; n < step.count; n++) {
				const fd = same((side) => side.open(step.udp, step.options, step.abort));
				fds = [...fds, { fd, udp: step.udp, address: step.options.address }];
				on(fds.length - 1, step.next);
			}
		} else if (step.do === "on") {
			if (fds.length > 0) on(step.at % fds.length, step.call);
		} else if (step.do === "advance") {
			for (const { kernel } of [traced, linear, guided]) kernel.advance(step.ms);
		} else if (step.do === "sysctl") {
			same((side) => side.net.setSysctl(step.name, step.value));
		} else if (step.do === "snapshot") {
			same((side) => side.snapshot());
			saved = fds;
		} else {
			same((side) => side.restore());
			fds = saved;
		}
	}
	for (const { kernel } of [traced, linear, guided]) kernel.verify();
	same((side) => side.kernel.random.get_random_u32());
	const table = traced.kernel.table_perturb;
	for (const { kernel } of [linear, guided]) {
		expect(kernel.table_perturb?.findIndex((value, at) => value !== table?.[at])).toBe(
			table === null ? undefined : -1,
		);
		remembered += [...kernel.tcp_hashinfo.refused_tuples].length;
		remembered += [...kernel.tcp_hashinfo.refused_binds, ...kernel.udp_table.refused].length;
	}
}

describe("a fast scan and a guided search", { timeout: 1_200_000 }, () => {
	test.each(VERSIONS)("return what the kernel's functions return, version %s", (version) => {
		const program = programOf(fc.constant(version));
		for (const key of Object.keys(reached)) reached[key as keyof typeof reached] = 0;
		always(program, { seed: 1, runs: 45 }, (value) => play(value));
		if (isDefault) {
			expect(remembered).toBeGreaterThan(1000);
			for (const times of Object.values(reached)) expect(times).toBeGreaterThan(80);
		}
	});

	const silent = () => {};
	const FAULTS: Record<string, Fault> = {
		"the guide is not told of a bucket that is left": {
			guide: (guide) => {
				guide.leavesBucket = silent;
			},
		},
		"the guide is not told of a four-tuple that is left": {
			guide: (guide) => {
				guide.leavesEhash = silent;
			},
		},
		"the guide is not told of a UDP port that is left": {
			guide: (guide) => {
				guide.leavesUdp = silent;
			},
		},
		"refused four-tuples are not forgotten": {
			linear: ({ tcp_hashinfo }) => {
				tcp_hashinfo.refused_tuples.forget = silent;
			},
		},
		"refused ports of bind() are not forgotten": {
			linear: ({ tcp_hashinfo }) => {
				tcp_hashinfo.refused_binds.forgetPort = silent;
			},
		},
		"refused ports of UDP are not forgotten": {
			linear: ({ udp_table }) => {
				udp_table.refused.forgetPort = silent;
			},
		},
	};
	for (const [name, fault] of Object.entries(FAULTS)) {
		it(`do not do so with a deliberate fault: ${name}`, () => {
			const program = programOf(fc.constantFrom(...VERSIONS));
			const property = fc.property(program, (value) => play(value, fault));
			expect(fc.check(property, { seed: 1, numRuns: 300, endOnFailure: true }).failed).toBe(true);
		});
	}
});

const FOLDER = fileURLToPath(new URL("../recordings/exact", import.meta.url));
const FILES = readdirSync(FOLDER).filter((file) => file.endsWith(".strace.gz"));

describe("a guided search, with the draws of a kernel", { timeout: 600_000 }, () => {
	test.each(FILES)("chooses the ports of %s", (file) => {
		const text = gunzipSync(readFileSync(join(FOLDER, file))).toString();
		let calls = 0;
		for (const part of splitRecordings(text)) {
			const script = readScript(part.text, file, part.above);
			const version = profileFor(readDraws(script)?.release ?? "")?.name;
			if (version === undefined) throw new Error(`${file}: no version models its kernel`);
			const outcomes = playScript(script, { version, search: "guided" });
			expect(outcomes.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
			calls += outcomes.length;
		}
		expect(calls).toBeGreaterThan(100);
	});
});
