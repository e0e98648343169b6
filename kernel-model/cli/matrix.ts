// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model matrix`: a script on every kernel version. */
import { reportMatrix } from "../check/matrix.js";
import { readScript } from "../check/player.js";
import { interruptible } from "./interrupt.js";
import { REPORT_OPTIONS, Report, reportHelp } from "./reports.js";
import {
	Interrupted,
	parse,
	printable,
	progress,
	readFile,
	readHosts,
	sayNotUnderstood,
	styled,
	UsageError,
	uidOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model matrix [OPTIONS] SCRIPT

Plays a script (- is standard input; see run --help) on every kernel version. Shows each
line whose result differs between versions, and the behaviour changes that cause the
difference. A change is named if an older version with this one change gives the result
of the newer one. ONE+OTHER names two changes that do so together.

Every version gives its own results. Recorded results supply only descriptors, pids,
whether a call slept, the answers of other hosts, and drawn ports. Random draws never
make versions differ: a search chooses the port of another version if some draw leads
to it. So if ports differ, one version cannot choose the port of the other.

  --uid N         the user who makes the calls (default 0, root)
  --host FILE     the state of the host before the script; see run --help
  --json          one JSON object for each line that differs, with the commits of its changes
${reportHelp("script", 16)}
Exit status: 0 no line differs, 1 versions differ, 2 bad input.
`;

export function matrix(args: string[]): number {
	const { values, positionals } = parse(args, {
		json: { type: "boolean", default: false },
		uid: { type: "string" },
		host: { type: "string", multiple: true },
		...REPORT_OPTIONS,
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	const [file, more] = positionals;
	if (file === undefined) throw new UsageError("matrix: expected a script (see matrix --help)");
	if (more !== undefined)
		throw new UsageError(`matrix: expected one script, found ${more} as well`);
	const tests = new Report("matrix", values);
	const script = readScript(readFile(file), file);
	sayNotUnderstood(script);
	for (const line of script.lines) line.text = printable(line.text);
	const shown = { ...script, file: printable(file) };
	const uid = uidOf("matrix", values.uid);
	const host = readHosts(values.host);
	const options = { ...(uid === null ? {} : { uid }), ...(host.length === 0 ? {} : { host }) };
	const work = progress();
	let place = "";
	const onPlay = (plays: number, line: number) => {
		place = `play ${plays}, line ${line} of ${script.lines.length}`;
		work.show(() => `${shown.file}: ${place}`);
	};
	const began = performance.now();
	let report: ReturnType<typeof reportMatrix>;
	try {
		report = interruptible(() =>
			reportMatrix(shown, values.json === true, styled, options, onPlay),
		);
	} catch (error) {
		work.end();
		const interrupted = error instanceof Interrupted;
		const reason = interrupted ? `interrupted in ${file}: ${place}` : String(error);
		tests.begin("matrix", 1);
		tests.add({ name: file, verdict: "error", reason });
		tests.end(reason);
		throw interrupted ? new Interrupted(reason) : error;
	}
	work.end();
	if (!tests.tap) writeOut([report.output]);
	tests.begin("matrix", 1);
	const details = report.details.flatMap((text) => text.trimEnd().split("\n"));
	const seconds = (performance.now() - began) / 1000;
	tests.add({
		name: file,
		verdict: report.differ ? "failed" : "passed",
		...(report.differ ? { reason: "versions differ", details } : {}),
		seconds,
	});
	tests.end();
	return report.differ ? 1 : 0;
}
