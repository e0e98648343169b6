// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model live`: a script on a real kernel and on the model, line by line. */
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import { type PlayOptions, readScript } from "../check/player.js";
import {
	DrawRecorder,
	judge,
	type LiveOutcome,
	type Recording,
	recordScript,
} from "../real/live.js";
import { startAgent } from "../real/vm/machine.js";
import {
	json,
	parse,
	printable,
	readFile,
	remarks,
	seedOf,
	styled,
	UsageError,
	versionOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model live [OPTIONS] SCRIPT...

Plays each script (- is standard input) on the kernel underneath, in a user and
network namespace of its own, and on the model. For each call: what the kernel said,
what the model says, and whether the model could have said the same. Recorded results
are passed over, but for the pid behind fork() = that the child's lines begin with.
Where the script needs a port that it cannot know, htons(port_of(3)) is that of socket 3.

  --kernel VERSION  the version to model (default running: that of the kernel)
  --agent COMMAND   speaks to this command instead, which makes the calls elsewhere;
                    kernel-model/real/agent/agent.c says how
  --image IMAGE     play on a stock kernel in a virtual machine instead: a series such
                    as 6.12, or a file BZIMAGE[:MODULES]
  --draws           there also record what its port searches draw, and compare with
                    the model that draws the same
  --seed N          seed of the model's own random draws (default 1)
  --explain         say how each search went and why each call failed
  --record          print the recording, to be played by run, instead of verdicts
  --json            one JSON object a line, for every system call
  --quiet           only what differs, and the summary

A script changes no file, name or setting outside its namespaces. Its calls are made by
an agent, which sees one directory, /proc/sys/net of its own network namespace, and which
the kernel lets make the system calls of scripts and no others; agent.c says this in full.
A script opens files by their normalised path below /proc/sys/net/; other files that a
recording opens are passed over. A recorded descriptor that cannot be had is an error. An
agent that answers nothing for 60 s is given up, one in a virtual machine after 120 s.
--agent COMMAND is run by the shell, with all that you may do. Exit status: 0 all possible, 1 something
differs, 2 bad input or no agent.
`;

/** A result as the columns show it. */
function shown(result: number | null, port: number | null): string {
	if (result === null) return "sleeps";
	if (result < 0) return errnoName(-result);
	return port === null ? String(result) : `${result} port ${port}`;
}

function row(outcome: LiveOutcome): string {
	const { recorded, recordedError } = outcome;
	const port = outcome.name?.port || null;
	const slept = recorded === null && recordedError === "ERESTARTSYS";
	const kernel = slept ? "sleeps" : (recordedError ?? shown(recorded, port));
	const model = outcome.verdict === "ignored" ? "" : shown(outcome.result, port);
	const verdict = {
		match: "ok",
		mismatch: "DIFFERS",
		undecided: "undecided",
		unrecorded: "",
		ignored: "-",
	};
	const call = outcome.text.replace(/ = (-?[0-9]+|\?)( E[A-Z0-9]+)?( \([^)]*\))?$/, "");
	const pid = outcome.pid === null ? "" : `${outcome.pid} `;
	return `${kernel.padEnd(16)} ${model.padEnd(16)} ${verdict[outcome.verdict].padEnd(8)} ${pid}${call}`;
}

/** How the model came to its own result, once more with every search told. */
function explainFirst(
	first: LiveOutcome,
	recording: Recording,
	file: string,
	options: PlayOptions,
): void {
	const explained = judge(recording, file, { ...options, explain: true });
	const same = explained.find(({ line, verdict }) => line === first.line && verdict === "mismatch");
	if (same !== undefined) first.explanation = same.explanation;
}

export async function live(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, {
		kernel: { type: "string", default: "running" },
		agent: { type: "string" },
		image: { type: "string" },
		draws: { type: "boolean", default: false },
		seed: { type: "string", default: "1" },
		explain: { type: "boolean", default: false },
		record: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		quiet: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length === 0) throw new UsageError("live: expected a script (see live --help)");
	const seed = seedOf(values.seed);
	const scripts = positionals.map((file) => readScript(readFile(file), file));
	const agent = await startAgent(values.agent, values.image);
	let differing = 0;
	try {
		const version = versionOf(String(values.kernel), agent.hello.release);
		const draws = values.draws === true ? await DrawRecorder.start(agent) : null;
		for (const script of scripts) {
			const { file } = script;
			const recording = await recordScript(script, agent, draws);
			if (values.record === true) {
				process.stdout.write(recording.text);
				continue;
			}
			const explain = values.explain === true;
			const outcomes = judge(recording, file, { version, seed, explain });
			const mismatches = outcomes.filter(({ verdict }) => verdict === "mismatch");
			const differ = mismatches.length;
			differing += differ;
			const [first] = mismatches;
			if (first !== undefined && !explain) {
				explainFirst(first, recording, file, { version, seed });
			}
			const lines: string[] = [];
			const header = `${"kernel".padEnd(16)} ${"model".padEnd(16)} ${"verdict".padEnd(8)} call`;
			if (values.json !== true && values.quiet !== true) lines.push(styled("1", header));
			for (const outcome of outcomes) {
				const mismatch = outcome.verdict === "mismatch";
				if (values.quiet === true && !mismatch) continue;
				if (values.json === true) {
					if (outcome.call !== "$") lines.push(json(outcome, scripts.length > 1 ? file : null));
					continue;
				}
				if (outcome.call === "$") {
					lines.push(`${" ".repeat(43)}${printable(outcome.text)}`);
					continue;
				}
				const shown = printable(row(outcome));
				lines.push(mismatch ? styled("31", shown) : shown);
				lines.push(...remarks(file, outcome));
			}
			if (values.json !== true) {
				const kernel = `kernel ${agent.hello.release}, model ${version}`;
				const summary = `# ${printable(file)}, ${kernel}: ${outcomes.length} lines, ${differ} differ`;
				lines.push(styled(differ > 0 ? "31" : "32", summary));
			}
			writeOut(lines.map((line) => `${line}\n`));
		}
	} finally {
		agent.end();
	}
	return differing > 0 ? 1 : 0;
}
