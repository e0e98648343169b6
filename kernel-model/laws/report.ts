// SPDX-License-Identifier: GPL-2.0-or-later
/** What `laws` says of a cause, and how results of shards are joined. */
import { compareVersions } from "../check/matrix.js";
import { readScript } from "../check/player.js";
import { VERSION_NAMES } from "../machine/versions.js";
import type { Cause } from "./causes.js";
import { ALL_LAWS } from "./laws.js";

/** A cause as JSON. */
export interface Report {
	/** The law that the script breaks. */
	law: string;
	/** All laws that programs with this cause break. */
	laws: string[];
	rules: string[];
	harm: string;
	protocol: string;
	/** The newest version that has it, and all. */
	kernel: string;
	kernels: string[];
	script: string;
	/** What the last answer of the script should be. */
	expected: string;
	cases: number;
	at: string;
	file: string;
	line: number;
	/** Whether a user gets what another user holds. */
	users: boolean;
	/** Names of the behaviour changes that make the script's answers differ between versions. */
	changes: string[];
	/** Releases of kernels that gave every answer of the script. */
	confirmed: string[];
}

type FieldType = "a text" | "texts" | "a number" | "true or false";

const FIELDS: Readonly<Record<keyof Report, FieldType>> = {
	law: "a text",
	laws: "texts",
	rules: "texts",
	harm: "a text",
	protocol: "a text",
	kernel: "a text",
	kernels: "texts",
	script: "a text",
	expected: "a text",
	cases: "a number",
	at: "a text",
	file: "a text",
	line: "a number",
	users: "true or false",
	changes: "texts",
	confirmed: "texts",
};

function isOf(type: FieldType, value: unknown): boolean {
	if (type === "texts")
		return Array.isArray(value) && value.every((one) => typeof one === "string");
	if (type === "a text") return typeof value === "string";
	return typeof value === (type === "a number" ? "number" : "boolean");
}

/** What is wrong with a report that was read: "laws: expected texts"; null if nothing is. */
export function faultOf(report: object): string | null {
	for (const [field, type] of Object.entries(FIELDS)) {
		if (!isOf(type, (report as Record<string, unknown>)[field]))
			return `${field}: expected ${type}`;
	}
	return null;
}

/** Laws in the order in which they are shown. */
function ordered(ids: Iterable<string>): string[] {
	const set = new Set(ids);
	return ALL_LAWS.map(({ id }) => id).filter((id) => set.has(id));
}

function rulesOf(ids: readonly string[]): string[] {
	return ALL_LAWS.filter(({ id }) => ids.includes(id)).map(({ rule }) => rule);
}

/** The report of a cause. `changes` says whether the versions are compared, which takes a second. */
export function reportOf(cause: Cause, changes: boolean): Report {
	const laws = ordered(cause.laws.map(({ id }) => id));
	return {
		law: cause.law.id,
		laws,
		rules: rulesOf(laws),
		harm: cause.law.harm,
		protocol: cause.protocol,
		kernel: cause.versions.at(-1) ?? "",
		kernels: [...cause.versions],
		script: cause.script,
		expected: cause.expected,
		cases: cause.cases,
		at: cause.at === "" ? "unknown" : cause.at,
		file: cause.file,
		line: cause.line,
		users: cause.users,
		changes: changes ? changesOf(cause.script) : [],
		confirmed: [],
	};
}

function changesOf(script: string): string[] {
	const found = new Set<string>();
	for (const { changes } of compareVersions(readScript(script, "script"))) {
		for (const change of changes) found.add(change);
	}
	return [...found];
}

/** Joins reports of the same cause: the same protocol, function and line. */
export function joined(reports: readonly Report[]): Report[] {
	const causes = new Map<string, Report>();
	for (const report of reports) {
		const key = `${report.protocol} ${report.at} ${report.file} ${report.line}`;
		const other = causes.get(key);
		if (other === undefined) {
			causes.set(key, report);
			continue;
		}
		const [small, large] =
			report.script.length < other.script.length ? [report, other] : [other, report];
		const laws = ordered([...small.laws, ...large.laws]);
		const kernels = VERSION_NAMES.filter(
			(name) => small.kernels.includes(name) || large.kernels.includes(name),
		);
		causes.set(key, {
			...small,
			laws,
			rules: rulesOf(laws),
			kernels,
			kernel: kernels.at(-1) ?? "",
			cases: small.cases + large.cases,
			users: small.users || large.users,
			changes: [...new Set([...small.changes, ...large.changes])],
			confirmed: [...new Set([...small.confirmed, ...large.confirmed])],
		});
	}
	return [...causes.values()];
}
