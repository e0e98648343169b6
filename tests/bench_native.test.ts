// SPDX-License-Identifier: GPL-2.0-or-later
/** The searches in C, beside which `npm run bench` measures the model. No time is checked. */
import { afterAll, describe, expect, it } from "vitest";
import { NativeError, NativeSearch, nativeCases } from "../bench/native/native.js";
import { WORKLOADS } from "../bench/workload.js";

let native: NativeSearch | null = null;
let reason = "";
try {
	native = NativeSearch.compile();
} catch (error) {
	if (!(error instanceof NativeError)) throw error;
	reason = ` (${error.message})`;
}
afterAll(() => native?.end());

describe.skipIf(native === null)(`the searches in C${reason}`, () => {
	for (const workload of WORKLOADS) {
		const cases = nativeCases(workload, 600);

		it(`choose the model's ports while a range fills by ${workload.name}`, () => {
			expect(new Set(cases.fill.ports).size).toBe(600);
			expect(native?.run(workload, "fill", cases.fill, 2)?.times).toHaveLength(2);
			expect(native?.run(workload, "fill", cases.fill, 2, "remember")?.times).toHaveLength(2);
		});

		it(`find no port in a range that is full by ${workload.name}`, () => {
			expect(cases.exhausted.ports).toEqual([0]);
			expect(native?.run(workload, "exhausted", cases.exhausted, 3)?.times).toHaveLength(3);
			const again = native?.run(workload, "exhausted", cases.exhausted, 3, "remember");
			expect(again?.times).toHaveLength(3);
		});

		it(`are told from the model's if one port differs, by ${workload.name}`, () => {
			const ports = cases.fill.ports.map((port, n) => (n === 450 ? port + 1 : port));
			const altered = { tables: cases.fill.tables, ports };
			expect(() => native?.run(workload, "fill", altered, 1)).toThrow(/call 451: the model chose/);
		});
	}
});
