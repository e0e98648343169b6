// SPDX-License-Identifier: GPL-2.0-or-later
/** The parts of the page that need no browser. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pageHtml, scriptData } from "../../kernel-model/page/document.js";
import {
	countStates,
	layoutOf,
	noCells,
	PORT_FREE,
	PORT_STATES,
	portAt,
	portWords,
} from "../../kernel-model/page/grid.js";
import { fragmentOf, linkedIn } from "../../kernel-model/page/link.js";
import { paintCells, pixelOf } from "../../kernel-model/page/paint.js";
import { NO_SETTING } from "../../kernel-model/page/setting.js";
import { shortLine } from "../../kernel-model/page/short.js";

describe("the grid", () => {
	it("has the largest cells that fit, and finds the port of each of them", () => {
		const size = fc.integer({ min: 100, max: 2000 });
		fc.assert(
			fc.property(fc.nat(65535), fc.nat(65535), size, size, (a, b, width, height) => {
				const [low, high] = a < b ? [a, b] : [b, a];
				const grid = layoutOf(low, high, width, height, 50);
				expect(grid.columns * grid.size).toBeLessThanOrEqual(width);
				if (grid.size > 1) expect(grid.rows * grid.size).toBeLessThanOrEqual(height);
				expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(high - low + 1);
				const port = low + ((a + b) % (high - low + 1));
				const x = ((port - low) % grid.columns) * grid.size;
				const y = Math.floor((port - low) / grid.columns) * grid.size;
				expect(portAt(grid, x + 0.5, y + 0.5)).toBe(port);
				expect(portAt(grid, grid.columns * grid.size + 1, 0)).toBeNull();
			}),
			{ seed: 1, numRuns: 300 },
		);
	});

	it("counts each port of the range once", () => {
		const cells = noCells();
		cells.states.fill(3, 40000, 40010);
		expect(countStates(cells, 39999, 40010)).toEqual([2, 0, 0, 10, 0, 0]);
		expect(portWords(cells, 40000)).toBe("port 40000: listening");
		[cells.states[40001], cells.left[40001], cells.fast[40001]] = [5, 60, 4];
		const words = "TIME_WAIT, ends in 60 s, only connect() uses its bucket";
		expect(portWords(cells, 40001)).toBe(`port 40001: ${words}`);
	});

	it("tells states apart without their colours", () => {
		// Every state has the same colour, so only the patterns differ.
		const ink = pixelOf("#000000");
		const palette = {
			states: PORT_STATES.map((_, state) => (state === PORT_FREE ? pixelOf("#ffffff") : ink)),
			background: pixelOf("#ffffff"),
			tried: pixelOf("#ff0000"),
		};
		const seen = new Set<string>();
		for (const state of PORT_STATES.keys()) {
			for (const tried of [0, 1]) {
				const cells = noCells();
				cells.states[7] = state;
				const passed = new Uint8Array(65536);
				passed[7] = tried;
				const pixels = new Uint32Array(20 * 20);
				paintCells(pixels, 20, layoutOf(7, 7, 20, 20, 20), 20, cells, passed, palette);
				seen.add(pixels.join());
			}
		}
		expect(seen.size).toBe(2 * PORT_STATES.length);
	});
});

describe("a link", () => {
	it("gives back what it holds", async () => {
		const linked = fc.record({
			text: fc.string({ unit: "binary", maxLength: 300 }),
			version: fc.option(fc.constantFrom("6.3", "7.3")),
			beside: fc.option(fc.constantFrom("6.12")),
			seed: fc.nat(0xffffffff),
			line: fc.nat(1000),
			setting: fc.record({
				uid: fc.option(fc.nat()),
				alone: fc.boolean(),
				host: fc.array(fc.record({ file: fc.string(), text: fc.string() }), { maxLength: 2 }),
			}),
		});
		await fc.assert(
			fc.asyncProperty(linked, async (each) => {
				const fragment = await fragmentOf(each);
				expect(fragment).toMatch(/^#s=[\w-]+$/);
				expect(await linkedIn(fragment)).toEqual(each);
			}),
			{ seed: 1, numRuns: 100 },
		);
	});

	it.each(["", "#", "#s=", "#s=!!!", "#s=AAAA", "#other", `#s=${btoa("[1]")}`])(
		"is nothing if it is damaged: %s",
		async (fragment) => {
			expect(await linkedIn(fragment)).toBeNull();
		},
	);

	it("is nothing if it holds more than a script can be", async () => {
		const bomb = { text: "a".repeat(9 << 20), version: null, beside: null, seed: 1, line: 0 };
		expect(await linkedIn(await fragmentOf({ ...bomb, setting: NO_SETTING }))).toBeNull();
	});
});

describe("the document", () => {
	const setting = NO_SETTING;
	const start = { file: null, text: null, version: null, beside: null, seed: 1, setting };
	const sha256 = (text: string) => createHash("sha256").update(text).digest("base64");

	it("holds a script that cannot end its element, whatever is in it", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary" }), (text) => {
				const data = scriptData({ text: `${text}</script><!--\u2028\u2029&` });
				expect(data).not.toMatch(/[<>&]|[^ -~]/);
				expect(JSON.parse(data).text.startsWith(text)).toBe(true);
			}),
			{ seed: 1 },
		);
	});

	it("names its file as text", () => {
		const html = pageHtml({
			program: "0",
			model: "1",
			style: "",
			start: { ...start, file: "<img src=x> é😀" },
			sha256,
		});
		expect(html).toContain("<title>&lt;img src=x&gt; &#233;&#128512; &ndash; port search</title>");
		expect(html).not.toContain("<img");
		expect(html).toMatch(/^[\n -~]*$/);
	});

	it("forbids every request, and every script but its own", () => {
		const parts = { program: "let a = 1;", model: "let b = 2;", style: "b { }", start, sha256 };
		const html = pageHtml(parts);
		const [, policy = ""] = /Content-Security-Policy" content="([^"]*)"/.exec(html) ?? [];
		expect(policy.split("; ")).toEqual([
			"default-src 'none'",
			`script-src 'sha256-${sha256("let a = 1;")}' 'sha256-${sha256("let b = 2;")}'`,
			`style-src 'sha256-${sha256("b { }")}'`,
			"worker-src blob:",
			"base-uri 'none'",
			"form-action 'none'",
		]);
	});

	it.each(["</script>", "</SCRIPT >", "<!-- x", "<script>"])(
		"refuses a program with %s",
		(part) => {
			const bad = `let a = "${part}";`;
			const parts = { program: "0", model: "1", style: "", start, sha256 };
			expect(() => pageHtml({ ...parts, program: bad })).toThrow(/markup/);
			expect(() => pageHtml({ ...parts, model: bad })).toThrow(/markup/);
		},
	);
});

describe("the short form of a line", () => {
	it.each([
		[
			'bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("192.0.2.10")}, 16) = 0',
			"bind(3, 192.0.2.10:0)",
		],
		[
			'173   16:58:16.534338 connect(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 EINPROGRESS (Operation now in progress)',
			"connect(3, [::1]:80)",
		],
		[
			'[pid 7] accept(3, {sa_family=AF_INET, sin_port=htons(40000), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 4',
			"accept(3, 127.0.0.1:40000, [128 => 16])",
		],
		[
			'setsockopt(3, SOL_IP, 0x33 /* IP_??? */, "\x00\x80\xff\x80", 4) = 0',
			'setsockopt(3, SOL_IP, IP_LOCAL_PORT_RANGE, "\x00\x80\xff\x80", 4)',
		],
		["# a = (b) = 3", "# a = (b) = 3"],
		[
			'$ sysctl -w net.ipv4.ip_local_port_range="1 2"',
			'$ sysctl -w net.ipv4.ip_local_port_range="1 2"',
		],
	])("has addresses as ADDRESS:PORT and no result: %s", (text, short) => {
		expect(shortLine(text)).toBe(short);
	});
});
