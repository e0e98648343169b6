// SPDX-License-Identifier: GPL-2.0-or-later
/** Text that programs of every language have. Text of a script never leaves a comment or a literal. */
import type { Argument, CallStep, Plan, Step } from "./plan.js";

/** What a program can be. */
export type Language = "c" | "python" | "kselftest";

/** Most comments of a script that a program repeats, and characters of each. */
const COMMENTS = 20;
const WIDTH = 200;

/** A line of a script's comment that cannot end a comment of a program. */
function harmless(text: string): string {
	return text
		.slice(0, WIDTH)
		.replace(/[^ -~]/g, "?")
		.replace(/\*(?=\/)/g, "* ")
		.replace(/\/(?=\*)/g, "/ ")
		.replace(/[\\?/\s]+$/, "");
}

/** The lines of the comment above a program. */
export function headOf(plan: Plan, usage: readonly string[]): string[] {
	const { title, comments, version, sources } = plan;
	const model = `the answers of Linux ${version}, as the model gives them`;
	const whose = sources.has("script")
		? sources.has("model")
			? `those of the script, and ${model}`
			: "those of the script"
		: model;
	return [
		`${harmless(title)}: system calls, and the results that they should have.`,
		"",
		...comments.slice(0, COMMENTS).map(harmless),
		...(comments.length > 0 ? [""] : []),
		"inet-port-model wrote this program. The expected results are",
		`${whose}.`,
		"",
		...usage,
	];
}

/** A name that every language takes. */
export function identifier(text: string): string {
	const word = text.replace(/\.[a-z]+$/, "").replace(/[^A-Za-z0-9]+/g, "_");
	return /^[A-Za-z]/.test(word) ? word : `script_${word}`;
}

export function calls({ steps }: Plan): CallStep[] {
	return steps.flatMap((step) => (step.kind === "call" ? [step] : []));
}

/** All arguments of a plan. */
export function argumentsOf(plan: Plan): Argument[] {
	return calls(plan).flatMap(({ args }) => args);
}

/** The constants that a plan names. */
export function namesOf(plan: Plan): string[] {
	const names = argumentsOf(plan).flatMap((arg) => (arg.kind === "names" ? arg.names : []));
	return [...new Set(names)].filter((name) => name !== "NULL").sort();
}

/** A step of `ip` that gives a device an IPv6 address. A worker of the kernel adds its routes. */
function addsIpv6(step: Step | undefined): boolean {
	if (step?.kind !== "ip") return false;
	const { words } = step;
	return words[0] === "link" || (words[0] === "addr" && words.some((word) => word.includes(":")));
}

/** Milliseconds that this worker gets. */
export const WORKER = 300;

/** Whether the worker must have run before step `at`. */
export function worked(steps: readonly Step[], at: number): boolean {
	let before = false;
	for (let i = at - 1; i >= 0 && steps[i]?.kind === "ip"; i--) before ||= hasIpv6(steps[i]);
	return before && steps[at]?.kind !== "ip";
}

function hasIpv6(step: Step | undefined): boolean {
	return addsIpv6(step) && step?.kind === "ip" && step.words.some((word) => word.includes(":"));
}

/** The process of a step. Set-up commands are those of the first one. */
export function taskOf(step: Step): number {
	return "task" in step ? step.task : 0;
}

/** The two ports of an int as IP_LOCAL_PORT_RANGE takes them; null for another option. */
export function rangeOf(args: readonly Argument[], at: number): [number, number] | null {
	const option = args[at - 1];
	const arg = args[at];
	if (option?.kind !== "names" || !option.names.includes("IP_LOCAL_PORT_RANGE")) return null;
	if (arg?.kind !== "ints" || arg.ints.length !== 1) return null;
	const [range = 0] = arg.ints;
	return [range & 0xffff, range >>> 16];
}
