// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Runs a campaign as `inet-port-model fuzz` does, with the same options, and lists the branches of
 * the ported code that no program reached, by V8's coverage.
 *
 *     node dist/tests/differential/branches.js --ops 100000 --seed 1
 */
import { readFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { fileURLToPath } from "node:url";
import { fuzz } from "../../kernel-model/cli/fuzz.js";
import { runCommand } from "../../kernel-model/cli/terminal.js";

/** Files whose functions choose ports or decide conflicts. */
const FILES = [
	"net/ipv4/inet_hashtables.js",
	"net/ipv4/inet_connection_sock.js",
	"net/ipv4/inet_timewait_sock.js",
	"net/ipv4/af_inet.js",
	"net/ipv4/udp.js",
	"net/ipv6/inet6_hashtables.js",
	"net/ipv6/af_inet6.js",
	"net/core/sock_reuseport.js",
];

/** A function, and the beginnings of its parts that were not reached. */
interface Reach {
	file: string;
	name: string;
	/** Calls of the function. */
	calls: number;
	branches: number;
	missed: { line: number; text: string }[];
}

/** Starts counting. */
async function watchBranches(): Promise<Session> {
	const session = new Session();
	session.connect();
	await session.post("Profiler.enable");
	await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
	return session;
}

/** The coverage since counting began. Lines are those of the compiled files. */
async function branchesOf(session: Session): Promise<Reach[]> {
	const { result } = await session.post("Profiler.takePreciseCoverage");
	const found: Reach[] = [];
	for (const { url, functions } of result) {
		const file = FILES.find((name) => url.endsWith(`/${name}`));
		if (file === undefined) continue;
		const text = readFileSync(fileURLToPath(url), "utf8");
		for (const { functionName, ranges } of functions) {
			if (functionName === "") continue;
			const [whole, ...parts] = ranges;
			const missed = (whole.count === 0 ? [whole] : parts.filter(({ count }) => count === 0)).map(
				({ startOffset, endOffset }) => ({
					line: text.slice(0, startOffset).split("\n").length,
					text: text.slice(startOffset, endOffset).replace(/\s+/g, " ").slice(0, 70),
				}),
			);
			found.push({ file, name: functionName, calls: whole.count, branches: ranges.length, missed });
		}
	}
	return found;
}

/** The list of parts that were never reached. */
function neverReached(reached: readonly Reach[]): string[] {
	const functions = reached.length;
	const called = reached.filter(({ calls }) => calls > 0).length;
	const branches = reached.reduce((sum, { branches: n }) => sum + n, 0);
	const missed = reached.reduce((sum, { missed: m }) => sum + m.length, 0);
	const lines = [
		`functions reached: ${called} of ${functions}; branches: ${branches - missed} of ${branches}; never reached:`,
	];
	for (const { file, name, calls, missed: parts } of reached) {
		if (calls === 0) lines.push(`  ${file} ${name}: never called`);
		else for (const { line, text } of parts) lines.push(`  ${file}:${line} ${name}: ${text}`);
	}
	return lines;
}

await runCommand("branches", async () => {
	const session = await watchBranches();
	const status = await fuzz(process.argv.slice(2));
	const lines = neverReached(await branchesOf(session));
	process.stdout.write(`${lines.join("\n")}\n`);
	return status;
});
