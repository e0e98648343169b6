// SPDX-License-Identifier: GPL-2.0-or-later
/** `live` carries recordings of programs over to the running kernel. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readScript } from "../../kernel-model/check/player.js";
import { Agent } from "../../kernel-model/real/agent/agent.js";
import { isProgram, recordProgram } from "../../kernel-model/real/carried.js";
import { judge, type LiveOutcome } from "../../kernel-model/real/live.js";
import { in4 } from "../text.js";
import { obstacle } from "./obstacle.js";

const missing = obstacle();

describe("a file with execve, clone or exit_group", () => {
	it("is a recording of a program, and a script with fork is none", () => {
		expect(isProgram(readScript("7 exit_group(0) = ?\n", "a"))).toBe(true);
		expect(isProgram(readScript("7 fork() = 8\n8 close(3) = 0\n", "a"))).toBe(false);
	});

	it("is a script if a person wrote the call without its result", () => {
		expect(isProgram(readScript("7 fork() = 8\n8 exit_group(0)\n", "a"))).toBe(false);
	});
});

describe.skipIf(missing !== null)(
	`a recording of a program${missing === null ? "" : ` (${missing})`}`,
	() => {
		let agent: Agent;
		beforeAll(async () => {
			agent = await Agent.start();
		});
		afterAll(() => agent?.end());

		async function carry(text: string): Promise<{ text: string; outcomes: LiveOutcome[] }> {
			const recording = await recordProgram(readScript(text, "test"), agent);
			const outcomes = judge(recording, "test", { version: "6.18.44" });
			return { text: recording.text, outcomes };
		}
		const EXEC = '7 execve("/bin/server", ["server"], NULL) = 0\n';
		const resultOf = (outcomes: LiveOutcome[], line: number) => {
			const outcome = outcomes.find((one) => one.line === line);
			return outcome?.recordedError ?? outcome?.recorded;
		};
		const differing = (outcomes: LiveOutcome[]) =>
			outcomes.filter(({ verdict }) => verdict === "mismatch").map(({ reason }) => reason);

		it("connects to the port that this kernel chose for the listener", async () => {
			const { outcomes } = await carry(`${EXEC}7 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5
7 bind(5, ${in4(0)}, 16) = 0
7 listen(5, 5) = 0
7 getsockname(5, ${in4(1)}, [16]) = 0
7 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 6
7 connect(6, ${in4(1)}, 16) = 0
7 accept(5, ${in4(2)}, [16]) = 7
7 getpeername(7, ${in4(2)}, [16]) = 0
`);
			expect(resultOf(outcomes, 7)).toBe(0);
			expect(resultOf(outcomes, 8)).toBe(7);
			expect(differing(outcomes)).toEqual([]);
		});

		it("keeps the descriptors of threads, children and programs apart", async () => {
			const { outcomes } = await carry(`${EXEC}7 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5
7 clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}, 88) = 8
8 bind(5, ${in4(8080)}, 16) = 0
8 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 6
7 clone(child_stack=NULL, flags=SIGCHLD) = 9
9 bind(6, ${in4(8081)}, 16) = 0
9 close(5) = 0
9 execve("/bin/true", ["true"], NULL) = 0
9 getsockname(6, 0x7ffe, [16]) = -1 EBADF (Bad file descriptor)
7 getsockname(6, ${in4(8081)}, [16]) = 0
9 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
9 bind(3, ${in4(8080)}, 16) = -1 EADDRINUSE (Address already in use)
7 exit_group(0) = ?
9 bind(3, ${in4(8080)}, 16) = 0
`);
			const results = [4, 7, 11, 13, 15].map((line) => resultOf(outcomes, line));
			expect(results).toEqual([0, 0, 0, "EADDRINUSE", 0]);
			expect(differing(outcomes)).toEqual([]);
		});

		it("does not wait for what a socket without O_NONBLOCK in the recording did not wait for", async () => {
			const { text, outcomes } = await carry(`$ ip addr add 192.0.2.1/32 dev lo
$ ip route add default dev lo
${EXEC}7 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 5
7 connect(5, ${in4(80, "198.51.100.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
`);
			expect(text).toContain("fcntl(5, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
			expect(resultOf(outcomes, 5)).toBe("EINPROGRESS");
			expect(differing(outcomes)).toEqual([]);
		});

		it("passes over files, commands that this kernel refuses, and descriptors that came from outside", async () => {
			const script = `$ ip link set dev eth7 up
${EXEC}7 openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3
7 read(3, "127.0.0.1"..., 4096) = 100
7 bind(9, ${in4(8080)}, 16) = 0
7 socket(AF_UNIX, SOCK_STREAM, 0) = 4
7 close(3) = 0
`;
			const { passed, text } = await recordProgram(readScript(script, "test"), agent);
			expect(text.trimEnd().split("\n")).toHaveLength(1);
			expect([...passed]).toEqual([
				["$ ip link set", 1],
				["calls on sockets that were not carried over", 1],
			]);
		});

		it.each(["nginx", "java", "proftpd", "dnsmasq", "postgres"])(
			"gives answers that the model can give: %s",
			async (name) => {
				const file = `tests/recordings/corpus/${name}.strace`;
				const { outcomes } = await carry(readFileSync(file, "utf8"));
				expect(outcomes.length).toBeGreaterThan(50);
				expect(differing(outcomes)).toEqual([]);
			},
		);
	},
);
