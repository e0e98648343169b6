// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The end of a process closes its descriptors before strace says that it has ended. The lines are
 * from recordings of 6.18.44, with fewer lines and smaller pids.
 */
import { describe, expect, it } from "vitest";
import { type Outcome, playScript, readScript } from "../../kernel-model/check/player.js";

const play = (text: string): Outcome[] =>
	playScript(readScript(text, "recording"), { version: "6.18.44" });
const verdicts = (text: string) =>
	play(text)
		.filter(({ verdict }) => verdict !== "ignored")
		.map(({ line, call, verdict, reason }) => `${line} ${call} ${verdict} ${reason ?? ""}`.trim());

const BIND =
	'bind(3, {sa_family=AF_INET, sin_port=htons(5001), sin_addr=inet_addr("127.0.0.1")}, 16)';
const IN_USE = "-1 EADDRINUSE (Address already in use)";
const SIGTERM = "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=9, si_uid=0} ---";
const FORK = "clone(child_stack=NULL, flags=SIGCHLD)";
const THREAD =
	"clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD, stack=0x7fe, stack_size=0x7ff} => {parent_tid=[NUMBER]}, 88)";
const START = `9 unshare(CLONE_NEWNET) = 0
9 ${FORK} = 10
9 ${FORK} = 11
10 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
10 ${BIND} = 0
`;

const CONNECTED = `9 unshare(CLONE_NEWNET) = 0
$ ip link set lo up
9 ${FORK} = 10
10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
10 ${BIND} = 0
10 listen(3, 10) = 0
9 ${FORK} = 11
11 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
11 ${BIND.replace("bind", "connect")} = 0
10 accept(3, NULL, NULL) = 4
`;

describe("a process that a signal kills", () => {
	it("gives its port up after the signal", () => {
		const text = `${START}11 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP <unfinished ...>
10 ${SIGTERM}
11 <... socket resumed>) = 3
11 ${BIND.slice(0, -1)} <unfinished ...>
10 +++ killed by SIGTERM +++
11 <... bind resumed>) = 0
`;
		expect(verdicts(text)).toEqual([
			"4 socket match",
			"5 bind match",
			"6 socket match",
			"9 bind match",
		]);
	});

	it("may keep its port until strace says that it has ended", () => {
		const text = `${START}11 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
10 ${SIGTERM}
11 ${BIND} = ${IN_USE}
10 +++ killed by SIGTERM +++
`;
		expect(verdicts(text).at(-1)).toBe("8 bind match");
	});

	it("has its port before the signal, and not after its end", () => {
		const before = `${START}11 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
11 ${BIND} = 0
10 ${SIGTERM}
10 +++ killed by SIGTERM +++
`;
		expect(verdicts(before).at(-1)).toMatch(/^7 bind mismatch/);
		const after = `${START}11 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
10 ${SIGTERM}
10 +++ killed by SIGTERM +++
11 ${BIND} = ${IN_USE}
`;
		expect(verdicts(after).at(-1)).toMatch(/^9 bind mismatch/);
	});

	it("may have given its port up since its last line, if no line shows the signal", () => {
		const text = `${START}11 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
11 ${BIND} = 0
10 +++ killed by SIGKILL +++
`;
		expect(verdicts(text).at(-1)).toBe("7 bind match");
	});

	it("in a call has its port until strace says that the call never returns", () => {
		const waits = `${START}10 recvfrom(3,  <unfinished ...>
11 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
`;
		const never = "10 <... recvfrom resumed> <unfinished ...>) = ?\n";
		const killed = "10 +++ killed by SIGKILL +++\n";
		expect(verdicts(`${waits}${never}11 ${BIND} = 0\n${killed}`).at(-1)).toBe("9 bind match");
		expect(verdicts(`${waits}11 ${BIND} = 0\n${never}${killed}`).at(-1)).toMatch(
			/^8 bind mismatch/,
		);
	});

	it("in a call leaves no line that is not understood", () => {
		const text = `${START}10 recvfrom(3,  <unfinished ...>
10 <... recvfrom resumed> <unfinished ...>) = ?
10 +++ killed by SIGKILL +++
`;
		expect(play(text).map(({ reason }) => reason)).toEqual(play(text).map(() => null));
	});

	it("ends its connection", () => {
		const text = `${CONNECTED}11 shutdown(3, SHUT_WR) = 0
10 write(1, "hi\\n", 3) = -1 EPIPE (Broken pipe)
10 --- SIGPIPE {si_signo=SIGPIPE, si_code=SI_USER, si_pid=10, si_uid=0} ---
11 recvfrom(3, "", 8192, 0, NULL, NULL) = 0
10 +++ killed by SIGPIPE +++
`;
		expect(verdicts(text).at(-1)).toBe("14 recvfrom match");
	});

	it("ends its connection, if no line shows the signal", () => {
		const end = '11 recvfrom(3, "", 8192, 0, NULL, NULL) = 0\n';
		const killed = "10 +++ killed by SIGKILL +++\n";
		expect(verdicts(CONNECTED + end + killed).at(-1)).toBe("11 recvfrom match");
		// The connection of another process ends, which goes on.
		const other = `9 ${FORK} = 12\n`;
		expect(verdicts(`${CONNECTED}${other}${end}12 +++ killed by SIGKILL +++\n`).at(-1)).toMatch(
			/^12 recvfrom undecided/,
		);
		expect(verdicts(`${CONNECTED}10 ${FORK} = 12\n${end}${killed}`).at(-1)).toMatch(
			/^12 recvfrom undecided/,
		);
	});
});

describe("a process of several threads", () => {
	const threads = `${START}10 ${THREAD.replace("NUMBER", "12")} = 12
12 recvfrom(3,  <unfinished ...>
11 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
10 exit_group(3 <unfinished ...>
12 <... recvfrom resumed> <unfinished ...>) = ?
10 <... exit_group resumed>) = ?
`;
	const ended = "12 +++ exited with 3 +++\n10 +++ exited with 3 +++\n";

	it("gives its port up before strace says that its threads have ended", () => {
		expect(verdicts(`${threads}11 ${BIND} = 0\n${ended}`).at(-1)).toBe("12 bind match");
	});

	it("ends its connections before strace says that its threads have ended", () => {
		const thread = `10 ${THREAD.replace("NUMBER", "12")} = 12\n`;
		const end = '11 recvfrom(3, "", 8192, 0, NULL, NULL) = 0\n';
		const text = `${CONNECTED}${thread}12 exit_group(0) = ?\n12 +++ exited with 0 +++\n${end}10 +++ exited with 0 +++\n`;
		expect(verdicts(text).at(-1)).toBe("14 recvfrom match");
	});

	it("may keep its port until the last thread has ended", () => {
		const busy = `11 ${BIND} = ${IN_USE}\n`;
		expect(verdicts(`${threads}${busy}${ended}`).at(-1)).toBe("12 bind match");
		expect(verdicts(`${threads}${ended}${busy}`).at(-1)).toMatch(/^14 bind mismatch/);
	});

	it("gives its port up after the last thread has ended", () => {
		const text = `${threads}11 ${BIND} = 0\n${ended}`.replace(
			"10 exit_group(3 <unfinished ...>\n",
			"",
		);
		const lines = text.replace("10 <... exit_group resumed>) = ?\n", "").split("\n");
		// Without the lines of exit_group(), as strace -e trace=%network prints them.
		expect(verdicts(lines.join("\n")).at(-1)).toBe("10 bind match");
	});
});
