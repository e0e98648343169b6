// SPDX-License-Identifier: GPL-2.0-or-later
/** Snapshots: compares a restored kernel with a kernel that stopped at the snapshot. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	type Address,
	Kernel,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { HOOKS } from "../../kernel-model/machine/kernel.js";

const AF_INET = 2;
const AF_INET6 = 10;
/** [type, protocol] of TCP, UDP, UDP-Lite, MPTCP, SCTP one-to-one and one-to-many, DCCP. */
const KINDS = [
	[1, 6],
	[1, 6],
	[2, 17],
	[2, 136],
	[1, 262],
	[1, 132],
	[5, 132],
	[6, 33],
] as const;

/** One call of a random program: its kind, and numbers that select its arguments. */
type Op = readonly [what: number, who: number, which: number, how: number];

/** A program's own state: what a process would have in its memory. */
interface Program {
	tasks: Task[];
}

function boot(): { kernel: Kernel; program: Program } {
	const tables = { ehash: 64, bhash: 64, lhash2: 16, udp: 256 };
	const kernel = new Kernel({ version: "6.12", seed: 7, tables });
	const net = kernel.createNet();
	net.setSysctl("ip_local_port_range", "40000 40015");
	net.addAddress("192.0.2.10/32", "lo");
	net.addRoute({ to: "default", dev: "lo", answer: "accept" });
	return { kernel, program: { tasks: [kernel.createTask({ net })] } };
}

function name(family: number, how: number): Address {
	const port = [0, 0, 40_000, 40_001, 40_002, 80][how % 6];
	if (family === AF_INET6) {
		return { family: "AF_INET6", address: ["::", "::1", "::ffff:127.0.0.1"][how % 3], port };
	}
	const address = ["0.0.0.0", "127.0.0.1", "192.0.2.10", "198.51.100.1"][how % 4];
	return { family: "AF_INET", address, port };
}

/** Makes one call; the result as text. */
function perform(kernel: Kernel, program: Program, [what, who, which, how]: Op): string {
	const task = program.tasks[who % program.tasks.length];
	const fds = task.socketDescriptors();
	const fd = fds.length === 0 ? -1 : fds[which % fds.length];
	const family = (which & 1) === 0 ? AF_INET : AF_INET6;
	const said = (value: unknown) => JSON.stringify(value);
	switch (what) {
		case 0:
		case 1:
		case 2: {
			const [type, protocol] = KINDS[how % KINDS.length];
			return said(task.socket(family, type | ((how & 1) << 11), protocol));
		}
		case 3:
		case 4:
			return said(task.bind(fd, name(family, how)));
		case 5:
			return said(task.listen(fd, how % 3));
		case 6:
		case 7: {
			const peer = name(family, how);
			const { address } = peer;
			return said(
				task.connect(fd, { ...peer, address: address === "::" ? "::1" : address }, undefined, true),
			);
		}
		case 8:
			return said([task.accept4(fd, 0, {}, true)]);
		case 9:
			return said(task.close(fd));
		case 10:
			return said([task.send(fd, how, true), task.recv(fd, how, true)]);
		case 11:
			return said(task.setsockopt(fd, SOL_SOCKET, [SO_REUSEADDR, SO_REUSEPORT][how & 1], 1));
		case 12:
			return said(
				task.setsockopt(fd, SOL_SOCKET, SO_LINGER, new Uint8Array([how & 1, 0, 0, 0, 0, 0, 0, 0])),
			);
		case 13:
			kernel.advance(how * 997);
			return "";
		case 14:
			if (program.tasks.length < 4) program.tasks.push(task.fork((how & 1) !== 0));
			return "";
		case 15:
			if (program.tasks.length > 1) {
				program.tasks.splice(program.tasks.indexOf(task), 1);
				task.exit();
			}
			return "";
		case 16:
			if (kernel.nets.length < 3) task.unshareNet();
			task.net.setLink("lo", (how & 1) !== 0);
			return "";
		case 17: {
			const prefix = `192.0.2.${20 + (how % 4)}/32`;
			return said(
				(how & 4) !== 0 ? task.net.addAddress(prefix, "lo") : task.net.delAddress(prefix, "lo"),
			);
		}
		case 18:
			return said(task.net.setSysctl("ip_autobind_reuse", String(how & 1)));
		case 19:
			return said([task.getsockname(fd), task.getpeername(fd)]);
		default:
			return said(task.shutdown(fd, how % 3));
	}
}

function isEmptyTable(value: unknown): boolean {
	if (!ArrayBuffer.isView(value)) return false;
	return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).every((x) => x === 0);
}

/** Fails if two kernels differ in an object or a word. */
function expectAlike(a: object, b: object): void {
	const pairs: [unknown, unknown, string][] = [[a, b, "kernel"]];
	const seen = new Map<unknown, unknown>();
	const differ = (path: string) => expect.fail(`${path} differs`);
	for (let i = 0; i < pairs.length; i++) {
		const [x, y, path] = pairs[i];
		// A table that nobody read yet is the same as one whose chains are all empty.
		if ((x === null && isEmptyTable(y)) || (y === null && isEmptyTable(x))) continue;
		if (typeof x !== "object" || x === null || typeof y !== "object" || y === null) {
			if (!Object.is(x, y) && typeof x !== "function") differ(path);
			continue;
		}
		if (seen.has(x)) {
			if (seen.get(x) !== y) differ(path);
			continue;
		}
		seen.set(x, y);
		if (ArrayBuffer.isView(x) && ArrayBuffer.isView(y)) {
			const bytes = (v: ArrayBufferView) => Buffer.from(v.buffer, v.byteOffset, v.byteLength);
			if (!bytes(x).equals(bytes(y))) differ(path);
			continue;
		}
		if (x instanceof Map || x instanceof Set) {
			const [xs, ys] = [[...x], [...(y as Map<unknown, unknown>)]];
			if (xs.length !== ys.length) differ(path);
			for (const [at, value] of xs.entries()) pairs.push([value, ys[at], `${path}[${at}]`]);
			continue;
		}
		const keys = Object.keys(x).filter((key) => !HOOKS.has(key));
		const others = Object.keys(y).filter((key) => !HOOKS.has(key));
		if (keys.join() !== others.join()) differ(path);
		for (const key of keys) {
			pairs.push([x[key as keyof typeof x], y[key as keyof typeof y], `${path}.${key}`]);
		}
	}
}

const op = fc.tuple(
	fc.integer({ min: 0, max: 20 }),
	fc.nat(3),
	fc.nat(7),
	fc.nat(100),
) as unknown as fc.Arbitrary<Op>;
const ops = (length: number) => fc.array(op, { minLength: 1, maxLength: length });

describe("a snapshot", () => {
	it("restores a kernel that equals a kernel which stopped there", () => {
		fc.assert(
			fc.property(ops(60), ops(60), ops(40), (before, excursion, after) => {
				const [there, straight] = [boot(), boot()];
				for (const each of before) {
					expect(perform(there.kernel, there.program, each)).toBe(
						perform(straight.kernel, straight.program, each),
					);
				}
				const snapshot = there.kernel.snapshot();
				const tasks = [...there.program.tasks];
				const inner: (() => void)[] = [];
				for (const [at, each] of excursion.entries()) {
					perform(there.kernel, there.program, each);
					if (at % 20 === 7) {
						const nested = there.kernel.snapshot();
						inner.push(() => there.kernel.restore(nested));
					}
				}
				for (const back of inner.reverse()) {
					back();
					there.kernel.verify();
				}
				there.kernel.restore(snapshot);
				there.program.tasks = tasks;
				there.kernel.verify();
				expectAlike(there.kernel, straight.kernel);
				for (const each of after) {
					expect(perform(there.kernel, there.program, each)).toBe(
						perform(straight.kernel, straight.program, each),
					);
				}
				there.kernel.restore(snapshot);
				there.kernel.verify();
			}),
			{ seed: 20_260_101, numRuns: 150 },
		);
	});

	it("restores tables that have grown since", () => {
		const { kernel, program } = boot();
		const [task] = program.tasks;
		const snapshot = kernel.snapshot();
		for (let i = 0; i < 2000; i++) task.bind(task.tcp(), name(AF_INET, 1));
		kernel.restore(snapshot);
		kernel.verify();
		expectAlike(kernel, boot().kernel);
	});

	it("copies only what was written since the last snapshot", () => {
		const { kernel, program } = boot();
		for (let i = 0; i < 2000; i++) program.tasks[0].tcp();
		const first = kernel.snapshot().copied;
		program.tasks[0].bind(5, name(AF_INET, 1));
		const second = kernel.snapshot().copied;
		expect(first).toBeGreaterThan(50_000);
		expect(second).toBeLessThan(first / 2);
		expect(kernel.snapshot().copied).toBe(0);
	});
});
