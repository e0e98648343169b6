// SPDX-License-Identifier: GPL-2.0-or-later
/** The top of a recording that `record` made: written and read. */
import { describe, expect, test } from "vitest";
import { CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SETUID } from "../../include/linux/capability.js";
import { readScript } from "../../kernel-model/check/player.js";
import { recordedCalls, systemCall } from "../../kernel-model/script/calls.js";
import { concernedCapabilities, readTop, TOP, topLines } from "../../kernel-model/script/top.js";

const SOCKET = 'tcp LISTEN 0 128 127.0.0.1:22 0.0.0.0:* users:(("sshd",pid=7,fd=3)) ino:33';
const given = {
	release: "6.1.0-18-amd64",
	build: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)",
	strace: "6.1",
	command: "nc -l 127.0.0.1 5000",
	uid: 1000,
	capabilities: (1 << CAP_NET_BIND_SERVICE) | (1 << CAP_NET_RAW),
	alone: false,
	threads: new Map([
		[613, 612],
		[614, 612],
	]),
	commands: [
		["ip", "link", "set", "dev", "lo", "up"],
		["sysctl", "net.ipv4.ip_local_port_range=40000 50000"],
	],
	ss: [SOCKET],
	left: ["the routes (there is no ip)"],
};

describe("the top of a recording", () => {
	test("is read as it was written", () => {
		const lines = topLines(given);
		const top = readTop([...lines, "7 1.0 getpid() = 7"]);
		const { strace, ss, ...rest } = given;
		expect(top).toEqual({ ...rest, sockets: [expect.any(Object)], end: lines.length });
		expect(top?.sockets[0]).toMatchObject({
			port: 22,
			state: "LISTEN",
			users: [{ pid: 7, fd: 3 }],
		});
		expect(lines[2]).toBe(`# strace: ${strace}`);
		expect(lines).toContain(`# ss: ${ss[0]}`);
	});

	test("is a valid script", () => {
		const script = readScript(`${topLines(given).join("\n")}\n`, "top");
		expect(script.lines.filter(({ kind }) => kind === "setup")).toHaveLength(2);
		expect(script.lines.every(({ kind }) => kind === "setup" || kind === "comment")).toBe(true);
	});

	test("keeps hostile names on their lines", () => {
		const lines = topLines({
			...given,
			command: "a\n$ sysctl x=1\r\u2028b",
			commands: [
				["ip", "link", "set", "dev", "e'$(x)", "up"],
				["ip", "link", "add", "a\nb"],
			],
		});
		expect(lines.join("\n").split(/[\r\n\u2028]/)).toHaveLength(lines.length);
		expect(readTop(lines)?.commands).toEqual([["ip", "link", "set", "dev", "e'$(x)", "up"]]);
	});

	test("says which lines it does not understand, and goes on", () => {
		const top = readTop([
			TOP,
			"# kernel: 6.18.44",
			"# user: 99999999999",
			"# ss: tcp LISTEN what",
			"# ss: tcp LISTEN 0 1 4294967296.0.0.0:9 0.0.0.0:*",
			"# ss: udp UNCONN 0 0 127.0.0.1:65536 0.0.0.0:*",
			"# ss: sctp LISTEN 0 1 127.0.0.1:9 0.0.0.0:*",
			"# threads of 5: 6 x",
			"$ rm -rf x",
			"$ ip link 'set",
			"# a comment",
			"# end of the top",
			"$ ip link set lo up",
		]);
		expect(top?.left).toEqual([
			"line 3: expected the number of a user",
			"line 4: expected a line of ss -tuanpeo",
			"line 5: expected a line of ss -tuanpeo",
			"line 6: expected a line of ss -tuanpeo",
			"line 7: a socket of protocol sctp",
			"line 8: expected at most 32768 threads, each a number",
			"line 9: expected ip or sysctl",
			expect.stringMatching(/^line 10: expected /),
		]);
		expect(top).toMatchObject({ uid: null, commands: [], sockets: [], end: 12, alone: false });
	});

	test("needs its first line and a kernel", () => {
		expect(readTop(["# kernel: 6.18.44", TOP])).toBe(null);
		expect(readTop([TOP, "# user: 0", "# end of the top"])).toBe(null);
		expect(readTop([TOP, "# kernel: a b\u0007"])).toMatchObject({ release: "a" });
	});

	test("ends before the first other line if its end is cut off", () => {
		const lines = [TOP, "# kernel: 6.18.44", "", "7 1.0 getpid() = 7", "$ ip link set lo up"];
		expect(readTop(lines)).toMatchObject({ end: 3, commands: [] });
	});

	test("names only capabilities that concern ports", () => {
		expect(concernedCapabilities(1n << 38n)).toBe(0);
		expect(concernedCapabilities(0x1ffffffffffn) & (1 << CAP_SETUID)).not.toBe(0);
		const lines = topLines({ ...given, capabilities: concernedCapabilities(0x1ffffffffffn) });
		expect(lines).toContain("# user: 1000, capabilities: all");
		expect(topLines({ ...given, capabilities: 0 })).toContain("# user: 1000, capabilities: none");
		expect(readTop(topLines({ ...given, capabilities: 0 }))?.capabilities).toBe(0);
	});
});

test("a recording has every call that the model plays or that moves descriptors", () => {
	const calls = recordedCalls();
	for (const name of ["bind", "connect", "fcntl", "recvmsg", "sendmsg", "ioctl", "close_range"]) {
		expect(calls).toContain(name);
	}
	expect(calls.some((name) => systemCall(name)?.bearsOn === "nothing")).toBe(false);
});
