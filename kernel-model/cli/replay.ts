// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * `inet-port-model replay`: random programs on stock kernels in virtual machines, with the draws of
 * their port searches recorded, and on the model with these draws. Nothing is random then: every
 * result and every draw is compared.
 */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { nth } from "../machine/nth.js";
import { type Difference, runCampaign } from "../real/campaign/campaign.js";
import { KINDS } from "../real/campaign/program.js";
import { replayText } from "../real/campaign/replayed.js";
import { DrawRecorder } from "../real/live.js";
import { SERIES, startMachine } from "../real/vm/machine.js";
import { kindsOf, progressLine, SHRINKING, whole } from "./campaigns.js";
import { parse, readFile, seedOf, styled, UsageError, versionOf } from "./terminal.js";

const HELP = `usage: inet-port-model replay [OPTIONS]

Boots stock kernels in virtual machines, runs random programs of system calls there, and
records the random draws of the kernel's port searches. Then the model runs the same
programs with these draws. Every result, port, address and option value must be equal. The
draws, their order, and table_perturb after the program must also be equal.

  --kernel LIST    kernels by series, such as 6.1,6.12 (default 6.12); see
                   kernel-model/real/vm/images.sh
  --all            use all series: ${SERIES.join(" ")}
  --image IMAGE    use this kernel instead: a file BZIMAGE[:MODULES]
  --model VERSION  the version to model (default: the version nearest to the kernel's)
  --ops N          number of calls on each kernel (default 5000)
  --seed S         seed of the programs (default 1)
  --kinds LIST     use only sockets of these kinds: ${Object.keys(KINDS).join(",")}
  --size N         most operations of a program (default 400)
  --at NUMBER      run one program again; the report of a difference names it
  --save FILE      save the recordings. A recording that differs is the last one. A file
                   that ends in .gz is compressed. inet-port-model run can play it
  --load FILE      play saved recordings without a virtual machine; --model is allowed
  --json           print one JSON object for each kernel

Exit status: 0 all equal, 1 something differs, 2 bad input or no machine.
`;

interface Summary {
	kernel: string;
	model: string;
	seed: number | null;
	operations: number;
	/** Calls that the model leaves out, such as receives. */
	ignored: number;
	draws: number;
	searches: number;
	/** Searches that found no port. */
	exhausted: number;
	programs: number;
	mismatches: number;
	seconds: number;
}

const HEADER = ["kernel", "model", "operations", "draws", "searches", "no port", "mismatches", "s"];
const WIDTHS = [10, 10, 12, 10, 10, 10, 11, 8];

function row(cells: readonly (string | number)[]): string {
	return cells
		.map((cell, i) =>
			i < 2
				? String(cell).padEnd(nth(WIDTHS, i))
				: cell.toLocaleString("en").padStart(nth(WIDTHS, i)),
		)
		.join(" ");
}

function rowOf(done: Summary): string {
	const { kernel, model, operations, draws, searches, exhausted, mismatches, seconds } = done;
	const release = kernel.replace(/[+-].*/, "");
	const cells = [release, model, operations, draws, searches, exhausted, mismatches];
	return row([...cells, Math.round(seconds)]);
}

function reportDifference(found: Difference, seed: number, kernel: string): string {
	return [
		styled("31", `DIFFERS at ${found.reason}`),
		...found.explanation.map((line) => `#   ${line}`),
		`# to see it again: inet-port-model replay --kernel ${kernel} --seed ${seed} --at ${found.number}`,
		"# or: inet-port-model live --draws --image on this script",
		...found.script,
		"# as the kernel answered it:",
		found.recording.text,
	].join("\n");
}

async function onMachine(
	image: string,
	values: Record<string, unknown>,
	kept: string[],
): Promise<{ summary: Summary; difference: Difference | null }> {
	const seed = seedOf(values.seed);
	const began = Date.now();
	const agent = await startMachine(image);
	try {
		const { release } = agent.hello;
		const model = versionOf(String(values.model), release);
		const show = progressLine(`${release}: `);
		let draws = 0;
		const done = await runCampaign({
			agent,
			version: model,
			operations: whole("ops", values.ops, 1),
			seed,
			shard: { i: 1, n: 1 },
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
		const { coverage } = done;
		const summary: Summary = {
			kernel: release,
			model,
			seed,
			operations: done.operations,
			ignored: done.ignored,
			draws,
			searches: coverage.searches,
			exhausted: coverage.exhausted,
			programs: done.programs,
			mismatches: done.difference === null ? 0 : 1,
			seconds: (Date.now() - began) / 1000,
		};
		return { summary, difference: done.difference };
	} finally {
		agent.end();
		if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
	}
}

/** Plays saved recordings. */
function loaded(file: string, model: string): { summary: Summary; mismatches: string[] } {
	const text = readFile(file);
	const began = Date.now();
	const done = replayText(text, file, (release) => versionOf(model, release));
	const { release, programs, operations, ignored, draws, searches, exhausted, mismatches } = done;
	const summary: Summary = {
		kernel: release,
		model: versionOf(model, release),
		seed: null,
		operations,
		ignored,
		draws,
		searches,
		exhausted,
		programs,
		mismatches: mismatches.length,
		seconds: (Date.now() - began) / 1000,
	};
	return { summary, mismatches };
}

function drawsIn(text: string): number {
	return text.match(/^# draw /gm)?.length ?? 0;
}

export async function replay(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, {
		kernel: { type: "string", default: "6.12" },
		all: { type: "boolean", default: false },
		image: { type: "string" },
		model: { type: "string", default: "running" },
		ops: { type: "string", default: "5000" },
		seed: { type: "string", default: "1" },
		kinds: { type: "string" },
		size: { type: "string", default: "400" },
		at: { type: "string" },
		save: { type: "string" },
		load: { type: "string" },
		json: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length > 0) throw new UsageError(`replay: unexpected ${positionals[0]}`);
	seedOf(values.seed);
	whole("ops", values.ops, 1);
	whole("size", values.size, 4);
	if (values.kinds !== undefined) kindsOf(String(values.kinds));
	const print = (summary: Summary) => {
		const line = values.json === true ? JSON.stringify(summary) : rowOf(summary);
		process.stdout.write(`${line}\n`);
	};
	if (values.json !== true) process.stdout.write(`${row(HEADER)}\n`);
	if (values.load !== undefined) {
		const { summary, mismatches } = loaded(String(values.load), String(values.model));
		print(summary);
		for (const text of mismatches.slice(0, 10)) process.stderr.write(`${styled("31", text)}\n`);
		return mismatches.length > 0 ? 1 : 0;
	}
	const given = values.image ?? values.kernel;
	const images =
		values.all === true
			? SERIES
			: values.image === undefined
				? String(given).split(",")
				: [String(given)];
	const kept: string[] = [];
	let failed = false;
	for (const image of images) {
		const { summary, difference } = await onMachine(image, values, kept);
		print(summary);
		if (difference === null) continue;
		failed = true;
		const text = reportDifference(difference, seedOf(values.seed), image);
		(values.json === true ? process.stderr : process.stdout).write(`${text}\n`);
		kept.push(difference.original.text);
	}
	if (values.save !== undefined) {
		const file = String(values.save);
		const text = kept.join("");
		writeFileSync(file, file.endsWith(".gz") ? gzipSync(text, { level: 9 }) : text);
	}
	return failed ? 1 : 0;
}
