// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Why IP_LOCAL_PORT_RANGE was added. The tests follow the claims of commit 91d0b78c5177: the cost
 * of binding by hand, the effect of late binding, and the effect of the option.
 */
import { describe, expect, it } from "vitest";
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import {
	EADDRNOTAVAIL,
	EINPROGRESS,
	EINVAL,
	errnoName,
	IP_BIND_ADDRESS_NO_PORT,
	IP_LOCAL_PORT_RANGE,
	Kernel,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_IP,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";

/** The source address of all connections, and hosts that never answer. */
const EGRESS = "192.0.2.10";
const destination = (n: number) => ({
	family: "AF_INET" as const,
	address: `198.51.100.${n}`,
	port: 443,
});

function boot(version: string, range: string, seed = 1): { kernel: Kernel; task: Task } {
	const kernel = new Kernel({ version, seed });
	const net = kernel.createNet();
	net.addAddress(`${EGRESS}/32`, "lo");
	// No host answers. Connections stay in SYN_SENT and keep the chosen port.
	net.addRoute({ to: "default", dev: "lo" });
	expect(net.setSysctl("net.ipv4.ip_local_port_range", range)).toBe(0);
	return { kernel, task: kernel.createTask({ net }) };
}

interface Options {
	reuseaddr?: boolean;
	reuseport?: boolean;
	/** IP_BIND_ADDRESS_NO_PORT. */
	late?: boolean;
	/** IP_LOCAL_PORT_RANGE, as setsockopt takes it. */
	range?: number;
}

const rangeOf = (low: number, high: number) => ((high << 16) | low) >>> 0;

function tcp(task: Task, options: Options = {}): number {
	const fd = task.tcp();
	const { reuseaddr = false, reuseport = false, late = false, range } = options;
	if (reuseaddr) expect(task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)).toBe(0);
	if (reuseport) expect(task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1)).toBe(0);
	if (late) expect(task.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)).toBe(0);
	if (range !== undefined) {
		expect(task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, range)).toBe(0);
	}
	return fd;
}

/** 0, or the name of the error. */
const outcome = (result: number) => (result < 0 ? errnoName(-result) : result);

const bind = (task: Task, fd: number, port = 0, address = EGRESS) =>
	task.bind(fd, { family: "AF_INET", address, port });

/** Starts to connect, and does not wait. */
const connect = (task: Task, fd: number, to: ReturnType<typeof destination>) =>
	task.connect(fd, to, 16, true);

function portOf(task: Task, fd: number): number {
	const name = task.getsockname(fd);
	if (typeof name === "number") throw new Error(`getsockname: ${errnoName(-name)}`);
	return name.port;
}

/** fastreuse of the bind bucket that the socket is in. */
function fastreuseOf(kernel: Kernel, task: Task, fd: number): number {
	const bucket = kernel.sock.icsk_bind_hash[kernel.socket.sk[task.socketOf(fd)]];
	expect(bucket).not.toBe(0);
	return kernel.tcp_hashinfo.bind_bucket_cachep.fastreuse[bucket];
}

/** A port, "EADDRINUSE" from bind() or "EADDRNOTAVAIL" from connect(). */
function open(
	task: Task,
	options: Options,
	to: ReturnType<typeof destination> | null,
	port = 0,
): { fd: number; port: number } | string {
	const fd = tcp(task, options);
	let result = bind(task, fd, port);
	if (result === 0 && to !== null) result = connect(task, fd, to);
	if (result === 0 || result === -EINPROGRESS) return { fd, port: portOf(task, fd) };
	task.close(fd);
	return errnoName(-result);
}

/** Opens sockets until there is an error: their ports, lowest first, and the error. */
function exhaust(
	task: Task,
	options: Options,
	to: ReturnType<typeof destination> | null,
): { ports: number[]; error: string } {
	const ports: number[] = [];
	for (;;) {
		if (ports.length > 1000) throw new Error("more ports than any range of these tests has");
		const opened = open(task, options, to);
		if (typeof opened === "string") return { ports: ports.sort((a, b) => a - b), error: opened };
		ports.push(opened.port);
	}
}

const from = (low: number, high: number) =>
	Array.from({ length: high - low + 1 }, (_, i) => low + i);

/** The traced ranges of searches, in order. */
function watchRanges(kernel: Kernel): string[] {
	const ranges: string[] = [];
	const ignore = () => {};
	const trace: PortSearchTrace = {
		search: (_kind, _sk, low, high) => ranges.push(`${low}-${high}`),
		scan: ignore,
		pass: ignore,
		look: ignore,
		skip: ignore,
		chosen: ignore,
		bound: ignore,
		bucket: ignore,
		tuple: ignore,
	};
	kernel.trace = trace;
	return ranges;
}

const u32 = (value: number) => Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);

describe.each(["6.3", "6.1.176"])("kernel %s", (version) => {
	describe("a port of bind()", () => {
		it("makes connect fail with EADDRNOTAVAIL only when the four-tuple is taken", () => {
			const { task } = boot(version, "60000 60511");
			for (const [port, to, expected] of [
				[60000, destination(1), "EINPROGRESS"],
				[60000, destination(1), "EADDRNOTAVAIL"],
				[60000, { ...destination(1), port: 444 }, "EINPROGRESS"],
				[60000, destination(2), "EINPROGRESS"],
				[60001, destination(1), "EINPROGRESS"],
				[60000, destination(2), "EADDRNOTAVAIL"],
				[60001, destination(1), "EADDRNOTAVAIL"],
			] as const) {
				const fd = tcp(task, { reuseaddr: true });
				expect(bind(task, fd, port)).toBe(0);
				const result = connect(task, fd, to);
				expect([port, to.address, to.port, outcome(result)]).toEqual([
					port,
					to.address,
					to.port,
					expected,
				]);
			}
		});

		it("lets a program that names the ports use every four-tuple", () => {
			const { kernel, task } = boot(version, "60000 60031");
			for (const to of [destination(1), destination(2)]) {
				for (const port of from(60000, 60031)) {
					expect(open(task, { reuseaddr: true }, to, port)).toMatchObject({ port });
				}
				for (const port of from(60000, 60031)) {
					expect(open(task, { reuseaddr: true }, to, port)).toBe("EADDRNOTAVAIL");
				}
			}
			kernel.verify();
		});

		it("stays with the socket when connect() fails, so the program can try another destination", () => {
			const { task } = boot(version, "60000 60511");
			open(task, { reuseaddr: true }, destination(1), 60000);
			const fd = tcp(task, { reuseaddr: true });
			expect(bind(task, fd, 60000)).toBe(0);
			expect(connect(task, fd, destination(1))).toBe(-EADDRNOTAVAIL);
			expect(portOf(task, fd)).toBe(60000);
			expect(connect(task, fd, destination(2))).toBe(-EINPROGRESS);
			expect(portOf(task, fd)).toBe(60000);
		});

		it("is shared only between sockets that all have SO_REUSEADDR", () => {
			const { task } = boot(version, "60000 60511");
			for (const [port, first, second, expected] of [
				[60000, {}, {}, "EADDRINUSE"],
				[60001, { reuseaddr: true }, {}, "EADDRINUSE"],
				[60002, {}, { reuseaddr: true }, "EADDRINUSE"],
				[60003, { reuseaddr: true }, { reuseaddr: true }, 0],
			] as const) {
				open(task, first, destination(1), port);
				const result = bind(task, tcp(task, second), port);
				expect([port, outcome(result)]).toEqual([port, expected]);
			}
		});

		it("belongs to one socket if bind() chose it, whatever the destination", () => {
			for (const options of [{}, { reuseaddr: true }]) {
				const { task } = boot(version, "60000 60015");
				const { ports, error } = exhaust(task, options, destination(1));
				expect([ports, error]).toEqual([from(60000, 60015), "EADDRINUSE"]);
				expect(exhaust(task, options, destination(2))).toEqual({ ports: [], error: "EADDRINUSE" });
			}
		});
	});

	describe("connect's search", () => {
		it.each([
			["no option", {}, 0],
			["SO_REUSEADDR", { reuseaddr: true }, 1],
			["SO_REUSEPORT", { reuseport: true }, 0],
		])("passes over a port that is bound with %s", (_name, options, fastreuse) => {
			const { kernel, task } = boot(version, "60000 60003");
			const bound = open(task, options, null, 60002);
			if (typeof bound === "string") throw new Error(bound);
			expect(fastreuseOf(kernel, task, bound.fd)).toBe(fastreuse);
			for (let n = 1; n <= 8; n++) {
				expect(exhaust(task, { late: true }, destination(n))).toEqual({
					ports: [60000, 60001, 60003],
					error: "EADDRNOTAVAIL",
				});
			}
			// The port is taken only while the socket is bound.
			task.close(bound.fd);
			expect(open(task, { late: true }, destination(1))).toMatchObject({ port: 60002 });
		});

		it("shares a port only with sockets of other searches, and the bucket has fastreuse -1", () => {
			const { kernel, task } = boot(version, "60000 60000");
			const first = open(task, { late: true }, destination(1));
			if (typeof first === "string") throw new Error(first);
			expect(fastreuseOf(kernel, task, first.fd)).toBe(-1);
			expect(open(task, { late: true }, destination(2))).toMatchObject({ port: 60000 });
			expect(fastreuseOf(kernel, task, first.fd)).toBe(-1);
			// A bind() to the port fails, with or without SO_REUSEADDR on its socket.
			expect(open(task, {}, null, 60000)).toBe("EADDRINUSE");
			expect(open(task, { reuseaddr: true }, null, 60000)).toBe("EADDRINUSE");
		});

		it("passes over a port after a bind() to it until the last socket of the port is closed", () => {
			const { kernel, task } = boot(version, "60000 60000");
			const late = open(task, { late: true, reuseaddr: true }, destination(1));
			if (typeof late === "string") throw new Error(late);
			const byHand = open(task, { reuseaddr: true }, null, 60000);
			if (typeof byHand === "string") throw new Error(byHand);
			// fastreuse is still -1, but fastreuseport is not.
			expect(fastreuseOf(kernel, task, byHand.fd)).toBe(-1);
			expect(open(task, { late: true }, destination(2))).toBe("EADDRNOTAVAIL");
			task.close(byHand.fd);
			expect(open(task, { late: true }, destination(2))).toBe("EADDRNOTAVAIL");
			task.close(late.fd);
			expect(open(task, { late: true }, destination(2))).toMatchObject({ port: 60000 });
		});
	});

	describe("late binding", () => {
		it("allows 512 connections over 512 ports to each of many destinations", () => {
			const { kernel, task } = boot(version, "60000 60511");
			for (let n = 1; n <= 8; n++) {
				const { ports, error } = exhaust(task, { late: true }, destination(n));
				expect(error).toBe("EADDRNOTAVAIL");
				expect(ports).toEqual(from(60000, 60511));
			}
			kernel.verify();
		});

		it("takes no port until connect", () => {
			const { task } = boot(version, "60000 60000");
			const fds = Array.from({ length: 3 }, () => tcp(task, { late: true }));
			for (const fd of fds) {
				expect(bind(task, fd)).toBe(0);
				expect(task.getsockname(fd)).toEqual({ family: "AF_INET", address: EGRESS, port: 0 });
			}
			expect(fds.map((fd, n) => outcome(connect(task, fd, destination(n))))).toEqual([
				"EINPROGRESS",
				"EINPROGRESS",
				"EINPROGRESS",
			]);
			expect(fds.map((fd) => portOf(task, fd))).toEqual([60000, 60000, 60000]);
		});
	});

	describe("IP_LOCAL_PORT_RANGE", () => {
		it("makes bind() choose every port inside, and then fail with EADDRINUSE", () => {
			const { kernel, task } = boot(version, "32768 60999");
			const { ports, error } = exhaust(task, { range: rangeOf(40000, 40511) }, null);
			expect(ports).toEqual(from(40000, 40511));
			expect(error).toBe("EADDRINUSE");
			kernel.verify();
		});

		it("makes connect() choose every port inside for each destination, and then fail with EADDRNOTAVAIL", () => {
			const { kernel, task } = boot(version, "32768 60999");
			for (let n = 1; n <= 3; n++) {
				const late = { late: true, range: rangeOf(40000, 40511) };
				const { ports, error } = exhaust(task, late, destination(n));
				expect(ports).toEqual(from(40000, 40511));
				expect(error).toBe("EADDRNOTAVAIL");
			}
			kernel.verify();
		});

		it("makes listen() choose a port inside", () => {
			const { task } = boot(version, "32768 60999");
			for (const port of [40000, 40511]) {
				const fd = tcp(task, { range: rangeOf(port, port) });
				expect(task.listen(fd, 1)).toBe(0);
				expect(portOf(task, fd)).toBe(port);
			}
		});

		it("does not restrict other sockets, nor a port that bind() names", () => {
			const { task } = boot(version, "32768 60999");
			exhaust(task, { range: rangeOf(40000, 40511) }, null);
			const other = open(task, {}, null);
			if (typeof other === "string") throw new Error(other);
			expect(other.port < 40000 || other.port > 40511).toBe(true);
			expect(open(task, { range: rangeOf(40000, 40511) }, null, 50000)).toMatchObject({
				port: 50000,
			});
		});

		it("does not affect other ranges on the same address", () => {
			const { task } = boot(version, "32768 60999");
			for (const [low, high] of [
				[40000, 40007],
				[40008, 40015],
				[40016, 40023],
			]) {
				expect(exhaust(task, { range: rangeOf(low, high) }, null)).toEqual({
					ports: from(low, high),
					error: "EADDRINUSE",
				});
			}
		});

		// The namespace's range is 40000-40007.
		it.each([
			["both bounds inside", 40002, 40005, "40002-40005"],
			["both bounds those of the namespace", 40000, 40007, "40000-40007"],
			["one port", 40003, 40003, "40003-40003"],
			["neither bound set", 0, 0, "40000-40007"],
			["low alone", 40004, 0, "40004-40007"],
			["low alone, the last port", 40007, 0, "40007-40007"],
			["high alone", 0, 40003, "40000-40003"],
			["high alone, the first port", 0, 40000, "40000-40000"],
			["low below the range", 39999, 40005, "40000-40005"],
			["low 1", 1, 40001, "40000-40001"],
			["high above the range", 40002, 40008, "40002-40007"],
			["high 65535", 40006, 65535, "40006-40007"],
			["both outside, around it", 39999, 40008, "40000-40007"],
			["both below", 30000, 39999, "40000-40007"],
			["both above", 40008, 50000, "40000-40007"],
			["low above, alone", 40008, 0, "40000-40007"],
			["high below, alone", 0, 39999, "40000-40007"],
		])("ignores a bound outside the namespace's range: %s", (_name, low, high, range) => {
			const { kernel, task } = boot(version, "40000 40007");
			const [first, last] = range.split("-").map(Number);
			const ranges = watchRanges(kernel);
			const options = { range: rangeOf(low, high) };

			const bound = exhaust(task, options, null);
			expect(bound.ports.every((port) => port >= first && port <= last)).toBe(true);
			// Over an even number of ports, or one, every port can be reached from every start.
			if ((last - first) % 2 === 1 || first === last) {
				expect(bound).toEqual({ ports: from(first, last), error: "EADDRINUSE" });
			}
			for (const fd of task.socketDescriptors()) task.close(fd);

			const connected = exhaust(task, { late: true, ...options }, destination(1));
			if ((last - first) % 2 === 1 || first === last) {
				expect(connected).toEqual({ ports: from(first, last), error: "EADDRNOTAVAIL" });
			}
			expect([...new Set(ranges)]).toEqual([range]);
		});

		it("is limited by the namespace's range at the time of each search", () => {
			const { kernel, task } = boot(version, "40000 40007");
			const ranges = watchRanges(kernel);
			const fd = tcp(task, { range: rangeOf(40004, 40011) });
			for (const range of ["40000 40007", "40000 40015", "40006 40009", "50000 50009"]) {
				expect(task.net.setSysctl("net.ipv4.ip_local_port_range", range)).toBe(0);
				expect(connect(task, fd, destination(1))).toBe(-EINPROGRESS);
				expect(task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 })).toBe(0);
			}
			expect(ranges).toEqual(["40004-40007", "40004-40011", "40006-40009", "50000-50009"]);
		});

		it.each([
			[40001, 40000],
			[65535, 1],
			[2, 1],
		])("refuses %i-%i, whose bounds are swapped, and keeps the old value", (low, high) => {
			const { task } = boot(version, "32768 60999");
			const fd = tcp(task, { range: rangeOf(40000, 40511) });
			expect(task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, rangeOf(low, high))).toBe(-EINVAL);
			expect(task.getsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE)).toEqual(u32(rangeOf(40000, 40511)));
		});

		it.each([0, 1, 2, 3, 5, 8])(
			"refuses a value of %i bytes, and keeps the old value",
			(length) => {
				const { task } = boot(version, "32768 60999");
				const fd = tcp(task, { range: rangeOf(40000, 40511) });
				const value = new Uint8Array(8);
				value.set(u32(rangeOf(50000, 50511)));
				expect(task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, value, length)).toBe(-EINVAL);
				expect(task.getsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE)).toEqual(
					u32(rangeOf(40000, 40511)),
				);
			},
		);

		it.each([
			[0, 0],
			[40000, 40511],
			[40000, 0],
			[0, 40511],
			[1, 1],
			[1, 65535],
			[65535, 65535],
			[40000, 40000],
		])("reads back as it was set, whatever the namespace's range is: %i-%i", (low, high) => {
			const { task } = boot(version, "50000 50001");
			const fd = tcp(task);
			expect(task.getsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE)).toEqual(u32(0));
			expect(task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, u32(rangeOf(low, high)))).toBe(0);
			expect(task.getsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE)).toEqual(u32(rangeOf(low, high)));
			// The option is unset again.
			expect(task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, 0)).toBe(0);
			expect(task.getsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE)).toEqual(u32(0));
		});
	});
});
