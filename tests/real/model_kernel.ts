// SPDX-License-Identifier: GPL-2.0-or-later
/** The model of a version in the place of a real kernel, for tests without a machine. */
import { playScript, readScript } from "../../kernel-model/check/player.js";
import type { Recording } from "../../kernel-model/real/live.js";
import type { Ask } from "../../kernel-model/real/review.js";
import { choosesPort } from "../../kernel-model/script/calls.js";
import { type Parsed, ScriptError } from "../../kernel-model/script/strace.js";

/** Answers scripts as the model of a version does. It asks for the name of sockets, as live does. */
export function modelKernel(version: string): Ask {
	let seed = 0;
	return async (script: Parsed): Promise<Recording> => {
		const asked: string[] = [];
		const numbers: number[] = [];
		for (const line of script.lines) {
			asked.push(line.text);
			numbers.push(line.line);
			if (line.kind !== "call" || !choosesPort(line.name)) continue;
			const [fd] = line.args;
			if (fd?.value.kind !== "int") continue;
			asked.push(`${line.pid === null ? "" : `${line.pid} `}getsockname(${fd.value.value})`);
			numbers.push(line.line + 0.5);
		}
		const parsed = readScript(`${asked.join("\n")}\n`, script.file);
		const outcomes = playScript(parsed, { version, seed: ++seed, unread: true, alone: true });
		const lines = new Map(outcomes.map((outcome) => [outcome.line, outcome]));
		const forks = script.lines.some((line) => line.kind === "call" && line.pid !== null);
		const text = asked.map((line, at) => {
			const outcome = lines.get(at + 1);
			if (outcome?.error) throw new ScriptError(script.file, at + 1, 1, "a call", line);
			if (outcome === undefined || outcome.call === "$" || !forks) return outcome?.text ?? line;
			return `${outcome.pid ?? 0} ${outcome.text}`;
		});
		return { text: `${text.join("\n")}\n`, lines: numbers };
	};
}
