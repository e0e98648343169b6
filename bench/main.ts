// SPDX-License-Identifier: GPL-2.0-or-later
/** `npm run bench`: what the searches cost, or curves of it (--plot). */
import { parseArgs } from "node:util";
import { plot, plotNames } from "./plot.js";
import { loadStrategies } from "./strategy.js";

const HELP = `usage: npm run bench [-- OPTIONS]

Without options: what a call of bind() and connect() costs in the model.

  --json           the same as one JSON object a line
  --plot DIR       curves, as SVG files in DIR and as text: candidates looked at and
                   time against occupancy, the share of each port, the chance to
                   predict the next one; of kernels, and of the searches in bench/lab/
  --only PREFIX    of these only those whose name begins so: prediction, lab-, lab-fill

Names for --only:
`;

/** Writes what is being done over one line of a terminal. */
function progress(what: string): void {
	if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${what}`);
	else process.stderr.write(`${what}\n`);
}

function print(text: string): void {
	if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
	process.stdout.write(text);
}

function usage(problem: string): never {
	process.stderr.write(`${problem}; see npm run bench -- --help\n`);
	process.exit(2);
}

function readOptions() {
	try {
		const { values } = parseArgs({
			options: {
				help: { type: "boolean", short: "h" },
				json: { type: "boolean" },
				plot: { type: "string" },
				only: { type: "string" },
			},
		});
		return values;
	} catch (error) {
		return usage(error instanceof Error ? error.message.split("\n")[0] : String(error));
	}
}

const options = readOptions();
if (options.help) {
	const names = plotNames(await loadStrategies());
	process.stdout.write(`${HELP}${names.map((name) => `  ${name}\n`).join("")}`);
} else if (options.plot !== undefined) {
	const strategies = await loadStrategies();
	const { only = "" } = options;
	if (!plotNames(strategies).some((name) => name.startsWith(only))) usage(`no curve ${only}`);
	plot(options.plot, strategies, { only, print, progress });
} else {
	if (options.only !== undefined) usage("--only goes with --plot");
	await import("./port-search.js");
}
