// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model page`: a script in one HTML file in which one sees each search. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { basename } from "node:path";
import { isHeader } from "../check/exact.js";
import { pageHtml } from "../page/document.js";
import { type HostText, isPlain } from "../page/setting.js";
import {
	hostFile,
	parse,
	printable,
	readFile,
	reasonOf,
	seedOf,
	UsageError,
	uidOf,
	versionOf,
	writeOut,
} from "./terminal.js";

const HELP = `usage: inet-port-model page [OPTIONS] [SCRIPT]

Writes one HTML file in which one sees what the kernel does with a script or recording
(- is standard input), line by line and step by step. The file holds the model itself. It
opens in a browser from any place, and needs no network. Without SCRIPT it begins with
an example. It opens on the first line that differs, or else on the first one that failed.

  -o FILE         where to write (default: standard output)
  --kernel VERSION
                  the version to model, as for run. The page has a list of all versions
  --beside VERSION
                  a second version: lines that differ are marked, with the change that makes
                  them differ
  --seed N        seed of the model's own random draws (default 1)
  --uid N, --host FILE, --alone
                  what is known beside the recording, as for run. The page holds the files
`;

/** The built program and its style. They are part of the package, not of the sources. */
function builtPart(name: string): string {
	for (const place of ["../page/bundle/", "../../dist/kernel-model/page/bundle/"]) {
		try {
			return readFileSync(new URL(`${place}${name}`, import.meta.url), "utf8");
		} catch {
			// Not here: the next place is for sources that run without being built.
		}
	}
	throw new UsageError(`page: ${name} is not built: run npm run build`);
}

/** The files that --host names, with their texts. Throws UsageError. */
function hostTexts(given: unknown): HostText[] {
	const files = Array.isArray(given) ? given.map(String) : [];
	return files.map((file) => {
		const text = readFile(file);
		hostFile(file, text);
		return { file: printable(basename(file)), text };
	});
}

export function page(args: string[]): number {
	const { values, positionals } = parse(args, {
		output: { type: "string", short: "o" },
		kernel: { type: "string" },
		beside: { type: "string" },
		seed: { type: "string", default: "1" },
		uid: { type: "string" },
		host: { type: "string", multiple: true },
		alone: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	const [file, more] = positionals;
	if (more !== undefined) throw new UsageError(`page: expected one script, found ${more} as well`);
	const named = (option: "kernel" | "beside") => {
		const value = values[option];
		return value === undefined ? null : versionOf(String(value), release(), `--${option}`);
	};
	const text = file === undefined ? null : readFile(file);
	const setting = {
		uid: uidOf("page", values.uid),
		alone: values.alone === true,
		host: hostTexts(values.host),
	};
	if (text === null && !isPlain(setting)) {
		throw new UsageError("page: expected a script for --uid, --host and --alone");
	}
	if (setting.host.length > 0 && text?.split("\n").some(isHeader) === true) {
		throw new UsageError(`${file}: --host is not for a recording with draws`);
	}
	const html = pageHtml({
		program: builtPart("page.js"),
		model: builtPart("model.js"),
		style: builtPart("page.css"),
		start: {
			file: file === undefined ? null : printable(file === "-" ? "standard input" : basename(file)),
			text,
			version: named("kernel"),
			beside: named("beside"),
			seed: seedOf(values.seed),
			setting,
		},
		sha256: (text) => createHash("sha256").update(text).digest("base64"),
	});
	const { output } = values;
	if (output === undefined || output === "-") {
		writeOut([html]);
		return 0;
	}
	try {
		writeFileSync(String(output), html);
	} catch (error) {
		throw new UsageError(`${output}: ${reasonOf(error)}`);
	}
	return 0;
}
