// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Runs the searches of search.c, which is C, over the same tables as the model. The model makes the
 * tables, so the two differ only in the language. Their ports are compared.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KernelDraws } from "../../include/net/draws.js";
import * as model from "../../kernel-model/index.js";
import { parseIpv4 } from "../../kernel-model/machine/address.js";
import {
	attempt,
	HOST,
	hostTask,
	LOW,
	openSocket,
	PEER,
	PORTS,
	type Workload,
} from "../workload.js";

/** The C program cannot be compiled or run. The message is one line. */
export class NativeError extends Error {}

/** A column, and what it is called in search.c. */
type Column = readonly [name: string, values: ArrayBufferView & { readonly length: number }];

/** Calls of one case: the tables before them, and the ports that the model chose. 0: none. */
interface NativeCase {
	tables: Buffer;
	ports: number[];
}

/** Calls that are timed together. search.c has the same number. */
export const TOGETHER = 50;

/** Nanoseconds of each round, and the lowest of the first TOGETHER calls, the next ones, and so on. */
interface NativeTimes {
	times: number[];
	lowest: number[];
}

/** Bytes of a column's name in the file. */
const NAME = 40;

function serialize(columns: readonly Column[]): Buffer {
	const parts = columns.flatMap(([name, values]) => {
		const header = Buffer.alloc(NAME + 8);
		header.write(name);
		header.writeUInt32LE(values.byteLength / values.length, NAME);
		header.writeUInt32LE(values.length, NAME + 4);
		const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
		return [header, bytes, Buffer.alloc(-bytes.length & 7)];
	});
	return Buffer.concat(parts);
}

/** Keeps the draws of the searches. */
class KeptDraws extends KernelDraws {
	readonly kept: number[] = [];

	private keep(draw: number): number {
		this.kept.push(draw);
		return draw;
	}
	override bindOffset(sk: number, low: number, high: number, remaining: number): number {
		return this.keep(super.bindOffset(sk, low, high, remaining));
	}
	override connectOffset(...args: Parameters<KernelDraws["connectOffset"]>): number {
		return this.keep(super.connectOffset(...args));
	}
	override udpRand(): number {
		return this.keep(super.udpRand());
	}
}

/** The columns of a slab with `more` rows of zeros at the end, copied. */
function columnsOf(prefix: string, slab: model.Kernel["sock"] | object, more: number): Column[] {
	const { capacity } = slab as { capacity: number };
	const fields = Object.entries(slab).filter(
		(field): field is [string, Int32Array] =>
			ArrayBuffer.isView(field[1]) && (field[1] as Int32Array).length === capacity,
	);
	return fields.map(([name, values]) => {
		const longer = new (values.constructor as new (length: number) => Int32Array)(capacity + more);
		longer.set(values);
		return [`${prefix}.${name}`, longer];
	});
}

/** The tables of a kernel as they are now, with room for `more` buckets. */
function tablesOf({ kernel, net }: model.Task, more: number): Column[] {
	const { tcp_hashinfo: hinfo, udp_table } = kernel;
	const heads = Object.entries({
		bhash: hinfo.bhash,
		bhash2: hinfo.bhash2,
		ehash: hinfo.ehash,
		"udp.hash": udp_table.hash,
		"udp.hash2": udp_table.hash2,
		"udp.count": udp_table.count,
		"udp.count2": udp_table.count2,
		reserved: net.net.ipv4.sysctl_local_reserved_ports,
	}).map(([name, values]): Column => [name, (values as Int32Array).slice()]);
	return [
		...columnsOf("sk", kernel.sock, 0),
		...columnsOf("file", kernel.file, 0),
		...columnsOf("socket", kernel.socket, 0),
		...columnsOf("tb", hinfo.bind_bucket_cachep, more),
		...columnsOf("tb2", hinfo.bind2_bucket_cachep, more),
		...numbers({
			"tb.limit": hinfo.bind_bucket_cachep.limit,
			"tb2.limit": hinfo.bind2_bucket_cachep.limit,
		}),
		...heads,
	];
}

const numbers = (values: Readonly<Record<string, number>>): Column[] =>
	Object.entries(values).map(([name, value]) => [name, Uint32Array.of(value)]);

/**
 * Fills a range of `ports` ports on the model, then searches it once more. Returns both as cases for
 * the C program.
 */
export function nativeCases(
	workload: Workload,
	ports = PORTS,
): Record<"fill" | "exhausted", NativeCase> {
	const task = hostTask(model, ports);
	const { kernel } = task;
	const draws = new KeptDraws(kernel);
	kernel.draws = draws;
	const calls = (count: number): NativeCase => {
		draws.kept.length = 0;
		const fds = Array.from({ length: count }, () => openSocket(workload, task));
		const socks = fds.map((fd) => kernel.socket.sk[task.socketOf(fd)]);
		const files = Array.from({ length: Math.max(...fds) + 1 }, (_, fd) => task.fileOf(fd));
		const tables = tablesOf(task, count);
		for (const fd of fds) attempt(workload, task, fd);
		const { net } = task.net;
		// The first connection draws the secret.
		const settings = numbers({
			bhash_mask: kernel.tcp_hashinfo.bhash_size - 1,
			ehash_mask: kernel.tcp_hashinfo.ehash_mask,
			"udp.mask": kernel.udp_table.mask,
			"udp.log": kernel.udp_table.log,
			hash_mix: net.hash_mix,
			net: net.id,
			ehash_initval: (kernel.inet_ehash_secret ?? 0) + net.hash_mix,
			low: LOW,
			high: LOW + ports - 1,
			host: parseIpv4(HOST) ?? 0,
			peer: parseIpv4(PEER.address) ?? 0,
			peer_port: PEER.port,
			calls: count,
		});
		const { routes } = net;
		const columns: Column[] = [
			...tables,
			...settings,
			["fds", Uint32Array.from(fds)],
			["descriptors", Int32Array.from(files)],
			[
				"routes",
				Uint32Array.of(
					routes.length,
					...routes.flatMap(({ dst, plen, type }) => [dst, plen, type]),
				),
			],
			["draws", Uint32Array.from(draws.kept)],
		];
		return {
			tables: serialize(columns),
			ports: socks.map((sk) => kernel.sock.skc_num[sk]),
		};
	};
	return { fill: calls(ports), exhausted: calls(1) };
}

/** The path of search.c: beside this file, or in the sources if this file is in dist/. */
function sourceFile(): string {
	for (const path of ["./search.c", "../../../bench/native/search.c"]) {
		const file = fileURLToPath(new URL(path, import.meta.url));
		if (existsSync(file)) return file;
	}
	throw new NativeError("search.c: not found beside the program");
}

/** The compiled program, in a folder of its own. */
export class NativeSearch {
	private constructor(
		private readonly folder: string,
		/** Name and version of the compiler. */
		readonly compiler: string,
	) {}

	/** Throws NativeError if there is no C compiler. */
	static compile(): NativeSearch {
		const source = sourceFile();
		const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
		const compiler = process.env.CC ?? "cc";
		const args = ["-O2", "-o", join(folder, "search"), source];
		const made = spawnSync(compiler, args, { encoding: "utf8" });
		if (made.status === 0) {
			const { stdout } = spawnSync(compiler, ["-dumpversion"], { encoding: "utf8" });
			return new NativeSearch(folder, `${compiler} ${stdout.trim()}`);
		}
		rmSync(folder, { recursive: true });
		if (made.error !== undefined) throw new NativeError(`there is no ${compiler}`);
		throw new NativeError(`${compiler} cannot compile search.c: ${made.stderr.split("\n")[0]}`);
	}

	/**
	 * Times a case, ns. Every round begins with the same tables. "walk": the search
	 * looks at each port in the tables. "remember": as the model, it passes over ports that an
	 * earlier search of the round refused. Throws NativeError
	 * if the program fails, Error if it chooses other ports than the model.
	 */
	run(
		workload: Workload,
		kind: "fill" | "exhausted",
		{ tables, ports }: NativeCase,
		rounds: number,
		how: "walk" | "remember" = "walk",
	): NativeTimes {
		const file = join(this.folder, "tables");
		writeFileSync(file, tables);
		const args = [file, workload.name, kind, `${rounds}`, how];
		const ran = spawnSync(join(this.folder, "search"), args, { encoding: "utf8" });
		if (ran.status !== 0) throw new NativeError(ran.stderr.trim() || `search: ${ran.signal}`);
		const [chosen, times, lowest] = ran.stdout
			.split("\n")
			.map((line) => line.split(" ").map(Number));
		const other = ports.findIndex((port, n) => port !== chosen[n]);
		if (other >= 0) {
			const call = `${workload.name}, call ${other + 1}`;
			throw new Error(`${call}: the model chose port ${ports[other]}, C chose ${chosen[other]}`);
		}
		return { times, lowest };
	}

	/** Removes the program and its files. */
	end(): void {
		rmSync(this.folder, { recursive: true });
	}
}
