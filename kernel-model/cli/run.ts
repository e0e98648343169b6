// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model run`: scripts and recordings on the model. */
import { release } from "node:os";
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
import { DEFAULT_VERSION } from "../machine/versions.js";
import type { PrintedLine } from "../script/print.js";
import {
	json,
	Output,
	oneLine,
	openRecording,
	parse,
	printable,
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

A result after "=" is a recorded one: it is checked that the modelled kernel could
have given it, ports included. Without one the model's own is printed. Recordings:

    strace -f -ttt -o FILE -e trace=%network,execve,clone,clone3,fork,vfork,\\
exit_group,unshare,setns,openat,write,close,dup,dup2,dup3,setuid,setresuid PROGRAM

A recording that replay or live has made with the draws of a kernel's port searches is
played with these draws; then nothing but the recorded results will do. Files may be
compressed (.gz), and hold several such recordings.

  --kernel VERSION   the version to model (default ${DEFAULT_VERSION}, or with draws that of
                     the recording; see kernels); running for the one nearest to the
                     kernel underneath
  --seed N           seed of the model's own random draws (default 1)
  --uid N            the user whose calls these are (default 0, which is root, unless the
                     recording tells of another)
  --host FILE        what was there before the recording began, as one of these shows it
                     (give it once for each file): ip -j addr, ip -j route, ip -j -6 route,
                     sysctl -a, ss -tuanp; ss -tuanpeo also shows users and TIME_WAIT. What
                     they do not show, such as SO_REUSEADDR, leaves calls undecided. $ lines
                     come on top
  --alone            the program had its network namespace to itself: nobody else held a
                     port there (so it is taken to be where the recording begins with
                     unshare() or with set-up commands)
  --explain          say how each search went and why each call failed
  --json             one JSON object a line, for every system call; with the file where
                     there are several. A mismatch has a proof: the rule, and the lines of
                     the recording that it rests on. What is undecided has its reason
  --strict           what the recording leaves undecided counts as different, and is shown
                     by --quiet
  --quiet            only what differs, and the summary
`;

interface RunOptions {
	explain: boolean;
	json: boolean;
	quiet: boolean;
	/** What is undecided counts as different. */
	strict: boolean;
	/** Several files are played: lines of JSON say which. */
	several: boolean;
	/** Who made the calls; null: as the recording tells. */
	uid: number | null;
	/** What was there before. */
	host: readonly HostFile[];
	/** The recorded program had its network namespace to itself, whatever the recording tells. */
	alone: boolean;
}

/** A line of a script or recording as it is printed again, with what became of it. */
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

/** What plays came to. */
interface Sum {
	mismatches: number;
	undecided: number;
	/** Calls that said something: of a file that has none nothing was checked. */
	used: number;
}

/**
 * Plays one file. Of what is read as a whole nothing is printed before all files were read,
 * as bad input anywhere leaves nothing printed. A longer recording is printed while it is
 * played.
 */
async function play(
	file: string,
	given: string | null,
	seed: number,
	options: RunOptions,
	output: Output,
): Promise<Sum> {
	const opened = await openRecording(file);
	const sum: Sum = { mismatches: 0, undecided: 0, used: 0 };
	try {
		for (const part of partsOf(opened.lines(), file)) {
			const draws = "script" in part ? readDraws(part.script) : null;
			if (draws !== null && options.host.length > 0) {
				throw new UsageError(`${file}: --host is not for a recording with draws`);
			}
			const version =
				given ?? (draws === null ? DEFAULT_VERSION : versionOf("running", draws.release));
			const { mismatches, undecided, used } = playPart(file, part, version, seed, options, output);
			sum.mismatches += mismatches;
			sum.undecided += undecided;
			sum.used += used;
		}
	} finally {
		opened.close();
	}
	return sum;
}

/** What a call that was passed over is counted as: options by their names. */
function nameOf({ call, text }: Outcome): string {
	if (call !== "setsockopt" && call !== "getsockopt") return call;
	const option = /^\w+\([^,]*, *\w+, *([A-Z][A-Z0-9_]+)/.exec(text)?.[1];
	return option === undefined ? call : `${call} ${option}`;
}

const NOT_UNDERSTOOD = "not understood: ";

/** Why a line of a recording is not understood, with its place; null if it is. */
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

/** The first of many things, and how many there are. */
class Some {
	readonly first: string[] = [];
	count = 0;

	constructor(private readonly most: number) {}

	add(text: string): void {
		if (this.count++ < this.most) this.first.push(text);
	}
}

/** How often each of some texts was counted; of those that come late and seldom nothing is kept. */
class Tally {
	private readonly counts = new Map<string, number>();

	add(text: string): void {
		const known = this.counts.get(text) ?? 0;
		this.counts.set(text, known + 1);
		if (known > 0 || this.counts.size <= REASONS) return;
		for (const [other, count] of this.counts) if (count === 1) this.counts.delete(other);
	}

	/** The most frequent ones. */
	most(count: number): [text: string, times: number][] {
		return [...this.counts].sort((a, b) => b[1] - a[1]).slice(0, count);
	}
}

/** Different texts that are counted. */
const REASONS = 10_000;

function playPart(
	file: string,
	part: Part,
	version: string,
	seed: number,
	options: RunOptions,
	output: Output,
): Sum {
	let commands = 0;
	const sum: Record<Verdict, number> = {
		match: 0,
		mismatch: 0,
		undecided: 0,
		unrecorded: 0,
		ignored: 0,
	};
	const reasons = new Tally();
	const learnt = new Some(8);
	const ignored = new Tally();
	const strange = new Some(5);
	const { explain, uid, alone, host } = options;
	const settings = {
		version,
		seed,
		explain,
		...(uid === null ? {} : { uid }),
		...(alone ? { alone } : {}),
		...(host.length === 0 ? {} : { host }),
	};
	let played: Iterable<Played>;
	if ("script" in part) played = playWhole(part.script, settings);
	else {
		output.flow();
		played = playLines(part.lines, file, part.above, settings);
	}
	const count = (outcome: Outcome) => {
		if (outcome.call === "$") {
			commands++;
			return;
		}
		sum[outcome.verdict]++;
		if (outcome.learnt !== null) learnt.add(`${outcome.learnt} (line ${outcome.line})`);
		if (outcome.verdict === "undecided") reasons.add(outcome.reason ?? "");
		if (outcome.verdict === "ignored") ignored.add(nameOf(outcome));
		if (!options.json || (options.quiet && !counts(outcome, options))) return;
		output.write(`${json(outcome, options.several ? file : null)}\n`);
	};
	for (const each of played) {
		if (each.kind === "outcome") {
			count(each.outcome);
			continue;
		}
		const { printed, outcome } = each;
		const why = printed.last ? strangeness(printed, outcome) : null;
		if (why !== null) strange.add(why);
		if (!options.json) output.write(format(file, printed, outcome, options));
	}
	if (!options.json) {
		const names = ignored
			.most(5)
			.map(([name, count]) => `${name} ${count}`)
			.join(", ");
		const summary = [
			`${sum.match} as recorded`,
			`${sum.mismatch} differ`,
			...(sum.undecided > 0 ? [`${sum.undecided} undecided`] : []),
			`${sum.unrecorded} without a record`,
			`${sum.ignored} passed over${names === "" ? "" : ` (${names})`}`,
		].join(", ");
		if (strange.count > 0) {
			const shown = strange.first.join("; ");
			const more = strange.count > 5 ? `; and ${strange.count - 5} more` : "";
			const what = strange.count === 1 ? "1 line is" : `${strange.count} lines are`;
			const said = printable(`# ${what} not understood: ${shown}${more}`);
			output.write(`${styled("33", said)}\n`);
		}
		const most = reasons.most(5);
		for (const [reason, times] of most) {
			output.write(`${styled("33", printable(`# undecided ${times} times: ${reason}`))}\n`);
		}
		const rest = most.reduce((left, [, times]) => left - times, sum.undecided);
		if (rest > 0) output.write(`${styled("33", `# undecided ${rest} times: other reasons`)}\n`);
		if (host.length > 0) for (const line of describeHost(host, version, uid)) output.write(line);
		if (learnt.count > 0) {
			const shown = learnt.first.join(", ");
			const more = learnt.count > 8 ? `, and ${learnt.count - 8} more` : "";
			output.write(`${styled("2", printable(`# learnt of the host: ${shown}${more}`))}\n`);
		}
		const fails = sum.mismatch > 0 || (options.strict && sum.undecided > 0);
		const status = fails ? "31" : "32";
		const line = printable(`# ${file}, kernel ${version}: ${summary}`);
		output.write(`${styled(status, line)}\n`);
	}
	const used = commands + sum.undecided + sum.match + sum.mismatch + sum.unrecorded;
	return { mismatches: sum.mismatch, undecided: sum.undecided, used };
}

/** What of the given files was brought about, and what was not. */
function describeHost(
	host: readonly HostFile[],
	version: string,
	uid: number | null,
): Iterable<string> {
	const kernel = new Kernel({ version });
	const { left, sockets } = placeHost(kernel, kernel.createNet(), host, uid ?? 0);
	const commands = host.reduce((sum, file) => sum + file.commands.length, 0);
	const files = host.map(({ file }) => file).join(", ");
	const said = `# the host had ${sockets} sockets, and ${commands} settings, by ${files}`;
	const lines = [styled("2", printable(said))];
	if (left.length > 0) {
		const shown = left.slice(0, 5).join("; ");
		const more = left.length > 5 ? `; and ${left.length - 5} more` : "";
		lines.push(styled("33", printable(`# not taken of it: ${shown}${more}`)));
	}
	return lines.map((line) => `${line}\n`);
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
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	if (positionals.length === 0) throw new UsageError("run: expected a script (see run --help)");
	const version = values.kernel === undefined ? null : versionOf(String(values.kernel), release());
	const seed = seedOf(values.seed);
	const options = {
		explain: values.explain === true,
		json: values.json === true,
		quiet: values.quiet === true,
		strict: values.strict === true,
		several: positionals.length > 1,
		uid: uidOf("run", values.uid),
		host: readHosts(values.host),
		alone: values.alone === true,
	};
	const output = new Output();
	const sums: Sum[] = [];
	for (const file of positionals) {
		sums.push(await play(file, version, seed, options, output));
	}
	output.end();
	for (const [i, { used }] of sums.entries()) {
		if (used > 0) continue;
		const what = "nothing of it was used, as no line in it bears on ports";
		process.stderr.write(`inet-port-model: ${oneLine(String(positionals[i]))}: ${what}\n`);
	}
	const { strict } = options;
	const fails = ({ mismatches, undecided }: Sum) => mismatches > 0 || (strict && undecided > 0);
	return sums.some(fails) ? 1 : 0;
}
