// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model fuzz`: a campaign of random programs, on a real kernel and on the model. */
import { release } from "node:os";
import { KINDS, WITHOUT } from "../real/campaign/abilities.js";
import { type Campaign, runCampaign } from "../real/campaign/campaign.js";
import { startAgent } from "../real/vm/machine.js";
import {
	differenceText,
	interruptions,
	kindsOf,
	mergedStatus,
	progressLine,
	SHRINKING,
	shardOf,
	shareOf,
	stopText,
	sumLogs,
	summaryOf,
	testOf,
	whole,
	withoutOf,
} from "./campaigns.js";
import { REPORT_OPTIONS, Report, reportHelp } from "./reports.js";
import { log, merge, type Summary } from "./shards.js";
import { Interrupted, parse, seedOf, styled, UsageError, versionOf } from "./terminal.js";

const HELP = `usage: inet-port-model fuzz [OPTIONS]
       inet-port-model fuzz merge [--json] [--coverage] FILE...
       inet-port-model fuzz sum [--json] FILE...

Runs random programs of system calls on the running kernel, each in a new user and network
namespace, and on the model. If a program differs, makes it as small as possible and prints
it as a script. inet-port-model live can play this script.

  --ops N           number of calls (default 50000)
  --seed S          seed of the programs (default 1)
  --shard I/N       run only the I-th of N shares of the programs and of --ops, from 1.
                    merge joins the --json outputs of all shares
  --from N          begin with program number N; an interrupted campaign names it
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
  --log FILE        add this object to FILE, without its counts by name. sum adds up all
                    campaigns of such files
  --coverage        list every result that occurred
${reportHelp("campaign", 18)}
Exit status: 0 no difference, 1 a difference, 2 bad input or no agent.
`;

function report(summary: Summary, all: boolean): string[] {
	const { kernel, model, operations, programs, mismatches, ignored, searches, exhausted } = summary;
	const answers = Object.entries(summary.answers ?? {});
	const errors = answers.filter(([name]) => name.includes(" "));
	const differ = mismatches === 1 ? "a difference" : `${mismatches} differ`;
	const named = (numbers: Record<string, number> = {}) =>
		Object.entries(numbers)
			.map(([name, n]) => `${name} ${n}`)
			.join(", ");
	const lines = [
		`kernel ${kernel}, model ${model}: ${operations} calls in ${programs} programs, ${differ}, ${ignored} left out by the model`,
		`answers: ${answers.length} kinds, ${errors.length} of them errors`,
		`searches: ${searches}, ${exhausted} found no port`,
		`candidates passed over: ${named(summary.skipped)}`,
		`ports asked for and refused: ${named(summary.refused)}`,
	];
	if (all) for (const [name, n] of answers) lines.push(`  ${String(n).padStart(8)} ${name}`);
	return [...lines, `${summary.seconds.toFixed(1)} s, seed ${summary.seed}`];
}

/** `fuzz merge`: joins the JSON outputs of shards. */
function mergeShards(args: string[]): number {
	const { values, positionals: files } = parse(args, {
		json: { type: "boolean", default: false },
		coverage: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (files.length === 0) throw new UsageError("fuzz merge: expected files of fuzz --json");
	const merged = merge("fuzz", files);
	for (const { total } of merged) {
		const lines = report(total, values.coverage === true);
		for (const { at, reason } of total.differences)
			lines.push(styled("31", `DIFFERS: program ${at} at ${reason}`));
		process.stdout.write(`${values.json === true ? JSON.stringify(total) : lines.join("\n")}\n`);
	}
	return mergedStatus("fuzz", merged);
}

/** The options of `fuzz`. */
const OPTIONS = {
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
	from: { type: "string", default: "0" },
	at: { type: "string" },
	...REPORT_OPTIONS,
	"no-shrink": { type: "boolean", default: false },
	json: { type: "boolean", default: false },
	log: { type: "string" },
	coverage: { type: "boolean", default: false },
	help: { type: "boolean", default: false },
} as const;

type Values = Record<string, unknown>;

/** The options that a campaign takes, checked. Throws UsageError. */
function campaignOf(values: Values) {
	const ops = whole("ops", values.ops, 1);
	const from = whole("from", values.from, 0);
	const size = whole("size", values.size, 4);
	const seed = seedOf(values.seed);
	const shard = shardOf(String(values.shard));
	const kinds = values.kinds === undefined ? {} : { kinds: kindsOf(String(values.kinds)) };
	const without = values.without === undefined ? [] : withoutOf(String(values.without));
	const at = values.at === undefined ? {} : { only: whole("at", values.at, 0) };
	const shrink = values["no-shrink"] !== true;
	const operations = shareOf(ops, shard);
	return {
		ops,
		options: { operations, seed, shard, from, size, shrink, without, ...kinds, ...at },
	};
}

export async function fuzz(args: string[]): Promise<number> {
	if (args[0] === "merge") return mergeShards(args.slice(1));
	if (args[0] === "sum") return sumLogs("fuzz", HELP, args.slice(1));
	const { values, positionals } = parse(args, OPTIONS);
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length > 0) throw new UsageError(`fuzz: unexpected ${positionals[0]}`);
	const { ops, options } = campaignOf(values);
	if ([values.agent, values.image, values.system].every((value) => value === undefined))
		versionOf(String(values.kernel), release());
	const tests = new Report("fuzz", values);
	const agent = await startAgent(values.agent, values.image, values.system);
	const began = Date.now();
	const interrupted = interruptions();
	const show = progressLine();
	try {
		const version = versionOf(String(values.kernel), agent.hello.models);
		const done = await runCampaign({
			...options,
			agent,
			version,
			stopped: interrupted.seen,
			progress: ({ operations: calls, programs, shrinking }) => {
				const rate = Math.round(calls / ((Date.now() - began) / 1000));
				show(shrinking ? SHRINKING : `${calls} calls, ${programs} programs, ${rate} calls/s`);
			},
		});
		show("");
		const { seed, shard, from } = options;
		const summary = summaryOf(done, {
			kernel: agent.hello.name,
			model: version,
			seed,
			shard: String(values.shard),
			...(from === 0 ? {} : { from }),
			seconds: (Date.now() - began) / 1000,
		});
		return tell(done, summary, values, tests, stopText("fuzz ...", done, seed, shard, ops));
	} finally {
		interrupted.end();
		agent.end();
	}
}

/**
 * Prints what a campaign found. Returns the exit status. Throws Interrupted with `stop` if the
 * campaign was interrupted.
 */
function tell(
	done: Campaign,
	summary: Summary,
	values: Values,
	tests: Report,
	stop: string,
): number {
	const { difference } = done;
	const again = `inet-port-model fuzz --seed ${summary.seed} --at ${difference?.number}`;
	tests.begin(`fuzz ${summary.kernel}`, 1);
	tests.add(testOf(summary, difference, again));
	tests.end(done.interrupted ? stop : null);
	if (values.log !== undefined) log(String(values.log), summary);
	if (values.json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
	else if (!tests.tap) {
		const lines = report(summary, values.coverage === true);
		process.stdout.write(`${lines.join("\n")}\n`);
	}
	if (done.interrupted) throw new Interrupted(stop);
	if (difference === null) return 0;
	if (values.json === true || tests.tap) return 1;
	const live = "inet-port-model live on this script, saved as FILE";
	process.stdout.write(`\n${differenceText(difference, again, live)}`);
	return 1;
}
