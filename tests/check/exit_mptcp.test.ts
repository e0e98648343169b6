// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A process that has both ends of an MPTCP connection exits. The worker of MPTCP runs between the two
 * closes, or after both. 6.18.44 showed both in 60 runs of each script: after both 54 times.
 */
import { describe, expect, it } from "vitest";
import { Kernel, playScript, readScript } from "../../kernel-model/index.js";
import { in4 } from "../text.js";

/** The process ends one end, and the other end has data that nobody read. exit() closes the first. */
const script = (end: string, result: string) => `$ ip link set lo up
socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) = 3
bind(3, ${in4(5000)}, 16) = 0
listen(3, 5) = 0
fork() = 1
1 socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) = 4
1 bind(4, ${in4(6000)}, 16) = 0
1 connect(4, ${in4(5000)}, 16) = 0
1 accept4(3, NULL, NULL, 0) = 5
1 dup2(4, 6) = 6
1 close(4) = 0
1 ${end} = 0
1 sendto(6, "storm", 5, MSG_NOSIGNAL, NULL, 0) = 5
1 exit_group(0)
close(3) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${in4(5000)}, 16) = ${result}
`;
const SHUTDOWN = "shutdown(5, SHUT_WR)";
const OPTION = "setsockopt(5, SOL_SOCKET, SO_KEEPALIVE, [1], 4)";
const IN_USE = "-1 EADDRINUSE";

const wrong = (text: string, alone = true) =>
	playScript(readScript(text, "exit"), { version: "6.18.44", alone })
		.filter(({ verdict }) => !["match", "ignored", "unrecorded"].includes(verdict))
		.map(({ line, verdict }) => [line, verdict]);

describe("exit() with both ends of an MPTCP connection", () => {
	it("leaves no TIME_WAIT if the worker runs after both closes, because the second one aborts", () => {
		expect(wrong(script(SHUTDOWN, "0"))).toEqual([]);
	});

	it("leaves TIME_WAIT if the worker ran between them, because both ends had ended", () => {
		expect(wrong(script(SHUTDOWN, IN_USE))).toEqual([]);
	});

	it("leaves no TIME_WAIT in either case if the second end was not shut down before", () => {
		expect(wrong(script(OPTION, "0"))).toEqual([]);
		expect(wrong(script(OPTION, IN_USE))).toEqual([[17, "mismatch"]]);
	});
});

/** How often the model asks whether the worker runs between two closes of an exit. */
function questions(last: "tcp" | "udp" | "none"): number {
	const kernel = new Kernel({ version: "6.18.44", seed: 1 });
	const parent = kernel.createTask({ net: kernel.createNet(), uid: 0 });
	const at = (port: number) => ({ family: "AF_INET", address: "127.0.0.1", port }) as const;
	const listener = parent.socket(2, 1, 262);
	expect(parent.bind(listener, at(5000))).toBe(0);
	expect(parent.listen(listener, 5)).toBe(0);
	const task = parent.fork();
	// The lowest descriptor is closed last.
	task.close(listener);
	if (last !== "none") task.socket(2, last === "tcp" ? 1 : 2, 0);
	expect(task.connect(task.socket(2, 1, 262), at(5000))).toBe(0);
	const child = parent.accept4(listener, 0);
	parent.shutdown(child, 1);
	const before = kernel.secrets_asked;
	task.exit();
	kernel.verify();
	return kernel.secrets_asked - before;
}

describe("the moment of the worker in exit()", () => {
	it("is asked about only if a socket of TCP or MPTCP is closed later", () => {
		expect([questions("none"), questions("udp"), questions("tcp")]).toEqual([0, 0, 1]);
	});
});
