// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Measures how good a campaign is: makes copies of the model with one deliberate fault each, and
 * counts the calls until a copy differs from the running kernel. Exit status 1 if a copy does not
 * differ. --check only checks that the code that each fault replaces is there. --laws puts the
 * laws to each copy instead: a copy is found if it has a cause that the catalogue does not have.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The replaced code, and its replacement. It must occur `times` times, once if not given. */
interface Edit {
	/** The file, if it is another one than that of the fault. */
	file?: string;
	from: string;
	to: string;
	times?: number;
}

interface Fault extends Edit {
	name: string;
	file: string;
	/** The same fault in the fast scans. */
	fast?: readonly Edit[];
}

const csk = "net/ipv4/inet_connection_sock.js";
const hashtables = "net/ipv4/inet_hashtables.js";
const refused = "include/net/refused_ports.js";
const FAULTS: readonly Fault[] = [
	{
		name: "range clamp: a bound below the namespace's counts",
		file: csk,
		from: "if (lo <= sk_lo && sk_lo <= hi)",
		to: "if (sk_lo !== 0 && sk_lo <= hi)",
	},
	{
		name: "parity: bind() begins with even ports",
		file: csk,
		from: "offset |= 1;",
		to: "offset &= ~1;",
	},
	{
		name: "parity: connect() begins with odd ports",
		file: hashtables,
		from: "offset &= ~1;",
		to: "offset |= 1;",
	},
	{
		name: "fastreuse: a socket without SO_REUSEPORT leaves fastreuseport",
		file: csk,
		from: "else {\n            T.fastreuseport[tb] = 0;",
		to: "else {",
	},
	{
		name: "fastreuse: the bucket counts as reusable whatever it says",
		file: csk,
		from: "T.fastreuse[tb] > 0 && reuse",
		to: "reuse",
	},
	{
		name: "reuseport: sockets of two users share",
		file: csk,
		from: "(S.skc_state[sk2] !== TCP_TIME_WAIT && sk_uid !== sock_i_uid(k, sk2))",
		to: "false",
	},
	{
		name: "address comparison: a wildcard meets itself alone",
		file: csk,
		from: "(match_sk2_wildcard && sk2_rcv_saddr === INADDR_ANY)",
		to: "false",
	},
	{
		name: "time-wait: never reused",
		file: "net/ipv4/tcp_ipv4.js",
		from: "if (S.ts_recent_stamp[sktw] === 0)",
		to: "if (S.ts_recent_stamp[sktw] !== -1)",
	},
	{
		name: "reserved ports: connect() takes them",
		file: hashtables,
		// Kernels of both sides of connect-lookup-without-lock have it.
		from: "if (inet_is_local_reserved_port(net, port))",
		to: "if (false)",
		times: 2,
		fast: [
			{ from: "if ((reserved[port >>> 5] & (1 << (port & 31))) !== 0)", to: "if (false)" },
			{
				file: refused,
				from: "if ((reserved[candidate >>> 5] & (1 << (candidate & 31))) === 0)",
				to: "if (true)",
			},
		],
	},
	{
		name: "reserved ports: UDP takes them",
		file: "net/ipv4/udp.js",
		from: "!inet_is_local_reserved_port(net, snum)",
		to: "true",
		fast: [
			{ from: "if ((reserved[port >>> 5] & (1 << (port & 31))) === 0)", to: "if (true)" },
			{ file: refused, from: "(reserved[port >>> 5] & (1 << (port & 31))) === 0", to: "true" },
		],
	},
];

const dist = fileURLToPath(new URL("../../", import.meta.url));
const operations = process.argv[2] ?? "400000";
const byLaws = operations === "--laws";
let missed = 0;
/** The texts of the files with a fault. Throws an error if the replaced code is not there. */
function faulty({ name, fast = [], ...fault }: Fault): Map<string, string> {
	const texts = new Map<string, string>();
	for (const { file = fault.file, from, to, times = 1 } of [fault, ...fast]) {
		const text = texts.get(file) ?? readFileSync(join(dist, file), "utf8");
		const found = text.split(from).length - 1;
		if (found !== times)
			throw new Error(`${name}: ${file} has ${found} times, not ${times}: ${from}`);
		texts.set(file, text.replaceAll(from, to));
	}
	return texts;
}

for (const fault of FAULTS) faulty(fault);
for (const fault of operations === "--check" ? [] : FAULTS) {
	const { name } = fault;
	const copy = mkdtempSync(join(tmpdir(), "faults-"));
	try {
		cpSync(dist, join(copy, "dist"), { recursive: true });
		cpSync(join(dist, "../kernel-model/real/agent"), join(copy, "kernel-model/real/agent"), {
			recursive: true,
		});
		cpSync(join(dist, "../package.json"), join(copy, "package.json"));
		symlinkSync(join(dist, "../node_modules"), join(copy, "node_modules"));
		const catalogue = "kernel-model/laws/CATALOGUE.md";
		cpSync(join(dist, "..", catalogue), join(copy, catalogue));
		for (const [file, text] of faulty(fault)) writeFileSync(join(copy, "dist", file), text);
		const seen = byLaws ? laws(copy) : fuzz(copy);
		if (!seen.found) missed++;
		process.stdout.write(`${name.padEnd(58)} ${seen.verdict}\n`);
	} finally {
		rmSync(copy, { recursive: true, force: true });
	}
}
process.exitCode = missed > 0 ? 1 : 0;

/** Runs a program of a copy and returns the lines of its output. */
function run(copy: string, args: readonly string[]): string[] {
	const { stdout } = spawnSync(
		process.execPath,
		[join(copy, "dist", args[0] ?? ""), ...args.slice(1)],
		{
			encoding: "utf8",
			stdio: ["ignore", "pipe", "ignore"],
		},
	);
	return stdout.split("\n").filter((line) => line !== "");
}

function fuzz(copy: string): { found: boolean; verdict: string } {
	const program = "kernel-model/cli/main.js";
	const [line] = run(copy, [
		program,
		"fuzz",
		"--ops",
		operations,
		"--seed",
		"1",
		"--no-shrink",
		"--json",
	]);
	const result = line === undefined ? null : JSON.parse(line);
	const found = result?.mismatches === 1;
	const [n, s] = [result?.operations ?? 0, result?.seconds ?? 0];
	const verdict = found ? `found after ${n} calls, ${s.toFixed(1)} s` : `NOT FOUND in ${n} calls`;
	return { found, verdict };
}

function laws(copy: string): { found: boolean; verdict: string } {
	const program = "kernel-model/cli/main.js";
	const lines = run(copy, [program, "laws", "--kernel", "6.12", "--json"]);
	const objects = lines.map((line) => JSON.parse(line));
	const fresh = objects.filter((object) => object.new === true);
	const { run: programs = 0, seconds = 0 } = objects.at(-1) ?? {};
	const what = [...new Set(fresh.flatMap((cause) => cause.laws))].join(", ");
	const after = `${programs} programs, ${seconds} s`;
	const found = fresh.length > 0;
	return { found, verdict: found ? `breaks ${what}; ${after}` : `BREAKS NO LAW; ${after}` };
}
