// SPDX-License-Identifier: GPL-2.0-or-later
/** `conflicts`: the tables of who may bind to a port that a socket has. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EADDRINUSE } from "../../include/uapi/asm-generic/errno.js";
import { type Atlas, answerWord, atlasOf, tablesOf } from "../../kernel-model/laws/atlas.js";
import { differencesOf, printDifferences } from "../../kernel-model/laws/atlas_diff.js";
import { cover, inBox } from "../../kernel-model/laws/boxes.js";
import type { State } from "../../kernel-model/laws/pairs.js";
import type { Protocol } from "../../kernel-model/laws/protocols.js";
import { cli } from "./command.js";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
afterAll(() => rmSync(folder, { recursive: true }));

const atlases = new Map<string, Atlas>();
function atlas(version: string, protocol: Protocol = "tcp"): Atlas {
	const key = `${version} ${protocol}`;
	const found = atlases.get(key) ?? atlasOf(version, protocol);
	atlases.set(key, found);
	return found;
}

/**
 * The answer to a pair. A socket is a place, A for SO_REUSEADDR, P for SO_REUSEPORT, a device after
 * %, and a state; the newcomer is of another user if it ends with "other", and listens with
 * "listens".
 */
function answer(from: Atlas, one: string, two: string): string {
	const [place, options, state] = one.split("/");
	const [toPlace, toOptions, who = ""] = two.split("/");
	const like = (
		socket: (typeof from.firsts)[number] | (typeof from.seconds)[number],
		name: string | undefined,
		set: string | undefined,
	) => {
		const seat = socket.place.name + (socket.device === "" ? "" : `%${socket.device}`);
		const has = (socket.options.reuse ? "A" : "") + (socket.options.reuseport ? "P" : "");
		return seat === name && has === set;
	};
	const i = from.firsts.findIndex(
		(first) => like(first, place, options) && first.state === (state as State),
	);
	const j = from.seconds.findIndex(
		(second) =>
			like(second, toPlace, toOptions) &&
			second.other === who.includes("other") &&
			second.listens === who.includes("listens"),
	);
	return answerWord(from.answers[i]?.[j] ?? -1);
}

describe("the answer to a pair of TCP sockets", () => {
	for (const version of ["6.3", "7.3"]) {
		it(`in ${version} lets SO_REUSEADDR share with a bound socket, not with a listener`, () => {
			const found = atlas(version);
			expect(answer(found, "0.0.0.0/A/bound", "0.0.0.0/A/")).toBe("yes");
			expect(answer(found, "0.0.0.0/A/listening", "0.0.0.0/A/")).toBe("no");
			expect(answer(found, "0.0.0.0/A/bound", "0.0.0.0/A/other")).toBe("yes");
			expect(answer(found, "0.0.0.0/A/bound", "0.0.0.0//")).toBe("no");
			expect(answer(found, "0.0.0.0//bound", "0.0.0.0/A/")).toBe("no");
		});

		it(`in ${version} lets SO_REUSEPORT share with sockets of the same user`, () => {
			const found = atlas(version);
			for (const state of ["bound", "listening", "connected"]) {
				expect(answer(found, `127.0.0.1/P/${state}`, "0.0.0.0/P/listens")).toBe("yes");
				expect(answer(found, `127.0.0.1/P/${state}`, "0.0.0.0/P/other listens")).toBe("no");
			}
			expect(answer(found, "127.0.0.1/P/TIME_WAIT", "0.0.0.0/P/other listens")).toBe("yes");
		});

		it(`in ${version} refuses the port of a TIME_WAIT socket unless both have an option`, () => {
			const found = atlas(version);
			expect(answer(found, "127.0.0.1//TIME_WAIT", "0.0.0.0/A/listens")).toBe("no");
			expect(answer(found, "127.0.0.1/A/TIME_WAIT", "0.0.0.0//listens")).toBe("no");
			expect(answer(found, "127.0.0.1/A/TIME_WAIT", "0.0.0.0/A/listens")).toBe("yes");
		});

		it(`in ${version} says that an IPv4 wildcard meets a dual-stack one`, () => {
			const found = atlas(version);
			expect(answer(found, "0.0.0.0//bound", "[::]//")).toBe("no");
			expect(answer(found, "[::]//bound", "0.0.0.0//")).toBe("no");
			expect(answer(found, "0.0.0.0//bound", "[::] V6ONLY//")).toBe("yes");
		});

		it(`in ${version} keeps sockets of different devices apart`, () => {
			const found = atlas(version);
			expect(answer(found, "0.0.0.0%lo//bound", "0.0.0.0%dummy0//")).toBe("yes");
			expect(answer(found, "0.0.0.0%lo//bound", "0.0.0.0%lo//")).toBe("no");
			expect(answer(found, "0.0.0.0%lo//bound", "0.0.0.0//")).toBe("no");
		});
	}

	it("after a dual-stack socket is yes for an IPv4 address in 6.3 and no in 6.12", () => {
		expect(answer(atlas("6.3"), "[::]//bound", "127.0.0.1//")).toBe("yes");
		expect(answer(atlas("6.12"), "[::]//bound", "127.0.0.1//")).toBe("no");
	});
});

describe("the tables", () => {
	it("have the answer of every pair", () => {
		for (const [version, protocol] of [
			["6.3", "tcp"],
			["7.3", "udp"],
			["7.3", "sctp"],
		] as const) {
			const found = atlas(version, protocol);
			const { groups, meetings, rules, deviceMeetings } = tablesOf(found);
			expect(deviceMeetings.flat().some(({ odd }) => odd)).toBe(false);
			let looked = 0;
			for (const [i, first] of found.firsts.entries())
				for (const [j, second] of found.seconds.entries()) {
					const real = found.answers[i]?.[j] ?? -1;
					if (real < 0) continue;
					looked++;
					const group = (socket: { place: (typeof first)["place"] }) =>
						groups.findIndex(({ places }) => places.includes(socket.place));
					const letter = meetings[group(first)]?.[group(second)]?.letter;
					const apart =
						first.device !== "" && second.device !== "" && first.device !== second.device;
					const table = rules.find((its) => its.letter === letter);
					let told = 0;
					if (table !== undefined && !apart) {
						const option = ({ options }: typeof first | typeof second) =>
							(options.reuse ? 1 : 0) + (options.reuseport ? 2 : 0);
						const row = table.rows.findIndex(
							({ title, options }) =>
								title.includes(first.state) && options.includes(option(first)),
						);
						const user = second.other ? "another user" : "same user";
						const does = second.listens ? ", listens" : ", binds";
						const column = table.columns.findIndex(
							({ title, options }) =>
								(title.includes(user) || title.includes("any user")) &&
								(table.listensAlike || title.endsWith(does)) &&
								options.includes(option(second)),
						);
						told = table.cells[row]?.[column] ?? -1;
					}
					if (told !== real) expect.fail(`${JSON.stringify([first, second])}: ${told}, ${real}`);
				}
			expect(looked).toBe(found.pairs);
		}
	});

	it("of a correct version follow the rules of addresses", () => {
		const { oddities, mappedAlike, rules } = tablesOf(atlas("7.3"));
		expect(oddities).toEqual([]);
		expect(mappedAlike).toBe(true);
		expect(rules).toHaveLength(1);
	});

	it("come with the rules in words", () => {
		expect(tablesOf(atlas("7.3")).rules[0]?.sentences).toEqual([
			{
				answer: 0,
				when: [
					"both have SO_REUSEADDR and the first socket is not listening",
					"both have SO_REUSEPORT and the same user",
					"both have SO_REUSEPORT and the first socket is in TIME_WAIT",
				],
			},
		]);
		expect(tablesOf(atlas("7.3", "udp")).rules[0]?.sentences).toEqual([
			{
				answer: 0,
				when: ["both have SO_REUSEADDR", "both have SO_REUSEPORT and the same user"],
			},
		]);
	});
});

describe("a difference of two versions", () => {
	it("in a rule is told as a rule", () => {
		const before = atlas("7.3", "udp");
		const after = {
			...before,
			answers: before.answers.map((row, i) =>
				row.map((answer, j) => {
					const [one, other] = [before.firsts[i]?.options, before.seconds[j]?.options];
					return answer === 0 && one?.reuse && other?.reuse ? EADDRINUSE : answer;
				}),
			),
		};
		const text = printDifferences(differencesOf(before, after), (_, its) => its).join("\n");
		expect(text).toContain("No single change: ");
		expect(text).toContain('"yes" in 7.3, "no" in 7.3, if\n    - both have SO_REUSEADDR.\n');
		expect(text).toContain("\n    [::], then ");
		// With devices it is as without.
		expect(text).not.toContain("dummy0");
	});
});

describe("boxes", () => {
	it("have every element of a set, and none outside it", () => {
		const sizes = [2, 3, 2];
		const elements = [0, 1].flatMap((a) => [0, 1, 2].flatMap((b) => [0, 1].map((c) => [a, b, c])));
		for (let set = 0; set < 1 << elements.length; set += 7) {
			const isIn = (i: number) => (set & (1 << i)) !== 0;
			const boxes = cover(
				sizes,
				elements.filter((_, i) => isIn(i)),
				elements.filter((_, i) => !isIn(i)),
			);
			for (const [i, element] of elements.entries())
				expect(boxes.some((box) => inBox(box, element))).toBe(isIn(i));
		}
	});
});

describe("the command conflicts", () => {
	it("describes itself", async () => {
		const { status, stdout } = await cli("conflicts", "--help");
		expect(status).toBe(0);
		expect(stdout).toContain("usage: inet-port-model conflicts");
		expect((await cli("--help")).stdout).toContain("  conflicts ");
	});

	it("refuses bad input with one line", async () => {
		const cases: [string[], string][] = [
			[["--protocol", "icmp"], "--protocol: expected one of tcp, udp"],
			[["--kernel", "7.3", "--protocol", "dccp"], "--protocol: Linux 7.3 does not have DCCP"],
			[["--diff", "6.3"], "--diff: expected two versions"],
			[["--diff", "6.3", "next"], "--diff: expected a release such as"],
			[["--diff", "6.3", "6.12", "--live"], "--diff takes two versions"],
			[["6.3"], "conflicts: unexpected 6.3"],
			[["--image", "6.12"], "--image needs --live"],
			[["--json", "--svg", "x"], "--json or --svg, not both"],
			[["--protocol", "udp", "--svg", join(folder, "none", "x")], "no such file or directory"],
		];
		for (const [args, expected] of cases) {
			const { status, stdout, stderr } = await cli("conflicts", ...args);
			expect([args, status, stdout]).toEqual([args, 2, ""]);
			expect(stderr).toContain(expected);
			expect(stderr.trimEnd().split("\n")).toHaveLength(1);
		}
	});

	it("prints tables that are at most 120 columns wide", async () => {
		const { status, stdout } = await cli("conflicts", "--protocol", "sctp", "--kernel", "7.3");
		expect(status).toBe(0);
		for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
		expect(stdout).toContain("half  bind() succeeds, listen() fails with EADDRINUSE");
	});

	it("prints the same each time, and the addresses with which a version breaks the rules", async () => {
		const { stdout } = await cli("conflicts");
		expect(stdout).toContain("TCP, Linux 6.3\n");
		expect((await cli("conflicts", "--kernel", "6.3")).stdout).toBe(stdout);
		for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
		expect(stdout).toContain("Linux 6.3 breaks this rule:");
		expect(stdout).toContain("- [::], then 127.0.0.1 or 127.0.0.2: they do not meet.");
	});

	it("draws how two versions differ", async () => {
		const file = join(folder, "diff.svg");
		const { status, stdout } = await cli("conflicts", "--diff", "6.3", "6.12", "--svg", file);
		expect(status).toBe(1);
		expect(stdout).toBe("");
		const text = readFileSync(file, "utf8");
		expect(text.startsWith("<svg ")).toBe(true);
		expect(text.trimEnd().endsWith("</svg>")).toBe(true);
		expect(text).toContain("bhash2-v4mapped-wildcard");
		expect(text).toContain("[::ffff:0.0.0.0], then 127.0.0.1 or 127.0.0.2");
	});

	it("prints how two versions differ, and why", async () => {
		const { status, stdout } = await cli("conflicts", "--diff", "6.3", "6.12");
		expect(status).toBe(1);
		expect(stdout).toContain("bhash2-dual-stack-wildcard (6.3, d9ba99342855): ");
		expect(stdout).toContain("    [::], then 127.0.0.1 or 127.0.0.2\n");
		expect(stdout).toContain("    [::ffff:127.0.0.1], then 127.0.0.1\n");
		const json = await cli("conflicts", "--diff", "6.3", "6.12", "--json");
		const pairs = json.stdout.trimEnd().split("\n");
		expect(stdout).toContain(`: ${pairs.length} of ${atlas("6.3").pairs} pairs differ`);
		for (const pair of pairs) expect(JSON.parse(pair).changes.length).toBeGreaterThan(0);
		const same = await cli("conflicts", "--diff", "6.12", "6.13", "--protocol", "udp");
		expect([same.status, same.stdout]).toEqual([
			0,
			`UDP, Linux 6.12 and 6.13: 0 of ${atlas("6.12", "udp").pairs} pairs differ\n`,
		]);
	});

	it("prints every pair as JSON", async () => {
		const { status, stdout } = await cli("conflicts", "--json", "--protocol", "udp");
		const lines = stdout.trimEnd().split("\n");
		expect(status).toBe(0);
		expect(lines).toHaveLength(atlas("6.3", "udp").pairs);
		expect(new Set(lines).size).toBe(lines.length);
		expect(JSON.parse(lines[0] ?? "")).toEqual({
			kernel: "6.3",
			protocol: "udp",
			first: {
				family: "AF_INET",
				address: "0.0.0.0",
				v6only: false,
				device: null,
				reuseaddr: false,
				reuseport: false,
				state: "bound",
			},
			second: {
				family: "AF_INET",
				address: "0.0.0.0",
				v6only: false,
				device: null,
				reuseaddr: false,
				reuseport: false,
				user: "same",
				listens: false,
			},
			bind: -98,
			error: "EADDRINUSE",
		});
	});

	it("writes an image that is well formed and has its text as text", async () => {
		const file = join(folder, "tcp.svg");
		const { status, stdout } = await cli("conflicts", "--kernel", "7.3", "--svg", file);
		expect([status, stdout]).toEqual([0, ""]);
		const svg = readFileSync(file, "utf8");
		const open: string[] = [];
		for (const [, close, name, empty] of svg.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
			if (close === "/") expect(open.pop()).toBe(name);
			else if (empty === "") open.push(name ?? "");
		}
		expect(open).toEqual([]);
		expect(svg.replace(/<[^<>]*>/g, "")).not.toMatch(/[<>]|&(?!#[0-9]+;)/);
		expect(svg).toContain(">[2001:db8::2]</text>");
		expect(svg).toContain(">yes</text>");
		expect(svg).toContain("prefers-color-scheme:dark");
		expect(svg).not.toMatch(/(href|src|url)[=(]/);
	});
});
