// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures the cost of a snapshot: `npm run bench -- --only snapshot`. The times are medians of
 * taking a snapshot and of restoring it, after one call and without changes. The bytes are those
 * copied for the first snapshot and for one after one more bind(). The tables of hash heads have
 * their usual sizes. They are most of what an empty kernel compares.
 */
import { type Address, Kernel, type Task } from "../kernel-model/index.js";

const ROUNDS = 200;
const PER_DESTINATION = 13_900;
const json = process.argv.includes("--json");

const address = (host: number, port: number): Address => ({
	family: "AF_INET",
	address: `198.51.100.${host}`,
	port,
});

/** A kernel with this many established sockets. */
function populated(sockets: number, small: boolean): Task {
	const tables = small ? { ehash: 1024, bhash: 1024, lhash2: 256, udp: 256 } : {};
	const kernel = new Kernel({ tables });
	const net = kernel.createNet();
	net.addAddress("192.0.2.10/32", "lo");
	net.addRoute({ to: "default", dev: "lo", answer: "accept" });
	const task = kernel.createTask({ net });
	for (let i = 0; i < sockets; i++) {
		const to = address(1 + Math.floor(i / PER_DESTINATION), 53);
		task.connect(task.tcp(), to, undefined, true);
	}
	return task;
}

/** One call that writes to the tables. */
function bind(task: Task): void {
	task.bind(task.tcp(), { family: "AF_INET", address: "127.0.0.1", port: 0 });
}

function median(values: number[]): number {
	return values.sort((a, b) => a - b)[values.length >> 1];
}

function timed(action: () => void): number {
	const began = performance.now();
	action();
	return (performance.now() - began) * 1000;
}

for (const [sockets, small] of [
	[0, true],
	[0, false],
	[1000, false],
	[100_000, false],
] as const) {
	const task = populated(sockets, small);
	const { kernel } = task;
	const first = kernel.snapshot();
	const rounds = sockets > 10_000 ? ROUNDS / 10 : ROUNDS;
	const take: number[] = [];
	const idle: number[] = [];
	const back: number[] = [];
	let copied = 0;
	for (let round = 0; round < rounds; round++) {
		let before = first;
		idle.push(timed(() => (before = kernel.snapshot())));
		bind(task);
		take.push(timed(() => (copied = kernel.snapshot().copied)));
		back.push(timed(() => kernel.restore(before)));
	}
	const figures = {
		sockets,
		tables: small ? "small" : "usual",
		takeUs: Math.round(median(take)),
		idleUs: Math.round(median(idle)),
		restoreUs: Math.round(median(back)),
		firstBytes: first.copied,
		bytes: copied,
	};
	if (json) process.stdout.write(`${JSON.stringify({ case: "snapshot", ...figures })}\n`);
	else {
		process.stdout.write(
			`${sockets} sockets, ${figures.tables} tables: taken in ${figures.takeUs} us (${figures.idleUs} us if nothing changed), ` +
				`restored in ${figures.restoreUs} us; ${copied} bytes copied after one bind(), ${first.copied} at first\n`,
		);
	}
}
