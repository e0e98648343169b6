// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model fuzz`: a campaign of random programs, on a real kernel and on the model. */
import { release } from "node:os";
import { type Campaign, runCampaign } from "../real/campaign/campaign.js";
import { KINDS, WITHOUT } from "../real/campaign/program.js";
import { startAgent } from "../real/vm/machine.js";
import { kindsOf, progressLine, SHRINKING, shardOf, whole, withoutOf } from "./campaigns.js";
import { parse, seedOf, styled, UsageError, versionOf } from "./terminal.js";

const HELP = `usage: inet-port-model fuzz [OPTIONS]

Runs random programs of system calls on the running kernel, each in a new user and network
namespace, and on the model. If a program differs, makes it as small as possible and prints
it as a script. inet-port-model live can play this script.

  --ops N           number of calls (default 50000)
  --seed S          seed of the programs (default 1)
  --shard I/N       run only the I-th of N shares of the programs; I begins at 1
  --kernel VERSION  the version to model (default running: the version of the kernel)
  --agent COMMAND   let this command make the calls, for example on another machine
  --image IMAGE     run on a kernel in a virtual machine: a series such as 6.12 of stock
                    kernels, or a file BZIMAGE[:MODULES]
  --system NAME     run on another system; see live --help. Programs leave out what it lacks
  --without LIST    leave this out of programs: operations, socket options, and
                    ${Object.keys(WITHOUT).join(", ")}
  --kinds LIST      use only sockets of these kinds: ${Object.keys(KINDS).join(",")}
  --size N          most operations of a program (default 400)
  --no-shrink       print the first program that differs without making it smaller
  --at NUMBER       run one program again; the report of a difference names it
  --json            print one JSON object at the end
  --coverage        list every result that occurred

Exit status: 0 no difference, 1 a difference, 2 bad input or no agent.
`;

const VERDICTS = [
	"acceptable",
	"reserved",
	"bucket not shareable by connect",
	"four-tuple in use",
	"four-tuple in time-wait",
	"bind conflict",
	"bind conflict with the wildcard",
];

function sorted(map: ReadonlyMap<string, number>): [string, number][] {
	return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function report(done: Campaign, release: string, version: string, all: boolean): string[] {
	const { coverage, difference } = done;
	const lines: string[] = [];
	const answers = sorted(coverage.answers);
	const errors = answers.filter(([name]) => name.includes(" "));
	lines.push(
		`kernel ${release}, model ${version}: ${done.operations} calls in ${done.programs} programs, ` +
			`${difference === null ? "0 differ" : "a difference"}, ${done.ignored} left out by the model`,
		`answers: ${answers.length} kinds, ${errors.length} of them errors`,
		`searches: ${coverage.searches}, ${coverage.exhausted} found no port`,
	);
	const counted = (counts: number[]) =>
		counts
			.map((n, verdict) => (verdict === 0 ? "" : `${VERDICTS[verdict]} ${n}`))
			.slice(1)
			.join(", ");
	lines.push(`candidates passed over: ${counted(coverage.skipped)}`);
	lines.push(`ports asked for and refused: ${counted(coverage.bound)}`);
	if (all) for (const [name, n] of answers) lines.push(`  ${String(n).padStart(8)} ${name}`);
	return lines;
}

export async function fuzz(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, {
		ops: { type: "string", default: "50000" },
		seed: { type: "string", default: "1" },
		shard: { type: "string", default: "1/1" },
		kernel: { type: "string", default: "running" },
		agent: { type: "string" },
		image: { type: "string" },
		system: { type: "string" },
		without: { type: "string" },
		kinds: { type: "string" },
		size: { type: "string", default: "400" },
		at: { type: "string" },
		"no-shrink": { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		coverage: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length > 0) throw new UsageError(`fuzz: unexpected ${positionals[0]}`);
	const operations = whole("ops", values.ops, 1);
	const size = whole("size", values.size, 4);
	const seed = seedOf(values.seed);
	const shard = shardOf(String(values.shard));
	const kinds = values.kinds === undefined ? {} : { kinds: kindsOf(String(values.kinds)) };
	const without = values.without === undefined ? [] : withoutOf(String(values.without));
	const at = values.at === undefined ? {} : { only: whole("at", values.at, 0) };
	if ([values.agent, values.image, values.system].every((value) => value === undefined))
		versionOf(String(values.kernel), release());
	const agent = await startAgent(values.agent, values.image, values.system);
	const began = Date.now();
	const show = progressLine();
	try {
		const version = versionOf(String(values.kernel), agent.hello.models);
		const done = await runCampaign({
			agent,
			version,
			operations,
			seed,
			shard,
			size,
			shrink: values["no-shrink"] !== true,
			without,
			...kinds,
			...at,
			progress: ({ operations: calls, programs, shrinking }) => {
				const rate = Math.round(calls / ((Date.now() - began) / 1000));
				show(shrinking ? SHRINKING : `${calls} calls, ${programs} programs, ${rate} calls/s`);
			},
		});
		if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
		const seconds = (Date.now() - began) / 1000;
		const { difference, coverage } = done;
		if (values.json === true) {
			const { answers, skipped, bound, searches, exhausted } = coverage;
			const summary = {
				kernel: agent.hello.name,
				model: version,
				seed,
				shard: values.shard,
				operations: done.operations,
				programs: done.programs,
				ignored: done.ignored,
				seconds,
				mismatches: difference === null ? 0 : 1,
				searches,
				exhausted,
				skipped: Object.fromEntries(VERDICTS.map((name, i) => [name, skipped[i]]).slice(1)),
				refused: Object.fromEntries(VERDICTS.map((name, i) => [name, bound[i]]).slice(1)),
				answers: Object.fromEntries(sorted(answers)),
				...(difference === null
					? {}
					: {
							difference: {
								at: difference.number,
								reason: difference.reason,
								script: difference.script,
							},
						}),
			};
			process.stdout.write(`${JSON.stringify(summary)}\n`);
			return difference === null ? 0 : 1;
		}
		const lines = report(done, agent.hello.name, version, values.coverage === true);
		lines.push(`${seconds.toFixed(1)} s, seed ${seed}`);
		process.stdout.write(`${lines.join("\n")}\n`);
		if (difference === null) return 0;
		process.stdout.write(
			[
				"",
				styled("31", `DIFFERS at ${difference.reason}`),
				...difference.explanation.map((line) => `#   ${line}`),
				`# to see it again: inet-port-model fuzz --seed ${seed} --at ${difference.number}`,
				"# or: inet-port-model live on this script",
				...difference.script,
				"# as the kernel answered it:",
				difference.recording.text,
			].join("\n"),
		);
		return 1;
	} finally {
		agent.end();
	}
}
