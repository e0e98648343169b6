// SPDX-License-Identifier: GPL-2.0-or-later
/** `npm run bench`: measures the cost of the searches, or draws curves (--plot). */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { output } from "./output.js";
import { plot, plotNames } from "./plot.js";
import { portSearches } from "./port-search.js";
import { loadStrategies } from "./strategy.js";
import { WORKLOADS } from "./workload.js";

const HELP = `usage: npm run bench [-- OPTIONS]

Without options it measures the cost of a search for a port in the model, in C over the model's
tables and, through an agent, on the running kernel. It also measures a million sockets, the lines a second of a
recording, the cost of trace points that nobody uses, and searches guided by bitmaps.

  --json           print one JSON object a line
  --lowest         print the lowest times of the searches instead of medians, for a machine
                   with much other work
  --agent COMMAND  let this command make the calls, for example on another machine;
                   kernel-model/real/agent/agent.c describes its protocol
  --plot DIR       draw curves, as SVG files in DIR and as text: candidates and time
                   against occupancy, the share of each port, and the chance to predict
                   the next port, for kernels and for the searches in bench/lab/
  --only PREFIX    only measurements or curves whose name begins with PREFIX, such as
                   connect or tracing; with --plot prediction, lab- or lab-fill.
                   --only table prints the searches, all in one table

`;

/** Each is measured in a new process, so nothing else has run before. */
const PROGRAMS = [
	"bitmap",
	"boot",
	"egress",
	"guided",
	"laws",
	"play",
	"scale",
	"scans",
	"snapshot",
	"tracing",
];
const SEARCHES = WORKLOADS.map(({ name }): string => name);
const NAMES = [...SEARCHES, ...PROGRAMS];
/** Stands for all of SEARCHES: one table. */
const TABLE = "table";

function usage(problem: string): never {
	process.stderr.write(`${problem}; see npm run bench -- --help\n`);
	process.exit(2);
}

function readOptions() {
	try {
		const { values } = parseArgs({
			options: {
				help: { type: "boolean", short: "h" },
				json: { type: "boolean", default: false },
				lowest: { type: "boolean", default: false },
				agent: { type: "string" },
				plot: { type: "string" },
				only: { type: "string", default: "" },
			},
		});
		return values;
	} catch (error) {
		return usage(error instanceof Error ? error.message.split("\n")[0] : String(error));
	}
}

/** Runs a program beside this one, which prints its own table. */
function run(program: string, json: boolean): void {
	const file = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
	const args = [file, ...(json ? ["--json"] : [])];
	const { status, signal } = spawnSync(process.execPath, args, { stdio: "inherit" });
	if (status !== 0) throw new Error(`${program}: ended with ${status ?? signal}`);
}

const options = readOptions();
const { only, json } = options;
const out = output(json);
if (options.help) {
	const list = (names: readonly string[]) => names.map((name) => `  ${name}\n`).join("");
	const drawn = plotNames(await loadStrategies());
	process.stdout.write(
		`${HELP}Names for --only:\n${list([TABLE, ...NAMES])}with --plot:\n${list(drawn)}`,
	);
} else if (options.plot !== undefined) {
	const strategies = await loadStrategies();
	if (!plotNames(strategies).some((name) => name.startsWith(only))) usage(`no curve ${only}`);
	plot(options.plot, strategies, { only, ...out });
} else {
	const names = only === TABLE ? SEARCHES : NAMES.filter((name) => name.startsWith(only));
	if (names.length === 0) usage(`nothing to measure is called ${only}`);
	if (WORKLOADS.some(({ name }) => names.includes(name))) {
		await portSearches(names, options.agent, options.lowest, out);
	}
	for (const program of PROGRAMS.filter((name) => names.includes(name))) {
		out.progress(program);
		if (!json) out.print("\n");
		run(program, json);
	}
}
