// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The catalogue of the causes that are known: CATALOGUE.md. It is written by `laws --write`, and
 * `laws` reads it to tell what is new.
 */
import { formatVersions } from "../check/matrix.js";
import { VERSION_NAMES } from "../machine/versions.js";
import type { Report } from "./report.js";

/** A protocol and a kernel function at which laws are broken. */
export interface Entry {
	readonly protocol: string;
	readonly at: string;
	readonly laws: readonly string[];
	readonly versions: readonly string[];
	/** Releases of kernels that gave every answer of the script. */
	readonly confirmed: readonly string[];
	readonly script: string;
}

class CatalogueError extends Error {}

/** Versions as formatVersions() writes them. */
function readVersions(text: string): string[] {
	return text.split(", ").flatMap((part) => {
		const [from = "", to = from] = part.split(" – ");
		const [first, last] = [VERSION_NAMES.indexOf(from), VERSION_NAMES.indexOf(to)];
		if (first < 0 || last < first) throw new CatalogueError(`unknown versions ${part}`);
		return VERSION_NAMES.slice(first, last + 1);
	});
}

/** The two parts of a catalogue: the causes, and the sections after them. */
export function partsOf(text: string): [causes: string, tail: string] {
	const at = text.indexOf("\n# ", 2);
	return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at)];
}

/** The entries of a catalogue. Throws CatalogueError. */
export function readCatalogue(text: string): Entry[] {
	return text
		.split(/^## /m)
		.slice(1)
		.filter((section) => /^\w+: \w/.test(section))
		.map((section) => {
			const [, protocol = "", at = ""] = /^(\w+): (\w+)/.exec(section) ?? [];
			const field = (name: string) => new RegExp(`^- ${name}: (.*)$`, "m").exec(section)?.[1] ?? "";
			const confirmed = field("Confirmed by");
			return {
				protocol,
				at,
				laws: field("Laws").split(", "),
				versions: readVersions(field("Versions")),
				confirmed: confirmed === "" || confirmed.startsWith("no ") ? [] : confirmed.split(", "),
				script: /```\n(.*?)```/s.exec(section)?.[1] ?? "",
			};
		});
}

/** What a report has that the catalogue lacks; null if it has all. */
export function newIn(entries: readonly Entry[], report: Report): string | null {
	const same = entries.filter(
		({ protocol, at }) => protocol === report.protocol && at === report.at,
	);
	if (same.length === 0) return `${report.protocol}: ${report.at} breaks no law in the catalogue`;
	for (const law of report.laws) {
		if (!same.some(({ laws }) => laws.includes(law))) {
			return `${report.protocol}: ${report.at} does not break "${law}" in the catalogue`;
		}
	}
	for (const kernel of report.kernels) {
		if (!same.some(({ versions }) => versions.includes(kernel))) {
			return `${report.protocol}: ${report.at} breaks no law on ${kernel} in the catalogue`;
		}
	}
	return null;
}

const HEAD = `# Catalogue of broken laws

\`inet-port-model laws --write\` writes this file; \`laws\` compares with it. Each section is a
cause: a step of the kernel at which programs break laws. The script is the smallest program, with
the answers of the model in the newest version that has the cause; its last answer is the one that
should be another. "Confirmed by" names the kernels that gave every answer of the script. A cause
that no kernel confirmed is what the model says, and no more.

A cause that "touches users" lets a user have what another user holds. The script shows it with one
user. See .github/CONTRIBUTING.md for where such a fault is reported.
`;

/** The text of the catalogue. `tail` holds further sections. */
export function catalogueText(reports: readonly Report[], tail: string): string {
	const sections = reports.map((report) => {
		const { protocol, at, file, laws, rules, harm, kernels, cases, users, changes } = report;
		const confirmed = report.confirmed.length === 0 ? "no kernel" : report.confirmed.join(", ");
		return [
			`## ${protocol}: ${at}, ${file}`,
			"",
			...rules.map((rule) => `${rule}.`),
			"",
			harm,
			"",
			`- Laws: ${laws.join(", ")}`,
			`- Versions: ${formatVersions(kernels)}`,
			...(changes.length > 0 ? [`- Changes: ${changes.join(", ")}`] : []),
			`- Programs: ${cases}`,
			`- Confirmed by: ${confirmed}`,
			...(users ? ["- Touches users."] : []),
			`- The last answer should be: ${report.expected}`,
			"",
			"```",
			`${report.script}\`\`\``,
			"",
		].join("\n");
	});
	return `${HEAD}\n${sections.join("\n")}${tail}`;
}
