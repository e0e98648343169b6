// SPDX-License-Identifier: GPL-2.0-or-later
/** Memory of a long recording follows what is open, not the number of lines. */
import { describe, expect, it } from "vitest";
import { eventsOf } from "../../kernel-model/check/order.js";
import { readScript } from "../../kernel-model/check/player.js";
import { Programs } from "../../kernel-model/check/programs.js";
import { Recording } from "../../kernel-model/check/recording.js";
import { Search } from "../../kernel-model/check/search.js";

/** Events that are read ahead, and that the search can go back. */
const WINDOW = 500;
/** The time of the first line, and the time between two lines, in seconds. */
const FIRST = 1.7e9;
const PAUSE = 0.02;

/** Plays lines. Calls `look` after each event. */
function play(
	lines: string[],
	look: (search: Search, recording: Recording) => void,
	settled = false,
): string[] {
	const text = lines.map((line, at) => line.replace("TIME", (FIRST + at * PAUSE).toFixed(6)));
	const events = eventsOf(readScript(text.join("\n"), "long").lines)[Symbol.iterator]();
	const recording = new Recording("long", events, WINDOW);
	recording.firstTime = FIRST;
	const search = new Search(recording, { version: "6.18.44", alone: true, settled }, WINDOW);
	const differ: string[] = [];
	for (const { outcome } of search.run()) {
		if (outcome?.verdict === "mismatch") differ.push(`${outcome.text}: ${outcome.reason}`);
		look(search, recording);
	}
	return differ;
}

const SETUP = [
	"$ ip link set lo up",
	"$ ip addr add 192.0.2.10/32 dev lo",
	"$ ip route add 198.51.0.0/16 dev lo",
	`1 TIME execve("/bin/sh", ["sh"], 0x7ffd /* 9 vars */) = 0`,
];
const at = (port: number, address: string) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}`;

describe("of a long recording", () => {
	it("only processes are kept that may still be played, and those they descend from", () => {
		const lines = [...SETUP];
		for (let pid = 1000; pid < 2500; pid++) {
			lines.push(
				`1 TIME clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = ${pid}`,
				`${pid} TIME execve("/bin/true", ["true"], 0x7ffd /* 9 vars */) = 0`,
				`${pid} TIME socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 3`,
				`${pid} TIME recvfrom(3, 0x7ffd, 10, 0, NULL, NULL) = -1 ENOTCONN`,
				`${pid} TIME exit_group(0) = ?`,
				`${pid} TIME +++ exited with 0 +++`,
			);
		}
		let most = 0;
		const differ = play(lines, (_, { programs }) => {
			most = Math.max(most, programs.size);
		});
		expect(differ).toEqual([]);
		expect(most).toBeGreaterThan(10);
		expect(most).toBeLessThan(500);
	});

	it("no start of a search is kept that was shuffled since", () => {
		const lines = [...SETUP];
		for (let i = 0; i < 2000; i++) {
			lines.push(
				"1 TIME socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 3",
				`1 TIME connect(3, ${at(80, `198.51.${i >>> 8}.${i & 255}`)}, 16) = -1 EINPROGRESS`,
				`1 TIME getsockname(3, ${at(50000, "192.0.2.10")}, [128 => 16]) = 0`,
				"1 TIME close(3) = 0",
			);
		}
		let most = 0;
		const look = ({ player }: Search) => {
			most = Math.max(most, player.world.perturb.size);
		};
		const differ = play(lines, look, true);
		expect(differ).toEqual([]);
		expect(most).toBeGreaterThan(100);
		expect(most).toBeLessThan(800);
	});

	it("questions to secrets and their answers are forgotten that lie too far back", () => {
		const lines = [...SETUP];
		for (let i = 0; i < 8000; i++) lines.push(`1 TIME close(${i % 100}) = -1 EBADF`);
		let [most, asked] = [0, 0];
		const { length } = lines;
		play(lines, ({ player }) => {
			const { kernel, world, facts } = player;
			if (asked < length) {
				facts.secrets.push(asked++);
				kernel.askSecret("ehash");
			}
			most = Math.max(most, world.questionLines.size, facts.secrets.length);
		});
		expect(asked).toBe(length);
		expect(most).toBeGreaterThan(1000);
		expect(most).toBeLessThan(length / 2);
	});
});

describe("of programs", () => {
	it("one receives if a process of it received, also one that has ended", () => {
		const programs = new Programs();
		programs.execs(1);
		for (const child of [2, 3]) programs.forks(1, child);
		programs.receives(2);
		programs.ends(2);
		expect(programs.programReceives(3)).toBe(true);
		programs.forks(3, 4);
		programs.execs(4);
		expect(programs.programReceives(4)).toBe(false);
	});

	it("a process that has ended is kept while a descendant is there", () => {
		const programs = new Programs();
		programs.forks(1, 2);
		programs.execs(2);
		for (const child of [3, 4]) programs.forks(2, child);
		programs.receives(3);
		for (const pid of [2, 3]) programs.ends(pid);
		expect(programs.programOf(4)).toBe(2);
		expect(programs.programReceives(4)).toBe(true);
		for (const pid of [4, 1]) programs.ends(pid);
		expect(programs.size).toBe(0);
	});

	it("a pid that is reused is another process", () => {
		const programs = new Programs();
		programs.forks(1, 2);
		programs.ends(2);
		programs.forks(1, 2);
		programs.forks(2, 3);
		programs.execs(1);
		expect(programs.programOf(3)).toBe(1);
		for (const pid of [3, 2, 1]) programs.ends(pid);
		expect(programs.size).toBe(0);
	});
});
