// SPDX-License-Identifier: GPL-2.0-or-later
/** `conflicts --live`: the kernel underneath is asked for every pair. */
import { describe, expect, it } from "vitest";
import { atlasOf } from "../../kernel-model/laws/atlas.js";
import { Agent } from "../../kernel-model/real/agent/agent.js";
import { askPairs } from "../../kernel-model/real/pairs.js";
import { cli } from "../cli/command.js";
import { obstacle } from "./obstacle.js";

const missing = obstacle();

describe.skipIf(missing !== null)(
	`conflicts --live${missing === null ? "" : `: skipped, ${missing}`}`,
	() => {
		it("asks the kernel for every pair of UDP sockets, and the kernel agrees", async () => {
			const { status, stdout, stderr } = await cli("conflicts", "--live", "--protocol", "udp");
			expect([status, stderr.includes("inet-port-model:")]).toEqual([0, false]);
			const told = /UDP: ([0-9]+) pairs asked, 0 differ from the model of ([0-9.]+)\n$/.exec(
				stdout,
			);
			expect(told).not.toBeNull();
			const { pairs } = atlasOf(told?.[2] ?? "", "udp");
			const asked = Number(told?.[1]);
			if (stdout.includes("Not asked: ")) expect(asked).toBeGreaterThan(pairs / 4);
			else expect(asked).toBe(pairs);
		}, 300_000);

		it("finds that [::] lets in an IPv4 address in 6.3 only", async () => {
			const whole = atlasOf("6.3", "tcp");
			const kept = whole.firsts.flatMap(({ place, state }, i) =>
				place.name === "[::]" && state === "bound" ? [i] : [],
			);
			const atlas = {
				...whole,
				firsts: kept.flatMap((i) => whole.firsts[i] ?? []),
				answers: kept.flatMap((i) => whole.answers[i] ?? []),
			};
			const agent = await Agent.start();
			const { answers } = await askPairs(atlas, agent).finally(() => agent.end());
			const differing = new Set<string>();
			for (const [i, row] of answers.entries())
				for (const [j, answer] of row) {
					const second = atlas.seconds[j];
					if (atlas.answers[i]?.[j] !== answer) differing.add(second?.place.name ?? "");
				}
			expect([...differing].sort()).toEqual(["127.0.0.1", "127.0.0.2"]);
		}, 300_000);
	},
);
