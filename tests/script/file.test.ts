// SPDX-License-Identifier: GPL-2.0-or-later
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { FileError, LONGEST_LINE, openFile } from "../../kernel-model/script/file.js";
import { ahead, parseScript, readEvents } from "../../kernel-model/script/strace.js";
import type { CallLine, ReadEvent } from "../../kernel-model/script/syntax.js";

const folder = mkdtempSync(join(tmpdir(), "script-file-"));
afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string, data: string | Uint8Array): string {
	const path = join(folder, name);
	writeFileSync(path, data);
	return path;
}

async function linesOf(path: string): Promise<string[]> {
	const file = await openFile(path);
	try {
		return [...file.lines()];
	} finally {
		file.close();
	}
}

describe("a file", () => {
	test("is read line by line, also if a line crosses the border of two blocks", async () => {
		const lines = Array.from(
			{ length: 5000 },
			(_, i) => `write(1, "${"x".repeat(i % 997)}ü") = ${i}`,
		);
		expect(await linesOf(written("plain", `${lines.join("\n")}\n`))).toEqual(lines);
		expect(await linesOf(written("no-end", lines.join("\n")))).toEqual(lines);
		expect(await linesOf(written("empty", ""))).toEqual([]);
	});

	test("may be compressed in one or several gzip members, whatever its name is", async () => {
		const lines = Array.from({ length: 20000 }, (_, i) => `close(${i}) = 0`);
		const [first, second] = [lines.slice(0, 7000), lines.slice(7000)].map((part) =>
			gzipSync(`${part.join("\n")}\n`),
		);
		expect(await linesOf(written("c", Buffer.concat([first, second])))).toEqual(lines);
	});

	test("with a line that is too long is refused, also if it is compressed", async () => {
		const nothing = Buffer.alloc(LONGEST_LINE * 3);
		await expect(linesOf(written("nul", nothing))).rejects.toThrow(FileError);
		await expect(linesOf(written("nul.gz", gzipSync(nothing)))).rejects.toThrow(FileError);
		const long = `a(${"1, ".repeat(400_000)}2) = 0`;
		expect(await linesOf(written("long", long))).toEqual([long]);
	});

	test("that is compressed and cut off is refused", async () => {
		const whole = gzipSync(Buffer.from("close(3) = 0\n".repeat(1000)));
		await expect(linesOf(written("cut.gz", whole.subarray(0, -9)))).rejects.toThrow();
	});
});

const SPLIT = `1 accept(3,  <unfinished ...>
2 close(4) = 0
1 <... accept resumed>NULL, NULL) = 5
1 close(5) = 0
`;

const shown = (events: Iterable<ReadEvent>): string[] =>
	[...events].map((event) => {
		if (event.kind === "line" || event.kind === "pid") return event.kind;
		const { name, result, pid } = event.call;
		return `${event.kind} ${pid} ${name} ${result?.value ?? "?"}`;
	});

/** The call at the time when the reader returned its event. */
function* snapshots(events: Iterable<ReadEvent>): Generator<ReadEvent> {
	for (const event of events) {
		yield event.kind === "begin" ? { ...event, call: { ...event.call } } : event;
	}
}

describe("the reader of a script", () => {
	const events = (text: string) => readEvents(text.split("\n").slice(0, -1), "f");

	test("returns the begin and the end of each call in the order of the file", () => {
		expect(shown(snapshots(events(SPLIT)))).toEqual([
			"begin 1 accept ?",
			"begin 2 close 0",
			"end 2 close 0",
			"end 1 accept 5",
			"begin 1 close 0",
			"end 1 close 0",
		]);
	});

	test("returns the arguments of the first half at the begin of a call", () => {
		const [first] = snapshots(events(SPLIT));
		expect(first).toMatchObject({ kind: "begin", call: { args: [{ value: { value: 3 } }] } });
	});

	test("holds events back until calls have ended, but at most the allowed number", () => {
		expect(shown(snapshots(ahead(events(SPLIT), 100)))[0]).toBe("begin 1 accept 5");
		expect(shown(snapshots(ahead(events(SPLIT), 2)))[0]).toBe("begin 1 accept ?");
		expect(shown(ahead(events(SPLIT), 0))).toEqual(shown(events(SPLIT)));
	});

	test("ends a call that never returns when its process or the file ends", () => {
		const text =
			"1 accept(3,  <unfinished ...>\n2 read(4,  <unfinished ...>\n1 +++ exited with 0 +++\n";
		expect(shown(snapshots(events(text)))).toEqual([
			"begin 1 accept ?",
			"begin 2 read ?",
			"end 1 accept ?",
			"line",
			"end 2 read ?",
		]);
	});

	test("reports the pid of earlier lines without a pid", () => {
		const text = "a() = 2\nstrace: Process 2 attached\n[pid  1] b() = 0\n";
		const kinds = [...events(text)].map(({ kind }) => kind);
		expect(kinds).toEqual(["begin", "end", "line", "pid", "begin", "end"]);
		expect([...events(text)]).toContainEqual({ kind: "pid", pid: 1 });
	});

	/** Compares all fields of a call and of its arguments. `whole` has the names of the fields. */
	const same = (read: unknown, whole: unknown): unknown => {
		if (whole instanceof Uint8Array) return read;
		if (typeof whole !== "object" || whole === null) return read;
		const fields = read as Record<string, unknown>;
		if (Array.isArray(whole)) {
			const items = read as unknown[];
			return items.length === whole.length ? whole.map((item, i) => same(items[i], item)) : items;
		}
		return Object.fromEntries(
			Object.entries(whole).map(([key, value]) => [key, same(fields[key], value)]),
		);
	};

	test.each([
		["split", SPLIT],
		[
			"long before",
			[
				"1 10.000000 close(3)                = 0",
				'1 10.100000 sendto(4<TCP:[1]>, "a\\r\\n\\"\\0\\377) = 5"..., 78, 0, NULL, 0) = 78 <0.000012>',
				'1 10.200000 connect(4, {sa_family=AF_UNIX, sun_path=@"x"}, 16) = -1 EAGAIN (Try again)',
				"1 10.300000 bind(4, {sa_family=AF_INET, 16) = 0",
				'1 10.400000 write(1, "\\400", 1) = 1',
				"1 10.500000 epoll_wait(5, [], 1, 0) = ?",
			]
				.join("\n")
				.concat("\n"),
		],
	])("returns the same calls as the parser of whole scripts: %s", (_, text) => {
		const begun = [...events(text)].flatMap((event): CallLine[] =>
			event.kind === "begin" ? [event.call] : [],
		);
		const { lines } = parseScript(text, "f");
		expect(begun.length).toBe(lines.length);
		expect(same(begun, lines)).toEqual(lines);
	});

	test("returns arguments again that were forgotten", () => {
		const [first] = events("1 10.000000 bind(7<x>, NULL, 16) = 0\n");
		if (first?.kind !== "begin") throw new Error("no call");
		const { call } = first;
		expect(call.firstFd).toBe(7);
		const { args } = call;
		call.forgetArgs?.();
		expect(call.args).not.toBe(args);
		expect(call.args).toEqual(args);
	});
});
