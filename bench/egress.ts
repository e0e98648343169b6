// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures a day of a host that makes short connections: `npm run bench -- --only egress`. It makes
 * ten million connections from 4 addresses to 10,000 destinations and closes each at once. A server
 * on this host answers for every destination, because only then do connections end as usual. On the
 * virtual clock this takes a day, so some thousand time-wait sockets exist at each moment. Shorter
 * parts of the day come first, to show how time and memory grow. `--json` prints an object a line.
 */
import * as model from "../kernel-model/index.js";
import { output } from "./output.js";

const ADDRESSES = 4;
const DESTINATIONS = 10_000;
const DAY_MS = 86_400_000;
const PER_DAY = 10_000_000;

const out = output(process.argv.includes("--json"));

function egress(connections: number) {
	const kernel = new model.Kernel();
	const net = kernel.createNet();
	const from = Array.from({ length: ADDRESSES }, (_, n) => `127.0.0.${10 + n}`);
	const task = kernel.createTask({ net });
	const server = task.tcp();
	task.bind(server, { family: "AF_INET", address: "0.0.0.0", port: 443 });
	task.listen(server, 16);
	const random = new model.SeededRandom(1);
	const began = process.hrtime.bigint();
	for (let n = 0; n < connections; n++) {
		const fd = task.socket(model.AF_INET, model.SOCK_STREAM, 0);
		task.setsockopt(fd, model.SOL_IP, model.IP_BIND_ADDRESS_NO_PORT, 1);
		task.bind(fd, { family: "AF_INET", address: from[n % ADDRESSES], port: 0 });
		const to = random.get_random_u32() % DESTINATIONS;
		const address = `127.1.${to >> 8}.${to & 0xff}`;
		const result = task.connect(fd, { family: "AF_INET", address, port: 443 });
		if (result !== 0) throw new Error(`connect: ${result}`);
		task.close(fd);
		task.close(task.accept4(server, 0, undefined, true));
		kernel.advance(DAY_MS / PER_DAY);
	}
	const seconds = Number(process.hrtime.bigint() - began) / 1e9;
	const { sock, socket, file, timers, tcp_hashinfo: hinfo } = kernel;
	const tables = [sock, socket, file, timers, hinfo];
	const slabs = [...tables, hinfo.bind_bucket_cachep, hinfo.bind2_bucket_cachep];
	const bytes = slabs.reduce((sum, table) => sum + table.byteLength, 0);
	return {
		connections,
		seconds,
		nsEach: (seconds * 1e9) / connections,
		timeWait: net.net.tw_count,
		tableBytes: bytes,
		residentBytes: process.memoryUsage().rss,
	};
}

if (!out.json) {
	out.print(
		"Short connections from 4 addresses to 10000 destinations, ten million a day\n\n" +
			"connections  seconds  ns each  in TIME_WAIT  tables, MiB  process, MiB\n",
	);
}
const most = Number(process.argv.find((argument) => /^[0-9]+$/.test(argument)) ?? PER_DAY);
for (const connections of [100_000, 1_000_000, PER_DAY]) {
	if (connections > most) continue;
	out.progress(`egress: ${connections} connections`);
	const figures = egress(connections);
	if (out.json) {
		out.print(`${JSON.stringify({ case: "egress", ...figures })}\n`);
		continue;
	}
	const { seconds, nsEach, timeWait, tableBytes, residentBytes } = figures;
	const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
	out.print(
		`${String(connections).padStart(11)}${seconds.toFixed(1).padStart(9)}${nsEach.toFixed(0).padStart(9)}` +
			`${String(timeWait).padStart(14)}${mebibytes(tableBytes).padStart(13)}${mebibytes(residentBytes).padStart(14)}\n`,
	);
}
