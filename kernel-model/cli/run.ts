// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model run`: scripts and recordings on the model. */
import { release, version as uname } from "node:os";
import { type HostFile, placeHost } from "../check/before.js";
import { readDraws } from "../check/exact.js";
import {
	type Outcome,
	type Part,
	type Played,
	partsOf,
	playLines,
	playWhole,
	type Verdict,
} from "../check/player.js";
import { Kernel } from "../machine/kernel.js";
import { type Profile, profileFor } from "../machine/profile.js";
import { DEFAULT_VERSION } from "../machine/versions.js";
import type { PrintedLine } from "../script/print.js";
import type { Top } from "../script/top.js";
import { interruptible } from "./interrupt.js";
import { type Case, REPORT_OPTIONS, Report, reportHelp } from "./reports.js";
import {
	Interrupted,
	json,
	nearestProfile,
	Output,
	oneLine,
	openRecording,
	parse,
	printable,
	progress,
	readHosts,
	remarks,
	seedOf,
	styled,
	UsageError,
	uidOf,
	versionOf,
} from "./terminal.js";

const HELP = `usage: inet-port-model run [OPTIONS] SCRIPT...

Plays each script (- is standard input) on a fresh model. A script is in the
output syntax of strace: lines such as

    $ ip addr add 192.0.2.10/32 dev lo
    $ sysctl -w net.ipv4.ip_local_port_range="60000 60511"
    socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
    bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("192.0.2.10")}, 16)

A result after "=" is a recorded one. run checks whether the modelled kernel can give
this result, ports included. Without a result, run prints the model's own. To record:

    inet-port-model record -o FILE PROGRAM ARGS...

The top of such a recording gives the version, the user and the state of the host.
Options override it. Recordings of strace -f -ttt are played as well, and those of strace
-ff -ttt when strace-log-merge has joined them.

replay and live can record the draws of a kernel's port searches. run plays such a
recording with these draws, and the model must give exactly the recorded results. A file
may be compressed (.gz). It may hold several recordings with draws.

  --kernel VERSION   the version to model (default: the one nearest to the recorded kernel, or
                     ${DEFAULT_VERSION} if none is recorded; see kernels). A release such as
                     6.8.0-40-generic gives the nearest one; "running" is the release of
                     the running kernel
  --seed N           seed of the model's own random draws (default 1)
  --uid N            the user who makes the calls (default 0, root, unless the recording
                     shows another one)
  --host FILE        the state of the host before the recording: a file with the output of
                     ip -j addr, ip -j route, ip -j -6 route, sysctl -a or ss -tuanp. Give
                     the option once for each file. ss -tuanpeo also shows users and
                     TIME_WAIT. Facts that no file shows, such as SO_REUSEADDR, leave calls
                     undecided. $ lines run after these files
  --alone            the program had a network namespace of its own, and nobody else held
                     a port there (this is the default if the recording begins with
                     unshare() or with set-up commands)
  --explain          say how each search went and why each call failed
  --json             one JSON object a line, for every system call; with the file name if
                     there are several files. A mismatch has a proof: the rule, and the lines of
                     the recording that prove it. An undecided line has its reason
  --strict           an undecided call counts as different, and is shown
                     by --quiet
  --quiet            print only calls that differ, and the summary
${reportHelp("script", 19)}`;

interface RunOptions {
	explain: boolean;
	json: boolean;
	quiet: boolean;
	/** An undecided line counts as different. */
	strict: boolean;
	/** Several files are played, so JSON objects name the file. */
	several: boolean;
	/** The user who makes the calls; null if the recording shows it. */
	uid: number | null;
	/** The state of the host before the recording. */
	host: readonly HostFile[];
	/** Only a report is printed. */
	tap: boolean;
	onStep: (line: number) => void;
	/** The lines about this state below each file. */
	hostLines: readonly string[];
	/**
	 * The recorded program had a network namespace of its own, even if the recording does not show
	 * it.
	 */
	alone: boolean;
}

/** Formats a line of a script or recording, with its outcome. */
function format(
	file: string,
	{ line, leader, text, last }: PrintedLine,
	outcome: Outcome | null,
	options: RunOptions,
): string {
	if (options.quiet && !counts(outcome, options)) return "";
	const own = line.kind === "call" && line.result === null && outcome !== null;
	const shown = printable(own && !line.unresumed ? outcome.text : text);
	const dimmed = line.kind !== "call" || outcome?.verdict === "ignored";
	const lines = [`${styled("2", leader)}${dimmed ? styled("2", shown) : shown}`];
	if (last && outcome !== null) lines.push(...remarks(file, outcome));
	if (last && outcome?.verdict === "undecided") {
		lines.push(styled("33", printable(`# undecided: ${outcome.reason ?? ""}`)));
	}
	return `${lines.join("\n")}\n`;
}

/** Whether a line counts as different. */
function counts(outcome: Outcome | null, { strict }: RunOptions): boolean {
	return outcome?.verdict === "mismatch" || (strict && outcome?.verdict === "undecided");
}

/** Totals of the played files. */
interface Sum {
	mismatches: number;
	undecided: number;
	/** Calls and commands that were played. If there are none, nothing was checked. */
	used: number;
	/** The lines that count as different, in words. */
	differing: string[];
	/** Remarks about undecided lines. */
	notes: string[];
}

/** The profile for a recorded release; the default one if no release is recorded. */
function profileOf(recorded: string | null, build: string): Profile {
	if (recorded === null) return { name: DEFAULT_VERSION, doubt: null };
	const found = profileFor(recorded, build);
	if (found === null) throw new UsageError(`no version models the recorded kernel ${recorded}`);
	return found;
}

/** The options for a recording that `record` made: its output says what its top gave. */
function withTop(file: string, top: Top, profile: Profile, options: RunOptions): RunOptions {
	const { release } = top;
	const said: string[] = [];
	if (profile.name !== release) {
		const exact = profile.doubt === null ? `profile ${profile.name}` : nearestProfile(profile);
		said.push(styled("2", printable(`# recorded on ${release}: ${exact}`)));
	}
	const host = [{ ...top, file }, ...options.host];
	const lines = describeHost(host, profile.name, options.uid ?? top.uid);
	return { ...options, hostLines: [...said.map((line) => `${line}\n`), ...lines] };
}

/** Most lines that differ that a report holds. */
const REPORTED = 1000;

/**
 * Plays one file. Output of a file that is read whole is held back until all files are read,
 * because bad input in one file must leave nothing printed. A longer recording is printed while it
 * is played.
 */
async function play(
	file: string,
	given: Profile | null,
	seed: number,
	options: RunOptions,
	output: Output,
): Promise<Sum> {
	const opened = await openRecording(file);
	const sum: Sum = { mismatches: 0, undecided: 0, used: 0, differing: [], notes: [] };
	try {
		for (const part of partsOf(opened.lines(), file)) {
			const draws = "script" in part ? readDraws(part.script) : null;
			if (draws !== null && options.host.length > 0) {
				throw new UsageError(`${file}: --host is not for a recording with draws`);
			}
			const { top } = part;
			const profile = given ?? profileOf(draws?.release ?? top?.release ?? null, top?.build ?? "");
			const own = top === null ? options : withTop(file, top, profile, options);
			const { name } = profile;
			const of = interruptible(() => playPart(file, part, name, seed, own, output));
			sum.mismatches += of.mismatches;
			sum.undecided += of.undecided;
			sum.used += of.used;
			sum.differing.push(...of.differing);
			sum.notes.push(...of.notes);
		}
	} finally {
		opened.close();
	}
	return sum;
}

/**
 * The name under which a call that is passed over is counted. Options are counted by their names.
 */
function nameOf({ call, text }: Outcome): string {
	if (call !== "setsockopt" && call !== "getsockopt") return call;
	const option = /^\w+\([^,]*, *\w+, *([A-Z][A-Z0-9_]+)/.exec(text)?.[1];
	return option === undefined ? call : `${call} ${option}`;
}

const NOT_UNDERSTOOD = "not understood: ";

/** Why a line of a recording is not understood, with its place; null if it is understood. */
function strangeness({ line }: PrintedLine, outcome: Outcome | null): string | null {
	const problem = line.kind === "call" || line.kind === "unknown" ? line.problem : null;
	const reason = outcome?.reason ?? "";
	if (problem !== null) {
		const { expected, found } = problem;
		return `line ${problem.line}: expected ${expected}, found ${found}`;
	}
	if (!reason.startsWith(NOT_UNDERSTOOD)) return null;
	return `line ${line.line}: ${reason.slice(NOT_UNDERSTOOD.length)}`;
}

/** The first few of many texts, and their number. */
class Some {
	private readonly first: string[] = [];
	count = 0;

	constructor(private readonly most: number) {}

	add(text: string): void {
		if (this.count++ < this.most) this.first.push(text);
	}

	/** The first texts, and how many more there are. */
	text(separator: string): string {
		const more = this.count - this.first.length;
		return this.first.join(separator) + (more > 0 ? `${separator}and ${more} more` : "");
	}
}

/** Counts texts. Keeps at most REASONS different ones. */
class Tally {
	private readonly counts = new Map<string, number>();

	add(text: string): void {
		const known = this.counts.get(text) ?? 0;
		this.counts.set(text, known + 1);
		if (known > 0 || this.counts.size <= REASONS) return;
		for (const [other, count] of this.counts) if (count === 1) this.counts.delete(other);
	}

	/** The most frequent texts. */
	most(count: number): [text: string, times: number][] {
		return [...this.counts].sort((a, b) => b[1] - a[1]).slice(0, count);
	}
}

/** Most different texts that a Tally keeps. */
const REASONS = 10_000;

/** What the lines of a part showed, for its summary. */
interface Totals {
	/** Number of set-up commands. */
	commands: number;
	/** Numbers of calls, by verdict. */
	verdicts: Record<Verdict, number>;
	/** Why calls are undecided. */
	reasons: Tally;
	/** What was learnt about the host. */
	learnt: Some;
	/** Calls that were passed over. */
	ignored: Tally;
	/** Lines that are not understood. */
	strange: Some;
	/** The lines that count as different, in words. */
	differing: string[];
}

function newTotals(): Totals {
	return {
		commands: 0,
		verdicts: { match: 0, mismatch: 0, undecided: 0, unrecorded: 0, ignored: 0 },
		reasons: new Tally(),
		learnt: new Some(8),
		ignored: new Tally(),
		strange: new Some(5),
		differing: [],
	};
}

/** Plays a part: a short one as a whole, a long one line by line. */
function linesOf(
	file: string,
	part: Part,
	version: string,
	seed: number,
	options: RunOptions,
): Iterable<Played> {
	const { explain, uid, alone, host, onStep } = options;
	const settings = {
		version,
		seed,
		explain,
		onStep,
		...(uid === null ? {} : { uid }),
		...(alone ? { alone } : {}),
		...(host.length === 0 ? {} : { host }),
	};
	return "script" in part
		? playWhole(part.script, settings)
		: playLines(part.lines, file, part.above, settings, undefined, part.top);
}

/** Adds an outcome to the totals. */
function count(totals: Totals, file: string, outcome: Outcome, options: RunOptions): void {
	const { verdict, learnt, reason, line, call } = outcome;
	if (call === "$") {
		totals.commands++;
		return;
	}
	totals.verdicts[verdict]++;
	if (learnt !== null) totals.learnt.add(`${learnt} (line ${line})`);
	if (verdict === "undecided") totals.reasons.add(reason ?? "");
	if (verdict === "ignored") totals.ignored.add(nameOf(outcome));
	if (counts(outcome, options) && totals.differing.length < REPORTED) {
		totals.differing.push(`${file}:${line}: ${call}: ${reason ?? ""}`);
	}
}

/** The lines below a part: what is not understood, undecided or learnt, and the counts. */
function summary(file: string, version: string, totals: Totals, options: RunOptions): string[] {
	const { verdicts, reasons, learnt, strange } = totals;
	const lines: string[] = [];
	const say = (colour: string, text: string) =>
		lines.push(`${styled(colour, printable(`# ${text}`))}\n`);
	if (strange.count > 0) {
		const what = strange.count === 1 ? "1 line is" : `${strange.count} lines are`;
		say("33", `${what} not understood: ${strange.text("; ")}`);
	}
	const most = reasons.most(5);
	for (const [reason, times] of most) say("33", `undecided ${times} times: ${reason}`);
	const rest = most.reduce((left, [, times]) => left - times, verdicts.undecided);
	if (rest > 0) say("33", `undecided ${rest} times: other reasons`);
	lines.push(...options.hostLines);
	if (learnt.count > 0) say("2", `learnt about the host: ${learnt.text(", ")}`);
	const fails = verdicts.mismatch > 0 || (options.strict && verdicts.undecided > 0);
	say(fails ? "31" : "32", `${file}, kernel ${version}: ${countsOf(totals)}`);
	return lines;
}

/** The numbers of calls, by verdict, in words. */
function countsOf({ verdicts, ignored }: Totals): string {
	const names = ignored
		.most(5)
		.map(([name, times]) => `${name} ${times}`)
		.join(", ");
	return [
		`${verdicts.match} as recorded`,
		`${verdicts.mismatch} differ`,
		...(verdicts.undecided > 0 ? [`${verdicts.undecided} undecided`] : []),
		`${verdicts.unrecorded} without a record`,
		`${verdicts.ignored} passed over${names === "" ? "" : ` (${names})`}`,
	].join(", ");
}

/** Plays one part of a file, and prints its lines and its summary. */
function playPart(
	file: string,
	part: Part,
	version: string,
	seed: number,
	options: RunOptions,
	output: Output,
): Sum {
	const totals = newTotals();
	const prints = !options.json && !options.tap;
	if (!("script" in part)) output.flow();
	for (const each of linesOf(file, part, version, seed, options)) {
		if (each.kind === "outcome") {
			const { outcome } = each;
			count(totals, file, outcome, options);
			if (!options.json || outcome.call === "$") continue;
			if (options.quiet && !counts(outcome, options)) continue;
			output.write(`${json(outcome, options.several ? file : null)}\n`);
		} else if (prints) {
			const { printed, outcome } = each;
			const why = printed.last ? strangeness(printed, outcome) : null;
			if (why !== null) totals.strange.add(why);
			output.write(format(file, printed, outcome, options));
		}
	}
	if (prints) for (const line of summary(file, version, totals, options)) output.write(line);
	const { match, mismatch, undecided, unrecorded } = totals.verdicts;
	const used = totals.commands + match + mismatch + undecided + unrecorded;
	const most = totals.reasons.most(5);
	const notes = most.map(([reason, times]) => `undecided ${times} times: ${reason}`);
	return { mismatches: mismatch, undecided, used, differing: totals.differing, notes };
}

/** Says how much of the --host files the model has taken, and what it has left out. */
function describeHost(host: readonly HostFile[], version: string, uid: number | null): string[] {
	const kernel = new Kernel({ version });
	const { left, sockets } = placeHost(kernel, kernel.createNet(), host, uid ?? 0);
	const commands = host.reduce((sum, file) => sum + file.commands.length, 0);
	const files = host.map(({ file }) => file).join(", ");
	const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
	const found = `${count(sockets, "socket")} and ${count(commands, "setting")}`;
	const said = `# state of the host: ${found}, from ${files}`;
	const lines = [styled("2", printable(said))];
	if (left.length > 0) {
		const missing = new Some(5);
		for (const what of left) missing.add(what);
		lines.push(styled("33", printable(`# not taken from there: ${missing.text("; ")}`)));
	}
	return lines.map((line) => `${line}\n`);
}

/** The profile that --kernel names. Prints what is not known of it to standard error. */
function kernelOf(name: string): Profile {
	const found = name === "running" ? profileFor(release(), uname()) : null;
	if (found === null) return { name: versionOf(name, release()), doubt: null };
	if (found.doubt !== null) {
		process.stderr.write(`--kernel running (${release()}): ${nearestProfile(found)}\n`);
	}
	return { ...found, doubt: null };
}

export async function run(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, {
		kernel: { type: "string" },
		seed: { type: "string", default: "1" },
		explain: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		quiet: { type: "boolean", default: false },
		uid: { type: "string" },
		host: { type: "string", multiple: true },
		alone: { type: "boolean", default: false },
		strict: { type: "boolean", default: false },
		...REPORT_OPTIONS,
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length === 0) throw new UsageError("run: expected a script (see run --help)");
	const given = values.kernel === undefined ? null : kernelOf(String(values.kernel));
	const seed = seedOf(values.seed);
	const uid = uidOf("run", values.uid);
	const host = readHosts(values.host);
	const output = new Output();
	const report = new Report("run", values, (text) => output.write(text));
	const tells = host.length > 0 && values.json !== true && !report.tap;
	const work = progress();
	let place = "";
	const options = {
		explain: values.explain === true,
		json: values.json === true,
		quiet: values.quiet === true,
		strict: values.strict === true,
		several: positionals.length > 1,
		uid,
		host,
		hostLines: tells ? describeHost(host, given?.name ?? DEFAULT_VERSION, uid) : [],
		alone: values.alone === true,
		tap: report.tap,
		onStep: (line: number) => {
			place = `${positionals[sums.length] ?? ""}, line ${line}`;
			work.show(() => `run: ${place}`);
		},
	};
	const fails = ({ mismatches, undecided }: Sum) =>
		mismatches > 0 || (options.strict && undecided > 0);
	const sums: Sum[] = [];
	report.begin(`run ${given?.name ?? DEFAULT_VERSION}`, positionals.length);
	for (const [i, file] of positionals.entries()) {
		const began = performance.now();
		place = file;
		try {
			const sum = await play(file, given, seed, options, output);
			sums.push(sum);
			report.add(caseOf(file, sum, fails(sum), (performance.now() - began) / 1000));
		} catch (error) {
			work.end();
			// Without a report, bad input leaves nothing printed.
			const interrupted = error instanceof Interrupted;
			report.add({ name: file, verdict: "error", reason: messageOf(error) });
			report.end(interrupted ? "interrupted" : messageOf(error));
			if (interrupted || report.tap) output.end();
			throw interrupted ? new Interrupted(soFar(place, i, positionals, sums.filter(fails))) : error;
		}
	}
	work.end();
	report.end();
	output.end();
	for (const [i, { used }] of sums.entries()) {
		if (used > 0 || report.tap) continue;
		const what = "no line of it was used, because none concerns ports";
		process.stderr.write(`inet-port-model: ${oneLine(String(positionals[i]))}: ${what}\n`);
	}
	return sums.some(fails) ? 1 : 0;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** A file as a test of a report. */
function caseOf(name: string, sum: Sum, failed: boolean, seconds: number): Case {
	const { used, differing: details, notes } = sum;
	if (used === 0) {
		const reason = "no line of it was used, because none concerns ports";
		return { name, verdict: "skipped", reason, seconds };
	}
	if (!failed) return { name, verdict: "passed", notes, seconds };
	const count = sum.mismatches > 0 ? `${sum.mismatches} differ` : `${sum.undecided} undecided`;
	return { name, verdict: "failed", reason: count, details, notes, seconds };
}

/** What an interrupted command did, and how to go on. */
function soFar(
	place: string,
	done: number,
	files: readonly string[],
	failed: readonly Sum[],
): string {
	const said = [`interrupted in ${place}`];
	if (files.length > 1) said.push(`${done} of ${files.length} files done, ${failed.length} differ`);
	if (files.length > 1) said.push(`go on with: ${files.slice(done).join(" ")}`);
	return said.join("; ");
}
