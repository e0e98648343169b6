// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * `inet-port-model replay`: random programs on stock kernels in virtual machines, with the draws of
 * their port searches recorded, and on the model with these draws. Nothing is random then: every
 * result and every draw is compared.
 */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { KINDS } from "../real/campaign/abilities.js";
import { type Campaign, runCampaign } from "../real/campaign/campaign.js";
import { replayText } from "../real/campaign/replayed.js";
import { DrawRecorder } from "../real/live.js";
import { debianSeries, startMachine } from "../real/vm/machine.js";
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
	tableRow,
	testOf,
	whole,
} from "./campaigns.js";
import { REPORT_OPTIONS, Report, reportHelp } from "./reports.js";
import { log, merge, type Summary } from "./shards.js";
import { Interrupted, parse, readFile, seedOf, styled, UsageError, versionOf } from "./terminal.js";

const HELP = `usage: inet-port-model replay [OPTIONS]
       inet-port-model replay merge [--json] FILE...
       inet-port-model replay sum [--json] FILE...

Boots stock kernels in virtual machines, runs random programs of system calls there, and
records the random draws of the kernel's port searches. Then the model runs the same
programs with these draws. Every result, port, address and option value must be equal. The
draws, their order, and table_perturb after the program must also be equal.

  --kernel LIST    kernels by series, such as 6.1,6.12 (default 6.12); see
                   kernel-model/real/vm/images.sh
  --all            use all series that Debian has, from 6.1 on (images.sh list). The
                   profile of a series that is newer than the model is a guess, and
                   standard error says so
  --image IMAGE    use this kernel instead: a file BZIMAGE[:MODULES]
  --model VERSION  the version to model (default: the version nearest to the kernel's)
  --release NAME   the kernel's release, if uname -r does not tell what was built: a
                   tree that was taken back to another commit, for example
  --ops N          number of calls on each kernel (default 5000)
  --seed S         seed of the programs (default 1)
  --shard I/N      run only the I-th of N shares of the programs and of --ops, from 1.
                   merge joins the --json outputs of all shares
  --from N         begin with program number N; an interrupted campaign names it
  --kinds LIST     use only sockets of these kinds: ${Object.keys(KINDS).join(",")}
  --size N         most operations of a program (default 400)
  --at NUMBER      run one program again; the report of a difference names it
  --save FILE      save the recordings. A recording that differs is the last one. A file
                   that ends in .gz is compressed. inet-port-model run can play it
  --load FILE      play saved recordings without a virtual machine; --model is allowed
  --json           print one JSON object for each kernel
  --log FILE       add these objects to FILE. sum adds up all campaigns of such files
${reportHelp("kernel", 17)}
Exit status: 0 all equal, 1 something differs, 2 bad input or no machine.
`;

const HEADER = ["kernel", "model", "operations", "draws", "searches", "no port", "mismatches", "s"];
const WIDTHS = [10, 10, 12, 10, 10, 10, 11, 8];

function rowOf(done: Summary): string {
	const { kernel, model, operations, draws = 0, searches, exhausted, mismatches, seconds } = done;
	const release = kernel.replace(/[+-].*/, "");
	const cells = [release, model, operations, draws, searches, exhausted, mismatches];
	return tableRow([...cells, Math.round(seconds)], WIDTHS);
}

async function onMachine(
	image: string,
	values: Values,
	kept: string[],
	stopped: () => boolean,
): Promise<{ summary: Summary; done: Campaign }> {
	const seed = seedOf(values.seed);
	const shard = shardOf(String(values.shard));
	const from = whole("from", values.from, 0);
	const began = Date.now();
	const agent = await startMachine(image);
	if (values.release !== undefined) agent.hello.release = String(values.release);
	const { release } = agent.hello;
	const show = progressLine(`${release}: `);
	try {
		const model = versionOf(String(values.model), release);
		let draws = 0;
		const done = await runCampaign({
			agent,
			version: model,
			operations: shareOf(whole("ops", values.ops, 1), shard),
			seed,
			shard,
			from,
			stopped,
			size: whole("size", values.size, 4),
			draws: await DrawRecorder.start(agent),
			keep: (recording) => {
				kept.push(recording.text);
				draws += drawsIn(recording.text);
			},
			...(values.kinds === undefined ? {} : { kinds: kindsOf(String(values.kinds)) }),
			...(values.at === undefined ? {} : { only: whole("at", values.at, 0) }),
			progress: ({ operations, shrinking }) => show(shrinking ? SHRINKING : `${operations} calls`),
		});
		const summary = summaryOf(done, {
			kernel: release,
			model,
			seed,
			shard: String(values.shard),
			...(from === 0 ? {} : { from }),
			seconds: (Date.now() - began) / 1000,
			draws,
		});
		return { summary, done };
	} finally {
		agent.end();
		show("");
	}
}

/** Plays saved recordings. */
function loaded(file: string, model: string): { summary: Summary; mismatches: string[] } {
	const text = readFile(file);
	const began = Date.now();
	const versions = new Map<string, string>();
	/** The version for a kernel; what is said of it is said once. */
	const versionFor = (release: string): string => {
		const version = versions.get(release) ?? versionOf(model, release);
		versions.set(release, version);
		return version;
	};
	const done = replayText(text, file, versionFor);
	const { release, programs, operations, ignored, draws, searches, exhausted, mismatches } = done;
	const summary: Summary = {
		kernel: release,
		model: versionFor(release),
		seed: null,
		shard: "1/1",
		operations,
		ignored,
		draws,
		searches,
		exhausted,
		programs,
		mismatches: mismatches.length,
		seconds: (Date.now() - began) / 1000,
		differences: [],
	};
	return { summary, mismatches };
}

function drawsIn(text: string): number {
	return text.match(/^# draw /gm)?.length ?? 0;
}

/** `replay merge`: joins the JSON outputs of shards. */
function mergeShards(args: string[]): number {
	const { values, positionals: files } = parse(args, {
		json: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (files.length === 0) throw new UsageError("replay merge: expected files of replay --json");
	const merged = merge("replay", files);
	if (values.json !== true) process.stdout.write(`${tableRow(HEADER, WIDTHS)}\n`);
	for (const { total } of merged) {
		const lines = [values.json === true ? JSON.stringify(total) : rowOf(total)];
		if (values.json !== true)
			for (const { at, reason } of total.differences)
				lines.push(styled("31", `DIFFERS: program ${at} at ${reason}`));
		process.stdout.write(`${lines.join("\n")}\n`);
	}
	return mergedStatus("replay", merged);
}

/** The options of `replay`. */
const OPTIONS = {
	kernel: { type: "string", default: "6.12" },
	all: { type: "boolean", default: false },
	image: { type: "string" },
	model: { type: "string", default: "running" },
	release: { type: "string" },
	ops: { type: "string", default: "5000" },
	seed: { type: "string", default: "1" },
	kinds: { type: "string" },
	size: { type: "string", default: "400" },
	shard: { type: "string", default: "1/1" },
	from: { type: "string", default: "0" },
	at: { type: "string" },
	...REPORT_OPTIONS,
	save: { type: "string" },
	load: { type: "string" },
	log: { type: "string" },
	json: { type: "boolean", default: false },
	help: { type: "boolean", default: false },
} as const;

type Values = Record<string, unknown>;

export async function replay(args: string[]): Promise<number> {
	if (args[0] === "merge") return mergeShards(args.slice(1));
	if (args[0] === "sum") return sumLogs("replay", HELP, args.slice(1));
	const { values, positionals } = parse(args, OPTIONS);
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length > 0) throw new UsageError(`replay: unexpected ${positionals[0]}`);
	check(values);
	const tests = new Report("replay", values);
	if (values.json !== true && !tests.tap) process.stdout.write(`${tableRow(HEADER, WIDTHS)}\n`);
	if (values.load !== undefined) return replayLoaded(values, tests);
	return replayImages(values, tests);
}

/** Throws UsageError for a wrong option, before a machine is booted. */
function check(values: Values): void {
	seedOf(values.seed);
	whole("ops", values.ops, 1);
	shardOf(String(values.shard));
	whole("from", values.from, 0);
	whole("size", values.size, 4);
	if (values.kinds !== undefined) kindsOf(String(values.kinds));
	if (values.release !== undefined && !/^[0-9]+\.[0-9]+[!-~]*$/.test(String(values.release)))
		throw new UsageError(`--release: expected a release such as 6.3.8, found ${values.release}`);
}

/** Prints the row or the object of a kernel. */
function print(summary: Summary, values: Values, tests: Report): void {
	if (tests.tap) return;
	const line = values.json === true ? JSON.stringify(summary) : rowOf(summary);
	process.stdout.write(`${line}\n`);
}

/** Plays saved recordings, and prints how they differ. Returns the exit status. */
function replayLoaded(values: Values, tests: Report): number {
	const { summary, mismatches } = loaded(String(values.load), String(values.model));
	print(summary, values, tests);
	tests.begin("replay", 1);
	const verdict = mismatches.length > 0 ? ("failed" as const) : ("passed" as const);
	const name = `${values.load}: kernel ${summary.kernel}, model ${summary.model}`;
	const [reason = ""] = mismatches;
	tests.add({ name, verdict, reason, details: mismatches, seconds: summary.seconds });
	tests.end();
	for (const text of mismatches.slice(0, 10)) process.stderr.write(`${styled("31", text)}\n`);
	return mismatches.length > 0 ? 1 : 0;
}

/** The images of the kernels to ask. */
function imagesOf(values: Values): string[] {
	if (values.all === true) return debianSeries();
	return values.image === undefined ? String(values.kernel).split(",") : [String(values.image)];
}

/**
 * Runs the programs on one kernel after the other, and prints how they differ. Returns the exit
 * status.
 */
async function replayImages(values: Values, tests: Report): Promise<number> {
	const seed = seedOf(values.seed);
	const images = imagesOf(values);
	const kept: string[] = [];
	let failed = false;
	let stop: string | null = null;
	const interrupted = interruptions();
	tests.begin("replay", images.length);
	for (const image of images) {
		const { summary, done } = await onMachine(image, values, kept, interrupted.seen);
		const { difference } = done;
		print(summary, values, tests);
		if (values.log !== undefined) log(String(values.log), summary);
		const again = `inet-port-model replay --kernel ${image} --seed ${seed} --at ${difference?.number}`;
		tests.add(testOf(summary, difference, again));
		if (done.interrupted) {
			const [shard, ops] = [shardOf(String(values.shard)), whole("ops", values.ops, 1)];
			stop = stopText(`replay --kernel ${image} ...`, done, seed, shard, ops);
			break;
		}
		if (difference === null) continue;
		failed = true;
		const live = "inet-port-model live --draws --image on this script, saved as FILE";
		const text = differenceText(difference, again, live);
		const aside = values.json === true || tests.tap;
		(aside ? process.stderr : process.stdout).write(`${text}\n`);
		kept.push(difference.original.text);
	}
	interrupted.end();
	tests.end(stop);
	if (values.save !== undefined) save(String(values.save), kept.join(""));
	if (stop !== null) throw new Interrupted(stop);
	return failed ? 1 : 0;
}

/** Saves recordings, compressed if the name of the file ends in .gz. */
function save(file: string, text: string): void {
	writeFileSync(file, file.endsWith(".gz") ? gzipSync(text, { level: 9 }) : text);
}
