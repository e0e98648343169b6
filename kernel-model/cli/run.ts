// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model run`: scripts and recordings on the model. */
import { release } from "node:os";
import { type HostFile, placeHost } from "../check/before.js";
import { readDraws, splitRecordings } from "../check/exact.js";
import { type Outcome, playScript, readScript, type Verdict } from "../check/player.js";
import { Kernel } from "../machine/kernel.js";
import { DEFAULT_VERSION } from "../machine/versions.js";
import { printedLines } from "../script/print.js";
import type { Parsed } from "../script/strace.js";
import {
	json,
	oneLine,
	parse,
	printable,
	readFile,
	readHosts,
	remarks,
	seedOf,
	styled,
	UsageError,
	uidOf,
	versionOf,
	writeOut,
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
                     there are several
  --strict           what the recording leaves undecided counts as different
  --quiet            only what differs, and the summary
`;

interface RunOptions {
	explain: boolean;
	json: boolean;
	quiet: boolean;
	/** Several files are played: lines of JSON say which. */
	several: boolean;
	/** Who made the calls; null: as the recording tells. */
	uid: number | null;
	/** What was there before. */
	host: readonly HostFile[];
	/** The recorded program had its network namespace to itself, whatever the recording tells. */
	alone: boolean;
}

/** Prints a script again, whole, with what became of each line. */
function* format(
	file: string,
	script: Parsed,
	outcomes: ReadonlyMap<number, Outcome>,
	options: RunOptions,
): Generator<string> {
	if (options.json) {
		for (const outcome of outcomes.values()) {
			if (outcome.call === "$" || (options.quiet && outcome.verdict !== "mismatch")) continue;
			yield `${json(outcome, options.several ? file : null)}\n`;
		}
		return;
	}
	for (const { line, leader, text, last } of printedLines(script.lines)) {
		const outcome = outcomes.get(line.line) ?? null;
		if (options.quiet && outcome?.verdict !== "mismatch") continue;
		const own = line.kind === "call" && line.result === null && outcome !== null;
		const shown = printable(own && !line.unresumed ? outcome.text : text);
		const dimmed = line.kind !== "call" || outcome?.verdict === "ignored";
		const lines = [`${styled("2", leader)}${dimmed ? styled("2", shown) : shown}`];
		if (last && outcome !== null) lines.push(...remarks(file, outcome));
		if (last && outcome?.verdict === "undecided") {
			lines.push(styled("33", printable(`# undecided: ${outcome.reason ?? ""}`)));
		}
		yield `${lines.join("\n")}\n`;
	}
}

interface Played {
	mismatches: number;
	undecided: number;
	output: string[];
	/** Calls that said something: of a file that has none nothing was checked. */
	used: number;
}

/** Plays one file to its end: bad input anywhere leaves nothing printed. */
function play(file: string, given: string | null, seed: number, options: RunOptions): Played {
	const played = splitRecordings(readFile(file)).map(({ text, above }) => {
		const script = readScript(text, file, above);
		const draws = readDraws(script);
		if (draws !== null && options.host.length > 0) {
			throw new UsageError(`${file}: --host is not for a recording with draws`);
		}
		const version =
			given ?? (draws === null ? DEFAULT_VERSION : versionOf("running", draws.release));
		return playPart(file, script, version, seed, options);
	});
	return {
		mismatches: played.reduce((sum, { mismatches }) => sum + mismatches, 0),
		undecided: played.reduce((sum, { undecided }) => sum + undecided, 0),
		output: played.flatMap(({ output }) => output),
		used: played.reduce((sum, { used }) => sum + used, 0),
	};
}

/** What a call that was passed over is counted as: options by their names. */
function nameOf({ call, text }: Outcome): string {
	if (call !== "setsockopt" && call !== "getsockopt") return call;
	const option = /^\w+\([^,]*, *\w+, *([A-Z][A-Z0-9_]+)/.exec(text)?.[1];
	return option === undefined ? call : `${call} ${option}`;
}

/** Lines of a recording that are not understood: where, and what was expected there. */
function* notUnderstood(script: Parsed, outcomes: ReadonlyMap<number, Outcome>): Generator<string> {
	for (const line of script.lines) {
		const problem = line.kind === "call" || line.kind === "unknown" ? line.problem : null;
		const reason = outcomes.get(line.line)?.reason ?? "";
		if (problem !== null) {
			const { expected, found } = problem;
			yield `line ${problem.line}: expected ${expected}, found ${found}`;
		} else if (reason.startsWith(NOT_UNDERSTOOD)) {
			yield `line ${line.line}: ${reason.slice(NOT_UNDERSTOOD.length)}`;
		}
	}
}

const NOT_UNDERSTOOD = "not understood: ";

function playPart(
	file: string,
	script: Parsed,
	version: string,
	seed: number,
	options: RunOptions,
): Played {
	let commands = 0;
	const counts: Record<Verdict, number> = {
		match: 0,
		mismatch: 0,
		undecided: 0,
		unrecorded: 0,
		ignored: 0,
	};
	const reasons = new Map<string, number>();
	const learnt: string[] = [];
	const ignored = new Map<string, number>();
	const outcomes = new Map<number, Outcome>();
	const { explain, uid, alone, host } = options;
	const played = playScript(script, {
		version,
		seed,
		explain,
		...(uid === null ? {} : { uid }),
		...(alone ? { alone } : {}),
		...(host.length === 0 ? {} : { host }),
	});
	for (const outcome of played) {
		outcomes.set(outcome.line, outcome);
		if (outcome.call === "$") {
			commands++;
			continue;
		}
		counts[outcome.verdict]++;
		if (outcome.learnt !== null) learnt.push(`${outcome.learnt} (line ${outcome.line})`);
		if (outcome.verdict === "undecided") {
			const reason = outcome.reason ?? "";
			reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
		}
		if (outcome.verdict === "ignored") {
			const name = nameOf(outcome);
			ignored.set(name, (ignored.get(name) ?? 0) + 1);
		}
	}
	const output = [...format(file, script, outcomes, options)];
	if (!options.json) {
		const most = [...ignored].sort((a, b) => b[1] - a[1]).slice(0, 5);
		const names = most.map(([name, count]) => `${name} ${count}`).join(", ");
		const summary = [
			`${counts.match} as recorded`,
			`${counts.mismatch} differ`,
			...(counts.undecided > 0 ? [`${counts.undecided} undecided`] : []),
			`${counts.unrecorded} without a record`,
			`${counts.ignored} passed over${names === "" ? "" : ` (${names})`}`,
		].join(", ");
		const strange = [...notUnderstood(script, outcomes)];
		if (strange.length > 0) {
			const shown = strange.slice(0, 5).join("; ");
			const more = strange.length > 5 ? `; and ${strange.length - 5} more` : "";
			const what = strange.length === 1 ? "1 line is" : `${strange.length} lines are`;
			const said = printable(`# ${what} not understood: ${shown}${more}`);
			output.push(`${styled("33", said)}\n`);
		}
		const most_undecided = [...reasons].sort((a, b) => b[1] - a[1]).slice(0, 5);
		for (const [reason, times] of most_undecided) {
			output.push(`${styled("33", printable(`# undecided ${times} times: ${reason}`))}\n`);
		}
		if (host.length > 0) output.push(...describeHost(host, version, uid));
		if (learnt.length > 0) {
			const shown = learnt.slice(0, 8).join(", ");
			const more = learnt.length > 8 ? `, and ${learnt.length - 8} more` : "";
			output.push(`${styled("2", printable(`# learnt of the host: ${shown}${more}`))}\n`);
		}
		const status = counts.mismatch > 0 ? "31" : "32";
		const line = printable(`# ${file}, kernel ${version}: ${summary}`);
		output.push(`${styled(status, line)}\n`);
	}
	const used = commands + counts.undecided + counts.match + counts.mismatch + counts.unrecorded;
	return { mismatches: counts.mismatch, undecided: counts.undecided, output, used };
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

export function run(args: string[]): number {
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
		several: positionals.length > 1,
		uid: uidOf("run", values.uid),
		host: readHosts(values.host),
		alone: values.alone === true,
	};
	const played = positionals.map((file) => ({ file, ...play(file, version, seed, options) }));
	for (const { file, output, used } of played) {
		writeOut(output);
		if (used > 0) continue;
		const what = "nothing of it was used, as no line in it bears on ports";
		process.stderr.write(`inet-port-model: ${oneLine(file)}: ${what}\n`);
	}
	const strict = values.strict === true;
	const fails = ({ mismatches, undecided }: Played) => mismatches > 0 || (strict && undecided > 0);
	return played.some(fails) ? 1 : 0;
}
