// SPDX-License-Identifier: GPL-2.0-or-later
/** Arguments that are read once for calls with the same text. */
import { describe, expect, it } from "vitest";
import { type CallLine, parseScript } from "../../kernel-model/script/strace.js";

function calls(...lines: string[]): CallLine[] {
	const { lines: read } = parseScript(lines.join("\n"), "f");
	return read.filter((line): line is CallLine => line.kind === "call");
}

const BIND =
	'bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16)';

describe("a call with the text of an earlier one", () => {
	it("has its arguments, and a result of its own", () => {
		const [first, second] = calls(`${BIND} = 0`, `${BIND}   = -1 EADDRINUSE (in use) <0.000010>`);
		expect(second?.args).toBe(first?.args);
		expect([first?.result?.value, second?.result?.errno]).toEqual([0, "EADDRINUSE"]);
		expect(second?.text).toBe(`${BIND} = -1 EADDRINUSE (in use) <0.000010>`);
	});

	it("has arguments of its own if they stand in other columns", () => {
		const columns = calls(`1 ${BIND} = 0`, `10 ${BIND} = 0`).map(
			({ args }) => args[1]?.value.column,
		);
		expect(columns).toEqual([11, 12]);
	});

	it("is an error at its own line if only its result cannot be read", () => {
		expect(() => calls(`${BIND} = 0`, `${BIND} = x`)).toThrow(
			/^f:2:\d+: expected a number or '\?'/,
		);
	});

	it("may have a result behind a comment with a sign of equality", () => {
		const odd = "close(3 /* a) = b */)";
		expect(calls(`${odd} = 0`, `${odd} = 7`).map(({ result }) => result?.value)).toEqual([0, 7]);
	});
});

describe("a plain value", () => {
	it("is read like every other value, be it a number, a name or NULL", () => {
		const [call] = calls("f(0, 007, 123456789012345, 1234567890123456, NULL, A_1, [1], {a=2})");
		expect(
			call?.args.map(({ value }) => (value.kind === "int" ? value.value : value.kind)),
		).toEqual([0, 7, 123456789012345, 1234567890123456, "null", "flags", "array", "struct"]);
	});

	it("counts as nested", () => {
		const nested = (depth: number) => `f(${"[".repeat(depth)}1${"]".repeat(depth)})`;
		expect(calls(nested(99)).length).toBe(1);
		expect(() => calls(nested(100))).toThrow(/at most 100 nested values/);
	});
});
