// SPDX-License-Identifier: GPL-2.0-or-later
/** Calls that no sensible program makes: bad descriptors, calls after exit. */
import { describe, expect, it } from "vitest";
import { Player, playScript, readScript } from "../../kernel-model/index.js";

function play(text: string) {
	return playScript(readScript(text, "odd.strace"));
}

/** The verdict of each line, such as "1 match". */
function verdicts(text: string): string[] {
	return play(text).map(({ result, verdict }) => `${result} ${verdict}`);
}

describe("numbers that are no descriptors", () => {
	it("get the answers of the kernel, which takes the low 32 bits of a register", () => {
		// The results of 6.18.44 with a limit of 1048576 descriptors.
		const script = [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
			"dup2(3, -1) = -1 EBADF (Bad file descriptor)",
			"dup2(3, 2147483648) = -1 EBADF (Bad file descriptor)",
			"dup2(3, 4294967300) = 4",
			"dup3(3, -2, 0) = -1 EBADF (Bad file descriptor)",
			"dup3(3, 3, 0) = -1 EINVAL (Invalid argument)",
			"dup3(3, -1, O_NONBLOCK) = -1 EINVAL (Invalid argument)",
			"close(4294967300) = 0",
			"close(4294967299) = 0",
			"close(3) = -1 EBADF (Bad file descriptor)",
		];
		const bare = script.map((line) => line.replace(/ = .*/, ""));
		const results = play(bare.join("\n")).map(({ result }) => result);
		expect(results).toEqual([3, -9, -9, 4, -9, -22, -22, 0, 0, -9]);
		const checked = play(script.join("\n")).map(({ verdict }) => verdict);
		expect(checked).toEqual([...new Array(9).fill("match"), "ignored"]);
	});

	it("a port is no register: beyond 65535 it is an error", () => {
		const bind =
			'bind(3, {sa_family=AF_INET, sin_port=htons(4294967376), sin_addr=inet_addr("127.0.0.1")}, 16)';
		expect(() => play(`socket(AF_INET, SOCK_STREAM, 0)\n${bind}`)).toThrow(
			/^odd\.strace:2:44: expected a port from 0 to 65535/,
		);
	});

	it("the limit of descriptors is not in a recording: its EBADF is taken as it is", () => {
		const text = [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
			"dup2(3, 20000) = -1 EBADF (Bad file descriptor)",
			"dup3(3, 20000, O_CLOEXEC) = -1 EBADF (Bad file descriptor)",
			"close(20000) = -1 EBADF (Bad file descriptor)",
			"close(3) = 0",
		];
		expect(verdicts(text.join("\n"))[1]).toBe("null ignored");
		expect(verdicts(text.join("\n"))[2]).toBe("null ignored");
		expect(verdicts(text.join("\n"))[4]).toBe("0 match");
	});

	it("a negative descriptor was never opened before the recording", () => {
		const to = '{sa_family=AF_INET, sin_port=htons(5), sin_addr=inet_addr("127.0.0.1")}, 16';
		expect(
			verdicts(
				`10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n10 connect(-5, ${to}) = -1 ECONNABORTED (?)`,
			)[1],
		).toBe("null ignored");
		expect(verdicts(`10 connect(0177777777773, ${to}) = -1 EBADF (?)`)).toEqual(["-9 match"]);
	});

	it("port_of() takes the low 32 bits of a descriptor, as calls do", () => {
		const bind = (port: string) =>
			`bind(3, {sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}, 16)`;
		const open = "socket(AF_INET, SOCK_STREAM, 0)\n";
		expect(verdicts(`${open}${bind("0")}\n${bind("port_of(4294967299)")}`)[2]).toBe(
			"-22 unrecorded",
		);
		expect(() => verdicts(`${open}${bind("port_of(0xffffffffffffffffff)")}`)).toThrow(
			/^odd\.strace:2:44: expected a port/,
		);
	});

	it("a passed descriptor that is none is passed over", () => {
		const message = (call: string, fd: string) =>
			`${call}(4, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[${fd}]}], msg_controllen=24, msg_flags=0}, 0) = 1`;
		for (const fd of ["-1", "99999999999", "0xffffffffffffffffff"])
			expect(
				verdicts(
					`1 socket(AF_INET, SOCK_STREAM, 0) = 3\n1 ${message("sendmsg", fd)}\n1 ${message("recvmsg", fd)}`,
				),
			).toHaveLength(3);
	});

	it("a pair of descriptors that are none is passed over", () => {
		const pair = "1 socketpair(AF_UNIX, SOCK_STREAM, 0, [0xffffffffffffffffff, -3]) = 0";
		expect(verdicts(pair)).toEqual(["null ignored"]);
	});

	it("a descriptor of more than 32 bits is explained by the low 32", () => {
		const text = "socket(AF_INET, SOCK_STREAM, 0)\nlisten(99999999999999999999999999, 5)";
		const outcomes = playScript(readScript(text, "odd.strace"), { explain: true });
		expect(outcomes[1]?.result).toBe(-88);
		expect(outcomes[1]?.explanation.join()).toContain("descriptor 0 is not a socket");
	});

	it("flags of more than 32 bits are their low 32", () => {
		const flags = "0xffffffffffffffff00080800";
		const calls = [
			"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
			`accept4(3, NULL, NULL, ${flags}) = -1 EINVAL (Invalid argument)`,
			"accept4(3, NULL, NULL, 0xffffffffffffffffff) = -1 EINVAL (Invalid argument)",
		];
		expect(verdicts(calls.join("\n"))).toEqual(["3 match", "-22 match", "-22 match"]);
	});

	it("a result that is no descriptor differs", () => {
		expect(verdicts("socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5000000000")).toEqual([
			"3 mismatch",
		]);
	});

	it("an accepted client that is no descriptor differs, also of a listener that nobody opened", () => {
		const name = '{sa_family=AF_INET, sin_port=htons(40000), sin_addr=inet_addr("127.0.0.1")}';
		const calls = [
			"accept(3, NULL, NULL) = 0177777777775",
			`getpeername(5, ${name}, [16]) = 0`,
			`getpeername(5, ${name}, [16]) = 0`,
		];
		expect(verdicts(calls.join("\n"))[0]).toMatch(/ (mismatch|undecided)$/);
	});
});

describe("memory that is not shown", () => {
	// strace -e raw=bind and -e verbose=none print the pointer.
	const text = (bind: string) => `9 unshare(CLONE_NEWNET) = 0
9 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 5
9 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 6
9 ${bind} = 0
9 connect(6, {sa_family=AF_INET, sin_port=htons(49728), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
9 sendto(6, "zz", 2, 0, NULL, 0) = 2
9 close(5) = 0
9 sendto(6, "z", 1, 0, NULL, 0) = 1
9 sendto(6, "z", 1, 0, NULL, 0) = -1 ECONNREFUSED (Connection refused)
`;

	it("may bind a socket to any port", () => {
		const outcomes = play(text("bind(5, 0x7fff5c8a3830, 16)"));
		const differ = outcomes.filter(({ verdict }) => verdict !== "match" && verdict !== "ignored");
		expect(differ.map(({ line, verdict, reason }) => [line, verdict, reason])).toEqual([
			[8, "undecided", "line 4 passes memory that is not shown"],
			[9, "undecided", "line 4 passes memory that is not shown"],
		]);
	});
});

describe("a task that has exited", () => {
	const script = (tail: string) =>
		`1 exit_group(0) = ?\n1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP)${tail}\n`;

	it("has no port for port_of(): the line is undecided, and no error", () => {
		const bind =
			'1 bind(3, {sa_family=AF_INET, sin_port=htons(port_of(3)), sin_addr=inet_addr("127.0.0.1")}, 16) = 0';
		const text = `${script(" = 3")}${bind}\n`;
		expect(verdicts(text).at(-1)).toBe("null undecided");
	});

	it("makes no calls in a script: an error with its place", () => {
		expect(() => play(script(""))).toThrow(
			/^odd\.strace:2:3: expected a process other than 1, which has exited/,
		);
		expect(() => play("exit_group(0)\nsocket(AF_INET, SOCK_STREAM, 0)\n")).toThrow(
			/^odd\.strace:2:1: expected no call after exit/,
		);
	});

	it("makes no descriptors", () => {
		const tail = '{sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0';
		for (const line of [
			"socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0",
			"pipe2([3, 4], O_CLOEXEC) = 0",
			"close_range(3, 4294967295, 0) = 0",
			`connect(3, ${tail}`,
		]) {
			const [, outcome] = play(
				`+++ exited with 0 +++\n${line}\n`.replace(/^/, "exit_group(0) = ?\n"),
			);
			expect(outcome?.verdict).toMatch(/ignored|undecided/);
		}
	});

	it("may be another process in a file of strace -ff", () => {
		const [, outcome] = play(`exit_group(0) = ?
+++ exited with 0 +++
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
`);
		expect(outcome?.reason).toBe(
			"the process has exited, as the recording says earlier; strace -ff writes a file for each process, and strace-log-merge joins them",
		);
	});

	it("leaves a recording undecided, as pids are used again", () => {
		expect(verdicts(script(" = 3")).slice(1)).toEqual(["null undecided"]);
	});
});

describe("a time stamp that no clock reaches", () => {
	it("tells nothing: the clock stays where it is", () => {
		const text = [
			"1795377203.808269 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
			"17951976655065192000.808269 close(3) = 0",
			"1795377203.808270 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3",
		];
		expect(verdicts(text.join("\n"))).toEqual(["3 match", "0 match", "3 match"]);
	});
});

describe("descriptors in flight", () => {
	const rights = (call: string, fd: number) =>
		`${call}(4, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[${fd}]}], msg_controllen=24, msg_flags=0}, 0) = 1`;

	it("keep a socket open that no descriptor names", () => {
		const player = new Player(
			readScript(
				[
					"socketpair(AF_UNIX, SOCK_STREAM, 0, [4, 5]) = 0",
					"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6",
					'bind(6, {sa_family=AF_INET, sin_port=htons(5000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
					rights("sendmsg", 6),
					"close(6) = 0",
					"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 7",
					'bind(7, {sa_family=AF_INET, sin_port=htons(5000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EADDRINUSE (Address already in use)',
				].join("\n"),
				"flight.strace",
			),
		);
		expect([...player.play()].filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
		player.kernel.verify();
	});
});

describe("pids that are used again", () => {
	it.each([
		["by a process for itself", "1 fork() = 1\n"],
		["by a grandchild", "1 fork() = 2\n2 fork() = 1\n"],
	])("%s end no search for ancestors", (_, forks) => {
		const socket = "1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3\n1 close(3) = 0\n";
		const mismatches = play(forks + socket).filter(({ verdict }) => verdict === "mismatch");
		expect(mismatches).toEqual([]);
	});
});
