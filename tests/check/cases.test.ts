// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Small recordings, each with a fact that the recording does not show. A real kernel, 6.18.44, gave
 * every result, so none is a mismatch.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Outcome, playScript, readScript } from "../../kernel-model/check/player.js";

const FOLDER = new URL("../recordings/cases/", import.meta.url);
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".strace"));

const play = (text: string): Outcome[] =>
	playScript(readScript(text, "recording"), { version: "6.18.44" });
const textOf = (name: string) => readFileSync(new URL(`${name}.strace`, FOLDER), "utf8");
const of = (outcomes: readonly Outcome[], verdict: string) =>
	outcomes.filter((outcome) => outcome.verdict === verdict);
const told = (outcomes: readonly Outcome[]) =>
	outcomes.map(({ line, reason }) => `${line}: ${reason}`);

describe("a recording of a real kernel", () => {
	it.each(files)("has no mismatch: %s", (name) => {
		const outcomes = play(readFileSync(new URL(name, FOLDER), "utf8"));
		expect(told(of(outcomes, "mismatch"))).toEqual([]);
	});

	it.each(files.filter((name) => !/mid-life|netlink/.test(name)))(
		"leaves nothing undecided: %s",
		(name) => {
			const outcomes = play(readFileSync(new URL(name, FOLDER), "utf8"));
			expect(told(of(outcomes, "undecided"))).toEqual([]);
		},
	);
});

describe("what the recording shows later", () => {
	it("decides which port a call chose before", () => {
		const text = textOf("unrevealed-port-2");
		expect(of(play(text), "match")).toHaveLength(9);
		// The first connection has 40000 as long as it is open.
		const [before, after] = text.split(/^close\(3\).*\n/m);
		const closed = before + after.replace(/= 3$/m, "= 5").replace(/\(3,/g, "(5,");
		expect(of(play(closed), "mismatch").length).toBeGreaterThan(0);
	});

	it("never lets two accepts take one client", () => {
		const text = textOf("accept-order-against-getsockname").replace(
			'{sa_family=AF_INET, sin_port=htons(40000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 8',
			'{sa_family=AF_INET, sin_port=htons(40002), sin_addr=inet_addr("127.0.0.1")}, [16]) = 8',
		);
		const alone = `$ ip link set lo up\n${text}`;
		expect(of(play(alone), "mismatch").length).toBeGreaterThan(0);
	});

	it("may leave open which client of a reuseport group has a port", () => {
		const text = textOf("reuseport-clients-by-port");
		const reset = "shutdown(12, SHUT_WR) = -1 ENOTCONN (Transport endpoint is not connected)";
		const swapped = text
			.replace(reset, "shutdown(12, SHUT_WR) = 0")
			.replace("shutdown(14, SHUT_WR) = 0", "shutdown(14, SHUT_WR) = -1 ENOTCONN");
		const outcomes = play(swapped);
		expect(told(of(outcomes, "mismatch"))).toEqual([]);
		expect(of(outcomes, "undecided")).toHaveLength(2);
	});

	it("orders calls that overlap, and no others", () => {
		const apart = textOf("accept-race")
			.replace("accept4(3,  <unfinished ...>\n101", "accept4(3, 0x7f, [128], 0) = -1 EAGAIN\n101")
			.replace(/^100.*<\.\.\. accept4 resumed.*\n/m, "");
		const outcomes = play(`$ ip link set lo up\n${apart}`);
		expect(told(of(outcomes, "mismatch"))).toEqual(["8: the kernel says EAGAIN, the model 5"]);
	});
});

describe("what the recording does not show", () => {
	it("makes a busy port undecided, unless the namespace is its own", () => {
		const bind = `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EADDRINUSE
`;
		expect(told(of(play(bind), "undecided"))).toEqual([
			"2: a socket outside the recording may hold the port",
		]);
		const own = `1 unshare(CLONE_NEWUSER|CLONE_NEWNET) = 0\n${bind.replace(/^/gm, "1 ").replace(/1 $/, "")}`;
		expect(of(play(own), "mismatch")).toHaveLength(1);
	});

	it("is learnt about the host from successful calls, and printed", () => {
		const learnt = play(textOf("host-unknown")).flatMap(({ line, learnt }) =>
			learnt === null ? [] : [`${line}: ${learnt}`],
		);
		expect(learnt).toEqual([
			"3: address 198.51.100.17",
			"4: a route to 203.0.113.9 from 198.51.100.17",
			"7: a route to 203.0.113.53 from 198.51.100.16",
		]);
	});

	it("is the user: a refused port below 1024 shows that it was not root", () => {
		const text = textOf("recorded-as-a-user");
		expect(of(play(text), "match")).toHaveLength(2);
		const root = text.replace(
			"bind(3",
			'bind(3, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}, 16) = 0\nsocket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4\nbind(4',
		);
		expect(of(play(root), "mismatch")).toHaveLength(1);
	});
});
