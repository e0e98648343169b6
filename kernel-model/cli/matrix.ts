// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model matrix`: a script on every kernel version. */
import { reportMatrix } from "../check/matrix.js";
import { readScript } from "../check/player.js";
import {
	parse,
	printable,
	readFile,
	readHosts,
	styled,
	UsageError,
	uidOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model matrix [OPTIONS] SCRIPT

Plays a script (- is standard input; see run --help) on every kernel version, and
shows each line that versions answer differently, with the behaviour changes that make
them differ: those with which alone an older version answers as a newer one, or a pair
(ONE+OTHER) that does it together.

Every version gives its own answers. Recorded results say only what the program had and
met: descriptors, processes, whether a call slept, what other hosts answered, and which
ports were drawn. Versions never differ by what they draw at random: each search, taken
for itself, comes to the port that another version chose if some draw leads there. So
where ports differ, one version cannot choose the port of the other.

  --uid N         the user whose calls these are (default 0, which is root)
  --host FILE     what was there before; see run --help
  --json          one JSON object for each line that differs

Exit status: 0 no line differs, 1 versions differ, 2 bad input.
`;

export function matrix(args: string[]): number {
	const { values, positionals } = parse(args, {
		json: { type: "boolean", default: false },
		uid: { type: "string" },
		host: { type: "string", multiple: true },
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
	const script = readScript(readFile(file), file);
	for (const line of script.lines) line.text = printable(line.text);
	const shown = { ...script, file: printable(file) };
	const uid = uidOf("matrix", values.uid);
	const host = readHosts(values.host);
	const options = { ...(uid === null ? {} : { uid }), ...(host.length === 0 ? {} : { host }) };
	const { output, differ } = reportMatrix(shown, values.json === true, styled, options);
	writeOut([output]);
	return differ ? 1 : 0;
}
