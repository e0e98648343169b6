// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model live`: a script on a real kernel and on the model, line by line. */
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import { eventsOf } from "../check/order.js";
import { type PlayOptions, readScript } from "../check/player.js";
import type { Agent } from "../real/agent/agent.js";
import { isProgram, type PassedOver, recordProgram } from "../real/carried.js";
import { judgeSystem, lackNames, type SystemJudgement } from "../real/lacks.js";
import {
	DrawRecorder,
	judge,
	type LiveOutcome,
	type Recording,
	recordScript,
} from "../real/live.js";
import { startAgent } from "../real/vm/machine.js";
import type { Parsed } from "../script/strace.js";
import { interruptible, stoppable } from "./interrupt.js";
import { type Case, REPORT_OPTIONS, Report, reportHelp } from "./reports.js";
import {
	Interrupted,
	json,
	type Progress,
	parse,
	printable,
	progress,
	readFile,
	remarks,
	sayNotUnderstood,
	seedOf,
	styled,
	UsageError,
	versionOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model live [OPTIONS] SCRIPT...

Plays each script (- is standard input) on the running kernel, in a new user and
network namespace, and on the model. Prints for each call the result of the kernel, the
result of the model, and whether the model can give the kernel's result. Recorded results
are ignored, except the pid after "fork() =", which begins the lines of the child.
htons(port_of(3)) stands for the port of socket 3.

A recording of a program (it has a result of execve, clone or exit_group) is carried over:
processes, threads, descriptors, addresses and ports. What does not concern ports is passed over. If
this kernel chooses another port, later lines that name the recorded port get this one.
Overlapping calls are made one after the other; no time passes between calls, and hosts
outside do not answer. A line says what the recording had if this kernel answers otherwise.

  --kernel VERSION  the version to model (default running: the version of the kernel)
  --agent COMMAND   let this command make the calls, for example on another machine;
                    kernel-model/real/agent/agent.c describes its protocol
  --image IMAGE     play on a kernel in a virtual machine: a series such as 6.12 of
                    stock kernels, or a file BZIMAGE[:MODULES]
  --system NAME     play on another system with Linux's system calls: gvisor (runsc). The
                    default of --kernel is the newest version there
  --draws           with --image: also record the draws of the kernel's port searches,
                    and give the model the same draws
  --seed N          seed of the model's own random draws (default 1)
  --explain         say how each search went and why each call failed
  --record          print the recording instead of verdicts; run can play it
  --json            one JSON object a line, for every system call
  --quiet           print only calls that differ, and the summary
${reportHelp("script", 18)}
A script changes no file, name or setting outside its namespaces. An agent makes its
calls. The agent sees one directory, /proc/sys/net of its own network namespace. A filter
allows only the system calls of scripts. agent.c has the details. A script can open
a file by its normalised path below /proc/sys/net/. Other files that a recording opens
are ignored. If the kernel returns another descriptor than the recorded one, this is an
error. live waits 60 s for an answer of an agent, and 120 s if it is in a virtual machine.
The shell runs --agent COMMAND with all your rights.

Exit status: 0 all possible, 1 something differs, 2 bad input or no agent.
`;

/** A result as the columns print it. */
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

/** How scripts are played and printed. */
interface LiveOptions {
	/** The version to model. */
	version: string;
	seed: number;
	explain: boolean;
	/** Only the recording is printed. */
	record: boolean;
	json: boolean;
	quiet: boolean;
	/** Several scripts are played, so JSON objects name the script. */
	several: boolean;
}

/** How far the command is. */
interface Reached {
	/** The script and its line. */
	place: string;
	/** Number of scripts that were played, and of lines that differ. */
	done: number;
	differing: number;
}

/** The results of the kernel. For a recording of a program also what was not carried over. */
type Recorded = Recording & { passed?: PassedOver };

/** The kernel makes the calls of a script. A recording of a program is carried over. */
function recordOn(
	agent: Agent,
	script: Parsed,
	draws: DrawRecorder | null,
	onLine: (line: number) => void,
): Promise<Recorded> {
	const carries = draws === null && agent.hello.system === null && isProgram(script);
	return carries ? recordProgram(script, agent, onLine) : recordScript(script, agent, draws);
}

/** The model makes the same calls, and its results are compared with those of the kernel. */
function judgeOf(
	agent: Agent,
	recording: Recording,
	file: string,
	options: PlayOptions,
): SystemJudgement {
	const { system, lacks } = agent.hello;
	return interruptible(() =>
		system === null
			? { outcomes: judge(recording, file, options), recording, lacks: [] }
			: judgeSystem(recording, file, options, lacks),
	);
}

/** Plays the script again and prints how the model came to its own result, with every search. */
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

/**
 * What the recording of a program has for a call that the kernel answered otherwise: an error, or
 * "" for success. Null for other calls. `told` has the errors of the recording by line.
 */
function before(
	{ line, recordedError }: LiveOutcome,
	told: ReadonlyMap<number, string>,
): string | null {
	const result = told.get(line);
	return result === undefined || result === (recordedError ?? "") ? null : result;
}

/** The lines that a script's outcomes are printed as. */
function printed(
	file: string,
	outcomes: readonly LiveOutcome[],
	told: ReadonlyMap<number, string>,
	{ json: asJson, quiet, several }: LiveOptions,
): string[] {
	const lines: string[] = [];
	const header = `${"kernel".padEnd(16)} ${"model".padEnd(16)} ${"verdict".padEnd(8)} call`;
	if (!asJson && !quiet) lines.push(styled("1", header));
	for (const outcome of outcomes) {
		const mismatch = outcome.verdict === "mismatch";
		if (quiet && !mismatch) continue;
		if (asJson) {
			if (outcome.call !== "$") lines.push(json(outcome, several ? file : null));
			continue;
		}
		if (outcome.call === "$") {
			const lacks = outcome.recordedError ?? "";
			const verdict = lacks === "" ? "" : "-";
			const columns = `${lacks.padEnd(16)} ${"".padEnd(16)} ${verdict.padEnd(8)} `;
			lines.push(`${columns}${printable(outcome.text)}`);
			continue;
		}
		const other = before(outcome, told);
		const was = other === null ? "" : `  # in the recording: ${other || "success"}`;
		const shown = printable(row(outcome) + was);
		lines.push(mismatch ? styled("31", shown) : shown);
		lines.push(...remarks(file, outcome));
	}
	return lines;
}

/** The lines below a script: the counts, what was left out, and how to see a difference again. */
function summary(
	file: string,
	name: string,
	version: string,
	{ outcomes, lacks }: SystemJudgement,
	told: ReadonlyMap<number, string>,
	passed: PassedOver,
): string[] {
	const lines: string[] = [];
	const differ = outcomes.filter(({ verdict }) => verdict === "mismatch").length;
	const otherwise = outcomes.filter((outcome) => before(outcome, told) !== null).length;
	const kernel = `kernel ${printable(name)}, model ${version}`;
	const also = otherwise > 0 ? `, ${otherwise} answered otherwise than in the recording` : "";
	const counts = `${outcomes.length} lines, ${differ} differ${also}`;
	lines.push(styled(differ > 0 ? "31" : "32", `# ${printable(file)}, ${kernel}: ${counts}`));
	if (differ > 0 && file !== "-") {
		const program = `inet-port-model repro --c --kernel ${version} --expect model`;
		lines.push(printable(`# as a program: ${program} ${file}`));
	}
	const left = [...passed].map(([what, times]) => `${what} ${times}`);
	if (left.length > 0) lines.push(printable(`# not carried over: ${left.join(", ")}`));
	const names = lackNames(lacks).map(printable).join(", ");
	if (names !== "") lines.push(`# ${printable(name)} lacks: ${names}`);
	return lines;
}

/** Plays the scripts one after the other: on the kernel, on the model, and prints them. */
async function playAll(
	scripts: readonly Parsed[],
	agent: Agent,
	draws: DrawRecorder | null,
	options: LiveOptions,
	report: Report,
	work: Progress,
	reached: Reached,
): Promise<void> {
	const { version, seed, explain } = options;
	for (const script of scripts) {
		const { file } = script;
		const began = performance.now();
		const onStep = (line: number) => {
			reached.place = `${file}, line ${line}`;
			work.show(() => `live: ${reached.place}`);
		};
		onStep(0);
		const recording = await recordOn(agent, script, draws, onStep);
		if (options.record) {
			process.stdout.write(recording.text);
			continue;
		}
		const judged = judgeOf(agent, recording, file, { version, seed, explain, onStep });
		work.end();
		const { outcomes } = judged;
		const mismatches = outcomes.filter(({ verdict }) => verdict === "mismatch");
		reached.differing += mismatches.length;
		const [first] = mismatches;
		if (first !== undefined && !explain) {
			explainFirst(first, judged.recording, file, { version, seed });
		}
		reached.done++;
		if (report.wanted) report.add(caseOf(file, outcomes, (performance.now() - began) / 1000));
		if (report.tap) continue;
		const { passed } = recording;
		const told = passed === undefined ? new Map<number, string>() : resultsOf(script);
		const lines = printed(file, outcomes, told, options);
		if (!options.json) {
			const { name } = agent.hello;
			lines.push(...summary(file, name, version, judged, told, passed ?? new Map()));
		}
		writeOut(lines.map((line) => `${line}\n`));
	}
}

export async function live(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, {
		kernel: { type: "string", default: "running" },
		agent: { type: "string" },
		image: { type: "string" },
		system: { type: "string" },
		draws: { type: "boolean", default: false },
		seed: { type: "string", default: "1" },
		explain: { type: "boolean", default: false },
		record: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		quiet: { type: "boolean", default: false },
		...REPORT_OPTIONS,
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length === 0) throw new UsageError("live: expected a script (see live --help)");
	const seed = seedOf(values.seed);
	const scripts = positionals.map((file) => readScript(readFile(file), file));
	for (const script of scripts) sayNotUnderstood(script);
	const report = new Report("live", values);
	const agent = await startAgent(values.agent, values.image, values.system);
	const work = progress();
	const reached: Reached = { place: "", done: 0, differing: 0 };
	const play = async () => {
		const options = {
			version: versionOf(String(values.kernel), agent.hello.models),
			seed,
			explain: values.explain === true,
			record: values.record === true,
			json: values.json === true,
			quiet: values.quiet === true,
			several: scripts.length > 1,
		};
		const draws = values.draws === true ? await DrawRecorder.start(agent) : null;
		report.begin(`live ${agent.hello.name}`, scripts.length);
		await playAll(scripts, agent, draws, options, report, work, reached);
	};
	try {
		await stoppable(play, () => agent.end());
	} catch (error) {
		work.end();
		const interrupted = error instanceof Interrupted;
		const reason = interrupted ? soFar(reached, positionals) : messageOf(error);
		report.end(reason);
		throw interrupted ? new Interrupted(reason) : error;
	} finally {
		work.end();
		agent.end();
	}
	report.end();
	return reached.differing > 0 ? 1 : 0;
}

/** What an interrupted command did, and how to go on. */
function soFar({ place, done, differing }: Reached, files: readonly string[]): string {
	const goOn = files.length > 1 ? `; go on with: ${files.slice(done).join(" ")}` : "";
	const many = `${done} of ${files.length} files done, ${differing} lines differ`;
	return `interrupted in ${place}; ${many}${goOn}`;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** The errors of a recording by the lines at which its calls act; "" for success. */
function resultsOf({ lines }: Parsed): Map<number, string> {
	const results = new Map<number, string>();
	for (const { line, at } of eventsOf(lines)) {
		if (line.kind !== "call" || line.result === null) continue;
		if (line.result.value !== null) results.set(at, line.result.errno ?? "");
	}
	return results;
}

/** A script as a test of a report. */
function caseOf(name: string, outcomes: readonly LiveOutcome[], seconds: number): Case {
	const differ = outcomes.filter(({ verdict }) => verdict === "mismatch");
	const undecided = outcomes.filter(({ verdict }) => verdict === "undecided");
	const words = ({ line, call, reason }: LiveOutcome) =>
		`${name}:${line}: ${call}: ${reason ?? ""}`;
	const notes = undecided.map((one) => `undecided: ${words(one)}`);
	if (differ.length === 0) return { name, verdict: "passed", notes, seconds };
	const reason = `${differ.length} lines differ`;
	return { name, verdict: "failed", reason, details: differ.map(words), notes, seconds };
}
