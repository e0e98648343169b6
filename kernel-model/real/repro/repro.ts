// SPDX-License-Identifier: GPL-2.0-or-later
/** Makes programs of scripts: a plan, and a printer for each language. */
import { printC, printKselftest } from "./c.js";
import type { Plan } from "./plan.js";
import { printPython } from "./python.js";
import type { Language } from "./text.js";

export { type PlanOptions, planOf } from "./build.js";
export { type Check, checksOf, type Plan } from "./plan.js";
export type { Language } from "./text.js";

export const LANGUAGES: readonly Language[] = ["c", "python", "kselftest"];

/** The program of a plan, as text. */
export function programOf(plan: Plan, language: Language): string {
	if (language === "python") return printPython(plan);
	return language === "c" ? printC(plan) : printKselftest(plan);
}
