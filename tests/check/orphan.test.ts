// SPDX-License-Identifier: GPL-2.0-or-later
/** A process whose parent exits before its first line, and whose clone() shows no flags. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

it("a process whose first line follows its parent's end has unknown descriptors", () => {
	const text = [
		"9889  clone($=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7fe9dbcd1c90) = 9891",
		"9889  exit_group(0 <unfinished ...>",
		"9889  <... exit_group resumed>)         = ?",
		"9891  socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
		"9891  setresuid(-1, 0, -1)              = 0",
		"",
	].join("\n");
	const outcomes = playScript(readScript(text, "orphan"), { version: "6.12", seed: 1 });
	expect(outcomes.find(({ call }) => call === "socket")?.verdict).toBe("match");
});
