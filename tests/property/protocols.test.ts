// SPDX-License-Identifier: GPL-2.0-or-later
/** Each protocol has its own ports. Calls of one protocol do not affect another. */
import { describe, expect, it } from "vitest";
import type { Protocol } from "./oracle.js";
import { type Op, type Profile, type Program, programs } from "./program.js";
import { always } from "./replay.js";
import { play } from "./run.js";

const MIXED: Profile = {
	devices: ["", "lo", "dummy0", "vrf0", "dummy1"],
	length: 100,
	bind: 6,
	autobind: 4,
	connect: 4,
	session: 3,
	sysctl: 2,
	protocols: ["tcp", "udp", "udplite"],
};

/** A program without the sockets of other protocols. The same time passes. */
function only(program: Program, protocol: Protocol): Program {
	const { protocols } = program;
	const of = (index: number) => protocols[index % protocols.length];
	const ops = program.ops.flatMap((op): Op[] => {
		if (op.op === "sysctl" || op.op === "advance") return [op];
		const whose =
			op.op === "session" ? "tcp" : of(op.op === "open" ? op.options.protocol : op.protocol);
		if (whose === protocol) return [op];
		return op.op === "again" && op.ms > 0 ? [{ op: "advance", ms: op.ms }] : [];
	});
	return { ...program, ops };
}

/** The calls of one protocol, set-up commands and comments. */
function callsOf(transcript: readonly string[], protocol: Protocol): string[] {
	const first = { tcp: "1", udp: "2", udplite: "3" }[protocol];
	return transcript.filter((line) => /^[$#]/.test(line) || line.startsWith(first));
}

describe("calls of one protocol", { timeout: 600_000 }, () => {
	it("have the same results whatever calls on sockets of other protocols come between", () => {
		always(programs(MIXED), { seed: 51, runs: 90 }, (program) => {
			const { transcript } = play(program, []);
			for (const protocol of ["tcp", "udp", "udplite"] as const) {
				const alone = play(only(program, protocol), []).transcript;
				expect(callsOf(alone, protocol)).toEqual(alone);
				expect(callsOf(transcript, protocol)).toEqual(alone);
			}
		});
	});
});
