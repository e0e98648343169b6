// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures the cost of a million connections: `npm run bench -- --only scale`. Makes established
 * sockets from one address to about seventy destinations. Then connects to one more destination and
 * closes, so it has few connections. Memory is the size of the tables' arrays in bytes. Time is the
 * median of rounds, per connect().
 *
 * `--json` prints an object a line. `node dist/bench/scale.js --ehash N` sets the size of ehash. A
 * real kernel's ehash grows with its memory.
 */
import { type Address, Kernel, type Task } from "../kernel-model/index.js";

/** Of the 28,232 ports of the default range; half of them are even. */
const PER_DESTINATION = 13_900;
const ROUNDS = 300;
const CALLS = 200;

const argument = (name: string): string | undefined =>
	process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined;
const json = process.argv.includes("--json");
const ehash = Number(argument("--ehash") ?? 262_144);

const address = (host: number, port: number): Address => ({
	family: "AF_INET",
	address: `198.51.100.${host}`,
	port,
});

function connect(task: Task, to: Address): number {
	const fd = task.tcp();
	const result = task.connect(fd, to, undefined, true);
	if (result !== -115 && result !== 0) throw new Error(`connect: ${result}`);
	return fd;
}

/** A kernel with this many established sockets. */
function populated(sockets: number): Task {
	const kernel = new Kernel({ tables: { ehash } });
	const net = kernel.createNet();
	net.addAddress("192.0.2.10/32", "lo");
	net.addRoute({ to: "default", dev: "lo", answer: "accept" });
	const task = kernel.createTask({ net });
	for (let i = 0; i < sockets; i++) {
		connect(task, address(1 + Math.floor(i / PER_DESTINATION), 53));
	}
	return task;
}

/** Bytes by table. */
function tables(task: Task): Record<string, number> {
	const { kernel } = task;
	return {
		socks: kernel.sock.byteLength,
		sockets: kernel.socket.byteLength,
		files: kernel.file.byteLength + task.fdTableSize,
		timers: kernel.timers.byteLength,
		buckets: kernel.tcp_hashinfo.bind_bucket_cachep.byteLength,
		bind2_buckets: kernel.tcp_hashinfo.bind2_bucket_cachep.byteLength,
		hash_heads: kernel.tcp_hashinfo.byteLength + (kernel.table_perturb?.byteLength ?? 0),
	};
}

/** Median time of a connect() to a destination that has only the sockets of this round, ns. */
function connectCost(task: Task): number[] {
	const rounds: number[] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const to = address(200, 53);
		const fds = Array.from({ length: CALLS }, () => task.tcp());
		const begin = process.hrtime.bigint();
		for (const fd of fds) task.connect(fd, to, undefined, true);
		rounds.push(Number(process.hrtime.bigint() - begin) / CALLS);
		for (const fd of fds) task.close(fd);
		task.kernel.advance(120_000);
	}
	return rounds.sort((a, b) => a - b);
}

for (const sockets of [10_000, 1_000_000]) {
	const task = populated(sockets);
	const bytes = tables(task);
	const total = Object.values(bytes).reduce((sum, part) => sum + part, 0);
	const perSocket = total / sockets;
	const rounds = connectCost(task);
	const connectNs = rounds[Math.floor(ROUNDS / 2)];
	if (json) {
		const figures = { sockets, bytes: total, bytesPerSocket: perSocket, connectNs };
		process.stdout.write(`${JSON.stringify({ case: "scale", ...figures })}\n`);
		continue;
	}
	const parts = Object.entries(bytes).map(
		([name, part]) => `${name} ${(part / sockets).toFixed(1)}`,
	);
	process.stdout.write(
		`${sockets} sockets: ${perSocket.toFixed(1)} bytes each\n  ${parts.join(", ")}\n` +
			`  connect to another destination: ${connectNs.toFixed(0)} ns (${rounds[0].toFixed(0)} to ${rounds[ROUNDS - 1].toFixed(0)})\n`,
	);
}
